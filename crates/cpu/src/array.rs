//! Large zeroed arrays of a fixed length, on the pages that their owner asks for.
//!
//! A table that is read at random spends its time on address translation as much as on memory: with
//! 4 KiB pages every look-up misses the TLB too. A table that is made for its limit and filled a
//! little must not take its limit in memory. [`Pages`] says which of the two matters.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::mem::{align_of, needs_drop, size_of};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use bytemuck::Zeroable;

/// What an [`Array`] lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pages {
    /// The system's small pages, each taken when something in it is written first: memory grows with
    /// what is used.
    Small,
    /// Huge pages: reserved ones where there are enough, else those that the kernel makes by itself.
    Huge,
}

/// What an [`Array`] got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backing {
    /// Small pages.
    Small,
    /// Small pages that the kernel was asked to make huge; whether it does is its own business.
    Transparent,
    /// Reserved huge pages, taken when the array was made.
    Reserved,
}

/// A zeroed array whose length never changes, shared or owned like a slice.
///
/// ```
/// use cpu::{Array, Pages};
///
/// let mut array = Array::<u64>::zeroed(1_000_000, Pages::Small)?;
/// array[999_999] = 7;
/// assert_eq!((array[0], array[999_999]), (0, 7));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Array<T> {
    start: NonNull<T>,
    len: usize,
    /// Bytes to give back; 0 where nothing was taken.
    bytes: usize,
    backing: Backing,
    owns: PhantomData<T>,
}

// SAFETY: an array owns its elements, as a `Vec` does, and is tied to no thread.
unsafe impl<T: Send> Send for Array<T> {}
// SAFETY: a shared array only gives out `&[T]`.
unsafe impl<T: Sync> Sync for Array<T> {}

/// Every mapping begins at such an address.
const ALIGNMENT: usize = 4_096;

impl<T: Zeroable> Array<T> {
    /// An array of `len` elements, all bits 0.
    ///
    /// # Errors
    /// What the system says where it does not give the memory.
    pub fn zeroed(len: usize, pages: Pages) -> io::Result<Self> {
        const { assert!(align_of::<T>() <= ALIGNMENT, "aligned to more than a page") };
        const { assert!(!needs_drop::<T>(), "elements are given back without being dropped") };
        let Some(bytes) = size_of::<T>().checked_mul(len) else {
            return Err(io::Error::from(io::ErrorKind::OutOfMemory));
        };
        if bytes == 0 {
            let backing = Backing::Small;
            return Ok(Self { start: NonNull::dangling(), len, bytes: 0, backing, owns: PhantomData });
        }
        let Region { start, bytes, backing } = map::zeroed(bytes, pages)?;
        Ok(Self { start: start.cast(), len, bytes, backing, owns: PhantomData })
    }
}

impl<T> Array<T> {
    /// What it lies on.
    #[must_use]
    pub const fn backing(&self) -> Backing {
        self.backing
    }
}

impl<T> Deref for Array<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: `zeroed` got memory for `len` elements at `start`, aligned for them (`ALIGNMENT`), all
        // zeros, which is a value of `T` (`Zeroable`). It is given back by `drop` only, and whoever
        // changes it through `&self` does so by means of `T` itself.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for Array<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and `&mut self` says that nobody else looks.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl<T> Drop for Array<T> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            // SAFETY: `start` and `bytes` are what `map::zeroed` returned, this is the only call for them,
            // and no borrow of the elements outlives the array.
            unsafe { map::give_back(self.start.cast(), self.bytes) }
        }
    }
}

impl<T> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Array").field("len", &self.len).field("backing", &self.backing).finish()
    }
}

/// Asks the kernel to put memory that was reserved and not touched yet on huge pages, as it is touched.
/// A hint for what is read at random and grows: a kernel that does not heed it takes small ones. Less than
/// a huge page stays as it is.
pub fn prefer_huge<T>(memory: &[T]) {
    #[cfg(target_os = "linux")]
    map::prefer_huge(memory.as_ptr().cast(), size_of_val(memory));
    #[cfg(not(target_os = "linux"))]
    let _ = memory;
}

