//! Connections that come and go: what they leave behind.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use lapwing::wire::{Encoding, Frame, Payload};
use lapwing_benches::framing::Transport;
use lapwing_benches::hub::{Held, HubProcess, counters_like};
use lapwing_benches::peer::Peer;
use lapwing_benches::script::publish;
use serde_json::Value;
use smol::{LocalExecutor, Timer};

use crate::options::Options;
use crate::report::Report;

/// Connections at once.
const CONCURRENCY: usize = 64;

/// The share of all connections that warms up what the hub keeps for later, and the rounds after that.
const ROUNDS: usize = 6;

/// More than this is a leak, however slow: an allocator that keeps some pages for later is none.
const GROWTH_BYTES_MAX: u64 = 1024 * 1024;

/// How long a socket may stay behind its connection: the hub's limit for closing, and some more for a machine that is busy.
const CLOSING: Duration = Duration::from_secs(10);

pub(crate) fn run(options: &Options, report: &mut Report) -> io::Result<()> {
    let hub = HubProcess::start(&options.hub, &[])?;
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        let mut control = Peer::connect(hub.address(Transport::Tcp), Transport::Tcp).await?;
        let empty = hub.held()?;
        let each = options.connections.div_ceil(ROUNDS).max(1);
        let warm = round(&executor, &hub, &mut control, each, empty).await?;
        println!("{each} came and went, to warm up: {warm:?}");
        let mut last = warm;
        for number in 1..ROUNDS {
            last = round(&executor, &hub, &mut control, each, empty).await?;
            println!("{} came and went: {last:?}", each * (number + 1));
        }
        let growth = last.resident_bytes.saturating_sub(warm.resident_bytes);
        report.check(
            format_args!("memory is back: {} KiB more", growth / 1024),
            growth <= GROWTH_BYTES_MAX,
        );
        report.check("open files are back", last.files == empty.files);
        report.check("threads are back", last.threads == warm.threads);
        control.finish().await?;
        let ended = smol::unblock(|| hub.terminate()).await?;
        println!("the hub ended {:.2} s after SIGTERM", ended.as_secs_f64());
        Ok(())
    }))
}

/// So many connections come and go; what the hub holds when its counters are back.
async fn round(
    executor: &LocalExecutor<'_>,
    hub: &HubProcess,
    control: &mut Peer,
    connections: usize,
    empty: Held,
) -> io::Result<Held> {
    let next = Rc::new(Cell::new(0));
    let addresses =
        [Transport::Tcp, Transport::WebSocket].map(|transport| (hub.address(transport), transport));
    let workers: Vec<_> = (0..CONCURRENCY)
        .map(|_| {
            let next = next.clone();
            executor.spawn(async move {
                while next.get() < connections {
                    let number = next.replace(next.get() + 1);
                    let (address, transport) = addresses[number % addresses.len()];
                    live(Life::of(number), address, transport).await?;
                }
                Ok::<_, io::Error>(())
            })
        })
        .collect();
    for worker in workers {
        worker.await?;
    }
    counters_like(control, is_back).await?;
    // A socket may stay a little longer than its connection: until the peer has had its last words.
    let begin = Instant::now();
    while hub.held()?.files > empty.files && begin.elapsed() < CLOSING {
        Timer::after(Duration::from_millis(20)).await;
    }
    hub.held()
}

/// Whether nobody but the one who asks is left.
fn is_back(counters: &Value) -> bool {
    let zeros = ["handshakes", "subscriptions", "users", "groups"];
    counters["connections"] == 1
        && zeros.iter().all(|name| counters[name] == 0)
        && counters["held_bytes"] == 0
}

/// How a connection lives and ends.
#[derive(Clone, Copy)]
enum Life {
    /// Says goodbye after an event, and hears one.
    Polite,
    /// Closes its socket after an event.
    Curt,
    /// Breaks off after an event.
    Aborted,
    /// Breaks off in the middle of a message.
    HalfSaid,
    /// Breaks off before the handshake is done.
    HalfOpen,
}

impl Life {
    fn of(number: usize) -> Self {
        // Each transport gets each of them.
        match number / 2 % 8 {
            0..4 => Self::Polite,
            4 => Self::Curt,
            5 => Self::Aborted,
            6 => Self::HalfSaid,
            _ => Self::HalfOpen,
        }
    }
}

async fn live(life: Life, address: std::net::SocketAddr, transport: Transport) -> io::Result<()> {
    if let Life::HalfOpen = life {
        let mut peer = Peer::silent(address, transport).await?;
        peer.write(b"GET").await?;
        return peer.abort();
    }
    let mut peer = Peer::subscriber(address, transport, "churn").await?;
    let payload = Payload {
        encoding: Encoding::Text,
        bytes: b"here I am",
    };
    peer.say(&publish("churn", payload)).await?;
    // Its own event, or somebody else's.
    peer.until(|frame| matches!(frame, Frame::Event(_)).then_some(()))
        .await?;
    match life {
        Life::Polite => peer.finish().await,
        Life::Curt | Life::HalfOpen => Ok(()),
        Life::Aborted => peer.abort(),
        Life::HalfSaid => {
            let message = transport.from_client(&[0; 1_000]);
            peer.write(&message[..500]).await?;
            peer.abort()
        }
    }
}
