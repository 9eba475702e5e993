use super::*;
use crate::message::Look;

/// The block of every key there is, as the manual shows it; commented keys set.
const EVERY_KEY: &str = r#"
cluster_key = "change me"          # keys pinning and correlation ids; boxes that shall agree share it (replay without one: zero)
subscriber_ids = "clear"           # or "pseudonym": what records and alerts hold; logs and metrics never hold clear ones
stop_when_idle = false             # `run` ends when every file-like port has been empty for 200 ms

[eal]
args = ["--no-huge", "--file-prefix=snipe-demo"]

[[port]]
name = "tap0"
device = "net_pcap0,rx_pcap=demo.pcap"   # DPDK devargs: a PCI address or a vdev
clock = "packet"                         # the engine's time is the packets' ("host": the machine's)
decap = []                               # "vxlan", "gre", "erspan": a tunnelled tap is unpacked first
ip = "192.0.2.2/24"                      # for probes reached through it
gateway = "192.0.2.1"

[[probe]]
name = "probe-1"
to = "file:out/probe-1.pcap"             # file:PATH  port:NAME  memif:SOCKET  vxlan:IP:VNI  geneve:IP:VNI  null
weight = 1                               # tunnels also have  via = "PORT"; ports  vlan = N; files  rotate_bytes, rotate_secs, disk_max; memif: snipe is the server, id 0
rotate_bytes = "1GiB"
rotate_secs = 3600
disk_max = "100GB"

[[group]]
name = "default"
probes = ["probe-1"]
mode = "session"                         # session: one probe for one session · flow: by inner five-tuple · copy: all
max_imbalance = 1.10                     # off by default: with it, two boxes no longer agree
return = "sticky"                        # or "rebalance": when a probe comes back

[lcores]
control = 0
rx = [0]                                 # roles may share a core
workers = [1]

[tracker]
control = "broadcast"                    # GTP-C and PFCP to all probes · "follow": to the session's probe
broadcast_also = []                      # "sctp", "diameter"
hold_ms = 20
hold_bytes = "64MiB"
unknown = "move"                         # a session that becomes known goes to its own probe · "stay"
sessions_max = 1_000_000
tunnels_max = 4_000_000
idle_secs = 86_400
unknown_idle_secs = 300
home_plmns = []

[tdb]
bytes = "256MiB"
look_back = "30s"
all = false                              # look-back for every session, not only those a capture rule could hit
snap = 256

[rules]
files = []

[state]
dir = "/var/lib/snipe"                   # checkpoint, journal, alerts.jsonl, captures/

[api]                                    # without it no socket is opened
socket = "/run/snipe/snipe.sock"         # TCP only with  listen = "127.0.0.1:9400"  and  token_file = "…"
group = "snipe"                          # may use the socket, besides our own user
listen = "127.0.0.1:9400"
token_file = "/etc/snipe/token"
"#;

fn parse(text: &str) -> (Config, Vec<Warning>) {
    match Config::parse("snipe.toml", text) {
        Ok(parsed) => parsed,
        Err(error) => panic!("{}", error.render(Look::PLAIN)),
    }
}

#[test]
fn every_key_is_accepted() {
    let (config, warnings) = parse(EVERY_KEY);
    config.for_run().unwrap();
    assert_eq!(config.cluster_key.as_ref().unwrap().as_str(), "change me");
    assert_eq!(config.eal.args, ["--no-huge", "--file-prefix=snipe-demo"]);
    assert_eq!(config.ports[0].device, "net_pcap0,rx_pcap=demo.pcap");
    assert_eq!(config.ports[0].clock, Clock::Packet);
    assert_eq!(config.ports[0].network.unwrap().gateway, Some("192.0.2.1".parse().unwrap()));
    assert_eq!(config.probes[0].to, Target::File("out/probe-1.pcap".into()));
    let rotation = Rotation { bytes: Some(1 << 30), secs: Some(3600), disk_max_bytes: Some(100_000_000_000) };
    assert_eq!(config.probes[0].rotation, rotation);
    assert_eq!(config.groups[0].probes, [ProbeId(0)]);
    assert_eq!(config.groups[0].max_imbalance, Some(1.1));
    assert_eq!(config.lcores, Some(Lcores { control: 0, rx: vec![0], workers: vec![1] }));
    // The block shows the defaults.
    assert_eq!(config.tracker, Tracker::default());
    assert_eq!(config.tdb, Tdb::default());
    assert_eq!(config.api.as_ref().unwrap().group.as_deref(), Some("snipe"));
    assert_eq!(config.api.unwrap().tcp.unwrap().listen, "127.0.0.1:9400".parse().unwrap());
    let shown: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!("warnings_of_every_key", shown.join("\n"));
}

