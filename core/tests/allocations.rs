//! What an event costs beyond its first subscriber: no allocation, whatever their number; and what a connection costs that may resume.
//!
//! The hub runs on this thread alone, whose allocations are counted; its subscribers are bare transports that allocate nothing.

use std::collections::VecDeque;
use std::future::pending;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::task::{Context, Poll};

use allocation_counter::measure;
use async_trait::async_trait;
use bytes::Bytes;
use futures_lite::future::yield_now;
use lapwing::hub::{HubBuilder, Rule};
use lapwing::runtime::Smol;
use lapwing::transport::{
    Framing, Incoming, Info, Listener, Message, Outgoing, Progress, Transport, TransportError,
};
use lapwing::wire::{self, Encodings, Frame, Hello, List, Received, Start, Subscribe, Terms};
use lapwing::{Hub, Limits, Policy};
use lapwing_memory::Virtual;

/// Published before anything is counted: buffers have the size they need then.
const WARM_UP: u32 = 64;

/// Published while allocations are counted.
const EVENTS: u32 = 100;

const TOPIC: &str = "numbers";
const PAYLOAD: [u8; 128] = [7; 128];

fn open(hub: HubBuilder) -> Hub {
    let hub = hub.topic("**", Rule::open()).build();
    hub.expect("good filters")
}

/// What a subscriber says: its hello, and that it wants everything.
fn first_words(policy: Policy, resumable: bool) -> [Bytes; 2] {
    let hello = Frame::Hello(Hello {
        oldest: wire::VERSION,
        newest: wire::VERSION,
        terms: Terms {
            encodings: Encodings::NONE,
            promise_ms: 3_600_000,
            message_bytes_max: 1024 * 1024,
            subscriptions_max: 16,
        },
        resumable,
        token: None,
        resume: None,
        positions: List::new(&[]),
    });
    let subscribe = Frame::Subscribe(Subscribe {
        receipt: 1,
        first: 1,
        policy: Some(policy),
        start: Start::Now,
        filters: List::new(&["**"]),
    });
    [hello, subscribe].map(|frame| {
        let mut bytes = Vec::new();
        wire::append(&frame, &mut bytes);
        bytes.into()
    })
}

/// A transport whose peer subscribes, then takes everything at once.
struct Sink {
    framing: Framing,
    first_words: VecDeque<Bytes>,
    taken_bytes: u64,
}

impl Transport for Sink {
    fn apply(&mut self, _: &Limits) {}

