//! What a program can rely on from its client while there is a connection.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use crate::scripted::{Scripted, TERMS};
use futures_lite::future::zip;
use lapwing::client::{
    CallError, ClientContext, ClientEnd, PublishError, Published, SubscribeError, SubscribeOptions,
};
use lapwing::hub::{Caller, Hub, RemoteCallError, Rule};
use lapwing::wire::{
    Call, Close, CloseReason, Denied, Event, FailureCode, Frame, Lagged, Payload, Return, Terms,
};
use lapwing::{CallFailure, Client, Delivery, Limits, Typed};
use lapwing_memory::{Listener, Network, Path, Virtual};

fn hub(sim: &Virtual, network: &Network) -> Hub {
    let hub = Hub::builder(sim.runtime())
        .topic("secret/**", Rule::closed())
        .topic("**", Rule::open())
        .on_call(
            "add",
            async |_: Caller, Typed((a, b)): Typed<(i64, i64)>| Ok(Typed(a + b)),
        )
        .on_call("ask back", async |caller: Caller, (): ()| {
            let answer = caller.call::<String>("name", ()).await;
            answer.map_err(|error| CallFailure::from(error.to_string()))
        })
        .build()
        .expect("good filters");
    let listener = network.listen("hub").expect("the name is free");
    sim.spawn_named("hub", hub.serve(listener));
    hub
}

fn client(sim: &Virtual, network: &Network, name: &str) -> Client {
    Client::builder(sim.runtime(), network.connector("hub").named(name)).spawned()
}

/// A hub that listens, and a client within `limits` that connects to it.
fn begin(sim: &Virtual, limits: Limits) -> (Listener, Client) {
    let network = Network::new(&sim.runtime());
    let listener = network.listen("hub").expect("the name is free");
    let builder = Client::builder(sim.runtime(), network.connector("hub"));
    (listener, builder.limits(limits).spawned())
}

fn event(topic: &str, direct: bool) -> Frame<'_> {
    Frame::Event(Event {
        topic,
        direct,
        offset: None,
        payload: Payload::text("x"),
    })
}

fn text(delivery: Option<Delivery>) -> String {
    match delivery {
        Some(Delivery::Event(envelope)) => envelope.text().expect("a text").into(),
        other => panic!("not an event: {other:?}"),
    }
}

#[test]
fn what_one_client_publishes_another_hears() {
    Virtual::check(0..20, async |sim| {
        let network = Network::new(&sim.runtime());
        let _hub = hub(&sim, &network);
        let (ann, ben) = (client(&sim, &network, "ann"), client(&sim, &network, "ben"));
        let mut news = ann.subscribe("news/*").await.expect("allowed");
        ben.online().await.expect("online");
        for text in ["one", "two", "three"] {
            ben.publish("news/today", text).expect("room");
        }
        for expected in ["one", "two", "three"] {
            assert_eq!(text(news.next().await), expected);
        }
        assert_eq!(news.accounted(), 3);
        news.close().await;
        assert_eq!(ben.close().await, ClientEnd::Closed { unsent: 0 });
    });
}

#[test]
fn who_has_a_subscription_finds_the_client_online() {
    struct Publishing(Client, Mutex<Vec<Result<(), PublishError>>>);

    impl Wake for Publishing {
        fn wake(self: Arc<Self>) {
            let published = self.0.publish("news", "one");
            self.1.lock().expect("no panic").push(published);
        }
    }

    Virtual::check(0..20, async |sim| {
        let network = Network::new(&sim.runtime());
        let _hub = hub(&sim, &network);
        let client = client(&sim, &network, "ann");
        let woken = Arc::new(Publishing(client.clone(), Mutex::default()));
        let mut subscribing = pin!(client.subscribe("news"));
        let waker = Waker::from(woken.clone());
        let polled = subscribing.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        sim.settle().await;
        assert_eq!(*woken.1.lock().expect("no panic"), [Ok(())]);
        let mut news = subscribing.await.expect("allowed");
        assert_eq!(text(news.next().await), "one");
    });
}

