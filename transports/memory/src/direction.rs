//! One direction of a link: a bounded queue with faults.

use core::task::Waker;
use core::time::Duration;
use std::sync::Arc;

use lapwing::Instant;
use lapwing::runtime::Runtime;
use lapwing::transport::Message;

use crate::flight::{Flight, Item, Landed, Trickle};
use crate::toll::Toll;

/// Bytes on their way in one direction, or one message if that is larger: what the contract of a transport allows.
const IN_FLIGHT_BYTES_MAX: usize = 64 * 1024;

/// Messages on their way in one direction: bounds what small ones cost beyond their bytes.
const IN_FLIGHT_MAX: usize = 256;

/// The same for pieces of a stream, which may be single bytes.
const PIECES_IN_FLIGHT_MAX: usize = 4_096;

/// What is wrong with one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fault {
    /// How long everything takes.
    pub(crate) delay: Duration,
    /// At what pace bytes arrive.
    pub(crate) trickle: Option<Trickle>,
    /// Nothing moves.
    pub(crate) stall: Option<Stall>,
    /// Nothing moves, for a reason of its own: the end of one leaves the other as it is.
    pub(crate) partitioned: bool,
}

impl Fault {
    fn moves(self) -> bool {
        self.stall.is_none() && !self.partitioned
    }
}

/// Where a stalled direction has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stall {
    BetweenMessages,
    WithinMessage,
}

/// What [`Direction::take`] finds.
pub(crate) enum Taken {
    /// It has arrived; the sender is to be woken when that gave it room.
    Message(Message, Option<Waker>),
    End,
    Reset,
    /// Something arrives at this instant.
    Later(Instant),
    Nothing,
}

/// A queue from one end to the other, with what both sides keep of it.
///
/// Whoever calls a function that returns a waker wakes it, after unlocking.
#[derive(Default)]
pub(crate) struct Direction {
    pub(crate) receiver: Option<Waker>,
    pub(crate) sender: Option<Waker>,
    pub(crate) sent_bytes: u64,
    received_bytes: u64,
    fault: Fault,
    toll: Arc<Toll>,
    /// Started, and not yet on its way.
    outbox: Option<Message>,
    flight: Flight,
    /// The sender has said its last word.
    ended: bool,
    /// Nobody receives any more.
    deserted: bool,
    /// What is sent is lost, and the sender does not notice.
    silent: bool,
}

impl Direction {
    pub(crate) fn new(toll: &Arc<Toll>) -> Self {
        Self {
            toll: toll.clone(),
            ..Self::default()
        }
    }

    /// Whether it is neither stalled nor partitioned.
    pub(crate) fn moves(&self) -> bool {
        self.fault.moves()
    }

