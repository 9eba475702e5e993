//! Numbers and addresses that are given out again, and ends that nobody saw.

use super::*;

#[test]
fn recreated_under_the_same_identity() {
    let mut net = Net::new();
    let ue = Ue::new(1);
    let events = ue.attach(&mut net);
    net.send_all(events);
    let again = Ue { base: 700, s11: (701, 702), ue: Ue::new(7).ue, ..ue };
    let events = again.attach(&mut net);
    let accepted_at = net.now + 3 * MS;
    net.send_all(events);
    let ended = net.ended();
    assert_eq!(ended.len(), 1);
    is(&ended[0], Phase::Deleted);
    assert_eq!(ended[0].ended_ns, Some(accepted_at), "with the first answer of the new one");
    assert_eq!(listed(&ended[0]), ue.listed());
    assert_eq!(listed(&net.only()), again.listed());
    let counters = net.sessions.counters();
    assert_eq!((counters.created, counters.deleted), (2, 1));
}

/// The PGW may give the same endpoints to the same subscriber again.
#[test]
fn recreated_with_the_same_endpoints() {
    for seen in [&[true, true][..], &[true, false], &[false, true]] {
        let mut net = Net::new();
        let ue = Ue::new(1);
        for round in 0..2 {
            if round == 1 {
                net.now += 60 * SECOND;
            }
            let creates = [ue.create_s11(), ue.create_s5()];
            for ((request, answer), _) in creates.into_iter().zip(seen).filter(|(_, seen)| **seen) {
                net.pair(request, answer);
            }
        }
        let counters = net.sessions.counters();
        assert_eq!((counters.created, counters.deleted, counters.active), (2, 1, 1), "{seen:?}");
        assert_eq!(net.owner(PGW, ue.s5_pgw()), Some(ue.imsi));
    }
}

/// TEIDs are the address's that gave them: one SGW with three user-plane addresses gives each number
/// three times.
#[test]
fn user_plane_addresses_with_overlapping_teids() {
    let mut net = Net::new();
    let addresses: [IpAddr; 3] = [[10, 1, 1, 1].into(), [10, 1, 1, 2].into(), [10, 1, 1, 3].into()];
    for n in 1..=3 {
        let ue = Ue { base: 100, s11: (n * 10, n * 10 + 1), ..Ue::new(n) };
        let (mut request, mut answer) = ue.create_s11();
        request.f_teids[0].1.teid = Teid(n * 10);
        answer.f_teids[1].1.teid = Teid(1000 + n);
        answer.bearers[0].f_teids[0] = f_teid(Interface::S1U_SGW, addresses[n as usize - 1], 256);
        answer.bearers[0].f_teids[1].teid = Teid(1000 + n);
        net.pair(request, answer);
    }
    for n in 1..=3 {
        assert_eq!(net.owner(addresses[n as usize - 1], 256), Some(imsi(n)));
    }
    assert_eq!(net.sessions.counters().active, 3);
}

/// An MME and SGW on one address: one number in the control plane and in the user plane are two things.
#[test]
fn planes_do_not_meet() {
    let mut net = Net::new();
    let mut ue = Ue::new(1);
    ue.s11.1 = ue.s1_sgw();
    let events = ue.attach(&mut net);
    net.send_all(events);
    assert_eq!(net.owner(SGW, ue.s1_sgw()), Some(ue.imsi));
    let events = ue.detach(&mut net);
    net.send_all(events);
    assert_eq!(net.sessions.counters().deleted, 1);
}

#[test]
fn a_teid_given_out_again_after_a_missed_delete() {
    let mut net = Net::new();
    let old = Ue::new(1);
    let events = old.attach(&mut net);
    net.send_all(events);
    let mut new = Ue::new(2);
    let events: Vec<_> = new.attach(&mut net);
    net.send_all(events);
    // Subscriber 2 gets the base station's endpoint of subscriber 1.
    let (request, answer) = new.modify(ENB, old.s1_enb());
    net.pair(request, answer);
    assert_eq!(net.owner(ENB, old.s1_enb()), Some(new.imsi));
    assert_eq!(net.sessions.counters().active, 2);
    let ids = net.ids(&Filter { imsi: Some(old.imsi), ..Filter::default() });
    assert_eq!(listed(&net.sessions.record(ids[0], |_| (0, 0)).unwrap()), old.listed(), "it had it");
    // Subscriber 3 gets the anchor of subscriber 1, whose session has ended then.
    new = Ue { base: old.base, s11: (901, 902), ..Ue::new(3) };
    let (request, answer) = new.create_s5();
    net.pair(request, answer);
    let ended = net.ended();
    assert_eq!(ended.len(), 1);
    assert_eq!((ended[0].imsi, ended[0].ended_ns), (Some(old.imsi), Some(net.now)));
    assert_eq!(net.owner(PGW, old.s5_pgw()), Some(new.imsi));
}

