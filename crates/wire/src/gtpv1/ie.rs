//! Information elements of GTPv1-C. TS 29.060 7.7.
//!
//! ```text
//!  0  | type, 1 to 127 | value, its length fixed by the type         |
//!  0  | type, from 128 on | length(2), of the value | value           |
//!  0  | type 141 | length(1), of the value | value                    |
//! ```

use core::net::IpAddr;

use types::{Apn, Ebi, Imei, Imsi, Location, Malformed, Msisdn, PdnConnection, Plmn, Rat, Teid, UeAddress};

use super::pdp_context;
use crate::cursor::{self, Cursor};
use crate::gtpv2::ie::assigned;
use crate::signalling::Budget;

/// Types of information elements that are read. TS 29.060 table 37.
pub mod kind {
    /// Cause.
    pub const CAUSE: u8 = 1;
    /// International Mobile Subscriber Identity.
    pub const IMSI: u8 = 2;
    /// Routeing Area Identity.
    pub const RAI: u8 = 3;
    /// Restart counter.
    pub const RECOVERY: u8 = 14;
    /// Tunnel Endpoint Identifier Data I.
    pub const TEID_DATA_I: u8 = 16;
    /// Tunnel Endpoint Identifier Control Plane.
    pub const TEID_CONTROL: u8 = 17;
    /// Tunnel Endpoint Identifier Data II, with its NSAPI.
    pub const TEID_DATA_II: u8 = 18;
    /// Teardown Ind.
    pub const TEARDOWN: u8 = 19;
    /// NSAPI.
    pub const NSAPI: u8 = 20;
    /// Charging ID.
    pub const CHARGING_ID: u8 = 127;
    /// End User Address.
    pub const END_USER_ADDRESS: u8 = 128;
    /// PDP Context.
    pub const PDP_CONTEXT: u8 = 130;
    /// Access Point Name.
    pub const APN: u8 = 131;
    /// GSN Address.
    pub const GSN_ADDRESS: u8 = 133;
    /// MSISDN.
    pub const MSISDN: u8 = 134;
    /// Extension Header Type List, the one with a length of one byte. TS 29.060 7.7.40.
    pub const EXTENSION_LIST: u8 = 141;
    /// RAT Type.
    pub const RAT: u8 = 151;
    /// User Location Information.
    pub const ULI: u8 = 152;
    /// IMEI(SV).
    pub const IMEI: u8 = 154;
}

/// The length of a value whose type fixes it. TS 29.060 table 37; reserved types have none.
const fn fixed_length(kind: u8) -> Option<usize> {
    Some(match kind {
        // Cause, reordering required, MAP cause, MS validated, recovery, selection mode, teardown ind,
        // NSAPI, RANAP cause, radio priorities, MS not reachable reason.
        1 | 8 | 11 | 13..=15 | 19..=21 | 23 | 24 | 29 => 1,
        // Packet flow id, charging characteristics, trace reference, trace type.
        25..=28 => 2,
        // P-TMSI signature.
        12 => 3,
        // TLLI, P-TMSI, TEIDs, charging ID.
        4 | 5 | 16 | 17 | 127 => 4,
        // TEID Data II.
        18 => 5,
        // RAI.
        3 => 6,
        // IMSI.
        2 => 8,
        // RAB context.
        22 => 9,
        // Authentication triplet.
        9 => 28,
        _ => return None,
    })
}

/// Why an information element cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IeError {
    /// The data ends inside it.
    Truncated,
    /// A type below 128 that is not known: neither is its length.
    Unknown(u8),
    /// More than [`crate::IES_MAX`] in one message.
    TooMany,
    /// A value that this type cannot have.
    Value(u8),
}

impl From<IeError> for Malformed {
    fn from(_: IeError) -> Self {
        Self::GtpcBadIe
    }
}

/// One information element. What its value means is asked by the method of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ie<'a> {
    /// Type.
    pub kind: u8,
    /// All that its length says.
    pub value: &'a [u8],
}

/// The information elements of a message. Stays finished after its first error.
#[derive(Clone, Debug)]
pub struct Ies<'a, 'b> {
    rest: &'a [u8],
    budget: &'b Budget,
}

impl<'a, 'b> Ies<'a, 'b> {
    /// Of a message, behind its extension headers.
    #[inline(always)]
    #[must_use]
    pub const fn new(elements: &'a [u8], budget: &'b Budget) -> Self {
        Self { rest: elements, budget }
    }

