//! Later fragments follow the first: they carry no ports, so what the first one was is remembered.
//!
//! A fixed number of first fragments is kept; the newest replaces the oldest, whoever sent it. The
//! index is a chained hash with a random key, and since the oldest always goes first, the key never
//! shows in what the table answers.

use balance::ClusterKey;
use types::{Key, TrafficClass};
use wire::FragmentId;

use crate::readings::Reading;

/// What a first fragment was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its class.
    pub class: TrafficClass,
    /// The hash that pins it.
    pub pin: u64,
    /// The hash of its flow.
    pub flow: u64,
    /// What its session is found by.
    pub reading: Reading,
    /// Whether every probe gets it.
    pub for_all: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry<T> {
    id: FragmentId,
    origin: T,
    time_ns: u64,
    /// The next entry of the same bucket, or [`NONE`].
    next: u32,
    /// Whether it is in the index.
    linked: bool,
}

const NONE: u32 = u32::MAX;

/// First fragments seen lately, each with what is to be known of those that follow it.
#[derive(Debug)]
pub struct Fragments<T = Origin> {
    entries: Vec<Entry<T>>,
    /// The newest entry of each bucket; a power of two of them.
    buckets: Vec<u32>,
    capacity: usize,
    /// The entry to be written next: the oldest one once the table is full.
    cursor: usize,
    key: ClusterKey,
    evicted: u64,
}

impl<T: Copy> Fragments<T> {
    /// How long after the first one a fragment may come: RFC 791 and RFC 8200 4.5 give a datagram up
    /// to a minute to be whole; half of that keeps a reused identifier from matching.
    pub const LIFETIME_NS: u64 = 30_000_000_000;

    /// A table of `capacity` first fragments, hashed with a key of this seed.
    #[must_use]
    pub fn new(capacity: usize, seed: u64) -> Self {
        let capacity = capacity.clamp(1, 1 << 24);
        Self {
            entries: Vec::with_capacity(capacity),
            buckets: vec![NONE; capacity.next_power_of_two()],
            capacity,
            cursor: 0,
            key: ClusterKey::new(&format!("fragments {seed:016x}")),
            evicted: 0,
        }
    }

    /// First fragments that made room for newer ones before their time was over.
    #[must_use]
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Remembers what the datagram `id` is.
    pub fn remember(&mut self, id: FragmentId, origin: T, time_ns: u64) {
        let bucket = self.bucket(&id);
        let place = self.cursor;
        self.cursor = if place + 1 == self.capacity { 0 } else { place + 1 };
        // Of one identifier only the newest is in the index: chains stay short whatever is repeated.
        if let Some(earlier) = self.find(&id) {
            self.unlink(earlier);
        }
        if let Some(oldest) = self.entries.get(place) {
            let forgotten = oldest.linked && Self::is_alive(oldest, time_ns);
            self.unlink(place as u32);
            self.evicted += u64::from(forgotten);
        }
        let next = self.buckets.get(bucket).copied().unwrap_or(NONE);
        let entry = Entry { id, origin, time_ns, next, linked: true };
        match self.entries.get_mut(place) {
            Some(old) => *old = entry,
            None => self.entries.push(entry), // within the capacity reserved at the start
        }
        if let Some(head) = self.buckets.get_mut(bucket) {
            *head = place as u32;
        }
    }

    /// What the first fragment of `id` was, where it came before and at most
    /// [`Fragments::LIFETIME_NS`] earlier. Of several with the same identifier, the newest.
    #[must_use]
    pub fn recall(&self, id: &FragmentId, time_ns: u64) -> Option<T> {
        let entry = self.entries.get(self.find(id)? as usize)?;
        Self::is_alive(entry, time_ns).then_some(entry.origin)
    }

    fn find(&self, id: &FragmentId) -> Option<u32> {
        let mut place = self.buckets.get(self.bucket(id)).copied()?;
        while let Some(entry) = self.entries.get(place as usize) {
            if entry.id == *id {
                return Some(place);
            }
            place = entry.next;
        }
        None
    }

    fn is_alive(entry: &Entry<T>, time_ns: u64) -> bool {
        // A clock that goes back makes nothing older.
        time_ns.saturating_sub(entry.time_ns) <= Self::LIFETIME_NS
    }

    fn bucket(&self, id: &FragmentId) -> usize {
        let pin = self.key.pin(&Key::Outer(id.addresses.pair()));
        let pin = pin ^ (u64::from(id.id) << 8 | u64::from(id.protocol));
        (self.key.pin_v4(pin as u32, (pin >> 32) as u32) >> 16) as usize & (self.buckets.len() - 1)
    }

