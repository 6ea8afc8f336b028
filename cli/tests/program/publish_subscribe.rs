//! What is published arrives, as it was, in order.

use std::time::{Duration, Instant};

use crate::process::{Hub, Program, eventually, publish};

#[test]
fn text_bytes_and_lines_arrive_in_order() {
    let hub = Hub::start(&[]);
    let sub = Program::subscriber(&[&hub.url, "room/**", "--count", "6"]);
    publish(&hub.url, "room/7", "wärmer", &[]);
    publish(&hub.url, "door", "nobody asked", &[]);
    publish(&hub.url, "room/7/raw", "00 ff0A41", &["--hex"]);
    let lines = Program::run(&["pub", &hub.url, "room"], b"one\n\ntwo\twords\nlast");
    assert_eq!(lines.code, Some(0), "{lines:?}");

    let ended = sub.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let expected = [
        "room/7 wärmer",
        r"room/7/raw \u{0}\xff\nA",
        "room one",
        "room ",
        r"room two\twords",
        "room last",
    ];
    assert_eq!(ended.out, expected);
    assert!(ended.err.is_empty(), "{ended:?}");
}

#[test]
fn hex_and_json_keep_every_byte() {
    let hub = Hub::start(&[]);
    let hex = Program::subscriber(&[&hub.url, "*", "--hex", "--count", "2"]);
    let json = Program::subscriber(&[&hub.url, "*", "--json", "--count", "2"]);
    publish(&hub.url, "a", "x\ny", &[]);
    publish(&hub.url, "a", "00ff", &["--hex"]);
    assert_eq!(hex.ended().out, ["a 780a79", "a 00ff"]);
    assert_eq!(
        json.ended().out,
        [
            r#"{"topic":"a","encoding":"text","text":"x\ny"}"#,
            r#"{"topic":"a","encoding":"bytes","hex":"00ff"}"#
        ]
    );
}

#[test]
fn a_slow_stream_is_seen_at_once() {
    let hub = Hub::start(&[]);
    let mut sub = Program::subscriber(&[&hub.url, "a"]);
    for payload in ["first", "second"] {
        publish(&hub.url, "a", payload, &[]);
        assert_eq!(sub.out.next(), Some(format!("a {payload}")));
    }
    sub.signal(rustix::process::Signal::TERM);
    assert_eq!(sub.ended().code, Some(0));
}

#[test]
fn a_rate_is_not_exceeded() {
    let hub = Hub::start(&[]);
    let lines: String = (0..100).map(|number| format!("{number}\n")).collect();
    let begin = Instant::now();
    let ended = Program::run(&["pub", &hub.url, "a", "--rate", "200"], lines.as_bytes());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        begin.elapsed() >= Duration::from_millis(495),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn who_reads_no_more_ends_the_subscriber_quietly() {
    let hub = Hub::start(&[]);
    let mut sub = Program::subscriber(&[&hub.url, "a"]);
    sub.close_out();
    eventually("it writes into a broken pipe", || {
        publish(&hub.url, "a", "x", &[]);
        sub.has_ended()
    });
    let ended = sub.ended();
    assert_eq!((ended.code, ended.err.len()), (Some(0), 0), "{ended:?}");
}

#[test]
fn a_hub_listens_on_several_addresses() {
    let mut hub = Hub::start(&["--tcp", "localhost:0", "--tcp", "127.0.0.1:0"]);
    let more = [(); 2].map(|()| hub.program.out.next().expect("a line for each"));
    let urls = more
        .each_ref()
        .map(|line| line.strip_prefix("listening on ").expect(line));
    let sub = Program::subscriber(&[&hub.url, "a", "--count", "2"]);
    for url in urls {
        publish(url, "a", "x", &[]);
    }
    assert_eq!(sub.ended().out, ["a x", "a x"]);
}
