//! Where a client stands with its hub.

use alloc::string::String;
use alloc::sync::Arc;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io;

use futures_core::Stream;

use super::shared::{Shared, Waiter};
use crate::id::ConnectionId;
use crate::time::Instant;
use crate::wire::{CloseReason, Refusal};

/// Where a client stands with its hub.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It connects, shakes hands, and makes its subscriptions again.
    Connecting,
    /// Everything works, and every subscription is in place.
    Online {
        /// The hub's name for this connection, also after a break if the hub knows the client.
        connection: ConnectionId,
    },
    /// It will try again.
    Waiting {
        /// When, on the clock of the client's runtime.
        until: Instant,
        /// What went wrong.
        outage: Outage,
    },
    /// It will not try again; the last state.
    Ended(ClientEnd),
}

/// Why there is no connection for now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outage {
    /// The transport could not connect.
    Unreachable {
        /// What kind of error of the operating system that was.
        kind: io::ErrorKind,
        /// The error, for people to read.
        message: String,
    },
    /// Connecting took longer than [`Limits::handshake`](crate::Limits::handshake).
    Late,
    /// The hub does not let the client in now.
    Refused(Refusal),
    /// The hub ended the connection.
    Closed(CloseReason),
    /// The client ended the connection, because of what the hub did or did not do.
    Failed(CloseReason),
    /// The connection broke without a word.
    Broken,
}

/// How a client came to its end, wanted or not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientEnd {
    /// The program closed it, or dropped the last handle: the end that was wanted.
    #[error("the client was closed")]
    Closed {
        /// Events that waited to be sent and were given up. What had left, and was not confirmed before the end, is not among them.
        unsent: usize,
    },
    /// The hub ended the connection and does not want the client back.
    #[error("the hub ended the connection for good")]
    ClosedByHub(#[source] CloseReason),
    /// The hub does not let the client in, with this token never.
    #[error("the hub does not let the client in: {reason:?} {message}")]
    Refused {
        /// Why.
        reason: Refusal,
        /// What the application of the hub adds.
        message: String,
    },
    /// The hub speaks a version of the protocol that the client does not know, or promises to speak less often than the client's
    /// [`Limits::promise_max`](crate::Limits::promise_max) allows.
    #[error("the hub speaks another version of the protocol")]
    Incompatible,
    /// The driver was dropped, so nothing works any more.
    #[error("the client's driver was dropped")]
    Dropped,
}

impl ClientEnd {
    /// Whether the program asked for it.
    pub fn is_wanted(&self) -> bool {
        matches!(self, Self::Closed { .. })
    }
}

/// The states of a client, the newest one each time: the stream that [`Client::states`](super::Client::states) returns.
///
/// Ends after [`State::Ended`].
///
/// # When full
///
/// It holds one state. Who reads slowly does not see those in between.
pub struct States {
    waiter: Waiter,
    /// The version of the state that was seen last; `None` after the last one.
    seen: Option<u64>,
}

impl States {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            waiter: Waiter::new(shared),
            seen: Some(0),
        }
    }

    /// The next state that differs from the last one read; the present one at first. `None` after the end.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn next(&mut self) -> Option<State> {
        core::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for States {
    type Item = State;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<State>> {
        let Some(seen) = self.seen else {
            return Poll::Ready(None);
        };
        let newer = self.waiter.poll(cx, |inner| inner.state_after(seen));
        newer.map(|(version, state)| {
            let last = matches!(state, State::Ended(_));
            self.seen = (!last).then_some(version);
            Some(state)
        })
    }
}
