//! What is told of sessions is what the accounts and the sessions say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::{HashMap, HashSet};

use balance::Mode;
use batch::NoPort;
use common::{Keep, Own, Packets, Shelf, plan, source};
use pipeline::{Event, Plan, Target, What, Wiring, wire_up};
use replay::{HeapFrame, HeapPool};
use session::{Cursor, Filter, Record};
use testkit::{Generator, Options};

const PROBES: usize = 8;

/// Traffic whose signalling comes later than packets are held.
fn late_traffic() -> Packets {
    let options = Options { subscribers: 300, seconds: 4.0, pps: 5_000, seed: 5, ..Options::default() };
    let mut generator = Generator::new(options).unwrap();
    let mut packets = Packets::new();
    while let Some(frame) = generator.next_frame() {
        let port = |port: u16| frame.bytes.windows(2).skip(34).take(8).any(|two| two == port.to_be_bytes());
        let late = if port(2123) || port(8805) { 300_000_000 } else { 0 };
        packets.push((frame.time_ns + late, frame.bytes.to_vec()));
    }
    packets.sort_by_key(|(time_ns, _)| *time_ns);
    packets
}

fn run(plan: &Plan, packets: &Packets) -> (Vec<Event>, u64, u64, Vec<Record>) {
    let sinks = (0..PROBES).map(|_| Some(Keep(Shelf::default()))).collect();
    let targets = vec![(0..PROBES).map(|_| Target::Writer).collect()];
    let pool = HeapPool::default();
    let queue = Own(packets.iter().cloned().collect());
    let mut wiring: Wiring<Own, NoPort<HeapFrame>, Keep> =
        wire_up(plan, source(queue, wire::Decap::default()), targets, sinks, || pool.clone()).unwrap();
    let mut listener = wiring.listener.take().unwrap();
    let mut events = Vec::new();
    let mut idle = 0;
    while idle < 10 {
        idle = if wiring.poll() > 0 { 0 } else { idle + 1 };
        events.extend(std::iter::from_fn(|| listener.next_event()));
    }
    wiring.finish();
    events.extend(std::iter::from_fn(|| listener.next_event()));
    let moved = wiring.board.accounts().sessions.moved;
    let (mut records, mut cursor) = (Vec::new(), Some(Cursor::default()));
    while let Some(from) = cursor {
        cursor = wiring.tracker().unwrap().find(&Filter::default(), from, &mut records);
    }
    (events, listener.lost(), moved, records)
}

#[test]
fn every_move_is_told_and_where_an_unknown_session_has_gone() {
    let packets = late_traffic();
    for stay in [false, true] {
        let plan = Plan { events: true, stay, ..plan(PROBES, Mode::Session) };
        let (events, lost, moved, records) = run(&plan, &packets);
        assert_eq!(lost, 0);
        assert!(events.is_sorted_by_key(|event| event.time_ns));
        let is_move = |event: &&Event| matches!(event.what, What::SessionMoved { .. });
        assert_eq!(events.iter().filter(is_move).count() as u64, moved, "stay: {stay}");
        assert!(stay || moved > 50, "{moved}");

        // The last that was told of a session is what is known of it.
        let known: HashMap<u64, &Record> =
            records.iter().map(|record| (record.correlation_id, record)).collect();
        let mut probes = HashMap::new();
        let mut learned = HashSet::new();
        for event in &events {
            match event.what {
                What::SessionLearned { from, session, before, after } => {
                    assert_ne!(from, session.correlation_id);
                    learned.insert(session.correlation_id);
                    probes.insert(session.correlation_id, (event.time_ns, after, session.imsi));
                    assert!(!stay || before.is_none() || after.is_some());
                }
                What::SessionMoved { session, before, after } => {
                    assert_ne!(before, after);
                    probes.insert(session.correlation_id, (event.time_ns, Some(after), session.imsi));
                }
                _ => {}
            }
        }
        assert!(learned.len() > 100, "{}", learned.len());
        let mut checked = 0;
        for (id, (time_ns, probe, imsi)) in probes {
            // Who is made anew by the same anchor is called the same.
            if let Some(record) = known.get(&id).filter(|record| record.created_ns <= time_ns) {
                checked += 1;
                assert_eq!(probe, record.probe, "{id:016x}");
                // It may have been told later, and of a session that stays nothing is told then.
                assert!(imsi == record.imsi || stay && imsi.is_none(), "{id:016x}");
            }
        }
        assert!(checked > 50, "{checked}");
        // The same is told every time.
        assert_eq!(run(&plan, &packets).0, events);
    }
}
