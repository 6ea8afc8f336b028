//! Calls in both directions, and handlers that take their time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lapwing::hub::{Caller, HubBuilder, RemoteCallError};
use lapwing::wire::{
    Call, Cancel, Close, CloseReason, FailureCode, Frame, Payload, Reply, Return, Terms,
};
use lapwing::{Limits, Typed};
use lapwing_memory::{Path, Virtual};

use crate::peer::{Peer, TERMS, ping, publish};
use crate::world::{check, check_with};

const ECHO: Result<&[u8], FailureCode> = Ok(b"echo");

async fn is_answered(peer: &mut Peer, id: u32, expected: Result<&[u8], FailureCode>) {
    let expected = expected.map(<[u8]>::to_vec);
    assert_eq!(peer.answer().await, (id, expected));
}

#[test]
fn so_many_calls_wait_and_the_next_is_busy() {
    let limits = Limits {
        calls_waiting_max: 3,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut peer = world.peer("peer").await;
        peer.call(0, "never").await;
        for id in 1..=3 {
            peer.call(id, "echo").await;
        }
        peer.call(4, "echo").await;
        is_answered(&mut peer, 4, Err(FailureCode::Busy)).await;
        world.sim.settle().await;
        assert!(peer.is_quiet().await);
        peer.say(&Frame::Cancel(Cancel { id: 0 })).await;
        for id in 1..=3 {
            is_answered(&mut peer, id, ECHO).await;
        }
    });
}

#[test]
fn so_many_bytes_of_calls_wait_and_the_next_is_busy() {
    let limits = Limits {
        calls_waiting_bytes_max: 1_000,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut peer = world.peer("peer").await;
        peer.call(0, "never").await;
        let large = "x".repeat(600);
        for id in 1..=3 {
            peer.say(&Frame::Call(Call {
                id,
                method: "echo",
                deadline_ms: None,
                arguments: Payload::text(&large),
            }))
            .await;
        }
        is_answered(&mut peer, 3, Err(FailureCode::Busy)).await;
        peer.say(&Frame::Cancel(Cancel { id: 0 })).await;
        for id in 1..=2 {
            is_answered(&mut peer, id, Ok(large.as_bytes())).await;
        }
    });
}

#[test]
fn a_call_whose_time_ends_after_a_goodbye_keeps_nobody_busy() {
    check(Limits::default(), async |world| {
        let (mut peer, id) = world.known_peer("phone").await;
        let remote = world.hub.connection(id);
        world.sim.spawn_named("caller", async move {
            let call = remote
                .call::<String>("name", ())
                .within(Duration::from_secs(1));
            assert!(call.await.is_err());
        });
        world.sim.settle().await;
        let (reason, verdict) = (CloseReason::Done, Return::Now);
        peer.say(&Frame::Close(Close { reason, verdict })).await;
        // It never ends its side.
        world.pass(Duration::from_secs(4)).await;
        assert_eq!(world.hub.counters().connections, 0);
    });
}

#[test]
fn so_many_calls_run_together() {
    let limits = Limits {
        calls_running_max: 2,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut peer = world.peer("peer").await;
        peer.call(1, "never").await;
        peer.call(2, "echo").await;
        is_answered(&mut peer, 2, ECHO).await;
        peer.call(3, "never").await;
        peer.call(4, "echo").await;
        world.sim.settle().await;
        assert!(peer.is_quiet().await);
    });
}

#[test]
fn a_call_has_the_time_that_its_caller_gives_it() {
    check(Limits::default(), async |world| {
        let mut peer = world.peer("peer").await;
        for (id, ms) in [(1, 3_000), (2, 1_000)] {
            peer.say(&Frame::Call(Call {
                id,
                method: "never",
                deadline_ms: Some(ms),
                arguments: Payload::text(""),
            }))
            .await;
        }
        for (id, seconds) in [(2, 1), (1, 3)] {
            is_answered(&mut peer, id, Err(FailureCode::TimedOut)).await;
            assert_eq!(world.sim.elapsed(), Duration::from_secs(seconds));
        }
    });
}

#[test]
fn a_call_fails_alone() {
    let build = |_: &Virtual, builder: HubBuilder| {
        builder
            .on_call("fault", |_, text: String| async move {
                // It is not that long.
                Ok(text.split_at(1_000).0.to_owned())
            })
            .on_call("number", |_, Typed(number): Typed<u64>| async move {
                Ok(Typed(number))
            })
    };
    check_with(build, async |world| {
        let mut peer = world.peer("peer").await;
        for (id, method, code) in [
            (1, "fault", FailureCode::Panicked),
            (2, "no such", FailureCode::UnknownMethod),
            (3, "", FailureCode::UnknownMethod),
            (4, "number", FailureCode::Arguments),
        ] {
            peer.call(id, method).await;
            is_answered(&mut peer, id, Err(code)).await;
        }
        world.round_trip(&mut peer).await;
    });
}

