//! Drives one connection, from the hello to the end of its session.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::CallAnswer;
use super::driver::Over;
use super::meantime::Meantime;
use super::methods::Methods;
use super::outbox::Store;
use super::queue::Queue;
use super::shared::{Inner, Shared};
use super::state::State;
use super::subscription::Delivery;
use super::subscriptions::Told;
use super::welcome::Arrival;
use crate::answers::{Answers, Opened};
use crate::link::Link;
use crate::runtime::Timer;
use crate::session::{Ending, Input, Lane, SessionEvent};
use crate::streams::Overrun;
use crate::time::Instant;
use crate::topic::Topic;
use crate::transport::Message;
use crate::wire::{
    Call, Close, CloseReason, Envelope, Event, Item, Lagged, Live, Open, Refused, Replay, Reply,
    Return, Welcome,
};

/// Payloads up to this size are copied out of the message they came in, so that a small event that waits does not
/// hold a large buffer of the transport.
const COPIED_BYTES_MAX: usize = 1024;

/// The work of one connection.
pub(super) struct Connection<'a> {
    shared: &'a Shared,
    methods: &'a Methods,
    timer: &'a mut dyn Timer,
    answers: &'a mut Answers,
    /// Queues that their readers have to empty before the client reads on.
    full: Vec<Arc<Queue>>,
    /// Nothing was read when last tried: the hub's silence says nothing.
    held: bool,
    scratch: BytesMut,
    refused: Option<Over>,
    online_since: Option<Instant>,
    flush_until: Option<Instant>,
}

impl<'a> Connection<'a> {
    pub(super) fn new(meantime: &'a mut Meantime, methods: &'a Methods) -> Self {
        Self {
            shared: &meantime.shared,
            methods,
            timer: &mut *meantime.timer,
            answers: &mut meantime.answers,
            full: Vec::new(),
            held: false,
            scratch: BytesMut::new(),
            refused: None,
            online_since: None,
            flush_until: None,
        }
    }

