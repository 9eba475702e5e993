//! Procedures: when they begin, what they are, and how their messages follow each other.

use std::net::IpAddr;

use rand::Rng;

use super::nodes::{GATEWAYS, Node, PLANES, UeAddress, ethernet_between};
use super::options::Options;
use super::state::{Bearer, Core, End, Interface, NONE, Phase, Session, UNHELD, Ue};
use super::subscriber::{Access, Wish};
use super::{Generator, MS, Owner, Ready, TEID_REST_NS, What, lte, nr, umts};
use crate::packet::{Ipv4, Ipv6, Packet};

/// So long nothing of a subscriber is on its way before its tunnels go away.
const QUIET_NS: u64 = 38 * MS;
/// And before they change.
const SETTLE_NS: u64 = 8 * MS;
/// The time between two procedures of one subscriber: longer than the tap keeps a message back.
const PAUSE_NS: u64 = 30 * MS;
/// Share of requests that are sent a second time because the answer was not there in time.
const AGAIN: f64 = 0.005;

/// When procedures begin, and how many may be under way.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    /// Messages that may be sent on top of those that were; it fills with time.
    tokens: f64,
    filled_ns: u64,
    tokens_per_ns: f64,
    tokens_max: f64,
    /// Subscribers that have attached once.
    attached: u32,
    /// How many of them attach in the first wave, and the time between two of them.
    first_wave: u32,
    first_gap_ns: f64,
    /// The time between two that attach later.
    later_gap_ns: f64,
    first_change_ns: u64,
    change_gap_ns: f64,
    /// Nothing begins after it.
    stop_ns: u64,
    /// So long an address of a subscriber rests.
    address_rest_ns: u64,
}

impl Schedule {
    pub(super) fn new(options: &Options) -> Self {
        let (total_ns, pps) = (options.seconds * 1e9, options.pps as f64);
        let subscribers = f64::from(options.subscribers);
        let ramp_ns = total_ns * 0.15;
        let first_wave = (subscribers * 0.85).ceil();
        // A few events for every subscriber, and always enough to be seen.
        let changes = (subscribers * 2.0).max(options.seconds * pps * 0.004);
        Self {
            tokens: (pps * 0.02).max(16.0),
            filled_ns: 0,
            tokens_per_ns: pps * 0.4 / 1e9,
            tokens_max: (pps * 0.02).max(16.0),
            attached: 0,
            first_wave: first_wave as u32,
            first_gap_ns: ramp_ns / first_wave,
            later_gap_ns: total_ns * 0.75 / (subscribers * 0.5).max(options.seconds * pps * 0.0008),
            first_change_ns: ramp_ns as u64,
            change_gap_ns: total_ns * 0.75 / changes,
            stop_ns: (total_ns - (total_ns * 0.1).min(250e6)) as u64,
            address_rest_ns: (total_ns * 0.05).clamp(150e6, 2e9) as u64,
        }
    }

    /// Whether another procedure may begin, and else when to ask again.
    fn may_begin(&mut self, now_ns: u64) -> bool {
        self.tokens += (now_ns - self.filled_ns) as f64 * self.tokens_per_ns;
        self.tokens = self.tokens.min(self.tokens_max);
        self.filled_ns = now_ns;
        self.tokens > 0.0
    }
}

/// One step of a procedure: a message, or something without one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Packets of the subscriber pass before the answer that makes its session, as the tap sees it.
    Early(u8),
    Lte(lte::Step),
    Umts(umts::Step),
    Nr(nr::Step),
}

/// A request, and what its answer needs of it.
#[derive(Clone, Copy, Debug)]
struct Exchange {
    from: Node,
    to: Node,
    sequence: u32,
    port: u16,
    /// When the request is sent once more; 0: never.
    again_ns: u64,
}

