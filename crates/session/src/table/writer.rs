//! The end that writes.

use std::fmt;
use std::io;

use cpu::Epochs;

use super::line::{Arc, LIVE, Line, Ordering, REST, SLOTS, Shared, Slot, V6, top};
use super::{Fill, PackedKey, Reader, TableLimits, VALUE_MAX};

/// Lines of a table for this many entries.
const fn lines_for(entries: u32, fill: Fill) -> usize {
    let entries = entries as usize;
    match fill {
        Fill::Fast => entries.div_ceil(3),
        Fill::Small => entries.div_ceil(4),
    }
}

/// Lines behind a free slot that are looked through for a key to move into it: those that hold most of
/// the keys that passed. With 15 a table under churn stays within 1 % of a new one's mean.
const REACH: usize = 15;
/// And those behind them in which a key lies that is at home here, up to this distance.
const FAR: usize = 20;
/// Places that can be waiting for a grace period to end. What does not fit is found by a sweep.
const WAITING_MAX: usize = 1 << 16;
/// Places that are seen to in one call of [`Writer::reclaim`].
const BUDGET: usize = 64;
/// Lines that are swept in one call.
const SWEEP: usize = 1_024;
/// A generation that is so many behind is not told from one that is ahead. There are fewer lines.
const HALF: u32 = (REST >> 1) + 1;

/// Why a key was not inserted. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InsertError {
    /// The table has as many entries as it may, or the lines of this key are full. That is to be
    /// counted.
    #[error("the table is full")]
    Full,
    /// The value is 0 or above [`VALUE_MAX`].
    #[error("no value of a table: 0, or more than 30 bits")]
    Value,
}

/// A slot: the line it is in, and which of its slots it is.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    line: u32,
    slot: u8,
}

/// An entry that passed a line.
enum Passer {
    /// Where it lies, and what it is.
    Waits(Place, PackedKey, u32),
    /// It is in two places, and leaves one of them.
    Moves,
    None,
}

/// Inserts, changes and removes. There is one for each table.
pub struct Writer {
    shared: Arc<Shared>,
    epochs: Epochs,
    len: usize,
    capacity: usize,
    /// What is removed now is of this generation. They go round, without 0.
    generation: u32,
    /// What was removed in this one or before may be written over.
    usable: u32,
    /// Whether anything was removed in this generation.
    dirty: bool,
    /// Places of this generation that are to be seen to when it is over: slots that became free in a
    /// line that others passed, and old places of entries that moved.
    open: Vec<Place>,
    /// Those of the generation before.
    closed: Vec<Place>,
    /// The epoch that makes the generation before usable, until it does.
    awaited: Option<u64>,
    /// Lines that are to be swept, because `open` had no room.
    sweep: usize,
    /// Whether something moved in this sweep: then there is another one.
    moved: bool,
    /// The line whose removed entries lose their generation next, long before it comes round.
    aged: usize,
}

impl Writer {
    pub(super) fn new(limits: TableLimits, epochs: Epochs) -> io::Result<Self> {
        let TableLimits { entries, fill, pages, seed } = limits;
        let shared = Shared::new(lines_for(entries, fill), pages, seed)?;
        let waiting = WAITING_MAX.min(shared.lines().saturating_mul(2 * SLOTS));
        Ok(Self {
            shared: Arc::new(shared),
            epochs,
            len: 0,
            capacity: entries as usize,
            generation: 1,
            usable: REST,
            dirty: false,
            open: Vec::with_capacity(waiting),
            closed: Vec::with_capacity(waiting),
            awaited: None,
            sweep: 0,
            moved: false,
            aged: 0,
        })
    }

