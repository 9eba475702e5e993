//! 4G: GTPv2-C on S11 and S5/S8. TS 23.401 5, TS 29.274 7.2.

use rand::Rng;

use super::ie::v2;
use super::nodes::{Node, PAIRS, RADIO_NODES, UeAddress};
use super::procedure::{Begin, FAR, NEAR, Procedure, Step as AnyStep};
use super::state::{Bearer, Core, End, Interface, NONE, Phase};
use super::subscriber::Access;
use super::{DOWNLINK, Generator, MS};

/// One message, or what the SGW does without one; mostly about one PDN connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    CreateOnS11(u8),
    CreateOnS5(u8),
    CreatedOnS5(u8),
    CreatedOnS11(u8),
    ModifyOnS11(u8),
    ModifyOnS5(u8),
    ModifiedOnS5(u8),
    ModifiedOnS11(u8),
    /// One message for all PDN connections.
    ModifyAccess,
    ModifiedAccess,
    /// At the new SGW.
    MoveHere(u8),
    MovedHere(u8),
    /// At the old SGW.
    LeaveThere,
    LeftThere,
    DeleteOnS11(u8),
    DeleteOnS5(u8),
    DeletedOnS5(u8),
    DeletedOnS11(u8),
    BearerOnS5(u8),
    BearerOnS11(u8),
    BearerMadeOnS11(u8),
    BearerMadeOnS5(u8),
    NoBearerOnS5(u8),
    NoBearerOnS11(u8),
    BearerGoneOnS11(u8),
    BearerGoneOnS5(u8),
    Release,
    Released,
    /// A packet for a subscriber that is idle.
    Downlink(u8),
    Notify(u8),
    Notified,
    ChangeOnS11(u8),
    ChangeOnS5(u8),
    ChangedOnS5(u8),
    ChangedOnS11(u8),
}

use Step::{
    BearerGoneOnS5, BearerGoneOnS11, BearerMadeOnS5, BearerMadeOnS11, BearerOnS5, BearerOnS11, ChangeOnS5,
    ChangeOnS11, ChangedOnS5, ChangedOnS11, CreateOnS5, CreateOnS11, CreatedOnS5, CreatedOnS11, DeleteOnS5,
    DeleteOnS11, DeletedOnS5, DeletedOnS11, Downlink, LeaveThere, LeftThere, ModifiedAccess, ModifiedOnS5,
    ModifiedOnS11, ModifyAccess, ModifyOnS5, ModifyOnS11, MoveHere, MovedHere, NoBearerOnS5, NoBearerOnS11,
    Notified, Notify, Release, Released,
};

/// Message types, TS 29.274 6.1.
mod message {
    pub(super) const CREATE_SESSION: u8 = 32;
    pub(super) const MODIFY_BEARER: u8 = 34;
    pub(super) const DELETE_SESSION: u8 = 36;
    pub(super) const CHANGE_NOTIFICATION: u8 = 38;
    pub(super) const CREATE_BEARER: u8 = 95;
    pub(super) const DELETE_BEARER: u8 = 99;
    pub(super) const RELEASE_ACCESS_BEARERS: u8 = 170;
    pub(super) const DOWNLINK_DATA_NOTIFICATION: u8 = 176;
    pub(super) const MODIFY_ACCESS_BEARERS: u8 = 211;
}

/// Grouped IE of one bearer.
const BEARER_CONTEXT: u8 = 93;

fn steps(list: &[Step]) -> impl Iterator<Item = AnyStep> {
    list.iter().map(|&step| AnyStep::Lte(step))
}

impl Generator {
    /// The eNodeB or gNB that a subscriber is at first.
    pub(super) fn near_radio(&self, ue: u32) -> Node {
        let index = (ue % u32::from(RADIO_NODES)) as u8;
        if self.profile(ue).access == Access::Nr { Node::Gnb(index) } else { Node::Enb(index) }
    }

    /// Another one.
    pub(super) fn other_radio(&mut self, radio: Node) -> Node {
        let step = self.rng.random_range(1..RADIO_NODES);
        match radio {
            Node::Gnb(index) => Node::Gnb((index + step) % RADIO_NODES),
            Node::Enb(index) => Node::Enb((index + step) % RADIO_NODES),
            other => other,
        }
    }

