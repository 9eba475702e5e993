//! The tables, and what is read from them and entered in them one value at a time.

use std::net::IpAddr;

use arrayvec::ArrayVec;
use types::{Apn, Digits, Imsi, Interface, Teid, Toward, TunnelKey, UeAddress};

use crate::arena::Arena;
use crate::changed::Changed;
use crate::effects::{Counters, Effects, Limits, Pin, SessionId, TunnelId, View};
use crate::endpoints::{Endpoint, Endpoints, NODES_MAX};
use crate::index::{HashKey, Index};
use crate::install::{opposite, place_of};
use crate::intern::Interned;
use crate::life::Retiring;
use crate::message::Message;
use crate::peers::Peers;
use crate::slots::{Pfcp, RuleSlot, SeidSlot, Session};

/// The sessions that one key of the control plane finds: those of one UE at most.
pub(crate) type Targets = ArrayVec<u32, 16>;

/// Sessions with one IMSI or one UE address that are looked at. More are not found by it.
pub(crate) const SAME_MAX: usize = 32;
/// Names of access points and network instances.
const NAMES_MAX: u32 = u16::MAX as u32;

/// Who a message or a session is about, as far as it says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Who {
    pub(crate) imsi: Digits,
    pub(crate) ue: UeAddress,
    /// It is known by its packets alone.
    pub(crate) seen: bool,
}

impl Who {
    /// What a message says.
    pub(crate) fn told(imsi: Digits, ue: UeAddress) -> Self {
        Self { imsi, ue, seen: false }
    }

    /// Whether both can be the same: nothing that both know differs.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        fn same<T: PartialEq + Copy>(a: Option<T>, b: Option<T>) -> bool {
            a.is_none() || b.is_none() || a == b
        }
        // Nothing in common, where both have something.
        fn apart(one: UeAddress, two: UeAddress) -> bool {
            one != UeAddress::default()
                && two != UeAddress::default()
                && (one.v4.is_none() || two.v4.is_none())
                && (one.v6.is_none() || two.v6.is_none())
        }
        // Signalling tells all addresses of a UE: who sends or gets packets with one of another family is
        // another one, who had the tunnel before.
        fn beyond(seen: &Who, told: &Who) -> bool {
            seen.seen
                && !told.seen
                && told.ue != UeAddress::default()
                && (seen.ue.v4.is_some() && told.ue.v4.is_none()
                    || seen.ue.v6.is_some() && told.ue.v6.is_none())
        }
        (self.imsi == other.imsi || self.imsi == Digits::NONE || other.imsi == Digits::NONE)
            && same(self.ue.v4, other.ue.v4)
            && same(self.ue.v6, other.ue.v6)
            && !apart(self.ue, other.ue)
            && !beyond(self, other)
            && !beyond(other, self)
    }
}

/// All that is known.
pub(crate) struct State {
    pub(crate) limits: Limits,
    pub(crate) key: HashKey,
    cluster: [u64; 4],
    pub(crate) sessions: Arena<Session>,
    pub(crate) imsis: Index,
    pub(crate) v4s: Index,
    pub(crate) v6s: Index,
    pub(crate) users: Endpoints,
    pub(crate) controls: Endpoints,
    pub(crate) pfcps: Arena<Pfcp>,
    pub(crate) seids: Arena<SeidSlot>,
    pub(crate) rules: Arena<RuleSlot>,
    seid_index: Index,
    pub(crate) nodes: Interned<IpAddr>,
    pub(crate) names: Interned<Option<Apn>>,
    pub(crate) counters: Counters,
    pub(crate) now_epoch: u64,
    pub(crate) safe_epoch: u64,
    pub(crate) ended_first: u32,
    pub(crate) ended_last: u32,
    pub(crate) retiring: Retiring,
    pub(crate) peers: Peers,
    /// Where the search for idle sessions goes on.
    pub(crate) sweep: u32,
    /// The sessions that have changed, where that is asked for.
    pub(crate) changed: Option<Changed>,
}

