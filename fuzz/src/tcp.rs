//! What a peer may send over TCP: anything, in reads of any length.

use std::task::{Context, Poll, Waker};

use lapwing::Limits;
use lapwing::transport::{Incoming, Transport, TransportError};

use crate::socket::Script;

/// The largest message of this target.
const MESSAGE_BYTES_MAX: u32 = 10_000;

/// However the bytes of a peer are cut, and whether one message is asked for or many, the same messages come out, and they are those that a plain loop finds.
///
/// The first byte is how long the longest read is.
pub fn tcp(script: &[u8]) {
    let Some((cut, bytes)) = script.split_first() else {
        return;
    };
    for (read, many) in [
        (usize::from(*cut) + 1, false),
        (usize::from(*cut) + 1, true),
        (usize::MAX, true),
    ] {
        let mut expected = Expected(bytes);
        let mut transport = lapwing_tcp::over(Script::new(bytes, read));
        transport.apply(&Limits {
            message_bytes_max: MESSAGE_BYTES_MAX,
            ..Limits::default()
        });
        while hears(&mut transport, &mut expected, many) {}
    }
}

/// Compares what is heard next; false at the end.
fn hears(transport: &mut impl Transport, expected: &mut Expected<'_>, many: bool) -> bool {
    let cx = &mut Context::from_waker(Waker::noop());
    match transport.poll_recv(cx) {
        // Others had their turn.
        Poll::Pending => true,
        Poll::Ready(Ok(Incoming::Message(message))) => {
            let more = many.then(|| transport.recv_more());
            for message in std::iter::once(message).chain(more.into_iter().flatten()) {
                assert_eq!(expected.message(), Some(&message.bytes[..]));
            }
            true
        }
        Poll::Ready(Err(TransportError::MessageTooLarge { size, max })) => {
            assert_eq!(
                (Some(size), max),
                (expected.size(), MESSAGE_BYTES_MAX.into())
            );
            assert!(size > max);
            false
        }
        Poll::Ready(end) => {
            assert_eq!(expected.message(), None, "{end:?} instead of a message");
            let whole = expected.0.is_empty();
            assert_eq!(matches!(end, Ok(Incoming::End)), whole, "{end:?}");
            false
        }
    }
}

/// The messages of a stream, found by looking.
struct Expected<'a>(&'a [u8]);

impl<'a> Expected<'a> {
    fn size(&self) -> Option<u64> {
        let head = self.0.first_chunk()?;
        Some(u32::from_be_bytes(*head).into())
    }

    fn message(&mut self) -> Option<&'a [u8]> {
        let size = self
            .size()
            .filter(|size| *size <= MESSAGE_BYTES_MAX.into())?;
        let message = self.0.get(4..4 + size as usize)?;
        self.0 = &self.0[4 + message.len()..];
        Some(message)
    }
}
