//! Tunnelled taps through the whole pipeline, judged by offsets that were read with tshark.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::net::Ipv4Addr;

use balance::Mode;
use common::{Delivered, Outcome, Packets, plan, to_files};
use replay::{CaptureRx, HeapFrame, Impaired, Impairments, MemoryRx, Merge};
use testkit::{Gtpu, Ipv4, Packet, corpus, fragment};
use types::{Malformed, TrafficClass};
use wire::Decap;

const ALL: Decap = Decap { vxlan: true, gre: true, erspan: true };

/// All packets of a capture; `None` where there are no captures.
fn capture(name: &str) -> Option<Packets> {
    let path = corpus()?.join(name);
    let mut rx = CaptureRx::new(Merge::open(&[path]).unwrap());
    let (mut batch, mut packets) = (batch::Batch::<HeapFrame>::new(), Vec::new());
    while !replay::Finite::finished(&rx) {
        batch::RxQueue::receive(&mut rx, &mut batch);
        let read = batch
            .live()
            .filter_map(|slot| batch.take(slot).map(|packet| (packet.meta.time_ns, packet.frame)));
        packets
            .extend(read.map(|(time_ns, frame)| (time_ns, frame.contiguous().to_vec())).collect::<Vec<_>>());
        batch.clear();
    }
    Some(packets)
}

/// Unpacks whole frames, and frames in segments: the same.
fn unpack(packets: &Packets, decap: Decap) -> Outcome {
    let one = |workers| {
        let whole = to_files(&plan(1, Mode::Session), MemoryRx::new(packets.clone()), workers, decap);
        for seed in 0..5 {
            let how = Impairments { seed, segmented: true, ..Impairments::default() };
            let queue = Impaired::new(MemoryRx::new(packets.clone()), how);
            assert!(to_files(&plan(1, Mode::Session), queue, workers, decap) == whole, "in segments");
        }
        whole
    };
    let outcome = one(1);
    assert!(one(2) == outcome);
    assert_eq!(outcome.accounts.delivered, packets.len() as u64, "{:?}", outcome.accounts);
    outcome
}

fn delivered(outcome: &Outcome) -> Vec<&[u8]> {
    outcome.probes[0].iter().map(|packet| packet.bytes.as_slice()).collect()
}

#[test]
fn what_was_in_the_tunnel_is_delivered() {
    let vxlan = Decap { vxlan: true, ..Decap::default() };
    let erspan = Decap { erspan: true, ..Decap::default() };
    for (name, decap, inner) in [
        // Ethernet, IPv4, UDP, VXLAN.
        ("PcapPlusPlus__Vxlan1.pcap", vxlan, 50),
        ("zeek__vxlan.pcap", vxlan, 50),
        ("zeek__vxlan-encapsulated-http.pcap", vxlan, 50),
        // With an 802.1Q tag outside.
        ("nDPI__vxlan.pcap", vxlan, 54),
        // Ethernet, IPv4, GRE with a sequence number, ERSPAN type II.
        ("zeek__erspanII.pcap", erspan, 50),
    ] {
        let Some(packets) = capture(name) else {
            println!("skipped: no captures");
            return;
        };
        for decap in [decap, ALL] {
            let outcome = unpack(&packets, decap);
            let inside: Vec<_> = packets.iter().map(|(_, bytes)| &bytes[inner..]).collect();
            assert!(delivered(&outcome) == inside, "{name}");
            assert!(outcome.accounts.malformed.is_empty(), "{name}: {:?}", outcome.accounts.malformed);
            for ((time_ns, bytes), packet) in packets.iter().zip(&outcome.probes[0]) {
                let Delivered { time_ns: time, wire_bytes, .. } = *packet;
                assert_eq!((time, wire_bytes as usize), (*time_ns, bytes.len() - inner), "{name}");
            }
        }
        // Not asked for, it stays as it is.
        let kept = unpack(&packets, Decap { gre: true, ..Decap::default() });
        assert!(
            delivered(&kept) == packets.iter().map(|(_, bytes)| bytes.as_slice()).collect::<Vec<_>>(),
            "{name}"
        );
    }
}

