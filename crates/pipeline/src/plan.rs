//! From a plan to receivers, workers and a writer with the rings between them.

use std::sync::Arc;

use balance::{Balancer, ClusterKey};
use batch::{Frame, RxQueue, Sink, TxCounters, TxQueue};
use session::{Fill, Limits, Sessions, TableLimits, TunnelLimits, TunnelReader};
use types::{LinkType, PortId};

use crate::events::{self, Listener};
use crate::feed::{self, Feeder};
use crate::follow::Follow;
use crate::inquiry::{self, Desk};
use crate::lines::Lines;
use crate::resolve::{self, Inbox, Keeper, Resolve};
use crate::scribe::{self, Archive};
use crate::shown::SHOWN_MAX;
use crate::stay::Stay;
use crate::tracker::{self, PlaceReader, Verdicts};
use crate::{
    Balance, Board, Classify, Decap, Deliver, Dispatch, ForAll, Fragments, Handover, Intake, Overflow,
    Receiver, Target, Tracker, Worker, Writer,
};

/// What a dataplane shall do, whatever its ports are.
#[derive(Clone, Debug)]
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
    /// How many sessions are followed, and for how long.
    pub sessions: session::Limits,
    /// How long packets of a tunnel are held whose session is not known yet.
    pub hold_ns: u64,
    /// How much is held at a time, in each receiver: bytes,
    pub hold_bytes: usize,
    /// and packets. A packet that is held keeps its buffer, however short it is.
    pub hold_packets: usize,
    /// GTP-C and PFCP go to the probes of the sessions they concern, not to all.
    pub follow: bool,
    /// What else goes to every probe.
    pub for_all: ForAll,
    /// A session that becomes known stays at the probe that its packets went to before.
    pub stay: bool,
    /// Tables lie in huge pages, where there are any: faster, and memory is taken in steps of 2 MiB.
    pub huge_pages: bool,
    /// Sessions that have ended are kept, to be told of at the end.
    pub keep_ended: bool,
    /// What changes of sessions is written for an [`Archive`].
    pub archive: bool,
    /// What happens to sessions is told to a [`Listener`].
    pub events: bool,
    /// A [`Feeder`] tells whose UE addresses are; for as many as there can be sessions.
    pub feed: bool,
}

impl Plan {
    /// Tunnels whose packets are held at a time.
    const HOLD_TUNNELS: usize = 8_192;
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
            sessions: session::Limits::default(),
            hold_ns: 20_000_000,
            hold_bytes: 64 << 20,
            hold_packets: 262_144,
            follow: false,
            for_all: ForAll::default(),
            stay: false,
            huge_pages: false,
            keep_ended: true,
            archive: false,
            events: false,
            feed: false,
        }
    }
}

/// Why a dataplane cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The system gives no memory.
    #[error(
        "there is no memory for tables of {sessions} sessions and {tunnels} tunnels; lower sessions_max \
         or tunnels_max in [tracker]"
    )]
    Memory {
        /// `sessions_max`
        sessions: u32,
        /// `tunnels_max`
        tunnels: u32,
        /// What the system says.
        #[source]
        why: std::io::Error,
    },
    /// More receivers than can look at the tables.
    #[error("{0} receivers are too many: there can be {max}", max = cpu::Epochs::READERS)]
    Receivers(usize),
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
    pub board: Arc<Board>,
    /// Where another thread asks for sessions.
    pub desk: Desk,
    /// Where another thread takes what is to be kept, if the plan says so.
    pub archive: Option<Archive>,
    /// Where another thread hears what happens to sessions, if the plan says so.
    pub listener: Option<Listener>,
    /// Where another thread tells whose UE addresses are, if the plan says so.
    pub feeder: Option<Feeder>,
}

/// Connects receivers, one for each list of sources, with workers, one for each list of targets (a
/// target for each probe), and with a writer for the probes that have a sink. `pool` makes a handle of
/// the buffer pool for each part that copies frames.
///
/// # Errors
/// The tables of sessions find no memory, or there are too many receivers.
pub fn wire_up<Q, T, S>(
    plan: &Plan,
    sources: Vec<Vec<Source<Q>>>,
    targets: Vec<Vec<Target<T>>>,
    sinks: Vec<Option<S>>,
    mut pool: impl FnMut() -> <Q::Frame as Frame>::Pool,
) -> Result<Wiring<Q, T, S>, PlanError>
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
    let receiver_count = sources.len();
    let mut keepers = Keepers::new(plan, receiver_count, worker_count, &board)?;
    for (place, sources) in sources.into_iter().enumerate() {
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
        )
        .with_for_all(plan.for_all, plan.balancer.everybody());
        let resolve = Resolve::new(resolve::Parts {
            keeper: keepers.next(plan, &drops, &mut board),
            tunnels: keepers.tunnels.clone(),
            ues: keepers.ues.clone(),
            presence: keepers.epochs.register().ok_or(PlanError::Receivers(receiver_count))?,
            lines: Arc::clone(&keepers.lines),
            place,
            hold: tdb::Limits {
                keys: Plan::HOLD_TUNNELS,
                packets: plan.hold_packets.max(batch::BATCH),
                bytes: plan.hold_bytes,
                time_ns: plan.hold_ns,
            },
            ordered: plan.ordered && receiver_count == 1 && plan.overflow == Overflow::Wait,
            dispatch: Dispatch::new(rings, order_in.take(), plan.overflow, Arc::clone(&drops)),
            cluster: plan.cluster.clone(),
            received: Arc::clone(&counters),
            counters: board.add_hold(),
        });
        receivers.push(Receiver::new(intakes, classify, resolve, counters));
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
    Ok(Wiring {
        receivers,
        workers,
        writer,
        board: Arc::new(board),
        desk: keepers.desk,
        archive: keepers.archive,
        listener: keepers.listener,
        feeder: keepers.feeder,
    })
}

