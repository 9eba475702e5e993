//! GTPv2-C: what an accepted procedure changes. TS 29.274.

use std::net::IpAddr;

use types::{FTeid, Interface, Teid, UeAddress};

use crate::effects::Effects;
use crate::endpoints::Endpoint;
use crate::install::{is_access, is_forwarding, place_of};
use crate::message::{BearerPart, Message, Owner};
use crate::record::State as Phase;
use crate::slots::Session;
use crate::state::{State, Targets, Who, is_anchor};

/// Two halves of one procedure, on S11 and on S5/S8, are no further apart.
const HALVES_NS: u64 = 10_000_000_000;

pub(crate) const CREATE_SESSION: u8 = 32;
const MODIFY_BEARER: u8 = 34;
const DELETE_SESSION: u8 = 36;
const CHANGE_NOTIFICATION: u8 = 38;
const CREATE_BEARER: u8 = 95;
const UPDATE_BEARER: u8 = 97;
const DELETE_BEARER: u8 = 99;
const CONTEXT: u8 = 130;
const FORWARD_RELOCATION: u8 = 133;
const CREATE_FORWARDING: u8 = 166;
const DELETE_FORWARDING: u8 = 168;
const RELEASE_ACCESS_BEARERS: u8 = 170;
const MODIFY_ACCESS_BEARERS: u8 = 211;

/// Requests that change sessions; the answer's type is one more. TS 29.274 table 6.1-1.
pub(crate) const fn is_request(kind: u8) -> bool {
    matches!(
        kind,
        CREATE_SESSION
            | MODIFY_BEARER
            | DELETE_SESSION
            | CHANGE_NOTIFICATION
            | CREATE_BEARER
            | UPDATE_BEARER
            | DELETE_BEARER
            | CONTEXT
            | FORWARD_RELOCATION
            | CREATE_FORWARDING
            | DELETE_FORWARDING
            | RELEASE_ACCESS_BEARERS
            | MODIFY_ACCESS_BEARERS
    )
}

/// Causes 16 to 19 accept. TS 29.274 8.4.
const fn accepts(cause: u8) -> bool {
    matches!(cause, 16..=19)
}

/// "Context not found": what was to be deleted is gone.
const NOT_FOUND: u8 = 64;

/// The interface that a session is made on, by the sender's endpoint.
fn half(request: &Message) -> u16 {
    for f_teid in request.f_teids(Owner::Message) {
        match f_teid.interface {
            Interface::S11_MME | Interface::S4_SGSN_C => return Session::S11,
            Interface::S5S8_SGW_C => return Session::S5,
            Interface::S2B_EPDG_C | Interface::S2A_TWAN_C => return Session::S2,
            _ => {}
        }
    }
    Session::S11
}

impl BearerPart {
    fn refused(self) -> bool {
        self.cause != 0 && !accepts(self.cause)
    }
}

impl Message {
    fn bearer(&self, ebi: u8) -> Option<(u8, BearerPart)> {
        self.bearers().find(|(_, bearer)| ebi != 0 && bearer.ebi == ebi)
    }

    fn refuses(&self, ebi: u8) -> bool {
        self.bearer(ebi).is_some_and(|(_, bearer)| bearer.refused())
    }

    fn anchor(&self) -> Option<FTeid> {
        self.f_teids(Owner::Message).find(|f_teid| is_anchor(f_teid.interface))
    }
}

/// A session went into another while a message was acted on.
fn rename(targets: &mut Targets, slot: u32, into: u32) {
    targets.iter_mut().filter(|target| **target == slot).for_each(|target| *target = into);
}

/// The UE's addresses: what the answer says, else the request.
pub(crate) fn ue_of(request: &Message, answer: &Message) -> UeAddress {
    if answer.ue == UeAddress::default() { request.ue } else { answer.ue }
}

