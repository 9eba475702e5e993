//! Every interleaving of a writer and a reader:
//! `RUSTFLAGS="--cfg loom" cargo test -p session --release --lib loom`.

use cpu::{Epochs, Pages};
use loom::thread;

use super::*;

fn key(number: u64) -> PackedKey {
    PackedKey::new(number, false)
}

/// A table of one line.
fn one_line(entries: u32) -> (Writer, Reader, Epochs) {
    let epochs = Epochs::new();
    let limits = TableLimits { entries, fill: Fill::Fast, pages: Pages::Small, seed: 1 };
    let (writer, reader) = table(limits, &epochs).unwrap();
    (writer, reader, epochs)
}

fn model(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(check);
}

/// The slot of a removed key is given to another one: whoever looks for the first never sees the
/// value of the second, nor the other way round.
#[test]
fn loom_a_slot_that_is_reused_shows_nobody_elses_value() {
    model(|| {
        let (mut writer, reader, epochs) = one_line(3);
        for number in 1..=3 {
            writer.insert(key(number), number as u32).unwrap();
        }
        // The fourth slot and the fifth, so that a removed one has to be reused, the first one first.
        for number in [3, 2] {
            writer.remove(key(number)).unwrap();
            writer.insert(key(10 + number), 1).unwrap();
        }
        let mut here = epochs.register().unwrap();
        let reading = thread::spawn(move || {
            for _ in 0..2 {
                let found = reader.lookup(key(1));
                assert!(matches!(found, None | Some(1)), "{found:?}");
                here.quiescent();
            }
            let found = reader.lookup(key(5));
            assert!(matches!(found, None | Some(5)), "{found:?}");
            drop(here);
        });
        assert_eq!(writer.remove(key(1)), Some(1));
        for _ in 0..2 {
            writer.reclaim();
            if writer.insert(key(5), 5).is_ok() {
                break;
            }
            thread::yield_now();
        }
        reading.join().unwrap();
    });
}

/// Whoever sees the value of the new key sees that key, too.
#[test]
fn loom_a_value_is_seen_after_its_key() {
    model(|| {
        let (mut writer, reader, epochs) = one_line(3);
        for number in 1..=3 {
            writer.insert(key(number), number as u32).unwrap();
        }
        let mut here = epochs.register().unwrap();
        assert_eq!(writer.remove(key(1)), Some(1));
        writer.reclaim();
        let reading = thread::spawn(move || {
            here.quiescent();
            for _ in 0..2 {
                assert_eq!(reader.lookup(key(1)), None);
            }
            drop(here);
        });
        for number in 4..=6 {
            writer.reclaim();
            // Into the fourth slot and the fifth while the first one is not usable, then into that.
            let _ = writer.insert(key(number), number as u32);
            // Three entries are the most: one less for the next one.
            writer.remove(key(2));
        }
        reading.join().unwrap();
    });
}

/// What was inserted before a message was sent is found by whoever got the message.
#[test]
fn loom_what_was_told_is_found() {
    model(|| {
        let (mut writer, reader, epochs) = one_line(3);
        let (mut told, mut hears) = cpu::ring::<u64>(2);
        let here = epochs.register().unwrap();
        let reading = thread::spawn(move || {
            if let Some(number) = hears.pop() {
                assert_eq!(reader.lookup(key(number)), Some(number as u32));
            }
            drop(here);
        });
        writer.insert(key(7), 7).unwrap();
        told.push(7).unwrap();
        reading.join().unwrap();
    });
}

/// A key that moves nearer to its home is there all the time.
#[test]
fn loom_a_key_that_moves_is_not_missed() {
    model(|| {
        // Two lines; six keys of one home: one of them is in the other line.
        let (mut writer, reader, epochs) = one_line(6);
        let home = writer.home_of(key(0));
        let mut numbers = (0..).filter(|&number| writer.home_of(key(number)) == home);
        let numbers: [u64; 6] = std::array::from_fn(|_| numbers.next().unwrap());
        for number in numbers {
            writer.insert(key(number), number as u32 + 1).unwrap();
        }
        let mut here = epochs.register().unwrap();
        let last = numbers[5];
        let reading = thread::spawn(move || {
            for _ in 0..2 {
                assert_eq!(reader.lookup(key(last)), Some(last as u32 + 1));
                here.quiescent();
            }
            drop(here);
        });
        assert_eq!(writer.remove(key(numbers[0])), Some(numbers[0] as u32 + 1));
        for _ in 0..3 {
            writer.reclaim();
        }
        reading.join().unwrap();
        for _ in 0..4 {
            writer.reclaim();
        }
        assert!(writer.is_at_home(key(last)), "it has moved in the end");
    });
}
