//! What the WebSocket port says to whom it does not understand, and to pages of strangers.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::process::{Hub, Program, SOON, publish};

/// A page's request as it should be, without the line that ends it.
fn upgrade(host: &str) -> String {
    format!(
        "GET /any/path HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: lapwing.json\r\n"
    )
}

const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";

/// Who asks like this gets the head of an answer that begins like that.
fn ask(hub: &Hub, request: &str) -> String {
    let (_, address) = hub.ws.split_once("://").expect("a URL");
    let mut socket = TcpStream::connect(address).expect("it listens");
    socket.set_read_timeout(Some(SOON)).expect("above zero");
    write!(socket, "{request}\r\n").expect("it reads");
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && socket.read(&mut byte).expect("it answers") > 0 {
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("a head is text")
}

fn status(hub: &Hub, request: &str) -> String {
    let head = ask(hub, request);
    head.split(' ').nth(1).expect(&head).to_owned()
}

#[test]
fn plain_http_and_other_versions_get_the_answer_of_the_rfc() {
    let hub = Hub::start(&[]);
    assert_eq!(status(&hub, "GET / HTTP/1.1\r\nHost: hub\r\n"), "400");
    let host = upgrade("hub");
    let other = ask(&hub, &format!("{host}Sec-WebSocket-Version: 12\r\n"));
    assert!(other.starts_with("HTTP/1.1 426 "), "{other}");
    let header = "sec-websocket-version: 13\r\n";
    assert!(other.to_lowercase().contains(header), "{other}");
    assert_eq!(status(&hub, &format!("{host}{VERSION}")), "101");
}

#[test]
fn pages_of_strangers_are_let_in_when_they_are_named() {
    let hub = Hub::start(&["--origin", "https://app.example"]);
    let from = |origin: &str| {
        let host = upgrade("hub.example:7001");
        status(&hub, &format!("{host}{VERSION}Origin: {origin}\r\n"))
    };
    assert_eq!(from("https://app.example"), "101");
    assert_eq!(from("http://hub.example:7001"), "101");
    assert_eq!(from("https://app.example.evil"), "403");
    assert_eq!(from("null"), "403");
}

#[test]
fn a_bare_page_hears_what_is_published() {
    let hub = Hub::start(&[]);
    let (_, address) = hub.ws.split_once("://").expect("a URL");
    let mut page = TcpStream::connect(address).expect("it listens");
    page.set_read_timeout(Some(SOON)).expect("above zero");
    write!(page, "{}{VERSION}\r\n", upgrade("hub")).expect("it reads");
    let subscribe = br#"{"subscribe":"a"}"#;
    // Masked with zeros, which changes nothing.
    let length = u8::try_from(subscribe.len()).expect("a short message");
    let frame = [&[0x81, 0x80 | length, 0, 0, 0, 0], &subscribe[..]].concat();
    page.write_all(&frame).expect("it reads");
    let mut heard = Vec::new();
    while !contains(&heard, br#""data":"warm""#) {
        // It takes a moment until it has subscribed.
        publish(&hub.tcp, "a", "warm", &[]);
        let mut bytes = [0; 4096];
        let read = page.read(&mut bytes).expect("it speaks");
        assert!(read > 0, "{}", String::from_utf8_lossy(&heard));
        heard.extend_from_slice(&bytes[..read]);
    }
    let sub = Program::subscriber(&[&hub.tcp, "b", "--count", "1", "--json"]);
    let event = br#"{"event":"b","data":{"x":1}}"#;
    let length = u8::try_from(event.len()).expect("a short message");
    let frame = [&[0x81, 0x80 | length, 0, 0, 0, 0], &event[..]].concat();
    page.write_all(&frame).expect("it reads");
    let expected = r#"{"topic":"b","encoding":"json","json":{"x":1}}"#;
    assert_eq!(sub.ended().out, [expected]);
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
