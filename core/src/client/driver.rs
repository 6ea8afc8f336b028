//! Drives one connection after the other, until the client ends.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io;

use bytes::Bytes;

use super::connection::Connection;
use super::meantime::Meantime;
use super::methods::Methods;
use super::outbox::Store;
use super::reconnect::{Backoff, Reconnect};
use super::shared::Shared;
use super::state::{ClientEnd, Outage, State};
use crate::link::{Link, Settings};
use crate::runtime::BoxFuture;
use crate::session::{Ending, Role};
use crate::time::Instant;
use crate::transport::{Connector, Transport};
use crate::wire::{Close, CloseReason, Refusal, Return};

/// The future that does the work of a client; ready when the client has ended.
///
/// Dropping it ends the client at once, without a goodbye: whatever waits gets an error, streams end. [`Client::close`](super::Client::close) ends it politely.
#[must_use = "a client does nothing unless its driver is polled or spawned"]
pub struct Driver(BoxFuture<'static, ClientEnd>);

impl Driver {
    pub(super) fn new(parts: Parts, backoff: Backoff) -> Self {
        let engine = Engine {
            meantime: Meantime::new(parts.shared.clone()),
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
        /// The hello asked for an earlier session.
        returning: bool,
    },
    Ended {
        ending: Ending,
        online_since: Option<Instant>,
    },
}

impl Over {
    /// Whether the session of this connection, or one that it asked for, may go on with the next.
    fn may_return(&self) -> bool {
        match self {
            Self::Closed => false,
            Self::Outage(_) => true,
            // These say nothing about the session: the hub has not read the hello.
            Self::Refused { reason, .. } => matches!(reason, Refusal::Full | Refusal::Late),
            Self::Ended { ending, .. } => may_return(*ending),
        }
    }
}

struct Engine {
    parts: Parts,
    meantime: Meantime,
    reconnect: Reconnect,
    _stop: Stop,
}

impl Engine {
    async fn run(mut self) -> ClientEnd {
        loop {
            self.parts.shared.enter(State::Connecting);
            let over = self.connection().await;
            // Read before what meant something to the old session only is gone: events alone are left then.
            let link = self.part(&over);
            let next = self.verdict(over);
            if let Ok((until, outage)) = next.clone() {
                self.parts.shared.enter(State::Waiting { until, outage });
            }
            self.say_goodbye(link).await;
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
        Connection::new(&mut self.meantime, &self.parts.methods)
            .run()
            .await
    }

    /// Connects, for as long as a handshake may take.
    async fn connect(&mut self) -> Result<Box<dyn Transport>, Over> {
        let shared = &*self.parts.shared;
        let until = shared.runtime.now() + shared.limits.handshake;
        let mut connecting = self.parts.connector.connect();
        let connected = self.meantime.until(until, |cx| {
            let connected = connecting.as_mut().poll(cx).map_err(unreachable);
            unless_closing(shared, connected, cx)
        });
        connected.await.unwrap_or(Err(Over::Outage(Outage::Late)))
    }

    /// Says hello on a new transport, when it is open.
    async fn begin(&mut self, transport: Box<dyn Transport>) -> Result<(), Over> {
        let shared = &self.parts.shared;
        let runtime = &shared.runtime;
        let protocols = [shared.protocol.clone()].into();
        let settings = Settings::new(protocols, runtime.clone(), &shared.limits, Role::Client);
        let (mut link, _) = Link::new(transport, settings);
        let until = runtime.now() + shared.limits.handshake;
        let opened = self.meantime.until(until, |cx| {
            let opened = link.poll_open(cx).map(|_| Ok(()));
            unless_closing(shared, opened, cx)
        });
        opened.await.unwrap_or(Err(Over::Outage(Outage::Late)))?;
        shared.say_hello(&mut link, self.parts.token.as_deref());
        shared.with(|inner| inner.link = Some(link));
        Ok(())
    }

    /// Leaves a connection that is over; its link may have some last words left.
    fn part(&self, over: &Over) -> Option<Link> {
        let shared = &self.parts.shared;
        let now = shared.runtime.now();
        let mut remains = shared.with(|inner| inner.part(over.may_return(), &shared.limits, now));
        remains.link.take()
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
                returning,
            } => {
                // Another hello may do.
                let without = (returning && is_about_return(reason)).then_some(Duration::ZERO);
                let at_least = retry_after.or(without);
                let at_least = at_least.ok_or(ClientEnd::Refused { reason, message })?;
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
        self.parts.shared.give_up_claim();
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
        let said = self.meantime.until(runtime.now() + limits.closing, |cx| {
            // A peer that takes no more words of ours may still wait for those of the transport.
            let _ = ready!(link.poll_write(&mut nothing, runtime.now(), cx));
            link.poll_goodbye(cx)
        });
        said.await;
    }

    /// Waits for the next attempt; false when nobody wants it.
    async fn wait(&mut self, until: Instant) -> bool {
        let shared = &self.parts.shared;
        let closing = self.meantime.until(until, |cx| shared.poll_closing(cx));
        closing.await.is_none()
    }
}

/// Whether a session that ended like this may go on: not when somebody wanted its end, or when it would only come to the same end.
fn may_return(ending: Ending) -> bool {
    use CloseReason as R;
    match ending {
        Ending::Lost => true,
        Ending::Refused(_) | Ending::Resumed => false,
        Ending::ByUs(close) => matches!(close.reason, R::Silent | R::Stalled),
        Ending::ByPeer(close) => matches!(
            close.reason,
            R::Silent | R::Stalled | R::TooSlow | R::MessageTooLarge { .. }
        ),
    }
}

/// Whether a hub may say so because of what a hello asks for beside being let in.
fn is_about_return(reason: Refusal) -> bool {
    matches!(
        reason,
        Refusal::Count | Refusal::Malformed | Refusal::MessageTooLarge { .. }
    )
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

/// What is polled, unless nobody wants it any more.
fn unless_closing<T>(
    shared: &Shared,
    polled: Poll<Result<T, Over>>,
    cx: &Context<'_>,
) -> Poll<Result<T, Over>> {
    match shared.poll_closing(cx) {
        Poll::Ready(()) => Poll::Ready(Err(Over::Closed)),
        Poll::Pending => polled,
    }
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
