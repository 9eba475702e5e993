//! Requests that wait for their answer, answers that came before their request, and for a while those
//! that are answered, so that what is sent again is not done again.

use std::net::{IpAddr, SocketAddr};

use types::{SessionEvent, Signalling};

use crate::index::HashKey;
use crate::message::Message;

/// How long a request waits, and how long an answered one is remembered. N3 retransmissions after T3
/// are over by then. TS 29.274 7.6, TS 29.244 6.4.
const LIFETIME_NS: u64 = 30_000_000_000;
/// How long an answer waits for a request that was captured after it.
const EARLY_NS: u64 = 5_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// A request without an answer.
    Open,
    /// An answer without a request.
    Early,
    Answered,
}

struct Transaction {
    fingerprint: u64,
    /// Next in the index.
    chain: u32,
    stage: Stage,
    digest: u64,
    message: Message,
}

/// What a message is in its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing is to be done: sent again, or without its counterpart yet.
    Nothing,
    /// Its counterpart is there, in this slot.
    Pair(u32),
    /// An answer whose request was not seen.
    Orphan,
}

/// A ring: the newest replaces the oldest.
pub(crate) struct Transactions {
    slots: Vec<Transaction>,
    slots_max: usize,
    oldest: usize,
    heads: Vec<u32>,
    key: HashKey,
}

impl Transactions {
    pub(crate) fn new(slots_max: u32, key: HashKey) -> Self {
        let slots_max = slots_max.max(1) as usize;
        Self {
            slots: Vec::with_capacity(slots_max),
            slots_max,
            oldest: 0,
            heads: vec![0; slots_max.next_power_of_two()],
            key,
        }
    }

    /// One word for who asked whom what: an answer has the same as its request. The key is secret, so
    /// nobody can aim at another's.
    fn fingerprint(&self, event: &SessionEvent, asks: SocketAddr, asked: SocketAddr) -> Option<u64> {
        let address = |state, address: SocketAddr| {
            let state = match address.ip() {
                IpAddr::V4(ip) => self.key.add(state, u64::from(ip.to_bits())),
                IpAddr::V6(ip) => {
                    let bits = ip.to_bits();
                    self.key.add(self.key.add(state, (bits >> 64) as u64), !(bits as u64))
                }
            };
            self.key.add(state, u64::from(address.port()))
        };
        let protocol = match event.protocol {
            Signalling::Gtpv1 => 1,
            Signalling::Gtpv2 => 2,
            Signalling::Pfcp => 3,
        };
        let first = self.key.add(protocol, u64::from(event.sequence?));
        Some(self.key.word(address(address(first, asks), asked)))
    }

    fn head(&mut self, fingerprint: u64) -> Option<&mut u32> {
        let place = fingerprint as usize & (self.heads.len() - 1);
        self.heads.get_mut(place)
    }

    /// Slots are counted from 1 on in the index.
    fn at(&self, slot: u32) -> Option<&Transaction> {
        self.slots.get((slot as usize).checked_sub(1)?)
    }

    fn at_mut(&mut self, slot: u32) -> Option<&mut Transaction> {
        self.slots.get_mut((slot as usize).checked_sub(1)?)
    }

    fn find(&mut self, fingerprint: u64) -> u32 {
        let mut slot = self.head(fingerprint).map_or(0, |head| *head);
        while let Some(transaction) = self.at(slot) {
            if transaction.fingerprint == fingerprint {
                return slot;
            }
            slot = transaction.chain;
        }
        0
    }

    /// The message in a slot.
    pub(crate) fn message(&self, slot: u32) -> Option<&Message> {
        self.at(slot).map(|transaction| &transaction.message)
    }

    /// Marks a transaction as done.
    pub(crate) fn done(&mut self, slot: u32) {
        if let Some(transaction) = self.at_mut(slot) {
            transaction.stage = Stage::Answered;
        }
    }

