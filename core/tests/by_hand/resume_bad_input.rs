//! Who returns with what it should not have, or counts as nobody can, is refused or begins anew, and nobody else notices.

use lapwing::hub::Presence;
use lapwing::wire::{
    CloseReason, Denied, Frame, Hello, List, Position, Received, Refusal, Verdict,
};
use lapwing::{ConnectionId, Limits, Policy};

use crate::peer::{Entered, Got, Peer, TERMS, got, hello, ping};
use crate::world::{World, check};

/// A client that may resume, subscribed to `a`.
struct Owner {
    peer: Peer,
    id: ConnectionId,
    token: [u8; 16],
}

impl Owner {
    async fn new(world: &World) -> Self {
        let mut peer = world.connect("owner").await;
        let entered = peer.enter(&returning(None, 0, &[])).await;
        peer.subscribe(1, Policy::DropOldest, &["a"]).await;
        Self {
            peer,
            id: entered.connection,
            token: entered.token.expect("it may resume"),
        }
    }

    async fn hears(&mut self, world: &World, text: &str) {
        world.hub.publish("a", text).expect("a good topic");
        assert_eq!(self.peer.until(got).await, Got::Event(text.into()));
    }

    /// Comes by a new transport with the newest token.
    async fn back(&mut self, world: &World, received: u64, accounted: u64) -> Entered {
        self.peer = world.connect("owner").await;
        let positions = [at(1, accounted)];
        let hello = returning(Some(self.token), received, &positions);
        let entered = self.peer.enter(&hello).await;
        self.token = entered.token.expect("it may resume again");
        entered
    }

    /// Says something, so that the hub knows that its welcome has arrived.
    async fn speak(&mut self) {
        self.peer.say(&ping(1)).await;
        self.peer
            .until(|frame| matches!(frame, Frame::Pong(_)).then_some(()))
            .await;
    }
}

fn at(subscription: u32, accounted: u64) -> Position {
    Position {
        subscription,
        accounted,
    }
}

fn returning(token: Option<[u8; 16]>, received: u64, positions: &[Position]) -> Hello<'_> {
    let Frame::Hello(hello) = hello(TERMS) else {
        unreachable!("it is one");
    };
    Hello {
        resumable: true,
        resume: token.map(|token| (token, received)),
        positions: List::new(positions),
        ..hello
    }
}

#[test]
fn a_token_that_was_guessed_is_none() {
    check(Limits::default(), async |world| {
        let mut control = world.peer("control").await;
        let mut owner = Owner::new(world).await;
        for bit in (0..128).step_by(9) {
            let mut guess = owner.token;
            guess[bit / 8] ^= 1 << (bit % 8);
            let mut guesser = world.connect("guesser").await;
            let positions = [at(1, 0)];
            let entered = guesser.enter(&returning(Some(guess), 0, &positions)).await;
            assert_eq!((entered.continued, entered.verdicts.len()), (None, 0));
            assert_ne!(entered.connection, owner.id);
        }
        world.round_trip(&mut control).await;
        owner.hears(world, "still here").await;
    });
}

#[test]
fn a_token_that_was_used_is_none() {
    check(Limits::default(), async |world| {
        let mut owner = Owner::new(world).await;
        let used = owner.token;
        world.network.cut("owner");
        world.sim.settle().await;
        assert!(owner.back(world, 1, 0).await.continued.is_some());
        owner.speak().await;
        for received in [0, 1] {
            let mut replayer = world.connect("replayer").await;
            let entered = replayer
                .enter(&returning(Some(used), received, &[at(1, 0)]))
                .await;
            assert_eq!(entered.continued, None);
        }
        owner.hears(world, "still here").await;
        assert!(owner.back(world, 1, 1).await.continued.is_some());
    });
}

#[test]
fn a_count_that_cannot_be_ends_the_session_for_good() {
    // Beyond what was sent, and less than was said before.
    for counts in [&[1_000][..], &[2, 1]] {
        check(Limits::default(), async |world| {
            let mut control = world.peer("control").await;
            let mut owner = Owner::new(world).await;
            owner.hears(world, "x").await;
            for &count in counts {
                owner.peer.say(&Frame::Received(Received { count })).await;
            }
            assert_eq!(owner.peer.close_reason().await, CloseReason::Count);
            world.sim.settle().await;
            let presence = world.hub.connection(owner.id).presence();
            assert_eq!(presence, Presence::Gone);
            assert_eq!(owner.back(world, 2, 1).await.continued, None);
            world.round_trip(&mut control).await;
        });
    }
}

