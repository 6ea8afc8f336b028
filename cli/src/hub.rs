//! `lapwing hub`: serves whoever connects.

use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lapwing::Limits;
use lapwing::hub::{Caller, Hub, Rule, Shutdown};
use lapwing::runtime::Smol;
use lapwing::transport::Listener;
use lexopt::prelude::*;

use crate::failure::Failure;
use crate::options;
use crate::payload::Raw;
use crate::signals::Stops;
use crate::stats::Stats;
use crate::url::Url;

pub(crate) const USAGE: &str = "\
lapwing hub [--tcp ADDR]… [--stats SECS] [LIMITS]
  Serves until SIGINT or SIGTERM; then it tells everybody, sends what waits for 3 seconds at most, and ends. Anyone may
  publish and subscribe on any topic. Prints `listening on tcp://127.0.0.1:7000` for each address when it is ready.
  --tcp ADDR           where to listen (127.0.0.1:7000); port 0 takes a free one
  --stats SECS         prints the counters every SECS seconds, and at the end, as a JSON line on standard output
  --max-message BYTES  largest message that is taken (1048576)
  --promise SECS       how often the hub speaks at least (25); clients make a promise of their own
  --grace SECS         how late a client may be with its promise before it counts as dead (20)
  --connections N      how many clients at most (10000)
  --lane-bytes BYTES   what may wait for one client, in bytes (1048576)
  --lane-frames N      what may wait for one client, in events (1024); then the subscription's policy decides
";

const ADDRESS: &str = "127.0.0.1:7000";

/// For goodbyes. Whoever started the program waits for its end, and kills it after 5 seconds or so.
const GOODBYES: Duration = Duration::from_secs(3);

/// A message with the longest topic and a small payload; a hub that takes less is of no use.
const MESSAGE_BYTES_MIN: u32 = 512;

/// Where to serve, and within which bounds.
struct Options {
    addresses: Vec<Url>,
    limits: Limits,
    stats: Option<Duration>,
}

impl Options {
    fn parse(mut parser: lexopt::Parser) -> Result<Self, Failure> {
        let (mut addresses, mut stats, mut limits) = (Vec::new(), None, Limits::default());
        while let Some(argument) = parser.next()? {
            match argument {
                Long("tcp") => addresses.push(Url::parse(&parser.value()?.string()?)?),
                Long("stats") => stats = Some(options::seconds(&parser.value()?)?),
                Long("max-message") => {
                    limits.message_bytes_max =
                        options::at_least(MESSAGE_BYTES_MIN, &parser.value()?)?;
                }
                Long("promise") => limits.promise = options::seconds(&parser.value()?)?,
                Long("grace") => limits.grace = options::seconds(&parser.value()?)?,
                Long("connections") => {
                    limits.connections_max = options::at_least(1, &parser.value()?)?
                }
                Long("lane-bytes") => {
                    limits.lane_bytes_max = options::at_least(1, &parser.value()?)?
                }
                Long("lane-frames") => {
                    limits.lane_frames_max = options::at_least(1, &parser.value()?)?
                }
                other => return Err(other.unexpected().into()),
            }
        }
        if addresses.is_empty() {
            addresses.push(Url::parse(ADDRESS)?);
        }
        Ok(Self {
            addresses,
            limits,
            stats,
        })
    }
}

pub(crate) fn run(parser: lexopt::Parser) -> Result<(), Failure> {
    let options = Options::parse(parser)?;
    raise_open_files();
    let smol = Smol::new();
    let hub = build(&smol, options.limits)?;
    smol.block_on(serve(&smol, &hub, &options))
}

/// A hub where everything is allowed, with some methods to call.
pub(crate) fn build(smol: &Smol, limits: Limits) -> Result<Hub, Failure> {
    let hub = Hub::builder(smol.clone())
        .limits(limits)
        .topic("**", Rule::open())
        .on_call("echo", async |_: Caller, arguments: Raw| Ok(arguments))
        .on_call("time", async |_: Caller, ()| {
            Ok(millis_since_1970().to_string())
        })
        .on_call("connections", async |caller: Caller, ()| {
            Ok(caller.hub().counters().connections.to_string())
        })
        .on_call("counters", async |caller: Caller, ()| {
            let counters = serde_json::to_string(&caller.hub().counters());
            Ok(counters.map_err(|error| error.to_string())?)
        })
        .build();
    hub.map_err(Failure::failed)
}

fn millis_since_1970() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_millis()
}

async fn serve(smol: &Smol, hub: &Hub, options: &Options) -> Result<(), Failure> {
    let mut stops = Stops::new()?;
    for address in &options.addresses {
        announce(&listen(smol, hub, address).await?)?;
    }
    let stats = options.stats.map(|every| Stats::begin(hub.clone(), every));
    stops.asked().await;
    let shutdown = hub.shutdown(Shutdown {
        within: GOODBYES,
        ..Shutdown::default()
    });
    // Who asks twice does not want to wait.
    let report = stops.or(async { Some(shutdown.await) }, None).await;
    if let (Some(stats), Some(report)) = (stats, report) {
        stats.end(&report);
    }
    Ok(())
}

/// Serves on `address` from now on; says its URL.
pub(crate) async fn listen(smol: &Smol, hub: &Hub, address: &Url) -> Result<String, Failure> {
    let address = address.host_and_port();
    let listener = lapwing_tcp::smol::listen(address).await;
    let listener = listener
        .map_err(|error| Failure::failed(format_args!("cannot listen on {address}: {error}")))?;
    let url = listener.url();
    smol.spawn(hub.serve(listener));
    Ok(url)
}

fn announce(url: &str) -> Result<(), Failure> {
    match io::stdout().write_all(format!("listening on {url}\n").as_bytes()) {
        // Nobody has to read it.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// A connection is an open file, and many systems allow a program 1,024 unless it asks for more.
fn raise_open_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        // Without it the hub serves fewer; accepting waits for files to be closed.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}
