//! What is over although nobody said so of each session, and tunnels that are another's than was told.

use super::*;
use crate::Contradiction;

fn echo(net: &mut Net, source: IpAddr, recovery: u32) {
    let mut event = v2(2, (source, MME), 0);
    (event.teid, event.recovery) = (None, Some(recovery));
    net.send(event);
}

fn attach(net: &mut Net, ues: &[Ue]) {
    for ue in ues {
        let events = ue.attach(net);
        net.send_all(events);
    }
}

fn key(receiver: IpAddr, teid: u32) -> TunnelKey {
    TunnelKey { receiver, teid: Teid(teid) }
}

#[test]
fn a_changed_recovery_ends_the_sessions_of_its_node() {
    let mut net = Net::new();
    let elsewhere = Ue { sgw: SGW2, ..Ue::new(3) };
    attach(&mut net, &[Ue::new(1), Ue::new(2), elsewhere]);
    echo(&mut net, SGW, 250);
    echo(&mut net, SGW, 250);
    echo(&mut net, MME, 1);
    net.wait(MS);
    assert_eq!(net.sessions.counters().active, 3, "nobody has started anew");
    echo(&mut net, SGW, 2);
    let since_ns = net.now;
    // A session that is made after it, before the old ones are looked for, with TEIDs given out again.
    let again = Ue { base: 100, s11: (901, 902), ..Ue::new(9) };
    attach(&mut net, &[again]);
    net.wait(MS);
    let left: Vec<_> = net.active().into_iter().map(|record| record.imsi.unwrap()).collect();
    assert_eq!(left, [imsi(3), imsi(9)]);
    let ended = net.ended();
    assert_eq!(ended.len(), 2);
    for record in ended {
        is(&record, Phase::Deleted);
        assert!(record.ended_ns.is_some_and(|ended_ns| ended_ns >= since_ns));
    }
    // One that came late.
    echo(&mut net, SGW, 250);
    net.wait(MS);
    assert_eq!(net.sessions.counters().active, 2);
    assert_eq!(net.sessions.counters().restarts, 1);
    net.check();
}

#[test]
fn a_message_after_a_restart_keeps_its_session() {
    let mut net = Net::new();
    attach(&mut net, &[Ue::new(1), Ue::new(2)]);
    echo(&mut net, MME, 1);
    echo(&mut net, MME, 2);
    let (request, answer) = Ue::new(2).modify(ENB2, 999);
    net.pair(request, answer);
    net.wait(MS);
    assert_eq!(net.only().imsi, Some(imsi(2)));
}

#[test]
fn a_restart_of_a_node_that_was_left_ends_nothing() {
    let mut net = Net::new();
    attach(&mut net, &[Ue::new(1)]);
    echo(&mut net, ENB, 1);
    echo(&mut net, ENB, 2);
    // Each protocol has its own counter: a GSN that is an SGW too.
    let mut event = message(Signalling::Gtpv1, 2, (SGW, PGW), 0);
    event.recovery = Some(1);
    net.send(event.clone());
    event.recovery = Some(2);
    net.send(event);
    net.wait(MS);
    assert_eq!(net.sessions.counters().active, 1);
}

#[test]
fn more_sessions_than_one_call_looks_at() {
    let mut net = Net::with(Limits { sessions_max: 5_000, tunnels_max: 40_000, ..limits() });
    let ues: Vec<_> = (1..=3_000).map(Ue::new).collect();
    attach(&mut net, &ues);
    echo(&mut net, PGW, 7);
    echo(&mut net, PGW, 8);
    for _ in 0..2 {
        net.wait(MS);
        assert!(net.sessions.counters().active > 0);
    }
    net.wait(MS);
    assert_eq!(net.sessions.counters().active, 0);
    assert_eq!(net.ended().len(), 3_000);
    net.check();
}

#[test]
fn an_error_indication_ends_the_tunnel_that_it_names() {
    let mut net = Net::new();
    attach(&mut net, &[Ue::new(1)]);
    let enb = key(ENB, Ue::new(1).s1_enb());
    assert!(!net.sessions.not_found(key(ENB, 12_345), net.now, &mut net.keeper), "no such tunnel");
    assert!(net.sessions.not_found(enb, net.now, &mut net.keeper));
    assert!(!net.sessions.not_found(enb, net.now, &mut net.keeper), "again");
    net.wait(2 * SECOND);
    assert!(!net.is_bound(enb.receiver, enb.teid.0));
    assert!(net.is_bound(SGW, Ue::new(1).s1_sgw()), "the others stay");
    assert_eq!(net.only().imsi, Some(imsi(1)));
}

fn contradiction(ue: &Ue, toward: Toward, sender: IpAddr, time_ns: u64) -> Contradiction {
    Contradiction { address: ue.ue.v4.unwrap().into(), is_clear: true, toward, sender, time_ns }
}

#[test]
fn a_downlink_tunnel_goes_to_the_session_that_has_the_address() {
    let mut net = Net::new();
    let (one, two) = (Ue::new(1), Ue::new(2));
    attach(&mut net, &[one, two]);
    let enb = key(ENB, one.s1_enb());
    let (tunnel, _) = net.keeper.bound[&enb];
    let told = contradiction(&two, Toward::Downlink, SGW, net.now);
    assert!(net.sessions.relearn(tunnel, &told, |_| 0, &mut net.keeper));
    assert_eq!(net.owner(ENB, one.s1_enb()), Some(imsi(2)));
    assert_eq!(net.owner(ENB, two.s1_enb()), Some(imsi(2)));
    assert_eq!(net.owner(SGW, one.s1_sgw()), Some(imsi(1)));
    assert!(!net.sessions.relearn(tunnel, &told, |_| 0, &mut net.keeper), "it is not this one's any more");
    assert_eq!(net.sessions.counters().relearned, 1);
    net.check();
}

