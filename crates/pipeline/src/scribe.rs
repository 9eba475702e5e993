//! Sessions on their way to a disk. The tracker writes what has changed into chunks, a bounded number of
//! sessions in a tick; another thread takes the chunks and gives them back empty. Where none is free, what
//! has changed waits, and is written once, however often it changes meanwhile: nothing is lost, and the
//! tracker never waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cpu::{Consumer, Producer};
use session::{Saved, SessionId, Sessions};
use types::{ProbeId, Verdict};

use crate::stay::Ground;
use crate::tracker::Verdicts;

/// What the sessions in a chunk are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// Those that have changed.
    #[default]
    Changes,
    /// Some of all that there are, asked for with [`Archive::ask_for_all`].
    All,
    /// The last of them.
    LastOfAll,
}

/// Some sessions, as bytes.
#[derive(Debug)]
pub struct Chunk {
    part: Part,
    bytes: Box<[u8]>,
    filled: usize,
}

/// Bytes of a chunk: more than any one session needs.
const CHUNK_BYTES: usize = 64 << 10;
/// Chunks there are.
const CHUNKS: usize = 64;
/// So many are left to what has changed while all sessions are written.
const CHUNKS_FOR_CHANGES: usize = CHUNKS / 2;
/// Sessions written in a tick, of each part: about a hundred microseconds.
const CHANGES_A_TICK: usize = 256;
const ALL_A_TICK: u32 = 64;
/// Number and length of a record.
const HEAD: usize = 8;
/// Bits of the verdict and of its ground that stand before what a session saves.
const VERDICT: usize = 4;

/// What came of a session.
enum Put {
    Done,
    /// It is for the next chunk.
    NoRoom,
    /// It is longer than a chunk.
    TooLong,
}

impl Chunk {
    fn new() -> Self {
        Self { part: Part::Changes, bytes: vec![0; CHUNK_BYTES].into(), filled: 0 }
    }

    /// What its sessions are.
    #[must_use]
    pub const fn part(&self) -> Part {
        self.part
    }

    /// Records, each: number of the session (4), length of what follows (4; 0: there is no such session any
    /// more), bytes that [`SavedSession::decode`] reads. Integers are little-endian.
    #[must_use]
    pub fn records(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    fn put(&mut self, sessions: &Sessions, verdicts: &Verdicts, session: SessionId, ended_too: bool) -> Put {
        let Some(place) = self.bytes.get_mut(self.filled..) else { return Put::NoRoom };
        let Some((head, place)) = place.split_at_mut_checked(HEAD) else { return Put::NoRoom };
        let Some((verdict, place)) = place.split_at_mut_checked(VERDICT) else { return Put::NoRoom };
        let mut length = 0;
        if let Some(bytes) = sessions.save(session, place) {
            if bytes > place.len() {
                return if self.filled == 0 { Put::TooLong } else { Put::NoRoom };
            }
            verdict.copy_from_slice(&verdicts.word(session).to_le_bytes());
            length = VERDICT + bytes;
        } else if !ended_too {
            return Put::Done;
        }
        let (number, bytes) = head.split_at_mut(HEAD / 2);
        number.copy_from_slice(&session.0.to_le_bytes());
        bytes.copy_from_slice(&(length as u32).to_le_bytes());
        self.filled += HEAD + length;
        Put::Done
    }
}

/// The side that keeps: it takes chunks, and gives them back.
#[derive(Debug)]
pub struct Archive {
    full: Consumer<Box<Chunk>>,
    empty: Producer<Box<Chunk>>,
    shared: Arc<Shared>,
    asked: u64,
}

/// What both sides see besides chunks.
#[derive(Debug, Default)]
struct Shared {
    /// How often all sessions were asked for.
    asked: AtomicU64,
    /// Sessions longer than a chunk.
    too_long: AtomicU64,
}

/// [`Archive`] is gone: nobody takes chunks any more.
const CLOSED: u64 = u64::MAX;

impl Archive {
    /// Asks for all sessions that there are: they come besides what changes, [`Part::LastOfAll`] at the end.
    pub fn ask_for_all(&mut self) {
        self.asked += 1;
        self.shared.asked.store(self.asked, Ordering::Relaxed);
    }

    /// How often a session was not written because it is longer than a chunk: somebody has given it
    /// thousands of rules.
    #[must_use]
    pub fn too_long(&self) -> u64 {
        self.shared.too_long.load(Ordering::Relaxed)
    }

    /// The next chunk, in the order in which they were written. To be given back.
    pub fn take(&mut self) -> Option<Box<Chunk>> {
        self.full.pop()
    }

    /// It was read.
    pub fn give_back(&mut self, chunk: Box<Chunk>) {
        // There are as many places as chunks.
        let _ = self.empty.push(chunk);
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        self.shared.asked.store(CLOSED, Ordering::Relaxed);
    }
}

/// The side that writes.
pub(crate) struct Scribe {
    full: Producer<Box<Chunk>>,
    empty: Consumer<Box<Chunk>>,
    shared: Arc<Shared>,
    answered: u64,
    /// Where to look for the next change.
    next: SessionId,
    /// The next of all sessions, while they are written, and the chunk they are written to.
    all: Option<u32>,
    all_chunk: Option<Box<Chunk>>,
}

pub(crate) fn scribe() -> (Archive, Scribe) {
    let (full_in, full) = cpu::ring(CHUNKS);
    let (mut empty_in, empty) = cpu::ring(CHUNKS);
    empty_in.push_from(&mut (0..CHUNKS).map(|_| Box::new(Chunk::new())));
    let shared = Arc::new(Shared::default());
    let archive = Archive { full, empty: empty_in, shared: Arc::clone(&shared), asked: 0 };
    let scribe =
        Scribe { full: full_in, empty, shared, answered: 0, next: SessionId(0), all: None, all_chunk: None };
    (archive, scribe)
}

impl Scribe {
    /// Writes some of what is to be written. Returns whether no change is left.
    pub(crate) fn write(&mut self, sessions: &mut Sessions, verdicts: &Verdicts) -> bool {
        let asked = self.shared.asked.load(Ordering::Relaxed);
        if asked == CLOSED {
            return true;
        }
        let done = self.write_changes(sessions, verdicts);
        self.write_all(asked, sessions, verdicts);
        done
    }

