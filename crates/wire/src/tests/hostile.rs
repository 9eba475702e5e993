//! The cases of `docs/HOSTILE.md`, by their numbers: the exact key and the exact reason of each.

use std::vec::Vec;

use Malformed::*;
use types::{Key, LinkType, Malformed, Pair, TrafficClass};

use super::*;
use crate::{Addresses, Fragment, FragmentId};

/// A message with E set whose extension headers begin with `first` and are `chain`.
fn extended(first: u8, chain: &[u8], inside: &[u8]) -> Vec<u8> {
    on_2152(&gtp(0x34, 255, &cat(&[&[0, 0, 0, first], chain, inside])))
}

// GTP-U extension chain.

#[test]
fn hostile_01_ext_len_zero() {
    user(&extended(0x85, &[0, 0, 0, 0], &user_v4()), tunnel(), GtpExtLenZero);
}

#[test]
fn hostile_02_unknown_ext_len_zero() {
    // As it was sent against others: sequence 0, next extension 0xff, length 0.
    let message = [0x36, 0xff, 0, 0x34, 0, 0, 0, 1, 0, 0, 0, 0xff, 0];
    user(&on_2152(&message), tunnel_of(1), GtpExtLenZero);
    user(&extended(0xff, &[0, 0, 0, 0], &user_v4()), tunnel(), GtpExtLenZero);
}

#[test]
fn hostile_03_packet_ends_before_its_extension() {
    let message = [0x36, 0xff, 0, 0x34, 0, 0, 0, 1, 0, 0, 0, 0xff];
    user(&on_2152(&message), tunnel_of(1), GtpExtTruncated);
    user(&extended(0x85, &[], &[]), tunnel(), GtpExtTruncated);
}

#[test]
fn hostile_04_ext_len_255() {
    user(&extended(0x85, &[0xff], &[0; 19]), tunnel(), GtpExtTruncated);
}

#[test]
fn hostile_05_ext_chain_beyond_limit() {
    let chain = |count: usize| {
        let mut chain = [1, 0, 0, 1].repeat(count);
        chain[count * 4 - 1] = 0;
        extended(1, &chain, &user_v4())
    };
    user(&chain(8), inner(), None);
    user(&chain(9), tunnel(), GtpExtTooMany);
    user(&chain(31), tunnel(), GtpExtTooMany);
}

#[test]
fn hostile_06_ext_chain_of_64_kib() {
    // The chain is as long as IPv4 allows; the ninth extension ends the reading.
    let frame = extended(1, &[1, 0, 0, 1].repeat(16_370), &[]);
    user(&frame, tunnel(), GtpExtTooMany);
}

#[test]
fn hostile_07_last_next_type_nonzero_at_the_end() {
    user(&extended(0x85, &[1, 0, 9, 0x40], &[]), tunnel(), GtpExtTruncated);
}

#[test]
fn hostile_08_ext_beyond_gtp_length_inside_udp() {
    // 12 bytes of message, an extension of 8, and its second half only in what pads the datagram.
    let message = gtp_raw(0x34, 255, 8, TEID, &cat(&[&[0, 0, 0, 0x85, 2, 0x10, 9, 0], &[0; 40]]));
    user(&on_2152(&message), tunnel(), GtpExtTruncated);
}

#[test]
fn hostile_09_next_type_without_e_means_nothing() {
    for flags in [0x32, 0x31, 0x33] {
        let message = gtp(flags, 255, &cat(&[&[0, 0, 0, 0x85], &user_v4()]));
        user(&on_2152(&message), inner(), None);
    }
}

#[test]
fn hostile_10_e_without_extension() {
    user(&extended(0, &[], &user_v4()), inner(), None);
}

#[test]
fn hostile_11_pdu_session_of_unknown_type() {
    let frame = extended(0x85, &[1, 0xff, 0xff, 0], &user_v4());
    user(&frame, inner(), None);
    let session = look(LinkType::Ethernet, &frame).layers.pdu_session.unwrap();
    assert_eq!((session.toward, session.qfi.0), (None, 63));
}

#[test]
fn hostile_12_pdu_session_twice_or_late() {
    let twice = extended(0x85, &[1, 0x10, 9, 0x85, 1, 0, 5, 0], &user_v4());
    let late = extended(0xc0, &[1, 0, 1, 0x85, 1, 0x10, 9, 0], &user_v4());
    for frame in [twice, late] {
        user(&frame, inner(), None);
        assert_eq!(look(LinkType::Ethernet, &frame).layers.pdu_session.unwrap().qfi.0, 9);
    }
}

#[test]
fn hostile_13_unknown_extensions_are_skipped() {
    for kind in [0x3f, 0xff] {
        user(&extended(kind, &[2, 0, 0, 0, 0, 0, 0, 0], &user_v4()), inner(), None);
    }
}

// GTP-U base header.

#[test]
fn hostile_14_fewer_than_8_bytes() {
    let message = gtp(0x30, 255, &user_v4());
    for cut in 0..8 {
        user(&on_2152(&message[..cut]), outer(), GtpShort);
    }
}

