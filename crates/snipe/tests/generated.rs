//! Generated traffic, of which everything is known, through `snipe replay`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::{HashMap, HashSet};
use std::io::{BufWriter, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use common::pins::Pins;
use common::{
    Record, closes, deliveries, difference, files, files_match_accounts, number, read_capture, snipe,
    whereabouts, write_pcap,
};
use serde_json::Value;
use testkit::{GroundTruth, Options, write_capture};

/// The inner addresses in no order, and where a fragment belongs, read in the plainest way from the
/// few shapes that the generator makes.
#[derive(Debug, Default)]
struct Read {
    pair: Option<[IpAddr; 2]>,
    receiver: Option<IpAddr>,
    teid: u32,
    /// It has a PDU session container, which says which of the addresses is the user's.
    tells_direction: bool,
    /// Outer addresses and identification, for a fragment of the outer packet.
    datagram: Option<(IpAddr, IpAddr, u32)>,
    later: bool,
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn addresses(packet: &[u8]) -> (IpAddr, IpAddr) {
    if packet[0] >> 4 == 4 {
        let at = |at: usize| IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(&packet[at..at + 4]).unwrap()));
        (at(12), at(16))
    } else {
        let at = |at: usize| IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(&packet[at..at + 16]).unwrap()));
        (at(8), at(24))
    }
}

fn read(frame: &[u8]) -> Read {
    let mut at = 14;
    let mut kind = u16_at(frame, 12);
    if kind == 0x8100 {
        (at, kind) = (18, u16_at(frame, 16));
    }
    let ip = &frame[at..];
    let mut read = Read::default();
    let (protocol, payload) = match kind {
        0x0800 => {
            let fragment = u16_at(ip, 6);
            if fragment & 0x3fff != 0 {
                let (source, destination) = addresses(ip);
                read.datagram = Some((source, destination, u32::from(u16_at(ip, 4))));
            }
            read.later = fragment & 0x1fff != 0;
            (ip[9], &ip[20..])
        }
        0x86dd if ip[6] == 44 => {
            let (source, destination) = addresses(ip);
            let id = u32::from_be_bytes(ip[44..48].try_into().unwrap());
            read.datagram = Some((source, destination, id));
            read.later = u16_at(ip, 42) & 0xfff8 != 0;
            (ip[40], &ip[48..])
        }
        0x86dd => (ip[6], &ip[40..]),
        _ => return read,
    };
    let is_t_pdu = protocol == 17
        && !read.later
        && u16_at(payload, 2) == 2152
        && payload[8] >> 4 == 3
        && payload[9] == 255;
    if is_t_pdu {
        read.teid = u32::from_be_bytes(payload[12..16].try_into().unwrap());
        read.receiver = Some(addresses(ip).1);
        let mut inner = 16;
        if payload[8] & 7 != 0 {
            let mut next = payload[19];
            inner = 20;
            while next != 0 {
                read.tells_direction |= next == 0x85;
                let length = usize::from(payload[inner]) * 4;
                next = payload[inner + length - 1];
                inner += length;
            }
        }
        let (a, b) = addresses(&payload[inner..]);
        read.pair = Some(if a < b { [a, b] } else { [b, a] });
    }
    read
}

fn generate(path: &Path, options: Options) -> GroundTruth {
    let mut out = BufWriter::new(std::fs::File::create(path).unwrap());
    let truth = write_capture(options, &mut out).unwrap();
    out.flush().unwrap();
    truth
}

fn replay(capture: &Path, out: &Path, more: &[&str]) -> Value {
    let args = ["replay".as_ref(), "--json".as_ref(), "--out".as_ref(), out.as_os_str(), capture.as_os_str()];
    let stdout = snipe(args.into_iter().chain(more.iter().map(AsRef::as_ref))).ok();
    serde_json::from_str(&stdout).unwrap()
}

