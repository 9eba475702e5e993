//! One session as bytes, for a checkpoint or a journal, and back.
//!
//! The numbers of nodes, names and tunnels mean something in one run only: addresses, names and places
//! in the session's own lists stand for them. All integers are little-endian.

use std::net::IpAddr;

use types::{Apn, Side};

use crate::arena::Slot as _;
use crate::effects::{Effects, SessionId, TunnelId};
use crate::endpoints::Endpoint;
use crate::slots::{Pfcp, RuleSlot, SeidSlot, Session};
use crate::state::State;

/// The version of this encoding, in the first byte.
const VERSION: u8 = 1;

/// Writes into bytes of the caller's; what does not fit is only counted.
pub(crate) struct Out<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl Out<'_> {
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(self.at..self.at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
        self.at += bytes.len();
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.put(&value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.put(&value.to_le_bytes());
    }

    fn address(&mut self, address: Option<IpAddr>) {
        match address {
            None => self.u8(0),
            Some(IpAddr::V4(v4)) => {
                self.u8(4);
                self.put(&v4.octets());
            }
            Some(IpAddr::V6(v6)) => {
                self.u8(6);
                self.put(&v6.octets());
            }
        }
    }

    fn name(&mut self, name: Option<Apn>) {
        let text = name.as_ref().map_or("", Apn::as_str);
        self.u8(text.len() as u8);
        self.put(text.as_bytes());
    }

    /// A count that is known later: its place.
    fn count(&mut self) -> usize {
        let place = self.at;
        self.u16(0);
        place
    }

    fn set_count(&mut self, place: usize, count: u16) {
        if let Some(bytes) = self.bytes.get_mut(place..place + 2) {
            bytes.copy_from_slice(&count.to_le_bytes());
        }
    }
}

/// Reads them. Everything is checked: `None` where the bytes end too early.
pub(crate) struct In<'a>(&'a [u8]);

impl In<'_> {
    pub(crate) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn address(&mut self) -> Option<Option<IpAddr>> {
        Some(match self.u8()? {
            0 => None,
            4 => Some(IpAddr::from(self.take::<4>()?)),
            6 => Some(IpAddr::from(self.take::<16>()?)),
            _ => return None,
        })
    }

    fn name(&mut self) -> Option<Option<Apn>> {
        let length = usize::from(self.u8()?);
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        if text.is_empty() { Some(None) } else { Apn::from_text(text).map(Some) }
    }
}

fn side_code(side: Option<Side>) -> u16 {
    match side {
        None => 0,
        Some(Side::Access) => 1,
        Some(Side::Core) => 2,
        Some(Side::SgiLan) => 3,
        Some(Side::ControlPlane) => 4,
        Some(Side::FiveGVn) => 5,
        Some(Side::Other(other)) => 256 + u16::from(other),
    }
}

fn side_of(code: u16) -> Option<Side> {
    match code {
        1 => Some(Side::Access),
        2 => Some(Side::Core),
        3 => Some(Side::SgiLan),
        4 => Some(Side::ControlPlane),
        5 => Some(Side::FiveGVn),
        256.. => Some(Side::Other((code & 255) as u8)),
        _ => None,
    }
}

/// An endpoint of either plane.
#[derive(Clone, Debug)]
struct SavedEndpoint {
    address: IpAddr,
    teid: u32,
    word: u32,
}

#[derive(Clone, Debug)]
struct SavedSeid {
    address: IpAddr,
    seid: u64,
    upf: bool,
    live: bool,
}

#[derive(Clone, Debug)]
struct SavedPfcp {
    live: bool,
    seids: Vec<SavedSeid>,
    /// `user` is a place in the list of tunnels, from 1 on.
    rules: Vec<RuleSlot>,
}

/// One session, in values that mean the same in every run.
#[derive(Clone, Debug)]
pub struct Saved {
    session: Session,
    source: Option<IpAddr>,
    apn: Option<Apn>,
    network: Option<Apn>,
    /// In the order of the session's lists.
    users: Vec<SavedEndpoint>,
    controls: Vec<SavedEndpoint>,
    pfcps: Vec<SavedPfcp>,
}

