//! A hub that is asked to end does so in time, whatever its clients do.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::process::{EVERY_WAY, Hub, Program};

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
    let mut subs = [(); 3].map(|()| EVERY_WAY.map(|over| Program::subscriber(&[over(&hub), "a"])));
    let json = ["--protocol", "json"];
    let mut json = Program::subscriber(&[&[&*hub.ws, "a"], &json[..]].concat());
    let out = end(hub, Signal::TERM);
    for sub in subs.iter_mut().flatten().chain([&mut json]) {
        sub.err
            .find(|line| line == "closed: ended by the hub: the hub shuts down");
    }
    let last: Value = serde_json::from_str(out.last().expect("a line")).expect("JSON");
    assert_eq!(last["shutdown"]["closed"], 7, "{last}");
    assert_eq!(last["shutdown"]["cut"], 0, "{last}");
}

#[test]
fn clients_that_do_not_react_are_cut() {
    for over in EVERY_WAY {
        let mut hub = Hub::start(&["--stats", "0.1"]);
        let (_, address) = over(&hub).split_once("://").expect("a URL");
        let silent = TcpStream::connect(address).expect("it listens");
        let url = over(&hub).to_owned();
        let stopped = Program::subscriber(&[&url, "a"]);
        stopped.signal(Signal::STOP);
        let lines = (0..20_000).map(|number| format!("{number:01000}"));
        let publisher = Program::start_with(&["pub", &url, "a"], lines);
        hub.counters(|counters| counters["dropped"]["drop-oldest"].as_u64() > Some(0));
        let out = end(hub, Signal::TERM);
        let last: Value = serde_json::from_str(out.last().expect("a line")).expect("JSON");
        assert_eq!(last["connections"], 0, "{last}");
        assert!(last["shutdown"]["cut"].as_u64() >= Some(1), "{last}");
        drop((silent, stopped, publisher));
    }
}
