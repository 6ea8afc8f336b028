//! What a test can rely on when a seed fails.

#![allow(clippy::unwrap_used)]

use std::env;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lapwing_memory::{Network, Virtual, note};

/// Set for the run of a test that is to fail.
const CHILD: &str = "LAPWING_FAILS";

/// Runs one test of this program again, with these environment variables.
fn run_again(test: &str, variables: &[(&str, &str)]) -> Output {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args([test, "--exact", "--nocapture"]);
    child.env_remove("LAPWING_SEED").env(CHILD, "1");
    child.envs(variables.iter().copied());
    child.output().unwrap()
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

#[test]
fn a_failing_seed_says_how_to_run_it_again() {
    let checked = AtomicU64::new(0);
    Virtual::check(0..5, async |sim| {
        let seed = checked.fetch_add(1, Ordering::Relaxed);
        sim.sleep(Duration::from_secs(seed)).await;
        Network::new(&sim).cut("phone");
        sim.process("hub").kill();
        note("about to look");
        sim.settle().await;
        println!("checked {} as number {seed}", sim.seed());
        assert!(env::var(CHILD).is_err() || sim.seed() != 3, "as planned");
    });
    if env::var(CHILD).is_ok() {
        return;
    }
    let test = "a_failing_seed_says_how_to_run_it_again";
    let failed = run_again(test, &[]);
    let said = text(&failed);
    let command =
        format!("    LAPWING_SEED=3 cargo test -p lapwing-memory --test check {test} -- --exact\n");
    assert!(
        !failed.status.success() && said.contains(&command),
        "{said}"
    );
    let (diary, _) = said.split_once("seed 3 fails").unwrap();
    let notes =
        ["cut phone", "kill: hub", "about to look"].map(|what| format!("3.000 s  {what}\n"));
    assert!(notes.iter().all(|note| diary.contains(note)), "{said}");
    let trace = said
        .lines()
        .find(|line| line.starts_with("seed 3 fails: trace"));
    assert!(said.contains("checked 2 as number 2") && !said.contains("checked 4"));

    let again = run_again(test, &[("LAPWING_SEED", "3")]);
    let said = text(&again);
    assert!(!again.status.success(), "{said}");
    assert!(said.contains("checked 3 as number 0") && !said.contains("checked 2"));
    // Here it slept less, so the trace must be another one.
    let other = said
        .lines()
        .find(|line| line.starts_with("seed 3 fails: trace"));
    assert!(
        trace.is_some() && other.is_some() && trace != other,
        "{said}"
    );

    let others = run_again(test, &[("LAPWING_SEED", "7..9")]);
    let said = text(&others);
    assert!(others.status.success(), "{said}");
    assert!(
        said.contains("checked 7") && said.contains("checked 8") && !said.contains("checked 9")
    );
}

#[test]
fn a_seed_that_is_none_is_refused() {
    Virtual::check(0..1, async |_| {});
    if env::var(CHILD).is_err() {
        let refused = run_again(
            "a_seed_that_is_none_is_refused",
            &[("LAPWING_SEED", "storm")],
        );
        assert!(text(&refused).contains("not \"storm\""));
    }
}

#[test]
fn a_run_that_repeats_passes_twice() {
    let runs = AtomicU64::new(0);
    Virtual::check_twice(0..5, async |sim| {
        runs.fetch_add(1, Ordering::Relaxed);
        sim.sleep(Duration::from_secs(1)).await;
    });
    assert!(runs.into_inner().is_multiple_of(2));
}

#[test]
#[should_panic(expected = "went two ways: trace")]
fn a_run_that_does_not_repeat_is_found() {
    let outside = AtomicU64::new(0);
    Virtual::check_twice(0..1, async |sim| {
        let drawn = outside.fetch_add(1, Ordering::Relaxed);
        sim.sleep(Duration::from_secs(drawn)).await;
        sim.settle().await;
    });
}
