//! Ethernet II and IEEE 802.3 with LLC/SNAP. IEEE 802.3 3.1.1, IEEE 802 9.
//!
//! ```text
//!  0               6              12     14
//!  | destination   | source       | type | payload
//! ```
//! A type of 1500 and less is the length of an 802.3 frame; LLC follows, and where LLC is
//! `aa aa 03`, five bytes of SNAP: an organisation and a type.

use bytemuck::{Pod, Zeroable};
use types::Malformed;

use crate::bytes::{Be16, at_most, split_header};

/// The EtherTypes that are looked into.
pub mod ether_type {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// Customer VLAN tag, IEEE 802.1Q.
    pub const VLAN: u16 = 0x8100;
    /// Service VLAN tag, IEEE 802.1ad.
    pub const SERVICE_VLAN: u16 = 0x88a8;
    /// Double tagging from before 802.1ad.
    pub const OLD_QINQ: u16 = 0x9100;
    /// MPLS, RFC 3032.
    pub const MPLS: u16 = 0x8847;
    /// MPLS with upstream-assigned label, RFC 5332.
    pub const MPLS_UPSTREAM: u16 = 0x8848;
    /// Transparent Ethernet bridging: an Ethernet frame inside GRE. RFC 7637 3.2.
    pub const BRIDGING: u16 = 0x6558;
}

/// The largest value of the type field that is a length. IEEE 802.3 3.2.6.
pub(crate) const LENGTH_MAX: u16 = 1500;

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Fixed {
    destination: [u8; 6],
    source: [u8; 6],
    kind: Be16,
}
const _: () = assert!(size_of::<Fixed>() == EthernetHeader::LEN);

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Llc {
    dsap: u8,
    ssap: u8,
    control: u8,
}

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Snap {
    organisation: [u8; 3],
    kind: Be16,
}

/// Why a frame is no Ethernet frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EthernetError {
    /// It ends inside the header.
    Truncated,
}

impl From<EthernetError> for Malformed {
    fn from(_: EthernetError) -> Self {
        Self::LinkTruncated
    }
}

/// An Ethernet frame.
#[derive(Clone, Copy, Debug)]
pub struct Ethernet<'a> {
    fixed: &'a Fixed,
    kind: Option<u16>,
    payload: &'a [u8],
}

impl<'a> Ethernet<'a> {
    /// Reads the header, and LLC/SNAP where the type is a length.
    ///
    /// # Errors
    /// The frame ends inside one of them.
    #[inline(always)]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, EthernetError> {
        let (fixed, payload) = split_header::<Fixed>(bytes).ok_or(EthernetError::Truncated)?;
        let kind = fixed.kind.get();
        if kind > LENGTH_MAX {
            return Ok(Self { fixed, kind: Some(kind), payload });
        }
        let (kind, payload) = parse_llc(payload, usize::from(kind))?;
        Ok(Self { fixed, kind, payload })
    }

    /// The MAC address it goes to.
    #[inline(always)]
    #[must_use]
    pub const fn destination(&self) -> [u8; 6] {
        self.fixed.destination
    }

    /// The MAC address it comes from.
    #[inline(always)]
    #[must_use]
    pub const fn source(&self) -> [u8; 6] {
        self.fixed.source
    }

    /// What the payload is; `None` for LLC without SNAP.
    #[inline(always)]
    #[must_use]
    pub const fn ether_type(&self) -> Option<u16> {
        self.kind
    }

    /// What follows the header; for 802.3 without the padding.
    #[inline(always)]
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// Reads LLC and SNAP from a frame whose 802.3 length field says `length`. A length that leaves no
/// room for LLC is a frame of padding: legal and unknown. IEEE 802.2 3.2, RFC 1042.
#[cold]
pub(crate) fn parse_llc(bytes: &[u8], length: usize) -> Result<(Option<u16>, &[u8]), EthernetError> {
    if length < size_of::<Llc>() {
        return Ok((None, at_most(bytes, length)));
    }
    let (llc, rest) = split_header::<Llc>(at_most(bytes, length)).ok_or(EthernetError::Truncated)?;
    if (llc.dsap, llc.ssap, llc.control) != (0xaa, 0xaa, 0x03) {
        return Ok((None, rest));
    }
    let (snap, rest) = split_header::<Snap>(rest).ok_or(EthernetError::Truncated)?;
    // Organisation 0 says that an EtherType follows; others number their types themselves.
    Ok(((snap.organisation == [0; 3]).then(|| snap.kind.get()), rest))
}

/// An Ethernet header to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EthernetHeader {
    /// The MAC address it goes to.
    pub destination: [u8; 6],
    /// The MAC address it comes from.
    pub source: [u8; 6],
    /// What follows it.
    pub ether_type: u16,
}

impl EthernetHeader {
    /// Bytes that it takes.
    pub const LEN: usize = 14;

    /// The header as bytes.
    #[must_use]
    pub const fn emit(&self) -> [u8; Self::LEN] {
        let [d0, d1, d2, d3, d4, d5] = self.destination;
        let [s0, s1, s2, s3, s4, s5] = self.source;
        let [t0, t1] = self.ether_type.to_be_bytes();
        [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: [u8; 16] = [0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x08, 0x00, 0x45, 0x00];
    const SNAP: [u8; 24] =
        [0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0, 10, 0xaa, 0xaa, 0x03, 0, 0, 0, 0x08, 0x00, 0x45, 0x00];

    #[test]
    fn reads_what_emit_writes() {
        let eth = Ethernet::parse(&FRAME).unwrap();
        assert_eq!(eth.ether_type(), Some(ether_type::IPV4));
        assert_eq!(eth.payload(), [0x45, 0x00]);
        let header = EthernetHeader {
            destination: eth.destination(),
            source: eth.source(),
            ether_type: ether_type::IPV4,
        };
        assert_eq!(header.emit(), FRAME[..14]);
    }

    #[test]
    fn every_shorter_prefix_is_truncated() {
        for cut in 0..14 {
            assert_eq!(Ethernet::parse(&FRAME[..cut]).unwrap_err(), EthernetError::Truncated);
        }
        for cut in 14..22 {
            assert_eq!(Ethernet::parse(&SNAP[..cut]).unwrap_err(), EthernetError::Truncated, "{cut}");
        }
        assert_eq!(Ethernet::parse(&SNAP[..22]).unwrap().payload(), []);
    }

    #[test]
    fn length_field_in_both_directions() {
        let with = |length: u16| {
            let mut bytes = SNAP;
            bytes[12..14].copy_from_slice(&length.to_be_bytes());
            Ethernet::parse(&bytes).map(|eth| (eth.ether_type(), eth.payload().len()))
        };
        assert_eq!(with(10), Ok((Some(0x0800), 2)));
        assert_eq!(with(11), Ok((Some(0x0800), 2)), "longer than the frame: what is there");
        assert_eq!(with(9), Ok((Some(0x0800), 1)), "shorter: the rest is padding");
        assert_eq!(with(7), Err(EthernetError::Truncated));
        assert_eq!(with(2), Ok((None, 2)));
        assert_eq!(with(1500), Ok((Some(0x0800), 2)));
        assert_eq!(with(1501), Ok((Some(1501), 10)));
    }

    #[test]
    fn llc_without_snap_and_foreign_organisations_are_unknown() {
        let mut bytes = SNAP;
        bytes[14] = 0x42;
        assert_eq!(Ethernet::parse(&bytes).unwrap().ether_type(), None);
        let mut bytes = SNAP;
        bytes[19] = 0x0c;
        assert_eq!(Ethernet::parse(&bytes).unwrap().ether_type(), None);
    }
}
