//! Values that many sessions share, kept once: addresses of nodes, names of networks.

use std::net::IpAddr;

use types::Apn;

use crate::arena::{Arena, Slot};
use crate::index::{HashKey, Index};

/// A value that can be kept once.
pub(crate) trait Value: Copy + PartialEq {
    const NOTHING: Self;
    fn hash(&self, key: HashKey) -> u64;
}

impl Value for IpAddr {
    const NOTHING: Self = Self::V4(std::net::Ipv4Addr::UNSPECIFIED);

    fn hash(&self, key: HashKey) -> u64 {
        match self {
            Self::V4(address) => key.word(u64::from(address.to_bits())),
            Self::V6(address) => key.wide(address.to_bits()),
        }
    }
}

impl Value for Option<Apn> {
    const NOTHING: Self = None;

    fn hash(&self, key: HashKey) -> u64 {
        let bytes = self.as_ref().map_or("", Apn::as_str).as_bytes();
        let mut state = bytes.len() as u64;
        for chunk in bytes.chunks(8) {
            let word = chunk.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
            state = key.add(state, word);
        }
        key.word(state)
    }
}

#[derive(Clone, Copy)]
struct Kept<V> {
    value: V,
    next: u32,
    /// How many records name it; it leaves with the last one.
    held: u32,
}

impl<V: Value> Slot for Kept<V> {
    const EMPTY: Self = Self { value: V::NOTHING, next: 0, held: 0 };
    fn link(&self) -> u32 {
        self.next
    }
    fn set_link(&mut self, next: u32) {
        self.next = next;
    }
    fn epoch(&self) -> u64 {
        0
    }
    fn set_epoch(&mut self, _: u64) {}
}

/// A bounded table of them. Values that nothing names any more leave it, so that made-up ones do not
/// stay.
pub(crate) struct Interned<V> {
    arena: Arena<Kept<V>>,
    index: Index,
    key: HashKey,
    used: u32,
    values_max: u32,
}

impl<V: Value> Interned<V> {
    pub(crate) fn new(values_max: u32, key: HashKey) -> Self {
        Self { arena: Arena::new(values_max), index: Index::sparse(values_max, 4), key, used: 0, values_max }
    }

    /// The number of a value, or 0.
    #[inline]
    pub(crate) fn find(&self, value: &V) -> u32 {
        let mut slot = self.index.first(value.hash(self.key));
        while slot != 0 {
            let kept = self.arena.at(slot);
            if kept.value == *value {
                return slot;
            }
            slot = kept.next;
        }
        0
    }

    /// The number of a value, which one record more names now; `None` if the table is full.
    pub(crate) fn hold(&mut self, value: &V) -> Option<u32> {
        self.hold_found(self.find(value), value)
    }

    /// The same of a value that was looked for already: `found` is its number, or 0.
    pub(crate) fn hold_found(&mut self, found: u32, value: &V) -> Option<u32> {
        if found != 0 {
            self.hold_again(found);
            return Some(found);
        }
        let slot = self.arena.take(u64::MAX, Kept { value: *value, next: 0, held: 1 })?;
        let key = self.key;
        self.index.put(slot, &mut self.arena, |kept| &mut kept.next, |kept| kept.value.hash(key));
        self.used += 1;
        Some(slot)
    }

    /// Whether at least one place in so many is free.
    pub(crate) fn has_reserve(&self, one_in: u32) -> bool {
        self.values_max - self.used > self.values_max / one_in
    }

    /// One record more names it.
    pub(crate) fn hold_again(&mut self, slot: u32) {
        let kept = self.arena.at_mut(slot);
        kept.held = kept.held.saturating_add(1);
    }

    /// One record fewer names it.
    pub(crate) fn release(&mut self, slot: u32) {
        if slot == 0 {
            return;
        }
        let kept = self.arena.at_mut(slot);
        kept.held = kept.held.saturating_sub(1);
        if kept.held == 0 {
            let key = self.key;
            self.index.remove(slot, &mut self.arena, |kept| &mut kept.next, |kept| kept.value.hash(key));
            self.arena.give_back(slot, 0);
            self.used -= 1;
        }
    }

    #[cfg(test)]
    pub(crate) fn used(&self) -> u32 {
        self.used
    }

    pub(crate) fn value(&self, slot: u32) -> V {
        self.arena.at(slot).value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    #[test]
    fn a_value_is_kept_once_and_leaves_with_its_last_holder() {
        let mut nodes = Interned::new(2, HashKey::new(1));
        let one = nodes.hold(&address(1)).unwrap();
        assert_eq!(nodes.hold(&address(1)), Some(one));
        assert_eq!(nodes.value(one), address(1));
        let two = nodes.hold(&address(2)).unwrap();
        assert_ne!(one, two);
        assert_eq!(nodes.hold(&address(3)), None);
        nodes.release(one);
        assert_eq!(nodes.find(&address(1)), one);
        nodes.release(one);
        assert_eq!(nodes.find(&address(1)), 0);
        assert_eq!(nodes.hold(&address(3)), Some(one));
        assert_eq!(nodes.find(&address(2)), two);
    }

    #[test]
    fn names_differ_by_every_byte() {
        let name = |text: &[u8]| Some(Apn::from_text(text).unwrap());
        let mut names = Interned::new(8, HashKey::new(1));
        let one = names.hold(&name(b"internet")).unwrap();
        assert_ne!(names.hold(&name(b"internet.mnc001")), Some(one));
        assert_eq!(names.find(&name(b"interne")), 0);
        assert_eq!(names.find(&name(b"internet")), one);
    }
}
