//! Receiver, rings, worker and writer on one core, and that no packet allocates.

use std::hint::black_box;

use ::balance::{Balancer, ClusterKey, Group, Member, Mode};
use ::pipeline::{Accounts, Plan, Source, Target, Wiring, wire_up};
use batch::{BATCH, Frame, Meta, NoPort, Sink};
use testkit::{Generator, Options};
use types::{DropReason, LinkType, PortId, ProbeId};

use crate::frames::{Bytes, Endless, NoPool, Shape, pool};
use crate::twin::{self, Descriptor};
use crate::{Outcome, Rival, Sample, Scale, allocations, measure};

const KEY: &str = "change me";
const PROBES: u8 = 4;

type Dataplane = Wiring<Endless, NoPort<Bytes>, Count>;

/// A sink that writes nowhere.
#[derive(Debug, Default)]
struct Count {
    packets: u64,
}

impl Sink for Count {
    #[inline]
    fn write(&mut self, _meta: &Meta, frame: &impl Frame) -> Result<(), DropReason> {
        black_box(frame.head());
        self.packets += 1;
        Ok(())
    }

    fn flush(&mut self) {}
}

pub(super) fn run(scale: &Scale) -> Vec<Outcome> {
    vec![
        speed("one-core", Shape::Mixed, scale),
        speed("gtpu-psc", Shape::Container, scale),
        allocation(scale),
    ]
}

fn balancer() -> Balancer {
    let cluster = ClusterKey::new(KEY);
    let member = |index| Member::new(&cluster, ProbeId(index), &format!("probe-{}", index + 1), 1);
    Balancer::new(vec![Group::new(Mode::Session, (0..PROBES).map(member).collect())], 0)
}

/// Nothing is held: there is no signalling that could tell of a tunnel.
fn dataplane(frames: Vec<Bytes>) -> Dataplane {
    let probes = usize::from(PROBES);
    let plan = Plan {
        balancer: balancer(),
        probes,
        cluster: ClusterKey::new(KEY),
        seed: 1,
        hold_ns: 0,
        ..Plan::default()
    };
    let source = Source { queue: Endless::new(frames), port: PortId(0), decap: wire::Decap::default() };
    let targets = (0..probes).map(|_| Target::Writer).collect();
    let sinks = (0..probes).map(|_| Some(Count::default())).collect();
    wire_up(&plan, vec![vec![source]], vec![targets], sinks, || NoPool).expect("there is memory")
}

/// The obvious code: packet by packet, no batch, no ring.
struct Naive {
    cluster: ClusterKey,
    balancer: Balancer,
    sinks: [Count; PROBES as usize],
}

impl Naive {
    fn new() -> Self {
        Self { cluster: ClusterKey::new(KEY), balancer: balancer(), sinks: Default::default() }
    }

    #[inline(always)]
    fn packet(&mut self, frame: Bytes) {
        let found = wire::dissect(LinkType::Ethernet, frame.0);
        let probes = if found.class.is_control() {
            self.balancer.everybody()
        } else {
            self.balancer.user(self.cluster.pin(&found.key), 0)
        };
        for probe in probes.iter() {
            let _ = self.sinks[usize::from(probe.0)].write(&Meta::default(), &frame);
        }
    }
}

/// The dataplane once it knows the tunnels: what making a session costs is not what a packet costs.
fn settled(frames: &[Bytes]) -> Dataplane {
    let mut dataplane = dataplane(frames.to_vec());
    // In the second pass, the first packets are gone from the rings.
    for _ in 0..2 * frames.len().div_ceil(BATCH) {
        dataplane.poll();
    }
    dataplane
}

fn speed(name: &str, shape: Shape, scale: &Scale) -> Outcome {
    let frames = pool(shape, scale.buffers);
    agree(&frames);

    let descriptors: Vec<_> = frames.iter().copied().map(Descriptor::new).collect();
    let mut bursts = descriptors.chunks_exact(BATCH).cycle();
    let mut ours = settled(&frames);
    let mut naive = Naive::new();
    let mut one_by_one = frames.iter().cycle();
    let rivals = vec![
        Rival::new("floor", BATCH as u64, |n| {
            for burst in bursts.by_ref().take(n as usize) {
                black_box(twin::floor(burst));
            }
        }),
        Rival::new("ours", BATCH as u64, |n| {
            for _ in 0..n {
                black_box(ours.poll());
            }
        }),
        Rival::new("naive", BATCH as u64, |n| {
            for frame in one_by_one.by_ref().take(n as usize * BATCH) {
                naive.packet(*frame);
            }
        }),
    ];
    let mut samples = measure(scale, rivals);
    samples.extend(stages(&frames, scale));
    Outcome::new(format!("pipeline/{name}/{BATCH}"), samples, &[("ours", "floor"), ("naive", "ours")])
}

