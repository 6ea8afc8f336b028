//! In the place of a transport that is gone.

use core::task::{Context, Poll};

use crate::limits::Limits;
use crate::transport::{Framing, Incoming, Info, Outgoing, Progress, Transport, TransportError};

/// Takes everything and brings nothing; has no memory.
pub(super) struct Nowhere;

impl Transport for Nowhere {
    fn apply(&mut self, _: &Limits) {}

    fn poll_recv(&mut self, _: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>> {
        Poll::Ready(Ok(Incoming::End))
    }

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(&mut self, _: Outgoing) -> Result<(), TransportError> {
        Ok(())
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn progress(&self) -> Progress {
        Progress::default()
    }

    fn info(&self) -> Info {
        Info::new("nowhere", Framing::None)
    }
}
