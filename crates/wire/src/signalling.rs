//! From a datagram of the control plane to what it says of sessions.
//!
//! Every message type passes: information elements say themselves what they are. A message type only
//! matters where one element means different things in different messages.

use core::cell::Cell;
use core::net::SocketAddr;

use arrayvec::ArrayVec;
use types::{Heading, Malformed, SessionEvent, Signalling, TrafficClass};

use crate::gtpc::Gtpc;
use crate::pfcp::Pfcp;
use crate::{gtpv1, gtpv2, pfcp};

/// Information elements of one message that are read at most, nested ones among them.
pub const IES_MAX: u16 = 1_024;

/// PFCP messages of one datagram that are read at most. TS 29.244 6.5 has no limit.
pub const BUNDLED_MAX: usize = 64;

/// Reads every message of a datagram and calls `each` with `event` filled for it: piggybacked messages
/// of GTPv2-C (TS 29.274 5.5.1), bundled ones of PFCP (TS 29.244 6.5). Time, source and destination are
/// the caller's and stay. A class without sessions has no message.
///
/// Returns the first reason. A message whose header can be read is told in any case: what stands before
/// a broken element is in the event, which then says `incomplete`. An element whose length is right and
/// whose value is not is left out, and reading goes on behind it. A message that claims more than there
/// is without cutting an element is `incomplete` and no reason: whether that is a lie depends on who cut
/// it, see [`crate::dissect()`].
pub fn signalling(
    class: TrafficClass,
    datagram: &[u8],
    event: &mut SessionEvent,
    each: &mut impl FnMut(&SessionEvent),
) -> Option<Malformed> {
    match class {
        TrafficClass::GtpC => gtpc(datagram, event, each),
        TrafficClass::Pfcp => pfcp(datagram, event, each),
        TrafficClass::GtpU | TrafficClass::GtpPrime | TrafficClass::Other => None,
    }
}

/// Whether [`signalling()`] finds the header of every message that a datagram says it has.
#[must_use]
pub fn has_every_header(class: TrafficClass, datagram: &[u8]) -> bool {
    let mut message = Some(datagram);
    match class {
        TrafficClass::GtpC => {
            for _ in 0..2 {
                let Some(bytes) = message else { break };
                let Ok(gtp) = Gtpc::parse(bytes) else { return false };
                message = gtp.piggybacked();
            }
            message.is_none()
        }
        TrafficClass::Pfcp => {
            for _ in 0..BUNDLED_MAX {
                let Some(bytes) = message else { break };
                let Ok(pfcp) = Pfcp::parse(bytes) else { return false };
                message = pfcp.bundled();
            }
            message.is_none()
        }
        TrafficClass::GtpU | TrafficClass::GtpPrime | TrafficClass::Other => false,
    }
}

/// The header of the first message of a datagram, without a look at its elements.
#[inline]
#[must_use]
pub fn heading(
    class: TrafficClass,
    datagram: &[u8],
    source: SocketAddr,
    destination: SocketAddr,
) -> Option<Heading> {
    match class {
        TrafficClass::GtpC => {
            let gtp = Gtpc::parse(datagram).ok()?;
            let protocol = if gtp.version() == 1 { Signalling::Gtpv1 } else { Signalling::Gtpv2 };
            let (message, sequence, teid) = (gtp.message_type(), gtp.sequence(), gtp.teid());
            Some(Heading { protocol, message, source, destination, sequence, teid })
        }
        TrafficClass::Pfcp => {
            let pfcp = Pfcp::parse(datagram).ok()?;
            let (protocol, message, sequence) =
                (Signalling::Pfcp, pfcp.message_type(), Some(pfcp.sequence()));
            Some(Heading { protocol, message, source, destination, sequence, teid: None })
        }
        TrafficClass::GtpU | TrafficClass::GtpPrime | TrafficClass::Other => None,
    }
}

