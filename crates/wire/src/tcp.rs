//! TCP. RFC 9293 3.1.
//!
//! ```text
//!  0  | source port(2) | destination port(2) |
//!  4  | sequence(4)                          |
//!  8  | acknowledgement(4)                   |
//! 12  | offset(4) 0(4) flags(8) | window(2)  |
//! 16  | checksum(2) | urgent(2)              | options up to offset × 4, payload
//! ```

use bytemuck::{Pod, Zeroable};
use types::{Malformed, PortPair};

use crate::bytes::{Be16, Be32, split_header};

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Fixed {
    source: Be16,
    destination: Be16,
    sequence: Be32,
    acknowledgement: Be32,
    offset: u8,
    flags: u8,
    window: Be16,
    checksum: Be16,
    urgent: Be16,
}
const _: () = assert!(size_of::<Fixed>() == 20);

/// Why there is no segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpError {
    /// The data ends inside the fixed header.
    Truncated,
    /// A data offset below 5 words, or beyond the data.
    Offset(u8),
}

impl From<TcpError> for Malformed {
    fn from(why: TcpError) -> Self {
        match why {
            TcpError::Truncated => Self::TcpTruncated,
            TcpError::Offset(_) => Self::TcpBadOffset,
        }
    }
}

/// A TCP segment.
#[derive(Clone, Copy, Debug)]
pub struct Tcp<'a> {
    fixed: &'a Fixed,
    payload: &'a [u8],
}

impl<'a> Tcp<'a> {
    /// Reads the header with its options.
    ///
    /// # Errors
    /// See [`TcpError`].
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, TcpError> {
        let (fixed, _) = split_header::<Fixed>(bytes).ok_or(TcpError::Truncated)?;
        let offset = fixed.offset >> 4;
        if offset < 5 {
            return Err(TcpError::Offset(offset));
        }
        let payload = bytes.get(usize::from(offset).wrapping_mul(4)..).ok_or(TcpError::Offset(offset))?;
        Ok(Self { fixed, payload })
    }

    /// Both ports.
    #[inline(always)]
    #[must_use]
    pub const fn ports(&self) -> PortPair {
        PortPair { source: self.fixed.source.get(), destination: self.fixed.destination.get() }
    }

    /// What follows the header and its options.
    #[inline(always)]
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: [u8; 26] =
        [0x00, 0x50, 0xc3, 0x50, 0, 0, 0, 1, 0, 0, 0, 2, 0x60, 0x10, 1, 0, 0, 0, 0, 0, 2, 4, 5, 180, 0x16, 3];

    #[test]
    fn reads_a_segment() {
        let tcp = Tcp::parse(&SEGMENT).unwrap();
        assert_eq!(tcp.ports(), PortPair { source: 80, destination: 50_000 });
        assert_eq!(tcp.payload(), [0x16, 3]);
    }

    #[test]
    fn every_shorter_prefix() {
        for cut in 0..20 {
            assert_eq!(Tcp::parse(&SEGMENT[..cut]).unwrap_err(), TcpError::Truncated);
        }
        for cut in 20..24 {
            assert_eq!(Tcp::parse(&SEGMENT[..cut]).unwrap_err(), TcpError::Offset(6));
        }
        assert_eq!(Tcp::parse(&SEGMENT[..24]).unwrap().payload(), []);
    }

    #[test]
    fn offset_in_both_directions() {
        let with = |offset: u8| {
            let mut bytes = SEGMENT;
            bytes[12] = offset << 4;
            Tcp::parse(&bytes).map(|tcp| tcp.payload().len())
        };
        for offset in (0..5).chain(7..16) {
            assert_eq!(with(offset), Err(TcpError::Offset(offset)));
        }
        assert_eq!(with(5), Ok(6));
        assert_eq!(with(6), Ok(2));
    }
}
