//! The commands.

mod completions;
mod events;
mod files;
mod generate;
mod identities;
#[cfg(feature = "dpdk")]
mod live;
mod paced;
mod plan;
mod replay;
mod rules;
mod run;
mod sessions;
mod stats;

use crate::cli::{Command, IdentitiesCommand, RulesCommand, SessionsCommand};
use crate::failure::Failure;

/// Does what the command line says.
pub(crate) fn execute(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Replay(args) => replay::replay(args),
        Command::Run(args) => run::run(args),
        Command::Sessions(args) => match &args.command {
            SessionsCommand::List(args) => sessions::list(args),
        },
        Command::Rules(args) => match &args.command {
            RulesCommand::Check(args) => rules::check(args),
            RulesCommand::Fields => rules::fields(),
        },
        Command::Stats(args) => stats::stats(args),
        Command::Events(args) => events::events(args),
        Command::Identities(args) => match &args.command {
            IdentitiesCommand::Add(args) => identities::add(args),
            IdentitiesCommand::Load(args) => identities::load(args),
        },
        Command::Gen(args) => generate::generate(args),
        Command::Completions(args) => completions::completions(args),
    }
}
