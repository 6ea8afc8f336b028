//! A hub behind HTTP that sends events to everybody, in windows: for `benches/http_broadcast.py`, which connects to it.
//!
//! ```text
//!   listening on http://127.0.0.1:40123      first, on standard output
//!   20000 64                          then each line on standard input asks for so many events, so many at a time
//!   20000 of 1000                     and is answered when all of them have left: events, and connections
//! ```

use std::error::Error;
use std::io::BufRead;
use std::time::Duration;

use lapwing::runtime::{Runtime, Smol};
use lapwing::{Hub, Limits};
use lapwing_http::{Options, smol::listen};

const TOPIC: &str = "bench";

/// Between two looks at whether everything has left.
const LOOK_AGAIN: Duration = Duration::from_micros(200);

fn main() -> Result<(), Box<dyn Error>> {
    let smol = Smol::new();
    let limits = Limits {
        // Nobody is pinged meanwhile.
        promise: Duration::from_secs(600),
        ..Limits::default()
    };
    let hub = Hub::builder(smol.clone())
        .limits(limits)
        .protocol(lapwing_signalr::Json)
        .build()?;
    let mut server = smol.block_on(listen(&smol, "127.0.0.1:0"))?;
    println!("listening on {}", server.url());
    smol.spawn(hub.serve(server.endpoint("/", Options::signalr())));
    let asked = std::thread::spawn({
        let (smol, hub) = (smol.clone(), hub.clone());
        move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                let numbers: Vec<u64> = line.split(' ').filter_map(|n| n.parse().ok()).collect();
                let [events, window] = numbers[..] else {
                    return;
                };
                smol.block_on(send(&smol, &hub, events, window));
                println!("{events} of {}", hub.connections().len());
            }
        }
    });
    smol.block_on(async {
        futures_lite::future::or(server.run(), async {
            while !asked.is_finished() {
                pause(&smol, Duration::from_millis(50)).await;
            }
        })
        .await;
    });
    Ok(())
}

async fn send(smol: &Smol, hub: &Hub, events: u64, window: u64) {
    let text = "x".repeat(128);
    for number in 1..=events {
        hub.all().send(TOPIC, &*text).expect("a good topic");
        if number % window == 0 || number == events {
            while hub.counters().waiting_frames > 0 {
                pause(smol, LOOK_AGAIN).await;
            }
        }
    }
}

async fn pause(smol: &Smol, time: Duration) {
    let mut timer = smol.timer();
    timer.arm(smol.now() + time);
    std::future::poll_fn(|cx| timer.poll_fired(cx)).await;
}
