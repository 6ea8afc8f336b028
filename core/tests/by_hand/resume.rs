//! A client that was lost and returns hears exactly what it missed, and who must not return does not.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use lapwing::hub::{Admission, Ask, HubBuilder, Presence, Refuse, RemoteCallError, Rule, Shutdown};
use lapwing::wire::{
    CloseReason, Continued, Denied, Encoding, Frame, Hello, Payload, Position, Received, Refusal,
    Reply, Verdict,
};
use lapwing::{ConnectionId, Limits, Policy};
use lapwing_memory::Path;

use crate::peer::{Entered, Got, Peer, publish, resumable, returning};
use crate::world::{World, check, check_with};

const WHOLE: bool = true;

/// A client that counts what it has, as far as it wants.
struct Client {
    name: &'static str,
    peer: Peer,
    id: ConnectionId,
    token: [u8; 16],
    received: u64,
}

fn at(positions: &[(u32, u64)]) -> Vec<Position> {
    let position = |&(subscription, accounted)| Position {
        subscription,
        accounted,
    };
    positions.iter().map(position).collect()
}

fn gap(missed: u64) -> Verdict {
    let missed = Some(missed);
    Verdict::Gap { missed }
}

impl Client {
    /// One that has subscribed to this topic.
    async fn new(world: &World, name: &'static str, policy: Policy, filter: &str) -> Self {
        let mut peer = world.connect(name).await;
        let entered = peer.enter(&resumable()).await;
        assert_eq!((entered.continued, &entered.verdicts[..]), (None, &[][..]));
        peer.subscribe(1, policy, &[filter]).await;
        Self {
            name,
            peer,
            id: entered.connection,
            token: entered.token.expect("it may resume"),
            received: 1,
        }
    }

    async fn hear(&mut self, events: u64) -> Vec<Got> {
        self.received += events;
        let mut all = Vec::new();
        for _ in 0..events {
            all.push(self.peer.until(crate::peer::got).await);
        }
        all
    }

    /// Loses the connection, and everything that is on its way.
    async fn lose(&self, world: &World) {
        world.network.cut(self.name);
        world.sim.settle().await;
    }

    /// Comes by a new transport and says how far it has come.
    async fn come(&mut self, world: &World, positions: &[(u32, u64)]) -> Entered {
        self.peer = world.connect(self.name).await;
        let positions = at(positions);
        let hello = returning(self.token, self.received, &positions);
        self.peer.enter(&hello).await
    }

    /// The same, and counts anew.
    async fn back(&mut self, world: &World, positions: &[(u32, u64)]) -> Entered {
        let entered = self.come(world, positions).await;
        if let Some(token) = entered.token {
            assert_ne!(token, self.token);
            self.token = token;
        }
        self.received = 0;
        entered
    }

    async fn resumed(&mut self, world: &World, positions: &[(u32, u64)]) {
        let entered = self.back(world, positions).await;
        assert_eq!(entered.connection, self.id);
        assert!(entered.continued.expect("the session is known").whole);
        assert_eq!(entered.verdicts, vec![Verdict::Resumed; positions.len()]);
    }
}

fn text(number: usize) -> String {
    format!("{number:03}")
}

fn numbered(numbers: impl IntoIterator<Item = usize>) -> Vec<Got> {
    numbers.into_iter().map(|n| Got::Event(text(n))).collect()
}

fn publish_all(world: &World, numbers: impl IntoIterator<Item = usize>) {
    for number in numbers {
        world.hub.publish("a", text(number)).expect("a good topic");
    }
}

#[test]
fn what_was_not_received_is_sent_again_and_what_came_meanwhile_follows() {
    check(Limits::default(), async |world| {
        let mut client = Client::new(world, "phone", Policy::Disconnect, "a").await;
        publish_all(world, 0..5);
        assert_eq!(client.hear(2).await, numbered(0..2));
        client.lose(world).await;
        assert_eq!(
            world.hub.connection(client.id).presence(),
            Presence::Detached
        );
        assert_eq!(world.hub.connections(), [client.id]);
        publish_all(world, 5..8);
        client.resumed(world, &[(0, 0), (1, 2)]).await;
        assert!(world.hub.connection(client.id).is_connected());
        publish_all(world, 8..9);
        assert_eq!(client.hear(7).await, numbered(2..9));
        assert_eq!(world.hub.connection(client.id).offered(), [(0, 0), (1, 9)]);
        assert_eq!(world.hub.counters().resumed, 1);
        assert_eq!(world.endings(), []);
    });
}

