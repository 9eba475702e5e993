//! The PDP Context element, by which one SGSN tells another. TS 29.060 7.7.29.
//!
//! ```text
//!  EA(1) VAA(1) ASI(1) order(1) NSAPI(4) | SAPI(1) |
//!  length(1) subscribed QoS | length(1) requested QoS | length(1) negotiated QoS |
//!  sequence numbers down(2) up(2), N-PDU numbers sent(1) received(1) |
//!  uplink TEID control plane(4) | uplink TEID data I(4) | identifier(1) |
//!  PDP type organisation(1) number(1) | length(1) PDP address |
//!  length(1) GGSN address of the control plane | length(1) GGSN address for user traffic |
//!  length(1) APN | transaction identifier(2) |
//!  PDP type number(1) | length(1) PDP address      where EA is set: the second of two addresses |
//! ```

use core::net::IpAddr;

use types::{Bearer, Ebi, FTeid, Interface, PdnConnection, Teid};

use super::ie::pdp_address;
use crate::cursor::{self, Cursor};

pub(super) fn read(value: &[u8]) -> Option<PdnConnection> {
    let mut rest = Cursor(value);
    let flags = rest.u8()?;
    let nsapi = Ebi(flags & 0x0f);
    rest.u8()?;
    for _ in ["subscribed", "requested", "negotiated"] {
        rest.counted()?;
    }
    rest.array::<6>()?;
    let control = Teid(rest.u32()?);
    let data = Teid(rest.u32()?);
    let [_, organisation, number] = rest.array()?;
    let mut ue = pdp_address(organisation, number, rest.counted()?)?;
    let anchor = endpoint(Interface::GN_GGSN_C, control, rest.counted()?)?;
    let tunnel = endpoint(Interface::GN_GGSN_U, data, rest.counted()?)?;
    let apn = cursor::apn(rest.counted()?)?;
    rest.u16()?;
    if flags & 0x80 != 0 {
        let number = rest.u8()?;
        let second = pdp_address(organisation, number, rest.counted()?)?;
        ue.v4 = ue.v4.or(second.v4);
        ue.v6 = ue.v6.or(second.v6);
    }
    let mut bearer = Bearer { ebi: Some(nsapi), ..Bearer::default() };
    bearer.f_teids.try_push(tunnel).ok()?;
    let mut connection =
        PdnConnection { apn, linked_ebi: Some(nsapi), ue, anchor: Some(anchor), ..PdnConnection::default() };
    connection.bearers.try_push(bearer).ok()?;
    Some(connection)
}

fn endpoint(interface: Interface, teid: Teid, value: &[u8]) -> Option<FTeid> {
    Some(match cursor::address(value)? {
        IpAddr::V4(address) => FTeid { interface, teid, v4: Some(address), v6: None },
        IpAddr::V6(address) => FTeid { interface, teid, v4: None, v6: Some(address) },
    })
}
