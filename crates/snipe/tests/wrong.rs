//! What a tap meets that was not there from the start, misses a part, or is lied to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use common::frames::{Kind, inner, kind, names_no_user, says_its_way};
use common::pins::Pins;
use common::sessions::{is_known, of_user, read_lines, read_truth, time_ns, users};
use common::{Record, closes, number, read_capture, replay, snipe, whereabouts, write_pcap};
use serde_json::Value;

const PROBES: usize = 8;
const SECOND: u64 = 1_000_000_000;
/// How long a packet is held, and no more than a tick beyond.
const HOLD_NS: u64 = 21_000_000;

/// Where a packet is, and where its pair alone would be.
type Probes = (usize, usize);

/// A generated capture.
struct Core {
    truth: Vec<Value>,
    owners: Vec<Option<usize>>,
    records: Vec<Record>,
}

/// What became of frames.
struct Outcome {
    places: Vec<Vec<usize>>,
    stats: Value,
    sessions: Vec<Value>,
}

impl Core {
    fn new(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let capture = folder.path().join("core.pcap");
        let gen_args = ["gen".as_ref(), "-o".as_ref(), capture.as_os_str()];
        snipe(gen_args.into_iter().chain(options.iter().map(AsRef::as_ref))).ok();
        let (truth, owners) = read_truth(&capture.with_extension("json"));
        Self { truth, owners, records: read_capture(&capture).records }
    }

    /// Only the frames of some time.
    fn only(&mut self, has: impl Fn(u64) -> bool) {
        let keep: Vec<_> = self.records.iter().map(|record| has(record.time_ns)).collect();
        let mut kept = keep.iter();
        self.records.retain(|_| *kept.next().unwrap());
        let mut kept = keep.iter();
        self.owners.retain(|_| *kept.next().unwrap());
    }

    fn start_ns(&self) -> u64 {
        self.records[0].time_ns
    }
}

fn run(records: &[Record], what: &str) -> Outcome {
    run_on(records, "2", what)
}

fn run_on(records: &[Record], workers: &str, what: &str) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let (capture, out) = (folder.path().join("in.pcap"), folder.path().join("out"));
    write_pcap(&capture, 1, true, records);
    let (stats, probes) = replay(&capture, &out, &["--probes", "8", "--workers", workers]);
    closes(&stats, what);
    Outcome {
        places: whereabouts(records, &probes, what),
        stats,
        sessions: read_lines(&out.join("sessions.jsonl")),
    }
}

/// The packets of one address of a session, in their order.
#[derive(Default)]
struct Path {
    /// Where each is, and where its pair alone would be.
    probes: Vec<Probes>,
    times_ns: Vec<u64>,
    /// Of each tunnel, the peers.
    peers: HashMap<Kind, BTreeSet<IpAddr>>,
    /// The packet that shows the address: it says itself which way it goes, or is the second one of a tunnel
    /// with another peer.
    shown: Option<usize>,
}

impl Path {
    fn add(&mut self, tunnel: Kind, peer: IpAddr, says_way: bool, time_ns: u64, probes: Probes) {
        let peers = self.peers.entry(tunnel).or_default();
        peers.insert(peer);
        if says_way || peers.len() == 2 {
            self.shown.get_or_insert(self.probes.len());
        }
        self.probes.push(probes);
        self.times_ns.push(time_ns);
    }

    /// From where on it may move once more, when it is learned. Of an address that no tunnel shows that is
    /// when something else tells it (signalling, or its tunnel's direction): its first packet that is not at
    /// its pair. One that was held until then may be in front of others that were not.
    fn settled(&self) -> usize {
        self.shown.unwrap_or_else(|| {
            let told = self.probes.iter().position(|(probe, by_pair)| probe != by_pair);
            let told_ns = told.map_or(u64::MAX, |at| self.times_ns[at] + HOLD_NS);
            self.times_ns.partition_point(|&time_ns| time_ns <= told_ns)
        })
    }

