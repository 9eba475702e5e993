//! Information elements of PFCP. TS 29.244 8.
//!
//! ```text
//!  0  | type(2) | length(2), of all that follows the first 4 bytes         |
//!  4  | value; of types from 32,768 on: enterprise number(2) | value       |
//! ```

use core::net::{Ipv4Addr, Ipv6Addr};

use bytemuck::{Pod, Zeroable};
use types::{Apn, FSeid, Imei, Imsi, Malformed, Msisdn, Qfi, Seid, Side, Snssai, Teid, UeAddress};

use crate::bytes::{Be16, split_header};
use crate::cursor::{self, Cursor};
use crate::signalling::Budget;

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Fixed {
    kind: Be16,
    length: Be16,
}
const _: () = assert!(size_of::<Fixed>() == 4);

/// Types of information elements that are read. TS 29.244 8.1.2.
pub mod kind {
    /// Create PDR, a group.
    pub const CREATE_PDR: u16 = 1;
    /// Packet Detection Information, a group.
    pub const PDI: u16 = 2;
    /// Create FAR, a group.
    pub const CREATE_FAR: u16 = 3;
    /// Forwarding Parameters, a group.
    pub const FORWARDING_PARAMETERS: u16 = 4;
    /// Created PDR, a group.
    pub const CREATED_PDR: u16 = 8;
    /// Update PDR, a group.
    pub const UPDATE_PDR: u16 = 9;
    /// Update FAR, a group.
    pub const UPDATE_FAR: u16 = 10;
    /// Update Forwarding Parameters, a group.
    pub const UPDATE_FORWARDING_PARAMETERS: u16 = 11;
    /// Remove PDR, a group.
    pub const REMOVE_PDR: u16 = 15;
    /// Remove FAR, a group.
    pub const REMOVE_FAR: u16 = 16;
    /// Cause.
    pub const CAUSE: u16 = 19;
    /// Source Interface.
    pub const SOURCE_INTERFACE: u16 = 20;
    /// F-TEID.
    pub const F_TEID: u16 = 21;
    /// Network Instance.
    pub const NETWORK_INSTANCE: u16 = 22;
    /// Destination Interface.
    pub const DESTINATION_INTERFACE: u16 = 42;
    /// PDR ID.
    pub const PDR_ID: u16 = 56;
    /// F-SEID.
    pub const F_SEID: u16 = 57;
    /// Outer Header Creation.
    pub const OUTER_HEADER_CREATION: u16 = 84;
    /// UE IP Address.
    pub const UE_IP_ADDRESS: u16 = 93;
    /// Recovery Time Stamp.
    pub const RECOVERY_TIME_STAMP: u16 = 96;
    /// FAR ID.
    pub const FAR_ID: u16 = 108;
    /// QFI.
    pub const QFI: u16 = 124;
    /// User ID.
    pub const USER_ID: u16 = 141;
    /// APN/DNN.
    pub const APN: u16 = 159;
    /// S-NSSAI.
    pub const S_NSSAI: u16 = 257;
    /// Types from here on are vendors': their value begins with an enterprise number.
    pub const FIRST_VENDOR: u16 = 0x8000;
}

/// Why an information element cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IeError {
    /// The data ends inside its header or value.
    Truncated,
    /// More than [`crate::IES_MAX`] in one message.
    TooMany,
    /// A value that this type cannot have.
    Value(u16),
    /// A group of this type without the number of its rule.
    NoId(u16),
}

impl From<IeError> for Malformed {
    fn from(_: IeError) -> Self {
        Self::PfcpBadIe
    }
}

/// One information element. What its value means is asked by the method of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ie<'a> {
    /// Type.
    pub kind: u16,
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
        Ok(Ie { kind: fixed.kind.get(), value })
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

/// An F-TEID: what it is stands in its group. TS 29.244 8.2.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FTeidValue {
    /// An endpoint.
    Endpoint(Endpoint),
    /// The UPF chooses; rules of one CHOOSE ID get the same.
    Choose(Option<u8>),
}

/// A TEID with its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its number.
    pub teid: Teid,
    /// Its IPv4 address.
    pub v4: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub v6: Option<Ipv6Addr>,
}