    #[inline(always)]
    fn step(&mut self) -> Result<Ie<'a>, IeError> {
        self.budget.spend().ok_or(IeError::TooMany)?;
        let mut rest = Cursor(self.rest);
        let kind = rest.u8().ok_or(IeError::Truncated)?;
        let length = match kind {
            kind::EXTENSION_LIST => rest.u8().map(usize::from).ok_or(IeError::Truncated)?,
            128.. => rest.u16().map(usize::from).ok_or(IeError::Truncated)?,
            _ => fixed_length(kind).ok_or(IeError::Unknown(kind))?,
        };
        let value = rest.bytes(length).ok_or(IeError::Truncated)?;
        self.rest = rest.0;
        Ok(Ie { kind, value })
    }
}

impl<'a> Iterator for Ies<'a, '_> {
    type Item = Result<Ie<'a>, IeError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let step = self.step();
        if step.is_err() {
            self.rest = &[];
        }
        Some(step)
    }
}

impl core::iter::FusedIterator for Ies<'_, '_> {}

/// A network, and where in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The network.
    pub network: Plmn,
    /// Location area; cell or service area where one was told.
    pub location: Location,
}

macro_rules! values {
    ($($(#[$doc:meta])* $method:ident() -> $value:ty = $read:expr;)*) => {
        impl Ie<'_> {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// [`IeError::Value`].
                #[inline]
                pub fn $method(&self) -> Result<$value, IeError> {
                    let read: fn(&[u8]) -> Option<$value> = $read;
                    read(self.value).ok_or(IeError::Value(self.kind))
                }
            )*
        }
    };
}

values!(
    /// Of [`kind::CAUSE`]. TS 29.060 7.7.1.
    cause() -> u8 = |value| value.first().copied();
    /// Of [`kind::IMSI`]. TS 29.060 7.7.2.
    imsi() -> Imsi = cursor::imsi;
    /// Of [`kind::RAI`]: the network and its location area. TS 29.060 7.7.3.
    rai() -> Place = rai;
    /// Of [`kind::RECOVERY`]: the restart counter. TS 29.060 7.7.11.
    recovery() -> u32 = |value| value.first().copied().map(u32::from);
    /// Of [`kind::TEID_DATA_I`] and [`kind::TEID_CONTROL`]. TS 29.060 7.7.13, 7.7.14.
    teid() -> Teid = |value| Cursor(value).u32().map(Teid);
    /// Of [`kind::TEID_DATA_II`]: with its NSAPI. TS 29.060 7.7.15.
    teid_data_ii() -> (Ebi, Teid) = |value| {
        let mut rest = Cursor(value);
        Some((Ebi(rest.u8()? & 0x0f), Teid(rest.u32()?)))
    };
    /// Of [`kind::TEARDOWN`]. TS 29.060 7.7.16.
    teardown() -> bool = |value| value.first().map(|ind| ind & 1 != 0);
    /// Of [`kind::NSAPI`]. TS 29.060 7.7.17.
    nsapi() -> Ebi = |value| value.first().map(|nsapi| Ebi(nsapi & 0x0f));
    /// Of [`kind::END_USER_ADDRESS`]: nothing for PDP types without IP. TS 29.060 7.7.27.
    end_user_address() -> UeAddress = |value| {
        let mut rest = Cursor(value);
        let [organisation, number] = rest.array()?;
        pdp_address(organisation, number, rest.0)
    };
    /// Of [`kind::PDP_CONTEXT`]: a PDN connection of one bearer. TS 29.060 7.7.29.
    pdp_context() -> PdnConnection = pdp_context::read;
    /// Of [`kind::APN`]: `None` where it has no label. TS 29.060 7.7.30.
    apn() -> Option<Apn> = cursor::apn;
    /// Of [`kind::GSN_ADDRESS`]. TS 29.060 7.7.32.
    gsn_address() -> IpAddr = cursor::address;
    /// Of [`kind::MSISDN`]: its first byte is the type of number (TS 29.002 17.7.8). TS 29.060 7.7.33.
    msisdn() -> Msisdn = |value| cursor::msisdn(value.get(1..)?);
    /// Of [`kind::RAT`]. TS 29.060 7.7.50.
    rat() -> Rat = |value| value.first().copied().map(Rat);
    /// Of [`kind::ULI`]: `None` for a type of location that is not known. TS 29.060 7.7.51.
    location() -> Option<Place> = location;
    /// Of [`kind::IMEI`]. TS 29.060 7.7.53.
    imei() -> Imei = cursor::imei;
);

