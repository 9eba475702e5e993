//! How a command ends: exit status, and what is said on stderr.

use std::fmt::{Display, Write as _};
use std::io::{self, Write as _};

use control::{ClientError, ConfigError, Look, Warning};

/// Exit status of a command that did its work.
pub(crate) const DONE: u8 = 0;
/// Exit status where the work itself failed.
pub(crate) const WORK_FAILED: u8 = 1;
/// Exit status where the command line or a file that was given is wrong.
pub(crate) const WRONG_INPUT: u8 = 2;

/// Why a command ended without doing its work.
#[derive(Debug)]
pub(crate) struct Failure {
    status: u8,
    message: String,
    /// The message begins with "error:" itself.
    rendered: bool,
}

impl Failure {
    /// The work failed.
    pub(crate) fn work(message: impl Display) -> Self {
        Self { status: WORK_FAILED, message: message.to_string(), rendered: false }
    }

    /// The command line or a file that was given is wrong.
    pub(crate) fn input(message: impl Display) -> Self {
        Self { status: WRONG_INPUT, message: message.to_string(), rendered: false }
    }

    /// A configuration is wrong; the message shows where, and begins with "error:".
    pub(crate) fn config(error: &ConfigError) -> Self {
        Self { status: WRONG_INPUT, message: error.render(Look::of_stderr()), rendered: true }
    }

    /// A running instance gave no answer, or refused one.
    pub(crate) fn client(error: &ClientError) -> Self {
        match error {
            // 400: what was asked, and so the command line, is wrong.
            ClientError::Refused { status: 400, .. } | ClientError::PathTooLong { .. } => Self::input(error),
            _ => Self::work(error),
        }
    }

    /// The same, with what it is about in front.
    pub(crate) fn about(mut self, what: impl Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    pub(crate) const fn status(&self) -> u8 {
        self.status
    }

    /// Says it on stderr.
    pub(crate) fn report(&self) {
        say(if self.rendered { "" } else { "error: " }, &self.message);
    }
}

/// An error with everything that caused it, as one message.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

/// Says on stderr what a user should know though the work goes on.
pub(crate) fn warn(message: impl Display) {
    say("warning: ", &message.to_string());
}

/// Says what is odd about a configuration, with the place.
pub(crate) fn warn_config(warning: &Warning) {
    say("", &warning.render(Look::of_stderr()));
}

/// A stderr that cannot be written to is no reason to stop.
fn say(prefix: &str, message: &str) {
    let _ = writeln!(io::stderr(), "{prefix}{message}");
}
