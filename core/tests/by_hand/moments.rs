//! What happens at the very moment in which a client goes, or returns.

use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_lite::future::zip;
use lapwing::hub::{History, HubBuilder, Presence, RemoteCallError, Rule};
use lapwing::runtime::{BoxFuture, Runtime, Timer};
use lapwing::session::Ending;
use lapwing::transport::{Connector as _, Listener as _};
use lapwing::wire::{
    Close, CloseReason, Continued, Denied, Frame, Position, Refusal, Return, Verdict,
};
use lapwing::{ConnectionId, Hub, Instant, Limits, Policy};
use lapwing_memory::{Network, Path, Virtual};

use crate::carrier::{Carrier, Valve};
use crate::peer::{Got, Peer, TERMS, got, publish, resumable, returning};
use crate::world::{World, check, check_orders, check_with};

const EVENT: &str = "an event of some size";

fn at(subscription: u32, accounted: u64) -> Position {
    Position {
        subscription,
        accounted,
    }
}

type Answer = Result<String, RemoteCallError>;

/// Calls a connection that has an hour to answer; what it says, when it does.
fn call(world: &World, id: ConnectionId, within: Duration) -> Arc<Mutex<Option<Answer>>> {
    let answer = Arc::new(Mutex::new(None));
    let call = world.hub.connection(id).call::<String>("name", ());
    let (call, told) = (call.within(within).into_future(), answer.clone());
    world.sim.spawn_named("call", async move {
        let answer = call.await;
        *told.lock().expect("no panic") = Some(answer);
    });
    answer
}

fn is_gone(answer: &Mutex<Option<Answer>>) -> bool {
    let answer = answer.lock().expect("no panic");
    matches!(*answer, Some(Err(RemoteCallError::Gone)))
}

async fn subscriber(world: &World, name: &str) -> (Peer, [u8; 16]) {
    let mut peer = world.connect(name).await;
    let entered = peer.enter(&resumable()).await;
    peer.subscribe(1, Policy::Disconnect, &["a"]).await;
    (peer, entered.token.expect("it may resume"))
}

#[test]
fn the_time_of_a_call_may_end_while_its_peer_takes_its_time_for_the_last_words() {
    check(Limits::default(), async |world| {
        let (mut peer, id) = world.known_peer("phone").await;
        let answer = call(world, id, Duration::from_secs(1));
        world.sim.settle().await;
        peer.say(&Frame::Close(Close {
            reason: CloseReason::Done,
            verdict: Return::Never,
        }))
        .await;
        // The hub waits for the end of what it says, and nothing else.
        world.pass(Duration::from_secs(2)).await;
        assert!(is_gone(&answer));
        assert_eq!(world.endings().len(), 1);
    });
}

#[test]
fn what_a_client_says_while_it_is_ended_was_not_received() {
    let limits = Limits {
        lane_bytes_max: 4_096,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut other = world.peer("other").await;
        other.subscribe(1, Policy::Disconnect, &["b"]).await;
        let (mut phone, token) = subscriber(world, "phone").await;
        world.network.stall(Path::to_client("phone"));
        for _ in 0..10_000 {
            world.hub.publish("a", EVENT).expect("a good topic");
        }
        world.sim.settle().await;
        phone.start(&publish("b", "too late"));
        world.sim.settle().await;
        world.network.cut("phone");
        world.sim.settle().await;
        world.network.calm("phone");

        let mut phone = world.connect("phone").await;
        let positions = [at(0, 0), at(1, 0)];
        let entered = phone.enter(&returning(token, 1, &positions)).await;
        let received = 1;
        let whole = false;
        let continued = Continued { whole, received };
        assert_eq!(entered.continued, Some(continued), "it may say it again");
        assert!(other.is_quiet().await);
    });
}

