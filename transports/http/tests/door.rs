//! Requests as they are on the wire, and what a server answers, on both runtimes.

use std::io::{Read, Write};
use std::net::TcpStream;

use lapwing::Hub;
use lapwing::hub::{Admission, Ask, Caller};
use lapwing::runtime::{Runtime, Smol, Tokio};
use lapwing_http::{Options, Server};

/// The server's own host and nobody else's pages but these.
const HOST: &str = "Host: hub.example";

const UPGRADE: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

/// Runs `test` against a server on each runtime.
fn check(test: impl Fn(&str)) {
    let smol = Smol::new();
    let server = smol.block_on(lapwing_http::smol::listen(&smol, "127.0.0.1:0"));
    let addr = begin(&smol, server.expect("a free port"));
    // For as long as the tests run.
    std::thread::spawn(move || smol.block_on(std::future::pending::<()>()));
    test(&addr);

    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("threads");
    let tokio = Tokio::new(threads.handle().clone());
    let server = threads.block_on(lapwing_http::tokio::listen(&tokio, "127.0.0.1:0"));
    test(&begin(&tokio, server.expect("a free port")));
}

/// Lets a server run with a hub at `/hub`; where it is.
fn begin(runtime: &(impl Runtime + Clone), mut server: Server) -> String {
    let addr = server.url().strip_prefix("http://").expect("a URL").into();
    let options = Options::signalr()
        .origins(["http://allowed.test"])
        .cookie("testCookie=testValue; Path=/")
        .unattached_max(20);
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
        .on_call("GetConnectionId", async |caller: Caller, (): ()| {
            Ok(caller.id().to_string())
        })
        .build()
        .expect("no filters");
    runtime.spawn(Box::pin(hub.serve(server.endpoint("/hub", options))));
    server.health("/health");
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

    fn has(&self, header: &str) -> bool {
        self.head.lines().any(|line| line == header)
    }
}

