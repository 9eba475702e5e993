//! The end that looks up.

use std::fmt;

use super::PackedKey;
use super::line::{Arc, Shared};

/// Keys that are looked up together: as many cache lines as are asked for at once.
const BULK: usize = 32;
/// Looks up, from any thread that is registered with the table's [`cpu::Epochs`] and online.
#[derive(Clone)]
pub struct Reader {
    shared: Arc<Shared>,
}

impl Reader {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The value of a key.
    #[inline]
    #[must_use]
    pub fn lookup(&self, key: PackedKey) -> Option<u64> {
        let shared = &*self.shared;
        let mut index = shared.home(key);
        for next in 1..=shared.probes() {
            let line = shared.line(index)?;
            let value = line.value_of(key);
            if value != 0 {
                return Some(value);
            }
            if line.ends() {
                return None;
            }
            index = shared.step(index, next);
        }
        None
    }

    /// Asks for the line that [`Self::lookup`] begins with.
    #[inline(always)]
    pub fn prefetch(&self, key: PackedKey) {
        self.shared.prefetch(self.shared.home(key));
    }

    /// Writes the value of each key to the same place of `values`, or 0 where there is none. All lines
    /// are asked for before the first one is read. What is longer in one of the two is left alone.
    #[inline]
    pub fn lookup_bulk(&self, keys: &[PackedKey], values: &mut [u64]) {
        for (keys, values) in keys.chunks(BULK).zip(values.chunks_mut(BULK)) {
            self.lookup_some(keys, values);
        }
    }

    #[inline(always)]
    fn lookup_some(&self, keys: &[PackedKey], values: &mut [u64]) {
        let shared = &*self.shared;
        let mut indices = [0_usize; BULK];
        for (&key, index) in keys.iter().zip(&mut indices) {
            *index = shared.home(key);
            shared.prefetch(*index);
        }
        // A bit for each key that may lie further on.
        let mut left = 0_u32;
        for (place, ((&key, index), value)) in keys.iter().zip(&mut indices).zip(&mut *values).enumerate() {
            let Some(line) = shared.line(*index) else { return };
            *value = line.value_of(key);
            if *value == 0 && !line.ends() && shared.probes() > 1 {
                left |= 1 << place;
                *index = shared.step(*index, 1);
                shared.prefetch(*index);
            }
        }
        if left != 0 {
            self.lookup_further(keys, values, &mut indices, left);
        }
    }

    /// The second line and those behind it, for the keys in `left`: each round reads one line of each.
    #[inline(never)]
    fn lookup_further(
        &self,
        keys: &[PackedKey],
        values: &mut [u64],
        indices: &mut [usize; BULK],
        mut left: u32,
    ) {
        let shared = &*self.shared;
        // In a round the line at `next - 1` steps from home is read, and that at `next` steps is asked for.
        for next in 2..=shared.probes() {
            let mut these = left;
            while these != 0 {
                let place = these.trailing_zeros() as usize;
                these &= these - 1;
                let (Some(&key), Some(index), Some(value)) =
                    (keys.get(place), indices.get_mut(place), values.get_mut(place))
                else {
                    return;
                };
                let Some(line) = shared.line(*index) else { return };
                *value = line.value_of(key);
                if *value != 0 || line.ends() {
                    left &= !(1 << place);
                    continue;
                }
                *index = shared.step(*index, next);
                shared.prefetch(*index);
                // Who is not found in the second line may be some lines away, and there is little else
                // to do while they come: three are asked for together, then one more in each round.
                let second = shared.step(*index, next + 1);
                if next == 2 {
                    shared.prefetch(second);
                }
                shared.prefetch(shared.step(second, next + 2));
            }
            if left == 0 {
                return;
            }
        }
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("lines", &self.shared.lines()).finish_non_exhaustive()
    }
}
