//! Whose each packet is: by its tunnel, else by the address of a UE, else by its pin. What cannot be
//! told yet is held; what the control plane says is followed before anything that comes after it.

use std::net::IpAddr;
use std::sync::Arc;

use arrayvec::ArrayVec;
use balance::ClusterKey;
use batch::{BATCH, Batch, Frame, Packet, RxCounters, Slot, TxCounters};
use cpu::{Consumer, EpochReader, Producer};
use session::{Contradiction, PackedKey, TunnelId, TunnelReader};
use tdb::Hold;
use types::{DropReason, Key, Pair, Toward, TunnelKey, Verdict};
use wire::Addresses;

use crate::accounts::HoldCounters;
use crate::lines::{Binding, Line, Lines, Match, Standing, can_be_ue};
use crate::outbox::Outbox;
use crate::readings::{Reading, Readings};
use crate::strangers::Strangers;
use crate::tracker::{Found, Look, PlaceReader, Tracker};
use crate::{Dispatch, Overflow};

/// A packet that waits until its session is known.
struct Held<F> {
    packet: Packet<F>,
    reading: Reading,
    /// Packets and bytes that the receiver had taken before it.
    turn: u64,
    offset: u64,
}

/// What a receiver without the tracker tells the one that has it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Note {
    /// A tunnel in no table has waited long enough.
    Unknown { key: TunnelKey, sender: IpAddr, first_ns: u64 },
    /// A packet of a tunnel whose UE address is not clear.
    Seen { tunnel: TunnelId, key: TunnelKey, addresses: Addresses, toward: Option<Toward> },
    /// A packet is held, or goes by its pair in a tunnel of another.
    ByPair { key: TunnelKey, addresses: Addresses, toward: Option<Toward>, is_first: bool, time_ns: u64 },
    /// Packets contradict the session of a tunnel.
    Contradicted { tunnel: TunnelId, told: Contradiction },
    /// Its receiver does not know a tunnel.
    NotFound { key: TunnelKey, time_ns: u64 },
}

/// What comes from a receiver that has no tracker.
pub(crate) struct Inbox<F> {
    pub(crate) messages: Consumer<Packet<F>>,
    pub(crate) notes: Consumer<Note>,
}

/// Who follows the control plane.
pub(crate) enum Keeper<F: Frame> {
    /// This receiver, for itself and for the others.
    Here { tracker: Box<Tracker>, inboxes: Vec<Inbox<F>> },
    /// Another one.
    There { messages: Producer<Packet<F>>, notes: Producer<Note>, overflow: Overflow, drops: Arc<TxCounters> },
}

/// What a [`Resolve`] is made of.
pub(crate) struct Parts<F: Frame> {
    pub(crate) keeper: Keeper<F>,
    pub(crate) tunnels: TunnelReader,
    pub(crate) ues: PlaceReader,
    pub(crate) presence: EpochReader,
    pub(crate) lines: Arc<[Lines]>,
    /// Which of the lines are this receiver's.
    pub(crate) place: usize,
    pub(crate) hold: tdb::Limits,
    pub(crate) ordered: bool,
    pub(crate) dispatch: Dispatch<F>,
    pub(crate) cluster: ClusterKey,
    pub(crate) received: Arc<RxCounters>,
    pub(crate) counters: Arc<HoldCounters>,
}

/// The last stage of a receiver: finds the session of each packet and hands it to the session's worker.
pub(crate) struct Resolve<F: Frame> {
    keeper: Keeper<F>,
    tunnels: TunnelReader,
    ues: PlaceReader,
    presence: EpochReader,
    lines: Arc<[Lines]>,
    place: usize,
    hold: Hold<TunnelKey, Held<F>>,
    /// Tunnels that may be another's.
    strangers: Strangers,
    /// Packets that were let go and are not placed yet.
    released: Vec<Held<F>>,
    outbox: Outbox<F>,
    ordered: bool,
    /// Tunnels are learned on another core: they show in the table at any time.
    shares: bool,
    dispatch: Dispatch<F>,
    cluster: ClusterKey,
    received: Arc<RxCounters>,
    counters: Arc<HoldCounters>,
    /// There was no room for an unknown session, and is none: what waited would wait in vain, and again.
    no_room: bool,
    next_tick_ns: u64,
    next_sequence: u64,
    /// Packets and bytes whose turn it has been.
    turn: u64,
    offset: u64,
}

