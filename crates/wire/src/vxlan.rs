//! VXLAN. RFC 7348 5.
//!
//! ```text
//!  0  | R R R R I R R R | reserved(3) |
//!  4  | VNI(3)          | reserved(1) | an Ethernet frame
//! ```

use bytemuck::{Pod, Zeroable};
use types::Malformed;

use crate::bytes::{Be24, split_header};

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Fixed {
    flags: u8,
    reserved: [u8; 3],
    vni: Be24,
    reserved_too: u8,
}
const _: () = assert!(size_of::<Fixed>() == 8);

/// Why there is no VXLAN packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VxlanError {
    /// The data ends inside the header.
    Truncated,
    /// The I flag is not set.
    NoVni,
}

impl From<VxlanError> for Malformed {
    fn from(_: VxlanError) -> Self {
        Self::VxlanBad
    }
}

/// A VXLAN packet.
#[derive(Clone, Copy, Debug)]
pub struct Vxlan<'a> {
    fixed: &'a Fixed,
    frame: &'a [u8],
}

impl<'a> Vxlan<'a> {
    /// The UDP destination port.
    pub const PORT: u16 = 4789;

    /// Reads the header.
    ///
    /// # Errors
    /// See [`VxlanError`].
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, VxlanError> {
        let (fixed, frame) = split_header::<Fixed>(bytes).ok_or(VxlanError::Truncated)?;
        if fixed.flags & 0x08 == 0 {
            return Err(VxlanError::NoVni);
        }
        Ok(Self { fixed, frame })
    }

    /// VXLAN network identifier, 24 bits.
    #[must_use]
    pub const fn vni(&self) -> u32 {
        self.fixed.vni.get()
    }

    /// The Ethernet frame inside.
    #[must_use]
    pub const fn frame(&self) -> &'a [u8] {
        self.frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: [u8; 9] = [8, 0, 0, 0, 0, 1, 2, 0, 0xaa];

    #[test]
    fn reads_a_packet() {
        let vxlan = Vxlan::parse(&PACKET).unwrap();
        assert_eq!((vxlan.vni(), vxlan.frame()), (0x102, &[0xaa][..]));
    }

    #[test]
    fn every_shorter_prefix_and_no_flag() {
        for cut in 0..8 {
            assert_eq!(Vxlan::parse(&PACKET[..cut]).unwrap_err(), VxlanError::Truncated);
        }
        let mut packet = PACKET;
        packet[0] = 0xf7;
        assert_eq!(Vxlan::parse(&packet).unwrap_err(), VxlanError::NoVni);
    }
}
