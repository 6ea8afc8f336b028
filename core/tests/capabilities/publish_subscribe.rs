//! Events reach whoever subscribes, once, in order and as they were; rules say who may.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_lite::future::zip;
use lapwing::client::{PublishError, SubscribeError, SubscribeOptions};
use lapwing::hub::{Admission, Ask, Caller, Published, Rule};
use lapwing::payload::PayloadError;
use lapwing::wire::{Denied, Encoding, Frame, List, Outcome, Payload, Start, Subscribe};
use lapwing::{Client, Limits, Policy, Subscription, TopicError, Typed, UserId};
use serde::{Deserialize, Serialize, Serializer};

use crate::ground::{Ground, PATIENCE, online};
use crate::peer::{Peer, TERMS};
use crate::reading::{event, number, text};
use crate::world::World;

everywhere![
    an_event_reaches_every_subscriber_once_and_in_order,
    overlapping_subscriptions_of_a_client_hear_an_event_once_each,
    wildcards_select_what_they_say,
    events_of_one_publisher_keep_their_order_across_topics,
    all_subscribers_hear_several_publishers_in_one_order,
    values_texts_and_bytes_arrive_as_they_were,
    one_publish_is_one_encoding,
    every_event_after_subscribe_is_heard_and_none_from_before,
    no_event_after_close_is_heard,
    the_program_hears_what_clients_publish,
    who_subscribes_what_it_publishes_hears_itself,
    rules_say_who_may_publish_and_subscribe,
    the_first_rule_of_a_topic_counts_for_its_publisher,
    every_rule_that_a_filter_touches_has_to_allow_it,
    a_payload_beyond_its_rule_is_denied_with_both_sizes,
    an_event_that_the_hub_would_not_take_comes_back_with_both_sizes,
    what_is_no_topic_and_no_filter_is_refused_here,
];

const ONE: Published = Published {
    queued: 1,
    dropped: 0,
};

async fn subscribe(client: &Client, filter: &str) -> Subscription {
    let subscription = client.subscribe(filter).await;
    subscription.expect("the hub allows it")
}

async fn an_event_reaches_every_subscriber_once_and_in_order(ground: Ground) {
    let (hub, url) = ground.open_hub().await;
    let mut subscriptions = Vec::new();
    for _ in 0..3 {
        let client = ground.online(&url).await;
        subscriptions.push(subscribe(&client, "numbers").await);
    }
    let publisher = ground.online(&url).await;
    for number in 0..200_u32 {
        let published = publisher.publish("numbers", Typed(number));
        published.expect("room");
    }
    let last = publisher.publish_acked("numbers", Typed(200_u32)).await;
    let (queued, dropped) = (3, 0);
    assert_eq!(last, Ok(Published { queued, dropped }));
    for subscription in &mut subscriptions {
        for expected in 0..=200 {
            assert_eq!(number(subscription).await, expected);
        }
        assert_eq!(subscription.accounted(), 201);
    }
    assert_eq!(hub.counters().queued, 3 * 201);
}

async fn overlapping_subscriptions_of_a_client_hear_an_event_once_each(ground: Ground) {
    let (hub, url) = ground.open_hub().await;
    let client = ground.online(&url).await;
    let mut subscriptions = Vec::new();
    for filter in ["room/*", "room/7", "**"] {
        subscriptions.push(subscribe(&client, filter).await);
    }
    for event in ["one", "two", "three"] {
        let published = hub.publish("room/7", event).expect("a topic");
        assert_eq!(published, ONE, "it travels once");
    }
    for subscription in &mut subscriptions {
        for expected in ["one", "two", "three"] {
            assert_eq!(text(subscription).await, expected);
        }
    }
    let accounted = subscriptions.iter().map(Subscription::accounted);
    assert_eq!(accounted.collect::<Vec<_>>(), [3, 0, 0]);
}