/// A procedure that is under way.
#[derive(Debug)]
pub(super) struct Procedure {
    pub(super) ue: u32,
    /// The next one is the last.
    steps: Vec<Step>,
    /// Of requests that are open: towards the radio side, and towards the anchor.
    exchanges: [Option<Exchange>; 2],
    /// Sessions that are being made or moved.
    pub(super) cores: [Core; 2],
    /// Endpoints that are about to be the radio side's, by PDN connection and bearer.
    pub(super) radios: [[End; 2]; 2],
    /// A bearer that is being made.
    pub(super) bearer: Bearer,
    /// The S11 endpoint of another SGW.
    pub(super) sgw: End,
    /// Endpoints that go back when a move is done.
    pub(super) left: Vec<End>,
    pub(super) gateway: u8,
    /// The radio node that the subscriber goes to.
    pub(super) radio: Node,
    pub(super) area: u16,
    pub(super) cell: u32,
    /// Why it is refused; 0: it is not.
    pub(super) refused: u8,
    pub(super) moves: bool,
    /// A packet that waits for the subscriber.
    pub(super) buffered: Vec<u8>,
    /// When its last message that comes again has come.
    until_ns: u64,
}

/// What must be over before a procedure begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// Nothing.
    Now,
    /// What is on its way; until it ends the subscriber sends and gets nothing.
    Settled,
    /// The same, and so long that tunnels can go away.
    Quiet,
}

/// The legs of a procedure.
pub(super) const NEAR: usize = 0;
pub(super) const FAR: usize = 1;

impl Generator {
    /// What begins with the capture.
    pub(super) fn begin(&mut self) {
        let first_ns = ((self.options.seconds * 1e9) as u64 / 20).min(15 * MS);
        let families = if self.options.transport_ipv6 > 0.0 { 2 } else { 1 };
        for association in 0..families * GATEWAYS {
            let delay_ns = u64::from(association) * first_ns / 10;
            self.later(delay_ns, What::Start(association));
        }
        self.later(first_ns, What::Attach);
        self.later(self.schedule.first_change_ns.max(first_ns), What::Change);
    }

    /// The next subscriber attaches, if there is room for its messages.
    pub(super) fn attach_one(&mut self) {
        if self.now_ns >= self.schedule.stop_ns {
            return;
        }
        let in_first = self.schedule.attached < self.schedule.first_wave;
        let gap_ns = if in_first { self.schedule.first_gap_ns } else { self.schedule.later_gap_ns };
        let mut gap_ns = (gap_ns * self.rng.random_range(0.5..1.5)) as u64;
        if self.schedule.may_begin(self.now_ns) {
            let is_new = self.schedule.attached < self.options.subscribers
                && (in_first || self.detached.is_empty() || self.rng.random_bool(0.5));
            if is_new {
                let ue = u64::from(self.schedule.attached) * u64::from(self.turn_step);
                self.schedule.attached += 1;
                self.attach((ue % u64::from(self.options.subscribers)) as u32);
            } else if self.detached.front().is_some_and(|&(since, _)| since + 150 * MS <= self.now_ns) {
                if let Some((_, ue)) = self.detached.pop_front() {
                    self.attach(ue);
                }
            }
        } else {
            gap_ns = gap_ns.max(MS);
        }
        self.later(gap_ns, What::Attach);
    }

    /// Something happens to one of those that are attached.
    pub(super) fn change_one(&mut self) {
        if self.now_ns >= self.schedule.stop_ns {
            return;
        }
        let mut gap_ns = (self.schedule.change_gap_ns * self.rng.random_range(0.2..1.8)) as u64;
        if self.schedule.may_begin(self.now_ns) {
            let count = self.attached.len();
            if count > 0 {
                let at = self.rng.random_range(0..count);
                let ue = self.attached.get(at).copied().unwrap_or(NONE);
                if !self.ue(ue).busy {
                    match self.profile(ue).access {
                        Access::Lte => self.lte_change(ue),
                        Access::Umts => self.umts_change(ue),
                        Access::Nr => self.nr_change(ue),
                    }
                }
            }
        } else {
            gap_ns = gap_ns.max(MS);
        }
        self.later(gap_ns, What::Change);
    }

