//! One operation of lapwing again and again, for counting instructions.
//!
//! ```text
//! bench-instructions CASE ROUNDS
//! bench-instructions cases
//! ```
//!
//! `benches/instructions.py` runs each case for two numbers of rounds under callgrind: the difference of their counts, by the
//! difference of rounds, is what a round costs. Without arguments but `cases`, it prints their names and how many operations a
//! round has.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;

use lapwing::hub::{Heard, LocalSubscription, Rule};
use lapwing::registry::Registry;
use lapwing::runtime::Tokio;
use lapwing::wire::{Encoding, Event, Frame, Payload};
use lapwing::{ConnectionId, Hub, Policy, Topic, TopicFilter, wire};
use lapwing_benches::script;
use lapwing_benches::sink::Sinks;
use lapwing_memory::Virtual;
use tokio::task::{LocalSet, spawn_local, yield_now};

type Outcome = Result<(), Box<dyn Error>>;

const TOPIC: &str = "bench";

const PAYLOAD: [u8; 128] = [7; 128];

/// A name, the operations of a round, and what does them.
struct Case {
    name: &'static str,
    operations: u32,
    run: fn(u32) -> Outcome,
}

const CASES: &[Case] = &[
    case("encode an event of 128 B", 1, encode),
    case("decode a publish of 128 B", 1, decode),
    case("publish to 1 lane", 1, |rounds| publish(1, rounds)),
    case("publish to 10 lanes", 10, |rounds| publish(10, rounds)),
    case("publish to 100 lanes", 100, |rounds| publish(100, rounds)),
    case("relay an event of 64 B to 1 lane", 1, relay),
    case("in process, 10 subscribers, 1 event", 10, |rounds| {
        in_process(1, rounds)
    }),
    case("in process, 10 subscribers, 64 events", 640, |rounds| {
        in_process(64, rounds)
    }),
    case("in process, 10 callbacks, 1 event", 10, |rounds| {
        callbacks(1, rounds)
    }),
    case("in process, 10 callbacks, 64 events", 640, |rounds| {
        callbacks(64, rounds)
    }),
    case("in process, 10 streams, 64 events", 640, |rounds| {
        streams(64, rounds)
    }),
    case("match a topic of 10 subscriptions", 1, |rounds| {
        matching(10, rounds)
    }),
    case("match a topic of 1,000 subscriptions", 1, |rounds| {
        matching(1_000, rounds)
    }),
    case("match a topic of 100,000 subscriptions", 1, |rounds| {
        matching(100_000, rounds)
    }),
];

const fn case(name: &'static str, operations: u32, run: fn(u32) -> Outcome) -> Case {
    Case {
        name,
        operations,
        run,
    }
}

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments == ["cases"] {
        CASES
            .iter()
            .for_each(|case| println!("{}\t{}", case.operations, case.name));
        return Ok(());
    }
    let [name, rounds] = arguments.as_slice() else {
        return Err("bench-instructions CASE ROUNDS".into());
    };
    let case = CASES.iter().find(|case| case.name == name);
    (case.ok_or("there is no such case")?.run)(rounds.parse()?)
}

fn event() -> Frame<'static> {
    Frame::Event(Event {
        topic: TOPIC,
        direct: false,
        offset: None,
        payload: payload(),
    })
}

fn payload() -> Payload<'static> {
    Payload {
        encoding: Encoding::Bytes,
        bytes: &PAYLOAD,
    }
}

fn encode(rounds: u32) -> Outcome {
    let mut message = Vec::with_capacity(1_024);
    for _ in 0..rounds {
        message.clear();
        wire::append(black_box(&event()), &mut message);
        black_box(&message);
    }
    Ok(())
}

fn decode(rounds: u32) -> Outcome {
    let message = script::encoded(&script::publish(TOPIC, payload()));
    for _ in 0..rounds {
        black_box(wire::decode(black_box(&message))?);
    }
    Ok(())
}

/// Events of the program to connections whose transports take everything at once, sixteen before they are written.
fn publish(lanes: usize, rounds: u32) -> Outcome {
    let sim = Virtual::new(7);
    let hub = Hub::builder(sim.clone())
        .topic("**", Rule::open())
        .build()?;
    sim.spawn_named("hub", hub.serve(Sinks::new(lanes, TOPIC, false)));
    sim.run(async {
        sim.settle().await;
        for number in 0..rounds {
            let published = hub.publish(TOPIC, PAYLOAD)?;
            assert_eq!(published.queued as usize, lanes);
            if number % 16 == 15 {
                sim.settle().await;
            }
        }
        sim.settle().await;
        Ok(())
    })?
}