async fn wildcards_select_what_they_say(ground: Ground) {
    let (hub, url) = ground.open_hub().await;
    let client = ground.online(&url).await;
    let topics = ["a", "a/b", "a/b/c", "b", "b/b", "A/b"];
    let selections: [(_, &[&str]); 5] = [
        ("a/b", &["a/b"]),
        ("a/*", &["a/b"]),
        ("*/b", &["a/b", "b/b", "A/b"]),
        ("a/**", &["a", "a/b", "a/b/c"]),
        ("**", &topics),
    ];
    for (filter, selected) in selections {
        let mut subscription = subscribe(&client, filter).await;
        for topic in topics {
            hub.publish(topic, topic).expect("a topic");
        }
        for expected in selected {
            let event = event(&mut subscription).await;
            assert_eq!((event.topic(), event.text()), (*expected, Some(*expected)));
        }
        // A call comes back behind all events that left before it.
        let answered = client.call::<()>("nobody answers this", ()).await;
        assert!(answered.is_err());
        assert_eq!(subscription.accounted(), selected.len() as u64, "{filter}");
        subscription.close().await;
    }
}

async fn events_of_one_publisher_keep_their_order_across_topics(ground: Ground) {
    let (_hub, url) = ground.open_hub().await;
    let mut all = subscribe(&ground.online(&url).await, "**").await;
    let publisher = ground.online(&url).await;
    for number in 0..100_u32 {
        let topic = format!("topic/{}", number % 7);
        let published = publisher.publish(&*topic, Typed(number));
        published.expect("room");
    }
    for expected in 0..100 {
        assert_eq!(number(&mut all).await, expected);
    }
}

/// Enough for threads to get in each other's way.
const EVENTS: u32 = 2_000;

async fn all_subscribers_hear_several_publishers_in_one_order(ground: Ground) {
    let hub = ground.hub().topic("**", Rule::open()).limits(Limits {
        lane_frames_max: 4 * EVENTS,
        ..Limits::default()
    });
    let (_hub, url) = ground.served(hub).await;
    let first = subscribe(&ground.online(&url).await, "numbers").await;
    let second = subscribe(&ground.online(&url).await, "*").await;
    let odd = publish_numbers(ground.online(&url).await, 1);
    let even = publish_numbers(ground.online(&url).await, 0);
    let readers = zip(read_numbers(first), read_numbers(second));
    let ((first, second), _) = zip(readers, zip(odd, even)).await;
    assert_eq!(first, second);
    for odd in [0, 1] {
        let mine = first.iter().copied().filter(|number| number % 2 == odd);
        assert!(mine.eq((0..EVENTS).map(|number| 2 * number + odd)));
    }
}

async fn publish_numbers(client: Client, odd: u32) {
    for number in 0..EVENTS {
        let number = Typed(2 * number + odd);
        let published = client.publish_within(PATIENCE, "numbers", number);
        published.await.expect("room in time");
    }
}

async fn read_numbers(mut subscription: Subscription) -> Vec<u32> {
    let mut numbers = Vec::new();
    for _ in 0..2 * EVENTS {
        numbers.push(number(&mut subscription).await);
    }
    numbers
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Reading {
    Degrees(f64),
    Broken { since: u64, because: Option<String> },
}

async fn values_texts_and_bytes_arrive_as_they_were(ground: Ground) {
    let (_hub, url) = ground.open_hub().await;
    let mut all = subscribe(&ground.online(&url).await, "**").await;
    let publisher = ground.online(&url).await;
    let because = Some("the tide was high".into());
    let broken = Reading::Broken { since: 7, because };
    for reading in [Reading::Degrees(-0.5), broken] {
        publisher.publish("value", Typed(&reading)).expect("room");
        assert_eq!(event(&mut all).await.decode(), Ok(Typed(reading)));
    }

    publisher.publish("text", "größer\0als 🐦").expect("room");
    let heard = event(&mut all).await;
    assert_eq!(heard.text(), Some("größer\0als 🐦"));
    assert!(matches!(
        heard.decode::<Typed<Reading>>(),
        Err(PayloadError::Value(_))
    ));

    let every_byte: Vec<u8> = (0..=255).collect();
    publisher
        .publish("bytes", every_byte.clone())
        .expect("room");
    let heard = event(&mut all).await;
    assert_eq!((heard.encoding(), heard.text()), (Encoding::Bytes, None));
    assert_eq!(heard.bytes()[..], every_byte);

    // What was heard can be published again, as it is.
    publisher.publish("again", heard.clone()).expect("room");
    assert_eq!(event(&mut all).await.payload(), heard.payload());

    publisher.publish("nothing", ()).expect("room");
    assert_eq!(event(&mut all).await.bytes().len(), 0);
}

/// Counts how often it is written.
struct Written(Arc<AtomicUsize>);

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.fetch_add(1, Ordering::Relaxed);
        serializer.serialize_str("written")
    }
}

