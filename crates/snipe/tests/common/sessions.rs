//! Compares sessions: what a run says of them, and where it sent their packets, with what is known of
//! them otherwise. Says of the first difference what it is.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::fs;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use serde_json::{Value, json};

/// A user's packets are checked from so long before the answer that makes the session.
pub const BEFORE_NS: u64 = 15_000_000;

/// The objects of a `.jsonl` file.
#[track_caller]
pub fn read_lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}")))
        .collect()
}

/// Whether the control plane of a session was seen: an identity, or an endpoint of signalling.
pub fn is_known(session: &Value) -> bool {
    if let Some(known) = session.get("known").and_then(Value::as_bool) {
        return known;
    }
    let identity = ["imsi", "msisdn", "imei", "apn"].iter().any(|field| !session[field].is_null());
    let signalling = session["fteids"].as_array().into_iter().flatten().any(|endpoint| {
        let name = endpoint["interface"].as_str().unwrap_or_default();
        name.ends_with("GTP-C") || name.starts_with("N4")
    });
    identity || signalling
}

/// The time in a record, nanoseconds since 1970; `None` for null.
#[track_caller]
pub fn time_ns(value: &Value) -> Option<u64> {
    let text = value.as_str()?;
    let parsed = || {
        let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
        let mut date = date.splitn(3, '-').map(str::parse::<u64>);
        let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
        let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
        let mut time = time.splitn(3, ':').map(str::parse::<u64>);
        let (hour, minute, second) = (time.next()?.ok()?, time.next()?.ok()?, time.next()?.ok()?);
        let fraction: u64 = format!("{fraction:0<9}").parse().ok()?;
        let leap = |year: u64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let of_years: u64 = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum();
        let february = if leap(year) { 29 } else { 28 };
        let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let days = of_years + months.iter().take(month as usize - 1).sum::<u64>() + day - 1;
        Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000_000 + fraction)
    };
    Some(parsed().unwrap_or_else(|| panic!("not a time: {text}")))
}

/// A value in the form in which it is compared: times in nanoseconds, addresses as they are written
/// most shortly, endpoints sorted.
fn canonical(session: &Value, field: &str, with_counts: bool) -> Value {
    let value = session.get(field).unwrap_or(&Value::Null);
    match (field, value) {
        // To the millisecond, which is all that a line tells.
        ("created" | "ended", _) => json!(time_ns(value).map(|ns| ns / 1_000_000 * 1_000_000)),
        ("ue_ipv4" | "ue_ipv6", Value::String(text)) => {
            let (address, length) = text.split_once('/').unwrap_or((text, ""));
            address.parse::<IpAddr>().map_or(value.clone(), |address| json!(format!("{address}/{length}")))
        }
        ("fteids", Value::Array(endpoints)) => {
            let line = |endpoint: &Value| {
                let interface = endpoint["interface"].as_str().unwrap_or("?");
                let ip = endpoint["ip"].as_str().unwrap_or("?");
                let ip = ip.parse::<IpAddr>().map_or(ip.to_owned(), |ip| ip.to_string());
                let mut line = format!("{interface} {ip} {}", endpoint["teid"]);
                if with_counts {
                    write!(line, ", {} packets, {} bytes", endpoint["packets"], endpoint["bytes"]).unwrap();
                }
                line
            };
            let mut lines: Vec<_> = endpoints.iter().map(line).collect();
            lines.sort();
            json!(lines)
        }
        _ => value.clone(),
    }
}

type Canonical = BTreeMap<String, Value>;

/// What to compare of sessions.
#[derive(Clone, Copy, Debug)]
pub struct Compare<'a> {
    /// The fields.
    pub fields: &'a [&'a str],
    /// Whether endpoints have the same packets and bytes too.
    pub with_counts: bool,
}

impl Compare<'_> {
    fn canonical(self, session: &Value) -> Canonical {
        let value = |field: &&str| ((*field).to_owned(), canonical(session, field, self.with_counts));
        self.fields.iter().map(value).collect()
    }

    /// What differs between two lists of sessions, in no order, as a text; `None` where they are the same.
    pub fn difference(self, expected: &[Value], found: &[Value]) -> Option<String> {
        let mut unmatched: HashMap<String, (Canonical, usize)> = HashMap::new();
        for session in found {
            let session = self.canonical(session);
            let text = serde_json::to_string(&session).unwrap();
            unmatched.entry(text).or_insert((session, 0)).1 += 1;
        }
        let mut missing = Vec::new();
        for session in expected {
            let session = self.canonical(session);
            let text = serde_json::to_string(&session).unwrap();
            match unmatched.get_mut(&text) {
                Some((_, count)) if *count > 0 => *count -= 1,
                _ => missing.push(session),
            }
        }
        let mut extra: Vec<_> = unmatched.into_values().filter(|(_, count)| *count > 0).collect();
        extra.sort_by_key(|(session, _)| session.get("created").and_then(Value::as_u64));
        if missing.is_empty() && extra.is_empty() {
            return None;
        }
        let mut text = format!(
            "{} sessions expected, {} found; {} expected ones are not as they should be\n",
            expected.len(),
            found.len(),
            missing.len()
        );
        match missing.first() {
            None => describe(&mut text, "not expected", &extra[0].0),
            Some(first) => {
                let alike = |other: &Canonical| {
                    first.iter().map(|(field, value)| nearness(field, value, &other[field])).sum::<usize>()
                };
                match extra.iter().map(|(session, _)| session).max_by_key(|session| alike(session)) {
                    Some(nearest) if alike(nearest) > 0 => differ(&mut text, first, nearest),
                    _ => describe(&mut text, "not found", first),
                }
            }
        }
        Some(text)
    }

    /// Asserts that two lists have the same sessions.
    #[track_caller]
    pub fn assert_same(self, expected: &[Value], found: &[Value], what: &str) {
        if let Some(difference) = self.difference(expected, found) {
            panic!("{what}: {difference}");
        }
    }
}

