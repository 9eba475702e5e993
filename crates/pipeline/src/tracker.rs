//! The tracker: follows the control plane, keeps the sessions, and is the only writer of the tables
//! that every receiver reads.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use balance::{Balancer, ClusterKey};
use batch::Frame;
use hashbrown::HashMap;
use session::{
    Ahead, Contradiction, Cursor, Effects, Filter, Loss, NotRestored, PackedKey, Pin, Reader, Record,
    SessionId, Sessions, TunnelId, TunnelWriter, View, Writer,
};
use types::{
    Imsi, LinkType, Malformed, ProbeId, ProbeSet, SessionEvent, Signalling, Toward, TrafficClass, TunnelKey,
    UeAddress, Verdict,
};
use wire::{Addresses, Fragment};

use crate::accounts::{SessionAccount, SessionBoard};
use crate::events::{Herald, Named, What};
use crate::feed::{Feed, FeedEntry};
use crate::follow::Follow;
use crate::inquiry::Window;
use crate::linear::Linear;
use crate::lines::{Binding, Line, Lines, Standing, can_be_ue};
use crate::scribe::{Restored, SavedSession, Scribe};
use crate::shown::Shown;
use crate::stay::{Ground, Stay};

/// A UE's address leads to this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) session: SessionId,
    /// Whether the session's control plane was seen.
    pub(crate) known: bool,
}

impl Place {
    /// The numbers of sessions have the bits below: a configuration has at most half as many.
    const KNOWN: u32 = 1 << 29;
    /// No session: packets have shown that this is a UE's address, and it goes by that.
    const SHOWN: Self = Self { session: SessionId(Self::KNOWN - 1), known: false };

    const fn bits(self) -> u32 {
        self.session.0 | if self.known { Self::KNOWN } else { 0 }
    }

    #[inline(always)]
    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self { session: SessionId(bits & !Self::KNOWN), known: bits & Self::KNOWN != 0 }
    }
}

/// The verdict of every session, for those who find a session by its UE's address. The tracker writes;
/// the table of addresses, which leads here, publishes what was written before.
#[derive(Clone, Debug)]
pub(crate) struct Verdicts(Arc<cpu::Array<AtomicU32>>);

impl Verdicts {
    pub(crate) fn new(sessions_max: u32, pages: cpu::Pages) -> std::io::Result<Self> {
        Ok(Self(Arc::new(cpu::Array::zeroed(sessions_max as usize + 1, pages)?)))
    }

    #[inline(always)]
    pub(crate) fn get(&self, session: SessionId) -> Verdict {
        let word = self.0.get(session.0 as usize);
        word.map_or(Verdict::NONE, |word| Verdict::from_bits(word.load(Ordering::Relaxed)))
    }

    fn set(&self, session: SessionId, verdict: Verdict) {
        self.set_with(session, verdict, Ground::default());
    }

    /// The same, and the ground of it.
    fn set_with(&self, session: SessionId, verdict: Verdict, ground: Ground) {
        if let Some(word) = self.0.get(session.0 as usize) {
            word.store(verdict.bits() | ground.bits(), Ordering::Relaxed);
        }
    }

    /// Verdict and ground: what is saved of a session.
    pub(crate) fn word(&self, session: SessionId) -> u32 {
        self.0.get(session.0 as usize).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    fn ground(&self, session: SessionId) -> Ground {
        Ground::from_bits(self.word(session))
    }

    /// Sessions there can be.
    fn sessions_max(&self) -> u64 {
        (self.0.len() as u64).saturating_sub(1)
    }
}

/// What a receiver finds by a UE's address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) verdict: Verdict,
    pub(crate) known: bool,
}

/// Finds it.
#[derive(Clone, Debug)]
pub(crate) struct PlaceReader {
    pub(crate) ues: Reader,
    pub(crate) verdicts: Verdicts,
}

impl PlaceReader {
    /// Asks for the line that [`Self::find`] begins with.
    #[inline(always)]
    pub(crate) fn prefetch(&self, address: IpAddr) {
        self.ues.prefetch(packed(address));
    }

    #[inline]
    pub(crate) fn find(&self, address: IpAddr) -> Option<Found> {
        let Place { session, known } = self.ues.lookup(packed(address)).map(Place::from_bits)?;
        Some(Found { verdict: self.verdicts.get(session), known })
    }
}

/// What the tracker is made of.
pub(crate) struct Parts {
    pub(crate) sessions: Sessions,
    pub(crate) verdicts: Verdicts,
    pub(crate) tunnels: TunnelWriter,
    pub(crate) ues: Writer,
    pub(crate) epochs: cpu::Epochs,
    /// One for each receiver.
    pub(crate) lines: Arc<[Lines]>,
    pub(crate) balancer: Balancer,
    pub(crate) cluster: ClusterKey,
    pub(crate) workers: usize,
    pub(crate) link: LinkType,
    pub(crate) board: Arc<SessionBoard>,
    /// Whether sessions that have ended are kept, to be told of at the end.
    pub(crate) keep_ended: bool,
    pub(crate) window: Option<Window>,
    /// Set where messages go to the probes of the sessions they concern.
    pub(crate) follow: Option<Follow>,
    /// Set where somebody keeps what changes.
    pub(crate) scribe: Option<Scribe>,
    /// Set where a session that becomes known stays where it was.
    pub(crate) stay: Option<Stay>,
    /// Set where somebody wants to know what happens.
    pub(crate) herald: Option<Herald>,
    /// Set where somebody tells whose UE addresses are.
    pub(crate) feed: Option<Feed>,
}

/// A control-plane message in its frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    class: TrafficClass,
    /// Where the datagram begins, and how long it is.
    at: u32,
    bytes: u32,
    source: SocketAddr,
    destination: SocketAddr,
    ahead: Ahead,
    /// What follows it belongs to it.
    is_first_fragment: bool,
}

/// What came of a control-plane message.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    /// What is wrong with it.
    pub(crate) malformed: Option<Malformed>,
    /// The probes it goes to; empty: all.
    pub(crate) probes: ProbeSet,
}

