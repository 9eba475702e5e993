//! `snipe replay` against what `snipe gen` knows: every field of every session, and the probe of every
//! packet of a user.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use common::frames::{Kind, inner, kind, names_no_user, set_ups};
use common::pins::Pins;
use common::sessions::{
    BEFORE_NS, Compare, Placed, Placements, of_user, read_lines, read_truth, time_ns, users,
};
use common::{Record, closes, files_match_accounts, number, read_capture, replay, snipe, whereabouts};
use serde_json::Value;

const PROBES: usize = 8;

/// All fields of a session but those that depend on the broker.
const FIELDS: [&str; 19] = [
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
    "created",
    "ended",
];

/// One generated capture, its truth, and what became of it.
struct Case {
    what: String,
    truth: Vec<Value>,
    /// The session of each frame.
    owners: Vec<Option<usize>>,
    input: Vec<Record>,
    places: Vec<Vec<usize>>,
    sessions: Vec<Value>,
    stats: Value,
}

impl Case {
    fn run(options: &[&str]) -> Self {
        let what = options.join(" ");
        let folder = tempfile::tempdir().unwrap();
        let (capture, out) = (folder.path().join("core.pcap"), folder.path().join("out"));
        let gen_args = ["gen".as_ref(), "-o".as_ref(), capture.as_os_str()];
        snipe(gen_args.into_iter().chain(options.iter().map(AsRef::as_ref))).ok();
        let (truth, owners) = read_truth(&capture.with_extension("json"));
        let (stats, probes) = replay(&capture, &out, &["--probes", "8", "--workers", "2"]);
        closes(&stats, &what);
        files_match_accounts(&stats, &probes, &what);
        let input = read_capture(&capture).records;
        assert_eq!(owners.len(), input.len(), "{what}: one entry a frame");
        let places = whereabouts(&input, &probes, &what);
        let sessions = read_lines(&out.join("sessions.jsonl"));
        let order =
            |own: &Value| ["created", "correlation_id"].map(|field| own[field].as_str().map(str::to_owned));
        assert!(sessions.is_sorted_by_key(order), "by time, then correlation id");
        assert_eq!(number(&stats, &["sessions", "created"]), sessions.len() as u64, "{what}");
        Self { what, truth, owners, input, places, sessions, stats }
    }

    /// The packets of users, from a little before their session is there on.
    fn placements(&self) -> Placements {
        let created: Vec<_> =
            self.truth.iter().map(|session| time_ns(&session["created"]).unwrap()).collect();
        let mut found = Placements::default();
        for (frame, ((record, place), owner)) in
            self.input.iter().zip(&self.places).zip(&self.owners).enumerate()
        {
            let Some(session) = *owner else { continue };
            if kind(&record.bytes) == Kind::Control || record.time_ns + BEFORE_NS < created[session] {
                continue;
            }
            assert_eq!(place.len(), 1, "{}: frame {}: a user's packet is at one probe", self.what, frame + 1);
            found.add(Placed { frame, session, probe: place[0] });
        }
        found
    }

    fn subscriber(&self, session: usize) -> &Value {
        &self.truth[session]["imsi"]
    }

    /// Packet and session as a person needs them to look the matter up.
    fn describe(&self, packet: Placed) -> String {
        let record = &self.input[packet.frame];
        format!(
            "{}: frame {} at {} in {:?} is at {}; session {}",
            self.what,
            packet.frame + 1,
            record.time_ns,
            kind(&record.bytes),
            packet.probe,
            self.truth[packet.session]
        )
    }

    /// The sessions of which the capture has a set-up: an answer that accepts, with its request. Known
    /// by the user's address, which no two sessions have at one time: of those that had it, the last
    /// that was made when the answer came. A delayed answer comes up to 20 ms late.
    fn visible(&self) -> HashSet<usize> {
        let mut by_user: HashMap<IpAddr, Vec<(u64, usize)>> = HashMap::new();
        for (index, session) in self.truth.iter().enumerate() {
            for user in users(session) {
                by_user.entry(user).or_default().push((time_ns(&session["created"]).unwrap(), index));
            }
        }
        by_user.values_mut().for_each(|sessions| sessions.sort_unstable());
        let of = |user: &IpAddr, at_ns: u64| {
            let sessions = by_user.get(user)?;
            // The capture has whole microseconds.
            let made = sessions.partition_point(|(created, _)| *created < at_ns + 1_000);
            Some(sessions.get(made.checked_sub(1)?)?.1)
        };
        let shown = set_ups(&self.input);
        shown.iter().filter_map(|shown| shown.users.iter().find_map(|user| of(user, shown.time_ns))).collect()
    }
}

