//! A hub ends politely and completely, and so does a client.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_lite::future::{poll_once, zip};
use futures_lite::stream;
use lapwing::client::{Backoff, CallError, ClientContext, ClientEnd, Outage, State, States};
use lapwing::hub::{Admission, Caller, HubBuilder, Shutdown, ShutdownReport};
use lapwing::session::Ending;
use lapwing::wire::{CloseReason, FailureCode, Refusal};
use lapwing::{CallFailure, Client, Hub, Typed};
use lapwing_memory::{Path, pair};

use crate::ground::{Ground, online, sleep};
use crate::reading::{number, trouble};
use crate::world::{HUB, World};

everywhere![
    what_waits_is_delivered_before_the_end_and_counted,
    a_client_that_closes_delivers_what_waits,
    dropping_all_handles_of_a_client_ends_it_politely,
];

const SECOND: Duration = Duration::from_secs(1);

fn polite() -> Shutdown {
    Shutdown {
        within: 5 * SECOND,
        return_over: 10 * SECOND..20 * SECOND,
    }
}

/// How many connections said goodbye, were cut, and the frames that were not delivered.
fn numbers(report: ShutdownReport) -> (u64, u64, u64) {
    (report.closed, report.cut, report.undelivered_frames)
}

fn is_empty(hub: &Hub) -> bool {
    let counters = hub.counters();
    let now = [
        counters.connections,
        counters.handshakes,
        counters.users,
        counters.groups,
        counters.subscriptions,
        counters.waiting_frames,
        counters.waiting_bytes,
        counters.held_bytes,
    ];
    now == [0; 8] && hub.connections().is_empty()
}

async fn what_waits_is_delivered_before_the_end_and_counted(ground: Ground) {
    let (hub, url) = ground.open_hub().await;
    let mut readers = Vec::new();
    for _ in 0..3 {
        let client = ground.online(&url).await;
        let numbers = client.subscribe("numbers").await.expect("allowed");
        readers.push(numbers);
    }
    for number in 0..500_u32 {
        hub.publish("numbers", Typed(number)).expect("a topic");
    }
    let read = async {
        for reader in &mut readers {
            for expected in 0..500 {
                assert_eq!(number(reader).await, expected);
            }
        }
    };
    let (report, ()) = zip(hub.shutdown(polite()), read).await;
    assert_eq!(numbers(report), (3, 0, 0));
    assert!(is_empty(&hub), "{:?}", hub.counters());
}

async fn a_client_that_closes_delivers_what_waits(ground: Ground) {
    let (hub, url) = ground.open_hub().await;
    let reader = ground.online(&url).await;
    let mut numbers = reader.subscribe("numbers").await.expect("allowed");
    let publisher = ground.online(&url).await;
    for number in 0..500_u32 {
        publisher.publish("numbers", Typed(number)).expect("room");
    }
    assert_eq!(publisher.close().await, ClientEnd::Closed { unsent: 0 });
    for expected in 0..500 {
        assert_eq!(number(&mut numbers).await, expected);
    }
    ground.until(|| hub.counters().connections == 1).await;
}

async fn dropping_all_handles_of_a_client_ends_it_politely(ground: Ground) {
    let (hub, url) = ground.open_hub().await;
    let client = ground.online(&url).await;
    let news = client.subscribe("news").await.expect("allowed");
    let other = client.clone();
    drop((client, other));
    assert_eq!(
        hub.counters().connections,
        1,
        "the subscription is a handle"
    );
    drop(news);
    let gone = || hub.counters().disconnected.get("peer-closed") == Some(&1);
    ground.until(gone).await;
    ground.until(|| is_empty(&hub)).await;
}

/// When the hub wants a client back that hears of its end.
async fn return_of(states: &mut States) -> lapwing::Instant {
    let State::Waiting { until, outage } = trouble(states).await else {
        panic!("not waiting");
    };
    assert_eq!(outage, Outage::Closed(CloseReason::Shutdown));
    until
}