impl State {
    /// A request and its answer.
    pub(crate) fn apply_v2(&mut self, request: &Message, answer: &Message, effects: &mut impl Effects) {
        let gone = answer.cause == NOT_FOUND && matches!(request.kind, DELETE_SESSION | DELETE_BEARER);
        if !(accepts(answer.cause) || gone) {
            return;
        }
        match request.kind {
            CREATE_SESSION => self.create_session(request, answer, effects),
            MODIFY_BEARER | MODIFY_ACCESS_BEARERS => self.modify_bearer(request, answer, effects),
            DELETE_SESSION => self.delete_session(request, answer, effects),
            CHANGE_NOTIFICATION => self.change_notification(request, answer, effects),
            CREATE_BEARER => self.create_bearer(request, answer, effects),
            UPDATE_BEARER => self.update_bearer(request, answer, effects),
            DELETE_BEARER => self.delete_bearer(request, answer, effects),
            CONTEXT | FORWARD_RELOCATION => self.hand_over(request, answer, effects),
            CREATE_FORWARDING => self.create_forwarding(request, answer, effects),
            DELETE_FORWARDING => {
                for slot in self.asked_sessions(request, answer) {
                    self.retire_where(slot, answer.time_ns, effects, |endpoint| {
                        endpoint.interface().is_some_and(is_forwarding)
                    });
                }
            }
            RELEASE_ACCESS_BEARERS => {
                for slot in self.asked_sessions(request, answer) {
                    self.touch(slot, answer);
                    self.retire_where(slot, answer.time_ns, effects, |endpoint| {
                        endpoint.interface().is_some_and(is_access)
                    });
                }
            }
            _ => {}
        }
    }

    pub(crate) fn touch(&mut self, slot: u32, message: &Message) {
        let session = self.sessions.at_mut(slot);
        session.active_ns = session.active_ns.max(message.time_ns);
    }

    /// TS 29.274 7.2.1, 7.2.2.
    fn create_session(&mut self, request: &Message, answer: &Message, effects: &mut impl Effects) {
        let mut made = request.bearers().filter(|(_, bearer)| bearer.instance == 0);
        let default = match request.linked_ebi {
            0 => made.next().map_or(0, |(_, bearer)| bearer.ebi),
            linked => linked,
        };
        let half = half(request);
        let told = request.anchor();
        let anchor = answer.anchor().or(told);
        let ue = ue_of(request, answer);
        let Some(slot) =
            self.session_made(request, answer, &Making { default, half, told, anchor, ue }, effects)
        else {
            return;
        };
        let moved_to = answer.f_teids(Owner::Message).find(|f_teid| f_teid.interface == Interface::S11_SGW);
        if told.is_some() && moved_to.is_some_and(|f_teid| !self.has_control(slot, &f_teid)) {
            self.mark_leaving(slot, false);
        }
        let fresh = self.learn(slot, answer.time_ns);
        let mut changed = self.identify(slot, request);
        changed |= self.identify(slot, answer);
        changed |= self.set_ue(slot, ue, effects);
        let address =
            anchor.and_then(|f_teid| f_teid.addresses().next().map(|a| (a, u64::from(f_teid.teid.0))));
        if fresh {
            self.name_session(slot, address, effects);
        }
        let session = self.sessions.at_mut(slot);
        session.set(half);
        if session.default_ebi == 0 {
            session.default_ebi = default;
        }
        if changed || fresh {
            self.rebind(slot, effects);
        }
        for f_teid in request.f_teids(Owner::Message).chain(answer.f_teids(Owner::Message)) {
            self.install_control(slot, &f_teid, answer.time_ns, effects);
        }
        let slot = self.install_bearers(slot, request, answer, effects);
        self.supersede(slot, answer.time_ns, effects);
    }

    /// The bearers of a pair that are not refused, those of instance 0.
    fn install_bearers(
        &mut self,
        slot: u32,
        request: &Message,
        answer: &Message,
        effects: &mut impl Effects,
    ) -> u32 {
        let mut slot = slot;
        for (message, other) in [(request, answer), (answer, request)] {
            for (place, bearer) in message.bearers().filter(|(_, bearer)| bearer.instance == 0) {
                let BearerPart { ebi, qci, .. } = bearer;
                let marked = other.bearer(ebi).is_some_and(|(_, bearer)| bearer.instance != 0);
                if bearer.refused() || other.refuses(ebi) || marked {
                    continue;
                }
                self.sessions.at_mut(slot).set_bearer(ebi, qci);
                for f_teid in message.f_teids(Owner::Bearer(place)) {
                    slot = self.replace_user(slot, ebi, &f_teid, answer.time_ns, effects);
                }
            }
        }
        slot
    }

