//! What a user can rely on: the real hub and the real client, through the public API.
//!
//! A promise that does not depend on time is kept [everywhere](everywhere): on virtual time over a network in memory, on smol and on
//! tokio over TCP. What depends on time is asked of the virtual clock alone, see [`world`].

#[macro_use]
mod ground;
mod peer;
mod reading;
mod world;

mod backpressure;
mod calls;
mod cuts;
mod endings;
mod filters;
mod groups;
mod identity;
mod in_program;
mod liveness;
mod publish_subscribe;
mod publishing;
mod reconnect;
mod runtimes;
mod shutdown;
mod streams;
