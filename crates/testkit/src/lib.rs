//! What tests and `snipe gen` need: a packet builder, a generator of mobile-core traffic with its
//! ground truth, and readers of captures and golden files.
//!
//! It shares no code with `wire`, so that a mistake in a parser is not repeated in the packets that
//! test it. It never parses traffic, reads a clock or opens a network device.
//!
//! ```
//! use std::net::Ipv4Addr;
//! use testkit::{Gtpu, Ipv4, Layer, Packet};
//!
//! let (a, b) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
//! let mut bytes = Vec::new();
//! let layers = Packet::new(&mut bytes)
//!     .ethernet([2; 6], [4; 6])
//!     .ipv4(&Ipv4::new(a, b))
//!     .udp(2152, 2152)
//!     .gtpu(&Gtpu::t_pdu(0x1001))
//!     .ipv4(&Ipv4::new(b, a))
//!     .udp(53, 40_000)
//!     .payload(b"answer")
//!     .finish();
//! assert_eq!(layers.nth(Layer::Ipv4, 1), Some(14 + 20 + 8 + 8));
//! ```
#![forbid(unsafe_code)]

mod checksum;
mod corpus;
mod generate;
mod packet;
mod truth;

pub use corpus::{Golden, Row, captures, corpus, frame_numbers, golden, golden_sessions};
pub use generate::{Generated, Generator, Options, OptionsError, write_capture};
pub use packet::{
    Extension, Gtpu, Ipv4, Ipv6, Layer, Layers, PDU_SESSION_CONTAINER, Packet, Tcp, fragment,
    pdu_session_container, protocol,
};
pub use truth::{Digits, FTeid, GroundTruth, Session};
