//! What the dataplane receives from and sends to.

use std::convert::Infallible;
use std::marker::PhantomData;

use arrayvec::ArrayVec;
use types::DropReason;

use crate::{BATCH, Batch, Frame, Meta};

/// Frames on their way to one probe.
pub type Burst<F> = ArrayVec<F, BATCH>;

/// One receive queue of a port. It is polled by one core.
pub trait RxQueue: Send {
    /// The frames it hands out.
    type Frame: Frame;

    /// Appends what has arrived to `batch`, up to its capacity, and returns how many packets that
    /// were. Every packet gets its arrival time and its length on the wire.
    fn receive(&mut self, batch: &mut Batch<Self::Frame>) -> usize;

    /// The engine's time, where it goes on although no packet comes: nanoseconds since 1970. `None`
    /// where packets alone carry it.
    fn now_ns(&self) -> Option<u64> {
        None
    }
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

/// Where packets are written to rather than sent: a file. It may wait for a disk, so it is served by a
/// thread of its own and never by a core that polls ports.
pub trait Sink: Send {
    /// Writes one packet.
    ///
    /// # Errors
    /// The reason why it could not be written; the sink stays usable.
    fn write(&mut self, meta: &Meta, frame: &impl Frame) -> Result<(), DropReason>;

    /// Hands on what was kept back to be written in larger pieces. Called when nothing more is
    /// waiting, and at the end.
    fn flush(&mut self);
}

/// The queue of a dataplane that sends to no port. There is none.
#[derive(Debug)]
pub struct NoPort<F>(Infallible, PhantomData<F>);

impl<F: Frame> TxQueue for NoPort<F> {
    type Frame = F;

    fn send(&mut self, _burst: &mut Burst<F>) -> usize {
        match self.0 {}
    }

    fn takes_shared(&self) -> bool {
        match self.0 {}
    }
}
