//! Connections without a network: their transports take everything at once and keep nothing.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use lapwing::Limits;
use lapwing::transport::{
    Framing, Incoming, Info, Listener, Message, Outgoing, Progress, Transport, TransportError,
};
use lapwing::wire::{Frame, Hello, Payload, Received};

use crate::script;

/// Data frames after which a client says how many it has, as the protocol has it.
const RECEIVED_EVERY: u64 = 256;

/// A transport whose peer subscribes, then takes everything at once.
pub struct Sink {
    words: VecDeque<Bytes>,
    confirms: bool,
    taken: u64,
    confirmed: u64,
    reader: Option<Waker>,
}

impl Sink {
    fn new(topics: &[&str], resumable: bool) -> Self {
        let Frame::Hello(hello) = script::hello() else {
            unreachable!("it is one");
        };
        let hello = Frame::Hello(Hello { resumable, ..hello });
        let words = [hello, script::subscribe(topics)];
        Self {
            words: words.iter().map(script::encoded).map(Bytes::from).collect(),
            confirms: resumable,
            taken: 0,
            confirmed: 0,
            reader: None,
        }
    }

    /// One that publishes so many events instead, as fast as they are read.
    fn publisher(topic: &str, payload: Payload<'_>, events: u32) -> Self {
        let publish = script::encoded(&script::publish(topic, payload));
        let mut publisher = Self::new(&[], false);
        publisher.words.pop_back();
        let events = std::iter::repeat_n(publish, events as usize);
        publisher.words.extend(events.map(Bytes::from));
        publisher
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
            self.words.push_back(script::encoded(&received).into());
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
pub struct Sinks(Vec<Sink>);

impl Sinks {
    /// So many of one topic.
    pub fn new(count: usize, topic: &str, resumable: bool) -> Self {
        let sink = |_| Sink::new(&[topic], resumable);
        Self((0..count).map(sink).collect())
    }

    /// So many of one topic, each with one more of its own.
    pub fn with_own(count: usize, topic: &str, own: impl Fn(usize) -> String) -> Self {
        let sink = |number| Sink::new(&[topic, &own(number)], false);
        Self((0..count).map(sink).collect())
    }

    /// One that publishes so many events.
    pub fn publisher(topic: &str, payload: Payload<'_>, events: u32) -> Self {
        Self(vec![Sink::publisher(topic, payload, events)])
    }
}

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
