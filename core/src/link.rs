//! One session over one transport: the part that a hub's connection and a client have in common.

use alloc::boxed::Box;
use alloc::sync::Arc;

use bytes::Bytes;

use crate::limits::Limits;
use crate::protocol::Protocol;
use crate::session::{Role, Session};
use crate::transport::{Framing, Guarded, Info, Messages, Ticket, Transport, TransportError};
use crate::wire::CloseReason;

mod goodbye;
mod hearing;
mod memory;
mod nowhere;
mod opening;
mod parting;
mod returning;
mod saying;
mod settings;

use self::memory::Memory;
pub(crate) use self::settings::{Protocols, Settings};

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
    /// Messages that are here already; on their own, because most of the time there are none.
    arrived: Option<Box<Messages>>,
    memory: Memory,
    /// The peer has come by its ticket, as one that was let in before.
    returned: bool,
    text_only: bool,
    /// Which of the protocols is spoken, from when that is known.
    chosen: Option<u8>,
    /// How the transport marks where a message ends.
    framing: Framing,
    kinds: bool,
    pings: bool,
    goodbyes: bool,
    pub(crate) session: Session<Settings>,
    pub(crate) traffic: Traffic,
    /// The transport's own handshake is done.
    open: bool,
    /// The peer's bytes are over, or make no sense any more.
    deaf: bool,
    /// A message was text that should not be, or the other way round.
    wrong_kind: bool,
    /// The transport knows what to say at the end.
    told: bool,
}

impl Link {
    /// A link, and what its transport tells about itself: asked once, it may ask the operating system.
    pub(crate) fn new(mut transport: Box<dyn Transport>, settings: Settings) -> (Self, Info) {
        let info = transport.info();
        transport.apply(settings.limits());
        let guarding = settings.guarding();
        let now = guarding.runtime().now();
        let single = settings.protocols().len() == 1;
        let mut session = Session::new(settings, now);
        if info.keeps_alive {
            session.keep_alive_below();
        }
        let mut link = Self {
            transport: Guarded::within_session(transport, guarding),
            arrived: None,
            chosen: single.then_some(0),
            memory: Memory::default(),
            returned: false,
            text_only: info.text_only,
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
        };
        link.converse();
        (link, info)
    }

    pub(crate) fn framing(&self) -> Framing {
        self.framing
    }

    /// The protocol that is spoken; the first one until that is known.
    pub(crate) fn protocol(&self) -> &Arc<dyn Protocol> {
        &self.protocols()[usize::from(self.chosen.unwrap_or(0))]
    }

    pub(crate) fn limits(&self) -> &Limits {
        self.session.source().limits()
    }

    fn protocols(&self) -> &Protocols {
        self.session.source().protocols()
    }

    /// Which side the peer is.
    fn peer(&self) -> Role {
        match self.session.config().role {
            Role::Hub => Role::Client,
            Role::Client => Role::Hub,
        }
    }

    /// Lets go of the transport of a session that is over and may go on in another link.
    pub(crate) fn let_go(&mut self) {
        let guarding = self.session.source().guarding();
        self.transport = Guarded::within_session(Box::new(nowhere::Nowhere), guarding);
        self.be_deaf();
    }

    fn be_deaf(&mut self) {
        self.deaf = true;
        self.arrived = None;
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
