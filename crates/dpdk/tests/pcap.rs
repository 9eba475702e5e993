//! A capture in and out through `net_pcap`: bytes, lengths, times, segments.

mod common;

use batch::{Burst, Frame, TxQueue as _};
use common::{bytes, contents, read_pcap, receive_all, write_pcap};
use dpdk::{Clock, Pool, PoolConfig, Port, PortConfig, PortError};

#[test]
fn a_capture_goes_through_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let (input, output) = (dir.path().join("in.pcap"), dir.path().join("out.pcap"));
    // The last but one takes two buffers, the last five.
    let lengths = [60, 61, 90, 1514, 64, 2048, 2049, 4000, 9000];
    let packets: Vec<_> = lengths
        .iter()
        .enumerate()
        .map(|(i, &len)| (1_700_000_000 + i as u32, 999_990 + i as u32, bytes(i, len)))
        .collect();
    write_pcap(&input, 1, &packets);

    let eal = common::eal("pcap", &[]);
    let pool = Pool::new(&eal, "rx", &PoolConfig { buffers: 1023, ..PoolConfig::default() }).unwrap();
    let config = PoolConfig { buffers: 63, room: 9216, cache: 0, socket: None };
    let mut large = Pool::new(&eal, "large", &config).unwrap();

    let port = Port::probe(&eal, &format!("net_pcap0,rx_pcap={}", input.display())).unwrap();
    let abilities = port.abilities().unwrap();
    assert_eq!(abilities.driver, "net_pcap");
    assert!(abilities.file_like && abilities.packet_clock && abilities.takes_shared);
    assert!(!abilities.rss_ip && abilities.reta == 0);
    assert!(abilities.to_string().contains("queues               1 RX"), "{abilities}");

    let wanted = PortConfig { rx_queues: 3, ..PortConfig::default() };
    match port.start(&wanted, &pool) {
        Err(PortError::TooFewQueues { kind: "RX", wanted: 3, offered: 1, port }) => {
            assert_eq!(port, "net_pcap0");
        }
        other => panic!("{other:?}"),
    }
    let config = PortConfig { clock: Clock::Packet, ..PortConfig::default() };
    let mut queues = port.start(&config, &pool).unwrap();
    assert!(matches!(port.start(&config, &pool), Err(PortError::InUse { .. })));

    let received = receive_all(&mut queues.rx[0]);
    assert_eq!(received.len(), packets.len());
    for ((time_ns, wire_bytes, frame), (secs, micros, data)) in received.iter().zip(&packets) {
        assert_eq!(*time_ns, u64::from(*secs) * 1_000_000_000 + u64::from(*micros) * 1000);
        assert_eq!(*wire_bytes as usize, data.len());
        assert_eq!(frame.len(), data.len());
        assert_eq!(contents(frame), *data);
        let first = frame.head().len();
        assert_eq!(frame.head(), &data[..first]);
        assert_eq!(first == data.len(), frame.segment_count() == 1);
    }
    let segments: Vec<_> = received.iter().map(|(_, _, frame)| frame.segment_count()).collect();
    assert_eq!(segments, [1, 1, 1, 1, 1, 1, 2, 2, 5]);
    assert_eq!(port.stats().unwrap().rx_packets, packets.len() as u64);
    assert_eq!(pool.in_use(), segments.iter().sum::<usize>());

    // Parts of a segmented frame, also such as begin and end at a border.
    let (_, _, jumbo) = &received[7];
    let data = &packets[7].2;
    for (offset, len) in [(0, 10), (2040, 16), (2048, 5), (2047, 1), (3999, 1), (100, 3900)] {
        let mut out = vec![0; len];
        assert_eq!(jumbo.copy_to(offset, &mut out), len);
        assert_eq!(out, &data[offset..offset + len]);
    }
    assert_eq!(jumbo.copy_to(3990, &mut [0; 20]), 10);
    assert_eq!(jumbo.copy_to(4000, &mut [0; 20]), 0);
    assert_eq!(jumbo.copy_to(70_000, &mut [0; 20]), 0);

    // A shared chain counts its owners in every segment, and cannot be written.
    let mut twin = jumbo.share();
    assert_eq!((jumbo.owners(), twin.owners()), (2, 2));
    assert!(twin.head_mut().is_none());
    assert!(!twin.trim_front(4));
    assert!(!twin.truncate(4) && twin.truncate(4000), "place and length are shared, too");
    let before = pool.in_use();
    // Its own pool's buffers are too small for a copy in one piece.
    let twin = twin.make_private(&mut pool.clone()).unwrap_err();
    assert_eq!(contents(&twin), *data);
    let mut copy = twin.make_private(&mut large).unwrap();
    assert_eq!((copy.segment_count(), copy.owners(), jumbo.owners()), (1, 1, 1));
    assert_eq!(pool.in_use(), before);
    assert_eq!(copy.head(), data);
    copy.head_mut().unwrap()[0] ^= 0xff;
    assert_eq!(contents(jumbo), *data);
    assert!(copy.trim_front(14));
    assert_eq!(copy.head(), &data[14..]);
    assert!(!copy.trim_front(3987) && !copy.truncate(3987));
    assert!(copy.truncate(3900));
    assert_eq!((copy.head(), copy.len()), (&data[14..3914], 3900));
    assert!(copy.trim_front(3900) && copy.is_empty());

    // A frame that is ours and whole stays where it is; trimming the first of several segments.
    let mut received = received.into_iter().map(|(_, _, frame)| frame);
    let mut sent = Burst::new();
    let first = received.next().unwrap();
    let at = first.head().as_ptr();
    let first = first.make_private(&mut large).unwrap();
    assert_eq!(first.head().as_ptr(), at);
    sent.push(first);
    sent.extend(received);
    let longest = sent.last_mut().unwrap();
    assert!(!longest.truncate(10), "it has several segments");
    assert!(longest.trim_front(100));
    assert_eq!(contents(longest), packets[8].2[100..]);

    let writer = Port::probe(&eal, &format!("net_pcap1,tx_pcap={}", output.display())).unwrap();
    let mut tx = writer.start(&PortConfig { rx_queues: 0, ..PortConfig::default() }, &pool).unwrap();
    let tx = &mut tx.tx[0];
    for frame in &sent {
        assert_eq!(tx.fits(frame), Ok(()));
    }
    assert_eq!(tx.send(&mut sent), packets.len());
    assert!(sent.is_empty());
    assert_eq!(writer.stats().unwrap().tx_packets, packets.len() as u64);

    assert_eq!(pool.in_use(), 0);
    assert_eq!(pool.available(), pool.size());
    drop(copy);
    drop(large);
    drop(queues);
    let _ = (port, writer);
    drop(pool);
    drop(eal);

    let mut expected: Vec<_> = packets.into_iter().map(|(_, _, data)| data).collect();
    expected[8].drain(..100);
    assert_eq!(read_pcap(&output), expected);
}
