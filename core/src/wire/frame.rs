//! All that two peers can say to each other.
//!
//! Fields and variants are written in this order: never move one, append only.

use serde::{Deserialize, Serialize, Serializer};

use super::list::List;
use crate::id::ConnectionId;
use crate::policy::Policy;

/// One unit of the protocol; see the [table](super) for who says which.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
#[expect(
    missing_docs,
    reason = "each variant is documented by the type it holds"
)]
pub enum Frame<'a> {
    Hello(Hello<'a>),
    Welcome(Welcome<'a>),
    Refused(Refused<'a>),
    Subscribe(Subscribe<'a>),
    Unsubscribe(Unsubscribe),
    Publish(Publish<'a>),
    Ack(Ack),
    Event(Event<'a>),
    Lagged(Lagged),
    Call(Call<'a>),
    Reply(Reply<'a>),
    Item(Item<'a>),
    Credit(Credit),
    Cancel(Cancel),
    End(End<'a>),
    Received(Received),
    Ping(Ping),
    Pong(Pong),
    Close(Close),
}

impl Frame<'_> {
    /// Whether the frame travels in the data lane, in order and counted, or beside it as control.
    pub const fn is_data(&self) -> bool {
        use Frame as F;
        matches!(
            self,
            F::Subscribe(_)
                | F::Unsubscribe(_)
                | F::Publish(_)
                | F::Ack(_)
                | F::Event(_)
                | F::Lagged(_)
                | F::Call(_)
                | F::Reply(_)
                | F::Item(_)
                | F::End(_)
        )
    }
}

/// What one side lets the other know about itself in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The encodings of payloads that this side understands.
    pub encodings: Encodings,
    /// How often this side will speak at least, in milliseconds.
    pub promise_ms: u32,
    /// The largest message this side takes, in bytes.
    pub message_bytes_max: u32,
    /// How many subscriptions this side can hold.
    pub subscriptions_max: u32,
}

/// A client's first words. Its layout never changes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Hello<'a> {
    /// The oldest version that the client speaks.
    pub oldest: u16,
    /// The newest version that the client speaks.
    pub newest: u16,
    /// What the client tells about itself.
    pub terms: Terms,
    /// Whether the client would like to resume later.
    pub resumable: bool,
    /// What the application wants to see before it lets the client in.
    #[serde(serialize_with = "optional_bytes")]
    pub token: Option<&'a [u8]>,
    /// The session to resume: the token of its `Welcome` and the data frames received in it.
    pub resume: Option<([u8; 16], u64)>,
    /// The subscriptions to resume.
    pub positions: List<'a, Position<'a>>,
}

/// The part of [`Hello`] in front of its list.
#[derive(Deserialize)]
pub(super) struct HelloHead<'a> {
    oldest: u16,
    newest: u16,
    terms: Terms,
    resumable: bool,
    #[serde(borrow)]
    token: Option<&'a [u8]>,
    resume: Option<([u8; 16], u64)>,
}

impl<'a> HelloHead<'a> {
    pub(super) fn with(self, positions: List<'a, Position<'a>>) -> Hello<'a> {
        let Self {
            oldest,
            newest,
            terms,
            resumable,
            token,
            resume,
        } = self;
        Hello {
            oldest,
            newest,
            terms,
            resumable,
            token,
            resume,
            positions,
        }
    }
}

/// How far a client has come with one subscription of a session that it wants to resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position<'a> {
    /// The filter of the subscription.
    pub filter: &'a str,
    /// Events heard, and losses told, so far.
    pub accounted: u64,
}

/// A hub's answer to a [`Hello`] that it accepts. Its layout never changes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Welcome<'a> {
    /// The version that both will speak.
    pub version: u16,
    /// The name of this connection.
    pub connection: ConnectionId,
    /// What the hub tells about itself.
    pub terms: Terms,
    /// What to show to resume this session; none when that is not possible.
    pub resume_token: Option<[u8; 16]>,
    /// What became of each position in the hello, in its order.
    pub verdicts: List<'a, Verdict>,
}

/// The part of [`Welcome`] in front of its list.
#[derive(Deserialize)]
pub(super) struct WelcomeHead {
    version: u16,
    connection: ConnectionId,
    terms: Terms,
    resume_token: Option<[u8; 16]>,
}

impl WelcomeHead {
    pub(super) fn with(self, verdicts: List<'_, Verdict>) -> Welcome<'_> {
        let Self {
            version,
            connection,
            terms,
            resume_token,
        } = self;
        Welcome {
            version,
            connection,
            terms,
            resume_token,
            verdicts,
        }
    }
}

/// What a returning client hears about one subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Verdict {
    /// Nothing is missing.
    Resumed,
    /// Nothing is missing: the topic's history from one offset to another follows.
    Replayed {
        /// The first offset that follows.
        from: u64,
        /// The last offset that follows.
        to: u64,
    },
    /// Events are missing; `None`: the hub does not know how many.
    Gap {
        /// How many.
        missed: Option<u64>,
    },
}

/// A hub's answer to a [`Hello`] that it does not accept; the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused<'a> {
    /// Why.
    pub reason: Refusal,
    /// When to try again, in milliseconds from now; `None`: not with this hello.
    pub retry_after_ms: Option<u32>,
    /// What the application adds for people to read.
    pub message: &'a str,
}

/// Why a hub does not let a client in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Refusal {
    /// None of the client's versions is one of these.
    Version {
        /// The oldest version that the hub speaks.
        oldest: u16,
        /// The newest version that the hub speaks.
        newest: u16,
    },
    /// The application said no.
    Unauthorized,
    /// The hub has as many connections or handshakes as it may have, or its memory is full.
    Full,
    /// The hub is about to end.
    Shutdown,
    /// The first message was not a hello.
    Malformed,
    /// The hello did not come in time.
    Late,
    /// The client wants to be silent for longer than the hub allows.
    Promise {
        /// What is allowed, in milliseconds.
        max_ms: u32,
    },
}

