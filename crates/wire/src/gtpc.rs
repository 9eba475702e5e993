//! Headers of GTP-C. Version 1: TS 29.060 6; version 2: TS 29.274 5.1, 5.5.
//!
//! ```text
//! v1  | version 1(3) PT 0 E S PN | type | length(2), of all that follows the first 8 bytes |
//!     | TEID(4) | sequence(2) N-PDU(1) next extension(1)     where any of E, S, PN is set  |
//!     | length in 4 bytes(1) | content | next extension(1)   each extension, where E is set |
//! v2  | version 2(3) P T MP 0 0  | type | length(2), of all that follows the first 4 bytes |
//!     | TEID(4)     where T is set | sequence(3) | priority(4) 0(4)                        |
//! ```
//! Where P is set, a second message of version 2 follows the first. TS 29.274 5.5.1.

use bytemuck::{Pod, Zeroable};
use types::{Malformed, Teid};

use crate::bytes::{Be16, Be24, Be32, at_most, split_header};

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Fixed {
    flags: u8,
    kind: u8,
    length: Be16,
}
const _: () = assert!(size_of::<Fixed>() == 4);

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct FixedSequence {
    sequence: Be24,
    spare: u8,
}
const _: () = assert!(size_of::<FixedSequence>() == 4);

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct FixedOptional {
    sequence: Be16,
    n_pdu: u8,
    next_extension: u8,
}

/// Why a GTP-C message cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GtpcError {
    /// The data ends inside the header.
    Short,
    /// Neither version 1 nor version 2.
    Version(u8),
    /// A length that cannot hold the header itself.
    Length(u16),
    /// An extension header of length 0.
    ExtLenZero,
    /// An extension header that ends beyond the message.
    ExtTruncated,
    /// More than [`Gtpc::EXTENSIONS_MAX`] extension headers.
    ExtTooMany,
}

impl From<GtpcError> for Malformed {
    fn from(why: GtpcError) -> Self {
        match why {
            GtpcError::Short => Self::GtpcShort,
            GtpcError::Version(_) => Self::GtpcVersion,
            GtpcError::Length(_) => Self::GtpcLength,
            GtpcError::ExtLenZero => Self::GtpExtLenZero,
            GtpcError::ExtTruncated => Self::GtpExtTruncated,
            GtpcError::ExtTooMany => Self::GtpExtTooMany,
        }
    }
}

/// A message of either version.
#[derive(Clone, Copy, Debug)]
pub struct Gtpc<'a> {
    fixed: &'a Fixed,
    version: u8,
    teid: Option<Teid>,
    sequence: Option<u32>,
    next_extension: u8,
    body: &'a [u8],
    follows: Option<&'a [u8]>,
    claims_more: bool,
}

