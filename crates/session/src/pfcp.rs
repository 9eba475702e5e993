//! PFCP: sessions of Sxa, Sxb and N4, their F-SEIDs and rules. TS 29.244.

use std::net::IpAddr;

use types::{FSeid, FTeid, Interface, Qfi, RuleAction, Side, Toward};

use crate::effects::Effects;
use crate::endpoints::{Code, Endpoint};
use crate::gtpv2::ue_of;
use crate::install::Role;
use crate::message::{Message, RuleKind, RulePart};
use crate::record::State as Phase;
use crate::slots::{Pfcp, RuleSlot, SeidSlot};
use crate::state::{State, Who};

const ESTABLISHMENT: u8 = 50;
const MODIFICATION: u8 = 52;
const DELETION: u8 = 54;

/// Requests that change sessions; the answer's type is one more. TS 29.244 table 7.3-1.
pub(crate) const fn is_request(kind: u8) -> bool {
    matches!(kind, ESTABLISHMENT | MODIFICATION | DELETION)
}

/// TS 29.244 8.2.1.
const ACCEPTED: u8 = 1;
/// "Session context not found".
const NOT_FOUND: u8 = 65;

/// Rules with an endpoint that one PFCP session keeps.
const RULES_MAX: usize = 64;

/// A rule with the endpoint that it holds from now on.
struct Told {
    part: RulePart,
    f_teid: FTeid,
}

impl RulePart {
    /// Name and direction of its endpoint. TS 29.244 8.2.2, 8.2.24: Access is the side of the UE.
    fn code(&self, f_teid: &FTeid) -> Code {
        let (interface, toward) = match (self.kind, self.side) {
            (RuleKind::Pdr, Some(Side::Access)) => (Interface::N3_UPF, Some(Toward::Uplink)),
            (RuleKind::Pdr, Some(Side::Core)) => (Interface::N9_UPF, Some(Toward::Downlink)),
            (RuleKind::Far, Some(Side::Access)) => (Interface::N3_GNB, Some(Toward::Downlink)),
            (RuleKind::Far, Some(Side::Core)) => (Interface::N9_UPF, Some(Toward::Uplink)),
            // An answer alone, or a side without user plane of its own.
            _ => (f_teid.interface, None),
        };
        Code::new(interface, toward)
    }
}

impl State {
    /// A request and its answer.
    pub(crate) fn apply_pfcp(&mut self, request: &Message, answer: &Message, effects: &mut impl Effects) {
        match (request.kind, answer.cause) {
            (ESTABLISHMENT, ACCEPTED) => self.establish(request, answer, effects),
            (MODIFICATION, ACCEPTED) => self.modify_pfcp(request, answer, effects),
            (DELETION, ACCEPTED | NOT_FOUND) => {
                let pfcp = self.asked_pfcp(request, answer);
                self.delete_pfcp(pfcp, answer.time_ns, effects);
            }
            _ => {}
        }
    }

    /// The PFCP session that a request is for: by the SEID of its header, else by that of its answer.
    fn asked_pfcp(&self, request: &Message, answer: &Message) -> u32 {
        let by = |message: &Message, upf| match message.seid {
            Some(seid @ 1..) => self.pfcp_of(message.destination, seid, upf),
            _ => 0,
        };
        match by(request, true) {
            0 => {
                let found = by(answer, false);
                // One with another F-SEID of the UPF: the SMF has given its own to the next.
                if self.knows_upf(found) { 0 } else { found }
            }
            found => found,
        }
    }

    /// Whether the UPF's side of a PFCP session was told.
    fn knows_upf(&self, pfcp: u32) -> bool {
        let mut seid = self.pfcps.at(pfcp).seids;
        while seid != 0 {
            let own = self.seids.at(seid);
            if own.upf && own.live {
                return true;
            }
            seid = own.next;
        }
        false
    }

