//! Between values of the application and payloads.

#[cfg(feature = "json")]
mod arguments;
#[cfg(feature = "json")]
mod base64;
mod depth;
#[cfg(feature = "json")]
pub(crate) mod json;
#[cfg(feature = "messagepack")]
pub mod messagepack;
#[cfg(feature = "json")]
mod timestamp;
#[cfg(feature = "json")]
mod value;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde::de::value::BytesDeserializer;
#[cfg(not(feature = "json"))]
use serde::de::value::StrDeserializer;

use self::depth::Depth;
#[cfg(feature = "json")]
pub use self::value::{Arguments, Value};
use crate::wire::{Encoding, Envelope, Payload};

/// What can be published, sent, or passed to a call: text, bytes, and with [`Typed`] every value that serde knows.
///
/// # Examples
///
/// ```
/// use lapwing::Typed;
/// use lapwing::payload::Encode;
/// use lapwing::wire::Encoding;
///
/// let mut bytes = Vec::new();
/// assert_eq!("warm".encode(Encoding::Postcard, &mut bytes)?, Encoding::Text);
/// assert_eq!(Typed((21, 'C')).encode(Encoding::Postcard, &mut bytes)?, Encoding::Postcard);
/// assert_eq!(bytes, b"warm\x2a\x01C");
/// # Ok::<(), lapwing::payload::EncodeError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no payload",
    note = "text and bytes are payloads; wrap any other value that implements `serde::Serialize` in `lapwing::Typed`"
)]
pub trait Encode {
    /// Appends the value's bytes, as `wanted` if it has no encoding of its own, and says which encoding it took.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] when the value cannot be written: a fault of the program.
    fn encode(&self, wanted: Encoding, into: &mut Vec<u8>) -> Result<Encoding, EncodeError>;
}

/// What a payload can be read as: text, bytes, the payload itself, and with [`Typed`] every type that serde knows.
#[diagnostic::on_unimplemented(
    message = "a payload cannot be read as `{Self}`",
    note = "text and bytes are read as they are; wrap any other type that implements `serde::Deserialize` in `lapwing::Typed`"
)]
pub trait Decode: Sized {
    /// The value of `payload`.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] when the payload is something else: the sender meant another type.
    fn decode(payload: Payload<'_>) -> Result<Self, PayloadError>;
}

/// A value as serde sees it, written in the encoding that the recipient's protocol wants.
///
/// In postcard's form a value is read with its type only. So a type that can be anything, as `serde_json::Value` is, can be read
/// from JSON and not from postcard: publish such a value as [`Payload::json`], which is JSON for everybody, or as a [`Value`].
///
/// What serde calls bytes, as a field with `#[serde(with = "serde_bytes")]`, is base64 in a string where the value is JSON, and bytes in every other form.
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use lapwing::payload::{Decode, PayloadError, Typed};
/// use lapwing::wire::{Encoding, Payload};
///
/// let payload = Payload { encoding: Encoding::Postcard, bytes: &[0x2a, 0x01, b'C'] };
/// let Typed((degrees, unit)): Typed<(i32, char)> = Decode::decode(payload)?;
/// assert_eq!((degrees, unit), (21, 'C'));
/// # Ok::<(), PayloadError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Typed<T>(pub T);

/// A value that its own `Serialize` could not write, or not in the encoding that was wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value cannot be written: {0}")]
pub struct EncodeError(String);

/// A payload that is not what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// Its encoding cannot hold the type.
    #[error("a payload encoded as {0:?} cannot be read as this type")]
    Encoding(Encoding),
    /// Its bytes are not a value of the type.
    #[error("not a value of this type: {0}")]
    Value(String),
}

impl Encode for str {
    fn encode(&self, _: Encoding, into: &mut Vec<u8>) -> Result<Encoding, EncodeError> {
        into.extend_from_slice(self.as_bytes());
        Ok(Encoding::Text)
    }
}

impl Encode for [u8] {
    fn encode(&self, _: Encoding, into: &mut Vec<u8>) -> Result<Encoding, EncodeError> {
        into.extend_from_slice(self);
        Ok(Encoding::Bytes)
    }
}

impl Encode for Payload<'_> {
    fn encode(&self, _: Encoding, into: &mut Vec<u8>) -> Result<Encoding, EncodeError> {
        into.extend_from_slice(self.bytes);
        Ok(self.encoding)
    }
}

