//! The tunnel table: from {receiver, TEID} to what is known of the tunnel, read by every core for every
//! packet and written by one thread.
//!
//! ```text
//!        ┌───────────────────── a line: 64 bytes ──────────────────────┐
//!        │ key key key key key │ value value value value value │ passed│   8 × 5, 4 × 5, 4 bytes
//!        └─────────────────────────────────────────────────────────────┘
//!           bit 31  30      29 ............................. 0
//! value     ┌─────┬───────┬────────────────────────────────────┐
//!  entry    │  1  │ IPv6? │ what the writer put there, not 0   │
//!  no entry │  0  │   0   │ generation it was removed in, or 0 │
//!           └─────┴───────┴────────────────────────────────────┘
//! ```
//!
//! A key has a home line and, where that is full, lines behind it: 1, 3, 6, 10 further on. Each line says
//! how many keys passed it and lie further on; where none did, the search ends. The count is exact, so
//! nothing is left behind by what was removed.
//!
//! **A reader** loads a value, then the key beside it. That is sound because the key of a slot only
//! changes when no reader can still have a value of the entry before: a removed entry's slot is given to
//! another key after every reader has passed a quiescent point ([`cpu::Epochs`]). The thread that looks
//! up must therefore be registered and online, and must not keep a value across its quiescent point where
//! the age of it matters.
//!
//! **Churn.** When a slot in a full line becomes free, a key that had passed the line moves into it:
//! it is written there first, and removed from its old place a grace period later, so that no reader
//! misses it. So keys are about as near to their homes after any number of changes as they would be in a
//! new table.
//!
//! Hashing is keyed: strangers choose TEIDs.
//!
//! ```
//! use cpu::{Epochs, Pages};
//! use session::{Fill, PackedKey, TableLimits, table};
//!
//! let epochs = Epochs::new();
//! let limits = TableLimits { entries: 1_000, fill: Fill::Fast, pages: Pages::Small, seed: 42 };
//! let (mut writer, reader) = table(limits, &epochs)?;
//! let mut here = epochs.register().ok_or("too many readers")?;
//!
//! let key = PackedKey::ue_v4([10, 0, 0, 1].into());
//! assert_eq!(writer.insert(key, 7), Ok(None));
//! let mut values = [0; 2];
//! reader.lookup_bulk(&[key, PackedKey::ue_v4([10, 0, 0, 2].into())], &mut values);
//! assert_eq!(values, [7, 0]);
//!
//! assert_eq!(writer.remove(key), Some(7));
//! here.quiescent();   // once a round, by every reader
//! writer.reclaim();   // once a round, by the writer
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::io;

use cpu::{Epochs, Pages};

mod key;
mod line;
mod nodes;
mod reader;
mod tunnels;
mod writer;

pub use key::PackedKey;
pub use reader::Reader;
pub use tunnels::{TunnelLimits, TunnelReader, TunnelWriter, tunnels};
pub use writer::{InsertError, Writer};

/// The largest value an entry can have; 0 is none.
pub const VALUE_MAX: u32 = (1 << 30) - 1;

/// How many slots of a table are filled when it is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// 60 of 100, 21.3 bytes an entry: a look-up reads 1.07 lines in the mean.
    Fast,
    /// 80 of 100, 16 bytes an entry: a look-up reads 1.2 lines in the mean.
    Small,
}

/// How large a table is, and what it lies on.
#[derive(Clone, Copy, Debug)]
pub struct TableLimits {
    /// Entries at most.
    pub entries: u32,
    /// How close they lie.
    pub fill: Fill,
    /// Small pages are taken as they are used; huge ones are faster.
    pub pages: Pages,
    /// Something that strangers cannot know. It shows in no output.
    pub seed: u64,
}

/// Makes an empty table. Both ends live as long as they like; further readers are clones.
///
/// # Errors
/// What the system says where it does not give the memory.
pub fn table(limits: TableLimits, epochs: &Epochs) -> io::Result<(Writer, Reader)> {
    let writer = Writer::new(limits, epochs.clone())?;
    let reader = writer.reader();
    Ok((writer, reader))
}

#[cfg(loom)]
#[cfg(test)]
mod loom_tests;
#[cfg(not(loom))]
#[cfg(test)]
mod tests;
