//! The type of a topic's values: what a payload must be, and how it comes into another encoding.

use alloc::vec::Vec;
use std::panic::catch_unwind;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::payload::{Decode, EncodeError, PayloadError, Typed, encoded};
use crate::wire::{Encoding, Payload};

type Encoded = (Encoding, Vec<u8>);

/// A type of values, without the type.
#[derive(Clone, Copy)]
pub(crate) struct Carries {
    check: fn(Payload<'_>) -> Result<(), PayloadError>,
    convert: fn(Payload<'_>, Encoding) -> Result<Result<Encoded, EncodeError>, PayloadError>,
}

impl Carries {
    pub(super) fn new<T: Serialize + DeserializeOwned>() -> Self {
        Self {
            check: |payload| Typed::<T>::decode(payload).map(drop),
            convert: |payload, wanted| Ok(encoded(&Typed::<T>::decode(payload)?, wanted)),
        }
    }

    /// Whether `payload` is a value of the type, or nothing that would be one. What panics is no value.
    pub(crate) fn allows(&self, payload: Payload<'_>) -> bool {
        if !is_value(payload.encoding) {
            return true;
        }
        let check = self.check;
        match catch_unwind(|| check(payload)) {
            Ok(checked) => !matches!(checked, Err(PayloadError::Value(_))),
            Err(_) => false,
        }
    }

    /// `payload` in another encoding; `None` when it stays as it is.
    pub(crate) fn convert(&self, payload: Payload<'_>, wanted: Encoding) -> Option<Encoded> {
        let convert = self.convert;
        catch_unwind(|| convert(payload, wanted)).ok()?.ok()?.ok()
    }
}

/// Whether a payload in this encoding changes with the protocol: texts and bytes are the same in all.
pub(crate) fn is_value(encoding: Encoding) -> bool {
    !matches!(encoding, Encoding::Text | Encoding::Bytes)
}
