//! Ratios that were accepted on one model of processor.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::Outcome;

/// A file of `benches/baselines`. Only what `ours` is divided by somebody else is kept: more is worse.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Baseline {
    /// Share by which a ratio may be above the accepted one.
    pub tolerance: f64,
    /// Ratios by line and name.
    #[serde(default)]
    pub ratios: BTreeMap<String, BTreeMap<String, f64>>,
}

impl Baseline {
    /// What ratios differ by from run to run on a machine that is shared with others.
    const TOLERANCE: f64 = 0.25;

    /// The file for the processor of this machine.
    #[must_use]
    pub fn path() -> PathBuf {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Path::new(env!("CARGO_MANIFEST_DIR")).join("baselines").join(format!("{}.toml", model(&info)))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It is not there, or is no baseline.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }

    /// These results, accepted.
    #[must_use]
    pub fn of(outcomes: &[Outcome]) -> Self {
        let mut ratios = BTreeMap::<String, BTreeMap<String, f64>>::new();
        for outcome in outcomes {
            for ratio in outcome.ratios.iter().filter(|ratio| ratio.name.starts_with("ours/")) {
                ratios.entry(outcome.id.clone()).or_default().insert(ratio.name.clone(), ratio.value);
            }
        }
        Self { tolerance: Self::TOLERANCE, ratios }
    }

    /// These ratios beside those that were not measured this time.
    #[must_use]
    pub fn updated(mut self, with: Self) -> Self {
        self.ratios.extend(with.ratios);
        self
    }

    /// The file.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("tolerance = {}\n", self.tolerance);
        for (id, ratios) in &self.ratios {
            let _ = writeln!(text, "\n[ratios.\"{id}\"]");
            for (name, value) in ratios {
                let _ = writeln!(text, "\"{name}\" = {value:.2}");
            }
        }
        text
    }

    /// What is worse than it was accepted.
    #[must_use]
    pub fn worse(&self, outcomes: &[Outcome]) -> Vec<String> {
        let mut worse = Vec::new();
        for outcome in outcomes {
            let Some(accepted) = self.ratios.get(&outcome.id) else { continue };
            for ratio in &outcome.ratios {
                let Some(was) = accepted.get(&ratio.name) else { continue };
                if ratio.value > was * (1.0 + self.tolerance) {
                    worse.push(format!("{} {}: {:.2}, was {was:.2}", outcome.id, ratio.name, ratio.value));
                }
            }
        }
        worse
    }
}

/// Vendor, family, model and stepping: the name of a virtual processor says nothing.
fn model(info: &str) -> String {
    let field = |wanted: &str| {
        let mut lines = info.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(name, _)| name.trim() == wanted).map_or("unknown", |(_, value)| value.trim())
    };
    ["vendor_id", "cpu family", "model", "stepping"].map(field).join("-").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sample;

    fn outcome(ours: f64) -> Outcome {
        let cycles = ["naive", "ours", "floor"].into_iter().zip([40.0, ours, 10.0]);
        let cycles = cycles.map(|(name, value)| Sample::of(name, vec![value])).collect();
        Outcome::new("parse/x/64", cycles, &[("ours", "floor"), ("naive", "ours")])
    }

    #[test]
    fn the_file_is_read_as_it_was_written() {
        let baseline = Baseline::of(&[outcome(15.0)]);
        assert_eq!(toml::from_str::<Baseline>(&baseline.text()).unwrap(), baseline);
        assert_eq!(baseline.ratios["parse/x/64"].len(), 1, "naive/ours is not accepted or refused");
    }

    #[test]
    fn worse_is_beyond_the_tolerance() {
        let baseline = Baseline::of(&[outcome(10.0)]);
        assert_eq!(baseline.worse(&[outcome(12.4)]), Vec::<String>::new());
        assert_eq!(baseline.worse(&[outcome(12.6)]), ["parse/x/64 ours/floor: 1.26, was 1.00"]);
        assert_eq!(Baseline::default().worse(&[outcome(99.0)]), Vec::<String>::new());
    }

    #[test]
    fn every_accepted_file_can_be_read() {
        for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("baselines")).unwrap() {
            Baseline::read(&file.unwrap().path()).unwrap();
        }
    }

    #[test]
    fn the_model_is_numbers() {
        let info = "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\n\
                    model name\t: Intel(R) Xeon(R) Processor\nstepping\t: 8\n";
        assert_eq!(model(info), "genuineintel-6-143-8");
        assert_eq!(model(""), "unknown-unknown-unknown-unknown");
    }
}
