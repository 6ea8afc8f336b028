//! Handlers of a client: functions that hear events as they come in.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use super::Client;
use super::shared::Shared;
use super::subscription::Delivery;
use crate::topic::{Topic, TopicError, TopicFilter};

/// A handler of one client; what [`Client::on`] returns and [`Client::off`] takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HandlerId(u64);

type Function = Box<dyn FnMut(Delivery) + Send>;

struct Entry {
    id: HandlerId,
    filter: Box<str>,
    /// Taken while it runs, so that it may add and remove handlers itself.
    function: Option<Function>,
}

#[derive(Default)]
pub(super) struct Handlers {
    entries: Vec<Entry>,
    next: u64,
}

impl Handlers {
    fn insert(&mut self, filter: TopicFilter<'_>, function: Function) -> HandlerId {
        self.next += 1;
        let id = HandlerId(self.next);
        self.entries.push(Entry {
            id,
            filter: filter.as_str().into(),
            function: Some(function),
        });
        id
    }

    fn remove(&mut self, id: HandlerId) -> Option<Entry> {
        let index = self.entries.iter().position(|entry| entry.id == id)?;
        Some(self.entries.remove(index))
    }

    /// The handlers that hear `topic`, or all of them.
    pub(super) fn hearing(&self, topic: Option<Topic<'_>>) -> Vec<HandlerId> {
        let hears = |entry: &&Entry| {
            let filter = TopicFilter::checked(&entry.filter);
            topic.is_none_or(|topic| filter.matches(topic))
        };
        self.entries
            .iter()
            .filter(hears)
            .map(|entry| entry.id)
            .collect()
    }

    fn take(&mut self, id: HandlerId) -> Option<Function> {
        let mut entries = self.entries.iter_mut();
        entries.find(|entry| entry.id == id)?.function.take()
    }

    /// Gives a handler back after it has run; returns it when it has been removed meanwhile.
    fn restore(&mut self, id: HandlerId, function: Function) -> Option<Function> {
        match self.entries.iter_mut().find(|entry| entry.id == id) {
            Some(entry) => entry.function.replace(function),
            None => Some(function),
        }
    }
}

impl Shared {
    /// Runs handlers, one after the other and without the lock.
    pub(super) fn tell_handlers(&self, hearing: &[HandlerId], delivery: &Delivery) {
        for &id in hearing {
            let Some(mut function) = self.with(|inner| inner.handlers.take(id)) else {
                continue;
            };
            let delivery = delivery.clone();
            let ran = catch_unwind(AssertUnwindSafe(|| function(delivery)));
            let unwanted = match ran {
                Ok(()) => self.with(|inner| inner.handlers.restore(id, function)),
                Err(_) => {
                    self.with(|inner| inner.handlers.remove(id));
                    Some(function)
                }
            };
            drop(unwanted);
        }
    }
}

impl Client {
    /// Lets `handler` hear every event that reaches this client on a topic that `filter` selects.
    ///
    /// Those are events that were sent straight to this connection, to its user or to one of its groups, and events of the client's
    /// subscriptions as they happen; `on` itself does not subscribe. When events that were sent straight to it are missing, each handler
    /// hears [`Delivery::Lagged`]; after each return to the hub each hears what that cost: [`Delivery::Resumed`] or
    /// [`Delivery::Gap`].
    ///
    /// Handlers run one after another in the driver, before the next message is read, so they must not block. One
    /// that panics is never called again. A handler that holds a [`Client`] keeps it alive until it is taken [`off`](Self::off)
    /// or the client has ended.
    ///
    /// # Errors
    ///
    /// [`TopicError`] when the filter is not one.
    pub fn on<'f>(
        &self,
        filter: impl TryInto<TopicFilter<'f>, Error: Into<TopicError>>,
        handler: impl FnMut(Delivery) + Send + 'static,
    ) -> Result<HandlerId, TopicError> {
        let filter = filter.try_into().map_err(Into::into)?;
        let handler = Box::new(handler);
        let (id, never) = self.shared().with(|inner| {
            let id = inner.handlers.insert(filter, handler);
            let over = inner.end().is_some();
            (id, over.then(|| inner.handlers.remove(id)))
        });
        drop(never);
        Ok(id)
    }

    /// Takes a handler off: it is not called any more, but may be running now. Says whether it was there.
    pub fn off(&self, handler: HandlerId) -> bool {
        let entry = self.shared().with(|inner| inner.handlers.remove(handler));
        entry.is_some()
    }
}
