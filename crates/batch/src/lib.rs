//! Packets as the dataplane moves them: a [`Batch`] of up to [`BATCH`] frames with typed columns beside
//! them and a live mask, the [`Stage`] that works on one, the traits of ports and frames, and the
//! counters of a core.
//!
//! Only ports, batches, rings and transmission know the frame type. Stages between them see bytes
//! and columns. Nothing here allocates after construction, locks, or reads a clock.
//!
//! ```
//! use batch::{Batch, Frame, Meta, Stage};
//!
//! /// Forgets every frame that is shorter than an Ethernet header.
//! struct Runts;
//!
//! impl<F: Frame> Stage<F> for Runts {
//!     fn run(&mut self, batch: &mut Batch<F>) {
//!         for slot in batch.live() {
//!             if batch.head(slot).len() < 14 {
//!                 drop(batch.take(slot));
//!             }
//!         }
//!     }
//! }
//! ```
#![forbid(unsafe_code)]

mod columns;
mod counters;
mod frame;
mod port;

pub use columns::{BATCH, Batch, Column, Live, Meta, Packet, Slot};
pub use counters::{Counter, ProbeCounters, RxCounters, TxCounters};
pub use frame::{Frame, FramePool};
pub use port::{Burst, NoPort, RxQueue, Sink, TxQueue};
pub use types::ProbeSet;

/// One function over a batch.
pub trait Stage<F: Frame> {
    /// Works on the live packets of `batch`.
    fn run(&mut self, batch: &mut Batch<F>);
}
