//! Frames of several segments, read as one.

use batch::Frame;

/// A place to copy frames into whose headers may cross segments. A frame of one segment is read where
/// it lies.
#[derive(Debug)]
pub(crate) struct Linear(Box<[u8]>);

impl Linear {
    /// Longer than any frame of a network; of a longer one (a capture with segmentation offload)
    /// this much is read.
    const BYTES: usize = 65_536;

    pub(crate) fn new() -> Self {
        Self(vec![0; Self::BYTES].into_boxed_slice())
    }

    #[inline(always)]
    pub(crate) fn bytes<'a, F: Frame>(&'a mut self, frame: &'a F) -> &'a [u8] {
        let head = frame.head();
        if head.len() == frame.len() { head } else { self.joined(frame) }
    }

    #[cold]
    #[inline(never)]
    fn joined<F: Frame>(&mut self, frame: &F) -> &[u8] {
        let copied = frame.copy_to(0, &mut self.0);
        self.0.get(..copied).unwrap_or_default()
    }
}
