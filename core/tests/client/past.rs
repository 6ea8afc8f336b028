//! Subscriptions that begin in the past, and return to it.

use futures_lite::future::{poll_once, zip};
use lapwing::client::{Start, SubscribeError, SubscribeOptions};
use lapwing::wire::{
    Denied, Event, Frame, Lagged, Live, Outcome, Payload, Replay, Subscribe, Verdict,
};
use lapwing::{Client, Delivery, Policy, Subscription};
use lapwing_memory::Virtual;

use crate::reconnect::event;
use crate::resume::{broken, online};
use crate::scripted::{Grant, Scripted};

const RESUMED: Verdict = Verdict::Resumed;

fn at(epoch: u64, offset: u64) -> Start {
    Start::Offset { epoch, offset }
}

/// Takes a request for one subscription: its number, its start and its receipt.
async fn asked(hub: &mut Scripted) -> (u32, Start, u32) {
    let heard = hub.hear().await;
    let Frame::Subscribe(Subscribe {
        receipt,
        first,
        start,
        filters,
        ..
    }) = heard.frame()
    else {
        panic!("not a subscribe: {:?}", heard.frame());
    };
    assert_eq!(filters.len(), 1, "each has an answer of its own");
    (first, start, receipt)
}

fn positioned(epoch: u64, offset: u64, verdict: Verdict) -> Outcome {
    Outcome::Positioned {
        first: 0,
        epoch,
        offset,
        verdict,
    }
}

/// A subscription that begins at `start`; the hub answers with `outcome`.
async fn subscribed(
    client: &Client,
    filter: &str,
    (start, policy): (Start, Option<Policy>),
    hub: &mut Scripted,
    outcome: Outcome,
) -> Subscription {
    let options = SubscribeOptions {
        start,
        policy,
        ..SubscribeOptions::default()
    };
    let allow = async {
        let (_, asked, receipt) = asked(hub).await;
        assert_eq!(asked, start);
        hub.ack(receipt, outcome).await;
    };
    let (subscription, ()) = zip(client.subscribe_with(filter, options), allow).await;
    subscription.expect("allowed")
}

fn happens(topic: &str, offset: u64) -> Frame<'_> {
    Frame::Event(Event {
        topic,
        direct: false,
        offset: Some(offset.to_le_bytes()),
        payload: Payload::text("now"),
    })
}

fn replay(subscription: u32, topic: &str, offset: u64) -> Frame<'_> {
    Frame::Replay(Replay {
        subscription,
        offset,
        topic,
        payload: Payload::text("then"),
    })
}

fn live(subscription: u32, offset: u64) -> Frame<'static> {
    Frame::Live(Live {
        subscription,
        offset,
    })
}

/// The offset of the event that comes next, and whether it is of the past.
async fn heard(subscription: &mut Subscription) -> (Option<u64>, bool) {
    match subscription.next().await {
        Some(Delivery::Event(event)) => (event.offset(), event.text() == Some("then")),
        other => panic!("not an event: {other:?}"),
    }
}

#[test]
fn one_that_begins_in_the_past_hears_nothing_else_until_that_is_over() {
    Virtual::check(0..20, async |sim| {
        let (_network, _listener, client, mut hub) = online(&sim).await;
        let replayed = Verdict::Replayed { from: 3, to: 4 };
        let start = (at(9, 2), None);
        let ack = positioned(9, 4, replayed);
        let mut old = subscribed(&client, "*", start, &mut hub, ack).await;
        assert_eq!(old.position(), None, "nothing was read yet");
        let now = (Start::Now, None);
        let ack = positioned(9, 4, RESUMED);
        let mut new = subscribed(&client, "a", now, &mut hub, ack).await;
        assert_eq!(
            new.position(),
            Some((9, 4)),
            "known from the first moment on"
        );
        for frame in [
            replay(1, "a", 3),
            happens("a", 5),
            replay(1, "a", 4),
            replay(1, "a", 5),
            live(1, 5),
            happens("a", 6),
        ] {
            hub.say(&frame).await;
        }
        assert_eq!(
            old.next().await,
            Some(Delivery::Replayed { from: 3, to: 4 })
        );
        assert_eq!(old.position(), Some((9, 2)));
        for offset in [3, 4, 5] {
            assert_eq!(heard(&mut old).await, (Some(offset), true));
            assert_eq!(old.position(), Some((9, offset)));
        }
        assert_eq!(old.next().await, Some(Delivery::Live));
        assert_eq!(heard(&mut old).await, (Some(6), false));
        for offset in [5, 6] {
            assert_eq!(heard(&mut new).await, (Some(offset), false));
        }
        // The first one when it happened, the second one on account of the older.
        assert_eq!((old.accounted(), new.accounted()), (4, 1));
    });
}

