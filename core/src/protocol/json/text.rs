//! A frame as one JSON object, and back.

mod handshake;
mod parts;

use alloc::vec::Vec;

use bytes::BytesMut;
use serde::{Deserialize, Serialize};

use self::handshake::{HelloText, RefusedText, WelcomeText};
use self::parts::{CloseText, Counts, ErrorText, Filters, PositionText, Subscribed};
use super::data::{Data, Str, present};
use crate::policy::Policy;
use crate::session::Role;
use crate::wire::{
    self, Ack, Call, Cancel, Close, Credit, End, Event, Frame, Item, Lagged, List, Live, Name,
    Open, Outcome, Payload, Ping, Pong, Publish, Received, Replay, Reply, Start, Subscribe,
    Unsubscribe,
};

/// Declares [`Text`]: the keys that name a frame, exactly one of which is there, and those that come with them.
macro_rules! text {
    (
        named by { $($(#[$named:meta])* $name:ident: $name_type:ty,)* }
        with { $($(#[$meta:meta])* $key:ident: $type:ty,)* }
    ) => {
        /// Every key that a message may have.
        #[derive(Default, Serialize, Deserialize)]
        #[serde(default)]
        pub(super) struct Text<'a> {
            $(#[serde(skip_serializing_if = "Option::is_none")] $(#[$named])* $name: Option<$name_type>,)*
            $(#[serde(skip_serializing_if = "is_default")] $(#[$meta])* $key: $type,)*
        }

        impl Text<'_> {
            /// How many keys are there that name a frame.
            fn names(&self) -> usize {
                [$(self.$name.is_some()),*].into_iter().filter(|named| *named).count()
            }
        }
    };
}

text! {
    named by {
        #[serde(borrow)] hello: HelloText<'a>,
        welcome: WelcomeText,
        #[serde(borrow)] refused: RefusedText<'a>,
        #[serde(borrow)] subscribe: Filters<'a>,
        unsubscribe: u32,
        #[serde(borrow)] event: Str<'a>,
        ack: u32,
        lagged: u32,
        #[serde(borrow)] call: Str<'a>,
        reply: u32,
        item: u32,
        credit: u32,
        cancel: u32,
        end: u32,
        received: u64,
        ping: u32,
        pong: u32,
        close: CloseText,
        #[serde(borrow)] replay: Str<'a>,
        live: u32,
        #[serde(borrow)] open: Str<'a>,
    }
    with {
        id: Option<u32>,
        #[serde(borrow, deserialize_with = "present")] data: Option<Data<'a>>,
        direct: bool,
        offset: Option<u64>,
        alias: Option<u16>,
        deadline_ms: Option<u32>,
        receipt: Option<u32>,
        policy: Option<Policy>,
        from: Start,
        count: Option<u32>,
        missed: Option<u64>,
        items: Option<u64>,
        streams: Option<u32>,
        subscribed: Option<Subscribed>,
        position: Option<PositionText>,
        unsubscribed: bool,
        published: Option<Counts>,
        #[serde(borrow)] error: Option<ErrorText<'a>>,
    }
}

/// Whether a key need not be written.
trait Missing {
    fn is_missing(&self) -> bool;
}

impl<T> Missing for Option<T> {
    fn is_missing(&self) -> bool {
        self.is_none()
    }
}

impl Missing for bool {
    fn is_missing(&self) -> bool {
        !self
    }
}

impl Missing for Start {
    fn is_missing(&self) -> bool {
        *self == Self::Now
    }
}

fn is_default(value: &impl Missing) -> bool {
    value.is_missing()
}

impl Text<'_> {
    /// Appends the native bytes of the frame that this is; `None` when it is none, or one that `from` does not say so.
    pub(super) fn append_to(&self, from: Role, into: &mut BytesMut) -> Option<()> {
        // An alias alone names an event too.
        let alone = self.alias.is_some() && self.names() == 0;
        if self.names() != 1 && !alone {
            return None;
        }
        if let Some(hello) = &self.hello {
            let positions = hello.positions();
            let hello = hello.frame(List::new(&positions));
            wire::append_to(&Frame::Hello(hello), into);
        } else if let Some(welcome) = &self.welcome {
            wire::append_to(&Frame::Welcome(welcome.frame()), into);
        } else if let Some(Filters(filters)) = &self.subscribe {
            let filters: Vec<_> = filters.iter().map(|Str(filter)| &**filter).collect();
            let subscribe = self.subscribe(List::new(&filters));
            wire::append_to(&Frame::Subscribe(subscribe), into);
        } else {
            wire::append_to(&self.frame(from)?, into);
        }
        Some(())
    }

    /// The frame, if it is one without a list.
    fn frame(&self, from: Role) -> Option<Frame<'_>> {
        let frame = self.exchange(from).or_else(|| self.control());
        frame.or_else(|| {
            self.refused
                .as_ref()
                .map(|refused| Frame::Refused(refused.frame()))
        })
    }

    /// What is said about events, calls and streams.
    fn exchange(&self, from: Role) -> Option<Frame<'_>> {
        let payload = self.payload();
        let id = self.id.unwrap_or(0);
        Some(match *self {
            Self {
                event: Some(ref topic),
                ..
            } if from == Role::Hub => Frame::Event(self.event(topic)),
            Self { event: Some(_), .. } => Frame::Publish(self.publish()?),
            // Beside the name of another frame it says nothing.
            Self { alias: Some(_), .. } if self.names() == 0 => Frame::Publish(self.publish()?),
            Self {
                unsubscribe: Some(first),
                ..
            } => Frame::Unsubscribe(self.unsubscribe(first)),
            Self {
                ack: Some(receipt), ..
            } => Frame::Ack(Ack {
                receipt,
                outcome: self.outcome()?,
            }),
            Self {
                lagged: Some(subscription),
                missed: Some(missed),
                ..
            } => Frame::Lagged(Lagged {
                subscription,
                missed,
            }),
            Self {
                replay: Some(Str(ref topic)),
                offset: Some(offset),
                ..
            } => Frame::Replay(Replay {
                subscription: id,
                offset,
                topic,
                payload,
            }),
            Self {
                live: Some(subscription),
                offset: Some(offset),
                ..
            } => Frame::Live(Live {
                subscription,
                offset,
            }),
            Self {
                call: Some(Str(ref method)),
                deadline_ms,
                ..
            } => Frame::Call(Call {
                id,
                method,
                deadline_ms,
                arguments: payload,
            }),
            Self {
                open: Some(Str(ref method)),
                deadline_ms,
                items,
                streams,
                ..
            } => Frame::Open(Open {
                id,
                method,
                deadline_ms,
                arguments: payload,
                items,
                streams: streams.unwrap_or(0),
            }),
            Self {
                reply: Some(id), ..
            } => Frame::Reply(Reply {
                id,
                result: self.result(payload)?,
            }),
            Self { item: Some(id), .. } => Frame::Item(Item { id, payload }),
            Self { end: Some(id), .. } => Frame::End(End {
                id,
                result: self.result(())?,
            }),
            _ => return None,
        })
    }

    /// What is said beside the data lane.
    fn control(&self) -> Option<Frame<'_>> {
        Some(match *self {
            Self {
                credit: Some(id),
                items: Some(items),
                ..
            } => Frame::Credit(Credit { id, items }),
            Self {
                cancel: Some(id), ..
            } => Frame::Cancel(Cancel { id }),
            Self {
                received: Some(count),
                ..
            } => Frame::Received(Received { count }),
            Self {
                ping: Some(nonce), ..
            } => Frame::Ping(Ping { nonce }),
            Self {
                pong: Some(nonce), ..
            } => Frame::Pong(Pong { nonce }),
            Self {
                close: Some(CloseText { reason, verdict }),
                ..
            } => Frame::Close(Close { reason, verdict }),
            _ => return None,
        })
    }

    fn payload(&self) -> Payload<'_> {
        self.data
            .as_ref()
            .map_or(Payload::bytes(&[]), Data::payload)
    }

    fn event<'s>(&'s self, Str(topic): &'s Str<'_>) -> Event<'s> {
        Event {
            topic,
            direct: self.direct,
            offset: self.offset.map(u64::to_le_bytes),
            payload: self.payload(),
        }
    }

    fn publish(&self) -> Option<Publish<'_>> {
        let topic = self.event.as_ref().map(|Str(topic)| &**topic);
        Some(Publish {
            receipt: self.receipt.unwrap_or(0),
            name: match (topic, self.alias) {
                (Some(topic), None) => Name::Topic(topic),
                (Some(topic), Some(alias)) => Name::Declare(alias, topic),
                (None, alias) => Name::Alias(alias?),
            },
            payload: self.payload(),
        })
    }

    fn subscribe<'s>(&self, filters: List<'s, &'s str>) -> Subscribe<'s> {
        Subscribe {
            receipt: self.receipt.unwrap_or(0),
            first: self.id.unwrap_or(0),
            policy: self.policy,
            start: self.from,
            filters,
        }
    }

    fn unsubscribe(&self, first: u32) -> Unsubscribe {
        Unsubscribe {
            receipt: self.receipt.unwrap_or(0),
            first,
            count: self.count.unwrap_or(1),
        }
    }

    fn outcome(&self) -> Option<Outcome> {
        Some(
            match (
                &self.subscribed,
                &self.position,
                self.unsubscribed,
                &self.published,
                &self.error,
            ) {
                (Some(Subscribed::AsAsked(true)), None, false, None, None) => Outcome::Subscribed,
                (&Some(Subscribed::From(first)), None, false, None, None) => {
                    Outcome::Numbered { first }
                }
                (&Some(Subscribed::From(first)), Some(position), false, None, None) => {
                    position.outcome(first)
                }
                (None, None, true, None, None) => Outcome::Unsubscribed,
                (None, None, false, &Some(Counts { queued, dropped }), None) => {
                    Outcome::Published { queued, dropped }
                }
                (None, None, false, None, &Some(ErrorText::Denied(denied))) => {
                    Outcome::Denied(denied)
                }
                _ => return None,
            },
        )
    }

    /// What came of a call or stream: `success`, unless there is an error.
    fn result<T>(&self, success: T) -> Option<Result<T, wire::Failure<'_>>> {
        match &self.error {
            None => Some(Ok(success)),
            Some(ErrorText::Failure(failure)) => Some(Err(failure.frame())),
            Some(ErrorText::Denied(_)) => None,
        }
    }
}

