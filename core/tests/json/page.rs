//! A page in a browser, played by hand; and the end of its WebSocket in the hub.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use lapwing::Limits;
use lapwing::transport::{
    Incoming, Info, Message, Outgoing, Progress, Transport, TransportError, Upgrade,
};
use lapwing_memory::Memory;

/// What happens below messages, as the pings of a WebSocket do.
#[derive(Clone, Default)]
pub(crate) struct Below(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    pings: usize,
    /// Whether the browser does not answer any more.
    frozen: bool,
    alive: VecDeque<Incoming>,
    reader: Option<Waker>,
}

impl Below {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic")
    }

    pub(crate) fn pings(&self) -> usize {
        self.lock().pings
    }

    pub(crate) fn freeze(&self) {
        self.lock().frozen = true;
    }

    fn ping(&self) {
        let mut state = self.lock();
        state.pings += 1;
        if !state.frozen {
            state.alive.push_back(Incoming::Alive);
            let reader = state.reader.take();
            drop(state);
            if let Some(reader) = reader {
                reader.wake();
            }
        }
    }
}

/// The hub's end of a connection that began as an HTTP request, as a WebSocket does.
pub(crate) struct Upgraded {
    inner: Memory,
    upgrade: Option<Box<Upgrade>>,
    below: Below,
}

impl Upgraded {
    pub(crate) fn new(inner: Memory, query: &[(&str, &str)]) -> Self {
        let query = query
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        let upgrade = Upgrade {
            protocol: Some("lapwing.json".into()),
            path: "/".into(),
            query: query.collect(),
            ..Upgrade::default()
        };
        Self {
            inner,
            upgrade: Some(Box::new(upgrade)),
            below: Below::default(),
        }
    }

    pub(crate) fn below(&self) -> Below {
        self.below.clone()
    }
}

impl Transport for Upgraded {
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
        let mut state = self.below.lock();
        if let Some(alive) = state.alive.pop_front() {
            return Poll::Ready(Ok(alive));
        }
        state.reader = Some(cx.waker().clone());
        drop(state);
        self.inner.poll_recv(cx)
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.inner.poll_ready(cx)
    }

    fn start_send(&mut self, outgoing: Outgoing) -> Result<(), TransportError> {
        match outgoing {
            Outgoing::Ping => {
                self.below.ping();
                Ok(())
            }
            other => self.inner.start_send(other),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.inner.poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.inner.poll_close(cx)
    }

    fn info(&self) -> Info {
        let mut info = self.inner.info();
        (info.kinds, info.pings) = (true, true);
        info
    }

    fn progress(&self) -> Progress {
        self.inner.progress()
    }
}

/// Whoever says and hears texts.
pub(crate) struct Page {
    transport: Memory,
    pub(crate) below: Below,
}

impl Page {
    pub(crate) fn new(transport: Memory, below: Below) -> Self {
        Self { transport, below }
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.send(Message::text(text)).await;
    }

    pub(crate) async fn send(&mut self, message: Message) {
        poll_fn(|cx| self.transport.poll_ready(cx))
            .await
            .expect("a whole connection");
        self.transport
            .start_send(Outgoing::Message(message))
            .expect("a whole connection");
        poll_fn(|cx| self.transport.poll_flush(cx))
            .await
            .expect("a whole connection");
    }

    /// What the hub says next; `None` when it has finished.
    pub(crate) async fn next(&mut self) -> Option<String> {
        match poll_fn(|cx| self.transport.poll_recv(cx)).await {
            Ok(Incoming::Message(message)) => {
                Some(String::from_utf8(message.bytes.to_vec()).expect("a text"))
            }
            _ => None,
        }
    }

    /// The hub says just this next.
    pub(crate) async fn hears(&mut self, text: &str) {
        assert_eq!(self.next().await.as_deref(), Some(text));
    }

    pub(crate) async fn welcome(&mut self) {
        let text = self.next().await.expect("a welcome");
        assert!(text.starts_with(r#"{"welcome":{"connection":""#), "{text}");
    }

    /// The token of the welcome that comes next, and what follows it in the welcome.
    pub(crate) async fn token(&mut self) -> (String, String) {
        let text = self.next().await.expect("a welcome");
        let (_, after) = text.split_once(r#""resume_token":""#).expect("a token");
        let (token, rest) = after.split_once('"').expect("its end");
        (token.into(), rest.into())
    }

    pub(crate) async fn is_quiet(&mut self) -> bool {
        poll_fn(|cx| Poll::Ready(self.transport.poll_recv(cx).is_pending())).await
    }

    /// The hub says this at last, and then nothing more.
    pub(crate) async fn ends(&mut self, last_words: &str) {
        self.hears(last_words).await;
        let _ = poll_fn(|cx| self.transport.poll_close(cx)).await;
        assert_eq!(self.next().await, None);
    }
}
