//! The body of a response: [`Body`].

use core::convert::Infallible;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::events::Events;
use crate::files::Reading;
use crate::hearing::Hearing;

/// The body of a response: what an endpoint answers with.
pub struct Body(Kind);

/// How much of what a poll has heard is written at a time: a client that takes longer is there as long as it takes some.
const PIECE_BYTES: usize = 16 * 1024;

enum Kind {
    Whole(Bytes),
    /// What a poll has heard, and the poll itself.
    Heard {
        bytes: Bytes,
        _hearing: Hearing,
    },
    Events(Events),
    File(Box<Reading>),
}

impl Body {
    pub(crate) fn heard(bytes: Bytes, hearing: Hearing) -> Self {
        Self(Kind::Heard {
            bytes,
            _hearing: hearing,
        })
    }

    pub(crate) fn events(events: Events) -> Self {
        Self(Kind::Events(events))
    }

    pub(crate) fn file(reading: Reading) -> Self {
        Self(Kind::File(Box::new(reading)))
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::from(Bytes::new())
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self(Kind::Whole(bytes.into()))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match &mut self.0 {
            Kind::Whole(bytes) => {
                let bytes = core::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then_some(bytes))
            }
            Kind::Heard { bytes, .. } => {
                let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
                Poll::Ready((!piece.is_empty()).then_some(piece))
            }
            Kind::Events(events) => events.poll(cx),
            Kind::File(reading) => reading.poll(cx),
        };
        bytes.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.size_hint().exact() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) | Kind::Heard { bytes, .. } => {
                SizeHint::with_exact(bytes.len() as u64)
            }
            Kind::File(reading) => SizeHint::with_exact(reading.left()),
            Kind::Events(_) => SizeHint::new(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Whole(bytes) | Kind::Heard { bytes, .. } => {
                f.debug_tuple("Body").field(&bytes.len()).finish()
            }
            Kind::Events(_) => f.write_str("Body(events)"),
            Kind::File(reading) => f.debug_tuple("Body").field(&reading.left()).finish(),
        }
    }
}