/// Both send every packet to one probe; which one differs: a tunnel that tells which address is its
/// UE's is pinned by that, and the obvious code knows no tunnels.
fn agree(frames: &[Bytes]) {
    let mut ours = dataplane(frames.to_vec());
    for _ in frames.chunks(BATCH) {
        ours.poll();
    }
    let mut naive = Naive::new();
    frames.iter().for_each(|frame| naive.packet(*frame));
    let expected: u64 = naive.sinks.iter().map(|sink| sink.packets).sum();
    let writer = ours.writer.expect("all probes are sinks");
    assert_eq!(writer.sinks().map(|sink| sink.packets).sum::<u64>(), expected);
    let Accounts { received, delivered, in_flight, .. } = ours.board.accounts();
    assert_eq!((received, delivered, in_flight), (frames.len() as u64, frames.len() as u64, 0));
}

/// The same, with the time taken between the parts: they are dearer by the reading of the counter.
fn stages(frames: &[Bytes], scale: &Scale) -> Vec<Sample> {
    let mut ours = settled(frames);
    let window = crate::measure::cycles(scale.window);
    let mut parts: [Vec<f64>; 3] = Default::default();
    for _ in 0..scale.windows {
        let (mut packets, mut spent) = (0, [0; 3]);
        while spent.iter().sum::<u64>() < window {
            let start = cpu::tsc();
            packets += ours.receivers.iter_mut().map(|receiver| receiver.poll()).sum::<usize>();
            let received = cpu::tsc();
            ours.workers.iter_mut().for_each(|worker| {
                black_box(worker.poll());
            });
            let worked = cpu::tsc();
            ours.writer.iter_mut().for_each(|writer| {
                black_box(writer.poll());
            });
            let written = cpu::tsc();
            for (sum, part) in spent.iter_mut().zip([received - start, worked - received, written - worked]) {
                *sum += part;
            }
        }
        for (part, spent) in parts.iter_mut().zip(spent) {
            part.push(spent as f64 / packets as f64);
        }
    }
    ["receiver", "worker", "writer"]
        .into_iter()
        .zip(parts)
        .map(|(name, part)| Sample::of(name, part))
        .collect()
}

/// Traffic of every kind through the dataplane: after the first pass nothing allocates.
fn allocation(scale: &Scale) -> Outcome {
    let frames = traffic(scale.buffers as u64);
    let passes = 3;
    let rounds = frames.len().div_ceil(BATCH);
    let mut ours = dataplane(frames);
    for _ in 0..rounds {
        ours.poll();
    }
    let (before, counted) = (ours.board.accounts().received, allocations());
    for _ in 0..rounds * passes {
        ours.poll();
    }
    let counted = allocations() - counted;
    let Accounts { received, by_class, delivered, in_flight, .. } = ours.board.accounts();
    assert_eq!(delivered, received - in_flight);
    assert!(by_class.iter().filter(|(_, packets)| *packets > 0).count() >= 4, "traffic of many kinds");
    let packets = received - before;
    let note = format!("{counted} allocations for {packets} packets of every kind");
    let outcome = Outcome::new("pipeline/allocations", Vec::new(), &[]).with_note(note);
    Outcome { failed: counted > 0, ..outcome }
}

/// Subscribers' packets with everything around them: signalling, fragments, both families, others.
fn traffic(packets: u64) -> Vec<Bytes> {
    let options = Options {
        subscribers: (packets / 64).max(8) as u32,
        seconds: 1.0,
        pps: packets,
        fragments: 0.1,
        inner_fragments: 0.05,
        other: 0.1,
        signalling: false,
        ..Options::default()
    };
    let mut generator = Generator::new(options).expect("these options are good");
    let mut frames = Vec::new();
    while let Some(frame) = generator.next_frame() {
        let bytes: Box<[u8]> = frame.bytes.into();
        frames.push(Bytes(Box::leak(bytes)));
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_packet_allocates() {
        assert!(!allocation(&Scale::TINY).failed);
    }

    #[test]
    fn an_allocation_would_be_seen() {
        let before = allocations();
        drop(black_box(traffic(64)));
        assert!(allocations() > before);
    }
}
