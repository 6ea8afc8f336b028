//! What the benchmarks of lapwing have in common: the bytes that a load generator has to say.

pub mod script;
