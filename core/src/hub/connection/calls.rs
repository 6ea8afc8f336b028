//! Calls to the peer, and who waits for their answers.

use alloc::sync::Arc;
use alloc::vec::Vec;

use futures_channel::oneshot;

use super::{Connection, Live};
use crate::answers::CallFailure;
use crate::hub::lane::Rejected;
use crate::limits::Limits;
use crate::session::Answer;
use crate::streams::{Table, Wakers};
use crate::time::Instant;
use crate::wire::{Call, Encoding, FailureCode, Frame, Open, Payload};

/// An answer of the peer: its payload, or why there is none.
pub(crate) type PeerAnswer = Result<(Encoding, Vec<u8>), PeerCallError>;

/// Waits for an answer of the peer.
pub(crate) type Waiter = oneshot::Sender<PeerAnswer>;

/// Those of several calls, each with its id.
pub(crate) type Waiters = Vec<(u32, Waiter)>;

/// Room for what stands around method and arguments of a call.
const CALL_BYTES: usize = 24;

/// Why a peer's answer will not come.
#[derive(Debug)]
pub(crate) enum PeerCallError {
    Failed(CallFailure),
    TimedOut,
    Full,
    /// The protocol has no words for it.
    Wordless,
    TooLarge {
        size: u64,
        max: u64,
    },
}

impl From<Rejected> for PeerCallError {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::Full => Self::Full,
            Rejected::TooLarge { size, max } => Self::TooLarge { size, max },
        }
    }
}

impl Live {
    /// Whoever waits for this answer. Tell it without the lock: it may act at once.
    pub(crate) fn waiter(&mut self, id: u32) -> Option<Waiter> {
        self.store.waiter(id)
    }

    /// Takes note that a call of ours got no answer in time: whoever waits for it, or for the first item.
    pub(crate) fn timed_out(&mut self, id: u32) -> (Option<Waiter>, Wakers) {
        let give_up = |streams: &Table| {
            let mut streams = streams.lock();
            streams.give_up(id, CallFailure::new(FailureCode::TimedOut, ""));
            streams.take_wakers()
        };
        let wakers = self.store.streams.as_ref().map(give_up);
        (self.waiter(id), wakers.unwrap_or_default())
    }

    /// Everybody who waits for an answer that will not come. Dropping them, without the lock, tells them.
    pub(crate) fn take_waiters(&mut self) -> (Waiters, Wakers) {
        let lose = |streams: Table| {
            let mut streams = streams.lock();
            streams.lose();
            streams.take_wakers()
        };
        let wakers = self.store.streams.take().map(lose);
        (self.store.take_waiters(), wakers.unwrap_or_default())
    }

    fn calls_max(&self) -> usize {
        self.link.limits().calls_waiting_max as usize
    }

    /// Sends a call which `frame` makes when it has a number.
    fn begin_call<'f>(
        &mut self,
        bytes: usize,
        frame: impl FnOnce(u32) -> Frame<'f>,
        deadline: Option<Instant>,
        answer: Answer,
    ) -> Result<u32, PeerCallError> {
        let size = (bytes + CALL_BYTES) as u64;
        let max = u64::from(self.link.session.peer().message_bytes_max);
        if size > max {
            return Err(PeerCallError::TooLarge { size, max });
        }
        self.store.make_room(self.calls_max());
        let id = self
            .link
            .session
            .open(&mut self.store, deadline, (answer, 0))
            .map_err(|_| PeerCallError::Full)?;
        let framed = self.framed(&frame(id)).ok_or(PeerCallError::Wordless);
        let pushed = framed.and_then(|framed| Ok(self.store.lane.push_fixed(framed)?));
        if pushed.is_err() {
            self.link.session.forget(&mut self.store, id);
        }
        pushed.map(|()| id)
    }

    fn call(
        &mut self,
        method: &str,
        arguments: Payload<'_>,
        deadline: Option<Instant>,
        deadline_ms: Option<u32>,
    ) -> Result<(u32, oneshot::Receiver<PeerAnswer>), PeerCallError> {
        let call = |id| {
            Frame::Call(Call {
                id,
                method,
                deadline_ms,
                arguments,
            })
        };
        let id = self.begin_call(
            method.len() + arguments.bytes.len(),
            call,
            deadline,
            Answer::Reply,
        )?;
        let (waiter, answer) = oneshot::channel();
        self.store.wait(id, waiter);
        Ok((id, answer))
    }

    fn open(
        &mut self,
        method: &str,
        arguments: Payload<'_>,
        (deadline, deadline_ms): (Option<Instant>, Option<u32>),
        limits: &Limits,
    ) -> Result<(u32, Table), PeerCallError> {
        let open = |id| {
            Frame::Open(Open {
                id,
                method,
                deadline_ms,
                arguments,
                items: Some(limits.stream_items_max.max(1).into()),
                streams: 0,
            })
        };
        // Those that were stopped may still be on their way.
        let answers_max = limits.streams_max as usize + self.calls_max();
        if self.streams(limits).lock().answers() >= answers_max {
            return Err(PeerCallError::Full);
        }
        let bytes = method.len() + arguments.bytes.len();
        let id = self.begin_call(bytes, open, deadline, Answer::Stream)?;
        let table = self.streams(limits);
        table.lock().receive(id, true);
        Ok((id, table.clone()))
    }
}

impl Connection {
    /// Calls the peer: the call's id, and where its answer will be.
    pub(crate) fn call(
        self: &Arc<Self>,
        method: &str,
        arguments: Payload<'_>,
        deadline: Option<Instant>,
        deadline_ms: Option<u32>,
    ) -> Option<Result<(u32, oneshot::Receiver<PeerAnswer>), PeerCallError>> {
        self.ask(|live| live.call(method, arguments, deadline, deadline_ms))
    }

    /// Calls the peer, which answers with a stream: the call's number, and where it is read.
    pub(crate) fn open(
        self: &Arc<Self>,
        method: &str,
        arguments: Payload<'_>,
        due: (Option<Instant>, Option<u32>),
        limits: &Limits,
    ) -> Option<Result<(u32, Table), PeerCallError>> {
        self.ask(|live| live.open(method, arguments, due, limits))
    }

    /// Asks the peer something, if it takes events.
    fn ask<T>(self: &Arc<Self>, ask: impl FnOnce(&mut Live) -> T) -> Option<T> {
        let mut guard = self.live();
        let live = guard.as_mut().filter(|live| live.takes_events())?;
        let asked = ask(live);
        drop(guard);
        // Its own task: there is a new deadline, too.
        self.wake_task();
        Some(asked)
    }

    /// Forgets a call that nobody waits for any more.
    pub(crate) fn cancel(self: &Arc<Self>, id: u32) {
        let mut guard = self.live();
        let waiter = guard.as_mut().and_then(|live| {
            let waiter = live.waiter(id)?;
            live.link.session.cancel(&mut live.store, id);
            Some(waiter)
        });
        drop(guard);
        drop(waiter);
        self.has_output();
    }
}
