//! What a client is told before it connects.

use super::*;

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
