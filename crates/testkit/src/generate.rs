//! The engine of `snipe gen`: a tapped mobile core in packets, the same for the same options.
//!
//! Subscribers have one session each, on S1-U or N3, with a handful of flows to servers. At any time
//! a few dozen flows are busy; each slot of the clock gives one frame of one of them, or now and then
//! of the nodes themselves: path management of every protocol, and traffic that is not GTP at all.
//! Flows are planned (`plan`), then put into the tunnel (`send`), then counted when the frame leaves
//! (`leave`), so that events of a session and damage on the way can be put between these steps.

mod nodes;
mod other;

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv6Addr};

use rand::{Rng, RngCore, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::packet::{
    Extension, Gtpu, Ipv4, Ipv6, Layer, PDU_SESSION_CONTAINER, Packet, Tcp, fragment, pdu_session_container,
};
use crate::truth::{FTeid, GroundTruth, Session};
use nodes::{Tap, Tunnel, ethernet_between};

/// What to generate.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Number of subscribers, each with one session.
    pub subscribers: u32,
    /// Length of the capture.
    pub seconds: f64,
    /// Frames for each second.
    pub pps: u64,
    /// The same seed and options give the same bytes.
    pub seed: u64,
    /// Share of the subscribers whose session is IPv6, 0 to 1; the others have IPv4.
    pub ipv6: f64,
    /// Share of the subscribers on N3 (5G), 0 to 1; the others are on S1-U (4G).
    pub nr: f64,
    /// Share of the subscribers whose tunnels run over IPv6, 0 to 1.
    pub transport_ipv6: f64,
    /// VLAN of the tap; `None`: untagged.
    pub vlan: Option<u16>,
    /// Share of full-size packets that are too long for the transport network, 0 to 1: they come in
    /// two outer fragments.
    pub fragments: f64,
    /// Share of packets that were fragmented before they entered the tunnel, 0 to 1.
    pub inner_fragments: f64,
    /// Share of frames between the nodes themselves, 0 to 1: echo and heartbeat of every protocol,
    /// ARP, DNS, SCTP, BGP.
    pub other: f64,
    /// Time of the first frame, nanoseconds since 1970.
    pub start_ns: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            subscribers: 1_000,
            seconds: 10.0,
            pps: 10_000,
            seed: 1,
            ipv6: 0.3,
            nr: 0.5,
            transport_ipv6: 0.05,
            vlan: None,
            fragments: 0.005,
            inner_fragments: 0.002,
            other: 0.01,
            start_ns: 1_700_000_000_000_000_000,
        }
    }
}

/// Options that make no capture.
#[derive(Clone, Debug, PartialEq)]
pub enum OptionsError {
    /// There must be 1 to [`Options::SUBSCRIBERS_MAX`] subscribers.
    Subscribers(u32),
    /// The length must be above 0 and at most [`Options::SECONDS_MAX`].
    Seconds(f64),
    /// There must be 1 to [`Options::PPS_MAX`] frames a second.
    Pps(u64),
    /// A share is not between 0 and 1.
    Share(&'static str, f64),
    /// A VLAN is 1 to 4094.
    Vlan(u16),
}

impl std::fmt::Display for OptionsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Subscribers(got) => {
                write!(f, "subscribers: {got} is not 1 to {}", Options::SUBSCRIBERS_MAX)
            }
            Self::Seconds(got) => {
                write!(f, "seconds: {got} is not above 0 and at most {}", Options::SECONDS_MAX)
            }
            Self::Pps(got) => write!(f, "pps: {got} is not 1 to {}", Options::PPS_MAX),
            Self::Share(name, got) => write!(f, "{name}: {got} is not a share between 0 and 1"),
            Self::Vlan(got) => write!(f, "vlan: {got} is not 1 to 4094"),
        }
    }
}

impl std::error::Error for OptionsError {}

