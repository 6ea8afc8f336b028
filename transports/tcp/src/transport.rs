//! The transport over any socket: [`Tcp`].

use core::task::{Context, Poll, ready};
use std::io;

use bytes::Bytes;
use lapwing::Limits;
use lapwing::transport::{
    Framing, Incoming, Info, Message, Messages, Outgoing, Progress, Transport, TransportError,
};
use lapwing_sockets::{READ_BYTES, Socket, Stream, UNSENT_BYTES_MAX};

use crate::frame::{self, Decoder};

/// A connection over `socket`, which is connected: a Unix socket, a TLS stream or one of your own.
///
/// Both ends are alike. The adapters for streams of other libraries are in [`lapwing_sockets`].
///
/// # Examples
///
/// ```
/// use core::future::poll_fn;
/// use lapwing::transport::{Incoming, Message, Outgoing, Transport};
/// use lapwing_sockets::smol::FuturesIo;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # futures_lite::future::block_on(async {
/// let stream = futures_lite::io::Cursor::new(b"\0\0\0\x05hello".to_vec());
/// let mut transport = lapwing_tcp::over(FuturesIo::new(stream));
/// let arrived = poll_fn(|cx| transport.poll_recv(cx)).await?;
/// assert_eq!(arrived, Incoming::Message(Message::binary("hello")));
/// # Ok(())
/// # })
/// # }
/// ```
pub fn over(socket: impl Socket + 'static) -> impl Transport + 'static {
    Tcp::new(socket)
}

/// Messages with a length in front, over a socket.
pub(crate) struct Tcp<S> {
    stream: Stream<S>,
    decoder: Decoder,
    reading: Reading,
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
            stream: Stream::new(socket),
            decoder: Decoder::new(&Limits::default()),
            reading: Reading::Messages,
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
            stream, decoder, ..
        } = self;
        let fed = stream.poll_read_with(cx, |bytes| decoder.feed(bytes));
        let (read, message) = ready!(fed)?;
        Poll::Ready(message.map(|message| (read, message)))
    }

    fn end(&self) -> Result<Incoming, TransportError> {
        match self.decoder.is_inside() {
            // As when a path breaks, a process crashes, or a proxy gives up: nobody has said anything wrong.
            true => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            false => Ok(Incoming::End),
        }
    }

    fn check_open(&self) -> Result<(), TransportError> {
        if self.stream.is_shut() {
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
            ready!(self.stream.poll_throw_away(cx));
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

    fn recv_more(&mut self) -> Messages {
        self.decoder.messages()
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.check_open()?;
        let drained = self.stream.poll_drain(cx, UNSENT_BYTES_MAX - 1);
        drained.map_err(TransportError::from)
    }

    fn start_send(&mut self, outgoing: Outgoing) -> Result<(), TransportError> {
        self.check_open()?;
        match outgoing {
            Outgoing::Message(message) => {
                let head = frame::head(message.bytes.len())?;
                self.stream.outbox().push_headed(&head, message.bytes);
            }
            Outgoing::Framed(bytes) => self.stream.outbox().push(bytes),
            // TCP has none that a peer would see.
            Outgoing::Ping | Outgoing::Goodbye(_) => {}
        }
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        let drained = self.stream.poll_drain(cx, 0);
        drained.map_err(TransportError::from)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        if !self.stream.is_shut() {
            ready!(self.poll_flush(cx))?;
        }
        let told = self.stream.poll_shutdown(cx);
        told.map_err(TransportError::from)
    }

    fn info(&self) -> Info {
        let mut info = Info::new("tcp", Framing::LengthPrefix);
        info.peer = self.stream.peer();
        info
    }

    fn progress(&self) -> Progress {
        Progress {
            received_bytes: self.stream.received_bytes(),
            sent_bytes: self.stream.sent_bytes(),
            half_received: self.decoder.is_inside(),
            unsent: self.stream.unsent() > 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use core::task::Waker;
    use std::collections::VecDeque;
    use std::io::IoSlice;
    use std::net::SocketAddr;

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
        assert_eq!(tcp.stream.socket().reads, 1);

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
            assert_eq!(tcp.stream.socket().reads, reads);
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
    fn an_end_inside_a_message_is_a_break() {
        for beginning in [&b"\0"[..], b"\0\0\0\x01", b"\0\0\0\x02a"] {
            let mut tcp = bringing(&[beginning, b""]);
            let Poll::Ready(Err(TransportError::Io(error))) = recv(&mut tcp) else {
                panic!("it is told");
            };
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            assert_eq!(received(&mut tcp), Incoming::End);
        }
    }

    #[test]
    fn what_follows_a_message_that_is_too_large_is_thrown_away() {
        let mut tcp = bringing(&[b"\0\0\0\x05", b"large", b"\0\0\0\x01a", b""]);
        tcp.stream.socket_mut().room = 100;
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
            assert_eq!(tcp.stream.socket().reads, reads, "one a turn");
            assert!(
                !tcp.progress().half_received,
                "nobody waits for the rest of it"
            );
        }
        send(&mut tcp, Outgoing::Message(Message::binary(&b"why"[..])));
        assert!(flush(&mut tcp).is_ready());
        assert_eq!(tcp.stream.socket().written, b"\0\0\0\x03why");
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
        assert_eq!(tcp.stream.socket().writes, 0);
        assert!(flush(&mut tcp).is_ready());
        assert_eq!(tcp.stream.socket().writes, 1);
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
        tcp.stream.socket_mut().room = 1;
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
        assert!(!tcp.stream.socket().shut);

        tcp.stream.socket_mut().room = 3;
        for _ in 0..2 {
            assert!(matches!(tcp.poll_close(cx), Poll::Ready(Ok(()))));
        }
        assert!(tcp.stream.socket().shut);
        assert!(matches!(tcp.poll_ready(cx), Poll::Ready(Err(_))));
        assert!(tcp.start_send(Outgoing::Ping).is_err());
    }

    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Tcp<()>>() <= 128);
    }
}