    /// TS 29.244 7.5.2, 7.5.3.
    fn establish(&mut self, request: &Message, answer: &Message, effects: &mut impl Effects) {
        let Some(smf) = request.f_seid else { return };
        // The SMF made it anew: it knows of no other with this F-SEID.
        for address in addresses(&smf) {
            let old = self.pfcp_of(address, smf.seid.0, false);
            self.delete_pfcp(old, answer.time_ns, effects);
        }
        let ue = ue_of(request, answer);
        let who = Who::told(request.imsi_word(), ue);
        let Some(mut slot) = self.holder(request, answer, &who).or_else(|| self.begin(answer.time_ns)) else {
            return;
        };
        let Some(pfcp) = self.pfcps.take(
            u64::MAX,
            Pfcp { session: slot, next: self.sessions.at(slot).pfcps, seids: 0, rules: 0, live: true },
        ) else {
            self.counters.refused.tunnels_full += 1;
            return;
        };
        self.sessions.at_mut(slot).pfcps = pfcp;
        self.add_seid(pfcp, &smf, false);
        if let Some(upf) = answer.f_seid {
            self.add_seid(pfcp, &upf, true);
        }
        let fresh = self.learn(slot, answer.time_ns);
        let changed =
            self.identify(slot, request) | self.identify(slot, answer) | self.set_ue(slot, ue, effects);
        let anchor = addresses(&smf).next().map(|address| (address, smf.seid.0));
        if fresh {
            self.name_session(slot, anchor, effects);
        }
        if changed || fresh {
            self.rebind(slot, effects);
        }
        slot = self.apply_rules(pfcp, request, answer, effects);
        self.supersede(slot, answer.time_ns, effects);
    }

    /// A live session that holds an endpoint of this one: the half of GTP-C, the other UPF, or what was
    /// known by its packets alone.
    fn holder(&self, request: &Message, answer: &Message, who: &Who) -> Option<u32> {
        for part in request.rules() {
            let Some(Told { part, f_teid }) = told(&part, request, answer) else { continue };
            for address in f_teid.addresses() {
                let user = self.users.find(self.nodes.find(&address), f_teid.teid.0);
                let owner = self.users.at(user).session;
                if user == 0 || !self.who(owner).agrees(who) {
                    continue;
                }
                let is_known = self.sessions.at(owner).has(crate::slots::Session::KNOWN);
                let by_gtp = self.users.at(user).has(Endpoint::GTP);
                if !is_known || by_gtp || self.has_rule(owner, user, part.kind == RuleKind::Pdr) {
                    return Some(owner);
                }
            }
        }
        None
    }

    /// TS 29.244 7.5.4, 7.5.5.
    fn modify_pfcp(&mut self, request: &Message, answer: &Message, effects: &mut impl Effects) {
        let pfcp = self.asked_pfcp(request, answer);
        if pfcp == 0 {
            return;
        }
        if let Some(smf) = request.f_seid {
            // Another SMF of the set took over. TS 29.244 7.5.4.1.
            let known = addresses(&smf).any(|address| self.pfcp_of(address, smf.seid.0, false) == pfcp);
            if !known {
                self.bury_seids(pfcp, false);
                self.add_seid(pfcp, &smf, false);
            }
        }
        let slot = self.pfcps.at(pfcp).session;
        let ue = ue_of(request, answer);
        if self.identify(slot, request) | self.identify(slot, answer) | self.set_ue(slot, ue, effects) {
            self.rebind(slot, effects);
        }
        self.apply_rules(pfcp, request, answer, effects);
    }

