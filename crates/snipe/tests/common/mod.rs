//! What the tests of the command share: running it, and a reader of captures that has nothing in
//! common with the one it uses.
#![allow(dead_code, unreachable_pub)]

pub mod frames;
pub mod lab;
pub mod pins;
pub mod sessions;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The command, in an environment that does not colour or log more than it shows by itself.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_snipe"));
    command.env_remove("SNIPE_LOG").env("NO_COLOR", "1").env("RUST_BACKTRACE", "1").stdin(Stdio::null());
    command
}

/// Runs the command.
pub fn snipe<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Ran {
    Ran::from(command().args(args).output().unwrap())
}

/// How a run of the command ended.
#[derive(Debug)]
pub struct Ran {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("all output is UTF-8");
        let ran =
            Self { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
        for sign in ["panicked", "RUST_BACKTRACE", "stack backtrace", "thread 'main'"] {
            assert!(!ran.stderr.contains(sign), "a panic: {ran:?}");
        }
        ran
    }
}

impl Ran {
    /// Asserts success; returns stdout.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.status, Some(0), "{self:?}");
        self.stdout
    }

    /// Asserts the exit status, that nothing was printed as a result, and that the message has all
    /// these parts.
    #[track_caller]
    pub fn fails(&self, status: i32, parts: &[&str]) {
        assert_eq!(self.status, Some(status), "{self:?}");
        self.says(parts);
        assert!(self.stderr.contains("error"), "{self:?}");
    }

    /// Asserts that stderr has all these parts.
    #[track_caller]
    pub fn says(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in:\n{}", self.stderr);
        }
    }
}

/// One record of a capture.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    pub time_ns: u64,
    pub wire_bytes: u32,
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes of {} at {}", self.bytes.len(), self.wire_bytes, self.time_ns)
    }
}

/// A capture: link types in the order of their first use, and all records.
#[derive(Clone, Debug, Default)]
pub struct Capture {
    pub links: Vec<u32>,
    pub nanoseconds: bool,
    pub records: Vec<Record>,
}

/// Numbers of a file, in its byte order.
#[derive(Clone, Copy)]
struct Numbers<'a> {
    bytes: &'a [u8],
    swapped: bool,
}

impl Numbers<'_> {
    fn u16(self, at: usize) -> u16 {
        let two = self.bytes[at..at + 2].try_into().unwrap();
        if self.swapped { u16::from_be_bytes(two) } else { u16::from_le_bytes(two) }
    }

    fn u32(self, at: usize) -> u32 {
        let four = self.bytes[at..at + 4].try_into().unwrap();
        if self.swapped { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
    }
}

/// Reads a whole pcap or pcapng file that is in order.
pub fn read_capture(path: &Path) -> Capture {
    let bytes = fs::read(path).unwrap();
    let swapped_pcap = |magic: [u8; 4]| bytes[..4] == magic;
    if bytes[..4] == [0x0a, 0x0d, 0x0d, 0x0a] {
        return read_pcapng(&bytes);
    }
    let (swapped, nanoseconds) = if swapped_pcap([0xd4, 0xc3, 0xb2, 0xa1]) {
        (false, false)
    } else if swapped_pcap([0xa1, 0xb2, 0xc3, 0xd4]) {
        (true, false)
    } else if swapped_pcap([0x4d, 0x3c, 0xb2, 0xa1]) {
        (false, true)
    } else {
        assert!(swapped_pcap([0xa1, 0xb2, 0x3c, 0x4d]), "{}", path.display());
        (true, true)
    };
    let file = Numbers { bytes: &bytes, swapped };
    let mut capture = Capture { links: vec![file.u32(20) & 0xffff], nanoseconds, records: Vec::new() };
    let mut at = 24;
    while at < bytes.len() {
        let (captured, wire_bytes) = (file.u32(at + 8) as usize, file.u32(at + 12));
        let unit = if nanoseconds { 1 } else { 1_000 };
        let time_ns = u64::from(file.u32(at)) * 1_000_000_000 + u64::from(file.u32(at + 4)) * unit;
        let bytes = bytes[at + 16..at + 16 + captured].to_vec();
        capture.records.push(Record { time_ns, wire_bytes, bytes });
        at += 16 + captured;
    }
    capture
}

