//! `lapwing sub`: prints what is published.

use std::io::{self, BufWriter, Write};
use std::pin::pin;

use lapwing::client::{Client, Delivery, Start, State, SubscribeOptions, Subscription};
use lapwing::runtime::Smol;
use lapwing::{Policy, TopicFilter};
use lexopt::prelude::*;
use smol::future;

use crate::connect::{self, Connect, Language};
use crate::failure::{Failure, chain};
use crate::line::Style;
use crate::options;
use crate::signals::Stops;
use crate::tell;
use crate::url::Url;

pub(crate) const USAGE: &str = "\
lapwing sub URL FILTER [--count N] [--from WHERE] [--policy POLICY] [--json] [--hex] [--no-resume] [--promise SECS] [--protocol NAME]
  Prints a line for each event whose topic matches: the topic, a blank, the payload. In a filter, * is one segment, ** any
  tail. Control characters and what is no UTF-8 are escaped as in Rust (\\n, \\u{1b}, \\xff); for exact bytes use --hex or --json.
  --count N        end after N events
  --from WHERE     where to begin, on topics that keep something: now (default), retained (the newest event of each), beginning,
                   or EPOCH:OFFSET, which is what `position` said at the end of an earlier run
  --policy POLICY  what the hub does while this program is slow: disconnect, drop-oldest (default), drop-newest, keep-latest
  --json           a line is an object: {\"topic\":…,\"encoding\":…,\"text\":…}; the payload is \"text\", \"json\" (the value itself), or
                   \"hex\" for all other encodings; with an \"offset\" where topics keep a history
  --hex            payloads as hexadecimal digits
  --no-resume      begin anew when the connection was lost, instead of going on where it was
  On standard error: `subscribed FILTER` when it has begun; `lagged N`: N events are missing here, this program was too
  slow; `closed: REASON`, then `reconnected`, and what that cost: `resumed`: nothing; `replayed FROM TO`: nothing, the hub sends again what
  it keeps; `gap N`, `gap unknown`: so many events are missing. `live`: the past is over. At the end `total N: …` when something was missing, and
  `position EPOCH:OFFSET` where topics keep a history.
";

/// Gathers lines of a fast stream, to be written at once.
const OUT_BYTES: usize = 64 * 1024;

/// What to print, and how.
struct Options {
    connect: Connect,
    resume: bool,
    filter: String,
    count: Option<u64>,
    start: Start,
    policy: Policy,
    style: Style,
}

impl Options {
    fn parse(mut parser: lexopt::Parser) -> Result<Self, Failure> {
        let (mut url, mut promise) = (None, connect::PROMISE);
        let mut language = Language::default();
        let (mut filter, mut count) = (None, None);
        let (mut start, mut resume) = (Start::Now, true);
        let (mut policy, mut style) = (Policy::DropOldest, Style::default());
        while let Some(argument) = parser.next()? {
            match argument {
                Value(text) if url.is_none() => url = Some(Url::parse(&text.string()?)?),
                Value(text) if filter.is_none() => filter = Some(text.string()?),
                Long("count") => count = Some(parser.value()?.parse()?),
                Long("from") => start = options::start(&parser.value()?)?,
                Long("no-resume") => resume = false,
                Long("policy") => policy = options::policy(&parser.value()?)?,
                Long("promise") => promise = options::seconds(&parser.value()?)?,
                Long("protocol") => language = options::language(&parser.value()?)?,
                Long("json") => style.json = true,
                Long("hex") => style.hex = true,
                other => return Err(other.unexpected().into()),
            }
        }
        let url = options::required(url, "URL")?;
        let filter = options::required(filter, "FILTER")?;
        TopicFilter::new(&filter).map_err(Failure::usage)?;
        Ok(Self {
            connect: Connect {
                url,
                promise,
                language,
            },
            resume,
            filter,
            count,
            start,
            policy,
            style,
        })
    }
}

pub(crate) fn run(parser: lexopt::Parser) -> Result<(), Failure> {
    let options = Options::parse(parser)?;
    let smol = Smol::new();
    smol.block_on(print(&smol, options))
}

/// Prints until there were enough events, or the user has seen enough: that is no failure either.
async fn print(smol: &Smol, options: Options) -> Result<(), Failure> {
    let mut stops = Stops::new()?;
    let begun = async {
        let builder = options.connect.builder(smol).resume(options.resume);
        let client = options.connect.online(builder).await?;
        let subscription = subscribe(&client, &options).await?;
        Ok::<_, Failure>(Some((client, subscription)))
    };
    let Some((client, mut subscription)) = stops.or(begun, Ok(None)).await? else {
        return Ok(());
    };
    tell(format_args!("subscribed {}", options.filter));
    let printer = Printer {
        out: BufWriter::with_capacity(OUT_BYTES, io::stdout()),
        style: options.style,
        left: options.count,
        total: Total::default(),
    };
    let seen_enough = stops.or(tell_states(&client), ());
    let total = printer.print(&mut subscription, seen_enough).await?;
    total.tell();
    if let Some((epoch, offset)) = subscription.position() {
        tell(format_args!("position {epoch}:{offset}"));
    }
    drop(subscription);
    stops.or(async { drop(client.close().await) }, ()).await;
    Ok(())
}

async fn subscribe(client: &Client, options: &Options) -> Result<Subscription, Failure> {
    let how = SubscribeOptions {
        start: options.start,
        policy: Some(options.policy),
        ..SubscribeOptions::default()
    };
    let subscription = client.subscribe_with(&*options.filter, how).await;
    subscription.map_err(|error| Failure::failed(chain(&error)))
}

/// What came of all events since the beginning.
#[derive(Clone, Copy, Debug, Default)]
struct Total {
    received: u64,
    lagged: u64,
    gap: u64,
    /// Some gaps are of unknown size.
    unknown: bool,
}

impl Total {
    /// Says how many events there were, unless all of them were printed.
    fn tell(self) {
        let Self {
            received,
            lagged,
            gap,
            unknown,
        } = self;
        let (sum, more) = (received + lagged + gap, if unknown { "+" } else { "" });
        if unknown || sum > received {
            tell(format_args!(
                "total {sum}{more}: received {received}, lagged {lagged}, gap {gap}{more}"
            ));
        }
    }
}

struct Printer<W: Write> {
    out: W,
    style: Style,
    /// Events still to be printed, if there is an end.
    left: Option<u64>,
    total: Total,
}

impl<W: Write> Printer<W> {
    /// Prints until there were enough, or until `seen_enough` is ready, which is polled whenever there is nothing to print.
    async fn print(
        mut self,
        subscription: &mut Subscription,
        seen_enough: impl Future<Output = ()>,
    ) -> Result<Total, Failure> {
        let mut seen_enough = pin!(seen_enough);
        while self.left != Some(0) {
            let delivery = match future::poll_once(subscription.next()).await {
                Some(delivery) => delivery,
                None => {
                    // A slow stream is seen at once, a fast one is written in large pieces.
                    self.out.flush()?;
                    let next = async { Some(subscription.next().await) };
                    let enough = async {
                        seen_enough.as_mut().await;
                        None
                    };
                    match future::or(next, enough).await {
                        Some(delivery) => delivery,
                        None => return Ok(self.total),
                    }
                }
            };
            match delivery {
                Some(delivery) => self.take(&delivery)?,
                None => return Err(self.ended(subscription)),
            }
        }
        self.out.flush()?;
        Ok(self.total)
    }

    fn take(&mut self, delivery: &Delivery) -> io::Result<()> {
        match delivery {
            Delivery::Event(event) => {
                self.left = self.left.map(|left| left - 1);
                self.total.received += 1;
                return self.style.write_event(&mut self.out, event);
            }
            Delivery::Lagged(missed) => {
                self.total.lagged += missed;
                tell(format_args!("lagged {missed}"));
            }
            Delivery::Gap(Some(missed)) => {
                self.total.gap += missed;
                tell(format_args!("gap {missed}"));
            }
            Delivery::Gap(None) => {
                self.total.unknown = true;
                tell("gap unknown");
            }
            Delivery::Resumed => tell("resumed"),
            Delivery::Replayed { from, to } => tell(format_args!("replayed {from} {to}")),
            Delivery::Live => tell("live"),
            _ => {}
        }
        Ok(())
    }

    fn ended(&mut self, subscription: &Subscription) -> Failure {
        if let Err(error) = self.out.flush() {
            return error.into();
        }
        let reason = subscription.end_reason();
        Failure::failed(reason.map_or_else(|| "no more events".into(), |reason| chain(&reason)))
    }
}

/// Says on standard error when the connection is lost and when it is there again; never ready.
async fn tell_states(client: &Client) {
    let mut states = client.states();
    let mut known = client.connection();
    let mut away = false;
    while let Some(state) = states.next().await {
        match state {
            State::Waiting { outage, .. } => {
                away = true;
                tell(format_args!("closed: {}", connect::describe(&outage)));
            }
            State::Ended(end) => tell(format_args!("closed: {}", connect::describe_end(&end))),
            State::Online { connection } if away || known != Some(connection) => {
                (known, away) = (Some(connection), false);
                tell("reconnected");
            }
            _ => {}
        }
    }
    // The subscription says why it has ended.
    future::pending().await
}
