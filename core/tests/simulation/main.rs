//! Whole worlds, each drawn from a seed: a hub that crashes and comes back, twenty clients with every habit, a network that fails in
//! every way, and a book in which everything is entered that happens. What clients hear is compared with it.
//!
//! `cargo test -p lapwing --all-features --release --test simulation`; `SEEDS=20000` takes more seeds, `LAPWING_SEED=7`
//! runs one and tells everything that happened in it.

mod actor;
mod book;
mod carrier;
mod client_side;
mod direct;
mod flows;
mod host;
mod hub_side;
mod life;
mod play;
mod probes;
mod program;
mod quiet;
mod report;
mod stream;
mod tap;
mod thief;
mod topics;
mod walk;
mod weather;
mod words;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use self::play::play;
use self::report::{Report, Sums};
use self::world::lock;

/// Without optimisation a seed takes ten times as long.
const SEEDS: u64 = if cfg!(debug_assertions) { 10 } else { 500 };

/// Every so many, a seed is played twice: the same must happen.
const TWICE: u64 = 25;

#[test]
fn nothing_is_lost_in_silence() {
    if let Some(seed) = number("LAPWING_SEED") {
        return replay(seed);
    }
    let seeds = number("SEEDS").unwrap_or(SEEDS);
    let first = number("FIRST_SEED").unwrap_or(0);
    let threads = number("THREADS").unwrap_or(1);
    let (sums, next, failed) = (Sums::default(), AtomicU64::new(first), Mutex::new(None));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while lock(&failed).is_none() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        return;
                    }
                    if let Some(finding) = one(seed, &sums) {
                        lock(&failed).get_or_insert((seed, finding));
                    }
                }
            });
        }
    });
    let failed = lock(&failed).take();
    let report = Report {
        sums: &sums,
        seeds: next.into_inner().min(first + seeds) - first,
        threads,
        took: began.elapsed(),
    };
    println!("{report}");
    if let Some((seed, finding)) = failed {
        panic!("seed {seed} finds {finding}\nagain: {}", command(seed));
    }
}

fn one(seed: u64, sums: &Sums) -> Option<String> {
    let outcome = play(seed, false);
    sums.add(&outcome.sums);
    if outcome.finding.is_none()
        && seed.is_multiple_of(TWICE)
        && play(seed, false).trace != outcome.trace
    {
        return Some("trace: the same seed went another way".into());
    }
    outcome.finding
}

/// Plays one seed and prints all that happened.
fn replay(seed: u64) {
    let outcome = play(seed, true);
    println!("trace {:016x}", outcome.trace);
    if let Some(finding) = outcome.finding {
        panic!("seed {seed} finds {finding}\nagain: {}", command(seed));
    }
}

fn command(seed: u64) -> String {
    let release = if cfg!(debug_assertions) {
        ""
    } else {
        " --release"
    };
    format!("LAPWING_SEED={seed} cargo test -p lapwing --all-features{release} --test simulation")
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
