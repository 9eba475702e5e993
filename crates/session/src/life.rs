//! How sessions begin, become one, end, and are freed.

use std::collections::VecDeque;

use types::{Digits, UeAddress};

use crate::arena::Slot;
use crate::effects::{Effects, SessionId, TunnelId};
use crate::endpoints::Endpoint;
use crate::record::State as Phase;
use crate::slots::Session;
use crate::state::State;

/// How long a tunnel that was replaced still belongs to its session: for packets that were sent before
/// the change, and End Markers. TS 23.401 5.5.1.1.2.
const GRACE_NS: u64 = 1_000_000_000;
/// Tunnels that can be in that time at once; more, and the oldest's is over.
const RETIRING_MAX: u32 = 65_536;
/// Sessions that one call of [`State::expire`] looks at, at least.
const SWEEP_MIN: u32 = 256;
/// All are looked at in so many calls.
const SWEEP_CALLS: u32 = 16_384;

/// Tunnels that were replaced, oldest first.
pub(crate) struct Retiring {
    queue: VecDeque<(u64, u32)>,
    tunnels_max: usize,
}

impl Retiring {
    pub(crate) fn new(tunnels_max: u32) -> Self {
        let tunnels_max = tunnels_max.clamp(1, RETIRING_MAX) as usize;
        Self { queue: VecDeque::with_capacity(tunnels_max), tunnels_max }
    }

    /// Returns one whose time is over because there is no room.
    pub(crate) fn push(&mut self, user: u32, time_ns: u64) -> Option<u32> {
        let oldest = if self.queue.len() < self.tunnels_max { None } else { self.queue.pop_front() };
        self.queue.push_back((time_ns.saturating_add(GRACE_NS), user));
        oldest.map(|(_, user)| user)
    }

    /// One that will be popped some calls later.
    fn peek(&self, behind: usize) -> Option<u32> {
        self.queue.get(behind).map(|&(_, user)| user)
    }

    fn pop(&mut self, now_ns: u64) -> Option<u32> {
        self.queue.front().filter(|(due_ns, _)| *due_ns <= now_ns)?;
        self.queue.pop_front().map(|(_, user)| user)
    }
}

impl State {
    /// A session that nothing is known of yet.
    pub(crate) fn begin(&mut self, time_ns: u64) -> Option<u32> {
        let mut session = Session::EMPTY;
        session.created_ns = time_ns;
        session.active_ns = time_ns;
        session.set_state(Phase::Active);
        let Some(slot) = self.sessions.take(self.safe_epoch, session) else {
            self.counters.refused.sessions_full += 1;
            return None;
        };
        self.counters.created += 1;
        self.counters.active += 1;
        Some(slot)
    }

    /// Asks for all places that lead to a session, so that they come together and not one after the other.
    fn ask_for_all(&self, slot: u32, effects: &impl Effects) {
        let session = self.sessions.at(slot);
        self.imsis.prefetch(self.key.word(session.imsi.bits()));
        self.v4s.prefetch(self.key.word(session.v4_word()));
        self.v6s.prefetch(self.key.word(session.v6_word()));
        for own in self.controls_of(slot).filter(|own| own.has(Endpoint::LIVE)) {
            self.controls.prefetch_head(own.node(), own.teid);
        }
        let mut user = session.users;
        while user != 0 {
            let own = self.users.at(user);
            if own.has(Endpoint::LIVE) {
                self.users.prefetch_head(own.node(), own.teid);
                effects.prefetch(self.user_key(user));
            }
            user = own.next;
        }
    }

