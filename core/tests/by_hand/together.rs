//! What arrives together means what it means when it arrives piece by piece.

use fastrand::Rng;
use lapwing::hub::Rule;
use lapwing::wire::{Encoding, Frame, Name, Payload, Publish};
use lapwing::{Limits, Policy};

use crate::carrier::Carrier;
use crate::peer::{Peer, bytes, ping};
use crate::world::{World, check_over_with};

/// Messages of one script.
const MESSAGES: usize = 60;

/// What a listener hears: topic, encoding, payload.
type Event = (String, Encoding, Vec<u8>);

/// Publishes of all kinds, most of them like the one before.
fn script(rng: &mut Rng) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while messages.len() < MESSAGES {
        let kind = rng.u8(..24);
        let kinds = match kind {
            // A number for a topic, and then for one where that is denied.
            23 => vec![22, 17, 17, 17, 20 + rng.u8(..2), 17, 17],
            kind => vec![kind; rng.usize(1..6)],
        };
        for kind in kinds {
            messages.push(message(kind, messages.len()));
        }
    }
    messages
}

fn message(kind: u8, number: usize) -> Vec<u8> {
    let text = format!("{number:03}");
    let text = text.as_bytes();
    let long = |length| [text, &vec![b'x'; length]].concat();
    let published = |name, encoding, bytes: &[u8]| bytes_of(0, name, encoding, bytes);
    let (a, b) = (Name::Topic("room/a"), Name::Topic("room/b"));
    match kind {
        0..6 => published(a, Encoding::Text, text),
        6 => published(b, Encoding::Text, text),
        7 => published(a, Encoding::Bytes, text),
        8 => published(a, Encoding::Postcard, text),
        9 => bytes_of(7, a, Encoding::Text, text),
        // Later versions may say more.
        10 => [published(a, Encoding::Text, text), text.to_vec()].concat(),
        // No text: it is denied, and so are those that nobody may say.
        11 => published(a, Encoding::Text, &[text, &[0xff]].concat()),
        12 => published(Name::Topic("closed/a"), Encoding::Text, text),
        13 => published(Name::Topic("small"), Encoding::Text, &long(number % 2)),
        14 => published(a, Encoding::Text, &long(200 * (number % 4))),
        15 => published(a, Encoding::Text, &long(20_000)),
        16 => published(
            Name::Declare(1, ["room/a", "room/b"][number % 2]),
            Encoding::Text,
            text,
        ),
        17..20 => published(Name::Alias(1), Encoding::Text, text),
        // The number stands for another topic from here on, though nobody may say this there.
        20 => published(Name::Declare(1, "closed/a"), Encoding::Text, text),
        21 => published(Name::Declare(1, "room/b"), Encoding::Text, &[0xff]),
        22 => published(Name::Declare(1, "room/a"), Encoding::Text, text),
        // It says nothing to anybody.
        _ => match number % 3 {
            0 => vec![0xff],
            1 => Vec::new(),
            _ => bytes(&ping(1)),
        },
    }
}

fn bytes_of(receipt: u32, name: Name<'_>, encoding: Encoding, payload: &[u8]) -> Vec<u8> {
    let payload = Payload {
        encoding,
        bytes: payload,
    };
    bytes(&Frame::Publish(Publish {
        receipt,
        name,
        payload,
    }))
}

/// All that is heard of what `say` says, until the last word.
async fn heard(world: &World, script: &[Vec<u8>], together: bool) -> Vec<Event> {
    let mut listener = world.peer("listener").await;
    listener
        .subscribe(1, Policy::Disconnect, &["room/*", "small"])
        .await;
    let mut speaker = world.peer("speaker").await;
    for message in script {
        match together {
            true => speaker.gather(message),
            false => speaker.say_bytes(message).await,
        }
        if !together {
            world.sim.settle().await;
        }
    }
    let last = Name::Topic("room/last");
    speaker
        .say_bytes(&bytes_of(0, last, Encoding::Text, b""))
        .await;
    events(&mut listener).await
}

async fn events(listener: &mut Peer) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        let event = |frame: Frame<'_>| match frame {
            Frame::Event(event) => {
                let payload = event.payload;
                Some((event.topic.into(), payload.encoding, payload.bytes.to_vec()))
            }
            _ => None,
        };
        let next: Event = listener.until(event).await;
        if next.0 == "room/last" {
            return events;
        }
        events.push(next);
    }
}

#[test]
fn together_is_what_it_is_apart() {
    let limits = || Limits {
        message_bytes_max: 30_000,
        ..Limits::default()
    };
    for seed in 0..40 {
        let script = script(&mut Rng::with_seed(seed));
        check_over_with(
            &[Carrier::Tcp, Carrier::WebSocket],
            |_, builder| builder.limits(limits()).topic("room/*", Rule::open()),
            async |world| {
                let apart = heard(world, &script, false).await;
                let together = heard(world, &script, true).await;
                assert_eq!(apart, together, "seed {seed}");
                assert!(!apart.is_empty(), "seed {seed}");
            },
        );
    }
}