/// Events of a peer to another, as fast as they come.
fn relay(rounds: u32) -> Outcome {
    let sim = Virtual::new(7);
    let hub = Hub::builder(sim.clone())
        .topic("**", Rule::open())
        .build()?;
    let payload = Payload {
        encoding: Encoding::Bytes,
        bytes: &PAYLOAD[..64],
    };
    sim.spawn_named("hub", hub.serve(Sinks::new(1, TOPIC, false)));
    sim.run(sim.settle())?;
    let publisher = Sinks::publisher(TOPIC, payload, rounds);
    sim.spawn_named("publisher", hub.serve(publisher));
    sim.run(sim.settle())?;
    assert_eq!(hub.counters().queued, u64::from(rounds));
    Ok(())
}

/// Events to ten subscribers of the program, each in a task of its own, so many before these have their turn.
fn in_process(batch: u32, rounds: u32) -> Outcome {
    with_subscribers(batch, rounds, async |mut subscription, events| {
        for _ in 0..events {
            let Some(Heard::Event(event)) = subscription.read().await else {
                panic!("an event");
            };
            black_box(event.bytes()[0]);
        }
    })
}

/// The same for subscribers that want an event of their own.
fn streams(batch: u32, rounds: u32) -> Outcome {
    with_subscribers(batch, rounds, async |mut subscription, events| {
        for _ in 0..events {
            black_box(subscription.next().await);
        }
    })
}

/// The same for subscribers that want no future for each event.
fn callbacks(batch: u32, rounds: u32) -> Outcome {
    with_subscribers(batch, rounds, async |mut subscription, mut events| {
        let all = subscription.for_each(|heard| match heard {
            Heard::Event(event) => {
                black_box(event.bytes()[0]);
                events -= 1;
            }
            other => panic!("not an event: {other:?}"),
        });
        all.await;
        assert_eq!(events, 0);
    })
}

fn with_subscribers<F>(batch: u32, rounds: u32, hear: F) -> Outcome
where
    F: AsyncFn(LocalSubscription, u32) + Copy + 'static,
{
    let tokio = tokio::runtime::Builder::new_current_thread().build()?;
    let hub = Hub::builder(Tokio::new(tokio.handle().clone())).build()?;
    LocalSet::new().block_on(&tokio, async {
        let mut subscribers = Vec::new();
        for _ in 0..10 {
            let subscription = hub.subscribe(TOPIC)?;
            let heard = async move { hear(subscription, batch * rounds).await };
            subscribers.push(spawn_local(heard));
        }
        yield_now().await;
        let publisher = hub.publisher(TOPIC)?;
        for _ in 0..rounds {
            for _ in 0..batch {
                let published = publisher.publish(black_box(PAYLOAD))?;
                assert_eq!((published.queued, published.dropped), (10, 0));
            }
            yield_now().await;
        }
        drop((publisher, hub));
        for subscriber in subscribers {
            subscriber.await?;
        }
        Ok(())
    })
}

/// Finds the ten that hear a topic among so many subscriptions, a tenth of them with wildcards.
fn matching(subscriptions: u32, rounds: u32) -> Outcome {
    let mut registry = Registry::new([7; 16]);
    let heard = Topic::new("plant/7/hall/3/line/9")?;
    for number in 0..subscriptions {
        let id = ConnectionId::from_bytes(u128::from(number).to_be_bytes());
        let key = registry.insert(id, None, Arc::new(())).ok_or("a new id")?;
        let filter = match number {
            0..5 => "plant/7/hall/3/line/9".into(),
            5..8 => "plant/*/hall/3/line/9".into(),
            8..10 => "plant/7/**".into(),
            _ if number % 10 == 0 => format!("plant/{number}/*/3/**"),
            _ => format!("plant/{}/hall/{number}/line/9", number % 100),
        };
        registry.subscribe(key, 1, TopicFilter::new(&filter)?, Policy::Disconnect, 1)?;
    }
    let mut found = Vec::new();
    for _ in 0..rounds {
        found.clear();
        registry.matching(black_box(heard), &mut found);
        assert_eq!(found.len(), 10);
    }
    Ok(())
}
