//! GTPv1 on Gn/Gp, and changes between it and EPS.

use types::{Ebi, Interface};

use super::*;

fn v1(kind: u8, between: (IpAddr, IpAddr), teid: u32) -> SessionEvent {
    message(Signalling::Gtpv1, kind, between, teid)
}

fn ok(mut event: SessionEvent) -> SessionEvent {
    event.cause = Some(128);
    event
}

/// SGSN and GGSN endpoints: control +1, +2; user +3, +4.
fn create(n: u32, base: u32, nsapi: u8) -> (SessionEvent, SessionEvent) {
    let mut request = v1(16, (SGSN, PGW), 0);
    request.imsi = Some(imsi(n));
    request.apn = Apn::from_text(b"internet");
    request.rat = Some(Rat(1));
    request.f_teids.push((0, f_teid(Interface::GN_SGSN_C, SGSN, base + 1)));
    request.bearers.push(bearer(nsapi, None, &[f_teid(Interface::GN_SGSN_U, SGSN, base + 3)]));
    let mut answer = ok(v1(17, (PGW, SGSN), base + 1));
    answer.ue = Ue::new(n).ue;
    answer.f_teids.push((0, f_teid(Interface::GN_GGSN_C, PGW, base + 2)));
    answer
        .bearers
        .push(Bearer { ebi: None, ..bearer(0, None, &[f_teid(Interface::GN_GGSN_U, PGW, base + 4)]) });
    (request, answer)
}

fn up() -> Net {
    let mut net = Net::new();
    let (request, answer) = create(1, 100, 5);
    net.pair(request, answer);
    net
}

#[test]
fn pdp_context() {
    let mut net = up();
    let record = net.only();
    assert_eq!(record.imsi, Some(imsi(1)));
    assert_eq!(record.ue_ipv4, Ue::new(1).ue.v4);
    let names: Vec<_> = record.fteids.iter().map(|f_teid| f_teid.interface.unwrap()).collect();
    assert_eq!(names, ["Gn GGSN GTP-C", "Gn GGSN GTP-U", "Gn SGSN GTP-C", "Gn SGSN GTP-U"]);
    assert_eq!(record.bearers[0].ebi, 5);
    let mut request = v1(20, (SGSN, PGW), 102);
    request.bearers.push(bearer(5, None, &[]));
    request.teardown = true;
    net.pair(request, ok(v1(21, (PGW, SGSN), 101)));
    assert_eq!(net.ended()[0].ended_ns, Some(START + 4 * MS));
}

#[test]
fn refused_and_non_existent() {
    let mut net = Net::new();
    let (request, mut answer) = create(1, 100, 5);
    answer.cause = Some(199);
    net.pair(request, answer);
    assert_eq!(net.sessions.counters().created, 0);
    let mut net = up();
    let mut request = v1(20, (SGSN, PGW), 102);
    request.bearers.push(bearer(5, None, &[]));
    let mut answer = v1(21, (PGW, SGSN), 101);
    answer.cause = Some(192);
    net.pair(request, answer);
    assert_eq!(net.sessions.counters().deleted, 1);
}

#[test]
fn secondary_context() {
    let mut net = up();
    let mut request = v1(16, (SGSN, PGW), 102);
    request.linked_ebi = Some(Ebi(5));
    request.bearers.push(bearer(6, None, &[f_teid(Interface::GN_SGSN_U, SGSN, 203)]));
    let mut answer = ok(v1(17, (PGW, SGSN), 101));
    answer.bearers.push(bearer(6, None, &[f_teid(Interface::GN_GGSN_U, PGW, 204)]));
    net.pair(request, answer);
    assert_eq!(net.sessions.counters().created, 1);
    assert_eq!(net.keeper.bound.len(), 4, "both contexts");
    assert_eq!(net.only().bearers.len(), 2);
    // One of them goes.
    let mut request = v1(20, (SGSN, PGW), 102);
    request.bearers.push(bearer(6, None, &[]));
    net.pair(request, ok(v1(21, (PGW, SGSN), 101)));
    net.wait(2 * SECOND);
    assert_eq!(net.sessions.counters().active, 1);
    assert!(!net.is_bound(PGW, 204) && net.is_bound(PGW, 104));
    // Without teardown the last one ends it.
    let mut request = v1(20, (SGSN, PGW), 102);
    request.bearers.push(bearer(5, None, &[]));
    net.pair(request, ok(v1(21, (PGW, SGSN), 101)));
    assert_eq!(net.sessions.counters().deleted, 1);
}

