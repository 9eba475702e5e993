//! The folder of `[state]`: a checkpoint and journals that a run can be started from again.
//!
//! ```text
//! checkpoint        all sessions as of the start of generation G
//! journal.G ...     what has changed since, one file for each generation from G on
//! checkpoint.new    the next checkpoint while it is written; at the start it is removed
//! journal.new       a journal before its header is whole
//! lock              locked while a run uses the folder
//! ```
//!
//! A file is a header and frames: length (4), CRC-32 (4) of what follows, sequence number (8), payload. A
//! payload is records: number of the session (4), length (4; 0: it is no more), bytes. The last record of
//! a number counts. Numbers of sessions are below 2^28; the four bits above tell another kind of record (8:
//! entries of an operator's feed), and one that is not known is left alone. All integers are little-endian. A checkpoint ends with an empty frame; it is complete
//! before it gets its name, so at every instant `checkpoint` and the journals together are startable.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

const MAGIC: &[u8; 8] = b"snipe\0st";
const VERSION: u32 = 1;
const FRAME: usize = 16;
/// Bytes of a payload: more is no length.
const PAYLOAD_MAX: usize = 1 << 20;
/// A journal larger than the checkpoint, twice, and this makes a new generation worth it.
const JOURNAL_BYTES: u64 = 64 << 20;

/// What must fit for the sessions of one run to be those of the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// A keyed hash of the cluster key.
    pub cluster: u64,
    /// The probes, in the order of the configuration.
    pub probes: Vec<String>,
}

/// Why a folder of state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The system refuses.
    #[error(
        "[state] dir: cannot {what} {path} (mend this, or choose another dir; without [state] nothing is kept \
         across a restart)"
    )]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Its reason.
        #[source]
        why: io::Error,
    },
    /// Another snipe has written it.
    #[error(
        "{path}: version {found} of the state is not known, this snipe writes {VERSION}; start the snipe that \
         wrote it, or move the file away to begin without sessions"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The cluster key is another one.
    #[error(
        "{0}: was written with another cluster_key; restore the key, or move the files of [state] dir away to \
         begin without sessions"
    )]
    ClusterKey(PathBuf),
    /// Another run uses it.
    #[error("{0}: another snipe uses it: stop that one, or give this one a `dir` of its own in [state]")]
    InUse(PathBuf),
}

/// A file that could not be read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file; it is kept under this name with `.damaged` behind it.
    pub path: PathBuf,
    /// The first byte that is wrong.
    pub offset: u64,
}

/// What a folder held.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Sessions by number: the place of their file's probes, and their bytes.
    pub sessions: BTreeMap<u32, (usize, Vec<u8>)>,
    /// The probes' names of each file.
    pub probes: Vec<Vec<String>>,
    /// What was wrong.
    pub damage: Vec<Damage>,
    /// Journals go on from a checkpoint that is not there.
    pub checkpoint_missing: bool,
}

/// The open folder. It is another run's when this is dropped.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    origin: Origin,
    generation: u64,
    journal: Output,
    checkpoint_bytes: u64,
    _lock: Flock<File>,
}

/// A checkpoint that is being written. Dropped before it is complete, it is nothing.
#[derive(Debug)]
pub struct Checkpoint {
    dir: PathBuf,
    generation: u64,
    output: Output,
}

#[derive(Debug)]
struct Output {
    path: PathBuf,
    file: File,
    bytes: u64,
    sequence: u64,
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    move |why| StateError::Io { what, path, why }
}

