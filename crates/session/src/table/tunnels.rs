//! The table of tunnels: keys of both families.

use core::net::IpAddr;
use std::io;

use cpu::{Epochs, Pages};
use types::TunnelKey;

use super::nodes::{NodeReader, NodeWriter};
use super::{Fill, InsertError, PackedKey, Reader, TableLimits, Writer};

/// How large a table of tunnels is.
#[derive(Clone, Copy, Debug)]
pub struct TunnelLimits {
    /// Tunnels at most.
    pub tunnels: u32,
    /// IPv6 addresses at most that are receivers of tunnels.
    pub nodes: u32,
    /// What the tunnels lie on.
    pub pages: Pages,
    /// Something that strangers cannot know.
    pub seed: u64,
}

/// Makes an empty table of tunnels.
///
/// # Errors
/// What the system says where it does not give the memory.
pub fn tunnels(limits: TunnelLimits, epochs: &Epochs) -> io::Result<(TunnelWriter, TunnelReader)> {
    let TunnelLimits { tunnels, nodes, pages, seed } = limits;
    let nodes = NodeWriter::new(nodes, seed.rotate_left(32), epochs)?;
    let table = Writer::new(TableLimits { entries: tunnels, fill: Fill::Fast, pages, seed }, epochs.clone())?;
    let writer = TunnelWriter { table, nodes };
    let reader = writer.reader();
    Ok((writer, reader))
}

/// Inserts, changes and removes tunnels.
#[derive(Debug)]
pub struct TunnelWriter {
    table: Writer,
    nodes: NodeWriter,
}

impl TunnelWriter {
    /// Gives a tunnel this value, and returns the one it had.
    ///
    /// # Errors
    /// There are as many tunnels, or IPv6 receivers, as there may be, or the value is none. Nothing has
    /// changed then.
    pub fn insert(&mut self, tunnel: TunnelKey, value: u32) -> Result<Option<u32>, InsertError> {
        let IpAddr::V6(receiver) = tunnel.receiver else {
            return self.table.insert(self.pack(tunnel), value);
        };
        let node = self.nodes.hold(receiver)?;
        let old = self.table.insert(PackedKey::tunnel_node(node, tunnel.teid), value);
        if !matches!(old, Ok(None)) {
            // No tunnel more.
            self.nodes.release(receiver);
        }
        old
    }

    /// Gives a tunnel that is there this value, and returns the one it had. `None` where it is not
    /// there or the value is none: nothing has changed then.
    pub fn update(&mut self, tunnel: TunnelKey, value: u32) -> Option<u32> {
        self.table.update(self.pack(tunnel), value)
    }

    /// Removes a tunnel, and returns the value it had.
    pub fn remove(&mut self, tunnel: TunnelKey) -> Option<u32> {
        let value = self.table.remove(self.pack(tunnel))?;
        if let IpAddr::V6(receiver) = tunnel.receiver {
            self.nodes.release(receiver);
        }
        Some(value)
    }

    /// The value of a tunnel.
    #[must_use]
    pub fn get(&self, tunnel: TunnelKey) -> Option<u32> {
        self.table.get(self.pack(tunnel))
    }

    /// Asks for the lines that the next call with this tunnel begins with.
    #[inline]
    pub fn prefetch(&self, tunnel: TunnelKey) {
        self.table.prefetch(self.pack(tunnel));
    }

    /// What is to be done once in a while: see [`Writer::reclaim`].
    pub fn reclaim(&mut self) {
        self.table.reclaim();
        self.nodes.reclaim();
    }

    /// Tunnels.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Tunnels there can be.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.table.capacity()
    }

    /// IPv6 addresses that are receivers of tunnels.
    #[must_use]
    pub const fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// A reader of this table.
    #[must_use]
    pub fn reader(&self) -> TunnelReader {
        TunnelReader { table: self.table.reader(), nodes: self.nodes.reader() }
    }

    fn pack(&self, tunnel: TunnelKey) -> PackedKey {
        match tunnel.receiver {
            IpAddr::V4(receiver) => PackedKey::tunnel_v4(receiver, tunnel.teid),
            IpAddr::V6(receiver) => match self.nodes.number(receiver) {
                Some(node) => PackedKey::tunnel_node(node, tunnel.teid),
                None => PackedKey::NONE,
            },
        }
    }
}

/// Looks up tunnels; the same is asked of its thread as by [`Reader`].
#[derive(Clone, Debug)]
pub struct TunnelReader {
    table: Reader,
    nodes: NodeReader,
}

impl TunnelReader {
    /// The key of a tunnel, [`PackedKey::NONE`] where no tunnel has this receiver. Good until the next
    /// quiescent point.
    #[inline]
    #[must_use]
    pub fn pack(&self, tunnel: TunnelKey) -> PackedKey {
        match tunnel.receiver {
            IpAddr::V4(receiver) => PackedKey::tunnel_v4(receiver, tunnel.teid),
            IpAddr::V6(receiver) => match self.nodes.number(receiver) {
                Some(node) => PackedKey::tunnel_node(node, tunnel.teid),
                None => PackedKey::NONE,
            },
        }
    }

    /// The value of a tunnel.
    #[inline]
    #[must_use]
    pub fn lookup(&self, tunnel: TunnelKey) -> Option<u32> {
        self.table.lookup(self.pack(tunnel))
    }

    /// Writes the value of each key to the same place of `values`, or 0 where there is none: see
    /// [`Reader::lookup_bulk`].
    #[inline]
    pub fn lookup_bulk(&self, keys: &[PackedKey], values: &mut [u32]) {
        self.table.lookup_bulk(keys, values);
    }
}
