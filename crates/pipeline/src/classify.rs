//! Class, key and pin of every packet.

use std::net::IpAddr;
use std::sync::Arc;

use balance::ClusterKey;
use batch::{Batch, Frame, RxCounters, Slot};
use types::{Key, LinkType, TrafficClass, TunnelKey};
use wire::{Dissection, Fragment, Tpdu, User};

use crate::fragments::{Fragments, Origin};
use crate::linear::Linear;
use crate::readings::{Reading, Readings};

/// Reads the headers and sets class, pin and flow, and what a session can be found by. Later fragments
/// follow the first.
#[derive(Debug)]
pub struct Classify {
    link: LinkType,
    cluster: ClusterKey,
    wants_flows: bool,
    fragments: Fragments,
    counters: Arc<RxCounters>,
    linear: Linear,
}

impl Classify {
    /// The stage for packets of this link type. Flow hashes are only made where they are wanted.
    #[must_use]
    pub fn new(
        link: LinkType,
        cluster: ClusterKey,
        wants_flows: bool,
        fragments: Fragments,
        counters: Arc<RxCounters>,
    ) -> Self {
        Self { link, cluster, wants_flows, fragments, counters, linear: Linear::new() }
    }

    /// First fragments that the table had to forget too early.
    #[must_use]
    pub const fn fragments_evicted(&self) -> u64 {
        self.fragments.evicted()
    }

    /// Works on the live packets of `batch`, and tells what it has read of each in `readings`.
    #[inline]
    pub fn run<F: Frame>(&mut self, batch: &mut Batch<F>, readings: &mut Readings) {
        if self.wants_flows {
            self.classify::<F, true>(batch, readings);
        } else {
            self.classify::<F, false>(batch, readings);
        }
    }

    #[inline(always)]
    fn classify<F: Frame, const FLOWS: bool>(&mut self, batch: &mut Batch<F>, readings: &mut Readings) {
        let mut user_packets = 0;
        let mut malformed = false;
        let ethernet = self.link == LinkType::Ethernet;
        for slot in batch.live() {
            let head = batch.head(slot);
            // A frame of several segments may end its headers beyond the first one.
            let whole = batch.frame(slot).is_some_and(|frame| frame.len() == head.len());
            if let Some(tpdu) = if ethernet && whole { wire::tpdu::<FLOWS>(head) } else { None } {
                let pin = self.cluster.pin_pair(tpdu.addresses.pair());
                batch.pin.set(slot, pin);
                // Where no flow is wanted, the column has never been anything but 0.
                if FLOWS {
                    batch.flow.set(slot, self.cluster.flow(pin, tpdu.ports));
                }
                batch.class.set(slot, TrafficClass::GtpU);
                readings.set(slot, of_tpdu(&tpdu));
                user_packets += 1;
                continue;
            }
            let class = self.walk(batch, readings, slot);
            batch.class.set(slot, class);
            malformed |= batch.malformed.get(slot).is_some();
            self.counters.class(class, 1);
        }
        self.counters.class(TrafficClass::GtpU, user_packets);
        if malformed {
            self.count_malformed(batch);
        }
    }

    /// Everything that is not a plain T-PDU.
    #[inline(never)]
    fn walk<F: Frame>(&mut self, batch: &mut Batch<F>, readings: &mut Readings, slot: Slot) -> TrafficClass {
        let Some(frame) = batch.frame(slot) else { return TrafficClass::Other };
        let found = wire::dissect(self.link, self.linear.bytes(frame));
        let Dissection { class, key, malformed, fragment, ports, .. } = found;
        let pin = self.cluster.pin(&key);
        let flow = if self.wants_flows { self.cluster.flow(pin, ports) } else { 0 };
        let mut origin = Origin { class, pin, flow, reading: of_dissection(&found) };
        match fragment {
            Fragment::None => {}
            Fragment::First(id) => {
                // What follows the first one belongs to the same packet and counts no second time.
                let follows = Reading { counts: false, ..origin.reading };
                let time_ns = batch.time_ns.get(slot);
                self.fragments.remember(id, Origin { reading: follows, ..origin }, time_ns);
            }
            Fragment::Later(id) => {
                origin = self.fragments.recall(&id, batch.time_ns.get(slot)).unwrap_or(origin);
            }
        }
        batch.pin.set(slot, origin.pin);
        batch.flow.set(slot, origin.flow);
        if batch.malformed.get(slot).is_none() {
            batch.malformed.set(slot, malformed);
        }
        readings.set(slot, origin.reading);
        origin.class
    }

    #[cold]
    fn count_malformed<F: Frame>(&self, batch: &Batch<F>) {
        for reason in batch.live().filter_map(|slot| batch.malformed.get(slot)) {
            self.counters.malformed(reason);
        }
    }
}

#[inline(always)]
fn of_tpdu(tpdu: &Tpdu) -> Reading {
    Reading {
        tunnel: Some(TunnelKey { receiver: IpAddr::V4(tpdu.receiver.into()), teid: tpdu.teid }),
        sender: IpAddr::V4(tpdu.sender.into()),
        user: Some(User { addresses: tpdu.addresses, bytes: tpdu.bytes }),
        toward: tpdu.toward,
        counts: true,
        plain: None,
    }
}

fn of_dissection(found: &Dissection) -> Reading {
    let layers = &found.layers;
    let tunnel = match found.key {
        Key::Tunnel(tunnel) => Some(tunnel),
        Key::Inner(_) => layers.tunnel,
        Key::Outer(_) | Key::Frame(_) => None,
    };
    Reading {
        tunnel,
        sender: layers.ends.map_or(Reading::NONE.sender, |ends| ends.addresses.source()),
        user: layers.user,
        toward: layers.pdu_session.and_then(|session| session.toward),
        counts: layers.t_pdu && !layers.quoted,
        plain: match found.key {
            Key::Outer(pair) if found.class == TrafficClass::Other => Some(pair),
            _ => None,
        },
    }
}