/// Rules, lists and time take effect between packets, once in so long.
const TICK_NS: u64 = 1_000_000;

impl<F: Frame> Resolve<F> {
    pub(crate) fn new(parts: Parts<F>) -> Self {
        Self {
            shares: matches!(parts.keeper, Keeper::There { .. }),
            keeper: parts.keeper,
            tunnels: parts.tunnels,
            ues: parts.ues,
            presence: parts.presence,
            lines: parts.lines,
            place: parts.place,
            strangers: Strangers::new(),
            released: Vec::with_capacity(parts.hold.packets + 1),
            // A batch may find the rings full.
            outbox: Outbox::new(parts.ordered, parts.hold.packets + 2 * BATCH),
            hold: Hold::new(parts.hold),
            ordered: parts.ordered,
            dispatch: parts.dispatch,
            cluster: parts.cluster,
            received: parts.received,
            counters: parts.counters,
            no_room: false,
            next_tick_ns: 0,
            next_sequence: 0,
            turn: 0,
            offset: 0,
        }
    }

    /// The start of a round: nothing of the tables is held any more. Returns how many packets came from
    /// other receivers or moved on.
    #[inline]
    pub(crate) fn begin(&mut self) -> usize {
        self.presence.quiescent();
        let waiting = self.outbox.packets();
        let came = self.serve();
        if waiting > 0 {
            self.outbox.flush(&mut self.dispatch);
        }
        if self.shares && !self.hold.is_empty() {
            self.look_for_learned();
        }
        came + waiting.saturating_sub(self.outbox.packets())
    }

    /// Whether a batch can be taken. Where it cannot and the source can wait, it is not polled.
    #[inline(always)]
    pub(crate) fn is_ready(&mut self) -> bool {
        let there = match &mut self.keeper {
            Keeper::There { messages, overflow: Overflow::Wait, .. } => messages.room(BATCH) >= BATCH,
            _ => true,
        };
        there && self.outbox.flush(&mut self.dispatch) && self.dispatch.has_room()
    }

    /// Works on all packets of a batch and leaves it empty.
    #[inline]
    pub(crate) fn run(&mut self, batch: &mut Batch<F>, readings: &Readings) {
        let mut run = ArrayVec::<Slot, BATCH>::new();
        let mut looks = self.look_at_control(batch);
        let mut coming = looks.as_mut_slice();
        for slot in batch.live() {
            batch.sequence.set(slot, self.next_sequence);
            self.next_sequence = self.next_sequence.wrapping_add(1);
            let time_ns = batch.time_ns.get(slot);
            if time_ns >= self.next_tick_ns {
                self.users(batch, readings, &run);
                run.clear();
                self.tick(time_ns);
            }
            if batch.class.get(slot).is_control() {
                self.users(batch, readings, &run);
                run.clear();
                let mut look = None;
                if let Some((first, behind)) = std::mem::take(&mut coming).split_first_mut() {
                    look = *first;
                    coming = behind;
                }
                self.come_nearer(coming);
                self.control(batch, slot, look);
            } else {
                let _ = run.try_push(slot);
            }
        }
        self.users(batch, readings, &run);
        batch.clear();
    }

    /// The end of a round: shows the workers what is for them.
    #[inline]
    pub(crate) fn end(&mut self) {
        self.dispatch.flush();
        self.counters.keep(self.hold.packets() + self.outbox.packets());
    }

    /// Time goes on although no packet came.
    pub(crate) fn pass(&mut self, now_ns: u64) {
        if now_ns >= self.next_tick_ns {
            self.tick(now_ns);
        }
    }

    /// At the end: lets everything go. Returns whether nothing is left here.
    pub(crate) fn finish(&mut self) -> bool {
        self.begin();
        while let Some((key, _)) = self.hold.oldest() {
            self.give_up(key);
        }
        let mut done = self.outbox.flush(&mut self.dispatch);
        self.end();
        if let Keeper::Here { tracker, .. } = &mut self.keeper {
            done &= tracker.write_changes();
            tracker.publish();
        }
        done && self.outbox.packets() == 0
    }

    /// Whether the tracker is here.
    pub(crate) const fn has_tracker(&self) -> bool {
        matches!(self.keeper, Keeper::Here { .. })
    }

    pub(crate) fn tracker(&mut self) -> Option<&mut Tracker> {
        match &mut self.keeper {
            Keeper::Here { tracker, .. } => Some(tracker),
            Keeper::There { .. } => None,
        }
    }

