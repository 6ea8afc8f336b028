//! Frames drawn from bytes: what property tests send to codec and session.
//!
//! Shared with the fuzzer, whose crate includes this file.

use std::vec::Vec;

use crate::wire::{
    Ack, Call, Cancel, Close, CloseReason, Continued, Credit, Denied, Encoding, Encodings, End,
    Event, Failure, FailureCode, Frame, Hello, Item, Lagged, List, Live, Name, Open, Outcome,
    Payload, Ping, Pong, Position, Publish, Received, Refusal, Refused, Replay, Reply, Return,
    Start, Subscribe, Terms, Unsubscribe, Verdict, Welcome,
};
use crate::{ConnectionId, Policy};

/// Calls `check` with the frame that `bytes` stand for; every sequence of bytes stands for one.
pub(crate) fn with_frame<T>(bytes: &[u8], check: impl FnOnce(Frame<'_>) -> T) -> T {
    let mut draw = Draw(bytes);
    let lists = Lists {
        positions: draw.many(Draw::position),
        verdicts: draw.many(Draw::verdict),
        filters: draw.many(Draw::text),
    };
    check(draw.frame(&lists))
}

/// What the lists of the frame point to.
struct Lists<'a> {
    positions: Vec<Position>,
    verdicts: Vec<Verdict>,
    filters: Vec<&'a str>,
}

/// Bytes to draw from; zeros follow them.
struct Draw<'a>(&'a [u8]);

