//! What is tried in times of quiet: the way to one client is made bad in one manner, and nothing else happens.

use std::sync::Arc;
use std::time::Duration;

use lapwing::Hub;
use lapwing::wire::Start;
use lapwing_memory::Path;

use crate::program::{publish, send_to};
use crate::quiet::{is_here, lives, streams};
use crate::stream::{Stream, Taste};
use crate::topics::{members, selected};
use crate::world::{World, lock};

/// Events of a thousand bytes: a few more than a way holds, and not as many as a lane holds beside it.
const ON_THE_WAY: usize = 66;

/// What waits for a client leaves as soon as there is room on the way to it, though nobody says anything more.
pub(crate) async fn clears(world: &World, hub: &Hub) {
    let lives = lives(world);
    let Some(life) = lives.get(world.dice().usize(..lives.len().max(1))) else {
        return;
    };
    let Some(connection) = life.client.connection() else {
        return;
    };
    let (client, delay) = (format!("c{}", life.number), Duration::from_millis(50));
    world.network.delay(Path::to_client(&client), delay);
    // A word of the client would have the hub look again.
    world.network.stall(Path::to_hub(&client));
    for _ in 0..ON_THE_WAY {
        send_to(world, hub, connection);
        world.sim.settle().await;
    }
    world.sim.sleep(delay * 2).await;
    world.sim.settle().await;
    let done = lock(&life.direct).is_done(Some(connection));
    let is_here = is_here(world, life) && life.client.connection() == Some(connection);
    if let Some(what) = done.err().filter(|_| is_here) {
        world.find("wakes", format!("{client} has a clear way: {what}"));
    }
    world.network.calm(&client);
    // What is on its way is overtaken by nothing.
    world.sim.sleep(delay).await;
    world.sim.settle().await;
}

/// Fills the lane of one client, which may not hold more than it may.
pub(crate) async fn bound(world: &World, hub: &Hub) {
    let max = u64::from(world.limits.lane_frames_max);
    let lives = lives(world);
    let Some(life) = lives.get(world.dice().usize(..lives.len().max(1))) else {
        return;
    };
    let client = format!("c{}", life.number);
    let heard = life.streams();
    let wanted = heard.iter().map(|stream| selected(stream.taste.filter));
    let topics: Vec<_> = members(wanted.fold(0, |all, topics| all | topics)).collect();
    let counters = hub.counters();
    let alone = counters.detached == 0 && counters.connections == lives.len() as u64;
    if topics.is_empty() || max > 64 || !alone {
        return;
    }
    world.network.stall(Path::to_client(&client));
    for number in 0..max as usize + 8 {
        publish(world, hub, topics[number % topics.len()], 16);
        world.sim.settle().await;
        let waiting = hub.counters().waiting_frames;
        if waiting > max {
            world.find(
                "bounds",
                format!("{waiting} frames wait for {client}, {max} may"),
            );
            break;
        }
    }
    world.network.calm(&client);
    // Nobody publishes any more: what waits has to leave by itself.
    world.sim.settle().await;
    if is_here(world, life) {
        streams(world, life);
    }
}

/// Lets a client with a full lane ask for a value, of which a newer one is published before there is room for it.
pub(crate) async fn overtakes(world: &Arc<World>, hub: &Hub) {
    let taste = Taste {
        filter: "log/0",
        policy: None,
        capacity: 256,
        pause: Duration::ZERO,
        start: Start::Retained,
        place: None,
    };
    let lives = lives(world);
    let Some(life) = lives.get(world.dice().usize(..lives.len().max(1))) else {
        return;
    };
    let hears = |stream: &Arc<Stream>| selected(stream.taste.filter) & selected(taste.filter) != 0;
    let Some(connection) = life.client.connection() else {
        return;
    };
    if life.streams().iter().any(hears) {
        return;
    }
    let client = format!("c{}", life.number);
    world.network.stall(Path::to_client(&client));
    for _ in 0..2 * ON_THE_WAY {
        let counters = hub.counters();
        let half = (counters.waiting_bytes * 2, counters.waiting_frames * 2);
        if half.0 > world.limits.lane_bytes_max.into()
            || half.1 > world.limits.lane_frames_max.into()
        {
            break;
        }
        send_to(world, hub, connection);
        world.sim.settle().await;
    }
    life.subscribe(world, taste);
    world.sim.settle().await;
    for topic in members(selected(taste.filter)) {
        publish(world, hub, topic, 16);
    }
    world.network.calm(&client);
    world.sim.settle().await;
    if is_here(world, life) {
        streams(world, life);
    }
}
