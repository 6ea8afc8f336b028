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

#[path = "door/returning.rs"]
mod returning;

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
    let smol = Smol::new();
    let server = smol.block_on(lapwing_http::smol::listen(&smol, "127.0.0.1:0"));
    let addr = begin(&smol, server.expect("a free port"), &more);
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
    test(&begin(&tokio, server.expect("a free port"), &more));
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
        let (id, token) = (
            answer.value("connectionId"),
            answer.value("connectionToken"),
        );
        assert_eq!(upgrade(addr, &format!("/hub?id={id}"), &[]), 404);
        assert_eq!(upgrade(addr, &format!("/hub?id={token}"), &[]), 101);
        assert_eq!(upgrade(addr, &format!("/hub?ID={token}"), &[]), 409);
        assert_eq!(upgrade(addr, "/hub?id=", &[]), 404);
        assert_eq!(upgrade(addr, "/hub", &[]), 101);
    });
}

#[test]
fn too_many_that_do_not_come_make_room_for_others() {
    check(|addr| {
        let first = negotiated(addr);
        for _ in 0..20 {
            negotiated(addr);
        }
        let last = negotiated(addr);
        assert_eq!(upgrade(addr, &first, &[]), 404);
        assert_eq!(upgrade(addr, &last, &[]), 101);
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
        assert_eq!(status("GET /hub/", &[]), 400, "as without the slash");
        assert_eq!(status("POST /other/negotiate", &["Content-Length: 0"]), 404);
        assert_eq!(status("GET /hub/negotiate", &[]), 405);
        assert_eq!(status("PUT /hub", &["Content-Length: 0"]), 405);
        assert_eq!(status("GET /hub", &[]), 400);
        assert_eq!(status("GET /hub?id=x", &[]), 404);
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
fn a_program_answers_what_is_asked_on_paths_of_its_own() {
    check(|addr| {
        let post = |length: usize, more: &str| {
            let body = "x".repeat(length);
            let head = format!("POST /length HTTP/1.1\r\n{HOST}\r\n{more}Connection: close");
            let request = format!("{head}\r\nContent-Length: {length}\r\n\r\n{body}");
            Answer::read(&say(addr, &request))
        };
        assert_eq!(post(5, "").body, "5");
        assert_eq!(post(1 << 20, "").body, "1048576");
        assert_eq!(post((1 << 20) + 1, "").status, 413);
        assert_eq!(post(5, "Host: other\r\n").status, 400);
        assert_eq!(ask(addr, "GET /length", &[]).body, "0");
        assert_eq!(ask(addr, "GET /length/", &[]).status, 404);
    });
}

#[test]
fn bodies_for_the_program_have_a_bound_together() {
    const LARGE: usize = 1 << 20;
    const SMALL: usize = 32 << 10;
    let post = |length: usize, body: usize| {
        let head = format!("POST /length HTTP/1.1\r\n{HOST}\r\nConnection: close");
        let body = "x".repeat(body);
        format!("{head}\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    check(|addr| {
        let one_byte_short = |length| {
            let mut socket = TcpStream::connect(addr).expect("somebody listens");
            let request = post(length, length - 1);
            socket.write_all(request.as_bytes()).expect("it listens");
            socket
        };
        let whole = || Answer::read(&say(addr, &post(2 * SMALL, 2 * SMALL))).status;
        let mut waiting: Vec<_> = (0..63).map(|_| one_byte_short(LARGE)).collect();
        while whole() != 503 {
            assert!(waiting.len() < 500, "so much is not bounded");
            waiting.push(one_byte_short(SMALL));
        }
        assert_eq!(ask(addr, "GET /length", &[]).body, "0", "it brings nothing");
        drop(waiting);
        while whole() != 200 {}
    });
}

#[test]
fn pages_of_another_port_are_others_if_the_program_says_so() {
    let origin = |port: &str| format!("Origin: http://hub.example{port}");
    check(|addr| {
        assert_eq!(upgrade(addr, "/hub", &[&origin(":3000")]), 101);
    });
    check_with(Options::same_port, |addr| {
        assert_eq!(upgrade(addr, "/hub", &[&origin(":3000")]), 403);
        assert_eq!(upgrade(addr, "/hub", &[&origin(":80")]), 101);
        assert_eq!(upgrade(addr, "/hub", &[&origin("")]), 101);
        assert_eq!(upgrade(addr, "/hub", &["Origin: http://allowed.test"]), 101);
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

/// Shakes hands over a WebSocket and calls; the results, one after the other.
fn results(addr: &str, path: &str, headers: &[(&str, &str)], methods: &[&str]) -> Vec<String> {
    block_on(async {
        let mut connector = lapwing_websocket::smol::connect(format!("ws://{addr}{path}"));
        for (name, value) in headers {
            connector = connector.header(*name, *value);
        }
        let mut socket = connector.connect().await.expect("it is let in");
        let mut said = String::from("{\"protocol\":\"json\",\"version\":1}\u{1e}");
        for method in methods {
            let call =
                format!(r#"{{"type":1,"invocationId":"0","target":"{method}","arguments":[]}}"#);
            said += &(call + "\u{1e}");
        }
        poll_fn(|cx| socket.poll_ready(cx)).await.expect("whole");
        socket
            .start_send(Outgoing::Message(Message::text(said)))
            .expect("whole");
        poll_fn(|cx| socket.poll_flush(cx)).await.expect("whole");
        let mut heard = String::new();
        while heard.matches('\u{1e}').count() <= methods.len() {
            match poll_fn(|cx| socket.poll_recv(cx)).await {
                Ok(Incoming::Message(message)) => {
                    heard += str::from_utf8(&message.bytes).expect("a text");
                }
                other => panic!("{other:?} after {heard}"),
            }
        }
        let records = heard
            .split('\u{1e}')
            .skip(1)
            .filter(|record| !record.is_empty());
        records
            .map(|record| {
                let (_, result) = record.split_once(r#""result":""#).expect("a result");
                result.trim_end_matches("\"}").to_owned()
            })
            .collect()
    })
}

#[test]
fn a_hub_knows_what_a_client_asked_for_and_by_which_name() {
    check(|addr| {
        let negotiated = ask(
            addr,
            "POST /hub/negotiate?negotiateVersion=1",
            &["Content-Length: 0"],
        );
        let (id, token) = (
            negotiated.value("connectionId"),
            negotiated.value("connectionToken"),
        );
        let path = format!("/hub?q=a%20b&id={token}");
        let headers = [("x-greeting", "hello"), ("cookie", "b=1; c=crumb")];
        let heard = results(addr, &path, &headers, &["Greeting", "GetConnectionId"]);
        assert_eq!(heard, ["hello a b crumb", &id]);
        // Who has not negotiated has a name of the hub's own.
        let heard = results(addr, "/hub", &[], &["Greeting", "GetConnectionId"]);
        assert_eq!(heard[0], "");
        assert_ne!(heard[1], id);
    });
}

#[test]
fn a_first_message_over_the_limit_cancels_the_handshake() {
    check(|addr| {
        let heard = block_on(async {
            let mut connector = lapwing_websocket::smol::connect(format!("ws://{addr}/hub"));
            let mut socket = connector.connect().await.expect("it is let in");
            let long = Outgoing::Message(Message::text("x".repeat(2 << 20)));
            poll_fn(|cx| socket.poll_ready(cx)).await.expect("whole");
            socket.start_send(long).expect("whole");
            poll_fn(|cx| {
                let _ = socket.poll_flush(cx);
                socket.poll_recv(cx)
            })
            .await
        });
        let Ok(Incoming::Message(message)) = heard else {
            panic!("{heard:?}");
        };
        assert_eq!(
            message.bytes,
            "{\"error\":\"Handshake was canceled.\"}\u{1e}"
        );
    });
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

#[test]
fn a_client_polls() {
    check(|addr| {
        let path = negotiated(addr);
        let poll = || ask(addr, &format!("GET {path}"), &[]);
        let first = poll();
        assert_eq!((first.status, &*first.body), (200, ""));
        assert!(first.has("cache-control: no-cache, no-store"), "{first:?}");
        assert_eq!(post(addr, &path, HANDSHAKE), 200);
        let welcome = poll();
        assert_eq!((welcome.status, &*welcome.body), (200, "{}\u{1e}"));
        assert!(
            welcome.has("content-type: application/octet-stream"),
            "{welcome:?}"
        );
        assert_eq!(post(addr, &path, CALL), 200);
        assert_eq!(poll().body, RESULT);
        // Nothing is said for a while.
        let idle = poll();
        assert_eq!((idle.status, &*idle.body), (200, ""));
        assert_eq!(post(addr, &path, "{\"type\":7}\u{1e}"), 200);
        assert_eq!(poll().body, "{\"type\":7}\u{1e}");
        // It is over; when the hub has let go of it that is told once more, then nobody knows it.
        assert_eq!(poll().status, 204);
        while poll().status != 404 {}
        assert_eq!(post(addr, &path, CALL), 404);
    });
}

#[test]
fn a_newer_poll_takes_the_place_of_an_older_one() {
    check(|addr| {
        let path = negotiated(addr);
        let poll = || ask(addr, &format!("GET {path}"), &[]);
        assert_eq!(poll().status, 200);
        let both = || {
            std::thread::scope(|threads| {
                let polls = [threads.spawn(poll), threads.spawn(poll)];
                let mut statuses = polls.map(|poll| poll.join().expect("an answer").status);
                statuses.sort_unstable();
                statuses
            })
        };
        // Until they come at the same time.
        while both() != [200, 204] {}
    });
}

#[test]
fn a_client_that_polls_ends_it() {
    check(|addr| {
        let path = negotiated(addr);
        let delete = || ask(addr, &format!("DELETE {path}"), &[]).status;
        assert_eq!(delete(), 404, "it has not begun");
        let poll = || ask(addr, &format!("GET {path}"), &[]).status;
        assert_eq!(poll(), 200);
        assert_eq!(delete(), 202);
        // Until the hub has let go of it.
        while poll() != 404 {}
        assert_eq!(delete(), 404);
    });
}

#[test]
fn a_client_hears_events() {
    check(|addr| {
        let path = negotiated(addr);
        let mut socket = TcpStream::connect(addr).expect("somebody listens");
        let head = format!("GET {path} HTTP/1.1\r\n{HOST}\r\nAccept: text/event-stream\r\n\r\n");
        socket.write_all(head.as_bytes()).expect("it listens");
        let mut heard = String::new();
        let mut hear = |until: &str| {
            let mut bytes = [0; 1_024];
            while !heard.contains(until) {
                let read = socket.read(&mut bytes).expect("whole");
                assert!(read > 0, "no {until:?} in {heard}");
                heard += str::from_utf8(&bytes[..read]).expect("a text");
            }
            heard.clone()
        };
        let begun = hear(":\r\n\r\n").to_lowercase();
        assert!(begun.starts_with("http/1.1 200 ok\r\n"), "{begun}");
        assert!(
            begun.contains("content-type: text/event-stream\r\n"),
            "{begun}"
        );
        assert_eq!(post(addr, &path, HANDSHAKE), 200);
        hear("data: {}\u{1e}\r\n\r\n");
        assert_eq!(post(addr, &path, CALL), 200);
        hear(&format!("data: {RESULT}\r\n\r\n"));

        let status = |line: &str, headers: &[&str]| ask(addr, line, headers).status;
        let events = ["Accept: text/event-stream"];
        assert_eq!(status(&format!("GET {path}"), &events), 409);
        assert_eq!(
            status(&format!("GET {path}"), &[]),
            400,
            "another transport"
        );
        assert_eq!(status(&format!("DELETE {path}"), &[]), 400);
        assert_eq!(status("GET /hub", &events), 400, "no id");
        assert_eq!(status("GET /hub?id=x", &events), 404);
        drop(socket);
        while post(addr, &path, CALL) != 404 {}
    });
}

#[test]
fn a_body_has_a_bound() {
    check(|addr| {
        let path = negotiated(addr);
        assert_eq!(ask(addr, &format!("GET {path}"), &[]).status, 200);
        assert_eq!(post(addr, &path, &"x".repeat(10_001)), 413);
        assert_eq!(post(addr, &path, HANDSHAKE), 200, "nothing else is lost");
        assert_eq!(post(addr, "/hub", HANDSHAKE), 400, "no id");
        assert_eq!(post(addr, "/hub?id=x", HANDSHAKE), 404);
    });
}

#[test]
fn pages_of_others_say_nothing() {
    check(|addr| {
        let path = negotiated(addr);
        let status = |line: &str| {
            let headers = ["Origin: http://evil.test", "Content-Length: 0"];
            ask(addr, line, &headers).status
        };
        for method in ["GET", "POST", "DELETE"] {
            assert_eq!(status(&format!("{method} {path}")), 403, "{method}");
        }
        assert_eq!(
            ask(addr, &format!("GET {path}"), &[]).status,
            200,
            "it waits still"
        );
    });
}

#[test]
fn halves_of_a_message_may_arrive_together() {
    check(|addr| {
        let heard = block_on(async {
            let mut connector = lapwing_websocket::smol::connect(format!("ws://{addr}/hub"));
            let mut socket = connector.connect().await.expect("it is let in");
            let (begin, end) = CALL.split_at(10);
            for piece in [HANDSHAKE, begin, end, begin, end] {
                poll_fn(|cx| socket.poll_ready(cx)).await.expect("whole");
                let piece = Outgoing::Message(Message::binary(piece));
                socket.start_send(piece).expect("whole");
            }
            poll_fn(|cx| socket.poll_flush(cx)).await.expect("whole");
            let mut heard = String::new();
            while heard.matches('\u{1e}').count() < 3 {
                match poll_fn(|cx| socket.poll_recv(cx)).await {
                    Ok(Incoming::Message(message)) => {
                        heard += str::from_utf8(&message.bytes).expect("a text");
                    }
                    other => panic!("{other:?} after {heard}"),
                }
            }
            heard
        });
        assert_eq!(heard, format!("{{}}\u{1e}{RESULT}{RESULT}"));
    });
}

#[test]
fn a_connection_that_is_told_why_it_ends_ends_normally() {
    check(|addr| {
        let heard = block_on(async {
            let mut connector = lapwing_websocket::smol::connect(format!("ws://{addr}/hub"));
            let mut socket = connector.connect().await.expect("it is let in");
            let abort = "{\"type\":1,\"target\":\"AbortMe\",\"arguments\":[]}\u{1e}";
            poll_fn(|cx| socket.poll_ready(cx)).await.expect("whole");
            let said = Message::text(format!("{HANDSHAKE}{abort}"));
            socket.start_send(Outgoing::Message(said)).expect("whole");
            poll_fn(|cx| socket.poll_flush(cx)).await.expect("whole");
            let mut heard = String::new();
            loop {
                match poll_fn(|cx| socket.poll_recv(cx)).await {
                    Ok(Incoming::Message(message)) => {
                        heard += str::from_utf8(&message.bytes).expect("a text");
                    }
                    Ok(Incoming::Goodbye(goodbye)) => {
                        return (heard, goodbye.code);
                    }
                    other => panic!("{other:?} after {heard}"),
                }
            }
        });
        let words = "{}\u{1e}{\"type\":7,\"error\":\"go\"}\u{1e}";
        assert_eq!(heard, (words.into(), 1000));
    });
}

#[test]
fn clients_of_lapwing_come_through_the_same_door() {
    check(|addr| {
        let smol = Smol::new();
        let connector = lapwing_websocket::smol::connect(format!("ws://{addr}/hub?q=1"))
            .header("x-greeting", "hi")
            .header("cookie", "c=2");
        let client = lapwing::Client::builder(smol.clone(), connector).spawned();
        let greeting = smol.block_on(async {
            client.online().await.expect("it is let in");
            client.call::<String>("Greeting", ()).await
        });
        assert_eq!(greeting, Ok("hi 1 2".into()));
    });
}

#[test]
fn whoever_may_not_ask_is_told_so_before_anything_else() {
    let options = |options: Options| {
        options.authenticate(async |request| request.token().as_deref() == Some(b"alice"))
    };
    check_with(options, |addr| {
        let shown = "Authorization: Bearer alice";
        let status = |line: &str, headers: &[&str]| {
            let headers = [headers, &["Content-Length: 0"]].concat();
            ask(addr, line, &headers).status
        };
        for headers in [&[][..], &["Authorization: Bearer eve"]] {
            for line in [
                "POST /hub/negotiate",
                "GET /hub?id=x",
                "POST /hub?id=x",
                "DELETE /hub?id=x",
                "PUT /hub",
            ] {
                assert_eq!(status(line, headers), 401, "{line}");
            }
            assert_eq!(upgrade(addr, "/hub", headers), 401);
        }
        let refused = ask(
            addr,
            "POST /hub/negotiate",
            &["Origin: http://allowed.test", "Content-Length: 0"],
        );
        assert!(refused.has("www-authenticate: bearer"), "{refused:?}");
        assert!(
            refused.has("access-control-allow-origin: http://allowed.test"),
            "a page may know: {refused:?}"
        );
        let preflight = [
            "Origin: http://allowed.test",
            "Access-Control-Request-Method: POST",
        ];
        assert_eq!(
            status("OPTIONS /hub/negotiate", &preflight),
            204,
            "a browser shows nothing then"
        );

        assert_eq!(status("POST /hub/negotiate", &[shown]), 200);
        assert_eq!(status("POST /hub/negotiate?access_token=alice", &[]), 200);
        assert_eq!(status("GET /hub?id=x", &[shown]), 404);
        assert_eq!(upgrade(addr, "/hub?access_token=alice", &[]), 101);
    });
}

#[test]
fn a_program_sends_clients_elsewhere_or_refuses_them() {
    let options = |options: Options| {
        options.negotiate(async |request| {
            let access_token = request.token().map(|_| "a \"new\" one".into());
            match request.parameter("to") {
                Some("other") => Negotiation::Redirect {
                    url: "http://other.example/hub?redirected=1".into(),
                    access_token,
                },
                Some("") => Negotiation::Redirect {
                    url: String::new(),
                    access_token,
                },
                Some("nowhere") => Negotiation::Refuse("This connection is not allowed.".into()),
                Some("silence") => Negotiation::Refuse(String::new()),
                _ => Negotiation::Accept,
            }
        })
    };
    check_with(options, |addr| {
        let negotiate = |query: &str, headers: &[&str]| {
            let headers = [headers, &["Content-Length: 0"]].concat();
            let answer = ask(addr, &format!("POST /hub/negotiate{query}"), &headers);
            assert_eq!(answer.status, 200, "{answer:?}");
            assert!(answer.has("content-type: application/json"), "{answer:?}");
            answer.body
        };
        assert_eq!(
            negotiate("?negotiateVersion=1&to=other", &[]),
            r#"{"url":"http://other.example/hub?redirected=1"}"#
        );
        assert_eq!(
            negotiate("?to=other", &["Authorization: Bearer old"]),
            r#"{"url":"http://other.example/hub?redirected=1","accessToken":"a \"new\" one"}"#
        );
        assert_eq!(
            negotiate("?negotiateVersion=1&to=nowhere", &[]),
            r#"{"error":"This connection is not allowed."}"#
        );
        // Clients would take neither for what it is.
        for to in ["?to=", "?to=silence"] {
            assert_eq!(negotiate(to, &[]), r#"{"error":"refused"}"#);
        }
        let here = negotiate("?negotiateVersion=1&to=here", &[]);
        assert!(here.contains("connectionToken"), "{here}");
    });
}

#[test]
fn an_endpoint_without_a_hub_can_still_send_clients_elsewhere() {
    let redirect = Options::signalr().negotiate(async |_| Negotiation::Redirect {
        url: "http://other.example/hub".into(),
        access_token: None,
    });
    let (endpoint, listener) = lapwing_http::Endpoint::new(Smol::new(), redirect);
    drop(listener);
    let request = http::Request::post("/hub/negotiate").header("host", "hub.example");
    let request = request
        .body(lapwing_http::Body::default())
        .expect("a request");
    let answer = block_on(endpoint.answer(request));
    assert_eq!(answer.status(), 200);
}
