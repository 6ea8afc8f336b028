//! One stream of deliveries beside the list of what was offered: every hole has to be told, where it is and how large it is.

use crate::book::{Book, Id};

/// What can be said about the places of events and holes in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// All events have one order, and the word for a hole stands in its place.
    Exact,
    /// All events have one order. Other subscriptions of the same client select some of them, too, so holes are told, but in the
    /// place where that one has them.
    Shared,
    /// Each topic has an order: a value takes the place of an older one.
    ByTopic,
}

/// How far a stream has come in the order of all events.
///
/// It may begin to hear at any event between the moment when it was asked for, and that when the answer was here. From
/// then on each event is heard, or counted by a word that stands in its place.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    /// The topics that are heard.
    topics: u64,
    order: Order,
    /// Everything before this place is settled.
    place: usize,
    /// Events before this place need not be heard; none of them is known to be needed before the answer is here.
    begins: usize,
    /// What was kept of the past may have holes that nobody tells.
    past: bool,
    /// Missing here, by number.
    told: u64,
    /// Missing here, and nobody knows how many.
    unknown: bool,
    /// Nothing was heard since that was told: of what is missing, history may bring some later.
    open: bool,
    /// Where the first rest since then was: what is offered behind it is not part of what is missing.
    rest: Option<usize>,
    /// Heard since everything was settled, where the order is not exact.
    heard: Vec<usize>,
}

impl Walk {
    /// A stream that may hear everything from this place on.
    pub(crate) fn new(topics: u64, place: usize, order: Order) -> Self {
        Self {
            topics,
            order,
            place,
            begins: usize::MAX,
            past: false,
            told: 0,
            unknown: false,
            open: false,
            rest: None,
            heard: Vec::new(),
        }
    }

    /// The answer is here: what is offered from this place on is heard. With `past` there is more before it.
    pub(crate) fn begin(&mut self, place: usize, past: bool) {
        self.begins = self.begins.min(place);
        self.past = past;
    }

    /// The past is over.
    pub(crate) fn is_live(&mut self) {
        self.past = false;
    }

    /// From now on less can be said about places.
    pub(crate) fn relax(&mut self, order: Order) {
        if order != Order::Exact && self.order != Order::ByTopic {
            self.order = order;
        }
    }

    pub(crate) fn is_exact(&self) -> bool {
        self.order == Order::Exact
    }

    /// Where another stream may go on that is to hear what follows.
    pub(crate) fn end(&self) -> Option<usize> {
        let settled = self.is_exact() && self.told == 0 && !self.unknown && !self.past;
        (settled && self.begins == 0).then_some(self.place)
    }

    pub(crate) fn hear(&mut self, id: Id, book: &Book) -> Result<(), String> {
        let Some(place) = book.place(id) else {
            return Err(format!("nobody has published {id}"));
        };
        if self.topics >> id.topic & 1 == 0 {
            return Err(format!("{id} is on another topic"));
        }
        let same = |heard: &&usize| {
            self.order == Order::Shared || book.events[**heard].id.topic == id.topic
        };
        let newest = self.heard.iter().rev().find(same).copied();
        if place < self.place || newest.is_some_and(|newest| place <= newest) {
            return Err(format!("{id} is late or comes twice"));
        }
        if self.order == Order::Exact {
            self.is_told(place, book)?;
        }
        (self.open, self.rest) = (false, None);
        if self.order == Order::Exact {
            self.settle(place, book)?;
            self.place = place + 1;
            if !self.past {
                self.begins = 0;
            }
        } else {
            self.heard.push(place);
        }
        Ok(())
    }

    /// The newest value of each topic may come again, and nobody knows what is missing before it.
    pub(crate) fn again(&mut self) {
        (self.place, self.begins, self.unknown) = (0, 0, true);
        self.heard.clear();
    }

    /// So many are missing here, or nobody knows how many.
    pub(crate) fn miss(&mut self, missed: Option<u64>) {
        match missed {
            Some(missed) => self.told += missed,
            None => (self.unknown, self.open, self.rest) = (true, true, None),
        }
    }

    /// Everything that was offered so far has been heard or counted.
    pub(crate) fn is_done(&mut self, book: &Book) -> Result<(), String> {
        if self.open {
            return self.is_quiet(book);
        }
        self.settle(book.events.len(), book)?;
        if !self.past && self.begins <= self.place {
            self.begins = 0;
        }
        Ok(())
    }

    /// Nothing was heard, and nothing was to be since the first rest but what was told to be missing.
    fn is_quiet(&mut self, book: &Book) -> Result<(), String> {
        if self.rest.is_none() {
            (self.rest, self.told) = (Some(book.events.len()), 0);
        }
        self.is_told(book.events.len(), book)
    }

    /// What was offered between the first rest and a place was told to be missing.
    fn is_told(&self, place: usize, book: &Book) -> Result<(), String> {
        let must = match self.rest {
            Some(rest) if rest < place => book.count(self.topics, rest, place),
            _ => 0,
        };
        match self.told >= must {
            true => Ok(()),
            false => Err(format!("{must} are missing, told were {}", self.told)),
        }
    }

