//! Probes that are ports: what they take, refuse and cannot send, and what becomes of copies.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::sync::{Arc, Mutex};

use balance::Mode;
use common::{Keep, Outcome, Own, Packets, Queue, Shelf, close, finish, plan, source, to_files, traffic};
use pipeline::{Accounts, Overflow, Plan, Target, Wiring, wire_up};
use replay::{HeapPool, MemoryRx};
use types::DropReason;
use wire::Decap;

/// What a probe of a test is.
enum Probe {
    Port(Queue),
    File(Shelf),
    Null,
}

/// Runs packets, each in memory of its own, to these probes by one worker.
fn run(packets: &Packets, probes: Vec<Probe>, overflow: Overflow, pool: &HeapPool) -> Accounts {
    let plan = Plan { overflow, ..plan(probes.len(), Mode::Session) };
    let (mut targets, mut sinks) = (Vec::new(), Vec::new());
    for probe in probes {
        let (target, sink) = match probe {
            Probe::Port(queue) => (Target::Port(queue), None),
            Probe::File(shelf) => (Target::Writer, Some(Keep(shelf))),
            Probe::Null => (Target::Null, None),
        };
        targets.push(target);
        sinks.push(sink);
    }
    let queue = source(Own(packets.clone().into()), Decap::default());
    let mut wiring: Wiring<Own, Queue, Keep> =
        wire_up(&plan, queue, vec![targets], sinks, || pool.clone()).unwrap();
    finish(&mut wiring);
    close(&wiring)
}

/// What all probes would have got, had they been files.
fn reference(packets: &Packets, probes: usize) -> Outcome {
    to_files(&plan(probes, Mode::Session), MemoryRx::new(packets.clone()), 1, Decap::default())
}

fn bytes(shelf: &[common::Delivered]) -> Vec<&[u8]> {
    shelf.iter().map(|packet| packet.bytes.as_slice()).collect()
}

fn lost(accounts: &Accounts, probe: usize, reason: DropReason) -> u64 {
    let reasons = &accounts.probes[probe].dropped;
    reasons.iter().find(|(lost, _)| *lost == reason).map_or(0, |(_, count)| *count)
}

#[test]
fn ports_files_and_null_get_what_files_would() {
    let packets = traffic(3_000, 11);
    let expected = reference(&packets, 4);
    for per_call in [1, 5, usize::MAX] {
        let queue = |shared| Queue { per_call, ..Queue::new(shared) };
        let (shared, private, file) = (queue(true), queue(false), Shelf::default());
        let (sent_shared, sent_private) = (Arc::clone(&shared.sent), Arc::clone(&private.sent));
        let probes = vec![Probe::Port(shared), Probe::Port(private), Probe::File(file.clone()), Probe::Null];
        let accounts = run(&packets, probes, Overflow::Wait, &HeapPool::default());
        assert_eq!(accounts, expected.accounts);
        let (shared, private) = (sent_shared.lock().unwrap(), sent_private.lock().unwrap());
        assert!(bytes(&shared) == bytes(&expected.probes[0]));
        assert!(bytes(&private) == bytes(&expected.probes[1]));
        assert!(*file.lock().unwrap() == expected.probes[2]);
    }
}

#[test]
fn several_workers_and_probes_of_every_kind_do_not_wait_for_each_other() {
    let packets = traffic(3_000, 17);
    let expected = reference(&packets, 3);
    let file = Shelf::default();
    let targets = || vec![Target::Port(Queue::new(true)), Target::Writer, Target::Null];
    let sinks = vec![None, Some(Keep(file.clone())), None];
    let pool = HeapPool::default();
    let queue = source(MemoryRx::new(packets.clone()), Decap::default());
    let plan = Plan { ring_packets: 64, ..plan(3, Mode::Session) };
    let mut wiring: Wiring<MemoryRx, Queue, Keep> =
        wire_up(&plan, queue, (0..3).map(|_| targets()).collect(), sinks, || pool.clone()).unwrap();
    finish(&mut wiring);
    assert_eq!(close(&wiring), expected.accounts);
    assert!(*file.lock().unwrap() == expected.probes[1], "in the order of the input");
}

