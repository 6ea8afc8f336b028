//! What a message that has not arrived costs: no more than its bytes that have, and 64 KiB.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};

use allocation_counter::{AllocationInfo, measure};
use bytes::{Buf, Bytes};
use lapwing::Limits;
use lapwing::transport::{Incoming, Transport, Upgrade};
use lapwing_sockets::Socket;

/// The largest message.
const MESSAGE_BYTES: usize = 1024 * 1024;

/// What a transport knows beside the bytes: heads, counts, tungstenite's own buffer.
const STATE_BYTES: u64 = 4 * 1024;

/// What a read brings.
const READ_BYTES: usize = 16 * 1024;

/// Brings what it was given, a piece at a time, and then nothing.
struct Fed(Bytes);

impl Socket for Fed {
    fn poll_read(&mut self, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.0.is_empty() {
            return Poll::Pending;
        }
        let read = self.0.len().min(READ_BYTES);
        self.0.copy_to_slice(&mut buffer[..read]);
        Poll::Ready(Ok(read))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, _: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn peer(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A client's WebSocket frame of zeros; a mask of zeros changes nothing.
fn frame(first: u8, length: usize) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | 127];
    frame.extend((length as u64).to_be_bytes());
    if let Ok(length) = u16::try_from(length) {
        frame = vec![first, 0x80 | 126];
        frame.extend(length.to_be_bytes());
    }
    frame.extend([0; 4]);
    frame.resize(frame.len() + length, 0);
    frame
}

fn tcp(bytes: &[u8]) -> Box<dyn Transport> {
    Box::new(lapwing_tcp::over(fed(bytes)))
}

fn websocket(bytes: &[u8]) -> Box<dyn Transport> {
    let upgrade = Upgrade::default();
    Box::new(lapwing_websocket::over::upgraded(
        fed(bytes),
        Bytes::new(),
        upgrade,
    ))
}

fn fed(bytes: &[u8]) -> Fed {
    Fed(Bytes::copy_from_slice(bytes))
}

/// Reads all that there is; what that took, and how long the messages were.
fn read(transport: &mut dyn Transport, pieces: usize) -> (AllocationInfo, usize) {
    let mut messages = 0;
    let info = measure(|| {
        let cx = &mut Context::from_waker(Waker::noop());
        // Long messages are read in several turns.
        for _ in 0..2 * pieces + 2 {
            if let Poll::Ready(Ok(Incoming::Message(message))) = transport.poll_recv(cx) {
                messages += message.bytes.len();
            }
        }
    });
    (info, messages)
}

type Open = fn(&[u8]) -> Box<dyn Transport>;

fn messages() -> [(&'static str, Open, Vec<u8>); 4] {
    let length = (MESSAGE_BYTES as u32).to_be_bytes();
    let plain = [&length[..], &vec![0; MESSAGE_BYTES]].concat();
    let fragments = |size: usize| {
        let count = MESSAGE_BYTES / size;
        let first = |at| match at {
            0 => 0x02,
            at if at + 1 == count => 0x80,
            _ => 0,
        };
        (0..count).flat_map(|at| frame(first(at), size)).collect()
    };
    [
        ("tcp", tcp as Open, plain),
        (
            "websocket, one frame",
            websocket,
            frame(0x82, MESSAGE_BYTES),
        ),
        ("websocket, 1,024 fragments", websocket, fragments(1_024)),
        ("websocket, 16 fragments", websocket, fragments(64 * 1024)),
    ]
}

#[test]
fn nothing_is_reserved_beyond_what_has_arrived_and_64_kib() {
    // The scratch of this thread.
    read(&mut *tcp(&[0; 4]), 1);
    let ahead = u64::from(Limits::default().reserve_bytes_max);
    for (name, open, bytes) in messages() {
        // As long as nobody reads, nothing is held. Nothing but the head, a byte beyond each power of two, and almost all of it.
        let parts = [
            16, 1_000, 65_537, 131_100, 262_200, 524_400, 800_000, 1_048_000,
        ];
        for arrived in parts {
            let mut transport = open(&bytes[..arrived]);
            let (info, messages) = read(&mut *transport, arrived / READ_BYTES + 1);
            assert_eq!(messages, 0, "{name} {arrived}");
            let (now, most) = (info.bytes_current, info.bytes_max);
            println!("{name}: of {arrived} bytes it holds {now}, at most {most}");
            let bound = arrived as u64 + ahead + STATE_BYTES;
            assert!(most <= bound, "{name}: {most} for {arrived}");
        }
        let mut transport = open(&bytes);
        let (_, messages) = read(&mut *transport, bytes.len() / READ_BYTES + 1);
        assert_eq!(messages, MESSAGE_BYTES, "{name}");
    }
}
