//! The demo runs, ends by itself and says what it came to.

use crate::process::Program;

#[test]
fn the_demo_shows_its_sensors_and_ends() {
    let ended = Program::run(&["demo", "--seconds", "1.5", "--sensors", "3"], b"");
    assert_eq!((ended.code, ended.err.len()), (Some(0), 0), "{ended:?}");
    assert!(ended.out.len() >= 4, "two looks and a summary: {ended:?}");
    let summary = &ended.out[ended.out.len() - 2];
    assert!(
        summary.contains("events from 3 sensors over tcp and ws in 1.5 s"),
        "{summary}"
    );
    assert!(summary.contains("p99"), "there were events: {summary}");
}
