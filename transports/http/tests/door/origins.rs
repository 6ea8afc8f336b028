//! Pages of other sites.

use super::*;

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
