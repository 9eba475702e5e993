//! Handover with a new SGW. TS 23.401 5.5.1.1.3, 5.5.1.2.

use rand::Rng;

use super::super::Generator;
use super::super::ie::v2;
use super::super::nodes::Node;
use super::super::procedure::{FAR, NEAR, Procedure};
use super::super::state::Interface;
use super::{BEARER_CONTEXT, get, message, qci_of, set};

impl Generator {
    pub(super) fn move_here(&mut self, p: &mut Procedure, c: u8) {
        let (ue, profile) = (self.ue(p.ue), self.profile(p.ue));
        let v6 = profile.over_ipv6;
        let mut core = self.core(ue.session(c));
        core.near = self.end(Node::sgw_s5(p.gateway), v6);
        for bearer in core.bearers.iter_mut().filter(|bearer| bearer.ebi != 0) {
            let (plane, plane_s5) = (self.plane(p.gateway), self.rng.random_range(0..2));
            bearer.access = self.end(Node::SgwS1u(plane), v6);
            bearer.sgw = self.end(Node::sgw_s5u(p.gateway, plane_s5), v6);
        }
        set(&mut p.cores, c, core);
        let (wish, address) = (profile.wish(c), self.address(&core));
        let (teid, area, cell) = (p.sgw.teid, p.area, p.cell);
        self.ask(p, NEAR, (ue.mme.node, Node::SgwS11(p.gateway)), |packet, sequence| {
            packet.gtpv2c(message::CREATE_SESSION, Some(teid), sequence);
            v2::imsi(packet, profile.imsi);
            v2::msisdn(packet, profile.msisdn);
            v2::mei(packet, profile.imei);
            v2::uli(packet, area, cell);
            v2::serving_network(packet);
            v2::rat(packet);
            v2::f_teid(packet, 0, Interface::S11Mme, ue.mme);
            v2::f_teid(packet, 1, Interface::S5PgwC, core.far);
            v2::apn(packet, wish.apn);
            v2::selection_mode(packet);
            v2::pdn_type(packet, wish.v4, wish.v6);
            v2::paa(packet, address);
            v2::apn_restriction(packet);
            v2::ambr(packet);
            for (bearer, qci) in core.bearers.iter().zip([qci_of(c), 1]).filter(|(b, _)| b.ebi != 0) {
                packet.gtpv2_group(BEARER_CONTEXT, 0, |packet| {
                    v2::ebi(packet, 0, bearer.ebi);
                    v2::f_teid(packet, 3, Interface::S5PgwU, bearer.pgw);
                    v2::bearer_qos(packet, qci);
                });
            }
            v2::recovery(packet);
        });
    }

    pub(super) fn moved_here(&mut self, p: &mut Procedure, c: u8) {
        let (mut ue, profile) = (self.ue(p.ue), self.profile(p.ue));
        if !p.sgw.is_some() {
            p.sgw = self.end(Node::SgwS11(p.gateway), profile.over_ipv6);
        }
        let session = ue.session(c);
        let mut core = get(&p.cores, c);
        self.hold(session, Interface::S11Mme, &mut ue.mme);
        self.hold(session, Interface::S11Sgw, &mut p.sgw);
        for bearer in core.bearers.iter_mut().filter(|bearer| bearer.ebi != 0) {
            self.hold(session, Interface::S1uSgw, &mut bearer.access);
        }
        set(&mut p.cores, c, core);
        let sgw = p.sgw;
        self.answer(p, NEAR, |packet, sequence| {
            packet.gtpv2c(message::CREATE_SESSION + 1, Some(ue.mme.teid), sequence);
            v2::cause(packet, v2::ACCEPTED);
            v2::f_teid(packet, 0, Interface::S11Sgw, sgw);
            for bearer in core.bearers.iter().filter(|bearer| bearer.ebi != 0) {
                packet.gtpv2_group(BEARER_CONTEXT, 0, |packet| {
                    v2::ebi(packet, 0, bearer.ebi);
                    v2::cause(packet, v2::ACCEPTED);
                    v2::f_teid(packet, 0, Interface::S1uSgw, bearer.access);
                });
            }
            v2::recovery(packet);
        });
    }

    pub(super) fn modify_on_s5(&mut self, p: &mut Procedure, c: u8) {
        let core = get(&p.cores, c);
        let (area, cell) = (p.area, p.cell);
        self.ask(p, FAR, (core.near.node, core.far.node), |packet, sequence| {
            packet.gtpv2c(message::MODIFY_BEARER, Some(core.far.teid), sequence);
            v2::uli(packet, area, cell);
            v2::serving_network(packet);
            v2::rat(packet);
            v2::f_teid(packet, 0, Interface::S5SgwC, core.near);
            for bearer in core.bearers.iter().filter(|bearer| bearer.ebi != 0) {
                packet.gtpv2_group(BEARER_CONTEXT, 0, |packet| {
                    v2::ebi(packet, 0, bearer.ebi);
                    v2::f_teid(packet, 1, Interface::S5SgwU, bearer.sgw);
                });
            }
            v2::recovery(packet);
        });
    }

    pub(super) fn modified_on_s5(&mut self, p: &mut Procedure, c: u8) {
        let (session, profile) = (self.ue(p.ue).session(c), self.profile(p.ue));
        let mut core = get(&p.cores, c);
        self.hold(session, Interface::S5SgwC, &mut core.near);
        for bearer in core.bearers.iter_mut().filter(|bearer| bearer.ebi != 0) {
            self.hold(session, Interface::S5SgwU, &mut bearer.sgw);
        }
        set(&mut p.cores, c, core);
        // The place is known now, also where the capture ends before S11 says so.
        if let Some(found) = self.sessions.get_mut(session as usize) {
            (found.core.area, found.core.cell) = (p.area, p.cell);
        }
        self.answer(p, FAR, |packet, sequence| {
            packet.gtpv2c(message::MODIFY_BEARER + 1, Some(core.near.teid), sequence);
            v2::cause(packet, v2::ACCEPTED);
            v2::msisdn(packet, profile.msisdn);
            for bearer in core.bearers.iter().filter(|bearer| bearer.ebi != 0) {
                packet.gtpv2_group(BEARER_CONTEXT, 0, |packet| {
                    v2::ebi(packet, 0, bearer.ebi);
                    v2::cause(packet, v2::ACCEPTED);
                    v2::charging_id(packet, session + 1);
                });
            }
        });
    }

    /// The old SGW forgets all of the subscriber, and does not tell the PGW: Scope Indication, and no
    /// Operation Indication. TS 29.274 7.2.9.1, 8.12.
    pub(super) fn leave_there(&mut self, p: &mut Procedure) {
        let ue = self.ue(p.ue);
        self.ask(p, NEAR, (ue.mme.node, ue.sgw.node), |packet, sequence| {
            packet.gtpv2c(message::DELETE_SESSION, Some(ue.sgw.teid), sequence);
            v2::indication(packet, [0, 0x02]);
        });
    }

    pub(super) fn left_there(&mut self, p: &mut Procedure) {
        let mut ue = self.ue(p.ue);
        self.answer(p, NEAR, |packet, sequence| {
            packet.gtpv2c(message::DELETE_SESSION + 1, Some(ue.mme.teid), sequence);
            v2::cause(packet, v2::ACCEPTED);
        });
        self.release(ue.sgw);
        ue.sgw = p.sgw;
        self.set_ue(p.ue, ue);
        for end in std::mem::take(&mut p.left) {
            self.release(end);
        }
    }
}