    /// The end of a session. It can be read until it is freed.
    pub(crate) fn end(&mut self, slot: u32, phase: Phase, time_ns: u64, effects: &mut impl Effects) {
        if !self.sessions.at(slot).is_active() {
            return;
        }
        self.ask_for_all(slot, effects);
        let session = *self.sessions.at(slot);
        let mut user = session.users;
        while user != 0 {
            self.lose_user(user, effects);
            user = self.users.at(user).next;
        }
        let mut control = session.controls;
        while control != 0 {
            self.controls.bury(control);
            control = self.controls.at(control).next;
        }
        let mut pfcp = session.pfcps;
        while pfcp != 0 {
            self.end_pfcp(pfcp);
            pfcp = self.pfcps.at(pfcp).next;
        }
        self.leave_imsi(slot);
        self.leave_ue(slot);
        let session = self.sessions.at_mut(slot);
        session.set_state(phase);
        session.active_ns = time_ns;
        session.imsi_next = 0;
        self.counters.active -= 1;
        match phase {
            Phase::Expired => self.counters.expired += 1,
            _ => self.counters.deleted += 1,
        }
        if self.ended_last == 0 {
            self.ended_first = slot;
        } else {
            let last = self.ended_last;
            self.sessions.at_mut(last).imsi_next = slot;
        }
        self.ended_last = slot;
        let ue = self.sessions.at(slot).ue();
        self.place(ue, effects);
        effects.ended(SessionId(slot));
    }

    /// Takes the next ended session off the list of those that were not looked at.
    pub(crate) fn next_ended(&mut self) -> Option<u32> {
        let slot = self.ended_first;
        if slot == 0 {
            return None;
        }
        self.ended_first = core::mem::take(&mut self.sessions.at_mut(slot).imsi_next);
        if self.ended_first == 0 {
            self.ended_last = 0;
        }
        Some(slot)
    }

    /// Forgets an ended session.
    pub(crate) fn free(&mut self, slot: u32, mut each: impl FnMut(u32)) {
        let session = *self.sessions.at(slot);
        if !matches!(session.state(), Some(Phase::Deleted | Phase::Expired)) {
            return;
        }
        let mut user = session.users;
        while user != 0 {
            let endpoint = *self.users.at(user);
            self.nodes.release(endpoint.node());
            self.users.arena.give_back(user, self.now_epoch);
            each(user);
            user = endpoint.next;
        }
        let mut control = session.controls;
        while control != 0 {
            let endpoint = *self.controls.at(control);
            self.nodes.release(endpoint.node());
            self.controls.arena.give_back(control, 0);
            control = endpoint.next;
        }
        let mut pfcp = session.pfcps;
        while pfcp != 0 {
            let after = self.pfcps.at(pfcp).next;
            self.free_pfcp(pfcp);
            pfcp = after;
        }
        self.free_session(slot);
    }

    /// Frees the record alone.
    fn free_session(&mut self, slot: u32) {
        let session = *self.sessions.at(slot);
        self.nodes.release(session.source());
        self.names.release(u32::from(session.apn));
        self.names.release(u32::from(session.network));
        self.sessions.give_back(slot, self.now_epoch);
    }

    /// Two sessions are one; returns it. An unknown one goes into the known one, of two known ones the
    /// newer into the older.
    pub(crate) fn join(&mut self, slot: u32, other: u32, effects: &mut impl Effects) -> u32 {
        let age = |slot: u32| {
            let session = self.sessions.at(slot);
            (!session.has(Session::KNOWN), session.created_ns, slot)
        };
        let (into, from) = if age(other) < age(slot) { (other, slot) } else { (slot, other) };
        self.merge(from, into, effects);
        into
    }

