//! A hub in virtual time, for pages and for clients.

use std::time::Duration;

use futures_lite::stream::{self, StreamExt};
use lapwing::client::ClientBuilder;
use lapwing::hub::{HubBuilder, Rule};
use lapwing::protocol::Json;
use lapwing::transport::Transport;
use lapwing::{CallFailure, Client, Hub, Typed};
use lapwing_memory::{Network, Virtual, pair};

use crate::page::{Below, Page, Upgraded};

pub(crate) struct World {
    pub(crate) sim: Virtual,
    pub(crate) hub: Hub,
    network: Network,
}

/// Runs `test` against a hub that allows everything but secrets, in many orders.
pub(crate) fn check(test: impl AsyncFn(&World)) {
    check_with(|builder| builder, test);
}

/// The same for a hub that `build` sets up further.
pub(crate) fn check_with(build: impl Fn(HubBuilder) -> HubBuilder, test: impl AsyncFn(&World)) {
    Virtual::check(0..10, async |sim| {
        let builder = Hub::builder(sim.runtime())
            .topic("secret/**", Rule::closed())
            .on_stream("count", |_, Typed(to): Typed<u64>| {
                stream::iter(0..to).map(|number| Ok(Typed(number)))
            })
            .on_call("add", async |_, Typed((a, b)): Typed<(i64, i64)>| {
                Ok(Typed(a + b))
            })
            .on_call("echo", async |_, text: String| Ok::<_, CallFailure>(text));
        let hub = build(builder)
            .topic("**", Rule::open())
            .build()
            .expect("good filters");
        let network = Network::new(&sim.runtime());
        sim.spawn_named(
            "hub",
            hub.serve(network.listen("hub").expect("a free name")),
        );
        test(&World { sim, hub, network }).await;
    });
}

impl World {
    /// A client of the native protocol.
    pub(crate) async fn postcard(&self) -> Client {
        online(self.client("postcard")).await
    }

    /// A client that speaks JSON.
    pub(crate) async fn json(&self) -> Client {
        online(self.json_client()).await
    }

    pub(crate) fn json_client(&self) -> ClientBuilder {
        self.client("json").protocol(Json)
    }

    pub(crate) fn client(&self, name: &str) -> ClientBuilder {
        Client::builder(
            self.sim.runtime(),
            self.network.connector("hub").named(name),
        )
    }

    /// A page that has come by an upgrade for JSON with this query, and has said nothing yet.
    pub(crate) fn upgrade(&self, query: &[(&str, &str)]) -> Page {
        let (page, hub) = pair(&self.sim.runtime());
        let upgraded = Upgraded::new(hub, query);
        let below = upgraded.below();
        self.attach(upgraded);
        Page::new(page, below)
    }

    /// Who speaks JSON over a transport without an upgrade.
    pub(crate) fn plain(&self) -> Page {
        let (page, hub) = pair(&self.sim.runtime());
        self.attach(hub);
        Page::new(page, Below::default())
    }

    fn attach(&self, transport: impl Transport + 'static) {
        let attached = self.hub.attach(transport);
        self.sim.spawn_named("page", async move {
            attached.await;
        });
    }

    /// A page that was let in.
    pub(crate) async fn page(&self) -> Page {
        let mut page = self.upgrade(&[]);
        page.welcome().await;
        page
    }

    pub(crate) async fn pass(&self, time: Duration) {
        self.sim.sleep(time).await;
        self.sim.settle().await;
    }
}

pub(crate) async fn online(client: ClientBuilder) -> Client {
    let client = client.spawned();
    client.online().await.expect("the hub lets it in");
    client
}