#[test]
fn of_an_address_that_nobody_told_it_is_an_unknown_session() {
    let mut net = Net::new();
    let (one, stranger) = (Ue::new(1), Ue::new(7));
    attach(&mut net, &[one]);
    let (down, up) = (key(ENB, one.s1_enb()), key(SGW, one.s1_sgw()));
    let (tunnel, _) = net.keeper.bound[&up];
    let lie = contradiction(&stranger, Toward::Uplink, ENB, net.now);
    assert!(!net.sessions.relearn(tunnel, &lie, |_| 0, &mut net.keeper), "nothing goes down to it");
    let (below, _) = net.keeper.bound[&down];
    let told = contradiction(&stranger, Toward::Downlink, SGW, net.now);
    assert!(net.sessions.relearn(below, &told, |_| 0, &mut net.keeper));
    let (made, view) = net.keeper.bound[&down];
    assert!(!view.known && made != below);
    assert_eq!(view.pin, crate::Pin::Ue { address: told.address, network: None });
    // Now something does.
    let heard = |seen: TunnelId| if seen == made { told.time_ns } else { 0 };
    let from_elsewhere = Contradiction { sender: ENB2, ..lie };
    assert!(!net.sessions.relearn(tunnel, &from_elsewhere, heard, &mut net.keeper));
    assert!(!net.sessions.relearn(tunnel, &lie, |_| 0, &mut net.keeper), "it was not heard of");
    assert!(net.sessions.relearn(tunnel, &lie, heard, &mut net.keeper));
    let (_, above) = net.keeper.bound[&up];
    assert_eq!(above.session, net.keeper.bound[&down].1.session, "both are one");
    assert_eq!(net.sessions.counters().active, 2);
    net.check();
}

/// The tunnel may go the other way now: then the address is that of a server.
#[test]
fn of_an_address_that_is_not_clear_the_tunnel_is_nobodys_yet() {
    let mut net = Net::new();
    let (one, stranger) = (Ue::new(1), Ue::new(7));
    attach(&mut net, &[one]);
    let down = key(ENB, one.s1_enb());
    let (tunnel, _) = net.keeper.bound[&down];
    let told = contradiction(&stranger, Toward::Downlink, SGW, net.now);
    let told = Contradiction { is_clear: false, ..told };
    assert!(net.sessions.relearn(tunnel, &told, |_| 0, &mut net.keeper));
    let (made, view) = net.keeper.bound[&down];
    assert!(!view.known && view.pin == crate::Pin::None && view.toward.is_none());
    // Then it is.
    net.sessions.learn_ue(made, told.address, Some(Toward::Uplink), &mut net.keeper);
    let (_, view) = net.keeper.bound[&down];
    assert_eq!(view.pin, crate::Pin::Ue { address: told.address, network: None });
    assert_eq!(view.toward, Some(Toward::Uplink));
    net.check();
}

#[test]
fn a_ue_with_a_tunnel_of_its_own_is_not_in_another_one() {
    let mut net = Net::new();
    let (liar, victim) = (Ue::new(1), Ue::new(2));
    attach(&mut net, &[liar, victim]);
    let (tunnel, _) = net.keeper.bound[&key(SGW, liar.s1_sgw())];
    let lie = contradiction(&victim, Toward::Uplink, ENB, net.now);
    let now_ns = net.now;
    assert!(!net.sessions.relearn(tunnel, &lie, |_| now_ns, &mut net.keeper));
    assert_eq!(net.owner(SGW, liar.s1_sgw()), Some(imsi(1)));
    // Its own was given to another before: it is in that of the first one now.
    let (own, _) = net.keeper.bound[&key(SGW, victim.s1_sgw())];
    let third = Ue::new(3);
    let told = contradiction(&third, Toward::Downlink, ENB, net.now);
    assert!(net.sessions.relearn(own, &told, |_| 0, &mut net.keeper));
    assert!(net.sessions.relearn(tunnel, &lie, |_| now_ns, &mut net.keeper));
    assert_eq!(net.owner(SGW, liar.s1_sgw()), Some(imsi(2)));
    net.check();
}

/// All that belongs to a set-up, in the order in which a tap may see it.
#[test]
fn a_change_that_comes_before_its_session_waits_for_it() {
    for late in [0, 3] {
        let mut net = Net::new();
        let ue = Ue::new(1);
        let mut events = ue.attach(&mut net);
        // The request of S11, or its answer, is the last of all.
        let last = events.remove(late);
        net.send_all(events);
        net.send(last);
        let mut wanted = ue.listed();
        wanted.sort();
        let mut found = listed(&net.only());
        found.sort();
        assert_eq!(found, wanted, "{late}");
        assert!(net.is_bound(ENB, ue.s1_enb()));
        net.check();
    }
}

#[test]
fn a_change_without_a_session_does_not_wait_for_ever() {
    let mut net = Net::new();
    let ue = Ue::new(1);
    let (request, answer) = ue.modify(ENB, ue.s1_enb());
    net.pair(request, answer);
    net.wait(2 * SECOND);
    let (request, answer) = ue.create_s11();
    net.pair(request, answer);
    assert!(!net.is_bound(ENB, ue.s1_enb()));
}
