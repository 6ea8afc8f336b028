//! Requests for a WebSocket that are late, huge or wrong: each gets the status that docs/limits.md or the RFC names.

use std::time::Duration;

use lapwing::session::Ending;
use lapwing::wire::{Refusal, Terms};
use lapwing::{Limits, Policy};
use lapwing_memory::Path;

use crate::carrier::Carrier;
use crate::peer::{TERMS, bytes, hello};
use crate::raw::{BINARY, PING, REQUEST, frame};
use crate::world::check_over;

const OVER: &[Carrier] = &[Carrier::WebSocket];

/// The request with one of its lines replaced.
fn request(line: &str, by: &str) -> String {
    assert!(REQUEST.contains(line));
    REQUEST.replace(line, by)
}

/// Requests that are answered at once, with what the answer begins with and what has to stand in it.
fn refused() -> Vec<(String, &'static str, &'static str)> {
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let host = "Host: hub\r\n";
    let with = |line: &str| request(host, &format!("{host}{line}"));
    vec![
        ("GARBAGE\r\n\r\n".into(), "400", ""),
        ("\0\x01\x02\r\n\r\n".into(), "400", ""),
        ("GET / HTTP/1.1\r\nHost: hub\r\n\r\n".into(), "400", ""),
        (request("HTTP/1.1", "HTTP/1.0"), "400", ""),
        (request("HTTP/1.1", "HTTP/2.0"), "505", ""),
        (request("GET", "POST"), "405", "Allow: GET"),
        (request(host, ""), "400", ""),
        (with("Host: other\r\n"), "400", ""),
        (with("Content-Length: 5\r\n"), "400", ""),
        (with("Transfer-Encoding: chunked\r\n"), "400", ""),
        (request(key, ""), "400", ""),
        (request("dGhlIHNhbXBsZSBub25jZQ==", "short"), "400", ""),
        (
            request("Version: 13", "Version: 8"),
            "426",
            "Sec-WebSocket-Version: 13\r\n",
        ),
        (with("Origin: https://elsewhere.example\r\n"), "403", ""),
        (with("Origin: null\r\n"), "403", ""),
        (with(&"X: y\r\n".repeat(100)), "431", ""),
        (with(&format!("X: {}\r\n", "y".repeat(8 * 1024))), "431", ""),
        // There is no end of it, and it is not waited for.
        ("x".repeat(8 * 1024), "431", ""),
    ]
}

#[test]
fn a_wrong_request_is_answered_at_once_and_nobody_notices() {
    check_over(OVER, Limits::default(), async |world| {
        let mut control = world.peer("control").await;
        let began = world.sim.elapsed();
        for (request, status, line) in refused() {
            let mut raw = world.raw("raw").await;
            raw.say(request.as_bytes()).await;
            world.round_trip(&mut control).await;
            // What is behind it is read and thrown away.
            raw.try_say(&[0; 10_000]).await;
            raw.finish().await;
            let answer = raw.rest().await;
            let begins = format!("HTTP/1.1 {status} ");
            assert!(answer.starts_with(&begins), "{request:?}: {answer}");
            assert!(answer.contains(line), "{answer}");
            assert!(answer.contains("Connection: close"), "{answer}");
            world.round_trip(&mut control).await;
        }
        assert_eq!(world.sim.elapsed(), began);
        world.sim.settle().await;
        assert_eq!(world.sim.tasks(), 2, "only the control connection is left");
        assert_eq!(world.hub.counters().connected, 1);
    });
}

#[test]
fn pages_of_our_own_host_may_come() {
    check_over(OVER, Limits::default(), async |world| {
        let origin = "Host: hub\r\nOrigin: http://hub:8080\r\n";
        let request = request("Host: hub\r\n", origin);
        world.upgraded_by("page", &request).await;
    });
}

#[test]
fn a_slow_request_has_its_time_and_not_a_microsecond_more() {
    for handshake in [Limits::default().handshake, Duration::from_millis(2_500)] {
        let limits = Limits {
            handshake,
            ..Limits::default()
        };
        check_over(OVER, limits, async |world| {
            let mut control = world.peer("control").await;
            for interval in [Duration::from_secs(1), Duration::MAX] {
                let began = world.sim.elapsed();
                let mut raw = world.raw("raw").await;
                for byte in REQUEST.as_bytes() {
                    raw.say(&[*byte]).await;
                    if world.since(began) + interval.min(handshake) >= handshake {
                        break;
                    }
                    world.pass(interval).await;
                    world.round_trip(&mut control).await;
                }
                let head = raw.head().await;
                assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
                assert_eq!(world.since(began), handshake);
            }
            world.sim.settle().await;
            assert_eq!(world.hub.counters().refused["late"], 2);
        });
    }
}

