//! Streams that answer calls of the peer, and what is known of calls that have streams.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::panic::AssertUnwindSafe;
use core::task::{Context, Poll};
use std::panic::catch_unwind;

use super::CallFailure;
use super::handler::Value;
use super::items::Items;
use crate::session::stream;
use crate::wire::{FailureCode, Open};

/// A call of the peer that has streams, until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) id: u32,
    /// The answer is a stream.
    pub(crate) streams: bool,
    /// Streams that the peer sends along.
    pub(crate) uploads: u32,
}

impl Opened {
    /// What a call is said to have.
    pub(crate) fn of(open: &Open<'_>) -> Self {
        Self {
            id: open.id,
            streams: open.items.is_some(),
            uploads: open.streams,
        }
    }

    /// The numbers of the streams that come along.
    pub(crate) fn uploads(self) -> impl Iterator<Item = u32> {
        (1..=self.uploads).map(move |index| stream(self.id, index))
    }

    /// All of its numbers.
    pub(crate) fn numbers(self) -> impl Iterator<Item = u32> {
        core::iter::once(self.id).chain(self.uploads())
    }
}

/// What comes next of a stream.
pub(crate) enum Step {
    Item(Value),
    End(Result<(), CallFailure>),
}

/// The calls of one connection that have streams, and the streams that answer them.
#[derive(Default)]
pub(crate) struct Flows {
    opened: Vec<Opened>,
    /// In turn: whoever was polled last is polled last next time.
    running: VecDeque<(u32, Items)>,
}

impl Flows {
    /// Takes note of a call with streams.
    pub(crate) fn open(&mut self, opened: Opened) {
        self.opened.push(opened);
    }

    /// Calls with streams that are not answered yet.
    pub(crate) fn len(&self) -> usize {
        self.opened.len()
    }

    /// What is known of a call, if it has streams.
    pub(crate) fn get(&self, id: u32) -> Option<Opened> {
        let mut opened = self.opened.iter();
        opened.find(|opened| opened.id == id).copied()
    }

    /// Lets the stream run that answers a call.
    pub(crate) fn run(&mut self, id: u32, items: Items) {
        self.running.push_back((id, items));
    }

    /// Forgets a call, which is answered, and drops the stream that answers it.
    pub(crate) fn close(&mut self, id: u32) -> Option<Opened> {
        self.running.retain(|(running, _)| *running != id);
        let index = self.opened.iter().position(|opened| opened.id == id)?;
        Some(self.opened.swap_remove(index))
    }

    /// One of the streams that run.
    pub(crate) fn any(&self) -> Option<u32> {
        self.running.front().map(|(id, _)| *id)
    }

    /// What comes next of any stream for whose next item there is credit. One that has ended runs no more.
    pub(crate) fn poll(
        &mut self,
        may_send: impl Fn(u32) -> bool,
        cx: &mut Context<'_>,
    ) -> Poll<(u32, Step)> {
        for _ in 0..self.running.len() {
            let Some((id, mut items)) = self.running.pop_front() else {
                break;
            };
            if !may_send(id) {
                self.running.push_back((id, items));
                continue;
            }
            let polled = catch_unwind(AssertUnwindSafe(|| items.as_mut().poll_next(cx)));
            let panicked = CallFailure::new(FailureCode::Panicked, "");
            let polled = polled.unwrap_or(Poll::Ready(Some(Err(panicked))));
            let written = |item: Result<_, _>| item.map_err(CallFailure::unwritten);
            let step = match polled.map(|item| item.map(|item| item.and_then(written))) {
                Poll::Ready(None) => Step::End(Ok(())),
                Poll::Ready(Some(Err(failure))) => Step::End(Err(failure)),
                Poll::Ready(Some(Ok(item))) => {
                    self.running.push_back((id, items));
                    Step::Item(item)
                }
                Poll::Pending => {
                    self.running.push_back((id, items));
                    continue;
                }
            };
            return Poll::Ready((id, step));
        }
        Poll::Pending
    }
}
