//! `snipe run` beside other people's software: an SGSN and a GGSN in namespaces of their own talk over a
//! bridge, and the tap is the far end of one of its ports. What is right is what tshark and the kernel say.
//!
//! Needs root, and the Debian packages osmo-ggsn, iputils-ping, iproute2, tshark and python3.
#![cfg(feature = "dpdk")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::lab::{BRIDGE, Counters, Lab, Program, until};
use common::sessions::{Compare, read_lines};
use common::{closes, command, number, read_capture, replay, snipe};
use serde_json::{Value, json};

/// One after the other: each wants a core for itself.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The ways to read a Linux interface that lose nothing without saying so.
const PCAP: &str = "net_pcap0,rx_iface_in=tap0";
const XDP: &str = "net_af_xdp0,iface=tap0,start_queue=0,queue_count=1";

/// A running instance whose tap is `tap0` in the namespace of the bridge.
struct Broker<'a> {
    lab: &'a Lab,
    program: Program,
    folder: tempfile::TempDir,
    /// The near end of the tap.
    port: String,
    before: Counters,
}

impl<'a> Broker<'a> {
    #[track_caller]
    fn start(lab: &'a Lab, device: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut text = format!("[api]\nsocket = \"{}\"\n", folder.path().join("snipe.sock").display());
        let _ = writeln!(text, "[[port]]\nname = \"tap0\"\ndevice = \"{device}\"");
        for probe in ["probe-1", "probe-2"] {
            let _ = writeln!(text, "[[probe]]\nname = \"{probe}\"\nto = \"null\"");
        }
        let prefix = format!("snipe-strangers-{}", std::process::id());
        let _ = writeln!(
            text,
            "[lcores]\ncontrol = 0\nrx = [0]\nworkers = [0]\n[eal]\nargs = [\"--no-huge\", \"--no-pci\", \
             \"--no-telemetry\", \"--no-shconf\", \"--file-prefix={prefix}\"]"
        );
        let config = folder.path().join("snipe.toml");
        std::fs::write(&config, text).unwrap();

        let port = lab.plug(BRIDGE, "tap0");
        let before = lab.counters(BRIDGE, "tap0");
        let plain = command();
        let mut run = lab.command(BRIDGE, env!("CARGO_BIN_EXE_snipe"));
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => run.env(name, value),
                None => run.env_remove(name),
            };
        }
        run.args(["run", "--json", "--config"]).arg(config);
        let mut program = Program::start(run);
        program.says("workers on");
        Self { lab, program, folder, port, before }
    }

    /// What the kernel has counted since the start.
    fn counters(&self) -> Counters {
        self.lab.counters(BRIDGE, "tap0").since(self.before)
    }

    fn ask(&self, args: &[&str]) -> common::Ran {
        let socket = self.folder.path().join("snipe.sock");
        snipe(args.iter().copied().chain(["--json", "--socket", socket.to_str().unwrap()]))
    }

    #[track_caller]
    fn sessions(&self) -> Vec<Value> {
        let lines = self.ask(&["sessions", "list"]).ok();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits until all that the interface has received is accounted for.
    #[track_caller]
    fn settled(&self) -> Value {
        until("the accounts to be the kernel's", || {
            let stats: Value = serde_json::from_str(&self.ask(&["stats"]).ok()).unwrap();
            let known = number(&stats, &["rx", "packets"]) + number(&stats, &["rx", "missed"]);
            let kernel = self.counters();
            if known == kernel.received && number(&stats, &["in_flight"]) == 0 {
                return Ok(stats);
            }
            Err(format!("{kernel:?}, {}", stats["rx"]))
        })
    }

    /// Ends the run. The accounts close, and are the kernel's.
    #[track_caller]
    fn finish(self) -> Value {
        self.settled();
        let Self { lab, program, before, .. } = self;
        program.signal("INT");
        let stats: Value = serde_json::from_str(&program.finish().ok()).unwrap();
        closes(&stats, "at the end");
        let kernel = lab.counters(BRIDGE, "tap0").since(before);
        let known = number(&stats, &["rx", "packets"]) + number(&stats, &["rx", "missed"]);
        assert_eq!(known, kernel.received, "{kernel:?}, {}", stats["rx"]);
        assert_eq!(kernel.sent, 0, "a tap says nothing");
        stats
    }
}

