//! The `snipe` command: see `snipe --help`.
#![forbid(unsafe_code)]

mod cli;
mod command;
mod failure;
mod output;
mod signals;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        // `--help` and `--version` come this way too, to stdout and with status 0.
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { failure::WRONG_INPUT } else { failure::DONE });
        }
    };
    match command::execute(&cli.command) {
        Ok(()) => ExitCode::from(failure::DONE),
        Err(failure) => {
            failure.report();
            ExitCode::from(failure.status())
        }
    }
}
