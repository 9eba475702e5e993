//! HOSTILE 91: files that are cut, lie, or are no captures at all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use batch::{Batch, Frame, RxQueue};
use common::{BIG, Folder, LITTLE, MICRO, NANO, ORDERS, gzip, read, read_all, zstd};
use proptest::prelude::*;
use replay::{
    CaptureError, CaptureReader, CaptureRx, CaptureWriter, Finite, HeapFrame, Merge, Warning, check_ethernet,
    link_type_of,
};
use types::LinkType;

fn two_packets() -> Vec<u8> {
    LITTLE.pcap(MICRO, 1, &[(1, 2, 60, b"first"), (3, 4, 6, b"second")])
}

fn open_error(bytes: &[u8]) -> CaptureError {
    CaptureReader::open(Folder::new().file("x", bytes)).unwrap_err()
}

#[test]
fn h91_captured_more_than_was_on_the_wire() {
    let file = Folder::new();
    let path = file.file("x", &LITTLE.pcap(MICRO, 1, &[(1, 0, 2, b"bytes")]));
    let (packets, error, warnings) = read_all(&path);
    assert_eq!(packets, [read(1_000_000_000, 5, b"bytes")]);
    assert!(error.is_none() && warnings.is_empty());
}

#[test]
fn h91_nothing_captured_is_a_packet_too() {
    let file = Folder::new();
    let path = file.file("x", &LITTLE.pcap(MICRO, 1, &[(1, 0, 99, b""), (2, 0, 3, b"abc")]));
    assert_eq!(read_all(&path).0, [read(1_000_000_000, 99, b""), read(2_000_000_000, 3, b"abc")]);
}

#[test]
fn h91_a_record_of_two_gigabytes_ends_the_file_with_its_place() {
    for order in ORDERS {
        for length in [262_145, 1 << 31, u32::MAX] {
            let mut bytes = order.pcap(MICRO, 1, &[(1, 2, 5, b"first")]);
            let at = bytes.len() as u64;
            for word in [1, 1, length, length] {
                bytes.extend(order.u32(word));
            }
            bytes.extend([0; 100]);
            let file = Folder::new();
            let (packets, error, _) = read_all(&file.file("x", &bytes));
            assert_eq!(packets.len(), 1);
            let Some(CaptureError::RecordTooLong { offset, length: found, .. }) = error else {
                panic!("{error:?}")
            };
            assert_eq!((offset, found), (at, length));
        }
    }
}

#[test]
fn a_record_too_long_that_is_there_is_refused_too() {
    let long = vec![7; 262_145];
    let file = Folder::new();
    let (packets, error, _) =
        read_all(&file.file("x", &LITTLE.pcap(MICRO, 1, &[(1, 2, 5, b"first"), (1, 2, 9, &long)])));
    assert_eq!(packets.len(), 1);
    assert!(matches!(error, Some(CaptureError::RecordTooLong { length: 262_145, .. })));
}

#[test]
fn h91_snap_length_cuts_the_packet_and_not_its_length() {
    let file = Folder::new();
    let path = file.file("x", &LITTLE.pcap(MICRO, 1, &[(1, 0, 1500, &[7; 20])]));
    assert_eq!(read_all(&path).0, [read(1_000_000_000, 1500, &[7; 20])]);
}

#[test]
fn h91_unknown_link_type() {
    let error = open_error(&LITTLE.pcap_header(MICRO, 147));
    assert!(matches!(error, CaptureError::LinkTypeUnknown { number: 147, offset: 20, .. }));
    assert!(error.to_string().contains("link type 147"), "{error}");
}

#[test]
fn h91_all_magics() {
    for (magic, ns) in [(MICRO, 2_000), (NANO, 2), (0xa1b2_cd34, 2_000)] {
        for order in ORDERS {
            // The patched format was never written in the other order that the library knows.
            if magic == 0xa1b2_cd34 && order.big {
                continue;
            }
            let file = Folder::new();
            let path =
                file.file("x", &order.pcap(magic, 1, &[(1, 2, 60, b"first"), (u32::MAX, 4, 6, b"second")]));
            let (packets, error, warnings) = read_all(&path);
            assert!(error.is_none() && warnings.is_empty());
            let late = u64::from(u32::MAX) * 1_000_000_000 + 2 * ns;
            assert_eq!(
                packets,
                [read(1_000_000_000 + ns, 60, b"first"), read(late, 6, b"second")],
                "{magic:x}"
            );
        }
    }
}

