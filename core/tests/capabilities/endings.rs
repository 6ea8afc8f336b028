//! Every way in which a connection ends that was online: what its client sees, and what is lost at most. The table is in
//! `docs/endings.md`.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_lite::future::poll_once;
use lapwing::client::{CallError, ClientBuilder, ClientEnd, Outage, State, States};
use lapwing::client::{SubscribeOptions, SubscriptionEnd};
use lapwing::hub::{Admission, Caller, History, HubBuilder, Presence, Refuse, Rule, Shutdown};
use lapwing::wire::{CloseReason, Denied, Refusal, Return};
use lapwing::{Client, Delivery, Hub, Limits, Policy, Subscription, Typed};
use lapwing_memory::Path;

use crate::ground::{online, sleep};
use crate::reading::{number_in, trouble};
use crate::world::{HUB, World};

const SECOND: Duration = Duration::from_secs(1);

/// The last number that is published.
const END: u32 = u32::MAX;

/// Frames that may wait for a connection.
const FRAMES: u32 = 16;

/// A client with a subscription, and what was published for it.
struct Scene<'w> {
    world: &'w World,
    hub: Hub,
    client: Client,
    states: States,
    numbers: Subscription,
    published: u32,
}

/// What a subscription has heard of its numbers, and what it was told.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    received: u32,
    lagged: u64,
    /// All that were told, in their order.
    verdicts: Vec<Delivery>,
}

impl Seen {
    fn gap(&self) -> u64 {
        let gaps = self.verdicts.iter().map(|verdict| match verdict {
            Delivery::Gap(missed) => missed.expect("a gap that the hub knows"),
            _ => 0,
        });
        gaps.sum()
    }
}

fn narrow(world: &World) -> HubBuilder {
    let runtime = world.sim.runtime();
    let limits = Limits {
        lane_frames_max: FRAMES,
        ..Limits::default()
    };
    world
        .hub()
        .limits(limits)
        .on_call("slow", move |_: Caller, number: Typed<u32>| {
            let runtime = runtime.clone();
            async move {
                sleep(&*runtime, 5 * SECOND).await;
                Ok(number)
            }
        })
}

impl<'w> Scene<'w> {
    async fn new(world: &'w World, hub: HubBuilder, policy: Policy) -> Self {
        Self::of(world, hub, world.client("phone"), policy).await
    }

    async fn of(world: &'w World, hub: HubBuilder, client: ClientBuilder, policy: Policy) -> Self {
        let hub = world.serve(hub);
        let client = online(client).await;
        let options = SubscribeOptions {
            policy: Some(policy),
            ..SubscribeOptions::default()
        };
        let numbers = client.subscribe_with("numbers", options).await;
        let mut states = client.states();
        assert!(matches!(states.next().await, Some(State::Online { .. })));
        Self {
            world,
            hub,
            states,
            numbers: numbers.expect("allowed"),
            client,
            published: 0,
        }
    }

    async fn publish(&mut self, count: u32) {
        for _ in 0..count {
            let published = self.hub.publish("numbers", Typed(self.published));
            published.expect("a topic");
            self.published += 1;
            self.world.sim.settle().await;
        }
    }

    /// Why there is no connection now.
    async fn outage(&mut self) -> Outage {
        match trouble(&mut self.states).await {
            State::Waiting { outage, .. } => outage,
            other => panic!("not waiting: {other:?}"),
        }
    }

    /// The end of the client, without any attempt in between.
    async fn end(&mut self) -> ClientEnd {
        match trouble(&mut self.states).await {
            State::Ended(end) => end,
            other => panic!("not the end: {other:?}"),
        }
    }

    /// What came of all that was published, when the client is back.
    async fn seen(&mut self) -> Seen {
        self.client.online().await.expect("it comes back");
        let mut seen = Seen::default();
        let end = self.hub.publish("numbers", Typed(END));
        assert_eq!(end.expect("a topic").queued, 1, "it is there again");
        loop {
            match self.numbers.next().await.expect("it goes on") {
                Delivery::Event(event) if number_in(&event) == END => return seen,
                Delivery::Event(_) => seen.received += 1,
                Delivery::Lagged(missed) => seen.lagged += missed,
                verdict => seen.verdicts.push(verdict),
            }
        }
    }

    /// The same, where nothing may be missing without a number.
    async fn accounted(&mut self) -> Seen {
        let seen = self.seen().await;
        let sum = u64::from(seen.received) + seen.lagged + seen.gap();
        assert_eq!(sum, u64::from(self.published), "{seen:?}");
        assert_eq!(seen.verdicts.len(), 1, "{seen:?}");
        seen
    }
}

