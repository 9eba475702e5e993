//! Every capture there is through `snipe replay`, judged by golden files and by a reader of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::path::Path;

use common::{
    Deliveries, closes, deliveries, difference, files, files_match_accounts, number, on_two_threads,
    read_capture, snipe, whereabouts,
};
use serde_json::Value;
use testkit::{captures, frame_numbers, golden};

const CLASSES: [&str; 5] = ["gtp_u", "gtp_c", "pfcp", "gtp_prime", "other"];

fn replay(capture: &Path, out: &Path, more: &[&str]) -> (Value, Deliveries) {
    let args = ["replay".as_ref(), "--json".as_ref(), "--out".as_ref(), out.as_os_str(), capture.as_os_str()];
    let stdout = snipe(args.into_iter().chain(more.iter().map(AsRef::as_ref))).ok();
    let stats = std::fs::read_to_string(out.join("stats.json")).unwrap();
    assert_eq!(stats, stdout, "stats.json is what --json prints");
    (serde_json::from_str(&stats).unwrap(), deliveries(out))
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

#[test]
fn every_capture_is_brokered_whole_and_its_accounts_close() {
    let captures = captures();
    if captures.is_empty() {
        println!("skipped: no captures");
        return;
    }
    let (times, classes, pairs) =
        (golden("times").unwrap(), golden("classes").unwrap(), golden("pairs").unwrap());
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

        for pair in pairs.of_capture(capture) {
            let mut at: Vec<_> =
                frame_numbers(pair.text("frames")).map(|frame| &places[frame as usize - 1]).collect();
            at.dedup();
            assert_eq!(at.len(), 1, "{capture}: {} and {}", pair.text("first"), pair.text("second"));
        }
    });
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