/// Whether a program is there, by something that it does.
fn has(program: &str, arg: &str) -> bool {
    let ran = Command::new(program).arg(arg).stdin(Stdio::null()).output();
    let there = ran.is_ok_and(|ran| ran.status.success());
    if !there {
        println!("skipped: {program} is not installed");
    }
    there
}

/// Whether tunnels can be made. Not every container has the device; root may make it.
fn has_tun() -> bool {
    const PATH: &str = "/dev/net/tun";
    if !Path::new(PATH).exists() {
        let _ = std::fs::create_dir_all("/dev/net");
        // Major 10, minor 200: devices.txt of the kernel.
        let _ = Command::new("mknod").args(["-m", "666", PATH, "c", "10", "200"]).output();
    }
    let there = std::fs::File::options().read(true).write(true).open(PATH).is_ok();
    if !there {
        println!("skipped: {PATH} cannot be opened");
    }
    there
}

fn lab(hosts: &[&'static str]) -> Option<Lab> {
    let lab = has("ip", "-V").then(|| Lab::new(hosts)).flatten();
    if lab.is_none() {
        println!("skipped: no permission to make network namespaces");
    }
    lab
}

/// What tshark reads, in this order.
const FIELDS: [&str; 20] = [
    "gtp.message",
    "ip.src",
    "ip.dst",
    "gtp.seq_number",
    "gtp.cause",
    "gtp.teid",
    "gtp.teid_cp",
    "gtp.teid_data",
    "gtp.gsn_ipv4",
    "e212.imsi",
    "e164.msisdn",
    "gtp.ext_imeisv",
    "gtp.apn",
    "gtp.user_ipv4",
    "gtp.ext_rat_type",
    "e212.sai.mcc",
    "e212.sai.mnc",
    "gtp.lac",
    "gtp.sai_sac",
    "ip.len",
];

/// What is asked for, and the endpoints of the asker: address and TEID.
struct Asked {
    session: Value,
    control: (String, u64),
    user: (String, u64),
}

fn endpoint(interface: &str, (ip, teid): &(String, u64)) -> Value {
    json!({ "interface": interface, "ip": ip, "teid": teid, "packets": 0, "bytes": 0 })
}

/// The sessions of a capture as tshark tells of them, with the packets of each of their tunnels.
#[track_caller]
fn by_tshark(capture: &Path) -> Vec<Value> {
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(capture).args([
        "-Y",
        "gtp",
        "-T",
        "fields",
        "-E",
        "occurrence=a",
        "-E",
        "aggregator=,",
    ]);
    let output = tshark.args(FIELDS.iter().flat_map(|field| ["-e", field])).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut sessions: Vec<Value> = Vec::new();
    let mut asked: HashMap<_, Asked> = HashMap::new();
    let mut leaving = HashMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let row: Vec<Vec<&str>> = line.split('\t').map(|values| values.split(',').collect()).collect();
        let field = |name: &str| &row[FIELDS.iter().position(|field| *field == name).unwrap()];
        let text = |name: &str| field(name)[0].to_owned();
        let number = |text: &str| match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).unwrap(),
            None => text.parse().unwrap_or_else(|why| panic!("{why}: {text:?} in {line}")),
        };
        let or_null = |name: &str| Some(text(name)).filter(|text| !text.is_empty());
        let node = |teid: &str, at: usize| (field("gtp.gsn_ipv4")[at].to_owned(), number(&text(teid)));
        let there = (text("ip.src"), text("ip.dst"), text("gtp.seq_number"));
        let back = (text("ip.dst"), text("ip.src"), text("gtp.seq_number"));
        match number(&text("gtp.message")) {
            // Create PDP Context Request.
            16 => {
                let session = json!({
                    "imsi": text("e212.imsi"),
                    "msisdn": text("e164.msisdn"),
                    "imei": or_null("gtp.ext_imeisv"),
                    "apn": text("gtp.apn"),
                    "rat": or_null("gtp.ext_rat_type").map(|rat| ["?", "UTRAN", "GERAN"][number(&rat) as usize]),
                    "mcc": or_null("e212.sai.mcc"),
                    "mnc": or_null("e212.sai.mnc"),
                    "tac": or_null("gtp.lac").map(|code| number(&code)),
                    "cell": or_null("gtp.sai_sac").map(|code| number(&code)),
                    "state": "active",
                });
                let (control, user) = (node("gtp.teid_cp", 0), node("gtp.teid_data", 1));
                asked.insert(there, Asked { session, control, user });
            }
            // Its answer.
            17 if number(&text("gtp.cause")) == 128 => {
                let Asked { mut session, control, user } =
                    asked.remove(&back).expect("an answer to something");
                session["ue_ipv4"] = json!(text("gtp.user_ipv4"));
                session["fteids"] = json!([
                    endpoint("Gn SGSN GTP-C", &control),
                    endpoint("Gn SGSN GTP-U", &user),
                    endpoint("Gn GGSN GTP-C", &node("gtp.teid_cp", 0)),
                    endpoint("Gn GGSN GTP-U", &node("gtp.teid_data", 1)),
                ]);
                sessions.push(session);
            }
            // Delete PDP Context Request, and its answer.
            20 => {
                leaving
                    .insert(there, endpoint("Gn GGSN GTP-C", &(text("ip.dst"), number(&text("gtp.teid")))));
            }
            21 if number(&text("gtp.cause")) == 128 => {
                let endpoint = leaving.remove(&back).expect("an answer to something");
                let left = sessions.iter_mut().find(|session| session["fteids"][2] == endpoint).unwrap();
                left["state"] = json!("deleted");
            }
            // A T-PDU: of a datagram in fragments, the last.
            255 => {
                let (ip, teid) = (json!(text("ip.dst")), json!(number(&text("gtp.teid"))));
                let tunnels =
                    sessions.iter_mut().flat_map(|session| session["fteids"].as_array_mut().unwrap());
                let mut tunnels =
                    tunnels.filter(|tunnel| tunnel["interface"].as_str().unwrap().ends_with("GTP-U"));
                let tunnel = tunnels.find(|tunnel| tunnel["ip"] == ip && tunnel["teid"] == teid);
                let tunnel = tunnel.unwrap_or_else(|| panic!("nobody's packet: {line}"));
                let bytes = number(field("ip.len")[1]);
                tunnel["packets"] = json!(common::number(tunnel, &["packets"]) + 1);
                tunnel["bytes"] = json!(common::number(tunnel, &["bytes"]) + bytes);
            }
            _ => {}
        }
    }
    for session in &mut sessions {
        for (at, way) in [(1, "dl"), (3, "ul")] {
            for what in ["packets", "bytes"] {
                session[format!("{what}_{way}")] = session["fteids"][at][what].clone();
            }
        }
    }
    sessions
}