#[test]
fn hostile_15_length_zero_with_payload() {
    for flags in [0x30, 0x32, 0x34] {
        user(&on_2152(&gtp_raw(flags, 255, 0, TEID, &user_v4())), tunnel(), GtpLenZero);
    }
}

#[test]
fn hostile_16_length_ffff() {
    user(&on_2152(&gtp_raw(0x30, 255, 0xffff, TEID, &user_v4())), inner(), None);
}

#[test]
fn hostile_17_length_one_more() {
    let inside = user_v4();
    user(&on_2152(&gtp_raw(0x30, 255, inside.len() as u16 + 1, TEID, &inside)), inner(), None);
}

#[test]
fn hostile_18_length_one_less() {
    let inside = user_v4();
    user(&on_2152(&gtp_raw(0x30, 255, inside.len() as u16 - 1, TEID, &inside)), inner(), None);
    // And where it cuts the inner header itself.
    user(&on_2152(&gtp_raw(0x30, 255, 19, TEID, &inside)), tunnel(), IpTruncated);
}

#[test]
fn hostile_19_length_too_small_for_optional_fields() {
    for flags in [0x31, 0x32, 0x34, 0x37] {
        for length in 1..4 {
            let message = gtp_raw(flags, 255, length, TEID, &user_v4());
            user(&on_2152(&message), tunnel(), GtpOptTruncated);
        }
    }
}

#[test]
fn hostile_20_other_versions() {
    for version in [0, 2, 3, 4, 5, 6, 7] {
        user(&on_2152(&gtp(version << 5 | 0x10, 255, &user_v4())), outer(), GtpVersion);
    }
}

#[test]
fn hostile_21_protocol_type_gtp_prime() {
    user(&on_2152(&gtp(0x20, 255, &user_v4())), outer(), GtpProtocolType);
}

#[test]
fn hostile_22_spare_bit() {
    user(&on_2152(&gtp(0x38, 255, &user_v4())), inner(), None);
}

#[test]
fn hostile_23_message_types() {
    for kind in [1, 2, 31] {
        user(&on_2152(&gtp(0x32, kind, &[0, 1, 0, 0])), outer(), None);
    }
    for kind in [0, 99, 253, 254] {
        user(&on_2152(&gtp(0x30, kind, &[])), tunnel(), None);
        user(&on_2152(&gtp_raw(0x30, kind, 0, 0, &[])), outer(), None);
    }
    user(&on_2152(&gtp(0x30, 255, &[])), tunnel(), GtpLenZero);
    user(&on_2152(&gtp(0x32, 255, &[0, 1, 0, 0])), tunnel(), InnerUnknown);
}

#[test]
fn hostile_23_error_indication_follows_the_tunnel_it_names() {
    let elements = [16, 0, 0, 0, 7, 133, 0, 4, 10, 1, 0, 1];
    let named = Key::Tunnel(TunnelKey { receiver: core::net::IpAddr::from(OUTER_A), teid: Teid(7) });
    let message = |elements: &[u8]| {
        on_2152(&gtp_raw(0x32, 26, 4 + elements.len() as u16, 0, &cat(&[&[0; 4], elements])))
    };
    user(&message(&elements), named, None);
    for cut in 0..elements.len() {
        user(&message(&elements[..cut]), outer(), GtpBadIe);
    }
    let mut long = elements;
    long[7] = 5;
    user(&message(&long), outer(), GtpBadIe);
}

#[test]
fn hostile_24_teids() {
    for teid in [0, u32::MAX] {
        let inside = user_v4();
        user(&on_2152(&gtp_raw(0x30, 255, inside.len() as u16, teid, &inside)), inner(), None);
        user(&on_2152(&gtp_raw(0x30, 255, 1, teid, &[0])), tunnel_of(teid), InnerUnknown);
    }
    user(&on_2152(&gtp(0x32, 1, &[0, 1, 0, 0])), outer(), None);
}

#[test]
fn hostile_25_ports() {
    let frame = |source, destination, payload: &[u8]| {
        eth(0x0800, &ipv4(17, [OUTER_A, OUTER_B], &udp(source, destination, payload)))
    };
    let message = gtp(0x30, 255, &user_v4());
    user(&frame(55_555, 2152, &message), inner(), None);
    user(&frame(2152, 55_555, &message), inner(), None);
    expect(&frame(2152, 2123, &message), TrafficClass::GtpC, outer(), None);
    expect(&frame(2152, 8805, &message), TrafficClass::Pfcp, outer(), None);
    expect(&frame(2152, 3386, &message), TrafficClass::GtpPrime, outer(), GtpPrimeProtocolType);
    // A DNS answer to a client that happened to use port 2152, its id beginning with 0x32.
    let dns = [0x32, 0x10, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, 3, b'w', b'w', b'w'];
    user(&frame(53, 2152, &dns), tunnel_of(0x0001_0001), None);
}

#[test]
fn hostile_26_inner_unknown() {
    for first in [0x00, 0x05, 0x0f, 0x50, 0xf0, 0xff] {
        user(&tunnelled(&[first; 24]), tunnel(), InnerUnknown);
    }
}