#[test]
fn one_that_begins_with_values_hears_the_present_among_them() {
    Virtual::check(0..20, async |sim| {
        let (network, mut listener, client, mut hub) = online(&sim).await;
        let start = (Start::Retained, None);
        let ack = positioned(9, 7, RESUMED);
        let mut values = subscribed(&client, "*", start, &mut hub, ack).await;
        hub.say(&replay(1, "b", 7)).await;
        hub.say(&happens("c", 8)).await;
        hub.say(&replay(1, "a", 3)).await;
        assert_eq!(heard(&mut values).await, (Some(7), true));
        assert_eq!(heard(&mut values).await, (Some(8), false));
        assert_eq!(heard(&mut values).await, (Some(3), true));
        assert_eq!((values.position(), values.accounted()), (None, 3));

        // Not all of them were there: begin with them again.
        let (mut hub, _) = broken(&network, &mut listener).await;
        hub.grant(Grant::token(2)).await;
        let (_, start, receipt) = asked(&mut hub).await;
        assert_eq!(start, Start::Retained);
        hub.ack(receipt, positioned(9, 8, RESUMED)).await;
        hub.say(&live(1, 8)).await;
        assert_eq!(values.next().await, Some(Delivery::Gap(None)));
        assert_eq!(values.next().await, Some(Delivery::Live));
        assert_eq!(values.position(), Some((9, 8)));

        // The hub keeps the newest values only, and one of them was heard.
        let (mut hub, _) = broken(&network, &mut listener).await;
        hub.grant(Grant::token(3)).await;
        let (_, start, receipt) = asked(&mut hub).await;
        assert_eq!(start, at(9, 8));
        hub.ack(receipt, Outcome::Denied(Denied::NoHistory)).await;
        let (_, start, receipt) = asked(&mut hub).await;
        assert_eq!(start, Start::Retained);
        hub.ack(receipt, positioned(9, 10, RESUMED)).await;
        for frame in [replay(1, "b", 7), replay(1, "c", 10), live(1, 10)] {
            hub.say(&frame).await;
        }
        assert_eq!(values.next().await, Some(Delivery::Gap(None)));
        assert_eq!(heard(&mut values).await, (Some(10), true));
        assert_eq!(values.next().await, Some(Delivery::Live));
        assert_eq!(values.accounted(), 2, "the hub counts what it says");
    });
}

#[test]
fn a_refusal_of_what_the_program_asks_for_is_the_programs() {
    Virtual::check(0..5, async |sim| {
        let (_network, _listener, client, mut hub) = online(&sim).await;
        for denied in [Denied::NoHistory, Denied::Offset] {
            let options = SubscribeOptions {
                start: at(9, 2),
                ..SubscribeOptions::default()
            };
            let deny = async {
                let (_, _, receipt) = asked(&mut hub).await;
                hub.ack(receipt, Outcome::Denied(denied)).await;
            };
            let (subscription, ()) = zip(client.subscribe_with("a", options), deny).await;
            assert_eq!(subscription.err(), Some(SubscribeError::Denied(denied)));
        }
    });
}