#[test]
fn it_returns_again_and_again_wherever_it_was_cut_off() {
    check(Limits::default(), async |world| {
        let mut client = Client::new(world, "phone", Policy::DropOldest, "a").await;
        let mut heard = Vec::new();
        for round in 0..8 {
            publish_all(world, round * 8..round * 8 + 4);
            heard.extend(client.hear(round as u64 % 5).await);
            client.lose(world).await;
            publish_all(world, round * 8 + 4..round * 8 + 8);
            client.resumed(world, &[(1, heard.len() as u64)]).await;
            // What it says proves that it has the new token.
            if round % 2 == 0 {
                client.peer.say(&crate::peer::ping(1)).await;
            }
        }
        heard.extend(client.hear(64 - heard.len() as u64).await);
        assert_eq!(heard, numbered(0..64));
    });
}

#[test]
fn it_may_return_while_its_old_transport_is_half_open() {
    check(Limits::default(), async |world| {
        let mut client = Client::new(world, "phone", Policy::Disconnect, "a").await;
        publish_all(world, 0..3);
        client.hear(1).await;
        world.network.half_open("phone");
        publish_all(world, 3..5);
        world.sim.settle().await;
        assert!(
            world.hub.connection(client.id).is_connected(),
            "nobody knows"
        );
        client.resumed(world, &[(1, 1)]).await;
        assert_eq!(client.hear(4).await, numbered(1..5));
        assert_eq!(world.hub.counters().connections, 1);
        world.pass(Duration::from_secs(120)).await;
        publish_all(world, 5..6);
        assert_eq!(client.hear(1).await, numbered(5..6));
    });
}

#[test]
fn a_welcome_that_was_lost_is_said_again() {
    check(Limits::default(), async |world| {
        let mut client = Client::new(world, "phone", Policy::Disconnect, "a").await;
        publish_all(world, 0..3);
        client.hear(1).await;
        client.lose(world).await;
        let (received, token) = (client.received, client.token);
        for _ in 0..3 {
            let entered = client.come(world, &[(1, 1)]).await;
            assert_eq!(entered.verdicts, [Verdict::Resumed]);
            client.lose(world).await;
        }
        client.resumed(world, &[(1, 1)]).await;
        assert_eq!(client.hear(2).await, numbered(1..3));
        // It has said something: the older token is used up.
        client.peer.say(&crate::peer::ping(1)).await;
        world.sim.settle().await;
        let mut thief = world.connect("thief").await;
        let entered = thief.enter(&returning(token, received, &[])).await;
        assert_eq!(entered.continued, None);
        assert_ne!(entered.connection, client.id);
    });
}

#[test]
fn a_gap_is_exact_when_what_was_sent_is_forgotten() {
    let limits = Limits {
        resume_bytes_max: 200,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut client = Client::new(world, "phone", Policy::Disconnect, "a").await;
        publish_all(world, 0..100);
        assert_eq!(client.hear(30).await, numbered(0..30));
        client.lose(world).await;
        publish_all(world, 100..103);
        let entered = client.back(world, &[(0, 0), (1, 30)]).await;
        assert_eq!(entered.connection, client.id);
        let missed = Some(73);
        assert_eq!(
            entered.verdicts,
            [Verdict::Resumed, Verdict::Gap { missed }]
        );
        assert!(!entered.continued.expect("it is known").whole);
        publish_all(world, 200..202);
        assert_eq!(client.hear(2).await, numbered(200..202));
        assert_eq!(world.hub.connection(client.id).offered()[1], (1, 105));
    });
}