    fn attach(&mut self, ue: u32) {
        match self.profile(ue).access {
            Access::Lte => self.lte_attach(ue),
            Access::Umts => self.umts_attach(ue),
            Access::Nr => self.nr_attach(ue),
        }
    }

    /// A procedure of a subscriber that does nothing yet.
    pub(super) fn procedure(&mut self, ue: u32) -> Procedure {
        Procedure {
            ue,
            steps: Vec::new(),
            exchanges: [None; 2],
            cores: [Core::NONE; 2],
            radios: [[End::NONE; 2]; 2],
            bearer: Bearer::NONE,
            sgw: End::NONE,
            left: Vec::new(),
            gateway: self.rng.random_range(0..GATEWAYS),
            radio: self.ue(ue).radio,
            area: 0,
            cell: 0,
            refused: 0,
            moves: false,
            buffered: Vec::new(),
            until_ns: 0,
        }
    }

    /// It begins with the first of these steps.
    pub(super) fn launch(&mut self, mut procedure: Procedure, mut steps: Vec<Step>, begin: Begin) {
        self.schedule.tokens -= steps.len() as f64;
        steps.reverse();
        procedure.steps = steps;
        let ue = procedure.ue;
        if let Some(ue) = self.ues.get_mut(ue as usize) {
            ue.busy = true;
        }
        let delay_ns = self.gap_ns()
            + match begin {
                Begin::Now => 0,
                Begin::Settled => SETTLE_NS,
                Begin::Quiet => QUIET_NS,
            };
        if begin != Begin::Now {
            for (_, session) in self.ue(ue).each() {
                self.take_down(session);
            }
        }
        let index = self.resting.pop().unwrap_or(self.procedures.len());
        if index == self.procedures.len() {
            self.procedures.push(None);
        }
        if let Some(place) = self.procedures.get_mut(index) {
            *place = Some(Box::new(procedure));
        }
        self.later(delay_ns, What::Step(index));
    }

    /// The time between two messages of a procedure: 0.5 to 8 ms, more often short.
    fn gap_ns(&mut self) -> u64 {
        let draw = self.rng.random::<f64>();
        500_000 + (draw * draw * 7.5 * MS as f64) as u64
    }

    /// The next step of a procedure.
    pub(super) fn step(&mut self, index: usize) {
        let Some(mut procedure) = self.procedures.get_mut(index).and_then(Option::take) else { return };
        let p = &mut *procedure;
        let mut gap_ns = self.gap_ns();
        match p.steps.pop() {
            Some(Step::Early(connection)) => gap_ns = self.early(p, connection),
            Some(Step::Lte(step)) => self.lte_step(p, step),
            Some(Step::Umts(step)) => self.umts_step(p, step),
            Some(Step::Nr(step)) => self.nr_step(p, step),
            None => {
                self.resting.push(index);
                self.finish(procedure.ue);
                return;
            }
        }
        if p.steps.is_empty() {
            self.resume(p.ue);
            gap_ns = p.until_ns.saturating_sub(self.now_ns).max(PAUSE_NS);
        }
        if let Some(place) = self.procedures.get_mut(index) {
            *place = Some(procedure);
        }
        self.later(gap_ns, What::Step(index));
    }

    /// The subscriber has got the answer, and the tap has not: it sees the other link earlier. Returns
    /// how much earlier.
    fn early(&mut self, p: &mut Procedure, connection: u8) -> u64 {
        let ahead_ns = self.rng.random_range(4 * MS..11_500_000);
        // Not at the end, where the answer could be cut off.
        if self.options.frames() - self.frames > 64 + self.options.pps / 10 {
            let session = match p.steps.last() {
                Some(Step::Umts(_)) => self.umts_make(p),
                Some(Step::Nr(_)) => self.nr_make(p, connection),
                _ => self.lte_early(p, connection),
            };
            for _ in 0..self.rng.random_range(1..4) {
                let delay_ns = self.rng.random_range(100_000..ahead_ns - 200_000);
                self.later(delay_ns, What::Uplink(session));
            }
        }
        ahead_ns
    }

