//! One IP packet of either version: addresses, protocol, fragment, payload.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use types::{FlowPorts, Malformed, Pair, PortPair};

use crate::ipv4::Ipv4;
use crate::ipv6::{self, Extension, Ipv6};
use crate::layer2::Ip;

/// Protocol numbers that are looked into.
pub mod protocol {
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// IPv4 inside IP.
    pub const IPV4: u8 = 4;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 inside IP.
    pub const IPV6: u8 = 41;
    /// GRE.
    pub const GRE: u8 = 47;
    /// Authentication header.
    pub const AUTHENTICATION: u8 = 51;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
    /// SCTP.
    pub const SCTP: u8 = 132;
    /// MPLS inside IP, RFC 4023.
    pub const MPLS: u8 = 137;
}

/// Source and destination of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Addresses {
    /// IPv4.
    V4 {
        /// Source.
        source: u32,
        /// Destination.
        destination: u32,
    },
    /// IPv6.
    V6 {
        /// Source.
        source: u128,
        /// Destination.
        destination: u128,
    },
}

impl Addresses {
    /// The two without a direction.
    #[inline(always)]
    #[must_use]
    pub const fn pair(self) -> Pair {
        match self {
            Self::V4 { source, destination } => Pair::v4(source, destination),
            Self::V6 { source, destination } => Pair::v6(source, destination),
        }
    }

    /// The source.
    #[inline(always)]
    #[must_use]
    pub const fn source(self) -> IpAddr {
        match self {
            Self::V4 { source, .. } => IpAddr::V4(Ipv4Addr::from_bits(source)),
            Self::V6 { source, .. } => IpAddr::V6(Ipv6Addr::from_bits(source)),
        }
    }

    /// The destination.
    #[inline(always)]
    #[must_use]
    pub const fn destination(self) -> IpAddr {
        match self {
            Self::V4 { destination, .. } => IpAddr::V4(Ipv4Addr::from_bits(destination)),
            Self::V6 { destination, .. } => IpAddr::V6(Ipv6Addr::from_bits(destination)),
        }
    }

    /// Protocol and ports in the order of [`Self::pair`]; where both addresses are the same, the
    /// smaller port first.
    #[inline(always)]
    #[must_use]
    pub const fn flow(self, protocol: u8, ports: PortPair) -> FlowPorts {
        let PortPair { source, destination } = ports;
        let forward = match self {
            Self::V4 { source: a, destination: b } => a < b || a == b && source <= destination,
            Self::V6 { source: a, destination: b } => a < b || a == b && source <= destination,
        };
        if forward {
            FlowPorts { protocol, first: source, second: destination }
        } else {
            FlowPorts { protocol, first: destination, second: source }
        }
    }
}

/// What the fragments of one packet have in common. The family is part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FragmentId {
    /// Source and destination.
    pub addresses: Addresses,
    /// Identification: 16 bits in IPv4, 32 in IPv6.
    pub id: u32,
    /// Protocol, which is part of it in IPv4 (RFC 791 3.2). In IPv6 it is not (RFC 8200 4.5): 0.
    pub protocol: u8,
}

/// Whether a packet is a fragment, outside any GTP-U tunnel. A fragment header that does not
/// fragment (RFC 6946) makes none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fragment {
    /// A whole packet.
    #[default]
    None,
    /// The fragment that holds the ports.
    First(FragmentId),
    /// One that follows it, without ports.
    Later(FragmentId),
}

/// [`Fragment`] in one byte: most packets are none, and should not carry what names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    First,
    Later,
}

/// What [`parse`] found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network<'a> {
    pub(crate) addresses: Addresses,
    pub(crate) protocol: u8,
    pub(crate) payload: &'a [u8],
    /// The length that its header states, with the header; 0 where it states none.
    pub(crate) states: u32,
    /// The packet states its length, all of it is there, and it is no fragment.
    pub(crate) whole: bool,
    pub(crate) part: Part,
    /// Identification and protocol of the fragment header, for [`Self::fragment`].
    fragment_id: u32,
    fragment_protocol: u8,
    /// The extension headers could not be read to their end: nothing is known of the payload.
    pub(crate) broken: Option<Malformed>,
}

