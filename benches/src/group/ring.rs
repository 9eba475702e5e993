//! The ring between two cores.

use std::collections::VecDeque;
use std::fs;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::Instant;

use batch::{Meta, Packet};
use cpu::{Consumer, Producer};

use crate::frames::{Bytes, Shape, pool};
use crate::measure::cycles;
use crate::{Outcome, Rival, Sample, Scale, measure, twin};

const CAPACITY: usize = 1_024;

pub(super) fn run(scale: &Scale) -> Vec<Outcome> {
    let mut outcomes: Vec<_> = [1, 32, 64].into_iter().map(|burst| same_core(burst, scale)).collect();
    outcomes.push(packets(scale));
    outcomes.extend([1, 32, 64].into_iter().map(|burst| two_cores(burst, scale)));
    outcomes
}

fn same_core(burst: usize, scale: &Scale) -> Outcome {
    let burst = burst as u64;
    let through_ring = |(producer, consumer): &mut (Producer<u64>, Consumer<u64>), first: u64| {
        let mut sum = 0_u64;
        producer.push_from(&mut (first..first + burst));
        consumer.pop_each(burst as usize, |number| sum = sum.wrapping_add(black_box(number)));
        sum
    };
    let through_lock = |queue: &Mutex<VecDeque<u64>>, first: u64| {
        queue.lock().unwrap().extend(first..first + burst);
        let mut sum = 0_u64;
        for number in queue.lock().unwrap().drain(..) {
            sum = sum.wrapping_add(black_box(number));
        }
        sum
    };
    let through_memory = |place: &mut [u64], first: u64| {
        for (place, number) in place.iter_mut().zip(first..first + burst) {
            *place = number;
        }
        black_box(&mut *place).iter().fold(0_u64, |sum, &number| sum.wrapping_add(black_box(number)))
    };

    let mut ring = cpu::ring(CAPACITY);
    let queue = Mutex::new(VecDeque::with_capacity(CAPACITY));
    let mut place = vec![0; burst as usize];
    for first in 0..3 * CAPACITY as u64 {
        let expected = (first..first + burst).sum::<u64>();
        assert_eq!(through_ring(&mut ring, first), expected);
        assert_eq!(through_lock(&queue, first), expected);
        assert_eq!(through_memory(&mut place, first), expected);
    }

    let rivals = vec![
        Rival::new("floor", burst, |n| {
            for first in 0..n {
                black_box(through_memory(&mut place, first));
            }
        }),
        Rival::new("ours", burst, |n| {
            for first in 0..n {
                black_box(through_ring(&mut ring, first));
            }
        }),
        Rival::new("lock", burst, |n| {
            for first in 0..n {
                black_box(through_lock(&queue, first));
            }
        }),
    ];
    let samples = measure(scale, rivals);
    Outcome::new(format!("ring/one-core/{burst}"), samples, &[("ours", "floor"), ("lock", "ours")])
}

/// What the dataplane pushes: a frame with what is known of it.
fn packets(scale: &Scale) -> Outcome {
    let frames = pool(Shape::Plain, 64);
    let packets = || frames.iter().map(|&frame| Packet { frame, meta: Meta::default() });
    let (mut producer, mut consumer) = cpu::ring::<Packet<Bytes>>(CAPACITY);
    let mut through_ring = || {
        let mut bytes = 0;
        producer.push_from(&mut packets());
        consumer.pop_each(64, |packet| bytes += black_box(packet).frame.0.len());
        bytes
    };
    assert_eq!(through_ring(), frames.iter().map(|frame| frame.0.len()).sum::<usize>());
    let rivals = vec![Rival::new("ours", 64, |n| {
        for _ in 0..n {
            black_box(through_ring());
        }
    })];
    Outcome::new("ring/packets/64", measure(scale, rivals), &[])
}

/// One thread pushes, another pops; what counts is what the pushing one needs for each, waiting
/// included.
fn two_cores(burst: usize, scale: &Scale) -> Outcome {
    let (producer, consumer) = cpu::ring::<u64>(CAPACITY);
    let (start, stop) = (Barrier::new(2), AtomicBool::new(false));
    let (windows, shares, pinned) = std::thread::scope(|scope| {
        let popping = scope.spawn(|| pop_all(consumer, burst, &start, &stop));
        // A thread of its own: that of the caller may run where it likes afterwards.
        let pushing = scope.spawn(|| push_windows(producer, burst, scale, &start, &stop));
        let (pushed, windows, push_share, push_pinned) = pushing.join().unwrap();
        let (popped, pop_share, pop_pinned) = popping.join().unwrap();
        assert_eq!(popped, pushed, "what went in came out, in order");
        (windows, [push_share, pop_share], push_pinned && pop_pinned)
    });
    let placed = if pinned { "pinned to cores 0 and 1" } else { "not pinned" };
    let [push, pop] = shares.map(|share| share * 100.0);
    Outcome::new(format!("ring/two-cores/{burst}"), vec![Sample::of("ours", windows)], &[])
        .with_note(format!("threads {placed}; they had {push:.0} % and {pop:.0} % of a core"))
}

fn push_windows(
    mut producer: Producer<u64>,
    burst: usize,
    scale: &Scale,
    start: &Barrier,
    stop: &AtomicBool,
) -> (u64, Vec<f64>, f64, bool) {
    let pinned = twin::stay_on(0);
    let window = cycles(scale.window);
    let mut windows = Vec::with_capacity(scale.windows);
    let mut pushed = 0_u64;
    start.wait();
    let share = Share::begin();
    while windows.len() < scale.windows {
        let (from, before) = (cpu::tsc(), pushed);
        loop {
            for _ in 0..64 {
                pushed += producer.push_from(&mut (pushed..pushed + burst as u64)) as u64;
            }
            let spent = cpu::tsc() - from;
            if spent >= window && pushed > before {
                windows.push(spent as f64 / (pushed - before) as f64);
                break;
            }
        }
    }
    let share = share.end();
    // Release pairs with the Acquire load in `pop_all`: whoever sees it sees all that was pushed.
    stop.store(true, Ordering::Release);
    (pushed, windows, share, pinned)
}

fn pop_all(
    mut consumer: Consumer<u64>,
    burst: usize,
    start: &Barrier,
    stop: &AtomicBool,
) -> (u64, f64, bool) {
    let pinned = twin::stay_on(1);
    let mut next = 0_u64;
    let mut in_order = true;
    start.wait();
    let share = Share::begin();
    loop {
        // Acquire pairs with the Release store in `push_windows`; read before the ring is found empty.
        let last = stop.load(Ordering::Acquire);
        let popped = consumer.pop_each(burst, |number| {
            in_order &= number == next;
            next += 1;
        });
        if popped == 0 && last {
            assert!(in_order);
            return (next, share.end(), pinned);
        }
    }
}

/// How much of a core the calling thread had.
struct Share {
    wall: Instant,
    ran_ns: u64,
}

impl Share {
    fn begin() -> Self {
        Self { wall: Instant::now(), ran_ns: ran_ns() }
    }

    fn end(&self) -> f64 {
        (ran_ns() - self.ran_ns) as f64 / self.wall.elapsed().as_nanos() as f64
    }
}

/// Nanoseconds that the calling thread ran, by the kernel's accounting.
fn ran_ns() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
