//! The common shape, all at once: Ethernet with up to two tags, IPv4 without options, UDP, a T-PDU,
//! IPv4 or IPv6.

use types::{FlowPorts, PortPair, Teid, Toward, TrafficClass};

use crate::ethernet::ether_type;
use crate::gtpu::{Extensions, PduSession, message};
use crate::network::{Addresses, protocol};
use crate::vlan::Vlan;

/// A user's packet of the common shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tpdu {
    /// Who sent it through the tunnel: the outer source.
    pub sender: u32,
    /// Who handed the tunnel's number out: the outer destination.
    pub receiver: u32,
    /// That number.
    pub teid: Teid,
    /// Which way the packet goes, where a PDU session container says so.
    pub toward: Option<Toward>,
    /// The inner addresses.
    pub addresses: Addresses,
    /// Length of the inner packet as its header tells, at most what the GTP-U length leaves.
    pub bytes: u16,
    /// The inner protocol, and its ports where they were asked for.
    pub ports: FlowPorts,
}

/// Ethernet, IPv4, UDP and the base header of GTP-U: one length to check.
const HEADERS: usize = 14 + 20 + 8 + 8;

/// Tells a well-formed user's packet of the common shape from everything else. `Some` says that
/// [`crate::dissect()`] would find class `gtp_u`, this pair as the inner key, no fragment and nothing
/// malformed; `None` says nothing, and the frame goes to `dissect`. Every length is checked here
/// too: it is the same reading, written as one comparison of the whole shape, and a test holds the
/// two together.
///
/// `PORTS`: whether the inner ports are wanted. Reading them can cost one more cache line.
#[inline(always)]
#[must_use]
pub fn tpdu<const PORTS: bool>(frame: &[u8]) -> Option<Tpdu> {
    // A frame less its first 4 bytes has its next type where the frame has its tag's.
    let mut frame = frame;
    let mut head: &[u8; HEADERS] = frame.first_chunk()?;
    let mut tags = 0_u8;
    while be16(head[12], head[13]) != ether_type::IPV4 {
        if tags == 2 || !Vlan::announced_by(be16(head[12], head[13])) {
            return None;
        }
        tags = tags.wrapping_add(1);
        frame = frame.get(4..)?;
        head = frame.first_chunk()?;
    }
    // IPv4: no options, not a fragment, UDP.
    let more_or_offset = be16(head[20], head[21]) & 0x3fff;
    if head[14] != 0x45 || more_or_offset != 0 || head[23] != protocol::UDP {
        return None;
    }
    let total = usize::from(be16(head[16], head[17]));
    let ports = PortPair { source: be16(head[34], head[35]), destination: be16(head[36], head[37]) };
    let udp_length = usize::from(be16(head[38], head[39]));
    // GTP-U: version 1, not GTP′, any of the flags.
    if head[42] & 0xf0 != 0x30 || head[43] != message::T_PDU {
        return None;
    }
    let length = usize::from(be16(head[44], head[45]));
    // Each header says no more than the one around it; that the innermost of these lengths is there,
    // and holds a header, is checked below.
    if udp_length.wrapping_add(20) > total
        || length.wrapping_add(16) > udp_length
        || TrafficClass::of_udp(ports) as u8 != TrafficClass::GtpU as u8
    {
        return None;
    }
    let mut rest = frame.get(HEADERS..HEADERS.wrapping_add(length))?;
    let mut toward = None;
    if head[42] & 0x07 != 0 {
        let (optional, after) = rest.split_first_chunk::<4>()?;
        rest = after;
        if head[42] & 0x04 != 0 {
            (toward, rest) = behind_extensions(optional[3], rest)?;
        }
    }
    let [sender, receiver] =
        [[head[26], head[27], head[28], head[29]], [head[30], head[31], head[32], head[33]]]
            .map(u32::from_be_bytes);
    let teid = Teid(u32::from_be_bytes([head[46], head[47], head[48], head[49]]));
    let (addresses, bytes, ports) = inner::<PORTS>(rest)?;
    Some(Tpdu { sender, receiver, teid, toward, addresses, bytes, ports })
}