async fn one_publish_is_one_encoding(ground: Ground) {
    let (hub, url) = ground.open_hub().await;
    let mut subscriptions = Vec::new();
    for _ in 0..10 {
        let client = ground.online(&url).await;
        subscriptions.push(subscribe(&client, "news").await);
    }
    let publisher = ground.online(&url).await;
    let count = Arc::new(AtomicUsize::new(0));
    hub.publish("news", Typed(Written(count.clone())))
        .expect("a topic");
    assert_eq!(count.load(Ordering::Relaxed), 1, "by the hub");
    publisher
        .publish("news", Typed(Written(count.clone())))
        .expect("room");
    for subscription in &mut subscriptions {
        for _ in 0..2 {
            let heard = event(subscription).await.decode();
            assert_eq!(heard, Ok(Typed(String::from("written"))));
        }
    }
    assert_eq!(count.load(Ordering::Relaxed), 2, "by a client");
}

async fn every_event_after_subscribe_is_heard_and_none_from_before(ground: Ground) {
    let (hub, url) = ground.open_hub().await;
    let client = ground.online(&url).await;
    for round in 0..20_u32 {
        let before = hub.publish("numbers", Typed(u32::MAX)).expect("a topic");
        assert_eq!(before, Published::default());
        let mut subscription = subscribe(&client, "numbers").await;
        let after = hub.publish("numbers", Typed(round)).expect("a topic");
        assert_eq!(after, ONE);
        assert_eq!(number(&mut subscription).await, round);
        subscription.close().await;
    }
}

async fn no_event_after_close_is_heard(ground: Ground) {
    let (hub, url) = ground.open_hub().await;
    let client = ground.online(&url).await;
    let closed = subscribe(&client, "news").await;
    let mut other = subscribe(&client, "weather").await;
    closed.close().await;
    let published = hub.publish("news", "late").expect("a topic");
    assert_eq!(published, Published::default());
    hub.publish("weather", "rain").expect("a topic");
    assert_eq!(text(&mut other).await, "rain");

    // Dropping one unsubscribes it as well, though nobody waits for that.
    drop(other);
    ground.until(|| hub.counters().subscriptions == 0).await;
}

async fn the_program_hears_what_clients_publish(ground: Ground) {
    let (heard, hears) = std::sync::mpsc::channel();
    let hub = ground.hub().topic("**", Rule::open()).on_event(
        "report/*",
        move |caller: Caller, topic, Typed(value): Typed<u32>| {
            let heard = heard.clone();
            async move { heard.send((caller.id(), topic, value)).expect("a test") }
        },
    );
    let (_hub, url) = ground.served(hub).await;
    let client = ground.online(&url).await;
    let mut reports = subscribe(&client, "report/*").await;
    for value in 0..10_u32 {
        client.publish("report/a", Typed(value)).expect("room");
        // Of another type, so nobody's business.
        client.publish("report/a", "a text").expect("room");
        client.publish("other", Typed(value)).expect("room");
    }
    for value in 0..10 {
        assert_eq!(number(&mut reports).await, value, "beside its subscribers");
        assert_eq!(text(&mut reports).await, "a text");
    }
    let mut all = Vec::new();
    ground
        .until(|| {
            all.extend(hears.try_iter());
            all.len() == 10
        })
        .await;
    let publisher = client.connection().expect("online");
    let expected = (0..10).map(|value| (publisher, "report/a".into(), value));
    assert!(all.into_iter().eq(expected));
}

async fn who_subscribes_what_it_publishes_hears_itself(ground: Ground) {
    let (_hub, url) = ground.open_hub().await;
    let client = ground.online(&url).await;
    let mut echo = subscribe(&client, "echo").await;
    assert_eq!(client.publish_acked("echo", "hello").await, Ok(ONE));
    assert_eq!(text(&mut echo).await, "hello");
}