fn read_pcapng(bytes: &[u8]) -> Capture {
    let mut capture = Capture { nanoseconds: true, ..Capture::default() };
    let mut swapped = false;
    // Of each interface: ticks in a second, link type.
    let mut interfaces: Vec<(u128, u32)> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at..at + 4] == [0x0a, 0x0d, 0x0d, 0x0a] {
            swapped = bytes[at + 8..at + 12] == [0x1a, 0x2b, 0x3c, 0x4d];
            interfaces.clear();
        }
        let file = Numbers { bytes, swapped };
        let length = file.u32(at + 4) as usize;
        match file.u32(at) {
            1 => {
                let mut ticks = 1_000_000;
                let mut option = at + 16;
                while option + 4 <= at + length - 4 && file.u16(option) != 0 {
                    let size = usize::from(file.u16(option + 2));
                    if file.u16(option) == 9 {
                        let value = bytes[option + 4];
                        let power = u32::from(value & 0x7f);
                        ticks = if value & 0x80 == 0 { 10_u128.pow(power) } else { 1 << power };
                    }
                    option += 4 + size.next_multiple_of(4);
                }
                interfaces.push((ticks, u32::from(file.u16(at + 8))));
            }
            6 => {
                let (ticks, link) = interfaces[file.u32(at + 8) as usize];
                let stamp = u128::from(file.u32(at + 12)) << 32 | u128::from(file.u32(at + 16));
                let captured = file.u32(at + 20) as usize;
                capture.records.push(Record {
                    time_ns: (stamp * 1_000_000_000 / ticks) as u64,
                    wire_bytes: file.u32(at + 24),
                    bytes: bytes[at + 28..at + 28 + captured].to_vec(),
                });
                if !capture.links.contains(&link) {
                    capture.links.push(link);
                }
            }
            2 | 3 => panic!("a packet block that this reader does not know"),
            _ => {}
        }
        at += length;
    }
    capture
}

/// Writes a microsecond or nanosecond pcap.
pub fn write_pcap(path: &Path, link: u32, nanoseconds: bool, records: &[Record]) {
    let magic = if nanoseconds { 0xa1b2_3c4d_u32 } else { 0xa1b2_c3d4 };
    let mut out = Vec::new();
    for word in [magic, 0x0004_0002, 0, 0, 262_144, link] {
        out.extend(word.to_le_bytes());
    }
    for record in records {
        let part = record.time_ns % 1_000_000_000 / if nanoseconds { 1 } else { 1_000 };
        let seconds = (record.time_ns / 1_000_000_000) as u32;
        for word in [seconds, part as u32, record.bytes.len() as u32, record.wire_bytes] {
            out.extend(word.to_le_bytes());
        }
        out.extend(&record.bytes);
    }
    fs::write(path, out).unwrap();
}

/// Every file of a folder, with its content.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (name(&path), fs::read(&path).unwrap())).collect()
}

/// The names that differ between two folders: nothing where both have the same files.
pub fn difference(left: &BTreeMap<String, Vec<u8>>, right: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let names = left.keys().chain(right.keys());
    let mut names: Vec<_> = names.filter(|name| left.get(*name) != right.get(*name)).cloned().collect();
    names.sort();
    names.dedup();
    names
}

/// A probe's deliveries, as its file has them.
pub type Deliveries = BTreeMap<String, Vec<Record>>;

/// The probe files of a folder.
pub fn deliveries(folder: &Path) -> Deliveries {
    let is_probe = |path: &PathBuf| path.extension() == Some(OsStr::new("pcap"));
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(is_probe);
    let stem = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    paths.map(|path| (stem(&path), read_capture(&path).records)).collect()
}

/// Where each input frame went, in the order of the input. Fails where a probe has anything that did
/// not come in, has it twice, or in another order.
#[track_caller]
pub fn whereabouts(input: &[Record], probes: &Deliveries, what: &str) -> Vec<Vec<usize>> {
    let mut next = vec![0; probes.len()];
    let mut places = Vec::with_capacity(input.len());
    for frame in input {
        let mut at = Vec::new();
        for (probe, (records, next)) in probes.values().zip(&mut next).enumerate() {
            if records.get(*next) == Some(frame) {
                *next += 1;
                at.push(probe);
            }
        }
        places.push(at);
    }
    for ((name, records), next) in probes.iter().zip(next) {
        assert_eq!(next, records.len(), "{what}: {name} has {:?} out of order", records.get(next));
    }
    places
}

/// A number in the accounting; 0 where it is left out.
#[track_caller]
pub fn number(stats: &Value, path: &[&str]) -> u64 {
    let found = path.iter().try_fold(stats, |value, key| value.get(key));
    found.map_or(0, |value| value.as_u64().unwrap_or_else(|| panic!("{path:?} is {value}")))
}

