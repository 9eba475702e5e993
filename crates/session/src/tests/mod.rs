//! A small network that talks, and a keeper of the tables that believes nothing.

mod astray;
mod bounds;
mod eps;
mod gn;
mod lives;
mod n4;
mod random;
mod reuse;
mod saved;
mod unknown;
mod wrong;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use types::{
    Apn, Bearer, Digits, Ebi, FTeid, Imei, Imsi, Interface, Location, Msisdn, Plmn, Rat, SessionEvent,
    Signalling, Teid, Toward, TunnelKey, UeAddress,
};

use crate::effects::{Effects, Limits, SessionId, TunnelId, View};
use crate::endpoints::Endpoint;
use crate::record::{Filter, Record, State as Phase};
use crate::report::Cursor;
use crate::sessions::Sessions;
use crate::slots::Session;

pub(crate) const SECOND: u64 = 1_000_000_000;
pub(crate) const MS: u64 = 1_000_000;
pub(crate) const START: u64 = 1_700_000_000 * SECOND;

pub(crate) const MME: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 1));
pub(crate) const SGW: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 2));
pub(crate) const PGW: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 3));
pub(crate) const SGW2: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 4));
pub(crate) const SGSN: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 5));
pub(crate) const ENB: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 2, 0, 1));
pub(crate) const ENB2: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 2, 0, 2));

/// A keeper that keeps everything it was told and checks that it fits together.
#[derive(Default)]
pub(crate) struct Keeper {
    pub(crate) bound: HashMap<TunnelKey, (TunnelId, View)>,
    pub(crate) placed: HashMap<IpAddr, Option<SessionId>>,
    pub(crate) ended: Vec<SessionId>,
    pub(crate) merged: Vec<(SessionId, SessionId)>,
    pub(crate) folded: u64,
    pub(crate) binds: u64,
}

impl Effects for Keeper {
    fn bind(&mut self, tunnel: TunnelId, key: TunnelKey, view: &View) {
        self.binds += 1;
        if let Some((before, _)) = self.bound.insert(key, (tunnel, *view)) {
            assert_eq!(before, tunnel, "{key:?} is bound to two tunnels");
        }
    }

    fn retire(&mut self, tunnel: TunnelId) {
        assert!(self.bound.values().any(|own| own.0 == tunnel), "{tunnel:?} is bound");
    }

    fn unbind(&mut self, tunnel: TunnelId, key: TunnelKey) {
        let (bound, _) = self.bound.remove(&key).expect("it was bound");
        assert_eq!(bound, tunnel);
    }

    fn place_ue(&mut self, address: IpAddr, view: Option<&View>) {
        self.placed.insert(address, view.map(|view| view.session));
    }

    fn ended(&mut self, session: SessionId) {
        self.ended.push(session);
        assert!(self.bound.values().all(|(_, view)| view.session != session), "unbound before");
    }

    fn merged(&mut self, from: &View, into: &View) {
        self.merged.push((from.session, into.session));
    }

    fn folded(&mut self, _: SessionId, _: TunnelId, _: Option<Toward>) {
        self.folded += 1;
    }
}

pub(crate) fn limits() -> Limits {
    Limits { sessions_max: 1000, tunnels_max: 8000, transactions_max: 1000, ..Limits::default() }
}

/// What the tests talk to.
pub(crate) struct Net {
    pub(crate) sessions: Sessions,
    pub(crate) keeper: Keeper,
    pub(crate) now: u64,
    pub(crate) sequence: u32,
}

impl Net {
    pub(crate) fn new() -> Self {
        Self::with(limits())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        Self {
            sessions: Sessions::new(limits, 42, [1, 2, 3, 4]),
            keeper: Keeper::default(),
            now: START,
            sequence: 0,
        }
    }

    /// One millisecond later, one message.
    pub(crate) fn send(&mut self, mut event: SessionEvent) {
        self.now += MS;
        event.time_ns = self.now;
        self.sessions.handle(&event, &mut self.keeper);
    }

    /// A request, and its answer.
    pub(crate) fn pair(&mut self, request: SessionEvent, answer: SessionEvent) {
        let (request, answer) = self.numbered(request, answer);
        self.send(request);
        self.send(answer);
    }

    /// Both with the next sequence number, the answer the other way.
    pub(crate) fn numbered(
        &mut self,
        mut request: SessionEvent,
        mut answer: SessionEvent,
    ) -> (SessionEvent, SessionEvent) {
        self.sequence += 1;
        request.sequence = Some(self.sequence);
        answer.sequence = Some(self.sequence);
        answer.source = request.destination;
        answer.destination = request.source;
        (request, answer)
    }

    pub(crate) fn send_all(&mut self, events: impl IntoIterator<Item = SessionEvent>) {
        events.into_iter().for_each(|event| self.send(event));
    }

