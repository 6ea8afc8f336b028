//! What a load generator that knows no lapwing has to say on the wire, one item per line.
//!
//! `sub`, `pub` and `both` are the steps of a subscriber, a publisher, and a connection that is both; `frame OFFSET HEX`
//! is one publish with its payload at that offset; `topic OFFSET` where four digits of it name the topic; `deliver LENGTH` the length of one delivered message; `pong` what
//! answers a ping; `mask` what the payload of a publish is masked with, from its first byte on.

use std::fmt::Write;

use lapwing::Limits;
use lapwing::wire::{
    self, Ack, Encoding, Encodings, Event, Frame, Hello, List, Name, Outcome, Payload, Ping, Pong,
    Publish, Start, Subscribe, Terms, VERSION,
};

use crate::framing::{MASK, Transport, UPGRADE};

/// Stands for the four digits that a load generator puts into the name of a topic.
const DIGITS: &str = "####";

/// The script for payloads of this many bytes, on one topic; or on a thousand below it, of which each subscriber has so many.
pub fn script(transport: Transport, topic: &str, payload_bytes: usize, each: usize) -> String {
    let numbered = format!("{topic}/{DIGITS}");
    let topic = if each > 0 { &numbered } else { topic };
    let bytes = payload(payload_bytes);
    let payload = Payload {
        encoding: Encoding::Bytes,
        bytes: &bytes,
    };
    let lines = [
        connecting(transport, &vec![topic; each.max(1)]),
        publishing(transport, topic, payload),
        delivering(transport, topic, payload),
    ];
    lines.concat().join("\n") + "\n"
}

/// How the three kinds of connections begin.
fn connecting(transport: Transport, topics: &[&str]) -> Vec<String> {
    let mut lines = Vec::new();
    if transport == Transport::WebSocket {
        for who in ["sub", "pub", "both"] {
            lines.push(format!("{who} send {}", hex(UPGRADE.as_bytes())));
            lines.push(format!("{who} expect {}", hex(b"\r\n\r\n")));
        }
    }
    let hello = transport.from_client(&encoded(&hello()));
    let subscribe = transport.from_client(&encoded(&subscribe(topics)));
    let acknowledged = transport.from_hub(&encoded(&Frame::Ack(Ack {
        receipt: 1,
        outcome: Outcome::Subscribed,
    })));
    // The welcome's kind and version: how long the rest is depends on the hub's terms.
    lines.push(format!("pub send {}", hex(&hello)));
    lines.push("pub expect 0201".into());
    for who in ["sub", "both"] {
        lines.push(format!("{who} send {}{}", hex(&hello), hex(&subscribe)));
        lines.push(format!("{who} expect {}", hex(&acknowledged)));
    }
    lines
}

fn publishing(transport: Transport, topic: &str, payload: Payload<'_>) -> Vec<String> {
    let message = encoded(&publish(topic, payload));
    let (frame, at) = (transport.from_client(&message), payload.bytes.len());
    let mut lines = vec![format!("frame {} {}", frame.len() - at, hex(&frame))];
    let digits = frame
        .windows(DIGITS.len())
        .position(|part| part == DIGITS.as_bytes());
    lines.extend(digits.map(|at| format!("topic {at}")));
    if transport == Transport::WebSocket {
        let mut mask = MASK;
        mask.rotate_left((message.len() - at) % MASK.len());
        lines.push(format!("mask {}", hex(&mask)));
    }
    lines
}

fn delivering(transport: Transport, topic: &str, payload: Payload<'_>) -> Vec<String> {
    let event = transport.from_hub(&encoded(&Frame::Event(Event {
        topic,
        direct: false,
        offset: None,
        payload,
    })));
    // The nonce counts pings from 1; the answer to any of them counts as life.
    let ping = transport.from_hub(&encoded(&Frame::Ping(Ping { nonce: 1 })));
    let pong = transport.from_client(&encoded(&Frame::Pong(Pong { nonce: 1 })));
    vec![
        format!("deliver {}", event.len()),
        format!("pong {} {}", hex(&ping[..ping.len() - 1]), hex(&pong)),
    ]
}

/// Asks for all events of these filters, acknowledged by receipt 1.
pub fn subscribe<'a>(filters: &'a [&'a str]) -> Frame<'a> {
    Frame::Subscribe(Subscribe {
        receipt: 1,
        first: 1,
        policy: None,
        start: Start::Now,
        filters: List::new(filters),
    })
}

/// Publishes without a receipt.
pub fn publish<'a>(topic: &'a str, payload: Payload<'a>) -> Frame<'a> {
    Frame::Publish(Publish {
        receipt: 0,
        name: Name::Topic(topic),
        payload,
    })
}

/// What a load generator says first.
pub fn hello() -> Frame<'static> {
    let limits = Limits::default();
    let terms = Terms {
        encodings: Encodings::NONE.with(Encoding::Bytes).with(Encoding::Text),
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

/// The bytes of a frame.
pub fn encoded(frame: &Frame<'_>) -> Vec<u8> {
    let mut message = Vec::new();
    wire::append(frame, &mut message);
    message
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
