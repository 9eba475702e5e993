//! What the tests of the pipeline share: traffic, places where deliveries are kept, and the books.
#![allow(dead_code, unreachable_pub)]

use std::sync::{Arc, Mutex};

use balance::{Balancer, ClusterKey, Group, Member, Mode};
use batch::{Batch, Burst, Frame, Meta, RxQueue, Sink, TxQueue};
use pipeline::{Accounts, Plan, Source, Target, Wiring, wire_up};
use replay::{Finite, HeapFrame, HeapPool};
use testkit::{Generator, Options};
use types::{DropReason, PortId, ProbeId, TrafficClass};

/// A packet as it was handed to a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    pub time_ns: u64,
    pub wire_bytes: u32,
    pub class: TrafficClass,
    pub bytes: Vec<u8>,
}

/// What a probe got, in its order.
pub type Shelf = Arc<Mutex<Vec<Delivered>>>;

fn all_bytes(frame: &impl Frame) -> Vec<u8> {
    let mut bytes = vec![0; frame.len()];
    assert_eq!(frame.copy_to(0, &mut bytes), bytes.len());
    bytes
}

/// A file that a test reads.
pub struct Keep(pub Shelf);

impl Sink for Keep {
    fn write(&mut self, meta: &Meta, frame: &impl Frame) -> Result<(), DropReason> {
        let Meta { time_ns, wire_bytes, class, .. } = *meta;
        self.0.lock().unwrap().push(Delivered { time_ns, wire_bytes, class, bytes: all_bytes(frame) });
        Ok(())
    }

    fn flush(&mut self) {}
}

/// A port that a test looks behind.
pub struct Queue {
    pub sent: Shelf,
    pub shared: bool,
    /// Frames that one call takes at most.
    pub per_call: usize,
    /// Frames that are taken at all, by all clones of the number.
    pub left: Arc<Mutex<usize>>,
    /// The longest frame that can be sent.
    pub longest: usize,
}

impl Queue {
    pub fn new(shared: bool) -> Self {
        let left = Arc::new(Mutex::new(usize::MAX));
        Self { sent: Shelf::default(), shared, per_call: usize::MAX, left, longest: usize::MAX }
    }
}

impl TxQueue for Queue {
    type Frame = HeapFrame;

    fn send(&mut self, burst: &mut Burst<HeapFrame>) -> usize {
        let mut left = self.left.lock().unwrap();
        let n = burst.len().min(self.per_call).min(*left);
        *left -= n;
        for mut frame in burst.drain(..n) {
            let bytes = all_bytes(&frame);
            assert!(bytes.len() <= self.longest, "`fits` was asked before");
            assert!(self.shared || frame.head_mut().is_some(), "nobody else has its bytes");
            self.sent.lock().unwrap().push(Delivered {
                time_ns: 0,
                wire_bytes: 0,
                class: TrafficClass::Other,
                bytes,
            });
        }
        n
    }

    fn takes_shared(&self) -> bool {
        self.shared
    }

    fn fits(&self, frame: &HeapFrame) -> Result<(), DropReason> {
        if frame.len() <= self.longest { Ok(()) } else { Err(DropReason::ProbeMtu) }
    }
}

/// A plan with one group of this many probes of equal weight.
pub fn plan(probes: usize, mode: Mode) -> Plan {
    let cluster = ClusterKey::new("test");
    let member = |n| Member::new(&cluster, ProbeId(n as u8), &format!("probe-{n}"), 1);
    let group = Group::new(mode, (0..probes).map(member).collect());
    Plan { balancer: Balancer::new(vec![group], 0), probes, cluster, ..Plan::default() }
}

pub type Packets = Vec<(u64, Vec<u8>)>;

/// Some of everything: both IP versions, fragments outside and inside, all protocols of the nodes.
pub fn traffic(frames: u64, seed: u64) -> Packets {
    let options = Options {
        subscribers: 60,
        seconds: 1.0,
        pps: frames,
        seed,
        fragments: 0.2,
        inner_fragments: 0.05,
        other: 0.15,
        ..Options::default()
    };
    let mut generator = Generator::new(options).unwrap();
    let mut packets = Vec::new();
    while let Some(frame) = generator.next_frame() {
        packets.push((frame.time_ns, frame.bytes.to_vec()));
    }
    packets
}

/// Packets that lie in memory of their own, each.
pub struct Own(pub std::collections::VecDeque<(u64, Vec<u8>)>);

impl Finite for Own {
    fn finished(&self) -> bool {
        self.0.is_empty()
    }
}

