//! The bytes of a capture file, decompressed where need be.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::CaptureError;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    fn of(magic: &[u8]) -> Self {
        match magic {
            // RFC 1952 2.3.1: ID1, ID2, and the only method there is.
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            // RFC 8878 3.1.1 and 3.1.2: a frame, or a skippable frame in front of one.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    /// The program that tests and decompresses such files.
    pub(crate) const fn program(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            _ => "gzip",
        }
    }
}

/// How much of the input has been read: for a progress bar on another thread.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    consumed: Arc<AtomicU64>,
}

impl Progress {
    /// Bytes read from the files so far, compressed where they are compressed.
    #[must_use]
    pub fn consumed(&self) -> u64 {
        self.consumed.load(Ordering::Relaxed)
    }
}

/// A file that counts what is read from it.
struct Counted {
    file: File,
    progress: Progress,
}

impl Read for Counted {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(out)?;
        // Relaxed: a number to show.
        self.progress.consumed.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

pub(crate) struct Source {
    pub(crate) file: Arc<str>,
    pub(crate) bytes: Box<dyn Read + Send>,
    pub(crate) compression: Compression,
    /// Size of the file; 0 where it is not a regular one.
    pub(crate) size: u64,
    /// Whether it can be opened and read a second time.
    pub(crate) regular: bool,
}

impl Source {
    pub(crate) fn open(path: &Path, progress: &Progress) -> Result<Self, CaptureError> {
        let file: Arc<str> = path.display().to_string().into();
        let failed = |why| CaptureError::Open { file: Arc::clone(&file), why };
        let handle = File::open(path).map_err(failed)?;
        let meta = handle.metadata().map_err(failed)?;
        if meta.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let mut counted = Counted { file: handle, progress: progress.clone() };
        let mut magic = Vec::with_capacity(4);
        (&mut counted).take(4).read_to_end(&mut magic).map_err(|why| CaptureError::Read {
            file: Arc::clone(&file),
            offset: 0,
            why,
        })?;
        let compression = Compression::of(&magic);
        let whole = Cursor::new(magic).chain(counted);
        let bytes: Box<dyn Read + Send> = match compression {
            Compression::None => Box::new(whole),
            Compression::Gzip => {
                Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(128 << 10, whole)))
            }
            // The decoder keeps the window the file asks for: 8 MiB up to `zstd -19`, and 128 MiB,
            // the most it accepts, for `--long` and `--ultra` only.
            Compression::Zstd => {
                Box::new(zstd::stream::read::Decoder::new(whole).map_err(|why| CaptureError::Read {
                    file: Arc::clone(&file),
                    offset: 0,
                    why,
                })?)
            }
        };
        let regular = meta.is_file();
        Ok(Self { file, bytes, compression, size: if regular { meta.len() } else { 0 }, regular })
    }
}