/// Every field of every session, and every packet of a session at one probe.
fn is_known_whole(options: &[&str]) -> Case {
    let case = Case::run(options);
    Compare { fields: &FIELDS, with_counts: true }.assert_same(&case.truth, &case.sessions, &case.what);
    let placements = case.placements();
    let astray: Vec<_> = placements.astray().collect();
    if let Some(first) = astray.first() {
        panic!("{} of {} packets: {}", astray.len(), placements.packets.len(), case.describe(*first));
    }
    let all: HashSet<_> = (0..case.truth.len()).collect();
    let unseen = all.difference(&case.visible()).count();
    assert_eq!(unseen, 0, "{}: without loss every set-up is visible", case.what);
    case
}

#[test]
fn ten_thousand_subscribers_are_known_whole_and_spread_evenly() {
    let case =
        is_known_whole(&["--subscribers", "10000", "--seconds", "10", "--pps", "40000", "--seed", "11"]);
    assert!(case.truth.len() >= 10_000, "{} sessions", case.truth.len());
    let mut at = HashMap::new();
    for session in &case.sessions {
        *at.entry(session["probe"].as_str().unwrap()).or_insert(0_u64) += 1;
    }
    let mean = case.sessions.len() as f64 / PROBES as f64;
    let most = at.values().max().copied().unwrap();
    assert!(at.len() == PROBES && most as f64 <= 1.1 * mean, "{at:?}, mean {mean}");
    for (probe, sessions) in at {
        assert_eq!(number(&case.stats, &["probes", probe, "sessions"]), sessions, "{probe}");
    }
}

#[test]
fn few_subscribers_with_much_to_do_are_known_whole() {
    for seed in ["1", "2", "3"] {
        let options = ["--subscribers", "40", "--seconds", "60", "--pps", "800", "--seed", seed];
        let case = is_known_whole(&options);
        let ended = case.truth.iter().filter(|session| session["state"] == "deleted").count();
        assert!(ended > 0 && ended < case.truth.len(), "{ended} of {} sessions end", case.truth.len());
    }
}

#[test]
fn a_vlan_and_ipv6_change_nothing() {
    let options =
        ["--subscribers", "300", "--seconds", "10", "--pps", "3000", "--ipv6", "1.0", "--vlan", "100"];
    is_known_whole(&options);
}

/// With loss, reordering and duplication of signalling.
fn is_known_mostly(options: &[&str]) {
    let case = Case::run(options);
    let (placements, visible) = (case.placements(), case.visible());
    let shown = visible.len() as f64 / case.truth.len() as f64;
    assert!(shown > 0.9 && visible.len() < case.truth.len(), "{}: {shown} of the sessions", case.what);

    let of_visible = placements.packets.iter().filter(|packet| visible.contains(&packet.session)).count();
    let astray: Vec<_> = placements.astray().filter(|packet| visible.contains(&packet.session)).collect();
    if astray.len() as f64 > 0.001 * of_visible as f64 {
        panic!("{} of {of_visible} packets: {}", astray.len(), case.describe(astray[0]));
    }

    case.no_packet_is_where_its_tunnel_was_anothers(&placements, &visible);
}

impl Case {
    /// Where the packets of a session belong: with its subscriber, or, where signalling names none, where
    /// most of them are.
    fn home(&self, pins: &Pins, placements: &Placements, session: usize) -> Option<usize> {
        match self.subscriber(session) {
            Value::String(imsi) => Some(pins.of_subscriber(imsi)),
            _ => placements.home(session),
        }
    }

