//! What does not work is said in one clear line.

use std::net::TcpListener;

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
    let fits = Program::run(&["pub", &hub.url, "a", &"x".repeat(900)], b"");
    assert_eq!(fits.code, Some(0), "{fits:?}");

    let ended = Program::run(&["pub", &hub.url, "a", &"x".repeat(2_000)], b"");
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
    let sub = Program::subscriber(&[&hub.url, "a", "--count", "2"]);
    let lines = format!("one\ntwo\n{}\nfour\n", "x".repeat(2_000));
    let message = refused(Program::run(&["pub", &hub.url, "a"], lines.as_bytes()), 1);
    assert!(message.contains("event 3"), "{message}");
    assert_eq!(sub.ended().out, ["a one", "a two"]);

    let message = refused(
        Program::run(&["pub", &hub.url, "a", "--hex"], b"00\nff\n0\n"),
        1,
    );
    assert!(message.contains("event 3: not bytes"), "{message}");
}

#[test]
fn nobody_at_the_address_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let url = format!("tcp://{}", listener.local_addr().expect("it is bound"));
    drop(listener);
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

#[test]
fn an_address_in_use_is_told() {
    let hub = Hub::start(&[]);
    let message = refused(Program::run(&["hub", "--tcp", &hub.url], b""), 1);
    assert!(message.contains("cannot listen on 127.0.0.1:"), "{message}");
}

#[test]
fn wrong_usage_has_a_code_of_its_own() {
    for arguments in [
        &[][..],
        &["dance"],
        &["--loud"],
        &["pub"],
        &["pub", "ws://127.0.0.1", "a", "x"],
        &["pub", "tcp://127.0.0.1:x", "a", "x"],
        &["pub", "127.0.0.1", "a//b", "x"],
        &["pub", "127.0.0.1", "a", "x", "y"],
        &["pub", "127.0.0.1", "a", "x", "--rate", "0"],
        &["sub", "127.0.0.1", "a*"],
        &["sub", "127.0.0.1", "a", "--policy", "hope"],
        &["sub", "127.0.0.1", "a", "--count", "-1"],
        &["call", "127.0.0.1"],
        &["call", "127.0.0.1", "echo", "0", "--hex"],
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
