//! Streams that a peer sends, for whoever reads them.

use alloc::sync::Arc;
use core::task::{Context, Poll};

use super::connection::{Connection, Live};
use crate::streams::reader::Source;
use crate::streams::{Item, StreamEnd, Streams};

/// The streams of one peer.
pub(crate) struct PeerStreams(Arc<Connection>);

impl PeerStreams {
    pub(crate) fn of(connection: &Arc<Connection>) -> Arc<dyn Source> {
        Arc::new(Self(connection.clone()))
    }

    /// Runs `act`, and sees to it that what it makes room for is read, and what it has to say leaves.
    fn with<T>(&self, act: impl FnOnce(&mut Live, &mut Streams) -> T) -> Option<T> {
        let mut guard = self.0.live();
        let live = guard.as_mut()?;
        let mut streams = live.store.streams.take()?;
        let was_full = streams.is_full();
        let done = act(live, &mut streams);
        let (freed, owes) = (was_full && !streams.is_full(), streams.owes());
        let spent = streams.take_spent();
        live.store.streams = Some(streams);
        drop(guard);
        drop(spent);
        if freed {
            self.0.wake_task();
        }
        if owes {
            self.0.has_output();
        }
        Some(done)
    }
}

impl Source for PeerStreams {
    fn poll_item(&self, id: u32, cx: &mut Context<'_>) -> Poll<Option<Result<Item, StreamEnd>>> {
        let polled = self.with(|_, streams| streams.poll_item(id, cx));
        polled.unwrap_or(Poll::Ready(Some(Err(StreamEnd::Lost))))
    }

    fn stop(&self, id: u32) {
        self.with(|live, streams| {
            // If it answers a call of ours, that is over.
            live.link.session.forget(&mut live.store, id);
            streams.stop(id);
        });
    }
}
