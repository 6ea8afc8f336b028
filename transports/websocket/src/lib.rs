//! WebSocket for [`lapwing`]: every message is one message of [RFC 6455](https://www.rfc-editor.org/rfc/rfc6455), text or binary.
//!
//! ```text
//!  Connector ──GET, Upgrade──► Transport  ═══ frames, the client's masked ═══  Transport ◄──accept── Listener
//!                                              browsers, other servers' upgrades ──► upgraded
//! ```
//!
//! Over other sockets, as those of TLS or of a program's own: [`over`].
//!
//! | feature | what it brings |
//! | --- | --- |
//! | `smol` | `lapwing_websocket::smol`: sockets of async-io, for any executor, and any stream of futures-io |
//! | `tokio` | `lapwing_websocket::tokio`: sockets of a tokio runtime, and any stream of its traits |

#[cfg(feature = "_sockets")]
mod address;
mod codec;
mod fault;
mod sieve;
#[cfg(feature = "_sockets")]
mod target;
mod transport;
mod upgrade;

pub mod over;
#[cfg(feature = "smol")]
pub mod smol;
#[cfg(feature = "tokio")]
pub mod tokio;
