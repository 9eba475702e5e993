//! What the subscribers send and receive: flows to servers, one packet after the other.

use std::net::{IpAddr, Ipv6Addr};

use rand::Rng;
use rand_pcg::Pcg64Mcg;

use super::nodes::{self, UeAddress};
use super::state::NONE;
use super::tunnel::Path;
use super::{DOWNLINK, Generator, INNER_MTU, TRANSPORT_MTU, UPLINK, mix, other};
use crate::packet::{Ipv4, Ipv6, Packet, Tcp};

/// Flows that are busy at the same time.
const BUSY: usize = 64;
/// Flows of one session: 2 to 9.
const FLOWS_MIN: u32 = 2;
const FLOWS_SPREAD: u32 = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FlowKind {
    Download,
    Upload,
    Quic,
    Dns,
    Voice,
}

/// One flow between a subscriber and a server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub(super) kind: FlowKind,
    server: u16,
    ue_port: u16,
    server_port: u16,
    /// Packets so far, up to a point.
    step: u8,
    /// Data packets that nobody acknowledged yet.
    waiting: u8,
    /// Next sequence numbers, up and down.
    sequence: [u32; 2],
}

/// A flow that is busy, for some packets more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Busy {
    /// A session; a subscriber where sessions are not signalled.
    who: u32,
    /// Which of its flows, counted around.
    flow: u32,
    /// Packets, or 0 where the length is drawn with the first of them.
    left: u16,
}

impl Flow {
    fn draw(rng: &mut Pcg64Mcg) -> Self {
        let (kind, server_port) = match rng.random_range(0..100) {
            0..40 => (FlowKind::Download, 443),
            40..70 => (FlowKind::Quic, 443),
            70..80 => (FlowKind::Upload, 443),
            80..90 => (FlowKind::Dns, 53),
            _ => (FlowKind::Voice, 49_170),
        };
        Self {
            kind,
            server: rng.random(),
            // Where no protocol has its home.
            ue_port: rng.random_range(60_100..65_500),
            server_port,
            step: 0,
            waiting: 0,
            sequence: [rng.random(), rng.random()],
        }
    }

    /// Packets that it has in one go, on average.
    const fn mean(&self) -> u16 {
        match self.kind {
            FlowKind::Download | FlowKind::Quic => 24,
            FlowKind::Upload => 16,
            FlowKind::Voice => 12,
            FlowKind::Dns => 2,
        }
    }

    /// Whether it begins with a packet of the subscriber, and has not begun.
    const fn begins_uplink(&self) -> bool {
        self.step == 0 && !matches!(self.kind, FlowKind::Quic)
    }

    /// Whether it runs over IPv6, for a subscriber with these addresses.
    const fn is_ipv6(&self, ue: UeAddress) -> bool {
        ue.v6.is_some() && (ue.v4.is_none() || self.server % 2 == 1)
    }

    /// (source, destination) port.
    const fn ports(&self, direction: usize) -> (u16, u16) {
        if direction == UPLINK { (self.ue_port, self.server_port) } else { (self.server_port, self.ue_port) }
    }
}

impl Generator {
    /// One frame of a busy flow becomes the ready frame; what belongs to it waits. While nobody can
    /// send, a frame of the nodes themselves.
    pub(super) fn plan(&mut self) {
        if self.busy.is_empty() {
            self.busy.resize(BUSY, Busy { who: NONE, flow: 0, left: 0 });
        }
        let at = self.rng.random_range(0..BUSY);
        let found = self.busy.get(at).copied().filter(|busy| self.may_send_as(busy.who));
        let Some(mut busy) = found.or_else(|| self.next_busy()) else {
            self.plan_other();
            return;
        };
        let session = self.session_of(busy.who);
        let done = self.packet_of_session(session, &mut busy);
        if busy.left == 0 || done {
            busy = self.next_busy().unwrap_or(Busy { who: NONE, ..busy });
        }
        if let Some(place) = self.busy.get_mut(at) {
            *place = busy;
        }
    }

    /// A packet that the subscriber of this session sends on its own becomes the ready frame, if there
    /// is a flow that begins with one.
    pub(super) fn plan_uplink(&mut self, session: u32) {
        let Some(path) = self.path(session) else { return };
        if let (Some(ue), false) = (path.ue.v6, path.asked) {
            self.router_solicitation(&path, ue);
            return;
        }
        let flows = self.flows_of(session);
        let start = self.rng.random_range(0..flows.max(1));
        let next = (0..flows).map(|index| (start + index) % flows).find_map(|index| {
            let flow = self.flow(session, index)?;
            flow.begins_uplink().then_some((index, flow))
        });
        if let Some((index, mut flow)) = next {
            self.packet_of_flow(&path, &mut flow);
            self.set_flow(session, index, flow);
            self.send_inner(&path, flow.kind == FlowKind::Voice, UPLINK);
        }
    }

