//! One end of a connection, with what rules do to it.

use core::array;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker, ready};
use std::collections::VecDeque;

use bytes::Bytes;
use lapwing::Limits;
use lapwing::transport::{Incoming, Info, Message, Outgoing, Progress, Transport, TransportError};

use crate::report::{Broken, ensure};

/// A transport under test.
pub(crate) struct End(Box<dyn Transport>);

impl End {
    /// Takes a transport that keeps to `limits`, and waits until it is open.
    pub(crate) async fn open(
        mut transport: Box<dyn Transport>,
        limits: &Limits,
    ) -> Result<Self, TransportError> {
        transport.apply(limits);
        poll_fn(|cx| transport.poll_open(cx)).await?;
        Ok(Self(transport))
    }

    pub(crate) fn info(&self) -> Info {
        self.0.info()
    }

    pub(crate) fn progress(&self) -> Progress {
        self.0.progress()
    }

    pub(crate) async fn ready(&mut self) -> Result<(), TransportError> {
        poll_fn(|cx| self.0.poll_ready(cx)).await
    }

    pub(crate) fn start(&mut self, outgoing: impl Into<Bytes>) -> Result<(), TransportError> {
        self.0
            .start_send(Outgoing::Message(Message::binary(outgoing)))
    }

    pub(crate) async fn flush(&mut self) -> Result<(), TransportError> {
        poll_fn(|cx| self.0.poll_flush(cx)).await
    }

    pub(crate) async fn close(&mut self) -> Result<(), TransportError> {
        poll_fn(|cx| self.0.poll_close(cx)).await
    }

    /// Sends one thing, and hands it over.
    pub(crate) async fn send(&mut self, outgoing: Outgoing) -> Result<(), TransportError> {
        self.ready().await?;
        self.0.start_send(outgoing)?;
        self.flush().await
    }

    /// Sends one binary message, and hands it over.
    pub(crate) async fn say(&mut self, bytes: impl Into<Bytes>) -> Result<(), TransportError> {
        self.send(Outgoing::Message(Message::binary(bytes))).await
    }

    pub(crate) async fn recv(&mut self) -> Result<Incoming, TransportError> {
        poll_fn(|cx| self.0.poll_recv(cx)).await
    }

    /// The next message; signs of life do not count.
    pub(crate) async fn hear(&mut self) -> Result<Message, Broken> {
        poll_fn(|cx| self.poll_hear(cx)).await
    }

    /// Whether `bytes` is the next message.
    pub(crate) async fn expect(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let heard = self.hear().await?;
        ensure(heard.bytes == bytes, || differs(bytes, &heard.bytes))
    }

    /// Whether these are the next messages, as many at once as come.
    pub(crate) async fn expect_together(&mut self, expected: &[Bytes]) -> Result<(), Broken> {
        let mut expected = expected.iter();
        while let Some(first) = expected.next() {
            self.expect(first).await?;
            for message in self.0.recv_more() {
                ensure(!message.bytes.is_empty(), || {
                    "an empty one among many".into()
                })?;
                agrees(expected.next(), &message.bytes)?;
            }
        }
        Ok(())
    }

    /// Whether the peer has finished, however often one asks; says whether it said goodbye before.
    pub(crate) async fn expect_end(&mut self) -> Result<bool, Broken> {
        let mut heard = self.recv().await?;
        let parted = matches!(heard, Incoming::Goodbye(_));
        if parted {
            heard = self.recv().await?;
        }
        for _ in 0..3 {
            ensure(heard == Incoming::End, || {
                format!("the end was expected, {} came", brief(&Ok(heard)))
            })?;
            heard = self.recv().await?;
        }
        Ok(parted)
    }

