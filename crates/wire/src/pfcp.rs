//! The header of PFCP. TS 29.244 7.2.2.
//!
//! ```text
//!  0  | version 1(3) 0 0 FO MP S | type | length(2), of all that follows the first 4 bytes |
//!     | SEID(8)     where S is set | sequence(3) | priority(4) 0(4)                        |
//! ```
//! Where FO is set, another message follows. TS 29.244 7.2.1A.

mod event;
pub mod ie;

use bytemuck::{Pod, Zeroable};
use types::{Malformed, Seid};

pub(crate) use event::fill;

use crate::bytes::{Be16, Be24, Be64, at_most, split_header};

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
    priority: u8,
}
const _: () = assert!(size_of::<FixedSequence>() == 4);

/// Why a PFCP message cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PfcpError {
    /// The data ends inside the header.
    Short,
    /// A version other than 1.
    Version(u8),
    /// A length that cannot hold the header itself.
    Length(u16),
}

impl From<PfcpError> for Malformed {
    fn from(why: PfcpError) -> Self {
        match why {
            PfcpError::Short => Self::PfcpShort,
            PfcpError::Version(_) => Self::PfcpVersion,
            PfcpError::Length(_) => Self::PfcpLength,
        }
    }
}

/// A PFCP message.
#[derive(Clone, Copy, Debug)]
pub struct Pfcp<'a> {
    fixed: &'a Fixed,
    seid: Option<Seid>,
    sequence: u32,
    body: &'a [u8],
    follows: Option<&'a [u8]>,
    claims_more: bool,
}

impl<'a> Pfcp<'a> {
    /// Reads the header. The body ends where the message or the data ends; see
    /// [`Self::claims_more`].
    ///
    /// # Errors
    /// See [`PfcpError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PfcpError> {
        let version = *bytes.first().ok_or(PfcpError::Short)? >> 5;
        if version != 1 {
            return Err(PfcpError::Version(version));
        }
        let (fixed, rest) = split_header::<Fixed>(bytes).ok_or(PfcpError::Short)?;
        let has_seid = fixed.flags & 0x01 != 0;
        let header = if has_seid { 12 } else { 4 };
        if rest.len() < header {
            return Err(PfcpError::Short);
        }
        let length = fixed.length.get();
        if usize::from(length) < header {
            return Err(PfcpError::Length(length));
        }
        let claims_more = usize::from(length) > rest.len();
        let message = at_most(rest, usize::from(length));
        let (seid, message) = if has_seid {
            let (seid, message) = split_header::<Be64>(message).ok_or(PfcpError::Short)?;
            (Some(Seid(seid.get())), message)
        } else {
            (None, message)
        };
        let (sequence, body) = split_header::<FixedSequence>(message).ok_or(PfcpError::Short)?;
        let follows = if fixed.flags & 0x04 != 0 { rest.get(usize::from(length)..) } else { None };
        Ok(Self { fixed, seid, sequence: sequence.sequence.get(), body, follows, claims_more })
    }

    /// Message type.
    #[must_use]
    pub const fn message_type(&self) -> u8 {
        self.fixed.kind
    }

    /// The receiver's session endpoint, where S is set.
    #[must_use]
    pub const fn seid(&self) -> Option<Seid> {
        self.seid
    }

    /// Sequence number.
    #[must_use]
    pub const fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Information elements.
    #[must_use]
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Where FO is set and the message ends within the data: what follows it. TS 29.244 7.2.1A.
    #[must_use]
    pub const fn bundled(&self) -> Option<&'a [u8]> {
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

    const NODE: [u8; 10] = [0x20, 1, 0, 6, 0, 0, 5, 0, 0, 96];
    const SESSION: [u8; 18] = [0x21, 50, 0, 14, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 5, 0, 0, 60];

    #[test]
    fn reads_both_headers() {
        let node = Pfcp::parse(&NODE).unwrap();
        assert_eq!((node.message_type(), node.seid(), node.sequence()), (1, None, 5));
        assert_eq!(node.body(), [0, 96]);
        let session = Pfcp::parse(&SESSION).unwrap();
        assert_eq!((session.message_type(), session.seid(), session.sequence()), (50, Some(Seid(9)), 5));
        assert_eq!(session.body(), [0, 60]);
    }

    #[test]
    fn every_shorter_prefix() {
        for cut in 0..8 {
            assert_eq!(Pfcp::parse(&NODE[..cut]).unwrap_err(), PfcpError::Short);
        }
        for cut in 0..16 {
            assert_eq!(Pfcp::parse(&SESSION[..cut]).unwrap_err(), PfcpError::Short);
        }
        assert!(Pfcp::parse(&NODE[..9]).unwrap().claims_more());
        assert!(Pfcp::parse(&SESSION[..17]).unwrap().claims_more());
    }

    #[test]
    fn length_in_both_directions() {
        let with = |bytes: &[u8], length: u16| {
            let mut bytes: Vec<u8> = bytes.to_vec();
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            Pfcp::parse(&bytes).map(|pfcp| (pfcp.body().len(), pfcp.claims_more()))
        };
        assert_eq!(with(&NODE, 5), Ok((1, false)));
        assert_eq!(with(&NODE, 7), Ok((2, true)));
        assert_eq!(with(&NODE, 3), Err(PfcpError::Length(3)));
        assert_eq!(with(&SESSION, 13), Ok((1, false)));
        assert_eq!(with(&SESSION, u16::MAX), Ok((2, true)));
        assert_eq!(with(&SESSION, 11), Err(PfcpError::Length(11)));
    }

    #[test]
    fn bundled_message_follows_the_first() {
        let mut bytes = SESSION.to_vec();
        bytes.extend(SESSION);
        assert_eq!(Pfcp::parse(&bytes).unwrap().bundled(), None);
        bytes[0] |= 0x04;
        assert_eq!(Pfcp::parse(&bytes).unwrap().bundled(), Some(&SESSION[..]));
        assert_eq!(Pfcp::parse(&bytes[..18]).unwrap().bundled(), Some(&[][..]));
        assert_eq!(Pfcp::parse(&bytes[..17]).unwrap().bundled(), None);
    }

    #[test]
    fn other_versions() {
        for version in [0, 2, 3, 7] {
            let mut bytes = SESSION;
            bytes[0] = version << 5 | 1;
            assert_eq!(Pfcp::parse(&bytes).unwrap_err(), PfcpError::Version(version));
        }
    }
}
