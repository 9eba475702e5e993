//! pcap and pcapng records, as windows into large chunks of the file.
//!
//! A chunk is filled, then indexed as a whole, then handed out frame by frame. While it is indexed
//! nobody else refers to it, so link headers can be converted in place; afterwards no byte is copied.
//!
//! Headers and records of pcap are read by `pcap-parser`. The pcapng blocks are read here: the
//! library collects the options of every packet block into a `Vec`, which would be an allocation a
//! packet, and takes `if_tsoffset` as little-endian in big-endian sections too.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use pcap_parser::nom::IResult;
use pcap_parser::{LegacyPcapBlock, PcapError};
use types::LinkType;

use crate::convert::{self, Window};
use crate::frame::{Chunk, HeapFrame, Ring};
use crate::source::{Progress, Source};
use crate::{CaptureError, SNAPLEN, Warning};

/// Bytes read at once: small enough to stay in the second-level cache between being read and being
/// written, large enough that a system call costs nothing per packet.
pub(crate) const CHUNK_BYTES: usize = 512 << 10;
/// In front of what is read: room for an Ethernet header before the first packet of a chunk.
const HEADROOM: usize = 64;
/// A packet block may be longer than its packet by its options.
const BLOCK_MAX: usize = SNAPLEN + (64 << 10);

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// One packet of a capture.
#[derive(Debug)]
pub struct Captured {
    /// Its bytes.
    pub frame: HeapFrame,
    /// Its time in nanoseconds since 1970.
    pub time_ns: u64,
    /// Its length on the wire; never less than what was captured.
    pub wire_bytes: u32,
    /// What its first header is.
    pub link: LinkType,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    time_ns: u64,
    start: u32,
    len: u32,
    wire: u32,
    link: LinkType,
}

#[derive(Debug)]
enum Format {
    Pcap(Pcap),
    PcapNg(PcapNg),
}

#[derive(Clone, Copy, Debug)]
struct Pcap {
    link: LinkType,
    big: bool,
    /// The format of Alexey Kuznetsov's patched libpcap: 8 more bytes in each record header.
    modified: bool,
    /// Nanoseconds in the smaller half of a time stamp.
    unit_ns: u64,
}

#[derive(Debug, Default)]
struct PcapNg {
    big: bool,
    interfaces: Vec<Interface>,
    /// Simple packets carry no time: they get the one of the packet before.
    last_ns: u64,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    number: u16,
    link: Option<LinkType>,
    snap: u32,
    clock: Clock,
}

/// How an interface counts time: `units * mul / div` nanoseconds plus an offset.
#[derive(Clone, Copy, Debug)]
struct Clock {
    mul: u64,
    div: u128,
    offset_secs: i64,
}

impl Clock {
    /// `if_tsresol`: a power of ten, or of two with the highest bit set.
    fn new(resolution: u8, offset_secs: i64) -> Self {
        let exponent = u32::from(resolution & 0x7f);
        let (mul, div) = if resolution & 0x80 != 0 {
            (1_000_000_000, 1 << exponent)
        } else if exponent <= 9 {
            (10_u64.pow(9 - exponent), 1)
        } else {
            // Finer than 10^-38 s: every time stamp of 64 bits is 0 ns.
            (1, 10_u128.checked_pow(exponent - 9).unwrap_or(u128::MAX))
        };
        Self { mul, div, offset_secs }
    }

    /// Nanoseconds since 1970, at the ends of the range where it does not fit.
    #[inline]
    fn nanoseconds(&self, units: u64) -> u64 {
        if self.div == 1 && self.offset_secs == 0 {
            return units.saturating_mul(self.mul);
        }
        let since = (u128::from(units) * u128::from(self.mul) / self.div) as i128;
        let sum = since + i128::from(self.offset_secs) * 1_000_000_000;
        u64::try_from(sum.max(0)).unwrap_or(u64::MAX)
    }
}

/// Why indexing a chunk stopped.
enum Stop {
    /// A record needs that many bytes from its start on, as far as is known.
    Need(usize),
    /// A block of no interest is longer than the chunk: that many bytes are to be skipped.
    Skip(u64),
    Error(CaptureError),
}

