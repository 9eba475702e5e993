//! `snipe run` on DPDK's own virtual ports, judged by `snipe replay` of the same configuration.
//!
//! Every run starts a DPDK of its own, which takes about half a second: of the captures there are,
//! every fourth is run, and all of them where `SNIPE_TEST_ALL` is set.
#![cfg(feature = "dpdk")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::fmt::Write as _;
use std::io::{BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use common::{
    Deliveries, Ran, Record, SmallDisk, closes, command, deliveries, files_match_accounts, number,
    on_two_threads, read_capture, snipe, sum,
};
use serde_json::Value;
use testkit::{Options, captures, golden, write_capture};

/// A configuration on ordinary memory, with a file prefix that no other run has.
struct Config {
    folder: tempfile::TempDir,
    text: String,
}

impl Config {
    fn new(more: &str) -> Self {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let text = format!(
            "{more}\n[eal]\nargs = [\"--no-huge\", \"--no-telemetry\", \"--no-shconf\", \
             \"--file-prefix=snipe-test-{}-{run}\"]\n",
            std::process::id()
        );
        Self { folder: tempfile::tempdir().unwrap(), text }
    }

    /// A tap whose time is its packets'.
    fn tap(mut self, device: &str) -> Self {
        let _ = writeln!(self.text, "[[port]]\nname = \"tap0\"\ndevice = \"{device}\"\nclock = \"packet\"");
        self
    }

    /// A tap or, where a probe names it, a way out.
    fn port(mut self, name: &str, device: &str) -> Self {
        let _ = writeln!(self.text, "[[port]]\nname = \"{name}\"\ndevice = \"{device}\"");
        self
    }

    fn probe(mut self, name: &str, to: &str) -> Self {
        let _ = writeln!(self.text, "[[probe]]\nname = \"{name}\"\nto = \"{to}\"");
        self
    }

    /// Probes that are files in `live`.
    fn files(mut self, count: u32) -> Self {
        for n in 1..=count {
            let to = format!("file:{}", self.path(&format!("live/probe-{n}.pcap")).display());
            self = self.probe(&format!("probe-{n}"), &to);
        }
        self
    }

    fn lcores(mut self, rx: &[u32], workers: &[u32]) -> Self {
        let _ = writeln!(self.text, "[lcores]\ncontrol = 0\nrx = {rx:?}\nworkers = {workers:?}");
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self) -> PathBuf {
        let path = self.path("snipe.toml");
        std::fs::write(&path, &self.text).unwrap();
        path
    }

    fn run(&self) -> Ran {
        snipe(["run".as_ref(), "--json".as_ref(), "--config".as_ref(), self.write().as_os_str()])
    }

    #[track_caller]
    fn stats(&self) -> Value {
        serde_json::from_str(&self.run().ok()).unwrap()
    }

    fn replay(&self, capture: &Path) -> (Value, Deliveries) {
        let out = self.path("replayed");
        let config = self.write();
        let args = ["replay".as_ref(), "--json".as_ref(), "--config".as_ref(), config.as_os_str()];
        let args = args.into_iter().chain(["--out".as_ref(), out.as_os_str(), capture.as_os_str()]);
        (serde_json::from_str(&snipe(args).ok()).unwrap(), deliveries(&out))
    }

    fn live(&self) -> Deliveries {
        deliveries(&self.path("live"))
    }
}

const STOPS: &str = "stop_when_idle = true";

fn pcap(path: &Path) -> String {
    format!("net_pcap0,rx_pcap={}", path.display())
}

fn generate(path: &Path, frames: u64) {
    let options = Options { subscribers: 300, seconds: 1.0, pps: frames, ..Options::default() };
    let mut out = BufWriter::new(std::fs::File::create(path).unwrap());
    write_capture(options, &mut out).unwrap();
    out.flush().unwrap();
}

/// The file of a live probe knows no more of a frame than its captured bytes.
fn as_captured(mut deliveries: Deliveries) -> Deliveries {
    for record in deliveries.values_mut().flatten() {
        record.wire_bytes = record.bytes.len() as u32;
    }
    deliveries
}

fn is_whole(record: &Record) -> bool {
    record.wire_bytes as usize == record.bytes.len()
}

/// Runs a capture live and replays it: the same, probe by probe.
fn live_is_replay(capture: &Path, rx: &[u32], workers: &[u32]) {
    let what = format!("{} on {rx:?} and {workers:?}", capture.display());
    let config = Config::new(STOPS).tap(&pcap(capture)).files(3).lcores(rx, workers);
    let started = Instant::now();
    let stats = config.stats();
    assert!(started.elapsed() < Duration::from_secs(60), "{what}: it ends by itself");
    closes(&stats, &what);
    let live = config.live();
    files_match_accounts(&stats, &live, &what);
    let (replayed_stats, replayed) = config.replay(capture);
    if replayed.values().flatten().all(is_whole) {
        for probe in ["probe-1.pcap", "probe-2.pcap", "probe-3.pcap"] {
            let read = |folder: &str| std::fs::read(config.path(folder).join(probe)).unwrap();
            assert!(read("live") == read("replayed"), "{what}: {probe}");
        }
    }
    assert!(as_captured(live) == as_captured(replayed), "{what}");
    for part in ["rx", "delivered", "dropped", "probes"] {
        assert_eq!(stats[part], replayed_stats[part], "{what}: {part}");
    }
}

/// Ethernet captures with nothing finer than microseconds, and all the others.
fn by_use() -> (Vec<PathBuf>, Vec<PathBuf>) {
    let links = golden("times").unwrap();
    captures().into_iter().partition(|path| {
        let row = links.of_capture(path.file_name().unwrap().to_str().unwrap()).next().unwrap();
        row.number("link") == Some(1)
    })
}

#[test]
fn every_capture_is_delivered_as_replay_delivers_it() {
    let (mut ethernet, _) = by_use();
    ethernet.retain(|path| read_capture(path).records.iter().all(|record| record.time_ns % 1_000 == 0));
    if ethernet.is_empty() {
        println!("skipped: no captures");
        return;
    }
    if std::env::var_os("SNIPE_TEST_ALL").is_none() {
        ethernet = ethernet.into_iter().step_by(4).collect();
    }
    on_two_threads(&ethernet, |path| live_is_replay(path, &[0], &[0]));
}

#[test]
fn roles_can_be_placed_on_any_cores() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("generated.pcap");
    generate(&capture, 20_000);
    for (rx, workers) in [(&[0][..], &[0][..]), (&[0], &[1]), (&[1], &[0, 1])] {
        live_is_replay(&capture, rx, workers);
    }
}

