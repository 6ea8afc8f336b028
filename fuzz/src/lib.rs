//! What no bytes may break: the bodies of the fuzz targets, and of the plain test that replays their seeds.
//!
//! ```text
//! cargo test --manifest-path fuzz/Cargo.toml
//! mkdir -p fuzz/target/found && cargo +nightly fuzz run decode fuzz/target/found fuzz/corpus/decode
//! ```
//!
//! What the fuzzer finds goes to the first folder; what is worth keeping becomes a seed by hand.

mod bound;
mod hub;
mod json;
mod signalr;
mod socket;
mod tcp;
mod topic;
mod upgrade;
mod websocket;
mod websocket_client;

// The property tests of core draw frames and play sessions in the same way. Their files say `crate::` and mean lapwing.
#[path = "../../core/src/wire/draw.rs"]
mod draw;
#[path = "../../core/src/session/tests/script.rs"]
mod script;

use lapwing::*;

use self::draw::with_frame;

pub use self::bound::Target;

/// tungstenite's buffer for reading, while a client of a WebSocket waits for the answer to its request.
const ANSWER_BYTES: u64 = 192 * 1024;

/// What an operation on a hub may leave: three bytes that bring a connection, or an event for four of them.
const BYTES_PER_OPERATION: u64 = 16 * 1024;

/// Everything that is fuzzed.
pub const TARGETS: &[Target] = &[
    Target::new("decode", decode),
    Target::new("hub", hub::hub).per_byte(BYTES_PER_OPERATION / 3),
    Target::new("json", json::json),
    Target::new("session", session),
    Target::new("signalr", signalr::signalr),
    Target::new("tcp", tcp::tcp),
    Target::new("topic", topic::topic),
    Target::new("upgrade", upgrade::upgrade),
    Target::new("websocket", websocket::websocket),
    Target::new("websocket_client", websocket_client::websocket_client).and_free(ANSWER_BYTES),
];

/// Checks `input` as the target of this name does.
///
/// # Panics
///
/// When it does not pass, costs more than it may, or there is no such target.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    target.expect("a target").run(input);
}

/// A message that decodes is written again in no more bytes, and is the same frame then.
fn decode(message: &[u8]) {
    let Ok(Some(frame)) = wire::decode(message) else {
        return;
    };
    let again = encoded(&frame, message.len());
    assert_eq!(wire::decode(&again), Ok(Some(frame)));
    assert_eq!(encoded(&frame, again.len()), again);
}

/// No order of frames, times and calls breaks a session.
fn session(script: &[u8]) {
    script::run(script);
    with_frame(script, |frame| decode(&encoded(&frame, 4_096)));
}

fn encoded(frame: &wire::Frame<'_>, bytes_max: usize) -> Vec<u8> {
    let mut buffer = vec![0; bytes_max];
    let length = wire::encode(frame, &mut buffer).expect("as small as the message it came from");
    buffer.truncate(length);
    buffer
}
