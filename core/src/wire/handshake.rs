//! The first words of both sides: who they are, and what they can take.
//!
//! Fields and variants are written in this order: never move one, append only.

use serde::{Deserialize, Serialize, Serializer};

use super::event::Denied;
use super::list::List;
use super::payload::Encodings;
use crate::id::ConnectionId;

/// What one side lets the other know about itself in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The encodings of payloads that this side understands.
    pub encodings: Encodings,
    /// How often this side will speak at least, in milliseconds; [`NO_PROMISE`](Self::NO_PROMISE) when it cannot say.
    pub promise_ms: u32,
    /// The largest message this side takes, in bytes.
    pub message_bytes_max: u32,
    /// How many subscriptions this side can hold.
    pub subscriptions_max: u32,
}

impl Terms {
    /// In the place of a client's promise: it has to be asked whether it is there.
    pub const NO_PROMISE: u32 = u32::MAX;

    /// Whether this side speaks by itself.
    pub const fn promises(&self) -> bool {
        self.promise_ms != Self::NO_PROMISE
    }
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
    /// How far the client has come with each subscription of that session; one that is missing here is over.
    pub positions: List<'a, Position>,
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
    pub(super) fn with(self, positions: List<'a, Position>) -> Hello<'a> {
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
pub struct Position {
    /// The number of the subscription; zero stands for what is sent straight to the connection.
    pub subscription: u32,
    /// Events heard, and losses told, since the subscription began.
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
    /// How the session goes on that the client wanted to resume; none when the hub does not know it: then this is a new one.
    pub continued: Option<Continued>,
    /// What became of each position in the hello, in its order; none in a new session.
    pub verdicts: List<'a, Verdict>,
}

/// How a session goes on after another connection. Both sides count data frames from zero again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continued {
    /// Whether every data frame follows that the client has not received. Otherwise none of them does, and no answer to what
    /// was asked before.
    pub whole: bool,
    /// Data frames of the client that had arrived.
    pub received: u64,
}

/// The part of [`Welcome`] in front of its list.
#[derive(Deserialize)]
pub(super) struct WelcomeHead {
    version: u16,
    connection: ConnectionId,
    terms: Terms,
    resume_token: Option<[u8; 16]>,
    continued: Option<Continued>,
}

impl WelcomeHead {
    pub(super) fn with(self, verdicts: List<'_, Verdict>) -> Welcome<'_> {
        let Self {
            version,
            connection,
            terms,
            resume_token,
            continued,
        } = self;
        Welcome {
            version,
            connection,
            terms,
            resume_token,
            continued,
            verdicts,
        }
    }
}

/// What a returning client hears about one subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing is missing.
    Resumed,
    /// Nothing is missing: history from one offset to another follows.
    Replayed {
        /// The first offset that follows.
        from: u64,
        /// The last offset that follows.
        to: u64,
    },
    /// Events are missing; `None`: the hub does not know how many. What history still has of them follows, and is not counted here.
    Gap {
        /// How many.
        missed: Option<u64>,
    },
    /// The subscription is over: it is not allowed any more, or the session has none of this number.
    Denied(Denied),
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
#[serde(rename_all = "kebab-case")]
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
    /// The first message is larger than the hub takes: the token in the hello, most likely.
    MessageTooLarge {
        /// What it has, in bytes.
        size: u64,
        /// What is allowed, in bytes.
        max: u64,
    },
    /// The client counts frames that were not sent to it, or has counted less than it said before. The session that it wanted to
    /// resume is over.
    Count,
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
