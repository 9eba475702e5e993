//! IPv6 and its extension headers. RFC 8200 3, 4.
//!
//! ```text
//!  0  | version(4) traffic class(8) flow label(20)              |
//!  4  | payload length(2) | next header | hop limit             |
//!  8  | source(16)                                              |
//! 24  | destination(16)                                         | extension headers, payload
//!
//! hop-by-hop, routing, destination options, mobility, HIP, shim6:
//!     | next header | length in 8 bytes, without the first 8 | …
//! fragment:
//!     | next header | 0 | offset(13) 0(2) M(1) | identification(4) |
//! authentication (RFC 4302 2):
//!     | next header | length in 4 bytes, minus 2 | …
//! ```

use bytemuck::{Pod, Zeroable};
use types::Malformed;

use crate::bytes::{Be16, Be32, Be128, at_most, split_header};

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Fixed {
    version_class_flow: Be32,
    payload_length: Be16,
    next_header: u8,
    hop_limit: u8,
    source: Be128,
    destination: Be128,
}
const _: () = assert!(size_of::<Fixed>() == 40);

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct FixedFragment {
    next_header: u8,
    reserved: u8,
    offset: Be16,
    identification: Be32,
}
const _: () = assert!(size_of::<FixedFragment>() == 8);

/// Why there is no IPv6 packet, or its extension headers cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv6Error {
    /// The data ends inside the header.
    Truncated,
    /// Another version.
    Version(u8),
    /// The data ends inside an extension header.
    ExtTruncated,
    /// More than [`Extensions::MAX`] extension headers.
    ExtTooMany,
}

impl From<Ipv6Error> for Malformed {
    fn from(why: Ipv6Error) -> Self {
        match why {
            Ipv6Error::Truncated => Self::IpTruncated,
            Ipv6Error::Version(_) => Self::IpBadVersion,
            Ipv6Error::ExtTruncated => Self::Ipv6ExtTruncated,
            Ipv6Error::ExtTooMany => Self::TooManyLayers,
        }
    }
}

/// An IPv6 packet, without the padding behind it.
#[derive(Clone, Copy, Debug)]
pub struct Ipv6<'a> {
    fixed: &'a Fixed,
    payload: &'a [u8],
    whole: bool,
}

impl<'a> Ipv6<'a> {
    /// Reads the fixed header. A payload length beyond the data is no error: captures are cut. A
    /// payload length of 0 is taken as "to the end": jumbograms (RFC 2675 3) and segmentation
    /// off-load have it.
    ///
    /// # Errors
    /// [`Ipv6Error::Truncated`] and [`Ipv6Error::Version`].
    #[inline(always)]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Ipv6Error> {
        let (fixed, rest) = split_header::<Fixed>(bytes).ok_or_else(|| Self::too_short(bytes))?;
        let version = (fixed.version_class_flow.get() >> 28) as u8;
        if version != 6 {
            return Err(Ipv6Error::Version(version));
        }
        let length = usize::from(fixed.payload_length.get());
        let payload = if length == 0 { rest } else { at_most(rest, length) };
        Ok(Self { fixed, payload, whole: length != 0 && length <= rest.len() })
    }

    /// A wrong version nibble is told from a cut header where there is a nibble.
    #[cold]
    fn too_short(bytes: &[u8]) -> Ipv6Error {
        match bytes.first() {
            Some(first) if first >> 4 != 6 => Ipv6Error::Version(first >> 4),
            _ => Ipv6Error::Truncated,
        }
    }

    /// The length of the payload that the header states; 0 in jumbograms and as segmentation off-load
    /// leaves it.
    #[inline(always)]
    #[must_use]
    pub const fn payload_length(&self) -> u16 {
        self.fixed.payload_length.get()
    }

    /// Source address.
    #[inline(always)]
    #[must_use]
    pub const fn source(&self) -> u128 {
        self.fixed.source.get()
    }

    /// Destination address.
    #[inline(always)]
    #[must_use]
    pub const fn destination(&self) -> u128 {
        self.fixed.destination.get()
    }

    /// What follows the fixed header: an extension header or a protocol.
    #[inline(always)]
    #[must_use]
    pub const fn next_header(&self) -> u8 {
        self.fixed.next_header
    }

    /// What follows the fixed header, as far as it is there.
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

    /// The extension headers, one after the other.
    #[inline(always)]
    #[must_use]
    pub const fn extensions(&self) -> Extensions<'a> {
        Extensions { next_header: self.next_header(), rest: self.payload, left: Extensions::MAX, done: false }
    }
}

