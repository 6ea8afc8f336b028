//! What is read of a peer in one turn.

use core::task::{Context, Poll};

use bytes::BytesMut;

use super::Drive;
use crate::hub::connection::Live;
use crate::hub::dispatch::Run;
use crate::limits::Limits;
use crate::session::Input;
use crate::time::Instant;

/// Why reading came to an end in a turn.
pub(super) enum Reading {
    /// The peer has said nothing more; it wakes us.
    Drained,
    /// The peer has said nothing at all since the last turn.
    Silent,
    /// The budget is used up.
    Budget,
    /// Something else has to happen first.
    Paused,
}

/// What may still be read in a turn.
struct Budget {
    frames: u32,
    bytes: u32,
    spent: bool,
}

impl Budget {
    fn new(limits: &Limits) -> Self {
        Self {
            frames: limits.turn_frames_max.max(1),
            bytes: limits.turn_bytes_max.max(1),
            spent: false,
        }
    }

    fn is_whole(&self) -> bool {
        !self.spent
    }

    fn is_used_up(&self) -> bool {
        self.frames == 0 || self.bytes == 0
    }

    fn spend(&mut self, message: &[u8]) {
        self.spent = true;
        self.frames -= 1;
        let bytes = u32::try_from(message.len()).unwrap_or(u32::MAX);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl Drive {
    /// Acts on what the peer said.
    pub(super) fn read(&mut self, now: Instant, cx: &mut Context<'_>) -> Reading {
        if !self.is_open() && self.open(now, cx).is_pending() {
            return Reading::Drained;
        }
        let hub = self.hub.shared.clone();
        let mut budget = Budget::new(&hub.limits);
        let mut run = Run::new(&hub);
        let mut scratch = BytesMut::new();
        while !self.is_busy() {
            scratch.clear();
            let (mut message, mut input, mut used_up) = (None, Input::Nothing, None);
            // Under one lock: there may be very many.
            let stops = self.live(|live| {
                live.slow_down(now);
                if !live.may_be_read(now) {
                    return Some(Reading::Paused);
                }
                let again = |message: &[u8]| {
                    let taken = !budget.is_used_up() && run.add_again(message);
                    if taken {
                        budget.spend(message);
                    }
                    taken
                };
                live.link.handle_again(again, now);
                if budget.is_used_up() {
                    return Some(Reading::Budget);
                }
                let Poll::Ready(Some(next)) = live.link.poll_message(now, cx) else {
                    return Some(match budget.is_whole() {
                        true => Reading::Silent,
                        false => Reading::Drained,
                    });
                };
                let message = message.insert(next);
                budget.spend(&message.bytes);
                input = live
                    .link
                    .handle(message, &mut scratch, &mut live.store, now);
                used_up = live.hear();
                None
            });
            if let Some(reading) = stops.unwrap_or(Some(Reading::Paused)) {
                return reading;
            }
            hub.tokens.remove(used_up);
            self.act(input, &mut run, now);
        }
        Reading::Paused
    }

    /// Whether the peer may say more now. Whatever makes it wait here gives this task a turn when it is over.
    pub(super) fn may_read(&self, now: Instant) -> bool {
        let may = |live: &mut Live| live.may_be_read(now);
        !self.is_busy() && self.live(may).unwrap_or(false)
    }

    /// Whether the program has to have its turn before the peer says more.
    fn is_busy(&self) -> bool {
        let full = match &self.answers {
            Some(answers) => answers.is_full(),
            None => false,
        };
        self.is_being_decided() || full && !self.shared().listeners.is_empty()
    }
}
