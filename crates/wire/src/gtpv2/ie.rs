//! Information elements of GTPv2-C. TS 29.274 8.
//!
//! ```text
//!  0  | type | length(2), of all that follows the first 4 bytes | 0(4) instance(4) |
//!  4  | value; of type 254: extended type(2) | value                               |
//! ```

use core::net::IpAddr;

use bytemuck::{Pod, Zeroable};
use types::{
    Apn, Ebi, FTeid, Imei, Imsi, Interface, Location, Malformed, Msisdn, Plmn, Rat, Teid, UeAddress,
};

use crate::bytes::{Be16, split_header};
use crate::cursor::{self, Cursor};
use crate::signalling::Budget;

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Fixed {
    kind: u8,
    length: Be16,
    instance: u8,
}
const _: () = assert!(size_of::<Fixed>() == 4);

/// Types of information elements that are read. TS 29.274 8.1.
pub mod kind {
    /// International Mobile Subscriber Identity.
    pub const IMSI: u8 = 1;
    /// Cause.
    pub const CAUSE: u8 = 2;
    /// Restart counter.
    pub const RECOVERY: u8 = 3;
    /// Access Point Name.
    pub const APN: u8 = 71;
    /// EPS Bearer ID.
    pub const EBI: u8 = 73;
    /// IP Address.
    pub const IP_ADDRESS: u8 = 74;
    /// Mobile Equipment Identity.
    pub const MEI: u8 = 75;
    /// MSISDN.
    pub const MSISDN: u8 = 76;
    /// Indication flags.
    pub const INDICATION: u8 = 77;
    /// PDN Address Allocation.
    pub const PAA: u8 = 79;
    /// Bearer Level Quality of Service.
    pub const BEARER_QOS: u8 = 80;
    /// RAT Type.
    pub const RAT: u8 = 82;
    /// Serving Network.
    pub const SERVING_NETWORK: u8 = 83;
    /// User Location Information.
    pub const ULI: u8 = 86;
    /// Fully Qualified TEID.
    pub const F_TEID: u8 = 87;
    /// Bearer Context, a group.
    pub const BEARER_CONTEXT: u8 = 93;
    /// PDN Connection, a group.
    pub const PDN_CONNECTION: u8 = 109;
    /// The type stands in the first two bytes of the value. TS 29.274 8.2.1A.
    pub const EXTENSION: u8 = 254;
}

/// Why an information element cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IeError {
    /// The data ends inside its header or value.
    Truncated,
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
    /// Tells elements of one type in one message apart.
    pub instance: u8,
    /// All that its length says; of a group, elements.
    pub value: &'a [u8],
}

/// The information elements of a message or a group; of unknown types too. Stays finished after its
/// first error.
#[derive(Clone, Debug)]
pub struct Ies<'a, 'b> {
    rest: &'a [u8],
    budget: &'b Budget,
}

impl<'a, 'b> Ies<'a, 'b> {
    /// Of a message's body or a group's value.
    #[inline(always)]
    #[must_use]
    pub const fn new(elements: &'a [u8], budget: &'b Budget) -> Self {
        Self { rest: elements, budget }
    }

