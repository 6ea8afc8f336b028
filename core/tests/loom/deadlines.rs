//! Deadlines: whoever wants a turn in time has it, and whoever serves hears that the last one has left.

use alloc::sync::Arc;
use core::future::poll_fn;
use core::task::Poll;
use core::time::Duration;

use loom::future::block_on;
use loom::thread;

use crate::clock::Clock;
use crate::connection::Connection;
use crate::runtime::Runtime;
use crate::shard::{Pump, Shard};
use crate::{Instant, join, model};

/// The task of a connection that sleeps until the last of `deadlines`, then leaves.
fn sleeper(shard: &Arc<Shard>, clock: &Clock, deadlines: &'static [u64]) -> thread::JoinHandle<()> {
    let connection = Connection::new(Some(shard.clone()), 0);
    shard.enter();
    let (shard, clock) = (shard.clone(), clock.clone());
    thread::spawn(move || {
        block_on(poll_fn(|cx| {
            connection.register(cx.waker());
            let now = clock.now();
            let mut later = deadlines.iter().map(|at| Instant::from_micros(*at));
            match later.find(|at| *at > now) {
                None => return Poll::Ready(()),
                Some(at) => connection.schedule(at),
            }
            Poll::Pending
        }));
        shard.leave(&connection);
    })
}

/// What `serve` does: it lets the pump have its turns until the last connection is gone.
fn serve(shard: &Arc<Shard>, clock: &Clock) {
    let mut pump = Pump::new(shard.clone(), Arc::new(clock.clone()), Duration::ZERO);
    block_on(poll_fn(|cx| {
        pump.poll(cx);
        match shard.is_deserted(cx.waker()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }));
}

#[test]
fn a_task_has_its_turns_in_time() {
    model(|| {
        let (shard, clock) = (Arc::new(Shard::new()), Clock::default());
        let other = sleeper(&shard, &clock, &[5, 7]);
        serve(&shard, &clock);
        join([other]);
    });
}
