//! A client without a will of its own.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use lapwing::transport::{Goodbye, Incoming, Message, Outgoing, Transport, TransportError};
use lapwing::wire::{
    self, Ack, Call, CloseReason, Continued, Denied, Encodings, Event, Frame, Hello, Lagged, List,
    Name, Outcome, Payload, Ping, Position, Publish, Refused, Reply, Start, Subscribe, Terms,
    Verdict,
};
use lapwing::{ConnectionId, Policy};

use crate::carrier::Valve;

/// What a peer tells about itself, if a test does not care: it may be silent for an hour.
pub(crate) const TERMS: Terms = Terms {
    encodings: Encodings::NONE,
    promise_ms: 3_600_000,
    message_bytes_max: 1024 * 1024,
    subscriptions_max: 1_024,
};

/// One connection to the hub.
pub(crate) struct Peer {
    transport: Box<dyn Transport>,
    /// What of its bytes passes.
    valve: Valve,
    receipt: u32,
    /// The hub's last words below the protocol, where there are such.
    goodbye: Option<Goodbye>,
}

/// What a welcome says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entered {
    pub(crate) connection: ConnectionId,
    pub(crate) token: Option<[u8; 16]>,
    pub(crate) continued: Option<Continued>,
    pub(crate) verdicts: Vec<Verdict>,
}

/// A message of the hub; [`frame`](Self::frame) says what it means.
pub(crate) struct Heard(Message);

impl Heard {
    pub(crate) fn frame(&self) -> Frame<'_> {
        wire::decode(&self.0.bytes)
            .expect("a frame")
            .expect("a known one")
    }

    pub(crate) fn len(&self) -> usize {
        self.0.bytes.len()
    }
}

/// What a subscriber gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Event(String),
    Missed(u64),
}

impl Peer {
    pub(crate) fn new(transport: Box<dyn Transport>, valve: Valve) -> Self {
        Self {
            transport,
            valve,
            receipt: 0,
            goodbye: None,
        }
    }

    // ── saying ──

    pub(crate) async fn send(&mut self, message: Message) -> Result<(), TransportError> {
        poll_fn(|cx| self.transport.poll_ready(cx)).await?;
        self.transport.start_send(Outgoing::Message(message))?;
        poll_fn(|cx| self.transport.poll_flush(cx)).await
    }

    pub(crate) async fn say_bytes(&mut self, bytes: &[u8]) {
        let message = Message::binary(bytes.to_vec());
        self.send(message).await.expect("a whole connection");
    }

    pub(crate) async fn say(&mut self, frame: &Frame<'_>) {
        self.say_bytes(&bytes(frame)).await;
    }

    /// Begins to say something that leaves with what follows.
    pub(crate) fn gather(&mut self, bytes: &[u8]) {
        let message = Outgoing::Message(Message::binary(bytes.to_vec()));
        self.transport
            .start_send(message)
            .expect("a whole connection");
    }

    /// Starts to say something, and leaves it to the network whether that arrives.
    pub(crate) fn start(&mut self, frame: &Frame<'_>) {
        let message = Outgoing::Message(Message::binary(bytes(frame)));
        self.transport
            .start_send(message)
            .expect("a whole connection");
        let cx = &mut Context::from_waker(Waker::noop());
        let _ = self.transport.poll_flush(cx);
    }

    /// Says the beginning of something, and never the rest of it: over carriers with bytes.
    pub(crate) fn stop_within(&mut self, frame: &Frame<'_>) {
        self.valve.close_after(bytes(frame).len() / 2 + 1);
        self.start(frame);
    }

    pub(crate) async fn finish(&mut self) {
        poll_fn(|cx| self.transport.poll_close(cx))
            .await
            .expect("a whole connection");
    }

    // ── hearing ──

    /// What the hub says next; `None` when it has finished or the connection is broken.
    pub(crate) async fn next(&mut self) -> Option<Heard> {
        loop {
            match poll_fn(|cx| self.transport.poll_recv(cx)).await {
                Ok(Incoming::Message(message)) => return Some(Heard(message)),
                Ok(Incoming::Alive) => {}
                Ok(Incoming::Goodbye(goodbye)) => self.goodbye = Some(goodbye),
                Ok(Incoming::End) | Err(_) => return None,
            }
        }
    }

    pub(crate) async fn hear(&mut self) -> Heard {
        self.next().await.expect("the hub says something")
    }

