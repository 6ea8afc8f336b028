//! What requests and a transport that is made of them share: [`Pipe`].

use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use lapwing::Instant;

/// Bytes that wait in either direction, beside one message.
const WAITING_BYTES_MAX: usize = 64 * 1024;

/// Requests at a time by which one client says something: one is usual.
const SAYING_MAX: usize = 2;

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
    says: [Place; SAYING_MAX],
}

/// Of a request by which the client says something.
#[derive(Debug, Default)]
enum Place {
    #[default]
    Free,
    Taken,
    /// It waits for room.
    Waits(Waker),
}

impl State {
    /// Those who wait for room, once.
    fn take_waiting(&mut self) -> [Option<Waker>; SAYING_MAX] {
        core::array::from_fn(|index| match &mut self.says[index] {
            place @ Place::Waits(_) => match core::mem::replace(place, Place::Taken) {
                Place::Waits(waker) => Some(waker),
                Place::Free | Place::Taken => None,
            },
            Place::Free | Place::Taken => None,
        })
    }
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

    /// A place for a request by which the client says something; `None` when all are taken.
    pub(crate) fn begin_to_say(&self) -> Option<usize> {
        let mut state = self.lock();
        let is_free = |place: &Place| matches!(place, Place::Free);
        let place = state.says.iter().position(is_free)?;
        state.says[place] = Place::Taken;
        Some(place)
    }

    pub(crate) fn end_to_say(&self, place: usize) {
        self.lock().says[place] = Place::Free;
    }

    /// Takes what the client says; pending while too much of it waits. False when nobody takes it any more.
    pub(crate) fn poll_say(
        &self,
        place: usize,
        bytes: &mut Bytes,
        cx: &mut Context<'_>,
    ) -> Poll<bool> {
        let mut state = self.lock();
        if state.parted || state.over {
            return Poll::Ready(false);
        }
        if bytes.is_empty() {
            return Poll::Ready(true);
        }
        if state.inbound_bytes > WAITING_BYTES_MAX {
            state.says[place] = Place::Waits(cx.waker().clone());
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
        let says = state.take_waiting();
        drop(state);
        [reader, writer, hears].into_iter().for_each(wake);
        says.into_iter().for_each(wake);
    }

    // ── the transport ──

    /// What the client says next; `None` when it has ended.
    pub(crate) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = self.lock();
        if let Some(bytes) = state.inbound.pop_front() {
            state.inbound_bytes -= bytes.len();
            let says = state.take_waiting();
            drop(state);
            says.into_iter().for_each(wake);
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
            // What it has said before is taken still; nobody hears what comes of that.
            state.outbound.clear();
            state.outbound_bytes = 0;
            return Poll::Ready(!state.inbound.is_empty());
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
        if state.parted {
            return;
        }
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
        let says = state.take_waiting();
        drop(state);
        wake(hears);
        says.into_iter().for_each(wake);
        is_there
    }

    /// Since when nobody hears, if so.
    pub(crate) fn silent_since(&self) -> Option<Instant> {
        self.lock().silent_since
    }

    /// Bytes received, bytes sent, and whether some wait to be heard by somebody who is there.
    pub(crate) fn progress(&self) -> (u64, u64, bool) {
        let state = self.lock();
        (
            state.received_bytes,
            state.sent_bytes,
            state.outbound_bytes > 0 && state.hearing > 0,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cx() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    fn say(pipe: &Pipe, place: usize, text: &'static [u8]) -> Poll<bool> {
        pipe.poll_say(place, &mut Bytes::from_static(text), &mut cx())
    }

    #[test]
    fn a_client_says_so_much_at_a_time() {
        static MUCH: [u8; WAITING_BYTES_MAX + 1] = [b'x'; WAITING_BYTES_MAX + 1];
        let pipe = Pipe::default();
        let (first, second) = (pipe.begin_to_say(), pipe.begin_to_say());
        assert_eq!(
            (first, second, pipe.begin_to_say()),
            (Some(0), Some(1), None)
        );
        assert_eq!(say(&pipe, 0, &MUCH), Poll::Ready(true));
        assert_eq!(say(&pipe, 1, b"more"), Poll::Pending);
        // Whoever goes leaves nothing behind.
        pipe.end_to_say(1);
        assert!(matches!(pipe.lock().says[1], Place::Free));
        assert_eq!(pipe.begin_to_say(), Some(1));
        assert_eq!(say(&pipe, 1, b"more"), Poll::Pending);
        assert!(pipe.poll_recv(&mut cx()).is_ready());
        assert!(matches!(pipe.lock().says[1], Place::Taken), "it was woken");
        assert_eq!(say(&pipe, 1, b"more"), Poll::Ready(true));
    }

    #[test]
    fn between_two_polls_nobody_is_slow() {
        let pipe = Pipe::default();
        pipe.send(Bytes::from_static(b"hi"));
        assert_eq!(pipe.progress(), (0, 0, false));
        let hearer = pipe.begin_to_hear();
        assert_eq!(pipe.progress(), (0, 0, true));
        let heard = pipe.poll_hear(hearer, &mut cx());
        assert_eq!(heard, Poll::Ready(Heard::Bytes(Bytes::from_static(b"hi"))));
        assert_eq!(pipe.progress(), (0, 2, false));
        pipe.end_to_hear(Instant::from_micros(7));
        assert_eq!(pipe.silent_since(), Some(Instant::from_micros(7)));
    }

    #[test]
    fn what_a_client_said_before_it_went_is_taken() {
        let pipe = Pipe::default();
        assert_eq!(pipe.begin_to_say(), Some(0));
        assert_eq!(say(&pipe, 0, b"last"), Poll::Ready(true));
        pipe.part();
        assert_eq!(say(&pipe, 0, b"later"), Poll::Ready(false));
        pipe.send(Bytes::from_static(b"nobody hears it"));
        assert_eq!(pipe.poll_room(0, &mut cx()), Poll::Ready(true));
        let last = Some(Bytes::from_static(b"last"));
        assert_eq!(pipe.poll_recv(&mut cx()), Poll::Ready(last));
        assert_eq!(pipe.poll_recv(&mut cx()), Poll::Ready(None));
        assert_eq!(pipe.poll_room(0, &mut cx()), Poll::Ready(false));
    }

    #[test]
    fn a_newer_hearer_takes_the_place_of_an_older_one() {
        let pipe = Pipe::default();
        let (older, newer) = (pipe.begin_to_hear(), pipe.begin_to_hear());
        pipe.send(Bytes::from_static(b"hi"));
        assert_eq!(
            pipe.poll_hear(older, &mut cx()),
            Poll::Ready(Heard::Replaced)
        );
        assert!(matches!(
            pipe.poll_hear(newer, &mut cx()),
            Poll::Ready(Heard::Bytes(_))
        ));
        pipe.end_to_hear(Instant::from_micros(1));
        assert_eq!(pipe.silent_since(), None, "one hears still");
        pipe.close();
        assert_eq!(pipe.poll_hear(newer, &mut cx()), Poll::Ready(Heard::Over));
        assert_eq!(pipe.poll_recv(&mut cx()), Poll::Ready(None), "it knows");
    }
}
