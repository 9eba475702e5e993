//! What of a message is kept until its counterpart comes: a [`SessionEvent`] in 1.2 KB.

use std::net::IpAddr;

use arrayvec::ArrayVec;
use types::{
    Apn, Digits, FSeid, FTeid, Imei, Imsi, Interface, Location, Msisdn, PdnConnection, Plmn, Rat, RuleAction,
    SessionEvent, Side, Signalling, Snssai, Teid, UeAddress,
};

use crate::index::HashKey;

/// Takes over a name. Most messages have none: then the bytes of the last one stay.
fn copy_name(own: &mut Option<Apn>, told: Option<&Apn>) {
    match told {
        Some(name) => *own = Some(*name),
        None => *own = None,
    }
}

/// Whose an endpoint of a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The whole message's: one of the control plane.
    Message,
    /// Of the bearer context with this place in the message.
    Bearer(u8),
    /// The PGW's or GGSN's of a PDN connection that is handed over.
    Anchor,
}

/// An endpoint; its addresses are places in the list of addresses, from 1 on.
#[derive(Clone, Copy, Debug)]
struct Held {
    owner: Owner,
    interface: Interface,
    v4: u8,
    v6: u8,
    teid: Teid,
}

/// A bearer context.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BearerPart {
    /// 0 where it is still to be assigned.
    pub(crate) ebi: u8,
    pub(crate) instance: u8,
    /// 0 where there is none.
    pub(crate) cause: u8,
    pub(crate) qci: u8,
}

/// What a rule of PFCP is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RuleKind {
    Pdr,
    Far,
}

/// A PDR with its local endpoint, or a FAR with its peer.
#[derive(Clone, Copy, Debug)]
struct RuleHeld {
    id: u32,
    teid: Teid,
    kind: RuleKind,
    action: RuleAction,
    side: Option<Side>,
    interface: Interface,
    v4: u8,
    v6: u8,
    choose_id: Option<u8>,
    qfi: u8,
}

/// The same with its endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RulePart {
    pub(crate) id: u32,
    pub(crate) kind: RuleKind,
    pub(crate) action: RuleAction,
    pub(crate) side: Option<Side>,
    pub(crate) f_teid: Option<FTeid>,
    pub(crate) choose_id: Option<u8>,
    pub(crate) qfi: u8,
}

/// A message, distilled.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) time_ns: u64,
    pub(crate) protocol: Signalling,
    pub(crate) kind: u8,
    /// 0 where there is none.
    pub(crate) cause: u8,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) teid: Option<Teid>,
    pub(crate) seid: Option<u64>,
    pub(crate) imsi: Option<Imsi>,
    pub(crate) msisdn: Option<Msisdn>,
    pub(crate) imei: Option<Imei>,
    pub(crate) apn: Option<Apn>,
    pub(crate) network: Option<Apn>,
    pub(crate) rat: Option<Rat>,
    pub(crate) serving: Option<Plmn>,
    pub(crate) location: Location,
    pub(crate) snssai: Option<Snssai>,
    pub(crate) ue: UeAddress,
    /// 0 where there is none.
    pub(crate) linked_ebi: u8,
    /// One bit an EBI.
    pub(crate) ebis: u16,
    pub(crate) teardown: bool,
    pub(crate) scope: bool,
    pub(crate) f_seid: Option<FSeid>,
    pub(crate) bearers: ArrayVec<BearerPart, 15>,
    addresses: ArrayVec<IpAddr, 12>,
    held: ArrayVec<Held, 32>,
    rules: ArrayVec<RuleHeld, 24>,
}

impl Message {
    /// One that says nothing.
    pub(crate) fn new() -> Self {
        let empty = SessionEvent::new();
        Self {
            time_ns: 0,
            protocol: Signalling::Gtpv2,
            kind: 0,
            cause: 0,
            source: empty.source.ip(),
            destination: empty.source.ip(),
            teid: None,
            seid: None,
            imsi: None,
            msisdn: None,
            imei: None,
            apn: None,
            network: None,
            rat: None,
            serving: None,
            location: Location::default(),
            snssai: None,
            ue: UeAddress::default(),
            linked_ebi: 0,
            ebis: 0,
            teardown: false,
            scope: false,
            f_seid: None,
            bearers: ArrayVec::new(),
            addresses: ArrayVec::new(),
            held: ArrayVec::new(),
            rules: ArrayVec::new(),
        }
    }