    /// What the subscriber sends as soon as it has the answer.
    pub(super) fn first_packets(&mut self, session: u32) {
        if self.rng.random_bool(0.3) {
            for _ in 0..self.rng.random_range(1..3) {
                let delay_ns = self.rng.random_range(50_000..450_000);
                self.later(delay_ns, What::Uplink(session));
            }
        }
    }

    /// Traffic goes on as soon as the last message of a procedure has passed.
    fn resume(&mut self, ue: u32) {
        let state = self.ue(ue);
        if state.phase == Phase::Connected {
            for (_, session) in state.each() {
                self.bring_up(session);
            }
        }
    }

    /// Something else may happen to the subscriber.
    fn finish(&mut self, ue: u32) {
        let mut state = self.ue(ue);
        state.busy = false;
        match state.phase {
            Phase::Detached => {
                if state.position != NONE {
                    self.attached.swap_remove(state.position as usize);
                    let moved = self.attached.get(state.position as usize).copied().unwrap_or(NONE);
                    if let Some(moved) = self.ues.get_mut(moved as usize) {
                        moved.position = state.position;
                    }
                    state.position = NONE;
                }
                self.detached.push_back((self.now_ns, ue));
            }
            Phase::Connected | Phase::Idle if state.position == NONE => {
                state.position = self.attached.len() as u32;
                self.attached.push(ue);
            }
            Phase::Connected | Phase::Idle => {}
        }
        self.set_ue(ue, state);
    }

    /// The session has traffic from now on.
    pub(super) fn bring_up(&mut self, session: u32) {
        let position = self.up.len() as u32;
        if let Some(found) = self.sessions.get_mut(session as usize) {
            if found.position == NONE {
                found.position = position;
                self.up.push(session);
                if self.rng.random_bool(0.5) {
                    self.make_busy(session);
                }
            }
        }
    }

    /// The session has none.
    fn take_down(&mut self, session: u32) {
        let Some(found) = self.sessions.get_mut(session as usize) else { return };
        let position = std::mem::replace(&mut found.position, NONE);
        if position == NONE {
            return;
        }
        self.up.swap_remove(position as usize);
        let moved = self.up.get(position as usize).copied().unwrap_or(NONE);
        if let Some(moved) = self.sessions.get_mut(moved as usize) {
            moved.position = position;
        }
    }

    pub(super) fn ue(&self, ue: u32) -> Ue {
        self.ues.get(ue as usize).copied().unwrap_or(Ue::NEW)
    }

    pub(super) fn set_ue(&mut self, ue: u32, state: Ue) {
        if let Some(place) = self.ues.get_mut(ue as usize) {
            *place = state;
        }
    }

    pub(super) fn set_core(&mut self, session: u32, core: Core) {
        if let Some(session) = self.sessions.get_mut(session as usize) {
            session.core = core;
        }
    }

    pub(super) fn hold(&mut self, session: u32, interface: Interface, end: &mut End) {
        if let Some(session) = self.sessions.get_mut(session as usize) {
            session.hold(interface, end);
        }
    }

    /// A new endpoint of a node.
    pub(super) fn end(&mut self, node: Node, v6: bool) -> End {
        let numbers = self.teids.get_mut(node.number() * 2 + usize::from(v6));
        let teid = numbers.map_or(0, |numbers| numbers.take(self.now_ns, TEID_REST_NS));
        End { teid, node, v6, held: UNHELD }
    }

