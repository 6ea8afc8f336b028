//! One session over one link, turned by hand.

use core::time::Duration;

use lapwing::Instant;
use lapwing::limits::Rate;
use lapwing::session::{
    CallSlot, Config, Ending, FixedLane, Input, Output, Role, Session, SessionEvent, Store, Wish,
};
use lapwing::wire::{
    self, Close, CloseReason, DecodeError, Encoding, Encodings, Frame, NoRoom, Return, Terms,
};

use crate::inbox::{Inbox, PREFIX, TooLarge};

/// The largest message, in bytes; the hub learns it in the handshake.
const MESSAGE_BYTES_MAX: usize = 1_024;

/// Room for each frame that is not in the lane: hello, pings and last words.
const CONTROL_BYTES_MAX: usize = 128;

/// Moves bytes and tells the time: all that a board has to have.
pub trait Link {
    /// The time since some start.
    fn now(&mut self) -> Instant;

    /// Waits until bytes arrive, at most until `deadline`, and says how many; `None` when the time is over, zero at the end.
    ///
    /// # Errors
    ///
    /// [`Broken`] when nothing will ever arrive again.
    fn read(&mut self, into: &mut [u8], deadline: Option<Instant>)
    -> Result<Option<usize>, Broken>;

    /// Writes all of it.
    ///
    /// # Errors
    ///
    /// [`Broken`] when nothing can ever be written again.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Broken>;
}

/// The link moves no more bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// Why a [`Peer`] cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The link is broken.
    Broken,
    /// The hub sent more than it may.
    TooLarge,
    /// A frame does not fit where it should go.
    NoRoom,
}

/// Frames that wait to leave.
#[derive(Default)]
pub struct Queues {
    lane: FixedLane<512, 8>,
}

impl Queues {
    /// Appends a frame.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] when it does not fit: let the peer turn first.
    pub fn push(&mut self, frame: &Frame<'_>) -> Result<(), NoRoom> {
        self.lane.push(frame)
    }
}

impl Store for Queues {
    type Lane = FixedLane<512, 8>;

    fn parts(&mut self) -> (&mut Self::Lane, &mut [CallSlot]) {
        (&mut self.lane, &mut [])
    }
}

/// A client at one end of a link.
pub struct Peer<L> {
    link: L,
    session: Session<&'static Config>,
    queues: Queues,
    inbox: Inbox<{ MESSAGE_BYTES_MAX + PREFIX }>,
}

impl<L: Link> Peer<L> {
    /// Says hello.
    ///
    /// # Errors
    ///
    /// [`Error`]: there is no hub at the other end.
    pub fn connect(mut link: L, token: Option<&[u8]>) -> Result<Self, Error> {
        let now = link.now();
        let mut session = Session::new(&CONFIG, now);
        let hello = session.hello(token, Wish::default(), now);
        send(&mut link, &Frame::Hello(hello))?;
        Ok(Self {
            link,
            session,
            queues: Queues::default(),
            inbox: Inbox::new(),
        })
    }

    /// Writes what is to be said, then waits for something to happen; `heard` acts on what the hub says.
    ///
    /// Call it again and again until it tells how the session ended.
    ///
    /// # Errors
    ///
    /// [`Error`]: drop the peer, and connect again later.
    pub fn turn(
        &mut self,
        mut heard: impl FnMut(Input<'_>, &mut Queues),
    ) -> Result<Option<Ending>, Error> {
        self.write()?;
        if let Some(SessionEvent::Ended(ending)) = self.session.poll_event(&mut self.queues) {
            return Ok(Some(ending));
        }
        let deadline = self.session.poll_timeout();
        match self.link.read(self.inbox.room(), deadline)? {
            Some(0) => self.session.handle_end(),
            Some(bytes) => self.inbox.filled(bytes),
            None => {
                let now = self.link.now();
                self.session.handle_timeout(&mut self.queues, now);
            }
        }
        self.hear(&mut heard)?;
        Ok(None)
    }

    /// Says good-bye, after everything that waits to leave.
    pub fn close(&mut self) {
        let close = Close {
            reason: CloseReason::Done,
            verdict: Return::Now,
        };
        let now = self.link.now();
        self.session.close(close, true, now);
    }

    fn write(&mut self) -> Result<(), Error> {
        let now = self.link.now();
        while let Some(output) = self.session.poll_frame(&mut self.queues, now) {
            match output {
                Output::Control(frame) => send(&mut self.link, &frame)?,
                Output::Data(chunk) => send_bytes(&mut self.link, chunk)?,
            }
        }
        Ok(())
    }

    fn hear(&mut self, heard: &mut impl FnMut(Input<'_>, &mut Queues)) -> Result<(), Error> {
        let now = self.link.now();
        while let Some(message) = self.inbox.message()? {
            match wire::decode(message) {
                Ok(Some(frame)) => {
                    let input = self.session.handle_frame(frame, &mut self.queues, now);
                    heard(input, &mut self.queues);
                }
                Ok(None) | Err(DecodeError::Empty) => self.session.handle_skipped(now),
                Err(_) => {
                    self.session.violate(CloseReason::Malformed, now);
                }
            }
            let length = message.len();
            self.inbox.remove(length);
        }
        Ok(())
    }
}

fn send(link: &mut impl Link, frame: &Frame<'_>) -> Result<(), Error> {
    let mut buffer = [0; CONTROL_BYTES_MAX];
    let length = wire::encode(frame, &mut buffer)?;
    send_bytes(link, &buffer[..length])
}

fn send_bytes(link: &mut impl Link, message: &[u8]) -> Result<(), Error> {
    link.write(&(message.len() as u32).to_be_bytes())?;
    Ok(link.write(message)?)
}

/// In read-only memory: chips have more of it.
static CONFIG: Config = {
    let rate = Rate {
        per_second: 100,
        burst: 400,
    };
    Config {
        role: Role::Client,
        terms: Terms {
            encodings: Encodings::NONE.with(Encoding::Text).with(Encoding::Bytes),
            promise_ms: 25_000,
            message_bytes_max: MESSAGE_BYTES_MAX as u32,
            subscriptions_max: 4,
        },
        grace: Duration::from_secs(20),
        promise_max: Duration::from_secs(600),
        handshake: Duration::from_secs(10),
        closing: Duration::from_secs(5),
        pings: rate,
        requests: rate,
    }
};

impl From<Broken> for Error {
    fn from(_: Broken) -> Self {
        Self::Broken
    }
}

impl From<TooLarge> for Error {
    fn from(_: TooLarge) -> Self {
        Self::TooLarge
    }
}

impl From<NoRoom> for Error {
    fn from(_: NoRoom) -> Self {
        Self::NoRoom
    }
}
