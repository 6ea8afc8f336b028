//! Payloads as they came: what a program carries that knows no types.

use bytes::Bytes;
use lapwing::payload::{Decode, Encode, EncodeError, PayloadError};
use lapwing::wire::{Encoding, Payload};

use crate::hex;

/// A payload of any encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Raw {
    pub(crate) encoding: Encoding,
    pub(crate) bytes: Bytes,
}

impl Raw {
    /// What the user typed: a text, or bytes when it is no UTF-8.
    pub(crate) fn typed(bytes: Vec<u8>) -> Self {
        let encoding = match std::str::from_utf8(&bytes) {
            Ok(_) => Encoding::Text,
            Err(_) => Encoding::Bytes,
        };
        Self {
            encoding,
            bytes: bytes.into(),
        }
    }

    /// The bytes that the user typed as hexadecimal digits; otherwise what is wrong with them.
    pub(crate) fn hex(digits: &[u8]) -> Result<Self, &'static str> {
        let bytes = hex::decode(digits)
            .ok_or("not bytes: --hex takes two hexadecimal digits for each byte")?;
        Ok(Self {
            encoding: Encoding::Bytes,
            bytes: bytes.into(),
        })
    }

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
