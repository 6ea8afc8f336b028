//! What a hub may send to a client of a WebSocket: an answer to its request, then anything, in reads of any length.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use async_tungstenite::tungstenite::handshake::derive_accept_key;
use lapwing::transport::Transport;
use lapwing_sockets::Socket;
use lapwing_websocket::over;

use crate::socket::Script;
use crate::websocket::play;

/// However the bytes of a hub are cut, a client lets itself be connected or not, and hears the same then.
///
/// The first byte is how long the longest read is. The answer to the request is a good one when the second is even;
/// otherwise it is what follows.
pub fn websocket_client(script: &[u8]) {
    let [cut, is_answer, bytes @ ..] = script else {
        return;
    };
    let good = is_answer.is_multiple_of(2);
    let whole = hear(Hub::new(bytes, usize::MAX, good));
    let cut = hear(Hub::new(bytes, usize::from(*cut) + 1, good));
    assert_eq!(cut, whole);
    assert!(whole.is_some() || !good, "the answer was good");
}

fn hear(hub: Hub) -> Option<(usize, u64, u64)> {
    Some(play(&mut connected(hub)?, true))
}

/// The client's transport, if it takes the answer.
fn connected(hub: Hub) -> Option<impl Transport> {
    let mut connecting = pin!(over::connect(
        hub,
        "ws://hub/events",
        Some("lapwing.postcard")
    ));
    let cx = &mut Context::from_waker(Waker::noop());
    loop {
        // The socket never waits: where nothing came of it, others had their turn.
        if let Poll::Ready(connected) = connecting.as_mut().poll(cx) {
            return connected.ok();
        }
    }
}

/// A hub that answers the request, then plays its script.
struct Hub {
    script: Script,
    /// The request so far, while it has to be answered.
    asked: Option<Vec<u8>>,
    answer: Vec<u8>,
    read: usize,
}

impl Hub {
    fn new(bytes: &[u8], read: usize, good: bool) -> Self {
        Self {
            script: Script::new(bytes, read),
            asked: good.then(Vec::new),
            answer: Vec::new(),
            read,
        }
    }

    /// Answers what is asked by `bytes`, once all of it is there.
    fn ask(&mut self, bytes: &[u8]) {
        let Some(asked) = &mut self.asked else {
            return;
        };
        asked.extend_from_slice(bytes);
        if asked.ends_with(b"\r\n\r\n") {
            self.answer = answer(asked).into_bytes();
            self.asked = None;
        }
    }
}

fn answer(request: &[u8]) -> String {
    let request = core::str::from_utf8(request).expect("ours is text");
    let key = request
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"));
    let accept = derive_accept_key(key.expect("ours has one").1.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: lapwing.postcard\r\n\r\n"
    )
}

impl Socket for Hub {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let read = self.answer.len().min(self.read).min(buffer.len());
        if read == 0 {
            return self.script.poll_read(cx, buffer);
        }
        buffer[..read].copy_from_slice(&self.answer[..read]);
        self.answer.drain(..read);
        Poll::Ready(Ok(read))
    }

    fn poll_write(
        &mut self,
        _: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        pieces.iter().for_each(|piece| self.ask(piece));
        Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()))
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.script.poll_shutdown(cx)
    }

    fn peer(&self) -> io::Result<SocketAddr> {
        self.script.peer()
    }
}
