//! Times, and how long most of them were.

use std::time::Duration;

#[derive(Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The time that this share of all took at most; nothing when there was none.
    pub(crate) fn quantile(&mut self, share: f64) -> Duration {
        let last = self.0.len().saturating_sub(1);
        self.0.sort_unstable();
        let index = (last as f64 * share) as usize;
        self.0.get(index).copied().unwrap_or_default()
    }

    pub(crate) fn median(&mut self) -> Duration {
        self.quantile(0.5)
    }

    pub(crate) fn p99(&mut self) -> Duration {
        self.quantile(0.99)
    }
}

/// The median of some times: what remains when the machine was busy once.
pub(crate) fn median(times: impl IntoIterator<Item = Duration>) -> Duration {
    Latencies(times.into_iter().collect()).median()
}
