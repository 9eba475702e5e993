//! `[state]`: sessions outlive the run. They are back before the first packet, and a thread writes what
//! changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::thread::{self, JoinHandle, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use balance::ClusterKey;
use control::{Checkpoint, Clock, Config, Damage, Event, Events, Origin, StateError, Store};
use pipeline::{Archive, Chunk, Part, Restored, SavedSession, Tracker};
use types::ProbeId;

use super::feed::{Change, Feed, Kept};

use crate::failure::{self, Failure};

/// The folder is read while ports are being started.
pub(super) struct Opening {
    dir: PathBuf,
    since: Instant,
    reading: JoinHandle<Result<Read, StateError>>,
}

/// What was in it.
pub(super) struct Found {
    dir: PathBuf,
    since: Instant,
    read: Read,
}

struct Read {
    store: Store,
    damage: Vec<Damage>,
    checkpoint_missing: bool,
    sessions: Vec<SavedSession>,
    /// Entries of the feed, by number.
    identities: Vec<(u32, Kept)>,
    /// Records that are no session.
    unreadable: usize,
}

/// Begins to read what the run before has left. `None` without `[state]`.
pub(super) fn open(config: &Config, cluster: &ClusterKey) -> Result<Option<Opening>, Failure> {
    let Some(dir) = config.state.dir.clone() else { return Ok(None) };
    let since = Instant::now();
    let origin = Origin {
        cluster: cluster.fingerprint(),
        probes: config.probes.iter().map(|probe| probe.name.clone()).collect(),
    };
    let of = dir.clone();
    let reading = thread::Builder::new().name("state".to_owned()).spawn(move || read(&of, origin));
    let reading = reading.map_err(|error| Failure::work(format_args!("cannot start a thread: {error}")))?;
    Ok(Some(Opening { dir, since, reading }))
}

fn read(dir: &Path, origin: Origin) -> Result<Read, StateError> {
    let names = origin.probes.clone();
    let (store, loaded) = Store::open(dir, origin)?;
    // Where each probe of an earlier configuration is in this one.
    let now_of = |earlier: &Vec<String>| -> Vec<Option<ProbeId>> {
        let place = |name: &String| names.iter().position(|probe| probe == name);
        earlier.iter().map(|name| place(name).and_then(|at| u8::try_from(at).ok()).map(ProbeId)).collect()
    };
    let probes: Vec<_> = loaded.probes.iter().map(now_of).collect();
    let found = loaded.sessions.len();
    let decode = |(number, (file, bytes)): (u32, (usize, Vec<u8>))| {
        let probes = probes.get(file)?;
        let now = |probe: ProbeId| probes.get(usize::from(probe.0)).copied().flatten();
        // Of another kind, which a later snipe has written.
        if number & KINDS == 0 { SavedSession::decode(number, &bytes, now) } else { None }
    };
    let (of_feed, of_sessions): (Vec<_>, Vec<_>) =
        loaded.sessions.into_iter().partition(|(number, _)| number & KINDS == IDENTITIES);
    let sessions: Vec<SavedSession> = of_sessions.into_iter().filter_map(decode).collect();
    let identities = of_feed.into_iter();
    let identities: Vec<_> = identities
        .filter_map(|(number, (_, bytes))| Some((number & !KINDS, Kept::decode(&bytes)?)))
        .collect();
    let unreadable = found - sessions.len() - identities.len();
    let checkpoint_missing = loaded.checkpoint_missing;
    Ok(Read { store, damage: loaded.damage, checkpoint_missing, unreadable, sessions, identities })
}

impl Opening {
    /// Waits until it was read.
    pub(super) fn wait(self) -> Result<Found, Failure> {
        let Self { dir, since, reading } = self;
        let read =
            reading.join().map_err(|_| Failure::work("the thread that reads [state] dir has failed"))?;
        let read = read.map_err(|error| match error {
            StateError::Version { .. } | StateError::ClusterKey(_) => Failure::input(failure::chain(&error)),
            _ => Failure::work(failure::chain(&error)),
        })?;
        for damage in &read.damage {
            tracing::error!(
                "{}: damaged at byte {}; kept as {0}.damaged, and what can be read of it is used",
                damage.path.display(),
                damage.offset
            );
        }
        if read.checkpoint_missing {
            tracing::error!(
                "{}: the checkpoint is gone: of an earlier run only what its journals tell is known",
                dir.display()
            );
        }
        Ok(Found { dir, since, read })
    }
}