/// Reads one capture file from its beginning to its end.
///
/// pcap and pcapng, in both byte orders, with microsecond, nanosecond and any pcapng time stamps,
/// plain, gzip or zstd. Holds a few MiB whatever the size of the file, as long as frames are dropped.
pub struct CaptureReader {
    source: Source,
    ring: Ring,
    chunk: Arc<Chunk>,
    /// What is not indexed yet: from `at` to `end`, and `offset` is the place of `at` in the file.
    at: usize,
    end: usize,
    offset: u64,
    need: usize,
    skip: u64,
    eof: bool,
    read_error: Option<io::Error>,
    records: Vec<Record>,
    next: usize,
    format: Format,
    to_ethernet: bool,
    converted: u64,
    any: bool,
    done: bool,
    error: Option<CaptureError>,
    warnings: Vec<Warning>,
}

impl fmt::Debug for CaptureReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaptureReader")
            .field("file", &self.source.file)
            .field("format", &self.format)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

impl CaptureReader {
    /// Opens a capture and reads its header.
    ///
    /// # Errors
    /// Where the file cannot be opened, is empty, or is no capture that can be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CaptureError> {
        Self::open_sized(path.as_ref(), CHUNK_BYTES, &Progress::default())
    }

    pub(crate) fn open_sized(
        path: &Path,
        chunk_bytes: usize,
        progress: &Progress,
    ) -> Result<Self, CaptureError> {
        let source = Source::open(path, progress)?;
        let mut ring = Ring::new(chunk_bytes);
        let mut reader = Self {
            source,
            chunk: ring.take(0),
            ring,
            at: HEADROOM,
            end: HEADROOM,
            offset: 0,
            need: 0,
            skip: 0,
            eof: false,
            read_error: None,
            records: Vec::with_capacity(chunk_bytes / 256),
            next: 0,
            format: Format::PcapNg(PcapNg::default()),
            to_ethernet: false,
            converted: 0,
            any: false,
            done: false,
            error: None,
            warnings: Vec::new(),
        };
        reader.refill();
        reader.header()?;
        Ok(reader)
    }

    /// The name of the file, as it was given.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.source.file
    }

    /// Size of the file in bytes, compressed where it is compressed; 0 where it is not a regular file.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.source.size
    }

    /// The link type that the header names; `None` for pcapng, where every interface has its own.
    #[must_use]
    pub const fn header_link_type(&self) -> Option<LinkType> {
        match &self.format {
            Format::Pcap(pcap) => Some(pcap.link),
            Format::PcapNg(_) => None,
        }
    }

    /// What a person should know about what was read so far.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The next packet; `None` at the end of the file. [`CaptureReader::warnings`] says whether that
    /// end came too early.
    ///
    /// # Errors
    /// Where the file is damaged. It is reported once, after all packets before the damage.
    pub fn next_packet(&mut self) -> Result<Option<Captured>, CaptureError> {
        if !self.fill()? {
            return Ok(None);
        }
        Ok(self.pop())
    }

    /// From now on all packets are turned into Ethernet.
    pub(crate) const fn convert_to_ethernet(&mut self) {
        self.to_ethernet = true;
    }

    /// Packets that were turned into Ethernet.
    pub(crate) const fn converted(&self) -> u64 {
        self.converted
    }

    pub(crate) const fn compression(&self) -> crate::source::Compression {
        self.source.compression
    }

    pub(crate) const fn regular(&self) -> bool {
        self.source.regular
    }

    pub(crate) fn take_warnings(&mut self) -> Vec<Warning> {
        std::mem::take(&mut self.warnings)
    }

    /// Makes at least one record ready; `false` at the end.
    #[inline]
    pub(crate) fn fill(&mut self) -> Result<bool, CaptureError> {
        if self.next < self.records.len() {
            return Ok(true);
        }
        self.fill_slowly()
    }

    #[cold]
    fn fill_slowly(&mut self) -> Result<bool, CaptureError> {
        self.records.clear();
        self.next = 0;
        loop {
            if let Some(error) = self.error.take() {
                self.done = true;
                return Err(error);
            }
            if self.done {
                return Ok(false);
            }
            if self.need > self.end - self.at {
                self.refill();
            }
            self.index();
            if !self.records.is_empty() {
                self.any = true;
                return Ok(true);
            }
        }
    }

    /// The time of the record that [`CaptureReader::fill`] made ready.
    pub(crate) fn peek_ns(&self) -> Option<u64> {
        self.records.get(self.next).map(|record| record.time_ns)
    }

    /// Takes the record that [`CaptureReader::fill`] made ready.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Captured> {
        let record = *self.records.get(self.next)?;
        self.next += 1;
        Some(Captured {
            frame: HeapFrame::window(Arc::clone(&self.chunk), record.start, record.len),
            time_ns: record.time_ns,
            wire_bytes: record.wire,
            link: record.link,
        })
    }

    /// Hands out up to `limit` ready records in one go.
    #[inline]
    pub(crate) fn pop_many(&mut self, limit: usize, mut take: impl FnMut(HeapFrame, u64, u32)) -> usize {
        let ready = self.records.get(self.next..).unwrap_or_default();
        let n = ready.len().min(limit);
        for record in ready.iter().take(n) {
            let frame = HeapFrame::window(Arc::clone(&self.chunk), record.start, record.len);
            take(frame, record.time_ns, record.wire);
        }
        self.next += n;
        n
    }

    /// The link type of all packets of the file; Ethernet where they differ. Reads until it knows.
    pub(crate) fn scan_link_type(mut self) -> Result<LinkType, CaptureError> {
        if let Some(link) = self.header_link_type() {
            return Ok(link);
        }
        let mut found = None;
        loop {
            match self.fill() {
                Ok(true) => {}
                Err(unknown @ CaptureError::LinkTypeUnknown { .. }) => return Err(unknown),
                // The end; or damage, which whoever reads the packets will meet again and report.
                Ok(false) | Err(_) => break,
            }
            for record in &self.records {
                if record.link == LinkType::Ethernet || found.is_some_and(|link| link != record.link) {
                    return Ok(LinkType::Ethernet);
                }
                found = Some(record.link);
            }
            self.next = self.records.len();
        }
        let declared = match &self.format {
            Format::Pcap(pcap) => Some(pcap.link),
            Format::PcapNg(ng) => ng.interfaces.first().and_then(|interface| interface.link),
        };
        Ok(found.or(declared).unwrap_or_default())
    }

    /// Moves what is left of the chunk to a new one and fills that from the file.
    fn refill(&mut self) {
        if self.skip > 0 {
            match io::copy(&mut (&mut self.source.bytes).take(self.skip), &mut io::sink()) {
                Ok(n) => {
                    self.offset += n;
                    self.skip -= n;
                    self.eof = self.skip > 0;
                }
                Err(why) => {
                    self.eof = true;
                    self.read_error = Some(why);
                }
            }
        }
        let mut fresh = self.ring.take(HEADROOM + self.need);
        let left = self.chunk.bytes.get(self.at..self.end).unwrap_or_default();
        let mut end = HEADROOM;
        if let Some(chunk) = Arc::get_mut(&mut fresh) {
            if let Some(to) = chunk.bytes.get_mut(HEADROOM..HEADROOM + left.len()) {
                to.copy_from_slice(left);
                end += left.len();
            }
            while !self.eof {
                let Some(room) = chunk.bytes.get_mut(end..).filter(|room| !room.is_empty()) else { break };
                match self.source.bytes.read(room) {
                    Ok(0) => self.eof = true,
                    Ok(n) => end += n,
                    Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                    Err(why) => {
                        self.eof = true;
                        self.read_error = Some(why);
                    }
                }
            }
        }
        self.at = HEADROOM;
        self.end = end;
        self.ring.put(std::mem::replace(&mut self.chunk, fresh));
    }

    /// The error for a failed read, at the place where the readable bytes end.
    fn failed_read(&self, why: io::Error, offset: u64) -> CaptureError {
        let file = Arc::clone(&self.source.file);
        match self.source.compression {
            crate::source::Compression::None => CaptureError::Read { file, offset, why },
            compression => CaptureError::Compression { file, offset, test: compression.program(), why },
        }
    }

    fn header(&mut self) -> Result<(), CaptureError> {
        let file = Arc::clone(&self.source.file);
        let bytes = self.chunk.bytes.get(self.at..self.end).unwrap_or_default();
        let have = bytes.len() as u64;
        if bytes.len() < 24 {
            if let Some(why) = self.read_error.take() {
                return Err(self.failed_read(why, have));
            }
        }
        let Some(magic) = bytes.first_chunk::<4>() else {
            return Err(if bytes.is_empty() {
                CaptureError::Empty { file }
            } else {
                CaptureError::NotACapture { file, begins: hexadecimal(bytes) }
            });
        };
        if u32::from_le_bytes(*magic) == SECTION_HEADER {
            // Blocks of a section header are 28 bytes at least; indexing looks at the rest.
            if bytes.len() < 28 {
                return Err(CaptureError::CutHeader { file, offset: have });
            }
            return Ok(());
        }
        match pcap_parser::parse_pcap_header(bytes) {
            Ok((_, header)) => {
                let modified = header.is_modified_format();
                // The upper bits say how long a frame check sequence is.
                let number = header.network.0 as u32 & 0x03ff_ffff;
                let Some(link) = LinkType::from_number(number) else {
                    return Err(CaptureError::LinkTypeUnknown { file, number, offset: 20 });
                };
                let unit_ns = if header.is_nanosecond_precision() { 1 } else { 1_000 };
                self.format = Format::Pcap(Pcap { link, big: header.is_bigendian(), modified, unit_ns });
                self.at += header.size();
                self.offset += header.size() as u64;
                Ok(())
            }
            Err(pcap_parser::nom::Err::Incomplete(_)) => Err(CaptureError::CutHeader { file, offset: have }),
            Err(_) => Err(CaptureError::NotACapture { file, begins: hexadecimal(bytes) }),
        }
    }

    /// Finds all records that are wholly in the chunk.
    fn index(&mut self) {
        let Some(chunk) = Arc::get_mut(&mut self.chunk) else {
            debug_assert!(false, "frames of this chunk were handed out before it was indexed");
            self.done = true;
            return;
        };
        let mut indexer = Indexer {
            chunk: &mut chunk.bytes,
            at: self.at,
            end: self.end,
            zero: self.offset.wrapping_sub(self.at as u64),
            records: &mut self.records,
            to_ethernet: self.to_ethernet,
            converted: &mut self.converted,
            file: &self.source.file,
        };
        let stop = match &mut self.format {
            Format::Pcap(pcap) => indexer.pcap(*pcap),
            Format::PcapNg(ng) => indexer.pcapng(ng),
        };
        let at = indexer.at;
        self.offset += (at - self.at) as u64;
        self.at = at;
        match stop {
            Stop::Error(error) => self.error = Some(error),
            Stop::Need(need) => {
                self.need = need;
                if self.eof {
                    self.finish(need as u64);
                }
            }
            Stop::Skip(bytes) => {
                let here = (self.end - self.at) as u64;
                if self.eof {
                    self.finish(bytes);
                } else {
                    self.offset += here;
                    self.at = self.end;
                    self.skip = bytes - here;
                    self.need = 12;
                }
            }
        }
    }

    /// At the end of the file: says whether it is a good one.
    fn finish(&mut self, wanted: u64) {
        self.done = true;
        let present = (self.end - self.at) as u64;
        let file = Arc::clone(&self.source.file);
        match self.read_error.take() {
            Some(why) if why.kind() == io::ErrorKind::UnexpectedEof => {
                self.warnings.push(Warning::CompressionCut { file, offset: self.offset + present });
            }
            Some(why) => {
                self.done = false;
                self.error = Some(self.failed_read(why, self.offset + present));
            }
            None if self.skip > 0 => {
                // A block that was being skipped ends behind the end of the file.
                self.warnings.push(Warning::Truncated { file, offset: self.offset, present: 0, wanted: 0 });
            }
            None if present > 0 => {
                let wanted = if wanted > present { wanted } else { 0 };
                self.warnings.push(Warning::Truncated { file, offset: self.offset, present, wanted });
            }
            None if !self.any && self.records.is_empty() => self.warnings.push(Warning::NoPackets { file }),
            None => {}
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

struct Indexer<'a> {
    chunk: &'a mut [u8],
    at: usize,
    end: usize,
    /// The place in the file of the chunk's first byte (it may be before the file).
    zero: u64,
    records: &'a mut Vec<Record>,
    to_ethernet: bool,
    converted: &'a mut u64,
    file: &'a Arc<str>,
}

impl Indexer<'_> {
    fn offset(&self) -> u64 {
        self.zero.wrapping_add(self.at as u64)
    }

    #[inline(always)]
    fn push(&mut self, window: Window, time_ns: u64, link: LinkType) {
        let (window, link) = if self.to_ethernet && link != LinkType::Ethernet {
            *self.converted += 1;
            (convert::to_ethernet(self.chunk, window, link), LinkType::Ethernet)
        } else {
            (window, link)
        };
        self.records.push(Record {
            time_ns,
            start: window.start as u32,
            len: window.len as u32,
            wire: window.wire,
            link,
        });
    }

    fn pcap(&mut self, pcap: Pcap) -> Stop {
        match (pcap.modified, pcap.big) {
            (true, _) => self.pcap_records(pcap, 24, pcap_parser::parse_pcap_frame_modified),
            (false, false) => self.pcap_records(pcap, 16, pcap_parser::parse_pcap_frame),
            (false, true) => self.pcap_records(pcap, 16, pcap_parser::parse_pcap_frame_be),
        }
    }

    #[inline(always)]
    fn pcap_records(
        &mut self,
        pcap: Pcap,
        header_bytes: usize,
        parse: impl for<'b> Fn(&'b [u8]) -> IResult<&'b [u8], LegacyPcapBlock<'b>, PcapError<&'b [u8]>>,
    ) -> Stop {
        loop {
            let rest = self.chunk.get(self.at..self.end).unwrap_or_default();
            let Ok((_, record)) = parse(rest) else {
                let length = rest.get(8..12).and_then(|bytes| bytes.first_chunk::<4>());
                let length = length.map_or(0, |bytes| {
                    if pcap.big { u32::from_be_bytes(*bytes) } else { u32::from_le_bytes(*bytes) }
                });
                return match self.too_long(length) {
                    Some(error) => Stop::Error(error),
                    None => Stop::Need(header_bytes + length as usize),
                };
            };
            let length = record.caplen;
            let time_ns = u64::from(record.ts_sec) * 1_000_000_000 + u64::from(record.ts_usec) * pcap.unit_ns;
            let wire = record.origlen.max(length);
            if let Some(error) = self.too_long(length) {
                return Stop::Error(error);
            }
            let start = self.at + header_bytes;
            self.push(Window { start, len: length as usize, wire }, time_ns, pcap.link);
            self.at = start + length as usize;
        }
    }

    #[inline(always)]
    fn too_long(&self, length: u32) -> Option<CaptureError> {
        if length as usize <= SNAPLEN {
            return None;
        }
        Some(CaptureError::RecordTooLong { file: Arc::clone(self.file), offset: self.offset(), length })
    }

    fn pcapng(&mut self, ng: &mut PcapNg) -> Stop {
        loop {
            let rest = self.chunk.get(self.at..self.end).unwrap_or_default();
            let Some((kind, mut length)) = read_u32(rest, 0, ng.big).zip(read_u32(rest, 4, ng.big)) else {
                return Stop::Need(12);
            };
            if kind == SECTION_HEADER {
                let Some(order) = read_u32(rest, 8, false) else { return Stop::Need(12) };
                ng.big = match order {
                    0x1a2b_3c4d => false,
                    0x4d3c_2b1a => true,
                    _ => return self.damaged("its byte-order magic is neither of the two there are"),
                };
                length = read_u32(rest, 4, ng.big).unwrap_or(0);
            }
            if length < 12 || length % 4 != 0 {
                return self.damaged("its length is not a multiple of 4 of at least 12");
            }
            let total = length as usize;
            if total > rest.len() {
                let wanted =
                    matches!(kind, SECTION_HEADER | INTERFACE | PACKET | SIMPLE_PACKET | ENHANCED_PACKET);
                return if total <= BLOCK_MAX {
                    Stop::Need(total)
                } else if wanted {
                    self.damaged("it is longer than any packet with its options")
                } else {
                    Stop::Skip(total as u64)
                };
            }
            let (body, trailer) =
                rest.get(..total).and_then(|block| block.split_at_checked(total - 4)).unwrap_or_default();
            if read_u32(trailer, 0, ng.big) != Some(length) {
                return self.damaged("its two lengths differ");
            }
            let body = body.get(8..).unwrap_or_default();
            let packet = match kind {
                SECTION_HEADER => {
                    ng.interfaces.clear();
                    None
                }
                INTERFACE => {
                    let Some(interface) = Interface::parse(body, ng.big) else {
                        return self.damaged("an interface description of fewer than 8 bytes");
                    };
                    ng.interfaces.push(interface);
                    None
                }
                ENHANCED_PACKET => Some(NgPacket::enhanced(body, ng.big)),
                PACKET => Some(NgPacket::obsolete(body, ng.big)),
                SIMPLE_PACKET => Some(NgPacket::simple(body, ng)),
                _ => None,
            };
            if let Some(packet) = packet {
                let Some(packet) = packet else {
                    return self.damaged("a packet block without its fixed fields");
                };
                let Some(interface) = ng.interfaces.get(packet.interface as usize).copied() else {
                    return self.damaged("a packet of an interface that was not described");
                };
                let Some(link) = interface.link else {
                    return Stop::Error(CaptureError::LinkTypeUnknown {
                        file: Arc::clone(self.file),
                        number: interface.number.into(),
                        offset: self.offset(),
                    });
                };
                if let Some(error) = self.too_long(packet.captured) {
                    return Stop::Error(error);
                }
                let len = packet.captured as usize;
                if len > body.len() - packet.fixed {
                    return self.damaged("its packet is longer than the block");
                }
                let time_ns = packet.units.map_or(ng.last_ns, |units| interface.clock.nanoseconds(units));
                ng.last_ns = time_ns;
                let start = self.at + 8 + packet.fixed;
                let wire = packet.wire.max(packet.captured);
                self.push(Window { start, len, wire }, time_ns, link);
            }
            self.at += total;
        }
    }

    #[cold]
    fn damaged(&self, what: &'static str) -> Stop {
        Stop::Error(CaptureError::Block { file: Arc::clone(self.file), offset: self.offset(), what })
    }
}

