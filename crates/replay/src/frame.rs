//! Heap frames: windows into chunks that several frames share.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use batch::{Frame, FramePool};

use crate::seed::mix;

/// Bytes that frames point into. The reader fills a chunk while nobody else refers to it.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) bytes: Vec<u8>,
    /// Where a private buffer goes back to; none for a chunk of a reader.
    home: Option<(Weak<Store>, u8)>,
}

impl Chunk {
    pub(crate) const fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, home: None }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if let Some(store) = self.home.as_ref().and_then(|(store, _)| store.upgrade()) {
            // Relaxed: a limit on memory; no other data hangs on it.
            store.bytes.fetch_sub(self.bytes.len(), Ordering::Relaxed);
        }
    }
}

/// One frame on the heap: a window into a chunk that other frames may point into too. 24 bytes.
///
/// A frame may be cut into segments ([`HeapFrame::cut`]): the bytes stay where they are, but
/// [`Frame::head`] ends at the first cut, as it does with a chain of mbufs.
pub struct HeapFrame {
    /// `None` only inside `drop`.
    chunk: Option<Arc<Chunk>>,
    start: u32,
    len: u32,
    head: u32,
    /// What the cuts after the first are derived from; the two lowest bits say how many they are.
    cuts: u32,
}

impl HeapFrame {
    /// A frame of its own chunk.
    #[must_use]
    pub fn from_vec(bytes: Vec<u8>) -> Self {
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        Self::window(Arc::new(Chunk::new(bytes)), 0, len)
    }

    #[inline(always)]
    pub(crate) const fn window(chunk: Arc<Chunk>, start: u32, len: u32) -> Self {
        Self { chunk: Some(chunk), start, len, head: len, cuts: 0 }
    }

    #[inline(always)]
    fn bytes(&self, offset: u32, len: u32) -> &[u8] {
        let from = self.start as usize + offset as usize;
        match &self.chunk {
            Some(chunk) => chunk.bytes.get(from..from + len as usize).unwrap_or_default(),
            None => &[],
        }
    }

    /// Cuts the frame into 2 to 5 segments at places that depend on `seed` alone. A frame of fewer
    /// than 2 bytes stays whole.
    #[must_use]
    pub fn cut(mut self, seed: u64) -> Self {
        if self.len < 2 {
            return self;
        }
        let random = mix(seed);
        // Half of the first cuts fall into the first 64 bytes: that is where the headers are.
        let span = if random & 1 == 0 { self.len - 1 } else { (self.len - 1).min(64) };
        self.head = 1 + below(random >> 32, span);
        self.cuts = mix(random) as u32;
        self
    }

    /// Cuts the frame into two segments, the first of `head` bytes.
    #[must_use]
    pub fn cut_at(mut self, head: usize) -> Self {
        self.head = u32::try_from(head).unwrap_or(u32::MAX).min(self.len);
        self.cuts = 0;
        self
    }

    /// Takes bytes away from the end until at most `len` are left, whatever the segments are.
    pub fn shorten(&mut self, len: usize) {
        self.len = self.len.min(u32::try_from(len).unwrap_or(u32::MAX));
        self.head = self.head.min(self.len);
    }

    /// The segments one after the other; together they are the frame.
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        let mut at = 0;
        let mut first = true;
        let mut left = self.cuts & 3;
        let mut seed = u64::from(self.cuts);
        std::iter::from_fn(move || {
            let end = if first {
                first = false;
                self.head
            } else if at >= self.len {
                return None;
            } else if left == 0 || self.len - at < 2 {
                self.len
            } else {
                left -= 1;
                seed = mix(seed);
                at + 1 + below(seed, self.len - at - 1)
            };
            let segment = self.bytes(at, end - at);
            at = end;
            Some(segment)
        })
    }

    /// All bytes, whatever the segments are: they lie in one piece. For tests and writers.
    #[inline(always)]
    #[must_use]
    pub fn contiguous(&self) -> &[u8] {
        self.bytes(0, self.len)
    }
}

/// A number from 0 to `span - 1`; 0 where `span` is 0.
fn below(random: u64, span: u32) -> u32 {
    (((random & 0xffff_ffff) * u64::from(span)) >> 32) as u32
}

impl fmt::Debug for HeapFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No bytes: they are a subscriber's.
        f.debug_struct("HeapFrame").field("len", &self.len).field("head", &self.head).finish_non_exhaustive()
    }
}

impl Drop for HeapFrame {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(chunk) = self.chunk.take() {
            if chunk.home.is_some() {
                recycle(chunk);
            }
        }
    }
}

/// Gives a private buffer back to its store, if this was the last frame that referred to it.
///
/// Where two frames of one buffer are dropped on two cores at the same instant, neither may be the
/// last one: then the buffer is freed, and the store makes another when it needs it.
#[inline(never)]
fn recycle(mut chunk: Arc<Chunk>) {
    if Arc::get_mut(&mut chunk).is_none() {
        return;
    }
    let Some((home, class)) = &chunk.home else { return };
    let (home, class) = (home.upgrade(), usize::from(*class));
    if let Some(store) = home {
        if let Some(list) = store.lock().get_mut(class) {
            list.push(chunk);
        }
    }
}

impl Frame for HeapFrame {
    type Pool = HeapPool;

    #[inline(always)]
    fn head(&self) -> &[u8] {
        self.bytes(0, self.head)
    }

    #[inline(always)]
    fn len(&self) -> usize {
        self.len as usize
    }

