//! `unknown = "stay"`, message by message.

use std::net::Ipv4Addr;

use balance::{Group, Member, Mode};
use replay::{HeapFrame, HeapPool, MemoryRx};
use types::{Apn, Bearer, Digits, Ebi, FSeid, FTeid, Interface, Pdr, RuleAction, Seid, Side, Teid};

use super::*;
use crate::{Plan, Source, Target, Wiring, wire_up};

const SGSN: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 5));
const GGSN: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 3));
const S: u64 = 1_000_000_000;
const PROBES: usize = 16;

/// Nothing is written.
struct Nowhere;

impl batch::Sink for Nowhere {
    fn write(&mut self, _: &batch::Meta, _: &impl Frame) -> Result<(), types::DropReason> {
        Ok(())
    }

    fn flush(&mut self) {}
}

/// A tracker that messages and packets are told to.
pub(super) struct Net {
    wiring: Wiring<MemoryRx, batch::NoPort<HeapFrame>, Nowhere>,
    now: u64,
    sequence: u32,
}

pub(super) fn plan(stay: bool) -> Plan {
    let cluster = ClusterKey::new("test");
    let member = |n| Member::new(&cluster, ProbeId(n as u8), &format!("probe-{n}"), 1);
    let group = Group::new(Mode::Session, (0..PROBES).map(member).collect());
    Plan { balancer: Balancer::new(vec![group], 0), probes: PROBES, cluster, stay, ..Plan::default() }
}

pub(super) fn imsi(n: u32) -> Imsi {
    Imsi(Digits::from_text(format!("0010100000{n:05}").as_bytes()).unwrap())
}

pub(super) fn v4(n: u32) -> Ipv4Addr {
    Ipv4Addr::new(10, 9, (n >> 8) as u8, n as u8)
}

pub(super) fn v6(n: u32) -> std::net::Ipv6Addr {
    std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, n as u16, 0, 0, 0, 0)
}

fn f_teid(interface: Interface, address: IpAddr, teid: u32) -> FTeid {
    let IpAddr::V4(v4) = address else { unreachable!() };
    FTeid { interface, teid: Teid(teid), v4: Some(v4), v6: None }
}

/// A message of GTPv1-C.
fn message(kind: u8, (source, destination): (IpAddr, IpAddr), teid: u32) -> SessionEvent {
    SessionEvent {
        protocol: Signalling::Gtpv1,
        message: kind,
        source: (source, 2123).into(),
        destination: (destination, 2123).into(),
        teid: Some(Teid(teid)),
        ..SessionEvent::new()
    }
}

fn bearer(nsapi: u8, end: FTeid) -> Bearer {
    let f_teids = [end].into_iter().collect();
    Bearer { ebi: Some(Ebi(nsapi)), instance: 0, cause: None, qci: None, f_teids }
}

impl Net {
    pub(super) fn new(stay: bool) -> Self {
        Self::with(&plan(stay))
    }

    pub(super) fn with(plan: &Plan) -> Self {
        let queue = MemoryRx::new(Vec::<(u64, Vec<u8>)>::new());
        let sources = vec![vec![Source { queue, port: types::PortId(0), decap: wire::Decap::default() }]];
        let targets = vec![(0..PROBES).map(|_| Target::Writer).collect()];
        let sinks = (0..PROBES).map(|_| Some(Nowhere)).collect();
        let pool = HeapPool::default();
        Self { wiring: wire_up(plan, sources, targets, sinks, || pool.clone()).unwrap(), now: S, sequence: 0 }
    }

    pub(super) fn tracker(&mut self) -> &mut Tracker {
        self.wiring.tracker().unwrap()
    }

