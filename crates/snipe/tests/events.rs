//! `GET /events` of a running instance: signalling that comes late over the wire, and what is told of it.
//!
//! Needs root, and the Debian packages iproute2 and tcpreplay.
#![cfg(feature = "dpdk")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::frames::{Kind, kind};
use common::lab::{BRIDGE, Lab, Program, until};
use common::{closes, command, number, read_capture, snipe, write_pcap};
use serde_json::Value;

/// More than packets are held.
const LATE_NS: u64 = 300_000_000;

#[test]
fn a_running_instance_tells_what_happens() {
    let there =
        |program: &str| Command::new(program).arg("-V").output().is_ok_and(|ran| ran.status.success());
    let Some(lab) = (there("ip") && there("tcpreplay")).then(|| Lab::new(&["core"])).flatten() else {
        println!("skipped: no permission to make namespaces, or no ip or tcpreplay");
        return;
    };
    lab.plug("core", "out0");
    lab.plug(BRIDGE, "tap0");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (made, late) = (path("core.pcap"), path("late.pcap"));
    let options = ["--subscribers", "400", "--seconds", "4", "--pps", "2000", "--nr", "0.6"];
    snipe(["gen", "-o", made.to_str().unwrap()].into_iter().chain(options)).ok();
    let mut records = read_capture(&made).records;
    for record in records.iter_mut().filter(|record| kind(&record.bytes) == Kind::Control) {
        record.time_ns += LATE_NS;
    }
    records.sort_by_key(|record| record.time_ns);
    write_pcap(&late, 1, false, &records);

    let socket = path("snipe.sock");
    let mut text = format!(
        "subscriber_ids = \"pseudonym\"\ncluster_key = \"x\"\n[api]\nsocket = \"{}\"\n",
        socket.display()
    );
    let _ = writeln!(text, "[[port]]\nname = \"tap0\"\ndevice = \"net_pcap0,rx_iface_in=tap0\"");
    for n in 1..=4 {
        let _ = writeln!(text, "[[probe]]\nname = \"probe-{n}\"\nto = \"null\"");
    }
    let _ = writeln!(
        text,
        "[lcores]\ncontrol = 0\nrx = [1]\nworkers = [1]\n[eal]\nargs = [\"--no-huge\", \"--no-pci\", \
         \"--no-telemetry\", \"--no-shconf\", \"--file-prefix=snipe-events-{}\"]",
        std::process::id()
    );
    std::fs::write(path("snipe.toml"), text).unwrap();
    let mut run = lab.command(BRIDGE, env!("CARGO_BIN_EXE_snipe"));
    for (name, value) in command().get_envs() {
        match value {
            Some(value) => run.env(name, value),
            None => run.env_remove(name),
        };
    }
    run.args(["run", "--json", "--config"]).arg(path("snipe.toml"));
    let mut running = Program::start(run);
    running.says("workers on");

    let follower = command()
        .args(["events", "--json", "--socket"])
        .arg(&socket)
        .stdout(std::fs::File::create(path("events.jsonl")).unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It is heard at once; its first event is a while away.
    std::thread::sleep(Duration::from_millis(500));
    let mut replay = lab.command("core", "tcpreplay");
    replay.args(["-q", "-i", "out0", "--preload-pcap"]).arg(&late);
    Program::start(replay).finish().ok();
    let ask = || -> Value {
        let socket = socket.to_str().unwrap();
        serde_json::from_str(&snipe(["stats", "--json", "--socket", socket]).ok()).unwrap()
    };
    until("all packets", || {
        let known = number(&ask(), &["rx", "packets"]) + number(&ask(), &["rx", "missed"]);
        if known >= records.len() as u64 { Ok(()) } else { Err(format!("{known} packets")) }
    });
    running.signal("INT");
    let stats: Value = serde_json::from_str(&running.finish().ok()).unwrap();
    closes(&stats, "events");

    let told = follower.wait_with_output().unwrap();
    let out = std::fs::read_to_string(path("events.jsonl")).unwrap();
    let said = String::from_utf8(told.stderr).unwrap();
    assert_eq!(told.status.code(), Some(1), "{said}");
    assert!(said.contains("the instance has stopped"), "its end is a clean one: {said}");
    let events: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |name: &str| events.iter().filter(|event| event["event"] == name).collect::<Vec<_>>();
    let (moved, learned) = (of("session-moved"), of("session-learned"));
    println!("{} learned, {} moved, {} events", learned.len(), moved.len(), events.len());
    assert_eq!(of("lost").len(), 0);
    assert_eq!(moved.len() as u64, number(&stats, &["sessions", "moved"]));
    assert!(moved.len() > 20 && learned.len() > 50, "{} {}", moved.len(), learned.len());
    for event in moved {
        assert!(event["probe"] != event["probe_before"] && event["probe"].as_str().is_some(), "{event}");
    }
    let named = learned.iter().filter_map(|event| event["imsi"].as_str()).collect::<Vec<_>>();
    assert!(!named.is_empty() && named.iter().all(|imsi| imsi.starts_with("p-")), "{named:?}");
}
