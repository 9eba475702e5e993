//! Packets that wait, by key.

use std::hash::{BuildHasher as _, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};

/// What a [`Hold`] takes at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Keys that wait at the same time.
    pub keys: usize,
    /// Packets of all of them.
    pub packets: usize,
    /// Bytes of all of these.
    pub bytes: usize,
    /// How long a key waits, from its first packet.
    pub time_ns: u64,
}

const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Waiting<K> {
    key: K,
    until_ns: u64,
    first: u32,
    last: u32,
    older: u32,
    newer: u32,
}

#[derive(Debug)]
struct Place<T> {
    packet: Option<T>,
    bytes: u32,
    next: u32,
}

/// Packets that wait until their key is released or its time is over. The keys are in the order of
/// their first packets; since all wait equally long, that is the order in which their time ends.
#[derive(Debug)]
pub struct Hold<K, T> {
    limits: Limits,
    index: HashTable<u32>,
    /// The random key of the index: it never shows in what is answered.
    hasher: DefaultHashBuilder,
    waiting: Vec<Waiting<K>>,
    free_waiting: Vec<u32>,
    oldest: u32,
    newest: u32,
    places: Vec<Place<T>>,
    free_places: Vec<u32>,
    bytes: usize,
}

impl<K: Copy + Eq + Hash, T> Hold<K, T> {
    /// An empty one. Its memory is reserved now and touched as it is used.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let keys = limits.keys.min(NONE as usize - 1);
        let packets = limits.packets.min(NONE as usize - 1);
        Self {
            limits: Limits { keys, packets, ..limits },
            // Twice as many as there will be: a table that is at most half full never grows, it only
            // tidies up.
            index: HashTable::with_capacity(keys.saturating_mul(2)),
            hasher: DefaultHashBuilder::default(),
            waiting: Vec::with_capacity(keys),
            free_waiting: Vec::with_capacity(keys),
            oldest: NONE,
            newest: NONE,
            places: Vec::with_capacity(packets),
            free_places: Vec::with_capacity(packets),
            bytes: 0,
        }
    }

    /// What it takes at most.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Bytes that wait.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Packets that wait.
    #[must_use]
    pub fn packets(&self) -> usize {
        self.places.len() - self.free_places.len()
    }

    /// Whether nothing waits.
    #[inline(always)]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.oldest == NONE
    }

    /// Whether packets of this key wait.
    #[inline]
    #[must_use]
    pub fn has(&self, key: &K) -> bool {
        !self.is_empty() && self.find(key).is_some()
    }

    fn find(&self, key: &K) -> Option<u32> {
        let same = |&at: &u32| self.waiting.get(at as usize).is_some_and(|waiting| waiting.key == *key);
        self.index.find(self.hasher.hash_one(key), same).copied()
    }

    /// Keeps a packet back, behind those of its key. The first one of a key sets the time it waits.
    ///
    /// # Errors
    /// The packet itself, where the hold is full.
    pub fn push(&mut self, key: K, packet: T, bytes: u32, now_ns: u64) -> Result<(), T> {
        let room = self.limits.bytes.saturating_sub(self.bytes);
        if bytes as usize > room || self.packets() >= self.limits.packets {
            return Err(packet);
        }
        let Some(at) = self.find(&key).or_else(|| self.enter(key, now_ns)) else { return Err(packet) };
        let place = Place { packet: Some(packet), bytes, next: NONE };
        let to = match self.free_places.pop() {
            Some(free) => {
                if let Some(old) = self.places.get_mut(free as usize) {
                    *old = place;
                }
                free
            }
            None => {
                self.places.push(place); // within the capacity reserved at the start
                (self.places.len() - 1) as u32
            }
        };
        self.bytes += bytes as usize;
        let Some(waiting) = self.waiting.get_mut(at as usize) else { return Ok(()) };
        let last = std::mem::replace(&mut waiting.last, to);
        match self.places.get_mut(last as usize) {
            Some(last) => last.next = to,
            None => waiting.first = to,
        }
        Ok(())
    }

    /// Makes a new key the newest.
    fn enter(&mut self, key: K, now_ns: u64) -> Option<u32> {
        if self.waiting.len() - self.free_waiting.len() >= self.limits.keys {
            return None;
        }
        let until_ns = now_ns.saturating_add(self.limits.time_ns);
        let entry = Waiting { key, until_ns, first: NONE, last: NONE, older: self.newest, newer: NONE };
        let at = match self.free_waiting.pop() {
            Some(free) => {
                if let Some(old) = self.waiting.get_mut(free as usize) {
                    *old = entry;
                }
                free
            }
            None => {
                self.waiting.push(entry);
                (self.waiting.len() - 1) as u32
            }
        };
        match self.waiting.get_mut(self.newest as usize) {
            Some(newest) => newest.newer = at,
            None => self.oldest = at,
        }
        self.newest = at;
        let (waiting, hasher) = (&self.waiting, &self.hasher);
        let hash = |&at: &u32| waiting.get(at as usize).map_or(0, |waiting| hasher.hash_one(waiting.key));
        self.index.insert_unique(hasher.hash_one(key), at, hash);
        Some(at)
    }

    /// Lets all packets of a key go, in their order. Returns whether there were any.
    pub fn release(&mut self, key: &K, mut each: impl FnMut(T)) -> bool {
        if self.is_empty() {
            return false;
        }
        let same = |&at: &u32| self.waiting.get(at as usize).is_some_and(|waiting| waiting.key == *key);
        let Ok(entry) = self.index.find_entry(self.hasher.hash_one(key), same) else { return false };
        let (at, _) = entry.remove();
        let Some(&Waiting { first, older, newer, .. }) = self.waiting.get(at as usize) else { return false };
        match self.waiting.get_mut(older as usize) {
            Some(entry) => entry.newer = newer,
            None => self.oldest = newer,
        }
        match self.waiting.get_mut(newer as usize) {
            Some(entry) => entry.older = older,
            None => self.newest = older,
        }
        self.free_waiting.push(at);
        let mut next = first;
        while let Some(place) = self.places.get_mut(next as usize) {
            let packet = place.packet.take();
            self.bytes -= place.bytes as usize;
            self.free_places.push(next);
            next = place.next;
            packet.into_iter().for_each(&mut each);
        }
        true
    }

    /// The key that has waited longest, where its time is over.
    #[inline(always)]
    #[must_use]
    pub fn overdue(&self, now_ns: u64) -> Option<K> {
        let oldest = self.waiting.get(self.oldest as usize)?;
        (oldest.until_ns <= now_ns).then_some(oldest.key)
    }

    /// The key that has waited longest, and its first packet.
    #[must_use]
    pub fn oldest(&self) -> Option<(K, &T)> {
        let waiting = self.waiting.get(self.oldest as usize)?;
        let first = self.places.get(waiting.first as usize)?;
        Some((waiting.key, first.packet.as_ref()?))
    }

    /// The keys that wait, from the oldest on.
    pub fn keys(&self) -> impl Iterator<Item = K> {
        let mut next = self.oldest;
        std::iter::from_fn(move || {
            let waiting = self.waiting.get(next as usize)?;
            next = waiting.newer;
            Some(waiting.key)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn hold(keys: usize, packets: usize, bytes: usize) -> Hold<u32, u32> {
        Hold::new(Limits { keys, packets, bytes, time_ns: 20 })
    }

    fn released(hold: &mut Hold<u32, u32>, key: u32) -> Vec<u32> {
        let mut out = Vec::new();
        hold.release(&key, |packet| out.push(packet));
        out
    }

    #[test]
    fn time_runs_from_the_first_packet() {
        let mut hold = hold(4, 8, 1000);
        hold.push(1, 10, 1, 100).unwrap();
        hold.push(2, 20, 1, 110).unwrap();
        hold.push(1, 11, 1, 119).unwrap();
        assert_eq!(hold.overdue(119), None);
        assert_eq!(hold.overdue(120), Some(1));
        assert_eq!(released(&mut hold, 1), [10, 11]);
        assert_eq!(hold.overdue(129), None);
        assert_eq!(hold.overdue(130), Some(2));
        assert_eq!(hold.keys().collect::<Vec<_>>(), [2]);
        assert!(!hold.has(&1) && hold.has(&2));
    }

    #[test]
    fn each_limit_gives_the_packet_back() {
        let mut full = hold(1, 8, 1000);
        full.push(1, 10, 1, 0).unwrap();
        assert_eq!(full.push(2, 20, 1, 0), Err(20), "keys");
        let mut full = hold(4, 1, 1000);
        full.push(1, 10, 1, 0).unwrap();
        assert_eq!(full.push(1, 11, 1, 0), Err(11), "packets");
        let mut full = hold(4, 8, 100);
        full.push(1, 10, 60, 0).unwrap();
        assert_eq!(full.push(1, 11, 41, 0), Err(11), "bytes");
        full.push(1, 12, 40, 0).unwrap();
        assert_eq!(released(&mut full, 1), [10, 12]);
        assert!(full.is_empty());
        assert_eq!((full.bytes(), full.packets()), (0, 0));
        // A key that found no room for its first packet does not wait.
        assert_eq!(full.push(3, 30, 101, 0), Err(30));
        assert!(!full.has(&3) && full.is_empty());
    }

    #[test]
    fn memory_is_what_was_reserved() {
        let mut hold = hold(16, 64, 1 << 20);
        let reserved = (hold.waiting.capacity(), hold.places.capacity(), hold.index.allocation_size());
        for i in 0..100_000 {
            hold.push(i % 97, i, 10, u64::from(i)).ok();
            if i % 3 == 0 {
                released(&mut hold, i % 31);
            }
            while let Some(key) = hold.overdue(u64::from(i)) {
                released(&mut hold, key);
            }
        }
        assert_eq!(reserved, (hold.waiting.capacity(), hold.places.capacity(), hold.index.allocation_size()));
    }

    /// A key, when its time is over, and its packets with their bytes.
    type Queue = (u32, u64, Vec<(u32, u32)>);

    #[derive(Clone, Debug)]
    enum Step {
        Push(u32, u32),
        Release(u32),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0_u32..6, 1_u32..40).prop_map(|(key, bytes)| Step::Push(key, bytes)),
            1 => (0_u32..6).prop_map(Step::Release),
            1 => (0_u64..15).prop_map(Step::Wait),
        ]
    }

    proptest! {
        /// It is a queue of queues.
        #[test]
        fn equals_the_obvious(steps in prop::collection::vec(step(), 0..200)) {
            let mut hold = hold(4, 10, 150);
            let mut model: VecDeque<Queue> = VecDeque::new();
            let mut now = 0;
            for (n, step) in steps.into_iter().enumerate() {
                let n = n as u32;
                let count: usize = model.iter().map(|(.., packets)| packets.len()).sum();
                let bytes: u32 = model.iter().flat_map(|(.., packets)| packets).map(|(_, bytes)| bytes).sum();
                prop_assert_eq!((hold.packets(), hold.bytes()), (count, bytes as usize));
                prop_assert!(hold.keys().eq(model.iter().map(|(key, ..)| *key)));
                match step {
                    Step::Push(key, size) => {
                        let known = model.iter().position(|(k, ..)| *k == key);
                        let fits = bytes + size <= 150 && count < 10 && (known.is_some() || model.len() < 4);
                        prop_assert_eq!(hold.push(key, n, size, now), if fits { Ok(()) } else { Err(n) });
                        match known {
                            Some(at) if fits => model[at].2.push((n, size)),
                            None if fits => model.push_back((key, now + 20, vec![(n, size)])),
                            _ => {}
                        }
                    }
                    Step::Release(key) => {
                        let at = model.iter().position(|(k, ..)| *k == key);
                        let expected = at.and_then(|at| model.remove(at)).map_or(vec![], |(.., p)| p);
                        let expected: Vec<_> = expected.into_iter().map(|(n, _)| n).collect();
                        prop_assert_eq!(released(&mut hold, key), expected);
                    }
                    Step::Wait(time) => {
                        now += time;
                        let over = model.front().filter(|(_, until, _)| *until <= now).map(|(key, ..)| *key);
                        prop_assert_eq!(hold.overdue(now), over);
                    }
                }
            }
        }
    }
}
