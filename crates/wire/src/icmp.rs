//! ICMP and ICMPv6, as far as their error messages quote the packet they are about. RFC 792,
//! RFC 4443 2.1, 3.
//!
//! ```text
//!  0      1      2             4          8
//!  | type | code | checksum(2) | depends  | the packet, from its IP header on, usually cut
//! ```

use bytemuck::{Pod, Zeroable};

use crate::bytes::{Be16, Be32, split_header};

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Fixed {
    kind: u8,
    code: u8,
    checksum: Be16,
    depends: Be32,
}
const _: () = assert!(size_of::<Fixed>() == 8);

/// Why there is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcmpError {
    /// The data ends inside the header. Not a named reason: nothing else of the packet hangs on it.
    Truncated,
}

/// Which of the two it is; the types differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcmpVersion {
    /// ICMP under IPv4.
    V4,
    /// ICMPv6 under IPv6.
    V6,
}

/// A message of either version.
#[derive(Clone, Copy, Debug)]
pub struct Icmp<'a> {
    version: IcmpVersion,
    fixed: &'a Fixed,
    body: &'a [u8],
}

impl<'a> Icmp<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// The data ends inside it.
    #[inline]
    pub fn parse(version: IcmpVersion, bytes: &'a [u8]) -> Result<Self, IcmpError> {
        let (fixed, body) = split_header(bytes).ok_or(IcmpError::Truncated)?;
        Ok(Self { version, fixed, body })
    }

    /// Its type.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        self.fixed.kind
    }

    /// Where it is an error message: the packet it is about. Unreachable (3), quench (4), redirect
    /// (5), time exceeded (11) and parameter problem (12) of ICMP; the types below 128 of ICMPv6
    /// that are assigned.
    #[must_use]
    pub const fn quote(&self) -> Option<&'a [u8]> {
        match (self.version, self.fixed.kind) {
            (IcmpVersion::V4, 3 | 4 | 5 | 11 | 12) | (IcmpVersion::V6, 1..=4) => Some(self.body),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNREACHABLE: [u8; 9] = [3, 3, 0, 0, 0, 0, 0, 0, 0x45];

    #[test]
    fn errors_quote_and_echoes_do_not() {
        let quote = |version, kind| {
            let mut bytes = UNREACHABLE;
            bytes[0] = kind;
            Icmp::parse(version, &bytes).unwrap().quote().is_some()
        };
        let quoting =
            |version| (0..=u8::MAX).filter(|kind| quote(version, *kind)).collect::<std::vec::Vec<_>>();
        assert_eq!(quoting(IcmpVersion::V4), [3, 4, 5, 11, 12]);
        assert_eq!(quoting(IcmpVersion::V6), [1, 2, 3, 4]);
    }

    #[test]
    fn every_shorter_prefix_is_truncated() {
        for cut in 0..8 {
            assert_eq!(Icmp::parse(IcmpVersion::V4, &UNREACHABLE[..cut]).unwrap_err(), IcmpError::Truncated);
        }
        assert_eq!(Icmp::parse(IcmpVersion::V4, &UNREACHABLE).unwrap().quote(), Some(&[0x45][..]));
    }
}
