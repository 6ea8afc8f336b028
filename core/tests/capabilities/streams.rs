//! Streams in both directions: item by item, as fast as they are read, to the end or to a word on why not.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use futures_lite::future::{poll_once, zip};
use futures_lite::stream::{self, Stream, StreamExt};
use lapwing::client::{CallError, CallStream, ClientContext};
use lapwing::hub::{Caller, HubBuilder, RemoteCallError};
use lapwing::wire::FailureCode;
use lapwing::{CallFailure, Limits, Typed, Upload};

use crate::ground::{Ground, PATIENCE, in_time, online};
use crate::world::World;

everywhere![
    a_client_reads_a_stream_of_the_hub,
    the_hub_reads_a_stream_of_a_client,
    a_client_sends_streams_along,
    a_stream_and_its_answer_run_at_the_same_time,
    what_goes_wrong_is_told_at_the_end,
    a_method_is_called_as_it_answers,
    streams_make_no_call_wait,
    a_stream_that_is_dropped_stops,
    an_upload_that_is_dropped_stops,
];

type Numbers = Result<Typed<u64>, CallFailure>;

fn numbers(to: u64) -> impl Stream<Item = Numbers> + Send {
    stream::iter(0..to).map(|number| Ok(Typed(number)))
}

/// All numbers, and how the stream ended.
async fn all(mut stream: CallStream<Typed<u64>>) -> (Vec<u64>, Option<CallError>) {
    let mut all = Vec::new();
    while let Some(item) = stream.next().await {
        match item {
            Ok(Typed(number)) => all.push(number),
            Err(error) => return (all, Some(error)),
        }
    }
    (all, None)
}

async fn sum(mut upload: Upload<Typed<u64>>) -> Result<u64, CallFailure> {
    let mut sum = 0;
    while let Some(number) = upload.next().await {
        sum += number?.0;
    }
    Ok(sum)
}

fn counting(hub: HubBuilder) -> HubBuilder {
    hub.on_stream("count", |_: Caller, Typed(to): Typed<u64>| numbers(to))
        .on_upload(
            "sum",
            async |_: Caller, Typed(factor): Typed<u64>, upload| {
                Ok(Typed(sum(upload).await? * factor))
            },
        )
}

async fn a_client_reads_a_stream_of_the_hub(ground: Ground) {
    let (_hub, url) = ground.served(counting(ground.hub())).await;
    let client = ground.online(&url).await;
    for to in [0, 1, 16, 17, 1_000] {
        let counted = all(client.stream("count", Typed(to))).await;
        assert_eq!(counted, ((0..to).collect(), None));
    }
}

async fn the_hub_reads_a_stream_of_a_client(ground: Ground) {
    let (hub, url) = ground.open_hub().await;
    let client = ground
        .client(&url)
        .on_stream("count", |_: ClientContext, Typed(to): Typed<u64>| {
            numbers(to)
        });
    let client = online(client).await;
    let remote = hub.connection(client.connection().expect("online"));
    for to in [0, 1, 16, 17, 1_000] {
        let mut stream = remote.stream("count", Typed(to));
        let mut counted = Vec::new();
        while let Some(item) = stream.next().await {
            let Typed::<u64>(number) = item.expect("a number");
            counted.push(number);
        }
        assert_eq!(counted, (0..to).collect::<Vec<_>>());
    }
    let mut unknown = remote.stream::<Typed<u64>>("unknown", ());
    let Some(Err(RemoteCallError::Failed(failure))) = unknown.next().await else {
        panic!("there is no such method");
    };
    assert_eq!(failure.code, FailureCode::UnknownMethod);
    assert!(unknown.next().await.is_none());
}

async fn a_client_sends_streams_along(ground: Ground) {
    let hub = counting(ground.hub()).on_upload(
        "sums",
        async |_: Caller, (): (), (a, b): (Upload<Typed<u64>>, Upload<Typed<u64>>)| {
            let (b, a) = zip(sum(b), sum(a)).await;
            Ok(Typed((a?, b?)))
        },
    );
    let (_hub, url) = ground.served(hub).await;
    let client = ground.online(&url).await;
    for to in [0, 1, 16, 17, 1_000] {
        let call = client.call("sum", Typed(3_u64)).upload(numbers(to));
        assert_eq!(call.await, Ok(Typed((0..to).sum::<u64>() * 3)));
    }
    let call = client.call("sums", ());
    let call = call.upload(numbers(100)).upload(numbers(200));
    assert_eq!(call.await, Ok(Typed((4_950_u64, 19_900_u64))));
}