    pub(crate) fn has_control(&self, slot: u32, f_teid: &FTeid) -> bool {
        f_teid.addresses().any(|address| self.control_sessions(address, Some(f_teid.teid)).contains(&slot))
    }

    /// The session that an accepted request makes, or that it is another half or a new place of.
    pub(crate) fn session_made(
        &mut self,
        request: &Message,
        answer: &Message,
        making: &Making,
        effects: &mut impl Effects,
    ) -> Option<u32> {
        let &Making { default, half, told, anchor, ue } = making;
        let who = Who::told(request.imsi_word(), ue);
        let addresses = anchor.iter().flat_map(|f_teid| f_teid.addresses().map(|a| (a, f_teid.teid)));
        for (address, teid) in addresses {
            for slot in self.control_sessions(address, Some(teid)) {
                if !self.who(slot).agrees(&who) {
                    continue;
                }
                // Another half, an SGW change, or a change of the access.
                if told.is_some() || !self.sessions.at(slot).has(half) {
                    return Some(slot);
                }
                self.end(slot, Phase::Deleted, answer.time_ns, effects);
            }
        }
        for slot in self.sessions_of_imsi(who.imsi) {
            let session = *self.sessions.at(slot);
            // A UE may be on Wi-Fi too, where the numbers of bearers are the ePDG's.
            let other_access = (session.halves() == Session::S2) != (half == Session::S2);
            if default == 0 || !session.has_bearer(default) || session.halves() == 0 || other_access {
                continue;
            }
            let own = self.anchor(slot);
            let other_anchor = match (anchor, own) {
                (Some(theirs), Some(own)) => {
                    own.teid != theirs.teid.0 || theirs.addresses().all(|a| a != self.nodes.value(own.node()))
                }
                _ => false,
            };
            // A GGSN that is a PGW too: the UE came or went by Gn, and kept its address.
            let by_gn = half == Session::GN || session.has(Session::GN);
            let same_place = by_gn && !session.has(half) && self.same_anchor_node(slot, anchor);
            let keeps = same_place && ue != UeAddress::default() && self.who(slot).agrees(&who);
            let nested = !session.has(half)
                && !by_gn
                && !other_anchor
                && session.created_ns.saturating_add(HALVES_NS) >= request.time_ns;
            if keeps || nested {
                return Some(slot);
            }
            // The UE came back without having left.
            self.end(slot, Phase::Deleted, answer.time_ns, effects);
        }
        // Sx, or packets, came first.
        for f_teid in request.user_f_teids().chain(answer.user_f_teids()) {
            for address in f_teid.addresses() {
                let user = self.users.find(self.nodes.find(&address), f_teid.teid.0);
                let owner = self.users.at(user).session;
                if user != 0 && self.sessions.at(owner).halves() == 0 && self.who(owner).agrees(&who) {
                    return Some(owner);
                }
            }
        }
        self.begin(answer.time_ns)
    }

    fn same_anchor_node(&self, slot: u32, anchor: Option<FTeid>) -> bool {
        let own = self.anchor(slot).map(|endpoint| self.nodes.value(endpoint.node()));
        anchor.is_some_and(|f_teid| f_teid.addresses().any(|address| own == Some(address)))
    }