    /// Works until the session has ended; says how. The link stays where it is.
    pub(super) async fn run(mut self) -> Over {
        let ending = poll_fn(|cx| self.poll(cx)).await;
        match self.refused {
            Some(refused) => refused,
            None if self.shared.with(|inner| inner.closing) => Over::Closed,
            None => Over::Ended {
                ending,
                online_since: self.online_since,
            },
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        let now = self.shared.runtime.now();
        self.shared.register_driver(cx);
        self.hold(now);
        // Before time passes: what waits to be read may be older than our sleep.
        let more = self.read(now, cx);
        self.with_link(|link, store| link.session.handle_timeout(store, now));
        let claimed = self.shared.expire_calls(now);
        let blocked = self.shared.answer_calls(self.answers, now, cx);
        // Before: the hub is told to stop calls whose time is over. After: writing may have ended the session.
        let mut ending = self.handle_events();
        if ending.is_none() {
            self.write(now, cx);
            ending = self.handle_events();
        }
        if let Some(ending) = ending {
            return Poll::Ready(ending);
        }
        // What the outbox had no room for goes on when writing has made some.
        let unblocked = (blocked && self.shared.has_room()) || self.may_read_again();
        let answers = self.answers.deadline().filter(|_| !blocked);
        let alarms = [claimed, answers];
        if more || unblocked || self.sleep(alarms, now, cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Whether nothing was read for fear of too many answers, which have left meanwhile.
    fn may_read_again(&self) -> bool {
        self.held && self.full.is_empty() && !self.waits_for_streams()
    }

    /// Whether so much is not read of streams, or so many answers wait, that the hub is not read.
    fn waits_for_streams(&self) -> bool {
        let full = |inner: &mut Inner| {
            inner
                .store
                .streams
                .as_ref()
                .is_some_and(|s| s.lock().is_full())
        };
        self.shared.with(full) || self.is_answering_enough()
    }

    fn is_answering_enough(&self) -> bool {
        let answers_max = self.shared.limits.answers_waiting_max as usize;
        self.shared.with(|inner| {
            let outbox = &inner.store.outbox;
            // What it waits for may be the hub's word that it has some of them.
            outbox.answers() >= answers_max && !outbox.is_held_up()
        })
    }

    /// Takes note that nothing was read, if so.
    fn hold(&self, now: Instant) {
        if self.held {
            self.with_link(|link, _| link.session.hold(now));
        }
    }

    /// Reads what has arrived, within one turn's budget; whether there may be more.
    fn read(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let limits = &self.shared.limits;
        let mut bytes = 0;
        for _ in 0..limits.turn_frames_max.max(1) {
            let Poll::Ready(Some(message)) = self.poll_message(now, cx) else {
                return false;
            };
            bytes += message.bytes.len();
            self.handle_message(&message, now);
            if bytes >= limits.turn_bytes_max as usize {
                break;
            }
        }
        true
    }

    fn poll_message(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.full.retain(|queue| queue.is_full(cx));
        let wait = !self.full.is_empty() || self.waits_for_streams();
        let mut held = false;
        let message = self.shared.with(|inner| {
            let link = inner.link.as_mut().expect("a connection has a link");
            // Before and after that nothing of the hub has to wait for the program.
            held = wait && link.session.is_ready();
            match held {
                true => Poll::Pending,
                false => link.poll_message(now, cx),
            }
        });
        self.held = held;
        message
    }

    fn handle_message(&mut self, message: &Message, now: Instant) {
        let mut scratch = core::mem::take(&mut self.scratch);
        scratch.clear();
        let input = self.with_link(|link, store| link.handle(message, &mut scratch, store, now));
        self.handle_input(input, &message.bytes, now);
        self.scratch = scratch;
    }

    fn handle_input(&mut self, input: Input<'_>, message: &Bytes, now: Instant) {
        match input {
            Input::Welcome(welcome) => self.handle_welcome(&welcome, now),
            Input::Ack(ack) => {
                let (told, results) = self.shared.handle_ack(ack);
                self.follow(told);
                // Whoever has its subscription goes on at once, and may need the client to be online.
                self.come_online(now);
                results.tell();
            }
            Input::Event(event) => self.handle_event(event, message, now),
            Input::Replay(replay) => self.handle_replay(replay, message, now),
            Input::Live(live) => self.handle_live(live),
            Input::Lagged(lagged) => self.handle_lagged(lagged),
            Input::Reply(reply) => self.handle_reply(reply, message),
            Input::Call(call) => self.handle_call(call, now),
            Input::Cancel(cancel) => self.shared.cancelled(self.answers, cancel.id),
            Input::Open(open) => self.handle_open(open, now),
            Input::Item(item) => self.handle_item(item, message, now),
            Input::End(end) => self.shared.end_of(end),
            Input::Credit(credit) => self.shared.credit(credit),
            Input::Refused(refused) => self.refused = Some(self.over(refused)),
            // The session takes care of the rest, or it is for hubs.
            _ => {}
        }
    }

    fn come_online(&mut self, now: Instant) {
        if let Some(connection) = self.shared.with(|inner| inner.came_online()) {
            self.online_since = Some(now);
            self.shared.enter(State::Online { connection });
        }
    }

    fn handle_welcome(&mut self, welcome: &Welcome<'_>, now: Instant) {
        let arrival = match self.shared.handle_welcome(welcome) {
            Ok(arrival) => arrival,
            Err(reason) => return self.violate(reason, now),
        };
        if !arrival.is_whole {
            *self.answers = Answers::new(&self.shared.limits);
        }
        let Arrival {
            told,
            verdict,
            hearing,
            ..
        } = arrival;
        self.follow(told);
        // Handlers may want to publish.
        self.come_online(now);
        if let Some(verdict) = verdict {
            self.shared.tell_handlers(&hearing, &verdict);
        }
    }

    fn over(&self, refused: Refused<'_>) -> Over {
        let retry_after_ms = refused.retry_after_ms;
        Over::Refused {
            reason: refused.reason,
            retry_after: retry_after_ms.map(|ms| Duration::from_millis(ms.into())),
            message: String::from(refused.message),
            returning: self.shared.with(|inner| inner.claim.is_some()),
        }
    }

    /// Ends the session because of what the hub said.
    fn violate(&self, reason: CloseReason, now: Instant) {
        self.with_link(|link, _| link.session.violate(reason, now));
    }

    fn handle_event(&mut self, event: Event<'_>, message: &Bytes, now: Instant) {
        let Ok(topic) = Topic::new(event.topic) else {
            return self.violate(CloseReason::Malformed, now);
        };
        let payload = owned(message, event.payload.bytes);
        let envelope = Envelope::new(topic, event.payload.encoding, payload);
        let envelope = envelope.at(event.offset.map(u64::from_le_bytes));
        let mut told = Told::default();
        let hearing = self.shared.with(|inner| {
            match event.direct {
                true => inner.account(1),
                false => inner.subscriptions.hear(topic, &envelope, &mut told),
            }
            inner.handlers.hearing(Some(topic))
        });
        self.follow(told);
        self.shared
            .tell_handlers(&hearing, &Delivery::Event(envelope));
    }

    fn handle_replay(&mut self, replay: Replay<'_>, message: &Bytes, now: Instant) {
        let Ok(topic) = Topic::new(replay.topic) else {
            return self.violate(CloseReason::Malformed, now);
        };
        let (number, offset) = (replay.subscription, replay.offset);
        let payload = owned(message, replay.payload.bytes);
        let envelope = Envelope::new(topic, replay.payload.encoding, payload).at(Some(offset));
        self.tell(|inner, told| inner.subscriptions.replay(number, envelope, told));
    }

    fn handle_live(&mut self, live: Live) {
        let (number, offset) = (live.subscription, live.offset);
        self.tell(|inner, told| inner.subscriptions.come_live(number, offset, told));
    }

    /// Tells subscriptions something.
    fn tell(&mut self, tell: impl FnOnce(&mut Inner, &mut Told)) {
        let mut told = Told::default();
        self.shared.with(|inner| tell(inner, &mut told));
        self.follow(told);
    }

    fn handle_lagged(&mut self, lagged: Lagged) {
        let Lagged {
            subscription,
            missed,
        } = lagged;
        if subscription == 0 {
            let hearing = self.shared.with(|inner| {
                inner.account(missed);
                inner.handlers.hearing(None)
            });
            let lagged = Delivery::Lagged(missed);
            return self.shared.tell_handlers(&hearing, &lagged);
        }
        self.tell(|inner, told| inner.subscriptions.lag(subscription, missed, told));
    }

    /// Wakes readers, and remembers which of them have to read before the client reads on.
    fn follow(&mut self, told: Told) {
        self.full.extend(told.full);
        told.woken.into_iter().for_each(Waker::wake);
    }

    fn handle_reply(&mut self, reply: Reply<'_>, message: &Bytes) {
        let answer = match reply.result {
            Ok(payload) => CallAnswer::Result(payload.encoding, owned(message, payload.bytes)),
            Err(failure) => CallAnswer::Failure(failure.into()),
        };
        self.answered(reply.id, answer);
    }

    /// Tells whoever waits for the answer to a call of ours.
    fn answered(&self, id: u32, answer: CallAnswer) {
        let waiting = self.shared.with(|inner| inner.calls.remove(&id));
        // It may have been dropped meanwhile.
        let _ = waiting.map(|waiting| waiting.send(answer));
    }

    fn handle_call(&mut self, call: Call<'_>, now: Instant) {
        let wanted = self.shared.protocol.encoding();
        if let Err(failure) = self.methods.begin(call, wanted, self.answers, now) {
            self.shared.reply(call.id, Err(failure));
        }
    }

    fn handle_open(&mut self, open: Open<'_>, now: Instant) {
        let wanted = self.shared.protocol.encoding();
        if let Err(failure) = self
            .shared
            .open(open, self.methods, wanted, self.answers, now)
        {
            self.shared.say_last(Opened::of(&open), Err(failure));
        }
    }

    fn handle_item(&self, item: Item<'_>, message: &Bytes, now: Instant) {
        let payload = owned(message, item.payload.bytes);
        let arrived = self
            .shared
            .arrive(item.id, (item.payload.encoding, payload));
        if let Err(Overrun) = arrived {
            self.violate(CloseReason::Unexpected, now);
        }
    }

    fn write(&mut self, now: Instant, cx: &mut Context<'_>) {
        let (shared, flush_until) = (self.shared, &mut self.flush_until);
        shared.with(|inner| {
            inner.write(now, cx);
            let closing = shared.limits.closing;
            if inner.closing && inner.has_flushed(flush_until.get_or_insert(now + closing), now) {
                inner.say_goodbye(now);
                inner.write(now, cx);
            }
            let freed = inner.store.outbox.take_freed();
            if freed && core::mem::take(&mut inner.room_wanted) {
                inner.wake_waiting();
            }
        });
    }

    fn handle_events(&mut self) -> Option<Ending> {
        loop {
            match self.with_link(|link, store| link.session.poll_event(store))? {
                SessionEvent::CallTimedOut(id) => {
                    self.shared.with(|inner| inner.timed_out(id));
                    self.answered(id, CallAnswer::TimedOut);
                }
                SessionEvent::Ended(ending) => return Some(ending),
            }
        }
    }

    /// Sets the timer to whatever is next; ready when that is now. Nobody's time runs out while answers are blocked.
    fn sleep(
        &mut self,
        alarms: [Option<Instant>; 2],
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let session = self.with_link(|link, _| link.session.poll_timeout());
        let flush_until = self.flush_until.filter(|until| *until > now);
        let next = alarms.into_iter().chain([session, flush_until]);
        match next.flatten().min() {
            Some(at) => self.timer.arm(at),
            None => self.timer.disarm(),
        }
        self.timer.poll_fired(cx)
    }

    fn with_link<T>(&self, work: impl FnOnce(&mut Link, &mut Store) -> T) -> T {
        self.shared.with(|inner| {
            let link = inner.link.as_mut().expect("a connection has a link");
            work(link, &mut inner.store)
        })
    }
}

impl Inner {
    fn write(&mut self, now: Instant, cx: &mut Context<'_>) {
        if let Some(link) = &mut self.link {
            // An error has ended the session, which tells.
            let _ = link.poll_write(&mut self.store, now, cx);
        }
    }

    /// Whether nothing waits, or it has waited long enough, or it cannot leave anyway.
    fn has_flushed(&self, until: &Instant, now: Instant) -> bool {
        let link = self.link.as_ref();
        let ready = link.is_some_and(|link| link.session.is_ready());
        !ready || self.store.outbox.is_empty() || *until <= now
    }

    fn say_goodbye(&mut self, now: Instant) {
        let (reason, verdict) = (CloseReason::Done, Return::Now);
        if let Some(link) = &mut self.link {
            link.session.close(Close { reason, verdict }, false, now);
        }
    }
}

/// A part of `message`, or bytes that were made of it.
fn owned(message: &Bytes, part: &[u8]) -> Bytes {
    let within = message.as_ptr_range();
    let borrowed = within.start <= part.as_ptr() && part.as_ptr_range().end <= within.end;
    match borrowed && part.len() > COPIED_BYTES_MAX {
        true => message.slice_ref(part),
        false => Bytes::copy_from_slice(part),
    }
}
