//! What has to happen in time, on both sides.

use std::time::Duration;

use lapwing::limits::Rate;
use lapwing::session::Ending;
use lapwing::wire::{Close, CloseReason, Frame, Pong, Return, Terms, Unsubscribe};
use lapwing::{Limits, Policy};
use lapwing_memory::Path;

use crate::peer::{TERMS, ping};
use crate::world::{World, check};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn elapsed_since(world: &World, began: Duration) -> Duration {
    world.sim.settle().await;
    world.sim.elapsed() - began
}

#[test]
fn the_hub_keeps_its_promise() {
    for promise in [Limits::default().promise, secs(3)] {
        let limits = Limits {
            promise,
            ..Limits::default()
        };
        check(limits, async |world| {
            let mut peer = world.peer("peer").await;
            for round in 1..=3 {
                let heard = peer.hear().await;
                assert!(matches!(heard.frame(), Frame::Ping(_)));
                assert_eq!(world.sim.elapsed(), promise * round);
            }
        });
    }
}

#[test]
fn pings_of_those_who_came_together_leave_together() {
    let promise = Limits::default().promise;
    check(Limits::default(), async |world| {
        let mut first = world.peer("first").await;
        world.pass(Duration::from_millis(100)).await;
        // One for another thread that writes, if there is one.
        let _second = world.peer("second").await;
        world.pass(Duration::from_millis(100)).await;
        let mut third = world.peer("third").await;
        world.pass(promise / 64).await;
        let _fourth = world.peer("fourth").await;
        let mut late = world.peer("late").await;
        for peer in [&mut first, &mut third] {
            assert!(matches!(peer.hear().await.frame(), Frame::Ping(_)));
            assert_eq!(world.sim.elapsed(), promise);
        }
        assert!(matches!(late.hear().await.frame(), Frame::Ping(_)));
        assert!(world.sim.elapsed() > promise);
    });
}

#[test]
fn a_peer_that_breaks_its_promise_is_dead_after_the_grace() {
    let limits = Limits {
        grace: secs(7),
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut peer = world.connect("peer").await;
        let promise_ms = 30_000;
        peer.welcome(Terms {
            promise_ms,
            ..TERMS
        })
        .await;
        world.pass(secs(20)).await;
        peer.say(&ping(1)).await;
        assert_eq!(peer.close_reason().await, CloseReason::Silent);
        assert_eq!(world.sim.elapsed(), secs(20 + 30 + 7));
    });
}

#[test]
fn a_peer_that_stops_within_a_message_is_told_and_ended() {
    for stall in [Limits::default().stall, secs(2)] {
        let limits = Limits {
            stall,
            ..Limits::default()
        };
        check(limits, async |world| {
            let mut peer = world.peer("peer").await;
            let began = world.sim.elapsed();
            if world.carrier.has_bytes() {
                peer.stop_within(&ping(1));
            } else {
                world.network.stall_within_message(Path::to_hub("peer"));
                peer.start(&ping(1));
            }
            let heard = peer.hear().await;
            let Frame::Close(close) = heard.frame() else {
                panic!("{:?}", heard.frame());
            };
            assert_eq!(close.reason, CloseReason::Stalled);
            assert_eq!(elapsed_since(world, began).await, stall);
            assert_eq!(world.reason(), CloseReason::Stalled);
        });
    }
}

#[test]
fn a_peer_that_takes_nothing_of_a_write_is_ended() {
    check(Limits::default(), async |world| {
        let mut slow = world.peer("slow").await;
        slow.subscribe(1, Policy::DropOldest, &["news"]).await;
        world.network.stall(Path::to_client("slow"));
        world.pass(secs(3)).await;
        world.hub.publish("news", "now").expect("a good topic");
        world
            .pass(Limits::default().stall - Duration::from_micros(1))
            .await;
        assert_eq!(world.endings(), []);
        world.pass(Duration::from_micros(1)).await;
        assert_eq!(world.reason(), CloseReason::Stalled);
    });
}

