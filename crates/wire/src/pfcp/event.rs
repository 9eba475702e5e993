//! From the elements of a PFCP message to a [`SessionEvent`]. TS 29.244 7.

use types::{Apn, FTeid, Far, Interface, Pdr, Qfi, RuleAction, SessionEvent, Side, UeAddress};

use super::ie::{Endpoint, FTeidValue, Ie, IeError, Ies, kind};
use crate::signalling::{Budget, Reading};

/// Reads the elements of a message. Groups have three levels, message, rule and what is in it: deeper
/// ones are not looked into.
pub(crate) fn fill(body: &[u8], event: &mut SessionEvent, reading: &mut Reading) {
    let budget = Budget::new();
    let mut ies = Ies::new(body, &budget);
    let mut found = Found::default();
    while let Some(ie) = ies.next().and_then(|ie| reading.take(ie)) {
        let rule = |action| Rule { group: ie, action, budget: &budget };
        match ie.kind {
            kind::CREATE_PDR => rule(RuleAction::Create).pdr(event, &mut found, reading),
            kind::CREATED_PDR => rule(RuleAction::Created).pdr(event, &mut found, reading),
            kind::UPDATE_PDR => rule(RuleAction::Update).pdr(event, &mut found, reading),
            kind::REMOVE_PDR => rule(RuleAction::Remove).pdr(event, &mut found, reading),
            kind::CREATE_FAR => rule(RuleAction::Create).far(event, reading),
            kind::UPDATE_FAR => rule(RuleAction::Update).far(event, reading),
            kind::REMOVE_FAR => rule(RuleAction::Remove).far(event, reading),
            kind::CAUSE => reading.keep(&mut event.cause, || ie.cause()),
            kind::NETWORK_INSTANCE => found.instance(ie.network_instance(), None),
            kind::F_SEID => reading.keep(&mut event.f_seid, || ie.f_seid()),
            kind::UE_IP_ADDRESS => found.ue(reading.take(ie.ue_ip_address()), None),
            kind::RECOVERY_TIME_STAMP => reading.keep(&mut event.recovery, || ie.recovery_time_stamp()),
            kind::USER_ID => {
                if let Some(user) = reading.take(ie.user_id()) {
                    event.imsi = event.imsi.or(user.imsi);
                    event.imei = event.imei.or(user.imei);
                    event.msisdn = event.msisdn.or(user.msisdn);
                }
            }
            kind::APN => reading.keep_any(&mut event.apn, || ie.apn()),
            kind::S_NSSAI => reading.keep(&mut event.snssai, || ie.s_nssai()),
            kind::FIRST_VENDOR.. if ie.value.len() < 2 => reading.bad(IeError::Value(ie.kind)),
            _ => {}
        }
    }
    event.ue = found.core_ue.or(found.ue).unwrap_or_default();
    event.network_instance = found.core_instance.or(found.instance);
}

/// What rules say of the whole session: those from the core side before the others.
#[derive(Default)]
struct Found {
    core_ue: Option<UeAddress>,
    ue: Option<UeAddress>,
    core_instance: Option<Apn>,
    instance: Option<Apn>,
}

impl Found {
    fn ue(&mut self, ue: Option<UeAddress>, source: Option<Side>) {
        let ue = ue.filter(|ue| *ue != UeAddress::default());
        let place = if is_core(source) { &mut self.core_ue } else { &mut self.ue };
        *place = place.or(ue);
    }

    fn instance(&mut self, instance: Option<Apn>, source: Option<Side>) {
        let place = if is_core(source) { &mut self.core_instance } else { &mut self.instance };
        *place = place.or(instance);
    }
}

const fn is_core(side: Option<Side>) -> bool {
    matches!(side, Some(Side::Core | Side::SgiLan))
}

/// A group about one rule.
#[derive(Clone, Copy)]
struct Rule<'a, 'b> {
    group: Ie<'a>,
    action: RuleAction,
    budget: &'b Budget,
}

