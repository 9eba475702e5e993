//! Attach, PDN connectivity, detach. TS 23.401 5.3.2, 5.3.8, 5.10.

use rand::Rng;

use super::super::Generator;
use super::super::ie::v2;
use super::super::nodes::{Node, PAIRS, UeAddress};
use super::super::procedure::{FAR, NEAR, Procedure};
use super::super::state::{Bearer, Core, End, Interface, NONE, Phase};
use super::{BEARER_CONTEXT, get, message, qci_of, set};

impl Generator {
    pub(super) fn create_on_s11(&mut self, p: &mut Procedure, c: u8) {
        let (mut ue, profile) = (self.ue(p.ue), self.profile(p.ue));
        if ue.mme.is_some() {
            if let Node::SgwS11(gateway) = ue.sgw.node {
                p.gateway = gateway;
            }
        } else {
            ue.mme = self.end(Node::Mme((p.ue % u32::from(PAIRS)) as u8), profile.over_ipv6);
            ue.radio = p.radio;
            self.set_ue(p.ue, ue);
        }
        let v6 = profile.over_ipv6;
        let mut core = Core { ue: p.ue, connection: c, area: p.area, cell: p.cell, ..Core::NONE };
        core.bearers[0] =
            Bearer { ebi: 5 + c, radio: End { node: ue.radio, v6, ..End::NONE }, ..Bearer::NONE };
        let pgw = self.rng.random_range(0..PAIRS);
        core.far = End { node: Node::PgwC(pgw), v6, ..End::NONE };
        set(&mut p.cores, c, core);

        let teid = ue.sgw.teid;
        let wish = profile.wish(c);
        let (area, cell, first) = (p.area, p.cell, !ue.sgw.is_some());
        self.ask(p, NEAR, (ue.mme.node, Node::SgwS11(p.gateway)), |packet, sequence| {
            packet.gtpv2c(message::CREATE_SESSION, Some(teid), sequence);
            v2::imsi(packet, profile.imsi);
            v2::msisdn(packet, profile.msisdn);
            v2::mei(packet, profile.imei);
            v2::uli(packet, area, cell);
            v2::serving_network(packet);
            v2::rat(packet);
            v2::indication(packet, [if wish.v4 && wish.v6 || wish.downgraded { 0x80 } else { 0 }, 0]);
            v2::f_teid(packet, 0, Interface::S11Mme, ue.mme);
            v2::f_teid(packet, 1, Interface::S5PgwC, core.far);
            v2::apn(packet, wish.apn);
            v2::selection_mode(packet);
            v2::pdn_type(packet, wish.v4 || wish.downgraded, wish.v6 || wish.downgraded);
            v2::paa(packet, nowhere(wish.v4 || wish.downgraded, wish.v6 || wish.downgraded));
            v2::apn_restriction(packet);
            v2::ambr(packet);
            v2::pco(packet, false);
            packet.gtpv2_group(BEARER_CONTEXT, 0, |packet| {
                v2::ebi(packet, 0, 5 + c);
                v2::bearer_qos(packet, qci_of(c));
            });
            if first {
                v2::recovery(packet);
            }
            v2::time_zone(packet);
            v2::charging_characteristics(packet);
        });
    }

    pub(super) fn create_on_s5(&mut self, p: &mut Procedure, c: u8) {
        let profile = self.profile(p.ue);
        let v6 = profile.over_ipv6;
        let mut core = get(&p.cores, c);
        let (plane, plane_s5) = (self.plane(p.gateway), self.rng.random_range(0..2));
        core.near = self.end(Node::sgw_s5(p.gateway), v6);
        core.bearers[0].access = self.end(Node::SgwS1u(plane), v6);
        core.bearers[0].sgw = self.end(Node::sgw_s5u(p.gateway, plane_s5), v6);
        set(&mut p.cores, c, core);
        let wish = profile.wish(c);
        let (area, cell) = (p.area, p.cell);
        self.ask(p, FAR, (core.near.node, core.far.node), |packet, sequence| {
            packet.gtpv2c(message::CREATE_SESSION, Some(0), sequence);
            v2::imsi(packet, profile.imsi);
            v2::msisdn(packet, profile.msisdn);
            v2::mei(packet, profile.imei);
            v2::uli(packet, area, cell);
            v2::serving_network(packet);
            v2::rat(packet);
            v2::indication(packet, [if wish.v4 && wish.v6 || wish.downgraded { 0x80 } else { 0 }, 0]);
            v2::f_teid(packet, 0, Interface::S5SgwC, core.near);
            v2::apn(packet, wish.apn);
            v2::selection_mode(packet);
            v2::pdn_type(packet, wish.v4 || wish.downgraded, wish.v6 || wish.downgraded);
            v2::paa(packet, nowhere(wish.v4 || wish.downgraded, wish.v6 || wish.downgraded));
            v2::apn_restriction(packet);
            v2::ambr(packet);
            v2::pco(packet, false);
            packet.gtpv2_group(BEARER_CONTEXT, 0, |packet| {
                v2::ebi(packet, 0, 5 + c);
                v2::f_teid(packet, 2, Interface::S5SgwU, core.bearers[0].sgw);
                v2::bearer_qos(packet, qci_of(c));
            });
            v2::recovery(packet);
            v2::time_zone(packet);
            v2::charging_characteristics(packet);
        });
    }

