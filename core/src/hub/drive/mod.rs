//! The task of one connection: reads, lets handlers run, keeps time, and sees it to its end.

mod aliases;
mod calls;
mod door;
mod leaving;
mod reading;
mod requests;
mod returning;
mod streaming;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use self::aliases::Aliases;
use self::door::Entering;
use self::reading::Reading;
use super::connection::{Connection, Live, PeerCallError};
use super::dispatch::Run;
use super::guest::Guest;
use super::{Hub, Shared};
use crate::answers::Answers;
use crate::id::{Group, UserId};
use crate::registry::Key;
use crate::runtime::Timer;
use crate::session::{Ending, Input, SessionEvent};
use crate::time::Instant;
use crate::transport::Info;

/// Runs one connection to its end; the future of [`Hub::attach`](super::Hub::attach).
#[must_use = "a connection lives as long as its future is polled"]
pub(crate) struct Drive {
    hub: Hub,
    connection: Arc<Connection>,
    /// None while it runs; on the heap, as most end only once.
    ended: Option<Box<Ended>>,
    /// Of a connection without a shard.
    timer: Option<Box<dyn Timer>>,
    /// Until the client is let in.
    entering: Option<Box<Entering>>,
    /// None while there was no handler.
    answers: Option<Box<Answers>>,
    /// Streams wait until the lane has room.
    stalled: bool,
    key: Option<Key>,
    user: Option<UserId>,
    guest: Option<Arc<Guest>>,
    /// What a client that may return got at the door.
    groups: Box<[Group]>,
    /// None while there was none.
    aliases: Option<Box<Aliases>>,
    /// The client has gone on with another connection, which has its transport now.
    moved: bool,
    /// The peer was not read when it last could have been: its silence says nothing.
    unheard: bool,
}

#[derive(Clone, Copy)]
enum Ended {
    /// The peer may take its time for last words; its client may return until `away`, if at all.
    Goodbye {
        ending: Ending,
        until: Instant,
        away: Option<Instant>,
    },
    /// The client may return.
    Away { ending: Ending, until: Instant },
    /// Nothing is left.
    Done,
}

/// What a turn came to.
enum Turn {
    Waiting,
    /// The budget is used up: others are next, then this one again.
    Again,
    Ended(Ending),
}

impl Drive {
    pub(crate) fn new(hub: Hub, connection: Arc<Connection>, info: Info) -> Self {
        let timer = connection
            .shard()
            .is_none()
            .then(|| hub.shared.runtime.timer());
        let turned_away = hub.shared.has_no_room();
        if let Some(reason) = turned_away
            && let Some(live) = connection.live().as_mut()
        {
            live.link.turn_away(reason);
        }
        hub.shared.arrive(&connection);
        Self {
            hub,
            connection,
            ended: None,
            timer,
            entering: Some(Box::new(Entering::new(info, turned_away))),
            answers: None,
            stalled: false,
            key: None,
            user: None,
            guest: None,
            groups: Box::default(),
            aliases: None,
            moved: false,
            unheard: false,
        }
    }

    fn shared(&self) -> &Shared {
        &self.hub.shared
    }

    /// The handlers that answer the peer.
    fn answers(&mut self) -> &mut Answers {
        let limits = &self.hub.shared.limits;
        self.answers
            .get_or_insert_with(|| Box::new(Answers::new(limits)))
    }

    /// When the next of them, or of the streams, runs out of time.
    fn answers_due(&self) -> Option<Instant> {
        let answers = self.answers.as_ref().and_then(|answers| answers.deadline());
        let streams = self.shared().calls_until();
        let streams = streams.filter(|_| self.has_open_calls());
        [answers, streams].into_iter().flatten().min()
    }

    /// Runs `act` on what the connection has until it is gone.
    fn live<T>(&self, act: impl FnOnce(&mut Live) -> T) -> Option<T> {
        self.connection.live().as_mut().map(act)
    }

    /// Whether the `serve` that this connection belongs to is gone.
    fn is_abandoned(&self) -> bool {
        self.connection
            .shard()
            .is_some_and(|shard| shard.is_stopped())
    }

    fn turn(&mut self, now: Instant, cx: &mut Context<'_>) -> Turn {
        if self.is_abandoned() {
            return Turn::Ended(Ending::Lost);
        }
        let (unheard, cutting) = (self.unheard, self.shared().is_cutting());
        self.live(|live| {
            if unheard {
                live.link.session.hold(now);
                live.store.lane.await_anew(now);
            }
            // Its client may have returned while everybody was cut.
            if cutting {
                live.link.session.handle_end();
            }
        });
        // Before time passes: what waits to be read may be older than our sleep.
        let reading = self.read(now, cx);
        self.live(|live| {
            live.link.session.handle_timeout(&mut live.store, now);
            live.let_go_on(now);
            if matches!(reading, Reading::Silent) {
                live.store.lane.rest();
            }
        });
        // After reading: a hello that came in is decided about in this turn, or nobody would wake us for it.
        self.decide(now, cx);
        self.unheard = matches!(reading, Reading::Paused);
        let mut again = self.answer(now, cx) || matches!(reading, Reading::Budget);
        if let Some(ending) = self.events() {
            return Turn::Ended(ending);
        }
        again |= self.read_on();
        // How it went, the session's events tell.
        self.live(|live| self.connection.write(live, now).is_ready());
        again |= self.live(|live| live.may_read_on()).unwrap_or(false);
        self.shared().room_freed();
        // What reading waited for may have happened since.
        again |= matches!(reading, Reading::Paused) && self.may_read(now);
        again |= self.stalled && self.may_flow();
        match self.events() {
            Some(ending) => Turn::Ended(ending),
            None if again => Turn::Again,
            None => Turn::Waiting,
        }
    }