#[test]
fn hostile_27_ethernet_pdu_session() {
    let inside = eth(0x8100, &cat(&[&[0, 7, 0x08, 0x00], &user_v4()]));
    user(&tunnelled(&inside), tunnel(), InnerUnknown);
}

#[test]
fn hostile_28_ipv6_that_looks_like_a_mac_address() {
    let mut inside = user_v6();
    inside[1..6].copy_from_slice(&[0x1b, 0x21, 0x3c, 0, 39]);
    user(&tunnelled(&inside), inner_v6(), None);
}

// Nesting.

#[test]
fn hostile_29_gtp_in_gtp() {
    let nested = gtp(0x30, 255, &ipv4(17, [[1; 4], [2; 4]], &udp(1, 2, &[])));
    for ports in [[2152, 2152], [40_000, 2152], [2152, 53]] {
        let inside = ipv4(17, [USER, SERVER], &udp_raw(ports, 8 + nested.len() as u16, &nested));
        user(&tunnelled(&inside), inner(), GtpNested);
        let inside = ipv6(17, [USER_V6, SERVER_V6], &udp_raw(ports, 8, &[]));
        user(&tunnelled(&inside), inner_v6(), GtpNested);
    }
}

#[test]
fn hostile_30_gtp_50_deep() {
    let mut inside = user_v4();
    for _ in 0..50 {
        inside = ipv4(17, [USER, SERVER], &udp(2152, 2152, &gtp(0x30, 255, &inside)));
    }
    user(&tunnelled(&inside), inner(), GtpNested);
}

#[test]
fn hostile_31_control_plane_ports_inside() {
    for port in [8805, 2123] {
        let frame = tunnelled(&ipv4(17, [USER, SERVER], &udp(40_000, port, &[0x20, 1, 0, 4])));
        user(&frame, inner(), None);
        let ports = look(LinkType::Ethernet, &frame).ports;
        assert_eq!((ports.protocol, ports.first, ports.second), (17, port, 40_000), "to match on");
    }
}

#[test]
fn hostile_32_tunnels_inside_are_not_followed() {
    let deepest = ipv4(17, [[1; 4], [2; 4]], &udp(1, 2, &[]));
    let v6 = ipv6(59, [1, 2], &[]);
    for inside in [
        ipv4(17, [USER, SERVER], &udp(40_000, 3544, &v6)),
        ipv4(41, [USER, SERVER], &v6),
        ipv4(4, [USER, SERVER], &deepest),
        ipv4(47, [USER, SERVER], &cat(&[&[0, 0, 8, 0], &deepest])),
        ipv4(17, [USER, SERVER], &udp(1, 4789, &cat(&[&[8, 0, 0, 0, 0, 0, 1, 0], &eth(0x0800, &deepest)]))),
    ] {
        user(&tunnelled(&inside), inner(), None);
    }
}

#[test]
fn hostile_32_tunnels_outside_have_two_layers() {
    let gtp = ipv4(17, [OUTER_A, OUTER_B], &udp(2152, 2152, &gtp(0x30, 255, &user_v4())));
    let one = |inside: &[u8]| ipv4(4, [[1; 4], [2; 4]], inside);
    user(&eth(0x0800, &one(&gtp)), inner(), None);
    let two = Key::Outer(v4([1; 4], [2; 4]));
    other(&eth(0x0800, &one(&one(&gtp))), two, TooManyLayers);
    let mut deep = gtp.clone();
    for _ in 0..100 {
        deep = one(&deep);
    }
    other(&eth(0x0800, &deep), two, TooManyLayers);
    let six_in_four = ipv4(
        41,
        [[1; 4], [2; 4]],
        &ipv6(17, [OUTER_A_V6, OUTER_B_V6], &udp(2152, 2152, &[0x30, 1, 0, 0, 0, 0, 0, 0])),
    );
    user(&eth(0x0800, &six_in_four), outer_v6(), None);
    let teb = ipv4(47, [[1; 4], [2; 4]], &cat(&[&[0x20, 0, 0x65, 0x58, 0, 0, 0, 1], &eth(0x0800, &gtp)]));
    user(&eth(0x0800, &teb), inner(), None);
    let pptp = ipv4(47, [OUTER_A, OUTER_B], &[0x30, 1, 0x88, 0x0b, 0, 0, 0, 0]);
    other(&eth(0x0800, &pptp), outer(), None);
    other(&eth(0x0800, &ipv4(47, [OUTER_A, OUTER_B], &[0, 0, 8])), outer(), GreBad);
    let erspan = ipv4(47, [OUTER_A, OUTER_B], &[0x10, 0, 0x88, 0xbe, 0, 0, 0, 0, 0x70, 0, 0, 0, 0, 0, 0, 0]);
    other(&eth(0x0800, &erspan), outer(), ErspanBad);
    // The first UDP header is VXLAN's own: it gives the class, and nothing behind it is read.
    let vxlan =
        ipv4(17, [OUTER_A, OUTER_B], &udp(9, 4789, &cat(&[&[8, 0, 0, 0, 0, 0, 1, 0], &eth(0x0800, &gtp)])));
    other(&eth(0x0800, &vxlan), outer(), None);
}

// Inner and outer IP.

