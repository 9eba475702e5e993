//! `control = "follow"`: every message of the control plane is at the probe of the sessions it concerns and
//! nowhere else; `broadcast_also`: other signalling is at every probe.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use common::frames::{Exchange, Kind, Signal, kind, signal};
use common::pins::Pins;
use common::sessions::{read_lines, time_ns, users};
use common::{
    Record, difference, files, files_match_accounts, name, number, on_two_threads, read_capture, replay,
    snipe, sum, whereabouts, write_pcap,
};
use serde_json::Value;
use testkit::captures;

const PROBES: usize = 8;
/// A message may come so long before the answer that makes its session, or after the one that ends it: the
/// time of an exchange, of a retransmission, and of what the tap delays. A TEID rests twice as long.
const AROUND_NS: u64 = 39_000_000;

/// A generated capture, and what became of it.
struct Case {
    what: String,
    input: Vec<Record>,
    places: Vec<Vec<usize>>,
    truth: Vec<Value>,
    sessions: Vec<Value>,
}

/// What there is to say of a message.
struct Seen<'a> {
    frame: usize,
    signal: Signal,
    at: &'a [usize],
    /// The probes of the sessions it concerns, by the truth.
    homes: HashSet<usize>,
    /// Why the tap cannot know them.
    unknown: bool,
}

impl Case {
    fn run(options: &[&str], more: &[&str]) -> Self {
        let what = options.join(" ");
        let folder = tempfile::tempdir().unwrap();
        let (capture, out) = (folder.path().join("core.pcap"), folder.path().join("out"));
        let args = ["gen".as_ref(), "-o".as_ref(), capture.as_os_str()];
        snipe(args.into_iter().chain(options.iter().map(AsRef::as_ref))).ok();
        let flags = [&["--control", "follow", "--probes", "8"], more].concat();
        let (stats, probes) = replay(&capture, &out, &flags);
        let input = read_capture(&capture).records;
        let places = whereabouts(&input, &probes, &what);
        files_match_accounts(&stats, &probes, &what);
        accounts_close(&stats, &input, &places, &what);
        let text = std::fs::read(capture.with_extension("json")).unwrap();
        let mut truth: Value = serde_json::from_slice(&text).unwrap();
        let Value::Array(truth) = truth["sessions"].take() else { panic!("no sessions") };
        Self { what, input, places, truth, sessions: read_lines(&out.join("sessions.jsonl")) }
    }

    /// Who has each session of the truth: its IMSI, else what its user is known by; and the probe of each of
    /// them: that of the IMSI, else where the broker says that the session is.
    fn subjects(&self) -> (Vec<String>, HashMap<String, usize>) {
        let pins = Pins::new(PROBES);
        let name = |session: &Value| match session["imsi"].as_str() {
            Some(imsi) => imsi.to_owned(),
            None => ["apn", "ue_ipv4", "ue_ipv6"].map(|field| session[field].to_string()).join(" "),
        };
        let mut homes: HashMap<_, _> = self
            .sessions
            .iter()
            .filter_map(|own| {
                Some((
                    name(own),
                    own["probe"].as_str()?.strip_prefix("probe-")?.parse::<usize>().unwrap() - 1,
                ))
            })
            .collect();
        for imsi in self.truth.iter().filter_map(|session| session["imsi"].as_str()) {
            homes.insert(imsi.to_owned(), pins.of_subscriber(imsi));
        }
        (self.truth.iter().map(name).collect(), homes)
    }

