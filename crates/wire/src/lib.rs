//! Views of protocol headers in place, and the walk from a frame to its class and key.
//!
//! One protocol, one file: its bytes, its errors, its view. [`dissect()`] puts them together and tells
//! what a broker has to know of a frame, [`tpdu()`] does the same for the common user packet in one go,
//! [`unpack()`] takes a tap's own tunnel off, [`signalling()`] reads what a message of the control
//! plane says of sessions. Nothing here allocates, panics, reads beyond its slice
//! or loops without a stated limit, whatever the bytes are; and nothing keeps state: fragments are
//! named, not put together.
//!
//! ```
//! use types::{Key, LinkType, Pair, TrafficClass};
//!
//! // Ethernet, IPv4 10.0.0.1 to 10.0.0.2, UDP to 2152, a GTP-U echo request.
//! let mut frame = [0_u8; 50];
//! frame[12..14].copy_from_slice(&[0x08, 0x00]);
//! frame[14..34].copy_from_slice(&[
//!     0x45, 0, 0, 36, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
//! ]);
//! frame[34..42].copy_from_slice(&[0x08, 0x68, 0x08, 0x68, 0, 16, 0, 0]);
//! frame[42..44].copy_from_slice(&[0x30, 1]);
//! let found = wire::dissect(LinkType::Ethernet, &frame);
//! assert_eq!(found.class, TrafficClass::GtpU);
//! assert_eq!(found.key, Key::Outer(Pair::v4(0x0a00_0001, 0x0a00_0002)));
//! assert_eq!(found.malformed, None);
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

#[cfg(test)]
extern crate std;

mod bytes;
pub mod cooked;
mod cursor;
mod dissect;
pub mod erspan;
pub mod ethernet;
pub mod gre;
pub mod gtp_prime;
pub mod gtpc;
pub mod gtpu;
pub mod gtpv1;
pub mod gtpv2;
pub mod icmp;
pub mod ipv4;
pub mod ipv6;
mod layer2;
pub mod mpls;
mod network;
pub mod pfcp;
pub mod sctp;
mod signalling;
pub mod tcp;
#[cfg(test)]
mod tests;
mod tpdu;
pub mod udp;
mod unpack;
pub mod vlan;
pub mod vxlan;

pub use dissect::{Dissection, Ends, IP_LAYERS_MAX, Layers, User, dissect};
pub use network::{Addresses, Fragment, FragmentId, protocol};
pub use signalling::{BUNDLED_MAX, Budget, IES_MAX, has_every_header, heading, signalling};
pub use tpdu::{Tpdu, tpdu};
pub use unpack::{Decap, Unpack, unpack};

/// Where in `whole` its sub-slice `part` begins.
fn position(whole: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize)
}