impl<'a> From<&Frame<'a>> for Text<'a> {
    fn from(frame: &Frame<'a>) -> Self {
        let text = Self::default();
        match *frame {
            Frame::Hello(hello) => Self {
                hello: Some(hello.into()),
                ..text
            },
            Frame::Welcome(welcome) => Self {
                welcome: Some(welcome.into()),
                ..text
            },
            Frame::Refused(refused) => Self {
                refused: Some(refused.into()),
                ..text
            },
            Frame::Subscribe(subscribe) => subscribe.into(),
            Frame::Unsubscribe(Unsubscribe {
                receipt,
                first,
                count,
            }) => Self {
                unsubscribe: Some(first),
                count: Some(count).filter(|count| *count != 1),
                receipt: unless_zero(receipt),
                ..text
            },
            Frame::Publish(publish) => publish.into(),
            Frame::Ack(ack) => ack.into(),
            Frame::Event(Event {
                topic,
                direct,
                offset,
                payload,
            }) => Self {
                event: Some(topic.into()),
                direct,
                offset: offset.map(u64::from_le_bytes),
                data: Data::of(payload),
                ..text
            },
            Frame::Lagged(Lagged {
                subscription,
                missed,
            }) => Self {
                lagged: Some(subscription),
                missed: Some(missed),
                ..text
            },
            Frame::Call(Call {
                id,
                method,
                deadline_ms,
                arguments,
            }) => Self {
                call: Some(method.into()),
                id: Some(id),
                deadline_ms,
                data: Data::of(arguments),
                ..text
            },
            Frame::Open(Open {
                id,
                method,
                deadline_ms,
                arguments,
                items,
                streams,
            }) => Self {
                open: Some(method.into()),
                id: Some(id),
                deadline_ms,
                data: Data::of(arguments),
                items,
                streams: unless_zero(streams),
                ..text
            },
            Frame::Reply(Reply {
                id,
                result: Ok(payload),
            }) => Self {
                reply: Some(id),
                data: Data::of(payload),
                ..text
            },
            Frame::Reply(Reply {
                id,
                result: Err(failure),
            }) => Self {
                reply: Some(id),
                error: Some(failure.into()),
                ..text
            },
            Frame::Item(Item { id, payload }) => Self {
                item: Some(id),
                data: Data::of(payload),
                ..text
            },
            Frame::Credit(Credit { id, items }) => Self {
                credit: Some(id),
                items: Some(items),
                ..text
            },
            Frame::Cancel(Cancel { id }) => Self {
                cancel: Some(id),
                ..text
            },
            Frame::End(End { id, result }) => Self {
                end: Some(id),
                error: result.err().map(ErrorText::from),
                ..text
            },
            Frame::Received(Received { count }) => Self {
                received: Some(count),
                ..text
            },
            Frame::Ping(Ping { nonce }) => Self {
                ping: Some(nonce),
                ..text
            },
            Frame::Pong(Pong { nonce }) => Self {
                pong: Some(nonce),
                ..text
            },
            Frame::Close(Close { reason, verdict }) => Self {
                close: Some(CloseText { reason, verdict }),
                ..text
            },
            Frame::Replay(Replay {
                subscription,
                offset,
                topic,
                payload,
            }) => Self {
                replay: Some(topic.into()),
                id: Some(subscription),
                offset: Some(offset),
                data: Data::of(payload),
                ..text
            },
            Frame::Live(Live {
                subscription,
                offset,
            }) => Self {
                live: Some(subscription),
                offset: Some(offset),
                ..text
            },
        }
    }
}

