//! From the elements of a GTPv1-C message to a [`SessionEvent`]. TS 29.060 7.

use core::net::IpAddr;

use arrayvec::ArrayVec;
use types::{Bearer, Ebi, FTeid, Interface, PdnConnection, SessionEvent, Teid};

use super::ie::{Ies, Place, kind};
use crate::gtpc::Gtpc;
use crate::signalling::{Budget, Reading};

/// Message types with a rule of their own. TS 29.060 table 1.
mod message {
    pub(super) const CREATE_PDP_CONTEXT_REQUEST: u8 = 16;
    pub(super) const CREATE_PDP_CONTEXT_RESPONSE: u8 = 17;
    pub(super) const UPDATE_PDP_CONTEXT_REQUEST: u8 = 18;
    pub(super) const UPDATE_PDP_CONTEXT_RESPONSE: u8 = 19;
    pub(super) const INITIATE_PDP_CONTEXT_ACTIVATION_REQUEST: u8 = 22;
    pub(super) const PDU_NOTIFICATION_REQUEST: u8 = 27;
    pub(super) const IDENTIFICATION_REQUEST: u8 = 48;
    pub(super) const SGSN_CONTEXT_REQUEST: u8 = 50;
    pub(super) const SGSN_CONTEXT_RESPONSE: u8 = 51;
    pub(super) const SGSN_CONTEXT_ACKNOWLEDGE: u8 = 52;
    pub(super) const FORWARD_RELOCATION_REQUEST: u8 = 53;
    pub(super) const FORWARD_RELOCATION_RESPONSE: u8 = 54;
    pub(super) const MS_INFO_CHANGE_REQUEST: u8 = 128;
    pub(super) const MS_INFO_CHANGE_RESPONSE: u8 = 129;
}

/// One SGSN address, then two of a GGSN for each of 11 contexts. TS 29.060 7.5.4.
const ADDRESSES_MAX: usize = 23;

/// What the elements say together only: an endpoint is a TEID here and an address there.
#[derive(Default)]
struct Parts {
    rai: Option<Place>,
    uli: Option<Option<Place>>,
    control: Option<Teid>,
    data: Option<Teid>,
    forwarding: ArrayVec<(Ebi, Teid), 11>,
    nsapis: ArrayVec<Ebi, 2>,
    charging_id: bool,
    addresses: ArrayVec<IpAddr, ADDRESSES_MAX>,
}

/// Reads the elements of a message; its type is in the event.
pub(crate) fn fill(gtp: &Gtpc<'_>, event: &mut SessionEvent, reading: &mut Reading) {
    let Some(elements) = reading.take(gtp.elements()) else { return };
    let budget = Budget::new();
    let mut ies = Ies::new(elements, &budget);
    let mut parts = Parts::default();
    let mut ue = None;
    while let Some(ie) = ies.next().and_then(|ie| reading.take(ie)) {
        match ie.kind {
            kind::CAUSE => reading.keep(&mut event.cause, || ie.cause()),
            kind::IMSI => reading.keep(&mut event.imsi, || ie.imsi()),
            kind::RAI => reading.keep(&mut parts.rai, || ie.rai()),
            kind::RECOVERY => reading.keep(&mut event.recovery, || ie.recovery()),
            kind::TEID_DATA_I => reading.keep(&mut parts.data, || ie.teid()),
            kind::TEID_CONTROL => reading.keep(&mut parts.control, || ie.teid()),
            kind::TEID_DATA_II => {
                if let Some(forwarding) = reading.take(ie.teid_data_ii()) {
                    reading.push(&mut parts.forwarding, forwarding);
                }
            }
            kind::TEARDOWN => event.teardown |= reading.take(ie.teardown()).unwrap_or_default(),
            kind::NSAPI => {
                if let Some(nsapi) = reading.take(ie.nsapi()) {
                    reading.push(&mut parts.nsapis, nsapi);
                }
            }
            kind::CHARGING_ID => parts.charging_id = true,
            kind::END_USER_ADDRESS => reading.keep(&mut ue, || ie.end_user_address()),
            kind::PDP_CONTEXT => {
                if let Some(connection) = reading.take(ie.pdp_context()) {
                    reading.push(&mut event.pdn_connections, connection);
                }
            }
            kind::APN => reading.keep_any(&mut event.apn, || ie.apn()),
            kind::GSN_ADDRESS => {
                if let Some(address) = reading.take(ie.gsn_address()) {
                    reading.push(&mut parts.addresses, address);
                }
            }
            kind::MSISDN => reading.keep(&mut event.msisdn, || ie.msisdn()),
            kind::RAT => reading.keep(&mut event.rat, || ie.rat()),
            kind::ULI => reading.keep(&mut parts.uli, || ie.location()),
            kind::IMEI => reading.keep(&mut event.imei, || ie.imei()),
            _ => {}
        }
    }
    event.ue = ue.unwrap_or_default();
    place(&parts, event);
    contexts(&parts, event, reading);
}

/// The serving network is that of the RAI, else of the ULI; where the subscriber is says the ULI first.
/// The RAI of a request between SGSNs is the old one. TS 29.060 7.5.1, 7.5.3.
fn place(parts: &Parts, event: &mut SessionEvent) {
    let is_old = matches!(event.message, message::IDENTIFICATION_REQUEST | message::SGSN_CONTEXT_REQUEST);
    let rai = parts.rai.filter(|_| !is_old);
    let uli = parts.uli.flatten();
    event.serving = rai.or(uli).map(|place| place.network);
    event.location = uli.or(rai).map(|place| place.location).unwrap_or_default();
}