#[test]
fn calls_of_a_session_that_goes_on_in_part_make_room_for_others() {
    let limits = Limits {
        calls_waiting_max: 1,
        resume_bytes_max: 1_000,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut peer = world.connect("phone").await;
        let entered = peer.enter(&resumable()).await;
        peer.subscribe(1, Policy::Disconnect, &["a"]).await;
        let (id, hour) = (entered.connection, Duration::from_secs(3_600));
        let lost = call(world, id, hour);
        world.sim.settle().await;
        world.network.cut("phone");
        world.sim.settle().await;
        for _ in 0..100 {
            world.hub.publish("a", EVENT).expect("a good topic");
        }
        let mut peer = world.connect("phone").await;
        let positions = [at(0, 0), at(1, 0)];
        let token = entered.token.expect("it may resume");
        let entered = peer.enter(&returning(token, 1, &positions)).await;
        assert!(!entered.continued.expect("it is known").whole);
        world.sim.settle().await;
        assert!(is_gone(&lost));
        call(world, id, hour);
        let heard = peer.hear().await;
        assert!(
            matches!(heard.frame(), Frame::Call(_)),
            "{:?}",
            heard.frame()
        );
    });
}

#[test]
fn who_returns_before_its_loss_is_known_needs_no_place_of_its_own() {
    let limits = Limits {
        connections_max: 1,
        ..Limits::default()
    };
    check(limits, async |world| {
        let (_half_open, token) = subscriber(world, "phone").await;
        let mut peer = world.connect("again").await;
        let positions = [at(0, 0), at(1, 0)];
        let entered = peer.enter(&returning(token, 1, &positions)).await;
        assert_eq!(entered.verdicts, [Verdict::Resumed; 2]);
        let mut other = world.connect("other").await;
        other.hello(TERMS).await;
        assert_eq!(other.refusal().await.0, Refusal::Full);
    });
}

#[test]
fn what_is_not_allowed_any_more_is_over_though_the_word_of_it_was_lost() {
    let allowed = Arc::new(AtomicBool::new(true));
    let build = |_: &_, builder: HubBuilder| {
        let allowed = allowed.clone();
        let rule = Rule::open().subscribe_if(move |_, _| allowed.load(Ordering::Relaxed));
        builder.topic("a", rule)
    };
    check_with(build, async |world| {
        allowed.store(true, Ordering::Relaxed);
        let (_, token) = subscriber(world, "phone").await;
        world.network.cut("phone");
        world.sim.settle().await;
        allowed.store(false, Ordering::Relaxed);
        let denied = Verdict::Denied(Denied::Forbidden);
        for _ in 0..3 {
            let mut peer = world.connect("phone").await;
            let positions = [at(0, 0), at(1, 0)];
            let entered = peer.enter(&returning(token, 1, &positions)).await;
            assert_eq!(entered.verdicts, [Verdict::Resumed, denied]);
            world.network.cut("phone");
            world.sim.settle().await;
        }
    });
}

/// A connection whose task has a turn when the test says so.
struct Turns(Pin<Box<dyn Future<Output = Ending> + Send>>);

impl Turns {
    fn turn(&mut self) -> Poll<Ending> {
        let cx = &mut Context::from_waker(Waker::noop());
        self.0.as_mut().poll(cx)
    }
}

#[test]
fn who_is_ended_by_the_program_does_not_return_at_that_moment() {
    for is_away in [false, true] {
        check(Limits::default(), async |world| {
            let mut door = world.network.listen("door").expect("the name is free");
            let connect = async |door: &mut lapwing_memory::Listener, name: &str| {
                let mut connector = world.network.connector("door").named(name);
                let (near, far) = zip(connector.connect(), door.accept()).await;
                let turns = Turns(Box::pin(world.hub.attach(far.expect("it listens"))));
                (
                    Peer::new(near.expect("it listens"), Valve::default()),
                    turns,
                )
            };
            let (mut peer, mut first) = connect(&mut door, "phone").await;
            peer.say(&Frame::Hello(resumable())).await;
            world.sim.settle().await;
            assert!(first.turn().is_pending());
            let heard = peer.hear().await;
            let Frame::Welcome(welcome) = heard.frame() else {
                panic!("{:?}", heard.frame());
            };
            let (id, token) = (welcome.connection, welcome.resume_token);
            if is_away {
                world.network.cut("phone");
                world.sim.settle().await;
                while first.turn().is_pending() && world.hub.counters().detached == 0 {}
            }
            let (mut again, mut second) = connect(&mut door, "again").await;
            let token = token.expect("it may resume");
            again
                .say(&Frame::Hello(returning(token, 0, &[at(0, 0)])))
                .await;
            world.sim.settle().await;
            assert_eq!(second.turn(), Poll::Ready(Ending::Resumed));

            world.hub.connection(id).close();
            let ended = first.turn();
            world.sim.settle().await;
            assert!(again.next().await.is_none(), "nobody welcomes it");
            if !is_away {
                assert!(ended.is_pending());
                let closed = |frame: Frame<'_>| matches!(frame, Frame::Close(_)).then_some(());
                peer.until(closed).await;
                peer.finish().await;
                world.sim.settle().await;
                assert!(first.turn().is_ready());
            }
            assert_eq!(world.reason(), CloseReason::Kicked);
            assert_eq!(world.hub.connection(id).presence(), Presence::Gone);
        });
    }
}