    pub(crate) fn into_tracker(self) -> Option<Tracker> {
        match self.keeper {
            Keeper::Here { tracker, .. } => Some(*tracker),
            Keeper::There { .. } => None,
        }
    }

    #[cold]
    #[inline(never)]
    fn tick(&mut self, now_ns: u64) {
        let ticks = now_ns.saturating_sub(self.next_tick_ns) / TICK_NS + 1;
        self.next_tick_ns = (now_ns / TICK_NS).saturating_add(1).saturating_mul(TICK_NS);
        if let Keeper::Here { tracker, .. } = &self.keeper {
            self.no_room &= tracker.is_full();
        }
        while let Some(key) = self.hold.overdue(now_ns) {
            self.give_up(key);
        }
        if let Keeper::Here { tracker, .. } = &mut self.keeper {
            // This receiver holds nothing of the tables between two packets.
            self.presence.quiescent();
            tracker.tick(now_ns, ticks);
        }
    }

    /// Does for other receivers what only the tracker can. Returns how many packets came.
    fn serve(&mut self) -> usize {
        let Keeper::Here { tracker, inboxes } = &mut self.keeper else { return 0 };
        tracker.serve();
        if inboxes.is_empty() {
            return 0;
        }
        let mut came = ArrayVec::<Packet<F>, BATCH>::new();
        for inbox in inboxes {
            inbox.notes.pop_each(BATCH, |note| match note {
                Note::Unknown { key, sender, first_ns } => {
                    tracker.unknown(key, sender, first_ns);
                }
                Note::Seen { tunnel, key, addresses, toward } => {
                    tracker.seen(tunnel, key, addresses, toward);
                }
                Note::ByPair { key, addresses, toward, is_first, time_ns } => {
                    tracker.by_pair(key, addresses, toward, is_first, time_ns);
                }
                Note::Contradicted { tunnel, told } => tracker.contradicted(tunnel, &told),
                Note::NotFound { key, time_ns } => tracker.not_found(key, time_ns),
            });
            let room = came.remaining_capacity();
            inbox.messages.pop_each(room, |packet| {
                let _ = came.try_push(packet);
            });
        }
        self.release_bound();
        let count = came.len();
        for mut packet in came {
            if let Keeper::Here { tracker, .. } = &mut self.keeper {
                let look = tracker.look(&packet.frame);
                let outcome = tracker.message(&packet.frame, look.as_ref(), packet.meta.time_ns);
                packet.meta.probes = outcome.probes;
                if let Some(reason) = outcome.malformed {
                    self.received.malformed(reason);
                }
            }
            self.release_bound();
            self.outbox.put(packet, &mut self.dispatch);
        }
        count
    }

    /// Finds the control-plane messages of a batch, so that memory is asked for some messages before it is
    /// needed.
    #[inline]
    fn look_at_control(&mut self, batch: &Batch<F>) -> ArrayVec<Option<Look>, BATCH> {
        let mut looks = ArrayVec::new();
        if let Keeper::Here { tracker, .. } = &mut self.keeper {
            for slot in batch.live().filter(|&slot| batch.class.get(slot).is_control()) {
                let _ = looks.try_push(batch.frame(slot).and_then(|frame| tracker.look(frame)));
            }
        }
        looks
    }

    /// Before a message is followed: `coming` are those behind it.
    fn come_nearer(&self, coming: &mut [Option<Look>]) {
        let Keeper::Here { tracker, .. } = &self.keeper else { return };
        if let Some(Some(third)) = coming.get_mut(2) {
            tracker.nearer(third);
        }
        if let Some(Some(next)) = coming.first() {
            tracker.next(next);
        }
    }

    /// A control-plane message: followed first, then handed on.
    fn control(&mut self, batch: &mut Batch<F>, slot: Slot, look: Option<Look>) {
        let malformed = batch.malformed.get(slot).is_some();
        let Some(mut packet) = batch.take(slot) else { return };
        self.advance(packet.frame.len());
        match &mut self.keeper {
            Keeper::Here { tracker, .. } => {
                let outcome = tracker.message(&packet.frame, look.as_ref(), packet.meta.time_ns);
                packet.meta.probes = outcome.probes;
                if let Some(reason) = outcome.malformed.filter(|_| !malformed) {
                    self.received.malformed(reason);
                }
                self.release_bound();
                self.outbox.put(packet, &mut self.dispatch);
            }
            Keeper::There { messages, drops, .. } => {
                if messages.push(packet).is_err() {
                    drops.dropped(DropReason::RingFull, 1);
                }
            }
        }
    }