async fn a_stream_and_its_answer_run_at_the_same_time(ground: Ground) {
    let hub = ground
        .hub()
        .on_duplex("double", |_: Caller, (): (), upload: Upload<Typed<u64>>| {
            upload.map(|number| Ok(Typed(number?.0 * 2)))
        });
    let (_hub, url) = ground.served(hub).await;
    let client = ground.online(&url).await;
    // Each number is sent when the double of the one before is here.
    let seen = Arc::new(AtomicUsize::new(0));
    let mut next = 0;
    let one_by_one = {
        let seen = seen.clone();
        stream::poll_fn(move |cx| {
            if next == 20 {
                return Poll::Ready(None);
            }
            if seen.load(Ordering::Relaxed) < next {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            next += 1;
            Poll::Ready(Some(Ok(Typed(next as u64))))
        })
    };
    let mut doubled = client.stream::<Typed<u64>>("double", ()).upload(one_by_one);
    for number in 1..=20 {
        assert_eq!(doubled.next().await, Some(Ok(Typed(number * 2))));
        seen.fetch_add(1, Ordering::Relaxed);
    }
    assert_eq!(doubled.next().await, None);
}

fn failed(error: Option<CallError>) -> CallFailure {
    match error {
        Some(CallError::Failed(failure)) => failure,
        other => panic!("not a failure: {other:?}"),
    }
}

async fn what_goes_wrong_is_told_at_the_end(ground: Ground) {
    let cold = || Err(CallFailure::from("cold"));
    let hub = counting(ground.hub())
        .on_stream("midway", move |_: Caller, (): ()| {
            numbers(3).chain(stream::once(cold()))
        })
        .on_stream("panic", move |_: Caller, (): ()| {
            numbers(2).map(|item| match item {
                Ok(Typed(1)) => panic!("a fault of the handler"),
                item => item,
            })
        })
        .on_stream("at once", |_: Caller, (): ()| -> stream::Empty<Numbers> {
            panic!("a fault of the handler")
        });
    let (_hub, url) = ground.served(hub).await;
    let client = ground.online(&url).await;
    let (items, error) = all(client.stream("midway", ())).await;
    assert_eq!((items, failed(error)), (vec![0, 1, 2], "cold".into()));
    let panicked = CallFailure::new(FailureCode::Panicked, "");
    let (items, error) = all(client.stream("panic", ())).await;
    assert_eq!((items, failed(error)), (vec![0], panicked.clone()));
    let (_, error) = all(client.stream("at once", ())).await;
    assert_eq!(failed(error), panicked);
    let (_, error) = all(client.stream("count", "no number")).await;
    assert_eq!(failed(error).code, FailureCode::Arguments);
    // What a stream of the caller fails with is what its handler hears.
    let call = client.call::<Typed<u64>>("sum", Typed(1_u64));
    let failing = numbers(3).chain(stream::once(cold()));
    assert_eq!(failed(call.upload(failing).await.err()), "cold".into());
    let call = client.call::<Typed<u64>>("sum", Typed(1_u64));
    let of_another_type = stream::once(Ok("no number"));
    let failure = failed(call.upload(of_another_type).await.err());
    assert_eq!(failure.code, FailureCode::Arguments);
    assert_eq!(all(client.stream("count", Typed(2_u64))).await.0, [0, 1]);
}

async fn a_method_is_called_as_it_answers(ground: Ground) {
    let hub = counting(ground.hub()).on_call("plain", async |_: Caller, (): ()| Ok(()));
    let (_hub, url) = ground.served(hub).await;
    let client = ground.online(&url).await;
    let called = client.call::<()>("count", Typed(1_u64)).await;
    assert_eq!(failed(called.err()).code, FailureCode::Streams);
    let (_, error) = all(client.stream("plain", ())).await;
    assert_eq!(failed(error).code, FailureCode::NoStream);
    let (_, error) = all(client.stream("unknown", ())).await;
    assert_eq!(failed(error).code, FailureCode::UnknownMethod);
    let expects = |sent, expected| {
        CallFailure::from(format!(
            "Client sent {sent} stream(s), Hub method expects {expected}."
        ))
    };
    let called = client.call::<Typed<u64>>("sum", Typed(1_u64)).await;
    assert_eq!(failed(called.err()), expects(0, 1));
    let called = client.call::<()>("plain", ()).upload(numbers(1)).await;
    assert_eq!(failed(called.err()), expects(1, 0));
    let (_, error) = all(client.stream("count", Typed(1_u64)).upload(numbers(1))).await;
    assert_eq!(failed(error), expects(1, 0));
}

async fn streams_make_no_call_wait(ground: Ground) {
    let hub = ground
        .hub()
        .on_stream("never", |_: Caller, (): ()| stream::pending::<Numbers>())
        .on_upload(
            "wait",
            async |_: Caller, (): (), mut upload: Upload<String>| {
                upload.next().await;
                Ok(())
            },
        )
        .on_call("now", async |_: Caller, (): ()| Ok(()));
    let (_hub, url) = ground.served(hub).await;
    let client = ground.online(&url).await;
    let mut never = client.stream::<Typed<u64>>("never", ());
    let mut wait = client
        .call::<()>("wait", ())
        .upload(stream::pending::<Result<String, CallFailure>>());
    assert!(poll_once(never.next()).await.is_none());
    assert!(poll_once(&mut wait).await.is_none());
    assert_eq!(client.call("now", ()).await, Ok(()));
}

/// Tells when it is dropped.
struct Watch(Arc<AtomicUsize>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

async fn until(ground: &Ground, condition: impl Fn() -> bool) {
    let look = poll_fn(|cx| match condition() {
        true => Poll::Ready(()),
        false => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    });
    in_time(&**ground.runtime(), PATIENCE, look).await;
}

async fn a_stream_that_is_dropped_stops(ground: Ground) {
    let dropped = Arc::new(AtomicUsize::new(0));
    let watch = dropped.clone();
    let hub = ground.hub().on_stream("endless", move |_: Caller, (): ()| {
        let watch = Watch(watch.clone());
        stream::iter(0..).map(move |number| {
            let _ = &watch;
            Ok(Typed(number))
        })
    });
    let (_hub, url) = ground.served(hub).await;
    let client = ground.online(&url).await;
    for times in 1..=100 {
        let mut endless = client.stream::<Typed<u64>>("endless", ());
        assert_eq!(endless.next().await, Some(Ok(Typed(0))));
        drop(endless);
        until(&ground, || dropped.load(Ordering::Relaxed) == times).await;
    }
}

async fn an_upload_that_is_dropped_stops(ground: Ground) {
    let hub = ground.hub().on_upload(
        "two",
        async |_: Caller, (): (), (mut a, b): (Upload<Typed<u64>>, Upload<Typed<u64>>)| {
            drop(b);
            while a.next().await.is_some() {}
            Ok(())
        },
    );
    let (_hub, url) = ground.served(hub).await;
    let client = ground.online(&url).await;
    let dropped = Arc::new(AtomicUsize::new(0));
    let watch = Watch(dropped.clone());
    let endless = stream::iter(0_u64..).map(move |number| {
        let _ = &watch;
        Ok(Typed(number))
    });
    let goes = dropped.clone();
    let until_stopped = stream::poll_fn(move |cx| match goes.load(Ordering::Relaxed) {
        0 => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        _ => Poll::Ready(None::<Numbers>),
    });
    let call = client.call("two", ());
    assert_eq!(call.upload(until_stopped).upload(endless).await, Ok(()));
}

#[test]
fn a_stream_that_is_not_read_waits() {
    World::check(async |world| {
        let made = Arc::new(AtomicUsize::new(0));
        let count = made.clone();
        let hub = world.hub().on_stream("endless", move |_: Caller, (): ()| {
            let count = count.clone();
            stream::iter(0_u64..).map(move |number| {
                count.fetch_add(1, Ordering::Relaxed);
                Ok(Typed(number))
            })
        });
        let hub = world.serve(hub);
        let client = world.online("phone").await;
        let mut endless = client.stream::<Typed<u64>>("endless", ());
        let window = Limits::default().stream_items_max as usize;
        for read in 1..=100 {
            let item = endless.next().await;
            assert_eq!(item, Some(Ok(Typed(read as u64 - 1))));
            let ahead = made.load(Ordering::Relaxed) - read;
            assert!(ahead <= window, "{ahead}");
        }
        world.sim.sleep(Duration::from_secs(3_600)).await;
        assert!(made.load(Ordering::Relaxed) <= 100 + window);
        drop(hub);
    });
}

#[test]
fn streams_go_on_over_a_return_without_a_hole() {
    World::check(async |world| {
        let _hub = world.serve(counting(world.hub()));
        let client = world.online("phone").await;
        let slowly = |to| slowly(world, to);
        let mut counted = client.stream::<Typed<u64>>("count", Typed(200_u64));
        let upload = client
            .call::<Typed<u64>>("sum", Typed(1_u64))
            .upload(slowly(200));
        let read = async {
            for number in 0..200 {
                world.sim.sleep(Duration::from_millis(50)).await;
                assert_eq!(counted.next().await, Some(Ok(Typed(number))));
            }
            assert_eq!(counted.next().await, None);
        };
        let cuts = async {
            for _ in 0..10 {
                world.sim.sleep(Duration::from_millis(900)).await;
                world.network.cut("phone");
            }
        };
        let (((), sum), ()) = zip(zip(read, upload), cuts).await;
        assert_eq!(sum, Ok(Typed(19_900)));
    });
}

fn slowly(world: &World, to: u64) -> impl Stream<Item = Numbers> + Send + 'static {
    let sim = world.sim.clone();
    stream::unfold(0, move |number| {
        let sim = sim.clone();
        async move {
            sim.sleep(Duration::from_millis(50)).await;
            (number < to).then_some((Ok(Typed(number)), number + 1))
        }
    })
}

/// Says whether its caller was still there when it was dropped.
struct LastWords(Caller, Arc<Mutex<Vec<bool>>>);

impl Drop for LastWords {
    fn drop(&mut self) {
        let mut told = self.1.lock().expect("no panic");
        told.push(self.0.remote().is_connected());
    }
}

#[test]
fn a_stream_that_is_dropped_knows_whether_its_caller_is_there() {
    World::check(async |world| {
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = told.clone();
        let hub = world
            .hub()
            .on_stream("never", move |caller: Caller, (): ()| {
                let words = LastWords(caller, tell.clone());
                stream::unfold(words, async |words| {
                    std::future::pending::<()>().await;
                    Some((Ok(Typed(0_u64)), words))
                })
            });
        let _hub = world.serve(hub);
        let client = world.online("phone").await;
        let mut cancelled = client.stream::<Typed<u64>>("never", ());
        let mut lost = client.stream::<Typed<u64>>("never", ());
        assert!(poll_once(cancelled.next()).await.is_none());
        assert!(poll_once(lost.next()).await.is_none());
        world.sim.settle().await;
        drop(cancelled);
        world.sim.settle().await;
        assert_eq!(*told.lock().expect("no panic"), [true]);
        client.close().await;
        world.sim.settle().await;
        assert_eq!(*told.lock().expect("no panic"), [true, false]);
    });
}

#[test]
fn a_stream_that_is_dropped_before_it_left_is_stopped_all_the_same() {
    World::check(async |world| {
        let running = Arc::new(AtomicUsize::new(0));
        let count = running.clone();
        let endless = move |_: ClientContext, (): ()| {
            count.fetch_add(1, Ordering::Relaxed);
            let watch = Watch(count.clone());
            stream::iter(0..).map(move |number: u64| {
                let _ = &watch;
                Ok(Typed(number))
            })
        };
        let hub = world.serve(world.hub());
        let client = online(world.client("phone").on_stream("endless", endless)).await;
        let remote = hub.connection(client.connection().expect("online"));
        // More than there may be at once, of which some are withdrawn before they have left.
        for _ in 0..100 {
            let mut stream = remote.stream::<Typed<u64>>("endless", ());
            assert!(poll_once(stream.next()).await.is_none());
            drop(stream);
            world.sim.settle().await;
        }
        let begun = running.load(Ordering::Relaxed);
        assert!(
            begun.is_multiple_of(2),
            "each that began has ended: {begun}"
        );
        let mut stream = remote.stream::<Typed<u64>>("endless", ());
        assert_eq!(
            stream.next().await.expect("an item").expect("in time"),
            Typed(0)
        );
    });
}

#[test]
fn a_fault_in_what_is_sent_along_ends_the_call() {
    World::check(async |world| {
        let over = Arc::new(AtomicUsize::new(0));
        let count = over.clone();
        let read = move |_: Caller, (): (), mut items: Upload<Typed<u64>>| {
            let over = Watch(count.clone());
            async move {
                let _over = over;
                while let Some(item) = items.next().await {
                    item?;
                }
                Ok(())
            }
        };
        let _hub = world.serve(world.hub().on_upload("read", read));
        let client = world.online("phone").await;
        let faulty = stream::iter(0_u64..).map(|number| match number {
            3 => panic!("a fault of the program"),
            number => Ok(Typed(number)),
        });
        let mut call = Box::pin(client.call::<()>("read", ()).upload(faulty));
        let ends = poll_fn(|cx| {
            let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx)));
            polled.map_or(Poll::Ready(()), |polled| polled.map(drop))
        });
        ends.await;
        drop(call);
        world.sim.settle().await;
        assert_eq!(over.load(Ordering::Relaxed), 1, "nobody waits for the rest");
    });
}

#[test]
fn a_stream_is_read_by_others_until_its_call_is_over() {
    World::check(async |world| {
        let heard = Arc::new(AtomicUsize::new(0));
        let (count, sim) = (heard.clone(), world.sim.clone());
        let give_away = move |_: Caller, (): (), mut items: Upload<Typed<u64>>| {
            let count = count.clone();
            sim.spawn_named("reader", async move {
                while let Some(Ok(_)) = items.next().await {}
                count.fetch_add(1, Ordering::Relaxed);
            });
            async { Ok(()) }
        };
        let _hub = world.serve(world.hub().on_upload("give away", give_away));
        let client = world.online("phone").await;
        let pending = stream::pending::<Numbers>();
        assert_eq!(client.call("give away", ()).upload(pending).await, Ok(()));
        world.sim.settle().await;
        assert_eq!(heard.load(Ordering::Relaxed), 1, "it waits for nothing");
    });
}