/// A User ID, as far as it is used. TS 29.244 8.2.101.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserId {
    /// Subscriber.
    pub imsi: Option<Imsi>,
    /// Equipment.
    pub imei: Option<Imei>,
    /// Subscriber's number.
    pub msisdn: Option<Msisdn>,
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
    /// Of [`kind::CAUSE`]. TS 29.244 8.2.1.
    cause() -> u8 = |value| value.first().copied();
    /// Of [`kind::SOURCE_INTERFACE`]. TS 29.244 8.2.2.
    source_interface() -> Side = |value| Some(side(*value.first()?, 4));
    /// Of [`kind::DESTINATION_INTERFACE`]. TS 29.244 8.2.24.
    destination_interface() -> Side = |value| Some(side(*value.first()?, 5));
    /// Of [`kind::F_TEID`]. TS 29.244 8.2.3.
    f_teid() -> FTeidValue = f_teid;
    /// Of [`kind::PDR_ID`]. TS 29.244 8.2.36.
    pdr_id() -> u16 = |value| Cursor(value).u16();
    /// Of [`kind::F_SEID`]. TS 29.244 8.2.37.
    f_seid() -> FSeid = f_seid;
    /// Of [`kind::OUTER_HEADER_CREATION`]: `None` where it is not GTP-U. TS 29.244 8.2.56.
    outer_header_creation() -> Option<Endpoint> = outer_header_creation;
    /// Of [`kind::UE_IP_ADDRESS`]: nothing that the UPF has to choose. TS 29.244 8.2.62.
    ue_ip_address() -> UeAddress = ue_ip_address;
    /// Of [`kind::RECOVERY_TIME_STAMP`]: seconds since 1900. TS 29.244 8.2.65.
    recovery_time_stamp() -> u32 = |value| Cursor(value).u32();
    /// Of [`kind::FAR_ID`]. TS 29.244 8.2.74.
    far_id() -> u32 = |value| Cursor(value).u32();
    /// Of [`kind::QFI`]. TS 29.244 8.2.89.
    qfi() -> Qfi = |value| value.first().map(|qfi| Qfi(qfi & 0x3f));
    /// Of [`kind::USER_ID`]. TS 29.244 8.2.101.
    user_id() -> UserId = user_id;
    /// Of [`kind::APN`]: labels or text; `None` where it has none. TS 29.244 8.2.117.
    apn() -> Option<Apn> = cursor::name;
    /// Of [`kind::S_NSSAI`]. TS 29.244 8.2.176.
    s_nssai() -> Snssai = s_nssai;
);

impl Ie<'_> {
    /// Of [`kind::NETWORK_INSTANCE`]: labels or text. Any bytes are allowed: those that are no name are
    /// none. TS 29.244 8.2.4.
    #[must_use]
    pub fn network_instance(&self) -> Option<Apn> {
        cursor::name(self.value).flatten()
    }
}

/// The two interface elements number their sides alike but for the 5G VN.
fn side(value: u8, vn: u8) -> Side {
    match value & 0x0f {
        0 => Side::Access,
        1 => Side::Core,
        2 => Side::SgiLan,
        3 => Side::ControlPlane,
        number if number == vn => Side::FiveGVn,
        number => Side::Other(number),
    }
}

fn f_teid(value: &[u8]) -> Option<FTeidValue> {
    let mut rest = Cursor(value);
    let flags = rest.u8()?;
    let (has_v4, has_v6) = (flags & 0x01 != 0, flags & 0x02 != 0);
    if !has_v4 && !has_v6 {
        return None;
    }
    if flags & 0x04 != 0 {
        let id = if flags & 0x08 != 0 { Some(rest.u8()?) } else { None };
        return Some(FTeidValue::Choose(id));
    }
    let teid = Teid(rest.u32()?);
    Some(FTeidValue::Endpoint(Endpoint { teid, v4: rest.v4_if(has_v4)?, v6: rest.v6_if(has_v6)? }))
}

fn f_seid(value: &[u8]) -> Option<FSeid> {
    let mut rest = Cursor(value);
    let flags = rest.u8()?;
    let seid = Seid(rest.u64()?);
    let v4 = rest.v4_if(flags & 0x02 != 0)?;
    let v6 = rest.v6_if(flags & 0x01 != 0)?;
    (flags & 0x03 != 0).then_some(FSeid { seid, v4, v6 })
}

fn outer_header_creation(value: &[u8]) -> Option<Option<Endpoint>> {
    let mut rest = Cursor(value);
    let [description, _] = rest.array()?;
    // Each bit says GTP-U, UDP or IP alone over one family.
    if description & 0x03 == 0 {
        return Some(None);
    }
    let teid = Teid(rest.u32()?);
    let v4 = rest.v4_if(description & 0x15 != 0)?;
    let v6 = rest.v6_if(description & 0x2a != 0)?;
    Some(Some(Endpoint { teid, v4, v6 }))
}