fn gtpc(
    datagram: &[u8],
    event: &mut SessionEvent,
    each: &mut impl FnMut(&SessionEvent),
) -> Option<Malformed> {
    let mut reason = None;
    let mut message = Some(datagram);
    // TS 29.274 5.5.1 allows no third.
    for _ in 0..2 {
        let Some(bytes) = message else { break };
        let gtp = match Gtpc::parse(bytes) {
            Ok(gtp) => gtp,
            Err(why) => return reason.or(Some(why.into())),
        };
        event.clear();
        event.protocol = if gtp.version() == 1 { Signalling::Gtpv1 } else { Signalling::Gtpv2 };
        event.message = gtp.message_type();
        event.teid = gtp.teid();
        event.sequence = gtp.sequence();
        event.incomplete = gtp.claims_more();
        let mut reading = Reading::default();
        if gtp.version() == 1 {
            gtpv1::fill(&gtp, event, &mut reading);
        } else {
            gtpv2::fill(gtp.body(), event, &mut reading);
        }
        event.incomplete |= reading.incomplete;
        reason = reason.or(reading.reason);
        each(event);
        message = gtp.piggybacked();
    }
    reason
}

fn pfcp(
    datagram: &[u8],
    event: &mut SessionEvent,
    each: &mut impl FnMut(&SessionEvent),
) -> Option<Malformed> {
    let mut reason = None;
    let mut message = Some(datagram);
    for _ in 0..BUNDLED_MAX {
        let Some(bytes) = message else { return reason };
        let pfcp = match Pfcp::parse(bytes) {
            Ok(pfcp) => pfcp,
            Err(why) => return reason.or(Some(why.into())),
        };
        event.clear();
        event.protocol = Signalling::Pfcp;
        event.message = pfcp.message_type();
        event.seid = pfcp.seid();
        event.sequence = Some(pfcp.sequence());
        event.incomplete = pfcp.claims_more();
        let mut reading = Reading::default();
        pfcp::fill(pfcp.body(), event, &mut reading);
        event.incomplete |= reading.incomplete;
        reason = reason.or(reading.reason);
        each(event);
        message = pfcp.bundled();
    }
    if message.is_some() { reason.or(Some(Malformed::PfcpBadIe)) } else { reason }
}

/// How many information elements of one message may still be read: one number for all its levels.
#[derive(Clone, Debug)]
pub struct Budget(Cell<u16>);

impl Budget {
    /// For one message: [`IES_MAX`].
    #[must_use]
    pub const fn new() -> Self {
        Self(Cell::new(IES_MAX))
    }

    /// One more, if there may be.
    #[inline(always)]
    pub(crate) fn spend(&self) -> Option<()> {
        self.0.set(self.0.get().checked_sub(1)?);
        Some(())
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new()
    }
}

/// How the reading of one message goes: what was wrong first, and whether all was taken.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reading {
    reason: Option<Malformed>,
    incomplete: bool,
}

impl Reading {
    /// Something cannot be read.
    #[cold]
    pub(crate) fn bad(&mut self, why: impl Into<Malformed>) {
        self.incomplete = true;
        self.reason = self.reason.or(Some(why.into()));
    }

    /// What was read, or why not.
    #[inline(always)]
    pub(crate) fn take<T, E: Into<Malformed>>(&mut self, read: Result<T, E>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(why) => {
                self.bad(why);
                None
            }
        }
    }

    /// Keeps a value unless there is one: of elements that come twice the first that can be read counts,
    /// and the others are not looked at. TS 29.274 7.7.10, TS 29.060 11.1.12, TS 29.244 7.6.10.
    #[inline(always)]
    pub(crate) fn keep<T, E: Into<Malformed>>(
        &mut self,
        place: &mut Option<T>,
        read: impl FnOnce() -> Result<T, E>,
    ) {
        if place.is_none() {
            *place = self.take(read());
        }
    }

    /// The same for a value that may say nothing without being wrong.
    #[inline(always)]
    pub(crate) fn keep_any<T, E: Into<Malformed>>(
        &mut self,
        place: &mut Option<T>,
        read: impl FnOnce() -> Result<Option<T>, E>,
    ) {
        if place.is_none() {
            *place = self.take(read()).flatten();
        }
    }

    /// Puts a value into a list and hands out its place; `None` where the list is full.
    #[inline(always)]
    pub(crate) fn push<'l, T, const N: usize>(
        &mut self,
        list: &'l mut ArrayVec<T, N>,
        value: T,
    ) -> Option<&'l mut T> {
        if list.try_push(value).is_err() {
            self.incomplete = true;
            return None;
        }
        list.last_mut()
    }
}