impl Network<'_> {
    /// Whether a transport header can follow.
    #[inline(always)]
    pub(crate) const fn has_transport(&self) -> bool {
        self.broken.is_none() && !matches!(self.part, Part::Later)
    }

    /// Whether it is a fragment, and of what.
    #[inline(always)]
    pub(crate) const fn fragment(&self) -> Fragment {
        let id =
            FragmentId { addresses: self.addresses, id: self.fragment_id, protocol: self.fragment_protocol };
        match self.part {
            Part::Whole => Fragment::None,
            Part::First => Fragment::First(id),
            Part::Later => Fragment::Later(id),
        }
    }
}

/// Reads an IP packet with all its headers.
///
/// # Errors
/// The addresses could not be read.
#[inline(always)]
pub(crate) fn parse(ip: Ip<'_>) -> Result<Network<'_>, Malformed> {
    let version = match ip.announced {
        Some(version) => version,
        None => ip.bytes.first().ok_or(Malformed::IpTruncated)? >> 4,
    };
    match version {
        4 => parse_v4(ip.bytes),
        6 => parse_v6(ip.bytes),
        _ => Err(Malformed::IpBadVersion),
    }
}

#[inline(always)]
fn parse_v4(bytes: &[u8]) -> Result<Network<'_>, Malformed> {
    let ip = Ipv4::parse(bytes)?;
    let addresses = Addresses::V4 { source: ip.source(), destination: ip.destination() };
    let part = match (ip.fragment_offset(), ip.more_fragments()) {
        (0, false) => Part::Whole,
        (0, true) => Part::First,
        _ => Part::Later,
    };
    let mut network = Network {
        addresses,
        protocol: ip.protocol(),
        payload: ip.payload(),
        states: ip.total_length().into(),
        whole: ip.is_whole() && part == Part::Whole,
        part,
        fragment_id: ip.identification().into(),
        fragment_protocol: ip.protocol(),
        broken: None,
    };
    if ip.protocol() == protocol::AUTHENTICATION && network.has_transport() {
        step_over_authentication(&mut network);
    }
    Ok(network)
}

/// RFC 4302 3.1: between IPv4 and the transport there can be an authentication header.
#[cold]
fn step_over_authentication(network: &mut Network<'_>) {
    let mut headers = ipv6::Extensions::behind_ipv4(network.protocol, network.payload);
    while headers.protocol() == protocol::AUTHENTICATION {
        match headers.next() {
            Some(Ok(_)) => {}
            Some(Err(ipv6::Ipv6Error::ExtTooMany)) => {
                network.broken = Some(Malformed::TooManyLayers);
                return;
            }
            _ => {
                network.broken = Some(Malformed::IpTruncated);
                return;
            }
        }
    }
    network.protocol = headers.protocol();
    network.payload = headers.payload();
}

#[inline]
fn parse_v6(bytes: &[u8]) -> Result<Network<'_>, Malformed> {
    let ip = Ipv6::parse(bytes)?;
    let addresses = Addresses::V6 { source: ip.source(), destination: ip.destination() };
    let mut network = Network {
        addresses,
        protocol: ip.next_header(),
        payload: ip.payload(),
        states: match ip.payload_length() {
            0 => 0,
            length => u32::from(length).wrapping_add(40),
        },
        whole: ip.is_whole(),
        part: Part::Whole,
        fragment_id: 0,
        fragment_protocol: 0,
        broken: None,
    };
    if ipv6::Extensions::is_extension(ip.next_header()) {
        step_over_extensions(&mut network, ip.extensions());
    }
    Ok(network)
}

/// The first fragment header that fragments is the one that counts, except that a later one can
/// still say that no transport follows.
#[cold]
fn step_over_extensions<'a>(network: &mut Network<'a>, mut headers: ipv6::Extensions<'a>) {
    for header in headers.by_ref() {
        match header {
            Ok(Extension::Fragment(header)) => {
                let part = match (network.part, header.offset, header.more) {
                    (_, 1.., _) => Part::Later,
                    (Part::Whole, 0, true) => Part::First,
                    _ => continue,
                };
                network.part = part;
                network.fragment_id = header.identification;
            }
            Ok(Extension::Other(..)) => {}
            Err(why) => {
                network.broken = Some(why.into());
                break;
            }
        }
    }
    network.protocol = headers.protocol();
    network.payload = headers.payload();
    network.whole &= network.part == Part::Whole;
}

/// The ports of UDP, TCP and SCTP: they stand first in all three.
#[inline(always)]
pub(crate) fn ports(bytes: &[u8]) -> Option<PortPair> {
    let [s0, s1, d0, d1] = *bytes.first_chunk()?;
    Some(PortPair { source: u16::from_be_bytes([s0, s1]), destination: u16::from_be_bytes([d0, d1]) })
}
