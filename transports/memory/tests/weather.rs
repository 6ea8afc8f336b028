//! What a test can rely on when the weather is drawn from a seed.

#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::time::Duration;

use futures_lite::future::or;
use lapwing::hub::Rule;
use lapwing::runtime::Runtime as _;
use lapwing::transport::{Connector as _, Incoming, Listener as _, Message, Outgoing, Transport};
use lapwing::{Client, Delivery, Hub};
use lapwing_memory::{Network, Trouble, Virtual, Weather, WeatherReport};

type End = Box<dyn Transport>;

const MINUTE: Duration = Duration::from_secs(60);

async fn connect(network: &Network) -> (End, End) {
    let mut listener = network.listen("hub").unwrap();
    let mut connector = network.connector("hub").named("phone");
    let phone = connector.connect().await.unwrap();
    (phone, listener.accept().await.unwrap())
}

/// How long a message takes from the phone to its peer; nothing when it is lost.
async fn travel(sim: &Virtual, (phone, peer): &mut (End, End)) -> Option<Duration> {
    let start = sim.elapsed();
    poll_fn(|cx| phone.poll_ready(cx)).await.ok()?;
    // Longer than what any trickle lets through at a time.
    let message = Message::binary(vec![7; 2_000]);
    phone.start_send(Outgoing::Message(message)).ok()?;
    let heard = poll_fn(|cx| peer.poll_recv(cx)).await.ok()?;
    matches!(heard, Incoming::Message(_)).then(|| sim.elapsed() - start)
}

/// Weather with nothing but this, all the time.
fn only(trouble: Trouble) -> Weather {
    let mut weather = Weather::storm();
    weather.troubles = vec![trouble];
    weather.delay = Duration::ZERO;
    (weather.pause, weather.lasts) = (Duration::from_secs(1), Duration::from_secs(1));
    weather
}

#[test]
fn a_seed_repeats_its_weather() {
    let minute = |seed| {
        let sim = Virtual::new(seed);
        let network = Network::new(&sim);
        let storm = Weather::storm();
        let weather = sim.process("weather");
        let blow = storm.blow(&weather, &network, ["ann", "ben"], MINUTE);
        (sim.run(blow).unwrap(), sim.trace_hash())
    };
    assert_eq!(minute(1), minute(1));
    assert_ne!(minute(1), minute(2));
}

#[test]
fn what_the_program_draws_leaves_the_weather_as_it_was() {
    let minute = |draws| {
        let sim = Virtual::new(1);
        let network = Network::new(&sim);
        (0..draws).for_each(|_| sim.process("hub").runtime().random(&mut [0; 8]));
        let storm = Weather::storm();
        sim.run(storm.blow(&sim.process("weather"), &network, ["ann"], MINUTE))
            .unwrap()
    };
    assert_eq!(minute(0), minute(5));
}

#[test]
fn a_storm_brings_everything_and_a_breeze_what_it_says() {
    let sum = |weather: Weather| {
        let sum = Cell::new(WeatherReport::default());
        Virtual::check(0..20, async |sim| {
            let network = Network::new(&sim);
            let report = weather.blow(&sim, &network, ["ann"], 10 * MINUTE).await;
            let mut sums = sum.get();
            sums += report;
            sum.set(sums);
        });
        sum.get()
    };
    let (storm, breeze) = (sum(Weather::storm()), sum(Weather::breeze()));
    for trouble in Trouble::ALL {
        // 200 minutes, a trouble each 5 to 10 seconds, of eight kinds.
        assert!((100..400).contains(&storm.count(trouble)), "{storm}");
        let expected = Weather::breeze().troubles.contains(&trouble);
        assert_eq!(breeze.count(trouble) > 0, expected, "{breeze}");
    }
}

#[test]
fn each_trouble_is_what_its_name_says() {
    for trouble in Trouble::ALL {
        Virtual::check(0..10, async |sim| {
            let network = Network::new(&sim);
            let mut ends = connect(&network).await;
            let (mut slowest, mut broken) = (Duration::ZERO, false);
            let weather = only(trouble);
            let blow = async {
                weather.blow(&sim, &network, ["phone"], MINUTE).await;
            };
            let feel = async {
                while let Some(travelled) = travel(&sim, &mut ends).await {
                    slowest = slowest.max(travelled);
                    sim.sleep(Duration::from_millis(100)).await;
                }
                broken = true;
                pending::<()>().await;
            };
            or(blow, feel).await;
            let cuts = [Trouble::Cut, Trouble::CutWithin, Trouble::HalfOpen];
            assert_eq!(broken, cuts.contains(&trouble), "{trouble:?}");
            let slows = !broken && trouble != Trouble::Delay;
            assert_eq!(slowest > Duration::ZERO, slows, "{trouble:?}");
        });
    }
}

#[test]
fn after_the_weather_it_is_calm() {
    Virtual::check(0..20, async |sim| {
        let network = Network::new(&sim);
        let storm = Weather::storm();
        storm.blow(&sim, &network, ["phone"], MINUTE).await;
        let mut ends = connect(&network).await;
        for _ in 0..5_000 {
            assert_eq!(travel(&sim, &mut ends).await, Some(Duration::ZERO));
        }
    });
}

#[test]
fn weather_that_is_dropped_leaves_calm() {
    Virtual::check(0..20, async |sim| {
        let network = Network::new(&sim);
        let storm = Weather::storm();
        let blow = async {
            storm.blow(&sim, &network, ["phone"], MINUTE).await;
        };
        or(blow, sim.sleep(MINUTE / 2)).await;
        let mut ends = connect(&network).await;
        assert_eq!(travel(&sim, &mut ends).await, Some(Duration::ZERO));
    });
}

#[test]
fn no_troubles_are_fine_weather() {
    Virtual::check(0..5, async |sim| {
        let network = Network::new(&sim);
        let mut weather = Weather::storm();
        weather.troubles.clear();
        let report = weather.blow(&sim, &network, ["phone"], MINUTE).await;
        assert_eq!((report.total(), sim.elapsed()), (0, MINUTE));
    });
}

#[test]
fn a_client_is_back_after_any_storm() {
    Virtual::check_twice(0..20, async |sim| {
        let network = Network::new(&sim);
        let hub = Hub::builder(sim.process("hub"))
            .topic("news", Rule::open())
            .build()
            .unwrap();
        let listener = network.listen("hub").unwrap();
        sim.process("hub").spawn_named("serve", hub.serve(listener));
        let connector = network.connector("hub").named("phone");
        let client = Client::builder(sim.process("phone"), connector).spawned();
        let mut news = client.subscribe("news").await.unwrap();

        let storm = Weather::storm();
        let weather = sim.process("weather");
        storm.blow(&weather, &network, ["phone"], 3 * MINUTE).await;
        // Dead peers are found out, and back-offs are over.
        sim.sleep(3 * MINUTE).await;
        hub.publish("news", "calm").unwrap();
        loop {
            match news.next().await.unwrap() {
                Delivery::Event(event) => {
                    break assert_eq!(event.decode::<String>().unwrap(), "calm");
                }
                other => assert!(!matches!(other, Delivery::Lagged(_)), "{other:?}"),
            }
        }
        assert_eq!(hub.counters().connections, 1);
    });
}
