//! What a suite has found.

use core::fmt;

/// What a transport was found to do; what it does not do is a panic of [`Suite::check`](crate::Suite::check).
///
/// A test asserts on [`skipped`](Self::skipped), so that a rule that is not checked any more is noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The name of the transport.
    pub transport: &'static str,
    /// The rules it keeps.
    pub kept: Vec<&'static str>,
    /// The rules that do not concern it, or need [`Suite::raw`](crate::Suite::raw).
    pub skipped: Vec<&'static str>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            transport,
            kept,
            skipped,
        } = self;
        write!(
            f,
            "{transport} keeps {} rules, {} do not concern it",
            kept.len(),
            skipped.len()
        )
    }
}

/// Whether a rule was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Kept,
    Skipped,
}

/// How a transport broke a rule.
#[derive(Debug)]
pub(crate) struct Broken(pub(crate) String);

impl<E: std::error::Error> From<E> for Broken {
    fn from(error: E) -> Self {
        let cause = error.source().map(|source| format!(": {source}"));
        Self(format!(
            "unexpected error: {error}{}",
            cause.unwrap_or_default()
        ))
    }
}

/// What a rule finds.
pub(crate) type Outcome = Result<Verdict, Broken>;

/// Says how the rule is broken unless it `holds`.
pub(crate) fn ensure(holds: bool, how: impl FnOnce() -> String) -> Result<(), Broken> {
    match holds {
        true => Ok(()),
        false => Err(Broken(how())),
    }
}
