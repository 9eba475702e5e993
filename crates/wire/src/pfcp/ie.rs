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