impl Output {
    fn create(path: PathBuf, generation: u64, origin: &Origin) -> Result<Self, StateError> {
        // It holds who subscribers are: for the owner's eyes only.
        step(&path)?;
        let options = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).clone();
        let file = options.open(&path).map_err(io_error("create", &path))?;
        let mut output = Self { path, file, bytes: 0, sequence: 0 };
        let mut fields = generation.to_le_bytes().to_vec();
        fields.extend(origin.cluster.to_le_bytes());
        for text in [env!("CARGO_PKG_VERSION")].into_iter().chain(origin.probes.iter().map(String::as_str)) {
            fields.extend((text.len() as u32).to_le_bytes());
            fields.extend(text.as_bytes());
        }
        let mut header = MAGIC.to_vec();
        header.extend(VERSION.to_le_bytes());
        header.extend((fields.len() as u32).to_le_bytes());
        header.extend(crc32fast::hash(&fields).to_le_bytes());
        header.extend(fields);
        output.write(&header)?;
        Ok(output)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StateError> {
        let whole = killed::after(bytes.len());
        let bytes = bytes.get(..whole.unwrap_or_else(|written| written)).unwrap_or(bytes);
        self.file.write_all(bytes).map_err(io_error("write", &self.path))?;
        if whole.is_err() {
            return Err(io_error("write", &self.path)(io::ErrorKind::Interrupted.into()));
        }
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn frame(&mut self, payload: &[u8]) -> Result<(), StateError> {
        self.sequence += 1;
        let mut frame = Vec::with_capacity(FRAME + payload.len());
        frame.extend((payload.len() as u32).to_le_bytes());
        frame.extend(crc(self.sequence, payload).to_le_bytes());
        frame.extend(self.sequence.to_le_bytes());
        frame.extend(payload);
        self.write(&frame)
    }
}

/// A change of the folder that is whole or not at all.
fn step(path: &Path) -> Result<(), StateError> {
    killed::after(1).map(drop).map_err(|_| io_error("change", path)(io::ErrorKind::Interrupted.into()))
}

/// A run that is killed: never, but in a test.
#[cfg(not(test))]
mod killed {
    /// How much of this is still done: all.
    #[expect(clippy::unnecessary_wraps, reason = "in a test it may be less")]
    pub(super) const fn after(units: usize) -> Result<usize, usize> {
        Ok(units)
    }
}

/// A run that is killed after so many bytes and steps.
#[cfg(test)]
mod killed {
    use std::cell::Cell;

    thread_local! {
        pub(super) static LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
    }

    pub(super) fn after(units: usize) -> Result<usize, usize> {
        let left = LEFT.get();
        LEFT.set(left.saturating_sub(units));
        if units <= left { Ok(units) } else { Err(left) }
    }
}

fn crc(sequence: u64, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&sequence.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*bytes))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*bytes))
}

struct Header {
    generation: u64,
    origin: Origin,
    bytes: usize,
}

/// The header of a file. `None` where it is cut or damaged.
fn header(path: &Path, bytes: &[u8]) -> Result<Option<Header>, StateError> {
    let known = bytes.starts_with(MAGIC);
    let Some(version) = word(bytes, 8).filter(|_| known) else { return Ok(None) };
    let read = || {
        let length = word(bytes, 12)? as usize;
        let end = 20_usize.checked_add(length)?;
        let fields = bytes.get(20..end).filter(|fields| word(bytes, 16) == Some(crc32fast::hash(fields)))?;
        let (generation, cluster, mut texts, mut at) = (long(fields, 0)?, long(fields, 8)?, Vec::new(), 16);
        while at < fields.len() {
            let length = word(fields, at)? as usize;
            let text = fields.get(at + 4..(at + 4).checked_add(length)?)?;
            texts.push(String::from_utf8(text.to_vec()).ok()?);
            at += 4 + length;
        }
        let probes = texts.split_off(texts.len().min(1));
        Some(Header { generation, origin: Origin { cluster, probes }, bytes: end })
    };
    let header = read();
    // With a right sum the version is what was written, not a damaged byte.
    if version != VERSION && header.is_some() {
        return Err(StateError::Version { path: path.to_owned(), found: version });
    }
    Ok(header.filter(|_| version == VERSION))
}

/// The frame at a place, where it is whole: its sequence number and payload.
fn frame_at(bytes: &[u8], at: usize) -> Option<(u64, &[u8])> {
    let length = word(bytes, at)? as usize;
    let (sum, sequence) = (word(bytes, at + 4)?, long(bytes, at + 8)?);
    let payload = bytes.get(at + FRAME..at + FRAME + length.min(PAYLOAD_MAX + 1))?;
    (payload.len() == length && crc(sequence, payload) == sum).then_some((sequence, payload))
}

