//! 2G and 3G: GTPv1-C on Gn. TS 23.060 6, 9, TS 29.060 7.3.

use rand::Rng;

use super::Generator;
use super::ie::v1;
use super::lte::{get, set};
use super::nodes::{CONTROLLERS, Node, PAIRS, PLANES, UeAddress};
use super::procedure::{Begin, NEAR, Procedure, Step as AnyStep};
use super::state::{Bearer, Core, End, Interface, NONE, Phase};

/// One message; 0 is the primary PDP context, 1 the secondary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Create,
    Created,
    Update(u8),
    Updated(u8),
    Secondary,
    SecondaryMade,
    Delete(u8),
    Deleted(u8),
}

use Step::{Create, Created, Delete, Deleted, Secondary, SecondaryMade, Update, Updated};

/// Message types, TS 29.060 7.1.
mod message {
    pub(super) const CREATE_PDP_CONTEXT: u8 = 16;
    pub(super) const UPDATE_PDP_CONTEXT: u8 = 18;
    pub(super) const DELETE_PDP_CONTEXT: u8 = 20;
}

/// NSAPIs of both contexts.
const NSAPI: u8 = 5;

fn steps(list: &[Step]) -> impl Iterator<Item = AnyStep> {
    list.iter().map(|&step| AnyStep::Umts(step))
}

impl Generator {
    /// Location area, and cell or service area, in the region of an SGSN.
    fn place_in(&mut self, p: &mut Procedure, sgsn: u8) {
        p.gateway = sgsn;
        p.radio = Node::SgsnU(sgsn);
        p.area = 0x1000 + u16::from(sgsn) * 16 + self.rng.random_range(0..4_u16);
        p.cell = self.rng.random_range(1..2_000);
    }

    pub(super) fn umts_attach(&mut self, ue: u32) {
        let mut p = self.procedure(ue);
        self.place_in(&mut p, (ue % u32::from(PAIRS)) as u8);
        let mut list: Vec<_> = steps(&[Create]).collect();
        if self.rng.random_bool(0.01) {
            // No resources available; user authentication failed; missing or unknown APN.
            let index = self.rng.random_range(0..3);
            p.refused = [199, 209, 219].get(index).copied().unwrap_or(199);
        } else if self.rng.random_bool(0.1) {
            list.push(AnyStep::Early(0));
        }
        list.extend(steps(&[Created]));
        self.launch(p, list, Begin::Now);
    }

    pub(super) fn umts_change(&mut self, ue: u32) {
        let (state, profile) = (self.ue(ue), self.profile(ue));
        let core = self.core(state.session(0));
        let [first, second] = core.bearers;
        let mut p = self.procedure(ue);
        let updates: &[Step] = if second.ebi == 0 {
            &[Update(0), Updated(0)]
        } else {
            &[Update(0), Updated(0), Update(1), Updated(1)]
        };
        let Node::SgsnC(sgsn) = core.near.node else { return };
        let (list, begin): (&[Step], _) = match self.rng.random_range(0..100) {
            0..18 => (&[Delete(0), Deleted(0)], Begin::Quiet),
            18..45 => {
                // Routing area update with a new SGSN. TS 23.060 6.9.1.2.2.
                self.place_in(&mut p, (sgsn + 1) % PAIRS);
                p.moves = true;
                (updates, Begin::Settled)
            }
            45..70 if !profile.geran => {
                // A tunnel to the RNC, or back to the SGSN. TS 23.060 15.6.
                self.place_in(&mut p, sgsn);
                if matches!(first.radio.node, Node::SgsnU(_)) {
                    p.radio = Node::Rnc(self.rng.random_range(0..CONTROLLERS));
                }
                (updates, Begin::Settled)
            }
            _ if second.ebi == 0 => (&[Secondary, SecondaryMade], Begin::Now),
            _ => (&[Delete(1), Deleted(1)], Begin::Quiet),
        };
        self.launch(p, steps(list).collect(), begin);
    }

    pub(super) fn umts_step(&mut self, p: &mut Procedure, step: Step) {
        match step {
            Create => self.create_context(p),
            Created => self.created_context(p),
            Update(b) => self.update_context(p, b),
            Updated(b) => self.updated_context(p, b),
            Secondary => self.secondary_context(p),
            SecondaryMade => self.secondary_context_made(p),
            Delete(b) => self.delete_context(p, b),
            Deleted(b) => self.deleted_context(p, b),
        }
    }