    /// Rules made, changed and removed. Returns the session, which may be another one then.
    fn apply_rules(
        &mut self,
        pfcp: u32,
        request: &Message,
        answer: &Message,
        effects: &mut impl Effects,
    ) -> u32 {
        for part in request.rules() {
            if part.action == RuleAction::Remove {
                self.release_rule(pfcp, part.id, part.kind, &[], answer.time_ns, effects);
                continue;
            }
            let slot = self.pfcps.at(pfcp).session;
            self.sessions.at_mut(slot).set_flow(Qfi(part.qfi));
            // What is told once need not be told again. TS 29.244 7.5.4.3.
            let part = RulePart { side: self.side_of(pfcp, &part), ..part };
            let Some(Told { part, f_teid }) = told(&part, request, answer) else { continue };
            let role = if part.kind == RuleKind::Pdr { Role::Local } else { Role::Peer };
            let code = part.code(&f_teid);
            let mut held = [0; 2];
            for (address, place) in f_teid.addresses().zip(&mut held) {
                let slot = self.pfcps.at(pfcp).session;
                let key = (address, f_teid.teid.0);
                (_, *place) = self.install_tunnel(slot, 0, key, code, role, effects);
            }
            self.release_rule(pfcp, part.id, part.kind, &held, answer.time_ns, effects);
            for user in held {
                self.add_rule(pfcp, part.id, part.kind, user);
            }
        }
        self.pfcps.at(pfcp).session
    }

    /// The side of a rule, which is remembered in a place of its own from when it is told.
    fn side_of(&mut self, pfcp: u32, part: &RulePart) -> Option<Side> {
        let far = part.kind == RuleKind::Far;
        self.mark_pfcp(pfcp);
        let mut rule = self.pfcps.at(pfcp).rules;
        while rule != 0 {
            let own = self.rules.at_mut(rule);
            if own.id == part.id && own.far == far && own.side.is_some() {
                own.side = part.side.or(own.side);
                return own.side;
            }
            rule = own.next;
        }
        if part.side.is_some() {
            self.push_rule(pfcp, RuleSlot { side: part.side, ..RuleSlot::of(part.id, far, 0) });
        }
        part.side
    }

    fn add_rule(&mut self, pfcp: u32, id: u32, kind: RuleKind, user: u32) {
        if user == 0 {
            return;
        }
        let far = kind == RuleKind::Far;
        let mut rule = self.pfcps.at(pfcp).rules;
        while rule != 0 {
            let own = self.rules.at(rule);
            if own.id == id && own.far == far && own.user == user {
                return;
            }
            rule = own.next;
        }
        self.push_rule(pfcp, RuleSlot::of(id, far, user));
    }

    fn push_rule(&mut self, pfcp: u32, rule: RuleSlot) {
        let mut count = 0;
        let mut other = self.pfcps.at(pfcp).rules;
        while other != 0 {
            count += 1;
            other = self.rules.at(other).next;
        }
        let next = self.pfcps.at(pfcp).rules;
        let made =
            if count < RULES_MAX { self.rules.take(u64::MAX, RuleSlot { next, ..rule }) } else { None };
        match made {
            Some(rule) => self.pfcps.at_mut(pfcp).rules = rule,
            None => self.counters.refused.tunnels_full += 1,
        }
    }

    /// Takes its endpoints from a rule, but for those in `keep`. What no other rule and no GTP-C holds
    /// retires.
    fn release_rule(
        &mut self,
        pfcp: u32,
        id: u32,
        kind: RuleKind,
        keep: &[u32],
        time_ns: u64,
        effects: &mut impl Effects,
    ) {
        let far = kind == RuleKind::Far;
        let (mut before, mut rule) = (0, self.pfcps.at(pfcp).rules);
        while rule != 0 {
            let own = *self.rules.at(rule);
            if own.id != id || own.far != far || keep.contains(&own.user) {
                (before, rule) = (rule, own.next);
                continue;
            }
            if before == 0 {
                self.pfcps.at_mut(pfcp).rules = own.next;
            } else {
                self.rules.at_mut(before).next = own.next;
            }
            self.rules.give_back(rule, 0);
            self.mark_pfcp(pfcp);
            rule = own.next;
            if self.is_unheld(pfcp, own.user) {
                self.retire(own.user, time_ns, effects);
            }
        }
    }