impl Saved {
    /// Reads what [`crate::Sessions::save`] has written. `None` where it is none, or of a version that is not
    /// known.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = In(bytes);
        if input.u8()? != VERSION {
            return None;
        }
        let session = Session::load(&mut input)?;
        let source = input.address()?;
        let (apn, network) = (input.name()?, input.name()?);
        let (users, controls) = (Self::endpoints(&mut input)?, Self::endpoints(&mut input)?);
        let mut pfcps = Vec::new();
        for _ in 0..input.u16()? {
            let live = input.u8()? != 0;
            let mut pfcp = SavedPfcp { live, seids: Vec::new(), rules: Vec::new() };
            for _ in 0..input.u16()? {
                let address = input.address()??;
                let (seid, flags) = (input.u64()?, input.u8()?);
                pfcp.seids.push(SavedSeid { address, seid, upf: flags & 1 != 0, live: flags & 2 != 0 });
            }
            for _ in 0..input.u16()? {
                let (id, user, far) = (input.u32()?, input.u16()?, input.u8()? != 0);
                let side = side_of(input.u16()?);
                pfcp.rules.push(RuleSlot { side, ..RuleSlot::of(id, far, u32::from(user)) });
            }
            pfcps.push(pfcp);
        }
        input.0.is_empty().then_some(Self { session, source, apn, network, users, controls, pfcps })
    }

    fn endpoints(input: &mut In<'_>) -> Option<Vec<SavedEndpoint>> {
        let mut endpoints = Vec::new();
        for _ in 0..input.u16()? {
            let address = input.address()??;
            let (teid, word) = (input.u32()?, input.u32()?);
            endpoints.push(SavedEndpoint { address, teid, word });
        }
        Some(endpoints)
    }

    /// When it last showed that it lives, as far as was looked: nanoseconds since 1970.
    #[must_use]
    pub fn active_ns(&self) -> u64 {
        self.session.active_ns
    }

    /// When it was made: nanoseconds since 1970. Sessions are restored in this order, so that the newest is
    /// found first again.
    #[must_use]
    pub fn created_ns(&self) -> u64 {
        self.session.created_ns
    }
}

/// Why a session was not restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRestored {
    /// Its idle time was over.
    Idle,
    /// There is no room for it: `sessions_max` is lower than it was.
    NoRoom,
}

impl State {
    /// Writes a session; returns the length, which is more than `bytes` has where it does not fit.
    pub(crate) fn save(&self, slot: u32, bytes: &mut [u8]) -> usize {
        let mut out = Out { bytes, at: 0 };
        let session = self.sessions.at(slot);
        let address = |node: u32| (node != 0).then(|| self.nodes.value(node));
        out.u8(VERSION);
        session.store(&mut out);
        out.address(address(session.source()));
        out.name(self.names.value(u32::from(session.apn)));
        out.name(self.names.value(u32::from(session.network)));
        for (endpoints, first) in [(&self.users, session.users), (&self.controls, session.controls)] {
            let (place, mut count, mut own) = (out.count(), 0, first);
            while own != 0 {
                let endpoint = endpoints.at(own);
                out.address(address(endpoint.node()));
                out.u32(endpoint.teid);
                out.u32(endpoint.word_without_node());
                count += 1;
                own = endpoint.next;
            }
            out.set_count(place, count);
        }
        let (place, mut count, mut next) = (out.count(), 0, session.pfcps);
        while next != 0 {
            let pfcp = *self.pfcps.at(next);
            out.u8(u8::from(pfcp.live));
            self.save_pfcp(session, &pfcp, &mut out);
            count += 1;
            next = pfcp.next;
        }
        out.set_count(place, count);
        out.at
    }

    fn save_pfcp(&self, session: &Session, pfcp: &Pfcp, out: &mut Out<'_>) {
        let (place, mut count, mut next) = (out.count(), 0, pfcp.seids);
        while next != 0 {
            let own = self.seids.at(next);
            out.address(Some(self.nodes.value(own.node)));
            out.u64(own.seid);
            out.u8(u8::from(own.upf) | u8::from(own.live) << 1);
            count += 1;
            next = own.next;
        }
        out.set_count(place, count);
        let (place, mut count, mut next) = (out.count(), 0, pfcp.rules);
        while next != 0 {
            let own = self.rules.at(next);
            let (mut at, mut user) = (1, session.users);
            while user != 0 && user != own.user {
                (at, user) = (at + 1, self.users.at(user).next);
            }
            out.u32(own.id);
            out.u16(if user == 0 { 0 } else { at });
            out.u8(u8::from(own.far));
            out.u16(side_code(own.side));
            count += 1;
            next = own.next;
        }
        out.set_count(place, count);
    }