    /// Hears until `wanted` finds what it looks for.
    pub(crate) async fn until<T>(&mut self, wanted: impl Fn(Frame<'_>) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(self.hear().await.frame()) {
                return found;
            }
        }
    }

    /// Hears what has arrived, and forgets it.
    pub(crate) async fn read_all(&mut self) {
        while !self.is_quiet().await {}
    }

    /// Whether nothing has arrived.
    pub(crate) async fn is_quiet(&mut self) -> bool {
        poll_fn(|cx| Poll::Ready(self.transport.poll_recv(cx).is_pending())).await
    }

    /// The hub's last words, and whether its end follows them.
    pub(crate) async fn close_reason(&mut self) -> CloseReason {
        let reason = self
            .until(|frame| match frame {
                Frame::Close(close) => Some(close.reason),
                _ => None,
            })
            .await;
        self.is_told(code_of_close(reason)).await;
        reason
    }

    /// The text of its last words below the protocol.
    pub(crate) fn last_text(&self) -> Option<&str> {
        self.goodbye.as_ref().map(|told| &*told.reason)
    }

    /// Waits for the end, which has this code where the carrier has such.
    pub(crate) async fn is_told(&mut self, code: u16) {
        let _ = poll_fn(|cx| Poll::Ready(self.transport.poll_flush(cx).is_ready())).await;
        if self.transport.info().goodbyes {
            assert!(self.next().await.is_none());
            assert_eq!(self.goodbye.as_ref().map(|told| told.code), Some(code));
        }
        self.is_over().await;
    }

    pub(crate) async fn refusal(&mut self) -> (wire::Refusal, Option<u32>) {
        let heard = self.hear().await;
        let Frame::Refused(Refused {
            reason,
            retry_after_ms,
            ..
        }) = heard.frame()
        else {
            panic!("{:?}", heard.frame());
        };
        let told = (reason, retry_after_ms);
        self.is_told(code_of_refusal(told.0)).await;
        told
    }

    /// Finishes, and waits for the hub to finish too.
    pub(crate) async fn is_over(&mut self) {
        let _ = poll_fn(|cx| self.transport.poll_close(cx)).await;
        assert!(self.next().await.is_none());
    }

    // ── what clients do ──

    pub(crate) async fn hello(&mut self, terms: Terms) {
        self.say(&hello(terms)).await;
    }

    pub(crate) async fn welcome(&mut self, terms: Terms) -> ConnectionId {
        self.hello(terms).await;
        let heard = self.hear().await;
        let Frame::Welcome(welcome) = heard.frame() else {
            panic!("{:?}", heard.frame());
        };
        welcome.connection
    }

    /// Says hello, in whatever way, and is let in.
    pub(crate) async fn enter(&mut self, hello: &Hello<'_>) -> Entered {
        self.say(&Frame::Hello(*hello)).await;
        let heard = self.hear().await;
        let Frame::Welcome(welcome) = heard.frame() else {
            panic!("{:?}", heard.frame());
        };
        Entered {
            connection: welcome.connection,
            token: welcome.resume_token,
            continued: welcome.continued,
            verdicts: welcome.verdicts.iter().collect(),
        }
    }

    pub(crate) async fn outcome(&mut self) -> Outcome {
        let wanted = self.receipt;
        self.until(|frame| match frame {
            Frame::Ack(Ack { receipt, outcome }) if receipt == wanted => Some(outcome),
            _ => None,
        })
        .await
    }

    pub(crate) async fn denied(&mut self) -> Denied {
        match self.outcome().await {
            Outcome::Denied(denied) => denied,
            other => panic!("{other:?}"),
        }
    }

    /// Asks for filters, with numbers from `first` on.
    pub(crate) async fn ask(&mut self, first: u32, policy: Option<Policy>, filters: &[&str]) {
        self.receipt += 1;
        self.say(&Frame::Subscribe(Subscribe {
            receipt: self.receipt,
            first,
            policy,
            start: Start::Now,
            filters: List::new(filters),
        }))
        .await;
    }

    pub(crate) async fn subscribe(&mut self, first: u32, policy: Policy, filters: &[&str]) {
        self.ask(first, Some(policy), filters).await;
        assert_eq!(self.outcome().await, Outcome::Subscribed);
    }

    /// Publishes, and wants to know what became of it.
    pub(crate) async fn publish_named(&mut self, name: Name<'_>, payload: Payload<'_>) {
        self.receipt += 1;
        self.say(&Frame::Publish(Publish {
            receipt: self.receipt,
            name,
            payload,
        }))
        .await;
    }

    pub(crate) async fn publish(&mut self, topic: &str, text: &str) {
        self.publish_named(Name::Topic(topic), Payload::text(text))
            .await;
    }

    pub(crate) async fn call(&mut self, id: u32, method: &str) {
        self.say(&call(id, method)).await;
    }

    /// The answer to a call, or the code of its failure.
    pub(crate) async fn answer(&mut self) -> (u32, Result<Vec<u8>, wire::FailureCode>) {
        self.until(|frame| match frame {
            Frame::Reply(Reply { id, result }) => Some((
                id,
                result
                    .map(|payload| payload.bytes.to_vec())
                    .map_err(|failure| failure.code),
            )),
            _ => None,
        })
        .await
    }

    /// Events and notes about missing ones, until `count` of them are accounted for.
    pub(crate) async fn account(&mut self, count: u64) -> Vec<Got> {
        let (mut all, mut accounted) = (Vec::new(), 0);
        while accounted < count {
            let got = self.until(got).await;
            accounted += match got {
                Got::Event(_) => 1,
                Got::Missed(missed) => missed,
            };
            all.push(got);
        }
        assert_eq!(accounted, count);
        all
    }
}

