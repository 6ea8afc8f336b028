//! A client that has negotiated, comes, and comes again by its ticket.

use std::task::{Context, Poll};

use lapwing::transport::{
    Connector, Incoming, Info, Listener, Messages, Outgoing, Progress, Ticket, Transport,
    TransportError, Upgrade,
};
use lapwing::{ConnectionId, Limits};

use crate::page::Page;
use crate::world::World;

/// What a client has negotiated.
pub(crate) struct Guest {
    pub(crate) name: &'static str,
    pub(crate) id: ConnectionId,
    pub(crate) ticket: Ticket,
    pub(crate) token: &'static str,
}

impl Guest {
    pub(crate) fn new(name: &'static str) -> Self {
        let mut id = [0; 16];
        id[..name.len()].copy_from_slice(name.as_bytes());
        Self {
            name,
            id: ConnectionId::from_bytes(id),
            ticket: Ticket::new(),
            token: "",
        }
    }

    /// Connects, without a word.
    pub(crate) async fn connect(&self, world: &World) -> Page {
        let (page, attached) = self.knock(world).await;
        world.sim.spawn_named(self.name, attached);
        page
    }

    /// The same, and what lets the hub find out.
    pub(crate) async fn knock(
        &self,
        world: &World,
    ) -> (Page, impl Future<Output = ()> + Send + 'static) {
        let mut listener = world.network.listen("door").expect("a free name");
        let mut connector = world.network.connector("door").named(self.name);
        let (ours, theirs) =
            futures_lite::future::zip(connector.connect(), listener.accept()).await;
        let attached = world.hub.attach(Ticketed {
            inner: theirs.expect("somebody connected"),
            upgrade: Some(Box::new(self.upgrade())),
        });
        let page = Page::new(ours.expect("somebody listens"));
        (page, async move {
            attached.await;
        })
    }

    fn upgrade(&self) -> Upgrade {
        Upgrade {
            protocol: Some("signalr.json".into()),
            query: vec![("access_token".into(), self.token.into())],
            connection: Some(self.id),
            ticket: Some(self.ticket.clone()),
            ..Upgrade::default()
        }
    }

    /// Comes for the first time, in this form, and has nothing to say.
    pub(crate) async fn come_in(&self, world: &World, form: &str) -> Page {
        let mut page = self.connect(world).await;
        page.say(&format!(r#"{{"protocol":"{form}","version":2}}"#))
            .await;
        page.hears("{}").await;
        page
    }

    /// Comes for the first time, and begins to count.
    pub(crate) async fn come(&self, world: &World) -> Page {
        let mut page = self.come_in(world, "json").await;
        page.say(r#"{"type":6}"#).await;
        world.sim.settle().await;
        page
    }

    /// Loses its connection, and everything that is on its way.
    pub(crate) async fn lose(&self, world: &World) {
        world.network.cut(self.name);
        world.sim.settle().await;
    }

    /// Returns: it says the message of this number next, and hears that one.
    pub(crate) async fn come_back(&self, world: &World, says: u64, hears: u64) -> Page {
        let mut page = self.connect(world).await;
        page.say(&sequence(says)).await;
        page.hears(&sequence(hears)).await;
        page
    }
}

pub(crate) fn sequence(number: u64) -> String {
    format!(r#"{{"type":9,"sequenceId":{number}}}"#)
}

pub(crate) fn ack(number: u64) -> String {
    format!(r#"{{"type":8,"sequenceId":{number}}}"#)
}

/// The hub's end of a transport that somebody negotiated.
struct Ticketed {
    inner: Box<dyn Transport>,
    upgrade: Option<Box<Upgrade>>,
}

impl Transport for Ticketed {
    fn poll_open(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<Result<Option<Box<Upgrade>>, TransportError>> {
        Poll::Ready(Ok(self.upgrade.take()))
    }

    fn apply(&mut self, limits: &Limits) {
        self.inner.apply(limits);
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>> {
        self.inner.poll_recv(cx)
    }

    fn recv_more(&mut self) -> Messages {
        self.inner.recv_more()
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.inner.poll_ready(cx)
    }

    fn start_send(&mut self, outgoing: Outgoing) -> Result<(), TransportError> {
        self.inner.start_send(outgoing)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.inner.poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.inner.poll_close(cx)
    }

    fn info(&self) -> Info {
        let mut info = self.inner.info();
        info.connection = self.upgrade.as_ref().and_then(|upgrade| upgrade.connection);
        info
    }

    fn progress(&self) -> Progress {
        self.inner.progress()
    }
}