#[test]
fn a_break_loses_nothing() {
    World::check(async |world| {
        let mut scene = Scene::new(world, narrow(world), Policy::Disconnect).await;
        scene.publish(5).await;
        let client = scene.client.clone();
        let before = client.connection();
        let mut call = pin!(client.call::<Typed<u32>>("slow", Typed(7_u32)));
        assert!(poll_once(&mut call).await.is_none());
        world.sim.settle().await;
        let mut acked = pin!(client.publish_acked("other", "x"));
        assert!(poll_once(&mut acked).await.is_none());
        world.network.cut("phone");
        assert_eq!(scene.outage().await, Outage::Broken);
        let seen = scene.accounted().await;
        assert_eq!((seen.gap(), seen.lagged), (0, 0));
        assert_eq!(seen.verdicts, [Delivery::Resumed]);
        assert_eq!(client.connection(), before);
        assert!(acked.await.expect("answered after the break").is_nobody());
        assert_eq!(call.await.expect("answered after the break"), Typed(7));
    });
}

#[test]
fn a_path_that_falls_silent_loses_nothing_that_there_is_room_for() {
    World::check(async |world| {
        let mut scene = Scene::new(world, narrow(world), Policy::Disconnect).await;
        let before = scene.client.connection();
        world.network.partition("phone");
        scene.publish(5).await;
        // The first that it finds out: nobody speaks, or nobody takes its ping.
        let found_out = scene.outage().await;
        let silent = [CloseReason::Silent, CloseReason::Stalled].map(Outage::Failed);
        assert!(silent.contains(&found_out), "{found_out:?}");
        world.network.heal("phone");
        let seen = scene.accounted().await;
        assert_eq!((seen.gap(), seen.lagged), (0, 0));
        assert_eq!(seen.verdicts, [Delivery::Resumed]);
        assert_eq!(scene.client.connection(), before);
    });
}

#[test]
fn a_client_takes_over_from_a_connection_that_is_half_open() {
    World::check(async |world| {
        let mut scene = Scene::new(world, narrow(world), Policy::Disconnect).await;
        let before = scene.client.connection();
        scene.publish(5).await;
        world.network.half_open("phone");
        scene.publish(5).await;
        assert_eq!(scene.outage().await, Outage::Broken);
        let seen = scene.accounted().await;
        assert_eq!(seen.verdicts, [Delivery::Resumed]);
        assert_eq!(scene.client.connection(), before);
        assert_eq!(scene.hub.counters().connections, 1);
    });
}

#[test]
fn what_is_too_much_for_who_is_away_is_a_gap_with_a_number() {
    World::check(async |world| {
        let mut scene = Scene::new(world, narrow(world), Policy::Disconnect).await;
        scene.publish(5).await;
        world.network.partition("phone");
        world.network.cut("phone");
        scene.publish(3 * FRAMES).await;
        world.network.heal("phone");
        let seen = scene.accounted().await;
        assert_eq!(seen.received + seen.lagged as u32, 5);
        assert_eq!(seen.gap(), u64::from(3 * FRAMES));
    });
}

#[test]
fn what_history_keeps_is_replayed_to_who_was_away() {
    World::check(async |world| {
        let rule = Rule::open().history(History::default());
        let hub = Hub::builder(world.sim.runtime()).topic("**", rule);
        let limits = Limits {
            lane_frames_max: FRAMES,
            ..Limits::default()
        };
        let mut scene = Scene::new(world, hub.limits(limits), Policy::Disconnect).await;
        scene.publish(5).await;
        world.network.partition("phone");
        world.network.cut("phone");
        scene.publish(3 * FRAMES).await;
        world.network.heal("phone");
        scene.client.online().await.expect("it comes back");
        let mut heard = Vec::new();
        let mut verdicts = Vec::new();
        while heard.len() < scene.published as usize {
            match scene.numbers.next().await.expect("it goes on") {
                Delivery::Event(event) => heard.push(number_in(&event)),
                verdict => verdicts.push(verdict),
            }
        }
        assert!(heard.iter().copied().eq(0..scene.published));
        assert!(
            matches!(verdicts[..], [Delivery::Replayed { .. }]),
            "{verdicts:?}"
        );
    });
}

