//! A hub for browser pages: serves `browser.html`, whose bare `WebSocket` shares events with clients over TCP.
//!
//! The page is plain HTTP on a port of its own; it needs no library, the hub speaks JSON to it.
//!
//! ```sh
//! cargo run -p lapwing-examples --example browser
//! cargo run -- pub tcp://127.0.0.1:7000 chat/room hello
//! ```

use std::error::Error;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::StreamExt;
use futures_lite::future::or;
use lapwing::Hub;
use lapwing::hub::Rule;
use lapwing::runtime::Smol;
use lapwing::transport::Listener;
use lexopt::prelude::*;
use smol::Timer;
use smol::fs::read;
use smol::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use smol::lock::Semaphore;
use smol::net::{TcpListener, TcpStream};

/// Read whenever somebody asks for it, so that it can be edited meanwhile.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/browser.html");

/// Browsers send less than 2 KiB to ask for a page.
const HEAD_BYTES_MAX: u64 = 8 * 1024;

/// A request and its response, on a slow phone.
const REQUEST_TIME: Duration = Duration::from_secs(10);

/// Requests at the same time; more wait in line.
const REQUESTS_MAX: usize = 64;

/// How long to wait when the machine is out of something that a new connection needs.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse(lexopt::Parser::from_env())?;
    let smol = Smol::new();
    smol.block_on(serve(&smol, options))
}

struct Options {
    http: String,
    ws: String,
    tcp: String,
}

impl Options {
    fn parse(mut parser: lexopt::Parser) -> Result<Self, lexopt::Error> {
        let mut options = Self {
            http: "127.0.0.1:8080".into(),
            ws: "127.0.0.1:7001".into(),
            tcp: "127.0.0.1:7000".into(),
        };
        while let Some(argument) = parser.next()? {
            match argument {
                Long("http") => options.http = parser.value()?.string()?,
                Long("ws") => options.ws = parser.value()?.string()?,
                Long("tcp") => options.tcp = parser.value()?.string()?,
                other => return Err(other.unexpected()),
            }
        }
        Ok(options)
    }
}

async fn serve(smol: &Smol, options: Options) -> Result<(), Box<dyn Error>> {
    let hub = Hub::builder(smol.clone())
        .topic("chat/**", Rule::open())
        .build()?;
    // Pages of this host may come, on whatever port; those of others only when they are listed here.
    let ws = lapwing_websocket::smol::listen(options.ws).await?;
    let tcp = lapwing_tcp::smol::listen(options.tcp).await?;
    let http = TcpListener::bind(options.http).await?;
    println!("listening on {}", ws.url());
    println!("listening on {}", tcp.url());
    let page = http.local_addr()?;
    println!("open http://{page}/#{}", ws.local_addr().port());

    smol.spawn(hub.serve(ws));
    smol.spawn(hub.serve(tcp));
    smol.spawn(serve_page(smol.clone(), http));
    pending().await
}

async fn serve_page(smol: Smol, listener: TcpListener) {
    let room = Arc::new(Semaphore::new(REQUESTS_MAX));
    loop {
        let place = room.acquire_arc().await;
        let Ok((stream, _)) = listener.accept().await else {
            Timer::after(ACCEPT_PAUSE).await;
            continue;
        };
        smol.spawn(async move {
            let late = async {
                Timer::after(REQUEST_TIME).await;
                Err(io::ErrorKind::TimedOut.into())
            };
            // Whoever asked has gone, or was too slow.
            let _ = or(answer(stream), late).await;
            drop(place);
        });
    }
}

/// Answers one request, and closes: a page is asked for once.
async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let request = read_head(&stream).await?;
    let (status, kind, body) = match request.starts_with("GET / HTTP/1.") {
        true => ("200 OK", "text/html; charset=utf-8", read(PAGE).await?),
        false => ("404 Not Found", "text/plain", b"not here\n".to_vec()),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await?;
    stream.close().await
}

/// Reads up to the empty line; gives the first one.
async fn read_head(stream: &TcpStream) -> io::Result<String> {
    let mut lines = BufReader::new(stream.clone().take(HEAD_BYTES_MAX)).lines();
    let mut next = async || lines.next().await.ok_or(io::ErrorKind::UnexpectedEof)?;
    let first = next().await?;
    while !next().await?.is_empty() {}
    Ok(first)
}
