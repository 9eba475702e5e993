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
    let area = Some(u32::from(rest.u16()?));
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
    let area = Some(u32::from(rest.u16()?));
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