impl Look {
    /// What stands behind the datagram is padding.
    fn datagram<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        let datagram = frame.get(self.at as usize..).unwrap_or_default();
        datagram.get(..self.bytes as usize).unwrap_or(datagram)
    }
}

/// Sessions, and the tables that lead to them.
pub struct Tracker {
    sessions: Sessions,
    tables: Tables,
    lines: Arc<[Lines]>,
    epochs: cpu::Epochs,
    event: Box<SessionEvent>,
    linear: Linear,
    link: LinkType,
    board: Arc<SessionBoard>,
    /// Pairs of inner addresses of tunnels of which one packet was seen, and nothing else is known; one of
    /// IPv4 and one of IPv6.
    first_pairs: HashMap<(TunnelKey, bool), Addresses>,
    keep_ended: bool,
    ended: Vec<Record>,
    window: Option<Window>,
    follow: Option<Follow>,
    scribe: Option<Scribe>,
    shown: Shown,
}

/// In so many ticks every session is looked at.
const TICKS_MAX: u64 = 16_384;
/// Pairs that are remembered at a time. One more, and all are remembered anew.
const FIRST_PAIRS_MAX: usize = 65_536;
/// Sessions that become known in one message and are told of.
const LEARNED_MAX: usize = 64;
/// Sessions whose folded endpoints are summed up. Only somebody who tries makes one have so many.
const FOLDED_MAX: usize = 4_096;

impl Tracker {
    pub(crate) fn new(mut parts: Parts) -> Self {
        if parts.scribe.is_some() {
            parts.sessions.track_changes();
        }
        Self {
            sessions: parts.sessions,
            tables: Tables {
                tunnels: parts.tunnels,
                ues: parts.ues,
                lines: Arc::clone(&parts.lines),
                balancer: parts.balancer,
                cluster: parts.cluster,
                workers: parts.workers.clamp(1, Verdict::OWNERS_MAX),
                verdicts: parts.verdicts,
                by_probe: [0; ProbeId::MAX],
                moved: 0,
                tunnels_full: 0,
                bound: Vec::with_capacity(1_024),
                moves: Vec::with_capacity(64),
                restoring: false,
                stay: parts.stay,
                herald: parts.herald,
                now_ns: 0,
                learned: Vec::with_capacity(LEARNED_MAX),
                feed: parts.feed,
                nameless: Vec::with_capacity(LEARNED_MAX),
                folded: HashMap::with_capacity(2 * FOLDED_MAX),
            },
            lines: parts.lines,
            epochs: parts.epochs,
            event: Box::new(SessionEvent::new()),
            linear: Linear::new(),
            link: parts.link,
            board: parts.board,
            // Half full it never grows.
            first_pairs: HashMap::with_capacity(2 * FIRST_PAIRS_MAX),
            keep_ended: parts.keep_ended,
            ended: Vec::new(),
            window: parts.window,
            follow: parts.follow,
            scribe: parts.scribe,
            shown: Shown::new(),
        }
    }

    /// Takes over the sessions of an earlier run, with the probes that they had. To be done before the first
    /// packet. `now_ns`: by what idle times are judged.
    pub fn restore(&mut self, mut saved: Vec<SavedSession>, now_ns: u64) -> Restored {
        // Of two that claim the same, the later one has it.
        saved.sort_by_cached_key(|one| one.saved.created_ns());
        let mut restored = Restored::default();
        self.tables.restoring = true;
        let full_before = self.tunnels_refused();
        for SavedSession { session, verdict, ground, saved, probe_gone } in saved {
            let owner = usize::from(verdict.owner()) % self.tables.workers;
            if verdict.is_some() {
                let verdict = Verdict::new(owner as u8, verdict.first(), verdict.second());
                let ground = if self.tables.stay.is_some() { ground } else { Ground::default() };
                self.tables.verdicts.set_with(session, verdict, ground);
            }
            match self.sessions.restore(session, &saved, now_ns, &mut self.tables) {
                Ok(()) => {
                    restored.sessions += 1;
                    restored.probe_gone += u64::from(probe_gone);
                    if verdict.is_some() {
                        self.tables.count_probe(verdict.first(), u64::wrapping_add);
                    }
                }
                Err(why) => {
                    self.tables.verdicts.set(session, Verdict::NONE);
                    match why {
                        NotRestored::Idle => restored.idle += 1,
                        NotRestored::NoRoom => restored.no_room += 1,
                    }
                }
            }
            // Nothing waits for a tunnel yet.
            self.tables.bound.clear();
        }
        self.tables.restoring = false;
        restored.tunnels_full = self.tunnels_refused() - full_before;
        self.settle();
        self.sessions.restored();
        self.publish();
        restored
    }

    /// Answers a question from another thread, if there is one.
    #[inline]
    pub(crate) fn serve(&mut self) {
        let Some(mut window) = self.window.take() else { return };
        window.serve(|inquiry| {
            inquiry.next = self.find(&inquiry.filter, inquiry.cursor, &mut inquiry.found);
        });
        self.window = Some(window);
        self.take_fed();
    }

    /// Takes over a page of the feed, if there is one.
    #[inline]
    fn take_fed(&mut self) {
        let Some(mut page) = self.tables.feed.as_mut().and_then(Feed::next_page) else { return };
        page.sessions = page.entries.iter().map(|entry| self.feed(entry)).sum();
        if let Some(feed) = &mut self.tables.feed {
            feed.give_back(page);
        }
    }

    /// Takes over an entry of the feed. Returns how many sessions got something of it.
    pub fn feed(&mut self, entry: &FeedEntry) -> u64 {
        let Self { sessions, tables, .. } = self;
        let Some(feed) = &mut tables.feed else { return 0 };
        feed.put(entry);
        if entry.identity.is_none() {
            return 0;
        }
        let mut named = 0;
        for session in sessions.sessions_at(entry.ue) {
            named += u64::from(tables.identify(sessions, session));
        }
        self.settle();
        named
    }