/// The other kinds of probe, and the other values of every choice.
#[test]
fn every_other_value_is_accepted() {
    let (config, warnings) = parse(
        r#"
        subscriber_ids = "pseudonym"
        [[port]]
        name = "tap"
        device = "0000:17:00.0"
        clock = "host"
        decap = ["vxlan", "gre", "erspan"]
        [[port]]
        name = "out"
        device = "0000:17:00.1"
        ip = "2001:db8::2/64"
        gateway = "2001:db8::1"
        [[probe]]
        name = "by-port"
        to = "port:out"
        vlan = 100
        [[probe]]
        name = "by-memif"
        to = "memif:/run/snipe/a.sock"
        weight = 3
        [[probe]]
        name = "by-vxlan"
        to = "vxlan:192.0.2.7:100"
        via = "out"
        [[probe]]
        name = "by-geneve"
        to = "geneve:[2001:db8::7]:100"
        via = "out"
        [[probe]]
        name = "nowhere"
        to = "null"
        [[group]]
        name = "default"
        probes = ["by-port", "by-memif"]
        mode = "flow"
        return = "rebalance"
        [[group]]
        name = "all"
        probes = ["nowhere", "by-port", "by-vxlan", "by-geneve"]
        mode = "copy"
        [tracker]
        control = "follow"
        broadcast_also = ["sctp", "diameter"]
        unknown = "stay"
        home_plmns = ["00101", "310260"]
        [rules]
        files = ["rules.toml"]
        "#,
    );
    assert_eq!(config.ports[0].role, Role::Tap);
    assert_eq!(config.ports[1].role, Role::Egress);
    assert_eq!(config.taps().map(|(id, _)| id).collect::<Vec<_>>(), [PortId(0)]);
    assert_eq!(config.ports[0].decap, [Decap::Vxlan, Decap::Gre, Decap::Erspan]);
    assert_eq!(config.probes[0].to, Target::Port(PortId(1)));
    assert_eq!(config.probes[1].weight.get(), 3);
    assert_eq!(config.probes[2].via, Some(PortId(1)));
    assert_eq!(config.probes[3].to, Target::Geneve { ip: "2001:db8::7".parse().unwrap(), vni: 100 });
    assert_eq!(config.groups[1].probes, [ProbeId(4), ProbeId(0), ProbeId(2), ProbeId(3)]);
    assert_eq!(config.tracker.broadcast_also, [BroadcastAlso::Sctp, BroadcastAlso::Diameter]);
    let shown: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!("warnings_of_other_values", shown.join("\n"));
    insta::assert_snapshot!("one_warning", warnings[0].render(Look::PLAIN));
    let refused = config.for_run().unwrap_err();
    insta::assert_snapshot!("refused_by_run", refused.to_string());
}

/// Renders what is said about one wrong file.
fn said(text: &str) -> String {
    match Config::parse("snipe.toml", text) {
        Ok((config, _)) => config.for_run().expect_err("nothing is wrong").render(Look::PLAIN),
        Err(error) => error.render(Look::PLAIN),
    }
}

macro_rules! wrong {
    ($($name:ident: $text:expr;)*) => {
        $(#[test]
        fn $name() {
            let said = said(&$text);
            // Every message can be grepped and clicked.
            assert!(said.lines().next().unwrap().contains("snipe.toml:"), "{said}");
            insta::assert_snapshot!(said);
        })*
        /// No wrong file makes `parse` panic, wherever it is cut.
        #[test]
        fn cut_anywhere() {
            for text in [EVERY_KEY.to_owned(), $(String::from($text)),*] {
                for end in (0..text.len()).filter(|&end| text.is_char_boundary(end)) {
                    if let Err(error) = Config::parse("cut.toml", &text[..end]) {
                        let first = error.to_string();
                        let place: Vec<&str> = first.splitn(4, ':').collect();
                        assert!(place[0] == "cut.toml" && place[1].parse::<usize>().is_ok(), "{first}");
                        assert!(place[2].parse::<usize>().is_ok(), "{first}");
                    }
                }
            }
        }
    };
}

/// A right file with one probe, to which a mistake is added.
fn with_probe(rest: &str) -> String {
    format!("[[probe]]\nname = \"a\"\nto = \"null\"\n{rest}")
}

fn with_port(rest: &str) -> String {
    format!("[[port]]\nname = \"tap0\"\ndevice = \"net_pcap0,rx_pcap=a.pcap\"\n{rest}")
}

