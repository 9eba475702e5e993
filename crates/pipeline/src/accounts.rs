//! The accounting: what every core counts, put together.

use std::sync::Arc;

use batch::{ProbeCounters, RxCounters, TxCounters};
use types::{DropReason, Malformed, TrafficClass};

/// All counters of a dataplane. Each core writes its own; anybody may read.
#[derive(Debug)]
pub struct Board {
    rx: Vec<Arc<RxCounters>>,
    tx: Vec<Arc<TxCounters>>,
    probes: Vec<Arc<[ProbeCounters]>>,
    probe_count: usize,
    gauges: Vec<Gauge>,
}

/// How many packets are in a ring.
struct Gauge(Box<dyn Fn() -> usize + Send + Sync>);

impl std::fmt::Debug for Gauge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Gauge").field(&(self.0)()).finish()
    }
}

/// The state of all counters at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// Packets received.
    pub received: u64,
    /// Their captured bytes.
    pub bytes: u64,
    /// Packets by class, in the order of [`TrafficClass::ALL`].
    pub by_class: Vec<(TrafficClass, u64)>,
    /// Packets that could not be read to their end; reasons that did not occur are left out.
    pub malformed: Vec<(Malformed, u64)>,
    /// Packets that at least one probe took.
    pub delivered: u64,
    /// Packets that no probe got; reasons that did not occur are left out.
    pub dropped: Vec<(DropReason, u64)>,
    /// Packets that were received and have no outcome yet.
    pub in_flight: u64,
    /// Copies, by probe.
    pub probes: Vec<ProbeAccount>,
}

/// What one probe was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeAccount {
    /// Copies sent.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Copies of GTP-C and PFCP messages.
    pub control_packets: u64,
    /// Copies of GTP-U packets.
    pub user_packets: u64,
    /// Copies lost; reasons that did not occur are left out.
    pub dropped: Vec<(DropReason, u64)>,
}

impl Board {
    /// A board for this many probes.
    #[must_use]
    pub const fn new(probes: usize) -> Self {
        Self { rx: Vec::new(), tx: Vec::new(), probes: Vec::new(), probe_count: probes, gauges: Vec::new() }
    }

    /// Counters for one receiving core.
    pub fn add_rx(&mut self) -> Arc<RxCounters> {
        let counters = Arc::new(RxCounters::default());
        self.rx.push(Arc::clone(&counters));
        counters
    }

    /// Counters for one core that gives packets their outcome.
    pub fn add_tx(&mut self) -> Arc<TxCounters> {
        let counters = Arc::new(TxCounters::default());
        self.tx.push(Arc::clone(&counters));
        counters
    }

    /// Counters for one core that sends copies.
    pub fn add_probes(&mut self) -> Arc<[ProbeCounters]> {
        let counters: Arc<[ProbeCounters]> =
            (0..self.probe_count).map(|_| ProbeCounters::default()).collect();
        self.probes.push(Arc::clone(&counters));
        counters
    }

    pub(crate) fn add_gauge<T: Send + 'static>(&mut self, gauge: cpu::Gauge<T>) {
        self.gauges.push(Gauge(Box::new(move || gauge.filled())));
    }

    /// Packets that are in rings now. With nothing received and nothing staged any more, that is what
    /// is in flight, found by looking and not by subtracting.
    #[must_use]
    pub fn in_rings(&self) -> u64 {
        self.gauges.iter().map(|gauge| (gauge.0)() as u64).sum()
    }

    /// What the cores have counted. Outcomes are read before arrivals, so that a packet that moves
    /// meanwhile is in flight and never twice.
    #[must_use]
    pub fn accounts(&self) -> Accounts {
        let delivered = self.tx.iter().map(|tx| tx.total_delivered()).sum();
        let dropped = sum(DropReason::ALL, self.tx.iter().flat_map(|tx| tx.by_reason()));
        let probes = (0..self.probe_count).map(|probe| self.probe(probe)).collect();
        let received: u64 = self.rx.iter().map(|rx| rx.packets()).sum();
        let lost: u64 = dropped.iter().map(|(_, count)| count).sum();
        Accounts {
            received,
            bytes: self.rx.iter().map(|rx| rx.bytes()).sum(),
            by_class: TrafficClass::ALL
                .into_iter()
                .map(|class| (class, count_of(&class, self.rx.iter().flat_map(|rx| rx.by_class()))))
                .collect(),
            malformed: sum(Malformed::ALL, self.rx.iter().flat_map(|rx| rx.by_malformed())),
            delivered,
            in_flight: received.saturating_sub(delivered).saturating_sub(lost),
            dropped,
            probes,
        }
    }

    fn probe(&self, probe: usize) -> ProbeAccount {
        let cells = || self.probes.iter().filter_map(move |core| core.get(probe));
        ProbeAccount {
            packets: cells().map(ProbeCounters::packets).sum(),
            bytes: cells().map(ProbeCounters::bytes).sum(),
            control_packets: cells().map(ProbeCounters::control_packets).sum(),
            user_packets: cells().map(ProbeCounters::user_packets).sum(),
            dropped: sum(DropReason::ALL, cells().flat_map(ProbeCounters::by_reason)),
        }
    }
}

fn count_of<K: PartialEq>(key: &K, counts: impl Iterator<Item = (K, u64)>) -> u64 {
    counts.filter(|(k, _)| k == key).map(|(_, count)| count).sum()
}

/// The sum of each key that occurs, in the order of `keys`.
fn sum<K: Copy + PartialEq>(keys: &[K], counts: impl Iterator<Item = (K, u64)>) -> Vec<(K, u64)> {
    let mut sums: Vec<(K, u64)> = keys.iter().map(|&key| (key, 0)).collect();
    for (key, count) in counts {
        if let Some((_, sum)) = sums.iter_mut().find(|(k, _)| *k == key) {
            *sum += count;
        }
    }
    sums.retain(|(_, sum)| *sum > 0);
    sums
}