#[test]
fn ten_thousand_users_on_eight_probes() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("users.pcap");
    let truth = generate(
        &capture,
        Options {
            subscribers: 14_000,
            seconds: 4.0,
            pps: 80_000,
            fragments: 0.02,
            signalling: false,
            ..Options::default()
        },
    );
    // Some subscribers keep silent.
    assert!(truth.sessions.len() > 10_000, "{} users have packets", truth.sessions.len());
    let out = folder.path().join("out");
    let stats = replay(&capture, &out, &["--probes", "8", "--workers", "2"]);
    closes(&stats, "10,000 users");
    assert_eq!(number(&stats, &["delivered"]), truth.packets().len() as u64);

    let input = read_capture(&capture).records;
    let probes = deliveries(&out);
    files_match_accounts(&stats, &probes, "10,000 users");
    let places = whereabouts(&input, &probes, "10,000 users");

    // Nothing tells whose a tunnel is but its packets, so a session with two addresses is two.
    let mut at_probe: HashMap<(u32, bool), Vec<usize>> = HashMap::new();
    let pins = Pins::new(8);
    let mut tunnels: HashMap<(IpAddr, u32), Tunnel> = HashMap::new();
    let (mut by_user, mut by_pair) = (0_u32, 0_u32);
    // Each direction of a tunnel has a TEID of its own.
    let mut teids: HashMap<[IpAddr; 2], HashSet<u32>> = HashMap::new();
    let mut firsts: HashMap<_, &[usize]> = HashMap::new();
    let (mut later_fragments, mut in_a_session) = (0, 0);
    for ((record, at), session) in input.iter().zip(&places).zip(truth.packets()) {
        let what = read(&record.bytes);
        if let Some(number) = session {
            let session = &truth.sessions[number as usize];
            in_a_session += 1;
            assert_eq!(at.len(), 1, "a user's packet is at one probe");
            if let Some([a, b]) = what.pair {
                // What the generator meant is what this test has read.
                let is_user = |address| match address {
                    IpAddr::V4(address) => session.ue_ipv4 == Some(address),
                    // A user asks for its prefix from a link-local address.
                    IpAddr::V6(address) => session.ue_ipv6.is_some_and(|prefix| {
                        u128::from(prefix) >> 64 == u128::from(address) >> 64
                            || u128::from(address) >> 118 == 0x3fa
                    }),
                };
                assert!(is_user(a) || is_user(b), "{a} {b} {session:?}");
                if ![a, b].iter().any(is_link_local) {
                    let home = pins.of_user(if is_user(a) { a } else { b });
                    at_probe.entry((number, a.is_ipv4())).or_default().push(at[0]);
                    let tunnel = tunnels.entry((what.receiver.unwrap(), what.teid)).or_default();
                    if tunnel.is_clear(&what, [a, b]) {
                        assert_eq!(at[0], home, "{a} {b}: the user's, and nowhere else from then on");
                    } else {
                        // The other way may have made it clear.
                        assert!(at[0] == home || at[0] == pins.of_pair([a, b]), "{a} {b}: the pair's");
                    }
                    *if at[0] == home { &mut by_user } else { &mut by_pair } += 1;
                }
            } else {
                assert!(what.later, "a T-PDU, or a later fragment of one");
            }
        }
        if let Some(pair) = what.pair {
            teids.entry(pair).or_default().insert(what.teid);
        }
        if let Some(datagram) = what.datagram {
            if what.later {
                later_fragments += 1;
                assert_eq!(firsts.get(&datagram), Some(&at.as_slice()), "a fragment follows its first");
            } else {
                firsts.insert(datagram, at);
            }
        }
    }
    assert!(in_a_session > 250_000 && later_fragments > 500, "{in_a_session} {later_fragments}");
    let both = teids.values().filter(|seen| seen.len() == 2).count();
    assert!(both > 5_000, "{both} pairs were seen in both directions");

    // How many are by then is the generator's: of a user with one peer it never gets clear without signalling.
    let share = f64::from(by_user) / f64::from(by_user + by_pair);
    println!("{by_user} packets with their user, {by_pair} by their pair, {share}");
    assert!(share > 0.55, "{by_user} with their user, {by_pair} by their pair");
    // Most packets are where the last one was.
    let mut users = [0_u32; 8];
    let (mut packets, mut astray) = (0, 0);
    for at in at_probe.values() {
        let last = *at.last().unwrap();
        users[last] += 1;
        packets += at.len();
        astray += at.iter().filter(|&&probe| probe != last).count();
    }
    println!("{astray} of {packets} packets not where their user's last one is");
    assert!(astray * 5 < packets, "{astray} of {packets} packets");
    let mean = f64::from(users.iter().sum::<u32>()) / 8.0;
    let most = f64::from(*users.iter().max().unwrap());
    assert!(mean > 1_000.0 && most <= 1.1 * mean, "{users:?}");
}

/// A tunnel that nobody told of, as its packets show it.
#[derive(Default)]
struct Tunnel {
    first: Option<[IpAddr; 2]>,
    clear: bool,
}

impl Tunnel {
    /// Whether it is clear with this packet whose it is: by the container, or because the packets have one
    /// address in common and two peers.
    fn is_clear(&mut self, what: &Read, pair: [IpAddr; 2]) -> bool {
        let first = *self.first.get_or_insert(pair);
        let common = first.iter().filter(|address| pair.contains(address)).count();
        self.clear |= what.tells_direction || common == 1;
        self.clear
    }
}

fn is_link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if u128::from(*address) >> 118 == 0x3fa)
}

#[test]
fn the_command_says_what_it_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("core.pcap");
    let args = ["gen", "--json", "--subscribers", "30", "--seconds", "2", "--loss", "0.1", "-o"];
    let args = args.map(AsRef::as_ref).into_iter().chain([capture.as_os_str()]);
    let said: Value = serde_json::from_str(&snipe(args).ok()).unwrap();
    let truth = std::fs::read(capture.with_extension("json")).unwrap();
    let truth: Value = serde_json::from_slice(&truth).unwrap();
    let (sessions, packets) = (truth["sessions"].as_array().unwrap(), truth["packets"].as_array().unwrap());
    assert_eq!(packets.len(), read_capture(&capture).records.len());
    let deleted = sessions.iter().filter(|session| session["state"] == "deleted").count() as u64;
    assert_eq!(number(&said, &["packets"]), packets.len() as u64);
    let users = packets.iter().filter(|session| !session.is_null()).count();
    assert_eq!(number(&said, &["user_packets"]), users as u64);
    assert_eq!(number(&said, &["sessions"]), sessions.len() as u64);
    assert_eq!(number(&said, &["deleted"]), deleted);
    assert_eq!(number(&said, &["active"]), sessions.len() as u64 - deleted);
    assert!(packets.len() < 2_000, "some messages were lost");
}

