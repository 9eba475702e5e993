//! Which sessions have changed since they were saved last.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A set of session numbers: a bit for each, and a bit for each word of those. All that can change a
/// session marks it here (the arenas that its parts lie in do), so that no change is forgotten. One thread
/// uses it; the words are atomic because several arenas hold it.
#[derive(Clone, Debug)]
pub(crate) struct Changed(Arc<Words>);

#[derive(Debug)]
struct Words {
    bits: Box<[AtomicU64]>,
    groups: Box<[AtomicU64]>,
}

fn zeroed(bits: usize) -> Box<[AtomicU64]> {
    (0..bits.div_ceil(64)).map(|_| AtomicU64::new(0)).collect()
}

/// Sets or clears a bit. Relaxed, and a load and a store: there is one thread.
fn change(words: &[AtomicU64], bit: usize, set: bool) -> u64 {
    let Some(word) = words.get(bit / 64) else { return 0 };
    let (old, mask) = (word.load(Ordering::Relaxed), 1 << (bit % 64));
    let new = if set { old | mask } else { old & !mask };
    if new != old {
        word.store(new, Ordering::Relaxed);
    }
    new
}

impl Changed {
    pub(crate) fn new(sessions_max: u32) -> Self {
        let bits = zeroed(sessions_max as usize + 1);
        let groups = zeroed(bits.len());
        Self(Arc::new(Words { bits, groups }))
    }

    /// A session has changed. Number 0 is none, and neither is one beyond the end.
    #[inline]
    pub(crate) fn mark(&self, session: u32) {
        let session = session as usize;
        if session != 0 && change(&self.0.bits, session, true) != 0 {
            change(&self.0.groups, session / 64, true);
        }
    }

    /// It was saved.
    pub(crate) fn clear(&self, session: u32) {
        let session = session as usize;
        if change(&self.0.bits, session, false) == 0 {
            change(&self.0.groups, session / 64, false);
        }
    }

    /// The next one that has changed, from this number on; round the end once.
    pub(crate) fn next(&self, from: u32) -> Option<u32> {
        let from = from as usize;
        self.search(from, usize::MAX).or_else(|| self.search(0, from))
    }

    fn search(&self, from: usize, end: usize) -> Option<u32> {
        let word =
            |words: &[AtomicU64], place: usize| words.get(place).map_or(0, |w| w.load(Ordering::Relaxed));
        let rest = word(&self.0.bits, from / 64) & (u64::MAX << (from % 64));
        if rest != 0 {
            let found = from / 64 * 64 + rest.trailing_zeros() as usize;
            return (found < end).then_some(found as u32);
        }
        let first = from / 64 + 1;
        let mut mask = u64::MAX << (first % 64);
        for group in first / 64..self.0.groups.len() {
            if group.saturating_mul(4096) >= end {
                return None;
            }
            let words = word(&self.0.groups, group) & mask;
            mask = u64::MAX;
            if words != 0 {
                let place = group * 64 + words.trailing_zeros() as usize;
                let found = place * 64 + word(&self.0.bits, place).trailing_zeros() as usize;
                return (found < end).then_some(found as u32);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_marked_is_found_until_it_is_cleared() {
        let changed = Changed::new(1_000_000);
        assert_eq!(changed.next(0), None);
        let marked = [1, 63, 64, 4095, 4096, 500_000, 1_000_000];
        for session in marked.into_iter().chain([0, 2_000_000]) {
            changed.mark(session);
        }
        let mut found = Vec::new();
        let mut from = 70;
        while let Some(session) = changed.next(from) {
            found.push(session);
            changed.clear(session);
            from = session + 1;
        }
        assert_eq!(found, [4095, 4096, 500_000, 1_000_000, 1, 63, 64]);
        assert_eq!(changed.next(0), None);
    }
}
