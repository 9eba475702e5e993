//! What does not fit, what is made up, and what a hostile peer can do.

use std::net::Ipv6Addr;

use super::*;

#[test]
fn sessions_full() {
    let mut net = Net::with(Limits { sessions_max: 2, ..limits() });
    for n in 1..=3 {
        let (request, answer) = Ue::new(n).create_s5();
        net.pair(request, answer);
    }
    let counters = net.sessions.counters();
    assert_eq!((counters.created, counters.refused.sessions_full), (2, 1));
    assert!(!net.is_bound(PGW, Ue::new(3).s5_pgw()));
    // One ends and is freed: there is room again.
    let (request, answer) = Ue::new(1).delete_s5();
    net.pair(request, answer);
    let (request, answer) = Ue::new(3).create_s5();
    net.pair(request.clone(), answer.clone());
    assert_eq!(net.sessions.counters().refused.sessions_full, 2, "ended, not freed");
    assert_eq!(net.ended().len(), 1);
    net.pair(request, answer);
    assert_eq!(net.owner(PGW, Ue::new(3).s5_pgw()), Some(imsi(3)));
}

#[test]
fn freed_numbers_wait_for_their_readers() {
    let mut net = Net::with(Limits { sessions_max: 1, tunnels_max: 2, ..limits() });
    let (request, answer) = Ue::new(1).create_s5();
    net.pair(request, answer);
    net.sessions.set_epochs(5, 4);
    let (request, answer) = Ue::new(1).delete_s5();
    net.pair(request, answer);
    net.ended();
    for (safe, created) in [(5, 1), (6, 2)] {
        net.sessions.set_epochs(7, safe);
        let (request, answer) = Ue::new(2).create_s5();
        net.pair(request, answer);
        assert_eq!(net.sessions.counters().created, created, "safe is {safe}");
    }
    assert!(net.is_bound(PGW, Ue::new(2).s5_pgw()));
}

#[test]
fn tunnels_full() {
    let mut net = Net::with(Limits { tunnels_max: 3, ..limits() });
    for n in 1..=2 {
        let (request, answer) = Ue::new(n).create_s5();
        net.pair(request, answer);
    }
    let counters = net.sessions.counters();
    assert_eq!((counters.active, counters.refused.tunnels_full), (2, 1));
    assert_eq!(net.keeper.bound.len(), 3);
}

#[test]
fn transactions_full() {
    let mut net = Net::with(Limits { transactions_max: 4, ..limits() });
    let (request, answer) = Ue::new(1).create_s5();
    let (request, answer) = net.numbered(request, answer);
    net.send(request);
    for n in 2..=5 {
        let (request, answer) = Ue::new(n).create_s5();
        let (request, _) = net.numbered(request, answer);
        net.send(request);
    }
    assert_eq!(net.sessions.counters().refused.transactions_full, 1);
    net.send(answer);
    assert_eq!(net.sessions.counters().created, 0, "it was forgotten");
    // Those that nobody answered in time are no loss.
    net.now += 60 * SECOND;
    for n in 6..=9 {
        let (request, answer) = Ue::new(n).create_s5();
        net.pair(request, answer);
    }
    assert_eq!(net.sessions.counters().refused.transactions_full, 2, "the late answer took a place too");
    assert_eq!(net.sessions.counters().created, 4);
}

/// Create Session Requests from sources that do not exist: nobody answers them.
#[test]
fn made_up_requests_harm_nobody() {
    let count: u32 = if cfg!(debug_assertions) { 300_000 } else { 10_000_000 };
    let mut net = Net::new();
    let ue = Ue::new(1);
    let events = ue.attach(&mut net);
    net.send_all(events);
    let before = net.sessions.counters();
    let mut request = Ue::new(2).create_s11().0;
    for n in 0..count {
        request.time_ns = net.now + u64::from(n);
        request.sequence = Some(n);
        request.imsi = Some(Imsi(Digits::from_bits(u64::from(n) | !0xffff_ffff)));
        let source = Ipv6Addr::from_bits(u128::from(n) << 64 | 1);
        request.source = SocketAddr::new(source.into(), 2123);
        request.f_teids[0].1 = f_teid(Interface::S11_MME, source.into(), n + 1);
        net.sessions.handle(&request, &mut net.keeper);
    }
    net.now += u64::from(count);
    let after = net.sessions.counters();
    assert_eq!(after.refused.transactions_full, u64::from(count) - 1000);
    assert_eq!((after.created, after.active), (before.created, before.active));
    assert_eq!(after.refused.nodes_full, 0);
    // And the living go on.
    let (request, answer) = ue.modify(ENB2, 9001);
    net.pair(request, answer);
    assert_eq!(net.owner(ENB2, 9001), Some(ue.imsi));
    let events = Ue::new(3).attach(&mut net);
    net.send_all(events);
    assert_eq!(net.sessions.counters().active, 2);
}

