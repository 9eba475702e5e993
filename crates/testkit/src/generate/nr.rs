//! 5G: PFCP on N4. TS 23.502 4.2, 4.3, 4.9, TS 29.244 7.

use rand::Rng;

use super::ie::pfcp;
use super::lte::{get, set};
use super::nodes::{GATEWAYS, Node};
use super::procedure::{Begin, NEAR, Procedure, Step as AnyStep};
use super::state::{Bearer, Core, End, Interface, NONE, Phase};
use super::{DOWNLINK, Generator, MS, Owner, Ready, What};
use crate::packet::Packet;

/// One message about one PDU session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Establish(u8),
    Established(u8),
    /// Downlink packets go to the radio node of the procedure.
    Modify(u8),
    Modified(u8),
    /// Downlink packets are kept.
    Keep(u8),
    Kept(u8),
    Report(u8),
    Reported,
    Delete(u8),
    Deleted(u8),
}

use Step::{Delete, Deleted, Establish, Established, Keep, Kept, Modified, Modify, Report, Reported};

/// Message types, TS 29.244 7.3.
mod message {
    pub(super) const HEARTBEAT: u8 = 1;
    pub(super) const ASSOCIATION_SETUP: u8 = 5;
    pub(super) const SESSION_ESTABLISHMENT: u8 = 50;
    pub(super) const SESSION_MODIFICATION: u8 = 52;
    pub(super) const SESSION_DELETION: u8 = 54;
    pub(super) const SESSION_REPORT: u8 = 56;
}

/// Grouped IEs, TS 29.244 table 8.1.2-1.
mod group {
    pub(super) const CREATE_PDR: u16 = 1;
    pub(super) const PDI: u16 = 2;
    pub(super) const CREATE_FAR: u16 = 3;
    pub(super) const FORWARDING_PARAMETERS: u16 = 4;
    pub(super) const CREATE_QER: u16 = 7;
    pub(super) const CREATED_PDR: u16 = 8;
    pub(super) const UPDATE_FAR: u16 = 10;
    pub(super) const UPDATE_FORWARDING_PARAMETERS: u16 = 11;
    pub(super) const DOWNLINK_DATA_REPORT: u16 = 83;
}

/// Rules of a session: packets from the radio side, packets to it, and voice from the radio side.
const UP: u16 = 1;
const DOWN: u16 = 2;
const UP_VOICE: u16 = 3;

/// Actions of a forwarding rule, TS 29.244 8.2.26.
const FORWARD: u8 = 2;
const KEEP_AND_TELL: u8 = 12;

/// The network instance of N3.
const RADIO_NETWORK: &str = "n3";

fn steps(list: &[Step]) -> impl Iterator<Item = AnyStep> {
    list.iter().map(|&step| AnyStep::Nr(step))
}

impl Generator {
    /// The SMF gets to know a UPF, over IPv4 or IPv6, and asks whether it is alive.
    pub(super) fn associate(&mut self, association: u8) {
        let (smf, upf) = (Node::Smf, Node::UpfN4(association % GATEWAYS));
        let v6 = association >= GATEWAYS;
        for (place, kind) in [(0, message::ASSOCIATION_SETUP), (1, message::HEARTBEAT)] {
            let sequence = self.sequence(smf);
            for answer in [false, true] {
                let (from, to) = if answer { (upf, smf) } else { (smf, upf) };
                let frame = self.message((from, to), v6, 8805, answer, |packet| {
                    packet.pfcp(kind + u8::from(answer), None, sequence);
                    if kind == message::ASSOCIATION_SETUP {
                        pfcp::node_id(packet, from, v6);
                        if answer {
                            pfcp::cause(packet, pfcp::ACCEPTED);
                        }
                    }
                    pfcp::recovery(packet);
                    match (kind, answer) {
                        // UP Function Features, CP Function Features.
                        (message::ASSOCIATION_SETUP, true) => packet.pfcp_ie(43, &[0x10, 0x01]),
                        (message::ASSOCIATION_SETUP, false) => packet.pfcp_ie(89, &[0]),
                        _ => packet,
                    };
                });
                if place == 0 && !answer {
                    (self.frame, self.owner, self.ready) = (frame, Owner::NOBODY, Ready::Signalling);
                } else {
                    let delay_ns = place * 3 * MS + u64::from(answer) * MS;
                    self.later(
                        delay_ns,
                        What::Frame { owner: Owner::NOBODY, bytes: frame, signalling: true },
                    );
                }
            }
        }
    }

