//! A hub for load generators: one topic that everybody may publish and hear.
//!
//! ```text
//! bench-server --transport tcp|ws --port P [--ping-secs S] [--topic bench] [--runtime tokio|smol] [--threads N]
//! bench-server script --transport tcp|ws [--topic bench] [--each N] --payload N
//! ```
//!
//! The first form serves until it is ended, the second prints what a load generator has to say.

use std::sync::Arc;
use std::time::Duration;

use lapwing::hub::{Hub, Rule};
use lapwing::runtime::{Runtime, Smol, Tokio};
use lapwing::{Limits, TopicError};
use lapwing_benches::framing::Transport;
use lapwing_benches::script::script;
use lexopt::prelude::*;

struct Options {
    script: bool,
    transport: Transport,
    port: u16,
    ping_secs: u64,
    topic: String,
    payload: usize,
    /// Topics of each subscriber, of a thousand; 0: there is one topic.
    each: usize,
    smol: bool,
    /// Of tokio.
    threads: usize,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = options()?;
    if options.script {
        let script = script(
            options.transport,
            &options.topic,
            options.payload,
            options.each,
        );
        print!("{script}");
        return Ok(());
    }
    let address = format!("127.0.0.1:{}", options.port);
    if options.smol {
        let runtime = Smol::new();
        let hub = hub(Arc::new(runtime.clone()), &options)?;
        return runtime.block_on(async {
            match options.transport {
                Transport::Tcp => {
                    let listener = lapwing_tcp::smol::listen(address).await?;
                    served_alone(&runtime, hub.serve(listener)).await;
                }
                Transport::WebSocket => {
                    let listener = lapwing_websocket::smol::listen(address).await?;
                    served_alone(&runtime, hub.serve(listener)).await;
                }
            }
            Ok(())
        });
    }
    let mut builder = match options.threads {
        0 | 1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let tokio = builder
        .worker_threads(options.threads.max(1))
        .enable_all()
        .build()?;
    let runtime = Tokio::new(tokio.handle().clone());
    let hub = hub(Arc::new(runtime.clone()), &options)?;
    tokio.block_on(async {
        match options.transport {
            Transport::Tcp => {
                let listener = lapwing_tcp::tokio::listen(&runtime, address).await?;
                served_alone(&runtime, hub.serve(listener)).await;
            }
            Transport::WebSocket => {
                let listener = lapwing_websocket::tokio::listen(&runtime, address).await?;
                served_alone(&runtime, hub.serve(listener)).await;
            }
        }
        Ok(())
    })
}

/// In a task of its own: the future at the top of a program is polled more often than it has work.
async fn served_alone(runtime: &dyn Runtime, served: impl Future<Output = ()> + Send + 'static) {
    runtime.spawn(Box::pin(served));
    std::future::pending().await
}

fn hub(runtime: Arc<dyn Runtime>, options: &Options) -> Result<Hub, TopicError> {
    let never = Limits::default().promise_max;
    let limits = Limits {
        connections_max: 20_000,
        handshakes_max: 4_096,
        promise: if options.ping_secs == 0 {
            never
        } else {
            Duration::from_secs(options.ping_secs)
        },
        ..Limits::default()
    };
    Hub::builder(runtime)
        .limits(limits)
        .topic(options.topic.as_str(), Rule::open())
        .topic(format!("{}/*", options.topic), Rule::open())
        .build()
}

fn options() -> Result<Options, lexopt::Error> {
    let mut options = Options {
        script: false,
        transport: Transport::Tcp,
        port: 9000,
        ping_secs: 0,
        topic: "bench".into(),
        payload: 128,
        each: 0,
        smol: false,
        threads: 1,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Value(word) if word == "script" => options.script = true,
            Long("transport") => options.transport = transport(&parser.value()?)?,
            Long("port") => options.port = parser.value()?.parse()?,
            Long("ping-secs") => options.ping_secs = parser.value()?.parse()?,
            Long("topic") => options.topic = parser.value()?.string()?,
            Long("payload") => options.payload = parser.value()?.parse()?,
            Long("each") => options.each = parser.value()?.parse()?,
            Long("threads") => options.threads = parser.value()?.parse()?,
            Long("runtime") => options.smol = parser.value()? == "smol",
            other => return Err(other.unexpected()),
        }
    }
    Ok(options)
}

fn transport(name: &std::ffi::OsStr) -> Result<Transport, lexopt::Error> {
    let known = name.to_str().and_then(Transport::by_name);
    known.ok_or_else(|| format!("there is no transport {}", name.display()).into())
}