    /// Whether nothing of the session holds a tunnel any more.
    fn is_unheld(&self, pfcp: u32, user: u32) -> bool {
        let session = self.pfcps.at(pfcp).session;
        let endpoint = self.users.at(user);
        endpoint.session == session
            && !endpoint.has(Endpoint::GTP)
            && !self.has_rule(session, user, true)
            && !self.has_rule(session, user, false)
    }

    /// Whether a FAR, or a PDR, of a session holds this tunnel.
    pub(crate) fn has_rule(&self, slot: u32, user: u32, far: bool) -> bool {
        let mut pfcp = self.sessions.at(slot).pfcps;
        while pfcp != 0 {
            let mut rule = self.pfcps.at(pfcp).rules;
            while rule != 0 {
                let own = self.rules.at(rule);
                if own.user == user && own.far == far {
                    return true;
                }
                rule = own.next;
            }
            pfcp = self.pfcps.at(pfcp).next;
        }
        false
    }

    /// A tunnel is forgotten: no rule may name it.
    pub(crate) fn forget_rules_of(&mut self, slot: u32, user: u32) {
        let mut pfcp = self.sessions.at(slot).pfcps;
        while pfcp != 0 {
            self.mark_pfcp(pfcp);
            let mut rule = self.pfcps.at(pfcp).rules;
            while rule != 0 {
                let own = self.rules.at_mut(rule);
                if own.user == user {
                    own.user = 0;
                }
                rule = own.next;
            }
            pfcp = self.pfcps.at(pfcp).next;
        }
    }

    /// The end of one PFCP session: of its tunnels, and of the session if nothing else holds it.
    /// TS 29.244 7.5.6.
    pub(crate) fn delete_pfcp(&mut self, pfcp: u32, time_ns: u64, effects: &mut impl Effects) {
        if pfcp == 0 || !self.pfcps.at(pfcp).live {
            return;
        }
        let slot = self.pfcps.at(pfcp).session;
        let mut others = self.sessions.at(slot).pfcps;
        let mut alone = self.sessions.at(slot).halves() == 0;
        while others != 0 && alone {
            alone = others == pfcp || !self.pfcps.at(others).live;
            others = self.pfcps.at(others).next;
        }
        if alone {
            self.end(slot, Phase::Deleted, time_ns, effects);
            return;
        }
        let session = self.sessions.at_mut(slot);
        session.active_ns = session.active_ns.max(time_ns);
        while self.pfcps.at(pfcp).rules != 0 {
            let rule = *self.rules.at(self.pfcps.at(pfcp).rules);
            let kind = if rule.far { RuleKind::Far } else { RuleKind::Pdr };
            self.release_rule(pfcp, rule.id, kind, &[], time_ns, effects);
        }
        self.end_pfcp(pfcp);
    }

    /// Takes a PFCP session out of the index; its F-SEIDs stay for the record.
    pub(crate) fn end_pfcp(&mut self, pfcp: u32) {
        self.pfcps.at_mut(pfcp).live = false;
        self.bury_seids(pfcp, true);
        self.bury_seids(pfcp, false);
        while self.pfcps.at(pfcp).rules != 0 {
            let rule = self.pfcps.at(pfcp).rules;
            self.pfcps.at_mut(pfcp).rules = self.rules.at(rule).next;
            self.rules.give_back(rule, 0);
        }
    }

    fn bury_seids(&mut self, pfcp: u32, upf: bool) {
        let mut seid = self.pfcps.at(pfcp).seids;
        while seid != 0 {
            let own = *self.seids.at(seid);
            if own.upf == upf {
                self.bury_seid(seid);
            }
            seid = own.next;
        }
    }

    /// Frees what the record of a PFCP session has.
    pub(crate) fn free_pfcp(&mut self, pfcp: u32) {
        self.end_pfcp(pfcp);
        let mut seid = self.pfcps.at(pfcp).seids;
        while seid != 0 {
            let own = *self.seids.at(seid);
            self.nodes.release(own.node);
            self.seids.give_back(seid, 0);
            seid = own.next;
        }
        self.pfcps.give_back(pfcp, 0);
    }

