//! Peers that speak well and behave badly.

use std::time::Duration;

use lapwing::session::Ending;
use lapwing::wire::{CloseReason, Terms};
use lapwing::{Limits, Policy};
use lapwing_memory::Path;

use crate::peer::{Peer, TERMS, call, ping, publish};
use crate::world::{World, check};

/// Ends what nobody else may notice, and says how it ended.
async fn ending(world: &World, control: &mut Peer) -> Ending {
    for _ in 0..100_000 {
        world.round_trip(control).await;
        world.sim.settle().await;
        if let [ending] = world.endings()[..] {
            return ending;
        }
        world.pass(Duration::from_millis(100)).await;
    }
    panic!("it never ends");
}

fn reason(ending: Ending) -> Option<CloseReason> {
    match ending {
        Ending::ByUs(close) => Some(close.reason),
        _ => None,
    }
}

#[test]
fn who_vanishes_is_missed() {
    const SOON: Terms = Terms {
        promise_ms: 30_000,
        ..TERMS
    };
    type Vanish = fn(&World);
    let vanish: [(Vanish, Option<CloseReason>, u64); 4] = [
        (|world| world.network.cut("peer"), None, 0),
        (
            |world| world.network.half_open("peer"),
            Some(CloseReason::Silent),
            50,
        ),
        (
            |world| world.network.partition("peer"),
            // The hub's ping is not taken.
            Some(CloseReason::Stalled),
            25 + 10,
        ),
        (
            |world| world.network.stall(Path::to_hub("peer")),
            Some(CloseReason::Silent),
            50,
        ),
    ];
    for (vanish, expected, seconds) in vanish {
        check(Limits::default(), async |world| {
            let mut control = world.peer("control").await;
            let mut peer = world.connect("peer").await;
            peer.welcome(SOON).await;
            peer.subscribe(1, Policy::DropOldest, &["news"]).await;
            vanish(world);
            let ending = ending(world, &mut control).await;
            assert_eq!(reason(ending), expected);
            assert_eq!(world.sim.elapsed(), Duration::from_secs(seconds));
            assert_eq!(world.hub.counters().subscriptions, 0);
        });
    }
}

#[test]
fn who_drops_its_end_is_gone_at_once() {
    check(Limits::default(), async |world| {
        let mut control = world.peer("control").await;
        let peer = world.peer("peer").await;
        drop(peer);
        assert_eq!(ending(world, &mut control).await, Ending::Lost);
        assert_eq!(world.sim.elapsed(), Duration::ZERO);
    });
}

#[test]
fn who_says_nothing_is_dead_after_its_promise() {
    check(Limits::default(), async |world| {
        let mut control = world.peer("control").await;
        let mut peer = world.connect("peer").await;
        let promise_ms = 25_000;
        peer.welcome(Terms {
            promise_ms,
            ..TERMS
        })
        .await;
        let ending = ending(world, &mut control).await;
        assert_eq!(reason(ending), Some(CloseReason::Silent));
        assert_eq!(world.sim.elapsed(), Duration::from_secs(45));
        assert_eq!(peer.close_reason().await, CloseReason::Silent);
    });
}

#[test]
fn who_speaks_now_and_then_stays() {
    check(Limits::default(), async |world| {
        let mut control = world.peer("control").await;
        let mut peer = world.connect("peer").await;
        let promise_ms = 25_000;
        peer.welcome(Terms {
            promise_ms,
            ..TERMS
        })
        .await;
        for _ in 0..100 {
            world.pass(Duration::from_secs(44)).await;
            peer.say(&ping(1)).await;
            world.round_trip(&mut control).await;
        }
        assert_eq!(world.endings(), []);
    });
}

#[test]
fn who_asks_and_never_reads_is_ended() {
    check(Limits::default(), async |world| {
        let mut control = world.peer("control").await;
        let mut peer = world.peer("peer").await;
        let nonsense = call(1, "echo");
        // As long as anything is taken from it.
        let mut asked = 0_u64;
        let message = lapwing::transport::Message::binary(crate::peer::bytes(&nonsense));
        loop {
            let sending = peer.send(message.clone());
            match futures_lite::future::or(async { Some(sending.await) }, async {
                world.sim.settle().await;
                None
            })
            .await
            {
                Some(Ok(())) => asked += 1,
                _ => break,
            }
            world.round_trip(&mut control).await;
        }
        // In both directions of the network, in the lane, in the turn that filled it; and what a transport of bytes
        // takes of answers that have ten bytes at least.
        let taken = match world.carrier.has_bytes() {
            true => lapwing_sockets::UNSENT_BYTES_MAX as u64 / 10,
            false => 0,
        };
        assert!((500..1_000 + taken).contains(&asked), "{asked}");
        let counters = world.hub.counters();
        assert!(counters.waiting_frames <= 64 + 64 + 1, "{counters:?}");
        let ending = ending(world, &mut control).await;
        assert_eq!(reason(ending), Some(CloseReason::Stalled));
    });
}

#[test]
fn who_floods_has_its_turn_and_no_more() {
    let limits = Limits {
        turn_frames_max: 16,
        ..Limits::default()
    };
    by_turns(limits, "x", 16);
    let limits = Limits {
        turn_bytes_max: 2_000,
        ..Limits::default()
    };
    by_turns(limits, &"x".repeat(500), 4);
}

/// Lets a peer publish without end, and looks how much of it is read while another one waits for an answer.
fn by_turns(limits: Limits, text: &str, a_turn: u64) {
    check(limits, async |world| {
        let mut reader = world.peer("reader").await;
        reader.subscribe(1, Policy::DropOldest, &["news"]).await;
        let mut control = world.peer("control").await;
        let mut flood = world.peer("flood").await;
        let message = crate::peer::bytes(&publish("news", text));
        world.sim.spawn_named("flood", async move {
            let message = lapwing::transport::Message::binary(message);
            while flood.send(message.clone()).await.is_ok() {}
        });
        let (mut read, mut most) = (0, 0);
        for _ in 0..100 {
            let before = world.hub.counters().frames_in;
            world.round_trip(&mut control).await;
            let meanwhile = world.hub.counters().frames_in - before;
            read += meanwhile;
            most = most.max(meanwhile);
        }
        assert!(read > 100, "it does flood");
        // The order of turns is random: some come before the other one's, by chance.
        assert!(read < 100 * 8 * a_turn, "{read}");
        assert!(most < 40 * a_turn, "{most}");
        world.network.cut("flood");
    });
}

#[test]
fn who_floods_while_it_is_told_to_go_holds_up_nobody() {
    check(Limits::default(), async |world| {
        let mut control = world.peer("control").await;
        let (mut flood, id) = world.known_peer("flood").await;
        world.sim.spawn_named("flood", async move {
            let message = crate::peer::bytes(&publish("news", "x"));
            let message = lapwing::transport::Message::binary(message);
            while flood.send(message.clone()).await.is_ok() {}
        });
        world.round_trip(&mut control).await;
        let began = world.sim.elapsed();
        world.hub.connection(id).close();
        world.round_trip(&mut control).await;
        // Time does not pass while it floods, so it is stopped in the middle of a goodbye.
        world.network.stall("flood");
        let ending = ending(world, &mut control).await;
        assert_eq!(reason(ending), Some(CloseReason::Kicked));
        assert_eq!(world.sim.elapsed() - began, Limits::default().closing);
        world.network.cut("flood");
    });
}
