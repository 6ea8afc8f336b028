//! Calls of the client, and its answers to ours.

use alloc::string::String;
use core::task::{Context, Poll};
use core::time::Duration;
use std::collections::HashMap;

use super::{Drive, PeerCallError};
use crate::answers::{Answer, CallFailure, Handler, Place, shortened};
use crate::hub::Caller;
use crate::hub::connection::Live;
use crate::hub::filter::{self, Invocation};
use crate::protocol::Protocol;
use crate::time::Instant;
use crate::wire::{Call, Encoding, Failure, FailureCode, Frame, Payload, Reply};

impl Drive {
    pub(super) fn call(&mut self, call: Call<'_>, now: Instant) {
        if self.shared().is_stopping() {
            return self.reply(call.id, &Err(CallFailure::new(FailureCode::Shutdown, "")));
        }
        let refuse = |code| Err(CallFailure::about(code, call.method));
        let hub = self.hub.shared.clone();
        let found = self.method(&hub.methods, call.method);
        // Whoever decides knows it by its own name.
        let method = found.map_or(call.method, |(name, _)| name);
        // Whoever may not call a method does not learn whether there is one.
        if !hub.rules.call(self.peer(), method) {
            return self.reply(call.id, &refuse(FailureCode::Forbidden));
        }
        let Some((_, handler)) = found else {
            return self.reply(call.id, &refuse(FailureCode::UnknownMethod));
        };
        let place = Place::default();
        let wanted = self.wanted();
        let caller = self.caller(place.clone());
        let future = match hub.filters.is_empty() {
            true => handler(caller, call.arguments, wanted),
            false => {
                let invocation = Invocation::new(caller, method, call.arguments, wanted);
                filter::call(&hub.filters, handler.clone(), invocation)
            }
        };
        let deadline = call
            .deadline_ms
            .map(|ms| now + Duration::from_millis(ms.into()));
        let bytes = call.arguments.bytes.len();
        if !self
            .answers()
            .push(Some(call.id), deadline, place, bytes, future)
        {
            self.reply(call.id, &Err(CallFailure::new(FailureCode::Busy, "")));
        }
    }

    /// The handler of a method with its name, as the peer's protocol finds it.
    fn method<'m>(
        &self,
        methods: &'m HashMap<String, Handler<Caller>>,
        name: &str,
    ) -> Option<(&'m String, &'m Handler<Caller>)> {
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
    fn wanted(&self) -> Encoding {
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
                    self.reply(id, &answer);
                    if ending.is_some() {
                        self.shared().call_ended(is_given_up(&answer));
                    }
                }
                Poll::Pending => {
                    if ending.is_some() {
                        self.part(now);
                    }
                    return false;
                }
            }
        }
        true
    }

    /// Says goodbye because the hub ends, when every call is answered.
    fn part(&mut self, now: Instant) {
        let closing = |live: &mut Live| live.link.session.is_closing();
        let finished = match &self.answers {
            Some(answers) => answers.is_finished(),
            None => true,
        };
        if finished && self.live(closing) == Some(false) {
            let farewell = self.shared().farewell();
            self.live(|live| live.link.session.close(farewell, true, now));
        }
    }

    fn reply(&self, id: u32, answer: &Answer) {
        let max = self
            .live(|live| live.link.session.peer().message_bytes_max)
            .unwrap_or(0) as usize;
        let (result, otherwise) = match answer {
            Ok((encoding, bytes)) => {
                let encoding = *encoding;
                let message = "the result is larger than the caller takes";
                let code = FailureCode::Failed;
                (Ok(Payload { encoding, bytes }), Failure { code, message })
            }
            Err(failure) => {
                let failure = failure.as_wire();
                let message = shortened(failure.message, max / 2);
                let nothing = Failure {
                    message: "",
                    ..failure
                };
                (Err(Failure { message, ..failure }), nothing)
            }
        };
        self.live(|live| {
            let Some(framed) = live.framed(&Frame::Reply(Reply { id, result })) else {
                return;
            };
            if live.store.lane.push_reply(framed).is_err() {
                let result = Err(otherwise);
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

/// Whether a call was not done because the hub ends.
fn is_given_up(answer: &Answer) -> bool {
    let failure = answer.as_ref().err();
    failure.is_some_and(|failure| failure.code == FailureCode::Shutdown)
}
