//! Calls of the client, and its answers to ours.

use alloc::string::String;
use alloc::vec::Vec;
use core::task::{Context, Poll};
use core::time::Duration;
use std::collections::HashMap;

use super::streaming::Flowed;
use super::{Drive, PeerCallError};
use crate::answers::{
    Answer, Arguments, CallFailure, Method, Opened, Place, Product, Value, shortened,
};
use crate::hub::connection::Live;
use crate::hub::filter::{self, Invocation};
use crate::hub::{Caller, Shared};
use crate::protocol::Protocol;
use crate::runtime::BoxFuture;
use crate::time::Instant;
use crate::wire::{Call, Encoding, Failure, FailureCode, Frame, Payload, Reply};

impl Drive {
    pub(super) fn call(&mut self, call: Call<'_>, now: Instant) {
        let hub = self.hub.shared.clone();
        if let Err(failure) = self.begin_call(&hub, call, now) {
            self.reply(call.id, Err(failure));
        }
    }

    fn begin_call(
        &mut self,
        hub: &Shared,
        call: Call<'_>,
        now: Instant,
    ) -> Result<(), CallFailure> {
        let (name, method) = self.find(hub, call.method)?;
        let plain = Opened {
            id: call.id,
            streams: false,
            uploads: 0,
        };
        method.check(plain)?;
        let place = Place::default();
        let arguments = Arguments {
            payload: call.arguments,
            uploads: Vec::new(),
            wanted: self.wanted(),
        };
        let future = self.handled(hub, (name, method), arguments, place.clone());
        let (due, bytes) = (deadline(call.deadline_ms, now), call.arguments.bytes.len());
        let pushed = self
            .answers()
            .push(Some(call.id), due, place, bytes, future);
        match pushed {
            true => Ok(()),
            false => Err(CallFailure::new(FailureCode::Busy, "")),
        }
    }

