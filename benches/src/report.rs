//! What a group found out, for people and for scripts.

use std::fmt;

use serde::Serialize;

use crate::Sample;

/// How many times as long one rival takes as another, by p10.
#[derive(Clone, Debug, Serialize)]
pub struct Ratio {
    /// `ours/floor`, say.
    pub name: String,
    /// The ratio.
    pub value: f64,
    /// What it must not be above, where the project promises that.
    pub bar: Option<f64>,
}

/// One line of the result.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Group, case and burst.
    pub id: String,
    /// The ratios that matter.
    pub ratios: Vec<Ratio>,
    /// Cycles for a packet of every rival.
    pub cycles: Vec<Sample>,
    /// What a reader has to know beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Whether something that was counted is not what it has to be.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
}

impl Outcome {
    /// The ratios `of`/`to` of these samples.
    #[must_use]
    pub fn new(id: impl Into<String>, cycles: Vec<Sample>, ratios: &[(&str, &str)]) -> Self {
        let p10 = |name: &str| {
            let sample = cycles.iter().find(|sample| sample.name == name);
            sample.unwrap_or_else(|| panic!("no rival {name}")).p10
        };
        let ratio = |&(of, to): &(&str, &str)| Ratio {
            name: format!("{of}/{to}"),
            value: p10(of) / p10(to),
            bar: None,
        };
        let ratios = ratios.iter().map(ratio).collect();
        Self { id: id.into(), ratios, cycles, note: None, failed: false }
    }

    /// With a promise for one of the ratios.
    #[must_use]
    pub fn with_bar(mut self, name: &str, bar: f64) -> Self {
        self.ratios.iter_mut().filter(|ratio| ratio.name == name).for_each(|ratio| ratio.bar = Some(bar));
        self
    }

    /// With a promise for the cycles of one of the rivals.
    #[must_use]
    pub fn with_cycles_bar(mut self, name: &str, bar: f64) -> Self {
        self.cycles.iter_mut().filter(|sample| sample.name == name).for_each(|sample| sample.bar = Some(bar));
        self
    }

    /// With a remark.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// What is promised and not kept.
    pub fn broken_bars(&self) -> impl Iterator<Item = String> {
        let above = |ratio: &Ratio| {
            let bar = ratio.bar.filter(|bar| ratio.value > *bar)?;
            Some(format!("{} {}: {:.2}, promised is {bar}", self.id, ratio.name, ratio.value))
        };
        let slow = |sample: &Sample| {
            let bar = sample.bar.filter(|bar| sample.p10 > *bar)?;
            Some(format!("{} {}: {:.1} cycles, promised is {bar}", self.id, sample.name, sample.p10))
        };
        self.ratios.iter().filter_map(above).chain(self.cycles.iter().filter_map(slow))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<24}", self.id)?;
        for Ratio { name, value, .. } in &self.ratios {
            write!(f, "  {name} {value:.2}")?;
        }
        if !self.cycles.is_empty() {
            write!(f, "\n    cycles, p10 (median):")?;
            for (index, Sample { name, p10, median, .. }) in self.cycles.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                write!(f, "{comma} {name} {p10:.1} ({median:.1})")?;
            }
        }
        if let Some(note) = &self.note {
            write!(f, "\n    {note}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> Outcome {
        let cycles = vec![Sample::of("floor", vec![10.0]), Sample::of("ours", vec![14.0])];
        Outcome::new("parse/x/64", cycles, &[("ours", "floor")])
    }

    #[test]
    fn a_line_is_its_ratios_and_its_cycles() {
        let text = outcome().with_note("by itself").to_string();
        assert_eq!(
            text,
            "parse/x/64                ours/floor 1.40\n    cycles, p10 (median): \
             floor 10.0 (10.0), ours 14.0 (14.0)\n    by itself"
        );
    }

    #[test]
    fn a_bar_is_broken_above_it() {
        assert_eq!(outcome().with_bar("ours/floor", 1.4).broken_bars().count(), 0);
        assert_eq!(outcome().with_bar("ours/floor", 1.3).broken_bars().count(), 1);
        assert_eq!(outcome().broken_bars().count(), 0);
        assert_eq!(outcome().with_cycles_bar("ours", 14.0).broken_bars().count(), 0);
        let broken: Vec<_> = outcome().with_cycles_bar("ours", 13.5).broken_bars().collect();
        assert_eq!(broken, ["parse/x/64 ours: 14.0 cycles, promised is 13.5"]);
    }
}
