#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| lapwing_fuzz::run("signalr", data));

/// Without the fuzzer there is nothing to run; `tests/replay.rs` plays the seeds.
#[cfg(not(fuzzing))]
fn main() {}
