//! One connection to a hub, as cheap as it can be: a socket, and the bytes that were not understood yet.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use lapwing::wire::{self, Close, CloseReason, Frame, Return};
use smol::Async;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use socket2::SockRef;

use crate::framing::{Transport, UPGRADE, masked, opcode};
use crate::script::{encoded, hello, subscribe};

/// The most that is read at once.
const READ_BYTES: usize = 4_096;

/// A connection that knows no more than it must.
pub struct Peer {
    socket: Async<TcpStream>,
    transport: Transport,
    /// What has arrived and was not looked at.
    inbox: Vec<u8>,
}

impl Peer {
    /// A connection without a word said on it.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub async fn silent(address: SocketAddr, transport: Transport) -> io::Result<Self> {
        let socket = Async::<TcpStream>::connect(address).await?;
        socket.get_ref().set_nodelay(true)?;
        Ok(Self {
            socket,
            transport,
            inbox: Vec::new(),
        })
    }

    /// A connection that the hub has welcomed.
    ///
    /// # Errors
    ///
    /// Those of the operating system, and when the hub says anything else.
    pub async fn connect(address: SocketAddr, transport: Transport) -> io::Result<Self> {
        let mut peer = Self::silent(address, transport).await?;
        peer.upgrade().await?;
        peer.say(&hello()).await?;
        peer.until(|frame| matches!(frame, Frame::Welcome(_)).then_some(()))
            .await?;
        Ok(peer)
    }

    /// A connection that hears these topics.
    ///
    /// # Errors
    ///
    /// Those of the operating system, and when the hub says anything else.
    pub async fn subscriber(
        address: SocketAddr,
        transport: Transport,
        filter: &str,
    ) -> io::Result<Self> {
        let mut peer = Self::connect(address, transport).await?;
        peer.say(&subscribe(&[filter])).await?;
        peer.until(|frame| matches!(frame, Frame::Ack(_)).then_some(()))
            .await?;
        Ok(peer)
    }

    /// The handshake of WebSocket, where it is needed.
    ///
    /// # Errors
    ///
    /// Those of the operating system, and when the hub does not switch.
    pub async fn upgrade(&mut self) -> io::Result<()> {
        if self.transport == Transport::Tcp {
            return Ok(());
        }
        self.write(UPGRADE.as_bytes()).await?;
        let end = b"\r\n\r\n";
        loop {
            if let Some(at) = self.inbox.windows(end.len()).position(|part| part == end) {
                let head: Vec<u8> = self.inbox.drain(..at + end.len()).collect();
                return match head.starts_with(b"HTTP/1.1 101 ") {
                    true => Ok(()),
                    false => Err(io::Error::other(String::from_utf8_lossy(&head))),
                };
            }
            self.read().await?;
        }
    }

    /// Says a frame.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub async fn say(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        let bytes = self.transport.from_client(&encoded(frame));
        self.write(&bytes).await
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes).await
    }

    /// Reads until a frame is what `wanted` looks for, and answers pings.
    ///
    /// # Errors
    ///
    /// Those of the operating system, and [`io::ErrorKind::UnexpectedEof`] when the hub has finished before.
    pub async fn until<T>(
        &mut self,
        mut wanted: impl FnMut(&Frame<'_>) -> Option<T>,
    ) -> io::Result<T> {
        loop {
            let mut answers = Vec::new();
            let mut taken = 0;
            let mut found = None;
            while let Some(arrived) = self.transport.first(&self.inbox[taken..]) {
                taken += arrived.taken;
                match arrived.opcode {
                    opcode::PING => answers.extend(masked(opcode::PONG, arrived.bytes)),
                    opcode::BINARY => {
                        found = self.take(arrived.bytes, &mut answers, &mut wanted)?
                    }
                    _ => {}
                }
                if found.is_some() {
                    break;
                }
            }
            self.inbox.drain(..taken);
            if !answers.is_empty() {
                self.write(&answers).await?;
            }
            match found {
                Some(found) => return Ok(found),
                None => self.read().await?,
            }
        }
    }

    fn take<T>(
        &self,
        message: &[u8],
        answers: &mut Vec<u8>,
        wanted: &mut impl FnMut(&Frame<'_>) -> Option<T>,
    ) -> io::Result<Option<T>> {
        let frame = wire::decode(message).map_err(io::Error::other)?;
        if let Some(Frame::Ping(ping)) = frame {
            let pong = Frame::Pong(wire::Pong { nonce: ping.nonce });
            answers.extend(self.transport.from_client(&encoded(&pong)));
        }
        Ok(frame.as_ref().and_then(wanted))
    }

    async fn read(&mut self) -> io::Result<()> {
        if self.inbox.is_empty() {
            // An idle peer holds no buffer.
            self.inbox = Vec::new();
            self.socket.readable().await?;
        }
        let mut bytes = [0; READ_BYTES];
        match self.socket.read(&mut bytes).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.inbox.extend_from_slice(&bytes[..read]);
                Ok(())
            }
        }
    }

    /// Reads to the end; whether the hub said before that this peer may return.
    pub async fn is_sent_home(mut self) -> bool {
        let invited = self.until(|frame| match frame {
            Frame::Close(close) => Some(close.verdict != Return::Never),
            _ => None,
        });
        let invited = invited.await.unwrap_or(false);
        // What a peer that understands does: it says goodbye too.
        let _ = self.finish().await;
        invited
    }

    /// Says goodbye, and reads to the end.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub async fn finish(mut self) -> io::Result<()> {
        let close = Frame::Close(Close {
            reason: CloseReason::Done,
            verdict: Return::Never,
        });
        self.say(&close).await?;
        if self.transport == Transport::WebSocket {
            self.write(&masked(opcode::CLOSE, &1000_u16.to_be_bytes()))
                .await?;
        }
        match self.until(|_| None::<()>).await {
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
            _ => Ok(()),
        }
    }

    /// Lets the operating system keep little of what this peer does not read.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub fn keep_little(&self) -> io::Result<()> {
        SockRef::from(self.socket.get_ref()).set_recv_buffer_size(READ_BYTES)
    }

    /// Breaks the connection without a word, as a machine that is switched off.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub fn abort(self) -> io::Result<()> {
        SockRef::from(self.socket.get_ref()).set_linger(Some(Duration::ZERO))
    }
}
