//! Writes packets layer by layer, with lengths and checksums right.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::checksum::{Sum, crc32c};

mod gtp;

pub use gtp::{Extension, Gtpu, PDU_SESSION_CONTAINER, pdu_session_container};

/// Layers that one packet can have; more are written but get neither length nor checksum.
const LAYERS_MAX: usize = 128;

/// EtherTypes, IEEE 802 numbers.
mod ethertype {
    pub(super) const IPV4: u16 = 0x0800;
    pub(super) const ARP: u16 = 0x0806;
    pub(super) const BRIDGING: u16 = 0x6558;
    pub(super) const IPV6: u16 = 0x86dd;
    pub(super) const MPLS: u16 = 0x8847;
    pub(super) const ERSPAN_II: u16 = 0x88be;
}

/// IP protocol numbers that the builder writes.
pub mod protocol {
    /// IPv6 hop-by-hop options.
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// IPv4 in IP.
    pub const IPV4: u8 = 4;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 in IP.
    pub const IPV6: u8 = 41;
    /// IPv6 routing header.
    pub const ROUTING: u8 = 43;
    /// IPv6 fragment header.
    pub const FRAGMENT: u8 = 44;
    /// GRE.
    pub const GRE: u8 = 47;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
    /// No next header.
    pub const NONE: u8 = 59;
    /// IPv6 destination options.
    pub const DESTINATION: u8 = 60;
    /// SCTP.
    pub const SCTP: u8 = 132;
}

/// Which header a layer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Ethernet II.
    Ethernet,
    /// A VLAN tag: its four bytes begin with the tag control information.
    Vlan,
    /// One MPLS label.
    Mpls,
    /// ARP for IPv4.
    Arp,
    /// IPv4 with its options.
    Ipv4,
    /// The fixed IPv6 header.
    Ipv6,
    /// One IPv6 extension header.
    Ipv6Extension,
    /// UDP, with a checksum.
    Udp,
    /// UDP with checksum 0.
    UdpUnchecked,
    /// TCP with its options.
    Tcp,
    /// ICMP.
    Icmp,
    /// ICMPv6.
    Icmpv6,
    /// SCTP common header.
    Sctp,
    /// GRE.
    Gre,
    /// ERSPAN type II.
    Erspan,
    /// VXLAN.
    Vxlan,
    /// GTP-U with optional fields and extension headers.
    Gtpu,
    /// GTPv1-C.
    Gtpv1c,
    /// GTPv2-C.
    Gtpv2c,
    /// PFCP.
    Pfcp,
    /// GTP′.
    GtpPrime,
}

/// What an IPv4 header says. The protocol is set by the layer that follows.
#[derive(Clone, Copy, Debug)]
pub struct Ipv4<'a> {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// Type of service.
    pub tos: u8,
    /// Time to live.
    pub ttl: u8,
    /// Identification.
    pub id: u16,
    /// DF.
    pub dont_fragment: bool,
    /// MF.
    pub more_fragments: bool,
    /// Fragment offset in units of 8 bytes.
    pub fragment_offset: u16,
    /// Protocol where no layer follows, as in later fragments.
    pub protocol: u8,
    /// Options; filled up with zeros to a multiple of 4.
    pub options: &'a [u8],
}

impl Ipv4<'_> {
    /// A plain header between two addresses.
    #[must_use]
    pub fn new(source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        Self {
            source,
            destination,
            tos: 0,
            ttl: 64,
            id: 0,
            dont_fragment: false,
            more_fragments: false,
            fragment_offset: 0,
            protocol: 255,
            options: &[],
        }
    }
}

/// What an IPv6 header says. The next header is set by the layer that follows.
#[derive(Clone, Copy, Debug)]
pub struct Ipv6 {
    /// Source address.
    pub source: Ipv6Addr,
    /// Destination address.
    pub destination: Ipv6Addr,
    /// Traffic class.
    pub traffic_class: u8,
    /// Flow label, 20 bits.
    pub flow_label: u32,
    /// Hop limit.
    pub hop_limit: u8,
    /// Next header where no layer follows.
    pub next_header: u8,
}

impl Ipv6 {
    /// A plain header between two addresses.
    #[must_use]
    pub fn new(source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        Self {
            source,
            destination,
            traffic_class: 0,
            flow_label: 0,
            hop_limit: 64,
            next_header: protocol::NONE,
        }
    }
}