    #[inline]
    fn copy_to(&self, offset: usize, out: &mut [u8]) -> usize {
        let there = self.contiguous().get(offset..).unwrap_or_default();
        let n = there.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..n), there.get(..n)) {
            to.copy_from_slice(from);
        }
        n
    }

    #[inline(always)]
    fn share(&self) -> Self {
        Self { chunk: self.chunk.clone(), start: self.start, len: self.len, head: self.head, cuts: self.cuts }
    }

    fn make_private(mut self, pool: &mut HeapPool) -> Result<Self, Self> {
        if self.chunk.as_mut().is_some_and(|chunk| Arc::get_mut(chunk).is_some()) {
            // Nobody else has the bytes, and they lie in one piece.
            self.head = self.len;
            self.cuts = 0;
            return Ok(self);
        }
        match pool.copy(self.contiguous()) {
            Some(copy) => Ok(copy),
            None => Err(self),
        }
    }

    #[inline]
    fn head_mut(&mut self) -> Option<&mut [u8]> {
        let (start, head) = (self.start as usize, self.head as usize);
        Arc::get_mut(self.chunk.as_mut()?)?.bytes.get_mut(start..start + head)
    }

    #[inline]
    fn trim_front(&mut self, bytes: usize) -> bool {
        // The window is the frame's own, whoever else has the bytes.
        match u32::try_from(bytes) {
            Ok(bytes) if bytes <= self.head => {
                self.start += bytes;
                self.len -= bytes;
                self.head -= bytes;
                true
            }
            _ => false,
        }
    }

    fn truncate(&mut self, bytes: usize) -> bool {
        if bytes == self.len() {
            return true;
        }
        let whole = self.head == self.len;
        match u32::try_from(bytes) {
            Ok(bytes) if whole && bytes <= self.len => {
                self.len = bytes;
                self.head = bytes;
                true
            }
            _ => false,
        }
    }
}

/// Sizes of private buffers: an ordinary packet, a jumbo frame, the longest record of a capture.
const CLASSES: [usize; 3] = [2_048, 16_384, crate::SNAPLEN];

/// Private buffers that wait to be used again.
#[derive(Debug)]
struct Store {
    free: Mutex<[Vec<Arc<Chunk>>; CLASSES.len()]>,
    /// Bytes of all buffers there are, free or in use.
    bytes: AtomicUsize,
    bytes_max: usize,
}

impl Store {
    fn lock(&self) -> std::sync::MutexGuard<'_, [Vec<Arc<Chunk>>; CLASSES.len()]> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where private copies of frames come from. A buffer returns when the last frame that refers to it
/// is dropped, on whichever core that happens. Clones draw from the same store.
#[derive(Clone, Debug)]
pub struct HeapPool {
    store: Arc<Store>,
}

impl HeapPool {
    /// A pool whose buffers are at most `bytes_max` bytes together. They are made as they are first
    /// needed and then used again.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        let free = Mutex::new(CLASSES.map(|_| Vec::with_capacity(64)));
        Self { store: Arc::new(Store { free, bytes: AtomicUsize::new(0), bytes_max }) }
    }

    /// Bytes of all buffers, free or in use.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.store.bytes.load(Ordering::Relaxed)
    }

    /// A frame with a copy of `bytes`; `None` where no buffer is free and large enough.
    pub fn copy(&mut self, bytes: &[u8]) -> Option<HeapFrame> {
        let len = u32::try_from(bytes.len()).ok()?;
        let class = CLASSES.iter().position(|size| bytes.len() <= *size)?;
        let free = self.store.lock().get_mut(class)?.pop();
        let mut chunk = match free {
            Some(chunk) => chunk,
            None => self.make(class)?,
        };
        Arc::get_mut(&mut chunk)?.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(HeapFrame::window(chunk, 0, len))
    }

    #[cold]
    fn make(&self, class: usize) -> Option<Arc<Chunk>> {
        let size = *CLASSES.get(class)?;
        let before = self.store.bytes.fetch_add(size, Ordering::Relaxed);
        if before.saturating_add(size) > self.store.bytes_max {
            self.store.bytes.fetch_sub(size, Ordering::Relaxed);
            return None;
        }
        let home = Some((Arc::downgrade(&self.store), u8::try_from(class).ok()?));
        Some(Arc::new(Chunk { bytes: vec![0; size], home }))
    }
}

impl Default for HeapPool {
    /// A pool of at most 64 MiB.
    fn default() -> Self {
        Self::new(64 << 20)
    }
}

impl FramePool for HeapPool {
    type Frame = HeapFrame;
}

/// The chunks of one reader: filled, handed out as frames, and filled again once no frame refers to
/// them.
#[derive(Debug)]
pub(crate) struct Ring {
    chunks: Vec<Arc<Chunk>>,
    chunk_bytes: usize,
}

impl Ring {
    /// Chunks that are kept to be used again. If frames hold on to more of them, new ones are made
    /// and the oldest are freed with their last frame.
    const KEPT: usize = 12;

    pub(crate) fn new(chunk_bytes: usize) -> Self {
        Self { chunks: Vec::with_capacity(Self::KEPT + 1), chunk_bytes }
    }

    /// A chunk of at least `bytes_min` bytes that nobody refers to. The one used last comes first:
    /// it is most likely still in the cache.
    pub(crate) fn take(&mut self, bytes_min: usize) -> Arc<Chunk> {
        for at in (0..self.chunks.len()).rev() {
            let fits = self
                .chunks
                .get_mut(at)
                .is_some_and(|chunk| Arc::get_mut(chunk).is_some_and(|c| c.bytes.len() >= bytes_min));
            if fits {
                return self.chunks.remove(at);
            }
        }
        Arc::new(Chunk::new(vec![0; self.chunk_bytes.max(bytes_min)]))
    }

    pub(crate) fn put(&mut self, chunk: Arc<Chunk>) {
        if self.chunks.len() == Self::KEPT {
            drop(self.chunks.remove(0));
        }
        self.chunks.push(chunk);
    }
}
