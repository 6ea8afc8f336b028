//! `lapwing pub`: publishes what it is given, and waits until the hub has it.

use std::time::{Duration, Instant};

use lapwing::Topic;
use lapwing::runtime::Smol;
use lexopt::prelude::*;
use smol::Timer;

use crate::connect::{self, Connect, Language};
use crate::failure::Failure;
use crate::options;
use crate::pace::Pace;
use crate::payload::Form;
use crate::source::Source;
use crate::tell;
use crate::url::Url;
use crate::window::{Outcome, Window};

pub(crate) const USAGE: &str = "\
lapwing pub URL TOPIC [PAYLOAD] [--rate N] [--json] [--hex] [--promise SECS] [--protocol NAME]
  Publishes PAYLOAD, or each line of standard input, as text (as bytes when it is no UTF-8), and ends when the hub has
  confirmed everything. After a broken connection it publishes again what was not confirmed. On
  standard error, at the end: `nobody N`: N events found no subscriber; `dropped N`: subscribers that are slow miss N events.
  --rate N         at most N events a second, evenly; otherwise as fast as the hub takes them
  --json           payloads are JSON values: what a page gets as `data`
  --hex            payloads are bytes, given as hexadecimal digits
";

/// The shortest sleep: a timer for each of very many events would cost more than the events.
const SLEEP_MIN: Duration = Duration::from_millis(1);

/// What to publish.
struct Options {
    connect: Connect,
    topic: String,
    payload: Option<String>,
    rate: Option<f64>,
    form: Form,
}

impl Options {
    fn parse(mut parser: lexopt::Parser) -> Result<Self, Failure> {
        let (mut url, mut promise) = (None, connect::PROMISE);
        let mut language = Language::default();
        let (mut topic, mut payload) = (None, None);
        let (mut rate, mut form) = (None, Form::default());
        while let Some(argument) = parser.next()? {
            match argument {
                Value(text) if url.is_none() => url = Some(Url::parse(&text.string()?)?),
                Value(name) if topic.is_none() => topic = Some(name.string()?),
                Value(text) if payload.is_none() => payload = Some(text.string()?),
                Long("rate") => rate = Some(options::rate(&parser.value()?)?),
                Long("promise") => promise = options::seconds(&parser.value()?)?,
                Long("protocol") => language = options::language(&parser.value()?)?,
                Long("json") => form = Form::Json,
                Long("hex") => form = Form::Hex,
                other => return Err(other.unexpected().into()),
            }
        }
        let url = options::required(url, "URL")?;
        let topic = options::required(topic, "TOPIC")?;
        Topic::new(&topic).map_err(Failure::usage)?;
        Ok(Self {
            connect: Connect {
                url,
                promise,
                language,
            },
            topic,
            payload,
            rate,
            form,
        })
    }
}

pub(crate) fn run(parser: lexopt::Parser) -> Result<(), Failure> {
    let options = Options::parse(parser)?;
    let smol = Smol::new();
    smol.block_on(publish(&smol, options))
}

async fn publish(smol: &Smol, options: Options) -> Result<(), Failure> {
    let topic = Topic::new(&options.topic).map_err(Failure::usage)?;
    let client = options.connect.client(smol).await?;
    let source = match options.payload {
        Some(payload) => Source::One(Some(payload.into_bytes())),
        None => Source::stdin(),
    };
    let pace = options.rate.map(|rate| Pace::new(rate, Instant::now()));
    let published = publish_all(Window::new(&client, topic), source, pace, options.form).await;
    // Sends what came before an event that was refused, too.
    client.close().await;
    tell_outcome(published?);
    Ok(())
}

/// Says what did not go as somebody might have hoped.
fn tell_outcome(outcome: Outcome) {
    let Outcome { nobody, dropped } = outcome;
    for (what, count) in [("nobody", nobody), ("dropped", dropped)] {
        if count > 0 {
            tell(format_args!("{what} {count}"));
        }
    }
}

async fn publish_all(
    mut window: Window<'_>,
    mut source: Source,
    mut pace: Option<Pace>,
    form: Form,
) -> Result<Outcome, Failure> {
    let mut number = 0_u64;
    while let Some(payload) = window.beside(source.next()).await?? {
        number += 1;
        let payload = form.read(payload);
        let payload =
            payload.map_err(|wrong| Failure::failed(format_args!("event {number}: {wrong}")))?;
        if let Some(pace) = &mut pace {
            window.beside(wait_for(pace)).await?;
        }
        window.publish(payload).await?;
    }
    window.finish().await
}

/// Ready when the next event may leave.
async fn wait_for(pace: &mut Pace) {
    let now = Instant::now();
    let due = pace.next(now);
    if due > now {
        Timer::at(due.max(now + SLEEP_MIN)).await;
    }
}
