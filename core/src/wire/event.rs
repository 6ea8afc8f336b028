//! Asking for events, publishing them, and getting them.
//!
//! Fields and variants are written in this order: never move one, append only.

use serde::{Deserialize, Serialize};

use super::handshake::Verdict;
use super::list::List;
use super::payload::{Encoding, Payload};
use crate::policy::Policy;

/// Asks for events; answered by an [`Ack`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Subscribe<'a> {
    /// Comes back in the `Ack`.
    pub receipt: u32,
    /// The number of the first filter's subscription; the following ones count up. Zero: the hub chooses, and the
    /// [`Ack`] tells. No subscription has the number zero: it stands for what is sent straight to a connection.
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
#[serde(rename_all = "kebab-case")]
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
    /// With the oldest event that history has.
    Beginning,
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

impl<'a> Publish<'a> {
    /// Reads the form that nearly all have, of which a hub sees more than of all else: every number but the payload's length in one
    /// byte, the topic as text. `None`: it is another form, or none.
    pub(super) fn usual(body: &'a [u8]) -> Option<Self> {
        let (&[receipt, name, topic], rest) = body.split_first_chunk()?;
        if receipt >= MORE || name != TOPIC || topic >= MORE {
            return None;
        }
        let (topic, rest) = rest.split_at_checked(topic.into())?;
        let (&encoding, rest) = rest.split_first()?;
        let encoding = *ENCODINGS.get(usize::from(encoding))?;
        let (length, rest) = counted(rest)?;
        let bytes = rest.get(..length)?;
        Some(Self {
            receipt: receipt.into(),
            name: Name::Topic(core::str::from_utf8(topic).ok()?),
            payload: Payload { encoding, bytes },
        })
    }
}

/// The usual length of a payload, of one byte or two, and what follows it.
pub(crate) fn counted(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [length @ ..MORE, rest @ ..] => Some((usize::from(*length), rest)),
        [low, high @ ..MORE, rest @ ..] => {
            Some((usize::from(low - MORE) | usize::from(*high) << 7, rest))
        }
        _ => None,
    }
}

/// The first variant of a [`Name`].
const TOPIC: u8 = 0;

/// A number with this bit set has more bytes.
const MORE: u8 = 0x80;

/// By the number that they have on the wire.
const ENCODINGS: [Encoding; 7] = [
    Encoding::Text,
    Encoding::Bytes,
    Encoding::Json,
    Encoding::MessagePack,
    Encoding::Postcard,
    Encoding::JsonArguments,
    Encoding::MessagePackArguments,
];

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
    /// As [`Subscribed`](Self::Subscribed), where the hub chose the numbers.
    Numbered {
        /// The number of the first filter's subscription; the following ones count up.
        first: u32,
    },
    /// As [`Subscribed`](Self::Subscribed), for filters whose topics all keep a history, or that begin with something of it.
    Positioned {
        /// The number of the first filter's subscription; the following ones count up.
        first: u32,
        /// Which life of the history the offsets belong to. Zero where offsets do not tell how far a subscription has come: newer
        /// values take the places of older ones.
        epoch: u64,
        /// The newest offset: what is published from here on is later.
        offset: u64,
        /// Whether all that was asked for follows.
        verdict: Verdict,
    },
}

/// Why a request was not done: the peer has to ask for something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
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
    /// The number is in use.
    #[error("the subscription's number is taken")]
    NumberTaken,
    /// The topic keeps no history and no retained value.
    #[error("the topic keeps no history")]
    NoHistory,
    /// The number was never declared.
    #[error("no topic was declared under that number")]
    Alias,
    /// The payload is not what its encoding or its topic says.
    #[error("the payload is not what its encoding or its topic says")]
    Payload,
    /// The offset is later than the newest one.
    #[error("the offset is later than the newest one")]
    Offset,
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

/// An event of the past, for one subscription that began with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay<'a> {
    /// Whose it is. Other subscriptions have had it, or never will.
    pub subscription: u32,
    /// Its place in the history.
    pub offset: u64,
    /// Its topic.
    pub topic: &'a str,
    /// The payload.
    #[serde(borrow)]
    pub payload: Payload<'a>,
}

/// The past is over for a subscription that began with it: from here on it hears [`Event`]s.
///
/// One that began with retained values hears events from its acknowledgement on; to it this says that all values were there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// Which one.
    pub subscription: u32,
    /// The newest offset: events that follow are later.
    pub offset: u64,
}

/// Here events are missing: the client was full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lagged {
    /// Whose events.
    pub subscription: u32,
    /// How many.
    pub missed: u64,
}