    /// A reader of this table.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.shared))
    }

    /// Entries.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Entries there can be.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: PackedKey) -> Option<u32> {
        self.copies(key).next().map(|(.., slot)| slot.value.load(Ordering::Relaxed) & REST)
    }

    /// Gives a key this value, and returns the one it had.
    ///
    /// # Errors
    /// The table is full, or the value is none.
    pub fn insert(&mut self, key: PackedKey, value: u32) -> Result<Option<u32>, InsertError> {
        if value == 0 || value > VALUE_MAX {
            return Err(InsertError::Value);
        }
        if let Some(old) = self.update(key, value) {
            return Ok(Some(old));
        }
        let home = self.shared.home(key);
        let free = self.shared.way(home).enumerate().find_map(|(distance, line)| {
            let found = self.shared.line(line)?;
            // The slot that this key had before, if there is one: its bits are not to be there twice.
            let before = found.slots().position(|slot| is_left(slot, key));
            let slot = before.or_else(|| found.slots().position(|slot| self.is_usable(slot)))?;
            Some((distance, Place { line: line as u32, slot: slot as u8 }))
        });
        let Some((distance, place)) = free.filter(|_| self.len < self.capacity) else {
            return Err(InsertError::Full);
        };
        self.put(place, home, distance, key, top(key) | value);
        self.len += 1;
        Ok(None)
    }

    /// Gives a key that is there this value, and returns the one it had. `None` where the key is not
    /// there or the value is none: nothing has changed then.
    pub fn update(&mut self, key: PackedKey, value: u32) -> Option<u32> {
        if value == 0 || value > VALUE_MAX {
            return None;
        }
        let mut old = None;
        // The copy that is found first is changed first: who has seen the new value does not see the old
        // one afterwards.
        for (.., slot) in self.copies(key) {
            old = old.or(Some(slot.value.load(Ordering::Relaxed) & REST));
            // Release as in `put`.
            slot.value.store(top(key) | value, Ordering::Release);
        }
        old
    }

    /// Removes a key, and returns the value it had.
    pub fn remove(&mut self, key: PackedKey) -> Option<u32> {
        let home = self.shared.home(key);
        let mut copies = [None; 2];
        for (place, (distance, found, slot)) in copies.iter_mut().zip(self.copies(key)) {
            *place = Some((distance, found, slot.value.load(Ordering::Relaxed) & REST));
        }
        // The first one first, as in `update`.
        for &(distance, place, _) in copies.iter().flatten() {
            self.kill(place, home, distance);
        }
        let (_, _, value) = copies.first().copied().flatten()?;
        self.len -= 1;
        Some(value)
    }

    /// Asks for the lines that [`Self::insert`], [`Self::remove`] and [`Self::get`] of this key begin
    /// with.
    #[inline]
    pub fn prefetch(&self, key: PackedKey) {
        self.shared.prefetch(self.shared.home(key));
    }

    /// What is to be done once in a while, best in every round of the writer's loop: slots of removed
    /// entries become free when every reader has passed a quiescent point, and entries move closer to
    /// where they are looked for first. A bounded amount of work, none where nothing was removed.
    pub fn reclaim(&mut self) {
        self.await_readers();
        if self.awaited.is_none() && self.closed.is_empty() && self.dirty {
            std::mem::swap(&mut self.open, &mut self.closed);
            self.generation = after(self.generation);
            self.dirty = false;
            self.age();
            self.awaited = Some(self.epochs.advance());
            // Nobody may be online.
            self.await_readers();
        }
        if self.awaited.is_some() {
            return;
        }
        for _ in 0..BUDGET {
            let Some(place) = self.closed.pop() else { break };
            self.see_to(place);
        }
        if !self.closed.is_empty() {
            // No sweep yet: an entry that is in two places does not move again.
            return;
        }
        for _ in 0..SWEEP.min(self.sweep) {
            if self.open.len() + SLOTS > self.open.capacity() {
                break;
            }
            self.sweep -= 1;
            self.fill_line(self.sweep);
        }
        if self.sweep == 0 && std::mem::take(&mut self.moved) {
            self.sweep = self.shared.lines();
        }
    }

    fn await_readers(&mut self) {
        if self.awaited.is_some_and(|epoch| self.epochs.safe() >= epoch) {
            self.awaited = None;
            self.usable = before(self.generation);
        }
    }

    /// Takes the generation from removed entries of one line: a generation may be used again when it
    /// comes round, for every line has had its turn since.
    fn age(&mut self) {
        let line = self.shared.line(self.aged);
        for slot in line.into_iter().flat_map(Line::slots) {
            if self.is_usable(slot) && slot.value.load(Ordering::Relaxed) != 0 {
                slot.value.store(0, Ordering::Relaxed);
            }
        }
        self.aged = if self.aged + 1 < self.shared.lines() { self.aged + 1 } else { 0 };
    }

    /// The slots in which a key lies, from its home on: none, one, or two while it moves.
    fn copies(&self, key: PackedKey) -> impl Iterator<Item = (usize, Place, Slot<'_>)> {
        let mut over = false;
        let lines = self.shared.way(self.shared.home(key)).enumerate();
        lines
            .map_while(move |(distance, index)| {
                // Before the line is touched: it may be in no cache.
                if over {
                    return None;
                }
                let line = self.shared.line(index)?;
                over = line.ends();
                Some((distance, index, line))
            })
            .filter_map(move |(distance, index, line)| {
                let slot = line.slots().position(|slot| holds(slot, key))?;
                Some((distance, Place { line: index as u32, slot: slot as u8 }, line.slot(slot)?))
            })
    }

    /// Whether an entry of any key may be written to a slot.
    fn is_usable(&self, slot: Slot<'_>) -> bool {
        // 0 is of no generation: never used, or long since.
        let value = slot.value.load(Ordering::Relaxed);
        value & LIVE == 0 && (value == 0 || self.usable.wrapping_sub(value) & REST < HALF)
    }

    fn slot(&self, place: Place) -> Option<Slot<'_>> {
        self.shared.line(place.line as usize)?.slot(usize::from(place.slot))
    }

    /// Entries that passed a line.
    fn passed(&self, line: usize) -> u32 {
        self.shared.line(line).map_or(0, Line::passed)
    }

    /// Writes an entry to a usable slot at this distance from its home.
    fn put(&mut self, place: Place, home: usize, distance: usize, key: PackedKey, value: u32) {
        // First: who sees the entry must not stop before it.
        self.pass(home, distance);
        if let Some(slot) = self.slot(place) {
            slot.key.store(key.bits(), Ordering::Relaxed);
            // Release pairs with the Acquire load in `Slot::load`: the key is there before its value.
            slot.value.store(value, Ordering::Release);
        }
    }

    /// Takes an entry out of a slot at this distance from its home.
    fn kill(&mut self, place: Place, home: usize, distance: usize) {
        if let Some(slot) = self.slot(place) {
            // Release orders it before the epoch that makes the slot usable, and before whatever tells
            // others of the removal.
            slot.value.store(self.generation, Ordering::Release);
        }
        self.dirty = true;
        if self.passed(place.line as usize) > 0 {
            self.remember(place);
        }
        self.unpass(home, distance);
    }

    /// Counts one entry more that passes the lines before this distance from its home.
    fn pass(&mut self, home: usize, distance: usize) {
        self.each_before(home, distance, |writer, line| {
            let count = writer.passed(line);
            if let Some(line) = writer.shared.line(line) {
                line.set_passed(count + 1);
            }
            if count == 0 {
                // The line was passed because its free slots are not usable yet.
                for slot in 0..SLOTS {
                    let place = Place { line: line as u32, slot: slot as u8 };
                    if writer.slot(place).is_some_and(|slot| !is_live(slot)) {
                        writer.remember(place);
                    }
                }
            }
        });
    }

    /// Counts one less.
    fn unpass(&mut self, home: usize, distance: usize) {
        self.each_before(home, distance, |writer, line| {
            if let Some(line) = writer.shared.line(line) {
                line.set_passed(line.passed().saturating_sub(1));
            }
        });
    }

    fn each_before(&mut self, home: usize, distance: usize, mut each: impl FnMut(&mut Self, usize)) {
        let mut line = home;
        for next in 1..=distance {
            each(self, line);
            line = self.shared.step(line, next);
        }
    }

    /// Will see to a place when this generation is over.
    fn remember(&mut self, place: Place) {
        self.dirty = true;
        if self.open.len() < self.open.capacity() {
            self.open.push(place);
        } else {
            self.sweep = self.shared.lines();
        }
    }

    /// Does what is to be done at a place that was remembered.
    fn see_to(&mut self, place: Place) {
        let Some(slot) = self.slot(place) else { return };
        if !is_live(slot) {
            self.fill(place);
            return;
        }
        // Every reader finds the copy that is nearer to home.
        let key = key_of(slot);
        let mut copies = self.copies(key).map(|(distance, found, _)| (distance, found));
        let (nearer, second) = (copies.next(), copies.next());
        drop(copies);
        let farther = nearer.and(second).filter(|(_, found)| *found == place);
        if let Some((distance, _)) = farther {
            self.kill(place, self.shared.home(key), distance);
        }
    }

    fn fill_line(&mut self, line: usize) {
        for slot in 0..SLOTS {
            self.moved |= self.fill(Place { line: line as u32, slot: slot as u8 });
        }
    }

    /// Copies an entry that passed the line of a usable slot into it; says whether there was one.
    fn fill(&mut self, place: Place) -> bool {
        let line = place.line as usize;
        // The old place must be remembered: nothing else would ever remove it.
        if self.passed(line) == 0 || self.open.len() == self.open.capacity() {
            return false;
        }
        if !self.slot(place).is_some_and(|slot| self.is_usable(slot)) {
            return false;
        }
        let (old, key, value) = match self.passer_of(line) {
            Passer::Waits(old, key, value) => (old, key, value),
            Passer::Moves => {
                // It may come here next.
                self.remember(place);
                return false;
            }
            Passer::None => return false,
        };
        let home = self.shared.home(key);
        let Some(distance) = self.shared.distance(home, line) else { return false };
        self.put(place, home, distance, key, value);
        self.remember(old);
        true
    }

    /// An entry near by that passed this line.
    fn passer_of(&self, line: usize) -> Passer {
        let mut found = Passer::None;
        let lines = self.shared.lines();
        let far = (1..=FAR).map(|distance| distance * (distance + 1) / 2).skip_while(|&apart| apart <= REACH);
        for apart in (1..=REACH).chain(far).take_while(|&apart| apart < lines) {
            let index = line + apart;
            let index = if index >= lines { index - lines } else { index };
            let slots = self.shared.line(index).into_iter().flat_map(Line::slots);
            for (number, slot) in slots.enumerate() {
                let value = slot.value.load(Ordering::Relaxed);
                if value & LIVE == 0 {
                    continue;
                }
                let key = key_of(slot);
                let home = self.shared.home(key);
                let here = self.shared.distance(home, index);
                let passed = self.shared.distance(home, line).is_some_and(|there| Some(there) < here);
                if !passed {
                    continue;
                }
                if self.copies(key).nth(1).is_none() {
                    return Passer::Waits(Place { line: index as u32, slot: number as u8 }, key, value);
                }
                found = Passer::Moves;
            }
        }
        found
    }
}

