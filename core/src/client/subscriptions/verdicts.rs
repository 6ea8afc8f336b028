//! What becomes of the subscriptions of a session on a return to it.

use alloc::vec::Vec;

use super::{Entry, Phase, Subscriptions, Told};
use crate::client::subscription::{Delivery, SubscriptionEnd};
use crate::wire::{Position, Verdict};

impl Subscriptions {
    /// How far each subscription has come that the hub has confirmed.
    pub(in crate::client) fn positions(&self) -> Vec<Position> {
        let heard = self.entries.iter().filter(|entry| entry.is_heard());
        let position = |entry: &Entry| Position {
            subscription: entry.number,
            accounted: entry.queue.accounted(),
        };
        heard.map(position).collect()
    }

    /// The session goes on, and nothing is missing.
    pub(in crate::client) fn resume(&self, told: &mut Told) {
        for entry in self.entries.iter().filter(|entry| entry.is_heard()) {
            entry.tell(Delivery::Resumed, told);
        }
    }

    /// The session goes on without what was on its way: a verdict for each position of the hello.
    ///
    /// What was not confirmed before the hub does not know any more. What a subscription missed, the younger ones that share some of its
    /// topics may have missed too, as the hub sends an event once, for its oldest subscription. Returns the numbers of those that the
    /// hub still has and nobody reads.
    pub(in crate::client) fn take_verdicts(
        &mut self,
        verdicts: impl Iterator<Item = (Position, Verdict)>,
        told: &mut Told,
    ) -> Vec<u32> {
        let verdicts: Vec<_> = verdicts.collect();
        let verdict_on = |entry: &Entry| {
            // Both are in the order of their numbers.
            let found = verdicts.binary_search_by_key(&entry.number, |at| at.0.subscription);
            found.ok().map(|index| verdicts[index].1)
        };
        let losses: Vec<_> = self
            .entries
            .iter()
            .map(|entry| lost(entry, verdict_on(entry)))
            .collect();
        for index in 0..self.entries.len() {
            let (older, rest) = self.entries.split_at_mut(index);
            let entry = &mut rest[0];
            let mut older = older.iter().zip(&losses);
            let shared =
                older.any(|(older, lost)| *lost && older.filter().overlaps(entry.filter()));
            match verdict_on(entry) {
                Some(Verdict::Denied(_)) => {}
                // Also when nobody reads it any more: until the hub has ended it, it counts.
                Some(verdict) if entry.phase == Phase::Active => {
                    entry.take_verdict(verdict, shared, told);
                }
                Some(_) => {}
                None => entry.handle_lost(),
            }
        }
        self.entries.retain(|entry| match verdict_on(entry) {
            Some(Verdict::Denied(denied)) => {
                let end = SubscriptionEnd::Denied(denied);
                told.woken.extend(entry.queue.end(end));
                false
            }
            Some(_) => true,
            None => !entry.leaving,
        });
        let unread = self.entries.iter().filter(|entry| entry.leaving);
        unread.map(|entry| entry.number).collect()
    }
}

/// Whether events may be missing that were sent, or would have been, on account of this subscription.
fn lost(entry: &Entry, verdict: Option<Verdict>) -> bool {
    match verdict {
        Some(Verdict::Resumed | Verdict::Gap { missed: Some(0) }) => false,
        Some(_) => true,
        // The hub may have had it all the same.
        None => entry.phase != Phase::Wanted,
    }
}