#[test]
fn h91_every_truncation_gives_the_packets_before_it_and_says_so() {
    let whole = two_packets();
    let (first_end, end) = (24 + 16 + 5, whole.len());
    for len in 0..end {
        let file = Folder::new();
        let (packets, error, warnings) = read_all(&file.file("x", &whole[..len]));
        match len {
            0 => assert!(matches!(error, Some(CaptureError::Empty { .. }))),
            1..4 => assert!(matches!(error, Some(CaptureError::NotACapture { .. }))),
            4..24 => assert!(
                matches!(error, Some(CaptureError::CutHeader { offset, .. }) if offset == len as u64),
                "{len}: {error:?}"
            ),
            24 => assert!(error.is_none() && matches!(warnings[..], [Warning::NoPackets { .. }])),
            _ => {
                let before = usize::from(len >= first_end);
                assert_eq!(packets.len(), before, "{len}");
                assert!(error.is_none());
                if len == first_end {
                    assert!(warnings.is_empty());
                    continue;
                }
                let start = if before == 1 { first_end } else { 24 };
                let [Warning::Truncated { offset, present, .. }] = warnings[..] else {
                    panic!("{warnings:?}")
                };
                assert_eq!((offset, present), (start as u64, (len - start) as u64));
            }
        }
    }
}

#[test]
fn a_cut_record_says_how_much_of_it_is_there() {
    let bytes = two_packets();
    let file = Folder::new();
    let path = file.file("cut.pcap", &bytes[..bytes.len() - 2]);
    let (_, _, warnings) = read_all(&path);
    let text = warnings[0].to_string();
    assert!(text.ends_with("cut.pcap: the last record, at byte 45, is cut: 20 of 22 bytes are there; all packets before it were read"), "{text}");
}

#[test]
fn h91_not_a_capture() {
    for bytes in [&b"hello, this is a text file, no capture"[..], &[0; 100], &[0xff; 24]] {
        let error = open_error(bytes);
        assert!(matches!(error, CaptureError::NotACapture { .. }), "{error:?}");
    }
    let text = open_error(b"hello, this is a text").to_string();
    assert!(text.contains("begins with 68656c6c6f2c2074"), "{text}");
}

#[test]
fn a_missing_file_and_a_folder() {
    let file = Folder::new();
    let missing = CaptureReader::open(file.path("nothing.pcap")).unwrap_err().to_string();
    assert!(missing.contains("nothing.pcap: cannot open") && missing.contains("check the path"), "{missing}");
    let folder = CaptureReader::open(file.path("")).unwrap_err().to_string();
    assert!(folder.contains("name the captures in it"), "{folder}");
}

#[test]
fn a_damaged_compressed_file_is_an_error_and_a_cut_one_a_warning() {
    let plain = LITTLE.pcap(MICRO, 1, &vec![(1, 2, 60, &b"packet of a long capture"[..]); 40_000]);
    for (packed, name) in [(gzip(&plain), "gzip"), (zstd(&plain), "zstd")] {
        let file = Folder::new();
        let (packets, error, warnings) = read_all(&file.file("x", &packed[..packed.len() - 5]));
        assert!(error.is_none(), "{error:?}");
        assert!(packets.len() > 10_000);
        assert!(matches!(warnings[..], [Warning::CompressionCut { .. }]), "{name}: {warnings:?}");
        let mut damaged = packed.clone();
        let at = damaged.len() - 6;
        damaged.splice(at.., [0xff; 6]);
        damaged.extend(b"garbage garbage");
        let (_, error, _) = read_all(&file.file("y", &damaged));
        assert!(matches!(error, Some(CaptureError::Compression { .. })), "{name}: {error:?}");
    }
    assert!(matches!(open_error(&gzip(b"")), CaptureError::Empty { .. }));
    assert!(matches!(open_error(&zstd(b"text, not a capture")), CaptureError::NotACapture { .. }));
}

