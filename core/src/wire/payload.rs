//! What an event or a call carries, and what its bytes mean.
//!
//! Fields and variants are written in this order: never move one, append only.

use serde::{Deserialize, Serialize, Serializer};

/// A payload and what its bytes mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload<'a> {
    /// What the bytes mean.
    pub encoding: Encoding,
    /// The bytes.
    #[serde(serialize_with = "bytes")]
    pub bytes: &'a [u8],
}

impl<'a> Payload<'a> {
    /// A text.
    pub const fn text(text: &'a str) -> Self {
        Self {
            encoding: Encoding::Text,
            bytes: text.as_bytes(),
        }
    }

    /// A JSON value, as text. Whether it is one is found out when it is published or sent.
    pub const fn json(value: &'a str) -> Self {
        Self {
            encoding: Encoding::Json,
            bytes: value.as_bytes(),
        }
    }

    /// Plain bytes.
    pub const fn bytes(bytes: &'a [u8]) -> Self {
        Self {
            encoding: Encoding::Bytes,
            bytes,
        }
    }
}

/// What the bytes of a payload mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Encoding {
    /// UTF-8.
    Text,
    /// Whatever the application agreed on.
    Bytes,
    /// A JSON value.
    Json,
    /// A MessagePack value.
    MessagePack,
    /// A value in postcard's form, readable with its type only.
    Postcard,
    /// A JSON array of values that stand for themselves: how SignalR has the arguments of a call. A tuple is as many, any other value is one.
    JsonArguments,
    /// A MessagePack array, in the same way.
    MessagePackArguments,
}

/// A set of [`Encoding`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encodings(u8);

impl Encodings {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// This set and `encoding`.
    pub const fn with(self, encoding: Encoding) -> Self {
        Self(self.0 | 1 << encoding as u8)
    }

    /// Whether `encoding` is in the set.
    pub const fn contains(self, encoding: Encoding) -> bool {
        self.0 & 1 << encoding as u8 != 0
    }
}

/// The derived form would write one byte after the other.
fn bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}