#[test]
fn other_link_types_are_refused() {
    let (_, others) = by_use();
    if others.is_empty() {
        println!("skipped: no captures");
        return;
    }
    on_two_threads(&others, |path| {
        let config = Config::new(STOPS).tap(&pcap(path)).files(1).lcores(&[0], &[0]);
        config.run().fails(2, &["tap", path.to_str().unwrap(), "Ethernet"]);
        assert!(!config.path("live").exists(), "nothing was opened");
    });
}

fn start(config: &Config) -> Child {
    let mut command = command();
    command.args(["run", "--json", "--config"]).arg(config.write());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Sends a signal once the run says that it is running.
fn signal(mut child: Child, signal: &str) -> Ran {
    let mut stderr = child.stderr.take().unwrap();
    let mut said = Vec::new();
    let mut part = [0; 4096];
    while !String::from_utf8_lossy(&said).contains("workers on") {
        let n = stderr.read(&mut part).unwrap();
        assert_ne!(n, 0, "it ended: {}", String::from_utf8_lossy(&said));
        said.extend(&part[..n]);
    }
    std::thread::sleep(Duration::from_millis(300));
    let kill = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let asked = Instant::now();
    stderr.read_to_end(&mut said).unwrap();
    let mut output = child.wait_with_output().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(10), "it took {:?}", asked.elapsed());
    output.stderr = said;
    Ran::from(output)
}

