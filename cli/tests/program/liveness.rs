//! A client that is gone is noticed, however it went, and the hub's counters say why.

use rustix::process::Signal;
use serde_json::Value;

use crate::process::{EVERY_WAY, Hub, Program};
use crate::proxy::Proxy;

/// The counters when everybody is gone, after a while in which they might have returned; as many went as had come.
fn all_gone(hub: &mut Hub, connected: u64) -> Value {
    let away = hub.counters(|counters| counters["detached"] == connected);
    assert_eq!(away["connections"], connected, "{away}");
    let gone = hub.counters(|counters| counters["connections"] == 0);
    assert_eq!(gone["subscriptions"], 0, "{gone}");
    assert_eq!(gone["connected"], connected, "{gone}");
    let disconnected = gone["disconnected"].as_object().expect("an object");
    let sum: u64 = disconnected.values().filter_map(Value::as_u64).sum();
    assert_eq!(sum, connected, "each is gone exactly once: {gone}");
    gone
}

/// A hub that does not wait long for a client to return.
fn hub() -> Hub {
    let patience = ["--promise", "2", "--grace", "0.5", "--resume", "1"];
    Hub::start(&[&patience[..], &["--stats", "0.1"]].concat())
}

fn is_here(counters: &Value) -> bool {
    counters["connections"] == 1 && counters["subscriptions"] == 1
}

#[test]
fn a_client_that_is_killed_is_lost() {
    for over in EVERY_WAY {
        let mut hub = hub();
        let sub = Program::subscriber(&[over(&hub), "a"]);
        hub.counters(is_here);
        sub.signal(Signal::KILL);
        assert_eq!(all_gone(&mut hub, 1)["disconnected"]["lost"], 1);
    }
}

#[test]
fn a_client_that_is_stopped_is_silent() {
    for over in EVERY_WAY {
        let mut hub = hub();
        let sub = Program::subscriber(&[over(&hub), "a", "--promise", "1"]);
        hub.counters(is_here);
        sub.signal(Signal::STOP);
        assert_eq!(all_gone(&mut hub, 1)["disconnected"]["silent"], 1);
    }
}

#[test]
fn a_client_behind_a_cut_line_is_silent() {
    for over in EVERY_WAY {
        let mut hub = hub();
        let proxy = Proxy::to(over(&hub));
        let _sub = Program::subscriber(&[&proxy.url, "a", "--promise", "1"]);
        hub.counters(is_here);
        proxy.cut();
        assert_eq!(all_gone(&mut hub, 1)["disconnected"]["silent"], 1);
    }
}

#[test]
fn a_client_that_keeps_its_promise_stays() {
    for over in EVERY_WAY {
        let mut hub = hub();
        let url = over(&hub).to_owned();
        let mut sub = Program::subscriber(&[&url, "a", "--promise", "0.2", "--count", "1"]);
        // Ten promises and pings later.
        let frames = hub.counters(is_here)["frames_in"].as_u64();
        hub.counters(|counters| counters["frames_in"].as_u64() > frames.map(|frames| frames + 10));
        crate::process::publish(&url, "a", "still here", &[]);
        assert_eq!(sub.out.next().as_deref(), Some("a still here"));
    }
}
