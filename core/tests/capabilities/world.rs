//! A virtual clock and a network that goes wrong on command, for promises about time.

use std::time::Duration;

use lapwing::client::ClientBuilder;
use lapwing::hub::{HubBuilder, Rule};
use lapwing::{Client, Hub};
use lapwing_memory::{Network, Virtual};

use crate::ground;

/// A test that takes longer hangs: nothing in here lasts for more than some hours.
const HANGS_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// The hub's name in the network.
pub(crate) const HUB: &str = "hub";

/// A virtual clock and a network that goes wrong on command.
pub(crate) struct World {
    pub(crate) sim: Virtual,
    pub(crate) network: Network,
}

impl World {
    /// Runs `test` in several worlds, each of which goes another way.
    pub(crate) fn check(test: impl AsyncFn(&Self)) {
        Virtual::check(0..20, async |sim| {
            let world = Self {
                network: Network::new(&sim.runtime()),
                sim,
            };
            ground::in_time(&world.sim, HANGS_AFTER, test(&world)).await;
        });
    }

    /// Begins to set up a hub where anyone may publish and subscribe anything.
    pub(crate) fn hub(&self) -> HubBuilder {
        Hub::builder(self.sim.runtime()).topic("**", Rule::open())
    }

    /// A hub that clients can connect to.
    pub(crate) fn serve(&self, hub: HubBuilder) -> Hub {
        let hub = hub.build().expect("good filters");
        let listener = self.network.listen(HUB).expect("the name is free");
        self.sim.spawn_named(HUB, hub.serve(listener));
        hub
    }

    /// Begins to describe a client whose path is known as `name`.
    pub(crate) fn client(&self, name: &str) -> ClientBuilder {
        Client::builder(self.sim.runtime(), self.network.connector(HUB).named(name))
    }

    /// A client that is online, whose path is known as `name`.
    pub(crate) async fn online(&self, name: &str) -> Client {
        ground::online(self.client(name)).await
    }

    /// The same for a client that begins anew after each loss, so that the hub does not wait for it.
    pub(crate) async fn forgetful(&self, name: &str) -> Client {
        ground::online(self.client(name).resume(false)).await
    }

    /// The time that `work` takes, with what comes of it.
    pub(crate) async fn timed<T>(&self, work: impl Future<Output = T>) -> (Duration, T) {
        let before = self.sim.elapsed();
        let done = work.await;
        (self.sim.elapsed() - before, done)
    }
}
