//! No allocation for a packet: counted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use batch::{Batch, Frame, RxQueue};
use common::{Folder, LITTLE, MICRO};
use replay::{CaptureRx, CaptureWriter, Finite, HeapPool, Merge};

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

fn allocations() -> u64 {
    COUNT.with(Cell::get)
}

/// Reads everything, makes every frame private, changes it and writes it; returns how many
/// allocations happened after the first tenth of the packets.
fn run(files: &[Vec<u8>], packets: u64) -> u64 {
    let folder = Folder::new();
    let paths: Vec<_> =
        files.iter().enumerate().map(|(n, bytes)| folder.file(&n.to_string(), bytes)).collect();
    let mut rx = CaptureRx::new(Merge::open(&paths).unwrap());
    let mut writer = CaptureWriter::create(folder.path("out"), rx.link_type()).unwrap();
    let mut pool = HeapPool::default();
    let mut batch = Batch::new();
    let (mut seen, mut before) = (0, 0);
    while !rx.finished() {
        seen += rx.receive(&mut batch) as u64;
        for slot in batch.live() {
            let packet = batch.take(slot).unwrap();
            let shared = packet.frame.share();
            let mut frame = packet.frame.make_private(&mut pool).unwrap();
            frame.head_mut().unwrap()[0] ^= 1;
            assert_eq!(frame.head()[0] ^ 1, shared.head()[0], "a private copy is private");
            writer.write(packet.meta.time_ns, packet.meta.wire_bytes, &frame).unwrap();
        }
        batch.clear();
        if before == 0 && seen > packets / 10 {
            before = allocations();
        }
    }
    let after = allocations();
    assert_eq!(seen, packets);
    assert!(before > 0);
    after - before
}

#[test]
fn reading_copying_and_writing_a_capture_allocates_nothing_for_a_packet() {
    let packets: Vec<common::Packet<'_>> = (0..60_000).map(|n| (n, 0, 900, &[7; 300][..])).collect();
    let pcap = LITTLE.pcap(MICRO, 1, &packets);
    let mut ng = [LITTLE.section(), LITTLE.interface(113, 0, &[])].concat();
    for n in 0..60_000 {
        ng.extend(LITTLE.enhanced(0, n * 1_000_000, 400, &[7; 300]));
    }
    // One file; one that is converted and merged with it.
    assert_eq!(run(std::slice::from_ref(&pcap), 60_000), 0, "pcap");
    assert_eq!(run(std::slice::from_ref(&ng), 60_000), 0, "pcapng");
    assert_eq!(run(&[pcap, ng], 120_000), 0, "merged and converted");
}

#[test]
fn the_pool_has_a_limit_and_gives_the_frame_back() {
    let mut pool = HeapPool::new(4096);
    let frame = replay::HeapFrame::from_vec(vec![1; 100]);
    let one = frame.share().make_private(&mut pool).unwrap();
    let two = frame.share().make_private(&mut pool).unwrap();
    let back = frame.share().make_private(&mut pool).unwrap_err();
    assert_eq!(back.head(), [1; 100]);
    assert_eq!(pool.bytes(), 4096);
    drop(one);
    let again = frame.share().make_private(&mut pool).unwrap();
    // Two frames refer to a buffer: it comes back with the last of them.
    let shared = again.share();
    drop(again);
    assert!(frame.share().make_private(&mut pool).is_err());
    drop(shared);
    assert!(frame.share().make_private(&mut pool).is_ok());
    drop((two, pool));
}