fn rai(value: &[u8]) -> Option<Place> {
    let mut rest = Cursor(value);
    let network = Plmn::from_bytes(rest.array()?)?;
    let area = assigned(rest.u16()?);
    // Routeing area.
    rest.u8()?;
    Some(Place { network, location: Location { area, cell: None } })
}

fn location(value: &[u8]) -> Option<Option<Place>> {
    let mut rest = Cursor(value);
    let kind = rest.u8()?;
    if kind > 2 {
        return Some(None);
    }
    let network = Plmn::from_bytes(rest.array()?)?;
    let area = assigned(rest.u16()?);
    // CI, SAC, or routeing area and 0xff.
    let code = rest.u16()?;
    let cell = (kind < 2).then_some(u64::from(code));
    Some(Some(Place { network, location: Location { area, cell } }))
}

/// The addresses of an End User Address, by what its type says and its length allows: one that is
/// assigned later is not there. TS 29.060 7.7.27.
pub(super) fn pdp_address(organisation: u8, number: u8, value: &[u8]) -> Option<UeAddress> {
    const IETF: u8 = 1;
    const IPV4: u8 = 0x21;
    const IPV6: u8 = 0x57;
    const IPV4V6: u8 = 0x8d;
    let mut rest = Cursor(value);
    let (v4, v6) = match (organisation & 0x0f, number, value.len()) {
        (IETF, IPV4 | IPV6 | IPV4V6, 0) => (None, None),
        (IETF, IPV4V6, 20..) => (rest.v4(), rest.v6()),
        (IETF, IPV4, 4..) | (IETF, IPV4V6, 4) => (rest.v4(), None),
        (IETF, IPV6, 16..) | (IETF, IPV4V6, 16) => (None, rest.v6()),
        (IETF, IPV4 | IPV6 | IPV4V6, _) => return None,
        _ => (None, None),
    };
    Some(cursor::ue(v4, v6))
}

#[cfg(test)]
mod tests {
    use core::fmt::Debug;
    use std::string::ToString;
    use std::vec::Vec;

    use super::*;
    use crate::tests::every_length;

    fn walk(elements: &[u8]) -> Vec<Result<(u8, usize), IeError>> {
        let budget = Budget::new();
        Ies::new(elements, &budget).map(|ie| ie.map(|ie| (ie.kind, ie.value.len()))).collect()
    }

    /// Recovery 7, TEID Data I, an extension header type list of two, an unknown type of three bytes.
    const FOUR: [u8; 17] = [14, 7, 16, 0, 0, 0, 9, 141, 2, 0xc0, 0xc1, 200, 0, 3, 1, 2, 3];

    #[test]
    fn types_fix_lengths_or_elements_tell_them() {
        assert_eq!(walk(&FOUR), [Ok((14, 1)), Ok((16, 4)), Ok((141, 2)), Ok((200, 3))]);
        assert_eq!(walk(&[]), []);
    }

    /// TS 29.060 table 37.
    #[test]
    fn every_type_below_128() {
        let fixed = [
            (1, 1),
            (2, 8),
            (3, 6),
            (4, 4),
            (5, 4),
            (8, 1),
            (9, 28),
            (11, 1),
            (12, 3),
            (13, 1),
            (14, 1),
            (15, 1),
            (16, 4),
            (17, 4),
            (18, 5),
            (19, 1),
            (20, 1),
            (21, 1),
            (22, 9),
            (23, 1),
            (24, 1),
            (25, 2),
            (26, 2),
            (27, 2),
            (28, 2),
            (29, 1),
            (127, 4),
        ];
        for kind in 0..128 {
            let mut elements = [kind; 30];
            elements[1..].fill(1);
            let wanted = match fixed.iter().find(|(known, _)| *known == kind) {
                Some(&(_, length)) => Ok((kind, length)),
                None => Err(IeError::Unknown(kind)),
            };
            assert_eq!(walk(&elements)[0], wanted);
        }
    }

