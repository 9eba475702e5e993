//! GTPv1-U. TS 29.281 5.
//!
//! ```text
//!  0  | version(3) PT 0 E S PN | type | length(2), of all that follows the first 8 bytes |
//!  4  | TEID(4)                                                                          |
//!  8  | sequence(2) | N-PDU(1) | next extension(1)      where any of E, S, PN is set     |
//!     | length in 4 bytes(1) | content | next extension(1)      each extension header    |
//! ```
//! PDU session container, extension 0x85. TS 38.415 5.5.2.
//!
//! ```text
//!  0  | PDU type(4) flags(4) | flags(2) QFI(6) | …
//! ```

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytemuck::{Pod, Zeroable};
use types::{Malformed, Qfi, Teid, Toward, TunnelKey};

use crate::bytes::{Be16, Be32, at_most, split_header};

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Fixed {
    flags: u8,
    kind: u8,
    length: Be16,
    teid: Be32,
}
const _: () = assert!(size_of::<Fixed>() == 8);

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct FixedOptional {
    sequence: Be16,
    n_pdu: u8,
    next_extension: u8,
}
const _: () = assert!(size_of::<FixedOptional>() == 4);

const PROTOCOL_TYPE: u8 = 0x10;
const E: u8 = 0x04;
const S: u8 = 0x02;
const PN: u8 = 0x01;

/// Message types. TS 29.281 6.1.
pub mod message {
    /// Echo Request.
    pub const ECHO_REQUEST: u8 = 1;
    /// Echo Response.
    pub const ECHO_RESPONSE: u8 = 2;
    /// Error Indication: the sender knows no tunnel of this TEID.
    pub const ERROR_INDICATION: u8 = 26;
    /// Supported Extension Headers Notification.
    pub const SUPPORTED_EXTENSIONS: u8 = 31;
    /// End Marker: nothing more comes in this tunnel.
    pub const END_MARKER: u8 = 254;
    /// T-PDU: a user's packet.
    pub const T_PDU: u8 = 255;
}

/// Why a GTP-U message cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GtpuError {
    /// Fewer than 8 bytes.
    Short,
    /// Another version.
    Version(u8),
    /// The PT bit says GTP′.
    ProtocolType,
    /// The four bytes that E, S or PN announce are not there.
    OptTruncated,
    /// An extension header of length 0.
    ExtLenZero,
    /// An extension header that ends beyond the message.
    ExtTruncated,
    /// More than [`Extensions::MAX`] extension headers.
    ExtTooMany,
    /// An information element that is missing, ends beyond the message or has a length that its type
    /// cannot have.
    Ie,
}

impl From<GtpuError> for Malformed {
    fn from(why: GtpuError) -> Self {
        match why {
            GtpuError::Short => Self::GtpShort,
            GtpuError::Version(_) => Self::GtpVersion,
            GtpuError::ProtocolType => Self::GtpProtocolType,
            GtpuError::OptTruncated => Self::GtpOptTruncated,
            GtpuError::ExtLenZero => Self::GtpExtLenZero,
            GtpuError::ExtTruncated => Self::GtpExtTruncated,
            GtpuError::ExtTooMany => Self::GtpExtTooMany,
            GtpuError::Ie => Self::GtpBadIe,
        }
    }
}

/// A GTP-U message: the base header, and what its length says belongs to it.
#[derive(Clone, Copy, Debug)]
pub struct Gtpu<'a> {
    fixed: &'a Fixed,
    body: &'a [u8],
}

