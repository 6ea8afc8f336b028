//! Subscriptions that begin in the past, or that know where in time they begin.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use crate::hub::Shared;
use crate::hub::accounts::Began;
use crate::hub::connection::Connection;
use crate::hub::history::{Histories, Looks, Mode, Reader};
use crate::policy::Policy;
use crate::registry::{Key, SubscribeError};
use crate::sync::{lock, write};
use crate::topic::TopicFilter;
use crate::wire::{Ack, Denied, Frame, Outcome, Start, Verdict};

/// Subscriptions that a peer asks for, and may have.
pub(crate) struct Wanted<'a> {
    pub(crate) key: Key,
    pub(crate) receipt: u32,
    pub(crate) numbers: Range<u32>,
    /// The hub chose the numbers.
    pub(crate) numbered: bool,
    pub(crate) filters: Vec<(TopicFilter<'a>, Policy)>,
    pub(crate) start: Start,
}

impl<'a> Wanted<'a> {
    fn filters(&self) -> impl Iterator<Item = TopicFilter<'a>> {
        self.filters.iter().map(|(filter, _)| *filter)
    }

    /// Whether offsets come in order, so that the newest one tells how far a subscription has come. Of several values of a topic
    /// the newest takes the place of an older one.
    fn has_one_order(&self) -> bool {
        let keeps_latest = |(_, policy): &(_, Policy)| *policy == Policy::KeepLatest;
        !self.filters.iter().any(keeps_latest)
    }
}

/// How subscriptions begin.
struct Beginning {
    /// What they read first, if anything.
    mode: Option<Mode>,
    verdict: Verdict,
}

impl Beginning {
    fn began(&self) -> Began {
        match self.mode {
            Some(Mode::Values { .. }) => Began::Values,
            Some(Mode::Past { .. }) | None => Began::Placed,
        }
    }
}

impl Shared {
    /// Whether the subscriptions have to do with what is kept.
    pub(crate) fn is_of_the_past(&self, wanted: &Wanted<'_>) -> Result<bool, Denied> {
        let covered = || {
            wanted
                .filters()
                .all(|filter| self.rules.history_covers(filter))
        };
        let kept = match wanted.start {
            Start::Now => {
                return Ok(!wanted.filters.is_empty() && wanted.has_one_order() && covered());
            }
            Start::Retained => wanted.filters().all(|filter| self.rules.may_keep(filter)),
            Start::Offset { .. } | Start::Beginning => covered(),
        };
        kept.then_some(true).ok_or(Denied::NoHistory)
    }

    /// Puts all of the subscriptions into the registry, or none.
    pub(crate) fn enlist(&self, wanted: &Wanted<'_>, dormant: bool) -> Result<(), Denied> {
        let max = self.limits.subscriptions_max;
        let (key, first) = (wanted.key, wanted.numbers.start);
        let mut registry = write(&self.registry);
        let mut number = first;
        let taken = wanted.filters.iter().try_for_each(|(filter, policy)| {
            registry.subscribe(key, number, *filter, *policy, max as usize)?;
            if dormant {
                registry.sleep(key, number);
            }
            number += 1;
            Ok(())
        });
        if taken.is_err() {
            for number in first..number {
                registry.unsubscribe(key, number);
            }
        }
        self.changed(&registry);
        taken.map_err(|error| match error {
            SubscribeError::TooMany { .. } => Denied::TooMany { max },
            _ => Denied::NumberTaken,
        })
    }

    /// Begins subscriptions at one place in the order of all that is published: no event is between what they hear of the past
    /// and of the present, and none is in both.
    pub(crate) fn begin_in_the_past(
        &self,
        connection: &Arc<Connection>,
        wanted: &Wanted<'_>,
    ) -> Result<(), Denied> {
        let mut histories = lock(&self.histories);
        histories.expire(self.runtime.now());
        let beginning = histories.beginning(wanted)?;
        let dormant = matches!(beginning.mode, Some(Mode::Past { .. }));
        self.enlist(wanted, dormant)?;
        if let Some(live) = connection.live().as_mut() {
            live.accounts.open(wanted.numbers.clone(), dormant);
            live.push_answer(&Frame::Ack(Ack {
                receipt: wanted.receipt,
                outcome: Outcome::Positioned {
                    first: wanted.numbers.start,
                    epoch: match wanted.has_one_order() {
                        true => histories.epoch,
                        false => 0,
                    },
                    offset: histories.newest(),
                    verdict: beginning.verdict,
                },
            }));
            if beginning.mode.is_some() {
                live.replaying += wanted.filters.len() as u32;
            }
            live.accounts
                .begin(wanted.numbers.clone(), beginning.began());
        }
        if let Some(mode) = beginning.mode {
            for (number, (filter, policy)) in wanted.numbers.clone().zip(&wanted.filters) {
                let reader = Reader {
                    connection: connection.clone(),
                    key: wanted.key,
                    filter: filter.as_str().into(),
                    policy: *policy,
                    mode: mode.clone(),
                    missed: 0,
                    lost: false,
                };
                histories
                    .readers
                    .insert((connection.number, number), reader);
            }
            self.replay_from(&mut histories, connection);
        }
        Ok(())
    }
}

impl Histories {
    fn beginning(&self, wanted: &Wanted<'_>) -> Result<Beginning, Denied> {
        let newest = self.newest();
        let of_the_present = |mode| Beginning {
            mode,
            verdict: Verdict::Resumed,
        };
        Ok(match wanted.start {
            Start::Now => of_the_present(None),
            Start::Retained => of_the_present(Some(Mode::Values {
                after: None,
                upto: newest,
            })),
            Start::Beginning => self.from(wanted, 0, false),
            Start::Offset { epoch, .. } if epoch != self.epoch => self.from(wanted, 0, true),
            Start::Offset { offset, .. } if offset > newest => return Err(Denied::Offset),
            Start::Offset { offset, .. } => {
                let gap = self
                    .stock(wanted.filters(), offset, &mut Looks::default())
                    .gone
                    > offset;
                self.from(wanted, offset, gap)
            }
        })
    }

    /// Begins behind an offset; with `gap` something is missing there.
    fn from(&self, wanted: &Wanted<'_>, cursor: u64, gap: bool) -> Beginning {
        let verdict = match self
            .stock(wanted.filters(), cursor, &mut Looks::default())
            .span
        {
            _ if gap => Verdict::Gap { missed: None },
            None => Verdict::Resumed,
            Some((from, to)) => Verdict::Replayed { from, to },
        };
        Beginning {
            mode: Some(Mode::behind(cursor)),
            verdict,
        }
    }
}