/// The sum of an object's numbers.
pub fn sum(stats: &Value, path: &[&str]) -> u64 {
    let found = path.iter().try_fold(stats, |value, key| value.get(key));
    let object = found.and_then(Value::as_object);
    object.map_or(0, |object| object.values().map(|value| value.as_u64().unwrap()).sum())
}

/// Every account closes: packets, classes, copies.
#[track_caller]
pub fn closes(stats: &Value, what: &str) {
    let received = number(stats, &["rx", "packets"]);
    let outcomes = number(stats, &["delivered"]) + sum(stats, &["dropped"]) + number(stats, &["in_flight"]);
    assert_eq!(received, outcomes, "{what}: {stats:#}");
    assert_eq!(received, sum(stats, &["rx", "by_class"]), "{what}: {stats:#}");
    assert_eq!(number(stats, &["in_flight"]), 0, "{what}: at exit");
    let control = number(stats, &["rx", "by_class", "gtp_c"]) + number(stats, &["rx", "by_class", "pfcp"]);
    let probes = stats["probes"].as_object().unwrap();
    let of_all = |key: &str| -> u64 { probes.values().map(|probe| number(probe, &[key])).sum() };
    let lost: u64 = probes.values().map(|probe| sum(probe, &["dropped"])).sum();
    // What never reached a worker was never copied.
    let uncopied = number(stats, &["dropped", "ring_full"]);
    if uncopied == 0 && number(stats, &["dropped", "pool_empty"]) == 0 {
        let copies = received - control + control * probes.len() as u64;
        assert_eq!(of_all("packets") + lost, copies, "{what}: copies made = sent + dropped\n{stats:#}");
    }
}

/// Checks what each probe's account says against what its file has.
#[track_caller]
pub fn files_match_accounts(stats: &Value, probes: &Deliveries, what: &str) {
    let accounts = stats["probes"].as_object().unwrap();
    assert_eq!(accounts.len(), probes.len(), "{what}");
    for (name, records) in probes {
        let account = &accounts[name];
        let bytes: u64 = records.iter().map(|record| record.bytes.len() as u64).sum();
        assert_eq!(number(account, &["packets"]), records.len() as u64, "{what}: {name}");
        assert_eq!(number(account, &["bytes"]), bytes, "{what}: {name}");
    }
}

/// Replays a capture; returns the accounting and the deliveries.
#[track_caller]
pub fn replay(capture: &Path, out: &Path, more: &[&str]) -> (Value, Deliveries) {
    let args = ["replay".as_ref(), "--json".as_ref(), "--out".as_ref(), out.as_os_str(), capture.as_os_str()];
    let stdout = snipe(args.into_iter().chain(more.iter().map(AsRef::as_ref))).ok();
    let stats = fs::read_to_string(out.join("stats.json")).unwrap();
    assert_eq!(stats, stdout, "stats.json is what --json prints");
    (serde_json::from_str(&stats).unwrap(), deliveries(out))
}

/// The name of a file.
#[track_caller]
pub fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// Calls `check` for every item, on two threads; fails with what it says of any of them.
#[track_caller]
pub fn all_hold<T: Sync>(items: &[T], check: impl Fn(&T) -> Result<(), String> + Sync) {
    let wrong = std::sync::Mutex::new(Vec::new());
    on_two_threads(items, |item| {
        if let Err(what) = check(item) {
            wrong.lock().unwrap().push(what);
        }
    });
    let mut wrong = wrong.into_inner().unwrap();
    wrong.sort();
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), items.len(), wrong.join("\n"));
}

/// Calls `work` for every item, on two threads.
pub fn on_two_threads<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    work(item);
                }
            });
        }
    });
}

/// `/dev/full`, on which nothing can be written. Not every container has it; root may make it.
pub fn full_device() -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;
    const PATH: &str = "/dev/full";
    let is_there = || std::fs::metadata(PATH).is_ok_and(|found| found.file_type().is_char_device());
    if !is_there() {
        // Major 1, minor 7: full(4). Another test may be about to do the same.
        let _ = std::process::Command::new("mknod").args(["-m", "666", PATH, "c", "1", "7"]).output();
    }
    assert!(is_there(), "this test needs {PATH}: mknod -m 666 {PATH} c 1 7");
    PATH
}

/// A file system of its own that is soon full; none where we may not make one.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Puts it on an empty folder. `size` as mount(8) takes it.
    pub fn mount(folder: &Path, size: &str) -> Option<Self> {
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder)
            .stderr(Stdio::null())
            .status();
        mount.is_ok_and(|status| status.success()).then(|| Self(folder.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}