/// How much a value speaks for two sessions being meant as one.
fn nearness(field: &str, one: &Value, other: &Value) -> usize {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            3 * one.iter().filter(|endpoint| other.contains(endpoint)).count()
        }
        (Value::Null, _) | (_, Value::Null) => 0,
        _ if one != other => 0,
        _ => match field {
            "imsi" | "created" | "ue_ipv4" | "ue_ipv6" => 4,
            "state" | "rat" | "mcc" | "mnc" | "tac" => 0,
            _ => 1,
        },
    }
}

fn describe(text: &mut String, how: &str, session: &Canonical) {
    writeln!(text, "{how}:").unwrap();
    for (field, value) in session {
        match value {
            Value::Array(lines) => lines.iter().for_each(|line| writeln!(text, "  {field}: {line}").unwrap()),
            _ => writeln!(text, "  {field}: {value}").unwrap(),
        }
    }
}

/// Field by field, `-` what was expected and `+` what was found.
fn differ(text: &mut String, expected: &Canonical, found: &Canonical) {
    let none = &Value::Null;
    let value = |field: &str| expected.get(field).unwrap_or(none);
    writeln!(
        text,
        "first: imsi {}, ue {} {}, created {}",
        value("imsi"),
        value("ue_ipv4"),
        value("ue_ipv6"),
        value("created")
    )
    .unwrap();
    for (field, wanted) in expected {
        let got = &found[field];
        if wanted == got {
            continue;
        }
        if let (Value::Array(wanted), Value::Array(got)) = (wanted, got) {
            for line in wanted.iter().filter(|line| !got.contains(line)) {
                writeln!(text, "- {field}: {line}").unwrap();
            }
            for line in got.iter().filter(|line| !wanted.contains(line)) {
                writeln!(text, "+ {field}: {line}").unwrap();
            }
            continue;
        }
        writeln!(text, "- {field}: {wanted}\n+ {field}: {got}").unwrap();
    }
}

/// A user's packet: the number of its frame, whose it is, where it went.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    pub frame: usize,
    pub session: usize,
    pub probe: usize,
}

/// Where the packets of sessions went.
#[derive(Debug, Default)]
pub struct Placements {
    pub packets: Vec<Placed>,
    /// Of each session: packets at each probe.
    counts: HashMap<usize, BTreeMap<usize, usize>>,
}

impl Placements {
    pub fn add(&mut self, packet: Placed) {
        *self.counts.entry(packet.session).or_default().entry(packet.probe).or_default() += 1;
        self.packets.push(packet);
    }

    /// The probe that got most of a session, the first of several; `None` for one without packets.
    pub fn home(&self, session: usize) -> Option<usize> {
        let counts = self.counts.get(&session)?;
        counts.iter().max_by_key(|&(&probe, &count)| (count, usize::MAX - probe)).map(|(&probe, _)| probe)
    }

    /// The packets that are not where most of their session is.
    pub fn astray(&self) -> impl Iterator<Item = Placed> {
        self.packets.iter().copied().filter(|packet| self.home(packet.session) != Some(packet.probe))
    }
}

/// The first 64 bits of an IPv6 address, all of an IPv4 one: what a session has of it.
pub fn of_user(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) >> 64 << 64)),
    }
}

/// The addresses of a session's user, prefixes by their first address.
pub fn users(session: &Value) -> impl Iterator<Item = IpAddr> + '_ {
    let texts = [&session["ue_ipv4"], &session["ue_ipv6"]].into_iter().filter_map(Value::as_str);
    texts.map(|text| text.split('/').next().unwrap_or_default().parse().unwrap())
}

/// What `snipe gen` knows: its sessions, and the session of each frame.
pub fn read_truth(path: &Path) -> (Vec<Value>, Vec<Option<usize>>) {
    let mut truth: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let Value::Array(sessions) = truth["sessions"].take() else { panic!("no sessions") };
    let owners = truth["packets"].as_array().unwrap();
    let owners: Vec<_> = owners.iter().map(|owner| owner.as_u64().map(|owner| owner as usize)).collect();
    assert!(owners.iter().flatten().all(|&owner| owner < sessions.len()));
    (sessions, owners)
}
