//! PFCP: N4, and Sx beside GTP-C.

use types::{FSeid, Far, Interface, Pdr, Qfi, RuleAction, Seid, Side};

use super::*;

const SMF: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 5, 0, 1));
const UPF: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 5, 0, 2));
const UPF2: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 5, 0, 3));
const GNB: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 6, 0, 1));
const GNB2: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 6, 0, 2));

fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    if let IpAddr::V4(v4) = address { Some(v4) } else { None }
}

fn pfcp(kind: u8, between: (IpAddr, IpAddr), seid: u64) -> SessionEvent {
    let mut event = message(Signalling::Pfcp, kind, between, 0);
    event.teid = None;
    event.seid = Some(Seid(seid));
    event
}

fn ok(mut event: SessionEvent) -> SessionEvent {
    event.cause = Some(1);
    event
}

fn f_seid(address: IpAddr, seid: u64) -> Option<FSeid> {
    Some(FSeid { seid: Seid(seid), v4: v4(address), v6: None })
}

fn pdr(action: RuleAction, id: u16, source: Option<Side>, local: Option<FTeid>) -> Pdr {
    let choose = local.is_none();
    Pdr { action, id, source, local, choose, choose_id: None, ue: UeAddress::default(), qfi: None, far: None }
}

fn far(action: RuleAction, id: u32, destination: Side, peer: Option<FTeid>) -> Far {
    Far { action, id, destination: Some(destination), peer }
}

/// N4 of a PDU session: the UPF chooses its endpoint, the gNB's is not known yet.
fn establish(n: u32, upf: IpAddr, seid: u64, local: u32) -> (SessionEvent, SessionEvent) {
    let mut request = pfcp(50, (SMF, upf), 0);
    request.f_seid = f_seid(SMF, seid);
    request.apn = Apn::from_text(b"internet");
    request.ue = Ue::new(n).ue;
    request.snssai = Some(types::Snssai { sst: 1, sd: Some(2) });
    request.pdrs.push(Pdr { qfi: Some(Qfi(9)), ..pdr(RuleAction::Create, 1, Some(Side::Access), None) });
    request.pdrs.push(Pdr { choose: false, ..pdr(RuleAction::Create, 2, Some(Side::Core), None) });
    request.fars.push(far(RuleAction::Create, 1, Side::Core, None));
    request.fars.push(far(RuleAction::Create, 2, Side::Access, None));
    let mut answer = ok(pfcp(51, (upf, SMF), seid));
    answer.f_seid = f_seid(upf, seid + 1);
    // A Created PDR does not say the side: the request did.
    let chosen = f_teid(Interface::N9_UPF, upf, local);
    answer.pdrs.push(pdr(RuleAction::Created, 1, None, Some(chosen)));
    (request, answer)
}

fn peer(seid: u64, upf: IpAddr, id: u32, side: Side, peer: FTeid) -> (SessionEvent, SessionEvent) {
    let mut request = pfcp(52, (SMF, upf), seid + 1);
    request.fars.push(far(RuleAction::Update, id, side, Some(peer)));
    (request, ok(pfcp(53, (upf, SMF), seid)))
}

fn delete(seid: u64, upf: IpAddr) -> (SessionEvent, SessionEvent) {
    (pfcp(54, (SMF, upf), seid + 1), ok(pfcp(55, (upf, SMF), seid)))
}

fn up() -> Net {
    let mut net = Net::new();
    let (request, answer) = establish(1, UPF, 1000, 11);
    net.pair(request, answer);
    let (request, answer) = peer(1000, UPF, 2, Side::Access, f_teid(Interface::N3_GNB, GNB, 12));
    net.pair(request, answer);
    net
}

