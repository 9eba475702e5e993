//! `snipe replay`

use std::cell::Cell;
use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use batch::NoPort;
use control::{Config, Identities, Stats};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pipeline::{Source, Target, Wiring, Worker, wire_up};
use replay::{CaptureRx, Finite as _, HeapFrame, HeapPool, Merge, Progress};
use session::Record;
use types::{LinkType, PortId, ProbeId};

use crate::cli::{Control, Encapsulation, Replay, Speed};
use crate::command::files::{FileProbe, InUse};
use crate::command::paced::Paced;
use crate::command::plan;
use crate::failure::{self, Failure};
use crate::{output, signals};

type Queue = Paced<CaptureRx>;
type Port = NoPort<HeapFrame>;
type Dataplane = Wiring<Queue, Port, FileProbe>;

/// For packets that have to be rewritten, for each worker. Taken as it is needed.
const POOL_BYTES: usize = 64 << 20;

pub(crate) fn replay(args: &Replay) -> Result<(), Failure> {
    let config = configuration(args)?;
    let mut plan = plan::plan(&config);
    let decap = plan::decap_set(args.decap.iter().map(|kind| match kind {
        Encapsulation::Vxlan => control::Decap::Vxlan,
        Encapsulation::Gre => control::Decap::Gre,
        Encapsulation::Erspan => control::Decap::Erspan,
    }));
    // What comes out of a tunnelled tap is Ethernet, so all of it has to be.
    let captures: Vec<&Path> = args.captures.iter().map(|path| or_stdin(path)).collect();
    let merge =
        if args.decap.is_empty() { Merge::open(&captures) } else { Merge::open_as_ethernet(&captures) };
    let merge = merge.map_err(|error| Failure::input(failure::chain(&error)))?;
    plan.link = merge.link_type();

    let mut out = OutDir::prepare(&args.out, args.force, &args.captures)?;
    let files = out.probe_files(&config, plan.link)?;
    let factor = match args.speed {
        Speed::Max => None,
        Speed::Factor(factor) => Some(factor),
    };
    let rx = CaptureRx::new(merge);
    let bar = Bar::new(rx.total_bytes(), rx.progress());
    let queue = Paced::new(rx, factor, signals::stop_flag()?);
    let source = Source { queue, port: PortId(0), decap };
    let targets = || (0..plan.probes).map(|_| Target::Writer).collect();
    // Enough for all rings full of frames of 16 KiB.
    let pool = HeapPool::new(usize::from(args.workers) * POOL_BYTES);
    let dataplane: Dataplane =
        wire_up(&plan, vec![vec![source]], (0..args.workers).map(|_| targets()).collect(), files, || {
            pool.clone()
        })
        .map_err(|error| Failure::work(failure::chain(&error)))?;
    let dataplane = if args.workers == 1 { run_alone(dataplane, &bar) } else { run_threads(dataplane, &bar) };
    bar.finish();
    conclude(args, &config, &out, dataplane)
}

/// `-` is the standard input.
fn or_stdin(path: &Path) -> &Path {
    if path == Path::new("-") { Path::new("/dev/stdin") } else { path }
}

/// The configuration that the flags ask for.
fn configuration(args: &Replay) -> Result<Config, Failure> {
    let mut config = match &args.config {
        Some(path) => plan::load(path, |warning| !warning.run_only())?,
        None => Config::default(),
    };
    if let Some(probes) = args.probes {
        config.set_probes(usize::from(probes)).map_err(Failure::input)?;
    }
    control::load_rules(&args.rules).map_err(|error| Failure::config(&error))?;
    for rules in &args.rules {
        failure::warn(format_args!("{}: rules are checked and not applied yet", rules.display()));
    }
    if let Some(mode) = args.control {
        config.tracker.control = match mode {
            Control::Broadcast => control::Control::Broadcast,
            Control::Follow => control::Control::Follow,
        };
    }
    Ok(config.for_replay())
}

/// Everything on one core.
fn run_alone(mut dataplane: Dataplane, bar: &Bar) -> Dataplane {
    let mut flusher = Flusher::new();
    loop {
        let moved = dataplane.poll();
        if stop_early(&dataplane) {
            return dataplane;
        }
        if moved == 0 && is_finished(&dataplane) {
            // What was held goes now, and once more around.
            if dataplane.finish() && dataplane.poll() == 0 {
                return dataplane;
            }
        } else if moved == 0 {
            thread::sleep(IDLE);
            flusher.flush(&mut dataplane);
        }
        bar.show();
    }
}

/// While packets come at their own pace, files show them soon.
struct Flusher(Instant);

impl Flusher {
    const EVERY: Duration = Duration::from_millis(250);

    fn new() -> Self {
        Self(Instant::now())
    }

