//! A run that ends without warning, and the next one: sessions and their probes are the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use balance::Mode;
use batch::NoPort;
use common::{Keep, Own, Packets, Shelf, plan, source};
use pipeline::{Archive, Part, Plan, Restored, SavedSession, Target, Wiring, wire_up};
use replay::{HeapFrame, HeapPool};
use session::{Cursor, Filter, Record};
use testkit::{Generator, Options};
use types::ProbeId;

type Dataplane = Wiring<Own, NoPort<HeapFrame>, Keep>;

/// A run, and where its packets went.
struct Run {
    dataplane: Dataplane,
    shelves: Vec<Shelf>,
    archive: Archive,
}

/// What a disk has.
#[derive(Clone, Default)]
struct Disk(BTreeMap<u32, Vec<u8>>);

impl Disk {
    fn put(&mut self, mut records: &[u8]) {
        while !records.is_empty() {
            let (head, rest) = records.split_at(8);
            let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap());
            let (bytes, rest) = rest.split_at(word(4) as usize);
            if bytes.is_empty() {
                self.0.remove(&word(0));
            } else {
                self.0.insert(word(0), bytes.to_vec());
            }
            records = rest;
        }
    }

    fn sessions(&self) -> Vec<SavedSession> {
        self.0.iter().map(|(&number, bytes)| SavedSession::decode(number, bytes, Some).unwrap()).collect()
    }
}

fn plan_of(probes: usize) -> Plan {
    Plan { archive: true, keep_ended: false, ..plan(probes, Mode::Session) }
}

impl Run {
    fn new(plan: &Plan, packets: &[(u64, Vec<u8>)]) -> Self {
        let shelves: Vec<Shelf> = (0..plan.probes).map(|_| Shelf::default()).collect();
        let sinks = shelves.iter().map(|shelf| Some(Keep(Arc::clone(shelf)))).collect();
        let targets = vec![(0..plan.probes).map(|_| Target::Writer).collect()];
        let queue = Own(packets.iter().cloned().collect());
        let pool = HeapPool::default();
        let mut dataplane: Dataplane =
            wire_up(plan, source(queue, wire::Decap::default()), targets, sinks, || pool.clone()).unwrap();
        let archive = dataplane.archive.take().unwrap();
        Self { dataplane, shelves, archive }
    }

    /// Takes what was handed out.
    fn take(&mut self, disk: &mut Disk) {
        while let Some(chunk) = self.archive.take() {
            assert_eq!(chunk.part(), Part::Changes);
            disk.put(chunk.records());
            self.archive.give_back(chunk);
        }
    }

    /// Polls until nothing moves.
    fn run(&mut self, disk: &mut Disk) {
        let mut idle = 0;
        while idle < 10 {
            idle = if self.dataplane.poll() > 0 { 0 } else { idle + 1 };
            self.take(disk);
        }
    }

    fn sessions(&mut self) -> Vec<Record> {
        let tracker = self.dataplane.tracker().unwrap();
        let (mut records, mut cursor) = (Vec::new(), Some(Cursor::default()));
        while let Some(from) = cursor {
            cursor = tracker.find(&Filter::default(), from, &mut records);
        }
        records
    }

    /// The probe of every frame.
    fn probes(&self) -> HashMap<Vec<u8>, usize> {
        let shelf = |(probe, shelf): (usize, &Shelf)| {
            let packets = shelf.lock().unwrap();
            packets.iter().map(|packet| (packet.bytes.clone(), probe)).collect::<Vec<_>>()
        };
        self.shelves.iter().enumerate().flat_map(shelf).collect()
    }
}

fn traffic(seed: u64) -> Packets {
    let options = Options { subscribers: 300, seconds: 6.0, pps: 5_000, seed, ..Options::default() };
    let mut generator = Generator::new(options).unwrap();
    let mut packets = Vec::new();
    while let Some(frame) = generator.next_frame() {
        packets.push((frame.time_ns, frame.bytes.to_vec()));
    }
    packets
}

/// All that a record says but what was counted, which ends with the run.
fn without_counts(records: &[Record]) -> Vec<Record> {
    let mut records = records.to_vec();
    for record in &mut records {
        for fteid in &mut record.fteids {
            (fteid.packets, fteid.bytes) = (0, 0);
        }
        (record.packets_ul, record.packets_dl, record.bytes_ul, record.bytes_dl) = (0, 0, 0, 0);
    }
    records
}

