//! GRE. RFC 2784 2, RFC 2890 2.
//!
//! ```text
//!  0  | C R K S 0(9) version(3) | protocol(2)          |
//!     | checksum(2) reserved(2)     where C is set     |
//!     | key(4)                      where K is set     |
//!     | sequence(4)                 where S is set     | payload
//! ```

use bytemuck::{Pod, Zeroable};
use types::Malformed;

use crate::bytes::{Be16, split_header};

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Fixed {
    flags_version: Be16,
    protocol: Be16,
}
const _: () = assert!(size_of::<Fixed>() == 4);

const C: u16 = 0x8000;
const R: u16 = 0x4000;
const K: u16 = 0x2000;
const S: u16 = 0x1000;

/// Protocol types of ERSPAN; the others are EtherTypes.
pub mod protocol {
    /// ERSPAN type I without, type II with a sequence number.
    pub const ERSPAN: u16 = 0x88be;
    /// ERSPAN type III.
    pub const ERSPAN_III: u16 = 0x22eb;
}

/// Why there is no GRE packet that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GreError {
    /// The data ends inside the header.
    Truncated,
    /// Source routing of RFC 1701, to be discarded by RFC 2784 2.3.
    Routing,
    /// PPTP's variant: legal, holds PPP. RFC 2637 4.1.
    Pptp,
    /// A version that nobody knows.
    Version(u8),
}

impl GreError {
    /// The reason it is counted under; PPTP is not broken, only not looked into.
    #[must_use]
    pub const fn reason(self) -> Option<Malformed> {
        match self {
            Self::Pptp => None,
            Self::Truncated | Self::Routing | Self::Version(_) => Some(Malformed::GreBad),
        }
    }
}

/// A GRE packet.
#[derive(Clone, Copy, Debug)]
pub struct Gre<'a> {
    fixed: &'a Fixed,
    payload: &'a [u8],
}

impl<'a> Gre<'a> {
    /// Reads the header with its optional fields.
    ///
    /// # Errors
    /// See [`GreError`].
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, GreError> {
        let (fixed, rest) = split_header::<Fixed>(bytes).ok_or(GreError::Truncated)?;
        let flags = fixed.flags_version.get();
        match flags & 7 {
            0 => {}
            1 => return Err(GreError::Pptp),
            version => return Err(GreError::Version(version as u8)),
        }
        if flags & R != 0 {
            return Err(GreError::Routing);
        }
        let optional = (flags & (C | K | S)).count_ones() as usize;
        let payload = rest.get(optional.wrapping_mul(4)..).ok_or(GreError::Truncated)?;
        Ok(Self { fixed, payload })
    }

    /// What the payload is.
    #[must_use]
    pub const fn protocol(&self) -> u16 {
        self.fixed.protocol.get()
    }

    /// Whether there is a sequence number; ERSPAN types I and II differ by it.
    #[must_use]
    pub const fn has_sequence(&self) -> bool {
        self.fixed.flags_version.get() & S != 0
    }

    /// What follows the header.
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: [u8; 17] = [0xb0, 0, 0x65, 0x58, 1, 2, 0, 0, 0, 0, 0, 3, 0, 0, 0, 4, 0xaa];

    #[test]
    fn reads_a_packet() {
        let gre = Gre::parse(&PACKET).unwrap();
        assert_eq!((gre.protocol(), gre.has_sequence(), gre.payload()), (0x6558, true, &[0xaa][..]));
        for (flags, header) in [(0x00, 4), (0x80, 8), (0x20, 8), (0x10, 8), (0xa0, 12), (0x30, 12)] {
            let mut packet = PACKET;
            packet[0] = flags;
            assert_eq!(Gre::parse(&packet).unwrap().payload(), &PACKET[header..]);
        }
    }

    #[test]
    fn every_shorter_prefix_is_truncated() {
        for cut in 0..16 {
            assert_eq!(Gre::parse(&PACKET[..cut]).unwrap_err(), GreError::Truncated);
        }
    }

    #[test]
    fn versions_and_routing() {
        let with = |first: u8, second: u8| {
            let mut packet = PACKET;
            packet[..2].copy_from_slice(&[first, second]);
            Gre::parse(&packet).unwrap_err()
        };
        assert_eq!(with(0x30, 1), GreError::Pptp);
        assert_eq!(with(0x30, 1).reason(), None);
        assert_eq!(with(0, 2), GreError::Version(2));
        assert_eq!(with(0, 7).reason(), Some(Malformed::GreBad));
        assert_eq!(with(0x40, 0), GreError::Routing);
    }
}
