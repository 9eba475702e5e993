//! Nodes that have started anew: their sessions are over. TS 23.007.

use std::net::IpAddr;

use arrayvec::ArrayVec;
use hashbrown::HashMap;
use types::{Interface, SessionEvent, Signalling};

use crate::effects::{Effects, Loss};
use crate::endpoints::Endpoint;
use crate::record::State as Phase;
use crate::state::State;

/// Nodes whose restarts are followed; more are not.
const PEERS_MAX: usize = 8_192;
/// Losses whose sessions are looked for at a time.
const LOSSES_MAX: usize = 64;
/// Sessions that one call looks at for them.
const SWEEP: u32 = 1_024;

/// PFCP Association Release Response. TS 29.244 table 7.3-1.
const RELEASED: u8 = 10;
/// TS 29.244 8.2.1.
const ACCEPTED: u8 = 1;

/// What is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    /// All that this node had by this protocol, told before this time.
    Node { protocol: Signalling, node: u32, since_ns: u64 },
    /// All PFCP sessions between two nodes.
    Association { nodes: [u32; 2], since_ns: u64 },
}

impl Lost {
    /// Whether both are of one node, or of one association.
    fn is_of_same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Node { protocol, node, .. }, Self::Node { protocol: p, node: n, .. }) => {
                (protocol, node) == (p, n)
            }
            (Self::Association { nodes, .. }, Self::Association { nodes: others, .. }) => nodes == others,
            _ => false,
        }
    }
}

/// What is known of restarts.
pub(crate) struct Peers {
    /// The last restart counter, or PFCP recovery time stamp, of each node.
    recoveries: HashMap<(IpAddr, Signalling), u32>,
    losses: ArrayVec<Lost, LOSSES_MAX>,
    /// Sessions that are still to be looked at, and where.
    left: u32,
    at: u32,
}

impl Peers {
    pub(crate) fn new() -> Self {
        // Half full it never grows.
        let recoveries = HashMap::with_capacity(2 * PEERS_MAX);
        Self { recoveries, losses: ArrayVec::new(), left: 0, at: 1 }
    }

    /// Remembers what a node says of its last start; whether it has started since it said so before. One
    /// that is older is of a message that came late. TS 23.007 18, TS 29.244 6.2.2.
    fn has_restarted(&mut self, node: IpAddr, protocol: Signalling, recovery: u32) -> bool {
        let full = self.recoveries.len() >= PEERS_MAX;
        let known = match self.recoveries.get_mut(&(node, protocol)) {
            Some(known) => known,
            None if full => return false,
            None => {
                self.recoveries.insert((node, protocol), recovery);
                return false;
            }
        };
        let is_newer = match protocol {
            // A counter of 8 bits that comes round.
            Signalling::Gtpv1 | Signalling::Gtpv2 => (recovery as u8).wrapping_sub(*known as u8) as i8 > 0,
            // Seconds, which come round in 2036. TS 29.244 8.2.65.
            Signalling::Pfcp => recovery.wrapping_sub(*known) as i32 > 0,
        };
        if is_newer {
            *known = recovery;
        }
        is_newer
    }
}

impl State {
    /// What a message says of the node that sends it, before the message is followed.
    pub(crate) fn heed_peer(&mut self, event: &SessionEvent, effects: &mut impl Effects) {
        let source = event.source.ip();
        if let Some(recovery) = event.recovery {
            // Of a node that nothing is known of, nothing is over.
            let node = self.nodes.find(&source);
            if node != 0 && self.peers.has_restarted(source, event.protocol, recovery) {
                self.lose(Lost::Node { protocol: event.protocol, node, since_ns: event.time_ns });
                effects.lost(&Loss::Restart { node: source, protocol: event.protocol });
            }
        }
        if (event.protocol, event.message, event.cause) == (Signalling::Pfcp, RELEASED, Some(ACCEPTED)) {
            let between = [source, event.destination.ip()];
            let nodes = between.map(|address| self.nodes.find(&address));
            if !nodes.contains(&0) {
                self.lose(Lost::Association { nodes, since_ns: event.time_ns });
                effects.lost(&Loss::Release { nodes: between });
            }
        }
    }

    fn lose(&mut self, lost: Lost) {
        self.counters.restarts += 1;
        let again = self.peers.losses.iter_mut().find(|other| other.is_of_same(lost));
        if let Some(again) = again {
            *again = lost;
        } else if self.peers.losses.try_push(lost).is_err() {
            // Their sessions end by time.
            self.counters.refused.nodes_full += 1;
            return;
        }
        // Those that are looked for are looked for from here on all round again.
        self.peers.left = self.sessions.touched();
    }

