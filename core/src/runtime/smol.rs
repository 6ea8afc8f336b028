//! The smol runtime.

/// To come.
#[derive(Debug)]
pub struct Smol;
