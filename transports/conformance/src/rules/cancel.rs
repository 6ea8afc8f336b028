//! Futures that are dropped half-way lose nothing.

use bytes::Bytes;
use lapwing::Limits;
use lapwing::transport::{Connector, Incoming, Listener};

use super::room::message;
use crate::end::{End, brief, numbered};
use crate::ground::{self, Ground};
use crate::report::{Broken, Outcome, Verdict, ensure};
use crate::waking::{both, cut_short};

/// More than any future here is polled.
const POLLS_MAX: usize = 8;

const MESSAGES: u64 = 100;

/// The output of a future that is dropped and made anew, after so many polls, until it is ready.
macro_rules! again {
    ($future:expr, $polls:expr) => {
        loop {
            if let Some(output) = cut_short($future, $polls).await {
                break output;
            }
        }
    };
}

/// An accept that is dropped loses no peer.
pub(super) async fn accept(ground: &mut Ground) -> Outcome {
    let limits = Limits::default();
    for polls in 0..POLLS_MAX {
        let listener = &mut ground.listener;
        let accept = async {
            let accepted = match cut_short(listener.accept(), polls).await {
                Some(accepted) => accepted,
                None => listener.accept().await,
            };
            Ok::<_, Broken>(End::open(accepted?, &limits).await?)
        };
        let client = ground::connect(&mut *ground.connector, &limits);
        let (client, hub) = both(client, accept).await?;
        meet(client, hub).await?;
    }
    Ok(Verdict::Kept)
}

/// A connect that is dropped is an attempt that ended; the next one works.
pub(super) async fn connect(ground: &mut Ground) -> Outcome {
    for polls in 0..POLLS_MAX {
        let name = numbered(polls as u64, 10);
        let client = connect_again(&mut *ground.connector, polls, &name);
        let hub = accept_named(&mut *ground.listener, &name);
        let (client, hub) = both(client, hub).await?;
        meet(client, hub).await?;
    }
    Ok(Verdict::Kept)
}

/// Reads and writes that are dropped are made again, and nothing is missing.
pub(super) async fn talk(ground: &mut Ground) -> Outcome {
    for polls in 1..4 {
        let [mut client, mut hub] = ground.connect().await?;
        both(say_all(&mut client, polls), hear_all(&mut hub, polls)).await?;
        both(say_all(&mut hub, polls), hear_all(&mut client, polls)).await?;
    }
    Ok(Verdict::Kept)
}

/// Connects after an attempt that was cut short, and says who it is.
async fn connect_again(
    connector: &mut dyn Connector,
    polls: usize,
    name: &Bytes,
) -> Result<End, Broken> {
    let client = match cut_short(connector.connect(), polls).await {
        Some(connected) => connected?,
        None => connector.connect().await?,
    };
    let mut client = End::open(client, &Limits::default()).await?;
    client.say(name.clone()).await?;
    Ok(client)
}

/// Accepts until it is the client with this name; those before are attempts that ended.
async fn accept_named(listener: &mut dyn Listener, name: &Bytes) -> Result<End, Broken> {
    loop {
        let accepted = listener.accept().await?;
        let Ok(mut hub) = End::open(accepted, &Limits::default()).await else {
            continue;
        };
        match hub.recv().await {
            Ok(Incoming::Message(message)) if message.bytes == name => return Ok(hub),
            Ok(Incoming::End) | Err(_) => {}
            other => {
                return Err(Broken(format!(
                    "an attempt that was dropped sent {}",
                    brief(&other)
                )));
            }
        }
    }
}

/// Whether the two are ends of one connection.
async fn meet(mut client: End, mut hub: End) -> Result<(), Broken> {
    both(client.say(numbered(1, 10)), hub.expect(&numbered(1, 10))).await?;
    both(hub.say(numbered(2, 10)), client.expect(&numbered(2, 10))).await?;
    Ok(())
}

async fn say_all(end: &mut End, polls: usize) -> Result<(), Broken> {
    for number in 0..MESSAGES {
        again!(end.ready(), polls)?;
        end.start(message(number))?;
    }
    again!(end.flush(), polls)?;
    Ok(())
}

async fn hear_all(end: &mut End, polls: usize) -> Result<(), Broken> {
    for number in 0..MESSAGES {
        let heard = again!(end.hear(), polls)?;
        ensure(heard.bytes == message(number), || {
            format!("message {number} is not the one that was sent")
        })?;
    }
    Ok(())
}
