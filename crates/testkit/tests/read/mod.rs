//! A reader of the few shapes that the generator makes, in the plainest way: it stops a test at the
//! first byte that is not as it should be.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, dead_code, unreachable_pub)]

use std::net::IpAddr;

use testkit::{Generator, GroundTruth, Options};

/// One generated frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub time_ns: u64,
    pub bytes: Vec<u8>,
    pub session: Option<u32>,
}

pub fn all(options: Options) -> (Vec<Frame>, GroundTruth) {
    let mut generator = Generator::new(options).unwrap();
    let mut frames = Vec::new();
    while let Some(frame) = generator.next_frame() {
        frames.push(Frame { time_ns: frame.time_ns, bytes: frame.bytes.to_vec(), session: frame.session });
    }
    (frames, generator.into_truth())
}

/// What a frame is.
#[derive(Debug)]
pub enum Content<'a> {
    Gtpu {
        kind: u8,
        teid: u32,
        inner: &'a [u8],
    },
    /// GTP-C of either version, PFCP: version, message, TEID or SEID, sequence, elements.
    Gtpc {
        version: u8,
        kind: u8,
        teid: u32,
        sequence: u32,
        elements: Vec<Element>,
    },
    Pfcp {
        kind: u8,
        seid: Option<u64>,
        sequence: u32,
        elements: Vec<Element>,
    },
    /// A fragment after the first.
    Later,
    /// UDP to or from this port, or another IP protocol, or no IP at all.
    Udp(u16),
    Other(u16, u8),
}

#[derive(Debug)]
pub struct Read<'a> {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub content: Content<'a>,
}

/// An information element, behind the group that it is in.
#[derive(Clone, Debug)]
pub struct Element {
    pub group: u16,
    pub kind: u16,
    pub instance: u8,
    pub value: Vec<u8>,
}

pub fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

pub fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

pub fn ip(bytes: &[u8]) -> IpAddr {
    match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).unwrap()),
        16 => IpAddr::from(<[u8; 16]>::try_from(bytes).unwrap()),
        length => panic!("an address of {length} bytes"),
    }
}

pub fn addresses(packet: &[u8]) -> (IpAddr, IpAddr) {
    match packet[0] >> 4 {
        4 => (ip(&packet[12..16]), ip(&packet[16..20])),
        6 => (ip(&packet[8..24]), ip(&packet[24..40])),
        other => panic!("IP version {other}"),
    }
}

/// As the packet's own header says.
pub fn ip_length(packet: &[u8]) -> u64 {
    if packet[0] >> 4 == 4 { be16(packet, 2).into() } else { u64::from(be16(packet, 4)) + 40 }
}

/// Is it a fragment of a larger packet?
pub fn is_fragment(packet: &[u8]) -> bool {
    if packet[0] >> 4 == 4 { be16(packet, 6) & 0x3fff != 0 } else { packet[6] == 44 }
}

/// An untagged frame.
pub fn read(frame: &[u8]) -> Option<Read<'_>> {
    let kind = be16(frame, 12);
    let packet = &frame[14..];
    let (protocol, payload, later) = match kind {
        0x0800 => (packet[9], &packet[20..usize::from(be16(packet, 2))], be16(packet, 6) & 0x1fff != 0),
        0x86dd if packet[6] == 44 => (packet[40], &packet[48..], be16(packet, 42) & 0xfff8 != 0),
        0x86dd => (packet[6], &packet[40..], false),
        _ => return None,
    };
    let (source, destination) = addresses(packet);
    let content = if later {
        Content::Later
    } else if protocol != 17 {
        Content::Other(kind, protocol)
    } else {
        let (from, to) = (be16(payload, 0), be16(payload, 2));
        let known = [2152, 2123, 8805, 3386, 53].into_iter().find(|port| *port == to || *port == from);
        let body = &payload[8..];
        match known {
            Some(2152) => gtpu(body),
            Some(2123) => gtpc(body),
            Some(8805) => pfcp(body),
            port => Content::Udp(port.unwrap_or(to)),
        }
    };
    Some(Read { source, destination, content })
}

fn gtpu(body: &[u8]) -> Content<'_> {
    assert_eq!(body[0] >> 4, 3);
    let mut at = 8;
    if body[0] & 7 != 0 {
        let mut next = body[11];
        at = 12;
        while next != 0 {
            let length = usize::from(body[at]) * 4;
            next = body[at + length - 1];
            at += length;
        }
    }
    Content::Gtpu { kind: body[1], teid: be32(body, 4), inner: &body[at..] }
}

