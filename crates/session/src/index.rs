//! Hash indexes whose links lie in the records that they find.

use crate::arena::{Arena, Slot};

/// The secret of all hashes in here: nobody outside can choose keys that meet in one chain. Shows in no
/// output.
#[derive(Clone, Copy)]
pub(crate) struct HashKey([u64; 2]);

/// Both halves of the 128-bit product, folded together.
#[inline(always)]
const fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128) * (b as u128);
    (product as u64) ^ ((product >> 64) as u64)
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl HashKey {
    pub(crate) const fn new(seed: u64) -> Self {
        let first = fold(seed ^ 0x6a09_e667_f3bc_c909, GOLDEN);
        Self([first, fold(first ^ seed.rotate_left(32), 0xbb67_ae85_84ca_a73b) | 1])
    }

    #[inline(always)]
    pub(crate) const fn word(self, word: u64) -> u64 {
        self.words(word, 0)
    }

    #[inline(always)]
    pub(crate) const fn words(self, first: u64, second: u64) -> u64 {
        let [a, b] = self.0;
        fold(fold(first ^ a, b) ^ second.rotate_left(29), GOLDEN ^ b)
    }

    #[inline(always)]
    pub(crate) const fn wide(self, word: u128) -> u64 {
        self.words(self.word((word >> 64) as u64), word as u64)
    }

    /// 64 bits that take in one word more, for fingerprints of many words.
    #[inline(always)]
    pub(crate) const fn add(self, state: u64, word: u64) -> u64 {
        let [a, b] = self.0;
        fold(state ^ word ^ a, b).wrapping_add(state.rotate_left(23))
    }
}

/// Heads of chains. They are reserved at the start; how many are in use grows with the records, one at a
/// time (linear hashing), so that few records touch little memory.
pub(crate) struct Index {
    heads: Vec<u32>,
    /// Heads in use.
    used: usize,
    /// How many there are for a record, while there are as many.
    heads_each: usize,
    /// The smallest power of two that is not below it, less one.
    mask: usize,
    records: usize,
}

impl Index {
    /// One head a record that is expected.
    pub(crate) fn new(records_max: u32) -> Self {
        Self::sparse(records_max, 1)
    }

    /// So many heads a record: the more, the seldomer a look-up meets a record that it is not for.
    pub(crate) fn sparse(records_max: u32, heads_each: usize) -> Self {
        let heads = vec![0; (records_max as usize).saturating_mul(heads_each).max(1)];
        Self { heads, used: 1, heads_each, mask: 0, records: 0 }
    }

    /// Asks for huge pages for the heads.
    pub(crate) fn prefer_huge(&self) {
        cpu::prefer_huge(&self.heads);
    }

    #[inline(always)]
    fn place(&self, hash: u64) -> usize {
        let place = hash as usize & self.mask;
        if place < self.used { place } else { place & (self.mask >> 1) }
    }

    /// Asks for the head of a chain before it is read.
    #[inline(always)]
    pub(crate) fn prefetch(&self, hash: u64) {
        cpu::prefetch_at(&self.heads, self.place(hash));
    }

    /// The first record of the chain, or 0.
    #[inline(always)]
    pub(crate) fn first(&self, hash: u64) -> u32 {
        self.heads.get(self.place(hash)).copied().unwrap_or(0)
    }

    /// Makes a record the first of its chain.
    pub(crate) fn put<T: Slot>(
        &mut self,
        slot: u32,
        arena: &mut Arena<T>,
        next: impl Fn(&mut T) -> &mut u32,
        hash: impl Fn(&T) -> u64,
    ) {
        self.records += 1;
        while self.records * self.heads_each > self.used && self.used < self.heads.len() {
            self.split(arena, &next, &hash);
        }
        let place = self.place(hash(arena.at(slot)));
        if let Some(head) = self.heads.get_mut(place) {
            *next(arena.at_mut(slot)) = core::mem::replace(head, slot);
        }
    }

    /// Takes one head more into use, for half of the chain of another.
    fn split<T: Slot>(
        &mut self,
        arena: &mut Arena<T>,
        next: impl Fn(&mut T) -> &mut u32,
        hash: impl Fn(&T) -> u64,
    ) {
        let new = self.used;
        self.used += 1;
        if new > self.mask {
            self.mask = self.mask << 1 | 1;
        }
        let old = new & (self.mask >> 1);
        let mut slot = self.heads.get_mut(old).map_or(0, core::mem::take);
        while slot != 0 {
            let place = self.place(hash(arena.at(slot)));
            let link = next(arena.at_mut(slot));
            let after = *link;
            if let Some(head) = self.heads.get_mut(place) {
                *link = core::mem::replace(head, slot);
            }
            slot = after;
        }
    }

    /// Takes a record out of its chain.
    pub(crate) fn remove<T: Slot>(
        &mut self,
        slot: u32,
        arena: &mut Arena<T>,
        next: impl Fn(&mut T) -> &mut u32,
        hash: impl Fn(&T) -> u64,
    ) {
        let place = self.place(hash(arena.at(slot)));
        let after = core::mem::take(next(arena.at_mut(slot)));
        let Some(head) = self.heads.get_mut(place) else { return };
        if *head == slot {
            *head = after;
            self.records -= 1;
            return;
        }
        let mut before = *head;
        while before != 0 {
            let link = next(arena.at_mut(before));
            if *link == slot {
                *link = after;
                self.records -= 1;
                return;
            }
            before = *link;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_depend_on_the_seed_and_spread() {
        let (a, b) = (HashKey::new(1), HashKey::new(2));
        assert_ne!(a.word(7), b.word(7));
        assert_ne!(a.words(1, 2), a.words(2, 1));
        assert_ne!(a.wide(1), a.wide(1 << 64));
        let mut heads = [0_u32; 64];
        for n in 0..6_400_u64 {
            heads[a.word(n) as usize & 63] += 1;
        }
        assert!(heads.iter().all(|&count| (50..=160).contains(&count)), "{heads:?}");
    }

    /// Value and link.
    #[derive(Clone, Copy)]
    struct Item(u64, u32);

    impl Slot for Item {
        const EMPTY: Self = Self(0, 0);
        fn link(&self) -> u32 {
            self.1
        }
        fn set_link(&mut self, next: u32) {
            self.1 = next;
        }
        fn epoch(&self) -> u64 {
            0
        }
        fn set_epoch(&mut self, _: u64) {}
    }

    #[test]
    fn records_are_found_while_it_grows() {
        let key = HashKey::new(3);
        let hash = |item: &Item| key.word(item.0);
        let mut arena = Arena::new(1000);
        let mut index = Index::new(300);
        for n in 1..=1000_u32 {
            assert_eq!(arena.take(0, Item(u64::from(n) * 7, 0)), Some(n));
            index.put(n, &mut arena, |item| &mut item.1, hash);
            assert_eq!(index.used, n.min(300) as usize);
        }
        for n in (1..=1000).filter(|n| n % 3 == 0) {
            index.remove(n, &mut arena, |item| &mut item.1, hash);
        }
        for n in 1..=1000_u32 {
            let mut slot = index.first(key.word(u64::from(n) * 7));
            while slot != 0 && slot != n {
                slot = arena.at(slot).1;
            }
            assert_eq!(slot == n, n % 3 != 0, "{n}");
        }
        let longest = (0..300).map(|place| {
            let (mut length, mut slot) = (0, index.heads[place]);
            while slot != 0 {
                length += 1;
                slot = arena.at(slot).1;
            }
            length
        });
        assert!(longest.max().unwrap() <= 16);
    }
}