/// Both places of an IPv4 header: inside a T-PDU, and outermost.
#[track_caller]
fn both_v4(packet: &[u8], why: Malformed) {
    user(&tunnelled(packet), tunnel(), why);
    other(&eth(0x0800, packet), macs(), why);
}

#[test]
fn hostile_33_ihl_below_5() {
    for ihl in 0..5 {
        let mut packet = user_v4();
        packet[0] = 0x40 | ihl;
        both_v4(&packet, IpBadIhl);
    }
}

#[test]
fn hostile_34_ihl_15_with_20_bytes() {
    let packet = ipv4_raw(0x4f, 60, 0, 17, [USER, SERVER], &[]);
    both_v4(&packet, IpTruncated);
    let packet = ipv4_raw(0x4f, 60, 0, 17, [USER, SERVER], &cat(&[&[1; 40], &udp(1, 2, &[])]));
    user(&tunnelled(&packet), inner(), None);
}

#[test]
fn hostile_35_total_length_below_header() {
    for total in 1..20 {
        let packet = ipv4_raw(0x45, total, 0, 17, [USER, SERVER], &udp(1, 2, &[]));
        both_v4(&packet, IpBadLength);
    }
}

#[test]
fn hostile_36_total_length_zero() {
    let packet = ipv4_raw(0x45, 0, 0, 17, [USER, SERVER], &udp(1, 2, &[]));
    user(&tunnelled(&packet), inner(), None);
    let frame = ipv4_raw(0x45, 0, 0, 17, [OUTER_A, OUTER_B], &udp(2152, 2152, &gtp(0x30, 255, &user_v4())));
    user(&eth(0x0800, &frame), inner(), None);
}

#[test]
fn hostile_37_total_length_beyond_capture() {
    let packet = ipv4_raw(0x45, 1500, 0, 17, [USER, SERVER], &udp(1, 2, &[]));
    user(&tunnelled(&packet), inner(), None);
    let mut frame = tunnelled(&user_v4());
    frame[16..18].copy_from_slice(&1500_u16.to_be_bytes());
    user(&frame, inner(), None);
}

#[test]
fn hostile_38_padding_behind_the_packet() {
    let mut frame = tunnelled(&ipv4(17, [USER, SERVER], &udp(40_000, 53, &[])));
    frame.extend([0; 30]);
    user(&frame, inner(), None);
    // What would be a GTP-U header stands only in the padding.
    let mut frame = on_2152(&[]);
    frame.extend(gtp(0x30, 255, &user_v4()));
    user(&frame, outer(), GtpShort);
}

#[test]
fn hostile_39_version_nibble_against_ether_type() {
    other(&eth(0x86dd, &user_v4()), macs(), IpBadVersion);
    other(&eth(0x0800, &user_v6()), macs(), IpBadVersion);
    for first in [0x00, 0x50, 0xf5] {
        let mut packet = user_v4();
        packet[0] = first;
        other(&eth(0x0800, &packet), macs(), IpBadVersion);
    }
}

fn id() -> FragmentId {
    let [source, destination] = [OUTER_A, OUTER_B].map(u32::from_be_bytes);
    FragmentId { addresses: Addresses::V4 { source, destination }, id: 0x7707, protocol: 17 }
}

fn fragment(field: u16, payload: &[u8]) -> Vec<u8> {
    eth(0x0800, &ipv4_raw(0x45, 20 + payload.len() as u16, field, 17, [OUTER_A, OUTER_B], payload))
}

#[track_caller]
fn is_fragment(frame: &[u8], fragment: Fragment) {
    assert_eq!(look(LinkType::Ethernet, frame).fragment, fragment);
}

const MORE: u16 = 0x2000;

#[test]
fn hostile_40_first_fragment_with_the_udp_header_only() {
    let frame = fragment(MORE, &udp_raw([2152, 2152], 500, &[]));
    user(&frame, outer(), GtpShort);
    is_fragment(&frame, Fragment::First(id()));
    // Longer first fragments are read like whole packets; that they claim more is no reason.
    let frame = fragment(MORE, &udp_raw([2152, 2152], 500, &gtp_raw(0x30, 255, 480, TEID, &user_v4())));
    user(&frame, inner(), None);
    is_fragment(&frame, Fragment::First(id()));
}

#[test]
fn hostile_41_fragment_over_the_udp_header() {
    let frame = fragment(MORE | 1, &udp(2152, 2152, &gtp(0x30, 255, &user_v4())));
    other(&frame, outer(), None);
    is_fragment(&frame, Fragment::Later(id()));
}

#[test]
fn hostile_42_overlapping_fragments() {
    for field in [MORE | 3, 3, MORE | 2, 4] {
        let frame = fragment(field, &[0xaa; 64]);
        other(&frame, outer(), None);
        is_fragment(&frame, Fragment::Later(id()));
    }
}

#[test]
fn hostile_43_fragment_beyond_65535() {
    let frame = fragment(0x1fff, &[0xaa; 1480]);
    other(&frame, outer(), None);
    is_fragment(&frame, Fragment::Later(id()));
}