    /// Takes over what an event says. What is more than the lists hold is left out.
    pub(crate) fn fill(&mut self, event: &SessionEvent) {
        self.time_ns = event.time_ns;
        self.protocol = event.protocol;
        self.kind = event.message;
        self.cause = event.cause.unwrap_or(0);
        self.source = event.source.ip();
        self.destination = event.destination.ip();
        self.teid = event.teid;
        self.seid = event.seid.map(|seid| seid.0);
        self.imsi = event.imsi;
        self.msisdn = event.msisdn;
        self.imei = event.imei;
        copy_name(&mut self.apn, event.apn.as_ref());
        copy_name(&mut self.network, event.network_instance.as_ref());
        self.rat = event.rat;
        self.serving = event.serving;
        self.location = event.location;
        self.snssai = event.snssai;
        self.ue = event.ue;
        self.linked_ebi = event.linked_ebi.map_or(0, |ebi| ebi.0 & 15);
        self.ebis = event.ebis.iter().fold(0, |bits, ebi| bits | 1 << (ebi.0 & 15));
        self.teardown = event.teardown;
        self.scope = event.scope;
        self.f_seid = event.f_seid;
        self.bearers.clear();
        self.addresses.clear();
        self.held.clear();
        self.rules.clear();
        for (_, f_teid) in &event.f_teids {
            self.hold(Owner::Message, f_teid);
        }
        for (place, bearer) in event.bearers.iter().enumerate() {
            let part = BearerPart {
                ebi: bearer.ebi.map_or(0, |ebi| ebi.0 & 15),
                instance: bearer.instance,
                cause: bearer.cause.unwrap_or(0),
                qci: bearer.qci.unwrap_or(0),
            };
            if self.bearers.try_push(part).is_ok() {
                for f_teid in &bearer.f_teids {
                    self.hold(Owner::Bearer(place as u8), f_teid);
                }
            }
        }
        for anchor in event.pdn_connections.iter().filter_map(|connection: &PdnConnection| connection.anchor)
        {
            self.hold(Owner::Anchor, &anchor);
        }
        for pdr in &event.pdrs {
            let (v4, v6) = pdr.local.map_or((0, 0), |local| self.places(&local));
            let _ = self.rules.try_push(RuleHeld {
                id: u32::from(pdr.id),
                teid: pdr.local.map_or(Teid(0), |local| local.teid),
                kind: RuleKind::Pdr,
                action: pdr.action,
                side: pdr.source,
                interface: pdr.local.map_or(Interface::N3_UPF, |local| local.interface),
                v4,
                v6,
                choose_id: pdr.choose_id,
                qfi: pdr.qfi.map_or(0, |qfi| qfi.0),
            });
        }
        for far in &event.fars {
            let (v4, v6) = far.peer.map_or((0, 0), |peer| self.places(&peer));
            let _ = self.rules.try_push(RuleHeld {
                id: far.id,
                teid: far.peer.map_or(Teid(0), |peer| peer.teid),
                kind: RuleKind::Far,
                action: far.action,
                side: far.destination,
                interface: far.peer.map_or(Interface::N3_GNB, |peer| peer.interface),
                v4,
                v6,
                choose_id: None,
                qfi: 0,
            });
        }
    }

    fn hold(&mut self, owner: Owner, f_teid: &FTeid) {
        // TEID 0 is none: a PGW that has not given one yet (TS 29.274 7.2.1, initial attach).
        if f_teid.teid.0 == 0 {
            return;
        }
        let (v4, v6) = self.places(f_teid);
        if v4 != 0 || v6 != 0 {
            let held = Held { owner, interface: f_teid.interface, v4, v6, teid: f_teid.teid };
            let _ = self.held.try_push(held);
        }
    }

