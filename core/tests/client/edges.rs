//! What a client makes of a hub that says anything, and of a program that does as it likes.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::scripted::Scripted;
use futures_lite::future::zip;
use lapwing::wire::{Event, Frame, Lagged, Payload, Ping};
use lapwing::{Client, Delivery, Limits};
use lapwing_memory::{Listener, Network, Virtual};

fn begin(sim: &Virtual) -> (Listener, Client) {
    let network = Network::new(&sim.runtime());
    let listener = network.listen("hub").expect("the name is free");
    let client = Client::builder(sim.runtime(), network.connector("hub"));
    (listener, client.spawned())
}

#[test]
fn a_hub_may_say_that_everything_is_missing() {
    Virtual::check(0..5, async |sim| {
        let (mut listener, client) = begin(&sim);
        let mut hub = Scripted::welcome(&mut listener).await;
        let (news, first) = zip(client.subscribe("news"), hub.allow()).await;
        let mut news = news.expect("allowed");
        for subscription in [first, first, 0, 0] {
            let missed = u64::MAX;
            hub.say(&Frame::Lagged(Lagged {
                subscription,
                missed,
            }))
            .await;
        }
        for direct in [true, false] {
            hub.say(&Frame::Event(Event {
                topic: "news",
                direct,
                offset: None,
                payload: Payload::text("x"),
            }))
            .await;
        }
        while !matches!(news.next().await, Some(Delivery::Event(_))) {}
        assert_eq!((news.accounted(), client.accounted()), (u64::MAX, u64::MAX));
    });
}

#[test]
fn what_came_while_the_program_slept_counts_as_heard() {
    Virtual::check(0..5, async |sim| {
        let network = Network::new(&sim.runtime());
        let mut listener = network.listen("hub").expect("the name is free");
        let (client, driver) = Client::builder(sim.runtime(), network.connector("hub")).build();
        let asleep = Arc::new(AtomicBool::new(false));
        let waker = Arc::new(Mutex::new(Waker::noop().clone()));
        let (sleeps, wakes) = (asleep.clone(), waker.clone());
        sim.spawn_named("driver", async move {
            let mut driver = pin!(driver);
            let ended = poll_fn(|cx| {
                *wakes.lock().expect("no panic") = cx.waker().clone();
                match sleeps.load(Ordering::Relaxed) {
                    true => Poll::Pending,
                    false => driver.as_mut().poll(cx),
                }
            });
            ended.await;
        });
        let mut hub = Scripted::welcome(&mut listener).await;
        client.online().await.expect("it was let in");
        asleep.store(true, Ordering::Relaxed);
        for nonce in 0..10 {
            sim.sleep(Duration::from_secs(20)).await;
            hub.say(&Frame::Ping(Ping { nonce })).await;
        }
        asleep.store(false, Ordering::Relaxed);
        waker.lock().expect("no panic").wake_by_ref();
        sim.settle().await;
        assert!(client.connection().is_some(), "the hub was given up");
    });
}

#[test]
fn a_client_that_may_read_nothing_at_a_time_reads_one_by_one() {
    Virtual::check(0..5, async |sim| {
        let network = Network::new(&sim.runtime());
        let mut listener = network.listen("hub").expect("the name is free");
        let client = Client::builder(sim.runtime(), network.connector("hub"))
            .limits(Limits {
                turn_frames_max: 0,
                turn_bytes_max: 0,
                ..Limits::default()
            })
            .spawned();
        let _hub = Scripted::welcome(&mut listener).await;
        client.online().await.expect("it was let in");
        sim.settle().await;
    });
}

#[test]
fn a_handler_that_comes_too_late_is_not_kept() {
    Virtual::check(0..5, async |sim| {
        let (_listener, client) = begin(&sim);
        client.close().await;
        let kept = Arc::new(());
        let (handle, keeps) = (client.clone(), kept.clone());
        client
            .on("**", move |_| drop((handle.clone(), keeps.clone())))
            .expect("a filter");
        assert_eq!(Arc::strong_count(&kept), 1);
    });
}

/// A task that asks its client something when nobody remembers it any more.
struct Curious(Client);

impl Wake for Curious {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Curious {
    fn drop(&mut self) {
        self.0.unsent();
    }
}

#[test]
fn a_task_that_is_forgotten_may_ask_its_client() {
    let sim = Virtual::new(1);
    let (_listener, client) = begin(&sim);
    let mut online = pin!(client.online());
    for _ in 0..3 {
        let waker = Waker::from(Arc::new(Curious(client.clone())));
        let polled = online.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
}
