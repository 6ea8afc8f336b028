//! One run: a hub, twenty clients and sixty seconds, from one seed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use lapwing_memory::Virtual;

use crate::actor::Actor;
use crate::program::Program;
use crate::report::Sums;
use crate::weather::Weather;
use crate::world::{Phase, World, lock};
use crate::{host, quiet, weather};

const CLIENTS: usize = 20;

/// Storms of this length, each with a time of quiet behind it.
const STORM: Duration = Duration::from_secs(13);
const STORMS: usize = 4;

/// What a run came to.
pub(crate) struct Outcome {
    pub(crate) sums: Sums,
    pub(crate) trace: u64,
    /// The first thing that was wrong.
    pub(crate) finding: Option<String>,
}

pub(crate) fn play(seed: u64, diary: bool) -> Outcome {
    let sim = Virtual::new(seed);
    sim.set_threads(1 + seed as usize % 3);
    let world = World::new(sim.clone(), seed, diary);
    let run = catch_unwind(AssertUnwindSafe(|| sim.run(story(world.clone()))));
    let stuck = match run {
        Ok(Ok(())) => None,
        Ok(Err(stuck)) => Some(format!("stuck: {stuck}")),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
            Some(format!("panic: {}", text.unwrap_or_default()))
        }
    };
    host::end();
    let trace = world.trace_hash();
    // Ends what is left, which holds the world.
    drop(sim);
    let finding = world.book().finding().cloned().or(stuck);
    let mut sums = Sums::default();
    sums.add(&world.sums);
    lock(&world.lives).clear();
    lock(&world.hub).take();
    lock(&world.hub_sides).clear();
    lock(&world.flows).clear();
    Outcome {
        sums: std::mem::take(&mut sums),
        trace,
        finding,
    }
}

async fn story(world: Arc<World>) {
    host::start(&world);
    let actors = (0..CLIENTS).map(|number| Actor::new(&world, number));
    for (number, actor) in actors.enumerate() {
        world
            .sim
            .spawn_named(format!("c{number} acts"), actor.run());
    }
    let program = Program::new(&world);
    world.sim.spawn_named("program", program.run());
    let weather = Weather::new(&world, CLIENTS);
    world.sim.spawn_named("weather", weather.run());
    world.sim.spawn_named("inspector", inspect(world.clone()));
    for _ in 0..STORMS {
        world.enter(Phase::Storm);
        until_found(&world, STORM).await;
        if !world.is_found() {
            quiet::compare(&world, CLIENTS).await;
        }
    }
    if !world.is_found() {
        end(&world).await;
    }
}

async fn until_found(world: &World, time: Duration) {
    let until = world.now() + time;
    while world.now() < until && !world.is_found() {
        world.sim.sleep(Duration::from_millis(250)).await;
    }
}

/// Looks once a second at what has to hold at every moment.
async fn inspect(world: Arc<World>) {
    while world.phase() != Phase::Over {
        world.sim.sleep(Duration::from_secs(1)).await;
        host::serve(&world);
        let mut sides = lock(&world.hub_sides);
        sides.retain(|side| !side.is_gone());
        let overdue = sides.iter().find_map(|side| side.overdue());
        drop(sides);
        if let Some(what) = overdue {
            world.find("deadline", what);
        }
        if let Some(hub) = world.hub() {
            quiet::bounds(&world, &hub);
        }
    }
}

/// The hub says goodbye to everybody, then everybody goes: nothing may be left.
async fn end(world: &Arc<World>) {
    world.enter(Phase::Over);
    // Some are away, and may not be forgotten.
    for client in 0..CLIENTS / 4 {
        let client = format!("c{client}");
        world.network.partition(&client);
        world.network.cut(&client);
    }
    world.sim.sleep(Duration::from_millis(10)).await;
    if let Some(hub) = world.hub() {
        host::shut_down(world, &hub).await;
    }
    weather::clear(world, CLIENTS);
    for life in quiet::lives(world) {
        for stream in life.streams() {
            stream.stop();
        }
        life.client.close().await;
    }
    // Calls, slow handlers and what the weather still has in store.
    world.sim.sleep(Duration::from_secs(10)).await;
    world.sim.settle().await;
    let tasks = world.sim.tasks();
    if tasks != 0 {
        world.find("tasks", format!("{tasks} are left"));
    }
}
