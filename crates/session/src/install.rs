//! How endpoints come to a session, are replaced, and leave it.

use std::net::IpAddr;

use types::{FTeid, Interface, Toward};

use crate::effects::{Effects, SessionId, TunnelId};
use crate::endpoints::{Code, Endpoint};
use crate::record::State as Phase;
use crate::slots::Session;
use crate::state::{State, is_anchor};

/// Past endpoints of one plane that a session keeps.
const PAST_MAX: u32 = 64;
/// All of them.
const ALL_MAX: u32 = 128;

/// Who tells of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// GTP-C.
    Gtp,
    /// A PDR of PFCP: the UPF receives in it.
    Local,
    /// A FAR of PFCP: the UPF sends to it.
    Peer,
}

/// Endpoints of which a bearer has one: a new one takes the place of the old one, also where the
/// access has changed. `None`: there may be several.
pub(crate) fn place_of(interface: Interface) -> Option<u8> {
    PLACES.get(usize::from(interface.0)).copied().filter(|&place| place != 0)
}

/// [`place_of`] by number; 0 is none. Every endpoint of a session is asked for it with every new one.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const PLACES: [u8; 256] = {
    let mut places = [0; 256];
    let mut number = 0;
    while number < places.len() {
        if let Some(place) = listed_place(Interface(number as u8)) {
            places[number] = place;
        }
        number += 1;
    }
    places
};

const fn listed_place(interface: Interface) -> Option<u8> {
    use Interface as I;
    match interface {
        I::S1U_ENODEB | I::S12_RNC | I::S4_SGSN_U | I::S11_MME_U => Some(1),
        I::S5S8_SGW_U | I::GN_SGSN_U | I::S2B_EPDG_U | I::S2A_TWAN_U => Some(2),
        I::S5S8_PGW_U | I::GN_GGSN_U | I::S2B_PGW_U | I::S2A_PGW_U => Some(3),
        I::S1U_SGW => Some(4),
        I::S12_SGW => Some(5),
        I::S4_SGW_U => Some(6),
        I::S11_SGW_U => Some(7),
        // Control plane.
        I::S11_MME | I::S4_SGSN_C => Some(8),
        I::S11_SGW => Some(9),
        I::S5S8_SGW_C | I::GN_SGSN_C | I::S2B_EPDG_C | I::S2A_TWAN_C => Some(10),
        I::S5S8_PGW_C | I::GN_GGSN_C | I::S2B_PGW_C | I::S2A_PGW_C => Some(11),
        _ => None,
    }
}

/// Of an endpoint of the control plane: the place of the one that it speaks to. None of an anchor: who has
/// its endpoint now has the connection, or it has ended.
pub(crate) fn opposite(interface: Interface) -> Option<u8> {
    match place_of(interface) {
        Some(8) => Some(9),
        Some(9) => Some(8),
        Some(10) => Some(11),
        _ => None,
    }
}

/// Whether this is where a base station or RNC receives.
pub(crate) fn is_access(interface: Interface) -> bool {
    place_of(interface) == Some(1)
}

/// Whether this is an endpoint between an SGW and the UE or its MME, on either side.
fn is_serving(interface: Interface) -> bool {
    matches!(place_of(interface), Some(1 | 4..=9))
}

/// Whether this is the SGW's side of it. On S5/S8 a new SGW tells the PGW itself, before it answers.
fn is_sgw(interface: Interface) -> bool {
    matches!(place_of(interface), Some(4..=7 | 9))
}

/// Whether this is between SGSN and GGSN.
pub(crate) const fn is_gn(interface: Interface) -> bool {
    matches!(interface, Interface::GN_SGSN_U | Interface::GN_GGSN_U)
}

/// Whether this forwards data at a handover. TS 29.274 7.2.18.
pub(crate) fn is_forwarding(interface: Interface) -> bool {
    matches!(interface.0, 19..=23 | 28)
}

