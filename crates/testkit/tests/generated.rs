//! What the generator says of its captures is what an independent reading of the frames says.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod read;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use read::{
    Content, Frame, accepts, addresses, all, be16, be32, digits, first, ip, ip_length, is_fragment, read,
};
use testkit::{Generator, GroundTruth, Options, OptionsError, Session, write_capture};

const MS: u64 = 1_000_000;

/// A few hundred subscribers and a lot of everything.
fn busy() -> Options {
    Options {
        subscribers: 400,
        seconds: 4.0,
        pps: 30_000,
        ipv6: 0.5,
        transport_ipv6: 0.2,
        fragments: 0.05,
        inner_fragments: 0.02,
        ..Options::default()
    }
}

fn is_uplink(interface: &str) -> bool {
    matches!(interface, "S1-U SGW GTP-U" | "S5/S8 PGW GTP-U" | "Gn GGSN GTP-U" | "N3 UPF")
}

fn is_user_plane(interface: &str) -> bool {
    interface.ends_with("GTP-U") || interface.starts_with("N3 ")
}

#[test]
fn options_are_checked() {
    let wrong = |change: fn(&mut Options)| {
        let mut options = Options::default();
        change(&mut options);
        Generator::new(options).unwrap_err()
    };
    assert_eq!(wrong(|options| options.subscribers = 0), OptionsError::Subscribers(0));
    assert_eq!(wrong(|options| options.pps = 0), OptionsError::Pps(0));
    assert_eq!(wrong(|options| options.vlan = Some(4_095)), OptionsError::Vlan(4_095));
    assert_eq!(wrong(|options| options.seconds = -1.0), OptionsError::Seconds(-1.0));
    assert!(matches!(wrong(|options| options.seconds = f64::NAN), OptionsError::Seconds(_)));
    assert!(matches!(wrong(|options| options.ipv6 = f64::NAN), OptionsError::Share("ipv6", _)));
    assert_eq!(wrong(|options| options.loss = 1.5), OptionsError::Share("loss", 1.5));
    assert_eq!(
        wrong(|options| (options.nr, options.umts) = (0.75, 0.5)),
        OptionsError::Shares("nr", "umts", 1.25)
    );
    let error = write_capture(Options { other: 1.5, ..Options::default() }, &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "other: 1.5 is not a share between 0 and 1");
}

#[test]
fn the_same_options_give_the_same_capture() {
    let options = Options { subscribers: 50, seconds: 0.3, loss: 0.05, dup: 0.05, reorder: 0.05, ..busy() };
    let (mut one, mut two, mut three) = (Vec::new(), Vec::new(), Vec::new());
    let truth = write_capture(options.clone(), &mut one).unwrap();
    assert_eq!(truth, write_capture(options.clone(), &mut two).unwrap());
    write_capture(Options { seed: 2, ..options }, &mut three).unwrap();
    assert!(one == two && one != three);
}

#[test]
fn times_are_whole_microseconds_in_order_and_as_fast_as_asked() {
    for signalling in [true, false] {
        let options = Options { pps: 3_000_000, seconds: 0.01, signalling, ..Options::default() };
        let (frames, _) = all(options.clone());
        assert_eq!(frames.len(), 30_000);
        assert!(frames.iter().all(|frame| frame.time_ns % 1_000 == 0));
        assert!(frames.windows(2).all(|pair| pair[0].time_ns <= pair[1].time_ns));
        let last = frames.last().unwrap().time_ns - options.start_ns;
        assert!((9_980_000..10_000_000).contains(&last), "{last}");
    }
}