impl Loaded {
    fn take(&mut self, payload: &[u8], file: usize) {
        let mut at = 0;
        while let (Some(number), Some(length)) = (word(payload, at), word(payload, at + 4)) {
            let Some(bytes) = payload.get(at + 8..at + 8 + length as usize) else { return };
            if bytes.is_empty() {
                self.sessions.remove(&number);
            } else {
                let (from, kept) = self.sessions.entry(number).or_default();
                *from = file;
                kept.clear();
                kept.extend_from_slice(bytes);
            }
            at += 8 + bytes.len();
        }
    }

    /// Reads the frames of a file. A journal may end in the middle of one: that is how a killed run ends.
    fn read(&mut self, path: &Path, bytes: &[u8], header: &Header, is_checkpoint: bool) {
        let file = self.probes.len();
        self.probes.push(header.origin.probes.clone());
        let (mut at, mut last, mut ended) = (header.bytes, 0_u64, false);
        let mut damage = None;
        while at < bytes.len() {
            if let Some((sequence, payload)) = frame_at(bytes, at).filter(|(sequence, _)| *sequence > last) {
                // A frame is missing without a wrong byte: a hole.
                if sequence != last + 1 {
                    damage.get_or_insert(at);
                }
                last = sequence;
                ended = payload.is_empty();
                self.take(payload, file);
                at += FRAME + payload.len();
                continue;
            }
            // The next whole frame that goes on with the numbers, if there is one.
            let plausible = |&next: &usize| {
                let sequence = long(bytes, next + 8);
                sequence.is_some_and(|sequence| sequence > last && sequence - last < 1 << 20)
                    && frame_at(bytes, next).is_some()
            };
            match (at + 1..bytes.len().saturating_sub(FRAME - 1)).find(plausible) {
                Some(next) => {
                    damage.get_or_insert(at);
                    at = next;
                }
                None => {
                    let cut = word(bytes, at).is_none_or(|length| bytes.len() - at < FRAME + length as usize);
                    if !cut || is_checkpoint {
                        damage.get_or_insert(at);
                    }
                    break;
                }
            }
        }
        if is_checkpoint && !ended {
            damage.get_or_insert(bytes.len());
        }
        if let Some(offset) = damage {
            self.damage.push(Damage { path: path.to_owned(), offset: offset as u64 });
        }
    }
}

impl Store {
    /// Reads what a folder holds, and begins a journal of its own in it. The folder is made where it is not
    /// there.
    ///
    /// # Errors
    /// The folder cannot be read or written, or another version or cluster key wrote it.
    pub fn open(dir: &Path, origin: Origin) -> Result<(Self, Loaded), StateError> {
        fs::create_dir_all(dir).map_err(io_error("create", dir))?;
        let lock = lock(dir)?;
        let _ = fs::remove_file(dir.join("checkpoint.new"));
        let mut loaded = Loaded::default();
        let mut base = 0;
        let checkpoint = dir.join("checkpoint");
        let mut checkpoint_bytes = 0;
        if let Some(bytes) = read(&checkpoint)? {
            checkpoint_bytes = bytes.len() as u64;
            match own_header(&checkpoint, &bytes, &origin)? {
                Some(header) => {
                    base = header.generation;
                    loaded.read(&checkpoint, &bytes, &header, true);
                }
                None => loaded.damage.push(Damage { path: checkpoint.clone(), offset: 0 }),
            }
        }
        let journals = journals(dir)?;
        let goes_on = journals.first().is_some_and(|(generation, _)| *generation > 1);
        loaded.checkpoint_missing = checkpoint_bytes == 0 && goes_on;
        let newest = journals.iter().map(|(generation, _)| *generation).max().unwrap_or(0);
        for (generation, path) in journals {
            let Some(bytes) = read(&path)? else { continue };
            match own_header(&path, &bytes, &origin)? {
                Some(_) if generation < base => {}
                Some(header) => loaded.read(&path, &bytes, &header, false),
                None => loaded.damage.push(Damage { path: path.clone(), offset: 0 }),
            }
        }
        for damage in &loaded.damage {
            // A second name: what can be read of it stays in its place until there is a new checkpoint.
            let mut kept = damage.path.clone().into_os_string();
            kept.push(".damaged");
            let _ = fs::remove_file(&kept);
            let _ = fs::hard_link(&damage.path, &kept);
        }
        let generation = newest.max(base) + 1;
        let journal = begin_journal(dir, generation, &origin)?;
        let store = Self { dir: dir.to_owned(), origin, generation, journal, checkpoint_bytes, _lock: lock };
        Ok((store, loaded))
    }