impl RxQueue for Own {
    type Frame = HeapFrame;

    fn receive(&mut self, batch: &mut Batch<HeapFrame>) -> usize {
        let n = batch.room().min(self.0.len());
        for (time_ns, bytes) in self.0.drain(..n) {
            let wire_bytes = bytes.len() as u32;
            batch.push_received(HeapFrame::from_vec(bytes), time_ns, wire_bytes).unwrap();
        }
        n
    }
}

pub fn source<Q>(queue: Q, decap: wire::Decap) -> Vec<Vec<Source<Q>>> {
    vec![vec![Source { queue, port: PortId(0), decap }]]
}

/// What a run through files gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub accounts: Accounts,
    pub probes: Vec<Vec<Delivered>>,
}

/// Polls until the queue has ended and nothing moves.
pub fn finish<Q, T, S>(wiring: &mut Wiring<Q, T, S>)
where
    Q: RxQueue + Finite,
    T: TxQueue<Frame = Q::Frame>,
    S: Sink,
{
    let ended = |wiring: &Wiring<Q, T, S>| {
        wiring.receivers.iter().flat_map(|receiver| receiver.queues()).all(Finite::finished)
    };
    let mut idle = 0;
    while idle < 1_000 && (!ended(wiring) || idle == 0) {
        idle = if wiring.poll() > 0 { 0 } else { idle + 1 };
    }
    assert!(ended(wiring), "nothing moves any more, and packets are left");
    let mut rounds = 0;
    while !wiring.finish() || wiring.poll() > 0 {
        rounds += 1;
        assert!(rounds < 1_000_000, "what is held goes");
    }
    assert!(wiring.workers.iter_mut().all(pipeline::Worker::finish), "everything has had its outcome");
    if let Some(writer) = &mut wiring.writer {
        writer.flush();
    }
}

/// The books at the end of a run: nothing is in flight, every packet has an outcome and a class, and
/// no probe's copies are out of nowhere.
#[track_caller]
pub fn close<Q: RxQueue, T: TxQueue<Frame = Q::Frame>, S>(wiring: &Wiring<Q, T, S>) -> Accounts {
    let accounts = wiring.board.accounts();
    assert_eq!(wiring.board.in_rings(), 0);
    assert_eq!(accounts.in_flight, 0, "{accounts:?}");
    let dropped: u64 = accounts.dropped.iter().map(|(_, count)| count).sum();
    assert_eq!(accounts.received, accounts.delivered + dropped, "{accounts:?}");
    let classes: u64 = accounts.by_class.iter().map(|(_, count)| count).sum();
    assert_eq!(accounts.received, classes, "{accounts:?}");
    assert!(accounts.malformed.iter().map(|(_, count)| count).sum::<u64>() <= accounts.received);
    let copies: u64 = accounts.probes.iter().map(|probe| probe.packets).sum();
    assert!(copies >= accounts.delivered, "{accounts:?}");
    accounts
}

/// Runs a queue to its end, with every probe a file, and closes the books.
pub fn to_files<Q>(plan: &Plan, queue: Q, workers: usize, decap: wire::Decap) -> Outcome
where
    Q: RxQueue<Frame = HeapFrame> + Finite,
{
    let shelves: Vec<Shelf> = (0..plan.probes).map(|_| Shelf::default()).collect();
    let sinks = shelves.iter().map(|shelf| Some(Keep(Arc::clone(shelf)))).collect();
    let pool = HeapPool::default();
    let targets = (0..workers).map(|_| (0..plan.probes).map(|_| Target::Writer).collect()).collect();
    let mut wiring: Wiring<Q, batch::NoPort<HeapFrame>, Keep> =
        wire_up(plan, source(queue, decap), targets, sinks, || pool.clone()).unwrap();
    finish(&mut wiring);
    let accounts = close(&wiring);
    let probes: Vec<_> = shelves.iter().map(|shelf| shelf.lock().unwrap().clone()).collect();
    for (probe, account) in probes.iter().zip(&accounts.probes) {
        assert_eq!(probe.len() as u64, account.packets);
        assert_eq!(probe.iter().map(|packet| packet.bytes.len() as u64).sum::<u64>(), account.bytes);
        let of = |wanted: fn(TrafficClass) -> bool| probe.iter().filter(|p| wanted(p.class)).count() as u64;
        assert_eq!(of(TrafficClass::is_control), account.control_packets);
        assert_eq!(of(|class| class == TrafficClass::GtpU), account.user_packets);
    }
    Outcome { accounts, probes }
}
