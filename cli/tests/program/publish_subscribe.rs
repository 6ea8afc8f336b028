//! What is published arrives, as it was, in order.

use std::time::{Duration, Instant};

use crate::process::{EVERY_WAY, Hub, Program, eventually, publish};

#[test]
fn text_bytes_and_lines_arrive_in_order() {
    let hub = Hub::start(&[]);
    let sub = Program::subscriber(&[&hub.tcp, "room/**", "--count", "6"]);
    publish(&hub.tcp, "room/7", "wärmer", &[]);
    let door = Program::run(&["pub", &hub.tcp, "door", "nobody asked"], b"");
    assert_eq!(
        (door.code, &door.err[..]),
        (Some(0), &["nobody 1".into()][..])
    );
    publish(&hub.tcp, "room/7/raw", "00 ff0A41", &["--hex"]);
    let lines = Program::run(&["pub", &hub.tcp, "room"], b"one\n\ntwo\twords\nlast");
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
    let hex = Program::subscriber(&[&hub.tcp, "*", "--hex", "--count", "2"]);
    let json = Program::subscriber(&[&hub.tcp, "*", "--json", "--count", "2"]);
    publish(&hub.tcp, "a", "x\ny", &[]);
    publish(&hub.tcp, "a", "00ff", &["--hex"]);
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
fn what_goes_in_by_one_wire_comes_out_by_every_other_as_it_was() {
    let hub = Hub::start(&[]);
    let ways = EVERY_WAY.map(|over| over(&hub));
    let subs = ways.map(|url| Program::subscriber(&[url, "a", "--json", "--count", "6"]));
    for url in ways {
        publish(url, "a", "größer\n", &[]);
        publish(url, "a", "00ff", &["--hex"]);
        publish(url, "a", "{\"x\": [1.10, null]}", &["--json"]);
    }
    let once = [
        r#"{"topic":"a","encoding":"text","text":"größer\n"}"#,
        r#"{"topic":"a","encoding":"bytes","hex":"00ff"}"#,
        r#"{"topic":"a","encoding":"json","json":{"x": [1.10, null]}}"#,
    ];
    for sub in subs {
        assert_eq!(sub.ended().out, [once, once].concat());
    }
}

#[test]
fn what_goes_in_by_one_protocol_comes_out_by_the_other() {
    const PROTOCOLS: [&[&str]; 2] = [&["--protocol", "postcard"], &["--protocol", "json"]];
    let hub = Hub::start(&[]);
    let subs = PROTOCOLS.map(|protocol| {
        let sub = [&*hub.ws, "a", "--json", "--count", "6"];
        Program::subscriber(&[&sub, protocol].concat())
    });
    for protocol in PROTOCOLS {
        for (payload, form) in [("größer\n", ""), ("00ff", "--hex"), ("[7]", "--json")] {
            let form = Some(form).filter(|form| !form.is_empty());
            let options: Vec<_> = protocol.iter().copied().chain(form).collect();
            publish(&hub.ws, "a", payload, &options);
        }
    }
    let once = [
        r#"{"topic":"a","encoding":"text","text":"größer\n"}"#,
        r#"{"topic":"a","encoding":"bytes","hex":"00ff"}"#,
    ];
    for sub in subs {
        let out = sub.ended().out;
        for three in out.chunks(3) {
            assert_eq!(three[..2], once);
            // Blanks are not what makes a value.
            assert_eq!(three[2], r#"{"topic":"a","encoding":"json","json":[7]}"#);
        }
        assert_eq!(out.len(), 6);
    }
}

#[test]
fn a_slow_stream_is_seen_at_once() {
    let hub = Hub::start(&[]);
    let mut sub = Program::subscriber(&[&hub.tcp, "a"]);
    for payload in ["first", "second"] {
        publish(&hub.tcp, "a", payload, &[]);
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
    let ended = Program::run(&["pub", &hub.tcp, "a", "--rate", "200"], lines.as_bytes());
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
    let mut sub = Program::subscriber(&[&hub.tcp, "a"]);
    sub.close_out();
    eventually("it writes into a broken pipe", || {
        publish(&hub.tcp, "a", "x", &[]);
        sub.has_ended()
    });
    let ended = sub.ended();
    assert_eq!((ended.code, ended.err.len()), (Some(0), 0), "{ended:?}");
}

#[test]
fn a_hub_listens_on_several_addresses() {
    let more = [
        "--tcp",
        "localhost:0",
        "--ws",
        "localhost:0",
        "--ws",
        "127.0.0.1:0",
    ];
    let mut hub = Hub::start(&more);
    let more = [(); 3].map(|()| hub.program.out.next().expect("a line for each"));
    let urls = more
        .each_ref()
        .map(|line| line.strip_prefix("listening on ").expect(line));
    let schemes = urls.map(|url| url.split_once("://").expect(url).0);
    assert_eq!(schemes, ["tcp", "ws", "ws"]);
    let sub = Program::subscriber(&[&hub.tcp, "a", "--count", "3"]);
    for url in urls {
        publish(url, "a", "x", &[]);
    }
    assert_eq!(sub.ended().out, ["a x", "a x", "a x"]);
}
