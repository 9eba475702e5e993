//! What holds for every frame.

use proptest::prelude::*;
use std::vec::Vec;
use types::LinkType;

use super::*;
use crate::{Decap, Fragment, Unpack, unpack};

const LINKS: [LinkType; 8] = [
    LinkType::Ethernet,
    LinkType::RawIp,
    LinkType::RawIpv4,
    LinkType::RawIpv6,
    LinkType::Null,
    LinkType::Loop,
    LinkType::LinuxSll,
    LinkType::LinuxSll2,
];
const ALL: Decap = Decap { vxlan: true, gre: true, erspan: true };

fn totality(frame: &[u8]) {
    for link in LINKS {
        let found = look(link, frame);
        for position in [found.layers.datagram, found.layers.inner].into_iter().flatten() {
            assert!(position as usize <= frame.len());
        }
        if let Unpack::Inner { range, .. } = unpack(link, frame, ALL) {
            assert!(frame.get(range).is_some());
        }
    }
}

#[test]
fn every_prefix_of_every_seed() {
    for seed in seeds() {
        for cut in 0..=seed.len() {
            totality(&seed[..cut]);
        }
    }
}

#[test]
fn seeds_are_good() {
    for seed in seeds() {
        assert_eq!(look(LinkType::Ethernet, &seed).malformed, None, "{seed:02x?}");
    }
    assert!(seeds().iter().filter(|seed| tpdu::<true>(seed).is_some()).count() >= 5);
}

#[test]
fn every_one_byte_mutation_of_every_seed() {
    for seed in seeds() {
        let mut frame = seed.clone();
        for at in 0..seed.len() {
            for value in 0..=u8::MAX {
                frame[at] = value;
                look(LinkType::Ethernet, &frame);
                if let Unpack::Inner { range, .. } = unpack(LinkType::Ethernet, &frame, ALL) {
                    assert!(frame.get(range).is_some());
                }
            }
            frame[at] = seed[at];
        }
    }
}

/// A mutated frame still has one of the keys that its own bytes name: an address pair or a tunnel
/// that stands in it somewhere.
#[test]
fn keys_of_mutated_frames_come_from_the_frame() {
    let holds = |frame: &[u8], part: &[u8]| frame.windows(part.len()).any(|window| window == part);
    for seed in seeds() {
        let mut frame = seed.clone();
        for at in 0..seed.len() {
            for value in [0, 1, 0x45, 0x7f, 0x80, 0xff, !seed[at]] {
                frame[at] = value;
                let named = match look(LinkType::Ethernet, &frame).key {
                    Key::Inner(Pair::V4(a, b)) | Key::Outer(Pair::V4(a, b)) => {
                        holds(&frame, &a.to_be_bytes()) && holds(&frame, &b.to_be_bytes())
                    }
                    Key::Inner(Pair::V6(a, b)) | Key::Outer(Pair::V6(a, b)) => {
                        holds(&frame, &a.to_be_bytes()) && holds(&frame, &b.to_be_bytes())
                    }
                    Key::Tunnel(tunnel) => holds(&frame, &tunnel.teid.0.to_be_bytes()),
                    Key::Frame(name) => {
                        let bytes = name.to_be_bytes();
                        holds(&frame, &bytes[4..10]) && holds(&frame, &bytes[10..])
                    }
                };
                assert!(named, "{at} {value} {frame:02x?}");
            }
            frame[at] = seed[at];
        }
    }
}

