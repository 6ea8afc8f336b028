//! Subscribers that do not read as fast as others publish.

use lapwing::wire::CloseReason;
use lapwing::{Limits, Policy};
use lapwing_memory::Path;

use crate::peer::{Got, Peer, got};
use crate::world::{World, check, check_with};

const POLICIES: [(Policy, &str); 3] = [
    (Policy::DropOldest, "drop-oldest"),
    (Policy::DropNewest, "drop-newest"),
    (Policy::KeepLatest, "keep-latest"),
];

/// A subscriber of `news` to whom nothing gets through.
async fn stalled(world: &World, policy: Policy) -> Peer {
    let mut slow = world.peer("slow").await;
    slow.subscribe(1, policy, &["news"]).await;
    world.network.stall(Path::to_client("slow"));
    slow
}

/// Publishes numbers of so many digits; says how many were dropped.
async fn publish(world: &World, numbers: std::ops::Range<u32>, digits: usize) -> u64 {
    let mut dropped = 0;
    for number in numbers {
        let text = format!("{number:0digits$}");
        let published = world.hub.publish("news", text).expect("a good topic");
        dropped += u64::from(published.dropped);
        world.sim.settle().await;
    }
    dropped
}

#[test]
fn frames_beyond_the_lane_end_a_subscriber_that_may_miss_nothing() {
    let limits = Limits {
        lane_frames_max: 5,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut slow = stalled(world, Policy::Disconnect).await;
        // The transport takes the first one.
        assert_eq!(publish(world, 0..6, 1).await, 0);
        assert_eq!(world.hub.counters().waiting_frames, 5);
        assert_eq!(publish(world, 6..7, 1).await, 1);
        assert_eq!(world.hub.counters().dropped["disconnect"], 1);
        world.network.resume("slow");
        assert_eq!(slow.close_reason().await, CloseReason::TooSlow);
        world.sim.settle().await;
        assert_eq!(world.reason(), CloseReason::TooSlow);
    });
}

#[test]
fn bytes_beyond_the_lane_end_a_subscriber_that_may_miss_nothing() {
    let limits = Limits {
        lane_bytes_max: 10_000,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut slow = stalled(world, Policy::Disconnect).await;
        assert_eq!(publish(world, 0..10, 1_000).await, 0);
        assert!(world.hub.counters().waiting_bytes > 9_000);
        assert_eq!(publish(world, 10..11, 1_000).await, 1);
        world.network.resume("slow");
        assert_eq!(slow.close_reason().await, CloseReason::TooSlow);
    });
}

#[test]
fn every_loss_is_told_at_its_place() {
    let limits = Limits {
        lane_frames_max: 8,
        ..Limits::default()
    };
    for (policy, name) in POLICIES {
        check(limits, async |world| {
            let mut slow = stalled(world, policy).await;
            let dropped = publish(world, 0..40, 2).await;
            assert_eq!(world.hub.counters().dropped[name], dropped);
            world.network.resume("slow");
            world.sim.settle().await;
            publish(world, 40..42, 2).await;
            let heard = slow.account(42).await;
            let missed: u64 = heard.iter().map(missed_of).sum();
            assert_eq!(missed, dropped);
            assert_eq!(heard.last(), Some(&Got::Event("41".into())));
            let at = |index: usize| &heard[index];
            let event = |number: &str| Got::Event(number.into());
            match policy {
                Policy::DropOldest => {
                    // The first one was in the transport's hands.
                    assert_eq!((at(0), at(1)), (&event("00"), &Got::Missed(35)));
                    assert_eq!(at(2), &event("36"));
                }
                Policy::DropNewest => {
                    assert_eq!(at(4), &event("04"));
                    assert_eq!(at(5), &Got::Missed(35));
                }
                _ => {
                    assert_eq!((at(0), at(1)), (&event("00"), &Got::Missed(38)));
                    assert_eq!(at(2), &event("39"));
                }
            }
        });
    }
}

fn missed_of(got: &Got) -> u64 {
    match got {
        Got::Event(_) => 0,
        Got::Missed(missed) => *missed,
    }
}

#[test]
fn what_the_transport_has_is_neither_dropped_nor_counted_as_missing() {
    let limits = Limits {
        lane_frames_max: 8,
        ..Limits::default()
    };
    for (policy, _) in POLICIES {
        check(limits, async |world| {
            let mut slow = stalled(world, policy).await;
            let to_client = Path::to_client("slow");
            for round in 0..20 {
                publish(world, round * 13..round * 13 + 13, 1).await;
                world.network.resume(to_client);
                world.network.stall(to_client);
            }
            world.network.resume(to_client);
            let heard = slow.account(20 * 13).await;
            let numbers = heard.iter().filter_map(|got| match got {
                Got::Event(number) => Some(number.parse::<u32>().expect("a number")),
                Got::Missed(_) => None,
            });
            assert!(numbers.is_sorted_by(|a, b| a < b));
        });
    }
}

