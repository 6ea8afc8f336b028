//! Accepts peers, gives each a task, and runs the pumps that write for all of them: one itself, and one in a task for each other thread.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::task::Wake;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::slice;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use atomic_waker::AtomicWaker;

use super::shard::{Pump, Shard};
use super::shutdown::Waiter;
use super::{Hub, Shared};
use crate::runtime::{BoxFuture, Runtime, Timer};
use crate::session::{self, Ending};
use crate::transport::Listener;
use crate::wire::Refusal;

/// Peers accepted before others have their turn.
const ACCEPTS_PER_TURN: u64 = 64;

/// Pumps of one `serve`: more threads than that would not write faster than one can offer.
const THREADS_MAX: usize = 16;

/// How long to wait when the machine is out of something that a new connection needs.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts peers of one listener; the future of [`Hub::serve`].
#[must_use = "nobody is served unless the future is polled"]
pub(crate) struct Serve {
    hub: Hub,
    waiter: Waiter,
    shards: Arc<[Arc<Shard>]>,
    /// Of the first shard; the others have tasks of their own, so that several threads write.
    pump: Pump,
    /// `None` once the hub stops.
    accept: Option<Gate>,
}

impl Serve {
    pub(crate) fn new(hub: Hub, listener: Box<dyn Listener>) -> Self {
        let threads = hub.shared.runtime.threads().clamp(1, THREADS_MAX);
        let shards: Arc<[_]> = (0..threads).map(|_| Arc::new(Shard::new())).collect();
        let pump = hub.shared.pump(&shards[0]);
        let _ = shards[0].wants_pump();
        let accept = Gate::new(Box::pin(accept(hub.clone(), shards.clone(), listener)));
        Self {
            waiter: Waiter::new(&hub),
            hub,
            shards,
            pump,
            accept: Some(accept),
        }
    }
}

impl Future for Serve {
    type Output = ();

    /// Ready when the hub has shut down and every connection of this listener is gone.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let stopping = this.waiter.is_stopping(cx.waker());
        match &mut this.accept {
            Some(_) if stopping => this.accept = None,
            Some(accept) => accept.poll(cx),
            None => {}
        }
        this.pump.poll(cx);
        // Once for all that it has written.
        this.hub.shared.room_freed();
        let deserted = |shard: &Arc<Shard>| shard.is_deserted(cx.waker());
        match stopping && this.shards.iter().all(deserted) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl Drop for Serve {
    /// Whoever drops this wants all of it to end now.
    fn drop(&mut self) {
        self.hub.shared.abandon(&self.shards);
    }
}

/// The pump of a shard in a task of its own, for as long as the shard has connections.
struct Pumping {
    shared: Arc<Shared>,
    shard: Arc<Shard>,
    pump: Pump,
    spared: bool,
}

impl Pumping {
    fn new(shared: Arc<Shared>, shard: Arc<Shard>) -> Self {
        Self {
            pump: shared.pump(&shard),
            shared,
            shard,
            spared: false,
        }
    }
}

impl Future for Pumping {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.pump.poll(cx);
        self.shared.room_freed();
        self.spared = self.shard.spares_pump();
        match self.spared {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl Drop for Pumping {
    /// Without it nobody would write for these any more.
    fn drop(&mut self) {
        if !self.spared {
            self.shared.abandon(slice::from_ref(&self.shard));
        }
    }
}

impl Shared {
    fn pump(&self, shard: &Arc<Shard>) -> Pump {
        let slack = session::slack(self.limits.promise);
        Pump::new(shard.clone(), self.runtime.clone(), slack)
    }

    /// Ends all connections of these without a word.
    fn abandon(&self, shards: &[Arc<Shard>]) {
        shards.iter().for_each(|shard| shard.stop());
        let is_mine = |shard: &Arc<Shard>| shards.iter().any(|mine| Arc::ptr_eq(shard, mine));
        self.everybody()
            .iter()
            .filter(|connection| connection.shard().is_some_and(is_mine))
            .for_each(|connection| connection.wake_task());
    }
}

async fn accept(hub: Hub, shards: Arc<[Arc<Shard>]>, mut listener: Box<dyn Listener>) {
    let mut timer = hub.shared.runtime.timer();
    for accepted in 1_u64.. {
        match listener.accept().await {
            // Nobody is left to tell it why.
            Ok(_) if hub.shared.is_overrun() => {
                let full = Ending::Refused(Refusal::Full);
                hub.shared.counters.refused(full);
            }
            Ok(transport) => {
                let alive = shards.iter().filter(|shard| !shard.is_stopped());
                let shard = alive.min_by_key(|shard| shard.members());
                let mut drive = hub.drive(transport, shard.cloned());
                if let Some(shard) = shard.filter(|shard| shard.wants_pump()) {
                    let pumping = Pumping::new(hub.shared.clone(), shard.clone());
                    hub.shared.runtime.spawn(Box::pin(pumping));
                }
                // An async block that awaits it would hold it twice.
                let task = poll_fn(move |cx| Pin::new(&mut drive).poll(cx).map(drop));
                hub.shared.runtime.spawn(Box::pin(task));
            }
            Err(error) if is_of_one_peer(&error) => {}
            Err(_) => pause(&*hub.shared.runtime, &mut *timer).await,
        }
        if accepted.is_multiple_of(ACCEPTS_PER_TURN) {
            others_first().await;
        }
    }
}

/// Lets the pump have its turn, however many peers wait to be accepted.
async fn others_first() {
    let mut turns = 0;
    poll_fn(|cx| {
        turns += 1;
        cx.waker().wake_by_ref();
        match turns {
            1 => Poll::Pending,
            _ => Poll::Ready(()),
        }
    })
    .await;
}

/// Whether an error is about the peer that was to be accepted, and says nothing about the next.
fn is_of_one_peer(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as E;
    matches!(
        error.kind(),
        E::ConnectionAborted | E::ConnectionReset | E::ConnectionRefused | E::Interrupted
    )
}

async fn pause(runtime: &dyn Runtime, timer: &mut dyn Timer) {
    timer.arm(runtime.now() + ACCEPT_PAUSE);
    poll_fn(|cx| timer.poll_fired(cx)).await;
}

/// A future that is polled only when it was woken itself: reactors try before they look, so polling it
/// beside others for nothing costs system calls.
struct Gate {
    future: BoxFuture<'static, ()>,
    bell: Arc<Bell>,
}

struct Bell {
    rung: AtomicBool,
    task: AtomicWaker,
}

impl Gate {
    fn new(future: BoxFuture<'static, ()>) -> Self {
        Self {
            future,
            bell: Arc::new(Bell {
                rung: AtomicBool::new(true),
                task: AtomicWaker::new(),
            }),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        self.bell.task.register(cx.waker());
        if self.bell.rung.swap(false, Ordering::AcqRel) {
            let waker = Waker::from(self.bell.clone());
            // It never ends: it is dropped.
            let _ = self.future.as_mut().poll(&mut Context::from_waker(&waker));
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.task.wake();
    }
}
