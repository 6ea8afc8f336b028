//! The task of one connection: reads, lets handlers run, keeps time, and sees it to its end.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::{Bytes, BytesMut};

use super::admission::{Admission, Ask, Refuse};
use super::connection::{Connection, Live, PeerCallError};
use super::dispatch::Run;
use super::{Caller, Hub, Shared};
use crate::answers::{Answer, Answers, CallFailure, Place};
use crate::policy::Policy;
use crate::registry::{Key, SubscribeError};
use crate::runtime::{BoxFuture, Timer};
use crate::session::{Ending, Input, SessionEvent};
use crate::sync::write;
use crate::time::Instant;
use crate::topic::{Topic, TopicFilter};
use crate::wire::{
    Ack, Call, Close, CloseReason, Denied, Failure, FailureCode, Frame, Hello, Name, Outcome,
    Payload, Publish, Refusal, Reply, Return, Start, Subscribe, Unsubscribe,
};

use super::rules::Peer;

/// Runs one connection to its end; the future of [`Hub::attach`](super::Hub::attach).
#[must_use = "a connection lives as long as its future is polled"]
pub(crate) struct Drive {
    hub: Hub,
    connection: Arc<Connection>,
    stage: Stage,
    /// Of a connection without a shard.
    timer: Option<Box<dyn Timer>>,
    admission: Option<BoxFuture<'static, Result<Admission, Refuse>>>,
    answers: Answers,
    key: Option<Key>,
    aliases: Vec<(u16, String)>,
}

#[derive(Clone, Copy)]
enum Stage {
    Running,
    Goodbye { ending: Ending, until: Instant },
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
    pub(crate) fn new(hub: Hub, connection: Arc<Connection>) -> Self {
        let limits = &hub.shared.limits;
        let answers = Answers::new(limits.calls_running_max, limits.calls_waiting_max);
        let timer = connection
            .shard()
            .is_none()
            .then(|| hub.shared.runtime.timer());
        if let Some(shard) = connection.shard() {
            shard.enter(&connection);
        }
        hub.shared.arrive();
        Self {
            hub,
            connection,
            stage: Stage::Running,
            timer,
            admission: None,
            answers,
            key: None,
            aliases: Vec::new(),
        }
    }

    fn shared(&self) -> &Shared {
        &self.hub.shared
    }

    /// Runs `act` on what the connection has until it is gone.
    fn live<T>(&self, act: impl FnOnce(&mut Live) -> T) -> Option<T> {
        self.connection.live().as_mut().map(act)
    }

    fn turn(&mut self, now: Instant, cx: &mut Context<'_>) -> Turn {
        if self
            .connection
            .shard()
            .is_some_and(|shard| shard.is_stopped())
        {
            return Turn::Ended(Ending::Lost);
        }
        self.live(|live| live.link.session.handle_timeout(&mut live.store, now));
        self.decide(now, cx);
        let mut again = self.read(now, cx);
        again |= self.answer(now, cx);
        if let Some(ending) = self.events() {
            return Turn::Ended(ending);
        }
        self.write(now);
        // A failed write ends the session.
        match self.events() {
            Some(ending) => Turn::Ended(ending),
            None if again => Turn::Again,
            None => Turn::Waiting,
        }
    }

    // ── reading ──

    /// Acts on what the peer said; true when there may be more.
    fn read(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let hub = self.hub.shared.clone();
        let (mut frames, mut bytes) = (
            hub.limits.turn_frames_max,
            hub.limits.turn_bytes_max as usize,
        );
        let mut run = Run::new(&hub);
        let mut scratch = BytesMut::new();
        while self.may_read(now) {
            if frames == 0 || bytes == 0 {
                return true;
            }
            let Some(Poll::Ready(Some(message))) =
                self.live(|live| live.link.poll_message(now, cx))
            else {
                return false;
            };
            frames -= 1;
            bytes = bytes.saturating_sub(message.bytes.len());
            scratch.clear();
            let input = self.live(|live| {
                live.link
                    .handle(&message, &mut scratch, &mut live.store, now)
            });
            self.act(input.unwrap_or(Input::Nothing), &mut run, now);
        }
        false
    }

