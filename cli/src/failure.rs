//! Why a command ends early, and what the shell is told.

use std::fmt::Display;
use std::io;

/// Why a command ends before its work is done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line makes no sense: exit code 2.
    Usage(String),
    /// It was understood and did not work: exit code 1.
    Failed(String),
    /// The user asked how to use it: exit code 0.
    Help,
    /// Nobody reads standard output any more, which is how `| head` says thanks: exit code 0.
    Unread,
}

impl Failure {
    pub(crate) fn usage(what: impl Display) -> Self {
        Self::Usage(what.to_string())
    }

    pub(crate) fn failed(what: impl Display) -> Self {
        Self::Failed(what.to_string())
    }
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        match error {
            lexopt::Error::UnexpectedOption(option) if option == "--help" || option == "-h" => {
                Self::Help
            }
            other => Self::usage(other),
        }
    }
}

/// What went wrong with standard output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Unread,
            _ => Self::failed(format_args!("standard output: {error}")),
        }
    }
}

/// An error with all that caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}