impl<'a> Gtpu<'a> {
    /// Reads the base header. The body ends where the message or the data ends, whichever comes
    /// first. The spare bit is not evaluated. What follows is read by [`Self::open`], so that the
    /// TEID is known also where the extension headers are broken.
    ///
    /// # Errors
    /// [`GtpuError::Short`], [`GtpuError::Version`] and [`GtpuError::ProtocolType`].
    #[inline(always)]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, GtpuError> {
        let (fixed, rest) = split_header::<Fixed>(bytes).ok_or(GtpuError::Short)?;
        let version = fixed.flags >> 5;
        if version != 1 {
            return Err(GtpuError::Version(version));
        }
        if fixed.flags & PROTOCOL_TYPE == 0 {
            return Err(GtpuError::ProtocolType);
        }
        Ok(Self { fixed, body: at_most(rest, usize::from(fixed.length.get())) })
    }

    /// Message type.
    #[inline(always)]
    #[must_use]
    pub const fn message_type(&self) -> u8 {
        self.fixed.kind
    }

    /// The length it states, without the first 8 bytes.
    #[inline(always)]
    #[must_use]
    pub const fn length(&self) -> u16 {
        self.fixed.length.get()
    }

    /// The tunnel, as its receiver knows it.
    #[inline(always)]
    #[must_use]
    pub const fn teid(&self) -> Teid {
        Teid(self.fixed.teid.get())
    }

    /// Reads the optional fields and all extension headers.
    ///
    /// # Errors
    /// [`GtpuError::OptTruncated`] and the errors of [`Extensions`].
    #[inline]
    pub fn open(&self) -> Result<Opened<'a>, GtpuError> {
        let mut opened = Opened { sequence: None, session: None, payload: self.body, states: self.length() };
        if self.fixed.flags & (E | S | PN) == 0 {
            return Ok(opened);
        }
        let (optional, rest) = split_header::<FixedOptional>(self.body).ok_or(GtpuError::OptTruncated)?;
        opened.sequence = (self.fixed.flags & S != 0).then(|| optional.sequence.get());
        opened.payload = rest;
        opened.states = self.left_of(rest);
        // Without E the byte means nothing, whatever it holds. TS 29.281 5.1.
        if self.fixed.flags & E == 0 {
            return Ok(opened);
        }
        let mut extensions = Extensions::new(optional.next_extension, rest);
        for extension in extensions.by_ref() {
            let extension = extension?;
            if extension.kind == PduSession::EXTENSION && opened.session.is_none() {
                opened.session = PduSession::parse(extension.content);
            }
        }
        opened.payload = extensions.rest;
        opened.states = self.left_of(extensions.rest);
        Ok(opened)
    }

    /// What the stated length leaves for `payload`, which ends where the body ends.
    #[inline(always)]
    const fn left_of(&self, payload: &[u8]) -> u16 {
        // The headers before it lie in the body, whose length had 16 bits.
        let headers = self.body.len().wrapping_sub(payload.len()) as u16;
        self.length().wrapping_sub(headers)
    }
}

/// A message behind its base header.
#[derive(Clone, Copy, Debug)]
pub struct Opened<'a> {
    sequence: Option<u16>,
    session: Option<PduSession>,
    payload: &'a [u8],
    states: u16,
}

impl<'a> Opened<'a> {
    /// Sequence number, where S is set.
    #[must_use]
    pub const fn sequence(&self) -> Option<u16> {
        self.sequence
    }

    /// The first PDU session container.
    #[inline(always)]
    #[must_use]
    pub const fn pdu_session(&self) -> Option<PduSession> {
        self.session
    }

    /// How long the payload is by the length that the message states; less may be there.
    #[inline(always)]
    #[must_use]
    pub const fn payload_length(&self) -> u16 {
        self.states
    }

    /// What follows all headers: a user's packet, or information elements.
    #[inline(always)]
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// One extension header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// Its type.
    pub kind: u8,
    /// Its content, without length and next type.
    pub content: &'a [u8],
}

/// The extension headers of a message; of an unknown type too, they are stepped over by their
/// length. Stays finished after its first error. TS 29.281 5.2.1.
#[derive(Clone, Copy, Debug)]
pub struct Extensions<'a> {
    next: u8,
    rest: &'a [u8],
    left: u8,
}

impl<'a> Extensions<'a> {
    /// Extension headers in a message at most; more are an error.
    pub const MAX: u8 = 8;

    #[inline(always)]
    const fn new(next: u8, rest: &'a [u8]) -> Self {
        Self { next, rest, left: Self::MAX }
    }

    #[inline(always)]
    fn step(&mut self) -> Result<Extension<'a>, GtpuError> {
        self.left = self.left.checked_sub(1).ok_or(GtpuError::ExtTooMany)?;
        let units = *self.rest.first().ok_or(GtpuError::ExtTruncated)?;
        if units == 0 {
            return Err(GtpuError::ExtLenZero);
        }
        let bytes = usize::from(units).wrapping_mul(4);
        let (header, rest) = self.rest.split_at_checked(bytes).ok_or(GtpuError::ExtTruncated)?;
        let [_, content @ .., next] = header else { return Err(GtpuError::ExtTruncated) };
        let kind = self.next;
        self.next = *next;
        self.rest = rest;
        Ok(Extension { kind, content })
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Result<Extension<'a>, GtpuError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.next == 0 {
            return None;
        }
        let step = self.step();
        if step.is_err() {
            self.next = 0;
        }
        Some(step)
    }
}

impl core::iter::FusedIterator for Extensions<'_> {}

/// A PDU session container. TS 38.415 5.5.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PduSession {
    /// Which way the packet goes: PDU type 0 is downlink, 1 is uplink; `None` for types that are not
    /// assigned.
    pub toward: Option<Toward>,
    /// The flow it belongs to.
    pub qfi: Qfi,
}

impl PduSession {
    /// The type of this extension header. TS 29.281 5.2.2.7.
    pub const EXTENSION: u8 = 0x85;

