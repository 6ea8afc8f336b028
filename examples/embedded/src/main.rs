//! Subscribes, publishes, hears itself, and goes: without std, without an allocator, over standard input and output.
//!
//! Each way to fail has an exit code of its own, see [`Exit`].
#![no_std]
#![no_main]

mod host;

use lapwing::session::{Ending, Input};
use lapwing::wire::{
    Ack, Event, Frame, List, Name, Outcome, Payload, Publish, Refusal, Start, Subscribe,
};
use lapwing_embedded::{Error, Peer, Queues};

const TOPIC: &str = "demo/hello";
const HELLO: Payload<'_> = Payload::text("hello from a client without an allocator");

/// How the program ends.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Exit {
    /// It heard itself, and went politely.
    Done = 0,
    /// The link broke.
    Broken = 2,
    /// The hub sent a message that is larger than agreed.
    TooLarge = 3,
    /// A frame had no room.
    NoRoom = 4,
    /// The hub did not let it in, for whatever reason but the next one.
    Refused = 5,
    /// The hub wants to know who it is.
    Unauthorized = 6,
    /// The hub did not let it subscribe.
    Denied = 7,
    /// It heard an event that it did not publish.
    Strange = 8,
    /// The session ended before it heard itself.
    Early = 9,
    /// The hub said something that nobody asked for.
    Unasked = 10,
}

fn run() -> Result<(), Exit> {
    let mut peer = Peer::connect(host::Stdio, None)?;
    let mut progress = Ok(false);
    loop {
        let ending = peer.turn(|input, queues| {
            if progress == Ok(false) {
                progress = react(input, queues);
            }
        })?;
        match (ending, progress?) {
            (Some(Ending::ByUs(_)), true) => return Ok(()),
            (Some(ending), _) => return Err(ending.into()),
            // Closing twice is closing once.
            (None, true) => peer.close(),
            (None, false) => {}
        }
    }
}

/// Does what comes next; true when nothing does.
fn react(input: Input<'_>, queues: &mut Queues) -> Result<bool, Exit> {
    match input {
        Input::Welcome(_) => queues.push(&subscribe())?,
        Input::Ack(Ack {
            outcome: Outcome::Subscribed,
            ..
        }) => queues.push(&publish())?,
        Input::Ack(_) => return Err(Exit::Denied),
        Input::Event(event) => return recognize(event),
        // The session ends, and tells how.
        Input::Nothing | Input::Pong(_) | Input::Refused(_) | Input::Close(_) => {}
        _ => return Err(Exit::Unasked),
    }
    Ok(false)
}

fn recognize(event: Event<'_>) -> Result<bool, Exit> {
    match event.topic == TOPIC && event.payload == HELLO {
        true => Ok(true),
        false => Err(Exit::Strange),
    }
}

fn subscribe() -> Frame<'static> {
    Frame::Subscribe(Subscribe {
        receipt: 1,
        first: 1,
        policy: None,
        start: Start::Now,
        filters: List::new(&["demo/**"]),
    })
}

fn publish() -> Frame<'static> {
    Frame::Publish(Publish {
        receipt: 0,
        name: Name::Topic(TOPIC),
        payload: HELLO,
    })
}

impl From<Error> for Exit {
    fn from(error: Error) -> Self {
        match error {
            Error::Broken => Self::Broken,
            Error::TooLarge => Self::TooLarge,
            Error::NoRoom => Self::NoRoom,
        }
    }
}

impl From<lapwing::wire::NoRoom> for Exit {
    fn from(_: lapwing::wire::NoRoom) -> Self {
        Self::NoRoom
    }
}

impl From<Ending> for Exit {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Refused(Refusal::Unauthorized) => Self::Unauthorized,
            Ending::Refused(_) => Self::Refused,
            _ => Self::Early,
        }
    }
}
