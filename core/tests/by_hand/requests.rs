//! What a client may ask for, and how much of it.

use lapwing::hub::PublishError;
use lapwing::wire::{Denied, Encoding, Frame, Name, Outcome, Payload, Publish, Terms, Unsubscribe};
use lapwing::{Limits, Policy};

use crate::peer::{Peer, TERMS, publish};
use crate::world::check;

async fn is_denied(peer: &mut Peer, first: u32, filters: &[&str]) -> Denied {
    peer.ask(first, None, filters).await;
    peer.denied().await
}

async fn published(peer: &mut Peer, name: Name<'_>) -> Outcome {
    peer.publish_named(name, Payload::text("x")).await;
    peer.outcome().await
}

const NOBODY: Outcome = Outcome::Published {
    queued: 0,
    dropped: 0,
};

#[test]
fn a_message_has_a_largest_size() {
    let limits = Limits {
        message_bytes_max: 1_000,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut peer = world.peer("peer").await;
        let mut message = crate::peer::bytes(&publish("news", ""));
        message.resize(1_000, 0);
        peer.say_bytes(&message).await;
        world.sim.settle().await;
        assert_eq!(world.hub.counters().connections, 1);

        message.push(0);
        peer.say_bytes(&message).await;
        peer.say(&publish("news", "more")).await;
        let (size, max) = (1_001, 1_000);
        let too_large = lapwing::wire::CloseReason::MessageTooLarge { size, max };
        assert_eq!(peer.close_reason().await, too_large);
        world.sim.settle().await;
        assert_eq!(world.reason(), too_large);
    });
}

#[test]
fn a_payload_is_as_large_as_its_rule_allows() {
    check(Limits::default(), async |world| {
        let mut peer = world.peer("peer").await;
        peer.publish("small", "abc").await;
        assert_eq!(peer.outcome().await, NOBODY);
        peer.publish("small", "abcd").await;
        let (size, max) = (4, 3);
        assert_eq!(peer.denied().await, Denied::TooLarge { size, max });
    });
}

#[test]
fn an_event_is_no_larger_than_a_message_of_those_who_hear_it() {
    let limits = Limits {
        message_bytes_max: 1_000,
        ..Limits::default()
    };
    check(limits, async |world| {
        let topic = "x".repeat(200);
        let mut sub = world.connect("sub").await;
        let message_bytes_max = limits.message_bytes_max;
        sub.welcome(Terms {
            message_bytes_max,
            ..TERMS
        })
        .await;
        sub.subscribe(1, Policy::Disconnect, &[&topic]).await;
        let mut peer = world.peer("peer").await;
        let declared = published(&mut peer, Name::Declare(1, &topic)).await;
        let (queued, dropped) = (1, 0);
        let heard = Outcome::Published { queued, dropped };
        assert_eq!(declared, heard);
        // Around them: a kind, two lengths of two bytes, that it is not direct and has no offset, an encoding.
        let max = 1_000 - 200 - 8;
        let payload = "y".repeat(max + 1);
        let most = Payload::text(&payload[..max]);
        peer.publish_named(Name::Alias(1), most).await;
        assert_eq!(peer.outcome().await, heard);
        let more = Payload::text(&payload);
        peer.publish_named(Name::Alias(1), more).await;
        let (size, max) = (max as u64 + 1, max as u64);
        assert_eq!(peer.denied().await, Denied::TooLarge { size, max });
        assert_eq!(
            (sub.hear().await.len(), sub.hear().await.len()),
            (208, 1_000)
        );
        assert!(sub.is_quiet().await, "it is not ended");
    });
}

#[test]
fn a_connection_has_so_many_subscriptions() {
    let limits = Limits {
        subscriptions_max: 3,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut peer = world.peer("peer").await;
        peer.subscribe(1, Policy::Disconnect, &["a", "b"]).await;
        let too_many = Denied::TooMany { max: 3 };
        assert_eq!(is_denied(&mut peer, 10, &["c", "d"]).await, too_many);
        assert_eq!(is_denied(&mut peer, 10, &["c"; 4]).await, too_many);
        assert_eq!(
            world.hub.counters().subscriptions,
            2,
            "all of them, or none"
        );
        let published = world.hub.publish("c", "x").expect("a good topic");
        assert_eq!(published.queued, 0);

        peer.subscribe(10, Policy::Disconnect, &["c"]).await;
        unsubscribe(&mut peer, 1, 1).await;
        peer.subscribe(1, Policy::Disconnect, &["d"]).await;
    });
}