impl<T: Serialize> Encode for Typed<T> {
    fn encode(&self, wanted: Encoding, into: &mut Vec<u8>) -> Result<Encoding, EncodeError> {
        match wanted {
            Encoding::Postcard => {
                let taken = core::mem::take(into);
                *into = postcard::to_extend(&self.0, taken)
                    .map_err(|error| EncodeError(error.to_string()))?;
                Ok(Encoding::Postcard)
            }
            #[cfg(feature = "json")]
            Encoding::Json => {
                json::write(into, &self.0).map_err(|error| EncodeError(error.to_string()))?;
                Ok(Encoding::Json)
            }
            #[cfg(feature = "json")]
            Encoding::JsonArguments => {
                arguments::append_to(&self.0, into)
                    .map_err(|error| EncodeError(error.to_string()))?;
                Ok(Encoding::JsonArguments)
            }
            #[cfg(feature = "messagepack")]
            Encoding::MessagePack => {
                messagepack::write(into, &self.0)
                    .map_err(|error| EncodeError(error.to_string()))?;
                Ok(Encoding::MessagePack)
            }
            #[cfg(feature = "messagepack")]
            Encoding::MessagePackArguments => {
                arguments::append_messagepack(&self.0, into)
                    .map_err(|error| EncodeError(error.to_string()))?;
                Ok(Encoding::MessagePackArguments)
            }
            other => Err(EncodeError(alloc::format!("no codec for {other:?}"))),
        }
    }
}

macro_rules! encode_as {
    ($($type:ty => $view:ident),*) => {
        $(impl Encode for $type {
            fn encode(&self, wanted: Encoding, into: &mut Vec<u8>) -> Result<Encoding, EncodeError> {
                self.$view().encode(wanted, into)
            }
        })*
    };
}

encode_as!(String => as_str, Vec<u8> => as_slice, Envelope => payload);

impl Encode for Bytes {
    fn encode(&self, wanted: Encoding, into: &mut Vec<u8>) -> Result<Encoding, EncodeError> {
        self[..].encode(wanted, into)
    }
}

impl<const N: usize> Encode for [u8; N] {
    fn encode(&self, wanted: Encoding, into: &mut Vec<u8>) -> Result<Encoding, EncodeError> {
        self[..].encode(wanted, into)
    }
}

/// No arguments, or no result: an empty payload.
impl Encode for () {
    fn encode(&self, wanted: Encoding, into: &mut Vec<u8>) -> Result<Encoding, EncodeError> {
        [].encode(wanted, into)
    }
}

impl<T: Encode + ?Sized> Encode for &T {
    fn encode(&self, wanted: Encoding, into: &mut Vec<u8>) -> Result<Encoding, EncodeError> {
        (**self).encode(wanted, into)
    }
}

impl Decode for String {
    fn decode(payload: Payload<'_>) -> Result<Self, PayloadError> {
        match payload.encoding {
            Encoding::Text => text(payload.bytes).map(String::from),
            #[cfg(feature = "json")]
            Encoding::JsonArguments => from_arguments(payload.bytes),
            #[cfg(feature = "messagepack")]
            Encoding::MessagePackArguments => from_messagepack_arguments(payload.bytes),
            other => Err(PayloadError::Encoding(other)),
        }
    }
}

impl Decode for Vec<u8> {
    fn decode(payload: Payload<'_>) -> Result<Self, PayloadError> {
        Ok(payload.bytes.to_vec())
    }
}

impl Decode for Bytes {
    fn decode(payload: Payload<'_>) -> Result<Self, PayloadError> {
        Ok(Bytes::copy_from_slice(payload.bytes))
    }
}

/// Takes any payload and looks at none of it.
impl Decode for () {
    fn decode(_: Payload<'_>) -> Result<Self, PayloadError> {
        Ok(())
    }
}

/// Several values, as [`Typed`] of the same tuple.
macro_rules! tuples {
    ($($($name:ident)*;)*) => {
        $(
            impl<$($name: Serialize),*> Encode for ($($name,)*) {
                fn encode(&self, wanted: Encoding, into: &mut Vec<u8>) -> Result<Encoding, EncodeError> {
                    Typed(self).encode(wanted, into)
                }
            }

            impl<$($name: DeserializeOwned),*> Decode for ($($name,)*) {
                fn decode(payload: Payload<'_>) -> Result<Self, PayloadError> {
                    Typed::decode(payload).map(|Typed(values)| values)
                }
            }
        )*
    };
}

tuples! {
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
    A B C D E F G;
    A B C D E F G H;
}

impl<T: DeserializeOwned> Decode for Typed<T> {
    fn decode(payload: Payload<'_>) -> Result<Self, PayloadError> {
        let value = match payload.encoding {
            Encoding::Postcard => {
                let mut bytes = postcard::Deserializer::from_bytes(payload.bytes);
                T::deserialize(Depth::new(&mut bytes)).map_err(value_error)
            }
            #[cfg(feature = "json")]
            Encoding::Json => from_json(payload.bytes),
            #[cfg(feature = "json")]
            Encoding::JsonArguments => from_arguments(payload.bytes),
            #[cfg(feature = "messagepack")]
            Encoding::MessagePack => from_messagepack(payload.bytes),
            #[cfg(feature = "messagepack")]
            Encoding::MessagePackArguments => from_messagepack_arguments(payload.bytes),
            // As JSON has it: a text may be a variant's name, or a type that is a text inside.
            #[cfg(feature = "json")]
            Encoding::Text => {
                let text = serde_json::Value::from(text(payload.bytes)?);
                T::deserialize(Depth::new(text)).map_err(value_error)
            }
            #[cfg(not(feature = "json"))]
            Encoding::Text => T::deserialize(StrDeserializer::<serde::de::value::Error>::new(
                text(payload.bytes)?,
            ))
            .map_err(value_error),
            Encoding::Bytes => T::deserialize(BytesDeserializer::<serde::de::value::Error>::new(
                payload.bytes,
            ))
            .map_err(value_error),
            #[cfg(not(feature = "messagepack"))]
            other => Err(PayloadError::Encoding(other)),
        };
        value.map(Typed)
    }
}

