//! Taking a tap's tunnel off.

use types::{LinkType, Malformed};

use super::*;
use crate::{Decap, Unpack, unpack};

const ALL: Decap = Decap { vxlan: true, gre: true, erspan: true };
const TAP: [[u8; 4]; 2] = [[172, 16, 0, 1], [172, 16, 0, 2]];

fn mirrored() -> Vec<u8> {
    with_session(&user_v4())
}

fn in_vxlan(flags: u8, frame: &[u8]) -> Vec<u8> {
    eth(0x0800, &ipv4(17, TAP, &udp(50_000, 4789, &cat(&[&[flags, 0, 0, 0, 0, 0, 1, 0], frame]))))
}

fn in_gre(header: &[u8], payload: &[u8]) -> Vec<u8> {
    eth(0x0800, &ipv4(47, TAP, &cat(&[header, payload])))
}

/// The frame that a port would go on with.
fn unpacked(link: LinkType, frame: &[u8], allow: Decap) -> Result<Option<Vec<u8>>, Malformed> {
    match unpack(link, frame, allow) {
        Unpack::None => Ok(None),
        Unpack::Bad(why) => Err(why),
        Unpack::Inner { range, header } => {
            Ok(Some(cat(&[header.as_ref().map_or(&[], |header| &header[..]), &frame[range]])))
        }
    }
}

fn on_ethernet(frame: &[u8], allow: Decap) -> Result<Option<Vec<u8>>, Malformed> {
    unpacked(LinkType::Ethernet, frame, allow)
}

