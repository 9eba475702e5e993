//! What can be wrong with a capture, in words an operator can act on.

use std::io;
use std::sync::Arc;

use thiserror::Error;
use types::LinkType;

/// A capture that cannot be read, or cannot be read any further. What came before `offset` was
/// handed out.
///
/// Offsets count from the start of the file; in a compressed file, from the start of what it holds.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// The file cannot be opened.
    #[error("{file}: cannot open: {why}; {}", open_remedy(.why))]
    Open {
        /// The file.
        file: Arc<str>,
        /// What the system says.
        why: io::Error,
    },
    /// The file cannot be read.
    #[error("{file}: cannot read at byte {offset}: {why}")]
    Read {
        /// The file.
        file: Arc<str>,
        /// Where.
        offset: u64,
        /// What the system says.
        why: io::Error,
    },
    /// A compressed file whose content does not decompress.
    #[error(
        "{file}: compressed data is damaged at byte {offset} of its content: {why}; test it with `{test} -t`"
    )]
    Compression {
        /// The file.
        file: Arc<str>,
        /// Where.
        offset: u64,
        /// The program that can test the file.
        test: &'static str,
        /// What the decompressor says.
        why: io::Error,
    },
    /// The file has no bytes.
    #[error(
        "{file}: the file is empty, without even a capture header; was the capture program stopped before its first write?"
    )]
    Empty {
        /// The file.
        file: Arc<str>,
    },
    /// The file is no capture of a kind that can be read.
    #[error(
        "{file}: not a pcap or pcapng capture (begins with {begins}); `file` may tell what it is, `editcap -F pcapng` converts other capture formats"
    )]
    NotACapture {
        /// The file.
        file: Arc<str>,
        /// Its first bytes in hexadecimal.
        begins: String,
    },
    /// The file ends inside its header.
    #[error("{file}: cut at byte {offset}, inside the capture header; there are no packets in it")]
    CutHeader {
        /// The file.
        file: Arc<str>,
        /// Its length.
        offset: u64,
    },
    /// A link type that is not one of [`LinkType`].
    #[error(
        "{file}: link type {number} at byte {offset} cannot be read; Ethernet (1), raw IP (101, 228, 229), NULL/LOOP (0, 108) and Linux cooked (113, 276) can"
    )]
    LinkTypeUnknown {
        /// The file.
        file: Arc<str>,
        /// The number in the file.
        number: u32,
        /// Where the packet or the header that needs it begins.
        offset: u64,
    },
    /// A capture that is not Ethernet where only Ethernet can be used.
    #[error(
        "{file}: link type is {found:?}, but this input can only carry Ethernet; use `snipe replay`, which reads it"
    )]
    NotEthernet {
        /// The file.
        file: Arc<str>,
        /// What it is.
        found: LinkType,
    },
    /// A compressed capture where only a plain one can be used.
    #[error(
        "{file}: compressed, but this input reads plain captures only; decompress it first (`{test} -d`)"
    )]
    Compressed {
        /// The file.
        file: Arc<str>,
        /// The program that decompresses it.
        test: &'static str,
    },
    /// A record that claims to be longer than any packet.
    #[error("{file}: record at byte {offset} claims {length} captured bytes, more than {max}; the file is damaged from there on, `editcap` may save what is behind it", max = crate::SNAPLEN)]
    RecordTooLong {
        /// The file.
        file: Arc<str>,
        /// Where the record begins.
        offset: u64,
        /// The length it claims.
        length: u32,
    },
    /// A pcapng block that contradicts itself.
    #[error("{file}: pcapng block at byte {offset} is damaged: {what}; what is behind it cannot be found")]
    Block {
        /// The file.
        file: Arc<str>,
        /// Where the block begins.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
}

fn open_remedy(why: &io::Error) -> &'static str {
    match why.kind() {
        io::ErrorKind::NotFound => "check the path and the working directory",
        io::ErrorKind::PermissionDenied => "check the permissions of the file and its directories",
        io::ErrorKind::IsADirectory => "name the captures in it",
        _ => "check that it is a readable file",
    }
}

/// Something about a capture that a person should know and that did not stop the reading.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// The last record is not complete. All packets before it were read.
    Truncated {
        /// The file.
        file: Arc<str>,
        /// Where the incomplete record begins.
        offset: u64,
        /// Bytes of it that are there.
        present: u64,
        /// Bytes it should have; 0 where not even its length is there.
        wanted: u64,
    },
    /// A compressed file ends too early. All packets before its end were read.
    CompressionCut {
        /// The file.
        file: Arc<str>,
        /// Bytes of content that could be read.
        offset: u64,
    },
    /// There is not one packet in the file.
    NoPackets {
        /// The file.
        file: Arc<str>,
    },
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Truncated { file, offset, present, wanted: 0 } => write!(
                f,
                "{file}: the last record, at byte {offset}, is cut after {present} bytes; all packets before it were read"
            ),
            Self::Truncated { file, offset, present, wanted } => write!(
                f,
                "{file}: the last record, at byte {offset}, is cut: {present} of {wanted} bytes are there; all packets before it were read"
            ),
            Self::CompressionCut { file, offset } => write!(
                f,
                "{file}: the compressed file ends too early, after {offset} bytes of content; all packets before that were read"
            ),
            Self::NoPackets { file } => write!(f, "{file}: there is no packet in it"),
        }
    }
}

/// A capture file that cannot be written. It stays the same for every later write.
#[derive(Clone, Debug, Error)]
#[error("{file}: cannot {doing}: {what}; {remedy}")]
pub struct WriteError {
    /// The file.
    pub file: Arc<str>,
    /// What was tried.
    pub doing: &'static str,
    /// What the system says.
    pub what: String,
    /// The kind of it.
    pub kind: io::ErrorKind,
    /// What to do.
    pub remedy: &'static str,
}

impl WriteError {
    pub(crate) fn new(file: &Arc<str>, doing: &'static str, why: &io::Error) -> Self {
        let (what, remedy) = match why.kind() {
            io::ErrorKind::StorageFull => (
                "no space left on device".to_owned(),
                "free some space or choose another directory; packets written before this are whole",
            ),
            io::ErrorKind::QuotaExceeded => {
                ("disk quota exceeded".to_owned(), "free some space or choose another directory")
            }
            io::ErrorKind::FileTooLarge => {
                (why.to_string(), "the file system or `ulimit -f` allows no larger file")
            }
            io::ErrorKind::PermissionDenied => {
                (why.to_string(), "check the permissions of the directory and the file")
            }
            io::ErrorKind::NotFound => (why.to_string(), "create the directory first"),
            io::ErrorKind::ReadOnlyFilesystem => (why.to_string(), "choose another directory"),
            _ => (why.to_string(), "check the device"),
        };
        Self { file: Arc::clone(file), doing, what, kind: why.kind(), remedy }
    }
}
