//! What no bytes may break: the bodies of the fuzz targets, and of the plain test that replays their seeds.
//!
//! ```text
//! cargo test --manifest-path fuzz/Cargo.toml
//! mkdir -p fuzz/target/found && cargo +nightly fuzz run decode fuzz/target/found fuzz/corpus/decode
//! ```
//!
//! What the fuzzer finds goes to the first folder; what is worth keeping becomes a seed by hand.

mod json;
mod topic;
mod upgrade;
mod websocket;

// The property tests of core draw frames and play sessions in the same way. Their files say `crate::` and mean lapwing.
#[path = "../../core/src/wire/draw.rs"]
mod draw;
#[path = "../../core/src/session/tests/script.rs"]
mod script;

use lapwing::*;

use self::draw::with_frame;
pub use self::json::json;
pub use self::topic::topic;
pub use self::upgrade::upgrade;
pub use self::websocket::websocket;

/// A message that decodes is written again in no more bytes, and is the same frame then.
pub fn decode(message: &[u8]) {
    let Ok(Some(frame)) = wire::decode(message) else {
        return;
    };
    let again = encoded(&frame, message.len());
    assert_eq!(wire::decode(&again), Ok(Some(frame)));
    assert_eq!(encoded(&frame, again.len()), again);
}

/// No order of frames, times and calls breaks a session.
pub fn session(script: &[u8]) {
    script::run(script);
    with_frame(script, |frame| decode(&encoded(&frame, 4_096)));
}

fn encoded(frame: &wire::Frame<'_>, bytes_max: usize) -> Vec<u8> {
    let mut buffer = vec![0; bytes_max];
    let length = wire::encode(frame, &mut buffer).expect("as small as the message it came from");
    buffer.truncate(length);
    buffer
}
