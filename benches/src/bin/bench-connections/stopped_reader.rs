//! One subscriber among many stops reading: what it costs the hub, how it ends, and what the others notice.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use lapwing::Policy;
use lapwing::wire::{Encoding, Frame, List, Payload, Start, Subscribe};
use lapwing_benches::framing::Transport;
use lapwing_benches::hub::{HubProcess, counters};
use lapwing_benches::peer::Peer;
use lapwing_benches::script::publish;
use serde_json::Value;
use smol::{LocalExecutor, Task, Timer};

use crate::latencies::{Latencies, median};
use crate::options::Options;
use crate::report::Report;

const PAYLOAD_BYTES: usize = 1_024;

/// What one connection may make the hub hold: its lane, what was written and not taken, and what an allocator makes of it.
const GROWTH_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// After this long without progress a connection is ended; some more for a machine that is busy.
const END: Duration = Duration::from_secs(12);

/// How often the counters are looked at.
const STEP: Duration = Duration::from_millis(100);

pub(crate) fn run(options: &Options, report: &mut Report) -> io::Result<()> {
    let hub = HubProcess::start(&options.hub, &[])?;
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(watch(&executor, &hub, options, report)))?;
    // And with it all those who read: what they would not answer any more, the hub need not wait for.
    drop(executor);
    let ended = hub.terminate()?;
    println!("the hub ended {:.2} s after SIGTERM", ended.as_secs_f64());
    Ok(())
}

async fn watch(
    executor: &LocalExecutor<'_>,
    hub: &HubProcess,
    options: &Options,
    report: &mut Report,
) -> io::Result<()> {
    let mut crowd = Crowd::gather(executor, hub, options).await?;
    // Everything is used once before it is looked at.
    crowd.publish(options.phase).await?;
    let (mut quiet, mut stopped, mut growth) = (Vec::new(), Vec::new(), 0);
    for _ in 0..options.reps {
        quiet.push(crowd.publish(options.phase).await?);
        let before = hub.held()?.resident_bytes;
        let one = crowd.stopped(Policy::DropOldest).await?;
        stopped.push(crowd.publish(options.phase).await?);
        growth = growth.max(hub.held()?.resident_bytes.saturating_sub(before));
        one.abort()?;
    }
    compare(quiet, stopped);
    for (policy, name) in [
        (Policy::Disconnect, "disconnect"),
        (Policy::DropOldest, "drop-oldest"),
    ] {
        let before = hub.held()?.resident_bytes;
        let (ended, most) = crowd.end_of_stopped(policy).await?;
        growth = growth.max(most.saturating_sub(before));
        let seconds = ended.as_secs_f64();
        println!("{name}: ended {seconds:.1} s after the first event it could not take");
        report.check(format_args!("{name}: it is ended in time"), ended < END);
    }
    report.check(
        format_args!("memory grew by {} KiB at most", growth / 1024),
        growth <= GROWTH_BYTES_MAX,
    );
    let others = counters(&mut crowd.control).await?["connections"].as_u64();
    // The publisher and the one who asks are there, too.
    report.check(
        "all others are still there",
        others == Some(options.connections as u64 + 1),
    );
    Ok(())
}

/// Prints what those who read have seen. Of several repetitions the quickest is what remains on a machine that is shared.
fn compare(quiet: Vec<Latencies>, stopped: Vec<Latencies>) {
    let figures = |mut runs: Vec<Latencies>| {
        let p99s: Vec<Duration> = runs.iter_mut().map(Latencies::p99).collect();
        let half = median(runs.iter_mut().map(Latencies::median));
        let least = p99s.iter().min().copied().unwrap_or_default();
        [half, median(p99s), least]
    };
    let (quiet, stopped) = (figures(quiet), figures(stopped));
    println!("| | all read, µs | one stopped, µs | ratio |\n|---|---|---|---|");
    let names = [
        "median",
        "p99, median of the runs",
        "p99, least of the runs",
    ];
    for ((name, quiet), stopped) in names.iter().zip(quiet).zip(stopped) {
        println!(
            "| {name} | {} | {} | {:.2} |",
            quiet.as_micros(),
            stopped.as_micros(),
            stopped.as_secs_f64() / quiet.as_secs_f64()
        );
    }
}