#[test]
fn what_has_no_link_layer_in_the_tunnel_gets_the_outer_one() {
    let Some(packets) = capture("zeek__gre-sample.pcap") else {
        println!("skipped: no captures");
        return;
    };
    let outcome = unpack(&packets, Decap { gre: true, ..Decap::default() });
    // Ethernet, IPv4, GRE without options; IPv4 is inside.
    let inside: Vec<_> =
        packets.iter().map(|(_, bytes)| [&bytes[..12], &[0x08, 0x00], &bytes[38..]].concat()).collect();
    assert!(delivered(&outcome) == inside.iter().map(Vec::as_slice).collect::<Vec<_>>());
}

#[test]
fn fragments_of_a_tunnelled_packet_go_on_as_they_are() {
    let Some(packets) = capture("PcapFlowLab__24_vxlan_outer_ipv4_fragmentation.pcap") else {
        println!("skipped: no captures");
        return;
    };
    let outcome = unpack(&packets, ALL);
    let fragments = outcome.accounts.malformed.iter().find(|(reason, _)| *reason == Malformed::DecapFragment);
    assert_eq!(fragments.map(|(_, count)| *count), Some(1), "{:?}", outcome.accounts.malformed);
    assert!(delivered(&outcome) == packets.iter().map(|(_, bytes)| bytes.as_slice()).collect::<Vec<_>>());
}

const A: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const B: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);

/// A T-PDU on Ethernet.
fn t_pdu() -> Vec<u8> {
    let mut bytes = Vec::new();
    Packet::new(&mut bytes)
        .ethernet([2; 6], [4; 6])
        .ipv4(&Ipv4::new(A, B))
        .udp(2152, 2152)
        .gtpu(&Gtpu::t_pdu(7))
        .ipv4(&Ipv4::new(B, A))
        .udp(53, 40_000)
        .payload(b"answer")
        .finish();
    bytes
}

fn in_vxlan(inner: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Packet::new(&mut bytes)
        .ethernet([6; 6], [8; 6])
        .ipv4(&Ipv4::new(B, A))
        .udp(50_000, 4789)
        .vxlan(42)
        .payload(inner)
        .finish();
    bytes
}

#[test]
fn what_stands_behind_the_tunnel_goes_with_it() {
    let inner = t_pdu();
    let mut padded = in_vxlan(&inner);
    padded.extend([0xcc; 11]);
    let outcome = unpack(&vec![(1, padded)], ALL);
    let [packet] = outcome.probes[0].as_slice() else { panic!("one packet") };
    assert_eq!(packet.bytes, inner, "padding of the outer frame is not the inner frame's");
    assert_eq!(packet.wire_bytes as usize, inner.len());
    assert_eq!(packet.class, TrafficClass::GtpU, "what was inside is what is classified");
}

#[test]
fn a_fragmented_tunnel_is_counted_and_delivered_as_it_is() {
    let whole = in_vxlan(&t_pdu());
    let mut packets = Packets::new();
    let count = fragment(&whole, 14, 64, 0, &mut Vec::new(), |piece| packets.push((1, piece.to_vec())));
    assert!(count > 1);
    let outcome = unpack(&packets, ALL);
    assert_eq!(outcome.accounts.malformed, [(Malformed::DecapFragment, 1)]);
    assert!(delivered(&outcome) == packets.iter().map(|(_, bytes)| bytes.as_slice()).collect::<Vec<_>>());
}

#[test]
fn without_a_buffer_the_packet_is_dropped_by_that_name() {
    let mut bytes = Vec::new();
    Packet::new(&mut bytes)
        .ethernet([6; 6], [8; 6])
        .ipv4(&Ipv4::new(B, A))
        .gre()
        .ipv4(&Ipv4::new(A, B))
        .finish();
    let plan = plan(1, Mode::Session);
    let targets = vec![vec![pipeline::Target::Writer]];
    let sinks = vec![Some(common::Keep(common::Shelf::default()))];
    let none = replay::HeapPool::new(0);
    let queue = common::source(MemoryRx::new([(1, bytes), (2, in_vxlan(&t_pdu()))]), ALL);
    let mut wiring: pipeline::Wiring<_, batch::NoPort<HeapFrame>, _> =
        pipeline::wire_up(&plan, queue, targets, sinks, || none.clone()).unwrap();
    common::finish(&mut wiring);
    let accounts = common::close(&wiring);
    // The other one needs no buffer: nothing of it has to be written.
    assert_eq!((accounts.delivered, accounts.dropped), (1, vec![(types::DropReason::PoolEmpty, 1)]));
}
