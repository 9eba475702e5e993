//! Counters that one core writes and the control thread reads.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use types::{DropReason, Malformed, TrafficClass};

/// A number that one core adds to and others read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only ever called by the core that owns the counter: a load and a store, no
    /// read-modify-write.
    #[inline(always)]
    pub fn add(&self, n: u64) {
        // Relaxed: one writer; readers want a recent value and no order.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// The value some time ago.
    #[inline(always)]
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One counter for each value of an enum.
#[derive(Debug)]
struct Row<const N: usize>([Counter; N]);

impl<const N: usize> Default for Row<N> {
    fn default() -> Self {
        Self([const { Counter(AtomicU64::new(0)) }; N])
    }
}

impl<const N: usize> Row<N> {
    #[inline(always)]
    fn add(&self, index: usize, n: u64) {
        if let Some(cell) = self.0.get(index) {
            cell.add(n);
        }
    }

    fn values(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(Counter::get)
    }
}

/// What one receiving core counts.
#[derive(Debug, Default)]
pub struct RxCounters(CachePadded<RxCells>);

#[derive(Debug, Default)]
struct RxCells {
    packets: Counter,
    bytes: Counter,
    by_class: Row<{ TrafficClass::ALL.len() }>,
    malformed: Row<{ Malformed::ALL.len() }>,
}

impl RxCounters {
    /// Counts received packets and their captured bytes.
    #[inline(always)]
    pub fn received(&self, packets: u64, bytes: u64) {
        self.0.packets.add(packets);
        self.0.bytes.add(bytes);
    }

    /// Counts packets of one class.
    #[inline(always)]
    pub fn class(&self, class: TrafficClass, packets: u64) {
        self.0.by_class.add(class as usize, packets);
    }

    /// Counts one packet that could not be read to its end.
    #[inline(always)]
    pub fn malformed(&self, reason: Malformed) {
        self.0.malformed.add(reason as usize, 1);
    }

    /// Packets received.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.0.packets.get()
    }

    /// Captured bytes received.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.bytes.get()
    }

    /// Packets of each class.
    pub fn by_class(&self) -> impl Iterator<Item = (TrafficClass, u64)> {
        TrafficClass::ALL.into_iter().zip(self.0.by_class.values())
    }

    /// Packets by the reason why they could not be read.
    pub fn by_malformed(&self) -> impl Iterator<Item = (Malformed, u64)> {
        Malformed::ALL.iter().copied().zip(self.0.malformed.values())
    }
}

/// What one core that delivers counts: packets, whatever the number of their copies.
#[derive(Debug, Default)]
pub struct TxCounters(CachePadded<TxCells>);

#[derive(Debug, Default)]
struct TxCells {
    delivered: Counter,
    dropped: Row<{ DropReason::ALL.len() }>,
}

impl TxCounters {
    /// Counts packets that at least one probe took.
    #[inline(always)]
    pub fn delivered(&self, packets: u64) {
        self.0.delivered.add(packets);
    }

    /// Counts packets that no probe got.
    #[inline(always)]
    pub fn dropped(&self, reason: DropReason, packets: u64) {
        self.0.dropped.add(reason as usize, packets);
    }

    /// Packets that at least one probe took.
    #[must_use]
    pub fn total_delivered(&self) -> u64 {
        self.0.delivered.get()
    }

    /// Packets that no probe got, by reason.
    pub fn by_reason(&self) -> impl Iterator<Item = (DropReason, u64)> {
        DropReason::ALL.iter().copied().zip(self.0.dropped.values())
    }
}

/// What one core counts of one probe: copies.
#[derive(Debug, Default)]
pub struct ProbeCounters(CachePadded<ProbeCells>);

#[derive(Debug, Default)]
struct ProbeCells {
    packets: Counter,
    bytes: Counter,
    control_packets: Counter,
    user_packets: Counter,
    dropped: Row<{ DropReason::ALL.len() }>,
}

impl ProbeCounters {
    /// Counts one copy that was sent.
    #[inline(always)]
    pub fn sent(&self, class: TrafficClass, bytes: u64) {
        self.0.packets.add(1);
        self.0.bytes.add(bytes);
        if class.is_control() {
            self.0.control_packets.add(1);
        } else if class == TrafficClass::GtpU {
            self.0.user_packets.add(1);
        }
    }

    /// Counts copies that were lost.
    #[inline(always)]
    pub fn dropped(&self, reason: DropReason, copies: u64) {
        self.0.dropped.add(reason as usize, copies);
    }

    /// Copies sent.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.0.packets.get()
    }

    /// Bytes sent.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.bytes.get()
    }

    /// Copies of control-plane messages (GTP-C and PFCP) sent.
    #[must_use]
    pub fn control_packets(&self) -> u64 {
        self.0.control_packets.get()
    }

    /// Copies of user-plane packets (GTP-U) sent.
    #[must_use]
    pub fn user_packets(&self) -> u64 {
        self.0.user_packets.get()
    }

    /// Copies lost, by reason.
    pub fn by_reason(&self) -> impl Iterator<Item = (DropReason, u64)> {
        DropReason::ALL.iter().copied().zip(self.0.dropped.values())
    }
}
