//! A packet buffer of DPDK as an owned frame.

use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};
use std::{mem, process, slice};

use batch::Frame;
use dpdk_sys as sys;

use crate::Pool;

/// Space that a new buffer leaves in front of its frame.
const HEADROOM: usize = sys::RTE_PKTMBUF_HEADROOM as usize;

/// References to one frame at most. They are counted in 16 bits.
const SHARES_MAX: u16 = 60_000;

/// One frame in one or more buffers of a pool. Owned; the last owner's drop gives the buffers back.
#[repr(transparent)]
pub struct Mbuf(NonNull<sys::rte_mbuf>);

// SAFETY: an mbuf belongs to no thread. What several owners of one can see at a time is not written
// while there are several; the count of owners is atomic.
unsafe impl Send for Mbuf {}

const _: () = assert!(size_of::<Option<Mbuf>>() == size_of::<*mut sys::rte_mbuf>());

impl Mbuf {
    /// Takes over one reference to an mbuf chain.
    ///
    /// # Safety
    /// `pointer` is a valid chain of a pool made by this crate, or of one that lives as long as the
    /// process; the caller had a reference of its own to it and does not use it any more.
    #[inline(always)]
    pub(crate) const unsafe fn from_raw(pointer: NonNull<sys::rte_mbuf>) -> Self {
        Self(pointer)
    }

    /// Gives the reference up to C.
    #[inline(always)]
    pub(crate) const fn into_raw(self) -> NonNull<sys::rte_mbuf> {
        let pointer = self.0;
        mem::forget(self);
        pointer
    }

    #[inline(always)]
    const fn first(&self) -> Segment {
        Segment(self.0)
    }

    #[inline(always)]
    fn segments(&self) -> impl Iterator<Item = Segment> + '_ {
        std::iter::successors(Some(self.first()), |segment| segment.next())
    }

    /// Buffers that the frame lies in.
    #[inline(always)]
    #[must_use]
    pub fn segment_count(&self) -> usize {
        usize::from(self.first().get::<u16>(sys::SNIPE_MBUF_NB_SEGS))
    }

    /// Owners of the frame, this one among them.
    #[inline(always)]
    #[must_use]
    pub fn owners(&self) -> usize {
        // Acquire: pairs with the release in another owner's free, whose reads are over then.
        usize::from(self.first().owners().load(Ordering::Acquire))
    }

    /// Whether the bytes lie in the mbuf's own buffer.
    #[inline(always)]
    fn is_direct(&self) -> bool {
        self.first().get::<u64>(sys::SNIPE_MBUF_OL_FLAGS) & sys::SNIPE_MBUF_NOT_DIRECT == 0
    }

    #[inline(always)]
    fn is_writable(&self) -> bool {
        self.owners() == 1 && self.is_direct()
    }

    /// A value of the 64-bit dynamic field at `offset`, if the flag says that it was set.
    #[inline(always)]
    pub(crate) fn dynamic(&self, offset: usize, flag: u64) -> Option<u64> {
        let set = self.first().get::<u64>(sys::SNIPE_MBUF_OL_FLAGS) & flag != 0;
        set.then(|| self.first().get::<u64>(offset))
    }

    /// Sets place and length of the bytes in a buffer that is ours alone and of one segment.
    #[inline(always)]
    fn set_extent(&mut self, offset: u16, bytes: u16) {
        self.first().set(sys::SNIPE_MBUF_DATA_OFF, offset);
        self.first().set(sys::SNIPE_MBUF_DATA_LEN, bytes);
        self.first().set(sys::SNIPE_MBUF_PKT_LEN, u32::from(bytes));
    }

    /// Makes room for `bytes` in an empty buffer and fills it. `None` where the buffer is smaller.
    #[inline]
    pub(crate) fn fill(&mut self, bytes: usize, write: impl FnOnce(&mut [u8])) -> Option<()> {
        let buffer = usize::from(self.first().get::<u16>(sys::SNIPE_MBUF_BUF_LEN));
        // Headroom is for those who put a header in front; a frame that needs the space comes first.
        let offset = buffer.checked_sub(bytes)?.min(HEADROOM);
        self.set_extent(u16::try_from(offset).ok()?, u16::try_from(bytes).ok()?);
        write(self.head_mut()?);
        Some(())
    }
}

impl Frame for Mbuf {
    type Pool = Pool;

    #[inline(always)]
    fn head(&self) -> &[u8] {
        let (start, bytes) = self.first().extent();
        // SAFETY: whoever filled the mbuf put `bytes` bytes at `start`; `self` is a reference to the
        // buffer, so it is not freed meanwhile, and nobody writes as no `&mut` to a sole owner exists.
        unsafe { slice::from_raw_parts(start, bytes) }
    }

    #[inline(always)]
    fn len(&self) -> usize {
        self.first().get::<u32>(sys::SNIPE_MBUF_PKT_LEN) as usize
    }