async fn unsubscribe(peer: &mut Peer, first: u32, count: u32) {
    let receipt = 1_000_000;
    peer.say(&Frame::Unsubscribe(Unsubscribe {
        receipt,
        first,
        count,
    }))
    .await;
    let ended = |frame: Frame<'_>| match frame {
        Frame::Ack(ack) if ack.receipt == receipt => Some(ack.outcome),
        _ => None,
    };
    assert_eq!(peer.until(ended).await, Outcome::Unsubscribed);
}

#[test]
fn the_number_of_a_subscription_is_free() {
    check(Limits::default(), async |world| {
        let mut peer = world.peer("peer").await;
        peer.subscribe(5, Policy::Disconnect, &["a", "b"]).await;
        for (first, filters) in [
            (5, &["c"][..]),
            (6, &["c"]),
            (4, &["c", "d"]),
            (u32::MAX, &["c", "d"]),
        ] {
            let denied = is_denied(&mut peer, first, filters).await;
            assert_eq!(denied, Denied::NumberTaken, "{first}");
        }
        assert_eq!(world.hub.counters().subscriptions, 2);
        peer.subscribe(7, Policy::Disconnect, &[]).await;
    });
}

#[test]
fn the_hub_numbers_subscriptions_that_come_without() {
    check(Limits::default(), async |world| {
        let mut peer = world.peer("peer").await;
        for first in [1, 3] {
            peer.ask(0, None, &["a", "b"]).await;
            assert_eq!(peer.outcome().await, Outcome::Numbered { first });
        }
        peer.subscribe(9, Policy::Disconnect, &["a"]).await;
        peer.ask(0, None, &["a"]).await;
        assert_eq!(peer.outcome().await, Outcome::Numbered { first: 10 });
        assert_eq!(world.hub.counters().subscriptions, 6);

        peer.subscribe(u32::MAX - 1, Policy::Disconnect, &["a"])
            .await;
        let denied = is_denied(&mut peer, 0, &["a"]).await;
        assert_eq!(
            denied,
            Denied::NumberTaken,
            "no number is left behind the last"
        );
        assert_eq!(world.hub.counters().subscriptions, 7);
    });
}

#[test]
fn any_range_may_be_unsubscribed() {
    check(Limits::default(), async |world| {
        let mut peer = world.peer("peer").await;
        let many: Vec<_> = (0..500).map(|number| format!("topic/{number}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        peer.subscribe(3_000_000, Policy::Disconnect, &many).await;
        unsubscribe(&mut peer, 3_000_499, u32::MAX).await;
        assert_eq!(world.hub.counters().subscriptions, 499);
        unsubscribe(&mut peer, 3_000_000, 0).await;
        unsubscribe(&mut peer, 0, 3_000_000).await;
        assert_eq!(world.hub.counters().subscriptions, 499);
        for _ in 0..50 {
            unsubscribe(&mut peer, 0, u32::MAX).await;
            assert_eq!(world.hub.counters().subscriptions, 0);
        }
        let published = world.hub.publish("topic/7", "x").expect("a good topic");
        assert_eq!(published.queued, 0);
    });
}

#[test]
fn an_event_is_heard_through_the_next_subscription_when_the_first_one_ends() {
    check(Limits::default(), async |world| {
        let mut peer = world.peer("peer").await;
        peer.subscribe(1, Policy::Disconnect, &["a/b"]).await;
        peer.subscribe(2, Policy::Disconnect, &["a/**"]).await;
        let mut publisher = world.peer("publisher").await;
        let (queued, dropped) = (1, 0);
        let heard = Outcome::Published { queued, dropped };
        assert_eq!(published(&mut publisher, Name::Topic("a/b")).await, heard);
        unsubscribe(&mut peer, 1, 1).await;
        assert_eq!(published(&mut publisher, Name::Topic("a/b")).await, heard);
        peer.account(1).await;
        world.sim.settle().await;
        assert!(peer.is_quiet().await, "the other one came before the Ack");
    });
}

#[test]
fn topics_and_filters_are_within_the_limits() {
    let limits = Limits {
        topic_bytes_max: 20,
        topic_segments_max: 3,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut peer = world.peer("peer").await;
        let long = "x".repeat(21);
        for bad in ["", "a//b", "/a", "a/", "a\u{7}", "a/b/c/d", &long] {
            assert_eq!(
                is_denied(&mut peer, 1, &[bad]).await,
                Denied::Topic,
                "{bad}"
            );
            assert_eq!(is_denied(&mut peer, 1, &["good", bad]).await, Denied::Topic);
            for name in [Name::Topic(bad), Name::Declare(1, bad)] {
                let denied = Outcome::Denied(Denied::Topic);
                assert_eq!(published(&mut peer, name).await, denied, "{bad}");
            }
        }
        for bad in ["a*", "**/a", "a/***"] {
            assert_eq!(
                is_denied(&mut peer, 1, &[bad]).await,
                Denied::Topic,
                "{bad}"
            );
        }
        for filter in ["*", "a/*/**", "**"] {
            let name = Name::Topic(filter);
            let denied = Outcome::Denied(Denied::Topic);
            assert_eq!(published(&mut peer, name).await, denied, "{filter}");
        }
        assert_eq!(world.hub.counters().subscriptions, 0);
        let exact = "x".repeat(20);
        assert_eq!(published(&mut peer, Name::Topic(&exact)).await, NOBODY);
        assert_eq!(published(&mut peer, Name::Topic("a/b/c")).await, NOBODY);
    });
}

#[test]
fn a_peer_names_so_many_topics() {
    let limits = Limits {
        aliases_max: 2,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut peer = world.peer("peer").await;
        let undeclared = published(&mut peer, Name::Alias(1)).await;
        assert_eq!(undeclared, Outcome::Denied(Denied::Alias));
        for alias in [0, u16::MAX] {
            let outcome = published(&mut peer, Name::Declare(alias, "a")).await;
            assert_eq!(outcome, NOBODY);
        }
        let third = published(&mut peer, Name::Declare(7, "a")).await;
        assert_eq!(third, Outcome::Denied(Denied::TooMany { max: 2 }));
        // A number may change its meaning.
        peer.subscribe(1, Policy::Disconnect, &["b"]).await;
        let (queued, dropped) = (1, 0);
        let heard = Outcome::Published { queued, dropped };
        assert_eq!(published(&mut peer, Name::Declare(0, "b")).await, heard);
        assert_eq!(published(&mut peer, Name::Alias(0)).await, heard);
        assert_eq!(published(&mut peer, Name::Alias(u16::MAX)).await, NOBODY);
    });
}