#[test]
fn what_is_confirmed_makes_room_for_more() {
    let limits = Limits {
        resume_bytes_max: 200,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut client = Client::new(world, "phone", Policy::Disconnect, "a").await;
        for round in 0..20 {
            publish_all(world, round * 5..round * 5 + 5);
            client.hear(5).await;
            let count = client.received;
            client.peer.say(&Frame::Received(Received { count })).await;
            world.sim.settle().await;
        }
        publish_all(world, 100..103);
        client.lose(world).await;
        client.resumed(world, &[(1, 100)]).await;
        assert_eq!(client.hear(3).await, numbered(100..103));
    });
}

#[test]
fn a_gap_is_exact_when_too_much_came_meanwhile() {
    let limits = Limits {
        resume_bytes_max: 1_000,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut client = Client::new(world, "phone", Policy::Disconnect, "a").await;
        client.lose(world).await;
        publish_all(world, 0..500);
        assert_eq!(world.hub.counters().waiting_frames, 0);
        assert_eq!(world.endings(), [], "it is away, not too slow");
        let entered = client.back(world, &[(0, 0), (1, 0)]).await;
        let missed = Some(500);
        assert_eq!(entered.verdicts[1], Verdict::Gap { missed });
        publish_all(world, 500..501);
        assert_eq!(client.hear(1).await, numbered(500..501));
    });
}

#[test]
fn who_may_miss_events_misses_them_while_it_is_away_too() {
    let limits = Limits {
        resume_bytes_max: 1_000,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut client = Client::new(world, "phone", Policy::DropOldest, "a").await;
        client.lose(world).await;
        publish_all(world, 0..500);
        client.resumed(world, &[(1, 0)]).await;
        let got = client.peer.account(500).await;
        let Got::Missed(missed) = got[0] else {
            panic!("{got:?}");
        };
        assert_eq!(got[1..], numbered(missed as usize..500)[..]);
    });
}

#[test]
fn a_reader_that_was_too_slow_hears_how_much_it_missed() {
    let limits = Limits {
        lane_frames_max: 16,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut client = Client::new(world, "phone", Policy::Disconnect, "a").await;
        let direct = world.hub.connection(client.id);
        world.plug("phone", client.id).await;
        publish_all(world, 0..40);
        world.network.resume("phone");
        world.network.cut("phone");
        let entered = client.back(world, &[(0, 0), (1, 0)]).await;
        let [
            Verdict::Gap { missed: Some(1) },
            Verdict::Gap { missed: Some(40) },
        ] = entered.verdicts[..]
        else {
            panic!("{entered:?}");
        };
        assert_eq!(direct.offered(), [(0, 1), (1, 40)]);
        assert_eq!(world.endings(), []);
    });
}

#[test]
fn a_token_that_nobody_has_begins_a_new_session() {
    check(Limits::default(), async |world| {
        let client = Client::new(world, "phone", Policy::Disconnect, "a").await;
        let mut forger = world.connect("forger").await;
        let entered = forger.enter(&returning([7; 16], 3, &at(&[(0, 9)]))).await;
        assert_eq!((entered.continued, &entered.verdicts[..]), (None, &[][..]));
        assert_ne!(entered.connection, client.id);
        assert!(entered.token.is_some());
    });
}

#[test]
fn it_is_gone_when_its_time_is_over() {
    check(Limits::default(), async |world| {
        let mut client = Client::new(world, "phone", Policy::Disconnect, "a").await;
        client.lose(world).await;
        world.pass(Duration::from_secs(59)).await;
        assert_eq!(
            (world.endings().len(), world.hub.counters().detached),
            (0, 1)
        );
        world.pass(Duration::from_secs(2)).await;
        assert_eq!(
            (world.endings().len(), world.hub.counters().detached),
            (1, 0)
        );
        let old = client.id;
        let entered = client.back(world, &[(1, 0)]).await;
        assert_eq!(entered.continued, None);
        assert_ne!(entered.connection, old);
    });
}

