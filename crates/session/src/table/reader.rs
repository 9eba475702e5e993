//! The end that looks up.

use std::cell::Cell;
use std::fmt;

use super::PackedKey;
use super::line::{Arc, Equal, OneByOne, Shared};

/// Keys that are looked up together.
const BULK: usize = 32;
/// Lines that are asked for before the first one is read: about as many as a core can wait for. With
/// all of 32 asked for first the same takes up to 1.1 times the cycles.
const AHEAD: usize = 16;

/// Looks up, from any thread that is registered with the table's [`cpu::Epochs`] and online.
#[derive(Clone)]
pub struct Reader {
    shared: Arc<Shared>,
    #[cfg(all(target_arch = "x86_64", not(loom)))]
    avx: Option<cpu::Avx>,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            #[cfg(all(target_arch = "x86_64", not(loom)))]
            avx: cpu::Avx::detect(),
        }
    }

    /// The value of a key.
    #[inline]
    #[must_use]
    pub fn lookup(&self, key: PackedKey) -> Option<u32> {
        let shared = &*self.shared;
        let mut index = shared.home(key);
        for next in 1..=shared.probes() {
            let line = shared.line(index)?;
            let value = line.value_of(key, OneByOne);
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

    /// Writes the value of each key to the same place of `values`, or 0 where there is none. Lines are
    /// asked for some keys before they are read. What is longer in one of the two is left alone.
    #[inline]
    pub fn lookup_bulk(&self, keys: &[PackedKey], values: &mut [u32]) {
        for (keys, values) in keys.chunks(BULK).zip(values.chunks_mut(BULK)) {
            #[cfg(all(target_arch = "x86_64", not(loom)))]
            if let Some(avx) = self.avx {
                self.lookup_some(keys, values, avx);
                continue;
            }
            self.lookup_some(keys, values, OneByOne);
        }
    }

    #[inline(always)]
    fn lookup_some(&self, keys: &[PackedKey], values: &mut [u32], equal: impl Equal) {
        let shared = &*self.shared;
        let mut indices = [0_u32; BULK];
        let indices = Cell::from_mut(indices.as_mut_slice()).as_slice_of_cells();
        let ask = |(&key, index): (&PackedKey, &Cell<u32>)| {
            let home = shared.home(key);
            index.set(home as u32);
            shared.prefetch(home);
        };
        let mut ahead = keys.iter().zip(indices);
        ahead.by_ref().take(AHEAD).for_each(ask);
        // A bit for each key that may lie further on.
        let mut left = 0_u32;
        for (place, ((&key, index), value)) in keys.iter().zip(indices).zip(&mut *values).enumerate() {
            if let Some(next) = ahead.next() {
                ask(next);
            }
            let Some(line) = shared.line(index.get() as usize) else { return };
            *value = line.value_of(key, equal);
            if *value == 0 && !line.ends() && shared.probes() > 1 {
                left |= 1 << place;
                let second = shared.step(index.get() as usize, 1);
                index.set(second as u32);
                shared.prefetch(second);
            }
        }
        if left != 0 {
            self.lookup_further(keys, values, indices, left);
        }
    }

    /// The second line and those behind it, for the keys in `left`: each round reads one line of each.
    #[inline(never)]
    fn lookup_further(&self, keys: &[PackedKey], values: &mut [u32], indices: &[Cell<u32>], mut left: u32) {
        let shared = &*self.shared;
        // In a round the line at `next - 1` steps from home is read, and that at `next` steps is asked for.
        for next in 2..=shared.probes() {
            let mut these = left;
            while these != 0 {
                let place = these.trailing_zeros() as usize;
                these &= these - 1;
                let (Some(&key), Some(index), Some(value)) =
                    (keys.get(place), indices.get(place), values.get_mut(place))
                else {
                    return;
                };
                let Some(line) = shared.line(index.get() as usize) else { return };
                *value = line.value_of(key, OneByOne);
                if *value != 0 || line.ends() {
                    left &= !(1 << place);
                    continue;
                }
                let this = shared.step(index.get() as usize, next);
                index.set(this as u32);
                shared.prefetch(this);
                // Who is not found in the second line may be some lines away, and there is little else
                // to do while they come: three are asked for together, then one more in each round.
                let second = shared.step(this, next + 1);
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
