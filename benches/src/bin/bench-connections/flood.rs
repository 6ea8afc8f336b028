//! Peers that do too much of one thing, until the process is ended.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use lapwing::wire::{self, Encoding, Frame, List, Payload, Start, Subscribe};
use lapwing_benches::framing::{Transport, masked, opcode};
use lapwing_benches::peer::Peer;
use lapwing_benches::script::{encoded, publish};
use lexopt::ValueExt;
use smol::{LocalExecutor, Timer, future};

/// How many flood at once.
const PEERS: usize = 16;

/// Between two bursts of one peer. The machine is shared with the hub: what is tried is its fairness, not who has more processors.
const PAUSE: Duration = Duration::from_millis(10);

/// How much is said in one burst.
const BURST: usize = 200;

/// Handshakes that are never done: more than the hub lets wait.
const HALF_OPEN: usize = 3_000;

/// What there is too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Pings of WebSocket.
    Pings,
    /// Messages with nothing in them.
    Empties,
    /// Subscriptions, begun and not ended.
    Subscriptions,
    /// Connections that do not finish their handshake.
    HalfOpen,
    /// Connections that come, and break off.
    Cycles,
    /// Subscribers that never read what is published for them.
    Unread,
    /// Publishers that say as much as the hub takes, for one who does not read it.
    Publishes,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Pings,
        Self::Empties,
        Self::Subscriptions,
        Self::HalfOpen,
        Self::Cycles,
        Self::Unread,
        Self::Publishes,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pings => "pings",
            Self::Empties => "empties",
            Self::Subscriptions => "subscriptions",
            Self::HalfOpen => "half-open",
            Self::Cycles => "cycles",
            Self::Unread => "unread",
            Self::Publishes => "publishes",
        }
    }
}

/// Where the hub is.
#[derive(Clone, Copy)]
struct Hub {
    tcp: SocketAddr,
    web_socket: SocketAddr,
}

impl Hub {
    async fn connect(self) -> io::Result<Peer> {
        Peer::connect(self.web_socket, Transport::WebSocket).await
    }

    async fn subscriber(self, filter: &str) -> io::Result<Peer> {
        Peer::subscriber(self.web_socket, Transport::WebSocket, filter).await
    }
}

/// Floods for ever: kind, address for TCP, address for WebSocket.
pub(crate) fn run(mut arguments: lexopt::Parser) -> Result<(), Box<dyn std::error::Error>> {
    let name = arguments.value()?.string()?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
    let kind = kind.ok_or("there is no such flood")?;
    let hub = Hub {
        tcp: arguments.value()?.parse()?,
        web_socket: arguments.value()?.parse()?,
    };
    let executor = LocalExecutor::new();
    let peers: Vec<_> = (0..PEERS)
        .map(|number| {
            executor.spawn(async move {
                loop {
                    // Being sent away is what floods end in.
                    let _ = flood(kind, hub, number).await;
                    Timer::after(PAUSE).await;
                }
            })
        })
        .collect();
    smol::block_on(executor.run(future::pending::<()>()));
    drop(peers);
    Ok(())
}

async fn flood(kind: Kind, hub: Hub, number: usize) -> io::Result<()> {
    match kind {
        Kind::Pings => bursts(hub, &masked(opcode::PING, b"")).await,
        Kind::Empties => bursts(hub, &masked(opcode::BINARY, b"")).await,
        Kind::Subscriptions => subscriptions(hub).await,
        Kind::HalfOpen => half_open(hub).await,
        Kind::Cycles => cycle(hub, number).await,
        Kind::Unread if number == 0 => publisher(hub).await,
        Kind::Publishes if number > 0 => publish_on_and_on(hub).await,
        Kind::Unread | Kind::Publishes => unread(hub).await,
    }
}

async fn bursts(hub: Hub, frame: &[u8]) -> io::Result<()> {
    let mut peer = hub.connect().await?;
    let burst = frame.repeat(BURST);
    loop {
        peer.write(&burst).await?;
        Timer::after(PAUSE).await;
    }
}

async fn subscriptions(hub: Hub) -> io::Result<()> {
    let mut peer = hub.connect().await?;
    let message = encoded(&Frame::Subscribe(Subscribe {
        receipt: 0,
        first: 1,
        policy: None,
        start: Start::Now,
        filters: List::new(&["some/*/topic/**"]),
    }));
    let burst = Transport::WebSocket.from_client(&message).repeat(BURST);
    loop {
        let said = async {
            peer.write(&burst).await?;
            Timer::after(PAUSE).await;
            Ok::<_, io::Error>(())
        };
        // A hub that pauses reading is not waited for for ever.
        let given_up = async {
            Timer::after(Duration::from_secs(1)).await;
            Err(io::ErrorKind::TimedOut.into())
        };
        future::or(said, given_up).await?;
    }
}

async fn half_open(hub: Hub) -> io::Result<()> {
    let mut open = Vec::new();
    for number in 0..HALF_OPEN / PEERS {
        let (address, transport) = match number % 2 {
            0 => (hub.tcp, Transport::Tcp),
            _ => (hub.web_socket, Transport::WebSocket),
        };
        let mut peer = Peer::silent(address, transport).await?;
        // The hub may have turned it away already.
        let _ = peer.write(b"GET /").await;
        open.push(peer);
        if number % 20 == 0 {
            Timer::after(PAUSE).await;
        }
    }
    Timer::after(Duration::from_secs(1)).await;
    for peer in open {
        // One that was turned away has no socket to be closed.
        let _ = peer.abort();
    }
    Ok(())
}

/// Breaks off before the handshake, in it or after it.
async fn cycle(hub: Hub, number: usize) -> io::Result<()> {
    for step in 0..20 {
        let mut peer = Peer::silent(hub.web_socket, Transport::WebSocket).await?;
        match (number + step) % 3 {
            0 => {}
            1 => peer.upgrade().await?,
            _ => {
                peer.upgrade().await?;
                peer.say(&lapwing_benches::script::hello()).await?;
            }
        }
        peer.abort()?;
    }
    Ok(())
}

async fn unread(hub: Hub) -> io::Result<()> {
    let mut peer = hub.subscriber("unread").await?;
    // What the hub sends next is never read; a goodbye is not either.
    loop {
        Timer::after(Duration::from_secs(1)).await;
        let alive = encoded(&Frame::Ping(wire::Ping { nonce: 1 }));
        peer.write(&Transport::WebSocket.from_client(&alive))
            .await?;
    }
}

async fn publish_on_and_on(hub: Hub) -> io::Result<()> {
    let mut peer = hub.connect().await?;
    let payload = Payload {
        encoding: Encoding::Bytes,
        bytes: &[b'x'; 100],
    };
    let message = encoded(&publish("unread", payload));
    let burst = Transport::WebSocket.from_client(&message).repeat(BURST);
    loop {
        peer.write(&burst).await?;
    }
}

async fn publisher(hub: Hub) -> io::Result<()> {
    let mut peer = hub.connect().await?;
    let bytes = vec![b'x'; 4_000];
    let payload = Payload {
        encoding: Encoding::Bytes,
        bytes: &bytes,
    };
    loop {
        for _ in 0..8 {
            peer.say(&publish("unread", payload)).await?;
        }
        Timer::after(PAUSE).await;
    }
}
