//! Both sides know that the other is there, and find out in time when it is not.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lapwing::client::{Backoff, Outage, State};
use lapwing::hub::{Gone, HubBuilder};
use lapwing::session::Ending;
use lapwing::wire::{CloseReason, Frame, List, Start, Subscribe, Terms};
use lapwing::{Client, Hub, Limits};
use lapwing_memory::Path;

use crate::ground::online;
use crate::peer::{Heard, Peer, TERMS};
use crate::reading::trouble;
use crate::world::World;

const PROMISE: Duration = Duration::from_secs(25);
const GRACE: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_secs(3_600);

/// Who has gone, and when.
type Log = Arc<Mutex<Vec<(Duration, Gone)>>>;

fn logged(world: &World, hub: HubBuilder) -> (HubBuilder, Log) {
    let log = Log::default();
    let (all, sim) = (log.clone(), world.sim.clone());
    let hub = hub.on_disconnect(move |gone| {
        let mut log = all.lock().expect("no panic");
        log.push((sim.elapsed(), gone));
    });
    (hub, log)
}

/// The one entry of a log.
fn only(log: &Log) -> (Duration, Gone) {
    let log = log.lock().expect("no panic");
    let [entry] = &log[..] else {
        panic!("{log:?}");
    };
    entry.clone()
}

fn is_silent(ending: Ending) -> bool {
    matches!(ending, Ending::ByUs(close) if close.reason == CloseReason::Silent)
}

fn is_nobody_left(hub: &Hub) -> bool {
    let counters = hub.counters();
    (
        counters.connections,
        counters.groups,
        counters.subscriptions,
    ) == (0, 0, 0)
}

#[test]
fn idle_connections_live_on() {
    World::check(async |world| {
        let (hub, log) = logged(world, world.hub());
        let hub = world.serve(hub);
        let clients = [world.online("phone").await, world.online("tablet").await];
        let connections = clients.each_ref().map(Client::connection);
        world.sim.sleep(HOUR).await;
        assert_eq!(clients.each_ref().map(Client::connection), connections);
        assert!(log.lock().expect("no panic").is_empty());
        // A ping of each side each time it would be silent, and the answers.
        let pings = HOUR.as_secs() / PROMISE.as_secs();
        let counters = hub.counters();
        for frames in [counters.frames_in, counters.frames_out] {
            assert!(frames >= 2 * pings, "{frames}");
            assert!(frames <= 2 * (2 * pings + 1), "{frames}");
        }
    });
}

#[test]
fn idle_connections_live_on_over_a_slow_path() {
    World::check(async |world| {
        let (hub, log) = logged(world, world.hub());
        world.serve(hub);
        let delay = Duration::from_secs(4);
        world.network.delay("phone", delay);
        // Speaks more often than the hub, so that it is the one who asks.
        let client = online(world.client("phone").limits(Limits {
            promise: PROMISE / 2,
            ..Limits::default()
        }));
        let client = client.await;
        world.sim.sleep(HOUR).await;
        assert!(log.lock().expect("no panic").is_empty());
        assert_eq!(client.round_trip(), Some(2 * delay));
    });
}

#[test]
fn a_side_that_is_silent_pings_when_its_promise_is_due() {
    World::check(async |world| {
        let _hub = world.serve(world.hub());
        let mut peer = Peer::welcomed(world, TERMS).await;
        for _ in 0..3 {
            let (waited, heard) = world.timed(peer.hear()).await;
            assert!(matches!(heard.frame(), Frame::Ping(_)));
            assert_eq!(waited, PROMISE);
        }
    });
}

#[test]
fn whatever_is_said_keeps_the_promise() {
    World::check(async |world| {
        let hub = world.serve(world.hub());
        let mut peer = Peer::welcomed(world, TERMS).await;
        peer.say(&Frame::Subscribe(Subscribe {
            receipt: 1,
            first: 1,
            policy: None,
            start: Start::Now,
            filters: List::new(&["tick"]),
        }))
        .await;
        assert!(matches!(peer.hear().await.frame(), Frame::Ack(_)));
        let mut events = 0;
        let mut count = |heard: Heard| match heard.frame() {
            Frame::Event(_) => events += 1,
            // How many frames the hub has received: not a sign of life that anybody needs.
            Frame::Received(_) => {}
            other => panic!("a promise that was kept needs no {other:?}"),
        };
        for _ in 0..60 {
            world.sim.sleep(Duration::from_secs(20)).await;
            hub.publish("tick", "tack").expect("a topic");
            count(peer.hear().await);
        }
        assert!(events >= 59, "{events}");
    });
}