    /// Packets of a tunnel that nobody has told of, with this address of their UE.
    pub(super) fn seen(&mut self, teid: u32, ue: IpAddr) -> ProbeId {
        self.now += S;
        let now = self.now;
        let key = TunnelKey { receiver: GGSN, teid: Teid(teid) };
        let tracker = self.tracker();
        let tunnel = tracker.unknown(key, SGSN, now).unwrap();
        tracker.sessions.learn_ue(tunnel, ue, Some(Toward::Uplink), &mut tracker.tables);
        tracker.settle();
        self.probe_of(teid)
    }

    pub(super) fn probe_of(&mut self, teid: u32) -> ProbeId {
        let filter = Filter { teid: Some(Teid(teid)), ..Filter::default() };
        let mut found = Vec::new();
        self.tracker().find(&filter, Cursor::default(), &mut found);
        assert_eq!(found.len(), 1, "{teid}");
        found[0].probe.unwrap()
    }

    fn pair(&mut self, mut request: SessionEvent, mut answer: SessionEvent) {
        self.sequence += 1;
        for event in [&mut request, &mut answer] {
            self.now += S;
            (event.time_ns, event.sequence) = (self.now, Some(self.sequence));
            let tracker = self.wiring.tracker().unwrap();
            tracker.sessions.handle(event, &mut tracker.tables);
            tracker.settle();
        }
    }

    /// A PDP context. `teid` is the GGSN's of the user plane.
    pub(super) fn create(&mut self, n: u32, nsapi: u8, ue: UeAddress, teid: u32) {
        let bearer = |end| bearer(nsapi, end);
        let base = teid * 16;
        let mut request = message(16, (SGSN, GGSN), 0);
        request.imsi = Some(imsi(n));
        request.apn = Apn::from_text(b"internet");
        request.f_teids.push((0, f_teid(Interface::GN_SGSN_C, SGSN, base + 1)));
        request.bearers.push(bearer(f_teid(Interface::GN_SGSN_U, SGSN, base + 3)));
        let mut answer = message(17, (GGSN, SGSN), base + 1);
        (answer.cause, answer.ue) = (Some(128), ue);
        answer.f_teids.push((0, f_teid(Interface::GN_GGSN_C, GGSN, base + 2)));
        answer.bearers.push(bearer(f_teid(Interface::GN_GGSN_U, GGSN, teid)));
        self.pair(request, answer);
    }

    /// A secondary context of it.
    fn secondary(&mut self, nsapi: u8, primary: u32, teid: u32) {
        let base = primary * 16;
        let mut request = message(16, (SGSN, GGSN), base + 2);
        request.linked_ebi = Some(Ebi(5));
        request.bearers.push(bearer(nsapi, f_teid(Interface::GN_SGSN_U, SGSN, base + 4)));
        let mut answer = message(17, (GGSN, SGSN), base + 1);
        answer.cause = Some(128);
        answer.bearers.push(bearer(nsapi, f_teid(Interface::GN_GGSN_U, GGSN, teid)));
        self.pair(request, answer);
    }

    /// A PDU session of N4, whose uplink tunnels end at the GGSN's address.
    pub(super) fn establish(&mut self, n: Option<u32>, ue: UeAddress, teids: &[u32]) {
        let smf = SGSN;
        let message = |kind, (source, destination): (IpAddr, IpAddr), seid| SessionEvent {
            protocol: Signalling::Pfcp,
            message: kind,
            source: (source, 8805).into(),
            destination: (destination, 8805).into(),
            seid: Some(Seid(seid)),
            ..SessionEvent::new()
        };
        let f_seid = |address, seid| {
            let IpAddr::V4(v4) = address else { unreachable!() };
            Some(FSeid { seid: Seid(seid), v4: Some(v4), v6: None })
        };
        let own = u64::from(teids[0]);
        let mut request = message(50, (smf, GGSN), 0);
        (request.f_seid, request.ue, request.imsi) = (f_seid(smf, own), ue, n.map(imsi));
        for (id, &teid) in (1..).zip(teids) {
            let local = Some(f_teid(Interface::N3_UPF, GGSN, teid));
            let (action, source) = (RuleAction::Create, Some(Side::Access));
            let ue = UeAddress::default();
            request.pdrs.push(Pdr {
                action,
                id,
                source,
                local,
                choose: false,
                choose_id: None,
                ue,
                qfi: None,
                far: None,
            });
        }
        let mut answer = message(51, (GGSN, smf), own);
        (answer.cause, answer.f_seid) = (Some(1), f_seid(GGSN, own + 1_000));
        self.pair(request, answer);
    }

