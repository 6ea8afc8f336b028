//! The examples as programs of their own.
//!
//! `cargo test` builds them first; with `--test NAME` it does not, then `cargo build --examples` does.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Output};

/// Runs an example to its end.
pub(crate) fn run(example: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(path(example));
    command
        .args(arguments)
        .output()
        .expect("cargo builds examples before tests")
}

/// Where cargo puts an example: `deps`, with this test in it, has a neighbour `examples`.
fn path(example: &str) -> PathBuf {
    let test = env::current_exe().expect("a test is a file");
    let profile = test
        .parent()
        .and_then(|deps| deps.parent())
        .expect("a test is in `deps`");
    profile
        .join("examples")
        .join(example)
        .with_extension(env::consts::EXE_EXTENSION)
}
