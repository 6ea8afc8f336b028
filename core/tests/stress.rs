//! Everything at once, on many threads: whoever comes, goes, asks and is dropped half-way, nothing hangs, nothing is
//! left over, and what is promised about order and losses holds.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_lite::future;
use lapwing::client::{Backoff, SubscribeOptions};
use lapwing::hub::{Caller, HubBuilder, Rule, Shutdown};
use lapwing::limits::Rate;
use lapwing::runtime::{Runtime, Tokio};
use lapwing::{Client, Delivery, Hub, Limits, Policy, Typed};
use lapwing_memory::{Network, Virtual};

const PLENTY: Rate = Rate {
    per_second: 1_000_000,
    burst: 1_000_000,
};

const POLICIES: [Policy; 3] = [Policy::DropOldest, Policy::DropNewest, Policy::Disconnect];

/// Bounds that are reached all the time.
fn narrow() -> Limits {
    Limits {
        lane_frames_max: 8,
        answers_waiting_max: 2,
        calls_waiting_max: 2,
        turn_frames_max: 2,
        hub_bytes_max: 2_000,
        ..Limits::default()
    }
}

fn hub(builder: HubBuilder, limits: Limits) -> Hub {
    let limits = Limits {
        requests: PLENTY,
        ..limits
    };
    builder
        .limits(limits)
        .topic("**", Rule::open())
        .on_call("back", async |caller: Caller, Typed(n): Typed<u32>| {
            let Typed(n): Typed<u32> = caller
                .call("twice", Typed(n))
                .within(Duration::from_secs(5))
                .await
                .map_err(|error| lapwing::CallFailure::from(error.to_string()))?;
            Ok(Typed(n + 1))
        })
        .on_event(
            "b/**",
            async |caller: Caller, topic: String, _: Typed<(u64, u64)>| {
                let _ = caller.remote().send(&topic, "heard");
            },
        )
        .build()
        .expect("good filters")
}

/// Numbers that are random enough (splitmix64).
struct Dice(u64);

impl Dice {
    /// A number below `max`.
    fn up_to(&mut self, max: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % max
    }
}