    /// Packets held for tunnels that were just learned may go.
    fn release_bound(&mut self) {
        let Keeper::Here { tracker, .. } = &mut self.keeper else { return };
        for key in tracker.take_bound() {
            self.hold.release(&key, |held| self.released.push(held));
        }
        self.place_released(None);
    }

    /// The tracker is another receiver's: whether tunnels were learned shows in the table.
    fn look_for_learned(&mut self) {
        let learned: ArrayVec<TunnelKey, BATCH> =
            self.hold.keys().filter(|&key| self.tunnel_of(key).is_some()).take(BATCH).collect();
        for key in learned {
            self.hold.release(&key, |held| self.released.push(held));
        }
        self.place_released(None);
    }

    /// What is held of a tunnel goes as a session that nobody has told of.
    fn give_up(&mut self, key: TunnelKey) {
        self.hold.release(&key, |held| self.released.push(held));
        let Some(first) = self.released.first() else { return };
        let (sender, first_ns) = (first.reading.sender, first.packet.meta.time_ns);
        let tunnel = self.unknown(key, sender, first_ns);
        self.place_released(tunnel);
    }

    fn unknown(&mut self, key: TunnelKey, sender: IpAddr, first_ns: u64) -> Option<TunnelId> {
        match &mut self.keeper {
            Keeper::Here { tracker, .. } => {
                let tunnel = tracker.unknown(key, sender, first_ns);
                self.no_room = tunnel.is_none();
                // Nothing waits for it: what did is on its way.
                tracker.take_bound().for_each(drop);
                tunnel
            }
            Keeper::There { notes, .. } => {
                // Where the ring is full, a later packet tells.
                let _ = notes.push(Note::Unknown { key, sender, first_ns });
                None
            }
        }
    }

    /// Places what was released. `tunnel` is that of all of them, where it is known.
    fn place_released(&mut self, tunnel: Option<TunnelId>) {
        if self.released.is_empty() {
            return;
        }
        let mut released = std::mem::take(&mut self.released);
        for Held { mut packet, reading, .. } in released.drain(..) {
            let tunnel = tunnel.or_else(|| reading.tunnel.and_then(|key| self.tunnel_of(key)));
            let meta = &mut packet.meta;
            (meta.verdict, meta.pin) = match tunnel {
                Some(tunnel) => self.in_tunnel(tunnel, &reading, meta.time_ns, meta.pin),
                None => self.without_session(&reading, meta.pin),
            };
            self.outbox.put(packet, &mut self.dispatch);
        }
        self.released = released;
    }

    fn tunnel_of(&self, key: TunnelKey) -> Option<TunnelId> {
        self.tunnels.lookup(key).map(TunnelId)
    }

    /// Counts a packet whose turn it is. In order, a packet that is held keeps all that came after it:
    /// of that, too, no more than the hold may have.
    #[inline(always)]
    fn advance(&mut self, bytes: usize) {
        if self.ordered && !self.hold.is_empty() {
            self.bound_window();
        }
        self.turn = self.turn.wrapping_add(1);
        self.offset = self.offset.wrapping_add(bytes as u64);
    }

    #[cold]
    fn bound_window(&mut self) {
        while let Some((key, first)) = self.hold.oldest() {
            let limits = self.hold.limits();
            let (packets, bytes) =
                (self.turn.wrapping_sub(first.turn), self.offset.wrapping_sub(first.offset));
            if packets <= limits.packets as u64 && bytes <= limits.bytes as u64 {
                return;
            }
            self.give_up(key);
        }
    }

    /// Everything but control-plane messages, in order.
    #[inline]
    fn users(&mut self, batch: &mut Batch<F>, readings: &Readings, run: &[Slot]) {
        let mut keys = ArrayVec::<PackedKey, BATCH>::new();
        let mut places = ArrayVec::<u8, BATCH>::new();
        for (place, &slot) in run.iter().enumerate() {
            if let Some(key) = readings.tunnel(slot) {
                let _ = keys.try_push(self.tunnels.pack(key));
                let _ = places.try_push(place as u8);
            }
        }
        let mut values = [0_u32; BATCH];
        let mut found = [0_u32; BATCH];
        if let Some(values) = values.get_mut(..keys.len()) {
            self.tunnels.lookup_bulk(&keys, values);
        }
        for (&place, &value) in places.iter().zip(&values) {
            if let Some(found) = found.get_mut(usize::from(place)) {
                *found = value;
            }
            if let Some(line) = self.line(TunnelId(value)) {
                cpu::prefetch(line);
            }
        }
        for (&slot, &found) in run.iter().zip(&found) {
            self.ask_for_ue(readings, slot, TunnelId(found));
        }
        for (&slot, found) in run.iter().zip(found) {
            self.user(batch, readings, slot, TunnelId(found));
        }
    }