fn ue_ip_address(value: &[u8]) -> Option<UeAddress> {
    let mut rest = Cursor(value);
    let flags = rest.u8()?;
    let v4 = rest.v4_if(flags & 0x02 != 0)?;
    let v6 = rest.v6_if(flags & 0x01 != 0)?;
    // Delegated bits and prefix length: not read, but they must be there.
    for flag in [0x08, 0x40] {
        if flags & flag != 0 {
            rest.u8()?;
        }
    }
    Some(cursor::ue(v4, v6))
}

fn user_id(value: &[u8]) -> Option<UserId> {
    let mut rest = Cursor(value);
    let flags = rest.u8()?;
    let mut user = UserId::default();
    if flags & 0x01 != 0 {
        user.imsi = Some(cursor::imsi(rest.counted()?)?);
    }
    if flags & 0x02 != 0 {
        user.imei = Some(cursor::imei(rest.counted()?)?);
    }
    if flags & 0x04 != 0 {
        user.msisdn = Some(cursor::msisdn(rest.counted()?)?);
    }
    Some(user)
}

/// A differentiator of all ones is none. TS 23.003 28.4.2.
fn s_nssai(value: &[u8]) -> Option<Snssai> {
    let [sst, sd @ ..]: [u8; 4] = *value.first_chunk()?;
    let [a, b, c] = sd;
    let sd = u32::from_be_bytes([0, a, b, c]);
    Some(Snssai { sst, sd: (sd != 0x00ff_ffff).then_some(sd) })
}

#[cfg(test)]
mod tests {
    use core::fmt::Debug;
    use std::string::ToString;
    use std::vec::Vec;

    use super::*;
    use crate::tests::every_length;

    /// Cause, a vendor's, FAR ID.
    const THREE: [u8; 20] = [0, 19, 0, 1, 1, 0x80, 1, 0, 3, 0x28, 0xaf, 7, 0, 108, 0, 4, 0, 0, 0, 9];

    fn walk(elements: &[u8]) -> Vec<Result<(u16, usize), IeError>> {
        let budget = Budget::new();
        Ies::new(elements, &budget).map(|ie| ie.map(|ie| (ie.kind, ie.value.len()))).collect()
    }

    #[test]
    fn elements_describe_themselves() {
        assert_eq!(walk(&THREE), [Ok((19, 1)), Ok((0x8001, 3)), Ok((108, 4))]);
        assert_eq!(walk(&[]), []);
    }

    #[test]
    fn every_shorter_prefix_ends_in_an_error_or_between_elements() {
        let ends = [(5, (19, 1)), (12, (0x8001, 3))];
        for cut in 0..THREE.len() {
            let mut wanted: Vec<_> =
                ends.iter().filter(|(end, _)| cut >= *end).map(|(_, ie)| Ok(*ie)).collect();
            if cut != 0 && !ends.iter().any(|(end, _)| cut == *end) {
                wanted.push(Err(IeError::Truncated));
            }
            assert_eq!(walk(&THREE[..cut]), wanted, "{cut}");
        }
    }

    #[test]
    fn length_in_both_directions() {
        let with = |length: [u8; 2]| {
            let mut bytes = THREE;
            bytes[14..16].copy_from_slice(&length);
            walk(&bytes)[2..].to_vec()
        };
        assert_eq!(with([0, 3]), [Ok((108, 3)), Err(IeError::Truncated)]);
        assert_eq!(with([0, 5]), [Err(IeError::Truncated)]);
        assert_eq!(with([255, 255]), [Err(IeError::Truncated)]);
    }

    #[test]
    fn finished_after_the_first_error_and_after_as_many_as_are_read() {
        let budget = Budget::new();
        let mut ies = Ies::new(&[0, 19, 0, 9, 0, 19, 0, 1, 1], &budget);
        assert_eq!(ies.next(), Some(Err(IeError::Truncated)));
        assert_eq!(ies.next(), None);
        let read = walk(&[0, 19, 0, 0].repeat(1_100));
        assert_eq!(read.len(), 1_025);
        assert_eq!(read.last(), Some(&Err(IeError::TooMany)));
    }

