//! `snipe run` is killed in the middle of traffic and started again: sessions and their probes are the
//! same, and what the folder of `[state]` holds is never in its way.
//!
//! With `SNIPE_TEST_ALL` set there are 100,000 sessions.
#![cfg(feature = "dpdk")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::frames::{Kind, kind};
use common::lab::{BRIDGE, Lab, Program, until};
use common::sessions::time_ns;
use common::{Ran, SmallDisk, closes, command, number, read_capture, snipe};
use serde_json::Value;

/// A folder with configurations of runs that share their state.
struct Place(tempfile::TempDir);

const PROBES: usize = 4;

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn socket(&self) -> PathBuf {
        self.path("snipe.sock")
    }

    /// The configuration of a run that writes to `out`.
    fn config(&self, out: &str, port: &str, more: &str) -> PathBuf {
        let mut text = format!("{more}[api]\nsocket = \"{}\"\n", self.socket().display());
        let _ = writeln!(text, "[state]\ndir = \"{}\"", self.path("state").display());
        let _ = writeln!(text, "[[port]]\nname = \"tap0\"\n{port}");
        for n in 1..=PROBES {
            let file = self.path(&format!("{out}/probe-{n}.pcap"));
            let _ = writeln!(text, "[[probe]]\nname = \"probe-{n}\"\nto = \"file:{}\"", file.display());
        }
        let _ = writeln!(
            text,
            "[lcores]\ncontrol = 0\nrx = [1]\nworkers = [1]\n[eal]\nargs = [\"--no-huge\", \"--no-pci\", \
             \"--no-telemetry\", \"--no-shconf\", \"--file-prefix=snipe-restart-{}-{out}\"]",
            std::process::id()
        );
        let path = self.path(&format!("{out}.toml"));
        fs::write(&path, text).unwrap();
        path
    }

    #[track_caller]
    fn ask(&self, args: &[&str]) -> String {
        let socket = self.socket();
        snipe(args.iter().copied().chain(["--json", "--socket", socket.to_str().unwrap()])).ok()
    }

    #[track_caller]
    fn stats(&self) -> Value {
        serde_json::from_str(&self.ask(&["stats"])).unwrap()
    }

    #[track_caller]
    fn sessions(&self) -> Vec<Value> {
        self.ask(&["sessions", "list"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Runs in a namespace, with the environment of every test.
fn run_in(lab: &Lab, config: &Path) -> Command {
    let mut run = lab.command(BRIDGE, env!("CARGO_BIN_EXE_snipe"));
    for (name, value) in command().get_envs() {
        match value {
            Some(value) => run.env(name, value),
            None => run.env_remove(name),
        };
    }
    run.args(["run", "--json", "--config"]).arg(config);
    run
}

fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

/// A session, and its probe.
fn told(session: &Value) -> ((String, String), String) {
    let which = (session["correlation_id"].to_string(), session["created"].to_string());
    (which, session["probe"].to_string())
}

/// What tells it from others in the truth, too.
fn name(session: &Value) -> [String; 4] {
    ["imsi", "apn", "ue_ipv4", "ue_ipv6"].map(|field| session[field].to_string())
}

/// An endpoint as packets name it.
fn tunnel(endpoint: &Value) -> (IpAddr, u64) {
    (endpoint["ip"].as_str().unwrap().parse().unwrap(), endpoint["teid"].as_u64().unwrap())
}

#[test]
fn a_killed_run_has_its_sessions_back_before_its_first_packet() {
    let large = std::env::var_os("SNIPE_TEST_ALL").is_some();
    let (subscribers, seconds, pps, least) =
        if large { (220_000, 25, 70_000, 100_000) } else { (4_000, 8, 6_000, 1_500) };
    let there =
        |program: &str| Command::new(program).arg("-V").output().is_ok_and(|ran| ran.status.success());
    let Some(lab) = (there("ip") && there("tcpreplay")).then(|| Lab::new(&["core"])).flatten() else {
        println!("skipped: no permission to make namespaces, or no ip or tcpreplay");
        return;
    };
    lab.plug("core", "out0");
    lab.plug(BRIDGE, "tap0");
    let place = Place(tempfile::tempdir().unwrap());
    let capture = place.path("core.pcap");
    let numbers = [subscribers, seconds, pps].map(|n: u32| n.to_string());
    let [subscribers, seconds, pps] = numbers.each_ref().map(String::as_str);
    let out = capture.to_str().unwrap();
    let options = ["--subscribers", subscribers, "--seconds", seconds, "--pps", pps];
    snipe(["gen", "-o", out].into_iter().chain(options)).ok();

    let port = "device = \"net_pcap0,rx_iface_in=tap0\"";
    let mut first = Program::start(run_in(&lab, &place.config("first", port, "")));
    first.says("workers on");
    let mut replay = lab.command("core", "tcpreplay");
    replay.args(["-q", "-i", "out0", "--preload-pcap", out]);
    let replay = Program::start(replay);
    for part in 1..=4 {
        until("enough sessions", || {
            let active = number(&place.stats(), &["sessions", "active"]);
            if active >= least * part / 4 { Ok(()) } else { Err(format!("{active} sessions")) }
        });
    }
    let before = place.sessions();
    // What was told is older than this, and nothing else is asked for.
    std::thread::sleep(Duration::from_millis(20));
    let killed_ns = now_ns();
    first.signal("KILL");
    drop(first);

    let mut second = Program::start(run_in(&lab, &place.config("second", port, "")));
    second.says("workers on");
    let back = place.sessions();
    std::thread::sleep(Duration::from_secs(3));
    drop(replay);
    let after = place.sessions();
    second.signal("INT");
    let ran = second.finish();
    assert!(ran.stderr.contains("sessions of an earlier run are back"), "{ran:?}");
    let stats: Value = serde_json::from_str(&ran.ok()).unwrap();
    closes(&stats, "after the restart");

    // Every session, and its probe. Of those whose control plane was not seen more may have come to light.
    let is_known = |session: &&Value| session["known"] == true;
    let now: HashMap<_, _> = back.iter().map(told).collect();
    let mut ended = 0;
    for (id, probe) in before.iter().filter(is_known).map(told) {
        match now.get(&id) {
            Some(other) => assert_eq!(*other, probe, "{id:?}"),
            // It ended between the question and the kill, or since the start.
            None => ended += 1,
        }
    }
    assert!(ended * 10 < before.len(), "{ended} of {} are not there", before.len());

    // Every packet in a tunnel that the first run knew to be such a session's, and no other since. The truth
    // says whose it is; where another session got the tunnel while nobody looked, it is not this one's.
    let truth: Value = serde_json::from_slice(&fs::read(place.path("core.json")).unwrap()).unwrap();
    let mut holders: HashMap<_, Vec<&Value>> = HashMap::new();
    for session in before.iter().chain(&back).chain(&after) {
        for endpoint in session["fteids"].as_array().unwrap() {
            let of = holders.entry(tunnel(endpoint)).or_default();
            if of.iter().all(|other| told(other).0 != told(session).0) {
                of.push(session);
            }
        }
    }
    let sessions = truth["sessions"].as_array().unwrap();
    let of_frame = truth["packets"].as_array().unwrap().iter().map(Value::as_u64);
    let frames = read_capture(&capture).records;
    let owner: HashMap<&[u8], Option<u64>> =
        frames.iter().map(|frame| &frame.bytes[..]).zip(of_frame).collect();
    let at_start: HashSet<_> = before
        .iter()
        .filter(is_known)
        .flat_map(|session| session["fteids"].as_array().unwrap().iter().map(tunnel))
        .collect();
    let mut astray = String::new();
    let (mut checked, mut begins_ns) = (0_u64, u64::MAX);
    for n in 1..=PROBES {
        for record in read_capture(&place.path(&format!("second/probe-{n}.pcap"))).records {
            begins_ns = begins_ns.min(record.time_ns);
            let Kind::Tunnel(receiver, teid) = kind(&record.bytes) else { continue };
            let key = (receiver, u64::from(teid));
            let Some([session]) = holders.get(&key).filter(|_| at_start.contains(&key)).map(Vec::as_slice)
            else {
                continue;
            };
            let Some(owner) = owner.get(&record.bytes[..]).copied().flatten() else { continue };
            if name(&sessions[owner as usize]) != name(session) {
                continue;
            }
            checked += 1;
            if session["probe"] != format!("probe-{n}") {
                let ms = (record.time_ns - killed_ns) / 1_000_000;
                let _ = writeln!(astray, "{receiver} {teid} at probe-{n} {ms} ms after the kill: {session}");
            }
        }
    }
    // The newest session that came back.
    let of_before = back.iter().filter_map(|session| time_ns(&session["created"]));
    let newest_ns = of_before.filter(|&created| created < killed_ns).max().unwrap();
    println!(
        "{} sessions before, {} after; {checked} packets checked; first packet {:.2} s after the \
         kill; newest session {:.1} ms before it",
        before.len(),
        back.len(),
        begins_ns.saturating_sub(killed_ns) as f64 / 1e9,
        (killed_ns - newest_ns) as f64 / 1e6,
    );
    assert!(checked > 100, "{checked}");
    assert!(astray.is_empty(), "of {checked}:\n{astray}");
}

/// Runs over a capture file, with the folder of earlier ones.
struct Files {
    place: Place,
    port: String,
}

const STOPS: &str = "stop_when_idle = true\ncluster_key = \"one\"\n";

impl Files {
    fn new() -> Self {
        let place = Place(tempfile::tempdir().unwrap());
        let capture = place.path("core.pcap");
        let options = ["--subscribers", "300", "--seconds", "3", "--pps", "5000"];
        snipe(["gen", "-o", capture.to_str().unwrap()].into_iter().chain(options)).ok();
        let port = format!("device = \"net_pcap0,rx_pcap={}\"\nclock = \"packet\"", capture.display());
        Self { place, port }
    }

    fn command(&self, out: &str, more: &str) -> Command {
        let mut run = command();
        run.args(["run", "--json", "--config"]).arg(self.place.config(out, &self.port, more));
        run
    }

    fn run(&self, out: &str, more: &str) -> Ran {
        Ran::from(self.command(out, more).output().unwrap())
    }

    /// Runs once; returns the sessions that are up at the end.
    #[track_caller]
    fn first(&self) -> u64 {
        let ran = self.run("first", STOPS);
        assert!(!ran.stderr.contains("earlier run"), "{ran:?}");
        let stats: Value = serde_json::from_str(&ran.ok()).unwrap();
        number(&stats, &["sessions", "active"])
    }
}

#[test]
fn a_run_that_ended_has_its_sessions_back_too() {
    let files = Files::new();
    let active = files.first();
    let ran = files.run("second", STOPS);
    ran.says(&[&format!("{active} sessions of an earlier run are back")]);
    closes(&serde_json::from_str(&ran.ok()).unwrap(), "the second run");
}

#[test]
fn what_another_cluster_key_wrote_is_refused_before_anything_is_written_over() {
    let files = Files::new();
    files.first();
    let probe = files.place.path("first/probe-1.pcap");
    let before = fs::read(&probe).unwrap();
    let other = STOPS.replace("one", "two");
    files.run("first", &other).fails(2, &["checkpoint", "cluster_key", "[state] dir"]);
    assert!(fs::read(&probe).unwrap() == before, "the files of probes are as they were");
    files.run("first", STOPS).ok();
}

#[test]
fn a_damaged_file_is_named_and_the_rest_is_back() {
    let files = Files::new();
    let active = files.first();
    // A second run has made a checkpoint of it all.
    files.run("second", STOPS).ok();
    let checkpoint = files.place.path("state/checkpoint");
    let mut bytes = fs::read(&checkpoint).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(&checkpoint, &bytes).unwrap();
    let ran = files.run("third", STOPS);
    ran.says(&[
        "ERROR",
        "state/checkpoint: damaged at byte",
        "checkpoint.damaged",
        "sessions of an earlier run",
    ]);
    ran.ok();
    assert!(fs::read(files.place.path("state/checkpoint.damaged")).unwrap() == bytes);
    let ran = files.run("fourth", STOPS);
    assert!(!ran.stderr.contains("damaged at"), "it is whole again: {ran:?}");
    assert!(active > 100);
}

#[test]
fn a_checkpoint_that_is_gone_is_missed() {
    let files = Files::new();
    files.first();
    files.run("second", STOPS).ok();
    fs::remove_file(files.place.path("state/checkpoint")).unwrap();
    let ran = files.run("third", STOPS);
    ran.says(&["ERROR", "the checkpoint is gone", "sessions of an earlier run are back"]);
    ran.ok();
}

#[test]
fn what_finds_no_room_or_no_probe_is_counted() {
    let files = Files::new();
    files.first();
    let small = format!("{STOPS}[tracker]\ntunnels_max = 200\n");
    files.run("second", &small).says(&["WARN", "tunnels of these sessions find no room: raise tunnels_max"]);
    let config = files.place.config("third", &files.port, STOPS);
    let text = fs::read_to_string(&config).unwrap().replace("\"probe-4\"", "\"other\"");
    fs::write(&config, text).unwrap();
    let mut run = command();
    run.args(["run", "--json", "--config"]).arg(&config);
    Ran::from(run.output().unwrap())
        .says(&["WARN", "go on at another probe: theirs is not in the configuration"]);
}

#[test]
fn a_folder_is_one_runs_at_a_time() {
    let files = Files::new();
    let mut running = Program::start(files.command("first", "cluster_key = \"one\"\n"));
    running.says("workers on");
    let mut other = files.command("second", STOPS);
    let ran = Ran::from(other.output().unwrap());
    ran.fails(1, &["state", "another snipe", "[state]"]);
    running.signal("INT");
    running.finish().ok();
    files.run("second", STOPS).says(&["sessions of an earlier run are back"]);
}

#[test]
fn a_disk_that_takes_nothing_stops_no_packet() {
    let files = Files::new();
    fs::create_dir(files.place.path("state")).unwrap();
    let Some(_disk) = SmallDisk::mount(&files.place.path("state"), "32k") else {
        println!("skipped: no permission to mount a small disk");
        return;
    };
    let ran = files.run("first", STOPS);
    ran.says(&["ERROR", "No space left", "sessions are not kept"]);
    let stats: Value = serde_json::from_str(&ran.ok()).unwrap();
    closes(&stats, "a full disk");
    assert_eq!(number(&stats, &["delivered"]), 15_000);
    // What is there can be started from.
    files.run("second", STOPS).ok();
}