impl Options {
    /// As many as 10.0.0.0/8 has room for, in round figures.
    pub const SUBSCRIBERS_MAX: u32 = 10_000_000;
    /// A week.
    pub const SECONDS_MAX: f64 = 604_800.0;
    /// More than any link carries.
    pub const PPS_MAX: u64 = 1_000_000_000;

    /// Whether these options make a capture.
    ///
    /// # Errors
    /// The first option that is out of range.
    pub fn validate(&self) -> Result<(), OptionsError> {
        if !(1..=Self::SUBSCRIBERS_MAX).contains(&self.subscribers) {
            return Err(OptionsError::Subscribers(self.subscribers));
        }
        if !(self.seconds > 0.0 && self.seconds <= Self::SECONDS_MAX) {
            return Err(OptionsError::Seconds(self.seconds));
        }
        if !(1..=Self::PPS_MAX).contains(&self.pps) {
            return Err(OptionsError::Pps(self.pps));
        }
        if let Some(vlan) = self.vlan.filter(|vlan| !(1..=4094).contains(vlan)) {
            return Err(OptionsError::Vlan(vlan));
        }
        for (name, share) in [
            ("ipv6", self.ipv6),
            ("nr", self.nr),
            ("transport-ipv6", self.transport_ipv6),
            ("fragments", self.fragments),
            ("inner-fragments", self.inner_fragments),
            ("other", self.other),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Err(OptionsError::Share(name, share));
            }
        }
        Ok(())
    }

    /// The number of frames of the capture.
    #[must_use]
    pub fn frames(&self) -> u64 {
        (self.seconds * self.pps as f64).round().max(1.0) as u64
    }
}

/// One frame of the capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generated<'a> {
    /// Nanoseconds since 1970, whole microseconds, never smaller than the time before.
    pub time_ns: u64,
    /// The Ethernet frame.
    pub bytes: &'a [u8],
    /// Index into [`GroundTruth::sessions`].
    pub session: Option<u32>,
}

/// MTU of the transport network.
const TRANSPORT_MTU: usize = 1_500;
/// Longest inner packet that the core sends when it knows the MTU of the transport network; room
/// for an IPv6 header, UDP, GTP-U with a container, a VLAN tag.
const INNER_MTU: usize = 1_420;
/// Flows that are busy at the same time.
const BUSY: usize = 64;
/// Flows of one subscriber: 2 to 9.
const FLOWS_MIN: u32 = 2;
const FLOWS_SPREAD: u32 = 8;

/// Directions, as indices.
const UPLINK: usize = 0;
const DOWNLINK: usize = 1;

/// Whose frame it is, and what it counts for when it leaves.
#[derive(Clone, Copy, Debug, Default)]
struct Owner {
    user: Option<u32>,
    /// For the first frame of a T-PDU: direction, inner bytes.
    counts: Option<(usize, u32)>,
}

