//! Streams that a peer sends, for whoever reads them.

use alloc::sync::Arc;
use core::task::{Context, Poll};

use super::connection::Connection;
use crate::streams::reader::Source;
use crate::streams::{Item, StreamEnd, Streams, Table};

/// The streams of one session of a peer.
pub(crate) struct PeerStreams {
    connection: Arc<Connection>,
    table: Table,
}

impl PeerStreams {
    pub(crate) fn of(connection: &Arc<Connection>, table: &Table) -> Arc<dyn Source> {
        Arc::new(Self {
            connection: connection.clone(),
            table: table.clone(),
        })
    }

    /// Runs `act`, and sees to it that what it makes room for is read, and what it has to say leaves.
    fn with<T>(&self, act: impl FnOnce(&mut Streams) -> T) -> T {
        let (done, freed, owes) = self.table.with(|streams| {
            let was_full = streams.is_full();
            let done = act(streams);
            (done, was_full && !streams.is_full(), streams.owes())
        });
        if freed {
            self.connection.wake_task();
        }
        if owes {
            self.connection.has_output();
        }
        done
    }
}

impl Source for PeerStreams {
    fn poll_item(&self, id: u32, cx: &mut Context<'_>) -> Poll<Option<Result<Item, StreamEnd>>> {
        self.with(|streams| streams.poll_item(id, cx))
    }

    fn stop(&self, id: u32) {
        // If it answers a call of ours, that is over.
        if let Some(live) = self.connection.live().as_mut() {
            live.link.session.forget(&mut live.store, id);
        }
        self.with(|streams| streams.stop(id));
    }
}