    fn places(&mut self, f_teid: &FTeid) -> (u8, u8) {
        (f_teid.v4.map_or(0, |a| self.place(a.into())), f_teid.v6.map_or(0, |a| self.place(a.into())))
    }

    /// The place of an address from 1 on, 0 if the list is full or the address is none.
    fn place(&mut self, address: IpAddr) -> u8 {
        if address.is_unspecified() {
            return 0;
        }
        let place = self.addresses.iter().position(|own| *own == address);
        let place = place.or_else(|| {
            self.addresses.try_push(address).ok()?;
            Some(self.addresses.len() - 1)
        });
        place.map_or(0, |place| place as u8 + 1)
    }

    fn f_teid(&self, interface: Interface, teid: Teid, v4: u8, v6: u8) -> FTeid {
        let address = |place: u8| self.addresses.get(usize::from(place).checked_sub(1)?).copied();
        FTeid {
            interface,
            teid,
            v4: address(v4).and_then(|a| if let IpAddr::V4(a) = a { Some(a) } else { None }),
            v6: address(v6).and_then(|a| if let IpAddr::V6(a) = a { Some(a) } else { None }),
        }
    }

    /// Its endpoints of this owner.
    pub(crate) fn f_teids(&self, owner: Owner) -> impl Iterator<Item = FTeid> {
        self.held
            .iter()
            .filter(move |held| held.owner == owner)
            .map(|held| self.f_teid(held.interface, held.teid, held.v4, held.v6))
    }

    /// All endpoints of its bearers.
    pub(crate) fn user_f_teids(&self) -> impl Iterator<Item = FTeid> {
        self.held
            .iter()
            .filter(|held| matches!(held.owner, Owner::Bearer(_)))
            .map(|held| self.f_teid(held.interface, held.teid, held.v4, held.v6))
    }

    /// Its bearers with their places.
    pub(crate) fn bearers(&self) -> impl Iterator<Item = (u8, BearerPart)> {
        self.bearers.iter().enumerate().map(|(place, bearer)| (place as u8, *bearer))
    }

    /// Its rules of PFCP.
    pub(crate) fn rules(&self) -> impl Iterator<Item = RulePart> {
        self.rules.iter().map(|rule| RulePart {
            id: rule.id,
            kind: rule.kind,
            action: rule.action,
            side: rule.side,
            f_teid: ((rule.v4 != 0 || rule.v6 != 0) && rule.teid.0 != 0)
                .then(|| self.f_teid(rule.interface, rule.teid, rule.v4, rule.v6)),
            choose_id: rule.choose_id,
            qfi: rule.qfi,
        })
    }

    /// The IMSI as the word that sessions hold.
    pub(crate) fn imsi_word(&self) -> Digits {
        self.imsi.map_or(Digits::NONE, |imsi| imsi.0)
    }

    /// What tells a retransmission, which is the same in every byte, from another message that got the
    /// same sequence number. It is compared with that of one other message only: 32 bits are enough.
    pub(crate) fn digest(&self, key: HashKey) -> u32 {
        let mut state = u64::from(self.kind) << 32 | u64::from(self.teid.map_or(0, |teid| teid.0));
        let mut add = |word: u64| state = key.add(state, word);
        add(self.seid.unwrap_or(0));
        add(self.imsi_word().bits());
        add(self.imei.map_or(0, |imei| imei.0.bits()));
        add(u64::from(self.ebis) << 8 | u64::from(self.linked_ebi));
        add(self.location.cell.unwrap_or(0) << 24 ^ u64::from(self.location.area.unwrap_or(0)));
        add(self.f_seid.map_or(0, |f_seid| f_seid.seid.0));
        for bearer in &self.bearers {
            let BearerPart { ebi, instance, cause, qci } = *bearer;
            add(u64::from(u32::from_be_bytes([ebi, instance, cause, qci])));
        }
        for held in &self.held {
            add(u64::from(held.teid.0) << 8 | u64::from(held.interface.0));
        }
        for rule in &self.rules {
            add(u64::from(rule.id) << 32 | u64::from(rule.teid.0));
        }
        (state >> 32) as u32
    }
}
