//! The end of a hub: nobody comes in, everybody is told when to return, what waits is sent.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::future::poll_fn;
use core::ops::Range;
use core::sync::atomic::Ordering;
use core::task::{Poll, Waker};
use core::time::Duration;

use super::connection::Connection;
use super::{Hub, Shared};
use crate::session::{Ending, millis};
use crate::sync::lock;
use crate::wire::{Close, CloseReason, Return};

/// How a hub ends; see [`Hub::shutdown`].
#[derive(Clone, Debug)]
pub struct Shutdown {
    /// How long connections have to take what waits for them, and to say goodbye.
    pub within: Duration,
    /// When clients shall come back, from now: each is told a time of its own from this window, so that they do not come all at once.
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
}

/// What is known about the end of a hub.
#[derive(Default)]
pub(crate) struct Farewell {
    report: ShutdownReport,
    window: Range<Duration>,
    /// Who waits for the end, by ticket.
    waiting: BTreeMap<u64, Waker>,
}

/// A place among those who wait for the hub to stop, and for its last connection to be gone.
pub(crate) struct Waiter {
    hub: Hub,
    ticket: u64,
}

impl Hub {
    /// Ends the hub politely: refuses new connections, tells the others to come back later, sends what waits for
    /// them, and reports what could not be done. Every `attach` has ended then; every `serve` ends after it,
    /// and gives its address back when it does: await it before another hub binds the same.
    ///
    /// # Cancel safety
    ///
    /// Once polled the shutdown goes on when the future is dropped, without a last cut: only the report is lost.
    pub async fn shutdown(&self, how: Shutdown) -> ShutdownReport {
        let shared = &self.shared;
        let mut timer = shared.runtime.timer();
        timer.arm(shared.runtime.now() + how.within);
        lock(&shared.farewell).window = how.return_over;
        shared.stopping.store(true, Ordering::Release);
        shared.wake_farewell();
        self.tell_everybody();
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
        lock(&shared.farewell).report
    }

    fn tell_everybody(&self) {
        let now = self.shared.runtime.now();
        for connection in self.shared.everybody() {
            let verdict = Return::After {
                ms: millis(self.shared.return_after()),
            };
            connection.close(
                Close {
                    reason: CloseReason::Shutdown,
                    verdict,
                },
                now,
            );
        }
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
            hub: hub.clone(),
            ticket: hub.shared.numbers.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Whether the hub stops; `waker` is woken when it does.
    pub(crate) fn is_stopping(&self, waker: &Waker) -> bool {
        let shared = &self.hub.shared;
        if !shared.is_stopping() {
            self.enlist(waker);
        }
        shared.is_stopping()
    }

    /// Whether no connection has a task; `waker` is woken when that is so.
    fn is_everybody_gone(&self, waker: &Waker) -> bool {
        self.enlist(waker);
        lock(&self.hub.shared.tasks).is_empty()
    }

    fn enlist(&self, waker: &Waker) {
        let mut farewell = lock(&self.hub.shared.farewell);
        let known = farewell.waiting.get(&self.ticket);
        if known.is_some_and(|known| known.will_wake(waker)) {
            return;
        }
        let older = farewell.waiting.insert(self.ticket, waker.clone());
        drop(farewell);
        drop(older);
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let waker = lock(&self.hub.shared.farewell).waiting.remove(&self.ticket);
        drop(waker);
    }
}

impl Shared {
    /// When a client that cannot stay shall come back: a time of its own.
    pub(crate) fn return_after(&self) -> Duration {
        let Range { start, end } = match lock(&self.farewell).window.clone() {
            window if window.is_empty() => Shutdown::default().return_over,
            window => window,
        };
        let mut random = [0; 4];
        self.runtime.random(&mut random);
        let fraction = f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX);
        start + end.saturating_sub(start).mul_f64(fraction)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    fn wake_farewell(&self) {
        let waiting = core::mem::take(&mut lock(&self.farewell).waiting);
        waiting.into_values().for_each(Waker::wake);
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
