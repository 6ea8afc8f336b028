//! What moves messages between two peers: the contract that a transport crate implements.

use alloc::boxed::Box;
use alloc::string::String;
use core::task::{Context, Poll};
use std::io;

use async_trait::async_trait;
use bytes::Bytes;

use crate::id::ConnectionId;
use crate::limits::Limits;

mod framing;
mod guarded;
mod messages;
mod ticket;
mod upgrade;

pub use self::framing::Framing;
pub use self::guarded::Guarded;
pub(crate) use self::guarded::Guarding;
pub use self::messages::Messages;
pub use self::ticket::Ticket;
pub use self::upgrade::Upgrade;

/// How a message travels on transports that tell two kinds apart, as WebSocket does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text, which is UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

/// One message: an uninterrupted piece of bytes that arrives as it was sent, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it carries.
    pub bytes: Bytes,
    /// How it travels. A transport that knows one kind only says [`Kind::Binary`].
    pub kind: Kind,
}

impl Message {
    /// A binary message.
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        Self {
            bytes: bytes.into(),
            kind: Kind::Binary,
        }
    }

    /// A text message.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            bytes: text.into().into(),
            kind: Kind::Text,
        }
    }
}

/// The last words of a transport that has some, as the close frame of WebSocket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goodbye {
    /// Why, as [RFC 6455, section 7.4.1](https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1) has it: 1000 is a normal end.
    pub code: u16,
    /// Why, for people to read; up to 123 bytes of it travel.
    pub reason: String,
}

/// What [`Transport::poll_recv`] brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A whole message.
    Message(Message),
    /// The peer spoke below us, as a WebSocket ping or pong does: it is alive.
    Alive,
    /// The peer has said goodbye below us; [`End`](Self::End) follows.
    Goodbye(Goodbye),
    /// The peer has finished: nothing will follow. Said again when asked again.
    End,
}

/// What [`Transport::start_send`] takes.
#[derive(Clone, Debug)]
pub enum Outgoing {
    /// One message, to be framed by the transport.
    Message(Message),
    /// Whole messages that are framed already in the way that [`Info::framing`] names.
    Framed(Bytes),
    /// A sign of life below us, where the transport has one; others ignore it.
    Ping,
    /// What [`Transport::poll_close`] is to tell the peer; transports that cannot ignore it. Needs no room, and may be
    /// said before the transport is open: then its handshake is refused. A transport that has found a fault itself tells that.
    Goodbye(Goodbye),
}

/// What a transport tells about itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Info {
    /// The name of its kind, as in a URL: `tcp`, `memory`.
    pub name: &'static str,
    /// How it marks where a message ends.
    pub framing: Framing,
    /// Who is at the other end, for logs: an address and a port.
    pub peer: Option<String>,
    /// Whether it tells text from binary, so that a message of the wrong kind is the peer's fault.
    pub kinds: bool,
    /// Whether [`Outgoing::Ping`] reaches the peer, which answers by itself.
    pub pings: bool,
    /// Whether [`Outgoing::Goodbye`] reaches the peer, which answers by itself.
    pub goodbyes: bool,
    /// Whether it carries text and nothing else.
    pub text_only: bool,
    /// Whether it sees by itself that its peer is there, as one does that is asked again and again: then the hub neither speaks nor expects to hear for that
    /// reason, and the transport ends when the peer is gone.
    pub keeps_alive: bool,
    /// The name that the peer has been given already, of [`Upgrade::connection`].
    pub connection: Option<ConnectionId>,
}

impl Info {
    /// A transport of this kind that has nothing more to tell; set what it has.
    pub const fn new(name: &'static str, framing: Framing) -> Self {
        Self {
            name,
            framing,
            peer: None,
            kinds: false,
            pings: false,
            goodbyes: false,
            text_only: false,
            keeps_alive: false,
            connection: None,
        }
    }
}

/// How far a transport has come: what [`Guarded`] needs to tell a slow peer from a stopped one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that have arrived since the start, framing included.
    pub received_bytes: u64,
    /// Bytes that the peer or its operating system has taken since the start, framing included.
    pub sent_bytes: u64,
    /// Whether the beginning of a message is here and its end is not.
    pub half_received: bool,
    /// Whether something started waits to be taken.
    pub unsent: bool,
}

