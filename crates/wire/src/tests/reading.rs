//! What good frames give: every link type, quotes, ports, positions.

use types::{FlowPorts, Key, LinkType, Malformed, Qfi, TrafficClass};

use super::*;
use crate::Fragment;

fn plain() -> Vec<u8> {
    ipv4(17, [OUTER_A, OUTER_B], &udp(2152, 2152, &gtp(0x34, 255, &cat(&[&SESSION, &user_v4()]))))
}

#[test]
fn layers_of_a_user_packet() {
    let frame = with_session(&user_v4());
    let found = look(LinkType::Ethernet, &frame);
    let Key::Tunnel(tunnel) = tunnel() else { unreachable!() };
    assert_eq!(found.layers.tunnel, Some(tunnel));
    let session = found.layers.pdu_session.unwrap();
    assert_eq!((session.toward, session.qfi), (Some(types::Toward::Uplink), Qfi(9)));
    assert_eq!((found.layers.datagram, found.layers.inner), (Some(42), Some(58)));
    // 8.8.8.8 is the smaller address: its port stands first.
    assert_eq!(found.ports, FlowPorts { protocol: 17, first: 53, second: 40_000 });
    assert!(tpdu::<true>(&frame).is_some());
    assert!(tpdu::<false>(&frame).is_some());
}

/// HOSTILE 62 and 7: a length instead of a type means LLC behind a tag, too.
#[test]
fn llc_behind_a_tag_is_llc() {
    let snap = cat(&[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &plain()]);
    let untagged = eth(snap.len() as u16, &snap);
    let tagged = cat(&[&untagged[..12], &[0x81, 0, 0, 7], &untagged[12..]]);
    for frame in [&untagged, &tagged] {
        let found = look(LinkType::Ethernet, frame);
        assert_eq!((found.class, found.key, found.malformed), (TrafficClass::GtpU, inner(), None));
    }
    for cut in 18..26 {
        let found = look(LinkType::Ethernet, &tagged[..cut]);
        assert_eq!(found.malformed, Some(Malformed::LinkTruncated), "{cut}");
    }
}

#[test]
fn every_link_type() {
    let ip = plain();
    let sll = cat(&[&[0, 0, 0, 1, 0, 6], &MAC_A, &[0, 0, 0x08, 0x00], &ip]);
    let sll2 = cat(&[&[0x08, 0x00, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6], &MAC_A, &[0, 0], &ip]);
    let frames = [
        (LinkType::Ethernet, eth(0x0800, &ip)),
        (LinkType::RawIp, ip.clone()),
        (LinkType::RawIpv4, ip.clone()),
        (LinkType::Null, cat(&[&[2, 0, 0, 0], &ip])),
        (LinkType::Null, cat(&[&[0, 0, 0, 2], &ip])),
        (LinkType::Loop, cat(&[&[0, 0, 0, 2], &ip])),
        (LinkType::LinuxSll, sll),
        (LinkType::LinuxSll2, sll2),
    ];
    for (link, frame) in frames {
        let found = look(link, &frame);
        assert_eq!((found.key, found.malformed), (inner(), None), "{link:?}");
        let header = frame.len() - ip.len();
        for cut in 0..header {
            let found = look(link, &frame[..cut]);
            assert_eq!(found.malformed, Some(Malformed::LinkTruncated), "{link:?} {cut}");
        }
        let found = look(link, &frame[..header]);
        assert_eq!(found.malformed, Some(Malformed::IpTruncated), "{link:?}");
        assert!(matches!(found.key, Key::Frame(_)));
    }
    let v6 = ipv6(17, [OUTER_A_V6, OUTER_B_V6], &udp(2152, 2152, &gtp(0x30, 255, &user_v6())));
    for (link, header) in [
        (LinkType::RawIp, &[][..]),
        (LinkType::RawIpv6, &[]),
        (LinkType::Null, &[30, 0, 0, 0]),
        (LinkType::Loop, &[0, 0, 0, 24]),
    ] {
        assert_eq!(look(link, &cat(&[header, &v6])).key, inner_v6(), "{link:?}");
    }
}