#[test]
fn clients_are_told_to_come_back_at_a_time_of_their_own() {
    World::check(async |world| {
        let hub = world.serve(world.hub());
        let mut clients = Vec::new();
        for number in 0..50 {
            let client = world.client(&format!("client {number}"));
            clients.push(online(client.backoff(Backoff {
                first: Duration::ZERO,
                max: Duration::ZERO,
            })));
        }
        let mut online = Vec::new();
        for client in clients {
            online.push(client.await);
        }
        let mut streams: Vec<_> = online.iter().map(Client::states).collect();
        let told_at = world.sim.now();
        let report = hub.shutdown(polite()).await;
        assert_eq!(numbers(report), (50, 0, 0));
        let mut returns = Vec::new();
        for states in &mut streams {
            returns.push(return_of(states).await.since(told_at));
        }
        returns.sort();
        let (first, last) = (returns[0], returns[49]);
        assert!(first >= 10 * SECOND && last <= 20 * SECOND, "{returns:?}");
        for start in &returns {
            let second = *start..*start + SECOND;
            let within = returns.iter().filter(|at| second.contains(at)).count();
            assert!(within <= 2 * 50 / 10, "too many together: {returns:?}");
        }

        // Who wants to come in meanwhile hears the same.
        let late = world.client("late").spawned();
        let State::Waiting { outage, .. } = trouble(&mut late.states()).await else {
            panic!("not waiting");
        };
        assert!(matches!(outage, Outage::Unreachable { .. }), "{outage:?}");
    });
}

#[test]
fn who_comes_during_a_shutdown_is_told_when_to_come_back() {
    World::check(async |world| {
        let hub = world.serve(world.hub());
        let slow = world.online("slow").await;
        let (client, _) = (slow, world.network.stall("slow"));
        // Waits for the one that does not answer.
        let mut shutdown = Box::pin(hub.shutdown(polite()));
        assert!(poll_once(&mut shutdown).await.is_none());
        let (near, far) = pair(&world.sim.runtime());
        let late = Client::builder(world.sim.runtime(), Once(Some(near))).spawned();
        let attached = hub.attach(far);
        let waiting = async {
            let State::Waiting { until, outage } = trouble(&mut late.states()).await else {
                panic!("not waiting");
            };
            assert_eq!(outage, Outage::Refused(Refusal::Shutdown));
            assert!(until.since(world.sim.now()) >= 10 * SECOND);
        };
        let (ending, ()) = zip(attached, waiting).await;
        assert_eq!(ending, Ending::Refused(Refusal::Shutdown));
        let (took, report) = world.timed(shutdown).await;
        assert!(took <= 5 * SECOND, "{took:?}");
        assert_eq!(report.cut, 1);
        drop(client);
    });
}

/// Connects once, by a transport that is there already.
struct Once(Option<lapwing_memory::Memory>);

#[async_trait::async_trait]
impl lapwing::transport::Connector for Once {
    async fn connect(&mut self) -> std::io::Result<Box<dyn lapwing::transport::Transport>> {
        match self.0.take() {
            Some(transport) => Ok(Box::new(transport)),
            None => Err(std::io::ErrorKind::NotConnected.into()),
        }
    }

    fn url(&self) -> String {
        "memory://once".into()
    }
}

#[test]
fn who_does_not_read_is_cut_when_the_time_is_over() {
    World::check(async |world| {
        let hub = world.serve(world.hub());
        let (fast, slow) = (world.online("fast").await, world.online("slow").await);
        let mut heard = fast.subscribe("numbers").await.expect("allowed");
        let _unheard = slow.subscribe("numbers").await.expect("allowed");
        world.network.stall(Path::to_client("slow"));
        for number in 0..100_u32 {
            hub.publish("numbers", Typed(number)).expect("a topic");
        }
        let hurried = Shutdown {
            within: 2 * SECOND,
            ..polite()
        };
        let (took, report) = world.timed(hub.shutdown(hurried)).await;
        assert_eq!(took, 2 * SECOND);
        assert_eq!((report.closed, report.cut), (1, 1));
        assert!(
            (98..=100).contains(&report.undelivered_frames),
            "{report:?}"
        );
        for expected in 0..100 {
            assert_eq!(number(&mut heard).await, expected);
        }
        assert!(is_empty(&hub), "{:?}", hub.counters());
    });
}

/// A hub whose handlers hold something, which lives as long as any part of the hub.
fn held(hub: HubBuilder) -> (HubBuilder, std::sync::Weak<()>) {
    let something = Arc::new(());
    let weak = Arc::downgrade(&something);
    let hub = hub.on_connect(move |_| {
        let _held = &something;
        async { Ok(Admission::user("somebody").join("group")) }
    });
    (hub, weak)
}

