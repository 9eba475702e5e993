//! EPS: S11, S5/S8, S1-U.

use types::{Bearer, Ebi, Interface};

use super::*;
use crate::record::{BearerRecord, FTeidRecord};

fn attached() -> (Net, Ue) {
    let mut net = Net::new();
    let ue = Ue::new(1);
    let events = ue.attach(&mut net);
    net.send_all(events);
    (net, ue)
}

#[test]
fn s11_and_s5_are_one_session() {
    let (net, ue) = attached();
    let record = net.only();
    assert_eq!(net.sessions.counters().created, 1);
    assert_eq!(record.imsi, Some(ue.imsi));
    assert_eq!(record.msisdn.unwrap().to_string(), "46700000001");
    assert_eq!(record.imei.unwrap().to_string(), "3534900698733190");
    assert_eq!(record.apn.unwrap().as_str(), "internet");
    assert_eq!(record.rat, Some(Rat(6)));
    assert_eq!(record.serving, Some(Plmn { mcc: 1, mnc: 1, mnc_digits: 2 }));
    assert_eq!(record.location, Location { area: Some(1), cell: Some(7) });
    assert_eq!((record.ue_ipv4, record.ue_ipv6), (ue.ue.v4, None));
    assert_eq!(record.roaming, Some(false));
    assert_eq!(record.created_ns, START + 3 * MS, "the first answer that accepts");
    assert_eq!(record.ended_ns, None);
    assert_eq!(record.bearers, [BearerRecord { ebi: 5, qci: Some(9), qfi: None }]);
    assert_eq!(listed(&record), ue.listed());
    assert_eq!(net.keeper.bound.len(), 4);
    assert_eq!(net.keeper.binds, 4, "no tunnel was told of twice");
    let id = net.ids(&Filter::default())[0];
    assert_eq!(net.keeper.placed, HashMap::from([(ue.ue.v4.unwrap().into(), Some(id))]));
}

#[test]
fn directions_are_those_of_the_interfaces() {
    let (net, ue) = attached();
    let id = net.ids(&Filter::default())[0];
    let count = |address: IpAddr, teid| {
        let key = TunnelKey { receiver: address, teid: Teid(teid) };
        net.keeper.bound.get(&key).unwrap().0
    };
    let (up, down) = (count(SGW, ue.s1_sgw()), count(ENB, ue.s1_enb()));
    let record = net
        .sessions
        .record(id, |tunnel| match tunnel {
            t if t == up => (3, 300),
            t if t == down => (5, 700),
            _ => (0, 0),
        })
        .unwrap();
    assert_eq!((record.packets_ul, record.bytes_ul), (3, 300));
    assert_eq!((record.packets_dl, record.bytes_dl), (5, 700));
}

#[test]
fn each_half_alone_is_a_session() {
    for halves in [[true, false], [false, true]] {
        let mut net = Net::new();
        let ue = Ue::new(1);
        for (create, seen) in [ue.create_s11(), ue.create_s5()].into_iter().zip(halves) {
            if seen {
                net.pair(create.0, create.1);
            }
        }
        assert_eq!(net.only().imsi, Some(ue.imsi));
    }
}

/// What identifies a session outside of snipe does not depend on which half was seen.
#[test]
fn the_correlation_id_is_the_same_from_every_tap() {
    let ue = Ue::new(1);
    let mut ids = Vec::new();
    for seen in [vec![ue.create_s11()], vec![ue.create_s5()], vec![ue.create_s11(), ue.create_s5()]] {
        let mut net = Net::new();
        seen.into_iter().for_each(|(request, answer)| net.pair(request, answer));
        ids.push(net.only().correlation_id);
    }
    assert_eq!(ids[0], ids[1]);
    assert_eq!(ids[0], ids[2]);
    let mut net = Net::new();
    let (request, answer) = Ue::new(2).create_s11();
    net.pair(request, answer);
    assert_ne!(net.only().correlation_id, ids[0]);
}