/// Hands the tracker to the first receiver, and a way to it to the others.
struct Keepers<F: Frame> {
    first: Option<Keeper<F>>,
    others: Vec<(cpu::Producer<batch::Packet<F>>, cpu::Producer<resolve::Note>)>,
    tunnels: TunnelReader,
    ues: PlaceReader,
    epochs: cpu::Epochs,
    lines: Arc<[Lines]>,
    desk: Desk,
    archive: Option<Archive>,
    listener: Option<Listener>,
    feeder: Option<Feeder>,
}

impl<F: Frame> Keepers<F> {
    /// IPv6 addresses that are receivers of tunnels.
    const NODES_MAX: u32 = 65_536;

    fn new(plan: &Plan, receivers: usize, workers: usize, board: &Board) -> Result<Self, PlanError> {
        let pages = if plan.huge_pages { cpu::Pages::Huge } else { cpu::Pages::Small };
        let limits = &plan.sessions;
        let no_memory =
            |why| PlanError::Memory { sessions: limits.sessions_max, tunnels: limits.tunnels_max, why };
        let epochs = cpu::Epochs::new();
        let of_tunnels =
            TunnelLimits { tunnels: limits.tunnels_max, nodes: Self::NODES_MAX, pages, seed: plan.seed };
        let (tunnel_writer, tunnels) = session::tunnels(of_tunnels, &epochs).map_err(no_memory)?;
        // A UE has an address of each family at most; and there are those that no session has.
        let of_ues = TableLimits {
            entries: limits.sessions_max.saturating_mul(2).saturating_add(SHOWN_MAX as u32),
            // It is asked for packets of no known tunnel.
            fill: Fill::Small,
            pages,
            seed: plan.seed.rotate_left(32),
        };
        let (ue_writer, ues) = session::table(of_ues, &epochs).map_err(no_memory)?;
        let verdicts = Verdicts::new(limits.sessions_max, pages).map_err(no_memory)?;
        let ues = PlaceReader { ues, verdicts: verdicts.clone() };
        let lines = (0..receivers).map(|_| Lines::new(limits.tunnels_max as usize + 1, pages));
        let lines: Arc<[Lines]> = lines.collect::<Result<_, _>>().map_err(no_memory)?;
        let stay = plan.stay.then(|| Stay::new(limits.sessions_max, pages)).transpose().map_err(no_memory)?;
        let (desk, window) = inquiry::desk();
        let (listener, herald) = plan.events.then(events::herald).unzip();
        let (feeder, feed) = plan.feed.then(|| feed::feed(limits.sessions_max as usize)).unzip();
        let (archive, scribe) = plan.archive.then(scribe::scribe).unzip();
        let tracker = Tracker::new(tracker::Parts {
            sessions: Sessions::new(
                Limits { pages, tells_kin: plan.stay, ..limits.clone() },
                plan.seed,
                plan.cluster.session_key(),
            ),
            verdicts,
            tunnels: tunnel_writer,
            ues: ue_writer,
            epochs: epochs.clone(),
            lines: Arc::clone(&lines),
            balancer: plan.balancer.clone(),
            cluster: plan.cluster.clone(),
            workers,
            link: plan.link,
            board: board.sessions(),
            keep_ended: plan.keep_ended,
            follow: plan
                .follow
                .then(|| Follow::new(limits.transactions_max as usize, plan.fragments_max, plan.seed)),
            window: Some(window),
            scribe,
            stay,
            herald,
            feed,
        });
        let mut inboxes = Vec::new();
        let mut others = Vec::new();
        for _ in 1..receivers {
            let (messages_in, messages) = cpu::ring(plan.ring_packets);
            let (notes_in, notes) = cpu::ring(plan.ring_packets);
            inboxes.push(Inbox { messages, notes });
            others.push((messages_in, notes_in));
        }
        // Handed out from the end.
        others.reverse();
        let first = Some(Keeper::Here { tracker: Box::new(tracker), inboxes });
        Ok(Self { first, others, tunnels, ues, epochs, lines, desk, archive, listener, feeder })
    }

    fn next(&mut self, plan: &Plan, drops: &Arc<TxCounters>, board: &mut Board) -> Keeper<F> {
        if let Some(first) = self.first.take() {
            return first;
        }
        // One was made for each receiver but the first.
        let (messages, notes) = self.others.pop().unwrap_or_else(|| (cpu::ring(1).0, cpu::ring(1).0));
        board.add_gauge(messages.gauge());
        Keeper::There { messages, notes, overflow: plan.overflow, drops: Arc::clone(drops) }
    }
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

    /// The tracker, before the parts are handed out.
    pub fn tracker(&mut self) -> Option<&mut Tracker> {
        self.receivers.iter_mut().find_map(Receiver::tracker)
    }

    /// At the end, when nothing more is received: lets go what is held. Returns whether the receivers
    /// keep nothing back any more; what they had is in the rings then.
    pub fn finish(&mut self) -> bool {
        // Each is to do its part, whatever the others say.
        let mut done = true;
        for receiver in &mut self.receivers {
            done &= receiver.finish();
        }
        done
    }
}
