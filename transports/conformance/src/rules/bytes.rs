//! Bytes below the transport that end or announce what they like.

use bytes::{Bytes, BytesMut};
use lapwing::Limits;
use lapwing::transport::{Framing, Incoming, Kind, TransportError};

use crate::end::{End, brief, numbered};
use crate::ground::Ground;
use crate::report::{Broken, Outcome, Verdict, ensure};

/// What a client masks its frames with.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Wherever the bytes end, the whole messages before arrive, and no other.
pub(super) async fn cut(ground: &mut Ground) -> Outcome {
    let Some(framing) = ground.raw_framing().await? else {
        return Ok(Verdict::Skipped);
    };
    let messages: Vec<Bytes> = (0..)
        .zip([0, 1, 2, 5, 0, 130])
        .map(|(number, size)| numbered(number, size))
        .collect();
    let stream = frames(framing, &messages);
    for cut in 0..=stream.len() {
        let whole = whole(framing, &messages, cut);
        let hub = ground.connect_raw(&stream[..cut]).await?;
        expect_only(hub, whole).await.map_err(|Broken(how)| {
            Broken(format!("cut after {cut} of {} bytes: {how}", stream.len()))
        })?;
    }
    Ok(Verdict::Kept)
}

/// A size beyond the limit is refused when it is announced, before its bytes have come.
pub(super) async fn announced(ground: &mut Ground) -> Outcome {
    let Some(framing) = ground.raw_framing().await? else {
        return Ok(Verdict::Skipped);
    };
    let limit = u64::from(Limits::default().message_bytes_max);
    for size in [
        limit + 1,
        (u32::MAX / 2).into(),
        u32::MAX.into(),
        1 << 63,
        u64::MAX,
    ] {
        let Some(head) = head(framing, size) else {
            continue;
        };
        let mut hub = ground.connect_raw(&head).await?;
        let refused = hub.recv().await;
        let expected = |error: &TransportError| matches!(error, TransportError::MessageTooLarge { size: told, max } if (*told, *max) == (size, limit));
        ensure(refused.as_ref().is_err_and(expected), || {
            format!(
                "{size} bytes were announced and met with {}",
                brief(&refused)
            )
        })?;
    }
    Ok(Verdict::Kept)
}

/// The messages that are whole when the stream is `cut`.
fn whole(framing: Framing, messages: &[Bytes], cut: usize) -> &[Bytes] {
    let mut whole = 0;
    while whole < messages.len() && frames(framing, &messages[..=whole]).len() <= cut {
        whole += 1;
    }
    &messages[..whole]
}

/// `messages` as a client frames them.
fn frames(framing: Framing, messages: &[Bytes]) -> Vec<u8> {
    let frame = |message: &Bytes| {
        let mut frame = BytesMut::new();
        framing.append(Kind::Binary, &mut frame, |into| {
            into.extend_from_slice(message);
        });
        match framing {
            Framing::WebSocket => masked(&frame),
            _ => frame.to_vec(),
        }
    };
    messages.iter().flat_map(frame).collect()
}

/// A frame of a server, which is at least 2 bytes long, as a client sends it.
fn masked(frame: &[u8]) -> Vec<u8> {
    let (head, body) = frame.split_at(Framing::WebSocket.head_bytes(frame));
    let mut masked = [head, &MASK].concat();
    masked[1] |= 0x80;
    let mask = MASK.iter().cycle();
    masked.extend(body.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
    masked
}

/// What announces a message of so many bytes; `None` when it cannot be announced.
fn head(framing: Framing, size: u64) -> Option<Vec<u8>> {
    match framing {
        Framing::WebSocket => {
            let head = [&[0x82, 0x80 | 127][..], &size.to_be_bytes(), &MASK];
            Some(head.concat())
        }
        _ => Some(u32::try_from(size).ok()?.to_be_bytes().to_vec()),
    }
}

/// Whether just `messages` arrive, then an end or an error.
async fn expect_only(mut hub: End, messages: &[Bytes]) -> Result<(), Broken> {
    for message in messages {
        hub.expect(message).await?;
    }
    for _ in 0..3 {
        let after = hub.recv().await;
        let over = matches!(after, Ok(Incoming::End) | Err(_));
        ensure(over, || {
            format!("{} after the last whole message", brief(&after))
        })?;
    }
    Ok(())
}