#[test]
fn choose_is_answered() {
    let net = up();
    let record = net.only();
    let expected = [("N3 UPF", UPF, 11), ("N3 gNB", GNB, 12), ("N4 SMF", SMF, 1000), ("N4 UPF", UPF, 1001)];
    assert_eq!(listed(&record), expected.map(|(name, ip, teid)| (name.to_string(), ip, teid)));
    assert_eq!(record.apn.unwrap().as_str(), "internet");
    assert_eq!(record.ue_ipv4, Ue::new(1).ue.v4);
    assert_eq!(record.snssai, Some(types::Snssai { sst: 1, sd: Some(2) }));
    assert_eq!(record.bearers, [crate::BearerRecord { ebi: 0, qci: None, qfi: Some(Qfi(9)) }]);
    assert_eq!(record.imsi, None);
    assert_eq!((record.known, record.created_ns), (true, START + 2 * MS));
    assert_ne!(record.correlation_id, 0);
    let (_, view) = net.keeper.bound[&TunnelKey { receiver: UPF, teid: Teid(11) }];
    let network = Apn::from_text(b"internet");
    assert_eq!(view.pin, crate::Pin::Ue { address: Ue::new(1).ue.v4.unwrap().into(), network });
    assert_eq!(view.toward, Some(Toward::Uplink));
}

/// TS 29.244 5.5.1: rules with one CHOOSE ID have one endpoint, and one Created PDR may tell it.
#[test]
fn choose_id_is_shared() {
    let mut net = Net::new();
    let (mut request, answer) = establish(1, UPF, 1000, 11);
    request.pdrs[0].choose_id = Some(7);
    request.pdrs.push(Pdr { choose_id: Some(7), ..pdr(RuleAction::Create, 3, Some(Side::Access), None) });
    net.pair(request, answer);
    // While one of the two rules is left the endpoint stays.
    for (id, bound) in [(1, true), (3, false)] {
        let mut request = pfcp(52, (SMF, UPF), 1001);
        request.pdrs.push(Pdr { choose: false, ..pdr(RuleAction::Remove, id, None, None) });
        net.pair(request, ok(pfcp(53, (UPF, SMF), 1000)));
        net.wait(2 * SECOND);
        assert_eq!(net.is_bound(UPF, 11), bound);
    }
}

#[test]
fn handover_and_deletion() {
    let mut net = up();
    let (request, answer) = peer(1000, UPF, 2, Side::Access, f_teid(Interface::N3_GNB, GNB2, 22));
    net.pair(request, answer);
    assert!(net.is_bound(GNB, 12), "for a moment");
    net.wait(2 * SECOND);
    assert!(net.is_bound(GNB2, 22) && !net.is_bound(GNB, 12));
    // Idle: the FAR buffers and says nothing of a peer, which stays.
    let mut request = pfcp(52, (SMF, UPF), 1001);
    request.fars.push(far(RuleAction::Update, 2, Side::Access, None));
    net.pair(request, ok(pfcp(53, (UPF, SMF), 1000)));
    net.wait(2 * SECOND);
    assert!(net.is_bound(GNB2, 22));
    // A FAR that is removed has none.
    let mut request = pfcp(52, (SMF, UPF), 1001);
    request.fars.push(far(RuleAction::Remove, 2, Side::Access, None));
    net.pair(request, ok(pfcp(53, (UPF, SMF), 1000)));
    net.wait(2 * SECOND);
    assert!(!net.is_bound(GNB2, 22));
    let (request, answer) = delete(1000, UPF);
    net.pair(request, answer);
    let ended = net.ended();
    assert_eq!(ended[0].fteids.len(), 5);
    assert_eq!(ended[0].ended_ns, Some(net.now));
    assert!(net.keeper.bound.is_empty());
}

#[test]
fn refused() {
    let mut net = Net::new();
    let (request, mut answer) = establish(1, UPF, 1000, 11);
    answer.cause = Some(64);
    net.pair(request, answer);
    assert_eq!(net.sessions.counters().created, 0);
}

