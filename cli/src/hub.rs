//! `lapwing hub`: serves whoever connects.

use std::ffi::OsString;
use std::io::{self, Write};
use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lapwing::hub::{Caller, History, Hub, Rule, Shutdown};
use lapwing::runtime::Smol;
use lapwing::transport::Listener;
use lapwing::{Limits, TopicFilter};
use lexopt::prelude::*;

use crate::failure::Failure;
use crate::options;
use crate::payload::Raw;
use crate::signals::Stops;
use crate::stats::Stats;
use crate::tell;
use crate::url::{Scheme, Url};

pub(crate) const USAGE: &str = "\
lapwing hub [--tcp ADDR]… [--ws ADDR]… [--origin ORIGIN]… [--history FILTER]… [--retain FILTER]… [--stats SECS] [LIMITS]
  Serves until SIGINT or SIGTERM; then it finishes calls, tells everybody, sends what waits, for 3 seconds at most, and ends.
  Anyone may publish and subscribe on any topic. Prints `listening on tcp://127.0.0.1:7000` for each address when it is ready.
  --tcp ADDR           where to listen for TCP; port 0 takes a free one
  --ws ADDR            where to listen for WebSocket, with sub-protocol lapwing.postcard or lapwing.json, any path
                       With neither: TCP on 127.0.0.1:7000, and WebSocket on 127.0.0.1:7001 unless that is taken
  --origin ORIGIN      pages from there may connect too, as https://app.example; * is all; otherwise those of the hub's own host
  --history FILTER     topics that keep their last 1000 events for 5 minutes, for those who were away or begin in the past
  --retain FILTER      topics that keep their newest event; a topic goes by the first of these filters that selects it
  --resume SECS        how long a client that was lost may return to its session (60); 0: not at all
  --return SECS-SECS   when clients come back after this hub's end, spread evenly (1-10)
  --stats SECS         prints the counters every SECS seconds, and at the end, as a JSON line on standard output
  --max-message BYTES  largest message that is taken (1048576)
  --promise SECS       how often the hub speaks at least (25); clients make a promise of their own
  --grace SECS         how late a client may be with its promise before it counts as dead (20)
  --connections N      how many clients at most (10000)
  --lane-bytes BYTES   what may wait for one client, in bytes (1048576)
  --lane-frames N      what may wait for one client, in events (1024); then the subscription's policy decides
";

/// Where a hub listens that was not told where: on its own machine only.
const HOST: &str = "127.0.0.1";

/// For goodbyes. Whoever started the program waits for its end, and kills it after 5 seconds or so.
const GOODBYES: Duration = Duration::from_secs(3);

/// A message with the longest topic and a small payload; a hub that takes less is of no use.
const MESSAGE_BYTES_MIN: u32 = 512;

/// Where to listen.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Places {
    /// All of them, or it is a failure.
    pub(crate) wanted: Vec<Url>,
    /// Where nobody asked for it: no failure when it is taken.
    pub(crate) optional: Option<Url>,
    /// Whose pages may connect by WebSocket, beside those of the hub's own host.
    pub(crate) origins: Vec<String>,
}

/// Where to serve, within which bounds, and how it ends.
struct Options {
    places: Places,
    limits: Limits,
    rules: Vec<(String, Rule)>,
    stats: Option<Duration>,
    end: Shutdown,
}