    /// All that one session has goes into another.
    pub(crate) fn merge(&mut self, from: u32, into: u32, effects: &mut impl Effects) {
        if from == into || !self.sessions.at(from).is_active() || !self.sessions.at(into).is_active() {
            return;
        }
        let before = self.view(from, None);
        self.leave_imsi(from);
        self.leave_ue(from);
        let old = *self.sessions.at(from);
        let mut last = 0;
        let mut user = old.users;
        while user != 0 {
            let endpoint = self.users.at_mut(user);
            endpoint.session = into;
            (last, user) = (user, endpoint.next);
        }
        if last != 0 {
            let rest = core::mem::replace(&mut self.sessions.at_mut(into).users, old.users);
            self.users.at_mut(last).next = rest;
        }
        let (mut last, mut control) = (0, old.controls);
        while control != 0 {
            let endpoint = self.controls.at_mut(control);
            endpoint.session = into;
            (last, control) = (control, endpoint.next);
        }
        if last != 0 {
            let rest = core::mem::replace(&mut self.sessions.at_mut(into).controls, old.controls);
            self.controls.at_mut(last).next = rest;
        }
        let (mut last, mut pfcp) = (0, old.pfcps);
        while pfcp != 0 {
            let own = self.pfcps.at_mut(pfcp);
            own.session = into;
            (last, pfcp) = (pfcp, own.next);
        }
        if last != 0 {
            let rest = core::mem::replace(&mut self.sessions.at_mut(into).pfcps, old.pfcps);
            self.pfcps.at_mut(last).next = rest;
        }
        self.unite(from, into, &old, effects);
        self.counters.created -= 1;
        self.counters.active -= 1;
        self.free_session(from);
        effects.merged(&before, &self.view(into, None));
        self.rebind(into, effects);
    }

    /// The identity of two sessions in one: what is missing comes from the other.
    fn unite(&mut self, from: u32, into: u32, old: &Session, effects: &mut impl Effects) {
        if old.imsi != Digits::NONE && !old.has(Session::FED) {
            self.forget_fed(into);
        }
        let session = self.sessions.at_mut(into);
        session.active_ns = session.active_ns.max(old.active_ns);
        if old.has(Session::FED) && session.imsi == Digits::NONE {
            session.imsi = old.imsi;
            session.set(Session::FED);
        }
        if old.has(Session::KNOWN) {
            session.created_ns = session.created_ns.min(old.created_ns);
            session.set(old.halves());
            session.add_bearers(old);
            for (own, other) in [
                (&mut session.imsi, old.imsi),
                (&mut session.msisdn, old.msisdn),
                (&mut session.imei, old.imei),
            ] {
                if *own == Digits::NONE {
                    *own = other;
                }
            }
            if let (None, Some(rat)) = (session.rat(), old.rat()) {
                session.set_rat(rat);
            }
            if let (None, Some(serving)) = (session.serving(), old.serving()) {
                session.set_serving(serving);
            }
            if let (None, Some(snssai)) = (session.snssai(), old.snssai()) {
                session.set_snssai(snssai);
            }
            let (own, other) = (session.location(), old.location());
            session.update_location(types::Location {
                area: other.area.filter(|_| own.area.is_none()),
                cell: other.cell.filter(|_| own.cell.is_none()),
            });
            let names = self.sessions.at_mut(from);
            let (apn, network) = (names.apn, names.network);
            let session = self.sessions.at_mut(into);
            if session.apn == 0 {
                session.apn = apn;
                self.sessions.at_mut(from).apn = 0;
            }
            let session = self.sessions.at_mut(into);
            if session.network == 0 {
                session.network = network;
                self.sessions.at_mut(from).network = 0;
            }
        }
        self.enter_imsi(into);
        self.leave_ue(into);
        let session = self.sessions.at_mut(into);
        let (mut own, mut other, mut dropped) = (session.ue(), old.ue(), UeAddress::default());
        // What signalling told of one counts more than what packets showed of the other.
        match (session.has(Session::UE_TOLD), old.has(Session::UE_TOLD)) {
            (true, false) => dropped = core::mem::take(&mut other),
            (false, true) => dropped = core::mem::take(&mut own),
            _ => {}
        }
        if old.has(Session::UE_TOLD) {
            session.set(Session::UE_TOLD);
        }
        session.set_v4(own.v4.or(other.v4));
        session.set_v6(own.v6.or(other.v6));
        self.enter_ue(into);
        self.place(dropped, effects);
    }

