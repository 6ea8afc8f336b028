//! Publishing on topics that keep what is published.

use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{Keep, Variants};
use crate::hub::audience::Audience;
use crate::hub::{PublishError, Shared};
use crate::payload::Encode;
use crate::published::Published;
use crate::sync::lock;
use crate::topic::Topic;
use crate::wire::{Encoding, Payload};

impl Shared {
    /// Offers one event of the program to the subscribers of a topic, which may keep it.
    pub(crate) fn publish(
        &self,
        topic: Topic<'_>,
        payload: &dyn Encode,
    ) -> Result<Published, PublishError> {
        let epoch = self.epoch();
        self.publish_to(topic, (epoch, self.audience(topic)), payload)
    }

    /// The same, when it is known who hears the topic, as of an epoch.
    pub(crate) fn publish_to(
        &self,
        topic: Topic<'_>,
        (epoch, audience): (u64, Arc<Audience>),
        payload: &dyn Encode,
    ) -> Result<Published, PublishError> {
        let Some(keep) = audience.keep else {
            return self.send(topic, false, payload, &audience);
        };
        let variants = self.every_variant(topic, payload)?;
        let admitted = self.admit(topic);
        admitted.map_err(|max| PublishError::TooManyTopics { max })?;
        let kept = Vec::from([variants]);
        Ok(self.offer_kept(topic, keep, (epoch, audience), kept))
    }

    /// Makes a place for a topic that keeps something; the number of those that may be when there is none.
    pub(crate) fn admit(&self, topic: Topic<'_>) -> Result<(), u32> {
        let now = self.runtime.now();
        lock(&self.histories).admit(topic, now)
    }

    /// Offers events of a topic that keeps them, in the order in which they get their offsets.
    pub(crate) fn offer_kept(
        &self,
        topic: Topic<'_>,
        keep: Keep,
        (epoch, audience): (u64, Arc<Audience>),
        kept: Vec<Variants>,
    ) -> Published {
        let mut histories = lock(&self.histories);
        // Who has come to the present meanwhile has done so under this lock, and misses nothing.
        let audience = match self.epoch() == epoch {
            true => audience,
            false => self.audience(topic),
        };
        let mut parcel = self.parcel(&audience);
        let now = self.runtime.now();
        for variants in kept {
            let offset = histories.newest() + 1;
            parcel.push_kept(topic, offset, &variants, (&audience, self.local_encoding()));
            histories.keep(topic, keep, variants, now);
        }
        self.offer_in_order(topic.as_str(), &parcel.batches, parcel.local, &audience)
    }

    /// A payload of a peer, as it is and as the topic's type is written in other protocols.
    ///
    /// All of them at once: nobody calls code of the application when an event is read again.
    pub(crate) fn variants(&self, topic: Topic<'_>, payload: Payload<'_>) -> Variants {
        let own = (payload.encoding, Bytes::copy_from_slice(payload.bytes));
        let mut others: Vec<(Encoding, Bytes)> = Vec::new();
        for wanted in self.encodings() {
            if others.iter().all(|(known, _)| *known != wanted) {
                let converted = self.converted(topic, payload, wanted);
                others.extend(converted.map(|(encoding, bytes)| (encoding, bytes.into())));
            }
        }
        Variants::new(own, others)
    }

    /// A payload of the program in every encoding that a protocol wants.
    fn every_variant(
        &self,
        topic: Topic<'_>,
        payload: &dyn Encode,
    ) -> Result<Variants, PublishError> {
        let mut variants: Vec<(Encoding, Vec<u8>)> = Vec::new();
        for wanted in self.encodings() {
            if variants.iter().any(|(known, _)| *known == wanted) {
                continue;
            }
            let (encoding, bytes) = self.written(payload, wanted)?;
            // A payload with an encoding of its own is the same every time.
            if encoding != wanted {
                let bytes = &bytes;
                return Ok(self.variants(topic, Payload { encoding, bytes }));
            }
            variants.push((encoding, bytes));
        }
        let mut variants = variants
            .into_iter()
            .map(|(encoding, bytes)| (encoding, Bytes::from(bytes.into_boxed_slice())));
        let own = variants.next().unwrap_or((Encoding::Bytes, Bytes::new()));
        Ok(Variants::new(own, variants.collect()))
    }

    /// What the protocols of this hub want typed values in.
    fn encodings(&self) -> impl Iterator<Item = Encoding> {
        let protocols = self.settings.protocols().iter();
        protocols.map(|protocol| protocol.arguments())
    }
}
