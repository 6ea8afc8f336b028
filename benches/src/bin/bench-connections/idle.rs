//! Connections that say nothing: what one costs, and that all of them hear of the end.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use lapwing_benches::hub::HubProcess;
use lapwing_benches::peer::Peer;
use smol::LocalExecutor;
use smol::lock::Semaphore;

use crate::options::Options;
use crate::report::Report;

/// Handshakes at once.
const CONCURRENCY: usize = 64;

/// What an idle connection may cost the hub, and from how many on the hub itself is no longer what counts.
const RESIDENT_BYTES_MAX: u64 = 8 * 1024;
const CONNECTIONS_THAT_COUNT: usize = 5_000;

/// How long the hub may take to end.
const END: Duration = Duration::from_secs(5);

pub(crate) fn run(options: &Options, report: &mut Report) -> io::Result<()> {
    let room = (options.connections + 10).to_string();
    let hub = HubProcess::start(&options.hub, &["--connections", &room])?;
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        // What the hub needs once is not what a connection costs.
        open(&executor, &hub, options, 1).await?.pop();
        smol::Timer::after(Duration::from_millis(200)).await;
        let (before, spent, begin) = (hub.held()?, hub.spent()?, Instant::now());
        let peers = open(&executor, &hub, options, options.connections).await?;
        let (wall, spent) = (begin.elapsed(), hub.spent()? - spent);
        let after = hub.held()?;
        let count = options.connections as u64;
        let each = after.resident_bytes.saturating_sub(before.resident_bytes) / count;
        println!(
            "{count} idle connections over {}: {each} bytes resident each ({} KiB before, {} KiB after), {} files",
            options.transport.name(),
            before.resident_bytes / 1024,
            after.resident_bytes / 1024,
            after.files,
        );
        println!(
            "accept, handshake and hello: {:.1} µs of CPU and {:.1} µs of time each, {CONCURRENCY} at once",
            micros(spent) / count as f64,
            micros(wall) / count as f64,
        );
        if options.connections >= CONNECTIONS_THAT_COUNT {
            report.check(
                format_args!("at most {RESIDENT_BYTES_MAX} bytes each"),
                each <= RESIDENT_BYTES_MAX,
            );
        }
        let homes: Vec<_> = peers
            .into_iter()
            .map(|peer| executor.spawn(peer.is_sent_home()))
            .collect();
        let ended = smol::unblock(|| hub.terminate()).await?;
        let mut told = 0;
        for home in homes {
            told += u64::from(home.await);
        }
        println!("all gone {:.2} s after SIGTERM", ended.as_secs_f64());
        report.check("the hub ends in time", ended < END);
        report.check(
            format_args!("{told} of {count} were told to return"),
            told == count,
        );
        Ok(())
    }))
}

/// So many connections that have been welcomed.
async fn open(
    executor: &LocalExecutor<'_>,
    hub: &HubProcess,
    options: &Options,
    count: usize,
) -> io::Result<Vec<Peer>> {
    let (address, transport) = (hub.address(options.transport), options.transport);
    let turns = Rc::new(Semaphore::new(CONCURRENCY));
    let opening: Vec<_> = (0..count)
        .map(|_| {
            let turns = turns.clone();
            executor.spawn(async move {
                let _turn = turns.acquire().await;
                Peer::connect(address, transport).await
            })
        })
        .collect();
    let mut peers = Vec::with_capacity(count);
    for peer in opening {
        peers.push(peer.await?);
    }
    Ok(peers)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