    #[test]
    fn every_shorter_prefix_ends_in_an_error_or_between_elements() {
        let ends = [(2, (14, 1)), (7, (16, 4)), (11, (141, 2))];
        for cut in 0..FOUR.len() {
            let mut wanted: Vec<_> =
                ends.iter().filter(|(end, _)| cut >= *end).map(|(_, ie)| Ok(*ie)).collect();
            if cut != 0 && !ends.iter().any(|(end, _)| cut == *end) {
                wanted.push(Err(IeError::Truncated));
            }
            assert_eq!(walk(&FOUR[..cut]), wanted, "{cut}");
        }
    }

    #[test]
    fn length_in_both_directions() {
        let with = |at: usize, length: u8| {
            let mut bytes = FOUR;
            bytes[at] = length;
            walk(&bytes).last().copied().unwrap()
        };
        // What is left of the value reads as a type of its own.
        assert_eq!(with(13, 2), Err(IeError::Truncated));
        assert_eq!(with(13, 4), Err(IeError::Truncated));
        assert_eq!(with(12, 255), Err(IeError::Truncated));
        assert_eq!(with(8, 1), Err(IeError::Truncated));
        assert_eq!(with(8, 9), Err(IeError::Truncated));
    }

    #[test]
    fn finished_after_the_first_error_and_after_as_many_as_are_read() {
        let budget = Budget::new();
        let mut ies = Ies::new(&[30, 14, 7, 14, 7], &budget);
        assert_eq!(ies.next(), Some(Err(IeError::Unknown(30))));
        assert_eq!(ies.next(), None);
        let many = [14, 7].repeat(1_100);
        let read = walk(&many);
        assert_eq!(read.len(), 1_025);
        assert_eq!(read.last(), Some(&Err(IeError::TooMany)));
    }

