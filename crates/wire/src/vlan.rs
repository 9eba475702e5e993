//! VLAN tags: customer, service and the old double tagging. IEEE 802.1Q 9.6.
//!
//! ```text
//!  0                  2
//!  | PCP(3) DEI VID(12) | type | payload
//! ```

use bytemuck::{Pod, Zeroable};
use types::Malformed;

use crate::bytes::{Be16, split_header};
use crate::ethernet::ether_type;

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Fixed {
    control: Be16,
    kind: Be16,
}
const _: () = assert!(size_of::<Fixed>() == 4);

/// Why there is no tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VlanError {
    /// The frame ends inside it.
    Truncated,
}

impl From<VlanError> for Malformed {
    fn from(_: VlanError) -> Self {
        Self::VlanTruncated
    }
}

/// One tag and what follows it.
#[derive(Clone, Copy, Debug)]
pub struct Vlan<'a> {
    fixed: &'a Fixed,
    payload: &'a [u8],
}

impl<'a> Vlan<'a> {
    /// Tags in a row at most; more are not read.
    pub const MAX: u8 = 8;

    /// Reads the tag that follows one of the tag types.
    ///
    /// # Errors
    /// The frame ends inside it.
    #[inline(always)]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, VlanError> {
        let (fixed, payload) = split_header(bytes).ok_or(VlanError::Truncated)?;
        Ok(Self { fixed, payload })
    }

    /// Whether a tag follows this type.
    #[inline(always)]
    #[must_use]
    pub const fn announced_by(kind: u16) -> bool {
        matches!(kind, ether_type::VLAN | ether_type::SERVICE_VLAN | ether_type::OLD_QINQ)
    }

    /// VLAN identifier, 12 bits.
    #[inline(always)]
    #[must_use]
    pub const fn id(&self) -> u16 {
        self.fixed.control.get() & 0x0fff
    }

    /// What the payload is.
    #[inline(always)]
    #[must_use]
    pub const fn ether_type(&self) -> u16 {
        self.fixed.kind.get()
    }

    /// What follows the tag.
    #[inline(always)]
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: [u8; 5] = [0xe0, 0x64, 0x08, 0x00, 0x45];

    #[test]
    fn reads_a_tag() {
        let vlan = Vlan::parse(&TAG).unwrap();
        assert_eq!((vlan.id(), vlan.ether_type(), vlan.payload()), (100, 0x0800, &TAG[4..]));
    }

    #[test]
    fn every_shorter_prefix_is_truncated() {
        for cut in 0..4 {
            assert_eq!(Vlan::parse(&TAG[..cut]).unwrap_err(), VlanError::Truncated);
        }
    }
}