    /// Asks for what [`Self::told`] looks up.
    #[inline(always)]
    fn ask_for_ue(&self, readings: &Readings, slot: Slot, tunnel: TunnelId) {
        let Some(binding) = self.line(tunnel).map(Line::binding) else { return };
        if binding.standing == Standing::Told {
            if let Some(address) = readings.user(slot).and_then(|user| ue_of(user.addresses, binding.toward))
            {
                self.ues.prefetch(address);
            }
        }
    }

    #[inline(always)]
    fn line(&self, tunnel: TunnelId) -> Option<&Line> {
        self.lines.get(self.place)?.get(tunnel)
    }

    #[inline(always)]
    fn user(&mut self, batch: &mut Batch<F>, readings: &Readings, slot: Slot, found: TunnelId) {
        self.advance(batch.frame(slot).map_or(0, F::len));
        match self.at_once(readings, slot, found, batch.time_ns.get(slot)) {
            Some(verdict) => {
                batch.verdict.set(slot, verdict);
                if let Some(packet) = batch.take(slot) {
                    self.outbox.put(packet, &mut self.dispatch);
                }
            }
            None => self.by_its_reading(batch, &readings.get(slot, batch.head(slot)), slot, found),
        }
    }

    /// The verdict of a user's packet of a tunnel in the table, where nothing stands in its way: what
    /// [`Self::by_its_reading`] comes to for almost every packet, from the few words that are kept of it.
    #[inline(always)]
    fn at_once(&self, readings: &Readings, slot: Slot, tunnel: TunnelId, time_ns: u64) -> Option<Verdict> {
        let user = readings.user(slot)?;
        // Number 0 is no tunnel.
        if tunnel.0 == 0 || self.shares && !self.hold.is_empty() && self.hold.has(&readings.tunnel(slot)?) {
            return None;
        }
        let line = self.line(tunnel)?;
        let Binding { verdict, standing, toward, retiring } = line.binding();
        if retiring || standing == Standing::Unclear || line.compare(user.addresses, toward) != Match::Own {
            return None;
        }
        line.count(user.bytes, time_ns);
        Some(match standing {
            Standing::Told => self.told(verdict, toward, user.addresses),
            _ => verdict,
        })
    }

    #[inline(never)]
    fn by_its_reading(&mut self, batch: &mut Batch<F>, reading: &Reading, slot: Slot, found: TunnelId) {
        let pin = batch.pin.get(slot);
        let (verdict, pin) = match reading.tunnel {
            None => match reading.plain {
                Some(pair) => self.of_plain(pair, pin),
                None => (Verdict::NONE, pin),
            },
            Some(key) => {
                let mut tunnel = found;
                if found.0 == 0 {
                    // The packets before this one may have made it known.
                    let Some(known) = self.tunnel_of(key) else {
                        self.miss(batch, reading, slot, key);
                        return;
                    };
                    tunnel = known;
                }
                // Another core may have just learned of it: what is held of it goes first.
                if self.shares
                    && !self.hold.is_empty()
                    && self.hold.release(&key, |held| self.released.push(held))
                {
                    self.place_released(Some(tunnel));
                }
                if self.is_of_next(tunnel, reading) {
                    self.miss(batch, reading, slot, key);
                    return;
                }
                self.in_tunnel(tunnel, reading, batch.time_ns.get(slot), pin)
            }
        };
        batch.verdict.set(slot, verdict);
        batch.pin.set(slot, pin);
        if let Some(packet) = batch.take(slot) {
            self.outbox.put(packet, &mut self.dispatch);
        }
    }

