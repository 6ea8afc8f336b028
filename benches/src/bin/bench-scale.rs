//! One hub with very many subscribers, without sockets: what a delivery and a connection cost, as there are more of them.
//!
//! ```text
//! bench-scale [--subscribers 1000,10000,100000,1000000] [--picture FILE.svg]
//! ```
//!
//! Everything is real but the network and the clock: handshakes, registry, rules, fan-out, lanes, the pump. Each subscriber hears one
//! topic with all others and one of its own. Each number of subscribers has a process of its own, so that what one leaves behind
//! is not counted with the next.

use std::error::Error;
use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use lapwing::hub::Rule;
use lapwing::{Hub, Limits};
use lapwing_benches::hub::{held_by, spent_by};
use lapwing_benches::sink::Sinks;
use lapwing_memory::Virtual;
use lexopt::ValueExt as _;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const TOPIC: &str = "all";

const PAYLOAD: [u8; 128] = [7; 128];

/// Events that are published before anybody writes.
const BURST: u64 = 16;

/// Deliveries that are measured, or one burst where that is more.
const DELIVERIES: u64 = 4_000_000;

/// Events to one subscriber each.
const SINGLE: u64 = 20_000;

/// What was measured for one number of subscribers.
struct Figures {
    subscribers: u64,
    /// Of memory, resident.
    bytes: f64,
    /// Of processor time, to let one in.
    micros_to_enter: f64,
    /// Of a delivery of an event that all hear.
    nanos: f64,
    /// Of an event that one hears.
    nanos_alone: f64,
}

fn main() -> Outcome {
    let (mut subscribers, mut picture, mut one) =
        (String::from("1000,10000,100000,1000000"), None, None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(option) = parser.next()? {
        match option {
            lexopt::Arg::Long("subscribers") => subscribers = parser.value()?.string()?,
            lexopt::Arg::Long("picture") => picture = Some(parser.value()?),
            lexopt::Arg::Long("one") => one = Some(parser.value()?.parse()?),
            other => return Err(other.unexpected().into()),
        }
    }
    if let Some(subscribers) = one {
        return measure(subscribers);
    }
    println!(
        "| subscribers | bytes each | µs to let one in | ns of a delivery to all | ns of an event to one |"
    );
    println!("|---:|---:|---:|---:|---:|");
    let mut all = Vec::new();
    for subscribers in subscribers.split(',') {
        let figures = in_a_process(subscribers)?;
        println!(
            "| {} | {:.0} | {:.2} | {:.0} | {:.0} |",
            figures.subscribers,
            figures.bytes,
            figures.micros_to_enter,
            figures.nanos,
            figures.nanos_alone
        );
        all.push(figures);
    }
    if let Some(picture) = picture {
        std::fs::write(picture, draw(&all))?;
    }
    Ok(())
}

fn in_a_process(subscribers: &str) -> Outcome<Figures> {
    let out = Command::new(std::env::current_exe()?)
        .args(["--one", subscribers])
        .output()?;
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).into());
    }
    let text = String::from_utf8(out.stdout)?;
    let figures: Vec<f64> = text
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let [bytes, micros_to_enter, nanos, nanos_alone] = figures[..] else {
        return Err("figures are missing".into());
    };
    Ok(Figures {
        subscribers: subscribers.parse()?,
        bytes,
        micros_to_enter,
        nanos,
        nanos_alone,
    })
}

