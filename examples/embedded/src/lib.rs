//! A client of lapwing in fixed memory, for anything that moves bytes: a UART, a socket, a pipe.
//!
//! ```text
//!   your program ── Peer ── Session      what to say and when, in some 300 bytes
//!                    │ └─── Queues       frames that wait to leave
//!                    └ Inbox ── Link     bytes, and a clock: yours
//! ```
//!
//! No allocator, no unsafe: it runs on a chip as it is, once `Link` is written for it.
#![no_std]
#![forbid(unsafe_code)]

mod inbox;
mod peer;

pub use self::inbox::TooLarge;
pub use self::peer::{Broken, Error, Link, Peer, Queues};
