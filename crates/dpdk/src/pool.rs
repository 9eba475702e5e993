//! Pools of packet buffers.

use std::ffi::{CString, c_int};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use arrayvec::ArrayVec;
use batch::{BATCH, FramePool};
use dpdk_sys as sys;

use crate::eal::{PoolPointer, Process, error_text, free_hugepage_bytes, has_hugepages, last_errno, lock};
use crate::{Eal, Mbuf};

/// Buffers that one handle takes from its pool at a time.
const RESERVE: usize = 32;

/// `RTE_MEMPOOL_CACHE_MAX_SIZE` of every release so far.
const CACHE_MAX: u32 = 512;

/// What a pool is made of.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// Buffers. One less than a power of two wastes no memory.
    pub buffers: u32,
    /// Bytes of a frame that one buffer holds; the headroom of 128 is added. A longer frame is
    /// received in several buffers where the driver can do that.
    pub room: u16,
    /// Buffers that a core keeps to itself, at most 512 and two thirds of all.
    pub cache: u32,
    /// The memory socket it is on; `None` for any.
    pub socket: Option<u32>,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self { buffers: 32_767, room: 2048, cache: 256, socket: None }
    }
}

/// Why a pool could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// Not enough memory.
    #[error("pool {name}: {buffers} buffers need {needed_bytes} bytes and {free_bytes} are free: {mend}")]
    TooLarge {
        /// The pool.
        name: String,
        /// Buffers asked for.
        buffers: u32,
        /// Bytes they need.
        needed_bytes: u64,
        /// Bytes there are.
        free_bytes: u64,
        /// The setting that changes it.
        mend: String,
    },
    /// A name that cannot be used.
    #[error("pool {name}: the name is taken, longer than 25 bytes, or holds a NUL byte")]
    Name {
        /// The name.
        name: String,
    },
    /// A buffer length that an mbuf cannot have.
    #[error("pool {name}: buffers hold at most 65407 bytes, not {room}")]
    Room {
        /// The pool.
        name: String,
        /// The length asked for.
        room: u16,
    },
    /// Anything else.
    #[error("pool {name}: {reason}")]
    Failed {
        /// The pool.
        name: String,
        /// The text of `rte_errno`.
        reason: String,
    },
}

/// A handle to a pool of packet buffers. Every thread that takes frames has a clone of its own.
///
/// The buffers stay until DPDK ends, also when all handles are gone: frames may be anywhere. A handle
/// that has copied frames holds some free buffers in reserve, which [`Pool::in_use`] counts as in use
/// until the handle is dropped.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    reserve: ArrayVec<Mbuf, RESERVE>,
}

#[derive(Debug)]
struct Shared {
    pointer: PoolPointer,
    name: String,
    buffers: u32,
    buffer_bytes: usize,
    _process: Arc<Process>,
}

// SAFETY: the pointer is never changed, and mempools are made for use by several threads.
unsafe impl Sync for Shared {}

impl Pool {
    /// Makes a pool. All its memory is reserved and touched here.
    ///
    /// # Errors
    /// [`PoolError`], which says what there is and what is needed.
    pub fn new(eal: &Eal, name: &str, config: &PoolConfig) -> Result<Self, PoolError> {
        let own = || name.to_owned();
        let c_name = CString::new(name).map_err(|_| PoolError::Name { name: own() })?;
        let headroom = u16::try_from(sys::RTE_PKTMBUF_HEADROOM).unwrap_or(u16::MAX);
        let room =
            config.room.checked_add(headroom).ok_or(PoolError::Room { name: own(), room: config.room })?;
        let cache = config.cache.min(CACHE_MAX).min(config.buffers / 3 * 2);
        let socket = config.socket.map_or(-1, |socket| c_int::try_from(socket).unwrap_or(-1));
        // SAFETY: EAL runs, as `eal` says; the name lives through the call, which copies it.
        let pointer =
            unsafe { sys::rte_pktmbuf_pool_create(c_name.as_ptr(), config.buffers, cache, 0, room, socket) };
        let Some(pointer) = NonNull::new(pointer) else {
            return Err(match last_errno() {
                libc::EEXIST | libc::ENAMETOOLONG => PoolError::Name { name: own() },
                libc::ENOMEM => too_large(own(), config, room),
                errno => PoolError::Failed { name: own(), reason: error_text(errno) },
            });
        };
        // SAFETY: the pool was just made.
        let buffer_bytes = usize::from(unsafe { sys::snipe_pool_room(pointer.as_ptr()) });
        let pointer = PoolPointer(pointer);
        lock(&eal.0.pools).push(pointer);
        let shared = Shared {
            pointer,
            name: own(),
            buffers: config.buffers,
            buffer_bytes,
            _process: Arc::clone(&eal.0),
        };
        Ok(Self { shared: Arc::new(shared), reserve: ArrayVec::new() })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Buffers it has, used or not.
    #[must_use]
    pub fn size(&self) -> usize {
        self.shared.buffers as usize
    }

    /// Buffers that are out: in frames, in the queues of ports, in reserve. Exact once nobody is at work.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.shared.pointer.in_use()
    }

