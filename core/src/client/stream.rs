//! Calls of the hub that are answered with a stream: [`CallStream`].

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::future::poll_fn;
use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use futures_core::Stream;

use super::Client;
use super::call::{CallError, Request, Ticket};
use super::shared::{Inner, Shared};
use super::uploading::Uploading;
use crate::answers::{CallFailure, written};
use crate::limits::Limits;
use crate::payload::{Decode, Encode, encoded};
use crate::streams::reader::{Reader, Source};
use crate::streams::{Item, StreamEnd, Table};
use crate::wire::{FailureCode, Payload};

/// The stream with which the hub answers a call; what [`Client::stream`] returns.
///
/// The call is made when it is polled for the first time. It ends with `None` when the hub has said all, or with an `Err`.
///
/// # Cancel safety
///
/// Waiting for an item can be given up at any time: nothing is lost. Dropped, the hub is told to stop.
///
/// # When full
///
/// The hub waits when [`Limits::stream_items_max`] items are not read. While [`Limits::stream_bytes_max`] are not read of all streams together, nothing of the hub is read: drop what is not wanted.
#[must_use = "a call is made when its stream is polled"]
pub struct CallStream<R> {
    shared: Arc<Shared>,
    within: Option<Duration>,
    step: Step,
    item: PhantomData<fn() -> R>,
}

enum Step {
    New(Request),
    Reading(Box<Reading>),
    Done,
}

struct Reading {
    reader: Reader,
    uploading: Uploading,
}

impl<R: Decode> CallStream<R> {
    /// Waits at most this long for the first item, or the end; otherwise as long as it lasts. The hub learns how long.
    pub fn within(mut self, within: Duration) -> Self {
        self.within = Some(within);
        self
    }

    /// Sends a stream along, for a method that takes one: [`Call::upload`](super::Call::upload).
    pub fn upload<T: Encode + 'static>(
        mut self,
        items: impl Stream<Item = Result<T, CallFailure>> + Send + 'static,
    ) -> Self {
        if let Step::New(request) = &mut self.step {
            let wanted = self.shared.protocol.encoding();
            request.uploads.push(written(items, wanted));
        }
        self
    }

    /// The next item.
    ///
    /// # Errors
    ///
    /// [`CallError`], as the last item.
    pub async fn next(&mut self) -> Option<Result<R, CallError>> {
        poll_fn(|cx| self.poll_item(cx)).await
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<R, CallError>>> {
        let polled = match self.poll_reading(cx) {
            Ok(polled) => polled.map(|item| item.map(Ok)),
            Err(error) => Poll::Ready(Some(Err(error))),
        };
        if let Poll::Ready(None | Some(Err(_))) = polled {
            self.step = Step::Done;
        }
        polled
    }

    fn poll_reading(&mut self, cx: &mut Context<'_>) -> Result<Poll<Option<R>>, CallError> {
        if let Step::New(_) = &self.step
            && let Step::New(request) = core::mem::replace(&mut self.step, Step::Done)
        {
            self.step = Step::Reading(Box::new(self.begin(request)?));
        }
        let Step::Reading(reading) = &mut self.step else {
            return Ok(Poll::Ready(None));
        };
        let polled = reading.reader.poll(cx);
        if !matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            // Also when there is always something to read.
            reading.uploading.poll(cx)?;
        }
        if let Poll::Ready(None | Some(Err(_))) = polled {
            reading.uploading.answered();
        }
        Ok(match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(item)) => Poll::Ready(Some(self.item(item)?)),
        })
    }

    fn begin(&self, mut request: Request) -> Result<Reading, CallError> {
        let uploads = core::mem::take(&mut request.uploads);
        let streams = uploads.len() as u32;
        let limits = &self.shared.limits;
        let register = |inner: &mut Inner, id| {
            let table = inner.streams(limits).clone();
            table.lock().receive(id, true);
            table
        };
        let items = Some(limits.stream_items_max.max(1).into());
        let begun = self
            .shared
            .begin_call(request, self.within, (items, streams), register);
        let (ticket, table) = begun?;
        let source = Arc::new(HubStreams {
            shared: self.shared.clone(),
            ticket,
            table,
        });
        Ok(Reading {
            reader: Reader::new(ticket.id, source),
            uploading: Uploading::new(&self.shared, ticket, uploads),
        })
    }

    fn item(&self, item: Result<Item, StreamEnd>) -> Result<R, CallError> {
        let (encoding, bytes) = item.map_err(|end| match end {
            StreamEnd::Failed(failure) if failure.code == FailureCode::TimedOut => {
                CallError::TimedOut
            }
            StreamEnd::Failed(failure) => CallError::Failed(failure),
            StreamEnd::Lost | StreamEnd::Over => self.shared.lost(),
        })?;
        let bytes = &bytes[..];
        R::decode(Payload { encoding, bytes }).map_err(CallError::Payload)
    }
}