    /// A request. `scratch` gets it where its answer is there already.
    pub(crate) fn request(&mut self, event: &SessionEvent, scratch: &mut Message, full: &mut u64) -> Step {
        let Some(fingerprint) = self.fingerprint(event, event.source, event.destination) else {
            return Step::Nothing;
        };
        let slot = self.find(fingerprint);
        let key = self.key;
        if let Some(known) = self.at_mut(slot) {
            scratch.fill(event);
            let digest = scratch.digest(key);
            let age = event.time_ns.saturating_sub(known.message.time_ns);
            if known.stage == Stage::Early
                && age <= EARLY_NS
                && known.message.kind == event.message.wrapping_add(1)
            {
                known.digest = digest;
                return Step::Pair(slot);
            }
            let again = known.stage != Stage::Early && known.digest == digest && age <= LIFETIME_NS;
            if !again {
                // Its sequence number came round: it starts anew where it is.
                known.stage = Stage::Open;
                known.digest = digest;
                known.message.fill(event);
            }
            return Step::Nothing;
        }
        self.store(fingerprint, Stage::Open, event, full);
        Step::Nothing
    }

    /// An answer; `scratch` gets it.
    pub(crate) fn answer(&mut self, event: &SessionEvent, scratch: &mut Message, full: &mut u64) -> Step {
        let Some(fingerprint) = self.fingerprint(event, event.destination, event.source) else {
            return Step::Nothing;
        };
        let slot = self.find(fingerprint);
        scratch.fill(event);
        if let Some(known) = self.at_mut(slot) {
            let age = event.time_ns.saturating_sub(known.message.time_ns);
            match known.stage {
                Stage::Open if known.message.kind.wrapping_add(1) == event.message && age <= LIFETIME_NS => {
                    return Step::Pair(slot);
                }
                Stage::Answered if age <= LIFETIME_NS => return Step::Nothing,
                _ => {
                    known.stage = Stage::Early;
                    known.message.fill(event);
                    return Step::Orphan;
                }
            }
        }
        self.store(fingerprint, Stage::Early, event, full);
        Step::Orphan
    }

    fn store(&mut self, fingerprint: u64, stage: Stage, event: &SessionEvent, full: &mut u64) {
        let place = if self.slots.len() < self.slots_max {
            let message = Message::new();
            self.slots.push(Transaction { fingerprint, chain: 0, stage, digest: 0, message });
            self.slots.len() - 1
        } else {
            let place = self.oldest;
            self.oldest = if place + 1 < self.slots_max { place + 1 } else { 0 };
            self.forget(place, event.time_ns, full);
            place
        };
        let slot = place as u32 + 1;
        let key = self.key;
        let Some(head) = self.head(fingerprint) else { return };
        let chain = core::mem::replace(head, slot);
        if let Some(transaction) = self.slots.get_mut(place) {
            transaction.fingerprint = fingerprint;
            transaction.chain = chain;
            transaction.stage = stage;
            transaction.message.fill(event);
            transaction.digest = transaction.message.digest(key);
        }
    }

    /// Takes the transaction in a place out of the index.
    fn forget(&mut self, place: usize, now_ns: u64, full: &mut u64) {
        let Some(old) = self.slots.get(place) else { return };
        let (fingerprint, after) = (old.fingerprint, old.chain);
        if old.stage == Stage::Open && now_ns.saturating_sub(old.message.time_ns) < LIFETIME_NS {
            *full += 1;
        }
        let slot = place as u32 + 1;
        let Some(head) = self.head(fingerprint) else { return };
        if *head == slot {
            *head = after;
            return;
        }
        let mut before = *head;
        while let Some(transaction) = self.at_mut(before) {
            if transaction.chain == slot {
                transaction.chain = after;
                return;
            }
            before = transaction.chain;
        }
    }

    /// The request that an answer belongs to, without doing anything.
    pub(crate) fn asked(&mut self, event: &SessionEvent) -> Option<&Message> {
        let fingerprint = self.fingerprint(event, event.destination, event.source)?;
        let slot = self.find(fingerprint);
        self.at(slot).filter(|known| known.stage != Stage::Early).map(|known| &known.message)
    }
}
