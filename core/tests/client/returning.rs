//! Clients of a real hub behind paths that break: what each subscription hears comes to what was published.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

use futures_lite::future::zip;
use lapwing::client::{Backoff, Start, SubscribeOptions};
use lapwing::hub::{History, Hub, Rule};
use lapwing::runtime::Runtime;
use lapwing::{Client, Delivery, Limits, Policy, Subscription, Typed};
use lapwing_memory::{Network, Virtual};

const EVENTS: u32 = 400;

fn hub(sim: &Virtual, network: &Network, limits: Limits) -> Hub {
    let kept = Rule::open().history(History::default());
    let hub = Hub::builder(sim.runtime())
        .topic("kept/**", kept)
        .topic("**", Rule::open())
        .limits(limits)
        .build()
        .expect("good filters");
    let listener = network.listen("hub").expect("the name is free");
    sim.spawn_named("hub", hub.serve(listener));
    hub
}

fn client(sim: &Virtual, network: &Network) -> Client {
    let soon = Backoff {
        first: Duration::from_millis(20),
        max: Duration::from_millis(100),
    };
    Client::builder(sim.runtime(), network.connector("hub").named("phone"))
        .backoff(soon)
        .spawned()
}

/// What a subscription has heard.
#[derive(Debug, Default)]
struct Account {
    heard: BTreeSet<u32>,
    missed: u64,
    unknown: bool,
    resumed: u32,
    replayed: u32,
}

/// Reads to the last event; none may come twice or too early.
async fn account(subscription: &mut Subscription) -> Account {
    let mut account = Account::default();
    loop {
        match subscription.next().await.expect("more") {
            Delivery::Event(event) => {
                let Typed(number) = event.decode().expect("a number");
                if number == EVENTS {
                    return account;
                }
                let last = account.heard.last();
                assert!(last < Some(&number), "{number} behind {last:?}");
                account.heard.insert(number);
            }
            Delivery::Lagged(missed) | Delivery::Gap(Some(missed)) => account.missed += missed,
            Delivery::Gap(None) => account.unknown = true,
            Delivery::Resumed => account.resumed += 1,
            Delivery::Replayed { .. } => account.replayed += 1,
            _ => {}
        }
    }
}

/// Publishes numbers on both topics while the path breaks now and then.
async fn publish(sim: &Virtual, network: &Network, hub: &Hub, client: &Client) {
    let below = |sides: u64| {
        let mut random = [0; 8];
        sim.runtime().random(&mut random);
        u64::from_le_bytes(random) % sides
    };
    for number in 0..EVENTS {
        for topic in ["kept/a", "plain/a"] {
            hub.publish(topic, Typed(number)).expect("a topic");
        }
        match below(60) {
            0 => network.cut("phone"),
            1 => {
                network.cut("phone");
                network.partition("phone");
                let away = Duration::from_millis(below(300));
                sim.sleep(away).await;
                network.heal("phone");
            }
            _ => {}
        }
        if below(3) == 0 {
            sim.sleep(Duration::from_millis(below(30))).await;
        }
    }
    client.online().await.expect("it is back");
    sim.sleep(Duration::from_secs(1)).await;
    for topic in ["kept/a", "plain/a"] {
        hub.publish(topic, Typed(EVENTS)).expect("a topic");
    }
}

async fn subscribe(client: &Client, filter: &str, start: Start) -> Subscription {
    let options = SubscribeOptions {
        start,
        policy: Some(Policy::Disconnect),
        ..SubscribeOptions::default()
    };
    let subscription = client.subscribe_with(filter, options).await;
    subscription.expect("allowed")
}

#[test]
fn what_is_heard_and_told_missing_is_what_was_published() {
    let [whole, partial, replayed] = [const { Cell::new(0) }; 3];
    for resume_bytes_max in [100 * 1024, 400] {
        Virtual::check(0..20, async |sim| {
            let network = Network::new(&sim.runtime());
            let limits = Limits {
                resume_bytes_max,
                ..Limits::default()
            };
            let hub = hub(&sim, &network, limits);
            let client = client(&sim, &network);
            client.online().await.expect("online");
            let mut plain = subscribe(&client, "plain/*", Start::Now).await;
            let mut kept = subscribe(&client, "kept/*", Start::Beginning).await;
            let accounts = zip(account(&mut plain), account(&mut kept));
            let publish = publish(&sim, &network, &hub, &client);
            let ((plain, kept), ()) = zip(accounts, publish).await;
            for account in [&plain, &kept] {
                assert!(!account.unknown, "{account:?}");
                let sum = account.heard.len() as u64 + account.missed;
                assert_eq!(sum, u64::from(EVENTS), "{account:?}");
            }
            assert_eq!(kept.missed, 0, "history has all of it");
            whole.update(|sum| sum + plain.resumed);
            partial.update(|sum| sum + u32::from(plain.missed > 0));
            replayed.update(|sum| sum + kept.replayed);
        });
    }
    let sums = [&whole, &partial, &replayed].map(Cell::get);
    assert!(sums[0] > 100 && sums[1] > 10 && sums[2] > 10, "{sums:?}");
}
