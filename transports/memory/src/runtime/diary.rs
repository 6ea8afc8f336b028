//! What was done to a run, for those who must find out why its seed fails.

use core::fmt;
use std::collections::VecDeque;

use lapwing::Instant;

/// Enough to see what a failure came from; more would not be read.
const NOTES_MAX: usize = 60;

/// The newest notes of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Diary {
    notes: VecDeque<(Instant, String)>,
    /// How many are forgotten.
    older: u64,
}

impl Diary {
    pub(super) fn add(&mut self, now: Instant, notes: impl IntoIterator<Item = String>) {
        for note in notes {
            if self.notes.len() == NOTES_MAX {
                self.notes.pop_front();
                self.older += 1;
            }
            self.notes.push_back((now, note));
        }
    }
}

/// A line for each note.
impl fmt::Display for Diary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.older > 0 {
            writeln!(f, "    … {} before", self.older)?;
        }
        self.notes.iter().try_for_each(|(at, note)| {
            let at = at.since(Instant::default()).as_secs_f64();
            writeln!(f, "    {at:10.3} s  {note}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_notes_are_kept() {
        let mut diary = Diary::default();
        for number in 0..NOTES_MAX as u64 + 2 {
            diary.add(Instant::from_micros(number * 1_000), [number.to_string()]);
        }
        let text = diary.to_string();
        assert!(
            text.starts_with("    … 2 before\n         0.002 s  2\n"),
            "{text}"
        );
        assert!(text.ends_with("         0.061 s  61\n"), "{text}");
    }
}
