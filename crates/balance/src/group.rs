//! Groups of probes, and the choice among them.

use types::{ProbeId, ProbeSet};

use crate::{ClusterKey, hash, log};

/// How a group shares packets out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// One probe for one session.
    #[default]
    Session,
    /// One probe for one inner five-tuple.
    Flow,
    /// Every probe gets everything.
    Copy,
}

/// A probe in a group.
#[derive(Clone, Debug)]
pub struct Member {
    probe: ProbeId,
    weight: u32,
    words: [u64; 2],
}

impl Member {
    /// The largest weight; larger ones count as this.
    pub const WEIGHT_MAX: u32 = 1_000_000;

    /// A probe that takes `weight` shares. The name, not the place in the configuration, decides what
    /// it gets.
    #[must_use]
    pub fn new(cluster: &ClusterKey, probe: ProbeId, name: &str, weight: u32) -> Self {
        Self { probe, weight: weight.clamp(1, Self::WEIGHT_MAX), words: cluster.probe(name) }
    }
}

/// The probe of a pin, and the one that takes over when it goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The probe with the best draw.
    pub first: ProbeId,
    /// The next best; the same one where there is only one.
    pub second: ProbeId,
}

/// Probes that share packets.
#[derive(Clone, Debug)]
pub struct Group {
    mode: Mode,
    members: Vec<Member>,
    weighted: bool,
    all: ProbeSet,
}

/// A probe that takes part in a choice.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    member: &'a Member,
    draw: u64,
    log: u64,
}

impl Candidate<'_> {
    /// Whether it comes before `other`. Equal draws (2⁻⁶⁴) go by the words of the names.
    #[inline(always)]
    fn beats(self, other: Self) -> bool {
        // A logarithm is below 2^39 and a weight at most 2^20: the products fit.
        let ours = self.log * u64::from(other.member.weight);
        let theirs = other.log * u64::from(self.member.weight);
        (theirs, self.draw, self.member.words) > (ours, other.draw, other.member.words)
    }
}

impl Group {
    /// A group of these probes.
    #[must_use]
    pub fn new(mode: Mode, members: Vec<Member>) -> Self {
        let all = members.iter().fold(ProbeSet::EMPTY, |set, m| set.union(ProbeSet::one(m.probe)));
        let weighted = members.windows(2).any(|pair| matches!(pair, [a, b] if a.weight != b.weight));
        Self { mode, members, weighted, all }
    }

    /// The probes in it.
    #[must_use]
    pub const fn probes(&self) -> ProbeSet {
        self.all
    }

    /// First and second choice for a pin: weighted rendezvous hashing. Every probe draws a number; the
    /// smallest −log(draw) ÷ weight wins, which gives each its share, and a probe that leaves moves
    /// only what it had. `None` in an empty group.
    #[must_use]
    pub fn choose(&self, pin: u64) -> Option<Choice> {
        let mut best: Option<Candidate<'_>> = None;
        let mut next: Option<Candidate<'_>> = None;
        for member in &self.members {
            let draw = hash::draw(pin, member.words);
            // With equal weights the larger draw has the smaller logarithm.
            let log = if self.weighted { log::minus_log2(draw) } else { 0 };
            let candidate = Candidate { member, draw, log };
            if best.is_none_or(|best| candidate.beats(best)) {
                next = best;
                best = Some(candidate);
            } else if next.is_none_or(|next| candidate.beats(next)) {
                next = Some(candidate);
            }
        }
        let first = best?.member.probe;
        Some(Choice { first, second: next.map_or(first, |next| next.member.probe) })
    }

    /// Where a packet with this pin and this flow goes.
    #[inline]
    #[must_use]
    pub fn probes_of(&self, pin: u64, flow: u64) -> ProbeSet {
        let key = match self.mode {
            Mode::Copy => return self.all,
            Mode::Session => pin,
            Mode::Flow => flow,
        };
        // Probes of equal weight need one comparison of draws, and no second choice, for a packet.
        if !self.weighted {
            let mut best = (0, [0; 2]);
            let mut probe = ProbeSet::EMPTY;
            for member in &self.members {
                let draw = (hash::draw(key, member.words), member.words);
                if probe.is_empty() || draw > best {
                    best = draw;
                    probe = ProbeSet::one(member.probe);
                }
            }
            return probe;
        }
        self.choose(key).map_or(ProbeSet::EMPTY, |choice| ProbeSet::one(choice.first))
    }
}

/// All groups, and which of them gets what no rule sends elsewhere.
#[derive(Clone, Debug)]
pub struct Balancer {
    groups: Vec<Group>,
    default: usize,
    everybody: ProbeSet,
}

impl Balancer {
    /// The groups of a configuration; `default` is the place of the group of that name.
    #[must_use]
    pub fn new(groups: Vec<Group>, default: usize) -> Self {
        let everybody = groups.iter().fold(ProbeSet::EMPTY, |set, group| set.union(group.all));
        Self { groups, default, everybody }
    }

    /// Where a packet goes that is no control-plane message.
    #[inline]
    #[must_use]
    pub fn user(&self, pin: u64, flow: u64) -> ProbeSet {
        self.groups.get(self.default).map_or(ProbeSet::EMPTY, |group| group.probes_of(pin, flow))
    }