wrong! {
    unknown_key: with_port("clok = \"packet\"\n");
    unknown_key_far_from_all: "[lcores]\ncontrol = 0\ncpu_affinity = 1\nrx = [0]\nworkers = [0]\n";
    unknown_table: "[lcore]\ncontrol = 0\n";
    unknown_top_key: "stop_on_idle = true\n";
    key_of_another_table: "[tdb]\nhold_ms = 20\n";
    key_of_the_top: "[eal]\nargs = []\nstop_when_idle = true\n";
    key_above_its_table: "workers = [1]\n";
    single_brackets: "[probe]\nname = \"a\"\nto = \"null\"\n";
    double_brackets: "[[lcores]]\ncontrol = 0\n";
    table_as_value: "probe = 3\n";
    not_toml: "[[probe]]\nname = probe-1\n";
    not_closed: "[[probe]\nname = \"a\"\n";
    key_twice: "[eal]\nargs = []\nargs = []\n";
    wrong_type: with_probe("weight = \"1\"\n");
    wrong_type_of_list: "[lcores]\ncontrol = 0\nrx = 0\nworkers = [\"1\"]\n";
    weight_zero: with_probe("weight = 0\n");
    weight_negative: with_probe("weight = -1\n");
    weight_nan: with_probe("weight = nan\n");
    imbalance_nan: with_probe("[[group]]\nname = \"default\"\nprobes = [\"a\"]\nmax_imbalance = nan\n");
    imbalance_below_one: with_probe("[[group]]\nname = \"default\"\nprobes = [\"a\"]\nmax_imbalance = 0.5\n");
    names_twice: with_probe("[[probe]]\nname = \"a\"\nto = \"file:b.pcap\"\n");
    name_with_slash: "[[probe]]\nname = \"../a\"\nto = \"null\"\n";
    name_missing: "[[probe]]\nto = \"null\"\n";
    no_such_probe: with_probe("[[group]]\nname = \"default\"\nprobes = [\"a\", \"probe-2\"]\n");
    no_such_probe_near: "[[probe]]\nname = \"probe-1\"\nto = \"null\"\n[[group]]\nname = \"default\"\nprobes = [\"prob-1\"]\n";
    no_such_port: with_port("[[probe]]\nname = \"a\"\nto = \"port:tx0\"\n");
    no_default_group: with_probe("[[group]]\nname = \"voice\"\nprobes = [\"a\"]\n");
    empty_group: with_probe("[[group]]\nname = \"default\"\nprobes = []\n");
    probe_twice_in_group: with_probe("[[group]]\nname = \"default\"\nprobes = [\"a\", \"a\"]\n");
    too_many_probes: (0..65).map(|n| format!("[[probe]]\nname = \"p{n}\"\nto = \"null\"\n")).collect::<String>();
    bad_size: "[tracker]\nhold_bytes = \"64M\"\n";
    bad_size_unit: "[tdb]\nbytes = \"64 furlongs\"\n";
    bad_duration: "[tdb]\nlook_back = \"30\"\n";
    duration_without_unit: "[tdb]\nlook_back = 30\n";
    lcore_out_of_range: "[lcores]\ncontrol = 0\nrx = [99999]\nworkers = [0]\n";
    lcore_twice: "[lcores]\ncontrol = 0\nrx = [0, 0]\nworkers = [0]\n";
    lcores_without_workers: "[lcores]\ncontrol = 0\nrx = [0]\n";
    device_empty: "[[port]]\nname = \"tap0\"\ndevice = \"\"\n";
    device_twice: with_port("[[port]]\nname = \"tap1\"\ndevice = \"net_pcap0,rx_pcap=b.pcap\"\n");
    decap_unknown: with_port("decap = [\"vxlna\"]\n");
    mode_unknown: with_probe("[[group]]\nname = \"default\"\nprobes = [\"a\"]\nmode = \"sessions\"\n");
    clock_unknown: with_port("clock = \"tsc\"\n");
    clocks_differ: with_port("clock = \"packet\"\n[[port]]\nname = \"tap1\"\ndevice = \"net_pcap1,rx_pcap=b.pcap\"\n");
    target_without_kind: "[[probe]]\nname = \"a\"\nto = \"out/a.pcap\"\n";
    target_misspelt: "[[probe]]\nname = \"a\"\nto = \"files:out/a.pcap\"\n";
    target_file_empty: "[[probe]]\nname = \"a\"\nto = \"file:\"\n";
    target_bad_vni: "[[probe]]\nname = \"a\"\nto = \"vxlan:192.0.2.1:16777216\"\n";
    targets_same: "[[probe]]\nname = \"a\"\nto = \"file:out/x.pcap\"\n[[probe]]\nname = \"b\"\nto = \"file:./out/x.pcap\"\n";
    vlan_on_file: "[[probe]]\nname = \"a\"\nto = \"file:a.pcap\"\nvlan = 5\n";
    gateway_elsewhere: with_port("ip = \"192.0.2.2/24\"\ngateway = \"198.51.100.1\"\n");
    api_group_empty: "[api]\ngroup = \"\"\n";
    api_without_token: "[api]\nlisten = \"0.0.0.0:9400\"\n";
    plmn_too_short: "[tracker]\nhome_plmns = [\"001\"]\n";
    control_character: "cluster_key = \"a\\u0000b\"\n";
    column_counts_characters: "[api]\nsocket = \"/run/ä\" ; \"ö\"\n";
    loop_through_a_port: with_port("[[probe]]\nname = \"a\"\nto = \"port:tap0\"\n[lcores]\ncontrol = 0\nrx = [0]\nworkers = [0]\n");
    loop_through_a_file: with_port("[[probe]]\nname = \"a\"\nto = \"file:./a.pcap\"\n[lcores]\ncontrol = 0\nrx = [0]\nworkers = [0]\n");
    loop_through_an_interface: "[[port]]\nname = \"in\"\ndevice = \"net_af_packet0,iface=eth0\"\n[[port]]\nname = \"out\"\ndevice = \"net_af_packet1,iface=eth0\"\n[[probe]]\nname = \"a\"\nto = \"port:out\"\n[lcores]\ncontrol = 0\nrx = [0]\nworkers = [0]\n";
    tap_that_is_sent_to: with_port("decap = [\"gre\"]\n[[probe]]\nname = \"a\"\nto = \"port:tap0\"\n");
    nothing_to_run: "";
    several_at_once: "stop_when_idle = 1\n[[probe]]\nname = \"a b\"\ntoo = \"null\"\n[tdb]\nsnap = 0\n";
    long_line_is_not_shown: format!("cluster_key = 1 # {}\n", "x".repeat(5_000));
}

