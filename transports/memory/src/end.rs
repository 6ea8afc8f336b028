//! One end of a link, whatever travels on it.

use core::task::{Context, Poll, Waker};
use std::io;
use std::sync::Arc;

use lapwing::Instant;
use lapwing::runtime::{Runtime, Timer};
use lapwing::transport::Message;

use crate::crash::{Crash, Holding};
use crate::direction::{Direction, Taken};
use crate::link::{Link, Side};
use crate::runtime::current::{Wait, hold, wait_for};

/// What an end was given.
pub(crate) enum Arrived {
    Message(Message),
    End,
}

/// One of the two ends. Dropped, it has said its last word, and nobody receives what is sent to it.
pub(crate) struct End {
    pub(crate) link: Arc<Link>,
    pub(crate) side: Side,
    pub(crate) peer: Arc<str>,
    /// Made when the first delayed message is waited for.
    timer: Option<Box<dyn Timer>>,
}

impl End {
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

    /// The next that has arrived, whole or, with `bytes_max`, as bytes of a stream.
    pub(crate) fn poll_take(
        &mut self,
        bytes_max: Option<usize>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Arrived>> {
        let mut state = self.link.lock();
        if state.is_broken(self.side) {
            return Poll::Ready(Err(reset()));
        }
        let direction = state.receiving(self.side);
        let at = match direction.take(bytes_max, &*self.link.runtime) {
            Taken::Message(message, sender) => {
                self.link.settle(state);
                wake(sender);
                return Poll::Ready(Ok(Arrived::Message(message)));
            }
            Taken::End => return Poll::Ready(Ok(Arrived::End)),
            Taken::Reset => {
                state.set_broken(self.side);
                return Poll::Ready(Err(reset()));
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

    /// What `write` makes of the direction in which this end sends; pending, the peer's progress wakes.
    pub(crate) fn poll_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(&mut Direction) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let mut state = self.link.lock();
        if state.is_broken(self.side) {
            return Poll::Ready(Err(reset()));
        }
        let direction = state.sending(self.side);
        let written = write(direction);
        if written.is_pending() {
            let older = park(&mut direction.sender, cx);
            drop(state);
            drop(older);
            wait_for(|| Wait::Room {
                peer: self.peer.clone(),
            });
        }
        written
    }

    /// Lets `send` put something into the direction in which this end sends, and wakes whom it says.
    pub(crate) fn send<T>(
        &mut self,
        send: impl FnOnce(&mut Direction, &dyn Runtime) -> io::Result<(T, Option<Waker>)>,
    ) -> io::Result<T> {
        let mut state = self.link.lock();
        if state.is_broken(self.side) {
            return Err(reset());
        }
        let (sent, receiver) = send(state.sending(self.side), &*self.link.runtime)?;
        self.link.settle(state);
        wake(receiver);
        Ok(sent)
    }

    /// Says the last word, behind all that is in flight.
    pub(crate) fn end(&mut self) {
        let receiver = self.link.lock().sending(self.side).end(&*self.link.runtime);
        wake(receiver);
    }
}

impl Drop for End {
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

fn reset() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

/// What who sends is told when nobody receives.
pub(crate) fn refused() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}
