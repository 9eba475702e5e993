//! `cargo bench -p benches`: measures the dataplane. See `benches/README.md`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use anyhow::{Result, ensure};
use benches::{Baseline, Outcome, Scale, group};
use clap::Parser;

/// Cycles a packet, beside a floor and a C twin measured in the same run
#[derive(Debug, Parser)]
struct Arguments {
    /// Groups to run: parse, balance, ring, pipeline, tunnels, sessions; none: all
    groups: Vec<String>,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
    /// Fail where a ratio is above a promise, or above what was accepted on this processor
    #[arg(long)]
    check: bool,
    /// Accept the ratios of this run on this processor
    #[arg(long)]
    accept: bool,
    /// Run everything once, without a meaning
    #[arg(long)]
    tiny: bool,
    /// What cargo adds by itself
    #[arg(long, hide = true)]
    bench: bool,
}

fn run(arguments: &Arguments) -> Result<bool> {
    let known = |name: &String| group::ALL.iter().any(|group| group.name == name);
    for name in &arguments.groups {
        ensure!(known(name), "no group {name}: there are {}", group::ALL.map(|group| group.name).join(", "));
    }
    let scale = if arguments.tiny { Scale::TINY } else { Scale::FULL };
    let wanted =
        |name: &str| arguments.groups.is_empty() || arguments.groups.iter().any(|group| group == name);
    let mut outcomes: Vec<Outcome> = Vec::new();
    for group in group::ALL.iter().filter(|group| wanted(group.name)) {
        for outcome in (group.run)(&scale) {
            if !arguments.json {
                println!("{outcome}");
            }
            outcomes.push(outcome);
        }
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&outcomes)?);
    }
    let path = Baseline::path();
    if arguments.accept {
        let before = if path.exists() { Baseline::read(&path)? } else { Baseline::of(&[]) };
        std::fs::write(&path, before.updated(Baseline::of(&outcomes)).text())?;
        eprintln!("wrote {}", path.display());
    }
    let mut bad: Vec<String> =
        outcomes.iter().filter(|outcome| outcome.failed).map(ToString::to_string).collect();
    if arguments.check {
        bad.extend(outcomes.iter().flat_map(Outcome::broken_bars));
        if path.exists() {
            bad.extend(Baseline::read(&path)?.worse(&outcomes));
        } else {
            eprintln!("nothing was accepted on this processor ({}): promises only", path.display());
        }
    }
    for reason in &bad {
        eprintln!("FAILED {reason}");
    }
    Ok(bad.is_empty())
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("datapath: {error:#}");
            ExitCode::from(2)
        }
    }
}