    /// A packet of a tunnel that is in no table.
    #[inline(never)]
    fn miss(&mut self, batch: &mut Batch<F>, reading: &Reading, slot: Slot, key: TunnelKey) {
        let Some(packet) = batch.take(slot) else { return };
        // What is no user's packet (an End Marker) waits with those of its tunnel; by itself it says
        // nothing of whose the tunnel is, and makes no session.
        if !reading.counts && !self.hold.has(&key) {
            self.outbox.put(packet, &mut self.dispatch);
            return;
        }
        let bytes = packet.frame.len() as u32;
        let time_ns = packet.meta.time_ns;
        let held = Held { packet, reading: *reading, turn: self.turn, offset: self.offset };
        let is_first = !self.hold.has(&key);
        let held = if self.hold.limits().time_ns == 0 || self.no_room && is_first {
            held
        } else {
            match self.hold.push(key, held, bytes, time_ns) {
                Ok(()) => {
                    self.counters.held.add(1);
                    self.by_pair(reading, reading.toward, is_first, time_ns);
                    return;
                }
                Err(held) => {
                    self.counters.full.add(1);
                    held
                }
            }
        };
        // What waits of it already goes first.
        let waiting = self.hold.release(&key, |held| self.released.push(held));
        let (sender, first_ns) = match self.released.first() {
            Some(first) if waiting => (first.reading.sender, first.packet.meta.time_ns),
            _ => (reading.sender, time_ns),
        };
        self.released.push(held);
        let tunnel = self.unknown(key, sender, first_ns);
        self.place_released(tunnel);
    }

    /// A packet that is held, or goes by its pair in a tunnel of another, shows its UE's address as well as
    /// any in a tunnel that nobody told of.
    #[cold]
    fn by_pair(&mut self, reading: &Reading, toward: Option<Toward>, is_first: bool, time_ns: u64) {
        let (Some(key), Some(addresses)) = (reading.tunnel, reading.inner()) else { return };
        if !reading.counts {
            return;
        }
        match &mut self.keeper {
            Keeper::Here { tracker, .. } => tracker.by_pair(key, addresses, toward, is_first, time_ns),
            Keeper::There { notes, .. } => {
                // Where the ring is full, a later packet tells.
                let _ = notes.push(Note::ByPair { key, addresses, toward, is_first, time_ns });
            }
        }
    }

    /// Whether a packet is not of the session that had its tunnel until a moment ago, but of whoever is
    /// given it next.
    #[inline(always)]
    fn is_of_next(&self, tunnel: TunnelId, reading: &Reading) -> bool {
        let Some(line) = self.line(tunnel) else { return false };
        let binding = line.binding();
        binding.retiring && reading.inner().is_some_and(|inner| !line.is_surely_own(inner, binding.toward))
    }

    /// A packet of a tunnel in the table: counts it, where it is the session's, and tells its verdict and
    /// its pin.
    #[inline(always)]
    fn in_tunnel(&mut self, tunnel: TunnelId, reading: &Reading, time_ns: u64, pin: u64) -> (Verdict, u64) {
        let Some(line) = self.line(tunnel) else { return (Verdict::NONE, pin) };
        let binding = line.binding();
        let Some(addresses) = reading.inner() else {
            if reading.counts {
                line.count(0, time_ns);
            }
            if reading.not_found {
                self.not_found(reading, time_ns);
            }
            return (binding.verdict, pin);
        };
        if let Match::Other(address) = line.compare(addresses, binding.toward) {
            let (own, toward) = (line.counted().0, reading.toward.or(binding.toward));
            let ends = ends_of(addresses, reading.toward, address);
            // Packets alone have told of it, and of one family: its UE may have the other one, too.
            let has_other = binding.standing == Standing::Told && !line.has_one_like(address);
            let clear = reading.toward.or(binding.toward.filter(|_| has_other));
            if is_believed(binding, reading.toward)
                && [Some(ends.0), ends.1].into_iter().flatten().all(|end| self.find_place(end).is_none())
            {
                self.by_pair(reading, clear, false, time_ns);
            }
            let pin = if clear.is_some() { self.cluster.pin_ue(ends.0, None) } else { pin };
            let placed = self.not_its_own(ends, reading, pin);
            if reading.counts {
                self.contradicted(tunnel, own, ends, toward, reading.sender, time_ns);
            }
            return placed;
        }
        if reading.counts {
            line.count(reading.user.map_or(0, |user| user.bytes), time_ns);
        }
        match binding.standing {
            Standing::Known => (binding.verdict, pin),
            Standing::Told => (self.told(binding.verdict, binding.toward, addresses), pin),
            Standing::Unclear => self.unclear(tunnel, reading, addresses, pin),
        }
    }

