//! The table against a map, under churn, between threads, and against strangers.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cpu::{EpochReader, Epochs, Pages};
use proptest::prelude::*;
use types::{Teid, TunnelKey};

use super::*;

fn small(entries: u32) -> TableLimits {
    TableLimits { entries, fill: Fill::Fast, pages: Pages::Small, seed: 0x5eed }
}

fn new(entries: u32) -> (Writer, Reader, Epochs) {
    let epochs = Epochs::new();
    let (writer, reader) = table(small(entries), &epochs).unwrap();
    (writer, reader, epochs)
}

fn key(number: u64) -> PackedKey {
    PackedKey::new(number, number & 1 != 0)
}

/// Numbers without a pattern, the same every time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ self.0 >> 29
    }

    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

#[test]
fn what_is_put_in_is_found_until_it_is_removed() {
    let (mut writer, reader, _) = new(10);
    assert_eq!(writer.insert(key(1), 11), Ok(None));
    assert_eq!(writer.insert(key(2), 12), Ok(None));
    assert_eq!(writer.insert(key(1), 13), Ok(Some(11)));
    assert_eq!(writer.update(key(2), 14), Some(12));
    assert_eq!(writer.update(key(3), 15), None);
    assert_eq!((writer.get(key(1)), writer.get(key(2)), writer.get(key(3))), (Some(13), Some(14), None));
    assert_eq!(
        (reader.lookup(key(1)), reader.lookup(key(2)), reader.lookup(key(3))),
        (Some(13), Some(14), None)
    );
    assert_eq!(writer.len(), 2);
    assert_eq!(writer.remove(key(1)), Some(13));
    assert_eq!(writer.remove(key(1)), None);
    assert_eq!((reader.lookup(key(1)), writer.len(), writer.is_empty()), (None, 1, false));
    assert_eq!(writer.remove(key(2)), Some(14));
    assert!(writer.is_empty());
}

#[test]
fn values_have_30_bits_and_are_not_0() {
    let (mut writer, reader, _) = new(10);
    for value in [0, VALUE_MAX + 1, u32::MAX] {
        assert_eq!(writer.insert(key(1), value), Err(InsertError::Value));
    }
    assert_eq!(writer.insert(key(1), VALUE_MAX), Ok(None));
    assert_eq!(writer.insert(key(2), 1), Ok(None));
    assert_eq!((reader.lookup(key(1)), reader.lookup(key(2))), (Some(VALUE_MAX), Some(1)));
    assert_eq!(writer.update(key(1), 0), None);
    assert_eq!(writer.insert(key(1), 0), Err(InsertError::Value));
    assert_eq!(reader.lookup(key(1)), Some(VALUE_MAX));
}

/// HOSTILE 58: words of one family that are words of the other, too.
#[test]
fn the_family_is_in_the_key() {
    let (mut writer, reader, _) = new(10);
    for bits in [0, 1, 0xc000_0201_0000_0001, u64::MAX - 1] {
        let (v4, v6) = (PackedKey::new(bits, false), PackedKey::new(bits, true));
        assert_eq!(writer.insert(v4, 4), Ok(None));
        assert_eq!((reader.lookup(v4), reader.lookup(v6)), (Some(4), None));
        assert_eq!(writer.insert(v6, 6), Ok(None));
        let mut values = [0; 2];
        reader.lookup_bulk(&[v4, v6], &mut values);
        assert_eq!(values, [4, 6]);
        assert_eq!(writer.remove(v4), Some(4));
        assert_eq!((reader.lookup(v4), reader.lookup(v6)), (None, Some(6)));
        assert_eq!(writer.remove(v6), Some(6));
    }
}

#[test]
fn full_is_said_and_changes_nothing() {
    for entries in [1, 3, 4, 100, 10_000] {
        let (mut writer, reader, _) = new(entries);
        let entries = u64::from(entries);
        for number in 0..entries {
            assert_eq!(writer.insert(key(number), number as u32 + 1), Ok(None), "{number} of {entries}");
        }
        let full = (entries..entries + 1_000).filter(|&n| writer.insert(key(n), 1) == Err(InsertError::Full));
        assert_eq!(full.count(), 1_000);
        assert_eq!(writer.len(), writer.capacity());
        assert!((0..entries).all(|number| reader.lookup(key(number)) == Some(number as u32 + 1)));
        assert_eq!(writer.insert(key(0), 7), Ok(Some(1)), "what is there has its place");
        assert_eq!(writer.remove(key(0)), Some(7));
        writer.reclaim();
        assert_eq!(writer.insert(key(entries), 9), Ok(None));
        assert_eq!(reader.lookup(key(entries)), Some(9));
    }
    let (mut writer, ..) = new(0);
    assert_eq!(writer.insert(key(1), 1), Err(InsertError::Full));
}