    /// The end of a PDP context.
    fn delete(&mut self, teid: u32) {
        let key = TunnelKey { receiver: GGSN, teid: Teid(teid) };
        let now = self.now;
        self.tracker().not_found(key, now);
    }

    pub(super) fn moved(&mut self) -> u64 {
        self.tracker().tables.moved
    }

    /// The counts by probe are those of the sessions.
    #[track_caller]
    pub(super) fn counts_close(&mut self) {
        let tracker = self.tracker();
        let mut records = Vec::new();
        tracker.find(&Filter::default(), Cursor::default(), &mut records);
        let mut expected = [0; ProbeId::MAX];
        records
            .iter()
            .filter_map(|record| record.probe)
            .for_each(|probe| expected[usize::from(probe.0)] += 1);
        assert_eq!(tracker.tables.by_probe, expected);
    }
}

pub(super) fn ue(n: u32) -> UeAddress {
    UeAddress { v4: Some(v4(n)), v6: Some(v6(n)) }
}

pub(super) fn own(n: u32) -> ProbeId {
    let plan = plan(false);
    plan.balancer.session(plan.cluster.pin_subscriber(imsi(n))).unwrap().first
}

#[test]
fn what_was_unknown_stays_or_moves() {
    for by_n4 in [false, true] {
        for n in 1..40 {
            for stay in [false, true] {
                let mut net = Net::new(stay);
                let before = net.seen(7, v4(n).into());
                if by_n4 {
                    net.establish(Some(n), ue(n), &[7]);
                } else {
                    net.create(n, 5, ue(n), 7);
                }
                let expected = if stay { before } else { own(n) };
                assert_eq!(net.probe_of(7), expected);
                assert_eq!(net.moved(), u64::from(expected != before));
                net.counts_close();
                // And goes on to.
                if !by_n4 {
                    net.secondary(6, 7, 8);
                    assert_eq!((net.probe_of(7), net.probe_of(8)), (expected, expected));
                }
            }
        }
    }
}

#[test]
fn of_several_the_one_that_was_seen_first_decides() {
    let mut apart = 0;
    for by_n4 in [false, true] {
        for n in 1..40 {
            for v6_first in [false, true] {
                let mut net = Net::new(true);
                let (a, b): (IpAddr, IpAddr) =
                    if v6_first { (v6(n).into(), v4(n).into()) } else { (v4(n).into(), v6(n).into()) };
                let (first, second) = (net.seen(8, a), net.seen(7, b));
                apart += u32::from(first != second);
                if by_n4 {
                    // One is the session that becomes known, the other one is taken in.
                    net.establish(Some(n), ue(n), &[7, 8]);
                } else {
                    net.create(n, 5, ue(n), 7);
                }
                assert_eq!(net.probe_of(7), first);
                if by_n4 {
                    assert_eq!(net.probe_of(8), first, "it is one session");
                    assert_eq!(net.moved(), u64::from(first != second));
                }
                net.counts_close();
            }
        }
    }
    assert!(apart > 100, "{apart}");
}

/// What is decided is decided when the session becomes known: nothing that comes to light later moves it.
#[test]
fn without_an_address_told_its_tunnels_decide() {
    for n in 1..20 {
        let mut net = Net::new(true);
        let (second, first) = (8, 7);
        let at_first = net.seen(first, v4(n).into());
        net.seen(second, v4(n + 300).into());
        net.establish(Some(n), UeAddress::default(), &[first]);
        assert_eq!(net.probe_of(first), at_first);
        // Another bearer, which packets have been in for long.
        net.create(n + 100, 5, UeAddress::default(), 9);
        let decided = net.probe_of(9);
        assert_eq!(decided, own(n + 100));
        net.counts_close();
    }
}

