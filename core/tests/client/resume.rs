//! What goes on after a break as if nothing had happened, when the hub still knows the client.

use std::future::Future;
use std::time::Duration;

use futures_lite::future::{poll_once, zip};
use lapwing::client::{CallError, ClientEnd, PublishError, Published, State, SubscribeOptions};
use lapwing::wire::{
    self, Call, Close, CloseReason, Frame, Outcome, Payload, Publish, Received, Refusal, Refused,
    Reply, Return, Terms,
};
use lapwing::{Client, Delivery, Limits, Policy};
use lapwing_memory::{Listener, Network, Virtual};

use crate::reconnect::{ONLINE, begin, event, subscribed};
use crate::scripted::{Grant, Hello, Scripted, TERMS};

const SECOND: Duration = Duration::from_secs(1);

/// A client behind a path that breaks, and a hub that lets it in with the token 1.
pub(crate) async fn online(sim: &Virtual) -> (Network, Listener, Client, Scripted) {
    let (network, mut listener, client) = begin(sim);
    let hub = Scripted::resumable(&mut listener, 1).await;
    client.online().await.expect("online");
    (network, listener, client, hub)
}

/// Breaks the connection, takes the next one and what the client says of its return.
pub(crate) async fn broken(network: &Network, listener: &mut Listener) -> (Scripted, Hello) {
    network.cut("phone");
    let mut hub = Scripted::accept(listener).await;
    let hello = hub.hear_hello().await;
    (hub, hello)
}

/// The payload of the next message, which is an event.
async fn published(hub: &mut Scripted) -> String {
    match hub.hear().await.frame() {
        Frame::Publish(Publish { payload, .. }) => {
            String::from_utf8(payload.bytes.into()).expect("a text")
        }
        other => panic!("not a publish: {other:?}"),
    }
}

/// The future, once it was polled.
async fn begun<F: Future + Unpin>(mut future: F) -> F {
    assert!(poll_once(&mut future).await.is_none());
    future
}

#[test]
fn a_client_returns_to_its_session_and_hears_what_it_missed() {
    Virtual::check(0..20, async |sim| {
        let (network, mut listener, client, mut hub) = online(&sim).await;
        let mut news = subscribed(&client, "news", &mut hub).await;
        hub.say(&event("news")).await;
        sim.settle().await;
        let mut states = client.states();

        let (mut hub, hello) = broken(&network, &mut listener).await;
        assert_eq!(client.connection(), None);
        let expected = Hello {
            resumable: true,
            // The ack of the subscribe, and the event.
            resume: Some(([1; 16], 2)),
            positions: vec![(0, 0), (1, 1)],
        };
        assert_eq!(hello, expected);
        assert_eq!(states.next().await, Some(State::Connecting));
        hub.grant(Grant::whole(2, 1)).await;
        while states.next().await != Some(ONLINE) {}
        hub.say(&event("news")).await;

        assert!(matches!(news.next().await, Some(Delivery::Event(_))));
        assert_eq!(news.next().await, Some(Delivery::Resumed));
        assert!(matches!(news.next().await, Some(Delivery::Event(_))));
        assert_eq!(news.accounted(), 2);

        // Again, by what it was told last; both sides count anew.
        let (_hub, hello) = broken(&network, &mut listener).await;
        assert_eq!(hello.resume, Some(([2; 16], 1)));
        assert_eq!(hello.positions, [(0, 0), (1, 2)]);
    });
}

#[test]
fn who_waits_for_an_answer_gets_it_after_the_break() {
    Virtual::check(0..20, async |sim| {
        let (network, mut listener, client, mut hub) = online(&sim).await;
        let acked = begun(Box::pin(client.publish_acked("a", "acked"))).await;
        let call = begun(client.call::<String>("method", ())).await;
        let subscribe = begun(Box::pin(client.subscribe("news"))).await;
        for _ in 0..3 {
            hub.hear().await;
        }

        let (mut hub, _) = broken(&network, &mut listener).await;
        // It has the event only.
        hub.grant(Grant::whole(2, 1)).await;
        client.online().await.expect("online");
        let heard = hub.hear().await;
        let Frame::Call(Call { id, method, .. }) = heard.frame() else {
            panic!("not the call: {:?}", heard.frame());
        };
        assert_eq!(method, "method");
        assert_eq!(hub.allow().await, 1);
        let result = Ok(Payload::text("done"));
        hub.say(&Frame::Reply(Reply { id, result })).await;
        let (queued, dropped) = (1, 0);
        // The first receipt of all.
        hub.ack(1, Outcome::Published { queued, dropped }).await;
        assert_eq!(acked.await, Ok(Published { queued, dropped }));
        assert_eq!(call.await, Ok("done".into()));
        let mut news = subscribe.await.expect("allowed");
        hub.say(&event("news")).await;
        let first = news.next().await;
        assert!(matches!(first, Some(Delivery::Event(_))), "it begins here");
    });
}

