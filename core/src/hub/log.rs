//! What a hub tells `tracing`: who comes and who goes, nothing per message, no tokens.

use super::connection::Connection;
use super::counters::ending_name;
use crate::session::Ending;

/// A connection was let in.
pub(crate) fn connected(connection: &Connection, transport: &str) {
    #[cfg(feature = "tracing")]
    tracing::debug!(connection = %connection.id, transport, peer = connection.peer.as_deref(), "connected");
    let _ = (connection, transport);
}

/// A connection is lost, and its client may return.
pub(crate) fn detached(connection: &Connection, ending: Ending) {
    #[cfg(feature = "tracing")]
    tracing::debug!(connection = %connection.id, why = ending_name(ending), "detached");
    let _ = (connection, ending);
}

/// A client has returned to its connection.
pub(crate) fn resumed(connection: &Connection, whole: bool) {
    #[cfg(feature = "tracing")]
    tracing::debug!(connection = %connection.id, whole, "resumed");
    let _ = (connection, whole);
}

/// A connection is gone, or was not let in.
pub(crate) fn ended(connection: &Connection, ending: Ending, was_in: bool) {
    let (why, what) = (
        ending_name(ending),
        if was_in { "disconnected" } else { "refused" },
    );
    #[cfg(feature = "tracing")]
    tracing::debug!(connection = %connection.id, peer = connection.peer.as_deref(), why, "{what}");
    let _ = (connection, why, what);
}