    /// The probes of a session that goes by this pin, where the group of what no rule sends elsewhere
    /// pins sessions; `None` where it spreads by flow, or gives everybody everything.
    #[must_use]
    pub fn session(&self, pin: u64) -> Option<Choice> {
        let group = self.groups.get(self.default)?;
        if group.mode == Mode::Session { group.choose(pin) } else { None }
    }

    /// Where a control-plane message goes that is for all: to every probe of every group.
    #[inline]
    #[must_use]
    pub const fn everybody(&self) -> ProbeSet {
        self.everybody
    }

    /// The probes that packets of a session can be at which no rule sends elsewhere.
    #[inline]
    #[must_use]
    pub fn default_probes(&self) -> ProbeSet {
        self.groups.get(self.default).map_or(ProbeSet::EMPTY, Group::probes)
    }

    /// Whether any group spreads by flow, so that packets need a flow hash.
    #[must_use]
    pub fn wants_flows(&self) -> bool {
        self.groups.iter().any(|group| group.mode == Mode::Flow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use types::{Key, Pair};

    fn group(names: &[(&str, u32)]) -> Group {
        let cluster = ClusterKey::new("test");
        let member = |(i, (name, weight)): (usize, &(&str, u32))| {
            Member::new(&cluster, ProbeId(i as u8), name, *weight)
        };
        Group::new(Mode::Session, names.iter().enumerate().map(member).collect())
    }

    fn pins(count: u32) -> impl Iterator<Item = u64> {
        let cluster = ClusterKey::new("test");
        (0..count).map(move |i| cluster.pin(&Key::Inner(Pair::v4(0x0a00_0000 + i, 0x0808_0808))))
    }

    fn shares(group: &Group, count: u32) -> Vec<u32> {
        let mut shares = vec![0; group.members.len()];
        for pin in pins(count) {
            shares[usize::from(group.choose(pin).unwrap().first.0)] += 1;
        }
        shares
    }

    #[test]
    fn ten_thousand_subscribers_spread_over_eight_probes() {
        let names: Vec<_> = (1..=8).map(|i| format!("probe-{i}")).collect();
        let group = group(&names.iter().map(|name| (name.as_str(), 1)).collect::<Vec<_>>());
        let shares = shares(&group, 10_000);
        assert!(shares.iter().all(|&share| share < 1_375 && share > 1_125), "{shares:?}");
    }

    #[test]
    fn weights_are_shares() {
        let shares = shares(&group(&[("a", 1), ("b", 2), ("c", 5)]), 80_000);
        for (share, expected) in shares.iter().zip([10_000_u32, 20_000, 50_000]) {
            assert!(share.abs_diff(expected) < expected / 20, "{shares:?}");
        }
    }

    /// Rendezvous: what stays, stays where it was, and the second choice takes over.
    #[test]
    fn a_probe_that_leaves_moves_only_its_own() {
        for weights in [[1, 1, 1, 1], [3, 1, 2, 7]] {
            let names = ["a", "b", "c", "d"];
            let all: Vec<_> = names.into_iter().zip(weights).collect();
            let before = group(&all);
            let gone = ProbeId(3);
            let after = group(&all[..3]);
            for pin in pins(5_000) {
                let (old, new) = (before.choose(pin).unwrap(), after.choose(pin).unwrap().first);
                assert_eq!(new, if old.first == gone { old.second } else { old.first });
            }
        }
    }

    #[test]
    fn one_probe_is_its_own_second_choice() {
        let choice = group(&[("a", 1)]).choose(7).unwrap();
        assert_eq!(choice, Choice { first: ProbeId(0), second: ProbeId(0) });
        assert_eq!(group(&[]).choose(7), None);
        assert_eq!(group(&[]).probes_of(7, 7), ProbeSet::EMPTY);
    }

    #[test]
    fn flow_mode_looks_at_the_flow_and_copy_at_nothing() {
        let mut group = group(&[("a", 1), ("b", 1), ("c", 1)]);
        group.mode = Mode::Flow;
        let spread = pins(100).fold(ProbeSet::EMPTY, |set, flow| set.union(group.probes_of(1, flow)));
        assert_eq!(spread.len(), 3);
        assert!(pins(100).all(|pin| group.probes_of(pin, 5) == group.probes_of(1, 5)));
        group.mode = Mode::Copy;
        assert_eq!(group.probes_of(1, 2).len(), 3);
    }

    proptest! {
        /// The short way for equal weights, and the order of the configuration, change nothing.
        #[test]
        fn the_choice_depends_on_names_alone(pin: u64, weight in 1_u32..9, swap: prop::sample::Index) {
            let mut names: Vec<_> = ["a", "b", "c", "d", "e"].map(|name| (name, weight)).to_vec();
            let group_1 = group(&names);
            let first = names[usize::from(group_1.choose(pin).unwrap().first.0)];
            prop_assert_eq!(group_1.probes_of(pin, 0), ProbeSet::one(group_1.choose(pin).unwrap().first));
            names.rotate_left(swap.index(5));
            let group_2 = group(&names);
            prop_assert_eq!(names[usize::from(group_2.choose(pin).unwrap().first.0)], first);
        }
    }
}
