//! `snipe rules`

use control::{RuleCost, load_rules, rule_fields};

use crate::cli::RulesCheck;
use crate::failure::Failure;
use crate::output;

/// Compiles rules, and says what they cost.
pub(crate) fn check(args: &RulesCheck) -> Result<(), Failure> {
    let set = load_rules(&args.files).map_err(|error| Failure::config(&error))?;
    let cost = RuleCost::of(&set);
    if args.json { output::print(&output::pretty(&cost)?) } else { output::print(&cost.to_table()) }
}

/// Lists the fields that conditions can name.
pub(crate) fn fields() -> Result<(), Failure> {
    output::print(&rule_fields())
}