#[test]
fn wrong_counts_end_the_session() {
    check(Limits::default(), async |world| {
        for (confirmed, received, accounted) in [(2, 9, 2), (2, 1, 0), (0, 3, 3)] {
            let mut client = Client::new(world, "phone", Policy::Disconnect, "a").await;
            publish_all(world, 0..2);
            client.hear(2).await;
            let count = confirmed;
            client.peer.say(&Frame::Received(Received { count })).await;
            world.sim.settle().await;
            client.lose(world).await;
            client.peer = world.connect("phone").await;
            let positions = at(&[(1, accounted)]);
            let hello = returning(client.token, received, &positions);
            client.peer.say(&Frame::Hello(hello)).await;
            assert_eq!(client.peer.refusal().await, (Refusal::Count, Some(0)));
            world.sim.settle().await;
            assert_eq!(world.hub.connection(client.id).presence(), Presence::Gone);
        }
    });
}

#[test]
fn it_may_return_from_its_welcome_on() {
    check(Limits::default(), async |world| {
        let mut peer = world.connect("phone").await;
        let entered = peer.enter(&resumable()).await;
        world.network.cut("phone");
        world.sim.settle().await;
        let remote = world.hub.connection(entered.connection);
        remote.send("note", "hi").expect("it is known");
        let mut back = world.connect("phone").await;
        let token = entered.token.expect("it may resume");
        let positions = at(&[(0, 0)]);
        let again = back.enter(&returning(token, 0, &positions)).await;
        assert_eq!(again.connection, entered.connection);
        assert_eq!(again.verdicts, [Verdict::Resumed]);
        assert_eq!(back.account(1).await, [Got::Event("hi".into())]);
    });
}

#[test]
fn who_says_goodbye_or_is_sent_away_is_not_waited_for() {
    check(Limits::default(), async |world| {
        let mut polite = Client::new(world, "polite", Policy::Disconnect, "a").await;
        polite.peer.say(&close_done()).await;
        assert_eq!(polite.peer.close_reason().await, CloseReason::Done);
        let kicked = Client::new(world, "kicked", Policy::Disconnect, "a").await;
        world.hub.connection(kicked.id).close();
        world.sim.settle().await;
        let away = Client::new(world, "away", Policy::Disconnect, "a").await;
        away.lose(world).await;
        world.hub.connection(away.id).close();
        world.sim.settle().await;
        drop(kicked);
        world.pass(Duration::from_secs(6)).await;
        assert_eq!(world.hub.counters().connections, 0);
    });
}

#[test]
fn who_is_sent_away_stays_away_whatever_it_says_meanwhile() {
    check(Limits::default(), async |world| {
        let mut kicked = Client::new(world, "kicked", Policy::Disconnect, "a").await;
        world.network.stall(Path::to_client("kicked"));
        world.hub.publish("a", "x").expect("a good topic");
        world.hub.connection(kicked.id).close();
        world.sim.settle().await;
        // It has not heard of it, and wonders whether anybody is there.
        let silent = lapwing::wire::Close {
            reason: CloseReason::Silent,
            verdict: lapwing::wire::Return::Now,
        };
        kicked.peer.say(&Frame::Close(silent)).await;
        world.sim.settle().await;
        let mut back = world.connect("back").await;
        let hello = returning(kicked.token, 1, &[]);
        let entered = back.enter(&hello).await;
        assert_eq!(entered.continued, None, "its session is over");
    });
}

fn close_done() -> Frame<'static> {
    Frame::Close(lapwing::wire::Close {
        reason: CloseReason::Done,
        verdict: lapwing::wire::Return::Now,
    })
}

#[test]
fn a_hub_that_keeps_nothing_gives_no_token() {
    let limits = Limits {
        resume: None,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut peer = world.connect("phone").await;
        assert_eq!(peer.enter(&resumable()).await.token, None);
        peer.subscribe(1, Policy::Disconnect, &["a"]).await;
        world.network.cut("phone");
        world.sim.settle().await;
        assert_eq!(world.hub.counters().connections, 0);
    });
}

#[test]
fn as_many_may_be_away_as_may_be_here() {
    let limits = Limits {
        connections_max: 2,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut lost = Vec::new();
        for name in ["a", "b", "c"] {
            let client = Client::new(world, name, Policy::Disconnect, "a").await;
            client.lose(world).await;
            lost.push(client);
        }
        let counters = world.hub.counters();
        assert_eq!((counters.connections, counters.detached), (2, 2));
        lost[0].resumed(world, &[(1, 0)]).await;
        assert!(world.hub.counters().detached == 1);
        assert_eq!(lost[2].back(world, &[(1, 0)]).await.continued, None);
    });
}