impl Options {
    fn parse(mut parser: lexopt::Parser) -> Result<Self, Failure> {
        let (mut stats, mut limits) = (None, Limits::default());
        let mut places = Places::default();
        let mut rules = Vec::new();
        let mut end = Shutdown {
            within: GOODBYES,
            ..Shutdown::default()
        };
        while let Some(argument) = parser.next()? {
            match argument {
                Long("tcp") => places.add(Scheme::Tcp, &parser.value()?.string()?)?,
                Long("ws") => places.add(Scheme::WebSocket, &parser.value()?.string()?)?,
                Long("origin") => places.origins.push(options::origin(parser.value()?)?),
                Long("history") => {
                    rules.push(kept(parser.value()?, |rule| {
                        rule.history(History::default())
                    })?);
                }
                Long("retain") => rules.push(kept(parser.value()?, Rule::retain)?),
                Long("resume") => limits.resume = resume(&parser.value()?)?,
                Long("return") => end.return_over = window(&parser.value()?)?,
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
        Ok(Self {
            places: places.or_usual()?,
            limits,
            rules,
            stats,
            end,
        })
    }
}

/// A rule for topics that keep something.
fn kept(filter: OsString, keep: impl Fn(Rule) -> Rule) -> Result<(String, Rule), Failure> {
    let filter = filter.string()?;
    TopicFilter::new(&filter).map_err(Failure::usage)?;
    Ok((filter, keep(Rule::open())))
}

fn resume(value: &OsString) -> Result<Option<Duration>, lexopt::Error> {
    match value == "0" {
        true => Ok(None),
        false => options::seconds(value).map(Some),
    }
}

/// Two times with a dash between them, the earlier one first.
fn window(value: &OsString) -> Result<Range<Duration>, lexopt::Error> {
    let text = value.to_string_lossy();
    let (start, end) = text.split_once('-').unwrap_or((&text, &text));
    let (start, end) = (
        options::seconds(&start.into())?,
        options::seconds(&end.into())?,
    );
    match start <= end {
        true => Ok(start..end),
        false => Err(format!("{text:?} ends before it begins").into()),
    }
}

impl Places {
    fn add(&mut self, scheme: Scheme, address: &str) -> Result<(), Failure> {
        self.wanted.push(Url::listening(scheme, address)?);
        Ok(())
    }

    /// The usual ones when the user names none. A second hub, or another program on the second port, is no reason to fail.
    fn or_usual(mut self) -> Result<Self, Failure> {
        if self.wanted.is_empty() {
            self.add(Scheme::Tcp, HOST)?;
            self.optional = Some(Url::listening(Scheme::WebSocket, HOST)?);
        }
        Ok(self)
    }
}

pub(crate) fn run(parser: lexopt::Parser) -> Result<(), Failure> {
    let options = Options::parse(parser)?;
    raise_open_files();
    let smol = Smol::new();
    let hub = build(&smol, options.limits, &options.rules)?;
    smol.block_on(serve(&smol, &hub, &options))
}

/// A hub where everything is allowed, with some methods to call.
pub(crate) fn build(smol: &Smol, limits: Limits, rules: &[(String, Rule)]) -> Result<Hub, Failure> {
    let hub = Hub::builder(smol.clone()).limits(limits);
    let ruled = rules
        .iter()
        .cloned()
        .fold(hub, |hub, (filter, rule)| hub.topic(filter, rule));
    let hub = ruled
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
    listen_on_all(smol, hub, &options.places).await?;
    let stats = options.stats.map(|every| Stats::begin(hub.clone(), every));
    stops.asked().await;
    let shutdown = hub.shutdown(options.end.clone());
    // Who asks twice does not want to wait.
    let report = stops.or(async { Some(shutdown.await) }, None).await;
    if let (Some(stats), Some(report)) = (stats, report) {
        stats.end(&report);
    }
    Ok(())
}

/// Serves on all places from now on, and says so.
async fn listen_on_all(smol: &Smol, hub: &Hub, places: &Places) -> Result<(), Failure> {
    for url in &places.wanted {
        announce(&listen(smol, hub, url, &places.origins).await?)?;
    }
    if let Some(url) = &places.optional {
        match listen(smol, hub, url, &places.origins).await {
            Ok(url) => announce(&url)?,
            Err(Failure::Failed(why)) => tell(format_args!("lapwing: no WebSocket: {why}")),
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

/// Serves on `url` from now on; says which it has become.
pub(crate) async fn listen(
    smol: &Smol,
    hub: &Hub,
    url: &Url,
    origins: &[String],
) -> Result<String, Failure> {
    let address = url.host_and_port();
    let begun = match url.scheme() {
        Scheme::Tcp => lapwing_tcp::smol::listen(address)
            .await
            .map(|listener| begin(smol, hub, listener)),
        Scheme::WebSocket => lapwing_websocket::smol::listen(address)
            .await
            .map(|listener| begin(smol, hub, listener.origins(origins.iter().cloned()))),
    };
    begun.map_err(|error| Failure::failed(format_args!("cannot listen on {address}: {error}")))
}

fn begin(smol: &Smol, hub: &Hub, listener: impl Listener + 'static) -> String {
    let url = listener.url();
    smol.spawn(hub.serve(listener));
    url
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

#[cfg(test)]
mod tests {
    use super::*;

    fn places(arguments: &[&str]) -> Result<Places, Failure> {
        let options = Options::parse(lexopt::Parser::from_args(arguments))?;
        Ok(options.places)
    }

    #[test]
    fn without_a_word_it_is_both_and_the_second_may_be_missing() {
        let usual = places(&[]).expect("nothing is wrong");
        assert_eq!(usual.wanted[0].to_string(), "tcp://127.0.0.1:7000");
        let optional = usual.optional.map(|url| url.to_string());
        assert_eq!(optional.as_deref(), Some("ws://127.0.0.1:7001"));
    }

    #[test]
    fn who_names_places_gets_these_alone() {
        let named = places(&["--ws", "localhost:1", "--tcp", "localhost:2"]).expect("fine");
        let urls: Vec<String> = named.wanted.iter().map(Url::to_string).collect();
        assert_eq!(urls, ["ws://localhost:1", "tcp://localhost:2"]);
        assert_eq!(named.optional, None);
        assert!(places(&["--ws", "tcp://localhost:1"]).is_err());
    }

    #[test]
    fn a_window_is_two_times_in_their_order() {
        let return_over = |text: &str| {
            let parser = lexopt::Parser::from_args(["--return", text]);
            Options::parse(parser).map(|options| options.end.return_over)
        };
        let times = Duration::from_millis(500)..Duration::from_secs(20);
        assert_eq!(return_over("0.5-20").expect("a window"), times);
        let at_once = Duration::from_secs(3)..Duration::from_secs(3);
        assert_eq!(return_over("3").expect("one time"), at_once);
        for wrong in ["2-1", "1-", "-1", "0-1", "x"] {
            assert!(return_over(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_taken_place_fails_only_where_it_was_asked_for() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let port = taken.local_addr().expect("it is bound").port();
        let url = Url::listening(Scheme::WebSocket, &format!("127.0.0.1:{port}")).expect("fine");
        let smol = Smol::new();
        let hub = build(&smol, Limits::default(), &[]).expect("a hub");
        let listen = |places| smol.block_on(listen_on_all(&smol, &hub, &places));
        let optional = Places {
            optional: Some(url.clone()),
            ..Places::default()
        };
        assert!(listen(optional).is_ok());
        let wanted = Places {
            wanted: vec![url],
            ..Places::default()
        };
        assert!(matches!(listen(wanted), Err(Failure::Failed(_))));
    }
}
