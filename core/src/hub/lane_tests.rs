use super::*;
use crate::hub::segment::Budget;
use crate::protocol::Postcard;
use crate::wire::{Encoding, Event, Payload};

fn lane(frames_max: u32, framing: Framing) -> (HubLane, Arc<Segments>) {
    let limits = Limits {
        lane_frames_max: frames_max,
        ..Limits::default()
    };
    let budget = Arc::new(Budget::new(u64::MAX));
    let segments = Arc::new(Segments::new(budget));
    let lane = HubLane::new(&limits, framing, Arc::new(Postcard), segments.clone());
    (lane, segments)
}

fn publish(lane: &mut HubLane, segments: &Segments, number: u8, policy: Policy) {
    let mut framed = BytesMut::new();
    let event = Frame::Event(Event {
        topic: "a",
        direct: false,
        offset: None,
        payload: Payload {
            encoding: Encoding::Bytes,
            bytes: &[number],
        },
    });
    append_framed(&Postcard, &event, &mut framed);
    let slice = segments.append(&framed);
    let ends = [framed.len() as u32];
    let offer = Offer {
        slice: &slice,
        ends: &ends,
        topic: 1,
    };
    lane.offer(&offer, 1, policy, false);
}

/// Everything that leaves, with `meanwhile` between the moment when the transport has taken a chunk and the one when it is freed.
fn drain(lane: &mut HubLane, mut meanwhile: impl FnMut(&mut HubLane)) -> (Vec<u8>, u64) {
    let (mut events, mut missed) = (Vec::new(), 0);
    while let Some((chunk, frames)) = lane.peek() {
        let bytes = Bytes::copy_from_slice(chunk.as_ref());
        meanwhile(lane);
        lane.sent(frames);
        let mut rest = match chunk {
            Chunk::Frame(_) => [&(bytes.len() as u32).to_be_bytes()[..], &bytes].concat(),
            Chunk::Framed(_) => bytes.to_vec(),
        };
        while !rest.is_empty() {
            let length = framed_length(&rest);
            match crate::wire::decode(&rest[PREFIX..length]) {
                Ok(Some(Frame::Event(event))) => events.extend(event.payload.bytes),
                Ok(Some(Frame::Lagged(lagged))) => missed += lagged.missed,
                other => panic!("{other:?}"),
            }
            rest.drain(..length);
        }
    }
    (events, missed)
}

#[test]
fn what_the_transport_has_is_neither_dropped_nor_counted_as_missing() {
    for framing in [Framing::None, Framing::LengthPrefix] {
        for policy in [Policy::DropOldest, Policy::DropNewest, Policy::KeepLatest] {
            let (mut lane, segments) = lane(8, framing);
            publish(&mut lane, &segments, 0, policy);
            publish(&mut lane, &segments, 1, policy);
            let mut next = 2;
            let (events, missed) = drain(&mut lane, |lane| {
                for number in next..(next + 9).min(40) {
                    publish(lane, &segments, number, policy);
                    next = number + 1;
                }
            });
            assert_eq!(events.len() as u64 + missed, 40, "{framing:?} {policy:?}");
            assert!(events.is_sorted_by(|a, b| a < b), "{events:?}");
        }
    }
}