fn gtpc(body: &[u8]) -> Content<'_> {
    let (version, kind) = (body[0] >> 5, body[1]);
    if version == 1 {
        assert_eq!((body[0], usize::from(be16(body, 2))), (0x32, body.len() - 8));
        let mut elements = Vec::new();
        let mut at = 12;
        let mut last = 0;
        while at < body.len() {
            let kind = body[at];
            let (start, length) = match kind {
                1 | 8 | 14 | 15 | 19 | 20 => (at + 1, 1),
                26 => (at + 1, 2),
                16 | 17 | 127 => (at + 1, 4),
                3 => (at + 1, 6),
                2 => (at + 1, 8),
                128.. => (at + 3, usize::from(be16(body, at + 1))),
                other => panic!("element {other}"),
            };
            assert!(kind >= last, "TS 29.060 7.7: in ascending order");
            last = kind;
            let instance = elements.iter().filter(|e: &&Element| e.kind == u16::from(kind)).count() as u8;
            let value = body[start..start + length].to_vec();
            elements.push(Element { group: 0, kind: kind.into(), instance, value });
            at = start + length;
        }
        let sequence = be16(body, 8).into();
        return Content::Gtpc { version, kind, teid: be32(body, 4), sequence, elements };
    }
    assert_eq!((version, usize::from(be16(body, 2))), (2, body.len() - 4));
    let has_teid = body[0] & 8 != 0;
    let header = if has_teid { 12 } else { 8 };
    let mut elements = Vec::new();
    walk_v2(&body[header..], 0, &mut elements);
    Content::Gtpc {
        version,
        kind,
        teid: if has_teid { be32(body, 4) } else { 0 },
        sequence: be32(body, header - 4) >> 8,
        elements,
    }
}

fn walk_v2(mut bytes: &[u8], group: u16, out: &mut Vec<Element>) {
    while !bytes.is_empty() {
        let (kind, length) = (u16::from(bytes[0]), usize::from(be16(bytes, 1)));
        let value = &bytes[4..4 + length];
        let instance = bytes[3];
        out.push(Element { group, kind, instance, value: value.to_vec() });
        if kind == 93 {
            walk_v2(value, 93, out);
        }
        bytes = &bytes[4 + length..];
    }
}

fn pfcp(body: &[u8]) -> Content<'_> {
    assert_eq!((body[0] >> 5, usize::from(be16(body, 2))), (1, body.len() - 4));
    let seid = (body[0] & 1 != 0).then(|| u64::from_be_bytes(body[4..12].try_into().unwrap()));
    let header = if seid.is_some() { 16 } else { 8 };
    let mut elements = Vec::new();
    walk_pfcp(&body[header..], 0, &mut elements);
    Content::Pfcp { kind: body[1], seid, sequence: be32(body, header - 4) >> 8, elements }
}

fn walk_pfcp(mut bytes: &[u8], group: u16, out: &mut Vec<Element>) {
    while !bytes.is_empty() {
        let (kind, length) = (be16(bytes, 0), usize::from(be16(bytes, 2)));
        let value = &bytes[4..4 + length];
        out.push(Element { group, kind, instance: 0, value: value.to_vec() });
        if matches!(kind, 1 | 2 | 3 | 4 | 7 | 8 | 10 | 11 | 83) {
            walk_pfcp(value, kind, out);
        }
        bytes = &bytes[4 + length..];
    }
}

/// Digits of a TBCD string.
pub fn digits(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte & 15, byte >> 4])
        .filter(|digit| *digit < 10)
        .map(|digit| char::from(b'0' + digit))
        .collect()
}

/// The first element of this kind.
pub fn first(elements: &[Element], kind: u16) -> Option<&[u8]> {
    elements.iter().find(|element| element.kind == kind).map(|element| element.value.as_slice())
}

/// Does the cause, where there is one, accept?
pub fn accepts(version: u8, elements: &[Element]) -> bool {
    let cause = elements.iter().find(|e| e.group == 0 && e.kind == if version == 1 { 1 } else { 2 });
    cause.is_none_or(|cause| if version == 1 { cause.value[0] == 128 } else { cause.value[0] < 64 })
}