#[test]
fn h91_pcapng_of_all_kinds() {
    for order in ORDERS {
        let mut bytes = order.section();
        // Nanoseconds, and an offset of 100 seconds.
        let offset = if order.big { 100_i64.to_be_bytes() } else { 100_i64.to_le_bytes() };
        bytes.extend(order.interface(1, 4, &[(2, b"eth0"), (9, &[9]), (14, &offset)]));
        bytes.extend(order.interface(1, 0, &[]));
        // Powers of two.
        bytes.extend(order.interface(1, 0, &[(9, &[0x80 | 10])]));
        // Picoseconds.
        bytes.extend(order.interface(1, 0, &[(9, &[12])]));
        bytes.extend(order.enhanced(0, 5, 60, b"enhanced"));
        bytes.extend(order.enhanced(1, 7, 8, b"micro"));
        bytes.extend(order.enhanced(2, 1536, 8, b"binary"));
        bytes.extend(order.enhanced(3, 7_999, 8, b"pico"));
        // Of interface 0, cut at its snap length of 4; it has the time of the packet before.
        bytes.extend(order.block(3, &[&order.u32(9)[..], b"simp"].concat()));
        // Name resolution, and one that nobody knows, longer than a chunk.
        bytes.extend(order.block(4, &[0; 8]));
        bytes.extend(order.block(0x0bad_cafe, &vec![9; 2_000_000]));
        let mut obsolete = [order.u16(1), order.u16(3)].concat();
        for word in [0, 11, 3, 1500] {
            obsolete.extend(order.u32(word));
        }
        obsolete.extend(b"old");
        bytes.extend(order.block(2, &obsolete));
        // A second section, in the other byte order, with interfaces of its own.
        let other = if order.big { LITTLE } else { BIG };
        bytes.extend(other.section());
        bytes.extend(other.interface(1, 0, &[(9, &[0])]));
        bytes.extend(other.enhanced(0, 3, 3, b"end"));
        let file = Folder::new();
        let path = file.file("x", &bytes);
        let (packets, error, warnings) = read_all(&path);
        assert!(error.is_none() && warnings.is_empty(), "{error:?} {warnings:?}");
        let expected = [
            read(100_000_000_005, 60, b"enhanced"),
            read(7_000, 8, b"micro"),
            read(1_500_000_000, 8, b"binary"),
            read(7, 8, b"pico"),
            read(7, 9, b"simp"),
            read(11_000, 1500, b"old"),
            read(3_000_000_000, 3, b"end"),
        ];
        assert_eq!(packets, expected);
        assert_eq!(link_type_of(&path).unwrap(), LinkType::Ethernet);
        // The places where a file may end.
        let (mut ends, mut at, mut now) = (Vec::new(), 0, order);
        while at < bytes.len() {
            if at > 0 && bytes[at..].starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]) {
                now = other;
            }
            let length: [u8; 4] = bytes[at + 4..at + 8].try_into().unwrap();
            at += if now.big { u32::from_be_bytes(length) } else { u32::from_le_bytes(length) } as usize;
            ends.push(at);
        }
        // Without a packet it is said, too.
        ends.drain(..5);
        // Cut anywhere: no panic, a part of the same packets, and it is said.
        for len in (24..600).step_by(3).chain((bytes.len() - 250..bytes.len()).step_by(9)) {
            let (part, error, warnings) = read_all(&file.file("cut", &bytes[..len]));
            assert!(expected.starts_with(&part), "{len}");
            assert_eq!(error.is_some() || !warnings.is_empty(), !ends.contains(&len), "{len}");
        }
    }
}

