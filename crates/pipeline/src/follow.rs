//! Where control-plane messages go while `control = "follow"`: once to each probe that has, or by its
//! subscriber will have, a session they concern.
//!
//! A message is asked for before it is acted on, because one that ends a session must still find it, and
//! after, because one that makes or moves a session finds it only then. What was found is remembered for
//! as long as an answer or a retransmission may come: a refusal has nothing else to go by, and what is sent
//! again after a session has ended goes where it went before.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;

use types::{ProbeSet, SessionEvent, Signalling};
use wire::FragmentId;

use crate::Fragments;

/// How long a message is remembered. N3 retransmissions after T3 are over by then. TS 29.274 7.6,
/// TS 29.244 6.4.
const LIFETIME_NS: u64 = 30_000_000_000;
/// Messages whose fingerprints lead to one place: the newest of them are kept.
const WAYS: usize = 8;

/// What is known of the messages of late, and of what is being read.
#[derive(Debug)]
pub(crate) struct Follow {
    /// Buckets of [`WAYS`]; a power of two of them.
    recent: Vec<Recent>,
    firsts: Fragments<ProbeSet>,
    /// Keys the fingerprints; it shows nowhere.
    seed: u64,
    datagram: Datagram,
}

/// A message of late. Two share a cache line.
#[derive(Clone, Copy, Debug, Default)]
struct Recent {
    /// Who sent whom which message under which number.
    fingerprint: u64,
    /// All of the datagram: what is sent again is the same in every byte.
    digest: u64,
    /// 0: nothing is here.
    time_ns: u64,
    /// Empty where it concerned no session.
    probes: ProbeSet,
}

/// The datagram in hand.
#[derive(Clone, Copy, Debug, Default)]
struct Datagram {
    digest: u64,
    messages: u64,
    probes: ProbeSet,
    /// Some message of it concerns no session.
    for_all: bool,
}

/// What is known of a message before it is acted on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before {
    /// The probes of what it concerned by itself.
    own: ProbeSet,
    /// Where it goes so far.
    probes: ProbeSet,
    own_word: u64,
    request_word: u64,
    digest: u64,
}

impl Follow {
    /// Remembers at least so many requests with their answers, and first fragments.
    pub(crate) fn new(transactions: usize, fragments: usize, seed: u64) -> Self {
        let messages = transactions.clamp(WAYS, 1 << 24).saturating_mul(2).next_power_of_two();
        Self {
            recent: vec![Recent::default(); messages],
            firsts: Fragments::new(fragments, seed.rotate_left(16)),
            seed,
            datagram: Datagram::default(),
        }
    }

    /// A datagram is about to be read.
    pub(crate) fn begin(&mut self, bytes: &[u8]) {
        let mut hasher = self.hasher();
        hasher.write(bytes);
        self.datagram = Datagram { digest: hasher.finish(), ..Datagram::default() };
    }

    /// A message of it is about to be acted on. `own` are the probes of what it concerns by itself, empty
    /// where that is nothing; `named` those of the subscriber that it names.
    pub(crate) fn before(&mut self, event: &SessionEvent, own: ProbeSet, named: ProbeSet) -> Before {
        // Two messages of one datagram are two.
        let digest = self.datagram.digest.wrapping_add(self.datagram.messages);
        self.datagram.messages += 1;
        let (source, destination) = (event.source, event.destination);
        let own_word = self.word(event, event.message, source, destination);
        let request_word = self.word(event, event.message.wrapping_sub(1), destination, source);
        let mut before = Before { own, probes: own, own_word, request_word, digest };
        if is_of_nodes(event) || event.sequence.is_none() {
            return before;
        }
        let sent_before = self
            .find(own_word, event.time_ns)
            .filter(|recent| recent.digest == digest && !recent.probes.is_empty());
        if let Some(recent) = sent_before {
            before.probes = recent.probes;
            return before;
        }
        let request = self.find(request_word, event.time_ns);
        if let Some(request) = request.filter(|request| !request.probes.is_empty()) {
            before.probes = request.probes.union(named);
        }
        before
    }

    /// It was acted on. `own` are now the probes of what it concerns by itself.
    pub(crate) fn after(&mut self, event: &SessionEvent, before: Before, own: ProbeSet) {
        if is_of_nodes(event) {
            self.datagram.for_all = true;
            return;
        }
        // What was there before and was not chosen then was another's that has or had its endpoint.
        let made = ProbeSet(own.0 & !before.own.0);
        let probes = before.probes.union(made);
        self.datagram.for_all |= probes.is_empty();
        self.datagram.probes = self.datagram.probes.union(probes);
        if event.sequence.is_none() {
            return;
        }
        let Before { own_word: fingerprint, digest, .. } = before;
        self.keep(Recent { fingerprint, digest, time_ns: event.time_ns.max(1), probes });
        // A request that is sent again after its answer has told whose it is.
        if let Some(request) = self.find_mut(before.request_word, event.time_ns) {
            request.probes = request.probes.union(probes);
        }
    }