    /// Whether the peer may say more now. Whatever makes it wait here wakes this task when it is over.
    fn may_read(&self, now: Instant) -> bool {
        let busy = self.admission.is_some()
            || self.answers.is_full() && !self.shared().listeners.is_empty();
        let may = |live: &mut Live| {
            !live.is_answering_enough() && live.link.session.reading_resumes(now).is_none()
        };
        !busy && self.live(may).unwrap_or(false)
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
            Input::Reply(reply) => {
                let answer = match reply.result {
                    Ok(payload) => Ok((payload.encoding, payload.bytes.to_vec())),
                    Err(failure) => Err(PeerCallError::Failed(failure.into())),
                };
                self.live(|live| live.answer(reply.id, answer));
            }
            Input::Cancel(cancel) => self.answers.cancel(cancel.id),
            _ => {}
        }
    }

    // ── the handshake ──

    fn hello(&mut self, hello: Hello<'_>, now: Instant) {
        let ask = Ask {
            connection: self.connection.id,
            token: hello.token.map(Bytes::copy_from_slice),
            transport: self.connection.info.name,
            peer: self.connection.info.peer.clone(),
        };
        match &self.hub.shared.on_connect {
            Some(hook) => self.admission = Some(hook(ask)),
            None => self.admit(Ok(Admission::anonymous()), now),
        }
    }

    fn decide(&mut self, now: Instant, cx: &mut Context<'_>) {
        let Some(admission) = &mut self.admission else {
            return;
        };
        let polled = catch_unwind(AssertUnwindSafe(|| admission.as_mut().poll(cx)));
        let decision = match polled {
            Ok(Poll::Pending) => return,
            Ok(Poll::Ready(decision)) => decision,
            Err(_) => Err(Refuse::unauthorized("")),
        };
        self.admission = None;
        self.admit(decision, now);
    }

    fn admit(&mut self, decision: Result<Admission, Refuse>, now: Instant) {
        let admitted = decision.and_then(|admission| self.enter(admission));
        let id = self.connection.id;
        self.live(|live| match &admitted {
            Ok(_) => {
                if let Some(welcome) = live.link.session.welcome(id, now) {
                    live.link.send_first(&Frame::Welcome(welcome));
                }
            }
            Err(Refuse {
                reason,
                retry_after,
                message,
            }) => {
                let refused = live.link.session.refuse(*reason, *retry_after, message);
                live.link.send_first(&Frame::Refused(refused));
            }
        });
        // Too late for a welcome: it leaves by the session's end, which comes next.
        self.key = admitted.ok();
        if self.key.is_some() {
            self.shared().counters.connected();
            self.shared().settle();
        }
    }

    /// Puts the connection into the registry, with its user and its first groups, as one step.
    fn enter(&self, admission: Admission) -> Result<Key, Refuse> {
        let shared = self.shared();
        if shared.is_stopping() {
            return Err(Refuse::new(Refusal::Shutdown, Some(shared.return_after())));
        }
        let mut registry = write(&shared.registry);
        if registry.len() >= shared.limits.connections_max as usize {
            return Err(Refuse::new(Refusal::Full, Some(shared.return_after())));
        }
        let key = registry
            .insert(self.connection.id, admission.user, self.connection.clone())
            .ok_or_else(|| Refuse::new(Refusal::Full, None))?;
        let groups_max = shared.limits.groups_max as usize;
        let joined = admission
            .groups
            .iter()
            .try_for_each(|group| registry.join(key, group, groups_max).map(|_| ()));
        if joined.is_err() {
            registry.remove(key);
        }
        shared.changed(&registry);
        joined
            .map(|()| key)
            .map_err(|_| Refuse::unauthorized("too many groups"))
    }

    // ── requests ──

    fn publish(&mut self, publish: Publish<'_>, run: &mut Run<'_>) {
        let Publish {
            receipt,
            name,
            payload,
        } = publish;
        if receipt == 0 {
            let _ = self.publish_to(name, payload, run);
            return;
        }
        // A run of its own, so that the answer counts this event and no other.
        run.close();
        let outcome = match self.publish_to(name, payload, run) {
            Err(denied) => Outcome::Denied(denied),
            Ok(()) => {
                let published = run.close();
                Outcome::Published {
                    queued: published.queued,
                    dropped: published.dropped,
                }
            }
        };
        self.acknowledge(receipt, outcome);
    }

    fn publish_to(
        &mut self,
        name: Name<'_>,
        payload: Payload<'_>,
        run: &mut Run<'_>,
    ) -> Result<(), Denied> {
        let hub = self.hub.shared.clone();
        let declared;
        let text = match name {
            Name::Topic(text) => text,
            Name::Declare(alias, text) => {
                self.declare(alias, text)?;
                text
            }
            Name::Alias(alias) => {
                declared = self
                    .aliases
                    .iter()
                    .find(|(known, _)| *known == alias)
                    .ok_or(Denied::Alias)?
                    .1
                    .clone();
                &declared
            }
        };
        let topic = hub.topic(text)?;
        let rule = {
            let registry = crate::sync::read(&hub.registry);
            let user = self.key.and_then(|key| registry.user(key));
            hub.rules
                .publish(
                    Peer {
                        connection: self.connection.id,
                        user,
                    },
                    topic,
                )
                .ok_or(Denied::Forbidden)?
        };
        if let Some(max) = rule
            .payload_bytes_max
            .filter(|max| payload.bytes.len() > *max)
        {
            return Err(Denied::TooLarge {
                size: payload.bytes.len() as u64,
                max: max as u64,
            });
        }
        if !crate::payload::is_sound(payload) {
            return Err(Denied::Payload);
        }
        self.notify(topic, payload);
        run.add(topic, payload);
        Ok(())
    }

    fn declare(&mut self, alias: u16, text: &str) -> Result<(), Denied> {
        Topic::new(text).map_err(|_| Denied::Topic)?;
        let max = self.shared().limits.aliases_max;
        let full = self.aliases.len() >= max.into();
        match self.aliases.iter_mut().find(|(known, _)| *known == alias) {
            Some((_, name)) => *name = text.into(),
            None if full => return Err(Denied::TooMany { max: max.into() }),
            None => self.aliases.push((alias, text.into())),
        }
        Ok(())
    }

    /// Lets the program's own handlers know of an event that the peer publishes.
    fn notify(&mut self, topic: Topic<'_>, payload: Payload<'_>) {
        let hub = self.hub.shared.clone();
        for (filter, handler) in &hub.listeners {
            if TopicFilter::new(filter).is_ok_and(|filter| filter.matches(topic)) {
                let place = Place::default();
                let caller = self.caller(place.clone());
                let future = handler(caller, topic, payload);
                self.answers.push(None, None, place, future);
            }
        }
    }

    fn subscribe(&mut self, subscribe: Subscribe<'_>) {
        let outcome = match self.enlist(&subscribe) {
            Err(denied) => Outcome::Denied(denied),
            Ok(()) => Outcome::Subscribed,
        };
        let numbers = subscribe.first
            ..subscribe
                .first
                .saturating_add(subscribe.filters.len() as u32);
        let frame = Frame::Ack(Ack {
            receipt: subscribe.receipt,
            outcome,
        });
        // In one step: what is offered from here on stands behind the acknowledgement.
        self.live(|live| {
            if outcome == Outcome::Subscribed {
                live.subscriptions.extend(numbers);
                live.subscriptions.sort_unstable();
            }
            live.store.lane.push_answer(&frame);
        });
    }

    /// Puts all filters into the registry, or none.
    fn enlist(&self, subscribe: &Subscribe<'_>) -> Result<(), Denied> {
        let (shared, key) = (self.shared(), self.key.ok_or(Denied::Forbidden)?);
        if subscribe.start != Start::Now {
            return Err(Denied::NoHistory);
        }
        let last = u32::try_from(subscribe.filters.len())
            .ok()
            .and_then(|count| subscribe.first.checked_add(count));
        if subscribe.first == 0 || last.is_none() {
            return Err(Denied::NumberTaken);
        }
        let wanted = self.allowed(subscribe, key)?;
        let max = shared.limits.subscriptions_max;
        let mut registry = write(&shared.registry);
        let mut taken = Ok(());
        let mut number = subscribe.first;
        for (filter, policy) in wanted {
            taken = registry.subscribe(key, number, filter, policy, max as usize);
            if taken.is_err() {
                break;
            }
            number += 1;
        }
        if taken.is_err() {
            for number in subscribe.first..number {
                registry.unsubscribe(key, number);
            }
        }
        shared.changed(&registry);
        taken.map_err(|error| match error {
            SubscribeError::TooMany { .. } => Denied::TooMany { max },
            _ => Denied::NumberTaken,
        })
    }

    /// The filters with their policies, if the rules allow all of them.
    fn allowed<'a>(
        &self,
        subscribe: &Subscribe<'a>,
        key: Key,
    ) -> Result<Vec<(TopicFilter<'a>, Policy)>, Denied> {
        let shared = self.shared();
        let max = shared.limits.subscriptions_max;
        if subscribe.filters.len() > max as usize {
            return Err(Denied::TooMany { max });
        }
        let registry = crate::sync::read(&shared.registry);
        let peer = Peer {
            connection: self.connection.id,
            user: registry.user(key),
        };
        let allow = |text: &'a str| {
            let filter = shared.filter(text)?;
            let usual = shared
                .rules
                .subscribe(peer, filter)
                .ok_or(Denied::Forbidden)?;
            Ok((filter, subscribe.policy.unwrap_or(usual)))
        };
        subscribe.filters.iter().map(allow).collect()
    }

    fn unsubscribe(&mut self, unsubscribe: Unsubscribe) {
        let Unsubscribe {
            receipt,
            first,
            count,
        } = unsubscribe;
        let ended = |number: &u32| {
            number
                .checked_sub(first)
                .is_some_and(|offset| offset < count)
        };
        let mut numbers = Vec::new();
        // In one step: nothing of them stands behind the acknowledgement.
        self.live(|live| {
            numbers.extend(live.subscriptions.iter().copied().filter(ended));
            live.subscriptions.retain(|number| !ended(number));
            live.store.lane.push_answer(&Frame::Ack(Ack {
                receipt,
                outcome: Outcome::Unsubscribed,
            }));
        });
        let Some(key) = self.key else { return };
        let mut registry = write(&self.shared().registry);
        for number in numbers {
            registry.unsubscribe(key, number);
        }
        self.shared().changed(&registry);
    }

    fn acknowledge(&self, receipt: u32, outcome: Outcome) {
        self.live(|live| {
            live.store
                .lane
                .push_answer(&Frame::Ack(Ack { receipt, outcome }))
        });
    }

    // ── calls of the peer ──

    fn call(&mut self, call: Call<'_>, now: Instant) {
        let Some(handler) = self.hub.shared.methods.get(call.method).cloned() else {
            return self.reply(
                call.id,
                Err(CallFailure::new(FailureCode::UnknownMethod, call.method)),
            );
        };
        let place = Place::default();
        let wanted = self.shared().protocol.encoding();
        let future = handler(self.caller(place.clone()), call.arguments, wanted);
        let deadline = call
            .deadline_ms
            .map(|ms| now + Duration::from_millis(ms.into()));
        if !self.answers.push(Some(call.id), deadline, place, future) {
            self.reply(call.id, Err(CallFailure::new(FailureCode::Busy, "")));
        }
    }

    fn caller(&self, place: Place) -> Caller {
        Caller::new(self.hub.clone(), self.connection.clone(), place)
    }

    /// Lets handlers run; true when there may be more to do.
    fn answer(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        for _ in 0..self.shared().limits.turn_frames_max {
            match self.answers.poll(now, cx) {
                Poll::Ready((id, answer)) => self.reply(id, answer),
                Poll::Pending => return false,
            }
        }
        true
    }

    fn reply(&self, id: u32, answer: Answer) {
        let max = self
            .live(|live| live.link.session.peer().message_bytes_max)
            .unwrap_or(0) as usize;
        let too_large = CallFailure::new(
            FailureCode::Failed,
            "the result is larger than the caller takes",
        );
        let result = match &answer {
            // Some bytes for what stands around it.
            Ok((_, bytes)) if bytes.len() + 16 > max => Err(too_large.as_wire()),
            Ok((encoding, bytes)) => Ok(Payload {
                encoding: *encoding,
                bytes,
            }),
            Err(failure) => Err(Failure {
                message: shortened(&failure.message, max / 2),
                ..failure.as_wire()
            }),
        };
        self.live(|live| {
            live.store
                .lane
                .push_answer(&Frame::Reply(Reply { id, result }))
        });
    }

    // ── time, writing, the end ──

    fn events(&mut self) -> Option<Ending> {
        let mut live = self.connection.live();
        let live = live.as_mut()?;
        while let Some(event) = live.link.session.poll_event(&mut live.store) {
            match event {
                SessionEvent::CallTimedOut(id) => live.answer(id, Err(PeerCallError::TimedOut)),
                SessionEvent::Ended(ending) => return Some(ending),
            }
        }
        None
    }

    fn write(&self, now: Instant) {
        // How it went, the session's events tell.
        self.live(|live| self.connection.write(live, now).is_ready());
    }

    /// When this task wants a turn although nothing has happened.
    fn deadline(&self, now: Instant) -> Option<Instant> {
        if let Stage::Goodbye { until, .. } = self.stage {
            return Some(until);
        }
        let session = |live: &mut Live| {
            [
                live.link.session.poll_timeout(),
                live.link.session.reading_resumes(now),
            ]
        };
        let [timeout, resumes] = self.live(session)?;
        [timeout, resumes, self.answers.deadline()]
            .into_iter()
            .flatten()
            .min()
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

    /// Takes the connection out of the hub: from here on it is gone for everybody but its peer.
    fn leave(&mut self, ending: Ending) {
        self.answers = Answers::new(1, 0);
        self.admission = None;
        let undelivered = self.live(|live| {
            live.left = true;
            live.abandon_calls();
            live.store.lane.frames() as u64
        });
        let shared = self.hub.shared.clone();
        let Some(key) = self.key.take() else {
            shared.settle();
            return shared.counters.refused(ending);
        };
        let mut registry = write(&shared.registry);
        let user = registry.user(key).cloned();
        let groups = registry.groups_of(key).cloned().collect();
        registry.remove(key);
        shared.changed(&registry);
        drop(registry);
        shared.gone(ending, undelivered.unwrap_or(0));
        if let Some(hook) = &shared.on_disconnect {
            let gone = super::admission::Gone {
                connection: self.connection.id,
                user,
                groups,
                ending,
            };
            let _ = catch_unwind(AssertUnwindSafe(|| hook(gone)));
        }
    }

    /// Lets the peer have our last words, and its own.
    fn goodbye(&mut self, now: Instant, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if until <= now
            || self
                .connection
                .shard()
                .is_some_and(|shard| shard.is_stopped())
        {
            return Poll::Ready(());
        }
        let said = self.live(|live| {
            if live.link.poll_write(&mut live.store, now, cx).is_pending() {
                return Poll::Pending;
            }
            live.link.poll_goodbye(cx)
        });
        said.unwrap_or(Poll::Ready(()))
    }

    fn bury(&mut self) {
        self.stage = Stage::Done;
        if let Some(traffic) = self.connection.bury() {
            self.shared().counters.traffic(traffic);
        }
        if let Some(shard) = self.connection.shard() {
            shard.leave(&self.connection);
        }
        self.shared().departed();
    }
}