    pub(super) fn nr_attach(&mut self, ue: u32) {
        let mut p = self.procedure(ue);
        p.radio = self.near_radio(ue);
        let mut list = Vec::new();
        if self.rng.random_bool(0.01) {
            // Request rejected; no resources available. TS 29.244 8.2.1.
            p.refused = if self.rng.random_bool(0.5) { 64 } else { 75 };
            list.extend(steps(&[Establish(0), Established(0)]));
        } else {
            for c in 0..self.profile(ue).connections {
                list.extend(steps(&[Establish(c)]));
                if self.rng.random_bool(0.1) {
                    list.push(AnyStep::Early(c));
                }
                list.extend(steps(&[Established(c), Modify(c), Modified(c)]));
            }
        }
        self.launch(p, list, Begin::Now);
    }

    pub(super) fn nr_change(&mut self, ue: u32) {
        let state = self.ue(ue);
        let mut p = self.procedure(ue);
        let mut list = Vec::new();
        let Some((last, _)) = state.each().last() else { return };
        let begin = match self.rng.random_range(0..100) {
            0..18 => {
                for (c, _) in state.each() {
                    list.extend(steps(&[Delete(c), Deleted(c)]));
                }
                Begin::Quiet
            }
            _ if state.phase == Phase::Idle => {
                if self.rng.random_bool(0.5) {
                    list.extend(steps(&[Report(last), Reported]));
                }
                for (c, _) in state.each() {
                    list.extend(steps(&[Modify(c), Modified(c)]));
                }
                Begin::Settled
            }
            18..22 if last == 1 => {
                list.extend(steps(&[Delete(1), Deleted(1)]));
                Begin::Quiet
            }
            22..65 => {
                p.radio = self.other_radio(state.radio);
                for (c, _) in state.each() {
                    list.extend(steps(&[Modify(c), Modified(c)]));
                }
                Begin::Settled
            }
            _ => {
                for (c, _) in state.each() {
                    list.extend(steps(&[Keep(c), Kept(c)]));
                }
                Begin::Quiet
            }
        };
        self.launch(p, list, begin);
    }

    pub(super) fn nr_step(&mut self, p: &mut Procedure, step: Step) {
        match step {
            Establish(c) => self.establish(p, c),
            Established(c) => self.established(p, c),
            Modify(c) => self.modify(p, c),
            Modified(c) => self.modified(p, c),
            Keep(c) => self.keep(p, c),
            Kept(c) => self.kept(p, c),
            Report(c) => self.report(p, c),
            Reported => self.reported(p),
            Delete(c) => self.delete(p, c),
            Deleted(c) => self.deleted(p, c),
        }
    }

