//! Look-ups in the tunnel table, 32 at a time, while a writer changes it.

use std::collections::HashMap;
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ::session::{Fill, PackedKey, Reader, TableLimits, Writer, table};
use cpu::{Array, EpochReader, Epochs, Pages};
use types::Teid;

use crate::{Outcome, Rival, Scale, measure, twin};

const BURST: usize = 32;
/// Keys that are looked up, one after the other: their lines are many times what a cache holds.
const WANTED: usize = 1 << 22;
/// Tunnels that a second removes and makes anew.
const CHANGES: f64 = 10_000.0;

/// The 8 bytes of a tunnel: gateways in turn, TEIDs without an order, none twice.
const fn key(number: u32) -> u64 {
    let receiver = 0x0a00_0000 + number % 64;
    (receiver as u64) << 32 | number.wrapping_mul(0x9e37_79b1) as u64
}

const fn value(key: u64) -> u32 {
    ((key ^ key >> 32) as u32 >> 2) | 1
}

const fn packed(key: u64) -> PackedKey {
    PackedKey::tunnel_v4(Ipv4Addr::from_bits((key >> 32) as u32), Teid(key as u32))
}

pub(super) fn run(scale: &Scale) -> Vec<Outcome> {
    // A thread of its own: it stays on one processor, that of the caller may run where it likes.
    std::thread::scope(|scope| scope.spawn(|| all(scale)).join().unwrap())
}

struct Tables {
    /// As much memory as the lines of our table.
    lines: Array<[u64; 8]>,
    naive: HashMap<u64, u32>,
    reader: Reader,
    here: EpochReader,
    #[cfg(feature = "dpdk")]
    peer: twin::hash::Table,
}

fn all(scale: &Scale) -> Vec<Outcome> {
    let count = scale.tunnels;
    let epochs = Epochs::new();
    let limits = TableLimits { entries: count, fill: Fill::Fast, pages: Pages::Huge, seed: 0x5eed };
    let (mut writer, reader) = table(limits, &epochs).unwrap();
    #[cfg(feature = "dpdk")]
    let (mut peer, peer_memory) = new_peer(count);
    let mut naive = HashMap::with_capacity(count as usize);
    for key in (0..count).map(key) {
        writer.insert(packed(key), value(key)).unwrap();
        naive.insert(key, value(key));
        #[cfg(feature = "dpdk")]
        peer.add(key, u64::from(value(key)));
    }
    let mut lines = Array::<[u64; 8]>::zeroed(count.div_ceil(3) as usize, Pages::Huge).unwrap();
    lines.iter_mut().for_each(|line| line[0] = 1);
    let pages = format!("floor on {:?} pages", lines.backing());
    #[cfg(feature = "dpdk")]
    let pages = format!("{pages}, rte_hash on {peer_memory}");
    let mut tables = Tables {
        lines,
        naive,
        reader,
        here: epochs.register().unwrap(),
        #[cfg(feature = "dpdk")]
        peer,
    };

    // The first half is looked up and stays, the second half changes.
    let kept = count / 2;
    let wanted = |first: u32, below: u32| -> Vec<u64> {
        let mut state = 1;
        (0..WANTED.min(kept as usize))
            .map(|_| {
                state = crate::frames::next(state);
                key(first + (((state >> 32) * u64::from(below)) >> 32) as u32)
            })
            .collect()
    };
    let pinned = twin::stay_on(0);
    let (stop, changes) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let (stop, changes) = (&stop, &changes);
        let cases = [("known", wanted(0, kept)), ("unknown", wanted(3 << 30, 1 << 30))];
        for (_, keys) in &cases {
            check(&mut tables, keys);
        }
        scope.spawn(move || change(writer, kept, count, stop, changes));
        let start = Instant::now();
        let outcomes = cases.map(|(name, keys)| case(&mut tables, name, &keys, scale));
        // Relaxed: only an end, and a number to show.
        stop.store(true, Ordering::Relaxed);
        let rate = changes.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64();
        let note = format!(
            "{count} tunnels, {rate:.0} of them changed a second; {pages}; reader {}",
            if pinned { "on core 0" } else { "not pinned" }
        );
        outcomes.into_iter().map(|outcome| outcome.with_note(note.clone())).collect()
    })
}

#[cfg(feature = "dpdk")]
fn new_peer(count: u32) -> (twin::hash::Table, &'static str) {
    let free = std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    let free: u32 = free.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    // Buckets and keys, the list of free places, and room for what EAL needs.
    let megabytes = 64 + count / 14_000;
    let huge = free * 2 >= megabytes;
    twin::hash::start(megabytes, huge);
    (twin::hash::Table::new(count), if huge { "huge pages" } else { "small pages" })
}

