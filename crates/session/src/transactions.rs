//! Requests that wait for their answer, answers that came before their request, and for a while those
//! that are answered, so that what is sent again is not done again.

use std::net::{IpAddr, SocketAddr};

use types::{Heading, SessionEvent, Signalling};

use crate::index::HashKey;
use crate::message::Message;

/// How long a request waits, and how long an answered one is remembered. N3 retransmissions after T3
/// are over by then. TS 29.274 7.6, TS 29.244 6.4.
const LIFETIME_NS: u64 = 30_000_000_000;
/// How long an answer waits for a request that was captured after it.
const EARLY_NS: u64 = 5_000_000_000;
/// So many requests that wait under one sequence number, whoever sent them, are looked at for an answer
/// that came or went another way. Where there are more, it is nobody's.
const ALIKE_MAX: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// A request without an answer.
    Open,
    /// An answer without a request.
    Early,
    Answered,
}

/// A transaction without its message: half a cache line, so that all of them are found fast.
#[derive(Clone, Copy)]
#[repr(align(32))]
struct Transaction {
    fingerprint: u64,
    time_ns: u64,
    /// See [`Message::digest`].
    digest: u32,
    /// Next in the index.
    chain: u32,
    /// Where its message is; 0 for one that is answered.
    body: u32,
    stage: Stage,
    /// Message type.
    kind: u8,
}

const _: () = assert!(size_of::<Transaction>() == 32);

/// The message of a transaction. Open requests are in a list by type and sequence number, too.
struct Body {
    message: Message,
    /// The transaction's.
    slot: u32,
    sequence: u32,
    /// Next and previous in the list.
    next: u32,
    before: u32,
    /// The place of the list, counted from 1 on; 0 for a message that is in none.
    list: u32,
}

/// What a message is in its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing is to be done: sent again, or without its counterpart yet.
    Nothing,
    /// Its counterpart is there, in this slot.
    Pair(u32),
    /// The same, of an answer that came from or went to another address or port than its request.
    Astray(u32),
    /// An answer whose request was not seen.
    Orphan,
}

/// A ring: the newest replaces the oldest. Only what is not answered has a message; those lie by
/// themselves, last in, first out, so few of them are touched as long as answers come.
pub(crate) struct Transactions {
    slots: Vec<Transaction>,
    slots_max: usize,
    oldest: usize,
    heads: Vec<u32>,
    key: HashKey,
    bodies: Vec<Body>,
    free_bodies: Vec<u32>,
    /// First open request of a type and sequence number.
    alike: Vec<u32>,
}

impl Transactions {
    pub(crate) fn new(slots_max: u32, key: HashKey) -> Self {
        let slots_max = slots_max.max(1) as usize;
        Self {
            slots: Vec::with_capacity(slots_max),
            slots_max,
            oldest: 0,
            heads: vec![0; slots_max.next_power_of_two() * 2],
            key,
            bodies: Vec::with_capacity(slots_max),
            free_bodies: Vec::with_capacity(slots_max),
            alike: vec![0; slots_max.next_power_of_two()],
        }
    }

    /// Asks for huge pages.
    pub(crate) fn prefer_huge(&mut self) {
        cpu::prefer_huge(self.slots.spare_capacity_mut());
        cpu::prefer_huge(&self.heads);
        cpu::prefer_huge(self.bodies.spare_capacity_mut());
        cpu::prefer_huge(&self.alike);
    }

    /// One word for who asked whom what: an answer has the same as its request. The key is secret, so
    /// nobody can aim at another's.
    fn fingerprint(&self, event: &SessionEvent, asks: SocketAddr, asked: SocketAddr) -> Option<u64> {
        Some(self.fingerprint_of(event.protocol, event.sequence?, asks, asked))
    }

    fn fingerprint_of(
        &self,
        protocol: Signalling,
        sequence: u32,
        asks: SocketAddr,
        asked: SocketAddr,
    ) -> u64 {
        let address = |state, address: SocketAddr| {
            let port = u64::from(address.port());
            match address.ip() {
                IpAddr::V4(ip) => self.key.add(state, u64::from(ip.to_bits()) << 16 | port),
                IpAddr::V6(ip) => {
                    let bits = ip.to_bits();
                    let state = self.key.add(self.key.add(state, (bits >> 64) as u64), bits as u64);
                    // No word of an IPv4 address.
                    self.key.add(state, !port)
                }
            }
        };
        let first = self.key.add(number(protocol), u64::from(sequence));
        self.key.word(address(address(first, asks), asked))
    }

