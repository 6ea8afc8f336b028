//! Where a test runs: a runtime, and a wire between hub and clients.

use std::future::{Future, poll_fn};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;
use lapwing::client::ClientBuilder;
use lapwing::hub::{HubBuilder, Rule};
use lapwing::runtime::{Runtime, Smol, Tokio};
use lapwing::transport::Listener;
use lapwing::{Client, Hub};
use lapwing_memory::{Network, Virtual};

/// A test that takes longer hangs: an hour for a clock that jumps, and no machine is that slow otherwise.
const HANGS_AFTER: Duration = Duration::from_secs(3_600);
const HANGS_AFTER_REALLY: Duration = Duration::from_secs(120);

/// How long what should come soon may take: never reached but by a test that fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at a condition that nobody announces.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Makes four tests of each promise, an `async fn(Ground)`: one for each place where it has to hold.
macro_rules! everywhere {
    ($($promise:ident),* $(,)?) => { $(
        mod $promise {
            use crate::ground;

            #[test]
            fn on_virtual_time() {
                ground::on_virtual_time(super::$promise);
            }

            #[test]
            fn on_smol() {
                ground::on_smol(super::$promise);
            }

            #[test]
            fn on_tokio_with_one_thread() {
                ground::on_tokio_with_one_thread(super::$promise);
            }

            #[test]
            fn on_tokio_with_many_threads() {
                ground::on_tokio_with_many_threads(super::$promise);
            }
        }
    )* };
}

pub(crate) fn on_virtual_time(promise: impl AsyncFn(Ground)) {
    Virtual::check(0..10, async |sim| {
        let wire = Wire::Memory(Network::new(&sim.runtime()));
        let ground = Ground::new(sim.runtime(), wire);
        in_time(&sim, HANGS_AFTER, promise(ground)).await;
    });
}

pub(crate) fn on_smol(promise: impl AsyncFn(Ground)) {
    let smol = Smol::new();
    let ground = Ground::smol(&smol);
    smol.block_on(in_time(&smol, HANGS_AFTER_REALLY, promise(ground)));
}

pub(crate) fn on_tokio_with_one_thread(promise: impl AsyncFn(Ground)) {
    on_tokio(tokio::runtime::Builder::new_current_thread(), promise);
}

pub(crate) fn on_tokio_with_many_threads(promise: impl AsyncFn(Ground)) {
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    threads.worker_threads(4);
    on_tokio(threads, promise);
}

fn on_tokio(mut builder: tokio::runtime::Builder, promise: impl AsyncFn(Ground)) {
    let threads = builder.enable_all().build().expect("threads start");
    let tokio = Tokio::new(threads.handle().clone());
    let ground = Ground::tokio(&tokio);
    threads.block_on(in_time(&tokio, HANGS_AFTER_REALLY, promise(ground)));
}

/// Runs `test`; panics when it hangs.
pub(crate) async fn in_time<T>(
    runtime: &dyn Runtime,
    hangs_after: Duration,
    test: impl Future<Output = T>,
) -> T {
    let hangs = async {
        sleep(runtime, hangs_after).await;
        panic!("the test hangs");
    };
    future::or(test, hangs).await
}

pub(crate) async fn sleep(runtime: &dyn Runtime, duration: Duration) {
    let mut timer = runtime.timer();
    timer.arm(runtime.now() + duration);
    poll_fn(|cx| timer.poll_fired(cx)).await;
}

/// A runtime, and a wire between hub and clients.
pub(crate) struct Ground {
    runtime: Arc<dyn Runtime>,
    wire: Wire,
}

enum Wire {
    Memory(Network),
    Smol,
    Tokio(Tokio),
}

impl Ground {
    fn new(runtime: Arc<dyn Runtime>, wire: Wire) -> Self {
        Self { runtime, wire }
    }

    /// TCP on smol.
    pub(crate) fn smol(smol: &Smol) -> Self {
        Self::new(Arc::new(smol.clone()), Wire::Smol)
    }

    /// TCP on tokio.
    pub(crate) fn tokio(tokio: &Tokio) -> Self {
        Self::new(Arc::new(tokio.clone()), Wire::Tokio(tokio.clone()))
    }

    pub(crate) fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.runtime
    }

    /// Begins to set up a hub that has no rules yet.
    pub(crate) fn hub(&self) -> HubBuilder {
        Hub::builder(self.runtime.clone())
    }

    /// A hub where anyone may publish and subscribe anything, and where to find it.
    pub(crate) async fn open_hub(&self) -> (Hub, String) {
        self.served(self.hub().topic("**", Rule::open())).await
    }

    /// The hub as it was set up, and where to find it.
    pub(crate) async fn served(&self, hub: HubBuilder) -> (Hub, String) {
        let hub = hub.build().expect("good filters");
        let url = self.serve(&hub).await;
        (hub, url)
    }

    /// Lets clients connect to `hub`; says where.
    pub(crate) async fn serve(&self, hub: &Hub) -> String {
        match self.wire {
            Wire::Memory(_) => self.serve_at(hub, "memory://hub").await,
            Wire::Smol | Wire::Tokio(_) => self.serve_at(hub, "tcp://127.0.0.1:0").await,
        }
    }

    /// Lets clients connect to `hub` at `url`; says where that is when the system chose.
    pub(crate) async fn serve_at(&self, hub: &Hub, url: &str) -> String {
        match &self.wire {
            Wire::Memory(network) => {
                let listen = async || network.listen(name(url));
                self.spawn_serve(hub, self.free(listen).await)
            }
            Wire::Smol => {
                let listen = async || lapwing_tcp::smol::listen(url).await;
                self.spawn_serve(hub, self.free(listen).await)
            }
            Wire::Tokio(tokio) => {
                let listen = async || lapwing_tcp::tokio::listen(tokio, url).await;
                self.spawn_serve(hub, self.free(listen).await)
            }
        }
    }

    /// Listens as soon as the place is free: a hub that has shut down leaves it when its `serve` has a turn.
    async fn free<L>(&self, listen: impl AsyncFn() -> io::Result<L>) -> L {
        loop {
            match listen().await {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    sleep(&*self.runtime, LOOK_AGAIN).await;
                }
                listening => return listening.expect("a place to listen"),
            }
        }
    }

    fn spawn_serve(&self, hub: &Hub, listener: impl Listener + 'static) -> String {
        let url = listener.url();
        self.runtime.spawn(Box::pin(hub.serve(listener)));
        url
    }

    /// Begins to describe a client of the hub at `url`.
    pub(crate) fn client(&self, url: &str) -> ClientBuilder {
        let runtime = self.runtime.clone();
        match &self.wire {
            Wire::Memory(network) => Client::builder(runtime, network.connector(name(url))),
            Wire::Smol => Client::builder(runtime, lapwing_tcp::smol::connect(url)),
            Wire::Tokio(tokio) => Client::builder(runtime, lapwing_tcp::tokio::connect(tokio, url)),
        }
    }

    /// A client of the hub at `url` that is online.
    pub(crate) async fn online(&self, url: &str) -> Client {
        online(self.client(url)).await
    }

    /// Waits for a condition that nobody announces.
    pub(crate) async fn until(&self, mut condition: impl FnMut() -> bool) {
        while !condition() {
            sleep(&*self.runtime, LOOK_AGAIN).await;
        }
    }
}

/// The client, when it is online.
pub(crate) async fn online(client: ClientBuilder) -> Client {
    let client = client.spawned();
    client.online().await.expect("the hub lets it in");
    client
}

fn name(url: &str) -> &str {
    url.strip_prefix("memory://").unwrap_or(url)
}
