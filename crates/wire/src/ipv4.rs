//! IPv4. RFC 791 3.1.
//!
//! ```text
//!  0  | version(4) IHL(4) | TOS | total length(2) |
//!  4  | identification(2) | 0 DF MF offset(13)    |
//!  8  | TTL | protocol | checksum(2)              |
//! 12  | source(4)                                 |
//! 16  | destination(4)                            | options up to IHL × 4, payload
//! ```

use bytemuck::{Pod, Zeroable};
use types::Malformed;

use crate::bytes::{Be16, Be32, at_most, split_header};

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Fixed {
    version_ihl: u8,
    tos: u8,
    total_length: Be16,
    identification: Be16,
    fragment: Be16,
    ttl: u8,
    protocol: u8,
    checksum: Be16,
    source: Be32,
    destination: Be32,
}
const _: () = assert!(size_of::<Fixed>() == 20);

/// Why there is no IPv4 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv4Error {
    /// The data ends inside the header.
    Truncated,
    /// Another version.
    Version(u8),
    /// A header length below 5 words.
    Ihl(u8),
    /// A total length that is shorter than the header.
    Length(u16),
}

impl From<Ipv4Error> for Malformed {
    fn from(why: Ipv4Error) -> Self {
        match why {
            Ipv4Error::Truncated => Self::IpTruncated,
            Ipv4Error::Version(_) => Self::IpBadVersion,
            Ipv4Error::Ihl(_) => Self::IpBadIhl,
            Ipv4Error::Length(_) => Self::IpBadLength,
        }
    }
}

/// An IPv4 packet, without the padding behind it.
#[derive(Clone, Copy, Debug)]
pub struct Ipv4<'a> {
    fixed: &'a Fixed,
    options: &'a [u8],
    payload: &'a [u8],
    whole: bool,
}

