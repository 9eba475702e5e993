//! A bounded ring between one producer and one consumer, without locks.
//!
//! Each side owns its index and keeps a copy of the other's, so that a burst costs at most one cache
//! line of the other core. Indices count up without end (wrapping); the place is the index modulo the
//! capacity.

use std::fmt;
use std::mem::MaybeUninit;

use crossbeam_utils::CachePadded;

#[cfg(loom)]
use loom::{
    cell::UnsafeCell,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
#[cfg(not(loom))]
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

#[cfg(not(loom))]
use cell::UnsafeCell;

/// `UnsafeCell` with the two methods of loom's, so that the code below is the one that loom checks.
#[cfg(not(loom))]
mod cell {
    #[repr(transparent)]
    pub(super) struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(super) const fn new(value: T) -> Self {
            Self(core::cell::UnsafeCell::new(value))
        }

        #[inline(always)]
        pub(super) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            f(self.0.get())
        }

        #[inline(always)]
        pub(super) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }
}

struct Shared<T> {
    /// Where the consumer reads next. Written by the consumer only.
    head: CachePadded<AtomicUsize>,
    /// Where the producer writes next. Written by the producer only.
    tail: CachePadded<AtomicUsize>,
    places: Box<[UnsafeCell<MaybeUninit<T>>]>,
}

// SAFETY: a place is touched by one side at a time: the producer writes places in [tail, head +
// capacity) and gives them away by storing `tail`; the consumer reads places in [head, tail) and
// gives them back by storing `head`. Values move between threads, so `T: Send` is asked for.
unsafe impl<T: Send> Sync for Shared<T> {}
// SAFETY: as above; nothing in it is tied to the thread that made it.
unsafe impl<T: Send> Send for Shared<T> {}

impl<T> Shared<T> {
    #[inline(always)]
    fn place(&self, index: usize) -> Option<&UnsafeCell<MaybeUninit<T>>> {
        // The capacity is a power of two: the mask keeps the index inside.
        self.places.get(index & (self.places.len().wrapping_sub(1)))
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // Both ends are gone (each held an `Arc`), and dropping the last `Arc` has made their stores
        // visible: Relaxed is enough.
        let mut head = self.head.load(Ordering::Relaxed);
        let tail = self.tail.load(Ordering::Relaxed);
        while head != tail {
            if let Some(place) = self.place(head) {
                place.with_mut(|value| {
                    // SAFETY: places in [head, tail) hold values that nobody has taken, and `&mut
                    // self` says that nobody else looks.
                    let value = unsafe { &mut *value };
                    // SAFETY: the value is initialised, and not used after this.
                    unsafe { value.assume_init_drop() }
                });
            }
            head = head.wrapping_add(1);
        }
    }
}

/// The end that pushes.
pub struct Producer<T> {
    shared: Arc<Shared<T>>,
    tail: usize,
    head_seen: usize,
}

/// The end that pops.
pub struct Consumer<T> {
    shared: Arc<Shared<T>>,
    head: usize,
    tail_seen: usize,
}

/// Reads how full a ring is, from any thread.
pub struct Gauge<T>(Arc<Shared<T>>);

/// Makes a ring for at least `capacity` values; the capacity is the next power of two.
#[must_use]
pub fn ring<T: Send>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    let capacity = capacity.max(1).next_power_of_two();
    let shared = Arc::new(Shared {
        head: CachePadded::new(AtomicUsize::new(0)),
        tail: CachePadded::new(AtomicUsize::new(0)),
        places: (0..capacity).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect(),
    });
    let producer = Producer { shared: Arc::clone(&shared), tail: 0, head_seen: 0 };
    (producer, Consumer { shared, head: 0, tail_seen: 0 })
}

impl<T: Send> Producer<T> {
    /// How many values can be pushed now, at least. Looks at the consumer's index only where the copy
    /// of it shows less than `wanted`.
    #[inline(always)]
    pub fn room(&mut self, wanted: usize) -> usize {
        let capacity = self.shared.places.len();
        let room = capacity.wrapping_sub(self.tail.wrapping_sub(self.head_seen));
        if room >= wanted {
            return room;
        }
        // Acquire pairs with the consumer's Release store of `head`: the values it took are out
        // before their places are written again.
        self.head_seen = self.shared.head.load(Ordering::Acquire);
        capacity.wrapping_sub(self.tail.wrapping_sub(self.head_seen))
    }

