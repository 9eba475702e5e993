//! Numbers for the IPv6 addresses of tunnel endpoints: an address and a TEID do not fit into a key.
//!
//! A node has a number as long as a tunnel has it for its receiver. The number is found by a hash of the
//! address in a table like that of tunnels, and the address that has the number is compared, so a
//! look-up is exact.

use core::net::Ipv6Addr;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cpu::{Array, Epochs, Pages};

use super::key::Hash;
use super::{Fill, InsertError, PackedKey, Reader, TableLimits, Writer};

/// The address of each number: upper half, lower half.
type Addresses = Array<[AtomicU64; 2]>;

/// Gives numbers.
#[derive(Debug)]
pub(super) struct NodeWriter {
    table: Writer,
    reader: NodeReader,
    epochs: Epochs,
    /// Tunnels of each number.
    tunnels: Array<u32>,
    /// Numbers below this one have been given once.
    fresh: u32,
    /// Numbers that were given back, and the epoch in which no reader can have them any more.
    returned: VecDeque<(u32, u64)>,
}

/// Finds them.
#[derive(Clone)]
pub(super) struct NodeReader {
    table: Reader,
    addresses: Arc<Addresses>,
    hash: Hash,
}

impl NodeWriter {
    pub(super) fn new(nodes: u32, seed: u64, epochs: &Epochs) -> io::Result<Self> {
        let limits = TableLimits { entries: nodes, fill: Fill::Fast, pages: Pages::Small, seed: !seed };
        let table = Writer::new(limits, epochs.clone())?;
        let addresses = Arc::new(Array::zeroed(nodes as usize, Pages::Small)?);
        let reader = NodeReader { table: table.reader(), addresses, hash: Hash::new(seed) };
        Ok(Self {
            table,
            reader,
            epochs: epochs.clone(),
            tunnels: Array::zeroed(nodes as usize, Pages::Small)?,
            fresh: 0,
            returned: VecDeque::with_capacity(nodes as usize),
        })
    }

    pub(super) fn reader(&self) -> NodeReader {
        self.reader.clone()
    }

    /// The number of a node, if it has one.
    pub(super) fn number(&self, address: Ipv6Addr) -> Option<u32> {
        self.reader.number(address)
    }

    /// One tunnel more has this node for its receiver: its number, a new one where it has none.
    pub(super) fn hold(&mut self, address: Ipv6Addr) -> Result<u32, InsertError> {
        let number = match self.number(address) {
            Some(number) => number,
            None => self.give(address)?,
        };
        if let Some(tunnels) = self.tunnels.get_mut(number as usize) {
            *tunnels += 1;
        }
        Ok(number)
    }

    fn give(&mut self, address: Ipv6Addr) -> Result<u32, InsertError> {
        let key = self.reader.key(address);
        // Two addresses of one hash: as likely as guessing the seed, and the second one has no place.
        if self.table.get(key).is_some() {
            return Err(InsertError::Full);
        }
        let number = self.free_number().ok_or(InsertError::Full)?;
        if let Some([upper, lower]) = self.reader.addresses.get(number as usize) {
            let bits = address.to_bits();
            // Relaxed: a reader looks after it has seen the number, which is stored after this with
            // Release.
            upper.store((bits >> 64) as u64, Ordering::Relaxed);
            lower.store(bits as u64, Ordering::Relaxed);
        }
        match self.table.insert(key, number + 1) {
            Ok(_) => Ok(number),
            Err(why) => {
                // Nobody has seen it: it may be given again at once.
                self.returned.push_front((number, 0));
                Err(why)
            }
        }
    }

    fn free_number(&mut self) -> Option<u32> {
        let safe = self.returned.front().is_some_and(|&(_, epoch)| epoch <= self.epochs.safe());
        let returned = if safe { self.returned.pop_front() } else { None };
        if let Some((number, _)) = returned {
            return Some(number);
        }
        let number = self.fresh;
        if number as usize >= self.tunnels.len() {
            return None;
        }
        self.fresh += 1;
        Some(number)
    }

    /// One tunnel less. With the last one the number is given back: no tunnel has it any more.
    pub(super) fn release(&mut self, address: Ipv6Addr) {
        let Some(number) = self.number(address) else { return };
        let Some(tunnels) = self.tunnels.get_mut(number as usize) else { return };
        *tunnels = tunnels.saturating_sub(1);
        if *tunnels == 0 {
            self.table.remove(self.reader.key(address));
            self.returned.push_back((number, self.epochs.advance()));
        }
    }

    pub(super) fn reclaim(&mut self) {
        self.table.reclaim();
    }

    /// Nodes that have a number.
    pub(super) const fn len(&self) -> usize {
        self.table.len()
    }
}

impl NodeReader {
    fn key(&self, address: Ipv6Addr) -> PackedKey {
        PackedKey::new(self.hash.of_address(address), true)
    }

    /// The number of a node, if it has one.
    #[inline]
    pub(super) fn number(&self, address: Ipv6Addr) -> Option<u32> {
        let number = self.table.lookup(self.key(address))?.wrapping_sub(1);
        let [upper, lower] = self.addresses.get(number as usize)?;
        // Relaxed: stored before the number was, and not changed while a reader can have it.
        let bits =
            u128::from(upper.load(Ordering::Relaxed)) << 64 | u128::from(lower.load(Ordering::Relaxed));
        (bits == address.to_bits()).then_some(number)
    }
}

impl std::fmt::Debug for NodeReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeReader").field("table", &self.table).finish_non_exhaustive()
    }
}
