//! From a plan to receivers, workers and a writer with the rings between them.

use std::sync::Arc;

use balance::{Balancer, ClusterKey};
use batch::{Frame, RxQueue, Sink, TxQueue};
use types::{LinkType, PortId};

use crate::{
    Balance, Board, Classify, Decap, Deliver, Dispatch, Fragments, Handover, Intake, Overflow, Receiver,
    Target, Worker, Writer,
};

/// What a dataplane shall do, whatever its ports are.
#[derive(Debug)]
pub struct Plan {
    /// Keys the pins.
    pub cluster: ClusterKey,
    /// The groups of probes.
    pub balancer: Balancer,
    /// How many probes there are.
    pub probes: usize,
    /// What all queues deliver.
    pub link: LinkType,
    /// What happens when a ring is full.
    pub overflow: Overflow,
    /// Files are written in the order of the input. Needs one receiver, and a source that waits.
    pub ordered: bool,
    /// Packets that a ring between two cores holds.
    pub ring_packets: usize,
    /// First fragments remembered by each receiver.
    pub fragments_max: usize,
    /// Keys the tables inside; it never shows in any output.
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            cluster: ClusterKey::new(""),
            balancer: Balancer::new(Vec::new(), 0),
            probes: 0,
            link: LinkType::Ethernet,
            overflow: Overflow::Wait,
            ordered: true,
            ring_packets: 1024,
            fragments_max: 65_536,
            seed: 0,
        }
    }
}

/// A queue that a receiver polls.
pub struct Source<Q> {
    /// The queue.
    pub queue: Q,
    /// Its port.
    pub port: PortId,
    /// The tunnels that its tap wraps packets in.
    pub decap: wire::Decap,
}

/// The parts of a dataplane. Each is polled by one thread at a time; one thread may poll several.
pub struct Wiring<Q: RxQueue, T: TxQueue<Frame = Q::Frame>, S> {
    /// One for each receiving core.
    pub receivers: Vec<Receiver<Q>>,
    /// One for each working core.
    pub workers: Vec<Worker<Q::Frame, T>>,
    /// Where any probe is a file.
    pub writer: Option<Writer<Q::Frame, S>>,
    /// The counters of all of them.
    pub board: Board,
}

/// Connects receivers, one for each list of sources, with workers, one for each list of targets (a
/// target for each probe), and with a writer for the probes that have a sink. `pool` makes a handle of
/// the buffer pool for each part that copies frames.
#[must_use]
pub fn wire_up<Q, T, S>(
    plan: &Plan,
    sources: Vec<Vec<Source<Q>>>,
    targets: Vec<Vec<Target<T>>>,
    sinks: Vec<Option<S>>,
    mut pool: impl FnMut() -> <Q::Frame as Frame>::Pool,
) -> Wiring<Q, T, S>
where
    Q: RxQueue,
    T: TxQueue<Frame = Q::Frame>,
    S: Sink,
{
    let mut board = Board::new(plan.probes);
    let worker_count = targets.len();
    let has_writer = sinks.iter().any(Option::is_some);
    // With one worker the rings keep the order by themselves.
    let keeps_log = plan.ordered
        && has_writer
        && worker_count > 1
        && sources.len() == 1
        && plan.overflow == Overflow::Wait;
    let (order_in, order_out) = if keeps_log {
        let (producer, consumer) = cpu::ring(plan.ring_packets * (worker_count + 1));
        (Some(producer), Some(consumer))
    } else {
        (None, None)
    };

    let mut inputs: Vec<Vec<_>> = (0..worker_count).map(|_| Vec::new()).collect();
    let mut receivers = Vec::new();
    let mut order_in = order_in;
    for sources in sources {
        let counters = board.add_rx();
        let drops = board.add_tx();
        let mut rings = Vec::new();
        for input in &mut inputs {
            let (producer, consumer) = cpu::ring(plan.ring_packets);
            board.add_gauge(producer.gauge());
            rings.push(producer);
            input.push(consumer);
        }
        let mut intake = |source: Source<Q>| Intake {
            queue: source.queue,
            port: source.port,
            decap: (source.decap != wire::Decap::default())
                .then(|| Decap::new(source.decap, pool(), Arc::clone(&counters), Arc::clone(&drops))),
        };
        let intakes = sources.into_iter().map(&mut intake).collect();
        let classify = Classify::new(
            plan.link,
            plan.cluster.clone(),
            plan.balancer.wants_flows(),
            Fragments::new(plan.fragments_max, plan.seed ^ receivers.len() as u64),
            Arc::clone(&counters),
        );
        let dispatch = Dispatch::new(rings, order_in.take(), plan.overflow, Arc::clone(&drops));
        receivers.push(Receiver::new(intakes, classify, dispatch, counters));
    }

    let mut handovers = Vec::new();
    let mut workers = Vec::new();
    for (input, targets) in inputs.into_iter().zip(targets) {
        let to_writer = has_writer.then(|| {
            let (producer, consumer) = cpu::ring::<Handover<Q::Frame>>(plan.ring_packets);
            board.add_gauge(producer.gauge());
            handovers.push(consumer);
            producer
        });
        let deliver = Deliver::new(
            targets,
            to_writer,
            keeps_log,
            plan.overflow,
            board.add_tx(),
            board.add_probes(),
            pool(),
        );
        workers.push(Worker::new(input, Balance::new(plan.balancer.clone()), deliver));
    }
    let writer =
        has_writer.then(|| Writer::new(handovers, order_out, sinks, board.add_tx(), board.add_probes()));
    Wiring { receivers, workers, writer, board }
}

impl<Q: RxQueue, T: TxQueue<Frame = Q::Frame>, S: Sink> Wiring<Q, T, S> {
    /// One round of everything on the calling thread. Returns how many packets came in or moved on;
    /// after 0, nothing is anywhere between port and probe.
    pub fn poll(&mut self) -> usize {
        let received: usize = self.receivers.iter_mut().map(Receiver::poll).sum();
        let worked: usize = self.workers.iter_mut().map(Worker::poll).sum();
        let written = self.writer.as_mut().map_or(0, Writer::poll);
        received + worked + written
    }
}