/// Everything that tshark tells of a session.
const ALL: Compare<'_> = Compare {
    fields: &[
        "imsi",
        "msisdn",
        "imei",
        "apn",
        "rat",
        "mcc",
        "mnc",
        "tac",
        "cell",
        "ue_ipv4",
        "ue_ipv6",
        "state",
        "fteids",
        "packets_ul",
        "packets_dl",
        "bytes_ul",
        "bytes_dl",
    ],
    with_counts: true,
};

/// A capture of all that the bridge floods, on a port of its own.
struct Dump {
    program: Program,
    path: PathBuf,
}

impl Dump {
    #[track_caller]
    fn start(lab: &Lab, folder: &Path) -> Self {
        lab.plug(BRIDGE, "dump0");
        let path = folder.join("dump.pcapng");
        let mut dumpcap = lab.command(BRIDGE, "dumpcap");
        dumpcap.args(["-q", "-i", "dump0", "-B", "64", "-w"]).arg(&path);
        let mut program = Program::start(dumpcap);
        program.says("File: ");
        Self { program, path }
    }

    /// What it has so far, once that is as many packets, in a file of its own.
    #[track_caller]
    fn so_far(&self, packets: u64) -> PathBuf {
        let whole = until("the capture to have all packets", || {
            let mut bytes = std::fs::read(&self.path).unwrap();
            let (count, end) = whole_packets(&bytes);
            bytes.truncate(end);
            if count >= packets { Ok(bytes) } else { Err(format!("{count} of {packets}")) }
        });
        let path = self.path.with_extension("part.pcapng");
        std::fs::write(&path, whole).unwrap();
        path
    }
}

