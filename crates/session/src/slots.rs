//! The records of a session and of its PFCP sessions, packed.

use std::net::{Ipv4Addr, Ipv6Addr};

use types::{Digits, Location, Plmn, Qfi, Rat, Side, Snssai, UeAddress};

use crate::arena::Slot;
use crate::record::{BearerRecord, State};
use crate::saved::{In, Out};

/// Bearers that one session remembers the class of.
const BEARERS: usize = 9;

/// A session: two cache lines, which a processor that fetches pairs of them fetches together. In the first
/// one is what a session is found by and what leads from it to its parts.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(128))]
pub(crate) struct Session {
    pub(crate) imsi: Digits,
    /// Prefix of the UE, 0 without one.
    ue_v6: u64,
    /// Last sign of life that was looked at; of an ended session its end.
    pub(crate) active_ns: u64,
    pub(crate) created_ns: u64,
    ue_v4: u32,
    /// Next of the same subscriber; of ended sessions, the next one; free list.
    pub(crate) imsi_next: u32,
    pub(crate) v4_next: u32,
    pub(crate) v6_next: u32,
    /// First tunnel.
    pub(crate) users: u32,
    /// First endpoint of the control plane.
    pub(crate) controls: u32,
    /// First PFCP session.
    pub(crate) pfcps: u32,
    flags: u16,
    /// Bearer that the session is known by.
    pub(crate) default_ebi: u8,
    phase: u8,

    pub(crate) msisdn: Digits,
    pub(crate) imei: Digits,
    pub(crate) correlation: u64,
    /// Area 24 bits, cell 40.
    place: u64,
    /// MCC 10 bits, MNC 10, digits 2; 0 without.
    serving: u32,
    /// SST 8 bits, SD 24; of an unknown session the number of the node that its packets come from.
    slice: u32,
    pub(crate) apn: u16,
    pub(crate) network: u16,
    rat: u8,
    /// EBI and QCI, or 0 and QFI.
    bearers: [(u8, u8); BEARERS],
}

const _: () = assert!(size_of::<Session>() == 128);

impl Session {
    /// Its control plane was seen.
    pub(crate) const KNOWN: u16 = 1;
    /// It was made or taken over on S11 or S4.
    pub(crate) const S11: u16 = 1 << 1;
    /// The same on S5/S8.
    pub(crate) const S5: u16 = 1 << 2;
    /// The same on S2a or S2b.
    pub(crate) const S2: u16 = 1 << 3;
    /// The same on Gn/Gp.
    pub(crate) const GN: u16 = 1 << 4;
    /// Any of GTP-C.
    pub(crate) const GTP: u16 = Self::S11 | Self::S5 | Self::S2 | Self::GN;
    /// It is in the index of this kind.
    pub(crate) const IN_IMSIS: u16 = 1 << 5;
    /// The same for IPv4.
    pub(crate) const IN_V4: u16 = 1 << 6;
    /// The same for IPv6.
    pub(crate) const IN_V6: u16 = 1 << 7;
    /// Signalling told the addresses of its UE; else they are known by packets.
    pub(crate) const UE_TOLD: u16 = 1 << 12;
    /// Its IMSI was told by an operator's feed.
    pub(crate) const FED: u16 = 1 << 13;
    const AREA: u16 = 1 << 8;
    const CELL: u16 = 1 << 9;
    const SLICE: u16 = 1 << 10;
    const SD: u16 = 1 << 11;

    /// Writes all but what is a number of this run: links, names, nodes, places in an index.
    pub(crate) fn store(&self, out: &mut Out<'_>) {
        for word in [self.imsi, self.msisdn, self.imei] {
            out.u64(word.bits());
        }
        for word in [self.correlation, self.created_ns, self.active_ns, self.ue_v6, self.place] {
            out.u64(word);
        }
        let slice = if self.has(Self::KNOWN) { self.slice } else { 0 };
        for word in [self.ue_v4, self.serving, slice] {
            out.u32(word);
        }
        out.u16(self.flags & !(Self::IN_IMSIS | Self::IN_V4 | Self::IN_V6));
        out.u8(self.rat);
        out.u8(self.default_ebi);
        for (ebi, class) in self.bearers {
            out.put(&[ebi, class]);
        }
    }

