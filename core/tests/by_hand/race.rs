//! What only threads can show.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use futures_lite::future::block_on;
use lapwing::hub::Rule;
use lapwing::limits::Rate;
use lapwing::wire::{Frame, Outcome, Unsubscribe};
use lapwing::{Hub, Limits, Policy};
use lapwing_memory::{Virtual, pair};

use crate::carrier::Valve;
use crate::peer::{Peer, TERMS};

const EVENTS: u32 = 20_000;

/// Two subscriptions select each event, and the older one is replaced again and again: through one of them
/// every event is heard.
#[test]
fn no_event_is_lost_while_one_of_two_subscriptions_ends() {
    let sim = Virtual::new(1);
    let plenty = Rate {
        per_second: 1_000_000,
        burst: 1_000_000,
    };
    let limits = Limits {
        requests: plenty,
        lane_frames_max: 2 * EVENTS,
        ..Limits::default()
    };
    let hub = Hub::builder(sim.clone()).limits(limits);
    let hub = hub.topic("**", Rule::open()).build().expect("good filters");
    let (client, server) = pair(&sim.runtime());
    let attached = hub.attach(server);
    let driver = thread::spawn(move || block_on(attached));
    let done = Arc::new(AtomicBool::new(false));
    let (ready, is_ready) = std::sync::mpsc::channel();
    let replacing = {
        let done = done.clone();
        thread::spawn(move || {
            block_on(async {
                let mut peer = Peer::new(Box::new(client), Valve::default());
                peer.welcome(TERMS).await;
                peer.subscribe(1, Policy::Disconnect, &["news"]).await;
                let mut oldest = 1;
                while !done.load(Ordering::Relaxed) {
                    peer.subscribe(oldest + 1, Policy::Disconnect, &["news"])
                        .await;
                    let _ = ready.send(());
                    unsubscribe(&mut peer, oldest).await;
                    oldest += 1;
                }
                oldest
            })
        })
    };
    is_ready.recv().expect("it is subscribed twice");
    let lost = (0..EVENTS)
        .filter(|_| hub.publish("news", "x").expect("a good topic").queued != 1)
        .count();
    done.store(true, Ordering::Relaxed);
    let replaced = replacing.join().expect("no panic");
    driver.join().expect("no panic");
    assert_eq!(lost, 0, "{replaced} subscriptions were replaced meanwhile");
}

async fn unsubscribe(peer: &mut Peer, first: u32) {
    let (receipt, count) = (0, 1);
    peer.say(&Frame::Unsubscribe(Unsubscribe {
        receipt,
        first,
        count,
    }))
    .await;
    let ended = |frame: Frame<'_>| match frame {
        Frame::Ack(ack) => Some(ack.outcome),
        _ => None,
    };
    assert_eq!(peer.until(ended).await, Outcome::Unsubscribed);
}
