//! What the nodes remember: endpoints, bearers, sessions, subscribers, and numbers to hand out.

use std::collections::VecDeque;

use super::nodes::{Node, UeAddress};
use super::traffic::Flow;
use super::{DOWNLINK, UPLINK};

/// No session, no place in a list.
pub(super) const NONE: u32 = u32::MAX;
/// An endpoint that counts nothing.
pub(super) const UNHELD: u16 = u16::MAX;

/// An interface whose endpoints a session can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interface {
    S11Mme,
    S11Sgw,
    S5SgwC,
    S5PgwC,
    S1uEnb,
    S1uSgw,
    S5SgwU,
    S5PgwU,
    GnSgsnC,
    GnGgsnC,
    GnSgsnU,
    GnGgsnU,
    N3Gnb,
    N3Upf,
    N4Smf,
    N4Upf,
}

impl Interface {
    /// The name of TS 29.274 8.22 without " interface"; Gn, N3 and N4 have none there.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::S11Mme => "S11 MME GTP-C",
            Self::S11Sgw => "S11/S4 SGW GTP-C",
            Self::S5SgwC => "S5/S8 SGW GTP-C",
            Self::S5PgwC => "S5/S8 PGW GTP-C",
            Self::S1uEnb => "S1-U eNodeB GTP-U",
            Self::S1uSgw => "S1-U SGW GTP-U",
            Self::S5SgwU => "S5/S8 SGW GTP-U",
            Self::S5PgwU => "S5/S8 PGW GTP-U",
            Self::GnSgsnC => "Gn SGSN GTP-C",
            Self::GnGgsnC => "Gn GGSN GTP-C",
            Self::GnSgsnU => "Gn SGSN GTP-U",
            Self::GnGgsnU => "Gn GGSN GTP-U",
            Self::N3Gnb => "N3 gNB",
            Self::N3Upf => "N3 UPF",
            Self::N4Smf => "N4 SMF",
            Self::N4Upf => "N4 UPF",
        }
    }

    /// The number of TS 29.274 8.22; of Gn, N3 and N4 none is ever sent.
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::S1uEnb => 0,
            Self::S1uSgw => 1,
            Self::S5SgwU => 4,
            Self::S5PgwU => 5,
            Self::S5SgwC => 6,
            Self::S5PgwC => 7,
            Self::S11Mme => 10,
            _ => 11,
        }
    }

    /// The direction of the packets that it receives; `None` for the control plane.
    pub(super) const fn direction(self) -> Option<usize> {
        match self {
            Self::S1uSgw | Self::S5PgwU | Self::GnGgsnU | Self::N3Upf => Some(UPLINK),
            Self::S1uEnb | Self::S5SgwU | Self::GnSgsnU | Self::N3Gnb => Some(DOWNLINK),
            _ => None,
        }
    }
}

/// An endpoint: a number that a node handed out. The number 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) teid: u32,
    pub(super) node: Node,
    pub(super) v6: bool,
    /// Its place among those of the session, once it is one of them.
    pub(super) held: u16,
}

impl End {
    pub(super) const NONE: Self = Self { teid: 0, node: Node::Dns, v6: false, held: UNHELD };

    pub(super) const fn is_some(self) -> bool {
        self.teid != 0
    }

    /// The SEID that stands for this number on N4: 64 bits of which no half is enough.
    pub(super) const fn seid(self) -> u64 {
        (self.node.number() as u64 + 1) << 56 | (self.teid as u64 >> 4) << 32 | self.teid as u64
    }
}

/// One bearer, PDP context or N3 tunnel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bearer {
    /// EPS bearer identity or NSAPI; 0: there is none.
    pub(super) ebi: u8,
    /// Of eNodeB, SGSN (or RNC), gNB.
    pub(super) radio: End,
    /// What the radio side sends to: of SGW, GGSN, UPF.
    pub(super) access: End,
    /// Of the SGW on S5-U.
    pub(super) sgw: End,
    /// Of the PGW on S5-U.
    pub(super) pgw: End,
}

impl Bearer {
    pub(super) const NONE: Self =
        Self { ebi: 0, radio: End::NONE, access: End::NONE, sgw: End::NONE, pgw: End::NONE };

    pub(super) const fn ends(&self) -> [End; 4] {
        [self.radio, self.access, self.sgw, self.pgw]
    }
}

/// What is known of a session while it is up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Core {
    pub(super) ue: u32,
    /// Which PDN connection of the subscriber.
    pub(super) connection: u8,
    /// The subscriber has asked for its prefix.
    pub(super) asked: bool,
    /// Numbers of the addresses, plus 1; 0: none.
    pub(super) v4: u32,
    pub(super) v6: u32,
    /// The default bearer, and one more.
    pub(super) bearers: [Bearer; 2],
    /// Signalling of the session, of the node nearer to the radio: SGW on S5, SGSN, SMF.
    pub(super) near: End,
    /// And of the other: PGW, GGSN, UPF.
    pub(super) far: End,
    pub(super) area: u16,
    pub(super) cell: u32,
}

