//! Streams that are sent along with a call.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::{Context, Poll};

use bytes::Bytes;

use super::call::{CallError, Ticket, fits};
use super::outbox::Fate;
use super::shared::{Inner, Shared, Waiter};
use crate::answers::{CallFailure, Items, Value};
use crate::session::stream;
use crate::wire::{End, Failure, FailureCode, Frame, Item, Payload};

/// Items that are sent in one turn before others have theirs.
const ITEMS_PER_TURN: usize = 64;

/// The streams of one call that are not sent to their end.
pub(super) struct Uploading {
    shared: Arc<Shared>,
    ticket: Ticket,
    uploads: Vec<Sending>,
    room: Option<Waiter>,
    /// The hub has answered, and waits for no end of them.
    answered: bool,
}

struct Sending {
    id: u32,
    items: Items,
    /// What there was no room for.
    held: Option<Bytes>,
}

/// Why an upload does not go on now.
enum Halt {
    /// Something wakes us.
    Waits,
    /// It is over.
    Over,
    /// Others have their turn first.
    Turn,
}

impl Uploading {
    /// Those of a call that has begun.
    pub(super) fn new(shared: &Arc<Shared>, ticket: Ticket, uploads: Vec<Items>) -> Self {
        let numbered = (1..).zip(uploads);
        let uploads = numbered.map(|(index, items)| Sending {
            id: stream(ticket.id, index),
            items,
            held: None,
        });
        Self {
            shared: shared.clone(),
            ticket,
            uploads: uploads.collect(),
            room: None,
            answered: false,
        }
    }

    /// Takes note that the call is answered.
    pub(super) fn answered(&mut self) {
        self.answered = true;
    }

    /// Sends what may be sent; whatever it waits for wakes.
    ///
    /// # Errors
    ///
    /// An item cannot be sent at all.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Result<(), CallError> {
        let mut index = 0;
        while let Some(sending) = self.uploads.get_mut(index) {
            let room = &mut self.room;
            match sending.poll(&self.shared, self.ticket, room, cx)? {
                Halt::Over => drop(self.uploads.remove(index)),
                Halt::Waits => index += 1,
                Halt::Turn => {
                    cx.waker().wake_by_ref();
                    index += 1;
                }
            }
        }
        Ok(())
    }
}

impl Sending {
    fn poll(
        &mut self,
        shared: &Arc<Shared>,
        ticket: Ticket,
        room: &mut Option<Waiter>,
        cx: &mut Context<'_>,
    ) -> Result<Halt, CallError> {
        for _ in 0..ITEMS_PER_TURN {
            if let Some(item) = self.held.take() {
                match shared.push_item(ticket, self.id, item, room, cx) {
                    Ok(()) => continue,
                    Err(item) => self.held = Some(item),
                }
                return Ok(Halt::Waits);
            }
            let item = match shared.poll_credit(ticket, self.id, cx) {
                Poll::Pending => return Ok(Halt::Waits),
                // Its end is said all the same, so that the hub need not remember it.
                Poll::Ready(false) => Err(Ok(())),
                Poll::Ready(true) => match self.items.as_mut().poll_next(cx) {
                    Poll::Pending => return Ok(Halt::Waits),
                    Poll::Ready(None) => Err(Ok(())),
                    Poll::Ready(Some(Err(failure))) => Err(Err(failure)),
                    Poll::Ready(Some(Ok(value))) => Ok(value?),
                },
            };
            match item {
                Ok(value) => self.held = Some(shared.item_frame(self.id, &value)?),
                Err(result) => {
                    shared.end_upload(ticket, self.id, result);
                    return Ok(Halt::Over);
                }
            }
        }
        Ok(Halt::Turn)
    }
}

impl Drop for Uploading {
    /// A hub that waits for more is told: by data, as what is said beside it is not said again after a return.
    fn drop(&mut self) {
        for upload in core::mem::take(&mut self.uploads) {
            let result = Err(CallFailure::new(FailureCode::Cancelled, ""));
            match self.answered {
                true => self.shared.finish_upload(self.ticket, upload.id),
                false => self.shared.end_upload(self.ticket, upload.id, result),
            }
        }
    }
}

impl Shared {
    fn item_frame(&self, id: u32, (encoding, bytes): &Value) -> Result<Bytes, CallError> {
        let payload = Payload {
            encoding: *encoding,
            bytes,
        };
        let frame = self.encode(&Frame::Item(Item { id, payload }), bytes.len());
        fits(frame.len(), self.with(|inner| inner.hub_bytes_max))?;
        Ok(frame)
    }

    /// Puts an item into the outbox; it comes back when there is no room.
    fn push_item(
        self: &Arc<Self>,
        ticket: Ticket,
        id: u32,
        item: Bytes,
        room: &mut Option<Waiter>,
        cx: &mut Context<'_>,
    ) -> Result<(), Bytes> {
        let waiter = room.get_or_insert_with(|| Waiter::new(self));
        let mut item = Some(item);
        let pushed = waiter.poll(cx, |inner| {
            let bytes = item.as_ref().map_or(0, Bytes::len);
            if inner.streams_of(ticket).is_some() && !inner.store.outbox.has_room(bytes) {
                inner.room_wanted = true;
                return None;
            }
            inner.push_item(ticket, id, item.take()?);
            Some(())
        });
        self.wake_driver();
        match (pushed, item) {
            (Poll::Pending, Some(item)) => Err(item),
            _ => Ok(()),
        }
    }

    fn poll_credit(&self, ticket: Ticket, id: u32, cx: &mut Context<'_>) -> Poll<bool> {
        self.with(|inner| match inner.streams_of(ticket) {
            Some(streams) => streams.lock().poll_credit(id, cx),
            None => Poll::Ready(false),
        })
    }

    /// Says that a stream is over. It need not wait for room: each has one end.
    fn end_upload(&self, ticket: Ticket, id: u32, result: Result<(), CallFailure>) {
        let result = result.as_ref().copied().map_err(CallFailure::as_wire);
        let mut frame = self.encode(&Frame::End(End { id, result }), 0);
        self.with(|inner| {
            if frame.len() > inner.hub_bytes_max {
                let failure = |failure| Failure {
                    message: "",
                    ..failure
                };
                let result = result.map_err(failure);
                frame = self.encode(&Frame::End(End { id, result }), 0);
            }
            if let Some(streams) = inner.streams_of(ticket) {
                streams.lock().finish(id);
                inner.store.outbox.push(frame, Fate::Bound);
            }
        });
        self.wake_driver();
    }

    fn finish_upload(&self, ticket: Ticket, id: u32) {
        self.with(|inner| {
            if let Some(streams) = inner.streams_of(ticket) {
                streams.lock().finish(id);
            }
        });
    }
}

impl Inner {
    fn push_item(&mut self, ticket: Ticket, id: u32, item: Bytes) {
        // That of a session that is over goes nowhere: its call hears of it.
        if let Some(streams) = self.streams_of(ticket) {
            streams.lock().sent(id);
            self.store.outbox.push(item, Fate::Bound);
        }
    }
}
