//! How fast the dataplane is, and against what: cycles a packet in windows of a millisecond, all
//! rivals of a group taking turns in one run, their answers compared before anything is timed.
//!
//! Never part of the product: nothing depends on it. That is why it may panic where it cannot go on,
//! and why it has `unsafe`, in two modules only: `twin` calls the C that the Rust is measured against,
//! `alloc` counts allocations, and an allocator cannot be written without.
//!
//! ```
//! use benches::{Rival, Scale, measure};
//!
//! let (mut a, mut b) = (0_u64, 0_u64);
//! let samples = measure(&Scale::TINY, vec![
//!     Rival::new("add", 1, |n| for _ in 0..n { a = std::hint::black_box(a + 1) }),
//!     Rival::new("divide", 1, |n| for i in 0..n { b = std::hint::black_box(u64::MAX / (i + 1)) }),
//! ]);
//! assert_eq!(samples[1].name, "divide");
//! assert!(samples.iter().all(|sample| sample.p10 <= sample.median));
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench that cannot go on says so and stops"
)]

mod alloc;
mod baseline;
mod frames;
pub mod group;
mod measure;
mod memory;
mod report;
mod twin;

pub use alloc::allocations;
pub use baseline::Baseline;
pub use measure::{Rival, Sample, Scale, measure};
pub use memory::{Crowd, Footprint, footprint};
pub use report::{Outcome, Ratio};