    /// Time goes by.
    pub(crate) fn wait(&mut self, ns: u64) {
        self.now += ns;
        self.sessions.expire(self.now, |_| 0, &mut self.keeper);
    }

    /// The one session that is up.
    pub(crate) fn only(&self) -> Record {
        let active = self.active();
        assert_eq!(active.len(), 1, "{active:#?}");
        active.into_iter().next().unwrap()
    }

    pub(crate) fn ids(&self, filter: &Filter) -> Vec<SessionId> {
        let mut ids = Vec::new();
        let mut cursor = Some(Cursor::default());
        while let Some(from) = cursor {
            cursor = self.sessions.find(filter, from, 7, |id| ids.push(id));
        }
        ids
    }

    pub(crate) fn active(&self) -> Vec<Record> {
        let ids = self.ids(&Filter::default());
        ids.into_iter().map(|id| self.sessions.record(id, |_| (0, 0)).unwrap()).collect()
    }

    /// Reads and frees what has ended.
    pub(crate) fn ended(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        while let Some(id) = self.sessions.next_ended() {
            records.push(self.sessions.record(id, |_| (0, 0)).unwrap());
            self.sessions.free(id, |_| {});
        }
        records
    }

    /// Whose packets to this endpoint are.
    pub(crate) fn owner(&self, address: IpAddr, teid: u32) -> Option<Imsi> {
        let key = TunnelKey { receiver: address, teid: Teid(teid) };
        let (_, view) = self.keeper.bound.get(&key)?;
        match view.pin {
            crate::Pin::Imsi(imsi) => Some(imsi),
            _ => None,
        }
    }

    pub(crate) fn is_bound(&self, address: IpAddr, teid: u32) -> bool {
        self.keeper.bound.contains_key(&TunnelKey { receiver: address, teid: Teid(teid) })
    }

    /// Everything that must always be so.
    pub(crate) fn check(&self) {
        let state = self.sessions.state();
        let counters = state.counters;
        assert_eq!(counters.created, counters.active + counters.deleted + counters.expired, "{counters:?}");
        let mut live = 0;
        let mut active = 0;
        for slot in 1..state.sessions.touched() {
            let session = state.sessions.at(slot);
            active += u64::from(session.is_active());
            let mut user = if session.state().is_some() { session.users } else { 0 };
            while user != 0 {
                let endpoint = state.users.at(user);
                assert_eq!(endpoint.session, slot);
                if endpoint.has(Endpoint::LIVE) {
                    live += 1;
                    assert!(session.is_active());
                    let key = state.user_key(user);
                    assert_eq!(state.users.find(endpoint.node(), endpoint.teid), user, "one owner");
                    let (tunnel, view) = self.keeper.bound.get(&key).expect("a live tunnel is bound");
                    assert_eq!(*tunnel, TunnelId(user));
                    assert_eq!(*view, state.view(slot, endpoint.code().toward()), "told as it is");
                }
                user = endpoint.next;
            }
            let by = |address: Option<IpAddr>| address.map(|address| state.sessions_of_ue(address));
            for (flag, found) in [
                (Session::IN_IMSIS, (!session.imsi.is_empty()).then(|| state.sessions_of_imsi(session.imsi))),
                (Session::IN_V4, by(session.ue().v4.map(IpAddr::V4))),
                (Session::IN_V6, by(session.ue().v6.map(IpAddr::V6))),
            ] {
                let found = found.filter(|_| session.is_active());
                let is_found = found.as_ref().is_some_and(|found| found.contains(&slot));
                assert_eq!(is_found, found.is_some_and(|found| is_found || !found.is_full()), "{session:?}");
                assert_eq!(is_found, session.has(flag));
            }
            let mut pfcp = if session.state().is_some() { session.pfcps } else { 0 };
            while pfcp != 0 {
                assert_eq!(state.pfcps.at(pfcp).session, slot);
                let mut rule = state.pfcps.at(pfcp).rules;
                while rule != 0 {
                    let user = state.rules.at(rule).user;
                    assert!(
                        user == 0 || state.users.at(user).session == slot,
                        "a rule names what is its own"
                    );
                    rule = state.rules.at(rule).next;
                }
                pfcp = state.pfcps.at(pfcp).next;
            }
        }
        assert_eq!(live, self.keeper.bound.len(), "nothing else is bound");
        assert_eq!(active, counters.active);
        for (address, placed) in &self.keeper.placed {
            let found = state.sessions_of_ue(*address);
            let (known, unknown): (Vec<u32>, Vec<u32>) =
                found.into_iter().partition(|&slot| state.sessions.at(slot).has(Session::KNOWN));
            let fits = match (known.as_slice(), placed) {
                ([], Some(placed)) => unknown.contains(&placed.0),
                ([], None) => unknown.is_empty(),
                ([only], placed) => *placed == Some(SessionId(*only)),
                (_, placed) => placed.is_none(),
            };
            assert!(fits, "{address}: {placed:?} of {known:?}, {unknown:?}");
        }
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.check();
        }
    }
}