#[test]
fn hostile_44_more_fragments_with_odd_length() {
    let frame = fragment(MORE, &udp(2152, 2152, &gtp(0x30, 255, &user_v4()))[..45]);
    user(&frame, inner(), None);
    is_fragment(&frame, Fragment::First(id()));
}

#[test]
fn hostile_45_same_id_under_another_protocol() {
    let udp = fragment(3, &[0; 8]);
    let tcp = eth(0x0800, &ipv4_raw(0x45, 28, 3, 6, [OUTER_A, OUTER_B], &[0; 8]));
    is_fragment(&udp, Fragment::Later(id()));
    is_fragment(&tcp, Fragment::Later(FragmentId { protocol: 6, ..id() }));
    // In IPv6 the protocol is no part of it: RFC 8200 4.5.
    let v6 = |next| eth(0x86dd, &ipv6(44, [OUTER_A_V6, OUTER_B_V6], &[next, 0, 0, 8, 0, 0, 0, 9]));
    let six = FragmentId {
        addresses: Addresses::V6 { source: OUTER_A_V6, destination: OUTER_B_V6 },
        id: 9,
        protocol: 0,
    };
    is_fragment(&v6(17), Fragment::Later(six));
    is_fragment(&v6(6), Fragment::Later(six));
}

fn v6_2152(next: u8, chain: &[u8]) -> Vec<u8> {
    let datagram = udp(2152, 2152, &gtp(0x30, 255, &user_v4()));
    eth(0x86dd, &ipv6(next, [OUTER_A_V6, OUTER_B_V6], &cat(&[chain, &datagram])))
}

#[test]
fn hostile_47_ipv6_payload_length_zero_and_jumbograms() {
    let mut frame = v6_2152(17, &[]);
    frame[18..20].copy_from_slice(&[0, 0]);
    user(&frame, inner(), None);
    let inside = ipv6(17, [USER_V6, SERVER_V6], &udp(1, 2, &[]));
    let mut zero = inside.clone();
    zero[4..6].copy_from_slice(&[0, 0]);
    user(&tunnelled(&zero), inner_v6(), None);
    // A jumbo payload option, RFC 2675 2, that claims a gigabyte.
    let mut frame = v6_2152(0, &[17, 0, 0xc2, 4, 0x40, 0, 0, 0]);
    frame[18..20].copy_from_slice(&[0, 0]);
    user(&frame, inner(), None);
}

#[test]
fn hostile_48_hop_by_hop_beyond_the_end() {
    let frame = eth(0x86dd, &ipv6(0, [OUTER_A_V6, OUTER_B_V6], &[17, 255, 0, 0, 0, 0, 0, 0, 0, 0]));
    other(&frame, outer_v6(), Ipv6ExtTruncated);
    let inside = ipv6(0, [USER_V6, SERVER_V6], &[17, 255, 0, 0, 0, 0, 0, 0, 0, 0]);
    user(&tunnelled(&inside), inner_v6(), Ipv6ExtTruncated);
}

#[test]
fn hostile_49_100_destination_options() {
    let chain = |count: usize| {
        let mut chain = [60, 0, 1, 4, 0, 0, 0, 0].repeat(count);
        chain[(count - 1) * 8] = 17;
        chain
    };
    user(&v6_2152(60, &chain(16)), inner(), None);
    other(&v6_2152(60, &chain(17)), outer_v6(), TooManyLayers);
    other(&v6_2152(60, &chain(100)), outer_v6(), TooManyLayers);
    let inside = ipv6(60, [USER_V6, SERVER_V6], &chain(100));
    user(&tunnelled(&inside), inner_v6(), TooManyLayers);
}

#[test]
fn hostile_50_routing_header_type_0() {
    let mut routing = std::vec![17, 2, 0, 1, 0, 0, 0, 0];
    routing.extend(9_u128.to_be_bytes());
    user(&v6_2152(43, &routing), inner(), None);
}

#[test]
fn hostile_51_atomic_fragment() {
    let frame = v6_2152(44, &[17, 0, 0, 0, 0, 0, 0, 9]);
    user(&frame, inner(), None);
    is_fragment(&frame, Fragment::None);
}

#[test]
fn hostile_52_two_fragment_headers() {
    let six = |id| FragmentId {
        addresses: Addresses::V6 { source: OUTER_A_V6, destination: OUTER_B_V6 },
        id,
        protocol: 0,
    };
    let frame = v6_2152(44, &[44, 0, 0, 1, 0, 0, 0, 8, 17, 0, 0, 1, 0, 0, 0, 9]);
    user(&frame, inner(), None);
    is_fragment(&frame, Fragment::First(six(8)));
    let frame = v6_2152(44, &[44, 0, 0, 0, 0, 0, 0, 8, 17, 0, 0, 8, 0, 0, 0, 9]);
    other(&frame, outer_v6(), None);
    is_fragment(&frame, Fragment::Later(six(9)));
    let frame = v6_2152(44, &[44, 0, 0, 1, 0, 0, 0, 8, 17, 0, 0, 8, 0, 0, 0, 9]);
    other(&frame, outer_v6(), None);
    is_fragment(&frame, Fragment::Later(six(9)));
}