impl Core {
    pub(super) const NONE: Self = Self {
        ue: NONE,
        connection: 0,
        asked: false,
        v4: 0,
        v6: 0,
        bearers: [Bearer::NONE; 2],
        near: End::NONE,
        far: End::NONE,
        area: 0,
        cell: 0,
    };

    /// The subscriber's addresses.
    pub(super) fn address(&self, salt: u64) -> UeAddress {
        UeAddress {
            v4: self.v4.checked_sub(1).map(super::nodes::ue_ipv4),
            v6: self.v6.checked_sub(1).map(|number| super::nodes::ue_ipv6(number, salt)),
        }
    }
}

/// An endpoint of a session and what was sent to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) interface: Interface,
    pub(super) end: End,
    pub(super) packets: u32,
    pub(super) bytes: u64,
}

/// One session, from its making to the end of the capture.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) core: Core,
    /// Place among the sessions that have traffic, or [`NONE`].
    pub(super) position: u32,
    /// Since the beginning of the capture.
    pub(super) created_ns: Option<u64>,
    pub(super) ended_ns: Option<u64>,
    pub(super) held: Vec<Held>,
    /// Empty before its first packet.
    pub(super) flows: Box<[Flow]>,
}

impl Session {
    pub(super) fn new(core: Core) -> Self {
        Self {
            core,
            position: NONE,
            created_ns: None,
            ended_ns: None,
            held: Vec::new(),
            flows: Box::default(),
        }
    }

    /// The endpoint is one of the session's from now on.
    pub(super) fn hold(&mut self, interface: Interface, end: &mut End) {
        let same = |held: &Held| {
            held.interface == interface
                && (held.end.node, held.end.v6, held.end.teid) == (end.node, end.v6, end.teid)
        };
        let place = self.held.iter().position(same).unwrap_or_else(|| {
            if self.held.capacity() == self.held.len() {
                self.held.reserve_exact(if self.held.is_empty() { 8 } else { 4 });
            }
            self.held.push(Held { interface, end: *end, packets: 0, bytes: 0 });
            self.held.len() - 1
        });
        end.held = u16::try_from(place).unwrap_or(UNHELD);
    }
}

/// Whether a subscriber is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Detached,
    Connected,
    /// Sessions without a tunnel to the radio side.
    Idle,
}

/// One subscriber.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ue {
    pub(super) sessions: [u32; 2],
    /// The S11 pair.
    pub(super) mme: End,
    pub(super) sgw: End,
    pub(super) radio: Node,
    pub(super) phase: Phase,
    /// A procedure is going on.
    pub(super) busy: bool,
    /// Place among the attached, or [`NONE`].
    pub(super) position: u32,
}

impl Ue {
    pub(super) const NEW: Self = Self {
        sessions: [NONE; 2],
        mme: End::NONE,
        sgw: End::NONE,
        radio: Node::Enb(0),
        phase: Phase::Detached,
        busy: false,
        position: NONE,
    };

    /// The sessions it has, each with the number of its PDN connection.
    pub(super) fn each(&self) -> impl Iterator<Item = (u8, u32)> + use<> {
        (0_u8..).zip(self.sessions).filter(|(_, session)| *session != NONE)
    }

    pub(super) fn session(&self, connection: u8) -> u32 {
        self.sessions.get(usize::from(connection)).copied().unwrap_or(NONE)
    }

    pub(super) fn set_session(&mut self, connection: u8, session: u32) {
        if let Some(place) = self.sessions.get_mut(usize::from(connection)) {
            *place = session;
        }
    }
}

/// Numbers that a node hands out. One that came back rests for a while and is then the next: the list
/// of free ones is short, so that numbers are used again soon.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    last: u32,
    free: VecDeque<(u64, u32)>,
}

impl Numbers {
    /// A number from 1 on.
    pub(super) fn take(&mut self, now_ns: u64, rest_ns: u64) -> u32 {
        if self.free.front().is_some_and(|&(since, _)| since + rest_ns <= now_ns) {
            if let Some((_, number)) = self.free.pop_front() {
                return number;
            }
        }
        self.last += 1;
        self.last
    }

    pub(super) fn give_back(&mut self, now_ns: u64, number: u32) {
        self.free.push_back((now_ns, number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_rests_before_it_is_used_again() {
        let mut numbers = Numbers::default();
        assert_eq!([numbers.take(0, 50), numbers.take(0, 50)], [1, 2]);
        numbers.give_back(10, 1);
        assert_eq!([numbers.take(59, 50), numbers.take(60, 50), numbers.take(60, 50)], [3, 1, 4]);
    }

    #[test]
    fn an_endpoint_is_held_once() {
        let mut session = Session::new(Core::NONE);
        let mut end = End { teid: 7, node: Node::Enb(1), v6: false, held: UNHELD };
        session.hold(Interface::S1uEnb, &mut end);
        let mut again = End { held: UNHELD, ..end };
        session.hold(Interface::S1uEnb, &mut again);
        assert_eq!((end.held, again.held, session.held.len()), (0, 0, 1));
        session.hold(Interface::S1uSgw, &mut again);
        assert_eq!((again.held, session.held.len()), (1, 2));
    }
}
