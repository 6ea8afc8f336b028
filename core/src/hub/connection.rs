//! One peer of the hub: a session over a transport with its lane, behind one lock.
//!
//! Whoever has something for the peer offers it here and marks the connection *dirty*; the pump of its shard,
//! or its own task when it has none, writes. Nobody holds the lock of one connection while taking another's.

mod pace;
mod time;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use core::task::{Context, Poll, Waker};
use std::sync::{Mutex, MutexGuard};

use atomic_waker::AtomicWaker;
use bytes::Bytes;
use futures_channel::oneshot;

use super::accounts::Accounts;
use super::class::Class;
use super::guest::Guest;
use super::lane::{HubStore, Offer, Rejected, Taken};
use super::resume::{Arrival, Claim, NotResumed, Token};
use super::shard::Shard;
use crate::answers::CallFailure;
use crate::id::ConnectionId;
use crate::limits::Limits;
use crate::link::{Link, Traffic};
use crate::policy::Policy;
use crate::session::{Answer, CallSlot, Ending};
use crate::streams::{Table, Wakers};
use crate::sync::lock;
use crate::time::Instant;
use crate::transport::Info;
use crate::wire::{Call, Close, CloseReason, Encoding, FailureCode, Frame, Open, Payload, Return};

/// An answer of the peer: its payload, or why there is none.
pub(crate) type PeerAnswer = Result<(Encoding, Vec<u8>), PeerCallError>;

/// Waits for an answer of the peer.
pub(crate) type Waiter = oneshot::Sender<PeerAnswer>;

/// Room for what stands around method and arguments of a call.
const CALL_BYTES: usize = 24;

/// Why a peer's answer will not come.
#[derive(Debug)]
pub(crate) enum PeerCallError {
    Failed(CallFailure),
    TimedOut,
    Full,
    /// The protocol has no words for it.
    Wordless,
    TooLarge {
        size: u64,
        max: u64,
    },
}

impl From<Rejected> for PeerCallError {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::Full => Self::Full,
            Rejected::TooLarge { size, max } => Self::TooLarge { size, max },
        }
    }
}

/// What the tasks of a hub share about one peer.
///
/// What a delivery looks at stands together and in this order: of very many connections none is in the processor's cache.
#[repr(C)]
pub(crate) struct Connection {
    /// Who writes for it; `None`: its own task.
    shard: Option<Arc<Shard>>,
    /// On the list of its shard.
    dirty: AtomicBool,
    /// The transport takes nothing now, and will wake us.
    blocked: AtomicBool,
    /// Its client is away and may return.
    away: AtomicBool,
    /// Which bytes it gets; decided before it comes into the registry.
    class: AtomicU8,
    /// A client has returned to it.
    arrived: AtomicBool,
    live: Mutex<Option<Live>>,
    task: AtomicWaker,
    /// The instant for which it has an entry with its shard, in microseconds; the largest number when it has none.
    pub(crate) scheduled: AtomicU64,
    pub(crate) id: ConnectionId,
    /// Tells connections of one hub apart, in the order in which they came.
    pub(crate) number: u64,
    pub(crate) info: Info,
}

/// What a connection has until it is gone; in the same order.
#[repr(C)]
pub(crate) struct Live {
    pub(crate) store: HubStore,
    pub(crate) accounts: Accounts,
    /// Subscriptions that get events of the past.
    pub(crate) replaying: u32,
    /// Nothing is offered any more: it has left the registry.
    pub(crate) left: bool,
    /// The client has said something since the last welcome.
    pub(crate) heard: bool,
    /// Its task waits for its peer, and for no time but the session's.
    pub(crate) rests: bool,
    pub(crate) link: Link,
    waiters: Vec<(u32, Waiter)>,
    calls_max: usize,
    /// For a client that may return.
    pub(crate) claim: Option<Claim>,
    /// A client that has returned.
    pub(crate) arrival: Option<Box<Arrival>>,
    /// Its client is away, and not welcome any more.
    pub(crate) dismissed: Option<Box<Ending>>,
    pub(crate) guest: Option<Arc<Guest>>,
}

