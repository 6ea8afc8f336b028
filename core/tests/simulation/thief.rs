//! A thief, who has heard what a client said to be let in, and says the same.

use std::future::poll_fn;

use bytes::Bytes;
use futures_lite::future;
use lapwing::transport::{Connector, Incoming, Message, Outgoing, Transport};
use lapwing::wire::{self, Close, CloseReason, Frame, Return};

use crate::carrier::Carrier;
use crate::life::Life;
use crate::world::World;

/// The name of its path.
pub(crate) const THIEF: &str = "thief";

/// Shows a hello that has brought a client back, after that client has gone on: the hub may let it in, and gives it nothing of the client's.
pub(crate) async fn steal(world: &World, life: &Life) {
    let Some(hello) = life
        .side
        .used_hello()
        .filter(|_| life.carrier == Carrier::Memory)
    else {
        return;
    };
    let mut connector = world.network.connector("hub").named(THIEF);
    let Ok(mut transport) = connector.connect().await else {
        return;
    };
    let answer = future::or(ask(&mut *transport, hello), async {
        world.sim.settle().await;
        None
    });
    let Some(answer) = answer.await else { return };
    say(&mut *transport, goodbye()).await;
    if let Ok(Some(Frame::Welcome(welcome))) = wire::decode(&answer.bytes)
        && welcome.continued.is_some()
    {
        world.find("thief", format!("has the session of c{}", life.number));
    }
}

fn goodbye() -> Bytes {
    let close = Close {
        reason: CloseReason::Done,
        verdict: Return::Never,
    };
    let mut bytes = Vec::new();
    wire::append(&Frame::Close(close), &mut bytes);
    bytes.into()
}

async fn say(transport: &mut dyn Transport, bytes: Bytes) -> Option<()> {
    poll_fn(|cx| transport.poll_ready(cx)).await.ok()?;
    let message = Outgoing::Message(Message::binary(bytes));
    transport.start_send(message).ok()?;
    poll_fn(|cx| transport.poll_flush(cx)).await.ok()
}

async fn ask(transport: &mut dyn Transport, hello: Bytes) -> Option<Message> {
    say(transport, hello).await?;
    match poll_fn(|cx| transport.poll_recv(cx)).await {
        Ok(Incoming::Message(message)) => Some(message),
        _ => None,
    }
}
