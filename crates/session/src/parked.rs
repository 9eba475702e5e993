//! Changes of sessions that are not there yet: the request that makes the session, or its answer, was
//! captured after the change.

use types::Signalling;

use crate::message::{Message, Owner};
use crate::pfcp;

/// How long a change waits for its session.
const WAIT_NS: u64 = 1_000_000_000;
/// How many wait at a time; the newest replaces the oldest.
const PARKED_MAX: usize = 64;

/// A change: its request and the answer.
#[derive(Clone)]
struct Change {
    request: Message,
    answer: Message,
}

/// The changes that wait.
pub(crate) struct Parked {
    changes: Vec<Change>,
    /// Where the next one goes.
    next: usize,
}

impl Parked {
    pub(crate) fn new() -> Self {
        Self { changes: Vec::with_capacity(PARKED_MAX), next: 0 }
    }

    /// Keeps a change.
    pub(crate) fn park(&mut self, request: &Message, answer: &Message) {
        let change = Change { request: request.clone(), answer: answer.clone() };
        if let Some(oldest) = self.changes.get_mut(self.next) {
            *oldest = change;
        } else {
            self.changes.push(change);
        }
        self.next = (self.next + 1) % PARKED_MAX;
    }

    /// Takes one that was for an endpoint which these messages tell, the oldest first. `now_ns`: the
    /// time of what came last.
    pub(crate) fn take(
        &mut self,
        request: &Message,
        answer: &Message,
        now_ns: u64,
    ) -> Option<(Message, Message)> {
        let is_for = |change: &&mut Change| {
            let time_ns = change.answer.time_ns;
            time_ns != 0
                && time_ns.saturating_add(WAIT_NS) >= now_ns
                && [request, answer].into_iter().any(|told| tells(told, &change.request))
        };
        let oldest = self.changes.iter_mut().filter(is_for).min_by_key(|change| change.answer.time_ns)?;
        let found = (oldest.request.clone(), oldest.answer.clone());
        oldest.answer.time_ns = 0;
        Some(found)
    }
}

/// Whether a request of this type changes a session and does not end it. TS 29.060 table 1, TS 29.274 table
/// 6.1-1, TS 29.244 table 7.3-1.
pub(crate) const fn is_change(request: &Message) -> bool {
    match request.protocol {
        Signalling::Gtpv1 => request.kind == 18,
        Signalling::Gtpv2 => matches!(request.kind, 34 | 95 | 97 | 170 | 211),
        Signalling::Pfcp => request.kind == 52,
    }
}

/// Whether a request of this type makes a session.
pub(crate) const fn makes(request: &Message) -> bool {
    match request.protocol {
        Signalling::Gtpv1 => request.kind == 16,
        Signalling::Gtpv2 => request.kind == 32,
        Signalling::Pfcp => request.kind == 50,
    }
}

/// Whether `told` tells the endpoint that a later request goes to.
fn tells(told: &Message, later: &Message) -> bool {
    if told.protocol != later.protocol {
        return false;
    }
    if later.protocol == Signalling::Pfcp {
        return told.f_seid.is_some_and(|own| {
            later.seid == Some(own.seid.0)
                && pfcp::addresses(&own).any(|address| address == later.destination)
        });
    }
    told.f_teids(Owner::Message).any(|own| {
        later.teid == Some(own.teid) && own.addresses().any(|address| address == later.destination)
    })
}