#[test]
fn a_hub_that_has_forgotten_the_client_is_asked_from_where_each_has_come() {
    Virtual::check(0..20, async |sim| {
        let (network, mut listener, client, mut hub) = online(&sim).await;
        let now = (Start::Now, None);
        let ack = positioned(9, 4, RESUMED);
        let mut quiet = subscribed(&client, "a", now, &mut hub, ack).await;
        let mut lively = subscribed(&client, "b", now, &mut hub, ack).await;
        let latest = (Start::Now, Some(Policy::KeepLatest));
        let mut latest = subscribed(&client, "c", latest, &mut hub, ack).await;
        let mut plain = subscribed(&client, "d", now, &mut hub, Outcome::Subscribed).await;
        assert_eq!((latest.position(), plain.position()), (None, None));
        hub.say(&happens("b", 6)).await;
        hub.say(&event("d")).await;
        sim.settle().await;

        let (mut hub, _) = broken(&network, &mut listener).await;
        hub.grant(Grant::token(2)).await;
        let replayed = Verdict::Replayed { from: 7, to: 8 };
        let gap = Verdict::Gap { missed: None };
        for (start, outcome) in [
            (at(9, 4), positioned(10, 9, gap)),
            (at(9, 6), positioned(9, 9, replayed)),
            (Start::Now, Outcome::Subscribed),
            (Start::Now, positioned(9, 9, RESUMED)),
        ] {
            let (_, asked, receipt) = asked(&mut hub).await;
            assert_eq!(asked, start);
            hub.ack(receipt, outcome).await;
        }
        client.online().await.expect("online");
        assert_eq!(quiet.next().await, Some(Delivery::Gap(None)));
        assert!(matches!(lively.next().await, Some(Delivery::Event(_))));
        assert_eq!(
            lively.next().await,
            Some(Delivery::Replayed { from: 7, to: 8 })
        );
        assert!(matches!(plain.next().await, Some(Delivery::Event(_))));
        assert_eq!(plain.next().await, Some(Delivery::Gap(None)));
        assert_eq!(latest.next().await, Some(Delivery::Gap(None)));

        // Before anything of the new life came: the hub that has it was not heard.
        let (mut hub, _) = broken(&network, &mut listener).await;
        hub.grant(Grant::token(3)).await;
        let mut starts = Vec::new();
        for _ in 0..4 {
            let (_, start, receipt) = asked(&mut hub).await;
            starts.push(start);
            let outcome = match start {
                Start::Offset { .. } => Outcome::Denied(Denied::NoHistory),
                _ => Outcome::Subscribed,
            };
            hub.ack(receipt, outcome).await;
        }
        assert_eq!(starts, [Start::Now, at(9, 6), Start::Now, Start::Now]);
        let (_, start, receipt) = asked(&mut hub).await;
        assert_eq!(start, Start::Now);
        hub.ack(receipt, Outcome::Subscribed).await;
        client.online().await.expect("online");
        assert_eq!(lively.next().await, Some(Delivery::Gap(None)));
        assert_eq!(lively.position(), None);
    });
}

#[test]
fn a_return_that_history_makes_good_is_replayed_and_counted_as_it_comes() {
    Virtual::check(0..20, async |sim| {
        let (network, mut listener, client, mut hub) = online(&sim).await;
        let now = (Start::Now, None);
        let ack = positioned(9, 4, RESUMED);
        let mut all = subscribed(&client, "*", now, &mut hub, ack).await;
        let plain = Outcome::Subscribed;
        let mut some = subscribed(&client, "a", now, &mut hub, plain).await;
        hub.say(&happens("a", 5)).await;
        sim.settle().await;
        let (mut hub, hello) = broken(&network, &mut listener).await;
        assert_eq!(hello.positions, [(0, 0), (1, 1), (2, 0)]);
        let missed = Some(1);
        let verdicts = [RESUMED, Verdict::Gap { missed }, RESUMED];
        hub.grant(Grant::partial(2, 2, &verdicts)).await;
        for frame in [
            happens("a", 8),
            replay(1, "b", 7),
            replay(1, "a", 8),
            live(1, 8),
            happens("a", 9),
        ] {
            hub.say(&frame).await;
        }
        assert_eq!(heard(&mut all).await, (Some(5), false));
        assert_eq!(all.next().await, Some(Delivery::Gap(Some(1))));
        for offset in [7, 8] {
            assert_eq!(heard(&mut all).await, (Some(offset), true));
        }
        assert_eq!(all.next().await, Some(Delivery::Live));
        assert_eq!(heard(&mut all).await, (Some(9), false));
        assert_eq!(heard(&mut some).await, (Some(5), false));
        assert_eq!(some.next().await, Some(Delivery::Gap(None)));
        for offset in [8, 9] {
            assert_eq!(heard(&mut some).await, (Some(offset), false));
        }
        assert_eq!((all.accounted(), some.accounted()), (5, 1));
    });
}