/// Asks for events; answered by an [`Ack`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Subscribe<'a> {
    /// Comes back in the `Ack`.
    pub receipt: u32,
    /// The number of the first filter's subscription; the following ones count up. Zero is taken: it stands for what is sent straight to a connection.
    pub first: u32,
    /// What becomes of events when the client is full; `None`: as the topic's rule says.
    pub policy: Option<Policy>,
    /// Where to begin.
    pub start: Start,
    /// The filters. All of them are taken, or none.
    pub filters: List<'a, &'a str>,
}

/// The part of [`Subscribe`] in front of its list.
#[derive(Deserialize)]
pub(super) struct SubscribeHead {
    receipt: u32,
    first: u32,
    policy: Option<Policy>,
    start: Start,
}

impl SubscribeHead {
    pub(super) fn with<'a>(self, filters: List<'a, &'a str>) -> Subscribe<'a> {
        let Self {
            receipt,
            first,
            policy,
            start,
        } = self;
        Subscribe {
            receipt,
            first,
            policy,
            start,
            filters,
        }
    }
}

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Start {
    /// With the next event.
    #[default]
    Now,
    /// With the retained value of each topic.
    Retained,
    /// After this offset of the topic's history.
    Offset {
        /// Which life of the history the offset belongs to.
        epoch: u64,
        /// The last offset that the client has.
        offset: u64,
    },
}

/// Ends subscriptions; answered by an [`Ack`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsubscribe {
    /// Comes back in the `Ack`.
    pub receipt: u32,
    /// The first subscription to end.
    pub first: u32,
    /// How many numbers from there on.
    pub count: u32,
}

/// A payload and what its bytes mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload<'a> {
    /// What the bytes mean.
    pub encoding: Encoding,
    /// The bytes.
    #[serde(serialize_with = "bytes")]
    pub bytes: &'a [u8],
}