#[test]
fn nothing_is_left_after_a_shutdown() {
    World::check(async |world| {
        let (hub, held) = held(world.hub());
        let hub = world.serve(hub);
        let mut clients = Vec::new();
        for number in 0..5 {
            let client = world.online(&format!("client {number}")).await;
            let subscription = client.subscribe("news").await.expect("allowed");
            clients.push((client, subscription));
        }
        let (near, far) = pair(&world.sim.runtime());
        let attached = hub.attach(far);
        let client = Client::builder(world.sim.runtime(), Once(Some(near))).spawned();
        let during = async {
            client.online().await.expect("the hub lets it in");
            hub.publish("news", "x").expect("a topic");
            hub.shutdown(polite()).await
        };
        let (ending, report) = zip(attached, during).await;
        assert!(matches!(ending, Ending::ByUs(close) if close.reason == CloseReason::Shutdown));
        assert_eq!(numbers(report), (6, 0, 0));
        assert!(is_empty(&hub), "{:?}", hub.counters());
        assert_eq!(hub.counters().disconnected.get("shutdown"), Some(&6));
        world.sim.settle().await;
        assert_eq!(world.sim.tasks(), 6, "the drivers of the clients");
        drop((clients, client));
        world.sim.settle().await;
        assert_eq!(world.sim.tasks(), 0);
        drop(hub);
        assert!(held.upgrade().is_none());
    });
}

#[test]
fn dropping_serve_ends_its_connections() {
    World::check(async |world| {
        let (hub, held) = held(world.hub());
        let hub = hub.build().expect("good filters");
        let listener = world.network.listen(HUB).expect("the name is free");
        let mut serve = Box::pin(hub.serve(listener));
        let client = world.client("phone").spawned();
        let connect = async {
            client.online().await.expect("the hub lets it in");
            client.subscribe("news").await.expect("allowed")
        };
        let news = futures_lite::future::or(async { Some(connect.await) }, async {
            serve.as_mut().await;
            None
        });
        let news = news.await.expect("connected");
        assert!(!is_empty(&hub));
        let mut states = client.states();
        drop(serve);
        let State::Waiting { outage, .. } = trouble(&mut states).await else {
            panic!("not waiting");
        };
        assert_eq!(outage, Outage::Broken);
        world.sim.settle().await;
        assert!(is_empty(&hub), "{:?}", hub.counters());
        assert_eq!(hub.counters().disconnected.get("lost"), Some(&1));
        drop((client, news));
        world.sim.settle().await;
        assert_eq!(world.sim.tasks(), 0);
        drop(hub);
        assert!(held.upgrade().is_none());
    });
}

#[test]
fn dropping_attach_ends_its_connection() {
    World::check(async |world| {
        let (hub, held) = held(world.hub());
        let hub = hub.build().expect("good filters");
        let (near, far) = pair(&world.sim.runtime());
        let mut attached = Box::pin(hub.attach(far));
        let client = Client::builder(world.sim.runtime(), Once(Some(near))).spawned();
        let connected = async {
            client.online().await.expect("the hub lets it in");
            None
        };
        let early = async { Some((&mut attached).await) };
        assert_eq!(futures_lite::future::or(connected, early).await, None);
        assert!(!is_empty(&hub));
        drop(attached);
        assert!(is_empty(&hub), "{:?}", hub.counters());
        let State::Waiting { outage, .. } = trouble(&mut client.states()).await else {
            panic!("not waiting");
        };
        assert_eq!(outage, Outage::Broken);
        drop((client, hub));
        world.sim.settle().await;
        assert_eq!(world.sim.tasks(), 0);
        assert!(held.upgrade().is_none());
    });
}

#[test]
fn dropping_the_driver_of_a_client_ends_all_who_wait_for_it() {
    World::check(async |world| {
        let hub = world.serve(world.hub());
        let (client, driver) = world.client("phone").resume(false).build();
        let driven = async {
            client.online().await.expect("the hub lets it in");
            client.subscribe("news").await.expect("allowed")
        };
        let news = futures_lite::future::or(async { Some(driven.await) }, async {
            driver.await;
            None
        });
        let mut news = news.await.expect("connected");
        assert_eq!(news.next().await, None);
        assert_eq!(client.online().await, Err(ClientEnd::Dropped));
        assert!(client.publish("news", "x").is_err());
        assert!(client.call::<()>("any", ()).await.is_err());
        world.sim.settle().await;
        assert!(is_empty(&hub), "{:?}", hub.counters());
    });
}

