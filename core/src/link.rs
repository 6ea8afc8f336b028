//! One session over one transport: the part that a hub's connection and a client have in common.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};

use crate::limits::Limits;
use crate::protocol::{Conditions, Conversation, Protocol};
use crate::runtime::Runtime;
use crate::session::{Config, Input, Lane, Output, Role, Session, Store, Wish};
use crate::time::Instant;
use crate::transport::{
    Framing, Guarded, Incoming, Info, Message, Messages, Outgoing, Ticket, Transport,
    TransportError, Upgrade,
};
use crate::wire::{CloseReason, DecodeError, Encoding, Encodings, Frame, Refusal, Terms};

mod goodbye;
mod nowhere;
mod returning;

/// What is read of a peer in one turn when nobody counts.
const READS_PER_TURN: usize = 64;

/// Room for a control frame, or a welcome.
const FRAME_BYTES: usize = 64;

/// Encoded frames of a lane on their way to a transport.
pub(crate) enum Chunk {
    /// One frame.
    Frame(Bytes),
    /// Whole frames, framed as the transport does it.
    Framed(Bytes),
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Frame(bytes) | Self::Framed(bytes) => bytes,
        }
    }
}

/// Frames and bytes of payloads and protocol, without the framing of transports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) frames_in: u64,
    pub(crate) bytes_in: u64,
    pub(crate) frames_out: u64,
    pub(crate) bytes_out: u64,
}

impl Traffic {
    fn hear(&mut self, bytes: usize) {
        self.frames_in += 1;
        self.bytes_in += bytes as u64;
    }
}

/// A session, its transport and its protocol.
pub(crate) struct Link {
    transport: Guarded<Box<dyn Transport>>,
    /// Messages that are here already.
    arrived: Messages,
    protocols: Protocols,
    /// Of a protocol that has to remember something.
    conversation: Option<Box<dyn Conversation>>,
    /// By which the peer returns, in protocols that remember.
    ticket: Option<Ticket>,
    /// The peer has come by it, as one that was let in before.
    returned: bool,
    record_bytes_max: u32,
    text_only: bool,
    /// Which side the peer is.
    peer: Role,
    /// Which of them is spoken, from when that is known.
    chosen: Option<u8>,
    /// How the transport marks where a message ends.
    framing: Framing,
    kinds: bool,
    pings: bool,
    goodbyes: bool,
    pub(crate) session: Session,
    pub(crate) traffic: Traffic,
    /// The transport's own handshake is done.
    open: bool,
    /// The peer's bytes are over, or make no sense any more.
    deaf: bool,
    /// A message was text that should not be, or the other way round.
    wrong_kind: bool,
    /// The transport knows what to say at the end.
    told: bool,
    /// What the program says at the end.
    words: Option<Box<str>>,
}

/// The protocols that a connection may speak; never empty.
pub(crate) type Protocols = Arc<[Arc<dyn Protocol>]>;

impl Link {
    /// A link, and what its transport tells about itself: asked once, it may ask the operating system.
    pub(crate) fn new(
        transport: Box<dyn Transport>,
        protocols: Protocols,
        runtime: &Arc<dyn Runtime>,
        limits: &Limits,
        role: Role,
    ) -> (Self, Info) {
        let info = transport.info();
        let mut transport = Guarded::within_session(transport, runtime.clone());
        transport.apply(limits);
        let mut session = Session::new(config(limits, role), runtime.now());
        if info.keeps_alive {
            session.keep_alive_below();
        }
        let mut link = Self {
            transport,
            arrived: Messages::default(),
            chosen: (protocols.len() == 1).then_some(0),
            protocols,
            conversation: None,
            ticket: None,
            returned: false,
            record_bytes_max: limits.message_bytes_max,
            text_only: info.text_only,
            peer: match role {
                Role::Hub => Role::Client,
                Role::Client => Role::Hub,
            },
            framing: info.framing,
            kinds: info.kinds,
            pings: info.pings,
            goodbyes: info.goodbyes,
            session,
            traffic: Traffic::default(),
            open: false,
            deaf: false,
            wrong_kind: false,
            told: false,
            words: None,
        };
        link.converse();
        (link, info)
    }

    pub(crate) fn framing(&self) -> Framing {
        self.framing
    }

    /// The protocol that is spoken; the first one until that is known.
    pub(crate) fn protocol(&self) -> &Arc<dyn Protocol> {
        &self.protocols[usize::from(self.chosen.unwrap_or(0))]
    }