    fn flush(&mut self, dataplane: &mut Dataplane) {
        if self.0.elapsed() >= Self::EVERY {
            dataplane.writer.iter_mut().for_each(pipeline::Writer::flush);
            self.0 = Instant::now();
        }
    }
}

/// A thread for each worker; reading and writing stay here.
fn run_threads(mut dataplane: Dataplane, bar: &Bar) -> Dataplane {
    let stop = AtomicBool::new(false);
    let workers = std::mem::take(&mut dataplane.workers);
    thread::scope(|scope| {
        let threads: Vec<_> = workers
            .into_iter()
            .map(|mut worker| {
                let stop = &stop;
                scope.spawn(move || {
                    work(&mut worker, stop);
                    worker
                })
            })
            .collect();
        let mut flusher = Flusher::new();
        loop {
            let moved = dataplane.poll();
            if stop_early(&dataplane)
                || threads.iter().any(thread::ScopedJoinHandle::is_finished)
                || (moved == 0
                    && is_finished(&dataplane)
                    && dataplane.finish()
                    && dataplane.board.accounts().in_flight == 0)
            {
                break;
            }
            if moved == 0 {
                thread::yield_now();
                flusher.flush(&mut dataplane);
            }
            bar.show();
        }
        stop.store(true, Ordering::Release);
        dataplane.workers = threads.into_iter().filter_map(|thread| thread.join().ok()).collect();
    });
    dataplane
}

fn work(worker: &mut Worker<HeapFrame, Port>, stop: &AtomicBool) {
    loop {
        // Read before the round: what came in until then is handled by it.
        let last = stop.load(Ordering::Acquire);
        if worker.poll() == 0 {
            if last {
                return;
            }
            thread::yield_now();
        }
    }
}

/// How long to sleep where the next packet is not due yet.
const IDLE: Duration = Duration::from_micros(200);

fn is_finished(dataplane: &Dataplane) -> bool {
    dataplane.receivers.iter().flat_map(|receiver| receiver.queues()).all(|queue| queue.finished())
}

/// An output that cannot be complete any more is given up.
fn stop_early(dataplane: &Dataplane) -> bool {
    dataplane.writer.iter().flat_map(|writer| writer.sinks()).any(|file| file.error().is_some())
}

/// Writes what comes with the packets, and says how it went.
fn conclude(args: &Replay, config: &Config, out: &OutDir, mut dataplane: Dataplane) -> Result<(), Failure> {
    let mut broken = None;
    if let Some(mut writer) = dataplane.writer.take() {
        writer.flush();
        for file in writer.into_sinks().into_iter().flatten() {
            broken = broken.or_else(|| file.error().map(failure_of));
        }
    }
    if let Some(failure) = broken {
        return Err(failure);
    }
    let mut read_failed = None;
    for queue in dataplane.receivers.iter().flat_map(|receiver| receiver.queues()) {
        for warning in queue.inner().warnings() {
            failure::warn(warning);
        }
        for error in queue.inner().errors() {
            read_failed = Some(Failure::work(failure::chain(error)));
        }
        let converted = queue.inner().converted();
        if converted > 0 {
            failure::warn(format_args!(
                "the captures are not all Ethernet: {converted} packets got an Ethernet header in place of their own"
            ));
        }
        if queue.ended() {
            read_failed = Some(Failure::work("interrupted: the captures were not read to their end"));
        }
    }
    let mut accounts = dataplane.board.accounts();
    // Nothing is staged any more: what is not in a ring has had its outcome, or is missing.
    accounts.in_flight = dataplane.board.in_rings();
    let names = config.probes.iter().map(|probe| probe.name.as_str());
    let stats: Stats = output::stats(&accounts, 0, names);
    let [sessions, alerts, accounting] = BESIDE_PACKETS;
    let tracker = dataplane.receivers.into_iter().find_map(pipeline::Receiver::into_tracker);
    let records = tracker.map(pipeline::Tracker::into_records).unwrap_or_default();
    out.write_lines(sessions, &records, config)?;
    // No rule is applied yet: there is nothing to say.
    out.write(alerts, "")?;
    out.write(accounting, &output::to_json(&stats)?)?;
    output::report(&stats, args.json)?;
    read_failed.map_or(Ok(()), Err)
}

fn failure_of(error: &replay::WriteError) -> Failure {
    Failure::work(format_args!("{}\nthe output is not complete", failure::chain(error)))
}

/// The text of a file of an earlier run; `None` of what no run has left: no file, or far too long.
fn read_file(path: &Path) -> Option<String> {
    const BYTES_MAX: u64 = 16 << 20;
    let found = fs::metadata(path).ok()?;
    if !found.is_file() || found.len() > BYTES_MAX {
        return None;
    }
    fs::read_to_string(path).ok()
}

/// What is written beside the packets; the accounting last.
const BESIDE_PACKETS: [&str; 3] = ["sessions.jsonl", "alerts.jsonl", "stats.json"];

