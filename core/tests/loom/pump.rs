//! Wake-ups between those who offer, the pump or the task that writes, and the socket that drains: none is lost.

use alloc::sync::Arc;
use core::future::poll_fn;
use core::task::Poll;
use core::time::Duration;

use loom::future::block_on;
use loom::thread;

use crate::clock::Clock;
use crate::connection::Connection;
use crate::shard::{Pump, Shard};
use crate::{Instant, join, model};

fn spawn(connection: &Arc<Connection>, act: fn(&Arc<Connection>)) -> thread::JoinHandle<()> {
    let connection = connection.clone();
    thread::spawn(move || act(&connection))
}

/// Writes for a shard until `connection` has written so many; for ever, when a wake-up is lost.
fn pump_until(shard: &Arc<Shard>, connection: &Connection, written: u32) {
    let mut pump = Pump::new(shard.clone(), Arc::new(Clock::default()), Duration::ZERO);
    block_on(poll_fn(|cx| {
        pump.poll(cx);
        match connection.written() == written {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }));
}

/// As a lone `attach` writes: by its own task.
fn task_until(connection: &Arc<Connection>, written: u32) {
    block_on(poll_fn(|cx| {
        connection.register(cx.waker());
        connection.turn();
        match connection.written() == written {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }));
}

#[test]
fn what_two_threads_offer_is_written_by_the_pump() {
    model(|| {
        let shard = Arc::new(Shard::new());
        let connection = Connection::new(Some(shard.clone()), 2);
        let others = [
            spawn(&connection, Connection::offer),
            spawn(&connection, Connection::offer),
        ];
        pump_until(&shard, &connection, 2);
        join(others);
        shard.stop();
    });
}

#[test]
fn a_socket_that_drains_is_written_to_again() {
    model(|| {
        let shard = Arc::new(Shard::new());
        let connection = Connection::new(Some(shard.clone()), 0);
        let others = [
            spawn(&connection, Connection::offer),
            spawn(&connection, |connection| connection.drain()),
        ];
        pump_until(&shard, &connection, 1);
        join(others);
        shard.stop();
    });
}

#[test]
fn what_is_offered_while_the_socket_is_full_is_written_when_it_drains() {
    model(|| {
        let shard = Arc::new(Shard::new());
        let connection = Connection::new(Some(shard.clone()), 1);
        connection.offer();
        let others = [
            spawn(&connection, Connection::offer),
            spawn(&connection, |connection| connection.drain()),
        ];
        pump_until(&shard, &connection, 2);
        join(others);
        shard.stop();
    });
}

#[test]
fn what_two_threads_offer_is_written_by_the_task() {
    model(|| {
        let connection = Connection::new(None, 2);
        let others = [
            spawn(&connection, Connection::offer),
            spawn(&connection, Connection::offer),
        ];
        task_until(&connection, 2);
        join(others);
    });
}

#[test]
fn the_task_writes_again_when_the_socket_drains() {
    model(|| {
        let connection = Connection::new(None, 0);
        let others = [
            spawn(&connection, Connection::offer),
            spawn(&connection, |connection| connection.drain()),
        ];
        task_until(&connection, 1);
        join(others);
    });
}

#[test]
fn a_shard_that_has_stopped_holds_nobody() {
    model(|| {
        let shard = Arc::new(Shard::new());
        let connection = Connection::new(Some(shard.clone()), 1);
        let others = [
            spawn(&connection, Connection::offer),
            spawn(&connection, |connection| {
                connection.schedule(Instant::from_micros(7));
            }),
        ];
        shard.stop();
        join(others);
        assert_eq!(Arc::strong_count(&connection), 1, "the shard holds it");
    });
}

#[test]
fn a_shard_with_a_member_has_one_pump() {
    model(|| {
        let shard = Arc::new(Shard::new());
        // One that has nobody left, and is about to go.
        assert!(shard.wants_pump());
        let member = {
            let shard = shard.clone();
            thread::spawn(move || {
                shard.enter();
                shard.wants_pump()
            })
        };
        let gone = shard.spares_pump();
        let another = member.join().expect("no panic");
        assert_eq!(gone, another, "none, or two");
    });
}
