//! What both ends see: lines of slots, and the way from a key's home through them.

use std::io;

use cpu::Pages;

#[cfg(loom)]
pub(super) use loom::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering},
};
#[cfg(not(loom))]
pub(super) use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

#[cfg(not(loom))]
pub(super) use cpu::{Equal, OneByOne};
#[cfg(loom)]
pub(super) use modelled::{Equal, OneByOne};

/// The same for the atomics of the model checker.
#[cfg(loom)]
mod modelled {
    use super::{AtomicU64, Ordering};

    pub(crate) trait Equal: Copy {
        fn equal(self, words: &[AtomicU64; 5], word: u64) -> u32;
    }

    #[derive(Clone, Copy)]
    pub(crate) struct OneByOne;

    impl Equal for OneByOne {
        fn equal(self, words: &[AtomicU64; 5], word: u64) -> u32 {
            (0..).zip(words).map(|(place, own)| u32::from(own.load(Ordering::Relaxed) == word) << place).sum()
        }
    }
}

use super::key::{Hash, PackedKey};

/// Slots of a line.
pub(super) const SLOTS: usize = 5;
/// Lines that a key may lie in, at most: its home and those behind it.
pub(super) const PROBES: usize = 64;
/// The farthest of them, where there are lines enough.
const SPREAD: usize = PROBES * (PROBES - 1) / 2;

/// In a value: there is an entry.
pub(super) const LIVE: u32 = 1 << 31;
/// In the value of an entry: its family is IPv6.
pub(super) const V6: u32 = 1 << 30;
/// The rest: what was put there, or the generation in which an entry was removed.
pub(super) const REST: u32 = super::VALUE_MAX;

/// A slot.
#[derive(Clone, Copy)]
pub(super) struct Slot<'a> {
    pub(super) key: &'a AtomicU64,
    pub(super) value: &'a AtomicU32,
}

impl Slot<'_> {
    /// Its value, and the bits of its key.
    #[inline(always)]
    fn load(self) -> (u32, u64) {
        // Acquire pairs with the writer's Release store of the value, which comes after that of the
        // key: the key below is the one that this value was stored for, or a later one. It is no later
        // one, for that is only stored after a quiescent point of this reader.
        let value = self.value.load(Ordering::Acquire);
        (value, self.key.load(Ordering::Relaxed))
    }
}

/// A cache line: its slots, and how many keys passed it.
#[cfg_attr(not(loom), derive(bytemuck::Zeroable), repr(C, align(64)))]
pub(super) struct Line {
    keys: [AtomicU64; SLOTS],
    values: [AtomicU32; SLOTS],
    /// Entries that lie further on because this line was full. Only the writer counts.
    passed: AtomicU32,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Line>() == 64);

/// The word that the value of an entry with this key has above its [`REST`].
#[inline(always)]
pub(super) const fn top(key: PackedKey) -> u32 {
    LIVE | if key.is_v6() { V6 } else { 0 }
}

impl Line {
    /// Its slots.
    #[inline(always)]
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot<'_>> {
        self.keys.iter().zip(&self.values).map(|(key, value)| Slot { key, value })
    }

    /// One of them.
    #[inline(always)]
    pub(super) fn slot(&self, number: usize) -> Option<Slot<'_>> {
        Some(Slot { key: self.keys.get(number)?, value: self.values.get(number)? })
    }

    /// The value of `key` here, or 0.
    #[inline(always)]
    pub(super) fn value_of(&self, key: PackedKey, equal: impl Equal) -> u32 {
        let places = equal.equal(&self.keys, key.bits());
        let Some(slot) = self.slot(places.trailing_zeros() as usize) else { return 0 };
        // Read again, after the value.
        let (value, bits) = slot.load();
        // No entry has the value 0.
        let found = value ^ top(key);
        if found <= REST && bits == key.bits() { found } else { self.look_closely(key) }
    }

    /// The bits may be there twice: of a removed entry, of the other family, of a slot never used.
    #[cold]
    fn look_closely(&self, key: PackedKey) -> u32 {
        let mut slots = self.slots().map(Slot::load);
        slots
            .find(|&(value, bits)| bits == key.bits() && value & !REST == top(key))
            .map_or(0, |(value, _)| value & REST)
    }

    /// How many keys lie further on.
    ///
    /// Relaxed: no key is read for it. Whoever was told of an entry sees what its writer did before,
    /// and the writer counts a key before it stores it further on.
    #[inline(always)]
    pub(super) fn passed(&self) -> u32 {
        self.passed.load(Ordering::Relaxed)
    }

    /// Says how many do: the writer alone.
    pub(super) fn set_passed(&self, count: u32) {
        self.passed.store(count, Ordering::Relaxed);
    }

    /// Whether the search for a key that is not here ends here.
    #[inline(always)]
    pub(super) fn ends(&self) -> bool {
        self.passed() == 0
    }
}