/// What a TCP header says.
#[derive(Clone, Copy, Debug)]
pub struct Tcp<'a> {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgement number.
    pub acknowledgement: u32,
    /// CWR ECE URG ACK PSH RST SYN FIN, lowest bit last.
    pub flags: u8,
    /// Window.
    pub window: u16,
    /// Options; filled up with zeros to a multiple of 4.
    pub options: &'a [u8],
}

impl Tcp<'_> {
    /// FIN.
    pub const FIN: u8 = 0x01;
    /// SYN.
    pub const SYN: u8 = 0x02;
    /// RST.
    pub const RST: u8 = 0x04;
    /// PSH.
    pub const PSH: u8 = 0x08;
    /// ACK.
    pub const ACK: u8 = 0x10;

    /// An ACK between two ports.
    #[must_use]
    pub fn new(source: u16, destination: u16) -> Self {
        Self {
            source,
            destination,
            sequence: 1,
            acknowledgement: 1,
            flags: Self::ACK,
            window: 0xffff,
            options: &[],
        }
    }
}

/// Where the layers of a finished packet begin, so that a test can spoil exactly one field.
#[derive(Clone, Copy, Debug)]
pub struct Layers {
    layers: [(Layer, u16); LAYERS_MAX],
    count: usize,
}

impl Layers {
    /// The layers from outside in, each with its offset in the packet.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Layer, usize)> {
        self.layers.iter().take(self.count).map(|&(layer, at)| (layer, usize::from(at)))
    }

    /// Offset of the `nth` (from 0) header of this kind, from outside.
    #[must_use]
    pub fn nth(&self, kind: Layer, nth: usize) -> Option<usize> {
        self.iter().filter(|&(layer, _)| layer == kind).nth(nth).map(|(_, at)| at)
    }

    /// Offset of the outermost header of this kind.
    #[must_use]
    pub fn first(&self, kind: Layer) -> Option<usize> {
        self.nth(kind, 0)
    }

    fn push(&mut self, layer: Layer, at: usize) {
        if let (Some(slot), Ok(at)) = (self.layers.get_mut(self.count), u16::try_from(at)) {
            *slot = (layer, at);
            self.count += 1;
        }
    }

    fn last(&self) -> Option<(Layer, usize)> {
        self.iter().next_back()
    }
}

/// A packet in the making, at the end of the caller's buffer. Each call adds a layer inside the one
/// before; [`Packet::finish`] fills in lengths and checksums.
#[derive(Debug)]
pub struct Packet<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    layers: Layers,
}

