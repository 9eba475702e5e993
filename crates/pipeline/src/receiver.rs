//! A receiving core: polls its queues, reads the headers, hands packets to the workers.

use std::sync::Arc;

use batch::{Batch, Frame, RxCounters, RxQueue, Stage};
use types::PortId;

use crate::readings::Readings;
use crate::resolve::Resolve;
use crate::{Classify, Decap, Tracker};

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
    resolve: Resolve<Q::Frame>,
    counters: Arc<RxCounters>,
    batch: Box<Batch<Q::Frame>>,
    readings: Readings,
    /// Rounds without a packet since the clock was asked.
    idle: u32,
}

impl<Q: RxQueue> Receiver<Q> {
    /// Rounds without a packet after which the clock is asked whether something has waited long enough.
    const IDLE: u32 = 64;

    /// A receiver of these queues.
    #[must_use]
    pub(crate) fn new(
        intakes: Vec<Intake<Q>>,
        classify: Classify,
        resolve: Resolve<Q::Frame>,
        counters: Arc<RxCounters>,
    ) -> Self {
        Self {
            intakes,
            classify,
            resolve,
            counters,
            batch: Box::default(),
            readings: Readings::new(),
            idle: 0,
        }
    }

    /// One round over all queues. Returns how many packets came in or moved on.
    #[inline]
    pub fn poll(&mut self) -> usize {
        let moved = self.resolve.begin();
        let mut received = 0;
        for intake in &mut self.intakes {
            if !self.resolve.is_ready() {
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
                    // The next stage asks for what it reads by itself.
                    if intake.decap.is_some() {
                        cpu::prefetch_two(frame.head());
                    }
                    bytes += frame.len() as u64;
                }
                batch.port.set(slot, intake.port);
            }
            self.counters.received(count as u64, bytes);
            if let Some(decap) = &mut intake.decap {
                decap.run(batch);
            }
            self.classify.run(batch, &mut self.readings);
            self.resolve.run(batch, &self.readings);
        }
        if received > 0 {
            self.idle = 0;
        } else {
            self.idle_round();
        }
        self.resolve.end();
        received + moved
    }

    /// Where time goes on without packets, what waits for it must not wait for packets.
    #[inline]
    fn idle_round(&mut self) {
        self.idle += 1;
        if self.idle < Self::IDLE {
            return;
        }
        self.idle = 0;
        if let Some(now_ns) = self.intakes.iter().filter_map(|intake| intake.queue.now_ns()).max() {
            self.resolve.pass(now_ns);
        }
    }

    /// A round without receiving anything: for other receivers, and for what is on its way. Returns how
    /// many packets came or moved on.
    pub fn serve(&mut self) -> usize {
        let moved = self.resolve.begin();
        self.resolve.end();
        moved
    }

    /// Whether this receiver follows the control plane for all of them: it must end last.
    #[must_use]
    pub const fn has_tracker(&self) -> bool {
        self.resolve.has_tracker()
    }

    /// At the end, when nothing more is received: lets go what is held. Returns whether nothing is left
    /// here.
    pub fn finish(&mut self) -> bool {
        self.resolve.finish()
    }

    /// The queues, to ask them how they are.
    pub fn queues(&self) -> impl Iterator<Item = &Q> {
        self.intakes.iter().map(|intake| &intake.queue)
    }

    /// The queues, to tell them the time.
    pub fn queues_mut(&mut self) -> impl Iterator<Item = &mut Q> {
        self.intakes.iter_mut().map(|intake| &mut intake.queue)
    }

    /// The tracker, where it is here.
    pub fn tracker(&mut self) -> Option<&mut Tracker> {
        self.resolve.tracker()
    }

    /// The tracker, at the end.
    #[must_use]
    pub fn into_tracker(self) -> Option<Tracker> {
        self.resolve.into_tracker()
    }
}
