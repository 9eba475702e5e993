//! Records in slots: room for all of them is reserved at the start and touched as it is used.

use crate::changed::Changed;

/// A record that can lie in a free list while it is not in use.
pub(crate) trait Slot: Copy {
    /// What a slot holds that is not in use.
    const EMPTY: Self;
    /// The next free slot.
    fn link(&self) -> u32;
    /// Sets it.
    fn set_link(&mut self, next: u32);
    /// The epoch in which it was freed.
    fn epoch(&self) -> u64;
    /// Sets it.
    fn set_epoch(&mut self, epoch: u64);
    /// The session that a record in this slot is a part of, 0 where it does not say.
    fn session(&self, _slot: u32) -> u32 {
        0
    }
}

/// Slots 1 to `slots_max`; 0 is none, so that a link of 0 ends a list and a table of links starts as
/// zeroed memory. What is asked for slot 0 or beyond the end is an empty record: nothing here panics.
pub(crate) struct Arena<T> {
    items: Vec<T>,
    slots_max: u32,
    /// Free and safe to be used again: last in, first out, so that warm memory comes first.
    free: u32,
    /// Freed, but readers may still hold the slot: first in, first out.
    waiting_first: u32,
    waiting_last: u32,
    none: T,
    /// What is written to no slot.
    lost: T,
    /// Where the sessions of records are marked that are handed out to be changed.
    changed: Option<Changed>,
}

impl<T: Slot> Arena<T> {
    pub(crate) fn new(slots_max: u32) -> Self {
        let mut items = Vec::with_capacity(slots_max as usize + 1);
        items.push(T::EMPTY);
        Self {
            items,
            slots_max,
            free: 0,
            waiting_first: 0,
            waiting_last: 0,
            none: T::EMPTY,
            lost: T::EMPTY,
            changed: None,
        }
    }

    /// Asks for huge pages for all that will be used.
    pub(crate) fn prefer_huge(&mut self) {
        cpu::prefer_huge(self.items.spare_capacity_mut());
    }

    /// One more than the highest slot that was ever used.
    pub(crate) fn touched(&self) -> u32 {
        self.items.len() as u32
    }

    /// Slots that are neither free nor were never used.
    #[cfg(test)]
    pub(crate) fn in_use(&self) -> usize {
        let length = |mut slot: u32| {
            let mut length = 0;
            while slot != 0 {
                length += 1;
                slot = self.at(slot).link();
            }
            length
        };
        self.items.len() - 1 - length(self.free) - length(self.waiting_first)
    }

    #[inline(always)]
    pub(crate) fn at(&self, slot: u32) -> &T {
        self.items.get(slot as usize).unwrap_or(&self.none)
    }

    /// Asks for a record before it is read: both lines of one that has two.
    #[inline(always)]
    pub(crate) fn prefetch(&self, slot: u32) {
        cpu::prefetch_at(&self.items, slot as usize);
        if let Some(item) = self.items.get(slot as usize).filter(|_| size_of::<T>() > 64) {
            cpu::prefetch_end(item);
        }
    }

    /// Marks the sessions of all records that change from now on.
    pub(crate) fn mark_in(&mut self, changed: &Changed) {
        self.changed = Some(changed.clone());
    }

    #[inline(always)]
    fn mark(&self, slot: u32) {
        if let Some(changed) = &self.changed {
            changed.mark(self.at(slot).session(slot));
        }
    }

    /// Puts a record into a slot of this number, which must not be in use. Returns whether there is such a
    /// slot. Those before it that are empty are in no list until [`Self::free_where`].
    pub(crate) fn place(&mut self, slot: u32, item: T) -> bool {
        if slot == 0 || slot > self.slots_max {
            return false;
        }
        while self.touched() <= slot {
            self.items.push(T::EMPTY);
        }
        *self.raw_mut(slot) = item;
        true
    }

    /// Makes the list of free slots anew.
    pub(crate) fn free_where(&mut self, is_free: impl Fn(&T) -> bool) {
        (self.free, self.waiting_first, self.waiting_last) = (0, 0, 0);
        for slot in (1..self.touched()).rev() {
            if is_free(self.at(slot)) {
                let free = core::mem::replace(&mut self.free, slot);
                let item = self.raw_mut(slot);
                *item = T::EMPTY;
                item.set_link(free);
            }
        }
    }