    fn settle(&mut self, place: usize, book: &Book) -> Result<(), String> {
        let begins = self.begins.clamp(self.place, place);
        let early = self.heard.iter().filter(|heard| **heard < begins).count() as u64;
        let late = self.heard.len() as u64 - early;
        let may = book.count(self.topics, self.place, begins) - early;
        let must = book.count(self.topics, begins, place) - late;
        let missing = must..=may + must;
        if !self.unknown && !missing.contains(&self.told) {
            return Err(format!("{missing:?} are missing, told were {}", self.told));
        }
        (self.place, self.told, self.unknown) = (place, 0, false);
        self.heard.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lapwing::Instant;

    use super::*;

    fn book(count: u32) -> Book {
        let mut book = Book::default();
        for number in 0..count {
            book.offer(id(number), Instant::default());
        }
        book
    }

    fn id(number: u32) -> Id {
        Id {
            topic: (number % 2) as u8,
            publisher: 1,
            number,
        }
    }

    fn begun(order: Order) -> Walk {
        let mut walk = Walk::new(3, 0, order);
        walk.begin(2, false);
        walk
    }

    #[test]
    fn a_hole_needs_a_word_of_its_size_in_its_place() {
        let book = book(8);
        let mut walk = begun(Order::Exact);
        walk.hear(id(1), &book).expect("it may begin here");
        assert!(walk.clone().hear(id(3), &book).is_err());
        walk.miss(Some(2));
        assert!(walk.clone().hear(id(3), &book).is_err());
        walk.hear(id(4), &book).expect("two were told");
        assert!(walk.clone().hear(id(4), &book).is_err(), "twice");
        walk.miss(Some(2));
        assert!(walk.clone().hear(id(5), &book).is_err(), "too early");
        assert!(walk.clone().is_done(&book).is_err());
        walk.miss(Some(1));
        walk.is_done(&book).expect("all were told");
    }

    #[test]
    fn a_gap_of_unknown_size_ends_with_the_next_event() {
        let book = book(8);
        let mut walk = begun(Order::Exact);
        walk.miss(None);
        walk.hear(id(4), &book).expect("nobody knows how many");
        assert!(walk.clone().hear(id(6), &book).is_err());
    }

    #[test]
    fn of_a_gap_of_unknown_size_history_may_bring_some_later_and_in_order() {
        let book = book(8);
        let mut walk = Walk::new(3, 0, Order::Shared);
        walk.begin(0, false);
        walk.hear(id(0), &book).expect("the first");
        walk.miss(None);
        walk.is_done(&book).expect("nobody knows how many");
        assert!(walk.clone().hear(id(0), &book).is_err(), "twice");
        for number in [2, 3, 5] {
            walk.hear(id(number), &book).expect("it comes after all");
        }
        assert!(walk.clone().hear(id(3), &book).is_err(), "twice");
        walk.is_done(&book).expect("nobody knows how many");
        assert!(walk.clone().hear(id(6), &book).is_err(), "too late");
    }

    #[test]
    fn a_gap_of_unknown_size_is_no_word_for_what_is_offered_later() {
        let before = book(4);
        let mut walk = begun(Order::Shared);
        walk.miss(None);
        walk.is_done(&before).expect("nobody knows how many");
        walk.is_done(&before).expect("nothing was offered");
        assert!(walk.clone().is_done(&book(7)).is_err());
        let mut exact = walk.clone();
        exact.order = Order::Exact;
        exact.clone().hear(id(4), &book(7)).expect("the next one");
        assert!(exact.hear(id(6), &book(7)).is_err());
        walk.miss(Some(3));
        walk.is_done(&book(7)).expect("they were told");
        walk.miss(None);
        walk.is_done(&book(8)).expect("once more nobody knows");
    }

    #[test]
    fn what_was_kept_of_the_past_may_have_holes_and_the_present_none() {
        let book = book(8);
        let mut walk = Walk::new(3, 0, Order::Exact);
        walk.begin(4, true);
        for number in [0, 2, 4] {
            walk.hear(id(number), &book).expect("kept");
        }
        assert!(walk.clone().hear(id(6), &book).is_err());
        walk.is_live();
        walk.hear(id(5), &book).expect("the next one");
        assert!(walk.clone().hear(id(7), &book).is_err());
    }

    #[test]
    fn values_may_change_places_between_topics() {
        let book = book(8);
        let mut walk = Walk::new(3, 0, Order::ByTopic);
        walk.begin(0, false);
        for number in [1, 0, 2, 3, 6, 5, 7] {
            let heard = walk.hear(id(number), &book);
            heard.expect("in the order of its topic");
        }
        assert!(walk.clone().hear(id(5), &book).is_err());
        assert!(walk.clone().is_done(&book).is_err());
        walk.miss(Some(1));
        walk.is_done(&book)
            .expect("seven of eight were heard, one was told");
    }

    #[test]
    fn holes_that_are_shared_are_told_somewhere() {
        let book = book(8);
        let mut walk = Walk::new(3, 0, Order::Shared);
        walk.begin(0, false);
        walk.hear(id(0), &book).expect("the first");
        walk.miss(Some(5));
        walk.hear(id(1), &book).expect("in order");
        walk.hear(id(4), &book).expect("in order");
        assert!(walk.clone().hear(id(3), &book).is_err());
        walk.is_done(&book)
            .expect("three were heard, five were told");
    }
}
