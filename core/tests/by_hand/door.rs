//! Who comes in, and who does not.

use std::future::pending;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lapwing::hub::{Admission, HubBuilder, MembershipError, Refuse};
use lapwing::session::Ending;
use lapwing::wire::{Frame, Refusal, Terms};
use lapwing::{Limits, Policy};
use lapwing_memory::{Path, Virtual};

use crate::carrier::Carrier;
use crate::peer::{TERMS, hello_with};
use crate::world::{World, check, check_over, check_with};

#[test]
fn a_handshake_has_its_time_and_not_a_microsecond_more() {
    for handshake in [Limits::default().handshake, Duration::from_millis(1_500)] {
        let limits = Limits {
            handshake,
            ..Limits::default()
        };
        check(limits, async |world| {
            let mut silent = world.connect("silent").await;
            assert_eq!(silent.refusal().await, (Refusal::Late, Some(0)));
            assert_eq!(world.sim.elapsed(), handshake);

            // Who says nothing of use is not given more.
            let mut trickling = world.connect("trickling").await;
            let began = world.sim.elapsed();
            for _ in 0..4 {
                trickling.say_bytes(b"").await;
                world.pass(handshake / 5).await;
            }
            assert_eq!(trickling.refusal().await.0, Refusal::Late);
            assert_eq!(world.sim.elapsed() - began, handshake);
            assert_eq!(world.hub.counters().refused["late"], 2);
        });
    }
}

#[test]
fn a_decision_that_takes_too_long_is_dropped() {
    struct Dropped(Arc<AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let dropped = Arc::new(AtomicBool::new(false));
    let build = |_: &_, builder: HubBuilder| {
        let dropped = dropped.clone();
        builder.on_connect(move |_| {
            let dropped = Dropped(dropped.clone());
            async move {
                let _dropped = dropped;
                pending::<Result<Admission, Refuse>>().await
            }
        })
    };
    check_with(build, async |world| {
        dropped.store(false, Ordering::Relaxed);
        let mut waiting = world.connect("waiting").await;
        waiting.hello(TERMS).await;
        assert_eq!(waiting.refusal().await.0, Refusal::Late);
        assert_eq!(world.sim.elapsed(), Limits::default().handshake);
        assert!(dropped.load(Ordering::Relaxed));
        assert_eq!(world.hub.counters().connected, 0);
    });
}

#[test]
fn a_panic_at_the_door_refuses() {
    let before = |_: &_, builder: HubBuilder| {
        builder.on_connect(|ask| {
            assert!(ask.token.is_some(), "a fault of the application");
            async { Ok(Admission::anonymous()) }
        })
    };
    check_with(before, async |world| {
        let mut peer = world.connect("peer").await;
        peer.hello(TERMS).await;
        assert_eq!(peer.refusal().await.0, Refusal::Unauthorized);
    });
    let within = |_: &_, builder: HubBuilder| {
        builder.on_connect(|ask| async move {
            assert!(ask.token.is_some(), "a fault of the application");
            Ok(Admission::anonymous())
        })
    };
    check_with(within, async |world| {
        let mut peer = world.connect("peer").await;
        peer.hello(TERMS).await;
        assert_eq!(peer.refusal().await.0, Refusal::Unauthorized);
    });
}

#[test]
fn one_connection_too_many_is_refused_and_told_when_to_return() {
    let limits = Limits {
        connections_max: 2,
        ..Limits::default()
    };
    check(limits, async |world| {
        let _first = world.peer("first").await;
        let mut second = world.peer("second").await;
        let mut third = world.connect("third").await;
        third.hello(TERMS).await;
        let (reason, retry) = third.refusal().await;
        assert_eq!(reason, Refusal::Full);
        assert!(retry.is_some_and(|after| after >= 1_000), "{retry:?}");

        second.is_over().await;
        world.peer("fourth").await;
    });
}

#[test]
fn one_handshake_too_many_is_refused_before_its_hello() {
    let limits = Limits {
        handshakes_max: 2,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut first = world.connect("first").await;
        let _second = world.connect("second").await;
        world.sim.settle().await;
        assert_eq!(world.hub.counters().handshakes, 2);
        is_turned_away(world, "third").await;

        first.welcome(TERMS).await;
        world.peer("fourth").await;
    });
}

/// Comes while the hub has no room for another handshake.
async fn is_turned_away(world: &World, name: &str) {
    if world.carrier == Carrier::WebSocket {
        let refused = world.try_connect(name).await.err().expect("no room");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert!(refused.to_string().contains("503"), "{refused}");
    } else {
        let (reason, retry) = world.connect(name).await.refusal().await;
        assert_eq!(reason, Refusal::Full);
        assert!(retry.is_some());
    }
}

