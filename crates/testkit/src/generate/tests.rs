use std::collections::{HashMap, HashSet};

use super::*;

type Frame = (u64, Vec<u8>, Option<u32>);

fn all(options: Options) -> (Vec<Frame>, GroundTruth) {
    let mut generator = Generator::new(options).unwrap();
    let mut frames = Vec::new();
    while let Some(frame) = generator.next_frame() {
        frames.push((frame.time_ns, frame.bytes.to_vec(), frame.session));
    }
    (frames, generator.into_truth())
}

fn be16(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]))
}

/// The inner packet of an untagged frame over IPv4 that begins a T-PDU; its TEID and receiver.
fn inner(frame: &[u8]) -> Option<(u32, [u8; 4], &[u8])> {
    let is_gtp_u = frame[12..14] == [8, 0] && frame[23] == 17 && be16(frame, 36) == 2152;
    if !is_gtp_u || be16(frame, 20) & 0x1fff != 0 || frame[43] != 255 {
        return None;
    }
    let optional = match frame[42] & 7 {
        0 => 0,
        2 => 4,
        _ => 8,
    };
    let teid = u32::from_be_bytes(frame[46..50].try_into().unwrap());
    Some((teid, frame[30..34].try_into().unwrap(), &frame[50 + optional..]))
}

fn ip_length(ip: &[u8]) -> u64 {
    (if ip[0] >> 4 == 4 { be16(ip, 2) } else { be16(ip, 4) + 40 }) as u64
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
    let error = write_capture(Options { other: 1.5, ..Options::default() }, &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "other: 1.5 is not a share between 0 and 1");
}

#[test]
fn the_same_options_give_the_same_capture() {
    let options = Options { subscribers: 50, seconds: 0.3, ..Options::default() };
    let (mut one, mut two, mut three) = (Vec::new(), Vec::new(), Vec::new());
    let truth = write_capture(options.clone(), &mut one).unwrap();
    assert_eq!(truth, write_capture(options.clone(), &mut two).unwrap());
    write_capture(Options { seed: 2, ..options }, &mut three).unwrap();
    assert!(one == two && one != three);
    assert_eq!(truth.packets().len(), 3_000);
}