impl<'a> Payload<'a> {
    /// A text.
    pub const fn text(text: &'a str) -> Self {
        Self {
            encoding: Encoding::Text,
            bytes: text.as_bytes(),
        }
    }

    /// Plain bytes.
    pub const fn bytes(bytes: &'a [u8]) -> Self {
        Self {
            encoding: Encoding::Bytes,
            bytes,
        }
    }
}

/// What the bytes of a payload mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Encoding {
    /// UTF-8.
    Text,
    /// Whatever the application agreed on.
    Bytes,
    /// A JSON value.
    Json,
    /// A MessagePack value.
    MessagePack,
    /// A value in postcard's form, readable with its type only.
    Postcard,
}

/// A set of [`Encoding`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encodings(u8);

impl Encodings {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// This set and `encoding`.
    pub const fn with(self, encoding: Encoding) -> Self {
        Self(self.0 | 1 << encoding as u8)
    }

    /// Whether `encoding` is in the set.
    pub const fn contains(self, encoding: Encoding) -> bool {
        self.0 & 1 << encoding as u8 != 0
    }
}

/// An event for the hub's subscribers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish<'a> {
    /// Comes back in an [`Ack`]; zero: none is wanted.
    pub receipt: u32,
    /// The topic.
    #[serde(borrow)]
    pub name: Name<'a>,
    /// The payload.
    pub payload: Payload<'a>,
}

/// A topic by its text, or by a number that the peer has given to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Name<'a> {
    /// The text.
    Topic(&'a str),
    /// The text, and a number for it from now on.
    Declare(u16, &'a str),
    /// The number of a text that was declared before.
    Alias(u16),
}

/// What became of a request with a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The request's receipt.
    pub receipt: u32,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Outcome {
    /// Every event that is published from here on is heard.
    Subscribed,
    /// No event of these subscriptions follows.
    Unsubscribed,
    /// The event was offered to its subscribers.
    Published {
        /// Subscribers that have it in their lane.
        queued: u32,
        /// Subscribers that missed it, or something older in its place, or were ended for being full.
        dropped: u32,
    },
    /// The request was not done.
    Denied(Denied),
}

/// Why a request was not done: the peer has to ask for something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// A rule of the hub does not allow it to this peer.
    #[error("not allowed")]
    Forbidden,
    /// The topic or filter is not one.
    #[error("not a topic or filter within the limits")]
    Topic,
    /// The payload is larger than the topic's rule allows.
    #[error("payload of {size} bytes, at most {max} are allowed")]
    TooLarge {
        /// What it has, in bytes.
        size: u64,
        /// What is allowed, in bytes.
        max: u64,
    },
    /// The connection has as many subscriptions, or named as many topics, as it may.
    #[error("more than {max} at a time are not allowed")]
    TooMany {
        /// What is allowed.
        max: u32,
    },
    /// The number is in use, or zero.
    #[error("the subscription's number is taken")]
    NumberTaken,
    /// The topic keeps no history and no retained value.
    #[error("the topic keeps no history")]
    NoHistory,
    /// The number was never declared.
    #[error("no topic was declared under that number")]
    Alias,
    /// The payload is not what its encoding says.
    #[error("the payload is not what its encoding says")]
    Payload,
}

/// An event on its way to those who hear it: nothing in it differs by recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Whether it was sent straight to connections, users or groups; otherwise to the topic's subscribers.
    pub direct: bool,
    /// Its place in the topic's history, little-endian, when there is one.
    pub offset: Option<[u8; 8]>,
    /// The payload.
    #[serde(borrow)]
    pub payload: Payload<'a>,
}

/// Here events are missing: the client was full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lagged {
    /// Whose events.
    pub subscription: u32,
    /// How many.
    pub missed: u64,
}

/// Asks the other side to do something and say what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call<'a> {
    /// Comes back in the [`Reply`]; chosen by the caller.
    pub id: u32,
    /// What to do.
    pub method: &'a str,
    /// The time left, in milliseconds; `None`: the caller waits as long as it lasts.
    pub deadline_ms: Option<u32>,
    /// The arguments: a tuple is that many, any other value is one.
    #[serde(borrow)]
    pub arguments: Payload<'a>,
}

