//! One direction of a link: a bounded queue with faults.

use core::task::Waker;
use core::time::Duration;
use std::collections::VecDeque;

use lapwing::Instant;
use lapwing::runtime::Runtime;
use lapwing::transport::{Incoming, Message};

/// Bytes on their way in one direction, or one message if that is larger: what the contract of a transport allows.
const IN_FLIGHT_BYTES_MAX: usize = 64 * 1024;

/// Messages on their way in one direction: bounds what small ones cost beyond their bytes.
const IN_FLIGHT_MAX: usize = 256;

/// What is wrong with one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fault {
    /// How long everything takes.
    pub(crate) delay: Duration,
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
    /// Something has arrived; the sender is to be woken when that gave it room.
    Incoming(Incoming, Option<Waker>),
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
    pub(crate) received_bytes: u64,
    fault: Fault,
    /// Started, and not yet on its way.
    outbox: Option<Message>,
    in_flight: VecDeque<InFlight>,
    in_flight_bytes: usize,
    /// The sender has said its last word.
    ended: bool,
    /// Nobody receives any more.
    deserted: bool,
    /// What is sent is lost, and the sender does not notice.
    silent: bool,
}

struct InFlight {
    /// `None` is at once: no clock is read as long as nothing is delayed.
    arrives: Option<Instant>,
    incoming: Incoming,
}

impl Direction {
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

    /// Whether the beginning of a message has arrived and its end has not.
    pub(crate) fn is_half_received(&self) -> bool {
        let next = self.in_flight.front().map(|first| &first.incoming);
        let message = self.outbox.is_some() || matches!(next, Some(Incoming::Message(_)));
        message && self.fault.stall == Some(Stall::WithinMessage)
    }

    /// Takes in `message`, which may have to wait for room.
    pub(crate) fn start(&mut self, message: Message, clock: &dyn Runtime) -> Option<Waker> {
        assert!(
            self.is_flushed(),
            "a message was started while the transport was not ready"
        );
        self.outbox = Some(message);
        let news = self.advance(clock) || self.is_half_received();
        self.receiver.take_if(|_| news)
    }

    /// Ends the direction behind what is in flight; what is not yet on its way is lost.
    pub(crate) fn end(&mut self, clock: &dyn Runtime) -> Option<Waker> {
        if self.ended {
            return None;
        }
        self.ended = true;
        self.outbox = None;
        self.launch(Incoming::End, clock);
        self.receiver.take()
    }

    /// Gives up what nobody will receive.
    pub(crate) fn desert(&mut self) -> Option<Waker> {
        self.deserted = true;
        self.in_flight.clear();
        self.in_flight_bytes = 0;
        self.sender.take()
    }

    /// From now on nothing arrives, and the sender does not notice.
    pub(crate) fn silence(&mut self, clock: &dyn Runtime) {
        self.silent = true;
        self.in_flight.clear();
        self.in_flight_bytes = 0;
        self.advance(clock);
    }

    pub(crate) fn set_fault(&mut self, fault: Fault, clock: &dyn Runtime) {
        self.fault = fault;
        self.advance(clock);
    }

    /// The next that has arrived.
    pub(crate) fn take(&mut self, clock: &dyn Runtime) -> Taken {
        let Some(first) = self.in_flight.front().filter(|_| self.fault.moves()) else {
            return Taken::Nothing;
        };
        match first.arrives.filter(|arrives| *arrives > clock.now()) {
            Some(arrives) => Taken::Later(arrives),
            None => self.take_first(clock),
        }
    }

    fn take_first(&mut self, clock: &dyn Runtime) -> Taken {
        // The end stays where it is, to be read again and again.
        let message = self
            .in_flight
            .pop_front_if(|first| first.incoming != Incoming::End);
        let Some(InFlight { incoming, .. }) = message else {
            return Taken::Incoming(Incoming::End, None);
        };
        let bytes = length(&incoming);
        self.in_flight_bytes -= bytes;
        self.received_bytes += bytes as u64;
        let room = self.advance(clock);
        Taken::Incoming(incoming, self.sender.take_if(|_| room))
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
        self.sent_bytes += message.bytes.len() as u64;
        self.launch(Incoming::Message(message), clock);
        true
    }

    fn may_go(&self, bytes: usize) -> bool {
        let fits = self.in_flight_bytes + bytes <= IN_FLIGHT_BYTES_MAX
            && self.in_flight.len() < IN_FLIGHT_MAX;
        self.silent || (self.fault.moves() && (fits || self.in_flight.is_empty()))
    }

    fn launch(&mut self, incoming: Incoming, clock: &dyn Runtime) {
        if self.silent || self.deserted {
            return;
        }
        self.in_flight_bytes += length(&incoming);
        let delayed = !self.fault.delay.is_zero();
        let arrives = delayed.then(|| clock.now() + self.fault.delay);
        self.in_flight.push_back(InFlight { arrives, incoming });
    }
}

fn length(incoming: &Incoming) -> usize {
    match incoming {
        Incoming::Message(message) => message.bytes.len(),
        Incoming::Alive | Incoming::Goodbye(_) | Incoming::End => 0,
    }
}