/// The directory that everything is written to.
struct OutDir {
    path: PathBuf,
    in_use: InUse,
}

impl OutDir {
    /// Makes the directory, or takes one that is empty, or any with `force`.
    fn prepare(path: &Path, force: bool, inputs: &[PathBuf]) -> Result<Self, Failure> {
        let wrong = |what: &dyn std::fmt::Display| Failure::input(format_args!("{}: {what}", path.display()));
        match fs::metadata(path) {
            Ok(found) if !found.is_dir() => return Err(wrong(&"is a file; --out needs a directory")),
            Ok(_) => {
                let mut entries = fs::read_dir(path).map_err(|error| wrong(&error))?;
                if entries.next().is_some() && !force {
                    return Err(wrong(
                        &"the directory is not empty; give another one, or --force to write over it",
                    ));
                }
            }
            Err(_) => fs::create_dir_all(path)
                .map_err(|error| wrong(&format_args!("cannot create the directory: {error}")))?,
        }
        let mut in_use = InUse::default();
        inputs.iter().for_each(|input| in_use.add(input));
        let out = Self { path: path.to_owned(), in_use };
        out.clear()?;
        Ok(out)
    }

    /// Removes what an earlier run has left, so that two runs are never mixed: its accounting, and the
    /// files of the probes that the accounting names.
    fn clear(&self) -> Result<(), Failure> {
        let stats = self.path.join("stats.json");
        let earlier: Option<Stats> = read_file(&stats).and_then(|text| serde_json::from_str(&text).ok());
        let Some(earlier) = earlier else { return Ok(()) };
        // The accounting goes last: if this stops half way, the next run finds the rest.
        let probes = earlier.probes.keys().filter(|name| !name.contains(['/', '\\']));
        let names = probes.map(|name| format!("{name}.pcap"));
        for name in names.chain(BESIDE_PACKETS.map(str::to_owned)) {
            let path = self.file(&name)?;
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Failure::work(format_args!("{}: cannot remove: {error}", path.display())));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A name in it, which must not be one of the inputs.
    fn file(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.path.join(name);
        if self.in_use.has(&path) {
            return Err(Failure::input(format_args!(
                "{}: is one of the captures that are read; give another --out",
                path.display()
            )));
        }
        Ok(path)
    }

    fn probe_files(&mut self, config: &Config, link: LinkType) -> Result<Vec<Option<FileProbe>>, Failure> {
        // All names are looked at before the first file is emptied.
        for name in BESIDE_PACKETS {
            self.file(name)?;
        }
        let paths: Vec<PathBuf> = config
            .probes
            .iter()
            .map(|probe| self.file(&format!("{}.pcap", probe.name)))
            .collect::<Result<_, _>>()?;
        let mut create =
            |(probe, path): (u8, &PathBuf)| self.in_use.create(ProbeId(probe), path, link).map(Some);
        (0..=u8::MAX).zip(&paths).map(&mut create).collect()
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        output::write_file(&self.file(name)?, text)
    }

    /// Writes one line for each session.
    fn write_lines(&self, name: &str, records: &[Record], config: &Config) -> Result<(), Failure> {
        let path = self.file(name)?;
        let failed =
            |error: io::Error| Failure::work(format_args!("{}: cannot write: {error}", path.display()));
        let mut out = io::BufWriter::new(fs::File::create(&path).map_err(failed)?);
        let identities = Identities::of(config);
        for record in records {
            output::session_line(record, config, &identities, &mut out).map_err(failed)?;
        }
        out.flush().map_err(failed)
    }
}

/// A progress bar, on a terminal, for a run of more than a second.
struct Bar {
    bar: Option<ProgressBar>,
    progress: Progress,
    started: Instant,
    rounds: Cell<u32>,
}

impl Bar {
    const DELAY: Duration = Duration::from_secs(1);
    /// Rounds between two looks at the clock.
    const ROUNDS: u32 = 1024;

    fn new(total_bytes: u64, progress: Progress) -> Self {
        let style = "{percent:>3}% [{bar:40}] {decimal_bytes} of {decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left";
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(total_bytes), ProgressDrawTarget::hidden());
            ProgressStyle::with_template(style)
                .map(|style| bar.clone().with_style(style.progress_chars("=> ")))
                .unwrap_or(bar)
        });
        Self { bar, progress, started: Instant::now(), rounds: Cell::new(0) }
    }

    fn show(&self) {
        let Some(bar) = &self.bar else { return };
        let rounds = self.rounds.get().wrapping_add(1);
        self.rounds.set(rounds);
        if rounds % Self::ROUNDS != 0 || self.started.elapsed() < Self::DELAY {
            return;
        }
        if bar.is_hidden() {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        bar.set_position(self.progress.consumed());
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
