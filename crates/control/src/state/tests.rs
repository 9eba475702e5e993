use std::collections::BTreeMap;

use super::*;

fn origin() -> Origin {
    Origin { cluster: 7, probes: vec!["a".into(), "b".into()] }
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ mixed >> 31) % end
    }
}

type Sessions = BTreeMap<u32, Vec<u8>>;

fn record(payload: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    payload.extend(number.to_le_bytes());
    payload.extend((bytes.len() as u32).to_le_bytes());
    payload.extend(bytes);
}

fn of(loaded: Loaded) -> Sessions {
    loaded.sessions.into_iter().map(|(number, (_, bytes))| (number, bytes)).collect()
}

/// A life of changes and checkpoints. `done`: what the last complete write left, and the one in hand.
fn live(
    store: &mut Store,
    random: &mut Random,
    done: &mut Sessions,
    next: &mut Sessions,
) -> Result<(), StateError> {
    let mut sweep: Option<(u32, Checkpoint)> = None;
    for _ in 0..60 {
        let mut payload = Vec::new();
        *next = done.clone();
        for _ in 0..=random.below(4) {
            let number = random.below(30) as u32 + 1;
            let bytes = vec![random.below(256) as u8; random.below(60) as usize];
            record(&mut payload, number, &bytes);
            if bytes.is_empty() {
                next.remove(&number)
            } else {
                next.insert(number, bytes)
            };
        }
        store.append(&payload)?;
        *done = next.clone();
        sweep = match sweep {
            None if random.below(8) == 0 => Some((1, store.begin()?)),
            None => None,
            Some((from, mut checkpoint)) => {
                let mut payload = Vec::new();
                for (number, bytes) in done.range(from..from + 6) {
                    record(&mut payload, *number, bytes);
                }
                checkpoint.append(&payload)?;
                if from + 6 > 30 {
                    store.completed(checkpoint.complete()?);
                    None
                } else {
                    Some((from + 6, checkpoint))
                }
            }
        };
    }
    Ok(())
}

#[test]
fn a_thousand_kills_leave_what_was_written() {
    let mut kills = 0;
    for seed in 0..100 {
        let dir = tempfile::tempdir().unwrap();
        let (mut done, mut next) = (Sessions::new(), Sessions::new());
        let mut random = Random(seed);
        for _ in 0..10 {
            killed::LEFT.set(usize::MAX);
            let (mut store, loaded) = Store::open(dir.path(), origin()).unwrap();
            assert_eq!(loaded.damage, []);
            let found = of(loaded);
            // The write in hand is there as a whole or not at all.
            assert!(found == done || found == next, "seed {seed}: {found:?} {done:?} {next:?}");
            (done, next) = (found.clone(), found);
            killed::LEFT.set(random.below(12_000) as usize);
            kills += u32::from(live(&mut store, &mut random, &mut done, &mut next).is_err());
        }
        killed::LEFT.set(usize::MAX);
    }
    // Some lived on: their end is as good a moment.
    assert!(kills > 500, "{kills}");
}

/// A folder with a checkpoint and a journal, and what is in it.
fn folder() -> (tempfile::TempDir, Sessions) {
    let dir = tempfile::tempdir().unwrap();
    let (mut done, mut next) = (Sessions::new(), Sessions::new());
    let (mut store, _) = Store::open(dir.path(), origin()).unwrap();
    live(&mut store, &mut Random(3), &mut done, &mut next).unwrap();
    assert!(dir.path().join("checkpoint").exists());
    (dir, done)
}

#[test]
fn damage_is_named_and_what_can_be_read_is_kept() {
    let (dir, whole) = folder();
    let (mut named, mut kept) = (0, 0);
    let mut random = Random(9);
    for file in fs::read_dir(dir.path()).unwrap() {
        let file = file.unwrap().path();
        let bytes = fs::read(&file).unwrap();
        if file.ends_with("lock") {
            continue;
        }
        for _ in 0..60 {
            let other = tempfile::tempdir().unwrap();
            for file in fs::read_dir(dir.path()).unwrap() {
                let file = file.unwrap();
                fs::copy(file.path(), other.path().join(file.file_name())).unwrap();
            }
            let mut bytes = bytes.clone();
            // Behind magic and version: those decide whether it is read at all.
            let place = 12 + random.below(bytes.len() as u64 - 12) as usize;
            bytes[place] ^= 1 << random.below(8);
            let target = other.path().join(file.file_name().unwrap());
            fs::write(&target, bytes).unwrap();
            let (_, loaded) = Store::open(other.path(), origin()).unwrap();
            for damage in &loaded.damage {
                assert_eq!(damage.path, target);
                assert!(damage.offset <= place as u64);
                let mut aside = target.clone().into_os_string();
                aside.push(".damaged");
                assert!(Path::new(&aside).exists());
            }
            named += loaded.damage.len();
            kept += of(loaded).iter().filter(|(number, bytes)| whole.get(number) == Some(bytes)).count();
        }
    }
    assert!(named > 100, "{named}");
    assert!(kept > 120 * whole.len() / 2, "{kept}");
}

#[test]
fn one_run_at_a_time_uses_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), origin()).unwrap();
    let error = Store::open(dir.path(), origin()).unwrap_err();
    assert!(matches!(&error, StateError::InUse(path) if path == dir.path()), "{error}");
    drop(store);
    Store::open(dir.path(), origin()).unwrap();
}

#[test]
fn what_another_key_or_version_wrote_is_refused() {
    let (dir, _) = folder();
    let error = Store::open(dir.path(), Origin { cluster: 8, ..origin() }).unwrap_err();
    assert!(matches!(error, StateError::ClusterKey(_)), "{error}");
    let path = dir.path().join("checkpoint");
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 2;
    fs::write(&path, bytes).unwrap();
    let error = Store::open(dir.path(), origin()).unwrap_err();
    assert!(matches!(error, StateError::Version { found: 2, .. }), "{error}");
}