impl<'a> Gtpc<'a> {
    /// Reads the header by its version. The body ends where the message or the data ends; see
    /// [`Self::claims_more`].
    ///
    /// # Errors
    /// See [`GtpcError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, GtpcError> {
        let first = *bytes.first().ok_or(GtpcError::Short)?;
        match first >> 5 {
            // PT 0 is GTP′, whose version numbers mean something else.
            1 if first & 0x10 != 0 => Self::parse_v1(bytes),
            2 => Self::parse_v2(bytes),
            version => Err(GtpcError::Version(version)),
        }
    }

    fn parse_v1(bytes: &'a [u8]) -> Result<Self, GtpcError> {
        let (fixed, rest) = split_header::<Fixed>(bytes).ok_or(GtpcError::Short)?;
        let (teid, rest) = split_header::<Be32>(rest).ok_or(GtpcError::Short)?;
        let length = fixed.length.get();
        let claims_more = usize::from(length) > rest.len();
        let message = at_most(rest, usize::from(length));
        let (sequence, next_extension, body) = if fixed.flags & 0x07 == 0 {
            (None, 0, message)
        } else if usize::from(length) < size_of::<FixedOptional>() {
            return Err(GtpcError::Length(length));
        } else {
            let (optional, body) = split_header::<FixedOptional>(message).ok_or(GtpcError::Short)?;
            let sequence = (fixed.flags & 0x02 != 0).then(|| u32::from(optional.sequence.get()));
            // Without E the byte means nothing, whatever it holds.
            (sequence, if fixed.flags & 0x04 != 0 { optional.next_extension } else { 0 }, body)
        };
        let teid = Some(Teid(teid.get()));
        Ok(Self { fixed, version: 1, teid, sequence, next_extension, body, follows: None, claims_more })
    }

    fn parse_v2(bytes: &'a [u8]) -> Result<Self, GtpcError> {
        let (fixed, rest) = split_header::<Fixed>(bytes).ok_or(GtpcError::Short)?;
        let has_teid = fixed.flags & 0x08 != 0;
        let header = if has_teid { 8 } else { 4 };
        if rest.len() < header {
            return Err(GtpcError::Short);
        }
        let length = fixed.length.get();
        if usize::from(length) < header {
            return Err(GtpcError::Length(length));
        }
        let claims_more = usize::from(length) > rest.len();
        let message = at_most(rest, usize::from(length));
        let (teid, message) = if has_teid {
            let (teid, message) = split_header::<Be32>(message).ok_or(GtpcError::Short)?;
            (Some(Teid(teid.get())), message)
        } else {
            (None, message)
        };
        let (sequence, body) = split_header::<FixedSequence>(message).ok_or(GtpcError::Short)?;
        let follows = if fixed.flags & 0x10 != 0 { rest.get(usize::from(length)..) } else { None };
        let sequence = Some(sequence.sequence.get());
        Ok(Self { fixed, version: 2, teid, sequence, next_extension: 0, body, follows, claims_more })
    }

    /// 1 or 2.
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.version
    }

    /// Message type; the numbers of the two versions differ.
    #[must_use]
    pub const fn message_type(&self) -> u8 {
        self.fixed.kind
    }

    /// The receiver's TEID, where the header has one.
    #[must_use]
    pub const fn teid(&self) -> Option<Teid> {
        self.teid
    }

    /// Sequence number, where the header has one.
    #[must_use]
    pub const fn sequence(&self) -> Option<u32> {
        self.sequence
    }

    /// What follows the header: in version 1 any extension headers, then information elements.
    #[must_use]
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Extension headers in a message at most; more are an error.
    pub const EXTENSIONS_MAX: u8 = 8;

    /// Information elements, behind any extension headers. These say nothing that is needed here, they
    /// are stepped over by their length. TS 29.060 6.1.
    ///
    /// # Errors
    /// [`GtpcError::ExtLenZero`], [`GtpcError::ExtTruncated`] and [`GtpcError::ExtTooMany`].
    pub fn elements(&self) -> Result<&'a [u8], GtpcError> {
        let mut next = self.next_extension;
        let mut rest = self.body;
        for _ in 0..Self::EXTENSIONS_MAX {
            if next == 0 {
                return Ok(rest);
            }
            let units = *rest.first().ok_or(GtpcError::ExtTruncated)?;
            let bytes = usize::from(units).wrapping_mul(4);
            let (header, after) = rest.split_at_checked(bytes).ok_or(GtpcError::ExtTruncated)?;
            next = *header.last().ok_or(GtpcError::ExtLenZero)?;
            rest = after;
        }
        if next == 0 { Ok(rest) } else { Err(GtpcError::ExtTooMany) }
    }

    /// Where P is set and the first message ends within the data: what follows it.
    #[must_use]
    pub const fn piggybacked(&self) -> Option<&'a [u8]> {
        self.follows
    }

    /// Whether the length runs beyond the data.
    #[must_use]
    pub const fn claims_more(&self) -> bool {
        self.claims_more
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const V1: [u8; 14] = [0x32, 16, 0, 6, 0, 0, 0, 9, 0x12, 0x34, 0, 0, 14, 1];
    const V2: [u8; 14] = [0x48, 32, 0, 10, 0, 0, 0, 9, 0, 0x12, 0x34, 0, 3, 0];
    const ECHO: [u8; 8] = [0x40, 1, 0, 4, 0, 0, 1, 0];

    #[test]
    fn reads_both_versions() {
        let v1 = Gtpc::parse(&V1).unwrap();
        assert_eq!((v1.version(), v1.message_type(), v1.teid()), (1, 16, Some(Teid(9))));
        assert_eq!((v1.sequence(), v1.body()), (Some(0x1234), &[14, 1][..]));
        let v2 = Gtpc::parse(&V2).unwrap();
        assert_eq!((v2.version(), v2.message_type(), v2.teid()), (2, 32, Some(Teid(9))));
        assert_eq!((v2.sequence(), v2.body()), (Some(0x1234), &[3, 0][..]));
        let echo = Gtpc::parse(&ECHO).unwrap();
        assert_eq!((echo.teid(), echo.sequence(), echo.body()), (None, Some(1), &[][..]));
    }

    #[test]
    fn every_shorter_prefix() {
        for cut in 0..12 {
            assert_eq!(Gtpc::parse(&V1[..cut]).unwrap_err(), GtpcError::Short, "{cut}");
            assert_eq!(Gtpc::parse(&V2[..cut]).unwrap_err(), GtpcError::Short, "{cut}");
        }
        for cut in 12..14 {
            assert!(Gtpc::parse(&V1[..cut]).unwrap().claims_more());
            assert!(Gtpc::parse(&V2[..cut]).unwrap().claims_more());
        }
        for cut in 0..8 {
            assert_eq!(Gtpc::parse(&ECHO[..cut]).unwrap_err(), GtpcError::Short);
        }
    }

    fn with_length(bytes: &[u8], length: u16) -> Result<(usize, bool), GtpcError> {
        let mut bytes: Vec<u8> = bytes.to_vec();
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        Gtpc::parse(&bytes).map(|gtp| (gtp.body().len(), gtp.claims_more()))
    }

    #[test]
    fn length_in_both_directions() {
        assert_eq!(with_length(&V1, 5), Ok((1, false)));
        assert_eq!(with_length(&V1, 7), Ok((2, true)));
        assert_eq!(with_length(&V1, 3), Err(GtpcError::Length(3)));
        assert_eq!(with_length(&V1, 0), Err(GtpcError::Length(0)));
        assert_eq!(with_length(&V2, 9), Ok((1, false)));
        assert_eq!(with_length(&V2, 11), Ok((2, true)));
        assert_eq!(with_length(&V2, 7), Err(GtpcError::Length(7)));
        assert_eq!(with_length(&V2, u16::MAX), Ok((2, true)));
        assert_eq!(with_length(&ECHO, 3), Err(GtpcError::Length(3)));
        assert_eq!(with_length(&ECHO, 5), Ok((0, true)));
    }

    #[test]
    fn piggybacked_message_follows_the_first() {
        let mut bytes = V2.to_vec();
        bytes[0] |= 0x10;
        bytes.extend(ECHO);
        let first = Gtpc::parse(&bytes).unwrap();
        assert_eq!(first.piggybacked(), Some(&ECHO[..]));
        assert_eq!(Gtpc::parse(&V2).unwrap().piggybacked(), None);
    }

    /// E and S set, then extension headers whose first has the type PDCP PDU Number, then 14 1.
    fn extended(first: u8, chain: &[u8]) -> Vec<u8> {
        let length = (6 + chain.len()) as u8;
        [&[0x36, 52, 0, length, 0, 0, 0, 9, 0, 1, 0, first], chain, &[14, 1]].concat()
    }

    #[test]
    fn extension_headers_are_stepped_over() {
        let elements = |bytes: &[u8]| Gtpc::parse(bytes).unwrap().elements().map(<[u8]>::to_vec);
        assert_eq!(elements(&V1), Ok(std::vec![14, 1]));
        assert_eq!(elements(&V2), Ok(std::vec![3, 0]));
        assert_eq!(elements(&extended(0, &[])), Ok(std::vec![14, 1]));
        let two = [1, 0, 7, 0xc2, 2, 0, 0, 0, 0, 0, 0, 0];
        let message = extended(0xc0, &two);
        assert_eq!(elements(&message), Ok(std::vec![14, 1]));
        for cut in 12..24 {
            assert_eq!(elements(&message[..cut]), Err(GtpcError::ExtTruncated), "{cut}");
        }
        assert_eq!(elements(&extended(0xc0, &[0, 0, 7, 0])), Err(GtpcError::ExtLenZero));
        assert_eq!(elements(&extended(0xc0, &[2, 0, 7, 0])), Err(GtpcError::ExtTruncated));
        // One unit too short: the rest of the header reads as elements.
        assert_eq!(
            elements(&extended(0xc0, &[1, 0, 7, 0, 0, 0, 0, 0])),
            Ok([&[0; 4][..], &[14, 1]].concat())
        );
        // Without E the next type means nothing.
        let mut without = extended(0xc0, &[]);
        without[0] = 0x32;
        assert_eq!(elements(&without), Ok(std::vec![14, 1]));
        let chain = |count: usize| {
            let mut chain = [1, 0, 0, 1].repeat(count);
            chain[count * 4 - 1] = 0;
            extended(1, &chain)
        };
        assert_eq!(elements(&chain(8)), Ok(std::vec![14, 1]));
        assert_eq!(elements(&chain(9)), Err(GtpcError::ExtTooMany));
    }

    #[test]
    fn other_versions() {
        for version in [0, 3, 4, 5, 6, 7] {
            let mut bytes = V1;
            bytes[0] = version << 5 | 0x12;
            assert_eq!(Gtpc::parse(&bytes).unwrap_err(), GtpcError::Version(version));
        }
        assert_eq!(Gtpc::parse(&[0x20; 12]).unwrap_err(), GtpcError::Version(1), "GTP′");
    }
}
