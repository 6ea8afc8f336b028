//! How fast seeds are: a hub with twenty clients, a minute of storm and some thousand deliveries for each of them.
//!
//! `cargo run --release -p lapwing-memory --example seeds -- 500` runs 500 seeds, and prints what happened in them and how many an
//! hour has. What is the scheduler's share, a profiler says: `perf record`.

use std::cell::Cell;
use std::env;
use std::time::{Duration, Instant};

use lapwing::hub::Rule;
use lapwing::{Client, Delivery, Hub};
use lapwing_memory::{Network, Virtual, Weather, WeatherReport};

const CLIENTS: usize = 20;
const EVENTS: u32 = 600;
const MINUTE: Duration = Duration::from_secs(60);

/// What happened in all seeds together.
#[derive(Clone, Copy, Default)]
struct Sums {
    events: u64,
    gaps: u64,
    weather: WeatherReport,
}

fn main() {
    let seeds = env::args().nth(1).map_or(100, |seeds| {
        seeds.parse().expect("the number of seeds is a number")
    });
    let sums = Cell::new(Sums::default());
    let start = Instant::now();
    Virtual::check(0..seeds, async |sim| {
        let (events, gaps, weather) = minute(&sim).await;
        let mut sum = sums.get();
        sum.weather += weather;
        sum.events += events;
        sum.gaps += gaps;
        sums.set(sum);
    });
    let took = start.elapsed();
    let Sums {
        events,
        gaps,
        weather,
    } = sums.get();
    println!("{seeds} seeds: {events} events, {gaps} gaps, {weather}");
    println!(
        "{:?} each, {:.0} an hour",
        took / u32::try_from(seeds).unwrap_or(u32::MAX),
        f64::from(u32::try_from(seeds).unwrap_or(u32::MAX)) * 3_600.0 / took.as_secs_f64()
    );
}

async fn minute(sim: &Virtual) -> (u64, u64, WeatherReport) {
    let network = Network::new(sim);
    let process = sim.process("hub");
    let hub = Hub::builder(process.clone())
        .topic("news/**", Rule::open())
        .build()
        .expect("a good filter");
    let listener = network.listen("hub").expect("the name is free");
    process.spawn_named("serve", hub.serve(listener));
    let names: Vec<_> = (0..CLIENTS)
        .map(|number| format!("client-{number}"))
        .collect();
    let heard: Vec<_> = names
        .iter()
        .map(|name| listen(sim, &network, name))
        .collect();
    let publisher = sim.process("publisher");
    let clock = publisher.clone();
    publisher.spawn_named("publish", async move {
        for number in 0..EVENTS {
            clock.sleep(MINUTE / EVENTS).await;
            let published = hub.publish("news/weather", number.to_string());
            published.expect("a good topic");
        }
    });
    let weather = sim.process("weather");
    let report = Weather::storm()
        .blow(&weather, &network, names, MINUTE)
        .await;
    let sum = heard
        .iter()
        .map(|heard| heard.lock().map_or((0, 0), |heard| *heard));
    let (events, gaps) = sum.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    (events, gaps, report)
}

type Heard = std::sync::Arc<std::sync::Mutex<(u64, u64)>>;

/// A client that counts what it hears.
fn listen(sim: &Virtual, network: &Network, name: &str) -> Heard {
    let heard = Heard::default();
    let process = sim.process(name);
    let client = Client::builder(process.clone(), network.connector("hub").named(name)).spawned();
    let counted = heard.clone();
    process.spawn_named("count", async move {
        let Ok(mut news) = client.subscribe("news/*").await else {
            return;
        };
        while let Some(delivery) = news.next().await {
            let Ok(mut heard) = counted.lock() else {
                return;
            };
            match delivery {
                Delivery::Event(_) => heard.0 += 1,
                _ => heard.1 += 1,
            }
        }
    });
    heard
}