#[test]
fn damaged_pcapng_blocks_are_named() {
    let start = |interface: &[u8]| [&LITTLE.section()[..], interface].concat();
    let ethernet = LITTLE.interface(1, 0, &[]);
    let good = LITTLE.enhanced(0, 1, 3, b"abc");
    let mut trailer = good.clone();
    *trailer.last_mut().unwrap() = 1;
    let mut length = good.clone();
    length[4] += 1;
    let mut long = good.clone();
    long[4..8].copy_from_slice(&0x7fff_fff0_u32.to_le_bytes());
    let mut captured = good.clone();
    captured[20..24].copy_from_slice(&100_u32.to_le_bytes());
    let cases = [
        (trailer, "two lengths differ"),
        (length, "not a multiple of 4"),
        (long, "longer than any packet"),
        (captured, "packet is longer than the block"),
        (LITTLE.enhanced(7, 1, 3, b"abc"), "interface that was not described"),
        (LITTLE.block(6, &[0; 8]), "without its fixed fields"),
        (LITTLE.block(1, &[0; 4]), "fewer than 8 bytes"),
    ];
    for (bad, words) in cases {
        let at = start(&ethernet).len() + good.len();
        let file = Folder::new();
        let bytes = [start(&ethernet), good.clone(), bad, vec![0; 400_000]].concat();
        let (packets, error, _) = read_all(&file.file("x", &bytes));
        assert_eq!(packets.len(), 1, "{words}");
        let Some(CaptureError::Block { offset, what, .. }) = error else { panic!("{words}: {error:?}") };
        assert!(what.contains(words), "{what}");
        assert_eq!(offset, at as u64);
    }
    // An interface of an unknown link type is trouble only once it has a packet.
    let file = Folder::new();
    let odd = LITTLE.interface(147, 0, &[]);
    let path = file.file("unused", &[start(&odd), ethernet.clone(), LITTLE.enhanced(1, 1, 1, b"a")].concat());
    assert_eq!(read_all(&path).0.len(), 1);
    assert_eq!(link_type_of(&path).unwrap(), LinkType::Ethernet);
    let used = file.file("used", &[start(&odd), LITTLE.enhanced(0, 1, 1, b"a")].concat());
    assert!(matches!(Merge::open(&[used]).unwrap_err(), CaptureError::LinkTypeUnknown { number: 147, .. }));
}

#[test]
fn a_damaged_file_does_not_end_the_others() {
    let file = Folder::new();
    let mut bad = LITTLE.pcap(MICRO, 1, &[(1, 0, 1, b"a")]);
    bad.extend([0xff; 40]);
    let paths = [
        file.file("bad", &bad),
        file.file("good", &LITTLE.pcap(MICRO, 1, &[(0, 0, 1, b"b"), (9, 0, 1, b"c")])),
    ];
    let mut rx = CaptureRx::new(Merge::open(&paths).unwrap());
    let mut batch = Batch::new();
    let mut bytes = Vec::new();
    while !rx.finished() {
        rx.receive(&mut batch);
        bytes.extend(batch.live().map(|slot| batch.head(slot)[0]));
        batch.clear();
    }
    assert_eq!(bytes, b"bac");
    assert_eq!(rx.errors().len(), 1);
    assert_eq!(rx.receive(&mut batch), 0, "the end is the end");
}

#[test]
fn only_plain_ethernet_fits_a_driver_that_ignores_link_types() {
    let file = Folder::new();
    let ethernet = two_packets();
    assert!(check_ethernet(file.file("a", &ethernet)).is_ok());
    let packed = check_ethernet(file.file("b", &gzip(&ethernet))).unwrap_err();
    assert!(matches!(packed, CaptureError::Compressed { test: "gzip", .. }));
    let cooked = check_ethernet(file.file("c", &LITTLE.pcap(MICRO, 113, &[]))).unwrap_err();
    assert!(matches!(cooked, CaptureError::NotEthernet { found: LinkType::LinuxSll, .. }));
}