/// A packet block before its bytes are looked at.
struct NgPacket {
    interface: u32,
    units: Option<u64>,
    captured: u32,
    wire: u32,
    /// Bytes of the block's body before the packet.
    fixed: usize,
}

impl NgPacket {
    /// Interface, time (high, low), captured length, length.
    fn enhanced(body: &[u8], big: bool) -> Option<Self> {
        Some(Self {
            interface: read_u32(body, 0, big)?,
            units: Some(u64::from(read_u32(body, 4, big)?) << 32 | u64::from(read_u32(body, 8, big)?)),
            captured: read_u32(body, 12, big)?,
            wire: read_u32(body, 16, big)?,
            fixed: 20,
        })
    }

    /// The obsolete block: as the enhanced one, but interface and drop count are 16 bits each.
    fn obsolete(body: &[u8], big: bool) -> Option<Self> {
        Some(Self { interface: read_u16(body, 0, big)?.into(), ..Self::enhanced(body, big)? })
    }

    /// Only the length; the packet is of the first interface and cut at its snap length.
    fn simple(body: &[u8], ng: &PcapNg) -> Option<Self> {
        let wire = read_u32(body, 0, ng.big)?;
        let snap = ng.interfaces.first().map_or(0, |interface| interface.snap);
        let captured = if snap == 0 { wire } else { wire.min(snap) };
        Some(Self { interface: 0, units: None, captured, wire, fixed: 4 })
    }
}