    /// Reads the two bytes that every PDU type begins with. What else the flags promise is not
    /// looked at: nothing here needs it, and it may promise more than there is.
    #[inline(always)]
    pub(crate) fn parse(content: &[u8]) -> Option<Self> {
        let [kind, qfi] = *content.first_chunk()?;
        let toward = match kind >> 4 {
            0 => Some(Toward::Downlink),
            1 => Some(Toward::Uplink),
            _ => None,
        };
        Some(Self { toward, qfi: Qfi(qfi & 0x3f) })
    }
}

/// Types of information elements in GTP-U messages. TS 29.281 8.1.
mod ie {
    pub(super) const RECOVERY: u8 = 14;
    pub(super) const TEID_DATA_I: u8 = 16;
    pub(super) const PEER_ADDRESS: u8 = 133;
    /// Types from here on have a length of two bytes; those below have one fixed by their type.
    pub(super) const FIRST_TLV: u8 = 128;
}

/// The tunnel that an Error Indication is about: its TEID Data I and GTP-U Peer Address, the first of
/// each. TS 29.281 7.3.1.
///
/// # Errors
/// [`GtpuError::Ie`] where one is missing or broken, or stands behind one that cannot be stepped over.
pub fn error_indication(elements: &[u8]) -> Result<TunnelKey, GtpuError> {
    let mut teid = None;
    let mut receiver = None;
    let mut rest = elements;
    for _ in 0..=ERROR_INDICATION_IES_MAX {
        if let (Some(teid), Some(receiver)) = (teid, receiver) {
            return Ok(TunnelKey { receiver, teid });
        }
        let (&kind, after) = rest.split_first().ok_or(GtpuError::Ie)?;
        let (length, after) = match kind {
            ie::RECOVERY => (1, after),
            ie::TEID_DATA_I => (4, after),
            ie::FIRST_TLV.. => {
                let (length, after) = split_header::<Be16>(after).ok_or(GtpuError::Ie)?;
                (usize::from(length.get()), after)
            }
            _ => return Err(GtpuError::Ie),
        };
        let (value, after) = after.split_at_checked(length).ok_or(GtpuError::Ie)?;
        match kind {
            ie::TEID_DATA_I if teid.is_none() => {
                let value: [u8; 4] = value.try_into().map_err(|_| GtpuError::Ie)?;
                teid = Some(Teid(u32::from_be_bytes(value)));
            }
            ie::PEER_ADDRESS if receiver.is_none() => receiver = Some(address(value)?),
            _ => {}
        }
        rest = after;
    }
    Err(GtpuError::Ie)
}

/// Elements that are read to find the two: TS 29.281 table 7.3.1-1 has five kinds of them.
const ERROR_INDICATION_IES_MAX: u8 = 16;

