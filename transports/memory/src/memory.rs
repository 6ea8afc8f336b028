//! One end of a link, as a transport.

use core::task::{Context, Poll, Waker, ready};
use std::io;
use std::sync::Arc;

use lapwing::runtime::{Runtime, Timer};
use lapwing::transport::{
    Framing, Incoming, Info, Message, Outgoing, Progress, Transport, TransportError,
};
use lapwing::{Instant, Limits};

use crate::crash::{Crash, Holding};
use crate::direction::{Direction, Taken};
use crate::link::{Faults, Link, Side};
use crate::runtime::current::{Wait, handed_over, hold, wait_for};

/// Two ends of one connection, without a network: the first for a client, the second for a hub.
///
/// Faults need a [`Network`](crate::Network).
///
/// # Examples
///
/// ```
/// use std::future::poll_fn;
/// use lapwing::transport::{Incoming, Message, Outgoing, Transport};
/// use lapwing_memory::{Virtual, pair};
///
/// let sim = Virtual::new(7);
/// let (mut client, mut hub) = pair(&sim.runtime());
/// sim.run(async {
///     poll_fn(|cx| client.poll_ready(cx)).await?;
///     client.start_send(Outgoing::Message(Message::binary("hello")))?;
///     let heard = poll_fn(|cx| hub.poll_recv(cx)).await?;
///     assert_eq!(heard, Incoming::Message(Message::binary("hello")));
///     Ok::<_, lapwing::transport::TransportError>(())
/// })??;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub fn pair(runtime: &Arc<dyn Runtime>) -> (Memory, Memory) {
    let link = Arc::new(Link::new(runtime, &Faults::default()));
    Memory::both(&link, "client".into(), "hub".into())
}

/// One end of a connection within this process; from [`pair`] or [`Network`](crate::Network).
///
/// Messages are handed over as they are: no copy, no framing. Dropping an end is an end of its messages that
/// needs no answer: the peer reads what was flushed, then [`Incoming::End`], and its own messages are refused.
///
/// # When full
///
/// Each direction holds at most 64 KiB or one message, and 256 messages; then one more may be started, and
/// waits until the peer has received some.
pub struct Memory {
    link: Arc<Link>,
    side: Side,
    peer: Arc<str>,
    message_bytes_max: u64,
    /// What is wrong was told, once: what follows is thrown away.
    failed: bool,
    /// Made when the first delayed message is waited for.
    timer: Option<Box<dyn Timer>>,
}

impl Memory {
    /// The end of the client and that of the hub; each is told the name of the other.
    pub(crate) fn both(link: &Arc<Link>, client: Arc<str>, hub: Arc<str>) -> (Self, Self) {
        (
            Self::new(link, Side::Client, hub),
            Self::new(link, Side::Hub, client),
        )
    }

    fn new(link: &Arc<Link>, side: Side, peer: Arc<str>) -> Self {
        Self {
            link: link.clone(),
            side,
            peer,
            message_bytes_max: Limits::default().message_bytes_max.into(),
            failed: false,
            timer: None,
        }
    }

    /// Lets the process whose task is being polled, if any, take it along in a crash.
    pub(crate) fn held(self) -> Self {
        hold(Holding::end(&self.link, self.side));
        self
    }

    /// Goes with its machine.
    pub(crate) fn crash(&self, crash: Crash) {
        self.link
            .change(|state, clock| state.crash(self.side, crash, clock));
    }

    fn receive(&mut self, incoming: Incoming) -> Result<Incoming, TransportError> {
        let Incoming::Message(message) = incoming else {
            return Ok(incoming);
        };
        let size = message.bytes.len() as u64;
        if size > self.message_bytes_max {
            self.failed = true;
            return Err(TransportError::MessageTooLarge {
                size,
                max: self.message_bytes_max,
            });
        }
        handed_over(&message.bytes);
        // Whoever keeps what it got shall not keep what the sender pays for.
        let bytes = message.bytes.to_vec().into();
        Ok(Incoming::Message(Message { bytes, ..message }))
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>> {
        let mut state = self.link.lock();
        if state.is_broken(self.side) {
            return Poll::Ready(Err(reset()));
        }
        let direction = state.receiving(self.side);
        let at = match direction.take(&*self.link.runtime) {
            Taken::Incoming(incoming, sender) => {
                drop(state);
                wake(sender);
                return Poll::Ready(Ok(incoming));
            }
            Taken::Later(at) => Some(at),
            Taken::Nothing => None,
        };
        let older = park(&mut direction.receiver, cx);
        drop(state);
        drop(older);
        self.await_arrival(at, cx);
        Poll::Pending
    }

    /// Waits for what arrives `at` that instant, or for anything when there is none.
    fn await_arrival(&mut self, at: Option<Instant>, cx: &mut Context<'_>) {
        let Some(at) = at else {
            if let Some(timer) = &mut self.timer {
                timer.disarm();
            }
            wait_for(|| Wait::Message {
                peer: self.peer.clone(),
            });
            return;
        };
        let timer = self.timer.get_or_insert_with(|| self.link.runtime.timer());
        timer.arm(at);
        if timer.poll_fired(cx).is_ready() {
            // It has arrived between two looks at the clock.
            cx.waker().wake_by_ref();
        }
    }

    /// What `check` says of the direction in which this end sends; pending, the peer's progress wakes.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        check: fn(&Direction) -> Poll<Result<(), TransportError>>,
    ) -> Poll<Result<(), TransportError>> {
        let mut state = self.link.lock();
        if state.is_broken(self.side) {
            return Poll::Ready(Err(reset()));
        }
        let direction = state.sending(self.side);
        let checked = check(direction);
        if checked.is_pending() {
            let older = park(&mut direction.sender, cx);
            drop(state);
            drop(older);
            wait_for(|| Wait::Room {
                peer: self.peer.clone(),
            });
        }
        checked
    }
}

