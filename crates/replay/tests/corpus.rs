//! The reader against capinfos, over all captures there are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use batch::{Batch, Frame, RxQueue};
use common::{Folder, Read, corpus, gzip, read_all, zstd};
use replay::{CaptureReader, CaptureRx, CaptureWriter, Finite, Merge, link_type_of};
use types::LinkType;

struct Golden {
    name: &'static str,
    packets: usize,
    bytes: u64,
    link: LinkType,
    earliest_ns: u64,
    latest_ns: u64,
}

fn golden() -> Vec<Golden> {
    include_str!("../../testkit/corpus/times.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .skip(1)
        .map(|line| {
            let mut cells = line.split('\t');
            let mut cell = || cells.next().unwrap();
            Golden {
                name: cell(),
                packets: cell().parse().unwrap(),
                bytes: cell().parse().unwrap(),
                link: LinkType::from_number(cell().parse().unwrap()).unwrap(),
                earliest_ns: cell().parse().unwrap(),
                latest_ns: cell().parse().unwrap(),
            }
        })
        .collect()
}

#[test]
fn every_capture_is_what_capinfos_says() {
    let Some(folder) = corpus() else { return };
    for golden in golden() {
        let path = folder.join(golden.name);
        let (packets, error, _) = read_all(&path);
        assert!(error.is_none(), "{}: {error:?}", golden.name);
        assert_eq!(packets.len(), golden.packets, "{}: packets", golden.name);
        let bytes: u64 = packets.iter().map(|packet| u64::from(packet.wire)).sum();
        assert_eq!(bytes, golden.bytes, "{}: data bytes", golden.name);
        let times = || packets.iter().map(|packet| packet.time_ns);
        assert_eq!(times().min(), Some(golden.earliest_ns), "{}: earliest", golden.name);
        assert_eq!(times().max(), Some(golden.latest_ns), "{}: latest", golden.name);
        assert_eq!(link_type_of(&path).unwrap(), golden.link, "{}: link type", golden.name);
    }
}

#[test]
fn every_capture_survives_a_round_trip_through_the_queue_and_the_writer() {
    let Some(folder) = corpus() else { return };
    let out = Folder::new();
    for golden in golden() {
        let before = read_all(&folder.join(golden.name)).0;
        for burst in [1, 7, 64] {
            let mut rx = CaptureRx::new(Merge::open(&[folder.join(golden.name)]).unwrap()).with_burst(burst);
            assert_eq!(rx.link_type(), golden.link);
            let path = out.path("out.pcap");
            let mut writer = CaptureWriter::create(&path, rx.link_type()).unwrap();
            let mut batch = Batch::new();
            while !rx.finished() {
                rx.receive(&mut batch);
                for slot in batch.live() {
                    let packet = batch.take(slot).unwrap();
                    assert_eq!(packet.frame.head().len(), packet.frame.len());
                    writer.write(packet.meta.time_ns, packet.meta.wire_bytes, &packet.frame).unwrap();
                }
                batch.clear();
            }
            drop(writer);
            let (after, error, _) = read_all(&path);
            assert!(error.is_none());
            assert_eq!(before, after, "{}", golden.name);
            assert_eq!(CaptureReader::open(&path).unwrap().header_link_type(), Some(golden.link));
        }
    }
}

#[test]
fn a_compressed_capture_reads_as_the_plain_one() {
    let Some(folder) = corpus() else { return };
    let out = Folder::new();
    for golden in golden() {
        let bytes = std::fs::read(folder.join(golden.name)).unwrap();
        let plain = read_all(&folder.join(golden.name)).0;
        // In two members, or frames, cut in the middle of anything.
        let (left, right) = bytes.split_at(bytes.len() / 3);
        for packed in [[gzip(left), gzip(right)].concat(), [zstd(left), zstd(right)].concat()] {
            let path = out.file("packed", &packed);
            assert_eq!(read_all(&path).0, plain, "{}", golden.name);
            assert_eq!(link_type_of(&path).unwrap(), golden.link);
            let mut merge = Merge::open(&[&path]).unwrap();
            while merge.next_packet().is_some() {}
            assert_eq!(merge.progress().consumed(), packed.len() as u64, "{}", golden.name);
            assert_eq!(merge.total_bytes(), packed.len() as u64);
        }
    }
}

#[test]
fn all_captures_merge_by_time_and_nothing_is_lost() {
    let Some(folder) = corpus() else { return };
    let golden = golden();
    let paths: Vec<_> = golden.iter().map(|golden| folder.join(golden.name)).collect();
    let mut merge = Merge::open(&paths).unwrap();
    // Cooked captures are among them.
    assert_eq!(merge.link_type(), LinkType::Ethernet);
    let mut packets = Vec::new();
    while let Some(packet) = merge.next_packet() {
        packets.push(Read::from(&packet));
    }
    assert!(merge.errors().is_empty());
    assert_eq!(packets.len(), golden.iter().map(|golden| golden.packets).sum::<usize>());
    let mut again = Vec::new();
    let mut rx = CaptureRx::new(Merge::open(&paths).unwrap()).with_burst(7);
    let mut batch = Batch::new();
    while !rx.finished() {
        rx.receive(&mut batch);
        for slot in batch.live() {
            let packet = batch.take(slot).unwrap();
            again.push(Read {
                time_ns: packet.meta.time_ns,
                wire: packet.meta.wire_bytes,
                bytes: packet.frame.contiguous().to_vec(),
            });
        }
        batch.clear();
    }
    assert!(packets == again, "a queue with another burst gives the same packets");
}