#[test]
fn what_is_sent_again_makes_nothing_new() {
    let mut net = Net::new();
    let ue = Ue::new(1);
    let events = ue.attach(&mut net);
    for event in events {
        net.send(event.clone());
        net.send(event.clone());
        net.send(event);
    }
    assert_eq!(net.sessions.counters().created, 1);
    assert_eq!(listed(&net.only()), ue.listed());
    // Also after the end.
    let events = ue.attach(&mut net);
    let detach = ue.detach(&mut net);
    net.send_all(detach);
    assert_eq!(net.sessions.counters().deleted, 1);
    let _ = events;
    let mut late = ue.create_s11().1;
    late.sequence = Some(1);
    net.send(late);
    assert_eq!(net.sessions.counters().active, 0);
}

#[test]
fn any_order_of_an_attach_gives_one_session() {
    let ue = Ue::new(1);
    let orders: Vec<Vec<usize>> = permutations(6);
    assert_eq!(orders.len(), 720);
    for order in orders {
        // The Modify Bearer pair may not overtake the answers it depends on by much in a capture; the
        // creation itself may come in any order.
        let place = |n: usize| order.iter().position(|&at| at == n).unwrap();
        if place(4).min(place(5)) < place(0).max(place(3)).max(place(1)).max(place(2)) {
            continue;
        }
        let mut net = Net::new();
        let events = ue.attach(&mut net);
        for &at in &order {
            net.send(events[at].clone());
        }
        assert_eq!(net.sessions.counters().created, 1, "{order:?}");
        assert_eq!(net.sessions.counters().deleted, 0, "{order:?}");
        assert_eq!(listed(&net.only()), ue.listed(), "{order:?}");
    }
}

fn permutations(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![vec![]];
    }
    let shorter = permutations(count - 1);
    (0..count)
        .flat_map(|place| {
            shorter.iter().map(move |order| {
                let mut order = order.clone();
                order.insert(place, count - 1);
                order
            })
        })
        .collect()
}

#[test]
fn an_answer_before_its_request() {
    let mut net = Net::new();
    let ue = Ue::new(1);
    let (request, answer) = ue.create_s5();
    let (request, answer) = net.numbered(request, answer);
    net.send(answer.clone());
    assert_eq!(net.sessions.counters().created, 0);
    net.send(request.clone());
    assert_eq!(net.only().imsi, Some(ue.imsi));
    net.send_all([request, answer]);
    assert_eq!(net.sessions.counters().created, 1);
    // Ten seconds are no disorder any more.
    let (request, answer) = Ue::new(2).create_s5();
    let (request, answer) = net.numbered(request, answer);
    net.send(answer);
    net.wait(10 * SECOND);
    net.send(request);
    assert_eq!(net.sessions.counters().created, 1);
}

#[test]
fn an_answer_without_request_joins_by_its_anchor() {
    let mut net = Net::new();
    let ue = Ue::new(1);
    let (request, answer) = ue.create_s5();
    net.pair(request, answer);
    let (request, answer) = ue.create_s11();
    let (_, answer) = net.numbered(request, answer);
    net.send(answer);
    assert_eq!(net.owner(SGW, ue.s1_sgw()), Some(ue.imsi));
    // Of another UE that got the same endpoint it is not.
    let mut other = Ue::new(1);
    other.base += 50;
    other.ue.v4 = Some([10, 9, 9, 9].into());
    let (request, mut answer) = other.create_s11();
    answer.f_teids[1].1.teid = Teid(ue.pgw_c());
    let (_, answer) = net.numbered(request, answer);
    net.send(answer);
    assert!(!net.is_bound(SGW, other.s1_sgw()));
    assert_eq!(net.sessions.counters().created, 1);
}

#[test]
fn what_is_refused_makes_nothing() {
    let mut net = Net::new();
    let ue = Ue::new(1);
    let (request, mut answer) = ue.create_s11();
    answer.cause = Some(93);
    net.pair(request, answer);
    assert_eq!(net.sessions.counters().created, 0);
    let events = ue.attach(&mut net);
    net.send_all(events);
    // A bearer that is refused in an accepted answer.
    let (request, mut answer) = ue.modify(ENB2, 77);
    answer.cause = Some(17);
    answer.bearers[0].cause = Some(64);
    net.pair(request, answer);
    assert!(!net.is_bound(ENB2, 77));
    // A deletion that is refused; one of what is gone already is not.
    let (request, mut answer) = ue.delete_s11();
    answer.cause = Some(70);
    net.pair(request, answer);
    assert_eq!(net.sessions.counters().active, 1);
    let (request, mut answer) = ue.delete_s11();
    answer.cause = Some(64);
    net.pair(request, answer);
    assert_eq!(net.sessions.counters().active, 0);
}

