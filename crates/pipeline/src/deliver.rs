//! The last stage of a worker: hands packets to the probes.

use std::sync::Arc;

use arrayvec::ArrayVec;
use batch::{
    BATCH, Batch, Burst, Column, Frame, Live, Meta, ProbeCounters, Slot, Stage, TxCounters, TxQueue,
};
use cpu::Producer;
use types::{DropReason, ProbeId, ProbeSet, TrafficClass};

use crate::{Handover, Overflow};

/// Where the packets of a probe go.
#[derive(Debug)]
pub enum Target<T> {
    /// Out of this queue of a port.
    Port(T),
    /// To the writer, into a file.
    Writer,
    /// Nowhere: they are counted as sent.
    Null,
}

/// Delivers, and accounts for every packet and every copy.
pub struct Deliver<F: Frame, T: TxQueue<Frame = F>> {
    lanes: Vec<Option<Lane<F, T>>>,
    to_ports: ProbeSet,
    to_writer: ProbeSet,
    to_null: ProbeSet,
    writer: Option<Producer<Handover<F>>>,
    /// The writer restores the order of the input: it hears of every packet, also of those that are
    /// not for it.
    writer_counts_all: bool,
    overflow: Overflow,
    rounds: u32,
    counters: Arc<TxCounters>,
    probes: Arc<[ProbeCounters]>,
    pool: F::Pool,
}

struct Lane<F: Frame, T> {
    queue: T,
    burst: Burst<F>,
    notes: ArrayVec<Note, BATCH>,
    /// Nothing was taken for as long as a source may wait: it waits no more until something is.
    stalled: bool,
}

/// What has to be counted when a frame of a burst was sent or lost.
#[derive(Clone, Copy, Debug)]
struct Note {
    bytes: u32,
    class: TrafficClass,
    /// Set for one of several copies: the packet's outcome is known when all were offered.
    copy_of: Option<Slot>,
}

/// What became of the packets of a batch that go to several probes.
struct Outcomes {
    taken: u64,
    reason: Column<DropReason>,
}

impl Outcomes {
    const fn new() -> Self {
        Self { taken: 0, reason: Column::new(DropReason::ProbeFull) }
    }

    const fn took(&mut self, slot: Slot) {
        self.taken |= 1 << slot.index();
    }

    const fn is_taken(&self, slot: Slot) -> bool {
        self.taken & 1 << slot.index() != 0
    }
}

impl<F: Frame, T: TxQueue<Frame = F>> Deliver<F, T> {
    /// Rounds after which a burst is sent that has not become full.
    const ROUNDS: u32 = 8;
    /// How often a full queue is offered the same frames before they are dropped.
    const OFFERS: u32 = 4;
    /// The same for a source that can wait: some seconds, once.
    const OFFERS_WAITING: u32 = 100_000_000;

    /// A stage for these targets, one for each probe in order.
    #[must_use]
    pub fn new(
        targets: Vec<Target<T>>,
        writer: Option<Producer<Handover<F>>>,
        writer_counts_all: bool,
        overflow: Overflow,
        counters: Arc<TxCounters>,
        probes: Arc<[ProbeCounters]>,
        pool: F::Pool,
    ) -> Self {
        let mut to_ports = ProbeSet::EMPTY;
        let mut to_writer = ProbeSet::EMPTY;
        let mut to_null = ProbeSet::EMPTY;
        let lane = |(index, target): (usize, Target<T>)| {
            let probe = ProbeSet::one(ProbeId(index as u8));
            match target {
                Target::Port(queue) => {
                    to_ports = to_ports.union(probe);
                    return Some(Lane { queue, burst: Burst::new(), notes: ArrayVec::new(), stalled: false });
                }
                Target::Writer => to_writer = to_writer.union(probe),
                Target::Null => to_null = to_null.union(probe),
            }
            None
        };
        let lanes = targets.into_iter().enumerate().map(lane).collect();
        Self {
            lanes,
            to_ports,
            to_writer,
            to_null,
            writer,
            writer_counts_all,
            overflow,
            rounds: 0,
            counters,
            probes,
            pool,
        }
    }

    /// Whether the writer takes a whole batch now. Where it does not and the source can wait, the
    /// worker waits too.
    #[inline(always)]
    pub fn is_ready(&mut self) -> bool {
        self.overflow == Overflow::Drop
            || self.writer.as_mut().is_none_or(|writer| writer.room(BATCH) >= BATCH)
    }

    /// Sends what is staged.
    pub fn flush(&mut self) {
        let mut outcomes = Outcomes::new();
        self.flush_ports(&mut outcomes);
        debug_assert_eq!(outcomes.taken, 0, "copies never outlive their batch");
    }

    fn flush_ports(&mut self, outcomes: &mut Outcomes) {
        self.rounds = 0;
        for probe in self.to_ports.iter() {
            self.flush_lane(probe, outcomes);
        }
    }

    fn flush_lane(&mut self, probe: ProbeId, outcomes: &mut Outcomes) {
        let Some(Some(lane)) = self.lanes.get_mut(usize::from(probe.0)) else { return };
        let Some(counters) = self.probes.get(usize::from(probe.0)) else { return };
        let mut offers = match self.overflow {
            Overflow::Wait if !lane.stalled => Self::OFFERS_WAITING,
            _ => Self::OFFERS,
        };
        while !lane.burst.is_empty() && offers > 0 {
            let sent = lane.queue.send(&mut lane.burst);
            lane.stalled &= sent == 0;
            for note in lane.notes.drain(..sent.min(lane.notes.len())) {
                counters.sent(note.class, u64::from(note.bytes));
                match note.copy_of {
                    Some(slot) => outcomes.took(slot),
                    None => self.counters.delivered(1),
                }
            }
            offers -= 1;
        }
        lane.stalled |= !lane.burst.is_empty();
        for note in lane.notes.drain(..) {
            counters.dropped(DropReason::ProbeFull, 1);
            if note.copy_of.is_none() {
                self.counters.dropped(DropReason::ProbeFull, 1);
            }
        }
        lane.burst.clear();
    }

