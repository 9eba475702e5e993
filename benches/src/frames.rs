//! Prepared packets: many, each on lines of its own, handed out without a copy.

use std::net::{Ipv4Addr, Ipv6Addr};

use batch::{Batch, Frame, FramePool, RxQueue};
use testkit::{Extension, Gtpu, Ipv4, Ipv6, PDU_SESSION_CONTAINER, Packet, Tcp, pdu_session_container};

/// A frame that costs nothing to make or to free: bytes that live for ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes(pub(crate) &'static [u8]);

/// The pool of [`Bytes`]: has nothing to give.
#[derive(Debug)]
pub(crate) struct NoPool;

impl Frame for Bytes {
    type Pool = NoPool;

    #[inline(always)]
    fn head(&self) -> &[u8] {
        self.0
    }

    #[inline(always)]
    fn len(&self) -> usize {
        self.0.len()
    }

    fn copy_to(&self, offset: usize, out: &mut [u8]) -> usize {
        let there = self.0.get(offset..).unwrap_or_default();
        let count = there.len().min(out.len());
        out[..count].copy_from_slice(&there[..count]);
        count
    }

    fn share(&self) -> Self {
        *self
    }

    fn make_private(self, _pool: &mut NoPool) -> Result<Self, Self> {
        Err(self)
    }

    fn head_mut(&mut self) -> Option<&mut [u8]> {
        None
    }

    fn trim_front(&mut self, _bytes: usize) -> bool {
        false
    }

    fn truncate(&mut self, _bytes: usize) -> bool {
        false
    }
}

impl FramePool for NoPool {
    type Frame = Bytes;
}

/// What the packets of a pool look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// IPv4 in GTP-U.
    Plain,
    /// IPv4 in GTP-U with a PDU session container.
    Container,
    /// With and without a VLAN tag, with and without a container, IPv4 and IPv6.
    Mixed,
}

/// From one packet to the next: a whole number of cache lines that is no power of two, so that
/// packets do not share the sets of a cache.
const STRIDE: usize = 11 * 64;

/// Packets of this shape, each of a flow of its own. They lie in one region but come in an order
/// without a pattern, as buffers do that have been in use for a while: no prefetcher of the processor
/// knows the next one.
pub(crate) fn pool(shape: Shape, count: usize) -> Vec<Bytes> {
    let region = crate::twin::region(count * STRIDE);
    let mut packet = Vec::with_capacity(STRIDE);
    let mut frames: Vec<_> = region
        .chunks_exact_mut(STRIDE)
        .enumerate()
        .map(|(flow, place)| {
            packet.clear();
            build(shape, flow as u32, &mut packet);
            let place = &mut place[..packet.len()];
            place.copy_from_slice(&packet);
            Bytes(place)
        })
        .collect();
    shuffle(&mut frames);
    frames
}

/// Fisher and Yates, with the same numbers every time.
fn shuffle<T>(values: &mut [T]) {
    let mut state = 1;
    for last in (1..values.len()).rev() {
        state = next(state);
        values.swap(last, (state >> 33) as usize % (last + 1));
    }
}

/// Knuth's MMIX generator: its high bits are good enough to shuffle by.
pub(crate) const fn next(state: u64) -> u64 {
    state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}

