//! The example `echo`: whoever speaks hears the same, and whoever harms somebody harms itself.

mod programs;

use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use lapwing::runtime::Smol;
use lapwing::transport::{Connector, Incoming, Message, Outgoing, Transport};
use programs::Running;

/// As in `Limits::default`.
const HANDSHAKE: Duration = Duration::from_secs(10);
const STALL: Duration = Duration::from_secs(10);
const CLOSING: Duration = Duration::from_secs(5);

/// What the machine may be late.
const SLACK: Duration = Duration::from_secs(5);

/// More than the buffers of both ends of a connection take.
const BUFFERS_BYTES: usize = 64 * 1024 * 1024;

const UPGRADE: &[u8] =
    b"GET / HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n";

struct Echo {
    program: Running,
    ws: String,
    tcp: String,
}

impl Echo {
    fn start(options: &[&str]) -> Self {
        let here = ["--ws", "127.0.0.1:0", "--tcp", "127.0.0.1:0"];
        let mut program = Running::start("echo", &[&here, options].concat());
        let ws = program.says("listening on ws://");
        let tcp = program.says("listening on tcp://");
        Self { program, ws, tcp }
    }

    fn connect_tcp(&self) -> TcpStream {
        TcpStream::connect(&self.tcp).expect("it listens")
    }

    fn connect_ws(&self) -> TcpStream {
        TcpStream::connect(self.ws.trim_end_matches('/')).expect("it listens")
    }

    /// Shakes hands and says `frames`; the code of the close frame at the end of all that is answered.
    fn close_code_after(&self, frames: &[u8]) -> u16 {
        let mut peer = self.connect_ws();
        peer.write_all(UPGRADE).expect("it is read");
        assert!(begins(&mut peer, b"HTTP/1.1 101 "));
        // It may have heard enough before the last of them.
        let _ = peer.write_all(frames);
        let _ = peer.shutdown(std::net::Shutdown::Write);
        let mut answers = Vec::new();
        peer.read_to_end(&mut answers).expect("it ends well");
        last_close(&answers).expect("it is told why")
    }

    /// Whether somebody else is served.
    fn serves(&self) {
        let mut peer = self.connect_tcp();
        peer.write_all(b"\0\0\0\x05hello").expect("it is read");
        let mut answer = [0; 9];
        peer.read_exact(&mut answer).expect("it is answered");
        assert_eq!(&answer, b"\0\0\0\x05hello");
    }

    /// Resident memory, where the system tells.
    fn resident_bytes(&self) -> Option<usize> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.program.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        let kibibytes: usize = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kibibytes * 1024)
    }
}

/// Says everything and hears it again, both at once.
async fn converse(peer: &mut dyn Transport, messages: &[Message]) {
    let mut unsaid = messages.iter();
    let mut next = unsaid.next();
    let mut heard = messages.iter();
    while heard.len() > 0 {
        let incoming = poll_fn(|cx| {
            while let Some(message) = next
                && peer.poll_ready(cx)?.is_ready()
            {
                peer.start_send(Outgoing::Message(message.clone()))?;
                next = unsaid.next();
            }
            let _ = peer.poll_flush(cx)?;
            peer.poll_recv(cx)
        });
        let incoming = incoming.await.expect("the connection holds");
        let expected = heard.next().expect("it is not over");
        assert!(
            incoming == Incoming::Message(expected.clone()),
            "{} bytes did not come back as they were",
            expected.bytes.len()
        );
    }
}

/// Around every length that a transport writes in another way, then many at once.
fn of_all_sizes(message: impl Fn(String) -> Message) -> Vec<Message> {
    let sizes = [0, 1, 125, 126, 127, 1_024, 65_535, 65_536, 1_024 * 1_024];
    let few = sizes.map(|size| message("7".repeat(size)));
    let many = (0..10_000).map(|number: u32| message(number.to_string()));
    few.into_iter().chain(many).collect()
}

fn comes_back(mut connector: impl Connector, messages: &[Message]) {
    Smol::new().block_on(async {
        let mut peer = connector.connect().await.expect("it listens");
        poll_fn(|cx| peer.poll_open(cx))
            .await
            .expect("it is let in");
        converse(&mut *peer, messages).await;
    });
}

#[test]
fn every_message_comes_back_over_tcp() {
    let echo = Echo::start(&[]);
    let messages = of_all_sizes(Message::binary);
    comes_back(lapwing_tcp::smol::connect(&*echo.tcp), &messages);
}

#[test]
fn every_message_comes_back_over_websocket_as_the_same_kind_on_any_path() {
    let echo = Echo::start(&[]);
    let [text, binary] = [of_all_sizes(Message::text), of_all_sizes(Message::binary)];
    let both: Vec<_> = text
        .into_iter()
        .zip(binary)
        .flat_map(<[_; 2]>::from)
        .collect();
    let url = format!("ws://{}/some/path?and=query", echo.ws.trim_end_matches('/'));
    comes_back(lapwing_websocket::smol::connect(url), &both);
}