#[test]
fn many_problems_are_cut() {
    let text: String = (0..50).map(|n| format!("k{n} = 1\n")).collect();
    let error = Config::parse("snipe.toml", &text).unwrap_err();
    assert_eq!(error.to_string().lines().count(), 21);
    assert!(error.render(Look::PLAIN).ends_with("… and 30 more"));
}

#[test]
fn colours_and_ascii() {
    let error = Config::parse("snipe.toml", "[lcore]\n").unwrap_err();
    assert!(error.render(Look { colour: true, unicode: true }).contains("\x1b["));
    let ascii = error.render(Look { colour: false, unicode: false });
    assert!(ascii.is_ascii() && !ascii.contains('\x1b'), "{ascii}");
    assert!(error.render(Look::PLAIN).contains("snipe.toml:1:2: unknown table `[lcore]`"));
}

#[test]
fn a_file_cannot_speak_to_the_terminal() {
    let said = said("cluster_key = 1 # \x1b[2J\r\n");
    assert!(!said.contains('\x1b') && !said.contains('\r'), "{said}");
    let key = self::said("\"\\u001b[2J\" = 1\n");
    assert!(!key.contains('\x1b'), "{key}");
}

#[test]
fn byte_order_mark_is_skipped() {
    let (config, _) = parse("\u{feff}stop_when_idle = true\n");
    assert!(config.stop_when_idle);
    assert!(said("\u{feff}x = 1").contains("snipe.toml:1:1: "));
}

#[test]
fn windows_line_ends() {
    let (config, _) = parse(&EVERY_KEY.replace('\n', "\r\n"));
    assert_eq!(config.probes.len(), 1);
    assert!(said("[eal]\r\nargs = []\r\nx = 1\r\n").contains("snipe.toml:3:1: "));
}

#[test]
fn not_utf8() {
    let error = Config::parse_bytes("snipe.toml", b"[eal]\n# \xff\n").unwrap_err();
    insta::assert_snapshot!("not_utf8", error.render(Look::PLAIN));
    let utf16 = Config::parse_bytes("snipe.toml", b"\xff\xfe[\0e\0").unwrap_err();
    assert!(utf16.render(Look::PLAIN).contains("save it as UTF-8"));
}

#[test]
fn nesting_is_bounded() {
    for text in
        ["[".repeat(100_000), format!("a = {}", "[".repeat(100_000)), format!("a = {}", "{a=".repeat(50_000))]
    {
        assert!(Config::parse("snipe.toml", &text).is_err());
    }
}

