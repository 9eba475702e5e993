//! From the elements of a GTPv2-C message to a [`SessionEvent`]. TS 29.274 7.

use core::net::IpAddr;

use arrayvec::ArrayVec;
use types::{Bearer, PdnConnection, SessionEvent};

use super::ie::{Ie, IeError, Ies, kind};
use crate::cursor;
use crate::signalling::{Budget, Reading};

/// Message types with a rule of their own. TS 29.274 6.1.
mod message {
    pub(super) const CREATE_SESSION_REQUEST: u8 = 32;
    pub(super) const CREATE_SESSION_RESPONSE: u8 = 33;
    pub(super) const MODIFY_BEARER_RESPONSE: u8 = 35;
    pub(super) const DELETE_SESSION_REQUEST: u8 = 36;
    pub(super) const CHANGE_NOTIFICATION_REQUEST: u8 = 38;
    pub(super) const BEARER_RESOURCE_COMMAND: u8 = 68;
    pub(super) const BEARER_RESOURCE_FAILURE_INDICATION: u8 = 69;
    pub(super) const CREATE_BEARER_REQUEST: u8 = 95;
    pub(super) const DELETE_BEARER_REQUEST: u8 = 99;
    pub(super) const DELETE_BEARER_RESPONSE: u8 = 100;
    pub(super) const SUSPEND_NOTIFICATION: u8 = 162;
    pub(super) const RESUME_NOTIFICATION: u8 = 164;
}

/// Whether the EBI of instance 0 outside of groups is the Linked EPS Bearer ID. In Release Access Bearers
/// Request and Downlink Data Notification it is one of a list. TS 29.274 tables 7.2.1-1, 7.2.2-1, 7.2.3-1,
/// 7.2.5-1, 7.2.6-1, 7.2.8-1, 7.2.9.1-1, 7.2.9.2-1, 7.2.10.2-1, 7.3.14-1, 7.4.1-1, 7.4.3-1.
const fn names_default_bearer(message: u8) -> bool {
    matches!(
        message,
        message::CREATE_SESSION_REQUEST
            | message::CREATE_SESSION_RESPONSE
            | message::MODIFY_BEARER_RESPONSE
            | message::DELETE_SESSION_REQUEST
            | message::CHANGE_NOTIFICATION_REQUEST
            | message::BEARER_RESOURCE_COMMAND
            | message::BEARER_RESOURCE_FAILURE_INDICATION
            | message::CREATE_BEARER_REQUEST
            | message::DELETE_BEARER_REQUEST
            | message::DELETE_BEARER_RESPONSE
            | message::SUSPEND_NOTIFICATION
            | message::RESUME_NOTIFICATION
    )
}

/// Reads the elements of a message; its type is in the event.
#[inline]
pub(crate) fn fill(body: &[u8], event: &mut SessionEvent, reading: &mut Reading) {
    let budget = Budget::new();
    let mut ies = Ies::new(body, &budget);
    let mut ue = None;
    let mut location = None;
    while let Some(ie) = ies.next().and_then(|ie| reading.take(ie)) {
        // Where a value has its own place in the event, instance 0 is the one that is meant.
        match (ie.kind, ie.instance) {
            (kind::IMSI, 0) => reading.keep(&mut event.imsi, || ie.imsi()),
            (kind::CAUSE, 0) => reading.keep(&mut event.cause, || ie.cause()),
            (kind::RECOVERY, 0) => reading.keep(&mut event.recovery, || ie.recovery()),
            (kind::APN, 0) => reading.keep_any(&mut event.apn, || ie.apn()),
            (kind::EBI, instance) => ebi(&ie, instance, event, reading),
            (kind::MEI, 0) => reading.keep(&mut event.imei, || ie.mei()),
            (kind::MSISDN, 0) => reading.keep(&mut event.msisdn, || ie.msisdn()),
            (kind::INDICATION, 0) => indication(&ie, event, reading),
            (kind::PAA, 0) => reading.keep(&mut ue, || ie.paa()),
            (kind::RAT, 0) => reading.keep(&mut event.rat, || ie.rat()),
            (kind::SERVING_NETWORK, 0) => reading.keep(&mut event.serving, || ie.serving_network()),
            (kind::ULI, 0) => reading.keep(&mut location, || ie.location()),
            (kind::F_TEID, instance) => {
                if let Some(f_teid) = reading.take(ie.f_teid()) {
                    reading.push(&mut event.f_teids, (instance, f_teid));
                }
            }
            (kind::BEARER_CONTEXT, _) => bearer(&ie, &budget, &mut event.bearers, reading),
            (kind::PDN_CONNECTION, 0) => {
                pdn_connection(&ie, &budget, &mut event.pdn_connections, reading);
            }
            (kind::EXTENSION, _) if ie.value.len() < 2 => reading.bad(IeError::Value(ie.kind)),
            _ => {}
        }
    }
    event.ue = ue.unwrap_or_default();
    event.location = location.unwrap_or_default();
}

