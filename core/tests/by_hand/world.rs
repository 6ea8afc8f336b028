//! A hub in virtual time, and what must be true of it when everybody has gone.

use std::collections::BTreeSet;
use std::future::pending;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lapwing::hub::{Gone, HubBuilder, Rule};
use lapwing::session::Ending;
use lapwing::transport::{Connector as _, Transport};
use lapwing::wire::CloseReason;
use lapwing::{CallFailure, ConnectionId, Hub, Limits};
use lapwing_memory::{Network, Path, Virtual};

use crate::carrier::{Carrier, Valve};
use crate::peer::{Peer, TERMS};

/// Time in which every peer that does not speak has been found out.
const LONG: Duration = Duration::from_secs(2 * 3_600);

pub(crate) struct World {
    pub(crate) carrier: Carrier,
    pub(crate) sim: Virtual,
    pub(crate) network: Network,
    pub(crate) hub: Hub,
    gone: Arc<Mutex<Vec<Gone>>>,
}

/// Runs `test` against a hub with these limits over every carrier, in many orders; then nothing may be left of it.
pub(crate) fn check(limits: Limits, test: impl AsyncFn(&World)) {
    check_with(|_, builder| builder.limits(limits), test);
}

/// The same for what is so over these only.
pub(crate) fn check_over(carriers: &[Carrier], limits: Limits, test: impl AsyncFn(&World)) {
    check_over_with(carriers, |_, builder| builder.limits(limits), test);
}

/// The same for a hub that is set up by `build`.
pub(crate) fn check_with(
    build: impl Fn(&Virtual, HubBuilder) -> HubBuilder,
    test: impl AsyncFn(&World),
) {
    check_over_with(&Carrier::ALL, build, test);
}

/// The same for what takes so long that a few orders must do.
pub(crate) fn check_seeds(
    seeds: Range<u64>,
    carrier: Carrier,
    limits: Limits,
    test: impl AsyncFn(&World),
) {
    check_orders(seeds, carrier, |_, builder| builder.limits(limits), test);
}

pub(crate) fn check_over_with(
    carriers: &[Carrier],
    build: impl Fn(&Virtual, HubBuilder) -> HubBuilder,
    test: impl AsyncFn(&World),
) {
    for &carrier in carriers {
        // What an order changes shows without bytes between.
        let seeds = if carrier == Carrier::Memory { 10 } else { 3 };
        check_orders(0..seeds, carrier, &build, &test);
    }
}

/// The same for a hub that is set up by `build`.
pub(crate) fn check_orders(
    seeds: Range<u64>,
    carrier: Carrier,
    build: impl Fn(&Virtual, HubBuilder) -> HubBuilder,
    test: impl AsyncFn(&World),
) {
    Virtual::check(seeds, async |sim| {
        sim.set_threads(1 + sim.seed() as usize % 2);
        let world = World::new(carrier, sim, &build);
        test(&world).await;
        world.everything_is_back().await;
    });
}

impl World {
    fn new(
        carrier: Carrier,
        sim: Virtual,
        build: impl Fn(&Virtual, HubBuilder) -> HubBuilder,
    ) -> Self {
        let network = Network::new(&sim);
        let gone = Arc::new(Mutex::new(Vec::new()));
        let told = gone.clone();
        let builder = Hub::builder(sim.clone())
            .topic("closed/**", Rule::closed())
            .topic("small", Rule::open().payload_bytes_max(3))
            .on_call("echo", |_, text: String| async move { Ok(text) })
            .on_call("never", |_, ()| pending::<Result<(), CallFailure>>())
            .on_disconnect(move |gone| told.lock().expect("no panic").push(gone));
        // Behind those of the test, which may be about some topics.
        let builder = build(&sim, builder).topic("**", Rule::open());
        let hub = builder.build().expect("good filters");
        let listener = network.listen("hub").expect("the name is free");
        sim.spawn_named("serve", hub.serve(carrier.listener(listener)));
        Self {
            carrier,
            sim,
            network,
            hub,
            gone,
        }
    }