/// Endpoints and contexts, by what addresses and identifiers mean in each message.
fn contexts(parts: &Parts, event: &mut SessionEvent, reading: &mut Reading) {
    let addresses = parts.addresses.as_slice();
    let (mut control, mut data) = (None, None);
    match event.message {
        message::CREATE_PDP_CONTEXT_REQUEST
        | message::CREATE_PDP_CONTEXT_RESPONSE
        | message::UPDATE_PDP_CONTEXT_REQUEST
        | message::UPDATE_PDP_CONTEXT_RESPONSE => {
            let (c, u) = match addresses {
                // With the TEID of one plane alone, an address alone is of this plane. Table 10.
                [one] if parts.control.is_none() => (&[][..], core::slice::from_ref(one)),
                // Control plane, user plane, and the same of the other family. Tables 5 to 9.
                _ => (addresses, addresses.get(1..).unwrap_or_default()),
            };
            let is_ggsn = from_ggsn(parts, event.message);
            let (control_plane, user_plane) = if is_ggsn {
                (Interface::GN_GGSN_C, Interface::GN_GGSN_U)
            } else {
                (Interface::GN_SGSN_C, Interface::GN_SGSN_U)
            };
            control = parts.control.map(|teid| endpoint(control_plane, teid, c.iter().step_by(2)));
            data = parts.data.map(|teid| endpoint(user_plane, teid, u.iter().step_by(2)));
        }
        message::PDU_NOTIFICATION_REQUEST => {
            control = parts.control.map(|teid| endpoint(Interface::GN_GGSN_C, teid, addresses));
        }
        message::SGSN_CONTEXT_REQUEST => {
            control = parts.control.map(|teid| endpoint(Interface::GN_SGSN_C, teid, addresses));
        }
        message::SGSN_CONTEXT_RESPONSE | message::FORWARD_RELOCATION_REQUEST => {
            let sgsn = addresses.first();
            control = parts.control.map(|teid| endpoint(Interface::GN_SGSN_C, teid, sgsn));
            alternatives(addresses.get(1..).unwrap_or_default(), &mut event.pdn_connections);
        }
        message::SGSN_CONTEXT_ACKNOWLEDGE => forwarding(parts, addresses.first(), event, reading),
        message::FORWARD_RELOCATION_RESPONSE => {
            let sgsn = addresses.first();
            control = parts.control.map(|teid| endpoint(Interface::GN_SGSN_C, teid, sgsn));
            forwarding(parts, addresses.get(1), event, reading);
        }
        _ => {}
    }
    if let Some(control) = control {
        reading.push(&mut event.f_teids, (0, control));
    }
    let mut nsapis = parts.nsapis.iter().copied();
    // Tables 7.3.12.1, 7.5B.1.1.1 and 7.5B.1.2.1 have the linked one alone.
    let has_own = !matches!(
        event.message,
        message::INITIATE_PDP_CONTEXT_ACTIVATION_REQUEST
            | message::MS_INFO_CHANGE_REQUEST
            | message::MS_INFO_CHANGE_RESPONSE
    );
    let ebi = if has_own { nsapis.next() } else { None };
    event.linked_ebi = nsapis.next();
    if ebi.is_some() || data.is_some() {
        if let Some(bearer) = reading.push(&mut event.bearers, Bearer { ebi, ..Bearer::default() }) {
            if let Some(data) = data {
                reading.push(&mut bearer.f_teids, data);
            }
        }
    }
}

/// Who sent a message of a PDP context. An update request with endpoints is an SGSN's (tables 7, 8). The
/// answer of a GGSN has two addresses and a Charging ID (table 9); that of an SGSN has at most the TEID
/// and the address of its user plane (table 10).
fn from_ggsn(parts: &Parts, kind: u8) -> bool {
    match kind {
        message::CREATE_PDP_CONTEXT_RESPONSE => true,
        message::UPDATE_PDP_CONTEXT_RESPONSE => {
            parts.charging_id || parts.control.is_some() || parts.addresses.len() != 1
        }
        _ => false,
    }
}

/// An endpoint from its parts: of each family the first address.
fn endpoint<'a>(interface: Interface, teid: Teid, addresses: impl IntoIterator<Item = &'a IpAddr>) -> FTeid {
    let mut endpoint = FTeid { interface, teid, v4: None, v6: None };
    for address in addresses {
        also(&mut endpoint, *address);
    }
    endpoint
}

fn also(endpoint: &mut FTeid, address: IpAddr) {
    match address {
        IpAddr::V4(address) => endpoint.v4 = endpoint.v4.or(Some(address)),
        IpAddr::V6(address) => endpoint.v6 = endpoint.v6.or(Some(address)),
    }
}

/// The GGSN's addresses of the other family: control plane and user plane, a pair for each PDP context in
/// their order. TS 29.060 7.5.4, 7.5.6.
fn alternatives(pairs: &[IpAddr], connections: &mut [PdnConnection]) {
    for (pair, connection) in pairs.chunks_exact(2).zip(connections) {
        let &[control, user] = pair else { return };
        if let Some(anchor) = &mut connection.anchor {
            also(anchor, control);
        }
        for endpoint in connection.bearers.iter_mut().flat_map(|bearer| &mut bearer.f_teids) {
            also(endpoint, user);
        }
    }
}

/// Where the new SGSN wants what the old one still gets: one address, a TEID for each context.
fn forwarding(parts: &Parts, address: Option<&IpAddr>, event: &mut SessionEvent, reading: &mut Reading) {
    for &(nsapi, teid) in &parts.forwarding {
        let empty = Bearer { ebi: Some(nsapi), ..Bearer::default() };
        if let Some(bearer) = reading.push(&mut event.bearers, empty) {
            reading.push(&mut bearer.f_teids, endpoint(Interface::SGSN_FORWARDING, teid, address));
        }
    }
}