    /// Ends sessions that are over with their node: among so many in one call.
    pub(crate) fn look_for_lost(&mut self, effects: &mut impl Effects) {
        if self.peers.losses.is_empty() {
            return;
        }
        let touched = self.sessions.touched();
        for _ in 0..SWEEP.min(self.peers.left) {
            let slot = self.peers.at;
            self.peers.at = if slot + 1 < touched { slot + 1 } else { 1 };
            self.end_if_lost(slot, effects);
        }
        self.peers.left = self.peers.left.saturating_sub(SWEEP);
        if self.peers.left == 0 {
            self.peers.losses.clear();
        }
    }

    fn end_if_lost(&mut self, slot: u32, effects: &mut impl Effects) {
        for place in 0..self.peers.losses.len() {
            let Some(&lost) = self.peers.losses.get(place) else { return };
            let session = *self.sessions.at(slot);
            if !session.is_active() {
                return;
            }
            match lost {
                Lost::Node { protocol: Signalling::Pfcp, node, since_ns } => {
                    self.end_pfcps(slot, since_ns, effects, |smf, upf| smf == node || upf == node);
                }
                Lost::Association { nodes: [a, b], since_ns } => {
                    self.end_pfcps(slot, since_ns, effects, |smf, upf| {
                        (smf, upf) == (a, b) || (smf, upf) == (b, a)
                    });
                }
                // A message since then is of a session that lives.
                Lost::Node { protocol, node, since_ns } if session.active_ns < since_ns => {
                    let had = self.controls_of(slot).any(|own| {
                        own.node() == node
                            && own.has(Endpoint::LIVE)
                            && !own.has(Endpoint::LEAVING)
                            && own.interface().map(protocol_of) == Some(protocol)
                    });
                    if had {
                        self.end(slot, Phase::Deleted, since_ns, effects);
                    }
                }
                Lost::Node { .. } => {}
            }
        }
    }

    /// Ends the PFCP sessions of a session between two nodes that are `lost`, where nothing was said of
    /// the session since.
    fn end_pfcps(
        &mut self,
        slot: u32,
        since_ns: u64,
        effects: &mut impl Effects,
        lost: impl Fn(u32, u32) -> bool,
    ) {
        let mut pfcp = self.sessions.at(slot).pfcps;
        while pfcp != 0 && self.sessions.at(slot).is_active() {
            let own = *self.pfcps.at(pfcp);
            let (mut smf, mut upf, mut seid) = (0, 0, own.seids);
            let mut is_lost = false;
            while seid != 0 {
                let side = *self.seids.at(seid);
                if side.live {
                    *if side.upf { &mut upf } else { &mut smf } = side.node;
                    is_lost |= lost(smf, upf);
                }
                seid = side.next;
            }
            if own.live && is_lost && self.sessions.at(slot).active_ns < since_ns {
                self.delete_pfcp(pfcp, since_ns, effects);
            }
            pfcp = own.next;
        }
    }
}

/// The protocol that tells of an endpoint of the control plane.
const fn protocol_of(interface: Interface) -> Signalling {
    match interface {
        Interface::GN_SGSN_C | Interface::GN_GGSN_C => Signalling::Gtpv1,
        _ => Signalling::Gtpv2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_counter_that_comes_round_and_one_that_comes_late() {
        let mut peers = Peers::new();
        let node = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
        let mut says = |protocol, recovery| peers.has_restarted(node, protocol, recovery);
        for (recovery, restarted) in [(250, false), (250, false), (251, true), (250, false), (3, true)] {
            assert_eq!(says(Signalling::Gtpv2, recovery), restarted, "{recovery}");
        }
        assert!(!says(Signalling::Gtpv1, 9), "each protocol has its own");
        for (stamp, restarted) in [(0xffff_fff0, false), (0xffff_ffef, false), (4, true), (4, false)] {
            assert_eq!(says(Signalling::Pfcp, stamp), restarted, "{stamp}");
        }
    }

    #[test]
    fn made_up_nodes_do_not_grow_it() {
        let mut peers = Peers::new();
        let node = |n: u32| IpAddr::V4(Ipv4Addr::from_bits(n));
        let capacity = peers.recoveries.capacity();
        for n in 0..2 * PEERS_MAX as u32 {
            assert!(!peers.has_restarted(node(n), Signalling::Gtpv2, 1));
        }
        assert_eq!((peers.recoveries.len(), peers.recoveries.capacity()), (PEERS_MAX, capacity));
        assert!(peers.has_restarted(node(7), Signalling::Gtpv2, 2), "those that are known are followed");
        assert!(!peers.has_restarted(node(PEERS_MAX as u32), Signalling::Gtpv2, 2));
    }
}