#[test]
fn user_id_pins() {
    let mut net = Net::new();
    let (mut request, answer) = establish(1, UPF, 1000, 11);
    request.imsi = Some(imsi(1));
    net.pair(request, answer);
    assert_eq!(net.owner(UPF, 11), Some(imsi(1)));
}

#[test]
fn established_anew_with_the_same_f_seid() {
    let mut net = up();
    let (request, answer) = establish(1, UPF, 1000, 31);
    net.pair(request, answer);
    assert_eq!(net.ended().len(), 1);
    assert!(net.is_bound(UPF, 31) && !net.is_bound(UPF, 11));
}

/// I-UPF and anchor: what the one sends to is where the other receives.
#[test]
fn two_upfs_share_n9() {
    let mut net = up();
    let (mut request, answer) = establish(1, UPF2, 2000, 41);
    let n9 = f_teid(Interface::N9_UPF, UPF, 42);
    request.fars.push(far(RuleAction::Create, 3, Side::Access, Some(n9)));
    // The anchor is UPF2; the I-UPF receives downlink at 42 and sends uplink to 41.
    let mut intermediate = pfcp(52, (SMF, UPF), 1001);
    intermediate.pdrs.push(pdr(RuleAction::Create, 3, Some(Side::Core), Some(n9)));
    let n9_up = f_teid(Interface::N9_UPF, UPF2, 41);
    intermediate.fars.push(far(RuleAction::Update, 1, Side::Core, Some(n9_up)));
    net.pair(intermediate, ok(pfcp(53, (UPF, SMF), 1000)));
    net.pair(request, answer);
    assert_eq!(net.sessions.counters().created, 1);
    let record = net.only();
    let names: Vec<_> = listed(&record).into_iter().map(|(name, _, teid)| (name, teid)).collect();
    let expected = [
        ("N3 UPF", 11),
        ("N3 gNB", 12),
        ("N4 SMF", 1000),
        ("N4 SMF", 2000),
        ("N4 UPF", 1001),
        ("N4 UPF", 2001),
        ("N9 UPF", 42),
        ("N9 UPF", 41),
    ];
    assert_eq!(names, expected.map(|(name, teid)| (name.to_string(), teid)));
    let toward =
        |address, teid| net.keeper.bound[&TunnelKey { receiver: address, teid: Teid(teid) }].1.toward;
    assert_eq!(toward(UPF, 42), Some(Toward::Downlink));
    assert_eq!(toward(UPF2, 41), Some(Toward::Uplink));
    // One UPF goes: only what nobody else holds goes with it.
    let (request, answer) = delete(1000, UPF);
    net.pair(request, answer);
    net.wait(2 * SECOND);
    assert_eq!(net.sessions.counters().active, 1);
    assert!(net.is_bound(UPF2, 41) && net.is_bound(UPF, 42) && !net.is_bound(UPF, 11));
    let (request, answer) = delete(2000, UPF2);
    net.pair(request, answer);
    assert_eq!(net.ended().len(), 1);
}

/// The same endpoint on the same side is a TEID that was given out again.
#[test]
fn a_teid_given_out_again_by_a_upf() {
    let mut net = up();
    let (mut request, answer) = establish(1, UPF, 3000, 11);
    request.ue = UeAddress::default();
    net.pair(request, answer);
    assert_eq!(net.sessions.counters().created, 2);
    let sessions: Vec<_> = [(UPF, 11), (GNB, 12)]
        .map(|(receiver, teid)| net.keeper.bound[&TunnelKey { receiver, teid: Teid(teid) }].1.session)
        .into();
    assert_ne!(sessions[0], sessions[1]);
}

