//! How long events took, as a histogram of fixed size.

/// Sixteen steps for each doubling: exact to a sixteenth.
const STEP_BITS: u32 = 4;
const STEPS: u32 = 1 << STEP_BITS;
const BUCKETS: usize = ((u32::BITS - STEP_BITS + 1) * STEPS) as usize;

/// Times in microseconds, up to an hour or so.
#[derive(Clone)]
pub(super) struct Latencies {
    counts: [u64; BUCKETS],
}

impl Default for Latencies {
    fn default() -> Self {
        Self {
            counts: [0; BUCKETS],
        }
    }
}

impl Latencies {
    pub(super) fn add(&mut self, micros: u64) {
        let micros = u32::try_from(micros).unwrap_or(u32::MAX);
        self.counts[bucket(micros)] += 1;
    }

    pub(super) fn add_all(&mut self, others: &Self) {
        for (count, other) in self.counts.iter_mut().zip(others.counts) {
            *count += other;
        }
    }

    /// The time in microseconds that `percent` of all took at most; `None` when there was nothing.
    pub(super) fn percentile(&self, percent: u64) -> Option<u32> {
        let all: u64 = self.counts.iter().sum();
        let wanted = (all * percent).div_ceil(100);
        let mut seen = 0;
        let reached = self.counts.iter().position(|count| {
            seen += count;
            seen > 0 && seen >= wanted
        });
        reached.map(longest)
    }
}

fn bucket(micros: u32) -> usize {
    let shift = micros
        .checked_ilog2()
        .unwrap_or(0)
        .saturating_sub(STEP_BITS);
    (shift * STEPS + (micros >> shift)) as usize
}

/// The longest time in a bucket.
fn longest(bucket: usize) -> u32 {
    let bucket = bucket as u32;
    let shift = (bucket / STEPS).saturating_sub(1);
    let next = u64::from(bucket - shift * STEPS + 1) << shift;
    u32::try_from(next - 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_in_its_bucket() {
        let powers = (0..u32::BITS).map(|bit| 1 << bit);
        for micros in powers
            .flat_map(|power: u32| [power - 1, power, power + power / 3])
            .chain([u32::MAX])
        {
            let bucket = bucket(micros);
            assert!(longest(bucket) >= micros, "{micros}");
            assert!(bucket == 0 || longest(bucket - 1) < micros, "{micros}");
            let error = longest(bucket) - micros;
            assert!(
                error <= micros / STEPS,
                "{micros} is taken for {}",
                longest(bucket)
            );
        }
    }

    #[test]
    fn percentiles_are_those_of_all_that_was_added() {
        let (mut some, mut others) = (Latencies::default(), Latencies::default());
        assert_eq!(some.percentile(50), None);
        (1..=9).for_each(|micros| some.add(micros));
        others.add(u64::MAX);
        some.add_all(&others);
        assert_eq!(
            [50, 90, 99].map(|percent| some.percentile(percent)),
            [Some(5), Some(9), Some(u32::MAX)]
        );
    }
}