    /// Puts a saved session back under its number, and tells of it as if it had been learned now. What
    /// another session has by now, as a tunnel, goes to the later one.
    pub(crate) fn restore(
        &mut self,
        slot: u32,
        saved: &Saved,
        now_ns: u64,
        effects: &mut impl Effects,
    ) -> Result<(), NotRestored> {
        let mut session = saved.session;
        let secs =
            if session.has(Session::KNOWN) { self.limits.idle_secs } else { self.limits.unknown_idle_secs };
        let idle_ns = u64::from(secs) * 1_000_000_000;
        // A sign of life is only looked at when the one before is an idle time old: what was saved may be
        // older than the last packet by that much. It has half of its time left at least.
        if session.active_ns.saturating_add(idle_ns.saturating_mul(2)) <= now_ns {
            return Err(NotRestored::Idle);
        }
        session.active_ns = session.active_ns.max(now_ns.saturating_sub(idle_ns / 2));
        if self.sessions.at(slot).is_active() {
            return Err(NotRestored::NoRoom);
        }
        session.apn = self.restored_name(saved.apn);
        session.network = self.restored_name(saved.network);
        if !session.has(Session::KNOWN) {
            let source = saved.source.and_then(|source| self.nodes.hold(&source)).unwrap_or(0);
            session.set_source(source);
        }
        if !self.sessions.place(slot, session) {
            self.counters.refused.sessions_full += 1;
            return Err(NotRestored::NoRoom);
        }
        self.counters.created += 1;
        self.counters.active += 1;
        let users = self.restore_users(slot, saved, effects);
        self.restore_controls(slot, saved);
        for pfcp in saved.pfcps.iter().rev() {
            self.restore_pfcp(slot, pfcp, &users);
        }
        self.enter_imsi(slot);
        self.enter_ue(slot);
        for &user in &users {
            if self.users.at(user).has(Endpoint::LIVE) {
                self.bind(user, effects);
            }
            if self.users.at(user).has(Endpoint::LIVE | Endpoint::RETIRING) {
                effects.retire(TunnelId(user));
                if let Some(oldest) = self.retiring.push(user, now_ns) {
                    self.settle(oldest, effects);
                }
            }
        }
        let ue = self.sessions.at(slot).ue();
        self.place(ue, effects);
        Ok(())
    }

    fn restored_name(&mut self, name: Option<Apn>) -> u16 {
        name.and_then(|name| self.names.hold(&Some(name))).unwrap_or(0) as u16
    }

    /// Returns the tunnels in the order of the list, 0 where one found no room.
    fn restore_users(&mut self, slot: u32, saved: &Saved, effects: &mut impl Effects) -> Vec<u32> {
        let mut users = Vec::with_capacity(saved.users.len());
        for own in saved.users.iter().rev() {
            let Some(node) = self.nodes.hold(&own.address) else {
                self.counters.refused.nodes_full += 1;
                users.push(0);
                continue;
            };
            let endpoint = Endpoint::restored(slot, node, own.teid, own.word);
            let Some(user) = self.users.arena.take(self.safe_epoch, endpoint) else {
                self.counters.refused.tunnels_full += 1;
                self.nodes.release(node);
                users.push(0);
                continue;
            };
            if Endpoint::is_live(own.word) {
                let before = self.users.find(node, own.teid);
                self.lose_user(before, effects);
                self.users.enliven(user);
            }
            let session = self.sessions.at_mut(slot);
            self.users.at_mut(user).next = core::mem::replace(&mut session.users, user);
            users.push(user);
        }
        users.reverse();
        users
    }

