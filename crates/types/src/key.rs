//! What keeps packets together: pairs of addresses without a direction, and tunnels.

use core::net::IpAddr;

use crate::Teid;

/// A GTP-U tunnel as its receiver knows it. TEIDs are handed out by each receiver for itself, differ
/// by direction and are reused, so the pair is the key. TS 29.281 5.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TunnelKey {
    /// The address that handed the TEID out: the destination of packets in this tunnel.
    pub receiver: IpAddr,
    /// The number it handed out.
    pub teid: Teid,
}

/// Two addresses of one family, the smaller first, so that both directions give the same pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pair {
    /// IPv4.
    V4(u32, u32),
    /// IPv6.
    V6(u128, u128),
}

impl Pair {
    /// A pair of IPv4 addresses, in host byte order.
    #[inline(always)]
    #[must_use]
    pub const fn v4(a: u32, b: u32) -> Self {
        if a <= b { Self::V4(a, b) } else { Self::V4(b, a) }
    }

    /// A pair of IPv6 addresses, in host byte order.
    #[inline(always)]
    #[must_use]
    pub const fn v6(a: u128, b: u128) -> Self {
        if a <= b { Self::V6(a, b) } else { Self::V6(b, a) }
    }
}

/// The innermost key that could be read from a packet. All packets with the same key are at one
/// probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The addresses of the IP packet inside a GTP-U tunnel.
    Inner(Pair),
    /// A tunnel, where there is no inner IP packet or it cannot be read.
    Tunnel(TunnelKey),
    /// The addresses of the innermost IP header outside any GTP-U tunnel.
    Outer(Pair),
    /// Where no IP header could be read: what the link layer says, the same for both directions
    /// where it names both ends.
    Frame(u128),
}

/// Protocol and ports of an innermost flow, without a direction: the smaller endpoint's port first.
/// Ports are 0 where the packet has none (fragments, ICMP).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlowPorts {
    /// IP protocol number.
    pub protocol: u8,
    /// Port at the first address of the [`Pair`].
    pub first: u16,
    /// Port at its second address.
    pub second: u16,
}
