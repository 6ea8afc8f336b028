//! A peer that speaks bytes: whatever a program could write into a socket.

use std::future::poll_fn;
use std::io::IoSlice;
use std::time::Duration;

use lapwing::ConnectionId;
use lapwing::wire::{self, CloseReason, Frame};
use lapwing_sockets::{READ_BYTES, Socket};

use crate::carrier::{Pipe, Valve};
use crate::peer::{TERMS, bytes, hello};
use crate::world::World;

/// A request that is answered with a WebSocket.
pub(crate) const REQUEST: &str = "GET / HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Protocol: lapwing.postcard\r\n\r\n";

pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;

pub(crate) struct Raw {
    pipe: Pipe,
    /// What was heard and not looked at.
    heard: Vec<u8>,
}

/// A frame of the hub: its first byte, and what it carries.
pub(crate) type HeardFrame = (u8, Vec<u8>);

impl World {
    /// A connection, before its first byte.
    pub(crate) async fn raw(&self, name: &str) -> Raw {
        Raw::new(Pipe::new(self.dial(name).await, Valve::default()))
    }

    /// A WebSocket, before its hello.
    pub(crate) async fn upgraded(&self, name: &str) -> Raw {
        self.upgraded_by(name, REQUEST).await
    }

    pub(crate) async fn upgraded_by(&self, name: &str, request: &str) -> Raw {
        let mut raw = self.raw(name).await;
        raw.say(request.as_bytes()).await;
        let head = raw.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        raw
    }

    /// A WebSocket that the hub has let in.
    pub(crate) async fn bare(&self, name: &str) -> Raw {
        self.bare_known(name).await.0
    }

    pub(crate) async fn bare_known(&self, name: &str) -> (Raw, ConnectionId) {
        let mut raw = self.upgraded(name).await;
        raw.say(&frame(BINARY, &bytes(&hello(TERMS)))).await;
        let (first, welcome) = raw.frame().await.expect("a welcome");
        assert_eq!(first, BINARY);
        let Frame::Welcome(welcome) = decoded(&welcome) else {
            panic!("{welcome:02x?}");
        };
        (raw, welcome.connection)
    }

    /// How much time has passed since `began`.
    pub(crate) fn since(&self, began: Duration) -> Duration {
        self.sim.elapsed() - began
    }
}

impl Raw {
    pub(crate) fn new(pipe: Pipe) -> Self {
        Self {
            pipe,
            heard: Vec::new(),
        }
    }

    pub(crate) async fn say(&mut self, bytes: &[u8]) {
        assert!(self.try_say(bytes).await, "a whole connection");
    }

    /// Whether all of it was taken.
    pub(crate) async fn try_say(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let written = poll_fn(|cx| self.pipe.poll_write(cx, &[IoSlice::new(bytes)])).await;
            let Ok(written) = written else { return false };
            bytes = &bytes[written..];
        }
        true
    }

    /// Says that nothing follows.
    pub(crate) async fn finish(&mut self) {
        let _ = poll_fn(|cx| self.pipe.poll_shutdown(cx)).await;
    }

    /// Reads once; false at the end.
    async fn read(&mut self) -> bool {
        let mut room = vec![0; READ_BYTES];
        let read = poll_fn(|cx| self.pipe.poll_read(cx, &mut room)).await;
        let read = read.unwrap_or(0);
        self.heard.extend_from_slice(&room[..read]);
        read > 0
    }

    /// All that comes until the end.
    pub(crate) async fn all(&mut self) -> Vec<u8> {
        while self.read().await {}
        std::mem::take(&mut self.heard)
    }

    pub(crate) async fn rest(&mut self) -> String {
        String::from_utf8(self.all().await).expect("a text")
    }

    /// The code of the close frame, whatever comes before it.
    pub(crate) async fn code(&mut self) -> Option<u16> {
        while let Some((first, payload)) = self.frame().await {
            if first == CLOSE {
                self.finish().await;
                return payload.first_chunk().map(|code| u16::from_be_bytes(*code));
            }
        }
        None
    }

    /// The head of a response.
    pub(crate) async fn head(&mut self) -> String {
        let end = loop {
            let whole = self.heard.windows(4).position(|end| end == b"\r\n\r\n");
            if let Some(at) = whole {
                break at + 4;
            }
            assert!(self.read().await, "{:?}", self.heard);
        };
        String::from_utf8(self.heard.drain(..end).collect()).expect("a text")
    }

    /// The next frame; `None` at the end.
    pub(crate) async fn frame(&mut self) -> Option<HeardFrame> {
        loop {
            if let Some((head, length)) = server_head(&self.heard)
                && self.heard.len() >= head + length
            {
                let frame: Vec<u8> = self.heard.drain(..head + length).collect();
                return Some((frame[0], frame[head..].to_vec()));
            }
            if !self.read().await {
                assert!(self.heard.is_empty(), "half a frame: {:02x?}", self.heard);
                return None;
            }
        }
    }

    /// The close frame, and the reason of the `Close` before it; the end follows when we have finished too.
    pub(crate) async fn ended(&mut self) -> (Option<CloseReason>, Option<u16>) {
        let mut reason = None;
        while let Some((first, payload)) = self.frame().await {
            match first {
                BINARY => {
                    if let Frame::Close(close) = decoded(&payload) {
                        reason = Some(close.reason);
                    }
                }
                CLOSE => {
                    let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                    self.finish().await;
                    assert_eq!(self.frame().await, None, "nothing follows a close frame");
                    return (reason, code);
                }
                _ => {}
            }
        }
        self.finish().await;
        (reason, None)
    }
}

fn decoded(payload: &[u8]) -> Frame<'_> {
    let frame = wire::decode(payload);
    frame.expect("a frame").expect("a known one")
}

/// The length of the head of a server's frame, and that of its payload.
fn server_head(bytes: &[u8]) -> Option<(usize, usize)> {
    match *bytes.get(1)? {
        126 => Some((
            4,
            u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?).into(),
        )),
        127 => {
            let length = u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
            Some((10, length as usize))
        }
        short => Some((2, short.into())),
    }
}

/// A client's frame, masked.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(first, payload.len() as u64);
    let masked = payload.iter().zip(MASK.iter().cycle());
    frame.extend(masked.map(|(byte, mask)| byte ^ mask));
    frame
}

const MASK: [u8; 4] = [0x11, 0x22, 0x33, 0x44];

/// The head of a client's frame, with its mask.
pub(crate) fn head(first: u8, length: u64) -> Vec<u8> {
    let mut head = vec![first];
    match length {
        0..=125 => head.push(0x80 | length as u8),
        126..=0xffff => {
            head.push(0x80 | 126);
            head.extend((length as u16).to_be_bytes());
        }
        _ => {
            head.push(0x80 | 127);
            head.extend(length.to_be_bytes());
        }
    }
    head.extend(MASK);
    head
}

/// A close frame with this code.
pub(crate) fn close(code: u16) -> Vec<u8> {
    frame(CLOSE, &code.to_be_bytes())
}
