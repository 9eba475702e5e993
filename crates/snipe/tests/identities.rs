//! An operator's feed to a running instance: sessions of N4 that name no subscriber get one, those that come
//! later too, and so it is after a restart.
//!
//! Needs root, and the Debian packages iproute2 and tcpreplay.
#![cfg(feature = "dpdk")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::lab::{BRIDGE, Lab, Program, until};
use common::{closes, command, number, snipe};
use serde_json::{Value, json};

struct Place(tempfile::TempDir);

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn start(&self, lab: &Lab, name: &str) -> Program {
        let socket = self.path("snipe.sock");
        let state = self.path("state");
        let mut text =
            format!("[api]\nsocket = \"{}\"\n[state]\ndir = \"{}\"\n", socket.display(), state.display());
        let _ = writeln!(text, "[[port]]\nname = \"tap0\"\ndevice = \"net_pcap0,rx_iface_in=tap0\"");
        for n in 1..=4 {
            let _ = writeln!(text, "[[probe]]\nname = \"probe-{n}\"\nto = \"null\"");
        }
        let _ = writeln!(
            text,
            "[lcores]\ncontrol = 0\nrx = [1]\nworkers = [1]\n[eal]\nargs = [\"--no-huge\", \"--no-pci\", \
             \"--no-telemetry\", \"--no-shconf\", \"--file-prefix=snipe-feed-{}-{name}\"]",
            std::process::id()
        );
        let config = self.path(&format!("{name}.toml"));
        std::fs::write(&config, text).unwrap();
        let mut run = lab.command(BRIDGE, env!("CARGO_BIN_EXE_snipe"));
        for (name, value) in command().get_envs() {
            match value {
                Some(value) => run.env(name, value),
                None => run.env_remove(name),
            };
        }
        run.args(["run", "--json", "--config"]).arg(config);
        let mut running = Program::start(run);
        running.says("workers on");
        running
    }

    #[track_caller]
    fn ask(&self, args: &[&str]) -> String {
        let socket = self.path("snipe.sock");
        snipe(args.iter().copied().chain(["--socket", socket.to_str().unwrap()])).ok()
    }

    #[track_caller]
    fn stats(&self) -> Value {
        serde_json::from_str(&self.ask(&["stats", "--json"])).unwrap()
    }

    #[track_caller]
    fn sessions(&self, more: &[&str]) -> Vec<Value> {
        let lines = self.ask(&[&["sessions", "list", "--json"], more].concat());
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[track_caller]
    fn load(&self, entries: &[Value]) -> String {
        std::fs::write(self.path("feed.json"), Value::from(entries.to_vec()).to_string()).unwrap();
        self.ask(&["identities", "load", self.path("feed.json").to_str().unwrap()])
    }
}

fn play(lab: &Lab, capture: &Path) {
    let mut replay = lab.command("core", "tcpreplay");
    replay.args(["-q", "-i", "out0", "--preload-pcap"]).arg(capture);
    Program::start(replay).finish().ok();
}

/// Who each address is said to be: IMSIs that no signalling tells.
fn imsi_of(address: &str) -> String {
    let sum = address.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    format!("99999{:010}", sum % 10_000_000_000)
}

#[test]
fn a_feed_names_the_sessions_of_n4_and_survives_a_restart() {
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
    let out = capture.to_str().unwrap();
    let options = ["--subscribers", "300", "--seconds", "3", "--pps", "1500", "--nr", "1", "--umts", "0"];
    snipe(["gen", "-o", out].into_iter().chain(options)).ok();
    let truth: Value = serde_json::from_slice(&std::fs::read(place.path("core.json")).unwrap()).unwrap();
    let addresses: Vec<String> = truth["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|session| session["ue_ipv4"].as_str().or(session["ue_ipv6"].as_str()).map(str::to_owned))
        .collect();
    let entry = |address: &String| json!({ "ue_ip": address, "imsi": imsi_of(address), "ttl": "1h" });
    let (early, late): (Vec<_>, Vec<_>) = addresses.iter().enumerate().partition(|(n, _)| n % 2 == 0);
    let early: Vec<Value> = early.into_iter().map(|(_, address)| entry(address)).collect();
    let late: Vec<Value> = late.into_iter().map(|(_, address)| entry(address)).collect();

    let first = place.start(&lab, "first");
    let said = place.load(&early);
    assert_eq!(said, format!("{} entries taken; 0 sessions named by them\n", early.len()));
    // It is over before anything comes.
    place.ask(&["identities", "add", "--ue-ip", "10.200.0.1", "--imsi", "001010000000009", "--ttl", "1ms"]);
    play(&lab, &capture);
    let named = |sessions: &[Value]| -> HashMap<String, (Value, Value)> {
        let key = |session: &Value| session["correlation_id"].to_string() + &session["created"].to_string();
        let fed = sessions.iter().filter(|session| {
            let imsi = session["imsi"].as_str().unwrap_or_default();
            let own = ["ue_ipv4", "ue_ipv6"].map(|field| session[field].as_str().map(imsi_of));
            let is_fed = imsi.starts_with("99999");
            assert!(!is_fed || own.contains(&Some(imsi.to_owned())), "{session}");
            is_fed
        });
        fed.map(|session| (key(session), (session["imsi"].clone(), session["probe"].clone()))).collect()
    };
    let before = named(&place.sessions(&[]));
    let moved = number(&place.stats(), &["sessions", "moved"]);
    println!("{} sessions named as they came; {moved} moves", before.len());
    assert!(before.len() > 20);
    let said = place.load(&late);
    let sessions: u64 = said.split_whitespace().nth(3).unwrap().parse().unwrap();
    let both = named(&place.sessions(&[]));
    println!("{sessions} more at once");
    assert!(sessions > 20 && both.len() as u64 >= before.len() as u64 + sessions, "{said}");
    let (imsi, probe) = both.values().next().unwrap().clone();
    let own = place.sessions(&["--imsi", imsi.as_str().unwrap()]);
    assert!(!own.is_empty() && own.iter().all(|session| session["probe"] == probe));

    // Who was named is, and who comes will be.
    std::thread::sleep(Duration::from_millis(100));
    first.signal("KILL");
    drop(first);
    let second = place.start(&lab, "second");
    let after = named(&place.sessions(&[]));
    let kept = both.iter().filter(|(id, what)| after.get(*id) == Some(what)).count();
    assert!(kept * 10 >= both.len() * 9, "{kept} of {}", both.len());
    play(&lab, &capture);
    until("new sessions", || {
        let all = named(&place.sessions(&[]));
        let new = all.keys().filter(|id| !both.contains_key(*id)).count();
        if new > 20 { Ok(()) } else { Err(format!("{new} new ones")) }
    });
    second.signal("INT");
    let stats: Value = serde_json::from_str(&second.finish().ok()).unwrap();
    closes(&stats, "after the restart");
}