type Moment = Box<dyn FnOnce() + Send>;

/// A runtime on which something happens in the moment in which it is asked for chance: what another thread could do then.
#[derive(Clone)]
struct Meanwhile {
    sim: Virtual,
    then: Arc<Mutex<Option<Moment>>>,
}

impl Runtime for Meanwhile {
    fn now(&self) -> Instant {
        self.sim.now()
    }

    fn timer(&self) -> Box<dyn Timer> {
        self.sim.runtime().timer()
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        self.sim.runtime().spawn(future);
    }

    fn random(&self, bytes: &mut [u8]) {
        let then = self.then.lock().expect("no panic").take();
        then.into_iter().for_each(|then| then());
        self.sim.runtime().random(bytes);
    }
}

/// A hub, and what happens when it next asks for chance.
fn interrupted(sim: &Virtual) -> (Hub, Arc<Mutex<Option<Moment>>>) {
    let then = Arc::new(Mutex::new(None));
    let runtime = Meanwhile {
        sim: sim.clone(),
        then: then.clone(),
    };
    let hub = Hub::builder(runtime).topic("**", Rule::open());
    (hub.build().expect("a good filter"), then)
}

#[test]
fn nothing_leaves_by_the_old_transport_while_its_client_returns() {
    Virtual::check(0..10, async |sim| {
        let (hub, then) = interrupted(&sim);
        let network = Network::new(&sim);
        let listener = network.listen("hub").expect("the name is free");
        let serve: BoxFuture<'static, ()> = Box::pin(hub.serve(listener));
        let pump = Arc::new(Mutex::new((serve, Waker::noop().clone())));
        let served = pump.clone();
        let serve = poll_fn(move |cx| {
            let (serve, waker) = &mut *served.lock().expect("no panic");
            waker.clone_from(cx.waker());
            serve.as_mut().poll(cx)
        });
        sim.spawn_named("serve", serve);
        let connect = async |name| {
            let transport = network.connector("hub").named(name).connect().await;
            Peer::new(transport.expect("it listens"), Valve::default())
        };
        let mut half_open = connect("phone").await;
        let entered = half_open.enter(&resumable()).await;
        half_open.subscribe(1, Policy::Disconnect, &["a"]).await;
        for text in ["0", "1", "2"] {
            hub.publish("a", text).expect("a good topic");
        }
        sim.settle().await;

        let mut again = connect("again").await;
        sim.settle().await;
        let writing = hub.clone();
        let then_write: Moment = Box::new(move || {
            writing.publish("a", "3").expect("a good topic");
            let (serve, waker) = &mut *pump.lock().expect("no panic");
            for _ in 0..3 {
                let _ = serve.as_mut().poll(&mut Context::from_waker(waker));
            }
        });
        *then.lock().expect("no panic") = Some(then_write);
        let token = entered.token.expect("it may resume");
        let entered = again
            .enter(&returning(token, 2, &[at(0, 0), at(1, 1)]))
            .await;
        assert_eq!(entered.verdicts, [Verdict::Resumed; 2]);
        for text in ["1", "2", "3"] {
            let event = again.until(got).await;
            assert_eq!(event, Got::Event(text.into()));
        }
        drop(half_open);
    });
}

