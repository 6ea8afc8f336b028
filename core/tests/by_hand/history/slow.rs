//! Subscribers that read the past more slowly than others publish.

use super::*;

const POLICIES: [Policy; 3] = [Policy::DropOldest, Policy::DropNewest, Policy::KeepLatest];

fn narrow() -> Limits {
    Limits {
        lane_frames_max: 8,
        ..Limits::default()
    }
}

/// A peer that has asked for the past, of which nothing gets through to it.
async fn stalled(world: &World, name: &str, policy: Policy) -> Peer {
    let (mut peer, id) = world.known_peer(name).await;
    world.plug(name, id).await;
    let beginning = from(1, Some(policy), Start::Beginning, &["news/**"]);
    peer.say(&beginning).await;
    world.sim.settle().await;
    peer
}

#[test]
fn the_past_comes_as_there_is_room_for_it_and_the_present_behind_it() {
    for policy in POLICIES.into_iter().chain([Policy::Disconnect]) {
        check_limited(ENDLESS, narrow(), async |world| {
            publish(world, "news/a", 1..=300);
            let mut slow = stalled(world, "slow", policy).await;
            assert!(world.hub.counters().waiting_frames <= 8);
            publish(world, "news/a", 301..=400);
            world.network.resume(Path::to_client("slow"));
            assert_eq!(slow.hears(400).await, past(1..=400));
            assert_eq!(slow.hears(1).await, [H::Live(1, 400)]);
            publish(world, "news/a", [401]);
            assert_eq!(slow.hears(1).await, present([401]));
        });
    }
}

#[test]
fn what_goes_before_it_is_read_is_told() {
    let history = History {
        events_max: 20,
        ..ENDLESS
    };
    for policy in POLICIES {
        check_limited(history, narrow(), async |world| {
            publish(world, "news/a", 1..=20);
            let mut slow = stalled(world, "slow", policy).await;
            publish(world, "news/a", 21..=120);
            world.network.resume(Path::to_client("slow"));
            let heard = slow.catches_up(1).await;
            let hole = heard
                .iter()
                .position(|heard| matches!(heard, H::Missed(..)));
            let hole = hole.expect("it was too slow");
            assert_eq!(heard[..hole], past(1..=hole as u64));
            assert_eq!(heard[hole], H::Missed(1, 100 - hole as u64));
            assert_eq!(heard[hole + 1..], past(101..=120));
            publish(world, "news/a", [121]);
            assert_eq!(slow.hears(1).await, present([121]));
        });
    }
}

#[test]
fn who_may_miss_nothing_is_ended_when_something_goes_before_it_is_read() {
    let history = History {
        events_max: 20,
        ..ENDLESS
    };
    check_limited(history, narrow(), async |world| {
        publish(world, "news/a", 1..=20);
        let mut slow = stalled(world, "slow", Policy::Disconnect).await;
        publish(world, "news/a", 21..=40);
        world.network.resume(Path::to_client("slow"));
        assert_eq!(slow.close_reason().await, CloseReason::TooSlow);
        world.sim.settle().await;
        assert_eq!(world.reason(), CloseReason::TooSlow);
    });
}

#[test]
fn the_past_leaves_half_of_the_lane_to_the_present() {
    check_limited(ENDLESS, narrow(), async |world| {
        publish(world, "news/a", 1..=100);
        let (mut slow, id) = world.known_peer("slow").await;
        slow.subscribe(7, Policy::Disconnect, &["chat"]).await;
        world.plug("slow", id).await;
        slow.say(&from(1, None, Start::Beginning, &["news/a"]))
            .await;
        world.sim.settle().await;
        for _ in 0..4 {
            let published = world.hub.publish("chat", "0").expect("a good topic");
            assert_eq!((published.queued, published.dropped), (1, 0));
        }
        world.network.resume(Path::to_client("slow"));
        let heard = slow.catches_up(1).await;
        let events = heard.iter().filter(|heard| matches!(heard, H::Event(..)));
        assert_eq!(events.count(), 4);
        assert_eq!(heard.len(), 104);
    });
}