#[test]
fn what_was_under_way_is_sent_again_from_where_the_hub_is() {
    Virtual::check(0..20, async |sim| {
        let (network, mut listener, client, mut hub) = online(&sim).await;
        for text in ["1", "2", "3", "4"] {
            client.publish("a", text).expect("room");
        }
        for text in ["1", "2", "3", "4"] {
            assert_eq!(published(&mut hub).await, text);
        }
        hub.say(&Frame::Received(Received { count: 1 })).await;
        sim.settle().await;
        let (mut hub, _) = broken(&network, &mut listener).await;
        hub.grant(Grant::whole(2, 3)).await;
        client.online().await.expect("online");
        client.publish("a", "5").expect("room");
        assert_eq!(published(&mut hub).await, "4");
        assert_eq!(published(&mut hub).await, "5");
        let (mut hub, _) = broken(&network, &mut listener).await;
        hub.grant(Grant::whole(3, 0)).await;
        assert_eq!(published(&mut hub).await, "4");
        assert_eq!(published(&mut hub).await, "5");
    });
}

#[test]
fn a_welcome_that_is_lost_is_asked_for_in_the_same_way() {
    Virtual::check(0..20, async |sim| {
        let (network, mut listener, client, mut hub) = online(&sim).await;
        let _news = subscribed(&client, "news", &mut hub).await;
        let (hub, first) = broken(&network, &mut listener).await;
        drop(hub);
        let mut hub = Scripted::accept(&mut listener).await;
        assert_eq!(hub.hear_hello().await, first);
    });
}

#[test]
fn a_call_does_not_wait_longer_for_a_break_and_is_not_made_late() {
    Virtual::check(0..20, async |sim| {
        let (network, listener, client, _hub) = online(&sim).await;
        let before = sim.elapsed();
        network.partition("phone");
        let call = begun(client.call::<()>("late", ()).within(3 * SECOND)).await;
        let dropped = begun(client.call::<()>("dropped", ())).await;
        sim.sleep(SECOND).await;
        drop(listener);
        network.cut("phone");
        network.heal("phone");
        sim.settle().await;
        drop(dropped);
        assert_eq!(call.await, Err(CallError::TimedOut));
        assert_eq!(sim.elapsed() - before, 3 * SECOND);

        let mut listener = network.listen("hub").expect("the name is free");
        let mut hub = Scripted::accept(&mut listener).await;
        assert_eq!(hub.hear_hello().await.resume, Some(([1; 16], 0)));
        hub.grant(Grant::whole(2, 0)).await;
        client.online().await.expect("online");
        client.publish("a", "next").expect("room");
        loop {
            match hub.hear().await.frame() {
                Frame::Cancel(_) => {}
                Frame::Publish(_) => break,
                other => panic!("nobody waits for that: {other:?}"),
            }
        }
    });
}

#[test]
fn hope_ends_in_time_and_with_it_everything_that_waits() {
    Virtual::check(0..20, async |sim| {
        let (network, listener, client, mut hub) = online(&sim).await;
        let mut news = subscribed(&client, "news", &mut hub).await;
        let acked = begun(Box::pin(client.publish_acked("a", "x"))).await;
        let call = begun(client.call::<()>("method", ()).within(600 * SECOND)).await;
        sim.settle().await;
        drop(listener);
        let before = sim.elapsed();
        network.cut("phone");
        assert_eq!(acked.await, Err(PublishError::Lost));
        assert_eq!(
            sim.elapsed() - before,
            Limits::default().resume.expect("some")
        );
        assert_eq!(call.await, Err(CallError::Lost));

        let mut listener = network.listen("hub").expect("the name is free");
        let mut hub = Scripted::accept(&mut listener).await;
        let hello = hub.hear_hello().await;
        assert_eq!((hello.resume, hello.positions), (None, vec![]));
        hub.grant(Grant::token(2)).await;
        hub.allow().await;
        assert_eq!(news.next().await, Some(Delivery::Gap(None)));
    });
}