/// What tests look at.
#[cfg(test)]
impl Writer {
    pub(super) fn home_of(&self, key: PackedKey) -> usize {
        self.shared.home(key)
    }

    #[cfg(loom)]
    pub(super) fn is_at_home(&self, key: PackedKey) -> bool {
        self.copies(key).map(|(distance, ..)| distance).eq([0])
    }
}

#[cfg(not(loom))]
#[cfg(test)]
impl Writer {
    pub(super) fn lines(&self) -> usize {
        self.shared.lines()
    }

    /// Lines that a look-up reads, in the mean of these keys.
    pub(super) fn mean_lines(&self, keys: &[PackedKey]) -> f64 {
        let lines_of = |key: PackedKey| {
            let way = self.shared.way(self.shared.home(key));
            let goes_on = |&line: &usize| {
                let line = self.shared.line(line).unwrap();
                line.value_of(key, super::line::OneByOne) == 0 && !line.ends()
            };
            1 + way.take_while(goes_on).count().min(self.shared.probes() - 1)
        };
        keys.iter().map(|&key| lines_of(key)).sum::<usize>() as f64 / keys.len() as f64
    }

    /// The counts of passers are what the entries say, every free slot says what its line's count says,
    /// and a key lies in two places only while one of them is remembered.
    pub(super) fn check(&self) {
        let mut passed = vec![0_u32; self.shared.lines()];
        let mut places = std::collections::HashMap::<_, Vec<Place>>::new();
        for line in 0..self.shared.lines() {
            for (number, slot) in self.shared.line(line).unwrap().slots().enumerate() {
                if !is_live(slot) {
                    continue;
                }
                let key = key_of(slot);
                let home = self.shared.home(key);
                let distance = self.shared.distance(home, line).unwrap();
                self.shared.way(home).take(distance).for_each(|line| passed[line] += 1);
                places.entry(key).or_default().push(Place { line: line as u32, slot: number as u8 });
            }
        }
        assert!((0..self.shared.lines()).all(|line| self.passed(line) == passed[line]));
        assert_eq!(places.len(), self.len);
        for places in places.values().filter(|places| places.len() > 1) {
            assert_eq!(places.len(), 2);
            assert!(places.iter().any(|place| self.open.contains(place) || self.closed.contains(place)));
        }
    }

