//! Two ends in one process, and the simulator.

mod runtime;

pub use self::runtime::{Parked, Stuck, Virtual, labelled, waiting};
