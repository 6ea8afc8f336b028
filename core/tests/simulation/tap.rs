//! A transport that lets somebody listen in: every frame that comes and goes, at the moment when it does.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use lapwing::Limits;
use lapwing::protocol::{Json, Postcard, Protocol};
use lapwing::session::Role;
use lapwing::transport::{
    Connector, Framing, Incoming, Info, Kind, Listener, Message, Messages, Outgoing, Progress,
    Transport, TransportError, Upgrade,
};
use lapwing::wire::Frame;

/// Listens in at one end of a connection.
pub(crate) trait Listens: Send + Sync {
    /// This end has said something.
    fn said(&self, frame: &Frame<'_>);
    /// This end hears something.
    fn heard(&self, frame: &Frame<'_>);
    /// Whether this end could not say more when it last tried.
    fn blocked(&self, blocked: bool);
    /// This end has said hello, in these bytes.
    fn greeted(&self, _hello: &[u8]) {}
    /// These bytes came or went.
    fn passed(&self, bytes: &[u8]);
    /// This end has begun to close: it says nothing more.
    fn parting(&self);
    /// This end exists no more.
    fn gone(&self);
}

/// One end of a connection, and who listens in.
pub(crate) struct Tap {
    inner: Box<dyn Transport>,
    role: Role,
    framing: Framing,
    /// As the first message has it.
    json: Option<bool>,
    scratch: BytesMut,
    /// What came with others and is heard alone.
    waiting: VecDeque<Message>,
    listens: Arc<dyn Listens>,
}

impl Tap {
    pub(crate) fn new(inner: Box<dyn Transport>, role: Role, listens: Arc<dyn Listens>) -> Self {
        Self {
            framing: inner.info().framing,
            inner,
            role,
            json: None,
            scratch: BytesMut::new(),
            waiting: VecDeque::new(),
            listens,
        }
    }

    fn listen(&mut self, message: &Message, from: Role) {
        let json = *self.json.get_or_insert(!Postcard.speaks(message));
        let protocol: &dyn Protocol = if json { &Json } else { &Postcard };
        self.scratch.clear();
        self.listens.passed(&message.bytes);
        if let Ok(Some(frame)) = protocol.decode(message, from, &mut self.scratch) {
            if let Frame::Hello(_) = frame {
                self.listens.greeted(&message.bytes);
            }
            match from == self.role {
                true => self.listens.said(&frame),
                false => self.listens.heard(&frame),
            }
        }
    }

    fn listen_to_framed(&mut self, mut framed: Bytes) {
        while !framed.is_empty() {
            let one = framed.split_to(self.framing.framed_bytes(&framed));
            let bytes = one.slice(self.framing.head_bytes(&one)..);
            self.listen(&Message::binary(bytes), self.role);
        }
    }

    fn other(&self) -> Role {
        match self.role {
            Role::Hub => Role::Client,
            Role::Client => Role::Hub,
        }
    }
}

fn is_publish(message: &Message) -> bool {
    let mut scratch = BytesMut::new();
    let frame = Postcard.decode(message, Role::Client, &mut scratch);
    matches!(frame, Ok(Some(Frame::Publish(_))))
}

impl Transport for Tap {
    fn apply(&mut self, limits: &Limits) {
        self.inner.apply(limits);
    }

    fn poll_open(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Box<Upgrade>>, TransportError>> {
        self.inner.poll_open(cx)
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>> {
        let polled = match self.waiting.pop_front() {
            Some(message) => Poll::Ready(Ok(Incoming::Message(message))),
            None => self.inner.poll_recv(cx),
        };
        if let Poll::Ready(Ok(Incoming::Message(message))) = &polled {
            self.listen(message, self.other());
        }
        polled
    }

    /// Several at once are publishes to a hub only: what it has heard of those it may forget, and everything else is dealt with when it is heard.
    fn recv_more(&mut self) -> Messages {
        if self.role == Role::Client || !self.waiting.is_empty() {
            return Messages::default();
        }
        self.waiting.extend(self.inner.recv_more());
        let mut framed = BytesMut::new();
        while let Some(publish) = self.waiting.pop_front_if(|message| is_publish(message)) {
            Framing::LengthPrefix.append(publish.kind, &mut framed, |into| {
                into.extend_from_slice(&publish.bytes);
            });
            self.listen(&publish, self.other());
        }
        Messages::new(framed, Kind::Binary)
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        let polled = self.inner.poll_ready(cx);
        self.listens.blocked(polled.is_pending());
        polled
    }

    fn start_send(&mut self, outgoing: Outgoing) -> Result<(), TransportError> {
        match &outgoing {
            Outgoing::Message(message) => self.listen(&message.clone(), self.role),
            Outgoing::Framed(framed) => self.listen_to_framed(framed.clone()),
            _ => {}
        }
        self.inner.start_send(outgoing)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        let polled = self.inner.poll_flush(cx);
        self.listens.blocked(polled.is_pending());
        polled
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.listens.parting();
        self.inner.poll_close(cx)
    }

    fn info(&self) -> Info {
        self.inner.info()
    }

    fn progress(&self) -> Progress {
        self.inner.progress()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.listens.gone();
    }
}

/// A listener or a connector whose connections are listened in to.
pub(crate) struct Tapped<L, F> {
    pub(crate) inner: L,
    pub(crate) listens: F,
}

#[async_trait]
impl<F> Listener for Tapped<Box<dyn Listener>, F>
where
    F: Fn() -> Arc<dyn Listens> + Send,
{
    async fn accept(&mut self) -> io::Result<Box<dyn Transport>> {
        let transport = self.inner.accept().await?;
        let listens = (self.listens)();
        Ok(Box::new(Tap::new(transport, Role::Hub, listens)))
    }

    fn url(&self) -> String {
        self.inner.url()
    }
}

#[async_trait]
impl<F> Connector for Tapped<Box<dyn Connector>, F>
where
    F: Fn() -> Arc<dyn Listens> + Send,
{
    fn offer(&mut self, protocol: &'static str) {
        self.inner.offer(protocol);
    }

    async fn connect(&mut self) -> io::Result<Box<dyn Transport>> {
        let transport = self.inner.connect().await?;
        let listens = (self.listens)();
        Ok(Box::new(Tap::new(transport, Role::Client, listens)))
    }

    fn url(&self) -> String {
        self.inner.url()
    }
}
