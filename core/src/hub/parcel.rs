//! Events of one topic in the form in which they go out: once for each class of connections, and once for the program itself.

use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

use super::audience::Audience;
use super::carries::is_value;
use super::class::Class;
use super::history::Variants;
use super::{PublishError, Shared};
use crate::payload::{Encode, encoded, translated};
use crate::topic::Topic;
use crate::wire::{Encoding, Envelope, Event, Frame, Payload};

/// The largest event that a program may publish: segments count their bytes in 32 bits, and JSON may write six for one.
const EVENT_BYTES_MAX: u64 = 1 << 29;

/// Room that is made for a second event, and those that follow it.
const BYTES_AHEAD: usize = 4 * 1024;

/// Events of one topic, as each of an audience gets them.
#[derive(Default)]
pub(super) struct Parcel {
    pub(super) batches: Vec<Batch>,
    pub(super) local: Vec<Envelope>,
}

/// Events of one topic as one class of connections gets them.
pub(super) struct Batch {
    pub(super) class: Arc<Class>,
    pub(super) framed: BytesMut,
    pub(super) ends: Vec<u32>,
    /// What the last event began with, and others like it do.
    start: Option<Start>,
}

/// What is before the payloads of events of one encoding.
struct Start {
    encoding: Encoding,
    head: Vec<u8>,
    /// Framed, for a payload of as many bytes as the last one had.
    bytes: BytesMut,
    payload_bytes: Option<usize>,
}

impl Start {
    fn new(encoding: Encoding, head: Vec<u8>) -> Self {
        Self {
            encoding,
            head,
            bytes: BytesMut::new(),
            payload_bytes: None,
        }
    }
}

impl Batch {
    fn new(class: &Arc<Class>) -> Self {
        Self {
            class: class.clone(),
            framed: BytesMut::new(),
            ends: Vec::new(),
            start: None,
        }
    }

    /// Adds an event of the topic's subscribers, or one that is sent straight to somebody.
    fn add(&mut self, topic: Topic<'_>, direct: bool, payload: Payload<'_>) {
        // One alone is not worth it.
        if !direct && !self.ends.is_empty() && self.add_another(topic, payload) {
            return;
        }
        self.push(Event {
            topic: topic.as_str(),
            direct,
            offset: None,
            payload,
        });
    }

    /// Adds one of several events of a topic; false when they have no head in common.
    fn add_another(&mut self, topic: Topic<'_>, payload: Payload<'_>) -> bool {
        let known = |start: &Start| start.encoding == payload.encoding;
        if !self.start.as_ref().is_some_and(known) {
            let protocol = &self.class.protocol;
            let head = protocol.event_head(topic.as_str(), payload.encoding);
            self.start = head.map(|head| Start::new(payload.encoding, head));
        }
        let Some(start) = &mut self.start else {
            return false;
        };
        if start.payload_bytes != Some(payload.bytes.len()) {
            start.payload_bytes = Some(payload.bytes.len());
            start.bytes.clear();
            self.class
                .begin_event(&start.head, payload.bytes.len(), &mut start.bytes);
        }
        let bytes = start.bytes.len() + payload.bytes.len();
        if self.framed.capacity() - self.framed.len() < bytes {
            // Where there are two there will be more.
            self.framed.reserve(bytes.max(BYTES_AHEAD));
        }
        self.framed.extend_from_slice(&start.bytes);
        self.framed.extend_from_slice(payload.bytes);
        self.ends.push(self.framed.len() as u32);
        true
    }

    pub(super) fn push(&mut self, event: Event<'_>) {
        self.class.append(&Frame::Event(event), &mut self.framed);
        self.ends.push(self.framed.len() as u32);
    }

    /// The largest event, framed.
    pub(super) fn largest(&self) -> usize {
        let starts = core::iter::once(&0).chain(&self.ends);
        let sizes = self.ends.iter().zip(starts).map(|(end, start)| end - start);
        sizes.max().unwrap_or(0) as usize
    }
}

impl Parcel {
    /// Adds an event of a peer that is the same in every protocol.
    pub(super) fn add_again(
        &mut self,
        topic: Topic<'_>,
        payload: Payload<'_>,
        audience: &Audience,
    ) {
        for batch in &mut self.batches {
            batch.add(topic, false, payload);
        }
        self.add_local(payload, audience);
    }

    fn add_local(&mut self, payload: Payload<'_>, audience: &Audience) {
        if let Some(hearers) = &audience.hearers {
            let bytes = Bytes::copy_from_slice(payload.bytes);
            self.local.push(hearers.event(payload.encoding, bytes));
        }
    }