#[test]
fn a_client_negotiates_in_either_version() {
    check(|addr| {
        let ask = |query: &str| {
            ask(
                addr,
                &format!("POST /hub/negotiate{query}"),
                &["Content-Length: 0"],
            )
        };
        let one = ask("?negotiateVersion=1");
        assert_eq!(one.status, 200);
        assert!(one.has("content-type: application/json"), "{one:?}");
        assert!(
            one.has("set-cookie: testcookie=testvalue; path=/"),
            "{one:?}"
        );
        assert!(
            one.body
                .starts_with(r#"{"negotiateVersion":1,"connectionId":""#),
            "{one:?}"
        );
        assert!(one.body.contains(r#""connectionToken":""#), "{one:?}");
        for query in ["", "?negotiateVersion=0", "?NegotiateVersion=-1"] {
            let zero = ask(query);
            assert!(
                zero.body.starts_with(r#"{"negotiateVersion":0,"#),
                "{zero:?}"
            );
            assert!(!zero.body.contains("connectionToken"), "{zero:?}");
        }
        let wrong = ask("?negotiateVersion=one");
        assert_eq!(wrong.status, 200);
        assert_eq!(
            wrong.body,
            r#"{"error":"The client requested a non-integer protocol version."}"#
        );
    });
}

#[test]
fn what_was_negotiated_opens_once() {
    check(|addr| {
        let answer = ask(
            addr,
            "POST /hub/negotiate?negotiateVersion=1",
            &["Content-Length: 0"],
        );
        let value = |name: &str| {
            let (_, rest) = answer
                .body
                .split_once(&format!("\"{name}\":\""))
                .expect("it is there");
            rest.split_once('"').expect("its end").0.to_owned()
        };
        let (id, token) = (value("connectionId"), value("connectionToken"));
        assert_eq!(upgrade(addr, &format!("/hub?id={id}"), &[]), 404);
        assert_eq!(upgrade(addr, &format!("/hub?id={token}"), &[]), 101);
        assert_eq!(upgrade(addr, &format!("/hub?id={token}"), &[]), 404);
        assert_eq!(upgrade(addr, "/hub?id=", &[]), 404);
        assert_eq!(upgrade(addr, "/hub", &[]), 101);
    });
}

#[test]
fn too_many_that_do_not_come_are_told_to_try_later() {
    check(|addr| {
        let negotiate = || ask(addr, "POST /hub/negotiate", &["Content-Length: 0"]).status;
        for _ in 0..20 {
            assert_eq!(negotiate(), 200);
        }
        assert_eq!(negotiate(), 503);
        assert_eq!(upgrade(addr, "/hub", &[]), 101);
    });
}

#[test]
fn pages_of_others_learn_nothing() {
    check(|addr| {
        let ask = |line: &str, origin: &str| {
            let preflight = "Access-Control-Request-Method: POST";
            ask(
                addr,
                line,
                &["Content-Length: 0", &format!("Origin: {origin}"), preflight],
            )
        };
        for line in [
            "OPTIONS /hub/negotiate",
            "POST /hub/negotiate",
            "OPTIONS /hub",
        ] {
            let allowed = ask(line, "http://allowed.test");
            assert!(allowed.status < 300, "{allowed:?}");
            assert!(
                allowed.has("access-control-allow-origin: http://allowed.test"),
                "{allowed:?}"
            );
            assert!(
                allowed.has("access-control-allow-credentials: true"),
                "{allowed:?}"
            );
            let foreign = ask(line, "http://evil.test");
            assert!(
                !foreign.head.contains("access-control-allow-origin"),
                "{foreign:?}"
            );
        }
        let preflight = ask("OPTIONS /hub", "http://allowed.test");
        assert!(
            preflight.has("access-control-allow-methods: get, post, delete"),
            "{preflight:?}"
        );
        assert!(
            preflight.has("access-control-allow-headers: authorization, content-type, x-requested-with, x-signalr-user-agent"),
            "{preflight:?}"
        );
        assert_eq!(upgrade(addr, "/hub", &["Origin: http://evil.test"]), 403);
        assert_eq!(upgrade(addr, "/hub", &["Origin: null"]), 403);
        assert_eq!(upgrade(addr, "/hub", &["Origin: http://allowed.test"]), 101);
        assert_eq!(
            upgrade(addr, "/hub", &["Origin: https://hub.example:8443"]),
            101
        );
    });
}

#[test]
fn a_request_that_is_wrong_has_a_status() {
    check(|addr| {
        let status = |line: &str, headers: &[&str]| ask(addr, line, headers).status;
        assert_eq!(ask(addr, "GET /health", &[]).body, "ok");
        assert_eq!(status("POST /health", &["Content-Length: 0"]), 405);
        assert_eq!(status("GET /", &[]), 404);
        assert_eq!(status("GET /hub/", &[]), 404);
        assert_eq!(status("POST /other/negotiate", &["Content-Length: 0"]), 404);
        assert_eq!(status("GET /hub/negotiate", &[]), 405);
        assert_eq!(status("PUT /hub", &["Content-Length: 0"]), 405);
        assert_eq!(status("GET /hub", &[]), 400);
        assert_eq!(status("GET /hub", &["Host: other"]), 400, "two hosts");
        assert_eq!(
            status(
                "POST /hub/negotiate",
                &["Content-Length: 1", "Content-Length: 2"]
            ),
            400
        );
        let many: Vec<_> = (0..200)
            .map(|index| format!("X-{index}: {index}"))
            .collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(status("GET /hub", &many), 431);
        assert_eq!(
            status("GET /hub", &[&format!("X: {}", "x".repeat(20_000))]),
            431
        );

        let upgrade = |headers: &str| {
            let request = format!("GET /hub HTTP/1.1\r\n{HOST}\r\n{headers}\r\n\r\n");
            Answer::read(&say(addr, &request)).status
        };
        let without = |name: &str| {
            let lines = UPGRADE.split("\r\n").filter(|line| !line.starts_with(name));
            lines.collect::<Vec<_>>().join("\r\n") + "\r\nConnection: close"
        };
        assert_eq!(upgrade(&without("Sec-WebSocket-Key")), 400);
        assert_eq!(upgrade(&without("Sec-WebSocket-Version")), 400);
        assert_eq!(
            upgrade(&(without("Sec-WebSocket-Version") + "\r\nSec-WebSocket-Version: 8")),
            426
        );
        assert_eq!(
            upgrade(&(without("Sec-WebSocket-Key") + "\r\nSec-WebSocket-Key: short")),
            400
        );
        let nobody = format!("GET /hub HTTP/1.1\r\n{UPGRADE}\r\nConnection: close\r\n\r\n");
        assert_eq!(Answer::read(&say(addr, &nobody)).status, 400);
        assert_eq!(Answer::read(&say(addr, "nonsense\r\n\r\n")).status, 400);
    });
}

#[test]
fn requests_follow_each_other_on_one_connection() {
    check(|addr| {
        let one = format!("GET /health HTTP/1.1\r\n{HOST}\r\n\r\n");
        let last = format!("GET /health HTTP/1.1\r\n{HOST}\r\nConnection: close\r\n\r\n");
        let answers = say(addr, &(one.clone() + &one + &last));
        assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3, "{answers}");
    });
}
