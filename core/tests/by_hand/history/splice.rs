//! Where the past ends and the present begins nothing is missing, and nothing is heard twice.

use std::thread;

use futures_lite::future::{block_on, yield_now};
use lapwing::Hub;
use lapwing::limits::Rate;
use lapwing_memory::pair;

use crate::carrier::{Carrier, Valve};
use crate::world::check_orders;

use super::*;

/// What a subscriber heard: replays up to `Live`, and events from there on, without a hole.
fn assert_whole(heard: &[Heard], behind: u64) {
    let mut last = behind;
    let mut live = false;
    for heard in heard {
        match heard {
            H::Replay(..) => assert!(!live, "{heard:?} behind the present"),
            H::Event(..) => assert!(live, "{heard:?} before the present"),
            H::Live(_, offset) => {
                assert_eq!(*offset, last);
                live = true;
                continue;
            }
            H::Missed(..) => panic!("{heard:?}"),
        }
        let offset = offset_of(heard);
        assert_eq!(offset, last + 1, "behind {last}");
        last = offset;
    }
    assert!(live);
}

/// Hears up to the event with this offset, and up to the present.
async fn hear_to(peer: &mut Peer, end: u64) -> Vec<Heard> {
    let (mut all, mut live, mut last) = (Vec::new(), false, 0);
    while !live || last < end {
        let next = peer.until(heard).await;
        live |= matches!(next, H::Live(..));
        last = offset_of(&next).max(last);
        all.push(next);
    }
    all
}

/// Several publish while several subscribe from places that the dice choose.
#[test]
fn the_past_and_the_present_are_one_sequence() {
    const EVENTS: u64 = 120;
    const PUBLISHERS: u64 = 3;
    let limits = Limits {
        lane_frames_max: 256,
        ..Limits::default()
    };
    for carrier in Carrier::ALL {
        let seeds = if carrier == Carrier::Memory { 200 } else { 20 };
        let build = |_: &Virtual, builder| with(builder, ENDLESS, limits);
        check_orders(0..seeds, carrier, build, async |world| {
            for publisher in 0..PUBLISHERS {
                let mut peer = world.peer(&format!("publisher {publisher}")).await;
                world.sim.spawn_named("publisher", async move {
                    for _ in 0..EVENTS / PUBLISHERS {
                        peer.say(&crate::peer::publish("news/a", "x")).await;
                        yield_now().await;
                    }
                    peer.is_over().await;
                });
            }
            for reader in 0..4 {
                let mut peer = world.peer(&format!("reader {reader}")).await;
                let taken = peer.take(9, Start::Now, &["news/other"]).await;
                let (epoch, offset) = (taken.epoch, taken.newest / (reader + 1));
                let start = Start::Offset { epoch, offset };
                let filter = ["news/a", "news/*"][reader as usize % 2];
                peer.say(&from(1, None, start, &[filter])).await;
                world.sim.spawn_named("reader", async move {
                    let heard = hear_to(&mut peer, EVENTS).await;
                    assert_whole(&heard, offset);
                    peer.finish().await;
                });
            }
        });
    }
}

/// The same with threads: whoever comes to the present again and again while others publish misses nothing.
#[test]
fn no_event_is_lost_between_the_past_and_the_present() {
    const EVENTS: u64 = 20_000;
    let plenty = Rate {
        per_second: 1_000_000,
        burst: 1_000_000,
    };
    let limits = Limits {
        requests: plenty,
        lane_frames_max: 4 * EVENTS as u32,
        ..Limits::default()
    };
    let sim = Virtual::new(1);
    let hub = with(Hub::builder(sim.clone()), ENDLESS, limits);
    let hub = hub.build().expect("good filters");
    let (client, server) = pair(&sim.runtime());
    let attached = hub.attach(server);
    let driver = thread::spawn(move || block_on(attached));
    let reader = thread::spawn(move || {
        block_on(async {
            let mut peer = Peer::new(Box::new(client), Valve::default());
            peer.welcome(TERMS).await;
            let epoch = peer.take(1, Start::Now, &["news/none"]).await.epoch;
            let (mut last, mut rounds) = (0, 0);
            while last < EVENTS {
                rounds += 1;
                let start = Start::Offset {
                    epoch,
                    offset: last,
                };
                let filter = ["news/*", "news/**"][rounds % 2];
                peer.take(2, start, &[filter]).await;
                let heard = hear_to(&mut peer, (last + 10).min(EVENTS)).await;
                assert_whole(&heard, last);
                last = last.max(heard.iter().map(offset_of).max().unwrap_or(0));
                last = last.max(end(&mut peer, last).await);
            }
            rounds
        })
    });
    let publishers = ["news/a", "news/b"].map(|topic| {
        let hub = hub.clone();
        thread::spawn(move || {
            for _ in 0..EVENTS / 2 {
                hub.publish(topic, "x").expect("a good topic");
                thread::yield_now();
            }
        })
    });
    for publisher in publishers {
        publisher.join().expect("no panic");
    }
    let rounds = reader.join().expect("no panic");
    driver.join().expect("no panic");
    assert!(rounds > 10, "{rounds}");
}

/// Ends the subscription, and hears what comes before that, behind `last`; says the last offset.
async fn end(peer: &mut Peer, mut last: u64) -> u64 {
    peer.say(&Frame::Unsubscribe(Unsubscribe {
        receipt: 3,
        first: 2,
        count: 1,
    }))
    .await;
    loop {
        let next = |frame: Frame<'_>| match frame {
            Frame::Ack(_) => Some(None),
            frame => heard(frame).map(Some),
        };
        match peer.until(next).await {
            None => return last,
            Some(heard) => {
                assert_eq!(offset_of(&heard), last + 1);
                last += 1;
            }
        }
    }
}
