//! A client against servers that behave, and servers that do not.

use core::task::{Context, Poll};
use std::io::{ErrorKind, IoSlice};
use std::net::SocketAddr;

use async_tungstenite::tungstenite::handshake::derive_accept_key;
use futures_lite::future::{block_on, zip};
use lapwing_sockets::smol::{self, SmolSocket};

use super::*;
use crate::upgrade::answer::{Terms, answer};

type Asked = io::Result<(Stream<Trickle>, Option<String>, Bytes)>;

/// A socket that moves a few bytes at a time.
struct Trickle(SmolSocket, usize);

impl Socket for Trickle {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let length = buffer.len().min(self.1);
        self.0.poll_read(cx, &mut buffer[..length])
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = pieces[0].len().min(self.1);
        self.0.poll_write(cx, &[IoSlice::new(&pieces[0][..length])])
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(cx)
    }

    fn peer(&self) -> io::Result<SocketAddr> {
        self.0.peer()
    }
}

fn request(protocol: Option<&'static str>) -> Request {
    let mut request = Request::parse("ws://hub.example/chat?a=1").expect("a URL");
    request.protocol = protocol;
    request
}

/// Asks a server that takes the request, says what `respond` makes of it, and finishes if it is to.
fn exchange(
    request: &Request,
    read_bytes: usize,
    finishes: bool,
    respond: impl FnOnce(&[u8]) -> Vec<u8>,
) -> Asked {
    block_on(async {
        let listener = smol::listen("127.0.0.1:0").await?;
        let socket = smol::connect(&listener.local_addr().to_string()).await?;
        let mut server = Stream::new(listener.accept().await?);
        let client = ask(Stream::new(Trickle(socket, read_bytes)), request);
        let serve = async {
            let head = read_head(&mut server).await;
            server.outbox().push(respond(&head).into());
            // A client that has had enough may be gone.
            let _ = poll_fn(|cx| server.poll_drain(cx, 0)).await;
            if finishes {
                let _ = poll_fn(|cx| server.poll_shutdown(cx)).await;
            }
        };
        zip(client, serve).await.0
    })
}

async fn read_head(server: &mut Stream<SmolSocket>) -> Vec<u8> {
    let mut head = Head::new();
    while !head.is_whole() {
        let fed = poll_fn(|cx| server.poll_read_with(cx, |bytes| head.feed(bytes))).await;
        fed.expect("the client goes on").1.expect("a short request");
    }
    head.bytes().to_vec()
}

/// What our own server answers.
fn ours(head: &[u8]) -> Vec<u8> {
    answer(head, &Terms::default()).response
}

fn accept_key(head: &[u8]) -> String {
    let head = str::from_utf8(head).expect("ASCII");
    let key = head.split("Sec-WebSocket-Key: ").nth(1).expect("a key");
    derive_accept_key(key.lines().next().expect("a line").as_bytes())
}

fn fails(read_bytes: usize, respond: impl FnOnce(&[u8]) -> Vec<u8>) -> (ErrorKind, String) {
    let asked = exchange(
        &request(Some("lapwing.postcard")),
        read_bytes,
        true,
        respond,
    );
    let error = asked.map(|_| ()).expect_err("a refusal");
    (error.kind(), error.to_string())
}

#[test]
fn what_comes_right_behind_the_response_is_not_lost() {
    let frames = b"\x82\x05first\x82\x06second".repeat(1_000);
    for protocol in [None, Some("lapwing.postcard"), Some("lapwing.json")] {
        let respond = |head: &[u8]| [&ours(head)[..], &frames].concat();
        let asked = exchange(&request(protocol), usize::MAX, true, respond);
        let (mut stream, agreed, behind) = asked.expect("a WebSocket");
        assert_eq!(agreed.as_deref(), protocol);
        assert!(!behind.is_empty(), "it came in one piece");
        let mut all = behind.to_vec();
        while all.len() < frames.len() {
            let read = |cx: &mut Context<'_>| stream.poll_read_with(cx, <[u8]>::to_vec);
            let (read, bytes) = block_on(poll_fn(read)).expect("more");
            assert_ne!(read, 0, "all but {} bytes", frames.len() - all.len());
            all.extend(bytes);
        }
        assert_eq!(all, frames);
    }
}

#[test]
fn one_byte_at_a_time_is_enough() {
    let respond = |head: &[u8]| [&ours(head)[..], b"\x82\x00"].concat();
    let asked = exchange(&request(Some("lapwing.json")), 1, false, respond);
    let (stream, agreed, behind) = asked.expect("a WebSocket");
    assert_eq!(
        (agreed.as_deref(), &behind[..]),
        (Some("lapwing.json"), &b""[..])
    );
    assert_eq!(stream.unsent(), 0);
}

#[test]
fn the_request_is_what_was_asked_for() {
    let mut request = request(Some("lapwing.json"));
    request.headers = vec![("authorization".into(), "Bearer b".into())];
    let respond = |head: &[u8]| {
        let answer = answer(head, &Terms::default());
        let upgrade = answer.result.expect("good");
        assert_eq!(upgrade.path, "/chat");
        assert_eq!(upgrade.parameter("a"), Some("1"));
        assert!(upgrade.says_hello());
        assert_eq!(upgrade.header("host"), Some("hub.example"));
        assert_eq!(upgrade.token(), Some("b".into()));
        answer.response
    };
    exchange(&request, usize::MAX, false, respond).expect("a WebSocket");
}