impl State {
    pub(crate) fn new(limits: Limits, key: HashKey, cluster: [u64; 4]) -> Self {
        let sessions = limits.sessions_max;
        let endpoints = sessions.saturating_mul(6).max(limits.tunnels_max).min(u32::MAX - 1);
        Self {
            key,
            // A multiplier must not be even: its low bit would never count.
            cluster: cluster.map(|word| word | 1),
            sessions: Arena::new(sessions),
            imsis: Index::new(sessions),
            v4s: Index::new(sessions),
            v6s: Index::new(sessions),
            users: Endpoints::new(limits.tunnels_max, key),
            controls: Endpoints::new(endpoints, key),
            pfcps: Arena::new(sessions.saturating_mul(3)),
            seids: Arena::new(endpoints),
            rules: Arena::new(sessions.saturating_mul(12).min(u32::MAX - 1)),
            seid_index: Index::new(endpoints),
            nodes: Interned::new(NODES_MAX, key),
            names: Interned::new(NAMES_MAX, key),
            counters: Counters::default(),
            now_epoch: 0,
            safe_epoch: u64::MAX,
            ended_first: 0,
            ended_last: 0,
            retiring: Retiring::new(limits.tunnels_max),
            peers: Peers::new(),
            sweep: 1,
            changed: None,
            limits,
        }
    }

    /// From now on every session is marked that is changed: where its record, an endpoint or a PFCP session
    /// of it is handed out to be changed, and where a part of those changes that does not know its session.
    pub(crate) fn track_changes(&mut self) {
        let changed = Changed::new(self.limits.sessions_max);
        self.sessions.mark_in(&changed);
        self.users.arena.mark_in(&changed);
        self.controls.arena.mark_in(&changed);
        self.pfcps.mark_in(&changed);
        self.changed = Some(changed);
    }

    /// A rule or an F-SEID of a PFCP session changes.
    pub(crate) fn mark_pfcp(&self, pfcp: u32) {
        if let Some(changed) = &self.changed {
            changed.mark(self.pfcps.at(pfcp).session);
        }
    }

    /// Asks for huge pages for what is read at random.
    pub(crate) fn prefer_huge(&mut self) {
        self.sessions.prefer_huge();
        for index in [&self.imsis, &self.v4s, &self.v6s, &self.seid_index] {
            index.prefer_huge();
        }
        self.users.prefer_huge();
        self.controls.prefer_huge();
        self.pfcps.prefer_huge();
        self.seids.prefer_huge();
        self.rules.prefer_huge();
    }

    /// A keyed hash over IMSI and anchor that boxes with one `cluster_key` share.
    pub(crate) fn correlation(&self, imsi: Digits, address: Option<IpAddr>, teid: u64) -> u64 {
        let [a, b, c, d] = self.cluster;
        let (high, low) = match address {
            None => (0, 0),
            Some(IpAddr::V4(ip)) => (4, u64::from(ip.to_bits())),
            Some(IpAddr::V6(ip)) => ((ip.to_bits() >> 64) as u64, ip.to_bits() as u64),
        };
        let key = HashKey::new(a ^ b.rotate_left(32));
        let state = [imsi.bits(), high, low, teid, c].into_iter().fold(d, |state, word| key.add(state, word));
        key.words(state, c ^ d.rotate_left(17))
    }

    pub(crate) fn who(&self, session: u32) -> Who {
        let session = self.sessions.at(session);
        // What a feed says speaks against nothing that signalling says.
        let imsi = if session.has(Session::FED) { Digits::NONE } else { session.imsi };
        Who { imsi, ue: session.ue(), seen: !session.has(Session::KNOWN) }
    }

    pub(crate) fn view(&self, slot: u32, toward: Option<Toward>) -> View {
        let session = self.sessions.at(slot);
        let ue = session.ue();
        let address = ue.v4.map(IpAddr::V4).or_else(|| ue.v6.map(IpAddr::V6));
        let pin = match (session.imsi, address) {
            (Digits::NONE, None) => Pin::None,
            (Digits::NONE, Some(address)) => {
                let name = if session.network != 0 { session.network } else { session.apn };
                Pin::Ue { address, network: self.names.value(u32::from(name)) }
            }
            (imsi, _) => Pin::Imsi(Imsi(imsi)),
        };
        View {
            session: SessionId(slot),
            pin,
            correlation_id: session.correlation,
            ue,
            toward,
            known: session.has(Session::KNOWN),
            created_ns: session.created_ns,
            kin: if self.limits.tells_kin { self.kin(slot) } else { None },
        }
    }

    /// Another live session of the same subscriber that packets can belong to.
    fn kin(&self, slot: u32) -> Option<SessionId> {
        let mut others = self.sessions_of_imsi(self.sessions.at(slot).imsi).into_iter().filter(|&other| {
            let theirs = self.sessions.at(other);
            other != slot && (theirs.users != 0 || theirs.ue() != UeAddress::default())
        });
        others.next_back().map(SessionId)
    }