/// Packets in a pcapng file of this machine's byte order that is still being written, and where the last
/// whole block ends.
fn whole_packets(bytes: &[u8]) -> (u64, usize) {
    let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let (mut packets, mut at) = (0, 0);
    while let (Some(kind), Some(length @ 12..)) = (word(at), word(at + 4)) {
        let end = at + length as usize;
        if end > bytes.len() {
            break;
        }
        packets += u64::from(kind == 6);
        at = end;
    }
    (packets, at)
}

const SGSN: &str = "192.0.2.2";
const GGSN: &str = "192.0.2.1";
/// The GGSN's own address among those that it gives to UEs.
const INSIDE: &str = "10.45.0.1";

#[track_caller]
fn start_ggsn(lab: &Lab, folder: &Path) -> Program {
    lab.plug("ggsn", "gn0");
    lab.ip("ggsn", &format!("addr add {GGSN}/24 dev gn0"));
    let state = folder.display();
    let text = format!(
        "log stderr
 logging filter all 1
 logging color 0
 logging level ggsn info
line vty
 no login
ggsn ggsn0
 gtp state-dir {state}
 gtp bind-ip {GGSN}
 apn internet
  gtpu-mode tun
  tun-device tun0
  type-support v4
  ip prefix dynamic 10.45.0.0/24
  ip ifconfig {INSIDE}/24
  no shutdown
 default-apn internet
 no shutdown ggsn
"
    );
    let config = folder.join("ggsn.cfg");
    std::fs::write(&config, text).unwrap();
    let mut command = lab.command("ggsn", "osmo-ggsn");
    command.arg("-c").arg(config);
    let mut ggsn = Program::start(command);
    ggsn.says("GGSN(ggsn0): Successfully started");
    ggsn
}

/// Asks for three contexts; IMSI and MSISDN are counted upwards.
#[track_caller]
fn start_sgsn(lab: &Lab, folder: &Path) -> Program {
    lab.plug("sgsn", "gn0");
    lab.ip("sgsn", &format!("addr add {SGSN}/24 dev gn0"));
    let mut command = lab.command("sgsn", "sgsnemu");
    command.args(["--listen", SGSN, "--remote", GGSN, "--apn", "internet", "--contexts", "3"]);
    command.args([
        "--imsi",
        "262420000000099",
        "--msisdn",
        "4915100000099",
        "--rattype",
        "1",
        "--imeisv",
        "3569840400000901",
    ]);
    // Service area 4711 in location area 4242.
    command.args(["--userloc", "1.262.42.4242.4711"]);
    command.args(["--createif", "--tun-device", "tun0", "--statedir"]).arg(folder);
    command.arg("--pidfile").arg(folder.join("sgsnemu.pid"));
    Program::start(command)
}

/// Takes a connection and gives back all that it gets.
const ECHO: &str = "
import socket, sys
server = socket.create_server((sys.argv[1], 9000))
server.settimeout(30)
print('listening', flush=True)
peer, _ = server.accept()
peer.settimeout(30)
while part := peer.recv(65536):
    peer.sendall(part)
";

/// Sends 128 KiB for each line that it reads, and wants them back. Never so much is on its way that a queue
/// could be full.
const SEND: &str = "
import os, socket, sys
peer = socket.create_connection((sys.argv[2], 9000), timeout=30, source_address=(sys.argv[1], 0))
for line in sys.stdin:
    for _ in range(4):
        part, back = os.urandom(32768), b''
        peer.sendall(part)
        while len(back) < len(part):
            more = peer.recv(65536)
            assert more, 'closed too early'
            back += more
        assert back == part
    print('done', line, end='', flush=True)