#[test]
fn nothing_of_the_past_follows_the_end_of_a_subscription() {
    check_limited(ENDLESS, narrow(), async |world| {
        publish(world, "news/a", 1..=100);
        let mut slow = stalled(world, "slow", Policy::Disconnect).await;
        slow.say(&from(2, None, Start::Beginning, &["news/a"]))
            .await;
        let (receipt, first, count) = (5, 1, 1);
        slow.say(&Frame::Unsubscribe(Unsubscribe {
            receipt,
            first,
            count,
        }))
        .await;
        world.sim.settle().await;
        world.network.resume(Path::to_client("slow"));
        let mut heard = [0, 0];
        loop {
            let next = |frame: Frame<'_>| match frame {
                Frame::Replay(replay) => Some(Some(replay.subscription)),
                Frame::Ack(Ack {
                    outcome: Outcome::Unsubscribed,
                    ..
                }) => Some(None),
                _ => None,
            };
            match slow.until(next).await {
                Some(subscription) => heard[subscription as usize - 1] += 1,
                None => break,
            }
        }
        assert!(heard[0] < 10, "{heard:?}");
        let rest: Vec<_> = slow.catches_up(2).await;
        assert_eq!(rest.len() + heard[1], 100);
        assert!(rest.iter().all(|heard| matches!(heard, H::Replay(2, ..))));
        publish(world, "news/a", [101]);
        assert_eq!(slow.hears(1).await, present([101]));
    });
}

#[test]
fn a_slow_reader_of_the_past_delays_nobody() {
    check_limited(ENDLESS, narrow(), async |world| {
        publish(world, "news/a", 1..=1_000);
        let _slow = stalled(world, "slow", Policy::Disconnect).await;
        let mut quick = world.peer("quick").await;
        quick.take(1, Start::Beginning, &["news/a"]).await;
        assert_eq!(quick.catches_up(1).await, past(1..=1_000));
        publish(world, "news/a", [1_001]);
        assert_eq!(quick.hears(1).await, present([1_001]));
        assert_eq!(world.sim.elapsed(), Duration::ZERO);
    });
}

#[test]
fn an_event_that_the_peer_does_not_take_is_told_as_missing() {
    check(ENDLESS, async |world| {
        publish(world, "news/a", [1]);
        let large = "x".repeat(2_000);
        world.hub.publish("news/a", large).expect("a good topic");
        publish(world, "news/a", [3]);
        let mut peer = world.connect("peer").await;
        let message_bytes_max = 1_000;
        peer.welcome(lapwing::wire::Terms {
            message_bytes_max,
            ..TERMS
        })
        .await;
        peer.take(1, Start::Beginning, &["news/a"]).await;
        let heard = peer.catches_up(1).await;
        assert_eq!(heard[0], past([1])[0]);
        assert_eq!(heard[1..], [H::Missed(1, 1), past([3])[0].clone()]);
    });
}

#[test]
fn an_event_larger_than_the_lane_is_replayed_when_nothing_waits() {
    let limits = Limits {
        lane_bytes_max: 1_000,
        ..Limits::default()
    };
    check_limited(ENDLESS, limits, async |world| {
        for _ in 0..5 {
            let large = "x".repeat(5_000);
            world.hub.publish("news/a", large).expect("a good topic");
        }
        let mut peer = world.peer("peer").await;
        peer.take(1, Start::Beginning, &["news/a"]).await;
        assert_eq!(peer.catches_up(1).await.len(), 5);
    });
}

/// As large as a peer may publish it, and read again by those who take no larger messages than the hub itself.
#[test]
fn what_a_peer_may_publish_can_be_heard_at_once_and_again() {
    let limits = Limits {
        message_bytes_max: 1_000,
        ..Limits::default()
    };
    check_limited(ENDLESS, limits, async |world| {
        let mut peer = world.connect("peer").await;
        let message_bytes_max = limits.message_bytes_max;
        peer.welcome(lapwing::wire::Terms {
            message_bytes_max,
            ..TERMS
        })
        .await;
        peer.take(1, Start::Now, &["news/a"]).await;
        let text = "x".repeat(2_000);
        peer.publish("news/a", &text[..985]).await;
        let Denied::TooLarge { size: 985, max } = peer.denied().await else {
            panic!("it is too large");
        };
        assert!(max > 950, "{max}");
        peer.publish("news/a", &text[..max as usize]).await;
        assert_eq!(offset_of(&peer.hears(1).await[0]), 1);
        peer.take(1 << 30, Start::Beginning, &["news/a"]).await;
        let heard = peer.catches_up(1 << 30).await;
        assert!(matches!(heard[..], [H::Replay(_, 1, _)]), "{heard:?}");
    });
}