    /// Finds a control-plane message in its frame, and asks for the memory that following it will need.
    pub(crate) fn look<F: Frame>(&mut self, frame: &F) -> Option<Look> {
        let bytes = self.linear.bytes(frame);
        let found = wire::dissect(self.link, bytes);
        let (Some(ends), Some(at), false) = (found.layers.ends, found.layers.datagram, found.layers.quoted)
        else {
            return None;
        };
        let (source, destination) = (ends.source(), ends.destination());
        let mut look = Look {
            class: found.class,
            at,
            bytes: found.layers.datagram_bytes,
            source,
            destination,
            ahead: Ahead::default(),
            is_first_fragment: matches!(found.fragment, Fragment::First(_)),
        };
        if let Some(heading) = wire::heading(found.class, look.datagram(bytes), source, destination) {
            look.ahead = self.sessions.ahead(&heading);
        }
        Some(look)
    }

    /// Asks for more, where the first is there by now: of the second message from here on.
    pub(crate) fn nearer(&self, look: &mut Look) {
        self.sessions.nearer(&mut look.ahead);
    }

    /// The same of the next message.
    pub(crate) fn next(&self, look: &Look) {
        self.sessions.next(&look.ahead, &self.tables);
    }

    /// Follows a control-plane message, and tells where it goes. `look` is what was found in its frame.
    pub(crate) fn message<F: Frame>(&mut self, frame: &F, look: Option<&Look>, now_ns: u64) -> Outcome {
        let Some(look) = look else {
            return Outcome { malformed: None, probes: self.of_later_fragment(frame, now_ns) };
        };
        self.tables.now_ns = now_ns;
        if self.follow.is_some() {
            return self.message_followed(frame, look, now_ns);
        }
        let Self { sessions, tables, event, linear, .. } = self;
        sessions.now(&look.ahead);
        let datagram = look.datagram(linear.bytes(frame));
        event.time_ns = now_ns;
        event.source = look.source;
        event.destination = look.destination;
        let reason = wire::signalling(look.class, datagram, event, &mut |event| {
            sessions.handle(event, tables);
        });
        self.settle();
        Outcome { malformed: reason, probes: ProbeSet::EMPTY }
    }

    /// The same while messages go to the probes of the sessions they concern.
    #[inline(never)]
    fn message_followed<F: Frame>(&mut self, frame: &F, look: &Look, now_ns: u64) -> Outcome {
        let Self { sessions, tables, event, linear, follow, .. } = self;
        let Some(follow) = follow else { return Outcome::default() };
        sessions.now(&look.ahead);
        let datagram = look.datagram(linear.bytes(frame));
        event.time_ns = now_ns;
        event.source = look.source;
        event.destination = look.destination;
        follow.begin(datagram);
        let malformed = wire::signalling(look.class, datagram, event, &mut |event| {
            let stays = tables.stay.is_some();
            let subscriber = if stays { sessions.subscriber_of(event) } else { event.imsi };
            let named = tables.probes_named(sessions, subscriber);
            let before = follow.before(event, tables.probes_concerned(sessions, event, named), named);
            sessions.handle(event, tables);
            let named = if stays { tables.probes_named(sessions, subscriber) } else { named };
            follow.after(event, before, tables.probes_concerned(sessions, event, named));
        });
        let probes = follow.end(wire::has_every_header(look.class, datagram));
        if look.is_first_fragment {
            if let Fragment::First(id) = wire::dissect(self.link, linear.bytes(frame)).fragment {
                follow.remember_first(id, probes, now_ns);
            }
        }
        self.settle();
        Outcome { malformed, probes }
    }

    /// Where a frame of the control plane goes that has no message: with its first fragment, else to all.
    fn of_later_fragment<F: Frame>(&mut self, frame: &F, now_ns: u64) -> ProbeSet {
        let Self { linear, follow, .. } = self;
        let Some(follow) = follow else { return ProbeSet::EMPTY };
        match wire::dissect(self.link, linear.bytes(frame)).fragment {
            Fragment::Later(id) => follow.of_first(&id, now_ns),
            Fragment::None | Fragment::First(_) => ProbeSet::EMPTY,
        }
    }

    /// A tunnel in no table was seen by its packets, and has waited long enough: it becomes an unknown
    /// session. `None` where there is no room for one.
    pub(crate) fn unknown(&mut self, key: TunnelKey, sender: IpAddr, first_ns: u64) -> Option<TunnelId> {
        self.forget_pairs(key);
        let made = self.sessions.unknown(key, sender, first_ns, &mut self.tables);
        self.settle();
        made.ok().map(|(_, tunnel)| tunnel)
    }

    /// Whether no further session finds room.
    pub(crate) fn is_full(&self) -> bool {
        self.sessions.counters().active >= self.tables.verdicts.sessions_max()
    }

    /// A packet of a tunnel whose UE address is not clear yet. The PDU session container says which
    /// end is the UE's, or the packets do: it is the address that they have in common once two peers
    /// were seen.
    pub(crate) fn seen(
        &mut self,
        tunnel: TunnelId,
        key: TunnelKey,
        addresses: Addresses,
        toward: Option<Toward>,
    ) {
        let Some((address, toward)) = self.shows(key, addresses, toward) else { return };
        // The UE may have another one.
        self.first_pairs.remove(&(key, address.is_ipv4()));
        self.sessions.learn_ue(tunnel, address, Some(toward), &mut self.tables);
        self.settle();
    }