/// Subscribers that read, a publisher, and somebody who asks for the counters.
struct Crowd<'a> {
    hub: &'a HubProcess,
    transport: Transport,
    rate: f64,
    publisher: Peer,
    control: Peer,
    times: Rc<RefCell<Latencies>>,
    begin: Instant,
    _readers: Vec<Task<()>>,
}

impl<'a> Crowd<'a> {
    async fn gather(
        executor: &LocalExecutor<'_>,
        hub: &'a HubProcess,
        options: &Options,
    ) -> io::Result<Self> {
        let (address, transport) = (hub.address(options.transport), options.transport);
        let (times, begin) = (Rc::new(RefCell::new(Latencies::default())), Instant::now());
        let mut readers = Vec::new();
        // One of them all is the one who stops.
        for _ in 1..options.connections {
            let peer = Peer::subscriber(address, transport, "load").await?;
            readers.push(executor.spawn(read(peer, times.clone(), begin)));
        }
        Ok(Self {
            hub,
            transport,
            rate: options.rate,
            publisher: Peer::connect(address, transport).await?,
            control: Peer::connect(address, transport).await?,
            times,
            begin,
            _readers: readers,
        })
    }

    /// A subscriber that has stopped reading.
    async fn stopped(&self, policy: Policy) -> io::Result<Peer> {
        let mut peer = Peer::connect(self.hub.address(self.transport), self.transport).await?;
        peer.keep_little()?;
        peer.say(&Frame::Subscribe(Subscribe {
            receipt: 1,
            first: 1,
            policy: Some(policy),
            start: Start::Now,
            filters: List::new(&["load"]),
        }))
        .await?;
        peer.until(|frame| matches!(frame, Frame::Ack(_)).then_some(()))
            .await?;
        Ok(peer)
    }

    /// Publishes for so long; how long the events took to those who read.
    async fn publish(&mut self, phase: Duration) -> io::Result<Latencies> {
        let (begin, mut count) = (Instant::now(), 0);
        let mut bytes = vec![b'x'; PAYLOAD_BYTES];
        self.times.take();
        while begin.elapsed() < phase {
            let due = begin + Duration::from_secs_f64(f64::from(count) / self.rate);
            count += 1;
            Timer::at(due).await;
            let now = self.begin.elapsed().as_nanos() as u64;
            bytes[..8].copy_from_slice(&now.to_be_bytes());
            let payload = Payload {
                encoding: Encoding::Bytes,
                bytes: &bytes,
            };
            self.publisher.say(&publish("load", payload)).await?;
        }
        Ok(self.times.take())
    }

    /// How long a subscriber that stops is there after the first event it could not take; and the most memory meanwhile.
    async fn end_of_stopped(&mut self, policy: Policy) -> io::Result<(Duration, u64)> {
        let before = counters(&mut self.control).await?;
        let _stopped = self.stopped(policy).await?;
        let (mut full, mut most) = (None, 0);
        loop {
            self.publish(STEP).await?;
            let now = counters(&mut self.control).await?;
            most = most.max(self.hub.held()?.resident_bytes);
            if sum(&now["dropped"]) > sum(&before["dropped"]) {
                full.get_or_insert_with(Instant::now);
            }
            let waited = full.map_or(Duration::ZERO, |full: Instant| full.elapsed());
            if sum(&now["disconnected"]) > sum(&before["disconnected"]) || waited > 2 * END {
                return Ok((waited, most));
            }
        }
    }
}

fn sum(counts: &Value) -> u64 {
    let counts = counts.as_object().into_iter().flatten();
    counts.filter_map(|(_, count)| count.as_u64()).sum()
}

async fn read(mut peer: Peer, times: Rc<RefCell<Latencies>>, begin: Instant) {
    let read = peer.until(|frame| {
        if let Frame::Event(event) = frame {
            let now = begin.elapsed();
            if let Some(sent) = event.payload.bytes.first_chunk() {
                let sent = Duration::from_nanos(u64::from_be_bytes(*sent));
                times.borrow_mut().add(now.saturating_sub(sent));
            }
        }
        None::<()>
    });
    // It ends with the hub.
    let _ = read.await;
}
