//! Calls: asking the hub to do something, and doing what it asks.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::future::Future;
use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use bytes::Bytes;
use futures_channel::oneshot;
use futures_core::Stream;

use super::Client;
use super::outbox::Fate;
use super::shared::{Inner, Shared};
use super::state::ClientEnd;
use super::uploading::Uploading;
use crate::answers::{CALL_WITHIN, CallFailure, GivenAway, Items, Place, written};
use crate::limits::Limits;
use crate::payload::{Decode, Encode, EncodeError, PayloadError, encoded};
use crate::session::{Answer, TooManyCalls, millis, stream};
use crate::time::Instant;
use crate::wire::{self, Encoding, FailureCode, Frame, Open, Payload};

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The arguments could not be written.
    #[error("the arguments cannot be encoded")]
    Encode(#[from] EncodeError),
    /// The client is not online; nothing was sent.
    #[error("the client is not online")]
    Offline,
    /// Too much waits to be sent; nothing was sent.
    #[error("too much waits to be sent")]
    Full,
    /// As many calls as [`Limits::calls_waiting_max`](crate::Limits::calls_waiting_max) wait for an answer; nothing was sent.
    #[error("too many calls wait for an answer")]
    TooMany,
    /// The hub takes no message of this size; nothing was sent.
    #[error("message of {size} bytes, the hub takes at most {max}")]
    TooLarge {
        /// What it has, in bytes.
        size: u64,
        /// What the hub takes, in bytes.
        max: u64,
    },
    /// The answer did not come in time; the hub was told to stop.
    #[error("the call took too long")]
    TimedOut,
    /// The connection broke before the answer, and the session with it: it may have been done, or not.
    #[error("the connection broke before the answer")]
    Lost,
    /// The hub answered that there is no result.
    #[error("the hub has no result")]
    Failed(#[source] CallFailure),
    /// The result is not what was expected.
    #[error("the result cannot be read")]
    Payload(#[source] PayloadError),
    /// The client has ended.
    #[error("the client has ended")]
    Ended(#[source] ClientEnd),
}

/// What the driver knows about a call in the end.
pub(super) enum CallAnswer {
    Result(Encoding, Bytes),
    Failure(CallFailure),
    TimedOut,
}

/// A call of the hub on its way; the future that [`Client::call`] returns.
///
/// Dropping it cancels the call: the hub is told to stop, and its answer is thrown away.
#[must_use = "a call is made when it is awaited"]
pub struct Call<R> {
    shared: Arc<Shared>,
    within: Option<Duration>,
    /// Of the handler that makes the call, which the next call of the hub may have.
    place: Option<Place>,
    step: Step,
    result: PhantomData<fn() -> R>,
}

enum Step {
    New(Request),
    Waiting(Waiting),
    Done,
}

pub(super) struct Request {
    pub(super) method: String,
    pub(super) arguments: Result<(Encoding, Vec<u8>), EncodeError>,
    pub(super) uploads: Vec<Items>,
}

struct Waiting {
    ticket: Ticket,
    uploading: Option<Box<Uploading>>,
    answer: oneshot::Receiver<CallAnswer>,
    _place: Option<GivenAway>,
}

/// What tells a call that waits from all others of the client.
#[derive(Clone, Copy)]
pub(super) struct Ticket {
    pub(super) generation: u64,
    pub(super) id: u32,
}

impl<R: Decode> Call<R> {
    /// Waits at most this long for the answer; the hub learns how long.
    pub fn within(mut self, within: Duration) -> Self {
        self.within = Some(within);
        self
    }

    /// Sends a stream along, for a method that takes one ([`on_upload`](crate::hub::HubBuilder::on_upload)); several in the order in which the method takes them. Such a call takes as long as it lasts,
    /// unless [`within`](Self::within) says otherwise.
    ///
    /// The stream is polled with the call, and while the hub has room for its items. An `Err` ends it, and is what the handler hears. When the hub has answered, it is dropped.
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

    fn begin(&self, mut request: Request) -> Result<Waiting, CallError> {
        let uploads = core::mem::take(&mut request.uploads);
        let (streams, usual) = (
            uploads.len() as u32,
            uploads.is_empty().then_some(CALL_WITHIN),
        );
        let begun = self.shared.begin_call(
            request,
            self.within.or(usual),
            (None, streams),
            Inner::wait_for_answer,
        );
        let (ticket, answer) = begun?;
        let uploading = || Box::new(Uploading::new(&self.shared, ticket, uploads));
        Ok(Waiting {
            ticket,
            uploading: (streams > 0).then(uploading),
            answer,
            _place: self.place.as_ref().map(Place::give_away),
        })
    }

    fn result(&self, answer: CallAnswer) -> Result<R, CallError> {
        match answer {
            CallAnswer::Result(encoding, bytes) => {
                let bytes = &bytes[..];
                R::decode(Payload { encoding, bytes }).map_err(CallError::Payload)
            }
            // Its clock was a moment ahead of ours.
            CallAnswer::Failure(failure) if failure.code == FailureCode::TimedOut => {
                Err(CallError::TimedOut)
            }
            CallAnswer::Failure(failure) => Err(CallError::Failed(failure)),
            CallAnswer::TimedOut => Err(CallError::TimedOut),
        }
    }
}

impl<R: Decode> Future for Call<R> {
    type Output = Result<R, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Step::New(_) = self.step
            && let Step::New(request) = core::mem::replace(&mut self.step, Step::Done)
        {
            self.step = Step::Waiting(self.begin(request)?);
        }
        // In its place: what is sent along is the program's, and may panic.
        let Step::Waiting(waiting) = &mut self.step else {
            panic!("a call was polled after it was ready");
        };
        let Poll::Ready(answer) = Pin::new(&mut waiting.answer).poll(cx) else {
            let uploading = waiting.uploading.as_mut();
            let sent = uploading.map_or(Ok(()), |uploading| uploading.poll(cx));
            let ticket = waiting.ticket;
            return match sent {
                Ok(()) => Poll::Pending,
                Err(error) => {
                    self.shared.cancel_call(ticket);
                    self.step = Step::Done;
                    Poll::Ready(Err(error))
                }
            };
        };
        if let Some(uploading) = &mut waiting.uploading {
            uploading.answered();
        }
        self.step = Step::Done;
        Poll::Ready(match answer {
            Ok(answer) => self.result(answer),
            Err(oneshot::Canceled) => Err(self.shared.lost()),
        })
    }
}

impl<R> Drop for Call<R> {
    fn drop(&mut self) {
        if let Step::Waiting(waiting) = &self.step {
            self.shared.cancel_call(waiting.ticket);
        }
    }
}

impl<R> fmt::Debug for Call<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("within", &self.within)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Asks the hub to do `method` and waits for what comes of it, for [`CALL_WITHIN`] unless told otherwise.
    ///
    /// Should the connection break meanwhile, the call goes on when the client returns to its session, and is done once; its time runs on. See
    /// [`ClientBuilder::resume`](super::ClientBuilder::resume).
    ///
    /// # Examples
    ///
    /// ```
    /// use lapwing::{Client, Hub, Typed, hub::Caller};
    /// use lapwing_memory::{Network, Virtual};
    ///
    /// let sim = Virtual::new(7);
    /// sim.run(async {
    ///     let network = Network::new(&sim.runtime());
    ///     let hub = Hub::builder(sim.runtime())
    ///         .on_call("add", async |_: Caller, Typed((a, b)): Typed<(i64, i64)>| Ok(Typed(a + b)))
    ///         .build()?;
    ///     sim.spawn_named("hub", hub.serve(network.listen("hub")?));
    ///
    ///     let client = Client::builder(sim.runtime(), network.connector("hub")).spawned();
    ///     client.online().await?;
    ///     assert_eq!(client.call("add", Typed((20, 22))).await, Ok(Typed(42_i64)));
    ///     Ok::<(), Box<dyn std::error::Error>>(())
    /// })
    /// .expect("nobody waits for ever")
    /// # .unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`CallError`]
    ///
    /// # Cancel safety
    ///
    /// Dropped after it was polled once, the hub is told to stop; it may have done it already.
    ///
    /// # When full
    ///
    /// Does not wait for room: [`CallError::Full`] and [`CallError::TooMany`].
    pub fn call<R: Decode>(&self, method: impl Into<String>, arguments: impl Encode) -> Call<R> {
        let shared = self.shared().clone();
        let arguments = encoded(&arguments, shared.protocol.encoding());
        let method = method.into();
        Call {
            shared,
            within: None,
            place: None,
            step: Step::New(Request {
                method,
                arguments,
                uploads: Vec::new(),
            }),
            result: PhantomData,
        }
    }
}

impl Shared {
    /// Why there will never be an answer.
    pub(super) fn lost(&self) -> CallError {
        let end = self.with(|inner| inner.end().cloned());
        end.map_or(CallError::Lost, CallError::Ended)
    }

    /// Sends a call that wants a stream, if so many items of it are welcome, and sends so many along. `wait` makes ready for what comes of it.
    pub(super) fn begin_call<T>(
        &self,
        request: Request,
        within: Option<Duration>,
        (items, streams): (Option<u64>, u32),
        wait: impl FnOnce(&mut Inner, u32) -> T,
    ) -> Result<(Ticket, T), CallError> {
        let (encoding, arguments) = request.arguments?;
        let arguments = Payload {
            encoding,
            bytes: &arguments,
        };
        let (method, deadline_ms) = (&*request.method, within.map(millis));
        let frame = |id| match (items, streams) {
            (None, 0) => Frame::Call(wire::Call {
                id,
                method,
                deadline_ms,
                arguments,
            }),
            _ => Frame::Open(Open {
                id,
                method,
                deadline_ms,
                arguments,
                items,
                streams,
            }),
        };
        let bytes = method.len() + arguments.bytes.len();
        let deadline = within.map(|within| self.runtime.now() + within);
        let begun = self.with(|inner| {
            let encode = |id| self.encode(&frame(id), bytes);
            let answer = match items {
                None => Answer::Reply,
                Some(_) => inner.may_read_more(&self.limits)?,
            };
            let ticket = inner.begin_call(bytes, encode, deadline, (answer, streams))?;
            let uploads = (1..=streams).map(|index| stream(ticket.id, index));
            uploads.for_each(|upload| inner.streams(&self.limits).lock().send(upload, 0));
            Ok((ticket, wait(inner, ticket.id)))
        });
        self.wake_driver();
        begun
    }

    fn cancel_call(&self, ticket: Ticket) {
        let waiting = self.with(|inner| inner.cancel_call(ticket));
        drop(waiting);
        self.wake_driver();
    }
}

impl Inner {
    /// Makes room for a call of that size, which `encode` writes when it has an id.
    fn begin_call(
        &mut self,
        bytes: usize,
        encode: impl FnOnce(u32) -> Bytes,
        deadline: Option<Instant>,
        (answer, streams): (Answer, u32),
    ) -> Result<Ticket, CallError> {
        if let Some(end) = self.end() {
            return Err(CallError::Ended(end.clone()));
        }
        let online = self.is_online() && !self.closing;
        let link = self.link.as_mut().filter(|_| online);
        let session = &mut link.ok_or(CallError::Offline)?.session;
        let max = session.peer().message_bytes_max as usize;
        fits(bytes, max)?;
        if !self.store.outbox.has_room(bytes) {
            return Err(CallError::Full);
        }
        let id = session.open(&mut self.store, deadline, (answer, streams));
        let id = id.map_err(|TooManyCalls| CallError::TooMany)?;
        let frame = encode(id);
        // What surrounds method and arguments may be the last straw. The hub is told to stop what it never heard of, and does not mind.
        if let Err(error) = fits(frame.len(), max) {
            session.cancel(&mut self.store, id);
            return Err(error);
        }
        self.store.outbox.push(frame, Fate::Call(id));
        let generation = self.generation;
        Ok(Ticket { generation, id })
    }

    /// Whether there may be one more answer that is a stream: those that were stopped may still be on their way.
    fn may_read_more(&mut self, limits: &Limits) -> Result<Answer, CallError> {
        let answers_max = limits.streams_max as usize + limits.calls_waiting_max as usize;
        match self.streams(limits).lock().answers() < answers_max {
            true => Ok(Answer::Stream),
            false => Err(CallError::TooMany),
        }
    }

    fn wait_for_answer(&mut self, id: u32) -> oneshot::Receiver<CallAnswer> {
        let (answered, answer) = oneshot::channel();
        self.calls.insert(id, answered);
        answer
    }

    fn cancel_call(&mut self, ticket: Ticket) -> Option<oneshot::Sender<CallAnswer>> {
        if ticket.generation != self.generation {
            return None;
        }
        let waiting = self.calls.remove(&ticket.id)?;
        let session = match (&mut self.claim, &mut self.link) {
            (Some(claim), _) => &mut claim.session,
            (None, Some(link)) => &mut link.session,
            (None, None) => return Some(waiting),
        };
        session.cancel(&mut self.store, ticket.id);
        self.store.outbox.withdraw(ticket.id);
        Some(waiting)
    }
}

pub(super) fn fits(bytes: usize, max: usize) -> Result<(), CallError> {
    let (size, max) = (bytes as u64, max as u64);
    match size > max {
        true => Err(CallError::TooLarge { size, max }),
        false => Ok(()),
    }
}

/// What a handler of a call knows about it; see [`ClientBuilder::on_call`](super::ClientBuilder::on_call).
#[derive(Clone)]
pub struct ClientContext {
    client: Client,
    place: Place,
}

impl ClientContext {
    pub(super) fn new(client: Client, place: Place) -> Self {
        Self { client, place }
    }

    /// The client that was called.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Calls the hub back: while the handler waits for the answer, the hub's next call may run, so that it can give one.
    ///
    /// Otherwise as [`Client::call`].
    pub fn call<R: Decode>(&self, method: impl Into<String>, arguments: impl Encode) -> Call<R> {
        let mut call = self.client.call(method, arguments);
        call.place = Some(self.place.clone());
        call
    }
}

impl fmt::Debug for ClientContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientContext").finish_non_exhaustive()
    }
}
