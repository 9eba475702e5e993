//! Dedicated bearers. TS 23.401 5.4.1, 5.4.4.1.

use rand::Rng;

use super::super::Generator;
use super::super::ie::v2;
use super::super::nodes::Node;
use super::super::procedure::{FAR, NEAR, Procedure};
use super::super::state::{Bearer, Interface};
use super::{BEARER_CONTEXT, message};

impl Generator {
    pub(super) fn bearer_on_s5(&mut self, p: &mut Procedure, c: u8) {
        let session = self.ue(p.ue).session(c);
        let core = self.core(session);
        let Node::PgwC(pgw) = core.far.node else { return };
        let plane = self.plane(pgw);
        p.bearer.pgw = self.end(Node::PgwU(plane), core.far.v6);
        let end = p.bearer.pgw;
        self.ask(p, FAR, (core.far.node, core.near.node), |packet, sequence| {
            packet.gtpv2c(message::CREATE_BEARER, Some(core.near.teid), sequence);
            v2::ebi(packet, 0, 5 + c);
            packet.gtpv2_group(BEARER_CONTEXT, 0, |packet| {
                v2::ebi(packet, 0, 0);
                v2::tft(packet);
                v2::f_teid(packet, 1, Interface::S5PgwU, end);
                v2::bearer_qos(packet, 1);
                v2::charging_id(packet, session + 1);
            });
        });
    }

    pub(super) fn bearer_on_s11(&mut self, p: &mut Procedure, c: u8) {
        let ue = self.ue(p.ue);
        let core = self.core(ue.session(c));
        let Node::SgwS11(gateway) = ue.sgw.node else { return };
        let (plane, plane_s5) = (self.plane(gateway), self.rng.random_range(0..2));
        p.bearer.access = self.end(Node::SgwS1u(plane), core.far.v6);
        p.bearer.sgw = self.end(Node::sgw_s5u(gateway, plane_s5), core.far.v6);
        let bearer = p.bearer;
        self.ask(p, NEAR, (ue.sgw.node, ue.mme.node), |packet, sequence| {
            packet.gtpv2c(message::CREATE_BEARER, Some(ue.mme.teid), sequence);
            v2::ebi(packet, 0, 5 + c);
            packet.gtpv2_group(BEARER_CONTEXT, 0, |packet| {
                v2::ebi(packet, 0, 0);
                v2::tft(packet);
                v2::f_teid(packet, 0, Interface::S1uSgw, bearer.access);
                v2::f_teid(packet, 1, Interface::S5PgwU, bearer.pgw);
                v2::bearer_qos(packet, 1);
            });
        });
    }

    pub(super) fn bearer_made_on_s11(&mut self, p: &mut Procedure, c: u8) {
        let ue = self.ue(p.ue);
        let session = ue.session(c);
        p.bearer.ebi = 7 + c;
        p.bearer.radio = self.end(ue.radio, p.bearer.access.v6);
        self.hold(session, Interface::S1uEnb, &mut p.bearer.radio);
        self.hold(session, Interface::S1uSgw, &mut p.bearer.access);
        self.hold(session, Interface::S5PgwU, &mut p.bearer.pgw);
        let bearer = p.bearer;
        self.answer(p, NEAR, |packet, sequence| {
            packet.gtpv2c(message::CREATE_BEARER + 1, Some(ue.sgw.teid), sequence);
            v2::cause(packet, v2::ACCEPTED);
            packet.gtpv2_group(BEARER_CONTEXT, 0, |packet| {
                v2::ebi(packet, 0, bearer.ebi);
                v2::cause(packet, v2::ACCEPTED);
                v2::f_teid(packet, 0, Interface::S1uEnb, bearer.radio);
                v2::f_teid(packet, 1, Interface::S1uSgw, bearer.access);
            });
        });
    }

    pub(super) fn bearer_made_on_s5(&mut self, p: &mut Procedure, c: u8) {
        let session = self.ue(p.ue).session(c);
        self.hold(session, Interface::S5SgwU, &mut p.bearer.sgw);
        let mut core = self.core(session);
        core.bearers[1] = p.bearer;
        self.set_core(session, core);
        let bearer = p.bearer;
        self.answer(p, FAR, |packet, sequence| {
            packet.gtpv2c(message::CREATE_BEARER + 1, Some(core.far.teid), sequence);
            v2::cause(packet, v2::ACCEPTED);
            packet.gtpv2_group(BEARER_CONTEXT, 0, |packet| {
                v2::ebi(packet, 0, bearer.ebi);
                v2::cause(packet, v2::ACCEPTED);
                v2::f_teid(packet, 2, Interface::S5SgwU, bearer.sgw);
                v2::f_teid(packet, 3, Interface::S5PgwU, bearer.pgw);
            });
        });
    }

    pub(super) fn no_bearer_on_s5(&mut self, p: &mut Procedure, c: u8) {
        let core = self.core(self.ue(p.ue).session(c));
        let ebi = core.bearers[1].ebi;
        self.ask(p, FAR, (core.far.node, core.near.node), |packet, sequence| {
            packet.gtpv2c(message::DELETE_BEARER, Some(core.near.teid), sequence);
            v2::ebi(packet, 1, ebi);
        });
    }

    pub(super) fn no_bearer_on_s11(&mut self, p: &mut Procedure, c: u8) {
        let ue = self.ue(p.ue);
        let ebi = self.core(ue.session(c)).bearers[1].ebi;
        self.ask(p, NEAR, (ue.sgw.node, ue.mme.node), |packet, sequence| {
            packet.gtpv2c(message::DELETE_BEARER, Some(ue.mme.teid), sequence);
            v2::ebi(packet, 1, ebi);
        });
    }

    pub(super) fn bearer_gone_on_s11(&mut self, p: &mut Procedure, c: u8) {
        let ue = self.ue(p.ue);
        let bearer = self.core(ue.session(c)).bearers[1];
        self.answer(p, NEAR, |packet, sequence| {
            packet.gtpv2c(message::DELETE_BEARER + 1, Some(ue.sgw.teid), sequence);
            v2::cause(packet, v2::ACCEPTED);
            packet.gtpv2_group(BEARER_CONTEXT, 0, |packet| {
                v2::ebi(packet, 0, bearer.ebi);
                v2::cause(packet, v2::ACCEPTED);
            });
        });
    }

    pub(super) fn bearer_gone_on_s5(&mut self, p: &mut Procedure, c: u8) {
        let session = self.ue(p.ue).session(c);
        let mut core = self.core(session);
        let bearer = std::mem::replace(&mut core.bearers[1], Bearer::NONE);
        self.set_core(session, core);
        self.answer(p, FAR, |packet, sequence| {
            packet.gtpv2c(message::DELETE_BEARER + 1, Some(core.far.teid), sequence);
            v2::cause(packet, v2::ACCEPTED);
            packet.gtpv2_group(BEARER_CONTEXT, 0, |packet| {
                v2::ebi(packet, 0, bearer.ebi);
                v2::cause(packet, v2::ACCEPTED);
            });
        });
        for end in bearer.ends() {
            self.release(end);
        }
    }
}
