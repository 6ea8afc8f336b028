//! What a sensor says.

use std::time::Instant;

/// How many samples of the sensor's trace go with each reading: enough to fill the buffers of a slow reader while one watches.
const TRACE_BYTES: usize = 8_000;

/// One reading of a simulated sensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reading {
    /// When it was published, in microseconds since the demo began.
    pub(super) sent: u64,
    pub(super) celsius: f64,
}

impl Reading {
    /// What sensor `number` measures now: it drifts around a temperature of its own.
    pub(super) fn now(number: u32, start: Instant) -> Self {
        let since = start.elapsed();
        let phase = since.as_secs_f64() / 3.0 + f64::from(number);
        Self {
            sent: since.as_micros() as u64,
            celsius: 19.0 + f64::from(number % 5) + phase.sin(),
        }
    }

    /// Readable with `lapwing sub`: the time, the temperature, and the trace.
    pub(super) fn to_text(self, trace: &str) -> String {
        format!("{} {:.2} {trace}", self.sent, self.celsius)
    }

    pub(super) fn from_text(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        Some(Self {
            sent: words.next()?.parse().ok()?,
            celsius: words.next()?.parse().ok()?,
        })
    }
}

/// Samples of the sensor between two readings, a digit each.
pub(super) fn trace() -> String {
    "4567899876543210012"
        .chars()
        .cycle()
        .take(TRACE_BYTES)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_comes_back() {
        let reading = Reading {
            sent: 1_234_567,
            celsius: -3.25,
        };
        assert_eq!(
            Reading::from_text(&reading.to_text(&trace())),
            Some(reading)
        );
        assert_eq!(Reading::from_text("hello"), None);
    }
}
