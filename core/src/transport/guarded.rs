//! The limits of a transport that need time: [`Guarded`].

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use core::task::{Context, Poll, ready};
use core::time::Duration;

use super::{
    Goodbye, Incoming, Info, Messages, Outgoing, Progress, Transport, TransportError, Upgrade,
};
use crate::limits::{Limits, Rate};
use crate::runtime::{Runtime, Timer};
use crate::session::Bucket;
use crate::time::Instant;

/// Messages of a stalled peer that are thrown away before others have their turn.
const THROWN_AWAY_PER_TURN: usize = 64;

/// A transport whose peer may neither stop half-way nor keep us busy with nothing.
///
/// - A handshake of the transport's own that is not done after [`Limits::handshake`] ends in [`TransportError::Late`].
/// - A message of which a part has arrived and nothing more comes, or a write of which the peer takes nothing more, end in
///   [`TransportError::Stalled`] after [`Limits::stall`] without progress. A peer that is silent between messages is
///   never stalled, nor is one that sends a byte now and then; liveness bounds those.
/// - More signs of life and empty messages than [`Limits::pings`] allows end in [`TransportError::Flood`]. An empty message
///   of a peer that has waited for one of ours is not counted: it goes at our pace.
///
/// The peer is told why, where the transport [can](Outgoing::Goodbye): close the transport after such an error. A hub and a client wrap every transport in one; so can a program that uses a transport alone.
/// While nothing is half-way it has no timer and next to no memory of its own.
pub struct Guarded<T> {
    transport: T,
    guarding: Arc<Guarding>,
    /// Of the transport's own handshake, unless whoever waits for it watches its time.
    handshake: Option<Box<Handshake>>,
    open: bool,
    idle: Bucket,
    turn: Turn,
    reading: Direction,
    writing: Direction,
}

/// Whose turn it is when two talk by turns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// We have said nothing since the peer's last empty message.
    Ours,
    /// We have, and it may have said its next before it heard that.
    Said,
    /// We have, and nothing more of it was there.
    Theirs,
}

/// A clock, and what of the [`Limits`] is enforced here; the connections of a hub share it.
pub(crate) struct Guarding {
    runtime: Arc<dyn Runtime>,
    handshake: Duration,
    stall: Duration,
    pings: Rate,
}

impl Guarding {
    pub(crate) fn new(runtime: Arc<dyn Runtime>, limits: &Limits) -> Self {
        Self {
            runtime,
            handshake: limits.handshake,
            stall: limits.stall,
            pings: limits.pings,
        }
    }

    pub(crate) fn runtime(&self) -> &dyn Runtime {
        &*self.runtime
    }
}

/// The transport's own handshake.
struct Handshake {
    began: Instant,
    /// From when it had to wait.
    timer: Option<Box<dyn Timer>>,
}

impl<T: Transport> Guarded<T> {
    /// Guards `transport` by the clock of `runtime`.
    pub fn new(transport: T, runtime: Arc<dyn Runtime>) -> Self {
        let guarding = Guarding::new(runtime, &Limits::default());
        let handshake = Handshake {
            began: guarding.runtime.now(),
            timer: None,
        };
        Self {
            handshake: Some(Box::new(handshake)),
            ..Self::within_session(transport, Arc::new(guarding))
        }
    }

    /// The same, within a session, whose handshake has one time for everything: no timer is needed for the transport's.
    pub(crate) fn within_session(transport: T, guarding: Arc<Guarding>) -> Self {
        Self {
            transport,
            guarding,
            handshake: None,
            open: false,
            idle: Bucket::default(),
            turn: Turn::Ours,
            reading: Direction::default(),
            writing: Direction::default(),
        }
    }