    /// Whether everything started is on its way, so that the next message may be started.
    pub(crate) fn is_flushed(&self) -> bool {
        self.outbox.is_none()
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Whether the sender knows that nobody receives: not while nothing moves, for then nobody told it.
    pub(crate) fn is_deserted(&self) -> bool {
        self.deserted && !self.silent && self.fault.moves()
    }

    /// Whether the link is to break now: asked once, the answer is yes once.
    pub(crate) fn is_spent(&self) -> bool {
        !self.silent && self.toll.is_spent()
    }

    /// Bytes that have arrived, and whether the beginning of a message has and its end has not.
    pub(crate) fn progress(&self, clock: &dyn Runtime) -> (u64, bool) {
        let partial = self.flight.half_received(clock);
        let half = partial > 0 || self.stands_within_message();
        (self.received_bytes + partial as u64, half)
    }

    fn stands_within_message(&self) -> bool {
        let message = self.outbox.is_some() || self.flight.bytes() > 0;
        message && self.fault.stall == Some(Stall::WithinMessage)
    }

    /// Takes in `message`, which may have to wait for room.
    pub(crate) fn start(&mut self, message: Message, clock: &dyn Runtime) -> Option<Waker> {
        assert!(
            self.is_flushed(),
            "a message was started while the transport was not ready"
        );
        self.outbox = Some(message);
        let news = self.advance(clock) || self.stands_within_message();
        self.receiver.take_if(|_| news)
    }

    /// How many bytes of a stream may be written now.
    pub(crate) fn room(&self) -> usize {
        if self.silent {
            return IN_FLIGHT_BYTES_MAX;
        }
        let crowded = self.flight.count() >= PIECES_IN_FLIGHT_MAX;
        let room = IN_FLIGHT_BYTES_MAX - self.flight.bytes().min(IN_FLIGHT_BYTES_MAX);
        match self.fault.moves() && !crowded {
            true => room.min(self.flight.piece_bytes_max()),
            false => 0,
        }
    }

    /// Puts bytes of a stream on their way, no more than there is [`room`](Self::room) for; how many went.
    pub(crate) fn write(&mut self, message: Message, clock: &dyn Runtime) -> usize {
        let mut message = message;
        let passed = match self.silent {
            true => message.bytes.len() as u64,
            false => self.toll.pass(message.bytes.len() as u64),
        };
        message
            .bytes
            .truncate(usize::try_from(passed).unwrap_or(usize::MAX));
        let written = message.bytes.len();
        if written > 0 {
            self.depart(message, clock);
        }
        written
    }

    /// Ends the direction behind what is in flight; what is not yet on its way is lost.
    pub(crate) fn end(&mut self, clock: &dyn Runtime) -> Option<Waker> {
        if self.ended {
            return None;
        }
        self.ended = true;
        self.outbox = None;
        self.launch(Item::End, clock);
        self.receiver.take()
    }

    /// Gives up what nobody will receive.
    pub(crate) fn desert(&mut self) -> Option<Waker> {
        self.deserted = true;
        self.flight.clear();
        self.sender.take()
    }

    /// From now on nothing arrives, and the sender does not notice.
    pub(crate) fn silence(&mut self, clock: &dyn Runtime) {
        self.silent = true;
        self.flight.clear();
        self.advance(clock);
    }

    /// Breaks behind what is in flight, which still arrives.
    pub(crate) fn reset(&mut self, clock: &dyn Runtime) {
        self.launch(Item::Reset, clock);
        self.silent = true;
        self.advance(clock);
    }

    pub(crate) fn set_fault(&mut self, fault: Fault, clock: &dyn Runtime) {
        self.fault = fault;
        self.flight.set_trickle(fault.trickle, clock);
        self.advance(clock);
    }

    /// The next that has arrived, whole or, with `bytes_max`, as bytes of a stream.
    pub(crate) fn take(&mut self, bytes_max: Option<usize>, clock: &dyn Runtime) -> Taken {
        if !self.fault.moves() {
            return Taken::Nothing;
        }
        let piece = bytes_max.map(|most| most.min(self.flight.piece_bytes_max()));
        match self.flight.land(piece, clock) {
            Landed::Message(message) => {
                self.received_bytes += message.bytes.len() as u64;
                let room = self.advance(clock) || bytes_max.is_some();
                Taken::Message(message, self.sender.take_if(|_| room))
            }
            Landed::End => Taken::End,
            Landed::Reset => Taken::Reset,
            Landed::Later(at) => Taken::Later(at),
            Landed::Nothing => Taken::Nothing,
        }
    }

    /// Puts what was started on its way, if it may go; whether it did.
    fn advance(&mut self, clock: &dyn Runtime) -> bool {
        let Some(message) = self.outbox.take() else {
            return false;
        };
        if !self.may_go(message.bytes.len()) {
            self.outbox = Some(message);
            return false;
        }
        if self.silent || self.toll.pass(1) == 1 {
            self.depart(message, clock);
        }
        true
    }

    fn may_go(&self, bytes: usize) -> bool {
        let fits = self.flight.bytes() + bytes <= IN_FLIGHT_BYTES_MAX
            && self.flight.count() < IN_FLIGHT_MAX;
        self.silent || (self.fault.moves() && (fits || self.flight.is_empty()))
    }

    fn depart(&mut self, message: Message, clock: &dyn Runtime) {
        self.sent_bytes += message.bytes.len() as u64;
        if !self.silent {
            self.toll.count(message.bytes.len());
        }
        self.launch(Item::Message(message), clock);
    }

    fn launch(&mut self, item: Item, clock: &dyn Runtime) {
        if self.silent || self.deserted {
            return;
        }
        let delayed = !self.fault.delay.is_zero();
        let arrives = delayed.then(|| clock.now() + self.fault.delay);
        self.flight.launch(item, arrives);
    }
}