    /// No packet of a session lies with another subscriber who has or had its tunnel. By chance one
    /// in eight that goes by its addresses does, because it is in a tunnel that no message told of: it is
    /// there by the pin of its user's address or of the pair, and was not counted for the other one.
    fn no_packet_is_where_its_tunnel_was_anothers(&self, placements: &Placements, visible: &HashSet<usize>) {
        let pins = Pins::new(PROBES);
        let mut holders: HashMap<(IpAddr, u64), Vec<usize>> = HashMap::new();
        for (index, session) in self.truth.iter().enumerate() {
            for endpoint in session["fteids"].as_array().unwrap() {
                let ip = endpoint["ip"].as_str().unwrap().parse().unwrap();
                holders.entry((ip, endpoint["teid"].as_u64().unwrap())).or_default().push(index);
            }
        }
        let (mut reused, mut astray, mut by_addresses, mut by_nothing, mut by_holder) = (0, 0, 0, 0, 0);
        for packet in placements.packets.iter().filter(|packet| visible.contains(&packet.session)) {
            let bytes = &self.input[packet.frame].bytes;
            let Kind::Tunnel(receiver, teid) = kind(bytes) else { continue };
            let time = self.input[packet.frame].time_ns;
            let held = holders.get(&(receiver, u64::from(teid))).map_or(&[][..], Vec::as_slice);
            let others = || {
                let is_other = |&&other: &&usize| {
                    other != packet.session
                        && !same_subscriber(self, other, packet.session)
                        && time_ns(&self.truth[other]["created"]).unwrap() <= time
                };
                held.iter().copied().filter(move |other| is_other(&other))
            };
            reused += usize::from(others().next().is_some());
            if self.home(&pins, placements, packet.session) == Some(packet.probe) {
                continue;
            }
            astray += 1;
            let there = |&other: &usize| self.home(&pins, placements, other) == Some(packet.probe);
            let Some(other) = others().find(there) else { continue };
            let describe = || {
                format!(
                    "at the probe of {}, who has or had the tunnel: {}",
                    self.truth[other],
                    self.describe(*packet)
                )
            };
            if names_no_user(bytes) {
                // It can be known by its tunnel alone, where a message told of that.
                assert!(!self.was_told(packet.session, receiver, teid), "{}", describe());
                // Then it goes by that, unless the other one still has it: for a moment after a change,
                // or because the message was lost that took it from him.
                if packet.probe == pins.of_tunnel(receiver, teid) {
                    by_nothing += 1;
                } else {
                    let has = |&other: &usize| self.was_told(other, receiver, teid);
                    assert!(others().filter(there).any(|other| has(&other)), "{}", describe());
                    by_holder += 1;
                }
                continue;
            }
            let pair = inner(bytes).unwrap();
            let user = [pair.0, pair.1]
                .into_iter()
                .find(|&address| users(&self.truth[packet.session]).any(|user| user == of_user(address)));
            let explained = packet.probe == pins.of_pair(pair.into())
                || user.is_some_and(|user| packet.probe == pins.of_user(user));
            assert!(explained, "{}", describe());
            let counted = others().filter(there).any(|other| self.counts_too_many(other, receiver, teid));
            assert!(!counted, "counted for the other: {}", describe());
            by_addresses += 1;
        }
        println!(
            "{}: {reused} packets in tunnels that others have or had; {astray} packets astray, of them {by_addresses} with \
             one of these by their addresses, {by_nothing} that name nobody by their tunnel, {by_holder} with who has it",
            self.what
        );
        assert!(reused > 0, "{}: no TEID was reused", self.what);
        assert!(by_holder * 10_000 < reused, "{}: {by_holder} went to who has the tunnel", self.what);
    }

    /// The lines of the broker that are of a session.
    fn lines_of(&self, session: usize) -> impl Iterator<Item = &Value> {
        let truth = &self.truth[session];
        self.sessions.iter().filter(move |own| {
            ["imsi", "apn", "ue_ipv4", "ue_ipv6"].into_iter().all(|field| own[field] == truth[field])
        })
    }

    /// Whether a message told the broker of an endpoint of a session.
    fn was_told(&self, session: usize, receiver: IpAddr, teid: u32) -> bool {
        let is_it = |endpoint: &Value| is_at(endpoint, receiver, teid) && !endpoint["interface"].is_null();
        self.lines_of(session).any(|own| own["fteids"].as_array().unwrap().iter().any(is_it))
    }

    /// Whether the broker counted more packets for this endpoint of a session than there were.
    fn counts_too_many(&self, session: usize, receiver: IpAddr, teid: u32) -> bool {
        let counted = |session: &Value| {
            let mut own = session["fteids"].as_array().unwrap().iter();
            let own = own.find(|endpoint| is_at(endpoint, receiver, teid));
            own.map_or(0, |endpoint| endpoint["packets"].as_u64().unwrap())
        };
        self.lines_of(session).any(|own| counted(own) > counted(&self.truth[session]))
    }
}

fn is_at(endpoint: &Value, receiver: IpAddr, teid: u32) -> bool {
    endpoint["ip"].as_str().unwrap().parse() == Ok(receiver) && endpoint["teid"] == teid
}

/// Two sessions of one subscriber; of those whose signalling tells no identity none are.
fn same_subscriber(case: &Case, one: usize, other: usize) -> bool {
    !case.subscriber(one).is_null() && case.subscriber(one) == case.subscriber(other)
}

#[test]
fn lost_late_and_doubled_signalling_leaves_users_where_they_are() {
    let bad = ["--loss", "0.01", "--reorder", "0.01", "--dup", "0.01"];
    for seed in ["21", "22", "23", "24", "25", "26"] {
        let size = ["--subscribers", "2000", "--seconds", "20", "--pps", "10000", "--seed", seed];
        is_known_mostly(&[&size[..], &bad[..]].concat());
    }
}

#[test]
fn doubled_signalling_alone_makes_no_second_session() {
    let options =
        ["--subscribers", "500", "--seconds", "10", "--pps", "5000", "--seed", "31", "--dup", "0.5"];
    let case = Case::run(&options);
    Compare { fields: &FIELDS, with_counts: true }.assert_same(&case.truth, &case.sessions, &case.what);
}