#[test]
fn the_first_answer_to_the_delete_ends_it() {
    let (mut net, ue) = attached();
    let first = net.now;
    let events = ue.detach(&mut net);
    net.send_all(events);
    let ended = net.ended();
    assert_eq!(ended.len(), 1);
    is(&ended[0], Phase::Deleted);
    assert_eq!(ended[0].ended_ns, Some(first + 3 * MS), "on S5/S8, before that on S11");
    assert_eq!(listed(&ended[0]), ue.listed());
    assert!(net.keeper.bound.is_empty());
    assert_eq!(net.keeper.placed.values().collect::<Vec<_>>(), [&None]);
}

#[test]
fn x2_handover() {
    let (mut net, ue) = attached();
    let (request, answer) = ue.modify(ENB2, 9001);
    net.pair(request, answer);
    assert_eq!(net.owner(ENB2, 9001), Some(ue.imsi));
    assert!(net.is_bound(ENB, ue.s1_enb()), "for the End Marker");
    net.wait(2 * SECOND);
    assert!(!net.is_bound(ENB, ue.s1_enb()));
    let mut expected = ue.listed();
    expected.push(("S1-U eNodeB GTP-U".into(), ENB2, 9001));
    expected.sort_unstable();
    assert_eq!(listed(&net.only()), expected);
    // And back: the old endpoint is the new one, once.
    let (request, answer) = ue.modify(ENB, ue.s1_enb());
    net.pair(request, answer);
    net.wait(2 * SECOND);
    assert!(net.is_bound(ENB, ue.s1_enb()) && !net.is_bound(ENB2, 9001));
    assert_eq!(listed(&net.only()), expected);
}

/// Two base stations may give the same number.
#[test]
fn handover_to_the_same_teid_elsewhere() {
    let (mut net, ue) = attached();
    let (request, answer) = ue.modify(ENB2, ue.s1_enb());
    net.pair(request, answer);
    net.wait(2 * SECOND);
    assert!(net.is_bound(ENB2, ue.s1_enb()) && !net.is_bound(ENB, ue.s1_enb()));
}

#[test]
fn back_within_the_grace_stays() {
    let (mut net, ue) = attached();
    for (enb, teid) in [(ENB2, 9001), (ENB, ue.s1_enb())] {
        let (request, answer) = ue.modify(enb, teid);
        net.pair(request, answer);
    }
    net.wait(2 * SECOND);
    assert!(net.is_bound(ENB, ue.s1_enb()) && !net.is_bound(ENB2, 9001));
}