/// Lets in whoever shows a name, as that user.
fn by_name(builder: HubBuilder) -> HubBuilder {
    builder.on_connect(async |ask: Ask| {
        let token = ask.token.ok_or_else(|| Refuse::unauthorized(""))?;
        let name = String::from_utf8(token.to_vec()).expect("a text");
        Ok(Admission::user(name.as_str()).join(name.as_str()))
    })
}

/// The application takes its time for a hello whose transport is given up meanwhile.
#[test]
fn a_hello_that_was_given_up_does_not_take_the_session() {
    let gate = Arc::new(AtomicBool::new(false));
    let (opened, wakers) = (gate.clone(), Arc::new(std::sync::Mutex::new(Vec::new())));
    let waiting = wakers.clone();
    let admit = move |ask: Ask| {
        let (gate, wakers, wait) = (gate.clone(), wakers.clone(), ask.token.is_some());
        poll_fn(move |cx| {
            if !wait || gate.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(Admission::anonymous()));
            }
            wakers.lock().expect("no panic").push(cx.waker().clone());
            Poll::Pending
        })
    };
    check_with(
        |_, builder| builder.on_connect(admit.clone()),
        async |world| {
            opened.store(false, Ordering::Relaxed);
            let mut client = Client::new(world, "phone", Policy::Disconnect, "a").await;
            client.lose(world).await;
            let mut stale = world.connect("stale").await;
            let positions = at(&[(0, 0), (1, 0)]);
            let hello = Hello {
                token: Some(b"slow"),
                ..returning(client.token, client.received, &positions)
            };
            stale.say(&Frame::Hello(hello)).await;
            world.sim.settle().await;
            client.resumed(world, &[(0, 0), (1, 0)]).await;
            opened.store(true, Ordering::Relaxed);
            let waiting = std::mem::take(&mut *waiting.lock().expect("no panic"));
            waiting.into_iter().for_each(std::task::Waker::wake);
            world.sim.settle().await;
            world.hub.publish("a", "hi").expect("a good topic");
            assert_eq!(client.hear(1).await, [Got::Event("hi".into())]);
            client.lose(world).await;
            client.resumed(world, &[(0, 0), (1, 1)]).await;
        },
    );
}

#[test]
fn where_nothing_is_kept_everything_unheard_is_a_gap() {
    let limits = Limits {
        resume_bytes_max: 0,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut peer = world.connect("phone").await;
        let entered = peer.enter(&resumable()).await;
        let remote = world.hub.connection(entered.connection);
        remote.send("a", "x").expect("a good topic");
        world.sim.settle().await;
        world.network.cut("phone");
        world.sim.settle().await;
        let mut back = world.connect("phone").await;
        let (token, positions) = (entered.token.expect("it may resume"), at(&[(0, 0)]));
        let entered = back.enter(&returning(token, 0, &positions)).await;
        assert_eq!(entered.verdicts, [gap(1)]);
    });
}

#[test]
fn groups_of_the_door_are_given_anew_at_each_return() {
    let admitted = |ask: Ask| {
        let group = match ask.resumes {
            Some(_) => "guests",
            None => "admins",
        };
        Ok(Admission::user("ann").join(group).join("all"))
    };
    check_with(
        |_, builder| builder.on_connect(move |ask| async move { admitted(ask) }),
        async |world| {
            let mut client = Client::new(world, "phone", Policy::Disconnect, "a").await;
            let remote = world.hub.connection(client.id);
            remote.join("friends").expect("it is here");
            assert_eq!(world.hub.members("admins"), [client.id]);
            client.lose(world).await;
            assert_eq!(world.hub.members("admins"), [client.id]);
            let secret = world.hub.group("admins").send("secret", "x");
            assert_eq!(secret.expect("a good topic").queued, 1);
            let entered = client.back(world, &[(0, 0), (1, 0)]).await;
            assert_eq!(entered.verdicts, [gap(1), Verdict::Resumed]);
            assert!(world.hub.members("admins").is_empty());
            for group in ["all", "friends", "guests"] {
                assert_eq!(world.hub.members(group), [client.id]);
            }
        },
    );
}

