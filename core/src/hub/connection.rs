//! One peer of the hub: a session over a transport with its lane, behind one lock.
//!
//! Whoever has something for the peer offers it here and marks the connection *dirty*; the pump of its shard,
//! or its own task when it has none, writes. Nobody holds the lock of one connection while taking another's.

mod calls;
mod live;
mod pace;
mod store;
mod time;

#[cfg(feature = "tracing")]
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::task::Wake;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use core::task::{Context, Poll, Waker};
use std::sync::{Mutex, MutexGuard};

use atomic_waker::AtomicWaker;

pub(crate) use self::calls::{PeerAnswer, PeerCallError};
pub(crate) use self::live::Live;
pub(crate) use self::store::HubStore;
use super::accounts::Accounts;
use super::class::Class;
use super::lane::{Offer, Taken};
use super::resume::{Arrival, NotResumed};
use super::shard::Shard;
use crate::id::ConnectionId;
use crate::link::Traffic;
use crate::policy::Policy;
use crate::sync::lock;
use crate::time::Instant;
use crate::transport::Info;
use crate::wire::{Close, CloseReason, Return};

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
    /// Where it came from, for logs.
    #[cfg(feature = "tracing")]
    pub(crate) peer: Option<Box<str>>,
}

impl Connection {
    pub(crate) fn new(
        id: ConnectionId,
        number: u64,
        #[cfg_attr(
            not(feature = "tracing"),
            expect(unused_variables, reason = "logs alone")
        )]
        info: &Info,
        live: Live,
        shard: Option<Arc<Shard>>,
    ) -> Self {
        Self {
            id,
            number,
            #[cfg(feature = "tracing")]
            peer: info.peer.as_deref().map(Box::from),
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

    /// Has the processor fetch what an offer or a write begins with.
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
