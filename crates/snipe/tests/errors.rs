//! What a person reads when something is wrong, and the exit status with it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use common::{Ran, Record, closes, command, number, read_capture, snipe, write_pcap};
use serde_json::Value;

/// A folder that commands run in, so that messages have short names.
struct Here(tempfile::TempDir);

impl Here {
    /// With `good.pcap`, a capture of 300 packets.
    fn new() -> Self {
        let here = Self(tempfile::tempdir().unwrap());
        let frame = |n: u64| Record { time_ns: n * 1_000, wire_bytes: 90, bytes: vec![n as u8; 60] };
        write_pcap(&here.path("good.pcap"), 1, true, &(0..300).map(frame).collect::<Vec<_>>());
        here
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    /// Runs a command line, split at spaces.
    fn run(&self, line: &str) -> Ran {
        Ran::from(command().current_dir(self.0.path()).args(line.split(' ')).output().unwrap())
    }

    /// The run fails as a wrong input does, and leaves no output behind.
    #[track_caller]
    fn refuses(&self, line: &str, parts: &[&str]) -> Ran {
        let ran = self.run(line);
        ran.fails(2, parts);
        assert_eq!(ran.stdout, "");
        assert!(!self.path("out").exists(), "nothing was made");
        ran
    }
}

#[test]
fn a_missing_or_wrong_capture_is_named() {
    let here = Here::new();
    let good = fs::read(here.path("good.pcap")).unwrap();
    here.refuses("replay nope.pcap --out out", &["nope.pcap", "No such file", "working directory"]);
    // One wrong file among good ones, and nothing is written.
    here.refuses("replay good.pcap nope.pcap --out out", &["nope.pcap"]);
    here.file("empty.pcap", "");
    here.refuses("replay empty.pcap --out out", &["empty.pcap", "empty"]);
    here.file("text.pcap", "this is no capture, but long enough for a header");
    here.refuses("replay text.pcap --out out", &["text.pcap", "not a pcap or pcapng capture"]);
    here.file("short.pcap", &good[..17]);
    here.refuses("replay short.pcap --out out", &["short.pcap"]);
    let mut radio = good.clone();
    radio[20] = 127;
    here.file("radio.pcap", radio);
    here.refuses("replay radio.pcap --out out", &["radio.pcap", "link type 127", "Ethernet (1)"]);
    fs::create_dir(here.path("folder")).unwrap();
    here.refuses("replay folder --out out", &["folder", "directory"]);
    here.file("broken.gz", [0x1f, 0x8b, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    here.refuses("replay broken.gz --out out", &["broken.gz"]);
}

#[test]
fn a_capture_without_packets_is_read_with_a_warning() {
    let here = Here::new();
    here.file("header.pcap", &fs::read(here.path("good.pcap")).unwrap()[..24]);
    let ran = here.run("replay header.pcap --json --out out");
    ran.says(&["warning: header.pcap", "no packet"]);
    let stats: Value = serde_json::from_str(&ran.ok()).unwrap();
    assert_eq!(number(&stats, &["rx", "packets"]), 0);
    closes(&stats, "no packets");
    assert!(read_capture(&here.path("out/probe-1.pcap")).records.is_empty());
}

#[test]
fn a_cut_last_record_is_a_warning_and_all_before_it_is_delivered() {
    let here = Here::new();
    let good = fs::read(here.path("good.pcap")).unwrap();
    let whole = read_capture(&here.path("good.pcap")).records;
    for cut in [1, 30, 60, 61, 75] {
        here.file("cut.pcap", &good[..good.len() - cut]);
        let ran = here.run("replay cut.pcap --json --force --out out");
        ran.says(&["warning: cut.pcap", "cut", "byte 22"]);
        let stats: Value = serde_json::from_str(&ran.ok()).unwrap();
        closes(&stats, "a cut record");
        assert_eq!(number(&stats, &["delivered"]), 299);
        assert_eq!(read_capture(&here.path("out/probe-1.pcap")).records, whole[..299]);
    }
}

#[test]
fn a_capture_that_is_wrong_in_its_middle_gives_what_came_before_and_fails() {
    let here = Here::new();
    let mut bytes = fs::read(here.path("good.pcap")).unwrap();
    // The captured length of the eleventh record.
    bytes[24 + 10 * 76 + 8..24 + 10 * 76 + 12].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    here.file("wrong.pcap", bytes);
    let ran = here.run("replay wrong.pcap --json --out out");
    ran.fails(1, &["wrong.pcap", "784"]);
    let stats: Value = serde_json::from_str(&ran.stdout).unwrap();
    closes(&stats, "a wrong record");
    assert_eq!(read_capture(&here.path("out/probe-1.pcap")).records.len(), 10);
}

#[test]
fn the_output_directory_is_never_taken_by_surprise() {
    let here = Here::new();
    fs::create_dir(here.path("full")).unwrap();
    here.file("full/mine", "precious");
    here.refuses("replay good.pcap --out full", &["full", "not empty", "--force"]);
    assert_eq!(fs::read_dir(here.path("full")).unwrap().count(), 1);
    here.run("replay good.pcap --out full --force").ok();
    assert_eq!(fs::read_to_string(here.path("full/mine")).unwrap(), "precious");
    assert_eq!(read_capture(&here.path("full/probe-1.pcap")).records.len(), 300);

    here.file("a-file", "precious");
    here.refuses("replay good.pcap --out a-file", &["a-file", "is a file"]);
    here.refuses("replay good.pcap --out a-file --force", &["a-file", "is a file"]);
    here.refuses("replay good.pcap --out a-file/below", &["a-file/below", "cannot create"]);
    assert_eq!(fs::read_to_string(here.path("a-file")).unwrap(), "precious");

    // An empty directory is as good as none, and parents are made.
    fs::create_dir(here.path("empty")).unwrap();
    here.run("replay good.pcap --out empty").ok();
    here.run("replay good.pcap --out deep/er/out").ok();
}

#[test]
fn a_capture_is_never_written_over() {
    let here = Here::new();
    fs::create_dir(here.path("dir")).unwrap();
    let good = fs::read(here.path("good.pcap")).unwrap();
    let input = here.path("dir/probe-2.pcap");
    fs::write(&input, &good).unwrap();
    let refused = |line: &str| {
        here.run(line).fails(2, &["probe-2.pcap", "is one of the captures", "--out"]);
        assert!(fs::read(&input).unwrap() == good);
        assert!(!here.path("dir/probe-1.pcap").exists(), "no other file was emptied first");
    };
    refused("replay dir/probe-2.pcap --probes 3 --out dir --force");
    // By another name.
    std::os::unix::fs::symlink(&input, here.path("link.pcap")).unwrap();
    refused("replay good.pcap link.pcap --probes 3 --out dir --force");
    fs::hard_link(&input, here.path("hard.pcap")).unwrap();
    refused("replay hard.pcap --probes 3 --out dir --force");
}

#[test]
fn a_wrong_configuration_is_shown_with_line_and_column() {
    let here = Here::new();
    let refused = |text: &str, parts: &[&str]| {
        here.file("snipe.toml", text);
        let ran = here.refuses("replay good.pcap --config snipe.toml --out out", parts);
        // `run` reads the same file in the same way.
        let live = here.run("run --config snipe.toml");
        assert_eq!((live.status, &live.stderr), (Some(2), &ran.stderr));
    };
    let probe = "[[probe]]\nname = \"a\"\nto = \"null\"\n";
    refused(
        &format!("{probe}wieght = 2\n"),
        &["snipe.toml:4:1", "unknown key `wieght`", "did you mean `weight`"],
    );
    refused(
        "[[prob]]\nname = \"a\"\n",
        &["snipe.toml:1:3", "unknown table `[[prob]]`", "did you mean `[[probe]]`"],
    );
    refused("cluster_key = 7\n", &["snipe.toml:1:", "cluster_key"]);
    refused("a = [1,\n2\n", &["snipe.toml:"]);
    refused(&format!("{probe}[[group]]\nname = \"x\"\nprobes = [\"a\"]\n"), &["snipe.toml:4:1", "`default`"]);
    refused(&format!("{probe}[[group]]\nname = \"default\"\nprobes = [\"b\"]\n"), &["snipe.toml:6:", "`b`"]);
    refused(&format!("{probe}{probe}"), &["snipe.toml:5:8", "another probe is named `a`", "line 2"]);
    refused(&format!("{probe}weight = -1\n"), &["snipe.toml:4:"]);
    refused(&format!("{probe}[[group]]\nname = \"default\"\nprobes = []\n"), &["snipe.toml:6:"]);
    // A probe's name becomes a file's name.
    for name in ["../evil", "a/b", "..", ".", "", " ", ".hidden", "a\\u0000b", "/etc/passwd", "a\\nb"] {
        refused(&format!("[[probe]]\nname = \"{name}\"\nto = \"null\"\n"), &["snipe.toml:2:8", "`name`"]);
    }
    here.file("latin1.toml", b"cluster_key = \"\xe4\"\n");
    here.refuses("replay good.pcap --config latin1.toml --out out", &["latin1.toml"]);
    here.refuses("replay good.pcap --config nope.toml --out out", &["nope.toml", "No such file"]);
    here.refuses("replay good.pcap --rules nope.toml --out out", &["nope.toml", "No such file"]);
}

#[test]
fn a_wrong_command_line_says_what_is_possible() {
    let here = Here::new();
    for (line, parts) in [
        ("replay good.pcap", &["--out"][..]),
        ("replay --out out", &["CAPTURE", "--help"]),
        ("replay good.pcap --out out --workers 0", &["--workers", "1..=64"]),
        ("replay good.pcap --out out --workers many", &["--workers", "many"]),
        ("replay good.pcap --out out --probes 65", &["--probes", "1..=64"]),
        ("replay good.pcap --out out --probes 0", &["--probes", "1..=64"]),
        ("replay good.pcap --out out --speed nonsense", &["--speed", "max, real, or a number"]),
        ("replay good.pcap --out out --speed=-1", &["--speed", "max, real, or a number"]),
        ("replay good.pcap --out out --decap ipip", &["--decap", "vxlan"]),
        ("replay good.pcap --out out --control none", &["--control", "broadcast"]),
        ("replay good.pcap --out out --frobnicate", &["--frobnicate"]),
        ("run", &["--config"]),
        ("gen", &["--out"]),
        ("gen -o x.json", &["x.json", ".pcap"]),
        ("gen -o x.pcap --subscribers 0", &["subscribers", "1 to"]),
        ("gen -o x.pcap --loss 1.5", &["loss", "1.5", "between 0 and 1"]),
        ("gen -o x.pcap --nr 0.75 --umts 0.5", &["nr and umts", "1.25"]),
        ("gen -o good.pcap", &["good.pcap", "exists", "--force"]),
        ("rpelay", &["rpelay", "replay"]),
    ] {
        here.refuses(line, parts);
    }
    // Without anything it shows what there is.
    let nothing = snipe::<&str>([]);
    assert_eq!(nothing.status, Some(2));
    nothing.says(&["replay", "run", "gen", "Examples"]);
    for line in ["--help", "--version", "replay --help", "run --help", "gen --help", "completions --help"] {
        assert!(!here.run(line).ok().is_empty());
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let here = Here::new();
    let mut child = command();
    let child = child.current_dir(here.0.path()).args(["replay", "good.pcap", "--json", "--out", "out"]);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // `| head -0`
    drop(child.stdout.take());
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""));
    assert!(here.path("out/stats.json").exists());

    let full = fs::OpenOptions::new().write(true).open(common::full_device()).unwrap();
    let mut to_full = command();
    let to_full = to_full.current_dir(here.0.path()).args(["replay", "good.pcap", "--out", "out2"]);
    Ran::from(to_full.stdout(full).output().unwrap()).fails(1, &["stdout", "No space left"]);
}

/// Runs a command line as a user who may do nothing in particular; `None` where that cannot be done.
fn as_nobody(here: &Here, line: &str) -> Option<Ran> {
    let binary = Path::new(env!("CARGO_BIN_EXE_snipe"));
    let mut user = std::process::Command::new("setpriv");
    user.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(binary);
    user.current_dir(here.0.path()).args(line.split(' ')).env("NO_COLOR", "1");
    let output = user.output().ok()?;
    // Not root, or the build is in a folder that only root enters.
    let started = !String::from_utf8_lossy(&output.stderr).starts_with("setpriv:");
    started.then(|| Ran::from(output))
}

#[test]
fn missing_permissions_are_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let here = Here::new();
    let mode = |name: &str, mode: u32| {
        fs::set_permissions(here.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("", 0o755);
    let Some(ran) = as_nobody(&here, "replay good.pcap --out out") else {
        println!("skipped: cannot become another user");
        return;
    };
    ran.fails(2, &["out", "cannot create the directory", "Permission denied"]);
    mode("good.pcap", 0o600);
    let ran = as_nobody(&here, "replay good.pcap --out out").unwrap();
    ran.fails(2, &["good.pcap", "Permission denied"]);
    mode("good.pcap", 0o644);
    fs::create_dir(here.path("locked")).unwrap();
    let ran = as_nobody(&here, "replay good.pcap --out locked").unwrap();
    ran.fails(1, &["locked/probe-1.pcap", "Permission denied"]);
    here.file("closed.toml", "");
    mode("closed.toml", 0o600);
    let ran = as_nobody(&here, "replay good.pcap --config closed.toml --out out").unwrap();
    ran.fails(2, &["closed.toml", "Permission denied"]);
    as_nobody(&here, "gen -o x.pcap").unwrap().fails(1, &["x.pcap", "Permission denied"]);
}

#[test]
fn a_full_disk_is_named_and_ends_the_replay() {
    let here = Here::new();
    let disk = here.path("disk");
    fs::create_dir(&disk).unwrap();
    let mount = |args: &[&str]| {
        std::process::Command::new(args[0]).args(&args[1..]).arg(&disk).stderr(Stdio::null()).status()
    };
    if !mount(&["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs"]).is_ok_and(|status| status.success()) {
        println!("skipped: no permission to mount a small disk");
        return;
    }
    let frame = |n: u64| Record { time_ns: n * 1_000, wire_bytes: 1_000, bytes: vec![n as u8; 1_000] };
    write_pcap(&here.path("large.pcap"), 1, true, &(0..2_000).map(frame).collect::<Vec<_>>());
    let ran =
        [1, 3].map(|workers| here.run(&format!("replay large.pcap --workers {workers} --force --out disk")));
    let gen_ran = here.run("gen -o disk/x.pcap --force");
    let left = disk.join("x.pcap").exists();
    mount(&["umount"]).unwrap();
    for ran in ran {
        ran.fails(1, &["disk/probe-1.pcap", "no space left", "free some space", "not complete"]);
        assert_eq!(ran.stdout, "", "no accounting of an output that is not complete");
    }
    gen_ran.fails(1, &["disk/x.pcap", "No space left"]);
    assert!(!left, "half a capture would be taken for a whole one");
}

#[test]
#[cfg(not(feature = "dpdk"))]
fn without_dpdk_run_says_how_to_get_it() {
    let here = Here::new();
    here.file(
        "snipe.toml",
        "[[port]]\nname = \"tap\"\ndevice = \"net_null0\"\n[[probe]]\nname = \"a\"\nto = \"null\"\n\
         [lcores]\ncontrol = 0\nrx = [0]\nworkers = [0]\n",
    );
    here.run("run --config snipe.toml").fails(1, &["without DPDK", "libdpdk-dev", "--features dpdk"]);
}

/// Two runs are never mixed: what the earlier one left is gone before the later one writes.
#[test]
fn force_removes_what_an_earlier_run_left() {
    let here = Here::new();
    here.run("replay good.pcap --probes 4 --out out").ok();
    here.file("out/notes.txt", "somebody's own");
    here.run("replay good.pcap --probes 2 --out out --force").ok();
    let mut names: Vec<_> =
        fs::read_dir(here.path("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    let left = ["alerts.jsonl", "notes.txt", "probe-1.pcap", "probe-2.pcap", "sessions.jsonl", "stats.json"];
    assert_eq!(names, left);
}

/// Somebody who stops a slow replay gets whole files and the accounts of what was done.
#[test]
fn a_signal_ends_a_replay_with_its_accounts() {
    let here = Here::new();
    let hour = 3_600_000_000_000;
    let frame = |n: u64| Record { time_ns: n * hour, wire_bytes: 60, bytes: vec![1; 60] };
    write_pcap(&here.path("slow.pcap"), 1, true, &(0..3).map(frame).collect::<Vec<_>>());
    for (signal, workers) in [("-INT", "1"), ("-TERM", "2")] {
        let child = command()
            .current_dir(here.0.path())
            .args("replay slow.pcap --speed real --force --json --out out --workers".split(' '))
            .arg(workers)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(700));
        let pid = child.id().to_string();
        assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
        let ran = Ran::from(child.wait_with_output().unwrap());
        ran.fails(1, &["interrupted"]);
        let stats: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!((number(&stats, &["rx", "packets"]), number(&stats, &["delivered"])), (1, 1));
        assert_eq!(read_capture(&here.path("out/probe-1.pcap")).records.len(), 1);
    }
}

/// Files that are read or another probe's are found under any name.
#[test]
fn a_file_has_one_use() {
    let here = Here::new();
    fs::create_dir(here.path("out")).unwrap();
    here.file("out/probe-2.pcap", "");
    std::os::unix::fs::symlink("probe-2.pcap", here.path("out/probe-1.pcap")).unwrap();
    here.run("replay good.pcap --probes 2 --force --out out").fails(2, &["probe-2.pcap", "another probe's"]);
    std::os::unix::fs::symlink("../good.pcap", here.path("out/stats.json")).unwrap();
    let before = fs::read(here.path("good.pcap")).unwrap();
    here.run("replay good.pcap --probes 1 --force --out out").fails(2, &["stats.json"]);
    assert_eq!(fs::read(here.path("good.pcap")).unwrap(), before);
}

#[test]
fn rule_files_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.toml");
    let check = |when: &str, args: &[&str]| {
        let text = format!("[[rule]]\nname = \"video\"\nwhen = '{when}'\nthen = [\"count\"]\n");
        fs::write(&path, text).unwrap();
        snipe(["rules", "check", path.to_str().unwrap()].iter().chain(args))
    };
    let table = check("tls.sni matches \"^Video|film$\"", &[]).ok();
    assert!(table.starts_with("1 rule\n") && table.contains("payload           1   video"), "{table}");
    let json: serde_json::Value = serde_json::from_str(&check("vlan.id == 7", &["--json"]).ok()).unwrap();
    assert_eq!(json["header"], serde_json::json!(["video"]));
    check("tls.snj == \"a\"", &[])
        .fails(2, &["rules.toml:3:9", "no field `tls.snj`", "did you mean `tls.sni`?"]);
    snipe(["rules", "check", "nowhere.toml"]).fails(2, &["nowhere.toml", "No such file"]);
    assert!(snipe(["rules", "fields"]).ok().contains("session.imsi"));
}