    /// A session that was just made shall be seen soon.
    pub(super) fn make_busy(&mut self, session: u32) {
        let (at, flow) = (self.rng.random_range(0..BUSY), self.rng.random_range(0..64));
        if let Some(place) = self.busy.get_mut(at) {
            *place = Busy { who: session, flow, left: 0 };
        }
    }

    /// One packet of a session. Says whether the flow has come to a natural pause.
    fn packet_of_session(&mut self, session: u32, busy: &mut Busy) -> bool {
        let Some(path) = self.path(session) else { return true };
        if let (Some(ue), false) = (path.ue.v6, path.asked) {
            // A UE asks for its prefix before it uses it. RFC 4861 6.3.7, TS 23.401 5.3.1.2.2.
            self.router_solicitation(&path, ue);
            self.router_advertisement(&path, ue);
            return false;
        }
        let flows = self.flows_of(session);
        let index = busy.flow % flows.max(1);
        let Some(mut flow) = self.flow(session, index) else { return true };
        if busy.left == 0 {
            busy.left = self.rng.random_range(2..=2 * flow.mean());
        }
        busy.left -= 1;
        let (direction, done) = self.packet_of_flow(&path, &mut flow);
        self.set_flow(session, index, flow);
        self.send_inner(&path, flow.kind == FlowKind::Voice, direction);
        done
    }

    /// Another flow that becomes busy. Every second one belongs to the next session in turn, so that
    /// all occur; the others to anybody, small numbers more often.
    fn next_busy(&mut self) -> Option<Busy> {
        let count = if self.options.signalling { self.up.len() as u32 } else { self.options.subscribers };
        if count == 0 {
            return None;
        }
        let at = if self.rng.random_bool(0.5) {
            let step = if self.options.signalling { 1 } else { self.turn_step };
            self.turn = ((u64::from(self.turn) + u64::from(step)) % u64::from(count)) as u32;
            self.turn
        } else {
            self.rng.random_range(0..count).min(self.rng.random_range(0..count))
        };
        let who = if self.options.signalling { self.up.get(at as usize).copied()? } else { at };
        Some(Busy { who, flow: self.rng.random_range(0..64), left: 0 })
    }

    /// The number of flows of a session, which are drawn where it had none.
    fn flows_of(&mut self, session: u32) -> u32 {
        let count = FLOWS_MIN + (mix(self.salt ^ u64::from(session) << 8) as u32) % FLOWS_SPREAD;
        let Some(place) = self.sessions.get_mut(session as usize) else { return 0 };
        if place.flows.is_empty() {
            place.flows = (0..count).map(|_| Flow::draw(&mut self.rng)).collect();
        }
        count
    }

    fn flow(&self, session: u32, index: u32) -> Option<Flow> {
        self.sessions.get(session as usize)?.flows.get(index as usize).copied()
    }

    fn set_flow(&mut self, session: u32, index: u32, flow: Flow) {
        let place = self.sessions.get_mut(session as usize);
        if let Some(place) = place.and_then(|session| session.flows.get_mut(index as usize)) {
            *place = flow;
        }
    }

    /// Writes a packet to the subscriber that nobody asked for to `inner`.
    pub(super) fn push_message(&mut self, path: &Path) {
        let mut flow = Flow { kind: FlowKind::Quic, ..Flow::draw(&mut self.rng) };
        flow.server_port = 443;
        let size = self.rng.random_range(60..400);
        self.udp_of(path, &flow, DOWNLINK, size);
    }

