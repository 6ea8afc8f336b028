//! The bounds that a transport is given.

use bytes::Bytes;
use lapwing::Limits;
use lapwing::transport::{Incoming, TransportError};

use crate::end::{End, binary, brief, numbered};
use crate::ground::Ground;
use crate::report::{Broken, Outcome, Verdict, ensure};
use crate::waking::both;

const MAX: usize = 1_000;

/// The largest message passes; a larger one ends reading, and the peer can be told.
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
    let messages = [numbered(1, MAX), numbered(2, size)];
    let refuse = async {
        receiver.expect(&numbered(1, MAX)).await?;
        expect_refusal(&mut receiver, size).await?;
        Ok::<_, Broken>(receiver.say(told.clone()).await?)
    };
    // The sender may be stuck with its message; it must hear why all the same.
    both(refuse, sender.hear_while_sending(binary(&messages), &told)).await?;
    Ok(())
}

async fn expect_refusal(receiver: &mut End, size: usize) -> Result<(), Broken> {
    let refused = receiver.recv().await;
    let expected = |error: &TransportError| matches!(error, TransportError::MessageTooLarge { size: told, max } if (*told, *max) == (size as u64, MAX as u64));
    ensure(refused.as_ref().is_err_and(expected), || {
        format!("a message of {size} bytes was met with {}", brief(&refused))
    })?;
    let again = receiver.recv().await;
    let ended = matches!(again, Ok(Incoming::End) | Err(_));
    ensure(ended, || {
        format!("reading went on after it was over, with {}", brief(&again))
    })
}
