//! Drives one connection after the other, until the client ends.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io;

use bytes::Bytes;

use super::connection::Connection;
use super::methods::Methods;
use super::outbox::Store;
use super::reconnect::{Backoff, Reconnect};
use super::shared::Shared;
use super::state::{ClientEnd, Outage, State};
use crate::link::Link;
use crate::runtime::{BoxFuture, Timer};
use crate::session::{Ending, Role, Wish};
use crate::time::Instant;
use crate::transport::{Connector, Transport};
use crate::wire::{Close, Frame, Refusal, Return};

/// The future that does the work of a client; ready when the client has ended.
///
/// Dropping it ends the client at once, without a goodbye: whatever waits gets an error, streams end. [`Client::close`](super::Client::close) ends it politely.
#[must_use = "a client does nothing unless its driver is polled or spawned"]
pub struct Driver(BoxFuture<'static, ClientEnd>);

impl Driver {
    pub(super) fn new(parts: Parts, backoff: Backoff) -> Self {
        let engine = Engine {
            timer: parts.shared.runtime.timer(),
            reconnect: Reconnect::new(backoff),
            _stop: Stop(parts.shared.clone()),
            parts,
        };
        Self(Box::pin(engine.run()))
    }
}

impl Future for Driver {
    type Output = ClientEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ClientEnd> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

/// What a driver is made of.
pub(super) struct Parts {
    pub(super) shared: Arc<Shared>,
    pub(super) connector: Box<dyn Connector>,
    pub(super) token: Option<Bytes>,
    pub(super) methods: Methods,
}

/// Ends the client when its driver is gone, however that came.
struct Stop(Arc<Shared>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.end(ClientEnd::Dropped);
    }
}

/// How an attempt to have a connection came to its end.
pub(super) enum Over {
    /// Nobody wants the client any more.
    Closed,
    Outage(Outage),
    Refused {
        reason: Refusal,
        retry_after: Option<Duration>,
        message: String,
    },
    Ended {
        ending: Ending,
        online_since: Option<Instant>,
    },
}

struct Engine {
    parts: Parts,
    timer: Box<dyn Timer>,
    reconnect: Reconnect,
    _stop: Stop,
}

impl Engine {
    async fn run(mut self) -> ClientEnd {
        loop {
            self.parts.shared.enter(State::Connecting);
            let over = self.connection().await;
            // Read before what meant something to the old connection only is gone: events alone are left then.
            let remains = self.parts.shared.with(|inner| inner.handle_lost());
            let next = self.verdict(over);
            if let Ok((until, outage)) = next.clone() {
                self.parts.shared.enter(State::Waiting { until, outage });
            }
            self.say_goodbye(remains.into_link()).await;
            let end = match next {
                Ok((until, _)) if self.wait(until).await => continue,
                Ok(_) => self.closed(),
                Err(end) => end,
            };
            self.parts.shared.end(end.clone());
            return end;
        }
    }

    /// One connection, from connect to the end of its session.
    async fn connection(&mut self) -> Over {
        let begun = match self.connect().await {
            Ok(transport) => self.begin(transport).await,
            Err(over) => Err(over),
        };
        if let Err(over) = begun {
            return over;
        }
        let Parts {
            shared, methods, ..
        } = &self.parts;
        Connection::new(shared, methods, &mut *self.timer)
            .run()
            .await
    }

    /// Connects, for as long as a handshake may take.
    async fn connect(&mut self) -> Result<Box<dyn Transport>, Over> {
        let shared = &*self.parts.shared;
        let timer = &mut *self.timer;
        timer.arm(shared.runtime.now() + shared.limits.handshake);
        let mut connecting = self.parts.connector.connect();
        let connected = poll_fn(|cx| {
            let connected = connecting.as_mut().poll(cx).map_err(unreachable);
            unless_late(shared, timer, connected, cx)
        });
        connected.await
    }

    /// Says hello on a new transport, when it is open.
    async fn begin(&mut self, transport: Box<dyn Transport>) -> Result<(), Over> {
        let shared = &self.parts.shared;
        let runtime = &shared.runtime;
        let protocols = [shared.protocol.clone()].into();
        let (mut link, _) = Link::new(transport, protocols, runtime, &shared.limits, Role::Client);
        let timer = &mut *self.timer;
        poll_fn(|cx| {
            let opened = link.poll_open(cx).map(|_| Ok(()));
            unless_late(shared, timer, opened, cx)
        })
        .await?;
        let token = self.parts.token.as_deref();
        let hello = link.session.hello(token, Wish::default(), runtime.now());
        link.send_first(&Frame::Hello(hello));
        shared.with(|inner| inner.link = Some(link));
        Ok(())
    }

    /// When to try again, and why there is no connection until then; or why not to try again.
    fn verdict(&mut self, over: Over) -> Result<(Instant, Outage), ClientEnd> {
        let (outage, at_least, online_since) = match over {
            Over::Closed => return Err(self.closed()),
            Over::Outage(outage) => (outage, Duration::ZERO, None),
            Over::Refused {
                reason,
                retry_after,
                message,
            } => {
                let at_least = retry_after.ok_or(ClientEnd::Refused { reason, message })?;
                (Outage::Refused(reason), at_least, None)
            }
            Over::Ended {
                ending,
                online_since,
            } => {
                let (outage, at_least) = after(ending)?;
                (outage, at_least, online_since)
            }
        };
        let runtime = &*self.parts.shared.runtime;
        let until = self.reconnect.next(online_since, at_least, runtime);
        Ok((until, outage))
    }

    fn closed(&self) -> ClientEnd {
        let unsent = self.parts.shared.with(|inner| inner.unsent());
        ClientEnd::Closed { unsent }
    }

    /// Lets the last words arrive: sends what the session has left to say, then waits for the end of the hub's bytes.
    async fn say_goodbye(&mut self, link: Option<Link>) {
        let Some(mut link) = link else { return };
        let Shared {
            runtime, limits, ..
        } = &*self.parts.shared;
        // What waits for the next connection is not for this one.
        let mut nothing = Store::new(limits);
        self.timer.arm(runtime.now() + limits.closing);
        poll_fn(|cx| {
            if self.timer.poll_fired(cx).is_ready() {
                return Poll::Ready(());
            }
            // A peer that takes no more words of ours may still wait for those of the transport.
            let _ = ready!(link.poll_write(&mut nothing, runtime.now(), cx));
            link.poll_goodbye(cx)
        })
        .await;
    }

    /// Waits for the next attempt; false when nobody wants it.
    async fn wait(&mut self, until: Instant) -> bool {
        self.timer.arm(until);
        poll_fn(|cx| match self.parts.shared.poll_closing(cx) {
            Poll::Ready(()) => Poll::Ready(false),
            Poll::Pending => self.timer.poll_fired(cx).map(|()| true),
        })
        .await
    }
}

/// What is wrong, and how long to stay away at least.
fn after(ending: Ending) -> Result<(Outage, Duration), ClientEnd> {
    match ending {
        Ending::Lost | Ending::Resumed => Ok((Outage::Broken, Duration::ZERO)),
        Ending::Refused(reason) => Ok((Outage::Refused(reason), Duration::ZERO)),
        Ending::ByPeer(Close { reason, verdict }) => {
            let at_least = at_least(verdict).ok_or(ClientEnd::ClosedByHub(reason))?;
            Ok((Outage::Closed(reason), at_least))
        }
        Ending::ByUs(Close { reason, verdict }) => {
            let at_least = at_least(verdict).ok_or(ClientEnd::Incompatible)?;
            Ok((Outage::Failed(reason), at_least))
        }
    }
}

/// What is polled, unless nobody wants it any more or its time is over.
fn unless_late<T>(
    shared: &Shared,
    timer: &mut dyn Timer,
    polled: Poll<Result<T, Over>>,
    cx: &mut Context<'_>,
) -> Poll<Result<T, Over>> {
    if shared.poll_closing(cx).is_ready() {
        return Poll::Ready(Err(Over::Closed));
    }
    if polled.is_ready() {
        return polled;
    }
    timer
        .poll_fired(cx)
        .map(|()| Err(Over::Outage(Outage::Late)))
}

fn at_least(verdict: Return) -> Option<Duration> {
    match verdict {
        Return::Now => Some(Duration::ZERO),
        Return::After { ms } => Some(Duration::from_millis(ms.into())),
        Return::Never => None,
    }
}

fn unreachable(error: io::Error) -> Over {
    Over::Outage(Outage::Unreachable {
        kind: error.kind(),
        message: error.to_string(),
    })
}

impl Shared {
    /// Ready when nobody wants the client any more.
    fn poll_closing(&self, cx: &Context<'_>) -> Poll<()> {
        self.register_driver(cx);
        match self.with(|inner| inner.closing) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}