impl Transport for Memory {
    fn apply(&mut self, limits: &Limits) {
        self.message_bytes_max = limits.message_bytes_max.into();
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>> {
        loop {
            match (ready!(self.poll_incoming(cx)), self.failed) {
                (Ok(Incoming::Message(_)), true) => {}
                (Err(_), true) => return Poll::Ready(Ok(Incoming::End)),
                (Ok(incoming), _) => return Poll::Ready(self.receive(incoming)),
                (Err(error), false) => {
                    self.failed = true;
                    return Poll::Ready(Err(error));
                }
            }
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.poll_write(cx, |direction| {
            if direction.is_ended() || direction.is_deserted() {
                return Poll::Ready(Err(refused()));
            }
            flushed(direction)
        })
    }

    /// # Panics
    ///
    /// When it was not ready, or was given [`Outgoing::Framed`]: here is no framing.
    fn start_send(&mut self, outgoing: Outgoing) -> Result<(), TransportError> {
        let message = match outgoing {
            Outgoing::Message(message) => message,
            Outgoing::Framed(_) => panic!("framed messages given to a transport without framing"),
            Outgoing::Ping | Outgoing::Goodbye(_) => return Ok(()),
        };
        let mut state = self.link.lock();
        if state.is_broken(self.side) {
            return Err(reset());
        }
        let direction = state.sending(self.side);
        if direction.is_ended() || direction.is_deserted() {
            return Err(refused());
        }
        let receiver = direction.start(message, &*self.link.runtime);
        drop(state);
        wake(receiver);
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.poll_write(cx, |direction| match flushed(direction) {
            Poll::Pending if direction.is_deserted() => Poll::Ready(Err(refused())),
            flushed => flushed,
        })
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        ready!(self.poll_flush(cx))?;
        let receiver = self.link.lock().sending(self.side).end(&*self.link.runtime);
        wake(receiver);
        Poll::Ready(Ok(()))
    }

    fn info(&self) -> Info {
        let mut info = Info::new("memory", Framing::None);
        info.peer = Some(self.peer.to_string());
        info
    }

    fn progress(&self) -> Progress {
        let mut state = self.link.lock();
        let sending = state.sending(self.side);
        let (sent_bytes, unsent) = (sending.sent_bytes, !sending.is_flushed());
        let receiving = state.receiving(self.side);
        Progress {
            received_bytes: receiving.received_bytes,
            sent_bytes,
            half_received: receiving.is_half_received(),
            unsent,
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let mut state = self.link.lock();
        state.set_dropped(self.side);
        let receiver = state.sending(self.side).end(&*self.link.runtime);
        let sender = state.receiving(self.side).desert();
        drop(state);
        wake(receiver);
        wake(sender);
    }
}

fn flushed(direction: &Direction) -> Poll<Result<(), TransportError>> {
    match direction.is_flushed() {
        true => Poll::Ready(Ok(())),
        false => Poll::Pending,
    }
}

/// Remembers whom to wake; the waker before it is to be dropped after unlocking.
fn park(place: &mut Option<Waker>, cx: &Context<'_>) -> Option<Waker> {
    match place {
        Some(waker) if waker.will_wake(cx.waker()) => None,
        _ => place.replace(cx.waker().clone()),
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn reset() -> TransportError {
    io::Error::from(io::ErrorKind::ConnectionReset).into()
}

fn refused() -> TransportError {
    io::Error::from(io::ErrorKind::BrokenPipe).into()
}
