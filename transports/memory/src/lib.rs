//! Two ends of a connection in one process, a network that goes wrong on command or as a seed draws it, and a runtime in which an
//! hour of it takes a moment and repeats.
//!
//! ```text
//!   Process "phone"                                 Process "hub": kill, vanish,
//!   Connector ──┐ path "phone": delay, trickle, ┌── Listener "hub"  pause, drop_one
//!    "phone"    └── stall, partition, cut, … ───┘
//!                     ▲ Weather
//!  ─────────────────────────────────────────────────────────────────────────────
//!   Virtual: the clock jumps, the seed picks the next task and rolls the dice
//! ```
//!
//! ```
//! use std::future::poll_fn;
//! use std::time::Duration;
//! use lapwing::transport::{Connector as _, Incoming, Listener as _, Message, Outgoing};
//! use lapwing_memory::{Network, Path, Virtual};
//!
//! Virtual::check(0..20, async |sim| {
//!     let network = Network::new(&sim.runtime());
//!     let mut listener = network.listen("hub").expect("the name is free");
//!     let mut phone = network.connector("hub").named("phone").connect().await.expect("somebody listens");
//!     let mut peer = listener.accept().await.expect("somebody connected");
//!
//!     network.delay(Path::to_hub("phone"), Duration::from_secs(3600));
//!     poll_fn(|cx| phone.poll_ready(cx)).await.expect("nothing is cut");
//!     phone.start_send(Outgoing::Message(Message::binary("hello"))).expect("nothing is cut");
//!     let heard = poll_fn(|cx| peer.poll_recv(cx)).await.expect("nothing is cut");
//!
//!     assert_eq!(heard, Incoming::Message(Message::binary("hello")));
//!     assert_eq!(sim.elapsed(), Duration::from_secs(3600));
//! });
//! ```
//!
//! Messages travel between transports ([`Memory`]), or bytes between streams ([`ByteStream`]) on which transports made for sockets run.
//! [`Network`], its ends, [`Weather`] and [`pair`] work on every runtime; only a [`Virtual`] one makes them repeat. How to test a whole application
//! with it: `docs/testing.md` in the repository. What it does not do: disks, loss or reordering of messages within a connection (a
//! transport has none of these), and threads, sockets and clocks outside of it. No features.

mod bytes;
mod connector;
mod crash;
mod direction;
mod end;
mod flight;
mod link;
mod listener;
mod memory;
mod network;
mod path;
mod runtime;
mod toll;
mod weather;

pub use self::bytes::ByteStream;
pub use self::connector::Connector;
pub use self::listener::{ByteListener, Listener};
pub use self::memory::{Memory, pair};
pub use self::network::Network;
pub use self::path::Path;
pub use self::runtime::{Parked, Process, Stuck, Virtual, labelled, note, waiting};
pub use self::toll::Traffic;
pub use self::weather::{Trouble, Weather, WeatherReport};