#[test]
fn who_comes_while_too_many_are_refused_is_dropped_without_a_word() {
    let limits = Limits {
        connections_max: 1,
        handshakes_max: 1,
        ..Limits::default()
    };
    // Over WebSocket: `upgrades::a_crowd_is_refused_and_then_dropped`.
    check_over(&[Carrier::Memory, Carrier::Tcp], limits, async |world| {
        let mut crowd = Vec::new();
        for _ in 0..10 {
            crowd.push(world.connect("crowd").await);
            world.sim.settle().await;
        }
        // One in its handshake, two are told to go and do not; together they are as many as may be.
        assert_eq!(world.sim.tasks(), world.own_tasks() + 3);
        assert_eq!(world.hub.counters().refused["full"], 9);
        for peer in &mut crowd[3..] {
            assert!(peer.next().await.is_none());
        }
        world.pass(limits.closing).await;
        assert_eq!(world.sim.tasks(), 1 + 1, "a goodbye has its time");
    });
}

#[test]
fn who_wants_to_be_silent_for_too_long_is_refused() {
    let limits = Limits {
        promise_max: Duration::from_secs(60),
        ..Limits::default()
    };
    check(limits, async |world| {
        let terms = |promise_ms| Terms {
            promise_ms,
            ..TERMS
        };
        let mut sleepy = world.connect("sleepy").await;
        sleepy.hello(terms(60_001)).await;
        let max_ms = 60_000;
        assert_eq!(sleepy.refusal().await, (Refusal::Promise { max_ms }, None));
        world.connect("awake").await.welcome(terms(60_000)).await;
    });
}

#[test]
fn who_shows_too_large_a_token_is_told_so() {
    let limits = Limits {
        message_bytes_max: 1_000,
        ..Limits::default()
    };
    check(limits, async |world| {
        let hello = |token_bytes| hello_with(&vec![7; token_bytes]);
        let rest = hello(900).len() - 900;
        let mut modest = world.connect("modest").await;
        modest.say_bytes(&hello(1_000 - rest)).await;
        assert!(matches!(modest.hear().await.frame(), Frame::Welcome(_)));

        let mut greedy = world.connect("greedy").await;
        greedy.say_bytes(&hello(1_001 - rest)).await;
        let (size, max) = (1_001, 1_000);
        let too_large = Refusal::MessageTooLarge { size, max };
        assert_eq!(greedy.refusal().await, (too_large, None));
    });
}

#[test]
fn a_connection_is_in_so_many_groups() {
    let limits = Limits {
        groups_max: 2,
        ..Limits::default()
    };
    let build = move |_: &_, builder: HubBuilder| {
        builder.limits(limits).on_connect(|ask| async move {
            let admission = Admission::user("ann").join("a").join("b");
            Ok(match ask.token.as_deref() {
                Some(b"greedy") => admission.join("c"),
                _ => admission,
            })
        })
    };
    check_with(build, async |world| {
        let mut greedy = world.connect("greedy").await;
        greedy.say_bytes(&hello_with(b"greedy")).await;
        assert_eq!(greedy.refusal().await.0, Refusal::Unauthorized);
        assert_eq!(world.hub.counters().groups, 0, "all of them, or none");

        let (_modest, id) = world.known_peer("modest").await;
        let remote = world.hub.connection(id);
        let too_many = MembershipError::TooMany { max: 2 };
        assert_eq!(remote.join("c"), Err(too_many));
        assert!(remote.leave("a"));
        assert_eq!(remote.join("c"), Ok(true));
    });
}

#[test]
fn a_hub_without_memory_lets_nobody_in() {
    let limits = Limits {
        hub_bytes_max: 100_000,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut slow = world.peer("slow").await;
        slow.subscribe(1, Policy::DropNewest, &["news"]).await;
        world.network.stall(Path::to_client("slow"));
        let mut published = 0;
        while world.hub.counters().dropped["drop-newest"] == 0 {
            let news = world.hub.publish("news", "x".repeat(1_000));
            published += 1;
            assert_eq!(news.map(|news| news.queued + news.dropped).ok(), Some(1));
            world.sim.settle().await;
        }
        assert!((90..=100).contains(&published), "{published}");
        is_turned_away(world, "late").await;

        world.network.resume("slow");
        slow.account(published).await;
        world.peer("later").await;
    });
}

#[test]
fn who_left_before_the_decision_never_came() {
    let build = |sim: &Virtual, builder: HubBuilder| {
        let sim = sim.clone();
        builder.on_connect(move |_| {
            let sim = sim.clone();
            async move {
                sim.sleep(Duration::from_secs(3)).await;
                Ok(Admission::anonymous())
            }
        })
    };
    check_with(build, async |world| {
        let mut peer = world.connect("peer").await;
        peer.hello(TERMS).await;
        world.pass(Duration::from_secs(1)).await;
        world.network.cut("peer");
        world.pass(Duration::from_secs(5)).await;
        let endings = world.endings();
        assert!(endings.iter().all(|ending| *ending == Ending::Lost));
    });
}