impl Found {
    /// Whether an operator's feed had told something.
    pub(super) fn has_identities(&self) -> bool {
        !self.read.identities.is_empty()
    }

    /// Gives the tracker its sessions back.
    pub(super) fn restore(self, config: &Config, tracker: Option<&mut Tracker>) -> (Store, Vec<(u32, Kept)>) {
        let Self { dir, since, read } = self;
        let Read { store, damage, checkpoint_missing, sessions, identities, unreadable } = read;
        let Some(tracker) = tracker else { return (store, identities) };
        let now_ns = now_ns(config, &sessions);
        let restored = tracker.restore(sessions, now_ns);
        if restored != Restored::default() || !damage.is_empty() || checkpoint_missing {
            tracing::info!(
                "{}: {} sessions of an earlier run are back after {:.2} s",
                dir.display(),
                restored.sessions,
                since.elapsed().as_secs_f64()
            );
        }
        let missing = [
            (restored.probe_gone, "go on at another probe: theirs is not in the configuration any more"),
            (restored.idle, "have been idle for too long"),
            (restored.no_room, "find no room: raise sessions_max in [tracker]"),
            (unreadable as u64, "are not of a form that this snipe knows"),
        ];
        for (count, why) in missing.into_iter().filter(|(count, _)| *count > 0) {
            tracing::warn!("{}: {count} sessions of an earlier run {why}", dir.display());
        }
        if restored.tunnels_full > 0 {
            tracing::warn!(
                "{}: {} tunnels of these sessions find no room: raise tunnels_max in [tracker]",
                dir.display(),
                restored.tunnels_full
            );
        }
        (store, identities)
    }
}

/// The time by which idle sessions are told: the engine's. Where that is the packets', no packet has told it
/// yet; the last sign of life of any session is the best there is.
fn now_ns(config: &Config, sessions: &[SavedSession]) -> u64 {
    if config.ports.iter().all(|port| port.clock == Clock::Packet) {
        return sessions.iter().map(SavedSession::active_ns).max().unwrap_or(0);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// The upper bits of a record's number tell its kind: those of sessions are 0.
const KINDS: u32 = 0xf000_0000;
/// Entries of an operator's feed.
const IDENTITIES: u32 = 0x8000_0000;
/// Bytes of records that are written at a time.
const PART_BYTES: usize = 64 << 10;

/// What is kept, and where.
pub(super) struct Keeping {
    pub(super) store: Store,
    pub(super) archive: Archive,
    pub(super) feed: Arc<Feed>,
    pub(super) changes: Receiver<Change>,
}

/// Adds the record of an entry of the feed.
fn put(records: &mut Vec<u8>, (number, bytes): &Change) {
    records.extend((number | IDENTITIES).to_le_bytes());
    records.extend((bytes.len() as u32).to_le_bytes());
    records.extend(bytes);
}

/// How often what has changed is written.
const EVERY: Duration = Duration::from_millis(10);
/// After a disk has refused, how long until it is asked again.
const AGAIN: Duration = Duration::from_secs(10);

/// The checkpoint in hand.
#[derive(Default)]
enum Sweep {
    #[default]
    None,
    Writing(Checkpoint),
    /// It was given up: what still comes for it is thrown away.
    GivenUp,
}

/// Writes what the tracker hands out.
struct Writing<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    store: Store,
    archive: Archive,
    sweep: Sweep,
    feed: Arc<Feed>,
    changes: Receiver<Change>,
    events: &'env Events,
    /// Waits for the disk to have a whole checkpoint.
    completing: Option<ScopedJoinHandle<'scope, Result<u64, StateError>>>,
    /// Since when nothing is written, because the disk has refused.
    broken: Option<Instant>,
    too_long: u64,
}

/// Writes until `stop` is set and everything is written. `stop` is to be set when the cores have ended.
pub(super) fn write<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    Keeping { store, archive, feed, changes }: Keeping,
    events: &'env Events,
    stop: &AtomicBool,
) {
    let mut writing = Writing {
        scope,
        store,
        archive,
        feed,
        changes,
        events,
        sweep: Sweep::None,
        completing: None,
        broken: None,
        too_long: 0,
    };
    // What an earlier run has left becomes one checkpoint: its journals are not read again.
    writing.begin();
    loop {
        // Read before the round: what was handed out until then is written by it.
        let last = stop.load(Ordering::Acquire);
        writing.round();
        if last {
            return;
        }
        thread::sleep(EVERY);
    }
}

