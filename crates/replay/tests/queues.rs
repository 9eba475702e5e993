//! Merging, conversion, segments, and seeded trouble.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use batch::{Batch, Frame, RxQueue};
use common::{BIG, Folder, LITTLE, MICRO, NANO};
use replay::{CaptureRx, Finite, HeapFrame, HeapPool, Impaired, Impairments, MemoryRx, Merge};
use types::LinkType;

/// Everything a queue gives: time, length on the wire, all bytes, length of the first segment.
fn drain<Q: RxQueue<Frame = HeapFrame> + Finite>(queue: &mut Q) -> Vec<(u64, u32, Vec<u8>, usize)> {
    let mut batch = Batch::new();
    let mut all = Vec::new();
    while !queue.finished() {
        queue.receive(&mut batch);
        for slot in batch.live() {
            let packet = batch.take(slot).unwrap();
            let head = packet.frame.head().len();
            let bytes = packet.frame.contiguous().to_vec();
            all.push((packet.meta.time_ns, packet.meta.wire_bytes, bytes, head));
        }
        batch.clear();
    }
    all
}

#[test]
fn files_merge_by_time_then_file_then_position() {
    let folder = Folder::new();
    let paths = [
        folder.file(
            "a",
            &LITTLE.pcap(MICRO, 1, &[(1, 0, 2, b"a1"), (5, 0, 2, b"a2"), (2, 0, 2, b"a3"), (7, 0, 2, b"a4")]),
        ),
        folder.file("b", &BIG.pcap(NANO, 1, &[(1, 0, 2, b"b1"), (1, 0, 2, b"b2"), (5, 0, 2, b"b3")])),
        folder.file("empty", &LITTLE.pcap(MICRO, 1, &[])),
        folder.file("c", &LITTLE.pcap(MICRO, 1, &[(0, 9, 2, b"c1"), (9, 0, 2, b"c2")])),
    ];
    let mut rx = CaptureRx::new(Merge::open(&paths).unwrap());
    let order: Vec<u8> = drain(&mut rx).into_iter().flat_map(|packet| packet.2).collect();
    // a3 goes back in time inside its file: it stays behind a2.
    assert_eq!(order, b"c1a1b1b2a2a3b3a4c2", "{}", String::from_utf8_lossy(&order));
    assert_eq!(rx.warnings().len(), 1);
    assert_eq!(rx.progress().consumed(), rx.total_bytes());
}

#[test]
fn inputs_of_different_link_types_become_ethernet_and_equal_ones_stay() {
    let folder = Folder::new();
    let raw = folder.file("raw", &LITTLE.pcap(MICRO, 101, &[(1, 0, 1500, &[0x45, 1])]));
    let v6 = folder.file("v6", &LITTLE.pcap(MICRO, 229, &[(2, 0, 3, &[0x60, 1])]));
    let mut same = CaptureRx::new(Merge::open(&[&raw, &raw]).unwrap());
    assert_eq!(same.link_type(), LinkType::RawIp);
    assert_eq!(drain(&mut same)[0], (1_000_000_000, 1500, vec![0x45, 1], 2));
    let converted = vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0x45, 1];
    let mut mixed = CaptureRx::new(Merge::open(&[&raw, &v6]).unwrap());
    assert_eq!(mixed.link_type(), LinkType::Ethernet);
    let packets = drain(&mut mixed);
    assert_eq!(packets[0], (1_000_000_000, 1514, converted.clone(), 16));
    assert_eq!(packets[1].2[12..], [0x86, 0xdd, 0x60, 1]);
    let mut forced = CaptureRx::new(Merge::open_as_ethernet(&[&raw]).unwrap());
    assert_eq!(forced.link_type(), LinkType::Ethernet);
    assert_eq!(drain(&mut forced)[0].2, converted);
}

#[test]
fn a_later_interface_of_another_type_is_known_before_the_first_packet() {
    let folder = Folder::new();
    let mut sll = vec![0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 0];
    sll.extend([0x45; 4]);
    let same = [
        LITTLE.section(),
        LITTLE.interface(113, 0, &[]),
        // Declared, but without a packet.
        LITTLE.interface(1, 0, &[]),
        LITTLE.enhanced(0, 1, 20, &sll),
    ]
    .concat();
    assert_eq!(Merge::open(&[folder.file("same", &same)]).unwrap().link_type(), LinkType::LinuxSll);
    let mixed = [same, LITTLE.interface(101, 0, &[]), LITTLE.enhanced(2, 2, 2, &[0x45; 2])].concat();
    let mut rx = CaptureRx::new(Merge::open(&[folder.file("mixed", &mixed)]).unwrap());
    assert_eq!(rx.link_type(), LinkType::Ethernet);
    let packets = drain(&mut rx);
    assert_eq!(packets[0].2, [0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 8, 0, 0x45, 0x45, 0x45, 0x45]);
    assert_eq!(packets[0].1, 18);
    assert_eq!(packets[1].2, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0x45, 0x45]);
}

#[test]
fn records_across_the_borders_of_chunks_are_whole() {
    // Sizes up to the longest record, more than a chunk together, in many files: small chunks.
    let bytes: Vec<u8> = (0..262_144_u32).map(|n| ((n * 31) >> 3) as u8).collect();
    let packets: Vec<common::Packet<'_>> = (0..400_u32)
        .map(|n| (n, 0, 0, &bytes[..(n * 7919 % 20_000) as usize]))
        .chain([(900, 0, 0, &bytes[..])])
        .collect();
    let folder = Folder::new();
    for link in [1, 113] {
        let path = folder.file("x", &LITTLE.pcap(MICRO, link, &packets));
        for files in [1, 64] {
            let mut rx = CaptureRx::new(Merge::open(&vec![&path; files]).unwrap());
            let mut batch = Batch::new();
            let mut seen = 0;
            while !rx.finished() {
                rx.receive(&mut batch);
                for slot in batch.live() {
                    let expected = packets[seen / files].3;
                    assert!(batch.frame(slot).unwrap().contiguous() == expected, "packet {seen}");
                    seen += 1;
                }
                batch.clear();
            }
            assert_eq!(seen, packets.len() * files);
        }
    }
}