    /// A packet is held, or goes by its pair in a tunnel of another. Once its UE's address is clear, its
    /// packets go by that, in whichever tunnel they are. `is_first`: who had the tunnel before does not count.
    pub(crate) fn by_pair(
        &mut self,
        key: TunnelKey,
        addresses: Addresses,
        toward: Option<Toward>,
        is_first: bool,
        time_ns: u64,
    ) {
        if is_first {
            self.forget_pairs(key);
        }
        let Some((address, _)) = self.shows(key, addresses, toward) else { return };
        let address = match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        };
        if self.shown.put(address, time_ns) && self.tables.place(address).is_none() {
            self.tables.set_place(address, Place::SHOWN);
        }
    }

    /// The address of the UE that a packet of a tunnel shows, where it does.
    fn shows(
        &mut self,
        key: TunnelKey,
        addresses: Addresses,
        toward: Option<Toward>,
    ) -> Option<(IpAddr, Toward)> {
        let told = match toward {
            Some(Toward::Uplink) => Some((addresses.source(), Toward::Uplink)),
            Some(Toward::Downlink) => Some((addresses.destination(), Toward::Downlink)),
            None => self.common(key, addresses),
        };
        told.filter(|(address, _)| can_be_ue(*address))
    }

    /// Packets contradict the session of a tunnel: it may be another's.
    pub(crate) fn contradicted(&mut self, tunnel: TunnelId, told: &Contradiction) {
        let Self { sessions, tables, lines, .. } = self;
        let last_of = |tunnel: TunnelId| last_of(lines, tunnel, told.time_ns);
        let key = sessions.key_of(tunnel);
        let before = sessions.holder_of(key);
        let is_anothers = sessions.relearn(tunnel, told, last_of, tables);
        if let Some(before) = before.filter(|_| is_anothers) {
            let session = sessions.holder_of(key).as_ref().map(Named::from);
            tables.tell(What::TunnelRelearned { tunnel: key, from: before.correlation_id, session });
        }
        self.settle();
    }

    /// The receiver of a tunnel does not know it.
    pub(crate) fn not_found(&mut self, key: TunnelKey, time_ns: u64) {
        self.sessions.not_found(key, time_ns, &mut self.tables);
        self.settle();
    }

    fn forget_pairs(&mut self, key: TunnelKey) {
        for is_v4 in [true, false] {
            self.first_pairs.remove(&(key, is_v4));
        }
    }

    fn common(&mut self, key: TunnelKey, addresses: Addresses) -> Option<(IpAddr, Toward)> {
        if !can_be_ue(addresses.source()) || !can_be_ue(addresses.destination()) {
            // A router solicitation says nothing of either end.
            return None;
        }
        let own = (key, addresses.source().is_ipv4());
        let Self { first_pairs, tables, .. } = self;
        if let Some(first) = first_pairs.get_mut(&own) {
            return in_common(first, addresses, |address| tables.place(address).is_some());
        }
        if first_pairs.len() >= FIRST_PAIRS_MAX {
            // Many are of tunnels that have ended, or were learned.
            first_pairs.clear();
        }
        first_pairs.insert(own, addresses);
        None
    }

    /// Once a millisecond of the engine's time: what ends by time, and what may be used again.
    /// `ticks`: how many have passed; after a gap in the traffic there is more to look at.
    pub(crate) fn tick(&mut self, now_ns: u64, ticks: u64) {
        self.tables.now_ns = now_ns;
        let epoch = self.epochs.advance();
        let safe = self.epochs.safe();
        self.sessions.set_epochs(epoch, safe);
        self.tables.tunnels.reclaim();
        self.tables.ues.reclaim();
        let Self { sessions, tables, lines, .. } = self;
        let last_of = |tunnel: TunnelId| last_of(lines, tunnel, now_ns);
        for _ in 0..ticks.clamp(1, TICKS_MAX) {
            sessions.expire(now_ns, last_of, tables);
        }
        let is_alone = |address: IpAddr| self.tables.place(address) == Some(Place::SHOWN);
        if let Some(address) = self.shown.over(now_ns, is_alone) {
            self.tables.ues.remove(packed(address));
        }
        self.settle();
        self.write_changes();
        self.publish();
    }

    /// Writes some of what has changed, for whoever keeps it. Returns whether nothing is left.
    pub(crate) fn write_changes(&mut self) -> bool {
        let Self { scribe, sessions, tables, .. } = self;
        scribe.as_mut().is_none_or(|scribe| scribe.write(sessions, &tables.verdicts))
    }

    /// The tunnels that were bound since this was asked last: packets that were held for them may go.
    pub(crate) fn take_bound(&mut self) -> impl Iterator<Item = TunnelKey> + use<'_> {
        self.tables.bound.drain(..)
    }

    /// What an event has left to do once the sessions are not borrowed any more.
    fn settle(&mut self) {
        for session in self.tables.moves.drain(..) {
            self.sessions.mark_changed(session);
        }
        while let Some(session) = self.tables.nameless.pop() {
            self.tables.identify(&mut self.sessions, session);
        }
        self.tables.stay.iter_mut().for_each(Stay::end);
        self.tables.tell_learned(&self.sessions);
        while let Some(session) = self.sessions.next_ended() {
            if self.keep_ended {
                self.ended.extend(self.record(session));
            }
            self.tables.forget(session, self.sessions.ue(session));
            let lines = &self.lines;
            self.sessions.free(session, |tunnel| reset(lines, tunnel));
        }
    }

    fn record(&self, session: SessionId) -> Option<Record> {
        let counted = |tunnel: TunnelId| {
            let counts = self.lines.iter().filter_map(|lines| lines.get(tunnel)).map(Line::counted);
            counts.fold((0, 0), |(packets, bytes), (p, b)| (packets + p, bytes + b))
        };
        let mut record = self.sessions.record(session, counted)?;
        record.probe = self.tables.probe_of(session);
        if let Some(&[up, down]) = self.tables.folded.get(&session) {
            record.packets_ul += up.0;
            record.bytes_ul += up.1;
            record.packets_dl += down.0;
            record.bytes_dl += down.1;
        }
        Some(record)
    }

    /// Tunnels for which there was no room.
    fn tunnels_refused(&self) -> u64 {
        let refused = self.sessions.counters().refused;
        refused.tunnels_full + refused.nodes_full + self.tables.tunnels_full
    }

    /// Shows the numbers of sessions to other threads.
    pub(crate) fn publish(&self) {
        let counters = self.sessions.counters();
        self.board.show(&SessionAccount {
            created: counters.created,
            active: counters.active,
            deleted: counters.deleted,
            expired: counters.expired,
            moved: self.tables.moved,
            sessions_full: counters.refused.sessions_full,
            tunnels_full: self.tunnels_refused(),
            transactions_full: counters.refused.transactions_full,
            by_probe: self.tables.by_probe,
            ..SessionAccount::default()
        });
    }

    /// Slots of sessions that one page looks at.
    const SLOTS: u32 = 1_024;

    /// Sessions that are up and pass the filter, from `cursor` on: so many slots are looked at that
    /// packets do not wait for it.
    pub fn find(&self, filter: &Filter, cursor: Cursor, out: &mut Vec<Record>) -> Option<Cursor> {
        self.sessions.find(filter, cursor, Self::SLOTS, |session| out.extend(self.record(session)))
    }

    /// Every session there was, in the order of `sessions.jsonl`: by time, then correlation id. Those
    /// that have ended are only in it where they were kept.
    #[must_use]
    pub fn into_records(mut self) -> Vec<Record> {
        let mut records = std::mem::take(&mut self.ended);
        let mut cursor = Some(Cursor::default());
        while let Some(at) = cursor {
            cursor = self.find(&Filter::default(), at, &mut records);
        }
        // By what is written: milliseconds.
        records.sort_by_key(|record| (record.created_ns / 1_000_000, record.correlation_id));
        records
    }
}

