//! The tokio runtime.

/// To come.
#[derive(Debug)]
pub struct Tokio;
