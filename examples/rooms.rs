//! A chat: users with several connections, rooms that are groups, events sent straight to them, calls in both directions.

use std::error::Error;

use futures_channel::mpsc::{Receiver, channel};
use futures_lite::StreamExt;
use lapwing::client::CallError;
use lapwing::hub::{Admission, Ask, Caller, Refuse};
use lapwing::runtime::Smol;
use lapwing::wire::FailureCode;
use lapwing::{CallFailure, Client, Delivery, Hub, TopicError, Typed};
use lapwing_memory::Network;

fn main() -> Result<(), Box<dyn Error>> {
    let smol = Smol::new();
    let network = Network::new(&smol);
    let hub = chat(&smol)?;
    smol.spawn(hub.serve(network.listen("chat")?));
    smol.block_on(an_evening(&smol, &network, &hub))
}

/// The chat. It has no rules, so no topic is open to its peers: they call, and the hub decides who hears what.
fn chat(smol: &Smol) -> Result<Hub, TopicError> {
    Hub::builder(smol.clone())
        .on_connect(async |ask| admit(&ask))
        .on_call("join", join)
        .on_call("say", say)
        .on_call("leave", async |caller: Caller, room: String| {
            Ok(Typed(caller.remote().leave(&room)))
        })
        .build()
}

/// Whoever shows a name comes in under it; a real chat would check a signature.
fn admit(ask: &Ask) -> Result<Admission, Refuse> {
    let name = ask.token.as_deref().map(str::from_utf8);
    match name {
        Some(Ok(name)) => Ok(Admission::user(name)),
        _ => Err(Refuse::unauthorized("who are you?")),
    }
}

/// Lets the caller into a room and tells the others; calls the caller back to learn what to tell.
async fn join(caller: Caller, room: String) -> Result<(), CallFailure> {
    let device: String = caller.call("device", ()).await?;
    caller.remote().join(room.as_str())?;
    let others = caller.hub().group(room).except([caller.id()]);
    others.send("joined", format!("{} by {device}", name(&caller)))?;
    Ok(())
}

/// Says something to all who are in a room, and returns how many these are.
async fn say(
    caller: Caller,
    Typed((room, text)): Typed<(String, String)>,
) -> Result<Typed<u32>, CallFailure> {
    let mut groups = caller.remote().groups().into_iter();
    if !groups.any(|group| group.as_str() == room) {
        return Err(CallFailure::new(FailureCode::Forbidden, "join first"));
    }
    let everybody = caller.hub().group(room);
    let sent = everybody.send("said", format!("{}: {text}", name(&caller)))?;
    Ok(Typed(sent.queued))
}

fn name(caller: &Caller) -> String {
    let user = caller.user();
    user.map_or("nobody".into(), |user| user.as_str().into())
}

/// One device of a user, and what it hears.
struct Device {
    client: Client,
    heard: Receiver<String>,
}

impl Device {
    fn new(smol: &Smol, network: &Network, user: &'static str, device: &'static str) -> Self {
        let client = Client::builder(smol.clone(), network.connector("chat"))
            .token(user)
            .on_call("device", move |_, (): ()| async move { Ok(device) })
            .spawned();
        let (mut tell, heard) = channel(16);
        let handler = move |delivery| {
            if let Delivery::Event(event) = delivery {
                let text = event.text().unwrap_or("(no text)");
                let line = format!("{} {text}", event.topic());
                tell.try_send(line).expect("somebody reads");
            }
        };
        client.on("**", handler).expect("a good filter");
        Self { client, heard }
    }

    async fn say(&self, room: &str, text: &str) -> Result<u32, CallError> {
        let Typed(listeners) = self.client.call("say", Typed((room, text))).await?;
        Ok(listeners)
    }

    async fn hears(&mut self, expected: &str) {
        assert_eq!(self.heard.next().await.as_deref(), Some(expected));
        println!("{expected}");
    }
}

async fn an_evening(smol: &Smol, network: &Network, hub: &Hub) -> Result<(), Box<dyn Error>> {
    let mut ann = Device::new(smol, network, "ann", "laptop");
    let mut phone = Device::new(smol, network, "ben", "phone");
    let mut tablet = Device::new(smol, network, "ben", "tablet");
    for device in [&ann, &phone, &tablet] {
        device.client.online().await?;
    }

    // A group has connections: ben is in the garden with his phone only.
    ann.client.call::<()>("join", "garden").await?;
    phone.client.call::<()>("join", "garden").await?;
    ann.hears("joined ben by phone").await;
    assert_eq!(ann.say("garden", "does it rain?").await?, 2);
    ann.hears("said ann: does it rain?").await;
    phone.hears("said ann: does it rain?").await;
    let refused = tablet.say("garden", "let me in").await;
    assert!(matches!(refused, Err(CallError::Failed(why)) if why.code == FailureCode::Forbidden));

    // A user has connections, too: both of ben's hear this.
    hub.user("ben").send("notice", "your mother called")?;
    phone.hears("notice your mother called").await;
    tablet.hears("notice your mother called").await;

    // The hub calls each connection of a user and awaits its answer.
    let mut devices = Vec::<String>::new();
    for id in hub.connections_of("ben") {
        devices.push(hub.connection(id).call("device", ()).await?);
    }
    devices.sort();
    assert_eq!(devices, ["phone", "tablet"]);
    println!("ben is here by {}", devices.join(" and "));

    // Who has left hears nothing that is said from then on.
    assert_eq!(phone.client.call("leave", "garden").await, Ok(Typed(true)));
    assert_eq!(ann.say("garden", "where are you?").await?, 1);
    ann.hears("said ann: where are you?").await;
    Ok(())
}