    /// Tells the tracker what a packet shows of the UE of a tunnel.
    fn tell(&mut self, tunnel: TunnelId, key: TunnelKey, addresses: Addresses, toward: Option<Toward>) {
        match &mut self.keeper {
            Keeper::Here { tracker, .. } => {
                tracker.seen(tunnel, key, addresses, toward);
                // Nothing is held for a tunnel that is in the table.
                tracker.take_bound().for_each(drop);
            }
            Keeper::There { notes, .. } => {
                // Where the ring is full, a later packet tells.
                let _ = notes.push(Note::Seen { tunnel, key, addresses, toward });
            }
        }
    }

    /// A packet contradicts the session of its tunnel, which has had `own` packets of its own.
    #[cold]
    fn contradicted(
        &mut self,
        tunnel: TunnelId,
        own: u64,
        (address, other): (IpAddr, Option<IpAddr>),
        toward: Option<Toward>,
        sender: IpAddr,
        time_ns: u64,
    ) {
        let Some(mut toward) = toward.filter(|_| can_be_ue(address)) else { return };
        let mut address = address;
        // Only the other end is somebody's: it goes the other way now.
        let is_alone =
            |other: &IpAddr| self.find_place(address).is_none() && self.find_place(*other).is_some();
        if let Some(other) = other.filter(is_alone) {
            (address, toward) = (other, toward.opposite());
        }
        if !self.strangers.came(tunnel, address, own) {
            return;
        }
        let is_clear = self.find_place(address).is_some();
        let told = Contradiction { address, is_clear, toward, sender, time_ns };
        match &mut self.keeper {
            Keeper::Here { tracker, .. } => {
                tracker.contradicted(tunnel, &told);
                // Nothing is held for a tunnel that is in the table.
                tracker.take_bound().for_each(drop);
            }
            Keeper::There { notes, .. } => {
                // Where the ring is full, later packets tell.
                let _ = notes.push(Note::Contradicted { tunnel, told });
            }
        }
    }

    /// An Error Indication.
    #[cold]
    fn not_found(&mut self, reading: &Reading, time_ns: u64) {
        let Some(key) = reading.tunnel else { return };
        match &mut self.keeper {
            Keeper::Here { tracker, .. } => tracker.not_found(key, time_ns),
            Keeper::There { notes, .. } => {
                // Where the ring is full, the next one tells.
                let _ = notes.push(Note::NotFound { key, time_ns });
            }
        }
    }

    /// A packet that contradicts the session of its tunnel is not counted for it and goes by its own
    /// address, or by that at its other end where only there one of a UE is; before it is clear which is the
    /// UE's, by the pair: there its UE's packets are that come in other tunnels.
    #[cold]
    fn not_its_own(
        &self,
        (address, other): (IpAddr, Option<IpAddr>),
        reading: &Reading,
        pin: u64,
    ) -> (Verdict, u64) {
        if !can_be_ue(address) {
            return self.of_nobody(reading, pin);
        }
        self.counters.inner_mismatch.add(1);
        let ends = [Some(address), other].into_iter().flatten();
        self.at_one_of(ends, pin)
    }

    /// Where the first of these addresses goes that is known to be a UE's; else by this pin.
    fn at_one_of(&self, addresses: impl IntoIterator<Item = IpAddr>, pin: u64) -> (Verdict, u64) {
        let mut found =
            addresses.into_iter().filter_map(|address| Some((address, self.find_place(address)?)));
        match found.next() {
            Some((_, place)) if place.verdict.is_some() => (place.verdict, pin),
            Some((address, _)) => (Verdict::NONE, self.cluster.pin_ue(address, None)),
            None => (Verdict::NONE, pin),
        }
    }

    /// A packet that does not tell whose it is, as a router advertisement, goes by its tunnel, where the
    /// End Marker goes too.
    #[cold]
    fn of_nobody(&self, reading: &Reading, pin: u64) -> (Verdict, u64) {
        let key = reading.tunnel.map(Key::Tunnel);
        (Verdict::NONE, key.map_or(pin, |key| self.cluster.pin(&key)))
    }

    /// A tunnel whose control plane was never seen goes where the session goes that is known to have
    /// its UE's address.
    fn told(&self, verdict: Verdict, toward: Option<Toward>, addresses: Addresses) -> Verdict {
        let Some(address) = ue_of(addresses, toward) else { return verdict };
        self.known_place(address).map_or(verdict, |place| place.verdict)
    }

