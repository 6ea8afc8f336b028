//! What the handles of a client and its driver share.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::{Context, Poll, Waker};
use std::sync::Mutex;

use atomic_waker::AtomicWaker;
use bytes::{Bytes, BytesMut};
use futures_channel::oneshot;

use super::call::CallAnswer;
use super::claim::Claim;
use super::handlers::Handlers;
use super::outbox::{Fate, Store};
use super::queue::Queue;
use super::state::{ClientEnd, State};
use super::subscription::{SubscribeError, SubscribeOptions, SubscriptionEnd};
use super::subscriptions::{Answered, Left, Request, Subscriptions};
use crate::id::ConnectionId;
use crate::limits::Limits;
use crate::link::Link;
use crate::protocol::Protocol;
use crate::runtime::Runtime;
use crate::streams::Wakers;
use crate::sync::lock;
use crate::topic::TopicFilter;
use crate::wire::{Frame, List, Outcome, Subscribe, Unsubscribe};

/// What a frame mostly has beside its payload; a longer topic costs one more allocation.
const HEAD_BYTES: usize = 64;

/// What the handles of a client and its driver share: one lock, under which nobody is woken and nothing of the application runs.
pub(super) struct Shared {
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) protocol: Arc<dyn Protocol>,
    pub(super) limits: Limits,
    /// Whether the client would like to go on with its session after a break.
    pub(super) resumable: bool,
    /// Where the hub is, for logs.
    #[cfg_attr(not(feature = "tracing"), expect(dead_code, reason = "nobody logs"))]
    url: String,
    driver: AtomicWaker,
    receipts: AtomicU32,
    inner: Mutex<Inner>,
}

/// Who waits for the answer to a request with a receipt.
pub(super) enum Receipt {
    Published(oneshot::Sender<Outcome>),
    /// The client is online when all its renewals are answered.
    Subscribed {
        request: Request,
        renewal: bool,
    },
    Unsubscribed {
        number: u32,
        closed: Option<oneshot::Sender<()>>,
    },
}

pub(super) struct Inner {
    state: State,
    version: u64,
    /// Tasks that wait for a new state or for room, by ticket.
    waiting: BTreeMap<u64, Waker>,
    tickets: u64,
    /// To be woken when the lock is free.
    pub(super) woken: Vec<Waker>,
    /// The same of streams that are lost.
    pub(super) lost: Wakers,
    /// Nobody wants the client any more.
    pub(super) closing: bool,
    pub(super) link: Option<Link>,
    /// Counts sessions: ids of calls mean nothing in another one.
    pub(super) generation: u64,
    pub(super) connection: Option<ConnectionId>,
    /// What to show to go on with this session on another connection.
    pub(super) resume_token: Option<[u8; 16]>,
    /// Since its connection was lost, until the hub has said what becomes of it.
    pub(super) claim: Option<Claim>,
    /// The largest message that the hub takes, from when that is known.
    pub(super) hub_bytes_max: usize,
    /// Some hub has let the client in before.
    pub(super) known: bool,
    pub(super) store: Store,
    /// Events that a hub takes no more, as its messages are smaller than those of the one before.
    pub(super) discarded: usize,
    /// Somebody was refused for want of room, and may wait for it.
    pub(super) room_wanted: bool,
    pub(super) receipts: BTreeMap<u32, Receipt>,
    /// Requests of a new connection that are not answered yet.
    pub(super) renewing: usize,
    pub(super) calls: BTreeMap<u32, oneshot::Sender<CallAnswer>>,
    pub(super) subscriptions: Subscriptions,
    pub(super) handlers: Handlers,
    /// Events that were sent straight to this connection, or are missing of these.
    pub(super) accounted: u64,
}

/// What was waiting for a connection or session that is over. Dropping it, which is not to be done under the lock, tells them.
#[derive(Default)]
pub(super) struct Remains {
    pub(super) link: Option<Link>,
    pub(super) _closed: Vec<oneshot::Sender<()>>,
    pub(super) _receipts: BTreeMap<u32, Receipt>,
    pub(super) _calls: BTreeMap<u32, oneshot::Sender<CallAnswer>>,
}

impl Shared {
    pub(super) fn new(
        runtime: Arc<dyn Runtime>,
        protocol: Arc<dyn Protocol>,
        limits: Limits,
        resume: bool,
        url: String,
    ) -> Self {
        Self {
            runtime,
            protocol,
            limits,
            resumable: resume && limits.resume.is_some(),
            url,
            driver: AtomicWaker::new(),
            receipts: AtomicU32::new(0),
            inner: Mutex::new(Inner::new(&limits)),
        }
    }

