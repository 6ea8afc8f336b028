//! Whoever waits is woken, by what it waits for.

use core::task::{Poll, Waker};

use super::room::{fill, hear, message};
use crate::end::{End, brief, numbered};
use crate::ground::Ground;
use crate::report::{Broken, Outcome, Verdict};
use crate::waking::{Alarm, both};

/// A message wakes the newest waker that waits for one, although a writer waits as well.
pub(super) async fn reader(ground: &mut Ground) -> Outcome {
    let [mut client, mut hub] = ground.connect().await?;
    message_wakes(&mut client, &mut hub).await?;
    message_wakes(&mut hub, &mut client).await?;
    let started = fill(&mut hub).await?;
    message_wakes(&mut client, &mut hub).await?;
    both(hub.flush(), hear(&mut client, 0..started)).await?;
    Ok(Verdict::Kept)
}

/// Room wakes the newest waker that waits for it in any of the writing functions, although a reader waits as well.
pub(super) async fn writer(ground: &mut Ground) -> Outcome {
    let [mut client, mut hub] = ground.connect().await?;
    room_wakes(&mut client, &mut hub).await?;
    room_wakes(&mut hub, &mut client).await?;
    Ok(Verdict::Kept)
}

async fn message_wakes(sender: &mut End, receiver: &mut End) -> Result<(), Broken> {
    let (_, older) = Alarm::new();
    let (alarm, newer) = Alarm::new();
    park(receiver, &older)?;
    park(receiver, &newer)?;
    // Whether there is room or not: a waker of the other kind has been seen.
    let (_, writing) = Alarm::new();
    let _room = receiver.poll_ready(&writing)?;
    both(sender.say(numbered(1, 10)), alarm.rung()).await?;
    receiver.expect(&numbered(1, 10)).await
}

async fn room_wakes(sender: &mut End, receiver: &mut End) -> Result<(), Broken> {
    let mut started = fill(sender).await?;
    let (alarm, writing) = Alarm::new();
    let (_, reading) = Alarm::new();
    while !is_full(sender, &writing)? {
        // An operating system may find some more room.
        sender.start(message(started))?;
        started += 1;
    }
    park(sender, &reading)?;
    let flush = async {
        alarm.rung().await?;
        Ok::<_, Broken>(sender.flush().await?)
    };
    both(flush, hear(receiver, 0..started)).await?;
    Ok(())
}

/// Lets a reader wait with this waker.
fn park(reader: &mut End, waker: &Waker) -> Result<(), Broken> {
    match reader.poll_recv(waker) {
        Poll::Pending => Ok(()),
        Poll::Ready(early) => Err(Broken(format!(
            "{} before anything was sent",
            brief(&early)
        ))),
    }
}

/// Whether there is no room; `waker` is the newest of two then.
fn is_full(sender: &mut End, waker: &Waker) -> Result<bool, Broken> {
    let (_, older) = Alarm::new();
    Ok(sender.poll_ready(&older)?.is_pending() && sender.poll_flush(waker)?.is_pending())
}