async fn rules_say_who_may_publish_and_subscribe(ground: Ground) {
    let is_ann = |user: Option<&UserId>| user.is_some_and(|user| user.as_str() == "ann");
    let hub = ground
        .hub()
        .topic("news", Rule::closed().subscribe())
        .topic("box", Rule::closed().publish())
        .topic(
            "diary/*",
            Rule::closed()
                .publish_if(move |peer, _| is_ann(peer.user))
                .subscribe_if(move |peer, filter| is_ann(peer.user) && filter != "diary/locked"),
        )
        .on_connect(async |ask: Ask| match ask.token {
            Some(_) => Ok(Admission::user("ann")),
            None => Ok(Admission::anonymous()),
        });
    let (hub, url) = ground.served(hub).await;
    let ann = online(ground.client(&url).token("ann's")).await;
    let ben = ground.online(&url).await;
    let forbidden = Err(PublishError::Denied(Denied::Forbidden));
    let nobody = Ok(Published::default());
    for (topic, by_ann, by_ben) in [
        ("news", &forbidden, &forbidden),
        ("box", &nobody, &nobody),
        ("diary/monday", &nobody, &forbidden),
        ("no/rule", &forbidden, &forbidden),
    ] {
        assert_eq!(ann.publish_acked(topic, "x").await, *by_ann, "{topic}");
        assert_eq!(ben.publish_acked(topic, "x").await, *by_ben, "{topic}");
    }
    for (filter, by_ann, by_ben) in [
        ("news", true, true),
        ("box", false, false),
        ("diary/*", true, false),
        ("diary/locked", false, false),
        ("no/rule", false, false),
    ] {
        for (client, allowed) in [(&ann, by_ann), (&ben, by_ben)] {
            let denied = client.subscribe(filter).await.err();
            let expected = (!allowed).then_some(SubscribeError::Denied(Denied::Forbidden));
            assert_eq!(denied, expected, "{filter}");
        }
    }
    // Rules are for peers.
    hub.publish("no/rule", "x").expect("a topic");
    assert_eq!(
        ben.publish("news", "x"),
        Ok(()),
        "nobody asked what became of it"
    );
    assert_eq!(
        ben.publish_acked("box", "x").await,
        nobody,
        "and it goes on"
    );
}

async fn the_first_rule_of_a_topic_counts_for_its_publisher(ground: Ground) {
    let hub = ground
        .hub()
        .topic("a/secret", Rule::closed())
        .topic("a/*", Rule::open())
        .topic("**", Rule::closed());
    let (_hub, url) = ground.served(hub).await;
    let client = ground.online(&url).await;
    let forbidden = Err(PublishError::Denied(Denied::Forbidden));
    let nobody = Ok(Published::default());
    for (topic, expected) in [
        ("a/secret", &forbidden),
        ("a/b", &nobody),
        ("b", &forbidden),
    ] {
        assert_eq!(client.publish_acked(topic, "x").await, *expected, "{topic}");
    }
}

async fn every_rule_that_a_filter_touches_has_to_allow_it(ground: Ground) {
    let hub = ground
        .hub()
        .topic("a/secret", Rule::closed())
        .topic("a/**", Rule::open());
    let (_hub, url) = ground.served(hub).await;
    let client = ground.online(&url).await;
    for (filter, allowed) in [
        ("a/b", true),
        ("a/b/*", true),
        ("a/*", false),
        ("**", false),
        ("a/secret", false),
        ("a/secret/**", false),
    ] {
        let subscribed = client.subscribe(filter).await;
        assert_eq!(subscribed.is_ok(), allowed, "{filter}");
    }
}

async fn a_payload_beyond_its_rule_is_denied_with_both_sizes(ground: Ground) {
    let rule = Rule::open().payload_bytes_max(100);
    let (hub, url) = ground.served(ground.hub().topic("**", rule)).await;
    let client = ground.online(&url).await;
    let mut all = subscribe(&client, "**").await;
    let (size, max) = (101, 100);
    let denied = client.publish_acked("a", [7; 101]).await;
    let too_large = Denied::TooLarge { size, max };
    assert_eq!(denied, Err(PublishError::Denied(too_large)));
    assert_eq!(client.publish_acked("a", [7; 100]).await, Ok(ONE));
    assert_eq!(event(&mut all).await.bytes()[..], [7; 100]);
    assert_eq!(hub.publish("a", [7; 101]).expect("a topic"), ONE);
}