pub(crate) fn imsi(n: u32) -> Imsi {
    Imsi(Digits::from_text(format!("00101{n:010}").as_bytes()).unwrap())
}

pub(crate) fn f_teid(interface: Interface, address: IpAddr, teid: u32) -> FTeid {
    let (v4, v6) = match address {
        IpAddr::V4(v4) => (Some(v4), None),
        IpAddr::V6(v6) => (None, Some(v6)),
    };
    FTeid { interface, teid: Teid(teid), v4, v6 }
}

pub(crate) fn bearer(ebi: u8, cause: Option<u8>, f_teids: &[FTeid]) -> Bearer {
    Bearer { ebi: Some(Ebi(ebi)), cause, f_teids: f_teids.iter().copied().collect(), ..Bearer::default() }
}

/// A message; `teid` is the receiver's.
pub(crate) fn message(
    protocol: Signalling,
    kind: u8,
    (source, destination): (IpAddr, IpAddr),
    teid: u32,
) -> SessionEvent {
    let port = if protocol == Signalling::Pfcp { 8805 } else { 2123 };
    SessionEvent {
        protocol,
        message: kind,
        source: SocketAddr::new(source, port),
        destination: SocketAddr::new(destination, port),
        teid: Some(Teid(teid)),
        ..SessionEvent::new()
    }
}

pub(crate) fn v2(kind: u8, between: (IpAddr, IpAddr), teid: u32) -> SessionEvent {
    message(Signalling::Gtpv2, kind, between, teid)
}

pub(crate) fn accepted(mut event: SessionEvent) -> SessionEvent {
    event.cause = Some(16);
    event
}

/// A subscriber's PDN connection. Every endpoint of it has a TEID of its own, from `base` on.
#[derive(Clone, Copy)]
pub(crate) struct Ue {
    pub(crate) imsi: Imsi,
    pub(crate) ebi: u8,
    pub(crate) base: u32,
    pub(crate) ue: UeAddress,
    pub(crate) enb: IpAddr,
    pub(crate) sgw: IpAddr,
    /// S11 TEIDs, which belong to the UE.
    pub(crate) s11: (u32, u32),
}

impl Ue {
    pub(crate) fn new(n: u32) -> Self {
        Self {
            imsi: imsi(n),
            ebi: 5,
            base: n * 100,
            ue: UeAddress { v4: Some(Ipv4Addr::from_bits(0x0a64_0000 + n)), v6: None },
            enb: ENB,
            sgw: SGW,
            s11: (n * 100 + 1, n * 100 + 2),
        }
    }

    pub(crate) fn sgw_c(&self) -> u32 {
        self.base + 3
    }
    pub(crate) fn pgw_c(&self) -> u32 {
        self.base + 4
    }
    pub(crate) fn s1_sgw(&self) -> u32 {
        self.base + 5
    }
    pub(crate) fn s5_sgw(&self) -> u32 {
        self.base + 6
    }
    pub(crate) fn s5_pgw(&self) -> u32 {
        self.base + 7
    }
    pub(crate) fn s1_enb(&self) -> u32 {
        self.base + 8
    }

    fn told(&self, event: &mut SessionEvent) {
        event.imsi = Some(self.imsi);
        event.msisdn = Some(Msisdn(Digits::from_text(b"46700000001").unwrap()));
        event.apn = Apn::from_text(b"internet");
        event.rat = Some(Rat(6));
        event.serving = Some(Plmn { mcc: 1, mnc: 1, mnc_digits: 2 });
        event.location = Location { area: Some(1), cell: Some(7) };
    }

    /// Create Session on S11: request and answer.
    pub(crate) fn create_s11(&self) -> (SessionEvent, SessionEvent) {
        let mut request = v2(32, (MME, self.sgw), 0);
        self.told(&mut request);
        request.imei = Some(Imei(Digits::from_text(b"3534900698733190").unwrap()));
        request.f_teids.push((0, f_teid(Interface::S11_MME, MME, self.s11.0)));
        request.f_teids.push((1, f_teid(Interface::S5S8_PGW_C, PGW, 0)));
        request.bearers.push(Bearer { qci: Some(9), ..bearer(self.ebi, None, &[]) });
        let mut answer = accepted(v2(33, (self.sgw, MME), self.s11.0));
        answer.ue = self.ue;
        answer.f_teids.push((0, f_teid(Interface::S11_SGW, self.sgw, self.s11.1)));
        answer.f_teids.push((1, f_teid(Interface::S5S8_PGW_C, PGW, self.pgw_c())));
        answer.bearers.push(bearer(
            self.ebi,
            Some(16),
            &[
                f_teid(Interface::S1U_SGW, self.sgw, self.s1_sgw()),
                f_teid(Interface::S5S8_PGW_U, PGW, self.s5_pgw()),
            ],
        ));
        (request, answer)
    }