impl State {
    /// Gives a session a tunnel, and takes it from whoever had it. Returns the session, which is another
    /// one where it turns out that both are the same.
    pub(crate) fn install_user(
        &mut self,
        slot: u32,
        ebi: u8,
        f_teid: &FTeid,
        role: Role,
        effects: &mut impl Effects,
    ) -> u32 {
        let code = Code::new(f_teid.interface, None);
        let mut slot = slot;
        for address in f_teid.addresses() {
            (slot, _) = self.install_tunnel(slot, ebi, (address, f_teid.teid.0), code, role, effects);
        }
        slot
    }

    /// The same, and what was in its place before retires.
    pub(crate) fn replace_user(
        &mut self,
        slot: u32,
        ebi: u8,
        f_teid: &FTeid,
        time_ns: u64,
        effects: &mut impl Effects,
    ) -> u32 {
        let slot = self.install_user(slot, ebi, f_teid, Role::Gtp, effects);
        let Some(place) = place_of(f_teid.interface) else { return slot };
        let mut user = self.sessions.at(slot).users;
        while user != 0 {
            let endpoint = *self.users.at(user);
            if endpoint.has(Endpoint::LIVE)
                && !endpoint.has(Endpoint::LEAVING)
                && endpoint.ebi() == ebi
                && endpoint.interface().and_then(place_of) == Some(place)
                && !self.is_of(&endpoint, f_teid)
            {
                self.retire(user, time_ns, effects);
            }
            user = endpoint.next;
        }
        slot
    }

    /// Whether an endpoint is one of those that an F-TEID names.
    fn is_of(&self, endpoint: &Endpoint, f_teid: &FTeid) -> bool {
        endpoint.teid == f_teid.teid.0
            && f_teid.addresses().any(|address| self.nodes.value(endpoint.node()) == address)
    }

    /// One tunnel, by its address and TEID. Returns the session and the tunnel, 0 if there is no room.
    pub(crate) fn install_tunnel(
        &mut self,
        slot: u32,
        ebi: u8,
        (address, teid): (IpAddr, u32),
        code: Code,
        role: Role,
        effects: &mut impl Effects,
    ) -> (u32, u32) {
        let mut slot = slot;
        let node = self.nodes.find(&address);
        let found = self.users.find(node, teid);
        if found != 0 {
            let owner = self.users.at(found).session;
            if owner != slot && self.are_one(slot, owner, found, role) {
                slot = self.join(slot, owner, effects);
            }
            let own = *self.users.at(found);
            // Replaced a moment ago, and given out again for another interface.
            let is_new = own.has(Endpoint::RETIRING) && !own.code().may_be(code);
            if own.session == slot && !is_new {
                self.confirm(found, ebi, code, role, effects);
                return (slot, found);
            }
            // Given out again: the end of the other one was missed.
            self.lose_user(found, effects);
        }
        let (past, room) = self.past(self.sessions.at(slot).users, true, (node, teid), code);
        if past != 0 {
            self.users.enliven(past);
            self.confirm(past, ebi, code, role, effects);
            self.bind(past, effects);
            return (slot, past);
        }
        let Some(node) = self.nodes.hold_found(node, &address) else {
            self.counters.refused.nodes_full += 1;
            return (slot, 0);
        };
        let flags = if role == Role::Gtp { Endpoint::GTP } else { 0 };
        let endpoint = Endpoint::new(slot, node, teid, code, ebi, flags);
        let Some(user) = self.users.arena.take(self.safe_epoch, endpoint) else {
            self.counters.refused.tunnels_full += 1;
            self.nodes.release(node);
            return (slot, 0);
        };
        let session = self.sessions.at_mut(slot);
        self.users.at_mut(user).next = core::mem::replace(&mut session.users, user);
        self.users.enliven(user);
        self.bind(user, effects);
        if !room {
            self.fold(slot, true, effects);
        }
        (slot, user)
    }

