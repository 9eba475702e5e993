//! The groups of benches.

use crate::{Outcome, Scale};

mod balance;
mod parse;
mod pipeline;
mod ring;
mod sessions;
mod tunnels;

/// A group: what is measured together.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// Its name on the command line.
    pub name: &'static str,
    /// Checks that all rivals agree, then measures them. Panics where they do not agree.
    pub run: fn(&Scale) -> Vec<Outcome>,
}

/// All of them.
pub const ALL: [Group; 6] = [
    Group { name: "parse", run: parse::run },
    Group { name: "balance", run: balance::run },
    Group { name: "ring", run: ring::run },
    Group { name: "pipeline", run: pipeline::run },
    Group { name: "tunnels", run: tunnels::run },
    Group { name: "sessions", run: sessions::run },
];