    #[inline(always)]
    fn step(&mut self) -> Result<Ie<'a>, IeError> {
        self.budget.spend().ok_or(IeError::TooMany)?;
        let (fixed, rest) = split_header::<Fixed>(self.rest).ok_or(IeError::Truncated)?;
        let length = usize::from(fixed.length.get());
        let (value, rest) = rest.split_at_checked(length).ok_or(IeError::Truncated)?;
        self.rest = rest;
        Ok(Ie { kind: fixed.kind, instance: fixed.instance & 0x0f, value })
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

/// Flags of Indication that are read. TS 29.274 8.12.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Indication {
    /// Operation Indication.
    pub operation: bool,
    /// Scope Indication.
    pub scope: bool,
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
    /// Of [`kind::IMSI`]. TS 29.274 8.3.
    imsi() -> Imsi = cursor::imsi;
    /// Of [`kind::CAUSE`]: the cause value. TS 29.274 8.4.
    cause() -> u8 = |value| value.first().copied();
    /// Of [`kind::RECOVERY`]: the restart counter. TS 29.274 8.5.
    recovery() -> u32 = |value| value.first().copied().map(u32::from);
    /// Of [`kind::APN`]: `None` where it has no label. TS 29.274 8.6.
    apn() -> Option<Apn> = cursor::apn;
    /// Of [`kind::EBI`]. TS 29.274 8.8.
    ebi() -> Ebi = |value| value.first().map(|ebi| Ebi(ebi & 0x0f));
    /// Of [`kind::IP_ADDRESS`]. TS 29.274 8.9.
    ip_address() -> IpAddr = cursor::address;
    /// Of [`kind::MEI`]. TS 29.274 8.10.
    mei() -> Imei = cursor::imei;
    /// Of [`kind::MSISDN`]: no byte for the type of number. TS 29.274 8.11.
    msisdn() -> Msisdn = cursor::msisdn;
    /// Of [`kind::INDICATION`]: flags beyond its length are not set. TS 29.274 8.12.
    indication() -> Indication = indication;
    /// Of [`kind::PAA`]: nothing for PDN types without IP. TS 29.274 8.14.
    paa() -> UeAddress = paa;
    /// Of [`kind::BEARER_QOS`]: the label, QCI. TS 29.274 8.15.
    qci() -> u8 = |value| value.get(1).copied();
    /// Of [`kind::RAT`]. TS 29.274 8.17.
    rat() -> Rat = |value| value.first().copied().map(Rat);
    /// Of [`kind::SERVING_NETWORK`]. TS 29.274 8.18.
    serving_network() -> Plmn = |value| Plmn::from_bytes(*value.first_chunk()?);
    /// Of [`kind::ULI`]: the tracking area before a location area, the E-UTRAN cell before a cell or
    /// service area. TS 29.274 8.21.
    location() -> Location = location;
    /// Of [`kind::F_TEID`]: with one address at least. TS 29.274 8.22.
    f_teid() -> FTeid = f_teid;
);

fn indication(value: &[u8]) -> Option<Indication> {
    let first = *value.first()?;
    let second = value.get(1).copied().unwrap_or_default();
    Some(Indication { operation: first & 0x08 != 0, scope: second & 0x02 != 0 })
}

fn paa(value: &[u8]) -> Option<UeAddress> {
    let mut rest = Cursor(value);
    let pdn_type = rest.u8()? & 0x07;
    let has_v6 = matches!(pdn_type, 2 | 3);
    if has_v6 {
        // The prefix is 64 bits long, whatever is said. TS 23.401 5.3.1.2.2.
        rest.u8()?;
    }
    let v6 = rest.v6_if(has_v6)?;
    let v4 = rest.v4_if(matches!(pdn_type, 1 | 3))?;
    Some(cursor::ue(v4, v6))
}

fn location(value: &[u8]) -> Option<Location> {
    let mut rest = Cursor(value);
    let flags = rest.u8()?;
    let (mut area, mut cell) = (None, None);
    // CGI, SAI: network(3), LAC(2), CI or SAC(2).
    for flag in [0x01, 0x02] {
        if flags & flag != 0 {
            let (lac, code) = (area_code(&mut rest)?, rest.u16()?);
            area = area.or(assigned(lac));
            cell = cell.or(Some(u64::from(code)));
        }
    }
    // RAI: network(3), LAC(2), RAC(1), 0xff.
    if flags & 0x04 != 0 {
        let lac = area_code(&mut rest)?;
        rest.u16()?;
        area = area.or(assigned(lac));
    }
    // TAI: network(3), TAC(2).
    if flags & 0x08 != 0 {
        area = assigned(area_code(&mut rest)?).or(area);
    }
    // ECGI: network(3), 0(4), ECI(28).
    if flags & 0x10 != 0 {
        rest.array::<3>()?;
        cell = Some(u64::from(rest.u32()? & 0x0fff_ffff));
    }
    // LAI: network(3), LAC(2).
    if flags & 0x20 != 0 {
        let lac = area_code(&mut rest)?;
        area = area.or(assigned(lac));
    }
    // Identities of an eNodeB: not read, but they must be there.
    for flag in [0x40, 0x80] {
        if flags & flag != 0 {
            rest.array::<6>()?;
        }
    }
    Some(Location { area, cell })
}

/// The code of an area behind its network.
fn area_code(rest: &mut Cursor<'_>) -> Option<u16> {
    rest.array::<3>()?;
    rest.u16()
}