impl Live {
    pub(crate) fn new(link: Link, store: HubStore, calls_max: u32) -> Self {
        Self {
            link,
            store,
            accounts: Accounts::default(),
            replaying: 0,
            waiters: Vec::new(),
            calls_max: calls_max as usize,
            left: false,
            claim: None,
            heard: false,
            arrival: None,
            dismissed: None,
            guest: None,
            rests: false,
        }
    }

    fn takes_events(&self) -> bool {
        !self.left && (self.link.session.is_ready() || self.goes_on())
    }

    /// Whether there is room for more of the past, and somebody wants it.
    pub(crate) fn may_read_on(&self) -> bool {
        self.replaying > 0 && self.store.lane.frames() == 0 && self.link.session.is_ready()
    }

    /// A frame for this peer alone, as its lane holds it; `None` when its protocol has no words for it.
    pub(crate) fn framed(&mut self, frame: &Frame<'_>) -> Option<Bytes> {
        let Self { link, store, .. } = self;
        let class = store.lane.class();
        class.framed_by(|into| link.encode(frame, into))
    }

    /// Lets the peer have an answer; see [`push_answer`](super::lane::HubLane::push_answer).
    pub(crate) fn push_answer(&mut self, frame: &Frame<'_>) {
        if let Some(framed) = self.framed(frame) {
            self.store.lane.push_answer(framed);
        }
    }

    /// Takes note that the client has said something; the token that is used up by that.
    pub(crate) fn hear(&mut self) -> Option<Token> {
        if self.heard || !self.link.session.is_ready() {
            return None;
        }
        self.heard = true;
        self.store.lane.release();
        self.claim.as_mut()?.prove()
    }

    /// Ends the session; one that is lost already does not wait for its client any longer.
    fn close(&mut self, close: Close, flush: bool, now: Instant) {
        match self.goes_on() {
            true => self.dismissed = Some(Box::new(Ending::ByUs(close))),
            false => self.link.session.close(close, flush, now),
        }
    }

    /// There was no room for something that may not be dropped.
    pub(crate) fn overflow(&mut self, reason: CloseReason, now: Instant) {
        let verdict = Return::Now;
        let close = Close { reason, verdict };
        if self.link.session.is_ready() {
            self.link.session.close(close, false, now);
        } else if self.ticket().is_some() && self.goes_on() {
            // It can only go on whole.
            self.dismissed = Some(Box::new(Ending::ByUs(close)));
        }
        // Nothing of it leaves any more, and somebody may need the memory.
        match self.claim {
            Some(_) => self.store.lane.tear(),
            None => self.store.lane.clear(),
        }
    }

    /// Whoever waits for this answer. Tell it without the lock: it may act at once.
    pub(crate) fn waiter(&mut self, id: u32) -> Option<Waiter> {
        let index = self
            .waiters
            .iter()
            .position(|(waiting, _)| *waiting == id)?;
        Some(self.waiters.swap_remove(index).1)
    }

    /// Takes note that a call of ours got no answer in time: whoever waits for it, or for the first item.
    pub(crate) fn timed_out(&mut self, id: u32) -> (Option<Waiter>, Wakers) {
        let give_up = |streams: &Table| {
            let mut streams = streams.lock();
            streams.give_up(id, CallFailure::new(FailureCode::TimedOut, ""));
            streams.take_wakers()
        };
        let wakers = self.store.streams.as_ref().map(give_up);
        (self.waiter(id), wakers.unwrap_or_default())
    }

    /// Everybody who waits for an answer that will not come. Dropping them, without the lock, tells them.
    pub(crate) fn take_waiters(&mut self) -> (Vec<(u32, Waiter)>, Wakers) {
        let lose = |streams: Table| {
            let mut streams = streams.lock();
            streams.lose();
            streams.take_wakers()
        };
        let wakers = self.store.streams.take().map(lose);
        (
            core::mem::take(&mut self.waiters),
            wakers.unwrap_or_default(),
        )
    }