    fn poll_recv(&mut self, _: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>> {
        match self.first_words.pop_front() {
            Some(bytes) => Poll::Ready(Ok(Incoming::Message(Message::binary(bytes)))),
            None => Poll::Pending,
        }
    }

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(&mut self, outgoing: Outgoing) -> Result<(), TransportError> {
        self.taken_bytes += match outgoing {
            Outgoing::Message(message) => message.bytes.len() as u64,
            Outgoing::Framed(bytes) => bytes.len() as u64,
            Outgoing::Ping | Outgoing::Goodbye(_) => 0,
        };
        Ok(())
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn info(&self) -> Info {
        Info::new("sink", self.framing)
    }

    fn progress(&self) -> Progress {
        Progress {
            sent_bytes: self.taken_bytes,
            ..Progress::default()
        }
    }
}

/// Accepts subscribers that are there already.
struct Sinks(Vec<Sink>);

#[async_trait]
impl Listener for Sinks {
    async fn accept(&mut self) -> io::Result<Box<dyn Transport>> {
        match self.0.pop() {
            Some(sink) => Ok(Box::new(sink)),
            None => pending().await,
        }
    }

    fn url(&self) -> String {
        "sink://".into()
    }
}

/// Allocations of a hub that publishes [`EVENTS`] to so many subscribers, `burst` at a time.
fn to_sinks(subscribers: u64, framing: Framing, policy: Policy, burst: u32) -> u64 {
    let sim = Virtual::new(7);
    let hub = open(Hub::builder(sim.clone()));
    let sink = |_| Sink {
        framing,
        first_words: first_words(policy, false).into(),
        taken_bytes: 0,
    };
    let sinks = Sinks((0..subscribers).map(sink).collect());
    sim.spawn_named("hub", hub.serve(sinks));
    let publish = async |events: u32| {
        for number in 0..events {
            let published = hub.publish(TOPIC, PAYLOAD).expect("a topic");
            assert_eq!(u64::from(published.queued), subscribers);
            if (number + 1) % burst == 0 {
                sim.settle().await;
            }
        }
        sim.settle().await;
    };
    let run = |events| sim.run(publish(events)).expect("nobody waits for ever");
    sim.run(sim.settle()).expect("nobody waits for ever");
    assert_eq!(hub.counters().subscriptions, subscribers);
    run(WARM_UP);
    let before = hub.counters().frames_out;
    let counted = measure(|| run(EVENTS));
    let delivered = hub.counters().frames_out - before;
    assert_eq!(delivered, u64::from(EVENTS) * subscribers);
    assert_eq!(hub.counters().held_bytes, 0);
    counted.count_total
}

#[test]
fn more_subscribers_cost_no_more_allocations() {
    for framing in [Framing::LengthPrefix, Framing::None] {
        for policy in [Policy::Disconnect, Policy::DropOldest, Policy::KeepLatest] {
            for burst in [1, 5] {
                if policy == Policy::KeepLatest && burst > 1 {
                    // Then most of them are not delivered.
                    continue;
                }
                let few = to_sinks(10, framing, policy, burst);
                let many = to_sinks(100, framing, policy, burst);
                assert_eq!(few, many, "{framing:?} {policy:?}, {burst} at a time");
                assert!(few < 20 * u64::from(EVENTS), "{few}");
            }
        }
    }
}

/// A subscriber at the other end of a socket.
struct Reader {
    socket: TcpStream,
    read_bytes: u64,
}

impl Reader {
    fn connect(url: &str) -> Self {
        let addr = url.strip_prefix("tcp://").expect("over TCP");
        let mut socket = TcpStream::connect(addr).expect("the hub listens");
        for message in first_words(Policy::Disconnect, false) {
            let length = (message.len() as u32).to_be_bytes();
            let framed = [&length[..], &message[..]].concat();
            socket.write_all(&framed).expect("room");
        }
        socket.set_nonblocking(true).expect("a socket");
        Self {
            socket,
            read_bytes: 0,
        }
    }

    /// Reads what is there.
    fn read(&mut self) -> u64 {
        let mut buffer = [0; 4096];
        while let Ok(bytes) = self.socket.read(&mut buffer) {
            self.read_bytes += bytes as u64;
        }
        self.read_bytes
    }
}

/// Allocations of a hub that publishes [`EVENTS`] to so many subscribers over TCP.
fn to_sockets(subscribers: usize) -> u64 {
    let smol = Smol::new();
    let hub = open(Hub::builder(smol.clone()));
    let mut readers = smol.block_on(async {
        let listener = lapwing_tcp::smol::listen("127.0.0.1:0").await;
        let listener = listener.expect("a free port");
        let url = listener.url();
        smol.spawn(hub.serve(listener));
        let readers: Vec<_> = (0..subscribers).map(|_| Reader::connect(&url)).collect();
        while hub.counters().subscriptions < subscribers as u64 {
            yield_now().await;
        }
        readers
    });
    let mut publish = async |events| {
        for _ in 0..events {
            let before = readers[0].read();
            hub.publish(TOPIC, PAYLOAD).expect("a topic");
            while readers[0].read() == before {
                yield_now().await;
            }
            let expected = readers[0].read();
            for reader in &mut readers {
                while reader.read() < expected {
                    yield_now().await;
                }
            }
        }
    };
    smol.block_on(publish(WARM_UP));
    measure(|| smol.block_on(publish(EVENTS))).count_total
}

#[test]
fn more_subscribers_over_tcp_cost_no_more_allocations() {
    let (few, many) = (to_sockets(10), to_sockets(100));
    // The executor has queues of its own, which grow by a block for some 30 wakes: less than one for each event.
    let more = many.saturating_sub(few);
    assert!(more < u64::from(EVENTS), "{few} to 10, {many} to 100");
}

/// Bytes that a hub has for so many idle connections, which have heard an event and confirmed everything.
fn idle_bytes(connections: usize, resumable: bool) -> i64 {
    let sim = Virtual::new(7);
    let hub = open(Hub::builder(sim.clone()));
    let mut received = Vec::new();
    wire::append(&Frame::Received(Received { count: 1 }), &mut received);
    let words = first_words(Policy::Disconnect, resumable);
    let words: VecDeque<_> = words.into_iter().chain([received.into()]).collect();
    let sink = |_| Sink {
        framing: Framing::LengthPrefix,
        first_words: words.clone(),
        taken_bytes: 0,
    };
    let sinks = Sinks((0..connections).map(sink).collect());
    let held = measure(|| {
        sim.spawn_named("hub", hub.serve(sinks));
        sim.run(sim.settle()).expect("nobody waits for ever");
    });
    assert_eq!(hub.counters().subscriptions, connections as u64);
    held.bytes_current
}

#[test]
fn a_connection_that_may_resume_costs_128_bytes_more_at_most() {
    const CONNECTIONS: usize = 2_000;
    let with = idle_bytes(CONNECTIONS, true);
    let without = idle_bytes(CONNECTIONS, false);
    let each = (with - without) / CONNECTIONS as i64;
    assert!((0..=128).contains(&each), "{each} bytes");
}
