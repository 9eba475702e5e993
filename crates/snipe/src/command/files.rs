//! Capture files as probes.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use batch::{Counter, Frame, Meta, Sink};
#[cfg(feature = "dpdk")]
use pipeline::Accounts;
use replay::{CaptureWriter, WriteError};
use types::{DropReason, LinkType, ProbeId, TrafficClass};

use crate::failure::{self, Failure};

/// A capture file that a probe's packets are written to. Once it cannot be written, its packets are
/// lost and counted, and the others go on.
#[derive(Debug)]
pub(crate) struct FileProbe {
    probe: ProbeId,
    writer: CaptureWriter,
    /// Packets in the writer's buffer.
    pending: Tally,
    lost: Arc<Lost>,
}

/// Packets that were taken for a file and then could not be written.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    packets: Counter,
    bytes: Counter,
    control_packets: Counter,
    user_packets: Counter,
    /// Of these, packets that are counted as lost altogether. Of several copies, that of the first
    /// probe stands for the packet.
    owned: Counter,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    packets: u64,
    bytes: u64,
    control_packets: u64,
    user_packets: u64,
    owned: u64,
}

/// Device and number of a file: the same for all its names.
type FileId = (u64, u64);

fn file_id(path: &Path) -> Option<FileId> {
    let found = fs::metadata(path).ok()?;
    // A device such as /dev/full may be named as often as one likes.
    found.is_file().then(|| (found.dev(), found.ino()))
}

/// Files that are in use and must not be written, under whatever name.
#[derive(Debug, Default)]
pub(crate) struct InUse(Vec<FileId>);

impl InUse {
    /// A file is read, or written by somebody else.
    pub(crate) fn add(&mut self, path: &Path) {
        self.0.extend(file_id(path));
    }

    /// Whether this is such a file.
    pub(crate) fn has(&self, path: &Path) -> bool {
        file_id(path).is_some_and(|id| self.0.contains(&id))
    }

    /// Creates the file of a probe, which is in use from then on.
    pub(crate) fn create(
        &mut self,
        probe: ProbeId,
        path: &Path,
        link: LinkType,
    ) -> Result<FileProbe, Failure> {
        if self.has(path) {
            return Err(Failure::input(format_args!(
                "{}: is read, or another probe's file; choose another name",
                path.display()
            )));
        }
        let file =
            FileProbe::create(probe, path, link).map_err(|error| Failure::work(failure::chain(&error)))?;
        self.add(path);
        Ok(file)
    }
}

impl FileProbe {
    /// Creates the file, or empties it.
    fn create(probe: ProbeId, path: &Path, link: LinkType) -> Result<Self, WriteError> {
        let writer = CaptureWriter::create(path, link)?;
        Ok(Self { probe, writer, pending: Tally::default(), lost: Arc::default() })
    }

    /// What it loses, for the accounting of a run that goes on meanwhile.
    #[cfg(feature = "dpdk")]
    pub(crate) fn lost(&self) -> Arc<Lost> {
        Arc::clone(&self.lost)
    }

    /// Why it cannot be written any more.
    pub(crate) const fn error(&self) -> Option<&WriteError> {
        self.writer.error()
    }

    #[cold]
    fn fail(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        self.lost.packets.add(pending.packets);
        self.lost.bytes.add(pending.bytes);
        self.lost.control_packets.add(pending.control_packets);
        self.lost.user_packets.add(pending.user_packets);
        self.lost.owned.add(pending.owned);
    }
}

impl Sink for FileProbe {
    #[inline]
    fn write(&mut self, meta: &Meta, frame: &impl Frame) -> Result<(), DropReason> {
        if self.writer.write(meta.time_ns, meta.wire_bytes, frame).is_err() {
            self.fail();
            return Err(DropReason::ProbeWrite);
        }
        if self.writer.buffered_records() == 1 {
            // What was pending is in the file.
            self.pending = Tally::default();
        }
        let pending = &mut self.pending;
        pending.packets += 1;
        pending.bytes += frame.len() as u64;
        pending.control_packets += u64::from(meta.class.is_control());
        pending.user_packets += u64::from(meta.class == TrafficClass::GtpU);
        pending.owned += u64::from(meta.probes.0.trailing_zeros() == u32::from(self.probe.0));
        Ok(())
    }

    fn flush(&mut self) {
        match self.writer.flush() {
            Ok(()) => self.pending = Tally::default(),
            Err(_) => self.fail(),
        }
    }
}

#[cfg(feature = "dpdk")]
impl Lost {
    /// Moves what was lost from what was sent to what was dropped.
    pub(crate) fn correct(&self, probe: ProbeId, accounts: &mut Accounts) {
        let packets = self.packets.get();
        if packets == 0 {
            return;
        }
        if let Some(account) = accounts.probes.get_mut(usize::from(probe.0)) {
            account.packets -= packets.min(account.packets);
            account.bytes -= self.bytes.get().min(account.bytes);
            account.control_packets -= self.control_packets.get().min(account.control_packets);
            account.user_packets -= self.user_packets.get().min(account.user_packets);
            add(&mut account.dropped, packets);
        }
        let owned = self.owned.get().min(accounts.delivered);
        accounts.delivered -= owned;
        add(&mut accounts.dropped, owned);
    }
}

#[cfg(feature = "dpdk")]
fn add(reasons: &mut Vec<(DropReason, u64)>, count: u64) {
    if count == 0 {
        return;
    }
    match reasons.iter_mut().find(|(reason, _)| *reason == DropReason::ProbeWrite) {
        Some((_, sum)) => *sum += count,
        None => reasons.push((DropReason::ProbeWrite, count)),
    }
}