impl Rule<'_, '_> {
    /// Create, Created, Update or Remove PDR. TS 29.244 tables 7.5.2.2-1, 7.5.3.2-1, 7.5.4.2-1, 7.5.4.6-1.
    fn pdr(self, event: &mut SessionEvent, found: &mut Found, reading: &mut Reading) {
        let mut id = None;
        let mut pdi = Pdi::default();
        let mut far = None;
        let mut ies = Ies::new(self.group.value, self.budget);
        while let Some(ie) = ies.next().and_then(|ie| reading.take(ie)) {
            match ie.kind {
                kind::PDR_ID => reading.keep(&mut id, || ie.pdr_id()),
                kind::FAR_ID => reading.keep(&mut far, || ie.far_id()),
                kind::PDI => pdi.read(Ies::new(ie.value, self.budget), reading),
                // A Created PDR has them without a PDI.
                kind::F_TEID => reading.keep(&mut pdi.local, || ie.f_teid()),
                kind::UE_IP_ADDRESS => reading.keep(&mut pdi.ue, || ie.ue_ip_address()),
                _ => {}
            }
        }
        found.ue(pdi.ue, pdi.source);
        found.instance(pdi.instance, pdi.source);
        let Some(id) = id else { return reading.bad(IeError::NoId(self.group.kind)) };
        let (local, choose, choose_id) = match pdi.local {
            Some(FTeidValue::Endpoint(endpoint)) => (Some(local_f_teid(endpoint, pdi.source)), false, None),
            Some(FTeidValue::Choose(id)) => (None, true, id),
            None => (None, false, None),
        };
        let pdr = Pdr {
            action: self.action,
            id,
            source: pdi.source,
            local,
            choose,
            choose_id,
            ue: pdi.ue.unwrap_or_default(),
            qfi: pdi.qfi,
            far,
        };
        reading.push(&mut event.pdrs, pdr);
    }

    /// Create, Update or Remove FAR. TS 29.244 tables 7.5.2.3-1, 7.5.4.3-1, 7.5.4.7-1.
    fn far(self, event: &mut SessionEvent, reading: &mut Reading) {
        let mut id = None;
        let (mut destination, mut peer) = (None, None);
        let mut ies = Ies::new(self.group.value, self.budget);
        while let Some(ie) = ies.next().and_then(|ie| reading.take(ie)) {
            match ie.kind {
                kind::FAR_ID => reading.keep(&mut id, || ie.far_id()),
                kind::FORWARDING_PARAMETERS | kind::UPDATE_FORWARDING_PARAMETERS => {
                    let mut ies = Ies::new(ie.value, self.budget);
                    while let Some(ie) = ies.next().and_then(|ie| reading.take(ie)) {
                        match ie.kind {
                            kind::DESTINATION_INTERFACE => {
                                reading.keep(&mut destination, || ie.destination_interface());
                            }
                            kind::OUTER_HEADER_CREATION => {
                                reading.keep(&mut peer, || ie.outer_header_creation());
                            }
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        let Some(id) = id else { return reading.bad(IeError::NoId(self.group.kind)) };
        let peer = peer.flatten().map(|endpoint| peer_f_teid(endpoint, destination));
        reading.push(&mut event.fars, Far { action: self.action, id, destination, peer });
    }
}

/// Packet detection information. TS 29.244 table 7.5.2.2-2.
#[derive(Default)]
struct Pdi {
    source: Option<Side>,
    local: Option<FTeidValue>,
    instance: Option<Apn>,
    ue: Option<UeAddress>,
    qfi: Option<Qfi>,
}

impl Pdi {
    fn read(&mut self, mut ies: Ies<'_, '_>, reading: &mut Reading) {
        while let Some(ie) = ies.next().and_then(|ie| reading.take(ie)) {
            match ie.kind {
                kind::SOURCE_INTERFACE => reading.keep(&mut self.source, || ie.source_interface()),
                kind::F_TEID => reading.keep(&mut self.local, || ie.f_teid()),
                kind::NETWORK_INSTANCE => self.instance = self.instance.or_else(|| ie.network_instance()),
                kind::UE_IP_ADDRESS => reading.keep(&mut self.ue, || ie.ue_ip_address()),
                kind::QFI => reading.keep(&mut self.qfi, || ie.qfi()),
                _ => {}
            }
        }
    }
}

/// A UPF's own endpoint: N3 towards the radio network, N9 towards another UPF.
fn local_f_teid(Endpoint { teid, v4, v6 }: Endpoint, source: Option<Side>) -> FTeid {
    let interface = if source == Some(Side::Access) { Interface::N3_UPF } else { Interface::N9_UPF };
    FTeid { interface, teid, v4, v6 }
}

/// The endpoint that a UPF sends to: a gNB's towards the radio network, else another UPF's.
fn peer_f_teid(Endpoint { teid, v4, v6 }: Endpoint, destination: Option<Side>) -> FTeid {
    let interface = if destination == Some(Side::Access) { Interface::N3_GNB } else { Interface::N9_UPF };
    FTeid { interface, teid, v4, v6 }
}