impl Future for Drive {
    type Output = Ending;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ending> {
        let this = &mut *self;
        this.connection.register(cx.waker());
        loop {
            let now = this.shared().runtime.now();
            match this.stage {
                Stage::Running => match this.turn(now, cx) {
                    Turn::Waiting if this.schedule(now, cx) => {}
                    Turn::Waiting => return Poll::Pending,
                    Turn::Again => {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    Turn::Ended(ending) => {
                        this.leave(ending);
                        let until = now + this.shared().limits.closing;
                        this.stage = Stage::Goodbye { ending, until };
                    }
                },
                Stage::Goodbye { ending, until } => {
                    if this.goodbye(now, until, cx).is_ready() {
                        this.bury();
                        return Poll::Ready(ending);
                    }
                    if !this.schedule(now, cx) {
                        return Poll::Pending;
                    }
                }
                Stage::Done => panic!("polled after it was ready"),
            }
        }
    }
}

impl Drop for Drive {
    /// A connection whose future is dropped ends without a word, for its peer and for the hub.
    fn drop(&mut self) {
        match self.stage {
            Stage::Running => self.leave(Ending::Lost),
            Stage::Goodbye { .. } => {}
            Stage::Done => return,
        }
        self.bury();
    }
}

/// The text, or as much of its beginning as there is room for.
fn shortened(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The goodbye of a hub that ends a connection by its own decision.
pub(crate) fn kicked() -> Close {
    Close {
        reason: CloseReason::Kicked,
        verdict: Return::Never,
    }
}
