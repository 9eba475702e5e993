//! Tests of the whole walk. The small builders here share nothing with the views.

mod any_message;
mod elements;
mod hostile;
mod messages;
mod properties;
mod reading;
mod unpacking;

use core::fmt::Debug;
use std::vec::Vec;

use types::{Key, LinkType, Malformed, Pair, Teid, TrafficClass, TunnelKey};

use crate::{Dissection, dissect, tpdu};

const MAC_A: [u8; 6] = [2, 0, 0, 0, 0, 0xa];
const MAC_B: [u8; 6] = [2, 0, 0, 0, 0, 0xb];
const OUTER_A: [u8; 4] = [10, 1, 0, 1];
const OUTER_B: [u8; 4] = [10, 1, 0, 2];
const USER: [u8; 4] = [10, 45, 0, 2];
const SERVER: [u8; 4] = [8, 8, 8, 8];
const TEID: u32 = 0x1122_3344;
const USER_V6: u128 = 0x2001_0db8_0001_0000_0000_0000_0000_0002;
const SERVER_V6: u128 = 0x2001_0db8_ffff_0000_0000_0000_0000_0001;
const OUTER_A_V6: u128 = 0xfd00_0000_0000_0000_0000_0000_0000_000a;
const OUTER_B_V6: u128 = 0xfd00_0000_0000_0000_0000_0000_0000_000b;

/// A value is read as it is, with more behind it, and from its first `least` bytes on; of fewer comes
/// this error.
#[track_caller]
pub(crate) fn every_length<T: PartialEq + Debug, E: PartialEq + Debug>(
    value: &[u8],
    least: usize,
    read: impl Fn(&[u8]) -> Result<T, E>,
    wanted: T,
    error: E,
) {
    let longer = [value, &[0xff; 3]].concat();
    let (wanted, error) = (Ok(wanted), Err(error));
    for cut in 0..=longer.len() {
        let expected = if cut < least { &error } else { &wanted };
        assert_eq!(&read(&longer[..cut]), expected, "{cut}");
    }
}

fn cat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn eth(kind: u16, payload: &[u8]) -> Vec<u8> {
    cat(&[&MAC_B, &MAC_A, &kind.to_be_bytes(), payload])
}

/// An IPv4 packet of any first byte; options as the first byte says are part of `payload`.
fn ipv4_raw(
    first: u8,
    total: u16,
    fragment: u16,
    protocol: u8,
    ends: [[u8; 4]; 2],
    payload: &[u8],
) -> Vec<u8> {
    let [source, destination] = ends;
    let [t0, t1] = total.to_be_bytes();
    let [f0, f1] = fragment.to_be_bytes();
    let fixed = [first, 0, t0, t1, 0x77, 0x07, f0, f1, 64, protocol, 0, 0];
    cat(&[&fixed, &source, &destination, payload])
}

fn ipv4(protocol: u8, ends: [[u8; 4]; 2], payload: &[u8]) -> Vec<u8> {
    ipv4_raw(0x45, 20 + payload.len() as u16, 0, protocol, ends, payload)
}

fn ipv6(next: u8, ends: [u128; 2], payload: &[u8]) -> Vec<u8> {
    let [l0, l1] = (payload.len() as u16).to_be_bytes();
    let [source, destination] = ends.map(u128::to_be_bytes);
    cat(&[&[0x60, 0, 0, 0, l0, l1, next, 64], &source, &destination, payload])
}

fn udp_raw(ports: [u16; 2], length: u16, payload: &[u8]) -> Vec<u8> {
    let [source, destination] = ports.map(u16::to_be_bytes);
    cat(&[&source, &destination, &length.to_be_bytes(), &[0, 0], payload])
}

fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    udp_raw([source, destination], 8 + payload.len() as u16, payload)
}

fn tcp(source: u16, destination: u16) -> Vec<u8> {
    let [source, destination] = [source, destination].map(u16::to_be_bytes);
    cat(&[&source, &destination, &[0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 1, 0, 0, 0, 0, 0], b"data"])
}

/// A GTP-U message whose length is right for what follows its first 8 bytes.
fn gtp_raw(flags: u8, kind: u8, length: u16, teid: u32, after: &[u8]) -> Vec<u8> {
    cat(&[&[flags, kind], &length.to_be_bytes(), &teid.to_be_bytes(), after])
}

fn gtp(flags: u8, kind: u8, after: &[u8]) -> Vec<u8> {
    gtp_raw(flags, kind, after.len() as u16, TEID, after)
}

/// A frame with these bytes as the payload of UDP/2152.
fn on_2152(message: &[u8]) -> Vec<u8> {
    eth(0x0800, &ipv4(17, [OUTER_A, OUTER_B], &udp(2152, 2152, message)))
}

