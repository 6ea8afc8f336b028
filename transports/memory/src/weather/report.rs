//! Kinds of troubles, and how many of each there were.

use core::fmt;
use core::ops::AddAssign;

/// A trouble that a [`Weather`](crate::Weather) can bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Trouble {
    /// Nothing but new delays.
    Delay,
    /// The client's connections break, and both ends know.
    Cut,
    /// A connection breaks after some more messages, or in the middle of some bytes.
    CutWithin,
    /// The client's connections break, and the hub does not hear of it.
    HalfOpen,
    /// Nothing moves for a while, in one direction or both.
    Stall,
    /// The same, in the middle of a message.
    StallWithin,
    /// Nothing moves for a while, and nobody can connect.
    Partition,
    /// A few bytes at a time arrive for a while, in one direction or both.
    Trickle,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Delay,
        Self::Cut,
        Self::CutWithin,
        Self::HalfOpen,
        Self::Stall,
        Self::StallWithin,
        Self::Partition,
        Self::Trickle,
    ];

    /// Whether it goes on until it is ended.
    pub(super) fn lasts(self) -> bool {
        !matches!(
            self,
            Self::Delay | Self::Cut | Self::CutWithin | Self::HalfOpen
        )
    }
}

/// How often there was which trouble.
///
/// Reports add up, so that a test over many seeds can say what it has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WeatherReport([u32; Trouble::ALL.len()]);

impl WeatherReport {
    /// How often there was this trouble.
    pub fn count(&self, trouble: Trouble) -> u32 {
        self.0[trouble as usize]
    }

    /// How many troubles there were.
    pub fn total(&self) -> u32 {
        self.0.iter().sum()
    }

    pub(super) fn add(&mut self, trouble: Trouble) {
        self.0[trouble as usize] += 1;
    }
}

impl AddAssign for WeatherReport {
    fn add_assign(&mut self, other: Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum += count;
        }
    }
}

impl fmt::Display for WeatherReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |trouble: &Trouble| format!("{} {trouble:?}", self.count(*trouble));
        f.write_str(&Trouble::ALL.each_ref().map(one).join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn troubles_have_their_place_in_a_report() {
        for (index, trouble) in Trouble::ALL.into_iter().enumerate() {
            assert_eq!(trouble as usize, index);
        }
        let mut one = WeatherReport::default();
        one.add(Trouble::Cut);
        let mut sum = one;
        sum += one;
        assert_eq!((sum.count(Trouble::Cut), sum.total()), (2, 2));
        assert!(sum.to_string().starts_with("0 Delay, 2 Cut, 0 CutWithin"));
    }
}
