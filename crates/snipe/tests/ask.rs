//! The commands that ask a running instance, against one that is made up.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::Ipv4Addr;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{Ran, command};
use control::{
    Backend, Busy, ByClass, Cursor, Event, Events, Fed, FeedEntry, FeedError, Identities, Limits, Page,
    ProbeStats, Server, ServerSettings, SessionJson, Stats, serve,
};
use serde_json::Value;
use session::{Filter, Record, State};
use tempfile::TempDir;
use types::{Apn, Digits, Imsi, Msisdn, ProbeId, Rat};

/// Packets that it received so far: more with every question.
struct Instance {
    sessions: u64,
    packets: AtomicU64,
    events: Events,
}

fn record(n: u64) -> Record {
    let digits = |text: String| Digits::from_text(text.as_bytes());
    Record {
        correlation_id: n,
        imsi: digits(format!("{:015}", 1_010_000_000_001 + n)).map(Imsi),
        msisdn: digits(format!("{}", 46_700_000_001 + n)).map(Msisdn),
        apn: Apn::from_text(if n % 2 == 0 { b"internet" } else { b"ims" }),
        rat: Some(Rat(if n % 2 == 0 { 6 } else { 10 })),
        ue_ipv4: Some(Ipv4Addr::from(0x0a00_0100 + n as u32)),
        ue_ipv6: (n == 1).then(|| "2001:db8:1::".parse().unwrap()),
        known: true,
        state: if n == 2 { State::Deleted } else { State::Active },
        probe: Some(ProbeId((n % 2) as u8)),
        packets_ul: n * 1_000,
        packets_dl: n * 12_345,
        bytes_ul: n * 85_000,
        bytes_dl: n * 1_234_567,
        created_ns: 1_700_000_000_008_000_000 + n * 1_000_000_000,
        ..Record::default()
    }
}

impl Backend for Instance {
    fn stats(&self) -> Stats {
        let packets = self.packets.fetch_add(1_000, Ordering::Relaxed);
        let mut stats = Stats::new("0.1.0");
        stats.rx.packets = packets;
        stats.rx.bytes = packets * 850;
        stats.rx.by_class = ByClass { gtp_u: packets, ..ByClass::default() };
        stats.delivered = packets;
        for (name, packets) in [("probe-1", packets), ("probe-2", 0)] {
            let probe =
                ProbeStats { packets, bytes: packets * 850, user_packets: packets, ..ProbeStats::default() };
            stats.probes.insert(name.to_owned(), probe);
        }
        stats
    }

    fn sessions(&self, filter: &Filter, from: Cursor) -> Result<Page, Busy> {
        let wanted = |record: &Record| {
            filter.imsi.is_none_or(|imsi| record.imsi == Some(imsi))
                && filter.ue_ip.is_none_or(|ip| record.ue_ipv4.is_some_and(|v4| ip == v4))
                && filter.teid.is_none_or(|teid| u64::from(teid.0) == record.correlation_id)
        };
        let end = (from.0 + 2).min(self.sessions);
        let records = (from.0..end).map(record).filter(wanted).collect();
        Ok(Page { records, next: (end < self.sessions).then_some(Cursor(end)) })
    }

    fn probe_name(&self, probe: ProbeId) -> Option<&str> {
        ["probe-1", "probe-2"].get(usize::from(probe.0)).copied()
    }

    fn identities(&self) -> &Identities {
        &Identities::Clear
    }

    fn events(&self) -> &Events {
        &self.events
    }

    fn identify(&self, entries: Vec<FeedEntry>) -> Result<Fed, FeedError> {
        let fed = Fed { accepted: entries.len().min(1_500), sessions: 1 };
        if entries.len() > 1_500 { Err(FeedError::Full(fed)) } else { Ok(fed) }
    }
}

struct Here {
    folder: TempDir,
    server: Option<Server>,
    instance: Arc<Instance>,
}

impl Here {
    fn new(sessions: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = ServerSettings {
            socket: folder.path().join("snipe.sock"),
            group: None,
            tcp: None,
            limits: Limits::default(),
        };
        let events = Events::new(&Identities::Clear);
        let instance = Arc::new(Instance { sessions, packets: AtomicU64::new(1_000), events });
        let server = serve(&settings, Arc::clone(&instance) as _).unwrap();
        Self { folder, server: Some(server), instance }
    }

    fn command(&self, line: &str) -> std::process::Command {
        let mut command = command();
        command.env_remove("COLUMNS").env("SNIPE_SOCKET", "snipe.sock");
        command.current_dir(self.folder.path()).args(line.split(' '));
        command
    }

    fn run(&self, line: &str) -> Ran {
        Ran::from(self.command(line).output().unwrap())
    }

