//! A batch: frames, typed columns beside them, and the mask of those that are still live.

use types::{Malformed, PortId, ProbeSet, TrafficClass, Verdict};

use crate::Frame;

/// Packets in a batch at most: one bit each in the live mask.
pub const BATCH: usize = 64;

/// A place in a batch, always below [`BATCH`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(u8);

impl Slot {
    /// The place as a number.
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> usize {
        (self.0 & 63) as usize
    }

    #[inline(always)]
    const fn bit(self) -> u64 {
        1 << (self.0 & 63)
    }
}

/// One value for each slot.
#[derive(Clone, Debug)]
pub struct Column<T>([T; BATCH]);

impl<T: Copy> Column<T> {
    /// A column of equal values.
    pub const fn new(value: T) -> Self {
        Self([value; BATCH])
    }

    /// The value of a slot.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "a slot is below BATCH by construction")]
    pub const fn get(&self, slot: Slot) -> T {
        self.0[slot.index()]
    }

    /// Sets the value of a slot.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "a slot is below BATCH by construction")]
    pub const fn set(&mut self, slot: Slot, value: T) {
        self.0[slot.index()] = value;
    }
}

/// The slots of a mask, in ascending order.
#[derive(Clone, Copy, Debug)]
pub struct Live(u64);

impl Iterator for Live {
    type Item = Slot;

    #[inline(always)]
    fn next(&mut self) -> Option<Slot> {
        if self.0 == 0 {
            return None;
        }
        let slot = Slot((self.0.trailing_zeros() & 63) as u8);
        self.0 &= self.0.wrapping_sub(1);
        Some(slot)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let ones = self.0.count_ones() as usize;
        (ones, Some(ones))
    }
}

impl ExactSizeIterator for Live {}

/// What a packet carries across a ring beside its frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Arrival in nanoseconds since 1970, by the engine's time.
    pub time_ns: u64,
    /// Position in the input of its receiving core, counted from 0.
    pub sequence: u64,
    /// Hash of the key that pins the packet to a probe.
    pub pin: u64,
    /// Hash of the inner five-tuple, for groups that spread by flow.
    pub flow: u64,
    /// The probes it goes to. Before the balancer: of a packet that is no user's the probes that were told
    /// for it, empty where none were; of a user's packet it says nothing.
    pub probes: ProbeSet,
    /// What was decided for the session it belongs to.
    pub verdict: Verdict,
    /// Length on the wire in bytes; the frame may have been cut when it was captured.
    pub wire_bytes: u32,
    /// The port it came from.
    pub port: PortId,
    /// Its traffic class.
    pub class: TrafficClass,
}

/// A packet between two batches.
#[derive(Debug)]
pub struct Packet<F> {
    /// Its bytes.
    pub frame: F,
    /// What is known of it.
    pub meta: Meta,
}

/// Up to [`BATCH`] packets with typed columns beside them.
#[derive(Debug)]
pub struct Batch<F> {
    frames: [Option<F>; BATCH],
    filled: u8,
    live: u64,
    /// [`Meta::time_ns`]
    pub time_ns: Column<u64>,
    /// [`Meta::sequence`]
    pub sequence: Column<u64>,
    /// [`Meta::pin`]
    pub pin: Column<u64>,
    /// [`Meta::flow`]
    pub flow: Column<u64>,
    /// [`Meta::probes`]
    pub probes: Column<ProbeSet>,
    /// [`Meta::verdict`]
    pub verdict: Column<Verdict>,
    /// [`Meta::wire_bytes`]
    pub wire_bytes: Column<u32>,
    /// [`Meta::port`]
    pub port: Column<PortId>,
    /// [`Meta::class`]
    pub class: Column<TrafficClass>,
    /// Why the packet could not be read to its end. It stays at the receiving core.
    pub malformed: Column<Option<Malformed>>,
}

impl<F: Frame> Batch<F> {
    /// An empty batch. Made once and used again: it is some 4 KiB.
    #[must_use]
    pub fn new() -> Self {
        Self {
            frames: [const { None }; BATCH],
            filled: 0,
            live: 0,
            time_ns: Column::new(0),
            sequence: Column::new(0),
            pin: Column::new(0),
            flow: Column::new(0),
            probes: Column::new(ProbeSet::EMPTY),
            verdict: Column::new(Verdict::NONE),
            wire_bytes: Column::new(0),
            port: Column::new(PortId(0)),
            class: Column::new(TrafficClass::Other),
            malformed: Column::new(None),
        }
    }

    /// The packets that are still live, in the order they came in. The mask is read once: packets
    /// that are taken meanwhile are not skipped by this iterator.
    #[inline(always)]
    #[must_use]
    pub const fn live(&self) -> Live {
        Live(self.live)
    }

    /// How many more packets can be pushed.
    #[inline(always)]
    #[must_use]
    pub const fn room(&self) -> usize {
        BATCH - self.filled as usize
    }

