//! A bare WebSocket that speaks JSON, byte by byte.

use std::time::Duration;

use lapwing::Limits;
use lapwing::wire::CloseReason;

use crate::carrier::Carrier;
use crate::raw::{BINARY, PING, PONG, REQUEST, Raw, TEXT, frame, head};
use crate::world::{World, check_over};

const OVER: &[Carrier] = &[Carrier::WebSocket];

/// A page of a browser, which is welcome without a word.
async fn page(world: &World) -> Raw {
    let request = REQUEST.replace("lapwing.postcard", "lapwing.json");
    world.upgraded_by("page", &request).await
}

#[test]
fn what_is_not_as_announced_is_told_at_once() {
    let malformed = Some(1007);
    let deep = "[".repeat(100_000);
    let cases = [
        (frame(BINARY, b"{}"), Some(1003)),
        (frame(BINARY, &[0; 1_000]), Some(1003)),
        (frame(TEXT, b"hello"), malformed),
        (frame(TEXT, b"{\"subscribe\":"), malformed),
        (frame(TEXT, b"{\"what\":1}"), malformed),
        (frame(TEXT, deep.as_bytes()), malformed),
        (
            frame(
                TEXT,
                format!("{{\"event\":\"news\",\"data\":{deep}").as_bytes(),
            ),
            malformed,
        ),
        (frame(TEXT, b"{\"event\":\"\xff\"}"), malformed),
        (head(TEXT, 1024 * 1024 + 1), Some(1009)),
    ];
    for (bytes, code) in cases {
        check_over(OVER, Limits::default(), async |world| {
            let mut control = world.peer("control").await;
            let mut page = page(world).await;
            page.say(&bytes).await;
            world.round_trip(&mut control).await;
            assert_eq!(page.code().await, code);
            assert_eq!(world.sim.elapsed(), Duration::ZERO);
            world.round_trip(&mut control).await;
        });
    }
}

#[test]
fn a_page_is_asked_whether_it_is_there() {
    check_over(OVER, Limits::default(), async |world| {
        let limits = Limits::default();
        let mut page = page(world).await;
        let (first, _) = page.frame().await.expect("a welcome");
        assert_eq!(first, TEXT);
        for round in 1..=3 {
            assert_eq!(page.frame().await.map(|(first, _)| first), Some(PING));
            assert_eq!(world.sim.elapsed(), limits.promise * round);
            page.say(&frame(PONG, b"")).await;
        }
        assert_eq!(page.frame().await.map(|(first, _)| first), Some(PING));
        // It had said something when it was asked before.
        let silent_since = limits.promise * 3;
        assert_eq!(page.code().await, Some(1008));
        let silent = world.sim.elapsed() - silent_since;
        assert_eq!(silent, limits.promise + limits.grace);
        world.sim.settle().await;
        assert_eq!(world.reason(), CloseReason::Silent);
    });
}