/// Sxa beside S11 and S5: the SGW-U's endpoints are those that GTP-C tells.
fn sxa(ue: &Ue) -> (SessionEvent, SessionEvent) {
    let mut request = pfcp(50, (SMF, UPF), 0);
    request.f_seid = f_seid(SMF, 500);
    request.pdrs.push(pdr(RuleAction::Create, 1, Some(Side::Access), None));
    request.pdrs.push(pdr(RuleAction::Create, 2, Some(Side::Core), None));
    let mut answer = ok(pfcp(51, (UPF, SMF), 500));
    answer.f_seid = f_seid(UPF, 501);
    let chosen = |id, teid| pdr(RuleAction::Created, id, None, Some(f_teid(Interface::N3_UPF, SGW, teid)));
    answer.pdrs.push(chosen(1, ue.s1_sgw()));
    answer.pdrs.push(chosen(2, ue.s5_sgw()));
    (request, answer)
}

fn with_sx(ue: &Ue) -> Vec<(String, IpAddr, u64)> {
    let mut all = ue.listed();
    all.push(("N4 SMF".into(), SMF, 500));
    all.push(("N4 UPF".into(), UPF, 501));
    all.sort_unstable();
    all
}

#[test]
fn pfcp_before_gtp() {
    let mut net = Net::new();
    let ue = Ue::new(1);
    let (request, answer) = sxa(&ue);
    net.pair(request, answer);
    let before = net.only();
    let events = ue.attach(&mut net);
    net.send_all(events);
    let record = net.only();
    assert_eq!(listed(&record), with_sx(&ue), "the names are those of GTP-C");
    assert_eq!(record.imsi, Some(ue.imsi));
    assert_eq!(record.created_ns, before.created_ns);
    assert_eq!(record.correlation_id, before.correlation_id, "fixed when it was learned");
    assert_eq!(net.sessions.counters().created, 1);
    assert_eq!(net.owner(SGW, ue.s1_sgw()), Some(ue.imsi));
    ends_together(net, &ue);
}

#[test]
fn pfcp_after_gtp() {
    let mut net = Net::new();
    let ue = Ue::new(1);
    let events = ue.attach(&mut net);
    net.send_all(events);
    let (request, answer) = sxa(&ue);
    net.pair(request, answer);
    assert_eq!(listed(&net.only()), with_sx(&ue));
    assert_eq!(net.sessions.counters().created, 1);
    assert_eq!(net.keeper.binds, 4);
    ends_together(net, &ue);
}

fn ends_together(mut net: Net, ue: &Ue) {
    // Sx goes first, as in a detach; the session with S11 and S5.
    let (request, answer) = delete(500, UPF);
    net.pair(request, answer);
    net.wait(2 * SECOND);
    assert!(net.is_bound(SGW, ue.s1_sgw()) && net.is_bound(SGW, ue.s5_sgw()));
    let events = ue.detach(&mut net);
    net.send_all(events);
    assert_eq!(net.sessions.counters().deleted, 1);
    assert_eq!(listed(&net.ended()[0]), with_sx(ue));
}

/// Two Sx sessions that nothing joins, until GTP-C names endpoints of both.
#[test]
fn gtp_joins_two_pfcp_sessions() {
    let mut net = Net::new();
    let ue = Ue::new(1);
    let (request, answer) = sxa(&ue);
    net.pair(request, answer);
    let mut request = pfcp(50, (SMF, UPF2), 0);
    request.f_seid = f_seid(SMF, 600);
    request.ue = ue.ue;
    let local = f_teid(Interface::N3_UPF, PGW, ue.s5_pgw());
    request.pdrs.push(pdr(RuleAction::Create, 1, Some(Side::Access), Some(local)));
    let mut answer = ok(pfcp(51, (UPF2, SMF), 600));
    answer.f_seid = f_seid(UPF2, 601);
    net.pair(request, answer);
    assert_eq!(net.sessions.counters().active, 2);
    let events = ue.attach(&mut net);
    net.send_all(events);
    assert_eq!(net.sessions.counters().created, 1);
    assert_eq!(net.keeper.merged.len(), 1);
    let mut expected = with_sx(&ue);
    expected.push(("N4 SMF".into(), SMF, 600));
    expected.push(("N4 UPF".into(), UPF2, 601));
    expected.sort_unstable();
    assert_eq!(listed(&net.only()), expected);
}

