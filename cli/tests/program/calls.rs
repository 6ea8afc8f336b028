//! `lapwing call` prints what the hub answers.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::process::{Hub, Program};

fn call(hub: &Hub, arguments: &[&str]) -> String {
    let ended = Program::run(&[&["call", &hub.url], arguments].concat(), b"");
    assert_eq!((ended.code, ended.out.len()), (Some(0), 1), "{ended:?}");
    ended.out.concat()
}

#[test]
fn the_hub_answers_its_methods() {
    let hub = Hub::start(&[]);
    assert_eq!(call(&hub, &["echo", "as it came"]), "as it came");
    assert_eq!(call(&hub, &["echo"]), "");
    assert_eq!(call(&hub, &["echo", "00ff", "--hex"]), "00ff");
    assert_eq!(call(&hub, &["connections", "--within", "5"]), "1");

    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    let time: u128 = call(&hub, &["time"]).parse().expect("a number");
    assert!(time.abs_diff(since.as_millis()) < 60_000, "{time}");

    let counters: Value = serde_json::from_str(&call(&hub, &["counters"])).expect("JSON");
    assert_eq!(counters["connections"], 1);
}

#[test]
fn an_unknown_method_fails() {
    let hub = Hub::start(&[]);
    let ended = Program::run(&["call", &hub.url, "dance"], b"");
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.err, ["lapwing: nobody answers to this method: dance"]);
    let counters: Value = serde_json::from_str(&call(&hub, &["counters"])).expect("JSON");
    assert_eq!(
        counters["disconnected"]["lost"],
        Value::Null,
        "it said goodbye"
    );
}