/// Made-up tunnels cannot take the places of all addresses.
#[test]
fn made_up_tunnels_leave_room_for_nodes() {
    let mut net = Net::with(Limits { sessions_max: 200_000, tunnels_max: 200_000, ..limits() });
    let mut made = 0;
    for n in 0..100_000_u32 {
        let key = TunnelKey { receiver: IpAddr::V4(Ipv4Addr::from_bits(n + 1)), teid: Teid(1) };
        let source = Ipv4Addr::from_bits(0x8000_0000 | n);
        made += u32::from(net.sessions.unknown(key, source.into(), START, &mut net.keeper).is_ok());
    }
    assert!((49_000..50_000).contains(&made), "three quarters of 131,071, two each: {made}");
    let events = Ue::new(1).attach(&mut net);
    net.send_all(events);
    assert_eq!(net.keeper.bound.len() as u32, made + 4);
}

#[test]
fn a_session_does_not_grow_without_end() {
    let mut net = Net::new();
    let ue = Ue::new(1);
    let events = ue.attach(&mut net);
    net.send_all(events);
    for teid in 10_000..10_300 {
        let (request, answer) = ue.modify(ENB2, teid);
        net.pair(request, answer);
        net.wait(2 * SECOND);
    }
    let record = net.only();
    assert!(record.fteids.len() <= 4 + 3 + 1 + 65, "{}", record.fteids.len());
    assert!(record.fteids.len() >= 60);
    assert_eq!(net.keeper.folded, net.sessions.counters().folded);
    assert_eq!(record.fteids.len() as u64 + net.keeper.folded, 8 + 300, "each is told of or was folded");
    assert!(net.is_bound(ENB2, 10_299) && net.is_bound(SGW, ue.s1_sgw()), "no live one was folded");
}

/// Endpoints that replace nothing, and so stay.
#[test]
fn live_endpoints_are_bounded_too() {
    let mut net = Net::new();
    let ue = Ue::new(1);
    let events = ue.attach(&mut net);
    net.send_all(events);
    for teid in 0..300 {
        let mut request = v2(166, (MME, SGW), ue.s11.1);
        request.bearers.push(bearer(
            5,
            None,
            &[f_teid(Interface::ENODEB_FORWARDING_DL, ENB2, 10_000 + teid)],
        ));
        net.pair(request, accepted(v2(167, (SGW, MME), ue.s11.0)));
    }
    assert!(net.keeper.bound.len() <= 129, "{}", net.keeper.bound.len());
}

/// One IMSI, one address, one endpoint for everything: chains stay short, nothing is quadratic.
#[test]
fn one_of_everything() {
    let mut net = Net::with(Limits { sessions_max: 20_000, tunnels_max: 100_000, ..limits() });
    for n in 1..=10_000 {
        // 5G: any number of sessions may say one IMSI and one address.
        let mut request = message(Signalling::Pfcp, 50, (SGW, PGW), 0);
        request.teid = None;
        request.f_seid =
            Some(types::FSeid { seid: types::Seid(n), v4: Some([10, 5, 0, 1].into()), v6: None });
        request.imsi = Some(imsi(1));
        request.ue = Ue::new(1).ue;
        let mut answer = message(Signalling::Pfcp, 51, (PGW, SGW), 0);
        answer.cause = Some(1);
        net.pair(request, answer);
    }
    assert_eq!(net.sessions.counters().active, 10_000);
    for n in 1..=5_000 {
        // One endpoint of the MME for all.
        let mut ue = Ue::new(n);
        ue.s11 = (1, 2);
        let (request, answer) = ue.create_s11();
        net.pair(request, answer);
    }
    assert_eq!(net.sessions.state().control_sessions(MME, Some(Teid(1))).len(), 1);
}
