//! A hub that says what a test tells it to say, frame by frame.

use std::future::poll_fn;

use lapwing::ConnectionId;
use lapwing::transport::{Incoming, Listener as _, Message, Outgoing, Transport};
use lapwing::wire::{self, Ack, Encodings, Frame, List, Outcome, Terms, Welcome};
use lapwing_memory::Listener;

/// What a scripted hub tells about itself.
pub(crate) const TERMS: Terms = Terms {
    encodings: Encodings::NONE,
    promise_ms: 25_000,
    message_bytes_max: 4_096,
    subscriptions_max: 16,
};

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
        let hello = self.hear().await;
        assert!(matches!(hello.frame(), Frame::Hello(_)));
        let welcome = Welcome {
            version: wire::VERSION,
            connection: ConnectionId::from_bytes([7; 16]),
            terms,
            resume_token: None,
            continued: None,
            verdicts: List::new(&[]),
        };
        self.say(&Frame::Welcome(welcome)).await;
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
