//! What is said between hub and clients, in few words, for the diary.

use lapwing::Delivery;
use lapwing::wire::Frame;

use crate::book::Id;

pub(crate) fn of_frame(frame: &Frame<'_>) -> String {
    match frame {
        Frame::Event(event) => of_payload("event", event.payload.bytes),
        Frame::Publish(publish) => of_payload("publish", publish.payload.bytes),
        Frame::Replay(replay) => {
            let what = of_payload("replay", replay.payload.bytes);
            format!("{what} for {} at {}", replay.subscription, replay.offset)
        }
        Frame::Welcome(welcome) => format!(
            "welcome {} {:?} {:?}",
            welcome.connection, welcome.continued, welcome.verdicts
        ),
        Frame::Hello(hello) => format!("hello {:?} {:?}", hello.resume, hello.positions),
        other => format!("{other:?}"),
    }
}

pub(crate) fn of_delivery(delivery: &Delivery) -> String {
    match delivery {
        Delivery::Event(event) => of_payload("event", event.bytes()),
        other => format!("{other:?}"),
    }
}

fn of_payload(what: &str, payload: &[u8]) -> String {
    match Id::read(payload) {
        Some(id) => format!("{what} {id}"),
        None => format!("{what} {payload:?}"),
    }
}