    fn create_context(&mut self, p: &mut Procedure) {
        let profile = self.profile(p.ue);
        let v6 = profile.over_ipv6;
        let mut core = Core { ue: p.ue, area: p.area, cell: p.cell, ..Core::NONE };
        core.near = self.end(Node::SgsnC(p.gateway), v6);
        core.far = End { node: Node::GgsnC(self.rng.random_range(0..PAIRS)), v6, ..End::NONE };
        core.bearers[0] = Bearer { ebi: NSAPI, radio: self.end(p.radio, v6), ..Bearer::NONE };
        set(&mut p.cores, 0, core);
        let wish = profile.wish(0);
        let (area, cell) = (p.area, p.cell);
        self.ask(p, NEAR, (core.near.node, core.far.node), |packet, sequence| {
            packet.gtpv1c(message::CREATE_PDP_CONTEXT, 0, sequence as u16);
            v1::imsi(packet, profile.imsi);
            v1::rai(packet, area);
            v1::recovery(packet);
            v1::selection_mode(packet);
            v1::teid_data(packet, core.bearers[0].radio);
            v1::teid_control(packet, core.near);
            v1::nsapi(packet, NSAPI);
            v1::charging_characteristics(packet);
            v1::end_user(packet, (wish.v4, wish.v6), UeAddress::default());
            v1::apn(packet, wish.apn);
            v1::pco(packet);
            v1::address(packet, core.near);
            v1::address(packet, core.bearers[0].radio);
            v1::msisdn(packet, profile.msisdn);
            v1::qos(packet);
            v1::rat(packet, profile.geran);
            v1::uli(packet, profile.geran, area, cell);
            v1::time_zone(packet);
            v1::imei(packet, profile.imei);
        });
    }

    /// The GGSN makes the session, if it has not yet.
    pub(super) fn umts_make(&mut self, p: &mut Procedure) -> u32 {
        let made = self.ue(p.ue).session(0);
        if made != NONE {
            return made;
        }
        let profile = self.profile(p.ue);
        let mut core = get(&p.cores, 0);
        let Node::GgsnC(ggsn) = core.far.node else { return NONE };
        self.assign(&mut core, profile.wish(0));
        let plane = self.plane(ggsn);
        core.far = self.end(core.far.node, profile.over_ipv6);
        core.bearers[0].access = self.end(Node::GgsnU(plane), profile.over_ipv6);
        let session = self.make(core);
        self.hold(session, Interface::GnSgsnC, &mut core.near);
        self.hold(session, Interface::GnGgsnC, &mut core.far);
        self.hold(session, Interface::GnSgsnU, &mut core.bearers[0].radio);
        self.hold(session, Interface::GnGgsnU, &mut core.bearers[0].access);
        self.set_core(session, core);
        session
    }

    fn created_context(&mut self, p: &mut Procedure) {
        let refused = p.refused;
        if refused != 0 {
            let core = get(&p.cores, 0);
            self.answer(p, NEAR, |packet, sequence| {
                packet.gtpv1c(message::CREATE_PDP_CONTEXT + 1, core.near.teid, sequence as u16);
                v1::cause(packet, refused);
            });
            self.release(core.near);
            self.release(core.bearers[0].radio);
            return;
        }
        let session = self.umts_make(p);
        self.created(session);
        let core = self.core(session);
        let mut ue = self.ue(p.ue);
        ue.phase = Phase::Connected;
        self.set_ue(p.ue, ue);
        let (wish, address) = (self.profile(p.ue).wish(0), self.address(&core));
        self.answer(p, NEAR, |packet, sequence| {
            packet.gtpv1c(message::CREATE_PDP_CONTEXT + 1, core.near.teid, sequence as u16);
            v1::cause(packet, v1::ACCEPTED);
            v1::reordering(packet);
            v1::recovery(packet);
            v1::teid_data(packet, core.bearers[0].access);
            v1::teid_control(packet, core.far);
            v1::charging_id(packet, session + 1);
            v1::end_user(packet, (wish.v4, wish.v6), address);
            v1::address(packet, core.far);
            v1::address(packet, core.bearers[0].access);
            v1::qos(packet);
        });
        self.first_packets(session);
    }

    fn update_context(&mut self, p: &mut Procedure, b: u8) {
        let profile = self.profile(p.ue);
        let v6 = profile.over_ipv6;
        let mut core = self.core(self.ue(p.ue).session(0));
        if p.moves {
            // One endpoint for both contexts.
            let known = get(&p.cores, 0).near;
            core.near = if known.is_some() { known } else { self.end(Node::SgsnC(p.gateway), v6) };
        }
        set(&mut p.cores, 0, core);
        let radio = self.end(p.radio, v6);
        let [radios, _] = &mut p.radios;
        set(radios, b, radio);
        let (area, cell, moves) = (p.area, p.cell, p.moves);
        self.ask(p, NEAR, (core.near.node, core.far.node), |packet, sequence| {
            packet.gtpv1c(message::UPDATE_PDP_CONTEXT, core.far.teid, sequence as u16);
            if moves {
                v1::imsi(packet, profile.imsi);
            }
            v1::rai(packet, area);
            if moves {
                v1::recovery(packet);
            }
            v1::teid_data(packet, radio);
            if moves {
                v1::teid_control(packet, core.near);
            }
            v1::nsapi(packet, NSAPI + b);
            v1::address(packet, core.near);
            v1::address(packet, radio);
            v1::qos(packet);
            v1::rat(packet, profile.geran);
            v1::uli(packet, profile.geran, area, cell);
            if matches!(radio.node, Node::Rnc(_)) {
                v1::direct_tunnel(packet);
            }
        });
    }

