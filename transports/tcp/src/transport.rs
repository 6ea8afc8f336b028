//! The transport over any socket: [`Tcp`].

use core::cell::Cell;
use core::task::{Context, Poll, ready};
use std::io::{self, IoSlice};
use std::net::SocketAddr;

use bytes::Bytes;
use lapwing::Limits;
use lapwing::transport::{
    Framing, Incoming, Info, Message, Outgoing, Progress, Transport, TransportError,
};

use crate::frame::Decoder;
use crate::outbox::Outbox;

/// How much one read may bring. A larger read is a larger batch for everything behind it: with 4 KiB
/// delivering costs half as much again.
const READ_BYTES: usize = 64 * 1024;

/// From here on nothing more is taken until some of it is written.
const UNSENT_BYTES_MAX: usize = 64 * 1024;

/// How many pieces one write gathers; more wait for the next one.
const PIECES_MAX: usize = 32;

thread_local! {
    /// Where a read puts its bytes, one for all connections of a thread, so that an idle one has no
    /// buffer. What arrived is copied out: once for all messages of a read, and without keeping
    /// 64 KiB alive for a short one.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Lends the scratch of this thread. It is taken out meanwhile: should `read` come back here by way
/// of a waker, it finds none and makes another.
fn with_scratch<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut scratch = SCRATCH.take();
    scratch.resize(READ_BYTES, 0);
    let result = read(&mut scratch);
    SCRATCH.set(scratch);
    result
}

/// A connected socket that does not block, as each runtime has its own.
///
/// Reading and writing keep one waker each, the newest.
pub(crate) trait Socket: Send {
    /// Reads into `buffer` with at most one system call that succeeds; 0 is the end.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes from the front of `pieces`.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>;

    /// Ends the writing half.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Who is at the other end.
    fn peer(&self) -> io::Result<SocketAddr>;
}

/// Messages with a length in front, over a socket.
pub(crate) struct Tcp<S> {
    socket: S,
    decoder: Decoder,
    outbox: Outbox,
    received_bytes: u64,
    sent_bytes: u64,
    reading: Reading,
    /// Our end has been told.
    closed: bool,
}

/// What becomes of the bytes that arrive.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// They are messages.
    Messages,
    /// They follow something that nobody can read on from.
    ThrownAway,
    /// None will arrive.
    Over,
}

