//! Delivers events to connections that may resume, or may not, in virtual time and over transports that swallow: for
//! counting instructions.
//!
//! ```text
//! for events in 1000 11000; do
//!   valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/bench-resume --events $events [--resumable]
//! done
//! ```
//!
//! The difference of two counts, by the difference of deliveries (a hundred for each event), is what one delivery costs.

use std::collections::VecDeque;
use std::error::Error;
use std::future::pending;
use std::io;
use std::task::{Context, Poll, Waker};

use lapwing::hub::{PublishError, Rule};
use lapwing::transport::{
    Framing, Incoming, Info, Listener, Message, Outgoing, Progress, Transport, TransportError,
};
use lapwing::wire::{Frame, Hello, Received};
use lapwing::{Hub, Limits};
use lapwing_benches::script;
use lapwing_memory::Virtual;
use lexopt::ValueExt as _;

const TOPIC: &str = "bench";

const SUBSCRIBERS: usize = 100;

/// Events that are published before anybody writes.
const BURST: u32 = 16;

/// Data frames after which a client says how many it has, as the protocol has it.
const RECEIVED_EVERY: u64 = 256;

/// A transport whose peer subscribes, then takes everything at once.
struct Sink {
    words: VecDeque<Vec<u8>>,
    confirms: bool,
    taken: u64,
    confirmed: u64,
    reader: Option<Waker>,
}

impl Sink {
    fn new(resumable: bool) -> Self {
        let Frame::Hello(hello) = script::hello() else {
            unreachable!("it is one");
        };
        let hello = Frame::Hello(Hello { resumable, ..hello });
        let words = [hello, script::subscribe(&[TOPIC])];
        Self {
            words: words.iter().map(script::encoded).collect(),
            confirms: resumable,
            taken: 0,
            confirmed: 0,
            reader: None,
        }
    }

    /// Counts the frames of a message that is framed already.
    fn take(&mut self, mut framed: &[u8]) {
        while !framed.is_empty() {
            let length = Framing::LengthPrefix.framed_bytes(framed);
            // The first one is an acknowledgement, which counts too.
            self.taken += 1;
            framed = &framed[length..];
        }
        if self.confirms && self.taken - self.confirmed >= RECEIVED_EVERY {
            self.confirmed = self.taken;
            let count = self.taken;
            let received = Frame::Received(Received { count });
            self.words.push_back(script::encoded(&received));
            self.reader.take().into_iter().for_each(Waker::wake);
        }
    }
}

impl Transport for Sink {
    fn apply(&mut self, _: &Limits) {}

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>> {
        match self.words.pop_front() {
            Some(bytes) => Poll::Ready(Ok(Incoming::Message(Message::binary(bytes)))),
            None => {
                self.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(&mut self, outgoing: Outgoing) -> Result<(), TransportError> {
        if let Outgoing::Framed(bytes) = outgoing {
            self.take(&bytes);
        }
        Ok(())
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn info(&self) -> Info {
        Info::new("sink", Framing::LengthPrefix)
    }

    fn progress(&self) -> Progress {
        Progress::default()
    }
}

/// Accepts subscribers that are there already.
struct Sinks(Vec<Sink>);

#[async_trait::async_trait]
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

fn main() -> Result<(), Box<dyn Error>> {
    let (mut events, mut resumable) = (10_000_u32, false);
    let mut parser = lexopt::Parser::from_env();
    while let Some(option) = parser.next()? {
        match option {
            lexopt::Arg::Long("events") => events = parser.value()?.string()?.parse()?,
            lexopt::Arg::Long("resumable") => resumable = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let sim = Virtual::new(7);
    let hub = Hub::builder(sim.clone())
        .topic("**", Rule::open())
        .build()?;
    let sinks = (0..SUBSCRIBERS).map(|_| Sink::new(resumable)).collect();
    sim.spawn_named("hub", hub.serve(Sinks(sinks)));
    sim.run(async {
        sim.settle().await;
        for number in 0..events {
            let published = hub.publish(TOPIC, [7; 128])?;
            assert_eq!(published.queued as usize, SUBSCRIBERS);
            if number % BURST == BURST - 1 {
                sim.settle().await;
            }
        }
        sim.settle().await;
        Ok::<_, PublishError>(())
    })??;
    println!("{} frames", hub.counters().frames_out);
    Ok(())
}