/// The code of the close frame: RFC 6455, section 7.4.1, as the page of limits has it.
pub(crate) fn code_of_close(reason: CloseReason) -> u16 {
    use CloseReason as R;
    match reason {
        R::Done => 1000,
        R::Shutdown => 1001,
        R::Unexpected | R::Count => 1002,
        R::Malformed => 1007,
        R::Kicked | R::Silent | R::Flood => 1008,
        R::MessageTooLarge { .. } => 1009,
        R::TooSlow | R::Stalled => 1013,
        other => panic!("{other:?} has no row"),
    }
}

pub(crate) fn code_of_refusal(refusal: wire::Refusal) -> u16 {
    use wire::Refusal as R;
    match refusal {
        R::Shutdown => 1001,
        R::Version { .. } => 1002,
        R::Malformed => 1007,
        R::Unauthorized | R::Late | R::Promise { .. } => 1008,
        R::MessageTooLarge { .. } => 1009,
        R::Full => 1013,
        R::Count => 1002,
        other => panic!("{other:?} has no row"),
    }
}

pub(crate) fn got(frame: Frame<'_>) -> Option<Got> {
    match frame {
        Frame::Event(Event { payload, .. }) => {
            let text = std::str::from_utf8(payload.bytes).expect("a text");
            Some(Got::Event(text.into()))
        }
        Frame::Lagged(Lagged { missed, .. }) => Some(Got::Missed(missed)),
        _ => None,
    }
}

pub(crate) fn bytes(frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::append(frame, &mut bytes);
    bytes
}

/// A hello with a token.
pub(crate) fn hello_with(token: &[u8]) -> Vec<u8> {
    let Frame::Hello(hello) = hello(TERMS) else {
        unreachable!("it is one");
    };
    let token = Some(token);
    bytes(&Frame::Hello(Hello { token, ..hello }))
}

/// The hello of a client that would like to resume later.
pub(crate) fn resumable<'a>() -> Hello<'a> {
    let Frame::Hello(hello) = hello(TERMS) else {
        unreachable!("it is one");
    };
    Hello {
        resumable: true,
        ..hello
    }
}

/// That of one that returns.
pub(crate) fn returning<'a>(
    token: [u8; 16],
    received: u64,
    positions: &'a [Position],
) -> Hello<'a> {
    Hello {
        resume: Some((token, received)),
        positions: List::new(positions),
        ..resumable()
    }
}

pub(crate) fn hello(terms: Terms) -> Frame<'static> {
    Frame::Hello(Hello {
        oldest: wire::VERSION,
        newest: wire::VERSION,
        terms,
        resumable: false,
        token: None,
        resume: None,
        positions: List::new(&[]),
    })
}

/// Asks for filters, with numbers from `first` on, and wants no answer but events.
pub(crate) fn subscribe(first: u32, policy: Policy, filters: &[&str]) -> Vec<u8> {
    bytes(&Frame::Subscribe(Subscribe {
        receipt: 0,
        first,
        policy: Some(policy),
        start: Start::Now,
        filters: List::new(filters),
    }))
}

pub(crate) fn call(id: u32, method: &str) -> Frame<'_> {
    Frame::Call(Call {
        id,
        method,
        deadline_ms: None,
        arguments: Payload::text("echo"),
    })
}

pub(crate) fn publish<'a>(topic: &'a str, text: &'a str) -> Frame<'a> {
    Frame::Publish(Publish {
        receipt: 0,
        name: Name::Topic(topic),
        payload: Payload::text(text),
    })
}

pub(crate) fn ping(nonce: u32) -> Frame<'static> {
    Frame::Ping(Ping { nonce })
}
