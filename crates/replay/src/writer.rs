//! Nanosecond pcap files.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use batch::Frame;
use types::LinkType;

use crate::{SNAPLEN, WriteError};

const BUFFER_BYTES: usize = 256 << 10;
/// Magic of a pcap with nanosecond time stamps.
const NANOSECONDS: u32 = 0xa1b2_3c4d;

/// Writes one capture file: little-endian pcap with nanosecond time stamps.
///
/// Records are collected and written together; [`CaptureWriter::flush`] writes what there is, and
/// so does dropping, but only `flush` says whether it worked. After an error every later call returns
/// the same error, nothing more is written, and the file is cut back to whole records.
///
/// A pcap counts seconds in 32 bits: times after 7 February 2106 are written as the last nanosecond
/// it can hold, and [`CaptureWriter::late_times`] counts them.
#[derive(Debug)]
pub struct CaptureWriter {
    file: File,
    name: Arc<str>,
    buffer: Vec<u8>,
    /// Bytes of the file that were written without an error: whole records.
    written: u64,
    records: u64,
    buffered_records: u64,
    late_times: u64,
    failed: Option<WriteError>,
}

impl CaptureWriter {
    /// Creates the file, or empties it, and writes its header.
    ///
    /// # Errors
    /// Where that is not possible, with what to do.
    pub fn create(path: impl AsRef<Path>, link: LinkType) -> Result<Self, WriteError> {
        let path = path.as_ref();
        let name: Arc<str> = path.display().to_string().into();
        let file = File::create(path).map_err(|why| WriteError::new(&name, "create", &why))?;
        let mut buffer = Vec::with_capacity(BUFFER_BYTES);
        // Version 2.4; time zone and accuracy are always 0.
        for word in [NANOSECONDS, 0x0004_0002, 0, 0, SNAPLEN as u32, link.number()] {
            buffer.extend_from_slice(&word.to_le_bytes());
        }
        let mut writer = Self {
            file,
            name,
            buffer,
            written: 0,
            records: 0,
            buffered_records: 0,
            late_times: 0,
            failed: None,
        };
        // A full device shows now and not after minutes.
        writer.flush()?;
        Ok(writer)
    }

    /// Appends one packet. Bytes behind [`SNAPLEN`] are cut off.
    ///
    /// # Errors
    /// Where the collected records could not be written. They and this one are lost.
    #[inline]
    pub fn write<F: Frame>(&mut self, time_ns: u64, wire_bytes: u32, frame: &F) -> Result<(), WriteError> {
        let len = frame.len().min(SNAPLEN);
        if self.buffer.len() + 16 + len > BUFFER_BYTES {
            self.flush()?;
        }
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let (seconds, nanoseconds) = self.stamp(time_ns);
        let mut header = [0; 16];
        let words = [seconds, nanoseconds, len as u32, wire_bytes.max(len as u32)];
        for (place, word) in header.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        self.buffer.extend_from_slice(&header);
        match frame.head().get(..len) {
            Some(bytes) => self.buffer.extend_from_slice(bytes),
            None => self.gather(frame, len),
        }
        self.records += 1;
        self.buffered_records += 1;
        Ok(())
    }

    /// Copies a frame of several segments.
    #[cold]
    fn gather<F: Frame>(&mut self, frame: &F, len: usize) {
        let start = self.buffer.len();
        self.buffer.resize(start + len, 0);
        if let Some(room) = self.buffer.get_mut(start..) {
            frame.copy_to(0, room);
        }
    }

    #[inline(always)]
    fn stamp(&mut self, time_ns: u64) -> (u32, u32) {
        match u32::try_from(time_ns / 1_000_000_000) {
            Ok(seconds) => (seconds, (time_ns % 1_000_000_000) as u32),
            Err(_) => {
                self.late_times += 1;
                (u32::MAX, 999_999_999)
            }
        }
    }

    /// Writes what was collected.
    ///
    /// # Errors
    /// Where that is not possible, with what to do.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        match self.file.write_all(&self.buffer) {
            Ok(()) => {
                self.written += self.buffer.len() as u64;
                self.buffer.clear();
                self.buffered_records = 0;
                Ok(())
            }
            Err(why) => {
                let error = WriteError::new(&self.name, "write", &why);
                // Best effort, for the readers of the file: no half record at its end.
                let _ = self.file.set_len(self.written);
                self.records -= self.buffered_records;
                self.buffered_records = 0;
                self.buffer = Vec::new();
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    /// The name of the file, as it was given.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.name
    }

    /// Records in the file, or collected for it. After an error: only those that are in the file.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// Records that are collected and not in the file yet.
    #[must_use]
    pub const fn buffered_records(&self) -> u64 {
        self.buffered_records
    }

    /// Records whose time is later than a pcap can say.
    #[must_use]
    pub const fn late_times(&self) -> u64 {
        self.late_times
    }

    /// The error that ended the writing.
    #[must_use]
    pub const fn error(&self) -> Option<&WriteError> {
        self.failed.as_ref()
    }
}

impl Drop for CaptureWriter {
    fn drop(&mut self) {
        let _ = self.flush();
    }
}
