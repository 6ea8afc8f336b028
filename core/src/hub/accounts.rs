//! What each subscription of one connection was offered.

use alloc::vec::Vec;

use smallvec::SmallVec;

/// The subscriptions of a connection, by number, each with the events that it was offered: what becomes of them makes no difference.
///
/// The registry knows of subscriptions too, but not at the same instant: this is what counts.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    /// What was sent straight to the connection: number zero.
    direct: u64,
    /// The highest number that there has been.
    highest: u32,
    /// Most connections have few: those stand where every event finds them at once.
    entries: SmallVec<[Account; 2]>,
}

/// What the client knows of where a subscription began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Began {
    /// In the present, and nobody knows at which offset.
    Somewhere,
    /// At an offset.
    Placed,
    /// With values, and in the present.
    Values,
}

#[derive(Debug)]
struct Account {
    number: u32,
    /// It gets events of the past, and none of the present.
    dormant: bool,
    began: Began,
    offered: u64,
}

impl Accounts {
    /// Opens accounts. Nothing changes for numbers that have one.
    pub(crate) fn open(&mut self, numbers: impl IntoIterator<Item = u32>, dormant: bool) {
        for number in numbers {
            self.highest = self.highest.max(number);
            if let Err(index) = self.find(number) {
                let account = Account {
                    number,
                    dormant,
                    began: Began::Somewhere,
                    offered: 0,
                };
                self.entries.insert(index, account);
            }
        }
    }

    /// Closes the accounts that are not to be kept.
    pub(crate) fn retain(&mut self, keep: impl Fn(u32) -> bool) {
        self.entries.retain(|account| keep(account.number));
    }

    /// A number that no subscription has had, if there is one; all behind it are as well.
    pub(crate) fn unused(&self) -> Option<u32> {
        self.highest.checked_add(1)
    }

    /// The numbers of all, lowest first.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> {
        self.entries.iter().map(|account| account.number)
    }

    /// Counts events that are published now; false when this subscription is over, or does not hear them yet.
    pub(crate) fn offer(&mut self, number: u32, events: u64) -> bool {
        let offered = match number {
            0 => Some(&mut self.direct),
            _ => self
                .get(number)
                .filter(|account| !account.dormant)
                .map(|account| &mut account.offered),
        };
        offered.map(|offered| *offered += events).is_some()
    }

    /// Counts events of the past; false when this subscription is over.
    pub(crate) fn replay(&mut self, number: u32, events: u64) -> bool {
        self.get(number)
            .map(|account| account.offered += events)
            .is_some()
    }

    /// Takes back events that will be offered again.
    pub(crate) fn take_back(&mut self, number: u32, events: u64) {
        if let Some(account) = self.get(number) {
            account.offered = account.offered.saturating_sub(events);
        }
    }

    /// Takes note of how subscriptions begin.
    pub(crate) fn begin(&mut self, numbers: impl IntoIterator<Item = u32>, began: Began) {
        for number in numbers {
            if let Some(account) = self.get(number) {
                account.began = began;
            }
        }
    }

    pub(crate) fn began(&self, number: u32) -> Option<Began> {
        Some(self.entries[self.find(number).ok()?].began)
    }

    /// The numbers of those that began with values, lowest first.
    pub(crate) fn of_values(&self) -> impl Iterator<Item = u32> {
        let with_values = |account: &&Account| account.began == Began::Values;
        let began = self.entries.iter().filter(with_values);
        began.map(|account| account.number)
    }

    /// Lets a subscription hear the present, or the past alone.
    pub(crate) fn set_dormant(&mut self, number: u32, dormant: bool) {
        if let Some(account) = self.get(number) {
            account.dormant = dormant;
        }
    }

    /// How many events a subscription was offered; `None` when it is over.
    pub(crate) fn offered(&self, number: u32) -> Option<u64> {
        match number {
            0 => Some(self.direct),
            _ => Some(self.entries[self.find(number).ok()?].offered),
        }
    }

    /// The same of all, the lowest number first.
    pub(crate) fn offered_all(&self) -> Vec<(u32, u64)> {
        let entries = self.entries.iter();
        core::iter::once((0, self.direct))
            .chain(entries.map(|account| (account.number, account.offered)))
            .collect()
    }

    fn get(&mut self, number: u32) -> Option<&mut Account> {
        let index = self.find(number).ok()?;
        Some(&mut self.entries[index])
    }

    fn find(&self, number: u32) -> Result<usize, usize> {
        self.entries
            .binary_search_by_key(&number, |account| account.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_or_dormant_is_offered_nothing() {
        let mut accounts = Accounts::default();
        accounts.open([7, 3], false);
        accounts.open([5], true);
        assert!(accounts.numbers().eq([3, 5, 7]));
        assert!(accounts.offer(3, 2) && accounts.offer(0, 9));
        assert!(!accounts.offer(5, 1) && !accounts.offer(4, 1));
        accounts.retain(|number| number != 3);
        assert!(!accounts.offer(3, 1) && !accounts.replay(3, 1));
        assert_eq!(accounts.offered(0), Some(9));
        assert_eq!(accounts.offered(3), None);
        accounts.retain(|_| false);
        assert_eq!(accounts.unused(), Some(8), "no number is given twice");
    }

    #[test]
    fn the_past_counts_as_the_present_does() {
        let mut accounts = Accounts::default();
        accounts.open([5], true);
        assert!(accounts.replay(5, 4));
        accounts.set_dormant(5, false);
        assert!(accounts.offer(5, 1));
        accounts.open([5], true);
        assert!(accounts.offer(5, 1), "it has its account already");
        accounts.take_back(5, 3);
        assert_eq!(accounts.offered(5), Some(3));
    }
}
