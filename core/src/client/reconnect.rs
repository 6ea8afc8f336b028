//! When to try again.

use core::time::Duration;

use crate::runtime::Runtime;
use crate::time::Instant;

/// How long a client waits before it tries again: a random time that grows with each attempt that failed.
///
/// Before attempt `n` it waits between nothing and `first` doubled `n` times, `max` at most. The randomness is all of it ("full
/// jitter"), so that a thousand clients of one hub return spread out. A connection that was online for as long as `max`
/// starts the count again.
///
/// A hub that ends a connection may say when to return: then the first attempt is at that time and not later, as the hub has spread its
/// clients out itself. Only who was sent away before, and was not online in between or may return in less than `first`, waits a random time more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The longest wait before the first attempt that follows a failure.
    pub first: Duration,
    /// The longest wait of all.
    pub max: Duration,
}

impl Default for Backoff {
    /// 250 ms to 30 s: a hub that restarts is found again at once, one that is gone costs two attempts a minute.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(250),
            max: Duration::from_secs(30),
        }
    }
}

impl Backoff {
    /// The longest wait after `failures` attempts in a row.
    fn ceiling(&self, failures: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        self.first.saturating_mul(doubled).min(self.max)
    }

    /// A wait of up to the ceiling, as `random` of all 64-bit numbers decides.
    fn delay(&self, failures: u32, random: u64) -> Duration {
        let ceiling = self.ceiling(failures).as_micros().min(u128::from(u64::MAX));
        Duration::from_micros(((ceiling * u128::from(random)) >> 64) as u64)
    }
}

/// Failures in a row, and what follows from them.
#[derive(Debug)]
pub(super) struct Reconnect {
    backoff: Backoff,
    failures: u32,
}

impl Reconnect {
    pub(super) fn new(backoff: Backoff) -> Self {
        Self {
            backoff,
            failures: 0,
        }
    }

    /// When to try again after a connection that was online since then, or never was.
    pub(super) fn next(
        &mut self,
        online_since: Option<Instant>,
        at_least: Duration,
        runtime: &dyn Runtime,
    ) -> Instant {
        let now = runtime.now();
        if online_since.is_some_and(|since| now.since(since) >= self.backoff.max) {
            self.failures = 0;
        }
        // The hub chose the time. Who is sent away again and again adds one of its own, unless it was online and the time is not very short.
        let chosen = match self.failures {
            0 => at_least > Duration::ZERO,
            _ => at_least >= self.backoff.first && online_since.is_some(),
        };
        self.failures = self.failures.saturating_add(1);
        let delay = match chosen {
            true => Duration::ZERO,
            false => self.delay(runtime),
        };
        now + at_least + delay
    }

    fn delay(&self, runtime: &dyn Runtime) -> Duration {
        let mut random = [0; 8];
        runtime.random(&mut random);
        self.backoff
            .delay(self.failures, u64::from_le_bytes(random))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        first: Duration::from_millis(100),
        max: Duration::from_secs(1),
    };

    #[test]
    fn the_ceiling_doubles_up_to_its_maximum() {
        let ceilings =
            [1, 2, 3, 4, 5, 6, u32::MAX].map(|failures| BACKOFF.ceiling(failures).as_millis());
        assert_eq!(ceilings, [100, 200, 400, 800, 1_000, 1_000, 1_000]);
    }

    #[test]
    fn the_delay_is_anything_between_nothing_and_the_ceiling() {
        assert_eq!(BACKOFF.delay(2, 0), Duration::ZERO);
        assert_eq!(BACKOFF.delay(2, 1 << 63), Duration::from_millis(100));
        let longest = BACKOFF.delay(2, u64::MAX);
        assert!(longest < Duration::from_millis(200));
        assert!(longest > Duration::from_millis(199));
    }

    /// A runtime of which only the clock and the dice are asked.
    struct Still;

    impl Runtime for Still {
        fn now(&self) -> Instant {
            Instant::default()
        }

        fn timer(&self) -> alloc::boxed::Box<dyn crate::runtime::Timer> {
            unreachable!("nobody waits")
        }

        fn spawn(&self, _: crate::runtime::BoxFuture<'static, ()>) {}

        fn random(&self, bytes: &mut [u8]) {
            bytes.fill(0xff);
        }
    }

    #[test]
    fn the_hub_chooses_the_time_unless_it_sends_away_again_and_again() {
        let mut reconnect = Reconnect::new(BACKOFF);
        let mut wait = |at_least: u64| {
            let online = Some(Instant::default());
            let next = reconnect.next(online, Duration::from_millis(at_least), &Still);
            next.since(Instant::default()).as_millis()
        };
        assert_eq!([wait(1), wait(500), wait(100)], [1, 500, 100]);
        assert!(wait(1) >= 800, "the fourth time in a row");
    }

    #[test]
    fn the_longest_durations_do_not_overflow() {
        let forever = Backoff {
            first: Duration::MAX,
            max: Duration::MAX,
        };
        assert!(forever.delay(u32::MAX, u64::MAX) > Duration::from_secs(1));
    }
}