#[test]
fn upgrade_and_hello_have_one_time_together() {
    check_over(OVER, Limits::default(), async |world| {
        let began = world.sim.elapsed();
        let mut raw = world.raw("raw").await;
        world.pass(Duration::from_secs(7)).await;
        raw.say(REQUEST.as_bytes()).await;
        raw.head().await;
        // A sign of life is no hello.
        raw.say(&frame(PING, b"")).await;
        assert_eq!(raw.ended().await.1, Some(1008));
        assert_eq!(world.since(began), Limits::default().handshake);
        world.sim.settle().await;
        assert_eq!(world.hub.counters().refused["late"], 1);
    });
}

#[test]
fn who_leaves_within_its_request_leaves_nothing() {
    check_over(OVER, Limits::default(), async |world| {
        let mut control = world.peer("control").await;
        for cut in 0..REQUEST.len() {
            let mut raw = world.raw("raw").await;
            raw.say(&REQUEST.as_bytes()[..cut]).await;
            match cut % 3 {
                0 => raw.finish().await,
                1 => world.network.cut("raw"),
                _ => drop(raw),
            }
            world.round_trip(&mut control).await;
            world.sim.settle().await;
            assert_eq!(world.sim.tasks(), 2);
        }
        assert_eq!(world.sim.elapsed(), Duration::ZERO);
        assert_eq!(world.hub.counters().handshakes, 0);
    });
}

#[test]
fn one_request_too_many_is_told_when_to_return() {
    let limits = Limits {
        handshakes_max: 2,
        ..Limits::default()
    };
    check_over(OVER, limits, async |world| {
        let _first = world.raw("first").await;
        let _second = world.upgraded("second").await;
        // Whether its request is here already or not.
        for says in [&b""[..], REQUEST.as_bytes()] {
            let mut third = world.raw("third").await;
            third.say(says).await;
            let head = third.head().await;
            assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
            assert!(head.contains("\r\nRetry-After: "), "{head}");
            drop(third);
            world.sim.settle().await;
        }
        assert_eq!(world.sim.elapsed(), Duration::ZERO);
        assert_eq!(world.hub.counters().refused["full"], 2);
    });
}

#[test]
fn a_crowd_is_refused_and_then_dropped() {
    let limits = Limits {
        connections_max: 1,
        handshakes_max: 1,
        ..Limits::default()
    };
    check_over(OVER, limits, async |world| {
        let mut crowd = Vec::new();
        for _ in 0..10 {
            crowd.push(world.raw("crowd").await);
            world.sim.settle().await;
        }
        // One in its handshake, two are told to go and do not.
        assert_eq!(world.sim.tasks(), world.own_tasks() + 3);
        assert_eq!(world.hub.counters().refused["full"], 9);
        for raw in &mut crowd[1..3] {
            assert!(raw.head().await.starts_with("HTTP/1.1 503 "));
        }
        for raw in &mut crowd[3..] {
            assert_eq!(raw.rest().await, "");
        }
        world.pass(limits.closing).await;
        assert_eq!(world.sim.tasks(), 1 + 1, "a goodbye has its time");
    });
}

#[test]
fn a_connection_too_many_and_a_long_promise_are_refused_behind_the_upgrade() {
    let limits = Limits {
        connections_max: 1,
        ..Limits::default()
    };
    check_over(OVER, limits, async |world| {
        let sleepy = Terms {
            promise_ms: 3_600_001,
            ..TERMS
        };
        for (terms, code) in [(sleepy, 1008), (TERMS, 1013)] {
            let _one = match code {
                1013 => Some(world.peer("one").await),
                _ => None,
            };
            let mut raw = world.upgraded("raw").await;
            raw.say(&frame(BINARY, &bytes(&hello(terms)))).await;
            assert_eq!(raw.ended().await.1, Some(code));
        }
        assert_eq!(world.sim.elapsed(), Duration::ZERO);
    });
}

#[test]
fn a_hub_without_memory_says_so_before_the_upgrade() {
    let limits = Limits {
        hub_bytes_max: 100_000,
        ..Limits::default()
    };
    check_over(OVER, limits, async |world| {
        let mut slow = world.peer("slow").await;
        slow.subscribe(1, Policy::Disconnect, &["news"]).await;
        world.network.stall(Path::to_client("slow"));
        let mut published = 0;
        // As soon as seven eighths are taken.
        while world.hub.counters().held_bytes < 87_500 {
            let news = world.hub.publish("news", "x".repeat(1_000));
            assert_eq!(news.expect("a good topic").dropped, 0);
            published += 1;
            world.sim.settle().await;
        }
        let mut late = world.raw("late").await;
        assert!(late.head().await.starts_with("HTTP/1.1 503 "));
        world.network.resume("slow");
        slow.account(published).await;
        let endings = world.endings();
        assert!(!endings.contains(&Ending::Refused(Refusal::Full)));
        world.bare("later").await;
    });
}
