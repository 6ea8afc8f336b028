//! An echo service straight on the transports, without a hub: every message back as it came, of the same kind.
//!
//! For programs with a protocol of their own that want lapwing's transports with their limits held: the same loop, with
//! something else to say. [`Guarded`] ends peers that stop half-way or keep us busy with nothing; room for the answer is asked
//! for before the next message is read, so a peer that does not read is not read either.
//!
//! ```sh
//! cargo run --release -p lapwing-examples --example echo -- --ws 127.0.0.1:9001 --tcp 127.0.0.1:9002
//! ```
//!
//! `--http ADDR` is a WebSocket too, by the upgrade of an HTTP server. `--message-max BYTES` and `--fragments-max N` lift limits.
//! `--to URL`, any number of times, is the other end: it connects to each, one after the other, and sends back what it
//! hears. So a suite of tests can try both ends of a transport.

use std::error::Error;
use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::future::{or, yield_now};
use lapwing::Limits;
use lapwing::runtime::{Runtime, Smol};
use lapwing::transport::{
    Connector, Goodbye, Guarded, Incoming, Listener, Message, Outgoing, Transport, TransportError,
};
use lexopt::prelude::*;

/// Messages of one peer before others have their turn.
const MESSAGES_PER_TURN: u32 = 64;

/// How long to wait when the machine is out of something that a new connection needs.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse(lexopt::Parser::from_env())?;
    raise_open_files();
    let smol = Smol::new();
    smol.block_on(serve(&smol, options))
}

struct Options {
    ws: Option<String>,
    http: Option<String>,
    tcp: Option<String>,
    to: Vec<String>,
    limits: Limits,
}

impl Options {
    fn parse(mut parser: lexopt::Parser) -> Result<Self, lexopt::Error> {
        let (mut ws, mut http, mut tcp, mut to) = (None, None, None, Vec::new());
        let mut limits = Limits::default();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("ws") => ws = Some(parser.value()?.string()?),
                Long("http") => http = Some(parser.value()?.string()?),
                Long("tcp") => tcp = Some(parser.value()?.string()?),
                Long("to") => to.push(parser.value()?.string()?),
                Long("message-max") => limits.message_bytes_max = parser.value()?.parse()?,
                Long("fragments-max") => limits.fragments_max = parser.value()?.parse()?,
                other => return Err(other.unexpected()),
            }
        }
        if ws.is_none() && http.is_none() && tcp.is_none() && to.is_empty() {
            return Err("where? --ws ADDR, --http ADDR or --tcp ADDR, or some of them".into());
        }
        Ok(Self {
            ws,
            http,
            tcp,
            to,
            limits,
        })
    }
}

async fn serve(smol: &Smol, options: Options) -> Result<(), Box<dyn Error>> {
    let service = Arc::new(Service {
        smol: smol.clone(),
        runtime: Arc::new(smol.clone()),
        limits: options.limits,
        served: Arc::new(()),
        refused: Arc::new(()),
    });
    let listens = options.ws.is_some() || options.http.is_some() || options.tcp.is_some();
    if let Some(addr) = options.ws {
        service.listen(lapwing_websocket::smol::listen(addr).await?);
    }
    if let Some(addr) = options.http {
        let mut server = lapwing_http::smol::listen(smol, &addr).await?;
        service.listen(server.endpoint("/", lapwing_http::Options::native()));
        smol.spawn(server.run());
    }
    if let Some(addr) = options.tcp {
        service.listen(lapwing_tcp::smol::listen(addr).await?);
    }
    for url in options.to {
        let transport = connector(url).connect().await?;
        service.talk(transport, false).await;
    }
    match listens {
        true => pending().await,
        false => Ok(()),
    }
}

/// What all connections share.
struct Service {
    smol: Smol,
    runtime: Arc<dyn Runtime>,
    limits: Limits,
    /// One more is held by each connection that is served, and by each that is refused.
    served: Arc<()>,
    refused: Arc<()>,
}

impl Service {
    fn listen(self: &Arc<Self>, listener: impl Listener + 'static) {
        println!("listening on {}", listener.url());
        self.smol.spawn(self.clone().accept(listener));
    }