#[test]
fn counts_begin_anew_with_each_transport() {
    check(Limits::default(), async |world| {
        let mut owner = Owner::new(world).await;
        owner.hears(world, "x").await;
        world.network.cut("owner");
        world.sim.settle().await;
        assert!(owner.back(world, 2, 1).await.continued.is_some());
        // That was the count of the transport before.
        let count = 2;
        owner.peer.say(&Frame::Received(Received { count })).await;
        assert_eq!(owner.peer.close_reason().await, CloseReason::Count);
    });
}

#[test]
fn more_positions_than_there_can_be_subscriptions_are_refused() {
    let limits = Limits {
        subscriptions_max: 3,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut owner = Owner::new(world).await;
        let positions: Vec<_> = (0..5).map(|number| at(number, 0)).collect();
        let mut greedy = world.connect("greedy").await;
        let hello = Frame::Hello(returning(Some(owner.token), 1, &positions));
        greedy.say(&hello).await;
        assert_eq!(greedy.refusal().await, (Refusal::Malformed, None));
        owner.hears(world, "still here").await;
    });
}

#[test]
fn positions_of_nothing_and_twice_the_same_are_answered_each() {
    // Whole, and not: what was sent is forgotten.
    for (resume_bytes_max, whole) in [(100_000, true), (1, false)] {
        let limits = Limits {
            resume_bytes_max,
            ..Limits::default()
        };
        check(limits, async |world| {
            let mut owner = Owner::new(world).await;
            for _ in 0..3 {
                owner.hears(world, "x").await;
            }
            world.network.cut("owner");
            world.sim.settle().await;
            owner.peer = world.connect("owner").await;
            let positions = [at(1, 1), at(u32::MAX, u64::MAX), at(1, 1)];
            let hello = returning(Some(owner.token), 2, &positions);
            let entered = owner.peer.enter(&hello).await;
            assert_eq!(entered.continued.map(|known| known.whole), Some(whole));
            let missed = match whole {
                true => Verdict::Resumed,
                false => Verdict::Gap { missed: Some(2) },
            };
            let nothing = Verdict::Denied(Denied::Forbidden);
            assert_eq!(entered.verdicts, [missed, nothing, missed]);
        });
    }
}

#[test]
fn who_takes_over_again_and_again_moves_nobody() {
    check(Limits::default(), async |world| {
        let mut control = world.peer("control").await;
        let mut owner = Owner::new(world).await;
        let mut received = 1;
        for round in 0..100 {
            // The old transport is whole each time.
            let entered = owner.back(world, received, round).await;
            assert_eq!(entered.connection, owner.id);
            owner.speak().await;
            owner.hears(world, "x").await;
            received = 1;
            world.round_trip(&mut control).await;
        }
        let counters = world.hub.counters();
        assert_eq!((counters.connections, counters.resumed), (2, 100));
        assert!(world.sim.tasks() <= 4, "the old ones are over");
    });
}

#[test]
fn who_never_confirms_costs_as_much_as_is_kept_for_it() {
    let limits = Limits {
        resume_bytes_max: 50_000,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut control = world.peer("control").await;
        let mut owner = Owner::new(world).await;
        let event = "x".repeat(1_000);
        for _ in 0..500 {
            owner.hears(world, &event).await;
            // What is kept, and the rest of the segments that it stands in.
            let held = world.hub.counters().held_bytes;
            assert!(held <= 2 * 50_000 + 2 * 64 * 1024, "{held}");
        }
        world.round_trip(&mut control).await;
        world.network.cut("owner");
        world.sim.settle().await;
        // It has a hundred of them: too few for what is kept.
        let entered = owner.back(world, 101, 100).await;
        let missed = Some(400);
        assert_eq!(entered.verdicts, [Verdict::Gap { missed }]);
    });
}

/// A few bytes that nobody confirms stand beside many others, and nothing more is ever sent there.
#[test]
fn who_never_confirms_keeps_nothing_of_what_others_had() {
    let limits = Limits {
        hub_bytes_max: 1_000_000,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut reader = world.peer("reader").await;
        reader.subscribe(1, Policy::Disconnect, &["busy"]).await;
        let mut owners = Vec::new();
        for number in 0..60 {
            let mut owner = world.connect(&format!("owner {number}")).await;
            owner.enter(&returning(None, 0, &[])).await;
            let own = format!("own/{number}");
            owner.subscribe(1, Policy::Disconnect, &[&own]).await;
            world.hub.publish(&own, "x").expect("a good topic");
            let busy = "y".repeat(50_000);
            world.hub.publish("busy", &*busy).expect("a good topic");
            assert_eq!(owner.until(got).await, Got::Event("x".into()));
            assert_eq!(reader.until(got).await, Got::Event(busy));
            owners.push(owner);
        }
        let held = world.hub.counters().held_bytes;
        assert!(held < 1_000_000, "{held}");
    });
}