#[test]
fn a_signal_ends_a_run_with_its_accounts_closed() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("generated.pcap");
    generate(&capture, 5_000);
    // Which would go on for ever; once with nothing more to read, and once in the middle of traffic.
    let waiting = || Config::new("").tap(&pcap(&capture)).files(2);
    let busy = || Config::new("").port("tap0", "net_null0,size=90").probe("a", "null").probe("b", "null");
    for (name, config) in [
        ("-INT", waiting().lcores(&[0], &[0])),
        ("-TERM", waiting().lcores(&[0], &[1])),
        ("-TERM", busy().lcores(&[0], &[0])),
        ("-INT", busy().lcores(&[0], &[1])),
    ] {
        let live = config.text.contains("net_null0");
        let stats: Value = serde_json::from_str(&signal(start(&config), name).ok()).unwrap();
        closes(&stats, name);
        let received = number(&stats, &["rx", "packets"]);
        if live {
            assert!(received > 1_000);
        } else {
            assert_eq!((received, number(&stats, &["delivered"])), (5_000, 5_000));
            files_match_accounts(&stats, &config.live(), name);
        }
    }
}

/// What the socket tells of sessions is what a replay writes down of those that are up.
#[test]
fn a_running_instance_tells_of_its_sessions() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("core.pcap");
    generate(&capture, 20_000);
    let socket = folder.path().join("snipe.sock");
    for (rx, workers) in [(&[0_u32][..], &[0_u32][..]), (&[0], &[1]), (&[0, 1], &[0, 1])] {
        let config = Config::new("cluster_key = \"test\"").tap(&pcap(&capture)).files(2);
        let api = format!("[api]\nsocket = \"{}\"\n", socket.display());
        let config = Config { text: config.text + &api, ..config }.lcores(rx, workers);
        let child = start(&config);
        let ask = |args: &[&str]| snipe(args.iter().copied().chain(["--socket", socket.to_str().unwrap()]));
        let began = Instant::now();
        // All that is in the capture has gone through.
        let stats = loop {
            let answer = ask(&["stats", "--json"]);
            let stats: Option<Value> = serde_json::from_str(&answer.stdout).ok();
            if let Some(stats) = stats.filter(|stats| number(stats, &["delivered"]) == 20_000) {
                break stats;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{answer:?}");
            std::thread::sleep(Duration::from_millis(50));
        };
        let told = ask(&["sessions", "list", "--json"]).ok();
        let first: Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
        let imsi = first["imsi"].as_str().map(str::to_owned);
        let one = imsi.map(|imsi| ask(&["sessions", "list", "--json", "--imsi", &imsi]).ok());
        let ended: Value = serde_json::from_str(&signal(child, "-INT").ok()).unwrap();
        assert_eq!(ended["sessions"], stats["sessions"]);
        assert!(!socket.exists(), "it takes its socket away");

        let (replayed, _) = config.replay(&capture);
        assert_eq!(ended["sessions"], replayed["sessions"], "{rx:?} {workers:?}");
        let lines = std::fs::read_to_string(config.path("replayed").join("sessions.jsonl")).unwrap();
        let mut up: Vec<_> = lines.lines().filter(|line| line.contains("\"state\":\"active\"")).collect();
        let mut told: Vec<_> = told.lines().collect();
        up.sort_unstable();
        told.sort_unstable();
        assert!(told.len() > 10 && told == up, "{} told, {} up", told.len(), up.len());
        if let Some(one) = one {
            assert!(!one.is_empty() && one.lines().all(|line| up.contains(&line)));
        }
    }
}

#[test]
fn probes_can_be_ports() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("generated.pcap");
    generate(&capture, 8_000);
    let sent = folder.path().join("sent.pcap");
    let config = Config::new(STOPS)
        .tap(&pcap(&capture))
        .port("out0", "net_null1")
        .port("out1", &format!("net_pcap1,tx_pcap={}", sent.display()))
        .probe("probe-1", "port:out0")
        .probe("probe-2", "port:out1")
        .files(0)
        .lcores(&[0], &[0]);
    let stats = config.stats();
    closes(&stats, "ports");
    let (replayed_stats, replayed) = config.replay(&capture);
    assert_eq!(stats["probes"], replayed_stats["probes"]);
    assert_eq!(stats["delivered"], replayed_stats["delivered"]);
    // The driver writes the machine's time; frames and their order are what was replayed.
    let bytes = |records: &[Record]| records.iter().map(|record| record.bytes.clone()).collect::<Vec<_>>();
    assert!(bytes(&read_capture(&sent).records) == bytes(&replayed["probe-2"]));
}