    /// Ready when messages may come, with what the peer asked for in the transport's own handshake; or when none will.
    pub(crate) fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Option<Box<Upgrade>>> {
        if self.open || self.deaf {
            return Poll::Ready(None);
        }
        let mut upgrade = match ready!(self.transport.poll_open(cx)) {
            Ok(upgrade) => upgrade,
            Err(error) => {
                self.fail(&error);
                return Poll::Ready(None);
            }
        };
        self.open = true;
        self.ticket = upgrade.as_mut().and_then(|upgrade| upgrade.ticket.take());
        let named = upgrade.as_ref().and_then(|upgrade| {
            let name = upgrade.protocol.as_deref()?;
            self.protocols.iter().position(|known| known.name() == name)
        });
        if self.chosen.is_none() {
            self.choose(named);
        }
        Poll::Ready(upgrade)
    }

    /// Takes note which protocol is spoken, if that is known.
    fn choose(&mut self, index: Option<usize>) {
        self.chosen = index.map(|index| index as u8);
        self.converse();
    }

    /// Begins to remember what the protocol has to.
    fn converse(&mut self) {
        if self.chosen.is_some() && self.peer == Role::Client {
            let mut conditions = Conditions::new(self.record_bytes_max, &self.protocols);
            conditions.text_only = self.text_only;
            self.conversation = self.protocol().conversation(conditions);
        }
    }

