//! Probes and sets of them.

/// A probe that packets are sent to, in the order of the configuration; below [`ProbeId::MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId(pub u8);

impl ProbeId {
    /// The number of probes that one instance can serve: a set of them is one 64-bit word.
    pub const MAX: usize = 64;
}

/// A set of probes, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProbeSet(pub u64);

impl ProbeSet {
    /// No probe.
    pub const EMPTY: Self = Self(0);

    /// One probe.
    #[inline(always)]
    #[must_use]
    pub const fn one(probe: ProbeId) -> Self {
        Self(1 << (probe.0 & 63))
    }

    /// The first `count` probes.
    #[must_use]
    pub const fn first(count: usize) -> Self {
        if count >= ProbeId::MAX { Self(u64::MAX) } else { Self((1 << count) - 1) }
    }

    /// The probes of both sets.
    #[inline(always)]
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there is none.
    #[inline(always)]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many there are.
    #[inline(always)]
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether `probe` is one of them.
    #[inline(always)]
    #[must_use]
    pub const fn contains(self, probe: ProbeId) -> bool {
        self.0 & Self::one(probe).0 != 0
    }

    /// The probes in ascending order.
    #[inline(always)]
    pub fn iter(self) -> impl Iterator<Item = ProbeId> {
        let mut left = self.0;
        core::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            let probe = ProbeId((left.trailing_zeros() & 63) as u8);
            left &= left.wrapping_sub(1);
            Some(probe)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_its_members() {
        let set = ProbeSet::one(ProbeId(0)).union(ProbeSet::one(ProbeId(63)));
        assert_eq!(set.len(), 2);
        assert!(set.contains(ProbeId(63)) && !set.contains(ProbeId(1)));
        assert!(set.iter().eq([ProbeId(0), ProbeId(63)]));
        assert!(ProbeSet::EMPTY.is_empty() && ProbeSet::EMPTY.iter().next().is_none());
    }

    #[test]
    fn the_first_probes() {
        assert_eq!(ProbeSet::first(0), ProbeSet::EMPTY);
        assert_eq!(ProbeSet::first(3).len(), 3);
        assert_eq!(ProbeSet::first(64).len(), 64);
    }
}
