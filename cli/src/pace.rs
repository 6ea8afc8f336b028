//! Keeping to a rate, steadily.

use std::time::{Duration, Instant};

/// How much of a delay is made up for afterwards. What is later than this is late for good: a pause never ends in a burst.
const CATCH_UP: Duration = Duration::from_millis(50);

/// Says when the next event of a steady stream is due.
#[derive(Debug)]
pub(crate) struct Pace {
    per_second: f64,
    start: Instant,
    /// Events since the start. Times are computed from it, not added up: rounding never becomes a drift.
    count: u64,
}

impl Pace {
    pub(crate) fn new(per_second: f64, now: Instant) -> Self {
        Self {
            per_second,
            start: now,
            count: 0,
        }
    }

    /// When the next event may leave; counts it.
    pub(crate) fn next(&mut self, now: Instant) -> Instant {
        let mut due = self.start + Duration::from_secs_f64(self.count as f64 / self.per_second);
        if due + CATCH_UP < now {
            due = now;
            (self.start, self.count) = (now, 0);
        }
        self.count += 1;
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_evenly_spaced_and_never_drift() {
        let start = Instant::now();
        let mut pace = Pace::new(3.0, start);
        let mut now = start;
        for _ in 0..3_000_000 {
            now = pace.next(now).max(now);
        }
        let due = pace.next(now);
        assert_eq!((due - start).as_secs_f64().round(), 1_000_000.0);
        let last = due - now;
        assert!((last.as_secs_f64() - 1.0 / 3.0).abs() < 1e-6, "{last:?}");
    }

    #[test]
    fn a_small_delay_is_made_up_for() {
        let start = Instant::now();
        let mut pace = Pace::new(1_000.0, start);
        let late = start + CATCH_UP;
        let at_once = (0..1_000).take_while(|_| pace.next(late) <= late).count();
        assert_eq!(at_once, 51);
    }

    #[test]
    fn a_pause_is_not() {
        let start = Instant::now();
        let mut pace = Pace::new(1_000.0, start);
        let late = start + Duration::from_secs(60);
        assert_eq!(pace.next(late), late);
        assert_eq!(pace.next(late), late + Duration::from_millis(1));
    }
}