fn address(value: &[u8]) -> Result<IpAddr, GtpuError> {
    if let Ok(four) = <[u8; 4]>::try_from(value) {
        return Ok(IpAddr::V4(Ipv4Addr::from(four)));
    }
    let sixteen = <[u8; 16]>::try_from(value).map_err(|_| GtpuError::Ie)?;
    Ok(IpAddr::V6(Ipv6Addr::from(sixteen)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// E and S set, TEID 0x11223344, PDU session container (uplink, QFI 9), 4 bytes of payload.
    const MESSAGE: [u8; 20] =
        [0x36, 0xff, 0, 12, 0x11, 0x22, 0x33, 0x44, 0, 5, 0, 0x85, 1, 0x10, 9, 0, 0xde, 0xad, 0xbe, 0xef];

    fn open(bytes: &[u8]) -> Result<Opened<'_>, GtpuError> {
        Gtpu::parse(bytes)?.open()
    }

    #[test]
    fn reads_a_message() {
        let gtp = Gtpu::parse(&MESSAGE).unwrap();
        assert_eq!((gtp.message_type(), gtp.length(), gtp.teid()), (255, 12, Teid(0x1122_3344)));
        let opened = gtp.open().unwrap();
        assert_eq!(opened.sequence(), Some(5));
        let session = PduSession { toward: Some(Toward::Uplink), qfi: Qfi(9) };
        assert_eq!(opened.pdu_session(), Some(session));
        assert_eq!(opened.payload(), [0xde, 0xad, 0xbe, 0xef]);
    }

    #[test]
    fn every_shorter_prefix() {
        for cut in 0..20 {
            let why = open(&MESSAGE[..cut]).map(|opened| opened.payload().len());
            let expected = match cut {
                0..8 => Err(GtpuError::Short),
                8..12 => Err(GtpuError::OptTruncated),
                12..16 => Err(GtpuError::ExtTruncated),
                _ => Ok(cut - 16),
            };
            assert_eq!(why, expected, "{cut}");
        }
    }

    #[test]
    fn length_in_both_directions() {
        let with = |length: u16| {
            let mut bytes = MESSAGE;
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            open(&bytes).map(|opened| opened.payload().len())
        };
        assert_eq!(with(11), Ok(3));
        assert_eq!(with(13), Ok(4));
        assert_eq!(with(u16::MAX), Ok(4));
        assert_eq!(with(8), Ok(0));
        assert_eq!(with(7), Err(GtpuError::ExtTruncated));
        assert_eq!(with(4), Err(GtpuError::ExtTruncated));
        for length in 0..4 {
            assert_eq!(with(length), Err(GtpuError::OptTruncated));
        }
    }

    #[test]
    fn extension_length_in_both_directions() {
        let with = |units: u8| {
            let mut bytes = MESSAGE;
            bytes[12] = units;
            bytes[19] = 0;
            open(&bytes).map(|opened| opened.payload().len())
        };
        assert_eq!(with(0), Err(GtpuError::ExtLenZero));
        assert_eq!(with(1), Ok(4));
        assert_eq!(with(2), Ok(0));
        assert_eq!(with(3), Err(GtpuError::ExtTruncated));
        assert_eq!(with(255), Err(GtpuError::ExtTruncated));
    }

    #[test]
    fn version_and_protocol_type() {
        let flags = |byte: u8| {
            let mut bytes = MESSAGE;
            bytes[0] = byte;
            open(&bytes).map(|opened| opened.payload().len())
        };
        for version in [0, 2, 3, 4, 5, 6, 7] {
            assert_eq!(flags(version << 5 | 0x16), Err(GtpuError::Version(version)));
        }
        assert_eq!(flags(0x26), Err(GtpuError::ProtocolType));
        assert_eq!(flags(0x3e), Ok(4), "the spare bit is not evaluated");
        assert_eq!(flags(0x32), Ok(8), "without E the next type is not read");
        assert_eq!(flags(0x30), Ok(12));
    }

    #[test]
    fn extensions_stay_finished_after_an_error() {
        let mut extensions = Extensions::new(0x85, &[0, 0, 0, 0x85]);
        assert_eq!(extensions.next(), Some(Err(GtpuError::ExtLenZero)));
        assert_eq!(extensions.next(), None);
        let chain = [1, 0, 0, 1].repeat(9);
        let mut extensions = Extensions::new(1, &chain);
        assert_eq!(extensions.by_ref().filter(Result::is_ok).count(), 8);
        assert_eq!(Extensions::new(1, &chain).last(), Some(Err(GtpuError::ExtTooMany)));
        assert_eq!(extensions.next(), None);
    }

    #[test]
    fn pdu_types() {
        let parse = |kind: u8| PduSession::parse(&[kind, 0xff]).unwrap();
        assert_eq!(parse(0x00).toward, Some(Toward::Downlink));
        assert_eq!(parse(0x10).toward, Some(Toward::Uplink));
        assert_eq!(parse(0xf0), PduSession { toward: None, qfi: Qfi(63) });
    }

    #[test]
    fn error_indication_elements() {
        let good: Vec<u8> = std::vec![14, 3, 16, 0, 0, 0, 7, 133, 0, 4, 10, 0, 0, 1];
        let tunnel = TunnelKey { receiver: "10.0.0.1".parse().unwrap(), teid: Teid(7) };
        assert_eq!(error_indication(&good), Ok(tunnel));
        for cut in 0..good.len() {
            assert_eq!(error_indication(&good[..cut]), Err(GtpuError::Ie), "{cut}");
        }
        let swapped = [&good[7..], &good[2..7]].concat();
        assert_eq!(error_indication(&swapped), Ok(tunnel));
        for length in [0, 3, 5, 16] {
            let mut bad = good.clone();
            bad[9] = length;
            assert_eq!(error_indication(&bad), Err(GtpuError::Ie), "{length}");
        }
        let mut v6 = std::vec![133, 0, 16];
        v6.extend(1_u128.to_be_bytes());
        v6.extend([255, 0, 0, 16, 0, 0, 0, 7]);
        let tunnel = TunnelKey { receiver: "::1".parse().unwrap(), teid: Teid(7) };
        assert_eq!(error_indication(&v6), Ok(tunnel));
        assert_eq!(error_indication(&[99, 0, 16, 0, 0, 0, 7]), Err(GtpuError::Ie), "no length known");
        let padded = |count| [&[14, 0].repeat(count)[..], &good].concat();
        let tunnel = TunnelKey { receiver: "10.0.0.1".parse().unwrap(), teid: Teid(7) };
        assert_eq!(error_indication(&padded(13)), Ok(tunnel), "16 elements");
        assert_eq!(error_indication(&padded(14)), Err(GtpuError::Ie), "17 elements");
    }
}