    /// Appends records to the journal.
    ///
    /// # Errors
    /// The system does not write them.
    pub fn append(&mut self, payload: &[u8]) -> Result<(), StateError> {
        if payload.is_empty() { Ok(()) } else { self.journal.frame(payload) }
    }

    /// Whether the journal has become so large that a new generation is worth it.
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.journal.bytes > self.checkpoint_bytes.saturating_mul(2).saturating_add(JOURNAL_BYTES)
    }

    /// Begins a generation: changes go to its journal from here on, and all sessions are to be appended to
    /// its checkpoint. The one before is to be complete or dropped.
    ///
    /// # Errors
    /// The system does not make the files.
    pub fn begin(&mut self) -> Result<Checkpoint, StateError> {
        let generation = self.generation + 1;
        self.journal = begin_journal(&self.dir, generation, &self.origin)?;
        self.generation = generation;
        let path = self.dir.join("checkpoint.new");
        let output = Output::create(path, generation, &self.origin)?;
        Ok(Checkpoint { dir: self.dir.clone(), generation, output })
    }

    /// A checkpoint of so many bytes is complete.
    pub const fn completed(&mut self, bytes: u64) {
        self.checkpoint_bytes = bytes;
    }
}

impl Checkpoint {
    /// Appends sessions.
    ///
    /// # Errors
    /// The system does not write them.
    pub fn append(&mut self, payload: &[u8]) -> Result<(), StateError> {
        if payload.is_empty() { Ok(()) } else { self.output.frame(payload) }
    }

    /// All sessions are in: the checkpoint takes the place of the one before, and of the journals before.
    /// Waits for the disk. Returns its bytes.
    ///
    /// # Errors
    /// The system does not write or rename it.
    pub fn complete(mut self) -> Result<u64, StateError> {
        self.output.frame(&[])?;
        self.output.file.sync_all().map_err(io_error("sync", &self.output.path))?;
        let path = self.dir.join("checkpoint");
        step(&path)?;
        fs::rename(&self.output.path, &path).map_err(io_error("rename", &self.output.path))?;
        let folder = File::open(&self.dir).and_then(|folder| folder.sync_all());
        folder.map_err(io_error("sync", &self.dir))?;
        for (generation, path) in journals(&self.dir)? {
            if generation < self.generation {
                step(&path)?;
                fs::remove_file(&path).map_err(io_error("remove", &path))?;
            }
        }
        Ok(self.output.bytes)
    }
}

/// The kernel lets the lock go when the run ends, however it ends.
fn lock(dir: &Path) -> Result<Flock<File>, StateError> {
    let path = dir.join("lock");
    let options = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).clone();
    let file = options.open(&path).map_err(io_error("create", &path))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, why)| match why {
        Errno::EWOULDBLOCK => StateError::InUse(dir.to_owned()),
        why => io_error("lock", &path)(why.into()),
    })
}

/// A journal gets its name when its header is whole: only its last frame can be cut.
fn begin_journal(dir: &Path, generation: u64, origin: &Origin) -> Result<Output, StateError> {
    let mut journal = Output::create(dir.join("journal.new"), generation, origin)?;
    let path = dir.join(format!("journal.{generation}"));
    step(&path)?;
    fs::rename(&journal.path, &path).map_err(io_error("rename", &journal.path))?;
    journal.path = path;
    Ok(journal)
}

/// The journals of a folder, oldest first.
fn journals(dir: &Path) -> Result<Vec<(u64, PathBuf)>, StateError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(io_error("read", dir))? {
        let path = entry.map_err(io_error("read", dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(generation) = name.and_then(|name| name.strip_prefix("journal.")?.parse().ok()) {
            found.push((generation, path));
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, StateError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("read", path)(error)),
    }
}

fn own_header(path: &Path, bytes: &[u8], origin: &Origin) -> Result<Option<Header>, StateError> {
    let header = header(path, bytes)?;
    match header {
        Some(header) if header.origin.cluster != origin.cluster => {
            Err(StateError::ClusterKey(path.to_owned()))
        }
        header => Ok(header),
    }
}

#[cfg(test)]
mod tests;
