//! The native protocol: what two peers can say to each other, and how it looks as bytes.
//!
//! One message carries one frame: a kind byte and a [postcard](https://postcard.jamesmunns.com/wire-format) struct.
//! Trailing bytes are ignored, so a later minor version may append fields; a kind with its top bit set may be
//! skipped when unknown. The version stands in `Hello` and `Welcome` alone, whose layout never changes.
//!
//! | kind | frame | from | says |
//! | --- | --- | --- | --- |
//! | `01` | [`Hello`] | client | who I am, what I understand, what I promise |
//! | `02` | [`Welcome`] | hub | who you are, what I understand, what I promise |
//! | `03` | [`Refused`] | hub | why not, and when to try again |
//! | `04` | [`Subscribe`] | client | filters to hear, from where, and what to do when I am full |
//! | `05` | [`Unsubscribe`] | client | subscriptions to end |
//! | `06` | [`Publish`] | client | an event for the hub's subscribers |
//! | `07` | [`Ack`] | hub | what became of a `Subscribe`, `Unsubscribe` or `Publish` |
//! | `08` | [`Event`] | hub | an event |
//! | `09` | [`Lagged`] | hub | so many events are missing here |
//! | `0a` | [`Call`] | both | a method, its arguments, the time left |
//! | `0b` | [`Reply`] | both | the result of a call, or why there is none |
//! | `0c` | [`Item`] | both | one item of a stream |
//! | `0d` | [`Credit`] | both | how many items are welcome so far |
//! | `0e` | [`Cancel`] | both | stop this call or stream |
//! | `0f` | [`End`] | both | a stream is finished |
//! | `10` | [`Received`] | both | how many data frames have arrived |
//! | `11` | [`Ping`] | both | are you there? |
//! | `12` | [`Pong`] | both | I am |
//! | `13` | [`Close`] | both | why this ends, and when to return |
//! | `14` | [`Replay`] | hub | an event of the past, for one subscription |
//! | `15` | [`Live`] | hub | from here on this subscription hears events as they are published |
//! | `16` | [`Open`] | both | a call that asks for a stream, or sends some along |
//!
//! `Subscribe` to `End`, without `Credit` and `Cancel`, and `Replay`, `Live` and `Open`, are *data frames*: they travel in the data lane, in order, and are counted by both sides.

mod call;
mod codec;
mod control;
#[cfg(feature = "alloc")]
mod envelope;
mod event;
mod frame;
mod handshake;
mod list;
mod payload;

pub use self::call::{Call, Cancel, Credit, End, Failure, FailureCode, Item, Open, Reply};
#[cfg(feature = "alloc")]
pub use self::codec::append;
pub use self::codec::{DecodeError, NoRoom, decode, encode};
#[cfg(feature = "std")]
pub(crate) use self::codec::{append_to, is_hello};
pub use self::control::{Close, CloseReason, Ping, Pong, Received, Return};
#[cfg(feature = "alloc")]
pub use self::envelope::Envelope;
#[cfg(feature = "std")]
pub(crate) use self::event::counted;
pub use self::event::{
    Ack, Denied, Event, Lagged, Live, Name, Outcome, Publish, Replay, Start, Subscribe, Unsubscribe,
};
pub use self::frame::Frame;
pub use self::handshake::{Continued, Hello, Position, Refusal, Refused, Terms, Verdict, Welcome};
pub use self::list::List;
pub use self::payload::{Encoding, Encodings, Payload};

#[cfg(test)]
pub(crate) mod draw;
#[cfg(test)]
mod tests;

/// The version of the protocol that this crate speaks, the only one so far.
pub const VERSION: u16 = 1;
