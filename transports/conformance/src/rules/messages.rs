//! Messages arrive whole, as they were sent, in order.

use bytes::{Bytes, BytesMut};
use lapwing::transport::{Framing, Kind, Message, Outgoing};

use crate::end::{End, binary, numbered};
use crate::ground::Ground;
use crate::report::{Outcome, Verdict, ensure};
use crate::waking::both;

/// Around every size where a length, a buffer or a frame is known to change its form.
const SIZES: [usize; 19] = [
    0,
    1,
    2,
    3,
    4,
    5,
    125,
    126,
    127,
    128,
    129,
    130,
    255,
    256,
    257,
    65_535,
    65_536,
    65_537,
    1024 * 1024,
];

/// Both ends say what they are.
pub(super) async fn info(ground: &mut Ground) -> Outcome {
    let [client, hub] = ground.connect().await?.map(|end| end.info());
    ensure(!client.name.is_empty(), || "it has no name".into())?;
    ensure(client.name == hub.name, || {
        format!("its ends are called {} and {}", client.name, hub.name)
    })?;
    let frames_alone = client.framing == Framing::None;
    ensure(frames_alone || client.framing == hub.framing, || {
        "its ends differ in framing".into()
    })?;
    for url in [ground.listener.url(), ground.connector.url()] {
        ensure(url.contains("://"), || format!("`{url}` is not a URL"))?;
    }
    Ok(Verdict::Kept)
}

/// Every size arrives as it was sent.
pub(super) async fn boundaries(ground: &mut Ground) -> Outcome {
    let messages: Vec<Bytes> = (0..)
        .zip(SIZES)
        .map(|(number, size)| numbered(number, size))
        .collect();
    let ends = ground.connect().await?;
    exchange(ends, binary(&messages), &messages).await
}

/// An empty message is a message.
pub(super) async fn empty(ground: &mut Ground) -> Outcome {
    let mut messages = vec![Bytes::new(); 1_000];
    messages.push(Bytes::from_static(b"the last"));
    let ends = ground.connect().await?;
    exchange(ends, binary(&messages), &messages).await
}

/// 10,000 messages each way, at the same time.
pub(super) async fn order(ground: &mut Ground) -> Outcome {
    let messages: Vec<Bytes> = (0..10_000)
        .map(|number| numbered(number, 8 + number as usize % 97))
        .collect();
    let ends = ground.connect().await?;
    exchange(ends, binary(&messages), &messages).await
}

/// Messages that are received together are those that were sent, and none of them is empty but the first.
pub(super) async fn many(ground: &mut Ground) -> Outcome {
    let messages: Vec<Bytes> = (0..4_000)
        .map(|number| {
            numbered(
                number,
                [9, 200, 0, 70_000][usize::from(number % 97 < 2) * (number % 4) as usize],
            )
        })
        .collect();
    for [from, to] in [[0, 1], [1, 0]] {
        let mut ends = ground.connect().await?.map(Some);
        let [Some(mut from), Some(mut to)] = [ends[from].take(), ends[to].take()] else {
            continue;
        };
        both(
            from.talk(binary(&messages), &[]),
            to.expect_together(&messages),
        )
        .await?;
    }
    Ok(Verdict::Kept)
}

/// Binary arrives as binary, and text with its bytes; as text where the transport says that it tells kinds apart.
pub(super) async fn kinds(ground: &mut Ground) -> Outcome {
    let text = Message {
        bytes: Bytes::from_static("Grüße".as_bytes()),
        kind: Kind::Text,
    };
    let [mut client, mut hub] = ground.connect().await?;
    let ((), heard) = both(client.send(Outgoing::Message(text.clone())), hub.hear()).await?;
    ensure(heard.bytes == text.bytes, || {
        "text arrives with other bytes".into()
    })?;
    let told_apart = !hub.info().kinds || heard.kind == Kind::Text;
    ensure(told_apart, || "text does not arrive as text".into())?;
    let ((), heard) = both(hub.say(&b"\xff\x00"[..]), client.hear()).await?;
    ensure(heard == Message::binary(&b"\xff\x00"[..]), || {
        "binary does not arrive as binary".into()
    })?;
    Ok(Verdict::Kept)
}