    /// As if every line had been seen to in one of very many generations.
    pub(super) fn come_round(&mut self) {
        for _ in 0..self.shared.lines() {
            self.age();
        }
        self.generation = if self.generation > HALF { 1 } else { REST };
        self.usable = before(self.generation);
    }
}

const fn after(generation: u32) -> u32 {
    if generation == REST { 1 } else { generation + 1 }
}

const fn before(generation: u32) -> u32 {
    if generation == 1 { REST } else { generation - 1 }
}

fn is_live(slot: Slot<'_>) -> bool {
    slot.value.load(Ordering::Relaxed) & LIVE != 0
}

fn key_of(slot: Slot<'_>) -> PackedKey {
    let v6 = slot.value.load(Ordering::Relaxed) & V6 != 0;
    PackedKey::new(slot.key.load(Ordering::Relaxed), v6)
}

/// Whether a slot was this key's, and nobody's since. An entry of the key may be written to it without
/// a grace period: nothing about it changes but the value.
fn is_left(slot: Slot<'_>, key: PackedKey) -> bool {
    !is_live(slot) && slot.key.load(Ordering::Relaxed) == key.bits()
}

fn holds(slot: Slot<'_>, key: PackedKey) -> bool {
    slot.value.load(Ordering::Relaxed) & !REST == top(key) && slot.key.load(Ordering::Relaxed) == key.bits()
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("len", &self.len)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}
