//! The memory transport keeps the rules of every transport, on a virtual runtime and on a real one.

use std::sync::Arc;

use lapwing::runtime::{Runtime, Smol};
use lapwing_conformance::{Report, Suite};
use lapwing_memory::{Network, Virtual};

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
