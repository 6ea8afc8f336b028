//! WebSocket for [`lapwing`]: every message is one message of [RFC 6455](https://www.rfc-editor.org/rfc/rfc6455), text or binary.
//!
//! ```text
//!  Connector ──GET, Upgrade──► Transport  ═══ frames, the client's masked ═══  Transport ◄──accept── Listener
//!                                              browsers, other servers' upgrades ──► upgraded
//! ```
//!
//! ```
//! use core::future::poll_fn;
//! use futures_lite::future::try_zip;
//! use lapwing::runtime::Smol;
//! use lapwing::transport::{Connector, Incoming, Listener, Message, Outgoing, Transport};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! Smol::new().block_on(async {
//!     let mut listener = lapwing_websocket::smol::listen("127.0.0.1:0").await?;
//!     let mut connector = lapwing_websocket::smol::connect(listener.url());
//!     let accept = async {
//!         let mut server = listener.accept().await?;
//!         poll_fn(|cx| server.poll_open(cx)).await.map_err(std::io::Error::other)?;
//!         Ok(server)
//!     };
//!     let (mut client, mut server) = try_zip(connector.connect(), accept).await?;
//!
//!     poll_fn(|cx| client.poll_ready(cx)).await?;
//!     client.start_send(Outgoing::Message(Message::text("hello")))?;
//!     poll_fn(|cx| client.poll_flush(cx)).await?;
//!
//!     let arrived = poll_fn(|cx| server.poll_recv(cx)).await?;
//!     assert_eq!(arrived, Incoming::Message(Message::text("hello")));
//!     Ok(())
//! })
//! # }
//! ```
//!
//! Frames are read by tungstenite, in pieces and from memory: an announced length reserves nothing, what is wrong fails at once
//! with the code of the RFC, and an idle connection holds no buffer. Pings are answered by themselves; the answer leaves with what is flushed next.
//!
//! Over other sockets, as those of TLS or of a program's own: [`over`].
//!
//! Not done here: encryption, compression, the limits that need time (see [`lapwing::transport::Guarded`]).
//!
//! | feature | what it brings |
//! | --- | --- |
//! | `smol` | `lapwing_websocket::smol`: sockets of async-io, for any executor, and any stream of futures-io |
//! | `tokio` | `lapwing_websocket::tokio`: sockets of a tokio runtime, and any stream of its traits |

#[cfg(feature = "_sockets")]
mod address;
mod codec;
mod fault;
mod part;
mod sieve;
#[cfg(feature = "_sockets")]
mod target;
mod transport;
mod upgrade;
mod usual;

pub mod over;
#[cfg(feature = "smol")]
pub mod smol;
#[cfg(feature = "tokio")]
pub mod tokio;

pub use self::upgrade::{accept_key, origin};