    /// Tracking area and cell at an eNodeB. TS 23.003 19.4.2.3, TS 36.413 9.2.1.37.
    fn place_at(&mut self, p: &mut Procedure, radio: Node) {
        let Node::Enb(index) = radio else { return };
        p.radio = radio;
        p.area = 1 + u16::from(index) / 4;
        p.cell = (0x100 + u32::from(index)) << 8 | self.rng.random_range(0..3);
    }

    pub(super) fn lte_attach(&mut self, ue: u32) {
        let mut p = self.procedure(ue);
        let radio = self.near_radio(ue);
        self.place_at(&mut p, radio);
        let mut list = Vec::new();
        if self.rng.random_bool(0.01) {
            // All dynamic addresses are occupied; user authentication failed; APN access denied; and
            // no resources, which the SGW says itself. TS 29.274 8.4.
            let index = self.rng.random_range(0..4);
            p.refused = [84, 92, 93, 73].get(index).copied().unwrap_or(73);
            list.extend(steps(if p.refused == 73 {
                &[CreateOnS11(0), CreatedOnS11(0)]
            } else {
                &[CreateOnS11(0), CreateOnS5(0), CreatedOnS5(0), CreatedOnS11(0)]
            }));
        } else {
            for c in 0..self.profile(ue).connections {
                list.extend(steps(&[CreateOnS11(c), CreateOnS5(c), CreatedOnS5(c)]));
                if self.rng.random_bool(0.1) {
                    list.push(AnyStep::Early(c));
                }
                list.extend(steps(&[CreatedOnS11(c), ModifyOnS11(c), ModifiedOnS11(c)]));
            }
        }
        self.launch(p, list, Begin::Now);
    }

    pub(super) fn lte_change(&mut self, ue: u32) {
        let (state, profile) = (self.ue(ue), self.profile(ue));
        let mut p = self.procedure(ue);
        let idle = state.phase == Phase::Idle;
        let mut list = Vec::new();
        let Some((last, session)) = state.each().last() else { return };
        let begin = match self.rng.random_range(0..100) {
            0..16 => {
                for (c, _) in state.each() {
                    list.extend(steps(&[DeleteOnS11(c), DeleteOnS5(c), DeletedOnS5(c), DeletedOnS11(c)]));
                }
                Begin::Quiet
            }
            _ if idle => {
                // Somebody sends: the network, or the subscriber itself. It may have moved.
                if self.rng.random_bool(0.5) {
                    list.extend(steps(&[Downlink(last), Notify(last), Notified]));
                }
                if self.rng.random_bool(0.5) {
                    p.radio = self.other_radio(state.radio);
                }
                let radio = p.radio;
                self.place_at(&mut p, radio);
                self.push_modify(&mut list, ue);
                Begin::Settled
            }
            16..20 if last == 1 => {
                // Only the second PDN connection goes.
                list.extend(steps(&[DeleteOnS11(1), DeleteOnS5(1), DeletedOnS5(1), DeletedOnS11(1)]));
                Begin::Quiet
            }
            20..45 => {
                let radio = self.other_radio(state.radio);
                self.place_at(&mut p, radio);
                self.push_modify(&mut list, ue);
                Begin::Settled
            }
            45..55 => {
                let radio = self.other_radio(state.radio);
                self.place_at(&mut p, radio);
                let Node::SgwS11(old) = state.sgw.node else { return };
                p.gateway = (old + 1 + p.gateway % 2) % 3;
                p.moves = true;
                for (c, _) in state.each() {
                    list.extend(steps(&[MoveHere(c), MovedHere(c)]));
                }
                for (c, _) in state.each() {
                    list.extend(steps(&[ModifyOnS11(c), ModifyOnS5(c), ModifiedOnS5(c), ModifiedOnS11(c)]));
                }
                list.extend(steps(&[LeaveThere, LeftThere]));
                Begin::Settled
            }
            55..75 => {
                list.extend(steps(&[Release, Released]));
                Begin::Quiet
            }
            75..90 => {
                let [_, dedicated] = self.core(session).bearers;
                if dedicated.ebi == 0 {
                    list.extend(steps(&[
                        BearerOnS5(last),
                        BearerOnS11(last),
                        BearerMadeOnS11(last),
                        BearerMadeOnS5(last),
                    ]));
                    Begin::Now
                } else {
                    list.extend(steps(&[
                        NoBearerOnS5(last),
                        NoBearerOnS11(last),
                        BearerGoneOnS11(last),
                        BearerGoneOnS5(last),
                    ]));
                    Begin::Quiet
                }
            }
            90..95 if last == 0 && profile.connections == 1 => {
                // Another PDN connection beside the first. TS 23.401 5.10.2.
                let radio = state.radio;
                self.place_at(&mut p, radio);
                list.extend(steps(&[
                    CreateOnS11(1),
                    CreateOnS5(1),
                    CreatedOnS5(1),
                    CreatedOnS11(1),
                    ModifyOnS11(1),
                    ModifiedOnS11(1),
                ]));
                Begin::Now
            }
            _ => {
                let radio = state.radio;
                self.place_at(&mut p, radio);
                for (c, _) in state.each() {
                    list.extend(steps(&[ChangeOnS11(c), ChangeOnS5(c), ChangedOnS5(c), ChangedOnS11(c)]));
                }
                Begin::Now
            }
        };
        self.launch(p, list, begin);
    }