#[test]
fn a_probe_that_takes_nothing_more_loses_its_packets_by_name() {
    // Nobody empties the ring. A tap that is no file cannot wait.
    let config = Config::new("")
        .port("tap0", "net_null0,size=90")
        .port("full", "net_ring0")
        .probe("full", "port:full")
        .lcores(&[0], &[0]);
    let stats: Value = serde_json::from_str(&signal(start(&config), "-INT").ok()).unwrap();
    closes(&stats, "a full ring");
    let lost = number(&stats, &["dropped", "probe_full"]);
    assert!(lost > 0, "{stats:#}");
    assert_eq!(number(&stats, &["probes", "full", "dropped", "probe_full"]), lost);
    assert!(number(&stats, &["delivered"]) > 500, "as many as there is room for\n{stats:#}");
    assert_eq!(sum(&stats, &["dropped"]), lost);
}

#[test]
fn a_full_probe_does_not_hold_up_a_file_for_long() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("generated.pcap");
    generate(&capture, 20_000);
    let config = Config::new(STOPS)
        .tap(&pcap(&capture))
        .port("full", "net_ring0")
        .probe("full", "port:full")
        .files(1)
        .lcores(&[0], &[0]);
    let started = Instant::now();
    let stats = config.stats();
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    closes(&stats, "a full probe");
    assert_eq!(number(&stats, &["rx", "packets"]), 20_000);
    assert!(number(&stats, &["probes", "full", "dropped", "probe_full"]) > 5_000, "{stats:#}");
    assert_eq!(sum(&stats, &["probes", "probe-1", "dropped"]), 0);
    files_match_accounts(
        &serde_json::json!({ "probes": { "probe-1": stats["probes"]["probe-1"] } }),
        &config.live(),
        "the other probe",
    );
}

#[test]
fn what_is_wrong_is_said_by_name() {
    let run = |config: Config| config.run();
    let null = || Config::new(STOPS).port("tap0", "net_null0").probe("a", "null").lcores(&[0], &[0]);
    run(Config::new("").tap("net_nonsense0").probe("a", "null").lcores(&[0], &[0]))
        .fails(2, &["tap", "net_nonsense0", "net_pcap0"]);
    run(Config::new("").tap("0000:ff:1f.7").probe("a", "null").lcores(&[0], &[0]))
        .fails(2, &["tap", "0000:ff:1f.7"]);
    run(Config::new("").tap("net_pcap0,rx_pcap=/nowhere/x.pcap").probe("a", "null").lcores(&[0], &[0]))
        .fails(2, &["tap", "/nowhere/x.pcap", "No such file"]);
    run(Config::new("").port("tap0", "net_null0").probe("a", "port:not-there").lcores(&[0], &[0]))
        .fails(2, &["snipe.toml:", "not-there"]);
    run(Config::new("").port("tap0", "net_null0").probe("a", "null").lcores(&[0], &[4_000]))
        .fails(2, &["snipe.toml:", "`workers`"]);
    run(Config::new("").port("tap0", "net_null0").probe("a", "null")).fails(2, &["lcores"]);

    let mut with_cores = null();
    with_cores.text = with_cores.text.replace("\"--no-telemetry\"", "\"-l\", \"0-1\"");
    with_cores.run().fails(2, &["-l", "[lcores]"]);
    let mut unknown_argument = null();
    unknown_argument.text = unknown_argument.text.replace("--no-telemetry", "--no-such-thing");
    unknown_argument.run().fails(2, &["[eal]", "--no-such-thing"]);
}

#[test]
fn missing_hugepages_are_explained() {
    let mut config = Config::new("").port("tap0", "net_null0").probe("a", "null").lcores(&[0], &[0]);
    config.text = config.text.replace("\"--no-huge\", ", "");
    let free = std::fs::read_to_string("/proc/sys/vm/nr_hugepages").unwrap_or_default();
    if free.trim() != "0" {
        println!("skipped: there are hugepages");
        return;
    }
    config.run().fails(1, &["hugepages", "--no-huge"]);
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("generated.pcap");
    generate(&capture, 1_000);
    let config = Config::new(STOPS)
        .tap(&pcap(&capture))
        .probe("devnull", "null")
        .probe("full-disk", &format!("file:{}", common::full_device()))
        .lcores(&[0], &[0]);
    config.run().fails(1, &["probe full-disk", "/dev/full", "no space left"]);
}