    fn establish(&mut self, p: &mut Procedure, c: u8) {
        let profile = self.profile(p.ue);
        let (v6, wish) = (profile.over_ipv6, profile.wish(c));
        let gateway = self.rng.random_range(0..GATEWAYS);
        let plane = self.plane(gateway);
        let mut core = Core { ue: p.ue, connection: c, ..Core::NONE };
        self.assign(&mut core, wish);
        core.near = self.end(Node::Smf, v6);
        core.far = End { node: Node::UpfN4(gateway), v6, ..End::NONE };
        let access = if profile.choose {
            End { node: Node::UpfN3(plane), v6, ..End::NONE }
        } else {
            self.end(Node::UpfN3(plane), v6)
        };
        let radio = End { node: p.radio, v6, ..End::NONE };
        core.bearers[0] = Bearer { ebi: 1 + c, radio, access, ..Bearer::NONE };
        set(&mut p.cores, c, core);
        let mut ue = self.ue(p.ue);
        ue.radio = p.radio;
        self.set_ue(p.ue, ue);

        let (address, voice) = (self.address(&core), has_voice(p.ue));
        let local = |packet: &mut Packet<'_>| {
            if profile.choose {
                pfcp::f_teid_choose(packet, v6, voice.then_some(7));
            } else {
                pfcp::f_teid(packet, access);
            }
        };
        self.ask(p, NEAR, (core.near.node, core.far.node), |packet, sequence| {
            packet.pfcp(message::SESSION_ESTABLISHMENT, Some(0), sequence);
            pfcp::node_id(packet, Node::Smf, v6);
            pfcp::f_seid(packet, core.near);
            let ups: &[u16] = if voice { &[UP, UP_VOICE] } else { &[UP] };
            for &id in ups {
                packet.pfcp_group(group::CREATE_PDR, |packet| {
                    pfcp::pdr_id(packet, id);
                    pfcp::precedence(packet, if id == UP { 255 } else { 100 });
                    packet.pfcp_group(group::PDI, |packet| {
                        pfcp::source(packet, pfcp::ACCESS);
                        local(packet);
                        pfcp::network_instance(packet, RADIO_NETWORK);
                        pfcp::ue_address(packet, address, false);
                        pfcp::qfi(packet, if id == UP { profile.qfi } else { 2 });
                    });
                    pfcp::outer_header_removal(packet, v6);
                    pfcp::far_id(packet, 1);
                    pfcp::qer_id(packet, 1);
                });
            }
            packet.pfcp_group(group::CREATE_PDR, |packet| {
                pfcp::pdr_id(packet, DOWN);
                pfcp::precedence(packet, 255);
                packet.pfcp_group(group::PDI, |packet| {
                    pfcp::source(packet, pfcp::CORE);
                    pfcp::network_instance(packet, wish.apn);
                    pfcp::ue_address(packet, address, true);
                });
                pfcp::far_id(packet, 2);
                pfcp::qer_id(packet, 1);
            });
            packet.pfcp_group(group::CREATE_FAR, |packet| {
                pfcp::far_id(packet, 1);
                pfcp::apply_action(packet, FORWARD);
                packet.pfcp_group(group::FORWARDING_PARAMETERS, |packet| {
                    pfcp::destination(packet, pfcp::CORE);
                    pfcp::network_instance(packet, wish.apn);
                });
            });
            packet.pfcp_group(group::CREATE_FAR, |packet| {
                pfcp::far_id(packet, 2);
                pfcp::apply_action(packet, KEEP_AND_TELL);
            });
            packet.pfcp_group(group::CREATE_QER, |packet| {
                pfcp::qer_id(packet, 1);
                pfcp::gate_open(packet);
                pfcp::qfi(packet, profile.qfi);
            });
            pfcp::pdn_type(packet, address);
            if profile.told {
                pfcp::user_id(packet, &profile);
            }
            pfcp::dnn(packet, wish.apn);
            pfcp::slice(packet);
        });
    }

    /// The UPF makes the session, if it has not yet.
    pub(super) fn nr_make(&mut self, p: &mut Procedure, c: u8) -> u32 {
        let made = self.ue(p.ue).session(c);
        if made != NONE {
            return made;
        }
        let mut core = get(&p.cores, c);
        core.far = self.end(core.far.node, core.far.v6);
        if !core.bearers[0].access.is_some() {
            core.bearers[0].access = self.end(core.bearers[0].access.node, core.far.v6);
        }
        let session = self.make(core);
        self.hold(session, Interface::N4Smf, &mut core.near);
        self.hold(session, Interface::N4Upf, &mut core.far);
        self.hold(session, Interface::N3Upf, &mut core.bearers[0].access);
        self.set_core(session, core);
        session
    }

    fn established(&mut self, p: &mut Procedure, c: u8) {
        let refused = p.refused;
        if refused != 0 {
            let core = get(&p.cores, c);
            self.answer(p, NEAR, |packet, sequence| {
                packet.pfcp(message::SESSION_ESTABLISHMENT + 1, Some(core.near.seid()), sequence);
                pfcp::node_id(packet, core.far.node, core.far.v6);
                pfcp::cause(packet, refused);
            });
            self.release(core.near);
            self.release(core.bearers[0].access);
            self.give_back_addresses(&core);
            return;
        }
        let session = self.nr_make(p, c);
        self.created(session);
        let core = self.core(session);
        let (choose, voice) = (self.profile(p.ue).choose, has_voice(p.ue));
        self.answer(p, NEAR, |packet, sequence| {
            packet.pfcp(message::SESSION_ESTABLISHMENT + 1, Some(core.near.seid()), sequence);
            pfcp::node_id(packet, core.far.node, core.far.v6);
            pfcp::cause(packet, pfcp::ACCEPTED);
            pfcp::f_seid(packet, core.far);
            let ups: &[u16] = if voice { &[UP, UP_VOICE] } else { &[UP] };
            for &id in ups.iter().filter(|_| choose) {
                packet.pfcp_group(group::CREATED_PDR, |packet| {
                    pfcp::pdr_id(packet, id);
                    pfcp::f_teid(packet, core.bearers[0].access);
                });
            }
        });
        self.first_packets(session);
    }

    /// The gNB tells its endpoint: after establishment, handover, service request.
    fn modify(&mut self, p: &mut Procedure, c: u8) {
        let core = self.core(self.ue(p.ue).session(c));
        let radio = self.end(p.radio, core.far.v6);
        if let Some([place, _]) = p.radios.get_mut(usize::from(c)) {
            *place = radio;
        }
        let is_handover = core.bearers[0].radio.is_some();
        self.ask(p, NEAR, (core.near.node, core.far.node), |packet, sequence| {
            packet.pfcp(message::SESSION_MODIFICATION, Some(core.far.seid()), sequence);
            packet.pfcp_group(group::UPDATE_FAR, |packet| {
                pfcp::far_id(packet, 2);
                pfcp::apply_action(packet, FORWARD);
                packet.pfcp_group(group::UPDATE_FORWARDING_PARAMETERS, |packet| {
                    pfcp::destination(packet, pfcp::ACCESS);
                    pfcp::network_instance(packet, RADIO_NETWORK);
                    pfcp::outer_header(packet, radio);
                    if is_handover {
                        pfcp::send_end_marker(packet);
                    }
                });
            });
        });
    }

    fn modified(&mut self, p: &mut Procedure, c: u8) {
        let mut ue = self.ue(p.ue);
        let session = ue.session(c);
        let mut core = self.core(session);
        let [mut radio, _] = get(&p.radios, c);
        self.hold(session, Interface::N3Gnb, &mut radio);
        let old = std::mem::replace(&mut core.bearers[0].radio, radio);
        if old.is_some() {
            let delay_ns = self.rng.random_range(300_000..2 * MS);
            self.end_marker(session, core.bearers[0].access, old, Interface::N3Gnb, delay_ns);
            self.release(old);
        }
        self.set_core(session, core);
        (ue.radio, ue.phase) = (p.radio, Phase::Connected);
        self.set_ue(p.ue, ue);
        self.confirm(p, message::SESSION_MODIFICATION + 1, core.near);
        self.bring_up(session);
        // What waited in the UPF.
        let is_last = ue.each().last().is_some_and(|(last, _)| last == c);
        if is_last && !p.buffered.is_empty() {
            if let Some(path) = self.path(session) {
                self.send(&path, false, DOWNLINK, &p.buffered, 400_000, 0..1);
            }
        }
    }

    /// An answer with its cause alone, to the SMF.
    fn confirm(&mut self, p: &mut Procedure, kind: u8, to: End) {
        self.answer(p, NEAR, |packet, sequence| {
            packet.pfcp(kind, Some(to.seid()), sequence);
            pfcp::cause(packet, pfcp::ACCEPTED);
        });
    }

    fn keep(&mut self, p: &mut Procedure, c: u8) {
        let core = self.core(self.ue(p.ue).session(c));
        self.ask(p, NEAR, (core.near.node, core.far.node), |packet, sequence| {
            packet.pfcp(message::SESSION_MODIFICATION, Some(core.far.seid()), sequence);
            packet.pfcp_group(group::UPDATE_FAR, |packet| {
                pfcp::far_id(packet, 2);
                pfcp::apply_action(packet, KEEP_AND_TELL);
            });
        });
    }

    fn kept(&mut self, p: &mut Procedure, c: u8) {
        let mut ue = self.ue(p.ue);
        let session = ue.session(c);
        let mut core = self.core(session);
        let radio = core.bearers[0].radio;
        self.release(radio);
        core.bearers[0].radio = End { teid: 0, ..radio };
        self.set_core(session, core);
        ue.phase = Phase::Idle;
        self.set_ue(p.ue, ue);
        self.confirm(p, message::SESSION_MODIFICATION + 1, core.near);
    }

    fn report(&mut self, p: &mut Procedure, c: u8) {
        let session = self.ue(p.ue).session(c);
        let core = self.core(session);
        if let Some(path) = self.path(session) {
            self.push_message(&path);
            p.buffered = std::mem::take(&mut self.inner);
        }
        self.ask(p, NEAR, (core.far.node, core.near.node), |packet, sequence| {
            packet.pfcp(message::SESSION_REPORT, Some(core.near.seid()), sequence);
            pfcp::report_type(packet);
            packet.pfcp_group(group::DOWNLINK_DATA_REPORT, |packet| pfcp::pdr_id(packet, DOWN));
        });
    }

    fn reported(&mut self, p: &mut Procedure) {
        let session = self.ue(p.ue).each().last().map_or(NONE, |(_, session)| session);
        let core = self.core(session);
        self.confirm(p, message::SESSION_REPORT + 1, core.far);
    }

    fn delete(&mut self, p: &mut Procedure, c: u8) {
        let core = self.core(self.ue(p.ue).session(c));
        self.ask(p, NEAR, (core.near.node, core.far.node), |packet, sequence| {
            packet.pfcp(message::SESSION_DELETION, Some(core.far.seid()), sequence);
        });
    }

    fn deleted(&mut self, p: &mut Procedure, c: u8) {
        let mut ue = self.ue(p.ue);
        let session = ue.session(c);
        let core = self.core(session);
        self.unmake(session);
        ue.set_session(c, NONE);
        if ue.each().next().is_none() {
            ue.phase = Phase::Detached;
        }
        self.set_ue(p.ue, ue);
        self.confirm(p, message::SESSION_DELETION + 1, core.near);
        self.release(core.near);
        self.release(core.far);
        for end in core.bearers.iter().flat_map(Bearer::ends) {
            self.release(end);
        }
    }
}

/// Whether the SMF makes a rule of its own for voice, which shares the endpoint.
const fn has_voice(ue: u32) -> bool {
    ue % 3 == 0
}
