//! When may memory that readers look at without a lock be used for something else?
//!
//! After every reader has passed a moment at which it held nothing: a quiescent point. A core that
//! polls has one in every round and says so with a plain store. Whoever takes something out of sight
//! calls [`Epochs::advance`]; as soon as [`Epochs::safe`] has come to what that returned, no reader can
//! see it any more.
//!
//! ```text
//! writer   take X out of sight │ advance() = 5 │               │ safe() = 5: X may be reused
//! reader   ── round, sees X ── │ quiescent(): 5 │ ── cannot see X ──
//! ```
//!
//! Nobody waits for anybody. A reader that stops calling [`EpochReader::quiescent`] holds up reuse, and
//! nothing else; one that sleeps does it in [`EpochReader::offline`].

use std::fmt;

use crossbeam_utils::CachePadded;

#[cfg(loom)]
use loom::sync::{
    Arc,
    atomic::{AtomicU64, Ordering, fence},
};
#[cfg(not(loom))]
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering, fence},
};

/// Readers there can be at a time.
#[cfg(not(loom))]
const SEATS: usize = 64;
/// Loom keeps a history of each seat.
#[cfg(loom)]
const SEATS: usize = 2;

/// In a seat whose reader holds nothing and will not look, or that nobody has.
const OFFLINE: u64 = u64::MAX;

struct Shared {
    /// Counts what was taken out of sight. From 1 on; it cannot come to [`OFFLINE`].
    epoch: CachePadded<AtomicU64>,
    /// A bit for each seat that somebody has.
    taken: CachePadded<AtomicU64>,
    /// The epoch that each reader saw at its last quiescent point. Written by that reader only.
    seats: [CachePadded<AtomicU64>; SEATS],
}

/// The epochs that some writers and their readers share. A clone is the same epochs.
#[derive(Clone)]
pub struct Epochs(Arc<Shared>);

/// A reader: one for each thread that looks at what is shared.
pub struct EpochReader {
    shared: Arc<Shared>,
    seat: usize,
    /// What its seat says.
    announced: u64,
}

impl Default for Epochs {
    fn default() -> Self {
        Self::new()
    }
}

impl Epochs {
    /// Readers that can be registered at a time.
    pub const READERS: usize = SEATS;

    /// Epochs without a reader.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            epoch: CachePadded::new(AtomicU64::new(1)),
            taken: CachePadded::new(AtomicU64::new(0)),
            seats: std::array::from_fn(|_| CachePadded::new(AtomicU64::new(OFFLINE))),
        }))
    }

    /// A reader, online; `None` where there are [`Self::READERS`] already. Its seat is free again when
    /// it is dropped.
    #[must_use]
    pub fn register(&self) -> Option<EpochReader> {
        let seat = self.0.take_seat()?;
        let mut reader = EpochReader { shared: Arc::clone(&self.0), seat, announced: OFFLINE };
        reader.online();
        Some(reader)
    }

    /// Begins a new epoch and returns it. What the caller took out of sight before is out of every
    /// reader's sight when [`Self::safe`] has come to it.
    pub fn advance(&self) -> u64 {
        // Release pairs with the Acquire load of a reader that announces this epoch: it sees what was
        // done before. A read-modify-write, so that of two writers none begins the other's epoch.
        self.0.epoch.fetch_add(1, Ordering::AcqRel).wrapping_add(1)
    }

    /// The newest epoch that every reader has seen at a quiescent point, or was offline since.
    #[must_use]
    pub fn safe(&self) -> u64 {
        // Pairs with the fence in `online`: of a reader that goes online at the same time, either its
        // seat is seen here, or it sees what the caller did before.
        fence(Ordering::SeqCst);
        let mut safe = self.0.epoch.load(Ordering::Relaxed);
        for seat in &self.0.seats {
            // Acquire pairs with the reader's Release store: what it read before that point was read
            // before the caller writes there.
            safe = safe.min(seat.load(Ordering::Acquire));
        }
        safe
    }
}