    /// How often it moves from the packet on that shows it, that packet included.
    fn moves(&self) -> usize {
        let from = self.settled();
        self.probes[from.saturating_sub(1)..].windows(2).filter(|pair| pair[0].0 != pair[1].0).count()
    }

    /// How often it moves after that packet.
    fn later_moves(&self) -> usize {
        let from = self.settled();
        self.probes[from..].windows(2).filter(|pair| pair[0].0 != pair[1].0).count()
    }
}

/// The first half of a capture cut off: what became of each address of each session.
fn from_the_middle(options: &str, workers: &str) -> (Core, Outcome, BTreeMap<(usize, IpAddr), Path>) {
    let mut core = Core::new(&options.split(' ').collect::<Vec<_>>());
    let middle_ns = core.start_ns() + 10 * SECOND;
    core.only(|time_ns| time_ns >= middle_ns);
    let outcome = run_on(&core.records, workers, options);
    let pins = Pins::new(PROBES);
    let mut paths: BTreeMap<(usize, IpAddr), Path> = BTreeMap::new();
    for ((record, place), owner) in core.records.iter().zip(&outcome.places).zip(&core.owners) {
        let Some(session) = *owner else { continue };
        if kind(&record.bytes) == Kind::Control || names_no_user(&record.bytes) {
            continue;
        }
        let Some((source, destination)) = inner(&record.bytes) else { continue };
        let mut own = users(&core.truth[session]);
        let Some(own) = own.find(|&own| own == of_user(source) || own == of_user(destination)) else {
            continue;
        };
        assert_eq!(place.len(), 1);
        let peer = if of_user(source) == own { destination } else { source };
        let probes = (place[0], pins.of_pair([source, destination]));
        let path = paths.entry((session, own)).or_default();
        path.add(kind(&record.bytes), peer, says_its_way(&record.bytes), record.time_ns, probes);
    }
    (core, outcome, paths)
}

/// From the middle on, nothing is known of most sessions but their packets.
#[test]
fn from_the_middle_on_a_session_moves_once_and_once_more_when_it_is_learned() {
    let lte = "--umts 0 --nr 0 --subscribers 300 --seconds 20 --pps 6000";
    let mix = "--subscribers 300 --seconds 20 --pps 6000";
    for seed in 1..=4 {
        for (kinds, workers) in [(lte, ["1", "2", "4"][seed % 3]), (mix, ["2", "4", "1"][seed % 3])] {
            moves_once_and_once_more(&format!("{kinds} --seed {seed}"), workers);
        }
    }
}

fn moves_once_and_once_more(options: &str, workers: &str) {
    let (core, outcome, paths) = from_the_middle(options, workers);
    assert!(paths.len() > 200, "{} addresses", paths.len());
    let pins = Pins::new(PROBES);
    let (mut moves, mut by_address) = ([0_usize; 3], 0);
    let mut ends: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (&(session, own), path) in &paths {
        let truth = &core.truth[session];
        let what = || format!("{options}: {own}, shown {:?}, {:?} of {truth}", path.shown, path.probes);
        // One more when it is learned, whether that is before its address is shown or after.
        assert!(path.moves() <= 2 && path.later_moves() <= 1, "{}", what());
        moves[path.moves()] += 1;
        // By the subscriber where it was learned; where signalling names none, by its first address with
        // its network; else by an address.
        let mut places: Vec<_> = users(truth).map(|own| pins.of_user(own)).collect();
        places.extend(truth["imsi"].as_str().map(|imsi| pins.of_subscriber(imsi)));
        places.extend(users(truth).next().map(|own| pins.of_user_in(own, truth["apn"].as_str())));
        for (at, (probe, by_pair)) in path.probes.iter().enumerate() {
            let is_shown = path.shown.is_some_and(|shown| shown <= at);
            assert!(places.contains(probe) || !is_shown && probe == by_pair, "packet {at}: {}", what());
        }
        let last = path.probes.last().unwrap().0;
        by_address += usize::from(last == pins.of_user(own));
        ends.entry(session).or_default().push(last);
    }
    let two: Vec<_> = ends.values().filter(|ends| ends.len() == 2).collect();
    let apart = two.iter().filter(|ends| ends[0] != ends[1]).count();
    println!(
        "{options}: moves {moves:?}, {by_address} of {} at the probe of their address; of {} users with two \
         addresses {apart} end at two probes",
        paths.len(),
        two.len()
    );
    assert!(by_address * 2 > paths.len());
    assert!(outcome.sessions.iter().any(|session| !is_known(session)));
}

