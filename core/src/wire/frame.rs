//! All that two peers can say to each other.

use super::call::{Call, Cancel, Credit, End, Item, Open, Reply};
use super::control::{Close, Ping, Pong, Received};
use super::event::{Ack, Event, Lagged, Live, Publish, Replay, Subscribe, Unsubscribe};
use super::handshake::{Hello, Refused, Welcome};

/// One unit of the protocol; see the [table](super) for who says which.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
#[expect(
    missing_docs,
    reason = "each variant is documented by the type it holds"
)]
pub enum Frame<'a> {
    Hello(Hello<'a>),
    Welcome(Welcome<'a>),
    Refused(Refused<'a>),
    Subscribe(Subscribe<'a>),
    Unsubscribe(Unsubscribe),
    Publish(Publish<'a>),
    Ack(Ack),
    Event(Event<'a>),
    Lagged(Lagged),
    Call(Call<'a>),
    Reply(Reply<'a>),
    Item(Item<'a>),
    Credit(Credit),
    Cancel(Cancel),
    End(End<'a>),
    Received(Received),
    Ping(Ping),
    Pong(Pong),
    Close(Close),
    Replay(Replay<'a>),
    Live(Live),
    Open(Open<'a>),
}

impl Frame<'_> {
    /// Whether the frame travels in the data lane, in order and counted, or beside it as control.
    pub const fn is_data(&self) -> bool {
        use Frame as F;
        matches!(
            self,
            F::Subscribe(_)
                | F::Unsubscribe(_)
                | F::Publish(_)
                | F::Ack(_)
                | F::Event(_)
                | F::Lagged(_)
                | F::Call(_)
                | F::Reply(_)
                | F::Item(_)
                | F::End(_)
                | F::Replay(_)
                | F::Live(_)
                | F::Open(_)
        )
    }
}
