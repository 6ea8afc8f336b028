//! Payloads, tokens and numbers of 128 bits as JSON has them.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use base64::Engine as _;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::id::ConnectionId;
use crate::wire::{Encoding, Payload};

/// A text, borrowed where it has no escapes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Str<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

impl<'a> From<&'a str> for Str<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

/// What an event or a call carries: a string is a text, `{"base64":"…"}` are bytes, everything else is a value.
pub(super) enum Data<'a> {
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    Value(&'a RawValue),
}

/// Bytes as JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Base64<'a> {
    #[serde(borrow)]
    base64: Str<'a>,
}

impl<'a> Data<'a> {
    /// What stands for a payload; `None` for no bytes at all.
    pub(super) fn of(payload: Payload<'a>) -> Option<Self> {
        let bytes = payload.bytes;
        let text = || core::str::from_utf8(bytes).ok();
        let data = match payload.encoding {
            Encoding::Bytes if bytes.is_empty() => return None,
            Encoding::Text => text().map(|text| Self::Text(text.into())),
            // It was checked when it came in; to look again keeps the message whole whatever happens.
            Encoding::Json | Encoding::JsonArguments => text()
                .and_then(|text| serde_json::from_str(text).ok())
                .map(Self::Value),
            _ => None,
        };
        Some(data.unwrap_or(Self::bytes(bytes)))
    }

    pub(super) fn bytes(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes.into())
    }

    /// A value that looks like a text or like bytes and is none of them stays a value: whoever sent it harms nobody.
    fn read(value: &'a RawValue) -> Self {
        let text = value.get();
        match text.as_bytes().first() {
            Some(b'"') => serde_json::from_str(text)
                .ok()
                .map(|Str(text)| Self::Text(text)),
            Some(b'{') => from_base64(text).map(|bytes| Self::Bytes(bytes.into())),
            _ => None,
        }
        .unwrap_or(Self::Value(value))
    }

    pub(super) fn payload(&self) -> Payload<'_> {
        match self {
            Self::Text(text) => Payload::text(text),
            Self::Bytes(bytes) => Payload::bytes(bytes),
            Self::Value(value) => Payload::json(value.get()),
        }
    }
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let Base64 { base64: Str(text) } = serde_json::from_str(text).ok()?;
    STANDARD.decode(text.as_bytes()).ok()
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;

        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Value(value) => value.serialize(serializer),
            Self::Bytes(bytes) => {
                let mut map = serializer.serialize_map(Some(1))?;
                let text = format_args!("{}", Base64Display::new(bytes, &STANDARD));
                map.serialize_entry("base64", &text)?;
                map.end()
            }
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Data<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(Self::read)
    }
}

/// Of `Option<Data>`: a value that is there, even if it is `null`.
pub(super) fn present<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Data<'a>>, D::Error> {
    Data::deserialize(deserializer).map(Some)
}

/// 128 bits as 32 hexadecimal digits.
#[derive(Clone, Copy)]
pub(super) struct Hex(pub(super) ConnectionId);

impl Hex {
    pub(super) fn of(bytes: [u8; 16]) -> Self {
        Self(ConnectionId::from_bytes(bytes))
    }

    pub(super) fn bytes(self) -> [u8; 16] {
        *self.0.as_bytes()
    }
}

impl fmt::Debug for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}
