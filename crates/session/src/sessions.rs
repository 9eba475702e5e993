//! The outside of it all: [`Sessions`].

use std::net::IpAddr;

use arrayvec::ArrayVec;
use cpu::Pages;
use types::{Digits, Heading, Imsi, SessionEvent, Signalling, Toward, TunnelKey, UeAddress};

use crate::effects::{Counters, Effects, Full, Limits, SessionId, TunnelId, View};
use crate::index::HashKey;
use crate::message::{Message, Owner};
use crate::parked::{Parked, is_change, makes};
use crate::record::{Filter, Record};
use crate::relearn::Contradiction;
use crate::report::Cursor;
use crate::state::{State, Targets};
use crate::transactions::{Step, Transactions};
use crate::{gtpv1, gtpv2, pfcp};

/// What a message is for sessions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Request,
    Answer,
    Neither,
}

/// What every message is, by its type: evaluated by the compiler.
static PARTS: [[Part; 256]; 3] =
    [parts(Signalling::Gtpv1), parts(Signalling::Gtpv2), parts(Signalling::Pfcp)];

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn parts(protocol: Signalling) -> [Part; 256] {
    let mut parts = [Part::Neither; 256];
    let mut message = 0;
    while message < parts.len() {
        if is_request(protocol, message as u8) {
            parts[message] = Part::Request;
        } else if message > 0 && is_request(protocol, message as u8 - 1) {
            parts[message] = Part::Answer;
        }
        message += 1;
    }
    parts
}

const fn is_request(protocol: Signalling, message: u8) -> bool {
    match protocol {
        Signalling::Gtpv1 => gtpv1::is_request(message),
        Signalling::Gtpv2 => gtpv2::is_request(message),
        Signalling::Pfcp => pfcp::is_request(message),
    }
}

#[inline]
fn part(protocol: Signalling, message: u8) -> Part {
    let [v1, v2, pfcp] = &PARTS;
    let parts = match protocol {
        Signalling::Gtpv1 => v1,
        Signalling::Gtpv2 => v2,
        Signalling::Pfcp => pfcp,
    };
    parts.get(usize::from(message)).copied().unwrap_or(Part::Neither)
}

/// Where a message will look: see [`Sessions::ahead`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Ahead {
    fingerprint: u64,
    is_answer: bool,
    /// The control-plane endpoint that it is for.
    node: u32,
    teid: u32,
    endpoint: u32,
}

/// All sessions, and what their messages say.
///
/// Time comes with the events; nothing in here waits, allocates after [`Sessions::new`] or knows a
/// packet. Ended sessions stay readable until the keeper frees them:
///
/// ```
/// # use session::{Effects, Limits, Sessions};
/// # fn tick(sessions: &mut Sessions, now_ns: u64, effects: &mut impl Effects) {
/// sessions.expire(now_ns, |_tunnel| 0, effects);
/// while let Some(id) = sessions.next_ended() {
///     if let Some(record) = sessions.record(id, |_tunnel| (0, 0)) {
///         println!("{:?} ended at {:?}", record.state, record.ended_ns);
///     }
///     sessions.free(id, |_tunnel| {});
/// }
/// # }
/// ```
pub struct Sessions {
    state: State,
    transactions: Transactions,
    parked: Parked,
    /// The message in hand.
    scratch: Box<Message>,
}

impl Sessions {
    /// `seed` is the secret of the tables and shows nowhere; `cluster` the key of the correlation ids,
    /// which boxes with one `cluster_key` share.
    #[must_use]
    pub fn new(limits: Limits, seed: u64, cluster: [u64; 4]) -> Self {
        let key = HashKey::new(seed);
        let mut transactions = Transactions::new(limits.transactions_max, key);
        let pages = limits.pages;
        let mut state = State::new(limits, key, cluster);
        if pages == Pages::Huge {
            transactions.prefer_huge();
            state.prefer_huge();
        }
        Self { state, transactions, parked: Parked::new(), scratch: Box::new(Message::new()) }
    }

