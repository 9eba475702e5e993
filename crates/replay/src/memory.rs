//! Receive queues for tests: packets from memory, and seeded trouble around any queue.

use std::collections::VecDeque;
use std::sync::Arc;

use batch::{BATCH, Batch, Frame, RxQueue};

use crate::frame::Chunk;
use crate::seed::mix;
use crate::{Finite, HeapFrame};

/// A receive queue whose packets were given to it.
#[derive(Debug)]
pub struct MemoryRx {
    chunk: Arc<Chunk>,
    /// Time, start and length.
    packets: Vec<(u64, u32, u32)>,
    next: usize,
    burst: usize,
}

impl MemoryRx {
    /// Hands out `packets`, each with its time in nanoseconds, in the order given.
    #[must_use]
    pub fn new<B: AsRef<[u8]>>(packets: impl IntoIterator<Item = (u64, B)>) -> Self {
        let mut bytes = Vec::new();
        let mut places = Vec::new();
        for (time_ns, packet) in packets {
            let packet = packet.as_ref();
            places.push((time_ns, bytes.len() as u32, packet.len() as u32));
            bytes.extend_from_slice(packet);
        }
        assert!(u32::try_from(bytes.len()).is_ok(), "MemoryRx is for tests: less than 4 GiB of packets");
        Self { chunk: Arc::new(Chunk::new(bytes)), packets: places, next: 0, burst: BATCH }
    }

    /// Hands out at most `burst` packets at a time.
    #[must_use]
    pub fn with_burst(mut self, burst: usize) -> Self {
        self.burst = burst.clamp(1, BATCH);
        self
    }
}

impl Finite for MemoryRx {
    fn finished(&self) -> bool {
        self.next == self.packets.len()
    }
}

impl RxQueue for MemoryRx {
    type Frame = HeapFrame;

    fn receive(&mut self, batch: &mut Batch<HeapFrame>) -> usize {
        let ready = self.packets.get(self.next..).unwrap_or_default();
        let n = ready.len().min(batch.room()).min(self.burst);
        for (time_ns, start, len) in ready.iter().take(n) {
            let frame = HeapFrame::window(Arc::clone(&self.chunk), *start, *len);
            let pushed = batch.push_received(frame, *time_ns, *len);
            debug_assert!(pushed.is_ok(), "no more than there is room for");
        }
        self.next += n;
        n
    }
}

/// How much trouble there is; all chances are packets in a thousand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Impairments {
    /// What all choices depend on, with the packet's position.
    pub seed: u64,
    /// Packets that never arrive.
    pub lost: u16,
    /// Packets that arrive twice, one right after the other.
    pub duplicated: u16,
    /// Packets that arrive late, with the time they had.
    pub reordered: u16,
    /// The most packets that overtake a late one.
    pub overtaken_by: u16,
    /// Packets that lose bytes at their end; their length on the wire stays.
    pub truncated: u16,
    /// Whether every frame is cut into 2 to 5 segments.
    pub segmented: bool,
}

/// What [`Impaired`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImpairedCounts {
    /// Packets the queue inside received.
    pub received: u64,
    /// Packets that never arrived.
    pub lost: u64,
    /// Packets that arrived twice.
    pub duplicated: u64,
    /// Packets that arrived late.
    pub reordered: u64,
    /// Packets that lost bytes.
    pub truncated: u64,
}

type Waiting = (HeapFrame, u64, u32);

/// A receive queue with seeded loss, duplication, reordering and truncation. What happens to a packet
/// depends on the seed and its position alone, not on the size of a burst.
#[derive(Debug)]
pub struct Impaired<Q> {
    inner: Q,
    how: Impairments,
    counts: ImpairedCounts,
    batch: Box<Batch<HeapFrame>>,
    ready: VecDeque<Waiting>,
    /// Late packets and the position behind which they arrive.
    late: Vec<(u64, Waiting)>,
}

impl<Q: RxQueue<Frame = HeapFrame> + Finite> Impaired<Q> {
    /// Makes trouble for what `inner` receives.
    #[must_use]
    pub fn new(inner: Q, how: Impairments) -> Self {
        Self {
            inner,
            how,
            counts: ImpairedCounts::default(),
            batch: Box::default(),
            ready: VecDeque::new(),
            late: Vec::new(),
        }
    }

    /// What was done so far.
    #[must_use]
    pub const fn counts(&self) -> ImpairedCounts {
        self.counts
    }

    fn pull(&mut self) {
        self.batch.clear();
        self.inner.receive(&mut self.batch);
        for slot in self.batch.live() {
            if let Some(packet) = self.batch.take(slot) {
                self.impair((packet.frame, packet.meta.time_ns, packet.meta.wire_bytes));
            }
        }
        if self.inner.finished() {
            // No more packets come to overtake them.
            self.late.sort_by_key(|(behind, _)| *behind);
            self.ready.extend(self.late.drain(..).map(|(_, packet)| packet));
        }
    }

    fn impair(&mut self, (mut frame, time_ns, wire_bytes): Waiting) {
        let position = self.counts.received;
        self.counts.received += 1;
        let base = mix(self.how.seed ^ mix(position));
        let number = |kind: u64| mix(base.wrapping_add(kind));
        let happens = |kind: u64, chance: u16| number(kind) % 1000 < u64::from(chance);
        if happens(1, self.how.lost) {
            self.counts.lost += 1;
        } else {
            if happens(2, self.how.truncated) && !frame.is_empty() {
                self.counts.truncated += 1;
                frame.shorten((number(3) % frame.len() as u64) as usize);
            }
            if self.how.segmented {
                frame = frame.cut(number(7));
            }
            if happens(4, self.how.duplicated) {
                self.counts.duplicated += 1;
                self.ready.push_back((frame.share(), time_ns, wire_bytes));
            }
            if self.how.overtaken_by > 0 && happens(5, self.how.reordered) {
                self.counts.reordered += 1;
                let behind = position + 1 + number(6) % u64::from(self.how.overtaken_by);
                self.late.push((behind, (frame, time_ns, wire_bytes)));
            } else {
                self.ready.push_back((frame, time_ns, wire_bytes));
            }
        }
        let mut at = 0;
        while let Some((behind, _)) = self.late.get(at) {
            if *behind <= position {
                self.ready.push_back(self.late.remove(at).1);
            } else {
                at += 1;
            }
        }
    }
}

impl<Q: RxQueue<Frame = HeapFrame> + Finite> Finite for Impaired<Q> {
    fn finished(&self) -> bool {
        self.inner.finished() && self.ready.is_empty() && self.late.is_empty()
    }
}

impl<Q: RxQueue<Frame = HeapFrame> + Finite> RxQueue for Impaired<Q> {
    type Frame = HeapFrame;

    fn receive(&mut self, batch: &mut Batch<HeapFrame>) -> usize {
        let mut n = 0;
        while batch.room() > 0 {
            if self.ready.is_empty() {
                if self.inner.finished() && self.late.is_empty() {
                    break;
                }
                let before = self.counts.received;
                self.pull();
                if self.ready.is_empty() && self.counts.received == before {
                    break;
                }
                continue;
            }
            let Some((frame, time_ns, wire_bytes)) = self.ready.pop_front() else { break };
            let pushed = batch.push_received(frame, time_ns, wire_bytes);
            debug_assert!(pushed.is_ok(), "there is room");
            n += 1;
        }
        n
    }
}
