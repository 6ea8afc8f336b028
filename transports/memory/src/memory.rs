//! One end of a link, as a transport.

use core::task::{Context, Poll, ready};
use std::io;
use std::sync::Arc;

use lapwing::Limits;
use lapwing::runtime::Runtime;
use lapwing::transport::{
    Framing, Incoming, Info, Message, Outgoing, Progress, Transport, TransportError,
};

use crate::direction::Direction;
use crate::end::{Arrived, End, refused};
use crate::link::{Faults, Link, Tolls};
use crate::runtime::current::handed_over;

/// Two ends of one connection, without a network: the first for a client, the second for a hub.
///
/// Faults need a [`Network`](crate::Network).
///
/// # Examples
///
/// ```
/// use std::future::poll_fn;
/// use lapwing::transport::{Incoming, Message, Outgoing, Transport};
/// use lapwing_memory::{Virtual, pair};
///
/// let sim = Virtual::new(7);
/// let (mut client, mut hub) = pair(&sim.runtime());
/// sim.run(async {
///     poll_fn(|cx| client.poll_ready(cx)).await?;
///     client.start_send(Outgoing::Message(Message::binary("hello")))?;
///     let heard = poll_fn(|cx| hub.poll_recv(cx)).await?;
///     assert_eq!(heard, Incoming::Message(Message::binary("hello")));
///     Ok::<_, lapwing::transport::TransportError>(())
/// })??;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub fn pair(runtime: &Arc<dyn Runtime>) -> (Memory, Memory) {
    let link = Arc::new(Link::new(runtime, &Faults::default(), &Tolls::default()));
    let (client, hub) = End::both(&link, "client".into(), "hub".into());
    (Memory::new(client), Memory::new(hub))
}

/// One end of a connection within this process; from [`pair`] or [`Network`](crate::Network).
///
/// Messages are handed over as they are: no copy, no framing. Dropping an end is an end of its messages that
/// needs no answer: the peer reads what was flushed, then [`Incoming::End`], and its own messages are refused.
///
/// # When full
///
/// Each direction holds at most 64 KiB or one message, and 256 messages; then one more may be started, and
/// waits until the peer has received some.
pub struct Memory {
    end: End,
    message_bytes_max: u64,
    /// What is wrong was told, once: what follows is thrown away.
    failed: bool,
}

impl Memory {
    pub(crate) fn new(end: End) -> Self {
        Self {
            end,
            message_bytes_max: Limits::default().message_bytes_max.into(),
            failed: false,
        }
    }

    fn receive(&mut self, incoming: Incoming) -> Result<Incoming, TransportError> {
        let Incoming::Message(message) = incoming else {
            return Ok(incoming);
        };
        let size = message.bytes.len() as u64;
        if size > self.message_bytes_max {
            self.failed = true;
            return Err(TransportError::MessageTooLarge {
                size,
                max: self.message_bytes_max,
            });
        }
        handed_over(&message.bytes);
        // Whoever keeps what it got shall not keep what the sender pays for.
        let bytes = message.bytes.to_vec().into();
        Ok(Incoming::Message(Message { bytes, ..message }))
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>> {
        Poll::Ready(match ready!(self.end.poll_take(None, cx)) {
            Ok(Arrived::Message(message)) => Ok(Incoming::Message(message)),
            Ok(Arrived::End) => Ok(Incoming::End),
            Err(error) => Err(error.into()),
        })
    }

    /// What `check` says of the direction in which this end sends; pending, the peer's progress wakes.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        check: fn(&Direction) -> Poll<io::Result<()>>,
    ) -> Poll<Result<(), TransportError>> {
        let checked = self.end.poll_write(cx, |direction| check(direction));
        checked.map_err(TransportError::Io)
    }
}

impl Transport for Memory {
    fn apply(&mut self, limits: &Limits) {
        self.message_bytes_max = limits.message_bytes_max.into();
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>> {
        loop {
            match (ready!(self.poll_incoming(cx)), self.failed) {
                (Ok(Incoming::Message(_)), true) => {}
                (Err(_), true) => return Poll::Ready(Ok(Incoming::End)),
                (Ok(incoming), _) => return Poll::Ready(self.receive(incoming)),
                (Err(error), false) => {
                    self.failed = true;
                    return Poll::Ready(Err(error));
                }
            }
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.poll_write(cx, |direction| {
            if direction.is_ended() || direction.is_deserted() {
                return Poll::Ready(Err(refused()));
            }
            flushed(direction)
        })
    }

    /// # Panics
    ///
    /// When it was not ready, or was given [`Outgoing::Framed`]: here is no framing.
    fn start_send(&mut self, outgoing: Outgoing) -> Result<(), TransportError> {
        let message = match outgoing {
            Outgoing::Message(message) => message,
            Outgoing::Framed(_) => panic!("framed messages given to a transport without framing"),
            Outgoing::Ping | Outgoing::Goodbye(_) => return Ok(()),
        };
        self.end.send(|direction, clock| {
            if direction.is_ended() || direction.is_deserted() {
                return Err(refused());
            }
            Ok(((), direction.start(message, clock)))
        })?;
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.poll_write(cx, |direction| match flushed(direction) {
            Poll::Pending if direction.is_deserted() => Poll::Ready(Err(refused())),
            flushed => flushed,
        })
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        ready!(self.poll_flush(cx))?;
        self.end.end();
        Poll::Ready(Ok(()))
    }

    fn info(&self) -> Info {
        let mut info = Info::new("memory", Framing::None);
        info.peer = Some(self.end.peer.to_string());
        info
    }

    fn progress(&self) -> Progress {
        let End { link, side, .. } = &self.end;
        let mut state = link.lock();
        let sending = state.sending(*side);
        let (sent_bytes, unsent) = (sending.sent_bytes, !sending.is_flushed());
        let (received_bytes, half_received) = state.receiving(*side).progress(&*link.runtime);
        Progress {
            received_bytes,
            sent_bytes,
            half_received,
            unsent,
        }
    }
}

fn flushed(direction: &Direction) -> Poll<io::Result<()>> {
    match direction.is_flushed() {
        true => Poll::Ready(Ok(())),
        false => Poll::Pending,
    }
}
