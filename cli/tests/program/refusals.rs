//! What does not work is said in one clear line.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;

use crate::process::{Ended, Hub, Program};

/// The message of a program that has failed with this code.
fn refused(ended: Ended, code: i32) -> String {
    assert_eq!(
        (ended.code, ended.out.len(), ended.err.len()),
        (Some(code), 0, 1),
        "{ended:?}"
    );
    let message = ended.err.concat();
    assert!(message.starts_with("lapwing: "), "{message}");
    message
}

#[test]
fn a_too_large_event_is_refused_with_limit_and_size() {
    let hub = Hub::start(&["--max-message", "1024"]);
    let fits = Program::run(&["pub", &hub.tcp, "a", &"x".repeat(900)], b"");
    assert_eq!(fits.code, Some(0), "{fits:?}");

    let ended = Program::run(&["pub", &hub.tcp, "a", &"x".repeat(2_000)], b"");
    let message = refused(ended, 1);
    // The payload and some bytes around it.
    let numbers: Vec<u64> = message
        .split(|character: char| !character.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect();
    assert!(matches!(numbers[..], [1, 2_000..2_064, 1_024]), "{message}");
}

#[test]
fn of_many_lines_the_message_says_which() {
    let hub = Hub::start(&["--max-message", "1024"]);
    let sub = Program::subscriber(&[&hub.tcp, "a", "--count", "2"]);
    let lines = format!("one\ntwo\n{}\nfour\n", "x".repeat(2_000));
    let message = refused(Program::run(&["pub", &hub.tcp, "a"], lines.as_bytes()), 1);
    assert!(message.contains("event 3"), "{message}");
    assert_eq!(sub.ended().out, ["a one", "a two"]);

    let message = refused(
        Program::run(&["pub", &hub.tcp, "a", "--hex"], b"00\nff\n0\n"),
        1,
    );
    assert!(message.contains("event 3: not bytes"), "{message}");
}

#[test]
fn nobody_at_the_address_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    for scheme in ["tcp", "ws"] {
        let url = format!("{scheme}://{address}");
        for arguments in [
            &["pub", &url, "a", "x"][..],
            &["sub", &url, "a"],
            &["call", &url, "time"],
        ] {
            let message = refused(Program::run(arguments, b""), 1);
            assert!(message.contains(&url), "{message}");
            assert!(message.to_lowercase().contains("refused"), "{message}");
        }
    }
}

#[test]
fn an_address_in_use_is_told() {
    let hub = Hub::start(&[]);
    for arguments in [&["hub", "--tcp", &hub.tcp][..], &["hub", "--ws", &hub.ws]] {
        let message = refused(Program::run(arguments, b""), 1);
        assert!(message.contains("cannot listen on 127.0.0.1:"), "{message}");
    }
}

#[test]
fn the_port_of_another_transport_is_told() {
    let hub = Hub::start(&[]);
    for (url, other) in [
        (&hub.tcp, hub.tcp.replace("tcp:", "ws:")),
        (&hub.ws, hub.ws.replace("ws:", "tcp:")),
    ] {
        let message = refused(Program::run(&["pub", &other, "a", "x"], b""), 1);
        assert!(message.contains("no connection to "), "{message}");
        // The hub is as before.
        crate::process::publish(url, "a", "x", &[]);
    }
}

#[test]
fn a_server_that_speaks_http_alone_is_told_by_its_status() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let url = format!("ws://{}/live", listener.local_addr().expect("it is bound"));
    let server = thread::spawn(move || {
        let (socket, _) = listener.accept().expect("the client comes");
        let mut lines = BufReader::new(&socket).lines().map_while(Result::ok);
        let request = lines.next();
        lines.find(String::is_empty).expect("the request ends");
        let answer = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
        (&socket).write_all(answer).expect("it listens");
        request
    });
    let message = refused(Program::run(&["sub", &url, "a"], b""), 1);
    assert!(
        message.contains(&url) && message.contains("404"),
        "{message}"
    );
    let request = server.join().expect("all went well");
    assert_eq!(request.as_deref(), Some("GET /live HTTP/1.1"));
}

#[test]
fn wrong_usage_has_a_code_of_its_own() {
    for arguments in [
        &[][..],
        &["dance"],
        &["--loud"],
        &["pub"],
        &["pub", "http://127.0.0.1", "a", "x"],
        &["pub", "wss://127.0.0.1", "a", "x"],
        &["pub", "tcp://127.0.0.1/path", "a", "x"],
        &["pub", "127.0.0.1", "a", "{", "--json", "--protocol", "xml"],
        &["pub", "tcp://127.0.0.1:x", "a", "x"],
        &["pub", "127.0.0.1", "a//b", "x"],
        &["pub", "127.0.0.1", "a", "x", "y"],
        &["pub", "127.0.0.1", "a", "x", "--rate", "0"],
        &["sub", "127.0.0.1", "a*"],
        &["sub", "127.0.0.1", "a", "--policy", "hope"],
        &["sub", "127.0.0.1", "a", "--count", "-1"],
        &["call", "127.0.0.1"],
        &["call", "127.0.0.1", "echo", "0", "--hex"],
        &["call", "127.0.0.1", "echo", "{", "--json"],
        &["hub", "--ws", "tcp://127.0.0.1:0"],
        &["hub", "--tcp", "ws://127.0.0.1:0"],
        &["hub", "--origin", "https://app.example/path"],
        &["hub", "--max-message", "1"],
        &["hub", "--promise", "nan"],
        &["demo", "--sensors", "0"],
    ] {
        refused(Program::run(arguments, b""), 2);
    }
}

#[test]
fn help_is_no_error() {
    for arguments in [
        &["--help"][..],
        &["help"],
        &["sub", "--help"],
        &["hub", "-h"],
    ] {
        let ended = Program::run(arguments, b"");
        assert_eq!((ended.code, ended.err.len()), (Some(0), 0), "{ended:?}");
        assert!(
            ended
                .out
                .iter()
                .any(|line| line.starts_with("lapwing sub URL FILTER"))
        );
    }
}
