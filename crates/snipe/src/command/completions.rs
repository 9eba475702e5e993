//! `snipe completions`

use clap::CommandFactory;
use clap_complete::shells;

use crate::cli::{Cli, Completions, Shell};
use crate::failure::Failure;
use crate::output;

pub(crate) fn completions(args: &Completions) -> Result<(), Failure> {
    let mut command = Cli::command();
    let mut script = Vec::new();
    match args.shell {
        Shell::Bash => clap_complete::generate(shells::Bash, &mut command, "snipe", &mut script),
        Shell::Zsh => clap_complete::generate(shells::Zsh, &mut command, "snipe", &mut script),
        Shell::Fish => clap_complete::generate(shells::Fish, &mut command, "snipe", &mut script),
    }
    output::print(&String::from_utf8_lossy(&script))
}