/// Polls `work` for a while; then it is dropped, wherever it is.
async fn for_a_while<T>(dice: &mut Dice, work: impl Future<Output = T>) -> Option<T> {
    let polls = dice.up_to(12);
    let mut left = polls;
    let drops = std::future::poll_fn(|cx| {
        left = left.saturating_sub(1);
        if left == 0 {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    });
    future::or(async { Some(work.await) }, async {
        drops.await;
        None
    })
    .await
}

/// Checks what one subscription hears: of each publisher and topic numbers that rise, none twice.
#[derive(Default)]
struct Ear(BTreeMap<u64, u64>);

impl Ear {
    fn hear(&mut self, delivery: &Delivery) {
        let Delivery::Event(event) = delivery else {
            return;
        };
        let Typed((publisher, number)): Typed<(u64, u64)> =
            event.decode().expect("what was published");
        let last = self.0.insert(publisher, number);
        assert!(last < Some(number), "{publisher}: {number} after {last:?}");
    }
}

/// One client that does everything, and much of it only by half.
async fn live(client: Client, me: u64, seed: u64, rounds: u64, numbers: Arc<AtomicU64>) {
    let mut dice = Dice(seed);
    let mut number = 0;
    for _ in 0..rounds {
        let options = SubscribeOptions {
            policy: Some(POLICIES[dice.up_to(3) as usize]),
            capacity: 1 + dice.up_to(64) as usize,
            ..SubscribeOptions::default()
        };
        let filter = ["a", "*", "b/*", "**"][dice.up_to(4) as usize];
        let subscribing = client.subscribe_with(filter, options);
        let subscribed = match dice.up_to(3) {
            0 => for_a_while(&mut dice, subscribing).await,
            _ => Some(subscribing.await),
        };
        let mut subscription = subscribed.and_then(Result::ok);
        let mut ear = Ear::default();
        for _ in 0..dice.up_to(20) {
            number += 1;
            let topic = ["a", "b/c", "d"][dice.up_to(3) as usize];
            let payload = Typed((me, number));
            match dice.up_to(6) {
                0..=2 => drop(client.publish(topic, payload)),
                3 => {
                    let acked = client.publish_acked(topic, payload);
                    for_a_while(&mut dice, acked).await;
                }
                4 => {
                    let within = client.publish_within(Duration::from_secs(1), topic, payload);
                    for_a_while(&mut dice, within).await;
                }
                _ => {
                    let call = client.call::<Typed<u32>>("back", Typed(20_u32));
                    let call = call.within(Duration::from_secs(5));
                    if let Some(Ok(Typed(answer))) = for_a_while(&mut dice, call).await {
                        assert_eq!(answer, 41);
                    }
                }
            }
            if let Some(subscription) = &mut subscription
                && let Some(Some(delivery)) = for_a_while(&mut dice, subscription.next()).await
            {
                ear.hear(&delivery);
                numbers.fetch_add(1, Ordering::Relaxed);
            }
        }
        if let (Some(subscription), 0) = (subscription, dice.up_to(2)) {
            for_a_while(&mut dice, subscription.close()).await;
        }
    }
    if dice.up_to(2) == 0 {
        client.close().await;
    }
}

fn twice(builder: lapwing::client::ClientBuilder) -> Client {
    let quick = Backoff {
        first: Duration::from_millis(5),
        max: Duration::from_millis(50),
    };
    builder
        .backoff(quick)
        .on_call("twice", async |_, Typed(n): Typed<u32>| Ok(Typed(2 * n)))
        .spawned()
}

/// Waits until nothing of the hub is left, and checks that.
async fn everything_is_back(hub: &Hub, sleep: impl AsyncFn()) {
    for _ in 0..3_000 {
        let counters = hub.counters();
        if counters.connections + counters.handshakes == 0 && counters.held_bytes == 0 {
            break;
        }
        sleep().await;
    }
    let counters = hub.counters();
    let gone: u64 = counters.disconnected.values().sum();
    assert_eq!(gone, counters.connected, "{counters:?}");
    let left = [
        counters.connections,
        counters.handshakes,
        counters.subscriptions,
        counters.waiting_bytes,
        counters.held_bytes,
    ];
    assert_eq!(left, [0; 5], "{counters:?}");
}

async fn sleep(runtime: &dyn Runtime, duration: Duration) {
    let mut timer = runtime.timer();
    timer.arm(runtime.now() + duration);
    std::future::poll_fn(|cx| timer.poll_fired(cx)).await;
}

#[test]
fn churn_on_many_threads() {
    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("threads start");
    let tokio = Tokio::new(threads.handle().clone());
    threads.block_on(async {
        let hub = hub(Hub::builder(tokio.clone()), Limits::default());
        let listener = lapwing_tcp::tokio::listen(&tokio, "tcp://127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let url = lapwing::transport::Listener::url(&listener);
        let serving = tokio::spawn(hub.serve(listener));
        let heard = Arc::new(AtomicU64::new(0));
        let lives: Vec<_> = (0..24)
            .map(|me| {
                let connector = lapwing_tcp::tokio::connect(&tokio, url.clone());
                let client = twice(Client::builder(tokio.clone(), connector));
                tokio::spawn(live(client, me, me, 40, heard.clone()))
            })
            .collect();
        let kicking = async {
            loop {
                sleep(&tokio, Duration::from_millis(20)).await;
                let connections = hub.connections();
                if let Some(id) = connections.first() {
                    let kicked = hub.connection(*id);
                    let _ = kicked.join("group");
                    let _ = hub.group("group").send("d", Typed((u64::MAX, 0_u64)));
                    kicked.leave("group");
                }
            }
        };
        let living = async {
            for life in lives {
                life.await.expect("no panic");
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(100), future::or(living, kicking));
        in_time.await.expect("nobody hangs");
        everything_is_back(&hub, async || {
            sleep(&tokio, Duration::from_millis(10)).await
        })
        .await;
        assert!(heard.load(Ordering::Relaxed) > 100);
        hub.shutdown(Shutdown::default()).await;
        serving.await.expect("it ends");
    });
}

#[test]
fn churn_in_virtual_time() {
    Virtual::check(0..20, async |sim| {
        let mut seed = [0; 8];
        sim.runtime().random(&mut seed);
        let seed = u64::from_le_bytes(seed);
        let network = Network::new(&sim.runtime());
        let wide = seed.is_multiple_of(2);
        let limits = if wide { Limits::default() } else { narrow() };
        let hub = hub(Hub::builder(sim.clone()), limits);
        sim.spawn_named(
            "serve",
            hub.serve(network.listen("hub").expect("it is free")),
        );
        let heard = Arc::new(AtomicU64::new(0));
        for me in 0..6 {
            let connector = network.connector("hub").named(&format!("phone {me}"));
            let client = twice(Client::builder(sim.clone(), connector));
            let life = live(client, me, seed.wrapping_add(me), 8, heard.clone());
            sim.spawn_named(format!("life {me}"), life);
        }
        let mut dice = Dice(seed);
        for _ in 0..30 {
            let name = format!("phone {}", dice.up_to(6));
            match dice.up_to(5) {
                0 => network.cut(&name),
                1 => network.stall(&*name),
                2 => network.stall_within_message(&*name),
                3 => network.half_open(&name),
                _ => {}
            }
            sim.sleep(Duration::from_millis(dice.up_to(30_000))).await;
            network.resume(&*name);
        }
        while sim.tasks() > 1 {
            sim.sleep(Duration::from_secs(1)).await;
        }
        everything_is_back(&hub, async || sim.sleep(Duration::from_secs(1)).await).await;
    });
}
