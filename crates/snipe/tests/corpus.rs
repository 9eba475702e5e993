//! Every capture there is through `snipe replay`, judged by golden files and by a reader of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use common::sessions::{of_user, users};
use common::{
    closes, deliveries, difference, files, files_match_accounts, name, number, on_two_threads, read_capture,
    replay, snipe, whereabouts,
};
use serde_json::Value;
use testkit::{Golden, captures, frame_numbers, golden, golden_sessions};

const CLASSES: [&str; 5] = ["gtp_u", "gtp_c", "pfcp", "gtp_prime", "other"];

#[test]
fn every_capture_is_brokered_whole_and_its_accounts_close() {
    let captures = captures();
    if captures.is_empty() {
        println!("skipped: no captures");
        return;
    }
    let (times, classes, pairs, ue) = (
        golden("times").unwrap(),
        golden("classes").unwrap(),
        golden("pairs").unwrap(),
        golden("ue").unwrap(),
    );
    let sessions = golden_sessions().unwrap();
    on_two_threads(&captures, |path| {
        let capture = name(path);
        let folder = tempfile::tempdir().unwrap();
        let (stats, probes) = replay(path, &folder.path().join("out"), &["--probes", "4"]);
        closes(&stats, capture);
        files_match_accounts(&stats, &probes, capture);

        let packets = times.of_capture(capture).next().unwrap().number("packets").unwrap();
        assert_eq!(number(&stats, &["rx", "packets"]), packets, "{capture}: capinfos");
        assert_eq!(number(&stats, &["delivered"]), packets, "{capture}: nothing is dropped");
        let golden_classes = classes.of_capture(capture).next().unwrap();
        for class in CLASSES {
            let count = number(&stats, &["rx", "by_class", class]);
            assert_eq!(Some(count), golden_classes.number(class), "{capture}: {class}");
        }

        let input = read_capture(path);
        assert_eq!(input.records.len() as u64, packets, "{capture}: this test's own reader");
        let bytes: u64 = input.records.iter().map(|record| record.bytes.len() as u64).sum();
        assert_eq!(number(&stats, &["rx", "bytes"]), bytes, "{capture}");
        for probe in ["probe-1", "probe-2", "probe-3", "probe-4"] {
            let file = read_capture(&folder.path().join("out").join(format!("{probe}.pcap")));
            assert!(file.nanoseconds, "{capture}: {probe}");
            assert_eq!(file.links, input.links, "{capture}: {probe}");
        }

        let control =
            ["gtp_c", "pfcp"].iter().map(|class| golden_classes.number(class).unwrap()).sum::<u64>();
        let places = whereabouts(&input.records, &probes, capture);
        let everywhere = places.iter().filter(|at| at.len() == 4).count() as u64;
        let once = places.iter().filter(|at| at.len() == 1).count() as u64;
        assert_eq!((everywhere, once), (control, packets - control), "{capture}: all probes, or one");
        for account in stats["probes"].as_object().unwrap().values() {
            assert_eq!(number(account, &["control_packets"]), control, "{capture}");
        }
        let users = stats["probes"].as_object().unwrap().values();
        let users: u64 = users.map(|account| number(account, &["user_packets"])).sum();
        assert_eq!(Some(users), golden_classes.number("gtp_u"), "{capture}");

        pairs_stay_together(capture, &places, &pairs, &ue, &sessions);
    });
}

