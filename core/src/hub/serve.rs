//! Accepts peers, gives each a task, and runs the pump that writes for all of them.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::task::Wake;
use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use atomic_waker::AtomicWaker;

use super::Hub;
use super::connection::Connection;
use super::shard::{Pump, Shard};
use super::shutdown::Waiter;
use crate::runtime::{BoxFuture, Runtime, Timer};
use crate::session::Ending;
use crate::transport::Listener;
use crate::wire::Refusal;

/// Peers accepted before others have their turn.
const ACCEPTS_PER_TURN: u64 = 64;

/// How long to wait when the machine is out of something that a new connection needs.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts peers of one listener; the future of [`Hub::serve`].
#[must_use = "nobody is served unless the future is polled"]
pub(crate) struct Serve {
    hub: Hub,
    waiter: Waiter,
    shard: Arc<Shard>,
    pump: Pump,
    /// `None` once the hub stops.
    accept: Option<Gate>,
}

impl Serve {
    pub(crate) fn new(hub: Hub, listener: Box<dyn Listener>) -> Self {
        let shard = Arc::new(Shard::new());
        let pump = Pump::new(shard.clone(), hub.shared.runtime.clone());
        let accept = Some(Gate::new(Box::pin(accept(
            hub.clone(),
            shard.clone(),
            listener,
        ))));
        Self {
            waiter: Waiter::new(&hub),
            hub,
            shard,
            pump,
            accept,
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
        match stopping && this.shard.is_empty() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl Drop for Serve {
    /// Whoever drops this wants all of it to end now.
    fn drop(&mut self) {
        self.shard.stop();
        let mine = |connection: &&Arc<Connection>| {
            connection
                .shard()
                .is_some_and(|shard| Arc::ptr_eq(shard, &self.shard))
        };
        self.hub
            .shared
            .everybody()
            .iter()
            .filter(mine)
            .for_each(|connection| connection.wake_task());
    }
}

async fn accept(hub: Hub, shard: Arc<Shard>, mut listener: Box<dyn Listener>) {
    let mut timer = hub.shared.runtime.timer();
    for accepted in 1_u64.. {
        match listener.accept().await {
            // Nobody is left to tell it why.
            Ok(_) if hub.shared.is_overrun() => {
                let full = Ending::Refused(Refusal::Full);
                hub.shared.counters.refused(full);
            }
            Ok(transport) => {
                let drive = hub.drive(transport, Some(shard.clone()));
                hub.shared.runtime.spawn(Box::pin(async move {
                    drive.await;
                }));
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
    core::future::poll_fn(|cx| {
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
    core::future::poll_fn(|cx| timer.poll_fired(cx)).await;
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