#[test]
fn a_disk_that_becomes_full_takes_nothing_from_the_other_probes() {
    let place = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mount(place.path(), "512k") else {
        println!("skipped: no permission to mount a small disk");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("generated.pcap");
    generate(&capture, 10_000);
    for workers in [&[0][..], &[0, 1]] {
        let small = place.path().join("small.pcap");
        let config = Config::new(STOPS)
            .tap(&pcap(&capture))
            .probe("small", &format!("file:{}", small.display()))
            .files(2)
            .lcores(&[0], workers);
        let ran = config.run();
        ran.fails(1, &["probe small", small.to_str().unwrap(), "no space left"]);
        let stats: Value = serde_json::from_str(&ran.stdout).expect("the accounting is printed all the same");
        closes(&stats, "a full disk");
        assert!(number(&stats, &["probes", "small", "dropped", "probe_write"]) > 1_000, "{stats:#}");
        let whole = read_capture(&small).records;
        assert_eq!(number(&stats, &["probes", "small", "packets"]), whole.len() as u64, "{stats:#}");
        assert!(!whole.is_empty(), "what fitted is there");
        let (_, replayed) = config.replay(&capture);
        assert_eq!(whole, replayed["small"][..whole.len()]);
        for probe in ["probe-1", "probe-2"] {
            assert!(config.live()[probe] == replayed[probe], "{probe}");
        }
        std::fs::remove_file(small).unwrap();
    }
}

/// HOSTILE 93: what is read is not written, under whatever name.
#[test]
fn a_run_never_writes_what_it_reads() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("in.pcap");
    generate(&capture, 100);
    let before = std::fs::read(&capture).unwrap();
    let other = folder.path().join("other.pcap");
    std::fs::hard_link(&capture, &other).unwrap();
    let to = format!("file:{}", other.display());
    let config = Config::new("").tap(&pcap(&capture)).probe("a", &to).lcores(&[0], &[0]);
    config.run().fails(2, &["probe a", "other.pcap", "is read"]);
    assert_eq!(std::fs::read(&capture).unwrap(), before);
}

/// Later fragments may come by another link than the first: the taps of one core share what they know.
#[test]
fn fragments_over_two_taps_are_brought_together() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a.pcap"), folder.path().join("b.pcap"));
    let ipv4 = |flags_offset: [u8; 2], payload: &[u8]| {
        let mut frame =
            vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 20 + payload.len() as u8, 0, 7];
        frame.extend(flags_offset);
        frame.extend([64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
        frame.extend(payload);
        frame
    };
    let first =
        ipv4([0x20, 0], &[8, 0x4b, 8, 0x4b, 0, 40, 0, 0, 0x32, 1, 0, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    let later = ipv4([0, 3], &[9; 16]);
    let record = |time_ns, bytes: Vec<u8>| Record { time_ns, wire_bytes: bytes.len() as u32, bytes };
    common::write_pcap(&a, 1, false, &[record(1_000_000, first)]);
    common::write_pcap(&b, 1, false, &[record(1_500_000, later)]);
    let taps = format!(
        "[[port]]\nname = \"b\"\ndevice = \"net_pcap1,rx_pcap={}\"\nclock = \"packet\"\n",
        b.display()
    );
    let mut config = Config::new("stop_when_idle = true").tap(&pcap(&a));
    config.text.push_str(&taps);
    let stats = config.files(2).lcores(&[0], &[0]).stats();
    assert_eq!(number(&stats, &["rx", "by_class", "gtp_c"]), 2, "{stats}");
}

/// What libpcap leaves out is not lost without a word.
#[test]
fn captures_that_net_pcap_cannot_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let long = folder.path().join("long.pcap");
    let bytes = vec![1; 70_000];
    common::write_pcap(&long, 1, false, &[Record { time_ns: 0, wire_bytes: 70_000, bytes }]);
    let config =
        |capture: &Path| Config::new("stop_when_idle = true").tap(&pcap(capture)).files(1).lcores(&[0], &[0]);
    config(&long).run().fails(2, &["long.pcap", "70000 bytes", "snipe replay"]);
}
