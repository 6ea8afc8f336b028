//! The end of a hub: nobody comes in, calls are finished, everybody is told when to return, what waits is sent.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::future::poll_fn;
use core::ops::Range;
use core::sync::atomic::Ordering;
use core::task::{Poll, Waker};
use core::time::Duration;

use super::connection::Connection;
use super::spread::Spread;
use super::waitlist::{Ticket, WaitList};
use super::{Hub, Shared};
use crate::session::{Ending, millis};
use crate::sync::lock;
use crate::time::Instant;
use crate::wire::{Close, CloseReason, Return};

/// How a hub ends; see [`Hub::shutdown`].
#[derive(Clone, Debug)]
pub struct Shutdown {
    /// How long connections have to have their calls answered, to take what waits for them, and to say goodbye. Handlers that
    /// still run after three quarters of it are dropped, and their callers told.
    pub within: Duration,
    /// When clients shall come back, from now: each is told a time of its own from this window, evenly over all of it.
    pub return_over: Range<Duration>,
}

impl Default for Shutdown {
    /// 5 s for goodbyes; clients come back between 1 s and 10 s from now.
    fn default() -> Self {
        Self {
            within: Duration::from_secs(5),
            return_over: Duration::from_secs(1)..Duration::from_secs(10),
        }
    }
}

/// What a shutdown came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Connections that had everything and said goodbye.
    pub closed: u64,
    /// Connections that were cut: they took too long, or broke meanwhile.
    pub cut: u64,
    /// Frames that were not delivered to them.
    pub undelivered_frames: u64,
    /// Calls that ran or waited for their turn, and were answered.
    pub calls_finished: u64,
    /// Calls that took too long, and whose callers were told so.
    pub calls_cut: u64,
}

/// What is known about the end of a hub.
#[derive(Default)]
pub(crate) struct Farewell {
    report: ShutdownReport,
    plan: Option<Plan>,
    spread: Spread,
    waiting: Arc<WaitList>,
}

/// What was decided when the end began.
struct Plan {
    begun: Instant,
    calls_until: Instant,
    /// When clients shall come back, from the beginning on.
    return_over: Range<Duration>,
}

impl Plan {
    fn new(how: Shutdown, begun: Instant) -> Self {
        Self {
            begun,
            calls_until: begun + (how.within - how.within / 4),
            return_over: how.return_over,
        }
    }

    /// What is left of the window; who hears of it when it is over, gets one that is as long.
    fn window(&self, now: Instant) -> Range<Duration> {
        let passed = now.since(self.begun);
        let Range { start, end } = self.return_over;
        match end > passed {
            true => start.saturating_sub(passed)..end - passed,
            false => start..end,
        }
    }
}

/// Waits for the hub to stop, and for its last connection to be gone.
pub(crate) struct Waiter {
    hub: Hub,
    ticket: Ticket,
}

impl Hub {
    /// Ends the hub politely: refuses new connections and new calls, lets calls finish that are here, tells everybody when to come
    /// back, sends what waits for them, and reports what could not be done. Every `attach` has ended then; every `serve` ends after it,
    /// and gives its address back when it does: await it before another hub binds the same.
    ///
    /// A connection is told as soon as its last call is answered, so those without calls at once. Events that are published until
    /// then still reach it. Clients that are away and might have resumed are gone at once: this hub's memory ends with it.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use lapwing::hub::{Hub, Shutdown};
    /// use lapwing_memory::Virtual;
    ///
    /// let sim = Virtual::new(1);
    /// let report = sim.run(async {
    ///     let hub = Hub::builder(sim.runtime()).build()?;
    ///     let how = Shutdown {
    ///         return_over: Duration::from_secs(5)..Duration::from_secs(30),
    ///         ..Shutdown::default()
    ///     };
    ///     Ok::<_, Box<dyn std::error::Error>>(hub.shutdown(how).await)
    /// });
    /// # let report = report.expect("nobody waits for ever").unwrap();
    /// assert_eq!((report.closed, report.cut, report.calls_cut), (0, 0, 0), "nobody was here");
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Once polled the shutdown goes on when the future is dropped, without a last cut of who takes nothing: only the report is lost.
    pub async fn shutdown(&self, how: Shutdown) -> ShutdownReport {
        let shared = &self.shared;
        let mut timer = shared.runtime.timer();
        let now = shared.runtime.now();
        timer.arm(now + how.within);
        lock(&shared.farewell).plan = Some(Plan::new(how, now));
        shared.stopping.store(true, Ordering::Release);
        shared.wake_farewell();
        // Each says goodbye when it has answered its calls.
        shared
            .everybody()
            .iter()
            .for_each(|connection| connection.wake_task());
        let waiter = Waiter::new(self);
        let mut cut = false;
        poll_fn(|cx| {
            if waiter.is_everybody_gone(cx.waker()) {
                return Poll::Ready(());
            }
            if !cut && timer.poll_fired(cx).is_ready() {
                cut = true;
                self.cut_everybody();
            }
            Poll::Pending
        })
        .await;
        shared.locals.end();
        lock(&shared.farewell).report
    }

