//! What the receiver has read of each packet of a batch, beside the batch's own columns: needed until
//! it is known whose the packet is, and not beyond.

use std::net::{IpAddr, Ipv4Addr};

use batch::{BATCH, Slot};
use types::{Pair, Toward, TunnelKey};
use wire::{Addresses, User};

/// What was read of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The tunnel that it goes by.
    pub tunnel: Option<TunnelKey>,
    /// Who sent it into that tunnel: the outer source.
    pub sender: IpAddr,
    /// The user's packet in the tunnel.
    pub user: Option<User>,
    /// Which way it goes, where it says so itself.
    pub toward: Option<Toward>,
    /// It is a T-PDU that was sent here, and whole or the first fragment: it counts for its tunnel.
    pub counts: bool,
    /// Outside of any tunnel: its addresses. One of them may be a UE's (N6, SGi).
    pub plain: Option<Pair>,
}

impl Reading {
    /// Nothing that a session could be found by.
    pub const NONE: Self = Self {
        tunnel: None,
        sender: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        user: None,
        toward: None,
        counts: false,
        plain: None,
    };

    /// Both inner addresses: source, destination.
    #[must_use]
    pub fn inner(&self) -> Option<Addresses> {
        self.user.map(|user| user.addresses)
    }
}

/// One reading for each slot of a batch.
#[derive(Debug)]
pub struct Readings(Box<[Reading; BATCH]>);

impl Readings {
    /// Readings of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self(Box::new([Reading::NONE; BATCH]))
    }

    /// What was read of a slot's packet.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "a slot is below BATCH by construction")]
    pub const fn get(&self, slot: Slot) -> &Reading {
        &self.0[slot.index()]
    }

    /// Sets what was read of a slot's packet.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "a slot is below BATCH by construction")]
    pub const fn set(&mut self, slot: Slot, reading: Reading) {
        self.0[slot.index()] = reading;
    }
}

impl Default for Readings {
    fn default() -> Self {
        Self::new()
    }
}