    /// An answer whose request was not seen still belongs to its session if it tells an anchor that is
    /// known, or comes to an MME's endpoint that is.
    pub(crate) fn orphan(&mut self, answer: &Message, effects: &mut impl Effects) {
        if answer.kind != CREATE_SESSION + 1 || !accepts(answer.cause) {
            return;
        }
        let who = Who::told(answer.imsi_word(), answer.ue);
        let Some(anchor) = answer.anchor() else { return };
        let found = anchor
            .addresses()
            .flat_map(|address| self.control_sessions(address, Some(anchor.teid)))
            .find(|&slot| self.who(slot).agrees(&who));
        let Some(slot) = found else { return };
        if self.identify(slot, answer) | self.set_ue(slot, answer.ue, effects) {
            self.rebind(slot, effects);
        }
        for f_teid in answer.f_teids(Owner::Message) {
            self.install_control(slot, &f_teid, answer.time_ns, effects);
        }
        self.install_bearers(slot, answer, answer, effects);
    }

    /// Modify Bearer and Modify Access Bearers: other base station, SGW, MME; service request.
    /// TS 29.274 7.2.7, 7.2.24.
    fn modify_bearer(&mut self, request: &Message, answer: &Message, effects: &mut impl Effects) {
        let mut targets = self.asked_sessions(request, answer);
        if targets.is_empty() {
            return;
        }
        for &slot in &targets {
            if self.identify(slot, request) | self.identify(slot, answer) {
                self.rebind(slot, effects);
            }
        }
        let mut concerned = Targets::new();
        let mut followed = 0;
        for (message, other) in [(request, answer), (answer, request)] {
            for (place, bearer) in message.bearers() {
                let Some(slot) = self.with_bearer(&targets, bearer.ebi) else { continue };
                if core::mem::replace(&mut followed, slot) != slot {
                    self.follow_to_sgw(slot, request, answer, effects);
                }
                if bearer.instance != 0 || other.bearer(bearer.ebi).is_some_and(|(_, b)| b.instance != 0) {
                    // To be removed, or marked for removal.
                    self.remove_bearer(slot, bearer.ebi, answer.time_ns, effects);
                    continue;
                }
                if bearer.refused() || other.refuses(bearer.ebi) {
                    continue;
                }
                self.sessions.at_mut(slot).set_bearer(bearer.ebi, bearer.qci);
                let mut into = slot;
                for f_teid in message.f_teids(Owner::Bearer(place)) {
                    into = self.replace_user(into, bearer.ebi, &f_teid, answer.time_ns, effects);
                }
                rename(&mut targets, slot, into);
                rename(&mut concerned, slot, into);
                if !concerned.contains(&into) {
                    let _ = concerned.try_push(into);
                }
            }
        }
        if concerned.is_empty() {
            concerned = match request.linked_ebi {
                0 => targets,
                linked => self.with_bearer(&targets, linked).into_iter().collect(),
            };
        }
        let controls = || request.f_teids(Owner::Message).chain(answer.f_teids(Owner::Message));
        for slot in concerned {
            if self.sessions.at(slot).is_active() {
                for f_teid in controls() {
                    self.install_control(slot, &f_teid, answer.time_ns, effects);
                }
            }
        }
    }

    /// A session that is known by its MME's endpoint alone, because the request went to an SGW that it knows
    /// nothing of, and knows one at another node: the UE has moved, and the message was missed that told of it.
    /// The old SGW's endpoints leave when they are deleted there, and nothing that is told from now on does.
    fn follow_to_sgw(&mut self, slot: u32, request: &Message, answer: &Message, effects: &mut impl Effects) {
        let (Some(teid @ Teid(1..)), Some(Teid(of_mme))) = (request.teid, answer.teid) else { return };
        let (v4, v6) = match request.destination {
            IpAddr::V4(v4) => (Some(v4), None),
            IpAddr::V6(v6) => (None, Some(v6)),
        };
        let asked = FTeid { interface: Interface::S11_SGW, teid, v4, v6 };
        let (mme, sgw) = (self.nodes.find(&answer.destination), self.nodes.find(&request.destination));
        let (mut is_mme, mut knows, mut elsewhere) = (false, false, false);
        for own in self.controls_of(slot).filter(|own| own.has(Endpoint::LIVE)) {
            let place = own.interface().and_then(place_of);
            is_mme |= place == place_of(Interface::S11_MME) && own.is(mme, of_mme);
            if place == place_of(Interface::S11_SGW) {
                knows |= own.is(sgw, teid.0);
                elsewhere |= own.node() != sgw;
            }
        }
        if is_mme && elsewhere && !knows {
            self.mark_leaving(slot, false);
            self.install_control(slot, &asked, answer.time_ns, effects);
        }
    }

