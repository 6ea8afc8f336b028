//! What every transport must do, as one call in a test of its crate.
//!
//! ```text
//!   Connector ──► client's end ═══ messages ═══ hub's end ◄── Listener
//!                      └──────── rules ────────────┘
//! ```
//!
//! ```
//! use lapwing_conformance::Suite;
//! use lapwing_memory::{Network, Virtual};
//!
//! let sim = Virtual::new(7);
//! let runtime = sim.runtime();
//! let network = Network::new(&runtime);
//! let listener = network.listen("hub")?;
//!
//! let report = sim.run(Suite::new(&runtime, listener, network.connector("hub")).check())?;
//! assert_eq!(report.skipped, ["framed messages", "a cut at every byte", "an announced size"]);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! The rules are those of [`lapwing::transport::Transport`] and its two factories: order, boundaries, back-pressure,
//! half-close, refusals, cancellation, wake-ups, and with [`Suite::raw`] bytes that end anywhere. A rule that is broken
//! panics with its name; a transport that hangs is stopped after a minute per rule. No rule waits for time to pass.
//!
//! Not checked: speed, encryption, and what a network does to a transport's own handshake. No features.

mod end;
mod ground;
mod report;
mod rules;
mod suite;
mod waking;

pub use self::report::Report;
pub use self::suite::Suite;
