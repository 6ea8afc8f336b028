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
