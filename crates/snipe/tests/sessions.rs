//! The sessions of every capture there is, as golden files made by another program have them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::sessions::{Compare, is_known, read_lines};
use common::{all_hold, name, number, replay};
use serde_json::{Value, json};
use testkit::{captures, golden_sessions};

/// Without the counters, which the golden files do not have.
const FIELDS: [&str; 14] = [
    "imsi", "msisdn", "imei", "apn", "rat", "mcc", "mnc", "tac", "cell", "ue_ipv4", "ue_ipv6", "state",
    "created", "ended",
];

#[test]
fn every_capture_has_the_golden_sessions() {
    let captures = captures();
    if captures.is_empty() {
        println!("skipped: no captures");
        return;
    }
    let golden = golden_sessions().unwrap();
    let fields: Vec<_> = FIELDS.into_iter().chain(["fteids"]).collect();
    let compare = Compare { fields: &fields, with_counts: false };
    all_hold(&captures, |path| {
        let capture = name(path);
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let (stats, _) = replay(path, &out, &["--probes", "4"]);
        let sessions = read_lines(&out.join("sessions.jsonl"));
        assert_eq!(number(&stats, &["sessions", "created"]), sessions.len() as u64, "{capture}");
        let known: Vec<Value> = sessions.into_iter().filter(is_known).collect();
        let expected: Vec<Value> =
            golden.iter().filter(|session| session["file"] == capture).cloned().collect();
        match compare.difference(&expected, &known) {
            Some(difference) => Err(format!("{capture}: {difference}")),
            None => Ok(()),
        }
    });
}

#[test]
fn a_difference_is_named() {
    let session = |imsi: &str, teid: u32, created: &str| {
        json!({ "imsi": imsi, "ue_ipv4": "10.0.0.1", "created": created, "ended": null,
                "fteids": [{ "interface": "S1-U SGW GTP-U", "ip": "192.0.2.1", "teid": teid, "packets": 1, "bytes": 9 },
                           { "interface": "S11 MME GTP-C", "ip": "192.0.2.2", "teid": 1, "packets": 0, "bytes": 0 }] })
    };
    let compare = Compare { fields: &["imsi", "ue_ipv4", "created", "ended", "fteids"], with_counts: false };
    let one = session("001010000000001", 5, "2023-11-14T22:13:20.008Z");
    let two = session("001010000000002", 6, "2023-11-14T22:13:21Z");
    let written_otherwise = session("001010000000002", 6, "2023-11-14T22:13:21.000000Z");
    assert_eq!(compare.difference(&[one.clone(), two.clone()], &[written_otherwise, one.clone()]), None);

    let wrong = session("001010000000002", 7, "2023-11-14T22:13:21Z");
    let difference = compare.difference(&[one.clone(), two.clone()], &[wrong, one.clone()]).unwrap();
    assert_eq!(
        difference,
        "2 sessions expected, 2 found; 1 expected ones are not as they should be\n\
         first: imsi \"001010000000002\", ue \"10.0.0.1/\" null, created 1700000001000000000\n\
         - fteids: \"S1-U SGW GTP-U 192.0.2.1 6\"\n\
         + fteids: \"S1-U SGW GTP-U 192.0.2.1 7\"\n"
    );
    let missing = compare.difference(&[one.clone(), two.clone()], std::slice::from_ref(&one)).unwrap();
    assert!(missing.contains("not found:") && missing.contains("001010000000002"), "{missing}");
    let twice = compare.difference(std::slice::from_ref(&one), &[one.clone(), one.clone()]).unwrap();
    assert!(twice.contains("not expected:"), "{twice}");

    let counted = Compare { with_counts: true, ..compare };
    let mut more = one.clone();
    more["fteids"][0]["packets"] = json!(2);
    assert!(compare.difference(std::slice::from_ref(&one), std::slice::from_ref(&more)).is_none());
    assert!(counted.difference(&[one], &[more]).unwrap().contains("2 packets, 9 bytes"));
}
