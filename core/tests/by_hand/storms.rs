//! Many that do too much of something cheap, all at once: one connection that does nothing wrong does not notice.

use std::future::{Future as _, poll_fn};
use std::pin::pin;

use lapwing::transport::Message;
use lapwing::wire::{Frame, Unsubscribe};
use lapwing::{Limits, Policy};

use crate::carrier::Carrier;
use crate::peer::{Peer, bytes, ping, subscribe};
use crate::raw::{BINARY, PING, REQUEST, frame};
use crate::world::{World, check_seeds};

/// More than any burst. Time stands still as long as somebody floods, so it comes to an end.
const MANY: u32 = 1_000;

/// Turns of its own task until an answer is here, when every task that is ready has a turn as often as this one.
async fn turns(world: &World, control: &mut Peer) -> u32 {
    let mut turns = 0;
    let mut answered = pin!(world.round_trip(control));
    poll_fn(|cx| {
        turns += 1;
        cx.waker().wake_by_ref();
        answered.as_mut().poll(cx)
    })
    .await;
    turns
}

/// Asks again and again; no answer may take many more turns than it does when nobody else is there.
async fn is_not_moved(world: &World, control: &mut Peer) {
    let mut all = 0;
    for _ in 0..50 {
        let turns = turns(world, control).await;
        assert!(turns < 100, "{turns} turns");
        all += turns;
    }
    assert!(all < 50 * 25, "{all} turns for 50 answers");
}

#[test]
fn five_thousand_connects_and_aborts_move_nobody() {
    for carrier in Carrier::ALL {
        check_seeds(0..1, carrier, Limits::default(), async |world| {
            let mut control = world.peer("control").await;
            for cycle in 0..5_000 {
                abort(world, cycle).await;
                if cycle % 10 == 0 {
                    world.round_trip(&mut control).await;
                }
                if cycle % 100 == 0 {
                    is_not_moved(world, &mut control).await;
                    world.sim.settle().await;
                    assert_eq!(world.sim.tasks(), 2, "{cycle}");
                }
            }
            world.sim.settle().await;
            let counters = world.hub.counters();
            assert_eq!((counters.connections, counters.handshakes), (1, 0));
            assert_eq!(counters.connected, 1 + 5_000 / 5 * 2);
            assert_eq!(world.sim.elapsed().as_micros(), 0);
        });
    }
}

/// Connects, and goes away as phones do: after nothing, in the middle of a request, with a hello, with a reset.
async fn abort(world: &World, cycle: u32) {
    match cycle % 5 {
        0 => drop(world.dial("storm").await),
        1 => {
            let mut raw = world.raw("storm").await;
            let said = cycle as usize % REQUEST.len();
            raw.say(&REQUEST.as_bytes()[..said]).await;
            world.sim.settle().await;
        }
        2 => drop(world.connect("storm").await),
        3 => {
            let mut peer = world.peer("storm").await;
            peer.subscribe(1, Policy::Disconnect, &["news"]).await;
        }
        _ => {
            let _peer = world.peer("storm").await;
            world.network.cut("storm");
        }
    }
}

/// What is said again and again.
fn floods() -> [(&'static str, Vec<u8>); 4] {
    let (receipt, first, count) = (0, 1, 1);
    let unsubscribe = Frame::Unsubscribe(Unsubscribe {
        receipt,
        first,
        count,
    });
    [
        ("pings", bytes(&ping(1))),
        ("nothing", vec![]),
        ("subscribes", subscribe(1, Policy::Disconnect, &["news"])),
        ("unsubscribes", bytes(&unsubscribe)),
    ]
}

#[test]
fn floods_move_nobody() {
    let each = floods().into_iter();
    for (what, says, carrier) in
        each.flat_map(|(what, says)| Carrier::ALL.map(|carrier| (what, says.clone(), carrier)))
    {
        check_seeds(0..2, carrier, Limits::default(), async |world| {
            let mut control = world.peer("control").await;
            for _ in 0..20 {
                let mut flood = world.peer("flood").await;
                let message = Message::binary(says.clone());
                world.sim.spawn_named(what, async move {
                    for _ in 0..MANY {
                        let _ = flood.send(message.clone()).await;
                    }
                });
            }
            is_not_moved(world, &mut control).await;
            world.sim.settle().await;
            is_not_moved(world, &mut control).await;
            // What is paused goes on in time; what is a flood has been ended by now.
            let ended = world.endings().len();
            match what {
                "pings" | "nothing" => assert_eq!(ended, 20, "{what}"),
                _ => assert_eq!(ended, 0, "{what}"),
            }
            world.network.cut("flood");
        });
    }
}

#[test]
fn floods_below_the_protocol_move_nobody() {
    for says in [frame(PING, b"are you there?"), frame(BINARY, b"")] {
        check_seeds(0..1, Carrier::WebSocket, Limits::default(), async |world| {
            let mut control = world.peer("control").await;
            for _ in 0..20 {
                let mut flood = world.bare("flood").await;
                let says = says.repeat(50);
                world.sim.spawn_named("flood", async move {
                    for _ in 0..MANY / 50 {
                        flood.try_say(&says).await;
                    }
                });
            }
            is_not_moved(world, &mut control).await;
            world.sim.settle().await;
            assert_eq!(world.endings().len(), 20);
            is_not_moved(world, &mut control).await;
            world.network.cut("flood");
        });
    }
}

#[test]
fn half_open_handshakes_move_nobody() {
    for carrier in Carrier::ALL {
        let limits = Limits {
            connections_max: 1,
            ..Limits::default()
        };
        check_seeds(0..1, carrier, limits, async |world| {
            let mut control = world.peer("control").await;
            let mut crowd = Vec::new();
            for _ in 0..4 * limits.handshakes_max {
                let mut raw = world.raw("crowd").await;
                raw.try_say(b"\0").await;
                crowd.push(raw);
            }
            is_not_moved(world, &mut control).await;
            world.sim.settle().await;
            let (here, most) = (world.sim.tasks(), limits.handshakes_max as usize);
            assert_eq!(here, 1 + 1 + 2 * most, "as many again on their way out");
            is_not_moved(world, &mut control).await;
            world.pass(limits.handshake).await;
            is_not_moved(world, &mut control).await;
            drop(crowd);
            world.sim.settle().await;
            assert_eq!(world.sim.tasks(), 2);
        });
    }
}