    /// All of the datagram was read; `whole`: no message of it is left that could not be. Where it goes;
    /// empty: to all.
    pub(crate) fn end(&self, whole: bool) -> ProbeSet {
        if whole && !self.datagram.for_all { self.datagram.probes } else { ProbeSet::EMPTY }
    }

    /// A first fragment goes there: what follows it does, too.
    pub(crate) fn remember_first(&mut self, id: FragmentId, probes: ProbeSet, time_ns: u64) {
        self.firsts.remember(id, probes, time_ns);
    }

    /// Where the first fragment went; empty: to all.
    pub(crate) fn of_first(&self, id: &FragmentId, time_ns: u64) -> ProbeSet {
        self.firsts.recall(id, time_ns).unwrap_or(ProbeSet::EMPTY)
    }

    fn hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        hasher
    }

    /// One word for who sends whom which message under which number.
    fn word(&self, event: &SessionEvent, kind: u8, from: SocketAddr, to: SocketAddr) -> u64 {
        let mut hasher = self.hasher();
        let protocol = match event.protocol {
            Signalling::Gtpv1 => 1_u8,
            Signalling::Gtpv2 => 2,
            Signalling::Pfcp => 3,
        };
        (protocol, kind, event.sequence.unwrap_or(0), from, to).hash(&mut hasher);
        hasher.finish()
    }

    fn bucket(&self, fingerprint: u64) -> core::ops::Range<usize> {
        let first = fingerprint as usize & (self.recent.len() - 1) & !(WAYS - 1);
        first..first + WAYS
    }

    fn find(&self, fingerprint: u64, now_ns: u64) -> Option<&Recent> {
        let mut bucket = self.recent.get(self.bucket(fingerprint))?.iter();
        bucket.find(|recent| recent.is(fingerprint, now_ns))
    }

    fn find_mut(&mut self, fingerprint: u64, now_ns: u64) -> Option<&mut Recent> {
        let bucket = self.bucket(fingerprint);
        let mut bucket = self.recent.get_mut(bucket)?.iter_mut();
        bucket.find(|recent| recent.is(fingerprint, now_ns))
    }

    /// In the place of the last one of that name, else of the oldest.
    fn keep(&mut self, new: Recent) {
        let bucket = self.bucket(new.fingerprint);
        let Some(bucket) = self.recent.get_mut(bucket) else { return };
        let age = |old: &&mut Recent| if old.fingerprint == new.fingerprint { 0 } else { old.time_ns };
        if let Some(place) = bucket.iter_mut().min_by_key(age) {
            *place = new;
        }
    }
}

impl Recent {
    /// Whether it is that message, and not of long ago. A clock that goes back makes nothing older.
    const fn is(&self, fingerprint: u64, now_ns: u64) -> bool {
        self.time_ns != 0
            && self.fingerprint == fingerprint
            && now_ns.saturating_sub(self.time_ns) <= LIFETIME_NS
    }
}

