//! One session over one transport: the part that a hub's connection and a client have in common.

use alloc::boxed::Box;
use alloc::sync::Arc;

use bytes::Bytes;

use crate::limits::Limits;
use crate::protocol::{Conversation, Protocol};
use crate::runtime::Runtime;
use crate::session::{Config, Role, Session};
use crate::transport::{Framing, Guarded, Info, Messages, Ticket, Transport, TransportError};
use crate::wire::{CloseReason, Encoding, Encodings, Terms};

mod goodbye;
mod hearing;
mod nowhere;
mod opening;
mod parting;
mod returning;
mod saying;

/// What is read of a peer in one turn when nobody counts.
const READS_PER_TURN: usize = 64;

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

    /// Lets go of the transport of a session that is over and may go on in another link.
    pub(crate) fn let_go(&mut self) {
        let runtime = self.transport.runtime().clone();
        self.transport = Guarded::within_session(Box::new(nowhere::Nowhere), runtime);
        self.be_deaf();
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