    pub(super) fn created_on_s5(&mut self, p: &mut Procedure, c: u8) {
        let profile = self.profile(p.ue);
        let v6 = profile.over_ipv6;
        let mut core = get(&p.cores, c);
        let (near, refused) = (core.near.teid, p.refused);
        if refused != 0 {
            self.answer(p, FAR, |packet, sequence| {
                packet.gtpv2c(message::CREATE_SESSION + 1, Some(near), sequence);
                v2::cause(packet, refused);
            });
            return;
        }
        let wish = profile.wish(c);
        self.assign(&mut core, wish);
        let Node::PgwC(pgw) = core.far.node else { return };
        let plane = self.plane(pgw);
        core.far = self.end(core.far.node, v6);
        core.bearers[0].pgw = self.end(Node::PgwU(plane), v6);

        let session = self.make(core);
        self.hold(session, Interface::S5SgwC, &mut core.near);
        self.hold(session, Interface::S5PgwC, &mut core.far);
        self.hold(session, Interface::S5SgwU, &mut core.bearers[0].sgw);
        self.hold(session, Interface::S5PgwU, &mut core.bearers[0].pgw);
        self.set_core(session, core);
        self.created(session);
        set(&mut p.cores, c, core);

        let ue = self.address(&core);
        self.answer(p, FAR, |packet, sequence| {
            packet.gtpv2c(message::CREATE_SESSION + 1, Some(near), sequence);
            v2::cause(packet, accepting(wish.downgraded));
            v2::f_teid(packet, 1, Interface::S5PgwC, core.far);
            v2::paa(packet, ue);
            v2::apn_restriction(packet);
            v2::ambr(packet);
            v2::pco(packet, true);
            packet.gtpv2_group(BEARER_CONTEXT, 0, |packet| {
                v2::ebi(packet, 0, 5 + c);
                v2::cause(packet, v2::ACCEPTED);
                v2::f_teid(packet, 2, Interface::S5PgwU, core.bearers[0].pgw);
                v2::bearer_qos(packet, qci_of(c));
                v2::charging_id(packet, session + 1);
            });
            v2::recovery(packet);
        });
    }

    pub(super) fn created_on_s11(&mut self, p: &mut Procedure, c: u8) {
        let (mut ue, profile) = (self.ue(p.ue), self.profile(p.ue));
        let (mme, refused) = (ue.mme.teid, p.refused);
        if refused != 0 {
            self.answer(p, NEAR, |packet, sequence| {
                packet.gtpv2c(message::CREATE_SESSION + 1, Some(mme), sequence);
                v2::cause(packet, refused);
            });
            let core = get(&p.cores, c);
            for end in [core.near, core.bearers[0].access, core.bearers[0].sgw, ue.mme] {
                self.release(end);
            }
            ue.mme = End::NONE;
            self.set_ue(p.ue, ue);
            return;
        }
        let first = !ue.sgw.is_some();
        if first {
            ue.sgw = self.end(Node::SgwS11(p.gateway), profile.over_ipv6);
            self.set_ue(p.ue, ue);
        }
        let session = ue.session(c);
        let mut core = self.core(session);
        self.hold(session, Interface::S11Mme, &mut ue.mme);
        self.hold(session, Interface::S11Sgw, &mut ue.sgw);
        self.hold(session, Interface::S1uSgw, &mut core.bearers[0].access);
        self.set_core(session, core);
        let (address, wish) = (self.address(&core), profile.wish(c));
        self.answer(p, NEAR, |packet, sequence| {
            packet.gtpv2c(message::CREATE_SESSION + 1, Some(mme), sequence);
            v2::cause(packet, accepting(wish.downgraded));
            v2::f_teid(packet, 0, Interface::S11Sgw, ue.sgw);
            v2::f_teid(packet, 1, Interface::S5PgwC, core.far);
            v2::paa(packet, address);
            v2::apn_restriction(packet);
            v2::ambr(packet);
            v2::pco(packet, true);
            packet.gtpv2_group(BEARER_CONTEXT, 0, |packet| {
                v2::ebi(packet, 0, 5 + c);
                v2::cause(packet, v2::ACCEPTED);
                v2::f_teid(packet, 0, Interface::S1uSgw, core.bearers[0].access);
                v2::f_teid(packet, 2, Interface::S5PgwU, core.bearers[0].pgw);
                v2::bearer_qos(packet, qci_of(c));
                v2::charging_id(packet, session + 1);
            });
            if first {
                v2::recovery(packet);
            }
        });
        self.first_packets(session);
    }

