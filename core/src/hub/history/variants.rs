//! One payload in each encoding that somebody may want it in.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::wire::{Encoding, Payload};

/// A payload as it was published, and as other protocols want it.
#[derive(Clone, Debug)]
pub(crate) struct Variants {
    own: (Encoding, Bytes),
    /// Most have none.
    others: Box<[(Encoding, Bytes)]>,
}

impl Variants {
    /// A payload, with what else is known of it.
    pub(crate) fn new(own: (Encoding, Bytes), others: Vec<(Encoding, Bytes)>) -> Self {
        Self {
            own,
            others: others.into(),
        }
    }

    /// The payload as `wanted`, or as it was published.
    pub(crate) fn payload(&self, wanted: Encoding) -> Payload<'_> {
        let (encoding, bytes) = self.one(wanted);
        Payload {
            encoding: *encoding,
            bytes,
        }
    }

    /// The same, to be kept.
    pub(crate) fn shared(&self, wanted: Encoding) -> (Encoding, Bytes) {
        self.one(wanted).clone()
    }

    fn one(&self, wanted: Encoding) -> &(Encoding, Bytes) {
        let other = self.others.iter().find(|(known, _)| *known == wanted);
        other.unwrap_or(&self.own)
    }

    /// The bytes of all of them.
    pub(super) fn len(&self) -> usize {
        let others = self.others.iter().map(|(_, bytes)| bytes.len());
        self.own.1.len() + others.sum::<usize>()
    }
}
