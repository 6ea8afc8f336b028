//! `lapwing demo`: the main job in one command.

mod latencies;
mod peers;
mod reading;
mod tally;
mod view;

use std::sync::Arc;
use std::time::{Duration, Instant};

use lapwing::Limits;
use lapwing::hub::{Hub, Shutdown};
use lapwing::runtime::Smol;
use lexopt::prelude::*;
use smol::Timer;

use self::peers::{Peers, Urls};
use self::tally::Tally;
use self::view::{Scene, View};
use crate::failure::Failure;
use crate::hub;
use crate::options;
use crate::signals::Stops;
use crate::url::{Scheme, Url};

pub(crate) const USAGE: &str = "\
lapwing demo [--seconds SECS] [--sensors N]
  A hub, simulated sensors, a prompt reader over TCP, and one over WebSocket that is far too slow: who gets what, how fast, and
  what is lost. Every second sensor publishes over WebSocket. `lapwing sub URL 'sensor/**'` joins in.
  --seconds SECS   how long; otherwise until Ctrl-C on a terminal, 10 seconds elsewhere
  --sensors N      how many sensors, up to 200 (10)
";

/// How long it runs when nobody can stop it by hand.
const UNATTENDED: Duration = Duration::from_secs(10);

const SENSORS_MAX: u32 = 200;

/// How often a sensor speaks, unless all together would be more than [`EVENTS_PER_SECOND_MAX`].
const PERIOD: Duration = Duration::from_millis(10);

/// Together with the size of a reading this is 16 MB a second: a machine with one slow core can do it.
const EVENTS_PER_SECOND_MAX: u32 = 2_000;

struct Options {
    within: Option<Duration>,
    sensors: u32,
}

impl Options {
    fn parse(mut parser: lexopt::Parser) -> Result<Self, Failure> {
        let (mut within, mut sensors) = (None, 10);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("seconds") => within = Some(options::seconds(&parser.value()?)?),
                Long("sensors") => sensors = options::at_least(1, &parser.value()?)?,
                other => return Err(other.unexpected().into()),
            }
        }
        match sensors > SENSORS_MAX {
            true => Err(Failure::usage(format_args!(
                "at most {SENSORS_MAX} sensors"
            ))),
            false => Ok(Self { within, sensors }),
        }
    }
}

pub(crate) fn run(parser: lexopt::Parser) -> Result<(), Failure> {
    let options = Options::parse(parser)?;
    let smol = Smol::new();
    smol.block_on(show(&smol, &options))
}

async fn show(smol: &Smol, options: &Options) -> Result<(), Failure> {
    let mut stops = Stops::new()?;
    let hub = hub::build(smol, Limits::default(), &[])?;
    let urls = Urls {
        tcp: listen(smol, &hub, Scheme::Tcp).await?,
        web_socket: listen(smol, &hub, Scheme::WebSocket).await?,
    };
    let peers = Peers {
        smol: smol.clone(),
        urls: urls.clone(),
        start: Instant::now(),
        tally: Arc::default(),
    };
    let started = stops
        .or(
            async { start(&peers, options.sensors).await.map(Some) },
            Ok(None),
        )
        .await?;
    if started.is_none() {
        return Ok(());
    }
    let view = View::new();
    let within = match view.is_terminal() {
        true => options.within,
        false => Some(options.within.unwrap_or(UNATTENDED)),
    };
    watch(&hub, &urls, &peers, view, within, &mut stops).await?;
    let at_once = Shutdown {
        within: Duration::ZERO,
        ..Shutdown::default()
    };
    hub.shutdown(at_once).await;
    Ok(())
}

/// Serves on a free port of this machine.
async fn listen(smol: &Smol, hub: &Hub, scheme: Scheme) -> Result<Url, Failure> {
    let free = Url::listening(scheme, "127.0.0.1:0")?;
    Url::parse(&hub::listen(smol, hub, &free, &[]).await?)
}

async fn start(peers: &Peers, sensors: u32) -> Result<(), Failure> {
    peers.prompt_reader().await?;
    peers.slow_reader().await?;
    let period = PERIOD.max(Duration::from_secs(1) * sensors / EVENTS_PER_SECOND_MAX);
    for number in 1..=sensors {
        // Each at a moment of its own, as sensors are.
        Timer::after(period / sensors).await;
        peers.sensor(number, period).await?;
    }
    Ok(())
}

/// Shows what happens until the time is over or the user has seen enough, and then what it came to.
async fn watch(
    hub: &Hub,
    urls: &Urls,
    peers: &Peers,
    mut view: View,
    within: Option<Duration>,
    stops: &mut Stops,
) -> Result<(), Failure> {
    let (begin, mut total) = (Instant::now(), Tally::default());
    let mut looked = begin;
    total.add(&peers.take_tally());
    loop {
        let left = within.map_or(Duration::MAX, |within| {
            within.saturating_sub(begin.elapsed())
        });
        let pause = async {
            Timer::after(view.period().min(left)).await;
            true
        };
        let goes_on = stops.or(pause, false).await;
        let (recent, counters, now) = (peers.take_tally(), hub.counters(), Instant::now());
        total.add(&recent);
        let scene = Scene {
            urls,
            elapsed: now - begin,
            recent: &recent,
            period: now - looked,
            total: &total,
            counters: &counters,
        };
        looked = now;
        if goes_on {
            view.show(&scene)?;
        }
        if !goes_on || within.is_some_and(|within| scene.elapsed >= within) {
            return Ok(view.end(&scene.summary())?);
        }
    }
}