    /// Ready when the transport's own handshake has taken too long.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(handshake) = &mut self.handshake else {
            return Poll::Pending;
        };
        let Guarding {
            runtime,
            handshake: most,
            ..
        } = &*self.guarding;
        let timer = handshake.timer.get_or_insert_with(|| {
            let mut timer = runtime.timer();
            timer.arm(handshake.began + *most);
            timer
        });
        timer.poll_fired(cx)
    }

    /// Watches a read that is pending.
    fn poll_read_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Progress {
            received_bytes,
            half_received,
            ..
        } = self.transport.progress();
        let halfway = half_received.then_some(received_bytes);
        self.reading.poll_stalled(halfway, &self.guarding, cx)
    }

    /// Whether a sign of life, or a message that says nothing, is one too many.
    fn is_flooded(&mut self, received: &Result<Incoming, TransportError>) -> bool {
        let says_nothing = match received {
            Ok(Incoming::Message(message)) if message.bytes.is_empty() => {
                core::mem::replace(&mut self.turn, Turn::Ours) != Turn::Theirs
            }
            Ok(Incoming::Alive) => true,
            _ => false,
        };
        let Guarding { runtime, pings, .. } = &*self.guarding;
        says_nothing && !self.idle.spend(runtime.now(), *pings)
    }

    /// Reads nothing more, and lets the transport tell the peer why; for faults that the transport does not know of.
    fn give_up(&mut self, error: &TransportError) {
        self.reading.stop();
        let code = match error {
            TransportError::Stalled => 1013,
            _ => 1008,
        };
        let reason = error.to_string();
        // Nobody can be told when that fails.
        let _ = self
            .transport
            .start_send(Outgoing::Goodbye(Goodbye { code, reason }));
    }

    /// Reads for nobody until the peer has finished: its late bytes would destroy our last words.
    fn poll_throw_away(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>> {
        for _ in 0..THROWN_AWAY_PER_TURN {
            match ready!(self.transport.poll_recv(cx)) {
                Ok(Incoming::End) | Err(TransportError::Io(_)) => {
                    return Poll::Ready(Ok(Incoming::End));
                }
                Ok(_) | Err(_) => {}
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Watches a write that is pending.
    fn poll_write_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Progress {
            sent_bytes, unsent, ..
        } = self.transport.progress();
        let halfway = unsent.then_some(sent_bytes);
        self.writing.poll_stalled(halfway, &self.guarding, cx)
    }

    /// Does `write`, one of the three writing functions, and watches it.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(&mut T, &mut Context<'_>) -> Poll<Result<(), TransportError>>,
    ) -> Poll<Result<(), TransportError>> {
        if self.writing.has_stopped() {
            return Poll::Ready(Err(TransportError::Stalled));
        }
        let written = write(&mut self.transport, cx);
        if written.is_pending() {
            return self
                .poll_write_stalled(cx)
                .map(|()| Err(TransportError::Stalled));
        }
        // Nobody may write for a long time now, so the timer would not be looked at.
        if self.writing.is_watched() && !self.transport.progress().unsent {
            self.writing = Direction::default();
        }
        written
    }
}

impl<T: Transport> Transport for Guarded<T> {
    fn apply(&mut self, limits: &Limits) {
        let runtime = self.guarding.runtime.clone();
        self.guarding = Arc::new(Guarding::new(runtime, limits));
        self.transport.apply(limits);
    }

    fn poll_open(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Box<Upgrade>>, TransportError>> {
        if self.open {
            return Poll::Ready(Ok(None));
        }
        if let Poll::Ready(opened) = self.transport.poll_open(cx) {
            (self.open, self.handshake) = (true, None);
            return Poll::Ready(opened);
        }
        ready!(self.poll_late(cx));
        (self.open, self.handshake) = (true, None);
        self.give_up(&TransportError::Late);
        Poll::Ready(Err(TransportError::Late))
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>> {
        if self.reading.has_stopped() {
            return self.poll_throw_away(cx);
        }
        let error = match self.transport.poll_recv(cx) {
            Poll::Ready(received) if !self.is_flooded(&received) => return Poll::Ready(received),
            Poll::Ready(_) => TransportError::Flood,
            Poll::Pending => {
                if self.turn == Turn::Said {
                    self.turn = Turn::Theirs;
                }
                ready!(self.poll_read_stalled(cx));
                TransportError::Stalled
            }
        };
        self.give_up(&error);
        Poll::Ready(Err(error))
    }

    fn recv_more(&mut self) -> Messages {
        match self.reading.has_stopped() {
            true => Messages::default(),
            false => self.transport.recv_more(),
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.poll_write(cx, T::poll_ready)
    }

    fn start_send(&mut self, outgoing: Outgoing) -> Result<(), TransportError> {
        if matches!(outgoing, Outgoing::Message(_) | Outgoing::Framed(_)) {
            self.turn = Turn::Said;
        }
        self.transport.start_send(outgoing)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.poll_write(cx, T::poll_flush)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.poll_write(cx, T::poll_close)
    }

    fn info(&self) -> Info {
        self.transport.info()
    }

    fn progress(&self) -> Progress {
        self.transport.progress()
    }
}

/// One direction of a transport. Reading and writing wake separately, so each has a watch of its own.
///
/// Nothing while nothing is half-way, as far as we know.
#[derive(Default)]
struct Direction(Option<Box<Halfway>>);

enum Halfway {
    /// Something was half-way when last looked at.
    Watched(Watch),
    /// Something half-way made no progress for too long, or there was too much of nothing.
    Stopped,
}

impl Direction {
    fn has_stopped(&self) -> bool {
        matches!(self.0.as_deref(), Some(Halfway::Stopped))
    }

    fn is_watched(&self) -> bool {
        matches!(self.0.as_deref(), Some(Halfway::Watched(_)))
    }

    fn stop(&mut self) {
        self.0 = Some(Box::new(Halfway::Stopped));
    }

    /// Looks at a direction that is pending; ready when it has stalled.
    ///
    /// `halfway` counts the bytes that have moved so far, and is `None` when nothing is half-way.
    fn poll_stalled(
        &mut self,
        halfway: Option<u64>,
        guarding: &Guarding,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if let (None, Some(bytes)) = (&self.0, halfway) {
            let watch = Watch::new(bytes, guarding);
            self.0 = Some(Box::new(Halfway::Watched(watch)));
        }
        let Some(Halfway::Watched(watch)) = self.0.as_deref_mut() else {
            return Poll::Pending;
        };
        if !ready!(watch.poll(halfway, guarding, cx)) {
            self.0 = None;
            return Poll::Pending;
        }
        self.stop();
        Poll::Ready(())
    }
}

/// Looks whether bytes move.
///
/// The timer is armed for the earliest possible stall, and again only after it has fired: once in
/// [`Limits::stall`] at most, however busy the connection is.
struct Watch {
    timer: Box<dyn Timer>,
    /// How many bytes had moved when last looked at.
    bytes: u64,
    /// When the last of them moved.
    since: Instant,
}

impl Watch {
    fn new(bytes: u64, guarding: &Guarding) -> Self {
        let since = guarding.runtime.now();
        let mut timer = guarding.runtime.timer();
        timer.arm(since + guarding.stall);
        Self {
            timer,
            bytes,
            since,
        }
    }

    /// Ready when the direction is no longer to be watched: whether it has stalled.
    fn poll(
        &mut self,
        halfway: Option<u64>,
        guarding: &Guarding,
        cx: &mut Context<'_>,
    ) -> Poll<bool> {
        let Guarding { runtime, stall, .. } = guarding;
        if let Some(bytes) = halfway.filter(|bytes| *bytes != self.bytes) {
            self.bytes = bytes;
            self.since = runtime.now();
        }
        while self.timer.poll_fired(cx).is_ready() {
            let end = self.since + *stall;
            match halfway {
                None => return Poll::Ready(false),
                Some(_) if runtime.now() >= end => return Poll::Ready(true),
                Some(_) => self.timer.arm(end),
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