#[test]
fn a_full_disk_is_an_error_that_stays_and_says_what_to_do() {
    let full = std::path::Path::new("/dev/full");
    if !full.exists() {
        println!("skipped: no /dev/full");
        return;
    }
    let error = CaptureWriter::create(full, LinkType::Ethernet).unwrap_err();
    assert_eq!(error.kind, std::io::ErrorKind::StorageFull);
    let text = error.to_string();
    assert!(text.starts_with("/dev/full: cannot write: no space left on device; free some space"), "{text}");
    let error = CaptureWriter::create("/nonexistent/x.pcap", LinkType::Ethernet).unwrap_err().to_string();
    assert!(error.contains("cannot create") && error.contains("create the directory first"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Any bytes behind a good header, and any change to a good file: packets, then an end.
    #[test]
    fn anything_is_read_to_some_end(
        ng in any::<bool>(),
        big in any::<bool>(),
        junk in proptest::collection::vec(any::<u8>(), 0..600),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let order = common::Order { big };
        let mut bytes = if ng {
            [order.section(), order.interface(113, 0, &[]), order.enhanced(0, 1, 20, &[7; 20])].concat()
        } else {
            order.pcap(MICRO, 101, &[(1, 2, 3, b"abc")])
        };
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.extend(junk);
        let file = Folder::new();
        let path = file.file("x", &bytes);
        let (packets, _, _) = read_all(&path);
        prop_assert!(packets.iter().all(|packet| packet.wire as usize >= packet.bytes.len()));
        // As Ethernet: the same number of packets, none shorter than its header.
        if let Ok(mut merge) = Merge::open_as_ethernet(&[&path]) {
            let mut n = 0;
            while let Some(packet) = merge.next_packet() {
                n += 1;
                prop_assert!(packet.link == LinkType::Ethernet);
                prop_assert!(packet.frame.len() >= 14 || !matches!(bytes[20..24], [101, ..]));
            }
            prop_assert_eq!(n, packets.len());
        }
    }

    /// What is written is what is read, whatever the sizes and segments.
    #[test]
    fn written_is_read(
        packets in proptest::collection::vec((any::<u32>(), 0_u32..1_000_000_000, any::<u32>(), proptest::collection::vec(any::<u8>(), 0..3000)), 0..40),
        seed in any::<u64>(),
        link in prop::sample::select(vec![LinkType::Ethernet, LinkType::RawIp, LinkType::RawIpv4, LinkType::RawIpv6, LinkType::Null, LinkType::Loop, LinkType::LinuxSll, LinkType::LinuxSll2]),
    ) {
        let file = Folder::new();
        let path = file.path("x");
        let mut writer = CaptureWriter::create(&path, link).unwrap();
        let mut expected = Vec::new();
        for (seconds, ns, wire, bytes) in &packets {
            let time_ns = u64::from(*seconds) * 1_000_000_000 + u64::from(*ns);
            let frame = HeapFrame::from_vec(bytes.clone()).cut(seed ^ time_ns);
            let whole: Vec<u8> = frame.segments().flatten().copied().collect();
            prop_assert_eq!(&whole, bytes);
            writer.write(time_ns, *wire, &frame).unwrap();
            expected.push(read(time_ns, (*wire).max(bytes.len() as u32), bytes));
        }
        writer.flush().unwrap();
        prop_assert_eq!(writer.records(), packets.len() as u64);
        let (found, error, _) = read_all(&path);
        prop_assert!(error.is_none());
        prop_assert_eq!(found, expected);
        prop_assert_eq!(link_type_of(&path).unwrap(), link);
    }
}

#[test]
fn a_time_after_2106_is_the_last_one_a_pcap_can_hold() {
    let file = Folder::new();
    let path = file.path("x");
    let mut writer = CaptureWriter::create(&path, LinkType::Ethernet).unwrap();
    writer.write((1 << 32) * 1_000_000_000, 1, &HeapFrame::from_vec(vec![1])).unwrap();
    writer.write(u64::MAX, 1, &HeapFrame::from_vec(vec![2])).unwrap();
    assert_eq!(writer.late_times(), 2);
    drop(writer);
    let last = u64::from(u32::MAX) * 1_000_000_000 + 999_999_999;
    assert_eq!(read_all(&path).0, [read(last, 1, &[1]), read(last, 1, &[2])]);
}
