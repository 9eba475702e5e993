//! One input gives one output, whatever happens between: segments, bursts, workers, rings; and the
//! books close under every trouble.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use balance::Mode;
use common::{close, plan, source, to_files, traffic};
use pipeline::{Overflow, Plan, Target, Wiring, wire_up};
use proptest::prelude::*;
use replay::{Finite as _, HeapFrame, HeapPool, Impaired, Impairments, MemoryRx};
use types::DropReason;
use wire::Decap;

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Session), Just(Mode::Flow), Just(Mode::Copy)]
}

fn burst() -> impl Strategy<Value = usize> {
    prop_oneof![Just(1), Just(7), Just(32), Just(64), 1_usize..=64]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn segments_bursts_workers_and_rings_change_nothing(
        seed in any::<u64>(),
        burst in burst(),
        workers in 1_usize..=6,
        ring_packets in 64_usize..=300,
        segmented in any::<bool>(),
        mode in mode(),
        follow in any::<bool>(),
        stay in any::<bool>(),
    ) {
        let packets = traffic(600, seed);
        let plan = |probes, mode| Plan { follow, stay, ..plan(probes, mode) };
        let reference = to_files(&plan(4, mode), MemoryRx::new(packets.clone()), 1, Decap::default());
        prop_assert_eq!(reference.accounts.delivered, packets.len() as u64);

        let how = Impairments { seed, segmented, ..Impairments::default() };
        let queue = Impaired::new(MemoryRx::new(packets.clone()).with_burst(burst), how);
        let plan = Plan { ring_packets, ..plan(4, mode) };
        let other = to_files(&plan, queue, workers, Decap::default());
        prop_assert_eq!(&other.accounts, &reference.accounts);
        prop_assert!(other.probes == reference.probes);

        let queue = MemoryRx::new(packets).with_burst(burst);
        prop_assert!(to_files(&plan, queue, workers, Decap::default()) == reference);
    }

    #[test]
    fn the_books_close_under_loss_duplication_reordering_and_truncation(
        seed in any::<u64>(),
        lost in 0_u16..=300,
        duplicated in 0_u16..=300,
        reordered in 0_u16..=300,
        truncated in 0_u16..=500,
        segmented in any::<bool>(),
        workers in 1_usize..=3,
        mode in mode(),
        follow in any::<bool>(),
        stay in any::<bool>(),
    ) {
        let packets = traffic(600, seed);
        let plan = |probes, mode| Plan { follow, stay, ..plan(probes, mode) };
        let how = Impairments { seed, lost, duplicated, reordered, overtaken_by: 20, truncated, segmented };
        let impaired = || Impaired::new(MemoryRx::new(packets.clone()), how);
        let outcome = to_files(&plan(3, mode), impaired(), workers, Decap::default());

        let mut counted = impaired();
        let mut batch = batch::Batch::new();
        while !counted.finished() {
            batch::RxQueue::receive(&mut counted, &mut batch);
            batch.clear();
        }
        let counts = counted.counts();
        prop_assert_eq!(outcome.accounts.received, counts.received - counts.lost + counts.duplicated);
        prop_assert_eq!(outcome.accounts.delivered, outcome.accounts.received);
        let of_time = |time_ns: u64| packets.iter().filter(move |(time, _)| *time == time_ns);
        for packet in outcome.probes.iter().flatten() {
            let came_in = of_time(packet.time_ns).any(|(_, bytes)| {
                bytes.starts_with(&packet.bytes) && bytes.len() == packet.wire_bytes as usize
            });
            prop_assert!(came_in, "what is handed on came in");
        }
        // The same trouble is the same output.
        prop_assert!(to_files(&plan(3, mode), impaired(), 1, Decap::default()) == outcome);
    }

    #[test]
    fn what_no_ring_has_room_for_is_dropped_by_name(
        seed in any::<u64>(),
        ring_packets in 1_usize..=32,
        workers in 1_usize..=3,
        polls in 1_usize..=6,
    ) {
        let packets = traffic(600, seed);
        let all = packets.len() as u64;
        let plan = Plan { ring_packets, overflow: Overflow::Drop, ordered: false, ..plan(3, Mode::Session) };
        let targets = (0..workers).map(|_| (0..3).map(|_| Target::Writer).collect()).collect();
        let shelves: Vec<common::Shelf> = (0..3).map(|_| common::Shelf::default()).collect();
        let sinks = shelves.iter().map(|shelf| Some(common::Keep(shelf.clone()))).collect();
        let pool = HeapPool::default();
        let mut wiring: Wiring<_, batch::NoPort<HeapFrame>, _> =
            wire_up(&plan, source(MemoryRx::new(packets), Decap::default()), targets, sinks, || pool.clone()).unwrap();
        // Receivers are faster than workers, and workers than the writer.
        let ended = |wiring: &Wiring<MemoryRx, _, _>| {
            wiring.receivers.iter().flat_map(|receiver| receiver.queues()).all(|queue| queue.finished())
        };
        while !ended(&wiring) {
            for _ in 0..polls {
                wiring.receivers[0].poll();
                let accounts = wiring.board.accounts();
                prop_assert_eq!(accounts.in_flight, wiring.board.in_rings(), "at every instant");
            }
            for worker in &mut wiring.workers {
                worker.poll();
            }
            let accounts = wiring.board.accounts();
            prop_assert_eq!(accounts.in_flight, wiring.board.in_rings(), "at every instant");
            if polls % 2 == 0 {
                wiring.writer.as_mut().unwrap().poll();
            }
        }
        common::finish(&mut wiring);
        let accounts = close(&wiring);
        prop_assert_eq!(accounts.received, all);
        let kept: u64 = shelves.iter().map(|shelf| shelf.lock().unwrap().len() as u64).sum();
        prop_assert_eq!(kept, accounts.probes.iter().map(|probe| probe.packets).sum::<u64>());
        let named = [DropReason::RingFull, DropReason::ProbeFull];
        prop_assert!(accounts.dropped.iter().all(|(reason, _)| named.contains(reason)), "{:?}", accounts);
        // One batch is more than these rings hold together.
        let too_small = ring_packets * workers < 32;
        prop_assert!(!too_small || accounts.dropped.iter().any(|(reason, _)| *reason == DropReason::RingFull));
    }
}

#[test]
fn one_packet_a_burst_and_nothing_at_all() {
    let nothing =
        to_files(&plan(2, Mode::Session), MemoryRx::new(Vec::<(u64, Vec<u8>)>::new()), 2, Decap::default());
    assert_eq!((nothing.accounts.received, nothing.probes), (0, vec![vec![], vec![]]));
    // Frames of no bytes, of one, and of the most that a segment offload makes.
    let odd = [0, 1, 13, 14, 65_535, 262_144].map(|len| (len as u64, vec![0x45; len]));
    let outcome =
        to_files(&plan(2, Mode::Session), MemoryRx::new(odd.clone()).with_burst(1), 2, Decap::default());
    assert_eq!(outcome.accounts.delivered, 6);
    let mut lengths: Vec<_> = outcome.probes.iter().flatten().map(|packet| packet.bytes.len()).collect();
    lengths.sort_unstable();
    assert_eq!(lengths, odd.map(|(_, bytes)| bytes.len()));
}
