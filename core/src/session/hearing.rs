//! What the peer's frames mean.

use core::borrow::Borrow;
use core::time::Duration;

use super::{Answer, Config, Lane, Phase, Role, Session, Store};
use crate::time::Instant;
use crate::wire::{
    Ack, Call, Cancel, Close, CloseReason, Credit, End, Event, Frame, Hello, Item, Lagged, Live,
    Open, Ping, Pong, Publish, Received, Refused, Replay, Reply, Return, Subscribe, Unsubscribe,
    Welcome,
};

/// What a frame means for the owner of a session, who acts on it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(
    missing_docs,
    reason = "each variant is documented by the frame it holds"
)]
pub enum Input<'a> {
    /// Nothing: the session took care of it.
    Nothing,
    /// Hub: decide, then call [`Session::welcome`] or [`Session::refuse`].
    Hello(Hello<'a>),
    /// Client: the session is ready.
    Welcome(Welcome<'a>),
    /// Client: the hub said no; the session has ended.
    Refused(Refused<'a>),
    Subscribe(Subscribe<'a>),
    Unsubscribe(Unsubscribe),
    Publish(Publish<'a>),
    Ack(Ack),
    Event(Event<'a>),
    Replay(Replay<'a>),
    Live(Live),
    Lagged(Lagged),
    Call(Call<'a>),
    Open(Open<'a>),
    /// To a call of ours that still waits; its slot is free again.
    Reply(Reply<'a>),
    Item(Item<'a>),
    Credit(Credit),
    Cancel(Cancel),
    /// If it was the answer to a call of ours, the slot is free again.
    End(End<'a>),
    /// The answer to our newest ping, with the time it took.
    Pong(Duration),
    /// The other side has said its last words.
    Close(Close),
}

impl<C: Borrow<Config>> Session<C> {
    /// Takes a frame of the peer; says what the owner has to do about it.
    ///
    /// A frame out of order ends the session: [`poll_frame`](Self::poll_frame) tells the peer why.
    pub fn handle_frame<'a>(
        &mut self,
        frame: Frame<'a>,
        store: &mut impl Store,
        now: Instant,
    ) -> Input<'a> {
        self.live.heard(now);
        match self.phase {
            Phase::Ended => Input::Nothing,
            Phase::Opening | Phase::Deciding => self.handle_first(frame, now),
            Phase::Ready | Phase::Flushing | Phase::Closing => self.handle_ready(frame, store, now),
        }
    }

    /// Takes note of the size of the message whose frame comes next: a peer that may resume is told sooner of large ones.
    pub fn handle_bytes(&mut self, bytes: usize) {
        self.counting.weigh(bytes);
    }

    /// Takes a sign of life from below the protocol.
    pub fn handle_alive(&mut self, now: Instant) {
        self.live.heard(now);
        self.spend_ping(now);
    }

    /// Takes note that the owner does not read now, or did not until now: the peer's silence says nothing.
    pub fn hold(&mut self, now: Instant) {
        self.live.heard(now);
    }

    /// Takes a message that says nothing: empty, or of a kind that may be skipped.
    pub fn handle_skipped(&mut self, now: Instant) {
        self.live.heard(now);
        self.spend_ping(now);
    }

    /// Takes a goodbye of the peer from below the protocol, as its `Close` would be.
    pub fn handle_goodbye(&mut self) {
        if self.is_ended() {
            return;
        }
        let reason = CloseReason::Done;
        let verdict = Return::Now;
        self.handle_close(Close { reason, verdict });
        // Nothing can be said any more.
        self.last_words = None;
    }

    fn handle_ready<'a>(
        &mut self,
        frame: Frame<'a>,
        store: &mut impl Store,
        now: Instant,
    ) -> Input<'a> {
        let closing = self.phase != Phase::Ready;
        // What nobody acts on was not received: whoever returns says it again.
        if frame.is_data() && !closing {
            self.counting.arrived(now);
        }
        match frame {
            Frame::Close(close) => self.handle_close(close),
            Frame::Ping(Ping { nonce }) => {
                self.spend_ping(now);
                self.live.asked(nonce);
                Input::Nothing
            }
            Frame::Pong(Pong { nonce }) => {
                self.spend_ping(now);
                self.live
                    .answered(nonce, now)
                    .map_or(Input::Nothing, Input::Pong)
            }
            Frame::Received(Received { count }) => self.handle_received(count, store, now),
            // Who has said its last words acts on nothing but the peer's.
            _ if closing => Input::Nothing,
            Frame::Reply(reply) => self
                .calls
                .answered(reply.id, Answer::Reply, store.parts().1)
                .map_or(Input::Nothing, |()| Input::Reply(reply)),
            Frame::Call(call) => Input::Call(call),
            Frame::Cancel(cancel) => {
                self.requests.spend(now, self.config().requests);
                Input::Cancel(cancel)
            }
            Frame::Open(open) => Input::Open(open),
            Frame::Item(item) => {
                self.calls.answer_begins(item.id, store.parts().1);
                Input::Item(item)
            }
            Frame::End(end) => {
                let slots = store.parts().1;
                self.calls.answered(end.id, Answer::Stream, slots);
                Input::End(end)
            }
            Frame::Credit(credit) => Input::Credit(credit),
            frame => match self.role {
                Role::Hub => self.handle_request(frame, now),
                Role::Client => self.handle_delivery(frame, now),
            },
        }
    }

    /// Takes note of a message of so many bytes that publishes, of a client that is let in.
    #[cfg(feature = "std")]
    pub(crate) fn handle_again(&mut self, bytes: usize, now: Instant) {
        self.live.heard(now);
        self.counting.weigh(bytes);
        self.counting.arrived(now);
    }

    /// With true the peer hears nothing more of what has arrived: it waits when it has said so much.
    #[cfg(feature = "std")]
    pub(crate) fn withhold_received(&mut self, withheld: bool) {
        self.counting.withhold(withheld);
    }

    /// Takes note of a message that counts as received, and means nothing.
    #[cfg(feature = "std")]
    pub(crate) fn handle_counted(&mut self, now: Instant) {
        self.live.heard(now);
        if self.is_ready() {
            self.counting.arrived(now);
        }
    }

    fn handle_received<'a>(
        &mut self,
        count: u64,
        store: &mut impl Store,
        now: Instant,
    ) -> Input<'a> {
        let before = self.acknowledged();
        if !self.counting.acknowledge(count) {
            return self.violate(CloseReason::Count, now);
        }
        match self.acknowledged() {
            // It says nothing new.
            same if same == before => self.spend_ping(now),
            more => store.parts().0.acknowledged(more),
        }
        Input::Nothing
    }

    fn handle_request<'a>(&mut self, frame: Frame<'a>, now: Instant) -> Input<'a> {
        match frame {
            Frame::Publish(publish) => Input::Publish(publish),
            Frame::Subscribe(subscribe) => {
                self.requests.spend(now, self.config().requests);
                Input::Subscribe(subscribe)
            }
            Frame::Unsubscribe(unsubscribe) => {
                self.requests.spend(now, self.config().requests);
                Input::Unsubscribe(unsubscribe)
            }
            _ => self.violate(CloseReason::Unexpected, now),
        }
    }

    fn handle_delivery<'a>(&mut self, frame: Frame<'a>, now: Instant) -> Input<'a> {
        match frame {
            Frame::Event(event) => Input::Event(event),
            Frame::Replay(replay) => Input::Replay(replay),
            Frame::Live(live) => Input::Live(live),
            Frame::Lagged(lagged) => Input::Lagged(lagged),
            Frame::Ack(ack) => Input::Ack(ack),
            _ => self.violate(CloseReason::Unexpected, now),
        }
    }

    fn spend_ping(&mut self, now: Instant) {
        if !self.pings.spend(now, self.config().pings) && !self.is_closing() {
            self.violate(CloseReason::Flood, now);
        }
    }
}