/// TS 23.401 5.5.1.1.3: the new SGW is told of the PGW, then the old one of its end.
#[test]
fn handover_with_sgw_change() {
    let (mut net, ue) = attached();
    let new = Ue { sgw: SGW2, s11: (ue.s11.0, 5001), base: 5000, ..ue };
    let mut request = v2(32, (MME, SGW2), 0);
    request.imsi = Some(ue.imsi);
    request.linked_ebi = Some(Ebi(5));
    request.f_teids.push((0, f_teid(Interface::S11_MME, MME, ue.s11.0)));
    request.f_teids.push((1, f_teid(Interface::S5S8_PGW_C, PGW, ue.pgw_c())));
    request.bearers.push(bearer(
        5,
        None,
        &[f_teid(Interface::S1U_ENODEB, ENB2, 5008), f_teid(Interface::S5S8_PGW_U, PGW, ue.s5_pgw())],
    ));
    let mut answer = accepted(v2(33, (SGW2, MME), ue.s11.0));
    answer.f_teids.push((0, f_teid(Interface::S11_SGW, SGW2, new.s11.1)));
    answer.bearers.push(bearer(5, Some(16), &[f_teid(Interface::S1U_SGW, SGW2, new.s1_sgw())]));
    let (r11, a11) = net.numbered(request, answer);
    let mut request = v2(34, (SGW2, PGW), ue.pgw_c());
    request.f_teids.push((0, f_teid(Interface::S5S8_SGW_C, SGW2, new.sgw_c())));
    request.bearers.push(bearer(5, None, &[f_teid(Interface::S5S8_SGW_U, SGW2, new.s5_sgw())]));
    let mut answer = accepted(v2(35, (PGW, SGW2), new.sgw_c()));
    answer.bearers.push(bearer(5, Some(16), &[]));
    let (r5, a5) = net.numbered(request, answer);
    net.send_all([r11, r5, a5, a11]);
    net.wait(2 * SECOND);
    for (address, teid) in [(SGW2, new.s1_sgw()), (SGW2, new.s5_sgw()), (ENB2, 5008), (PGW, ue.s5_pgw())] {
        assert_eq!(net.owner(address, teid), Some(ue.imsi), "{address} {teid}");
    }
    assert!(net.is_bound(SGW, ue.s1_sgw()), "until the old SGW lets go");
    assert_eq!(net.sessions.counters().created, 1);
    // The old SGW deletes its own; without the Operation Indication it does not tell the PGW.
    let mut request = v2(36, (MME, SGW), ue.s11.1);
    request.linked_ebi = Some(Ebi(5));
    request.scope = true;
    net.pair(request, accepted(v2(37, (SGW, MME), ue.s11.0)));
    net.wait(2 * SECOND);
    assert_eq!(net.sessions.counters().active, 1);
    for (address, teid) in [(SGW, ue.s1_sgw()), (SGW, ue.s5_sgw()), (ENB, ue.s1_enb())] {
        assert!(!net.is_bound(address, teid), "{address} {teid}");
    }
    assert!(net.is_bound(SGW2, new.s1_sgw()) && net.is_bound(SGW2, new.s5_sgw()));
    let record = net.only();
    assert_eq!(record.fteids.len(), 13, "8, then SGW-C twice, S1-U twice, S5-U");
    // And it ends at the new one.
    let (request, answer) = Ue { base: ue.base, ..new }.delete_s11();
    net.pair(request, answer);
    assert_eq!(net.sessions.counters().deleted, 1);
}

/// The Create Session Request to the new SGW was lost, and with it the endpoint there: the Modify Bearer
/// Response shows that the UE is there, so that the end at the old SGW takes only what was there.
#[test]
fn handover_to_an_sgw_that_nobody_told_of() {
    for scope in [true, false] {
        let (mut net, ue) = attached();
        let new = Ue { sgw: SGW2, s11: (ue.s11.0, 5001), base: 5000, ..ue };
        let (request, answer) = new.modify(ENB2, 5008);
        net.pair(request, answer);
        assert!(net.is_bound(SGW, ue.s1_sgw()), "until the old SGW lets go");
        let (mut request, answer) = ue.delete_s11();
        (request.scope, request.teardown) = (scope, false);
        net.pair(request, answer);
        net.wait(2 * SECOND);
        assert_eq!(net.sessions.counters().active, 1);
        assert!(!net.is_bound(SGW, ue.s1_sgw()) && !net.is_bound(ENB, ue.s1_enb()));
        for (address, teid) in [(SGW2, new.s1_sgw()), (ENB2, 5008)] {
            assert_eq!(net.owner(address, teid), Some(ue.imsi), "{address} {teid}");
        }
        // What it is told there is its own, and the tunnel before that stays for the End Marker.
        let (request, answer) = new.modify(ENB, 5009);
        net.pair(request, answer);
        assert_eq!(net.owner(ENB, 5009), Some(ue.imsi));
        assert!(net.is_bound(ENB2, 5008));
        net.wait(2 * SECOND);
        assert!(!net.is_bound(ENB2, 5008));
        let (request, answer) = Ue { base: ue.base, ..new }.delete_s11();
        net.pair(request, answer);
        assert_eq!(net.sessions.counters().deleted, 1);
    }
}

/// A UE comes back to an SGW soon, which gives the numbers that it had there to the other interface each.
#[test]
fn back_at_an_sgw_with_the_numbers_the_other_way_round() {
    // Also while what was replaced is still there for packets on their way.
    for pause in [2 * SECOND, SECOND / 10] {
        back_after(pause);
    }
}