#[test]
fn a_hub_that_has_forgotten_gets_nothing_twice() {
    Virtual::check(0..20, async |sim| {
        let (network, mut listener, client, mut hub) = online(&sim).await;
        let mut news = subscribed(&client, "news", &mut hub).await;
        let acked = begun(Box::pin(client.publish_acked("a", "acked"))).await;
        client.publish("a", "under way").expect("room");
        hub.hear().await;
        assert_eq!(published(&mut hub).await, "under way");
        let (mut hub, hello) = broken(&network, &mut listener).await;
        assert_eq!(hello.resume, Some(([1; 16], 1)));
        hub.grant(Grant::token(2)).await;
        assert_eq!(acked.await, Err(PublishError::Lost));
        assert_eq!(hub.allow().await, 1);
        client.online().await.expect("online");
        client.publish("a", "next").expect("room");
        assert_eq!(published(&mut hub).await, "next");
        assert_eq!(news.next().await, Some(Delivery::Gap(None)));
        assert_eq!(news.accounted(), 0, "the hub counts anew");
        let (_hub, hello) = broken(&network, &mut listener).await;
        assert_eq!(hello.resume, Some(([2; 16], 1)));
    });
}

#[test]
fn a_refusal_is_about_the_session_or_not() {
    Virtual::check(0..5, async |sim| {
        let full = (Refusal::Full, Some(1_000), true);
        let late = (Refusal::Late, Some(1_000), true);
        let count = (Refusal::Count, None, false);
        let shutdown = (Refusal::Shutdown, Some(1_000), false);
        let malformed = (Refusal::Malformed, None, false);
        for (reason, retry_after_ms, goes_on) in [full, late, count, shutdown, malformed] {
            let (network, mut listener, _client, _hub) = online(&sim).await;
            let (mut hub, _) = broken(&network, &mut listener).await;
            let message = "";
            hub.say(&Frame::Refused(Refused {
                reason,
                retry_after_ms,
                message,
            }))
            .await;
            drop(hub);
            let mut hub = Scripted::accept(&mut listener).await;
            let resume = hub.hear_hello().await.resume;
            assert_eq!(resume.is_some(), goes_on, "{reason:?}");
        }
    });
}

#[test]
fn a_client_that_is_not_let_in_any_more_has_ended() {
    Virtual::check(0..5, async |sim| {
        let (network, mut listener, client, _hub) = online(&sim).await;
        let acked = begun(Box::pin(client.publish_acked("a", "x"))).await;
        sim.settle().await;
        let (mut hub, _) = broken(&network, &mut listener).await;
        let (reason, message) = (Refusal::Unauthorized, "no");
        let retry_after_ms = None;
        hub.say(&Frame::Refused(Refused {
            reason,
            retry_after_ms,
            message,
        }))
        .await;
        assert_eq!(acked.await, Err(PublishError::Lost));
        let end = client.online().await;
        assert!(matches!(end, Err(ClientEnd::Refused { .. })), "{end:?}");
    });
}

#[test]
fn an_end_that_somebody_wanted_is_the_end_of_the_session() {
    Virtual::check(0..5, async |sim| {
        use CloseReason as R;
        let (size, max) = (2, 1);
        for (reason, goes_on) in [
            (R::TooSlow, true),
            (R::Stalled, true),
            (R::Silent, true),
            (R::MessageTooLarge { size, max }, true),
            (R::Done, false),
            (R::Shutdown, false),
            (R::Kicked, false),
            (R::Unexpected, false),
            (R::Count, false),
        ] {
            let (_network, mut listener, client, mut hub) = online(&sim).await;
            let acked = begun(Box::pin(client.publish_acked("a", "x"))).await;
            let verdict = Return::Now;
            hub.say(&Frame::Close(Close { reason, verdict })).await;
            drop(hub);
            let mut hub = Scripted::accept(&mut listener).await;
            let resume = hub.hear_hello().await.resume;
            assert_eq!(resume.is_some(), goes_on, "{reason}");
            if !goes_on {
                assert_eq!(acked.await, Err(PublishError::Lost));
            }
        }
    });
}