    /// Pushes values from `values` until it ends or the ring is full, and shows them to the consumer
    /// all at once. Returns how many. A value is only taken from `values` when there is a place for it.
    #[inline(always)]
    pub fn push_from(&mut self, values: &mut impl Iterator<Item = T>) -> usize {
        let mut room = self.room(values.size_hint().0.max(1));
        let start = self.tail;
        // Shows what was written, also where `values` panics half way.
        let mut publish = Publish { tail: &self.shared.tail, next: start };
        loop {
            let pushed = publish.next.wrapping_sub(start);
            if pushed == room {
                // The iterator may have said too little of its length: look again before giving up.
                // Acquire as in `room`.
                self.head_seen = self.shared.head.load(Ordering::Acquire);
                room = self.shared.places.len().wrapping_sub(start.wrapping_sub(self.head_seen));
                if pushed == room {
                    break;
                }
            }
            let Some(value) = values.next() else { break };
            let Some(place) = self.shared.place(publish.next) else { break };
            place.with_mut(|slot| {
                // SAFETY: the place is in [tail, head + capacity): it is the producer's until `tail`
                // is stored.
                let slot = unsafe { &mut *slot };
                slot.write(value);
            });
            publish.next = publish.next.wrapping_add(1);
        }
        let end = publish.next;
        drop(publish);
        self.tail = end;
        end.wrapping_sub(start)
    }

    /// Pushes one value.
    ///
    /// # Errors
    /// The value itself, where the ring is full.
    #[inline(always)]
    pub fn push(&mut self, value: T) -> Result<(), T> {
        if self.room(1) == 0 {
            return Err(value);
        }
        let mut value = Some(value);
        self.push_from(&mut std::iter::from_fn(|| value.take()));
        value.map_or(Ok(()), Err)
    }

    /// A view of how full the ring is.
    #[must_use]
    pub fn gauge(&self) -> Gauge<T> {
        Gauge(Arc::clone(&self.shared))
    }
}

struct Publish<'a> {
    tail: &'a AtomicUsize,
    next: usize,
}

impl Drop for Publish<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // Release pairs with the consumer's Acquire load of `tail`: the values are written before
        // they are seen.
        self.tail.store(self.next, Ordering::Release);
    }
}

impl<T: Send> Consumer<T> {
    /// How many values can be popped now, at least. Looks at the producer's index only where the copy
    /// of it shows less than `wanted`.
    #[inline(always)]
    pub fn available(&mut self, wanted: usize) -> usize {
        let seen = self.tail_seen.wrapping_sub(self.head);
        if seen >= wanted {
            return seen;
        }
        // Acquire pairs with the producer's Release store of `tail`.
        self.tail_seen = self.shared.tail.load(Ordering::Acquire);
        self.tail_seen.wrapping_sub(self.head)
    }

    /// Pops up to `most` values in order and gives their places back all at once. Returns how many.
    #[inline(always)]
    pub fn pop_each(&mut self, most: usize, mut each: impl FnMut(T)) -> usize {
        let count = self.available(most).min(most);
        if count == 0 {
            return 0;
        }
        let give_back = GiveBack { shared: &self.shared.head, head: &mut self.head };
        for _ in 0..count {
            let Some(place) = self.shared.place(*give_back.head) else { break };
            let value = place.with(|slot| {
                // SAFETY: the place is in [head, tail): the producer wrote it and will not touch it
                // until `head` is stored.
                let slot = unsafe { &*slot };
                // SAFETY: it is initialised, and the index moves on before anything else can read
                // it: the value is moved out once.
                unsafe { slot.assume_init_read() }
            });
            *give_back.head = give_back.head.wrapping_add(1);
            each(value);
        }
        count
    }

    /// Pops one value.
    #[inline(always)]
    pub fn pop(&mut self) -> Option<T> {
        let mut popped = None;
        self.pop_each(1, |value| popped = Some(value));
        popped
    }
}

struct GiveBack<'a> {
    shared: &'a AtomicUsize,
    head: &'a mut usize,
}

impl Drop for GiveBack<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // Release pairs with the producer's Acquire load of `head`: the values are out before their
        // places are written again.
        self.shared.store(*self.head, Ordering::Release);
    }
}

impl<T> Gauge<T> {
    /// Values in the ring, some time ago.
    #[must_use]
    pub fn filled(&self) -> usize {
        // Relaxed: a number to show. `head` first: it can only be behind, so the result never wraps.
        let head = self.0.head.load(Ordering::Relaxed);
        self.0.tail.load(Ordering::Relaxed).wrapping_sub(head).min(self.0.places.len())
    }

    /// Values it can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.places.len()
    }
}

