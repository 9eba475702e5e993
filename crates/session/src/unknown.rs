//! Sessions of tunnels whose control plane was not seen.

use std::net::IpAddr;

use types::{Toward, TunnelKey, UeAddress};

use crate::effects::{Effects, Full};
use crate::endpoints::{Code, Endpoint};
use crate::slots::Session;
use crate::state::State;

/// One place in so many for addresses of nodes is kept for what the control plane tells.
const NODES_RESERVE: u32 = 4;

impl State {
    /// A session for a tunnel that was seen by its packets.
    pub(crate) fn unknown(
        &mut self,
        key: TunnelKey,
        outer_source: IpAddr,
        time_ns: u64,
        effects: &mut impl Effects,
    ) -> Result<(u32, u32), Full> {
        let found = self.users.find(self.nodes.find(&key.receiver), key.teid.0);
        if found != 0 {
            return Ok((self.users.at(found).session, found));
        }
        if !self.nodes.has_reserve(NODES_RESERVE) {
            self.counters.refused.nodes_full += 1;
            return Err(Full::Tunnels);
        }
        let (Some(node), Some(source)) = (self.nodes.hold(&key.receiver), self.nodes.hold(&outer_source))
        else {
            return Err(Full::Tunnels);
        };
        let endpoint = Endpoint::new(0, node, key.teid.0, Code::UNKNOWN, 0, 0);
        let Some(user) = self.users.arena.take(self.safe_epoch, endpoint) else {
            self.counters.refused.tunnels_full += 1;
            self.nodes.release(node);
            self.nodes.release(source);
            return Err(Full::Tunnels);
        };
        let Some(slot) = self.begin(time_ns) else {
            self.users.arena.give_back(user, 0);
            self.nodes.release(node);
            self.nodes.release(source);
            return Err(Full::Sessions);
        };
        let correlation = self.correlation(types::Digits::NONE, Some(key.receiver), u64::from(key.teid.0));
        let session = self.sessions.at_mut(slot);
        session.set_source(source);
        session.users = user;
        session.correlation = correlation;
        self.users.at_mut(user).session = slot;
        self.users.enliven(user);
        self.bind(user, effects);
        Ok((slot, user))
    }

    /// The UE address of a tunnel's session, and the direction of the tunnel.
    pub(crate) fn learn_ue(
        &mut self,
        user: u32,
        address: IpAddr,
        toward: Option<Toward>,
        effects: &mut impl Effects,
    ) {
        let slot = self.users.at(user).session;
        if !self.sessions.at(slot).is_active() || !self.users.at(user).has(Endpoint::LIVE) {
            return;
        }
        let turned = self.set_toward(user, toward);
        let session = self.sessions.at(slot);
        let has_pin = session.imsi != types::Digits::NONE || session.ue() != UeAddress::default();
        if session.has(Session::KNOWN) && has_pin {
            if turned {
                self.bind(user, effects);
            }
            return;
        }
        let ue = match address {
            IpAddr::V4(v4) => UeAddress { v4: Some(v4), v6: None },
            IpAddr::V6(v6) => UeAddress { v4: None, v6: Some(prefix(v6)) },
        };
        let changed = self.see_ue(slot, ue, effects);
        let is_known = self.sessions.at(slot).has(Session::KNOWN);
        if let Some(other) = self.counterpart(slot, user, address).filter(|_| !is_known) {
            let into = self.join(slot, other, effects);
            self.rename_unknown(into, effects);
        } else if changed || turned {
            self.rebind(slot, effects);
        }
    }

    /// The unknown session with this UE address whose packets go the other way between the same two
    /// nodes.
    fn counterpart(&self, slot: u32, user: u32, address: IpAddr) -> Option<u32> {
        let receiver = self.users.at(user).node();
        let source = self.sessions.at(slot).source();
        self.sessions_of_ue(address).into_iter().find(|&other| {
            let theirs = self.sessions.at(other);
            let tunnel = self.users.at(theirs.users);
            other != slot
                && !theirs.has(Session::KNOWN)
                && theirs.source() == receiver
                && tunnel.node() == source
                && tunnel.next == 0
                && self.users.at(self.sessions.at(slot).users).next == 0
                && (tunnel.code().toward().is_none()
                    || tunnel.code().toward() != self.users.at(user).code().toward())
        })
    }

    /// An unknown session is told by its smallest {address, TEID}.
    fn rename_unknown(&mut self, slot: u32, effects: &mut impl Effects) {
        let mut smallest = None;
        let mut user = self.sessions.at(slot).users;
        while user != 0 {
            let key = self.user_key(user);
            if smallest.is_none_or(|smallest| key < smallest) {
                smallest = Some(key);
            }
            user = self.users.at(user).next;
        }
        let Some(key) = smallest else { return };
        let correlation = self.correlation(types::Digits::NONE, Some(key.receiver), u64::from(key.teid.0));
        if correlation != self.sessions.at(slot).correlation {
            self.sessions.at_mut(slot).correlation = correlation;
            self.rebind(slot, effects);
        }
    }
}

/// The upper 64 bits.
pub(crate) fn prefix(address: std::net::Ipv6Addr) -> std::net::Ipv6Addr {
    std::net::Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)
}
