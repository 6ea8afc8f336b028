//! Calling a connection and waiting for its answer.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::{Future, IntoFuture};
use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use futures_channel::oneshot;

use super::connection::{Connection, PeerAnswer, PeerCallError};
use super::remote::Remote;
use crate::answers::{CALL_WITHIN, CallFailure, Place};
use crate::payload::{Decode, Encode, EncodeError, PayloadError, encoded};
use crate::runtime::BoxFuture;
use crate::wire::{Encoding, Payload};

/// Why a call of a connection has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteCallError {
    /// The other side says so.
    #[error(transparent)]
    Failed(#[from] CallFailure),
    /// There was no answer in time; the other side is told to stop.
    #[error("no answer in time")]
    TimedOut,
    /// The connection is gone, or went before it answered.
    #[error("the connection is gone")]
    Gone,
    /// Too many calls wait for an answer of this connection, or its lane is full: try later.
    #[error("too much waits for this connection")]
    Full,
    /// The other side takes no message of this size; nothing was sent.
    #[error("call of {size} bytes, at most {max} are allowed")]
    TooLarge {
        /// What it has, in bytes.
        size: u64,
        /// What is allowed, in bytes.
        max: u64,
    },
    /// The protocol of the connection has no words for it: clients of SignalR cannot be asked for streams.
    #[error("the connection's protocol has no words for this")]
    Unsupported,
    /// The arguments cannot be written.
    #[error(transparent)]
    Arguments(#[from] EncodeError),
    /// The answer is of another type.
    #[error("the answer is of another type")]
    Answer(#[source] PayloadError),
}

/// A call of a connection, made when it is awaited; see [`Remote::call`].
///
/// # Errors
///
/// Awaited, it gives the result or a [`RemoteCallError`].
///
/// # Cancel safety
///
/// Dropping the future forgets the call and tells the other side to stop.
///
/// # When full
///
/// It waits for an answer, never for room: [`RemoteCallError::Full`] while as many calls as
/// [`Limits::calls_waiting_max`](crate::Limits::calls_waiting_max) wait for an answer of this connection, or its lane is full.
#[must_use = "a call is made when it is awaited"]
pub struct RemoteCall<R> {
    remote: Remote,
    method: String,
    arguments: Result<(Encoding, Vec<u8>), EncodeError>,
    within: Duration,
    place: Option<Place>,
    result: PhantomData<fn() -> R>,
}

impl<R: Decode> RemoteCall<R> {
    pub(super) fn new(remote: Remote, method: String, arguments: impl Encode) -> Self {
        let arguments = encoded(&arguments, remote.wanted());
        Self {
            remote,
            method,
            arguments,
            within: CALL_WITHIN,
            place: None,
            result: PhantomData,
        }
    }

    /// Waits at most this long for the answer; the other side learns how long.
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// Gives the place of the handler that makes this call to the next call of the same connection.
    pub(super) fn lending(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    async fn run(self) -> Result<R, RemoteCallError> {
        let Self {
            remote,
            method,
            arguments,
            within,
            place,
            ..
        } = self;
        let (encoding, bytes) = arguments?;
        let connection = remote.hub.find(remote.id()).ok_or(RemoteCallError::Gone)?;
        let deadline = remote.hub.shared.runtime.now() + within;
        let deadline_ms = crate::session::millis(within);
        let call = connection.call(
            &method,
            Payload {
                encoding,
                bytes: &bytes,
            },
            Some(deadline),
            Some(deadline_ms),
        );
        let (id, answer) = call
            .ok_or(RemoteCallError::Gone)?
            .map_err(RemoteCallError::from)?;
        let waiting = Waiting {
            connection,
            id,
            answer,
        };
        let answer = match place {
            Some(place) => place.lend(waiting).await,
            None => waiting.await,
        };
        let (encoding, bytes) = answer.ok_or(RemoteCallError::Gone)??;
        R::decode(Payload {
            encoding,
            bytes: &bytes,
        })
        .map_err(RemoteCallError::Answer)
    }
}

impl<R: Decode + Send + 'static> IntoFuture for RemoteCall<R> {
    type Output = Result<R, RemoteCallError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// Always [`FailureCode::Failed`](crate::wire::FailureCode::Failed): what the connection that was called answered is not the answer to the caller.
impl From<RemoteCallError> for CallFailure {
    fn from(error: RemoteCallError) -> Self {
        Self::from(error.to_string())
    }
}

impl From<PeerCallError> for RemoteCallError {
    fn from(error: PeerCallError) -> Self {
        match error {
            PeerCallError::Failed(failure) => Self::failed(failure),
            PeerCallError::TimedOut => Self::TimedOut,
            PeerCallError::Full => Self::Full,
            PeerCallError::Wordless => Self::Unsupported,
            PeerCallError::TooLarge { size, max } => Self::TooLarge { size, max },
        }
    }
}

/// Waits for an answer; whoever drops it does not want it any more.
struct Waiting {
    connection: Arc<Connection>,
    id: u32,
    answer: oneshot::Receiver<PeerAnswer>,
}

impl Future for Waiting {
    type Output = Option<PeerAnswer>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer).poll(cx).map(Result::ok)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.connection.cancel(self.id);
    }
}