#[test]
fn a_result_is_not_larger_than_its_caller_takes() {
    let build = |_: &Virtual, builder: HubBuilder| {
        builder.on_call("large", |_, ()| async { Ok("x".repeat(1_000)) })
    };
    check_with(build, async |world| {
        let mut peer = world.connect("peer").await;
        let message_bytes_max = 500;
        peer.welcome(Terms {
            message_bytes_max,
            ..TERMS
        })
        .await;
        peer.call(1, "large").await;
        is_answered(&mut peer, 1, Err(FailureCode::Failed)).await;
        peer.call(2, &"m".repeat(10_000)).await;
        let heard = peer.hear().await;
        assert!(heard.len() <= 500, "{}", heard.len());
    });
}

#[test]
fn so_many_calls_of_the_hub_wait_for_an_answer() {
    let limits = Limits {
        calls_waiting_max: 2,
        ..Limits::default()
    };
    check(limits, async |world| {
        let (mut peer, id) = world.known_peer("peer").await;
        let remote = world.hub.connection(id);
        let (results, mut told) = futures_channel::mpsc::channel(3);
        for _ in 0..3 {
            let (call, mut results) = (remote.call::<String>("ask", "x"), results.clone());
            world.sim.spawn_named("caller", async move {
                let _ = results.try_send(call.await);
            });
        }
        world.sim.settle().await;
        let Ok(Err(RemoteCallError::Full)) = told.try_recv() else {
            panic!("two wait, and the third is one too many");
        };
        let called = |frame: Frame<'_>| match frame {
            Frame::Call(call) => Some((call.id, call.deadline_ms)),
            _ => None,
        };
        let (first, deadline_ms) = peer.until(called).await;
        assert_eq!(deadline_ms, Some(30_000));
        let result = Ok(Payload::text("yes"));
        peer.say(&Frame::Reply(Reply { id: first, result })).await;
        world.sim.settle().await;
        assert!(matches!(told.try_recv(), Ok(Ok(yes)) if yes == "yes"));

        let (second, _) = peer.until(called).await;
        let cancelled = |frame: Frame<'_>| match frame {
            Frame::Cancel(cancel) => Some(cancel.id),
            _ => None,
        };
        assert_eq!(peer.until(cancelled).await, second);
        assert_eq!(world.sim.elapsed(), lapwing::hub::CALL_WITHIN);
        world.sim.settle().await;
        assert!(matches!(
            told.try_recv(),
            Ok(Err(RemoteCallError::TimedOut))
        ));
        // Nobody waits for these.
        for id in [first, second, 77] {
            peer.say(&Frame::Reply(Reply { id, result })).await;
        }
        world.round_trip(&mut peer).await;
    });
}

#[test]
fn a_call_of_the_hub_is_not_larger_than_its_peer_takes() {
    check(Limits::default(), async |world| {
        let mut peer = world.connect("peer").await;
        let message_bytes_max = 500;
        let id = peer
            .welcome(Terms {
                message_bytes_max,
                ..TERMS
            })
            .await;
        let call = world.hub.connection(id).call::<()>("ask", "x".repeat(600));
        let refused = call.await;
        assert!(matches!(
            refused,
            Err(RemoteCallError::TooLarge { max: 500, .. })
        ));
    });
}

#[test]
fn a_call_of_the_hub_ends_with_its_peer() {
    check(Limits::default(), async |world| {
        let (peer, id) = world.known_peer("peer").await;
        let call = world.hub.connection(id).call::<()>("ask", "x");
        let (result, told) = futures_channel::oneshot::channel();
        world.sim.spawn_named("caller", async move {
            let _ = result.send(call.await);
        });
        world.sim.settle().await;
        drop(peer);
        assert!(matches!(told.await, Ok(Err(RemoteCallError::Gone))));
        let call = world.hub.connection(id).call::<()>("ask", "x");
        assert!(matches!(call.await, Err(RemoteCallError::Gone)));
    });
}