    #[cfg(test)]
    pub(crate) fn transactions(&self) -> &Transactions {
        &self.transactions
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    /// Asks for the memory that a message will need some messages later: the first of four steps, each
    /// best a message apart. Nothing changes but time.
    #[inline]
    pub fn ahead(&self, heading: &Heading) -> Ahead {
        let is_answer = part(heading.protocol, heading.message) == Part::Answer;
        let fingerprint = self.transactions.prefetch_head(heading, is_answer);
        let teid = heading.teid.map_or(0, |teid| teid.0);
        let node = if teid == 0 { 0 } else { self.state.nodes.find(&heading.destination.ip()) };
        if node != 0 {
            self.state.controls.prefetch_head(node, teid);
        }
        Ahead { fingerprint, is_answer, node, teid, endpoint: 0 }
    }

    /// The second step.
    #[inline]
    pub fn nearer(&self, ahead: &mut Ahead) {
        self.transactions.prefetch_slot(ahead.fingerprint);
        if ahead.node != 0 {
            ahead.endpoint = self.state.controls.prefetch_first(ahead.node, ahead.teid);
        }
    }

    /// The third one. `effects` is asked for the places of what the request of an answer tells.
    #[inline]
    pub fn next(&self, ahead: &Ahead, effects: &impl Effects) {
        if ahead.endpoint != 0 {
            self.state.sessions.prefetch(self.state.controls.at(ahead.endpoint).session);
        }
        let request = if ahead.is_answer { self.transactions.open(ahead.fingerprint) } else { None };
        if let Some(request) = request {
            self.state.ask_for_told(request, effects);
        }
    }

    /// The last one, right before the message is read.
    #[inline]
    pub fn now(&self, ahead: &Ahead) {
        if ahead.endpoint != 0 {
            let session = self.state.sessions.at(self.state.controls.at(ahead.endpoint).session);
            self.state.users.arena.prefetch(session.users);
            self.state.controls.arena.prefetch(session.controls);
        }
    }

    /// One message of the control plane.
    pub fn handle(&mut self, event: &SessionEvent, effects: &mut impl Effects) {
        self.state.settle_due(event.time_ns, effects);
        self.state.heed_peer(event, effects);
        let mut full = 0;
        let part = part(event.protocol, event.message);
        let Self { state, transactions, scratch, .. } = self;
        let step = match part {
            Part::Request => transactions.request(event, scratch, &mut full),
            Part::Answer => transactions
                .answer(event, scratch, &mut full, |request, answer| state.is_answer(request, answer)),
            Part::Neither => return,
        };
        self.state.counters.refused.transactions_full += full;
        self.state.counters.astray += u64::from(matches!(step, Step::Astray(_)));
        match step {
            Step::Nothing => {}
            Step::Orphan => {
                if event.protocol == Signalling::Gtpv2 {
                    self.state.orphan(&self.scratch, effects);
                }
            }
            Step::Pair(slot) | Step::Astray(slot) => {
                let Some(kept) = self.transactions.message(slot) else { return };
                let (request, answer) =
                    if part == Part::Request { (&*self.scratch, kept) } else { (kept, &*self.scratch) };
                self.state.ask_for_told(answer, effects);
                if is_change(request) && !self.state.is_there(request) {
                    self.parked.park(request, answer);
                }
                self.state.apply(request, answer, effects);
                if makes(request) {
                    while let Some((later, its)) = self.parked.take(request, answer, event.time_ns) {
                        self.state.apply(&later, &its, effects);
                    }
                }
                self.transactions.done(slot);
            }
        }
    }

    /// Makes an unknown session of a tunnel that is in no table: its hold time is over. `outer_source` is
    /// who sends into it. Of a tunnel that is known it returns what is known.
    pub fn unknown(
        &mut self,
        key: TunnelKey,
        outer_source: IpAddr,
        time_ns: u64,
        effects: &mut impl Effects,
    ) -> Result<(SessionId, TunnelId), Full> {
        let (session, tunnel) = self.state.unknown(key, outer_source, time_ns, effects)?;
        Ok((SessionId(session), TunnelId(tunnel)))
    }

    /// The UE address of an unknown session's tunnel has become clear, or is another one now. Joins the
    /// two unknown tunnels whose outer addresses are the same pair reversed and whose UE address is the
    /// same. Of a known session that has an identity only the direction of the tunnel is taken, where its
    /// interface has both.
    pub fn learn_ue(
        &mut self,
        tunnel: TunnelId,
        address: IpAddr,
        toward: Option<Toward>,
        effects: &mut impl Effects,
    ) {
        self.state.learn_ue(tunnel.0, address, toward, effects);
    }

    /// Packets have contradicted the session of a tunnel so often that it may be another's. `last_seen`:
    /// time of the last packet of a tunnel, 0 without. Returns whether the tunnel changed hands.
    pub fn relearn(
        &mut self,
        tunnel: TunnelId,
        told: &Contradiction,
        last_seen: impl Fn(TunnelId) -> u64,
        effects: &mut impl Effects,
    ) -> bool {
        self.state.relearn(tunnel.0, told, &last_seen, effects)
    }

    /// An Error Indication: its sender does not know a tunnel that packets were sent into. Returns whether
    /// that ended one.
    pub fn not_found(&mut self, key: TunnelKey, time_ns: u64, effects: &mut impl Effects) -> bool {
        self.state.not_found(key, time_ns, effects)
    }

    /// Ends sessions without a packet or message for their idle time, and lets go of tunnels that were
    /// replaced. `last_seen`: time of the last packet of a tunnel, 0 without. Looks at a part of the
    /// sessions in each call: at 256, or all in 16,384 calls.
    pub fn expire(&mut self, now_ns: u64, last_seen: impl Fn(TunnelId) -> u64, effects: &mut impl Effects) {
        self.state.expire(now_ns, &last_seen, effects);
    }

    /// The next session that has ended and was not asked for yet. To be freed when it was read.
    pub fn next_ended(&mut self) -> Option<SessionId> {
        self.state.next_ended().map(SessionId)
    }

    /// Forgets an ended session that [`Self::next_ended`] returned. Its number and those of its tunnels
    /// are given out again when the epoch is over. `each` is told of every tunnel: what was counted in
    /// it is to be forgotten.
    pub fn free(&mut self, session: SessionId, mut each: impl FnMut(TunnelId)) {
        self.state.free(session.0, |tunnel| each(TunnelId(tunnel)));
    }

    /// All that is known of a session, active or ended. `counters`: packets and bytes of a tunnel.
    pub fn record(&self, session: SessionId, counters: impl Fn(TunnelId) -> (u64, u64)) -> Option<Record> {
        self.state.record(session.0, counters)
    }

    /// The UE's addresses, also of a session that has ended.
    #[must_use]
    pub fn ue(&self, session: SessionId) -> UeAddress {
        self.state.sessions.at(session.0).ue()
    }

    /// A session as a verdict sees it; `None` if there is no active one of this number.
    #[must_use]
    pub fn view(&self, session: SessionId) -> Option<View> {
        self.state.sessions.at(session.0).is_active().then(|| self.state.view(session.0, None))
    }

    /// Calls `each` for the active sessions that a filter lets through (its `limit` is the caller's),
    /// among the next `slots` from the cursor on. Returns where to go on, `None` at the end.
    pub fn find(
        &self,
        filter: &Filter,
        cursor: Cursor,
        slots: u32,
        mut each: impl FnMut(SessionId),
    ) -> Option<Cursor> {
        self.state.find(filter, cursor, slots, |slot| each(SessionId(slot)))
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.state.counters
    }

    /// What is freed from now on may be held by readers in the epoch `now`; what was freed in an epoch
    /// below `safe` is held by nobody. Before the first call nothing is held by anybody.
    pub fn set_epochs(&mut self, now: u64, safe: u64) {
        self.state.now_epoch = now;
        self.state.safe_epoch = safe;
    }

    /// The sessions that a message concerns: by the TEID or SEID of its header and the bearers that it
    /// names, else by its IMSI; of a request that makes a PFCP session, the one that holds an endpoint of its
    /// rules; of an answer that finds none, those of the request that waits for it, so this is to be asked
    /// before [`Self::handle`] gets the answer.
    pub fn sessions_of(&mut self, event: &SessionEvent) -> ArrayVec<SessionId, 16> {
        self.scratch.fill(event);
        let asked = match part(event.protocol, event.message) {
            Part::Answer => self.transactions.asked(event),
            _ => None,
        };
        let mut found = self.state.concerned(&self.scratch);
        if let Some(request) = asked.filter(|_| found.is_empty()) {
            found = self.state.concerned(request);
        }
        found.into_iter().map(SessionId).collect()
    }

    /// The subscriber that a message names, or, of an answer, the request that waits for it. To be asked
    /// before [`Self::handle`] gets it.
    #[must_use]
    pub fn subscriber_of(&mut self, event: &SessionEvent) -> Option<Imsi> {
        if event.imsi.is_some() {
            return event.imsi;
        }
        let asked = self.transactions.asked(event)?.imsi_word();
        (asked != Digits::NONE).then_some(Imsi(asked))
    }
}

impl State {
    /// What a request and its answer do.
    fn apply(&mut self, request: &Message, answer: &Message, effects: &mut impl Effects) {
        match request.protocol {
            Signalling::Gtpv1 => self.apply_v1(request, answer, effects),
            Signalling::Gtpv2 => self.apply_v2(request, answer, effects),
            Signalling::Pfcp => self.apply_pfcp(request, answer, effects),
        }
    }