#[test]
fn an_acked_publish_tells_what_became_of_it() {
    Virtual::check(0..20, async |sim| {
        let network = Network::new(&sim.runtime());
        let _hub = hub(&sim, &network);
        let client = client(&sim, &network, "ann");
        let _news = client.subscribe("news").await.expect("allowed");
        client.online().await.expect("online");
        let one = client.publish_acked("news", "one");
        let secret = client.publish_acked("secret/plan", "two");
        let (one, secret) = zip(one, secret).await;
        let expected = Published {
            queued: 1,
            dropped: 0,
        };
        assert_eq!(one, Ok(expected));
        assert_eq!(secret, Err(PublishError::Denied(Denied::Forbidden)));
        let denied = client.subscribe("secret/plan").await.err();
        assert_eq!(denied, Some(SubscribeError::Denied(Denied::Forbidden)));
    });
}

#[test]
fn events_leave_in_order_with_all_that_waits_before_a_close() {
    Virtual::check(0..20, async |sim| {
        let network = Network::new(&sim.runtime());
        let _hub = hub(&sim, &network);
        let (ann, ben) = (client(&sim, &network, "ann"), client(&sim, &network, "ben"));
        let mut numbers = ann.subscribe("numbers").await.expect("allowed");
        ben.online().await.expect("online");
        (0..500).for_each(|number| ben.publish("numbers", Typed(number)).expect("room"));
        assert_eq!(ben.close().await, ClientEnd::Closed { unsent: 0 });
        assert!(matches!(
            ben.publish("numbers", "x"),
            Err(PublishError::Ended(_))
        ));
        for number in 0..500 {
            let Some(Delivery::Event(envelope)) = numbers.next().await else {
                panic!("not an event");
            };
            assert_eq!(envelope.decode(), Ok(Typed(number)));
        }
    });
}

#[test]
fn calls_are_answered_and_handlers_may_call_back() {
    Virtual::check(0..20, async |sim| {
        let network = Network::new(&sim.runtime());
        let hub = hub(&sim, &network);
        let client = Client::builder(sim.runtime(), network.connector("hub"))
            .on_call("name", async |_, (): ()| Ok("ann"))
            .on_call("sum", async |cx: ClientContext, (): ()| {
                let sum = cx.call::<Typed<i64>>("add", Typed((1, 2))).await;
                let Typed(sum) = sum.map_err(|error| CallFailure::from(error.to_string()))?;
                let name = cx.call::<String>("ask back", ()).await;
                Ok(format!(
                    "{sum} for {}",
                    name.map_err(|error| error.to_string())?
                ))
            })
            .on_call("panic", async |_, (): ()| -> Result<(), CallFailure> {
                panic!("a fault")
            })
            .spawned();
        assert_eq!(client.call::<()>("add", ()).await, Err(CallError::Offline));
        client.online().await.expect("online");
        assert_eq!(client.call("add", Typed((20, 22))).await, Ok(Typed(42_i64)));
        let unknown = CallFailure::new(FailureCode::UnknownMethod, "nothing");
        assert_eq!(
            client.call::<()>("nothing", ()).await,
            Err(CallError::Failed(unknown))
        );

        let remote = hub.connection(client.connection().expect("online"));
        let sum = remote.call::<String>("sum", ()).await.expect("answered");
        assert_eq!(sum, "3 for ann");
        for (method, code) in [
            ("nothing", FailureCode::UnknownMethod),
            ("panic", FailureCode::Panicked),
        ] {
            match remote.call::<()>(method, ()).await {
                Err(RemoteCallError::Failed(failure)) => assert_eq!(failure.code, code),
                other => panic!("{method}: {other:?}"),
            }
        }
    });
}

