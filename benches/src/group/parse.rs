//! From a cold packet to class and pin.

use std::hint::black_box;
use std::sync::Arc;

use ::balance::ClusterKey;
use ::pipeline::{Classify, Fragments, Readings};
use batch::{BATCH, Batch, RxCounters, RxQueue};
use types::{LinkType, TrafficClass};

use crate::frames::{Bytes, Endless, Shape, pool};
use crate::twin::{self, Descriptor, Findings};
use crate::{Outcome, Rival, Scale, measure};

const KEY: &str = "change me";

/// What one packet may cost at most, as a multiple of what it costs the twin.
const BAR: f64 = 1.3;

pub(super) fn run(scale: &Scale) -> Vec<Outcome> {
    [("gtpu-psc", Shape::Container), ("gtpu", Shape::Plain), ("mixed", Shape::Mixed)]
        .map(|(name, shape)| case(name, shape, scale))
        .into()
}

fn case(name: &str, shape: Shape, scale: &Scale) -> Outcome {
    let frames = pool(shape, scale.buffers);
    agree(&frames);

    let descriptors: Vec<_> = frames.iter().copied().map(Descriptor::new).collect();
    let cluster = ClusterKey::new(KEY);
    let key = twin::key(KEY);
    let (mut floor_at, mut lines_at, mut twin_at, mut function_at) = (0, 0, 0, 0);
    let mut twin_out = Findings::new();
    let mut function_out = Findings::new();
    let mut stage = StageRival::new(frames.clone());
    let mut naive = frames.iter().cycle();
    let rivals = vec![
        Rival::new("floor", BATCH as u64, |n| {
            for _ in 0..n {
                black_box(twin::floor(burst(&descriptors, &mut floor_at)));
            }
        }),
        Rival::new("two_lines", BATCH as u64, |n| {
            for _ in 0..n {
                black_box(twin::two_lines(burst(&descriptors, &mut lines_at)));
            }
        }),
        Rival::new("c_twin", BATCH as u64, |n| {
            for _ in 0..n {
                black_box(twin::parse(&key, burst(&descriptors, &mut twin_at), &mut twin_out));
            }
        }),
        Rival::new("function", BATCH as u64, |n| {
            for _ in 0..n {
                black_box(function(&cluster, burst(&frames, &mut function_at), &mut function_out));
            }
        }),
        Rival::new("ours", BATCH as u64, |n| {
            for _ in 0..n {
                black_box(stage.burst());
                stage.batch.clear();
            }
        }),
        Rival::new("naive", BATCH as u64, |n| {
            for frame in naive.by_ref().take(n as usize * BATCH) {
                black_box(by_the_book(&cluster, *frame));
            }
        }),
    ];
    let samples = measure(scale, rivals);
    let ratios = [
        ("ours", "c_twin"),
        ("function", "c_twin"),
        ("ours", "floor"),
        ("c_twin", "floor"),
        ("naive", "ours"),
    ];
    let outcome = Outcome::new(format!("parse/{name}/{BATCH}"), samples, &ratios);
    if shape == Shape::Container { outcome.with_bar("ours/c_twin", BAR) } else { outcome }
}

/// The next burst, from the beginning again at the end. The pool is a whole number of bursts.
#[inline(always)]
fn burst<'a, T>(all: &'a [T], at: &mut usize) -> &'a [T] {
    let burst = &all[*at..*at + BATCH];
    *at += BATCH;
    if *at == all.len() {
        *at = 0;
    }
    burst
}

/// The Rust functions that the stage is made of, in the loop of the twin.
#[inline(never)]
fn function(cluster: &ClusterKey, burst: &[Bytes], out: &mut Findings) -> u64 {
    for frame in burst {
        cpu::prefetch_two(frame.0);
    }
    let mut understood = 0_u64;
    for (index, (frame, (pin, class))) in
        burst.iter().zip(out.pins.iter_mut().zip(&mut out.classes)).enumerate()
    {
        if let Some(tpdu) = wire::tpdu::<false>(frame.0) {
            *pin = cluster.pin_pair(tpdu.addresses.pair());
            *class = TrafficClass::GtpU as u8;
            understood |= 1 << index;
        }
    }
    out.user_packets += u64::from(understood.count_ones());
    understood
}

/// The obvious code: one packet after the other, each header by its own view.
fn by_the_book(cluster: &ClusterKey, frame: Bytes) -> (TrafficClass, u64) {
    let found = wire::dissect(LinkType::Ethernet, frame.0);
    (found.class, cluster.pin(&found.key))
}

/// The stage of the pipeline, which asks for the lines of the packets by itself, with what is done around
/// it: a burst is put into a batch, the batch emptied at the end.
struct StageRival {
    queue: Endless,
    classify: Classify,
    readings: Readings,
    batch: Box<Batch<Bytes>>,
}

impl StageRival {
    fn new(frames: Vec<Bytes>) -> Self {
        let counters = Arc::new(RxCounters::default());
        let fragments = Fragments::new(16, 1);
        Self {
            queue: Endless::new(frames),
            classify: Classify::new(LinkType::Ethernet, ClusterKey::new(KEY), false, fragments, counters),
            readings: Readings::new(),
            batch: Box::default(),
        }
    }

