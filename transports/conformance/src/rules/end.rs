//! How connections end.

use lapwing::transport::Incoming;

use crate::end::{End, brief, numbered};
use crate::ground::Ground;
use crate::report::{Broken, Outcome, Verdict, ensure};
use crate::waking::both;

const MESSAGES: u64 = 100;

/// After a close the other side hears all that was sent, then the end, and may go on to speak, unless it heard a goodbye.
pub(super) async fn half_close(ground: &mut Ground) -> Outcome {
    let [client, hub] = ground.connect().await?;
    first_closes(client, hub).await?;
    let [client, hub] = ground.connect().await?;
    first_closes(hub, client).await?;
    Ok(Verdict::Kept)
}

/// Both may close at the same time, each with words under way.
pub(super) async fn both_close(ground: &mut Ground) -> Outcome {
    let [mut client, mut hub] = ground.connect().await?;
    both(say_all_and_close(&mut client), say_all_and_close(&mut hub)).await?;
    both(hear_all_and_end(&mut client), hear_all_and_end(&mut hub)).await?;
    Ok(Verdict::Kept)
}

/// What was flushed before an end was dropped arrives; then there is an end or an error, again and again.
pub(super) async fn dropped(ground: &mut Ground) -> Outcome {
    let [client, hub] = ground.connect().await?;
    first_is_dropped(client, hub).await?;
    let [client, hub] = ground.connect().await?;
    first_is_dropped(hub, client).await?;
    Ok(Verdict::Kept)
}

async fn first_closes(mut first: End, mut second: End) -> Result<(), Broken> {
    let ((), parted) = both(say_all_and_close(&mut first), hear_all_and_end(&mut second)).await?;
    if !parted {
        both(say_all_and_close(&mut second), hear_all_and_end(&mut first)).await?;
        return Ok(());
    }
    // Both ends say goodbye then, and neither has another word.
    let close = async { Ok::<_, Broken>(second.close().await?) };
    let ((), parted) = both(close, first.expect_end()).await?;
    ensure(parted, || "a goodbye was not answered".into())
}

async fn first_is_dropped(mut first: End, mut second: End) -> Result<(), Broken> {
    let say = async move {
        say_all(&mut first).await?;
        drop(first);
        Ok::<(), Broken>(())
    };
    both(say, hear_all(&mut second)).await?;
    for _ in 0..3 {
        let after = second.recv().await;
        let over = matches!(after, Ok(Incoming::End) | Err(_));
        ensure(over, || {
            format!("{} from an end that is gone", brief(&after))
        })?;
    }
    Ok(())
}

async fn say_all(end: &mut End) -> Result<(), Broken> {
    for number in 0..MESSAGES {
        end.say(numbered(number, 100)).await?;
    }
    Ok(())
}

async fn say_all_and_close(end: &mut End) -> Result<(), Broken> {
    say_all(end).await?;
    Ok(end.close().await?)
}

async fn hear_all(end: &mut End) -> Result<(), Broken> {
    for number in 0..MESSAGES {
        end.expect(&numbered(number, 100)).await?;
    }
    Ok(())
}

async fn hear_all_and_end(end: &mut End) -> Result<bool, Broken> {
    hear_all(end).await?;
    end.expect_end().await
}
