use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use core::task::Waker;

use super::*;
use crate::runtime::BoxFuture;
use crate::transport::{Framing, Message};

const STALL: u64 = 10;
const HANDSHAKE: u64 = 10;

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
    alive: u32,
    ended: bool,
    /// Its own handshake is not done.
    shut: bool,
    goodbye: Option<Goodbye>,
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

    fn poll_open(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<Result<Option<Box<Upgrade>>, TransportError>> {
        match self.shut {
            true => Poll::Pending,
            false => Poll::Ready(Ok(None)),
        }
    }

    fn poll_recv(&mut self, _: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>> {
        if self.alive > 0 {
            self.alive -= 1;
            return Poll::Ready(Ok(Incoming::Alive));
        }
        match self.arrived.take() {
            Some(message) => Poll::Ready(Ok(Incoming::Message(message))),
            None if self.ended => Poll::Ready(Ok(Incoming::End)),
            None => Poll::Pending,
        }
    }

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.poll_written()
    }

    fn start_send(&mut self, outgoing: Outgoing) -> Result<(), TransportError> {
        match outgoing {
            Outgoing::Goodbye(goodbye) => self.goodbye = Some(goodbye),
            _ => self.progress.unsent = true,
        }
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

    fn open(&mut self) -> Poll<Result<Option<Box<Upgrade>>, TransportError>> {
        self.guarded
            .poll_open(&mut Context::from_waker(Waker::noop()))
    }

    /// What the peer will be told.
    fn code(&self) -> Option<u16> {
        let goodbye = self.guarded.transport.goodbye.as_ref()?;
        Some(goodbye.code)
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
    assert_eq!(case.code(), Some(1013));
}

#[test]
fn a_handshake_is_late_exactly_when_its_time_is_over() {
    let mut case = Case::new();
    case.guarded.transport.shut = true;
    assert!(case.at(3).open().is_pending());
    assert!(case.at(HANDSHAKE - 1).open().is_pending());
    let late = case.at(HANDSHAKE).open();
    assert!(matches!(late, Poll::Ready(Err(TransportError::Late))));
    assert_eq!((case.timers(), case.code()), (0, Some(1008)));
    assert!(case.complete().recv().is_pending(), "nobody listens now");
}

#[test]
fn a_handshake_that_is_done_has_no_timer() {
    let mut case = Case::new();
    case.guarded.transport.shut = true;
    assert!(case.open().is_pending());
    case.guarded.transport.shut = false;
    assert!(case.at(HANDSHAKE).open().is_ready());
    assert_eq!((case.timers(), case.code()), (0, None));
    assert!(case.complete().recv().is_ready());
}

#[test]
fn more_signs_of_life_than_allowed_are_a_flood() {
    let burst = Limits::default().pings.burst;
    let mut case = Case::new();
    case.at(1).guarded.transport.alive = burst + 1;
    for _ in 0..burst {
        assert!(matches!(case.recv(), Poll::Ready(Ok(Incoming::Alive))));
    }
    let flood = case.recv();
    assert!(matches!(flood, Poll::Ready(Err(TransportError::Flood))));
    assert_eq!(case.code(), Some(1008));
    assert!(case.complete().recv().is_pending(), "nobody listens now");
}

#[test]
fn empty_messages_are_as_many_as_pings_and_others_are_free() {
    let burst = Limits::default().pings.burst;
    let mut case = Case::new();
    case.at(1);
    let mut hear = |bytes: &'static [u8]| {
        case.guarded.transport.arrived = Some(Message::binary(bytes));
        case.recv()
    };
    for _ in 0..burst {
        assert!(matches!(hear(b""), Poll::Ready(Ok(_))));
        assert!(matches!(hear(b"something"), Poll::Ready(Ok(_))));
    }
    assert!(matches!(hear(b""), Poll::Ready(Err(TransportError::Flood))));
}

#[test]
fn empty_messages_by_turns_are_free_and_pipelined_ones_are_not() {
    let burst = Limits::default().pings.burst;
    let mut case = Case::new();
    case.at(1);
    let mut hear_and_answer = |waits: bool| {
        case.guarded.transport.arrived = Some(Message::binary(&b""[..]));
        let heard = case.recv();
        let answer = Outgoing::Message(Message::binary(&b""[..]));
        case.guarded.start_send(answer).expect("the fake takes all");
        assert!(!waits || case.recv().is_pending());
        heard
    };
    for _ in 0..2 * burst {
        assert!(matches!(hear_and_answer(true), Poll::Ready(Ok(_))));
    }
    let flood = (0..2 * burst).find_map(|_| match hear_and_answer(false) {
        Poll::Ready(Err(error)) => Some(error),
        _ => None,
    });
    assert!(matches!(flood, Some(TransportError::Flood)));
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