fn back_after(pause: u64) {
    let (mut net, ue) = attached();
    // Two numbers on S11 and S5/S8-C, two on S1-U and S5/S8-U, TEIDs of one node.
    let visits = [
        (SGW2, [5001, 5003], [5005, 5006]),
        (SGW, [6001, 6003], [6005, 6006]),
        (SGW2, [5003, 5001], [5006, 5005]),
    ];
    let (mut old, mut old_s11) = (SGW, ue.s11.1);
    for (sgw, [s11, s5c], [s1u, s5u]) in visits {
        let mut request = v2(32, (MME, sgw), 0);
        request.imsi = Some(ue.imsi);
        request.linked_ebi = Some(Ebi(5));
        request.f_teids.push((0, f_teid(Interface::S11_MME, MME, ue.s11.0)));
        request.f_teids.push((1, f_teid(Interface::S5S8_PGW_C, PGW, ue.pgw_c())));
        request.bearers.push(bearer(5, None, &[f_teid(Interface::S5S8_PGW_U, PGW, ue.s5_pgw())]));
        let mut answer = accepted(v2(33, (sgw, MME), ue.s11.0));
        answer.f_teids.push((0, f_teid(Interface::S11_SGW, sgw, s11)));
        answer.bearers.push(bearer(5, Some(16), &[f_teid(Interface::S1U_SGW, sgw, s1u)]));
        net.pair(request, answer);
        let mut request = v2(34, (sgw, PGW), ue.pgw_c());
        request.f_teids.push((0, f_teid(Interface::S5S8_SGW_C, sgw, s5c)));
        request.bearers.push(bearer(5, None, &[f_teid(Interface::S5S8_SGW_U, sgw, s5u)]));
        let mut answer = accepted(v2(35, (PGW, sgw), s5c));
        answer.bearers.push(bearer(5, Some(16), &[]));
        net.pair(request, answer);
        let mut request = v2(36, (MME, old), old_s11);
        request.linked_ebi = Some(Ebi(5));
        request.scope = true;
        net.pair(request, accepted(v2(37, (old, MME), ue.s11.0)));
        net.wait(pause);
        (old, old_s11) = (sgw, s11);
        // Messages at both of its endpoints are its own.
        let mut request = v2(34, (MME, sgw), s11);
        request.bearers.push(bearer(5, None, &[f_teid(Interface::S1U_ENODEB, ENB2, s11 + 50)]));
        let mut answer = accepted(v2(35, (sgw, MME), ue.s11.0));
        answer.bearers.push(bearer(5, Some(16), &[f_teid(Interface::S1U_SGW, sgw, s1u)]));
        net.pair(request, answer);
        for (address, teid) in [(sgw, s1u), (sgw, s5u), (ENB2, s11 + 50), (PGW, ue.s5_pgw())] {
            assert_eq!(net.owner(address, teid), Some(ue.imsi), "{address} {teid}");
        }
    }
    let record = net.only();
    let listed = |name: &str, teid: u64| {
        let own = |own: &&FTeidRecord| (own.interface, own.ip, own.teid) == (Some(name), SGW2, teid);
        record.fteids.iter().filter(own).count()
    };
    for teid in [5001, 5003] {
        assert_eq!((listed("S11/S4 SGW GTP-C", teid), listed("S5/S8 SGW GTP-C", teid)), (1, 1), "{teid}");
    }
    for teid in [5005, 5006] {
        assert_eq!((listed("S1-U SGW GTP-U", teid), listed("S5/S8 SGW GTP-U", teid)), (1, 1), "{teid}");
    }
}

#[test]
fn sgw_change_without_scope_indication() {
    let (mut net, ue) = attached();
    let new = Ue { sgw: SGW2, s11: (ue.s11.0, 5001), ..ue };
    let (mut request, answer) = new.create_s11();
    request.f_teids[1].1.teid = Teid(ue.pgw_c());
    net.pair(request, answer);
    let (mut request, answer) = ue.delete_s11();
    request.teardown = false;
    net.pair(request, answer);
    assert_eq!(net.sessions.counters().active, 1);
    assert!(net.is_bound(SGW2, ue.s1_sgw()));
}

