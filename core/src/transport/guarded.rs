//! The limits of a transport that need time: [`Guarded`].

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use core::task::{Context, Poll, ready};
use core::time::Duration;

use super::{Goodbye, Incoming, Info, Outgoing, Progress, Transport, TransportError};
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
/// - More signs of life and empty messages than [`Limits::pings`] allows end in [`TransportError::Flood`].
///
/// The peer is told why, where the transport [can](Outgoing::Goodbye): close the transport after such an error. A hub and a client wrap every transport in one; so can a program that uses a transport alone.
/// While nothing is half-way it has no timer and no memory of its own but a few words.
pub struct Guarded<T> {
    transport: T,
    runtime: Arc<dyn Runtime>,
    bounds: Bounds,
    /// Until it is open.
    opening: Option<Opening>,
    idle: Bucket,
    reading: Direction,
    writing: Direction,
}

/// What of the [`Limits`] is enforced here.
struct Bounds {
    handshake: Duration,
    stall: Duration,
    pings: Rate,
}

impl Bounds {
    fn new(limits: &Limits) -> Self {
        Self {
            handshake: limits.handshake,
            stall: limits.stall,
            pings: limits.pings,
        }
    }
}

/// The transport's own handshake.
struct Opening {
    since: Instant,
    /// None while it did not have to wait.
    timer: Option<Box<dyn Timer>>,
}

impl<T: Transport> Guarded<T> {
    /// Guards `transport` by the clock of `runtime`.
    pub fn new(transport: T, runtime: Arc<dyn Runtime>) -> Self {
        Self {
            transport,
            bounds: Bounds::new(&Limits::default()),
            opening: Some(Opening {
                since: runtime.now(),
                timer: None,
            }),
            runtime,
            idle: Bucket::default(),
            reading: Direction::Moving,
            writing: Direction::Moving,
        }
    }

    /// Watches a read that is pending.
    fn poll_read_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Progress {
            received_bytes,
            half_received,
            ..
        } = self.transport.progress();
        let halfway = half_received.then_some(received_bytes);
        self.reading
            .poll_stalled(halfway, &*self.runtime, self.bounds.stall, cx)
    }

    /// Whether a sign of life, or a message that says nothing, is one too many.
    fn is_flooded(&mut self, received: &Result<Incoming, TransportError>) -> bool {
        let says_nothing = match received {
            Ok(Incoming::Message(message)) => message.bytes.is_empty(),
            Ok(Incoming::Alive) => true,
            _ => false,
        };
        says_nothing && !self.idle.spend(self.runtime.now(), self.bounds.pings)
    }

    /// Reads nothing more, and lets the transport tell the peer why; for faults that the transport does not know of.
    fn give_up(&mut self, error: &TransportError) {
        self.reading = Direction::Stopped;
        let code = match error {
            TransportError::Flood => 1008,
            _ => 1013,
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
        self.writing
            .poll_stalled(halfway, &*self.runtime, self.bounds.stall, cx)
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
            self.writing = Direction::Moving;
        }
        written
    }
}