    /// Does `work` under the lock, then wakes whom it says.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = lock(&self.inner);
        let result = work(&mut inner);
        let streams = inner.store.streams.as_ref();
        let wakers = streams.map(|streams| streams.lock().take_wakers());
        let lost = core::mem::take(&mut inner.lost);
        let woken = core::mem::take(&mut inner.woken);
        drop(inner);
        drop((wakers, lost));
        woken.into_iter().for_each(Waker::wake);
        result
    }

    /// Lets the driver be woken by `cx` from now on.
    pub(super) fn register_driver(&self, cx: &Context<'_>) {
        self.driver.register(cx.waker());
    }

    pub(super) fn wake_driver(&self) {
        self.driver.wake();
    }

    /// The bytes of a frame whose payload has so many.
    pub(super) fn encode(&self, frame: &Frame<'_>, payload_bytes: usize) -> Bytes {
        let mut bytes = BytesMut::with_capacity(payload_bytes + HEAD_BYTES);
        self.protocol.encode(frame, &mut bytes);
        bytes.freeze()
    }

    /// A receipt that no request has which still waits: not before four thousand million others.
    pub(super) fn receipt(&self) -> u32 {
        let before = self.receipts.fetch_add(1, Ordering::Relaxed);
        // Zero says that none is wanted.
        before.wrapping_add(1).max(1)
    }

    /// Asks the driver to end politely.
    pub(super) fn close(&self) {
        self.with(|inner| inner.closing = true);
        self.wake_driver();
    }

    /// How the client ended, for those who know that it has.
    pub(super) fn end_of_client(&self) -> ClientEnd {
        self.with(|inner| inner.end().cloned())
            .unwrap_or(ClientEnd::Dropped)
    }

    /// Lets everybody know where the client stands now.
    pub(super) fn enter(&self, state: State) {
        self.log(&state);
        self.with(|inner| inner.set(state));
    }

    #[cfg(feature = "tracing")]
    fn log(&self, state: &State) {
        tracing::debug!(hub = self.url, ?state, "client");
    }

    #[cfg(not(feature = "tracing"))]
    fn log(&self, _: &State) {}

    /// Ends the client, if it has not ended before, and everybody who waits for something.
    pub(super) fn end(&self, end: ClientEnd) {
        let Some((remains, subscriptions, handlers)) = self.with(|inner| inner.finish(end.clone()))
        else {
            return;
        };
        self.log(&State::Ended(end.clone()));
        drop(remains);
        drop(handlers);
        subscriptions.end(&SubscriptionEnd::Client(end));
    }

    pub(super) fn subscribe(
        &self,
        filter: TopicFilter<'_>,
        options: SubscribeOptions,
        queue: Arc<Queue>,
        answered: Answered,
    ) -> Result<u64, SubscribeError> {
        let max = self.limits.subscriptions_max;
        let key = self.with(|inner| {
            if let Some(end) = inner.end() {
                return Err(SubscribeError::Ended(end.clone()));
            }
            if inner.subscriptions.len() >= max as usize {
                return Err(SubscribeError::TooMany { max });
            }
            let key = inner.subscriptions.insert(filter, options, queue, answered);
            if inner.is_connected() {
                let request = inner.subscriptions.ask_newest();
                request
                    .into_iter()
                    .for_each(|request| self.request(inner, request, false));
            }
            Ok(key)
        });
        self.wake_driver();
        key
    }

    /// Asks the hub for subscriptions, behind everything that waits.
    pub(super) fn request(&self, inner: &mut Inner, request: Request, renewal: bool) {
        let frame = self.subscribe_frame(inner, request, renewal);
        inner.store.outbox.push(frame, Fate::Bound);
    }

    /// The frame that asks for subscriptions, whose answer is waited for from now on.
    pub(super) fn subscribe_frame(
        &self,
        inner: &mut Inner,
        request: Request,
        renewal: bool,
    ) -> Bytes {
        let receipt = self.receipt();
        let filters: Vec<&str> = request.filters.iter().map(|filter| &**filter).collect();
        let frame = Frame::Subscribe(Subscribe {
            receipt,
            first: request.first,
            policy: request.policy,
            start: request.start,
            filters: List::new(&filters),
        });
        let frame = self.encode(&frame, filters.iter().map(|filter| filter.len()).sum());
        inner
            .receipts
            .insert(receipt, Receipt::Subscribed { request, renewal });
        frame
    }

    /// Ends a subscription; `closed` is told when the hub has confirmed it, or dropped when that is not needed.
    pub(super) fn unsubscribe(&self, key: u64, mut closed: Option<oneshot::Sender<()>>) {
        self.with(|inner| {
            let left = inner.subscriptions.leave(key, &mut inner.woken);
            if let Left::Asking(number) = left {
                let waiting = closed.take_if(|_| inner.connection.is_some());
                let frame = self.unsubscribe_frame(inner, number, waiting);
                inner.store.outbox.push(frame, Fate::Bound);
            }
        });
        drop(closed);
        self.wake_driver();
    }

    /// The frame that ends a subscription, whose answer is waited for from now on.
    pub(super) fn unsubscribe_frame(
        &self,
        inner: &mut Inner,
        number: u32,
        closed: Option<oneshot::Sender<()>>,
    ) -> Bytes {
        let receipt = self.receipt();
        let unsubscribe = Frame::Unsubscribe(Unsubscribe {
            receipt,
            first: number,
            count: 1,
        });
        let waiting = Receipt::Unsubscribed { number, closed };
        inner.receipts.insert(receipt, waiting);
        self.encode(&unsubscribe, 0)
    }
}

