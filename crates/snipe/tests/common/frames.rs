//! Reads generated frames in the plainest way: whose tunnel a frame is in, and which sessions are set up
//! by the messages of a capture. Shares nothing with the parsers of the product, and knows the few
//! shapes that the generator makes.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Record;
use super::sessions::of_user;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// GTP-C or PFCP.
    Control,
    /// A message in a GTP-U tunnel: its receiver and TEID.
    Tunnel(IpAddr, u32),
    /// Anything else, later fragments too.
    Other,
}

/// A UDP datagram.
struct Datagram<'a> {
    from: (IpAddr, u16),
    to: (IpAddr, u16),
    payload: &'a [u8],
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn v4_at(bytes: &[u8], at: usize) -> Option<IpAddr> {
    Some(IpAddr::V4(Ipv4Addr::from(u32_at(bytes, at)?)))
}

fn v6_at(bytes: &[u8], at: usize) -> Option<IpAddr> {
    Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes.get(at..at + 16)?).ok()?)))
}

/// The UDP datagram in an Ethernet frame, or its first fragment.
fn datagram(frame: &[u8]) -> Option<Datagram<'_>> {
    let tagged = u16_at(frame, 12)? == 0x8100;
    let at = if tagged { 18 } else { 14 };
    let ip = frame.get(at..)?;
    let (addresses, udp) = match u16_at(frame, at - 2)? {
        0x0800 if ip.get(9) == Some(&17) && u16_at(ip, 6)? & 0x1fff == 0 => {
            ((v4_at(ip, 12)?, v4_at(ip, 16)?), ip.get(usize::from(ip[0] & 15) * 4..)?)
        }
        0x86dd if ip.get(6) == Some(&17) => ((v6_at(ip, 8)?, v6_at(ip, 24)?), ip.get(40..)?),
        0x86dd if ip.get(6) == Some(&44) && ip.get(40) == Some(&17) && u16_at(ip, 42)? & 0xfff8 == 0 => {
            ((v6_at(ip, 8)?, v6_at(ip, 24)?), ip.get(48..)?)
        }
        _ => return None,
    };
    Some(Datagram {
        from: (addresses.0, u16_at(udp, 0)?),
        to: (addresses.1, u16_at(udp, 2)?),
        payload: udp.get(8..)?,
    })
}

impl Datagram<'_> {
    fn has_port(&self, port: u16) -> bool {
        self.from.1 == port || self.to.1 == port
    }
}

/// What a frame is.
pub fn kind(frame: &[u8]) -> Kind {
    let Some(datagram) = datagram(frame) else { return Kind::Other };
    if datagram.has_port(2123) || datagram.has_port(8805) {
        return Kind::Control;
    }
    match (u32_at(datagram.payload, 4), datagram.payload.first()) {
        (Some(teid), Some(flags)) if datagram.has_port(2152) && flags >> 4 == 3 && teid != 0 => {
            Kind::Tunnel(datagram.to.0, teid)
        }
        _ => Kind::Other,
    }
}

/// Source and destination of the IP packet in a T-PDU; `None` for other GTP-U messages and frames.
pub fn inner(frame: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let datagram = datagram(frame).filter(|datagram| datagram.has_port(2152))?;
    if datagram.payload.get(1) != Some(&255) {
        return None;
    }
    // Behind the optional fields, with at most a PDU session container of one unit.
    let at = match datagram.payload.first()? & 7 {
        0 => 8,
        flags if flags & 4 == 0 => 12,
        _ => 16,
    };
    let ip = datagram.payload.get(at..)?;
    match ip.first()? >> 4 {
        4 => Some((v4_at(ip, 12)?, v4_at(ip, 16)?)),
        6 => Some((v6_at(ip, 8)?, v6_at(ip, 24)?)),
        _ => None,
    }
}

/// Whether a T-PDU says itself which way it goes: a PDU session container is in front of it (TS 38.415).
pub fn says_its_way(frame: &[u8]) -> bool {
    let found = datagram(frame).filter(|datagram| datagram.has_port(2152));
    found.is_some_and(|own| {
        own.payload.first().is_some_and(|flags| flags & 4 != 0) && own.payload.get(11) == Some(&0x85)
    })
}

