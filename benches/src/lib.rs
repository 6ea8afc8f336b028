//! What the benchmarks of lapwing have in common: the bytes that a load generator has to say, a peer that says them, and the
//! process that is loaded.

pub mod framing;
#[cfg(unix)]
pub mod hub;
pub mod peer;
pub mod script;
pub mod sink;