#[test]
fn a_shutdown_that_nobody_waits_for_goes_on() {
    World::check(async |world| {
        let hub = world.serve(world.hub());
        let client = world.online("phone").await;
        let shutdown = poll_once(hub.shutdown(polite())).await;
        assert!(shutdown.is_none());
        let State::Waiting { outage, .. } = trouble(&mut client.states()).await else {
            panic!("not waiting");
        };
        assert_eq!(outage, Outage::Closed(CloseReason::Shutdown));
        world.sim.settle().await;
        assert!(is_empty(&hub), "{:?}", hub.counters());
    });
}

#[test]
fn a_close_takes_no_longer_than_its_limit_says() {
    World::check(async |world| {
        let _hub = world.serve(world.hub());
        let client = world.online("phone").await;
        world.network.stall("phone");
        for number in 0..10_u32 {
            client.publish("numbers", Typed(number)).expect("room");
        }
        let (took, end) = world.timed(client.close()).await;
        let ClientEnd::Closed { unsent } = end else {
            panic!("{end:?}");
        };
        assert!((8..=10).contains(&unsent), "{unsent}");
        assert!(took <= 3 * lapwing::Limits::default().closing, "{took:?}");
    });
}

/// A hub with a method that takes a second, one that never answers, and one that asks its caller.
fn busy(world: &World) -> HubBuilder {
    let runtime = world.sim.runtime();
    world
        .hub()
        .on_call("slow", move |_: Caller, number: Typed<u32>| {
            let runtime = runtime.clone();
            async move {
                sleep(&*runtime, SECOND).await;
                Ok(number)
            }
        })
        .on_call("never", |_: Caller, ()| {
            pending::<Result<(), CallFailure>>()
        })
        .on_call("ask back", async |caller: Caller, ()| {
            Ok(caller.call::<String>("name", ()).await?)
        })
}

fn code<R: std::fmt::Debug>(called: Result<R, CallError>) -> FailureCode {
    match called {
        Err(CallError::Failed(failure)) => failure.code,
        other => panic!("not a failure: {other:?}"),
    }
}

#[test]
fn calls_are_finished_and_new_ones_refused() {
    World::check(async |world| {
        let hub = world.serve(busy(world));
        let (caller, other) = (world.online("caller").await, world.online("other").await);
        let mut heard = caller.subscribe("numbers").await.expect("allowed");
        let begun = world.sim.elapsed();
        let mut first = Box::pin(caller.call::<Typed<u32>>("slow", Typed(1_u32)));
        let mut second = Box::pin(caller.call::<Typed<u32>>("slow", Typed(2_u32)));
        assert!(poll_once(&mut first).await.is_none());
        assert!(poll_once(&mut second).await.is_none());
        world.sim.settle().await;
        let end = async {
            let report = hub.shutdown(polite()).await;
            assert_eq!(numbers_of_calls(report), (2, 0));
            assert_eq!(numbers(report), (2, 0, 0));
            assert_eq!(
                world.sim.elapsed() - begun,
                2 * SECOND,
                "no longer than the calls"
            );
        };
        let calls = async {
            // Who calls nothing is told at once.
            return_of(&mut other.states()).await;
            assert_eq!(world.sim.elapsed(), begun);
            assert_eq!(
                code(caller.call::<()>("never", ()).await),
                FailureCode::Shutdown
            );
            assert_eq!(world.sim.elapsed(), begun, "it is told at once");
            assert_eq!(first.await.expect("answered"), Typed(1));
            hub.publish("numbers", Typed(7_u32)).expect("a topic");
            assert_eq!(second.await.expect("answered"), Typed(2));
            assert_eq!(number(&mut heard).await, 7, "it is here until then");
            let until = return_of(&mut caller.states()).await;
            let window = 10 * SECOND..20 * SECOND;
            assert!(window.contains(&(until.since(world.sim.now()) + 2 * SECOND)));
        };
        zip(end, calls).await;
    });
}

/// Calls that were finished, and that were cut.
fn numbers_of_calls(report: ShutdownReport) -> (u64, u64) {
    (report.calls_finished, report.calls_cut)
}

