//! A client that says what a test tells it to say, frame by frame.

use std::future::poll_fn;

use lapwing::transport::{Connector as _, Incoming, Message, Outgoing, Transport};
use lapwing::wire::{self, Encodings, Frame, Hello, List, Terms};

use crate::world::{HUB, World};

/// What it tells about itself.
pub(crate) const TERMS: Terms = Terms {
    encodings: Encodings::NONE,
    promise_ms: 3_600_000,
    message_bytes_max: 1024 * 1024,
    subscriptions_max: 16,
};

/// One connection to the hub, frame by frame.
pub(crate) struct Peer(Box<dyn Transport>);

/// A message of the hub; [`frame`](Self::frame) says what it means.
pub(crate) struct Heard(Message);

impl Heard {
    pub(crate) fn frame(&self) -> Frame<'_> {
        wire::decode(&self.0.bytes)
            .expect("a frame")
            .expect("a known one")
    }
}

impl Peer {
    /// A connection that the hub has let in.
    pub(crate) async fn welcomed(world: &World, terms: Terms) -> Self {
        let mut connector = world.network.connector(HUB).named("peer");
        let mut peer = Self(connector.connect().await.expect("somebody listens"));
        peer.say(&Frame::Hello(Hello {
            oldest: wire::VERSION,
            newest: wire::VERSION,
            terms,
            resumable: false,
            token: None,
            resume: None,
            positions: List::new(&[]),
        }))
        .await;
        assert!(matches!(peer.hear().await.frame(), Frame::Welcome(_)));
        peer
    }

    pub(crate) async fn say(&mut self, frame: &Frame<'_>) {
        let mut bytes = Vec::new();
        wire::append(frame, &mut bytes);
        let whole = "a whole connection";
        poll_fn(|cx| self.0.poll_ready(cx)).await.expect(whole);
        let message = Outgoing::Message(Message::binary(bytes));
        self.0.start_send(message).expect(whole);
        poll_fn(|cx| self.0.poll_flush(cx)).await.expect(whole);
    }

    pub(crate) async fn hear(&mut self) -> Heard {
        self.next().await.expect("the hub says something")
    }

    /// What the hub says next; `None` when it has finished.
    pub(crate) async fn next(&mut self) -> Option<Heard> {
        match poll_fn(|cx| self.0.poll_recv(cx)).await {
            Ok(Incoming::Message(message)) => Some(Heard(message)),
            _ => None,
        }
    }
}