/// What a subscriber's session has seen so far.
#[derive(Clone, Copy, Debug, Default)]
struct User {
    /// Index into the sessions of the truth, plus 1; 0 before the first packet.
    session: u32,
    first_flow: u32,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    user: u32,
    created_ns: u64,
    packets: [u64; 2],
    bytes: [u64; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FlowKind {
    Download,
    Upload,
    Quic,
    Dns,
    Voice,
}

/// One flow between a subscriber and a server.
#[derive(Clone, Copy, Debug)]
struct Flow {
    kind: FlowKind,
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
struct Busy {
    user: u32,
    flow: u32,
    left: u16,
}

/// Makes the frames of a capture one by one. It never looks at a clock; memory grows with the number
/// of subscribers and, for the truth, by four bytes a frame.
#[derive(Debug)]
pub struct Generator {
    options: Options,
    rng: Pcg64Mcg,
    salt: u64,
    slot: u64,
    users: Vec<User>,
    flows: Vec<Flow>,
    busy: Vec<Busy>,
    /// The subscriber whose turn it is, so that everybody gets one.
    turn: u32,
    turn_step: u32,
    seen: Vec<Seen>,
    /// The frame that is ready to leave.
    frame: Vec<u8>,
    owner: Owner,
    /// Frames that wait behind it.
    pending: VecDeque<(Owner, Vec<u8>)>,
    truth: GroundTruth,
    noise: Vec<u8>,
    inner: Vec<u8>,
    scratch: Vec<u8>,
    datagram_id: u32,
    fragmented_id: u32,
    keepalives: u32,
}

/// A 64-bit mixing function (SplitMix64): properties of a subscriber are drawn from its number, so
/// that they need no memory.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

const fn greatest_common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl Generator {
    /// A generator at its first frame.
    ///
    /// # Errors
    /// If the options make no capture.
    pub fn new(options: Options) -> Result<Self, OptionsError> {
        options.validate()?;
        let mut rng = Pcg64Mcg::seed_from_u64(options.seed);
        let salt = rng.next_u64();
        let mut noise = vec![0; 8_192];
        rng.fill_bytes(&mut noise);

        let mut users = Vec::with_capacity(options.subscribers as usize + 1);
        let mut flows = 0;
        for index in 0..options.subscribers {
            users.push(User { session: 0, first_flow: flows });
            flows += FLOWS_MIN + (mix(salt ^ u64::from(index) << 8) as u32) % FLOWS_SPREAD;
        }
        users.push(User { session: 0, first_flow: flows });
        let flows = (0..flows).map(|_| Flow::draw(&mut rng)).collect();

        // Steps that share no factor with the number of subscribers visit all of them.
        let count = options.subscribers;
        let near = (f64::from(count) * 0.618) as u32;
        let turn_step = (near.max(1)..).find(|&step| greatest_common_divisor(step, count) == 1).unwrap_or(1);
        let mut generator = Self {
            options,
            rng,
            salt,
            slot: 0,
            users,
            flows,
            busy: Vec::with_capacity(BUSY),
            turn: 0,
            turn_step,
            seen: Vec::new(),
            frame: Vec::with_capacity(4_096),
            owner: Owner::default(),
            pending: VecDeque::new(),
            truth: GroundTruth::default(),
            noise,
            inner: Vec::with_capacity(4_096),
            scratch: Vec::with_capacity(4_096),
            datagram_id: 0,
            fragmented_id: 0,
            keepalives: 0,
        };
        for _ in 0..BUSY {
            let busy = generator.next_busy();
            generator.busy.push(busy);
        }
        Ok(generator)
    }

    /// The next frame, or `None` at the end of the capture.
    pub fn next_frame(&mut self) -> Option<Generated<'_>> {
        if self.slot >= self.options.frames() {
            return None;
        }
        let period_ns = 1e9 / self.options.pps as f64;
        let into_ns = (self.slot as f64 + self.rng.random::<f64>()) * period_ns;
        let time_ns = self.options.start_ns + into_ns as u64 / 1_000 * 1_000;
        self.slot += 1;

        // A frame that waits goes soon, but others may come between: fragments and answers do not
        // follow at once.
        if !self.pending.is_empty() && self.rng.random_bool(0.75) {
            if let Some((owner, bytes)) = self.pending.pop_front() {
                (self.frame, self.owner) = (bytes, owner);
            }
        } else {
            self.frame.clear();
            self.owner = Owner::default();
            if self.rng.random_bool(self.options.other) {
                self.plan_other();
            } else {
                self.plan();
            }
        }
        let session = self.leave(time_ns);
        Some(Generated { time_ns, bytes: &self.frame, session })
    }

    /// The truth about the frames so far.
    #[must_use]
    pub fn into_truth(self) -> GroundTruth {
        let mut truth = self.truth;
        truth.sessions.reserve_exact(self.seen.len());
        for seen in &self.seen {
            let tunnel = Tunnel::of(self.salt, &self.options, seen.user);
            let mut fteids: Vec<_> = [UPLINK, DOWNLINK]
                .into_iter()
                .zip(seen.packets.into_iter().zip(seen.bytes))
                .filter(|(_, (packets, _))| *packets > 0)
                .map(|(direction, (packets, bytes))| FTeid {
                    interface: tunnel.interface(direction),
                    ip: tunnel.receiver(direction),
                    teid: tunnel.teid(direction),
                    packets,
                    bytes,
                })
                .collect();
            fteids.sort_by_key(|fteid| (fteid.interface, fteid.ip, fteid.teid));
            let [packets_ul, packets_dl] = seen.packets;
            let [bytes_ul, bytes_dl] = seen.bytes;
            let (ue_ipv4, ue_ipv6) = match tunnel.ue {
                IpAddr::V4(address) => (Some(address), None),
                IpAddr::V6(address) => (None, Some(nodes::prefix_of(address))),
            };
            truth.sessions.push(Session {
                correlation_id: None,
                imsi: None,
                msisdn: None,
                imei: None,
                apn: None,
                rat: None,
                mcc: None,
                mnc: None,
                tac: None,
                cell: None,
                ue_ipv4,
                ue_ipv6,
                state: "active",
                probe: None,
                fteids,
                packets_ul,
                packets_dl,
                bytes_ul,
                bytes_dl,
                created_ns: seen.created_ns,
                ended_ns: None,
            });
        }
        truth
    }

    /// Counts the frame that leaves now; returns its session.
    fn leave(&mut self, time_ns: u64) -> Option<u32> {
        let session = self.owner.user.and_then(|user| {
            let state = self.users.get_mut(user as usize)?;
            if state.session == 0 {
                self.seen.push(Seen { user, created_ns: time_ns, packets: [0; 2], bytes: [0; 2] });
                state.session = self.seen.len() as u32;
            }
            Some(state.session - 1)
        });
        if let (Some(session), Some((direction, bytes))) = (session, self.owner.counts) {
            if let Some(seen) = self.seen.get_mut(session as usize) {
                if let Some(packets) = seen.packets.get_mut(direction) {
                    *packets += 1;
                }
                if let Some(total) = seen.bytes.get_mut(direction) {
                    *total += u64::from(bytes);
                }
            }
        }
        self.truth.push(session);
        session
    }

    /// One frame of a busy flow becomes the ready frame; what belongs to it waits.
    fn plan(&mut self) {
        let at = self.rng.random_range(0..self.busy.len());
        let Some(mut busy) = self.busy.get(at).copied() else { return };
        let Some(mut flow) = self.flows.get(busy.flow as usize).copied() else { return };
        let tunnel = Tunnel::of(self.salt, &self.options, busy.user);
        let is_new = self.users.get(busy.user as usize).is_some_and(|user| user.session == 0);

        match tunnel.ue {
            // A UE asks for its prefix before it uses it. RFC 4861 6.3.7, TS 23.401 5.3.1.2.2.
            IpAddr::V6(ue) if is_new => self.router_discovery(&tunnel, ue),
            _ => {
                let (direction, done) = self.packet_of_flow(&tunnel, &mut flow);
                busy.left = if done { 0 } else { busy.left.saturating_sub(1) };
                self.send_inner(&tunnel, direction);
            }
        }

        if let Some(place) = self.flows.get_mut(busy.flow as usize) {
            *place = flow;
        }
        if busy.left == 0 {
            busy = self.next_busy();
        }
        if let Some(place) = self.busy.get_mut(at) {
            *place = busy;
        }
    }

    /// Another flow that becomes busy. Every second one belongs to the next subscriber in turn, so
    /// that all occur; the others to anybody, small numbers more often.
    fn next_busy(&mut self) -> Busy {
        let count = self.options.subscribers;
        let user = if self.rng.random_bool(0.5) {
            self.turn = ((u64::from(self.turn) + u64::from(self.turn_step)) % u64::from(count)) as u32;
            self.turn
        } else {
            self.rng.random_range(0..count).min(self.rng.random_range(0..count))
        };
        let first = |index: u32| self.users.get(index as usize).map_or(0, |user| user.first_flow);
        let flow = self.rng.random_range(first(user)..first(user + 1));
        let mean = match self.flows.get(flow as usize).map(|flow| flow.kind) {
            Some(FlowKind::Download | FlowKind::Quic) => 24,
            Some(FlowKind::Upload) => 16,
            Some(FlowKind::Voice) => 12,
            Some(FlowKind::Dns) | None => 2,
        };
        Busy { user, flow, left: self.rng.random_range(2..=2 * mean) }
    }

    /// Writes the next packet of a flow to `inner`. Returns its direction, and whether the flow has
    /// come to a natural pause.
    fn packet_of_flow(&mut self, tunnel: &Tunnel, flow: &mut Flow) -> (usize, bool) {
        match flow.kind {
            FlowKind::Download | FlowKind::Upload => (self.tcp(tunnel, flow), false),
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
                self.udp(tunnel, flow, direction, size, 0x40);
                (direction, false)
            }
            FlowKind::Voice => {
                let direction = usize::from(flow.step % 2 == 1);
                let size = if self.rng.random_bool(0.5) { 12 + 33 } else { 12 + 61 };
                self.udp(tunnel, flow, direction, size, 0x80);
                flow.step = flow.step.wrapping_add(1);
                (direction, false)
            }
            FlowKind::Dns => {
                let direction = usize::from(flow.step % 2 == 1);
                let mut message = std::mem::take(&mut self.scratch);
                message.clear();
                let name = mix(u64::from(flow.ue_port) << 16 | u64::from(flow.server)) % 10_000;
                other::dns(&mut message, flow.sequence[UPLINK] as u16, name, direction == DOWNLINK);
                self.udp_with(tunnel, flow, direction, &message);
                self.scratch = message;
                flow.step = flow.step.wrapping_add(1);
                if direction == DOWNLINK {
                    flow.sequence[UPLINK] = flow.sequence[UPLINK].wrapping_add(1);
                }
                (direction, direction == DOWNLINK)
            }
        }
    }

    /// UDP with `size` bytes whose first says what it is.
    fn udp(&mut self, tunnel: &Tunnel, flow: &Flow, direction: usize, size: usize, first: u8) {
        let mut size = size;
        // Too long for the sender's own network: it comes in fragments.
        if self.rng.random_bool(self.options.inner_fragments) {
            size = self.rng.random_range(1_600..2_600);
        }
        let at = self.rng.random_range(0..4_096);
        let mut payload = std::mem::take(&mut self.scratch);
        payload.clear();
        payload.push(first);
        payload.extend_from_slice(self.noise.get(at..at + size - 1).unwrap_or_default());
        self.udp_with(tunnel, flow, direction, &payload);
        self.scratch = payload;
    }

    fn udp_with(&mut self, tunnel: &Tunnel, flow: &Flow, direction: usize, payload: &[u8]) {
        self.inner.clear();
        let mut packet = Packet::new(&mut self.inner);
        self.datagram_id = self.datagram_id.wrapping_add(1);
        inner_ip(&mut packet, tunnel, flow, direction, self.datagram_id, payload.len() <= INNER_MTU - 48);
        let (source, destination) = flow.ports(direction);
        packet.udp(source, destination).payload(payload).finish();
    }

    /// TCP: a handshake, a request, then data one way and acknowledgements the other.
    fn tcp(&mut self, tunnel: &Tunnel, flow: &mut Flow) -> usize {
        let data_way = if flow.kind == FlowKind::Download { DOWNLINK } else { UPLINK };
        let v6 = tunnel.ue.is_ipv6();
        // Segment so that the inner packet has the MTU that the core announces.
        let segment = INNER_MTU - if v6 { 40 } else { 20 } - 32;
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
        inner_ip(&mut packet, tunnel, flow, direction, self.datagram_id, true);
        let (source, destination) = flow.ports(direction);
        let [up, down] = flow.sequence;
        let (sequence, acknowledgement) = if direction == UPLINK { (up, down) } else { (down, up) };
        // Milliseconds, as RFC 7323 5.4 recommends.
        let clock = (self.slot.wrapping_mul(1_000) / self.options.pps) as u32;
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

    /// Router solicitation and advertisement, between link-local addresses. RFC 4861 4.1, 4.2.
    fn router_discovery(&mut self, tunnel: &Tunnel, ue: Ipv6Addr) {
        let [.., a, b, c, d] = ue.segments();
        let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, a, b, c, d);
        let router = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        let all_routers = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
        self.inner.clear();
        Packet::new(&mut self.inner)
            .ipv6(&Ipv6 { hop_limit: 255, ..Ipv6::new(link_local, all_routers) })
            .icmpv6(133, 0, 0)
            .finish();
        self.send_inner(tunnel, UPLINK);

        // Answered with the prefix. This one waits behind the frame just made.
        let (frame, owner) = (std::mem::take(&mut self.frame), self.owner);
        self.inner.clear();
        Packet::new(&mut self.inner)
            .ipv6(&Ipv6 { hop_limit: 255, ..Ipv6::new(router, link_local) })
            .icmpv6(134, 0, 64 << 24 | 1_800)
            .payload(&[0; 8])
            .payload(&[3, 4, 64, 0x40, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0])
            .payload(&nodes::prefix_of(ue).octets())
            .finish();
        self.send_inner(tunnel, DOWNLINK);
        let answer = std::mem::replace(&mut self.frame, frame);
        self.pending.push_back((self.owner, answer));
        self.owner = owner;
    }

    /// Puts the packet in `inner` into its tunnel, in fragments where it is too long for the core.
    fn send_inner(&mut self, tunnel: &Tunnel, direction: usize) {
        let inner = std::mem::take(&mut self.inner);
        if inner.len() <= TRANSPORT_MTU {
            self.send(tunnel, direction, &inner);
        } else {
            let mut scratch = std::mem::take(&mut self.scratch);
            let mut pieces = Vec::new();
            let header = if tunnel.ue.is_ipv6() { 48 } else { 20 };
            self.datagram_id = self.datagram_id.wrapping_add(1);
            fragment(&inner, 0, INNER_MTU - header, self.datagram_id, &mut scratch, |piece| {
                pieces.push(piece.to_vec());
            });
            self.scratch = scratch;
            // The first becomes the ready frame, the others wait.
            for piece in pieces.iter().skip(1) {
                self.send(tunnel, direction, piece);
                self.pending.push_back((self.owner, std::mem::take(&mut self.frame)));
            }
            if let Some(piece) = pieces.first() {
                self.send(tunnel, direction, piece);
            }
        }
        self.inner = inner;
    }

    /// Makes the ready frame of one T-PDU; where it is too long for the transport network, the first
    /// fragment of it, and the others wait.
    fn send(&mut self, tunnel: &Tunnel, direction: usize, inner: &[u8]) {
        self.owner = Owner { user: Some(tunnel.user), counts: Some((direction, inner.len() as u32)) };
        self.frame.clear();
        let too_long = tunnel.overhead() + inner.len() > TRANSPORT_MTU;
        self.datagram_id = self.datagram_id.wrapping_add(1);
        let container = pdu_session_container(direction == UPLINK, tunnel.qfi);
        let extension = [Extension { kind: PDU_SESSION_CONTAINER, content: &container }];
        let sequence = tunnel.numbered.then_some(self.datagram_id as u16);
        let header = Gtpu {
            sequence,
            extensions: if tunnel.tap == Tap::N3 { &extension } else { &[] },
            ..Gtpu::t_pdu(tunnel.teid(direction))
        };
        let (from, to) = (tunnel.receiver(1 - direction), tunnel.receiver(direction));
        let mut packet = Packet::new(&mut self.frame);
        ethernet_between(&mut packet, from, to, self.options.vlan);
        match (from, to) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                // RFC 6864 4: only what may be fragmented needs a number of its own.
                self.fragmented_id = self.fragmented_id.wrapping_add(u32::from(too_long));
                let id = if too_long { self.fragmented_id as u16 } else { 0 };
                packet
                    .ipv4(&Ipv4 { id, dont_fragment: !too_long, ttl: 62, ..Ipv4::new(source, destination) })
                    .udp_unchecked(tunnel.source_port, 2152);
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                packet.ipv6(&Ipv6 { hop_limit: 62, ..Ipv6::new(source, destination) });
                packet.udp(tunnel.source_port, 2152);
            }
            _ => {}
        }
        let layers = packet.gtpu(&header).payload(inner).finish();
        if !too_long {
            return;
        }
        let v6 = layers.first(Layer::Ipv6);
        let Some(ip_at) = v6.or(layers.first(Layer::Ipv4)) else { return };
        let header = if v6.is_some() { 48 } else { 20 };
        let mut pieces = Vec::new();
        let max = TRANSPORT_MTU - header;
        fragment(&self.frame, ip_at, max, self.datagram_id, &mut self.scratch, |piece| {
            pieces.push(piece.to_vec());
        });
        let mut pieces = pieces.into_iter();
        self.frame = pieces.next().unwrap_or_default();
        let rest = Owner { counts: None, ..self.owner };
        self.pending.extend(pieces.map(|piece| (rest, piece)));
    }
}