#[test]
fn who_is_away_for_too_long_begins_anew() {
    World::check(async |world| {
        let mut scene = Scene::new(world, narrow(world), Policy::Disconnect).await;
        let before = scene.client.connection().expect("online");
        let client = scene.client.clone();
        let mut call = pin!(client.call::<Typed<u32>>("slow", Typed(7_u32)));
        assert!(poll_once(&mut call).await.is_none());
        world.network.partition("phone");
        world.network.cut("phone");
        assert_eq!(scene.outage().await, Outage::Broken);
        assert!(matches!(
            call.await,
            Err(CallError::Lost | CallError::TimedOut)
        ));
        world.sim.sleep(61 * SECOND).await;
        let presence = scene.hub.connection(before).presence();
        assert_eq!(presence, Presence::Gone);
        scene.publish(5).await;
        world.network.heal("phone");
        let seen = scene.seen().await;
        assert_eq!((seen.received, seen.lagged), (0, 0));
        assert_eq!(seen.verdicts, [Delivery::Gap(None)]);
        assert_ne!(client.connection(), Some(before));
    });
}

#[test]
fn a_reader_that_is_too_slow_is_ended_and_hears_what_it_missed() {
    World::check(async |world| {
        let mut scene = Scene::new(world, narrow(world), Policy::Disconnect).await;
        world.network.stall(Path::to_client("phone"));
        scene.publish(10 * FRAMES).await;
        world.network.resume("phone");
        let outage = scene.outage().await;
        assert_eq!(outage, Outage::Closed(CloseReason::TooSlow));
        let seen = scene.accounted().await;
        assert!(seen.gap() >= u64::from(8 * FRAMES), "{seen:?}");
    });
}

#[test]
fn a_reader_that_takes_nothing_at_all_is_ended_and_misses_what_there_is_no_room_for() {
    World::check(async |world| {
        let mut scene = Scene::new(world, narrow(world), Policy::DropOldest).await;
        world.network.stall(Path::to_client("phone"));
        scene.publish(10 * FRAMES).await;
        world.sim.sleep(11 * SECOND).await;
        assert_eq!(scene.hub.counters().detached, 1, "stalled, and away");
        world.network.resume("phone");
        // Its own bytes are over without a word.
        assert!(matches!(
            scene.outage().await,
            Outage::Broken | Outage::Closed(CloseReason::Stalled)
        ));
        let seen = scene.accounted().await;
        assert!(seen.lagged > 0, "{seen:?}");
    });
}

#[test]
fn an_event_that_the_client_does_not_take_ends_who_may_miss_nothing() {
    World::check(async |world| {
        let small = world.client("phone").limits(Limits {
            message_bytes_max: 1_000,
            ..Limits::default()
        });
        let mut scene = Scene::of(world, narrow(world), small, Policy::Disconnect).await;
        let large = scene.hub.publish("numbers", "x".repeat(2_000));
        assert_eq!(large.expect("a topic").dropped, 1);
        scene.published += 1;
        let Outage::Closed(CloseReason::MessageTooLarge { .. }) = scene.outage().await else {
            panic!("another reason");
        };
        let seen = scene.accounted().await;
        assert_eq!(seen.verdicts, [Delivery::Gap(Some(1))]);
    });
}

#[test]
fn who_is_sent_away_gets_what_waits_and_does_not_return() {
    World::check(async |world| {
        let mut scene = Scene::new(world, narrow(world), Policy::Disconnect).await;
        let id = scene.client.connection().expect("online");
        for _ in 0..5 {
            let number = scene.published;
            scene
                .hub
                .publish("numbers", Typed(number))
                .expect("a topic");
            scene.published += 1;
        }
        scene.hub.connection(id).close();
        let end = scene.end().await;
        assert_eq!(end, ClientEnd::ClosedByHub(CloseReason::Kicked));
        for expected in 0..5 {
            let Some(Delivery::Event(event)) = scene.numbers.next().await else {
                panic!("not an event");
            };
            assert_eq!(number_in(&event), expected);
        }
        assert_eq!(scene.numbers.next().await, None);
        let reason = scene.numbers.end_reason();
        assert_eq!(reason, Some(SubscriptionEnd::Client(end)));
    });
}

#[test]
fn who_is_sent_away_for_now_returns_to_a_new_session() {
    World::check(async |world| {
        let mut scene = Scene::new(world, narrow(world), Policy::Disconnect).await;
        scene.publish(2).await;
        let before = scene.client.connection().expect("online");
        let verdict = Return::After { ms: 3_000 };
        let told = world.sim.now();
        scene
            .hub
            .connection(before)
            .close_with(verdict, Some("tea"));
        let State::Waiting { until, outage } = trouble(&mut scene.states).await else {
            panic!("not waiting");
        };
        assert_eq!(outage, Outage::Closed(CloseReason::Kicked));
        assert!(until.since(told) >= 3 * SECOND);
        scene.client.online().await.expect("it may return");
        assert_ne!(scene.client.connection(), Some(before));
        for expected in 0..2 {
            let Some(Delivery::Event(event)) = scene.numbers.next().await else {
                panic!("not an event");
            };
            assert_eq!(number_in(&event), expected);
        }
        assert_eq!(scene.numbers.next().await, Some(Delivery::Gap(None)));
    });
}

