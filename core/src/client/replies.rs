//! Answers to calls of the hub, on their way out.

use core::task::{Context, Poll};

use bytes::Bytes;

use super::outbox::Fate;
use super::shared::Shared;
use crate::answers::{Answers, CallFailure, Value};
use crate::time::Instant;
use crate::wire::{FailureCode, Frame, Payload, Reply};

impl Shared {
    /// Lets handlers of the hub's calls run, and puts their answers into the outbox; whether they wait for room instead.
    pub(super) fn answer_calls(
        &self,
        answers: &mut Answers,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> bool {
        while self.has_room() {
            if let Poll::Ready((id, answer)) = answers.poll(now, cx) {
                self.answered_with(answers, id, answer);
            } else if let Poll::Ready((id, step)) = self.poll_flows(answers, cx) {
                self.step(answers, id, step);
            } else {
                return false;
            }
        }
        true
    }

    /// Whether an answer may go into the outbox.
    pub(super) fn has_room(&self) -> bool {
        self.with(|inner| inner.store.outbox.has_room(0))
    }

    /// Answers a call of the hub.
    pub(super) fn reply(&self, id: u32, answer: Result<Value, CallFailure>) {
        let max = self.with(|inner| inner.hub_bytes_max);
        let mut frame = self.reply_frame(id, &answer);
        if frame.len() > max {
            let failure = CallFailure::new(FailureCode::Failed, "the answer is too large");
            frame = self.reply_frame(id, &Err(failure));
        }
        self.with(|inner| inner.store.outbox.push(frame, Fate::Answer));
    }

    fn reply_frame(&self, id: u32, answer: &Result<Value, CallFailure>) -> Bytes {
        let result = match answer {
            Ok((encoding, bytes)) => Ok(Payload {
                encoding: *encoding,
                bytes,
            }),
            Err(failure) => Err(failure.as_wire()),
        };
        let bytes = result.as_ref().map_or(0, |payload| payload.bytes.len());
        self.encode(&Frame::Reply(Reply { id, result }), bytes)
    }
}