    /// Reads it: an active session without any endpoint.
    pub(crate) fn load(input: &mut In<'_>) -> Option<Self> {
        let mut session = Self::EMPTY;
        for word in [&mut session.imsi, &mut session.msisdn, &mut session.imei] {
            // Without a first digit there is none, whatever stands behind it.
            *word = Some(Digits::from_bits(input.u64()?))
                .filter(|digits| !digits.is_empty())
                .unwrap_or(Digits::NONE);
        }
        session.correlation = input.u64()?;
        session.created_ns = input.u64()?;
        session.active_ns = input.u64()?;
        session.ue_v6 = input.u64()?;
        session.place = input.u64()?;
        session.ue_v4 = input.u32()?;
        session.serving = input.u32()?;
        session.slice = input.u32()?;
        session.flags = input.u16()? & !(Self::IN_IMSIS | Self::IN_V4 | Self::IN_V6);
        session.rat = input.u8()?;
        session.default_ebi = input.u8()?;
        for bearer in &mut session.bearers {
            *bearer = input.take::<2>()?.into();
        }
        session.set_state(State::Active);
        Some(session)
    }

    pub(crate) fn has(&self, flags: u16) -> bool {
        self.flags & flags != 0
    }

    pub(crate) fn set(&mut self, flags: u16) {
        self.flags |= flags;
    }

    pub(crate) fn unset(&mut self, flags: u16) {
        self.flags &= !flags;
    }

    /// The halves of GTP-C that were seen.
    pub(crate) fn halves(&self) -> u16 {
        self.flags & Self::GTP
    }

    pub(crate) fn state(&self) -> Option<State> {
        match self.phase {
            1 => Some(State::Active),
            2 => Some(State::Deleted),
            3 => Some(State::Expired),
            _ => None,
        }
    }

    pub(crate) fn set_state(&mut self, state: State) {
        self.phase = match state {
            State::Active => 1,
            State::Deleted => 2,
            State::Expired => 3,
        };
    }

    pub(crate) fn is_active(&self) -> bool {
        self.phase == 1
    }

    pub(crate) fn ue(&self) -> UeAddress {
        UeAddress {
            v4: (self.ue_v4 != 0).then(|| Ipv4Addr::from_bits(self.ue_v4)),
            v6: (self.ue_v6 != 0).then(|| Ipv6Addr::from_bits(u128::from(self.ue_v6) << 64)),
        }
    }

    /// What it is indexed by: 0 without an address.
    pub(crate) fn v4_word(&self) -> u64 {
        u64::from(self.ue_v4)
    }

    /// The same for IPv6.
    pub(crate) fn v6_word(&self) -> u64 {
        self.ue_v6
    }

    pub(crate) fn set_v4(&mut self, address: Option<Ipv4Addr>) {
        self.ue_v4 = address.map_or(0, Ipv4Addr::to_bits);
    }

    pub(crate) fn set_v6(&mut self, address: Option<Ipv6Addr>) {
        self.ue_v6 = address.map_or(0, |address| (address.to_bits() >> 64) as u64);
    }

    pub(crate) fn location(&self) -> Location {
        Location {
            area: self.has(Self::AREA).then_some((self.place >> 40) as u32),
            cell: self.has(Self::CELL).then_some(self.place & ((1 << 40) - 1)),
        }
    }

    /// Takes over what is told.
    pub(crate) fn update_location(&mut self, location: Location) {
        if let Some(area) = location.area {
            self.place = self.place & ((1 << 40) - 1) | u64::from(area) << 40;
            self.flags |= Self::AREA;
        }
        if let Some(cell) = location.cell {
            let mask = (1 << 40) - 1;
            self.place = self.place & !mask | cell & mask;
            self.flags |= Self::CELL;
        }
    }

    pub(crate) fn serving(&self) -> Option<Plmn> {
        let part = |from: u32, bits: u32| (self.serving >> from & ((1 << bits) - 1)) as u16;
        (self.serving != 0).then(|| Plmn {
            mcc: part(0, 10),
            mnc: part(10, 10),
            mnc_digits: part(20, 2) as u8,
        })
    }

    pub(crate) fn set_serving(&mut self, plmn: Plmn) {
        self.serving = u32::from(plmn.mcc & 1023)
            | u32::from(plmn.mnc & 1023) << 10
            | u32::from(plmn.mnc_digits & 3) << 20;
    }

