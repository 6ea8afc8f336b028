//! A receiver that does not read slows down the sender, and loses nothing.

use core::ops::Range;

use bytes::Bytes;
use futures_lite::future::yield_now;

use crate::end::{End, numbered};
use crate::ground::Ground;
use crate::report::{Broken, Outcome, Verdict, ensure};
use crate::waking::{Alarm, both};

const SIZE: usize = 16 * 1024;

/// More than any operating system keeps for one connection.
const TAKEN_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// The contract says about 64 KiB beyond one message; twice that is too much.
const HELD_BYTES_MAX: u64 = 2 * 64 * 1024 + SIZE as u64;

/// How often others may go on before a writer that was not woken counts as parked.
const PATIENCE: usize = 100;

/// What was sent after the sender was parked.
const MORE: u64 = 100;

/// The sender is stopped after a bounded amount; when the receiver reads again, everything arrives.
pub(super) async fn back_pressure(ground: &mut Ground) -> Outcome {
    let [mut client, mut hub] = ground.connect().await?;
    one_way(&mut client, &mut hub).await?;
    one_way(&mut hub, &mut client).await?;
    Ok(Verdict::Kept)
}

async fn one_way(sender: &mut End, receiver: &mut End) -> Result<(), Broken> {
    let started = fill(sender).await?;
    let rest = async {
        for number in started..started + MORE {
            sender.ready().await?;
            sender.start(message(number))?;
        }
        sender.flush().await
    };
    both(rest, hear(receiver, 0..started + MORE)).await?;
    Ok(())
}

/// Sends numbered messages until the sender is parked; how many.
pub(super) async fn fill(sender: &mut End) -> Result<u64, Broken> {
    let before = sender.progress().sent_bytes;
    for number in 0.. {
        if is_parked(sender).await? {
            ensure(sender.progress().unsent, || {
                "a writer waits for room, and nothing is unsent".into()
            })?;
            return Ok(number);
        }
        sender.start(message(number))?;
        ensure_bounded(number + 1, sender.progress().sent_bytes - before)?;
    }
    unreachable!("the numbers have no end")
}

fn ensure_bounded(messages: u64, sent_bytes: u64) -> Result<(), Broken> {
    let taken = messages * SIZE as u64;
    ensure(taken <= TAKEN_BYTES_MAX, || {
        format!("{taken} bytes are taken from a sender whose receiver does not read")
    })?;
    let held = taken.saturating_sub(sent_bytes);
    ensure(held <= HELD_BYTES_MAX, || {
        format!("{held} bytes are held that nobody has taken")
    })
}

/// Reads the messages of [`fill`] with these numbers.
pub(super) async fn hear(receiver: &mut End, numbers: Range<u64>) -> Result<(), Broken> {
    for number in numbers {
        receiver.expect(&message(number)).await?;
    }
    Ok(())
}

/// Whether there is no room, and no sign of any.
pub(super) async fn is_parked(sender: &mut End) -> Result<bool, Broken> {
    let (alarm, waker) = Alarm::new();
    loop {
        if sender.poll_ready(&waker)?.is_ready() {
            return Ok(false);
        }
        let mut patience = 0..PATIENCE;
        while !alarm.take_rung() {
            if patience.next().is_none() {
                return Ok(true);
            }
            yield_now().await;
        }
    }
}

pub(super) fn message(number: u64) -> Bytes {
    numbered(number, SIZE)
}