#[test]
fn idle_and_service_request() {
    let (mut net, ue) = attached();
    let request = v2(170, (MME, SGW), ue.s11.1);
    net.pair(request, accepted(v2(171, (SGW, MME), ue.s11.0)));
    net.wait(2 * SECOND);
    assert!(!net.is_bound(ENB, ue.s1_enb()));
    assert!(net.is_bound(SGW, ue.s1_sgw()));
    let mut downlink = v2(176, (SGW, MME), ue.s11.0);
    downlink.sequence = Some(999);
    net.send(downlink);
    let (request, answer) = ue.modify(ENB, 4711);
    net.pair(request, answer);
    assert_eq!(net.owner(ENB, 4711), Some(ue.imsi));
    assert_eq!(net.sessions.counters().created, 1);
    assert!(listed(&net.only()).contains(&("S1-U eNodeB GTP-U".into(), ENB, u64::from(ue.s1_enb()))));
}

fn dedicated(net: &mut Net, ue: &Ue) {
    let mut request = v2(95, (SGW, MME), ue.s11.0);
    request.linked_ebi = Some(Ebi(ue.ebi));
    let (sgw, pgw) = (f_teid(Interface::S1U_SGW, SGW, 6001), f_teid(Interface::S5S8_PGW_U, PGW, 6002));
    request.bearers.push(Bearer { qci: Some(1), ..bearer(0, None, &[sgw, pgw]) });
    let mut answer = accepted(v2(96, (MME, SGW), ue.s11.1));
    answer.bearers.push(bearer(7, Some(16), &[f_teid(Interface::S1U_ENODEB, ENB, 6003), sgw]));
    net.pair(request, answer);
}

#[test]
fn dedicated_bearer() {
    let (mut net, ue) = attached();
    dedicated(&mut net, &ue);
    for (address, teid) in [(SGW, 6001), (PGW, 6002), (ENB, 6003)] {
        assert_eq!(net.owner(address, teid), Some(ue.imsi));
    }
    // Its default bearer's are not replaced by it.
    assert!(net.is_bound(ENB, ue.s1_enb()) && net.is_bound(SGW, ue.s1_sgw()));
    let bearers =
        [BearerRecord { ebi: 5, qci: Some(9), qfi: None }, BearerRecord { ebi: 7, qci: Some(1), qfi: None }];
    assert_eq!(net.only().bearers, bearers);
    let mut request = v2(97, (SGW, MME), ue.s11.0);
    request.bearers.push(Bearer { qci: Some(2), ..bearer(7, None, &[]) });
    let mut answer = accepted(v2(98, (MME, SGW), ue.s11.1));
    answer.bearers.push(bearer(7, Some(16), &[]));
    net.pair(request, answer);
    assert_eq!(net.only().bearers[1].qci, Some(2));
    let mut request = v2(99, (SGW, MME), ue.s11.0);
    request.ebis.push(Ebi(7));
    net.pair(request, accepted(v2(100, (MME, SGW), ue.s11.1)));
    net.wait(2 * SECOND);
    assert!(!net.is_bound(SGW, 6001) && !net.is_bound(ENB, 6003) && !net.is_bound(PGW, 6002));
    assert!(net.is_bound(ENB, ue.s1_enb()));
    assert_eq!(net.only().bearers.len(), 1);
    assert_eq!(net.sessions.counters().active, 1);
}

/// Two bearers in one request, answered in the other order: the endpoint of the SGW says which is which.
#[test]
fn dedicated_bearers_are_told_apart_by_their_endpoint() {
    let (mut net, ue) = attached();
    let mut request = v2(95, (SGW, MME), ue.s11.0);
    request.linked_ebi = Some(Ebi(5));
    let sgw = [f_teid(Interface::S1U_SGW, SGW, 6001), f_teid(Interface::S1U_SGW, SGW, 6011)];
    request.bearers.push(Bearer { qci: Some(1), ..bearer(0, None, &[sgw[0]]) });
    request.bearers.push(Bearer { qci: Some(2), ..bearer(0, None, &[sgw[1]]) });
    let mut answer = accepted(v2(96, (MME, SGW), ue.s11.1));
    answer.bearers.push(bearer(7, Some(16), &[sgw[1]]));
    answer.bearers.push(bearer(6, Some(16), &[sgw[0]]));
    net.pair(request, answer);
    let classes: Vec<_> = net.only().bearers.iter().map(|bearer| (bearer.ebi, bearer.qci)).collect();
    assert_eq!(classes, [(5, Some(9)), (6, Some(1)), (7, Some(2))]);
}