    /// The hello that the upgrade stands for, if it does.
    pub(crate) fn implied_hello<'a>(&mut self, upgrade: &Upgrade, wish: Wish<'a>) -> Input<'a> {
        if let Some(token) = self.token() {
            self.returned = true;
            return self.session.imply_hello(Wish {
                resumable: true,
                resume: Some((token, 0)),
                ..Wish::default()
            });
        }
        if upgrade.says_hello() {
            return Input::Nothing;
        }
        let implies = |protocol: &Arc<dyn Protocol>| protocol.implies_hello();
        let chosen = match self.chosen {
            Some(index) => Some(usize::from(index)).filter(|_| implies(self.protocol())),
            // Who names no protocol speaks one that needs no hello.
            None => self.protocols.iter().position(implies),
        };
        if chosen.is_none() {
            return Input::Nothing;
        }
        if self.chosen.is_none() {
            self.choose(chosen);
        }
        self.session.imply_hello(wish)
    }

    /// The next message; `None` when there will be none that matters.
    ///
    /// Ends of all kinds are taken care of: the session knows, and its events tell.
    pub(crate) fn poll_message(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Message>> {
        for _ in 0..READS_PER_TURN {
            if self.deaf {
                return Poll::Ready(None);
            }
            if let Some(message) = self.next_arrived() {
                self.traffic.hear(message.bytes.len());
                return Poll::Ready(Some(message));
            }
            if self.deaf {
                return Poll::Ready(None);
            }
            match ready!(self.transport.poll_recv(cx)) {
                Ok(Incoming::Message(message)) => {
                    self.arrived = self.transport.recv_more();
                    if self.chosen.is_none() {
                        let mut known = self.protocols.iter();
                        let index = known.position(|protocol| protocol.speaks(&message));
                        self.choose(Some(index.unwrap_or(0)));
                    }
                    let Some(conversation) = &mut self.conversation else {
                        self.traffic.hear(message.bytes.len());
                        return Poll::Ready(Some(message));
                    };
                    conversation.receive(message);
                }
                Ok(Incoming::Alive) => self.session.handle_alive(now),
                Ok(Incoming::Goodbye(_)) => self.session.handle_goodbye(),
                Ok(Incoming::End) => self.end(),
                Err(error) => self.fail(&error),
            }
        }
        // Nothing but signs of life: others have their turn first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The next message that is here already.
    fn next_arrived(&mut self) -> Option<Message> {
        if self.conversation.is_none() {
            return self.arrived.next();
        }
        // Some of them may be halves.
        loop {
            let record = self.next_record();
            if record.is_some() || self.deaf {
                return record;
            }
            let message = self.arrived.next()?;
            if let Some(conversation) = &mut self.conversation {
                conversation.receive(message);
            }
        }
    }

    /// The next whole record of what has come in.
    fn next_record(&mut self) -> Option<Message> {
        match self.conversation.as_mut()?.next_record() {
            Ok(record) => record,
            Err(reason) => {
                // It will not be heard when it answers.
                self.be_deaf();
                self.session.give_up(reason);
                None
            }
        }
    }

    /// Gives `take` the messages that are here already, up to the first that it does not recognise as one more publish like those before.
    pub(crate) fn handle_again(&mut self, mut take: impl FnMut(&[u8]) -> bool, now: Instant) {
        let right_kind = !self.kinds || self.arrived.kind() == self.protocol().kind();
        if self.deaf || !right_kind || self.conversation.is_some() || !self.session.is_ready() {
            return;
        }
        while let Some(message) = self.arrived.first() {
            if !take(message) {
                return;
            }
            let bytes = message.len();
            self.traffic.hear(bytes);
            self.session.handle_again(bytes, now);
            self.arrived.drop_first();
        }
    }

    /// What a message means.
    pub(crate) fn handle<'a>(
        &mut self,
        message: &'a Message,
        scratch: &'a mut BytesMut,
        store: &mut impl Store,
        now: Instant,
    ) -> Input<'a> {
        if self.kinds && self.conversation.is_none() && message.kind != self.protocol().kind() {
            self.wrong_kind = true;
            return self.session.violate(CloseReason::Malformed, now);
        }
        self.session.handle_bytes(message.bytes.len());
        match self.decode(message, scratch) {
            Ok(Some(frame)) => {
                if !frame.is_data() && self.counts() {
                    self.session.handle_counted(now);
                }
                self.session.handle_frame(frame, store, now)
            }
            Ok(None) if self.counts() => {
                self.session.handle_counted(now);
                Input::Nothing
            }
            Ok(None) | Err(DecodeError::Empty) => {
                self.session.handle_skipped(now);
                Input::Nothing
            }
            Err(_) => self.session.violate(CloseReason::Malformed, now),
        }
    }

    fn counts(&self) -> bool {
        let conversation = self.conversation.as_ref();
        conversation.is_some_and(|conversation| conversation.counts())
    }

    fn decode<'a>(
        &mut self,
        message: &'a Message,
        scratch: &'a mut BytesMut,
    ) -> Result<Option<Frame<'a>>, DecodeError> {
        let Some(conversation) = &mut self.conversation else {
            return self.protocol().decode(message, self.peer, scratch);
        };
        let frame = conversation.decode(message, scratch);
        if let Ok(Some(Frame::Hello(_))) = &frame
            && let Some(name) = conversation.protocol()
        {
            let index = self.protocols.iter().position(|known| known.name() == name);
            self.chosen = Some(index.ok_or(DecodeError::NoFrame)? as u8);
        }
        frame
    }

    /// Appends the bytes of a frame for this peer; nothing when its protocol has no words for it.
    pub(crate) fn encode(&mut self, frame: &Frame<'_>, into: &mut BytesMut) {
        match &mut self.conversation {
            Some(conversation) => conversation.encode(frame, into),
            None => self.protocol().encode(frame, into),
        }
    }

    /// Sends a frame of the handshake, which waits in no lane. The transport has taken nothing before it, so it has room.
    ///
    /// To a peer whose transport is not open the transport itself says it, at the end.
    pub(crate) fn send_first(&mut self, frame: &Frame<'_>) {
        if self.open {
            let _ = self.start_frame(frame);
        }
    }

    /// Writes what session and lane have; ready when all of it is handed over.
    ///
    /// # Errors
    ///
    /// The session has ended then.
    pub(crate) fn poll_write<S>(
        &mut self,
        store: &mut S,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), TransportError>>
    where
        S: Store<Lane: 'static>,
        for<'a> S::Lane: Lane<Chunk<'a> = Chunk>,
    {
        let written = self.poll_write_inner(store, now, cx);
        if let Poll::Ready(Err(error)) = &written {
            self.fail(error);
            self.session.handle_end();
            // What the transport did not take has a number all the same.
            self.session.handed_over(store);
        }
        written
    }

    fn poll_write_inner<S>(
        &mut self,
        store: &mut S,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), TransportError>>
    where
        S: Store<Lane: 'static>,
        for<'a> S::Lane: Lane<Chunk<'a> = Chunk>,
    {
        if !self.open {
            return Poll::Ready(Ok(()));
        }
        if self.told {
            return self.transport.poll_close(cx);
        }
        loop {
            ready!(self.transport.poll_ready(cx))?;
            let before = self.session.sent();
            let Some(output) = self.session.poll_frame(store, now) else {
                break;
            };
            let chunk = match output {
                Output::Control(Frame::Ping(_))
                    if self.pings
                        && !self.session.peer().promises()
                        && self.conversation.is_none() =>
                {
                    self.transport.start_send(Outgoing::Ping)?;
                    continue;
                }
                Output::Control(frame) => {
                    if matches!(frame, Frame::Close(_))
                        && let Some(ticket) = &self.ticket
                    {
                        // Who has heard it finds nothing to return to.
                        ticket.cancel();
                    }
                    self.start_frame(&frame)?;
                    continue;
                }
                Output::Data(chunk) => chunk,
            };
            let frames = self.session.sent() - before;
            self.start_chunk(chunk, frames)?;
            self.session.handed_over(store);
        }
        // A peer that knows no last words but the transport's answers those.
        if self.goodbyes && self.session.has_spoken() {
            self.tell();
            return self.transport.poll_close(cx);
        }
        self.transport.poll_flush(cx)
    }

    /// Takes what the program says at the end, if it is the program that ends the session.
    pub(crate) fn part(&mut self, words: Option<&str>) {
        self.words = words.map(Box::from);
        if let Some(conversation) = &mut self.conversation {
            conversation.part(words);
        }
    }

    /// Tells the peer that nothing follows, then reads on until it has finished too.
    ///
    /// Whoever closes a socket with unread bytes in it destroys its own last words; the caller bounds the time.
    pub(crate) fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.tell();
        self.arrived = Messages::default();
        if ready!(self.transport.poll_close(cx)).is_err() {
            return Poll::Ready(());
        }
        for _ in 0..READS_PER_TURN {
            match ready!(self.transport.poll_recv(cx)) {
                Ok(Incoming::End) | Err(TransportError::Io(_)) => return Poll::Ready(()),
                Ok(_) | Err(_) => {}
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Refuses a peer that is not even asked for its hello; where the transport has a handshake of its own, that does.
    pub(crate) fn turn_away(&mut self, reason: Refusal) {
        self.session.refuse(reason, None, "");
        self.tell();
    }

    /// Lets go of the transport of a session that is over and may go on in another link.
    pub(crate) fn let_go(&mut self) {
        let runtime = self.transport.runtime().clone();
        self.transport = Guarded::within_session(Box::new(nowhere::Nowhere), runtime);
        self.be_deaf();
    }

    /// Lets the transport know what to say at the end, once.
    fn tell(&mut self) {
        if core::mem::replace(&mut self.told, true) {
            return;
        }
        let goodbye = if self.wrong_kind {
            goodbye::wrong_kind()
        } else if self.open && self.conversation.is_some() {
            // The protocol has said why; its clients take any other code for a fault.
            goodbye::normal()
        } else {
            goodbye::goodbye(self.session.ending(), self.words.as_deref())
        };
        // Nobody can be told when that fails.
        let _ = self.transport.start_send(Outgoing::Goodbye(goodbye));
    }

    fn start_frame(&mut self, frame: &Frame<'_>) -> Result<(), TransportError> {
        // Most have room in it.
        let mut bytes = BytesMut::with_capacity(FRAME_BYTES);
        self.encode(frame, &mut bytes);
        match bytes.is_empty() {
            true => Ok(()),
            false => self.start_chunk(Chunk::Frame(bytes.freeze()), 1),
        }
    }

    fn start_chunk(&mut self, chunk: Chunk, frames: u64) -> Result<(), TransportError> {
        self.traffic.frames_out += frames;
        self.traffic.bytes_out += chunk.as_ref().len() as u64;
        self.transport.start_send(match chunk {
            Chunk::Frame(bytes) => Outgoing::Message(Message {
                bytes,
                kind: self.protocol().kind(),
            }),
            Chunk::Framed(bytes) => Outgoing::Framed(bytes),
        })
    }

    fn be_deaf(&mut self) {
        self.deaf = true;
        self.arrived = Messages::default();
    }

    /// The peer has finished. If we have too, it may still listen for the reason.
    fn end(&mut self) {
        self.be_deaf();
        match self.session.is_closing() {
            true => self.session.give_up(CloseReason::Silent),
            false => self.session.handle_end(),
        }
    }

    /// Nothing of the peer can be read any more. Where it can still hear why, it does.
    fn fail(&mut self, error: &TransportError) {
        self.be_deaf();
        match *error {
            TransportError::MessageTooLarge { size, max } => {
                self.session
                    .give_up(CloseReason::MessageTooLarge { size, max });
            }
            TransportError::Malformed(_) => self.session.give_up(CloseReason::Malformed),
            // It hears no last words; but it may return.
            TransportError::Stalled if self.ticket().is_some_and(Ticket::is_good) => {
                self.session.handle_end();
            }
            TransportError::Stalled => self.session.give_up(CloseReason::Stalled),
            TransportError::Late => self.session.give_up(CloseReason::Silent),
            TransportError::Flood | TransportError::TooManyFragments { .. } => {
                self.session.give_up(CloseReason::Flood);
            }
            TransportError::Io(_) => self.session.handle_end(),
        }
    }
}

fn config(limits: &Limits, role: Role) -> Config {
    Config {
        role,
        terms: Terms {
            encodings: Encodings::NONE
                .with(Encoding::Text)
                .with(Encoding::Bytes)
                .with(Encoding::Json)
                .with(Encoding::Postcard),
            // Who promises to speak at every instant has no time for anything else.
            promise_ms: crate::session::millis(limits.promise).max(1),
            message_bytes_max: limits.message_bytes_max,
            subscriptions_max: limits.subscriptions_max,
        },
        grace: limits.grace,
        promise_max: limits.promise_max,
        handshake: limits.handshake,
        closing: limits.closing,
        pings: limits.pings,
        requests: limits.requests,
    }
}