    /// Sends a call which `frame` makes when it has a number.
    fn begin_call<'f>(
        &mut self,
        bytes: usize,
        frame: impl FnOnce(u32) -> Frame<'f>,
        deadline: Option<Instant>,
        answer: Answer,
    ) -> Result<u32, PeerCallError> {
        let size = (bytes + CALL_BYTES) as u64;
        let max = u64::from(self.link.session.peer().message_bytes_max);
        if size > max {
            return Err(PeerCallError::TooLarge { size, max });
        }
        if !self.store.slots.iter().any(CallSlot::is_free)
            && self.store.slots.len() < self.calls_max
        {
            self.store.slots.push(CallSlot::FREE);
        }
        let id = self
            .link
            .session
            .open(&mut self.store, deadline, (answer, 0))
            .map_err(|_| PeerCallError::Full)?;
        let framed = self.framed(&frame(id)).ok_or(PeerCallError::Wordless);
        let pushed = framed.and_then(|framed| Ok(self.store.lane.push_fixed(framed)?));
        if pushed.is_err() {
            self.link.session.forget(&mut self.store, id);
        }
        pushed.map(|()| id)
    }

    fn call(
        &mut self,
        method: &str,
        arguments: Payload<'_>,
        deadline: Option<Instant>,
        deadline_ms: Option<u32>,
    ) -> Result<(u32, oneshot::Receiver<PeerAnswer>), PeerCallError> {
        let call = |id| {
            Frame::Call(Call {
                id,
                method,
                deadline_ms,
                arguments,
            })
        };
        let id = self.begin_call(
            method.len() + arguments.bytes.len(),
            call,
            deadline,
            Answer::Reply,
        )?;
        let (waiter, answer) = oneshot::channel();
        self.waiters.push((id, waiter));
        Ok((id, answer))
    }

    fn open(
        &mut self,
        method: &str,
        arguments: Payload<'_>,
        (deadline, deadline_ms): (Option<Instant>, Option<u32>),
        limits: &Limits,
    ) -> Result<(u32, Table), PeerCallError> {
        let open = |id| {
            Frame::Open(Open {
                id,
                method,
                deadline_ms,
                arguments,
                items: Some(limits.stream_items_max.max(1).into()),
                streams: 0,
            })
        };
        // Those that were stopped may still be on their way.
        let answers_max = limits.streams_max as usize + self.calls_max;
        if self.streams(limits).lock().answers() >= answers_max {
            return Err(PeerCallError::Full);
        }
        let bytes = method.len() + arguments.bytes.len();
        let id = self.begin_call(bytes, open, deadline, Answer::Stream)?;
        let table = self.streams(limits);
        table.lock().receive(id, true);
        Ok((id, table.clone()))
    }

    /// Its streams, from when there is the first.
    pub(crate) fn streams(&mut self, limits: &Limits) -> &Table {
        let Self { link, store, .. } = self;
        let new = || Table::new(limits, link.protocol().keeps_to_credit());
        store.streams.get_or_insert_with(new)
    }
}

impl Connection {
    pub(crate) fn new(
        id: ConnectionId,
        number: u64,
        info: Info,
        live: Live,
        shard: Option<Arc<Shard>>,
    ) -> Self {
        Self {
            id,
            number,
            info,
            live: Mutex::new(Some(live)),
            shard,
            task: AtomicWaker::new(),
            dirty: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            class: AtomicU8::new(0),
            arrived: AtomicBool::new(false),
            away: AtomicBool::new(false),
            scheduled: AtomicU64::new(u64::MAX),
        }
    }

