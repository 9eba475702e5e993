//! `[tracker] unknown`: signalling that comes long after the packets that it is about moves their session,
//! or leaves it where it is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use common::frames::{Kind, kind, names_no_user, signal};
use common::sessions::{read_lines, time_ns};
use common::{Deliveries, closes, deliveries, number, read_capture, snipe, whereabouts, write_pcap};
use serde_json::Value;

const PROBES: usize = 8;
/// More than packets are held.
const LATE_NS: u64 = 300_000_000;

/// A mobile core, with signalling that comes late.
fn late_capture(folder: &Path) -> std::path::PathBuf {
    let (made, late) = (folder.join("core.pcap"), folder.join("late.pcap"));
    let options = [
        "--subscribers",
        "600",
        "--seconds",
        "6",
        "--pps",
        "5000",
        "--seed",
        "3",
        "--ipv6",
        "0.4",
        "--nr",
        "0.7",
    ];
    snipe(["gen", "-o", made.to_str().unwrap()].into_iter().chain(options)).ok();
    let mut records = read_capture(&made).records;
    for record in records.iter_mut().filter(|record| kind(&record.bytes) == Kind::Control) {
        record.time_ns += LATE_NS;
    }
    records.sort_by_key(|record| record.time_ns);
    write_pcap(&late, 1, false, &records);
    late
}