    /// TS 29.274 7.2.9.1, 7.2.10.1.
    fn delete_session(&mut self, request: &Message, answer: &Message, effects: &mut impl Effects) {
        let targets = match request.linked_ebi {
            0 => self.by_request(request, answer),
            _ => self.ended_sessions(request, answer),
        };
        let meant: Targets = match (request.linked_ebi, targets.as_slice()) {
            (0, [_]) => targets.clone(),
            (0, _) if request.scope => targets.clone(),
            (0, _) => targets.iter().copied().filter(|&slot| self.is_leaving(slot, request)).collect(),
            (linked, _) => self.with_bearer(&targets, linked).into_iter().collect(),
        };
        for slot in meant {
            // With the Operation Indication the SGW tells the PGW: that is the connection's end.
            let ends = request.teardown && !request.scope;
            let leaving = !ends && self.is_leaving(slot, request);
            if !leaving {
                // The last place that is told. TS 29.274 table 7.2.9.1-1.
                self.sessions.at_mut(slot).update_location(request.location);
            }
            if request.scope && !leaving {
                self.mark_leaving(slot, true);
            }
            if request.scope || leaving {
                // TS 23.401 5.5.1.2.2, 5.3.3.1: the old SGW, not the connection.
                self.touch(slot, answer);
                self.drop_leaving(slot, answer.time_ns, effects);
            } else {
                self.end(slot, Phase::Deleted, answer.time_ns, effects);
            }
        }
    }

    /// Whether the endpoint that a request goes to is one that its session has left.
    fn is_leaving(&self, slot: u32, request: &Message) -> bool {
        let node = self.nodes.find(&request.destination);
        let mut control = self.controls.find(node, request.teid.map_or(0, |teid| teid.0));
        while control != 0 {
            let endpoint = self.controls.at(control);
            if endpoint.session == slot {
                return endpoint.has(Endpoint::LEAVING);
            }
            control = self.controls.find_next(control);
        }
        false
    }

    /// TS 29.274 7.3.13.
    pub(crate) fn change_notification(
        &mut self,
        request: &Message,
        answer: &Message,
        effects: &mut impl Effects,
    ) {
        let mut targets = self.asked_sessions(request, answer);
        if targets.is_empty() {
            targets =
                self.sessions_of_imsi(request.imsi_word()).into_iter().take(targets.capacity()).collect();
        }
        for slot in targets {
            if self.identify(slot, request) | self.identify(slot, answer) {
                self.rebind(slot, effects);
            }
        }
    }

    /// A dedicated bearer; the answer gives it its number. TS 29.274 7.2.3, 7.2.4.
    fn create_bearer(&mut self, request: &Message, answer: &Message, effects: &mut impl Effects) {
        let targets = self.asked_sessions(request, answer);
        let Some(mut slot) = self.with_bearer(&targets, request.linked_ebi) else { return };
        self.touch(slot, answer);
        for (place, given) in answer.bearers() {
            if given.refused() || given.ebi == 0 {
                continue;
            }
            // The answer repeats an endpoint of the request to say which bearer is meant.
            let shares = |asked: u8| {
                let mut repeated = answer.f_teids(Owner::Bearer(place));
                repeated.any(|own| request.f_teids(Owner::Bearer(asked)).any(|theirs| theirs == own))
            };
            let asked =
                request.bearers().map(|(asked, _)| asked).find(|&asked| shares(asked)).unwrap_or(place);
            let qci = request.bearers.get(usize::from(asked)).map_or(0, |bearer| bearer.qci);
            self.sessions.at_mut(slot).set_bearer(given.ebi, qci);
            let f_teids = request.f_teids(Owner::Bearer(asked)).chain(answer.f_teids(Owner::Bearer(place)));
            for f_teid in f_teids {
                slot = self.replace_user(slot, given.ebi, &f_teid, answer.time_ns, effects);
            }
        }
        for f_teid in answer.f_teids(Owner::Message) {
            self.install_control(slot, &f_teid, answer.time_ns, effects);
        }
    }