#[cfg(not(loom))]
type Lines = cpu::Array<Line>;
#[cfg(loom)]
type Lines = Box<[Line]>;

#[cfg(not(loom))]
fn lines(count: usize, pages: Pages) -> io::Result<Lines> {
    cpu::Array::zeroed(count, pages)
}

#[cfg(loom)]
fn lines(count: usize, _pages: Pages) -> io::Result<Lines> {
    let line = || Line {
        keys: std::array::from_fn(|_| AtomicU64::new(0)),
        values: std::array::from_fn(|_| AtomicU32::new(0)),
        passed: AtomicU32::new(0),
    };
    Ok((0..count).map(|_| line()).collect())
}

/// What a writer and its readers share.
pub(super) struct Shared {
    lines: Lines,
    hash: Hash,
    /// Lines that a key may lie in.
    probes: usize,
    /// Whether they lie 1, 3, 6, 10 apart; one behind the other in tables that are too small for that.
    spread: bool,
}

impl Shared {
    pub(super) fn new(count: usize, pages: Pages, seed: u64) -> io::Result<Self> {
        let count = count.max(1);
        Ok(Self {
            lines: lines(count, pages)?,
            hash: Hash::new(seed),
            probes: count.min(PROBES),
            spread: count > SPREAD,
        })
    }

    #[inline(always)]
    pub(super) fn lines(&self) -> usize {
        self.lines.len()
    }

    #[inline(always)]
    pub(super) const fn probes(&self) -> usize {
        self.probes
    }

    #[inline(always)]
    pub(super) fn line(&self, index: usize) -> Option<&Line> {
        self.lines.get(index)
    }

    /// Asks for a line before it is read.
    #[inline(always)]
    pub(super) fn prefetch(&self, index: usize) {
        cpu::prefetch_at(&self.lines, index);
    }

    /// The line in which a key is at home.
    #[inline(always)]
    pub(super) fn home(&self, key: PackedKey) -> usize {
        // The upper half of the product: as many hashes for each line, whatever their number.
        ((u128::from(self.hash.of(key)) * self.lines.len() as u128) >> 64) as usize
    }

    /// From the line at one distance from home to that at `distance`, the next one.
    #[inline(always)]
    pub(super) fn step(&self, line: usize, distance: usize) -> usize {
        let next = line + if self.spread { distance } else { 1 };
        // No step is longer than the table.
        if next >= self.lines.len() { next - self.lines.len() } else { next }
    }

    /// The lines of a key from its home on.
    pub(super) fn way(&self, home: usize) -> impl Iterator<Item = usize> + '_ {
        let mut line = home;
        (0..self.probes).map(move |distance| {
            if distance > 0 {
                line = self.step(line, distance);
            }
            line
        })
    }

    /// The distance at which the way from `home` comes to `line`.
    pub(super) fn distance(&self, home: usize, line: usize) -> Option<usize> {
        let apart = if line >= home { line - home } else { line + self.lines.len() - home };
        let distance = if self.spread {
            // Of the triangular numbers the one it is, if it is one.
            let root = (8 * apart.min(SPREAD) + 1).isqrt();
            (root - 1) / 2
        } else {
            apart
        };
        let there = if self.spread { distance * (distance + 1) / 2 } else { distance };
        (distance < self.probes && there == apart).then_some(distance)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_way_from_home() {
        let small = Shared::new(100, Pages::Small, 1).unwrap();
        assert_eq!(small.way(98).take(4).collect::<Vec<_>>(), [98, 99, 0, 1]);
        assert_eq!(small.way(98).count(), PROBES);
        let tiny = Shared::new(3, Pages::Small, 1).unwrap();
        assert_eq!(tiny.way(2).collect::<Vec<_>>(), [2, 0, 1]);
        let large = Shared::new(10_000, Pages::Small, 1).unwrap();
        assert_eq!(large.way(9_995).take(5).collect::<Vec<_>>(), [9_995, 9_996, 9_998, 1, 5]);
    }

    #[test]
    fn a_distance_is_found_again() {
        for count in [1, 2, 3, 63, 64, 65, 2_016, 2_017, 2_018, 10_000] {
            let shared = Shared::new(count, Pages::Small, 1).unwrap();
            for home in [0, 1, count / 2, count - 1] {
                let home = home.min(count - 1);
                let way: Vec<_> = shared.way(home).collect();
                for (distance, &line) in way.iter().enumerate() {
                    assert_eq!(shared.distance(home, line), Some(distance), "{count} {home}");
                }
                let elsewhere = (0..count).filter(|line| !way.contains(line));
                for line in elsewhere {
                    assert_eq!(shared.distance(home, line), None, "{count} {home} {line}");
                }
            }
        }
    }
}