";

#[track_caller]
fn sessions_of_strangers_are_right(device: &str) {
    let _alone = alone();
    let programs = [
        ("osmo-ggsn", "--version"),
        ("sgsnemu", "--version"),
        ("ping", "-V"),
        ("tshark", "--version"),
        ("dumpcap", "--version"),
        ("python3", "--version"),
    ];
    if !programs.iter().all(|(program, arg)| has(program, arg)) || !has_tun() {
        return;
    }
    // Where others keep the cores busy, the tap may not be looked at for so long that the kernel drops; then
    // there is nothing to compare.
    for _ in 0..5 {
        let Some(lab) = lab(&["ggsn", "sgsn"]) else { return };
        if all_is_right(&lab, device) {
            return;
        }
    }
    panic!("{device}: the kernel had to drop every time");
}

fn has_missed(stats: &Value) -> bool {
    let missed = number(stats, &["rx", "missed"]);
    if missed > 0 {
        println!("missed: {}", stats["rx"]);
    }
    missed > 0
}

/// `false` where the kernel has dropped packets before us.
#[track_caller]
fn all_is_right(lab: &Lab, device: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let of = |name: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    };
    let broker = Broker::start(lab, device);
    let dump = Dump::start(lab, folder.path());
    let ggsn = start_ggsn(lab, &of("ggsn"));
    let sgsn = start_sgsn(lab, &of("sgsn"));
    until("three sessions", || {
        let sessions = broker.sessions();
        if sessions.len() == 3 { Ok(()) } else { Err(format!("{sessions:?}")) }
    });
    let received = |stats: &Value| number(stats, &["rx", "packets"]);
    let told = by_tshark(&dump.so_far(received(&broker.settled())));
    assert_eq!(told.len(), 3, "{told:#?}");
    ALL.assert_same(&told, &broker.sessions(), "set up");
    let mut msisdns: Vec<_> = told.iter().map(|session| session["msisdn"].as_str().unwrap()).collect();
    msisdns.sort_unstable();
    assert_eq!(msisdns, ["4915100000099", "4915100000100", "4915100000101"]);

    // sgsnemu gives its interface only one of the addresses.
    let ues: Vec<_> = told.iter().map(|session| session["ue_ipv4"].as_str().unwrap().to_owned()).collect();
    for ue in &ues {
        lab.ip("sgsn", &format!("addr replace {ue}/32 dev tun0"));
    }
    lab.ip("sgsn", &format!("route add {INSIDE}/32 dev tun0"));
    // The last is in fragments, inside and outside.
    for (ue, count, bytes) in [(&ues[0], "3", "56"), (&ues[1], "4", "500"), (&ues[2], "5", "3000")] {
        lab.runs(
            "sgsn",
            &["ping", "-q", "-c", count, "-i", "0.2", "-w", "20", "-s", bytes, "-I", ue, INSIDE],
        );
    }
    let mut echo = lab.command("ggsn", "python3");
    echo.args(["-c", ECHO, INSIDE]);
    let mut echo = Program::start(echo);
    echo.says("listening");
    let mut send = lab.command("sgsn", "python3");
    send.args(["-c", SEND, &ues[1], INSIDE]).stdin(Stdio::piped());
    let mut send = Program::start(send);
    // The tap is never behind by more than its ring holds, however busy the machine is.
    for part in 1..=24 {
        send.tell(&format!("part {part}."));
        send.says(&format!("done part {part}."));
        if has_missed(&broker.settled()) {
            return false;
        }
    }
    assert_eq!(send.finish().status, Some(0));
    assert_eq!(echo.finish().status, Some(0));

    let stats = broker.settled();
    if has_missed(&stats) {
        return false;
    }
    let told = by_tshark(&dump.so_far(received(&stats)));
    let sessions = broker.sessions();
    ALL.assert_same(&told, &sessions, "active");
    assert!(sessions.iter().all(|session| session["state"] == "active"), "{sessions:#?}");
    let most = told.iter().map(|session| number(session, &["bytes_ul"])).max();
    assert!(most > Some(3 << 20), "{told:#?}");

    // It deletes what it has made; after that it would only wait for a while.
    sgsn.signal("TERM");
    until("the sessions to end", || {
        let sessions = broker.sessions();
        if sessions.is_empty() { Ok(()) } else { Err(format!("{sessions:?}")) }
    });
    broker.settled();
    drop((sgsn, ggsn));
    for host in ["sgsn", "ggsn"] {
        lab.ip(host, "link set gn0 down");
    }

    let stats = broker.finish();
    if has_missed(&stats) {
        return false;
    }
    for (state, count) in [("created", 3), ("active", 0), ("deleted", 3), ("expired", 0)] {
        assert_eq!(number(&stats, &["sessions", state]), count, "{state}: {}", stats["sessions"]);
    }
    let whole = dump.so_far(received(&stats));
    dump.program.signal("INT");
    dump.program.finish().says(&["received/dropped on interface", "/0 ("]);
    let capture = read_capture(&whole);
    let bytes: u64 = capture.records.iter().map(|record| record.bytes.len() as u64).sum();
    assert_eq!((received(&stats), number(&stats, &["rx", "bytes"])), (capture.records.len() as u64, bytes));

    // A replay of what was captured beside it tells the same, and writes down those that have ended.
    let told = by_tshark(&whole);
    assert!(told.iter().all(|session| session["state"] == "deleted"), "{told:#?}");
    let out = folder.path().join("replayed");
    let (replayed, _) = replay(&whole, &out, &["--probes", "2"]);
    let written = read_lines(&out.join("sessions.jsonl"));
    ALL.assert_same(&told, &written, "replayed");
    assert!(written.iter().all(|session| !session["ended"].is_null()), "{written:#?}");
    for part in ["rx", "delivered", "sessions"] {
        assert_eq!(stats[part], replayed[part], "{part}");
    }
    println!("{} packets, {bytes} bytes: {}", received(&stats), stats["rx"]);
    true
}