/// A frame of a user's uplink packet over IPv4 on S1-U with the source address of another user.
fn forged(record: &Record, source: IpAddr) -> Record {
    let IpAddr::V4(source) = source else { panic!("{source}") };
    let (own, _) = inner(&record.bytes).unwrap();
    let IpAddr::V4(own) = own else { panic!("{own}") };
    let mut record = record.clone();
    let at = record.bytes.windows(4).rposition(|window| window == own.octets()).unwrap();
    record.bytes[at..at + 4].copy_from_slice(&source.octets());
    record
}

#[test]
fn a_forged_source_moves_nobody() {
    let options = ["--subscribers", "60", "--seconds", "12", "--pps", "3000", "--umts", "0", "--nr", "0"];
    let core = Core::new(&options);
    let before = run(&core.records, "as it is");
    let probe_of = |outcome: &Outcome, index: usize| {
        let truth = &core.truth[index];
        let mut own = outcome.sessions.iter().filter(|session| {
            ["imsi", "apn", "ue_ipv4", "created"].into_iter().all(|field| session[field] == truth[field])
        });
        let found = own.next().unwrap()["probe"].clone();
        assert!(own.next().is_none());
        found
    };
    // Late in the capture an uplink packet of one subscriber, and the address of one that is up at another
    // probe.
    let is_uplink = |index: usize| {
        let record = &core.records[index];
        let session = core.owners[index]?;
        let own = users(&core.truth[session]).find(IpAddr::is_ipv4)?;
        let (source, _) = inner(&record.bytes)?;
        let Kind::Tunnel(receiver, teid) = kind(&record.bytes) else { return None };
        let mut endpoints = core.truth[session]["fteids"].as_array()?.iter();
        let is_s1 = endpoints.any(|own| {
            own["interface"] == "S1-U SGW GTP-U"
                && own["teid"] == teid
                && own["ip"].as_str().unwrap().parse() == Ok(receiver)
        });
        (source == own && is_s1).then_some((session, own))
    };
    let from = core.records.len() * 3 / 4;
    let (at, liar) = (from..core.records.len()).find_map(|at| Some((at, is_uplink(at)?.0))).unwrap();
    let (victim, address) = (from..core.records.len())
        .filter_map(is_uplink)
        .find(|(session, _)| {
            core.truth[*session]["imsi"] != core.truth[liar]["imsi"]
                && core.truth[*session]["state"] == "active"
                && probe_of(&before, *session) != probe_of(&before, liar)
        })
        .unwrap();
    for count in [1, 1_000] {
        let mut records = core.records.clone();
        let lie = forged(&records[at], address);
        records.splice(at + 1..at + 1, std::iter::repeat_n(lie, count));
        let what = format!("{count} forged");
        let after = run(&records, &what);
        for session in [liar, victim] {
            assert_eq!(probe_of(&after, session), probe_of(&before, session), "{what}");
        }
        let mismatch = |outcome: &Outcome| number(&outcome.stats, &["sessions", "inner_mismatch"]);
        assert_eq!(mismatch(&after), mismatch(&before) + count as u64);
        assert_eq!(
            number(&after.stats, &["sessions", "moved"]),
            number(&before.stats, &["sessions", "moved"])
        );
        let honest = after.places[..=at].iter().chain(&after.places[at + 1 + count..]);
        assert!(honest.eq(&before.places), "every other packet is where it was");
        for place in &after.places[at + 1..at + 1 + count] {
            assert_eq!(Value::from(format!("probe-{}", place[0] + 1)), probe_of(&before, victim), "{what}");
        }
    }
}