    /// A tunnel that the session has already is told of again.
    fn confirm(&mut self, user: u32, ebi: u8, code: Code, role: Role, effects: &mut impl Effects) {
        let before = *self.users.at(user);
        let endpoint = self.users.at_mut(user);
        endpoint.unset(Endpoint::LEAVING | Endpoint::RETIRING);
        if role == Role::Gtp {
            endpoint.set(Endpoint::GTP);
            endpoint.set_ebi(ebi);
        }
        if code.rank() > before.code().rank() {
            endpoint.set_code(code);
            if code.toward() != before.code().toward() && before.has(Endpoint::LIVE) {
                self.bind(user, effects);
            }
        } else if code != before.code() && code.rank() == 3 {
            self.also_named(&before, code, true);
        }
    }

    /// One endpoint under two names of GTP-C, after a change of the access: the second one is kept as a
    /// past endpoint.
    fn also_named(&mut self, endpoint: &Endpoint, code: Code, is_user: bool) {
        let slot = endpoint.session;
        let session = *self.sessions.at(slot);
        let endpoints = if is_user { &mut self.users } else { &mut self.controls };
        let mut count = 0;
        let first = if is_user { session.users } else { session.controls };
        let mut own = first;
        while own != 0 {
            let other = endpoints.at(own);
            if other.is(endpoint.node(), endpoint.teid) && other.code() == code {
                return;
            }
            count += 1;
            own = other.next;
        }
        if count >= PAST_MAX {
            return;
        }
        let mut named = Endpoint::new(slot, endpoint.node(), endpoint.teid, code, endpoint.ebi(), 0);
        named.next = first;
        let Some(own) = endpoints.arena.take(self.safe_epoch, named) else {
            self.counters.refused.tunnels_full += 1;
            return;
        };
        self.nodes.hold_again(endpoint.node());
        let session = self.sessions.at_mut(slot);
        *if is_user { &mut session.users } else { &mut session.controls } = own;
    }

    /// Whether two sessions that both have a tunnel are one.
    fn are_one(&self, slot: u32, owner: u32, user: u32, role: Role) -> bool {
        let (ours, theirs) = (self.sessions.at(slot), self.sessions.at(owner));
        if (ours.halves() != 0 && theirs.halves() != 0) || !self.who(slot).agrees(&self.who(owner)) {
            return false;
        }
        if !theirs.has(Session::KNOWN) {
            return true;
        }
        if role == Role::Gtp || self.users.at(user).has(Endpoint::GTP) {
            // One of them is of GTP-C, the other of Sx.
            return true;
        }
        // N9, or the Sx of an SGW and a PGW: what one sends to is where the other receives. The same
        // side in both is a TEID that was given out again.
        self.has_rule(owner, user, role == Role::Local)
    }

    /// Puts an endpoint of the control plane into a session; what was in its place before is past.
    pub(crate) fn install_control(
        &mut self,
        slot: u32,
        f_teid: &FTeid,
        time_ns: u64,
        effects: &mut impl Effects,
    ) {
        let code = Code::new(f_teid.interface, None);
        for address in f_teid.addresses() {
            self.install_control_at(slot, (address, f_teid.teid.0), code, time_ns, effects);
        }
        let Some(place) = place_of(f_teid.interface) else { return };
        let mut control = self.sessions.at(slot).controls;
        while control != 0 {
            let endpoint = *self.controls.at(control);
            if endpoint.has(Endpoint::LIVE)
                && !endpoint.has(Endpoint::LEAVING)
                && endpoint.interface().and_then(place_of) == Some(place)
                && !self.is_of(&endpoint, f_teid)
            {
                self.controls.bury(control);
            }
            control = endpoint.next;
        }
    }