    /// Takes an entry out of the index, if it is there.
    fn unlink(&mut self, place: u32) {
        let Some(entry) = self.entries.get_mut(place as usize).filter(|entry| entry.linked) else { return };
        entry.linked = false;
        let entry = *entry;
        let bucket = self.bucket(&entry.id);
        let Some(head) = self.buckets.get_mut(bucket) else { return };
        if *head == place {
            *head = entry.next;
            return;
        }
        let mut at = *head;
        while let Some(link) = self.entries.get_mut(at as usize) {
            if link.next == place {
                link.next = entry.next;
                return;
            }
            at = link.next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use wire::Addresses;

    const S: u64 = 1_000_000_000;

    fn id(id: u32) -> FragmentId {
        FragmentId { addresses: Addresses::V4 { source: 1, destination: 2 }, id, protocol: 17 }
    }

    fn origin(pin: u64) -> Origin {
        Origin { class: TrafficClass::GtpU, pin, flow: 0, reading: Reading::NONE, for_all: false }
    }

    #[test]
    fn lives_for_thirty_seconds() {
        let mut table = Fragments::new(4, 1);
        table.remember(id(7), origin(1), 5 * S);
        assert_eq!(table.recall(&id(7), 35 * S), Some(origin(1)));
        assert_eq!(table.recall(&id(7), 35 * S + 1), None);
        assert_eq!(table.recall(&id(7), 0), Some(origin(1)));
        assert_eq!(table.recall(&id(8), 5 * S), None);
    }

    /// HOSTILE 45: the protocol and both addresses are part of the identity.
    #[test]
    fn every_part_of_the_identity_counts() {
        let mut table = Fragments::new(64, 1);
        table.remember(id(7), origin(1), 0);
        for other in [
            FragmentId { protocol: 6, ..id(7) },
            FragmentId { addresses: Addresses::V6 { source: 1, destination: 2 }, ..id(7) },
            FragmentId { addresses: Addresses::V4 { source: 2, destination: 1 }, ..id(7) },
            FragmentId { addresses: Addresses::V4 { source: 1, destination: 3 }, ..id(7) },
        ] {
            assert_eq!(table.recall(&other, 0), None, "{other:?}");
        }
    }

    #[test]
    fn a_reused_identifier_is_the_newest() {
        let mut table = Fragments::new(4, 1);
        table.remember(id(7), origin(1), 0);
        table.remember(id(7), origin(2), S);
        assert_eq!(table.recall(&id(7), S), Some(origin(2)));
    }

    /// HOSTILE 46: a flood of first fragments that never end costs a fixed amount of memory.
    #[test]
    fn a_flood_is_bounded_and_counted() {
        let mut table = Fragments::new(1_000, 1);
        for i in 0..1_000_000 {
            table.remember(id(i), origin(u64::from(i)), u64::from(i));
        }
        assert_eq!(table.entries.capacity(), 1_000);
        assert_eq!(table.evicted(), 999_000);
        assert_eq!(table.recall(&id(999_999), S), Some(origin(999_999)));
        assert_eq!(table.recall(&id(998_999), S), None);
    }

    /// Somebody who gives every datagram one identifier must not make chains long.
    #[test]
    fn a_repeated_identifier_is_in_the_index_once() {
        let mut table = Fragments::new(1_000, 1);
        for i in 0..100_000 {
            table.remember(id(7), origin(i), i);
        }
        assert_eq!(table.entries.iter().filter(|entry| entry.linked).count(), 1);
        assert_eq!(table.recall(&id(7), S), Some(origin(99_999)));
        assert_eq!(table.evicted(), 0);
    }

    proptest! {
        /// The table is a queue of the newest `capacity` entries, whatever the key.
        #[test]
        fn equals_a_queue(capacity in 1_usize..20, seed: u64, ids in prop::collection::vec((0_u32..30, any::<bool>()), 0..200)) {
            let mut table = Fragments::new(capacity, seed);
            let mut queue: VecDeque<(u32, u64)> = VecDeque::new();
            for (n, (i, remember)) in ids.into_iter().enumerate() {
                if remember {
                    table.remember(id(i), origin(n as u64), n as u64);
                    queue.push_back((i, n as u64));
                    if queue.len() > capacity {
                        queue.pop_front();
                    }
                }
                let expected = queue.iter().rev().find(|(j, _)| *j == i).map(|(_, pin)| origin(*pin));
                prop_assert_eq!(table.recall(&id(i), n as u64), expected);
            }
        }
    }
}