#[test]
fn a_call_without_an_answer_ends_in_time_and_the_hub_is_told() {
    Virtual::check(0..20, async |sim| {
        let (mut listener, client) = begin(&sim, Limits::default());
        let mut hub = Scripted::welcome(&mut listener).await;
        client.online().await.expect("online");
        let before = sim.elapsed();
        let call = client.call::<()>("late", ()).within(Duration::from_secs(3));
        assert_eq!(call.await, Err(CallError::TimedOut));
        assert_eq!(sim.elapsed() - before, Duration::from_secs(3));
        let heard = hub.hear().await;
        let Frame::Call(call) = heard.frame() else {
            panic!("not a call");
        };
        assert_eq!((call.method, call.deadline_ms), ("late", Some(3_000)));
        assert!(matches!(hub.hear().await.frame(), Frame::Cancel(cancel) if cancel.id == call.id));

        let mut call = Box::pin(client.call::<()>("dropped", ()));
        assert_eq!(futures_lite::future::poll_once(&mut call).await, None);
        let heard = hub.hear().await;
        drop(call);
        let Frame::Call(call) = heard.frame() else {
            panic!("not a call");
        };
        assert!(matches!(hub.hear().await.frame(), Frame::Cancel(cancel) if cancel.id == call.id));
    });
}

#[test]
fn a_full_outbox_hands_the_event_back_and_a_patient_publisher_waits() {
    Virtual::check(0..20, async |sim| {
        let network = Network::new(&sim.runtime());
        let mut listener = network.listen("hub").expect("the name is free");
        let client = Client::builder(sim.runtime(), network.connector("hub").named("phone"))
            .limits(Limits {
                lane_frames_max: 3,
                ..Limits::default()
            })
            .spawned();
        let Err(PublishError::Offline(envelope)) = client.publish("a", "early") else {
            panic!("not offline");
        };
        assert_eq!((envelope.topic(), envelope.text()), ("a", Some("early")));
        let mut hub = Scripted::welcome(&mut listener).await;
        client.online().await.expect("online");

        network.partition("phone");
        let full = loop {
            match client.publish("a", "one") {
                Ok(()) => sim.settle().await,
                Err(error) => break error,
            }
        };
        assert!(matches!(full, PublishError::Full(envelope) if envelope.text() == Some("one")));
        let impatient = client
            .publish_within(Duration::from_secs(1), "a", "x")
            .await;
        assert!(matches!(impatient, Err(PublishError::Full(_))));
        let patient = client.publish_within(Duration::from_secs(8), "a", "last");
        let (published, ()) = zip(patient, async {
            sim.sleep(Duration::from_secs(2)).await;
            network.heal("phone");
            while !matches!(hub.hear().await.frame(), Frame::Publish(publish) if publish.payload.bytes == b"last") {}
        })
        .await;
        assert_eq!(published, Ok(()));
    });
}

#[test]
fn what_the_hub_would_not_take_is_refused_with_the_limit() {
    Virtual::check(0..20, async |sim| {
        let (mut listener, client) = begin(&sim, Limits::default());
        let mut hub = Scripted::accept(&mut listener).await;
        let message_bytes_max = 100;
        hub.let_in(Terms {
            message_bytes_max,
            ..TERMS
        })
        .await;
        client.online().await.expect("online");
        match client.publish("a", [7; 100]) {
            Err(PublishError::TooLarge {
                size,
                max: 100,
                envelope,
            }) => {
                assert!(size > 100);
                assert_eq!(envelope.bytes()[..], [7; 100]);
            }
            other => panic!("{other:?}"),
        }
        let call = client.call::<()>("a", [7; 100]).await;
        assert!(matches!(call, Err(CallError::TooLarge { max: 100, .. })));
        client.publish("a", [7; 80]).expect("small enough");
        let size = hub.hear().await;
        assert!(
            matches!(size.frame(), Frame::Publish(_)),
            "nothing else was sent"
        );
    });
}