/// Filled to 80 %, every key has its place still.
#[test]
fn a_small_table_takes_all_its_entries() {
    for entries in [1, 2, 5, 100, 3_000, 300_000] {
        let limits = TableLimits { fill: Fill::Small, ..small(entries) };
        let (mut writer, reader) = table(limits, &Epochs::new()).unwrap();
        let keys: Vec<_> = (0..u64::from(entries)).map(key).collect();
        for &key in &keys {
            assert_eq!(writer.insert(key, 7), Ok(None), "{} of {entries}", writer.len());
        }
        assert_eq!(writer.insert(key(u64::from(entries)), 7), Err(InsertError::Full));
        assert!(keys.iter().all(|&key| reader.lookup(key) == Some(7)));
        if entries > 1_000 {
            let mean = writer.mean_lines(&keys);
            println!("{entries}: {mean:.3} lines");
            assert!((1.1..1.3).contains(&mean), "{mean}");
        }
    }
}

/// A slot has another key only after a quiescent point of every reader.
#[test]
fn a_reader_that_is_not_through_keeps_slots() {
    let (mut writer, _, epochs) = new(3);
    let mut here = epochs.register().unwrap();
    // One line: five slots for three entries.
    for number in 0..3 {
        writer.insert(key(number), 1).unwrap();
    }
    assert_eq!((writer.remove(key(0)), writer.remove(key(1))), (Some(1), Some(1)));
    assert_eq!(writer.insert(key(3), 1), Ok(None), "the fourth slot");
    assert_eq!(writer.insert(key(6), 1), Ok(None), "the fifth slot");
    assert_eq!(writer.remove(key(6)), Some(1));
    for _ in 0..3 {
        assert_eq!(writer.insert(key(4), 1), Err(InsertError::Full), "the others may be looked at");
        writer.reclaim();
    }
    assert_eq!(writer.insert(key(1), 2), Ok(None), "the same key may have its slot");
    assert_eq!(writer.remove(key(1)), Some(2));
    here.quiescent();
    writer.reclaim();
    for number in [4, 5] {
        assert_eq!(writer.insert(key(number), 1), Ok(None), "keys 0 and 6 were removed before that point");
        assert_eq!(writer.remove(key(number)), Some(1));
    }
    assert_eq!(writer.insert(key(7), 1), Err(InsertError::Full), "keys 1, 4 and 5 were not");
    writer.reclaim();
    here.quiescent();
    writer.reclaim();
    assert_eq!(writer.insert(key(7), 1), Ok(None));
}

/// Generations have 30 bits: they come round after 12 days of changes in every millisecond.
#[test]
fn generations_come_round() {
    let (mut writer, reader, epochs) = new(3);
    let mut here = epochs.register().unwrap();
    for turn in 0..4 {
        for number in 0..3 {
            assert_eq!(writer.insert(key(10 * turn + number), 1), Ok(None), "turn {turn}");
        }
        // Those of the turn before lie in the slots that are left, and were seen to meanwhile.
        assert!((0..3).all(|number| writer.remove(key(10 * turn + number)) == Some(1)));
        writer.reclaim();
        here.quiescent();
        writer.reclaim();
        writer.come_round();
    }
    for number in 100..200 {
        assert_eq!(writer.insert(key(number), 2), Ok(None), "{number}");
        assert_eq!((reader.lookup(key(number)), writer.remove(key(number))), (Some(2), Some(2)));
        writer.reclaim();
        here.quiescent();
        writer.reclaim();
    }
    writer.check();
}