    #[inline(always)]
    pub(crate) fn at_mut(&mut self, slot: u32) -> &mut T {
        self.mark(slot);
        self.raw_mut(slot)
    }

    #[inline(always)]
    fn raw_mut(&mut self, slot: u32) -> &mut T {
        match self.items.get_mut(slot as usize) {
            Some(item) if slot != 0 => item,
            _ => {
                self.lost = T::EMPTY;
                &mut self.lost
            }
        }
    }

    /// A slot with this record, or `None` when all are in use. A slot that was freed comes back once
    /// `safe` is beyond its epoch.
    pub(crate) fn take(&mut self, safe: u64, item: T) -> Option<u32> {
        // Two at a time: as many as can be freed between, so the waiting ones do not pile up.
        for _ in 0..2 {
            let slot = self.waiting_first;
            if slot == 0 || self.at(slot).epoch() >= safe {
                break;
            }
            self.waiting_first = self.at(slot).link();
            if self.waiting_first == 0 {
                self.waiting_last = 0;
            }
            let free = self.free;
            self.raw_mut(slot).set_link(free);
            self.free = slot;
        }
        // The next one to be taken waits longest: it is in no cache any more.
        self.prefetch(self.waiting_first);
        if self.free != 0 {
            let slot = self.free;
            self.free = self.at(slot).link();
            *self.raw_mut(slot) = item;
            self.mark(slot);
            return Some(slot);
        }
        let slot = self.touched();
        if slot > self.slots_max {
            return None;
        }
        self.items.push(item);
        self.mark(slot);
        Some(slot)
    }

    /// Gives a slot back that readers may hold until the epoch `now` is over.
    pub(crate) fn give_back(&mut self, slot: u32, now: u64) {
        if slot == 0 {
            return;
        }
        self.mark(slot);
        let item = self.raw_mut(slot);
        *item = T::EMPTY;
        item.set_epoch(now);
        let last = self.waiting_last;
        if last == 0 {
            self.waiting_first = slot;
        } else {
            self.raw_mut(last).set_link(slot);
        }
        self.waiting_last = slot;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Item(u32, u64);

    impl Slot for Item {
        const EMPTY: Self = Self(0, 0);
        fn link(&self) -> u32 {
            self.0
        }
        fn set_link(&mut self, next: u32) {
            self.0 = next;
        }
        fn epoch(&self) -> u64 {
            self.1
        }
        fn set_epoch(&mut self, epoch: u64) {
            self.1 = epoch;
        }
    }

    #[test]
    fn full_is_an_outcome() {
        let mut arena = Arena::new(2);
        assert_eq!(arena.take(0, Item(7, 7)), Some(1));
        assert_eq!(arena.take(0, Item(8, 8)), Some(2));
        assert_eq!(arena.take(0, Item(9, 9)), None);
        assert_eq!(*arena.at(1), Item(7, 7));
        assert_eq!(*arena.at(0), Item::EMPTY);
        assert_eq!(*arena.at(3), Item::EMPTY);
        arena.at_mut(3).0 = 5;
        assert_eq!(*arena.at(3), Item::EMPTY);
    }

    #[test]
    fn a_slot_waits_for_its_readers() {
        let mut arena = Arena::new(2);
        assert_eq!(arena.take(0, Item(0, 0)), Some(1));
        assert_eq!(arena.take(0, Item(0, 0)), Some(2));
        arena.give_back(1, 5);
        arena.give_back(2, 6);
        assert_eq!(arena.take(5, Item(0, 0)), None);
        assert_eq!(arena.take(6, Item(0, 0)), Some(1));
        assert_eq!(arena.take(6, Item(0, 0)), None);
        arena.give_back(1, 7);
        assert_eq!(arena.take(8, Item(0, 0)), Some(1), "last in, first out");
        assert_eq!(arena.take(8, Item(0, 0)), Some(2));
    }
}
