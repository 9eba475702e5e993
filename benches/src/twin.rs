//! The C twin. See `twin/twin.c`.

use std::marker::PhantomData;

use batch::BATCH;

use crate::frames::Bytes;

/// A packet as the twin sees it.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Descriptor {
    bytes: *const u8,
    len: usize,
    frame: PhantomData<&'static [u8]>,
}

impl Descriptor {
    pub(crate) const fn new(frame: Bytes) -> Self {
        Self { bytes: frame.0.as_ptr(), len: frame.0.len(), frame: PhantomData }
    }
}

/// What the twin finds out about a burst.
#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct Findings {
    pub(crate) pins: [u64; BATCH],
    pub(crate) classes: [u8; BATCH],
    pub(crate) user_packets: u64,
}

impl Findings {
    pub(crate) const fn new() -> Self {
        Self { pins: [0; BATCH], classes: [0; BATCH], user_packets: 0 }
    }
}

mod c {
    use super::{Descriptor, Findings};

    unsafe extern "C" {
        pub(super) fn twin_key(text: *const u8, len: usize, key: *mut [u64; 4]);
        pub(super) fn twin_parse(
            key: *const [u64; 4],
            frames: *const Descriptor,
            count: usize,
            out: *mut Findings,
        ) -> u64;
        pub(super) fn twin_floor(frames: *const Descriptor, count: usize) -> u64;
        pub(super) fn twin_two_lines(frames: *const Descriptor, count: usize) -> u64;
        pub(super) fn twin_region(bytes: usize) -> *mut u8;
        pub(super) fn twin_stay_on(processor: u32) -> i32;
    }
}

/// The words of a cluster key.
pub(crate) fn key(text: &str) -> [u64; 4] {
    let mut key = [0; 4];
    // SAFETY: it reads `len` bytes of the text and writes the four words; it keeps neither.
    unsafe { c::twin_key(text.as_ptr(), text.len(), &raw mut key) };
    key
}

/// Reads a burst of at most [`BATCH`] packets; a bit for each that was understood.
#[inline(always)]
pub(crate) fn parse(key: &[u64; 4], burst: &[Descriptor], out: &mut Findings) -> u64 {
    let count = burst.len().min(BATCH);
    // SAFETY: a descriptor can only be made of a slice that lives for ever, and the twin reads
    // nothing beyond its length; it writes the first `count` places of `out`, which has that many.
    unsafe { c::twin_parse(key, burst.as_ptr(), count, out) }
}

/// Reads the first word of every packet of a burst.
#[inline(always)]
pub(crate) fn floor(burst: &[Descriptor]) -> u64 {
    // SAFETY: as in `parse`: nothing is read beyond the length of a descriptor's slice.
    unsafe { c::twin_floor(burst.as_ptr(), burst.len()) }
}

/// The same with the second line of every packet too.
#[inline(always)]
pub(crate) fn two_lines(burst: &[Descriptor]) -> u64 {
    // SAFETY: as in `floor`.
    unsafe { c::twin_two_lines(burst.as_ptr(), burst.len()) }
}

/// Zeroed memory that lives for ever, on huge pages where the system has some.
pub(crate) fn region(bytes: usize) -> &'static mut [u8] {
    // SAFETY: it has no preconditions.
    let start = unsafe { c::twin_region(bytes) };
    assert!(!start.is_null(), "no memory for {bytes} bytes of packets");
    // SAFETY: `bytes` bytes were allocated and zeroed there, nobody else knows of them, and they are
    // never freed.
    unsafe { std::slice::from_raw_parts_mut(start, bytes) }
}

/// Keeps the calling thread on one processor; says whether that worked.
pub(crate) fn stay_on(processor: u32) -> bool {
    // SAFETY: it changes where the calling thread may run, nothing else.
    unsafe { c::twin_stay_on(processor) == 0 }
}

/// DPDK's hash table. See `twin/hash.c`.
#[cfg(feature = "dpdk")]
pub(crate) mod hash {
    use std::ffi::{c_int, c_uint, c_void};
    use std::ptr::NonNull;
    use std::sync::OnceLock;

    unsafe extern "C" {
        fn twin_hash_start(megabytes: c_uint, huge: c_int) -> c_int;
        fn twin_hash_new(entries: u32) -> *mut c_void;
        fn twin_hash_add(table: *mut c_void, key: u64, value: u64) -> c_int;
        fn twin_hash_lookup(table: *mut c_void, keys: *const u64, count: u32, values: *mut u64) -> u64;
    }

    /// A table that is filled by one thread and never freed.
    pub(crate) struct Table(NonNull<c_void>);

    // SAFETY: the table is DPDK's own memory, tied to no thread.
    unsafe impl Send for Table {}
    // SAFETY: what takes `&self` is `lookup`, which DPDK allows from any thread without a lock
    // (RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF).
    unsafe impl Sync for Table {}

    /// Starts EAL, once in a process, with this much memory. It moves the calling thread to processor 0.
    pub(crate) fn start(megabytes: u32, huge: bool) {
        static STARTED: OnceLock<bool> = OnceLock::new();
        let start = || {
            // SAFETY: called once; it keeps no pointer to what it was given.
            unsafe { twin_hash_start(megabytes, c_int::from(huge)) == 0 }
        };
        assert!(*STARTED.get_or_init(start), "EAL does not start with {megabytes} MB");
    }

    impl Table {
        /// A table for this many entries. EAL was started.
        pub(crate) fn new(entries: u32) -> Self {
            // SAFETY: it has no preconditions but EAL, and says so where that is missing: NULL.
            let table = unsafe { twin_hash_new(entries) };
            Self(NonNull::new(table).expect("no memory for rte_hash"))
        }

        pub(crate) fn add(&mut self, key: u64, value: u64) {
            // SAFETY: the table is never freed, and `&mut self` says that nobody else writes.
            let failed = unsafe { twin_hash_add(self.0.as_ptr(), key, value) };
            assert_eq!(failed, 0, "rte_hash is full");
        }

        /// Looks up at most 64 keys; a bit for each that was found.
        #[inline(always)]
        pub(crate) fn lookup(&self, keys: &[u64], values: &mut [u64; 64]) -> u64 {
            let count = keys.len().min(64);
            // SAFETY: it reads `count` keys and writes at most as many values, of which there are 64.
            unsafe { twin_hash_lookup(self.0.as_ptr(), keys.as_ptr(), count as u32, values.as_mut_ptr()) }
        }
    }
}
