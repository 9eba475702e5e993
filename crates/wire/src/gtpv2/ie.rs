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
            area = area.or(Some(lac));
            cell = cell.or(Some(u64::from(code)));
        }
    }
    // RAI: network(3), LAC(2), RAC(1), 0xff.
    if flags & 0x04 != 0 {
        let lac = area_code(&mut rest)?;
        rest.u16()?;
        area = area.or(Some(lac));
    }
    // TAI: network(3), TAC(2).
    if flags & 0x08 != 0 {
        area = Some(area_code(&mut rest)?);
    }
    // ECGI: network(3), 0(4), ECI(28).
    if flags & 0x10 != 0 {
        rest.array::<3>()?;
        cell = Some(u64::from(rest.u32()? & 0x0fff_ffff));
    }
    // LAI: network(3), LAC(2).
    if flags & 0x20 != 0 {
        let lac = area_code(&mut rest)?;
        area = area.or(Some(lac));
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
fn area_code(rest: &mut Cursor<'_>) -> Option<u32> {
    rest.array::<3>()?;
    rest.u16().map(u32::from)
}

fn f_teid(value: &[u8]) -> Option<FTeid> {
    let mut rest = Cursor(value);
    let flags = rest.u8()?;
    let teid = Teid(rest.u32()?);
    let v4 = rest.v4_if(flags & 0x80 != 0)?;
    let v6 = rest.v6_if(flags & 0x40 != 0)?;
    (flags & 0xc0 != 0).then_some(FTeid { interface: Interface(flags & 0x3f), teid, v4, v6 })
}
