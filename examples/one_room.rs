//! One room for all: those who speak SignalR over any transport, clients over TCP, and one in this process hear the same.
//!
//! Whoever comes by the lobby is sent to the room with a token, as a service does that has many hubs behind one door.
//!
//! ```sh
//! cargo run -p lapwing-examples --example one_room -- --listen 127.0.0.1:8080 --tcp 127.0.0.1:7000
//! # The page of http://127.0.0.1:8080/?name=ann needs the client's script, which `npm ci --prefix tests/signalr` brings.
//! cargo run -p lapwing-examples --example one_room -- --join tcp://127.0.0.1:7000 --name ben
//! ```
//!
//! ```js
//! const room = new signalR.HubConnectionBuilder().withUrl("http://127.0.0.1:8080/lobby?name=ann").build()
//! room.on("Heard", (user, text) => console.log(`${user}: ${text}`))
//! await room.start()
//! await room.invoke("Say", "hello")
//! ```

use std::error::Error;
use std::io;

use async_signal::{Signal, Signals};
use futures_lite::StreamExt;
use lapwing::hub::{Admission, Ask, Caller, Refuse, Shutdown};
use lapwing::runtime::Smol;
use lapwing::transport::{Connector, Listener, Upgrade};
use lapwing::{CallFailure, Client, Delivery, Hub, TopicError, Typed};
use lapwing_http::Negotiation;
use lapwing_memory::Network;
use lexopt::prelude::*;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use smol::Unblock;
use smol::io::{AsyncBufReadExt, BufReader};

const ROOM: &str = "room";

/// Read whenever somebody asks for it, so that it can be edited meanwhile.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/page");

/// Microsoft's client, as it comes from npm.
const SCRIPTS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../tests/signalr/node_modules/@microsoft/signalr/dist/browser"
);

/// The clerk says how much was said, each time that so much more was.
const COUNTS: u32 = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse(lexopt::Parser::from_env())?;
    let smol = Smol::new();
    smol.block_on(async {
        match options.join {
            Some(url) => join(&smol, url, options.name).await,
            None => serve(&smol, options).await,
        }
    })
}

struct Options {
    listen: String,
    tcp: String,
    join: Option<String>,
    name: String,
}

impl Options {
    fn parse(mut parser: lexopt::Parser) -> Result<Self, lexopt::Error> {
        let mut options = Self {
            listen: "127.0.0.1:8080".into(),
            tcp: "127.0.0.1:7000".into(),
            join: None,
            name: "somebody".into(),
        };
        while let Some(argument) = parser.next()? {
            match argument {
                Long("listen") => options.listen = parser.value()?.string()?,
                Long("tcp") => options.tcp = parser.value()?.string()?,
                Long("join") => options.join = Some(parser.value()?.string()?),
                Long("name") => options.name = parser.value()?.string()?,
                other => return Err(other.unexpected()),
            }
        }
        Ok(options)
    }
}

async fn serve(smol: &Smol, options: Options) -> Result<(), Box<dyn Error>> {
    let hub = room(smol)?;
    let tcp = lapwing_tcp::smol::listen(options.tcp).await?;
    let network = Network::new(smol);
    let memory = network.listen("room")?;
    let mut server = lapwing_http::smol::listen(smol, &options.listen).await?;
    let door = server.endpoint("/room", lapwing_http::Options::signalr());
    // Nobody connects here: there is no hub behind it.
    let _ = server.endpoint("/lobby", lapwing_http::Options::signalr().negotiate(lobby));
    server.files("/", PAGE)?;
    // The room has no need of it.
    if let Err(error) = server.files("/signalr", SCRIPTS) {
        eprintln!("the page has no script: {error}");
    }
    println!("listening on {}", tcp.url());
    println!("listening on {}", server.url());

    let clerk = clerk(smol, network.connector("room"))?;
    smol.spawn(hub.serve(door));
    smol.spawn(hub.serve(tcp));
    smol.spawn(hub.serve(memory));
    smol.spawn(server.run());
    clerk.online().await?;
    println!("the clerk is here");

    let mut asked = Signals::new([Signal::Int, Signal::Term])?;
    asked.next().await;
    hub.shutdown(Shutdown::default()).await;
    Ok(())
}

/// A hub with one room, in which everybody is who comes in.
fn room(smol: &Smol) -> Result<Hub, TopicError> {
    Hub::builder(smol.clone())
        .protocol(lapwing_signalr::Json)
        .protocol(lapwing_signalr::MessagePack)
        .on_connect(async |ask| admit(&ask))
        .on_call("Say", async |caller: Caller, text: String| {
            say(&caller, &text)
        })
        .build()
}

/// A name as a token, which goes into a header: in ASCII.
fn token(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}

/// Whoever shows a name comes in under it; a real room would check a signature.
fn admit(ask: &Ask) -> Result<Admission, Refuse> {
    let token = ask.token.as_deref().map(percent_decode);
    match token.map(|token| token.decode_utf8()) {
        Some(Ok(name)) => Ok(Admission::user(&*name).join(ROOM)),
        _ => Err(Refuse::unauthorized("come by the lobby")),
    }
}

fn say(caller: &Caller, text: &str) -> Result<(), CallFailure> {
    let user = caller.user().ok_or("nobody is here without a name")?;
    let said = Typed((user.as_str(), text));
    caller.hub().group(ROOM).send("Heard", said)?;
    Ok(())
}

/// Sends whoever has a name to the room, on the same host, and refuses all others. For plain HTTP, as it is served here.
async fn lobby(asked: Upgrade) -> Negotiation {
    match (asked.parameter("name"), asked.header("host")) {
        (Some(name), Some(host)) if !name.is_empty() => Negotiation::Redirect {
            url: format!("http://{host}/room"),
            access_token: Some(token(name)),
        },
        _ => Negotiation::Refuse("Say who you are: ?name=…".into()),
    }
}

/// Somebody in this process who hears all, and says how much that was.
fn clerk(smol: &Smol, connector: impl Connector + 'static) -> Result<Client, TopicError> {
    let client = Client::builder(smol.clone(), connector)
        .token("clerk")
        .spawned();
    let mut said = 0;
    let (spawner, speaker) = (smol.clone(), client.clone());
    client.on("Heard", move |delivery| {
        let Some((user, text)) = heard(&delivery) else {
            return;
        };
        println!("clerk heard {user}: {text}");
        said += u32::from(user != "clerk");
        if user != "clerk" && said % COUNTS == 0 {
            let count = speaker.call::<()>("Say", format!("{said} so far"));
            spawner.spawn(async { drop(count.await) });
        }
    })?;
    Ok(client)
}

/// What a message of the room says.
fn heard(delivery: &Delivery) -> Option<(String, String)> {
    let Delivery::Event(event) = delivery else {
        return None;
    };
    let Typed(message) = event.decode().ok()?;
    Some(message)
}

/// Joins the room over TCP: says each line of the input, and shows what is heard.
async fn join(smol: &Smol, url: String, name: String) -> Result<(), Box<dyn Error>> {
    let connector = lapwing_tcp::smol::connect(url);
    let client = Client::builder(smol.clone(), connector)
        .token(token(&name))
        .spawned();
    client.on("Heard", |delivery| {
        if let Some((user, text)) = heard(&delivery) {
            println!("{user}: {text}");
        }
    })?;
    client.online().await?;
    eprintln!("online");
    let mut lines = BufReader::new(Unblock::new(io::stdin())).lines();
    while let Some(line) = lines.next().await {
        client.call::<()>("Say", line?).await?;
    }
    client.close().await;
    Ok(())
}
