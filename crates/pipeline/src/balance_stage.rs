//! The balancer: which probes each packet goes to.

use balance::Balancer;
use batch::{Batch, Frame, ProbeSet, Stage};

/// Sets [`batch::Meta::probes`]: control-plane messages go to every probe, packets of a session to the
/// probe that was chosen for it, everything else to the probe of its pin.
#[derive(Clone, Debug)]
pub struct Balance {
    balancer: Balancer,
}

impl Balance {
    /// The stage for this balancer.
    #[must_use]
    pub const fn new(balancer: Balancer) -> Self {
        Self { balancer }
    }
}

impl<F: Frame> Stage<F> for Balance {
    #[inline]
    fn run(&mut self, batch: &mut Batch<F>) {
        for slot in batch.live() {
            let probes = if batch.class.get(slot).is_control() {
                self.balancer.everybody()
            } else if batch.verdict.get(slot).is_some() {
                ProbeSet::one(batch.verdict.get(slot).first())
            } else {
                self.balancer.user(batch.pin.get(slot), batch.flow.get(slot))
            };
            batch.probes.set(slot, probes);
        }
    }
}
