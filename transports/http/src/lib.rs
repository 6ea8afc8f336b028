//! HTTP for [`lapwing`]: the door through which browsers come, and everybody who speaks SignalR.
//!
//! ```text
//!  request ─► Server ─► Endpoint ─┬─ POST …/negotiate ─► an id, and the transports that there are
//!             (or axum, or hyper) ├─ GET, Upgrade ─► a WebSocket ──────────────┐
//!                                 ├─ GET ─► Server-Sent Events, long polling ──┼─► Listener ─► hub.serve
//!                                 └─ POST ─► what clients of these say ────────┘
//! ```
//!
//! An [`Endpoint`] is one path with a hub behind it, and a `tower` service; the transports that come of its requests are accepted from its [`Listener`]. A server of
//! its own brings many of them on one port, and answers of the program's: `lapwing_http::smol::listen`, `lapwing_http::tokio::listen`. Beside other routes an endpoint stands by itself.
//!
//! ```
//! use lapwing::Hub;
//! use lapwing::hub::Caller;
//! use lapwing::runtime::Smol;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let runtime = Smol::new();
//! runtime.clone().block_on(async {
//!     let hub = Hub::builder(runtime.clone())
//!         .protocol(lapwing_signalr::Json)
//!         .on_call("Say", async |caller: Caller, (user, text): (String, String)| {
//!             caller.hub().all().send("ReceiveMessage", (user, text))?;
//!             Ok(())
//!         })
//!         .build()?;
//!     let mut server = lapwing_http::smol::listen(&runtime, "127.0.0.1:0").await?;
//!     let chat = server.endpoint("/chat", lapwing_http::Options::signalr());
//!     let serving = futures_lite::future::zip(server.run(), hub.serve(chat));
//! #   futures_lite::future::or(async { serving.await; }, async {}).await;
//!     Ok(())
//! })
//! # }
//! ```
//!
//! [`Files`] are those of the pages that connect.
//!
//! | feature | what it brings |
//! | --- | --- |
//! | `smol` | `lapwing_http::smol`: sockets of async-io, for any executor |
//! | `tokio` | `lapwing_http::tokio`: sockets of a tokio runtime |

mod body;
#[cfg(any(feature = "smol", feature = "tokio"))]
mod connection;
mod connections;
mod cors;
mod endpoint;
mod events;
mod fields;
mod files;
mod hearing;
#[cfg(any(feature = "smol", feature = "tokio"))]
mod io;
mod listener;
mod negotiate;
mod options;
mod pipe;
mod piped;
mod poll;
mod post;
mod refusal;
#[cfg(any(feature = "smol", feature = "tokio"))]
mod route;
#[cfg(any(feature = "smol", feature = "tokio"))]
mod server;
mod socket;
mod tickets;
#[cfg(any(feature = "smol", feature = "tokio"))]
mod timer;
mod upgrade;

#[cfg(feature = "smol")]
pub mod smol;
#[cfg(feature = "tokio")]
pub mod tokio;

pub use self::body::Body;
pub use self::endpoint::Endpoint;
pub use self::files::Files;
pub use self::listener::Listener;
pub use self::negotiate::Negotiation;
pub use self::options::{Options, Transports};
#[cfg(any(feature = "smol", feature = "tokio"))]
pub use self::server::Server;