    /// Gives every peer a task; no error of one is the end of all.
    async fn accept(self: Arc<Self>, mut listener: impl Listener) {
        loop {
            match listener.accept().await {
                Ok(transport) => self.meet(transport),
                Err(_) => self.pause(ACCEPT_PAUSE).await,
            }
            yield_now().await;
        }
    }

    /// Serves a peer, or says that there is no room; when too many are told so already, says nothing.
    fn meet(self: &Arc<Self>, transport: Box<dyn Transport>) {
        let served = place(&self.served, self.limits.connections_max);
        let is_full = served.is_none();
        let refused = || place(&self.refused, self.limits.handshakes_max);
        let Some(place) = served.or_else(refused) else {
            return;
        };
        let service = self.clone();
        self.smol.spawn(async move {
            service.talk(transport, is_full).await;
            drop(place);
        });
    }

    /// From the first word to the last.
    async fn talk(&self, transport: Box<dyn Transport>, is_full: bool) {
        let mut peer = Guarded::new(transport, self.runtime.clone());
        peer.apply(&self.limits);
        if is_full {
            refuse(&mut peer);
        } else {
            // Whatever it was, the transport tells the peer.
            let _ = echo(&mut peer).await;
        }
        let farewell = poll_fn(|cx| poll_farewell(&mut peer, cx));
        or(farewell, self.pause(self.limits.closing)).await;
    }

    async fn pause(&self, duration: Duration) {
        let mut timer = self.runtime.timer();
        timer.arm(self.runtime.now() + duration);
        poll_fn(|cx| timer.poll_fired(cx)).await;
    }
}

/// One of `most` places, free again when it is dropped.
fn place(places: &Arc<()>, most: u32) -> Option<Arc<()>> {
    let taken = Arc::strong_count(places) - 1;
    (taken < most as usize).then(|| places.clone())
}

fn connector(url: String) -> Box<dyn Connector> {
    match url.starts_with("ws://") {
        true => Box::new(lapwing_websocket::smol::connect(url)),
        false => Box::new(lapwing_tcp::smol::connect(url)),
    }
}

/// Sends back what arrives, until the peer has finished or did what it may not.
async fn echo(peer: &mut impl Transport) -> Result<(), TransportError> {
    poll_fn(|cx| peer.poll_open(cx)).await?;
    loop {
        for _ in 0..MESSAGES_PER_TURN {
            poll_fn(|cx| peer.poll_ready(cx)).await?;
            match poll_fn(|cx| poll_next(peer, cx)).await? {
                Some(message) => peer.start_send(Outgoing::Message(message))?,
                None => return Ok(()),
            }
        }
        yield_now().await;
    }
}

/// The next message, `None` after the last. What was started is handed over when nothing else is to be done: many
/// small answers are one write.
fn poll_next(
    peer: &mut impl Transport,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Message>, TransportError>> {
    match peer.poll_recv(cx)? {
        Poll::Ready(Incoming::Message(message)) => Poll::Ready(Ok(Some(message))),
        Poll::Ready(Incoming::End) => Poll::Ready(Ok(None)),
        // A sign of life may want an answer, which the transport has started by itself.
        Poll::Ready(_) => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        Poll::Pending => {
            let _ = peer.poll_flush(cx)?;
            Poll::Pending
        }
    }
}

/// Turns a peer away: "try again later".
fn refuse(peer: &mut impl Transport) {
    let goodbye = Goodbye {
        code: 1013,
        reason: "too many connections".into(),
    };
    // Nobody can be told when that fails.
    let _ = peer.start_send(Outgoing::Goodbye(goodbye));
}

/// Tells the peer that nothing follows, and reads on until it has finished too: who closes a socket with
/// unread bytes in it destroys its own last words.
fn poll_farewell(peer: &mut impl Transport, cx: &mut Context<'_>) -> Poll<()> {
    let told = peer.poll_close(cx);
    if let Poll::Ready(Err(_)) = told {
        return Poll::Ready(());
    }
    for _ in 0..MESSAGES_PER_TURN {
        match peer.poll_recv(cx) {
            Poll::Ready(Ok(Incoming::End) | Err(TransportError::Io(_))) => return told.map(|_| ()),
            Poll::Ready(_) => {}
            Poll::Pending => return Poll::Pending,
        }
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// A connection is an open file, and many systems allow a program 1,024 unless it asks for more.
fn raise_open_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        // Without it fewer are served; accepting waits for files to be closed.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}