#[test]
fn a_refusal_is_told_with_its_status_and_its_reasons() {
    for read_bytes in [1, usize::MAX] {
        let respond = |_: &[u8]| {
            b"HTTP/1.1 400 Bad Request\r\nContent-Length: 13\r\n\r\nno \x1b[31mred\r\n".to_vec()
        };
        let told = "the server answers 400 Bad Request: no \\u{1b}[31mred";
        assert_eq!(
            fails(read_bytes, respond),
            (ErrorKind::ConnectionRefused, told.into())
        );
    }
}

#[test]
fn the_refusals_of_our_own_server_are_told() {
    let respond = |_: &[u8]| answer(b"GET / HTTP/1.0\r\n\r\n", &Terms::default()).response;
    let (_, told) = fails(usize::MAX, respond);
    assert!(
        told.starts_with("the server answers 400 Bad Request: there is nothing here"),
        "{told}"
    );
}

#[test]
fn long_reasons_are_cut() {
    let respond = |_: &[u8]| {
        let body = "x".repeat(100_000);
        format!("HTTP/1.1 503 Busy\r\nContent-Length: 100000\r\n\r\n{body}").into_bytes()
    };
    let (_, told) = fails(usize::MAX, respond);
    let told_of = told.len() - "the server answers 503 Service Unavailable: ".len();
    assert_eq!(told_of, SHOWN_BYTES_MAX);
}

#[test]
fn reasons_that_do_not_come_are_not_waited_for() {
    let respond = |_: &[u8]| b"HTTP/1.1 404 Gone\r\n\r\n".to_vec();
    let asked = exchange(&request(None), usize::MAX, false, respond);
    let error = asked.map(|_| ()).expect_err("a refusal");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(error.to_string(), "the server answers 404 Not Found");

    let respond = |_: &[u8]| b"HTTP/1.1 401 Who\r\nContent-Length: 100\r\n\r\nyou?".to_vec();
    let asked = exchange(&request(None), usize::MAX, true, respond);
    let error = asked.map(|_| ()).expect_err("a refusal");
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(
        error.to_string(),
        "the server answers 401 Unauthorized: you?"
    );
}

#[test]
fn a_server_that_does_not_agree_is_told_apart() {
    let silent = |head: &[u8]| {
        let head = String::from_utf8_lossy(head).replace("lapwing.postcard", "chat");
        ours(head.as_bytes())
    };
    let other = |head: &[u8]| {
        let text = String::from_utf8(ours(head)).expect("ASCII");
        text.replace("lapwing.postcard", "chat").into_bytes()
    };
    let told = "the server does not agree to speak lapwing.postcard";
    assert_eq!(
        fails(usize::MAX, silent),
        (ErrorKind::InvalidData, told.into())
    );
    assert_eq!(
        fails(usize::MAX, other),
        (ErrorKind::InvalidData, told.into())
    );
}

#[test]
fn responses_that_open_no_websocket_are_errors() {
    let edited = |from: &'static str, to: &'static str| {
        move |head: &[u8]| {
            let text = String::from_utf8(ours(head)).expect("ASCII");
            assert!(text.contains(from), "{text}");
            text.replace(from, to).into_bytes()
        }
    };
    let wrong_key = |head: &[u8]| {
        let text = String::from_utf8(ours(head)).expect("ASCII");
        text.replace(&accept_key(head), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            .into_bytes()
    };
    assert_eq!(fails(usize::MAX, wrong_key).0, ErrorKind::InvalidData);
    for (from, to) in [
        ("Upgrade: websocket\r\n", ""),
        ("Connection: Upgrade\r\n", ""),
        ("Upgrade: websocket", "Upgrade: h2c"),
        ("HTTP/1.1", "HTTP/1.0"),
        ("HTTP/1.1", "SSH-2.0"),
        ("101", "one"),
        (
            "\r\n\r\n",
            "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
        ),
        ("\r\n\r\n", "\r\nX: NUL \0\r\n\r\n"),
    ] {
        assert_eq!(
            fails(usize::MAX, edited(from, to)).0,
            ErrorKind::InvalidData,
            "{to}"
        );
    }
}

#[test]
fn garbage_and_heads_without_an_end_are_errors() {
    let (kind, _) = fails(usize::MAX, |_| b"\0\x01\x02garbage\n\n".to_vec());
    assert_eq!(kind, ErrorKind::InvalidData);
    for endless in [&b"x"[..], b"\r\n", b"HTTP/1.1 101 X\r\nX: 1\r\n"] {
        let told = fails(1_000, |_| endless.repeat(10_000));
        assert_eq!(
            told,
            (
                ErrorKind::InvalidData,
                "the server's response has no end".into()
            )
        );
    }
    let many = |_: &[u8]| format!("HTTP/1.1 101 X\r\n{}\r\n", "X: 1\r\n".repeat(200)).into_bytes();
    assert_eq!(fails(usize::MAX, many).0, ErrorKind::InvalidData);
}

#[test]
fn a_server_that_leaves_is_an_end_of_file() {
    for begun in [&b""[..], b"HTTP/1.1 101 Switching Protocols\r\n"] {
        let asked = exchange(&request(None), usize::MAX, true, |_| begun.to_vec());
        let error = asked.map(|_| ()).expect_err("nothing");
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    }
}