impl<'a> Draw<'a> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        first
    }

    fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// Of any length, so that every length of a variable integer is met.
    fn number(&mut self) -> u64 {
        let bytes = self.byte() % 9;
        (0..bytes).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    fn short(&mut self) -> u16 {
        self.number() as u16
    }

    fn word(&mut self) -> u32 {
        self.number() as u32
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        core::array::from_fn(|_| self.byte())
    }

    fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte() % 48).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }

    fn text(&mut self) -> &'a str {
        let bytes = self.bytes();
        let valid = match core::str::from_utf8(bytes) {
            Ok(text) => return text,
            Err(error) => error.valid_up_to(),
        };
        core::str::from_utf8(&bytes[..valid]).unwrap_or_default()
    }

    fn one_of<T: Copy, const N: usize>(&mut self, choices: [T; N]) -> T {
        choices[usize::from(self.byte()) % N]
    }

    fn maybe<T>(&mut self, draw: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| draw(self))
    }

    fn many<T>(&mut self, draw: impl Fn(&mut Self) -> T) -> Vec<T> {
        (0..self.byte() % 4).map(|_| draw(self)).collect()
    }

    fn frame(&mut self, lists: &'a Lists<'a>) -> Frame<'a> {
        match self.byte() % 22 {
            0 => Frame::Hello(self.hello(lists)),
            1 => Frame::Welcome(self.welcome(lists)),
            2 => Frame::Refused(self.refused()),
            3 => Frame::Subscribe(self.subscribe(lists)),
            4 => Frame::Unsubscribe(self.unsubscribe()),
            5 => Frame::Publish(self.publish()),
            6 => Frame::Ack(self.ack()),
            7 => Frame::Event(self.event()),
            8 => Frame::Lagged(self.lagged()),
            9 => Frame::Call(self.call()),
            10 => Frame::Reply(self.reply()),
            11 => Frame::Item(self.item()),
            12 => Frame::Credit(self.credit()),
            13 => Frame::Cancel(Cancel { id: self.word() }),
            14 => Frame::End(self.end()),
            15 => Frame::Received(Received {
                count: self.number(),
            }),
            16 => Frame::Ping(Ping { nonce: self.word() }),
            17 => Frame::Pong(Pong { nonce: self.word() }),
            18 => Frame::Replay(self.replay()),
            19 => Frame::Live(Live {
                subscription: self.word(),
                offset: self.number(),
            }),
            20 => Frame::Open(self.open()),
            _ => Frame::Close(self.close()),
        }
    }

    fn hello(&mut self, lists: &'a Lists<'a>) -> Hello<'a> {
        Hello {
            oldest: self.one_of([1, 0, 2]),
            newest: self.one_of([1, 0, 2]),
            terms: self.terms(),
            resumable: self.flag(),
            token: self.maybe(Self::bytes),
            resume: self.maybe(|draw| (draw.array(), draw.number())),
            positions: List::new(&lists.positions),
        }
    }

    fn position(&mut self) -> Position {
        Position {
            subscription: self.word(),
            accounted: self.number(),
        }
    }

    fn terms(&mut self) -> Terms {
        Terms {
            encodings: self.maybe(Self::encoding).map_or(Encodings::NONE, |one| {
                Encodings::NONE.with(one).with(Encoding::Text)
            }),
            promise_ms: self.word(),
            message_bytes_max: self.word(),
            subscriptions_max: self.word(),
        }
    }

    fn welcome(&mut self, lists: &'a Lists<'a>) -> Welcome<'a> {
        Welcome {
            version: self.one_of([1, 0, 2]),
            connection: ConnectionId::from_bytes(self.array()),
            terms: self.terms(),
            resume_token: self.maybe(Self::array),
            continued: self.maybe(Self::continued),
            verdicts: List::new(&lists.verdicts),
        }
    }

    fn continued(&mut self) -> Continued {
        Continued {
            whole: self.flag(),
            received: self.number(),
        }
    }

    fn verdict(&mut self) -> Verdict {
        match self.byte() % 4 {
            0 => Verdict::Resumed,
            1 => Verdict::Replayed {
                from: self.number(),
                to: self.number(),
            },
            2 => Verdict::Gap {
                missed: self.maybe(Self::number),
            },
            _ => Verdict::Denied(self.denied()),
        }
    }

    fn refused(&mut self) -> Refused<'a> {
        Refused {
            reason: self.refusal(),
            retry_after_ms: self.maybe(Self::word),
            message: self.text(),
        }
    }

    fn refusal(&mut self) -> Refusal {
        let version = Refusal::Version {
            oldest: self.short(),
            newest: self.short(),
        };
        let promise = Refusal::Promise {
            max_ms: self.word(),
        };
        let (size, max) = (self.word().into(), self.word().into());
        self.one_of([
            version,
            Refusal::Unauthorized,
            Refusal::Full,
            Refusal::Shutdown,
            Refusal::Malformed,
            Refusal::Late,
            promise,
            Refusal::MessageTooLarge { size, max },
            Refusal::Count,
        ])
    }

    fn subscribe(&mut self, lists: &'a Lists<'a>) -> Subscribe<'a> {
        Subscribe {
            receipt: self.word(),
            first: self.word(),
            policy: self.maybe(Self::policy),
            start: self.start(),
            filters: List::new(&lists.filters),
        }
    }

    fn policy(&mut self) -> Policy {
        self.one_of([
            Policy::Disconnect,
            Policy::DropOldest,
            Policy::DropNewest,
            Policy::KeepLatest,
        ])
    }

    fn start(&mut self) -> Start {
        let offset = Start::Offset {
            epoch: self.number(),
            offset: self.number(),
        };
        self.one_of([Start::Now, Start::Retained, offset, Start::Beginning])
    }

    fn unsubscribe(&mut self) -> Unsubscribe {
        Unsubscribe {
            receipt: self.word(),
            first: self.word(),
            count: self.word(),
        }
    }

    fn payload(&mut self) -> Payload<'a> {
        Payload {
            encoding: self.encoding(),
            bytes: self.bytes(),
        }
    }

    fn encoding(&mut self) -> Encoding {
        self.one_of([
            Encoding::Text,
            Encoding::Bytes,
            Encoding::Json,
            Encoding::MessagePack,
            Encoding::Postcard,
            Encoding::JsonArguments,
            Encoding::MessagePackArguments,
        ])
    }

    fn publish(&mut self) -> Publish<'a> {
        Publish {
            receipt: self.word(),
            name: self.name(),
            payload: self.payload(),
        }
    }

    fn name(&mut self) -> Name<'a> {
        match self.byte() % 3 {
            0 => Name::Topic(self.text()),
            1 => Name::Declare(self.short(), self.text()),
            _ => Name::Alias(self.short()),
        }
    }

    fn ack(&mut self) -> Ack {
        Ack {
            receipt: self.word(),
            outcome: self.outcome(),
        }
    }

    fn outcome(&mut self) -> Outcome {
        match self.byte() % 6 {
            0 => Outcome::Subscribed,
            1 => Outcome::Unsubscribed,
            2 => Outcome::Published {
                queued: self.word(),
                dropped: self.word(),
            },
            3 => Outcome::Denied(self.denied()),
            4 => Outcome::Numbered { first: self.word() },
            _ => Outcome::Positioned {
                first: self.word(),
                epoch: self.number(),
                offset: self.number(),
                verdict: self.verdict(),
            },
        }
    }

    fn denied(&mut self) -> Denied {
        let too_large = Denied::TooLarge {
            size: self.number(),
            max: self.number(),
        };
        let too_many = Denied::TooMany { max: self.word() };
        self.one_of([
            Denied::Forbidden,
            Denied::Topic,
            too_large,
            too_many,
            Denied::NumberTaken,
            Denied::NoHistory,
            Denied::Alias,
            Denied::Payload,
            Denied::Offset,
        ])
    }

    fn event(&mut self) -> Event<'a> {
        Event {
            topic: self.text(),
            direct: self.flag(),
            offset: self.maybe(Self::array),
            payload: self.payload(),
        }
    }

    fn replay(&mut self) -> Replay<'a> {
        Replay {
            subscription: self.word(),
            offset: self.number(),
            topic: self.text(),
            payload: self.payload(),
        }
    }

    fn lagged(&mut self) -> Lagged {
        Lagged {
            subscription: self.word(),
            missed: self.number(),
        }
    }

    fn call(&mut self) -> Call<'a> {
        Call {
            id: self.word(),
            method: self.text(),
            deadline_ms: self.maybe(Self::word),
            arguments: self.payload(),
        }
    }

    fn reply(&mut self) -> Reply<'a> {
        Reply {
            id: self.word(),
            result: match self.flag() {
                true => Ok(self.payload()),
                false => Err(self.failure()),
            },
        }
    }

    fn failure(&mut self) -> Failure<'a> {
        Failure {
            code: self.failure_code(),
            message: self.text(),
        }
    }

    fn failure_code(&mut self) -> FailureCode {
        self.one_of([
            FailureCode::Failed,
            FailureCode::UnknownMethod,
            FailureCode::Arguments,
            FailureCode::Forbidden,
            FailureCode::Busy,
            FailureCode::TimedOut,
            FailureCode::Cancelled,
            FailureCode::Panicked,
            FailureCode::Shutdown,
            FailureCode::Streams,
            FailureCode::NoStream,
        ])
    }

    fn open(&mut self) -> Open<'a> {
        Open {
            id: self.word(),
            method: self.text(),
            deadline_ms: self.maybe(Self::word),
            arguments: self.payload(),
            items: self.maybe(Self::number),
            streams: self.word(),
        }
    }

    fn item(&mut self) -> Item<'a> {
        Item {
            id: self.word(),
            payload: self.payload(),
        }
    }

    fn credit(&mut self) -> Credit {
        Credit {
            id: self.word(),
            items: self.number(),
        }
    }

    fn end(&mut self) -> End<'a> {
        End {
            id: self.word(),
            result: match self.flag() {
                true => Ok(()),
                false => Err(self.failure()),
            },
        }
    }

    fn close(&mut self) -> Close {
        Close {
            reason: self.close_reason(),
            verdict: self.verdict_of_close(),
        }
    }

    fn close_reason(&mut self) -> CloseReason {
        let too_large = CloseReason::MessageTooLarge {
            size: self.number(),
            max: self.number(),
        };
        self.one_of([
            CloseReason::Done,
            CloseReason::Shutdown,
            CloseReason::Kicked,
            too_large,
            CloseReason::TooSlow,
            CloseReason::Stalled,
            CloseReason::Silent,
            CloseReason::Flood,
            CloseReason::Malformed,
            CloseReason::Unexpected,
            CloseReason::Count,
        ])
    }

    fn verdict_of_close(&mut self) -> Return {
        let after = Return::After { ms: self.word() };
        self.one_of([Return::Now, after, Return::Never])
    }
}