impl Envelope {
    /// The payload as a `T`.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] when the publisher meant another type.
    pub fn decode<T: Decode>(&self) -> Result<T, PayloadError> {
        T::decode(self.payload())
    }
}

/// `value` as a payload of its own.
pub(crate) fn encoded(
    value: &(impl Encode + ?Sized),
    wanted: Encoding,
) -> Result<(Encoding, Vec<u8>), EncodeError> {
    let mut bytes = Vec::new();
    let encoding = value.encode(wanted, &mut bytes)?;
    let payload = Payload {
        encoding,
        bytes: &bytes,
    };
    // What we refuse from peers we do not send to others.
    match is_sound(payload) {
        true => Ok((encoding, bytes)),
        false => Err(EncodeError(alloc::format!(
            "the bytes are no {encoding:?}, or nest too deep"
        ))),
    }
}

/// Whether the bytes are what the encoding says, as far as that can be seen without a type.
pub(crate) fn is_sound(payload: Payload<'_>) -> bool {
    match payload.encoding {
        Encoding::Text => core::str::from_utf8(payload.bytes).is_ok(),
        #[cfg(feature = "json")]
        Encoding::Json => json::is_value(payload.bytes),
        #[cfg(feature = "json")]
        Encoding::JsonArguments => json::are_arguments(payload.bytes),
        #[cfg(feature = "messagepack")]
        Encoding::MessagePack => messagepack::is_value(payload.bytes),
        #[cfg(feature = "messagepack")]
        Encoding::MessagePackArguments => messagepack::are_arguments(payload.bytes),
        _ => true,
    }
}

#[cfg(feature = "json")]
fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, PayloadError> {
    if !json::nests_within(bytes, crate::limits::NESTING_MAX) {
        return Err(PayloadError::Value("the value nests too deep".into()));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = T::deserialize(Depth::new(&mut json)).map_err(value_error)?;
    json.end().map_err(value_error)?;
    Ok(value)
}

#[cfg(feature = "json")]
fn from_arguments<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, PayloadError> {
    if !json::nests_within(bytes, crate::limits::NESTING_MAX + 1) {
        return Err(PayloadError::Value("a value nests too deep".into()));
    }
    T::deserialize(arguments::Arguments(bytes)).map_err(value_error)
}

#[cfg(feature = "messagepack")]
fn from_messagepack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, PayloadError> {
    if !messagepack::is_value(bytes) {
        return Err(PayloadError::Value("no value, or it nests too deep".into()));
    }
    T::deserialize(Depth::new(&mut messagepack::input(bytes))).map_err(value_error)
}

#[cfg(feature = "messagepack")]
fn from_messagepack_arguments<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, PayloadError> {
    T::deserialize(arguments::MessagePackArguments(bytes)).map_err(value_error)
}

/// The same value in the encoding of another protocol, where both are read without its type; `None` when it stays as it is.
#[cfg(feature = "messagepack")]
pub fn translated(payload: Payload<'_>, wanted: Encoding) -> Option<(Encoding, Vec<u8>)> {
    use Encoding as E;
    let bytes = payload.bytes;
    match (payload.encoding, wanted) {
        (E::Json, E::MessagePack | E::MessagePackArguments) => {
            Some((E::MessagePack, messagepack::of_json(bytes)?))
        }
        (E::JsonArguments, E::MessagePack | E::MessagePackArguments) => {
            Some((E::MessagePackArguments, messagepack::of_json(bytes)?))
        }
        // Who reads postcard reads JSON too.
        (E::MessagePack, E::Json | E::JsonArguments | E::Postcard) => {
            Some((E::Json, messagepack::to_json(bytes)?))
        }
        (E::MessagePackArguments, E::Json | E::JsonArguments | E::Postcard) => {
            Some((E::JsonArguments, messagepack::to_json(bytes)?))
        }
        _ => None,
    }
}

/// Nothing is read without its type but with the feature `messagepack`.
#[cfg(not(feature = "messagepack"))]
pub fn translated(_: Payload<'_>, _: Encoding) -> Option<(Encoding, Vec<u8>)> {
    None
}

fn text(bytes: &[u8]) -> Result<&str, PayloadError> {
    core::str::from_utf8(bytes).map_err(value_error)
}

fn value_error(error: impl ToString) -> PayloadError {
    PayloadError::Value(error.to_string())
}