#[test]
fn tunnels_with_ethernet_inside() {
    let inside = mirrored();
    let erspan_2 = [0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 1, 0, 0, 0, 0, 0, 0];
    let erspan_3 = [0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for frame in [
        in_vxlan(8, &inside),
        in_gre(&[0, 0, 0x65, 0x58], &inside),
        in_gre(&[0xb0, 0, 0x65, 0x58, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2], &inside),
        in_gre(&[0, 0, 0x88, 0xbe], &inside),
        in_gre(&erspan_2, &inside),
        in_gre(&erspan_3, &inside),
    ] {
        assert_eq!(on_ethernet(&frame, ALL), Ok(Some(inside.clone())));
        // Padding of the outer frame is not taken for inner bytes.
        let padded = cat(&[&frame, &[0; 7]]);
        assert_eq!(on_ethernet(&padded, ALL), Ok(Some(inside.clone())));
        let tagged = cat(&[&frame[..12], &[0x81, 0, 0, 7], &frame[12..]]);
        assert_eq!(on_ethernet(&tagged, ALL), Ok(Some(inside.clone())));
        assert_eq!(unpacked(LinkType::RawIp, &frame[14..], ALL), Ok(Some(inside.clone())));
    }
    let v6 = eth(0x86dd, &ipv6(47, [1, 2], &cat(&[&[0, 0, 0x65, 0x58], &inside])));
    assert_eq!(on_ethernet(&v6, ALL), Ok(Some(inside)));
}

#[test]
fn tunnels_without_a_link_layer_get_the_outer_addresses() {
    for (kind, inside) in
        [(0x0800_u16, user_v4()), (0x86dd, user_v6()), (0x8847, std::vec![0, 1, 1, 64, 0x45])]
    {
        let [k0, k1] = kind.to_be_bytes();
        let frame = in_gre(&[0, 0, k0, k1], &inside);
        assert_eq!(on_ethernet(&frame, ALL), Ok(Some(eth(kind, &inside))));
        let none = cat(&[&[0; 12], &kind.to_be_bytes(), &inside]);
        assert_eq!(unpacked(LinkType::RawIp, &frame[14..], ALL), Ok(Some(none)));
    }
    // Frame type 2 of ERSPAN III.
    let header = [0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0x08, 0];
    assert_eq!(on_ethernet(&in_gre(&header, &user_v4()), ALL), Ok(Some(eth(0x0800, &user_v4()))));
    assert_eq!(on_ethernet(&in_gre(&header, &user_v6()), ALL), Ok(Some(eth(0x86dd, &user_v6()))));
    assert_eq!(on_ethernet(&in_gre(&header, &[0x10]), ALL), Err(Malformed::ErspanBad));
}

#[test]
fn only_what_is_allowed_is_taken_off() {
    let none = Decap::default();
    let vxlan = in_vxlan(8, &mirrored());
    let gre = in_gre(&[0, 0, 0x65, 0x58], &mirrored());
    let erspan = in_gre(&[0, 0, 0x88, 0xbe], &mirrored());
    for (own, allow) in [
        (&vxlan, Decap { vxlan: true, ..none }),
        (&gre, Decap { gre: true, ..none }),
        (&erspan, Decap { erspan: true, ..none }),
    ] {
        for frame in [&vxlan, &gre, &erspan] {
            assert_eq!(on_ethernet(frame, allow).unwrap().is_some(), frame == own);
        }
        assert_eq!(on_ethernet(own, none), Ok(None));
    }
}

#[test]
fn what_is_no_tunnel_is_left_alone() {
    for frame in [
        mirrored(),
        eth(0x0806, &[0; 28]),
        in_gre(&[0, 0, 0x88, 0xcc], &[0; 20]),
        in_gre(&[0x30, 1, 0x88, 0x0b, 0, 0, 0, 0], &[0; 20]),
        eth(0x0800, &ipv4(17, TAP, &udp(4789, 50_000, &[8, 0, 0, 0, 0, 0, 1, 0]))),
        eth(0x0800, &ipv4(17, TAP, &[0; 5])),
        std::vec![],
    ] {
        assert_eq!(on_ethernet(&frame, ALL), Ok(None));
    }
}

#[test]
fn only_one_tunnel_is_taken_off() {
    let inside = in_vxlan(8, &mirrored());
    assert_eq!(on_ethernet(&in_vxlan(8, &inside), ALL), Ok(Some(inside)));
}

#[test]
fn broken_tunnels_say_why() {
    assert_eq!(on_ethernet(&in_vxlan(0, &mirrored()), ALL), Err(Malformed::VxlanBad));
    let cut = eth(0x0800, &ipv4(17, TAP, &udp(9, 4789, &[8, 0, 0])));
    assert_eq!(on_ethernet(&cut, ALL), Err(Malformed::VxlanBad));
    assert_eq!(on_ethernet(&in_gre(&[0x20, 0, 0x65, 0x58], &[0, 0]), ALL), Err(Malformed::GreBad));
    assert_eq!(on_ethernet(&in_gre(&[0, 2, 0x65, 0x58], &mirrored()), ALL), Err(Malformed::GreBad));
    let erspan = in_gre(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1], &[0x10, 0, 0]);
    assert_eq!(on_ethernet(&erspan, ALL), Err(Malformed::ErspanBad));
    assert_eq!(on_ethernet(&in_vxlan(8, &mirrored()[..13]), ALL), Err(Malformed::LinkTruncated));
}

#[test]
fn fragments_cannot_be_unpacked() {
    for frame in [in_vxlan(8, &mirrored()), in_gre(&[0, 0, 0x65, 0x58], &mirrored()), in_vxlan(8, &[])] {
        let mut first = frame.clone();
        first[20] = 0x20;
        assert_eq!(on_ethernet(&first, ALL), Err(Malformed::DecapFragment));
    }
    let mut later = in_gre(&[0, 0, 0x65, 0x58], &mirrored());
    later[21] = 3;
    assert_eq!(on_ethernet(&later, ALL), Err(Malformed::DecapFragment));
    // Without its ports a datagram is not known to be VXLAN.
    let mut later = in_vxlan(8, &mirrored());
    later[21] = 3;
    assert_eq!(on_ethernet(&later, ALL), Ok(None));
    // A fragment of something else is not ours to judge.
    let mut first = mirrored();
    first[20] = 0x20;
    assert_eq!(on_ethernet(&first, ALL), Ok(None));
}

#[test]
fn every_shorter_prefix_is_answered_within_the_frame() {
    for seed in [in_vxlan(8, &mirrored()), in_gre(&[0, 0, 0x08, 0], &user_v4())] {
        for cut in 0..seed.len() {
            if let Unpack::Inner { range, .. } = unpack(LinkType::Ethernet, &seed[..cut], ALL) {
                assert_eq!(range.end, cut);
            }
        }
    }
}