    /// Puts a frame into a probe's burst.
    #[inline(always)]
    fn stage(&mut self, probe: ProbeId, frame: F, note: Note, outcomes: &mut Outcomes) {
        let Some(Some(lane)) = self.lanes.get_mut(usize::from(probe.0)) else { return };
        if let Err(reason) = lane.queue.fits(&frame) {
            self.lose(probe, note, reason, outcomes);
            return;
        }
        if lane.burst.is_full() {
            self.flush_lane(probe, outcomes);
        }
        let Some(Some(lane)) = self.lanes.get_mut(usize::from(probe.0)) else { return };
        // The burst was just emptied if it was full.
        let _ = lane.burst.try_push(frame);
        let _ = lane.notes.try_push(note);
    }

    #[cold]
    fn lose(&self, probe: ProbeId, note: Note, reason: DropReason, outcomes: &mut Outcomes) {
        if let Some(counters) = self.probes.get(usize::from(probe.0)) {
            counters.dropped(reason, 1);
        }
        match note.copy_of {
            Some(slot) => outcomes.reason.set(slot, reason),
            None => self.counters.dropped(reason, 1),
        }
    }

    /// Offers a copy to each of `probes`; the frame itself stays in the batch.
    fn stage_copies(
        &mut self,
        batch: &Batch<F>,
        slot: Slot,
        probes: ProbeSet,
        note: Note,
        outcomes: &mut Outcomes,
    ) {
        for probe in probes.iter() {
            let Some(frame) = batch.frame(slot).map(F::share) else { return };
            let Some(Some(lane)) = self.lanes.get(usize::from(probe.0)) else { return };
            let copy = if lane.queue.takes_shared() { Ok(frame) } else { frame.make_private(&mut self.pool) };
            match copy {
                Ok(frame) => self.stage(probe, frame, note, outcomes),
                Err(_shared) => self.lose(probe, note, DropReason::PoolEmpty, outcomes),
            }
        }
    }

    /// Hands on what is for a file. `slots` are those of the whole batch, also of packets that left it.
    fn hand_over(&mut self, batch: &mut Batch<F>, slots: Live, outcomes: &Outcomes) {
        let Some(writer) = &mut self.writer else { return };
        let (to_writer, all) = (self.to_writer, self.writer_counts_all);
        let mut items = slots.filter_map(|slot| {
            let probes = ProbeSet(batch.probes.get(slot).0 & to_writer.0);
            if probes.is_empty() {
                // Counted already; it only keeps its place.
                return all.then(|| Handover { frame: None, meta: Meta::default(), counted: true });
            }
            let packet = batch.take(slot)?;
            let mut meta = packet.meta;
            meta.probes = probes;
            // With another copy that arrived, the packet is counted already.
            Some(Handover { frame: Some(packet.frame), meta, counted: outcomes.is_taken(slot) })
        });
        writer.push_from(&mut items);
        for lost in items {
            if lost.frame.is_none() {
                continue;
            }
            for probe in lost.meta.probes.iter() {
                if let Some(counters) = self.probes.get(usize::from(probe.0)) {
                    counters.dropped(DropReason::ProbeFull, 1);
                }
            }
            if !lost.counted {
                self.counters.dropped(DropReason::ProbeFull, 1);
            }
        }
    }
}

impl<F: Frame, T: TxQueue<Frame = F>> Stage<F> for Deliver<F, T> {
    #[inline]
    fn run(&mut self, batch: &mut Batch<F>) {
        let mut outcomes = Outcomes::new();
        let mut several = ArrayVec::<Slot, BATCH>::new();
        let slots = batch.live();
        for slot in slots {
            let probes = batch.probes.get(slot);
            let bytes = batch.frame(slot).map_or(0, |frame| frame.len() as u32);
            let class = batch.class.get(slot);
            if self.to_writer.0 & probes.0 == probes.0 {
                continue;
            }
            if probes.len() == 1 && self.to_ports.0 & probes.0 != 0 {
                let probe = ProbeId((probes.0.trailing_zeros() & 63) as u8);
                if let Some(frame) = batch.take_frame(slot) {
                    self.stage(probe, frame, Note { bytes, class, copy_of: None }, &mut outcomes);
                }
                continue;
            }
            let nulls = ProbeSet(probes.0 & self.to_null.0);
            for probe in nulls.iter() {
                if let Some(counters) = self.probes.get(usize::from(probe.0)) {
                    counters.sent(class, u64::from(bytes));
                    outcomes.took(slot);
                }
            }
            let ports = ProbeSet(probes.0 & self.to_ports.0);
            if !ports.is_empty() {
                let note = Note { bytes, class, copy_of: Some(slot) };
                self.stage_copies(batch, slot, ports, note, &mut outcomes);
            }
            let _ = several.try_push(slot);
        }
        self.rounds += 1;
        if !several.is_empty() || self.rounds >= Self::ROUNDS {
            self.flush_ports(&mut outcomes);
        }
        for &slot in &several {
            if outcomes.is_taken(slot) {
                self.counters.delivered(1);
            } else if batch.probes.get(slot).0 & self.to_writer.0 == 0 {
                self.counters.dropped(outcomes.reason.get(slot), 1);
            }
        }
        self.hand_over(batch, slots, &outcomes);
    }
}