/// What one change is.
#[derive(Clone, Debug)]
enum Change {
    Insert(u8, u32),
    Update(u8, u32),
    Remove(u8),
    Reclaim,
    Quiescent,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let value = || 1..=VALUE_MAX;
    prop::collection::vec(
        prop_oneof![
            4 => (any::<u8>(), value()).prop_map(|(key, value)| Change::Insert(key, value)),
            1 => (any::<u8>(), value()).prop_map(|(key, value)| Change::Update(key, value)),
            3 => any::<u8>().prop_map(Change::Remove),
            2 => Just(Change::Reclaim),
            2 => Just(Change::Quiescent),
        ],
        0..600,
    )
}

/// All 256 keys that changes have: half of each family, the same words in both.
fn keys() -> Vec<PackedKey> {
    (0..=255).map(|number: u8| PackedKey::new(u64::from(number >> 1), number & 1 != 0)).collect()
}

fn same(writer: &Writer, reader: &Reader, map: &HashMap<u8, u32>) -> Result<(), TestCaseError> {
    let keys = keys();
    let mut values = [u32::MAX; 256];
    reader.lookup_bulk(&keys, &mut values);
    for (number, (&key, value)) in (0..=255).zip(keys.iter().zip(values)) {
        let expected = map.get(&number).copied();
        prop_assert_eq!(writer.get(key), expected);
        prop_assert_eq!(reader.lookup(key), expected);
        prop_assert_eq!(value, expected.unwrap_or(0));
    }
    prop_assert_eq!(writer.len(), map.len());
    writer.check();
    Ok(())
}

proptest! {
    /// The table does what a map does, whatever its size, and its counts are right at every moment.
    #[test]
    fn equals_a_map(entries in 1_u32..240, seed: u64, changes in changes()) {
        let epochs = Epochs::new();
        let limits = TableLimits { entries, fill: Fill::Fast, pages: Pages::Small, seed };
        let (mut writer, reader) = table(limits, &epochs).unwrap();
        let mut here = epochs.register().unwrap();
        let keys = keys();
        let mut map = HashMap::new();
        for (turn, change) in changes.into_iter().enumerate() {
            match change {
                Change::Insert(number, value) => match writer.insert(keys[usize::from(number)], value) {
                    Ok(old) => prop_assert_eq!(old, map.insert(number, value)),
                    Err(why) => {
                        prop_assert_eq!(why, InsertError::Full);
                        prop_assert!(!map.contains_key(&number));
                    }
                },
                Change::Update(number, value) => {
                    let old = map.get_mut(&number).map(|place| std::mem::replace(place, value));
                    prop_assert_eq!(writer.update(keys[usize::from(number)], value), old);
                }
                Change::Remove(number) => {
                    prop_assert_eq!(writer.remove(keys[usize::from(number)]), map.remove(&number));
                }
                Change::Reclaim => writer.reclaim(),
                Change::Quiescent => here.quiescent(),
            }
            if turn % 16 == 0 {
                same(&writer, &reader, &map)?;
            }
        }
        same(&writer, &reader, &map)?;
        // Nothing leaks: as many as may be there find a place when all readers are through.
        for _ in 0..300 {
            writer.reclaim();
            here.quiescent();
        }
        writer.check();
        for (number, key) in (0..=255).zip(keys) {
            let room = map.len() < entries as usize || map.contains_key(&number);
            prop_assert_eq!(writer.insert(key, 1).is_ok(), room);
            if room {
                map.insert(number, 1);
            }
        }
    }

    #[test]
    fn bulk_is_one_after_the_other(present in 0_u64..3_000, wanted in prop::collection::vec(0_u64..4_000, 0..150)) {
        let (mut writer, reader, _) = new(3_000);
        for number in 0..present {
            writer.insert(key(number), number as u32 + 1).unwrap();
        }
        let keys: Vec<_> = wanted.iter().map(|&number| key(number)).collect();
        let mut values = vec![u32::MAX; keys.len()];
        reader.lookup_bulk(&keys, &mut values);
        let one: Vec<_> = keys.iter().map(|&key| reader.lookup(key).unwrap_or(0)).collect();
        prop_assert_eq!(values, one);
    }
}

const fn value_of(number: u64) -> u32 {
    (number >> 34) as u32 | 1
}