/// Zeroed memory: its start, the bytes that are to be given back, and what it is.
struct Region {
    start: NonNull<u8>,
    bytes: usize,
    backing: Backing,
}

#[cfg(target_os = "linux")]
mod map {
    use super::{Backing, Pages, Region};
    use std::io;
    use std::ptr::{NonNull, null_mut};

    const HUGE: usize = 2 << 20;

    pub(super) fn zeroed(bytes: usize, pages: Pages) -> io::Result<Region> {
        if pages == Pages::Small {
            let start = map(bytes, libc::MAP_NORESERVE)?;
            advise(start, bytes, libc::MADV_NOHUGEPAGE);
            return Ok(Region { start, bytes, backing: Backing::Small });
        }
        let bytes = bytes.checked_next_multiple_of(HUGE).ok_or(io::ErrorKind::OutOfMemory)?;
        // Fails here, and not when it is touched, where there are too few reserved pages.
        if let Ok(start) = map(bytes, libc::MAP_HUGETLB | libc::MAP_HUGE_2MB) {
            return Ok(Region { start, bytes, backing: Backing::Reserved });
        }
        let start = aligned(bytes)?;
        advise(start, bytes, libc::MADV_HUGEPAGE);
        Ok(Region { start, bytes, backing: Backing::Transparent })
    }

    /// Small pages that begin where a huge one can.
    fn aligned(bytes: usize) -> io::Result<NonNull<u8>> {
        let more = bytes.checked_add(HUGE).ok_or(io::ErrorKind::OutOfMemory)?;
        let start = map(more, libc::MAP_NORESERVE)?;
        // At most HUGE - 1, as `align_offset` of bytes is.
        let before = start.align_offset(HUGE).min(HUGE);
        // SAFETY: `before` is at most HUGE, and HUGE bytes more than asked for were mapped.
        let inside = unsafe { start.add(before) };
        // SAFETY: as above: `before + bytes` is at most `more`.
        let end = unsafe { inside.add(bytes) };
        if before > 0 {
            // SAFETY: the first `before` bytes of the mapping; nobody has a pointer into them.
            unsafe { give_back(start, before) };
        }
        if before < HUGE {
            // SAFETY: what is left behind `end`; nobody has a pointer into it.
            unsafe { give_back(end, HUGE.wrapping_sub(before)) };
        }
        Ok(inside)
    }

