//! Tunnels whose control plane was not seen.

use super::*;
use crate::{Full, Pin};

fn key(receiver: IpAddr, teid: u32) -> TunnelKey {
    TunnelKey { receiver, teid: Teid(teid) }
}

impl Net {
    fn unknown(&mut self, receiver: IpAddr, teid: u32, source: IpAddr) -> (SessionId, TunnelId) {
        self.now += MS;
        self.sessions.unknown(key(receiver, teid), source, self.now, &mut self.keeper).unwrap()
    }

    fn learn(&mut self, tunnel: TunnelId, address: [u8; 4], toward: Option<Toward>) {
        self.sessions.learn_ue(tunnel, address.into(), toward, &mut self.keeper);
    }
}

#[test]
fn a_tunnel_alone() {
    let mut net = Net::new();
    let (id, tunnel) = net.unknown(SGW, 7, ENB);
    assert_eq!(net.unknown(SGW, 7, ENB), (id, tunnel), "once");
    let view = |net: &Net| net.keeper.bound[&key(SGW, 7)].1;
    assert_eq!(view(&net).pin, Pin::None);
    assert!(!view(&net).known);
    net.learn(tunnel, [10, 0, 0, 1], Some(Toward::Uplink));
    let address = IpAddr::from([10, 0, 0, 1]);
    assert_eq!(view(&net).pin, Pin::Ue { address, network: None });
    assert_eq!(view(&net).toward, Some(Toward::Uplink));
    net.learn(tunnel, [10, 0, 0, 2], None);
    assert_eq!(view(&net).ue.v4, Some([10, 0, 0, 2].into()), "learned anew");
    let record = net.sessions.record(id, |_| (2, 90)).unwrap();
    assert!(!record.known && record.imsi.is_none() && record.serving.is_none() && record.snssai.is_none());
    assert_eq!((record.packets_ul, record.bytes_ul, record.packets_dl), (2, 90, 0));
    assert_eq!(listed(&record), [("?".to_string(), SGW, 7)]);
    assert_eq!(record.created_ns, START + MS);
    let placed = |address: [u8; 4]| net.keeper.placed[&IpAddr::from(address)];
    assert_eq!((placed([10, 0, 0, 1]), placed([10, 0, 0, 2])), (None, Some(id)), "it has one of them");
}

#[test]
fn both_directions_join_by_their_outer_addresses() {
    let mut net = Net::new();
    let (up, up_tunnel) = net.unknown(SGW, 7, ENB);
    let (down, down_tunnel) = net.unknown(ENB, 8, SGW);
    let (_, other_pair) = net.unknown(ENB2, 9, SGW);
    net.learn(up_tunnel, [10, 0, 0, 1], Some(Toward::Uplink));
    let alone = net.sessions.record(up, |_| (0, 0)).unwrap().correlation_id;
    net.learn(other_pair, [10, 0, 0, 1], Some(Toward::Downlink));
    assert_eq!(net.sessions.counters().active, 3, "another pair of nodes");
    net.learn(down_tunnel, [10, 0, 0, 2], Some(Toward::Downlink));
    assert_eq!(net.sessions.counters().active, 3, "another address");
    net.learn(down_tunnel, [10, 0, 0, 1], Some(Toward::Downlink));
    assert_eq!(net.sessions.counters().active, 2);
    assert_eq!(net.sessions.counters().created, 2, "counted once");
    assert_eq!(net.keeper.merged, [(down, up)], "the newer goes into the older");
    let record = net.sessions.record(up, |tunnel| (u64::from(tunnel.0), 0)).unwrap();
    assert_eq!((record.packets_ul, record.packets_dl), (u64::from(up_tunnel.0), u64::from(down_tunnel.0)));
    assert_eq!(record.correlation_id, alone, "10.1.0.2 is the smaller of both");
    assert_eq!(net.keeper.bound[&key(ENB, 8)].1.session, up);
}