#[test]
fn a_silent_hub_may_know_the_client_all_the_same() {
    Virtual::check(0..5, async |sim| {
        let (network, mut listener, _client, hub) = online(&sim).await;
        network.partition("phone");
        sim.sleep(45 * SECOND).await;
        drop(hub);
        network.heal("phone");
        let mut hub = Scripted::accept(&mut listener).await;
        assert!(hub.hear_hello().await.resume.is_some());
    });
}

#[test]
fn a_hub_that_says_what_cannot_be_is_left_and_its_session_too() {
    Virtual::check(0..5, async |sim| {
        let smaller = Terms {
            message_bytes_max: 100,
            ..TERMS
        };
        let none_sent = Grant {
            terms: smaller,
            ..Grant::whole(2, 0)
        };
        for (grant, expected) in [
            (Grant::whole(2, 7), CloseReason::Count),
            (
                Grant::partial(2, 7, &[wire::Verdict::Resumed]),
                CloseReason::Count,
            ),
            (Grant::partial(2, 0, &[]), CloseReason::Unexpected),
            (none_sent, CloseReason::Unexpected),
        ] {
            let (network, mut listener, client, _hub) = online(&sim).await;
            let acked = begun(Box::pin(client.publish_acked("a", "x"))).await;
            sim.settle().await;
            let (mut hub, _) = broken(&network, &mut listener).await;
            hub.grant(grant).await;
            let heard = hub.hear().await;
            let Frame::Close(Close { reason, .. }) = heard.frame() else {
                panic!("not a close: {:?}", heard.frame());
            };
            assert_eq!(reason, expected);
            drop(hub);
            assert_eq!(acked.await, Err(PublishError::Lost));
            let mut hub = Scripted::accept(&mut listener).await;
            assert_eq!(hub.hear_hello().await.resume, None);
        }
        // Nobody has asked for a session.
        let (_network, mut listener, _client) = begin(&sim);
        let mut hub = Scripted::accept(&mut listener).await;
        hub.hear_hello().await;
        hub.grant(Grant::whole(1, 0)).await;
        let heard = hub.hear().await;
        assert!(
            matches!(heard.frame(), Frame::Close(_)),
            "{:?}",
            heard.frame()
        );
    });
}

#[test]
fn a_hub_that_never_says_received_gets_as_much_as_may_be_under_way() {
    Virtual::check(0..5, async |sim| {
        let network = Network::new(&sim.runtime());
        let mut listener = network.listen("hub").expect("the name is free");
        let client = Client::builder(sim.runtime(), network.connector("hub"))
            .limits(Limits {
                lane_frames_max: 200,
                ..Limits::default()
            })
            .spawned();
        let mut hub = Scripted::resumable(&mut listener, 1).await;
        client.online().await.expect("online");
        let mut taken = 0;
        while client.publish("a", "x").is_ok() {
            taken += 1;
            sim.settle().await;
        }
        assert_eq!((taken, client.unsent()), (400, 200));
        for _ in 0..200 {
            assert_eq!(published(&mut hub).await, "x");
        }
        hub.say(&Frame::Received(Received { count: 64 })).await;
        for _ in 0..64 {
            assert_eq!(published(&mut hub).await, "x");
        }
        sim.settle().await;
        assert_eq!(client.unsent(), 200 - 64);
        // What is not confirmed does not keep it from ending.
        let before = sim.elapsed();
        let end = client.close().await;
        assert!(sim.elapsed() - before <= 3 * Limits::default().closing);
        assert_eq!(end, ClientEnd::Closed { unsent: 200 - 64 });
    });
}

#[test]
fn what_is_under_way_does_not_keep_a_client_from_ending() {
    Virtual::check(0..5, async |sim| {
        let (_network, _listener, client, mut hub) = online(&sim).await;
        client.publish("a", "x").expect("room");
        let (end, _) = zip(client.close(), async {
            assert_eq!(published(&mut hub).await, "x");
            let heard = hub.hear().await;
            assert!(matches!(heard.frame(), Frame::Close(_)));
            drop(hub);
        })
        .await;
        assert_eq!(end, ClientEnd::Closed { unsent: 0 });
        assert_eq!(sim.elapsed(), Duration::ZERO);
    });
}

