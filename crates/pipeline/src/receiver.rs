//! A receiving core: polls its queues, reads the headers, hands packets to the workers.

use std::sync::Arc;

use batch::{Batch, Frame, RxCounters, RxQueue, Stage};
use types::PortId;

use crate::{Classify, Decap, Dispatch};

/// One queue of a port, with what has to be done to its packets.
pub struct Intake<Q: RxQueue> {
    /// The queue.
    pub queue: Q,
    /// The port it belongs to.
    pub port: PortId,
    /// Set where the tap is tunnelled.
    pub decap: Option<Decap<Q::Frame>>,
}

/// Polls queues and feeds workers.
pub struct Receiver<Q: RxQueue> {
    intakes: Vec<Intake<Q>>,
    /// One for all queues: the fragments of a datagram may come by two links.
    classify: Classify,
    dispatch: Dispatch<Q::Frame>,
    counters: Arc<RxCounters>,
    batch: Box<Batch<Q::Frame>>,
}

impl<Q: RxQueue> Receiver<Q> {
    /// A receiver of these queues.
    #[must_use]
    pub fn new(
        intakes: Vec<Intake<Q>>,
        classify: Classify,
        dispatch: Dispatch<Q::Frame>,
        counters: Arc<RxCounters>,
    ) -> Self {
        Self { intakes, classify, dispatch, counters, batch: Box::default() }
    }

    /// One round over all queues. Returns how many packets came in.
    #[inline]
    pub fn poll(&mut self) -> usize {
        let mut received = 0;
        for intake in &mut self.intakes {
            if !self.dispatch.is_ready() {
                break;
            }
            let batch = &mut *self.batch;
            let count = intake.queue.receive(batch);
            if count == 0 {
                continue;
            }
            received += count;
            let mut bytes = 0;
            for slot in batch.live() {
                if let Some(frame) = batch.frame(slot) {
                    // Inner addresses end in the second line.
                    let head = frame.head();
                    cpu::prefetch(head);
                    cpu::prefetch(head.get(64..).unwrap_or(head));
                    bytes += frame.len() as u64;
                }
                batch.port.set(slot, intake.port);
            }
            self.counters.received(count as u64, bytes);
            if let Some(decap) = &mut intake.decap {
                decap.run(batch);
            }
            self.classify.run(batch);
            self.dispatch.run(batch);
        }
        received
    }

    /// The queues, to ask them how they are.
    pub fn queues(&self) -> impl Iterator<Item = &Q> {
        self.intakes.iter().map(|intake| &intake.queue)
    }

    /// The queues, to tell them the time.
    pub fn queues_mut(&mut self) -> impl Iterator<Item = &mut Q> {
        self.intakes.iter_mut().map(|intake| &mut intake.queue)
    }
}
