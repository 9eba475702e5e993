//! What the tests share. DPDK starts once in a process, so each file here is one test.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise, its helpers too"
)]
#![allow(dead_code, reason = "no test uses all of it")]

use std::path::Path;

use batch::{Batch, Frame, RxQueue as _};
use dpdk::{Eal, Mbuf, RxQueue};

/// Starts DPDK on ordinary memory: no hugepages, no devices, no right that a user lacks.
pub(crate) fn eal(test: &str, more: &[&str]) -> Eal {
    // Without shared configuration nothing is locked or left behind but an empty directory.
    let prefix = format!("--file-prefix=snipe-test-{test}");
    let base = ["--no-huge", "-m", "128", "--no-pci", "--no-telemetry", "--no-shconf", &prefix];
    Eal::init(base.iter().chain(more).copied()).expect("EAL starts")
}

/// A frame that differs from every other and at every byte.
pub(crate) fn bytes(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at.wrapping_mul(131) ^ (at >> 8) ^ seed.wrapping_mul(89)) as u8).collect()
}

/// A capture file by hand: little-endian, microseconds.
pub(crate) fn write_pcap(path: &Path, link: u32, packets: &[(u32, u32, Vec<u8>)]) {
    let mut file = Vec::new();
    file.extend(0xa1b2_c3d4_u32.to_le_bytes());
    file.extend([2, 0, 4, 0]);
    file.extend([0; 8]);
    file.extend(65_535_u32.to_le_bytes());
    file.extend(link.to_le_bytes());
    for (secs, micros, data) in packets {
        let len = data.len() as u32;
        for word in [*secs, *micros, len, len] {
            file.extend(word.to_le_bytes());
        }
        file.extend(data);
    }
    std::fs::write(path, file).expect("a file is written");
}

/// The packets of a capture file in little-endian order.
pub(crate) fn read_pcap(path: &Path) -> Vec<Vec<u8>> {
    let file = std::fs::read(path).expect("the file is there");
    let mut rest = &file[24..];
    let mut packets = Vec::new();
    while !rest.is_empty() {
        let len = u32::from_le_bytes(rest[8..12].try_into().expect("4 bytes")) as usize;
        packets.push(rest[16..16 + len].to_vec());
        rest = &rest[16 + len..];
    }
    packets
}

/// A packet as it was received: time, length on the wire, frame.
pub(crate) type Received = (u64, u32, Mbuf);

/// Everything that a queue has to give.
pub(crate) fn receive_all(rx: &mut RxQueue) -> Vec<Received> {
    let mut batch = Batch::new();
    let mut all = Vec::new();
    while rx.receive(&mut batch) > 0 {
        for slot in batch.live() {
            let packet = batch.take(slot).expect("it is live");
            all.push((packet.meta.time_ns, packet.meta.wire_bytes, packet.frame));
        }
        batch.clear();
    }
    all
}

/// All bytes of a frame.
pub(crate) fn contents(frame: &Mbuf) -> Vec<u8> {
    let mut out = vec![0; frame.len()];
    assert_eq!(frame.copy_to(0, &mut out), out.len());
    out
}