#[test]
fn a_call_that_takes_too_long_is_cut_and_its_caller_told_before_the_end() {
    World::check(async |world| {
        let hub = world.serve(busy(world));
        let caller = world.online("caller").await;
        let mut never = Box::pin(caller.call::<()>("never", ()));
        let mut waiting = Box::pin(caller.call::<Typed<u32>>("slow", Typed(1_u32)));
        assert!(poll_once(&mut never).await.is_none());
        assert!(poll_once(&mut waiting).await.is_none());
        world.sim.settle().await;
        let hurried = Shutdown {
            within: 4 * SECOND,
            ..polite()
        };
        let called = async {
            assert_eq!(code(never.await), FailureCode::Shutdown);
            assert_eq!(code(waiting.await), FailureCode::Shutdown);
            return_of(&mut caller.states()).await;
        };
        let (took, (report, ())) = world.timed(zip(hub.shutdown(hurried), called)).await;
        assert_eq!(took, 3 * SECOND, "the rest is for goodbyes");
        assert_eq!(numbers_of_calls(report), (0, 2));
        assert_eq!(numbers(report), (1, 0, 0));
    });
}

#[test]
fn streams_are_finished_or_cut_with_a_word() {
    World::check(async |world| {
        let seconds = world.sim.clone();
        let slowly = move |_: Caller, Typed(to): Typed<u32>| {
            let seconds = seconds.clone();
            stream::unfold(0, move |number| {
                let second = seconds.sleep(SECOND);
                async move {
                    second.await;
                    (number < to).then_some((Ok(Typed(number)), number + 1))
                }
            })
        };
        let hub = world.serve(world.hub().on_stream("slowly", slowly));
        let caller = world.online("caller").await;
        let read = async |to: u32| {
            let mut stream = caller.stream::<Typed<u32>>("slowly", Typed(to));
            let mut count = 0;
            loop {
                match stream.next().await {
                    None => return (count, None),
                    Some(Ok(_)) => count += 1,
                    Some(Err(error)) => return (count, Some(code::<()>(Err(error)))),
                }
            }
        };
        let shutdown = async {
            world.sim.sleep(SECOND / 2).await;
            let hurried = Shutdown {
                within: 4 * SECOND,
                ..polite()
            };
            hub.shutdown(hurried).await
        };
        let (report, (short, long)) = zip(shutdown, zip(read(2), read(100))).await;
        assert_eq!(short, (2, None));
        assert_eq!(long, (3, Some(FailureCode::Shutdown)));
        assert_eq!(numbers_of_calls(report), (1, 1));
        assert_eq!(numbers(report), (1, 0, 0));
    });
}

#[test]
fn a_handler_may_ask_its_caller_while_the_hub_ends() {
    World::check(async |world| {
        let hub = world.serve(busy(world));
        let runtime = world.sim.runtime();
        let name = move |_: ClientContext, ()| {
            let runtime = runtime.clone();
            async move {
                sleep(&*runtime, SECOND).await;
                Ok("Ada")
            }
        };
        let caller = online(world.client("caller").on_call("name", name)).await;
        let mut asked = Box::pin(caller.call::<String>("ask back", ()));
        assert!(poll_once(&mut asked).await.is_none());
        world.sim.settle().await;
        let (report, asked) = zip(hub.shutdown(polite()), asked).await;
        assert_eq!(asked.expect("answered"), "Ada");
        assert_eq!(numbers_of_calls(report), (1, 0));
    });
}

#[test]
fn events_that_have_come_are_handled_and_those_that_follow_hold_nobody_up() {
    World::check(async |world| {
        let (runtime, handled) = (world.sim.runtime(), Arc::new(AtomicU32::new(0)));
        let counted = handled.clone();
        let hub = world.serve(world.hub().on_event(
            "readings",
            move |_: Caller, _, Typed(_): Typed<u32>| {
                let (runtime, counted) = (runtime.clone(), counted.clone());
                async move {
                    sleep(&*runtime, SECOND / 10).await;
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            },
        ));
        let sensor = world.online("sensor").await;
        for number in 0..10_u32 {
            sensor.publish("readings", Typed(number)).expect("room");
        }
        world.sim.settle().await;
        let publish_on = async {
            while sensor.publish("readings", Typed(0_u32)).is_ok() {
                world.sim.sleep(SECOND / 100).await;
            }
        };
        let ended = zip(hub.shutdown(polite()), publish_on);
        let (took, (report, ())) = world.timed(ended).await;
        assert!(took < SECOND + SECOND / 2, "{took:?}");
        assert_eq!(numbers(report), (1, 0, 0));
        assert!(handled.load(Ordering::Relaxed) >= 10);
    });
}