impl<'a> Packet<'a> {
    /// A packet that begins at the end of `out`. Nothing is allocated but what `out` needs to grow.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        Self { out, start, layers: Layers { layers: [(Layer::Ethernet, 0); LAYERS_MAX], count: 0 } }
    }

    /// Ethernet II.
    pub fn ethernet(&mut self, destination: [u8; 6], source: [u8; 6]) -> &mut Self {
        self.next(ethertype::BRIDGING, 0).push(Layer::Ethernet);
        // "Loopback" until a layer follows.
        self.put(&destination).put(&source).put16(0x9000)
    }

    /// A VLAN tag with a TPID of 0x8100, 0x88a8 or 0x9100.
    pub fn vlan(&mut self, tpid: u16, id: u16) -> &mut Self {
        self.next(tpid, 0).push(Layer::Vlan);
        self.put16(id & 0x0fff).put16(0x9000)
    }

    /// One MPLS label; the bottom of the stack is marked.
    pub fn mpls(&mut self, label: u32) -> &mut Self {
        if let Some((Layer::Mpls, at)) = self.layers.last() {
            self.change(at + 2, |byte| byte & !1);
        }
        self.next(ethertype::MPLS, 0).push(Layer::Mpls);
        self.put32((label & 0x000f_ffff) << 12 | 0x0140)
    }

    /// ARP between two hosts: 1 asks, 2 answers.
    pub fn arp(
        &mut self,
        operation: u16,
        sender: ([u8; 6], Ipv4Addr),
        target: ([u8; 6], Ipv4Addr),
    ) -> &mut Self {
        self.next(ethertype::ARP, 0).push(Layer::Arp);
        self.put(&[0, 1, 8, 0, 6, 4]).put16(operation);
        self.put(&sender.0).put(&sender.1.octets()).put(&target.0).put(&target.1.octets())
    }

    /// IPv4. RFC 791 3.1.
    pub fn ipv4(&mut self, header: &Ipv4<'_>) -> &mut Self {
        self.next(ethertype::IPV4, protocol::IPV4).push(Layer::Ipv4);
        let words = 5 + header.options.len().div_ceil(4);
        let flags = u16::from(header.dont_fragment) << 14
            | u16::from(header.more_fragments) << 13
            | header.fragment_offset & 0x1fff;
        self.put(&[0x40 | words.min(15) as u8, header.tos]).put16(0).put16(header.id).put16(flags);
        self.put(&[header.ttl, header.protocol, 0, 0]);
        self.put(&header.source.octets()).put(&header.destination.octets());
        self.put(header.options).zeros(words * 4 - 20 - header.options.len())
    }

    /// IPv6. RFC 8200 3.
    pub fn ipv6(&mut self, header: &Ipv6) -> &mut Self {
        self.next(ethertype::IPV6, protocol::IPV6).push(Layer::Ipv6);
        self.put32(6 << 28 | u32::from(header.traffic_class) << 20 | header.flow_label & 0x000f_ffff);
        self.put16(0).put(&[header.next_header, header.hop_limit]);
        self.put(&header.source.octets()).put(&header.destination.octets())
    }

    /// An IPv6 extension header of type [`protocol::HOP_BY_HOP`], [`protocol::ROUTING`] or
    /// [`protocol::DESTINATION`]; `body` is what follows its length byte, filled up with PadN options.
    pub fn ipv6_extension(&mut self, kind: u8, body: &[u8]) -> &mut Self {
        self.next(0, kind).push(Layer::Ipv6Extension);
        let length = (2 + body.len()).div_ceil(8) * 8;
        self.put(&[protocol::NONE, (length / 8 - 1) as u8]).put(body);
        match length - 2 - body.len() {
            0 => self,
            1 => self.put(&[0]),
            pad => self.put(&[1, (pad - 2) as u8]).zeros(pad - 2),
        }
    }

    /// An IPv6 fragment header; the offset is in units of 8 bytes, `next_header` is for later
    /// fragments, which no layer follows. RFC 8200 4.5.
    pub fn ipv6_fragment(&mut self, id: u32, offset: u16, more: bool, next_header: u8) -> &mut Self {
        self.next(0, protocol::FRAGMENT).push(Layer::Ipv6Extension);
        self.put(&[next_header, 0]).put16(offset << 3 | u16::from(more)).put32(id)
    }

    /// UDP with a checksum. RFC 768.
    pub fn udp(&mut self, source: u16, destination: u16) -> &mut Self {
        self.next(0, protocol::UDP).push(Layer::Udp);
        self.put16(source).put16(destination).put32(0)
    }

    /// UDP with checksum 0: none over IPv4, and for tunnels over IPv6 (RFC 6935).
    pub fn udp_unchecked(&mut self, source: u16, destination: u16) -> &mut Self {
        self.next(0, protocol::UDP).push(Layer::UdpUnchecked);
        self.put16(source).put16(destination).put32(0)
    }

    /// TCP. RFC 9293 3.1.
    pub fn tcp(&mut self, header: &Tcp<'_>) -> &mut Self {
        self.next(0, protocol::TCP).push(Layer::Tcp);
        let words = 5 + header.options.len().div_ceil(4);
        self.put16(header.source).put16(header.destination);
        self.put32(header.sequence).put32(header.acknowledgement);
        self.put(&[(words.min(15) << 4) as u8, header.flags]).put16(header.window).put32(0);
        self.put(header.options).zeros(words * 4 - 20 - header.options.len())
    }

    /// ICMP with the second word of its header. RFC 792.
    pub fn icmp(&mut self, kind: u8, code: u8, rest: u32) -> &mut Self {
        self.next(0, protocol::ICMP).push(Layer::Icmp);
        self.put(&[kind, code, 0, 0]).put32(rest)
    }

    /// ICMPv6 with the second word of its header. RFC 4443 2.1.
    pub fn icmpv6(&mut self, kind: u8, code: u8, rest: u32) -> &mut Self {
        self.next(0, protocol::ICMPV6).push(Layer::Icmpv6);
        self.put(&[kind, code, 0, 0]).put32(rest)
    }

    /// SCTP common header. RFC 9260 3.1.
    pub fn sctp(&mut self, source: u16, destination: u16, verification_tag: u32) -> &mut Self {
        self.next(0, protocol::SCTP).push(Layer::Sctp);
        self.put16(source).put16(destination).put32(verification_tag).put32(0)
    }

    /// A chunk after the SCTP header, filled up to a multiple of 4. RFC 9260 3.2.
    pub fn sctp_chunk(&mut self, kind: u8, flags: u8, value: &[u8]) -> &mut Self {
        self.put(&[kind, flags]).put16(4 + value.len() as u16).put(value);
        self.zeros(value.len().next_multiple_of(4) - value.len())
    }

    /// GRE without optional fields. RFC 2784.
    pub fn gre(&mut self) -> &mut Self {
        self.next(0, protocol::GRE).push(Layer::Gre);
        self.put32(0)
    }

    /// GRE with a sequence number and ERSPAN type II inside; Ethernet follows.
    pub fn erspan(&mut self, vlan: u16, session: u16) -> &mut Self {
        self.next(0, protocol::GRE).push(Layer::Gre);
        self.put16(0x1000).put16(ethertype::ERSPAN_II).put32(1);
        self.push(Layer::Erspan);
        self.put16(0x1000 | vlan & 0x0fff).put16(session & 0x03ff).put32(0)
    }

    /// VXLAN, after UDP to port 4789; Ethernet follows. RFC 7348 5.
    pub fn vxlan(&mut self, vni: u32) -> &mut Self {
        self.push(Layer::Vxlan);
        self.put32(0x0800_0000).put32(vni << 8)
    }

    /// Bytes inside the innermost layer.
    pub fn payload(&mut self, bytes: &[u8]) -> &mut Self {
        self.put(bytes)
    }

    /// Fills in lengths and checksums from the inside out, and says where the layers are.
    pub fn finish(&mut self) -> Layers {
        let layers = self.layers;
        for (layer, at) in layers.iter().rev() {
            let length = self.out.len() - self.start - at;
            match layer {
                Layer::Ipv4 => {
                    self.set16(at + 2, length as u16);
                    let header = usize::from(self.byte(at) & 0x0f) * 4;
                    self.set16(at + 10, 0);
                    let sum = Sum::default().add(self.slice(at, header)).finish();
                    self.set16(at + 10, sum);
                }
                Layer::Ipv6 => self.set16(at + 4, (length - 40) as u16),
                Layer::Udp => {
                    self.set16(at + 4, length as u16);
                    self.set16(at + 6, 0);
                    // RFC 768: a sum of 0 is sent as all ones.
                    let sum = match self.transport_sum(&layers, at, protocol::UDP) {
                        0 => 0xffff,
                        sum => sum,
                    };
                    self.set16(at + 6, sum);
                }
                Layer::UdpUnchecked => self.set16(at + 4, length as u16),
                Layer::Tcp => {
                    self.set16(at + 16, 0);
                    let sum = self.transport_sum(&layers, at, protocol::TCP);
                    self.set16(at + 16, sum);
                }
                Layer::Icmp => {
                    self.set16(at + 2, 0);
                    let sum = Sum::default().add(self.slice(at, length)).finish();
                    self.set16(at + 2, sum);
                }
                Layer::Icmpv6 => {
                    self.set16(at + 2, 0);
                    let sum = self.transport_sum(&layers, at, protocol::ICMPV6);
                    self.set16(at + 2, sum);
                }
                Layer::Sctp => {
                    self.set(at + 8, &[0; 4]);
                    // RFC 9260 appendix A: the checksum is sent with its lowest byte first.
                    let sum = crc32c(self.slice(at, length)).to_le_bytes();
                    self.set(at + 8, &sum);
                }
                Layer::Gtpu | Layer::Gtpv1c => self.set16(at + 2, length.saturating_sub(8) as u16),
                Layer::Gtpv2c | Layer::Pfcp => self.set16(at + 2, length.saturating_sub(4) as u16),
                Layer::GtpPrime => self.set16(at + 2, length.saturating_sub(6) as u16),
                Layer::Ethernet
                | Layer::Vlan
                | Layer::Mpls
                | Layer::Arp
                | Layer::Ipv6Extension
                | Layer::Gre
                | Layer::Erspan
                | Layer::Vxlan => {}
            }
        }
        layers
    }

    /// The checksum of a transport layer over the pseudo header of the IP header around it.
    fn transport_sum(&self, layers: &Layers, at: usize, number: u8) -> u16 {
        let bytes = self.slice(at, self.out.len());
        let around = layers
            .iter()
            .take_while(|&(_, offset)| offset < at)
            .filter(|(layer, _)| matches!(layer, Layer::Ipv4 | Layer::Ipv6))
            .last();
        let addresses = match around {
            Some((Layer::Ipv4, ip)) => self.slice(ip + 12, 8),
            Some((_, ip)) => self.slice(ip + 8, 32),
            None => &[],
        };
        let length = (bytes.len() as u32).to_be_bytes();
        Sum::default().add(addresses).add(&length).add(&[0, number]).add(bytes).finish()
    }

    /// Tells the layer before what follows it.
    fn next(&mut self, ethertype: u16, protocol: u8) -> &mut Self {
        match self.layers.last() {
            Some((Layer::Ethernet, at)) => self.set16(at + 12, ethertype),
            Some((Layer::Vlan | Layer::Gre, at)) => self.set16(at + 2, ethertype),
            Some((Layer::Ipv4, at)) => self.set(at + 9, &[protocol]),
            Some((Layer::Ipv6, at)) => self.set(at + 6, &[protocol]),
            Some((Layer::Ipv6Extension, at)) => self.set(at, &[protocol]),
            _ => {}
        }
        self
    }

    fn push(&mut self, layer: Layer) {
        let at = self.out.len() - self.start;
        self.layers.push(layer, at);
    }

    fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.extend_from_slice(bytes);
        self
    }

    fn put16(&mut self, value: u16) -> &mut Self {
        self.put(&value.to_be_bytes())
    }

    fn put32(&mut self, value: u32) -> &mut Self {
        self.put(&value.to_be_bytes())
    }

    fn zeros(&mut self, count: usize) -> &mut Self {
        self.out.resize(self.out.len() + count, 0);
        self
    }

    fn slice(&self, at: usize, length: usize) -> &[u8] {
        let bytes = self.out.get(self.start + at..).unwrap_or_default();
        bytes.get(..length).unwrap_or(bytes)
    }

    fn byte(&self, at: usize) -> u8 {
        self.slice(at, 1).first().copied().unwrap_or(0)
    }

    fn set(&mut self, at: usize, bytes: &[u8]) {
        let at = self.start + at;
        if let Some(place) = self.out.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    fn set16(&mut self, at: usize, value: u16) {
        self.set(at, &value.to_be_bytes());
    }

    fn change(&mut self, at: usize, with: impl Fn(u8) -> u8) {
        let byte = with(self.byte(at));
        self.set(at, &[byte]);
    }
}