#[test]
fn two_tunnels_of_one_direction_stay_apart() {
    let mut net = Net::new();
    for (receiver, source, teid) in [(SGW, ENB, 7), (ENB, SGW, 8)] {
        let (_, tunnel) = net.unknown(receiver, teid, source);
        net.learn(tunnel, [10, 0, 0, 1], Some(Toward::Uplink));
    }
    assert_eq!(net.sessions.counters().active, 2);
}

#[test]
fn what_is_learned_takes_the_unknown_in() {
    let mut net = Net::new();
    let ue = Ue::new(1);
    let address = ue.ue.v4.unwrap().octets();
    let (first, s1) = net.unknown(SGW, ue.s1_sgw(), ENB);
    let (_, enb) = net.unknown(ENB, ue.s1_enb(), SGW);
    let (_, s5) = net.unknown(PGW, ue.s5_pgw(), SGW);
    net.learn(s1, address, Some(Toward::Uplink));
    net.learn(s5, address, None);
    assert_eq!(net.sessions.counters().created, 3);
    let events = ue.attach(&mut net);
    net.send_all(events);
    let counters = net.sessions.counters();
    assert_eq!((counters.created, counters.active), (1, 1), "one line, counted once");
    let record = net.only();
    assert_eq!(listed(&record), ue.listed());
    assert_eq!(record.imsi, Some(ue.imsi));
    assert_eq!(record.created_ns, START + 6 * MS, "the answer, not the first packet");
    for (receiver, teid, tunnel) in [(SGW, ue.s1_sgw(), s1), (ENB, ue.s1_enb(), enb), (PGW, ue.s5_pgw(), s5)]
    {
        let (bound, view) = net.keeper.bound[&key(receiver, teid)];
        assert_eq!(bound, tunnel, "a tunnel keeps its number, so its counters");
        assert!(view.known && view.pin == Pin::Imsi(ue.imsi));
    }
    // The number of the session that was taken over is one of those that were unknown.
    let id = net.ids(&Filter::default())[0];
    assert!(net.keeper.merged.iter().all(|&(_, into)| into == id));
    assert!(id == first || net.keeper.merged.iter().any(|&(from, _)| from == first));
}

/// A tunnel with another UE's packets is an old one whose TEID was given out again.
#[test]
fn the_unknown_with_another_address_is_another() {
    let mut net = Net::new();
    let ue = Ue::new(1);
    let (id, tunnel) = net.unknown(PGW, ue.s5_pgw(), SGW);
    net.learn(tunnel, [10, 66, 66, 66], Some(Toward::Uplink));
    let (request, answer) = ue.create_s5();
    net.pair(request, answer);
    assert_eq!(net.sessions.counters().created, 2);
    assert_eq!(net.owner(PGW, ue.s5_pgw()), Some(ue.imsi));
    assert_ne!(net.keeper.bound[&key(PGW, ue.s5_pgw())].1.session, id);
}

#[test]
fn full() {
    let mut net = Net::with(Limits { sessions_max: 2, tunnels_max: 3, ..limits() });
    net.unknown(SGW, 1, ENB);
    net.unknown(SGW, 2, ENB);
    let more = |net: &mut Net, teid| net.sessions.unknown(key(SGW, teid), ENB, START, &mut net.keeper);
    assert_eq!(more(&mut net, 3), Err(Full::Sessions));
    assert_eq!(net.sessions.counters().refused.sessions_full, 1);
    let mut net = Net::with(Limits { sessions_max: 9, tunnels_max: 1, ..limits() });
    net.unknown(SGW, 1, ENB);
    assert_eq!(more(&mut net, 2), Err(Full::Tunnels));
    assert_eq!(net.sessions.counters().refused.tunnels_full, 1);
    assert_eq!(net.sessions.counters().created, 1);
}

