//! A chat with rooms for those who speak SignalR, as Microsoft's clients do. It tells a room who has left, and its clients when it ends.
//!
//! Programs may connect, and pages of its own host; those of others need [`origins`](lapwing_http::Options::origins).
//!
//! ```js
//! const chat = new signalR.HubConnectionBuilder().withUrl("http://127.0.0.1:8080/chat").withStatefulReconnect().withAutomaticReconnect().build()
//! chat.on("Heard", (user, text) => console.log(`${user}: ${text}`))
//! await chat.start()
//! await chat.invoke("Join", "kitchen")
//! await chat.invoke("Say", "kitchen", "ann", "hello")
//! ```
//!
//! ```sh
//! cargo run -p lapwing-examples --example chat -- --listen 127.0.0.1:8080
//! ```

use std::error::Error;
use std::io;
use std::time::Duration;

use async_signal::{Signal, Signals};
use futures_lite::StreamExt;
use futures_lite::future::{or, zip};
use lapwing::hub::{Caller, Gone, Shutdown};
use lapwing::runtime::Smol;
use lapwing::{Hub, Limits, Typed};
use lexopt::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse(lexopt::Parser::from_env())?;
    let smol = Smol::new();
    smol.block_on(serve(&smol, options))
}

async fn serve(smol: &Smol, options: Options) -> Result<(), Box<dyn Error>> {
    let hub = Hub::builder(smol.clone())
        .limits(options.limits)
        .protocol(lapwing_signalr::Json)
        .protocol(lapwing_signalr::MessagePack)
        .on_call("Join", async |caller: Caller, room: String| {
            Ok(Typed(caller.remote().join(room)?))
        })
        .on_call(
            "Say",
            async |caller: Caller, (room, user, text): (String, String, String)| {
                caller.hub().group(room).send("Heard", (user, text))?;
                Ok(())
            },
        )
        .on_disconnect(|gone: Gone| {
            for room in gone.groups.iter().cloned() {
                // There is a topic of this name, and an id is a text.
                let _ = gone
                    .hub()
                    .group(room)
                    .send("Left", gone.connection.to_string());
            }
        })
        .build()?;
    let mut server = lapwing_http::smol::listen(smol, &options.listen).await?;
    let chat = server.endpoint("/chat", options.http);
    println!("listening on {}", server.url());
    let serving = async {
        zip(server.run(), hub.serve(chat)).await;
        Ok(())
    };
    Ok(or(serving, end(&hub)).await?)
}

/// Ends when the user asks for it, after everybody was told to come back.
async fn end(hub: &Hub) -> io::Result<()> {
    let mut asked = Signals::new([Signal::Int, Signal::Term])?;
    asked.next().await;
    hub.shutdown(Shutdown::default()).await;
    Ok(())
}

struct Options {
    listen: String,
    limits: Limits,
    http: lapwing_http::Options,
}

impl Options {
    /// `--listen` says where, on this machine's port 8080 otherwise; `--ping` how often a page is asked whether it is there, in milliseconds. It is gone when it has said nothing for
    /// three times as long, or has not polled for twice as long.
    fn parse(mut parser: lexopt::Parser) -> Result<Self, lexopt::Error> {
        let mut options = Self {
            listen: "127.0.0.1:8080".into(),
            limits: Limits::default(),
            http: lapwing_http::Options::signalr().stateful_reconnect(),
        };
        while let Some(argument) = parser.next()? {
            match argument {
                Long("listen") => options.listen = parser.value()?.string()?,
                Long("ping") => {
                    let every = Duration::from_millis(parser.value()?.parse()?);
                    options.limits.promise = every;
                    options.limits.grace = 2 * every;
                    options.http = options.http.silent_for(2 * every);
                }
                other => return Err(other.unexpected()),
            }
        }
        Ok(options)
    }
}