#[test]
fn a_tag_in_front_or_another_number_of_workers_moves_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("plain.pcap");
    generate(
        &capture,
        Options {
            subscribers: 500,
            seconds: 1.0,
            pps: 10_000,
            fragments: 0.1,
            other: 0.05,
            ..Options::default()
        },
    );
    let input = read_capture(&capture).records;
    let run = |capture: &Path, name: &str, workers: &str| {
        let out = folder.path().join(name);
        let stats = replay(capture, &out, &["--probes", "5", "--workers", workers]);
        closes(&stats, name);
        (stats, out)
    };
    let (stats, out) = run(&capture, "plain", "1");
    let places = whereabouts(&input, &deliveries(&out), "plain");

    let tagged: Vec<Record> = input
        .iter()
        .map(|record| Record {
            bytes: [&record.bytes[..12], &[0x81, 0x00, 0x00, 0x64], &record.bytes[12..]].concat(),
            wire_bytes: record.wire_bytes + 4,
            ..*record
        })
        .collect();
    let path = folder.path().join("tagged.pcap");
    write_pcap(&path, 1, true, &tagged);
    let (tagged_stats, tagged_out) = run(&path, "tagged", "1");
    assert!(places == whereabouts(&tagged, &deliveries(&tagged_out), "tagged"));
    assert_eq!(stats["rx"]["by_class"], tagged_stats["rx"]["by_class"]);

    for workers in ["2", "3", "16"] {
        let (_, other) = run(&capture, &format!("workers-{workers}"), workers);
        assert_eq!(difference(&files(&out), &files(&other)), Vec::<String>::new());
    }
}

#[test]
fn pieces_of_a_capture_compressed_or_not_are_the_capture() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("whole.pcap");
    generate(&capture, Options { subscribers: 50, seconds: 1.0, pps: 3_000, ..Options::default() });
    let input = read_capture(&capture).records;
    let piece = |name: &str| folder.path().join(name);
    let (first, others) = input.split_at(1_000);
    let (second, third) = others.split_at(1_000);
    write_pcap(&piece("1.pcap"), 1, true, first);
    write_pcap(&piece("2"), 1, true, second);
    write_pcap(&piece("3"), 1, false, third);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&std::fs::read(piece("2")).unwrap()).unwrap();
    std::fs::write(piece("2.pcap.gz"), gzip.finish().unwrap()).unwrap();
    let zstd = zstd::encode_all(&*std::fs::read(piece("3")).unwrap(), 1).unwrap();
    std::fs::write(piece("3.pcap.zst"), zstd).unwrap();

    let whole = replay(&capture, &piece("one"), &["--probes", "3"]);
    let args = ["replay", "--json", "--probes=3", "--out"].map(Into::into);
    let captures = ["pieces", "3.pcap.zst", "1.pcap", "2.pcap.gz"].map(|name| piece(name).into_os_string());
    let pieces = snipe(args.into_iter().chain(captures)).ok();
    assert_eq!(whole, serde_json::from_str::<Value>(&pieces).unwrap());
    assert_eq!(difference(&files(&piece("one")), &files(&piece("pieces"))), Vec::<String>::new());
}

#[test]
fn captures_of_different_links_are_written_as_ethernet() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("ethernet.pcap");
    generate(&capture, Options { subscribers: 20, seconds: 1.0, pps: 500, other: 0.0, ..Options::default() });
    let input = read_capture(&capture).records;
    // The same packets after them, without their link layer.
    let raw: Vec<Record> = input
        .iter()
        .map(|record| Record {
            time_ns: record.time_ns + 1_000_000_000,
            wire_bytes: record.wire_bytes - 14,
            bytes: record.bytes[14..].to_vec(),
        })
        .collect();
    let path = folder.path().join("raw.pcap");
    write_pcap(&path, 101, true, &raw);
    let out = folder.path().join("out");
    let args = [
        "replay".as_ref(),
        "--json".as_ref(),
        "--out".as_ref(),
        out.as_os_str(),
        capture.as_os_str(),
        path.as_os_str(),
    ];
    let stats: Value = serde_json::from_str(&snipe(args).ok()).unwrap();
    closes(&stats, "two links");
    let probe = read_capture(&out.join("probe-1.pcap"));
    assert_eq!((probe.links, probe.records.len()), (vec![1], 2 * input.len()));
    for (record, written) in input.iter().zip(&probe.records[input.len()..]) {
        assert_eq!((written.bytes.len(), written.wire_bytes), (record.bytes.len(), record.wire_bytes));
        assert_eq!(written.bytes[12..], record.bytes[12..], "the EtherType is found again");
    }
    assert_eq!(probe.records[..input.len()], input);
}