#[test]
fn idle_ones_expire_sooner() {
    let mut net = Net::new();
    let ue = Ue::new(1);
    let events = ue.attach(&mut net);
    net.send_all(events);
    let (id, tunnel) = net.unknown(SGW, 1, ENB);
    let start = net.now;
    let seen = start + 200 * SECOND;
    let last_seen = |t| if t == tunnel { seen } else { 0 };
    net.sessions.expire(start + 400 * SECOND, last_seen, &mut net.keeper);
    assert_eq!(net.sessions.counters().expired, 0);
    net.sessions.expire(start + 500 * SECOND, last_seen, &mut net.keeper);
    assert_eq!(net.keeper.ended, [id]);
    let ended = net.ended();
    is(&ended[0], Phase::Expired);
    assert_eq!(ended[0].ended_ns, Some(seen + 300 * SECOND), "last packet and the idle time");
    assert_eq!(net.only().imsi, Some(ue.imsi));
    net.wait(86_500 * SECOND);
    let ended = net.ended();
    assert_eq!(ended[0].ended_ns, Some(start + 86_399 * SECOND + SECOND - MS));
    assert_eq!(net.sessions.counters().expired, 2);
}

const OLD_V4: [u8; 4] = [10, 100, 0, 1];

/// A session of which S11 was seen alone, and its tunnel on S5/S8, with the number that `new` gets next.
fn half_seen(net: &mut Net, new: &Ue) -> (SessionId, SessionId) {
    let old = Ue::new(1);
    let (request, answer) = old.create_s11();
    net.pair(request, answer);
    let id = net.ids(&Filter::default())[0];
    let (unknown, tunnel) = net.unknown(SGW, new.s5_sgw(), PGW);
    net.learn(tunnel, OLD_V4, Some(Toward::Downlink));
    assert_eq!(old.ue.v4, Some(OLD_V4.into()));
    (id, unknown)
}

/// Whoever had the tunnel before had an address that the new one was not given.
#[test]
fn a_tunnel_of_another_family_was_another_ones() {
    let mut net = Net::new();
    let v6 = Some("2001:db8:1::".parse().unwrap());
    let new = Ue { ue: UeAddress { v4: None, v6 }, ..Ue::new(2) };
    let (old, unknown) = half_seen(&mut net, &new);
    let (request, answer) = new.create_s5();
    net.pair(request, answer);
    assert_eq!(net.owner(SGW, new.s5_sgw()), Some(new.imsi), "given out again");
    assert_eq!(net.keeper.placed[&OLD_V4.into()], Some(old));
    assert_eq!(net.sessions.counters().deleted, 0, "who had the address before lives on");
    assert!(net.keeper.merged.is_empty());
    assert!(!net.sessions.record(unknown, |_| (0, 0)).unwrap().known);
    let id = net.ids(&Filter { imsi: Some(new.imsi), ..Filter::default() })[0];
    let record = net.sessions.record(id, |_| (0, 0)).unwrap();
    assert_eq!((record.ue_ipv4, record.ue_ipv6), (None, v6));
}

/// Where signalling tells no address, that of the packets is taken; it ends nobody, and goes when one is
/// told.
#[test]
fn what_packets_show_gives_way_to_what_is_told() {
    let mut net = Net::new();
    let v6: std::net::Ipv6Addr = "2001:db8:1::".parse().unwrap();
    let new = Ue { ue: UeAddress { v4: None, v6: Some(v6) }, ..Ue::new(2) };
    let (old, unknown) = half_seen(&mut net, &new);
    let (request, mut answer) = new.create_s5();
    answer.ue = UeAddress::default();
    net.pair(request, answer);
    assert_eq!(net.sessions.ue(unknown).v4, Some(OLD_V4.into()));
    assert_eq!(net.keeper.placed[&OLD_V4.into()], None, "of two");
    assert_eq!(net.sessions.counters().deleted, 0);
    let (request, answer) = new.create_s11();
    net.pair(request, answer);
    assert_eq!(net.sessions.ue(unknown), new.ue);
    assert_eq!(net.keeper.placed[&OLD_V4.into()], Some(old));
    assert_eq!(net.keeper.placed[&v6.into()], Some(unknown));
    assert_eq!(net.sessions.counters().active, 2);
}
