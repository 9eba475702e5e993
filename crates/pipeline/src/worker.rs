//! A working core: takes packets from its rings, decides, delivers.

use batch::{BATCH, Batch, Frame, Packet, Stage, TxQueue};
use cpu::Consumer;

use crate::{Balance, Deliver};

/// Runs the stages of one share of the subscribers.
pub struct Worker<F: Frame, T: TxQueue<Frame = F>> {
    inputs: Vec<Consumer<Packet<F>>>,
    balance: Balance,
    deliver: Deliver<F, T>,
    batch: Box<Batch<F>>,
}

impl<F: Frame, T: TxQueue<Frame = F>> Worker<F, T> {
    /// A worker that is fed by these rings, one from each receiver.
    #[must_use]
    pub fn new(inputs: Vec<Consumer<Packet<F>>>, balance: Balance, deliver: Deliver<F, T>) -> Self {
        Self { inputs, balance, deliver, batch: Box::default() }
    }

    /// One round. Returns how many packets were handled; after none, nothing is kept back.
    #[inline]
    pub fn poll(&mut self) -> usize {
        if !self.deliver.is_ready() {
            return 0;
        }
        let batch = &mut *self.batch;
        for input in &mut self.inputs {
            let room = batch.room();
            input.pop_each(room, |packet| {
                // There is room: no more were asked for.
                let _ = batch.push(packet);
            });
        }
        let count = batch.len();
        if count == 0 {
            self.deliver.flush();
            return 0;
        }
        debug_assert!(count <= BATCH);
        self.balance.run(batch);
        self.deliver.run(batch);
        batch.clear();
        count
    }

    /// At the end, when nothing more is pushed: sends what is staged, and returns whether the rings are
    /// empty, so that every packet has had its outcome or is with the writer.
    pub fn finish(&mut self) -> bool {
        if self.inputs.iter_mut().any(|input| input.available(1) > 0) {
            return false;
        }
        self.deliver.flush();
        true
    }
}