#[test]
fn a_token_is_of_use_to_its_owner_alone() {
    check_with(
        |_, builder| by_name(builder),
        async |world| {
            let mut peer = world.connect("phone").await;
            let ann = |hello: Hello<'static>| Hello {
                token: Some(b"ann"),
                ..hello
            };
            let entered = peer.enter(&ann(resumable())).await;
            let token = entered.token.expect("it may resume");
            peer.say(&crate::peer::ping(1)).await;
            peer.hear().await;
            world.network.cut("phone");
            let mut thief = world.connect("thief").await;
            let stolen = Hello {
                token: Some(b"bob"),
                ..returning(token, 0, &[])
            };
            let got = thief.enter(&stolen).await;
            assert_eq!(got.continued, None);
            assert_ne!(got.connection, entered.connection);
            let mut owner = world.connect("phone").await;
            let back = owner.enter(&ann(returning(token, 0, &[]))).await;
            assert_eq!(back.connection, entered.connection);
            assert!(back.continued.expect("it is known").whole);
            assert_eq!(world.hub.members("ann"), [entered.connection]);
        },
    );
}

#[test]
fn what_is_not_allowed_any_more_is_not_sent_again() {
    let allowed = Arc::new(AtomicBool::new(true));
    let build = |_: &_, builder: HubBuilder| {
        let allowed = allowed.clone();
        let rule = Rule::open().subscribe_if(move |_, _| allowed.load(Ordering::Relaxed));
        Hub::builder_with(builder, rule)
    };
    check_with(build, async |world| {
        allowed.store(true, Ordering::Relaxed);
        let mut client = Client::new(world, "phone", Policy::Disconnect, "plans/*").await;
        client.peer.subscribe(2, Policy::Disconnect, &["a"]).await;
        client.received += 1;
        world
            .hub
            .publish("plans/secret", "attack")
            .expect("a good topic");
        publish_all(world, 0..1);
        client.lose(world).await;
        allowed.store(false, Ordering::Relaxed);
        let entered = client.back(world, &[(0, 0), (1, 0), (2, 0)]).await;
        let missed = Some(1);
        let expected = [
            Verdict::Resumed,
            Verdict::Denied(Denied::Forbidden),
            Verdict::Gap { missed },
        ];
        assert_eq!(entered.verdicts, expected);
        world
            .hub
            .publish("plans/secret", "retreat")
            .expect("a good topic");
        publish_all(world, 1..2);
        assert_eq!(client.hear(1).await, numbered(1..2));
        assert_eq!(world.hub.counters().subscriptions, 1);
    });
}

/// Puts a rule before those of the world: the first one counts.
struct Hub;

impl Hub {
    fn builder_with(builder: HubBuilder, rule: Rule) -> HubBuilder {
        builder.topic("plans/*", rule)
    }
}

#[test]
fn who_is_away_is_in_its_groups_and_gets_what_is_sent_to_it() {
    check(Limits::default(), async |world| {
        let mut client = Client::new(world, "phone", Policy::Disconnect, "a").await;
        let remote = world.hub.connection(client.id);
        client.lose(world).await;
        remote.join("staff").expect("it is known");
        assert_eq!(world.hub.members("staff"), [client.id]);
        world
            .hub
            .group("staff")
            .send("note", "1")
            .expect("a good topic");
        remote.send("note", "2").expect("a good topic");
        client.resumed(world, &[(0, 0), (1, 0)]).await;
        let notes = ["1", "2"].map(|text| Got::Event(text.into()));
        assert_eq!(client.hear(2).await, notes);
        assert_eq!(remote.offered(), [(0, 2), (1, 0)]);
    });
}