#[test]
fn files_that_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("none.toml");
    let said = Config::load(&missing).unwrap_err().to_string();
    let wanted = format!("{}: cannot read: No such file", missing.display());
    assert!(said.starts_with(&wanted), "{said}");
    assert!(matches!(Config::load(dir.path()), Err(ConfigError::Read { .. })));

    // A sparse file of 100 MB, and one that never ends: refused without reading them.
    let huge = dir.path().join("huge.toml");
    File::create(&huge).unwrap().set_len(100_000_000).unwrap();
    let said = Config::load(&huge).unwrap_err().to_string();
    assert!(said.ends_with("huge.toml: longer than 1024 KiB: not a configuration file"), "{said}");
    assert!(matches!(Config::load("/dev/zero"), Err(ConfigError::TooLong { .. })));
}

#[test]
fn probes_without_a_group_are_the_default_group() {
    let (config, warnings) = parse(&with_probe("[[probe]]\nname = \"b\"\nto = \"file:b.pcap\"\n"));
    assert!(warnings.is_empty());
    assert_eq!(config.groups.len(), 1);
    assert_eq!(config.default_group().unwrap().probes, [ProbeId(0), ProbeId(1)]);
}

#[test]
fn a_probe_in_no_group_is_worth_a_warning() {
    let (_, warnings) = parse(&with_probe(
        "[[probe]]\nname = \"b\"\nto = \"file:b.pcap\"\n[[group]]\nname = \"default\"\nprobes = [\"a\"]\n",
    ));
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].to_string(), "snipe.toml:5:1: probe `b` is in no group: nothing is sent to it");
    assert!(!warnings[0].run_only());
}

#[test]
fn replay_takes_what_is_its_own() {
    let (config, warnings) = parse(EVERY_KEY);
    let config = config.for_replay();
    assert!(config.ports.is_empty() && config.eal.args.is_empty() && config.lcores.is_none());
    assert!(config.api.is_none() && config.state.dir.is_none());
    assert_eq!(config.probes[0].to, Target::File("probe-1.pcap".into()));
    assert_eq!(config.probes[0].rotation, Rotation::default());
    assert!(warnings.iter().any(|warning| !warning.run_only()));
    let run_only: Vec<_> =
        warnings.iter().filter(|warning| warning.run_only()).map(ToString::to_string).collect();
    assert!(run_only.iter().any(|text| text.contains("`rotate_secs`")));

    // A file for `run` whose ports are elsewhere, and no file at all.
    let (config, _) = parse("[[probe]]\nname = \"x\"\nto = \"port:nic\"\n");
    assert_eq!(config.for_replay().probes[0].to, Target::File("x.pcap".into()));
    let empty = Config::default().for_replay();
    assert_eq!(empty.probes[0].name, "probe-1");
    assert_eq!(empty.default_group().unwrap().probes, [ProbeId(0)]);
}

#[test]
fn probes_on_the_command_line_replace_those_of_the_file() {
    let (mut config, _) = parse(EVERY_KEY);
    config.set_probes(64).unwrap();
    assert_eq!(config.probes.len(), 64);
    assert_eq!(config.probes[63].name, "probe-64");
    assert_eq!(config.groups.len(), 1);
    assert_eq!(config.groups[0].probes.len(), 64);
    assert_eq!(config.groups[0].probes[63], ProbeId(63));
    assert_eq!(config.set_probes(65).unwrap_err().to_string(), "65 probes: one instance serves 1 to 64");
    assert_eq!(config.set_probes(0), Err(TooManyProbes { wanted: 0 }));
}

#[test]
fn the_key_is_not_shown() {
    let (config, _) = parse("cluster_key = \"do not tell\"\n");
    assert!(!format!("{config:?}").contains("do not tell"));
}

/// The profiles that ship: each loads, each can run, the demo without a word.
#[test]
fn profiles() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dpdk-config");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let (config, warnings) = match Config::load(&path) {
            Ok(loaded) => loaded,
            Err(error) => panic!("{}", error.render(Look::PLAIN)),
        };
        if let Err(error) = config.for_run() {
            panic!("{}", error.render(Look::PLAIN));
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(warnings.is_empty(), "{name}: {warnings:?}");
        assert!(config.taps().count() > 0, "{name}");
        names.push(name);
    }
    names.sort();
    let wanted = ["af_packet.toml", "af_xdp.toml", "demo.toml", "memif.toml", "nic-100g.toml"];
    assert_eq!(names, wanted);
}
