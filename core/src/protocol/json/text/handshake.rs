//! The first words of both sides as JSON: what is left out is what a bare page means.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::protocol::json::data::{Data, Hex};
use crate::wire::{
    Continued, Encoding, Encodings, Hello, List, Position, Refusal, Refused, Terms, Verdict,
    Welcome,
};

/// Who speaks JSON understands these.
const ENCODINGS: Encodings = Encodings::NONE
    .with(Encoding::Text)
    .with(Encoding::Bytes)
    .with(Encoding::Json);

/// The version that is meant where none is named.
const FIRST: u16 = 1;

fn first() -> u16 {
    FIRST
}

fn is_first(version: &u16) -> bool {
    *version == FIRST
}

/// The terms of a client or hub: no promise where there is none, no bound where there is none.
fn terms(promise_ms: Option<u32>, bytes: Option<u32>, subscriptions: Option<u32>) -> Terms {
    Terms {
        encodings: ENCODINGS,
        promise_ms: promise_ms.unwrap_or(Terms::NO_PROMISE),
        message_bytes_max: bytes.unwrap_or(u32::MAX),
        subscriptions_max: subscriptions.unwrap_or(u32::MAX),
    }
}

fn unless_max(number: u32) -> Option<u32> {
    Some(number).filter(|number| *number != u32::MAX)
}

#[derive(Serialize, Deserialize)]
pub(super) struct HelloText<'a> {
    #[serde(default = "first", skip_serializing_if = "is_first")]
    oldest: u16,
    #[serde(default = "first", skip_serializing_if = "is_first")]
    newest: u16,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    token: Option<Data<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    promise_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_bytes_max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscriptions_max: Option<u32>,
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    resumable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    resume: Option<(Hex, u64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    positions: Vec<(u32, u64)>,
}

impl HelloText<'_> {
    pub(super) fn positions(&self) -> Vec<Position> {
        self.positions
            .iter()
            .map(|&(subscription, accounted)| Position {
                subscription,
                accounted,
            })
            .collect()
    }

    pub(super) fn frame<'s>(&'s self, positions: List<'s, Position>) -> Hello<'s> {
        Hello {
            oldest: self.oldest,
            newest: self.newest,
            terms: terms(
                self.promise_ms,
                self.message_bytes_max,
                self.subscriptions_max,
            ),
            resumable: self.resumable,
            token: self.token.as_ref().map(|token| token.payload().bytes),
            resume: self
                .resume
                .map(|(token, received)| (token.bytes(), received)),
            positions,
        }
    }
}

impl<'a> From<Hello<'a>> for HelloText<'a> {
    fn from(hello: Hello<'a>) -> Self {
        let position = |position: Position| (position.subscription, position.accounted);
        Self {
            oldest: hello.oldest,
            newest: hello.newest,
            token: hello.token.map(token),
            promise_ms: unless_max(hello.terms.promise_ms),
            message_bytes_max: unless_max(hello.terms.message_bytes_max),
            subscriptions_max: unless_max(hello.terms.subscriptions_max),
            resumable: hello.resumable,
            resume: hello
                .resume
                .map(|(token, received)| (Hex::of(token), received)),
            positions: hello.positions.iter().map(position).collect(),
        }
    }
}

/// A token is a text where it can be.
fn token(bytes: &[u8]) -> Data<'_> {
    match core::str::from_utf8(bytes) {
        Ok(text) => Data::Text(text.into()),
        Err(_) => Data::bytes(bytes),
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct WelcomeText {
    connection: Hex,
    #[serde(default = "first")]
    version: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    promise_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_bytes_max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscriptions_max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resume_token: Option<Hex>,
    #[serde(skip_serializing_if = "Option::is_none")]
    continued: Option<Continued>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    verdicts: Vec<Verdict>,
}

impl WelcomeText {
    pub(super) fn frame(&self) -> Welcome<'_> {
        Welcome {
            version: self.version,
            connection: self.connection.0,
            terms: terms(
                self.promise_ms,
                self.message_bytes_max,
                self.subscriptions_max,
            ),
            resume_token: self.resume_token.map(Hex::bytes),
            continued: self.continued,
            verdicts: List::new(&self.verdicts),
        }
    }
}

impl From<Welcome<'_>> for WelcomeText {
    fn from(welcome: Welcome<'_>) -> Self {
        Self {
            connection: Hex(welcome.connection),
            version: welcome.version,
            promise_ms: unless_max(welcome.terms.promise_ms),
            message_bytes_max: unless_max(welcome.terms.message_bytes_max),
            subscriptions_max: unless_max(welcome.terms.subscriptions_max),
            resume_token: welcome.resume_token.map(Hex::of),
            continued: welcome.continued,
            verdicts: welcome.verdicts.iter().collect(),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct RefusedText<'a> {
    reason: Refusal,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u32>,
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    message: Cow<'a, str>,
}

impl RefusedText<'_> {
    pub(super) fn frame(&self) -> Refused<'_> {
        Refused {
            reason: self.reason,
            retry_after_ms: self.retry_after_ms,
            message: &self.message,
        }
    }
}

impl<'a> From<Refused<'a>> for RefusedText<'a> {
    fn from(refused: Refused<'a>) -> Self {
        Self {
            reason: refused.reason,
            retry_after_ms: refused.retry_after_ms,
            message: refused.message.into(),
        }
    }
}
