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

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, Ipv6Addr};
    use std::vec::Vec;

    use types::UeAddress;

    use super::*;

    const GGSN_C: [u8; 4] = [192, 0, 2, 1];
    const GGSN_U: [u8; 16] = [0xfd; 16];

    /// NSAPI 5, IPv4 10.45.0.2; its parts apart from the second address.
    fn value(flags: u8) -> Vec<u8> {
        let parts: [&[u8]; 13] = [
            &[flags | 5, 3],
            &[4, 1, 2, 3, 4],
            &[5, 1, 2, 3, 4, 5],
            &[6, 1, 2, 3, 4, 5, 6],
            &[0, 1, 0, 2, 255, 255],
            &[0, 0, 0, 7],
            &[0, 0, 0, 8],
            &[1, 0xf1, 0x21],
            &[4, 10, 45, 0, 2],
            &[&[4], &GGSN_C[..]].concat(),
            &[&[16], &GGSN_U[..]].concat(),
            b"\x09\x08internet",
            &[0, 0],
        ];
        parts.concat()
    }

    fn wanted() -> PdnConnection {
        let v6 = Some(Ipv6Addr::from(GGSN_U));
        let tunnel = FTeid { interface: Interface::GN_GGSN_U, teid: Teid(8), v4: None, v6 };
        let v4 = Some(Ipv4Addr::from(GGSN_C));
        let mut bearer = Bearer { ebi: Some(Ebi(5)), ..Bearer::default() };
        bearer.f_teids.push(tunnel);
        let mut connection = PdnConnection {
            apn: types::Apn::from_text(b"internet"),
            linked_ebi: Some(Ebi(5)),
            ue: UeAddress { v4: Some(Ipv4Addr::new(10, 45, 0, 2)), v6: None },
            anchor: Some(FTeid { interface: Interface::GN_GGSN_C, teid: Teid(7), v4, v6: None }),
            ..PdnConnection::default()
        };
        connection.bearers.push(bearer);
        connection
    }

    #[test]
    fn a_context_is_a_connection_of_one_bearer() {
        assert_eq!(read(&value(0)), Some(wanted()));
        assert_eq!(read(&[&value(0x70)[..], &[9; 9]].concat()), Some(wanted()), "flags, and bytes behind it");
    }

    #[test]
    fn every_shorter_prefix() {
        let value = value(0);
        for cut in 0..value.len() {
            assert_eq!(read(&value[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn lengths_in_both_directions() {
        let with = |at: usize, length: u8| {
            let mut value = value(0);
            value[at] = length;
            read(&value)
        };
        // Of the QoS profiles; then PDP address, GGSN addresses and APN.
        for at in [2, 7, 13] {
            assert_eq!(with(at, 255), None, "{at}");
        }
        for at in [42, 47] {
            assert_eq!(with(at, 0), None, "{at}");
        }
        for (at, good) in [(37, 4), (42, 4), (47, 16), (64, 9)] {
            assert_eq!(with(at, good), Some(wanted()), "{at}");
            for length in [good - 1, good + 1, 255] {
                assert_eq!(with(at, length), None, "{at}: {length}");
            }
        }
    }

    #[test]
    fn a_second_address_completes_the_first() {
        let six: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3];
        let both = [&value(0x80)[..], &[0x57, 16], &six].concat();
        let mut wanted = wanted();
        wanted.ue.v6 = Some("2001:db8:1:2::".parse().unwrap());
        assert_eq!(read(&both), Some(wanted));
        for cut in value(0).len()..both.len() {
            assert_eq!(read(&both[..cut]), None, "{cut}");
        }
    }
}
