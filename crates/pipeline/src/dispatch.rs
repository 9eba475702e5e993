//! From the receiving core to the workers.

use std::sync::Arc;

use arrayvec::ArrayVec;
use batch::{BATCH, Frame, Packet, TxCounters};
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
    order_staged: ArrayVec<u8, BATCH>,
    overflow: Overflow,
    drops: Arc<TxCounters>,
    /// Packets that every ring takes before it has to be asked again.
    room: usize,
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
        Self { lanes, order, order_staged: ArrayVec::new(), overflow, drops, room: 0 }
    }

    /// Whether a packet can be taken now. A source that can wait does where it cannot; of one that
    /// cannot, packets are taken and dropped.
    #[inline(always)]
    pub fn has_room(&mut self) -> bool {
        self.room > 0 || self.look_for_room()
    }

    #[cold]
    #[inline(never)]
    fn look_for_room(&mut self) -> bool {
        self.flush();
        self.room = match self.overflow {
            Overflow::Drop => BATCH,
            Overflow::Wait => {
                let rings = self.lanes.iter_mut().map(|lane| lane.ring.room(BATCH));
                let order = self.order.iter_mut().map(|order| order.room(BATCH));
                rings.chain(order).min().unwrap_or(0).min(BATCH)
            }
        };
        self.room > 0
    }

    /// Stages a packet for its worker: the owner of its session, else the one that the high half of the
    /// pin chooses, so that all packets of one key meet one worker. [`Dispatch::has_room`] has said yes.
    #[inline(always)]
    pub fn send(&mut self, packet: Packet<F>) {
        self.room = self.room.saturating_sub(1);
        let workers = self.lanes.len() as u64;
        let verdict = packet.meta.verdict;
        let worker = if verdict.is_some() {
            usize::from(verdict.owner())
        } else {
            (((packet.meta.pin >> 32) * workers) >> 32) as usize
        };
        let Some(lane) = self.lanes.get_mut(worker) else {
            debug_assert!(false, "an owner is one of the workers");
            return;
        };
        // Between two flushes no more is staged than there was room for: a batch at most.
        let _ = lane.staged.try_push(packet);
        if self.order.is_some() {
            let _ = self.order_staged.try_push(worker as u8);
        }
    }

    /// Shows the workers what was staged.
    #[inline]
    pub fn flush(&mut self) {
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
            let pushed = log.push_from(&mut self.order_staged.drain(..));
            debug_assert!(
                self.order_staged.is_empty(),
                "{pushed}: an order is only kept for sources that wait"
            );
        }
        self.room = 0;
    }
}
