//! Sending straight to users, groups and everybody.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::audience::{Audience, Listener};
use super::connection::Connection;
use super::{Hub, PublishError};
use crate::id::{ConnectionId, Group, UserId};
use crate::payload::Encode;
use crate::published::Published;
use crate::sync::read;
use crate::topic::Topic;
use crate::wire::Return;

/// Some connections of a hub, to be sent to; looked up at each send.
#[derive(Clone, Debug)]
#[must_use = "recipients get nothing until something is sent"]
pub struct Recipients {
    hub: Hub,
    who: Who,
}

#[derive(Clone, Debug)]
enum Who {
    All,
    User(UserId),
    Group(Group),
    Except(Box<Who>, Vec<ConnectionId>),
}

impl Recipients {
    pub(crate) fn all(hub: Hub) -> Self {
        Self { hub, who: Who::All }
    }

    pub(crate) fn user(hub: Hub, user: UserId) -> Self {
        Self {
            hub,
            who: Who::User(user),
        }
    }

    pub(crate) fn group(hub: Hub, group: Group) -> Self {
        Self {
            hub,
            who: Who::Group(group),
        }
    }

    /// The same without these connections.
    pub fn except(self, connections: impl IntoIterator<Item = ConnectionId>) -> Self {
        let who = Who::Except(Box::new(self.who), connections.into_iter().collect());
        Self { who, ..self }
    }

    /// Sends an event to each of them, whether it subscribes to the topic or not.
    ///
    /// # Errors
    ///
    /// [`PublishError`] when `topic` is none, or the payload cannot be written or is too large.
    ///
    /// # When full
    ///
    /// Never waits: the hub's [`direct_policy`](super::HubBuilder::direct_policy) decides for each connection.
    pub fn send(&self, topic: &str, payload: impl Encode) -> Result<Published, PublishError> {
        self.hub
            .send_direct(topic, &payload, self.connections(&self.who))
    }

    /// As [`send`](Self::send), but waits while one of them has no room, for `deadline` at most: see [`Hub::publish_within`].
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), at once.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing was sent.
    ///
    /// # When full
    ///
    /// Waits; when the time is over the hub's [`direct_policy`](super::HubBuilder::direct_policy) decides for each connection.
    pub async fn send_within(
        &self,
        deadline: Duration,
        topic: &str,
        payload: impl Encode,
    ) -> Result<Published, PublishError> {
        let connections = || self.connections(&self.who);
        let sent = self
            .hub
            .send_direct_within(deadline, topic, payload, connections);
        sent.await
    }

    /// Ends each of them for good, as [`Remote::close`](super::Remote::close) does; says how many there were.
    ///
    /// Those who come later are not concerned: whom the hub shall not let in again it refuses [at the door](super::HubBuilder::on_connect).
    pub fn close(&self) -> usize {
        self.close_with(Return::Never, None)
    }

    /// The same with a verdict and a text, as [`Remote::close_with`](super::Remote::close_with) has them.
    pub fn close_with(&self, verdict: Return, text: Option<&str>) -> usize {
        let connections = self.connections(&self.who);
        for connection in &connections {
            self.hub.kick(connection, verdict, text);
        }
        connections.len()
    }

    fn connections(&self, who: &Who) -> Vec<Arc<Connection>> {
        let registry = read(&self.hub.shared.registry);
        match who {
            Who::All => registry
                .iter()
                .map(|(_, connection)| connection.clone())
                .collect(),
            Who::User(user) => registry
                .connections_of(user.as_str())
                .map(|(_, connection)| connection.clone())
                .collect(),
            Who::Group(group) => registry
                .members(group.as_str())
                .map(|(_, connection)| connection.clone())
                .collect(),
            Who::Except(who, without) => {
                drop(registry);
                let mut connections = self.connections(who);
                connections.retain(|connection| !without.contains(&connection.id));
                connections
            }
        }
    }
}

impl Hub {
    pub(super) fn send_direct(
        &self,
        topic: &str,
        payload: &dyn Encode,
        connections: Vec<Arc<Connection>>,
    ) -> Result<Published, PublishError> {
        let topic = Topic::new(topic)?;
        let audience = self.addressed(topic, connections);
        self.shared.send(topic, true, payload, &audience)
    }

    /// Those to whom something is sent straight, as an audience of its own.
    pub(super) fn addressed(
        &self,
        topic: Topic<'_>,
        connections: Vec<Arc<Connection>>,
    ) -> Audience {
        let policy = self.shared.direct_policy;
        let listener = |connection| Listener::new(connection, 0, policy);
        let listeners = connections.into_iter().map(listener).collect();
        self.shared.addressed(topic, listeners)
    }
}
