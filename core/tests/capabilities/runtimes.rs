//! Hubs and clients do not care what the others run on, nor on how many threads.

use std::thread;

use futures_channel::oneshot;
use futures_lite::future::zip;
use lapwing::hub::Rule;
use lapwing::runtime::{Smol, Tokio};
use lapwing::{Client, Hub, Limits, Subscription, Typed};
use lapwing_memory::Network;

use crate::ground::{Ground, PATIENCE, in_time, online};
use crate::reading::{number, text};

fn tokio_threads() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let threads = builder.worker_threads(4).enable_all().build();
    threads.expect("threads start")
}

/// Publishes and calls both ways, between a hub on one ground and a client on another.
async fn converse(of_hub: &Ground, of_client: &Ground) {
    let hub = of_hub
        .hub()
        .topic("**", Rule::open())
        .on_call("name", async |_, (): ()| Ok("hub"));
    let (hub, url) = of_hub.served(hub).await;
    let client = of_client
        .client(&url)
        .on_call("name", async |_, (): ()| Ok("client"));
    let client = online(client).await;
    let mut news = client.subscribe("news").await.expect("allowed");
    for round in 0..100_u32 {
        client.publish("news", Typed(round)).expect("room");
        assert_eq!(number(&mut news).await, round);
        hub.publish("news", Typed(round)).expect("a topic");
        assert_eq!(number(&mut news).await, round);
        let name = client.call::<String>("name", ()).await;
        assert_eq!(name.as_deref(), Ok("hub"));
        let remote = hub.connection(client.connection().expect("online"));
        let name = remote.call::<String>("name", ()).await;
        assert_eq!(name.expect("an answer"), "client");
    }
    assert!(client.close().await.is_wanted());
}

#[test]
fn a_hub_on_smol_serves_a_client_on_tokio() {
    let (smol, threads) = (Smol::new(), tokio_threads());
    let tokio = Tokio::new(threads.handle().clone());
    let conversation = async { converse(&Ground::smol(&smol), &Ground::tokio(&tokio)).await };
    smol.block_on(in_time(&smol, PATIENCE, conversation));
}

#[test]
fn a_hub_on_tokio_serves_a_client_on_smol() {
    let (smol, threads) = (Smol::new(), tokio_threads());
    let tokio = Tokio::new(threads.handle().clone());
    let conversation = async { converse(&Ground::tokio(&tokio), &Ground::smol(&smol)).await };
    smol.block_on(in_time(&smol, PATIENCE, conversation));
}

#[test]
fn one_hub_serves_several_wires_at_once() {
    let smol = Smol::new();
    let test = async {
        let ground = Ground::smol(&smol);
        let (hub, url) = ground.open_hub().await;
        let network = Network::new(ground.runtime());
        let listener = network.listen("hub").expect("the name is free");
        smol.spawn(hub.serve(listener));
        let over_memory = Client::builder(smol.clone(), network.connector("hub"));
        let (near, far) = (online(over_memory).await, ground.online(&url).await);
        for (subscriber, publisher) in [(&near, &far), (&far, &near)] {
            let mut news = subscriber.subscribe("news").await.expect("allowed");
            publisher.publish("news", "rain").expect("room");
            assert_eq!(text(&mut news).await, "rain");
            news.close().await;
        }
    };
    smol.block_on(in_time(&smol, PATIENCE, test));
}

const THREADS: u32 = 4;
const EVENTS: u32 = 5_000;

/// A hub with room for all that is published here.
fn roomy(ground: &Ground) -> lapwing::hub::HubBuilder {
    ground.hub().topic("**", Rule::open()).limits(Limits {
        lane_frames_max: THREADS * EVENTS,
        ..Limits::default()
    })
}

/// Lets several threads publish at the same time, in the hub's own process.
fn publish_from_threads(hub: &Hub) {
    thread::scope(|scope| {
        for publisher in 0..THREADS {
            scope.spawn(move || {
                for number in 0..EVENTS {
                    let number = Typed(number * THREADS + publisher);
                    hub.publish("numbers", number).expect("a topic");
                }
            });
        }
    });
}

/// Reads all that was published; each publisher's own in order.
async fn read_all(mut subscription: Subscription) -> Vec<u32> {
    let mut numbers = Vec::new();
    let mut next = [0; THREADS as usize];
    for _ in 0..THREADS * EVENTS {
        let number = number(&mut subscription).await;
        let next = &mut next[(number % THREADS) as usize];
        assert_eq!(number / THREADS, *next);
        *next += 1;
        numbers.push(number);
    }
    numbers
}

#[test]
fn threads_that_publish_at_once_are_heard_by_all_in_one_order() {
    let threads = tokio_threads();
    let tokio = Tokio::new(threads.handle().clone());
    let test = async {
        let ground = Ground::tokio(&tokio);
        let (hub, url) = ground.served(roomy(&ground)).await;
        let mut readers = Vec::new();
        for filter in ["numbers", "*", "**"] {
            let client = ground.online(&url).await;
            let subscription = client.subscribe(filter).await.expect("allowed");
            readers.push(threads.spawn(read_all(subscription)));
        }
        let publishing = hub.clone();
        let publishers = threads.spawn_blocking(move || publish_from_threads(&publishing));
        publishers.await.expect("no panic");
        let mut heard = Vec::new();
        for reader in readers {
            heard.push(reader.await.expect("no panic"));
        }
        assert_eq!(heard[0], heard[1]);
        assert_eq!(heard[0], heard[2]);
        ground.until(|| hub.counters().held_bytes == 0).await;
    };
    threads.block_on(in_time(&tokio, PATIENCE, test));
}

#[test]
fn several_threads_may_run_one_smol() {
    let smol = Smol::new();
    thread::scope(|scope| {
        let mut running = Vec::new();
        for _ in 0..3 {
            let smol = smol.clone();
            let (run, stopped) = oneshot::channel::<()>();
            scope.spawn(move || smol.block_on(stopped));
            running.push(run);
        }
        let test = async {
            let ground = Ground::smol(&smol);
            let (hub, url) = ground.served(roomy(&ground)).await;
            let mut readers = Vec::new();
            for _ in 0..2 {
                let client = ground.online(&url).await;
                readers.push(client.subscribe("numbers").await.expect("allowed"));
            }
            publish_from_threads(&hub);
            let second = readers.pop().expect("two readers");
            let first = readers.pop().expect("two readers");
            let (first, second) = zip(read_all(first), read_all(second)).await;
            assert_eq!(first, second);
        };
        smol.block_on(in_time(&smol, PATIENCE, test));
    });
}