    /// A session is told a UE address and an anchor now which another live one of the same network was
    /// told before: the end of the other was missed. What packets show ends nobody: a UE sends what it likes.
    pub(crate) fn supersede(&mut self, slot: u32, time_ns: u64, effects: &mut impl Effects) {
        let session = *self.sessions.at(slot);
        let anchor = self.anchor_node(slot);
        if anchor == 0 || !session.has(Session::UE_TOLD) {
            return;
        }
        let ue = session.ue();
        let addresses = ue.v4.map(Into::into).into_iter().chain(ue.v6.map(Into::into));
        for address in addresses {
            for other in self.sessions_of_ue(address) {
                let theirs = self.sessions.at(other);
                let same_network = (session.apn != 0 && session.apn == theirs.apn)
                    || (session.network != 0 && session.network == theirs.network);
                // A pool that gives many UEs one prefix tells them apart by IPv4.
                let (one, two) = (ue, theirs.ue());
                let differ = one.v4.is_some() && two.v4.is_some() && one.v4 != two.v4
                    || one.v6.is_some() && two.v6.is_some() && one.v6 != two.v6;
                if other != slot
                    && theirs.has(Session::UE_TOLD)
                    && !differ
                    && same_network
                    && self.anchor_node(other) == anchor
                {
                    self.end(other, Phase::Deleted, time_ns, effects);
                }
            }
        }
    }

    /// Ends what is idle, and lets go of tunnels that were replaced. Looks at a part of the sessions only.
    pub(crate) fn expire(
        &mut self,
        now_ns: u64,
        last_seen: &impl Fn(TunnelId) -> u64,
        effects: &mut impl Effects,
    ) {
        self.settle_due(now_ns, effects);
        self.look_for_lost(effects);
        let touched = self.sessions.touched();
        let idle_ns = u64::from(self.limits.idle_secs) * 1_000_000_000;
        let unknown_ns = u64::from(self.limits.unknown_idle_secs) * 1_000_000_000;
        for _ in 0..SWEEP_MIN.max(touched / SWEEP_CALLS).min(touched) {
            let slot = self.sweep;
            self.sweep = if slot + 1 < touched { slot + 1 } else { 1 };
            let session = self.sessions.at(slot);
            let wait_ns = if session.has(Session::KNOWN) { idle_ns } else { unknown_ns };
            if !session.is_active() || session.active_ns.saturating_add(wait_ns) > now_ns {
                continue;
            }
            let mut active_ns = session.active_ns;
            let mut user = session.users;
            while user != 0 {
                active_ns = active_ns.max(last_seen(TunnelId(user)));
                user = self.users.at(user).next;
            }
            let due_ns = active_ns.saturating_add(wait_ns);
            if due_ns <= now_ns {
                self.end(slot, Phase::Expired, due_ns, effects);
            } else {
                self.sessions.at_mut(slot).active_ns = active_ns;
            }
        }
    }

    /// Tunnels that were replaced a while ago are past.
    pub(crate) fn settle_due(&mut self, now_ns: u64, effects: &mut impl Effects) {
        while let Some(user) = self.retiring.pop(now_ns) {
            if let Some(later) = self.retiring.peek(3) {
                self.users.arena.prefetch(later);
            }
            if let Some(next) = self.retiring.peek(1) {
                let endpoint = self.users.at(next);
                self.users.prefetch_head(endpoint.node(), endpoint.teid);
                effects.prefetch(self.user_key(next));
            }
            self.settle(user, effects);
        }
    }

    /// A bearer is gone. Returns whether it was not the last one.
    pub(crate) fn remove_bearer(
        &mut self,
        slot: u32,
        ebi: u8,
        time_ns: u64,
        effects: &mut impl Effects,
    ) -> bool {
        self.retire_where(slot, time_ns, effects, |endpoint: &Endpoint| endpoint.ebi() == ebi && ebi != 0);
        self.sessions.at_mut(slot).remove_bearer(ebi)
    }
}
