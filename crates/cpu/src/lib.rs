//! What needs `unsafe` outside DPDK: the time-stamp counter, prefetch, arrays on huge pages, the lockless
//! ring that carries packets from one core to another, the epochs by which a writer knows that no reader
//! looks any more, and comparing several words at once.
//!
//! Nothing here knows a packet. Nothing allocates after construction, and nothing waits: a full ring
//! says so.
//!
//! ```
//! let (mut producer, mut consumer) = cpu::ring::<u32>(64);
//! let mut numbers = 0..100;
//! assert_eq!(producer.push_from(&mut numbers), 64);   // full: the other 36 are still in `numbers`
//! let mut sum = 0;
//! assert_eq!(consumer.pop_each(32, |n| sum += n), 32);
//! assert_eq!(sum, (0..32).sum());
//! assert_eq!(numbers.next(), Some(64));
//! ```

mod array;
mod epoch;
mod equal;
mod ring;

pub use array::{Array, Backing, Pages, prefer_huge};
pub use epoch::{EpochReader, Epochs};
#[cfg(target_arch = "x86_64")]
pub use equal::Avx;
pub use equal::{Equal, OneByOne};
pub use ring::{Consumer, Gauge, Producer, ring};

/// The time-stamp counter: TSC cycles since the machine started. They tick at a constant rate,
/// whatever the core's own clock does.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[must_use]
pub fn tsc() -> u64 {
    // SAFETY: RDTSC is part of every x86-64 processor and reads no memory; a kernel that forbids it
    // in user space (prctl PR_SET_TSC) ends the process with a signal, it does not make this unsound.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Nanoseconds of a monotonic clock, where there is no time-stamp counter.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
#[must_use]
pub fn tsc() -> u64 {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// Asks for the cache line of `value` before it is read. A hint: it changes nothing but time.
#[inline(always)]
pub fn prefetch<T: ?Sized>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        let line = core::ptr::from_ref(value).cast::<i8>();
        // SAFETY: a prefetch of any address, valid or not, has no effect on memory and cannot fault.
        unsafe { core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(line) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// Asks for the cache line that `bytes` begin in and for the next one, whether they reach that far or not.
#[inline(always)]
pub fn prefetch_two(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    {
        let line = bytes.as_ptr().cast::<i8>();
        // SAFETY: a prefetch of any address, valid or not, has no effect on memory and cannot fault.
        unsafe { core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(line) }
        let next = line.wrapping_add(64);
        // SAFETY: as above.
        unsafe { core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(next) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}

/// The same for the line in which `value` ends.
#[inline(always)]
pub fn prefetch_end<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        let line = core::ptr::from_ref(value).cast::<i8>().wrapping_add(size_of::<T>().saturating_sub(1));
        // SAFETY: as in `prefetch`: any address, valid or not.
        unsafe { core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(line) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// The same for one of many, without a look at how many there are.
#[inline(always)]
pub fn prefetch_at<T>(values: &[T], index: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        let line = values.as_ptr().wrapping_add(index).cast::<i8>();
        // SAFETY: as in `prefetch`: any address, valid or not.
        unsafe { core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(line) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, index);
}

#[cfg(all(test, not(loom)))]
mod tests {
    #[test]
    fn the_counter_moves() {
        let before = super::tsc();
        while super::tsc() == before {
            std::hint::spin_loop();
        }
        assert!(super::tsc() > before);
    }

    #[test]
    fn prefetch_takes_anything() {
        super::prefetch::<[u8]>(&[]);
        super::prefetch("text");
        super::prefetch_two(&[]);
        super::prefetch_at(&[1, 2, 3], usize::MAX);
        super::prefetch_end(&());
        super::prefetch_end(&[0; 128]);
    }
}