#[test]
fn sizes_and_directions_are_those_of_a_mobile_network() {
    let (frames, truth) = all(Options { subscribers: 200, seconds: 5.0, ..Options::default() });
    let sizes: Vec<_> = frames.iter().filter(|f| f.session.is_some()).map(|f| f.bytes.len()).collect();
    let mean = sizes.iter().sum::<usize>() / sizes.len();
    assert!((750..900).contains(&mean), "mean {mean}");
    let share = |range: std::ops::Range<usize>| {
        sizes.iter().filter(|size| range.contains(size)).count() * 100 / sizes.len()
    };
    assert!(share(60..200) >= 25, "{}", share(60..200));
    assert!(share(1_300..1_519) >= 40, "{}", share(1_300..1_519));
    assert!(sizes.iter().all(|&size| size <= 14 + 1_500));
    let up: u64 = truth.sessions.iter().map(|session| session.packets_ul).sum();
    let down: u64 = truth.sessions.iter().map(|session| session.packets_dl).sum();
    assert!(up * 4 > down && down > up, "{up} up, {down} down");
}

/// What the user plane of a capture holds, as read: T-PDUs and bytes by session and endpoint.
fn user_plane(frames: &[Frame], truth: &GroundTruth) -> HashMap<(u32, IpAddr, u32), (u64, u64)> {
    let mut found: HashMap<_, (u64, u64)> = HashMap::new();
    let (mut outer_later, mut inner_pieces, mut markers) = (0, 0, 0);
    for frame in frames {
        let content = read(&frame.bytes);
        let Some(session) = frame.session else {
            if let Some(read) = content {
                assert!(!matches!(read.content, Content::Later | Content::Gtpu { kind: 254 | 255, .. }));
            }
            continue;
        };
        let told = &truth.sessions[session as usize];
        let content = content.unwrap();
        match content.content {
            Content::Gtpu { kind: 255, teid, inner } => {
                let sum = found.entry((session, content.destination, teid)).or_default();
                sum.0 += 1;
                sum.1 += ip_length(inner);
                inner_pieces += u32::from(is_fragment(inner));
                let (source, destination) = addresses(inner);
                let is_ue = |address| match address {
                    IpAddr::V4(address) => told.ue_ipv4 == Some(address),
                    // It asks for its prefix from a link-local address.
                    IpAddr::V6(address) => told.ue_ipv6.is_some_and(|prefix| {
                        u128::from(prefix) >> 64 == u128::from(address) >> 64
                            || u128::from(address) >> 118 == 0x3fa
                    }),
                };
                assert!(is_ue(source) || is_ue(destination), "{source} {destination} {told:?}");
            }
            Content::Gtpu { kind: 254, inner: [], .. } => markers += 1,
            Content::Later => outer_later += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(outer_later > 50 && inner_pieces > 50, "{outer_later} {inner_pieces}");
    assert!(markers > 50 || truth.sessions[0].imsi.is_none(), "{markers}");
    found
}

fn sums_match(truth: &GroundTruth, mut found: HashMap<(u32, IpAddr, u32), (u64, u64)>) {
    for (index, session) in truth.sessions.iter().enumerate() {
        let (mut up, mut down) = ((0, 0), (0, 0));
        for fteid in &session.fteids {
            let told = (fteid.packets, fteid.bytes);
            if !is_user_plane(fteid.interface) {
                assert_eq!(told, (0, 0));
                continue;
            }
            let read = found.remove(&(index as u32, fteid.ip, fteid.teid as u32)).unwrap_or_default();
            assert_eq!(told, read, "{fteid:?}");
            let sum = if is_uplink(fteid.interface) { &mut up } else { &mut down };
            (sum.0, sum.1) = (sum.0 + fteid.packets, sum.1 + fteid.bytes);
        }
        assert_eq!(
            (up, down),
            ((session.packets_ul, session.bytes_ul), (session.packets_dl, session.bytes_dl))
        );
        let keys: Vec<_> = session.fteids.iter().map(|f| (f.interface, f.ip, f.teid)).collect();
        assert!(keys.is_sorted() && keys.windows(2).all(|pair| pair[0] != pair[1]));
    }
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn the_truth_of_the_user_plane_is_what_the_frames_say() {
    let (frames, truth) = all(busy());
    assert!(truth.packets().eq(frames.iter().map(|frame| frame.session)));
    sums_match(&truth, user_plane(&frames, &truth));
    assert!(truth.sessions.windows(2).all(|pair| pair[0].created_ns <= pair[1].created_ns + 12 * MS));
    let users = frames.iter().filter(|frame| frame.session.is_some()).count();
    assert!(users * 100 > frames.len() * 60, "{users} of {}", frames.len());
}

#[test]
fn without_signalling_only_the_user_plane_is_there() {
    let (frames, truth) = all(Options { signalling: false, subscribers: 100, ..busy() });
    assert_eq!(truth.sessions.len(), 100);
    sums_match(&truth, user_plane(&frames, &truth));
    for (index, session) in truth.sessions.iter().enumerate() {
        assert_eq!((session.fteids.len(), session.state, session.ended_ns), (2, "active", None));
        assert_eq!((&session.imsi, &session.apn, &session.rat), (&None, &None, &None));
        let first = frames.iter().find(|frame| frame.session == Some(index as u32)).unwrap();
        assert_eq!(session.created_ns, first.time_ns);
    }
    for frame in &frames {
        if let Some(read::Read { content: Content::Gtpc { kind, .. } | Content::Pfcp { kind, .. }, .. }) =
            read(&frame.bytes)
        {
            assert!(matches!(kind, 1 | 2), "echo and heartbeat alone");
        }
    }
}

#[test]
fn every_class_occurs() {
    let (frames, _) = all(Options { seconds: 1.0, other: 0.1, ..Options::default() });
    let (mut kinds, mut others) = (HashSet::new(), HashSet::new());
    for frame in &frames {
        match read(&frame.bytes).map(|read| read.content) {
            None => kinds.insert(format!("{:#06x}", be16(&frame.bytes, 12))),
            Some(Content::Gtpu { .. }) => kinds.insert("gtp_u".to_owned()),
            Some(Content::Gtpc { version, .. }) => kinds.insert(format!("gtp_c {version}")),
            Some(Content::Pfcp { .. }) => kinds.insert("pfcp".to_owned()),
            Some(Content::Udp(port)) => kinds.insert(format!("udp {port}")),
            Some(Content::Other(kind, protocol)) => others.insert((kind, protocol)),
            Some(Content::Later) => false,
        };
    }
    for kind in ["0x0806", "gtp_u", "gtp_c 1", "gtp_c 2", "pfcp", "udp 3386", "udp 53"] {
        assert!(kinds.contains(kind), "{kind} {kinds:?}");
    }
    assert_eq!(others, HashSet::from([(0x0800, 6), (0x0800, 132)]));
}

#[test]
fn a_vlan_changes_nothing_but_the_tag() {
    let options = Options { subscribers: 20, seconds: 0.5, other: 0.05, ..Options::default() };
    let (plain, truth) = all(options.clone());
    let (tagged, same) = all(Options { vlan: Some(7), ..options });
    assert_eq!(truth, same);
    for (plain, tagged) in plain.iter().zip(&tagged) {
        let (plain, tagged) = (&plain.bytes, &tagged.bytes);
        assert_eq!(tagged[12..16], [0x81, 0, 0, 7]);
        // Padding of the shortest frames apart.
        let length = plain.len().min(tagged.len() - 4);
        assert_eq!(tagged[16..4 + length], plain[12..length]);
    }
}

#[test]
fn every_procedure_occurs() {
    let (frames, truth) = all(busy());
    let mut gtpc: HashMap<(u8, u8), u32> = HashMap::new();
    let mut pfcp: HashMap<u8, u32> = HashMap::new();
    let (mut causes, mut repeated, mut seen) = (HashMap::new(), 0, HashSet::new());
    for frame in &frames {
        match read(&frame.bytes).map(|read| read.content) {
            Some(Content::Gtpc { version, kind, elements, sequence, .. }) => {
                *gtpc.entry((version, kind)).or_default() += 1;
                let accepted = accepts(version, &elements);
                if matches!((version, kind), (2, 33) | (1, 17)) {
                    *causes.entry((version, accepted)).or_insert(0) += 1;
                }
                repeated += u32::from(kind > 2 && !seen.insert(frame.bytes.clone()));
                assert!(sequence > 0);
            }
            Some(Content::Pfcp { kind, elements, .. }) => {
                *pfcp.entry(kind).or_default() += 1;
                if kind == 51 {
                    *causes.entry((3, first(&elements, 19).unwrap() == [1])).or_insert(0) += 1;
                }
            }
            _ => {}
        }
    }
    // Create Session, Modify Bearer, Delete Session, Change Notification, Create and Delete Bearer,
    // Release Access Bearers, Downlink Data Notification, Modify Access Bearers.
    for kind in [32, 34, 36, 38, 95, 99, 170, 176, 211] {
        let (asked, answered) = (gtpc[&(2, kind)], gtpc[&(2, kind + 1)]);
        assert!(asked >= 4 && answered >= 4 && asked.abs_diff(answered) <= 12, "{kind}: {asked} {answered}");
    }
    for kind in [16, 18, 20] {
        assert!(gtpc[&(1, kind)] >= 4 && gtpc[&(1, kind + 1)] >= 4, "{kind}: {gtpc:?}");
    }
    for kind in [1, 2, 5, 6, 50, 51, 52, 53, 54, 55, 56, 57] {
        assert!(pfcp[&kind] >= 4, "{kind}: {pfcp:?}");
    }
    assert!(causes[&(2, false)] >= 1 && repeated >= 4, "{causes:?} {repeated}");
    let count = |is: fn(&Session) -> bool| truth.sessions.iter().filter(|session| is(session)).count();
    assert!(count(|s| s.apn == Some("ims")) > 40);
    assert!(count(|s| s.ue_ipv4.is_some() && s.ue_ipv6.is_some()) > 40);
    assert!(count(|s| s.state == "deleted") > 60);
    assert!(count(|s| s.rat == Some("GERAN")) > 4);
    assert!(count(|s| s.rat.is_none() && s.imsi.is_some()) > 4, "5G with a User ID");
    assert!(count(|s| s.rat.is_none() && s.imsi.is_none()) > 20, "5G without");
    let several = |interface: &str| {
        truth.sessions.iter().any(|s| s.fteids.iter().filter(|f| f.interface == interface).count() > 1)
    };
    for interface in ["S1-U eNodeB GTP-U", "S1-U SGW GTP-U", "S11/S4 SGW GTP-C", "S5/S8 SGW GTP-C"] {
        assert!(several(interface), "{interface}");
    }
    for interface in ["S5/S8 PGW GTP-U", "Gn SGSN GTP-C", "Gn SGSN GTP-U", "Gn GGSN GTP-U", "N3 gNB"] {
        assert!(several(interface), "{interface}");
    }
    // One subscriber comes back.
    let mut imsis = HashSet::new();
    let back = truth.sessions.iter().filter(|s| s.apn != Some("ims")).filter_map(|s| s.imsi);
    assert!(back.filter(|imsi| !imsis.insert(*imsi)).count() > 10);
}

#[test]
fn a_tunnel_is_used_only_while_it_is_there_and_then_by_others() {
    let (frames, truth) = all(Options { seconds: 6.0, ..busy() });
    // Who used an endpoint last, and when.
    let mut last: HashMap<(IpAddr, u32), (u32, u64)> = HashMap::new();
    let (mut reused, mut early) = (0, 0);
    for frame in &frames {
        let (Some(session), Some(read)) = (frame.session, read(&frame.bytes)) else { continue };
        let told = &truth.sessions[session as usize];
        assert!(frame.time_ns + 12 * MS >= told.created_ns, "{told:?}");
        assert!(told.ended_ns.is_none_or(|ended| frame.time_ns + 30 * MS < ended), "{told:?}");
        early += u32::from(frame.time_ns < told.created_ns);
        let Content::Gtpu { teid, kind, .. } = read.content else { continue };
        let is_held = |f: &testkit::FTeid| {
            (f.ip, f.teid) == (read.destination, teid.into()) && is_user_plane(f.interface)
        };
        assert!(told.fteids.iter().any(is_held), "{kind} {} {teid} {told:?}", read.destination);
        if let Some((before, at)) = last.insert((read.destination, teid), (session, frame.time_ns)) {
            if before != session {
                reused += 1;
                assert!(frame.time_ns - at >= 50 * MS, "{} after {at}", frame.time_ns);
            }
        }
    }
    assert!(reused > 100 && early > 4, "{reused} reused, {early} early");
    // Nothing comes to an endpoint behind its End Marker, until it is handed out again.
    let mut marked: HashMap<(IpAddr, u32), u64> = HashMap::new();
    let mut markers = 0;
    for frame in &frames {
        let Some(read) = read(&frame.bytes) else { continue };
        match read.content {
            Content::Gtpu { kind: 254, teid, .. } => {
                markers += 1;
                marked.insert((read.destination, teid), frame.time_ns);
            }
            Content::Gtpu { kind: 255, teid, .. } => {
                let at = marked.get(&(read.destination, teid));
                assert!(at.is_none_or(|at| frame.time_ns - at > 50 * MS), "{}", frame.time_ns);
            }
            _ => {}
        }
    }
    assert!(markers > 100, "{markers}");
    // Addresses of subscribers come back too.
    let mut by_address: HashMap<_, Vec<&Session>> = HashMap::new();
    for session in &truth.sessions {
        if let Some(address) = session.ue_ipv4 {
            by_address.entry(address).or_default().push(session);
        }
    }
    let again: Vec<_> = by_address.values().filter(|sessions| sessions.len() > 1).collect();
    assert!(again.len() > 10, "{}", again.len());
    for sessions in again {
        let in_turn = |pair: &[&Session]| pair[0].ended_ns.unwrap() + 100 * MS < pair[1].created_ns;
        assert!(sessions.windows(2).all(in_turn));
    }
}

/// Interface, address, TEID or SEID.
type Endpoint = (&'static str, IpAddr, u64);

/// Every endpoint that an accepted procedure told: what an answer says, and what its request said.
fn told_endpoints(frames: &[Frame]) -> HashSet<Endpoint> {
    let mut told = HashSet::new();
    let mut asked: HashMap<(IpAddr, IpAddr, u32), Vec<Endpoint>> = HashMap::new();
    for frame in frames {
        let Some(read) = read(&frame.bytes) else { continue };
        let (found, is_answer, accepted, sequence) = match &read.content {
            Content::Gtpc { version: 2, kind, sequence, elements, .. } => {
                let f_teids = elements.iter().filter(|element| element.kind == 87);
                let found: Vec<_> = f_teids
                    .filter_map(|element| {
                        let name = match element.value[0] & 0x3f {
                            0 => "S1-U eNodeB GTP-U",
                            1 => "S1-U SGW GTP-U",
                            4 => "S5/S8 SGW GTP-U",
                            5 => "S5/S8 PGW GTP-U",
                            6 => "S5/S8 SGW GTP-C",
                            7 => "S5/S8 PGW GTP-C",
                            10 => "S11 MME GTP-C",
                            11 => "S11/S4 SGW GTP-C",
                            other => panic!("interface {other}"),
                        };
                        let teid = u64::from(be32(&element.value, 1));
                        (teid != 0).then(|| (name, ip(&element.value[5..]), teid))
                    })
                    .collect();
                // Answers have odd numbers, but for bearer requests and Release Access Bearers.
                let is_answer = matches!(kind, 33 | 35 | 37 | 39 | 96 | 100 | 171 | 177 | 212);
                (found, is_answer, accepts(2, elements), *sequence)
            }
            Content::Gtpc { version: 1, kind, sequence, elements, .. } if *kind > 2 => {
                let is_answer = kind % 2 == 1;
                let end = |kind: u16, instance: u8| {
                    let teid = first(elements, kind)?;
                    let address =
                        elements.iter().find(|e| e.kind == 133 && e.instance == instance)?.value.as_slice();
                    Some((ip(address), u64::from(be32(teid, 0))))
                };
                let (control, user) = if is_answer {
                    ("Gn GGSN GTP-C", "Gn GGSN GTP-U")
                } else {
                    ("Gn SGSN GTP-C", "Gn SGSN GTP-U")
                };
                let control = end(17, 0).map(|(ip, teid)| (control, ip, teid));
                let user = end(16, 1).map(|(ip, teid)| (user, ip, teid));
                (control.into_iter().chain(user).collect(), is_answer, accepts(1, elements), *sequence)
            }
            Content::Pfcp { kind, sequence, elements, .. } if *kind >= 50 => {
                let is_answer = kind % 2 == 1;
                let found = elements
                    .iter()
                    .filter_map(|element| {
                        let value = &element.value;
                        match element.kind {
                            21 if value[0] & 4 == 0 => {
                                Some(("N3 UPF", ip(&value[5..]), u64::from(be32(value, 1))))
                            }
                            57 => {
                                let seid = u64::from_be_bytes(value[1..9].try_into().unwrap());
                                Some((if is_answer { "N4 UPF" } else { "N4 SMF" }, ip(&value[9..]), seid))
                            }
                            84 => Some(("N3 gNB", ip(&value[6..]), u64::from(be32(value, 2)))),
                            _ => None,
                        }
                    })
                    .collect();
                let accepted = first(elements, 19).is_none_or(|cause| cause == [1]);
                (found, is_answer, accepted, *sequence)
            }
            _ => continue,
        };
        if !is_answer {
            asked.insert((read.source, read.destination, sequence), found);
        } else if accepted {
            // An answer that came twice says the same.
            told.extend(asked.remove(&(read.destination, read.source, sequence)).unwrap_or_default());
            told.extend(found);
        }
    }
    told
}

#[test]
fn endpoints_are_those_that_signalling_told() {
    let (frames, truth) = all(busy());
    let told = told_endpoints(&frames);
    let held: HashSet<_> =
        truth.sessions.iter().flat_map(|s| s.fteids.iter().map(|f| (f.interface, f.ip, f.teid))).collect();
    let missing: Vec<_> = told.symmetric_difference(&held).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(told.iter().any(|(name, _, seid)| *name == "N4 SMF" && *seid > u64::from(u32::MAX)));
}

#[test]
fn identities_and_times_are_those_of_the_messages() {
    let (frames, truth) = all(busy());
    // From the answer that gave the address: its time, and who asked.
    let mut asked = HashMap::new();
    let mut made: HashMap<u64, Vec<[Option<String>; 4]>> = HashMap::new();
    let mut ends = HashSet::new();
    for frame in &frames {
        let Some(read) = read(&frame.bytes) else { continue };
        let (pair, back) = ((read.source, read.destination), (read.destination, read.source));
        match &read.content {
            Content::Gtpc { version, kind, sequence, elements, .. } => {
                let (imsi, imei) = if *version == 1 { (2, 154) } else { (1, 75) };
                let of = |kind| first(elements, kind).map(digits);
                let name = first(elements, if *version == 1 { 131 } else { 71 });
                let msisdn = match version {
                    1 => first(elements, 134).map(|value| digits(&value[1..])),
                    _ => of(76),
                };
                let apn =
                    name.map(|labels| String::from_utf8(labels[1..].to_vec()).unwrap().replace('\u{7}', "."));
                match (version, kind) {
                    (2, 32) | (1, 16) => {
                        asked.insert((pair, *sequence), [of(imsi), msisdn, of(imei), apn]);
                    }
                    (2, 33) | (1, 17) if accepts(*version, elements) => {
                        made.entry(frame.time_ns).or_default().push(asked[&(back, *sequence)].clone());
                    }
                    (2, 37) | (1, 21) => {
                        ends.insert(frame.time_ns);
                    }
                    _ => {}
                }
            }
            Content::Pfcp { kind: 55, .. } => {
                ends.insert(frame.time_ns);
            }
            _ => {}
        }
    }
    let mut checked = 0;
    for session in truth.sessions.iter().filter(|session| session.rat.is_some()) {
        let text = |digits: Option<testkit::Digits>| digits.map(|digits| digits.to_string());
        let told =
            [text(session.imsi), text(session.msisdn), text(session.imei), session.apn.map(Into::into)];
        let at = made.get(&session.created_ns).unwrap();
        assert!(at.contains(&told), "{told:?} {at:?}");
        assert!(session.ended_ns.is_none_or(|ended| ends.contains(&ended)));
        assert_eq!(session.ended_ns.is_some(), session.state == "deleted");
        checked += 1;
    }
    assert!(checked > 300);
}

#[test]
fn what_the_tap_does_wrong_changes_only_what_is_seen_of_signalling() {
    let (whole, truth) = all(busy());
    let options = Options { loss: 0.1, reorder: 0.1, dup: 0.1, ..busy() };
    let (damaged, same) = all(options);
    assert_eq!(truth.sessions, same.sessions);
    let is_signalling = |frame: &&Frame| {
        let content = read(&frame.bytes).map(|read| read.content);
        matches!(content, Some(Content::Gtpc { .. } | Content::Pfcp { .. }))
    };
    let others = |frames: &[Frame]| frames.iter().filter(|f| !is_signalling(f)).cloned().collect::<Vec<_>>();
    assert!(others(&whole) == others(&damaged));
    assert!(damaged.windows(2).all(|pair| pair[0].time_ns <= pair[1].time_ns));

    let messages: Vec<_> = whole.iter().filter(is_signalling).collect();
    let seen: Vec<_> = damaged.iter().filter(is_signalling).collect();
    let mut times: HashMap<&[u8], Vec<u64>> = HashMap::new();
    for message in &seen {
        times.entry(&message.bytes).or_default().push(message.time_ns);
    }
    let (mut lost, mut late, mut twice, mut once) = (0, 0, 0, 0);
    // What the nodes themselves sent twice says nothing.
    let mut sent: HashMap<&[u8], u32> = HashMap::new();
    for message in &messages {
        *sent.entry(&message.bytes).or_default() += 1;
    }
    for message in messages.iter().filter(|message| sent[message.bytes.as_slice()] == 1) {
        match times.get(message.bytes.as_slice()).map(Vec::as_slice) {
            None => lost += 1,
            Some([at]) if *at == message.time_ns => once += 1,
            Some([at]) => {
                late += 1;
                assert!((MS - 1_000..=20 * MS).contains(&(at - message.time_ns)));
            }
            Some(_) => twice += 1,
        }
    }
    let tenth = (lost + late + twice + once) / 10;
    for count in [lost, late, twice] {
        assert!(count > tenth * 7 / 10 && count < tenth * 13 / 10, "{lost} {late} {twice} {once}");
    }
}

#[test]
fn few_frames_for_many_subscribers_and_many_for_few() {
    let (frames, truth) =
        all(Options { subscribers: 100_000, seconds: 1.0, pps: 5_000, ..Options::default() });
    assert_eq!(frames.len(), 5_000);
    assert!((100..1_000).contains(&truth.sessions.len()), "{}", truth.sessions.len());
    let users = frames.iter().filter(|frame| frame.session.is_some()).count();
    assert!(users > 2_000, "{users}");

    let (frames, truth) =
        all(Options { subscribers: 1, seconds: 20.0, pps: 500, seed: 3, ..Options::default() });
    assert_eq!(frames.len(), 10_000);
    assert!(truth.sessions.len() > 1, "it comes and goes");
    for (subscribers, pps, seconds) in [(10, 3, 1.0), (1, 1, 0.1), (1_000, 1_000_000, 0.000_01)] {
        let options = Options { subscribers, pps, seconds, ..Options::default() };
        assert_eq!(all(options.clone()).0.len() as u64, options.frames());
    }
}