    pub(crate) fn user_key(&self, user: u32) -> TunnelKey {
        let endpoint = self.users.at(user);
        TunnelKey { receiver: self.nodes.value(endpoint.node()), teid: Teid(endpoint.teid) }
    }

    pub(crate) fn bind(&self, user: u32, effects: &mut impl Effects) {
        let endpoint = *self.users.at(user);
        let view = self.view(endpoint.session, endpoint.code().toward());
        effects.bind(TunnelId(user), self.user_key(user), &view);
    }

    /// Tells anew of all tunnels and addresses of a session.
    pub(crate) fn rebind(&self, slot: u32, effects: &mut impl Effects) {
        let mut user = self.sessions.at(slot).users;
        while user != 0 {
            if self.users.at(user).has(Endpoint::LIVE) {
                self.bind(user, effects);
            }
            user = self.users.at(user).next;
        }
        let ue = self.sessions.at(slot).ue();
        self.place(ue, effects);
    }

    /// The sessions that a TEID of the control plane is of.
    pub(crate) fn control_sessions(&self, address: IpAddr, teid: Option<Teid>) -> Targets {
        let mut found = Targets::new();
        let Some(Teid(teid @ 1..)) = teid else { return found };
        let mut slot = self.controls.find(self.nodes.find(&address), teid);
        while slot != 0 && !found.is_full() {
            let session = self.controls.at(slot).session;
            if !found.contains(&session) {
                found.push(session);
            }
            slot = self.controls.find_next(slot);
        }
        found
    }

    /// The sessions that a request is for: by the TEID of its header, else by that of its answer. A session
    /// whose own endpoints speak against it has missed that its TEID was given to another: it is none of
    /// them.
    pub(crate) fn asked_sessions(&self, request: &Message, answer: &Message) -> Targets {
        self.by_either(request, answer, false)
    }

    /// The same for a request that ends something. What is found by its answer alone must know no other
    /// endpoint in the place of the one that was asked.
    pub(crate) fn ended_sessions(&self, request: &Message, answer: &Message) -> Targets {
        self.by_either(request, answer, true)
    }

    fn by_either(&self, request: &Message, answer: &Message, ends: bool) -> Targets {
        let found = self.by_request(request, answer);
        if found.is_empty() { self.between(request, answer, request, ends) } else { found }
    }

    /// The same, by the TEID of its header alone.
    pub(crate) fn by_request(&self, request: &Message, answer: &Message) -> Targets {
        self.between(request, request, answer, false)
    }

    /// The sessions that `hit` leads to, the one message of an exchange, and that neither the subscriber nor
    /// the endpoint that `other` goes to speak against.
    fn between(&self, request: &Message, hit: &Message, other: &Message, anywhere: bool) -> Targets {
        let told = Who::told(request.imsi_word(), UeAddress::default());
        let mut found = self.control_sessions(hit.destination, hit.teid);
        found.retain(|slot| self.who(*slot).agrees(&told) && !self.denies(*slot, hit, other, anywhere));
        found
    }

    /// Whether a session has another endpoint in the place of the one that `other` goes to: at the same
    /// node or, of an anchor, which never changes, and where `anywhere` is set, at any.
    fn denies(&self, slot: u32, hit: &Message, other: &Message, anywhere: bool) -> bool {
        let (Some(Teid(own_teid)), Some(Teid(teid @ 1..))) = (hit.teid, other.teid) else { return false };
        let (own_node, node) = (self.nodes.find(&hit.destination), self.nodes.find(&other.destination));
        let bit = |place: Option<u8>| place.map_or(0_u16, |place| 1 << place);
        // A bit for each place: where what it speaks to may be, for one endpoint can have two names; where
        // another endpoint is; where the one is that `other` goes to.
        let (mut places, mut another, mut same) = (0, 0, 0);
        for own in self.controls_of(slot) {
            let Some(interface) = own.interface() else { continue };
            if own.is(own_node, own_teid) {
                places |= bit(opposite(interface));
            }
            if own.has(Endpoint::LIVE) {
                let place = bit(place_of(interface));
                if own.teid == teid {
                    same |= place;
                }
                if anywhere || is_anchor(interface) || own.node() == node {
                    another |= place;
                }
            }
        }
        places & another != 0 && places & same == 0
    }