    fn write_changes(&mut self, sessions: &mut Sessions, verdicts: &Verdicts) -> bool {
        let mut chunk: Option<Box<Chunk>> = None;
        for _ in 0..CHANGES_A_TICK {
            let Some(session) = sessions.next_changed(self.next) else { break };
            let Some(open) = chunk.take().or_else(|| self.take_empty(Part::Changes)) else { return false };
            let open = chunk.insert(open);
            match open.put(sessions, verdicts, session, true) {
                Put::Done => {}
                Put::NoRoom => {
                    self.send(chunk.take());
                    continue;
                }
                Put::TooLong => {
                    self.shared.too_long.fetch_add(1, Ordering::Relaxed);
                }
            }
            sessions.take_changed(session);
            self.next = SessionId(session.0.wrapping_add(1));
        }
        self.send(chunk);
        sessions.next_changed(self.next).is_none()
    }

    fn write_all(&mut self, asked: u64, sessions: &Sessions, verdicts: &Verdicts) {
        if asked != self.answered {
            self.answered = asked;
            self.all = Some(1);
            // What was begun for an earlier question answers nothing any more; the chunk is used again.
            self.all_chunk.iter_mut().for_each(|chunk| chunk.filled = 0);
        }
        let Some(from) = self.all else { return };
        let end = sessions.numbers();
        let mut number = from;
        while number < end.min(from + ALL_A_TICK) {
            let Some(mut chunk) = self.all_chunk.take().or_else(|| self.take_for_all()) else { break };
            match chunk.put(sessions, verdicts, SessionId(number), false) {
                // What is too long was counted when it changed.
                Put::Done | Put::TooLong => {
                    number += 1;
                    self.all_chunk = Some(chunk);
                }
                Put::NoRoom => self.send(Some(chunk)),
            }
        }
        self.all = Some(number);
        if number < end {
            return;
        }
        if let Some(mut chunk) = self.all_chunk.take().or_else(|| self.take_for_all()) {
            chunk.part = Part::LastOfAll;
            self.all = None;
            self.send(Some(chunk));
        }
    }

    fn take_for_all(&mut self) -> Option<Box<Chunk>> {
        let spare = self.empty.available(CHUNKS_FOR_CHANGES + 1) > CHUNKS_FOR_CHANGES;
        if spare { self.take_empty(Part::All) } else { None }
    }

    fn take_empty(&mut self, part: Part) -> Option<Box<Chunk>> {
        let mut chunk = self.empty.pop()?;
        (chunk.part, chunk.filled) = (part, 0);
        Some(chunk)
    }

    fn send(&mut self, chunk: Option<Box<Chunk>>) {
        if let Some(chunk) = chunk {
            // There are as many places as chunks.
            let _ = self.full.push(chunk);
        }
    }
}

/// A session of an earlier run.
#[derive(Clone, Debug)]
pub struct SavedSession {
    pub(crate) session: SessionId,
    pub(crate) verdict: Verdict,
    pub(crate) ground: Ground,
    pub(crate) saved: Saved,
    /// It had a probe that is not there any more.
    pub(crate) probe_gone: bool,
}

impl SavedSession {
    /// Reads a record of [`Chunk::records`]. `probe_now`: what a probe's number of that run is in this one.
    /// `None` where it is no record.
    #[must_use]
    pub fn decode(number: u32, bytes: &[u8], probe_now: impl Fn(ProbeId) -> Option<ProbeId>) -> Option<Self> {
        let (verdict, saved) = bytes.split_first_chunk::<VERDICT>()?;
        let word = u32::from_le_bytes(*verdict);
        let (verdict, ground) = (Verdict::from_bits(word), Ground::from_bits(word));
        let saved = Saved::decode(saved)?;
        // Where the first choice is no more, the choice is made anew.
        let decided = verdict.is_some();
        let verdict = match (probe_now(verdict.first()), probe_now(verdict.second())) {
            (Some(first), second) if decided => Verdict::new(verdict.owner(), first, second.unwrap_or(first)),
            _ => Verdict::NONE,
        };
        let probe_gone = decided && !verdict.is_some();
        Some(Self { session: SessionId(number), verdict, ground, saved, probe_gone })
    }

    /// When it last showed that it lives: nanoseconds since 1970.
    #[must_use]
    pub fn active_ns(&self) -> u64 {
        self.saved.active_ns()
    }
}

/// What came of the sessions of an earlier run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// They go on.
    pub sessions: u64,
    /// Their idle time was over.
    pub idle: u64,
    /// There was no room for them: `sessions_max` is lower than it was.
    pub no_room: u64,
    /// Tunnels of sessions that go on, but for which there was no room: `tunnels_max` is lower than it was.
    pub tunnels_full: u64,
    /// Sessions that go on at another probe: theirs is not there any more.
    pub probe_gone: u64,
}
