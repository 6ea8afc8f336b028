//! Calls of the client that have streams, and what is read and sent of them.

use alloc::format;
use alloc::vec::Vec;
use core::task::{Context, Poll};

use bytes::Bytes;

use super::Drive;
use crate::answers::{Answer, Arguments, CallFailure, Flows, Opened, Product, Step};
use crate::hub::Shared;
use crate::hub::connection::Live;
use crate::hub::lane::Rejected;
use crate::hub::streams::PeerStreams;
use crate::streams::reader::Reader;
use crate::streams::{Overrun, Streams};
use crate::time::Instant;
use crate::wire::{Call, CloseReason, Credit, End, FailureCode, Frame, Item, Open, Payload};

/// What came of the streams of a turn.
pub(super) enum Flowed {
    /// Nobody has more to say now.
    Idle,
    /// The lane has to empty first.
    Stalled,
    /// The budget is used up.
    Budget,
}

impl Drive {
    pub(super) fn open_call(&mut self, open: Open<'_>, now: Instant) {
        let opened = Opened::of(&open);
        if !opened.streams && opened.uploads == 0 {
            return self.call(called(&open), now);
        }
        let hub = self.hub.shared.clone();
        if let Err(failure) = self.begin_open(&hub, opened, open, now) {
            // What has this number already goes on.
            self.say_last(opened, Err(failure));
        }
    }

    fn begin_open(
        &mut self,
        hub: &Shared,
        opened: Opened,
        open: Open<'_>,
        now: Instant,
    ) -> Result<(), CallFailure> {
        let (name, method) = self.find(hub, open.method)?;
        method.check(opened)?;
        let uploads = self.begin_streams(hub, opened, open.items)?;
        self.answers().flows.open(opened);
        let arguments = Arguments {
            payload: open.arguments,
            uploads,
            wanted: self.wanted(),
        };
        let place = Default::default();
        let future = self.handled(hub, (name, method), arguments, place);
        let deadline = super::calls::deadline(open.deadline_ms, now);
        self.answers().push_beside(open.id, deadline, future);
        Ok(())
    }

    /// Lets the streams of a call begin; who reads those that the peer sends.
    fn begin_streams(
        &mut self,
        hub: &Shared,
        opened: Opened,
        items: Option<u64>,
    ) -> Result<Vec<Reader>, CallFailure> {
        self.check_numbers(hub, opened)?;
        let table = self.live(|live| live.streams(&hub.limits).clone());
        // It is gone, and nobody will read.
        let Some(table) = table else {
            return Err(CallFailure::new(FailureCode::Cancelled, ""));
        };
        let mut streams = table.lock();
        if let Some(items) = items {
            streams.send(opened.id, items);
        }
        opened.uploads().for_each(|id| streams.receive(id, false));
        drop(streams);
        let reader = |id| Reader::new(id, PeerStreams::of(&self.connection, &table));
        Ok(opened.uploads().map(reader).collect())
    }

    /// Whether there may be so many streams more, of these numbers.
    fn check_numbers(&mut self, hub: &Shared, opened: Opened) -> Result<(), CallFailure> {
        let max = hub.limits.streams_max as usize;
        let full = self.answers().flows.len() >= max;
        let flows = self.flows();
        let checked = self.live(|live| {
            let ours = live.link.session.is_ours(opened.id);
            let streams = live.streams(&hub.limits).lock();
            if full || streams.uploads().saturating_add(opened.uploads as usize) > max {
                return Err(CallFailure::new(FailureCode::Busy, "too many streams"));
            }
            let is_call = |id| flows.is_some_and(|flows| flows.get(id).is_some());
            let is_taken = |id: &u32| ours || streams.has(*id) || is_call(*id);
            match opened.numbers().find(is_taken) {
                None => Ok(()),
                Some(taken) => {
                    Err(format!("there may be no stream with the number {taken}").into())
                }
            }
        });
        checked.unwrap_or(Ok(()))
    }

    /// Answers a call, be it with a stream.
    pub(super) fn answered_with(&mut self, id: u32, answer: Answer) {
        match (self.opened(id), answer) {
            (Some(Opened { streams: true, .. }), Ok(Product::Stream(items))) => {
                self.answers().flows.run(id, items);
            }
            (Some(opened), answer) => self.end_open(opened, answer),
            (None, answer) => self.reply(id, answer.and_then(Product::into_value)),
        }
    }

    fn flows(&self) -> Option<&Flows> {
        self.answers.as_ref().map(|answers| &answers.flows)
    }

    fn opened(&self, id: u32) -> Option<Opened> {
        self.flows()?.get(id)
    }

    fn end_open(&mut self, opened: Opened, answer: Answer) {
        self.say_last(opened, answer);
        self.close_call(opened.id);
    }

    /// Says the last of a call with streams.
    fn say_last(&self, opened: Opened, answer: Answer) {
        let value = answer.and_then(Product::into_value);
        match opened.streams {
            false => self.reply(opened.id, value),
            true => self.say_end(opened.id, value.and_then(|_| Err(CallFailure::strange()))),
        }
    }

