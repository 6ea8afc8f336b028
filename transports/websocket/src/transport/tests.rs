//! What the transport does with a socket that does what it is told.

use core::task::Waker;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::SocketAddr;

use lapwing::transport::Message;

use super::*;

const REQUEST: &[u8] = b"GET /path HTTP/1.1\r\n\
    Host: localhost\r\n\
    Connection: Upgrade\r\n\
    Upgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    \r\n";

/// A client's message `a`, masked with nothing.
const A: &[u8] = b"\x82\x81\0\0\0\0a";
const PING: &[u8] = b"\x89\x81\0\0\0\0p";
const CLOSE: &[u8] = b"\x88\x82\0\0\0\0\x03\xe8";

/// A socket that brings what it is told to, and counts how often it is asked.
#[derive(Default)]
struct FakeSocket {
    /// What each read brings; none is pending, an empty one is the end.
    incoming: VecDeque<Vec<u8>>,
    reads: usize,
    /// How much the peer takes.
    room: usize,
    written: Vec<u8>,
    shut: bool,
}

impl Socket for FakeSocket {
    fn poll_read(&mut self, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let Some(bytes) = self.incoming.pop_front() else {
            return Poll::Pending;
        };
        self.reads += 1;
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write(
        &mut self,
        _: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.room == 0 {
            return Poll::Pending;
        }
        let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
        let written = bytes.len().min(self.room);
        self.room -= written;
        self.written.extend(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shut = true;
        Poll::Ready(Ok(()))
    }

    fn peer(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::NotConnected.into())
    }
}

type Fake = WebSocket<FakeSocket>;

fn socket(reads: &[&[u8]]) -> FakeSocket {
    FakeSocket {
        incoming: reads.iter().map(|read| read.to_vec()).collect(),
        room: usize::MAX,
        ..FakeSocket::default()
    }
}

/// A server's end that is open.
fn server(reads: &[&[u8]]) -> Fake {
    WebSocket::upgraded(socket(reads), Bytes::new(), Upgrade::default())
}

/// A server's end that waits for its request.
fn accepted(reads: &[&[u8]]) -> Fake {
    WebSocket::accepted(socket(reads), Arc::default())
}

fn client(reads: &[&[u8]]) -> Fake {
    WebSocket::connected(Stream::new(socket(reads)), Bytes::new())
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn received(ws: &mut Fake) -> Incoming {
    match ws.poll_recv(&mut cx()) {
        Poll::Ready(Ok(incoming)) => incoming,
        other => panic!("{other:?}"),
    }
}

fn refused(ws: &mut Fake) -> TransportError {
    match ws.poll_recv(&mut cx()) {
        Poll::Ready(Err(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn binary(bytes: &[u8]) -> Incoming {
    Incoming::Message(Message::binary(bytes.to_vec()))
}

fn goodbye(code: u16, reason: &str) -> Goodbye {
    let reason = reason.into();
    Goodbye { code, reason }
}

fn send(ws: &mut Fake, outgoing: Outgoing) {
    ws.start_send(outgoing).expect("it is open");
}

fn is_done<T>(polled: Poll<Result<T, TransportError>>) -> bool {
    matches!(polled, Poll::Ready(Ok(_)))
}

fn close(ws: &mut Fake) {
    assert!(is_done(ws.poll_close(&mut cx())));
}

fn written(ws: &Fake) -> &[u8] {
    &ws.stream.socket().written
}

fn is_shut(ws: &Fake) -> bool {
    ws.stream.socket().shut
}

#[test]
fn the_request_may_come_in_pieces_and_with_frames_behind() {
    let rest = [&REQUEST[50..], A].concat();
    let mut ws = accepted(&[&REQUEST[..50], &rest, A]);
    let Poll::Ready(Ok(Some(upgrade))) = ws.poll_open(&mut cx()) else {
        panic!("a server tells what was asked for");
    };
    assert!(written(&ws).starts_with(b"HTTP/1.1 101 "));
    assert!(written(&ws).ends_with(b"\r\n\r\n"));
    assert_eq!(upgrade.path, "/path");
    assert_eq!(received(&mut ws), binary(b"a"));
    assert_eq!(ws.stream.socket().reads, 2);
    assert_eq!(received(&mut ws), binary(b"a"));
}

#[test]
fn it_is_open_when_the_response_is_on_its_way() {
    let mut ws = accepted(&[REQUEST]);
    ws.stream.socket_mut().room = 10;
    assert!(ws.poll_open(&mut cx()).is_pending());
    ws.stream.socket_mut().room = 1_000;
    assert!(is_done(ws.poll_open(&mut cx())));
    assert!(written(&ws).ends_with(b"\r\n\r\n"));
}

#[test]
fn a_bad_request_is_answered_and_nothing_else_is_said() {
    let mut ws = accepted(&[b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", A, b""]);
    let opened = ws.poll_open(&mut cx());
    assert!(matches!(
        opened,
        Poll::Ready(Err(TransportError::Malformed(_)))
    ));
    send(&mut ws, Outgoing::Goodbye(goodbye(1002, "")));
    assert!(ws.start_send(Outgoing::Ping).is_err());
    close(&mut ws);
    let response = String::from_utf8_lossy(written(&ws)).into_owned();
    assert!(response.starts_with("HTTP/1.1 4"), "{response}");
    assert_eq!(response.matches("Content-Length").count(), 1);
    assert!(is_shut(&ws));
    assert!(ws.poll_recv(&mut cx()).is_pending(), "one read a turn");
    assert_eq!(received(&mut ws), Incoming::End);
}

#[test]
fn a_goodbye_before_the_request_is_a_response() {
    let mut ws = accepted(&[&REQUEST[..20]]);
    assert!(ws.poll_open(&mut cx()).is_pending());
    send(&mut ws, Outgoing::Goodbye(goodbye(1013, "")));
    send(&mut ws, Outgoing::Goodbye(goodbye(1001, "")));
    close(&mut ws);
    assert!(written(&ws).starts_with(b"HTTP/1.1 503 "));
    assert_eq!(
        written(&ws)
            .windows(5)
            .filter(|five| five == b"HTTP/")
            .count(),
        1
    );
    assert!(is_shut(&ws));
}

#[test]
fn a_request_without_an_end_is_an_error() {
    let mut ws = accepted(&[&REQUEST[..20], b""]);
    let opened = ws.poll_open(&mut cx());
    assert!(matches!(opened, Poll::Ready(Err(TransportError::Io(_)))));
    close(&mut ws);
    assert_eq!((written(&ws).len(), received(&mut ws)), (0, Incoming::End));
}

#[test]
fn messages_of_one_read_need_one_read() {
    let mut ws = server(&[&[A, A, &A[..3]].concat()]);
    for _ in 0..2 {
        assert_eq!(received(&mut ws), binary(b"a"));
    }
    assert_eq!(ws.stream.socket().reads, 1);
    assert!(ws.poll_recv(&mut cx()).is_pending());
    assert!(ws.progress().half_received);
}

#[test]
fn a_long_message_is_read_one_piece_a_turn() {
    let mut first = vec![0; READ_BYTES];
    first[..2].copy_from_slice(&[0x82, 0xff]);
    first[2..10].copy_from_slice(&(2 * READ_BYTES as u64).to_be_bytes());
    let mut ws = server(&[&first, &[0; READ_BYTES], &[0; 14]]);
    for reads in 1..=2 {
        assert!(ws.poll_recv(&mut cx()).is_pending());
        assert_eq!(ws.stream.socket().reads, reads);
    }
    assert_eq!(received(&mut ws), binary(&vec![0; 2 * READ_BYTES]));
    assert!(!ws.progress().half_received);
}

#[test]
fn a_server_writes_plain_frames() {
    let large = Bytes::from(vec![7; 70_000]);
    let mut ws = server(&[]);
    send(&mut ws, Outgoing::Message(Message::text("hi")));
    send(&mut ws, Outgoing::Framed(Bytes::from_static(b"\x82\x01a")));
    send(&mut ws, Outgoing::Ping);
    send(&mut ws, Outgoing::Message(Message::binary(large.clone())));
    let pieces: Vec<_> = ws.stream.outbox().pieces().map(<[u8]>::as_ptr).collect();
    assert_eq!(pieces.last(), Some(&large.as_ptr()), "it is not copied");
    assert!(is_done(ws.poll_flush(&mut cx())));
    let small = b"\x81\x02hi\x82\x01a\x89\0\x82\x7f\0\0\0\0\0\x01\x11\x70";
    assert_eq!(written(&ws)[..small.len()], small[..]);
    assert_eq!(written(&ws).len(), small.len() + large.len());
}

#[test]
fn a_client_masks_and_frames_nothing_ahead() {
    let mut ws = client(&[]);
    assert_eq!((ws.info().framing, ws.info().kinds), (Framing::None, true));
    send(&mut ws, Outgoing::Message(Message::text("hello")));
    assert!(ws.start_send(Outgoing::Framed(Bytes::new())).is_err());
    assert!(is_done(ws.poll_flush(&mut cx())));
    let mut other = server(&[written(&ws)]);
    assert_eq!(
        received(&mut other),
        Incoming::Message(Message::text("hello"))
    );
}

#[test]
fn of_the_pongs_that_a_peer_does_not_take_the_newest_is_kept() {
    let ping = |payload| [&PING[..6], &[payload]].concat();
    let pings: Vec<u8> = (b'a'..=b'z').flat_map(ping).collect();
    let mut ws = server(&[&ping(b'0'), &pings, A]);
    ws.stream.socket_mut().room = 0;
    assert_eq!(received(&mut ws), Incoming::Alive);
    assert!(ws.poll_flush(&mut cx()).is_pending());
    for _ in b'a'..=b'z' {
        assert_eq!(received(&mut ws), Incoming::Alive);
    }
    assert_eq!(ws.stream.unsent(), 3);
    ws.stream.socket_mut().room = 100;
    assert!(is_done(ws.poll_flush(&mut cx())));
    assert_eq!(written(&ws), b"\x8a\x010\x8a\x01z");
}

#[test]
fn a_pong_of_the_peer_takes_the_place_of_none_of_ours() {
    let pong = b"\x8a\x81\0\0\0\0q";
    let mut ws = server(&[PING, PING, pong]);
    ws.stream.socket_mut().room = 0;
    assert_eq!(received(&mut ws), Incoming::Alive);
    assert!(ws.poll_flush(&mut cx()).is_pending());
    assert_eq!(received(&mut ws), Incoming::Alive);
    assert_eq!(received(&mut ws), Incoming::Alive);
    ws.stream.socket_mut().room = 100;
    assert!(is_done(ws.poll_flush(&mut cx())));
    assert_eq!(written(&ws), b"\x8a\x01p\x8a\x01p");
}

#[test]
fn pongs_nobody_flushes_are_bounded() {
    let pings = PING.repeat(READ_BYTES / PING.len());
    let mut ws = server(&[&pings[..], &pings, &pings, &pings]);
    while ws.poll_recv(&mut cx()).is_ready() {}
    assert!(
        ws.stream.unsent() < UNSENT_BYTES_MAX + 3,
        "{}",
        ws.stream.unsent()
    );
}

#[test]
fn a_close_waits_for_the_peers() {
    let late = [A, PING].concat();
    let mut ws = server(&[&late, CLOSE, A, b""]);
    send(&mut ws, Outgoing::Goodbye(goodbye(1001, "going")));
    close(&mut ws);
    assert_eq!(written(&ws), b"\x88\x07\x03\xe9going");
    assert!(!is_shut(&ws) && ws.start_send(Outgoing::Ping).is_err());
    assert!(matches!(ws.poll_ready(&mut cx()), Poll::Ready(Err(_))));

    assert_eq!(received(&mut ws), binary(b"a"), "it was under way");
    assert_eq!(received(&mut ws), Incoming::Alive);
    assert_eq!(received(&mut ws), Incoming::Goodbye(goodbye(1000, "")));
    assert_eq!(received(&mut ws), Incoming::End);
    close(&mut ws);
    assert_eq!(written(&ws).len(), 9, "nothing more was said");
    assert!(is_shut(&ws));
    assert!(
        ws.poll_recv(&mut cx()).is_pending(),
        "late bytes are read away"
    );
    assert_eq!(received(&mut ws), Incoming::End);
}

#[test]
fn the_answer_to_a_close_is_not_lost() {
    for flushed in [false, true] {
        let mut ws = server(&[CLOSE]);
        assert_eq!(received(&mut ws), Incoming::Goodbye(goodbye(1000, "")));
        assert_eq!(received(&mut ws), Incoming::End);
        if flushed {
            assert!(is_done(ws.poll_flush(&mut cx())));
            assert_eq!(written(&ws), b"\x88\x02\x03\xe8");
        }
        send(&mut ws, Outgoing::Goodbye(goodbye(1001, "")));
        close(&mut ws);
        assert_eq!(written(&ws), b"\x88\x02\x03\xe8");
        assert!(is_shut(&ws));
    }
}

#[test]
fn a_client_leaves_the_end_of_the_connection_to_the_server() {
    let mut ws = client(&[b"\x88\0"]);
    assert_eq!(received(&mut ws), Incoming::Goodbye(goodbye(1005, "")));
    close(&mut ws);
    assert_eq!(
        written(&ws)[..2],
        [0x88, 0x80],
        "masked, and without a code"
    );
    assert!(!is_shut(&ws));
    assert_eq!(received(&mut ws), Incoming::End);
}

#[test]
fn a_normal_end_says_so() {
    let mut ws = server(&[]);
    close(&mut ws);
    close(&mut ws);
    assert_eq!(written(&ws), b"\x88\x02\x03\xe8");
}

#[test]
fn a_fault_is_told_with_its_own_code_and_the_rest_is_read_away() {
    let faults: [(&[u8], u16); 4] = [
        (b"\x82\x01a", 1002),
        (b"\x81\x81\0\0\0\0\xff", 1007),
        (b"\x02\x80\0\0\0\0\0\x80\0\0\0\0\0\x80\0\0\0\0", 1008),
        (b"\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0", 1009),
    ];
    for (stream, code) in faults {
        let mut ws = server(&[stream, A, b""]);
        ws.apply(&Limits {
            fragments_max: 2,
            ..Limits::default()
        });
        let error = refused(&mut ws);
        assert!(!ws.progress().half_received, "nobody waits for the rest");
        send(&mut ws, Outgoing::Message(Message::binary(&b"why"[..])));
        send(&mut ws, Outgoing::Goodbye(goodbye(1000, "")));
        close(&mut ws);
        let said = &written(&ws)[5..];
        assert_eq!(said[2..4], code.to_be_bytes(), "{error}");
        assert_eq!(said[4..], error.to_string().into_bytes());
        assert!(is_shut(&ws));
        assert!(ws.poll_recv(&mut cx()).is_pending());
        for _ in 0..2 {
            assert_eq!(received(&mut ws), Incoming::End);
        }
    }
}

#[test]
fn an_end_without_a_close_is_one_between_messages_only() {
    let mut ws = server(&[A, b""]);
    assert_eq!(received(&mut ws), binary(b"a"));
    for _ in 0..2 {
        assert_eq!(received(&mut ws), Incoming::End);
    }
    for beginning in [&A[..1], &A[..6], b"\x02\x81\0\0\0\0a"] {
        let mut ws = server(&[beginning, b""]);
        let TransportError::Io(error) = refused(&mut ws) else {
            panic!("nobody has said anything wrong");
        };
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(received(&mut ws), Incoming::End);
    }
}

#[test]
fn an_idle_connection_is_small() {
    assert!(
        size_of::<WebSocket<()>>() <= 256,
        "{}",
        size_of::<WebSocket<()>>()
    );
}