    pub(crate) fn snssai(&self) -> Option<Snssai> {
        self.has(Self::SLICE).then(|| Snssai {
            sst: (self.slice >> 24) as u8,
            sd: self.has(Self::SD).then_some(self.slice & 0xff_ffff),
        })
    }

    pub(crate) fn set_snssai(&mut self, snssai: Snssai) {
        self.slice = u32::from(snssai.sst) << 24 | snssai.sd.unwrap_or(0) & 0xff_ffff;
        self.flags = self.flags & !Self::SD | Self::SLICE | if snssai.sd.is_some() { Self::SD } else { 0 };
    }

    /// Of an unknown session: the node that its packets come from; of others 0.
    pub(crate) fn source(&self) -> u32 {
        if self.has(Self::KNOWN) { 0 } else { self.slice }
    }

    pub(crate) fn set_source(&mut self, node: u32) {
        self.slice = node;
    }

    pub(crate) fn rat(&self) -> Option<Rat> {
        (self.rat != 0).then_some(Rat(self.rat))
    }

    pub(crate) fn set_rat(&mut self, rat: Rat) {
        self.rat = rat.0;
    }

    /// Whether it has this bearer.
    pub(crate) fn has_bearer(&self, ebi: u8) -> bool {
        ebi != 0 && (self.default_ebi == ebi || self.bearers.iter().any(|&(own, _)| own == ebi))
    }

    /// Remembers a bearer, and its class where it is told.
    pub(crate) fn set_bearer(&mut self, ebi: u8, qci: u8) {
        if ebi == 0 {
            return;
        }
        if let Some(own) = self.bearers.iter_mut().find(|(own, _)| *own == ebi) {
            if qci != 0 {
                own.1 = qci;
            }
        } else if let Some(free) = self.bearers.iter_mut().find(|own| **own == (0, 0)) {
            *free = (ebi, qci);
        }
    }

    /// Remembers a QoS flow.
    pub(crate) fn set_flow(&mut self, qfi: Qfi) {
        if qfi.0 == 0 || self.bearers.contains(&(0, qfi.0)) {
            return;
        }
        if let Some(free) = self.bearers.iter_mut().find(|own| **own == (0, 0)) {
            *free = (0, qfi.0);
        }
    }

    /// Forgets a bearer; returns whether another one is left.
    pub(crate) fn remove_bearer(&mut self, ebi: u8) -> bool {
        for own in &mut self.bearers {
            if ebi != 0 && own.0 == ebi {
                *own = (0, 0);
            }
        }
        if self.default_ebi == ebi {
            self.default_ebi = self.bearers.iter().map(|own| own.0).find(|&own| own != 0).unwrap_or(0);
        }
        self.bearers.iter().any(|own| own.0 != 0)
    }

    /// Takes over the bearers of another.
    pub(crate) fn add_bearers(&mut self, other: &Self) {
        for (ebi, class) in other.bearers {
            if ebi == 0 { self.set_flow(Qfi(class)) } else { self.set_bearer(ebi, class) }
        }
        if self.default_ebi == 0 {
            self.default_ebi = other.default_ebi;
        }
    }

    pub(crate) fn bearer_records(&self) -> impl Iterator<Item = BearerRecord> {
        self.bearers.iter().filter(|own| **own != (0, 0)).map(|&(ebi, class)| BearerRecord {
            ebi,
            qci: (ebi != 0 && class != 0).then_some(class),
            qfi: (ebi == 0).then_some(Qfi(class)),
        })
    }
}

impl Slot for Session {
    const EMPTY: Self = Self {
        imsi: Digits::NONE,
        msisdn: Digits::NONE,
        imei: Digits::NONE,
        correlation: 0,
        created_ns: 0,
        active_ns: 0,
        ue_v6: 0,
        place: 0,
        ue_v4: 0,
        serving: 0,
        slice: 0,
        apn: 0,
        network: 0,
        rat: 0,
        flags: 0,
        bearers: [(0, 0); BEARERS],
        default_ebi: 0,
        phase: 0,
        imsi_next: 0,
        v4_next: 0,
        v6_next: 0,
        users: 0,
        controls: 0,
        pfcps: 0,
    };
    fn link(&self) -> u32 {
        self.imsi_next
    }
    fn set_link(&mut self, next: u32) {
        self.imsi_next = next;
    }
    fn epoch(&self) -> u64 {
        self.created_ns
    }
    fn set_epoch(&mut self, epoch: u64) {
        self.created_ns = epoch;
    }
    fn session(&self, slot: u32) -> u32 {
        slot
    }
}

