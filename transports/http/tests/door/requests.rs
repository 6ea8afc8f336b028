//! Requests that are wrong, too large, or not allowed.

use super::*;

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
