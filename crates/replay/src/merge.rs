//! Several captures as one, by time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::path::Path;

use types::LinkType;

use crate::reader::{CHUNK_BYTES, CaptureReader, Captured};
use crate::source::{Compression, Progress};
use crate::{CaptureError, HeapFrame, Warning};

/// Captures merged by time: of equal times the earlier file comes first, and packets of one file
/// stay in the order of the file whatever their times are.
///
/// Where the inputs are of different link types all of it becomes Ethernet: the link header gives
/// way to an Ethernet header, cooked captures keep source address and protocol.
///
/// A damaged file ends at its damage; the others go on, and [`Merge::errors`] tells.
#[derive(Debug)]
pub struct Merge {
    readers: Vec<CaptureReader>,
    /// The next time of every reader that is not at its end, and its place in `readers`.
    heads: BinaryHeap<Reverse<(u64, usize)>>,
    started: bool,
    link: LinkType,
    total: u64,
    progress: Progress,
    errors: Vec<CaptureError>,
    warnings: Vec<Warning>,
}

impl Merge {
    /// Opens all captures and finds out their common link type.
    ///
    /// # Errors
    /// The first file that cannot be opened, is empty or is no capture that can be read.
    pub fn open<P: AsRef<Path>>(paths: &[P]) -> Result<Self, CaptureError> {
        Self::new(paths, false)
    }

    /// As [`Merge::open`], but everything becomes Ethernet, even where the inputs agree on something
    /// else: for tunnels that are taken off down to an inner Ethernet frame.
    ///
    /// # Errors
    /// As [`Merge::open`].
    pub fn open_as_ethernet<P: AsRef<Path>>(paths: &[P]) -> Result<Self, CaptureError> {
        Self::new(paths, true)
    }

    fn new<P: AsRef<Path>>(paths: &[P], ethernet: bool) -> Result<Self, CaptureError> {
        // Many files share a fixed amount of memory; a record that needs more gets a larger chunk.
        let chunk_bytes = ((16 << 20) / paths.len().max(1)).clamp(32 << 10, CHUNK_BYTES);
        let progress = Progress::default();
        let mut readers = Vec::with_capacity(paths.len());
        for path in paths {
            readers.push(CaptureReader::open_sized(path.as_ref(), chunk_bytes, &progress)?);
        }
        let link = if ethernet { LinkType::Ethernet } else { common_link_type(paths, &readers)? };
        if link == LinkType::Ethernet {
            readers.iter_mut().for_each(CaptureReader::convert_to_ethernet);
        }
        Ok(Self {
            total: readers.iter().map(CaptureReader::size).sum(),
            heads: BinaryHeap::with_capacity(readers.len()),
            readers,
            started: false,
            link,
            progress,
            errors: Vec::new(),
            warnings: Vec::new(),
        })
    }

    /// The link type of every packet that comes out.
    #[must_use]
    pub const fn link_type(&self) -> LinkType {
        self.link
    }

    /// Size of all input files in bytes, as they are on disk.
    #[must_use]
    pub const fn total_bytes(&self) -> u64 {
        self.total
    }

    /// How far the input was read, for another thread to show.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Packets that were of another link type and got an Ethernet header: complete only at the end.
    #[must_use]
    pub fn converted(&self) -> u64 {
        self.readers.iter().map(CaptureReader::converted).sum()
    }

    /// Files that could not be read to their end.
    #[must_use]
    pub fn errors(&self) -> &[CaptureError] {
        &self.errors
    }

    /// What else a person should know: complete only at the end.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The next packet by time; `None` at the end of all files.
    pub fn next_packet(&mut self) -> Option<Captured> {
        if !self.started {
            self.start();
        }
        let mut head = self.heads.peek_mut()?;
        let Reverse((_, at)) = *head;
        let reader = self.readers.get_mut(at)?;
        let packet = reader.pop();
        match reader.fill() {
            Ok(true) => *head = Reverse((reader.peek_ns().unwrap_or(u64::MAX), at)),
            ended => {
                PeekMut::pop(head);
                self.warnings.extend(reader.take_warnings());
                self.errors.extend(ended.err());
            }
        }
        packet
    }

    /// Hands out up to `limit` packets; returns how many. None means the end.
    pub(crate) fn next_packets(&mut self, limit: usize, mut take: impl FnMut(HeapFrame, u64, u32)) -> usize {
        let mut n = 0;
        if let [reader] = self.readers.as_mut_slice() {
            // One file needs no merging.
            while n < limit {
                match reader.fill() {
                    Ok(true) => n += reader.pop_many(limit - n, &mut take),
                    ended => {
                        self.warnings.extend(reader.take_warnings());
                        self.errors.extend(ended.err());
                        break;
                    }
                }
            }
            return n;
        }
        while n < limit {
            let Some(packet) = self.next_packet() else { break };
            take(packet.frame, packet.time_ns, packet.wire_bytes);
            n += 1;
        }
        n
    }

    fn start(&mut self) {
        self.started = true;
        for (at, reader) in self.readers.iter_mut().enumerate() {
            match reader.fill() {
                Ok(true) => self.heads.push(Reverse((reader.peek_ns().unwrap_or(u64::MAX), at))),
                ended => {
                    self.warnings.extend(reader.take_warnings());
                    self.errors.extend(ended.err());
                }
            }
        }
    }
}

/// The link type that all packets of all files have, else Ethernet. A pcapng file names its link
/// types where its interfaces are described, which may be anywhere, so it is read in advance, but
/// only as far as the answer is open.
fn common_link_type<P: AsRef<Path>>(
    paths: &[P],
    readers: &[CaptureReader],
) -> Result<LinkType, CaptureError> {
    let mut found = None;
    let mut agree = |link| *found.get_or_insert(link) == link && link != LinkType::Ethernet;
    for reader in readers {
        if !reader.header_link_type().is_none_or(&mut agree) {
            return Ok(LinkType::Ethernet);
        }
    }
    for (path, reader) in paths.iter().zip(readers) {
        if reader.header_link_type().is_some() {
            continue;
        }
        // A pipe cannot be read twice.
        if !reader.regular() || !agree(link_type_of(path)?) {
            return Ok(LinkType::Ethernet);
        }
    }
    Ok(found.unwrap_or_default())
}

/// The link type of a capture; Ethernet where its packets differ, because that is what they are
/// converted to.
///
/// # Errors
/// Where it cannot be opened, is empty or is no capture that can be read.
pub fn link_type_of(path: impl AsRef<Path>) -> Result<LinkType, CaptureError> {
    CaptureReader::open(path)?.scan_link_type()
}

/// Whether an input that knows nothing but plain Ethernet captures, such as DPDK's `net_pcap`, can
/// read this file.
///
/// # Errors
/// Where it cannot, with the reason.
pub fn check_ethernet(path: impl AsRef<Path>) -> Result<(), CaptureError> {
    let reader = CaptureReader::open(path)?;
    let file = reader.file().into();
    match reader.compression() {
        Compression::None => {}
        compression => return Err(CaptureError::Compressed { file, test: compression.program() }),
    }
    match reader.scan_link_type()? {
        LinkType::Ethernet => Ok(()),
        found => Err(CaptureError::NotEthernet { file, found }),
    }
}
