//! Real-time events: publish and subscribe, call and answer, over any transport and on any runtime.
//!
//! A [`Hub`] routes events between connections; a [`Client`] stays connected to one. Transports, protocols and the runtime
//! are values that you choose, so the same program runs over TCP on smol or tokio, in one process over memory, and in
//! tests on a virtual clock. Below them, [`session`] and [`wire`] need neither `std` nor an allocator: a microcontroller
//! speaks with the same code.
//!
//! ```text
//!   your code ─► Client ── transport ──► Hub ◄── transport ── Client ◄─ your code
//!                  │   (tcp, memory, …)   │
//!               Session ◄── frames ──► Session     one machine for both ends, without I/O
//! ```
//!
//! # Examples
//!
//! ```
//! use lapwing::{Client, Delivery, Hub, hub::Rule};
//! use lapwing_memory::{Network, Virtual};
//!
//! let sim = Virtual::new(7);
//! sim.run(async {
//!     let network = Network::new(&sim);
//!     let hub = Hub::builder(sim.runtime()).topic("room/**", Rule::open()).build()?;
//!     sim.spawn_named("hub", hub.serve(network.listen("hub")?));
//!
//!     let client = Client::builder(sim.runtime(), network.connector("hub")).spawned();
//!     let mut room = client.subscribe("room/*").await?;
//!     hub.publish("room/7", "hello")?;
//!     let Some(Delivery::Event(event)) = room.next().await else { panic!("an event") };
//!     assert_eq!((event.topic(), event.text()), ("room/7", Some("hello")));
//!     Ok::<(), Box<dyn std::error::Error>>(())
//! })
//! .expect("nobody waits for ever")
//! # .unwrap();
//! ```
//!
//! # What is promised
//!
//! 1. **At most once, in order.** Each connection subscribed at that moment gets an event at most once; from one publisher to
//!    one subscriber in the order published, across topics. A gap is possible and always told.
//! 2. **One topic on one hub has one order**, the same for all its subscribers.
//! 3. **Memory is bounded**, per connection and for the hub, by the named [`Limits`].
//! 4. **Time is bounded**: a handshake ends, a dead peer goes, a peer that does not read is dealt with, a shutdown returns.
//! 5. **A peer harms itself only.** No bytes of a peer panic the process, or cost more than linear in what it sent.
//! 6. **Every public future can be dropped** at any await without a silent loss; its docs say what has happened then.
//!
//! Not promised: exactly once, order across publishers and topics, delivery to those who were not there.
//!
//! # Features
//!
//! | feature | adds |
//! | --- | --- |
//! | none | [`Topic`], [`Limits`], [`wire`], [`session`]: no `std`, no allocator |
//! | `alloc` | [`registry`], [`Envelope`] |
//! | `std` (default) | [`Hub`], [`Client`], and the contracts [`transport`], [`protocol`], [`runtime`] |
//! | `json` | [`protocol::Json`], [`Typed`] values as JSON, and JSON payloads of peers that are looked at |
//! | `messagepack` | [`Typed`] values as MessagePack, and values of peers that go from it to JSON and back |
//! | `smol`, `tokio` | the runtimes of these names; both may be on at once |
//! | `tracing` | an event for each connection that comes and goes; nothing per message |
#![no_std]
// Docs may link to what a feature adds; where it is off, there is nothing to link to.
#![cfg_attr(
    not(all(feature = "json", feature = "smol", feature = "tokio")),
    allow(rustdoc::broken_intra_doc_links)
)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;
#[cfg(all(test, not(feature = "std")))]
extern crate std;

mod id;
pub mod limits;
mod policy;
pub mod session;
mod time;
mod topic;
pub mod wire;

#[cfg(feature = "alloc")]
pub mod registry;

#[cfg(feature = "std")]
mod answers;
#[cfg(feature = "std")]
pub mod client;
#[cfg(feature = "std")]
pub mod hub;
#[cfg(feature = "std")]
mod link;
#[cfg(feature = "std")]
pub mod payload;
#[cfg(feature = "std")]
pub mod protocol;
#[cfg(feature = "std")]
mod published;
#[cfg(feature = "std")]
pub mod runtime;
#[cfg(feature = "std")]
mod streams;
#[cfg(feature = "std")]
mod sync;
#[cfg(feature = "std")]
pub mod transport;

#[cfg(feature = "std")]
pub use self::answers::CallFailure;
#[cfg(feature = "std")]
pub use self::client::{Client, Delivery, Subscription};
#[cfg(feature = "std")]
pub use self::hub::Hub;
pub use self::id::{ConnectionId, NotAnId};
#[cfg(feature = "alloc")]
pub use self::id::{Group, UserId};
pub use self::limits::Limits;
#[cfg(feature = "std")]
pub use self::payload::Typed;
pub use self::policy::Policy;
#[cfg(feature = "std")]
pub use self::streams::reader::{Upload, Uploads};
pub use self::time::Instant;
pub use self::topic::{Topic, TopicError, TopicFilter};
#[cfg(feature = "alloc")]
pub use self::wire::Envelope;