#[test]
fn sessions_of_strangers_are_right_by_net_pcap() {
    sessions_of_strangers_are_right(PCAP);
}

#[test]
fn sessions_of_strangers_are_right_by_af_xdp() {
    sessions_of_strangers_are_right(XDP);
}

/// As fast as it goes, to an address that nobody has.
const FLOOD: &str = "
import socket, sys
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(int(sys.argv[1])):
    sender.sendto(bytes(1000), ('192.0.2.1', 2152))
";

/// Nobody empties the ring for a while.
#[test]
fn what_the_kernel_had_no_room_for_is_missed() {
    let _alone = alone();
    for device in [PCAP, XDP] {
        let Some(lab) = has("python3", "--version").then(|| lab(&["sender"])).flatten() else { return };
        lab.plug("sender", "gn0");
        lab.ip("sender", &format!("addr add {SGSN}/24 dev gn0"));
        lab.ip("sender", &format!("neigh add {GGSN} lladdr 02:00:00:00:00:01 dev gn0"));
        let broker = Broker::start(&lab, device);
        let flood = |packets: &str| lab.runs("sender", &["python3", "-c", FLOOD, packets]);
        broker.program.signal("STOP");
        flood("6000");
        broker.program.signal("CONT");
        let missed = number(&broker.settled(), &["rx", "missed"]);
        assert!(missed > 1_000, "{device}: {missed}");
        flood("100");
        let kernel = broker.counters();
        // A veth has a queue of its own before the driver's part, which may be full for a moment.
        let unsent = lab.counters(BRIDGE, &broker.port).unsent;
        let stats = broker.finish();
        let known = ["packets", "missed"].map(|what| number(&stats, &["rx", what]));
        assert_eq!(kernel.received + unsent, 6_100, "{device}: {kernel:?}");
        assert_eq!(known, [kernel.received - missed, missed], "{device}: there was room again; {kernel:?}");
        if device == XDP {
            assert_eq!(kernel.dropped, missed, "{device}: {kernel:?}");
        }
    }
}
