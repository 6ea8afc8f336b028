//! What outlives a connection of a client, what does not, and when the client returns.

use std::time::Duration;

use crate::scripted::Scripted;
use futures_lite::future::zip;
use lapwing::client::{
    Backoff, CallError, ClientEnd, Outage, PublishError, State, States, SubscribeError,
    SubscriptionEnd,
};
use lapwing::wire::{
    Close, CloseReason, Denied, Event, Frame, Outcome, Payload, Refusal, Refused, Return,
};
use lapwing::{Client, ConnectionId, Delivery, Subscription};
use lapwing_memory::{Listener, Network, Virtual};

pub(crate) const ONLINE: State = State::Online {
    connection: ConnectionId::from_bytes([7; 16]),
};

/// A hub that listens, and a client that connects to it.
pub(crate) fn begin(sim: &Virtual) -> (Network, Listener, Client) {
    let network = Network::new(&sim.runtime());
    let listener = network.listen("hub").expect("the name is free");
    let connector = network.connector("hub").named("phone");
    let client = Client::builder(sim.runtime(), connector).spawned();
    (network, listener, client)
}

pub(crate) fn event(topic: &str) -> Frame<'_> {
    Frame::Event(Event {
        topic,
        direct: false,
        offset: None,
        payload: Payload::text("x"),
    })
}

/// Reads states up to the first that is neither connecting nor online.
pub(crate) async fn trouble(states: &mut States) -> State {
    loop {
        match states.next().await.expect("not the end of the stream") {
            State::Connecting | State::Online { .. } => {}
            state => return state,
        }
    }
}

#[test]
fn a_client_waits_for_its_hub_and_is_online_after_the_handshake() {
    Virtual::check(0..20, async |sim| {
        let network = Network::new(&sim.runtime());
        let client = Client::builder(sim.runtime(), network.connector("hub")).spawned();
        let mut states = client.states();
        assert_eq!(states.next().await, Some(State::Connecting));
        let State::Waiting { outage, .. } = trouble(&mut states).await else {
            panic!("nobody listens");
        };
        assert!(matches!(outage, Outage::Unreachable { .. }));

        sim.sleep(Duration::from_secs(60)).await;
        let mut listener = network.listen("hub").expect("the name is free");
        let _hub = Scripted::welcome(&mut listener).await;
        assert_eq!(client.online().await, Ok(()));
        assert_eq!(client.connection(), Some(ConnectionId::from_bytes([7; 16])));
    });
}

#[test]
fn subscriptions_are_made_again_before_the_client_is_online_and_tell_of_the_gap() {
    Virtual::check(0..20, async |sim| {
        let (network, mut listener, client) = begin(&sim);
        let mut hub = Scripted::welcome(&mut listener).await;
        client.online().await.expect("online");
        let mut first = subscribed(&client, "a/*", &mut hub).await;
        let mut second = subscribed(&client, "b", &mut hub).await;
        hub.say(&event("a/1")).await;
        sim.settle().await;
        assert_eq!((first.accounted(), second.accounted()), (1, 0));
        network.cut("phone");

        let mut hub = Scripted::welcome(&mut listener).await;
        let (filters, number, receipt) = hub.hear_subscribe().await;
        assert_eq!(sorted(filters), ["a/*", "b"]);
        assert_eq!(number, 1);
        sim.settle().await;
        let mut states = client.states();
        assert_eq!(states.next().await, Some(State::Connecting));
        hub.ack(receipt, Outcome::Subscribed).await;
        assert_eq!(states.next().await, Some(ONLINE));
        hub.say(&event("a/2")).await;

        assert!(matches!(first.next().await, Some(Delivery::Event(_))));
        assert_eq!(first.next().await, Some(Delivery::Gap(None)));
        assert!(matches!(first.next().await, Some(Delivery::Event(_))));
        assert_eq!(second.next().await, Some(Delivery::Gap(None)));
        assert_eq!(first.accounted(), 1, "the hub counts anew");
    });
}