    /// All bearers go to the radio node of the procedure.
    fn push_modify(&mut self, list: &mut Vec<AnyStep>, ue: u32) {
        if self.profile(ue).access_bearers {
            list.extend(steps(&[ModifyAccess, ModifiedAccess]));
        } else {
            for (c, _) in self.ue(ue).each() {
                list.extend(steps(&[ModifyOnS11(c), ModifiedOnS11(c)]));
            }
        }
    }

    pub(super) fn lte_step(&mut self, p: &mut Procedure, step: Step) {
        match step {
            CreateOnS11(c) => self.create_on_s11(p, c),
            CreateOnS5(c) => self.create_on_s5(p, c),
            CreatedOnS5(c) => self.created_on_s5(p, c),
            CreatedOnS11(c) => self.created_on_s11(p, c),
            ModifyOnS11(c) => self.modify_on_s11(p, &[c]),
            ModifyOnS5(c) => self.modify_on_s5(p, c),
            ModifiedOnS5(c) => self.modified_on_s5(p, c),
            ModifiedOnS11(c) => self.modified_on_s11(p, &[c]),
            ModifyAccess => self.modify_on_s11(p, &[0, 1]),
            ModifiedAccess => self.modified_on_s11(p, &[0, 1]),
            MoveHere(c) => self.move_here(p, c),
            MovedHere(c) => self.moved_here(p, c),
            LeaveThere => self.leave_there(p),
            LeftThere => self.left_there(p),
            DeleteOnS11(c) => self.delete_on_s11(p, c),
            DeleteOnS5(c) => self.delete_on_s5(p, c),
            DeletedOnS5(c) => self.deleted_on_s5(p, c),
            DeletedOnS11(c) => self.deleted_on_s11(p, c),
            BearerOnS5(c) => self.bearer_on_s5(p, c),
            BearerOnS11(c) => self.bearer_on_s11(p, c),
            BearerMadeOnS11(c) => self.bearer_made_on_s11(p, c),
            BearerMadeOnS5(c) => self.bearer_made_on_s5(p, c),
            NoBearerOnS5(c) => self.no_bearer_on_s5(p, c),
            NoBearerOnS11(c) => self.no_bearer_on_s11(p, c),
            BearerGoneOnS11(c) => self.bearer_gone_on_s11(p, c),
            BearerGoneOnS5(c) => self.bearer_gone_on_s5(p, c),
            Release => self.release_bearers(p),
            Released => self.released_bearers(p),
            Downlink(c) => self.downlink_while_idle(p, c),
            Notify(c) => self.notify(p, c),
            Notified => self.notified(p),
            ChangeOnS11(c) => self.change_notification(p, c, NEAR),
            ChangeOnS5(c) => self.change_notification(p, c, FAR),
            ChangedOnS5(c) => self.changed(p, c, FAR),
            ChangedOnS11(c) => self.changed(p, c, NEAR),
        }
    }

    // ---- Attach and PDN connectivity, TS 23.401 5.3.2, 5.10.2. ----

