//! Puts the packets of subscribers into their tunnels.

use std::net::IpAddr;
use std::ops::Range;

use super::nodes::{UeAddress, ethernet_between};
use super::state::{Bearer, End, Interface};
use super::subscriber::Access;
use super::{DOWNLINK, Generator, INNER_MTU, Owner, TRANSPORT_MTU, UPLINK, What, mix};
use crate::packet::{
    Extension, Gtpu, Ipv4, Ipv6, Layer, PDU_SESSION_CONTAINER, Packet, fragment, pdu_session_container,
};

/// How the packets of one session travel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    pub(super) session: u32,
    pub(super) ue: UeAddress,
    /// The subscriber knows its prefix.
    pub(super) asked: bool,
    bearers: [Bearer; 2],
    qfi: Option<u8>,
    numbered: bool,
    source_port: u16,
    /// What a packet takes through the SGW.
    latency_ns: u64,
}

impl Path {
    /// Sender and receiver on each stretch, in the order in which a packet passes them.
    fn stretches(&self, voice: bool, direction: usize) -> impl Iterator<Item = (End, End)> + use<> {
        let [default, dedicated] = self.bearers;
        let bearer = if voice && dedicated.ebi != 0 { dedicated } else { default };
        let pairs = if direction == UPLINK {
            [(bearer.radio, bearer.access), (bearer.sgw, bearer.pgw)]
        } else {
            [(bearer.pgw, bearer.sgw), (bearer.access, bearer.radio)]
        };
        pairs.into_iter().filter(|(_, to)| to.is_some())
    }
}

impl Generator {
    /// How packets of a session travel, where there is one.
    pub(super) fn path(&self, session: u32) -> Option<Path> {
        let found = self.sessions.get(session as usize).filter(|session| session.ended_ns.is_none())?;
        let profile = self.profile(found.core.ue);
        Some(Path {
            session,
            ue: found.core.address(self.salt),
            asked: found.core.asked,
            bearers: found.core.bearers,
            qfi: (profile.access == Access::Nr).then_some(profile.qfi),
            numbered: profile.numbered,
            source_port: profile.source_port,
            latency_ns: 60_000 + mix(self.salt ^ u64::from(session)) % 500_000,
        })
    }

    /// Puts the packet in `inner` into its tunnel, in fragments where it is too long for the core.
    pub(super) fn send_inner(&mut self, path: &Path, voice: bool, direction: usize) {
        let inner = std::mem::take(&mut self.inner);
        if inner.len() <= TRANSPORT_MTU {
            self.send(path, voice, direction, &inner, 0, 0..2);
        } else {
            let mut scratch = std::mem::take(&mut self.scratch);
            let mut pieces = Vec::new();
            let header = if inner.first().is_some_and(|byte| byte >> 4 == 6) { 48 } else { 20 };
            self.datagram_id = self.datagram_id.wrapping_add(1);
            fragment(&inner, 0, INNER_MTU - header, self.datagram_id, &mut scratch, |piece| {
                pieces.push(piece.to_vec());
            });
            self.scratch = scratch;
            for (place, piece) in (0..).zip(&pieces) {
                self.send(path, voice, direction, piece, place * 40_000, 0..2);
            }
        }
        self.inner = inner;
    }

    /// Makes the frames of one T-PDU on those of its stretches. The first becomes the ready frame where
    /// there is none and nothing delays it.
    pub(super) fn send(
        &mut self,
        path: &Path,
        voice: bool,
        direction: usize,
        inner: &[u8],
        delay_ns: u64,
        stretches: Range<usize>,
    ) {
        let skipped = stretches.start as u64;
        let chosen = path.stretches(voice, direction).skip(stretches.start).take(stretches.len());
        for (place, (from, to)) in (skipped..).zip(chosen) {
            let delay_ns = delay_ns + (place - skipped) * path.latency_ns;
            self.t_pdu(path, (from, to), direction, inner, delay_ns);
        }
    }