/// An unknown session that has become known.
struct Learned {
    session: SessionId,
    /// What it was called.
    from: u64,
    /// Where it went.
    before: Option<ProbeId>,
}

/// The tables, and what is decided for a session.
struct Tables {
    tunnels: TunnelWriter,
    ues: Writer,
    lines: Arc<[Lines]>,
    balancer: Balancer,
    cluster: ClusterKey,
    workers: usize,
    verdicts: Verdicts,
    /// Sessions, up or ended, by their last probe.
    by_probe: [u64; ProbeId::MAX],
    moved: u64,
    /// Tunnels that found no place in the table.
    tunnels_full: u64,
    bound: Vec<TunnelKey>,
    /// Sessions that go to another probe.
    moves: Vec<SessionId>,
    /// Sessions of an earlier run come back: what was decided for them stays.
    restoring: bool,
    /// Set where a session that becomes known stays where it was.
    stay: Option<Stay>,
    /// Set where somebody wants to know what happens.
    herald: Option<Herald>,
    /// The time of what is being followed.
    now_ns: u64,
    /// Sessions that have become known in the message in hand.
    learned: Vec<Learned>,
    /// Set where somebody tells whose UE addresses are.
    feed: Option<Feed>,
    /// Sessions of nobody known that have an address now.
    nameless: Vec<SessionId>,
    /// Uplink and downlink packets and bytes of endpoints that left their session's record.
    folded: HashMap<SessionId, [(u64, u64); 2]>,
}

impl Tables {
    /// The probes of what is pinned by this: where a default group does not pin sessions, all of its own.
    fn probes_of_pin(&self, pin: u64) -> ProbeSet {
        let choice = self.balancer.session(pin);
        choice.map_or_else(|| self.balancer.default_probes(), |choice| ProbeSet::one(choice.first))
    }

    /// The probes of the subscriber whom a message names; empty where it names none.
    fn probes_named(&self, sessions: &Sessions, imsi: Option<Imsi>) -> ProbeSet {
        let Some(imsi) = imsi else { return ProbeSet::EMPTY };
        let mut stayed = None;
        if self.stay.is_some() {
            let filter = Filter { imsi: Some(imsi), ..Filter::default() };
            sessions.find(&filter, Cursor::default(), 1, |session| {
                if self.verdicts.ground(session).has(Ground::SUBSCRIBER) {
                    stayed = stayed.or_else(|| self.probe_of(session));
                }
            });
        }
        stayed.map_or_else(|| self.probes_of_pin(self.cluster.pin_subscriber(imsi)), ProbeSet::one)
    }

    /// The probes of the sessions that a message concerns; empty where it concerns none.
    fn probes_concerned(&self, sessions: &mut Sessions, event: &SessionEvent, named: ProbeSet) -> ProbeSet {
        let found = sessions.sessions_of(event);
        let mut probes = named;
        for &session in &found {
            let Some(view) = sessions.view(session) else { continue };
            // An endpoint that the tap still has for another subscriber.
            let is_others = matches!((&view.pin, &event.imsi), (Pin::Imsi(own), Some(told)) if own != told);
            if is_others {
                continue;
            }
            probes = probes.union(match self.probe_of(session) {
                Some(probe) => ProbeSet::one(probe),
                None => self.probes_of_view(&view),
            });
        }
        if probes.is_empty() && found.is_empty() && makes_session(event) {
            // Without an IMSI a session is pinned by its UE's address: so will be the one that this makes.
            let address = event.ue.v4.map(IpAddr::V4).or_else(|| event.ue.v6.map(IpAddr::V6));
            let network = event.network_instance.as_ref().or(event.apn.as_ref());
            if let Some(address) = address.filter(|address| can_be_ue(*address)) {
                let pin = self.cluster.pin_ue(address, network.map(types::Apn::as_str));
                let seen = self.first_seen(self.sessions_at(event.ue));
                let stays = seen.and_then(|session| self.probe_of(session));
                probes = stays.map_or_else(|| self.probes_of_pin(pin), ProbeSet::one);
            }
        }
        probes
    }

    /// The probes of a session for which nothing was decided yet.
    #[cold]
    fn probes_of_view(&self, view: &View) -> ProbeSet {
        let verdict = self.verdict(view);
        if verdict.is_some() { ProbeSet::one(verdict.first()) } else { self.balancer.default_probes() }
    }

