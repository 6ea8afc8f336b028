//! Calls of a connection that are answered with a stream: [`RemoteStream`].

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::future::poll_fn;
use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use futures_core::Stream;

use super::remote::Remote;
use super::remote_call::RemoteCallError;
use super::streams::PeerStreams;
use crate::answers::CallFailure;
use crate::payload::{Decode, Encode, EncodeError, encoded};
use crate::streams::StreamEnd;
use crate::streams::reader::Reader;
use crate::wire::{Encoding, FailureCode, Payload};

/// The stream with which a connection answers a call; see [`Remote::stream`].
///
/// The call is made when it is polled for the first time. It ends with `None` when the connection has said all, or with an `Err`.
///
/// # Cancel safety
///
/// Waiting for an item can be given up at any time: nothing is lost. Dropped, the other side is told to stop.
///
/// # When full
///
/// The other side waits when [`Limits::stream_items_max`](crate::Limits::stream_items_max) items are not read, and is not read while
/// [`Limits::stream_bytes_max`](crate::Limits::stream_bytes_max) wait in all its streams together. Such a stream is one of the
/// [`Limits::calls_waiting_max`](crate::Limits::calls_waiting_max) calls that wait for an answer of this connection.
#[must_use = "a call is made when its stream is polled"]
pub struct RemoteStream<R> {
    remote: Remote,
    within: Option<Duration>,
    step: Step,
    item: PhantomData<fn() -> R>,
}

enum Step {
    New {
        method: String,
        arguments: Result<(Encoding, Vec<u8>), EncodeError>,
    },
    Reading(Reader),
    Done,
}

impl<R: Decode> RemoteStream<R> {
    pub(super) fn new(remote: Remote, method: String, arguments: impl Encode) -> Self {
        let arguments = encoded(&arguments, remote.wanted());
        Self {
            remote,
            within: None,
            step: Step::New { method, arguments },
            item: PhantomData,
        }
    }

    /// Waits at most this long for the first item, or the end; otherwise as long as it lasts. The other side learns how long.
    pub fn within(mut self, within: Duration) -> Self {
        self.within = Some(within);
        self
    }

    /// The next item.
    ///
    /// # Errors
    ///
    /// [`RemoteCallError`], as the last item.
    pub async fn next(&mut self) -> Option<Result<R, RemoteCallError>> {
        poll_fn(|cx| self.poll_item(cx)).await
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<R, RemoteCallError>>> {
        let polled = self.poll_reading(cx);
        if let Poll::Ready(None | Some(Err(_))) = polled {
            self.step = Step::Done;
        }
        polled
    }

    fn poll_reading(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<R, RemoteCallError>>> {
        if let Step::New { .. } = self.step {
            match self.begin() {
                Ok(reader) => self.step = Step::Reading(reader),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        let Step::Reading(reader) = &mut self.step else {
            return Poll::Ready(None);
        };
        reader.poll(cx).map(|item| {
            let item = item?.map_err(RemoteCallError::from);
            Some(item.and_then(|(encoding, bytes)| {
                let bytes = &bytes[..];
                R::decode(Payload { encoding, bytes }).map_err(RemoteCallError::Answer)
            }))
        })
    }

    fn begin(&mut self) -> Result<Reader, RemoteCallError> {
        let Step::New { method, arguments } = core::mem::replace(&mut self.step, Step::Done) else {
            return Err(RemoteCallError::Gone);
        };
        let (encoding, bytes) = arguments?;
        let hub = &self.remote.hub;
        let connection = hub.find(self.remote.id()).ok_or(RemoteCallError::Gone)?;
        let payload = Payload {
            encoding,
            bytes: &bytes,
        };
        let deadline = self.within.map(|within| hub.shared.runtime.now() + within);
        let deadline_ms = self.within.map(crate::session::millis);
        let limits = &hub.shared.limits;
        let opened = connection.open(&method, payload, (deadline, deadline_ms), limits);
        let (id, table) = opened.ok_or(RemoteCallError::Gone)??;
        Ok(Reader::new(id, PeerStreams::of(&connection, &table)))
    }
}

impl From<StreamEnd> for RemoteCallError {
    fn from(end: StreamEnd) -> Self {
        match end {
            StreamEnd::Failed(failure) => Self::failed(failure),
            StreamEnd::Lost | StreamEnd::Over => Self::Gone,
        }
    }
}

impl RemoteCallError {
    /// What the other side says.
    pub(super) fn failed(failure: CallFailure) -> Self {
        match failure.code {
            // Its clock was a moment ahead of ours.
            FailureCode::TimedOut => Self::TimedOut,
            _ => Self::Failed(failure),
        }
    }
}

impl<R: Decode> Stream for RemoteStream<R> {
    type Item = Result<R, RemoteCallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_item(cx)
    }
}

impl<R> fmt::Debug for RemoteStream<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteStream")
            .field("remote", &self.remote)
            .field("within", &self.within)
            .finish_non_exhaustive()
    }
}