    fn add_seid(&mut self, pfcp: u32, f_seid: &FSeid, upf: bool) {
        for address in addresses(f_seid) {
            // Given out again: the end of the other one was missed.
            let old = self.pfcp_of(address, f_seid.seid.0, upf);
            if old != 0 && old != pfcp {
                self.bury_seids(old, upf);
            }
            if old == pfcp || self.count_seids(pfcp) >= RULES_MAX {
                continue;
            }
            let Some(node) = self.nodes.hold(&address) else {
                self.counters.refused.nodes_full += 1;
                continue;
            };
            let next = self.pfcps.at(pfcp).seids;
            let seid = f_seid.seid.0;
            let Some(slot) =
                self.seids.take(u64::MAX, SeidSlot { seid, pfcp, next, chain: 0, node, upf, live: false })
            else {
                self.counters.refused.tunnels_full += 1;
                self.nodes.release(node);
                continue;
            };
            self.pfcps.at_mut(pfcp).seids = slot;
            self.enliven_seid(slot);
        }
    }

    fn count_seids(&self, pfcp: u32) -> usize {
        let (mut count, mut seid) = (0, self.pfcps.at(pfcp).seids);
        while seid != 0 {
            count += 1;
            seid = self.seids.at(seid).next;
        }
        count
    }

    /// The session that a Session Establishment Request will be another part of, as far as it says itself:
    /// one whose control plane was seen and that holds an endpoint of its rules.
    pub(crate) fn known_holder(&self, request: &Message) -> Option<u32> {
        if request.kind != ESTABLISHMENT {
            return None;
        }
        let who = Who::told(request.imsi_word(), request.ue);
        let holder = self.holder(request, request, &who);
        holder.filter(|&slot| self.sessions.at(slot).has(crate::slots::Session::KNOWN))
    }

    /// The session of a PFCP message.
    pub(crate) fn session_of_pfcp(&self, message: &Message) -> Option<u32> {
        let by_seid = |seid: u64| {
            let found = [true, false].map(|upf| self.pfcp_of(message.destination, seid, upf));
            found.into_iter().find(|&pfcp| pfcp != 0).map(|pfcp| self.pfcps.at(pfcp).session)
        };
        let found = message.seid.filter(|&seid| seid != 0).and_then(by_seid);
        found.or_else(|| self.sessions_of_imsi(message.imsi_word()).first().copied())
    }
}

pub(crate) fn addresses(f_seid: &FSeid) -> impl Iterator<Item = IpAddr> {
    let told = f_seid.v4.map(IpAddr::V4).into_iter().chain(f_seid.v6.map(IpAddr::V6));
    // Some say that they have both and leave one empty.
    told.filter(|address| !address.is_unspecified())
}

/// The endpoint of a rule: what the request says, or what the UPF chose (Created PDR, by the rule's
/// number; rules with one CHOOSE ID share it). TS 29.244 5.5.1, 8.2.3.
fn told(part: &RulePart, request: &Message, answer: &Message) -> Option<Told> {
    // Between SMF and UPF themselves run messages of the UE (router advertisements), no tunnels of its own.
    if matches!(part.side, Some(Side::ControlPlane)) {
        return None;
    }
    let created = |id: u32| {
        let chosen = |own: &RulePart| own.kind == RuleKind::Pdr && own.id == id;
        answer.rules().find(chosen).and_then(|own| own.f_teid)
    };
    let shared = || {
        part.choose_id?;
        let same = |own: &RulePart| own.kind == RuleKind::Pdr && own.choose_id == part.choose_id;
        request.rules().filter(same).find_map(|own| created(own.id))
    };
    let f_teid = match (part.f_teid, part.kind) {
        (Some(f_teid), _) => Some(f_teid),
        (None, RuleKind::Pdr) => created(part.id).or_else(shared),
        (None, RuleKind::Far) => None,
    };
    f_teid.map(|f_teid| Told { part: *part, f_teid })
}
