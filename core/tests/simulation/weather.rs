//! What goes wrong, and when: drawn from the dice, one fault after the other.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use lapwing_memory::Path;

use crate::host;
use crate::report::add;
use crate::world::{Phase, World};

pub(crate) struct Weather {
    world: Arc<World>,
    dice: Rng,
    clients: usize,
    /// In this world the hub crashes now and then.
    crashes: bool,
    /// In this world the hub is replaced by another one, once.
    renews: bool,
    /// In this world the clock leaps now and then.
    jumps: bool,
}

impl Weather {
    pub(crate) fn new(world: &Arc<World>, clients: usize) -> Self {
        let mut dice = world.dice();
        Self {
            world: world.clone(),
            crashes: dice.u8(..4) == 0,
            renews: dice.u8(..4) == 0,
            jumps: dice.u8(..4) == 0,
            dice,
            clients,
        }
    }

    /// Goes on until the world is over.
    pub(crate) async fn run(mut self) {
        while self.world.phase() != Phase::Over {
            let pause = Duration::from_millis(self.dice.u64(100..1_200));
            self.world.sim.sleep(pause).await;
            if self.world.phase() == Phase::Storm {
                self.strike();
            }
        }
    }

    fn strike(&mut self) {
        let (network, sums) = (self.world.network.clone(), &self.world.sums);
        let client = format!("c{}", self.dice.usize(..self.clients));
        let way = match self.dice.u8(..3) {
            0 => Path::to_hub(&client),
            1 => Path::to_client(&client),
            _ => Path::from(client.as_str()),
        };
        self.world.note(|| format!("weather for {way:?}"));
        match self.dice.u32(..1_000) {
            0..250 => {
                add(&sums.cuts, 1);
                network.cut(&client);
            }
            250..300 => {
                add(&sums.cuts, 1);
                // Of messages or of bytes.
                network.cut_after(way, 1 << self.dice.u64(0..12));
            }
            300..450 => {
                add(&sums.half_open, 1);
                network.half_open(&client);
            }
            450..600 => {
                add(&sums.slow_paths, 1);
                network.delay(way, self.delay());
            }
            600..640 => {
                add(&sums.slow_paths, 1);
                let pause = Duration::from_millis(self.dice.u64(0..20));
                network.trickle(way, 1 << self.dice.usize(0..8), pause);
                self.later(client, |world, client| world.network.resume(client));
            }
            640..680 => {
                add(&sums.stalls, 1);
                network.stall(way);
                self.later(client, |world, client| world.network.resume(client));
            }
            680..720 => {
                add(&sums.stalls, 1);
                network.stall_within_message(way);
                self.later(client, |world, client| world.network.resume(client));
            }
            720..800 => {
                add(&sums.partitions, 1);
                network.partition(&client);
                self.later(client, |world, client| world.network.heal(client));
            }
            800..830 if self.jumps => self.jump(),
            830..845 if self.crashes => host::restart(&self.world),
            845..870 if self.renews => self.renew(),
            870..900 => {
                let dropped = self.world.drop_task_of_hub();
                add(&sums.drops, dropped.into());
            }
            _ => {}
        }
    }

    /// Mostly short, sometimes very long.
    fn delay(&mut self) -> Duration {
        let exponent: f64 = (0..4).map(|_| self.dice.f64()).sum();
        Duration::from_micros((20.0 * (exponent * 2.7).exp()) as u64)
    }

    fn jump(&mut self) {
        add(&self.world.sums.jumps, 1);
        self.world
            .jump(Duration::from_millis(self.dice.u64(100..9_000)));
    }

    fn renew(&mut self) {
        self.renews = false;
        let world = self.world.clone();
        let renewed = async move { host::renew(&world).await };
        self.world.sim.spawn_named("the hub is replaced", renewed);
    }

    /// Takes a fault back after a while.
    fn later(&mut self, client: String, heal: fn(&World, &str)) {
        let after = Duration::from_millis(self.dice.u64(100..9_000));
        let world = self.world.clone();
        self.world.sim.spawn_named("weather clears", async move {
            world.sim.sleep(after).await;
            heal(&world, &client);
        });
    }
}

/// Takes back whatever is wrong on the ways between clients and hub.
pub(crate) fn clear(world: &World, clients: usize) {
    for client in 0..clients {
        let client = format!("c{client}");
        world.network.calm(&client);
    }
}