/// A table that is filled, and the numbers of its keys.
fn filled(entries: u32) -> (Writer, Reader, EpochReader, Vec<u64>) {
    let (mut writer, reader, epochs) = new(entries);
    let mut random = Numbers(9);
    let numbers: Vec<u64> = (0..entries).map(|_| random.next()).collect();
    for &number in &numbers {
        assert_eq!(writer.insert(key(number), value_of(number)), Ok(None));
    }
    (writer, reader, epochs.register().unwrap(), numbers)
}

/// Ten times as many changes as there are tunnels leave them where a new table would have them.
#[test]
fn churn_does_not_make_look_ups_longer() {
    let (mut writer, reader, mut here, mut numbers) = filled(60_000);
    let keys_of = |numbers: &[u64]| numbers.iter().map(|&number| key(number)).collect::<Vec<_>>();
    let strangers: Vec<_> = (0..60_000).map(|n| PackedKey::new(Numbers(n).next(), false)).collect();
    let before = (writer.mean_lines(&keys_of(&numbers)), writer.mean_lines(&strangers));
    let mut random = Numbers(1);
    for change in 0..600_000_u64 {
        let place = random.below(numbers.len());
        let next = random.next();
        let gone = std::mem::replace(&mut numbers[place], next);
        assert_eq!(writer.remove(key(gone)), Some(value_of(gone)));
        if change % 8 == 0 {
            here.quiescent();
        }
        writer.reclaim();
        // At the limit the slot that became free a moment ago may be the last one of its lines.
        assert_eq!(writer.insert(key(next), value_of(next)), Ok(None), "change {change}");
    }
    for _ in 0..1_000 {
        here.quiescent();
        writer.reclaim();
    }
    writer.check();
    assert!(numbers.iter().all(|&number| reader.lookup(key(number)) == Some(value_of(number))));
    let after = (writer.mean_lines(&keys_of(&numbers)), writer.mean_lines(&strangers));
    println!(
        "lines for a key that is there {:.3}, now {:.3}; that is not {:.3}, now {:.3}",
        before.0, after.0, before.1, after.1
    );
    assert!(before.0 > 1.03 && before.0 < 1.08 && before.1 < 1.2, "{before:?}");
    assert!(after.0 < before.0 * 1.01, "{before:?} {after:?}");
    assert!(after.1 < before.1 * 1.03, "{before:?} {after:?}");
}

/// More is removed at once than can be remembered: a sweep sees to the rest.
#[test]
fn a_mass_removal_is_cleared_up() {
    let (mut writer, reader, mut here, numbers) = filled(400_000);
    let (gone, left) = numbers.split_at(280_000);
    for &number in gone {
        assert_eq!(writer.remove(key(number)), Some(value_of(number)));
    }
    let left: Vec<_> = left.iter().map(|&number| key(number)).collect();
    let before = writer.mean_lines(&left);
    for _ in 0..20_000 {
        writer.reclaim();
        here.quiescent();
    }
    writer.check();
    let after = writer.mean_lines(&left);
    println!("{before:.4} lines, then {after:.4}");
    assert!(before > 1.03);
    assert!(after < 1.001, "a new table that is filled to 22 % has hardly a key that is not at home");
    assert!(left.iter().all(|&key| reader.lookup(key).is_some()));
}

/// Strangers choose TEIDs: numbers in a row, with gaps of powers of two, and of the number of lines.
#[test]
fn chosen_teids_do_not_meet() {
    const TUNNELS: u32 = 9_000;
    let gateway = Ipv4Addr::new(192, 0, 2, 1);
    let patterns: [fn(u32) -> u32; 7] = [
        |n| n,
        |n| n << 12,
        |n| n.rotate_left(20),
        |n| n.wrapping_mul(3_000),
        |n| n.wrapping_mul(12_000),
        |n| n.reverse_bits(),
        |n| n ^ n << 16,
    ];
    for (number, pattern) in patterns.into_iter().enumerate() {
        let keys: Vec<_> =
            (0..TUNNELS).map(|teid| PackedKey::tunnel_v4(gateway, Teid(pattern(teid)))).collect();
        let mut highest = 0.0_f64;
        for seed in 0..32 {
            let limits = TableLimits { seed, ..small(TUNNELS) };
            let (mut writer, _) = table(limits, &Epochs::new()).unwrap();
            for key in &keys {
                assert_eq!(writer.insert(*key, 1), Ok(None));
            }
            highest = highest.max(writer.mean_lines(&keys));
        }
        println!("pattern {number}: {highest:.3} lines at most");
        assert!(highest < 1.08, "pattern {number}: {highest} lines");
    }
}