#[test]
fn a_peer_that_vanishes_is_gone_when_its_promise_and_the_grace_are_over() {
    World::check(async |world| {
        let (hub, log) = logged(world, world.hub());
        let hub = world.serve(hub);
        let client = world.forgetful("phone").await;
        let news = client.subscribe("news").await.expect("allowed");
        let connection = client.connection().expect("online");
        hub.connection(connection).join("room").expect("it is here");
        world.sim.sleep(Duration::from_secs(10)).await;
        client.publish("news", "the last word").expect("room");
        world.sim.settle().await;
        world.sim.sleep(Duration::from_secs(5)).await;
        // Its power fails: it says nothing, and what is sent to it is lost on the way.
        world.network.half_open("phone");
        drop((client, news));

        let gone_at = Duration::from_secs(10) + PROMISE + GRACE;
        let moment = Duration::from_millis(1);
        let almost = gone_at - world.sim.elapsed() - moment;
        world.sim.sleep(almost).await;
        assert_eq!(hub.connections(), [connection]);
        assert_eq!(hub.members("room"), [connection]);
        world.sim.sleep(moment).await;
        world.sim.settle().await;
        let (when, gone) = only(&log);
        assert_eq!((when, gone.connection), (gone_at, connection));
        assert!(is_silent(gone.ending), "{:?}", gone.ending);
        assert_eq!(gone.groups, ["room".into()]);
        assert!(is_nobody_left(&hub));
        assert_eq!(hub.counters().disconnected.get("silent"), Some(&1));
    });
}

#[test]
fn a_connection_that_is_half_open_is_gone_in_time_though_its_client_is_back() {
    World::check(async |world| {
        let (hub, log) = logged(world, world.hub());
        let hub = world.serve(hub);
        let client = world.forgetful("phone").await;
        let mut news = client.subscribe("news").await.expect("allowed");
        world.network.half_open("phone");
        world.sim.sleep(Duration::from_secs(1)).await;
        client.online().await.expect("it is back");
        assert_eq!(hub.connections().len(), 2, "who could know?");
        let heard = hub.publish("news", "x").expect("a topic");
        assert_eq!(heard.queued, 2);
        assert_eq!(news.next().await, Some(lapwing::Delivery::Gap(None)));
        assert_eq!(crate::reading::text(&mut news).await, "x", "and once");

        world.sim.sleep(PROMISE + GRACE).await;
        let (when, gone) = only(&log);
        assert_eq!(when, PROMISE + GRACE);
        assert!(is_silent(gone.ending), "{:?}", gone.ending);
        assert_eq!(hub.connections(), [client.connection().expect("online")]);
        assert_eq!(hub.counters().subscriptions, 1);
    });
}

#[test]
fn a_peer_may_promise_to_be_silent_for_longer() {
    World::check(async |world| {
        let (hub, log) = logged(world, world.hub());
        let hub = world.serve(hub);
        let promise = Duration::from_secs(600);
        let mut sensor = Peer::welcomed(
            world,
            Terms {
                promise_ms: 600_000,
                ..TERMS
            },
        )
        .await;
        // It hears the hub's pings, and sleeps on.
        let last_words = loop {
            let heard = sensor.hear().await;
            match heard.frame() {
                Frame::Ping(_) => assert!(world.sim.elapsed() < promise + GRACE),
                Frame::Close(close) => break close,
                other => panic!("neither a ping nor the end: {other:?}"),
            }
        };
        assert_eq!(last_words.reason, CloseReason::Silent);
        assert_eq!(world.sim.elapsed(), promise + GRACE);
        let (when, gone) = only(&log);
        assert_eq!(when, promise + GRACE);
        assert!(is_silent(gone.ending), "{:?}", gone.ending);
        assert!(is_nobody_left(&hub));
    });
}

#[test]
fn a_client_finds_out_that_its_hub_is_gone_and_returns_when_it_is_back() {
    World::check(async |world| {
        let _hub = world.serve(world.hub());
        // Sooner than the hub finds out that its ping does not leave.
        let grace = Duration::from_secs(5);
        let client = online(world.client("phone").limits(Limits {
            grace,
            ..Limits::default()
        }));
        let client = client.await;
        let before = client.connection();
        let mut states = client.states();
        world.sim.sleep(Duration::from_secs(10)).await;
        // Whatever the client says leaves; nothing comes back.
        world.network.stall(Path::to_client("phone"));
        let State::Waiting { outage, .. } = trouble(&mut states).await else {
            panic!("not waiting");
        };
        assert_eq!(outage, Outage::Failed(CloseReason::Silent));
        assert_eq!(world.sim.elapsed(), PROMISE + grace);
        assert_eq!(client.connection(), None);

        world.network.partition("phone");
        world.sim.sleep(HOUR).await;
        world.network.resume("phone");
        world.network.heal("phone");
        let (waited, online) = world.timed(client.online()).await;
        assert_eq!(online, Ok(()));
        assert!(waited <= Backoff::default().max, "{waited:?}");
        assert_ne!(client.connection(), before);
    });
}

#[test]
fn a_path_on_which_nothing_moves_is_found_out_sooner_when_something_waits() {
    World::check(async |world| {
        let hub = world.serve(world.hub());
        let client = world.forgetful("phone").await;
        let _news = client.subscribe("news").await.expect("allowed");
        world.network.partition("phone");
        for _ in 0..2 {
            hub.publish("news", "x").expect("a topic");
            client.publish("news", "x").expect("room");
        }
        let State::Waiting { outage, .. } = trouble(&mut client.states()).await else {
            panic!("not waiting");
        };
        assert_eq!(outage, Outage::Failed(CloseReason::Stalled));
        world.sim.settle().await;
        assert_eq!(world.sim.elapsed(), Limits::default().stall);
        assert!(is_nobody_left(&hub));
        assert_eq!(hub.counters().disconnected.get("stalled"), Some(&1));
    });
}