#[test]
fn times_are_whole_microseconds_in_order_and_as_fast_as_asked() {
    let options = Options { pps: 3_000_000, seconds: 0.01, ..Options::default() };
    let (frames, _) = all(options.clone());
    assert_eq!(frames.len(), 30_000);
    assert!(frames.iter().all(|(time, ..)| time % 1_000 == 0));
    assert!(frames.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    let last = frames.last().unwrap().0 - options.start_ns;
    assert!((9_990_000..10_000_000).contains(&last), "{last}");
}

#[test]
fn sizes_and_directions_are_those_of_a_mobile_network() {
    let (frames, truth) = all(Options { seconds: 5.0, ..Options::default() });
    let sizes: Vec<_> = frames.iter().filter(|frame| frame.2.is_some()).map(|frame| frame.1.len()).collect();
    let mean = sizes.iter().sum::<usize>() / sizes.len();
    assert!((800..900).contains(&mean), "mean {mean}");
    let share = |range: std::ops::Range<usize>| {
        sizes.iter().filter(|size| range.contains(size)).count() * 100 / sizes.len()
    };
    assert!(share(60..200) >= 25, "{}", share(60..200));
    assert!(share(1_300..1_519) >= 45, "{}", share(1_300..1_519));
    assert!(sizes.iter().all(|&size| size <= 14 + TRANSPORT_MTU));
    let up: u64 = truth.sessions.iter().map(|session| session.packets_ul).sum();
    let down: u64 = truth.sessions.iter().map(|session| session.packets_dl).sum();
    assert!(up * 4 > down && down > up, "{up} up, {down} down");
}

#[test]
fn the_truth_is_what_the_frames_say() {
    let options = Options {
        subscribers: 40,
        transport_ipv6: 0.0,
        fragments: 0.1,
        inner_fragments: 0.1,
        ..Options::default()
    };
    let (frames, truth) = all(Options { seconds: 1.0, ..options });
    assert_eq!(truth.packets().collect::<Vec<_>>(), frames.iter().map(|f| f.2).collect::<Vec<_>>());
    assert_eq!(truth.sessions.len(), 40);

    // {receiver, TEID} -> session, T-PDUs, inner bytes, as read from the frames.
    let mut tunnels: HashMap<([u8; 4], u32), (u32, u64, u64)> = HashMap::new();
    let (mut outer_later, mut inner_pieces) = (0, 0);
    for (time, bytes, session) in &frames {
        if let Some((teid, receiver, ip)) = inner(bytes) {
            let session = session.expect("a T-PDU has a session");
            let entry = tunnels.entry((receiver, teid)).or_insert((session, 0, 0));
            assert_eq!(entry.0, session);
            entry.1 += 1;
            entry.2 += ip_length(ip);
            inner_pieces += u32::from(ip[0] >> 4 == 4 && be16(ip, 6) & 0x3fff != 0);
            inner_pieces += u32::from(ip[0] >> 4 == 6 && ip[6] == 44);
        } else if session.is_some() {
            // Only later fragments are left.
            assert_ne!(be16(bytes, 20) & 0x1fff, 0);
            outer_later += 1;
        }
        if let Some(session) = session {
            assert!(truth.sessions[*session as usize].created_ns <= *time);
        }
    }
    assert!(outer_later > 50 && inner_pieces > 50, "{outer_later} {inner_pieces}");

    for (index, session) in truth.sessions.iter().enumerate() {
        assert_eq!(session.fteids.len(), 2);
        for fteid in &session.fteids {
            let IpAddr::V4(ip) = fteid.ip else { panic!("{fteid:?}") };
            let found = tunnels.remove(&(ip.octets(), fteid.teid));
            assert_eq!(found, Some((index as u32, fteid.packets, fteid.bytes)));
        }
        assert_eq!(
            session.fteids.iter().map(|f| f.packets).sum::<u64>(),
            session.packets_ul + session.packets_dl
        );
        assert_eq!(session.fteids.iter().map(|f| f.bytes).sum::<u64>(), session.bytes_ul + session.bytes_dl);
        let first = frames.iter().find(|frame| frame.2 == Some(index as u32)).unwrap().0;
        assert_eq!(session.created_ns, first);
    }
    assert!(tunnels.is_empty());
    assert!(truth.sessions.windows(2).all(|pair| pair[0].created_ns <= pair[1].created_ns));
}

#[test]
fn every_class_occurs() {
    let (frames, _) = all(Options { seconds: 1.0, other: 0.1, ..Options::default() });
    let mut ports = HashSet::new();
    let mut kinds = HashSet::new();
    for (_, bytes, session) in &frames {
        let kind = be16(bytes, 12);
        kinds.insert((kind, if kind == 0x0800 { bytes[23] } else { 0 }));
        if kind == 0x0800 && bytes[23] == 17 && session.is_none() {
            ports.insert(be16(bytes, 36).min(be16(bytes, 34)));
        }
    }
    assert_eq!(ports, HashSet::from([53, 2152, 2123, 8805, 3386]));
    for kind in [(0x0800, 6), (0x0800, 17), (0x0800, 132), (0x0806, 0), (0x86dd, 0)] {
        assert!(kinds.contains(&kind), "{kind:?}");
    }
}

#[test]
fn a_vlan_changes_nothing_but_the_tag() {
    let options = Options { subscribers: 20, seconds: 0.5, other: 0.05, ..Options::default() };
    let (plain, truth) = all(options.clone());
    let (tagged, same) = all(Options { vlan: Some(7), ..options });
    assert_eq!(truth, same);
    for ((_, plain, _), (_, tagged, _)) in plain.iter().zip(&tagged) {
        assert_eq!(tagged[12..16], [0x81, 0, 0, 7]);
        // Padding of the shortest frames apart.
        let length = plain.len().min(tagged.len() - 4);
        assert_eq!(tagged[16..4 + length], plain[12..length]);
    }
}

#[test]
fn a_teid_is_handed_out_once_by_a_receiver() {
    let options = Options { subscribers: 100_000, transport_ipv6: 0.5, ..Options::default() };
    let mut keys = HashSet::new();
    let mut addresses = HashSet::new();
    let mut teids = HashSet::new();
    for user in 0..options.subscribers {
        let tunnel = Tunnel::of(9, &options, user);
        assert!(addresses.insert(tunnel.ue));
        for direction in [UPLINK, DOWNLINK] {
            assert_ne!(tunnel.teid(direction), 0);
            assert!(keys.insert((tunnel.receiver(direction), tunnel.teid(direction))));
        }
        teids.insert(tunnel.teid(DOWNLINK));
    }
    // The same number at many receivers: a TEID alone is no key.
    assert!(teids.len() < 10_000);
}
