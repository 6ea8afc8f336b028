//! A socket with what waits for it: [`Stream`].

use core::task::{Context, Poll, ready};
use std::io::{self, IoSlice};

use crate::outbox::Outbox;
use crate::scratch::with_scratch;
use crate::socket::Socket;

/// From here on a transport takes nothing more until some of it is written.
pub const UNSENT_BYTES_MAX: usize = 64 * 1024;

/// How many pieces one write gathers; more wait for the next one.
const PIECES_MAX: usize = 32;

/// Bytes to and from a peer: a socket, what waits to be written to it, and how far both ways have come.
///
/// Reading and writing keep one waker each, the newest.
#[derive(Debug)]
pub struct Stream<S> {
    socket: S,
    outbox: Outbox,
    received_bytes: u64,
    sent_bytes: u64,
    /// The last write found no room.
    full: bool,
    /// Our end has been told.
    shut: bool,
}

impl<S: Socket> Stream<S> {
    /// A stream over `socket`, which is connected.
    pub fn new(socket: S) -> Self {
        Self {
            socket,
            outbox: Outbox::default(),
            received_bytes: 0,
            sent_bytes: 0,
            full: false,
            shut: false,
        }
    }

    /// Reads once, lets `take` have what arrived, and says how many bytes that was.
    ///
    /// At most [`READ_BYTES`](crate::READ_BYTES): as many mean that more may be waiting, fewer that the socket is drained.
    /// 0 is the end; `take` is called with nothing then. What it is lent is the scratch of this thread.
    ///
    /// # Errors
    ///
    /// The error of the socket; `take` was not called.
    pub fn poll_read_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&[u8]) -> T,
    ) -> Poll<io::Result<(usize, T)>> {
        let Self {
            socket,
            received_bytes,
            ..
        } = self;
        with_scratch(|scratch| {
            let read = ready!(socket.poll_read(cx, scratch))?;
            *received_bytes += read as u64;
            Poll::Ready(Ok((read, take(&scratch[..read]))))
        })
    }

    /// Reads for nobody until the peer has finished, or the connection is broken.
    ///
    /// A socket that is closed with unread bytes in it is reset, and the peer would lose what it was told last.
    pub fn poll_throw_away(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(self.poll_read_with(cx, |_| ())) {
            Ok((read, ())) if read > 0 => {
                // The peer may go on for long: others have their turn first.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    /// What waits to be written; push here what shall leave, then [`poll_drain`](Self::poll_drain).
    ///
    /// # When full
    ///
    /// It never is: who pushes looks at [`unsent`](Self::unsent) first, and waits from [`UNSENT_BYTES_MAX`] on.
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// Writes until no more than `rest` bytes wait.
    ///
    /// # Errors
    ///
    /// The error of the socket; `WriteZero` when it takes nothing.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>, rest: usize) -> Poll<io::Result<()>> {
        while self.outbox.unsent() > rest {
            ready!(self.poll_write(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes once. Something has to be there.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pieces = [IoSlice::new(&[]); PIECES_MAX];
        let mut count = 0;
        for (place, piece) in pieces.iter_mut().zip(self.outbox.pieces()) {
            *place = IoSlice::new(piece);
            count += 1;
        }
        let written = self.socket.poll_write(cx, &pieces[..count]);
        self.full = written.is_pending();
        let written = ready!(written)?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.outbox.advance(written);
        self.sent_bytes += written as u64;
        Poll::Ready(Ok(()))
    }

    /// Ends the writing half: the peer is told that nothing will follow. Told once, ready from then on.
    ///
    /// What waits is not written first: [`poll_drain`](Self::poll_drain) does that.
    ///
    /// # Errors
    ///
    /// The error of the socket, except that the peer is gone already: there is nobody to tell.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.shut {
            return Poll::Ready(Ok(()));
        }
        match ready!(self.socket.poll_shutdown(cx)) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
            told => told?,
        }
        self.shut = true;
        Poll::Ready(Ok(()))
    }

    /// Who is at the other end, for logs; `None` where the socket does not know.
    pub fn peer(&self) -> Option<String> {
        // Asked of the system: a log line is rarer than a connection.
        self.socket.peer().ok().map(|peer| peer.to_string())
    }
}

impl<S> Stream<S> {
    /// Whether the writing half has ended.
    pub fn is_shut(&self) -> bool {
        self.shut
    }

    /// How many bytes have arrived since the start.
    pub fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// How many bytes the peer or its operating system has taken since the start.
    pub fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    /// How many bytes wait to be written.
    pub fn unsent(&self) -> usize {
        self.outbox.unsent()
    }

    /// Whether bytes wait because the last write found no room.
    pub fn is_blocked(&self) -> bool {
        self.full && !self.outbox.is_empty()
    }

    /// The socket below.
    pub fn socket(&self) -> &S {
        &self.socket
    }

    /// The socket below, to be changed: what is read or written past this stream is missing in its counts.
    pub fn socket_mut(&mut self) -> &mut S {
        &mut self.socket
    }
}

#[cfg(test)]
mod tests {
    use core::task::Waker;
    use std::net::SocketAddr;

    use bytes::Bytes;

    use super::*;
    use crate::READ_BYTES;

    /// A socket that brings `arriving` bytes, takes `room` bytes, and counts how often it is asked.
    #[derive(Default)]
    struct FakeSocket {
        arriving: usize,
        reads: usize,
        room: usize,
        writes: usize,
        shutdowns: usize,
    }

    impl Socket for FakeSocket {
        fn poll_read(&mut self, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
            self.reads += 1;
            let read = self.arriving.min(buffer.len());
            self.arriving -= read;
            Poll::Ready(Ok(read))
        }

        fn poll_write(
            &mut self,
            _: &mut Context<'_>,
            pieces: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            if self.room == 0 {
                return Poll::Pending;
            }
            self.writes += 1;
            let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
            let written = bytes.min(self.room);
            self.room -= written;
            Poll::Ready(Ok(written))
        }

        fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.shutdowns += 1;
            Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
        }

        fn peer(&self) -> io::Result<SocketAddr> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    fn stream() -> Stream<FakeSocket> {
        Stream::new(FakeSocket::default())
    }

    fn cx() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    fn read(stream: &mut Stream<FakeSocket>) -> (usize, usize) {
        match stream.poll_read_with(&mut cx(), <[u8]>::len) {
            Poll::Ready(Ok(read)) => read,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_read_brings_a_scratch_at_most_and_the_end_brings_nothing() {
        let mut stream = stream();
        stream.socket.arriving = READ_BYTES + 1;
        assert_eq!(read(&mut stream), (READ_BYTES, READ_BYTES));
        assert_eq!(read(&mut stream), (1, 1));
        assert_eq!(read(&mut stream), (0, 0));
        assert_eq!(stream.received_bytes(), READ_BYTES as u64 + 1);
    }

    #[test]
    fn what_nobody_wants_is_read_once_a_turn() {
        let mut stream = stream();
        stream.socket.arriving = READ_BYTES + 1;
        for reads in 1..=2 {
            assert!(stream.poll_throw_away(&mut cx()).is_pending());
            assert_eq!(stream.socket.reads, reads);
        }
        assert!(stream.poll_throw_away(&mut cx()).is_ready());
        assert_eq!(stream.received_bytes(), READ_BYTES as u64 + 1);
    }

    #[test]
    fn draining_stops_where_it_may() {
        let mut stream = stream();
        stream.outbox().push(Bytes::from(vec![0; 10]));
        assert!(stream.poll_drain(&mut cx(), 10).is_ready());
        assert!(stream.poll_drain(&mut cx(), 9).is_pending());
        stream.socket.room = 1;
        assert!(stream.poll_drain(&mut cx(), 9).is_ready());
        assert_eq!((stream.unsent(), stream.sent_bytes()), (9, 1));
    }

    #[test]
    fn what_waits_leaves_in_one_write() {
        let mut stream = stream();
        stream.socket.room = 10_000;
        for _ in 0..10 {
            stream
                .outbox()
                .push_headed(b"head", Bytes::from_static(b"body"));
        }
        stream.outbox().push(Bytes::from(vec![0; 5_000]));
        assert!(stream.poll_drain(&mut cx(), 0).is_ready());
        assert_eq!(stream.socket.writes, 1);
        assert_eq!(stream.sent_bytes(), 5_080);
    }

    #[test]
    fn a_stream_is_blocked_until_a_write_finds_room() {
        let mut stream = stream();
        stream.outbox().push(Bytes::from_static(b"two"));
        assert!(!stream.is_blocked(), "nobody has tried");
        assert!(stream.poll_drain(&mut cx(), 0).is_pending());
        assert!(stream.is_blocked());
        stream.socket.room = 2;
        assert!(stream.poll_drain(&mut cx(), 1).is_ready());
        assert!(!stream.is_blocked());
        assert!(stream.poll_drain(&mut cx(), 0).is_pending());
        assert!(stream.is_blocked());
        stream.socket.room = 1;
        assert!(stream.poll_drain(&mut cx(), 0).is_ready());
        assert!(!stream.is_blocked());
    }

    #[test]
    fn the_end_is_told_once_even_to_a_peer_that_is_gone() {
        let mut stream = stream();
        assert!(!stream.is_shut());
        for _ in 0..2 {
            assert!(matches!(
                stream.poll_shutdown(&mut cx()),
                Poll::Ready(Ok(()))
            ));
        }
        assert!(stream.is_shut());
        assert_eq!(stream.socket.shutdowns, 1);
    }

    #[test]
    fn an_idle_stream_is_small() {
        assert!(size_of::<Stream<()>>() <= 64);
    }
}
