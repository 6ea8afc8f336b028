//! One event with its topic, encoding and payload, owned.

use alloc::sync::Arc;

use bytes::Bytes;

use super::payload::{Encoding, Payload};
use crate::topic::Topic;

/// An event as whoever hears it gets it: topic, and a payload with its encoding.
///
/// # Examples
///
/// ```
/// use lapwing::wire::Encoding;
/// use lapwing::{Envelope, Topic};
///
/// let warm = Envelope::new(Topic::new("room/7/air")?, Encoding::Text, "21 C".into());
/// assert_eq!((warm.topic(), warm.text()), ("room/7/air", Some("21 C")));
///
/// let raw = Envelope::new(Topic::new("room/7/air")?, Encoding::Bytes, "21 C".into());
/// assert_eq!(raw.text(), None, "bytes are not taken for a text, even if they could be one");
/// # Ok::<(), lapwing::TopicError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    topic: Arc<str>,
    encoding: Encoding,
    payload: Bytes,
    offset: Option<u64>,
}

impl Envelope {
    /// The envelope of an event.
    pub fn new(topic: Topic<'_>, encoding: Encoding, payload: Bytes) -> Self {
        Self {
            topic: topic.as_str().into(),
            encoding,
            payload,
            offset: None,
        }
    }

    /// One of several on the same topic.
    #[cfg(feature = "std")]
    pub(crate) fn shared(topic: Arc<str>, encoding: Encoding, payload: Bytes) -> Self {
        Self {
            topic,
            encoding,
            payload,
            offset: None,
        }
    }

    /// The same at its place in the history of its hub.
    #[cfg(feature = "std")]
    pub(crate) fn at(self, offset: Option<u64>) -> Self {
        Self { offset, ..self }
    }

    /// The topic, as text.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// What the bytes of the payload mean.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The bytes of the payload.
    pub fn bytes(&self) -> &Bytes {
        &self.payload
    }

    /// Its place in the history of the hub that it came from, when its topic keeps one; see [`Start::Offset`](super::Start::Offset).
    ///
    /// Later events have larger ones, whatever their topics. Publishing the envelope again gives it another.
    pub fn offset(&self) -> Option<u64> {
        self.offset
    }

    /// The payload with its encoding, ready to be published or sent again.
    pub fn payload(&self) -> Payload<'_> {
        Payload {
            encoding: self.encoding,
            bytes: &self.payload,
        }
    }

    /// The payload when it is a text.
    pub fn text(&self) -> Option<&str> {
        match self.encoding {
            Encoding::Text => core::str::from_utf8(&self.payload).ok(),
            _ => None,
        }
    }
}
