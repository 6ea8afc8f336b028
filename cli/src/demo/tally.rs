//! What the readers of the demo have seen.

use std::collections::BTreeMap;

use super::latencies::Latencies;
use super::reading::Reading;

/// What was seen since the beginning, or since the last look.
#[derive(Clone, Default)]
pub(super) struct Tally {
    pub(super) sensors: BTreeMap<String, Seen>,
    /// Of the prompt reader.
    pub(super) events: u64,
    pub(super) missed: u64,
    pub(super) latencies: Latencies,
    /// Of the slow one.
    pub(super) slow_events: u64,
    pub(super) slow_missed: u64,
}

/// What one sensor said.
#[derive(Clone, Default)]
pub(super) struct Seen {
    pub(super) events: u64,
    /// The newest temperature.
    pub(super) celsius: f64,
}

impl Tally {
    pub(super) fn see(&mut self, topic: &str, reading: Reading, now: u64) {
        self.events += 1;
        self.latencies.add(now.saturating_sub(reading.sent));
        // Topics come from the demo's own sensors, so there are few.
        if !self.sensors.contains_key(topic) {
            self.sensors.insert(topic.into(), Seen::default());
        }
        if let Some(seen) = self.sensors.get_mut(topic) {
            seen.events += 1;
            seen.celsius = reading.celsius;
        }
    }

    /// Adds what was seen later.
    pub(super) fn add(&mut self, later: &Self) {
        for (topic, seen) in &later.sensors {
            let sum = self.sensors.entry(topic.clone()).or_default();
            sum.events += seen.events;
            sum.celsius = seen.celsius;
        }
        self.events += later.events;
        self.missed += later.missed;
        self.latencies.add_all(&later.latencies);
        self.slow_events += later.slow_events;
        self.slow_missed += later.slow_missed;
    }
}