    /// Writes the next packet of a flow to `inner`. Returns its direction, and whether the flow has
    /// come to a natural pause.
    fn packet_of_flow(&mut self, path: &Path, flow: &mut Flow) -> (usize, bool) {
        match flow.kind {
            FlowKind::Download | FlowKind::Upload => (self.tcp(path, flow), false),
            FlowKind::Quic => {
                let direction = if flow.waiting >= 3 { UPLINK } else { DOWNLINK };
                flow.waiting = if direction == UPLINK { 0 } else { flow.waiting + 1 };
                let size = if direction == UPLINK {
                    self.rng.random_range(24..60)
                } else if self.rng.random_bool(0.9) {
                    self.rng.random_range(1_200..=1_350)
                } else {
                    self.rng.random_range(60..1_200)
                };
                self.udp(path, flow, direction, size);
                (direction, false)
            }
            FlowKind::Voice => {
                let direction = usize::from(flow.step % 2 == 1);
                let size = if self.rng.random_bool(0.5) { 12 + 33 } else { 12 + 61 };
                self.udp(path, flow, direction, size);
                flow.step = flow.step.wrapping_add(1);
                (direction, false)
            }
            FlowKind::Dns => {
                let direction = usize::from(flow.step % 2 == 1);
                let mut message = std::mem::take(&mut self.scratch);
                message.clear();
                let name = mix(u64::from(flow.ue_port) << 16 | u64::from(flow.server)) % 10_000;
                other::dns(&mut message, flow.sequence[UPLINK] as u16, name, direction == DOWNLINK);
                self.udp_with(path, flow, direction, &message);
                self.scratch = message;
                flow.step = flow.step.wrapping_add(1);
                if direction == DOWNLINK {
                    flow.sequence[UPLINK] = flow.sequence[UPLINK].wrapping_add(1);
                }
                (direction, direction == DOWNLINK)
            }
        }
    }

    /// UDP with `size` bytes, now and then with more.
    fn udp(&mut self, path: &Path, flow: &Flow, direction: usize, size: usize) {
        let mut size = size;
        // Too long for the sender's own network: it comes in fragments.
        if self.rng.random_bool(self.options.inner_fragments) {
            size = self.rng.random_range(1_600..2_600);
        }
        self.udp_of(path, flow, direction, size);
    }

    /// UDP with `size` bytes: RTP (RFC 3550 5.1) for voice, else a QUIC packet with a short header and
    /// the connection identifier of the flow (RFC 9000 17.3.1).
    fn udp_of(&mut self, path: &Path, flow: &Flow, direction: usize, size: usize) {
        let at = self.rng.random_range(0..4_096);
        let mut payload = std::mem::take(&mut self.scratch);
        payload.clear();
        let of_flow = mix(u64::from(flow.ue_port) << 32 | u64::from(flow.server) << 16 | direction as u64);
        if flow.kind == FlowKind::Voice {
            let count = u16::from(flow.step / 2);
            payload.extend_from_slice(&[0x80, 96]);
            payload.extend_from_slice(&count.to_be_bytes());
            payload.extend_from_slice(&(u32::from(count) * 320).to_be_bytes());
            payload.extend_from_slice(&(of_flow as u32).to_be_bytes());
        } else {
            payload.push(0x43);
            payload.extend_from_slice(&(of_flow | 1 << 63).to_be_bytes());
        }
        let rest = size.saturating_sub(payload.len());
        payload.extend_from_slice(self.noise.get(at..at + rest).unwrap_or_default());
        self.udp_with(path, flow, direction, &payload);
        self.scratch = payload;
    }

    fn udp_with(&mut self, path: &Path, flow: &Flow, direction: usize, payload: &[u8]) {
        self.inner.clear();
        let mut packet = Packet::new(&mut self.inner);
        self.datagram_id = self.datagram_id.wrapping_add(1);
        inner_ip(&mut packet, path.ue, flow, direction, self.datagram_id, payload.len() <= INNER_MTU - 48);
        let (source, destination) = flow.ports(direction);
        packet.udp(source, destination).payload(payload).finish();
    }

