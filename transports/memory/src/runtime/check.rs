//! Tests that run once for each seed, and the one command that runs a failing seed again.

use core::ops::Range;
use core::time::Duration;
use std::path::Path;
use std::{env, thread};

use super::Virtual;

/// Names the seeds to be run instead: `17`, or `0..20000`.
const VARIABLE: &str = "LAPWING_SEED";

impl Virtual {
    /// Runs `test` once for each seed. For the seed whose run fails it prints the command that runs it again.
    ///
    /// The environment variable `LAPWING_SEED` replaces `seeds`, by one seed (`17`) or by many (`0..20000`), in every check
    /// of the tests that are run.
    ///
    /// # Panics
    ///
    /// When a run is [`Stuck`](crate::Stuck), and when `test` or one of its tasks panics. When `LAPWING_SEED` is neither.
    ///
    /// # Examples
    ///
    /// ```
    /// use lapwing_memory::Virtual;
    ///
    /// Virtual::check(0..20, async |sim| {
    ///     sim.settle().await;
    ///     assert_eq!(sim.tasks(), 0);
    /// });
    /// ```
    pub fn check(seeds: Range<u64>, test: impl AsyncFn(Self)) {
        for seed in asked_for().unwrap_or(seeds) {
            run(seed, &test);
        }
    }

    /// Does what [`check`](Self::check) does, runs each seed a second time, and wants it to go the same way.
    ///
    /// What differs between two runs of one seed comes from outside of the runtime: a clock, a thread, the order of a
    /// `HashMap`, a random source of the operating system. A test that has one of these cannot be repeated.
    ///
    /// # Panics
    ///
    /// As `check` does, and when the two [traces](Self::trace_hash) differ.
    pub fn check_twice(seeds: Range<u64>, test: impl AsyncFn(Self)) {
        for seed in asked_for().unwrap_or(seeds) {
            let (first, second) = (run(seed, &test), run(seed, &test));
            assert!(
                first == second,
                "seed {seed} went two ways: {first}, then {second}"
            );
        }
    }
}

/// What one run came to, to be compared with another.
#[derive(PartialEq, Eq)]
struct Outcome {
    elapsed: Duration,
    trace: u64,
}

impl Outcome {
    fn of(sim: &Virtual) -> Self {
        Self {
            elapsed: sim.elapsed(),
            trace: sim.trace_hash(),
        }
    }
}

impl core::fmt::Display for Outcome {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "trace {:016x} after {:?}", self.trace, self.elapsed)
    }
}

fn run(seed: u64, test: &impl AsyncFn(Virtual)) -> Outcome {
    let sim = Virtual::new(seed);
    let failing = Failing { seed, sim: &sim };
    if let Err(stuck) = sim.run(test(sim.clone())) {
        panic!("{stuck}");
    }
    drop(failing);
    Outcome::of(&sim)
}

/// Says how to run the seed again when its run panics.
struct Failing<'a> {
    seed: u64,
    sim: &'a Virtual,
}

impl Drop for Failing<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let (seed, outcome) = (self.seed, Outcome::of(self.sim));
            eprint!("{}", self.sim.scheduler.lock().diary);
            eprintln!("seed {seed} fails: {outcome}; again with");
            eprintln!("    {VARIABLE}={seed} {}", command());
        }
    }
}

/// The seeds that the environment asks for.
fn asked_for() -> Option<Range<u64>> {
    let text = env::var(VARIABLE).ok()?;
    let seeds = parse(&text);
    assert!(
        seeds.is_some(),
        "{VARIABLE} is a seed or a range of them, as 17 or 0..20000, not {text:?}"
    );
    seeds
}

fn parse(text: &str) -> Option<Range<u64>> {
    match text.split_once("..") {
        Some((from, to)) => Some(from.parse().ok()?..to.parse().ok()?),
        None => {
            let seed: u64 = text.parse().ok()?;
            Some(seed..seed.checked_add(1)?)
        }
    }
}

/// The command that runs this test alone.
fn command() -> String {
    let package = env::var("CARGO_PKG_NAME").unwrap_or_default();
    let program = env::current_exe().unwrap_or_default();
    command_for(&package, &program, thread::current().name())
}

fn command_for(package: &str, program: &Path, test: Option<&str>) -> String {
    let mut command = String::from("cargo test");
    if !package.is_empty() {
        command += &format!(" -p {package}");
    }
    let name = program.file_stem().unwrap_or_default().to_string_lossy();
    // Cargo puts a hash behind the name of a test's program.
    match name.rsplit_once('-') {
        Some((name, _)) if name == package.replace('-', "_") => command += " --lib",
        Some((name, _)) => command += &format!(" --test {name}"),
        None => {}
    }
    if program
        .components()
        .any(|part| part.as_os_str() == "release")
    {
        command += " --release";
    }
    // The thread of a test has its name, unless tests have but one thread.
    if let Some(test) = test.filter(|name| *name != "main") {
        command += &format!(" {test} -- --exact");
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_one_or_many() {
        assert_eq!(parse("17"), Some(17..18));
        assert_eq!(parse("0..20000"), Some(0..20_000));
        for none in ["", "x", "1..", "..2", "-1", "18446744073709551615"] {
            assert_eq!(parse(none), None, "{none}");
        }
    }

    #[test]
    fn the_command_runs_one_test_of_one_program() {
        let command = |package, program, test| command_for(package, Path::new(program), test);
        assert_eq!(
            command("my-app", "/t/debug/deps/chat-0f3e", Some("rooms::quiet")),
            "cargo test -p my-app --test chat rooms::quiet -- --exact"
        );
        assert_eq!(
            command("my-app", "/t/release/deps/my_app-0f3e", Some("quiet")),
            "cargo test -p my-app --lib --release quiet -- --exact"
        );
        assert_eq!(command("", "/t/debug/chat", Some("main")), "cargo test");
    }
}