impl Shared {
    fn take_seat(&self) -> Option<usize> {
        let all = u64::MAX >> (u64::BITS as usize - SEATS);
        let mut taken = self.taken.load(Ordering::Relaxed);
        loop {
            let free = !taken & all;
            if free == 0 {
                return None;
            }
            let seat = free.trailing_zeros();
            // Acquire pairs with the Release of whoever left this seat, so that its last store comes
            // before the first of the new reader.
            match self.taken.compare_exchange_weak(
                taken,
                taken | 1 << seat,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(seat as usize),
                Err(now) => taken = now,
            }
        }
    }
}

impl EpochReader {
    /// A quiescent point: the reader holds nothing of what it has read. A load, and a store where the
    /// epoch is a new one.
    #[inline(always)]
    pub fn quiescent(&mut self) {
        // Acquire pairs with `advance`: what was taken out of sight before this epoch is not seen after
        // this.
        let epoch = self.shared.epoch.load(Ordering::Acquire);
        if epoch != self.announced {
            self.announce(epoch);
        }
    }

    /// Does something else, which may take its time: the reader holds nothing, and nobody waits for it
    /// meanwhile.
    pub fn offline<R>(&mut self, something: impl FnOnce() -> R) -> R {
        struct Back<'a>(&'a mut EpochReader);
        impl Drop for Back<'_> {
            fn drop(&mut self) {
                self.0.online();
            }
        }
        self.announce(OFFLINE);
        let _back = Back(self);
        something()
    }

    fn online(&mut self) {
        // Acquire as in `quiescent`. An epoch that is over already only makes writers wait.
        let epoch = self.shared.epoch.load(Ordering::Acquire);
        self.announce(epoch);
        // Pairs with the fence in `safe`: what is read from here on is read after the seat can be seen.
        fence(Ordering::SeqCst);
    }

    #[inline(always)]
    fn announce(&mut self, epoch: u64) {
        self.announced = epoch;
        if let Some(seat) = self.shared.seats.get(self.seat) {
            // Release pairs with the load in `safe`: all that was read before is read.
            seat.store(epoch, Ordering::Release);
        }
    }
}

impl Drop for EpochReader {
    fn drop(&mut self) {
        self.announce(OFFLINE);
        // Release pairs with the Acquire of whoever takes the seat next.
        self.shared.taken.fetch_and(!(1 << self.seat), Ordering::Release);
    }
}

impl fmt::Debug for Epochs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let readers = self.0.taken.load(Ordering::Relaxed).count_ones();
        let epoch = self.0.epoch.load(Ordering::Relaxed);
        f.debug_struct("Epochs").field("epoch", &epoch).field("readers", &readers).finish_non_exhaustive()
    }
}

impl fmt::Debug for EpochReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EpochReader").field("seat", &self.seat).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_safe_when_every_reader_has_seen_it() {
        let epochs = Epochs::new();
        let mut readers = [epochs.register().unwrap(), epochs.register().unwrap()];
        let start = epochs.safe();
        let epoch = epochs.advance();
        assert_eq!(epoch, start + 1);
        assert_eq!(epochs.safe(), start);
        readers[0].quiescent();
        assert_eq!(epochs.safe(), start, "the other one has not");
        readers[1].quiescent();
        assert_eq!(epochs.safe(), epoch);
        assert_eq!(epochs.advance(), epoch + 1);
        readers[1].quiescent();
        assert_eq!(epochs.safe(), epoch);
    }

    #[test]
    fn nobody_waits_for_who_is_away() {
        let epochs = Epochs::new();
        assert_eq!(epochs.advance(), epochs.safe(), "no reader");
        let mut reader = epochs.register().unwrap();
        let before = epochs.safe();
        let epoch = epochs.advance();
        assert_eq!(epochs.safe(), before);
        reader.offline(|| assert_eq!(epochs.safe(), epoch));
        assert_eq!(epochs.safe(), epoch, "it came back to this epoch");
        let next = epochs.advance();
        assert_eq!(epochs.safe(), epoch);
        drop(reader);
        assert_eq!(epochs.safe(), next);
    }

    #[test]
    fn a_panic_while_offline_is_no_way_to_stay_there() {
        let epochs = Epochs::new();
        let mut reader = epochs.register().unwrap();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            reader.offline(|| panic!("on purpose"));
        }));
        assert!(panicked.is_err());
        let before = epochs.safe();
        epochs.advance();
        assert_eq!(epochs.safe(), before);
    }

    #[test]
    fn seats_are_used_again() {
        let epochs = Epochs::new();
        let mut readers: Vec<_> = (0..Epochs::READERS).map(|_| epochs.register().unwrap()).collect();
        assert!(epochs.register().is_none());
        readers.swap_remove(17);
        let _again = epochs.register().unwrap();
        assert!(epochs.register().is_none());
    }
}