    fn verdict(&self, view: &View) -> Verdict {
        let decided = self.verdicts.get(view.session);
        if self.restoring && decided.is_some() {
            return decided;
        }
        let stays = if self.stay.is_some() { self.of_stay(view) } else { None };
        if let Some(verdict) = stays {
            return verdict;
        }
        let pin = match &view.pin {
            Pin::Imsi(imsi) => self.cluster.pin_subscriber(*imsi),
            Pin::Ue { address, network } => {
                if let Some(verdict) = self.of_unknown(view) {
                    return verdict;
                }
                self.cluster.pin_ue(*address, network.as_ref().map(types::Apn::as_str))
            }
            Pin::None => return Verdict::NONE,
        };
        let Some(choice) = self.balancer.session(pin) else { return Verdict::NONE };
        let owner = ((pin >> 32) * self.workers as u64) >> 32;
        Verdict::new(owner as u8, choice.first, choice.second)
    }

    /// An unknown session goes where the known one goes that has its UE's address; else it stays where it
    /// is, and begins where another unknown one is that was seen with that address: what is one session's
    /// is together, whichever of its addresses showed first.
    fn of_unknown(&self, view: &View) -> Option<Verdict> {
        if view.known {
            return None;
        }
        let places = || {
            let found = addresses(view.ue).filter_map(|address| self.place(address));
            found.filter(|place| *place != Place::SHOWN)
        };
        let known = places().find(|place| place.known).map(|place| self.verdicts.get(place.session));
        let other = places().find(|place| place.session != view.session);
        let verdicts =
            [known, Some(self.verdicts.get(view.session)), other.map(|p| self.verdicts.get(p.session))];
        verdicts.into_iter().flatten().find(|verdict| verdict.is_some())
    }

    /// Where a session stays: see [`crate::stay`].
    fn of_stay(&self, view: &View) -> Option<Verdict> {
        let (own, ground) = (self.verdicts.get(view.session), self.verdicts.ground(view.session));
        let own = Some(own).filter(|own| own.is_some());
        if matches!(view.pin, Pin::Imsi(_)) {
            if ground.has(Ground::SUBSCRIBER) && own.is_some() {
                return own;
            }
            if let Some(verdict) = self.of_kin(view) {
                return Some(verdict);
            }
        }
        if !view.known {
            return None;
        }
        if own.is_some() && ground.has(Ground::KNOWN) {
            return own.filter(|_| ground.has(Ground::SEEN));
        }
        self.seen_of(view).map(|session| self.verdicts.get(session))
    }

    /// Where another session of the subscriber is.
    fn of_kin(&self, view: &View) -> Option<Verdict> {
        let kin = view.kin.filter(|&kin| self.verdicts.ground(kin).has(Ground::SUBSCRIBER))?;
        Some(self.verdicts.get(kin)).filter(|verdict| verdict.is_some())
    }

    /// Of the unknown sessions that a session was until now, the one that was seen first.
    fn seen_of(&self, view: &View) -> Option<SessionId> {
        self.first_seen(self.sessions_at(view.ue).chain([view.session]))
    }