fn measure(subscribers: u64) -> Outcome {
    let me = std::process::id();
    let sim = Virtual::new(7);
    let limits = Limits {
        connections_max: u32::try_from(subscribers)?,
        handshakes_max: u32::try_from(subscribers)?,
        hub_bytes_max: 1 << 34,
        ..Limits::default()
    };
    let hub = Hub::builder(sim.clone())
        .limits(limits)
        .topic("**", Rule::open())
        .build()?;
    let sinks = Sinks::with_own(usize::try_from(subscribers)?, TOPIC, own);
    let (before, spent) = (held_by(me)?, spent_by(me)?);
    sim.spawn_named("hub", hub.serve(sinks));
    sim.run(sim.settle())?;
    let (after, entered) = (held_by(me)?, spent_by(me)? - spent);
    let here = hub.counters().subscriptions;
    if here != 2 * subscribers {
        return Err(format!("{here} subscriptions instead of {}", 2 * subscribers).into());
    }
    let events = (DELIVERIES / subscribers)
        .next_multiple_of(BURST)
        .max(BURST);
    let publish = |events: u64, topic: &dyn Fn(u64) -> String, each: u64| {
        let written = hub.counters().frames_out;
        let spent = spent_by(me)?;
        for number in 0..events {
            let published = hub.publish(&topic(number), PAYLOAD)?;
            if u64::from(published.queued) != each {
                return Err(format!("{published:?} instead of {each}").into());
            }
            if number % BURST == BURST - 1 {
                sim.run(sim.settle())?;
            }
        }
        sim.run(sim.settle())?;
        let spent = spent_by(me)? - spent;
        let written = hub.counters().frames_out - written;
        match written == events * each {
            true => Outcome::Ok(spent),
            false => {
                Err(format!("{written} events were written instead of {}", events * each).into())
            }
        }
    };
    publish(BURST, &|_| TOPIC.into(), subscribers)?;
    let all = publish(events, &|_| TOPIC.into(), subscribers)?;
    // Far from each other, so that none is remembered, but of a thousand: so many topics the hub knows by heart.
    let alone = publish(
        SINGLE,
        &|number| own((number * 7_919 % subscribers) as usize),
        1,
    )?;
    let resident = after.resident_bytes.saturating_sub(before.resident_bytes);
    println!(
        "{} {} {} {}",
        resident as f64 / subscribers as f64,
        nanos(entered) / 1e3 / subscribers as f64,
        nanos(all) / (events * subscribers) as f64,
        nanos(alone) / SINGLE as f64,
    );
    Ok(())
}

fn own(number: usize) -> String {
    format!("own/{number}")
}

fn nanos(time: Duration) -> f64 {
    time.as_nanos() as f64
}

/// A line of the picture: its name, its colour, and what it shows.
type Series = (&'static str, &'static str, fn(&Figures) -> f64);

/// The cost of a delivery and the bytes of a connection over the number of subscribers, relative to the first.
fn draw(all: &[Figures]) -> String {
    let (width, height, left) = (640.0, 320.0, 60.0);
    let series: [Series; 3] = [
        ("a delivery to all", "#1f77b4", |figures| figures.nanos),
        ("an event to one", "#2ca02c", |figures| figures.nanos_alone),
        ("bytes of a connection", "#d62728", |figures| figures.bytes),
    ];
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' font-family='sans-serif' font-size='12'>\n\
         <rect width='100%' height='100%' fill='white'/>\n"
    );
    let Some(first) = all.first() else {
        return svg + "</svg>\n";
    };
    let across =
        |index: usize| left + (width - 2.0 * left) * index as f64 / (all.len() - 1).max(1) as f64;
    let ratios = series
        .iter()
        .flat_map(|(_, _, figure)| all.iter().map(|one| figure(one) / figure(first)));
    let top = ratios.fold(2.0, f64::max).ceil();
    let up = |ratio: f64| height - 40.0 - (height - 100.0) * ratio / top;
    for ratio in (0..=top as u32).step_by(1 + top as usize / 10) {
        let y = up(ratio.into());
        let _ = writeln!(
            svg,
            "<line x1='{left}' x2='{}' y1='{y:.1}' y2='{y:.1}' stroke='#ddd'/><text x='20' y='{y:.1}'>{ratio} ×</text>",
            width - left
        );
    }
    for (index, figures) in all.iter().enumerate() {
        let _ = writeln!(
            svg,
            "<text x='{:.1}' y='{}' text-anchor='middle'>{}</text>",
            across(index),
            height - 20.0,
            figures.subscribers
        );
    }
    for (line, (name, colour, figure)) in series.iter().enumerate() {
        let points: Vec<_> = all
            .iter()
            .enumerate()
            .map(|(index, figures)| {
                format!(
                    "{:.1},{:.1}",
                    across(index),
                    up(figure(figures) / figure(first))
                )
            })
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points='{}' fill='none' stroke='{colour}' stroke-width='2'/>",
            points.join(" ")
        );
        let _ = writeln!(
            svg,
            "<text x='{left}' y='{}' fill='{colour}'>{name}, {:.0} at {} subscribers</text>",
            16.0 + 15.0 * line as f64,
            figure(first),
            first.subscribers
        );
    }
    svg + "</svg>\n"
}