    /// How many packets are live.
    #[inline(always)]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.live.count_ones() as usize
    }

    /// Whether no packet is live.
    #[inline(always)]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Appends a packet with all its columns.
    ///
    /// # Errors
    /// The packet itself, where the batch is full.
    #[inline(always)]
    pub fn push(&mut self, packet: Packet<F>) -> Result<Slot, Packet<F>> {
        let slot = Slot(self.filled);
        let Some(place) = self.frames.get_mut(usize::from(self.filled)) else { return Err(packet) };
        *place = Some(packet.frame);
        self.filled += 1;
        self.live |= slot.bit();
        let meta = packet.meta;
        self.time_ns.set(slot, meta.time_ns);
        self.sequence.set(slot, meta.sequence);
        self.pin.set(slot, meta.pin);
        self.flow.set(slot, meta.flow);
        self.probes.set(slot, meta.probes);
        self.verdict.set(slot, meta.verdict);
        self.wire_bytes.set(slot, meta.wire_bytes);
        self.port.set(slot, meta.port);
        self.class.set(slot, meta.class);
        Ok(slot)
    }

    /// Appends a packet as it arrives: only its time and its length on the wire are known.
    ///
    /// # Errors
    /// The frame itself, where the batch is full.
    #[inline(always)]
    pub fn push_received(&mut self, frame: F, time_ns: u64, wire_bytes: u32) -> Result<Slot, F> {
        let slot = Slot(self.filled);
        let Some(place) = self.frames.get_mut(usize::from(self.filled)) else { return Err(frame) };
        *place = Some(frame);
        self.filled += 1;
        self.live |= slot.bit();
        self.time_ns.set(slot, time_ns);
        self.wire_bytes.set(slot, wire_bytes);
        self.malformed.set(slot, None);
        self.verdict.set(slot, Verdict::NONE);
        Ok(slot)
    }

    /// Appends packets as they arrive, each with its time and its length on the wire, as long as there
    /// is room. Returns how many.
    #[inline(always)]
    pub fn extend_received(&mut self, packets: impl IntoIterator<Item = (F, u64, u32)>) -> usize {
        let first = self.filled;
        // Counted here and not in the batch, where each packet would wait for the one before it.
        let mut filled = first;
        let places = self.frames.get_mut(usize::from(first)..).unwrap_or_default();
        for (place, (frame, time_ns, wire_bytes)) in places.iter_mut().zip(packets) {
            let slot = Slot(filled);
            *place = Some(frame);
            self.time_ns.set(slot, time_ns);
            self.wire_bytes.set(slot, wire_bytes);
            self.malformed.set(slot, None);
            self.verdict.set(slot, Verdict::NONE);
            filled += 1;
        }
        let count = filled - first;
        if count > 0 {
            self.live |= (u64::MAX >> ((64 - count) & 63)) << (first & 63);
            self.filled = filled;
        }
        usize::from(count)
    }

    /// The frame of a slot; `None` once it was taken.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "a slot is below BATCH by construction")]
    pub const fn frame(&self, slot: Slot) -> Option<&F> {
        self.frames[slot.index()].as_ref()
    }

    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "a slot is below BATCH by construction")]
    const fn place(&mut self, slot: Slot) -> &mut Option<F> {
        &mut self.frames[slot.index()]
    }

    /// Takes a slot's frame out; until [`Batch::put_frame`] gives it another one, it is not live.
    #[inline(always)]
    pub fn take_frame(&mut self, slot: Slot) -> Option<F> {
        let frame = self.place(slot).take()?;
        self.live &= !slot.bit();
        Some(frame)
    }

    /// Gives a slot whose frame was taken another one; it is live again.
    #[inline(always)]
    pub fn put_frame(&mut self, slot: Slot, frame: F) {
        *self.place(slot) = Some(frame);
        self.live |= slot.bit();
    }

    /// The first segment of a slot's frame; empty once it was taken.
    #[inline(always)]
    #[must_use]
    pub fn head(&self, slot: Slot) -> &[u8] {
        self.frame(slot).map_or(&[], F::head)
    }

    /// Takes a packet out: it is not live any more.
    #[inline(always)]
    pub fn take(&mut self, slot: Slot) -> Option<Packet<F>> {
        let frame = self.take_frame(slot)?;
        Some(Packet {
            frame,
            meta: Meta {
                time_ns: self.time_ns.get(slot),
                sequence: self.sequence.get(slot),
                pin: self.pin.get(slot),
                flow: self.flow.get(slot),
                probes: self.probes.get(slot),
                verdict: self.verdict.get(slot),
                wire_bytes: self.wire_bytes.get(slot),
                port: self.port.get(slot),
                class: self.class.get(slot),
            },
        })
    }

    /// Makes the batch empty. Frames that are left are freed.
    #[inline(always)]
    pub fn clear(&mut self) {
        if self.live != 0 {
            for slot in self.live() {
                *self.place(slot) = None;
            }
        }
        self.filled = 0;
        self.live = 0;
    }
}

impl<F: Frame> Default for Batch<F> {
    fn default() -> Self {
        Self::new()
    }
}