    /// The node may hand it out again.
    pub(super) fn release(&mut self, end: End) {
        let numbers = self.teids.get_mut(end.node.number() * 2 + usize::from(end.v6));
        if let Some(numbers) = numbers.filter(|_| end.is_some()) {
            numbers.give_back(self.now_ns, end.teid);
        }
    }

    /// One of the addresses of a gateway for the user plane.
    pub(super) fn plane(&mut self, gateway: u8) -> u8 {
        gateway * PLANES + self.rng.random_range(0..PLANES)
    }

    /// Addresses for a subscriber as it wishes.
    pub(super) fn assign(&mut self, core: &mut Core, wish: Wish) {
        let rest_ns = self.schedule.address_rest_ns;
        if wish.v4 {
            core.v4 = self.ue_ipv4.take(self.now_ns, rest_ns) + 1;
        }
        if wish.v6 {
            core.v6 = self.ue_ipv6.take(self.now_ns, rest_ns) + 1;
        }
    }

    /// A session is made.
    pub(super) fn make(&mut self, core: Core) -> u32 {
        let session = self.sessions.len() as u32;
        self.sessions.push(Session::new(core));
        let mut ue = self.ue(core.ue);
        ue.set_session(core.connection, session);
        self.set_ue(core.ue, ue);
        session
    }

    /// The answer that accepts the session has passed.
    pub(super) fn created(&mut self, session: u32) {
        let now_ns = self.now_ns;
        if let Some(found) = self.sessions.get_mut(session as usize) {
            found.created_ns.get_or_insert(now_ns);
        }
    }

    /// A session has ended: nothing of it may be sent any more, and its addresses go back. Endpoints
    /// go back by their own messages.
    pub(super) fn unmake(&mut self, session: u32) {
        self.take_down(session);
        let core = self.core(session);
        if let Some(found) = self.sessions.get_mut(session as usize) {
            found.ended_ns = Some(self.now_ns);
            found.flows = Box::default();
        }
        self.give_back_addresses(&core);
    }

    pub(super) fn give_back_addresses(&mut self, core: &Core) {
        for (numbers, number) in [(&mut self.ue_ipv4, core.v4), (&mut self.ue_ipv6, core.v6)] {
            if let Some(number) = number.checked_sub(1) {
                numbers.give_back(self.now_ns, number);
            }
        }
    }

    /// A session without signalling, up from its first packet on.
    pub(super) fn unsignalled(&mut self, ue: u32) -> u32 {
        let profile = self.profile(ue);
        let mut core = Core { ue, ..Core::NONE };
        self.assign(&mut core, profile.wish(0));
        let index = self.rng.random_range(0..GATEWAYS);
        let plane = self.plane(index);
        let (radio, access, interfaces) = match profile.access {
            Access::Lte => (self.near_radio(ue), Node::SgwS1u(plane), (Interface::S1uEnb, Interface::S1uSgw)),
            Access::Umts => {
                let node = (ue % 2) as u8;
                let ggsn = Node::GgsnU(plane % 4);
                (Node::SgsnU(node), ggsn, (Interface::GnSgsnU, Interface::GnGgsnU))
            }
            Access::Nr => (self.near_radio(ue), Node::UpfN3(plane), (Interface::N3Gnb, Interface::N3Upf)),
        };
        let [bearer, _] = &mut core.bearers;
        bearer.radio = self.end(radio, profile.over_ipv6);
        bearer.access = self.end(access, profile.over_ipv6);
        let mut session = Session::new(core);
        let [bearer, _] = &mut core.bearers;
        session.hold(interfaces.0, &mut bearer.radio);
        session.hold(interfaces.1, &mut bearer.access);
        session.core = core;
        let index = self.sessions.len() as u32;
        self.sessions.push(session);
        let mut state = self.ue(ue);
        state.set_session(0, index);
        self.set_ue(ue, state);
        index
    }

