//! Endpoints of the radio side: attach, handover, idle, service request; and the place alone.
//! TS 23.401 5.3.4, 5.3.5, 5.5.1.1.2, TS 29.274 7.3.14.

use rand::Rng;

use super::super::ie::v2;
use super::super::procedure::{NEAR, Procedure};
use super::super::state::{End, Interface, NONE, Phase};
use super::super::{DOWNLINK, Generator, MS};
use super::{BEARER_CONTEXT, get, message, set};

impl Generator {
    /// The bearers of these PDN connections get endpoints at the radio node of the procedure. Several
    /// connections: Modify Access Bearers, which says nothing of the place. TS 29.274 7.2.7, 7.2.24.
    pub(super) fn modify_on_s11(&mut self, p: &mut Procedure, connections: &[u8]) {
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

    pub(super) fn modified_on_s11(&mut self, p: &mut Procedure, connections: &[u8]) {
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
        let waiting = ue.each().last().filter(|(last, _)| connections.contains(last));
        if let Some(path) = waiting.and_then(|(_, session)| self.path(session)) {
            let buffered = std::mem::take(&mut p.buffered);
            if !buffered.is_empty() {
                self.send(&path, false, DOWNLINK, &buffered, 400_000, 1..2);
            }
        }
    }

    pub(super) fn release_bearers(&mut self, p: &mut Procedure) {
        let ue = self.ue(p.ue);
        self.ask(p, NEAR, (ue.mme.node, ue.sgw.node), |packet, sequence| {
            packet.gtpv2c(message::RELEASE_ACCESS_BEARERS, Some(ue.sgw.teid), sequence);
        });
    }

    pub(super) fn released_bearers(&mut self, p: &mut Procedure) {
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

    pub(super) fn downlink_while_idle(&mut self, p: &mut Procedure, c: u8) {
        let Some(path) = self.path(self.ue(p.ue).session(c)) else { return };
        self.push_message(&path);
        p.buffered = std::mem::take(&mut self.inner);
        let buffered = std::mem::take(&mut p.buffered);
        self.send(&path, false, DOWNLINK, &buffered, 0, 0..1);
        p.buffered = buffered;
    }

    pub(super) fn notify(&mut self, p: &mut Procedure, c: u8) {
        let ue = self.ue(p.ue);
        self.ask(p, NEAR, (ue.sgw.node, ue.mme.node), |packet, sequence| {
            packet.gtpv2c(message::DOWNLINK_DATA_NOTIFICATION, Some(ue.mme.teid), sequence);
            v2::ebi(packet, 0, 5 + c);
            v2::priority(packet);
        });
    }

    pub(super) fn notified(&mut self, p: &mut Procedure) {
        let ue = self.ue(p.ue);
        self.answer(p, NEAR, |packet, sequence| {
            packet.gtpv2c(message::DOWNLINK_DATA_NOTIFICATION + 1, Some(ue.sgw.teid), sequence);
            v2::cause(packet, v2::ACCEPTED);
        });
    }

    pub(super) fn change_notification(&mut self, p: &mut Procedure, c: u8, leg: usize) {
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

    pub(super) fn changed(&mut self, p: &mut Procedure, c: u8, leg: usize) {
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
