//! Tunnels that nobody told of: from the packet on that shows the address of its UE, all packets with it are
//! where its pin is, in whichever tunnel they come.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use balance::Mode;
use common::{Own, plan, to_files};
use testkit::{Gtpu, Ipv4, Ipv6, Packet};
use types::{Key, Pair};
use wire::Decap;

const PROBES: usize = 64;

/// Who sends into a tunnel, who receives, and the TEID.
type Tunnel = (Ipv4Addr, Ipv4Addr, u32);

const ENB: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const OTHER_ENB: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const SGW: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

const DOWN: Tunnel = (SGW, ENB, 1);
const UP: Tunnel = (ENB, SGW, 2);
const NEW_DOWN: Tunnel = (SGW, OTHER_ENB, 3);

const fn v4(n: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, n))
}

const fn v6(n: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, n, 0, 0, 0, 1))
}

const fn server(n: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, n))
}

const SERVER_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1));

/// Packets, and where each has to be.
#[derive(Default)]
struct Story {
    frames: Vec<(u64, Vec<u8>)>,
    wanted: Vec<u64>,
}

impl Story {
    /// A packet so many milliseconds after the start.
    fn packet(&mut self, ms: u64, (sender, receiver, teid): Tunnel, from: IpAddr, to: IpAddr, pin: u64) {
        let mut bytes = Vec::new();
        let mut packet = Packet::new(&mut bytes);
        packet.ethernet([2; 6], [4; 6]).ipv4(&Ipv4::new(sender, receiver)).udp(2152, 2152);
        packet.gtpu(&Gtpu::t_pdu(teid));
        match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => packet.ipv4(&Ipv4::new(from, to)),
            (IpAddr::V6(from), IpAddr::V6(to)) => packet.ipv6(&Ipv6::new(from, to)),
            _ => panic!("{from} {to}"),
        };
        packet.udp(1, 2).payload(&self.frames.len().to_be_bytes()).finish();
        self.frames.push((ms * 1_000_000, bytes));
        self.wanted.push(pin);
    }

    fn holds(self) {
        let plan = plan(PROBES, Mode::Session);
        let wanted = self.wanted.iter().map(|pin| plan.balancer.session(*pin).unwrap().first.0);
        let wanted: Vec<_> = wanted.map(usize::from).collect();
        let outcome = to_files(&plan, Own(self.frames.clone().into()), 2, Decap::default());
        let place = |(_, frame): &(u64, Vec<u8>)| {
            outcome.probes.iter().position(|probe| probe.iter().any(|packet| packet.bytes == *frame)).unwrap()
        };
        let found: Vec<_> = self.frames.iter().map(place).collect();
        assert_eq!(found, wanted);
    }
}

fn by_user(address: IpAddr) -> u64 {
    plan(1, Mode::Session).cluster.pin_ue(address, None)
}

fn by_pair(a: IpAddr, b: IpAddr) -> u64 {
    let pair = match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => Pair::v4(a.to_bits(), b.to_bits()),
        (IpAddr::V6(a), IpAddr::V6(b)) => Pair::v6(a.to_bits(), b.to_bits()),
        _ => panic!("{a} {b}"),
    };
    plan(1, Mode::Session).cluster.pin(&Key::Inner(pair))
}

/// A downlink tunnel that is clear to be of user 1.
fn of_user_1() -> Story {
    let mut story = Story::default();
    for (ms, n) in [(0, 1), (30, 2), (31, 1)] {
        let pin = if ms == 0 { by_pair(v4(1), server(1)) } else { by_user(v4(1)) };
        story.packet(ms, DOWN, server(n), v4(1), pin);
    }
    story
}

#[test]
fn a_tunnel_that_another_has_now_shows_its_address_as_any_does() {
    let mut story = of_user_1();
    let (first, second) = (by_pair(v4(2), server(3)), by_user(v4(2)));
    story.packet(40, UP, v4(2), server(3), first);
    story.packet(70, DOWN, server(3), v4(2), first);
    story.packet(71, UP, v4(2), server(3), first);
    // The second peer.
    story.packet(72, DOWN, server(4), v4(2), second);
    story.packet(73, UP, v4(2), server(3), second);
    story.packet(74, DOWN, server(3), v4(2), second);
    story.holds();
}

#[test]
fn a_packet_that_waits_shows_it_too() {
    let mut story = Story::default();
    let (first, second) = (by_pair(v4(2), server(3)), by_user(v4(2)));
    story.packet(0, UP, v4(2), server(3), first);
    story.packet(30, UP, v4(2), server(3), first);
    // They go when it is known whose they are, or after 20 ms.
    story.packet(40, NEW_DOWN, server(3), v4(2), second);
    story.packet(41, UP, v4(2), server(3), first);
    story.packet(42, NEW_DOWN, server(4), v4(2), second);
    story.packet(43, UP, v4(2), server(3), second);
    story.packet(80, NEW_DOWN, server(3), v4(2), second);
    story.holds();
}

#[test]
fn the_other_address_of_a_ue_is_clear_at_once() {
    let mut story = of_user_1();
    let (first, second) = (by_pair(v6(1), SERVER_V6), by_user(v6(1)));
    story.packet(40, UP, v6(1), SERVER_V6, first);
    story.packet(70, UP, v6(1), SERVER_V6, first);
    story.packet(71, DOWN, SERVER_V6, v6(1), second);
    story.packet(72, UP, v6(1), SERVER_V6, second);
    story.packet(73, DOWN, server(1), v4(1), by_user(v4(1)));
    story.holds();
}

#[test]
fn a_server_that_two_ues_had_in_one_tunnel_is_no_ue() {
    let mut story = of_user_1();
    // User 2 had this tunnel, user 1 has it now.
    story.packet(40, NEW_DOWN, server(9), v4(2), by_pair(v4(2), server(9)));
    story.packet(70, NEW_DOWN, server(9), v4(1), by_user(v4(1)));
    story.packet(71, NEW_DOWN, server(8), v4(1), by_user(v4(1)));
    // Others who talk to it do not go with it.
    story.packet(80, UP, v4(3), server(9), by_pair(v4(3), server(9)));
    story.packet(110, UP, v4(3), server(9), by_pair(v4(3), server(9)));
    story.holds();
}