#[test]
fn hostile_53_authentication_and_encryption() {
    let header = [17, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2];
    user(&v6_2152(51, &header), inner(), None);
    let datagram = udp(2152, 2152, &gtp(0x30, 255, &user_v4()));
    let v4 = |bytes: &[u8]| eth(0x0800, &ipv4(51, [OUTER_A, OUTER_B], bytes));
    user(&v4(&cat(&[&header, &datagram])), inner(), None);
    other(&v4(&header[..11]), outer(), IpTruncated);
    other(&v4(&[51, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].repeat(17)), outer(), TooManyLayers);
    other(&v6_2152(51, &header[..8])[..60], outer_v6(), Ipv6ExtTruncated);
    other(&v6_2152(50, &[]), outer_v6(), None);
    other(&eth(0x0800, &ipv4(50, [OUTER_A, OUTER_B], &datagram)), outer(), None);
}

#[test]
fn hostile_54_no_next_header() {
    other(&v6_2152(59, &[]), outer_v6(), None);
    user(&tunnelled(&ipv6(59, [USER_V6, SERVER_V6], &[1, 2, 3])), inner_v6(), None);
}

#[test]
fn hostile_55_extension_header_cut_at_every_byte() {
    for kind in [0, 43, 44, 51, 60, 135, 139, 140] {
        // Authentication counts in 4 bytes, without 2; the others in 8, without 1.
        let length = if kind == 51 { 4 } else { 2 };
        let header = cat(&[&[17, length], &[0; 22]]);
        let needed = if kind == 44 { 8 } else { 24 };
        for cut in 0..needed {
            let frame = eth(0x86dd, &ipv6(kind, [OUTER_A_V6, OUTER_B_V6], &header[..cut]));
            other(&frame, outer_v6(), Ipv6ExtTruncated);
            let inside = ipv6(kind, [USER_V6, SERVER_V6], &header[..cut]);
            user(&tunnelled(&inside), inner_v6(), Ipv6ExtTruncated);
        }
        let frame = eth(0x86dd, &ipv6(kind, [OUTER_A_V6, OUTER_B_V6], &header[..needed]));
        other(&frame, outer_v6(), UdpTruncated);
    }
}

#[test]
fn hostile_56_udp_length_and_checksum() {
    let message = gtp(0x30, 255, &user_v4());
    let right = 8 + message.len() as u16;
    let frame = |length: u16, checksum: u16| {
        let mut datagram = udp_raw([2152, 2152], length, &message);
        datagram[6..8].copy_from_slice(&checksum.to_be_bytes());
        eth(0x0800, &ipv4(17, [OUTER_A, OUTER_B], &datagram))
    };
    for checksum in [0, 0x1234] {
        user(&frame(right, checksum), inner(), None);
    }
    user(&frame(0, 0), inner(), None);
    for length in 1..8 {
        user(&frame(length, 0), outer(), UdpBadLength);
    }
    user(&frame(right + 1, 0), inner(), UdpBadLength);
    user(&frame(0xffff, 0), inner(), UdpBadLength);
    user(&frame(right - 1, 0), inner(), None);
    user(&frame(8 + 8 + 19, 0), tunnel(), IpTruncated);
    // Cut by the capture: the datagram's length is no lie.
    let whole = frame(right, 0);
    user(&whole[..whole.len() - 1], inner(), None);
    // IPv6, where 0 is allowed for tunnels: RFC 6935.
    user(&v6_2152(17, &[]), inner(), None);
    // The user's own datagram is not judged.
    let inside = ipv4(17, [USER, SERVER], &udp_raw([1, 2], 3, &[]));
    user(&tunnelled(&inside), inner(), None);
}

#[test]
fn hostile_56_udp_header_cut() {
    let datagram = udp(2152, 2152, &[]);
    for cut in 0..8 {
        let frame = eth(0x0800, &ipv4(17, [OUTER_A, OUTER_B], &datagram[..cut]));
        // The ports are the class, as soon as both are there.
        let class = if cut < 4 { TrafficClass::Other } else { TrafficClass::GtpU };
        expect(&frame, class, outer(), UdpTruncated);
    }
}

#[test]
fn hostile_57_tcp_offset() {
    let segment = tcp(1, 2);
    let frame = |offset: u8| {
        let mut segment = segment.clone();
        segment[12] = offset << 4;
        segment
    };
    for offset in 0..16 {
        let why = (!matches!(offset, 5 | 6)).then_some(TcpBadOffset);
        other(&eth(0x0800, &ipv4(6, [OUTER_A, OUTER_B], &frame(offset))), outer(), why);
        // The user's own segment is not judged.
        user(&tunnelled(&ipv4(6, [USER, SERVER], &frame(offset))), inner(), None);
    }
    for cut in 0..20 {
        other(&eth(0x0800, &ipv4(6, [OUTER_A, OUTER_B], &segment[..cut])), outer(), TcpTruncated);
        user(&tunnelled(&ipv4(6, [USER, SERVER], &segment[..cut])), inner(), None);
    }
    // Options cut off by the capture are not a wrong offset.
    let cut = eth(0x0800, &ipv4_raw(0x45, 60, 0, 6, [OUTER_A, OUTER_B], &frame(10)));
    other(&cut, outer(), TcpTruncated);
}

