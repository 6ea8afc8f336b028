//! Calls with their answers, and streams.
//!
//! Fields and variants are written in this order: never move one, append only.

use serde::{Deserialize, Serialize};

use super::payload::Payload;

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

/// A [`Call`] with streams: of items that the other side is asked for, of items that this side sends along, or both.
///
/// The streams that this side sends have the numbers behind that of the call, each larger by two: streams are numbered by who opens them, those of clients odd, those of hubs even.
/// Items may follow at once as far as there is credit: of the stream that is asked for by `items`, of the others by the first [`Credit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open<'a> {
    /// The number of the call, and of the stream that it asks for.
    pub id: u32,
    /// What to do.
    pub method: &'a str,
    /// The time left to answer, or to say the first item, in milliseconds; `None`: the caller waits as long as it lasts.
    pub deadline_ms: Option<u32>,
    /// The arguments: a tuple is that many, any other value is one.
    #[serde(borrow)]
    pub arguments: Payload<'a>,
    /// How many items of the answer are welcome so far; `None`: it is no stream but a [`Reply`].
    pub items: Option<u64>,
    /// How many streams this side sends along.
    pub streams: u32,
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
#[serde(rename_all = "kebab-case")]
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
    /// The hub is about to end: try again when it is back.
    Shutdown,
    /// The method answers with a stream: ask for one.
    Streams,
    /// The method answers with one result: call it.
    NoStream,
}

/// One item of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item<'a> {
    /// The stream.
    pub id: u32,
    /// The item.
    #[serde(borrow)]
    pub payload: Payload<'a>,
}

/// How many items of a stream are welcome, all told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credit {
    /// The stream.
    pub id: u32,
    /// Items since the stream began.
    pub items: u64,
}

/// Nobody wants the result of a call any more, or more of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// The number of the call or stream.
    pub id: u32,
}

/// A stream is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End<'a> {
    /// The stream.
    pub id: u32,
    /// Whether it came to its end.
    #[serde(borrow)]
    pub result: Result<(), Failure<'a>>,
}