    fn install_control_at(
        &mut self,
        slot: u32,
        (address, teid): (IpAddr, u32),
        code: Code,
        time_ns: u64,
        effects: &mut impl Effects,
    ) {
        let node = self.nodes.find(&address);
        let mut found = self.controls.find(node, teid);
        let mut own = 0;
        while found != 0 {
            let endpoint = *self.controls.at(found);
            let after = self.controls.find_next(found);
            if endpoint.session == slot {
                own = found;
            } else if !self.shares(slot, endpoint.session, code) {
                // Given out again. A session without its anchor has ended unseen.
                self.controls.bury(found);
                if endpoint.interface().is_some_and(is_anchor) {
                    self.end(endpoint.session, Phase::Deleted, time_ns, effects);
                }
            }
            found = after;
        }
        if own != 0 {
            let endpoint = *self.controls.at(own);
            let named = self.controls.at_mut(own);
            named.unset(Endpoint::LEAVING);
            if endpoint.code() != code {
                // The name that it leaves with is the past one.
                let is_new = endpoint.has(Endpoint::LEAVING);
                let past = if is_new { endpoint.code() } else { code };
                if is_new {
                    named.set_code(code);
                }
                self.also_named(&endpoint, past, false);
            }
            return;
        }
        let (past, room) = self.past(self.sessions.at(slot).controls, false, (node, teid), code);
        if past != 0 {
            self.controls.enliven(past);
            return;
        }
        let Some(node) = self.nodes.hold_found(node, &address) else {
            self.counters.refused.nodes_full += 1;
            return;
        };
        let endpoint = Endpoint::new(slot, node, teid, code, 0, Endpoint::GTP);
        let Some(control) = self.controls.arena.take(u64::MAX, endpoint) else {
            self.counters.refused.tunnels_full += 1;
            self.nodes.release(node);
            return;
        };
        let session = self.sessions.at_mut(slot);
        self.controls.at_mut(control).next = core::mem::replace(&mut session.controls, control);
        self.controls.enliven(control);
        if !room {
            self.fold(slot, false, effects);
        }
    }

    /// Whether two sessions may have one endpoint of the control plane: those of one UE, but for the
    /// anchor, which belongs to a PDN connection. TS 29.274 5.5.1, TS 29.281 4.1.
    fn shares(&self, slot: u32, other: u32, code: Code) -> bool {
        let imsi = self.sessions.at(slot).imsi;
        imsi != types::Digits::NONE
            && imsi == self.sessions.at(other).imsi
            && !code.interface().is_some_and(is_anchor)
    }

    /// A past endpoint of a session with this key, and whether there is room for another endpoint. One that
    /// GTP-C gave another name is another one: a node that the UE comes back to may give the number of one
    /// interface to the other.
    fn past(&self, first: u32, is_user: bool, (node, teid): (u32, u32), code: Code) -> (u32, bool) {
        let endpoints = if is_user { &self.users } else { &self.controls };
        let (mut past, mut all) = (0, 0);
        let mut own = first;
        while own != 0 {
            let endpoint = endpoints.at(own);
            all += 1;
            if !endpoint.has(Endpoint::LIVE) {
                if node != 0 && endpoint.is(node, teid) && endpoint.code().may_be(code) {
                    return (own, true);
                }
                past += 1;
            }
            own = endpoint.next;
        }
        (0, past < PAST_MAX && all < ALL_MAX)
    }

    /// Takes the oldest past endpoint out of a session; if none is past, the oldest but the first two.
    fn fold(&mut self, slot: u32, is_user: bool, effects: &mut impl Effects) {
        let session = *self.sessions.at(slot);
        let endpoints = if is_user { &self.users } else { &self.controls };
        let (mut before, mut own) = (0, if is_user { session.users } else { session.controls });
        // The last of the list is the oldest.
        let (mut past, mut any) = ((0, 0), (0, 0));
        while own != 0 {
            if !endpoints.at(own).has(Endpoint::LIVE) {
                past = (before, own);
            }
            any = (before, own);
            (before, own) = (own, endpoints.at(own).next);
        }
        let (before, oldest) = if past.1 != 0 { past } else { any };
        let endpoint = *endpoints.at(oldest);
        if before == 0 {
            let session = self.sessions.at_mut(slot);
            *if is_user { &mut session.users } else { &mut session.controls } = endpoint.next;
        } else {
            let endpoints = if is_user { &mut self.users } else { &mut self.controls };
            endpoints.at_mut(before).next = endpoint.next;
        }
        self.counters.folded += 1;
        if is_user {
            if endpoint.has(Endpoint::LIVE) {
                self.lose_user(oldest, effects);
            }
            self.forget_rules_of(slot, oldest);
            effects.folded(SessionId(slot), TunnelId(oldest), endpoint.code().toward());
            self.users.arena.give_back(oldest, self.now_epoch);
        } else {
            self.controls.bury(oldest);
            self.controls.arena.give_back(oldest, 0);
        }
        self.nodes.release(endpoint.node());
    }