    /// The same on S5/S8.
    pub(crate) fn create_s5(&self) -> (SessionEvent, SessionEvent) {
        let mut request = v2(32, (self.sgw, PGW), 0);
        self.told(&mut request);
        request.f_teids.push((0, f_teid(Interface::S5S8_SGW_C, self.sgw, self.sgw_c())));
        let user = f_teid(Interface::S5S8_SGW_U, self.sgw, self.s5_sgw());
        request.bearers.push(Bearer { qci: Some(9), ..bearer(self.ebi, None, &[user]) });
        let mut answer = accepted(v2(33, (PGW, self.sgw), self.sgw_c()));
        answer.ue = self.ue;
        answer.f_teids.push((1, f_teid(Interface::S5S8_PGW_C, PGW, self.pgw_c())));
        let user = f_teid(Interface::S5S8_PGW_U, PGW, self.s5_pgw());
        answer.bearers.push(bearer(self.ebi, Some(16), &[user]));
        (request, answer)
    }

    /// Modify Bearer on S11 with the base station's endpoint.
    pub(crate) fn modify(&self, enb: IpAddr, teid: u32) -> (SessionEvent, SessionEvent) {
        let mut request = v2(34, (MME, self.sgw), self.s11.1);
        request.bearers.push(bearer(self.ebi, None, &[f_teid(Interface::S1U_ENODEB, enb, teid)]));
        let mut answer = accepted(v2(35, (self.sgw, MME), self.s11.0));
        let user = f_teid(Interface::S1U_SGW, self.sgw, self.s1_sgw());
        answer.bearers.push(bearer(self.ebi, Some(16), &[user]));
        (request, answer)
    }

    pub(crate) fn delete_s11(&self) -> (SessionEvent, SessionEvent) {
        let mut request = v2(36, (MME, self.sgw), self.s11.1);
        request.linked_ebi = Some(Ebi(self.ebi));
        request.teardown = true;
        (request, accepted(v2(37, (self.sgw, MME), self.s11.0)))
    }

    pub(crate) fn delete_s5(&self) -> (SessionEvent, SessionEvent) {
        let mut request = v2(36, (self.sgw, PGW), self.pgw_c());
        request.linked_ebi = Some(Ebi(self.ebi));
        (request, accepted(v2(37, (PGW, self.sgw), self.sgw_c())))
    }

    /// An attach as it is seen on S11 and S5/S8: the second procedure within the first.
    pub(crate) fn attach(&self, net: &mut Net) -> Vec<SessionEvent> {
        let (request, answer) = self.create_s11();
        let (r11, a11) = net.numbered(request, answer);
        let (request, answer) = self.create_s5();
        let (r5, a5) = net.numbered(request, answer);
        let (request, answer) = self.modify(self.enb, self.s1_enb());
        let (rm, am) = net.numbered(request, answer);
        vec![r11, r5, a5, a11, rm, am]
    }

    pub(crate) fn detach(&self, net: &mut Net) -> Vec<SessionEvent> {
        let (request, answer) = self.delete_s11();
        let (r11, a11) = net.numbered(request, answer);
        let (request, answer) = self.delete_s5();
        let (r5, a5) = net.numbered(request, answer);
        vec![r11, r5, a5, a11]
    }

    /// Its endpoints after an attach, as the record lists them.
    pub(crate) fn listed(&self) -> Vec<(String, IpAddr, u64)> {
        let mut all = vec![
            ("S11 MME GTP-C", MME, self.s11.0),
            ("S11/S4 SGW GTP-C", self.sgw, self.s11.1),
            ("S5/S8 SGW GTP-C", self.sgw, self.sgw_c()),
            ("S5/S8 PGW GTP-C", PGW, self.pgw_c()),
            ("S1-U SGW GTP-U", self.sgw, self.s1_sgw()),
            ("S5/S8 SGW GTP-U", self.sgw, self.s5_sgw()),
            ("S5/S8 PGW GTP-U", PGW, self.s5_pgw()),
            ("S1-U eNodeB GTP-U", self.enb, self.s1_enb()),
        ];
        all.sort_unstable();
        all.into_iter().map(|(name, ip, teid)| (name.to_string(), ip, u64::from(teid))).collect()
    }
}

pub(crate) fn listed(record: &Record) -> Vec<(String, IpAddr, u64)> {
    let name = |name: Option<&str>| name.unwrap_or("?").to_string();
    record.fteids.iter().map(|f_teid| (name(f_teid.interface), f_teid.ip, f_teid.teid)).collect()
}

pub(crate) fn is(record: &Record, phase: Phase) {
    assert_eq!(record.state, phase);
}
