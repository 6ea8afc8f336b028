//! The limits of a transport that need time.

/// To come.
#[derive(Debug)]
pub struct Guarded;
