//! What was decided for a session, in one word: it travels with every packet.

use crate::ProbeId;

/// The decision for a session: which worker owns it, and its first and second choice of a probe. The
/// empty one says that nothing was decided: the packet goes by its pin.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Verdict(u32);

impl Verdict {
    /// Nothing was decided.
    pub const NONE: Self = Self(0);
    /// Workers that it can name: numbers below this.
    pub const OWNERS_MAX: usize = 64;

    const DECIDED: u32 = 1 << 18;

    /// A decision.
    #[inline]
    #[must_use]
    pub const fn new(owner: u8, first: ProbeId, second: ProbeId) -> Self {
        let (owner, first, second) = (owner as u32 & 63, first.0 as u32 & 63, second.0 as u32 & 63);
        Self(Self::DECIDED | owner << 12 | second << 6 | first)
    }

    /// Whether anything was decided.
    #[inline(always)]
    #[must_use]
    pub const fn is_some(self) -> bool {
        self.0 & Self::DECIDED != 0
    }

    /// The worker that has all packets of the subscriber.
    #[inline(always)]
    #[must_use]
    pub const fn owner(self) -> u8 {
        (self.0 >> 12 & 63) as u8
    }

    /// The probe.
    #[inline(always)]
    #[must_use]
    pub const fn first(self) -> ProbeId {
        ProbeId((self.0 & 63) as u8)
    }

    /// The probe that takes over when the first one is down.
    #[inline(always)]
    #[must_use]
    pub const fn second(self) -> ProbeId {
        ProbeId((self.0 >> 6 & 63) as u8)
    }

    /// The word: its upper 13 bits are 0.
    #[inline(always)]
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The verdict of such a word; other bits are ignored.
    #[inline(always)]
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits & ((Self::DECIDED << 1) - 1))
    }
}

impl core::fmt::Debug for Verdict {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if !self.is_some() {
            return f.write_str("Verdict(none)");
        }
        write!(f, "Verdict(worker {}, probe {} or {})", self.owner(), self.first().0, self.second().0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_it_is_made_of() {
        let verdict = Verdict::new(63, ProbeId(1), ProbeId(62));
        assert!(verdict.is_some() && !Verdict::NONE.is_some());
        assert_eq!((verdict.owner(), verdict.first(), verdict.second()), (63, ProbeId(1), ProbeId(62)));
        assert_eq!(Verdict::from_bits(verdict.bits() | 7 << 29), verdict);
        assert_ne!(Verdict::new(0, ProbeId(0), ProbeId(0)), Verdict::NONE);
    }
}