    /// Every message with the probes it should be at. Whose it is the truth tells: who has the session that
    /// has its endpoint at this time, its IMSI, its user's address; of an answer, what its request says. An
    /// endpoint may change hands while a session goes on with others; then it is of whom an exchange told last.
    fn messages(&self) -> Vec<Seen<'_>> {
        let pins = Pins::new(PROBES);
        let (subjects, homes) = self.subjects();
        let mut by_endpoint: HashMap<(IpAddr, u64), Vec<usize>> = HashMap::new();
        let mut by_user: HashMap<IpAddr, Vec<usize>> = HashMap::new();
        for (index, session) in self.truth.iter().enumerate() {
            for end in session["fteids"].as_array().unwrap() {
                let key = (end["ip"].as_str().unwrap().parse().unwrap(), end["teid"].as_u64().unwrap());
                by_endpoint.entry(key).or_default().push(index);
            }
            users(session).for_each(|user| by_user.entry(user).or_default().push(index));
        }
        let around = |time: u64, found: Option<&Vec<usize>>| {
            let is_up = |&&session: &&usize| {
                let at = |field: &str| time_ns(&self.truth[session][field]);
                let is_over = at("ended").is_some_and(|ended| ended + AROUND_NS < time);
                at("created").unwrap() <= time + AROUND_NS && !is_over
            };
            let found = found.map_or(&[][..], Vec::as_slice).iter().filter(is_up);
            found.map(|&session| subjects[session].clone()).collect::<HashSet<_>>()
        };
        let of = |signal: &Signal, time: u64, told: &HashMap<(IpAddr, u64), HashSet<String>>| {
            if let Some(imsi) = &signal.imsi {
                return HashSet::from([imsi.clone()]);
            }
            let found = around(time, signal.to.and_then(|end| by_endpoint.get(&end)));
            if !found.is_empty() {
                let last = signal.to.and_then(|end| told.get(&end));
                let narrowed: HashSet<_> = found
                    .iter()
                    .filter(|own| last.is_some_and(|last| last.contains(*own)))
                    .cloned()
                    .collect();
                return if narrowed.is_empty() { found } else { narrowed };
            }
            let by_ends = signal.endpoints.iter().map(|end| around(time, by_endpoint.get(end)));
            let by_users = signal.users.iter().map(|user| around(time, by_user.get(user)));
            by_ends.chain(by_users).find(|found| !found.is_empty()).unwrap_or_default()
        };
        // Requests so far, and endpoints of whom both halves of an exchange have told.
        let mut requests: HashMap<_, (Signal, HashSet<String>)> = HashMap::new();
        let mut told: HashMap<_, HashSet<String>> = HashMap::new();
        let mut seen = Vec::new();
        for (frame, (record, at)) in self.input.iter().zip(&self.places).enumerate() {
            if kind(&record.bytes) != Kind::Control {
                continue;
            }
            let signal = signal(&record.bytes).unwrap();
            let request = requests.get(&signal.exchange).filter(|_| signal.is_answer);
            let whose = match request {
                Some((_, of_request)) if !of_request.is_empty() && signal.imsi.is_none() => {
                    of_request.clone()
                }
                _ => of(&signal, record.time_ns, &told),
            };
            let knows = |signal: &Signal| {
                signal.imsi.is_some()
                    || !signal.is_answer && !signal.users.is_empty()
                    || signal.to.is_some_and(|end| told.get(&end) == Some(&whose))
            };
            let unknown = !knows(&signal) && !request.is_some_and(|(request, _)| knows(request));
            if !signal.is_answer {
                requests.insert(signal.exchange, (signal.clone(), whose.clone()));
            } else if let Some((request, _)) = request.filter(|_| signal.accepts) {
                for &end in request.endpoints.iter().chain(&signal.endpoints) {
                    told.insert(end, whose.clone());
                }
            }
            // Of an IMSI that never had a session; of an address that had none nothing is known.
            let is_imsi = |own: &String| own.bytes().all(|byte| byte.is_ascii_digit());
            let home = |own: &String| {
                homes.get(own).copied().or_else(|| is_imsi(own).then(|| pins.of_subscriber(own)))
            };
            let homes = whose.iter().filter_map(home).collect();
            seen.push(Seen { frame, signal, at, homes, unknown });
        }
        seen
    }

    /// A request that tells no IMSI and is refused makes no session of the truth. It goes by its user's address,
    /// as its session would have, and the refusal goes there, too.
    fn is_refused_without_imsi<'a>(&self, seen: &Seen<'a>, requests: &mut HashMap<Exchange, &'a [usize]>) {
        let describe = || self.describe(seen);
        assert!(seen.signal.exchange.0 == 3 && seen.at.len() == 1 && !seen.signal.accepts, "{}", describe());
        if seen.signal.is_answer {
            assert_eq!(requests.get(&seen.signal.exchange), Some(&seen.at), "{}", describe());
        } else {
            assert!(!seen.signal.users.is_empty(), "{}", describe());
            requests.insert(seen.signal.exchange, seen.at);
        }
    }

    fn describe(&self, seen: &Seen<'_>) -> String {
        format!(
            "{}: frame {} is at {:?}, not at {:?}: {:?}",
            self.what,
            seen.frame + 1,
            seen.at,
            seen.homes,
            seen.signal
        )
    }
}

