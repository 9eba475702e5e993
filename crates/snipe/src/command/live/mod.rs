//! The dataplane on DPDK ports.

mod backend;
mod cores;
mod feed;
mod ports;
mod state;

use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use control::{Backend as _, Config, Events, Lcores, Target as To};
use dpdk::{Eal, EalError, LcoreError, Pool, PoolConfig};
use pipeline::{Desk, Overflow, Wiring, wire_up};
use types::{LinkType, ProbeId};

use crate::command::files::{FileProbe, InUse, Lost};
use crate::command::plan;
use crate::failure::{self, Failure};
use crate::{output, signals};
use backend::Live;
use cores::{Cores, Phase};
use feed::Feed;
use ports::{Devices, Ports};

type Dataplane = Wiring<dpdk::RxQueue, dpdk::TxQueue, FileProbe>;

/// Runs until a signal comes, or until its capture files are read.
pub(crate) fn run(config: &Config, json: bool) -> Result<(), Failure> {
    let Some(lcores) = &config.lcores else {
        return Err(Failure::input("the configuration has no [lcores]"));
    };
    log_to_stderr();
    // Before DPDK starts threads, so that all of them have the handlers.
    let stop = signals::stop_flag()?;
    let packets = ports::check(config)?;
    let cores = Cores::place(lcores);
    let mut plan = plan::plan(config);
    let opening = state::open(config, &plan.cluster)?;
    let eal = start_eal(config, lcores, &cores)?;
    let devices = Devices::probe(&eal, config)?;
    let pool = make_pool(&eal, config, lcores, &devices)?;
    let mut ports = devices.start(config, lcores, &pool, &packets)?;
    // Before any file of an earlier run is written over.
    let kept = opening.map(state::Opening::wait).transpose()?;
    let (files, losses) = open_files(config)?;

    plan.archive = kept.is_some();
    plan.events = config.api.is_some();
    plan.feed = config.api.is_some() || kept.as_ref().is_some_and(state::Found::has_identities);
    let waits = ports.are_file_like();
    plan.overflow = if waits { Overflow::Wait } else { Overflow::Drop };
    plan.ordered = waits;
    plan.huge_pages = !config.eal.args.iter().any(|arg| arg == "--no-huge");
    plan.keep_ended = false;
    plan.hold_packets = plan::held_packets(config, BUFFER_BYTES);
    plan.seed = RandomState::new().hash_one(std::process::id());
    let sources = ports.sources(config, lcores.rx.len());
    let targets = (0..lcores.workers.len()).map(|_| ports.targets(config)).collect();
    let mut dataplane: Dataplane = wire_up(&plan, sources, targets, files, || pool.clone())
        .map_err(|error| Failure::work(failure::chain(&error)))?;
    let (store, identities) = kept.map(|kept| kept.restore(config, dataplane.tracker())).unzip();
    let (journal, changes) = mpsc::channel();
    let feeder = dataplane.feeder.take();
    let feed = Arc::new(Feed::new(
        config.tracker.sessions_max,
        feeder,
        store.is_some().then_some(journal),
        identities.unwrap_or_default(),
        dataplane.tracker(),
    ));
    let keeping = store.zip(dataplane.archive.take()).map(|(store, archive)| state::Keeping {
        store,
        archive,
        feed: Arc::clone(&feed),
        changes,
    });
    let desk = std::mem::replace(&mut dataplane.desk, Desk::closed());
    let mut listener = dataplane.listener.take();
    let backend =
        Arc::new(Live::new(config, &dataplane.board, ports.counts(), losses, desk, Arc::clone(&feed)));
    // Before the first packet, so that whoever waits for the socket misses none.
    let server = config.api.as_ref().map(|api| control::serve(&api.into(), Arc::clone(&backend) as _));
    let server = server.transpose().map_err(|error| Failure::work(failure::chain(&error)))?;

    tracing::info!(
        "control on CPU {}, rx on {:?}, workers on {:?}; {}",
        lcores.control,
        lcores.rx,
        lcores.workers,
        if waits {
            "waits for slow probes: all taps are files"
        } else {
            "drops and counts where a probe is too slow"
        },
    );
    if config.stop_when_idle && !ports.any_file() {
        tracing::warn!(
            "stop_when_idle is for ports that read files, and there is none: this ends by a signal"
        );
    }
    let mut pass_on = || {
        listener.iter_mut().for_each(|listener| backend.pass_on(listener));
        feed.expire();
    };
    let watched = Watched { ports: &ports, stop: &stop, config, events: backend.events() };
    let files = run_cores(&eal, &cores, &mut dataplane, &watched, &mut pass_on, keeping)?;
    // What the end has brought.
    pass_on();
    drop(server);
    let interrupted = stop.load(Ordering::Relaxed);
    let stats = backend.final_stats(interrupted);
    output::report(&stats, json)?;
    if !interrupted {
        ports.check_complete(config)?;
    }
    let broken =
        config.probes.iter().zip(&files).find_map(|(probe, file)| Some((probe, file.as_ref()?.error()?)));
    broken.map_or(Ok(()), |(probe, error)| {
        Err(Failure::work(format_args!("probe {}: {}", probe.name, failure::chain(error))))
    })
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("SNIPE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let ansi = control::Look::of_stderr().colour;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(ansi)
        .with_target(false);
    // A second one is refused; there is none.
    let _ = subscriber.try_init();
}

fn start_eal(config: &Config, lcores: &Lcores, cores: &Cores) -> Result<Eal, Failure> {
    let mut args = config.eal.args.clone();
    let names = |arg: &String, name: &str| arg == name || arg.starts_with(&format!("{name}="));
    if let Some(arg) = args.iter().find(|arg| ["-l", "-c", "--lcores"].iter().any(|name| names(arg, name))) {
        return Err(Failure::input(format_args!(
            "[eal] args: {arg}: cores are placed by [lcores]; leave this out"
        )));
    }
    args.push(
        dpdk::lcores_argument(lcores.control, &cores.cpus())
            .map_err(|error| Failure::input(format_args!("[lcores]: {}", failure::chain(&error))))?,
    );
    let devices = || config.ports.iter().map(|port| port.device.as_str());
    if devices().all(|device| !ports::is_pci(device)) {
        if !args.iter().any(|arg| arg == "--no-pci") {
            args.push("--no-pci".to_owned());
        }
    } else if !args.iter().any(|arg| names(arg, "-a") || names(arg, "--allow")) {
        // Other NICs that are bound to a DPDK driver are none of our business.
        for device in devices().filter(|device| ports::is_pci(device)) {
            args.extend(["-a".to_owned(), device.to_owned()]);
        }
    }
    let no_huge = args.iter().any(|arg| arg == "--no-huge");
    if no_huge && !args.iter().any(|arg| arg.starts_with("-m")) {
        args.extend(["-m".to_owned(), memory_mb(config, lcores).to_string()]);
    }
    Eal::init(args).map_err(|error| match error {
        EalError::Arguments { .. } | EalError::Nul(_) | EalError::NoHugeInMemory => {
            Failure::input(format_args!("[eal]: {}", failure::chain(&error)))
        }
        _ => Failure::work(failure::chain(&error)),
    })
}

/// Descriptors of every queue.
const DESCRIPTORS: u16 = 1024;
/// Bytes that a buffer takes with `--no-huge`: a small page, of which it does not fill more than half, but
/// which it shares with none, since it must not lie in two.
const BUFFER_BYTES: u64 = 4096;

/// Buffers for everything that can hold one at a time: queues, rings, bursts, caches.
fn buffers(config: &Config, lcores: &Lcores) -> u32 {
    let (rx, workers) = (lcores.rx.len() as u64, lcores.workers.len() as u64);
    let ports = config.ports.len().max(config.probes.len()) as u64;
    let queues = ports * rx.max(workers) * u64::from(DESCRIPTORS);
    let rings = (rx + 1) * workers * pipeline::Plan::default().ring_packets as u64;
    let bursts = (rx + workers) * (config.probes.len() as u64 + 2) * batch::BATCH as u64;
    let caches = (rx + workers + 1) * 512;
    let held = rx * plan::held_packets(config, BUFFER_BYTES) as u64;
    let sum = (queues + rings + bursts + caches + held + 2048).next_power_of_two();
    u32::try_from(sum - 1).unwrap_or(u32::MAX)
}

/// What `--no-huge` has to set aside for them.
fn memory_mb(config: &Config, lcores: &Lcores) -> u64 {
    u64::from(buffers(config, lcores)) * BUFFER_BYTES / (1 << 20) + 64
}

fn make_pool(eal: &Eal, config: &Config, lcores: &Lcores, devices: &Devices) -> Result<Pool, Failure> {
    let settings =
        PoolConfig { buffers: buffers(config, lcores), socket: devices.socket(), ..PoolConfig::default() };
    Pool::new(eal, "packets", &settings).map_err(|error| Failure::work(failure::chain(&error)))
}

type Losses = Vec<(ProbeId, Arc<Lost>)>;

/// Opens the files of all probes that are files.
fn open_files(config: &Config) -> Result<(Vec<Option<FileProbe>>, Losses), Failure> {
    let mut files = Vec::new();
    let mut losses = Vec::new();
    let mut in_use = InUse::default();
    ports::files(config).for_each(|path| in_use.add(path));
    for (id, probe) in (0..=u8::MAX).map(ProbeId).zip(&config.probes) {
        let To::File(path) = &probe.to else {
            files.push(None);
            continue;
        };
        let fail = |what: String| Failure::work(format_args!("probe {}: {what}", probe.name));
        if let Some(parent) = path.parent().filter(|parent| *parent != Path::new("")) {
            fs::create_dir_all(parent)
                .map_err(|error| fail(format!("cannot create {}: {error}", parent.display())))?;
        }
        let file = in_use
            .create(id, path, LinkType::Ethernet)
            .map_err(|failure| failure.about(format_args!("probe {}", probe.name)))?;
        losses.push((id, file.lost()));
        files.push(Some(file));
    }
    Ok((files, losses))
}

/// What the control thread looks at, and where it tells.
struct Watched<'a> {
    ports: &'a Ports,
    stop: &'a AtomicBool,
    config: &'a Config,
    events: &'a Events,
}

