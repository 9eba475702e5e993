//! What the receiver has read of each packet of a batch, beside the batch's own columns: needed until
//! it is known whose the packet is, and not beyond.
//!
//! Of a user's packet of the common shape only that is kept which a packet of a known tunnel needs:
//! some words in columns. Of the others there is the whole [`Reading`], in an array that nobody touches
//! for the common shape.

use std::net::{IpAddr, Ipv4Addr};

use batch::{BATCH, Column, Slot};
use types::{Pair, Teid, Toward, TunnelKey};
use wire::{Addresses, Tpdu, User};

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
    /// It is an Error Indication: who sends it does not know the tunnel.
    pub not_found: bool,
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
        not_found: false,
        plain: None,
    };

    /// Both inner addresses: source, destination.
    #[must_use]
    pub fn inner(&self) -> Option<Addresses> {
        self.user.map(|user| user.addresses)
    }
}

/// What is in the columns for a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// A user's packet of the common shape, IPv4 inside.
    V4,
    /// The same, IPv6 inside.
    V6,
    /// Nothing: it was read the long way.
    Whole,
}

/// One reading for each slot of a batch.
#[derive(Debug)]
pub struct Readings {
    /// Receiver and TEID.
    tunnels: Column<u64>,
    /// Inner addresses, source first.
    v4: Column<u64>,
    /// The length of the inner packet.
    bytes: Column<u16>,
    kept: Column<Kept>,
    /// Inner addresses, where they are longer.
    v6: Box<Column<[u128; 2]>>,
    whole: Box<[Reading; BATCH]>,
}

impl Readings {
    /// Readings of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            tunnels: Column::new(0),
            v4: Column::new(0),
            bytes: Column::new(0),
            kept: Column::new(Kept::Whole),
            v6: Box::new(Column::new([0; 2])),
            whole: Box::new([Reading::NONE; BATCH]),
        }
    }

    /// The tunnel that a slot's packet goes by.
    #[inline(always)]
    #[must_use]
    pub fn tunnel(&self, slot: Slot) -> Option<TunnelKey> {
        if self.kept.get(slot) == Kept::Whole {
            return self.whole(slot).tunnel;
        }
        let tunnel = self.tunnels.get(slot);
        let receiver = IpAddr::V4(Ipv4Addr::from_bits((tunnel >> 32) as u32));
        Some(TunnelKey { receiver, teid: Teid(tunnel as u32) })
    }

    /// The user's packet in the tunnel, where a slot's packet has the common shape.
    #[inline(always)]
    #[must_use]
    pub const fn user(&self, slot: Slot) -> Option<User> {
        let addresses = match self.kept.get(slot) {
            Kept::V4 => {
                let pair = self.v4.get(slot);
                Addresses::V4 { source: (pair >> 32) as u32, destination: pair as u32 }
            }
            Kept::V6 => {
                let [source, destination] = self.v6.get(slot);
                Addresses::V6 { source, destination }
            }
            Kept::Whole => return None,
        };
        Some(User { addresses, bytes: self.bytes.get(slot) })
    }

    /// All that was read of a slot's packet, whose first segment is `head`: what is not kept of the
    /// common shape is read again.
    #[inline(never)]
    #[must_use]
    pub fn get(&self, slot: Slot, head: &[u8]) -> Reading {
        if self.kept.get(slot) == Kept::Whole {
            return *self.whole(slot);
        }
        let tpdu = wire::tpdu::<false>(head);
        debug_assert!(tpdu.is_some(), "it was of the common shape a moment ago");
        tpdu.map_or(Reading::NONE, |tpdu| Reading {
            tunnel: self.tunnel(slot),
            sender: IpAddr::V4(tpdu.sender.into()),
            user: self.user(slot),
            toward: tpdu.toward,
            counts: true,
            not_found: false,
            plain: None,
        })
    }

    /// Keeps of a packet of the common shape what a known tunnel needs of it.
    #[inline(always)]
    pub fn set_tpdu(&mut self, slot: Slot, tpdu: &Tpdu) {
        self.tunnels.set(slot, u64::from(tpdu.receiver) << 32 | u64::from(tpdu.teid.0));
        self.bytes.set(slot, tpdu.bytes);
        match tpdu.addresses {
            Addresses::V4 { source, destination } => {
                self.v4.set(slot, u64::from(source) << 32 | u64::from(destination));
                self.kept.set(slot, Kept::V4);
            }
            Addresses::V6 { source, destination } => {
                self.v6.set(slot, [source, destination]);
                self.kept.set(slot, Kept::V6);
            }
        }
    }

    /// Sets what was read of any other packet.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "a slot is below BATCH by construction")]
    pub const fn set(&mut self, slot: Slot, reading: Reading) {
        self.kept.set(slot, Kept::Whole);
        self.whole[slot.index()] = reading;
    }

    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "a slot is below BATCH by construction")]
    const fn whole(&self, slot: Slot) -> &Reading {
        &self.whole[slot.index()]
    }
}

impl Default for Readings {
    fn default() -> Self {
        Self::new()
    }
}
