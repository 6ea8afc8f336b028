//! Many events of one peer on one topic: all but the first two are known by what their messages begin with.

use alloc::vec::Vec;

use crate::payload::is_sound;
use crate::wire::{Encoding, Payload, counted};

/// What messages begin with that publish on the topic of a run, under the same name and in the same encoding, and are allowed to.
pub(crate) struct Again {
    pub(crate) head: Vec<u8>,
    pub(crate) encoding: Encoding,
    /// What is allowed beyond that is looked at each time.
    pub(crate) payload_bytes_max: usize,
}

impl Again {
    /// The payload of a message that is one of them and has nothing special.
    pub(crate) fn payload<'m>(&self, message: &'m [u8]) -> Option<Payload<'m>> {
        let (length, bytes) = counted(message.strip_prefix(&*self.head)?)?;
        let payload = Payload {
            encoding: self.encoding,
            bytes,
        };
        let usual = length == bytes.len() && length <= self.payload_bytes_max;
        (usual && is_sound(payload)).then_some(payload)
    }
}
