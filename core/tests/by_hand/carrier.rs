//! What carries the messages between a hub and its peers, all in virtual time: memory as it is, or TCP and WebSocket
//! over sockets that are memory.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use bytes::{Buf, Bytes};
use lapwing::transport::{Incoming, Listener, Message, Outgoing, Transport, TransportError};
use lapwing_sockets::Socket;
use lapwing_websocket::over::{self as websocket, Options};

/// What a system takes of one write.
const CHUNK_BYTES_MAX: usize = 64 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    Memory,
    Tcp,
    WebSocket,
}

impl Carrier {
    pub(crate) const ALL: [Self; 3] = [Self::Memory, Self::Tcp, Self::WebSocket];

    /// Whether messages are bytes of a stream, which may stop anywhere.
    pub(crate) fn has_bytes(self) -> bool {
        self != Self::Memory
    }

    /// What a hub makes of a peer that has connected.
    fn accept(self, transport: Box<dyn Transport>) -> Box<dyn Transport> {
        let pipe = |transport| Pipe::new(transport, Valve::default());
        match self {
            Self::Memory => transport,
            Self::Tcp => Box::new(lapwing_tcp::over(pipe(transport))),
            Self::WebSocket => Box::new(websocket::accept(pipe(transport), &Options::default())),
        }
    }

    /// What a client makes of its connection, when `valve` lets it.
    ///
    /// # Errors
    ///
    /// What the hub says instead of a WebSocket.
    pub(crate) async fn connect(
        self,
        transport: Box<dyn Transport>,
        valve: Valve,
    ) -> io::Result<Box<dyn Transport>> {
        Ok(match self {
            Self::Memory => transport,
            Self::Tcp => Box::new(lapwing_tcp::over(Pipe::new(transport, valve))),
            Self::WebSocket => {
                let pipe = Pipe::new(transport, valve);
                Box::new(websocket::connect(pipe, "ws://hub", Some("lapwing.postcard")).await?)
            }
        })
    }

    pub(crate) fn listener(self, listener: impl Listener) -> impl Listener {
        Accepting(self, listener)
    }
}

/// Accepts connections of the memory network, as those of a carrier.
struct Accepting<L>(Carrier, L);

#[async_trait]
impl<L: Listener> Listener for Accepting<L> {
    async fn accept(&mut self) -> io::Result<Box<dyn Transport>> {
        Ok(self.0.accept(self.1.accept().await?))
    }

    fn url(&self) -> String {
        self.1.url()
    }
}

/// How many bytes more get into a [`Pipe`]; without a number, all.
#[derive(Clone, Default)]
pub(crate) struct Valve(Arc<Mutex<Option<usize>>>);

impl Valve {
    /// Lets so many bytes pass, and then no more for ever.
    pub(crate) fn close_after(&self, bytes: usize) {
        *self.0.lock().expect("no panic") = Some(bytes);
    }

    /// How many of `bytes` pass.
    fn pass(&self, bytes: usize) -> usize {
        match &mut *self.0.lock().expect("no panic") {
            Some(left) => {
                let passed = bytes.min(*left);
                *left -= passed;
                passed
            }
            None => bytes,
        }
    }
}

/// A socket whose writes are messages of the memory transport: what its network does to them, happens to bytes.
pub(crate) struct Pipe {
    transport: Box<dyn Transport>,
    valve: Valve,
    /// What has arrived and was not read.
    arrived: Bytes,
    /// The bytes of the write that is on its way.
    started: Option<usize>,
}

impl Pipe {
    pub(crate) fn new(transport: Box<dyn Transport>, valve: Valve) -> Self {
        Self {
            transport,
            valve,
            arrived: Bytes::new(),
            started: None,
        }
    }

    fn start(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let pieces: Vec<&[u8]> = pieces.iter().map(|piece| &**piece).collect();
        let mut bytes = pieces.concat();
        bytes.truncate(self.valve.pass(bytes.len().min(CHUNK_BYTES_MAX)));
        let length = bytes.len();
        if length > 0 {
            let chunk = Outgoing::Message(Message::binary(bytes));
            self.transport.start_send(chunk).map_err(broken)?;
        }
        Ok(length)
    }
}

impl Socket for Pipe {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.arrived.is_empty() {
            match ready!(self.transport.poll_recv(cx)).map_err(broken)? {
                Incoming::Message(message) => self.arrived = message.bytes,
                _ => return Poll::Ready(Ok(0)),
            }
        }
        let read = self.arrived.len().min(buffer.len());
        self.arrived.copy_to_slice(&mut buffer[..read]);
        Poll::Ready(Ok(read))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = match self.started {
            Some(length) => length,
            None => {
                ready!(self.transport.poll_ready(cx)).map_err(broken)?;
                self.start(pieces)?
            }
        };
        if length == 0 {
            return Poll::Pending;
        }
        self.started = Some(length);
        ready!(self.transport.poll_flush(cx)).map_err(broken)?;
        self.started = None;
        Poll::Ready(Ok(length))
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport.poll_close(cx).map_err(broken)
    }

    fn peer(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

fn broken(error: TransportError) -> io::Error {
    match error {
        TransportError::Io(error) => error,
        error => io::Error::other(error),
    }
}