    /// Adds an event that its topic keeps.
    pub(super) fn push_kept(
        &mut self,
        topic: Topic<'_>,
        offset: u64,
        variants: &Variants,
        (audience, local): (&Audience, Encoding),
    ) {
        for batch in &mut self.batches {
            batch.push(Event {
                topic: topic.as_str(),
                direct: false,
                offset: Some(offset.to_le_bytes()),
                payload: variants.payload(batch.class.protocol.arguments()),
            });
        }
        if let Some(hearers) = &audience.hearers {
            let (encoding, bytes) = variants.shared(local);
            let event = hearers.event(encoding, bytes);
            self.local.push(event.at(Some(offset)));
        }
    }
}

impl Shared {
    /// Nothing yet, for those who hear a topic.
    pub(super) fn parcel(&self, audience: &Audience) -> Parcel {
        Parcel {
            batches: self.batches(audience),
            local: Vec::new(),
        }
    }

    fn batches(&self, audience: &Audience) -> Vec<Batch> {
        self.classes.of(audience.classes).map(Batch::new).collect()
    }

    /// Adds an event of a peer.
    pub(super) fn add(
        &self,
        topic: Topic<'_>,
        payload: Payload<'_>,
        parcel: &mut Parcel,
        audience: &Audience,
    ) {
        for batch in &mut parcel.batches {
            self.add_to(batch, topic, false, payload);
        }
        parcel.add_local(payload, audience);
    }

    /// One event of the program, for each class of an audience.
    pub(super) fn batches_of(
        &self,
        topic: Topic<'_>,
        direct: bool,
        payload: &dyn Encode,
        audience: &Audience,
    ) -> Result<Vec<Batch>, PublishError> {
        let mut batches = self.batches(audience);
        for batch in &mut batches {
            let (encoding, bytes) = self.written(payload, batch.class.protocol.arguments())?;
            let bytes = &bytes;
            self.add_to(batch, topic, direct, Payload { encoding, bytes });
        }
        Ok(batches)
    }

    /// The same for those inside the program.
    pub(super) fn local_event(
        &self,
        payload: &dyn Encode,
        audience: &Audience,
    ) -> Result<Option<Envelope>, PublishError> {
        let Some(hearers) = &audience.hearers else {
            return Ok(None);
        };
        let (encoding, bytes) = self.written(payload, self.local_encoding())?;
        // As many bytes as there are: that is what the budget counts.
        let bytes = bytes.into_boxed_slice().into();
        Ok(Some(hearers.event(encoding, bytes)))
    }

    /// In what typed values are for the program itself: as its first protocol wants them.
    pub(super) fn local_encoding(&self) -> Encoding {
        let first = self.settings.protocols().iter().next();
        first.map_or(Encoding::Postcard, |protocol| protocol.encoding())
    }

    /// Adds an event to a batch, in the encoding that its protocol wants where the topic's values are known.
    fn add_to(&self, batch: &mut Batch, topic: Topic<'_>, direct: bool, payload: Payload<'_>) {
        let wanted = batch.class.protocol.arguments();
        match self.converted(topic, payload, wanted) {
            None => batch.add(topic, direct, payload),
            Some((encoding, bytes)) => {
                let bytes = &bytes;
                batch.add(topic, direct, Payload { encoding, bytes });
            }
        }
    }

    /// The payload in the encoding that a protocol wants, where it has to change and can.
    pub(super) fn converted(
        &self,
        topic: Topic<'_>,
        payload: Payload<'_>,
        wanted: Encoding,
    ) -> Option<(Encoding, Vec<u8>)> {
        // Most need nothing, and are not looked at any further.
        if payload.encoding == wanted || !is_value(payload.encoding) {
            return None;
        }
        let converted = match self.rules.carries(topic) {
            Some(carries) => carries.convert(payload, wanted),
            None => translated(payload, wanted),
        };
        converted.filter(|(_, bytes)| bytes.len() as u64 <= self.event_bytes_max())
    }

    /// A payload of the program in the encoding that a protocol wants, unless it has one of its own.
    pub(super) fn written(
        &self,
        payload: &dyn Encode,
        wanted: Encoding,
    ) -> Result<(Encoding, Vec<u8>), PublishError> {
        let (encoding, bytes) = encoded(payload, wanted)?;
        let (size, max) = (bytes.len() as u64, self.event_bytes_max());
        match size > max {
            true => Err(PublishError::TooLarge { size, max }),
            false => Ok((encoding, bytes)),
        }
    }

    /// The largest payload of an event.
    pub(crate) fn event_bytes_max(&self) -> u64 {
        self.limits.hub_bytes_max.min(EVENT_BYTES_MAX)
    }
}
