//! Calls in both directions: answered in order, in time, once, or with a word on why not.

use std::future::{IntoFuture, pending};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::future::{poll_once, zip};
use lapwing::client::{CallError, ClientContext};
use lapwing::hub::{Caller, RemoteCallError};
use lapwing::wire::FailureCode;
use lapwing::{CallFailure, Client, ConnectionId, Hub, Limits, Typed};
use lapwing_memory::Path;
use serde::{Deserialize, Serialize};

use crate::ground::{self, Ground, online};
use crate::world::World;

everywhere![
    a_client_calls_the_hub_with_values_and_gets_values,
    the_hub_calls_a_client_with_values_and_gets_values,
    a_call_that_cannot_be_done_says_whose_fault_that_is,
    a_handler_may_call_its_own_caller_back,
    a_handler_that_waits_for_others_may_let_the_next_call_run,
    a_handler_knows_who_calls,
    large_results_arrive_and_too_large_ones_fail,
    a_call_needs_a_connection,
];

fn id(client: &Client) -> ConnectionId {
    client.connection().expect("online")
}

/// What a call of a client failed with.
fn failure<R: std::fmt::Debug>(called: Result<R, CallError>) -> CallFailure {
    match called {
        Err(CallError::Failed(failure)) => failure,
        other => panic!("not a failure: {other:?}"),
    }
}

