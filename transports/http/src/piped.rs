//! A transport that is made of several requests: [`Piped`].

use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io;
use std::sync::Arc;

use lapwing::Limits;
use lapwing::runtime::{Runtime, Timer};
use lapwing::transport::{
    Framing, Incoming, Info, Message, Outgoing, Progress, Transport, TransportError, Upgrade,
};

use crate::connections::Connections;
use crate::options::Transports;
use crate::pipe::Pipe;

/// How a client hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// By one response that does not end: [Server-Sent Events](https://html.spec.whatwg.org/multipage/server-sent-events.html).
    Events,
    /// By asking again and again.
    Polls,
}

impl Way {
    pub(crate) fn transport(self) -> Transports {
        match self {
            Self::Events => Transports::SERVER_SENT_EVENTS,
            Self::Polls => Transports::LONG_POLLING,
        }
    }
}

/// The hub's end of a connection that is made of several requests.
pub(crate) struct Piped {
    pipe: Arc<Pipe>,
    way: Way,
    token: String,
    connections: Arc<Connections>,
    upgrade: Option<Box<Upgrade>>,
    info: Info,
    /// How long a client may be without a request by which it hears.
    silent_for: Duration,
    timer: Box<dyn Timer>,
}

impl Piped {
    pub(crate) fn new(
        pipe: Arc<Pipe>,
        way: Way,
        token: String,
        connections: &Arc<Connections>,
        upgrade: Upgrade,
        (runtime, silent_for): (&dyn Runtime, Duration),
    ) -> Self {
        let name = match way {
            Way::Events => "sse",
            Way::Polls => "poll",
        };
        let mut info = Info::new(name, Framing::None);
        info.connection = upgrade.connection;
        info.keeps_alive = way == Way::Polls;
        info.goodbyes = true;
        info.text_only = way == Way::Events;
        Self {
            pipe,
            way,
            token,
            connections: connections.clone(),
            upgrade: Some(Box::new(upgrade)),
            info,
            silent_for,
            timer: runtime.timer(),
        }
    }

    /// Ready when the client does not hear any more.
    fn poll_silent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match (self.way, self.pipe.silent_since()) {
            (_, None) => {
                self.timer.disarm();
                Poll::Pending
            }
            (Way::Events, Some(_)) => Poll::Ready(()),
            (Way::Polls, Some(since)) => {
                self.timer.arm(since + self.silent_for);
                self.timer.poll_fired(cx)
            }
        }
    }
}

impl Transport for Piped {
    /// What a request may bring is the endpoint's to say.
    fn apply(&mut self, _: &Limits) {}

    fn poll_open(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<Result<Option<Box<Upgrade>>, TransportError>> {
        Poll::Ready(Ok(self.upgrade.take()))
    }

    /// A message is what one request has brought: more than a client says at once, or less.
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>> {
        loop {
            let Poll::Ready(bytes) = self.pipe.poll_recv(cx) else {
                // Nobody is there: whoever would hear is gone.
                ready!(self.poll_silent(cx));
                self.pipe.part();
                continue;
            };
            return Poll::Ready(match bytes {
                None => Ok(Incoming::End),
                Some(bytes) => Ok(Incoming::Message(Message::binary(bytes))),
            });
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.pipe.poll_ready(cx).map(taken)
    }

    fn start_send(&mut self, outgoing: Outgoing) -> Result<(), TransportError> {
        match outgoing {
            Outgoing::Message(message) => self.pipe.send(message.bytes),
            // Those that are framed are for others.
            Outgoing::Framed(_) | Outgoing::Ping | Outgoing::Goodbye(_) => {}
        }
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.pipe.poll_room(0, cx).map(taken)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.pipe.close();
        self.poll_flush(cx)
    }

    fn info(&self) -> Info {
        self.info.clone()
    }

    fn progress(&self) -> Progress {
        let (received_bytes, sent_bytes, unsent) = self.pipe.progress();
        Progress {
            received_bytes,
            sent_bytes,
            half_received: false,
            unsent,
        }
    }
}

fn taken(taken: bool) -> Result<(), TransportError> {
    match taken {
        true => Ok(()),
        false => Err(io::Error::from(io::ErrorKind::BrokenPipe).into()),
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        let asks = self.pipe.end();
        self.connections.forget(&self.token, asks);
    }
}