impl<S: Socket> Tcp<S> {
    pub(crate) fn new(socket: S) -> Self {
        Self {
            socket,
            decoder: Decoder::new(&Limits::default()),
            outbox: Outbox::default(),
            received_bytes: 0,
            sent_bytes: 0,
            reading: Reading::Messages,
            closed: false,
        }
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>> {
        if let Some(bytes) = self.decoder.next_message()? {
            return Poll::Ready(Ok(whole(bytes)));
        }
        loop {
            let (read, message) = ready!(self.poll_feed(cx))?;
            if read == 0 {
                self.reading = Reading::Over;
                return Poll::Ready(self.end());
            }
            if let Some(bytes) = message {
                return Poll::Ready(Ok(whole(bytes)));
            }
            if read == READ_BYTES {
                // A long message and more of it waiting: others have their turn first.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            // The socket is drained: asking once more only leaves the waker there.
        }
    }

    /// Reads once; says how much that was, and gives the first message if it is whole now.
    fn poll_feed(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(usize, Option<Bytes>), TransportError>> {
        let Self {
            socket, decoder, ..
        } = self;
        let fed = with_scratch(|scratch| {
            let read = ready!(socket.poll_read(cx, scratch))?;
            let message = decoder.feed(&scratch[..read]);
            Poll::Ready(Ok::<_, io::Error>((read, message)))
        });
        let (read, message) = ready!(fed)?;
        self.received_bytes += read as u64;
        Poll::Ready(message.map(|message| (read, message)))
    }

    /// Reads for nobody until the peer has finished. A socket that is closed with unread bytes in it is
    /// reset, and the peer would lose what we told it last.
    fn poll_throw_away(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(with_scratch(|scratch| self.socket.poll_read(cx, scratch))) {
            Ok(read) if read > 0 => {
                self.received_bytes += read as u64;
                // The peer may go on for long: others have their turn first.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    fn end(&self) -> Result<Incoming, TransportError> {
        if self.decoder.is_inside() {
            return Err(TransportError::Malformed(
                "the stream ended inside a message",
            ));
        }
        Ok(Incoming::End)
    }

    /// Writes once. Something has to be there.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        let mut pieces = [IoSlice::new(&[]); PIECES_MAX];
        let mut count = 0;
        for (place, piece) in pieces.iter_mut().zip(self.outbox.pieces()) {
            *place = IoSlice::new(piece);
            count += 1;
        }
        let written = ready!(self.socket.poll_write(cx, &pieces[..count]))?;
        if written == 0 {
            return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into()));
        }
        self.outbox.advance(written);
        self.sent_bytes += written as u64;
        Poll::Ready(Ok(()))
    }

    /// Writes until no more than `rest` bytes wait.
    fn poll_drain(
        &mut self,
        cx: &mut Context<'_>,
        rest: usize,
    ) -> Poll<Result<(), TransportError>> {
        while self.outbox.unsent() > rest {
            ready!(self.poll_write(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    fn check_open(&self) -> Result<(), TransportError> {
        if self.closed {
            return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
        }
        Ok(())
    }
}

fn whole(bytes: Bytes) -> Incoming {
    Incoming::Message(Message::binary(bytes))
}

impl<S: Socket> Transport for Tcp<S> {
    fn apply(&mut self, limits: &Limits) {
        self.decoder = Decoder::new(limits);
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>> {
        if self.reading == Reading::ThrownAway {
            ready!(self.poll_throw_away(cx));
            self.reading = Reading::Over;
        }
        if self.reading == Reading::Over {
            return Poll::Ready(Ok(Incoming::End));
        }
        let incoming = ready!(self.poll_incoming(cx));
        if !matches!(incoming, Ok(Incoming::Message(_))) {
            // What it still holds nobody will ask for.
            self.decoder = Decoder::new(&Limits::default());
        }
        if incoming.is_err() && self.reading == Reading::Messages {
            self.reading = Reading::ThrownAway;
        }
        Poll::Ready(incoming)
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.check_open()?;
        self.poll_drain(cx, UNSENT_BYTES_MAX - 1)
    }

    fn start_send(&mut self, outgoing: Outgoing) -> Result<(), TransportError> {
        self.check_open()?;
        match outgoing {
            Outgoing::Message(message) => self.outbox.push_message(message.bytes)?,
            Outgoing::Framed(bytes) => self.outbox.push_framed(bytes),
            // TCP has none that a peer would see.
            Outgoing::Ping => {}
        }
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.poll_drain(cx, 0)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        if self.closed {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_flush(cx))?;
        match ready!(self.socket.poll_shutdown(cx)) {
            // The peer is gone already, so there is nobody to tell.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
            told => told?,
        }
        self.closed = true;
        Poll::Ready(Ok(()))
    }

    fn info(&self) -> Info {
        Info {
            name: "tcp",
            framing: Framing::LengthPrefix,
            // Asked of the system: a log line is rarer than a connection.
            peer: self.socket.peer().ok().map(|peer| peer.to_string()),
        }
    }

    fn progress(&self) -> Progress {
        Progress {
            received_bytes: self.received_bytes,
            sent_bytes: self.sent_bytes,
            half_received: self.decoder.is_inside(),
            unsent: !self.outbox.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use core::task::Waker;
    use std::collections::VecDeque;

    use super::*;

    /// A socket that brings what it is told to, and counts how often it is asked.
    #[derive(Default)]
    struct FakeSocket {
        /// What each read brings; none is pending, an empty one is the end.
        incoming: VecDeque<Vec<u8>>,
        reads: usize,
        /// How much the peer takes.
        room: usize,
        written: Vec<u8>,
        writes: usize,
        shut: bool,
    }

    impl Socket for FakeSocket {
        fn poll_read(&mut self, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
            let Some(bytes) = self.incoming.pop_front() else {
                return Poll::Pending;
            };
            self.reads += 1;
            buffer[..bytes.len()].copy_from_slice(&bytes);
            Poll::Ready(Ok(bytes.len()))
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
            let bytes: Vec<u8> = pieces
                .iter()
                .flat_map(|piece| piece.iter().copied())
                .collect();
            let written = bytes.len().min(self.room);
            self.room -= written;
            self.written.extend(&bytes[..written]);
            Poll::Ready(Ok(written))
        }

        fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.shut = true;
            Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
        }

        fn peer(&self) -> io::Result<SocketAddr> {
            Err(io::ErrorKind::NotConnected.into())
        }
    }

    fn bringing(reads: &[&[u8]]) -> Tcp<FakeSocket> {
        Tcp::new(FakeSocket {
            incoming: reads.iter().map(|read| read.to_vec()).collect(),
            ..FakeSocket::default()
        })
    }

    fn with_room(room: usize) -> Tcp<FakeSocket> {
        Tcp::new(FakeSocket {
            room,
            ..FakeSocket::default()
        })
    }

    fn recv(tcp: &mut Tcp<FakeSocket>) -> Poll<Result<Incoming, TransportError>> {
        tcp.poll_recv(&mut Context::from_waker(Waker::noop()))
    }

    fn received(tcp: &mut Tcp<FakeSocket>) -> Incoming {
        match recv(tcp) {
            Poll::Ready(Ok(incoming)) => incoming,
            other => panic!("{other:?}"),
        }
    }

    fn send(tcp: &mut Tcp<FakeSocket>, outgoing: Outgoing) {
        tcp.start_send(outgoing).expect("the transport is open");
    }

    fn is_ready(tcp: &mut Tcp<FakeSocket>) -> bool {
        tcp.poll_ready(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    }

    fn flush(tcp: &mut Tcp<FakeSocket>) -> Poll<Result<(), TransportError>> {
        tcp.poll_flush(&mut Context::from_waker(Waker::noop()))
    }

    fn binary(bytes: &'static [u8]) -> Incoming {
        Incoming::Message(Message::binary(bytes))
    }

    #[test]
    fn messages_of_one_read_need_one_read() {
        let mut tcp = bringing(&[b"\0\0\0\x01a\0\0\0\x01b\0\0\0\x00\0\0"]);
        assert_eq!(received(&mut tcp), binary(b"a"));
        assert!(tcp.progress().half_received);
        assert_eq!(received(&mut tcp), binary(b"b"));
        assert_eq!(received(&mut tcp), binary(b""));
        assert_eq!(tcp.socket.reads, 1);

        assert!(recv(&mut tcp).is_pending());
        assert!(tcp.progress().half_received);
        assert_eq!(tcp.progress().received_bytes, 16);
    }

    #[test]
    fn a_long_message_is_read_one_piece_a_turn() {
        let size = 2 * READ_BYTES as u32;
        let mut first = vec![0; READ_BYTES];
        first[..4].copy_from_slice(&size.to_be_bytes());
        let mut tcp = bringing(&[&first, &[0; READ_BYTES], &[0; 4]]);
        for reads in 1..=2 {
            assert!(recv(&mut tcp).is_pending());
            assert_eq!(tcp.socket.reads, reads);
        }
        let whole = Message::binary(vec![0; size as usize]);
        assert_eq!(received(&mut tcp), Incoming::Message(whole));
        assert!(!tcp.progress().half_received);
    }

    #[test]
    fn the_end_is_said_again_and_again() {
        let mut tcp = bringing(&[b"\0\0\0\x01a", b""]);
        assert_eq!(received(&mut tcp), binary(b"a"));
        assert_eq!(received(&mut tcp), Incoming::End);
        assert_eq!(received(&mut tcp), Incoming::End);
    }

    #[test]
    fn an_end_inside_a_message_is_malformed() {
        for beginning in [&b"\0"[..], b"\0\0\0\x01", b"\0\0\0\x02a"] {
            let mut tcp = bringing(&[beginning, b""]);
            assert!(matches!(
                recv(&mut tcp),
                Poll::Ready(Err(TransportError::Malformed(_)))
            ));
            assert_eq!(received(&mut tcp), Incoming::End);
        }
    }

    #[test]
    fn what_follows_a_message_that_is_too_large_is_thrown_away() {
        let mut tcp = bringing(&[b"\0\0\0\x05", b"large", b"\0\0\0\x01a", b""]);
        tcp.socket.room = 100;
        tcp.apply(&Limits {
            message_bytes_max: 4,
            ..Limits::default()
        });
        assert!(matches!(
            recv(&mut tcp),
            Poll::Ready(Err(TransportError::MessageTooLarge { size: 5, max: 4 }))
        ));
        for reads in 2..=3 {
            assert!(recv(&mut tcp).is_pending());
            assert_eq!(tcp.socket.reads, reads, "one a turn");
            assert!(
                !tcp.progress().half_received,
                "nobody waits for the rest of it"
            );
        }
        send(&mut tcp, Outgoing::Message(Message::binary(&b"why"[..])));
        assert!(flush(&mut tcp).is_ready());
        assert_eq!(tcp.socket.written, b"\0\0\0\x03why");
        for _ in 0..2 {
            assert_eq!(received(&mut tcp), Incoming::End);
        }
    }

    #[test]
    fn what_was_started_leaves_in_one_write() {
        let mut tcp = with_room(1_000_000);
        for _ in 0..10 {
            assert!(is_ready(&mut tcp));
            send(&mut tcp, Outgoing::Message(Message::binary(&b"a"[..])));
        }
        send(&mut tcp, Outgoing::Ping);
        send(&mut tcp, Outgoing::Framed(Bytes::from(vec![0; 40_000])));
        assert_eq!(tcp.socket.writes, 0);
        assert!(flush(&mut tcp).is_ready());
        assert_eq!(tcp.socket.writes, 1);
        assert_eq!(tcp.progress().sent_bytes, 40_050);
        assert!(!tcp.progress().unsent);
    }

    #[test]
    fn more_is_taken_while_less_than_64_kib_wait() {
        let mut tcp = with_room(0);
        send(&mut tcp, Outgoing::Framed(Bytes::from(vec![0; 65_535])));
        assert!(is_ready(&mut tcp));
        send(&mut tcp, Outgoing::Framed(Bytes::from(vec![0; 1])));
        assert!(!is_ready(&mut tcp));
        tcp.socket.room = 1;
        assert!(is_ready(&mut tcp));
        assert_eq!(tcp.progress().sent_bytes, 1);
        assert!(tcp.progress().unsent);
    }

    #[test]
    fn close_writes_what_waits_and_nothing_can_follow() {
        let mut tcp = with_room(0);
        let cx = &mut Context::from_waker(Waker::noop());
        send(&mut tcp, Outgoing::Framed(Bytes::from_static(b"bye")));
        assert!(tcp.poll_close(cx).is_pending());
        assert!(!tcp.socket.shut);

        tcp.socket.room = 3;
        for _ in 0..2 {
            assert!(matches!(tcp.poll_close(cx), Poll::Ready(Ok(()))));
        }
        assert!(tcp.socket.shut);
        assert!(matches!(tcp.poll_ready(cx), Poll::Ready(Err(_))));
        assert!(tcp.start_send(Outgoing::Ping).is_err());
    }

    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Tcp<()>>() <= 128);
    }

    #[test]
    fn a_read_inside_of_a_read_has_a_scratch_too() {
        let sizes = with_scratch(|outer| (outer.len(), with_scratch(|inner| inner.len())));
        assert_eq!(sizes, (READ_BYTES, READ_BYTES));
    }
}