    fn updated_context(&mut self, p: &mut Procedure, b: u8) {
        let session = self.ue(p.ue).session(0);
        let mut core = self.core(session);
        let mut near = get(&p.cores, 0).near;
        if near.teid != core.near.teid || near.node != core.near.node {
            self.hold(session, Interface::GnSgsnC, &mut near);
            self.release(core.near);
            core.near = near;
        }
        let [radios, _] = p.radios;
        let mut radio = get(&radios, b);
        self.hold(session, Interface::GnSgsnU, &mut radio);
        let mut bearer = get(&core.bearers, b);
        self.release(bearer.radio);
        bearer.radio = radio;
        set(&mut core.bearers, b, bearer);
        (core.area, core.cell) = (p.area, p.cell);
        self.set_core(session, core);
        self.answer(p, NEAR, |packet, sequence| {
            packet.gtpv1c(message::UPDATE_PDP_CONTEXT + 1, near.teid, sequence as u16);
            v1::cause(packet, v1::ACCEPTED);
            v1::recovery(packet);
            v1::charging_id(packet, session + 1);
            v1::qos(packet);
        });
    }

    fn secondary_context(&mut self, p: &mut Procedure) {
        let core = self.core(self.ue(p.ue).session(0));
        p.bearer = Bearer {
            ebi: NSAPI + 1,
            radio: self.end(core.bearers[0].radio.node, core.far.v6),
            ..Bearer::NONE
        };
        let radio = p.bearer.radio;
        self.ask(p, NEAR, (core.near.node, core.far.node), |packet, sequence| {
            packet.gtpv1c(message::CREATE_PDP_CONTEXT, core.far.teid, sequence as u16);
            v1::teid_data(packet, radio);
            v1::nsapi(packet, NSAPI + 1);
            v1::nsapi(packet, NSAPI);
            v1::address(packet, core.near);
            v1::address(packet, radio);
            v1::qos(packet);
            v1::tft(packet);
        });
    }

    fn secondary_context_made(&mut self, p: &mut Procedure) {
        let session = self.ue(p.ue).session(0);
        let mut core = self.core(session);
        let Node::GgsnC(ggsn) = core.far.node else { return };
        let plane = Node::GgsnU(ggsn * PLANES + self.rng.random_range(0..PLANES));
        p.bearer.access = self.end(plane, core.far.v6);
        self.hold(session, Interface::GnSgsnU, &mut p.bearer.radio);
        self.hold(session, Interface::GnGgsnU, &mut p.bearer.access);
        core.bearers[1] = p.bearer;
        self.set_core(session, core);
        let access = p.bearer.access;
        self.answer(p, NEAR, |packet, sequence| {
            packet.gtpv1c(message::CREATE_PDP_CONTEXT + 1, core.near.teid, sequence as u16);
            v1::cause(packet, v1::ACCEPTED);
            v1::reordering(packet);
            v1::teid_data(packet, access);
            v1::charging_id(packet, session + 1);
            v1::address(packet, core.far);
            v1::address(packet, access);
            v1::qos(packet);
        });
    }

    fn delete_context(&mut self, p: &mut Procedure, b: u8) {
        let core = self.core(self.ue(p.ue).session(0));
        self.ask(p, NEAR, (core.near.node, core.far.node), |packet, sequence| {
            packet.gtpv1c(message::DELETE_PDP_CONTEXT, core.far.teid, sequence as u16);
            v1::teardown(packet, b == 0);
            v1::nsapi(packet, NSAPI + b);
        });
    }

    fn deleted_context(&mut self, p: &mut Procedure, b: u8) {
        let mut ue = self.ue(p.ue);
        let session = ue.session(0);
        let mut core = self.core(session);
        if b == 0 {
            self.unmake(session);
            ue.set_session(0, NONE);
            ue.phase = Phase::Detached;
            self.set_ue(p.ue, ue);
        }
        self.answer(p, NEAR, |packet, sequence| {
            packet.gtpv1c(message::DELETE_PDP_CONTEXT + 1, core.near.teid, sequence as u16);
            v1::cause(packet, v1::ACCEPTED);
        });
        if b == 0 {
            self.release(core.near);
            self.release(core.far);
            for end in core.bearers.iter().flat_map(Bearer::ends) {
                self.release(end);
            }
        } else {
            for end in std::mem::replace(&mut core.bearers[1], Bearer::NONE).ends() {
                self.release(end);
            }
            self.set_core(session, core);
        }
    }
}