#[test]
fn a_message_that_is_too_large_ends_its_connection_alone() {
    let echo = Echo::start(&["--message-max", "1000"]);
    let mut peer = echo.connect_tcp();
    peer.write_all(&1_001_u32.to_be_bytes())
        .expect("it is read");
    peer.shutdown(std::net::Shutdown::Write)
        .expect("it is open");
    assert_eq!(ended(&mut peer), 0);
    echo.serves();
}

/// Each of them takes ten seconds: all at once.
#[test]
fn who_stands_still_is_ended() {
    thread::scope(|scope| {
        scope.spawn(who_does_not_shake_hands_is_ended);
        scope.spawn(who_stops_half_way_is_ended);
        scope.spawn(who_does_not_read_is_not_read_and_then_ended);
    });
}

fn who_stops_half_way_is_ended() {
    let echo = Echo::start(&[]);
    let mut peer = echo.connect_tcp();
    let begin = Instant::now();
    peer.write_all(b"\0\0").expect("it is read");
    assert_eq!(ended(&mut peer), 0);
    let within = begin.elapsed();
    assert!(within >= STALL && within < STALL + SLACK, "{within:?}");
    echo.serves();
}

fn who_does_not_shake_hands_is_ended() {
    let echo = Echo::start(&[]);
    let mut peer = echo.connect_ws();
    let begin = Instant::now();
    peer.write_all(b"GET / HTTP/1.1\r\n").expect("it is read");
    assert!(begins(&mut peer, b"HTTP/1.1 408 "), "it is told why");
    let within = begin.elapsed();
    assert!(
        within >= HANDSHAKE && within < HANDSHAKE + SLACK,
        "{within:?}"
    );
    echo.serves();
}

#[test]
fn who_keeps_us_busy_with_nothing_is_told_and_ended() {
    let echo = Echo::start(&[]);
    let pings = [0x89, 0x80, 0, 0, 0, 0].repeat(10_000);
    assert_eq!(echo.close_code_after(&pings), 1008);
    let empties = [0x82, 0x80, 0, 0, 0, 0].repeat(10_000);
    assert_eq!(echo.close_code_after(&empties), 1008);
    echo.serves();
}

#[test]
fn a_message_in_too_many_pieces_ends_its_connection_alone() {
    let echo = Echo::start(&["--fragments-max", "3"]);
    let (begin, more) = ([0x02, 0x81, 0, 0, 0, 0, 7], [0x00, 0x81, 0, 0, 0, 0, 7]);
    let pieces = [begin, more, more, more].concat();
    assert_eq!(echo.close_code_after(&pieces), 1008);
    echo.serves();
}

fn who_does_not_read_is_not_read_and_then_ended() {
    let echo = Echo::start(&[]);
    let mut peer = echo.connect_tcp();
    let message = [&60_000_u32.to_be_bytes()[..], &[7; 60_000]].concat();
    let begin = Instant::now();
    let mut taken = 0;
    while peer.write_all(&message).is_ok() {
        taken += message.len();
        assert!(taken < BUFFERS_BYTES, "it takes everything");
    }
    let within = begin.elapsed();
    assert!(
        within >= STALL && within < STALL + CLOSING + SLACK,
        "{within:?}"
    );
    echo.serves();
    if let Some(bytes) = echo.resident_bytes() {
        assert!(bytes < 16 * 1024 * 1024, "{bytes} bytes");
    }
}

#[test]
fn without_an_address_it_says_what_is_missing() {
    let output = programs::run("echo", &[]);
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains("--ws ADDR, --http ADDR or --tcp ADDR"),
        "{errors}"
    );
}

/// Whether what it hears begins so.
fn begins(peer: &mut TcpStream, expected: &[u8]) -> bool {
    let mut begin = vec![0; expected.len()];
    peer.read_exact(&mut begin).is_ok() && begin == expected
}

/// The code in the close frame that these bytes end with.
fn last_close(bytes: &[u8]) -> Option<u16> {
    // The longest has 125 bytes of payload.
    let begins = (bytes.len().saturating_sub(127)..bytes.len()).find(|begin| {
        let frame = &bytes[*begin..];
        frame.len() >= 4 && frame[0] == 0x88 && usize::from(frame[1]) == frame.len() - 2
    })?;
    Some(u16::from_be_bytes([bytes[begins + 2], bytes[begins + 3]]))
}

/// Reads to the end, however it ends: how many bytes there were.
fn ended(peer: &mut TcpStream) -> usize {
    let mut bytes = Vec::new();
    match peer.read_to_end(&mut bytes) {
        Ok(_) => bytes.len(),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => bytes.len(),
        Err(error) => panic!("{error}"),
    }
}
