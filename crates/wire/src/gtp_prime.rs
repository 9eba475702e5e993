//! The header of GTP′, which carries charging records. TS 32.295 6.1.
//!
//! ```text
//!  0  | version(3) PT(1) 1 1 1 L | type | length(2), of what follows the header | sequence(2) |
//! ```
//! With version 0 and L not set the header is 20 bytes long, as in GTP of release 97; else 6.

use bytemuck::{Pod, Zeroable};
use types::Malformed;

use crate::bytes::{Be16, at_most, split_header};

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Fixed {
    flags: u8,
    kind: u8,
    length: Be16,
    sequence: Be16,
}
const _: () = assert!(size_of::<Fixed>() == 6);

/// What the long header has behind the short one, all unused.
const LONG_REST: usize = 14;

/// Why a GTP′ message cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GtpPrimeError {
    /// The data ends inside the header.
    Short,
    /// The PT bit says GTP.
    ProtocolType,
}

impl From<GtpPrimeError> for Malformed {
    fn from(why: GtpPrimeError) -> Self {
        match why {
            GtpPrimeError::Short => Self::GtpPrimeShort,
            GtpPrimeError::ProtocolType => Self::GtpPrimeProtocolType,
        }
    }
}

/// A GTP′ message.
#[derive(Clone, Copy, Debug)]
pub struct GtpPrime<'a> {
    fixed: &'a Fixed,
    body: &'a [u8],
    claims_more: bool,
}

impl<'a> GtpPrime<'a> {
    /// Reads the header. The body ends where the message or the data ends; see
    /// [`Self::claims_more`].
    ///
    /// # Errors
    /// See [`GtpPrimeError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, GtpPrimeError> {
        let first = *bytes.first().ok_or(GtpPrimeError::Short)?;
        if first & 0x10 != 0 {
            return Err(GtpPrimeError::ProtocolType);
        }
        let (fixed, rest) = split_header::<Fixed>(bytes).ok_or(GtpPrimeError::Short)?;
        let is_long = fixed.flags >> 5 == 0 && fixed.flags & 1 == 0;
        let rest = if is_long { rest.get(LONG_REST..).ok_or(GtpPrimeError::Short)? } else { rest };
        let length = usize::from(fixed.length.get());
        Ok(Self { fixed, body: at_most(rest, length), claims_more: length > rest.len() })
    }

    /// Version: 0 to 2.
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.fixed.flags >> 5
    }

    /// Message type.
    #[must_use]
    pub const fn message_type(&self) -> u8 {
        self.fixed.kind
    }

    /// Sequence number.
    #[must_use]
    pub const fn sequence(&self) -> u16 {
        self.fixed.sequence.get()
    }

    /// Information elements.
    #[must_use]
    pub const fn body(&self) -> &'a [u8] {
        self.body
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

    const MESSAGE: [u8; 8] = [0x4e, 240, 0, 2, 0, 7, 126, 1];

    #[test]
    fn reads_a_message() {
        let gtp = GtpPrime::parse(&MESSAGE).unwrap();
        assert_eq!((gtp.version(), gtp.message_type(), gtp.sequence()), (2, 240, 7));
        assert_eq!((gtp.body(), gtp.claims_more()), (&[126, 1][..], false));
    }

    #[test]
    fn every_shorter_prefix() {
        for cut in 0..6 {
            assert_eq!(GtpPrime::parse(&MESSAGE[..cut]).unwrap_err(), GtpPrimeError::Short);
        }
        for cut in 6..8 {
            assert!(GtpPrime::parse(&MESSAGE[..cut]).unwrap().claims_more());
        }
        let long = [0x0e, 1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for cut in 0..20 {
            assert_eq!(GtpPrime::parse(&long[..cut]).unwrap_err(), GtpPrimeError::Short);
        }
        assert_eq!(GtpPrime::parse(&long).unwrap().body(), []);
    }

    #[test]
    fn length_and_protocol_type() {
        let mut bytes = MESSAGE;
        bytes[3] = 1;
        assert_eq!(GtpPrime::parse(&bytes).unwrap().body().len(), 1);
        bytes[3] = 3;
        assert!(GtpPrime::parse(&bytes).unwrap().claims_more());
        bytes[0] |= 0x10;
        assert_eq!(GtpPrime::parse(&bytes).unwrap_err(), GtpPrimeError::ProtocolType);
    }
}
