//! The examples as programs of their own.
//!
//! `cargo test` builds them first; with `--test NAME` it does not, then `cargo build --examples` does.

#![allow(
    dead_code,
    reason = "some tests run programs to their end, others talk to them"
)]

use std::env;
use std::io::{BufRead, BufReader, Lines};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

/// Runs an example to its end.
pub(crate) fn run(example: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(path(example));
    command
        .args(arguments)
        .output()
        .expect("cargo builds examples before tests")
}

/// An example that goes on until the test has seen enough.
pub(crate) struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    pub(crate) fn start(example: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(path(example))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("cargo builds examples before tests");
        let out = child.stdout.take().expect("it is piped");
        let lines = BufReader::new(out).lines();
        Self { child, lines }
    }

    /// What follows `start` in the next line that it prints.
    pub(crate) fn says(&mut self, start: &str) -> String {
        let line = self.lines.next().expect("it goes on").expect("text");
        let rest = line.strip_prefix(start).map(str::to_owned);
        rest.unwrap_or_else(|| panic!("{start}… was expected: {line}"))
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when it has ended, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
