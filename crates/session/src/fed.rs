//! Who sessions are of, where an operator's feed says it and signalling does not.

use std::net::IpAddr;

use arrayvec::ArrayVec;
use types::{Apn, Digits, Imei, Imsi, Msisdn};

use crate::effects::{Effects, SessionId};
use crate::slots::Session;
use crate::state::{SAME_MAX, State};

/// Who has a UE address, as far as it is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Subscriber.
    pub imsi: Option<Imsi>,
    /// Subscriber's number.
    pub msisdn: Option<Msisdn>,
    /// Equipment.
    pub imei: Option<Imei>,
}

impl State {
    fn identify_by_feed(&mut self, slot: u32, told: &Identity, effects: &mut impl Effects) -> bool {
        let session = self.sessions.at(slot);
        if !session.is_active() || session.imsi != Digits::NONE {
            return false;
        }
        let own = [session.msisdn, session.imei];
        let session = self.sessions.at_mut(slot);
        if session.msisdn == Digits::NONE {
            session.msisdn = told.msisdn.map_or(Digits::NONE, |msisdn| msisdn.0);
        }
        if session.imei == Digits::NONE {
            session.imei = told.imei.map_or(Digits::NONE, |imei| imei.0);
        }
        let changed = [session.msisdn, session.imei] != own;
        if !self.set_imsi(slot, told.imsi) {
            return changed;
        }
        self.sessions.at_mut(slot).set(Session::FED);
        self.rebind(slot, effects);
        true
    }

    /// What signalling says of the subscriber takes the place of what a feed has said.
    pub(crate) fn forget_fed(&mut self, slot: u32) {
        if self.sessions.at(slot).has(Session::FED) {
            self.leave_imsi(slot);
            let session = self.sessions.at_mut(slot);
            session.imsi = Digits::NONE;
            session.unset(Session::FED);
        }
    }
}

impl crate::Sessions {
    /// Gives a session that has no IMSI what a feed says of its UE's address. What signalling has told stays,
    /// and what it tells later counts more. Returns whether anything is new.
    pub fn identify(&mut self, session: SessionId, told: &Identity, effects: &mut impl Effects) -> bool {
        self.state_mut().identify_by_feed(session.0, told, effects)
    }

    /// The live sessions with this UE address; of IPv6 with its prefix of 64 bits.
    #[must_use]
    pub fn sessions_at(&self, address: IpAddr) -> ArrayVec<SessionId, SAME_MAX> {
        self.state().sessions_of_ue(address).into_iter().map(SessionId).collect()
    }

    /// Network instance and APN of a session.
    #[must_use]
    pub fn names(&self, session: SessionId) -> [Option<Apn>; 2] {
        let state = self.state();
        let session = state.sessions.at(session.0);
        [session.network, session.apn].map(|name| state.names.value(u32::from(name)))
    }
}