    /// Forgets a call with streams. What runs of it is dropped first: it may have last words.
    fn close_call(&mut self, id: u32) -> Option<Opened> {
        let opened = self.answers.as_mut()?.flows.close(id)?;
        self.live(|live| {
            let mut streams = live.store.streams.as_ref()?.lock();
            streams.finish(id);
            opened.uploads().for_each(|upload| streams.forget(upload));
            Some(streams.take_wakers())
        });
        Some(opened)
    }

    fn say_end(&self, id: u32, result: Result<(), CallFailure>) {
        let result = result.as_ref().copied().map_err(CallFailure::as_wire);
        self.live(|live| {
            let max = live.link.session.peer().message_bytes_max as usize;
            let result = result.map_err(|failure| super::calls::cut(failure, max));
            let Some(framed) = live.framed(&Frame::End(End { id, result })) else {
                return;
            };
            if live.store.lane.push_reply(framed).is_err() {
                let result = result.map_err(|failure| super::calls::cut(failure, 0));
                live.push_answer(&Frame::End(End { id, result }));
            }
        });
    }

    /// The peer wants no answer any more.
    pub(super) fn cancelled(&mut self, id: u32) {
        if let Some(answers) = &mut self.answers {
            answers.cancel(id);
        }
        if let Some(Opened { streams: true, .. }) = self.close_call(id) {
            self.say_end(id, Ok(()));
        }
    }

    /// Lets streams that answer calls say what they have.
    pub(super) fn flow(&mut self, cx: &mut Context<'_>) -> Flowed {
        for _ in 0..self.shared().limits.turn_frames_max {
            let flows = self.answers.as_mut().map(|answers| &mut answers.flows);
            let Some(flows) = flows.filter(|flows| flows.any().is_some()) else {
                return Flowed::Idle;
            };
            let connection = &self.connection;
            let live =
                |look: &dyn Fn(&mut Live) -> bool| connection.live().as_mut().is_some_and(look);
            if live(&|live| !live.store.lane.takes_items()) {
                return Flowed::Stalled;
            }
            let may_send = |id| {
                live(&|live| {
                    let streams = live.store.streams.as_ref();
                    streams.is_some_and(|streams| streams.lock().may_send(id))
                })
            };
            match flows.poll(may_send, cx) {
                Poll::Pending => return Flowed::Idle,
                Poll::Ready((id, step)) => self.step(id, step),
            }
        }
        Flowed::Budget
    }

    fn step(&mut self, id: u32, step: Step) {
        let ended = match step {
            Step::Item((encoding, bytes)) => {
                let payload = Payload {
                    encoding,
                    bytes: &bytes,
                };
                match self.say_item(Item { id, payload }) {
                    true => return,
                    false => Err("an item is larger than the caller takes".into()),
                }
            }
            Step::End(result) => result,
        };
        let given_up = ended.is_err();
        self.say_end(id, ended);
        self.close_call(id);
        self.call_ended(given_up);
    }

    /// False when the peer takes no message of this size.
    fn say_item(&self, item: Item<'_>) -> bool {
        let said = self.live(|live| {
            let Some(framed) = live.framed(&Frame::Item(item)) else {
                return true;
            };
            let streams = live.store.streams.iter();
            streams.for_each(|streams| streams.lock().sent(item.id));
            // A lane that is torn has lost more than this.
            !matches!(
                live.store.lane.push_item(framed),
                Err(Rejected::TooLarge { .. })
            )
        });
        said.unwrap_or(true)
    }

    /// Ends the streams that still run.
    pub(super) fn give_up_flows(&mut self) {
        while let Some(id) = self.flows().and_then(Flows::any) {
            self.say_end(id, Err(CallFailure::new(FailureCode::Shutdown, "")));
            self.close_call(id);
            self.call_ended(true);
        }
    }

    /// Whether what waits in the lane is few enough for streams to say more.
    pub(super) fn may_flow(&self) -> bool {
        self.live(|live| live.store.lane.takes_items()) == Some(true)
    }

    /// Whether calls with streams are not answered yet.
    pub(super) fn has_open_calls(&self) -> bool {
        self.flows().is_some_and(|flows| flows.len() > 0)
    }
}

/// What the peer sends.
impl Drive {
    pub(super) fn item(&self, item: Item<'_>, now: Instant) {
        let Item { id, payload } = item;
        let item = (payload.encoding, Bytes::copy_from_slice(payload.bytes));
        if let Some(Err(Overrun)) = self.streams(|streams| streams.arrive(id, item)) {
            self.live(|live| live.link.session.violate(CloseReason::Unexpected, now));
        }
    }

    pub(super) fn end_of(&self, end: End<'_>) {
        let result = end.result.map_err(CallFailure::from);
        self.streams(|streams| streams.end(end.id, result));
    }

    pub(super) fn credit(&self, credit: Credit) {
        // Who sends is polled in this turn.
        self.streams(|streams| streams.credit(credit.id, credit.items));
    }

    /// Runs `act` on the streams of the connection, if it has any.
    fn streams<T>(&self, act: impl FnOnce(&mut Streams) -> T) -> Option<T> {
        let table = self.live(|live| live.store.streams.clone()).flatten();
        table.map(|table| table.with(act))
    }
}

fn called<'a>(open: &Open<'a>) -> Call<'a> {
    Call {
        id: open.id,
        method: open.method,
        deadline_ms: open.deadline_ms,
        arguments: open.arguments,
    }
}