#[test]
fn what_no_rule_allows_and_what_is_no_text_is_denied() {
    check(Limits::default(), async |world| {
        let mut peer = world.peer("peer").await;
        let closed = Name::Topic("closed/door");
        let forbidden = Outcome::Denied(Denied::Forbidden);
        assert_eq!(published(&mut peer, closed).await, forbidden);
        let denied = is_denied(&mut peer, 1, &["closed/door"]).await;
        assert_eq!(denied, Denied::Forbidden);

        let no_text = Payload {
            encoding: Encoding::Text,
            bytes: &[0xff, 0xfe],
        };
        peer.subscribe(1, Policy::Disconnect, &["news"]).await;
        peer.publish_named(Name::Topic("news"), no_text).await;
        assert_eq!(peer.denied().await, Denied::Payload);
        let silently = Publish {
            receipt: 0,
            name: Name::Topic("news"),
            payload: no_text,
        };
        peer.say(&Frame::Publish(silently)).await;
        world.sim.settle().await;
        assert!(peer.is_quiet().await);
    });
}

#[test]
fn who_does_not_take_its_answers_is_not_read() {
    for answers_max in [64, 5] {
        let limits = Limits {
            answers_waiting_max: answers_max,
            ..Limits::default()
        };
        check(limits, async |world| {
            let (mut peer, id) = world.known_peer("peer").await;
            let mut control = world.peer("control").await;
            world.plug("peer", id).await;
            for _ in 0..200 {
                peer.publish("news", "x").await;
            }
            world.sim.settle().await;
            let counters = world.hub.counters();
            assert_eq!(counters.waiting_frames, u64::from(answers_max));
            assert_eq!(counters.frames_in, 2 + u64::from(answers_max));
            world.round_trip(&mut control).await;
            world.network.resume("peer");
            assert_eq!(peer.outcome().await, NOBODY, "all of them are answered");
        });
    }
}

#[test]
fn the_program_may_not_publish_more_than_the_hub_may_hold() {
    let limits = Limits {
        hub_bytes_max: 1_000,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut peer = world.peer("peer").await;
        peer.subscribe(1, Policy::Disconnect, &["news"]).await;
        let publish = |size| world.hub.publish("news", "x".repeat(size));
        assert!(publish(1_000).is_ok());
        let refused = publish(1_001);
        let (size, max) = (1_001, 1_000);
        assert!(
            matches!(refused, Err(PublishError::TooLarge { size: s, max: m }) if (s, m) == (size, max)),
            "{refused:?}"
        );
        peer.account(1).await;
        peer.publish("news", &"x".repeat(1_001)).await;
        assert_eq!(peer.denied().await, Denied::TooLarge { size, max });
    });
}