#[test]
fn a_subscription_that_is_not_read_holds_the_client_and_does_not_kill_it() {
    Virtual::check(0..5, async |sim| {
        let (mut listener, client) = begin(&sim, Limits::default());
        let mut hub = Scripted::welcome(&mut listener).await;
        client.online().await.expect("online");
        let options = SubscribeOptions {
            capacity: 2,
            ..SubscribeOptions::default()
        };
        let (subscription, _) = zip(client.subscribe_with("a", options), hub.allow()).await;
        let mut subscription = subscription.expect("allowed");
        for _ in 0..5 {
            hub.say(&event("a", false)).await;
        }
        sim.settle().await;
        assert_eq!(subscription.accounted(), 2);

        // An hour without a word of the hub that could be heard.
        let before = sim.elapsed();
        while sim.elapsed() - before < Duration::from_secs(3_600) {
            assert!(
                matches!(hub.hear().await.frame(), Frame::Ping(_)),
                "the client goes on to speak"
            );
        }
        for _ in 0..5 {
            assert_eq!(text(subscription.next().await), "x");
        }
        assert_eq!(subscription.accounted(), 5);
        client.online().await.expect("online");
        let call = client
            .call::<()>("more", ())
            .within(Duration::from_secs(40))
            .await;
        assert_eq!(call, Err(CallError::TimedOut), "on the same connection");
    });
}

#[test]
fn events_of_a_subscription_that_was_dropped_are_heard_by_nobody() {
    Virtual::check(0..20, async |sim| {
        let (mut listener, client) = begin(&sim, Limits::default());
        let mut hub = Scripted::welcome(&mut listener).await;
        client.online().await.expect("online");
        let options = SubscribeOptions {
            capacity: 1,
            ..SubscribeOptions::default()
        };
        let (old, number) = zip(client.subscribe_with("a", options), hub.allow()).await;
        let (young, _) = zip(client.subscribe("*"), hub.allow()).await;
        let mut young = young.expect("allowed");
        hub.say(&event("a", false)).await;
        sim.settle().await;
        drop(old);
        hub.say(&event("a", false)).await;
        let heard = hub.hear().await;
        let Frame::Unsubscribe(unsubscribe) = heard.frame() else {
            panic!("not an unsubscribe");
        };
        assert_eq!((unsubscribe.first, unsubscribe.count), (number, 1));
        sim.settle().await;
        assert_eq!(young.accounted(), 0, "both were on account of the old one");
        hub.ack(unsubscribe.receipt, lapwing::wire::Outcome::Unsubscribed)
            .await;
        hub.say(&event("a", false)).await;
        for _ in 0..3 {
            assert_eq!(text(young.next().await), "x");
        }
        assert_eq!(young.accounted(), 1);
    });
}

#[test]
fn handlers_hear_what_was_sent_straight_to_the_client() {
    Virtual::check(0..20, async |sim| {
        let (mut listener, client) = begin(&sim, Limits::default());
        let mut hub = Scripted::welcome(&mut listener).await;
        client.online().await.expect("online");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (all, again) = (heard.clone(), client.clone());
        let panicking = client
            .on("a", |_| panic!("a fault of the handler"))
            .expect("a filter");
        let recording = client.on("a", move |delivery| {
            all.lock().expect("no panic").push(delivery);
            again.on("b", |_| ()).expect("a filter");
        });
        let recording = recording.expect("a filter");
        hub.say(&event("a", true)).await;
        hub.say(&event("b", true)).await;
        hub.say(&Frame::Lagged(Lagged {
            subscription: 0,
            missed: 3,
        }))
        .await;
        sim.settle().await;
        assert_eq!(client.accounted(), 5);
        let mut told = core::mem::take(&mut *heard.lock().expect("no panic")).into_iter();
        assert_eq!(text(told.next()), "x");
        assert_eq!(told.next(), Some(Delivery::Lagged(3)));
        assert_eq!(told.next(), None);

        assert!(!client.off(panicking), "it is gone already");
        assert!(client.off(recording));
        hub.say(&event("a", true)).await;
        sim.settle().await;
        assert_eq!(heard.lock().expect("no panic").len(), 0);
    });
}

