//! What the transports of [lapwing](https://docs.rs/lapwing) over sockets share; for those who write another one.
//!
//! ```text
//!  smol::SmolSocket  ─┐                      ┌─ poll_read_with ─► bytes in the thread's scratch
//!  smol::FuturesIo   ─┤                      │
//!  tokio::TokioSocket ┼─ Socket ─► Stream ───┤
//!  tokio::TokioIo    ─┘                      └─ poll_drain ◄── Outbox ◄── push, push_headed
//! ```
//!
//! ```
//! use core::future::poll_fn;
//! use lapwing_sockets::{Stream, smol};
//!
//! # fn main() -> std::io::Result<()> {
//! # futures_lite::future::block_on(async {
//! let listener = smol::listen("127.0.0.1:0").await?;
//! let addr = listener.local_addr().to_string();
//! let mut client = Stream::new(smol::connect(&addr).await?);
//! let mut server = Stream::new(listener.accept().await?);
//!
//! client.outbox().push_headed(b"5:", "hello".into());
//! poll_fn(|cx| client.poll_drain(cx, 0)).await?;
//!
//! let (read, text) = poll_fn(|cx| server.poll_read_with(cx, |bytes| bytes.to_vec())).await?;
//! assert_eq!((read, &text[..]), (7, &b"5:hello"[..]));
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! An idle [`Stream`] holds no buffer: threads read into one scratch each, and what is written is dropped when the
//! system has it. `TCP_NODELAY` is set: the [`Outbox`] gathers by itself.
//!
//! Not done here: where a message begins and ends, encryption, URLs.
//!
//! | feature | what it brings |
//! | --- | --- |
//! | `smol` | `lapwing_sockets::smol`: sockets of async-io, for any executor, and any stream of futures-io |
//! | `tokio` | `lapwing_sockets::tokio`: sockets of a tokio runtime, and any stream of tokio's traits |

#[cfg(any(feature = "smol", feature = "tokio"))]
mod address;
mod outbox;
mod scratch;
mod socket;
mod stream;

#[cfg(feature = "smol")]
pub mod smol;
#[cfg(feature = "tokio")]
pub mod tokio;

pub use self::outbox::Outbox;
pub use self::scratch::READ_BYTES;
pub use self::socket::Socket;
pub use self::stream::{Stream, UNSENT_BYTES_MAX};
