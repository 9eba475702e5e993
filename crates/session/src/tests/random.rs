//! Any sequence of messages keeps the tables and the keeper in step.

use proptest::prelude::*;
use types::{Ebi, FSeid, Far, Pdr, RuleAction, Seid, Side};

use super::saved::{Disk, same};
use super::*;

/// Few nodes, few numbers: what comes meets what is there.
fn address() -> impl Strategy<Value = IpAddr> {
    (0..5_u8, 0..8_u8).prop_map(|(n, kind)| match kind {
        0 => IpAddr::from([0x20, 1, 0xd, 0xb8, 0, 0, 0, u16::from(n)]),
        _ => IpAddr::from([10, 0, 0, n]),
    })
}

fn interface() -> impl Strategy<Value = Interface> {
    prop::sample::select(Interface::ALL.to_vec())
}

fn endpoint() -> impl Strategy<Value = FTeid> {
    (interface(), address(), 0..12_u32, any::<bool>()).prop_map(|(interface, address, teid, both)| {
        let mut f_teid = f_teid(interface, address, teid);
        if both {
            f_teid.v4 = f_teid.v4.or(Some([10, 0, 0, 9].into()));
            f_teid.v6 = f_teid.v6.or(Some("2001:db8::9".parse().unwrap()));
        }
        f_teid
    })
}

fn ue() -> impl Strategy<Value = UeAddress> {
    (prop::option::of(0..4_u8), prop::option::of(0..3_u64)).prop_map(|(v4, v6)| UeAddress {
        v4: v4.map(|n| [10, 9, 0, n + 1].into()),
        v6: v6.map(|n| std::net::Ipv6Addr::from_bits(u128::from(0x2001_0db8_0000_0001 + n) << 64)),
    })
}

fn a_bearer() -> impl Strategy<Value = Bearer> {
    let cause = prop::option::weighted(0.3, prop::sample::select(vec![16, 17, 64, 90]));
    (prop::option::of(4..8_u8), 0..8_u8, cause, 0..10_u8, prop::collection::vec(endpoint(), 0..3)).prop_map(
        |(ebi, instance, cause, qci, f_teids)| Bearer {
            ebi: ebi.map(Ebi),
            instance: u8::from(instance == 0),
            cause,
            qci: Some(qci),
            f_teids: f_teids.into_iter().collect(),
        },
    )
}

fn rule_action() -> impl Strategy<Value = RuleAction> {
    prop::sample::select(vec![
        RuleAction::Create,
        RuleAction::Created,
        RuleAction::Update,
        RuleAction::Remove,
    ])
}

fn side() -> impl Strategy<Value = Option<Side>> {
    prop::option::of(prop::sample::select(vec![Side::Access, Side::Core, Side::SgiLan]))
}

fn a_pdr() -> impl Strategy<Value = Pdr> {
    (rule_action(), 0..4_u16, side(), prop::option::of(endpoint()), prop::option::of(0..2_u8), 0..4_u8)
        .prop_map(|(action, id, source, local, choose_id, qfi)| Pdr {
            action,
            id,
            source,
            local,
            choose: local.is_none(),
            choose_id,
            ue: UeAddress::default(),
            qfi: Some(types::Qfi(qfi)),
            far: None,
        })
}

fn a_far() -> impl Strategy<Value = Far> {
    (rule_action(), 0..4_u32, side(), prop::option::of(endpoint()))
        .prop_map(|(action, id, destination, peer)| Far { action, id, destination, peer })
}