#[test]
fn a_handler_may_call_its_caller_back_while_the_callers_next_call_runs() {
    let build = |_: &Virtual, builder: HubBuilder| {
        builder.on_call("ask me", |caller: Caller, ()| async move {
            let answer = caller.call::<String>("name", ()).await;
            answer.map_err(|_| "no answer".into())
        })
    };
    check_with(build, async |world| {
        let mut peer = world.peer("peer").await;
        peer.call(1, "ask me").await;
        peer.call(2, "echo").await;
        let asked = |frame: Frame<'_>| match frame {
            Frame::Call(call) => Some(call.id),
            _ => None,
        };
        let id = peer.until(asked).await;
        is_answered(&mut peer, 2, ECHO).await;
        let result = Ok(Payload::text("ann"));
        peer.say(&Frame::Reply(Reply { id, result })).await;
        is_answered(&mut peer, 1, Ok(b"ann")).await;
    });
}

#[test]
fn a_publisher_is_not_read_while_handlers_are_behind_and_is_not_taken_for_dead() {
    let limits = Limits {
        calls_waiting_max: 5,
        ..Limits::default()
    };
    let (open, heard) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let build = |sim: &Virtual, builder: HubBuilder| {
        let (sim, open, heard) = (sim.clone(), open.clone(), heard.clone());
        open.store(0, Ordering::Relaxed);
        heard.store(0, Ordering::Relaxed);
        let handler = move |_, _, text: String| {
            assert_eq!(text, "work");
            let (sim, open, heard) = (sim.clone(), open.clone(), heard.clone());
            async move {
                assert_eq!(open.fetch_add(1, Ordering::Relaxed), 0, "one at a time");
                sim.sleep(Duration::from_secs(600)).await;
                open.fetch_sub(1, Ordering::Relaxed);
                heard.fetch_add(1, Ordering::Relaxed);
            }
        };
        // Both hear each event.
        builder
            .limits(limits)
            .on_event("jobs/**", handler.clone())
            .on_event("jobs/*", handler)
    };
    check_with(build, async |world| {
        let mut peer = world.connect("peer").await;
        let promise_ms = 25_000;
        peer.welcome(Terms {
            promise_ms,
            ..TERMS
        })
        .await;
        let before = world.hub.counters().frames_in;
        for _ in 0..20 {
            peer.say(&publish("jobs/1", "work")).await;
        }
        world.sim.settle().await;
        let read = world.hub.counters().frames_in - before;
        assert_eq!(read, 3, "one runs and five wait, of two handlers each");
        for _ in 0..20 * 2 * 600 / 20 {
            world.pass(Duration::from_secs(20)).await;
            // It keeps its promise, and nobody listens.
            peer.say(&ping(1)).await;
            peer.read_all().await;
        }
        world.pass(Duration::from_secs(1)).await;
        assert_eq!(heard.load(Ordering::Relaxed), 40, "none is lost");
        assert_eq!(world.endings(), []);
        world.pass(Duration::from_secs(45)).await;
        assert_eq!(world.endings().len(), 1, "now it is silent");
    });
}

#[test]
fn a_long_method_that_nobody_answers_to_is_named_in_short() {
    check(Limits::default(), async |world| {
        let mut peer = world.peer("peer").await;
        peer.call(1, &"x".repeat(100_000)).await;
        let heard = peer.hear().await;
        assert!(matches!(heard.frame(), Frame::Reply(_)));
        assert!(heard.len() < 300, "{}", heard.len());
    });
}

#[test]
fn who_does_not_read_large_answers_may_not_ask_for_more() {
    let limits = Limits {
        lane_bytes_max: 10_000,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut peer = world.peer("peer").await;
        world.network.stall(Path::to_client("peer"));
        let text = "x".repeat(5_000);
        for id in 0..10 {
            let arguments = Payload::text(&text);
            let (method, deadline_ms) = ("echo", None);
            peer.start(&Frame::Call(Call {
                id,
                method,
                deadline_ms,
                arguments,
            }));
            world.sim.settle().await;
        }
        let waiting = world.hub.counters().waiting_bytes;
        assert!(waiting < 20_000, "{waiting}");
        world.network.resume("peer");
        for id in 0..10 {
            assert_eq!(peer.answer().await.0, id);
        }
    });
}

#[test]
fn a_call_that_is_too_large_with_its_frame_is_refused() {
    check(Limits::default(), async |world| {
        let mut peer = world.connect("peer").await;
        let terms = Terms {
            message_bytes_max: 1_000,
            ..TERMS
        };
        let id = peer.welcome(terms).await;
        for size in 900..=1_000 {
            let call = world.hub.connection(id).call::<()>("m", "x".repeat(size));
            let call = call.within(Duration::from_millis(1));
            match call.await {
                Err(RemoteCallError::TooLarge { .. }) => {}
                Err(RemoteCallError::TimedOut) => {
                    assert!(peer.hear().await.len() <= 1_000);
                    assert!(matches!(peer.hear().await.frame(), Frame::Cancel(_)));
                }
                other => panic!("{other:?}"),
            }
        }
    });
}