/// 0 and 0xfffe say that there is no valid area. TS 23.003 4.1, 19.4.2.3.
pub(crate) fn assigned(code: u16) -> Option<u32> {
    (code != 0 && code != 0xfffe).then_some(u32::from(code))
}

fn f_teid(value: &[u8]) -> Option<FTeid> {
    let mut rest = Cursor(value);
    let flags = rest.u8()?;
    let teid = Teid(rest.u32()?);
    let v4 = rest.v4_if(flags & 0x80 != 0)?;
    let v6 = rest.v6_if(flags & 0x40 != 0)?;
    (flags & 0xc0 != 0).then_some(FTeid { interface: Interface(flags & 0x3f), teid, v4, v6 })
}

#[cfg(test)]
mod tests {
    use core::fmt::Debug;
    use std::string::ToString;
    use std::vec::Vec;

    use super::*;
    use crate::tests::every_length;

    /// IMSI 001010000000001, EBI 5 of instance 1, an unknown type.
    const THREE: [u8; 23] = [
        1, 0, 8, 0, 0x00, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0xf1, 73, 0, 1, 0x11, 5, 200, 0, 2, 0, 0xde,
        0xad,
    ];

    fn walk(elements: &[u8]) -> Vec<Result<(u8, u8, usize), IeError>> {
        let budget = Budget::new();
        let ies = Ies::new(elements, &budget);
        ies.map(|ie| ie.map(|ie| (ie.kind, ie.instance, ie.value.len()))).collect()
    }

    #[test]
    fn elements_describe_themselves() {
        assert_eq!(walk(&THREE), [Ok((1, 0, 8)), Ok((73, 1, 1)), Ok((200, 0, 2))]);
        assert_eq!(walk(&[]), []);
    }

    #[test]
    fn every_shorter_prefix_ends_in_an_error_or_between_elements() {
        for cut in 0..THREE.len() {
            let mut wanted = Vec::new();
            for (end, ie) in [(12, (1, 0, 8)), (17, (73, 1, 1))] {
                if cut >= end {
                    wanted.push(Ok(ie));
                }
            }
            if ![0, 12, 17].contains(&cut) {
                wanted.push(Err(IeError::Truncated));
            }
            assert_eq!(walk(&THREE[..cut]), wanted, "{cut}");
        }
    }

    #[test]
    fn length_in_both_directions() {
        let with = |length: u8| {
            let mut bytes = THREE;
            bytes[14] = length;
            walk(&bytes)
        };
        // One less: the value's byte reads as the type of the next.
        assert_eq!(with(0), [Ok((1, 0, 8)), Ok((73, 1, 0)), Err(IeError::Truncated)]);
        assert_eq!(with(2), [Ok((1, 0, 8)), Ok((73, 1, 2)), Err(IeError::Truncated)]);
        assert_eq!(with(255), [Ok((1, 0, 8)), Err(IeError::Truncated)]);
    }

    #[test]
    fn finished_after_the_first_error() {
        let budget = Budget::new();
        let mut ies = Ies::new(&[1, 0, 9, 0, 0, 73, 0, 1, 0, 5], &budget);
        assert_eq!(ies.next(), Some(Err(IeError::Truncated)));
        assert_eq!(ies.next(), None);
        assert_eq!(ies.next(), None);
    }

    #[test]
    fn all_levels_of_a_message_share_one_number() {
        let many = [200, 0, 0, 0].repeat(1_100);
        let budget = Budget::new();
        let mut ies = Ies::new(&many, &budget);
        assert_eq!(ies.by_ref().take(1_000).filter(Result::is_ok).count(), 1_000);
        assert_eq!(Ies::new(&many, &budget).filter(Result::is_ok).count(), 24);
        assert_eq!(ies.next(), Some(Err(IeError::TooMany)));
        assert_eq!(ies.next(), None);
    }

