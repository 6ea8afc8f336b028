//! What requests and a transport that is made of them share: [`Pipe`].

use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use lapwing::Instant;

/// Bytes that wait in either direction, beside one message.
const WAITING_BYTES_MAX: usize = 64 * 1024;

/// One connection that is made of several requests: what clients say comes by some of them, what they hear by others.
#[derive(Debug, Default)]
pub(crate) struct Pipe(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    inbound: VecDeque<Bytes>,
    inbound_bytes: usize,
    outbound: VecDeque<Bytes>,
    outbound_bytes: usize,
    received_bytes: u64,
    sent_bytes: u64,
    /// The client has ended it, or is gone.
    parted: bool,
    /// The hub has said its last words.
    closed: bool,
    /// The hub has let go of it.
    over: bool,
    /// Who hears what the hub says: a newer one takes the place of an older one.
    hearer: u64,
    /// How many hear now.
    hearing: usize,
    /// Since when nobody has heard.
    silent_since: Option<Instant>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    hears: Option<Waker>,
    says: Vec<Waker>,
}

/// Wakes whoever it is; never with the lock in hand.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// What a hearer gets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Bytes(Bytes),
    /// Another hears from now on.
    Replaced,
    /// Nothing will follow.
    Over,
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ── requests ──

    /// Takes what the client says; pending while too much of it waits. False when nobody takes it any more.
    pub(crate) fn poll_say(&self, bytes: &mut Bytes, cx: &mut Context<'_>) -> Poll<bool> {
        let mut state = self.lock();
        if state.parted || state.over {
            return Poll::Ready(false);
        }
        if bytes.is_empty() {
            return Poll::Ready(true);
        }
        if state.inbound_bytes > WAITING_BYTES_MAX {
            state.says.retain(|waker| !waker.will_wake(cx.waker()));
            state.says.push(cx.waker().clone());
            return Poll::Pending;
        }
        let bytes = core::mem::take(bytes);
        state.inbound_bytes += bytes.len();
        state.received_bytes += bytes.len() as u64;
        state.inbound.push_back(bytes);
        let reader = state.reader.take();
        drop(state);
        wake(reader);
        Poll::Ready(true)
    }

    /// Begins to hear what the hub says, in the place of whoever did; the number to ask with.
    pub(crate) fn begin_to_hear(&self) -> u64 {
        let mut state = self.lock();
        state.hearer += 1;
        state.hearing += 1;
        state.silent_since = None;
        let (hearer, before) = (state.hearer, state.hears.take());
        drop(state);
        wake(before);
        hearer
    }

    /// Hears no more, from now on. Whoever was the last to hear leaves silence behind.
    pub(crate) fn end_to_hear(&self, now: Instant) {
        let mut state = self.lock();
        state.hearing -= 1;
        if state.hearing == 0 {
            state.silent_since = Some(now);
        }
        let reader = state.reader.take();
        drop(state);
        // It watches the silence.
        wake(reader);
    }

    /// All that the hub has said.
    pub(crate) fn poll_hear(&self, hearer: u64, cx: &mut Context<'_>) -> Poll<Heard> {
        let mut state = self.lock();
        if state.hearer != hearer {
            return Poll::Ready(Heard::Replaced);
        }
        if state.outbound.is_empty() {
            if state.closed || state.over || state.parted {
                // Who knows that it is over has ended it too.
                state.parted = true;
                let reader = state.reader.take();
                drop(state);
                wake(reader);
                return Poll::Ready(Heard::Over);
            }
            state.hears = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let bytes = match (state.outbound.pop_front(), state.outbound.len()) {
            (Some(only), 0) => only,
            (first, _) => {
                let mut all = BytesMut::with_capacity(state.outbound_bytes);
                let outbound = core::mem::take(&mut state.outbound);
                first
                    .iter()
                    .chain(&outbound)
                    .for_each(|one| all.extend_from_slice(one));
                all.freeze()
            }
        };
        state.outbound_bytes = 0;
        state.sent_bytes += bytes.len() as u64;
        let writer = state.writer.take();
        drop(state);
        wake(writer);
        Poll::Ready(Heard::Bytes(bytes))
    }

    /// The client ends it, or is gone.
    pub(crate) fn part(&self) {
        let mut state = self.lock();
        state.parted = true;
        let (reader, writer, hears) =
            (state.reader.take(), state.writer.take(), state.hears.take());
        let says = core::mem::take(&mut state.says);
        drop(state);
        [reader, writer, hears].into_iter().for_each(wake);
        says.into_iter().for_each(Waker::wake);
    }

    // ── the transport ──

    /// What the client says next; `None` when it has ended.
    pub(crate) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = self.lock();
        if let Some(bytes) = state.inbound.pop_front() {
            state.inbound_bytes -= bytes.len();
            let says = core::mem::take(&mut state.says);
            drop(state);
            says.into_iter().for_each(Waker::wake);
            return Poll::Ready(Some(bytes));
        }
        if state.parted {
            return Poll::Ready(None);
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Ready when another message may be said.
    pub(crate) fn poll_room(&self, bytes_max: usize, cx: &mut Context<'_>) -> Poll<bool> {
        let mut state = self.lock();
        if state.parted {
            return Poll::Ready(false);
        }
        if state.outbound_bytes <= bytes_max {
            return Poll::Ready(true);
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The same, while so much waits that more would be too much.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<bool> {
        self.poll_room(WAITING_BYTES_MAX, cx)
    }

    pub(crate) fn send(&self, bytes: Bytes) {
        let mut state = self.lock();
        state.outbound_bytes += bytes.len();
        state.outbound.push_back(bytes);
        let hears = state.hears.take();
        drop(state);
        wake(hears);
    }

    /// Nothing follows what was said.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let hears = state.hears.take();
        drop(state);
        wake(hears);
    }

    /// The hub lets go of it; whether its client is still there.
    pub(crate) fn end(&self) -> bool {
        let mut state = self.lock();
        state.over = true;
        let is_there = !state.parted;
        let hears = state.hears.take();
        let says = core::mem::take(&mut state.says);
        drop(state);
        wake(hears);
        says.into_iter().for_each(Waker::wake);
        is_there
    }

    /// Since when nobody hears, if so.
    pub(crate) fn silent_since(&self) -> Option<Instant> {
        self.lock().silent_since
    }

    /// Bytes received, bytes sent, and whether some wait to be.
    pub(crate) fn progress(&self) -> (u64, u64, bool) {
        let state = self.lock();
        (
            state.received_bytes,
            state.sent_bytes,
            state.outbound_bytes > 0,
        )
    }
}