    fn restore_controls(&mut self, slot: u32, saved: &Saved) {
        for own in saved.controls.iter().rev() {
            let Some(node) = self.nodes.hold(&own.address) else {
                self.counters.refused.nodes_full += 1;
                continue;
            };
            let endpoint = Endpoint::restored(slot, node, own.teid, own.word);
            let Some(control) = self.controls.arena.take(u64::MAX, endpoint) else {
                self.counters.refused.tunnels_full += 1;
                self.nodes.release(node);
                continue;
            };
            if Endpoint::is_live(own.word) {
                self.controls.enliven(control);
            }
            let session = self.sessions.at_mut(slot);
            self.controls.at_mut(control).next = core::mem::replace(&mut session.controls, control);
        }
    }

    fn restore_pfcp(&mut self, slot: u32, saved: &SavedPfcp, users: &[u32]) {
        let next = self.sessions.at(slot).pfcps;
        let made = Pfcp { session: slot, next, live: saved.live, ..Pfcp::EMPTY };
        let Some(pfcp) = self.pfcps.take(u64::MAX, made) else {
            self.counters.refused.tunnels_full += 1;
            return;
        };
        self.sessions.at_mut(slot).pfcps = pfcp;
        for own in saved.seids.iter().rev() {
            let Some(node) = self.nodes.hold(&own.address) else {
                self.counters.refused.nodes_full += 1;
                continue;
            };
            let next = self.pfcps.at(pfcp).seids;
            let made = SeidSlot { seid: own.seid, pfcp, next, node, upf: own.upf, ..SeidSlot::EMPTY };
            let Some(seid) = self.seids.take(u64::MAX, made) else {
                self.counters.refused.tunnels_full += 1;
                self.nodes.release(node);
                continue;
            };
            self.pfcps.at_mut(pfcp).seids = seid;
            if own.live {
                self.enliven_seid(seid);
            }
        }
        for own in saved.rules.iter().rev() {
            let place = (own.user as usize).checked_sub(1);
            let user = place.and_then(|place| users.get(place)).copied().unwrap_or(0);
            let next = self.pfcps.at(pfcp).rules;
            match self.rules.take(u64::MAX, RuleSlot { user, next, ..*own }) {
                Some(rule) => self.pfcps.at_mut(pfcp).rules = rule,
                None => self.counters.refused.tunnels_full += 1,
            }
        }
    }
}

impl crate::Sessions {
    /// From now on changes are remembered, for [`Self::next_changed`].
    pub fn track_changes(&mut self) {
        self.state_mut().track_changes();
    }

    /// A session that has changed since it was last taken, from this number on, round the end; or one that
    /// is no more. It stays until [`Self::take_changed`].
    #[must_use]
    pub fn next_changed(&self, from: SessionId) -> Option<SessionId> {
        self.state().changed.as_ref()?.next(from.0).map(SessionId)
    }

    /// Something has changed that is kept with a session, but not by it.
    pub fn mark_changed(&mut self, session: SessionId) {
        if let Some(changed) = &self.state().changed {
            changed.mark(session.0);
        }
    }

    /// Its change is taken care of.
    pub fn take_changed(&mut self, session: SessionId) {
        if let Some(changed) = &self.state().changed {
            changed.clear(session.0);
        }
    }

    /// Writes an active session into `out`, to be read by [`Saved::decode`]. Returns the length, which is
    /// more than there is room for where it does not fit; `None` where there is no active session.
    #[must_use]
    pub fn save(&self, session: SessionId, out: &mut [u8]) -> Option<usize> {
        let state = self.state();
        state.sessions.at(session.0).is_active().then(|| state.save(session.0, out))
    }

    /// One more than the highest number of a session so far.
    #[must_use]
    pub fn numbers(&self) -> u32 {
        self.state().sessions.touched()
    }

    /// Puts a saved session back under its number. To be done before the first event, and to be followed by
    /// [`Self::restored`].
    ///
    /// # Errors
    /// It was idle for too long, or there is no room.
    pub fn restore(
        &mut self,
        session: SessionId,
        saved: &Saved,
        now_ns: u64,
        effects: &mut impl Effects,
    ) -> Result<(), NotRestored> {
        self.state_mut().restore(session.0, saved, now_ns, effects)
    }

    /// All are restored: numbers between them may be given out. What was restored does not count as changed.
    pub fn restored(&mut self) {
        self.state_mut().sessions.free_where(|session| session.state().is_none());
        let mut from = SessionId(0);
        while let Some(session) = self.next_changed(from) {
            self.take_changed(session);
            from = session;
        }
    }
}