fn numbered(n: u64) -> MemoryRx {
    MemoryRx::new((0..n).map(|i| (i, (0..80).map(|k| (i + k) as u8).collect::<Vec<_>>())))
}

#[test]
fn trouble_depends_on_the_seed_and_not_on_the_burst() {
    let how = Impairments {
        seed: 7,
        lost: 100,
        duplicated: 50,
        reordered: 200,
        overtaken_by: 5,
        truncated: 100,
        segmented: true,
    };
    let mut first = Impaired::new(numbered(5_000), how);
    let all = drain(&mut first);
    let counts = first.counts();
    assert_eq!(counts.received, 5_000);
    assert_eq!(all.len() as u64, counts.received - counts.lost + counts.duplicated);
    for (count, expected) in
        [(counts.lost, 500), (counts.duplicated, 225), (counts.reordered, 900), (counts.truncated, 450)]
    {
        assert!(count > expected * 3 / 4 && count < expected * 5 / 4, "{counts:?}");
    }
    assert!(all.iter().any(|(_, wire, bytes, _)| *wire == 80 && bytes.len() < 80));
    assert!(all.windows(2).any(|pair| pair[0].0 > pair[1].0), "some arrive late");
    let mut places: Vec<u64> = all.iter().map(|packet| packet.0).collect();
    for (at, time) in places.iter().enumerate() {
        assert!((at as i64 - *time as i64).unsigned_abs() < 700, "late, but not by much more than was lost");
    }
    places.dedup();
    for burst in [1, 7, 32] {
        assert_eq!(drain(&mut Impaired::new(numbered(5_000).with_burst(burst), how)), all);
    }
    let other = Impairments { seed: 8, ..how };
    assert_ne!(drain(&mut Impaired::new(numbered(5_000), other)), all);
    // No trouble: nothing changes.
    let calm = drain(&mut Impaired::new(numbered(500), Impairments::default()));
    assert_eq!(calm, drain(&mut numbered(500)));
}

#[test]
fn segments_are_two_to_five_and_together_the_frame() {
    let bytes: Vec<u8> = (0..100).collect();
    let mut seen = [0; 6];
    for seed in 0..2_000 {
        let len = 2 + seed as usize % 98;
        let mut frame = HeapFrame::from_vec(bytes[..len].to_vec()).cut(seed);
        let segments: Vec<&[u8]> = frame.segments().collect();
        assert!(segments.iter().all(|segment| !segment.is_empty()));
        assert_eq!(segments.concat(), bytes[..len]);
        assert_eq!(segments[0], frame.head());
        assert!(segments.len() >= 2 && segments.len() <= 5);
        seen[segments.len()] += 1;
        assert_eq!(frame.len(), len);
        // Reading across the borders.
        let mut out = [0xff; 120];
        assert_eq!(frame.copy_to(1, &mut out), len - 1);
        assert_eq!(out[..len - 1], bytes[1..len]);
        assert_eq!(frame.copy_to(len, &mut out), 0);
        assert_eq!(frame.copy_to(usize::MAX, &mut out), 0);
        // Taking the head away leaves an empty first segment and the others as they were.
        let (head, others) = (segments[0].len(), segments[1..].concat());
        assert!(!frame.trim_front(head + 1));
        assert!(frame.trim_front(head));
        assert!(frame.head().is_empty());
        assert_eq!(frame.segments().collect::<Vec<_>>().concat(), others);
        // In one piece again.
        let frame = frame.make_private(&mut HeapPool::default()).unwrap();
        assert_eq!(frame.head(), others);
    }
    assert!(seen[2..].iter().all(|count| *count > 100), "{seen:?}");
    assert_eq!(HeapFrame::from_vec(vec![1]).cut(3).segments().count(), 1);
    assert!(size_of::<HeapFrame>() <= 24);
}

#[test]
fn shared_bytes_cannot_be_written() {
    let mut frame = HeapFrame::from_vec(vec![1, 2, 3]);
    let shared = frame.share();
    assert!(frame.head_mut().is_none());
    drop(shared);
    frame.head_mut().unwrap()[0] = 9;
    assert!(frame.trim_front(1));
    assert_eq!(frame.head(), [2, 3]);
    assert!(!frame.truncate(3) && frame.truncate(1));
    assert_eq!((frame.head(), frame.len()), (&[2][..], 1));
    let mut cut = HeapFrame::from_vec(vec![1, 2, 3]).cut_at(1);
    assert!(!cut.truncate(2), "only one segment can be shortened");
    assert!(cut.truncate(3), "it is of that length already");
}

#[test]
fn trimming_one_of_several_frames_leaves_the_others_as_they_are() {
    let mut frame = HeapFrame::from_vec(vec![1, 2, 3, 4]);
    let shared = frame.share();
    assert!(!frame.trim_front(5) && !frame.truncate(5));
    assert!(frame.truncate(3) && frame.trim_front(1));
    assert_eq!((frame.head(), shared.head()), (&[2, 3][..], &[1, 2, 3, 4][..]));
    assert!(frame.trim_front(2) && frame.is_empty());
}
