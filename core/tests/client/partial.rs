//! What a return costs when the hub could not hold everything.

use futures_lite::future::poll_once;
use lapwing::client::{CallError, PublishError, SubscriptionEnd};
use lapwing::wire::{Denied, Frame, Outcome, Publish, Verdict};
use lapwing::{Client, Delivery, Subscription};
use lapwing_memory::Virtual;

use crate::reconnect::{ONLINE, event, subscribed};
use crate::resume::{broken, online};
use crate::scripted::{Grant, Scripted};

async fn all(client: &Client, filters: &[&str], hub: &mut Scripted) -> Vec<Subscription> {
    let mut subscriptions = Vec::new();
    for filter in filters {
        subscriptions.push(subscribed(client, filter, hub).await);
    }
    subscriptions
}

/// What each of them hears next.
async fn next(subscriptions: &mut [Subscription]) -> Vec<Option<Delivery>> {
    let mut heard = Vec::new();
    for subscription in subscriptions {
        heard.push(subscription.next().await);
    }
    heard
}

const fn gap(missed: u64) -> Verdict {
    Verdict::Gap {
        missed: Some(missed),
    }
}

#[test]
fn each_subscription_hears_its_own_verdict_and_goes_on_counting() {
    Virtual::check(0..20, async |sim| {
        let (network, mut listener, client, mut hub) = online(&sim).await;
        let mut subscriptions = all(&client, &["a", "b", "c"], &mut hub).await;
        hub.say(&event("a")).await;
        sim.settle().await;
        let (mut hub, hello) = broken(&network, &mut listener).await;
        assert_eq!(hello.positions, [(0, 0), (1, 1), (2, 0), (3, 0)]);
        let denied = Verdict::Denied(Denied::Forbidden);
        let verdicts = [Verdict::Resumed, gap(7), Verdict::Resumed, denied];
        hub.grant(Grant::partial(2, 3, &verdicts)).await;
        client.online().await.expect("online");
        assert_eq!(client.states().next().await, Some(ONLINE));
        for topic in ["a", "b", "c"] {
            hub.say(&event(topic)).await;
        }

        let first = subscriptions[0].next().await;
        assert!(matches!(first, Some(Delivery::Event(_))));
        let heard = next(&mut subscriptions).await;
        let expected = [Some(Delivery::Gap(Some(7))), Some(Delivery::Resumed), None];
        assert_eq!(heard, expected);
        for subscription in &mut subscriptions[..2] {
            assert!(matches!(
                subscription.next().await,
                Some(Delivery::Event(_))
            ));
        }
        let end = Some(SubscriptionEnd::Denied(Denied::Forbidden));
        assert_eq!(subscriptions[2].end_reason(), end);
        let (_hub, hello) = broken(&network, &mut listener).await;
        assert_eq!(hello.positions, [(0, 0), (1, 9), (2, 1)]);
        assert_eq!(hello.resume, Some(([2; 16], 3)));
    });
}

#[test]
fn a_loss_of_the_older_one_is_told_to_the_younger_ones_that_may_share_it() {
    Virtual::check(0..20, async |sim| {
        let (network, mut listener, client, mut hub) = online(&sim).await;
        let filters = ["room/7", "room/*", "**", "door"];
        let mut subscriptions = all(&client, &filters, &mut hub).await;
        let (mut hub, _) = broken(&network, &mut listener).await;
        let verdicts = [
            Verdict::Resumed,
            Verdict::Resumed,
            gap(2),
            gap(3),
            Verdict::Resumed,
        ];
        hub.grant(Grant::partial(2, 4, &verdicts)).await;
        let heard = next(&mut subscriptions).await;
        let expected = [
            Delivery::Resumed,
            Delivery::Gap(Some(2)),
            Delivery::Gap(None),
            // The one that hears everything may have missed some in its place.
            Delivery::Gap(None),
        ];
        assert_eq!(heard, expected.map(Some));
        let (mut hub, hello) = broken(&network, &mut listener).await;
        assert_eq!(hello.positions, [(0, 0), (1, 0), (2, 2), (3, 3), (4, 0)]);
        let verdicts = [Verdict::Resumed; 5];
        hub.grant(Grant::partial(3, 0, &verdicts)).await;
        let heard = next(&mut subscriptions).await;
        assert_eq!(heard, [const { Some(Delivery::Resumed) }; 4]);
    });
}