#[test]
fn droppable_subscriptions_leave_half_of_the_lane_to_others() {
    let limits = Limits {
        lane_frames_max: 8,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut slow = world.peer("slow").await;
        slow.subscribe(1, Policy::DropNewest, &["noise"]).await;
        slow.subscribe(2, Policy::Disconnect, &["news"]).await;
        world.network.stall("slow");
        for _ in 0..100 {
            world.hub.publish("noise", "noise").expect("a good topic");
            world.sim.settle().await;
        }
        assert_eq!(publish(world, 0..4, 1).await, 0);
        world.network.resume("slow");
        slow.account(104).await;
    });
}

#[test]
fn an_event_larger_than_the_lane_is_delivered_when_nothing_waits() {
    let limits = Limits {
        lane_bytes_max: 1_000,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut peer = world.peer("peer").await;
        peer.subscribe(1, Policy::Disconnect, &["news"]).await;
        for _ in 0..3 {
            assert_eq!(publish(world, 0..1, 5_000).await, 0);
            assert_eq!(peer.account(1).await.len(), 1);
        }
    });
}

#[test]
fn what_is_sent_straight_to_a_connection_has_a_policy_too() {
    for (policy, name) in POLICIES {
        let limits = Limits {
            lane_frames_max: 8,
            ..Limits::default()
        };
        check_with(
            |_, builder| builder.limits(limits).direct_policy(policy),
            async |world| {
                let (mut slow, id) = world.known_peer("slow").await;
                world.network.stall("slow");
                let mut sent = 0;
                while world.hub.counters().dropped[name] == 0 {
                    let remote = world.hub.connection(id);
                    remote.send("hint", "look").expect("a good topic");
                    sent += 1;
                    world.sim.settle().await;
                }
                world.network.resume("slow");
                slow.account(sent).await;
            },
        );
    }
}

#[test]
fn a_slow_subscriber_does_not_delay_a_quick_one() {
    check(Limits::default(), async |world| {
        let mut quick = world.peer("quick").await;
        quick.subscribe(1, Policy::Disconnect, &["news"]).await;
        let mut slow = stalled(world, Policy::DropOldest).await;
        for number in 0..2_000 {
            publish(world, number..number + 1, 4).await;
            let text = format!("{number:04}");
            assert_eq!(quick.until(got).await, Got::Event(text));
        }
        world.network.resume("slow");
        slow.account(2_000).await;
    });
}

#[test]
fn policies_act_early_when_the_hub_has_no_memory() {
    let limits = Limits {
        hub_bytes_max: 20_000,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut lossy = world.peer("lossy").await;
        lossy.subscribe(1, Policy::DropNewest, &["news"]).await;
        let mut strict = world.peer("strict").await;
        strict.subscribe(1, Policy::Disconnect, &["news"]).await;
        let mut quick = world.peer("quick").await;
        quick.subscribe(1, Policy::Disconnect, &["news"]).await;
        world.network.stall(Path::to_client("lossy"));
        world.network.stall(Path::to_client("strict"));

        // Lanes have room for a thousand of them.
        let mut published = 0;
        while publish(world, 0..1, 1_000).await == 0 {
            published += 1;
            quick.account(1).await;
        }
        // Each lane copies what is old.
        assert!((10..=20).contains(&published), "{published}");
        quick.account(1).await;
        let dropped = world.hub.counters().dropped;
        assert_eq!((dropped["drop-newest"], dropped["disconnect"]), (1, 1));

        world.network.resume("strict");
        assert_eq!(strict.close_reason().await, CloseReason::TooSlow);
        world.network.resume("lossy");
        lossy.account(published + 1).await;
        assert_eq!(publish(world, 0..1, 1_000).await, 0);
        lossy.account(1).await;
    });
}

#[test]
fn who_may_miss_the_old_gives_back_the_memory_of_the_hub() {
    let hub_bytes_max = 20_000;
    let limits = Limits {
        hub_bytes_max,
        ..Limits::default()
    };
    for policy in [Policy::DropOldest, Policy::KeepLatest] {
        check(limits, async |world| {
            let mut first = world.peer("first").await;
            first.subscribe(1, Policy::DropNewest, &["news/*"]).await;
            let mut last = world.peer("last").await;
            last.subscribe(1, policy, &["news/*"]).await;
            let mut quick = world.peer("quick").await;
            quick.subscribe(1, policy, &["news/*"]).await;
            world.network.stall(Path::to_client("first"));
            world.network.stall(Path::to_client("last"));
            for number in 0..100 {
                let topic = format!("news/{number}");
                let text = "x".repeat(1_000);
                world.hub.publish(&topic, text).expect("a good topic");
                quick.account(1).await;
                world.sim.settle().await;
            }
            // One keeps the beginning. What the other kept of it was given up for nothing.
            let held = world.hub.counters().held_bytes;
            assert!(held < hub_bytes_max + 1_100, "{held}");
            world.network.resume("first");
            world.network.resume("last");
            first.account(100).await;
            last.account(100).await;
        });
    }
}
