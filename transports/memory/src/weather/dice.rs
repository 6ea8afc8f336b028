//! Draws that are the same on every machine: no floating point, whose last bits differ.

use core::time::Duration;

use lapwing::runtime::Runtime;

use crate::path::Path;

/// One doubling, in the steps in which an exponent is counted.
const DOUBLING: u32 = 1_024;

/// Chance of its own, so that the weather does not depend on who else draws meanwhile.
pub(super) struct Dice(fastrand::Rng);

impl Dice {
    pub(super) fn new(runtime: &dyn Runtime) -> Self {
        let mut seed = [0; 8];
        runtime.random(&mut seed);
        Self(fastrand::Rng::with_seed(u64::from_le_bytes(seed)))
    }

    pub(super) fn one_of<'a, T>(&mut self, things: &'a [T]) -> Option<&'a T> {
        let most = things.len() as u64;
        things.get(self.0.u64(..most.max(1)) as usize)
    }

    /// Up to twice `mean`, and never nothing: what happens again and again must let time pass.
    pub(super) fn around(&mut self, mean: Duration) -> Duration {
        self.up_to(mean.saturating_mul(2))
            .max(Duration::from_millis(1))
    }

    fn up_to(&mut self, most: Duration) -> Duration {
        let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.0.u64(..=micros))
    }

    /// `median` times a power of two whose exponent is normal, with a standard deviation of one.
    pub(super) fn log_normal(&mut self, median: Duration) -> Duration {
        // Twelve dice have a variance of one; they end at six times that.
        let sum: u32 = (0..12).map(|_| self.0.u32(..=DOUBLING)).sum();
        power_of_two(median, sum) / 64
    }

    /// A client's path, or one direction of it.
    pub(super) fn path<'a>(&mut self, client: &'a str) -> Path<'a> {
        match self.0.u8(..3) {
            0 => client.into(),
            1 => Path::to_hub(client),
            _ => Path::to_client(client),
        }
    }

    /// Messages or bytes until something happens: few as often as many.
    pub(super) fn units(&mut self) -> u64 {
        let most = 1 << self.0.u32(1..=12);
        self.0.u64(1..=most)
    }

    /// Bytes at a time, few as often as many, and the pause between them: at the slowest 50 bytes a second.
    pub(super) fn trickle(&mut self) -> (usize, Duration) {
        let bytes = 1 << self.0.u32(..=10);
        (bytes, self.up_to(Duration::from_millis(20)))
    }
}

/// `duration` times two to the power of so many steps; straight between whole doublings.
fn power_of_two(duration: Duration, steps: u32) -> Duration {
    let (whole, part) = (steps / DOUBLING, steps % DOUBLING);
    let doubled = duration.saturating_mul(1 << whole);
    doubled + doubled / DOUBLING * part
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dice() -> Dice {
        Dice(fastrand::Rng::with_seed(7))
    }

    #[test]
    fn delays_are_around_their_median() {
        let (mut dice, median) = (dice(), Duration::from_millis(64));
        let mut delays: Vec<_> = (0..10_000).map(|_| dice.log_normal(median)).collect();
        delays.sort_unstable();
        let share = |from: Duration, to: Duration| {
            let within = |delay: &&Duration| (from..to).contains(*delay);
            delays.iter().filter(within).count()
        };
        assert!((4_800..5_200).contains(&share(Duration::ZERO, median)));
        assert!((6_500..7_200).contains(&share(median / 2, median * 2)));
        assert!(delays[0] >= median / 64 && delays[9_999] <= median * 64);
    }

    #[test]
    fn powers_grow_evenly() {
        let second = Duration::from_secs(1);
        assert_eq!(power_of_two(second, 0), second);
        assert_eq!(power_of_two(second, DOUBLING * 3), second * 8);
        assert_eq!(power_of_two(second, DOUBLING / 2).as_millis(), 1_499);
    }

    #[test]
    fn something_always_lasts() {
        let mut dice = dice();
        assert!((0..100).all(|_| dice.around(Duration::ZERO) > Duration::ZERO));
        let mean = Duration::from_secs(1);
        assert!((0..1_000).all(|_| dice.around(mean) <= 2 * mean));
    }
}