/// What an old session let go does not come back to it.
#[test]
fn a_grace_does_not_outlive_its_endpoint() {
    let mut net = Net::new();
    let (old, new) = (Ue::new(1), Ue::new(2));
    for ue in [old, new] {
        let events = ue.attach(&mut net);
        net.send_all(events);
    }
    let (request, answer) = old.modify(ENB2, 9001);
    net.pair(request, answer);
    let (request, answer) = new.modify(ENB, old.s1_enb());
    net.pair(request, answer);
    net.wait(2 * SECOND);
    assert_eq!(net.owner(ENB, old.s1_enb()), Some(new.imsi));
    assert!(!net.is_bound(ENB, new.s1_enb()));
}

#[test]
fn an_address_of_the_same_network_given_out_again() {
    let mut net = Net::new();
    let old = Ue::new(1);
    let events = old.attach(&mut net);
    net.send_all(events);
    let new = Ue { ue: old.ue, ..Ue::new(2) };
    let (request, answer) = new.create_s5();
    net.pair(request, answer);
    let ended = net.ended();
    assert_eq!(ended.len(), 1, "the PGW would not give it twice");
    assert_eq!((ended[0].imsi, ended[0].ended_ns), (Some(old.imsi), Some(net.now)));
    let id = net.ids(&Filter::default())[0];
    assert_eq!(net.keeper.placed[&old.ue.v4.unwrap().into()], Some(id));
}

/// Addresses overlap between access points: then an address alone says nothing.
#[test]
fn an_address_in_two_networks_is_nobodys_until_one_is_left() {
    let mut net = Net::new();
    let (one, two) = (Ue::new(1), Ue { ue: Ue::new(1).ue, ..Ue::new(2) });
    let address: IpAddr = one.ue.v4.unwrap().into();
    let (request, answer) = one.create_s5();
    net.pair(request, answer);
    let (mut request, answer) = two.create_s5();
    request.apn = Apn::from_text(b"corporate");
    net.pair(request, answer);
    assert_eq!(net.sessions.counters().active, 2);
    assert_eq!(net.keeper.placed[&address], None);
    assert_eq!(net.ids(&Filter { ue_ip: Some(address), ..Filter::default() }).len(), 2);
    let (request, answer) = one.delete_s5();
    net.pair(request, answer);
    assert_eq!(net.keeper.placed[&address], Some(net.ids(&Filter::default())[0]));
    let (request, answer) = two.delete_s5();
    net.pair(request, answer);
    assert_eq!(net.keeper.placed[&address], None);
}

/// A UE on Wi-Fi: the ePDG counts bearers for itself.
#[test]
fn wifi_beside_lte() {
    let mut net = Net::new();
    let ue = Ue::new(1);
    let events = ue.attach(&mut net);
    net.send_all(events);
    let wifi = Ue { base: 800, ue: Ue::new(8).ue, ..ue };
    let (mut request, mut answer) = wifi.create_s5();
    request.apn = Apn::from_text(b"ims");
    request.f_teids[0].1.interface = Interface::S2B_EPDG_C;
    request.bearers[0].f_teids[0].interface = Interface::S2B_EPDG_U;
    answer.f_teids[0].1.interface = Interface::S2B_PGW_C;
    answer.bearers[0].f_teids[0].interface = Interface::S2B_PGW_U;
    net.pair(request, answer);
    assert_eq!(net.sessions.counters().active, 2);
    let (request, answer) = wifi.delete_s5();
    net.pair(request, answer);
    assert_eq!(net.only().apn.unwrap().as_str(), "internet");
}