fn run(capture: &Path, unknown: &str, more: &[&str]) -> (Value, Deliveries, Vec<Value>) {
    let folder = tempfile::tempdir().unwrap();
    let mut text = format!("cluster_key = \"test\"\n[tracker]\nunknown = \"{unknown}\"\n");
    for n in 1..=PROBES {
        let _ = writeln!(text, "[[probe]]\nname = \"probe-{n}\"\nto = \"null\"");
    }
    let (config, out) = (folder.path().join("snipe.toml"), folder.path().join("out"));
    fs::write(&config, text).unwrap();
    let paths = ["--config", config.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let first = ["replay", "--json", capture.to_str().unwrap()];
    let ran = snipe(first.into_iter().chain(paths).chain(more.iter().copied()));
    assert_eq!(ran.stderr, "", "it is built");
    let stats = serde_json::from_str(&ran.ok()).unwrap();
    if more.contains(&"follow") {
        // A message may be at several probes.
        assert_eq!(number(&stats, &["delivered"]), number(&stats, &["rx", "packets"]));
    } else {
        closes(&stats, unknown);
    }
    (stats, deliveries(&out), read_lines(&out.join("sessions.jsonl")))
}

/// Of sessions whose packets came before their signalling: how many had a tunnel whose next packet went to
/// another probe than the last one before it was known. Of 5G, where packets say at once which address is
/// the UE's. A tunnel that two sessions had is left out.
fn torn(sessions: &[Value], probes: &Deliveries) -> (usize, usize) {
    let mut packets: HashMap<(IpAddr, u64), Vec<(u64, &str)>> = HashMap::new();
    for (probe, records) in probes {
        for record in records.iter().filter(|record| !names_no_user(&record.bytes)) {
            if let Kind::Tunnel(receiver, teid) = kind(&record.bytes) {
                packets.entry((receiver, u64::from(teid))).or_default().push((record.time_ns, probe));
            }
        }
    }
    packets.values_mut().for_each(|packets| packets.sort_unstable());
    let tunnels = |session: &Value| -> Vec<(IpAddr, u64)> {
        let ends = session["fteids"].as_array().unwrap().iter();
        ends.map(|end| (end["ip"].as_str().unwrap().parse().unwrap(), end["teid"].as_u64().unwrap()))
            .collect()
    };
    let mut had: HashMap<_, u32> = HashMap::new();
    sessions.iter().flat_map(tunnels).for_each(|tunnel| *had.entry(tunnel).or_default() += 1);
    let (mut all, mut torn) = (0, 0);
    let is_5g = |session: &&Value| {
        let mut ends = session["fteids"].as_array().unwrap().iter();
        session["known"] == true && ends.any(|end| end["interface"] == "N3 UPF")
    };
    for session in sessions.iter().filter(is_5g) {
        let known_ns = time_ns(&session["created"]).unwrap() + 1_000_000;
        let moves = tunnels(session).into_iter().filter(|tunnel| had[tunnel] == 1).filter_map(|tunnel| {
            let packets = packets.get(&tunnel)?;
            let before = packets.partition_point(|(time_ns, _)| *time_ns < known_ns);
            let last = packets.get(before.checked_sub(1)?)?;
            Some(packets.get(before)?.1 != last.1)
        });
        let moves: Vec<bool> = moves.collect();
        all += usize::from(!moves.is_empty());
        torn += usize::from(moves.contains(&true));
    }
    (all, torn)
}

/// Subscribers of whom two sessions that are up at one time are at two probes.
fn subscribers_apart(sessions: &[Value]) -> usize {
    let mut of: HashMap<&str, Vec<&Value>> = HashMap::new();
    for session in sessions {
        if let Some(imsi) = session["imsi"].as_str() {
            of.entry(imsi).or_default().push(session);
        }
    }
    let is_up = |session: &Value, at: u64| {
        time_ns(&session["created"]).unwrap() <= at && time_ns(&session["ended"]).is_none_or(|end| end > at)
    };
    let apart = |sessions: &Vec<&Value>| {
        sessions.iter().any(|one| {
            let at = time_ns(&one["created"]).unwrap();
            sessions.iter().any(|other| is_up(other, at) && other["probe"] != one["probe"])
        })
    };
    of.values().filter(|sessions| apart(sessions)).count()
}

#[test]
fn sessions_that_become_known_move_or_stay() {
    let folder = tempfile::tempdir().unwrap();
    let capture = late_capture(folder.path());
    let (moved, move_probes, move_sessions) = run(&capture, "move", &[]);
    let (stayed, stay_probes, stay_sessions) = run(&capture, "stay", &[]);

    let (all, torn_by_move) = torn(&move_sessions, &move_probes);
    let (_, torn_by_stay) = torn(&stay_sessions, &stay_probes);
    let moves = |stats: &Value| number(stats, &["sessions", "moved"]);
    println!(
        "of {all} sessions {torn_by_move} are torn by \"move\", {torn_by_stay} by \"stay\"; {} and {} moves",
        moves(&moved),
        moves(&stayed)
    );
    assert!(all > 100 && torn_by_move > 50);
    // What is left joined another session of its subscriber, or another of its own tunnels.
    assert!(torn_by_stay * 5 < torn_by_move && moves(&stayed) * 5 < moves(&moved));
    assert_eq!((subscribers_apart(&move_sessions), subscribers_apart(&stay_sessions)), (0, 0));

    // The same sessions, but for the probe; and all the same for any number of workers.
    let without_probe = |sessions: &[Value]| -> Vec<Value> {
        let mut sessions = sessions.to_vec();
        sessions.iter_mut().for_each(|session| session["probe"] = Value::Null);
        sessions
    };
    assert_eq!(without_probe(&move_sessions), without_probe(&stay_sessions));
    for workers in ["2", "5"] {
        let (stats, probes, sessions) = run(&capture, "stay", &["--workers", workers]);
        assert!(stats == stayed && probes == stay_probes && sessions == stay_sessions, "{workers} workers");
    }
}

/// With `control = "follow"` every message of a session is where the session stays.
#[test]
fn messages_follow_to_where_a_session_stays() {
    let folder = tempfile::tempdir().unwrap();
    let capture = late_capture(folder.path());
    let (stats, probes, sessions) = run(&capture, "stay", &["--control", "follow"]);
    let mut homes: HashMap<(IpAddr, u64), Vec<&Value>> = HashMap::new();
    for session in &sessions {
        for end in session["fteids"].as_array().unwrap() {
            let end = (end["ip"].as_str().unwrap().parse().unwrap(), end["teid"].as_u64().unwrap());
            homes.entry(end).or_default().push(&session["probe"]);
        }
    }
    let names: Vec<&String> = probes.keys().collect();
    let input = read_capture(&capture).records;
    let mut checked = 0;
    for (record, places) in input.iter().zip(whereabouts(&input, &probes, "follow")) {
        // A refusal is of no session, whatever number the next request that asks has.
        let Some(signal) = signal(&record.bytes).filter(|signal| signal.accepts || !signal.is_answer) else {
            continue;
        };
        let Some([Value::String(home)]) = signal.to.and_then(|end| homes.get(&end)).map(|homes| &homes[..])
        else {
            continue;
        };
        checked += 1;
        assert!(places.iter().any(|&place| names[place] == home), "{signal:?} of a session at {home}");
    }
    assert!(checked > 500, "{checked}");
    // Where an IMSI stays cannot be known when it asks; nothing else goes to two probes.
    let copies: u64 = names.iter().map(|name| number(&stats, &["probes", name, "control_packets"])).sum();
    let messages = number(&stats, &["rx", "by_class", "gtp_c"]) + number(&stats, &["rx", "by_class", "pfcp"]);
    println!("{checked} messages checked; {copies} copies of {messages}");
    assert!(copies < messages * 2);
}
