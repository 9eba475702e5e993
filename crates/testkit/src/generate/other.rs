//! Traffic of the nodes themselves, and small pieces of application protocols.

use std::net::IpAddr;

use rand::Rng;

use super::ie::{pfcp, v1, v2};
use super::nodes::{GATEWAYS, Node, PAIRS, RADIO_NODES, ethernet_between, mac};
use super::{Generator, MS, Owner, Ready, What};
use crate::packet::{Gtpu, Ipv4, Packet, Tcp};

/// A question for the address of `host-N.example.com`, or its answer. RFC 1035 4.1.
pub(super) fn dns(out: &mut Vec<u8>, id: u16, name: u64, answer: bool) {
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(if answer { &[0x81, 0x80] } else { &[0x01, 0x00] });
    out.extend_from_slice(&[0, 1, 0, u8::from(answer), 0, 0, 0, 0]);
    let host = format!("host-{name}");
    for label in [host.as_str(), "example", "com"] {
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.extend_from_slice(&[0, 0, 1, 0, 1]);
    if answer {
        out.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 198, 19]);
        out.extend_from_slice(&(name as u16).to_be_bytes());
    }
}

/// MSS, SACK, window scale on a SYN, and time stamps always. RFC 9293 3.2, RFC 7323.
pub(super) fn tcp_options(buffer: &mut [u8; 20], syn: bool, clock: u32) -> &[u8] {
    let [a, b, c, d] = clock.to_be_bytes();
    if syn {
        *buffer = [2, 4, 0x05, 0x34, 4, 2, 8, 10, a, b, c, d, 0, 0, 0, 0, 1, 3, 3, 10];
        return buffer;
    }
    let stamps = [1, 1, 8, 10, a, b, c, d, a, b, c, d];
    let (used, _) = buffer.split_at_mut(stamps.len());
    used.copy_from_slice(&stamps);
    used
}