    #[inline(always)]
    fn burst(&mut self) -> &Batch<Bytes> {
        let batch = &mut *self.batch;
        self.queue.receive(batch);
        self.classify.run(batch, &mut self.readings);
        batch
    }
}

/// Every rival gives every packet the same class and pin, and none of them refuses one.
fn agree(frames: &[Bytes]) {
    let cluster = ClusterKey::new(KEY);
    let key = twin::key(KEY);
    let mut stage = StageRival::new(frames.to_vec());
    let (mut twin_out, mut function_out) = (Findings::new(), Findings::new());
    for burst in frames.chunks(BATCH) {
        let descriptors: Vec<_> = burst.iter().copied().map(Descriptor::new).collect();
        assert_eq!(twin::parse(&key, &descriptors, &mut twin_out), u64::MAX >> (BATCH - burst.len()));
        function(&cluster, burst, &mut function_out);
        let batch = stage.burst();
        for (index, slot) in batch.live().enumerate() {
            let expected = by_the_book(&cluster, burst[index]);
            let found = [
                (TrafficClass::ALL[usize::from(twin_out.classes[index])], twin_out.pins[index]),
                (TrafficClass::ALL[usize::from(function_out.classes[index])], function_out.pins[index]),
                (batch.class.get(slot), batch.pin.get(slot)),
            ];
            assert_eq!(found, [expected; 3], "{:02x?}", burst[index].0);
        }
        stage.batch.clear();
    }
    assert_eq!(
        (twin_out.user_packets, function_out.user_packets),
        (frames.len() as u64, frames.len() as u64)
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::next;

    fn twin_pin(key: &[u64; 4], frame: &'static [u8]) -> Option<u64> {
        let mut out = Findings::new();
        let understood = twin::parse(key, &[Descriptor::new(Bytes(frame))], &mut out);
        (understood == 1).then_some(out.pins[0])
    }

    #[test]
    fn the_twin_refuses_what_the_function_refuses() {
        let (cluster, key) = (ClusterKey::new(KEY), twin::key(KEY));
        let ours =
            |frame: &[u8]| wire::tpdu::<false>(frame).map(|tpdu| cluster.pin_pair(tpdu.addresses.pair()));
        let (mut refused, mut understood) = (0, 0);
        let mut check = |frame: &[u8]| {
            // The twin takes frames that live for ever.
            let frame: &'static [u8] = Box::leak(frame.into());
            let expected = ours(frame);
            assert_eq!(twin_pin(&key, frame), expected, "{frame:02x?}");
            if expected.is_some() { understood += 1 } else { refused += 1 }
        };
        let mut random = 7;
        for frame in pool(Shape::Mixed, 1_024).into_iter().filter(|frame| frame.0.len() < 140) {
            for cut in 0..frame.0.len() {
                check(&frame.0[..cut]);
            }
            let mut short = frame.0.to_vec();
            for at in 0..short.len().min(110) {
                let was = short[at];
                for value in [0, 1, 0xff, was ^ 0x10, was.wrapping_add(1), was.wrapping_sub(1), {
                    random = next(random);
                    (random >> 56) as u8
                }] {
                    short[at] = value;
                    check(&short);
                }
                short[at] = was;
            }
        }
        assert!(refused > 10_000 && understood > 10_000, "{refused} {understood}");
    }

    #[test]
    fn chains_of_extensions() {
        let (cluster, key) = (ClusterKey::new(KEY), twin::key(KEY));
        let container = testkit::Extension { kind: 0x85, content: &[0, 9] };
        for count in 1..=9 {
            let mut bytes = Vec::new();
            testkit::Packet::new(&mut bytes)
                .ethernet([2; 6], [4; 6])
                .ipv4(&testkit::Ipv4::new([192, 0, 2, 1].into(), [192, 0, 2, 2].into()))
                .udp(2152, 2152)
                .gtpu(&testkit::Gtpu { extensions: &vec![container; count], ..testkit::Gtpu::t_pdu(1) })
                .ipv4(&testkit::Ipv4::new([10, 0, 0, 1].into(), [10, 0, 0, 2].into()))
                .udp(1, 2)
                .finish();
            let ours = wire::tpdu::<false>(&bytes).map(|tpdu| cluster.pin_pair(tpdu.addresses.pair()));
            assert_eq!(ours.is_some(), count <= 8, "{count}");
            assert_eq!(twin_pin(&key, bytes.leak()), ours, "{count}");
        }
    }

    #[test]
    fn the_twin_makes_the_same_key() {
        for text in ["", "a", "change me", "äöü"] {
            let pin = fold_of(twin::key(text), 1, 2);
            assert_eq!(ClusterKey::new(text).pin_v4(1, 2), pin, "{text}");
        }
    }

    fn fold_of(key: [u64; 4], low: u64, high: u64) -> u64 {
        let product = u128::from((low << 32 | high) ^ key[0]) * u128::from(key[1]);
        product as u64 ^ (product >> 64) as u64
    }
}
