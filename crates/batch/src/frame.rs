//! The frame: bytes that somebody owns.

/// Bytes of one received packet, owned and not `Clone`. The bytes may lie in several segments; they
/// may be shared with other frames, and then they cannot be written.
pub trait Frame: Sized + Send + 'static {
    /// What frames of this kind are allocated from and returned to.
    type Pool: FramePool<Frame = Self>;

    /// The first segment. It is the whole frame where `head().len() == len()`.
    fn head(&self) -> &[u8];

    /// Length of the frame in bytes, all segments together.
    fn len(&self) -> usize;

    /// Whether the frame has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies bytes from `offset` on, across segments. Returns how many were there: fewer than
    /// `out.len()` at the end of the frame.
    fn copy_to(&self, offset: usize, out: &mut [u8]) -> usize;

    /// One reference more to the same bytes.
    #[must_use]
    fn share(&self) -> Self;

    /// A frame of one segment that nobody else refers to, before any write or where a header crosses
    /// segments. Copies only if it has to.
    ///
    /// # Errors
    /// The frame itself, unchanged, where the pool has no buffer that is free and large enough.
    fn make_private(self, pool: &mut Self::Pool) -> Result<Self, Self>;

    /// The first segment for writing; `None` while the bytes are shared.
    fn head_mut(&mut self) -> Option<&mut [u8]>;

    /// Takes `bytes` away from the front of the first segment; other frames of the same bytes keep
    /// them. Returns whether that could be done: the segment is that long, and the frame's place and
    /// length are its own, which those of a shared mbuf are not. Otherwise nothing changes.
    fn trim_front(&mut self, bytes: usize) -> bool;

    /// Shortens the frame to its first `bytes`, as `trim_front` does at the other end. Returns whether
    /// that could be done: as there, and the frame has one segment or is of that length already.
    /// Otherwise nothing changes.
    fn truncate(&mut self, bytes: usize) -> bool;
}

/// Where frames come from and go back to.
pub trait FramePool: Send {
    /// The frames it holds.
    type Frame: Frame;

    /// Frees frames in bulk. Dropping a frame does the same, one at a time.
    fn free(&mut self, frames: impl Iterator<Item = Self::Frame>) {
        frames.for_each(drop);
    }
}
