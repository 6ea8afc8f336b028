//! The transport over any socket: [`WebSocket`].

use core::mem;
use core::task::{Context, Poll, ready};
use std::io;
use std::sync::Arc;

use async_tungstenite::tungstenite::protocol::Role;
use bytes::Bytes;
use lapwing::Limits;
use lapwing::transport::{
    Framing, Goodbye, Incoming, Info, Messages, Outgoing, Progress, Transport, TransportError,
    Upgrade,
};
use lapwing_sockets::{READ_BYTES, Socket, Stream, UNSENT_BYTES_MAX};

use crate::codec::{Arrival, Codec, server_head};
use crate::fault::Fault;
use crate::upgrade::{Answer, Head, Terms, answer, refuse, too_long};

/// A server's ping: final, without a payload.
const PING: &[u8] = &[0x89, 0];

/// The close code of a normal end.
const NORMAL: u16 = 1000;

/// One end of a WebSocket over a socket.
pub(crate) struct WebSocket<S> {
    stream: Stream<S>,
    codec: Codec,
    stage: Stage,
    /// What the close frame will say.
    goodbye: Option<Box<Goodbye>>,
    /// A pong that waits until a blocked socket takes something.
    pong: Bytes,
}

/// How far it is.
enum Stage {
    /// A server waits for the request.
    Opening(Box<Opening>),
    /// There is no WebSocket, and there will be none.
    Refused(Reading),
    /// The socket is of no use any more: nothing can be said, and nothing will come.
    Broken,
    Open {
        /// What the peer asked for, on a server, until somebody wants to know.
        upgrade: Option<Box<Upgrade>>,
        reading: Reading,
        /// Our close frame is said: nothing may follow.
        closed: bool,
    },
}

/// A server before its upgrade.
struct Opening {
    head: Head,
    terms: Arc<Terms>,
}

/// What becomes of the bytes that arrive.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// They are frames.
    Frames,
    /// They follow something that nobody can read on from.
    ThrownAway,
    /// The peer has said its last words, and should send no more.
    Parted,
    /// None will arrive.
    Over,
}

impl<S: Socket> WebSocket<S> {
    /// The side of a server; its handshake is to come.
    pub(crate) fn accepted(socket: S, terms: Arc<Terms>) -> Self {
        let head = Head::new();
        let stage = Stage::Opening(Box::new(Opening { head, terms }));
        Self::new(Stream::new(socket), Role::Server, Bytes::new(), stage)
    }

    /// The side of a server after its handshake, with what has `arrived` behind it.
    pub(crate) fn upgraded(socket: S, arrived: Bytes, upgrade: Upgrade) -> Self {
        let stage = Stage::open(Some(Box::new(upgrade)));
        Self::new(Stream::new(socket), Role::Server, arrived, stage)
    }

    /// The side of a client after its handshake, with what has `arrived` behind it.
    pub(crate) fn connected(stream: Stream<S>, arrived: Bytes) -> Self {
        Self::new(stream, Role::Client, arrived, Stage::open(None))
    }

    fn new(stream: Stream<S>, role: Role, arrived: Bytes, stage: Stage) -> Self {
        Self {
            stream,
            codec: Codec::new(role, &Limits::default(), arrived),
            stage,
            goodbye: None,
            pong: Bytes::new(),
        }
    }

    /// Gathers the request; ready with what is answered, and what came behind the request.
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<(Answer, Bytes)>>> {
        let Self { stream, stage, .. } = self;
        let Stage::Opening(opening) = stage else {
            return Poll::Ready(Ok(None));
        };
        loop {
            let fed = stream.poll_read_with(cx, |bytes| opening.feed(bytes));
            match ready!(fed)? {
                (0, _) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                (_, Some(answered)) => return Poll::Ready(Ok(Some(answered))),
                (_, None) => {}
            }
        }
    }

