//! 4G: GTPv2-C on S11 and S5/S8. TS 23.401 5, TS 29.274 7.2.

use rand::Rng;

use super::Generator;
use super::nodes::{Node, RADIO_NODES};
use super::procedure::{Begin, FAR, NEAR, Procedure, Step as AnyStep};
use super::state::Phase;
use super::subscriber::Access;

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

mod dedicated;
mod radio;
mod relocate;
mod session;

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
                let core = self.core(session);
                (p.area, p.cell) = (core.area, core.cell);
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
}

/// Of PDN connection 1, `ims`, the class of its signalling; of others that of best effort.
/// TS 23.203 6.1.7.2.
const fn qci_of(connection: u8) -> u8 {
    if connection == 1 { 5 } else { 9 }
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