    /// A request, which the next [`Self::answer`] on the same leg answers.
    pub(super) fn ask(
        &mut self,
        p: &mut Procedure,
        leg: usize,
        (from, to): (Node, Node),
        write: impl FnOnce(&mut Packet<'_>, u32),
    ) {
        let profile = self.profile(p.ue);
        let sequence = self.sequence(from);
        let port = match from {
            Node::Smf | Node::UpfN4(_) => 8805,
            Node::Mme(_) | Node::SgsnC(_) => profile.control_port,
            _ => 2123,
        };
        let again_ns = if self.rng.random_bool(AGAIN) {
            self.now_ns + self.rng.random_range(5 * MS..20 * MS)
        } else {
            0
        };
        if let Some(place) = p.exchanges.get_mut(leg) {
            *place = Some(Exchange { from, to, sequence, port, again_ns });
        }
        let frame =
            self.message((from, to), profile.over_ipv6, port, false, |packet| write(packet, sequence));
        p.until_ns = p.until_ns.max(again_ns);
        self.signal(frame, again_ns);
    }

    /// The answer to the last request on a leg.
    pub(super) fn answer(&mut self, p: &mut Procedure, leg: usize, write: impl FnOnce(&mut Packet<'_>, u32)) {
        let Some(exchange) = p.exchanges.get_mut(leg).and_then(Option::take) else { return };
        let Exchange { from, to, sequence, port, again_ns } = exchange;
        let over_ipv6 = self.profile(p.ue).over_ipv6;
        let frame = self.message((to, from), over_ipv6, port, true, |packet| write(packet, sequence));
        // The answer to a request that came again is the same answer.
        let again_ns = match again_ns {
            0 => 0,
            again_ns => again_ns.max(self.now_ns) + self.rng.random_range(500_000..3 * MS),
        };
        p.until_ns = p.until_ns.max(again_ns);
        self.signal(frame, again_ns);
    }

    /// The next sequence number of a node.
    pub(super) fn sequence(&mut self, node: Node) -> u32 {
        let Some(sequence) = self.sequences.get_mut(node.number()) else { return 0 };
        // The highest bit of GTPv2's is for answers to commands, TS 29.274 7.6.
        *sequence = (*sequence + 1) & 0x7f_ffff;
        *sequence
    }

    /// A frame of signalling becomes the ready frame, and leaves once more where it has to.
    fn signal(&mut self, frame: Vec<u8>, again_ns: u64) {
        if again_ns > 0 {
            let copy = What::Frame { owner: Owner::NOBODY, bytes: frame.clone(), signalling: true };
            self.later(again_ns - self.now_ns, copy);
        }
        (self.frame, self.owner, self.ready) = (frame, Owner::NOBODY, Ready::Signalling);
    }

    /// A message over UDP between two nodes: `port` is the one that asks.
    pub(super) fn message(
        &mut self,
        (from, to): (Node, Node),
        over_ipv6: bool,
        port: u16,
        is_answer: bool,
        write: impl FnOnce(&mut Packet<'_>),
    ) -> Vec<u8> {
        let mut frame = self.spare.pop().unwrap_or_default();
        let mut packet = Packet::new(&mut frame);
        let (source, destination) = (from.address(over_ipv6), to.address(over_ipv6));
        ethernet_between(&mut packet, source, destination, self.options.vlan);
        match (source, destination) {
            (IpAddr::V4(from), IpAddr::V4(to)) => packet.ipv4(&Ipv4::new(from, to)),
            (IpAddr::V6(from), IpAddr::V6(to)) => packet.ipv6(&Ipv6::new(from, to)),
            _ => &mut packet,
        };
        let known = if matches!(from, Node::Smf | Node::UpfN4(_)) { 8805 } else { 2123 };
        if is_answer {
            packet.udp(known, port)
        } else {
            packet.udp(port, known)
        };
        write(&mut packet);
        packet.finish();
        frame
    }

    /// The addresses of a session in the making.
    pub(super) fn address(&self, core: &Core) -> UeAddress {
        core.address(self.salt)
    }
}