    /// Lets subscriptions have more of the past; true when others are next, then this one again.
    fn read_on(&self) -> bool {
        let reads = self.live(|live| live.replaying > 0).unwrap_or(false);
        reads && self.shared().replay(&self.connection)
    }

    fn act(&mut self, input: Input<'_>, run: &mut Run<'_>, now: Instant) {
        if let Input::Publish(publish) = input {
            return self.publish(publish, run);
        }
        // What follows may change who hears what, or takes time.
        run.close();
        match input {
            Input::Hello(hello) => self.hello(hello, now),
            Input::Subscribe(subscribe) => self.subscribe(subscribe),
            Input::Unsubscribe(unsubscribe) => self.unsubscribe(unsubscribe),
            Input::Call(call) => self.call(call, now),
            Input::Reply(reply) => self.answered(reply),
            Input::Cancel(cancel) => self.cancelled(cancel.id),
            Input::Open(open) => self.open_call(open, now),
            Input::Item(item) => self.item(item, now),
            Input::End(end) => self.end_of(end),
            Input::Credit(credit) => self.credit(credit),
            _ => {}
        }
    }

    /// Takes care of the session's small facts; tells when it is over.
    fn events(&self) -> Option<Ending> {
        loop {
            let next = |live: &mut Live| {
                let event = live.link.session.poll_event(&mut live.store)?;
                let waiter = match event {
                    SessionEvent::CallTimedOut(id) => live.timed_out(id),
                    SessionEvent::Ended(_) => Default::default(),
                };
                Some((event, waiter))
            };
            let (event, (waiter, wakers)) = self.live(next)??;
            drop(wakers);
            // It may have been dropped meanwhile.
            let _ = waiter.map(|waiter| waiter.send(Err(PeerCallError::TimedOut)));
            if let SessionEvent::Ended(ending) = event {
                return Some(ending);
            }
        }
    }

    /// When this task wants a turn although nothing has happened; takes note whether that is for the session alone.
    fn deadline(&self, now: Instant) -> Option<Instant> {
        match self.ended.as_deref() {
            Some(Ended::Done) => return None,
            // Nobody waits for answers any more, in either direction.
            Some(Ended::Goodbye {
                until, away: None, ..
            }) => return Some(*until),
            Some(Ended::Goodbye { until, .. } | Ended::Away { until, .. }) => {
                let calls = self.live(|live| live.link.session.calls_timeout());
                let others = [calls.flatten(), self.answers_due()];
                return others.into_iter().flatten().chain([*until]).min();
            }
            None => {}
        }
        let answers = self.answers_due();
        let session = |live: &mut Live| {
            let resumes = live.link.session.reading_resumes(now);
            let lane = &live.store.lane;
            let others = [resumes, lane.held_until(), lane.confirm_by(), answers];
            let other = others.into_iter().flatten().min();
            live.rests = !self.unheard && other.is_none();
            [live.link.session.poll_timeout(), other]
        };
        let deadlines = self.live(session)?;
        deadlines.into_iter().flatten().min()
    }

    /// Sees to it that this task has a turn in time; true when it is due already.
    fn schedule(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let Some(at) = self.deadline(now) else {
            return false;
        };
        match (&mut self.timer, self.connection.shard()) {
            (Some(timer), _) => {
                timer.arm(at);
                timer.poll_fired(cx).is_ready()
            }
            (None, Some(shard)) => {
                shard.schedule(&self.connection, at);
                at <= now
            }
            (None, None) => false,
        }
    }
}

impl Future for Drive {
    type Output = Ending;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ending> {
        let this = &mut *self;
        this.connection.register(cx.waker());
        loop {
            let now = this.shared().runtime.now();
            if this.connection.take_arrived() {
                this.take_arrival(now);
            }
            match this.ended.as_deref().copied() {
                None => match this.turn(now, cx) {
                    _ if this.moved => return Poll::Ready(this.move_out()),
                    Turn::Waiting if this.schedule(now, cx) => {}
                    Turn::Waiting => return Poll::Pending,
                    Turn::Again => {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    Turn::Ended(ending) => this.end(ending, now),
                },
                Some(ended) => {
                    if let Some(polled) = this.poll_ended(ended, now, cx) {
                        return polled;
                    }
                }
            }
        }
    }
}

impl Drop for Drive {
    /// A connection whose future is dropped ends without a word, for its peer and for the hub.
    fn drop(&mut self) {
        match self.ended.as_deref() {
            Some(Ended::Done) => return,
            Some(Ended::Goodbye { away: None, .. }) => {}
            _ => self.leave(Ending::Lost),
        }
        self.bury();
    }
}
