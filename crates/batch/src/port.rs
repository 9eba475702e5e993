//! What the dataplane receives from and sends to.

use arrayvec::ArrayVec;
use types::DropReason;

use crate::{BATCH, Batch, Frame};

/// Frames on their way to one probe.
pub type Burst<F> = ArrayVec<F, BATCH>;

/// One receive queue of a port. It is polled by one core.
pub trait RxQueue: Send {
    /// The frames it hands out.
    type Frame: Frame;

    /// Appends what has arrived to `batch`, up to its capacity, and returns how many packets that
    /// were. Every packet gets its arrival time and its length on the wire.
    fn receive(&mut self, batch: &mut Batch<Self::Frame>) -> usize;
}

/// One transmit queue of a port. It is used by one core.
pub trait TxQueue: Send {
    /// The frames it takes.
    type Frame: Frame;

    /// Sends from the front of `burst` and takes away what was accepted; what is left may be offered
    /// again. Returns how many frames were accepted.
    fn send(&mut self, burst: &mut Burst<Self::Frame>) -> usize;

    /// Whether this queue may be given frames whose bytes other queues have too. If not, it gets
    /// copies.
    fn takes_shared(&self) -> bool;

    /// Whether a frame can be sent at all.
    ///
    /// # Errors
    /// The reason why it cannot.
    fn fits(&self, _frame: &Self::Frame) -> Result<(), DropReason> {
        Ok(())
    }
}
