//! How much is kept, and for how long.

use super::*;

/// What a subscription from the beginning hears of the past.
async fn kept(world: &World, filter: &str) -> Vec<u64> {
    let mut peer = world.peer("reader").await;
    peer.take(1, Start::Beginning, &[filter]).await;
    let heard = peer.catches_up(1).await;
    heard.iter().map(offset_of).collect()
}

#[test]
fn a_topic_keeps_so_many_events() {
    let history = History {
        events_max: 5,
        ..ENDLESS
    };
    check(history, async |world| {
        publish(world, "news/a", 1..=5);
        assert_eq!(kept(world, "news/a").await, [1, 2, 3, 4, 5]);
        publish(world, "news/a", [6]);
        publish(world, "news/b", [7]);
        assert_eq!(kept(world, "news/*").await, [2, 3, 4, 5, 6, 7]);
    });
}

#[test]
fn a_topic_keeps_so_many_bytes() {
    // Each has 256 bytes around it, six of the topic and one of its own.
    let history = History {
        bytes_max: 3 * (256 + 6 + 1),
        ..ENDLESS
    };
    check(history, async |world| {
        publish(world, "news/a", 1..=3);
        assert_eq!(kept(world, "news/a").await, [1, 2, 3]);
        publish(world, "news/a", [4]);
        assert_eq!(kept(world, "news/a").await, [2, 3, 4]);
        let large = "x".repeat(1_000);
        let published = world.hub.publish("news/a", large);
        published.expect("it is offered all the same");
        assert_eq!(kept(world, "news/a").await, [0_u64; 0]);
    });
}

#[test]
fn events_become_so_old_and_not_a_microsecond_older() {
    let age = Duration::from_secs(60);
    let history = History {
        age: Some(age),
        ..ENDLESS
    };
    check(history, async |world| {
        publish(world, "news/a", 1..=2);
        world.pass(Duration::from_secs(1)).await;
        publish(world, "news/a", 3..=4);
        world
            .pass(age - Duration::from_secs(1) - Duration::from_micros(1))
            .await;
        assert_eq!(kept(world, "news/a").await, [1, 2, 3, 4]);
        world.pass(Duration::from_micros(1)).await;
        assert_eq!(kept(world, "news/a").await, [3, 4]);
        world.pass(age).await;
        assert_eq!(kept(world, "news/a").await, [0_u64; 0]);
    });
}

#[test]
fn a_hub_keeps_so_many_bytes_and_the_oldest_of_all_go() {
    let limits = Limits {
        history_bytes_max: 4 * (256 + 7 + 1),
        ..Limits::default()
    };
    check_limited(ENDLESS, limits, async |world| {
        publish(world, "news/aa", 1..=2);
        publish(world, "news/bb", 3..=4);
        assert_eq!(kept(world, "news/**").await, [1, 2, 3, 4]);
        publish(world, "state/a", [5]);
        publish(world, "news/bb", [6]);
        assert_eq!(kept(world, "news/**").await, [3, 4, 6]);
        // Values are no exception.
        publish(world, "news/bb", 7..=9);
        let mut peer = world.peer("peer").await;
        peer.take(1, Start::Retained, &["state/a"]).await;
        assert_eq!(peer.catches_up(1).await, []);
    });
}

#[test]
fn so_many_topics_keep_something() {
    let limits = Limits {
        history_topics_max: 2,
        ..Limits::default()
    };
    let age = Duration::from_secs(60);
    let history = History {
        age: Some(age),
        ..ENDLESS
    };
    check_limited(history, limits, async |world| {
        let mut peer = world.peer("peer").await;
        publish(world, "news/a", [1]);
        publish(world, "state/a", [2]);
        for _ in 0..2 {
            let refused = world.hub.publish("news/b", "x");
            let refused = refused.expect_err("two topics keep something");
            assert!(matches!(refused, PublishError::TooManyTopics { max: 2 }));
            peer.publish("news/c", "x").await;
            assert_eq!(peer.denied().await, Denied::TooMany { max: 2 });
        }
        // Those that keep something may go on, and so may those that keep nothing.
        publish(world, "news/a", [3]);
        publish(world, "chat", [0]);
        peer.publish("state/a", "4").await;
        assert!(matches!(peer.outcome().await, Outcome::Published { .. }));

        assert_eq!(world.hub.forget("state/a"), 1);
        peer.publish("news/c", "5").await;
        assert!(matches!(peer.outcome().await, Outcome::Published { .. }));
        peer.publish("news/d", "x").await;
        assert_eq!(peer.denied().await, Denied::TooMany { max: 2 });
        world.pass(age).await;
        // What has become too old makes room by itself.
        publish(world, "news/d", [6]);
        publish(world, "news/e", [7]);
        assert_eq!(kept(world, "news/*").await, [6, 7]);
    });
}

#[test]
fn what_is_forgotten_is_a_gap_for_who_has_not_had_it() {
    check(ENDLESS, async |world| {
        publish(world, "news/a", 1..=3);
        publish(world, "news/b", 4..=6);
        assert_eq!(world.hub.forget("news/a"), 3);
        assert_eq!(world.hub.forget("news"), 0);
        assert_eq!(world.hub.forget("no topic//"), 0);
        let mut peer = world.peer("peer").await;
        let epoch = peer.take(9, Start::Now, &["news/c"]).await.epoch;
        let mut verdict = async |offset, filter| {
            let start = Start::Offset { epoch, offset };
            let taken = peer.take(1, start, &[filter]).await;
            peer.catches_up(1).await;
            unsubscribe(&mut peer, 1).await;
            taken.verdict
        };
        assert_eq!(verdict(2, "news/a").await, GAP);
        assert_eq!(verdict(3, "news/a").await, Verdict::Resumed);
        assert_eq!(verdict(2, "news/*").await, GAP);
        assert_eq!(verdict(3, "news/*").await, replayed(4, 6));
        assert_eq!(verdict(2, "news/b").await, replayed(4, 6));
    });
}

#[test]
fn another_life_of_the_hub_has_another_epoch() {
    let mut epochs = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let sim = Virtual::new(seed);
        let hub = lapwing::Hub::builder(sim.clone()).topic("**", Rule::open().history(ENDLESS));
        let hub = hub.build().expect("a good filter");
        let epoch = sim.run(async {
            let (client, server) = lapwing_memory::pair(&sim.runtime());
            let attached = hub.attach(server);
            sim.spawn_named("hub", async move {
                attached.await;
            });
            let mut peer = Peer::new(Box::new(client), crate::carrier::Valve::default());
            peer.welcome(TERMS).await;
            let epoch = peer.take(1, Start::Now, &["a"]).await.epoch;
            peer.finish().await;
            epoch
        });
        let epoch = epoch.expect("nobody waits for ever");
        assert!(epoch < 1 << 53, "a number in JSON");
        epochs.insert(epoch);
    }
    assert_eq!(epochs.len(), 50);
}