fn event() -> impl Strategy<Value = SessionEvent> {
    let kinds = prop_oneof![
        prop::sample::select(vec![32_u8, 34, 36, 38, 95, 97, 99, 130, 133, 166, 168, 170, 211])
            .prop_map(|kind| (Signalling::Gtpv2, kind)),
        prop::sample::select(vec![16_u8, 18, 20, 50, 53, 128]).prop_map(|kind| (Signalling::Gtpv1, kind)),
        prop::sample::select(vec![50_u8, 52, 54, 56]).prop_map(|kind| (Signalling::Pfcp, kind)),
    ];
    let head = (kinds, any::<bool>(), address(), address(), 0..20_u32, 0..12_u32, 0..6_u64);
    let who = (prop::option::of(0..3_u32), ue(), prop::option::of(4..8_u8), 0..3_u8, any::<[bool; 3]>());
    let gtp = (
        prop::collection::vec(endpoint(), 0..4),
        prop::collection::vec(a_bearer(), 0..3),
        prop::collection::vec(4..8_u8, 0..2),
    );
    let pfcp = (prop::collection::vec(a_pdr(), 0..4), prop::collection::vec(a_far(), 0..4), address());
    (head, who, gtp, pfcp).prop_map(|(head, who, gtp, pfcp)| {
        let ((protocol, kind), answer, source, destination, sequence, teid, seid) = head;
        let (subscriber, ue, linked, apn, [teardown, scope, refused]) = who;
        let between = if answer { (destination, source) } else { (source, destination) };
        let mut event = message(protocol, kind + u8::from(answer), between, teid);
        event.sequence = Some(sequence);
        event.seid = Some(Seid(seid));
        event.f_seid = Some(FSeid {
            seid: Seid(seid),
            v4: if let IpAddr::V4(v4) = pfcp.2 { Some(v4) } else { None },
            v6: if let IpAddr::V6(v6) = pfcp.2 { Some(v6) } else { None },
        });
        event.cause = Some(match (protocol, refused && teardown) {
            (_, true) => 70,
            (Signalling::Gtpv1, _) => 128,
            (Signalling::Gtpv2, _) => 16,
            (Signalling::Pfcp, _) => 1,
        });
        event.imsi = subscriber.map(imsi);
        event.ue = ue;
        event.apn = Apn::from_text(&[b'a' + apn]);
        event.network_instance = Apn::from_text(&[b'n' + apn]);
        event.linked_ebi = linked.map(Ebi);
        event.teardown = teardown;
        event.scope = scope;
        event.f_teids = gtp.0.iter().map(|f_teid| (0, *f_teid)).collect();
        event.bearers = gtp.1.into_iter().collect();
        event.ebis = gtp.2.into_iter().map(Ebi).collect();
        event.pdn_connections = gtp
            .0
            .first()
            .map(|&anchor| types::PdnConnection { anchor: Some(anchor), ..Default::default() })
            .into_iter()
            .collect();
        event.pdrs = pfcp.0.into_iter().collect();
        event.fars = pfcp.1.into_iter().collect();
        event
    })
}

#[derive(Clone, Debug)]
enum Happens {
    /// A message, and whether its answer follows at once.
    Message(Box<SessionEvent>, bool),
    Unknown(IpAddr, u32, IpAddr),
    LearnUe(u32, UeAddress, Option<Toward>),
    Wait(u64),
    Free,
    /// A procedure of the small network, of which only some messages are seen.
    Procedure {
        what: u8,
        n: u32,
        base: u32,
        address: u32,
        seen: u8,
    },
    /// A PFCP session that meets its endpoints.
    Sx {
        seid: u64,
        n: Option<u32>,
        local: u32,
        peer: u32,
    },
    /// Packets speak against the session of a tunnel; `seen`: whether packets come at all.
    Contradicted {
        tunnel: u32,
        address: u32,
        toward: Toward,
        sender: IpAddr,
        seen: bool,
    },
    /// An Error Indication.
    NotFound(IpAddr, u32),
    /// A node says when it was started.
    Recovery(Signalling, IpAddr, u32),
    /// A PFCP association is released.
    Release(IpAddr, IpAddr),
    /// Packets in one of its tunnels.
    Packets {
        base: u32,
        which: u8,
        address: Option<u32>,
    },
}

/// Numbers of neighbours overlap.
fn subscriber(n: u32, base: u32, address: u32) -> Ue {
    Ue { base: base * 3, s11: (base * 3 + 1, base * 3 + 2), ue: Ue::new(address).ue, ..Ue::new(n) }
}

fn procedure(net: &mut Net, what: u8, ue: &Ue) -> Vec<SessionEvent> {
    let pairs = match what {
        0..=3 => return ue.attach(net),
        4 => return ue.detach(net),
        5 => vec![ue.modify(ENB2, ue.base)],
        6 => {
            let mut relocated = Ue { sgw: SGW2, ..*ue }.create_s11();
            relocated.0.f_teids[1].1.teid = Teid(ue.pgw_c());
            vec![relocated]
        }
        7 => {
            let mut partly = ue.delete_s11();
            partly.0.scope = true;
            vec![partly]
        }
        _ => vec![(v2(170, (MME, SGW), ue.s11.1), accepted(v2(171, (SGW, MME), ue.s11.0)))],
    };
    let numbered = pairs.into_iter().map(|(request, answer)| net.numbered(request, answer));
    numbered.flat_map(|(request, answer)| [request, answer]).collect()
}