/// Five seconds are missing, in which sessions end and others get their TEIDs.
#[test]
fn a_teid_that_was_given_out_again_unseen_is_learned_anew() {
    let (mut reused, mut learned) = (0, 0);
    for seed in ["1", "2", "3", "4"] {
        let options = [
            "--subscribers",
            "60",
            "--seconds",
            "40",
            "--pps",
            "4000",
            "--umts",
            "0",
            "--nr",
            "0",
            "--ipv6",
            "0",
            "--seed",
            seed,
        ];
        let mut core = Core::new(&options);
        let cut = core.start_ns() + 20 * SECOND..core.start_ns() + 25 * SECOND;
        core.only(|time_ns| !cut.contains(&time_ns));
        let outcome = run(&core.records, seed);
        let pins = Pins::new(PROBES);
        let mut holders: HashMap<(IpAddr, u32), usize> = HashMap::new();
        // Tunnel, its session before and now: the probe of each packet, and that of its pair.
        let mut rows: BTreeMap<((IpAddr, u32), usize, usize), Vec<Probes>> = BTreeMap::new();
        for ((record, place), owner) in core.records.iter().zip(&outcome.places).zip(&core.owners) {
            let (Some(session), Kind::Tunnel(receiver, teid)) = (*owner, kind(&record.bytes)) else {
                continue;
            };
            if names_no_user(&record.bytes) {
                continue;
            }
            if record.time_ns < cut.start {
                holders.insert((receiver, teid), session);
                continue;
            }
            let Some(&before) = holders.get(&(receiver, teid)) else { continue };
            // Nothing tells a new holder of an address from the one before, whose end was not seen either.
            let is_other = |other: &&Value| {
                other["imsi"] != core.truth[session]["imsi"]
                    && time_ns(&other["created"]).unwrap() < cut.start
            };
            let mut others = core.truth.iter().filter(is_other).flat_map(users);
            if users(&core.truth[session]).any(|own| others.any(|other| other == own)) {
                continue;
            }
            if core.truth[before]["imsi"] != core.truth[session]["imsi"] {
                let (source, destination) = inner(&record.bytes).unwrap();
                let by_pair = pins.of_pair([source, destination]);
                rows.entry(((receiver, teid), before, session)).or_default().push((place[0], by_pair));
            }
        }
        for (((receiver, teid), before, session), row) in rows {
            let (old, new) = (&core.truth[before], &core.truth[session]);
            let subscriber = |truth: &Value| pins.of_subscriber(truth["imsi"].as_str().unwrap());
            let own = [subscriber(new), pins.of_user(users(new).next().unwrap())];
            reused += 1;
            // Whatever was thought of the tunnel, its packets tell whose they are; of one that was let go in
            // time only the pair, until a second peer shows.
            assert!(
                row.iter().all(|(probe, by_pair)| own.contains(probe) || probe == by_pair),
                "{seed}: {receiver} {teid} {row:?} of {new}, which was of {old}"
            );
            if row.len() <= 16 {
                continue;
            }
            // From the ninth on they are counted for the one that has it now.
            let counted = |ue: &Value| {
                let sessions = outcome.sessions.iter().filter(|session| session["ue_ipv4"] == *ue);
                let endpoints = sessions.flat_map(|session| session["fteids"].as_array().unwrap());
                let own = endpoints
                    .filter(|own| own["ip"].as_str().unwrap().parse() == Ok(receiver) && own["teid"] == teid);
                own.map(|own| own["packets"].as_u64().unwrap()).sum::<u64>()
            };
            let missed = (row.len() as u64).saturating_sub(counted(&new["ue_ipv4"]));
            println!("{seed}: {receiver} {teid}: {missed} of {} missed", row.len());
            learned += usize::from(missed <= 8);
        }
    }
    println!("{reused} tunnels were given out again unseen; of those with many packets {learned} learned");
    assert!(reused > 20 && learned > 10, "{reused} {learned}");
}
