//! Captures as a receive queue.

use batch::{BATCH, Batch, RxQueue};
use types::LinkType;

use crate::{CaptureError, HeapFrame, Merge, Progress, Warning};

/// A receive queue that comes to an end.
pub trait Finite {
    /// Whether everything was received.
    fn finished(&self) -> bool;
}

/// A receive queue whose packets come from capture files.
#[derive(Debug)]
pub struct CaptureRx {
    merge: Merge,
    burst: usize,
    finished: bool,
}

impl CaptureRx {
    /// Receives what `merge` hands out.
    #[must_use]
    pub const fn new(merge: Merge) -> Self {
        Self { merge, burst: BATCH, finished: false }
    }

    /// Receives at most `burst` packets at a time.
    #[must_use]
    pub fn with_burst(mut self, burst: usize) -> Self {
        self.burst = burst.clamp(1, BATCH);
        self
    }

    /// The link type of every packet.
    #[must_use]
    pub const fn link_type(&self) -> LinkType {
        self.merge.link_type()
    }

    /// Size of all input files in bytes.
    #[must_use]
    pub const fn total_bytes(&self) -> u64 {
        self.merge.total_bytes()
    }

    /// How far the input was read, for another thread to show.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.merge.progress()
    }

    /// Packets that were of another link type and got an Ethernet header: complete once this has
    /// finished.
    #[must_use]
    pub fn converted(&self) -> u64 {
        self.merge.converted()
    }

    /// Files that could not be read to their end.
    #[must_use]
    pub fn errors(&self) -> &[CaptureError] {
        self.merge.errors()
    }

    /// What else a person should know: complete once this has finished.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        self.merge.warnings()
    }
}

impl Finite for CaptureRx {
    fn finished(&self) -> bool {
        self.finished
    }
}

impl RxQueue for CaptureRx {
    type Frame = HeapFrame;

    #[inline]
    fn receive(&mut self, batch: &mut Batch<HeapFrame>) -> usize {
        let limit = batch.room().min(self.burst);
        let n = self.merge.next_packets(limit, |frame, time_ns, wire_bytes| {
            let pushed = batch.push_received(frame, time_ns, wire_bytes);
            debug_assert!(pushed.is_ok(), "no more than there is room for");
        });
        self.finished = self.finished || n < limit;
        n
    }
}
