//! A hub that is asked to end does so in time, whatever its clients do.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::process::{Hub, Program};

const IN_TIME: Duration = Duration::from_secs(5);

fn end(hub: Hub, signal: Signal) -> Vec<String> {
    let begin = Instant::now();
    hub.program.signal(signal);
    let ended = hub.program.ended();
    assert!(begin.elapsed() < IN_TIME, "{:?}", begin.elapsed());
    assert_eq!((ended.code, ended.err.len()), (Some(0), 0), "{ended:?}");
    ended.out
}

#[test]
fn a_hub_alone_ends_on_either_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        assert!(end(Hub::start(&[]), signal).is_empty());
    }
}

#[test]
fn clients_are_told_and_counted() {
    let hub = Hub::start(&["--stats", "1000"]);
    let mut subs = [(); 3].map(|()| Program::subscriber(&[&hub.url, "a"]));
    let out = end(hub, Signal::TERM);
    for sub in &mut subs {
        sub.err
            .find(|line| line == "closed: ended by the hub: the hub shuts down");
    }
    let last: Value = serde_json::from_str(out.last().expect("a line")).expect("JSON");
    assert_eq!(last["shutdown"]["closed"], 3, "{last}");
    assert_eq!(last["shutdown"]["cut"], 0, "{last}");
}

#[test]
fn clients_that_do_not_react_are_cut() {
    let mut hub = Hub::start(&["--stats", "0.1"]);
    let silent = TcpStream::connect(hub.url.trim_start_matches("tcp://")).expect("it listens");
    let stopped = Program::subscriber(&[&hub.url, "a"]);
    stopped.signal(Signal::STOP);
    let lines = (0..20_000).map(|number| format!("{number:01000}"));
    let publisher = Program::start_with(&["pub", &hub.url, "a"], lines);
    hub.counters(|counters| counters["dropped"]["drop-oldest"].as_u64() > Some(0));
    let out = end(hub, Signal::TERM);
    let last: Value = serde_json::from_str(out.last().expect("a line")).expect("JSON");
    assert_eq!(last["connections"], 0, "{last}");
    assert!(last["shutdown"]["cut"].as_u64() >= Some(1), "{last}");
    drop((silent, stopped, publisher));
}