/// A group of no element says nothing: it is as wrong as a value of no byte.
fn elements<'a>(group: &Ie<'a>) -> Result<&'a [u8], IeError> {
    if group.value.is_empty() { Err(IeError::Value(group.kind)) } else { Ok(group.value) }
}

fn ebi(ie: &Ie<'_>, instance: u8, event: &mut SessionEvent, reading: &mut Reading) {
    if instance == 0 && names_default_bearer(event.message) {
        reading.keep(&mut event.linked_ebi, || ie.ebi());
    } else if let Some(ebi) = reading.take(ie.ebi()) {
        reading.push(&mut event.ebis, ebi);
    }
}

/// The flags have these meanings in Delete Session Request; elsewhere others. TS 29.274 8.12.
fn indication(ie: &Ie<'_>, event: &mut SessionEvent, reading: &mut Reading) {
    if event.message != message::DELETE_SESSION_REQUEST {
        return;
    }
    if let Some(flags) = reading.take(ie.indication()) {
        event.teardown |= flags.operation;
        event.scope |= flags.scope;
    }
}

/// A Bearer Context. TS 29.274 8.28 and the tables of each message.
#[inline]
fn bearer<const N: usize>(
    group: &Ie<'_>,
    budget: &Budget,
    bearers: &mut ArrayVec<Bearer, N>,
    reading: &mut Reading,
) {
    let Some(value) = reading.take(elements(group)) else { return };
    let empty = Bearer { instance: group.instance, ..Bearer::default() };
    let Some(bearer) = reading.push(bearers, empty) else { return };
    let mut ies = Ies::new(value, budget);
    while let Some(ie) = ies.next().and_then(|ie| reading.take(ie)) {
        match (ie.kind, ie.instance) {
            (kind::EBI, 0) => reading.keep(&mut bearer.ebi, || ie.ebi()),
            (kind::CAUSE, 0) => reading.keep(&mut bearer.cause, || ie.cause()),
            (kind::BEARER_QOS, 0) => reading.keep(&mut bearer.qci, || ie.qci()),
            (kind::F_TEID, _) => {
                if let Some(f_teid) = reading.take(ie.f_teid()) {
                    reading.push(&mut bearer.f_teids, f_teid);
                }
            }
            _ => {}
        }
    }
}

/// A PDN Connection of Forward Relocation Request or Context Response. TS 29.274 tables 7.3.1-2, 7.3.6-2.
fn pdn_connection<const N: usize>(
    group: &Ie<'_>,
    budget: &Budget,
    connections: &mut ArrayVec<PdnConnection, N>,
    reading: &mut Reading,
) {
    let Some(value) = reading.take(elements(group)) else { return };
    let Some(connection) = reading.push(connections, PdnConnection::default()) else { return };
    let mut ies = Ies::new(value, budget);
    let (mut v4, mut v6) = (None, None);
    while let Some(ie) = ies.next().and_then(|ie| reading.take(ie)) {
        match (ie.kind, ie.instance) {
            (kind::APN, 0) => reading.keep_any(&mut connection.apn, || ie.apn()),
            (kind::EBI, 0) => reading.keep(&mut connection.linked_ebi, || ie.ebi()),
            (kind::F_TEID, 0) => reading.keep(&mut connection.anchor, || ie.f_teid()),
            (kind::PAA, 0) => {
                if let Some(paa) = reading.take(ie.paa()) {
                    v4 = v4.or(paa.v4);
                    v6 = v6.or(paa.v6);
                }
            }
            (kind::IP_ADDRESS, 0 | 1) => match reading.take(ie.ip_address()) {
                Some(IpAddr::V4(address)) => v4 = v4.or(Some(address)),
                Some(IpAddr::V6(address)) => v6 = v6.or(Some(address)),
                None => {}
            },
            (kind::BEARER_CONTEXT, _) => bearer(&ie, budget, &mut connection.bearers, reading),
            _ => {}
        }
    }
    connection.ue = cursor::ue(v4, v6);
}
