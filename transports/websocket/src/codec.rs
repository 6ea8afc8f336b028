//! From the bytes of a peer to messages, and from ours to its frames: [`Codec`].

use core::mem;
use std::io::{self, Read, Write};

use async_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, OpCode};
use async_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame, FrameHeader};
use async_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use async_tungstenite::tungstenite::{self, Error};
use bytes::{Buf, Bytes, BytesMut};
use lapwing::Limits;
use lapwing::transport::{Goodbye, Incoming, Kind, Message, Messages};

use crate::fault::Fault;
use crate::sieve::{PIECE_BYTES_MAX, Piece, Sieve};
use crate::usual::Usual;

/// tungstenite's buffer: filled from memory, so a small one costs no system calls.
const READ_BUFFER_BYTES: usize = 1024;

/// The longest reason of a close frame: [RFC 6455, section 5.5](https://www.rfc-editor.org/rfc/rfc6455#section-5.5) allows 125 bytes, 2 are the code.
const REASON_BYTES_MAX: usize = 123;

/// What a close frame without a code stands for.
const NO_CODE: u16 = 1005;

/// One end's frames; does no I/O.
///
/// Ask [`next_arrival`](Self::next_arrival) until there is none, then [`feed`](Self::feed) it the next read.
pub(crate) struct Codec {
    role: Role,
    sieve: Sieve,
    /// What one read brought and nobody has taken.
    arrived: BytesMut,
    /// tungstenite's state, while something is half-way or after our close frame: an idle connection has none.
    context: Option<Box<WebSocketContext>>,
    /// The parts of a long message that are whole.
    parts: Option<Box<Parts>>,
    /// Our close frame is written.
    closing: bool,
    /// The peer's close frame was read.
    over: bool,
}

/// Something that arrived, and what tungstenite answers: a pong or the close frame in return.
pub(crate) struct Arrival {
    pub(crate) incoming: Incoming,
    pub(crate) answer: Bytes,
}

impl Usual {
    fn arrival(self, mut bytes: BytesMut) -> Arrival {
        self.unmask(&mut bytes);
        Arrival {
            incoming: Incoming::Message(Message::binary(bytes)),
            answer: Bytes::new(),
        }
    }
}

impl Codec {
    /// Begins with what was read behind the upgrade.
    pub(crate) fn new(role: Role, limits: &Limits, arrived: Bytes) -> Self {
        Self {
            role,
            sieve: Sieve::new(limits),
            arrived: arrived.into(),
            context: None,
            parts: None,
            closing: false,
            over: false,
        }
    }

    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// Takes the limits; nothing has been read yet.
    pub(crate) fn apply(&mut self, limits: &Limits) {
        self.sieve = Sieve::new(limits);
    }

    /// The next of those that are here.
    ///
    /// # Errors
    ///
    /// What nobody can read on from.
    pub(crate) fn next_arrival(&mut self) -> Result<Option<Arrival>, Fault> {
        if let Some(usual) = self.usual(&self.arrived) {
            self.arrived.advance(usual.head);
            let bytes = self.take(usual.bytes);
            self.rest();
            return Ok(Some(usual.arrival(bytes)));
        }
        let mut arrived = mem::take(&mut self.arrived);
        let mut rest = &arrived[..];
        let found = self.walk(&mut rest)?;
        let left = rest.len();
        arrived.advance(arrived.len() - left);
        if left > 0 {
            self.arrived = arrived;
        }
        self.rest();
        Ok(found)
    }