#[test]
fn one_that_comes_to_the_present_again_hears_nothing_else_on_its_way() {
    Virtual::check(0..20, async |sim| {
        let (network, mut listener, client, mut hub) = online(&sim).await;
        let replayed = Verdict::Replayed { from: 3, to: 4 };
        let ack = positioned(9, 4, replayed);
        let mut old = subscribed(&client, "*", (at(9, 2), None), &mut hub, ack).await;
        let ack = positioned(9, 4, RESUMED);
        let mut new = subscribed(&client, "a", (Start::Now, None), &mut hub, ack).await;
        let plain = Outcome::Subscribed;
        let mut other = subscribed(&client, "**", (Start::Now, None), &mut hub, plain).await;
        sim.settle().await;
        let (mut hub, _) = broken(&network, &mut listener).await;
        hub.grant(Grant::partial(2, 3, &[RESUMED; 4])).await;
        for frame in [
            happens("a", 5),
            replay(1, "a", 4),
            replay(1, "a", 5),
            live(2, 5),
            happens("a", 6),
            live(1, 6),
            happens("a", 7),
        ] {
            hub.say(&frame).await;
        }
        assert_eq!(
            old.next().await,
            Some(Delivery::Replayed { from: 3, to: 4 })
        );
        for subscription in [&mut old, &mut new, &mut other] {
            assert_eq!(subscription.next().await, Some(Delivery::Resumed));
        }
        for offset in [4, 5] {
            assert_eq!(heard(&mut old).await, (Some(offset), true));
        }
        assert_eq!(old.next().await, Some(Delivery::Live));
        assert_eq!(heard(&mut old).await, (Some(7), false));
        // To this one nothing of the past came, and no word about it.
        for offset in [6, 7] {
            assert_eq!(heard(&mut new).await, (Some(offset), false));
        }
        for offset in [5, 6, 7] {
            assert_eq!(heard(&mut other).await, (Some(offset), false));
        }
        let accounted = [&old, &new, &other].map(Subscription::accounted);
        assert_eq!(accounted, [3, 1, 1]);
    });
}

#[test]
fn what_is_missing_of_the_past_is_nobody_elses() {
    Virtual::check(0..20, async |sim| {
        let (_network, _listener, client, mut hub) = online(&sim).await;
        let replayed = Verdict::Replayed { from: 3, to: 6 };
        let ack = positioned(9, 6, replayed);
        let start = (Start::Beginning, None);
        let mut old = subscribed(&client, "*", start, &mut hub, ack).await;
        let ack = positioned(9, 6, RESUMED);
        let mut new = subscribed(&client, "a", (Start::Now, None), &mut hub, ack).await;
        let (subscription, missed) = (1, 4);
        hub.say(&Frame::Lagged(Lagged {
            subscription,
            missed,
        }))
        .await;
        hub.say(&live(1, 6)).await;
        hub.say(&Frame::Lagged(Lagged {
            subscription,
            missed,
        }))
        .await;
        assert_eq!(
            old.next().await,
            Some(Delivery::Replayed { from: 3, to: 6 })
        );
        assert_eq!(old.next().await, Some(Delivery::Lagged(4)));
        assert_eq!(old.next().await, Some(Delivery::Live));
        assert_eq!(old.next().await, Some(Delivery::Lagged(4)));
        assert_eq!(new.next().await, Some(Delivery::Gap(None)));
        assert!(poll_once(new.next()).await.is_none());
        assert_eq!((old.accounted(), new.accounted()), (8, 0));
    });
}

#[test]
fn words_about_subscriptions_that_are_not_there_mean_nothing() {
    Virtual::check(0..5, async |sim| {
        let (_network, _listener, client, mut hub) = online(&sim).await;
        let ack = positioned(9, 4, RESUMED);
        let mut news = subscribed(&client, "a", (Start::Now, None), &mut hub, ack).await;
        for frame in [live(1, 4), live(0, 4), live(7, 4), replay(7, "a", 4)] {
            hub.say(&frame).await;
        }
        hub.say(&happens("a", 5)).await;
        assert_eq!(heard(&mut news).await, (Some(5), false));
        assert_eq!(news.accounted(), 1);
    });
}