/// Every interleaving: `RUSTFLAGS="--cfg loom" cargo test -p cpu --release --lib`.
#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::cell::UnsafeCell;
    use loom::sync::atomic::AtomicUsize;
    use loom::thread;

    /// Two places; `current` says which one may be read. Loom fails where the other one is written
    /// while it is read, or without anything that puts the two in order.
    struct Published {
        current: AtomicUsize,
        places: [UnsafeCell<u64>; 2],
    }

    impl Published {
        fn new() -> Arc<Self> {
            Arc::new(Self { current: AtomicUsize::new(0), places: [UnsafeCell::new(0), UnsafeCell::new(0)] })
        }

        fn read(&self) -> u64 {
            let current = self.current.load(Ordering::Acquire);
            self.places[current].with(|place| {
                // SAFETY: loom checks that nobody writes it.
                unsafe { *place }
            })
        }

        /// Shows the second place instead of the first, and writes the first one as soon as it is safe;
        /// says whether it came to that.
        fn replace(&self, epochs: &Epochs, patience: usize) -> bool {
            self.current.store(1, Ordering::Release);
            let epoch = epochs.advance();
            for _ in 0..patience {
                if epochs.safe() >= epoch {
                    self.places[0].with_mut(|place| {
                        // SAFETY: loom checks that nobody reads it.
                        unsafe { *place = 7 }
                    });
                    return true;
                }
                thread::yield_now();
            }
            false
        }
    }

    #[test]
    fn loom_nothing_is_reused_before_its_readers_are_through() {
        loom::model(|| {
            let epochs = Epochs::new();
            let published = Published::new();
            let mut reader = epochs.register().unwrap();
            let reading = {
                let published = Arc::clone(&published);
                thread::spawn(move || {
                    for _ in 0..2 {
                        assert_eq!(published.read(), 0);
                        reader.quiescent();
                    }
                })
            };
            published.replace(&epochs, 2);
            reading.join().unwrap();
            assert!(epochs.safe() > 1, "the reader has left");
        });
    }

    #[test]
    fn loom_who_comes_back_sees_what_happened_meanwhile() {
        loom::model(|| {
            let epochs = Epochs::new();
            let published = Published::new();
            let mut reader = epochs.register().unwrap();
            let reading = {
                let published = Arc::clone(&published);
                thread::spawn(move || {
                    assert_eq!(published.read(), 0);
                    reader.offline(|| ());
                    assert_eq!(published.read(), 0);
                })
            };
            published.replace(&epochs, 1);
            reading.join().unwrap();
        });
    }

    #[test]
    fn loom_who_registers_sees_what_happened_before() {
        loom::model(|| {
            let epochs = Epochs::new();
            let published = Published::new();
            let reading = {
                let (epochs, published) = (epochs.clone(), Arc::clone(&published));
                thread::spawn(move || {
                    let reader = epochs.register().unwrap();
                    assert_eq!(published.read(), 0);
                    drop(reader);
                })
            };
            published.replace(&epochs, 1);
            reading.join().unwrap();
        });
    }
}