#[test]
fn the_sgsn_changes_and_a_direct_tunnel() {
    let mut net = up();
    let other: IpAddr = [10, 1, 0, 55].into();
    let rnc: IpAddr = [10, 3, 0, 1].into();
    let mut request = v1(18, (other, PGW), 102);
    request.f_teids.push((0, f_teid(Interface::GN_SGSN_C, other, 301)));
    request.bearers.push(bearer(5, None, &[f_teid(Interface::GN_SGSN_U, rnc, 303)]));
    net.pair(request, ok(v1(19, (PGW, other), 301)));
    net.wait(2 * SECOND);
    assert_eq!(net.owner(rnc, 303), Some(imsi(1)));
    assert!(!net.is_bound(SGSN, 103));
    assert_eq!(net.only().fteids.len(), 6);
    // The GGSN asks now.
    let mut request = v1(18, (PGW, other), 301);
    request.bearers.push(Bearer { qci: Some(4), ..bearer(5, None, &[]) });
    net.pair(request, ok(v1(19, (other, PGW), 102)));
    assert_eq!(net.only().bearers[0].qci, Some(4));
}

#[test]
fn info_change() {
    let mut net = up();
    let mut request = v1(128, (SGSN, PGW), 102);
    request.imsi = Some(imsi(1));
    request.location.area = Some(77);
    net.pair(request, ok(v1(129, (PGW, SGSN), 101)));
    assert_eq!(net.only().location.area, Some(77));
}

#[test]
fn recreated_under_the_same_identity() {
    let mut net = up();
    let (request, mut answer) = create(1, 200, 5);
    answer.ue.v4 = Some([10, 7, 7, 7].into());
    net.pair(request, answer);
    assert_eq!(net.ended().len(), 1);
    assert!(!net.is_bound(PGW, 104) && net.is_bound(PGW, 204));
    assert_eq!(net.sessions.counters().created, 2);
}

/// TS 23.401 D.3.3: the SGSN uses the PGW's S5 endpoints as those of a GGSN.
#[test]
fn from_4g_to_3g() {
    let mut net = Net::new();
    let ue = Ue::new(1);
    let events = ue.attach(&mut net);
    net.send_all(events);
    let mut request = v1(18, (SGSN, PGW), ue.pgw_c());
    request.imsi = Some(ue.imsi);
    request.rat = Some(Rat(1));
    request.f_teids.push((0, f_teid(Interface::GN_SGSN_C, SGSN, 901)));
    request.bearers.push(bearer(5, None, &[f_teid(Interface::GN_SGSN_U, SGSN, 903)]));
    let mut answer = ok(v1(19, (PGW, SGSN), 901));
    answer.f_teids.push((0, f_teid(Interface::GN_GGSN_C, PGW, ue.pgw_c())));
    answer.bearers.push(bearer(5, None, &[f_teid(Interface::GN_GGSN_U, PGW, ue.s5_pgw())]));
    net.pair(request, answer);
    net.wait(2 * SECOND);
    assert_eq!(net.sessions.counters().created, 1);
    assert_eq!(net.owner(SGSN, 903), Some(ue.imsi));
    assert_eq!(net.owner(PGW, ue.s5_pgw()), Some(ue.imsi));
    assert!(!net.is_bound(SGW, ue.s5_sgw()));
    assert_eq!(net.only().rat, Some(Rat(1)));
    // The MME tells the SGW to let go: the session goes on.
    let (mut request, answer) = ue.delete_s11();
    request.teardown = false;
    net.pair(request, answer);
    net.wait(2 * SECOND);
    assert_eq!(net.sessions.counters().active, 1);
    assert!(!net.is_bound(SGW, ue.s1_sgw()) && !net.is_bound(ENB, ue.s1_enb()));
    let record = net.only();
    let names: Vec<_> = record.fteids.iter().filter(|f| f.teid == u64::from(ue.s5_pgw())).collect();
    assert_eq!(names.len(), 2, "one endpoint under both names: {names:?}");
    // And it ends on Gn.
    let mut request = v1(20, (SGSN, PGW), ue.pgw_c());
    request.bearers.push(bearer(5, None, &[]));
    request.teardown = true;
    net.pair(request, ok(v1(21, (PGW, SGSN), 901)));
    assert_eq!(net.sessions.counters().deleted, 1);
}

