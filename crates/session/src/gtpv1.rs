//! GTPv1-C: what an accepted procedure changes. TS 29.060.

use types::{FTeid, Interface};

use crate::effects::Effects;
use crate::gtpv2::{Making, ue_of};
use crate::message::{Message, Owner};
use crate::record::State as Phase;
use crate::slots::Session;
use crate::state::{State, Targets, is_anchor};

const CREATE_PDP: u8 = 16;
const UPDATE_PDP: u8 = 18;
const DELETE_PDP: u8 = 20;
const SGSN_CONTEXT: u8 = 50;
const FORWARD_RELOCATION: u8 = 53;
const INFO_CHANGE: u8 = 128;

/// Requests that change sessions; the answer's type is one more. TS 29.060 table 1.
pub(crate) const fn is_request(kind: u8) -> bool {
    matches!(kind, CREATE_PDP | UPDATE_PDP | DELETE_PDP | SGSN_CONTEXT | FORWARD_RELOCATION | INFO_CHANGE)
}

/// Causes 128 to 191 accept. TS 29.060 7.7.1.
const fn accepts(cause: u8) -> bool {
    matches!(cause, 128..=191)
}

/// "Non-existent": what was to be deleted is gone.
const NOT_FOUND: u8 = 192;

/// NSAPI and class of the PDP context of a message.
fn context(message: &Message) -> (u8, u8) {
    message.bearers.first().map_or((0, 0), |bearer| (bearer.ebi, bearer.qci))
}

impl State {
    /// A request and its answer.
    pub(crate) fn apply_v1(&mut self, request: &Message, answer: &Message, effects: &mut impl Effects) {
        let gone = answer.cause == NOT_FOUND && request.kind == DELETE_PDP;
        if !(accepts(answer.cause) || gone) {
            return;
        }
        match request.kind {
            CREATE_PDP => self.create_pdp(request, answer, effects),
            UPDATE_PDP => self.update_pdp(request, answer, effects),
            DELETE_PDP => self.delete_pdp(request, answer, effects),
            SGSN_CONTEXT | FORWARD_RELOCATION => self.hand_over(request, answer, effects),
            INFO_CHANGE => self.change_notification(request, answer, effects),
            _ => {}
        }
    }

    /// TS 29.060 7.3.1, 7.3.2.
    fn create_pdp(&mut self, request: &Message, answer: &Message, effects: &mut impl Effects) {
        let (nsapi, _) = context(request);
        if request.linked_ebi != 0 {
            // A secondary context: another bearer of the same session.
            let targets = self.asked_sessions(request, answer);
            if let Some(slot) = self.with_bearer(&targets, request.linked_ebi) {
                self.touch(slot, answer);
                self.install_context(slot, nsapi, request, answer, effects);
            }
            return;
        }
        let is_anchors = |f_teid: &FTeid| is_anchor(f_teid.interface);
        let anchor = answer.f_teids(Owner::Message).find(is_anchors);
        let ue = ue_of(request, answer);
        let making = Making { default: nsapi, half: Session::GN, told: None, anchor, ue };
        let Some(slot) = self.session_made(request, answer, &making, effects) else { return };
        if self.sessions.at(slot).has(Session::S11 | Session::S5) {
            self.mark_leaving(slot, true);
        }
        let fresh = self.learn(slot, answer.time_ns);
        let changed =
            self.identify(slot, request) | self.identify(slot, answer) | self.set_ue(slot, ue, effects);
        let address =
            anchor.and_then(|f_teid| f_teid.addresses().next().map(|a| (a, u64::from(f_teid.teid.0))));
        if fresh {
            self.name_session(slot, address, effects);
        }
        let session = self.sessions.at_mut(slot);
        session.set(Session::GN);
        if session.default_ebi == 0 {
            session.default_ebi = nsapi;
        }
        if changed || fresh {
            self.rebind(slot, effects);
        }
        let slot = self.install_context(slot, nsapi, request, answer, effects);
        self.supersede(slot, answer.time_ns, effects);
    }

    /// The endpoints of a PDP context, and those of the control plane.
    fn install_context(
        &mut self,
        slot: u32,
        nsapi: u8,
        request: &Message,
        answer: &Message,
        effects: &mut impl Effects,
    ) -> u32 {
        let mut slot = slot;
        for message in [request, answer] {
            for f_teid in message.f_teids(Owner::Message) {
                self.install_control(slot, &f_teid, answer.time_ns, effects);
            }
            let (_, class) = context(message);
            self.sessions.at_mut(slot).set_bearer(nsapi, class);
            for f_teid in message.user_f_teids() {
                slot = self.replace_user(slot, nsapi, &f_teid, answer.time_ns, effects);
            }
        }
        slot
    }

    /// Another SGSN, a direct tunnel, another class; from either side. TS 29.060 7.3.3, 7.3.4.
    fn update_pdp(&mut self, request: &Message, answer: &Message, effects: &mut impl Effects) {
        let nsapi = match (context(request).0, context(answer).0) {
            (0, told) | (told, _) => told,
        };
        let mut targets = self.asked_sessions(request, answer);
        if targets.is_empty() {
            targets =
                self.sessions_of_imsi(request.imsi_word()).into_iter().take(targets.capacity()).collect();
        }
        let Some(slot) = self.with_bearer(&targets, nsapi) else { return };
        let from_sgsn =
            request.f_teids(Owner::Message).any(|f_teid| f_teid.interface == Interface::GN_SGSN_C)
                || request.user_f_teids().any(|f_teid| f_teid.interface == Interface::GN_SGSN_U);
        if from_sgsn && self.sessions.at(slot).has(Session::S11 | Session::S5) {
            // TS 23.401 D.3.3: from E-UTRAN to an SGSN that speaks Gn. MME and SGW will be told to let go.
            self.mark_leaving(slot, true);
        }
        let ue = ue_of(request, answer);
        if self.identify(slot, request) | self.identify(slot, answer) | self.set_ue(slot, ue, effects) {
            self.rebind(slot, effects);
        }
        self.sessions.at_mut(slot).set(Session::GN);
        self.install_context(slot, nsapi, request, answer, effects);
    }

    /// Teardown ends all contexts that share the address, else the one NSAPI. TS 29.060 7.3.5.
    fn delete_pdp(&mut self, request: &Message, answer: &Message, effects: &mut impl Effects) {
        let (nsapi, _) = context(request);
        let targets: Targets = self.ended_sessions(request, answer);
        let Some(slot) = self.with_bearer(&targets, nsapi) else { return };
        self.touch(slot, answer);
        if request.teardown || !self.remove_bearer(slot, nsapi, answer.time_ns, effects) {
            self.end(slot, Phase::Deleted, answer.time_ns, effects);
        }
    }
}
