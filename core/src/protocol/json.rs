//! The native protocol as JSON: for a bare WebSocket in a browser, and for people who read.

mod data;
mod text;

#[cfg(test)]
mod tests;

use bytes::{BufMut, BytesMut};

use self::text::Text;
use super::Protocol;
use crate::limits::NESTING_MAX;
use crate::payload::json::nests_within;
use crate::session::Role;
use crate::transport::{Kind, Message};
use crate::wire::{self, DecodeError, Encoding, Frame};

/// How deep a message may nest: a value, and the message around it.
const MESSAGE_NESTING_MAX: usize = NESTING_MAX + 1;

/// The native protocol as [JSON](https://www.rfc-editor.org/rfc/rfc8259) objects in text messages: one key names the frame,
/// others come with it, and unknown ones are ignored.
///
/// The page `docs/json.md` has all shapes. In short, a page in a browser says `{"subscribe":"news/**"}`, and hears
/// `{"event":"news/today","data":"rain"}`; by saying the same, it publishes.
///
/// A text is a string, bytes are `{"base64":"…"}`, and so are values in encodings other than JSON. No `data` at all is no bytes at all.
/// An object that looks like bytes is taken for bytes, and a value that is a string for a text.
///
/// # Examples
///
/// ```
/// use bytes::BytesMut;
/// use lapwing::protocol::{Json, Protocol};
/// use lapwing::session::Role;
/// use lapwing::transport::Message;
/// use lapwing::wire::{Frame, Payload};
///
/// let (message, mut scratch) = (Message::text(r#"{"event":"room/7","data":{"degrees":21}}"#), BytesMut::new());
/// let Some(Frame::Publish(publish)) = Json.decode(&message, Role::Client, &mut scratch)? else {
///     panic!("an event that a client says is published");
/// };
/// assert_eq!(publish.payload, Payload::json(r#"{"degrees":21}"#));
/// # Ok::<(), lapwing::wire::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

impl Protocol for Json {
    fn name(&self) -> &'static str {
        "lapwing.json"
    }

    fn kind(&self) -> Kind {
        Kind::Text
    }

    fn encoding(&self) -> Encoding {
        Encoding::Json
    }

    fn speaks(&self, first: &Message) -> bool {
        let mut bytes = first.bytes.iter();
        // Others put a mark behind each of their objects, which JSON has nowhere.
        let is_mark = |byte: &u8| byte.is_ascii_control() && !is_space(*byte);
        bytes.find(|byte| !is_space(**byte)) == Some(&b'{') && !first.bytes.iter().any(is_mark)
    }

    fn implies_hello(&self) -> bool {
        true
    }

    fn decode<'a>(
        &self,
        message: &'a Message,
        from: Role,
        scratch: &'a mut BytesMut,
    ) -> Result<Option<Frame<'a>>, DecodeError> {
        let bytes = &message.bytes[..];
        if bytes.iter().all(|byte| is_space(*byte)) {
            return Err(DecodeError::Empty);
        }
        // Before anything looks into it: what follows may recurse.
        if !nests_within(bytes, MESSAGE_NESTING_MAX) {
            return Err(DecodeError::NoFrame);
        }
        let text = core::str::from_utf8(bytes).map_err(|_| DecodeError::NoFrame)?;
        let text: Text<'_> = serde_json::from_str(text).map_err(|_| DecodeError::NoFrame)?;
        scratch.clear();
        text.append_to(from, scratch).ok_or(DecodeError::NoFrame)?;
        wire::decode(scratch)
    }

    fn encode(&self, frame: &Frame<'_>, into: &mut BytesMut) {
        serde_json::to_writer(into.writer(), &Text::from(frame))
            .expect("texts, numbers and checked values are JSON, and a growing buffer takes them");
    }
}

/// What JSON allows around a value.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