fn happens() -> impl Strategy<Value = Happens> {
    let toward = prop::option::of(prop::sample::select(vec![Toward::Uplink, Toward::Downlink]));
    let way = prop::sample::select(vec![Toward::Uplink, Toward::Downlink]);
    let node = || prop_oneof![address(), prop::sample::select(vec![MME, SGW, SGW2, PGW, ENB, ENB2])];
    let protocol = prop::sample::select(vec![Signalling::Gtpv1, Signalling::Gtpv2, Signalling::Pfcp]);
    prop_oneof![
        3 => (1..40_u32, 1..4_u32, way, node(), any::<bool>()).prop_map(
            |(tunnel, address, toward, sender, seen)| Happens::Contradicted { tunnel, address, toward, sender, seen }
        ),
        1 => (node(), 1..20_u32).prop_map(|(receiver, teid)| Happens::NotFound(receiver, teid)),
        1 => (protocol, node(), 0..4_u32).prop_map(|(p, node, n)| Happens::Recovery(p, node, n)),
        1 => (node(), node()).prop_map(|(a, b)| Happens::Release(a, b)),
        12 => (event(), any::<bool>()).prop_map(|(event, follows)| Happens::Message(Box::new(event), follows)),
        2 => (address(), 1..12_u32, address()).prop_map(|(a, teid, b)| Happens::Unknown(a, teid, b)),
        2 => (1..40_u32, ue(), toward).prop_map(|(tunnel, ue, toward)| Happens::LearnUe(tunnel, ue, toward)),
        1 => prop::sample::select(vec![SECOND, 20 * SECOND, 400 * SECOND]).prop_map(Happens::Wait),
        1 => Just(Happens::Free),
        12 => (0..9_u8, 1..4_u32, 1..4_u32, 1..4_u32, prop_oneof![3 => Just(0xff), 1 => any::<u8>()]).prop_map(
            |(what, n, base, address, seen)| Happens::Procedure { what, n, base, address, seen }
        ),
        4 => (1..6_u64, prop::option::of(1..4_u32), 8..20_u32, 8..20_u32)
            .prop_map(|(seid, n, local, peer)| Happens::Sx { seid, n, local, peer }),
        4 => (1..4_u32, 0..4_u8, prop::option::of(1..4_u32))
            .prop_map(|(base, which, address)| Happens::Packets { base, which, address }),
    ]
}

