//! Class, key and pin of every packet.

use std::sync::Arc;

use balance::ClusterKey;
use batch::{Batch, Frame, RxCounters, Slot, Stage};
use types::{LinkType, TrafficClass};
use wire::{Dissection, Fragment};

use crate::fragments::{Fragments, Origin};
use crate::linear::Linear;

/// Reads the headers and sets class, pin and flow. Later fragments follow the first.
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

    /// Everything that is not a plain T-PDU.
    #[inline(never)]
    fn walk<F: Frame>(&mut self, batch: &mut Batch<F>, slot: Slot) -> TrafficClass {
        let Some(frame) = batch.frame(slot) else { return TrafficClass::Other };
        let Dissection { class, key, malformed, fragment, ports, .. } =
            wire::dissect(self.link, self.linear.bytes(frame));
        let pin = self.cluster.pin(&key);
        let flow = if self.wants_flows { self.cluster.flow(pin, ports) } else { 0 };
        let mut origin = Origin { class, pin, flow };
        match fragment {
            Fragment::None => {}
            Fragment::First(id) => self.fragments.remember(id, origin, batch.time_ns.get(slot)),
            Fragment::Later(id) => {
                origin = self.fragments.recall(&id, batch.time_ns.get(slot)).unwrap_or(origin);
            }
        }
        batch.pin.set(slot, origin.pin);
        batch.flow.set(slot, origin.flow);
        if batch.malformed.get(slot).is_none() {
            batch.malformed.set(slot, malformed);
        }
        origin.class
    }

    #[cold]
    fn count_malformed<F: Frame>(&self, batch: &Batch<F>) {
        for reason in batch.live().filter_map(|slot| batch.malformed.get(slot)) {
            self.counters.malformed(reason);
        }
    }
}

impl Classify {
    #[inline(always)]
    fn classify<F: Frame, const FLOWS: bool>(&mut self, batch: &mut Batch<F>) {
        let mut user_packets = 0;
        let mut malformed = false;
        let ethernet = self.link == LinkType::Ethernet;
        for slot in batch.live() {
            let head = batch.head(slot);
            // A frame of several segments may end its headers beyond the first one.
            let whole = batch.frame(slot).is_some_and(|frame| frame.len() == head.len());
            if let Some(tpdu) = if ethernet && whole { wire::tpdu::<FLOWS>(head) } else { None } {
                let pin = self.cluster.pin_pair(tpdu.pair);
                batch.pin.set(slot, pin);
                // Where no flow is wanted, the column has never been anything but 0.
                if FLOWS {
                    batch.flow.set(slot, self.cluster.flow(pin, tpdu.ports));
                }
                batch.class.set(slot, TrafficClass::GtpU);
                user_packets += 1;
                continue;
            }
            let class = self.walk(batch, slot);
            batch.class.set(slot, class);
            malformed |= batch.malformed.get(slot).is_some();
            self.counters.class(class, 1);
        }
        self.counters.class(TrafficClass::GtpU, user_packets);
        if malformed {
            self.count_malformed(batch);
        }
    }
}

impl<F: Frame> Stage<F> for Classify {
    #[inline]
    fn run(&mut self, batch: &mut Batch<F>) {
        if self.wants_flows {
            self.classify::<F, true>(batch);
        } else {
            self.classify::<F, false>(batch);
        }
    }
}