#[test]
fn the_pgw_ends_a_connection() {
    let (mut net, ue) = attached();
    let mut request = v2(99, (PGW, SGW), ue.sgw_c());
    request.linked_ebi = Some(Ebi(5));
    net.pair(request, accepted(v2(100, (SGW, PGW), ue.pgw_c())));
    assert_eq!(net.ended().len(), 1);
}

#[test]
fn dual_stack() {
    let mut net = Net::new();
    let mut ue = Ue::new(1);
    ue.ue.v6 = Some("2001:db8:1::".parse().unwrap());
    let (request, mut answer) = ue.create_s5();
    // The PGW's endpoint too: one TEID at two addresses.
    let v6 = "2001:db8:ffff::1".parse().unwrap();
    answer.bearers[0].f_teids[0].v6 = Some(v6);
    net.pair(request, answer);
    assert!(net.is_bound(PGW, ue.s5_pgw()) && net.is_bound(v6.into(), ue.s5_pgw()));
    let record = net.only();
    assert_eq!((record.ue_ipv4, record.ue_ipv6), (ue.ue.v4, ue.ue.v6));
    assert_eq!(net.keeper.placed.len(), 2);
    let by = |ue_ip| net.ids(&Filter { ue_ip: Some(ue_ip), ..Filter::default() }).len();
    assert_eq!(by("2001:db8:1::aaaa:1".parse().unwrap()), 1);
    assert_eq!(by(ue.ue.v4.unwrap().into()), 1);
    assert_eq!(by("2001:db8:2::1".parse().unwrap()), 0);
}

#[test]
fn two_connections_of_one_ue_over_one_s11_teid() {
    let (mut net, ue) = attached();
    let ims = Ue { ebi: 6, base: 300, ue: Ue::new(3).ue, ..ue };
    let (mut request, answer) = ims.create_s11();
    request.apn = Apn::from_text(b"ims");
    request.teid = Some(Teid(ue.s11.1));
    net.pair(request, answer);
    let (request, answer) = ims.modify(ENB, ims.s1_enb());
    net.pair(request, answer);
    assert_eq!(net.sessions.counters().created, 2);
    assert_eq!(net.ids(&Filter { imsi: Some(ue.imsi), ..Filter::default() }).len(), 2);
    // One Modify Access Bearers for both.
    let mut request = v2(211, (MME, SGW), ue.s11.1);
    request.bearers.push(bearer(5, None, &[f_teid(Interface::S1U_ENODEB, ENB2, 7005)]));
    request.bearers.push(bearer(6, None, &[f_teid(Interface::S1U_ENODEB, ENB2, 7006)]));
    net.pair(request, accepted(v2(212, (SGW, MME), ue.s11.0)));
    net.wait(2 * SECOND);
    assert!(!net.is_bound(ENB, ue.s1_enb()) && !net.is_bound(ENB, ims.s1_enb()));
    let session = |teid| net.keeper.bound[&TunnelKey { receiver: ENB2, teid: Teid(teid) }].1.session;
    assert_ne!(session(7005), session(7006));
    // The EBI says which of them ends.
    let (request, answer) = ims.delete_s11();
    net.pair(request, answer);
    let ended = net.ended();
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].apn.unwrap().as_str(), "ims");
    assert_eq!(net.only().apn.unwrap().as_str(), "internet");
    assert!(net.is_bound(ENB2, 7005) && !net.is_bound(ENB2, 7006));
}

#[test]
fn the_mme_changes() {
    let (mut net, ue) = attached();
    let other: IpAddr = [10, 1, 0, 9].into();
    let (mut request, answer) = ue.modify(ENB2, 9001);
    request.source = SocketAddr::new(other, 2123);
    request.f_teids.push((0, f_teid(Interface::S11_MME, other, 77)));
    request.location.area = Some(2);
    net.pair(request, answer);
    assert_eq!(net.only().location, Location { area: Some(2), cell: Some(7) });
    let mut request = v2(95, (SGW, other), 77);
    request.linked_ebi = Some(Ebi(5));
    request.bearers.push(bearer(0, None, &[f_teid(Interface::S1U_SGW, SGW, 6001)]));
    let mut answer = accepted(v2(96, (other, SGW), ue.s11.1));
    answer.bearers.push(bearer(6, Some(16), &[]));
    net.pair(request, answer);
    assert_eq!(net.owner(SGW, 6001), Some(ue.imsi));
}