/// Removes tunnels and makes others, at a steady rate, in the second half of the numbers.
fn change(mut writer: Writer, from: u32, to: u32, stop: &AtomicBool, changes: &AtomicU64) {
    twin::stay_on(1);
    let start = Instant::now();
    let mut done = 0_u64;
    // Relaxed: only an end.
    while !stop.load(Ordering::Relaxed) {
        let due = (start.elapsed().as_secs_f64() * CHANGES) as u64;
        while done < due {
            let place = (done % u64::from(to - from)) as u32;
            let round = (done / u64::from(to - from)) as u32;
            let number = |round: u32| from + place + round * to;
            let (old, new) = (key(number(round)), key(number(round + 1)));
            assert_eq!(writer.remove(packed(old)), Some(value(old)));
            writer.insert(packed(new), value(new)).unwrap();
            writer.reclaim();
            done += 1;
        }
        changes.store(done, Ordering::Relaxed);
        writer.reclaim();
        std::thread::sleep(Duration::from_micros(100));
    }
}

fn floor(lines: &[[u64; 8]], keys: &[u64]) -> u64 {
    let mut places = [0; BURST];
    for (place, key) in places.iter_mut().zip(keys) {
        let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        *place = ((u128::from(hash) * lines.len() as u128) >> 64) as usize;
        cpu::prefetch(&lines[*place]);
    }
    places.iter().zip(keys).map(|(&place, _)| lines[place][0]).sum()
}

#[inline(always)]
fn ours(tables: &mut Tables, keys: &[u64], values: &mut [u32; BURST]) {
    let mut packed_keys = [PackedKey::NONE; BURST];
    for (place, &key) in packed_keys.iter_mut().zip(keys) {
        *place = packed(key);
    }
    tables.reader.lookup_bulk(&packed_keys[..keys.len()], values);
    tables.here.quiescent();
}

/// All give the same answers.
fn check(tables: &mut Tables, keys: &[u64]) {
    for keys in keys.chunks(BURST) {
        let mut values = [0; BURST];
        ours(tables, keys, &mut values);
        let expected = keys.iter().map(|key| tables.naive.get(key).copied().unwrap_or(0));
        assert!(values.into_iter().zip(expected).all(|(ours, naive)| ours == naive));
        #[cfg(feature = "dpdk")]
        {
            let mut data = [0; 64];
            let found = tables.peer.lookup(keys, &mut data);
            let peer =
                (0..keys.len()).map(|place| if found >> place & 1 != 0 { data[place] } else { 0 } as u32);
            assert!(values.into_iter().zip(peer).all(|(ours, peer)| ours == peer));
        }
    }
}

fn case(tables: &mut Tables, name: &str, keys: &[u64], scale: &Scale) -> Outcome {
    let Tables { lines, naive, reader, here, .. } = tables;
    #[cfg(feature = "dpdk")]
    let peer = &tables.peer;
    let (mut a, mut b, mut c) = (Bursts::new(keys), Bursts::new(keys), Bursts::new(keys));
    let burst = BURST as u64;
    let rivals = vec![
        Rival::new("floor", burst, |n| {
            for _ in 0..n {
                black_box(floor(lines, a.next()));
            }
        }),
        Rival::new("naive", burst, |n| {
            for _ in 0..n {
                for key in b.next() {
                    black_box(naive.get(key));
                }
            }
        }),
        Rival::new("ours", burst, |n| {
            let mut values = [0; BURST];
            for _ in 0..n {
                let keys = c.next();
                let packed: [PackedKey; BURST] = std::array::from_fn(|place| packed(keys[place]));
                reader.lookup_bulk(&packed, &mut values);
                black_box(&mut values);
                here.quiescent();
            }
        }),
    ];
    #[cfg(feature = "dpdk")]
    let mut d = Bursts::new(keys);
    #[cfg(feature = "dpdk")]
    let rivals = rivals.into_iter().chain([Rival::new("rte_hash", burst, |n| {
        let mut values = [0; 64];
        for _ in 0..n {
            black_box(peer.lookup(d.next(), &mut values));
            black_box(&mut values);
        }
    })]);
    #[cfg(feature = "dpdk")]
    let rivals = rivals.collect();
    let samples = measure(scale, rivals);
    let mut ratios = vec![("ours", "floor"), ("naive", "ours")];
    if cfg!(feature = "dpdk") {
        ratios.push(("ours", "rte_hash"));
    }
    let outcome = Outcome::new(format!("tunnels/{name}/{BURST}"), samples, &ratios);
    if name == "known" {
        outcome.with_bar("ours/rte_hash", 0.6).with_cycles_bar("ours", 60.0)
    } else {
        outcome
    }
}

/// The keys, a burst at a time, again and again.
struct Bursts<'a> {
    keys: &'a [u64],
    left: std::slice::ChunksExact<'a, u64>,
}

impl<'a> Bursts<'a> {
    fn new(keys: &'a [u64]) -> Self {
        Self { keys, left: keys.chunks_exact(BURST) }
    }

    #[inline(always)]
    fn next(&mut self) -> &'a [u64] {
        match self.left.next() {
            Some(burst) => burst,
            None => {
                self.left = self.keys.chunks_exact(BURST);
                self.left.next().unwrap_or_default()
            }
        }
    }
}