impl Writing<'_, '_> {
    fn round(&mut self) {
        while let Some(chunk) = self.archive.take() {
            let written = self.put(&chunk);
            self.archive.give_back(chunk);
            if let Err(error) = written {
                self.fail(&error);
            }
        }
        if let Err(error) = self.put_fed() {
            self.fail(&error);
        }
        if let Some(completing) = self.completing.take_if(|completing| completing.is_finished()) {
            match completing.join() {
                Ok(Ok(bytes)) => self.store.completed(bytes),
                Ok(Err(error)) => self.fail(&error),
                Err(_) => tracing::error!("the thread that completes a checkpoint has failed"),
            }
        }
        if self.archive.too_long() != self.too_long {
            self.too_long = self.archive.too_long();
            tracing::warn!(
                "sessions with thousands of rules are not kept across a restart: {} so far",
                self.too_long
            );
        }
        let wants = match self.broken {
            Some(since) => since.elapsed() >= AGAIN,
            None => self.store.is_long(),
        };
        if wants && matches!(self.sweep, Sweep::None) && self.completing.is_none() {
            self.begin();
        }
    }

    /// What has changed of the feed.
    fn put_fed(&mut self) -> Result<(), StateError> {
        let mut records = Vec::new();
        while let Ok(change) = self.changes.try_recv() {
            put(&mut records, &change);
            if records.len() >= PART_BYTES {
                self.append(&std::mem::take(&mut records))?;
            }
        }
        self.append(&records)
    }

    fn append(&mut self, records: &[u8]) -> Result<(), StateError> {
        // A checkpoint that is begun later has all of it.
        if self.broken.is_some() { Ok(()) } else { self.store.append(records) }
    }

    /// All that the feed has told goes to a checkpoint.
    fn put_all_fed(&self, checkpoint: &mut Checkpoint) -> Result<(), StateError> {
        let mut records = Vec::new();
        for change in self.feed.all() {
            put(&mut records, &change);
            if records.len() >= PART_BYTES {
                checkpoint.append(&std::mem::take(&mut records))?;
            }
        }
        checkpoint.append(&records)
    }

    fn put(&mut self, chunk: &Chunk) -> Result<(), StateError> {
        match (chunk.part(), &mut self.sweep) {
            // A checkpoint that is begun later has all of it.
            (Part::Changes, _) if self.broken.is_some() => Ok(()),
            (Part::Changes, _) => self.store.append(chunk.records()),
            (Part::All, Sweep::Writing(checkpoint)) => checkpoint.append(chunk.records()),
            (Part::LastOfAll, sweep) => {
                if let Sweep::Writing(mut checkpoint) = std::mem::take(sweep) {
                    checkpoint.append(chunk.records())?;
                    self.completing = Some(self.scope.spawn(move || checkpoint.complete()));
                }
                Ok(())
            }
            (Part::All, _) => Ok(()),
        }
    }

    fn begin(&mut self) {
        let begun = self.store.begin().and_then(|mut checkpoint| {
            self.put_all_fed(&mut checkpoint)?;
            Ok(checkpoint)
        });
        match begun {
            Ok(checkpoint) => {
                if self.broken.take().is_some() {
                    tracing::info!("[state] dir: sessions are kept again");
                    self.events.tell_now(Event::State { ok: true, message: None });
                }
                self.sweep = Sweep::Writing(checkpoint);
                self.archive.ask_for_all();
            }
            Err(error) => self.fail(&error),
        }
    }

    /// What is on the disk stays as it is, and can be started from. A journal may end in the middle of a
    /// record now, so that nothing must be written behind it: it goes on with a new one.
    fn fail(&mut self, error: &StateError) {
        if self.broken.is_none() {
            let message = failure::chain(error);
            tracing::error!(
                "{message}; sessions are not kept until the disk takes them again: tried every {} s",
                AGAIN.as_secs()
            );
            self.events.tell_now(Event::State { ok: false, message: Some(&message) });
        }
        self.broken = Some(Instant::now());
        if matches!(self.sweep, Sweep::Writing(_)) {
            self.sweep = Sweep::GivenUp;
        }
    }
}