#[test]
fn a_run_goes_on_where_the_one_before_was_killed() {
    for seed in [1, 2] {
        let packets = traffic(seed);
        // Half of the signalling is in the second part, and much of what the first part knows is needed.
        let (first, second) = packets.split_at(packets.len() / 2);
        let plan = plan_of(5);
        let mut disk = Disk::default();
        let mut whole = Run::new(&plan, first);
        whole.run(&mut disk);
        // A tick later all is written.
        let now_ns = first.last().unwrap().0;
        whole.dataplane.finish();
        whole.take(&mut disk);
        let before = whole.sessions();
        assert!(before.len() > 200, "{}", before.len());

        // One goes on, the other begins with what is on the disk.
        let mut goes_on = whole;
        goes_on.dataplane.receivers[0].queues_mut().next().unwrap().0.extend(second.iter().cloned());
        goes_on.shelves.iter().for_each(|shelf| shelf.lock().unwrap().clear());
        let mut begins = Run::new(&plan, second);
        let restored = begins.dataplane.tracker().unwrap().restore(disk.sessions(), now_ns);
        assert_eq!(restored, Restored { sessions: before.len() as u64, ..Restored::default() });
        assert_eq!(without_counts(&begins.sessions()), without_counts(&before));
        let accounts = begins.dataplane.board.accounts();
        let mut by_probe = vec![0_u64; plan.probes];
        for record in &before {
            by_probe[usize::from(record.probe.unwrap().0)] += 1;
        }
        let counted = &accounts.sessions.by_probe[..plan.probes];
        assert_eq!(counted, by_probe);
        assert_eq!((accounts.sessions.created, accounts.sessions.moved), (before.len() as u64, 0));

        let mut other_disk = disk.clone();
        goes_on.run(&mut disk);
        begins.run(&mut other_disk);
        goes_on.dataplane.finish();
        begins.dataplane.finish();
        goes_on.run(&mut disk);
        begins.run(&mut other_disk);
        let (one, other) = (goes_on.probes(), begins.probes());
        assert_eq!(one.len(), other.len());
        let elsewhere = one.iter().filter(|(frame, probe)| other.get(*frame) != Some(probe)).count();
        assert_eq!(elsewhere, 0, "seed {seed}: of {}", one.len());
    }
}

#[test]
fn all_sessions_come_when_they_are_asked_for() {
    let packets = traffic(3);
    let plan = plan_of(2);
    let mut run = Run::new(&plan, &packets);
    let (mut disk, mut all) = (Disk::default(), Disk::default());
    let mut since: Option<Vec<Vec<u8>>> = None;
    let mut last = false;
    for round in 0..100_000 {
        run.dataplane.poll();
        if round == 200 {
            // A generation begins: what changes from here on stands in its journal.
            since = Some(Vec::new());
            run.archive.ask_for_all();
        }
        // Now and then they wait for each other.
        if round % 50 != 0 {
            continue;
        }
        while let Some(chunk) = run.archive.take() {
            if chunk.part() == Part::Changes {
                disk.put(chunk.records());
                since.iter_mut().for_each(|since| since.push(chunk.records().to_vec()));
            } else {
                all.put(chunk.records());
                last |= chunk.part() == Part::LastOfAll;
            }
            run.archive.give_back(chunk);
        }
    }
    assert!(last && all.0.len() > 50, "{}", all.0.len());
    while !run.dataplane.finish() {
        run.take(&mut disk);
    }
    while let Some(chunk) = run.archive.take() {
        disk.put(chunk.records());
        since.iter_mut().for_each(|since| since.push(chunk.records().to_vec()));
        run.archive.give_back(chunk);
    }
    let since = since.unwrap();
    assert!(since.len() > 50, "{}", since.len());
    since.iter().for_each(|records| all.put(records));
    assert_eq!(all.0, disk.0);
    assert_eq!(disk.0.len(), run.sessions().len());
}

#[test]
fn a_probe_that_is_gone_gives_its_sessions_to_others() {
    let packets = traffic(4);
    let mut disk = Disk::default();
    let mut run = Run::new(&plan_of(4), &packets);
    run.run(&mut disk);
    run.dataplane.finish();
    run.take(&mut disk);
    let before = run.sessions();
    // The third is gone, and the fourth has its number.
    let now = |probe: ProbeId| match probe.0 {
        2 => None,
        3 => Some(ProbeId(2)),
        other => Some(ProbeId(other)),
    };
    let saved = disk.0.iter().map(|(&n, bytes)| SavedSession::decode(n, bytes, now).unwrap()).collect();
    let mut next = Run::new(&plan_of(3), &[]);
    next.dataplane.tracker().unwrap().restore(saved, packets.last().unwrap().0);
    let after: HashMap<u64, Record> =
        next.sessions().into_iter().map(|record| (record.correlation_id, record)).collect();
    let mut chosen_anew = 0;
    for record in &before {
        let probe = after[&record.correlation_id].probe;
        match now(record.probe.unwrap()) {
            Some(expected) => assert_eq!(probe, Some(expected)),
            None => {
                assert!(probe.is_some());
                chosen_anew += 1;
            }
        }
    }
    assert!(chosen_anew > 10);
}
