//! Times for many to come back, spread evenly over a window.

/// The golden ratio, as a fraction of 2⁶⁴: its multiples never come close to each other.
const STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

/// Gives one place after the other in a window: however many are asked for, they stand evenly, in an order that looks
/// like none.
///
/// Nobody has to know beforehand how many there will be, and no two are as near to each other as two that are drawn.
#[derive(Debug, Default)]
pub(crate) struct Spread {
    /// The last one that was given; the first is drawn.
    place: Option<u64>,
}

impl Spread {
    /// The next place: at least 0, below 1.
    pub(crate) fn next(&mut self, random: impl FnOnce(&mut [u8])) -> f64 {
        let place = match self.place {
            Some(place) => place.wrapping_add(STRIDE),
            None => {
                let mut first = [0; 8];
                random(&mut first);
                u64::from_le_bytes(first)
            }
        };
        self.place = Some(place);
        // As many bits as a fraction has.
        (place >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    /// The most of `count` places that stand within one of `seconds` equal parts of the window, wherever that begins.
    fn most(first: u64, count: usize, seconds: f64) -> usize {
        let mut spread = Spread::default();
        let mut next = || spread.next(|bytes| bytes.copy_from_slice(&first.to_le_bytes()));
        let mut places: Vec<f64> = (0..count).map(|_| next()).collect();
        places.sort_by(f64::total_cmp);
        let within = |(index, start): (usize, &f64)| {
            places.partition_point(|place| *place < start + 1.0 / seconds) - index
        };
        places.iter().enumerate().map(within).max().unwrap_or(0)
    }

    #[test]
    fn no_second_has_more_than_twice_the_mean() {
        for first in [0, 1 << 40, u64::MAX / 3, u64::MAX] {
            for seconds in [9, 10, 60] {
                for count in (2 * seconds..300).chain([1_000, 9_999]) {
                    let most = most(first, count, seconds as f64);
                    assert!(
                        most * seconds <= 2 * count,
                        "{most} of {count} in {seconds} s"
                    );
                }
            }
        }
    }

    #[test]
    fn few_never_come_together() {
        for count in 2..10 {
            assert!(most(12_345, count, 10.0) <= 2);
            assert_eq!(most(12_345, count, 3.0 * count as f64), 1, "{count}");
        }
    }
}
