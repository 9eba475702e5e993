//! Link headers of capture files that are not Ethernet: Linux "cooked" (versions 1 and 2) and BSD
//! loopback. <https://www.tcpdump.org/linktypes.html>
//!
//! ```text
//! SLL   | packet type(2) | ARPHRD(2) | address length(2) | address(8) | protocol(2) | payload
//! SLL2  | protocol(2) | 0(2) | interface(4) | ARPHRD(2) | packet type(1) | address length(1) | address(8) |
//! NULL  | address family(4), in the byte order of the machine that wrote it | payload
//! LOOP  | address family(4), in network byte order | payload
//! ```

use bytemuck::{Pod, Zeroable};
use types::Malformed;

use crate::bytes::{Be16, Be32, Be64, split_header};

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct FixedV1 {
    packet_type: Be16,
    arphrd: Be16,
    address_length: Be16,
    address: Be64,
    protocol: Be16,
}
const _: () = assert!(size_of::<FixedV1>() == 16);

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct FixedV2 {
    protocol: Be16,
    reserved: Be16,
    interface: Be32,
    arphrd: Be16,
    packet_type: u8,
    address_length: u8,
    address: Be64,
}
const _: () = assert!(size_of::<FixedV2>() == 20);

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct FixedLoopback {
    family: Be32,
}

/// Why there is no such header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookedError {
    /// The frame ends inside it.
    Truncated,
}

impl From<CookedError> for Malformed {
    fn from(_: CookedError) -> Self {
        Self::LinkTruncated
    }
}

/// A Linux "cooked" frame of either version.
#[derive(Clone, Copy, Debug)]
pub struct Cooked<'a> {
    protocol: u16,
    address: u64,
    payload: &'a [u8],
}

impl<'a> Cooked<'a> {
    /// Protocol number of an 802.2 LLC frame. Linux `ETH_P_802_2`.
    pub const LLC: u16 = 4;

    /// Reads a header of the first version.
    ///
    /// # Errors
    /// The frame ends inside it.
    #[inline]
    pub fn parse_v1(bytes: &'a [u8]) -> Result<Self, CookedError> {
        let (fixed, payload) = split_header::<FixedV1>(bytes).ok_or(CookedError::Truncated)?;
        Ok(Self { protocol: fixed.protocol.get(), address: fixed.address.get(), payload })
    }

    /// Reads a header of the second version.
    ///
    /// # Errors
    /// The frame ends inside it.
    #[inline]
    pub fn parse_v2(bytes: &'a [u8]) -> Result<Self, CookedError> {
        let (fixed, payload) = split_header::<FixedV2>(bytes).ok_or(CookedError::Truncated)?;
        Ok(Self { protocol: fixed.protocol.get(), address: fixed.address.get(), payload })
    }

    /// What the payload is: an EtherType, or a number of Linux below 0x600.
    #[must_use]
    pub const fn protocol(&self) -> u16 {
        self.protocol
    }

    /// The sender's link address with its padding. The receiver's is not recorded.
    #[must_use]
    pub const fn address(&self) -> u64 {
        self.address
    }

    /// What follows the header.
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// The version of IP that a BSD loopback header announces, and the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loopback<'a> {
    version: Option<u8>,
    payload: &'a [u8],
}

impl<'a> Loopback<'a> {
    /// Reads a header whose family is in network byte order (LOOP).
    ///
    /// # Errors
    /// The frame ends inside it.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, CookedError> {
        let (fixed, payload) = split_header::<FixedLoopback>(bytes).ok_or(CookedError::Truncated)?;
        Ok(Self { version: version_of(fixed.family.get()), payload })
    }

    /// Reads a header whose family is in the order of the machine that wrote it (NULL). Families are
    /// small numbers, so the smaller reading is the right one.
    ///
    /// # Errors
    /// The frame ends inside it.
    #[inline]
    pub fn parse_null(bytes: &'a [u8]) -> Result<Self, CookedError> {
        let (fixed, payload) = split_header::<FixedLoopback>(bytes).ok_or(CookedError::Truncated)?;
        let family = fixed.family.get();
        Ok(Self { version: version_of(family.min(family.swap_bytes())), payload })
    }

    /// The version of IP, 4 or 6; `None` for other families.
    #[must_use]
    pub const fn version(&self) -> Option<u8> {
        self.version
    }

    /// What follows the header.
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// `AF_INET` is 2 everywhere; `AF_INET6` is 10 on Linux, 24, 28 or 30 on the BSDs.
const fn version_of(family: u32) -> Option<u8> {
    match family {
        2 => Some(4),
        10 | 24 | 28 | 30 => Some(6),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: [u8; 17] = [0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 9, 0, 0, 0x08, 0x00, 0x45];
    const V2: [u8; 21] = [0x86, 0xdd, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 9, 0, 0, 0x60];

    #[test]
    fn reads_both_versions() {
        let v1 = Cooked::parse_v1(&V1).unwrap();
        assert_eq!((v1.protocol(), v1.address(), v1.payload()), (0x0800, 0x0200_0000_0009_0000, &[0x45][..]));
        let v2 = Cooked::parse_v2(&V2).unwrap();
        assert_eq!((v2.protocol(), v2.address(), v2.payload()), (0x86dd, 0x0200_0000_0009_0000, &[0x60][..]));
    }

    #[test]
    fn every_shorter_prefix_is_truncated() {
        for cut in 0..16 {
            assert_eq!(Cooked::parse_v1(&V1[..cut]).unwrap_err(), CookedError::Truncated);
        }
        for cut in 0..20 {
            assert_eq!(Cooked::parse_v2(&V2[..cut]).unwrap_err(), CookedError::Truncated);
        }
        for cut in 0..4 {
            assert_eq!(Loopback::parse(&[0, 0, 0, 2][..cut]).unwrap_err(), CookedError::Truncated);
            assert_eq!(Loopback::parse_null(&[2, 0, 0, 0][..cut]).unwrap_err(), CookedError::Truncated);
        }
    }

    #[test]
    fn loopback_families() {
        let null = |bytes: [u8; 4]| Loopback::parse_null(&bytes).unwrap().version();
        assert_eq!(null([2, 0, 0, 0]), Some(4));
        assert_eq!(null([0, 0, 0, 2]), Some(4));
        assert_eq!(null([30, 0, 0, 0]), Some(6));
        assert_eq!(null([0, 0, 0, 24]), Some(6));
        assert_eq!(null([7, 0, 0, 0]), None);
        let network = |bytes: [u8; 4]| Loopback::parse(&bytes).unwrap().version();
        assert_eq!(network([0, 0, 0, 28]), Some(6));
        assert_eq!(network([2, 0, 0, 0]), None);
    }
}
