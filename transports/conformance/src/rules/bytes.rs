//! Bytes below the transport that end or announce what they like.

use bytes::Bytes;
use lapwing::Limits;
use lapwing::transport::{Framing, Incoming, TransportError};

use super::messages::frames;
use crate::end::{End, brief, numbered};
use crate::ground::Ground;
use crate::report::{Broken, Outcome, Verdict, ensure};

/// Wherever the bytes end, the whole messages before arrive, and no other.
pub(super) async fn cut(ground: &mut Ground) -> Outcome {
    let Some(framing) = ground.raw_framing().await? else {
        return Ok(Verdict::Skipped);
    };
    let messages: Vec<Bytes> = (0..)
        .zip([0, 1, 2, 5, 0, 130])
        .map(|(number, size)| numbered(number, size))
        .collect();
    let stream = frames(framing, &messages)?;
    for cut in 0..=stream.len() {
        let whole = whole(framing, &messages, cut)?;
        let hub = ground.connect_raw(&stream[..cut]).await?;
        expect_only(hub, whole).await.map_err(|Broken(how)| {
            Broken(format!("cut after {cut} of {} bytes: {how}", stream.len()))
        })?;
    }
    Ok(Verdict::Kept)
}

/// A size beyond the limit is refused when it is announced, before its bytes have come.
pub(super) async fn announced(ground: &mut Ground) -> Outcome {
    let Some(Framing::LengthPrefix) = ground.raw_framing().await? else {
        return Ok(Verdict::Skipped);
    };
    let limit = Limits::default().message_bytes_max;
    for size in [limit + 1, u32::MAX / 2, u32::MAX] {
        let mut hub = ground.connect_raw(&size.to_be_bytes()).await?;
        let refused = hub.recv().await;
        let expected = |error: &TransportError| matches!(error, TransportError::MessageTooLarge { size: told, max } if (*told, *max) == (size.into(), limit.into()));
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
fn whole(framing: Framing, messages: &[Bytes], cut: usize) -> Result<&[Bytes], Broken> {
    let mut whole = 0;
    while whole < messages.len() && frames(framing, &messages[..=whole])?.len() <= cut {
        whole += 1;
    }
    Ok(&messages[..whole])
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