impl Inner {
    fn new(limits: &Limits) -> Self {
        Self {
            state: State::Connecting,
            version: 1,
            waiting: BTreeMap::new(),
            tickets: 0,
            woken: Vec::new(),
            lost: Wakers::default(),
            closing: false,
            link: None,
            generation: 0,
            connection: None,
            resume_token: None,
            claim: None,
            hub_bytes_max: 0,
            known: false,
            store: Store::new(limits),
            discarded: 0,
            room_wanted: false,
            receipts: BTreeMap::new(),
            renewing: 0,
            calls: BTreeMap::new(),
            subscriptions: Subscriptions::default(),
            handlers: Handlers::default(),
            accounted: 0,
        }
    }

    /// The newest state and its version, when it is newer than `seen`.
    pub(super) fn state_after(&self, seen: u64) -> Option<(u64, State)> {
        (self.version > seen).then(|| (self.version, self.state.clone()))
    }

    pub(super) fn end(&self) -> Option<&ClientEnd> {
        match &self.state {
            State::Ended(end) => Some(end),
            _ => None,
        }
    }

    /// Counts events that were sent straight to this connection, or are said to be missing of these: the hub may say anything.
    pub(super) fn account(&mut self, events: u64) {
        self.accounted = self.accounted.saturating_add(events);
    }

    /// Events that wait to be sent, and those that were given up.
    pub(super) fn unsent(&self) -> usize {
        self.discarded + self.store.outbox.len()
    }

    pub(super) fn is_online(&self) -> bool {
        matches!(self.state, State::Online { .. })
    }

    /// Whether the welcome was dealt with, so that requests mean something.
    ///
    /// The session is ready a moment earlier, and what is asked for then would be asked for twice: the welcome renews it, too.
    fn is_connected(&self) -> bool {
        let link = self.link.as_ref().filter(|_| self.connection.is_some());
        link.is_some_and(|link| link.session.is_ready())
    }

    pub(super) fn set(&mut self, state: State) {
        self.state = state;
        self.version += 1;
        self.wake_waiting();
    }

    /// Lets everybody look again who waits for a state or for room.
    pub(super) fn wake_waiting(&mut self) {
        let waiting = core::mem::take(&mut self.waiting);
        self.woken.extend(waiting.into_values());
    }

    /// The connection is over, and its session too.
    pub(super) fn handle_lost(&mut self) -> Remains {
        let mut link = self.link.take();
        if let Some(link) = &mut link {
            // What its transport has taken.
            link.session.handed_over(&mut self.store);
        }
        Remains {
            link,
            ..self.forget_session()
        }
    }

    /// Nothing that was said in the session means anything any more.
    pub(super) fn forget_session(&mut self) -> Remains {
        self.generation += 1;
        self.lose_streams();
        (self.connection, self.resume_token, self.claim) = (None, None, None);
        self.renewing = 0;
        self.store.handle_lost();
        self.subscriptions.handle_lost();
        self.forget_waiting()
    }

    /// Whoever waits for an answer will not get it.
    pub(super) fn forget_waiting(&mut self) -> Remains {
        Remains {
            _receipts: core::mem::take(&mut self.receipts),
            _calls: core::mem::take(&mut self.calls),
            ..Remains::default()
        }
    }

    fn finish(&mut self, end: ClientEnd) -> Option<(Remains, Subscriptions, Handlers)> {
        if self.end().is_some() {
            return None;
        }
        let remains = self.handle_lost();
        self.set(State::Ended(end));
        let subscriptions = core::mem::take(&mut self.subscriptions);
        Some((remains, subscriptions, core::mem::take(&mut self.handlers)))
    }
}

/// A place among the tasks that wait for a new state or for room.
pub(super) struct Waiter {
    shared: Arc<Shared>,
    ticket: u64,
}

impl Waiter {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        let ticket = shared.with(|inner| {
            inner.tickets += 1;
            inner.tickets
        });
        Self {
            shared: shared.clone(),
            ticket,
        }
    }

    /// Ready when `look` has found something; it looks again after each change.
    pub(super) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        look: impl FnOnce(&mut Inner) -> Option<T>,
    ) -> Poll<T> {
        let (found, older) = self.shared.with(|inner| match look(inner) {
            Some(found) => (Poll::Ready(found), None),
            None => {
                let older = inner.waiting.insert(self.ticket, cx.waker().clone());
                (Poll::Pending, older)
            }
        });
        // Not under the lock: a task may end with its last waker.
        drop(older);
        found
    }

    /// What `look` finds, now or after some change.
    pub(super) async fn until<T>(&self, mut look: impl FnMut(&mut Inner) -> Option<T>) -> T {
        poll_fn(|cx| self.poll(cx, &mut look)).await
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let waker = self.shared.with(|inner| inner.waiting.remove(&self.ticket));
        drop(waker);
    }
}
