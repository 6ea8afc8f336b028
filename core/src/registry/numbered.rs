//! What a connection has by number: [`Numbered`].

use smallvec::SmallVec;

/// Values by number, in order; most have one, which stands here, and numbers count up.
#[derive(Debug)]
pub(super) struct Numbered<T>(SmallVec<[(u32, T); 1]>);

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self(SmallVec::new())
    }
}

impl<T> Numbered<T> {
    fn place(&self, number: u32) -> Result<usize, usize> {
        self.0.binary_search_by_key(&number, |(number, _)| *number)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, number: u32) -> Option<&T> {
        let place = self.place(number).ok()?;
        Some(&self.0[place].1)
    }

    /// Adds a value under a number that has none.
    pub(super) fn insert(&mut self, number: u32, value: T) {
        let Err(place) = self.place(number) else {
            return;
        };
        self.0.insert(place, (number, value));
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<T> {
        let place = self.place(number).ok()?;
        Some(self.0.remove(place).1)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(u32, T)> {
        self.0.iter()
    }
}