impl<'a> From<Subscribe<'a>> for Text<'a> {
    fn from(subscribe: Subscribe<'a>) -> Self {
        Self {
            subscribe: Some(Filters(subscribe.filters.iter().map(Str::from).collect())),
            id: unless_zero(subscribe.first),
            receipt: unless_zero(subscribe.receipt),
            policy: subscribe.policy,
            from: subscribe.start,
            ..Self::default()
        }
    }
}

impl<'a> From<Publish<'a>> for Text<'a> {
    fn from(publish: Publish<'a>) -> Self {
        let (topic, alias) = match publish.name {
            Name::Topic(topic) => (Some(topic), None),
            Name::Declare(alias, topic) => (Some(topic), Some(alias)),
            Name::Alias(alias) => (None, Some(alias)),
        };
        Self {
            event: topic.map(Str::from),
            alias,
            data: Data::of(publish.payload),
            receipt: unless_zero(publish.receipt),
            ..Self::default()
        }
    }
}

impl From<Ack> for Text<'_> {
    fn from(Ack { receipt, outcome }: Ack) -> Self {
        let text = Self {
            ack: Some(receipt),
            ..Self::default()
        };
        match outcome {
            Outcome::Subscribed => Self {
                subscribed: Some(Subscribed::AsAsked(true)),
                ..text
            },
            Outcome::Numbered { first } => Self {
                subscribed: Some(Subscribed::From(first)),
                ..text
            },
            Outcome::Positioned {
                first,
                epoch,
                offset,
                verdict,
            } => Self {
                subscribed: Some(Subscribed::From(first)),
                position: Some(PositionText {
                    epoch,
                    offset,
                    verdict,
                }),
                ..text
            },
            Outcome::Unsubscribed => Self {
                unsubscribed: true,
                ..text
            },
            Outcome::Published { queued, dropped } => Self {
                published: Some(Counts { queued, dropped }),
                ..text
            },
            Outcome::Denied(denied) => Self {
                error: Some(ErrorText::Denied(denied)),
                ..text
            },
        }
    }
}

fn unless_zero(number: u32) -> Option<u32> {
    Some(number).filter(|number| *number != 0)
}
