//! Retained values: the newest of each topic, and then what is published.

use super::*;

#[test]
fn the_newest_value_of_each_topic_is_heard_and_then_the_present() {
    check(ENDLESS, async |world| {
        publish(world, "state/a", 1..=3);
        publish(world, "state/b", 4..=5);
        publish(world, "news/a", 6..=7);
        publish(world, "chat", [0]);
        let mut peer = world.peer("peer").await;
        let taken = peer.take(1, Start::Retained, &["state/*"]).await;
        assert_eq!((taken.newest, taken.verdict), (7, Verdict::Resumed));
        assert_eq!(peer.catches_up(1).await, past([3, 5]));
        publish(world, "state/a", [8]);
        assert_eq!(peer.hears(1).await, present([8]));

        // A history has a newest event, too, and what keeps nothing has none.
        let mut other = world.peer("other").await;
        other.take(1, Start::Retained, &["news/**"]).await;
        assert_eq!(other.catches_up(1).await, past([7]));
        publish(world, "news/b", [9]);
        assert_eq!(other.hears(1).await, present([9]));
    });
}

#[test]
fn a_value_stays_until_another_one_comes() {
    let history = History {
        events_max: 2,
        age: Some(Duration::from_secs(60)),
        ..History::default()
    };
    let builds = [
        Rule::open().retain(),
        Rule::open().retain().history(history),
        Rule::open().history(history),
    ];
    for (kind, rule) in builds.into_iter().enumerate() {
        check_with(
            |_, builder| builder.topic("t", rule.clone()),
            async |world| {
                let mut peer = world.peer("peer").await;
                publish(world, "t", 1..=4);
                world.pass(Duration::from_secs(3_600)).await;
                peer.take(1, Start::Retained, &["t"]).await;
                let retained = if kind == 2 { past([]) } else { past([4]) };
                assert_eq!(peer.catches_up(1).await, retained);
                assert_eq!(world.hub.forget("t"), retained.len() as u64);
                unsubscribe(&mut peer, 1).await;
                peer.take(1, Start::Retained, &["t"]).await;
                assert_eq!(peer.catches_up(1).await, []);
            },
        );
    }
}

#[test]
fn with_a_history_a_value_begins_to_age_when_it_is_not_the_newest() {
    let age = Duration::from_secs(60);
    let history = History {
        age: Some(age),
        ..History::default()
    };
    check_with(
        |_, builder| builder.topic("t", Rule::open().retain().history(history)),
        async |world| {
            publish(world, "t", [1]);
            world.pass(age * 2).await;
            let mut peer = world.peer("peer").await;
            peer.take(1, Start::Beginning, &["t"]).await;
            assert_eq!(peer.catches_up(1).await, past([1]));
            publish(world, "t", [2]);
            peer.take(2, Start::Beginning, &["t"]).await;
            let heard = peer.catches_up(2).await;
            assert_eq!(heard, [H::Replay(2, 2, "2".into())]);
        },
    );
}

/// A value that waits to be read, and is replaced meanwhile, is not heard behind the newer one.
#[test]
fn no_value_is_heard_behind_a_newer_one() {
    let limits = Limits {
        lane_frames_max: 8,
        ..Limits::default()
    };
    check_limited(ENDLESS, limits, async |world| {
        for topic in 1..=30 {
            publish(world, &format!("state/{topic:02}"), [topic]);
        }
        let (mut peer, id) = world.known_peer("peer").await;
        world.plug("peer", id).await;
        let all = from(1, None, Start::Retained, &["state/*"]);
        peer.say(&all).await;
        world.sim.settle().await;
        publish(world, "state/29", [31]);
        publish(world, "state/30", [32]);
        world.network.resume(Path::to_client("peer"));
        let heard = peer.catches_up(1).await;
        let events: Vec<_> = heard
            .iter()
            .filter(|heard| matches!(heard, H::Event(..)))
            .collect();
        assert_eq!(events, present(31..=32).iter().collect::<Vec<_>>());
        let values: Vec<_> = heard
            .iter()
            .filter(|heard| matches!(heard, H::Replay(..)))
            .collect();
        assert_eq!(values, past(1..=28).iter().collect::<Vec<_>>());
    });
}

#[test]
fn a_value_that_goes_before_it_is_read_is_no_loss() {
    let limits = Limits {
        lane_frames_max: 8,
        ..Limits::default()
    };
    check_limited(ENDLESS, limits, async |world| {
        for topic in 1..=30 {
            publish(world, &format!("state/{topic:02}"), [topic]);
        }
        let (mut peer, id) = world.known_peer("peer").await;
        world.plug("peer", id).await;
        peer.say(&from(1, None, Start::Retained, &["state/*"]))
            .await;
        world.sim.settle().await;
        for topic in 20..=25 {
            assert_eq!(world.hub.forget(&format!("state/{topic}")), 1);
        }
        world.network.resume(Path::to_client("peer"));
        let rest = (1..=19).chain(26..=30);
        assert_eq!(peer.catches_up(1).await, past(rest));
        publish(world, "state/20", [31]);
        assert_eq!(peer.hears(1).await, present([31]));
    });
}