impl<T> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("tail", &self.tail).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("head", &self.head).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Gauge<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gauge").field("capacity", &self.0.places.len()).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    use proptest::prelude::*;

    #[test]
    fn capacity_is_the_next_power_of_two() {
        for (wanted, got) in [(0, 1), (1, 1), (2, 2), (3, 4), (64, 64), (65, 128)] {
            let (producer, _consumer) = ring::<u8>(wanted);
            assert_eq!(producer.gauge().capacity(), got);
        }
    }

    #[test]
    fn what_was_not_popped_is_dropped_once() {
        struct Counted(std::sync::Arc<std::sync::atomic::AtomicUsize>);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let drops = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let (mut producer, mut consumer) = ring(8);
        for _ in 0..6 {
            assert!(producer.push(Counted(std::sync::Arc::clone(&drops))).is_ok());
        }
        drop(consumer.pop());
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        drop((producer, consumer));
        assert_eq!(drops.load(Ordering::Relaxed), 6);
    }

    #[test]
    fn a_panic_while_popping_loses_nothing_else() {
        let (mut producer, mut consumer) = ring::<u32>(8);
        producer.push_from(&mut (0..5));
        let popped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            consumer.pop_each(5, |n| assert_ne!(n, 2));
        }));
        assert!(popped.is_err());
        let mut rest = vec![];
        consumer.pop_each(8, |n| rest.push(n));
        assert_eq!(rest, [3, 4]);
    }

    #[test]
    fn two_threads_keep_the_order() {
        const COUNT: u64 = 200_000;
        let (mut producer, mut consumer) = ring::<u64>(256);
        let pushing = std::thread::spawn(move || {
            let mut numbers = 0..COUNT;
            while !numbers.is_empty() {
                if producer.push_from(&mut numbers) == 0 {
                    std::thread::yield_now();
                }
            }
        });
        let mut next = 0;
        while next < COUNT {
            let popped = consumer.pop_each(64, |n| {
                assert_eq!(n, next);
                next += 1;
            });
            if popped == 0 {
                std::thread::yield_now();
            }
        }
        pushing.join().unwrap();
        assert!(consumer.pop().is_none());
    }

    proptest! {
        /// The ring does what a bounded queue does, for any sequence of bursts.
        #[test]
        fn equals_a_queue(capacity in 1_usize..40, bursts in prop::collection::vec((any::<bool>(), 0_usize..50), 0..60)) {
            let (mut producer, mut consumer) = ring::<Box<usize>>(capacity);
            let capacity = capacity.next_power_of_two();
            let mut queue = VecDeque::new();
            let mut next = 0;
            for (push, count) in bursts {
                if push {
                    let pushed = producer.push_from(&mut (next..next + count).map(Box::new));
                    prop_assert_eq!(pushed, count.min(capacity - queue.len()));
                    queue.extend(next..next + pushed);
                    next += pushed;
                } else {
                    let mut popped = vec![];
                    consumer.pop_each(count, |n| popped.push(*n));
                    let expected: Vec<_> = queue.drain(..count.min(queue.len())).collect();
                    prop_assert_eq!(popped, expected);
                }
                prop_assert_eq!(producer.gauge().filled(), queue.len());
            }
        }
    }
}

/// Every interleaving of two threads: `RUSTFLAGS="--cfg loom" cargo test -p cpu --release loom`.
#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::thread;

    #[test]
    fn loom_values_arrive_once_in_order() {
        loom::model(|| {
            let (mut producer, mut consumer) = ring::<Box<usize>>(2);
            let pushing = thread::spawn(move || {
                let mut values = (0..3).map(Box::new).peekable();
                while values.peek().is_some() {
                    if producer.push_from(&mut values) == 0 {
                        thread::yield_now();
                    }
                }
            });
            let mut next = 0;
            while next < 3 {
                let popped = consumer.pop_each(2, |value| {
                    assert_eq!(*value, next);
                    next += 1;
                });
                if popped == 0 {
                    thread::yield_now();
                }
            }
            pushing.join().unwrap();
            assert!(consumer.pop().is_none());
        });
    }

    #[test]
    fn loom_what_is_left_is_freed() {
        loom::model(|| {
            let (mut producer, mut consumer) = ring::<loom::sync::Arc<()>>(4);
            let value = loom::sync::Arc::new(());
            let sent = loom::sync::Arc::clone(&value);
            let pushing = thread::spawn(move || {
                assert!(producer.push(loom::sync::Arc::clone(&sent)).is_ok());
                assert!(producer.push(sent).is_ok());
            });
            drop(consumer.pop());
            pushing.join().unwrap();
            drop(consumer);
            assert_eq!(loom::sync::Arc::strong_count(&value), 1);
        });
    }
}