/// A PFCP session of a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pfcp {
    pub(crate) session: u32,
    /// Next of the session; free list.
    pub(crate) next: u32,
    pub(crate) seids: u32,
    pub(crate) rules: u32,
    /// It is up; a past one stays for its F-SEIDs.
    pub(crate) live: bool,
}

impl Slot for Pfcp {
    const EMPTY: Self = Self { session: 0, next: 0, seids: 0, rules: 0, live: false };
    fn link(&self) -> u32 {
        self.next
    }
    fn set_link(&mut self, next: u32) {
        self.next = next;
    }
    fn epoch(&self) -> u64 {
        0
    }
    fn set_epoch(&mut self, _: u64) {}
    fn session(&self, _slot: u32) -> u32 {
        self.session
    }
}

/// One address of an F-SEID.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeidSlot {
    pub(crate) seid: u64,
    pub(crate) pfcp: u32,
    /// Next of the PFCP session; free list.
    pub(crate) next: u32,
    /// Next in the index.
    pub(crate) chain: u32,
    pub(crate) node: u32,
    /// Of the UPF; else of the SMF.
    pub(crate) upf: bool,
    /// In the index.
    pub(crate) live: bool,
}

impl Slot for SeidSlot {
    const EMPTY: Self = Self { seid: 0, pfcp: 0, next: 0, chain: 0, node: 0, upf: false, live: false };
    fn link(&self) -> u32 {
        self.next
    }
    fn set_link(&mut self, next: u32) {
        self.next = next;
    }
    fn epoch(&self) -> u64 {
        0
    }
    fn set_epoch(&mut self, _: u64) {}
}

/// What a rule of PFCP holds: a PDR its local endpoint, a FAR its peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RuleSlot {
    pub(crate) id: u32,
    pub(crate) user: u32,
    /// Next of the PFCP session; free list.
    pub(crate) next: u32,
    /// It is a FAR; else a PDR.
    pub(crate) far: bool,
    /// In a place without endpoint: where the rule's packets come from or go to.
    pub(crate) side: Option<Side>,
}

impl RuleSlot {
    pub(crate) const fn of(id: u32, far: bool, user: u32) -> Self {
        Self { id, user, next: 0, far, side: None }
    }
}

impl Slot for RuleSlot {
    const EMPTY: Self = Self::of(0, false, 0);
    fn link(&self) -> u32 {
        self.next
    }
    fn set_link(&mut self, next: u32) {
        self.next = next;
    }
    fn epoch(&self) -> u64 {
        0
    }
    fn set_epoch(&mut self, _: u64) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_again() {
        let mut session = Session::EMPTY;
        assert_eq!(session.location(), Location::default());
        assert_eq!((session.serving(), session.snssai()), (None, None));
        session.update_location(Location { area: Some(0xff_ffff), cell: Some((1 << 36) - 1) });
        session.update_location(Location { area: Some(7), cell: None });
        assert_eq!(session.location(), Location { area: Some(7), cell: Some((1 << 36) - 1) });
        let plmn = Plmn { mcc: 999, mnc: 70, mnc_digits: 2 };
        session.set_serving(plmn);
        assert_eq!(session.serving(), Some(plmn));
        for sd in [Some(0), Some(0xff_ffff), None] {
            session.set_snssai(Snssai { sst: 1, sd });
            assert_eq!(session.snssai(), Some(Snssai { sst: 1, sd }));
        }
    }

    #[test]
    fn bearers_come_and_go() {
        let mut session = Session { default_ebi: 5, ..Session::EMPTY };
        session.set_bearer(5, 9);
        session.set_bearer(6, 1);
        session.set_bearer(6, 0);
        session.set_flow(Qfi(1));
        session.set_flow(Qfi(1));
        let records: Vec<_> = session.bearer_records().collect();
        assert_eq!(
            records,
            [
                BearerRecord { ebi: 5, qci: Some(9), qfi: None },
                BearerRecord { ebi: 6, qci: Some(1), qfi: None },
                BearerRecord { ebi: 0, qci: None, qfi: Some(Qfi(1)) },
            ]
        );
        assert!(session.remove_bearer(5));
        assert_eq!(session.default_ebi, 6);
        assert!(!session.has_bearer(5));
        assert!(!session.remove_bearer(6));
    }
}
