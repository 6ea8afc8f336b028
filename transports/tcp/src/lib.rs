//! TCP for [`lapwing`]: every message has its length in front, in 4 bytes, big-endian.
//!
//! ```text
//!  Connector ──connect──► Transport  ═══ 00 00 00 05 h e l l o ═══  Transport ◄──accept── Listener
//! ```
//!
//! ```
//! use core::future::poll_fn;
//! use lapwing::runtime::Smol;
//! use lapwing::transport::{Connector, Incoming, Listener, Message, Outgoing};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! Smol::new().block_on(async {
//!     let mut listener = lapwing_tcp::smol::listen("127.0.0.1:0").await?;
//!     let mut client = lapwing_tcp::smol::connect(listener.url()).connect().await?;
//!     let mut server = listener.accept().await?;
//!
//!     poll_fn(|cx| client.poll_ready(cx)).await?;
//!     client.start_send(Outgoing::Message(Message::binary("hello")))?;
//!     poll_fn(|cx| client.poll_flush(cx)).await?;
//!
//!     let arrived = poll_fn(|cx| server.poll_recv(cx)).await?;
//!     assert_eq!(arrived, Incoming::Message(Message::binary("hello")));
//!     Ok(())
//! })
//! # }
//! ```
//!
//! An idle connection holds no buffer: threads read into one scratch each, and what is written is dropped when
//! the system has it. The messages of one read share one allocation of at most 64 KiB, so a message kept for long is better copied.
//! `TCP_NODELAY` is set: lapwing gathers by itself.
//!
//! Not done here: encryption, the limits that need time (see [`lapwing::transport::Guarded`]), finding out that a
//! silent peer is gone (lapwing's sessions do).
//!
//! | feature | what it brings |
//! | --- | --- |
//! | `smol` | `lapwing_tcp::smol`: sockets of async-io, for any executor |
//! | `tokio` | `lapwing_tcp::tokio`: sockets of a tokio runtime |

#[cfg(feature = "_sockets")]
mod address;
mod frame;
mod transport;

#[cfg(feature = "smol")]
pub mod smol;
#[cfg(feature = "tokio")]
pub mod tokio;

pub use self::transport::over;