#[test]
fn answers_are_lost_and_events_that_the_hub_has_not_are_sent_again() {
    Virtual::check(0..20, async |sim| {
        let (network, mut listener, client, mut hub) = online(&sim).await;
        let mut acked = Box::pin(client.publish_acked("a", "acked"));
        assert!(poll_once(&mut acked).await.is_none());
        let mut call = client.call::<()>("method", ());
        assert!(poll_once(&mut call).await.is_none());
        for text in ["1", "2"] {
            client.publish("a", text).expect("room");
        }
        for _ in 0..4 {
            hub.hear().await;
        }
        let (mut hub, _) = broken(&network, &mut listener).await;
        // All but the last one.
        hub.grant(Grant::partial(2, 3, &[Verdict::Resumed])).await;
        assert_eq!(acked.await, Err(PublishError::Lost));
        assert_eq!(call.await, Err(CallError::Lost));
        client.online().await.expect("online");
        client.publish("a", "3").expect("room");
        for expected in ["2", "3"] {
            let heard = hub.hear().await;
            let Frame::Publish(Publish { payload, .. }) = heard.frame() else {
                panic!("not a publish: {:?}", heard.frame());
            };
            assert_eq!(payload.bytes, expected.as_bytes());
        }
    });
}

#[test]
fn what_the_hub_has_not_confirmed_is_asked_for_again() {
    Virtual::check(0..20, async |sim| {
        let (network, mut listener, client, mut hub) = online(&sim).await;
        let left = subscribed(&client, "left", &mut hub).await;
        let late = subscribed(&client, "late", &mut hub).await;
        let mut subscribe = Box::pin(client.subscribe("new"));
        assert!(poll_once(&mut subscribe).await.is_none());
        drop(left);
        sim.settle().await;

        let (mut hub, hello) = broken(&network, &mut listener).await;
        assert_eq!(hello.positions, [(0, 0), (2, 0)]);
        drop(late);
        let verdicts = [Verdict::Resumed; 2];
        hub.grant(Grant::partial(2, 0, &verdicts)).await;
        // The hub believes that somebody reads it.
        let heard = hub.hear().await;
        let Frame::Unsubscribe(unsubscribe) = heard.frame() else {
            panic!("not an unsubscribe: {:?}", heard.frame());
        };
        assert_eq!(unsubscribe.first, 2);
        let (filters, number, receipt) = hub.hear_subscribe().await;
        assert_eq!((filters, number), (vec!["new".into()], 3));
        hub.ack(receipt, Outcome::Subscribed).await;
        let mut new = subscribe.await.expect("allowed");
        assert_eq!(client.states().next().await, Some(ONLINE));
        hub.say(&event("new")).await;
        assert!(matches!(new.next().await, Some(Delivery::Event(_))));
        assert_eq!(new.accounted(), 1);
    });
}

#[test]
fn what_an_unconfirmed_subscription_may_have_lost_is_told_to_those_who_share_it() {
    Virtual::check(0..20, async |sim| {
        let (network, mut listener, client, mut hub) = online(&sim).await;
        let left = subscribed(&client, "a", &mut hub).await;
        let mut stays = subscribed(&client, "*", &mut hub).await;
        drop(left);
        let (mut hub, hello) = broken(&network, &mut listener).await;
        assert_eq!(hello.positions, [(0, 0), (2, 0)]);
        let verdicts = [Verdict::Resumed; 2];
        hub.grant(Grant::partial(2, 0, &verdicts)).await;
        assert_eq!(stays.next().await, Some(Delivery::Gap(None)));
    });
}