impl Interface {
    /// Link type, reserved, snap length, options.
    fn parse(body: &[u8], big: bool) -> Option<Self> {
        let number = read_u16(body, 0, big)?;
        let snap = read_u32(body, 4, big)?;
        let (mut resolution, mut offset) = (6, 0);
        let mut options = body.get(8..).unwrap_or_default();
        // A list that is cut or lies ends it; what was read before counts.
        while let Some((code, len)) = read_u16(options, 0, big).zip(read_u16(options, 2, big)) {
            let Some(value) = options.get(4..4 + usize::from(len)) else { break };
            match (code, value) {
                (0, _) => break,
                (9, [power, ..]) => resolution = *power,
                (14, value) => {
                    if let Some(bytes) = value.first_chunk::<8>() {
                        offset = if big { i64::from_be_bytes(*bytes) } else { i64::from_le_bytes(*bytes) };
                    }
                }
                _ => {}
            }
            options = options.get(4 + usize::from(len).next_multiple_of(4)..).unwrap_or_default();
        }
        let link = LinkType::from_number(number.into());
        Some(Self { number, link, snap, clock: Clock::new(resolution, offset) })
    }
}

#[inline(always)]
fn read_u32(bytes: &[u8], at: usize, big: bool) -> Option<u32> {
    let bytes = *bytes.get(at..)?.first_chunk::<4>()?;
    Some(if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
}

#[inline(always)]
fn read_u16(bytes: &[u8], at: usize, big: bool) -> Option<u16> {
    let bytes = *bytes.get(at..)?.first_chunk::<2>()?;
    Some(if big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
}
