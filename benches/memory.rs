//! `cargo bench -p benches --bench memory`: what sessions take. See `benches/README.md`.
#![forbid(unsafe_code)]

use benches::{Crowd, footprint};
use clap::Parser;

/// Resident memory of a dataplane with this many subscribers, each with four tunnels
#[derive(Debug, Parser)]
struct Arguments {
    /// Subscribers, or strangers
    #[arg(default_value_t = 1_000_000)]
    count: u32,
    /// Create Session Requests from as many made-up sources instead
    #[arg(long)]
    strangers: bool,
    /// What cargo adds by itself
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let Arguments { count, strangers, .. } = Arguments::parse();
    let start = std::time::Instant::now();
    let seen = if strangers {
        footprint(Crowd::Strangers(count), 1_000_000, 4_000_000)
    } else {
        footprint(Crowd::Subscribers(count), count, count * 4)
    };
    println!("{seen}\n{:.0} s", start.elapsed().as_secs_f64());
}