/// Whether a message is between two nodes, whatever its header says: path management of GTP (TS 29.060
/// table 1, TS 29.274 table 6.1-1), node related messages of PFCP (TS 29.244 table 7.3-1).
const fn is_of_nodes(event: &SessionEvent) -> bool {
    match event.protocol {
        // Echo, Version Not Supported, Node Alive, Redirection; Supported Extension Headers Notification.
        Signalling::Gtpv1 => matches!(event.message, 1..=7 | 31),
        Signalling::Gtpv2 => matches!(event.message, 1..=3),
        Signalling::Pfcp => event.message < 50,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ProbeSet = ProbeSet(0b0001);
    const B: ProbeSet = ProbeSet(0b0010);
    const NONE: ProbeSet = ProbeSet::EMPTY;
    const S: u64 = 1_000_000_000;

    fn event(message: u8, sequence: u32, is_answer: bool, time_ns: u64) -> SessionEvent {
        let ends: [SocketAddr; 2] = ["192.0.2.1:2123".parse().unwrap(), "192.0.2.2:2123".parse().unwrap()];
        let [source, destination] = if is_answer { [ends[1], ends[0]] } else { ends };
        SessionEvent {
            message,
            sequence: Some(sequence),
            source,
            destination,
            time_ns,
            ..SessionEvent::new()
        }
    }

    /// One datagram of one message: `before` and `after` it finds these.
    fn pass(follow: &mut Follow, event: &SessionEvent, before: ProbeSet, after: ProbeSet) -> ProbeSet {
        follow.begin(&[event.message, event.sequence.unwrap_or(0) as u8]);
        let known = follow.before(event, before, NONE);
        follow.after(event, known, after);
        follow.end(true)
    }

    #[test]
    fn an_answer_takes_the_sessions_of_its_request() {
        let mut follow = Follow::new(64, 64, 1);
        // A Create Session Request, which is refused: the refusal names nothing.
        assert_eq!(pass(&mut follow, &event(32, 7, false, S), A, A), A);
        assert_eq!(pass(&mut follow, &event(33, 7, true, S), NONE, NONE), A);
        // Its endpoint is another's by what the tap saw: that one has nothing to do with it.
        assert_eq!(pass(&mut follow, &event(32, 8, false, S), A, A), A);
        assert_eq!(pass(&mut follow, &event(33, 8, true, S), B, B), A);
        // Not the answer: another number, another type, the same direction, too late.
        assert_eq!(pass(&mut follow, &event(33, 9, true, S), NONE, NONE), NONE);
        assert_eq!(pass(&mut follow, &event(35, 7, true, S), NONE, NONE), NONE);
        assert_eq!(pass(&mut follow, &event(33, 7, false, S), NONE, NONE), NONE);
        assert_eq!(pass(&mut follow, &event(33, 8, true, 32 * S), NONE, NONE), NONE);
    }

    #[test]
    fn what_is_sent_again_goes_where_it_went() {
        let mut follow = Follow::new(64, 64, 1);
        // A session ends, and its endpoint goes to another.
        assert_eq!(pass(&mut follow, &event(36, 7, false, S), A, A), A);
        assert_eq!(pass(&mut follow, &event(37, 7, true, S), A, NONE), A);
        for own in [NONE, B] {
            assert_eq!(pass(&mut follow, &event(36, 7, false, 2 * S), own, own), A);
            assert_eq!(pass(&mut follow, &event(37, 7, true, 2 * S), own, own), A);
        }
        // The number came round: another message.
        let known = {
            follow.begin(b"other bytes");
            follow.before(&event(36, 7, false, 3 * S), B, NONE)
        };
        follow.after(&event(36, 7, false, 3 * S), known, B);
        assert_eq!(follow.end(true), B);
    }

    #[test]
    fn what_is_known_only_after_an_answer_is_known_of_its_request_too() {
        let mut follow = Follow::new(64, 64, 1);
        assert_eq!(pass(&mut follow, &event(50, 7, false, S), NONE, NONE), NONE);
        assert_eq!(pass(&mut follow, &event(51, 7, true, S), NONE, A), A);
        assert_eq!(pass(&mut follow, &event(50, 7, false, S), NONE, NONE), A);
        // It moves: there and there.
        assert_eq!(pass(&mut follow, &event(52, 8, false, S), A, A), A);
        assert_eq!(pass(&mut follow, &event(53, 8, true, S), A, B), A.union(B));
    }

    #[test]
    fn a_datagram_goes_where_any_of_its_messages_goes() {
        let mut follow = Follow::new(64, 64, 1);
        let (one, two) = (event(33, 7, true, S), event(95, 8, true, S));
        let echo = event(1, 9, true, S);
        let cases = [
            (&two, B, true, A.union(B)),
            (&two, NONE, true, NONE),
            // Whatever the header of an Echo says.
            (&echo, B, true, NONE),
            (&two, B, false, NONE),
        ];
        for (n, (second, own, whole, expected)) in cases.into_iter().enumerate() {
            // Other bytes each time: nothing of it is sent again.
            follow.begin(&[n as u8]);
            for (event, own) in [(&one, A), (second, own)] {
                let known = follow.before(event, own, NONE);
                follow.after(event, known, own);
            }
            assert_eq!(follow.end(whole), expected);
        }
        follow.begin(b"nothing in it");
        assert_eq!(follow.end(true), NONE);
    }

    #[test]
    fn a_full_memory_forgets_the_oldest() {
        let mut follow = Follow::new(8, 8, 1);
        for sequence in 0..1_000 {
            pass(&mut follow, &event(32, sequence, false, S + u64::from(sequence)), A, A);
        }
        let found = |follow: &mut Follow, sequence| {
            !pass(follow, &event(33, sequence, true, 2 * S), NONE, NONE).is_empty()
        };
        assert!(found(&mut follow, 999) && !found(&mut follow, 0));
        assert_eq!(follow.recent.len(), 16);
    }
}