#[test]
fn one_subscription_that_is_not_allowed_any_more_ends_and_the_others_go_on() {
    Virtual::check(0..20, async |sim| {
        let (network, mut listener, client) = begin(&sim);
        let mut hub = Scripted::welcome(&mut listener).await;
        client.online().await.expect("online");
        let mut first = subscribed(&client, "a", &mut hub).await;
        let mut second = subscribed(&client, "b", &mut hub).await;
        network.cut("phone");

        let mut hub = Scripted::welcome(&mut listener).await;
        let (_, _, receipt) = hub.hear_subscribe().await;
        hub.ack(receipt, Outcome::Denied(Denied::Forbidden)).await;
        for _ in 0..2 {
            let (filters, _, receipt) = hub.hear_subscribe().await;
            let outcome = match &*filters[0] {
                "a" => Outcome::Denied(Denied::Forbidden),
                _ => Outcome::Subscribed,
            };
            assert!(!matches!(
                client.states().next().await,
                Some(State::Online { .. })
            ));
            hub.ack(receipt, outcome).await;
        }
        client.online().await.expect("online");
        assert_eq!(first.next().await, None);
        assert_eq!(
            first.end_reason(),
            Some(SubscriptionEnd::Denied(Denied::Forbidden))
        );
        assert_eq!(second.next().await, Some(Delivery::Gap(None)));
        assert_eq!(second.end_reason(), None);
    });
}

#[test]
fn a_subscription_that_is_dropped_while_it_is_made_again_is_not_asked_for_twice() {
    Virtual::check(0..20, async |sim| {
        let (network, mut listener, client) = begin(&sim);
        let mut hub = Scripted::welcome(&mut listener).await;
        client.online().await.expect("online");
        let first = subscribed(&client, "a", &mut hub).await;
        let _second = subscribed(&client, "b", &mut hub).await;
        network.cut("phone");

        let mut hub = Scripted::welcome(&mut listener).await;
        let (_, _, receipt) = hub.hear_subscribe().await;
        drop(first);
        let heard = hub.hear().await;
        let Frame::Unsubscribe(unsubscribe) = heard.frame() else {
            panic!("not an unsubscribe");
        };
        hub.ack(receipt, Outcome::Denied(Denied::Forbidden)).await;
        hub.ack(unsubscribe.receipt, Outcome::Unsubscribed).await;
        let (filters, number, receipt) = hub.hear_subscribe().await;
        assert_eq!((filters, number), (vec!["b".into()], 2));
        hub.ack(receipt, Outcome::Subscribed).await;
        client.online().await.expect("online");
    });
}

#[test]
fn events_that_have_not_left_wait_for_the_next_connection_and_requests_are_lost() {
    Virtual::check(0..20, async |sim| {
        let (network, mut listener, client) = begin(&sim);
        let hub = Scripted::welcome(&mut listener).await;
        client.online().await.expect("online");
        // More than is on its way at once, so some of it stays.
        network.stall("phone");
        let large = [0_u8; 4_000];
        for _ in 0..40 {
            client.publish("large", large).expect("room");
        }
        let requests = zip(
            client.publish_acked("acked", "x"),
            client.call::<()>("method", ()),
        );
        let ((acked, called), ()) = zip(requests, async {
            sim.settle().await;
            network.cut("phone");
        })
        .await;
        assert_eq!(acked, Err(PublishError::Lost));
        assert_eq!(called, Err(CallError::Lost));
        drop(hub);

        network.resume("phone");
        let mut hub = Scripted::welcome(&mut listener).await;
        client.online().await.expect("online");
        client.publish("last", "x").expect("room");
        let mut kept = 0;
        loop {
            match hub.hear().await.frame() {
                Frame::Publish(publish) if publish.name == lapwing::wire::Name::Topic("last") => {
                    break;
                }
                Frame::Publish(publish) => {
                    assert_eq!((publish.receipt, publish.payload.bytes.len()), (0, 4_000));
                    kept += 1;
                }
                other => panic!("not an event: {other:?}"),
            }
        }
        assert!((1..40).contains(&kept), "{kept} were kept");
    });
}

#[test]
fn a_refusal_for_good_ends_the_client_and_all_who_wait() {
    Virtual::check(0..20, async |sim| {
        let (_network, mut listener, client) = begin(&sim);
        let mut hub = Scripted::accept(&mut listener).await;
        let (subscribed, ()) = zip(client.subscribe("a"), async {
            hub.hear().await;
            let (reason, message) = (Refusal::Unauthorized, "no");
            let retry_after_ms = None;
            hub.say(&Frame::Refused(Refused {
                reason,
                retry_after_ms,
                message,
            }))
            .await;
        })
        .await;
        let end = ClientEnd::Refused {
            reason: Refusal::Unauthorized,
            message: "no".into(),
        };
        assert_eq!(subscribed.err(), Some(SubscribeError::Ended(end.clone())));
        assert_eq!(client.online().await, Err(end.clone()));
        assert!(!end.is_wanted());
        let mut states = client.states();
        assert_eq!(states.next().await, Some(State::Ended(end)));
        assert_eq!(states.next().await, None);
        assert!(matches!(
            client.publish("a", "x"),
            Err(PublishError::Ended(_))
        ));
    });
}