/// Whether a GTP-U message says nothing of its user: an End Marker (TS 29.281 7.3.2), or a packet between
/// link-local addresses (router solicitation and advertisement).
pub fn names_no_user(frame: &[u8]) -> bool {
    let local = |address: IpAddr| match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => {
            address.is_unicast_link_local() || address.is_multicast() || address.is_unspecified()
        }
    };
    matches!(kind(frame), Kind::Tunnel(..)) && inner(frame).is_none_or(|(a, b)| local(a) && local(b))
}

/// A set-up that a capture shows: an answer that accepts, and its request is there too.
#[derive(Clone, Debug)]
pub struct SetUp {
    /// Time of the answer.
    pub time_ns: u64,
    /// The user's addresses, prefixes by their first address.
    pub users: Vec<IpAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Protocol {
    Gtpv1,
    Gtpv2,
    Pfcp,
}

/// The elements of a message as (type, value); the walk ends where it does not know how long one is.
fn elements(protocol: Protocol, mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    while let Some(&first) = bytes.first() {
        let (kind, header, length) = match protocol {
            Protocol::Gtpv2 => (u16::from(first), 4, u16_at(bytes, 1)),
            Protocol::Pfcp => (u16_at(bytes, 0).unwrap_or(0), 4, u16_at(bytes, 2)),
            Protocol::Gtpv1 if first >= 128 => (u16::from(first), 3, u16_at(bytes, 1)),
            // TS 29.060 7.7: those of a fixed length.
            Protocol::Gtpv1 => {
                let length = match first {
                    1 | 8 | 11 | 13..=15 | 19..=21 | 23 | 24 | 29 => Some(1),
                    2 => Some(8),
                    3 => Some(6),
                    4 | 5 | 16 | 17 | 127 => Some(4),
                    18 => Some(5),
                    22 => Some(9),
                    25..=28 => Some(2),
                    _ => None,
                };
                (u16::from(first), 1, length)
            }
        };
        let Some(length) = length.map(usize::from) else { break };
        let Some(value) = bytes.get(header..header + length) else { break };
        found.push((kind, value));
        bytes = &bytes[header + length..];
    }
    found
}

/// One session management message: which, its number, its elements.
struct Message<'a> {
    protocol: Protocol,
    kind: u8,
    sequence: u32,
    elements: Vec<(u16, &'a [u8])>,
}

fn message<'a>(datagram: &Datagram<'a>) -> Option<Message<'a>> {
    let bytes = datagram.payload;
    let (flags, kind) = (*bytes.first()?, *bytes.get(1)?);
    let protocol = match flags >> 5 {
        1 if datagram.has_port(8805) => Protocol::Pfcp,
        1 if datagram.has_port(2123) => Protocol::Gtpv1,
        2 if datagram.has_port(2123) => Protocol::Gtpv2,
        _ => return None,
    };
    let (sequence, body) = match protocol {
        Protocol::Gtpv1 => (u32::from(u16_at(bytes, 8)?), if flags & 7 == 0 { 8 } else { 12 }),
        Protocol::Gtpv2 if flags & 8 == 0 => (u32_at(bytes, 4)? >> 8, 8),
        Protocol::Gtpv2 => (u32_at(bytes, 8)? >> 8, 12),
        Protocol::Pfcp if flags & 1 == 0 => (u32_at(bytes, 4)? >> 8, 8),
        Protocol::Pfcp => (u32_at(bytes, 12)? >> 8, 16),
    };
    Some(Message { protocol, kind, sequence, elements: elements(protocol, bytes.get(body..)?) })
}