impl<T: Transport> Transport for Guarded<T> {
    fn apply(&mut self, limits: &Limits) {
        self.bounds = Bounds::new(limits);
        self.transport.apply(limits);
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        let Some(opening) = &mut self.opening else {
            return Poll::Ready(Ok(()));
        };
        if let Poll::Ready(opened) = self.transport.poll_open(cx) {
            self.opening = None;
            return Poll::Ready(opened);
        }
        let runtime = &*self.runtime;
        let timer = opening.timer.get_or_insert_with(|| {
            let mut timer = runtime.timer();
            timer.arm(opening.since + self.bounds.handshake);
            timer
        });
        ready!(timer.poll_fired(cx));
        self.opening = None;
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
                ready!(self.poll_read_stalled(cx));
                TransportError::Stalled
            }
        };
        self.give_up(&error);
        Poll::Ready(Err(error))
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.poll_write(cx, T::poll_ready)
    }

    fn start_send(&mut self, outgoing: Outgoing) -> Result<(), TransportError> {
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
enum Direction {
    /// Nothing is half-way, as far as we know.
    Moving,
    /// Something was half-way when last looked at.
    Watched(Box<Watch>),
    /// Something half-way made no progress for too long, or there was too much of nothing.
    Stopped,
}

impl Direction {
    fn has_stopped(&self) -> bool {
        matches!(self, Self::Stopped)
    }

    fn is_watched(&self) -> bool {
        matches!(self, Self::Watched(_))
    }

    /// Looks at a direction that is pending; ready when it has stalled.
    ///
    /// `halfway` counts the bytes that have moved so far, and is `None` when nothing is half-way.
    fn poll_stalled(
        &mut self,
        halfway: Option<u64>,
        runtime: &dyn Runtime,
        stall: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if let (Self::Moving, Some(bytes)) = (&*self, halfway) {
            *self = Self::Watched(Box::new(Watch::new(bytes, runtime, stall)));
        }
        let Self::Watched(watch) = self else {
            return Poll::Pending;
        };
        let Poll::Ready(next) = watch.poll(halfway, runtime, stall, cx) else {
            return Poll::Pending;
        };
        *self = next;
        if self.has_stopped() {
            return Poll::Ready(());
        }
        Poll::Pending
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
    fn new(bytes: u64, runtime: &dyn Runtime, stall: Duration) -> Self {
        let since = runtime.now();
        let mut timer = runtime.timer();
        timer.arm(since + stall);
        Self {
            timer,
            bytes,
            since,
        }
    }

    /// Ready with what the direction is from now on, when that is no longer to be watched.
    fn poll(
        &mut self,
        halfway: Option<u64>,
        runtime: &dyn Runtime,
        stall: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<Direction> {
        if let Some(bytes) = halfway.filter(|bytes| *bytes != self.bytes) {
            self.bytes = bytes;
            self.since = runtime.now();
        }
        while self.timer.poll_fired(cx).is_ready() {
            let end = self.since + stall;
            match halfway {
                None => return Poll::Ready(Direction::Moving),
                Some(_) if runtime.now() >= end => return Poll::Ready(Direction::Stopped),
                Some(_) => self.timer.arm(end),
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
    use core::task::Waker;

    use super::*;
    use crate::runtime::BoxFuture;
    use crate::transport::{Framing, Message};

    const STALL: u64 = 10;

    /// A runtime whose time, in seconds, is set by hand.
    #[derive(Default)]
    struct Clock {
        seconds: AtomicU64,
        timers: AtomicUsize,
        armed: AtomicUsize,
    }

    /// What tests share with the timers they make.
    struct FakeRuntime(Arc<Clock>);

    impl Runtime for FakeRuntime {
        fn now(&self) -> Instant {
            Instant::from_micros(self.0.seconds.load(Ordering::Relaxed) * 1_000_000)
        }

        fn timer(&self) -> Box<dyn Timer> {
            self.0.timers.fetch_add(1, Ordering::Relaxed);
            Box::new(FakeTimer(Arc::clone(&self.0), None))
        }

        fn spawn(&self, _: BoxFuture<'static, ()>) {}

        fn random(&self, _: &mut [u8]) {}
    }

    struct FakeTimer(Arc<Clock>, Option<Instant>);

    impl Drop for FakeTimer {
        fn drop(&mut self) {
            self.0.timers.fetch_sub(1, Ordering::Relaxed);
        }
    }

    impl Timer for FakeTimer {
        fn arm(&mut self, at: Instant) {
            self.0.armed.fetch_add(1, Ordering::Relaxed);
            self.1 = Some(at);
        }

        fn disarm(&mut self) {
            self.1 = None;
        }

        fn poll_fired(&mut self, _: &mut Context<'_>) -> Poll<()> {
            let now = FakeRuntime(Arc::clone(&self.0)).now();
            match self.1 {
                Some(at) if now >= at => {
                    self.1 = None;
                    Poll::Ready(())
                }
                _ => Poll::Pending,
            }
        }
    }

    /// A transport that is as far as a test says.
    #[derive(Default)]
    struct FakeTransport {
        progress: Progress,
        arrived: Option<Message>,
        ended: bool,
    }

    impl FakeTransport {
        fn poll_written(&mut self) -> Poll<Result<(), TransportError>> {
            match self.progress.unsent {
                true => Poll::Pending,
                false => Poll::Ready(Ok(())),
            }
        }
    }

    impl Transport for FakeTransport {
        fn apply(&mut self, _: &Limits) {}

        fn poll_recv(&mut self, _: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>> {
            match self.arrived.take() {
                Some(message) => Poll::Ready(Ok(Incoming::Message(message))),
                None if self.ended => Poll::Ready(Ok(Incoming::End)),
                None => Poll::Pending,
            }
        }

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
            self.poll_written()
        }

        fn start_send(&mut self, _: Outgoing) -> Result<(), TransportError> {
            self.progress.unsent = true;
            Ok(())
        }

        fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
            self.poll_written()
        }

        fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
            self.poll_written()
        }

        fn info(&self) -> Info {
            Info::new("fake", Framing::None)
        }

        fn progress(&self) -> Progress {
            self.progress
        }
    }

    /// A guarded transport and its clock.
    struct Case {
        clock: Arc<Clock>,
        guarded: Guarded<FakeTransport>,
    }

    impl Case {
        fn new() -> Self {
            let clock = Arc::new(Clock::default());
            let runtime = Arc::new(FakeRuntime(Arc::clone(&clock)));
            let guarded = Guarded::new(FakeTransport::default(), runtime);
            Self { clock, guarded }
        }

        fn at(&mut self, seconds: u64) -> &mut Self {
            self.clock.seconds.store(seconds, Ordering::Relaxed);
            self
        }

        fn receive(&mut self, bytes: u64) -> &mut Self {
            self.guarded.transport.progress.half_received = true;
            self.guarded.transport.progress.received_bytes += bytes;
            self
        }

        fn complete(&mut self) -> &mut Self {
            self.guarded.transport.progress.half_received = false;
            self.guarded.transport.arrived = Some(Message::binary(&b"whole"[..]));
            self
        }

        fn timers(&self) -> usize {
            self.clock.timers.load(Ordering::Relaxed)
        }

        fn armed(&self) -> usize {
            self.clock.armed.load(Ordering::Relaxed)
        }

        fn recv(&mut self) -> Poll<Result<Incoming, TransportError>> {
            self.guarded
                .poll_recv(&mut Context::from_waker(Waker::noop()))
        }

        fn flush(&mut self) -> Poll<Result<(), TransportError>> {
            self.guarded
                .poll_flush(&mut Context::from_waker(Waker::noop()))
        }

        fn ready(&mut self) -> Poll<Result<(), TransportError>> {
            self.guarded
                .poll_ready(&mut Context::from_waker(Waker::noop()))
        }
    }

    fn is_stalled<T>(polled: Poll<Result<T, TransportError>>) -> bool {
        matches!(polled, Poll::Ready(Err(TransportError::Stalled)))
    }

    #[test]
    fn a_half_message_stalls_exactly_when_its_time_is_over() {
        let mut case = Case::new();
        assert!(case.at(3).receive(4).recv().is_pending());
        assert!(case.at(3 + STALL - 1).recv().is_pending());
        assert!(is_stalled(case.at(3 + STALL).recv()));
        assert_eq!(case.timers(), 0);
    }

    #[test]
    fn what_comes_after_a_stall_is_thrown_away_up_to_the_end() {
        let mut case = Case::new();
        assert!(case.at(0).receive(4).recv().is_pending());
        assert!(is_stalled(case.at(STALL).recv()));
        assert!(case.at(9 * STALL).recv().is_pending(), "told once");
        assert!(case.complete().recv().is_pending());
        assert!(
            case.guarded.transport.arrived.is_none(),
            "read, and for nobody"
        );
        case.guarded.transport.ended = true;
        let end = case.complete().recv();
        assert!(matches!(end, Poll::Ready(Ok(Incoming::End))));
    }

    #[test]
    fn one_byte_starts_the_time_again() {
        let mut case = Case::new();
        assert!(case.at(0).receive(4).recv().is_pending());
        assert!(case.at(6).receive(1).recv().is_pending());
        assert!(case.at(15).recv().is_pending());
        assert!(is_stalled(case.at(16).recv()));
    }

    #[test]
    fn a_trickle_never_stalls_and_arms_at_most_once_a_period() {
        let mut case = Case::new();
        for second in (0..=900).step_by(9) {
            assert!(case.at(second).receive(1).recv().is_pending());
        }
        assert!(case.armed() as u64 <= 900 / STALL + 1, "{}", case.armed());
    }

    #[test]
    fn a_busy_connection_arms_at_most_once_a_period() {
        let mut case = Case::new();
        for second in 0..100 {
            for _ in 0..10 {
                assert!(case.at(second).receive(1).recv().is_pending());
                assert!(case.complete().recv().is_ready());
            }
        }
        assert!(case.armed() as u64 <= 100 / STALL + 1, "{}", case.armed());
    }

    #[test]
    fn silence_between_messages_never_stalls_and_has_no_timer() {
        let mut case = Case::new();
        assert!(case.recv().is_pending());
        assert!(case.flush().is_ready());
        assert_eq!(case.timers(), 0);

        assert!(case.receive(4).recv().is_pending());
        assert!(case.complete().recv().is_ready());
        assert!(case.at(1_000).recv().is_pending());
        assert_eq!(case.timers(), 0);
    }

    #[test]
    fn a_blocked_write_stalls_and_reading_goes_on() {
        let mut case = Case::new();
        case.guarded
            .start_send(Outgoing::Ping)
            .expect("the fake takes all");
        assert!(case.flush().is_pending());
        assert!(case.at(STALL - 1).ready().is_pending());
        assert!(is_stalled(case.at(STALL).ready()));
        assert!(is_stalled(case.flush()));
        assert!(case.complete().recv().is_ready());
    }

    #[test]
    fn a_write_that_moves_does_not_stall() {
        let mut case = Case::new();
        case.guarded
            .start_send(Outgoing::Ping)
            .expect("the fake takes all");
        assert!(case.flush().is_pending());
        case.guarded.transport.progress.sent_bytes += 1;
        assert!(case.at(STALL).flush().is_pending());

        case.guarded.transport.progress.unsent = false;
        assert!(case.flush().is_ready());
        assert_eq!(case.timers(), 0, "given back when all is written");
    }

    #[test]
    fn a_boxed_transport_is_guarded_too() {
        let boxed: Box<dyn Transport> = Box::new(FakeTransport::default());
        let runtime = Arc::new(FakeRuntime(Arc::new(Clock::default())));
        let guarded: Box<dyn Transport> = Box::new(Guarded::new(boxed, runtime));
        assert_eq!(guarded.info().name, "fake");
    }
}