/// A rule may hold an endpoint that another session has taken; when that is folded, the rule holds none.
#[test]
fn a_rule_does_not_outlive_its_endpoint() {
    let mut net = up();
    let (mut request, answer) = establish(2, UPF, 3000, 11);
    request.fars.clear();
    net.pair(request, answer);
    for teid in 10_000..10_100 {
        let (request, answer) = peer(1000, UPF, 2, Side::Access, f_teid(Interface::N3_GNB, GNB2, teid));
        net.pair(request, answer);
        net.wait(2 * SECOND);
        net.check();
    }
    let ids = net.ids(&Filter { teid: Some(Teid(10_099)), ..Filter::default() });
    let record = net.sessions.record(ids[0], |_| (0, 0)).unwrap();
    assert!(!record.fteids.iter().any(|f_teid| f_teid.teid == 11), "folded");
}

/// The SMF's F-SEID, told or of the session, says whose an answer is that comes from another address.
#[test]
fn answers_from_another_address() {
    let mut net = Net::new();
    let mut astray = |mut request: SessionEvent, mut answer: SessionEvent, seid: u64| {
        (request, answer) = net.numbered(request, answer);
        (answer.source, answer.seid) = (std::net::SocketAddr::new(UPF2, 8805), Some(Seid(seid)));
        net.send_all([request, answer]);
        (net.sessions.counters().active, net.sessions.counters().astray)
    };
    let (request, answer) = establish(1, UPF, 100, 5);
    assert_eq!(astray(request.clone(), answer.clone(), 104), (0, 0));
    assert_eq!(astray(request, answer, 100), (1, 1));
    let (request, answer) = delete(100, UPF);
    assert_eq!(astray(request.clone(), answer.clone(), 104), (1, 1));
    assert_eq!(astray(request, answer, 100), (0, 2));
}

fn node_message(kind: u8, between: (IpAddr, IpAddr), recovery: Option<u32>) -> SessionEvent {
    let mut event = pfcp(kind, between, 0);
    (event.seid, event.recovery) = (None, recovery);
    event
}

#[test]
fn a_upf_that_has_started_anew_has_no_sessions() {
    let mut net = up();
    let (request, answer) = establish(2, UPF2, 2000, 21);
    net.pair(request, answer);
    net.send(node_message(2, (UPF, SMF), Some(1_000)));
    net.send(node_message(2, (UPF, SMF), Some(999)));
    net.wait(MS);
    assert_eq!(net.sessions.counters().active, 2, "an older one is of a message that came late");
    net.send(node_message(2, (UPF, SMF), Some(1_001)));
    net.wait(MS);
    assert_eq!(net.only().ue_ipv4, Ue::new(2).ue.v4);
    assert_eq!(net.ended().len(), 1);
    net.check();
}

#[test]
fn an_association_that_is_released_ends_its_sessions() {
    let mut net = up();
    let (request, answer) = establish(2, UPF2, 2000, 21);
    net.pair(request, answer);
    net.send(node_message(9, (SMF, UPF2), None));
    net.send(node_message(10, (UPF2, SMF), None));
    net.wait(MS);
    assert_eq!(net.sessions.counters().active, 2, "refused, or not answered yet");
    net.send(ok(node_message(10, (UPF2, SMF), None)));
    net.wait(MS);
    assert_eq!(net.only().ue_ipv4, Ue::new(1).ue.v4);
    net.check();
}

#[test]
fn a_modification_that_comes_before_its_session_waits_for_it() {
    let mut net = Net::new();
    let (request, answer) = establish(1, UPF, 1000, 11);
    let (late, answer) = net.numbered(request, answer);
    net.send(answer);
    let (request, answer) = peer(1000, UPF, 2, Side::Access, f_teid(Interface::N3_GNB, GNB, 12));
    net.pair(request, answer);
    net.send(late);
    assert!(net.is_bound(GNB, 12));
    net.check();
}