    /// The connection's own state; `None` once it is gone.
    pub(crate) fn live(&self) -> MutexGuard<'_, Option<Live>> {
        lock(&self.live)
    }

    /// Has the processor fetch what an offer begins with.
    pub(crate) fn touch(&self) {
        core::hint::black_box(self.live.is_poisoned());
    }

    pub(crate) fn shard(&self) -> Option<&Arc<Shard>> {
        self.shard.as_ref()
    }

    /// Which bytes it gets: the index of its class.
    pub(crate) fn class(&self) -> u8 {
        self.class.load(Ordering::Relaxed)
    }

    /// Decides which bytes it gets: what both sides speak is known.
    pub(crate) fn set_class(&self, class: &Arc<Class>, live: &mut Live) {
        // Who finds the connection in the registry sees what was written before it came there.
        self.class.store(class.index, Ordering::Relaxed);
        let framing = live.link.framing();
        live.store.lane.set_class(class.clone(), framing);
    }

    /// Lets the connection's task be woken by `waker` from now on.
    pub(crate) fn register(&self, waker: &Waker) {
        self.task.register(waker);
    }

    /// Lets the connection's task have a turn.
    pub(crate) fn wake_task(&self) {
        self.task.wake();
    }

    /// Offers events of one of its subscriptions; `None` when it has this one no longer, or not yet.
    pub(crate) fn offer(
        self: &Arc<Self>,
        offer: &Offer<'_>,
        (subscription, policy): (u32, Policy),
        tight: bool,
        now: Instant,
    ) -> Option<Taken> {
        self.offer_to(offer, tight, now, |accounts, events| {
            let has = accounts.offer(subscription, events);
            has.then_some((subscription, policy))
        })
    }

    /// The same for the first that it has of several.
    pub(crate) fn offer_to_first(
        self: &Arc<Self>,
        offer: &Offer<'_>,
        heirs: &[(u32, Policy)],
        tight: bool,
        now: Instant,
    ) -> Option<Taken> {
        self.offer_to(offer, tight, now, |accounts, events| {
            let has = |(number, _): &(u32, Policy)| accounts.offer(*number, events);
            heirs.iter().copied().find(has)
        })
    }

    #[inline]
    fn offer_to(
        self: &Arc<Self>,
        offer: &Offer<'_>,
        tight: bool,
        now: Instant,
        choose: impl FnOnce(&mut Accounts, u64) -> Option<(u32, Policy)>,
    ) -> Option<Taken> {
        let mut guard = self.live();
        let Some(live) = guard.as_mut().filter(|live| live.takes_events()) else {
            return Some(Taken::default());
        };
        let events = offer.ends.len() as u64;
        let (subscription, policy) = choose(&mut live.accounts, events)?;
        let taken = live.store.lane.offer(offer, subscription, policy, tight);
        if let Some(reason) = taken.overflow {
            live.overflow(reason, now);
        }
        drop(guard);
        match taken.overflow {
            Some(_) => self.wake_task(),
            None => self.has_output(),
        }
        Some(taken)
    }

    /// Calls the peer: the call's id, and where its answer will be.
    pub(crate) fn call(
        self: &Arc<Self>,
        method: &str,
        arguments: Payload<'_>,
        deadline: Option<Instant>,
        deadline_ms: Option<u32>,
    ) -> Option<Result<(u32, oneshot::Receiver<PeerAnswer>), PeerCallError>> {
        let mut guard = self.live();
        let live = guard.as_mut().filter(|live| live.takes_events())?;
        let call = live.call(method, arguments, deadline, deadline_ms);
        drop(guard);
        // Its own task: there is a new deadline, too.
        self.wake_task();
        Some(call)
    }

    /// Calls the peer, which answers with a stream: the call's number, and where it is read.
    pub(crate) fn open(
        self: &Arc<Self>,
        method: &str,
        arguments: Payload<'_>,
        due: (Option<Instant>, Option<u32>),
        limits: &Limits,
    ) -> Option<Result<(u32, Table), PeerCallError>> {
        let mut guard = self.live();
        let live = guard.as_mut().filter(|live| live.takes_events())?;
        let opened = live.open(method, arguments, due, limits);
        drop(guard);
        self.wake_task();
        Some(opened)
    }

    /// Forgets a call that nobody waits for any more.
    pub(crate) fn cancel(self: &Arc<Self>, id: u32) {
        let mut guard = self.live();
        let waiter = guard.as_mut().and_then(|live| {
            let waiter = live.waiter(id)?;
            live.link.session.cancel(&mut live.store, id);
            Some(waiter)
        });
        drop(guard);
        drop(waiter);
        self.has_output();
    }

    /// Says goodbye to the peer, after what waits for it and in these words; its task does the rest.
    pub(crate) fn close(&self, close: Close, words: Option<&str>, now: Instant) {
        if let Some(live) = self.live().as_mut() {
            live.link.part(words);
            live.close(close, true, now);
        }
        self.wake_task();
    }

    /// Ends the connection of a client that has returned with a wrong count.
    pub(crate) fn miscounted(&self, now: Instant) {
        let close = Close {
            reason: CloseReason::Count,
            verdict: Return::Now,
        };
        if let Some(live) = self.live().as_mut() {
            live.close(close, false, now);
        }
        self.wake_task();
    }

    /// Takes in a client that has returned; its task goes on with it.
    pub(crate) fn arrive(&self, arrival: Arrival) -> Result<(), NotResumed> {
        let mut guard = self.live();
        let older = match guard.as_mut() {
            Some(live) => live.arrive(arrival)?,
            None => return Err(NotResumed::Unknown(arrival.live)),
        };
        self.arrived.store(true, Ordering::Release);
        drop(guard);
        drop(older);
        self.wake_task();
        Ok(())
    }

    /// Whether a client has returned since this was last asked.
    pub(crate) fn take_arrived(&self) -> bool {
        self.arrived.load(Ordering::Acquire) && self.arrived.swap(false, Ordering::AcqRel)
    }

    /// Whether its client is away and may return.
    pub(crate) fn is_away(&self) -> bool {
        self.away.load(Ordering::Acquire)
    }

    /// Takes note whether its client is away; false when that was known.
    pub(crate) fn set_away(&self, away: bool) -> bool {
        self.away.swap(away, Ordering::AcqRel) != away
    }

    /// Lets whoever writes for this connection begin with a new transport.
    pub(crate) fn write_anew(self: &Arc<Self>) {
        self.blocked.store(false, Ordering::Release);
        self.mark_dirty();
    }

    /// Ends the connection now, as far as the peer has got.
    pub(crate) fn cut(&self) {
        if let Some(live) = self.live().as_mut() {
            live.link.session.handle_end();
        }
        self.wake_task();
    }

    /// Something waits in the lane: whoever writes for this connection has to have a turn.
    pub(crate) fn has_output(self: &Arc<Self>) {
        if !self.blocked.load(Ordering::Acquire) && !self.is_away() {
            self.mark_dirty();
        }
    }

    fn mark_dirty(self: &Arc<Self>) {
        match &self.shard {
            None => self.wake_task(),
            Some(shard) if !self.dirty.swap(true, Ordering::AcqRel) => shard.push(self.clone()),
            Some(_) => {}
        }
    }

    /// Writes for the pump, which has taken the connection from the list.
    pub(crate) fn write_for_pump(self: &Arc<Self>, now: Instant) {
        self.dirty.store(false, Ordering::Release);
        let mut guard = self.live();
        let Some(live) = guard.as_mut().filter(|live| !live.left) else {
            return;
        };
        let state = |live: &Live| {
            let lane = &live.store.lane;
            (lane.lets_peer_speak(), lane.takes_items())
        };
        let (before, in_time) = (state(live), live.store.lane.confirm_by());
        let written = self.write(live, now);
        let (speaks, flows) = state(live);
        let reads_again = speaks && !before.0 || flows && !before.1 || live.may_read_on();
        // There is a new deadline.
        let waits = in_time.is_none() && live.store.lane.confirm_by().is_some();
        drop(guard);
        if reads_again || waits || matches!(written, Poll::Ready(Err(()))) {
            self.wake_task();
        }
    }

    /// Writes what there is, with the connection's own waker: a transport keeps one for writing.
    pub(crate) fn write(self: &Arc<Self>, live: &mut Live, now: Instant) -> Poll<Result<(), ()>> {
        let waker = Waker::from(self.clone());
        // Before the transport is asked: its answer may come at once.
        self.blocked.store(true, Ordering::Release);
        let written = live
            .link
            .poll_write(&mut live.store, now, &mut Context::from_waker(&waker));
        if written.is_ready() {
            self.blocked.store(false, Ordering::Release);
            live.store.lane.await_confirmation(now);
        }
        written.map_err(|_| ())
    }

    /// Frees everything but the name.
    pub(crate) fn bury(&self) -> Option<Traffic> {
        // Dropped without the lock: transports may do much at their end.
        let live = self.live().take();
        live.map(|live| live.link.traffic)
    }
}

impl Wake for Connection {
    /// The transport takes something again. Called by reactors, and by transports in the midst of a write: takes no lock of the connection.
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.blocked.store(false, Ordering::Release);
        self.mark_dirty();
    }
}