/// The direction of the first PDU session container, and what follows all extension headers.
#[inline(always)]
fn behind_extensions(mut next: u8, mut rest: &[u8]) -> Option<(Option<Toward>, &[u8])> {
    let mut left = Extensions::MAX;
    let mut session = None;
    while next != 0 {
        left = left.checked_sub(1)?;
        let bytes = usize::from(*rest.first()?).wrapping_mul(4);
        let after = *rest.get(bytes.checked_sub(1)?)?;
        if next == PduSession::EXTENSION && session.is_none() {
            session = rest.get(1..bytes.wrapping_sub(1)).and_then(PduSession::parse);
        }
        next = after;
        rest = rest.get(bytes..)?;
    }
    Some((session.and_then(|session| session.toward), rest))
}

/// Addresses, length, ports.
type Inner = (Addresses, u16, FlowPorts);

#[inline(always)]
fn inner<const PORTS: bool>(rest: &[u8]) -> Option<Inner> {
    let (ip, _) = rest.split_first_chunk::<20>()?;
    if ip[0] == 0x45 {
        let total = usize::from(be16(ip[2], ip[3]));
        // The authentication header is for the long way.
        if be16(ip[6], ip[7]) & 0x3fff != 0 || ip[9] == protocol::AUTHENTICATION || total < 24 {
            return None;
        }
        let source = u32::from_be_bytes([ip[12], ip[13], ip[14], ip[15]]);
        let destination = u32::from_be_bytes([ip[16], ip[17], ip[18], ip[19]]);
        let ports = ports::<PORTS>(ip[9], rest, 20)?;
        let addresses = Addresses::V4 { source, destination };
        return Some((addresses, length(total, rest), addresses.flow(ip[9], ports)));
    }
    inner_v6::<PORTS>(rest)
}

#[inline(always)]
fn inner_v6<const PORTS: bool>(rest: &[u8]) -> Option<Inner> {
    let (ip, _) = rest.split_first_chunk::<40>()?;
    let plain = matches!(ip[6], protocol::TCP | protocol::UDP | protocol::ICMPV6);
    if ip[0] >> 4 != 6 || !plain || be16(ip[4], ip[5]) < 4 {
        return None;
    }
    let (_, addresses) = ip.split_first_chunk::<8>()?;
    let (source, destination) = addresses.split_first_chunk::<16>()?;
    let source = u128::from_be_bytes(*source);
    let destination = u128::from_be_bytes(*destination.first_chunk()?);
    let ports = ports::<PORTS>(ip[6], rest, 40)?;
    let addresses = Addresses::V6 { source, destination };
    let total = usize::from(be16(ip[4], ip[5])).wrapping_add(40);
    Some((addresses, length(total, rest), addresses.flow(ip[6], ports)))
}

/// What a header states of its packet, at most what is there: that was cut to fit a length of 16 bits.
#[inline(always)]
fn length(states: usize, rest: &[u8]) -> u16 {
    states.min(rest.len()) as u16
}

/// Ports where the protocol has them; GTP-U inside GTP-U is for the long way, whoever asks.
///
/// Protocols come in no order that a branch could learn: the words are read whatever they are, and one
/// comparison tells.
#[inline(always)]
fn ports<const PORTS: bool>(protocol: u8, packet: &[u8], at: usize) -> Option<PortPair> {
    let wanted = protocol == protocol::UDP || PORTS && matches!(protocol, protocol::TCP | protocol::SCTP);
    let Some(four) = packet.get(at..).and_then(<[u8]>::first_chunk::<4>) else {
        return if wanted { None } else { Some(PortPair::default()) };
    };
    let ports = PortPair { source: be16(four[0], four[1]), destination: be16(four[2], four[3]) };
    // 0 where one of them is that port.
    let [source, destination] =
        [ports.source, ports.destination].map(|port| u32::from(port ^ TrafficClass::GTP_U_PORT));
    if source.wrapping_mul(destination) | u32::from(protocol ^ protocol::UDP) == 0 {
        return None;
    }
    Some(if PORTS && wanted { ports } else { PortPair::default() })
}

#[inline(always)]
const fn be16(high: u8, low: u8) -> u16 {
    u16::from_be_bytes([high, low])
}