/// A frame of the shapes that the short way knows, with any of its fields off.
fn near_tpdu() -> impl Strategy<Value = Vec<u8>> {
    let tags = prop::collection::vec(prop::sample::select(std::vec![0x8100_u16, 0x88a8, 0x9100]), 0..4);
    let flags = prop::sample::select(std::vec![0x30_u8, 0x32, 0x34, 0x36, 0x37, 0x3f]);
    let chain = prop::collection::vec((1_u8..3, any::<u8>()), 0..10);
    let inside = prop_oneof![
        Just(user_v4()),
        Just(user_v6()),
        any::<u8>().prop_map(|protocol| ipv4(protocol, [USER, SERVER], &tcp(80, 2152))),
        any::<u8>().prop_map(|next| ipv6(next, [SERVER_V6, USER_V6], &tcp(2152, 80))),
        (any::<u16>(), any::<u16>()).prop_map(|(a, b)| ipv4(17, [USER, USER], &udp(a, b, &[]))),
        prop::collection::vec(any::<u8>(), 0..60),
    ];
    let ports = prop::sample::select(std::vec![[2152, 2152], [9, 2152], [2152, 9], [2152, 2123], [9, 9]]);
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    let tail = prop_oneof![Just(0_isize), -12_isize..40];
    (tags, flags, chain, inside, ports, edits, tail).prop_map(
        |(tags, flags, chain, inside, ports, edits, tail)| {
            let mut optional = std::vec![];
            if flags & 7 != 0 {
                optional.extend([0, 0, 0]);
                let mut kinds = chain.iter().map(|(_, kind)| if flags & 4 == 0 { *kind } else { kind | 1 });
                optional.push(kinds.next().unwrap_or(0));
                if flags & 4 != 0 {
                    for (units, _) in &chain {
                        optional.push(*units);
                        optional.resize(optional.len() + usize::from(*units) * 4 - 2, 0x10);
                        optional.push(kinds.next().unwrap_or(0));
                    }
                }
            }
            let message = gtp(flags, 255, &cat(&[&optional, &inside]));
            let length = 8 + message.len() as u16;
            let packet = ipv4(17, [OUTER_A, OUTER_B], &udp_raw(ports, length, &message));
            let mut frame = cat(&[&MAC_B, &MAC_A]);
            for kind in tags {
                frame.extend(kind.to_be_bytes());
                frame.extend([0, 7]);
            }
            frame.extend([8, 0]);
            frame.extend(packet);
            let bytes = frame.len().saturating_add_signed(tail);
            frame.resize(bytes, 0);
            for (at, value) in edits {
                let at = at.index(frame.len());
                frame[at] = value;
            }
            frame
        },
    )
}

