//! Times of quiet: everything that was wrong is taken back, and then everything has to be right.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lapwing::{ConnectionId, Hub};

use crate::book::Present;
use crate::flows;
use crate::host::USERS;
use crate::life::Life;
use crate::probes;
use crate::program::{publish, send_to_all};
use crate::report::add;
use crate::stream::Standing;
use crate::thief;
use crate::topics::{DIRECT, MINE, PUBLIC, members};
use crate::weather;
use crate::world::{Phase, World, lock};

/// The time in which all that is on slow paths has arrived, and slow readers have read what waits for them.
const READ_UP: Duration = Duration::from_millis(1_600);

/// Lets the storm pass and compares everything with the book.
pub(crate) async fn compare(world: &Arc<World>, clients: usize) {
    world.enter(Phase::Calm);
    weather::clear(world, clients);
    world.sim.sleep(READ_UP).await;
    everybody_is_back(world).await;
    let Some(hub) = world.hub() else { return };
    for topic in members(PUBLIC | MINE) {
        publish(world, &hub, topic, 16);
    }
    for topic in members(DIRECT) {
        send_to_all(world, &hub, topic);
    }
    // No time passes: what does not arrive now waits for something that nobody will do.
    world.sim.settle().await;
    add(&world.sums.calms, 1);
    for life in lives(world) {
        streams(world, &life);
        upstream(world, &life);
        accounts(world, &hub, &life);
    }
    registry(world, &hub);
    queues(world, &hub);
    flows::go_on(world).await;
    probes::clears(world, &hub).await;
    probes::bound(world, &hub).await;
    probes::overtakes(world, &hub).await;
    for life in lives(world) {
        if !is_here(world, &life) {
            continue;
        }
        thief::steal(world, &life).await;
    }
}

/// The clients that live now.
pub(crate) fn lives(world: &World) -> Vec<Arc<Life>> {
    let lives = lock(&world.lives);
    lives
        .values()
        .filter(|life| !life.is_over())
        .cloned()
        .collect()
}

/// Within the time in which a dead connection is found out, every client is online.
async fn everybody_is_back(world: &World) {
    let limits = &world.limits;
    let patience = limits.promise + limits.grace + limits.stall + limits.handshake * 2;
    let due = world.now() + patience + Duration::from_secs(3);
    loop {
        let is_away = |life: &Arc<Life>| !is_here(world, life);
        let away = lives(world).into_iter().find(is_away);
        let asking = lives(world).iter().any(|life| {
            let streams = life.streams();
            streams.iter().any(|one| one.standing() == Standing::Asked)
        });
        if away.is_none() && !asking || world.is_found() {
            return;
        }
        if world.is_late(due) {
            let who = away.map(|life| life.number);
            let what = format!("{who:?} is not back after {patience:?}, asking: {asking}");
            return world.find("deadline", what);
        }
        world.sim.sleep(Duration::from_millis(50)).await;
    }
}

/// Whether a client is online, and its hub knows.
pub(crate) fn is_here(world: &World, life: &Life) -> bool {
    let connection = life.client.connection().filter(|_| life.is_online());
    let known = |id| {
        world
            .hub()
            .is_some_and(|hub| hub.connection(id).is_connected())
    };
    connection.is_some_and(known)
}

/// All that was sent to a client, straight or on account of a subscription, has come or is counted.
pub(crate) fn streams(world: &World, life: &Life) {
    let connection = life.side.connection();
    if let Err(what) = lock(&life.direct).is_done(connection) {
        world.find("direct", format!("c{} at rest: {what}", life.number));
    }
    for stream in life.streams() {
        let mut state = lock(&stream.state);
        if state.standing != Standing::Active {
            continue;
        }
        let done = state.walk.is_done(&world.book());
        drop(state);
        if let Err(what) = done {
            let what = format!("c{} on {:?} at rest: {what}", life.number, stream.taste);
            world.find("stream", what);
        }
    }
}

