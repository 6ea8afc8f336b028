//! Payloads as they came: what a program carries that knows no types.

use bytes::Bytes;
use lapwing::payload::{Decode, Encode, EncodeError, PayloadError};
use lapwing::wire::{Encoding, Payload};
use serde_json::value::RawValue;

use crate::hex;

/// A payload of any encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Raw {
    pub(crate) encoding: Encoding,
    pub(crate) bytes: Bytes,
}

/// How the user gives a payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is: a text, or bytes when it is no UTF-8.
    #[default]
    Typed,
    /// A value, written as JSON.
    Json,
    /// Bytes, two digits for each.
    Hex,
}

impl Form {
    /// The payload that the user means; otherwise what is wrong.
    pub(crate) fn read(self, given: Vec<u8>) -> Result<Raw, String> {
        let (encoding, bytes) = match self {
            Self::Typed => match std::str::from_utf8(&given) {
                Ok(_) => (Encoding::Text, given),
                Err(_) => (Encoding::Bytes, given),
            },
            Self::Json => match serde_json::from_slice::<&RawValue>(&given) {
                Ok(_) => (Encoding::Json, given),
                Err(error) => return Err(format!("not JSON: {error}")),
            },
            Self::Hex => match hex::decode(&given) {
                Some(bytes) => (Encoding::Bytes, bytes),
                None => {
                    let wrong = "not bytes: --hex takes two hexadecimal digits for each byte";
                    return Err(wrong.into());
                }
            },
        };
        Ok(Raw {
            encoding,
            bytes: bytes.into(),
        })
    }
}

impl Raw {
    pub(crate) fn as_payload(&self) -> Payload<'_> {
        Payload {
            encoding: self.encoding,
            bytes: &self.bytes,
        }
    }
}

impl Encode for Raw {
    fn encode(&self, wanted: Encoding, into: &mut Vec<u8>) -> Result<Encoding, EncodeError> {
        self.as_payload().encode(wanted, into)
    }
}

impl Decode for Raw {
    fn decode(payload: Payload<'_>) -> Result<Self, PayloadError> {
        Ok(Self {
            encoding: payload.encoding,
            bytes: Bytes::copy_from_slice(payload.bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_what_the_user_says() {
        for (form, given, encoding, bytes) in [
            (Form::Typed, &b"warm"[..], Encoding::Text, &b"warm"[..]),
            (Form::Typed, b"\xff", Encoding::Bytes, b"\xff"),
            (Form::Json, b" [1e999]", Encoding::Json, b" [1e999]"),
            (Form::Hex, b"0aFF", Encoding::Bytes, b"\x0a\xff"),
        ] {
            let raw = form.read(given.into()).expect("as it should be");
            assert_eq!((raw.encoding, &*raw.bytes), (encoding, bytes));
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for (form, given) in [
            (Form::Json, &b""[..]),
            (Form::Json, b"{1}"),
            (Form::Json, b"1 2"),
            (Form::Json, b"\"\xff\""),
            (Form::Hex, b"0"),
        ] {
            assert!(form.read(given.into()).is_err(), "{given:?}");
        }
    }
}
