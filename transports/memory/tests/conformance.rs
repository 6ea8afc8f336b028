//! The memory transport keeps the rules of every transport, on a virtual runtime and on a real one; and so do transports
//! made for sockets over its streams of bytes.

mod carriers;

use std::sync::Arc;
use std::time::Duration;

use futures_lite::AsyncWriteExt;
use lapwing::runtime::{Runtime, Smol};
use lapwing_conformance::{Report, Suite};
use lapwing_memory::{Network, Virtual};

use self::carriers::{Accepting, Carrier, Connecting};

/// Nothing is below it, and messages need no frames.
const SKIPPED: [&str; 3] = [
    "framed messages",
    "a cut at every byte",
    "an announced size",
];

async fn check(runtime: Arc<dyn Runtime>) -> Report {
    let network = Network::new(&runtime);
    let listener = network.listen("hub").expect("the name is free");
    Suite::new(&runtime, listener, network.connector("hub"))
        .check()
        .await
}

/// The same for a carrier over bytes, on a network that `spoil` has touched.
async fn check_over(runtime: Arc<dyn Runtime>, carrier: Carrier, spoil: fn(&Network)) -> Report {
    let network = Network::new(&runtime);
    spoil(&network);
    let listener = network.listen_bytes("hub").expect("the name is free");
    let connector = network.connector("hub");
    let suite = Suite::new(
        &runtime,
        Accepting(carrier, listener),
        Connecting(carrier, connector.clone()),
    );
    let write = move |bytes: Vec<u8>| {
        let connector = connector.clone();
        async move {
            let mut stream = connector.connect_bytes().await?;
            stream.write_all(&bytes).await
        }
    };
    match carrier {
        Carrier::Tcp => suite.raw(write).check().await,
        // What its raw bytes are, an upgrade has decided before.
        Carrier::WebSocket => suite.check().await,
    }
}

#[test]
fn on_a_virtual_runtime() {
    Virtual::check(0..5, async |sim| {
        let report = check(sim.runtime()).await;
        assert_eq!(report.skipped, SKIPPED);
    });
}

#[test]
fn on_smol() {
    let smol = Smol::new();
    let report = smol.block_on(check(Arc::new(smol.clone())));
    assert_eq!(report.skipped, SKIPPED);
}

#[test]
fn tcp_over_bytes() {
    Virtual::check(0..3, async |sim| {
        let report = check_over(sim.runtime(), Carrier::Tcp, |_| {}).await;
        assert_eq!(report.skipped, [""; 0]);
    });
}

#[test]
fn tcp_over_small_pieces_that_take_their_time() {
    Virtual::check(0..1, async |sim| {
        let spoil = |network: &Network| {
            network.trickle("client", 1_009, Duration::ZERO);
            network.delay("client", Duration::from_millis(2));
        };
        let report = check_over(sim.runtime(), Carrier::Tcp, spoil).await;
        assert_eq!(report.skipped, [""; 0]);
    });
}

#[test]
fn websocket_over_bytes() {
    Virtual::check(0..3, async |sim| {
        let report = check_over(sim.runtime(), Carrier::WebSocket, |_| {}).await;
        assert_eq!(report.skipped, SKIPPED[1..]);
    });
}

#[test]
fn tcp_over_bytes_on_smol() {
    let smol = Smol::new();
    let report = smol.block_on(check_over(Arc::new(smol.clone()), Carrier::Tcp, |_| {}));
    assert_eq!(report.skipped, [""; 0]);
}