/// The answer to a [`Call`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply<'a> {
    /// The call's id.
    pub id: u32,
    /// What came of it.
    #[serde(borrow)]
    pub result: Result<Payload<'a>, Failure<'a>>,
}

/// Why a call or stream has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure<'a> {
    /// Whose fault it is and what to do.
    pub code: FailureCode,
    /// What the other side adds for people to read.
    pub message: &'a str,
}

/// Whose fault a failed call is, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum FailureCode {
    /// The handler said no; its message tells why.
    Failed,
    /// Nobody answers to this method.
    UnknownMethod,
    /// The arguments are not what the method takes.
    Arguments,
    /// The caller may not call this method.
    Forbidden,
    /// Too many calls of this connection are waiting: try later.
    Busy,
    /// It took longer than the caller allowed.
    TimedOut,
    /// The caller cancelled it.
    Cancelled,
    /// The handler has a fault.
    Panicked,
}

/// One item of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item<'a> {
    /// The stream: the id of its call.
    pub id: u32,
    /// The item.
    #[serde(borrow)]
    pub payload: Payload<'a>,
}

/// How many items of a stream are welcome, all told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credit {
    /// The stream: the id of its call.
    pub id: u32,
    /// Items since the stream began.
    pub items: u64,
}

/// The caller no longer wants the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// The id of the call.
    pub id: u32,
}

/// A stream is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End<'a> {
    /// The stream: the id of its call.
    pub id: u32,
    /// Whether it came to its end.
    #[serde(borrow)]
    pub result: Result<(), Failure<'a>>,
}

/// How many data frames have arrived since the session began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// How many.
    pub count: u64,
}

/// Asks for a [`Pong`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// Comes back in the `Pong`, which gives the round-trip time.
    pub nonce: u32,
}

/// Answers a [`Ping`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pong {
    /// The nonce of the newest `Ping`.
    pub nonce: u32,
}

/// The last words of a side: it sends nothing after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {
    /// Why.
    pub reason: CloseReason,
    /// When the client should return.
    pub verdict: Return,
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// There is nothing more to do.
    #[error("done")]
    Done,
    /// The hub is about to end.
    #[error("the hub shuts down")]
    Shutdown,
    /// The application ended the connection.
    #[error("ended by the application")]
    Kicked,
    /// A message was larger than allowed.
    #[error("message of {size} bytes, at most {max} are allowed")]
    MessageTooLarge {
        /// What it has, in bytes.
        size: u64,
        /// What is allowed, in bytes.
        max: u64,
    },
    /// The peer did not read as fast as it had asked for events.
    #[error("the peer reads too slowly")]
    TooSlow,
    /// A write, or a message half received, made no progress.
    #[error("the peer made no progress for too long")]
    Stalled,
    /// The peer did not keep its promise to speak.
    #[error("the peer was silent for too long")]
    Silent,
    /// Too many pings, pongs or empty messages.
    #[error("too many pings or empty messages")]
    Flood,
    /// A message is not a frame.
    #[error("a message is not a frame")]
    Malformed,
    /// A frame came that the peer may not send, or not now.
    #[error("a frame out of order")]
    Unexpected,
    /// The peer counts more frames than were sent to it.
    #[error("the peer counts more frames than were sent")]
    Count,
}

/// When a client should return after a [`Close`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Return {
    /// At once, by its own back-off.
    Now,
    /// Not before this time.
    After {
        /// From now, in milliseconds.
        ms: u32,
    },
    /// Not at all.
    Never,
}

/// The derived form would write one byte after the other.
fn bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

fn optional_bytes<S: Serializer>(bytes: &Option<&[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
    struct AsBytes<'a>(&'a [u8]);
    impl Serialize for AsBytes<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(self.0)
        }
    }
    bytes.map(AsBytes).serialize(serializer)
}
