//! A budget that refills steadily, in eight bytes.

use crate::limits::Rate;
use crate::time::Instant;

/// How much of a [`Rate`] is used: the instant at which all of it would be free again.
///
/// The generic cell rate algorithm (ITU-T I.371, annex A), which needs no counter and no timer.
#[derive(Debug, Default)]
pub(crate) struct Bucket(Instant);

impl Bucket {
    /// Uses one; false when there was none left.
    pub(crate) fn spend(&mut self, now: Instant, rate: Rate) -> bool {
        let allowed = self.resumes(now, rate).is_none();
        self.0 = self.0.max(now) + interval(rate);
        allowed
    }

    /// When there is one again, if there is none now.
    pub(crate) fn resumes(&self, now: Instant, rate: Rate) -> Option<Instant> {
        if self.0 <= now {
            return None;
        }
        let full = interval(rate) * rate.burst.saturating_sub(1);
        let at = self.0 - full;
        (at > now).then_some(at)
    }
}

fn interval(rate: Rate) -> core::time::Duration {
    core::time::Duration::from_secs(1) / rate.per_second.max(1)
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    const RATE: Rate = Rate {
        per_second: 100,
        burst: 400,
    };

    #[test]
    fn a_burst_passes_and_the_next_one_waits() {
        let now = Instant::from_micros(1_000_000_000);
        let mut bucket = Bucket::default();
        for spent in 0..400 {
            assert!(bucket.spend(now, RATE), "{spent}");
        }
        assert_eq!(
            bucket.resumes(now, RATE),
            Some(now + Duration::from_millis(10))
        );
        assert!(!bucket.spend(now, RATE));
    }

    #[test]
    fn it_refills_at_its_rate() {
        let mut now = Instant::from_micros(1_000_000_000);
        let mut bucket = Bucket::default();
        (0..400).for_each(|_| assert!(bucket.spend(now, RATE)));
        for _ in 0..1_000 {
            now = now + Duration::from_millis(10);
            assert!(bucket.spend(now, RATE));
        }
        assert!(!bucket.spend(now, RATE));
    }
}