/// What the hub has offered to each subscription is what the client has accounted for.
fn accounts(world: &World, hub: &Hub, life: &Life) {
    let Some(connection) = life.client.connection() else {
        return;
    };
    let active = life
        .streams()
        .into_iter()
        .map(|stream| lock(&stream.state).accounted);
    let mut accounted: Vec<_> = active.chain([life.client.accounted()]).collect();
    let offered = hub.connection(connection).offered();
    let mut counts: Vec<_> = offered.iter().map(|(_, count)| *count).collect();
    accounted.sort_unstable();
    counts.sort_unstable();
    if accounted != counts {
        let what = format!(
            "c{}: offered {offered:?}, accounted {accounted:?}",
            life.number
        );
        world.find("accounts", what);
    }
}

/// What a client has taken in this session, the hub has got.
fn upstream(world: &World, life: &Life) {
    let session = life.side.sessions();
    let mut sent = lock(&life.sent);
    let book = world.book();
    let lost = sent
        .iter()
        .find(|(id, since)| **since == session && book.place(**id).is_none());
    let lost = lost.map(|(id, _)| format!("c{}: {id} was taken and is lost", life.number));
    sent.clear();
    drop(book);
    if let Some(lost) = lost {
        world.find("upstream", lost);
    }
}

/// Who is here, as whom and in which groups, is what plain sets say.
fn registry(world: &World, hub: &Hub) {
    same(world, "everybody", hub.connections(), |_| true);
    for user in 0..USERS {
        let here = hub.connections_of(&user.to_string());
        same(world, &format!("user {user}"), here, |one| one.user == user);
    }
    let teams = (0..3).map(|team| format!("team/{team}"));
    for group in teams.chain((0..4).map(|room| format!("room/{room}"))) {
        let here = hub.members(&group);
        same(world, &group, here, |one| one.groups.contains(&group));
    }
}

/// Those are here of whom the book says so; who was let in and has not heard of it may be.
fn same(world: &World, what: &str, here: Vec<ConnectionId>, expected: impl Fn(&Present) -> bool) {
    let book = world.book();
    let here: BTreeSet<_> = here.into_iter().collect();
    let is_missing =
        |(id, one): &(&ConnectionId, &Present)| one.entered && expected(one) && !here.contains(*id);
    let missing = book.present.iter().find(is_missing).map(|(id, _)| *id);
    let is_too_many = |id: &&ConnectionId| !book.present.get(*id).is_some_and(&expected);
    let too_many = here.iter().find(is_too_many).copied();
    drop(book);
    if missing.is_some() || too_many.is_some() {
        let what = format!("{what}: {missing:?} is missing, {too_many:?} is too many");
        world.find("members", what);
    }
}

/// Nothing waits.
fn queues(world: &World, hub: &Hub) {
    let counters = hub.counters();
    if counters.detached == 0 && (counters.waiting_frames, counters.waiting_bytes) != (0, 0) {
        world.find("queues", format!("at rest: {counters:?}"));
    }
}

/// What has to hold at every moment.
pub(crate) fn bounds(world: &World, hub: &Hub) {
    let (limits, counters) = (&world.limits, hub.counters());
    let lanes = counters.connections;
    let frames_max = lanes * u64::from(limits.lane_frames_max + limits.answers_waiting_max);
    if counters.waiting_frames > frames_max || counters.held_bytes > limits.hub_bytes_max {
        world.find("bounds", format!("{counters:?}"));
    }
}

/// After a shutdown nobody is left, and nothing is kept for anybody.
pub(crate) fn nothing_is_left(world: &World, hub: &Hub) {
    let counters = hub.counters();
    let now = [
        counters.connections,
        counters.handshakes,
        counters.users,
        counters.groups,
        counters.subscriptions,
        counters.waiting_frames,
        counters.waiting_bytes,
        // What a stalled network has in flight is still the hub's.
        match world.phase() {
            Phase::Over => counters.held_bytes,
            _ => 0,
        },
    ];
    let present = world
        .book()
        .present
        .values()
        .filter(|one| one.entered)
        .count();
    if now != [0; 8] || present > 0 {
        world.find(
            "left",
            format!("{present} were not told to be gone: {counters:?}"),
        );
    }
    let gone: u64 = counters.disconnected.values().sum();
    if gone != counters.connected {
        world.find("left", format!("not everybody is gone once: {counters:?}"));
    }
}
