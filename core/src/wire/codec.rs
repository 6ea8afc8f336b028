//! Frames to bytes and back.

use serde::{Deserialize, Serialize};

use super::event::{Publish, SubscribeHead};
use super::frame::Frame;
use super::handshake::{HelloHead, WelcomeHead};
use super::list::List;

/// Frames of kinds from here on may be skipped by who does not know them.
const SKIPPABLE: u8 = 0x80;

/// Why a message is not a frame: the peer has a fault, or means harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It has no bytes at all.
    #[error("an empty message")]
    Empty,
    /// Its first byte names no frame of this version.
    #[error("an unknown kind of frame: {0:#04x}")]
    Kind(u8),
    /// The bytes after the first one are not what its kind has.
    #[error("a malformed frame of kind {0:#04x}")]
    Body(u8),
    /// It is no frame in the form of its protocol.
    #[error("no frame of the protocol")]
    NoFrame,
}

/// A buffer is too small for the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room for the frame")]
pub struct NoRoom;

/// The frame that `message` carries; `None` when it may be skipped.
///
/// Everything variable is borrowed from `message`. Costs no more than linear time and no memory.
///
/// # Examples
///
/// ```
/// use lapwing::wire::{self, Frame, Ping};
///
/// assert_eq!(wire::decode(&[0x11, 7]), Ok(Some(Frame::Ping(Ping { nonce: 7 }))));
/// assert_eq!(wire::decode(&[0x11, 7, 1, 2, 3]), Ok(Some(Frame::Ping(Ping { nonce: 7 }))), "later fields are ignored");
/// assert_eq!(wire::decode(&[0xff]), Ok(None), "an unknown kind that may be skipped");
/// ```
///
/// # Errors
///
/// [`DecodeError`]: end the connection, its sender cannot be understood.
pub fn decode(message: &[u8]) -> Result<Option<Frame<'_>>, DecodeError> {
    let (&kind, body) = message.split_first().ok_or(DecodeError::Empty)?;
    // What comes most, before anything is asked about all others.
    if kind == 0x06
        && let Some(publish) = Publish::usual(body)
    {
        return Ok(Some(Frame::Publish(publish)));
    }
    if kind >= SKIPPABLE {
        return Ok(None);
    }
    match decode_body(kind, body) {
        Ok(Some(frame)) => Ok(Some(frame)),
        Ok(None) => Err(DecodeError::Kind(kind)),
        Err(_) => Err(DecodeError::Body(kind)),
    }
}

/// Whether `message` begins as a hello does.
#[cfg(feature = "std")]
pub(crate) fn is_hello(message: &[u8]) -> bool {
    message.first() == Some(&0x01)
}

fn decode_body(kind: u8, body: &[u8]) -> postcard::Result<Option<Frame<'_>>> {
    Ok(Some(match kind {
        0x01 => {
            let (head, list) = postcard::take_from_bytes::<HelloHead<'_>>(body)?;
            Frame::Hello(head.with(List::take(list)?))
        }
        0x02 => {
            let (head, list) = postcard::take_from_bytes::<WelcomeHead>(body)?;
            Frame::Welcome(head.with(List::take(list)?))
        }
        0x03 => Frame::Refused(take(body)?),
        0x04 => {
            let (head, list) = postcard::take_from_bytes::<SubscribeHead>(body)?;
            Frame::Subscribe(head.with(List::take(list)?))
        }
        0x05 => Frame::Unsubscribe(take(body)?),
        0x06 => Frame::Publish(take(body)?),
        0x07 => Frame::Ack(take(body)?),
        0x08 => Frame::Event(take(body)?),
        0x09 => Frame::Lagged(take(body)?),
        0x0a => Frame::Call(take(body)?),
        0x0b => Frame::Reply(take(body)?),
        0x0c => Frame::Item(take(body)?),
        0x0d => Frame::Credit(take(body)?),
        0x0e => Frame::Cancel(take(body)?),
        0x0f => Frame::End(take(body)?),
        0x10 => Frame::Received(take(body)?),
        0x11 => Frame::Ping(take(body)?),
        0x12 => Frame::Pong(take(body)?),
        0x13 => Frame::Close(take(body)?),
        0x14 => Frame::Replay(take(body)?),
        0x15 => Frame::Live(take(body)?),
        0x16 => Frame::Open(take(body)?),
        _ => return Ok(None),
    }))
}

fn take<'a, T: Deserialize<'a>>(body: &'a [u8]) -> postcard::Result<T> {
    postcard::take_from_bytes(body).map(|(value, _)| value)
}

/// Writes `frame` to the start of `buffer` and says how many bytes it has.
///
/// # Errors
///
/// [`NoRoom`] when `buffer` is too small; it holds nothing of use then.
pub fn encode(frame: &Frame<'_>, buffer: &mut [u8]) -> Result<usize, NoRoom> {
    serialize(frame, Slice { buffer, at: 0 }).map_err(|_| NoRoom)
}

/// Appends `frame` to `buffer`.
#[cfg(feature = "alloc")]
pub fn append(frame: &Frame<'_>, buffer: &mut alloc::vec::Vec<u8>) {
    append_to(frame, buffer);
}

/// Appends `frame` to any buffer that grows.
#[cfg(feature = "alloc")]
pub(crate) fn append_to(frame: &Frame<'_>, buffer: &mut impl bytes::BufMut) {
    serialize(frame, Growing(buffer)).expect("a growing buffer takes every frame");
}

fn serialize<F: postcard::ser_flavors::Flavor>(
    frame: &Frame<'_>,
    mut into: F,
) -> postcard::Result<F::Output> {
    macro_rules! kinds {
        ($($kind:literal $name:ident),*) => {
            match frame {
                $(Frame::$name(body) => {
                    into.try_push($kind)?;
                    finish(body, into)
                })*
            }
        };
    }
    kinds!(
        0x01 Hello, 0x02 Welcome, 0x03 Refused, 0x04 Subscribe, 0x05 Unsubscribe, 0x06 Publish, 0x07 Ack, 0x08 Event,
        0x09 Lagged, 0x0a Call, 0x0b Reply, 0x0c Item, 0x0d Credit, 0x0e Cancel, 0x0f End, 0x10 Received, 0x11 Ping,
        0x12 Pong, 0x13 Close, 0x14 Replay, 0x15 Live, 0x16 Open
    )
}

fn finish<F: postcard::ser_flavors::Flavor>(
    body: &impl Serialize,
    into: F,
) -> postcard::Result<F::Output> {
    postcard::serialize_with_flavor(body, into)
}

/// Writes to the start of a slice.
struct Slice<'a> {
    buffer: &'a mut [u8],
    at: usize,
}

impl postcard::ser_flavors::Flavor for Slice<'_> {
    type Output = usize;

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        let end = self.at + data.len();
        let room = self
            .buffer
            .get_mut(self.at..end)
            .ok_or(postcard::Error::SerializeBufferFull)?;
        room.copy_from_slice(data);
        self.at = end;
        Ok(())
    }

    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.try_extend(&[data])
    }

    fn finalize(self) -> postcard::Result<usize> {
        Ok(self.at)
    }
}

/// Appends in pieces; postcard's own form for growing buffers takes one byte at a time.
#[cfg(feature = "alloc")]
struct Growing<'a, B>(&'a mut B);

#[cfg(feature = "alloc")]
impl<B: bytes::BufMut> postcard::ser_flavors::Flavor for Growing<'_, B> {
    type Output = ();

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.put_slice(data);
        Ok(())
    }

    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.0.put_u8(data);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
