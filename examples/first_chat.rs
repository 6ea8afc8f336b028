//! A chat for pages of every site that speak SignalR: the ten lines of the README. Where it listens may be said behind its name.

use lapwing::{Hub, Typed, hub::Caller, runtime::Smol};
use lapwing_http::{Options, smol::listen};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let smol = Smol::new();
    let hub = Hub::builder(smol.clone())
        .protocol(lapwing_signalr::Json)
        .on_call("Say", async |caller: Caller, said: (String, String)| {
            Ok(Typed(caller.hub().all().send("Heard", said)?.queued))
        })
        .build()?;
    let mut server = smol.block_on(listen(&smol, &addr))?;
    smol.spawn(hub.serve(server.endpoint("/chat", Options::signalr().origins(["*"]))));
    smol.block_on(server.run());
    Ok(())
}