    /// The endpoints of the control plane of a session, past ones too.
    pub(crate) fn controls_of(&self, slot: u32) -> impl Iterator<Item = &Endpoint> {
        let mut next = self.sessions.at(slot).controls;
        core::iter::from_fn(move || {
            let own = self.controls.at(next);
            (core::mem::replace(&mut next, own.next) != 0).then_some(own)
        })
    }

    /// Of several sessions the one with this bearer; a single one also if none of its bearers is known.
    pub(crate) fn with_bearer(&self, targets: &Targets, ebi: u8) -> Option<u32> {
        let found = targets.iter().copied().find(|&slot| self.sessions.at(slot).has_bearer(ebi));
        found.or(match targets.as_slice() {
            &[only] if self.sessions.at(only).default_ebi == 0 || ebi == 0 => {
                Some(only).filter(|&only| self.sessions.at(only).is_active())
            }
            _ => None,
        })
    }

    /// The live sessions of a subscriber, newest first.
    pub(crate) fn sessions_of_imsi(&self, imsi: Digits) -> ArrayVec<u32, SAME_MAX> {
        let mut found = ArrayVec::new();
        if imsi == Digits::NONE {
            return found;
        }
        let mut slot = self.imsis.first(self.key.word(imsi.bits()));
        while slot != 0 && !found.is_full() {
            let session = self.sessions.at(slot);
            if session.imsi == imsi {
                found.push(slot);
            }
            slot = session.imsi_next;
        }
        found
    }

    /// The live sessions with a UE address, newest first.
    pub(crate) fn sessions_of_ue(&self, address: IpAddr) -> ArrayVec<u32, SAME_MAX> {
        let mut found = ArrayVec::new();
        let (v4, word) = match address {
            IpAddr::V4(ip) => (true, u64::from(ip.to_bits())),
            IpAddr::V6(ip) => (false, (ip.to_bits() >> 64) as u64),
        };
        if word == 0 {
            return found;
        }
        let index = if v4 { &self.v4s } else { &self.v6s };
        let mut slot = index.first(self.key.word(word));
        while slot != 0 && !found.is_full() {
            let session = self.sessions.at(slot);
            if word == if v4 { session.v4_word() } else { session.v6_word() } {
                found.push(slot);
            }
            slot = if v4 { session.v4_next } else { session.v6_next };
        }
        found
    }

    /// Enters the IMSI of a session in its index.
    pub(crate) fn enter_imsi(&mut self, slot: u32) {
        let session = self.sessions.at(slot);
        if session.has(Session::IN_IMSIS) || self.sessions_of_imsi(session.imsi).is_full() {
            return;
        }
        if session.imsi == Digits::NONE {
            return;
        }
        let key = self.key;
        self.imsis.put(slot, &mut self.sessions, |s| &mut s.imsi_next, |s| key.word(s.imsi.bits()));
        self.sessions.at_mut(slot).set(Session::IN_IMSIS);
    }

    pub(crate) fn leave_imsi(&mut self, slot: u32) {
        if !self.sessions.at(slot).has(Session::IN_IMSIS) {
            return;
        }
        let key = self.key;
        self.imsis.remove(slot, &mut self.sessions, |s| &mut s.imsi_next, |s| key.word(s.imsi.bits()));
        self.sessions.at_mut(slot).unset(Session::IN_IMSIS);
    }

    /// Enters the UE addresses of a session in their indexes.
    pub(crate) fn enter_ue(&mut self, slot: u32) {
        let key = self.key;
        let session = *self.sessions.at(slot);
        let ue = session.ue();
        if let Some(v4) = ue.v4.filter(|_| !session.has(Session::IN_V4)) {
            if !self.sessions_of_ue(v4.into()).is_full() {
                self.v4s.put(slot, &mut self.sessions, |s| &mut s.v4_next, |s| key.word(s.v4_word()));
                self.sessions.at_mut(slot).set(Session::IN_V4);
            }
        }
        if let Some(v6) = ue.v6.filter(|_| !session.has(Session::IN_V6)) {
            if !self.sessions_of_ue(v6.into()).is_full() {
                self.v6s.put(slot, &mut self.sessions, |s| &mut s.v6_next, |s| key.word(s.v6_word()));
                self.sessions.at_mut(slot).set(Session::IN_V6);
            }
        }
    }