#[test]
fn a_peer_that_is_told_to_go_has_so_long() {
    for closing in [Limits::default().closing, secs(1)] {
        let limits = Limits {
            closing,
            ..Limits::default()
        };
        check(limits, async |world| {
            let (mut peer, id) = world.known_peer("peer").await;
            world.hub.connection(id).close();
            let heard = peer.hear().await;
            assert!(matches!(heard.frame(), Frame::Close(_)));
            world.pass(closing - Duration::from_micros(1)).await;
            assert_eq!((world.endings(), world.sim.tasks()), (vec![], 2));
            world.pass(Duration::from_micros(1)).await;
            assert_eq!(world.reason(), CloseReason::Kicked);
            assert_eq!(world.sim.tasks(), 1, "and not as long again");
        });
    }
}

#[test]
fn a_peer_that_says_goodbye_and_stays_has_so_long() {
    check(Limits::default(), async |world| {
        let mut peer = world.peer("peer").await;
        let close = Close {
            reason: CloseReason::Done,
            verdict: Return::Never,
        };
        peer.say(&Frame::Close(close)).await;
        let heard = peer.hear().await;
        assert!(matches!(heard.frame(), Frame::Close(_)));
        world.sim.settle().await;
        assert_eq!(world.endings(), [Ending::ByPeer(close)]);
        assert_eq!(world.sim.tasks(), 2);
        world.pass(Limits::default().closing).await;
        assert_eq!(world.sim.tasks(), 1);
    });
}

#[test]
fn too_many_signs_of_life_are_a_flood() {
    let limits = Limits {
        pings: Rate {
            per_second: 10,
            burst: 50,
        },
        ..Limits::default()
    };
    let pong = Frame::Pong(Pong { nonce: 1 });
    let mut pong_bytes = Vec::new();
    lapwing::wire::append(&pong, &mut pong_bytes);
    for message in [&[0x11, 1][..], &pong_bytes, &[], &[0xff, 1, 2, 3]] {
        check(limits, async |world| {
            let mut peer = world.peer("peer").await;
            // As many as the rate allows, for ever.
            for _ in 0..100 {
                peer.say_bytes(message).await;
                world.pass(Duration::from_millis(100)).await;
            }
            for _ in 0..50 {
                peer.say_bytes(message).await;
            }
            world.sim.settle().await;
            assert_eq!(world.hub.counters().connections, 1);
            peer.say_bytes(message).await;
            assert_eq!(peer.close_reason().await, CloseReason::Flood);
        });
    }
}

#[test]
fn only_the_newest_ping_is_answered() {
    check(Limits::default(), async |world| {
        let (mut peer, id) = world.known_peer("peer").await;
        world.plug("peer", id).await;
        for nonce in 0..100 {
            peer.say(&ping(nonce)).await;
            world.sim.settle().await;
        }
        world.network.resume("peer");
        let pong = |frame: Frame<'_>| match frame {
            Frame::Pong(pong) => Some(pong.nonce),
            _ => None,
        };
        assert_eq!(peer.until(pong).await, 99);
        assert!(peer.is_quiet().await);
    });
}

#[test]
fn cheap_requests_beyond_their_rate_wait() {
    let limits = Limits {
        requests: Rate {
            per_second: 10,
            burst: 20,
        },
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut peer = world.peer("peer").await;
        let mut control = world.peer("control").await;
        for receipt in 1..=30 {
            let unsubscribe = Unsubscribe {
                receipt,
                first: 1,
                count: 1,
            };
            peer.say(&Frame::Unsubscribe(unsubscribe)).await;
        }
        world.sim.settle().await;
        world.round_trip(&mut control).await;
        for receipt in 1..=30 {
            let ack = |frame: Frame<'_>| match frame {
                Frame::Ack(ack) => Some(ack.receipt),
                _ => None,
            };
            assert_eq!(peer.until(ack).await, receipt);
            let refilled = Duration::from_millis(100) * receipt.saturating_sub(20);
            assert_eq!(world.sim.elapsed(), refilled);
        }
    });
}

#[test]
fn a_promise_of_no_time_at_all_leaves_time_for_others() {
    let limits = Limits {
        promise: Duration::ZERO,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut peer = world.peer("peer").await;
        for _ in 0..3 {
            peer.until(|frame| matches!(frame, Frame::Ping(_)).then_some(()))
                .await;
        }
        assert!(world.sim.elapsed() >= Duration::from_millis(2));
    });
}
