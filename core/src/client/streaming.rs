//! Streams of both sides: what the hub asks for, and what arrives of what was asked of it.

use core::task::{Context, Poll};

use bytes::Bytes;

use super::methods::Methods;
use super::outbox::Fate;
use super::shared::{Inner, Shared};
use crate::answers::{Answer, Answers, CallFailure, Opened, Product, Step, Value};
use crate::streams::Overrun;
use crate::time::Instant;
use crate::wire::{Credit, Encoding, End, FailureCode, Frame, Item, Open, Payload};

/// What the hub asks for.
impl Shared {
    /// Lets the stream begin with which a call of the hub is answered.
    pub(super) fn open(
        &self,
        open: Open<'_>,
        methods: &Methods,
        wanted: Encoding,
        answers: &mut Answers,
        now: Instant,
    ) -> Result<(), CallFailure> {
        let max = self.limits.streams_max as usize;
        let ours = open.id % 2 == 1;
        let taken = ours || self.with(|inner| inner.streams(&self.limits).lock().has(open.id));
        if taken || answers.flows.len() >= max {
            return Err(CallFailure::new(FailureCode::Busy, "too many streams"));
        }
        methods.open(open, wanted, answers, now)?;
        if let Some(items) = open.items {
            self.with(|inner| inner.streams(&self.limits).lock().send(open.id, items));
        }
        Ok(())
    }

    /// Answers a call of the hub, be it with a stream.
    pub(super) fn answered_with(&self, answers: &mut Answers, id: u32, answer: Answer) {
        match (answers.flows.get(id), answer) {
            (Some(Opened { streams: true, .. }), Ok(Product::Stream(items))) => {
                answers.flows.run(id, items);
            }
            (Some(opened), answer) => self.end_open(answers, opened, answer),
            (None, answer) => self.reply(id, answer.and_then(Product::into_value)),
        }
    }

    fn end_open(&self, answers: &mut Answers, opened: Opened, answer: Answer) {
        self.say_last(opened, answer);
        self.close_call(answers, opened.id);
    }

    /// Says the last of a call with streams.
    pub(super) fn say_last(&self, opened: Opened, answer: Answer) {
        let value = answer.and_then(Product::into_value);
        match opened.streams {
            false => self.reply(opened.id, value),
            true => self.say_end(opened.id, value.and_then(|_| Err(CallFailure::strange()))),
        }
    }

    fn close_call(&self, answers: &mut Answers, id: u32) -> Option<Opened> {
        let opened = answers.flows.close(id)?;
        self.with(|inner| inner.streams(&self.limits).lock().finish(id));
        Some(opened)
    }

    fn say_end(&self, id: u32, result: Result<(), CallFailure>) {
        let result = result.as_ref().copied().map_err(CallFailure::as_wire);
        let max = self.with(|inner| inner.hub_bytes_max);
        let frame = self.encode(&Frame::End(End { id, result }), 0);
        let frame = match frame.len() > max {
            true => {
                let failure = CallFailure::new(FailureCode::Failed, "");
                let result = Err(failure.as_wire());
                self.encode(&Frame::End(End { id, result }), 0)
            }
            false => frame,
        };
        self.with(|inner| inner.store.outbox.push(frame, Fate::Answer));
    }

    /// What comes next of the streams that answer calls.
    pub(super) fn poll_flows(
        &self,
        answers: &mut Answers,
        cx: &mut Context<'_>,
    ) -> Poll<(u32, Step)> {
        let may_send = |id| self.with(|inner| inner.streams(&self.limits).lock().may_send(id));
        answers.flows.poll(may_send, cx)
    }

    pub(super) fn step(&self, answers: &mut Answers, id: u32, step: Step) {
        let ended = match step {
            Step::End(result) => result,
            Step::Item(value) => match self.say_item(id, &value) {
                true => return,
                false => Err("an item is larger than the hub takes".into()),
            },
        };
        self.say_end(id, ended);
        self.close_call(answers, id);
    }

    /// False when the hub takes no message of this size.
    fn say_item(&self, id: u32, (encoding, bytes): &Value) -> bool {
        let payload = Payload {
            encoding: *encoding,
            bytes,
        };
        let frame = self.encode(&Frame::Item(Item { id, payload }), bytes.len());
        self.with(|inner| {
            let fits = frame.len() <= inner.hub_bytes_max;
            if fits {
                inner.streams(&self.limits).lock().sent(id);
                // Whoever is asked for streams is still read.
                inner.store.outbox.push(frame, Fate::Bound);
            }
            fits
        })
    }

    /// The hub wants no answer any more, or no more of a stream.
    pub(super) fn cancelled(&self, answers: &mut Answers, id: u32) {
        self.with(|inner| {
            if let Some(streams) = &inner.store.streams {
                streams.lock().stopped(id);
            }
        });
        answers.cancel(id);
        if let Some(Opened { streams: true, .. }) = self.close_call(answers, id) {
            self.say_end(id, Ok(()));
        }
    }
}

/// What arrives.
impl Shared {
    pub(super) fn arrive(&self, id: u32, item: (Encoding, Bytes)) -> Result<(), Overrun> {
        self.with(|inner| {
            let streams = inner.store.streams.as_ref();
            streams.map_or(Ok(()), |streams| streams.lock().arrive(id, item))
        })
    }

    pub(super) fn end_of(&self, end: End<'_>) {
        let result = end.result.map_err(CallFailure::from);
        self.with(|inner| {
            if let Some(streams) = &inner.store.streams {
                streams.lock().end(end.id, result);
            }
        });
    }

    pub(super) fn credit(&self, credit: Credit) {
        self.with(|inner| {
            if let Some(streams) = &inner.store.streams {
                streams.lock().credit(credit.id, credit.items);
            }
        });
    }
}

impl Inner {
    /// A call got no answer in time, or no first item.
    pub(super) fn timed_out(&mut self, id: u32) {
        let withdrawn = self.store.outbox.withdraw(id);
        if let Some(streams) = &self.store.streams {
            let mut streams = streams.lock();
            streams.give_up(id, CallFailure::new(FailureCode::TimedOut, ""));
            if withdrawn {
                streams.forget(id);
            }
        }
    }
}
