//! The example `browser` without one: what it serves. With one: `tests/browser/`.

mod programs;

use std::io::{self, Read, Write};
use std::net::TcpStream;

use programs::Running;

const HERE: &str = "127.0.0.1:0";

fn start() -> (Running, String) {
    let mut program = Running::start("browser", &["--http", HERE, "--ws", HERE, "--tcp", HERE]);
    program.says("listening on ws://127.0.0.1:");
    program.says("listening on tcp://127.0.0.1:");
    let page = program.says("open http://");
    let (http, _) = page.split_once("/#").expect("the hub's port");
    (program, http.to_owned())
}

/// Everything that is answered to `request`.
fn ask(http: &str, request: &[u8]) -> io::Result<String> {
    let mut stream = TcpStream::connect(http)?;
    stream.write_all(request)?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    Ok(response)
}

#[test]
fn the_page_is_served_whole_and_nothing_else_is() {
    let (_program, http) = start();
    let page = include_str!("../browser.html");
    let response = ask(&http, b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").expect("it answers");
    let (head, body) = response.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"));
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", page.len())));
    assert_eq!(body, page);

    let other = ask(&http, b"GET /../Cargo.toml HTTP/1.1\r\nHost: here\r\n\r\n");
    let other = other.expect("it answers");
    assert!(other.starts_with("HTTP/1.1 404 Not Found\r\n"), "{other}");
}

#[test]
fn an_endless_request_is_dropped() {
    let (_program, http) = start();
    let endless = [b"GET / HTTP/1.1\r\n", &b"a: b\r\n".repeat(10_000)[..]].concat();
    // It may be dropped while we still speak.
    let response = ask(&http, &endless).unwrap_or_default();
    assert_eq!(response, "");
    assert!(ask(&http, b"GET / HTTP/1.1\r\n\r\n").is_ok());
}
