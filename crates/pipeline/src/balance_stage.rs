//! The balancer: which probes each packet goes to.

use balance::Balancer;
use batch::{Batch, Frame, ProbeSet, Stage};
use types::TrafficClass;

/// Sets [`batch::Meta::probes`]: what was told for a packet that is no user's stays; other control-plane
/// messages go to every probe, packets of a session to the probe that was chosen for it, everything else to
/// the probe of its pin.
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
            let class = batch.class.get(slot);
            // A user's packet may lie where another one was: its column is never cleared, which costs.
            let told = if class == TrafficClass::GtpU { ProbeSet::EMPTY } else { batch.probes.get(slot) };
            let probes = if !told.is_empty() {
                told
            } else if class.is_control() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use balance::{ClusterKey, Group, Member, Mode};
    use batch::{Meta, Packet};
    use replay::HeapFrame;
    use types::{ProbeId, Verdict};

    fn of(class: TrafficClass, told: ProbeSet, verdict: Verdict) -> ProbeSet {
        let cluster = ClusterKey::new("x");
        let member = |n| Member::new(&cluster, ProbeId(n), &format!("probe-{n}"), 1);
        let groups = [vec![member(0), member(1), member(2)], vec![member(3)]];
        let groups = groups.map(|members| Group::new(Mode::Session, members));
        let mut balance = Balance::new(Balancer::new(groups.into(), 0));
        let mut batch = Batch::new();
        let meta = Meta { probes: told, class, verdict, ..Meta::default() };
        let slot = batch.push(Packet { frame: HeapFrame::from_vec(vec![0; 60]), meta }).unwrap();
        balance.run(&mut batch);
        batch.probes.get(slot)
    }

    #[test]
    fn what_was_told_stays_but_of_a_user() {
        let (told, verdict) = (ProbeSet(0b1010), Verdict::new(0, ProbeId(2), ProbeId(0)));
        for class in [TrafficClass::GtpC, TrafficClass::Pfcp] {
            assert_eq!(of(class, told, Verdict::NONE), told);
            assert_eq!(
                of(class, ProbeSet::EMPTY, Verdict::NONE),
                ProbeSet(0b1111),
                "everybody of every group"
            );
        }
        assert_eq!(of(TrafficClass::Other, told, verdict), told);
        assert_eq!(of(TrafficClass::Other, ProbeSet::EMPTY, verdict), ProbeSet(0b100));
        // Told of the packet that was in this place before.
        assert_eq!(of(TrafficClass::GtpU, told, verdict), ProbeSet(0b100));
        assert_eq!(of(TrafficClass::GtpU, told, Verdict::NONE).len(), 1);
    }
}