#[test]
fn a_sequence_number_that_comes_round_is_not_a_retransmission() {
    let mut net = Net::new();
    for n in 1..=3 {
        let (mut request, mut answer) = Ue::new(n).create_s5();
        (request.sequence, answer.sequence) = (Some(7), Some(7));
        net.send(request);
        net.send(answer);
    }
    assert_eq!(net.sessions.counters().created, 3);
}

/// An SGSN hands a number out again that the session of another, which has moved on unseen, still has.
/// Nothing of the new holder was seen but the ends of its messages.
#[test]
fn an_answer_alone_does_not_end_another_session() {
    let mut net = Net::new();
    let (old, new) = (Ue::new(1), Ue::new(2));
    let events = old.attach(&mut net);
    net.send_all(events);
    // The new one is at another SGW, which nobody told of, and has the MME's endpoint.
    for destination in [SGW, SGW2] {
        let mut request = v2(36, (MME, destination), new.s11.1);
        request.linked_ebi = Some(Ebi(5));
        net.pair(request, accepted(v2(37, (destination, MME), old.s11.0)));
        assert_eq!(net.sessions.counters().active, 1, "{destination}");
    }
    let mut request = v2(99, (SGW, MME), old.s11.0);
    request.linked_ebi = Some(Ebi(5));
    net.pair(request, accepted(v2(100, (MME, SGW), new.s11.1)));
    assert_eq!(net.sessions.counters().active, 1, "the SGW knows it by another number");
    // From the PGW: an anchor never changes.
    for (pgw, left) in [(PGW, 1), (SGSN, 1)] {
        let mut request = v2(99, (pgw, SGW), old.sgw_c());
        request.linked_ebi = Some(Ebi(5));
        net.pair(request, accepted(v2(100, (SGW, pgw), new.pgw_c())));
        assert_eq!(net.sessions.counters().active, left, "{pgw}");
    }
    // The tunnels of the new one are not the old one's.
    let (mut request, mut answer) = old.modify(ENB2, 9001);
    request.teid = Some(Teid(new.s11.1));
    net.pair(request.clone(), answer.clone());
    assert!(!net.is_bound(ENB2, 9001));
    (request.teid, request.imsi) = (Some(Teid(old.s11.1)), Some(new.imsi));
    net.pair(request.clone(), answer.clone());
    assert!(!net.is_bound(ENB2, 9001), "of another subscriber");
    // At an SGW that it may have moved to unseen, it is taken for its own; so is its end where it knows of
    // no SGW.
    (request.teid, request.imsi) = (Some(Teid(new.s11.1)), None);
    request.destination = SocketAddr::new(SGW2, 2123);
    answer.source = request.destination;
    net.pair(request, answer);
    assert!(net.is_bound(ENB2, 9001));
    let (request, answer) = old.delete_s11();
    net.pair(request, answer);
    assert_eq!(net.sessions.counters().active, 0);
}

/// The same where the request finds the old session and the answer goes to another one's endpoint.
#[test]
fn a_number_of_the_sgw_given_out_again_ends_nobody() {
    let mut net = Net::new();
    let old = Ue::new(1);
    let events = old.attach(&mut net);
    net.send_all(events);
    let (request, mut answer) = old.delete_s11();
    answer.teid = Some(Teid(4711));
    net.pair(request, answer);
    assert_eq!(net.sessions.counters().active, 1, "the MME knows it by another number");
    // A new MME, of which nothing was seen, may well delete it.
    let (mut request, mut answer) = old.delete_s11();
    request.source = SocketAddr::new(SGSN, 2123);
    (answer.destination, answer.teid) = (request.source, Some(Teid(4711)));
    net.pair(request, answer);
    assert_eq!(net.sessions.counters().active, 0);
}

/// An answer alone that tells an anchor and an address of another family is of who got the anchor next.
#[test]
fn an_anchor_given_out_again_with_another_family() {
    let mut net = Net::new();
    let old = Ue::new(1);
    let (request, answer) = old.create_s5();
    net.pair(request, answer);
    let v6 = Some("2001:db8:1::".parse().unwrap());
    let new = Ue { ue: UeAddress { v4: None, v6 }, s11: (901, 902), ..old };
    let (request, answer) = new.create_s11();
    let (_, answer) = net.numbered(request, answer);
    net.send(answer);
    assert_eq!((net.only().ue_ipv4, net.only().ue_ipv6), (old.ue.v4, None));
    assert!(!net.is_bound(SGW, new.s1_sgw()));
}