/// A T-PDU with these bytes inside.
fn tunnelled(inside: &[u8]) -> Vec<u8> {
    on_2152(&gtp(0x30, 255, inside))
}

fn user_v4() -> Vec<u8> {
    ipv4(17, [USER, SERVER], &udp(40_000, 53, b"query"))
}

fn user_v6() -> Vec<u8> {
    ipv6(6, [USER_V6, SERVER_V6], &tcp(50_000, 443))
}

/// Optional fields, and a PDU session container: uplink, QFI 9.
const SESSION: [u8; 8] = [0, 0, 0, 0x85, 1, 0x10, 9, 0];

fn with_session(inside: &[u8]) -> Vec<u8> {
    on_2152(&gtp(0x34, 255, &cat(&[&SESSION, inside])))
}

fn v4(a: [u8; 4], b: [u8; 4]) -> Pair {
    Pair::v4(u32::from_be_bytes(a), u32::from_be_bytes(b))
}

fn inner() -> Key {
    Key::Inner(v4(USER, SERVER))
}

fn inner_v6() -> Key {
    Key::Inner(Pair::v6(USER_V6, SERVER_V6))
}

fn tunnel() -> Key {
    tunnel_of(TEID)
}

fn tunnel_of(teid: u32) -> Key {
    Key::Tunnel(TunnelKey { receiver: core::net::IpAddr::from(OUTER_B), teid: Teid(teid) })
}

fn outer() -> Key {
    Key::Outer(v4(OUTER_A, OUTER_B))
}

fn outer_v6() -> Key {
    Key::Outer(Pair::v6(OUTER_A_V6, OUTER_B_V6))
}

fn macs() -> Key {
    Key::Frame(0x0200_0000_000a_0200_0000_000b)
}

/// Dissects, and holds what must be true of any frame.
fn look(link: LinkType, frame: &[u8]) -> Dissection {
    let found = dissect(link, frame);
    match found.key {
        Key::Inner(_) => assert_eq!(found.class, TrafficClass::GtpU),
        Key::Tunnel(_) => {
            assert_eq!(found.class, TrafficClass::GtpU);
            assert_eq!(found.ports, types::FlowPorts::default());
        }
        Key::Outer(_) => {}
        Key::Frame(_) => {
            assert_eq!(found.class, TrafficClass::Other);
            assert_eq!(found.ports, types::FlowPorts::default());
        }
    }
    if link == LinkType::Ethernet {
        if let Some(fast) = tpdu::<true>(frame) {
            let long = Dissection { layers: found.layers, ..expected_of(fast) };
            assert_eq!(found, long, "{frame:02x?}");
            agree(&found.layers, fast, frame);
        }
        if let Some(fast) = tpdu::<false>(frame) {
            assert_eq!(found.key, Key::Inner(fast.addresses.pair()), "{frame:02x?}");
            agree(&found.layers, fast, frame);
            assert_eq!((found.class, found.malformed), (TrafficClass::GtpU, None));
            assert_eq!(found.fragment, crate::Fragment::None);
            assert_eq!(found.ports.protocol, fast.ports.protocol);
        }
    }
    found
}

/// Both ways tell the same of the tunnel and the packet in it.
#[track_caller]
fn agree(long: &crate::Layers, fast: crate::Tpdu, frame: &[u8]) {
    let v4 = |address: u32| std::net::IpAddr::V4(address.into());
    assert_eq!(long.tunnel, Some(TunnelKey { receiver: v4(fast.receiver), teid: fast.teid }));
    assert_eq!(long.ends.map(|ends| ends.addresses.source()), Some(v4(fast.sender)));
    let user = crate::User { addresses: fast.addresses, bytes: fast.bytes };
    assert_eq!(long.user, Some(user), "{frame:02x?}");
    assert_eq!(long.pdu_session.and_then(|session| session.toward), fast.toward, "{frame:02x?}");
    assert!(long.t_pdu && !long.quoted);
}

fn expected_of(fast: crate::Tpdu) -> Dissection {
    Dissection {
        class: TrafficClass::GtpU,
        key: Key::Inner(fast.addresses.pair()),
        malformed: None,
        fragment: crate::Fragment::None,
        ports: fast.ports,
        layers: crate::Layers::default(),
    }
}

#[track_caller]
fn expect(frame: &[u8], class: TrafficClass, key: Key, malformed: impl Into<Option<Malformed>>) {
    let found = look(LinkType::Ethernet, frame);
    assert_eq!((found.class, found.key, found.malformed), (class, key, malformed.into()), "{frame:02x?}");
}

