//! Clients that return to their connection by another WebSocket.

use core::future::poll_fn;

use futures_lite::future::block_on;
use lapwing::transport::{Connector, Incoming, Message, Outgoing, Transport};
use lapwing_http::{Options, Transports};

use super::{Answer, CALL, HANDSHAKE, RESULT, ask, check, check_with, post, upgrade};

const STATEFUL: &str = "{\"protocol\":\"json\",\"version\":2}\u{1e}";
const PING: &str = "{\"type\":6}\u{1e}";

fn negotiate(addr: &str, query: &str) -> Answer {
    let line = format!("POST /hub/negotiate?negotiateVersion=1{query}");
    ask(addr, &line, &["Content-Length: 0"])
}

/// A connection that was negotiated with the wish to return: the query that opens it.
fn negotiated(addr: &str) -> String {
    let answer = negotiate(addr, "&useStatefulReconnect=true");
    assert!(
        answer.body.contains(r#""useStatefulReconnect":true"#),
        "{answer:?}"
    );
    format!("/hub?id={}", answer.value("connectionToken"))
}

fn sequence(number: u64) -> String {
    format!("{{\"type\":9,\"sequenceId\":{number}}}\u{1e}")
}

/// A WebSocket that says texts.
struct Socket {
    transport: Box<dyn Transport>,
    heard: String,
}

impl Socket {
    fn connect(addr: &str, path: &str) -> Self {
        let mut connector = lapwing_websocket::smol::connect(format!("ws://{addr}{path}"));
        Self {
            transport: block_on(connector.connect()).expect("it is let in"),
            heard: String::new(),
        }
    }

    fn say(&mut self, text: &str) {
        let said = Outgoing::Message(Message::text(text));
        block_on(async {
            poll_fn(|cx| self.transport.poll_ready(cx)).await?;
            self.transport.start_send(said)?;
            poll_fn(|cx| self.transport.poll_flush(cx)).await
        })
        .expect("whole");
    }

    /// The next thing that it hears is this.
    fn hears(&mut self, text: &str) {
        while self.heard.len() < text.len() {
            match block_on(poll_fn(|cx| self.transport.poll_recv(cx))) {
                Ok(Incoming::Message(message)) => {
                    self.heard += str::from_utf8(&message.bytes).expect("a text");
                }
                other => panic!("{other:?} after {}", self.heard),
            }
        }
        assert_eq!(self.heard.split_at(text.len()).0, text);
        self.heard.drain(..text.len());
    }

    /// Until it hears nothing more.
    fn ends(&mut self) {
        loop {
            match block_on(poll_fn(|cx| self.transport.poll_recv(cx))) {
                Ok(Incoming::End) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }
}

#[test]
fn it_is_offered_to_those_who_ask_where_it_is_allowed() {
    let offered = |addr: &str, query: &str| {
        let answer = negotiate(addr, query);
        assert_eq!(answer.status, 200);
        answer.body.contains("useStatefulReconnect")
    };
    let wish = "&useStatefulReconnect=true";
    check(|addr| assert!(!offered(addr, wish)));
    check_with(Options::stateful_reconnect, |addr| {
        assert!(offered(addr, wish));
        assert!(offered(addr, "&USEstatefulreconnect=True"));
        for query in ["", "&useStatefulReconnect=false", "&useStatefulReconnect="] {
            assert!(!offered(addr, query), "{query}");
        }
    });
    let without = |options: Options| {
        let polls = Transports::LONG_POLLING;
        options.stateful_reconnect().transports(polls)
    };
    check_with(without, |addr| assert!(!offered(addr, wish)));
}

#[test]
fn an_id_that_others_know_lets_nobody_return() {
    check_with(Options::stateful_reconnect, |addr| {
        for version in ["", "negotiateVersion=0&", "negotiateVersion=-1&"] {
            let query = "useStatefulReconnect=true";
            let line = format!("POST /hub/negotiate?{version}{query}");
            let answer = ask(addr, &line, &["Content-Length: 0"]);
            assert!(!answer.body.contains("Stateful"), "{answer:?}");
            let path = format!("/hub?id={}", answer.value("connectionId"));
            let mut socket = Socket::connect(addr, &path);
            socket.say(&[STATEFUL, PING, CALL].concat());
            socket.hears(&["{}\u{1e}", RESULT].concat());
            assert_eq!(upgrade(addr, &path, &[]), 409);
        }
    });
}

#[test]
fn a_client_returns_by_another_socket_until_last_words_are_said() {
    check_with(Options::stateful_reconnect, |addr| {
        let path = negotiated(addr);
        let mut first = Socket::connect(addr, &path);
        assert_eq!(upgrade(addr, &path, &[]), 409, "nobody was let in");
        first.say(&[STATEFUL, PING, CALL].concat());
        first.hears(&["{}\u{1e}", RESULT].concat());
        // The hub does not know yet that the first is gone, or does.
        for round in 0..5 {
            let mut next = Socket::connect(addr, &path);
            next.say(&[&sequence(1), CALL, PING].concat());
            next.hears(&[&sequence(1), RESULT].concat());
            match round % 2 {
                0 => first.ends(),
                _ => drop(first),
            }
            first = next;
        }
        first.say("{\"type\":7}\u{1e}");
        first.hears("{\"type\":7}\u{1e}");
        assert_eq!(upgrade(addr, &path, &[]), 404);
        assert_eq!(post(addr, &path, CALL), 404);
    });
}

#[test]
fn who_cannot_return_has_one_socket() {
    check_with(Options::stateful_reconnect, |addr| {
        let path = negotiated(addr);
        let mut socket = Socket::connect(addr, &path);
        // The first version of the protocol knows nothing of it.
        socket.say(&[HANDSHAKE, PING, CALL].concat());
        socket.hears(&["{}\u{1e}", RESULT].concat());
        assert_eq!(upgrade(addr, &path, &[]), 409);
        drop(socket);
        while upgrade(addr, &path, &[]) != 404 {}

        let path = negotiated(addr);
        let poll = || ask(addr, &format!("GET {path}"), &[]);
        assert_eq!(poll().status, 200);
        assert_eq!(post(addr, &path, &[STATEFUL, CALL].concat()), 200);
        let mut heard = String::new();
        while !heard.ends_with(RESULT) {
            heard += &poll().body;
        }
        assert_eq!(heard, ["{}\u{1e}", RESULT].concat());
        assert_eq!(upgrade(addr, &path, &[]), 404);
    });
}