    fn copy_to(&self, offset: usize, out: &mut [u8]) -> usize {
        let mut skip = offset;
        let mut rest = out;
        let mut copied = 0;
        for segment in self.segments() {
            let (start, bytes) = segment.extent();
            // SAFETY: as in `head`; a reference to the chain is one to each of its segments.
            let bytes = unsafe { slice::from_raw_parts(start, bytes) };
            let Some(bytes) = bytes.get(skip..) else {
                skip -= bytes.len();
                continue;
            };
            skip = 0;
            let count = bytes.len().min(rest.len());
            let (now, later) = rest.split_at_mut(count);
            let (bytes, _) = bytes.split_at(count);
            now.copy_from_slice(bytes);
            copied += count;
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        copied
    }

    #[inline]
    fn share(&self) -> Self {
        for segment in self.segments() {
            let owners = segment.owners();
            // Relaxed: a new reference is made from an old one, which keeps the buffer alive.
            let before = owners.load(Ordering::Relaxed);
            if before == 1 {
                // The only owner is here, so nobody else counts at this moment.
                owners.store(2, Ordering::Relaxed);
            } else if owners.fetch_add(1, Ordering::Relaxed) >= SHARES_MAX {
                // Wrapping around would free a buffer in use; the standard library's `Arc` aborts, too.
                process::abort();
            }
        }
        Self(self.0)
    }

    #[inline]
    fn make_private(self, pool: &mut Pool) -> Result<Self, Self> {
        if self.segment_count() == 1 && self.is_writable() {
            return Ok(self);
        }
        let bytes = self.len();
        if bytes > pool.buffer_bytes() {
            return Err(self);
        }
        let Some(mut copy) = pool.take() else { return Err(self) };
        let filled = copy.fill(bytes, |out| {
            self.copy_to(0, out);
        });
        if filled.is_some() { Ok(copy) } else { Err(self) }
    }

    #[inline]
    fn head_mut(&mut self) -> Option<&mut [u8]> {
        if !self.is_writable() {
            return None;
        }
        let (start, bytes) = self.first().extent();
        // SAFETY: as in `head`, and this is the only reference to the buffer: the count is one, and
        // `&mut self` keeps this owner from sharing it meanwhile.
        Some(unsafe { slice::from_raw_parts_mut(start, bytes) })
    }

    #[inline]
    fn trim_front(&mut self, bytes: usize) -> bool {
        let first = self.first();
        let (offset, len): (u16, u16) =
            (first.get(sys::SNIPE_MBUF_DATA_OFF), first.get(sys::SNIPE_MBUF_DATA_LEN));
        let Ok(bytes) = u16::try_from(bytes) else { return false };
        let Some(left) = len.checked_sub(bytes) else { return false };
        if self.owners() != 1 {
            return false;
        }
        let total: u32 = first.get(sys::SNIPE_MBUF_PKT_LEN);
        first.set(sys::SNIPE_MBUF_DATA_OFF, offset.wrapping_add(bytes));
        first.set(sys::SNIPE_MBUF_DATA_LEN, left);
        first.set(sys::SNIPE_MBUF_PKT_LEN, total.saturating_sub(u32::from(bytes)));
        true
    }

    #[inline]
    fn truncate(&mut self, bytes: usize) -> bool {
        if bytes == self.len() {
            return true;
        }
        let Ok(left) = u16::try_from(bytes) else { return false };
        if bytes > self.len() || self.segment_count() != 1 || self.owners() != 1 {
            return false;
        }
        let offset = self.first().get(sys::SNIPE_MBUF_DATA_OFF);
        self.set_extent(offset, left);
        true
    }
}

impl Drop for Mbuf {
    #[inline]
    fn drop(&mut self) {
        let mut pointer = self.0.as_ptr();
        // SAFETY: this owner's reference is given up here and used no more; DPDK frees what has no other.
        unsafe { sys::rte_pktmbuf_free_bulk(&raw mut pointer, 1) };
    }
}

impl fmt::Debug for Mbuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mbuf")
            .field("len", &self.len())
            .field("segments", &self.segment_count())
            .field("owners", &self.owners())
            .finish_non_exhaustive()
    }
}

/// One mbuf of a chain. Only made from an `Mbuf`, and not kept longer than it.
#[derive(Clone, Copy)]
struct Segment(NonNull<sys::rte_mbuf>);

impl Segment {
    #[inline(always)]
    fn get<T: Copy>(self, offset: usize) -> T {
        let place = self.0.as_ptr().wrapping_byte_add(offset).cast::<T>();
        // SAFETY: the C compiler gave the offset, and the shim asserts the field's width; the mbuf
        // is alive as its owner is.
        unsafe { place.read() }
    }

    /// Sets a field. Only for whoever is the one owner.
    #[inline(always)]
    fn set<T: Copy>(self, offset: usize, value: T) {
        let place = self.0.as_ptr().wrapping_byte_add(offset).cast::<T>();
        // SAFETY: as in `get`; callers have `&mut` to the owner and checked that it is the only one.
        unsafe { place.write(value) }
    }

    #[inline(always)]
    fn owners(&self) -> &AtomicU16 {
        let place = self.0.as_ptr().wrapping_byte_add(sys::SNIPE_MBUF_REFCNT).cast::<u16>();
        // SAFETY: as in `get`; DPDK too changes this field atomically only, while the mbuf has owners.
        unsafe { AtomicU16::from_ptr(place) }
    }

    /// First byte and number of bytes.
    #[inline(always)]
    fn extent(self) -> (*mut u8, usize) {
        let buffer: *mut u8 = self.get(sys::SNIPE_MBUF_BUF_ADDR);
        let offset: u16 = self.get(sys::SNIPE_MBUF_DATA_OFF);
        let bytes: u16 = self.get(sys::SNIPE_MBUF_DATA_LEN);
        (buffer.wrapping_add(usize::from(offset)), usize::from(bytes))
    }

    #[inline(always)]
    fn next(self) -> Option<Self> {
        NonNull::new(self.get::<*mut sys::rte_mbuf>(sys::SNIPE_MBUF_NEXT)).map(Segment)
    }
}
