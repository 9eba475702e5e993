//! Two boxes that see the same signalling, and each one direction of the user plane.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::frames::{Kind, inner, kind};
use common::sessions::{of_user, read_lines, read_truth, users};
use common::{Record, command, read_capture, snipe, write_pcap};
use serde_json::Value;

/// Starts a box of its own over these frames, with this key.
fn start(folder: &Path, name: &str, records: &[Record], key: &str) -> (std::process::Child, PathBuf) {
    let (capture, config, out) =
        (folder.join(format!("{name}.pcap")), folder.join(format!("{name}.toml")), folder.join(name));
    write_pcap(&capture, 1, true, records);
    fs::write(&config, format!("cluster_key = \"{key}\"\n")).unwrap();
    let arguments = ["replay", "--probes", "8", "--config"];
    let child = command()
        .args(arguments)
        .arg(&config)
        .arg("--out")
        .arg(&out)
        .arg(&capture)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    (child, out)
}

/// Probe and correlation id of every session that signalling told of.
fn told(out: &Path) -> BTreeMap<String, (Value, Value)> {
    let lines = read_lines(&out.join("sessions.jsonl"));
    let known = lines.iter().filter(|session| session["known"] == true);
    let found: BTreeMap<_, _> = known
        .map(|session| {
            let who =
                ["imsi", "apn", "ue_ipv4", "ue_ipv6", "created"].map(|field| session[field].to_string());
            (who.join(" "), (session["probe"].clone(), session["correlation_id"].clone()))
        })
        .collect();
    assert!(found.values().all(|(probe, id)| probe.is_string() && id.is_string()));
    found
}

#[test]
fn two_boxes_with_one_key_agree() {
    let folder = tempfile::tempdir().unwrap();
    let core = folder.path().join("core.pcap");
    let options = ["--subscribers", "400", "--seconds", "15", "--pps", "6000", "--seed", "5"];
    let gen_args = ["gen".as_ref(), "-o".as_ref(), core.as_os_str()];
    snipe(gen_args.into_iter().chain(options.iter().map(AsRef::as_ref))).ok();
    let (truth, owners) = read_truth(&core.with_extension("json"));
    let records = read_capture(&core).records;
    // Whichever way it goes; what does not say so comes to both.
    let is_uplink = |index: usize| {
        let own = owners[index].map(|session| &truth[session])?;
        let (source, destination) = inner(&records[index].bytes)?;
        let is_users = |address| users(own).any(|user| user == of_user(address));
        (is_users(source) != is_users(destination)).then(|| is_users(source))
    };
    let half = |uplink: bool| -> Vec<Record> {
        let seen = |&index: &usize| {
            kind(&records[index].bytes) == Kind::Control || is_uplink(index).is_none_or(|own| own == uplink)
        };
        (0..records.len()).filter(seen).map(|index| records[index].clone()).collect()
    };
    let (up, down) = (half(true), half(false));
    assert!(up.len() < records.len() * 9 / 10 && down.len() < records.len() * 9 / 10);
    // At the same time, in two processes.
    let mut boxes = [("up", &up, "shared"), ("down", &down, "shared"), ("other", &down, "of its own")]
        .map(|(name, records, key)| start(folder.path(), name, records, key));
    for (child, _) in &mut boxes {
        assert!(child.wait().unwrap().success());
    }
    let [up, down, other] = boxes.map(|(_, out)| told(&out));
    assert!(up.len() >= 400, "{} sessions", up.len());
    assert_eq!(up, down, "every session has the same probe and the same correlation id");
    assert_eq!(up.len(), other.len());
    let same = up.iter().filter(|(who, told)| other[*who].1 == told.1).count();
    assert_eq!(same, 0, "another key, other ids");
}
