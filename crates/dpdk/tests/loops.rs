//! Frames in circles: `net_ring`, `net_null`, shared frames, and the pool's account at the end.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise, its helpers too"
)]

mod common;

use batch::{Batch, Burst, Frame, FramePool, RxQueue as _, TxQueue as _};
use common::{bytes, contents, receive_all};
use dpdk::{Clock, Mbuf, Pool, PoolConfig, Port, PortConfig, PortError, Receiver, Ring, Sender};

#[test]
fn frames_come_back_to_their_pool() {
    let eal = common::eal("loops", &[]);
    let config = PoolConfig { buffers: 511, cache: 0, ..PoolConfig::default() };
    let mut pool = Pool::new(&eal, "pool", &config).unwrap();
    assert_eq!((pool.size(), pool.in_use(), pool.available()), (511, 0, 511));

    through_a_ring_port(&eal, &mut pool);
    through_a_null_port(&eal, &mut pool);
    shared(&mut pool);
    emptied(&mut pool);
    through_a_ring(&eal, &mut pool);
    boxes(&eal);

    // The handle that made frames holds some in reserve; another one shows that nothing else is out.
    let other = pool.clone();
    drop(pool);
    assert_eq!(other.in_use(), 0);
}

fn through_a_ring_port(eal: &dpdk::Eal, pool: &mut Pool) {
    let port = Port::probe(eal, "net_ring0").unwrap();
    let packet_clock = PortConfig { clock: Clock::Packet, ..PortConfig::default() };
    match port.start(&packet_clock, pool) {
        Err(PortError::NoPacketClock { port, driver }) => {
            assert_eq!((&*port, &*driver), ("net_ring0", "net_ring"));
        }
        other => panic!("{other:?}"),
    }
    let config = PortConfig { clock: Clock::Given, mtu: Some(9000), ..PortConfig::default() };
    let mut queues = port.start(&config, pool).unwrap();
    let (rx, tx) = (&mut queues.rx[0], &mut queues.tx[0]);
    assert!(!tx.takes_shared(), "the reader gets the very same mbuf");
    for round in 0..20_u64 {
        let mut burst: Burst<Mbuf> = (0..40).map(|i| pool.frame(&bytes(i, 60 + i)).unwrap()).collect();
        assert_eq!(tx.send(&mut burst), 40);
        rx.set_now(round);
        // A batch that has little room left takes no more than that.
        let mut batch = Batch::new();
        for _ in 0..61 {
            batch.push_received(pool.frame(&[0; 60]).unwrap(), 0, 60).unwrap();
        }
        assert_eq!((rx.receive(&mut batch), batch.room()), (3, 0));
        assert_eq!(rx.receive(&mut batch), 0);
        let last = batch.live().last().unwrap();
        assert_eq!(batch.head(last), bytes(2, 62));
        assert_eq!(batch.time_ns.get(last), round);
        let received = receive_all(rx);
        assert_eq!(received.len(), 37);
        for (i, (time, wire, frame)) in received.iter().enumerate() {
            assert_eq!((*time, *wire as usize), (round, 63 + i));
            assert_eq!(contents(frame), bytes(i + 3, 63 + i));
        }
    }
}

fn through_a_null_port(eal: &dpdk::Eal, pool: &mut Pool) {
    let port = Port::probe(eal, "net_null0,size=90").unwrap();
    assert!(matches!(Port::probe(eal, "net_null0,size=90"), Err(PortError::InUse { .. })));
    let mut queues = port.start(&PortConfig::default(), pool).unwrap();
    let (mut batch, mut burst) = (Batch::new(), Burst::new());
    for _ in 0..100 {
        let got = queues.rx[0].receive(&mut batch);
        assert!(got > 0);
        for slot in batch.live() {
            let packet = batch.take(slot).unwrap();
            assert_eq!((packet.frame.len(), packet.meta.wire_bytes), (90, 90));
            // After 2023, by the machine's clock.
            assert!(packet.meta.time_ns > 1_700_000_000_000_000_000);
            burst.push(packet.frame);
        }
        batch.clear();
        assert_eq!(queues.tx[0].send(&mut burst), got);
    }
}