    fn cut_everybody(&self) {
        self.shared.cutting.store(true, Ordering::Release);
        for connection in self.shared.everybody() {
            connection.cut();
        }
    }
}

impl Waiter {
    pub(crate) fn new(hub: &Hub) -> Self {
        Self {
            ticket: Ticket::new(&lock(&hub.shared.farewell).waiting),
            hub: hub.clone(),
        }
    }

    /// Whether the hub stops; `waker` is woken when it does.
    pub(crate) fn is_stopping(&self, waker: &Waker) -> bool {
        let shared = &self.hub.shared;
        if !shared.is_stopping() {
            self.ticket.enlist(waker);
        }
        shared.is_stopping()
    }

    /// Whether no connection has a task; `waker` is woken when that is so.
    fn is_everybody_gone(&self, waker: &Waker) -> bool {
        self.ticket.enlist(waker);
        lock(&self.hub.shared.tasks).is_empty()
    }
}

impl Shared {
    /// When a client that cannot stay shall come back: a time of its own.
    pub(crate) fn return_after(&self) -> Duration {
        let now = self.runtime.now();
        let mut farewell = lock(&self.farewell);
        let Range { start, end } = match &farewell.plan {
            Some(plan) => plan.window(now),
            None => Shutdown::default().return_over,
        };
        let place = farewell.spread.next(|bytes| self.runtime.random(bytes));
        start + end.saturating_sub(start).mul_f64(place)
    }

    /// What a client hears that has to go because the hub does.
    pub(crate) fn farewell(&self) -> Close {
        let ms = millis(self.return_after());
        Close {
            reason: CloseReason::Shutdown,
            verdict: Return::After { ms },
        }
    }

    /// Until when calls may run, if the hub stops.
    pub(crate) fn calls_until(&self) -> Option<Instant> {
        if !self.is_stopping() {
            return None;
        }
        let farewell = lock(&self.farewell);
        farewell.plan.as_ref().map(|plan| plan.calls_until)
    }

    /// A call has got an answer after the end had begun.
    pub(crate) fn call_ended(&self, cut: bool) {
        let report = &mut lock(&self.farewell).report;
        match cut {
            true => report.calls_cut += 1,
            false => report.calls_finished += 1,
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    fn wake_farewell(&self) {
        let waiting = lock(&self.farewell).waiting.clone();
        waiting.wake();
    }

    /// Whether connections shall end without last words.
    pub(crate) fn is_cutting(&self) -> bool {
        self.cutting.load(Ordering::Acquire)
    }

    /// A connection has got its task.
    pub(crate) fn arrive(&self, connection: &Arc<Connection>) {
        self.handshakes.fetch_add(1, Ordering::AcqRel);
        lock(&self.tasks).insert(connection.number, Arc::downgrade(connection));
        if let Some(shard) = connection.shard() {
            shard.enter();
        }
    }

    /// A connection has come through its handshake, or has failed to.
    pub(crate) fn settle(&self) {
        self.handshakes.fetch_sub(1, Ordering::AcqRel);
    }

    /// The task of a connection has ended.
    pub(crate) fn departed(&self, connection: &Connection) {
        if let Some(shard) = connection.shard() {
            shard.leave(connection);
        }
        let mut tasks = lock(&self.tasks);
        tasks.remove(&connection.number);
        let last = tasks.is_empty();
        drop(tasks);
        if last {
            if self.is_stopping() {
                self.locals.end();
            }
            self.wake_farewell();
        }
    }

    /// A connection that was let in has left the registry, with a goodbye of its peer or without.
    pub(crate) fn gone(&self, ending: Ending, parted: bool, undelivered_frames: u64) {
        self.counters.disconnected(ending);
        self.room_freed();
        if self.is_stopping() {
            let report = &mut lock(&self.farewell).report;
            let polite = parted && undelivered_frames == 0;
            report.closed += u64::from(polite);
            report.cut += u64::from(!polite);
            report.undelivered_frames += undelivered_frames;
        }
    }

    /// Every connection that has a task, also before its handshake and after its end.
    pub(crate) fn everybody(&self) -> Vec<Arc<Connection>> {
        lock(&self.tasks)
            .values()
            .filter_map(Weak::upgrade)
            .collect()
    }
}
