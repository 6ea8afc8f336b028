//! A chat for pages that speak SignalR, as Microsoft's clients do: ten lines of Rust, five of JavaScript.
//!
//! ```js
//! const chat = new signalR.HubConnectionBuilder().withUrl("http://127.0.0.1:8080/chat").withAutomaticReconnect().build()
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

use async_signal::{Signal, Signals};
use futures_lite::StreamExt;
use futures_lite::future::{or, zip};
use lapwing::hub::{Caller, Shutdown};
use lapwing::runtime::Smol;
use lapwing::{Hub, Typed};
use lexopt::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let addr = listen()?;
    let smol = Smol::new();
    smol.block_on(serve(&smol, &addr))
}

async fn serve(smol: &Smol, addr: &str) -> Result<(), Box<dyn Error>> {
    let hub = Hub::builder(smol.clone())
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
        .build()?;
    let mut server = lapwing_http::smol::listen(smol, addr).await?;
    let chat = server.endpoint("/chat", lapwing_http::Options::signalr());
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

/// Where to listen: `--listen`, on this machine's port 8080 otherwise.
fn listen() -> Result<String, lexopt::Error> {
    let mut arguments = lexopt::Parser::from_env();
    let mut addr = "127.0.0.1:8080".into();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("listen") => addr = arguments.value()?.string()?,
            other => return Err(other.unexpected()),
        }
    }
    Ok(addr)
}