#[test]
fn a_refusal_for_now_is_obeyed() {
    Virtual::check(0..20, async |sim| {
        let (_network, mut listener, client) = begin(&sim);
        let mut hub = Scripted::accept(&mut listener).await;
        hub.hear().await;
        let (reason, message) = (Refusal::Full, "");
        let retry_after_ms = Some(60_000);
        hub.say(&Frame::Refused(Refused {
            reason,
            retry_after_ms,
            message,
        }))
        .await;
        drop(hub);
        let before = sim.elapsed();
        let _hub = Scripted::welcome(&mut listener).await;
        let waited = sim.elapsed() - before;
        assert!(waited >= Duration::from_secs(60), "{waited:?}");
        assert!(
            waited <= Duration::from_secs(60) + Backoff::default().first,
            "{waited:?}"
        );
        client.online().await.expect("online");
    });
}

#[test]
fn the_verdict_of_a_close_is_obeyed() {
    Virtual::check(0..20, async |sim| {
        let (_network, mut listener, client) = begin(&sim);
        let mut states = client.states();
        let mut hub = Scripted::welcome(&mut listener).await;
        client.online().await.expect("online");
        let (reason, verdict) = (CloseReason::Shutdown, Return::After { ms: 5_000 });
        hub.say(&Frame::Close(Close { reason, verdict })).await;
        let answer = hub.hear().await;
        assert!(matches!(answer.frame(), Frame::Close(_)));
        let State::Waiting { outage, .. } = trouble(&mut states).await else {
            panic!("not waiting");
        };
        assert_eq!(outage, Outage::Closed(CloseReason::Shutdown));
        let before = sim.elapsed();
        drop(hub);

        let mut hub = Scripted::welcome(&mut listener).await;
        assert!(sim.elapsed() - before >= Duration::from_secs(5));
        let (reason, verdict) = (CloseReason::Kicked, Return::Never);
        hub.say(&Frame::Close(Close { reason, verdict })).await;
        drop(hub);
        let end = State::Ended(ClientEnd::ClosedByHub(CloseReason::Kicked));
        assert_eq!(trouble(&mut states).await, end);
    });
}

#[test]
fn a_hub_that_is_silent_is_given_up_during_and_after_the_handshake() {
    Virtual::check(0..5, async |sim| {
        let (_network, mut listener, client) = begin(&sim);
        let mut states = client.states();
        let hub = Scripted::accept(&mut listener).await;
        let State::Waiting { outage, .. } = trouble(&mut states).await else {
            panic!("not waiting");
        };
        assert_eq!(outage, Outage::Failed(CloseReason::Silent));
        assert_eq!(sim.elapsed(), Duration::from_secs(10));
        drop(hub);

        let _hub = Scripted::welcome(&mut listener).await;
        client.online().await.expect("online");
        let before = sim.elapsed();
        let State::Waiting { outage, .. } = trouble(&mut states).await else {
            panic!("not waiting");
        };
        assert_eq!(outage, Outage::Failed(CloseReason::Silent));
        assert_eq!(sim.elapsed() - before, Duration::from_secs(45));
    });
}

#[test]
fn waits_grow_and_are_random() {
    Virtual::check(0..20, async |sim| {
        let network = Network::new(&sim.runtime());
        let backoff = Backoff {
            first: Duration::from_secs(1),
            max: Duration::from_secs(8),
        };
        let connector = network.connector("hub");
        let client = Client::builder(sim.runtime(), connector)
            .backoff(backoff)
            .spawned();
        let mut states = client.states();
        for ceiling in [1, 2, 4, 8, 8, 8] {
            let State::Waiting { until, .. } = trouble(&mut states).await else {
                panic!("not waiting");
            };
            let wait = until.since(sim.now());
            assert!(
                wait <= Duration::from_secs(ceiling),
                "{wait:?} of {ceiling}"
            );
        }
    });
}

pub(crate) async fn subscribed(client: &Client, filter: &str, hub: &mut Scripted) -> Subscription {
    let (subscription, _) = zip(client.subscribe(filter), hub.allow()).await;
    subscription.expect("allowed")
}

fn sorted(mut filters: Vec<String>) -> Vec<String> {
    filters.sort();
    filters
}