/// Cuts the IP packet that begins at `ip_at` in `frame` into fragments whose IP payload is at most
/// `payload_max` bytes (rounded down to a multiple of 8), each behind the same bytes that stand before
/// `ip_at`. `id` is for IPv6; IPv4 keeps its own. Returns the number of fragments handed to `each`;
/// 0, and none handed on, where there is no whole IP packet.
pub fn fragment(
    frame: &[u8],
    ip_at: usize,
    payload_max: usize,
    id: u32,
    scratch: &mut Vec<u8>,
    mut each: impl FnMut(&[u8]),
) -> usize {
    let Some((before, ip)) = frame.split_at_checked(ip_at) else { return 0 };
    let is_v4 = ip.first().is_some_and(|byte| byte >> 4 == 4);
    let header_length = if is_v4 { ip.first().map_or(0, |byte| usize::from(byte & 0x0f) * 4) } else { 40 };
    let Some((header, body)) = ip.split_at_checked(header_length) else { return 0 };
    let (step, mut count) = ((payload_max & !7).max(8), 0);
    for (index, piece) in body.chunks(step).enumerate() {
        let offset = (index * step / 8) as u16;
        let more = index * step + piece.len() < body.len();
        scratch.clear();
        scratch.extend_from_slice(before);
        scratch.extend_from_slice(header);
        let mut packet = Packet { start: before.len(), ..Packet::new(scratch) };
        if is_v4 {
            packet.set16(6, offset | u16::from(more) << 13);
            packet.layers.push(Layer::Ipv4, 0);
        } else {
            let next = packet.byte(6);
            packet.set(6, &[protocol::FRAGMENT]);
            packet.layers.push(Layer::Ipv6, 0);
            packet.put(&[next, 0]).put16(offset << 3 | u16::from(more)).put32(id);
        }
        packet.put(piece).finish();
        each(scratch);
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests;