impl<'a> Ipv4<'a> {
    /// Reads the header with its options. A total length beyond the data is no error: captures are
    /// cut. A total length of 0 is taken as "to the end": that is how segmentation off-load leaves it.
    ///
    /// # Errors
    /// See [`Ipv4Error`].
    #[inline(always)]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Ipv4Error> {
        let (fixed, _) = split_header::<Fixed>(bytes).ok_or_else(|| Self::too_short(bytes))?;
        let version = fixed.version_ihl >> 4;
        if version != 4 {
            return Err(Ipv4Error::Version(version));
        }
        let ihl = fixed.version_ihl & 0x0f;
        if ihl < 5 {
            return Err(Ipv4Error::Ihl(ihl));
        }
        let header = usize::from(ihl).wrapping_mul(4);
        let total_length = fixed.total_length.get();
        let total = usize::from(total_length);
        if total != 0 && total < header {
            return Err(Ipv4Error::Length(total_length));
        }
        let present = if total == 0 { bytes } else { at_most(bytes, total) };
        let (head, payload) = present.split_at_checked(header).ok_or(Ipv4Error::Truncated)?;
        let options = head.get(size_of::<Fixed>()..).unwrap_or(&[]);
        Ok(Self { fixed, options, payload, whole: total != 0 && total <= bytes.len() })
    }

    /// A wrong version nibble is told from a cut header where there is a nibble.
    #[cold]
    fn too_short(bytes: &[u8]) -> Ipv4Error {
        match bytes.first() {
            Some(first) if first >> 4 != 4 => Ipv4Error::Version(first >> 4),
            _ => Ipv4Error::Truncated,
        }
    }

    /// The length that the header states, with the header; 0 as segmentation off-load leaves it.
    #[inline(always)]
    #[must_use]
    pub const fn total_length(&self) -> u16 {
        self.fixed.total_length.get()
    }

    /// Source address.
    #[inline(always)]
    #[must_use]
    pub const fn source(&self) -> u32 {
        self.fixed.source.get()
    }

    /// Destination address.
    #[inline(always)]
    #[must_use]
    pub const fn destination(&self) -> u32 {
        self.fixed.destination.get()
    }

    /// Protocol of the payload.
    #[inline(always)]
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        self.fixed.protocol
    }

    /// What holds the fragments of one packet together, with addresses and protocol.
    #[inline(always)]
    #[must_use]
    pub const fn identification(&self) -> u16 {
        self.fixed.identification.get()
    }

    /// Where this fragment begins, in units of 8 bytes.
    #[inline(always)]
    #[must_use]
    pub const fn fragment_offset(&self) -> u16 {
        self.fixed.fragment.get() & 0x1fff
    }

    /// Whether more fragments follow.
    #[inline(always)]
    #[must_use]
    pub const fn more_fragments(&self) -> bool {
        self.fixed.fragment.get() & 0x2000 != 0
    }

    /// The option bytes, possibly none.
    #[inline(always)]
    #[must_use]
    pub const fn options(&self) -> &'a [u8] {
        self.options
    }

    /// What follows the header, as far as it is there.
    #[inline(always)]
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Whether the header states a length and all of it is there.
    #[inline(always)]
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const PACKET: [u8; 24] =
        [0x45, 0, 0, 24, 0x12, 0x34, 0x20, 0x05, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 1, 2, 3, 4];

    #[test]
    fn reads_a_packet() {
        let ip = Ipv4::parse(&PACKET).unwrap();
        assert_eq!((ip.source(), ip.destination(), ip.protocol()), (0x0a00_0001, 0x0a00_0002, 17));
        assert_eq!((ip.identification(), ip.fragment_offset(), ip.more_fragments()), (0x1234, 5, true));
        assert_eq!((ip.options(), ip.payload(), ip.is_whole()), (&[][..], &[1, 2, 3, 4][..], true));
    }

    #[test]
    fn every_shorter_prefix() {
        for cut in 0..20 {
            assert_eq!(Ipv4::parse(&PACKET[..cut]).unwrap_err(), Ipv4Error::Truncated);
        }
        for cut in 20..24 {
            let ip = Ipv4::parse(&PACKET[..cut]).unwrap();
            assert_eq!((ip.payload().len(), ip.is_whole()), (cut - 20, false));
        }
    }

    #[test]
    fn version_and_header_length() {
        let first = |byte: u8| {
            let mut packet = PACKET;
            packet[0] = byte;
            Ipv4::parse(&packet).map(|ip| (ip.options().len(), ip.payload().len()))
        };
        assert_eq!(first(0x65), Err(Ipv4Error::Version(6)));
        assert_eq!(Ipv4::parse(&[0x60]).unwrap_err(), Ipv4Error::Version(6));
        for ihl in 0..5 {
            assert_eq!(first(0x40 | ihl), Err(Ipv4Error::Ihl(ihl)));
        }
        assert_eq!(first(0x46), Ok((4, 0)));
        assert_eq!(first(0x47), Err(Ipv4Error::Length(24)));
    }

    #[test]
    fn total_length_in_both_directions() {
        let total = |length: u16| {
            let mut packet = PACKET;
            packet[2..4].copy_from_slice(&length.to_be_bytes());
            Ipv4::parse(&packet).map(|ip| (ip.payload().len(), ip.is_whole()))
        };
        assert_eq!(total(23), Ok((3, true)));
        assert_eq!(total(25), Ok((4, false)));
        assert_eq!(total(20), Ok((0, true)));
        assert_eq!(total(19), Err(Ipv4Error::Length(19)));
        assert_eq!(total(1), Err(Ipv4Error::Length(1)));
        assert_eq!(total(0), Ok((4, false)));
        assert_eq!(total(u16::MAX), Ok((4, false)));
    }

    #[test]
    fn options_beyond_the_data_are_truncated() {
        let mut packet: Vec<u8> = PACKET.to_vec();
        packet[0] = 0x4f;
        packet[2..4].copy_from_slice(&60_u16.to_be_bytes());
        assert_eq!(Ipv4::parse(&packet).unwrap_err(), Ipv4Error::Truncated);
        packet.resize(60, 0);
        assert_eq!(Ipv4::parse(&packet).unwrap().options().len(), 40);
    }
}