impl Generator {
    /// A frame of the nodes themselves becomes the ready frame; its answer waits.
    pub(super) fn plan_other(&mut self) {
        let radio = self.rng.random_range(0..RADIO_NODES);
        let gateway = self.rng.random_range(0..GATEWAYS);
        let (pair, plane) = (self.rng.random_range(0..PAIRS), self.plane(gateway));
        let number = self.rng.random::<u16>();
        match self.rng.random_range(0..100) {
            0..25 => {
                let over_ipv6 = self.options.transport_ipv6 > 0.0 && number % 8 == 0;
                let ends = if number % 2 == 0 {
                    (Node::Enb(radio), Node::SgwS1u(plane))
                } else {
                    (Node::Gnb(radio), Node::UpfN3(plane))
                };
                self.exchange(ends, over_ipv6, 2152, |packet, answer| {
                    let message = if answer { Gtpu::ECHO_RESPONSE } else { Gtpu::ECHO_REQUEST };
                    packet.gtpu(&Gtpu { message, sequence: Some(number), ..Gtpu::t_pdu(0) });
                    if answer {
                        // Recovery, TS 29.281 8.2: there, and of no meaning.
                        packet.payload(&[14, 0]);
                    }
                });
            }
            25..40 => {
                let ends = if number % 2 == 0 {
                    (Node::Mme(pair), Node::SgwS11(gateway))
                } else {
                    (Node::sgw_s5(gateway), Node::PgwC(pair))
                };
                let sequence = self.sequence(ends.0);
                self.exchange(ends, false, 2123, |packet, answer| {
                    // Echo with Recovery, TS 29.274 7.1.1, 7.1.2.
                    packet.gtpv2c(if answer { 2 } else { 1 }, None, sequence);
                    v2::recovery(packet);
                });
            }
            40..45 => {
                let sequence = self.sequence(Node::SgsnC(pair)) as u16;
                let ends = (Node::SgsnC(pair), Node::GgsnC(gateway % PAIRS));
                self.exchange(ends, false, 2123, |packet, answer| {
                    packet.gtpv1c(if answer { 2 } else { 1 }, 0, sequence);
                    if answer {
                        v1::recovery(packet);
                    }
                });
            }
            45..60 => {
                let sequence = self.sequence(Node::Smf);
                self.exchange((Node::Smf, Node::UpfN4(gateway)), false, 8805, |packet, answer| {
                    // Heartbeat with Recovery Time Stamp, TS 29.244 7.4.2.
                    packet.pfcp(if answer { 2 } else { 1 }, None, sequence);
                    pfcp::recovery(packet);
                });
            }
            60..65 => self.exchange((Node::GgsnC(pair), Node::Charging), false, 3386, |packet, answer| {
                packet.gtp_prime(if answer { 2 } else { 1 }, number);
                if answer {
                    packet.payload(&[14, 7]);
                }
            }),
            65..75 => self.exchange((Node::Mme(pair), Node::Dns), false, 53, |packet, answer| {
                let mut message = Vec::with_capacity(64);
                dns(&mut message, number, u64::from(number % 100), answer);
                packet.payload(&message);
            }),
            75..85 => {
                // Heartbeat of the S1AP association, RFC 9260 3.3.5.
                let (enb, mme) = (Node::Enb(radio).ipv4(), Node::Mme(pair).ipv4());
                let vlan = self.options.vlan;
                let info = [0, 1, 0, 12, 0, 0, 0, 1, 0, 0, (number >> 8) as u8, number as u8];
                for (kind, source, destination) in [(4, enb, mme), (5, mme, enb)] {
                    let mut frame = Vec::with_capacity(128);
                    let mut packet = Packet::new(&mut frame);
                    ethernet_between(&mut packet, source.into(), destination.into(), vlan);
                    packet
                        .ipv4(&Ipv4 { dont_fragment: true, ..Ipv4::new(source, destination) })
                        .sctp(36_412, 36_412, 0x5157_0000 + u32::from(radio))
                        .sctp_chunk(kind, 0, &info)
                        .finish();
                    self.ready_or_wait(frame, false);
                }
            }
            85..93 => {
                let (sender, target) = (Node::UpfN4(gateway).ipv4(), Node::Smf.ipv4());
                let (a, b) = (mac(sender.into()), mac(target.into()));
                let vlan = self.options.vlan;
                for (operation, to, from, target) in
                    [(1, [0xff; 6], (a, sender), ([0; 6], target)), (2, a, (b, target), (a, sender))]
                {
                    let mut frame = Vec::with_capacity(64);
                    let mut packet = Packet::new(&mut frame);
                    packet.ethernet(to, from.0);
                    if let Some(vlan) = vlan {
                        packet.vlan(0x8100, vlan);
                    }
                    packet.arp(operation, from, target).finish();
                    // The shortest frame that Ethernet carries, without its checksum.
                    frame.resize(frame.len().max(60), 0);
                    self.ready_or_wait(frame, false);
                }
            }
            _ => {
                // A keepalive between two routers, RFC 4271 4.4.
                let (source, destination) = (Node::SgwS11(0).ipv4(), Node::SgwS11(1).ipv4());
                let mut frame = Vec::with_capacity(128);
                let mut packet = Packet::new(&mut frame);
                ethernet_between(&mut packet, source.into(), destination.into(), self.options.vlan);
                self.keepalives = self.keepalives.wrapping_add(1);
                packet
                    .ipv4(&Ipv4 { ttl: 1, dont_fragment: true, ..Ipv4::new(source, destination) })
                    .tcp(&Tcp {
                        flags: Tcp::PSH | Tcp::ACK,
                        sequence: self.keepalives.wrapping_mul(19),
                        ..Tcp::new(50_179, 179)
                    })
                    .payload(&[0xff; 16])
                    .payload(&[0, 19, 4])
                    .finish();
                self.ready_or_wait(frame, false);
            }
        }
    }

    /// A request over UDP and its answer, on the same ports.
    fn exchange(
        &mut self,
        (asks, answers): (Node, Node),
        over_ipv6: bool,
        port: u16,
        body: impl Fn(&mut Packet<'_>, bool),
    ) {
        let (asks, answers) = (asks.address(over_ipv6), answers.address(over_ipv6));
        // Those that have both ends on one port do; a DNS client has its own.
        let own = if port == 53 { 50_053 } else { port };
        for answer in [false, true] {
            let (from, to) = if answer { (answers, asks) } else { (asks, answers) };
            let mut frame = Vec::with_capacity(160);
            let mut packet = Packet::new(&mut frame);
            ethernet_between(&mut packet, from, to, self.options.vlan);
            match (from, to) {
                (IpAddr::V4(from), IpAddr::V4(to)) => packet.ipv4(&Ipv4::new(from, to)),
                (IpAddr::V6(from), IpAddr::V6(to)) => packet.ipv6(&crate::packet::Ipv6::new(from, to)),
                _ => &mut packet,
            };
            if answer {
                packet.udp(port, own)
            } else {
                packet.udp(own, port)
            };
            body(&mut packet, answer);
            packet.finish();
            self.ready_or_wait(frame, matches!(port, 2123 | 8805));
        }
    }

    /// The first frame is ready, those after it leave a little later.
    fn ready_or_wait(&mut self, frame: Vec<u8>, signalling: bool) {
        if self.ready == Ready::Nothing {
            (self.frame, self.owner) = (frame, Owner::NOBODY);
            self.ready = if signalling { Ready::Signalling } else { Ready::Frame };
        } else {
            let delay_ns = self.rng.random_range(MS / 5..2 * MS);
            self.later(delay_ns, What::Frame { owner: Owner::NOBODY, bytes: frame, signalling });
        }
    }
}
