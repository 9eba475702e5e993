//! The commands.

mod completions;
mod files;
mod generate;
#[cfg(feature = "dpdk")]
mod live;
mod paced;
mod plan;
mod replay;
mod run;

use crate::cli::Command;
use crate::failure::Failure;

/// Does what the command line says.
pub(crate) fn execute(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Replay(args) => replay::replay(args),
        Command::Run(args) => run::run(args),
        Command::Gen(args) => generate::generate(args),
        Command::Completions(args) => completions::completions(args),
    }
}