/// An IP header between a subscriber and the server of a flow.
fn inner_ip(packet: &mut Packet<'_>, tunnel: &Tunnel, flow: &Flow, direction: usize, id: u32, whole: bool) {
    let dscp = if flow.kind == FlowKind::Voice { 46 << 2 } else { 0 };
    match (tunnel.ue, nodes::server(tunnel.ue, flow.kind == FlowKind::Dns, flow.server)) {
        (IpAddr::V4(ue), IpAddr::V4(server)) => {
            let (source, destination) = if direction == UPLINK { (ue, server) } else { (server, ue) };
            packet.ipv4(&Ipv4 {
                tos: dscp,
                ttl: if direction == UPLINK { 64 } else { 54 },
                id: id as u16,
                dont_fragment: whole,
                ..Ipv4::new(source, destination)
            })
        }
        (IpAddr::V6(ue), IpAddr::V6(server)) => {
            let (source, destination) = if direction == UPLINK { (ue, server) } else { (server, ue) };
            packet.ipv6(&Ipv6 { traffic_class: dscp, ..Ipv6::new(source, destination) })
        }
        _ => packet,
    };
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
            ue_port: rng.random_range(49_200..65_000),
            server_port,
            step: 0,
            waiting: 0,
            sequence: [rng.random(), rng.random()],
        }
    }

    /// (source, destination) port.
    fn ports(&self, direction: usize) -> (u16, u16) {
        if direction == UPLINK { (self.ue_port, self.server_port) } else { (self.server_port, self.ue_port) }
    }
}

/// Writes a whole capture (pcap with microseconds, Ethernet) and returns the truth about it.
///
/// # Errors
/// Options that make no capture (`InvalidInput`), and what the writer reports.
pub fn write_capture(options: Options, out: &mut impl Write) -> io::Result<GroundTruth> {
    let mut generator =
        Generator::new(options).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let mut out = io::BufWriter::with_capacity(1 << 20, out);
    let mut header = [0; 24];
    let words = [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 0x4_0000, 1_u32];
    for (place, word) in header.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    out.write_all(&header)?;
    while let Some(frame) = generator.next_frame() {
        let length = frame.bytes.len() as u32;
        let seconds = (frame.time_ns / 1_000_000_000) as u32;
        let micros = (frame.time_ns % 1_000_000_000 / 1_000) as u32;
        let mut record = [0; 16];
        for (place, word) in record.chunks_exact_mut(4).zip([seconds, micros, length, length]) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        out.write_all(&record)?;
        out.write_all(frame.bytes)?;
    }
    out.flush()?;
    Ok(generator.into_truth())
}

#[cfg(test)]
mod tests;