    /// The sessions that have these addresses.
    fn sessions_at(&self, ue: UeAddress) -> impl Iterator<Item = SessionId> + use<'_> {
        addresses(ue).filter_map(|address| self.place(address)).map(|place| place.session)
    }

    /// The first of those whose packets have decided for them, and nothing else.
    fn first_seen(&self, sessions: impl Iterator<Item = SessionId>) -> Option<SessionId> {
        let stay = self.stay.as_ref()?;
        let is_unknown = |session: &SessionId| {
            let ground = self.verdicts.ground(*session);
            ground.has(Ground::SEEN) && !ground.has(Ground::KNOWN) && self.verdicts.get(*session).is_some()
        };
        sessions.filter(is_unknown).min_by_key(|&session| stay.first_ns(session))
    }

    /// A session that becomes known in the message in hand takes in an unknown one, and goes where that went,
    /// if it was seen first.
    fn stay_where(&mut self, from: &View, into: &View) {
        let Some(stay) = &self.stay else { return };
        let (own, ground) = (self.verdicts.get(into.session), self.verdicts.ground(into.session));
        let is_open = !own.is_some() || stay.has_begun(into.session);
        let first_ns = stay.first_ns(from.session);
        let earlier = !own.is_some() || first_ns < stay.first_ns(into.session);
        if from.known || !into.known || !is_open || !earlier || self.of_kin(into).is_some() {
            return;
        }
        let verdict = self.verdicts.get(from.session);
        if own.is_some() {
            // Of what its own pin had decided nothing has come yet. Another unknown one's packets move.
            if ground.has(Ground::SEEN) && own.first() != verdict.first() {
                self.has_moved(into, own.first(), verdict.first());
            }
            self.count_probe(own.first(), u64::wrapping_sub);
        }
        self.count_probe(verdict.first(), u64::wrapping_add);
        let ground = ground.told(into).and(Ground::SEEN);
        self.verdicts.set_with(into.session, verdict, ground);
        if let Some(stay) = &mut self.stay {
            stay.set_first_ns(into.session, first_ns);
            stay.begin(into.session);
        }
    }

    /// Remembers on what ground a session goes where it goes now.
    fn ground_of(&mut self, view: &View, verdict: Verdict) -> Ground {
        let old = self.verdicts.ground(view.session);
        let is_new = view.known && !old.has(Ground::KNOWN) && !self.restoring;
        let seen = if is_new { self.seen_of(view) } else { None };
        let seen = seen.filter(|&session| self.verdicts.get(session) == verdict);
        let Some(stay) = &mut self.stay else { return Ground::default() };
        if !view.known && (!old.has(Ground::SEEN) || self.restoring) {
            stay.set_first_ns(view.session, view.created_ns);
        }
        if !is_new {
            return old.told(view);
        }
        stay.begin(view.session);
        stay.set_first_ns(view.session, seen.map_or(0, |seen| stay.first_ns(seen)));
        let ground = old.told(view);
        if seen.is_some() { ground.and(Ground::SEEN) } else { ground }
    }

    fn place(&self, address: IpAddr) -> Option<Place> {
        self.ues.get(packed(address)).map(Place::from_bits)
    }

    fn set_place(&mut self, address: IpAddr, place: Place) {
        // Where the table is full, packets of this address go by their tunnels alone.
        if self.ues.insert(packed(address), place.bits()).is_err() {
            self.tunnels_full += 1;
        }
    }

    fn probe_of(&self, session: SessionId) -> Option<ProbeId> {
        Some(self.verdicts.get(session)).filter(|verdict| verdict.is_some()).map(Verdict::first)
    }

    /// Counts where a session goes.
    fn settle_probe(&mut self, view: &View, verdict: Verdict) {
        if !verdict.is_some() {
            return;
        }
        let session = view.session;
        let before = self.probe_of(session);
        let now = verdict.first();
        let ground = if self.stay.is_some() { self.ground_of(view, verdict) } else { Ground::default() };
        self.verdicts.set_with(session, verdict, ground);
        if before == Some(now) {
            return;
        }
        if let Some(before) = before {
            self.has_moved(view, before, now);
            self.moves.push(session);
            self.count_probe(before, u64::wrapping_sub);
        }
        self.count_probe(now, u64::wrapping_add);
    }

    /// A session goes to another probe.
    fn has_moved(&mut self, view: &View, before: ProbeId, after: ProbeId) {
        self.moved += 1;
        self.tell(What::SessionMoved { session: Named::from(view), before, after });
    }

    /// Remembers a session that has become known: where it goes is known when its message was followed.
    fn has_learned(&mut self, session: SessionId, from: u64, before: Option<ProbeId>) {
        match &self.herald {
            None => {}
            Some(_) if self.learned.len() < LEARNED_MAX => {
                self.learned.push(Learned { session, from, before });
            }
            Some(herald) => herald.lose(),
        }
    }

    /// Remembers a session of nobody known, for whom the feed may have a name.
    fn wants_name(&mut self, view: &View) {
        let is_fed = self.feed.as_ref().is_some_and(|feed| !feed.is_empty());
        if is_fed
            && matches!(view.pin, Pin::Ue { .. })
            && self.nameless.len() < LEARNED_MAX
            && self.nameless.last() != Some(&view.session)
        {
            self.nameless.push(view.session);
        }
    }

    /// Gives a session what the feed says of its addresses. Returns whether anything is new.
    fn identify(&mut self, sessions: &mut Sessions, session: SessionId) -> bool {
        let Some(feed) = &self.feed else { return false };
        let names = sessions.names(session);
        let Some(&told) = addresses(sessions.ue(session)).find_map(|ue| feed.find(ue, &names)) else {
            return false;
        };
        sessions.identify(session, &told, self)
    }

    #[inline]
    fn tell_learned(&mut self, sessions: &Sessions) {
        while let Some(Learned { session, from, before }) = self.learned.pop() {
            // One that has ended meanwhile was nobody's for long.
            let Some(view) = sessions.view(session) else { continue };
            let after = self.probe_of(session);
            self.tell(What::SessionLearned { from, session: Named::from(&view), before, after });
        }
    }

    fn tell(&mut self, what: What) {
        if let Some(herald) = &mut self.herald {
            herald.tell(self.now_ns, what);
        }
    }

    fn count_probe(&mut self, probe: ProbeId, change: fn(u64, u64) -> u64) {
        if let Some(sessions) = self.by_probe.get_mut(usize::from(probe.0)) {
            *sessions = change(*sessions, 1);
        }
    }

    /// The number of a session is free: what is kept by it is not its any more.
    fn forget(&mut self, session: SessionId, ue: UeAddress) {
        for address in addresses(ue) {
            if self.place(address).is_some_and(|place| place.session == session) {
                self.ues.remove(packed(address));
            }
        }
        self.verdicts.set(session, Verdict::NONE);
        self.folded.remove(&session);
    }
}

impl Effects for Tables {
    fn prefetch(&self, key: TunnelKey) {
        self.tunnels.prefetch(key);
    }

    fn bind(&mut self, tunnel: TunnelId, key: TunnelKey, view: &View) {
        let verdict = self.verdict(view);

        let standing = match (view.known, &view.pin) {
            // Also of one whose messages have not told whose it is: its packets may.
            (_, Pin::None) => Standing::Unclear,
            (true, _) => Standing::Known,
            (false, _) => Standing::Told,
        };
        let binding = Binding { verdict, standing, toward: view.toward, retiring: false };
        self.settle_probe(view, verdict);
        for line in self.lines.iter().filter_map(|lines| lines.get(tunnel)) {
            line.bind(binding, view.ue);
        }
        if standing == Standing::Told {
            // The open side of the network (N6, SGi) finds it by its address, too.
            for address in addresses(view.ue) {
                if self.place(address).is_none_or(|place| !place.known) {
                    self.set_place(address, Place { session: view.session, known: false });
                }
            }
        }
        if self.tunnels.insert(key, tunnel.0).is_err() {
            self.tunnels_full += 1;
        }
        self.wants_name(view);
        self.bound.push(key);
    }

    fn retire(&mut self, tunnel: TunnelId) {
        self.lines.iter().filter_map(|lines| lines.get(tunnel)).for_each(Line::retire);
    }

    fn unbind(&mut self, _tunnel: TunnelId, key: TunnelKey) {
        self.tunnels.remove(key);
    }

    fn place_ue(&mut self, address: IpAddr, view: Option<&View>) {
        match view {
            Some(view) => {
                let verdict = self.verdict(view);
                self.settle_probe(view, verdict);
                self.set_place(address, Place { session: view.session, known: view.known });
                self.wants_name(view);
            }
            None => {
                self.ues.remove(packed(address));
            }
        }
    }

    fn ended(&mut self, _session: SessionId) {
        // It is asked for, with all others that have ended, once the sessions are not borrowed.
    }

    fn learned(&mut self, session: SessionId, from: u64) {
        self.has_learned(session, from, self.probe_of(session));
    }

    fn lost(&mut self, loss: &Loss) {
        self.tell(What::from(loss));
    }

