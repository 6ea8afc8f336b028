//! One end of a link, as a stream of bytes.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io::{self, IoSlice};

use bytes::BytesMut;
use futures_io::{AsyncRead, AsyncWrite};
use lapwing::transport::Message;

use crate::end::{Arrived, End, refused};
use crate::runtime::current::handed_over;

/// One end of a connection that carries bytes, as a socket does; from [`Connector::connect_bytes`](crate::Connector::connect_bytes)
/// and [`ByteListener::accept`](crate::ByteListener::accept).
///
/// For transports that are made for sockets: `lapwing_sockets::smol::FuturesIo` makes a socket of it, for
/// `lapwing_tcp::over` and `lapwing_websocket::over`. All faults of its path concern it, and a
/// [trickle](crate::Network::trickle) cuts reads and writes into small pieces. Dropping it ends both directions: the peer reads what
/// was written, then the end.
///
/// # Cancel safety
///
/// Nothing is kept between two polls: dropping a read or a write loses nothing and repeats nothing.
///
/// # When full
///
/// Each direction holds 64 KiB, in at most 4,096 pieces; then writing waits until the peer has read some. While nothing moves, nothing is taken.
pub struct ByteStream {
    end: End,
}

impl ByteStream {
    pub(crate) fn new(end: End) -> Self {
        Self { end }
    }

    /// How many bytes may be written now, once there are some.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.end.poll_write(cx, |direction| {
            if direction.is_ended() || direction.is_deserted() {
                return Poll::Ready(Err(refused()));
            }
            match direction.room() {
                0 => Poll::Pending,
                room => Poll::Ready(Ok(room)),
            }
        })
    }
}

impl AsyncRead for ByteStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let Arrived::Message(message) = ready!(self.end.poll_take(Some(buffer.len()), cx))? else {
            return Poll::Ready(Ok(0));
        };
        handed_over(&message.bytes);
        let read = message.bytes.len();
        buffer[..read].copy_from_slice(&message.bytes);
        Poll::Ready(Ok(read))
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if pieces.iter().all(|piece| piece.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        let room = ready!(self.poll_room(cx))?;
        let message = Message::binary(gathered(pieces, room));
        let written = self.end.send(|direction, clock| {
            let written = direction.write(message, clock);
            Ok((written, direction.receiver.take()))
        });
        Poll::Ready(written)
    }

    /// Ready at once: what was written is on its way.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ends this direction; reading goes on.
    fn poll_close(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end.end();
        Poll::Ready(Ok(()))
    }
}

/// The first bytes of all pieces, at most so many.
fn gathered(pieces: &[IoSlice<'_>], bytes_max: usize) -> BytesMut {
    let mut gathered = BytesMut::new();
    for piece in pieces {
        let most = piece.len().min(bytes_max - gathered.len());
        gathered.extend_from_slice(&piece[..most]);
    }
    gathered
}

impl fmt::Debug for ByteStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteStream")
            .field("peer", &self.end.peer)
            .finish_non_exhaustive()
    }
}