/// Numbers of extension headers.
mod extension {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const DESTINATION: u8 = 60;
    pub(super) const MOBILITY: u8 = 135;
    pub(super) const HIP: u8 = 139;
    pub(super) const SHIM6: u8 = 140;
}

/// A fragment header. RFC 8200 4.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentHeader {
    /// Where this fragment begins, in units of 8 bytes.
    pub offset: u16,
    /// Whether more fragments follow.
    pub more: bool,
    /// What holds the fragments of one packet together, with the addresses.
    pub identification: u32,
}

/// One extension header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension<'a> {
    /// A fragment header.
    Fragment(FragmentHeader),
    /// Any other, by its number, with all its bytes.
    Other(u8, &'a [u8]),
}

/// The extension headers of a packet. Encapsulated security (50), "no next header" (59) and every
/// other number end the chain; so does a fragment that is not the first, where no header follows.
/// Stays finished after its first error. When it has ended, [`Self::protocol`] and
/// [`Self::payload`] say what follows.
#[derive(Clone, Copy, Debug)]
pub struct Extensions<'a> {
    next_header: u8,
    rest: &'a [u8],
    left: u8,
    done: bool,
}

impl<'a> Extensions<'a> {
    /// Extension headers in a packet at most; more are an error.
    pub const MAX: u8 = 16;

    /// The chain that begins with an authentication header behind IPv4.
    pub(crate) const fn behind_ipv4(protocol: u8, payload: &'a [u8]) -> Self {
        Self { next_header: protocol, rest: payload, left: Self::MAX, done: false }
    }

    /// The number that ended the chain.
    #[inline(always)]
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        self.next_header
    }

    /// What follows the headers read so far.
    #[inline(always)]
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether a number is that of an extension header that can be stepped over.
    #[inline(always)]
    #[must_use]
    pub const fn is_extension(next_header: u8) -> bool {
        matches!(
            next_header,
            extension::HOP_BY_HOP
                | extension::ROUTING
                | extension::FRAGMENT
                | extension::AUTHENTICATION
                | extension::DESTINATION
                | extension::MOBILITY
                | extension::HIP
                | extension::SHIM6
        )
    }

    fn step(&mut self) -> Result<Extension<'a>, Ipv6Error> {
        self.left = self.left.checked_sub(1).ok_or(Ipv6Error::ExtTooMany)?;
        let kind = self.next_header;
        if kind == extension::FRAGMENT {
            let (fixed, rest) = split_header::<FixedFragment>(self.rest).ok_or(Ipv6Error::ExtTruncated)?;
            let offset = fixed.offset.get();
            let header = FragmentHeader {
                offset: offset >> 3,
                more: offset & 1 != 0,
                identification: fixed.identification.get(),
            };
            self.next_header = fixed.next_header;
            self.rest = rest;
            self.done = header.offset != 0;
            return Ok(Extension::Fragment(header));
        }
        let &[next_header, length, ..] = self.rest else { return Err(Ipv6Error::ExtTruncated) };
        let bytes = if kind == extension::AUTHENTICATION {
            usize::from(length).wrapping_add(2).wrapping_mul(4)
        } else {
            usize::from(length).wrapping_add(1).wrapping_mul(8)
        };
        let (header, rest) = self.rest.split_at_checked(bytes).ok_or(Ipv6Error::ExtTruncated)?;
        self.next_header = next_header;
        self.rest = rest;
        Ok(Extension::Other(kind, header))
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Result<Extension<'a>, Ipv6Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.done || !Self::is_extension(self.next_header) {
            return None;
        }
        let step = self.step();
        self.done |= step.is_err();
        Some(step)
    }
}

