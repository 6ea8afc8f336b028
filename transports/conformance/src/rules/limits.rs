//! The bounds that a transport is given.

use core::task::{Poll, Waker};

use bytes::Bytes;
use lapwing::Limits;
use lapwing::transport::TransportError;

use crate::end::{End, binary, brief, numbered};
use crate::ground::Ground;
use crate::report::{Broken, Outcome, Verdict, ensure};
use crate::waking::both;

const MAX: usize = 1_000;

/// The largest message passes; a larger one is refused, what follows is thrown away, and the peer can be told.
pub(super) async fn too_large(ground: &mut Ground) -> Outcome {
    let limits = Limits {
        message_bytes_max: MAX as u32,
        ..Limits::default()
    };
    for size in [MAX + 1, 2 * MAX, 100 * MAX] {
        let [client, hub] = ground.connect_with(&limits).await?;
        refuses(client, hub, size).await?;
        let [client, hub] = ground.connect_with(&limits).await?;
        refuses(hub, client, size).await?;
    }
    Ok(Verdict::Kept)
}

/// A transport with little room does the same, in smaller steps.
pub(super) async fn small(ground: &mut Ground) -> Outcome {
    let limits = Limits::small();
    let largest = limits.message_bytes_max as usize;
    let sizes = [0, 1, largest - 1, largest, 7, largest].into_iter().cycle();
    let messages: Vec<Bytes> = (0..60)
        .zip(sizes)
        .map(|(number, size)| numbered(number, size))
        .collect();
    let [mut client, mut hub] = ground.connect_with(&limits).await?;
    both(
        client.talk(binary(&messages), &messages),
        hub.talk(binary(&messages), &messages),
    )
    .await?;
    Ok(Verdict::Kept)
}

async fn refuses(mut sender: End, mut receiver: End, size: usize) -> Result<(), Broken> {
    let told = Bytes::from_static(b"too large");
    let messages = [numbered(1, MAX), numbered(2, size), numbered(3, MAX)];
    let refuse = async {
        receiver.expect(&numbered(1, MAX)).await?;
        expect_refusal(&mut receiver, size).await?;
        receiver.say(told.clone()).await?;
        receiver.close().await?;
        receiver.expect_end().await
    };
    let heard = [told.clone()];
    let sent = async move {
        sender.talk(binary(&messages), &heard).await?;
        sender.close().await?;
        // An end that waits for the last words of its peer goes when it has heard them.
        sender.expect_end().await
    };
    both(refuse, sent).await?;
    Ok(())
}

async fn expect_refusal(receiver: &mut End, size: usize) -> Result<(), Broken> {
    let refused = receiver.recv().await;
    let expected = |error: &TransportError| matches!(error, TransportError::MessageTooLarge { size: told, max } if (*told, *max) == (size as u64, MAX as u64));
    ensure(refused.as_ref().is_err_and(expected), || {
        format!("a message of {size} bytes was met with {}", brief(&refused))
    })?;
    // The sender waits to be told, so it has not finished.
    match receiver.poll_recv(Waker::noop()) {
        Poll::Pending => Ok(()),
        Poll::Ready(again) => Err(Broken(format!(
            "a refused message was followed by {}",
            brief(&again)
        ))),
    }
}