/// Messages framed by the caller arrive like those framed by the transport, from each end that frames.
pub(super) async fn framed(ground: &mut Ground) -> Outcome {
    let messages: Vec<Bytes> = (0..600)
        .map(|number| numbered(number, number as usize * 7 % 1_000))
        .collect();
    // More in one piece than any buffer between the ends is likely to hold.
    let large: Vec<Bytes> = (0..20).map(|number| numbered(number, 60_000)).collect();
    let [mut client, mut hub] = ground.connect().await?;
    let [from_client, from_hub] = [client.info(), hub.info()].map(|info| info.framing);
    if [from_client, from_hub] == [Framing::None; 2] {
        return Ok(Verdict::Skipped);
    }
    let outgoing = |framing| mixed(framing, &messages, &large);
    let (from_client, from_hub) = (outgoing(from_client), outgoing(from_hub));
    let expected = [&messages[..], &large[..]].concat();
    both(
        client.talk(from_client, &expected),
        hub.talk(from_hub, &expected),
    )
    .await?;
    Ok(Verdict::Kept)
}

/// Some of `messages` framed and some not, then `large` ones framed, as far as there is a framing.
fn mixed(framing: Framing, messages: &[Bytes], large: &[Bytes]) -> Vec<Outgoing> {
    if framing == Framing::None {
        return binary(&[messages, large].concat());
    }
    let mut outgoing = Vec::new();
    for (turn, some) in messages.chunks(10).enumerate() {
        match turn % 2 {
            0 => outgoing.push(Outgoing::Framed(frames(framing, some))),
            _ => outgoing.extend(binary(some)),
        }
    }
    outgoing.push(Outgoing::Framed(frames(framing, large)));
    outgoing
}

/// A ping is no message, whether the transport knows it or not.
pub(super) async fn pings(ground: &mut Ground) -> Outcome {
    let messages: Vec<Bytes> = (0..20).map(|number| numbered(number, 20)).collect();
    let outgoing = binary(&messages)
        .into_iter()
        .flat_map(|message| [Outgoing::Ping, message]);
    let ends = ground.connect().await?;
    exchange(ends, outgoing.collect(), &messages).await
}

/// What was handed over counts, on both sides, and nothing is half-way when nothing is under way.
pub(super) async fn progress(ground: &mut Ground) -> Outcome {
    let [mut client, mut hub] = ground.connect().await?;
    for round in 1..=5 {
        both(client.say(numbered(round, 1_000)), hub.hear()).await?;
        let (near, far) = (client.progress(), hub.progress());
        ensure(near.sent_bytes >= round * 1_000, || {
            format!("{near:?} after {round} times 1,000 bytes were flushed")
        })?;
        ensure(far.received_bytes >= round * 1_000, || {
            format!("{far:?} after {round} times 1,000 bytes arrived")
        })?;
        ensure(!near.unsent && !far.half_received, || {
            format!("all has arrived, and yet {near:?} and {far:?}")
        })?;
    }
    Ok(Verdict::Kept)
}

/// `messages`, framed as `framing` says.
fn frames(framing: Framing, messages: &[Bytes]) -> Bytes {
    let mut frames = BytesMut::new();
    for message in messages {
        framing.append(Kind::Binary, &mut frames, |into| {
            into.extend_from_slice(message);
        });
    }
    frames.freeze()
}

/// Both ends send `outgoing` at the same time, and both must receive `expected`.
async fn exchange(
    [mut client, mut hub]: [End; 2],
    outgoing: Vec<Outgoing>,
    expected: &[Bytes],
) -> Outcome {
    both(
        client.talk(outgoing.clone(), expected),
        hub.talk(outgoing, expected),
    )
    .await?;
    Ok(Verdict::Kept)
}
