//! A hub that says what a test tells it to say, frame by frame.

use std::future::poll_fn;

use lapwing::ConnectionId;
use lapwing::transport::{Incoming, Listener as _, Message, Outgoing, Transport};
use lapwing::wire::{
    self, Ack, Continued, Encodings, Frame, List, Outcome, Terms, Verdict, Welcome,
};
use lapwing_memory::Listener;

/// What a scripted hub tells about itself.
pub(crate) const TERMS: Terms = Terms {
    encodings: Encodings::NONE,
    promise_ms: 25_000,
    message_bytes_max: 4_096,
    subscriptions_max: 16,
};

/// What a client says first, of its return.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) resumable: bool,
    /// The token, and the frames received.
    pub(crate) resume: Option<([u8; 16], u64)>,
    /// Subscriptions, and what they account for.
    pub(crate) positions: Vec<(u32, u64)>,
}

/// What a scripted hub says to that.
#[derive(Clone, Copy)]
pub(crate) struct Grant<'a> {
    pub(crate) terms: Terms,
    pub(crate) token: Option<[u8; 16]>,
    pub(crate) continued: Option<Continued>,
    pub(crate) verdicts: &'a [Verdict],
}

impl Default for Grant<'_> {
    fn default() -> Self {
        Self {
            terms: TERMS,
            token: None,
            continued: None,
            verdicts: &[],
        }
    }
}

impl Grant<'_> {
    /// A new session that may go on.
    pub(crate) fn token(token: u8) -> Self {
        Self {
            token: Some([token; 16]),
            ..Self::default()
        }
    }

    /// The session goes on, and nothing is missing; the hub has so many frames.
    pub(crate) fn whole(token: u8, received: u64) -> Self {
        let whole = true;
        Self {
            continued: Some(Continued { whole, received }),
            ..Self::token(token)
        }
    }
}

impl<'a> Grant<'a> {
    /// The session goes on with these verdicts; the hub has so many frames.
    pub(crate) fn partial(token: u8, received: u64, verdicts: &'a [Verdict]) -> Self {
        let whole = false;
        Self {
            continued: Some(Continued { whole, received }),
            verdicts,
            ..Grant::token(token)
        }
    }
}

/// One connection of a scripted hub.
pub(crate) struct Scripted(Box<dyn Transport>);

/// A message of the client; [`frame`](Self::frame) says what it means.
pub(crate) struct Heard(Message);

impl Heard {
    pub(crate) fn frame(&self) -> Frame<'_> {
        wire::decode(&self.0.bytes)
            .expect("a frame")
            .expect("a known one")
    }
}

impl Scripted {
    /// The next client, before its hello is read.
    pub(crate) async fn accept(listener: &mut Listener) -> Self {
        Self(listener.accept().await.expect("a client"))
    }

    /// The next client, let in.
    pub(crate) async fn welcome(listener: &mut Listener) -> Self {
        let mut hub = Self::accept(listener).await;
        hub.let_in(TERMS).await;
        hub
    }

    pub(crate) async fn let_in(&mut self, terms: Terms) {
        self.hear_hello().await;
        let grant = Grant {
            terms,
            ..Grant::default()
        };
        self.grant(grant).await;
    }

    /// Takes a hello.
    pub(crate) async fn hear_hello(&mut self) -> Hello {
        let heard = self.hear().await;
        let Frame::Hello(hello) = heard.frame() else {
            panic!("not a hello: {:?}", heard.frame());
        };
        let positions = hello.positions.iter();
        Hello {
            resumable: hello.resumable,
            resume: hello.resume,
            positions: positions
                .map(|position| (position.subscription, position.accounted))
                .collect(),
        }
    }

    /// Lets the client in.
    pub(crate) async fn grant(&mut self, grant: Grant<'_>) {
        let welcome = Welcome {
            version: wire::VERSION,
            connection: ConnectionId::from_bytes([7; 16]),
            terms: grant.terms,
            resume_token: grant.token,
            continued: grant.continued,
            verdicts: List::new(grant.verdicts),
        };
        self.say(&Frame::Welcome(welcome)).await;
    }

    /// The next client, let in with a token for its return.
    pub(crate) async fn resumable(listener: &mut Listener, token: u8) -> Self {
        let mut hub = Self::accept(listener).await;
        let hello = hub.hear_hello().await;
        assert!(hello.resumable, "it is of no use to it");
        hub.grant(Grant::token(token)).await;
        hub
    }

    pub(crate) async fn say(&mut self, frame: &Frame<'_>) {
        let mut bytes = Vec::new();
        wire::append(frame, &mut bytes);
        poll_fn(|cx| self.0.poll_ready(cx))
            .await
            .expect("a whole connection");
        let message = Outgoing::Message(Message::binary(bytes));
        self.0.start_send(message).expect("a whole connection");
        poll_fn(|cx| self.0.poll_flush(cx))
            .await
            .expect("a whole connection");
    }

    pub(crate) async fn hear(&mut self) -> Heard {
        self.next().await.expect("the client says something")
    }

    /// What the client says next; `None` when it has finished.
    pub(crate) async fn next(&mut self) -> Option<Heard> {
        match poll_fn(|cx| self.0.poll_recv(cx)).await {
            Ok(Incoming::Message(message)) => Some(Heard(message)),
            _ => None,
        }
    }

    /// Takes the next request for subscriptions: its filters, the first number and its receipt.
    pub(crate) async fn hear_subscribe(&mut self) -> (Vec<String>, u32, u32) {
        let heard = self.hear().await;
        let Frame::Subscribe(subscribe) = heard.frame() else {
            panic!("not a subscribe: {:?}", heard.frame());
        };
        let filters = subscribe.filters.iter().map(String::from).collect();
        (filters, subscribe.first, subscribe.receipt)
    }

    pub(crate) async fn ack(&mut self, receipt: u32, outcome: Outcome) {
        self.say(&Frame::Ack(Ack { receipt, outcome })).await;
    }

    /// Takes the next request for subscriptions and allows it; its first number.
    pub(crate) async fn allow(&mut self) -> u32 {
        let (_, first, receipt) = self.hear_subscribe().await;
        self.ack(receipt, Outcome::Subscribed).await;
        first
    }
}
