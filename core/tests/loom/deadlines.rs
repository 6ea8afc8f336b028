//! Deadlines: whoever wants a turn in time has it, and whoever serves hears that the last one has left.

use alloc::sync::Arc;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use loom::future::block_on;
use loom::thread;

use crate::clock::Clock;
use crate::connection::Connection;
use crate::runtime::Runtime;
use crate::shard::{Pump, Shard};
use crate::sync::Ordering;
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
fn serve(shard: &Arc<Shard>, clock: &Clock, slack: Duration) {
    let mut pump = Pump::new(shard.clone(), Arc::new(clock.clone()), slack);
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
        serve(&shard, &clock, Duration::ZERO);
        join([other]);
    });
}

#[test]
fn a_nearer_time_counts_while_the_pump_is_early() {
    model(|| {
        let (shard, clock) = (Arc::new(Shard::new()), Clock::stopped_at(1));
        let [first, second] =
            [1, 2].map(|number| Connection::numbered(number, Some(shard.clone()), 0));
        // The time of the one has come; that of the other, which rests, comes soon.
        first.schedule(Instant::from_micros(1));
        second.rest(true);
        second.schedule(Instant::from_micros(5));
        let task = second.clone();
        let other = thread::spawn(move || {
            // It has a time of its own from here on.
            task.rest(false);
            task.schedule(Instant::from_micros(7));
        });
        let slack = Duration::from_micros(10);
        let mut pump = Pump::new(shard.clone(), Arc::new(clock), slack);
        pump.poll(&mut Context::from_waker(Waker::noop()));
        join([other]);
        assert!(second.scheduled.load(Ordering::Relaxed) <= 7);
        shard.stop();
    });
}
