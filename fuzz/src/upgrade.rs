//! The request that a WebSocket begins with, against what must hold for any bytes.

// The files of the transport's upgrade that have no I/O; what they call `super` is this one.
#[path = "../../transports/websocket/src/upgrade/answer.rs"]
mod answer;
#[path = "../../transports/websocket/src/upgrade/fields.rs"]
mod fields;
#[path = "../../transports/websocket/src/upgrade/head.rs"]
mod head;
#[path = "../../transports/websocket/src/upgrade/oracle.rs"]
mod oracle;
#[path = "../../transports/websocket/src/upgrade/origin.rs"]
#[allow(dead_code, reason = "not all of it is for the upgrade")]
mod origin;
#[path = "../../transports/websocket/src/upgrade/refusal.rs"]
mod refusal;

/// Takes a request, the first byte being the size of the pieces in which it comes; or the code of a goodbye.
pub fn upgrade(data: &[u8]) {
    if let [high, low] = data {
        oracle::check_refusal(u16::from_be_bytes([*high, *low]));
    }
    if let Some((step, bytes)) = data.split_first() {
        oracle::check(bytes, usize::from(*step));
    }
}