fn run(limits: Limits, story: Vec<Happens>) {
    let mut net = Net::with(limits.clone());
    net.sessions.track_changes();
    let mut disk = Disk::default();
    for what in story {
        match what {
            Happens::Message(event, false) => net.send(*event),
            Happens::Message(mut event, true) => {
                // The same elements in both: what is asked for is given.
                let answers = match event.protocol {
                    Signalling::Gtpv2 => event.message % 2 == u8::from(event.message < 90),
                    Signalling::Gtpv1 => matches!(event.message, 17 | 19 | 21 | 51 | 54 | 129),
                    Signalling::Pfcp => event.message % 2 == 1,
                };
                if answers {
                    net.send(*event);
                } else {
                    net.send((*event).clone());
                    event.message += 1;
                    (event.source, event.destination) = (event.destination, event.source);
                    net.send(*event);
                }
            }
            Happens::Unknown(receiver, teid, source) => {
                let key = TunnelKey { receiver, teid: Teid(teid) };
                let _ = net.sessions.unknown(key, source, net.now, &mut net.keeper);
            }
            Happens::LearnUe(tunnel, ue, toward) => {
                for address in ue.v4.map(IpAddr::V4).into_iter().chain(ue.v6.map(IpAddr::V6)) {
                    net.sessions.learn_ue(TunnelId(tunnel), address, toward, &mut net.keeper);
                }
            }
            Happens::Wait(ns) => net.wait(ns),
            Happens::Free => {
                net.ended();
            }
            Happens::Procedure { what, n, base, address, seen } => {
                let events = procedure(&mut net, what, &subscriber(n, base, address));
                let seen = events.into_iter().enumerate().filter(|(place, _)| seen >> place & 1 == 1);
                seen.for_each(|(_, event)| net.send(event));
            }
            Happens::Sx { seid, n, local, peer } => {
                let mut request = message(Signalling::Pfcp, 50, (MME, SGW), 0);
                (request.teid, request.seid) = (None, Some(Seid(0)));
                request.f_seid = Some(FSeid { seid: Seid(seid), v4: Some([10, 1, 0, 1].into()), v6: None });
                request.ue = n.map_or_else(UeAddress::default, |n| Ue::new(n).ue);
                let rule = |action, f_teid| Pdr {
                    action,
                    id: 1,
                    source: Some(Side::Access),
                    local: f_teid,
                    choose: false,
                    choose_id: None,
                    ue: UeAddress::default(),
                    qfi: None,
                    far: None,
                };
                let local = f_teid(Interface::N3_UPF, SGW, local);
                request.pdrs.push(rule(RuleAction::Create, Some(local)));
                let peer = f_teid(Interface::N9_UPF, PGW, peer);
                let destination = Some(Side::Core);
                request.fars.push(Far { action: RuleAction::Create, id: 1, destination, peer: Some(peer) });
                let mut answer = message(Signalling::Pfcp, 51, (SGW, MME), 0);
                (answer.teid, answer.seid, answer.cause) = (None, Some(Seid(seid)), Some(1));
                answer.f_seid = Some(FSeid { seid: Seid(seid), v4: Some([10, 1, 0, 2].into()), v6: None });
                net.pair(request, answer);
            }
            Happens::Contradicted { tunnel, address, toward, sender, seen } => {
                let address = Ue::new(address).ue.v4.unwrap().into();
                let told = crate::Contradiction { address, is_clear: seen, toward, sender, time_ns: net.now };
                let last = |tunnel: TunnelId| if seen && tunnel.0 % 2 == 0 { told.time_ns } else { 0 };
                net.sessions.relearn(TunnelId(tunnel), &told, last, &mut net.keeper);
            }
            Happens::NotFound(receiver, teid) => {
                let key = TunnelKey { receiver, teid: Teid(teid) };
                net.sessions.not_found(key, net.now, &mut net.keeper);
            }
            Happens::Recovery(protocol, node, recovery) => {
                let mut event = message(protocol, 2, (node, MME), 0);
                (event.teid, event.recovery) = (None, Some(recovery));
                net.send(event);
            }
            Happens::Release(a, b) => {
                let mut event = message(Signalling::Pfcp, 10, (a, b), 0);
                (event.teid, event.cause) = (None, Some(1));
                net.send(event);
            }
            Happens::Packets { base, which, address } => {
                let ue = subscriber(1, base, 1);
                let (receiver, teid, source, toward) = match which {
                    0 => (SGW, ue.s1_sgw(), ENB, Toward::Uplink),
                    1 => (ENB, ue.s1_enb(), SGW, Toward::Downlink),
                    2 => (PGW, ue.s5_pgw(), SGW, Toward::Uplink),
                    _ => (SGW, ue.s5_sgw(), PGW, Toward::Downlink),
                };
                let key = TunnelKey { receiver, teid: Teid(teid) };
                let made = net.sessions.unknown(key, source, net.now, &mut net.keeper);
                if let (Ok((_, tunnel)), Some(n)) = (made, address) {
                    let address = Ue::new(n).ue.v4.unwrap().into();
                    net.sessions.learn_ue(tunnel, address, Some(toward), &mut net.keeper);
                }
            }
        }
        net.check();
        disk.take(&mut net);
    }
    disk.is_all(&net);
    let restored = disk.restore(&net, limits);
    same(&net, &restored);
    ends(restored);
    ends(net);
}

fn ends(mut net: Net) {
    // Everything comes to an end, and then nothing is left.
    net.now += 400 * SECOND;
    for _ in 0..4 {
        net.wait(100_000 * SECOND);
    }
    net.ended();
    net.check();
    let counters = net.sessions.counters();
    assert_eq!(counters.active, 0);
    assert_eq!(net.keeper.ended.len() as u64, counters.deleted + counters.expired);
    assert!(net.keeper.bound.is_empty());
    assert!(net.keeper.placed.values().all(Option::is_none));
    let state = net.sessions.state();
    assert_eq!((state.nodes.used(), state.names.used()), (0, 0), "every reference was given back");
    assert_eq!(state.users.arena.in_use(), 0);
    assert_eq!(state.controls.arena.in_use(), 0);
    assert_eq!(state.sessions.in_use(), 0);
    assert_eq!((state.pfcps.in_use(), state.seids.in_use(), state.rules.in_use()), (0, 0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(debug_assertions) { 400 } else { 4_000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_story_keeps_the_tables_in_step(story in prop::collection::vec(happens(), 1..60)) {
        run(limits(), story);
    }

    #[test]
    fn also_where_there_is_no_room(story in prop::collection::vec(happens(), 1..60)) {
        run(Limits { sessions_max: 4, tunnels_max: 10, transactions_max: 3, ..limits() }, story);
    }
}