    /// Whether the endpoint that a request goes to is known.
    fn is_there(&self, request: &Message) -> bool {
        match request.protocol {
            Signalling::Pfcp => self.pfcp_of(request.destination, request.seid.unwrap_or(0), true) != 0,
            _ => {
                let teid = request.teid.map_or(0, |teid| teid.0);
                teid != 0 && self.controls.find(self.nodes.find(&request.destination), teid) != 0
            }
        }
    }

    /// Asks for the places of all that a message tells, before the first one is looked for.
    fn ask_for_told(&self, message: &Message, effects: &impl Effects) {
        self.imsis.prefetch(self.key.word(message.imsi_word().bits()));
        for f_teid in message.f_teids(Owner::Message) {
            for address in f_teid.addresses() {
                self.controls.prefetch_head(self.nodes.find(&address), f_teid.teid.0);
            }
        }
        for f_teid in message.user_f_teids() {
            for address in f_teid.addresses() {
                self.users.prefetch_head(self.nodes.find(&address), f_teid.teid.0);
                effects.prefetch(TunnelKey { receiver: address, teid: f_teid.teid });
            }
        }
    }

    /// Whether an answer that came from or went to another address or port than its request is its answer
    /// all the same: it has the right type and number, and the endpoint that it is sent to is the asker's
    /// own: told in the request, or that of a session that the request is about. So it may answer a Context
    /// Request that was relayed (TS 29.274 7.3.5, UDP Source Port Number), or be of a node with several
    /// addresses.
    fn is_answer(&self, request: &Message, answer: &Message) -> bool {
        if request.protocol == Signalling::Pfcp {
            let Some(seid) = answer.seid.filter(|&seid| seid != 0) else { return false };
            let told = request.f_seid.is_some_and(|own| {
                own.seid.0 == seid && pfcp::addresses(&own).any(|address| address == answer.destination)
            });
            let asked = request.seid.map_or(0, |seid| self.pfcp_of(request.destination, seid, true));
            return told || asked != 0 && asked == self.pfcp_of(answer.destination, seid, false);
        }
        let Some(teid) = answer.teid.filter(|teid| teid.0 != 0) else { return false };
        let mut told = request.f_teids(Owner::Message);
        if told.any(|own| own.teid == teid && own.addresses().any(|address| address == answer.destination)) {
            return true;
        }
        let asked = self.control_sessions(request.destination, request.teid);
        let to = self.control_sessions(answer.destination, answer.teid);
        asked.iter().any(|slot| to.contains(slot))
    }

    fn concerned(&self, message: &Message) -> Targets {
        if message.protocol == Signalling::Pfcp {
            let found = self.session_of_pfcp(message);
            return found.or_else(|| self.known_holder(message)).into_iter().collect();
        }
        let mut targets = self.control_sessions(message.destination, message.teid);
        let ebi = match (message.linked_ebi, message.bearers.first()) {
            (0, Some(bearer)) => bearer.ebi,
            (linked, _) => linked,
        };
        if targets.is_empty() {
            targets =
                self.sessions_of_imsi(message.imsi_word()).into_iter().take(targets.capacity()).collect();
        }
        match self.with_bearer(&targets, ebi) {
            Some(slot) if ebi != 0 => core::iter::once(slot).collect(),
            _ => targets,
        }
    }
}