    /// One T-PDU on one stretch; in fragments where it is too long for the transport network.
    fn t_pdu(&mut self, path: &Path, (from, to): (End, End), direction: usize, inner: &[u8], delay_ns: u64) {
        let mut owner = Owner { session: path.session, end: to.held, bytes: inner.len() as u32 };
        self.datagram_id = self.datagram_id.wrapping_add(1);
        let container = pdu_session_container(direction == UPLINK, path.qfi.unwrap_or(0));
        let extension = [Extension { kind: PDU_SESSION_CONTAINER, content: &container }];
        let header = Gtpu {
            sequence: path.numbered.then_some(self.datagram_id as u16),
            extensions: if path.qfi.is_some() { &extension } else { &[] },
            ..Gtpu::t_pdu(to.teid)
        };
        let optional = if path.qfi.is_some() {
            8
        } else if path.numbered {
            4
        } else {
            0
        };
        let too_long = if to.v6 { 40 } else { 20 } + 8 + 8 + optional + inner.len() > TRANSPORT_MTU;
        let mut frame = self.spare.pop().unwrap_or_default();
        let vlan = self.options.vlan;
        let mut packet = Packet::new(&mut frame);
        match (from.node.address(to.v6), to.node.address(to.v6)) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                ethernet_between(&mut packet, source.into(), destination.into(), vlan);
                // RFC 6864 4: only what may be fragmented needs a number of its own.
                self.fragmented_id = self.fragmented_id.wrapping_add(u32::from(too_long));
                let id = if too_long { self.fragmented_id as u16 } else { 0 };
                packet
                    .ipv4(&Ipv4 { id, dont_fragment: !too_long, ttl: 62, ..Ipv4::new(source, destination) })
                    .udp_unchecked(path.source_port, 2152);
            }
            (source, destination) => {
                ethernet_between(&mut packet, source, destination, vlan);
                if let (IpAddr::V6(source), IpAddr::V6(destination)) = (source, destination) {
                    packet.ipv6(&Ipv6 { hop_limit: 62, ..Ipv6::new(source, destination) });
                }
                packet.udp(path.source_port, 2152);
            }
        }
        let layers = packet.gtpu(&header).payload(inner).finish();
        if !too_long {
            self.put(delay_ns, owner, frame);
            return;
        }
        let v6 = layers.first(Layer::Ipv6);
        let Some(ip_at) = v6.or(layers.first(Layer::Ipv4)) else { return };
        let header = if v6.is_some() { 48 } else { 20 };
        let (mut pieces, mut scratch) = (Vec::new(), std::mem::take(&mut self.scratch));
        fragment(&frame, ip_at, TRANSPORT_MTU - header, self.datagram_id, &mut scratch, |piece| {
            pieces.push(piece.to_vec());
        });
        self.scratch = scratch;
        for (place, piece) in (0..).zip(pieces) {
            self.put(delay_ns + place * 15_000, owner, piece);
            owner.end = super::state::UNHELD;
        }
    }

    /// The end of what came to an old endpoint. TS 29.281 7.3.2.
    pub(super) fn end_marker(
        &mut self,
        session: u32,
        from: End,
        to: End,
        interface: Interface,
        delay_ns: u64,
    ) {
        if !to.is_some() || interface.direction() != Some(DOWNLINK) {
            return;
        }
        let profile = self.profile(self.core(session).ue);
        let mut frame = self.spare.pop().unwrap_or_default();
        let mut packet = Packet::new(&mut frame);
        let (source, destination) = (from.node.address(to.v6), to.node.address(to.v6));
        ethernet_between(&mut packet, source, destination, self.options.vlan);
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                packet.ipv4(&Ipv4 { ttl: 62, ..Ipv4::new(source, destination) });
                packet.udp_unchecked(profile.source_port, 2152);
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                packet.ipv6(&Ipv6 { hop_limit: 62, ..Ipv6::new(source, destination) });
                packet.udp(profile.source_port, 2152);
            }
            _ => {}
        }
        packet.gtpu(&Gtpu { message: Gtpu::END_MARKER, ..Gtpu::t_pdu(to.teid) }).finish();
        let owner = Owner { session, ..Owner::NOBODY };
        self.later(delay_ns, What::Frame { owner, bytes: frame, signalling: false });
    }
}