    /// The method of this name and what answers to it, if the peer may call it.
    pub(super) fn find<'m>(
        &self,
        hub: &'m Shared,
        called: &str,
    ) -> Result<(&'m str, &'m Method<Caller>), CallFailure> {
        if hub.is_stopping() {
            return Err(CallFailure::new(FailureCode::Shutdown, ""));
        }
        let refuse = |code| CallFailure::about(code, called);
        let found = self.method(&hub.methods, called);
        // Whoever decides knows it by its own name.
        let name = found.map_or(called, |(name, _)| name);
        // Whoever may not call a method does not learn whether there is one.
        if !hub.rules.call(self.peer(), name) {
            return Err(refuse(FailureCode::Forbidden));
        }
        let (name, method) = found.ok_or_else(|| refuse(FailureCode::UnknownMethod))?;
        Ok((name, method))
    }

    /// The future of a handler, with what stands around it.
    pub(super) fn handled(
        &self,
        hub: &Shared,
        (name, method): (&str, &Method<Caller>),
        arguments: Arguments<'_>,
        place: Place,
    ) -> BoxFuture<'static, Answer> {
        let caller = self.caller(place);
        match hub.filters.is_empty() {
            true => (method.handler)(caller, arguments),
            false => {
                let invocation = Invocation::new(caller, name, arguments);
                filter::call(&hub.filters, method.handler.clone(), invocation)
            }
        }
    }

    /// The handler of a method with its name, as the peer's protocol finds it.
    fn method<'m>(
        &self,
        methods: &'m HashMap<String, Method<Caller>>,
        name: &str,
    ) -> Option<(&'m String, &'m Method<Caller>)> {
        let found = methods.get_key_value(name);
        if found.is_some() || !self.protocol().ignores_case() {
            return found;
        }
        let is_it = |(known, _): &(&String, _)| known.eq_ignore_ascii_case(name);
        methods.iter().filter(is_it).min_by_key(|(known, _)| *known)
    }

    /// What the peer speaks.
    pub(super) fn protocol(&self) -> &dyn Protocol {
        let class = self.shared().classes.get(self.connection.class());
        &*class.protocol
    }

    /// The encoding in which the peer wants typed values.
    pub(super) fn wanted(&self) -> Encoding {
        self.protocol().encoding()
    }

    pub(super) fn caller(&self, place: Place) -> Caller {
        Caller::new(self.hub.clone(), self.connection.clone(), place)
    }

    /// Lets handlers run; true when there may be more to do.
    pub(super) fn answer(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let ending = self.shared().calls_until();
        if let Some(until) = ending {
            self.answers().finish_by(until);
        }
        for _ in 0..self.shared().limits.turn_frames_max {
            let answers = self.answers.as_mut();
            match answers.map_or(Poll::Pending, |answers| answers.poll(now, cx)) {
                Poll::Ready((id, answer)) => {
                    let (given_up, begins) = (is_given_up(&answer), is_stream(&answer));
                    self.answered_with(id, answer);
                    if !begins {
                        self.call_ended(given_up);
                    }
                }
                Poll::Pending => {
                    let again = self.let_flow(now, cx);
                    if ending.is_some() {
                        self.part(now);
                    }
                    return again;
                }
            }
        }
        true
    }

    /// The same for streams.
    fn let_flow(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let flowed = self.flow(cx);
        self.stalled = matches!(flowed, Flowed::Stalled);
        if self
            .shared()
            .calls_until()
            .is_some_and(|until| until <= now)
        {
            self.give_up_flows();
        }
        matches!(flowed, Flowed::Budget)
    }

    /// Takes note of the end of a call, when the hub is about to end.
    pub(super) fn call_ended(&self, given_up: bool) {
        if self.shared().calls_until().is_some() {
            self.shared().call_ended(given_up);
        }
    }

    /// Says goodbye because the hub ends, when every call is answered.
    fn part(&mut self, now: Instant) {
        let closing = |live: &mut Live| live.link.session.is_closing();
        let finished = match &self.answers {
            Some(answers) => answers.is_finished(),
            None => true,
        };
        if finished && !self.has_open_calls() && self.live(closing) == Some(false) {
            let farewell = self.shared().farewell();
            self.live(|live| live.link.session.close(farewell, true, now));
        }
    }

    pub(super) fn reply(&self, id: u32, answer: Result<Value, CallFailure>) {
        let result = match &answer {
            Ok((encoding, bytes)) => Ok(Payload {
                encoding: *encoding,
                bytes,
            }),
            Err(failure) => Err(failure.as_wire()),
        };
        self.live(|live| {
            let max = live.link.session.peer().message_bytes_max as usize;
            let result = result.map_err(|failure| cut(failure, max));
            let Some(framed) = live.framed(&Frame::Reply(Reply { id, result })) else {
                return;
            };
            if live.store.lane.push_reply(framed).is_err() {
                let result = Err(otherwise(result));
                live.push_answer(&Frame::Reply(Reply { id, result }));
            }
        });
    }

    /// Hands the client's answer to whoever waits for it.
    pub(super) fn answered(&self, reply: Reply<'_>) {
        let answer = match reply.result {
            Ok(payload) => Ok((payload.encoding, payload.bytes.to_vec())),
            Err(failure) => Err(PeerCallError::Failed(failure.into())),
        };
        let waiter = self.live(|live| live.waiter(reply.id)).flatten();
        // It may have been dropped meanwhile.
        let _ = waiter.map(|waiter| waiter.send(answer));
    }
}

/// When a call has to be answered.
pub(super) fn deadline(ms: Option<u32>, now: Instant) -> Option<Instant> {
    ms.map(|ms| now + Duration::from_millis(ms.into()))
}

/// A failure that most likely fits into a message of that size.
pub(super) fn cut(failure: Failure<'_>, bytes_max: usize) -> Failure<'_> {
    Failure {
        message: shortened(failure.message, bytes_max / 2),
        ..failure
    }
}

/// What is said where an answer does not fit.
fn otherwise<'a>(answer: Result<Payload<'_>, Failure<'_>>) -> Failure<'a> {
    let (code, message) = match answer {
        Ok(_) => (
            FailureCode::Failed,
            "the result is larger than the caller takes",
        ),
        Err(failure) => (failure.code, ""),
    };
    Failure { code, message }
}

fn is_stream(answer: &Answer) -> bool {
    matches!(answer, Ok(Product::Stream(_)))
}

/// Whether a call was not done because the hub ends.
fn is_given_up(answer: &Answer) -> bool {
    let failure = answer.as_ref().err();
    failure.is_some_and(|failure| failure.code == FailureCode::Shutdown)
}
