//! The accounting: what every core counts, put together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use batch::{Counter, ProbeCounters, RxCounters, TxCounters};
use types::{DropReason, Malformed, ProbeId, TrafficClass};

/// All counters of a dataplane. Each core writes its own; anybody may read.
#[derive(Debug)]
pub struct Board {
    rx: Vec<Arc<RxCounters>>,
    tx: Vec<Arc<TxCounters>>,
    probes: Vec<Arc<[ProbeCounters]>>,
    probe_count: usize,
    gauges: Vec<Gauge>,
    held: Vec<Arc<HoldCounters>>,
    sessions: Arc<SessionBoard>,
}

/// What one receiver keeps back, and what came of it.
#[derive(Debug, Default)]
pub struct HoldCounters {
    /// Packets that it keeps now: held, or behind a held one whose place in the order comes first.
    kept: AtomicUsize,
    /// Packets that were held.
    pub(crate) held: Counter,
    /// Packets that should have been held, and found no room.
    pub(crate) full: Counter,
    /// Packets whose inner address contradicts their session.
    pub(crate) inner_mismatch: Counter,
}

impl HoldCounters {
    pub(crate) fn keep(&self, packets: usize) {
        // Relaxed: a number to show; it is exact once the receiver has stopped.
        self.kept.store(packets, Ordering::Relaxed);
    }
}

/// The numbers of subscriber sessions: the tracker writes them, anybody reads.
#[derive(Debug)]
pub(crate) struct SessionBoard {
    numbers: [AtomicU64; SessionAccount::NUMBERS],
    by_probe: [AtomicU64; ProbeId::MAX],
}

impl Default for SessionBoard {
    fn default() -> Self {
        Self {
            numbers: [const { AtomicU64::new(0) }; SessionAccount::NUMBERS],
            by_probe: [const { AtomicU64::new(0) }; ProbeId::MAX],
        }
    }
}

impl SessionBoard {
    pub(crate) fn show(&self, account: &SessionAccount) {
        // Relaxed: each number is right by itself.
        let numbers = self.numbers.iter().zip(account.numbers());
        for (cell, number) in numbers.chain(self.by_probe.iter().zip(account.by_probe)) {
            cell.store(number, Ordering::Relaxed);
        }
    }

    fn read(&self) -> SessionAccount {
        let mut account = SessionAccount::default();
        let numbers = account.numbers_mut().into_iter().zip(&self.numbers);
        numbers.for_each(|(number, cell)| *number = cell.load(Ordering::Relaxed));
        let probes = account.by_probe.iter_mut().zip(&self.by_probe);
        probes.for_each(|(number, cell)| *number = cell.load(Ordering::Relaxed));
        account
    }
}

/// Subscriber sessions: `created = active + deleted + expired`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionAccount {
    /// All ever.
    pub created: u64,
    /// Up now.
    pub active: u64,
    /// Ended by signalling.
    pub deleted: u64,
    /// Ended by time.
    pub expired: u64,
    /// Changes of a session's probe.
    pub moved: u64,
    /// Sessions that found no room.
    pub sessions_full: u64,
    /// Tunnels that found no room.
    pub tunnels_full: u64,
    /// Requests that were forgotten before their time.
    pub transactions_full: u64,
    /// Packets whose inner address contradicts their session.
    pub inner_mismatch: u64,
    /// Packets that were held.
    pub held: u64,
    /// Packets that found no room where they should have been held.
    pub hold_full: u64,
    /// Sessions, up or ended, by the probe they were given last.
    pub by_probe: [u64; ProbeId::MAX],
}

impl Default for SessionAccount {
    fn default() -> Self {
        Self {
            created: 0,
            active: 0,
            deleted: 0,
            expired: 0,
            moved: 0,
            sessions_full: 0,
            tunnels_full: 0,
            transactions_full: 0,
            inner_mismatch: 0,
            held: 0,
            hold_full: 0,
            by_probe: [0; ProbeId::MAX],
        }
    }
}

impl SessionAccount {
    /// Numbers that the tracker writes.
    const NUMBERS: usize = 8;

    const fn numbers(&self) -> [u64; Self::NUMBERS] {
        [
            self.created,
            self.active,
            self.deleted,
            self.expired,
            self.moved,
            self.sessions_full,
            self.tunnels_full,
            self.transactions_full,
        ]
    }

    const fn numbers_mut(&mut self) -> [&mut u64; Self::NUMBERS] {
        [
            &mut self.created,
            &mut self.active,
            &mut self.deleted,
            &mut self.expired,
            &mut self.moved,
            &mut self.sessions_full,
            &mut self.tunnels_full,
            &mut self.transactions_full,
        ]
    }
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
    /// Subscriber sessions.
    pub sessions: SessionAccount,
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

impl Accounts {
    /// Whether every packet received has its class. It has not while a receiver is at the headers of a batch,
    /// or was interrupted there.
    #[must_use]
    pub fn all_have_class(&self) -> bool {
        self.received == self.by_class.iter().map(|(_, count)| count).sum::<u64>()
    }
}

impl Board {
    /// A board for this many probes.
    #[must_use]
    pub fn new(probes: usize) -> Self {
        Self {
            rx: Vec::new(),
            tx: Vec::new(),
            probes: Vec::new(),
            probe_count: probes,
            gauges: Vec::new(),
            held: Vec::new(),
            sessions: Arc::default(),
        }
    }

    /// Counters for one receiver that holds packets.
    pub fn add_hold(&mut self) -> Arc<HoldCounters> {
        let counters = Arc::new(HoldCounters::default());
        self.held.push(Arc::clone(&counters));
        counters
    }

    pub(crate) fn sessions(&self) -> Arc<SessionBoard> {
        Arc::clone(&self.sessions)
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

    /// Packets that are in rings or held now. With nothing received and nothing staged any more, that is what
    /// is in flight, found by looking and not by subtracting.
    #[must_use]
    pub fn in_rings(&self) -> u64 {
        self.gauges.iter().map(|gauge| (gauge.0)() as u64).sum::<u64>() + self.kept()
    }

    /// Of them, packets that receivers keep back: what holds them up may be nothing but time.
    #[must_use]
    pub fn kept(&self) -> u64 {
        self.held.iter().map(|held| held.kept.load(Ordering::Relaxed) as u64).sum()
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
            sessions: SessionAccount {
                inner_mismatch: self.held.iter().map(|held| held.inner_mismatch.get()).sum(),
                held: self.held.iter().map(|held| held.held.get()).sum(),
                hold_full: self.held.iter().map(|held| held.full.get()).sum(),
                ..self.sessions.read()
            },
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