/// The frame with source and destination exchanged wherever the walk reads them, for the plain
/// shape: Ethernet, IPv4, UDP, 8 bytes of GTP-U, IPv4 or IPv6.
fn reversed(frame: &[u8]) -> Vec<u8> {
    let mut back = frame.to_vec();
    let mut swap = |at: usize, bytes: usize| {
        let (a, b) = back[at..at + 2 * bytes].split_at_mut(bytes);
        a.swap_with_slice(b);
    };
    swap(0, 6);
    swap(26, 4);
    swap(34, 2);
    if frame[50] >> 4 == 4 {
        swap(62, 4);
        swap(70, 2);
    } else {
        swap(58, 16);
        swap(90, 2);
    }
    back
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn random_bytes_always_give_an_answer(frame in prop::collection::vec(any::<u8>(), 0..9216)) {
        totality(&frame);
    }

    #[test]
    fn random_ip_always_gives_an_answer(
        six in any::<bool>(),
        body in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let kind = if six { 0x86dd } else { 0x0800 };
        let mut body = body;
        if let Some(first) = body.first_mut() {
            *first = if six { 0x60 } else { 0x40 | *first & 0x07 };
        }
        totality(&eth(kind, &body));
        totality(&tunnelled(&body));
        totality(&on_2152(&body));
        totality(&with_session(&body));
    }

    #[test]
    fn both_directions_have_one_key(
        a in any::<[u8; 4]>(), b in any::<[u8; 4]>(),
        c in any::<u128>(), d in any::<u128>(),
        p in any::<u16>(), q in any::<u16>(),
    ) {
        let there = tunnelled(&ipv4(17, [a, b], &udp(p, q, &[])));
        let back = reversed(&there);
        let (there, back) = (look(LinkType::Ethernet, &there), look(LinkType::Ethernet, &back));
        prop_assert_eq!((there.key, there.ports), (back.key, back.ports));
        let there = tunnelled(&ipv6(6, [c, d], &tcp(p, q)));
        let back = reversed(&there);
        let (there, back) = (look(LinkType::Ethernet, &there), look(LinkType::Ethernet, &back));
        prop_assert_eq!((there.key, there.ports), (back.key, back.ports));
        let there = eth(0x0800, &ipv4(6, [a, b], &tcp(p, q)));
        let mut back = eth(0x0800, &ipv4(6, [b, a], &tcp(q, p)));
        back[..12].rotate_left(6);
        let (there, back) = (look(LinkType::Ethernet, &there), look(LinkType::Ethernet, &back));
        prop_assert_eq!((there.key, there.ports), (back.key, back.ports));
        let there = cat(&[&a, &b, &a, &[0x08, 0x06]]);
        let back = cat(&[&there[6..12], &there[..6], &[0x08, 0x06]]);
        prop_assert_eq!(look(LinkType::Ethernet, &there).key, look(LinkType::Ethernet, &back).key);
    }

    #[test]
    fn a_tag_in_front_changes_nothing(
        seed in prop::sample::select(seeds()),
        near in near_tpdu(),
        kind in prop::sample::select(std::vec![0x8100_u16, 0x88a8, 0x9100]),
        tag in any::<u16>(),
    ) {
        for frame in [seed, near] {
            if frame.len() < 14 {
                continue;
            }
            let tagged = cat(&[&frame[..12], &kind.to_be_bytes(), &tag.to_be_bytes(), &frame[12..]]);
            let mut plain = look(LinkType::Ethernet, &frame);
            for position in [&mut plain.layers.datagram, &mut plain.layers.inner] {
                *position = position.map(|position| position + 4);
            }
            prop_assert_eq!(plain, look(LinkType::Ethernet, &tagged));
        }
    }

    /// `look` compares; here it is given frames near the border between both ways.
    #[test]
    fn short_way_agrees_with_the_long_one(frame in near_tpdu()) {
        look(LinkType::Ethernet, &frame);
    }

    #[test]
    fn fragments_never_have_a_class_by_their_bytes(offset in 1_u16..0x2000, body in any::<[u8; 32]>()) {
        let frame = eth(0x0800, &ipv4_raw(0x45, 52, offset, 17, [OUTER_A, OUTER_B], &body));
        let found = look(LinkType::Ethernet, &frame);
        prop_assert_eq!((found.class, found.key), (TrafficClass::Other, outer()));
        prop_assert!(matches!(found.fragment, Fragment::Later(_)));
    }
}

/// The short way is the common one: plain traffic must not fall off it.
#[test]
fn short_way_takes_the_common_shapes() {
    let inside =
        [user_v4(), user_v6(), ipv4(1, [USER, SERVER], &[8, 0, 0, 0]), ipv4(6, [USER, SERVER], &tcp(1, 2))];
    for inside in inside {
        for frame in
            [tunnelled(&inside), with_session(&inside), on_2152(&gtp(0x32, 255, &cat(&[&[0; 4], &inside])))]
        {
            assert!(tpdu::<true>(&frame).is_some());
            let one = cat(&[&frame[..12], &[0x81, 0, 0, 7], &frame[12..]]);
            assert!(tpdu::<false>(&one).is_some());
            let two = cat(&[&one[..12], &[0x88, 0xa8, 0, 7], &one[12..]]);
            assert!(tpdu::<true>(&two).is_some());
            let three = cat(&[&two[..12], &[0x91, 0, 0, 7], &two[12..]]);
            assert!(tpdu::<true>(&three).is_none());
        }
    }
}
