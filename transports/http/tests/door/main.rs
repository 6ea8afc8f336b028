//! Requests as they are on the wire, and what a server answers, on both runtimes.

use std::io::{Read, Write};
use std::net::TcpStream;

use core::future::poll_fn;
use core::time::Duration;

use bytes::Bytes;
use futures_lite::future::block_on;
use lapwing::Hub;
use lapwing::hub::{Admission, Ask, Caller};
use lapwing::runtime::{Runtime, Smol, Tokio};
use lapwing::transport::{Connector, Incoming, Message, Outgoing, Transport};
use lapwing::wire::Return;
use lapwing_http::{Negotiation, Options, Server};

mod files;
mod negotiating;
mod origins;
mod polls;
mod requests;
mod returning;
mod routes;
mod sockets;

/// The server's own host and nobody else's pages but these.
const HOST: &str = "Host: hub.example";

const UPGRADE: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

/// Runs `test` against a server on each runtime.
fn check(test: impl Fn(&str)) {
    check_with(|options| options, test);
}

/// The same for an endpoint with more options.
fn check_with(more: impl Fn(Options) -> Options, test: impl Fn(&str)) {
    check_prepared(|_| (), more, |addr, ()| test(addr));
}

/// The same for servers that are prepared, each for itself.
fn check_prepared<T>(
    prepare: impl Fn(&mut Server) -> T,
    more: impl Fn(Options) -> Options,
    test: impl Fn(&str, T),
) {
    let smol = Smol::new();
    let server = smol.block_on(lapwing_http::smol::listen(&smol, "127.0.0.1:0"));
    let mut server = server.expect("a free port");
    let prepared = prepare(&mut server);
    let addr = begin(&smol, server, &more);
    // For as long as the tests run.
    std::thread::spawn(move || smol.block_on(std::future::pending::<()>()));
    test(&addr, prepared);

    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("threads");
    let tokio = Tokio::new(threads.handle().clone());
    let server = threads.block_on(lapwing_http::tokio::listen(&tokio, "127.0.0.1:0"));
    let mut server = server.expect("a free port");
    let prepared = prepare(&mut server);
    test(&begin(&tokio, server, &more), prepared);
}

/// Lets a server run with a hub at `/hub`; where it is.
fn begin(
    runtime: &(impl Runtime + Clone),
    mut server: Server,
    more: impl Fn(Options) -> Options,
) -> String {
    let addr = server.url().strip_prefix("http://").expect("a URL").into();
    let options = Options::signalr()
        .origins(["http://allowed.test"])
        .cookie("testCookie=testValue; Path=/")
        .unattached_max(20)
        .body_bytes_max(10_000)
        .poll_within(Duration::from_millis(300));
    let options = more(options);
    let hub = Hub::builder(runtime.clone())
        .protocol(lapwing_signalr::Json)
        .on_connect(async |ask: Ask| {
            let greeting = ask.upgrade.as_ref().and_then(|upgrade| {
                let header = upgrade.header("x-greeting").unwrap_or_default();
                let (query, cookie) = (upgrade.parameter("q")?, upgrade.cookie("c")?);
                Some(format!("{header} {query} {cookie}"))
            });
            Ok(Admission::anonymous().state(greeting))
        })
        .on_call("Greeting", async |caller: Caller, (): ()| {
            let greeting = caller.state::<Option<String>>();
            Ok(greeting
                .and_then(|greeting| (*greeting).clone())
                .unwrap_or_default())
        })
        .on_call("AbortMe", async |caller: Caller, (): ()| {
            caller.remote().close_with(Return::Never, Some("go"));
            Ok(())
        })
        .on_call("GetConnectionId", async |caller: Caller, (): ()| {
            Ok(caller.id().to_string())
        })
        .build()
        .expect("no filters");
    runtime.spawn(Box::pin(hub.serve(server.endpoint("/hub", options))));
    server.health("/health");
    server.route("/length", async |request: http::Request<Bytes>| {
        http::Response::new(request.body().len().to_string().into())
    });
    runtime.spawn(Box::pin(server.run()));
    addr
}

/// Says `request` on a connection of its own and hears all that comes.
fn say(addr: &str, request: &str) -> String {
    let mut socket = TcpStream::connect(addr).expect("somebody listens");
    socket.write_all(request.as_bytes()).expect("it listens");
    let mut answer = Vec::new();
    // A reset after the answer is as good as an end.
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8(answer).expect("a text")
}

/// Asks once.
fn ask(addr: &str, line: &str, headers: &[&str]) -> Answer {
    let mut request = format!("{line} HTTP/1.1\r\n{HOST}\r\n");
    for header in headers.iter().chain(&["Connection: close"]) {
        request += &format!("{header}\r\n");
    }
    Answer::read(&say(addr, &(request + "\r\n")))
}

/// Asks for a WebSocket, with these headers besides.
fn upgrade(addr: &str, path: &str, headers: &[&str]) -> u16 {
    let mut socket = TcpStream::connect(addr).expect("somebody listens");
    let more: String = headers
        .iter()
        .map(|header| format!("{header}\r\n"))
        .collect();
    let request = format!("GET {path} HTTP/1.1\r\n{HOST}\r\n{UPGRADE}\r\n{more}\r\n");
    socket.write_all(request.as_bytes()).expect("it listens");
    let mut status = [0; 12];
    socket.read_exact(&mut status).expect("an answer");
    let status = str::from_utf8(&status).expect("a text");
    status[9..].parse().expect("a number")
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        Self {
            status: head[9..12].parse().expect("a number"),
            head: head.to_lowercase(),
            body: body.into(),
        }
    }

    /// A text in the body.
    fn value(&self, name: &str) -> String {
        let (_, rest) = self
            .body
            .split_once(&format!("\"{name}\":\""))
            .expect("it is there");
        rest.split_once('"').expect("its end").0.into()
    }

    fn has(&self, header: &str) -> bool {
        self.head.lines().any(|line| line == header)
    }
}

/// A connection that was negotiated: the query that opens it.
fn negotiated(addr: &str) -> String {
    let negotiate = "POST /hub/negotiate?negotiateVersion=1";
    let answer = ask(addr, negotiate, &["Content-Length: 0"]);
    format!("/hub?id={}", answer.value("connectionToken"))
}

fn post(addr: &str, path: &str, body: &str) -> u16 {
    let length = format!("Content-Length: {}", body.len());
    let head = format!("POST {path} HTTP/1.1\r\n{HOST}\r\n{length}\r\nConnection: close");
    Answer::read(&say(addr, &format!("{head}\r\n\r\n{body}"))).status
}

const HANDSHAKE: &str = "{\"protocol\":\"json\",\"version\":1}\u{1e}";
const CALL: &str =
    "{\"type\":1,\"invocationId\":\"0\",\"target\":\"Greeting\",\"arguments\":[]}\u{1e}";
const RESULT: &str = "{\"type\":3,\"invocationId\":\"0\",\"result\":\"\"}\u{1e}";