#[test]
fn hostile_57_sctp_header_cut() {
    for cut in 0..12 {
        other(&eth(0x0800, &ipv4(132, [OUTER_A, OUTER_B], &[0; 12][..cut])), outer(), SctpTruncated);
    }
}

#[test]
fn hostile_58_families_never_collide() {
    let four = ipv4(1, [[0, 0, 0, 1], [0, 0, 0, 2]], &[8, 0, 0, 0, 0, 0, 0, 0]);
    let six = ipv6(58, [1, 2], &[128, 0, 0, 0, 0, 0, 0, 0]);
    user(&tunnelled(&four), Key::Inner(Pair::V4(1, 2)), None);
    user(&tunnelled(&six), Key::Inner(Pair::V6(1, 2)), None);
    assert_ne!(Key::Inner(Pair::V4(1, 2)), Key::Inner(Pair::V6(1, 2)));
    other(&eth(0x0800, &four), Key::Outer(Pair::V4(1, 2)), None);
    other(&eth(0x86dd, &six), Key::Outer(Pair::V6(1, 2)), None);
}

// L2.

#[test]
fn hostile_59_frames_of_less_than_14_bytes() {
    other(&[], Key::Frame(0), LinkTruncated);
    let frame = tunnelled(&user_v4());
    for cut in 1..14 {
        let bytes = frame[..cut].iter().fold(0, |all, byte| all << 8 | u128::from(*byte));
        other(&frame[..cut], Key::Frame(bytes), LinkTruncated);
    }
    other(&frame[..14], macs(), IpTruncated);
}

#[test]
fn hostile_60_vlan_tags() {
    let kinds = [0x8100_u16, 0x88a8, 0x9100, 0x8100, 0x88a8, 0x9100, 0x8100, 0x8100, 0x8100];
    let good = tunnelled(&user_v4());
    let tagged = |count: usize| {
        let mut frame = good[..12].to_vec();
        for kind in &kinds[..count] {
            frame.extend(kind.to_be_bytes());
            frame.extend([0, 7]);
        }
        frame.extend_from_slice(&good[12..]);
        frame
    };
    for count in 0..=8 {
        user(&tagged(count), inner(), None);
    }
    other(&tagged(9), macs(), TooManyLayers);
    let eight = tagged(8);
    for cut in 14..14 + 8 * 4 {
        other(&eight[..cut], macs(), VlanTruncated);
    }
}

#[test]
fn hostile_61_mpls_without_bottom() {
    let labels = |count: usize| eth(0x8847, &[0, 1, 0, 64].repeat(count));
    other(&labels(0), macs(), MplsTruncated);
    other(&labels(8), macs(), TooManyLayers);
    other(&labels(100), macs(), TooManyLayers);
    for cut in 0..32 {
        other(&labels(8)[..14 + cut], macs(), MplsTruncated);
    }
    let packet = ipv4(17, [OUTER_A, OUTER_B], &udp(2152, 2152, &gtp(0x30, 255, &user_v4())));
    let stack = |count: usize| cat(&[&[0, 1, 0, 64].repeat(count), &[0, 1, 1, 64]]);
    user(&eth(0x8847, &cat(&[&stack(7), &packet])), inner(), None);
    other(&eth(0x8848, &cat(&[&stack(8), &packet])), macs(), TooManyLayers);
    other(&eth(0x8847, &stack(1)), macs(), None);
    // Pseudowires inside pseudowires share one limit.
    let mut frame = eth(0x0800, &packet);
    for _ in 0..9 {
        frame = eth(0x8847, &cat(&[&[0, 1, 1, 64, 0, 0, 0, 0], &frame]));
    }
    other(&frame, macs(), TooManyLayers);
}

#[test]
fn hostile_62_length_field() {
    let snap = cat(&[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &user_v4()]);
    let plain = Key::Outer(v4(USER, SERVER));
    other(&eth(snap.len() as u16, &snap), plain, None);
    other(&eth(1500, &snap), plain, None);
    other(&eth(1501, &snap), macs(), None);
    other(&eth(0, &snap), macs(), None);
    other(&eth(27, &snap), macs(), IpTruncated);
    for length in 3..8 {
        other(&eth(length, &snap), macs(), LinkTruncated);
    }
    other(&eth(40, &[0x42, 0x42, 3, 0, 0]), macs(), None);
    other(&eth(40, &[0x42, 0x42]), macs(), LinkTruncated);
}

#[test]
fn hostile_63_runt() {
    other(&[0; 60], Key::Frame(0), None);
    let mut frame = eth(0x0800, &ipv4(17, [OUTER_A, OUTER_B], &udp(9, 2152, &[])));
    frame.resize(60, 0);
    user(&frame, outer(), GtpShort);
}

#[test]
fn hostile_64_jumbo_frame() {
    let inside = ipv4(17, [USER, SERVER], &udp(1, 2, &[0xaa; 9216 - 14 - 36 - 28]));
    let frame = tunnelled(&inside);
    assert_eq!(frame.len(), 9216);
    user(&frame, inner(), None);
    // Headers split over segments are put together before they are read. What can be read before
    // is never more than what the whole frame gives.
    for cut in 78..frame.len() {
        user(&frame[..cut], inner(), None);
    }
}

