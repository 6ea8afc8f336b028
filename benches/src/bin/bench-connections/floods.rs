//! Round trips of one connection, while others flood the hub and while they do not.

use std::io;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lapwing::wire::{Encoding, Frame, Payload};
use lapwing_benches::framing::Transport;
use lapwing_benches::hub::HubProcess;
use lapwing_benches::peer::Peer;
use lapwing_benches::script::publish;

use crate::flood::Kind;
use crate::latencies::{Latencies, median};
use crate::options::Options;
use crate::report::Report;

/// Between two round trips: a control connection is no flood itself.
const PAUSE: Duration = Duration::from_millis(1);

/// How long a flood may rise before it is looked at.
const RISE: Duration = Duration::from_millis(500);

/// A round trip longer than this means that somebody else's turn did not end.
const LONGEST: Duration = Duration::from_millis(250);

/// What a hub may have queued by default, and 64 MiB for all else.
const MEMORY_MAX: u64 = (256 + 64) * 1024 * 1024;

pub(crate) fn run(options: &Options, report: &mut Report) -> io::Result<()> {
    let hub = HubProcess::start(&options.hub, &[])?;
    smol::block_on(async {
        let address = hub.address(Transport::Tcp);
        let mut control = Peer::subscriber(address, Transport::Tcp, "control").await?;
        println!(
            "| flood | quiet median µs | p99 µs | flood median µs | p99 µs | median ratio | p99 ratio |"
        );
        println!("|---|---|---|---|---|---|---|");
        for kind in Kind::ALL {
            let mut times: [Vec<Latencies>; 2] = Default::default();
            for _ in 0..options.reps {
                times[0].push(round_trips(&mut control, options.phase).await?);
                let flood = Flood::start(kind, &hub)?;
                smol::Timer::after(RISE).await;
                times[1].push(round_trips(&mut control, options.phase).await?);
                drop(flood);
                smol::Timer::after(RISE).await;
            }
            let [quiet, flooded] = times.map(|mut runs| {
                let medians = median(runs.iter_mut().map(Latencies::median));
                (medians, median(runs.iter_mut().map(Latencies::p99)))
            });
            row(kind, quiet, flooded);
            report.check(
                format_args!("{}: no round trip waits for the flood", kind.name()),
                flooded.1 < LONGEST,
            );
            report.check(
                format_args!("{}: the hub stays within its memory", kind.name()),
                hub.held()?.resident_bytes < MEMORY_MAX,
            );
        }
        control.finish().await
    })?;
    let ended = hub.terminate()?;
    println!("the hub ended {:.2} s after SIGTERM", ended.as_secs_f64());
    Ok(())
}

fn row(kind: Kind, quiet: (Duration, Duration), flooded: (Duration, Duration)) {
    let micros = |time: Duration| time.as_micros();
    let ratio = |one: Duration, other: Duration| one.as_secs_f64() / other.as_secs_f64();
    println!(
        "| {} | {} | {} | {} | {} | {:.2} | {:.2} |",
        kind.name(),
        micros(quiet.0),
        micros(quiet.1),
        micros(flooded.0),
        micros(flooded.1),
        ratio(flooded.0, quiet.0),
        ratio(flooded.1, quiet.1),
    );
}

async fn round_trips(control: &mut Peer, phase: Duration) -> io::Result<Latencies> {
    let (begin, mut times) = (Instant::now(), Latencies::default());
    let payload = Payload {
        encoding: Encoding::Text,
        bytes: b"and back",
    };
    while begin.elapsed() < phase {
        let sent = Instant::now();
        control.say(&publish("control", payload)).await?;
        control
            .until(|frame| matches!(frame, Frame::Event(_)).then_some(()))
            .await?;
        times.add(sent.elapsed());
        smol::Timer::after(PAUSE).await;
    }
    Ok(times)
}

/// Others, in a process of their own: what they spend is not the control connection's.
struct Flood(Child);

impl Flood {
    fn start(kind: Kind, hub: &HubProcess) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["flood", kind.name()]);
        for transport in [Transport::Tcp, Transport::WebSocket] {
            command.arg(hub.address(transport).to_string());
        }
        command.stdin(Stdio::null()).spawn().map(Self)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        // Both fail when it has ended, which is as well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