/// A packet is delivered once, whatever number of probes get it, and each probe counts what it got.
#[track_caller]
fn accounts_close(stats: &Value, input: &[Record], places: &[Vec<usize>], what: &str) {
    let packets = input.len() as u64;
    assert_eq!(number(stats, &["rx", "packets"]), packets, "{what}");
    assert_eq!(number(stats, &["delivered"]), packets, "{what}");
    assert_eq!((sum(stats, &["dropped"]), number(stats, &["in_flight"])), (0, 0), "{what}");
    assert!(places.iter().all(|at| !at.is_empty()), "{what}: no packet is lost");
    for probe in 0..stats["probes"].as_object().unwrap().len() {
        let is_at = |(record, at): &(&Record, &Vec<usize>)| {
            kind(&record.bytes) == Kind::Control && at.contains(&probe)
        };
        let control = input.iter().zip(places).filter(is_at).count() as u64;
        let name = format!("probe-{}", probe + 1);
        assert_eq!(number(stats, &["probes", &name, "control_packets"]), control, "{what}: {name}");
    }
}

/// Without loss: every message between nodes at every probe, every other one at the one probe of its session.
fn follows(options: &[&str]) {
    let case = Case::run(options, &[]);
    let seen = case.messages();
    let (nodes, sessions): (Vec<_>, Vec<_>) = seen.iter().partition(|seen| seen.signal.of_nodes);
    for seen in &nodes {
        assert_eq!(seen.at.len(), PROBES, "{}", case.describe(seen));
    }
    let mut of_nobody = HashMap::new();
    for seen in &sessions {
        if seen.homes.is_empty() {
            case.is_refused_without_imsi(seen, &mut of_nobody);
            continue;
        }
        assert_eq!(seen.homes.len(), 1, "whose it is: {}", case.describe(seen));
        assert!(seen.at.len() == 1 && seen.homes.contains(&seen.at[0]), "{}", case.describe(seen));
    }
    let mut protocols = BTreeMap::<u8, [usize; 2]>::new();
    for seen in &seen {
        protocols.entry(seen.signal.exchange.0).or_default()[usize::from(seen.signal.of_nodes)] += 1;
    }
    println!("{}: of sessions, of nodes: {protocols:?}", case.what);
    assert!(protocols.len() == 3 && protocols.values().flatten().all(|&count| count > 10), "{protocols:?}");
}

#[test]
fn every_message_is_at_the_probe_of_its_session_and_nowhere_else() {
    for seed in ["1", "2", "3", "4"] {
        follows(&["--subscribers", "60", "--seconds", "40", "--pps", "800", "--nr", "0.4", "--seed", seed]);
    }
    follows(&["--subscribers", "3000", "--seconds", "10", "--pps", "10000", "--seed", "5"]);
    follows(&["--subscribers", "300", "--seconds", "10", "--pps", "3000", "--ipv6", "1.0", "--vlan", "100"]);
}

/// What comes twice is sent again, also after its session has ended.
#[test]
fn what_is_sent_again_goes_where_it_went() {
    for seed in ["31", "32"] {
        follows(&[
            "--subscribers",
            "300",
            "--seconds",
            "10",
            "--pps",
            "3000",
            "--seed",
            seed,
            "--dup",
            "0.5",
        ]);
    }
}