    fn create_on_s11(&mut self, p: &mut Procedure, c: u8) {
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

    fn create_on_s5(&mut self, p: &mut Procedure, c: u8) {
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

    fn created_on_s5(&mut self, p: &mut Procedure, c: u8) {
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

    /// The session is there, whether or not the tap has seen the answer.
    pub(super) fn created(&mut self, session: u32) {
        let now_ns = self.now_ns;
        if let Some(found) = self.sessions.get_mut(session as usize) {
            found.created_ns.get_or_insert(now_ns);
        }
    }

    fn created_on_s11(&mut self, p: &mut Procedure, c: u8) {
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
    pub(super) fn lte_early(&mut self, p: &mut Procedure, c: u8) -> u32 {
        let session = self.ue(p.ue).session(c);
        let mut core = self.core(session);
        self.hold(session, Interface::S1uSgw, &mut core.bearers[0].access);
        self.set_core(session, core);
        session
    }

    // ---- New endpoints of the radio side: attach, X2 and S1 handover, service request. ----

    /// The bearers of these PDN connections get endpoints at the radio node of the procedure. Several
    /// connections: Modify Access Bearers, which says nothing of the place. TS 29.274 7.2.7, 7.2.24.
    fn modify_on_s11(&mut self, p: &mut Procedure, connections: &[u8]) {
        let (ue, profile) = (self.ue(p.ue), self.profile(p.ue));
        let sgw = if p.moves { p.sgw } else { ue.sgw };
        let mut moved = Vec::new();
        for &c in connections.iter().filter(|&&c| ue.session(c) != NONE) {
            for (b, bearer) in (0_u8..).zip(self.core(ue.session(c)).bearers) {
                if bearer.ebi != 0 {
                    let end = self.end(p.radio, profile.over_ipv6);
                    if let Some(place) = p.radios.get_mut(usize::from(c)) {
                        set(place, b, end);
                    }
                    moved.push((bearer.ebi, end));
                }
            }
        }
        let (area, cell, alone) = (p.area, p.cell, connections.len() == 1);
        self.ask(p, NEAR, (ue.mme.node, sgw.node), |packet, sequence| {
            let kind = if alone { message::MODIFY_BEARER } else { message::MODIFY_ACCESS_BEARERS };
            packet.gtpv2c(kind, Some(sgw.teid), sequence);
            if alone {
                v2::uli(packet, area, cell);
            }
            for (ebi, end) in moved {
                packet.gtpv2_group(BEARER_CONTEXT, 0, |packet| {
                    v2::ebi(packet, 0, ebi);
                    v2::f_teid(packet, 0, Interface::S1uEnb, end);
                });
            }
        });
    }

    fn modified_on_s11(&mut self, p: &mut Procedure, connections: &[u8]) {
        let mut ue = self.ue(p.ue);
        let alone = connections.len() == 1;
        let mut told = Vec::new();
        for &c in connections.iter().filter(|&&c| ue.session(c) != NONE) {
            let session = ue.session(c);
            let old = self.core(session);
            let mut core = if p.moves { get(&p.cores, c) } else { old };
            if alone {
                (core.area, core.cell) = (p.area, p.cell);
            }
            let radios = get(&p.radios, c);
            let olds = old.bearers.into_iter();
            for ((bearer, mut radio), was) in core.bearers.iter_mut().zip(radios).zip(olds) {
                if bearer.ebi == 0 {
                    continue;
                }
                self.hold(session, Interface::S1uEnb, &mut radio);
                bearer.radio = radio;
                told.push((bearer.ebi, bearer.access));
                if was.radio.is_some() {
                    let delay_ns = self.rng.random_range(300_000..2 * MS);
                    if p.moves {
                        // From the PGW by way of the old SGW.
                        self.end_marker(session, was.pgw, was.sgw, Interface::S5SgwU, delay_ns);
                    }
                    let way = delay_ns + u64::from(p.moves) * 200_000;
                    self.end_marker(session, was.access, was.radio, Interface::S1uEnb, way);
                    self.release(was.radio);
                }
                if p.moves {
                    p.left.extend([was.access, was.sgw]);
                }
            }
            if p.moves {
                p.left.push(old.near);
            }
            core.asked = self.core(session).asked;
            self.set_core(session, core);
            self.bring_up(session);
        }
        (ue.radio, ue.phase) = (p.radio, Phase::Connected);
        self.set_ue(p.ue, ue);
        self.answer(p, NEAR, |packet, sequence| {
            let kind = if alone { message::MODIFY_BEARER } else { message::MODIFY_ACCESS_BEARERS };
            packet.gtpv2c(kind + 1, Some(ue.mme.teid), sequence);
            v2::cause(packet, v2::ACCEPTED);
            for (ebi, access) in told {
                packet.gtpv2_group(BEARER_CONTEXT, 0, |packet| {
                    v2::ebi(packet, 0, ebi);
                    v2::cause(packet, v2::ACCEPTED);
                    v2::f_teid(packet, 0, Interface::S1uSgw, access);
                });
            }
        });
        // What waited for the subscriber goes on to it.
        let buffered = std::mem::take(&mut p.buffered);
        if !buffered.is_empty() {
            let session = ue.each().last().map_or(NONE, |(_, session)| session);
            if let Some(path) = self.path(session) {
                self.send(&path, false, DOWNLINK, &buffered, 400_000, 1..2);
            }
        }
    }

    // ---- Handover with a new SGW, TS 23.401 5.5.1.1.3. ----

    fn move_here(&mut self, p: &mut Procedure, c: u8) {
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

    fn moved_here(&mut self, p: &mut Procedure, c: u8) {
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

    fn modify_on_s5(&mut self, p: &mut Procedure, c: u8) {
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

    fn modified_on_s5(&mut self, p: &mut Procedure, c: u8) {
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
    fn leave_there(&mut self, p: &mut Procedure) {
        let ue = self.ue(p.ue);
        self.ask(p, NEAR, (ue.mme.node, ue.sgw.node), |packet, sequence| {
            packet.gtpv2c(message::DELETE_SESSION, Some(ue.sgw.teid), sequence);
            v2::indication(packet, [0, 0x02]);
        });
    }

    fn left_there(&mut self, p: &mut Procedure) {
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

    // ---- Detach and PDN disconnection, TS 23.401 5.3.8, 5.10.3. ----

    fn delete_on_s11(&mut self, p: &mut Procedure, c: u8) {
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

    fn delete_on_s5(&mut self, p: &mut Procedure, c: u8) {
        let core = self.core(self.ue(p.ue).session(c));
        self.ask(p, FAR, (core.near.node, core.far.node), |packet, sequence| {
            packet.gtpv2c(message::DELETE_SESSION, Some(core.far.teid), sequence);
            v2::ebi(packet, 0, 5 + c);
            v2::uli(packet, core.area, core.cell);
        });
    }

    fn deleted_on_s5(&mut self, p: &mut Procedure, c: u8) {
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

    fn deleted_on_s11(&mut self, p: &mut Procedure, c: u8) {
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

    // ---- Dedicated bearers, TS 23.401 5.4.1, 5.4.4.1. ----

    fn bearer_on_s5(&mut self, p: &mut Procedure, c: u8) {
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

    fn bearer_on_s11(&mut self, p: &mut Procedure, c: u8) {
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

    fn bearer_made_on_s11(&mut self, p: &mut Procedure, c: u8) {
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

    fn bearer_made_on_s5(&mut self, p: &mut Procedure, c: u8) {
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

    fn no_bearer_on_s5(&mut self, p: &mut Procedure, c: u8) {
        let core = self.core(self.ue(p.ue).session(c));
        let ebi = core.bearers[1].ebi;
        self.ask(p, FAR, (core.far.node, core.near.node), |packet, sequence| {
            packet.gtpv2c(message::DELETE_BEARER, Some(core.near.teid), sequence);
            v2::ebi(packet, 1, ebi);
        });
    }

    fn no_bearer_on_s11(&mut self, p: &mut Procedure, c: u8) {
        let ue = self.ue(p.ue);
        let ebi = self.core(ue.session(c)).bearers[1].ebi;
        self.ask(p, NEAR, (ue.sgw.node, ue.mme.node), |packet, sequence| {
            packet.gtpv2c(message::DELETE_BEARER, Some(ue.mme.teid), sequence);
            v2::ebi(packet, 1, ebi);
        });
    }

    fn bearer_gone_on_s11(&mut self, p: &mut Procedure, c: u8) {
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

    fn bearer_gone_on_s5(&mut self, p: &mut Procedure, c: u8) {
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

    // ---- Idle and back, TS 23.401 5.3.4, 5.3.5. ----

    fn release_bearers(&mut self, p: &mut Procedure) {
        let ue = self.ue(p.ue);
        self.ask(p, NEAR, (ue.mme.node, ue.sgw.node), |packet, sequence| {
            packet.gtpv2c(message::RELEASE_ACCESS_BEARERS, Some(ue.sgw.teid), sequence);
        });
    }

    fn released_bearers(&mut self, p: &mut Procedure) {
        let mut ue = self.ue(p.ue);
        for (_, session) in ue.each() {
            let mut core = self.core(session);
            for bearer in &mut core.bearers {
                self.release(bearer.radio);
                bearer.radio = End { teid: 0, ..bearer.radio };
            }
            self.set_core(session, core);
        }
        ue.phase = Phase::Idle;
        self.set_ue(p.ue, ue);
        self.answer(p, NEAR, |packet, sequence| {
            packet.gtpv2c(message::RELEASE_ACCESS_BEARERS + 1, Some(ue.mme.teid), sequence);
            v2::cause(packet, v2::ACCEPTED);
        });
    }

    fn downlink_while_idle(&mut self, p: &mut Procedure, c: u8) {
        let Some(path) = self.path(self.ue(p.ue).session(c)) else { return };
        self.push_message(&path);
        p.buffered = std::mem::take(&mut self.inner);
        let buffered = std::mem::take(&mut p.buffered);
        self.send(&path, false, DOWNLINK, &buffered, 0, 0..1);
        p.buffered = buffered;
    }

    fn notify(&mut self, p: &mut Procedure, c: u8) {
        let ue = self.ue(p.ue);
        self.ask(p, NEAR, (ue.sgw.node, ue.mme.node), |packet, sequence| {
            packet.gtpv2c(message::DOWNLINK_DATA_NOTIFICATION, Some(ue.mme.teid), sequence);
            v2::ebi(packet, 0, 5 + c);
            v2::priority(packet);
        });
    }

    fn notified(&mut self, p: &mut Procedure) {
        let ue = self.ue(p.ue);
        self.answer(p, NEAR, |packet, sequence| {
            packet.gtpv2c(message::DOWNLINK_DATA_NOTIFICATION + 1, Some(ue.sgw.teid), sequence);
            v2::cause(packet, v2::ACCEPTED);
        });
    }

    // ---- The place alone, TS 29.274 7.3.14. ----

    fn change_notification(&mut self, p: &mut Procedure, c: u8, leg: usize) {
        let (ue, profile) = (self.ue(p.ue), self.profile(p.ue));
        let core = self.core(ue.session(c));
        let (ends, teid) = if leg == NEAR {
            ((ue.mme.node, ue.sgw.node), ue.sgw.teid)
        } else {
            ((core.near.node, core.far.node), core.far.teid)
        };
        let (area, cell) = (p.area, p.cell);
        self.ask(p, leg, ends, |packet, sequence| {
            packet.gtpv2c(message::CHANGE_NOTIFICATION, Some(teid), sequence);
            v2::imsi(packet, profile.imsi);
            v2::mei(packet, profile.imei);
            v2::uli(packet, area, cell);
            v2::rat(packet);
            v2::ebi(packet, 0, 5 + c);
        });
    }

    fn changed(&mut self, p: &mut Procedure, c: u8, leg: usize) {
        let (ue, profile) = (self.ue(p.ue), self.profile(p.ue));
        let session = ue.session(c);
        let mut core = self.core(session);
        (core.area, core.cell) = (p.area, p.cell);
        self.set_core(session, core);
        let teid = if leg == NEAR { ue.mme.teid } else { core.near.teid };
        self.answer(p, leg, |packet, sequence| {
            packet.gtpv2c(message::CHANGE_NOTIFICATION + 1, Some(teid), sequence);
            v2::imsi(packet, profile.imsi);
            v2::mei(packet, profile.imei);
            v2::cause(packet, v2::ACCEPTED);
        });
    }
}

/// Of PDN connection 1, `ims`, the class of its signalling; of others that of best effort.
/// TS 23.203 6.1.7.2.
const fn qci_of(connection: u8) -> u8 {
    if connection == 1 { 5 } else { 9 }
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

/// One of two.
pub(super) fn get<T: Copy>(pair: &[T; 2], index: u8) -> T {
    let [first, second] = *pair;
    if index == 0 { first } else { second }
}

/// Changes one of two.
pub(super) fn set<T>(pair: &mut [T; 2], index: u8, value: T) {
    let [first, second] = pair;
    *if index == 0 { first } else { second } = value;
}
