//! Clients without a WebSocket.

use super::*;

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
