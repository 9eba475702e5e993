//! No allocation for a packet, from the queue to the probes: counted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use balance::Mode;
use batch::{Burst, Frame, Meta, Sink, TxQueue};
use common::{close, plan, source, traffic};
use pipeline::{ForAll, Plan, Target, Wiring, wire_up};
use replay::{Finite as _, HeapFrame, HeapPool, Impaired, Impairments, MemoryRx};
use types::DropReason;
use wire::Decap;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is handed to the system's allocator as it came; counting touches a
// thread-local number without a destructor and allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`, which is the same one.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `alloc` above, that is from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Takes everything and keeps nothing.
struct Sponge {
    bytes: u64,
    shared: bool,
}

impl Sink for Sponge {
    fn write(&mut self, _: &Meta, frame: &impl Frame) -> Result<(), DropReason> {
        self.bytes += frame.len() as u64;
        Ok(())
    }

    fn flush(&mut self) {}
}

impl TxQueue for Sponge {
    type Frame = HeapFrame;

    fn send(&mut self, burst: &mut Burst<HeapFrame>) -> usize {
        burst.drain(..).map(|frame| self.bytes += frame.len() as u64).count()
    }

    fn takes_shared(&self) -> bool {
        self.shared
    }
}

/// Allocations after the first tenth of the packets.
fn allocations(workers: usize, mode: Mode, decap: Decap, how: Impairments, follow: bool) -> u64 {
    let packets = traffic(40_000, 3);
    let all = packets.len() as u64;
    // A session that has ended is written down where that is asked for, which takes memory for each.
    let for_all = ForAll { sctp: follow, diameter: follow };
    // With all that the tracker does besides.
    let (stay, events, feed) = (follow, true, true);
    let plan = Plan { keep_ended: false, follow, for_all, stay, events, feed, ..plan(4, mode) };
    let sponge = |shared| Sponge { bytes: 0, shared };
    let targets =
        || vec![Target::Port(sponge(true)), Target::Port(sponge(false)), Target::Writer, Target::Null];
    let sinks = vec![None, None, Some(sponge(true)), None];
    let pool = HeapPool::default();
    // Buffers are made as they are first needed: as many as a batch of copies takes at most.
    let buffers: Vec<_> = (0..4 * batch::BATCH).map(|_| pool.clone().copy(&[0; 2_048])).collect();
    assert!(buffers.iter().all(Option::is_some));
    drop(buffers);
    let queue = Impaired::new(MemoryRx::new(packets), how);
    let targets = (0..workers).map(|_| targets()).collect();
    let mut wiring: Wiring<_, Sponge, Sponge> =
        wire_up(&plan, source(queue, decap), targets, sinks, || pool.clone()).unwrap();
    let mut before = None;
    loop {
        let moved = wiring.poll();
        let counters = wiring.receivers[0].queues().next().unwrap();
        if before.is_none() && counters.counts().received > all / 10 {
            before = Some(COUNT.with(Cell::get));
        }
        assert!(moved > 0 || counters.finished(), "nothing moves any more, and packets are left");
        if moved == 0 && wiring.finish() && wiring.poll() == 0 {
            break;
        }
    }
    let after = COUNT.with(Cell::get);
    assert_eq!(close(&wiring).delivered, all);
    after - before.unwrap()
}

#[test]
fn a_packet_costs_no_allocation() {
    let whole = Impairments::default();
    let segmented = Impairments { seed: 1, segmented: true, ..whole };
    let unpack = Decap { vxlan: true, gre: true, erspan: true };
    for workers in [1, 3] {
        assert_eq!(
            allocations(workers, Mode::Session, Decap::default(), whole, false),
            0,
            "{workers} workers"
        );
    }
    assert_eq!(allocations(1, Mode::Session, Decap::default(), whole, true), 0, "messages follow");
    assert_eq!(allocations(1, Mode::Flow, Decap::default(), whole, false), 0, "by flow");
    assert_eq!(allocations(1, Mode::Copy, Decap::default(), whole, false), 0, "to all");
    assert_eq!(allocations(1, Mode::Session, unpack, whole, false), 0, "with unpacking");
    assert_eq!(allocations(1, Mode::Session, unpack, segmented, false), 0, "in segments");
}
