//! UDP. RFC 768.
//!
//! ```text
//!  0                2                     4           6
//!  | source port(2) | destination port(2) | length(2) | checksum(2) | payload
//! ```
//! The checksum is not looked at: 0 is legal under IPv4 and for tunnels under IPv6 (RFC 6935), and a
//! wrong one is for the receiver to find.

use bytemuck::{Pod, Zeroable};
use types::{Malformed, PortPair};

use crate::bytes::{Be16, at_most, split_header};

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Fixed {
    source: Be16,
    destination: Be16,
    length: Be16,
    checksum: Be16,
}
const _: () = assert!(size_of::<Fixed>() == Udp::HEADER);

/// Why there is no datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UdpError {
    /// The data ends inside the header.
    Truncated,
}

impl From<UdpError> for Malformed {
    fn from(_: UdpError) -> Self {
        Self::UdpTruncated
    }
}

/// A UDP datagram, without what lies behind its end.
#[derive(Clone, Copy, Debug)]
pub struct Udp<'a> {
    fixed: &'a Fixed,
    payload: &'a [u8],
    present: usize,
}

impl<'a> Udp<'a> {
    const HEADER: usize = 8;

    /// Reads the header. The payload ends where the datagram or the data ends, whichever comes
    /// first; see [`Self::claims_more`] and [`Self::claims_too_little`].
    ///
    /// # Errors
    /// The data ends inside it.
    #[inline(always)]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, UdpError> {
        let (fixed, rest) = split_header::<Fixed>(bytes).ok_or(UdpError::Truncated)?;
        // 0 is "to the end": jumbograms, RFC 2675 4. Less than a header leaves nothing.
        let payload = match fixed.length.get() {
            0 => rest,
            length => at_most(rest, usize::from(length).saturating_sub(Self::HEADER)),
        };
        Ok(Self { fixed, payload, present: bytes.len() })
    }

    /// Both ports.
    #[inline(always)]
    #[must_use]
    pub const fn ports(&self) -> PortPair {
        PortPair { source: self.fixed.source.get(), destination: self.fixed.destination.get() }
    }

    /// What follows the header, as far as it is there.
    #[inline(always)]
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Whether the length runs beyond the data that was there.
    #[inline(always)]
    #[must_use]
    pub const fn claims_more(&self) -> bool {
        self.fixed.length.get() as usize > self.present
    }

    /// Whether the length cannot hold the header itself.
    #[inline(always)]
    #[must_use]
    pub const fn claims_too_little(&self) -> bool {
        matches!(self.fixed.length.get(), 1..=7)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATAGRAM: [u8; 12] = [0x9c, 0x40, 0x08, 0x68, 0, 12, 0, 0, 1, 2, 3, 4];

    #[test]
    fn reads_a_datagram() {
        let udp = Udp::parse(&DATAGRAM).unwrap();
        assert_eq!(udp.ports(), PortPair { source: 40_000, destination: 2152 });
        assert_eq!((udp.payload(), udp.claims_more()), (&[1, 2, 3, 4][..], false));
    }

    #[test]
    fn every_shorter_prefix() {
        for cut in 0..8 {
            assert_eq!(Udp::parse(&DATAGRAM[..cut]).unwrap_err(), UdpError::Truncated);
        }
        for cut in 8..12 {
            let udp = Udp::parse(&DATAGRAM[..cut]).unwrap();
            assert_eq!((udp.payload().len(), udp.claims_more()), (cut - 8, true));
        }
    }

    #[test]
    fn length_in_both_directions() {
        let with = |length: u16| {
            let mut bytes = DATAGRAM;
            bytes[4..6].copy_from_slice(&length.to_be_bytes());
            let udp = Udp::parse(&bytes).unwrap();
            (udp.payload().len(), udp.claims_more(), udp.claims_too_little())
        };
        assert_eq!(with(11), (3, false, false));
        assert_eq!(with(13), (4, true, false));
        assert_eq!(with(8), (0, false, false));
        assert_eq!(with(0), (4, false, false));
        for length in 1..8 {
            assert_eq!(with(length), (0, false, true));
        }
    }
}
