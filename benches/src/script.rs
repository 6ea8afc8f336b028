//! What a load generator that knows no lapwing has to say on the wire, one item per line.
//!
//! `sub`, `pub` and `both` are the steps of a subscriber, a publisher, and a connection that is both; `frame OFFSET HEX`
//! is one publish with its payload at that offset; `deliver LENGTH` the length of one delivered message; `pong` what
//! answers a ping.

use std::fmt::Write;

use lapwing::Limits;
use lapwing::wire::{
    self, Ack, Encoding, Encodings, Event, Frame, Hello, List, Name, Outcome, Payload, Ping, Pong,
    Publish, Start, Subscribe, Terms, VERSION,
};

/// The script for one topic and payloads of this many bytes, over TCP.
pub fn tcp(topic: &str, payload_bytes: usize) -> String {
    let mut script = String::new();
    let mut line = |text: String| script.push_str(&(text + "\n"));
    let hello = framed(&hello());
    let subscribe = framed(&Frame::Subscribe(Subscribe {
        receipt: 1,
        first: 1,
        policy: None,
        start: Start::Now,
        filters: List::new(&[topic]),
    }));
    let acknowledged = framed(&Frame::Ack(Ack {
        receipt: 1,
        outcome: Outcome::Subscribed,
    }));
    // The welcome's kind and version: how long the rest is depends on the hub's terms.
    line(format!("pub send {}", hex(&hello)));
    line("pub expect 0201".into());
    for who in ["sub", "both"] {
        line(format!("{who} send {}{}", hex(&hello), hex(&subscribe)));
        line(format!("{who} expect {}", hex(&acknowledged)));
    }
    let bytes = payload(payload_bytes);
    let payload = Payload {
        encoding: Encoding::Bytes,
        bytes: &bytes,
    };
    let publish = framed(&Frame::Publish(Publish {
        receipt: 0,
        name: Name::Topic(topic),
        payload,
    }));
    line(format!(
        "frame {} {}",
        publish.len() - payload_bytes,
        hex(&publish)
    ));
    line(format!(
        "deliver {}",
        framed(&Frame::Event(Event {
            topic,
            direct: false,
            offset: None,
            payload
        }))
        .len()
    ));
    // The nonce counts pings from 1; the answer to any of them counts as life.
    line(format!(
        "pong {} {}",
        hex(&framed(&Frame::Ping(Ping { nonce: 1 }))[..5]),
        hex(&framed(&Frame::Pong(Pong { nonce: 1 })))
    ));
    script
}

fn hello() -> Frame<'static> {
    let limits = Limits::default();
    let terms = Terms {
        encodings: Encodings::NONE.with(Encoding::Bytes),
        // It answers pings and sends none: it may be silent for as long as a hub allows.
        promise_ms: limits.promise_max.as_millis() as u32,
        message_bytes_max: limits.message_bytes_max,
        subscriptions_max: limits.subscriptions_max,
    };
    let positions = List::new(&[]);
    Frame::Hello(Hello {
        oldest: VERSION,
        newest: VERSION,
        terms,
        resumable: false,
        token: None,
        resume: None,
        positions,
    })
}

/// A marker, room for a time stamp, and filling.
fn payload(bytes: usize) -> Vec<u8> {
    let mut payload = b"LWBENCH10000000000000000".to_vec();
    payload.resize(bytes, b'x');
    payload
}

fn framed(frame: &Frame<'_>) -> Vec<u8> {
    let mut message = Vec::new();
    wire::append(frame, &mut message);
    let length = u32::try_from(message.len()).expect("a short message");
    [&length.to_be_bytes()[..], &message].concat()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