/// The keys that are all at home in one line of one table are spread in another one.
#[test]
fn what_collides_under_one_seed_does_not_under_another() {
    let line = |writer: &Writer, key| writer.home_of(key);
    let (known, ..) = new(30_000);
    let target = line(&known, key(0));
    let chosen: Vec<_> =
        (0..4_000_000).map(|n| PackedKey::new(n, false)).filter(|&k| line(&known, k) == target).collect();
    assert!(chosen.len() > 300);
    let limits = TableLimits { seed: 0x5eed + 1, ..small(30_000) };
    let (mut other, _) = table(limits, &Epochs::new()).unwrap();
    for &key in &chosen {
        other.insert(key, 1).unwrap();
    }
    assert!(other.mean_lines(&chosen) < 1.05);
    let (mut known, ..) = new(30_000);
    let refused = chosen.iter().filter(|&&key| known.insert(key, 1) == Err(InsertError::Full)).count();
    assert_eq!(refused, chosen.len() - 64 * 5, "the most that lines behind one home can hold");
}

/// A writer that changes all the time, readers that look all the time: a value is always one of its
/// key, and a key that is never removed is always there.
#[test]
fn readers_never_see_a_wrong_value() {
    const KEYS: u64 = 3_000;
    const MARK: u32 = 18;
    // The value says whose it is.
    let value = |number: u64, turn: u32| (number as u32 + 1) << MARK | turn & ((1 << MARK) - 1);
    let (mut writer, reader, epochs) = new(KEYS as u32);
    // Every seventh stays.
    let stays = |number: u64| number % 7 == 0;
    for number in (0..KEYS).filter(|&number| stays(number)) {
        writer.insert(key(number), value(number, 0)).unwrap();
    }
    let stop = AtomicBool::new(false);
    let found = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..2_u64 {
            let (reader, mut here) = (reader.clone(), epochs.register().unwrap());
            let (stop, found) = (&stop, &found);
            scope.spawn(move || {
                let mut random = Numbers(thread);
                let mut seen = 0;
                // Relaxed: only an end.
                while !stop.load(Ordering::Relaxed) {
                    let numbers: [u64; 32] = std::array::from_fn(|_| random.next() % KEYS);
                    let mut values = [0; 32];
                    reader.lookup_bulk(&numbers.map(key), &mut values);
                    for (number, value) in numbers.into_iter().zip(values) {
                        assert!(value == 0 || value >> MARK == number as u32 + 1, "the value of another key");
                        assert!(value != 0 || !stays(number), "a key that was there all the time");
                        seen += u64::from(value != 0 && !stays(number));
                    }
                    here.quiescent();
                }
                found.fetch_add(seen, Ordering::Relaxed);
            });
        }
        let mut random = Numbers(77);
        let mut inserted = 0_u64;
        for turn in 0..1_000_000_u32 {
            let number = random.next() % KEYS;
            if stays(number) {
                assert!(writer.update(key(number), value(number, turn)).is_some());
            } else if writer.remove(key(number)).is_none()
                && writer.insert(key(number), value(number, turn)).is_ok()
            {
                inserted += 1;
            }
            writer.reclaim();
        }
        stop.store(true, Ordering::Relaxed);
        assert!(inserted > 100_000, "{inserted}");
    });
    assert!(found.into_inner() > 1_000);
    writer.check();
}

fn tunnel(receiver: impl Into<IpAddr>, teid: u32) -> TunnelKey {
    TunnelKey { receiver: receiver.into(), teid: Teid(teid) }
}

fn new_tunnels(tunnels_max: u32, nodes: u32) -> (TunnelWriter, TunnelReader, Epochs) {
    let epochs = Epochs::new();
    let limits = TunnelLimits { tunnels: tunnels_max, nodes, pages: Pages::Small, seed: 3 };
    let (writer, reader) = tunnels(limits, &epochs).unwrap();
    (writer, reader, epochs)
}