    fn merged(&mut self, from: &View, into: &View) {
        let probe = self.probe_of(from.session);
        if let Some(probe) = probe {
            self.stay_where(from, into);
            self.count_probe(probe, u64::wrapping_sub);
            // Its packets were there: if the one that it is now goes elsewhere, it has moved.
            if let Some(other) = self.probe_of(into.session).filter(|other| *other != probe) {
                self.has_moved(into, probe, other);
            }
        }
        if into.known && !from.known {
            self.has_learned(into.session, from.correlation_id, probe);
        }
        self.forget(from.session, from.ue);
    }

    fn folded(&mut self, session: SessionId, tunnel: TunnelId, toward: Option<Toward>) {
        let side = match toward {
            Some(Toward::Uplink) => 0,
            Some(Toward::Downlink) => 1,
            None => {
                reset(&self.lines, tunnel);
                return;
            }
        };
        if self.folded.len() >= FOLDED_MAX && !self.folded.contains_key(&session) {
            reset(&self.lines, tunnel);
            return;
        }
        let sums = self.folded.entry(session).or_default();
        for line in self.lines.iter().filter_map(|lines| lines.get(tunnel)) {
            let (packets, bytes) = line.counted();
            if let Some(sum) = sums.get_mut(side) {
                sum.0 += packets;
                sum.1 += bytes;
            }
        }
        reset(&self.lines, tunnel);
    }
}

/// Whether this is a request for a session: Create PDP Context (TS 29.060 7.3.1), Create Session (TS 29.274
/// 7.2.1), Session Establishment (TS 29.244 7.5.2). An answer whose request was not seen makes none.
const fn makes_session(event: &SessionEvent) -> bool {
    match event.protocol {
        Signalling::Gtpv1 => event.message == 16,
        Signalling::Gtpv2 => event.message == 32,
        Signalling::Pfcp => event.message == 50,
    }
}

/// The address that a packet of a tunnel has in common with an earlier one to or from another peer. Where
/// two of one family have nothing in common, one of them lies, and the later one is kept for the next. A
/// server has two peers, too, where two UEs had the tunnel one after the other: what is known to be a UE's
/// address is no peer.
fn in_common(
    earlier: &mut Addresses,
    addresses: Addresses,
    is_ue: impl Fn(IpAddr) -> bool,
) -> Option<(IpAddr, Toward)> {
    let (address, peers, toward) =
        match (earlier.source() == addresses.source(), earlier.destination() == addresses.destination()) {
            (true, false) => {
                (addresses.source(), [earlier.destination(), addresses.destination()], Toward::Uplink)
            }
            (false, true) => {
                (addresses.destination(), [earlier.source(), addresses.source()], Toward::Downlink)
            }
            (false, false) if earlier.source().is_ipv4() == addresses.source().is_ipv4() => {
                *earlier = addresses;
                return None;
            }
            _ => return None,
        };
    let [before, now] = peers.map(&is_ue);
    if (before || now) && !is_ue(address) {
        if before {
            *earlier = addresses;
        }
        return None;
    }
    Some((address, toward))
}

/// When the last packet of a tunnel came, wherever it was received; 0 where none did.
fn last_of(lines: &[Lines], tunnel: TunnelId, now_ns: u64) -> u64 {
    let seen = lines.iter().filter_map(|lines| lines.get(tunnel));
    seen.map(|line| line.last_ns(now_ns)).max().unwrap_or(0)
}

/// The number of a tunnel is free: what was counted in it is forgotten.
fn reset(lines: &[Lines], tunnel: TunnelId) {
    lines.iter().filter_map(|lines| lines.get(tunnel)).for_each(Line::reset);
}

/// The key of a UE's address.
pub(crate) const fn packed(address: IpAddr) -> PackedKey {
    match address {
        IpAddr::V4(address) => PackedKey::ue_v4(address),
        IpAddr::V6(address) => PackedKey::ue_v6(address),
    }
}

fn addresses(ue: UeAddress) -> impl Iterator<Item = IpAddr> {
    ue.v4.map(IpAddr::V4).into_iter().chain(ue.v6.map(IpAddr::V6))
}

#[cfg(test)]
mod feed_tests;
#[cfg(test)]
mod stay_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ues_address_is_the_one_in_common() {
        let v4 = |source, destination| Addresses::V4 { source, destination };
        let ue = |address: u32| IpAddr::V4(address.into());
        let nobody = |_: IpAddr| false;
        let mut kept = v4(1, 8);
        assert_eq!(in_common(&mut kept, v4(1, 8), nobody), None, "one peer");
        assert_eq!(in_common(&mut kept, v4(1, 9), nobody), Some((ue(1), Toward::Uplink)));
        assert_eq!(in_common(&mut kept, v4(7, 8), nobody), Some((ue(8), Toward::Downlink)));
        let other_family = Addresses::V6 { source: 1, destination: 8 };
        assert_eq!(in_common(&mut kept, other_family, nobody), None);
        assert_eq!(kept, v4(1, 8), "of a UE with both, one waits for the other");
        // The first one had an address that is not the UE's.
        assert_eq!(in_common(&mut kept, v4(2, 9), nobody), None);
        assert_eq!(in_common(&mut kept, v4(2, 10), nobody), Some((ue(2), Toward::Uplink)));
    }

    #[test]
    fn a_server_of_two_ues_is_none() {
        let v4 = |source, destination| Addresses::V4 { source, destination };
        let ue = |address: u32| IpAddr::V4(address.into());
        // 8 sends to 1, and, the tunnel being another's by now, to 2.
        let mut kept = v4(8, 1);
        assert_eq!(in_common(&mut kept, v4(8, 2), |address| address == ue(2)), None);
        assert_eq!(in_common(&mut kept, v4(8, 2), |address| address == ue(1)), None);
        assert_eq!(kept, v4(8, 2), "1 has it no more");
        assert_eq!(in_common(&mut kept, v4(9, 2), |_| false), Some((ue(2), Toward::Downlink)));
        // A UE may talk to UEs.
        assert_eq!(in_common(&mut kept, v4(8, 3), |_| true), Some((ue(8), Toward::Uplink)));
    }
}