    #[track_caller]
    fn reads<T: PartialEq + Debug>(
        kind: u8,
        value: &[u8],
        least: usize,
        read: impl Fn(&Ie<'_>) -> Result<T, IeError>,
        wanted: T,
    ) {
        every_length(value, least, |value| read(&Ie { kind, value }), wanted, IeError::Value(kind));
    }

    #[track_caller]
    fn wrong<T: PartialEq + Debug>(kind: u8, value: &[u8], read: impl Fn(&Ie<'_>) -> Result<T, IeError>) {
        assert_eq!(read(&Ie { kind, value }), Err(IeError::Value(kind)));
    }

    #[test]
    fn plain_values() {
        reads(kind::CAUSE, &[128], 1, |ie| ie.cause(), 128);
        reads(kind::RECOVERY, &[7], 1, |ie| ie.recovery(), 7);
        reads(kind::TEID_DATA_I, &[1, 2, 3, 4], 4, |ie| ie.teid(), Teid(0x0102_0304));
        reads(
            kind::TEID_DATA_II,
            &[0xf5, 1, 2, 3, 4],
            5,
            |ie| ie.teid_data_ii(),
            (Ebi(5), Teid(0x0102_0304)),
        );
        reads(kind::TEARDOWN, &[0xff], 1, |ie| ie.teardown(), true);
        reads(kind::TEARDOWN, &[0xfe], 1, |ie| ie.teardown(), false);
        reads(kind::NSAPI, &[0xf5], 1, |ie| ie.nsapi(), Ebi(5));
        reads(kind::RAT, &[1], 1, |ie| ie.rat(), Rat(1));
    }

    #[test]
    fn numbers() {
        let imsi = [0x00, 0x01, 0x01, 0x21, 0x43, 0x65, 0x87, 0xf9];
        let ie = |kind, value| Ie { kind, value };
        assert_eq!(ie(kind::IMSI, &imsi[..]).imsi().unwrap().to_string(), "001010123456789");
        assert_eq!(ie(kind::IMEI, &imsi[..]).imei().unwrap().to_string(), "001010123456789");
        // International, E.164.
        let msisdn = [0x91, 0x64, 0x07, 0x21, 0x43, 0x65];
        assert_eq!(ie(kind::MSISDN, &msisdn[..]).msisdn().unwrap().to_string(), "4670123456");
        wrong(kind::IMSI, &[], |ie| ie.imsi());
        wrong(kind::IMSI, &[0xff; 8], |ie| ie.imsi());
        wrong(kind::IMEI, &[], |ie| ie.imei());
        wrong(kind::MSISDN, &[], |ie| ie.msisdn());
        wrong(kind::MSISDN, &[0x91], |ie| ie.msisdn());
        wrong(kind::MSISDN, &[0x91, 0xab], |ie| ie.msisdn());
    }

    #[test]
    fn places() {
        let network = Plmn { mcc: 460, mnc: 6, mnc_digits: 2 };
        let place = |area, cell| Place { network, location: Location { area, cell } };
        // 0 and 0xfffe are no areas. TS 23.003 4.1.
        for (code, area) in [([0xff, 0xfe], None), ([0, 0], None), ([0xff, 0xfd], Some(0xfffd))] {
            let value = [0x64, 0xf0, 0x60, code[0], code[1], 0xff];
            reads(kind::RAI, &value, 6, |ie| ie.rai(), place(area, None));
        }
        for (kind, cell) in [(0, Some(0x0102)), (1, Some(0x0102)), (2, None)] {
            let value = [kind, 0x64, 0xf0, 0x60, 0, 9, 1, 2];
            reads(kind::ULI, &value, 8, |ie| ie.location(), Some(place(Some(9), cell)));
        }
        for kind in 3..=u8::MAX {
            reads(kind::ULI, &[kind], 1, |ie| ie.location(), None);
        }
        wrong(kind::RAI, &[0xff; 6], |ie| ie.rai());
        wrong(kind::ULI, &[0, 0xff, 0xff, 0xff, 0, 9, 1, 2], |ie| ie.location());
    }

    #[test]
    fn end_user_addresses_by_type_and_length() {
        let ie = |value: &[u8]| Ie { kind: kind::END_USER_ADDRESS, value }.end_user_address();
        let six: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3];
        let four = [10, 45, 0, 2];
        let (v4, v6) = ("10.45.0.2".parse().ok(), "2001:db8:1:2::".parse().ok());
        let value = |number, parts: &[&[u8]]| [&[0xf1, number][..], &parts.concat()].concat();
        for (number, parts, wanted) in [
            (0x21, &[][..], UeAddress::default()),
            (0x21, &[&four[..]], UeAddress { v4, v6: None }),
            (0x57, &[], UeAddress::default()),
            (0x57, &[&six], UeAddress { v4: None, v6 }),
            (0x8d, &[], UeAddress::default()),
            (0x8d, &[&four], UeAddress { v4, v6: None }),
            (0x8d, &[&six], UeAddress { v4: None, v6 }),
            (0x8d, &[&four, &six], UeAddress { v4, v6 }),
            (0x99, &[&four], UeAddress::default()),
        ] {
            assert_eq!(ie(&value(number, parts)), Ok(wanted), "{number:x} {parts:?}");
        }
        let error = Err(IeError::Value(kind::END_USER_ADDRESS));
        for length in 0..2 {
            assert_eq!(ie(&[0xf1, 0x21][..length]), error);
        }
        for length in 1..4 {
            assert_eq!(ie(&value(0x21, &[&four[..length]])), error);
        }
        for length in 1..16 {
            assert_eq!(ie(&value(0x57, &[&six[..length]])), error);
        }
        for length in (1..20).filter(|length| ![4, 16].contains(length)) {
            assert_eq!(ie(&value(0x8d, &[&[1; 20][..length]])), error, "{length}");
        }
        // PPP, and an organisation that is reserved.
        assert_eq!(ie(&[0xf0, 1]), Ok(UeAddress::default()));
        assert_eq!(ie(&[0xf2, 0x21, 1]), Ok(UeAddress::default()));
    }

    #[test]
    fn gsn_addresses_and_names() {
        let ie = |kind, value| Ie { kind, value };
        assert_eq!(ie(kind::GSN_ADDRESS, &[10, 0, 0, 1][..]).gsn_address(), Ok(IpAddr::from([10, 0, 0, 1])));
        wrong(kind::GSN_ADDRESS, &[], |ie| ie.gsn_address());
        wrong(kind::GSN_ADDRESS, &[1; 5], |ie| ie.gsn_address());
        assert_eq!(ie(kind::APN, b"\x03ims").apn().unwrap().unwrap().as_str(), "ims");
        wrong(kind::APN, b"\x02ims", |ie| ie.apn());
    }
}