#[test]
fn dropping_the_driver_ends_everything_at_once() {
    Virtual::check(0..20, async |sim| {
        let network = Network::new(&sim.runtime());
        let mut listener = network.listen("hub").expect("the name is free");
        let (client, driver) = Client::builder(sim.runtime(), network.connector("hub")).build();
        let work = async {
            let mut hub = Scripted::welcome(&mut listener).await;
            client.online().await.expect("online");
            let (subscription, _) = zip(client.subscribe("a"), hub.allow()).await;
            (hub, subscription.expect("allowed"))
        };
        let mut driver = Box::pin(driver);
        let working = async { Some(work.await) };
        let driving = async {
            (&mut driver).await;
            None
        };
        let (_hub, mut subscription) = futures_lite::future::or(working, driving)
            .await
            .expect("no end");

        let waiting = zip(client.call::<()>("a", ()), client.publish_acked("a", "x"));
        let waiting = zip(waiting, zip(client.subscribe("b"), subscription.next()));
        let dropping = async { drop(driver) };
        let (((call, acked), (subscribed, next)), ()) = zip(waiting, dropping).await;
        assert_eq!(call, Err(CallError::Ended(ClientEnd::Dropped)));
        assert_eq!(acked, Err(PublishError::Lost));
        assert_eq!(
            subscribed.err(),
            Some(SubscribeError::Ended(ClientEnd::Dropped))
        );
        assert_eq!(next, None);
        assert_eq!(client.online().await, Err(ClientEnd::Dropped));
        assert_eq!(client.close().await, ClientEnd::Dropped);
    });
}

#[test]
fn dropping_the_last_handle_ends_the_client_politely() {
    Virtual::check(0..20, async |sim| {
        let network = Network::new(&sim.runtime());
        let mut listener = network.listen("hub").expect("the name is free");
        let (client, driver) = Client::builder(sim.runtime(), network.connector("hub")).build();
        let program = async {
            let mut hub = Scripted::welcome(&mut listener).await;
            client.online().await.expect("online");
            let (subscription, _) = zip(client.subscribe("a"), hub.allow()).await;
            client.publish("a", "x").expect("room");
            drop(client);
            assert!(matches!(hub.hear().await.frame(), Frame::Publish(_)));
            drop(subscription);
            assert!(matches!(hub.hear().await.frame(), Frame::Unsubscribe(_)));
            let (reason, verdict) = (CloseReason::Done, Return::Now);
            let close = Frame::Close(Close { reason, verdict });
            assert_eq!(hub.hear().await.frame(), close);
            hub.say(&close).await;
        };
        let (end, ()) = zip(driver, program).await;
        assert_eq!(end, ClientEnd::Closed { unsent: 0 });
    });
}

#[test]
fn a_hub_that_does_not_answer_cannot_keep_a_client_from_closing() {
    Virtual::check(0..20, async |sim| {
        let (mut listener, client) = begin(&sim, Limits::default());
        let _hub = Scripted::welcome(&mut listener).await;
        client.online().await.expect("online");
        let before = sim.elapsed();
        assert!(client.close().await.is_wanted());
        assert!(sim.elapsed() - before <= 3 * Limits::default().closing);
        sim.settle().await;
        assert_eq!(sim.tasks(), 0);
    });
}

#[test]
fn calls_whose_answers_find_no_room_are_answered_when_there_is_some() {
    Virtual::check(0..20, async |sim| {
        let network = Network::new(&sim.runtime());
        let mut listener = network.listen("hub").expect("the name is free");
        let _client = Client::builder(sim.runtime(), network.connector("hub").named("phone"))
            .limits(Limits {
                lane_frames_max: 2,
                answers_waiting_max: 2,
                calls_waiting_max: 100,
                ..Limits::default()
            })
            .on_call("large", async |_, (): ()| Ok([7; 4_000]))
            .spawned();
        let mut hub = Scripted::welcome(&mut listener).await;
        network.stall(Path::to_hub("phone"));
        // The answers are together more than is on its way at once.
        for id in 1..=40 {
            let call = Call {
                id,
                method: if id % 2 == 0 { "nothing" } else { "large" },
                deadline_ms: Some(1_000),
                arguments: Payload::bytes(&[]),
            };
            hub.say(&Frame::Call(call)).await;
            sim.settle().await;
        }
        sim.sleep(Duration::from_secs(2)).await;
        network.resume("phone");
        let mut answered = Vec::new();
        while answered.len() < 40 {
            if let Frame::Reply(reply) = hub.hear().await.frame() {
                answered.push(reply.id);
            }
        }
        answered.sort_unstable();
        assert!(answered.into_iter().eq(1..=40));
    });
}