/// Starts the cores, watches over them until it is time to stop, and waits until all of them have.
fn run_cores(
    eal: &Eal,
    cores: &Cores,
    dataplane: &mut Dataplane,
    watched: &Watched<'_>,
    pass_on: &mut impl FnMut(),
    keeping: Option<state::Keeping>,
) -> Result<Vec<Option<FileProbe>>, Failure> {
    let phase = Arc::new(Phase::new(dataplane.receivers.len(), dataplane.workers.len()));
    let mut writer = dataplane.writer.take();
    let mut running = Vec::new();
    let cores_ended = AtomicBool::new(false);
    let launched = cores.launch(eal, dataplane, &phase, &mut running);
    let result = thread::scope(|scope| {
        let writing = writer.as_mut().map(|writer| {
            let phase = &phase;
            scope.spawn(move || {
                // With a number of its own, DPDK gives the thread a cache of buffers.
                let _registered = eal.register_thread();
                cores::write(writer, phase);
            })
        });
        if let Some(keeping) = keeping {
            let cores_ended = &cores_ended;
            let events = watched.events;
            scope.spawn(move || state::write(scope, keeping, events, cores_ended));
        }
        if launched.is_ok() {
            watch(dataplane, watched, pass_on, || running.iter().any(dpdk::Worker::is_finished));
        }
        phase.stop();
        let ended: Result<Vec<()>, LcoreError> = running.into_iter().map(dpdk::Worker::join).collect();
        // Release pairs with the Acquire load in `state::write`: what the tracker handed out is seen.
        cores_ended.store(true, Ordering::Release);
        let written = writing.is_none_or(|writing| writing.join().is_ok());
        (ended, written)
    });
    launched.map_err(|error| Failure::work(failure::chain(&error)))?;
    let (ended, written) = result;
    ended.map_err(|error| Failure::work(failure::chain(&error)))?;
    if !written {
        return Err(Failure::work("the thread that writes files has failed"));
    }
    Ok(writer.map(pipeline::Writer::into_sinks).unwrap_or_default())
}

/// How often the control thread looks.
const TICK: Duration = Duration::from_millis(10);
/// A capture file that has given nothing for so long has been read.
const IDLE: Duration = Duration::from_millis(200);

/// Returns when it is time to stop.
fn watch(
    dataplane: &Dataplane,
    &Watched { ports, stop, config, .. }: &Watched<'_>,
    pass_on: &mut impl FnMut(),
    mut core_ended: impl FnMut() -> bool,
) {
    let mut seen = ports.read_from_files();
    let mut since = Instant::now();
    while !stop.load(Ordering::Relaxed) && !core_ended() {
        thread::sleep(TICK);
        pass_on();
        if !config.stop_when_idle || !ports.any_file() {
            continue;
        }
        let read = ports.read_from_files();
        let board = &dataplane.board;
        // What is held waits for time, which goes on with the next packet only.
        let busy = ports.are_file_like() && board.accounts().in_flight > board.kept();
        if read != seen || busy {
            seen = read;
            since = Instant::now();
        } else if since.elapsed() >= IDLE {
            return;
        }
    }
}
