//! The choice of a probe.

use std::hint::black_box;

use ::balance::{Balancer, ClusterKey, Group, Member, Mode};
use types::{ProbeId, ProbeSet};

use crate::frames::next;
use crate::{Outcome, Rival, Scale, measure};

/// Pins of one round.
const PINS: usize = 4_096;

pub(super) fn run(scale: &Scale) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for weighted in [false, true] {
        for probes in [4, 8, 64] {
            outcomes.push(case(probes, weighted, scale));
        }
    }
    outcomes
}

fn case(probes: u8, weighted: bool, scale: &Scale) -> Outcome {
    let cluster = ClusterKey::new("change me");
    let member = |index: u8| {
        let weight = if weighted { 1 + u32::from(index % 3) } else { 1 };
        Member::new(&cluster, ProbeId(index), &format!("probe-{}", index + 1), weight)
    };
    let group = Group::new(Mode::Session, (0..probes).map(member).collect());
    let balancer = Balancer::new(vec![group.clone()], 0);
    let mut state = 1;
    let pins: Vec<u64> = (0..PINS)
        .map(|_| {
            state = next(state);
            state ^ state >> 29
        })
        .collect();

    // First and second choice, which is more than a packet needs.
    let both = |pin| group.choose(pin).map_or(ProbeSet::EMPTY, |choice| ProbeSet::one(choice.first));
    assert!(pins.iter().all(|&pin| balancer.user(pin, 0) == both(pin)));

    let rivals = vec![
        // Keeps nothing together when a probe leaves: what a choice costs at the least.
        Rival::new("modulo", PINS as u64, |n| {
            for _ in 0..n {
                for &pin in &pins {
                    black_box(ProbeSet::one(ProbeId((pin % u64::from(black_box(probes))) as u8)));
                }
            }
        }),
        Rival::new("ours", PINS as u64, |n| {
            for _ in 0..n {
                for &pin in &pins {
                    black_box(balancer.user(pin, 0));
                }
            }
        }),
        Rival::new("both_choices", PINS as u64, |n| {
            for _ in 0..n {
                for &pin in &pins {
                    black_box(both(pin));
                }
            }
        }),
    ];
    let samples = measure(scale, rivals);
    let kind = if weighted { "weighted" } else { "equal" };
    let ratios = [("ours", "modulo"), ("both_choices", "ours")];
    Outcome::new(format!("balance/{kind}/{probes}"), samples, &ratios)
}