#[test]
fn a_handler_of_the_hubs_call_goes_on_and_answers_after_the_break() {
    Virtual::check(0..20, async |sim| {
        let network = Network::new(&sim.runtime());
        let mut listener = network.listen("hub").expect("the name is free");
        let connector = network.connector("hub").named("phone");
        let clock = sim.clone();
        let client = Client::builder(sim.runtime(), connector)
            .on_call("name", move |_, (): ()| {
                let clock = clock.clone();
                async move {
                    clock.sleep(3 * SECOND).await;
                    Ok("ann")
                }
            })
            .spawned();
        let mut hub = Scripted::resumable(&mut listener, 1).await;
        client.online().await.expect("online");
        hub.say(&Frame::Call(Call {
            id: 9,
            method: "name",
            deadline_ms: Some(60_000),
            arguments: Payload::bytes(&[]),
        }))
        .await;
        sim.settle().await;
        let (mut hub, _) = broken(&network, &mut listener).await;
        sim.sleep(4 * SECOND).await;
        hub.grant(Grant::whole(2, 0)).await;
        let heard = hub.hear().await;
        let Frame::Reply(reply) = heard.frame() else {
            panic!("not a reply: {:?}", heard.frame());
        };
        assert_eq!((reply.id, reply.result), (9, Ok(Payload::text("ann"))));
    });
}

#[test]
fn what_is_asked_for_during_the_break_comes_behind_it() {
    Virtual::check(0..20, async |sim| {
        let (network, mut listener, client, mut hub) = online(&sim).await;
        let mut kept = subscribed(&client, "kept", &mut hub).await;
        let left = subscribed(&client, "left", &mut hub).await;
        let closed = subscribed(&client, "closed", &mut hub).await;
        sim.settle().await;
        network.cut("phone");
        sim.settle().await;
        drop(left);
        // There is no connection to wait for.
        closed.close().await;
        let subscribe = begun(Box::pin(client.subscribe("new"))).await;
        let publish = client.publish("a", "x");
        assert!(matches!(publish, Err(PublishError::Offline(_))));

        let mut hub = Scripted::accept(&mut listener).await;
        let hello = hub.hear_hello().await;
        assert_eq!(hello.positions, [(0, 0), (1, 0)]);
        hub.grant(Grant::whole(2, 3)).await;
        // Online with everything in place.
        assert_eq!(hub.hear_subscribe().await.0, ["new"]);
        assert!(client.states().next().await != Some(ONLINE));
        hub.ack(4, Outcome::Subscribed).await;
        for number in [2, 3] {
            let heard = hub.hear().await;
            let Frame::Unsubscribe(unsubscribe) = heard.frame() else {
                panic!("not an unsubscribe: {:?}", heard.frame());
            };
            assert_eq!(unsubscribe.first, number);
        }
        drop(subscribe);
        assert_eq!(kept.next().await, Some(Delivery::Resumed));
    });
}

#[test]
fn a_client_that_does_not_want_to_return_says_so() {
    Virtual::check(0..5, async |sim| {
        let limits = |resume| Limits {
            resume,
            ..Limits::default()
        };
        for (wanted, limits) in [(false, Limits::default()), (true, limits(None))] {
            let network = Network::new(&sim.runtime());
            let mut listener = network.listen("hub").expect("the name is free");
            let connector = network.connector("hub").named("phone");
            let client = Client::builder(sim.runtime(), connector)
                .limits(limits)
                .resume(wanted)
                .spawned();
            let mut hub = Scripted::accept(&mut listener).await;
            assert!(!hub.hear_hello().await.resumable);
            // A token is of no use.
            hub.grant(Grant::token(1)).await;
            client.online().await.expect("online");
            let acked = begun(Box::pin(client.publish_acked("a", "x"))).await;
            let (_hub, hello) = broken(&network, &mut listener).await;
            assert_eq!(acked.await, Err(PublishError::Lost));
            assert_eq!((hello.resume, hello.positions), (None, vec![]));
        }
    });
}