async fn an_event_that_the_hub_would_not_take_comes_back_with_both_sizes(ground: Ground) {
    let hub = ground.hub().topic("**", Rule::open()).limits(Limits {
        message_bytes_max: 1_024,
        ..Limits::default()
    });
    let (_hub, url) = ground.served(hub).await;
    let client = ground.online(&url).await;
    let connection = client.connection();
    for refused in [
        client.publish("large", [7; 1_024]),
        client.publish_within(PATIENCE, "large", [7; 1_024]).await,
        client.publish_acked("large", [7; 1_024]).await.map(drop),
    ] {
        let Err(PublishError::TooLarge {
            size,
            max,
            envelope,
        }) = refused
        else {
            panic!("{refused:?}");
        };
        assert!(size > max && max == 1_024, "{size} {max}");
        assert_eq!(envelope.topic(), "large");
        assert_eq!(envelope.bytes()[..], [7; 1_024]);
    }
    let smaller = client.publish_acked("large", [7; 1_000]).await;
    assert_eq!(smaller, Ok(Published::default()));
    assert_eq!(client.connection(), connection, "nothing was harmed");
}

async fn what_is_no_topic_and_no_filter_is_refused_here(ground: Ground) {
    let (hub, url) = ground.open_hub().await;
    let client = ground.online(&url).await;
    for (topic, error) in [
        ("", TopicError::Empty),
        ("a//b", TopicError::EmptySegment),
        ("a/*", TopicError::Wildcard),
        ("a\nb", TopicError::ControlCharacter),
    ] {
        assert_eq!(
            client.publish(topic, "x"),
            Err(PublishError::Topic(error)),
            "{topic:?}"
        );
        assert!(hub.publish(topic, "x").is_err(), "{topic:?}");
    }
    let subscribed = client.subscribe("**/a").await.err();
    assert_eq!(
        subscribed,
        Some(SubscribeError::Filter(TopicError::Wildcard))
    );
}

#[test]
fn an_acked_publish_tells_how_many_have_it_and_how_many_miss_something() {
    World::check(async |world| {
        let hub = world.hub().limits(Limits {
            lane_frames_max: 8,
            ..Limits::default()
        });
        let hub = world.serve(hub);
        let mut kept = Vec::new();
        for (name, policy) in [
            ("oldest", Policy::DropOldest),
            ("newest", Policy::DropNewest),
            ("latest", Policy::KeepLatest),
            ("fast", Policy::DropOldest),
        ] {
            let client = world.online(name).await;
            let options = SubscribeOptions {
                policy: Some(policy),
                ..SubscribeOptions::default()
            };
            kept.push(client.subscribe_with("news", options).await);
        }
        for slow in ["oldest", "newest", "latest"] {
            world.network.stall(slow);
        }
        let publisher = world.online("publisher").await;
        let mut told = Published::default();
        for _ in 0..20 {
            let published = publisher.publish_acked("news", "x").await;
            let Published { queued, dropped } = published.expect("allowed");
            told.queued += queued;
            told.dropped += dropped;
        }
        let counters = hub.counters();
        assert_eq!(counters.queued, u64::from(told.queued));
        assert_eq!(
            counters.dropped.values().sum::<u64>(),
            u64::from(told.dropped)
        );
        let missing: BTreeSet<_> = counters.dropped.into_iter().collect();
        assert!(missing.contains(&("disconnect", 0)));
        let droppable = missing.iter().filter(|(_, missed)| *missed > 0);
        assert_eq!(droppable.count(), 3, "{missing:?}");
    });
}

#[test]
fn a_past_that_nobody_keeps_is_denied() {
    World::check(async |world| {
        let hub = world.serve(world.hub());
        let mut peer = Peer::welcomed(world, TERMS).await;
        let (epoch, offset) = (1, 7);
        let offset = Start::Offset { epoch, offset };
        for (receipt, start) in (1..).zip([Start::Retained, offset]) {
            peer.say(&Frame::Subscribe(Subscribe {
                receipt,
                first: receipt,
                policy: None,
                start,
                filters: List::new(&["news"]),
            }))
            .await;
            let heard = peer.hear().await;
            let Frame::Ack(ack) = heard.frame() else {
                panic!("not an ack: {:?}", heard.frame());
            };
            assert_eq!(ack.receipt, receipt);
            assert_eq!(ack.outcome, Outcome::Denied(Denied::NoHistory));
        }
        assert_eq!(hub.counters().subscriptions, 0);
        let published = hub.publish("news", Payload::text("x")).expect("a topic");
        assert_eq!(published, Published::default());
    });
}