#[test]
fn a_lane_that_overflows_while_its_client_returns_is_an_exact_gap() {
    Virtual::check(0..10, async |sim| {
        let (hub, then) = interrupted(&sim);
        let network = Network::new(&sim);
        let listener = network.listen("hub").expect("the name is free");
        sim.spawn_named("serve", hub.serve(listener));
        let connect = async || {
            let transport = network.connector("hub").connect().await;
            Peer::new(transport.expect("it listens"), Valve::default())
        };
        let mut first = connect().await;
        let entered = first.enter(&resumable()).await;
        first.subscribe(1, Policy::Disconnect, &["a"]).await;
        hub.publish("a", "0").expect("a good topic");
        sim.settle().await;
        drop(first);
        let mut again = connect().await;
        sim.settle().await;
        let many = u64::from(Limits::default().lane_frames_max) + 1;
        let publishing = hub.clone();
        let overflow: Moment = Box::new(move || {
            for _ in 0..many {
                publishing.publish("a", "x").expect("a good topic");
            }
        });
        *then.lock().expect("no panic") = Some(overflow);
        let token = entered.token.expect("it may resume");
        let entered = again
            .enter(&returning(token, 1, &[at(0, 0), at(1, 0)]))
            .await;
        assert_eq!(again.close_reason().await, CloseReason::TooSlow);

        let token = entered.token.expect("it may resume again");
        let mut again = connect().await;
        let entered = again
            .enter(&returning(token, 0, &[at(0, 0), at(1, 0)]))
            .await;
        let missed = Some(many + 1);
        assert_eq!(entered.verdicts[1], Verdict::Gap { missed });
        hub.publish("a", "next").expect("a good topic");
        assert_eq!(again.until(got).await, Got::Event("next".into()));
    });
}

#[test]
fn who_is_ended_while_it_returns_hears_the_words_of_the_program() {
    Virtual::check(0..10, async |sim| {
        let (hub, then) = interrupted(&sim);
        let network = Network::new(&sim);
        let listener = network.listen("hub").expect("the name is free");
        sim.spawn_named("serve", hub.serve(Carrier::WebSocket.listener(listener)));
        let connect = async || {
            let dialled = network.connector("hub").connect().await;
            let valve = Valve::default();
            let transport = dialled.expect("it listens");
            let transport = Carrier::WebSocket.connect(transport, valve.clone()).await;
            Peer::new(transport.expect("the hub answers"), valve)
        };
        let mut first = connect().await;
        let entered = first.enter(&resumable()).await;
        drop(first);
        sim.settle().await;
        let mut again = connect().await;
        sim.settle().await;
        let remote = hub.connection(entered.connection);
        let ending: Moment = Box::new(move || remote.close_with(Return::Now, Some("tea")));
        *then.lock().expect("no panic") = Some(ending);
        let token = entered.token.expect("it may resume");
        again.enter(&returning(token, 0, &[at(0, 0)])).await;
        assert_eq!(again.close_reason().await, CloseReason::Kicked);
        assert_eq!(again.last_text(), Some("tea"));
    });
}

#[test]
fn what_a_return_may_look_at_is_bounded_and_what_is_behind_that_is_a_gap() {
    let limits = Limits {
        resume_bytes_max: 1,
        ..Limits::default()
    };
    let all = History {
        events_max: 20_000,
        bytes_max: u32::MAX,
        age: None,
    };
    let build = |_: &_, builder: HubBuilder| {
        let builder = builder.topic("a/**", Rule::open().history(all));
        builder.limits(limits)
    };
    check_orders(0..1, Carrier::Memory, build, async |world| {
        let mut peer = world.connect("phone").await;
        let entered = peer.enter(&resumable()).await;
        for number in 1..=10 {
            let filter = format!("a/*/{number}");
            peer.ask(number, Some(Policy::DropNewest), &[&filter]).await;
            peer.outcome().await;
        }
        for number in 1..=10 {
            let topic = format!("a/b/{number}");
            world.hub.publish(&topic, EVENT).expect("a good topic");
        }
        for _ in 0..10_000 {
            world.hub.publish("a/c", "").expect("a good topic");
        }
        world.sim.settle().await;
        world.network.cut("phone");
        world.sim.settle().await;
        let mut peer = world.connect("phone").await;
        let positions: Vec<_> = (0..=10).map(|number| at(number, 0)).collect();
        let token = entered.token.expect("it may resume");
        let entered = peer.enter(&returning(token, 10, &positions)).await;
        let gap = Verdict::Gap { missed: Some(1) };
        let replayed = |verdict: &&Verdict| matches!(verdict, Verdict::Replayed { .. });
        let (found, behind) = entered.verdicts[1..].split_at(6);
        assert_eq!(found.iter().filter(replayed).count(), 6, "{found:?}");
        assert_eq!(behind, [gap; 4]);
    });
}