    /// Buffers that are left.
    #[must_use]
    pub fn available(&self) -> usize {
        self.size().saturating_sub(self.in_use())
    }

    /// Bytes of a buffer, headroom included: the longest frame that fits into one.
    #[inline(always)]
    #[must_use]
    pub fn buffer_bytes(&self) -> usize {
        self.shared.buffer_bytes
    }

    /// A new frame with these bytes; `None` where the pool is empty or a buffer is too small.
    pub fn frame(&mut self, bytes: &[u8]) -> Option<Mbuf> {
        if bytes.len() > self.buffer_bytes() {
            return None;
        }
        let mut frame = self.take()?;
        frame.fill(bytes.len(), |out| out.copy_from_slice(bytes))?;
        Some(frame)
    }

    /// An empty buffer.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<Mbuf> {
        if self.reserve.is_empty() {
            self.refill();
        }
        self.reserve.pop()
    }

    #[cold]
    fn refill(&mut self) {
        // Near its end the pool may have one where it has not many.
        for count in [RESERVE, 1] {
            let place = self.reserve.as_mut_ptr().cast::<*mut sys::rte_mbuf>();
            let count_c = u32::try_from(count).unwrap_or(1);
            // SAFETY: the reserve is empty and holds `RESERVE` pointers, which is what an `Mbuf` is; the
            // pool is mapped as long as `Shared` holds the process.
            let result = unsafe { sys::snipe_alloc_bulk(self.shared.pointer.0.as_ptr(), place, count_c) };
            if result == 0 {
                // SAFETY: DPDK wrote `count` mbufs, each with one reference that is ours now.
                unsafe { self.reserve.set_len(count) };
                return;
            }
        }
    }

    pub(crate) fn pointer(&self) -> *mut sys::rte_mempool {
        self.shared.pointer.0.as_ptr()
    }
}

impl Clone for Pool {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), reserve: ArrayVec::new() }
    }
}

impl FramePool for Pool {
    type Frame = Mbuf;

    fn free(&mut self, frames: impl Iterator<Item = Mbuf>) {
        let mut frames = frames.fuse();
        loop {
            let mut raw: ArrayVec<*mut sys::rte_mbuf, BATCH> = ArrayVec::new();
            raw.extend(frames.by_ref().take(BATCH).map(|frame| frame.into_raw().as_ptr()));
            let count = u32::try_from(raw.len()).unwrap_or(0);
            if count == 0 {
                return;
            }
            // SAFETY: each pointer is one reference that its frame gave up.
            unsafe { sys::rte_pktmbuf_free_bulk(raw.as_mut_ptr(), count) };
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let reserve = std::mem::take(&mut self.reserve);
        self.free(reserve.into_iter());
    }
}

fn too_large(name: String, config: &PoolConfig, room: u16) -> PoolError {
    let element =
        u32::try_from(size_of::<sys::rte_mbuf>()).unwrap_or(u32::MAX).saturating_add(u32::from(room));
    // SAFETY: plain arithmetic; a null place for the details is allowed.
    let object = unsafe { sys::rte_mempool_calc_obj_size(element, 0, ptr::null_mut()) };
    let needed_bytes = u64::from(object) * u64::from(config.buffers);
    let huge = has_hugepages();
    let free_bytes = free_heap_bytes(config.socket) + if huge { free_hugepage_bytes() } else { 0 };
    let mend = if huge {
        "reserve more hugepages (/sys/kernel/mm/hugepages/*/nr_hugepages) or make the pool smaller".to_owned()
    } else {
        "with --no-huge, EAL argument `-m MEGABYTES` sets the memory (64 where it is left out); \
         raise it or make the pool smaller"
            .to_owned()
    };
    PoolError::TooLarge { name, buffers: config.buffers, needed_bytes, free_bytes, mend }
}

/// Bytes that DPDK's heaps have left.
fn free_heap_bytes(socket: Option<u32>) -> u64 {
    // SAFETY: reads EAL's configuration.
    let sockets = unsafe { sys::rte_socket_count() };
    let heap = |index: u32| {
        // SAFETY: as above; an index that is not there gives -1.
        let id = unsafe { sys::rte_socket_id_by_idx(index) };
        if socket.is_some_and(|only| c_int::try_from(only) != Ok(id)) {
            return None;
        }
        let mut stats = sys::rte_malloc_socket_stats::default();
        // SAFETY: `stats` is ours and has the type asked for.
        let result = unsafe { sys::rte_malloc_get_socket_stats(id, &raw mut stats) };
        (result == 0).then_some(stats.heap_freesz_bytes as u64)
    };
    (0..sockets).filter_map(heap).sum()
}