    #[track_caller]
    fn reads<T: PartialEq + Debug>(
        kind: u16,
        value: &[u8],
        least: usize,
        read: impl Fn(&Ie<'_>) -> Result<T, IeError>,
        wanted: T,
    ) {
        every_length(value, least, |value| read(&Ie { kind, value }), wanted, IeError::Value(kind));
    }

    #[track_caller]
    fn wrong<T: PartialEq + Debug>(kind: u16, value: &[u8], read: impl Fn(&Ie<'_>) -> Result<T, IeError>) {
        assert_eq!(read(&Ie { kind, value }), Err(IeError::Value(kind)));
    }

    const V4: [u8; 4] = [192, 0, 2, 1];
    const V6: [u8; 16] = [0xfd; 16];

    fn v4() -> Option<Ipv4Addr> {
        Some(V4.into())
    }

    fn v6() -> Option<Ipv6Addr> {
        Some(V6.into())
    }

    #[test]
    fn plain_values() {
        reads(kind::CAUSE, &[1], 1, |ie| ie.cause(), 1);
        reads(kind::PDR_ID, &[1, 2], 2, |ie| ie.pdr_id(), 0x0102);
        reads(kind::FAR_ID, &[0x80, 2, 3, 4], 4, |ie| ie.far_id(), 0x8002_0304);
        reads(kind::QFI, &[0xc9], 1, |ie| ie.qfi(), Qfi(9));
        let time = [0xe2, 0xc4, 0x5e, 0xa5];
        reads(kind::RECOVERY_TIME_STAMP, &time, 4, |ie| ie.recovery_time_stamp(), 0xe2c4_5ea5);
        reads(kind::S_NSSAI, &[1, 0, 0, 7], 4, |ie| ie.s_nssai(), Snssai { sst: 1, sd: Some(7) });
        let none = Snssai { sst: 1, sd: None };
        reads(kind::S_NSSAI, &[1, 0xff, 0xff, 0xff], 4, |ie| ie.s_nssai(), none);
    }

    #[test]
    fn sides_of_both_interfaces() {
        let source =
            [Side::Access, Side::Core, Side::SgiLan, Side::ControlPlane, Side::FiveGVn, Side::Other(5)];
        let target =
            [Side::Access, Side::Core, Side::SgiLan, Side::ControlPlane, Side::Other(4), Side::FiveGVn];
        for number in 0..6 {
            let value = [0xf0 | number];
            let at = usize::from(number);
            reads(kind::SOURCE_INTERFACE, &value, 1, |ie| ie.source_interface(), source[at]);
            reads(kind::DESTINATION_INTERFACE, &value, 1, |ie| ie.destination_interface(), target[at]);
        }
    }

    #[test]
    fn f_teids() {
        let endpoint = |v4, v6| FTeidValue::Endpoint(Endpoint { teid: Teid(0x0102_0304), v4, v6 });
        let value = |flags: u8, rest: &[&[u8]]| [&[flags][..], &rest.concat()].concat();
        let teid: &[u8] = &[1, 2, 3, 4];
        let read = |ie: &Ie<'_>| ie.f_teid();
        reads(kind::F_TEID, &value(1, &[teid, &V4]), 9, read, endpoint(v4(), None));
        reads(kind::F_TEID, &value(2, &[teid, &V6]), 21, read, endpoint(None, v6()));
        reads(kind::F_TEID, &value(3, &[teid, &V4, &V6]), 25, read, endpoint(v4(), v6()));
        // CHOOSE ID without CHOOSE means nothing.
        reads(kind::F_TEID, &value(9, &[teid, &V4]), 9, read, endpoint(v4(), None));
        reads(kind::F_TEID, &[5], 1, read, FTeidValue::Choose(None));
        reads(kind::F_TEID, &[0x0e, 7], 2, read, FTeidValue::Choose(Some(7)));
        for flags in [0, 4, 8, 12, 0xf0] {
            wrong(kind::F_TEID, &value(flags, &[teid, &V4, &V6]), read);
        }
    }

    #[test]
    fn f_seids() {
        let seid = [1, 2, 3, 4, 5, 6, 7, 8];
        let value = |flags: u8, rest: &[u8]| [&[flags][..], &seid, rest].concat();
        let f_seid = |v4, v6| FSeid { seid: Seid(0x0102_0304_0506_0708), v4, v6 };
        let read = |ie: &Ie<'_>| ie.f_seid();
        reads(kind::F_SEID, &value(2, &V4), 13, read, f_seid(v4(), None));
        reads(kind::F_SEID, &value(1, &V6), 25, read, f_seid(None, v6()));
        reads(kind::F_SEID, &value(3, &[&V4[..], &V6].concat()), 29, read, f_seid(v4(), v6()));
        wrong(kind::F_SEID, &value(0, &V4), read);
    }

    #[test]
    fn outer_headers() {
        let value = |bits: u8, rest: &[&[u8]]| [&[bits, 0][..], &rest.concat()].concat();
        let teid: &[u8] = &[1, 2, 3, 4];
        let peer = |v4, v6| Some(Endpoint { teid: Teid(0x0102_0304), v4, v6 });
        let read = |ie: &Ie<'_>| ie.outer_header_creation();
        let kind = kind::OUTER_HEADER_CREATION;
        reads(kind, &value(0x01, &[teid, &V4]), 10, read, peer(v4(), None));
        reads(kind, &value(0x02, &[teid, &V6]), 22, read, peer(None, v6()));
        reads(kind, &value(0x03, &[teid, &V4, &V6]), 26, read, peer(v4(), v6()));
        // UDP, plain IP and tags are no tunnel.
        for bits in [0, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xfc] {
            reads(kind, &value(bits, &[]), 2, read, None);
        }
    }

    #[test]
    fn ue_addresses() {
        let value = |flags: u8, rest: &[&[u8]]| [&[flags][..], &rest.concat()].concat();
        let prefix = Some("fdfd:fdfd:fdfd:fdfd::".parse().unwrap());
        let ue = |v4, v6| UeAddress { v4, v6 };
        let read = |ie: &Ie<'_>| ie.ue_ip_address();
        let kind = kind::UE_IP_ADDRESS;
        reads(kind, &value(0x02, &[&V4]), 5, read, ue(v4(), None));
        reads(kind, &value(0x01, &[&V6]), 17, read, ue(None, prefix));
        reads(kind, &value(0x07, &[&V4, &V6]), 21, read, ue(v4(), prefix));
        // Delegated bits, prefix length.
        reads(kind, &value(0x09, &[&V6, &[4]]), 18, read, ue(None, prefix));
        reads(kind, &value(0x41, &[&V6, &[56]]), 18, read, ue(None, prefix));
        // The UPF chooses; nothing at all.
        reads(kind, &[0x30], 1, read, ue(None, None));
        reads(kind, &[0], 1, read, ue(None, None));
        reads(kind, &value(0x02, &[&[0; 4]]), 5, read, ue(None, None));
    }

    #[test]
    fn user_ids_have_the_parts_of_their_flags() {
        let imsi: &[u8] = &[8, 0x00, 0x01, 0x01, 0x21, 0x43, 0x65, 0x87, 0xf9];
        let imei: &[u8] = &[8, 0x53, 0x86, 0x19, 0x01, 0x02, 0x03, 0x04, 0xf5];
        let msisdn: &[u8] = &[6, 0x64, 0x07, 0x21, 0x43, 0x65, 0xf7];
        let text = |user: UserId| {
            let shown = [
                user.imsi.map(|number| number.to_string()),
                user.imei.map(|number| number.to_string()),
                user.msisdn.map(|number| number.to_string()),
            ];
            shown.map(Option::unwrap_or_default)
        };
        let digits = ["001010123456789", "356891102030405", "46701234567"];
        for flags in 0..8_u8 {
            let parts = [imsi, imei, msisdn];
            let has = |bit: usize| flags & 1 << bit != 0;
            let mut value = std::vec![flags | 0x08];
            let mut wanted = ["", "", ""];
            for bit in (0..3).filter(|bit| has(*bit)) {
                value.extend(parts[bit]);
                wanted[bit] = digits[bit];
            }
            let read = |ie: &Ie<'_>| ie.user_id().map(text);
            reads(kind::USER_ID, &value, value.len(), read, wanted.map(Into::into));
        }
        wrong(kind::USER_ID, &[], |ie| ie.user_id());
        wrong(kind::USER_ID, &[1, 9, 0x21], |ie| ie.user_id());
        wrong(kind::USER_ID, &[1, 1, 0xab], |ie| ie.user_id());
        wrong(kind::USER_ID, &[1, 0], |ie| ie.user_id());
    }

    #[test]
    fn names() {
        let ie = |kind, value| Ie { kind, value };
        let name = |name: Option<Apn>| name.map(|name| name.to_string()).unwrap_or_default();
        for (value, wanted) in [(&b"\x03ims"[..], "ims"), (b"ims", "ims"), (b"\0", ""), (b"", "")] {
            assert_eq!(ie(kind::APN, value).apn().map(name), Ok(wanted.into()));
            assert_eq!(name(ie(kind::NETWORK_INSTANCE, value).network_instance()), wanted);
        }
        wrong(kind::APN, b"\x04ims", |ie| ie.apn());
        assert_eq!(ie(kind::NETWORK_INSTANCE, b"\x04ims").network_instance(), None);
    }
}
