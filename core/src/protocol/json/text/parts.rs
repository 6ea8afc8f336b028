//! What stands behind some of the keys.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::protocol::json::data::Str;
use crate::wire::{CloseReason, Denied, Failure, FailureCode, Outcome, Return, Verdict};

/// One filter, or a list of them.
pub(super) struct Filters<'a>(pub(super) Vec<Str<'a>>);

impl Serialize for Filters<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [one] => one.serialize(serializer),
            many => many.serialize(serializer),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Filters<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMany)
    }
}

struct OneOrMany;

impl<'de> Visitor<'de> for OneOrMany {
    type Value = Filters<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a filter or a list of filters")
    }

    fn visit_borrowed_str<E>(self, one: &'de str) -> Result<Filters<'de>, E> {
        Ok(Filters(Vec::from([one.into()])))
    }

    fn visit_str<E>(self, one: &str) -> Result<Filters<'de>, E> {
        Ok(Filters(Vec::from([Str(Cow::Owned(one.into()))])))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Filters<'de>, A::Error> {
        let mut filters = Vec::new();
        while let Some(filter) = list.next_element()? {
            filters.push(filter);
        }
        Ok(Filters(filters))
    }
}

/// That a subscription was made: with the numbers that were asked for, or with those that the hub chose.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Subscribed {
    AsAsked(bool),
    From(u32),
}

/// Where subscriptions stand in the history of their topics.
#[derive(Serialize, Deserialize)]
pub(super) struct PositionText {
    pub(super) epoch: u64,
    pub(super) offset: u64,
    pub(super) verdict: Verdict,
}

impl PositionText {
    pub(super) fn outcome(&self, first: u32) -> Outcome {
        Outcome::Positioned {
            first,
            epoch: self.epoch,
            offset: self.offset,
            verdict: self.verdict,
        }
    }
}

/// What became of an event.
#[derive(Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) queued: u32,
    pub(super) dropped: u32,
}

/// Why there was nothing: of a request the reason alone, of a call or stream a code, and a message for people.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum ErrorText<'a> {
    Denied(Denied),
    #[serde(borrow)]
    Failure(FailureText<'a>),
}

#[derive(Serialize, Deserialize)]
pub(super) struct FailureText<'a> {
    code: FailureCode,
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    message: Cow<'a, str>,
}

impl FailureText<'_> {
    pub(super) fn frame(&self) -> Failure<'_> {
        Failure {
            code: self.code,
            message: &self.message,
        }
    }
}

impl<'a> From<Failure<'a>> for ErrorText<'a> {
    fn from(failure: Failure<'a>) -> Self {
        Self::Failure(FailureText {
            code: failure.code,
            message: failure.message.into(),
        })
    }
}

/// Last words; those of who says nothing of them are that all is done.
#[derive(Serialize, Deserialize)]
pub(super) struct CloseText {
    #[serde(default = "done")]
    pub(super) reason: CloseReason,
    #[serde(default = "now", rename = "return")]
    pub(super) verdict: Return,
}

fn done() -> CloseReason {
    CloseReason::Done
}

fn now() -> Return {
    Return::Now
}
