//! A hub with a method for everything that a client of SignalR can ask for, on endpoints with different settings: for tests of clients, and of this library.
//!
//! ```sh
//! cargo run --release -p lapwing-examples --example conformance -- --listen 127.0.0.1:8080
//! ```

mod api;
mod asking;
mod ending;
mod endpoints;
mod plain;
mod records;
mod sending;
mod streams;
mod uploads;
mod visitor;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_signal::{Signal, Signals};
use futures_lite::StreamExt;
use futures_lite::future::zip;
use lapwing::Hub;
use lapwing::hub::{HubBuilder, Shutdown};
use lapwing::runtime::Smol;
use lexopt::prelude::*;

use endpoints::Hubs;
use streams::Streams;

fn main() -> Result<(), Box<dyn Error>> {
    let addr = listen()?;
    let smol = Smol::new();
    smol.block_on(serve(&smol, &addr))
}

async fn serve(smol: &Smol, addr: &str) -> Result<(), Box<dyn Error>> {
    let mut stops = Signals::new([Signal::Int, Signal::Term])?;
    let mut server = lapwing_http::smol::listen(smol, addr).await?;
    let hubs = endpoints::open(smol, &mut server)?;
    api::routes(&mut server, &hubs.test);
    println!("listening on {}", server.url());
    smol.spawn(server.run());
    stops.next().await;
    let Hubs {
        test,
        fast,
        without_websockets,
        auth,
    } = hubs;
    let first = zip(end(&test), end(&fast));
    zip(first, zip(end(&without_websockets), end(&auth))).await;
    Ok(())
}

/// All that the hub behind each of the endpoints does.
fn test_hub(hub: HubBuilder, smol: &Smol) -> HubBuilder {
    let all = Arc::new(Streams::default());
    let hub = visitor::doors(hub);
    let hub = plain::methods(hub);
    let hub = records::methods(hub, &all);
    let hub = streams::methods(hub, &all);
    let hub = uploads::methods(hub, &all);
    let hub = sending::methods(hub, smol);
    let hub = asking::methods(hub);
    ending::methods(hub)
}

/// Says goodbye to everybody, who may come back at once.
async fn end(hub: &Hub) {
    let how = Shutdown {
        within: Duration::from_secs(3),
        return_over: Duration::ZERO..Duration::from_secs(1),
    };
    hub.shutdown(how).await;
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