    /// TS 29.274 7.2.15.
    fn update_bearer(&mut self, request: &Message, answer: &Message, effects: &mut impl Effects) {
        let targets = self.asked_sessions(request, answer);
        for (_, bearer) in request.bearers() {
            if let Some(slot) = self.with_bearer(&targets, bearer.ebi).filter(|_| !answer.refuses(bearer.ebi))
            {
                self.sessions.at_mut(slot).set_bearer(bearer.ebi, bearer.qci);
            }
        }
        for slot in targets {
            if self.identify(slot, answer) {
                self.rebind(slot, effects);
            }
        }
    }

    /// The linked EBI ends the connection, EBIs end those bearers. TS 29.274 7.2.9.2.
    fn delete_bearer(&mut self, request: &Message, answer: &Message, effects: &mut impl Effects) {
        let targets = self.ended_sessions(request, answer);
        if request.linked_ebi != 0 {
            if let Some(slot) = self.with_bearer(&targets, request.linked_ebi) {
                self.end(slot, Phase::Deleted, answer.time_ns, effects);
            }
            return;
        }
        let listed = (1..16).filter(|ebi| request.ebis >> ebi & 1 == 1);
        for ebi in listed.chain(request.bearers().map(|(_, bearer)| bearer.ebi)) {
            let refused = answer.bearer(ebi).is_some_and(|(_, b)| b.refused() && b.cause != NOT_FOUND);
            let Some(slot) = self.with_bearer(&targets, ebi).filter(|_| !refused) else { continue };
            self.touch(slot, answer);
            if self.sessions.at(slot).default_ebi == ebi {
                self.end(slot, Phase::Deleted, answer.time_ns, effects);
            } else {
                self.remove_bearer(slot, ebi, answer.time_ns, effects);
            }
        }
    }

    /// Context Response and Forward Relocation Request name the subscriber of connections: whose was
    /// not known of a session is known then. TS 29.274 7.3.6, 7.3.1.
    pub(crate) fn hand_over(&mut self, request: &Message, answer: &Message, effects: &mut impl Effects) {
        for message in [request, answer] {
            for anchor in message.f_teids(Owner::Anchor) {
                for address in anchor.addresses() {
                    for slot in self.control_sessions(address, Some(anchor.teid)) {
                        let imsi = if message.imsi.is_some() { message.imsi } else { request.imsi };
                        if self.set_imsi(slot, imsi) {
                            self.rebind(slot, effects);
                        }
                    }
                }
            }
        }
    }

    /// TS 29.274 7.2.18, 7.2.19.
    fn create_forwarding(&mut self, request: &Message, answer: &Message, effects: &mut impl Effects) {
        let mut targets = self.asked_sessions(request, answer);
        if targets.is_empty() {
            targets =
                self.sessions_of_imsi(request.imsi_word()).into_iter().take(targets.capacity()).collect();
        }
        for message in [request, answer] {
            for (place, bearer) in message.bearers() {
                let Some(slot) = self.with_bearer(&targets, bearer.ebi) else { continue };
                if bearer.refused() || answer.refuses(bearer.ebi) {
                    continue;
                }
                self.touch(slot, answer);
                let mut into = slot;
                for f_teid in message.f_teids(Owner::Bearer(place)) {
                    into = self.replace_user(into, bearer.ebi, &f_teid, answer.time_ns, effects);
                }
                rename(&mut targets, slot, into);
            }
        }
    }
}

/// What is known of a session that is being made.
pub(crate) struct Making {
    /// Its default bearer.
    pub(crate) default: u8,
    /// The interface.
    pub(crate) half: u16,
    /// The anchor that the request names: there is a session already.
    pub(crate) told: Option<FTeid>,
    /// The anchor.
    pub(crate) anchor: Option<FTeid>,
    /// The UE's addresses.
    pub(crate) ue: UeAddress,
}