#[test]
fn tunnels_of_both_families() {
    let (mut writer, reader, _) = new_tunnels(100, 4);
    // The word of a node number is the word of an IPv4 address, too.
    let keys = [
        tunnel(Ipv4Addr::from(0), 7),
        tunnel(Ipv4Addr::from(1), 7),
        tunnel(Ipv6Addr::from(1 << 64), 7),
        tunnel(Ipv6Addr::from(1), 7),
        tunnel(Ipv6Addr::from(1), 8),
    ];
    for (value, &key) in (1..).zip(&keys) {
        assert_eq!(writer.insert(key, value), Ok(None));
    }
    let packed = keys.map(|key| reader.pack(key));
    let mut values = [0; 5];
    reader.lookup_bulk(&packed, &mut values);
    assert_eq!(values, [1, 2, 3, 4, 5]);
    assert!(keys.iter().zip(1..).all(|(&key, value)| reader.lookup(key) == Some(value)));
    let strangers =
        [tunnel(Ipv6Addr::from(2), 7), tunnel(Ipv6Addr::from(1 << 64 | 1), 7), tunnel(Ipv4Addr::from(2), 7)];
    assert!(strangers.iter().all(|&key| reader.lookup(key).is_none() && writer.get(key).is_none()));
    assert_eq!(reader.pack(strangers[0]), PackedKey::NONE);
    assert_eq!(writer.insert(keys[3], 9), Ok(Some(4)));
    assert_eq!(writer.update(keys[4], 8), Some(5));
    assert_eq!((writer.nodes(), writer.len()), (2, 5));
    assert_eq!((writer.remove(keys[3]), writer.nodes()), (Some(9), 2));
    assert_eq!((writer.remove(keys[4]), writer.nodes()), (Some(8), 1), "the last one of that node");
    assert_eq!(writer.remove(keys[4]), None);
    assert_eq!((writer.remove(keys[2]), writer.nodes()), (Some(3), 0));
}

/// Made-up receivers fill the numbers; they are free again when their tunnels are gone.
#[test]
fn numbers_of_nodes_come_back() {
    let (mut writer, reader, epochs) = new_tunnels(100, 8);
    let mut here = epochs.register().unwrap();
    for round in 0..50_u128 {
        let address = |n: u128| Ipv6Addr::from(round << 64 | n);
        for n in 0..8 {
            assert_eq!(writer.insert(tunnel(address(n), 1), 1 + n as u32), Ok(None), "{round}");
        }
        assert_eq!(writer.insert(tunnel(address(8), 1), 1), Err(InsertError::Full));
        assert_eq!(writer.insert(tunnel(address(0), 2), 99), Ok(None), "a node that is there");
        assert!((0..8).all(|n| reader.lookup(tunnel(address(n), 1)) == Some(1 + n as u32)));
        assert_eq!(reader.lookup(tunnel(address(8), 1)), None);
        assert_eq!(writer.remove(tunnel(address(0), 2)), Some(99));
        for n in 0..8 {
            assert_eq!(writer.remove(tunnel(address(n), 1)), Some(1 + n as u32));
        }
        assert_eq!(writer.nodes(), 0);
        assert_eq!(writer.insert(tunnel(address(9), 1), 1), Err(InsertError::Full), "readers may have them");
        writer.reclaim();
        here.quiescent();
        writer.reclaim();
    }
}

/// What is refused holds no node.
#[test]
fn a_refused_tunnel_leaves_no_node() {
    let (mut writer, ..) = new_tunnels(1, 8);
    assert_eq!(writer.insert(tunnel(Ipv4Addr::from(1), 1), 1), Ok(None));
    assert_eq!(writer.insert(tunnel(Ipv6Addr::from(1), 1), 1), Err(InsertError::Full));
    assert_eq!(writer.insert(tunnel(Ipv6Addr::from(1), 1), 0), Err(InsertError::Value));
    assert_eq!((writer.nodes(), writer.len()), (0, 1));
}

/// 40 million tunnels take at most 900 MB, and only what is used.
#[test]
fn memory_for_40_million() {
    let (writer, _, _) = new(40_000_000);
    let bytes = writer.lines() * 64;
    assert!(bytes <= 900_000_000, "{bytes}");
}