/// PDN Address Allocation (TS 29.274 8.14), End User Address (TS 29.060 7.7.27), UE IP Address (TS
/// 29.244 8.2.62).
fn users(message: &Message<'_>) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for &(kind, value) in &message.elements {
        match (message.protocol, kind) {
            (Protocol::Gtpv2, 79) => match value.first().map(|kind| kind & 7) {
                Some(1) => found.push(v4_at(value, 1)),
                Some(2) => found.push(v6_at(value, 2)),
                Some(3) => found.extend([v6_at(value, 2), v4_at(value, 18)]),
                _ => {}
            },
            (Protocol::Gtpv1, 128) => match value.get(1) {
                Some(0x21) => found.push(v4_at(value, 2)),
                Some(0x57) => found.push(v6_at(value, 2)),
                Some(0x8d) => found.extend([v4_at(value, 2), v6_at(value, 6)]),
                _ => {}
            },
            (Protocol::Pfcp, 1) => {
                let rule = elements(Protocol::Pfcp, value);
                let inside = rule.iter().filter(|(kind, _)| *kind == 2);
                for (kind, value) in inside.flat_map(|(_, value)| elements(Protocol::Pfcp, value)) {
                    match (kind, value.first().map(|flags| flags & 3)) {
                        (93, Some(1)) => found.push(v6_at(value, 1)),
                        (93, Some(2)) => found.push(v4_at(value, 1)),
                        (93, Some(3)) => found.extend([v4_at(value, 1), v6_at(value, 5)]),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    let mut found: Vec<_> = found.into_iter().flatten().map(of_user).collect();
    found.sort();
    found.dedup();
    found.retain(|address| !address.is_unspecified());
    found
}

/// Whether an answer accepts. TS 29.060 7.7.1, TS 29.274 8.4, TS 29.244 8.2.1.
fn accepts(message: &Message<'_>) -> bool {
    let (element, accepted) = match message.protocol {
        Protocol::Gtpv1 => (1, 128..=191),
        Protocol::Gtpv2 => (2, 16..=63),
        Protocol::Pfcp => (19, 1..=1),
    };
    let cause = message.elements.iter().find(|(kind, _)| *kind == element);
    cause.and_then(|(_, value)| value.first()).is_some_and(|cause| accepted.contains(cause))
}

/// The set-ups that a capture shows, in the order of their answers.
pub fn set_ups(records: &[Record]) -> Vec<SetUp> {
    // Create PDP Context, Create Session, PFCP Session Establishment: the request; its answer is the next.
    let request = |protocol| match protocol {
        Protocol::Gtpv1 => 16,
        Protocol::Gtpv2 => 32,
        Protocol::Pfcp => 50,
    };
    let mut requests = HashMap::new();
    let messages = || records.iter().filter_map(|record| Some((record.time_ns, datagram(&record.bytes)?)));
    for (_, datagram) in messages() {
        let Some(message) = message(&datagram) else { continue };
        if message.kind == request(message.protocol) {
            let key = (message.protocol, message.sequence, datagram.from, datagram.to);
            requests.insert(key, users(&message));
        }
    }
    let mut found = Vec::new();
    for (time_ns, datagram) in messages() {
        let Some(answer) = message(&datagram) else { continue };
        let key = (answer.protocol, answer.sequence, datagram.to, datagram.from);
        if answer.kind != request(answer.protocol) + 1 || !accepts(&answer) {
            continue;
        }
        if let Some(of_request) = requests.get(&key) {
            // In PFCP the request tells the address, which the control function chose.
            let is_pfcp = answer.protocol == Protocol::Pfcp;
            let users = if is_pfcp { of_request.clone() } else { users(&answer) };
            found.push(SetUp { time_ns, users });
        }
    }
    found
}

/// Protocol, sequence number, who asks, and who is asked.
pub type Exchange = (u8, u32, (IpAddr, u16), (IpAddr, u16));

/// A message of the control plane: what its header says, and whom and which endpoints it names.
#[derive(Clone, Debug)]
pub struct Signal {
    /// Between nodes: Echo, Heartbeat, Association.
    pub of_nodes: bool,
    pub is_answer: bool,
    pub accepts: bool,
    /// The same for a request and its answer.
    pub exchange: Exchange,
    /// Address and TEID or SEID that it is sent to; `None` where it is 0 or left out.
    pub to: Option<(IpAddr, u64)>,
    pub imsi: Option<String>,
    /// The user's addresses in it.
    pub users: Vec<IpAddr>,
    /// Endpoints of the control plane in it.
    pub endpoints: Vec<(IpAddr, u64)>,
}

/// The message in a frame of the control plane that the generator made.
pub fn signal(frame: &[u8]) -> Option<Signal> {
    let datagram = datagram(frame)?;
    let message = message_or_header(&datagram)?;
    let bytes = datagram.payload;
    let (flags, kind) = (bytes[0], message.kind);
    let (number, of_nodes, is_answer, id) = match message.protocol {
        // GTPv1: the answers of the requests there are (16, 18, 20) are odd; so is that of a Context one.
        Protocol::Gtpv1 => (1, kind < 16, kind & 1 == 1, u32_at(bytes, 4).map(u64::from)),
        Protocol::Gtpv2 => {
            let is_answer = match kind {
                95.. => matches!(kind, 96 | 98 | 100 | 131 | 134 | 167 | 169 | 171 | 177 | 212),
                _ => kind & 1 == 1,
            };
            (2, kind < 4, is_answer, (flags & 8 != 0).then(|| u32_at(bytes, 4).map(u64::from)).flatten())
        }
        Protocol::Pfcp => {
            let seid = || Some(u64::from(u32_at(bytes, 4)?) << 32 | u64::from(u32_at(bytes, 8)?));
            (3, kind < 50, kind & 1 == 1, (flags & 1 != 0).then(seid).flatten())
        }
    };
    let (from, to) = if is_answer { (datagram.to, datagram.from) } else { (datagram.from, datagram.to) };
    let digits = |value: &[u8]| {
        let nibbles = value.iter().flat_map(|byte| [byte & 15, byte >> 4]);
        nibbles.take_while(|&digit| digit < 10).map(|digit| char::from(b'0' + digit)).collect::<String>()
    };
    let (mut imsi, mut endpoints) = (None, Vec::new());
    let mut teid = None;
    for &(element, value) in &message.elements {
        match (message.protocol, element) {
            (Protocol::Gtpv2, 1) | (Protocol::Gtpv1, 2) => imsi = Some(digits(value)),
            (Protocol::Pfcp, 141) if value[0] & 1 == 1 => {
                imsi = Some(digits(&value[2..2 + usize::from(value[1])]));
            }
            (Protocol::Gtpv2, 87) => {
                let (v4, v6) = (value[0] & 0x80 != 0, value[0] & 0x40 != 0);
                let teid = u64::from(u32_at(value, 1)?);
                endpoints.extend(v4.then(|| v4_at(value, 5)).flatten().map(|ip| (ip, teid)));
                endpoints
                    .extend(v6.then(|| v6_at(value, if v4 { 9 } else { 5 })).flatten().map(|ip| (ip, teid)));
            }
            (Protocol::Gtpv1, 17) => teid = u32_at(value, 0),
            // The first address is that of the control plane. TS 29.060 7.3.1.
            (Protocol::Gtpv1, 133) => {
                let ip = if value.len() == 4 { v4_at(value, 0) } else { v6_at(value, 0) };
                endpoints.extend(teid.take().and_then(|teid| Some((ip?, u64::from(teid)))));
            }
            (Protocol::Pfcp, 57) => {
                let seid = u64::from(u32_at(value, 1)?) << 32 | u64::from(u32_at(value, 5)?);
                let ip = if value[0] & 2 != 0 { v4_at(value, 9) } else { v6_at(value, 9) };
                endpoints.extend(ip.map(|ip| (ip, seid)));
            }
            _ => {}
        }
    }
    Some(Signal {
        of_nodes,
        is_answer,
        accepts: accepts(&message),
        exchange: (number, message.sequence, from, to),
        to: id.filter(|&id| id != 0).map(|id| (datagram.to.0, id)),
        imsi,
        users: users(&message),
        endpoints,
    })
}

/// Like [`message`], also of one without a number: an Echo of GTPv1.
fn message_or_header<'a>(datagram: &Datagram<'a>) -> Option<Message<'a>> {
    message(datagram).or_else(|| {
        let (flags, kind) = (*datagram.payload.first()?, *datagram.payload.get(1)?);
        let is_v1 = flags >> 5 == 1 && datagram.has_port(2123);
        is_v1.then(|| Message { protocol: Protocol::Gtpv1, kind, sequence: 0, elements: Vec::new() })
    })
}
