//! ERSPAN: mirrored frames inside GRE. draft-foschiano-erspan-03 4.
//!
//! ```text
//! I    no header at all
//! II   | version 1(4) VLAN(12) COS(3) En(2) T(1) session(10) | reserved(12) index(20) |
//! III  | version 2(4) VLAN(12) COS(3) BSO(2) T(1) session(10) | timestamp(4) |
//!      | SGT(2) P(1) frame type(5) hardware(6) D(1) Gra(2) O(1) | platform(8) where O is set |
//! ```

use bytemuck::{Pod, Zeroable};
use types::Malformed;

use crate::bytes::{Be16, Be32, split_header};
use crate::gre::{Gre, protocol};

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct FixedII {
    version_vlan: Be16,
    session: Be16,
    index: Be32,
}
const _: () = assert!(size_of::<FixedII>() == 8);

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct FixedIII {
    version_vlan: Be16,
    session: Be16,
    timestamp: Be32,
    security_group: Be16,
    flags: Be16,
}
const _: () = assert!(size_of::<FixedIII>() == 12);

const PLATFORM: usize = 8;

/// Why there is no mirrored frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErspanError {
    /// The data ends inside the header.
    Truncated,
    /// The version does not fit GRE's protocol type.
    Version(u8),
    /// GRE holds something else.
    Protocol(u16),
}

impl From<ErspanError> for Malformed {
    fn from(_: ErspanError) -> Self {
        Self::ErspanBad
    }
}

/// What was mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mirrored<'a> {
    /// An Ethernet frame.
    Ethernet(&'a [u8]),
    /// A bare IP packet (frame type 2 of type III).
    Ip(&'a [u8]),
    /// Another frame type of type III.
    Unknown,
}

/// Whether this protocol type of GRE is ERSPAN.
#[inline]
#[must_use]
pub const fn is_erspan(kind: u16) -> bool {
    matches!(kind, protocol::ERSPAN | protocol::ERSPAN_III)
}

/// Reads any type of ERSPAN from a GRE packet.
///
/// # Errors
/// See [`ErspanError`].
pub fn parse<'a>(gre: &Gre<'a>) -> Result<Mirrored<'a>, ErspanError> {
    match (gre.protocol(), gre.has_sequence()) {
        (protocol::ERSPAN, false) => Ok(Mirrored::Ethernet(gre.payload())),
        (protocol::ERSPAN, true) => parse_ii(gre.payload()),
        (protocol::ERSPAN_III, _) => parse_iii(gre.payload()),
        (other, _) => Err(ErspanError::Protocol(other)),
    }
}

fn parse_ii(bytes: &[u8]) -> Result<Mirrored<'_>, ErspanError> {
    let (fixed, frame) = split_header::<FixedII>(bytes).ok_or(ErspanError::Truncated)?;
    match (fixed.version_vlan.get() >> 12) as u8 {
        1 => Ok(Mirrored::Ethernet(frame)),
        version => Err(ErspanError::Version(version)),
    }
}

fn parse_iii(bytes: &[u8]) -> Result<Mirrored<'_>, ErspanError> {
    let (fixed, rest) = split_header::<FixedIII>(bytes).ok_or(ErspanError::Truncated)?;
    let version = (fixed.version_vlan.get() >> 12) as u8;
    if version != 2 {
        return Err(ErspanError::Version(version));
    }
    let flags = fixed.flags.get();
    let frame = if flags & 1 == 0 { rest } else { rest.get(PLATFORM..).ok_or(ErspanError::Truncated)? };
    Ok(match flags >> 10 & 0x1f {
        0 => Mirrored::Ethernet(frame),
        2 => Mirrored::Ip(frame),
        _ => Mirrored::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn gre(kind: u16, sequence: bool, payload: &[u8]) -> Vec<u8> {
        let mut bytes = std::vec![if sequence { 0x10 } else { 0 }, 0];
        bytes.extend(kind.to_be_bytes());
        if sequence {
            bytes.extend([0, 0, 0, 1]);
        }
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn three_types() {
        let one = gre(0x88be, false, &[0xaa]);
        assert_eq!(parse(&Gre::parse(&one).unwrap()), Ok(Mirrored::Ethernet(&[0xaa])));
        let two = gre(0x88be, true, &[0x10, 1, 0, 2, 0, 0, 0, 3, 0xaa]);
        assert_eq!(parse(&Gre::parse(&two).unwrap()), Ok(Mirrored::Ethernet(&[0xaa])));
        let three = gre(0x22eb, true, &[0x20, 1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0xaa]);
        assert_eq!(parse(&Gre::parse(&three).unwrap()), Ok(Mirrored::Ethernet(&[0xaa])));
        let mut with_platform = three.clone();
        with_platform[19] = 1;
        with_platform.extend([0; 7]);
        with_platform.push(0xbb);
        assert_eq!(parse(&Gre::parse(&with_platform).unwrap()), Ok(Mirrored::Ethernet(&[0xbb])));
        let mut ip = three.clone();
        ip[18] = 2 << 2;
        assert_eq!(parse(&Gre::parse(&ip).unwrap()), Ok(Mirrored::Ip(&[0xaa])));
        let mut other = three;
        other[18] = 1 << 2;
        assert_eq!(parse(&Gre::parse(&other).unwrap()), Ok(Mirrored::Unknown));
    }

    #[test]
    fn every_shorter_prefix_and_wrong_versions() {
        let header = [0x10, 1, 0, 2, 0, 0, 0, 3];
        for cut in 0..8 {
            let two = gre(0x88be, true, &header[..cut]);
            assert_eq!(parse(&Gre::parse(&two).unwrap()), Err(ErspanError::Truncated));
        }
        let header = [0x20, 1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        for cut in 0..20 {
            let three = gre(0x22eb, true, &header[..cut]);
            assert_eq!(parse(&Gre::parse(&three).unwrap()), Err(ErspanError::Truncated), "{cut}");
        }
        let two = gre(0x88be, true, &header);
        assert_eq!(parse(&Gre::parse(&two).unwrap()), Err(ErspanError::Version(2)));
        let three = gre(0x22eb, true, &[0x10; 20]);
        assert_eq!(parse(&Gre::parse(&three).unwrap()), Err(ErspanError::Version(1)));
        let ip = gre(0x0800, true, &[]);
        assert_eq!(parse(&Gre::parse(&ip).unwrap()), Err(ErspanError::Protocol(0x0800)));
    }
}