    fn open(&mut self, answer: Answer, behind: Bytes) -> Result<(), TransportError> {
        self.stream.outbox().push(answer.response.into());
        match answer.result {
            Ok(upgrade) => {
                self.codec.begin(behind);
                self.stage = Stage::open(Some(Box::new(upgrade)));
                Ok(())
            }
            Err(reason) => {
                self.stage = Stage::Refused(Reading::ThrownAway);
                Err(TransportError::Malformed(reason))
            }
        }
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>> {
        let arrival = self.codec.next_arrival();
        if let Some(incoming) = self.take(arrival)? {
            return Poll::Ready(Ok(incoming));
        }
        loop {
            let Self { stream, codec, .. } = self;
            let (read, arrival) = ready!(stream.poll_read_with(cx, |bytes| codec.feed(bytes)))?;
            if read == 0 {
                return Poll::Ready(self.end());
            }
            if let Some(incoming) = self.take(arrival)? {
                return Poll::Ready(Ok(incoming));
            }
            if read == READ_BYTES {
                // A long message and more of it waiting: others have their turn first.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            // The socket is drained: asking once more only leaves the waker there.
        }
    }

    /// Sees to what a peer is answered below the messages.
    fn take(
        &mut self,
        arrival: Result<Option<Arrival>, Fault>,
    ) -> Result<Option<Incoming>, TransportError> {
        let arrival = match arrival {
            Ok(arrival) => arrival,
            Err(fault) => return Err(self.find(fault)),
        };
        let Some(Arrival { incoming, answer }) = arrival else {
            return Ok(None);
        };
        match incoming {
            Incoming::Alive => self.answer_ping(answer),
            Incoming::Goodbye(_) => self.part(answer),
            Incoming::Message(_) | Incoming::End => {}
        }
        Ok(Some(incoming))
    }

    /// Of the pongs that a peer does not take, the newest is enough:
    /// [RFC 6455, section 5.5.3](https://www.rfc-editor.org/rfc/rfc6455#section-5.5.3).
    fn answer_ping(&mut self, pong: Bytes) {
        if pong.is_empty() {
            // It was a pong, which wants no answer and takes the place of none.
            return;
        }
        if self.stream.is_blocked() || self.stream.unsent() >= UNSENT_BYTES_MAX {
            self.pong = pong;
        } else {
            self.stream.outbox().push(pong);
        }
    }

    /// The peer has said its close frame; `answer` is ours, unless it was said before.
    fn part(&mut self, answer: Bytes) {
        self.pong = Bytes::new();
        self.stream.outbox().push(answer);
        if let Stage::Open { closed, .. } = &mut self.stage {
            *closed = true;
        }
    }

    /// Remembers what the peer will be told; nothing that anybody else wants to say counts more.
    fn find(&mut self, Fault { error, code }: Fault) -> TransportError {
        let reason = error.to_string();
        self.goodbye = Some(Box::new(Goodbye { code, reason }));
        error
    }

    fn end(&mut self) -> Result<Incoming, TransportError> {
        self.set_reading(Reading::Over);
        match self.codec.is_inside() {
            // As when a path breaks, a process crashes, or a proxy gives up: nobody has said anything wrong.
            true => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            false => Ok(Incoming::End),
        }
    }

    fn reading(&self) -> Reading {
        match self.stage {
            Stage::Opening(_) => Reading::Frames,
            Stage::Broken => Reading::Over,
            Stage::Refused(reading) | Stage::Open { reading, .. } => reading,
        }
    }

    fn set_reading(&mut self, now: Reading) {
        if let Stage::Refused(reading) | Stage::Open { reading, .. } = &mut self.stage {
            *reading = now;
        }
    }

    fn poll_throw_away(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>> {
        ready!(self.stream.poll_throw_away(cx));
        self.set_reading(Reading::Over);
        Poll::Ready(Ok(Incoming::End))
    }

    fn check_open(&self) -> Result<(), TransportError> {
        match self.stage {
            Stage::Open { closed: false, .. } if !self.stream.is_shut() => Ok(()),
            _ => Err(io::Error::from(io::ErrorKind::BrokenPipe).into()),
        }
    }

    /// Writes until no more than `rest` bytes wait, and then a pong that had to.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        rest: usize,
    ) -> Poll<Result<(), TransportError>> {
        loop {
            ready!(self.stream.poll_drain(cx, rest))?;
            if self.pong.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let pong = mem::take(&mut self.pong);
            self.stream.outbox().push(pong);
        }
    }

    /// Keeps what the close frame will say, or refuses the upgrade.
    fn say_at_the_end(&mut self, goodbye: Goodbye) {
        match self.stage {
            Stage::Opening(_) => {
                self.stage = Stage::Refused(Reading::ThrownAway);
                self.stream.outbox().push(refuse(goodbye.code).into());
            }
            Stage::Refused(_) | Stage::Broken => {}
            Stage::Open { .. } => {
                let said = || Box::new(goodbye);
                self.goodbye.get_or_insert_with(said);
            }
        }
    }

    /// Queues our close frame unless there is one already.
    fn close(&mut self) {
        let Stage::Open { closed, .. } = &mut self.stage else {
            return;
        };
        if mem::replace(closed, true) {
            return;
        }
        self.pong = Bytes::new();
        let goodbye = self.goodbye.take().map_or_else(normal_end, |said| *said);
        let frame = self.codec.close(goodbye);
        self.stream.outbox().push(frame);
    }

    /// Whether the writing half ends with our last words. While the peer's may come, it does not; and a server ends the
    /// connection: [RFC 6455, section 7.1.1](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1).
    fn ends_writing(&self) -> bool {
        match self.reading() {
            Reading::Frames => matches!(self.stage, Stage::Opening(_)),
            Reading::Parted => self.codec.role() == Role::Server,
            Reading::ThrownAway | Reading::Over => true,
        }
    }
}

impl Stage {
    fn open(upgrade: Option<Box<Upgrade>>) -> Self {
        Self::Open {
            upgrade,
            reading: Reading::Frames,
            closed: false,
        }
    }
}

impl Opening {
    /// Takes what arrived; the answer when the request is whole, and what is behind it.
    fn feed(&mut self, bytes: &[u8]) -> Option<(Answer, Bytes)> {
        match self.head.feed(bytes) {
            Ok(None) => None,
            Ok(Some(taken)) => {
                let answer = answer(self.head.bytes(), &self.terms);
                Some((answer, Bytes::copy_from_slice(&bytes[taken..])))
            }
            Err(_) => Some((too_long(), Bytes::new())),
        }
    }
}

fn normal_end() -> Goodbye {
    Goodbye {
        code: NORMAL,
        reason: String::new(),
    }
}

impl<S: Socket> Transport for WebSocket<S> {
    fn apply(&mut self, limits: &Limits) {
        let mut limits = *limits;
        if let Stage::Open {
            upgrade: Some(upgrade),
            ..
        } = &self.stage
        {
            let bytes_max = &mut limits.message_bytes_max;
            *bytes_max = bytes_max.saturating_add(upgrade.batch_bytes);
        }
        self.codec.apply(&limits);
    }

    fn poll_open(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Box<Upgrade>>, TransportError>> {
        let answered = match ready!(self.poll_request(cx)) {
            Ok(answered) => answered,
            Err(error) => {
                self.stage = Stage::Broken;
                return Poll::Ready(Err(error.into()));
            }
        };
        if let Some((answer, behind)) = answered {
            self.open(answer, behind)?;
        }
        // The peer waits for the response, and whoever opened us may have nothing to write.
        ready!(self.poll_write(cx, 0))?;
        Poll::Ready(Ok(match &mut self.stage {
            Stage::Open { upgrade, .. } => upgrade.take(),
            _ => None,
        }))
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>> {
        match self.reading() {
            Reading::Frames => {}
            Reading::ThrownAway => return self.poll_throw_away(cx),
            // Late bytes would destroy our last words.
            Reading::Parted if self.stream.is_shut() => return self.poll_throw_away(cx),
            Reading::Parted | Reading::Over => return Poll::Ready(Ok(Incoming::End)),
        }
        let incoming = ready!(self.poll_incoming(cx));
        match incoming {
            Err(TransportError::Io(_)) => self.stage = Stage::Broken,
            Err(_) if self.reading() == Reading::Frames => self.set_reading(Reading::ThrownAway),
            Ok(Incoming::Goodbye(_)) => self.set_reading(Reading::Parted),
            _ => {}
        }
        if self.reading() != Reading::Frames {
            self.codec.forget();
        }
        Poll::Ready(incoming)
    }

    fn recv_more(&mut self) -> Messages {
        self.codec.messages()
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.check_open()?;
        self.poll_write(cx, UNSENT_BYTES_MAX - 1)
    }

    fn start_send(&mut self, outgoing: Outgoing) -> Result<(), TransportError> {
        if let Outgoing::Goodbye(goodbye) = outgoing {
            self.say_at_the_end(goodbye);
            return Ok(());
        }
        self.check_open()?;
        let Self { stream, codec, .. } = self;
        match (codec.role(), outgoing) {
            (Role::Server, Outgoing::Message(message)) => {
                let (head, bytes) = server_head(&message);
                stream.outbox().push_headed(&head[..bytes], message.bytes);
            }
            (Role::Server, Outgoing::Framed(bytes)) => stream.outbox().push(bytes),
            (Role::Server, Outgoing::Ping) => stream.outbox().push_copy(&[PING]),
            (Role::Client, Outgoing::Message(message)) => {
                stream.outbox().push(codec.mask(message));
            }
            (Role::Client, Outgoing::Framed(_)) => {
                let error = "a client's frames are masked, so its messages are not framed ahead";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, error).into());
            }
            (Role::Client, Outgoing::Ping) => stream.outbox().push(codec.ping()),
            (_, Outgoing::Goodbye(_)) => {}
        }
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.poll_write(cx, 0)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        if let Stage::Broken = self.stage {
            return Poll::Ready(Ok(()));
        }
        if !self.stream.is_shut() {
            self.close();
            ready!(self.poll_write(cx, 0))?;
        }
        if !self.ends_writing() {
            return Poll::Ready(Ok(()));
        }
        let told = self.stream.poll_shutdown(cx);
        told.map_err(TransportError::from)
    }

    fn info(&self) -> Info {
        let framing = match self.codec.role() {
            Role::Server => Framing::WebSocket,
            Role::Client => Framing::None,
        };
        let mut info = Info::new("ws", framing);
        info.peer = self.stream.peer();
        (info.kinds, info.pings, info.goodbyes) = (true, true, true);
        info.connection = match &self.stage {
            Stage::Open {
                upgrade: Some(upgrade),
                ..
            } => upgrade.connection,
            _ => None,
        };
        info
    }

    fn progress(&self) -> Progress {
        Progress {
            received_bytes: self.stream.received_bytes(),
            sent_bytes: self.stream.sent_bytes(),
            half_received: self.codec.is_inside(),
            unsent: self.stream.unsent() > 0,
        }
    }
}

#[cfg(test)]
mod tests;