/// What a call of the hub failed with.
fn remote_failure<R: std::fmt::Debug>(called: Result<R, RemoteCallError>) -> CallFailure {
    match called {
        Err(RemoteCallError::Failed(failure)) => failure,
        other => panic!("not a failure: {other:?}"),
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    dish: String,
    plates: u8,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Served {
    Warm(Vec<Order>),
}

fn cook(Typed(order): Typed<Order>) -> Typed<Served> {
    let plates = usize::from(order.plates);
    Typed(Served::Warm(vec![order; plates]))
}

fn soup() -> (Typed<Order>, Typed<Served>) {
    let dish = "soup".into();
    let order = Order { dish, plates: 3 };
    (Typed(order.clone()), cook(Typed(order)))
}

async fn a_client_calls_the_hub_with_values_and_gets_values(ground: Ground) {
    let hub = ground
        .hub()
        .on_call("cook", async |_: Caller, order| Ok(cook(order)))
        .on_call("shout", async |_: Caller, text: String| {
            Ok(text.to_uppercase())
        })
        .on_call("reverse", async |_: Caller, mut bytes: Vec<u8>| {
            bytes.reverse();
            Ok(bytes)
        })
        .on_call("nothing", async |_: Caller, (): ()| Ok(()));
    let (_hub, url) = ground.served(hub).await;
    let client = ground.online(&url).await;
    let (order, served) = soup();
    assert_eq!(client.call("cook", order).await, Ok(served));
    let shouted = client.call::<String>("shout", "größer").await;
    assert_eq!(shouted.as_deref(), Ok("GRÖSSER"));
    let reversed = client.call::<Vec<u8>>("reverse", [1, 2, 3]).await;
    assert_eq!(reversed.as_deref(), Ok(&[3, 2, 1][..]));
    assert_eq!(client.call("nothing", ()).await, Ok(()));
}

async fn the_hub_calls_a_client_with_values_and_gets_values(ground: Ground) {
    let (hub, url) = ground.open_hub().await;
    let client = ground
        .client(&url)
        .on_call("cook", async |_: ClientContext, order| Ok(cook(order)));
    let client = online(client).await;
    let (order, served) = soup();
    let remote = hub.connection(id(&client));
    let answer: Typed<Served> = remote.call("cook", order).await.expect("an answer");
    assert_eq!(answer, served);
}

async fn a_call_that_cannot_be_done_says_whose_fault_that_is(ground: Ground) {
    let hub = ground
        .hub()
        .on_call("fail", async |_: Caller, (): ()| -> Result<(), _> {
            Err(CallFailure::from("the oven is cold"))
        })
        .on_call("forbid", async |_: Caller, (): ()| -> Result<(), _> {
            Err(CallFailure::new(FailureCode::Forbidden, "guests only"))
        })
        .on_call("cook", async |_: Caller, order| Ok(cook(order)))
        .on_call("panic", async |_: Caller, (): ()| -> Result<(), _> {
            panic!("a fault of the handler")
        });
    let (hub, url) = ground.served(hub).await;
    let client = ground
        .client(&url)
        .on_call("fail", async |_, (): ()| -> Result<(), _> {
            Err(CallFailure::from("the oven is cold"))
        })
        .on_call("cook", async |_, order| Ok(cook(order)))
        .on_call("panic", async |_, (): ()| -> Result<(), _> {
            panic!("a fault of the handler")
        });
    let client = online(client).await;
    let remote = hub.connection(id(&client));

    let cold = CallFailure::new(FailureCode::Failed, "the oven is cold");
    assert_eq!(failure(client.call::<()>("fail", ()).await), cold);
    assert_eq!(remote_failure(remote.call::<()>("fail", ()).await), cold);
    let guests_only = CallFailure::new(FailureCode::Forbidden, "guests only");
    assert_eq!(failure(client.call::<()>("forbid", ()).await), guests_only);
    for (method, code) in [
        ("nobody knows", FailureCode::UnknownMethod),
        ("cook", FailureCode::Arguments),
        ("panic", FailureCode::Panicked),
    ] {
        let of_hub = failure(client.call::<()>(method, "not an order").await);
        assert_eq!(of_hub.code, code, "{method}");
        let of_client = remote_failure(remote.call::<()>(method, "not an order").await);
        assert_eq!(of_client.code, code, "{method}");
    }
    // A result of another type than was wanted is the caller's fault.
    let (order, served) = soup();
    let text = client.call::<String>("cook", order.clone()).await;
    assert!(matches!(text, Err(CallError::Payload(_))));
    let text = remote.call::<String>("cook", order.clone()).await;
    assert!(matches!(text, Err(RemoteCallError::Answer(_))));
    // All of it on one connection.
    assert_eq!(client.call("cook", order).await, Ok(served));
    assert_eq!(remote.id(), id(&client));
}

async fn a_handler_may_call_its_own_caller_back(ground: Ground) {
    // One call at a time in both directions, so each needs the place that its caller gives away.
    let hub = ground
        .hub()
        .on_call("factorial", async |caller: Caller, Typed(n): Typed<u64>| {
            if n == 0 {
                return Ok(Typed(1));
            }
            let Typed(below) = caller
                .call::<Typed<u64>>("factorial", Typed(n - 1))
                .await
                .map_err(|error| CallFailure::from(error.to_string()))?;
            Ok(Typed(n * below))
        });
    let (hub, url) = ground.served(hub).await;
    let client =
        ground
            .client(&url)
            .on_call("factorial", async |cx: ClientContext, n: Typed<u64>| {
                if n == Typed(0) {
                    return Ok(Typed(1));
                }
                let Typed(below) = cx
                    .call::<Typed<u64>>("factorial", Typed(n.0 - 1))
                    .await
                    .map_err(|error| CallFailure::from(error.to_string()))?;
                Ok(Typed(n.0 * below))
            });
    let client = online(client).await;
    let remote = hub.connection(id(&client));
    let by_client = client.call("factorial", Typed(10_u64)).await;
    assert_eq!(by_client, Ok(Typed(3_628_800_u64)));
    let by_hub: Typed<u64> = remote.call("factorial", Typed(10_u64)).await.expect("it");
    assert_eq!(by_hub, Typed(3_628_800));
}

async fn a_handler_that_waits_for_others_may_let_the_next_call_run(ground: Ground) {
    let (done, wait) = futures_channel::oneshot::channel();
    let (done, wait) = (Mutex::new(Some(done)), Mutex::new(Some(wait)));
    let hub = ground
        .hub()
        .on_call("wait", move |caller: Caller, (): ()| {
            let wait = wait.lock().expect("no panic").take();
            async move {
                let wait = wait.ok_or("it waits already")?;
                caller.lend(wait).await.map_err(CallFailure::private)
            }
        })
        .on_call("done", move |_: Caller, text: String| {
            let done = done.lock().expect("no panic").take();
            async move {
                let sent = done.ok_or("it is done already")?.send(text);
                sent.map_err(|_| CallFailure::private("nobody waits"))
            }
        });
    let (_hub, url) = ground.served(hub).await;
    let client = ground.online(&url).await;
    let waits = client.call::<String>("wait", ()).into_future();
    let done = client.call::<()>("done", "now").into_future();
    let (waited, done) = zip(waits, done).await;
    assert_eq!((waited, done), (Ok("now".into()), Ok(())));
    // Why it fails is nobody's business.
    let failed = failure(client.call::<()>("done", "again").await);
    assert_eq!(failed.message, "it is done already");
}

async fn a_handler_knows_who_calls(ground: Ground) {
    let hub = ground
        .hub()
        .on_call("who am i", async |caller: Caller, (): ()| {
            let group = caller.remote().join("callers");
            assert_eq!(group, Ok(true));
            Ok(caller.id().to_string())
        });
    let (hub, url) = ground.served(hub).await;
    let client = ground.online(&url).await;
    let name = client.call::<String>("who am i", ()).await;
    assert_eq!(name, Ok(id(&client).to_string()));
    assert_eq!(hub.members("callers"), [id(&client)]);
}

async fn large_results_arrive_and_too_large_ones_fail(ground: Ground) {
    let hub = ground
        .hub()
        .on_call("bytes", async |_: Caller, Typed(size): Typed<usize>| {
            Ok(vec![7_u8; size])
        });
    let (hub, url) = ground.served(hub).await;
    let client = ground
        .client(&url)
        .on_call("bytes", async |_, Typed(size): Typed<usize>| {
            Ok(vec![7_u8; size])
        });
    let client = online(client).await;
    let remote = hub.connection(id(&client));
    let large = 1024 * 1024 - 100;
    for size in [0, 1, 64 * 1024, large] {
        let expected = vec![7; size];
        let of_hub = client.call::<Vec<u8>>("bytes", Typed(size)).await;
        assert!(of_hub.as_ref() == Ok(&expected), "{size}");
        let of_client = remote.call::<Vec<u8>>("bytes", Typed(size)).await;
        assert!(of_client.expect("an answer") == expected, "{size}");
    }
    // Larger than a message may be: that call fails, the connection does not.
    let size = Typed(2 * large);
    let of_hub = client.call::<Vec<u8>>("bytes", size).await;
    assert_eq!(failure(of_hub).code, FailureCode::Failed);
    let of_client = remote.call::<Vec<u8>>("bytes", size).await;
    assert_eq!(remote_failure(of_client).code, FailureCode::Failed);
    assert_eq!(remote.id(), id(&client));
}

async fn a_call_needs_a_connection(ground: Ground) {
    let (hub, url) = ground.open_hub().await;
    let client = ground.client(&url).spawned();
    let early = client.call::<()>("any", ()).await;
    assert_eq!(early, Err(CallError::Offline));
    client.online().await.expect("the hub lets it in");
    let remote = hub.connection(id(&client));
    let end = client.close().await;
    let late = client.call::<()>("any", ()).await;
    assert_eq!(late, Err(CallError::Ended(end)));
    ground.until(|| !remote.is_connected()).await;
    let gone = remote.call::<()>("any", ()).await;
    assert!(matches!(gone, Err(RemoteCallError::Gone)), "{gone:?}");
}

/// Notes that a handler began, and that it is over.
#[derive(Clone, Default)]
struct Running(Arc<AtomicUsize>);

struct Began(Running);

impl Running {
    fn begin(&self) -> Began {
        self.0.fetch_add(1, Ordering::Relaxed);
        Began(self.clone())
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Began {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A hub with a method `wait` that nobody ever gets an answer from.
fn waiting_hub(world: &World, limits: Limits) -> (Hub, Running) {
    let running = Running::default();
    let all = running.clone();
    let hub = world
        .hub()
        .limits(limits)
        .on_call("wait", move |_: Caller, (): ()| {
            let all = all.clone();
            async move {
                let _began = all.begin();
                pending::<Result<(), CallFailure>>().await
            }
        });
    (world.serve(hub), running)
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_call_ends_at_its_deadline_and_so_does_its_handler() {
    World::check(async |world| {
        let (_hub, running) = waiting_hub(world, Limits::default());
        let client = world.online("phone").await;
        let call = client.call::<()>("wait", ()).within(3 * SECOND);
        let (took, answer) = world.timed(call).await;
        assert_eq!((took, answer), (3 * SECOND, Err(CallError::TimedOut)));
        world.sim.settle().await;
        assert_eq!(running.count(), 0);

        // Its deadline travels with it: the handler ends in time even when nobody can tell it to.
        let mut call = Box::pin(client.call::<()>("wait", ()).within(3 * SECOND));
        assert!(poll_once(&mut call).await.is_none());
        world.sim.settle().await;
        assert_eq!(running.count(), 1);
        world.network.partition("phone");
        assert_eq!(call.await, Err(CallError::TimedOut));
        world.sim.settle().await;
        assert_eq!(running.count(), 0);
    });
}

#[test]
fn a_call_of_the_hub_ends_at_its_deadline() {
    World::check(async |world| {
        let hub = world.serve(world.hub());
        let running = Running::default();
        let all = running.clone();
        let client = world.client("phone").on_call("wait", move |_, (): ()| {
            let all = all.clone();
            async move {
                let _began = all.begin();
                pending::<Result<(), CallFailure>>().await
            }
        });
        let client = online(client).await;
        // The client gives up at its deadline, too; the hub does not wait to hear of that.
        world
            .network
            .delay(Path::to_hub("phone"), Duration::from_millis(10));
        let call = hub.connection(id(&client)).call::<()>("wait", ());
        let (took, answer) = world.timed(call.within(3 * SECOND).into_future()).await;
        assert_eq!(took, 3 * SECOND);
        assert!(
            matches!(answer, Err(RemoteCallError::TimedOut)),
            "{answer:?}"
        );
        world.sim.settle().await;
        assert_eq!(running.count(), 0);
    });
}

#[test]
fn a_call_that_is_dropped_stops_its_handler() {
    World::check(async |world| {
        let (hub, running) = waiting_hub(world, Limits::default());
        let of_client = Running::default();
        let all = of_client.clone();
        let client = world.client("phone").on_call("wait", move |_, (): ()| {
            let all = all.clone();
            async move {
                let _began = all.begin();
                pending::<Result<(), CallFailure>>().await
            }
        });
        let client = online(client).await;

        let mut call = Box::pin(client.call::<()>("wait", ()));
        assert!(poll_once(&mut call).await.is_none());
        world.sim.settle().await;
        assert_eq!(running.count(), 1);
        drop(call);
        world.sim.settle().await;
        assert_eq!(running.count(), 0);

        let remote = hub.connection(id(&client));
        let mut call = Box::pin(remote.call::<()>("wait", ()).into_future());
        assert!(poll_once(&mut call).await.is_none());
        world.sim.settle().await;
        assert_eq!(of_client.count(), 1);
        drop(call);
        world.sim.settle().await;
        assert_eq!(of_client.count(), 0);
    });
}

/// What handlers noted, in order.
type Notes = Arc<Mutex<Vec<(u32, Duration)>>>;

/// Makes five calls at once, each of which takes a second; says when which was begun.
async fn five_calls(world: &World, limits: Limits) -> Vec<(u32, Duration)> {
    let notes = Notes::default();
    let (all, sim) = (notes.clone(), world.sim.clone());
    let hub =
        world
            .hub()
            .limits(limits)
            .on_call("note", move |_: Caller, Typed(number): Typed<u32>| {
                let noted = (number, sim.elapsed());
                let (all, second) = (all.clone(), sim.sleep(SECOND));
                async move {
                    all.lock().expect("no panic").push(noted);
                    second.await;
                    Ok(Typed(number))
                }
            });
    let _hub = world.serve(hub);
    let client = world.online("phone").await;
    let call = |number: u32| client.call::<Typed<u32>>("note", Typed(number));
    let calls = zip(zip(call(0), call(1)), zip(zip(call(2), call(3)), call(4)));
    let ((a, b), ((c, d), e)) = calls.await;
    assert_eq!([a, b, c, d, e], [0, 1, 2, 3, 4].map(|n| Ok(Typed(n))));
    let mut noted = notes.lock().expect("no panic");
    std::mem::take(&mut noted)
}

#[test]
fn calls_of_one_client_run_one_after_the_other_in_their_order() {
    World::check(async |world| {
        let noted = five_calls(world, Limits::default()).await;
        let numbers: Vec<_> = noted.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        assert_eq!(world.sim.elapsed(), 5 * SECOND);
    });
}

#[test]
fn so_many_calls_run_at_the_same_time_as_the_limit_allows() {
    World::check(async |world| {
        let limits = Limits {
            calls_running_max: 3,
            ..Limits::default()
        };
        five_calls(world, limits).await;
        assert_eq!(world.sim.elapsed(), 2 * SECOND);
    });
}

#[test]
fn a_slow_handler_delays_nothing_but_the_next_call() {
    World::check(async |world| {
        let (hub, _running) = waiting_hub(world, Limits::default());
        let client = world.online("phone").await;
        let mut call = Box::pin(client.call::<()>("wait", ()));
        assert!(poll_once(&mut call).await.is_none());
        let mut news = client.subscribe("news").await.expect("allowed");
        hub.publish("news", "rain").expect("a topic");
        assert_eq!(crate::reading::text(&mut news).await, "rain");
        let published = client.publish_acked("news", "sun").await;
        assert_eq!(published.expect("allowed").queued, 1);
        assert_eq!(world.sim.elapsed(), Duration::ZERO);
    });
}

#[test]
fn calls_beyond_the_limit_are_told_that_the_hub_is_busy() {
    World::check(async |world| {
        let limits = Limits {
            calls_waiting_max: 2,
            ..Limits::default()
        };
        let (_hub, running) = waiting_hub(world, limits);
        let client = world.online("phone").await;
        let mut calls = Vec::new();
        for _ in 0..3 {
            let mut call = Box::pin(client.call::<()>("wait", ()));
            assert!(poll_once(&mut call).await.is_none());
            world.sim.settle().await;
            calls.push(call);
        }
        assert_eq!(running.count(), 1, "one runs, two wait");
        let busy = client.call::<()>("wait", ()).await;
        assert_eq!(failure(busy).code, FailureCode::Busy);

        // The client keeps to its own limit, too.
        let limits = Limits {
            calls_waiting_max: 1,
            ..Limits::default()
        };
        let client = online(world.client("tablet").limits(limits)).await;
        let mut call = Box::pin(client.call::<()>("wait", ()));
        assert!(poll_once(&mut call).await.is_none());
        let second = client.call::<()>("wait", ()).await;
        assert_eq!(second, Err(CallError::TooMany));
    });
}

#[test]
fn calls_to_a_client_beyond_the_limit_are_refused() {
    World::check(async |world| {
        let limits = Limits {
            calls_waiting_max: 2,
            ..Limits::default()
        };
        let hub = world.serve(world.hub().limits(limits));
        let client = world.client("phone").on_call("wait", async |_, (): ()| {
            pending::<Result<(), CallFailure>>().await
        });
        let client = online(client).await;
        let remote = hub.connection(id(&client));
        let mut calls = Vec::new();
        for _ in 0..2 {
            let mut call = Box::pin(remote.call::<()>("wait", ()).into_future());
            assert!(poll_once(&mut call).await.is_none());
            calls.push(call);
        }
        let third = remote.call::<()>("wait", ()).await;
        assert!(matches!(third, Err(RemoteCallError::Full)), "{third:?}");
    });
}

#[test]
fn a_call_is_lost_with_its_connection_and_so_is_its_handler() {
    World::check(async |world| {
        let (hub, running) = waiting_hub(world, Limits::default());
        let client = world
            .client("phone")
            .resume(false)
            .on_call("wait", async |_, (): ()| {
                pending::<Result<(), CallFailure>>().await
            });
        let client = online(client).await;
        let remote = hub.connection(id(&client));
        let cut = async {
            world.sim.settle().await;
            assert_eq!(running.count(), 1);
            world.network.cut("phone");
        };
        let calls = zip(
            client.call::<()>("wait", ()),
            remote.call::<()>("wait", ()).into_future(),
        );
        let ((of_hub, of_client), ()) = zip(calls, cut).await;
        assert_eq!(of_hub, Err(CallError::Lost));
        assert!(matches!(of_client, Err(RemoteCallError::Gone)));
        ground::sleep(&world.sim, SECOND).await;
        assert_eq!(running.count(), 0);
    });
}
