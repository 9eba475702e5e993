//! An MPLS label stack entry. RFC 3032 2.1.
//!
//! ```text
//!  0                                   4
//!  | label(20)  TC(3)  S(1)  TTL(8)    | next entry, or the payload where S is set
//! ```
//! Nothing says what the payload is. Its first nibble is 4 or 6 for IP, 0 for a pseudowire's control
//! word, after which comes an Ethernet frame. RFC 4928 3, RFC 4385 3, RFC 4448 4.6.

use bytemuck::{Pod, Zeroable};
use types::Malformed;

use crate::bytes::{Be32, split_header};

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Fixed {
    entry: Be32,
}
const _: () = assert!(size_of::<Fixed>() == 4);

/// Why there is no label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MplsError {
    /// The frame ends inside it.
    Truncated,
}

impl From<MplsError> for Malformed {
    fn from(_: MplsError) -> Self {
        Self::MplsTruncated
    }
}

/// What lies under the last label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MplsPayload<'a> {
    /// An IP packet.
    Ip(&'a [u8]),
    /// An Ethernet frame of a pseudowire, behind its control word.
    Ethernet(&'a [u8]),
    /// Something else, or nothing.
    Unknown,
}

/// One label and what follows it.
#[derive(Clone, Copy, Debug)]
pub struct Mpls<'a> {
    fixed: &'a Fixed,
    payload: &'a [u8],
}

impl<'a> Mpls<'a> {
    /// Labels in a stack at most; more are not read.
    pub const MAX: u8 = 8;

    /// Reads one label.
    ///
    /// # Errors
    /// The frame ends inside it.
    #[inline(always)]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, MplsError> {
        let (fixed, payload) = split_header(bytes).ok_or(MplsError::Truncated)?;
        Ok(Self { fixed, payload })
    }

    /// The label, 20 bits.
    #[inline(always)]
    #[must_use]
    pub const fn label(&self) -> u32 {
        self.fixed.entry.get() >> 12
    }

    /// Whether it is the last of its stack.
    #[inline(always)]
    #[must_use]
    pub const fn is_bottom(&self) -> bool {
        self.fixed.entry.get() & 0x100 != 0
    }

    /// What follows: the next label, or the payload.
    #[inline(always)]
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// What the first nibble says that follows the bottom of the stack.
    #[inline]
    #[must_use]
    pub fn contents(&self) -> MplsPayload<'a> {
        match self.payload {
            [first, ..] if matches!(first >> 4, 4 | 6) => MplsPayload::Ip(self.payload),
            [first, _, _, _, frame @ ..] if first >> 4 == 0 => MplsPayload::Ethernet(frame),
            _ => MplsPayload::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK: [u8; 9] = [0x00, 0x01, 0x00, 0x40, 0x00, 0x02, 0x01, 0x40, 0x45];

    #[test]
    fn reads_a_stack() {
        let first = Mpls::parse(&STACK).unwrap();
        assert_eq!((first.label(), first.is_bottom()), (16, false));
        let second = Mpls::parse(first.payload()).unwrap();
        assert_eq!((second.label(), second.is_bottom()), (32, true));
        assert_eq!(second.contents(), MplsPayload::Ip(&STACK[8..]));
    }

    #[test]
    fn every_shorter_prefix_is_truncated() {
        for cut in 0..4 {
            assert_eq!(Mpls::parse(&STACK[..cut]).unwrap_err(), MplsError::Truncated);
        }
    }

    #[test]
    fn first_nibble_decides() {
        let contents = |payload: &[u8]| {
            let mut bytes = std::vec![0, 0, 1, 64];
            bytes.extend_from_slice(payload);
            match Mpls::parse(&bytes).unwrap().contents() {
                MplsPayload::Ip(_) => "ip",
                MplsPayload::Ethernet(_) => "ethernet",
                MplsPayload::Unknown => "unknown",
            }
        };
        assert_eq!(contents(&[0x60]), "ip");
        assert_eq!(contents(&[0, 0, 0, 0, 2]), "ethernet");
        assert_eq!(contents(&[0, 0, 0]), "unknown", "cut control word");
        assert_eq!(contents(&[0x10, 0, 0, 0]), "unknown", "RFC 4385 5: an associated channel");
        assert_eq!(contents(&[]), "unknown");
    }
}
