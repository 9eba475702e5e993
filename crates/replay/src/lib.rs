//! The port and frame traits over capture files and memory.
//!
//! [`Merge`] reads pcap and pcapng files, plain or compressed, in order of time; [`CaptureRx`] makes a
//! receive queue of it, [`CaptureWriter`] writes what comes out. [`HeapFrame`] is the frame: a window
//! into the piece of the file it was read with, so a packet is never copied until somebody writes to
//! it. [`MemoryRx`] and [`Impaired`] are the same for tests, with seeded trouble.
//!
//! Nothing here allocates for a packet, follows what is inside a packet, or drops one: a file that
//! is damaged or cut is read as far as it goes, and the [`CaptureError`] or [`Warning`] says where
//! that was.
//!
//! ```
//! use batch::{Batch, RxQueue};
//! use replay::{CaptureRx, CaptureWriter, Finite, HeapFrame, Merge};
//!
//! # let dir = tempfile::tempdir()?;
//! # let (input, output) = (dir.path().join("in.pcap"), dir.path().join("out.pcap"));
//! # CaptureWriter::create(&input, types::LinkType::Ethernet)?.write(1, 3, &HeapFrame::from_vec(vec![1, 2, 3]))?;
//! let mut rx = CaptureRx::new(Merge::open(&[&input])?);
//! let mut out = CaptureWriter::create(&output, rx.link_type())?;
//! let mut batch = Batch::new();
//! while !rx.finished() {
//!     rx.receive(&mut batch);
//!     for slot in batch.live() {
//!         let Some(packet) = batch.take(slot) else { continue };
//!         out.write(packet.meta.time_ns, packet.meta.wire_bytes, &packet.frame)?;
//!     }
//!     batch.clear();
//! }
//! out.flush()?;
//! # assert_eq!(out.records(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod convert;
mod error;
mod frame;
mod memory;
mod merge;
mod reader;
mod rx;
mod seed;
mod source;
mod writer;

pub use error::{CaptureError, Warning, WriteError};
pub use frame::{HeapFrame, HeapPool};
pub use memory::{Impaired, ImpairedCounts, Impairments, MemoryRx};
pub use merge::{Merge, check_ethernet, link_type_of};
pub use reader::{CaptureReader, Captured};
pub use rx::{CaptureRx, Finite};
pub use source::Progress;
pub use writer::CaptureWriter;

/// The longest packet that is read or written, in bytes: what capture programs and Wireshark agree on.
pub const SNAPLEN: usize = 262_144;
