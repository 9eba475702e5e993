//! Numbers with a meaning, traffic classes, and the named reasons of the packet accounting.
//!
//! Every other crate speaks in these. Values are in host byte order; only `wire` swaps bytes. Nothing
//! here allocates, reads a clock or knows a header.
//!
//! ```
//! use types::{PortPair, TrafficClass};
//!
//! let ports = PortPair { source: 40_000, destination: 2152 };
//! assert_eq!(TrafficClass::of_udp(ports), TrafficClass::GtpU);
//! assert_eq!(TrafficClass::GtpU.name(), "gtp_u");
//! ```
#![no_std]
#![forbid(unsafe_code)]

mod class;
mod event;
mod identity;
mod interface;
mod key;
mod link;
mod probe;
mod reason;
mod verdict;

pub use class::{PortPair, TrafficClass};
pub use event::{
    Bearer, Ebi, FSeid, FTeid, Far, Heading, PdnConnection, Pdr, RuleAction, SessionEvent, Side, Signalling,
};
pub use identity::{Apn, Digits, Imei, Imsi, Location, Msisdn, Plmn, Rat, Snssai, UeAddress};
pub use interface::{Interface, Toward};
pub use key::{FlowPorts, Key, Pair, TunnelKey};
pub use link::LinkType;
pub use probe::{ProbeId, ProbeSet};
pub use reason::{DropReason, Malformed};
pub use verdict::Verdict;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// Tunnel Endpoint Identifier of GTP. Means nothing without the address that handed it out:
    /// see [`TunnelKey`]. TS 29.281 5.1, TS 29.274 5.5.
    Teid(u32)
);
number!(
    /// Session Endpoint Identifier of PFCP, TS 29.244 7.2.2.
    Seid(u64)
);
number!(
    /// QoS Flow Identifier, 6 bits. TS 38.415 5.5.3.3.
    Qfi(u8)
);
number!(
    /// A port that packets are received from, in the order of the configuration.
    PortId(u16)
);