#[test]
fn the_number_of_workers_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("core.pcap");
    let args = ["gen", "--subscribers", "100", "--seconds", "4", "--pps", "2000", "--loss", "0.02", "-o"];
    snipe(args.map(AsRef::as_ref).into_iter().chain([capture.as_os_str()])).ok();
    let run = |workers: &str| {
        let out = folder.path().join(workers);
        replay(&capture, &out, &["--control", "follow", "--probes", "5", "--workers", workers]);
        files(&out)
    };
    assert_eq!(difference(&run("1"), &run("3")), Vec::<String>::new());
}

/// With loss, delay and doubles of signalling. But for a few a message goes to all only where nothing that the tap has seen
/// by then tells whose it is: it names no subscriber and no user, and is sent to an endpoint that no whole
/// exchange told of; of an answer, its request does neither, or did not come before it.
#[test]
fn what_the_tap_cannot_know_goes_to_all() {
    for seed in ["21", "22", "23"] {
        let case = Case::run(
            &[
                "--subscribers",
                "1000",
                "--seconds",
                "20",
                "--pps",
                "6000",
                "--seed",
                seed,
                "--loss",
                "0.01",
                "--reorder",
                "0.01",
                "--dup",
                "0.01",
            ],
            &["--workers", "2"],
        );
        let (mut all, mut astray, mut count) = (Vec::new(), Vec::new(), 0_u32);
        let messages = case.messages();
        for seen in messages.iter() {
            if seen.signal.of_nodes {
                assert_eq!(seen.at.len(), PROBES, "{}", case.describe(seen));
                continue;
            }
            count += 1;
            if seen.at.len() == PROBES {
                all.push(seen);
            } else if !(seen.at.len() == 1 && (seen.homes.is_empty() || seen.homes.contains(&seen.at[0]))) {
                astray.push(seen);
            }
        }
        let known: Vec<_> = all.iter().filter(|seen| !seen.unknown).collect();
        println!(
            "{}: {count} of sessions, {} at all, {} of them known; {} astray",
            case.what,
            all.len(),
            known.len(),
            astray.len()
        );
        // Where the tap has missed who got an endpoint next, it takes the one for the other; where it believes
        // that a session has ended, it is nobody's.
        let few = |found: &[&Seen<'_>], share: f64| found.len() as f64 <= share * f64::from(count);
        let first = |found: &[&Seen<'_>]| found.first().map(|seen| case.describe(seen));
        let known: Vec<_> = known.into_iter().copied().collect();
        assert!(few(&known, 0.002), "{:?}", first(&known));
        assert!(few(&astray, 0.001), "{:?}", first(&astray));
        assert!(few(&all, 0.02), "{:?}", first(&all));
        assert!(!all.is_empty());
    }
}

/// An Ethernet frame of UDP over IPv4 with another datagram in it.
fn with_payload(frame: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = [&frame[..42], payload].concat();
    bytes[16..18].copy_from_slice(&(28 + payload.len() as u16).to_be_bytes());
    bytes[38..40].copy_from_slice(&(8 + payload.len() as u16).to_be_bytes());
    // No checksum of UDP.
    bytes[40..42].fill(0);
    bytes
}

/// The same frame in two fragments, the first one with so many bytes behind its IPv4 header.
fn in_two(frame: &[u8], at: usize, id: u16) -> [Vec<u8>; 2] {
    let piece = |part: &[u8], flags: u16| {
        let mut bytes = [&frame[..34], part].concat();
        bytes[16..18].copy_from_slice(&(20 + part.len() as u16).to_be_bytes());
        bytes[18..20].copy_from_slice(&id.to_be_bytes());
        bytes[20..22].copy_from_slice(&flags.to_be_bytes());
        bytes
    };
    let (first, later) = frame[34..].split_at(at);
    [piece(first, 0x2000), piece(later, at as u16 / 8)]
}

/// Fragments of a message are where its first one is; what cannot be read is at all; a datagram with the
/// messages of two subscribers is at both and nowhere else.
#[test]
fn fragments_bundles_and_what_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let (capture, made) = (folder.path().join("core.pcap"), folder.path().join("made.pcap"));
    let args = [
        "gen",
        "--subscribers",
        "200",
        "--seconds",
        "4",
        "--pps",
        "2000",
        "--nr",
        "0.5",
        "--seed",
        "3",
        "-o",
    ];
    snipe(args.into_iter().map(AsRef::as_ref).chain([capture.as_os_str()])).ok();
    let input = read_capture(&capture).records;
    let pins = Pins::new(PROBES);
    let named = |record: &Record| {
        let over_v4 = record.bytes[12..14] == [8, 0];
        let found = signal(&record.bytes)
            .filter(|_| over_v4)
            .filter(|signal| kind(&record.bytes) == Kind::Control && !signal.is_answer)?;
        Some((found.exchange.0, pins.of_subscriber(&found.imsi?)))
    };
    let (mut records, mut expected) = (Vec::new(), Vec::new());
    let mut add = |bytes: Vec<u8>, at: Vec<usize>| {
        let time_ns = input.last().unwrap().time_ns + 60_000_000_000 + records.len() as u64 * 2_000_000;
        records.push(Record { time_ns, wire_bytes: bytes.len() as u32, bytes });
        expected.push(at);
    };
    let all: Vec<_> = (0..PROBES).collect();
    let (mut establishments, mut datagrams) = (Vec::new(), 0);
    for (record, (protocol, home)) in input.iter().filter_map(|record| Some((record, named(record)?))) {
        let frame = &record.bytes;
        let payload = &frame[42..];
        if protocol == 3 {
            establishments.push((payload.to_vec(), home));
        }
        // The IMSI stands in the first bytes of GTP-C.
        if protocol != 3 && payload.len() > 100 {
            datagrams += 1;
            let [first, later] = in_two(frame, 64, datagrams);
            add(first, vec![home]);
            add(later, vec![home]);
        }
        // Version 7.
        let garbage = [&[0xff], &payload[1..]].concat();
        add(with_payload(frame, &garbage), all.clone());
        add(with_payload(frame, &payload[..3]), all.clone());
    }
    let frame =
        &input.iter().find(|record| named(record).is_some_and(|(protocol, _)| protocol == 3)).unwrap().bytes;
    let mut pairs = 0;
    for pair in establishments.chunks_exact(2) {
        let [(one, home), (other, other_home)] = pair else { unreachable!() };
        let mut bundle = [&one[..], other].concat();
        // Follow On. TS 29.244 7.2.2.1.
        bundle[0] |= 4;
        let mut at = vec![*home, *other_home];
        at.sort_unstable();
        at.dedup();
        pairs += usize::from(at.len() == 2);
        add(with_payload(frame, &bundle), at);
        // A third of which nothing is left.
        let second = one.len();
        bundle[second] |= 4;
        bundle.extend([0x20, 50]);
        add(with_payload(frame, &bundle), all.clone());
    }
    write_pcap(&made, 1, true, &records);
    let (stats, probes) =
        replay(&made, &folder.path().join("out"), &["--control", "follow", "--probes", "8"]);
    let places = whereabouts(&records, &probes, "made");
    assert_eq!(number(&stats, &["delivered"]), records.len() as u64);
    for (frame, (at, expected)) in places.iter().zip(&expected).enumerate() {
        assert_eq!(at, expected, "frame {}: {:02x?}", frame + 1, records[frame].bytes);
    }
    let later = records.iter().filter(|record| record.bytes[20..22] == [0, 8]).count();
    assert!(later > 50 && pairs > 10, "{later} {pairs}");
}

/// The protocol and ports of an Ethernet frame with IPv4, where they are there.
fn transport(frame: &[u8]) -> Option<(u8, [u16; 2])> {
    let ip = frame.get(14..).filter(|_| frame[12..14] == [8, 0])?;
    let port = |at: usize| {
        Some(u16::from_be_bytes(ip.get(usize::from(ip[0] & 15) * 4 + at..)?.get(..2)?.try_into().ok()?))
    };
    let is_first = u16::from_be_bytes([ip[6], ip[7]]) & 0x1fff == 0;
    Some((ip[9], if is_first { [port(0)?, port(2)?] } else { [0; 2] }))
}

/// Captures by others, with the frames that tshark finds SCTP in, and those with a port of Diameter.
const OTHER_SIGNALLING: [(&str, usize, usize); 3] = [
    ("arkime__diameter_synthetic.pcap", 12, 22),
    ("magma__gx_gy_combined_03_210505_132953-1.pcapng", 226, 185),
    ("open5gs__hist-48bfe83c0__srsenb.pcapng", 14, 8),
];

#[test]
fn other_signalling_goes_to_all_where_that_is_asked_for() {
    let captures = captures();
    if captures.is_empty() {
        println!("skipped: no captures");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (file, sctp, diameter) in OTHER_SIGNALLING {
        let path = captures.iter().find(|path| name(path) == file).unwrap();
        let input = read_capture(path).records;
        for also in ["", "'sctp'", "'diameter'", "'sctp', 'diameter'"] {
            let what = format!("{file} {also}");
            let (config, out) = (folder.path().join("snipe.toml"), folder.path().join(&what));
            std::fs::write(&config, format!("[tracker]\ncontrol = 'follow'\nbroadcast_also = [{also}]\n"))
                .unwrap();
            let flags = ["--probes", "4", "--config", config.to_str().unwrap()];
            let (stats, probes) = replay(path, &out, &flags);
            let places = whereabouts(&input, &probes, &what);
            files_match_accounts(&stats, &probes, &what);
            accounts_close(&stats, &input, &places, &what);
            let (mut of_sctp, mut of_diameter) = (0, 0);
            for (frame, (record, at)) in input.iter().zip(&places).enumerate() {
                let (protocol, ports) = transport(&record.bytes).unwrap_or_default();
                let is_sctp = protocol == 132;
                let is_diameter =
                    matches!(protocol, 6 | 132) && ports.iter().any(|port| matches!(port, 3868 | 5868));
                of_sctp += usize::from(is_sctp);
                of_diameter += usize::from(is_diameter);
                if kind(&record.bytes) == Kind::Control {
                    continue;
                }
                let for_all = is_sctp && also.contains("sctp") || is_diameter && also.contains("diameter");
                assert_eq!(at.len(), if for_all { 4 } else { 1 }, "{what}: frame {}", frame + 1);
            }
            assert_eq!((of_sctp, of_diameter), (sctp, diameter), "{what}");
        }
    }
}

/// Every capture: what follows is delivered whole, and the accounts close.
#[test]
fn every_capture_is_brokered_whole() {
    let captures = captures();
    if captures.is_empty() {
        println!("skipped: no captures");
        return;
    }
    on_two_threads(&captures, |path| {
        let (what, folder) = (name(path), tempfile::tempdir().unwrap());
        let (stats, probes) =
            replay(path, &folder.path().join("out"), &["--probes", "4", "--control", "follow"]);
        let input = read_capture(path).records;
        let places = whereabouts(&input, &probes, what);
        files_match_accounts(&stats, &probes, what);
        assert!(places.iter().all(|at| !at.is_empty()), "{what}");
        assert_eq!(number(&stats, &["delivered"]), input.len() as u64, "{what}");
        let control =
            number(&stats, &["rx", "by_class", "gtp_c"]) + number(&stats, &["rx", "by_class", "pfcp"]);
        let several = places.iter().filter(|at| at.len() > 1).count() as u64;
        assert!(several <= control, "{what}: {several} of {control}");
        assert_eq!(sum(&stats, &["dropped"]), 0, "{what}");
    });
}