#[test]
fn frame_keys_of_other_links() {
    let arp = cat(&[&[0, 0, 0, 1, 0, 6], &MAC_A, &[0, 0, 0x08, 0x06], &[0; 28]]);
    let found = look(LinkType::LinuxSll, &arp);
    assert_eq!((found.key, found.malformed), (Key::Frame(0x0200_0000_000a_0000), None));
    assert_eq!(look(LinkType::Null, &[7, 0, 0, 0, 1]).key, Key::Frame(0));
    let found = look(LinkType::RawIp, &[0x50; 20]);
    assert_eq!((found.key, found.malformed), (Key::Frame(0), Some(Malformed::IpBadVersion)));
    // Tags and LLC under a cooked header.
    let tagged = cat(&[&[0, 0, 0, 1, 0, 6], &MAC_A, &[0, 0, 0x81, 0x00, 0, 7, 0x08, 0x00], &plain()]);
    assert_eq!(look(LinkType::LinuxSll, &tagged).key, inner());
    let snap = cat(&[&[0, 0, 0, 1, 0, 6], &MAC_A, &[0, 0, 0, 4, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &plain()]);
    assert_eq!(look(LinkType::LinuxSll, &snap).key, inner());
}

#[test]
fn frame_key_of_a_pseudowire_is_that_of_the_frame_inside() {
    let inside = cat(&[&[2, 0, 0, 0, 0, 1], &[2, 0, 0, 0, 0, 2], &[0x08, 0x06], &[0; 28]]);
    let frame = eth(0x8847, &cat(&[&[0, 1, 1, 64, 0, 0, 0, 0], &inside]));
    other(&frame, Key::Frame(0x0200_0000_0001_0200_0000_0002), None);
    let cut = eth(0x8847, &cat(&[&[0, 1, 1, 64, 0, 0, 0, 0], &inside[..9]]));
    other(&cut, macs(), Malformed::LinkTruncated);
}

fn unreachable_v4(quote: &[u8]) -> Vec<u8> {
    eth(0x0800, &ipv4(1, [[1, 1, 1, 1], OUTER_A], &cat(&[&[3, 3, 0, 0, 0, 0, 0, 0], quote])))
}

#[test]
fn icmp_error_goes_with_the_packet_it_is_about() {
    let message = Key::Outer(v4([1, 1, 1, 1], OUTER_A));
    let quote = plain();
    user(&unreachable_v4(&quote), inner(), None);
    for cut in 0..quote.len() {
        let found = look(LinkType::Ethernet, &unreachable_v4(&quote[..cut]));
        let expected = match cut {
            0..20 => (TrafficClass::Other, message),
            20..24 => (TrafficClass::Other, outer()),
            24..36 => (TrafficClass::GtpU, outer()),
            36..64 => (TrafficClass::GtpU, tunnel()),
            _ => (TrafficClass::GtpU, inner()),
        };
        assert_eq!((found.class, found.key), expected, "{cut}");
        assert_eq!(found.malformed, None, "{cut}");
        assert_eq!(found.fragment, Fragment::None);
    }
    // Whatever is wrong inside the quote, and that it was a fragment, is not the message's affair.
    let mut wrong = quote.clone();
    wrong[28] = 0xf0;
    user(&unreachable_v4(&wrong), outer(), None);
    let later = ipv4_raw(0x45, 40, 3, 17, [OUTER_A, OUTER_B], &[0; 20]);
    other(&unreachable_v4(&later), outer(), None);
    assert_eq!(look(LinkType::Ethernet, &unreachable_v4(&later)).fragment, Fragment::None);
    // An error about an error is not followed further.
    let twice = unreachable_v4(&unreachable_v4(&quote)[14..]);
    other(&twice, message, None);
    // An echo quotes nothing.
    let mut echo = unreachable_v4(&quote);
    echo[34] = 8;
    other(&echo, message, None);
}

#[test]
fn icmpv6_error_goes_with_the_packet_it_is_about() {
    let quote = ipv6(17, [OUTER_A_V6, OUTER_B_V6], &udp(2152, 2152, &gtp(0x30, 255, &user_v6())));
    let frame =
        |kind: u8| eth(0x86dd, &ipv6(58, [7, OUTER_A_V6], &cat(&[&[kind, 0, 0, 0, 0, 0, 0, 0], &quote])));
    for kind in 1..=4 {
        user(&frame(kind), inner_v6(), None);
    }
    other(&frame(128), Key::Outer(Pair::v6(7, OUTER_A_V6)), None);
}

#[test]
fn inner_packets_without_ports() {
    // Fragments, later and first, ICMP, and a transport header that is cut.
    let ports_of = |inside: &[u8]| {
        let found = look(LinkType::Ethernet, &tunnelled(inside));
        assert_eq!((found.key, found.malformed, found.fragment), (inner(), None, Fragment::None));
        found.ports
    };
    let none = |protocol| FlowPorts { protocol, first: 0, second: 0 };
    let datagram = udp(2152, 2152, &[0; 8]);
    assert_eq!(ports_of(&ipv4_raw(0x45, 36, 3, 17, [USER, SERVER], &datagram)), none(17));
    let first = ipv4_raw(0x45, 36, 0x2000, 17, [USER, SERVER], &udp(40_000, 53, &[0; 8]));
    assert_eq!(ports_of(&first), FlowPorts { protocol: 17, first: 53, second: 40_000 });
    assert_eq!(ports_of(&ipv4(1, [USER, SERVER], &[8, 0, 1, 2, 3, 4])), none(1));
    assert_eq!(ports_of(&ipv4(17, [USER, SERVER], &datagram[..3])), none(17));
    assert_eq!(
        ports_of(&ipv4(6, [USER, SERVER], &[0, 80, 0, 81])),
        FlowPorts { protocol: 6, first: 81, second: 80 }
    );
    let authenticated = cat(&[&[17, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2], &udp(40_000, 53, &[])]);
    assert_eq!(
        ports_of(&ipv4(51, [USER, SERVER], &authenticated)),
        FlowPorts { protocol: 17, first: 53, second: 40_000 }
    );
}

#[test]
fn every_shorter_prefix_of_a_user_packet() {
    let check = |frame: &[u8], starts: [usize; 6], whole: Key| {
        // IP header, UDP header, GTP header, its optional part, inner header, its end.
        let [ip, udp, gtp, optional, inside, end] = starts;
        let outer = if ip + 20 == udp { outer() } else { outer_v6() };
        let tunnel = match outer {
            Key::Outer(Pair::V4(..)) => tunnel(),
            _ => Key::Tunnel(TunnelKey {
                receiver: core::net::Ipv6Addr::from_bits(OUTER_B_V6).into(),
                teid: Teid(TEID),
            }),
        };
        for cut in 14..frame.len() {
            let found = look(LinkType::Ethernet, &frame[..cut]);
            let (key, why) = match cut {
                cut if cut < udp => (macs(), Some(Malformed::IpTruncated)),
                cut if cut < gtp => (outer, Some(Malformed::UdpTruncated)),
                cut if cut < optional => (outer, Some(Malformed::GtpShort)),
                cut if cut < (optional + 4).min(inside) => (tunnel, Some(Malformed::GtpOptTruncated)),
                cut if cut < inside => (tunnel, Some(Malformed::GtpExtTruncated)),
                cut if cut == inside => (tunnel, Some(Malformed::InnerUnknown)),
                cut if cut < end => (tunnel, Some(Malformed::IpTruncated)),
                _ => (whole, None),
            };
            assert_eq!((found.key, found.malformed), (key, why), "{cut}");
        }
    };
    check(&tunnelled(&user_v4()), [14, 34, 42, 50, 50, 70], inner());
    check(&with_session(&user_v4()), [14, 34, 42, 50, 58, 78], inner());
    check(&with_session(&user_v6()), [14, 34, 42, 50, 58, 98], inner_v6());
    let datagram = udp(2152, 2152, &gtp(0x34, 255, &cat(&[&SESSION, &user_v4()])));
    let v6 = eth(0x86dd, &ipv6(17, [OUTER_A_V6, OUTER_B_V6], &datagram));
    check(&v6, [14, 54, 62, 70, 78, 98], inner());
}

#[test]
fn two_fragments_deep_the_outer_one_is_named() {
    let inside = ipv4_raw(0x45, 20 + 36, 0x2000, 17, [OUTER_A, OUTER_B], &plain()[20..56]);
    let frame = eth(0x0800, &ipv4_raw(0x45, 20 + 56, 0x2000, 4, [[1; 4], [2; 4]], &inside));
    let Fragment::First(id) = look(LinkType::Ethernet, &frame).fragment else { panic!() };
    assert_eq!(id.protocol, 4);
    let frame = eth(0x0800, &ipv4(4, [[1; 4], [2; 4]], &inside));
    let Fragment::First(id) = look(LinkType::Ethernet, &frame).fragment else { panic!() };
    assert_eq!(id.protocol, 17);
}

/// The inner header tells the length, at most what the length of the GTP-U message leaves.
#[test]
fn length_of_a_users_packet() {
    let length = |frame: &[u8]| look(LinkType::Ethernet, frame).layers.user.unwrap().bytes;
    let inside = user_v4();
    let whole = inside.len() as u16;
    assert_eq!(length(&tunnelled(&inside)), whole);
    assert_eq!(length(&with_session(&inside)), whole);
    assert_eq!(length(&tunnelled(&user_v6())), user_v6().len() as u16);
    // Bytes behind the inner packet are not its own.
    assert_eq!(length(&tunnelled(&cat(&[&inside, &[0; 9]]))), whole);
    // The inner header claims more than the message has.
    let mut lying = inside.clone();
    lying[2..4].copy_from_slice(&(whole + 7).to_be_bytes());
    assert_eq!(length(&tunnelled(&lying)), whole);
    // It states none: to the end.
    lying[2..4].copy_from_slice(&[0, 0]);
    assert_eq!(length(&tunnelled(&lying)), whole);
    // The capture was cut: both headers still tell.
    let frame = with_session(&inside);
    assert_eq!(length(&frame[..frame.len() - 3]), whole);
}

/// What an ICMP error quotes was not sent here: it is no T-PDU of its tunnel, but still tells whose it is.
#[test]
fn quoted_datagrams_are_told_from_sent_ones() {
    let datagram = udp(2152, 2152, &gtp(0x30, 255, &user_v4()));
    let sent = ipv4(17, [OUTER_A, OUTER_B], &datagram);
    let error = ipv4(1, [OUTER_B, OUTER_A], &cat(&[&[3, 3, 0, 0, 0, 0, 0, 0], &sent]));
    let found = look(LinkType::Ethernet, &eth(0x0800, &error)).layers;
    assert!(found.quoted && found.t_pdu);
    let ends = found.ends.unwrap();
    let text = |end: core::net::SocketAddr| std::format!("{end}");
    assert_eq!(text(ends.source()), "10.1.0.1:2152");
    assert_eq!(text(ends.destination()), "10.1.0.2:2152");
    assert!(!look(LinkType::Ethernet, &eth(0x0800, &sent)).layers.quoted);
}