fn shared(pool: &mut Pool) {
    let data = bytes(7, 500);
    let frame = pool.frame(&data).unwrap();
    let mut copies: Vec<_> = (0..63).map(|_| frame.share()).collect();
    assert_eq!(frame.owners(), 64);
    let other = copies.pop().unwrap();
    // Owners on another thread give theirs up while this one takes more.
    let thread = std::thread::spawn(move || copies.into_iter().for_each(drop));
    let more: Vec<_> = (0..1000).map(|_| frame.share()).collect();
    pool.free(more.into_iter());
    thread.join().unwrap();
    assert_eq!(frame.owners(), 2);

    let mut private = other.make_private(pool).unwrap();
    assert_eq!((frame.owners(), private.owners()), (1, 1));
    private.head_mut().unwrap().fill(0);
    assert_eq!(frame.head(), data);
    assert_eq!(private.head(), [0; 500]);
    assert!(private.truncate(64) && !private.truncate(65));
    assert_eq!((private.len(), private.head().len()), (64, 64));
    let shared = private.share();
    assert!(!private.truncate(10));
    assert_eq!(shared.head(), [0; 64]);
}

fn emptied(pool: &mut Pool) {
    assert!(pool.frame(&[0; 2048 + 128]).is_some(), "it may use the headroom");
    assert!(pool.frame(&[0; 2048 + 129]).is_none());
    let mut frames = Vec::new();
    while let Some(frame) = pool.frame(&[1; 60]) {
        frames.push(frame);
    }
    assert_eq!((frames.len(), pool.available()), (511, 0));
    let shared = frames[0].share();
    let shared = shared.make_private(pool).unwrap_err();
    assert_eq!(shared.owners(), 2);
    pool.free(frames.into_iter());
    assert_eq!(pool.in_use(), 1);
    assert_eq!(shared.head(), [1; 60]);
}

fn through_a_ring(eal: &dpdk::Eal, pool: &mut Pool) {
    let (mut sender, mut receiver): (Sender<Mbuf>, Receiver<Mbuf>) = Ring::spsc(eal, "frames", 63).unwrap();
    let error = Ring::<Mbuf>::new(eal, "frames", 63).unwrap_err().to_string();
    assert!(error.starts_with("ring frames with 63 slots: "), "{error}");
    let mut burst: Burst<Mbuf> = (0..50).map(|i| pool.frame(&bytes(i, 100)).unwrap()).collect();
    assert_eq!(sender.send(&mut burst), 50);
    burst.extend((50..80).map(|i| pool.frame(&bytes(i, 100)).unwrap()));
    // A full ring leaves the rest with the sender.
    assert_eq!((sender.send(&mut burst), burst.len()), (13, 17));
    let mut out: Burst<Mbuf> = Burst::new();
    assert_eq!(receiver.receive(&mut out), 63);
    assert_eq!(receiver.receive(&mut out), 0);
    out.extend(burst.pop_at(0));
    for (i, frame) in out.iter().enumerate() {
        assert_eq!(contents(frame), bytes(i, 100));
    }
    // What is left in a ring goes with it.
    assert_eq!(sender.send(&mut out), 63);
}

fn boxes(eal: &dpdk::Eal) {
    let ring: Ring<Box<u64>> = Ring::new(eal, "boxes", 1023).unwrap();
    let total: u64 = std::thread::scope(|scope| {
        for part in 0..2_u64 {
            let ring = &ring;
            scope.spawn(move || {
                for chunk in 0..100_u64 {
                    let mut burst: arrayvec::ArrayVec<Box<u64>, 100> =
                        (0..100).map(|i| Box::new(part * 10_000 + chunk * 100 + i)).collect();
                    while !burst.is_empty() {
                        ring.send(&mut burst);
                        std::thread::yield_now();
                    }
                }
            });
        }
        let take = || {
            let (mut sum, mut seen) = (0, 0);
            let mut burst: arrayvec::ArrayVec<Box<u64>, 32> = arrayvec::ArrayVec::new();
            while seen < 20_000 {
                seen += ring.receive(&mut burst);
                sum += burst.drain(..).map(|number| *number).sum::<u64>();
                std::thread::yield_now();
            }
            sum
        };
        scope.spawn(take).join().unwrap()
    });
    assert_eq!(total, (0..20_000).sum());
}