#[test]
fn a_call_that_runs_is_answered_after_the_return() {
    let build = |sim: &lapwing_memory::Virtual, builder: HubBuilder| {
        let sim = sim.clone();
        builder.on_call("slow", move |_, ()| {
            let sim = sim.clone();
            async move {
                sim.sleep(Duration::from_secs(5)).await;
                Ok("done")
            }
        })
    };
    check_with(build, async |world| {
        let mut client = Client::new(world, "phone", Policy::Disconnect, "a").await;
        let call = lapwing::wire::Call {
            id: 4,
            method: "slow",
            deadline_ms: None,
            arguments: Payload::bytes(&[]),
        };
        client.peer.say(&Frame::Call(call)).await;
        world.sim.settle().await;
        client.lose(world).await;
        world.pass(Duration::from_secs(10)).await;
        let entered = client.back(world, &[(1, 0)]).await;
        let (whole, received) = (WHOLE, 2);
        assert_eq!(entered.continued, Some(Continued { whole, received }));
        assert_eq!(client.peer.answer().await, (4, Ok(b"done".to_vec())));
    });
}

#[test]
fn a_call_to_a_client_that_is_away_waits_for_it() {
    check(Limits::default(), async |world| {
        let mut client = Client::new(world, "phone", Policy::Disconnect, "a").await;
        client.lose(world).await;
        let remote = world.hub.connection(client.id);
        let (answer, told) = futures_channel::oneshot::channel();
        world.sim.spawn_named("caller", async move {
            let _ = answer.send(remote.call::<String>("name", ()).await);
        });
        world.pass(Duration::from_secs(3)).await;
        client.resumed(world, &[(1, 0)]).await;
        let id = client
            .peer
            .until(|frame| match frame {
                Frame::Call(call) => Some(call.id),
                _ => None,
            })
            .await;
        let encoding = Encoding::Text;
        let payload = Payload {
            encoding,
            bytes: b"ann",
        };
        let result = Ok(payload);
        client.peer.say(&Frame::Reply(Reply { id, result })).await;
        let answer = told.await.expect("the call ends");
        assert_eq!(answer.expect("an answer"), "ann");
    });
}

#[test]
fn a_call_to_a_client_that_does_not_return_in_time_ends() {
    check(Limits::default(), async |world| {
        let client = Client::new(world, "phone", Policy::Disconnect, "a").await;
        client.lose(world).await;
        let remote = world.hub.connection(client.id);
        let began = world.sim.elapsed();
        let answer = remote
            .call::<String>("name", ())
            .within(Duration::from_secs(7))
            .await;
        assert!(matches!(answer, Err(RemoteCallError::TimedOut)));
        assert_eq!(world.sim.elapsed() - began, Duration::from_secs(7));
    });
}

#[test]
fn what_the_hub_had_received_is_told() {
    check(Limits::default(), async |world| {
        let mut client = Client::new(world, "phone", Policy::Disconnect, "a").await;
        for text in ["1", "2", "3"] {
            client.peer.say(&publish("b", text)).await;
        }
        world.sim.settle().await;
        client.lose(world).await;
        let entered = client.come(world, &[(1, 0)]).await;
        let (whole, received) = (WHOLE, 4);
        let continued = Some(Continued { whole, received });
        assert_eq!(entered.continued, continued);
        client.lose(world).await;
        let again = client.come(world, &[(1, 0)]).await;
        assert_eq!(again.continued, continued, "as its first welcome was lost");
    });
}

#[test]
fn the_hub_confirms_what_it_has_received() {
    check(Limits::default(), async |world| {
        let mut client = Client::new(world, "phone", Policy::Disconnect, "a").await;
        for _ in 0..63 {
            client.peer.say(&publish("b", "x")).await;
        }
        let received = client
            .peer
            .until(|frame| match frame {
                Frame::Received(Received { count }) => Some(count),
                _ => None,
            })
            .await;
        assert_eq!(received, 64);
    });
}

#[test]
fn a_shutdown_does_not_wait_for_who_is_away() {
    check(Limits::default(), async |world| {
        let client = Client::new(world, "phone", Policy::Disconnect, "a").await;
        client.lose(world).await;
        publish_all(world, 0..3);
        let began = world.sim.elapsed();
        let report = world.hub.shutdown(Shutdown::default()).await;
        assert_eq!(world.sim.elapsed(), began);
        assert_eq!(
            (report.closed, report.cut, report.undelivered_frames),
            (0, 1, 3)
        );
        assert_eq!(world.endings().len(), 1);
    });
}