    #[cold]
    fn unclear(
        &mut self,
        tunnel: TunnelId,
        reading: &Reading,
        addresses: Addresses,
        pin: u64,
    ) -> (Verdict, u64) {
        let Some(key) = reading.tunnel else { return (Verdict::NONE, pin) };
        self.tell(tunnel, key, addresses, reading.toward);
        let binding = self.line(tunnel).map(Line::binding);
        match binding.filter(|binding| binding.standing != Standing::Unclear) {
            Some(binding) => (self.told(binding.verdict, binding.toward, addresses), pin),
            None => self.without_session(reading, pin),
        }
    }

    /// A packet of no session goes where the session goes that has one of its addresses; else by its
    /// pin, which is that of the pair.
    fn without_session(&self, reading: &Reading, pin: u64) -> (Verdict, u64) {
        let Some(addresses) = reading.inner() else { return (Verdict::NONE, pin) };
        if !can_be_ue(addresses.source()) && !can_be_ue(addresses.destination()) {
            return self.of_nobody(reading, pin);
        }
        let (source, destination) = (addresses.source(), addresses.destination());
        match reading.toward {
            Some(Toward::Uplink) => self.at_one_of([source], pin),
            Some(Toward::Downlink) => self.at_one_of([destination], pin),
            None if self.find_place(source).is_some() && self.find_place(destination).is_some() => {
                (Verdict::NONE, pin)
            }
            None => self.at_one_of([source, destination], pin),
        }
    }

    /// A packet outside of any tunnel goes where the session goes that has one of its addresses.
    fn of_plain(&self, pair: Pair, pin: u64) -> (Verdict, u64) {
        let (a, b): (IpAddr, IpAddr) = match pair {
            Pair::V4(a, b) => (IpAddr::V4(a.into()), IpAddr::V4(b.into())),
            Pair::V6(a, b) => (IpAddr::V6(a.into()), IpAddr::V6(b.into())),
        };
        let is_b = self.known_place(a).is_none() && self.known_place(b).is_some();
        self.at_one_of(if is_b { [b, a] } else { [a, b] }, pin)
    }

    fn find_place(&self, address: IpAddr) -> Option<Found> {
        if !can_be_ue(address) {
            return None;
        }
        self.ues.find(address)
    }

    fn known_place(&self, address: IpAddr) -> Option<Found> {
        self.find_place(address).filter(|place| place.known)
    }
}

/// The address at the UE's end.
#[inline(always)]
const fn ue_of(addresses: Addresses, toward: Option<Toward>) -> Option<IpAddr> {
    match toward {
        Some(Toward::Uplink) => Some(addresses.source()),
        Some(Toward::Downlink) => Some(addresses.destination()),
        None => None,
    }
}

/// Whether packets that contradict the session of their tunnel can show an address: the network itself sends
/// downlink packets, while a UE may lie in its own tunnel.
fn is_believed(binding: Binding, said: Option<Toward>) -> bool {
    binding.standing != Standing::Known || said.or(binding.toward) == Some(Toward::Downlink)
}

/// Of a packet that contradicts the session of its tunnel: the address at the UE's end, and the other one
/// where that may be the UE's just as well. `by_tunnel` is the UE's if the tunnel still goes the way it went;
/// given out again it may go the other way. A packet that says itself which way it goes is believed.
fn ends_of(addresses: Addresses, said: Option<Toward>, by_tunnel: IpAddr) -> (IpAddr, Option<IpAddr>) {
    if let Some(address) = ue_of(addresses, said) {
        return (address, None);
    }
    let (source, destination) = (addresses.source(), addresses.destination());
    (by_tunnel, Some(if by_tunnel == source { destination } else { source }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_that_was_given_out_again_may_go_the_other_way() {
        let addresses = Addresses::V4 { source: 8, destination: 1 };
        let (server, ue) = (addresses.source(), addresses.destination());
        assert_eq!(ends_of(addresses, None, server), (server, Some(ue)));
        assert_eq!(ends_of(addresses, None, ue), (ue, Some(server)));
        assert_eq!(ends_of(addresses, Some(Toward::Downlink), server), (ue, None));
        assert_eq!(ends_of(addresses, Some(Toward::Uplink), server), (server, None));
    }
}