    /// Takes what a read brought, and gives the first that it brought.
    ///
    /// # Errors
    ///
    /// What nobody can read on from.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<Option<Arrival>, Fault> {
        debug_assert!(self.arrived.is_empty(), "what is here is taken first");
        if let Some(usual) = self.usual(bytes) {
            let (message, rest) = bytes[usual.head..].split_at(usual.bytes);
            self.arrived = BytesMut::from(rest);
            return Ok(Some(usual.arrival(BytesMut::from(message))));
        }
        let mut rest = bytes;
        let found = self.walk(&mut rest)?;
        self.arrived = BytesMut::from(rest);
        self.rest();
        Ok(found)
    }

    /// All that follow and are as most are, without their masks.
    pub(crate) fn messages(&mut self) -> Messages {
        // A program may keep a message for long, and shall not keep others with it.
        if self.role == Role::Client || self.arrived.is_empty() {
            return Messages::default();
        }
        let (mut at, mut room) = (0, 0);
        while let Some(usual) = self
            .usual(&self.arrived[at..])
            .filter(Usual::says_something)
        {
            at += usual.head + usual.bytes;
            room += size_of::<u32>() + usual.bytes;
        }
        let mut messages = Vec::with_capacity(room);
        let mut arrived = self.arrived.split_to(at);
        while let Some(usual) = self.usual(&arrived) {
            let body = &arrived[usual.head..][..usual.bytes];
            messages.extend_from_slice(&(usual.bytes as u32).to_be_bytes());
            let start = messages.len();
            messages.extend_from_slice(body);
            usual.unmask(&mut messages[start..]);
            arrived.advance(usual.head + usual.bytes);
        }
        self.rest();
        Messages::new(messages, Kind::Binary)
    }

    /// Takes so many bytes of what arrived.
    fn take(&mut self, bytes: usize) -> BytesMut {
        if self.role == Role::Client {
            // A program may keep a message for long, and shall not keep with it all that was read.
            let taken = BytesMut::from(&self.arrived[..bytes]);
            self.arrived.advance(bytes);
            return taken;
        }
        self.arrived.split_to(bytes)
    }

    /// A frame for which nobody needs to be asked, if one is next: with all that a message has, in bytes, and all of it here.
    fn usual(&self, bytes: &[u8]) -> Option<Usual> {
        let alone = !self.over && !self.closing && !self.sieve.is_inside();
        let usual = Usual::parse(bytes, self.role).filter(|_| alone)?;
        (usual.bytes <= self.sieve.message_bytes_max() as usize).then_some(usual)
    }

    /// Takes what was read behind the upgrade.
    pub(crate) fn begin(&mut self, arrived: Bytes) {
        self.arrived = arrived.into();
    }

    /// Whether the beginning of a message or of a frame is here, and its end is not.
    pub(crate) fn is_inside(&self) -> bool {
        self.sieve.is_inside()
    }

    /// Drops what nobody will ask for: nothing of the peer is read any more.
    pub(crate) fn forget(&mut self) {
        self.arrived = BytesMut::new();
        self.sieve.forget();
        self.parts = None;
        self.rest();
    }

    fn walk(&mut self, bytes: &mut &[u8]) -> Result<Option<Arrival>, Fault> {
        while let Some(piece) = self.sieve.next(bytes)? {
            let arrival = self.read(piece)?;
            if let Some(whole) = arrival.and_then(|arrival| self.gather(arrival)) {
                return Ok(Some(whole));
            }
        }
        Ok(None)
    }

    /// Keeps the parts of a long message until the last of them; everything else is whole.
    fn gather(&mut self, arrival: Arrival) -> Option<Arrival> {
        let Incoming::Message(Message { bytes, kind }) = &arrival.incoming else {
            return Some(arrival);
        };
        if self.sieve.is_within_message() {
            self.parts.get_or_insert_default().push(bytes);
            return None;
        }
        let Some(parts) = self.parts.take() else {
            return Some(arrival);
        };
        let bytes = parts.with(bytes);
        let incoming = Incoming::Message(Message { bytes, kind: *kind });
        Some(Arrival {
            incoming,
            ..arrival
        })
    }

    /// Lets tungstenite read a piece, which it does to the end.
    fn read(&mut self, piece: Piece<'_>) -> Result<Option<Arrival>, Fault> {
        let mut turn = Turn::new(piece);
        let context = self.context();
        let message = match context.read(&mut turn) {
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            message => message?,
        };
        let incoming = match message {
            tungstenite::Message::Text(text) => Incoming::Message(Message {
                bytes: text.into(),
                kind: Kind::Text,
            }),
            tungstenite::Message::Binary(bytes) => Incoming::Message(Message::binary(bytes)),
            tungstenite::Message::Close(frame) => Incoming::Goodbye(goodbye(frame)),
            _ => Incoming::Alive,
        };
        if !matches!(incoming, Incoming::Message(_)) {
            // That this was the last frame it says as an error.
            let _ = context.flush(&mut turn);
        }
        self.over |= matches!(incoming, Incoming::Goodbye(_));
        Ok(Some(Arrival {
            incoming,
            answer: turn.written.into(),
        }))
    }

    /// Gives memory back that an idle connection does not need.
    fn rest(&mut self) {
        if self.arrived.is_empty() {
            // Empty, it would keep the memory of what was read.
            self.arrived = BytesMut::new();
            if !self.sieve.is_inside() && !self.closing {
                self.context = None;
            }
        }
    }

    fn context(&mut self) -> &mut WebSocketContext {
        let Self {
            role,
            sieve,
            context,
            ..
        } = self;
        context.get_or_insert_with(|| Box::new(new_context(*role, sieve, READ_BUFFER_BYTES)))
    }

    /// A client's frames of this message, masked.
    pub(crate) fn mask(&mut self, message: Message) -> Bytes {
        let opcode = OpCode::Data(opcode(message.kind));
        self.write(Frame::message(message.bytes, opcode, true))
    }

    /// A ping.
    pub(crate) fn ping(&mut self) -> Bytes {
        self.write(Frame::ping(Bytes::new()))
    }

    fn write(&mut self, frame: Frame) -> Bytes {
        let mut turn = Turn::new(Piece::headless(&[]));
        let frame = tungstenite::Message::Frame(frame);
        let written = match &mut self.context {
            Some(context) => context.write(&mut turn, frame),
            None => new_context(self.role, &self.sieve, 0).write(&mut turn, frame),
        };
        debug_assert!(written.is_ok(), "memory takes all, and we are not closing");
        turn.written.into()
    }

    /// Our close frame; said once.
    pub(crate) fn close(&mut self, goodbye: Goodbye) -> Bytes {
        self.closing = true;
        let mut turn = Turn::new(Piece::headless(&[]));
        let closed = self.context().close(&mut turn, close_frame(goodbye));
        debug_assert!(closed.is_ok(), "memory takes all, and we are not closing");
        turn.written.into()
    }
}