impl core::iter::FusedIterator for Extensions<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// Hop-by-hop, routing, fragment (first), authentication (12 bytes), destination options, UDP.
    fn packet() -> Vec<u8> {
        let mut bytes = std::vec![0x60, 0, 0, 0, 0, 0, 0, 64];
        bytes.extend(1_u128.to_be_bytes());
        bytes.extend(2_u128.to_be_bytes());
        bytes.extend([43, 0, 1, 4, 0, 0, 0, 0]);
        bytes.extend([44, 0, 4, 0, 0, 0, 0, 0]);
        bytes.extend([51, 0, 0, 1, 0, 0, 0, 7]);
        bytes.extend([60, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2]);
        bytes.extend([17, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend([0xaa; 8]);
        let length = (bytes.len() - 40) as u16;
        bytes[4..6].copy_from_slice(&length.to_be_bytes());
        bytes
    }

    fn walk(bytes: &[u8]) -> (Vec<Result<Extension<'_>, Ipv6Error>>, u8, usize) {
        let mut extensions = Ipv6::parse(bytes).unwrap().extensions();
        let all = extensions.by_ref().collect();
        (all, extensions.protocol(), extensions.payload().len())
    }

    #[test]
    fn reads_a_packet() {
        let bytes = packet();
        let ip = Ipv6::parse(&bytes).unwrap();
        assert_eq!((ip.source(), ip.destination(), ip.next_header(), ip.is_whole()), (1, 2, 0, true));
        let (all, protocol, rest) = walk(&bytes);
        let kinds: Vec<_> = all
            .iter()
            .map(|ext| match ext.unwrap() {
                Extension::Fragment(_) => (44, 8),
                Extension::Other(kind, bytes) => (kind, bytes.len()),
            })
            .collect();
        assert_eq!(kinds, [(0, 8), (43, 8), (44, 8), (51, 12), (60, 16)]);
        assert_eq!((protocol, rest), (17, 8));
        let fragment = FragmentHeader { offset: 0, more: true, identification: 7 };
        assert_eq!(all[2], Ok(Extension::Fragment(fragment)));
    }

    #[test]
    fn every_shorter_prefix() {
        let bytes = packet();
        for cut in 0..40 {
            assert_eq!(Ipv6::parse(&bytes[..cut]).unwrap_err(), Ipv6Error::Truncated);
        }
        for cut in 40..92 {
            let (all, ..) = walk(&bytes[..cut]);
            assert_eq!(all.last(), Some(&Err(Ipv6Error::ExtTruncated)), "{cut}");
        }
        for cut in 92..bytes.len() {
            assert_eq!(walk(&bytes[..cut]).1, 17);
            assert!(!Ipv6::parse(&bytes[..cut]).unwrap().is_whole());
        }
    }

    #[test]
    fn payload_length_in_both_directions() {
        let with = |length: u16| {
            let mut bytes = packet();
            bytes[4..6].copy_from_slice(&length.to_be_bytes());
            let ip = Ipv6::parse(&bytes).unwrap();
            (ip.payload().len(), ip.is_whole())
        };
        assert_eq!(with(59), (59, true));
        assert_eq!(with(61), (60, false));
        assert_eq!(with(0), (60, false));
    }

    #[test]
    fn extension_lengths_in_both_directions() {
        // The destination options: one unit less leaves 8 bytes more for UDP, one more takes them.
        let with = |length: u8| {
            let mut bytes = packet();
            bytes[77] = length;
            let (all, _, rest) = walk(&bytes);
            (all.last().copied().unwrap().is_ok(), rest)
        };
        assert_eq!(with(1), (true, 8));
        assert_eq!(with(0), (true, 16));
        assert_eq!(with(2), (true, 0));
        assert_eq!(with(3), (false, 24));
    }

    #[test]
    fn later_fragment_ends_the_chain() {
        let mut bytes = packet();
        bytes[58..60].copy_from_slice(&(5_u16 << 3).to_be_bytes());
        let (all, protocol, rest) = walk(&bytes);
        assert_eq!((all.len(), protocol, rest), (3, 51, 36));
    }

    #[test]
    fn stops_at_its_limit_and_stays_stopped() {
        let mut bytes = packet();
        bytes.truncate(40);
        bytes[4..6].copy_from_slice(&[0, 0]);
        bytes[6] = 60;
        for _ in 0..17 {
            bytes.extend([60, 0, 1, 4, 0, 0, 0, 0]);
        }
        let mut extensions = Ipv6::parse(&bytes).unwrap().extensions();
        for _ in 0..16 {
            assert!(extensions.next().unwrap().is_ok());
        }
        assert_eq!(extensions.next(), Some(Err(Ipv6Error::ExtTooMany)));
        assert_eq!(extensions.next(), None);
    }
}