    /// A tunnel is past from now on.
    pub(crate) fn lose_user(&mut self, user: u32, effects: &mut impl Effects) {
        if self.users.at(user).has(Endpoint::LIVE) {
            self.users.bury(user);
            effects.unbind(TunnelId(user), self.user_key(user));
        }
    }

    /// A tunnel will be past in a moment.
    pub(crate) fn retire(&mut self, user: u32, time_ns: u64, effects: &mut impl Effects) {
        let endpoint = self.users.at_mut(user);
        if !endpoint.has(Endpoint::LIVE) || endpoint.has(Endpoint::RETIRING) {
            return;
        }
        endpoint.set(Endpoint::RETIRING);
        effects.retire(TunnelId(user));
        if let Some(oldest) = self.retiring.push(user, time_ns) {
            self.settle(oldest, effects);
        }
    }

    /// The moment is over.
    pub(crate) fn settle(&mut self, user: u32, effects: &mut impl Effects) {
        if self.users.at(user).has(Endpoint::LIVE | Endpoint::RETIRING) {
            self.lose_user(user, effects);
        }
    }

    /// Retires all tunnels of a session that are meant.
    pub(crate) fn retire_where(
        &mut self,
        slot: u32,
        time_ns: u64,
        effects: &mut impl Effects,
        meant: impl Fn(&Endpoint) -> bool,
    ) {
        let mut user = self.sessions.at(slot).users;
        while user != 0 {
            let endpoint = *self.users.at(user);
            if meant(&endpoint) {
                self.retire(user, time_ns, effects);
            }
            user = endpoint.next;
        }
    }

    /// The UE moves to another SGW, or (`access`) out of reach of any: what belongs to the old one stays
    /// until it is deleted there.
    pub(crate) fn mark_leaving(&mut self, slot: u32, access: bool) {
        let is_old = |endpoint: &Endpoint| {
            endpoint.interface().is_some_and(|i| if access { is_serving(i) } else { is_sgw(i) })
        };
        let session = *self.sessions.at(slot);
        for (endpoints, first) in [(&mut self.users, session.users), (&mut self.controls, session.controls)] {
            let mut own = first;
            while own != 0 {
                let endpoint = endpoints.at_mut(own);
                if endpoint.has(Endpoint::LIVE) && is_old(endpoint) {
                    endpoint.set(Endpoint::LEAVING);
                }
                own = endpoint.next;
            }
        }
    }

    /// The old SGW has let go: its endpoints leave the session.
    pub(crate) fn drop_leaving(&mut self, slot: u32, time_ns: u64, effects: &mut impl Effects) {
        self.retire_where(slot, time_ns, effects, |endpoint| endpoint.has(Endpoint::LEAVING));
        let mut control = self.sessions.at(slot).controls;
        while control != 0 {
            if self.controls.at(control).has(Endpoint::LEAVING) {
                self.controls.bury(control);
            }
            control = self.controls.at(control).next;
        }
    }

    /// Sets the direction of a tunnel whose interface does not tell it.
    pub(crate) fn set_toward(&mut self, user: u32, toward: Option<Toward>) -> bool {
        let endpoint = self.users.at_mut(user);
        let code = match endpoint.interface() {
            None => Code::unknown(toward.or(endpoint.code().toward())),
            Some(Interface::N9_UPF) => Code::new(Interface::N9_UPF, toward.or(endpoint.code().toward())),
            Some(_) => return false,
        };
        let changed = code != endpoint.code();
        endpoint.set_code(code);
        changed
    }
}
