//! Delivers events to connections that may resume, or may not, in virtual time and over transports that swallow: for
//! counting instructions.
//!
//! ```text
//! for events in 1000 11000; do
//!   valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/bench-resume --events $events [--resumable]
//! done
//! ```
//!
//! The difference of two counts, by the difference of deliveries (a hundred for each event), is what one delivery costs.

use std::error::Error;

use lapwing::Hub;
use lapwing::hub::{PublishError, Rule};
use lapwing_benches::sink::Sinks;
use lapwing_memory::Virtual;
use lexopt::ValueExt as _;

const TOPIC: &str = "bench";

const SUBSCRIBERS: usize = 100;

/// Events that are published before anybody writes.
const BURST: u32 = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let (mut events, mut resumable) = (10_000_u32, false);
    let mut parser = lexopt::Parser::from_env();
    while let Some(option) = parser.next()? {
        match option {
            lexopt::Arg::Long("events") => events = parser.value()?.string()?.parse()?,
            lexopt::Arg::Long("resumable") => resumable = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let sim = Virtual::new(7);
    let hub = Hub::builder(sim.clone())
        .topic("**", Rule::open())
        .build()?;
    let sinks = Sinks::new(SUBSCRIBERS, TOPIC, resumable);
    sim.spawn_named("hub", hub.serve(sinks));
    sim.run(async {
        sim.settle().await;
        for number in 0..events {
            let published = hub.publish(TOPIC, [7; 128])?;
            assert_eq!(published.queued as usize, SUBSCRIBERS);
            if number % BURST == BURST - 1 {
                sim.settle().await;
            }
        }
        sim.settle().await;
        Ok::<_, PublishError>(())
    })??;
    println!("{} frames", hub.counters().frames_out);
    Ok(())
}