/// TS 23.401 D.3.6: the MME got the GGSN's endpoint from the SGSN.
#[test]
fn from_3g_to_4g() {
    let mut net = up();
    let ue = Ue { base: 4000, ..Ue::new(1) };
    let (mut request, mut answer) = ue.create_s11();
    request.f_teids[1].1.teid = Teid(102);
    answer.f_teids.pop();
    answer.bearers[0].f_teids[1].teid = Teid(104);
    let (r11, a11) = net.numbered(request, answer);
    let mut request = v2(34, (SGW, PGW), 102);
    request.rat = Some(Rat(6));
    request.f_teids.push((0, f_teid(Interface::S5S8_SGW_C, SGW, ue.sgw_c())));
    request.bearers.push(bearer(5, None, &[f_teid(Interface::S5S8_SGW_U, SGW, ue.s5_sgw())]));
    let mut answer = accepted(v2(35, (PGW, SGW), ue.sgw_c()));
    answer.bearers.push(bearer(5, Some(16), &[]));
    let (r5, a5) = net.numbered(request, answer);
    net.send_all([r11, r5, a5, a11]);
    net.wait(2 * SECOND);
    assert_eq!(net.sessions.counters().created, 1);
    for (address, teid) in [(SGW, ue.s1_sgw()), (SGW, ue.s5_sgw()), (PGW, 104)] {
        assert_eq!(net.owner(address, teid), Some(imsi(1)), "{address} {teid}");
    }
    assert!(!net.is_bound(SGSN, 103), "the PGW sends to the SGW now");
    assert_eq!(net.only().rat, Some(Rat(6)));
    let (request, answer) = ue.delete_s11();
    net.pair(request, answer);
    assert_eq!(net.sessions.counters().deleted, 1);
}

/// By S4: one SGW, another access.
#[test]
fn to_3g_by_s4() {
    let mut net = Net::new();
    let ue = Ue::new(1);
    let events = ue.attach(&mut net);
    net.send_all(events);
    let mut request = v2(34, (SGSN, SGW), ue.s11.1);
    request.rat = Some(Rat(1));
    request.f_teids.push((0, f_teid(Interface::S4_SGSN_C, SGSN, 801)));
    request.bearers.push(bearer(5, None, &[f_teid(Interface::S4_SGSN_U, SGSN, 803)]));
    let mut answer = accepted(v2(35, (SGW, SGSN), 801));
    answer.bearers.push(bearer(5, Some(16), &[f_teid(Interface::S4_SGW_U, SGW, 804)]));
    net.pair(request, answer);
    net.wait(2 * SECOND);
    assert_eq!(net.owner(SGSN, 803), Some(ue.imsi));
    assert_eq!(net.owner(SGW, 804), Some(ue.imsi));
    assert!(!net.is_bound(ENB, ue.s1_enb()));
    assert_eq!(net.sessions.counters().created, 1);
    // And back to E-UTRAN.
    let (request, answer) = ue.modify(ENB2, 9001);
    net.pair(request, answer);
    net.wait(2 * SECOND);
    assert!(net.is_bound(ENB2, 9001) && !net.is_bound(SGSN, 803));
}

#[test]
fn create_on_gn_with_the_same_address_goes_on() {
    let mut net = Net::new();
    let ue = Ue::new(1);
    let events = ue.attach(&mut net);
    net.send_all(events);
    let (request, answer) = create(1, 900, 5);
    net.pair(request, answer);
    assert_eq!(net.sessions.counters().created, 1);
    assert_eq!(net.owner(SGSN, 903), Some(ue.imsi));
    // With another address it is another session.
    let (request, mut answer) = create(1, 950, 5);
    answer.ue.v4 = Some([10, 7, 7, 7].into());
    net.pair(request, answer);
    assert_eq!(net.sessions.counters().deleted, 1);
    assert_eq!(net.only().ue_ipv4, Some([10, 7, 7, 7].into()));
}
