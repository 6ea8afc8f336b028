//! A test of an application on a bad network, in virtual time: an hour of it takes a moment, and one seed repeats it.
//!
//! In a test of yours, the body of `main` is one line, which names the seed that fails: `Virtual::check(0..100, an_hour)`.
//! Here, `cargo run -p lapwing-examples --example virtual_time -- 7` runs seed 7 and prints its trace: equal traces, equal runs.

use std::env;
use std::error::Error;
use std::time::Duration;

use lapwing::hub::Rule;
use lapwing::{Client, Delivery, Hub, Typed};
use lapwing_memory::{Network, Virtual};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DELAY: Duration = Duration::from_millis(80);
const STALL: Duration = Duration::from_secs(5);

fn main() -> Result<(), Box<dyn Error>> {
    let seed = env::args().nth(1).map_or(Ok(1), |seed| seed.parse())?;
    let sim = Virtual::new(seed);
    sim.run(an_hour(sim.clone()))?;
    println!("trace {:016x}", sim.trace_hash());
    Ok(())
}

/// A hub tells the time every second; a phone listens, and is told whenever its connection broke and whether it has missed some.
async fn an_hour(sim: Virtual) {
    let network = Network::new(&sim);
    network.delay("phone", DELAY);
    let hub = Hub::builder(sim.clone())
        .topic("time", Rule::closed().subscribe())
        .build()
        .expect("a good filter");
    let listener = network.listen("hub").expect("the name is free");
    sim.spawn_named("hub", hub.serve(listener));

    let connector = network.connector("hub").named("phone");
    let phone = Client::builder(sim.clone(), connector).spawned();
    let mut times = phone.subscribe("time").await.expect("everybody may");
    // Three round trips: to connect, to shake hands, to subscribe.
    assert_eq!(sim.elapsed(), 6 * DELAY);

    sim.spawn_named("clock", tell_the_time(sim.clone(), hub.clone()));
    sim.spawn_named("weather", bad_weather(sim.clone(), network));
    let (mut resumed, mut gaps, mut told) = (0, 0, false);
    let (mut last, mut slowest) = (sim.elapsed(), DELAY);
    while last < 60 * MINUTE {
        match times.next().await.expect("the client goes on") {
            Delivery::Resumed => resumed += 1,
            Delivery::Gap(_) => (gaps, told) = (gaps + 1, true),
            Delivery::Event(event) => {
                let Typed(time) = event.decode().expect("a time");
                assert!(time == last + SECOND || time > last && told);
                slowest = slowest.max(sim.elapsed() - time);
                (last, told) = (time, false);
            }
            other => panic!("the phone is fast enough: {other:?}"),
        }
    }
    // A stall delays. Of the broken connections two are resumed without a loss, and two minutes are longer than a hub waits.
    assert_eq!((resumed, gaps), (2, 1));
    assert!((STALL..=STALL + DELAY).contains(&slowest));
    assert_eq!(hub.counters().connections, 1);
}

async fn tell_the_time(sim: Virtual, hub: Hub) {
    loop {
        sim.sleep(SECOND).await;
        let published = hub.publish("time", Typed(sim.elapsed()));
        published.expect("a good topic");
    }
}

async fn bad_weather(sim: Virtual, network: Network) {
    sim.sleep(10 * MINUTE).await;
    network.stall("phone");
    sim.sleep(STALL).await;
    network.resume("phone");

    sim.sleep(10 * MINUTE).await;
    network.cut("phone");

    sim.sleep(10 * MINUTE).await;
    network.half_open("phone");

    sim.sleep(10 * MINUTE).await;
    network.partition("phone");
    sim.sleep(2 * MINUTE).await;
    network.heal("phone");
}
