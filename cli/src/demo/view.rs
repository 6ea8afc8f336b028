//! The demo as text: in place on a terminal, a line a second elsewhere.

use std::fmt::{self, Display, Write as _};
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use lapwing::hub::Counters;

use super::latencies::Latencies;
use super::peers::Urls;
use super::tally::Tally;

/// Sensors that have a line of their own.
const SENSORS_SHOWN: usize = 10;

const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
const CLEAR_TO_LINE_END: &str = "\x1b[K";

/// What there is to see at one moment.
pub(super) struct Scene<'a> {
    pub(super) urls: &'a Urls,
    pub(super) elapsed: Duration,
    /// What was seen in the last `period`.
    pub(super) recent: &'a Tally,
    pub(super) period: Duration,
    /// What was seen from the beginning on.
    pub(super) total: &'a Tally,
    pub(super) counters: &'a Counters,
}

/// Standard output.
pub(super) enum View {
    Terminal {
        /// Lines on the screen that the next scene covers.
        lines: usize,
    },
    Plain,
}

impl View {
    pub(super) fn new() -> Self {
        match io::stdout().is_terminal() {
            true => Self::Terminal { lines: 0 },
            false => Self::Plain,
        }
    }

    pub(super) fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal { .. })
    }

    /// How long a scene stays.
    pub(super) fn period(&self) -> Duration {
        match self {
            Self::Terminal { .. } => Duration::from_millis(500),
            Self::Plain => Duration::from_secs(1),
        }
    }

    pub(super) fn show(&mut self, scene: &Scene<'_>) -> io::Result<()> {
        match self {
            Self::Plain => write(&format!("{}\n", scene.line())),
            Self::Terminal { lines } => {
                let mut screen = String::from(HIDE_CURSOR);
                if *lines > 0 {
                    // Up to the first line of the scene before.
                    let _ = write!(screen, "\x1b[{lines}A");
                }
                let page = scene.page();
                for line in page.lines() {
                    screen.extend([line, CLEAR_TO_LINE_END, "\n"]);
                }
                *lines = page.lines().count();
                write(&screen)
            }
        }
    }

    /// Ends with a summary.
    pub(super) fn end(self, summary: &str) -> io::Result<()> {
        match self {
            Self::Terminal { .. } => write(&format!("{SHOW_CURSOR}\n{summary}")),
            Self::Plain => write(summary),
        }
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

impl Scene<'_> {
    fn rate(&self, events: u64) -> u64 {
        (events as f64 / self.period.as_secs_f64()).round() as u64
    }

    fn dropped(&self) -> u64 {
        self.counters.dropped.values().sum()
    }

    /// All in one line.
    fn line(&self) -> String {
        format!(
            "{:3} s  {} events/s  latency {}  slow reader (ws) {} events/s, lagged {} of {} dropped",
            self.elapsed.as_secs_f64().round(),
            Grouped(self.rate(self.recent.events)),
            Percentiles(&self.recent.latencies),
            Grouped(self.rate(self.recent.slow_events)),
            Grouped(self.total.slow_missed),
            Grouped(self.dropped()),
        )
    }

    /// A screen of lines.
    fn page(&self) -> String {
        let counters = self.counters;
        let mut page = format!(
            "lapwing demo, {:.0} s: a hub on {} and {} (Ctrl-C ends it)\n\n  {:<14}{:<5}{:>9}{:>12}\n",
            self.elapsed.as_secs_f64(),
            self.urls.tcp,
            self.urls.web_socket,
            "sensor",
            "over",
            "events/s",
            "°C",
        );
        for (topic, seen) in self.total.sensors.iter().take(SENSORS_SHOWN) {
            let recent = self
                .recent
                .sensors
                .get(topic)
                .map_or(0, |recent| recent.events);
            let rate = Grouped(self.rate(recent)).to_string();
            let _ = writeln!(
                page,
                "  {topic:<14}{:<5}{rate:>9}{:>12.2}",
                self.over(topic),
                seen.celsius
            );
        }
        if self.total.sensors.len() > SENSORS_SHOWN {
            let _ = writeln!(
                page,
                "  and {} more",
                self.total.sensors.len() - SENSORS_SHOWN
            );
        }
        let lines = [
            (
                "prompt reader",
                format!(
                    "over tcp, {} events/s, latency {}, lagged {}",
                    Grouped(self.rate(self.recent.events)),
                    Percentiles(&self.recent.latencies),
                    Grouped(self.total.missed),
                ),
            ),
            (
                "slow reader",
                format!(
                    "over ws, {} events/s, lagged {} as it was told so far",
                    Grouped(self.rate(self.recent.slow_events)),
                    Grouped(self.total.slow_missed),
                ),
            ),
            (
                "hub",
                format!(
                    "{} connections, {} events queued, {} dropped, {} KB waiting",
                    counters.connections,
                    Grouped(counters.queued),
                    Grouped(self.dropped()),
                    Grouped(counters.waiting_bytes / 1_000),
                ),
            ),
        ];
        page.push('\n');
        for (name, text) in lines {
            let _ = writeln!(page, "  {name:<14}{text}");
        }
        page
    }

    /// How the sensor with this topic publishes.
    fn over(&self, topic: &str) -> &'static str {
        let number = topic
            .rsplit('/')
            .next()
            .and_then(|digits| digits.parse().ok());
        let url = number.map(|number| self.urls.of_sensor(number));
        url.map_or("", |url| url.scheme().name())
    }

    /// What it came to.
    pub(super) fn summary(&self) -> String {
        format!(
            "{} events from {} sensors over tcp and ws in {:.1} s; latency {}; prompt reader (tcp) lagged {}\nslow reader (ws): {} events, lagged {} as told so far, {} dropped by the hub\n",
            Grouped(self.total.events),
            self.total.sensors.len(),
            self.elapsed.as_secs_f64(),
            Percentiles(&self.total.latencies),
            Grouped(self.total.missed),
            Grouped(self.total.slow_events),
            Grouped(self.total.slow_missed),
            Grouped(self.dropped()),
        )
    }
}

/// A number with a comma before each group of three digits.
struct Grouped(u64);

impl Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.char_indices() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                f.write_char(',')?;
            }
            f.write_char(digit)?;
        }
        Ok(())
    }
}

struct Percentiles<'a>(&'a Latencies);

impl Display for Percentiles<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.percentile(50), self.0.percentile(99)) {
            (Some(half), Some(most)) => {
                write!(
                    f,
                    "p50 {} µs p99 {} µs",
                    Grouped(half.into()),
                    Grouped(most.into())
                )
            }
            _ => f.write_str("unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let texts = [0, 999, 1_000, 1_234_567].map(|number| Grouped(number).to_string());
        assert_eq!(texts, ["0", "999", "1,000", "1,234,567"]);
    }
}
