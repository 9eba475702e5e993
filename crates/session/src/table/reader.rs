//! The end that looks up.

use std::fmt;

use super::PackedKey;
use super::line::{Arc, PROBES, Shared};

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
        let mut line = shared.home(key);
        for distance in 1..=PROBES {
            let (value, end) = shared.line(line)?.look(key);
            if value != 0 {
                return Some(value);
            }
            if end || distance >= shared.probes() {
                return None;
            }
            line = shared.step(line, distance);
        }
        None
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
        let mut lines = [0_usize; BULK];
        for (&key, line) in keys.iter().zip(&mut lines) {
            *line = shared.home(key);
            if let Some(line) = shared.line(*line) {
                cpu::prefetch(line);
            }
        }
        // A bit for each key that may lie further on.
        let mut left = 0_u32;
        for (place, ((&key, index), value)) in keys.iter().zip(&mut lines).zip(&mut *values).enumerate() {
            let Some(line) = shared.line(*index) else { continue };
            let (found, end) = line.look(key);
            *value = found;
            let on = found == 0 && !end && shared.probes() > 1;
            left |= u32::from(on) << place;
            let next = shared.step(*index, 1);
            // The next line is asked for at once, without a branch: nobody can foresee who needs it.
            // Whoever does not asks for the one that is here already.
            if let Some(next) = shared.line(if on { next } else { *index }) {
                cpu::prefetch(next);
            }
            *index = next;
        }
        let mut distance = 1;
        while left != 0 {
            distance += 1;
            let last = distance >= shared.probes();
            let mut these = left;
            while these != 0 {
                let place = these.trailing_zeros() as usize;
                these &= these - 1;
                let (Some(&key), Some(index), Some(value)) =
                    (keys.get(place), lines.get_mut(place), values.get_mut(place))
                else {
                    return;
                };
                let Some(line) = shared.line(*index) else { return };
                let (found, end) = line.look(key);
                *value = found;
                if found != 0 || end || last {
                    left &= !(1 << place);
                    continue;
                }
                *index = shared.step(*index, distance);
                if let Some(next) = shared.line(*index) {
                    cpu::prefetch(next);
                }
            }
        }
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("lines", &self.shared.lines()).finish_non_exhaustive()
    }
}