impl<R: Decode> Stream for CallStream<R> {
    type Item = Result<R, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_item(cx)
    }
}

impl<R> fmt::Debug for CallStream<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallStream")
            .field("within", &self.within)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Asks the hub to do `method`, whose answer is a stream.
    ///
    /// Should the connection break meanwhile, the stream goes on when the client returns to its session, without a hole. See
    /// [`HubBuilder::on_stream`](crate::hub::HubBuilder::on_stream) for an example.
    ///
    /// # Errors
    ///
    /// [`CallError`], as the last item of the stream.
    ///
    /// # When full
    ///
    /// Does not wait for room: [`CallError::Full`] and [`CallError::TooMany`], when it is polled for the first time.
    pub fn stream<R: Decode>(
        &self,
        method: impl Into<String>,
        arguments: impl Encode,
    ) -> CallStream<R> {
        let shared = self.shared().clone();
        let arguments = encoded(&arguments, shared.protocol.encoding());
        CallStream {
            within: None,
            step: Step::New(Request {
                method: method.into(),
                arguments,
                uploads: Vec::new(),
            }),
            shared,
            item: PhantomData,
        }
    }
}

/// Where the items of a stream are that the hub sends.
struct HubStreams {
    shared: Arc<Shared>,
    ticket: Ticket,
    table: Table,
}

impl Source for HubStreams {
    fn poll_item(&self, id: u32, cx: &mut Context<'_>) -> Poll<Option<Result<Item, StreamEnd>>> {
        let (polled, acts) = self.table.with(|streams| {
            let was_full = streams.is_full();
            let polled = streams.poll_item(id, cx);
            (polled, streams.owes() || was_full && !streams.is_full())
        });
        if acts {
            self.shared.wake_driver();
        }
        polled
    }

    fn stop(&self, id: u32) {
        self.shared.with(|inner| inner.stop_stream(self.ticket, id));
        self.shared.wake_driver();
    }
}

impl Inner {
    /// The streams of this session.
    pub(super) fn streams(&mut self, limits: &Limits) -> &Table {
        let streams = &mut self.store.streams;
        streams.get_or_insert_with(|| Table::new(limits, true))
    }

    /// The streams of the session in which a call was made, if that goes on.
    pub(super) fn streams_of(&mut self, ticket: Ticket) -> Option<&Table> {
        let streams = self.store.streams.as_ref();
        streams.filter(|_| ticket.generation == self.generation)
    }

    fn stop_stream(&mut self, ticket: Ticket, id: u32) {
        if ticket.generation != self.generation {
            return;
        }
        let session = match (&mut self.claim, &mut self.link) {
            (Some(claim), _) => Some(&mut claim.session),
            (None, link) => link.as_mut().map(|link| &mut link.session),
        };
        if let Some(session) = session {
            session.forget(&mut self.store, id);
        }
        let withdrawn = self.store.outbox.withdraw(id);
        let Some(streams) = &self.store.streams else {
            return;
        };
        let mut streams = streams.lock();
        streams.stop(id);
        if withdrawn {
            // The hub never hears of it, and will not end it.
            streams.forget(id);
        }
    }

    /// The session is over, and so are its streams.
    pub(super) fn lose_streams(&mut self) {
        if let Some(streams) = self.store.streams.take() {
            let mut streams = streams.lock();
            streams.lose();
            self.lost = streams.take_wakers();
        }
    }
}
