//! The numbers of what a client says, so that nothing is done twice when it returns: [`Sequence`].

use lapwing::wire::{DecodeError, Frame, Received};

use crate::incoming::Incoming;

/// What has come of the messages of one client that have a number: invocations, items, completions and what ends them, from 1 on, over all of its transports
/// ([HubProtocol, Sequence](https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/HubProtocol.md#sequence-message-encoding)).
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    /// The client may return. Otherwise nobody counts.
    kept: bool,
    /// The number of the newest that has come.
    received: u64,
    /// How many of the next are said again.
    again: u64,
    /// The client has returned, and has not said yet where it goes on.
    waits: bool,
    /// The last message had a number.
    counted: bool,
    /// The number of what it hears next on its new transport.
    next: u64,
}

impl Sequence {
    /// Counts from now on, if the client may return.
    pub(crate) fn begin(&mut self, kept: bool) {
        self.kept = kept;
    }

    /// The client has returned by another transport, and hears the message with this number next.
    pub(crate) fn go_on(&mut self, next: u64) {
        (self.waits, self.next) = (true, next);
    }

    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// The newest number that has come, for a client that wants to know.
    pub(crate) fn received(&self) -> Option<u64> {
        self.kept.then_some(self.received)
    }

    /// Whether the last message had a number, whatever it was about.
    pub(crate) fn counted(&self) -> bool {
        self.counted
    }

    /// Whether a message is to be acted on: what is said again is not, nor what has no place in the order yet.
    pub(crate) fn is_new(&mut self, incoming: &Incoming<'_>) -> bool {
        self.counted = self.kept && !self.waits && incoming.is_counted();
        if self.counted && self.again > 0 {
            self.again -= 1;
            return false;
        }
        self.received += u64::from(self.counted);
        !self.waits || matches!(incoming, Incoming::Sequence(_))
    }

    /// What the client has of ours, if it may say so.
    pub(crate) fn acknowledged(&self, count: u64) -> Option<Frame<'static>> {
        self.kept.then_some(Frame::Received(Received { count }))
    }

    /// Goes on with the message that has this number.
    ///
    /// # Errors
    ///
    /// Some in between are missing, or there is none with such a number.
    pub(crate) fn start_at(&mut self, number: u64) -> Result<(), DecodeError> {
        if !self.kept {
            return Ok(());
        }
        let before = number.checked_sub(1).ok_or(DecodeError::NoFrame)?;
        let again = self.received.checked_sub(before);
        self.again = again.ok_or(DecodeError::NoFrame)?;
        self.waits = false;
        Ok(())
    }
}
