//! Values whose type nobody knows before they are there: [`Value`], and [`Arguments`] of them.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeTuple, Serializer};

use super::timestamp::{TIMESTAMP, Timestamp};
use super::{Decode, Encode, EncodeError, PayloadError, Typed, arguments, value_error};
use crate::wire::{Encoding, Payload};

/// Any value: what is passed on without being looked at, by itself or as a part of a type of the program's.
///
/// It keeps what JSON and MessagePack can say: every digit of integers of 64 bits, the order of a map, bytes that are bytes in MessagePack and
/// base64 in a string in JSON. Who speaks postcard gets it as JSON; as a part of a type it cannot be written for them, as nobody could read it.
///
/// # Examples
///
/// ```
/// use lapwing::payload::{Decode, Encode, Value};
/// use lapwing::wire::{Encoding, Payload};
///
/// let value = Value::decode(Payload::json(r#"{"id":9007199254740993,"of":[null]}"#))?;
/// let of = Value::List(vec![Value::Null]);
/// let entries = vec![("id".into(), Value::Integer(9_007_199_254_740_993)), ("of".into(), of)];
/// assert_eq!(value, Value::Map(entries));
///
/// let mut json = Vec::new();
/// Value::Bytes(vec![0xff]).encode(Encoding::Json, &mut json)?;
/// assert_eq!(json, br#""/w==""#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// Yes or no.
    Bool(bool),
    /// An integer.
    Integer(i64),
    /// An integer that is too large for the other.
    Unsigned(u64),
    /// A number with a fraction, or one that is beyond 64 bits.
    Float(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Bytes with a meaning, a type [of MessagePack](https://github.com/msgpack/msgpack/blob/master/spec.md#extension-types). In JSON the meaning
    /// -1, an instant, is a text such as `"2024-11-30T12:00:08Z"`, and others are base64. It cannot be written in MessagePack as a part of what serde
    /// keeps back, as it does with an enum inside a variant of one with `#[serde(tag = "…")]`.
    Extension(i8, Vec<u8>),
    /// Values in order.
    List(Vec<Self>),
    /// Keys with their values, in order. In JSON a key is the text of its value, and a list or a map cannot be one.
    Map(Vec<(Self, Self)>),
}

/// Any number of values as arguments of a call or an event, where a list would be one.
///
/// # Examples
///
/// ```
/// use lapwing::payload::{Arguments, Encode, Value};
/// use lapwing::wire::Encoding;
///
/// let mut json = Vec::new();
/// let arguments = Arguments(vec!["ann".into(), Value::Integer(7)]);
/// arguments.encode(Encoding::JsonArguments, &mut json)?;
/// assert_eq!(json, br#"["ann",7]"#);
/// # Ok::<(), lapwing::payload::EncodeError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arguments(pub Vec<Value>);

/// How serde is told of bytes with a meaning, and tells of them: a newtype of this name, around number and bytes.
const EXTENSION: &str = "_ExtStruct";

/// Bytes as serde sees them, where a vector would be a list of numbers.
struct Blob<'a>(&'a [u8]);

struct OwnBlob(Vec<u8>);

impl Serialize for Blob<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// Whether this is a serializer of a part that is no map: of a key in JSON, or of bytes with their meaning in MessagePack.
fn takes_no_map<S: Serializer>() -> bool {
    size_of::<S::SerializeMap>() == 0
}

/// Bytes with a meaning.
struct Meant<'a>(i8, &'a [u8]);

impl Meant<'_> {
    /// As people read it.
    fn text(&self) -> String {
        let instant = match self.0 {
            TIMESTAMP => Timestamp::read(self.1),
            _ => None,
        };
        match instant {
            Some(instant) => instant.to_string(),
            None => Base64Display::new(self.1, &STANDARD).to_string(),
        }
    }
}

impl Serialize for Meant<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match takes_no_map::<S>() {
            true => (self.0, Blob(self.1)).serialize(serializer),
            false => serializer.serialize_str(&self.text()),
        }
    }
}

