//! What goes to the peer.

use core::task::{Context, Poll, ready};

use bytes::BytesMut;

use super::{Chunk, Link};
use crate::session::{Lane, Output, Store};
use crate::time::Instant;
use crate::transport::{Message, Outgoing, Transport, TransportError};
use crate::wire::Frame;

/// Room for a control frame, or a welcome.
const FRAME_BYTES: usize = 64;

impl Link {
    /// Appends the bytes of a frame for this peer; nothing when its protocol has no words for it.
    pub(crate) fn encode(&mut self, frame: &Frame<'_>, into: &mut BytesMut) {
        match self.memory.conversation_mut() {
            Some(conversation) => conversation.encode(frame, into),
            None => self.protocol().encode(frame, into),
        }
    }

    /// Sends a frame of the handshake, which waits in no lane. The transport has taken nothing before it, so it has room.
    ///
    /// To a peer whose transport is not open the transport itself says it, at the end.
    pub(crate) fn send_first(&mut self, frame: &Frame<'_>) {
        if self.open {
            let _ = self.start_frame(frame);
        }
    }

    /// Writes what session and lane have; ready when all of it is handed over.
    ///
    /// # Errors
    ///
    /// The session has ended then.
    pub(crate) fn poll_write<S>(
        &mut self,
        store: &mut S,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), TransportError>>
    where
        S: Store<Lane: 'static>,
        for<'a> S::Lane: Lane<Chunk<'a> = Chunk>,
    {
        let written = self.poll_write_inner(store, now, cx);
        if let Poll::Ready(Err(error)) = &written {
            self.fail(error);
            self.session.handle_end();
            // What the transport did not take has a number all the same.
            self.session.handed_over(store);
        }
        written
    }

    fn poll_write_inner<S>(
        &mut self,
        store: &mut S,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), TransportError>>
    where
        S: Store<Lane: 'static>,
        for<'a> S::Lane: Lane<Chunk<'a> = Chunk>,
    {
        if !self.open {
            return Poll::Ready(Ok(()));
        }
        if self.told {
            return self.transport.poll_close(cx);
        }
        loop {
            ready!(self.transport.poll_ready(cx))?;
            let before = self.session.sent();
            let Some(output) = self.session.poll_frame(store, now) else {
                break;
            };
            let chunk = match output {
                Output::Control(Frame::Ping(_))
                    if self.pings
                        && !self.session.peer().promises()
                        && !self.memory.has_conversation() =>
                {
                    self.transport.start_send(Outgoing::Ping)?;
                    continue;
                }
                Output::Control(frame) => {
                    if matches!(frame, Frame::Close(_))
                        && let Some(ticket) = self.memory.ticket()
                    {
                        // Who has heard it finds nothing to return to.
                        ticket.cancel();
                    }
                    self.start_frame(&frame)?;
                    continue;
                }
                Output::Data(chunk) => chunk,
            };
            let frames = self.session.sent() - before;
            self.start_chunk(chunk, frames)?;
            self.session.handed_over(store);
        }
        // A peer that knows no last words but the transport's answers those.
        if self.goodbyes && self.session.has_spoken() {
            self.tell();
            return self.transport.poll_close(cx);
        }
        self.transport.poll_flush(cx)
    }

    pub(super) fn start_frame(&mut self, frame: &Frame<'_>) -> Result<(), TransportError> {
        // Most have room in it.
        let mut bytes = BytesMut::with_capacity(FRAME_BYTES);
        self.encode(frame, &mut bytes);
        match bytes.is_empty() {
            true => Ok(()),
            false => self.start_chunk(Chunk::Frame(bytes.freeze()), 1),
        }
    }

    pub(super) fn start_chunk(&mut self, chunk: Chunk, frames: u64) -> Result<(), TransportError> {
        self.traffic.frames_out += frames;
        self.traffic.bytes_out += chunk.as_ref().len() as u64;
        self.transport.start_send(match chunk {
            Chunk::Frame(bytes) => Outgoing::Message(Message {
                bytes,
                kind: self.protocol().kind(),
            }),
            Chunk::Framed(bytes) => Outgoing::Framed(bytes),
        })
    }
}