#[test]
fn a_hub_that_shuts_down_is_found_again_when_it_said() {
    World::check(async |world| {
        let mut scene = Scene::new(world, narrow(world), Policy::Disconnect).await;
        scene.publish(5).await;
        let told = world.sim.now();
        let how = Shutdown {
            return_over: 10 * SECOND..20 * SECOND,
            ..Shutdown::default()
        };
        let report = scene.hub.shutdown(how).await;
        assert_eq!((report.closed, report.undelivered_frames), (1, 0));
        let State::Waiting { until, outage } = trouble(&mut scene.states).await else {
            panic!("not waiting");
        };
        assert_eq!(outage, Outage::Closed(CloseReason::Shutdown));
        assert!((10 * SECOND..20 * SECOND).contains(&until.since(told)));
        world.sim.settle().await;
        scene.hub = world.serve(narrow(world));
        let seen = scene.seen().await;
        assert!(world.sim.now() >= until && world.sim.now().since(until) < SECOND);
        assert_eq!((seen.received, seen.lagged), (5, 0));
        assert_eq!(seen.verdicts, [Delivery::Gap(None)]);
    });
}

#[test]
fn a_hub_that_crashes_takes_what_waited_with_it() {
    World::check(async |world| {
        let hub = narrow(world).build().expect("good filters");
        let listener = world.network.listen(HUB).expect("the name is free");
        let process = world.sim.process("hub");
        process.spawn_named("serve", hub.serve(listener));
        let client = online(world.client("phone")).await;
        let mut numbers = client.subscribe("numbers").await.expect("allowed");
        let mut states = client.states();
        let mut call = pin!(client.call::<Typed<u32>>("slow", Typed(7_u32)));
        assert!(poll_once(&mut call).await.is_none());
        world.sim.settle().await;
        process.kill();
        let State::Waiting { outage, .. } = trouble(&mut states).await else {
            panic!("not waiting");
        };
        assert_eq!(outage, Outage::Broken);
        let second = world.serve(narrow(world));
        client.online().await.expect("the next one lets it in");
        assert!(matches!(call.await, Err(CallError::Lost)));
        second.publish("numbers", Typed(1_u32)).expect("a topic");
        assert_eq!(numbers.next().await, Some(Delivery::Gap(None)));
        assert!(matches!(numbers.next().await, Some(Delivery::Event(_))));
    });
}

#[test]
fn what_is_not_allowed_any_more_ends_with_a_word() {
    World::check(async |world| {
        let allowed = Arc::new(AtomicBool::new(true));
        let still = allowed.clone();
        let rule = Rule::open().subscribe_if(move |_, _| still.load(Ordering::Relaxed));
        let hub = Hub::builder(world.sim.runtime()).topic("numbers", rule);
        let mut scene = Scene::new(world, hub, Policy::Disconnect).await;
        scene.publish(5).await;
        allowed.store(false, Ordering::Relaxed);
        world.network.cut("phone");
        scene.publish(5).await;
        for _ in 0..5 {
            assert!(matches!(
                scene.numbers.next().await,
                Some(Delivery::Event(_))
            ));
        }
        assert_eq!(scene.numbers.next().await, None, "nothing of what waited");
        let denied = SubscriptionEnd::Denied(Denied::Forbidden);
        assert_eq!(scene.numbers.end_reason(), Some(denied));
        scene.client.online().await.expect("the client is welcome");
    });
}

#[test]
fn who_is_not_let_in_any_more_has_ended() {
    World::check(async |world| {
        let welcome = Arc::new(AtomicBool::new(true));
        let still = welcome.clone();
        let hub = narrow(world).on_connect(move |_| {
            let welcome = still.load(Ordering::Relaxed);
            async move {
                match welcome {
                    true => Ok(Admission::user("somebody")),
                    false => Err(Refuse::unauthorized("gone")),
                }
            }
        });
        let mut scene = Scene::new(world, hub, Policy::Disconnect).await;
        welcome.store(false, Ordering::Relaxed);
        world.network.cut("phone");
        scene.publish(5).await;
        assert_eq!(scene.outage().await, Outage::Broken);
        let refused = ClientEnd::Refused {
            reason: Refusal::Unauthorized,
            message: "gone".into(),
        };
        assert_eq!(scene.end().await, refused);
        assert_eq!(scene.numbers.next().await, None, "nothing of what waited");
    });
}