/// Of class `gtp_u`.
#[track_caller]
fn user(frame: &[u8], key: Key, malformed: impl Into<Option<Malformed>>) {
    expect(frame, TrafficClass::GtpU, key, malformed);
}

/// Of class `other`.
#[track_caller]
fn other(frame: &[u8], key: Key, malformed: impl Into<Option<Malformed>>) {
    expect(frame, TrafficClass::Other, key, malformed);
}

/// Good frames of every kind that is read, all Ethernet.
fn seeds() -> Vec<Vec<u8>> {
    let v6_chain = cat(&[
        &[43, 0, 1, 4, 0, 0, 0, 0],
        &[44, 0, 4, 0, 0, 0, 0, 0],
        &[51, 0, 0, 0, 0, 0, 0, 7],
        &[60, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2],
        &[17, 0, 1, 4, 0, 0, 0, 0],
        &udp(2152, 2152, &gtp(0x30, 255, &user_v4())),
    ]);
    let quoted = ipv4(17, [OUTER_A, OUTER_B], &udp(2152, 2152, &gtp(0x30, 255, &user_v4())));
    let plain = ipv4(17, [OUTER_A, OUTER_B], &udp(2152, 2152, &gtp(0x30, 255, &user_v4())));
    std::vec![
        tunnelled(&user_v4()),
        tunnelled(&user_v6()),
        with_session(&user_v4()),
        with_session(&user_v6()),
        eth(0x8100, &cat(&[&[0, 7, 0x88, 0xa8, 0, 8, 0x08, 0x00], &plain])),
        eth(0x8847, &cat(&[&[0, 1, 0, 64, 0, 2, 1, 64], &plain])),
        eth(0x8847, &cat(&[&[0, 1, 1, 64, 0, 0, 0, 0], &eth(0x0800, &plain)])),
        eth(0x86dd, &ipv6(0, [OUTER_A_V6, OUTER_B_V6], &v6_chain)),
        eth(0x0800, &ipv4(1, [OUTER_B, OUTER_A], &cat(&[&[3, 3, 0, 0, 0, 0, 0, 0], &quoted]))),
        eth(
            0x0800,
            &ipv4(47, [SERVER, OUTER_A], &cat(&[&[0x30, 0, 0x08, 0, 0, 0, 0, 1, 0, 0, 0, 2], &plain]))
        ),
        eth(
            0x0800,
            &ipv4(
                47,
                [SERVER, OUTER_A],
                &cat(&[
                    &[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1],
                    &[0x10, 0, 0, 0, 0, 0, 0, 0],
                    &eth(0x0800, &plain)
                ])
            )
        ),
        eth(0x0800, &ipv4(4, [SERVER, OUTER_A], &plain)),
        eth(
            0x0800,
            &ipv4(
                17,
                [SERVER, OUTER_A],
                &udp(1, 4789, &cat(&[&[8, 0, 0, 0, 0, 0, 1, 0], &eth(0x0800, &plain)]))
            )
        ),
        on_2152(&gtp_raw(0x32, 26, 18, 0, &[0, 0, 0, 0, 16, 0, 0, 0, 7, 133, 0, 4, 10, 0, 0, 1, 0, 0])),
        on_2152(&gtp(0x30, 254, &[])),
        on_2152(&gtp_raw(0x32, 1, 4, 0, &[0, 1, 0, 0])),
        eth(
            0x0800,
            &ipv4(17, [OUTER_A, OUTER_B], &udp(2123, 2123, &[0x48, 32, 0, 8, 0, 0, 0, 9, 0, 0, 1, 0]))
        ),
        eth(
            0x0800,
            &ipv4(17, [OUTER_A, OUTER_B], &udp(2123, 2123, &[0x32, 16, 0, 4, 0, 0, 0, 9, 0, 1, 0, 0]))
        ),
        eth(0x0800, &ipv4(17, [OUTER_A, OUTER_B], &udp(8805, 8805, &[0x20, 1, 0, 4, 0, 0, 1, 0]))),
        eth(0x0800, &ipv4(17, [OUTER_A, OUTER_B], &udp(3386, 3386, &[0x4e, 240, 0, 0, 0, 1]))),
        eth(0x0800, &ipv4(6, [USER, SERVER], &tcp(1, 2))),
        eth(0x86dd, &ipv6(132, [USER_V6, SERVER_V6], &[0x96, 0x0c, 0x96, 0x0c, 0, 0, 0, 1, 0, 0, 0, 0])),
        eth(0x0800, &ipv4_raw(0x45, 60, 0x2000, 17, [OUTER_A, OUTER_B], &plain[20..])),
    ]
}
