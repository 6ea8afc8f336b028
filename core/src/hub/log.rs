//! What a hub tells `tracing`: who comes and who goes, nothing per message, no tokens.

use super::connection::Connection;
use super::counters::ending_name;
use crate::session::Ending;
#[cfg(feature = "tracing")]
use crate::transport::Info;

/// What the transport of a connection tells of itself.
#[cfg(feature = "tracing")]
fn info(connection: &Connection) -> Option<Info> {
    let live = connection.live();
    Some(live.as_ref()?.link.info())
}

/// A connection was let in.
pub(crate) fn connected(connection: &Connection) {
    #[cfg(feature = "tracing")]
    if tracing::enabled!(tracing::Level::DEBUG) {
        let Some(Info { name, peer, .. }) = info(connection) else {
            return;
        };
        tracing::debug!(connection = %connection.id, transport = name, peer, "connected");
    }
    let _ = connection;
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
    if tracing::enabled!(tracing::Level::DEBUG) {
        let peer = info(connection).and_then(|info| info.peer);
        tracing::debug!(connection = %connection.id, peer, why, "{what}");
    }
    let _ = (connection, why, what);
}