    fn map(bytes: usize, flags: libc::c_int) -> io::Result<NonNull<u8>> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = flags | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no memory that
        // anybody has.
        let start = unsafe { libc::mmap(null_mut(), bytes, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(start.cast()).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    /// A hint: a kernel without huge pages refuses it, and nothing is lost.
    fn advise(start: NonNull<u8>, bytes: usize, advice: libc::c_int) {
        // SAFETY: both advices that are given change how the range is backed, not what is in it.
        unsafe { libc::madvise(start.as_ptr().cast(), bytes, advice) };
    }

    /// The whole pages of somebody's memory.
    pub(super) fn prefer_huge(start: *const u8, bytes: usize) {
        let before = start.align_offset(super::ALIGNMENT);
        let whole = bytes.saturating_sub(before) & !(super::ALIGNMENT - 1);
        let start = NonNull::new(start.wrapping_add(before).cast_mut());
        if let Some(start) = start.filter(|_| whole >= HUGE) {
            advise(start, whole, libc::MADV_HUGEPAGE);
        }
    }

    /// # Safety
    /// `start` and `bytes` are a whole mapping of [`zeroed`] or whole pages of one, given back once,
    /// and nobody uses them any more.
    pub(super) unsafe fn give_back(start: NonNull<u8>, bytes: usize) {
        // SAFETY: the caller's promise.
        unsafe { libc::munmap(start.as_ptr().cast(), bytes) };
    }
}

#[cfg(not(target_os = "linux"))]
mod map {
    use super::{ALIGNMENT, Backing, Pages, Region};
    use std::alloc::{Layout, alloc_zeroed, dealloc};
    use std::io;
    use std::ptr::NonNull;

    pub(super) fn zeroed(bytes: usize, _pages: Pages) -> io::Result<Region> {
        let layout = Layout::from_size_align(bytes, ALIGNMENT).map_err(|_| io::ErrorKind::OutOfMemory)?;
        // SAFETY: `bytes` is not 0: `Array::zeroed` asks for nothing then.
        let start = unsafe { alloc_zeroed(layout) };
        let start = NonNull::new(start).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Region { start, bytes, backing: Backing::Small })
    }

    /// # Safety
    /// `start` and `bytes` came from [`zeroed`], are given back once, and nobody uses them any more.
    pub(super) unsafe fn give_back(start: NonNull<u8>, bytes: usize) {
        // It was one when the memory was taken.
        if let Ok(layout) = Layout::from_size_align(bytes, ALIGNMENT) {
            // SAFETY: the caller's promise; the layout is the one it was allocated with.
            unsafe { dealloc(start.as_ptr(), layout) };
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn all_is_zero_and_keeps_what_is_written() {
        for pages in [Pages::Small, Pages::Huge] {
            let mut array = Array::<u64>::zeroed(300_000, pages).unwrap();
            assert_eq!(array.len(), 300_000);
            assert!(array.iter().all(|&word| word == 0));
            for (index, word) in array.iter_mut().enumerate() {
                *word = index as u64;
            }
            assert!(array.iter().enumerate().all(|(index, &word)| word == index as u64));
            assert_eq!(array.backing() == Backing::Small, pages == Pages::Small);
        }
    }

    #[test]
    fn it_is_shared_between_threads() {
        let array = Array::<[AtomicU64; 8]>::zeroed(64, Pages::Small).unwrap();
        assert_eq!(array.as_ptr().addr() % 64, 0, "an element is a cache line");
        std::thread::scope(|scope| {
            for (index, line) in array.iter().enumerate() {
                scope.spawn(move || line[7].store(index as u64, Ordering::Relaxed));
            }
        });
        assert!(array.iter().enumerate().all(|(i, line)| line[7].load(Ordering::Relaxed) == i as u64));
    }

    #[test]
    fn a_hint_changes_nothing_in_memory() {
        let mut numbers = Vec::<u32>::with_capacity(5_000_000);
        prefer_huge(numbers.spare_capacity_mut());
        numbers.extend(0..3_000_000);
        prefer_huge(&numbers);
        assert!(numbers.iter().zip(0..).all(|(&own, number)| own == number));
        prefer_huge::<u64>(&[]);
        prefer_huge(&[1_u8; 5_000]);
    }

    #[test]
    fn nothing_and_too_much() {
        assert!(Array::<u64>::zeroed(0, Pages::Huge).unwrap().is_empty());
        assert_eq!(Array::<()>::zeroed(5, Pages::Huge).unwrap().len(), 5);
        let error = Array::<u64>::zeroed(usize::MAX, Pages::Small).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
        let error = Array::<u8>::zeroed(1 << 60, Pages::Small).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
        let error = Array::<u8>::zeroed(usize::MAX, Pages::Huge).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
    }

    /// A gigabyte is mapped and three pages of it are written: that is what it takes.
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[test]
    fn memory_grows_with_what_is_used() {
        use std::io::{Read, Seek, SeekFrom};
        let mut array = Array::<u64>::zeroed(1 << 27, Pages::Small).unwrap();
        for place in [0, 1 << 20, 1 << 26] {
            array[place] = 1;
        }
        // A word for each page, its highest bit: it is there.
        let mut pagemap = std::fs::File::open("/proc/self/pagemap").unwrap();
        let first = array.as_ptr().addr() / 4_096;
        pagemap.seek(SeekFrom::Start(first as u64 * 8)).unwrap();
        let mut words = vec![0; (1 << 30) / 4_096 * 8];
        pagemap.read_exact(&mut words).unwrap();
        assert_eq!(words.chunks_exact(8).filter(|word| word[7] & 0x80 != 0).count(), 3);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn huge_pages_begin_where_they_can() {
        let array = Array::<u8>::zeroed(1, Pages::Huge).unwrap();
        assert_eq!(array.as_ptr().addr() % (2 << 20), 0);
    }
}
