//! Every bench runs, tiny: the rivals agree, and nothing is said of their speed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use benches::{Scale, group};

#[test]
fn every_group_runs_and_its_rivals_agree() {
    for group in group::ALL {
        let outcomes = (group.run)(&Scale::TINY);
        assert!(!outcomes.is_empty(), "{}", group.name);
        for outcome in outcomes {
            assert!(outcome.id.starts_with(group.name), "{outcome}");
            assert!(!outcome.failed, "{outcome}");
            assert!(
                outcome.cycles.iter().all(|sample| sample.p10 > 0.0 && sample.p10.is_finite()),
                "{outcome}"
            );
        }
    }
}