    pub(crate) fn leave_ue(&mut self, slot: u32) {
        let key = self.key;
        if self.sessions.at(slot).has(Session::IN_V4) {
            self.v4s.remove(slot, &mut self.sessions, |s| &mut s.v4_next, |s| key.word(s.v4_word()));
            self.sessions.at_mut(slot).unset(Session::IN_V4);
        }
        if self.sessions.at(slot).has(Session::IN_V6) {
            self.v6s.remove(slot, &mut self.sessions, |s| &mut s.v6_next, |s| key.word(s.v6_word()));
            self.sessions.at_mut(slot).unset(Session::IN_V6);
        }
    }

    /// Tells whose these addresses are now.
    pub(crate) fn place(&self, ue: UeAddress, effects: &mut impl Effects) {
        for address in ue.v4.map(IpAddr::V4).into_iter().chain(ue.v6.map(IpAddr::V6)) {
            let found = self.sessions_of_ue(address);
            let mut known = found.iter().filter(|&&slot| self.sessions.at(slot).has(Session::KNOWN));
            let whose = match (known.next(), known.next()) {
                (Some(only), None) => Some(only),
                // All that packets have shown of it is of one UE.
                (None, _) => found.first(),
                (Some(_), Some(_)) => None,
            };
            effects.place_ue(address, whose.map(|&slot| self.view(slot, None)).as_ref());
        }
    }

    /// Gives a session the addresses that signalling tells. Of those that it told before, a family that
    /// is not told now stays; what was known by packets goes. Returns whether anything is new.
    pub(crate) fn set_ue(&mut self, slot: u32, ue: UeAddress, effects: &mut impl Effects) -> bool {
        if ue == UeAddress::default() {
            return false;
        }
        let session = self.sessions.at_mut(slot);
        let before = if session.has(Session::UE_TOLD) { session.ue() } else { UeAddress::default() };
        session.set(Session::UE_TOLD);
        self.change_ue(slot, UeAddress { v4: ue.v4.or(before.v4), v6: ue.v6.or(before.v6) }, effects)
    }

    /// The same for an address that packets show; of a session that signalling told of, nothing changes.
    pub(crate) fn see_ue(&mut self, slot: u32, ue: UeAddress, effects: &mut impl Effects) -> bool {
        let session = self.sessions.at(slot);
        let old = session.ue();
        !session.has(Session::UE_TOLD)
            && self.change_ue(slot, UeAddress { v4: ue.v4.or(old.v4), v6: ue.v6.or(old.v6) }, effects)
    }

    fn change_ue(&mut self, slot: u32, new: UeAddress, effects: &mut impl Effects) -> bool {
        let old = self.sessions.at(slot).ue();
        if new == old {
            return false;
        }
        self.leave_ue(slot);
        let session = self.sessions.at_mut(slot);
        session.set_v4(new.v4);
        session.set_v6(new.v6);
        self.enter_ue(slot);
        // Addresses that it gave up; the new ones are told of with the session.
        self.place(
            UeAddress { v4: old.v4.filter(|_| new.v4 != old.v4), v6: old.v6.filter(|_| new.v6 != old.v6) },
            effects,
        );
        true
    }

    fn name(&mut self, name: Option<Apn>) -> u16 {
        match self.names.hold(&name) {
            Some(slot) => slot as u16,
            None => {
                self.counters.refused.names_full += 1;
                0
            }
        }
    }

    /// Takes over what a message says of the subscriber. What changes in the life of a session is
    /// overwritten, who it is of is not. Returns whether the tunnels are to be told of anew.
    pub(crate) fn identify(&mut self, slot: u32, message: &Message) -> bool {
        let mut changed = false;
        if message.apn.is_some() && self.sessions.at(slot).apn == 0 {
            self.sessions.at_mut(slot).apn = self.name(message.apn);
            changed |= self.sessions.at(slot).imsi == Digits::NONE;
        }
        if message.network.is_some() && self.sessions.at(slot).network == 0 {
            self.sessions.at_mut(slot).network = self.name(message.network);
            changed |= self.sessions.at(slot).imsi == Digits::NONE;
        }
        let session = self.sessions.at_mut(slot);
        session.active_ns = session.active_ns.max(message.time_ns);
        if let Some(msisdn) = message.msisdn {
            session.msisdn = msisdn.0;
        }
        if let Some(imei) = message.imei {
            session.imei = imei.0;
        }
        if let Some(rat) = message.rat {
            session.set_rat(rat);
        }
        if let Some(serving) = message.serving {
            session.set_serving(serving);
        }
        if let Some(snssai) = message.snssai {
            session.set_snssai(snssai);
        }
        session.update_location(message.location);
        self.set_imsi(slot, message.imsi) | changed
    }