    /// Packets of the subscriber come before the answer on S11.
    pub(in super::super) fn lte_early(&mut self, p: &mut Procedure, c: u8) -> u32 {
        let session = self.ue(p.ue).session(c);
        let mut core = self.core(session);
        self.hold(session, Interface::S1uSgw, &mut core.bearers[0].access);
        self.set_core(session, core);
        session
    }

    pub(super) fn delete_on_s11(&mut self, p: &mut Procedure, c: u8) {
        let ue = self.ue(p.ue);
        let core = self.core(ue.session(c));
        self.ask(p, NEAR, (ue.mme.node, ue.sgw.node), |packet, sequence| {
            packet.gtpv2c(message::DELETE_SESSION, Some(ue.sgw.teid), sequence);
            v2::ebi(packet, 0, 5 + c);
            v2::uli(packet, core.area, core.cell);
            // Operation Indication: the PGW is told.
            v2::indication(packet, [0x08, 0]);
        });
    }

    pub(super) fn delete_on_s5(&mut self, p: &mut Procedure, c: u8) {
        let core = self.core(self.ue(p.ue).session(c));
        self.ask(p, FAR, (core.near.node, core.far.node), |packet, sequence| {
            packet.gtpv2c(message::DELETE_SESSION, Some(core.far.teid), sequence);
            v2::ebi(packet, 0, 5 + c);
            v2::uli(packet, core.area, core.cell);
        });
    }

    pub(super) fn deleted_on_s5(&mut self, p: &mut Procedure, c: u8) {
        let session = self.ue(p.ue).session(c);
        let core = self.core(session);
        self.unmake(session);
        self.answer(p, FAR, |packet, sequence| {
            packet.gtpv2c(message::DELETE_SESSION + 1, Some(core.near.teid), sequence);
            v2::cause(packet, v2::ACCEPTED);
        });
        for end in [core.near, core.far] {
            self.release(end);
        }
        for bearer in core.bearers {
            self.release(bearer.sgw);
            self.release(bearer.pgw);
        }
    }

    pub(super) fn deleted_on_s11(&mut self, p: &mut Procedure, c: u8) {
        let mut ue = self.ue(p.ue);
        let core = self.core(ue.session(c));
        ue.set_session(c, NONE);
        self.answer(p, NEAR, |packet, sequence| {
            packet.gtpv2c(message::DELETE_SESSION + 1, Some(ue.mme.teid), sequence);
            v2::cause(packet, v2::ACCEPTED);
        });
        for bearer in core.bearers {
            self.release(bearer.radio);
            self.release(bearer.access);
        }
        if ue.each().next().is_none() {
            self.release(ue.mme);
            self.release(ue.sgw);
            (ue.mme, ue.sgw, ue.phase) = (End::NONE, End::NONE, Phase::Detached);
        }
        self.set_ue(p.ue, ue);
    }
}

const fn accepting(downgraded: bool) -> u8 {
    if downgraded { v2::NEW_PDN_TYPE } else { v2::ACCEPTED }
}

/// Addresses that shall be given: all zeros.
fn nowhere(v4: bool, v6: bool) -> UeAddress {
    UeAddress {
        v4: v4.then_some(std::net::Ipv4Addr::UNSPECIFIED),
        v6: v6.then_some(std::net::Ipv6Addr::UNSPECIFIED),
    }
}
