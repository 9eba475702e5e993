//! From the receiving core to the workers.

use std::sync::Arc;

use arrayvec::ArrayVec;
use batch::{BATCH, Batch, Frame, Packet, TxCounters};
use cpu::Producer;
use types::DropReason;

/// What happens when a ring is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The source waits: it is a file, which loses nothing by it.
    #[default]
    Wait,
    /// The packet is dropped and counted: the source is a live port, which cannot wait.
    Drop,
}

/// The rings to all workers, and the log of the order in which packets went into them.
#[derive(Debug)]
pub struct Dispatch<F> {
    lanes: Vec<Lane<F>>,
    /// For a writer that has to restore the input's order: the worker of each packet.
    order: Option<Producer<u8>>,
    overflow: Overflow,
    drops: Arc<TxCounters>,
    next_sequence: u64,
}

#[derive(Debug)]
struct Lane<F> {
    ring: Producer<Packet<F>>,
    staged: ArrayVec<Packet<F>, BATCH>,
}

impl<F: Frame> Dispatch<F> {
    /// One ring to each worker, in the workers' order.
    #[must_use]
    pub fn new(
        rings: Vec<Producer<Packet<F>>>,
        order: Option<Producer<u8>>,
        overflow: Overflow,
        drops: Arc<TxCounters>,
    ) -> Self {
        let lanes = rings.into_iter().map(|ring| Lane { ring, staged: ArrayVec::new() }).collect();
        Self { lanes, order, overflow, drops, next_sequence: 0 }
    }

    /// Whether a whole batch can be taken now. Where it cannot and the source can wait, it is not
    /// polled.
    #[inline(always)]
    pub fn is_ready(&mut self) -> bool {
        self.overflow == Overflow::Drop
            || (self.lanes.iter_mut().all(|lane| lane.ring.room(BATCH) >= BATCH)
                && self.order.as_mut().is_none_or(|order| order.room(BATCH) >= BATCH))
    }

    /// Hands every live packet to its worker: the high half of the pin chooses it, so that all packets
    /// of one key meet one worker.
    #[inline]
    pub fn run(&mut self, batch: &mut Batch<F>) {
        let workers = self.lanes.len() as u64;
        let mut order = ArrayVec::<u8, BATCH>::new();
        for slot in batch.live() {
            let Some(mut packet) = batch.take(slot) else { continue };
            packet.meta.sequence = self.next_sequence;
            self.next_sequence = self.next_sequence.wrapping_add(1);
            let worker = (((packet.meta.pin >> 32) * workers) >> 32) as usize;
            if let Some(lane) = self.lanes.get_mut(worker) {
                // A batch holds no more packets than a lane: both always have room.
                let _ = lane.staged.try_push(packet);
                let _ = order.try_push(worker as u8);
            }
        }
        for lane in &mut self.lanes {
            if lane.staged.is_empty() {
                continue;
            }
            let mut packets = lane.staged.drain(..);
            lane.ring.push_from(&mut packets);
            let lost = packets.len() as u64;
            if lost > 0 {
                debug_assert_eq!(self.overflow, Overflow::Drop, "a source that waits has asked before");
                self.drops.dropped(DropReason::RingFull, lost);
            }
        }
        if let Some(log) = &mut self.order {
            let pushed = log.push_from(&mut order.iter().copied());
            debug_assert_eq!(pushed, order.len(), "an order is only kept for sources that wait");
        }
        batch.clear();
    }
}
