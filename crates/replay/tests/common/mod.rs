//! Captures made by hand.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

use replay::{CaptureError, CaptureReader, Captured, Warning};

/// A packet of a capture made by hand: seconds, fraction, length on the wire, bytes.
pub(crate) type Packet<'a> = (u32, u32, u32, &'a [u8]);

/// What was read of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) time_ns: u64,
    pub(crate) wire: u32,
    pub(crate) bytes: Vec<u8>,
}

impl From<&Captured> for Read {
    fn from(packet: &Captured) -> Self {
        Self { time_ns: packet.time_ns, wire: packet.wire_bytes, bytes: packet.frame.contiguous().to_vec() }
    }
}

pub(crate) fn read(time_ns: u64, wire: u32, bytes: &[u8]) -> Read {
    Read { time_ns, wire, bytes: bytes.to_vec() }
}

/// Numbers in one byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) big: bool,
}

impl Order {
    pub(crate) fn u16(self, n: u16) -> [u8; 2] {
        if self.big { n.to_be_bytes() } else { n.to_le_bytes() }
    }

    pub(crate) fn u32(self, n: u32) -> [u8; 4] {
        if self.big { n.to_be_bytes() } else { n.to_le_bytes() }
    }

    pub(crate) fn pcap_header(self, magic: u32, link: u32) -> Vec<u8> {
        let mut out = self.u32(magic).to_vec();
        out.extend(self.u16(2));
        out.extend(self.u16(4));
        for word in [0, 0, 262_144, link] {
            out.extend(self.u32(word));
        }
        out
    }

    pub(crate) fn pcap(self, magic: u32, link: u32, packets: &[Packet<'_>]) -> Vec<u8> {
        let mut out = self.pcap_header(magic, link);
        for (seconds, fraction, wire, bytes) in packets {
            for word in [*seconds, *fraction, bytes.len() as u32, *wire] {
                out.extend(self.u32(word));
            }
            if magic == 0xa1b2_cd34 {
                out.extend([0; 8]);
            }
            out.extend(*bytes);
        }
        out
    }

    pub(crate) fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let mut body = body.to_vec();
        body.resize(body.len().next_multiple_of(4), 0);
        let length = self.u32(body.len() as u32 + 12);
        [&self.u32(kind)[..], &length, &body, &length].concat()
    }

    pub(crate) fn section(self) -> Vec<u8> {
        let mut body = self.u32(0x1a2b_3c4d).to_vec();
        body.extend(self.u16(1));
        body.extend(self.u16(0));
        body.extend([0xff; 8]);
        self.block(0x0a0d_0d0a, &body)
    }

    pub(crate) fn interface(self, link: u16, snap: u32, options: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = [&self.u16(link)[..], &[0, 0], &self.u32(snap)].concat();
        for (code, value) in options {
            body.extend(self.u16(*code));
            body.extend(self.u16(value.len() as u16));
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        body.extend([0; 4]);
        self.block(1, &body)
    }

    pub(crate) fn enhanced(self, interface: u32, units: u64, wire: u32, bytes: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        for word in [interface, (units >> 32) as u32, units as u32, bytes.len() as u32, wire] {
            body.extend(self.u32(word));
        }
        body.extend(bytes);
        body.resize(body.len().next_multiple_of(4), 0);
        // A comment, which nobody reads.
        body.extend([self.u16(1), self.u16(2)].concat());
        body.extend(*b"hi\0\0");
        body.extend([0; 4]);
        self.block(6, &body)
    }
}

pub(crate) const LITTLE: Order = Order { big: false };
pub(crate) const BIG: Order = Order { big: true };
pub(crate) const ORDERS: [Order; 2] = [LITTLE, BIG];
pub(crate) const MICRO: u32 = 0xa1b2_c3d4;
pub(crate) const NANO: u32 = 0xa1b2_3c4d;

/// Everything that can be read of a file: packets, the error at the end if there is one, warnings.
pub(crate) fn read_all(path: &Path) -> (Vec<Read>, Option<CaptureError>, Vec<Warning>) {
    let mut reader = match CaptureReader::open(path) {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Some(error), Vec::new()),
    };
    let mut packets = Vec::new();
    let error = loop {
        match reader.next_packet() {
            Ok(Some(packet)) => packets.push(Read::from(&packet)),
            Ok(None) => break None,
            Err(error) => {
                assert!(matches!(reader.next_packet(), Ok(None)), "an error is reported once");
                break Some(error);
            }
        }
    };
    (packets, error, reader.warnings().to_vec())
}

/// A folder for the files of one test.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// The captures of other people; `None` where there are none on this machine.
pub(crate) fn corpus() -> Option<PathBuf> {
    let folder = std::env::var_os("SNIPE_CORPUS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures"),
        PathBuf::from,
    );
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no captures in {}", folder.display());
    None
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(bytes, 1).unwrap()
}