#[test]
fn a_port_that_refuses_loses_its_own_copies_only() {
    let packets = traffic(3_000, 12);
    let expected = reference(&packets, 3);
    for room in [0, 1, 100] {
        let full = Queue { left: Arc::new(Mutex::new(room)), ..Queue::new(true) };
        let well = Queue::new(false);
        let (sent, file) = (Arc::clone(&well.sent), Shelf::default());
        let probes = vec![Probe::Port(full), Probe::Port(well), Probe::File(file.clone())];
        let accounts = run(&packets, probes, Overflow::Drop, &HeapPool::default());
        assert_eq!(accounts.probes[0].packets, room as u64);
        for (made, copies) in accounts.probes.iter().zip(&expected.accounts.probes) {
            let dropped: u64 = made.dropped.iter().map(|(_, count)| count).sum();
            assert_eq!(made.packets + dropped, copies.packets, "copies made = sent + dropped");
        }
        let at_full = lost(&accounts, 0, DropReason::ProbeFull);
        assert_eq!(at_full + room as u64, expected.accounts.probes[0].packets);
        // Nothing waits for a packet that is held: in ports it comes behind those of other tunnels.
        let (sent, expected_bytes) = (sent.lock().unwrap(), &expected.probes[1]);
        let (mut sent, mut expected_bytes) = (bytes(&sent), bytes(expected_bytes));
        sent.sort_unstable();
        expected_bytes.sort_unstable();
        assert!(sent == expected_bytes);
        // Signalling reached the others: only packets that were for it alone are lost.
        let control = expected.accounts.probes[0].control_packets;
        let alone = expected.accounts.probes[0].packets - control;
        let dropped: u64 = accounts.dropped.iter().map(|(_, count)| count).sum();
        assert!(dropped <= alone && dropped + (room as u64) >= alone, "{dropped} of {alone}");
        assert!(accounts.dropped.iter().all(|(reason, _)| *reason == DropReason::ProbeFull));
    }
}

#[test]
fn where_every_copy_is_lost_the_packet_is() {
    let packets = traffic(2_000, 13);
    let expected = reference(&packets, 2);
    let full = || Probe::Port(Queue { left: Arc::new(Mutex::new(0)), ..Queue::new(true) });
    let accounts = run(&packets, vec![full(), full()], Overflow::Drop, &HeapPool::default());
    assert_eq!(accounts.delivered, 0);
    assert_eq!(accounts.dropped, [(DropReason::ProbeFull, packets.len() as u64)]);
    for (probe, copies) in expected.accounts.probes.iter().enumerate() {
        assert_eq!(lost(&accounts, probe, DropReason::ProbeFull), copies.packets);
    }
}

#[test]
fn a_frame_that_is_too_long_for_a_port_is_lost_by_that_name() {
    let packets = traffic(3_000, 14);
    let expected = reference(&packets, 2);
    let short = Queue { longest: 200, ..Queue::new(true) };
    let sent = Arc::clone(&short.sent);
    let accounts = run(&packets, vec![Probe::Port(short), Probe::Null], Overflow::Wait, &HeapPool::default());
    let (fit, long): (Vec<_>, Vec<_>) =
        expected.probes[0].iter().partition(|packet| packet.bytes.len() <= 200);
    assert!(fit.len() > 100 && long.len() > 100);
    assert_eq!(lost(&accounts, 0, DropReason::ProbeMtu), long.len() as u64);
    assert!(
        bytes(&sent.lock().unwrap()) == fit.iter().map(|packet| packet.bytes.as_slice()).collect::<Vec<_>>()
    );
    let long_users = long.iter().filter(|packet| !packet.class.is_control()).count() as u64;
    assert_eq!(accounts.dropped, [(DropReason::ProbeMtu, long_users)]);
}

#[test]
fn without_a_buffer_for_a_copy_the_copy_is_lost_by_that_name() {
    let packets = traffic(2_000, 15);
    let expected = reference(&packets, 2);
    let control = expected.accounts.probes[0].control_packets;
    assert!(control > 10);
    // One takes shared frames, the other needs a copy where both get the packet.
    let none = HeapPool::new(0);
    let probes = vec![Probe::Port(Queue::new(true)), Probe::Port(Queue::new(false))];
    let accounts = run(&packets, probes, Overflow::Wait, &none);
    assert_eq!(accounts.delivered, packets.len() as u64);
    assert_eq!(
        (lost(&accounts, 0, DropReason::PoolEmpty), lost(&accounts, 1, DropReason::PoolEmpty)),
        (0, control)
    );
    // Where both need one, nobody has it.
    let probes = vec![Probe::Port(Queue::new(false)), Probe::Port(Queue::new(false))];
    let accounts = run(&packets, probes, Overflow::Wait, &none);
    assert_eq!(accounts.dropped, [(DropReason::PoolEmpty, control)]);
    assert_eq!(accounts.delivered, packets.len() as u64 - control);
}

#[test]
fn a_port_that_refuses_for_ever_does_not_stop_a_source_that_waits() {
    let packets = traffic(3_000, 16);
    let full = Queue { left: Arc::new(Mutex::new(0)), ..Queue::new(true) };
    let file = Shelf::default();
    let started = std::time::Instant::now();
    let accounts = run(
        &packets,
        vec![Probe::Port(full), Probe::File(file.clone())],
        Overflow::Wait,
        &HeapPool::default(),
    );
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
    assert_eq!(*file.lock().unwrap(), reference(&packets, 2).probes[1]);
    assert!(lost(&accounts, 0, DropReason::ProbeFull) > 500);
}
