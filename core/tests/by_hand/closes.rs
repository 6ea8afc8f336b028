//! Every way in which a hub ends a bare WebSocket: a peer that knows no words but those of RFC 6455 is told by the
//! code of its close frame, at once.

use std::time::Duration;

use lapwing::hub::Shutdown;
use lapwing::limits::Rate;
use lapwing::session::Ending;
use lapwing::wire::{CloseReason, Frame, Received, Return, Terms};
use lapwing::{Limits, Policy};
use lapwing_memory::Path;

use crate::carrier::Carrier;
use crate::peer::{TERMS, bytes, code_of_close, hello, ping, publish, subscribe};
use crate::raw::{BINARY, CLOSE, PING, Raw, frame, head};
use crate::world::{World, check_over};

const OVER: &[Carrier] = &[Carrier::WebSocket];

fn limits() -> Limits {
    let pings = Rate {
        per_second: 1,
        burst: 3,
    };
    Limits {
        lane_frames_max: 8,
        message_bytes_max: 100_000,
        pings,
        ..Limits::default()
    }
}

/// What a peer says to be ended for this reason, and how long after it.
fn said() -> Vec<(CloseReason, Vec<u8>, Duration)> {
    use CloseReason as R;
    let counted = bytes(&Frame::Received(Received { count: 1_000 }));
    let (size, max) = (100_001, 100_000);
    let stall = limits().stall;
    vec![
        (R::Malformed, frame(BINARY, &[0x7f]), Duration::ZERO),
        (
            R::Unexpected,
            frame(BINARY, &bytes(&hello(TERMS))),
            Duration::ZERO,
        ),
        (R::Count, frame(BINARY, &counted), Duration::ZERO),
        (
            R::Flood,
            frame(BINARY, &bytes(&ping(1))).repeat(4),
            Duration::ZERO,
        ),
        (R::Flood, frame(PING, b"").repeat(4), Duration::ZERO),
        (
            R::MessageTooLarge { size, max },
            head(BINARY, size),
            Duration::ZERO,
        ),
        (R::Stalled, head(BINARY, 10), stall),
    ]
}

#[test]
fn what_a_peer_says_ends_it_with_a_code() {
    for (reason, bytes, after) in said() {
        check_over(OVER, limits(), async |world| {
            let mut raw = world.bare("raw").await;
            let began = world.sim.elapsed();
            raw.say(&bytes).await;
            let told = (Some(reason), Some(code_of_close(reason)));
            assert_eq!(raw.ended().await, told);
            assert_eq!(world.since(began), after);
            world.sim.settle().await;
            assert_eq!(world.reason(), reason);
        });
    }
}

async fn is_told(world: &World, raw: &mut Raw, reason: CloseReason) {
    let told = (Some(reason), Some(code_of_close(reason)));
    assert_eq!(raw.ended().await, told);
    world.sim.settle().await;
    assert_eq!(world.reason(), reason);
}

#[test]
fn who_is_silent_is_told_so() {
    check_over(OVER, limits(), async |world| {
        let mut raw = world.upgraded("raw").await;
        let promise_ms = 30_000;
        let hello = hello(Terms {
            promise_ms,
            ..TERMS
        });
        raw.say(&frame(BINARY, &bytes(&hello))).await;
        is_told(world, &mut raw, CloseReason::Silent).await;
        assert_eq!(world.sim.elapsed(), Duration::from_secs(30 + 20));
    });
}

#[test]
fn who_is_thrown_out_is_told_so() {
    check_over(OVER, limits(), async |world| {
        let (mut raw, id) = world.bare_known("raw").await;
        world.hub.connection(id).close();
        is_told(world, &mut raw, CloseReason::Kicked).await;
        assert_eq!(world.sim.elapsed(), Duration::ZERO);
    });
}

#[test]
fn who_is_thrown_out_hears_the_words_of_the_program() {
    check_over(OVER, limits(), async |world| {
        let (mut raw, id) = world.bare_known("raw").await;
        let words = format!("later, {}", "é".repeat(100));
        let remote = world.hub.connection(id);
        remote.close_with(Return::Now, Some(&words));
        let mut told = None;
        while let Some((first, payload)) = raw.frame().await {
            told = (first == CLOSE).then_some(payload);
        }
        let told = told.expect("a close frame");
        assert_eq!(told[..2], 1008_u16.to_be_bytes());
        // As much of them as a close frame holds, in whole letters.
        assert_eq!(str::from_utf8(&told[2..]), Ok(&words[..123]));
        raw.finish().await;
        world.sim.settle().await;
        assert_eq!(world.reason(), CloseReason::Kicked);
    });
}

#[test]
fn who_is_too_slow_is_told_when_it_reads() {
    check_over(OVER, limits(), async |world| {
        let (mut raw, id) = world.bare_known("raw").await;
        let all = subscribe(1, Policy::Disconnect, &["news"]);
        raw.say(&frame(BINARY, &all)).await;
        world.sim.settle().await;
        world.plug("raw", id).await;
        for _ in 0..9 {
            world.hub.publish("news", "x").expect("a good topic");
            world.sim.settle().await;
        }
        world.network.resume("raw");
        is_told(world, &mut raw, CloseReason::TooSlow).await;
    });
}

#[test]
fn who_takes_nothing_hears_nothing() {
    check_over(OVER, limits(), async |world| {
        let (mut raw, id) = world.bare_known("raw").await;
        world.plug("raw", id).await;
        world.pass(limits().stall).await;
        assert_eq!(world.reason(), CloseReason::Stalled);
        // What it could have read first is not worth the wait: it is cut.
        world.network.resume(Path::to_client("raw"));
        assert_eq!(raw.ended().await, (None, None));
    });
}

#[test]
fn a_hub_that_shuts_down_says_so() {
    check_over(OVER, limits(), async |world| {
        let mut raw = world.bare("raw").await;
        let mut late = world.upgraded("late").await;
        let mut later = world.raw("later").await;
        world.sim.settle().await;
        let hub = world.hub.clone();
        world.sim.spawn_named("shutdown", async move {
            hub.shutdown(Shutdown::default()).await;
        });
        is_told(world, &mut raw, CloseReason::Shutdown).await;
        assert_eq!(late.ended().await.1, Some(1001));
        assert!(later.head().await.starts_with("HTTP/1.1 503 "));
        later.finish().await;
        assert_eq!(world.sim.elapsed(), Duration::ZERO);
    });
}

#[test]
fn who_leaves_is_answered() {
    check_over(OVER, limits(), async |world| {
        let mut raw = world.bare("raw").await;
        raw.say(&frame(BINARY, &bytes(&publish("news", "last"))))
            .await;
        raw.say(&crate::raw::close(1001)).await;
        assert_eq!(raw.ended().await, (None, Some(1001)));
        world.sim.settle().await;
        assert!(matches!(world.endings()[..], [Ending::ByPeer(_)]));
        assert_eq!(world.sim.elapsed(), Duration::ZERO);
    });
}

#[test]
fn who_never_answers_a_close_frame_is_dropped_in_time() {
    check_over(OVER, limits(), async |world| {
        let (mut raw, id) = world.bare_known("raw").await;
        world.hub.connection(id).close();
        world
            .pass(limits().closing - Duration::from_micros(1))
            .await;
        assert_eq!(world.sim.tasks(), 2);
        world.pass(Duration::from_micros(1)).await;
        assert_eq!(world.sim.tasks(), 1);
        let told = (Some(CloseReason::Kicked), Some(1008));
        assert_eq!(raw.ended().await, told, "it was said at once");
    });
}
