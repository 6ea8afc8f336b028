//! One seed is one run, in every process; another seed is another run.

mod programs;

use std::collections::BTreeSet;

fn trace(seed: u64) -> String {
    let output = programs::run("virtual_time", &[&seed.to_string()]);
    assert!(output.status.success(), "seed {seed}: {output:?}");
    String::from_utf8(output.stdout).expect("a trace is text")
}

#[test]
fn the_same_seed_has_the_same_trace_in_two_processes_and_ten_seeds_have_ten() {
    let traces: BTreeSet<String> = (1..=10)
        .map(|seed| {
            let one = trace(seed);
            assert_eq!(one, trace(seed), "seed {seed} does not repeat");
            one
        })
        .collect();
    assert_eq!(traces.len(), 10, "{traces:#?}");
}