/// Why a transport has ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The peer announced or began a message larger than [`Limits::message_bytes_max`]. What follows is thrown away
    /// until it ends, sending is still possible: tell the peer why.
    #[error("message of {size} bytes, at most {max} are allowed")]
    MessageTooLarge {
        /// The size that the peer announced.
        size: u64,
        /// What is allowed.
        max: u64,
    },
    /// A write, or a message half received, made no progress for [`Limits::stall`].
    #[error("the peer made no progress for too long")]
    Stalled,
    /// The transport's own handshake was not done within [`Limits::handshake`].
    #[error("the handshake took too long")]
    Late,
    /// More pings or empty messages than [`Limits::pings`] allows.
    #[error("too many pings or empty messages")]
    Flood,
    /// A message came in more pieces than [`Limits::fragments_max`] allows. What follows is thrown away until it ends.
    #[error("a message in more than {max} fragments")]
    TooManyFragments {
        /// What is allowed.
        max: u32,
    },
    /// The bytes make no sense at this transport's level. What follows is thrown away until it ends, sending is still possible.
    #[error("malformed bytes: {0}")]
    Malformed(&'static str),
    /// The connection broke.
    #[error("the connection broke")]
    Io(#[from] io::Error),
}

/// Moves messages between two peers, in order and whole; one end of a connection.
///
/// A few poll functions on `&mut self` instead of futures: the state lives in the transport, so
/// dropping whatever polls it loses nothing. Reading and writing wake separately: a transport keeps the newest waker of
/// [`poll_recv`](Self::poll_recv), and the newest one of the three writing functions.
///
/// Implementations are checked by the crate `lapwing-conformance`.
pub trait Transport: Send {
    /// Takes the bounds that concern a transport; called once, before anything else is.
    ///
    /// A transport of its own accord keeps to those of [`Limits::default`].
    fn apply(&mut self, limits: &Limits);

    /// Ready when the transport's own handshake is done, if it has one; to be awaited before anything else but
    /// [`apply`](Self::apply). Reads and writes, and keeps one waker for both.
    ///
    /// On the side that accepted it gives, once, what the peer asked for where the handshake is a request over HTTP.
    ///
    /// # Errors
    ///
    /// [`TransportError`] when it is not to be done; the peer is told why by [`poll_close`](Self::poll_close).
    fn poll_open(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Box<Upgrade>>, TransportError>> {
        let _ = cx;
        Poll::Ready(Ok(None))
    }

    /// The next thing that arrived.
    ///
    /// # Errors
    ///
    /// [`TransportError`], once. Asked again after it, a transport reads on and throws away what arrives, and says
    /// [`Incoming::End`] when the peer has finished or the connection is broken: who closes a socket with unread bytes in
    /// it destroys its own last words.
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>>;

    /// Messages that follow the one that [`poll_recv`](Self::poll_recv) has just given and are here already: as many of them as it likes, none of
    /// them empty. Asked at another time it may as well give none; it never waits, and keeps no waker.
    fn recv_more(&mut self) -> Messages {
        Messages::default()
    }

    /// Ready when [`start_send`](Self::start_send) may be called once.
    ///
    /// # When full
    ///
    /// Pending while what was started before is still too much; bounded by about 64 KiB beyond one message.
    ///
    /// # Errors
    ///
    /// [`TransportError`] when nothing can be sent any more.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>>;

    /// Starts to send, after [`poll_ready`](Self::poll_ready) was ready; never waits.
    ///
    /// # Errors
    ///
    /// [`TransportError`] when nothing can be sent any more.
    fn start_send(&mut self, outgoing: Outgoing) -> Result<(), TransportError>;

    /// Ready when everything started has been handed over.
    ///
    /// # Errors
    ///
    /// [`TransportError`] when that cannot be done any more.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>>;

    /// Flushes, then tells the peer that nothing will follow; ready when that is done.
    ///
    /// Reading goes on as before: the peer may still have something to say.
    ///
    /// # Errors
    ///
    /// [`TransportError`] when that cannot be done any more.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>>;

    /// What kind of transport this is, and who is at its other end.
    fn info(&self) -> Info;

    /// How far it has come.
    fn progress(&self) -> Progress;
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn apply(&mut self, limits: &Limits) {
        (**self).apply(limits);
    }

    fn poll_open(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Box<Upgrade>>, TransportError>> {
        (**self).poll_open(cx)
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>> {
        (**self).poll_recv(cx)
    }

    fn recv_more(&mut self) -> Messages {
        (**self).recv_more()
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        (**self).poll_ready(cx)
    }

    fn start_send(&mut self, outgoing: Outgoing) -> Result<(), TransportError> {
        (**self).start_send(outgoing)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        (**self).poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        (**self).poll_close(cx)
    }

    fn info(&self) -> Info {
        (**self).info()
    }

    fn progress(&self) -> Progress {
        (**self).progress()
    }
}

/// Waits for peers that connect; a hub's side.
///
/// Object safe, so that a program may choose at run time; the allocation that costs is one per connection, never per message.
#[async_trait]
pub trait Listener: Send {
    /// The next peer.
    ///
    /// # Errors
    ///
    /// The error of the operating system. A hub goes on after those of a single connection, and after
    /// a pause when the machine is out of something.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no peer: it stays in line.
    async fn accept(&mut self) -> io::Result<Box<dyn Transport>>;

    /// Where it listens, as a URL: `tcp://127.0.0.1:7000`.
    fn url(&self) -> String;
}

/// Connects to a hub; a client's side, called again for every reconnect.
#[async_trait]
pub trait Connector: Send {
    /// Takes the [name](crate::protocol::Protocol::name) of the protocol that will be spoken; called once, before the first connection. For
    /// transports whose own handshake agrees on one.
    fn offer(&mut self, protocol: &'static str) {
        let _ = protocol;
    }

    /// A new transport to the hub.
    ///
    /// # Errors
    ///
    /// The error of the operating system, or of the transport's own handshake; a client waits and tries again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the attempt.
    async fn connect(&mut self) -> io::Result<Box<dyn Transport>>;

    /// Where it connects to, as a URL, for logs.
    fn url(&self) -> String;
}
