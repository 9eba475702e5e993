//! Tunnels that are another's than was thought: what packets say against it, and Error Indications.

use std::net::IpAddr;

use types::{Toward, TunnelKey};

use crate::effects::{Effects, TunnelId, View};
use crate::endpoints::Endpoint;
use crate::install::{Role, is_gn};
use crate::record::State as Phase;
use crate::slots::Session;
use crate::state::State;

/// How long ago the downlink packets may be that speak for an uplink tunnel.
const HEARD_NS: u64 = 60_000_000_000;

/// Several packets in a row that contradict the session of their tunnel, with one and the same address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// The address at the UE's end.
    pub address: IpAddr,
    /// Whether it is known to be a UE's: the tunnel may go the other way now.
    pub is_clear: bool,
    /// Which way the tunnel goes.
    pub toward: Toward,
    /// Who sends into it: the outer source.
    pub sender: IpAddr,
    /// When the last of them came.
    pub time_ns: u64,
}

impl State {
    /// A tunnel was given to another UE, and the messages that tell it were not seen: it leaves its
    /// session and becomes that of the one that has the address, or of an unknown one. The network itself
    /// sends downlink packets, so they are believed. An uplink packet may come from a UE that lies: it is
    /// believed only where the address has downlink packets between the same two nodes, and no tunnel of
    /// its own up there. Returns whether it was.
    pub(crate) fn relearn(
        &mut self,
        user: u32,
        told: &Contradiction,
        last_seen: &impl Fn(TunnelId) -> u64,
        effects: &mut impl Effects,
    ) -> bool {
        let own = *self.users.at(user);
        let old = own.session;
        if !own.has(Endpoint::LIVE) || !self.sessions.at(old).is_active() {
            return false;
        }
        let ue = self.sessions.at(old).ue();
        let is_known = self.sessions.at(old).has(Session::KNOWN);
        let says_nothing_of = match told.address {
            IpAddr::V4(v4) => ue.v4.is_none() || ue.v4 == Some(v4),
            IpAddr::V6(_) => ue.v6.is_none(),
        };
        if !is_known && says_nothing_of {
            // Packets alone have told of it, and of one family: it may well have an address of the other.
            return false;
        }
        if told.toward == Toward::Uplink && !self.is_heard(own.node(), told, last_seen) {
            return false;
        }
        let key = self.user_key(user);
        let code = own.code();
        self.lose_user(user, effects);
        if !is_known && !self.has_tunnel(old) {
            self.end(old, Phase::Expired, told.time_ns, effects);
        }
        self.counters.relearned += 1;
        let mut known = self.sessions_of_ue(told.address).into_iter().filter(|&slot| {
            let theirs = self.sessions.at(slot);
            slot != old && theirs.is_active() && theirs.has(Session::KNOWN)
        });
        if let (Some(only), None) = (known.next(), known.next()) {
            let at = (key.receiver, key.teid.0);
            self.install_tunnel(only, own.ebi(), at, code, Role::Peer, effects);
            return true;
        }
        let made = self.unknown(key, told.sender, told.time_ns, effects);
        if let Some((_, made)) = made.ok().filter(|_| told.is_clear) {
            self.learn_ue(made, told.address, Some(told.toward), effects);
        }
        true
    }

    /// Whether packets go down to this address from the receiver of an uplink tunnel to who sends into it.
    fn is_heard(&self, receiver: u32, told: &Contradiction, last_seen: &impl Fn(TunnelId) -> u64) -> bool {
        let sender = self.nodes.find(&told.sender);
        let is_heard = |user: u32| {
            let last_ns = last_seen(TunnelId(user));
            last_ns != 0 && last_ns.saturating_add(HEARD_NS) >= told.time_ns
        };
        self.sessions_of_ue(told.address).into_iter().any(|slot| {
            let session = *self.sessions.at(slot);
            let (mut comes_down, mut has_peer, mut has_own) = (false, session.source() == receiver, false);
            let mut user = session.users;
            while user != 0 {
                let own = self.users.at(user);
                let is_live = own.has(Endpoint::LIVE);
                match own.code().toward() {
                    Some(Toward::Downlink) if is_live && own.node() == sender => {
                        comes_down |= is_heard(user);
                    }
                    Some(Toward::Uplink) if own.node() == receiver => {
                        has_peer = true;
                        has_own |= is_live;
                    }
                    _ => {}
                }
                user = own.next;
            }
            comes_down && has_peer && !has_own
        })
    }

    fn has_tunnel(&self, slot: u32) -> bool {
        let mut user = self.sessions.at(slot).users;
        while user != 0 {
            let own = self.users.at(user);
            if own.has(Endpoint::LIVE) {
                return true;
            }
            user = own.next;
        }
        false
    }

    /// An Error Indication: the receiver of a tunnel does not know it. Between SGSN and GGSN that ends the
    /// PDP context, elsewhere the one tunnel: the UE may be idle a moment later, or its bearer is set up
    /// anew. TS 23.007 21 and 22, TS 29.281 7.3.1. Returns whether there was such a tunnel.
    pub(crate) fn not_found(&mut self, key: TunnelKey, time_ns: u64, effects: &mut impl Effects) -> bool {
        let user = self.users.find(self.nodes.find(&key.receiver), key.teid.0);
        let own = *self.users.at(user);
        if user == 0 || own.has(Endpoint::RETIRING) {
            return false;
        }
        let is_known = self.sessions.at(own.session).has(Session::KNOWN);
        if own.interface().is_some_and(is_gn) && is_known {
            self.end(own.session, Phase::Deleted, time_ns, effects);
        } else {
            self.retire(user, time_ns, effects);
        }
        true
    }
}

impl crate::Sessions {
    /// The address and TEID of a tunnel.
    #[must_use]
    pub fn key_of(&self, tunnel: TunnelId) -> TunnelKey {
        self.state().user_key(tunnel.0)
    }

    /// The session that packets to this address and TEID belong to.
    #[must_use]
    pub fn holder_of(&self, key: TunnelKey) -> Option<View> {
        let state = self.state();
        let user = state.users.find(state.nodes.find(&key.receiver), key.teid.0);
        (user != 0).then(|| state.view(state.users.at(user).session, None))
    }
}