/// Parts of a message, each in as much memory as it needs.
#[derive(Default)]
struct Parts(Vec<Box<[u8]>>);

impl Parts {
    fn push(&mut self, part: &[u8]) {
        self.0.push(part.into());
    }

    /// The whole message, which ends with `last`.
    fn with(mut self, last: &[u8]) -> Bytes {
        self.push(last);
        self.0.concat().into()
    }
}

fn new_context(role: Role, sieve: &Sieve, read_buffer_bytes: usize) -> WebSocketContext {
    let config = WebSocketConfig::default()
        .read_buffer_size(read_buffer_bytes)
        // All frames leave in the turn that wrote them.
        .write_buffer_size(0)
        .max_message_size(Some(sieve.message_bytes_max() as usize))
        .max_frame_size(Some(PIECE_BYTES_MAX));
    WebSocketContext::new(role, Some(config))
}

fn opcode(kind: Kind) -> tungstenite::protocol::frame::coding::Data {
    use tungstenite::protocol::frame::coding::Data;
    match kind {
        Kind::Text => Data::Text,
        Kind::Binary => Data::Binary,
    }
}

/// What stands in front of a server's message, and how long it is.
pub(crate) fn server_head(message: &Message) -> ([u8; 10], usize) {
    let mut head = [0; 10];
    let mut room = &mut head[..];
    let header = FrameHeader {
        opcode: OpCode::Data(opcode(message.kind)),
        ..FrameHeader::default()
    };
    header
        .format(message.bytes.len() as u64, &mut room)
        .expect("there is room for the longest head without a mask");
    let left = room.len();
    (head, head.len() - left)
}

/// What a close frame says.
fn goodbye(frame: Option<CloseFrame>) -> Goodbye {
    let (code, reason) = match frame {
        Some(frame) => (frame.code.into(), frame.reason.as_str().to_owned()),
        None => (NO_CODE, String::new()),
    };
    Goodbye { code, reason }
}

/// A close frame that says `goodbye`; one without anything when the code must not travel.
fn close_frame(mut goodbye: Goodbye) -> Option<CloseFrame> {
    let code = CloseCode::from(goodbye.code);
    let end = goodbye.reason.floor_char_boundary(REASON_BYTES_MAX);
    goodbye.reason.truncate(end);
    code.is_allowed().then(|| CloseFrame {
        code,
        reason: goodbye.reason.into(),
    })
}

/// What tungstenite takes for a stream, for one turn: it reads a piece, and what it writes is gathered.
struct Turn<'b> {
    piece: Piece<'b>,
    written: Vec<u8>,
}

impl<'b> Turn<'b> {
    fn new(piece: Piece<'b>) -> Self {
        Self {
            piece,
            written: Vec::new(),
        }
    }
}

impl Read for Turn<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.piece.read(buffer)? {
            // Not the end, which is what 0 would mean.
            0 => Err(io::ErrorKind::WouldBlock.into()),
            read => Ok(read),
        }
    }
}

impl Write for Turn<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
