//! Messages of the native JSON protocol.

use bytes::BytesMut;
use lapwing::protocol::{Json, Protocol};
use lapwing::session::Role;
use lapwing::transport::Message;

/// A message that means something to either side means the same when it is written again.
pub fn json(message: &[u8]) {
    for from in [Role::Client, Role::Hub] {
        means_the_same_again(message, from);
    }
}

fn means_the_same_again(message: &[u8], from: Role) {
    let message = Message::binary(message.to_vec());
    let (mut scratch, mut again, mut text) = (BytesMut::new(), BytesMut::new(), BytesMut::new());
    let Ok(Some(frame)) = Json.decode(&message, from, &mut scratch) else {
        return;
    };
    Json.encode(&frame, &mut text);
    let written = Message::binary(text.freeze());
    let heard = Json.decode(&written, from, &mut again);
    assert_eq!(heard, Ok(Some(frame)), "{written:?}");
}