impl Value {
    /// As a key of JSON, if it can be one.
    fn key(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Null => "null".into(),
            Self::Bool(value) => value.to_string().into(),
            Self::Integer(value) => value.to_string().into(),
            Self::Unsigned(value) => value.to_string().into(),
            Self::Float(value) => serde_json::to_string(value).ok()?.into(),
            Self::Text(value) => value.into(),
            Self::Bytes(value) => Base64Display::new(value, &STANDARD).to_string().into(),
            Self::Extension(meaning, bytes) => Meant(*meaning, bytes).text().into(),
            Self::List(_) | Self::Map(_) => return None,
        })
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if takes_no_map::<S>() {
            let key = self.key();
            return serializer.serialize_str(
                &key.ok_or_else(|| serde::ser::Error::custom("a list or a map is no key"))?,
            );
        }
        if !serializer.is_human_readable() {
            return Err(serde::ser::Error::custom(
                "its bytes would not say what it is",
            ));
        }
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Integer(value) => serializer.serialize_i64(*value),
            Self::Unsigned(value) => serializer.serialize_u64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::Bytes(value) => serializer.serialize_bytes(value),
            Self::Extension(meaning, bytes) => {
                serializer.serialize_newtype_struct(EXTENSION, &Meant(*meaning, bytes))
            }
            Self::List(values) => serializer.collect_seq(values),
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, some: D) -> Result<Value, D::Error> {
        Value::deserialize(some)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Unsigned(value), Value::Integer))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.into()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_bytes<E: Error>(self, value: &[u8]) -> Result<Value, E> {
        Ok(Value::Bytes(value.into()))
    }

    fn visit_byte_buf<E: Error>(self, value: Vec<u8>) -> Result<Value, E> {
        Ok(Value::Bytes(value))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
        let (meaning, OwnBlob(bytes)) = Deserialize::deserialize(inner)?;
        Ok(Value::Extension(meaning, bytes))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Value, A::Error> {
        // What is announced reserves nothing.
        let mut values = Vec::new();
        while let Some(value) = all.next_element()? {
            values.push(value);
        }
        Ok(Value::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut all: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = all.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}

impl<'de> Deserialize<'de> for OwnBlob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Bytes(bytes) => Ok(Self(bytes)),
            _ => Err(D::Error::custom("bytes were expected")),
        }
    }
}

impl Serialize for Arguments {
    /// As a tuple: so many arguments, not one list.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        for value in &self.0 {
            tuple.serialize_element(value)?;
        }
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for Arguments {
    /// Of a list, which is a part of something.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Deserialize::deserialize(deserializer).map(Self)
    }
}

impl Encode for Value {
    fn encode(&self, wanted: Encoding, into: &mut Vec<u8>) -> Result<Encoding, EncodeError> {
        match wanted {
            // It is one argument, also when it is nothing.
            Encoding::JsonArguments | Encoding::MessagePackArguments => {
                Typed((self,)).encode(wanted, into)
            }
            _ => Typed(self).encode(described(wanted), into),
        }
    }
}

impl Encode for Arguments {
    fn encode(&self, wanted: Encoding, into: &mut Vec<u8>) -> Result<Encoding, EncodeError> {
        Typed(self).encode(described(wanted), into)
    }
}

/// What can be read without a type, and is nearest to what is wanted.
fn described(wanted: Encoding) -> Encoding {
    match wanted {
        Encoding::Postcard => Encoding::Json,
        other => other,
    }
}

impl Decode for Value {
    fn decode(payload: Payload<'_>) -> Result<Self, PayloadError> {
        match payload.encoding {
            // No bytes at all are no value.
            Encoding::Bytes if payload.bytes.is_empty() => Ok(Self::Null),
            Encoding::Postcard => Err(PayloadError::Encoding(Encoding::Postcard)),
            _ => Typed::decode(payload).map(|Typed(value)| value),
        }
    }
}

impl Decode for Arguments {
    fn decode(payload: Payload<'_>) -> Result<Self, PayloadError> {
        match payload.encoding {
            Encoding::Bytes if payload.bytes.is_empty() => Ok(Self::default()),
            Encoding::JsonArguments => arguments::Arguments(payload.bytes)
                .list()
                .map_err(value_error),
            #[cfg(feature = "messagepack")]
            Encoding::MessagePackArguments => arguments::MessagePackArguments(payload.bytes)
                .list()
                .map_err(value_error),
            _ => Value::decode(payload).map(|value| Self([value].into())),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

#[cfg(test)]
mod tests;