#[test]
fn forwarding_at_a_handover() {
    let (mut net, ue) = attached();
    let mut request = v2(166, (MME, SGW), ue.s11.1);
    request.bearers.push(bearer(5, None, &[f_teid(Interface::ENODEB_FORWARDING_DL, ENB2, 8001)]));
    let mut answer = accepted(v2(167, (SGW, MME), ue.s11.0));
    answer.bearers.push(bearer(5, Some(16), &[f_teid(Interface::SGW_FORWARDING_DL, SGW, 8002)]));
    net.pair(request, answer);
    assert_eq!(net.owner(ENB2, 8001), Some(ue.imsi));
    assert_eq!(net.owner(SGW, 8002), Some(ue.imsi));
    assert!(net.is_bound(ENB, ue.s1_enb()), "beside the old path");
    let request = v2(168, (MME, SGW), ue.s11.1);
    net.pair(request, accepted(v2(169, (SGW, MME), ue.s11.0)));
    net.wait(2 * SECOND);
    assert!(!net.is_bound(ENB2, 8001) && !net.is_bound(SGW, 8002));
    assert!(net.is_bound(ENB, ue.s1_enb()));
}

#[test]
fn change_notification() {
    let (mut net, ue) = attached();
    let mut request = v2(38, (MME, SGW), ue.s11.1);
    request.location = Location { area: Some(9), cell: Some(10) };
    request.rat = Some(Rat(8));
    net.pair(request, accepted(v2(39, (SGW, MME), ue.s11.0)));
    assert_eq!(net.only().location, Location { area: Some(9), cell: Some(10) });
    assert_eq!(net.only().rat, Some(Rat(8)));
}

/// A session without identity gets it from the nodes that hand its UE over.
#[test]
fn context_response_names_the_subscriber() {
    let mut net = Net::new();
    let ue = Ue::new(1);
    let (mut request, answer) = ue.create_s5();
    request.imsi = None;
    net.pair(request, answer);
    assert_eq!(net.only().imsi, None);
    let request = v2(130, (MME, SGSN), 0);
    let mut answer = accepted(v2(131, (SGSN, MME), 1));
    answer.imsi = Some(ue.imsi);
    answer.pdn_connections.push(types::PdnConnection {
        anchor: Some(f_teid(Interface::S5S8_PGW_C, PGW, ue.pgw_c())),
        linked_ebi: Some(Ebi(5)),
        ..Default::default()
    });
    net.pair(request, answer);
    assert_eq!(net.only().imsi, Some(ue.imsi));
    assert_eq!(net.owner(PGW, ue.s5_pgw()), Some(ue.imsi));
}

#[test]
fn roaming() {
    let told = |serving, home: &[&str]| {
        let home_plmns = home.iter().map(|text| Plmn::from_text(text).unwrap()).collect();
        let mut net = Net::with(Limits { home_plmns, ..limits() });
        let (mut request, answer) = Ue::new(1).create_s5();
        request.serving = serving;
        net.pair(request, answer);
        net.only().roaming
    };
    let away = Some(Plmn { mcc: 310, mnc: 260, mnc_digits: 3 });
    assert_eq!(told(None, &[]), None);
    assert_eq!(told(away, &[]), Some(true));
    assert_eq!(told(away, &["00101"]), Some(false));
    assert_eq!(told(Some(Plmn { mcc: 1, mnc: 1, mnc_digits: 2 }), &[]), Some(false));
}

#[test]
fn which_sessions_a_message_concerns() {
    let (mut net, ue) = attached();
    let id = net.ids(&Filter::default())[0];
    let (request, answer) = ue.delete_s11();
    let (request, answer) = net.numbered(request, answer);
    assert_eq!(net.sessions.sessions_of(&request).as_slice(), [id]);
    assert_eq!(net.sessions.sessions_of(&answer).as_slice(), [id]);
    let mut stranger = v2(34, (MME, SGW), 31_337);
    assert!(net.sessions.sessions_of(&stranger).is_empty());
    stranger.imsi = Some(ue.imsi);
    assert_eq!(net.sessions.sessions_of(&stranger).as_slice(), [id]);
    let create = Ue::new(2).create_s11().0;
    assert!(net.sessions.sessions_of(&create).is_empty());
}
