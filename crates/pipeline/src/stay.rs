//! `unknown = "stay"`: a session that becomes known goes on where its packets went before.
//!
//! What decides is settled in the message that makes a session known, and holds until it ends:
//!
//! 1. Where another session of the subscriber is: all sessions of one IMSI are together.
//! 2. Where the unknown session went that it was: that had its tunnel or its UE's address. Of several the one
//!    that was seen first.
//! 3. Where its own pin leads.

use std::sync::atomic::{AtomicU64, Ordering};

use session::{Pin, SessionId, View};

/// On what ground a session goes where it goes: bits of its word that a verdict leaves free, and that are
/// saved with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ground(u32);

impl Ground {
    /// Its packets decided, before its control plane was seen.
    pub(crate) const SEEN: Self = Self(1 << 29);
    /// Its control plane was seen.
    pub(crate) const KNOWN: Self = Self(1 << 30);
    /// It is a subscriber's, whose sessions are together.
    pub(crate) const SUBSCRIBER: Self = Self(1 << 31);

    const ALL: u32 = Self::SEEN.0 | Self::KNOWN.0 | Self::SUBSCRIBER.0;

    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits & Self::ALL)
    }

    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What a view adds to it.
    pub(crate) fn told(self, view: &View) -> Self {
        let own = if view.known { Self::KNOWN } else { Self::SEEN };
        let pinned = if matches!(view.pin, Pin::Imsi(_)) { Self::SUBSCRIBER } else { Self::default() };
        self.and(own).and(pinned)
    }
}

/// What is kept for it.
pub(crate) struct Stay {
    /// When the packets that decide for a session were seen first; 0: none do.
    first_ns: cpu::Array<AtomicU64>,
    /// The session that has become known in the message in hand.
    begun: Option<SessionId>,
}

impl Stay {
    pub(crate) fn new(sessions_max: u32, pages: cpu::Pages) -> std::io::Result<Self> {
        Ok(Self { first_ns: cpu::Array::zeroed(sessions_max as usize + 1, pages)?, begun: None })
    }

    /// When the packets were seen that decide for a session; of one that its own pin decides for, never.
    pub(crate) fn first_ns(&self, session: SessionId) -> u64 {
        let first_ns = self.first_ns.get(session.0 as usize).map_or(0, |time| time.load(Ordering::Relaxed));
        if first_ns == 0 { u64::MAX } else { first_ns }
    }

    pub(crate) fn set_first_ns(&mut self, session: SessionId, time_ns: u64) {
        if let Some(time) = self.first_ns.get(session.0 as usize) {
            // Relaxed: nobody else looks.
            time.store(time_ns, Ordering::Relaxed);
        }
    }

    /// Where a session goes is being decided: the message in hand has made it known.
    pub(crate) const fn begin(&mut self, session: SessionId) {
        self.begun = Some(session);
    }

    pub(crate) fn has_begun(&self, session: SessionId) -> bool {
        self.begun == Some(session)
    }

    /// The message was followed: what it has made is not changed any more.
    pub(crate) const fn end(&mut self) {
        self.begun = None;
    }
}