fn build(shape: Shape, flow: u32, out: &mut Vec<u8>) {
    let choice = next(u64::from(flow) ^ 0x5eed) >> 40;
    let mixed = shape == Shape::Mixed;
    let uplink = choice & 1 != 0;
    let content = pdu_session_container(uplink, 9);
    let container = [Extension { kind: PDU_SESSION_CONTAINER, content: &content }];
    let extended = shape == Shape::Container || mixed && choice & 2 != 0;
    let gtpu = Gtpu { extensions: if extended { &container } else { &[] }, ..Gtpu::t_pdu(0x1000 + flow) };
    let mut packet = Packet::new(out);
    packet.ethernet([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    if mixed && choice & 4 != 0 {
        packet.vlan(0x8100, 100);
    }
    let (node, gateway) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
    packet.ipv4(&if uplink { Ipv4::new(node, gateway) } else { Ipv4::new(gateway, node) });
    packet.udp(2152, 2152).gtpu(&gtpu);
    if mixed && choice & 0x18 == 0 {
        let (user, server) = (0x2001_0db8_u128 << 96 | u128::from(flow), 0x2001_0db8_ffff_u128 << 80 | 1);
        let (from, to) = if uplink { (user, server) } else { (server, user) };
        packet.ipv6(&Ipv6::new(Ipv6Addr::from(from), Ipv6Addr::from(to)));
    } else {
        let (user, server) = (0x0a00_0000 + flow, 0xc633_6400 + (choice as u32 >> 5 & 0xff));
        let (from, to) = if uplink { (user, server) } else { (server, user) };
        packet.ipv4(&Ipv4::new(Ipv4Addr::from(from), Ipv4Addr::from(to)));
    }
    if choice & 0x60 == 0 {
        packet.udp(443, 40_000);
    } else {
        packet.tcp(&Tcp::new(443, 40_000));
    }
    packet.payload(&[0; 512][..(choice >> 8) as usize % 512]).finish();
}

/// A queue that never runs dry: the same packets again and again, a burst at a time.
#[derive(Debug)]
pub(crate) struct Endless {
    frames: Vec<Bytes>,
    next: usize,
}

impl Endless {
    pub(crate) const fn new(frames: Vec<Bytes>) -> Self {
        Self { frames, next: 0 }
    }
}

impl RxQueue for Endless {
    type Frame = Bytes;

    #[inline]
    fn receive(&mut self, batch: &mut Batch<Bytes>) -> usize {
        let ready = &self.frames[self.next..];
        let count = ready.len().min(batch.room());
        let count =
            batch.extend_received(ready[..count].iter().map(|frame| (*frame, 0, frame.0.len() as u32)));
        self.next += count;
        if self.next == self.frames.len() {
            self.next = 0;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_what_they_are_called() {
        for (shape, shortest) in
            [(Shape::Plain, 50 + 20), (Shape::Container, 58 + 20), (Shape::Mixed, 50 + 20)]
        {
            let frames = pool(shape, 512);
            assert!(frames.iter().all(|frame| wire::tpdu::<false>(frame.0).is_some()), "{shape:?}");
            assert!(frames.iter().all(|frame| frame.0.as_ptr().addr() % 64 == 0));
            let containers = frames.iter().filter(|frame| {
                wire::dissect(types::LinkType::Ethernet, frame.0).layers.pdu_session.is_some()
            });
            assert_eq!(containers.count() == 512, shape == Shape::Container);
            assert!(frames.iter().all(|frame| frame.0.len() >= shortest));
        }
    }

    #[test]
    fn no_two_packets_are_of_one_flow() {
        let mut pairs: Vec<_> = pool(Shape::Mixed, 4_096)
            .iter()
            .map(|frame| wire::tpdu::<false>(frame.0).unwrap().addresses.pair())
            .collect();
        pairs.sort();
        pairs.dedup();
        assert_eq!(pairs.len(), 4_096);
    }

    #[test]
    fn a_queue_begins_again() {
        let frames = pool(Shape::Plain, 100);
        let mut queue = Endless::new(frames);
        let mut batch = Batch::new();
        let sizes: Vec<_> = (0..4)
            .map(|_| {
                batch.clear();
                queue.receive(&mut batch)
            })
            .collect();
        assert_eq!(sizes, [64, 36, 64, 36]);
    }
    #[test]
    fn a_batch_takes_what_it_has_room_for() {
        let frames = pool(Shape::Plain, 100);
        let mut batch = Batch::new();
        let mut arriving = frames.iter().enumerate().map(|(time, frame)| (*frame, time as u64, 1));
        assert_eq!(batch.extend_received(arriving.by_ref().take(3)), 3);
        let first = batch.live().next().unwrap();
        assert!(batch.take(first).is_some());
        assert_eq!(batch.extend_received(&mut arriving), 61);
        assert_eq!(batch.extend_received(&mut arriving), 0);
        let times: Vec<_> = batch.live().map(|slot| batch.time_ns.get(slot)).collect();
        assert_eq!(times, (1..64).collect::<Vec<_>>());
        assert_eq!(arriving.next().map(|(_, time, _)| time), Some(64));
    }
}