    /// Asks for where a message will be looked for. Returns what [`Self::prefetch_slot`] wants.
    pub(crate) fn prefetch_head(&self, heading: &Heading, is_answer: bool) -> u64 {
        let (asks, asked) = match is_answer {
            false => (heading.source, heading.destination),
            true => (heading.destination, heading.source),
        };
        let fingerprint = self.fingerprint_of(heading.protocol, heading.sequence.unwrap_or(0), asks, asked);
        cpu::prefetch_at(&self.heads, fingerprint as usize & (self.heads.len() - 1));
        if let (false, Some(sequence)) = (is_answer, heading.sequence) {
            let list = self.list_of(heading.protocol, heading.message, sequence);
            cpu::prefetch_at(&self.alike, list);
        }
        fingerprint
    }

    /// Asks for what is there.
    pub(crate) fn prefetch_slot(&self, fingerprint: u64) {
        let slot = self.heads.get(fingerprint as usize & (self.heads.len() - 1)).copied().unwrap_or(0);
        cpu::prefetch_at(&self.slots, (slot as usize).wrapping_sub(1));
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

    fn find(&self, fingerprint: u64) -> u32 {
        let mut slot = self.first(fingerprint);
        while let Some(transaction) = self.at(slot) {
            if transaction.fingerprint == fingerprint {
                return slot;
            }
            slot = self.later(slot, transaction);
        }
        0
    }

    /// The newest transaction of a chain, or 0. A slot that was given to another chain is the end of
    /// this one: what was entered before it is gone, too.
    fn first(&self, fingerprint: u64) -> u32 {
        let mask = self.heads.len() - 1;
        let place = fingerprint as usize & mask;
        let slot = self.heads.get(place).copied().unwrap_or(0);
        self.at(slot).filter(|first| first.fingerprint as usize & mask == place).map_or(0, |_| slot)
    }

    /// The next older one of its chain, or 0. A slot that is newer than what leads to it was replaced.
    fn later(&self, slot: u32, transaction: &Transaction) -> u32 {
        let (mask, chain) = (self.heads.len() - 1, transaction.chain);
        let place = transaction.fingerprint as usize & mask;
        let is_next = |next: &&Transaction| {
            next.fingerprint as usize & mask == place && self.age(chain) > self.age(slot)
        };
        self.at(chain).filter(is_next).map_or(0, |_| chain)
    }

    /// How many slots were filled after this one.
    fn age(&self, slot: u32) -> usize {
        let place = (slot as usize).wrapping_sub(1);
        let newest = if self.oldest == 0 { self.slots.len() } else { self.oldest }.wrapping_sub(1);
        if place <= newest { newest - place } else { newest + self.slots.len() - place }
    }

    fn body(&self, body: u32) -> Option<&Body> {
        self.bodies.get((body as usize).checked_sub(1)?)
    }

    fn body_mut(&mut self, body: u32) -> Option<&mut Body> {
        self.bodies.get_mut((body as usize).checked_sub(1)?)
    }

    /// The message in a slot.
    pub(crate) fn message(&self, slot: u32) -> Option<&Message> {
        self.body(self.at(slot)?.body).map(|body| &body.message)
    }

    /// The request that waits under the number of [`Self::prefetch_head`].
    pub(crate) fn open(&self, fingerprint: u64) -> Option<&Message> {
        let slot = self.find(fingerprint);
        self.at(slot).filter(|known| known.stage == Stage::Open)?;
        self.message(slot)
    }

    /// A place for a message. There are as many as transactions, so there is always one.
    fn take_body(&mut self) -> u32 {
        if let Some(body) = self.free_bodies.pop() {
            return body;
        }
        if self.bodies.len() < self.slots_max {
            let message = Message::new();
            self.bodies.push(Body { message, slot: 0, sequence: 0, next: 0, before: 0, list: 0 });
            return self.bodies.len() as u32;
        }
        0
    }

    /// Marks a transaction as done.
    pub(crate) fn done(&mut self, slot: u32) {
        let Some(transaction) = self.at_mut(slot) else { return };
        transaction.stage = Stage::Answered;
        let body = core::mem::take(&mut transaction.body);
        if body != 0 {
            self.unlist(body);
            self.free_bodies.push(body);
        }
    }

    /// Where the list of requests with a type and sequence number begins.
    fn list_of(&self, protocol: Signalling, kind: u8, sequence: u32) -> usize {
        let word = self.key.words(number(protocol) << 8 | u64::from(kind), u64::from(sequence));
        word as usize & (self.alike.len() - 1)
    }

    /// Enters an open request in its list.
    fn list(&mut self, body: u32, slot: u32, sequence: u32) {
        let Some(own) = self.body(body) else { return };
        let list = self.list_of(own.message.protocol, own.message.kind, sequence);
        let Some(first) = self.alike.get_mut(list) else { return };
        let next = core::mem::replace(first, body);
        if let Some(next) = self.body_mut(next) {
            next.before = body;
        }
        if let Some(own) = self.body_mut(body) {
            (own.slot, own.sequence, own.next, own.before, own.list) =
                (slot, sequence, next, 0, list as u32 + 1);
        }
    }

    /// Takes a message out of its list, where it is in one.
    fn unlist(&mut self, body: u32) {
        let Some(own) = self.body_mut(body) else { return };
        let (next, before) = (own.next, own.before);
        let Some(list) = core::mem::take(&mut own.list).checked_sub(1) else { return };
        match self.body_mut(before) {
            Some(before) => before.next = next,
            None => {
                if let Some(first) = self.alike.get_mut(list as usize) {
                    *first = next;
                }
            }
        }
        if let Some(next) = self.body_mut(next) {
            next.before = before;
        }
    }

    /// The one open request that an answer fits which has come another way. Of several it is none.
    fn astray(&self, event: &SessionEvent, fits: impl Fn(&Message) -> bool) -> Option<u32> {
        let (kind, sequence) = (event.message.checked_sub(1)?, event.sequence?);
        let mut body = self.alike.get(self.list_of(event.protocol, kind, sequence)).copied()?;
        let mut found = None;
        for _ in 0..ALIKE_MAX {
            let Some(Body { message, slot, sequence: own, next, .. }) = self.body(body) else { return found };
            let alike = (message.protocol, message.kind, *own) == (event.protocol, kind, sequence);
            let in_time = event.time_ns.saturating_sub(message.time_ns) <= LIFETIME_NS;
            if alike && in_time && fits(message) && found.replace(*slot).is_some() {
                return None;
            }
            body = *next;
        }
        found.filter(|_| body == 0)
    }

    /// A request. `scratch` gets it where its answer is there already.
    pub(crate) fn request(&mut self, event: &SessionEvent, scratch: &mut Message, full: &mut u64) -> Step {
        let Some(fingerprint) = self.fingerprint(event, event.source, event.destination) else {
            return Step::Nothing;
        };
        let slot = self.find(fingerprint);
        let Some(known) = self.at(slot).copied() else {
            let slot = self.replace_oldest(fingerprint, event.time_ns, full);
            self.start(slot, Stage::Open, event);
            return Step::Nothing;
        };
        scratch.fill(event);
        let age = event.time_ns.saturating_sub(known.time_ns);
        if known.stage == Stage::Early && age <= EARLY_NS && known.kind == event.message.wrapping_add(1) {
            let digest = scratch.digest(self.key);
            if let Some(known) = self.at_mut(slot) {
                known.digest = digest;
            }
            return Step::Pair(slot);
        }
        let again =
            known.stage != Stage::Early && age <= LIFETIME_NS && known.digest == scratch.digest(self.key);
        if !again {
            // Its sequence number came round: it starts anew where it is.
            self.start(slot, Stage::Open, event);
        }
        Step::Nothing
    }

    /// An answer; `scratch` gets it. `fits` tells whether it can be the answer to a request that came from
    /// or went to another address or port.
    pub(crate) fn answer(
        &mut self,
        event: &SessionEvent,
        scratch: &mut Message,
        full: &mut u64,
        fits: impl Fn(&Message, &Message) -> bool,
    ) -> Step {
        let Some(fingerprint) = self.fingerprint(event, event.destination, event.source) else {
            return Step::Nothing;
        };
        let mut slot = self.find(fingerprint);
        if let Some(known) = self.at(slot) {
            let age = event.time_ns.saturating_sub(known.time_ns);
            let asked = known.kind.wrapping_add(1) == event.message;
            match known.stage {
                Stage::Open if asked && age <= LIFETIME_NS => {
                    scratch.fill(event);
                    return Step::Pair(slot);
                }
                Stage::Answered if age <= LIFETIME_NS => return Step::Nothing,
                _ => {}
            }
        } else {
            slot = self.replace_oldest(fingerprint, event.time_ns, full);
            scratch.fill(event);
            if let Some(asked) = self.astray(event, |request| fits(request, scratch)) {
                // What is sent again finds this one.
                self.done(slot);
                if let Some(own) = self.at_mut(slot) {
                    (own.time_ns, own.kind) = (event.time_ns, event.message);
                }
                return Step::Astray(asked);
            }
        }
        self.start(slot, Stage::Early, event);
        scratch.fill(event);
        Step::Orphan
    }

    /// What a slot holds from now on.
    fn start(&mut self, slot: u32, stage: Stage, event: &SessionEvent) {
        let Some(transaction) = self.at(slot) else { return };
        let body = if transaction.body == 0 { self.take_body() } else { transaction.body };
        self.unlist(body);
        let key = self.key;
        let Some(own) = self.body_mut(body) else { return };
        own.message.fill(event);
        let digest = own.message.digest(key);
        if let Some(sequence) = event.sequence.filter(|_| stage == Stage::Open) {
            self.list(body, slot, sequence);
        }
        if let Some(transaction) = self.at_mut(slot) {
            transaction.stage = stage;
            transaction.digest = digest;
            transaction.time_ns = event.time_ns;
            transaction.kind = event.message;
            transaction.body = body;
        }
    }

    /// A slot for a new transaction: a fresh one, or that of the oldest.
    fn replace_oldest(&mut self, fingerprint: u64, now_ns: u64, full: &mut u64) -> u32 {
        let place = if self.slots.len() < self.slots_max {
            self.slots.push(Transaction {
                fingerprint,
                digest: 0,
                time_ns: now_ns,
                chain: 0,
                body: 0,
                stage: Stage::Answered,
                kind: 0,
            });
            self.slots.len() - 1
        } else {
            let place = self.oldest;
            self.oldest = if place + 1 < self.slots_max { place + 1 } else { 0 };
            self.forget(place, now_ns, full);
            place
        };
        let slot = place as u32 + 1;
        let chain = self.first(fingerprint);
        if let Some(head) = self.head(fingerprint) {
            *head = slot;
        }
        if let Some(transaction) = self.slots.get_mut(place) {
            transaction.fingerprint = fingerprint;
            transaction.chain = chain;
        }
        slot
    }

    /// Lets go of the transaction in a place. Its chain is told by [`Self::later`] that it is gone.
    fn forget(&mut self, place: usize, now_ns: u64, full: &mut u64) {
        let Some(old) = self.slots.get(place) else { return };
        if old.stage == Stage::Open && now_ns.saturating_sub(old.time_ns) < LIFETIME_NS {
            *full += 1;
        }
        let body = old.body;
        self.unlist(body);
    }

    /// The slots of all open requests, list by list; checks that these are whole.
    #[cfg(test)]
    pub(crate) fn lists(&self) -> Vec<u32> {
        let mut found = Vec::new();
        for (list, &first) in self.alike.iter().enumerate() {
            let (mut before, mut body) = (0, first);
            while let Some(own) = self.body(body) {
                assert_eq!((own.before, own.list as usize), (before, list + 1));
                let slot = self.at(own.slot).unwrap();
                assert_eq!((slot.stage, slot.body), (Stage::Open, body));
                found.push(own.slot);
                (before, body) = (body, own.next);
            }
        }
        let open = self.slots.iter().filter(|slot| slot.stage == Stage::Open);
        assert_eq!(open.count(), found.len(), "every open one is in a list");
        found
    }

    /// The request that an answer is awaited for, without doing anything.
    pub(crate) fn asked(&mut self, event: &SessionEvent) -> Option<&Message> {
        let fingerprint = self.fingerprint(event, event.destination, event.source)?;
        let slot = self.find(fingerprint);
        self.at(slot).filter(|known| known.stage == Stage::Open)?;
        self.message(slot)
    }
}

/// A number for each protocol.
const fn number(protocol: Signalling) -> u64 {
    match protocol {
        Signalling::Gtpv1 => 1,
        Signalling::Gtpv2 => 2,
        Signalling::Pfcp => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The newest are found and no other, however often slots pass from chain to chain.
    #[test]
    fn a_ring_forgets_the_oldest() {
        for slots in [1, 2, 3, 7, 64] {
            let mut ring = Transactions::new(slots, HashKey::new(9));
            let mut model = std::collections::VecDeque::new();
            let mut word = 1_u64;
            for _ in 0..20_000 {
                word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                // A few chains only, so that slots often come back to the chain that they left.
                let fingerprint = (word >> 33) % (3 * u64::from(slots));
                let found = ring.find(fingerprint);
                assert_eq!(found != 0, model.contains(&fingerprint));
                if found == 0 {
                    let slot = ring.replace_oldest(fingerprint, 0, &mut 0);
                    assert_eq!(ring.find(fingerprint), slot);
                    model.push_back(fingerprint);
                    if model.len() > slots as usize {
                        model.pop_front();
                    }
                }
            }
        }
    }
}