/// All packets of one UE address are at one probe, after its session is known.
///
/// Whose packets they are `ue.tsv` says, and `one_probe.rs` checks it; before its session is known an
/// address has no probe yet. Here are the pairs of addresses that no session is known of: they are at
/// one probe. The packets of a tunnel may move together, once: it is pinned by the inner pair until it
/// shows which address is its UE's, and by that from then on.
#[track_caller]
fn pairs_stay_together(
    capture: &str,
    places: &[Vec<usize>],
    pairs: &Golden,
    ue: &Golden,
    sessions: &[Value],
) {
    let of_sessions: HashSet<u64> =
        ue.of_capture(capture).flat_map(|row| frame_numbers(row.text("frames"))).collect();
    let known: HashSet<IpAddr> =
        sessions.iter().filter(|session| session["file"] == capture).flat_map(users).collect();
    let address = |text: &str| text.parse().map(of_user).unwrap();
    // Of each pair: where a tunnel moved from and to, or stayed.
    let mut moves: HashMap<(&str, &str), Vec<Vec<&Vec<usize>>>> = HashMap::new();
    for row in pairs.of_capture(capture) {
        let pair = (row.text("first"), row.text("second"));
        let mut frames: Vec<_> = frame_numbers(row.text("frames")).collect();
        if [pair.0, pair.1].map(address).iter().any(|address| known.contains(address)) {
            continue;
        }
        // Link-local addresses in the tunnels of a session.
        frames.retain(|frame| !of_sessions.contains(frame));
        if frames.is_empty() {
            continue;
        }
        let mut at: Vec<_> = frames.iter().map(|&frame| &places[frame as usize - 1]).collect();
        at.dedup();
        assert!(at.len() <= 2, "{capture}: {pair:?} in tunnel {}: {at:?}", row.text("teid"));
        if !at.is_empty() {
            moves.entry(pair).or_default().push(at);
        }
    }
    for (pair, tunnels) in moves {
        let moved = tunnels.iter().find(|at| at.len() == 2).or_else(|| tunnels.first()).unwrap();
        for at in &tunnels {
            assert!(at.iter().all(|place| moved.contains(place)), "{capture}: {pair:?}: {tunnels:?}");
            assert!(at.len() < 2 || at == moved, "{capture}: {pair:?}: {tunnels:?}");
        }
    }
}

#[test]
fn every_run_and_every_number_of_workers_gives_the_same_files() {
    let captures = captures();
    if captures.is_empty() {
        println!("skipped: no captures");
        return;
    }
    on_two_threads(&captures, |path| {
        let folder = tempfile::tempdir().unwrap();
        let run = |out: &str, workers: &str| {
            let out = folder.path().join(out);
            replay(path, &out, &["--probes", "4", "--workers", workers]);
            files(&out)
        };
        let first = run("first", "1");
        let expected = [
            "alerts.jsonl",
            "probe-1.pcap",
            "probe-2.pcap",
            "probe-3.pcap",
            "probe-4.pcap",
            "sessions.jsonl",
            "stats.json",
        ];
        assert!(first.keys().eq(expected), "{:?}", first.keys());
        for (out, workers) in [("again", "1"), ("two", "2"), ("three", "3")] {
            let other = run(out, workers);
            assert!(
                difference(&first, &other).is_empty(),
                "{}: {out}: {:?}",
                name(path),
                difference(&first, &other)
            );
        }
    });
}

#[test]
fn many_captures_together_are_merged_whole_for_any_number_of_workers() {
    // Of one link type, so that frames stay as they are.
    let mut inputs = captures();
    inputs.retain(|path| read_capture(path).links == [1]);
    if inputs.is_empty() {
        println!("skipped: no captures");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = |out: &str, workers: &str| {
        let out = folder.path().join(out);
        let mut args =
            vec!["replay".into(), "--probes=8".into(), "--out".into(), out.clone().into_os_string()];
        args.push(format!("--workers={workers}").into());
        args.extend(inputs.iter().map(|path| path.clone().into_os_string()));
        snipe(args).ok();
        out
    };
    let one = run("one", "1");
    let stats: Value = serde_json::from_slice(&files(&one)["stats.json"]).unwrap();
    closes(&stats, "all captures");
    files_match_accounts(&stats, &deliveries(&one), "all captures");
    let all: usize = inputs.iter().map(|path| read_capture(path).records.len()).sum();
    assert_eq!(number(&stats, &["delivered"]), all as u64);
    for (out, workers) in [("three", "3"), ("seven", "7")] {
        let other = run(out, workers);
        assert!(difference(&files(&one), &files(&other)).is_empty(), "{out}");
    }
}
