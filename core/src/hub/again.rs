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

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::protocol::{Postcard, Protocol};
    use crate::wire::{self, Frame, Name, Publish};

    #[test]
    fn a_message_that_publishes_again_gives_its_payload() {
        let names = [
            Name::Topic("room/7"),
            Name::Declare(300, "room/7"),
            Name::Alias(300),
        ];
        for (name, encoding) in names
            .into_iter()
            .zip([Encoding::Text, Encoding::Bytes].into_iter().cycle())
        {
            let head = Postcard.publish_head(name, encoding).expect("it has one");
            let again = Again {
                head,
                encoding,
                payload_bytes_max: usize::MAX,
            };
            for length in [0, 1, 127, 128, 16_383, 16_384] {
                let bytes = &vec![b'x'; length];
                let payload = Payload { encoding, bytes };
                let mut message = Vec::new();
                let receipt = 0;
                wire::append(
                    &Frame::Publish(Publish {
                        receipt,
                        name,
                        payload,
                    }),
                    &mut message,
                );
                // A longer one is looked at in general.
                let expected = (length < 16_384).then_some(payload);
                assert_eq!(again.payload(&message), expected, "{name:?} {length}");
                message.push(0);
                assert_eq!(again.payload(&message), None, "more than a publish");
            }
        }
    }
}