#[test]
fn hostile_66_unknown_ether_types() {
    for kind in [0x8863, 0x8864, 0x88e7, 0x88c8, 0x0806, 0xffff, 0x0600] {
        other(&eth(kind, &user_v4()), macs(), None);
    }
}

// GTP-C, PFCP and GTP′ headers.

fn on_port(port: u16, message: &[u8]) -> Vec<u8> {
    eth(0x0800, &ipv4(17, [OUTER_A, OUTER_B], &udp(port, port, message)))
}

#[track_caller]
fn gtpc(message: &[u8], why: impl Into<Option<Malformed>>) {
    expect(&on_port(2123, message), TrafficClass::GtpC, outer(), why);
}

#[test]
fn hostile_67_gtpc_teid_flag_with_a_short_header() {
    let message = [0x48, 32, 0, 8, 0, 0, 0, 1, 0, 0, 1, 0];
    gtpc(&message, None);
    for cut in 0..12 {
        gtpc(&message[..cut], GtpcShort);
    }
    let message = [0x32, 16, 0, 4, 0, 0, 0, 1, 0, 1, 0, 0];
    gtpc(&message, None);
    for cut in 0..12 {
        gtpc(&message[..cut], GtpcShort);
    }
    for version in [0, 3, 7] {
        gtpc(&[version << 5, 32, 0, 4, 0, 0, 1, 0], GtpcVersion);
    }
}

#[test]
fn hostile_68_gtpc_length() {
    for length in [0, 1, 7, 9, 0xffff] {
        let [l0, l1] = u16::to_be_bytes(length);
        gtpc(&[0x48, 32, l0, l1, 0, 0, 0, 1, 0, 0, 1, 0], GtpcLength);
    }
    for length in [0, 3, 5, 0xffff] {
        let [l0, l1] = u16::to_be_bytes(length);
        gtpc(&[0x40, 1, l0, l1, 0, 0, 1, 0], GtpcLength);
        gtpc(&[0x32, 16, l0, l1, 0, 0, 0, 1, 0, 1, 0, 0], GtpcLength);
    }
    // Cut by the capture, it is no lie.
    let whole = on_port(2123, &[0x48, 32, 0, 12, 0, 0, 0, 1, 0, 0, 1, 0, 3, 0, 0, 0]);
    expect(&whole[..whole.len() - 2], TrafficClass::GtpC, outer(), None);
}

#[test]
fn hostile_69_gtpc_piggyback() {
    let first = [0x58, 33, 0, 8, 0, 0, 0, 1, 0, 0, 1, 0];
    let second = [0x48, 95, 0, 8, 0, 0, 0, 1, 0, 0, 2, 0];
    gtpc(&cat(&[&first, &second]), None);
    gtpc(&cat(&[&first, &[0x48, 95, 0, 0, 0, 0, 0, 1, 0, 0, 2, 0]]), GtpcLength);
    gtpc(&cat(&[&first, &[0x48, 95, 0, 9, 0, 0, 0, 1, 0, 0, 2, 0]]), GtpcLength);
    gtpc(&cat(&[&first, &[0x68, 95, 0, 8, 0, 0, 0, 1, 0, 0, 2, 0]]), GtpcVersion);
    for cut in 0..second.len() {
        gtpc(&cat(&[&first, &second[..cut]]), GtpcShort);
    }
    // A third is not looked for.
    gtpc(&cat(&[&first, &first, &[0xff]]), None);
}

#[test]
fn hostile_79_pfcp_header() {
    let pfcp = |message: &[u8], why: Option<Malformed>| {
        expect(&on_port(8805, message), TrafficClass::Pfcp, outer(), why);
    };
    let session = [0x21, 50, 0, 12, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0];
    pfcp(&session, None);
    for cut in 1..16 {
        pfcp(&session[..cut], Some(PfcpShort));
    }
    pfcp(&[], Some(PfcpShort));
    for version in [0, 2, 7] {
        pfcp(&[version << 5, 1, 0, 4, 0, 0, 1, 0], Some(PfcpVersion));
    }
    for length in [0, 3, 5, 0xffff] {
        let [l0, l1] = u16::to_be_bytes(length);
        pfcp(&[0x20, 1, l0, l1, 0, 0, 1, 0], Some(PfcpLength));
    }
    let mut wrong = session;
    wrong[3] = 11;
    pfcp(&wrong, Some(PfcpLength));
}

#[test]
fn hostile_gtp_prime_header() {
    let prime = |message: &[u8], why: Option<Malformed>| {
        expect(&on_port(3386, message), TrafficClass::GtpPrime, outer(), why);
    };
    let message = [0x4e, 240, 0, 2, 0, 1, 1, 2];
    prime(&message, None);
    for cut in 0..6 {
        prime(&message[..cut], Some(GtpPrimeShort));
    }
    prime(&message[..7], Some(GtpPrimeLength));
    prime(&[0x5e, 240, 0, 0, 0, 1], Some(GtpPrimeProtocolType));
}