    /// Sets the subscriber of a session that has none yet.
    pub(crate) fn set_imsi(&mut self, slot: u32, imsi: Option<Imsi>) -> bool {
        let Some(Imsi(imsi)) = imsi else { return false };
        if imsi != Digits::NONE {
            self.forget_fed(slot);
        }
        let session = self.sessions.at_mut(slot);
        if session.imsi != Digits::NONE || imsi == Digits::NONE {
            return false;
        }
        session.imsi = imsi;
        self.enter_imsi(slot);
        true
    }

    /// From now on the session is a known one. Returns whether it was not.
    pub(crate) fn learn(&mut self, slot: u32, time_ns: u64) -> bool {
        let session = *self.sessions.at(slot);
        if session.has(Session::KNOWN) {
            return false;
        }
        self.nodes.release(session.source());
        let session = self.sessions.at_mut(slot);
        session.set_source(0);
        session.set(Session::KNOWN);
        session.created_ns = time_ns;
        true
    }

    /// What a session is told by outside of snipe, over its IMSI and anchor.
    pub(crate) fn name_session(
        &mut self,
        slot: u32,
        anchor: Option<(IpAddr, u64)>,
        effects: &mut impl Effects,
    ) {
        let (address, teid) = anchor.unzip();
        let Session { imsi, correlation: from, .. } = *self.sessions.at(slot);
        self.sessions.at_mut(slot).correlation = self.correlation(imsi, address, teid.unwrap_or(0));
        // Who had a name was an unknown one.
        if from != 0 {
            effects.learned(SessionId(slot), from);
        }
    }

    /// The endpoint of the PGW or GGSN that a session hangs on.
    pub(crate) fn anchor(&self, slot: u32) -> Option<Endpoint> {
        let mut control = self.sessions.at(slot).controls;
        while control != 0 {
            let endpoint = self.controls.at(control);
            if endpoint.has(Endpoint::LIVE) && endpoint.interface().is_some_and(is_anchor) {
                return Some(*endpoint);
            }
            control = endpoint.next;
        }
        None
    }

    /// The node that gives the UE its address: PGW, GGSN, else SMF.
    pub(crate) fn anchor_node(&self, slot: u32) -> u32 {
        if let Some(anchor) = self.anchor(slot) {
            return anchor.node();
        }
        let mut pfcp = self.sessions.at(slot).pfcps;
        while pfcp != 0 {
            let mut seid = self.pfcps.at(pfcp).seids;
            while seid != 0 {
                let own = self.seids.at(seid);
                if own.live && !own.upf {
                    return own.node;
                }
                seid = own.next;
            }
            pfcp = self.pfcps.at(pfcp).next;
        }
        0
    }

    fn seid_hash(key: HashKey) -> impl Fn(&SeidSlot) -> u64 {
        move |slot| key.words(slot.seid, u64::from(slot.node))
    }

    /// The PFCP session that a SEID is of at this address, or 0.
    pub(crate) fn pfcp_of(&self, address: IpAddr, seid: u64, upf: bool) -> u32 {
        let node = self.nodes.find(&address);
        if node == 0 {
            return 0;
        }
        let mut slot = self.seid_index.first(self.key.words(seid, u64::from(node)));
        while slot != 0 {
            let own = self.seids.at(slot);
            if own.seid == seid && own.node == node && own.upf == upf {
                return own.pfcp;
            }
            slot = own.chain;
        }
        0
    }

    pub(crate) fn enliven_seid(&mut self, slot: u32) {
        self.mark_pfcp(self.seids.at(slot).pfcp);
        let hash = Self::seid_hash(self.key);
        self.seid_index.put(slot, &mut self.seids, |slot| &mut slot.chain, hash);
        self.seids.at_mut(slot).live = true;
    }

    pub(crate) fn bury_seid(&mut self, slot: u32) {
        if self.seids.at(slot).live {
            self.mark_pfcp(self.seids.at(slot).pfcp);
            let hash = Self::seid_hash(self.key);
            self.seid_index.remove(slot, &mut self.seids, |slot| &mut slot.chain, hash);
            self.seids.at_mut(slot).live = false;
        }
    }
}

/// Whether this is the endpoint of a PGW or GGSN of the control plane.
pub(crate) fn is_anchor(interface: Interface) -> bool {
    matches!(
        interface,
        Interface::S5S8_PGW_C | Interface::S2A_PGW_C | Interface::S2B_PGW_C | Interface::GN_GGSN_C
    )
}
