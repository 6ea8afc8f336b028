//! `lapwing call` prints what the hub answers.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::process::{EVERY_WAY, Hub, Program};

fn call(url: &str, arguments: &[&str]) -> String {
    let ended = Program::run(&[&["call", url], arguments].concat(), b"");
    assert_eq!((ended.code, ended.out.len()), (Some(0), 1), "{ended:?}");
    ended.out.concat()
}

#[test]
fn the_hub_answers_its_methods() {
    let hub = Hub::start(&[]);
    for over in EVERY_WAY {
        let call = |arguments: &[&str]| call(over(&hub), arguments);
        assert_eq!(call(&["echo", "as it came"]), "as it came");
        assert_eq!(call(&["echo"]), "");
        assert_eq!(call(&["echo", "00ff", "--hex"]), "00ff");
        assert_eq!(call(&["echo", "[1, 2]", "--json"]), "[1, 2]");
        assert_eq!(call(&["connections", "--within", "5"]), "1");

        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970");
        let time: u128 = call(&["time"]).parse().expect("a number");
        assert!(time.abs_diff(since.as_millis()) < 60_000, "{time}");

        let counters: Value = serde_json::from_str(&call(&["counters"])).expect("JSON");
        assert_eq!(counters["connections"], 1);
    }
}

#[test]
fn the_hub_answers_in_json() {
    let hub = Hub::start(&[]);
    let call = |arguments: &[&str]| call(&hub.ws, &[arguments, &["--protocol", "json"]].concat());
    assert_eq!(call(&["echo", "größer"]), "größer");
    assert_eq!(call(&["echo", "00ff", "--hex"]), "00ff");
    assert_eq!(call(&["connections"]), "1");
}

#[test]
fn an_unknown_method_fails() {
    let hub = Hub::start(&[]);
    for over in EVERY_WAY {
        let ended = Program::run(&["call", over(&hub), "dance"], b"");
        assert_eq!(ended.code, Some(1));
        assert_eq!(ended.err, ["lapwing: nobody answers to this method: dance"]);
    }
    let counters: Value = serde_json::from_str(&call(&hub.tcp, &["counters"])).expect("JSON");
    assert_eq!(
        counters["disconnected"]["lost"],
        Value::Null,
        "they said goodbye"
    );
}
