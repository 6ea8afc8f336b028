//! What keeps a connection going, and what ends it.
//!
//! Fields and variants are written in this order: never move one, append only.

use serde::{Deserialize, Serialize};

/// How many data frames have arrived since the session began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// How many.
    pub count: u64,
}

/// Asks for a [`Pong`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// Comes back in the `Pong`, which gives the round-trip time.
    pub nonce: u32,
}

/// Answers a [`Ping`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pong {
    /// The nonce of the newest `Ping`.
    pub nonce: u32,
}

/// The last words of a side: it sends nothing after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {
    /// Why.
    pub reason: CloseReason,
    /// When the client should return.
    pub verdict: Return,
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum CloseReason {
    /// There is nothing more to do.
    #[error("done")]
    Done,
    /// The hub is about to end.
    #[error("the hub shuts down")]
    Shutdown,
    /// The application ended the connection.
    #[error("ended by the application")]
    Kicked,
    /// A message was larger than allowed.
    #[error("message of {size} bytes, at most {max} are allowed")]
    MessageTooLarge {
        /// What it has, in bytes.
        size: u64,
        /// What is allowed, in bytes.
        max: u64,
    },
    /// The peer did not read as fast as it had asked for events.
    #[error("the peer reads too slowly")]
    TooSlow,
    /// A write, or a message half received, made no progress.
    #[error("the peer made no progress for too long")]
    Stalled,
    /// The peer did not keep its promise to speak.
    #[error("the peer was silent for too long")]
    Silent,
    /// Too many pings, pongs, empty messages or fragments of one message.
    #[error("too many pings, empty messages or fragments")]
    Flood,
    /// A message is not a frame.
    #[error("a message is not a frame")]
    Malformed,
    /// A frame came that the peer may not send, or not now.
    #[error("a frame out of order")]
    Unexpected,
    /// The peer counts more frames than were sent to it, or fewer than it said before.
    #[error("the peer counts frames wrongly")]
    Count,
}

/// When a client should return after a [`Close`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Return {
    /// At once, by its own back-off.
    Now,
    /// Not before this time.
    After {
        /// From now, in milliseconds.
        ms: u32,
    },
    /// Not at all.
    Never,
}