    /// The tasks of the hub itself while it has many connections: one that serves, and one for each other thread that writes.
    pub(crate) fn own_tasks(&self) -> usize {
        self.sim.runtime().threads()
    }

    /// A connection, before its hello.
    pub(crate) async fn connect(&self, name: &str) -> Peer {
        let connected = self.try_connect(name).await;
        connected.expect("the hub answers")
    }

    /// The same, when it may be refused before its upgrade.
    pub(crate) async fn try_connect(&self, name: &str) -> io::Result<Peer> {
        let valve = Valve::default();
        let transport = self.carrier.connect(self.dial(name).await, valve.clone());
        Ok(Peer::new(transport.await?, valve))
    }

    /// The network's end of a connection.
    pub(crate) async fn dial(&self, name: &str) -> Box<dyn Transport> {
        let mut connector = self.network.connector("hub").named(name);
        connector.connect().await.expect("the hub listens")
    }

    /// A connection that the hub has let in.
    pub(crate) async fn peer(&self, name: &str) -> Peer {
        self.known_peer(name).await.0
    }

    pub(crate) async fn known_peer(&self, name: &str) -> (Peer, ConnectionId) {
        let mut peer = self.connect(name).await;
        let id = peer.welcome(TERMS).await;
        (peer, id)
    }

    /// Calls through a connection that does nothing wrong: it may not notice what others do.
    pub(crate) async fn round_trip(&self, control: &mut Peer) {
        let before = self.sim.elapsed();
        control.call(7, "echo").await;
        assert_eq!(control.answer().await, (7, Ok(b"echo".to_vec())));
        assert_eq!(self.sim.elapsed(), before, "somebody else was in the way");
    }

    /// Lets nothing get through to a client; its transport has taken all that it takes, as one event.
    pub(crate) async fn plug(&self, name: &str, id: ConnectionId) {
        self.network.stall(Path::to_client(name));
        let plug = "x".repeat(lapwing_sockets::UNSENT_BYTES_MAX);
        let sent = self.hub.connection(id).send("plug", plug);
        sent.expect("it is here");
        self.sim.settle().await;
        assert_eq!(self.hub.counters().waiting_frames, 0);
    }

    pub(crate) async fn pass(&self, time: Duration) {
        self.sim.sleep(time).await;
        self.sim.settle().await;
    }

    /// How each connection that was let in has ended, in that order.
    pub(crate) fn endings(&self) -> Vec<Ending> {
        let gone = self.gone.lock().expect("no panic");
        gone.iter().map(|gone| gone.ending).collect()
    }

    /// Why the hub ended the one connection that it has ended.
    pub(crate) fn reason(&self) -> CloseReason {
        match self.endings()[..] {
            [Ending::ByUs(close)] => close.reason,
            ref other => panic!("{other:?}"),
        }
    }

    /// What was, before anybody came, is so again.
    async fn everything_is_back(&self) {
        let began = self.sim.elapsed();
        while self.sim.tasks() > 1 {
            assert!(
                self.sim.elapsed() < began + LONG,
                "somebody stays for ever: {:?}",
                self.hub.counters()
            );
            self.pass(Duration::from_secs(1)).await;
        }
        let counters = self.hub.counters();
        let now = [
            counters.connections,
            counters.handshakes,
            counters.users,
            counters.groups,
            counters.subscriptions,
            counters.waiting_frames,
            counters.waiting_bytes,
            counters.held_bytes,
        ];
        assert_eq!(now, [0; 8], "{counters:?}");
        let gone = self.gone.lock().expect("no panic");
        let disconnected: u64 = counters.disconnected.values().sum();
        assert_eq!(disconnected, counters.connected);
        assert_eq!(gone.len() as u64, counters.connected, "told once of each");
        let ids: BTreeSet<_> = gone
            .iter()
            .map(|gone| *gone.connection.as_bytes())
            .collect();
        assert_eq!(ids.len(), gone.len(), "and of each one");
    }
}
