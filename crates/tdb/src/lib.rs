//! The time-dependent buffer. A [`Hold`] keeps packets back that came before it was known whose they
//! are: by key (a tunnel), in their order, for a bounded time, a bounded number of them and a bounded
//! number of bytes. Time comes in as an argument; nothing allocates after construction.
//!
//! ```
//! use tdb::{Hold, Limits};
//!
//! let mut hold = Hold::new(Limits { keys: 8, packets: 64, bytes: 4096, time_ns: 20_000_000 });
//! hold.push("tunnel", "first", 100, 1_000).unwrap();
//! hold.push("tunnel", "second", 100, 2_000).unwrap();
//! let mut out = Vec::new();
//! hold.release(&"tunnel", |packet| out.push(packet));
//! assert_eq!(out, ["first", "second"]);
//! assert_eq!(hold.bytes(), 0);
//! ```
#![forbid(unsafe_code)]

mod hold;

pub use hold::{Hold, Limits};