#[test]
fn positions_that_the_hub_would_not_read_are_not_told() {
    Virtual::check(0..5, async |sim| {
        let (network, mut listener, client) = begin(&sim);
        let mut hub = Scripted::accept(&mut listener).await;
        hub.hear_hello().await;
        let terms = Terms {
            message_bytes_max: 50,
            ..TERMS
        };
        hub.grant(Grant {
            terms,
            ..Grant::token(1)
        })
        .await;
        client.online().await.expect("online");
        let mut all = Vec::new();
        for number in 0..10 {
            all.push(subscribed(&client, &number.to_string(), &mut hub).await);
        }
        let acked = begun(Box::pin(client.publish_acked("a", "x"))).await;
        sim.settle().await;
        let (_hub, hello) = broken(&network, &mut listener).await;
        assert_eq!((hello.resume, hello.positions), (None, vec![]));
        assert_eq!(acked.await, Err(PublishError::Lost));
    });
}

#[test]
fn handlers_hear_what_becomes_of_events_straight_to_the_client() {
    Virtual::check(0..5, async |sim| {
        let (network, mut listener, client, mut hub) = online(&sim).await;
        let (told, heard) = std::sync::mpsc::channel();
        client
            .on("direct", move |delivery| drop(told.send(delivery)))
            .expect("a filter");
        let straight = |frame| match frame {
            Frame::Event(event) => Frame::Event(wire::Event {
                direct: true,
                ..event
            }),
            other => other,
        };
        hub.say(&straight(event("direct"))).await;
        sim.settle().await;
        let (mut hub, hello) = broken(&network, &mut listener).await;
        assert_eq!(hello.positions, [(0, 1)]);
        hub.grant(Grant::whole(2, 0)).await;
        client.online().await.expect("online");
        let (mut hub, _) = broken(&network, &mut listener).await;
        let missed = Some(5);
        hub.grant(Grant::partial(3, 0, &[wire::Verdict::Gap { missed }]))
            .await;
        client.online().await.expect("online");
        assert_eq!(client.accounted(), 6);
        let (mut hub, hello) = broken(&network, &mut listener).await;
        assert_eq!(hello.positions, [(0, 6)]);
        hub.grant(Grant::token(4)).await;
        client.online().await.expect("online");
        sim.settle().await;
        assert_eq!(client.accounted(), 0);
        let told: Vec<_> = heard.try_iter().skip(1).collect();
        let expected = [
            Delivery::Resumed,
            Delivery::Gap(Some(5)),
            Delivery::Gap(None),
        ];
        assert_eq!(told, expected);
    });
}

#[test]
fn a_subscription_that_nobody_reads_does_not_grow_by_returns() {
    Virtual::check(0..5, async |sim| {
        let (network, mut listener, client, mut hub) = online(&sim).await;
        let options = SubscribeOptions {
            policy: Some(Policy::DropOldest),
            capacity: 1,
            ..SubscribeOptions::default()
        };
        let (news, _) = zip(client.subscribe_with("news", options), hub.allow()).await;
        let mut news = news.expect("allowed");
        hub.say(&event("news")).await;
        sim.settle().await;
        for round in 0..50 {
            let (mut hub, _) = broken(&network, &mut listener).await;
            hub.grant(Grant::whole(round, 1 - u64::from(round > 0)))
                .await;
            client.online().await.expect("online");
        }
        assert!(matches!(news.next().await, Some(Delivery::Event(_))));
        assert_eq!(news.next().await, Some(Delivery::Resumed));
        assert!(poll_once(news.next()).await.is_none());
    });
}

#[test]
fn a_client_returns_at_the_time_that_its_hub_chose() {
    Virtual::check(0..20, async |sim| {
        let (_network, mut listener, _client, mut hub) = online(&sim).await;
        let (reason, verdict) = (CloseReason::Shutdown, Return::After { ms: 7_000 });
        hub.say(&Frame::Close(Close { reason, verdict })).await;
        drop(hub);
        let mut hub = Scripted::accept(&mut listener).await;
        assert_eq!(sim.elapsed(), 7 * SECOND);
        // Who is sent away again waits for a time of its own as well.
        let mut waited = Vec::new();
        for _ in 0..3 {
            hub.hear_hello().await;
            let before = sim.elapsed();
            hub.say(&Frame::Refused(Refused {
                reason: Refusal::Full,
                retry_after_ms: Some(1_000),
                message: "",
            }))
            .await;
            drop(hub);
            hub = Scripted::accept(&mut listener).await;
            waited.push(sim.elapsed() - before);
        }
        assert!(waited.iter().all(|waited| *waited > SECOND), "{waited:?}");
    });
}