    /// Sends all of `outgoing` and receives all of `expected`, both at the same time.
    pub(crate) async fn talk(
        &mut self,
        outgoing: Vec<Outgoing>,
        expected: &[Bytes],
    ) -> Result<(), Broken> {
        let mut outgoing = VecDeque::from(outgoing);
        let mut expected = expected.iter();
        poll_fn(|cx| {
            let sent = self.poll_send_all(&mut outgoing, cx)?;
            let heard = self.poll_hear_all(&mut expected, cx)?;
            match sent.is_ready() && heard.is_ready() {
                true => Poll::Ready(Ok(())),
                false => Poll::Pending,
            }
        })
        .await
    }

    pub(crate) fn poll_recv(&mut self, waker: &Waker) -> Poll<Result<Incoming, TransportError>> {
        self.0.poll_recv(&mut Context::from_waker(waker))
    }

    pub(crate) fn poll_ready(&mut self, waker: &Waker) -> Poll<Result<(), TransportError>> {
        self.0.poll_ready(&mut Context::from_waker(waker))
    }

    pub(crate) fn poll_flush(&mut self, waker: &Waker) -> Poll<Result<(), TransportError>> {
        self.0.poll_flush(&mut Context::from_waker(waker))
    }

    fn poll_hear(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, Broken>> {
        loop {
            match ready!(self.0.poll_recv(cx))? {
                Incoming::Message(message) => return Poll::Ready(Ok(message)),
                Incoming::Alive | Incoming::Goodbye(_) => {}
                Incoming::End => {
                    return Poll::Ready(Err(Broken("the end came before a message".into())));
                }
            }
        }
    }

    fn poll_send_all(
        &mut self,
        outgoing: &mut VecDeque<Outgoing>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        while !outgoing.is_empty() {
            ready!(self.0.poll_ready(cx))?;
            if let Some(next) = outgoing.pop_front() {
                self.0.start_send(next)?;
            }
        }
        self.0.poll_flush(cx).map_err(Broken::from)
    }

    fn poll_hear_all<'a>(
        &mut self,
        expected: &mut impl ExactSizeIterator<Item = &'a Bytes>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        while expected.len() > 0 {
            let heard = ready!(self.poll_hear(cx))?;
            if let Some(next) = expected.next() {
                ensure(heard.bytes == next, || differs(next, &heard.bytes))?;
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// `size` bytes that, from 8 bytes on, belong to this number alone.
pub(crate) fn numbered(number: u64, size: usize) -> Bytes {
    // A period that is prime to every buffer size, so that bytes from the wrong place are noticed.
    let period: [u8; 251] = array::from_fn(|at| (at as u8).wrapping_add(number as u8));
    let mut bytes = period.repeat(size.div_ceil(period.len()));
    bytes.truncate(size);
    for (byte, digit) in bytes.iter_mut().zip(number.to_le_bytes()) {
        *byte = digit;
    }
    bytes.into()
}

/// `messages` as binary messages to send.
pub(crate) fn binary(messages: &[Bytes]) -> Vec<Outgoing> {
    let message = |bytes: &Bytes| Outgoing::Message(Message::binary(bytes.clone()));
    messages.iter().map(message).collect()
}

/// What was received, without its bytes.
pub(crate) fn brief(received: &Result<Incoming, TransportError>) -> String {
    match received {
        Ok(Incoming::Message(message)) => format!("a message of {} bytes", message.bytes.len()),
        Ok(Incoming::Alive) => "a sign of life".into(),
        Ok(Incoming::Goodbye(goodbye)) => format!("a goodbye with code {}", goodbye.code),
        Ok(Incoming::End) => "the end".into(),
        Err(error) => format!("the error \"{error}\""),
    }
}

fn agrees(expected: Option<&Bytes>, heard: &[u8]) -> Result<(), Broken> {
    let expected = expected.map_or(&[][..], |bytes| bytes);
    ensure(expected == heard, || differs(expected, heard))
}

fn differs(expected: &[u8], heard: &[u8]) -> String {
    format!(
        "a message of {} bytes was expected ({:02x?}…), one of {} came ({:02x?}…)",
        expected.len(),
        &expected[..expected.len().min(8)],
        heard.len(),
        &heard[..heard.len().min(8)],
    )
}
