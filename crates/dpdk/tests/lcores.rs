//! Work on lcores, panics there, registered threads.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use batch::Frame;
use dpdk::{Lcore, LcoreError, Pool, PoolConfig};

#[test]
fn work_on_lcores() {
    // The first CPU of this process for all three: they share it.
    let cpus = (0..1024).find_map(|cpu| dpdk::lcores_argument(cpu, &[cpu, cpu]).ok().map(|text| (cpu, text)));
    let (cpu, lcores) = cpus.unwrap();
    let eal = common::eal("lcores", &[&lcores]);
    assert_eq!(eal.main_lcore(), Lcore(0));
    assert_eq!(Lcore::current(), Some(Lcore(0)));
    assert_eq!(eal.workers().collect::<Vec<_>>(), [Lcore(1), Lcore(2)]);
    assert_eq!(eal.cpu_of(Lcore(2)), Some(cpu));

    let pool =
        Pool::new(&eal, "pool", &PoolConfig { buffers: 1023, cache: 64, ..PoolConfig::default() }).unwrap();

    // Frames from one lcore to this one, and a result.
    let mut own = pool.clone();
    let worker = eal
        .launch(Lcore(1), move || {
            let frame = own.frame(&[5; 80]);
            (Lcore::current(), frame)
        })
        .unwrap();
    assert_eq!(worker.lcore(), Lcore(1));
    let (lcore, frame) = worker.join().unwrap();
    assert_eq!(lcore, Some(Lcore(1)));
    assert_eq!(frame.unwrap().head(), [5; 80]);
    assert_eq!(pool.in_use(), 0);

    // An lcore at work takes nothing else, and others are no workers.
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stop);
    let busy = eal
        .launch(Lcore(2), move || {
            while !seen.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
        })
        .unwrap();
    assert!(!busy.is_finished());
    assert!(matches!(eal.launch(Lcore(2), || ()), Err(LcoreError::NotIdle { lcore: Lcore(2), .. })));
    assert!(matches!(eal.launch(Lcore(0), || ()), Err(LcoreError::NotIdle { lcore: Lcore(0), .. })));
    assert!(matches!(eal.launch(Lcore(9), || ()), Err(LcoreError::NotIdle { lcore: Lcore(9), .. })));
    stop.store(true, Ordering::Release);
    busy.join().unwrap();

    // A panic stays on its lcore, which can be used again; what the work held is dropped.
    std::panic::set_hook(Box::new(|_| {}));
    let mut own = pool.clone();
    let worker = eal
        .launch(Lcore(1), move || {
            let _frame = own.frame(&[1; 60]);
            panic!("number {}", 7);
        })
        .unwrap();
    let error: Result<(), _> = worker.join();
    let _ = std::panic::take_hook();
    match error {
        Err(LcoreError::Panicked { lcore: Lcore(1), message }) => assert_eq!(message, "number 7"),
        other => panic!("{other:?}"),
    }
    assert_eq!(pool.in_use(), 0);
    drop(eal.launch(Lcore(1), || ()).unwrap());

    // A thread that DPDK does not know, and then does.
    let mut own = pool.clone();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(Lcore::current(), None);
            let guard = eal.register_thread().unwrap();
            assert!(Lcore::current().is_some());
            assert!(matches!(eal.register_thread(), Err(LcoreError::NotRegistered { .. })));
            drop(own.frame(&[1; 60]));
            drop(own);
            drop(guard);
            assert_eq!(Lcore::current(), None);
        });
    });
    assert_eq!(pool.in_use(), 0);
}