    fn spawn(&self, line: &str) -> Child {
        self.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

fn line(n: u64) -> String {
    let mut line = Vec::new();
    let probe = if n % 2 == 0 { "probe-1" } else { "probe-2" };
    SessionJson::new(&record(n), Some(probe), &Identities::Clear).write_line(&mut line).unwrap();
    String::from_utf8(line).unwrap()
}

#[test]
fn sessions_as_a_table() {
    insta::assert_snapshot!(Here::new(5).run("sessions list").ok());
    assert_eq!(Here::new(0).run("sessions list").ok(), "no session\n");
}

#[test]
fn sessions_as_lines() {
    let here = Here::new(5);
    let all: Vec<String> = (0..5).map(line).collect();
    assert_eq!(here.run("sessions list --json").ok(), all.concat());
    assert_eq!(here.run("sessions list --json --limit 3").ok(), all[..3].concat());
    assert_eq!(here.run("sessions list --json --imsi 001010000000004").ok(), all[3]);
    assert_eq!(here.run("sessions list --json --ue-ip 10.0.1.1").ok(), all[1]);
    assert_eq!(here.run("sessions list --json --teid 0x4").ok(), all[4]);
    assert_eq!(here.run("sessions list --json --teid 2 --imsi 001010000000004").ok(), "");
    // The flag wins over the environment.
    here.run("sessions list --socket nobody.sock").fails(1, &["nobody.sock"]);
}

#[test]
fn stats_as_a_table_and_as_json() {
    let here = Here::new(0);
    insta::assert_snapshot!(here.run("stats").ok());
    let printed = here.run("stats --json").ok();
    let stats: Stats = serde_json::from_str(&printed).unwrap();
    assert_eq!(stats.rx.packets, 2_000);
    assert_eq!(printed, stats.to_json().unwrap());
}

#[test]
fn watched_stats_come_until_a_signal() {
    let here = Here::new(0);
    let mut child = here.spawn("stats --json --watch 100ms");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let start = Instant::now();
    for n in 1..=3 {
        let stats: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(stats["rx"]["packets"], n * 1_000);
    }
    assert!(start.elapsed() >= Duration::from_millis(150), "{:?}", start.elapsed());
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    // Whoever ends the watch that way wanted no more.
    assert_eq!(child.wait().unwrap().code(), Some(0));

    let mut child = here.spawn("stats --watch 100ms");
    let mut out = child.stdout.take().unwrap();
    let mut text = String::new();
    while text.matches("every packet accounted for").count() < 2 {
        let mut bytes = [0; 4_096];
        let count = out.read(&mut bytes).unwrap();
        assert!(count > 0, "{text}");
        text.push_str(std::str::from_utf8(&bytes[..count]).unwrap_or(" "));
    }
    assert_eq!(text.matches("a second").count(), 1, "the first block has no rates:\n{text}");
    assert!(!text.contains('\x1b'), "no terminal, no control characters");
    // A reader that goes away ends it.
    drop(out);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn an_instance_that_goes_ends_the_watch() {
    let mut here = Here::new(0);
    let child = here.spawn("stats --watch 100ms");
    thread::sleep(Duration::from_millis(500));
    here.server.take().unwrap().stop();
    let ran = Ran::from(child.wait_with_output().unwrap());
    ran.fails(1, &["snipe.sock", "is snipe running?"]);
    assert!(ran.stdout.contains("every packet accounted for"));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let here = Here::new(20_000);
    for line in ["sessions list --json", "sessions list"] {
        let mut child = here.spawn(line);
        let mut first = [0; 10];
        child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
        // `| head`
        drop(child.stdout.take());
        let ran = Ran::from(child.wait_with_output().unwrap());
        assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""), "{line}");
    }
    let full = std::fs::OpenOptions::new().write(true).open(common::full_device()).unwrap();
    let ran = Ran::from(here.command("sessions list --json").stdout(full).output().unwrap());
    ran.fails(1, &["cannot write to stdout", "No space left"]);
}

#[test]
fn events_come_as_they_happen() {
    let mut here = Here::new(0);
    let (mut people, mut scripts) = (here.spawn("events"), here.spawn("events --json"));
    common::lab::until("both listen", || match here.instance.events.listeners() {
        2 => Ok(()),
        other => Err(format!("{other} listeners")),
    });
    let imsi = record(0).imsi;
    let (before, after) = (Some("probe-1"), Some("probe-2"));
    let events = [
        Event::SessionLearned { from: 1, correlation_id: 2, imsi, before, after },
        Event::SessionMoved { correlation_id: 2, imsi: None, before, after },
        Event::PathRestart { peer: [192, 0, 2, 1].into(), protocol: types::Signalling::Pfcp },
        Event::AssociationReleased { peers: [[192, 0, 2, 1].into(), [192, 0, 2, 2].into()] },
        Event::State { ok: false, message: Some("no space left on device") },
        Event::State { ok: true, message: None },
        Event::Lost { count: 3 },
    ];
    for event in events {
        here.instance.events.tell(1_700_000_000_008_000_000, event);
    }
    let read = |child: &mut Child| -> Vec<String> {
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        lines.take(7).map(|line| line.unwrap() + "\n").collect()
    };
    let lines = read(&mut scripts);
    let first: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(
        (first["event"].as_str(), first["imsi"].as_str()),
        (Some("session-learned"), Some("001010000000001"))
    );
    insta::assert_snapshot!("events_as_lines", lines.concat());
    insta::assert_snapshot!("events_as_rows", read(&mut people).concat());
    // Whoever ends it wanted no more; an instance that goes was to go on.
    let pid = scripts.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(scripts.wait().unwrap().code(), Some(0));
    here.server.take().unwrap().stop();
    let ran = Ran::from(people.wait_with_output().unwrap());
    ran.fails(1, &["snipe.sock", "the instance has stopped"]);
}

#[test]
fn identities_are_told() {
    let here = Here::new(0);
    let said = here.run("identities add --ue-ip 10.0.1.0 --imsi 001010000000001 --ttl 10m").ok();
    assert_eq!(said, "1 entry taken; 1 session named by them\n");
    let entry = "{\"ue_ip\":\"10.0.1.0\",\"imsi\":\"001010000000001\"}";
    let file = here.folder.path().join("feed.json");
    std::fs::write(&file, format!("[{}{entry}]", format!("{entry},").repeat(2_499))).unwrap();
    let said = here.run("identities load feed.json").ok();
    assert_eq!(said, "2500 entries taken; 3 sessions named by them\n");
    std::fs::write(&file, format!("[{entry},{{\"ue_ip\":\"10.0.1\"}}]")).unwrap();
    here.run("identities load feed.json").fails(2, &["feed.json: entry 2: ue_ip: give an address"]);
    here.run("identities load none.json").fails(2, &["none.json: cannot read: No such file"]);
}

#[test]
fn nobody_there_says_what_to_do() {
    let here = Here::new(0);
    for line in [
        "stats --socket nope.sock",
        "sessions list --socket nope.sock",
        "stats --watch 1s --socket nope.sock",
        "events --socket nope.sock",
        "identities add --ue-ip 10.0.1.0 --imsi 001010000000001 --socket nope.sock",
    ] {
        let ran = here.run(line);
        ran.fails(1, &["error: cannot connect to nope.sock: No such file or directory"]);
        ran.says(&["is snipe running? give --socket PATH or set SNIPE_SOCKET"]);
        assert_eq!(ran.stdout, "");
    }
    let mut command = here.command("stats");
    let ran = Ran::from(command.env_remove("SNIPE_SOCKET").output().unwrap());
    if ran.status != Some(0) {
        ran.fails(1, &["/run/snipe/snipe.sock"]);
    }
}

#[test]
fn a_wrong_question_says_what_is_possible() {
    let here = Here::new(0);
    for (line, parts) in [
        ("sessions list --imsi 12x", &["--imsi", "12x", "6 to 15 digits"][..]),
        ("sessions list --imsi 0010100000000012", &["6 to 15 digits"]),
        ("sessions list --ue-ip 10.0.0", &["--ue-ip", "10.0.1.0"]),
        ("sessions list --teid 0x1ffffffff", &["--teid", "0x100"]),
        ("sessions list --limit 0", &["--limit", "from 1 on"]),
        ("sessions list extra", &["extra"]),
        ("sessions", &["list", "Examples"]),
        ("sessions lst", &["lst", "list"]),
        ("identities", &["add", "load", "Examples"]),
        ("identities add --ue-ip 10.0.1.0", &["--imsi", "--msisdn", "--imei"]),
        ("identities add --ue-ip 10.0.1.0 --imsi 12", &["--imsi", "6 to 15 digits"]),
        ("identities add --ue-ip 10.0.1.0 --imsi 001010000000001 --ttl 10", &["--ttl", "\"10s\""]),
        ("stats --watch 1", &["--watch", "\"1s\""]),
        ("stats --watch 1ms", &["100ms or more"]),
        // This instance writes clear identities: nobody has a pseudonym there.
        ("sessions list --imsi p-0123456789abcdef", &["ask for the IMSI itself"]),
    ] {
        let ran = here.run(line);
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""), "{line}: {ran:?}");
        ran.says(parts);
    }
}

#[test]
fn help_has_examples() {
    let here = Here::new(0);
    let help = |line: &str| {
        let help = here.run(&format!("{line} --help")).ok();
        assert!(help.contains("Examples:"), "{help}");
        help
    };
    insta::assert_snapshot!("help_sessions", help("sessions"));
    insta::assert_snapshot!("help_sessions_list", help("sessions list"));
    insta::assert_snapshot!("help_stats", help("stats"));
    insta::assert_snapshot!("help_events", help("events"));
    insta::assert_snapshot!("help_identities", help("identities"));
    insta::assert_snapshot!("help_identities_add", help("identities add"));
    insta::assert_snapshot!("help_identities_load", help("identities load"));
    for shell in ["bash", "zsh", "fish"] {
        let script = here.run(&format!("completions {shell}")).ok();
        assert!(script.contains("sessions") && script.contains("ue-ip"), "{shell}");
    }
}