#[test]
fn all_sessions_of_a_subscriber_are_together() {
    let mut apart = 0;
    for n in 1..60 {
        // One was there first: what was unknown goes there.
        let mut net = Net::new(true);
        net.create(n, 5, ue(n + 200), 6);
        assert_eq!(net.probe_of(6), own(n));
        let before = net.seen(7, v4(n).into());
        net.create(n, 6, ue(n), 7);
        assert_eq!((net.probe_of(6), net.probe_of(7)), (own(n), own(n)));
        assert_eq!(net.moved(), u64::from(before != own(n)));
        net.counts_close();

        // It stays, and another one joins it, also when the first one is gone.
        let mut net = Net::new(true);
        let stays = net.seen(7, v4(n).into());
        net.create(n, 5, ue(n), 7);
        net.create(n, 6, ue(n + 200), 8);
        assert_eq!((net.probe_of(7), net.probe_of(8)), (stays, stays));
        net.delete(7);
        net.create(n, 7, ue(n + 400), 9);
        net.create(n, 6, ue(n + 200), 8);
        assert_eq!((net.probe_of(8), net.probe_of(9)), (stays, stays));
        assert_eq!(net.moved(), 0);
        // Nothing of it is left: the next one begins at its own probe.
        net.delete(8);
        net.delete(9);
        net.create(n, 5, ue(n + 600), 10);
        assert_eq!(net.probe_of(10), own(n));
        apart += u32::from(stays != own(n));
    }
    assert!(apart > 40, "{apart}");
}

#[test]
fn a_restored_session_stays() {
    let mut moved = 0;
    for n in 1..40 {
        let plan = Plan { archive: true, ..plan(true) };
        let mut net = Net::with(&plan);
        let stays = net.seen(7, v4(n).into());
        net.create(n, 5, ue(n), 7);
        let unknown = net.seen(20, v4(n + 100).into());
        let now = net.now;
        while !net.tracker().write_changes() {}
        let mut archive = net.wiring.archive.take().unwrap();
        let mut saved = Vec::new();
        while let Some(chunk) = archive.take() {
            let mut records = chunk.records();
            while let Some((head, rest)) = records.split_first_chunk::<8>() {
                let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap());
                let (bytes, rest) = rest.split_at(word(4) as usize);
                saved.extend(SavedSession::decode(word(0), bytes, Some));
                records = rest;
            }
        }
        // The next run.
        for stay in [true, false] {
            let mut next = Net::with(&Plan { stay, ..plan.clone() });
            (next.now, next.sequence) = (now, 1_000);
            let restored = next.tracker().restore(saved.clone(), now);
            assert_eq!(restored.sessions, 2);
            assert_eq!((next.probe_of(7), next.probe_of(20)), (stays, unknown));
            // Something of both changes.
            next.create(n, 6, ue(n + 200), 8);
            next.create(n + 100, 5, ue(n + 100), 20);
            if stay {
                assert_eq!((next.probe_of(7), next.probe_of(8), next.probe_of(20)), (stays, stays, unknown));
                assert_eq!(next.moved(), 0);
            } else {
                moved += next.moved();
            }
            next.counts_close();
        }
    }
    assert!(moved > 20, "{moved}");
}

#[test]
fn a_message_goes_where_its_subscriber_stays() {
    for n in 1..40 {
        let mut net = Net::new(true);
        let stays = net.seen(7, v4(n).into());
        net.create(n, 5, ue(n), 7);
        let tracker = net.tracker();
        let probes_of = |n| tracker.tables.probes_named(&tracker.sessions, Some(imsi(n)));
        assert_eq!(probes_of(n), ProbeSet::one(stays));
        assert_eq!(probes_of(n + 500), ProbeSet::one(own(n + 500)));
    }
}
