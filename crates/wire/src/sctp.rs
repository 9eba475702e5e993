//! The common header of SCTP. RFC 9260 3.1.
//!
//! ```text
//!  0                2                     4                     8             12
//!  | source port(2) | destination port(2) | verification tag(4) | checksum(4) | chunks
//! ```

use bytemuck::{Pod, Zeroable};
use types::{Malformed, PortPair};

use crate::bytes::{Be16, Be32, split_header};

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Fixed {
    source: Be16,
    destination: Be16,
    verification_tag: Be32,
    checksum: Be32,
}
const _: () = assert!(size_of::<Fixed>() == 12);

/// Why there is no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SctpError {
    /// The data ends inside the common header.
    Truncated,
}

impl From<SctpError> for Malformed {
    fn from(_: SctpError) -> Self {
        Self::SctpTruncated
    }
}

/// An SCTP packet.
#[derive(Clone, Copy, Debug)]
pub struct Sctp<'a> {
    fixed: &'a Fixed,
    chunks: &'a [u8],
}

impl<'a> Sctp<'a> {
    /// Reads the common header.
    ///
    /// # Errors
    /// The data ends inside it.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, SctpError> {
        let (fixed, chunks) = split_header(bytes).ok_or(SctpError::Truncated)?;
        Ok(Self { fixed, chunks })
    }

    /// Both ports.
    #[inline(always)]
    #[must_use]
    pub const fn ports(&self) -> PortPair {
        PortPair { source: self.fixed.source.get(), destination: self.fixed.destination.get() }
    }

    /// The tag that tells associations apart.
    #[inline(always)]
    #[must_use]
    pub const fn verification_tag(&self) -> u32 {
        self.fixed.verification_tag.get()
    }

    /// The chunks, not looked into.
    #[inline(always)]
    #[must_use]
    pub const fn chunks(&self) -> &'a [u8] {
        self.chunks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: [u8; 16] = [0x96, 0x0c, 0x8e, 0x3c, 0, 0, 0, 9, 1, 2, 3, 4, 4, 0, 0, 4];

    #[test]
    fn reads_a_packet() {
        let sctp = Sctp::parse(&PACKET).unwrap();
        assert_eq!(sctp.ports(), PortPair { source: 38_412, destination: 36_412 });
        assert_eq!((sctp.verification_tag(), sctp.chunks()), (9, &[4, 0, 0, 4][..]));
    }

    #[test]
    fn every_shorter_prefix_is_truncated() {
        for cut in 0..12 {
            assert_eq!(Sctp::parse(&PACKET[..cut]).unwrap_err(), SctpError::Truncated);
        }
    }
}