    /// TCP: a handshake, a request, then data one way and acknowledgements the other.
    fn tcp(&mut self, path: &Path, flow: &mut Flow) -> usize {
        let data_way = if flow.kind == FlowKind::Download { DOWNLINK } else { UPLINK };
        // Segment so that the inner packet has the MTU that the core announces.
        let segment = INNER_MTU - if flow.is_ipv6(path.ue) { 40 } else { 20 } - 32;
        let (direction, flags, size) = match flow.step {
            0 => (UPLINK, Tcp::SYN, 0),
            1 => (DOWNLINK, Tcp::SYN | Tcp::ACK, 0),
            2 => (UPLINK, Tcp::ACK, 0),
            3 => (UPLINK, Tcp::PSH | Tcp::ACK, self.rng.random_range(120..900)),
            4 => (DOWNLINK, Tcp::ACK, 0),
            _ if flow.waiting >= 2 => (1 - data_way, Tcp::ACK, 0),
            _ => {
                let size = match self.rng.random_range(0..20) {
                    0 => self.rng.random_range(40..segment),
                    1..=3 => segment - 100,
                    _ if self.rng.random_bool(self.options.fragments) => {
                        TRANSPORT_MTU - (INNER_MTU - segment)
                    }
                    _ => segment,
                };
                (data_way, if size < segment { Tcp::PSH | Tcp::ACK } else { Tcp::ACK }, size)
            }
        };
        flow.step = flow.step.saturating_add(1);
        flow.waiting = if size == 0 { 0 } else { flow.waiting + 1 };

        self.inner.clear();
        let mut packet = Packet::new(&mut self.inner);
        self.datagram_id = self.datagram_id.wrapping_add(1);
        inner_ip(&mut packet, path.ue, flow, direction, self.datagram_id, true);
        let (source, destination) = flow.ports(direction);
        let [up, down] = flow.sequence;
        let (sequence, acknowledgement) = if direction == UPLINK { (up, down) } else { (down, up) };
        // Milliseconds, as RFC 7323 5.4 recommends.
        let clock = (self.now_ns / 1_000_000) as u32;
        let mut options = [0; 20];
        let options =
            other::tcp_options(&mut options, flags & Tcp::SYN != 0, clock.wrapping_add(source.into()));
        packet.tcp(&Tcp {
            sequence,
            acknowledgement: if flags & Tcp::ACK == 0 { 0 } else { acknowledgement },
            flags,
            options,
            ..Tcp::new(source, destination)
        });
        if size > 0 {
            let at = self.rng.random_range(0..4_096);
            // A TLS record of application data, RFC 8446 5.2, in every segment.
            let length = (size - 5) as u16;
            packet.payload(&[23, 3, 3]).payload(&length.to_be_bytes());
            packet.payload(self.noise.get(at..at + size - 5).unwrap_or_default());
        }
        packet.finish();
        if let Some(sequence) = flow.sequence.get_mut(direction) {
            *sequence = sequence.wrapping_add(size as u32 + u32::from(flags & Tcp::SYN != 0));
        }
        direction
    }

    /// The subscriber asks for its prefix, from its link-local address. RFC 4861 4.1.
    fn router_solicitation(&mut self, path: &Path, ue: Ipv6Addr) {
        if let Some(session) = self.sessions.get_mut(path.session as usize) {
            session.core.asked = true;
        }
        let all_routers = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
        self.inner.clear();
        Packet::new(&mut self.inner)
            .ipv6(&Ipv6 { hop_limit: 255, ..Ipv6::new(link_local(ue), all_routers) })
            .icmpv6(133, 0, 0)
            .finish();
        self.send_inner(path, false, UPLINK);
    }

    /// It is answered with the prefix. RFC 4861 4.2.
    fn router_advertisement(&mut self, path: &Path, ue: Ipv6Addr) {
        let router = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        self.inner.clear();
        Packet::new(&mut self.inner)
            .ipv6(&Ipv6 { hop_limit: 255, ..Ipv6::new(router, link_local(ue)) })
            .icmpv6(134, 0, 64 << 24 | 1_800)
            .payload(&[0; 8])
            .payload(&[3, 4, 64, 0x40, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0])
            .payload(&nodes::prefix_of(ue).octets())
            .finish();
        let delay_ns = self.rng.random_range(1_000_000..3_000_000);
        let inner = std::mem::take(&mut self.inner);
        self.send(path, false, DOWNLINK, &inner, delay_ns, 0..2);
        self.inner = inner;
    }
}

/// The link-local address with the same interface identifier.
const fn link_local(ue: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c, d] = ue.segments();
    Ipv6Addr::new(0xfe80, 0, 0, 0, a, b, c, d)
}

/// An IP header between a subscriber and the server of a flow.
fn inner_ip(packet: &mut Packet<'_>, ue: UeAddress, flow: &Flow, direction: usize, id: u32, whole: bool) {
    let dscp = if flow.kind == FlowKind::Voice { 46 << 2 } else { 0 };
    let v6 = flow.is_ipv6(ue);
    match (ue.v4, ue.v6, nodes::server(v6, flow.kind == FlowKind::Dns, flow.server)) {
        (Some(ue), _, IpAddr::V4(server)) => {
            let (source, destination) = if direction == UPLINK { (ue, server) } else { (server, ue) };
            packet.ipv4(&Ipv4 {
                tos: dscp,
                ttl: if direction == UPLINK { 64 } else { 54 },
                id: id as u16,
                dont_fragment: whole,
                ..Ipv4::new(source, destination)
            })
        }
        (_, Some(ue), IpAddr::V6(server)) => {
            let (source, destination) = if direction == UPLINK { (ue, server) } else { (server, ue) };
            packet.ipv6(&Ipv6 { traffic_class: dscp, ..Ipv6::new(source, destination) })
        }
        _ => packet,
    };
}