    #[track_caller]
    fn reads<T: PartialEq + Debug>(
        kind: u8,
        value: &[u8],
        least: usize,
        read: impl Fn(&Ie<'_>) -> Result<T, IeError>,
        wanted: T,
    ) {
        let read = |value: &[u8]| read(&Ie { kind, instance: 0, value });
        every_length(value, least, read, wanted, IeError::Value(kind));
    }

    #[track_caller]
    fn wrong<T: PartialEq + Debug>(kind: u8, value: &[u8], read: impl Fn(&Ie<'_>) -> Result<T, IeError>) {
        assert_eq!(read(&Ie { kind, instance: 0, value }), Err(IeError::Value(kind)));
    }

    fn v4(text: &str) -> Option<core::net::Ipv4Addr> {
        Some(text.parse().unwrap())
    }

    fn v6(text: &str) -> Option<core::net::Ipv6Addr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn numbers_in_tbcd() {
        let value = [0x00, 0x01, 0x01, 0x21, 0x43, 0x65, 0x87, 0xf9];
        let ie = |kind, cut| Ie { kind, instance: 0, value: &value[..cut] };
        assert_eq!(ie(kind::IMSI, 8).imsi().unwrap().to_string(), "001010123456789");
        assert_eq!(ie(kind::MEI, 8).mei().unwrap().to_string(), "001010123456789");
        assert_eq!(ie(kind::MSISDN, 8).msisdn().unwrap().to_string(), "001010123456789");
        // A shorter one is a shorter number.
        for cut in 1..8 {
            assert_eq!(ie(kind::IMSI, cut).imsi().unwrap().0.len(), cut * 2, "{cut}");
        }
        wrong(kind::IMSI, &[], |ie| ie.imsi());
        wrong(kind::MEI, &[], |ie| ie.mei());
        wrong(kind::MSISDN, &[], |ie| ie.msisdn());
        wrong(kind::IMSI, &[0x1a], |ie| ie.imsi());
        wrong(kind::IMSI, &[0x21; 8], |ie| ie.imsi());
        wrong(kind::MEI, &[0x21; 9], |ie| ie.mei());
        assert_eq!(Ie { kind: kind::MEI, instance: 0, value: &[0x21; 8] }.mei().unwrap().0.len(), 16);
    }

    #[test]
    fn values_of_one_byte() {
        reads(kind::CAUSE, &[16, 0], 1, |ie| ie.cause(), 16);
        reads(kind::RECOVERY, &[7], 1, |ie| ie.recovery(), 7);
        reads(kind::EBI, &[0xf5], 1, |ie| ie.ebi(), Ebi(5));
        reads(kind::RAT, &[6], 1, |ie| ie.rat(), Rat(6));
        let mut qos = [0; 22];
        qos[..2].copy_from_slice(&[0x7c, 9]);
        reads(kind::BEARER_QOS, &qos, 2, |ie| ie.qci(), 9);
    }

    #[test]
    fn networks() {
        let plmn = Plmn { mcc: 310, mnc: 260, mnc_digits: 3 };
        reads(kind::SERVING_NETWORK, &[0x13, 0x00, 0x62], 3, |ie| ie.serving_network(), plmn);
        wrong(kind::SERVING_NETWORK, &[0xff, 0xff, 0xff], |ie| ie.serving_network());
    }

    #[test]
    fn indication_flags_beyond_its_length_are_not_set() {
        let ie = |value| Ie { kind: kind::INDICATION, instance: 0, value };
        let flags = |value| ie(value).indication().map(|flags| (flags.operation, flags.scope));
        assert_eq!(flags(&[0x08]), Ok((true, false)));
        assert_eq!(flags(&[0xf7, 0x02, 0, 0]), Ok((false, true)));
        assert_eq!(flags(&[0x08, 0xfd]), Ok((true, false)));
        wrong(kind::INDICATION, &[], |ie| ie.indication());
    }

    #[test]
    fn pdn_addresses() {
        let paa = |v4, v6| UeAddress { v4, v6 };
        reads(kind::PAA, &[1, 10, 45, 0, 2], 5, |ie| ie.paa(), paa(v4("10.45.0.2"), None));
        let six: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0xca, 0xfe, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2];
        let prefix = v6("2001:db8:cafe:1::");
        reads(kind::PAA, &[&[2, 64], &six[..]].concat(), 18, |ie| ie.paa(), paa(None, prefix));
        let both = [&[3, 64], &six[..], &[10, 45, 0, 2]].concat();
        reads(kind::PAA, &both, 22, |ie| ie.paa(), paa(v4("10.45.0.2"), prefix));
        // Assigned by DHCP later; PDN types without IP, and not known ones.
        reads(kind::PAA, &[1, 0, 0, 0, 0], 5, |ie| ie.paa(), paa(None, None));
        for pdn_type in [0, 4, 5, 6, 7] {
            reads(kind::PAA, &[pdn_type], 1, |ie| ie.paa(), paa(None, None));
        }
        // Spare bits.
        reads(kind::PAA, &[0xf9, 10, 45, 0, 2], 5, |ie| ie.paa(), paa(v4("10.45.0.2"), None));
    }

    #[test]
    fn ip_addresses_have_one_of_two_lengths() {
        let ie = |value| Ie { kind: kind::IP_ADDRESS, instance: 0, value };
        assert_eq!(ie(&[10, 0, 0, 1]).ip_address(), Ok(IpAddr::from([10, 0, 0, 1])));
        assert_eq!(ie(&[0xfd; 16]).ip_address(), Ok(IpAddr::from([0xfd; 16])));
        for length in (0..20).filter(|length| ![4, 16].contains(length)) {
            wrong(kind::IP_ADDRESS, &[1; 20][..length], |ie| ie.ip_address());
        }
    }

    #[test]
    fn access_point_names() {
        let ie = |value| Ie { kind: kind::APN, instance: 0, value };
        assert_eq!(ie(b"\x03ims\x06mnc001").apn().unwrap().unwrap().as_str(), "ims.mnc001");
        assert_eq!(ie(&[]).apn(), Ok(None));
        wrong(kind::APN, b"\x04ims", |ie| ie.apn());
        wrong(kind::APN, b"internet", |ie| ie.apn());
    }

    const NETWORK: [u8; 3] = [0x00, 0xf1, 0x10];

    /// A ULI of these flags with all that they announce: every area and cell different.
    fn uli(flags: u8) -> Vec<u8> {
        let parts: [&[u8]; 8] = [
            &[0, 1, 0, 11],         // CGI
            &[0, 2, 0, 12],         // SAI
            &[0, 3, 9, 0xff],       // RAI
            &[0, 4],                // TAI
            &[0xf1, 0x23, 0x45, 6], // ECGI, its spare bits set
            &[0, 5],                // LAI
            &[0, 0, 1],             // macro eNodeB
            &[0x80, 0, 1],          // extended macro eNodeB
        ];
        let mut value = std::vec![flags];
        for (bit, part) in parts.iter().enumerate() {
            if flags & 1 << bit != 0 {
                value.extend(NETWORK);
                value.extend(*part);
            }
        }
        value
    }

    #[test]
    fn every_combination_of_locations() {
        for flags in 0..=u8::MAX {
            let has = |bit: u8| flags & 1 << bit != 0;
            let areas = [(3, 4), (0, 1), (1, 2), (2, 3), (5, 5)];
            let cells = [(4, 0x0123_4506), (0, 11), (1, 12)];
            let wanted = Location {
                area: areas.iter().find(|(bit, _)| has(*bit)).map(|(_, area)| *area),
                cell: cells.iter().find(|(bit, _)| has(*bit)).map(|(_, cell)| *cell),
            };
            let value = uli(flags);
            reads(kind::ULI, &value, value.len(), |ie| ie.location(), wanted);
        }
        wrong(kind::ULI, &[], |ie| ie.location());
    }

    #[test]
    fn f_teids_have_the_addresses_of_their_flags() {
        let f_teid = |v4, v6| FTeid { interface: Interface::S11_MME, teid: Teid(0x0102_0304), v4, v6 };
        let with = |flags: u8, addresses: &[u8]| [&[flags | 10, 1, 2, 3, 4], addresses].concat();
        let (four, six) = ([192, 0, 2, 1], [0xfd; 16]);
        let address = v6("fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd");
        reads(kind::F_TEID, &with(0x80, &four), 9, |ie| ie.f_teid(), f_teid(v4("192.0.2.1"), None));
        reads(kind::F_TEID, &with(0x40, &six), 21, |ie| ie.f_teid(), f_teid(None, address));
        let both = with(0xc0, &[&four[..], &six].concat());
        reads(kind::F_TEID, &both, 25, |ie| ie.f_teid(), f_teid(v4("192.0.2.1"), address));
        wrong(kind::F_TEID, &with(0, &four), |ie| ie.f_teid());
    }
}
