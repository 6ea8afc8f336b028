//! One connection of a hub, seen from the program.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::time::Duration;

use super::accounts::Accounts;
use super::connection::Connection;
use super::guest::Guest;
use super::remote_call::RemoteCall;
use super::remote_stream::RemoteStream;
use super::{Hub, PublishError};
use crate::answers::{CallFailure, Place};
use crate::id::{ConnectionId, Group, UserId};
use crate::payload::{Decode, Encode};
use crate::published::Published;
use crate::registry::JoinError;
use crate::sync::{read, write};
use crate::wire::{Close, CloseReason, Encoding, Return};

/// One connection of a hub, to be sent to, called, put into groups or ended; it may be gone meanwhile.
#[derive(Clone, Debug)]
pub struct Remote {
    pub(super) hub: Hub,
    id: ConnectionId,
}

/// Whether the client of a connection is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is there.
    Connected,
    /// It was lost without a goodbye, and may return within [`Limits::resume`](crate::Limits::resume). The connection is still in
    /// its groups and has its subscriptions; what is sent to it waits.
    Detached,
    /// It will not return to this connection.
    Gone,
}

/// Why a connection could not be put into a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MembershipError {
    /// The connection is gone.
    #[error("the connection is gone")]
    Gone,
    /// It is in as many groups as [`Limits::groups_max`](crate::Limits::groups_max) allows.
    #[error("the connection is in {max} groups, more are not allowed")]
    TooMany {
        /// What is allowed.
        max: usize,
    },
}

impl From<MembershipError> for CallFailure {
    fn from(error: MembershipError) -> Self {
        Self::from(error.to_string())
    }
}

impl Remote {
    pub(crate) fn new(hub: Hub, id: ConnectionId) -> Self {
        Self { hub, id }
    }

    /// The name under which it can be addressed later.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Whether its client is there now.
    pub fn is_connected(&self) -> bool {
        self.presence() == Presence::Connected
    }

    /// Whether its client is there, away, or gone.
    pub fn presence(&self) -> Presence {
        match self.hub.find(self.id) {
            None => Presence::Gone,
            Some(connection) if connection.is_away() => Presence::Detached,
            Some(_) => Presence::Connected,
        }
    }

    /// How many events each of its subscriptions was offered so far, by number, whatever became of them; zero stands for what was
    /// sent straight to it. Empty when it is gone.
    ///
    /// While nothing is under way, a client of this library has accounted for as many: see
    /// [`Subscription::accounted`](crate::client::Subscription::accounted).
    pub fn offered(&self) -> Vec<(u32, u64)> {
        let Some(connection) = self.hub.find(self.id) else {
            return Vec::new();
        };
        let guard = connection.live();
        let accounts = guard.as_ref().map(|live| &live.accounts);
        accounts.map(Accounts::offered_all).unwrap_or_default()
    }

    /// On whose behalf it is here, if it has a user and is still there.
    pub fn user(&self) -> Option<UserId> {
        let registry = read(&self.hub.shared.registry);
        registry.user(registry.key(self.id)?).cloned()
    }

    /// Whether it is still there, and was let in in this [role](super::Admission::role).
    pub fn has_role(&self, role: &str) -> bool {
        self.guest().is_some_and(|guest| guest.has_role(role))
    }

    /// The [value](super::Admission::state) that it was let in with, if it is a `T`; `None` when it is gone.
    pub fn state<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.guest()?.state()
    }

    fn guest(&self) -> Option<Arc<Guest>> {
        self.hub.find(self.id)?.live().as_ref()?.guest.clone()
    }

    /// The groups through which it can be reached; none when it is gone.
    pub fn groups(&self) -> Vec<Group> {
        let registry = read(&self.hub.shared.registry);
        registry
            .key(self.id)
            .map(|key| registry.groups_of(key).cloned().collect())
            .unwrap_or_default()
    }

    /// Sends it an event, whether it subscribes to the topic or not. A connection that is gone is nobody.
    ///
    /// # Errors
    ///
    /// [`PublishError`] when `topic` is none, or the payload cannot be written or is too large.
    ///
    /// # When full
    ///
    /// Never waits: the hub's [`direct_policy`](super::HubBuilder::direct_policy) decides.
    pub fn send(&self, topic: &str, payload: impl Encode) -> Result<Published, PublishError> {
        self.hub.send_direct(
            topic,
            &payload,
            self.hub.find(self.id).into_iter().collect(),
        )
    }

    /// As [`send`](Self::send), but waits while it has no room, for `deadline` at most: see [`Hub::publish_within`].
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
    /// Waits; when the time is over the hub's [`direct_policy`](super::HubBuilder::direct_policy) decides.
    pub async fn send_within(
        &self,
        deadline: Duration,
        topic: &str,
        payload: impl Encode,
    ) -> Result<Published, PublishError> {
        let connection = || self.hub.find(self.id).into_iter().collect();
        let sent = self
            .hub
            .send_direct_within(deadline, topic, payload, connection);
        sent.await
    }

    /// Puts it into a group: when this returns, everything that is sent to the group from then on reaches it. False when it was in it.
    ///
    /// # Errors
    ///
    /// [`MembershipError`], and nothing has changed.
    pub fn join(&self, group: impl Into<Group>) -> Result<bool, MembershipError> {
        let shared = &self.hub.shared;
        let mut registry = write(&shared.registry);
        let key = registry.key(self.id).ok_or(MembershipError::Gone)?;
        let joined = registry.join(key, &group.into(), shared.limits.groups_max as usize);
        shared.changed(&registry);
        joined.map_err(|error| match error {
            JoinError::TooMany { max } => MembershipError::TooMany { max },
            _ => MembershipError::Gone,
        })
    }

    /// Takes it out of a group: when this returns, nothing that is sent to the group from then on reaches it. False when it was not in it.
    pub fn leave(&self, group: &str) -> bool {
        let shared = &self.hub.shared;
        let mut registry = write(&shared.registry);
        let left = registry
            .key(self.id)
            .is_some_and(|key| registry.leave(key, group));
        shared.changed(&registry);
        left
    }

    /// Calls one of its methods and waits for the answer, for [`CALL_WITHIN`](super::CALL_WITHIN) unless told otherwise.
    ///
    /// Errors, what a dropped call means, and what happens when the connection is full: see [`RemoteCall`].
    pub fn call<R: Decode>(
        &self,
        method: impl Into<String>,
        arguments: impl Encode,
    ) -> RemoteCall<R> {
        RemoteCall::new(self.clone(), method.into(), arguments)
    }

    /// Calls one of its methods that answers with a stream.
    ///
    /// Errors, what dropping it means, and what happens when it is not read: see [`RemoteStream`].
    pub fn stream<R: Decode>(
        &self,
        method: impl Into<String>,
        arguments: impl Encode,
    ) -> RemoteStream<R> {
        RemoteStream::new(self.clone(), method.into(), arguments)
    }

    /// The encoding in which it wants typed values; that of anybody when it is gone.
    pub(super) fn wanted(&self) -> Encoding {
        let class = self.hub.find(self.id).map_or(0, |found| found.class());
        let class = self.hub.shared.classes.get(class);
        class.protocol.arguments()
    }

    /// Ends it for good, after what waits for it has been sent; its client is told not to come back.
    ///
    /// Returns at once. What it has not taken after [`Limits::closing`](crate::Limits::closing) is given up.
    pub fn close(&self) {
        self.close_with(Return::Never, None);
    }

    /// The same with this verdict, and with a text for the client's program: clients of SignalR hear it as an error, and whether they may return but not when; bare WebSockets
    /// hear 123 bytes of it in their close frame. Clients of this library know no such text.
    ///
    /// Whoever is away hears the verdict when it returns, if it does so in this moment, and otherwise that it is not known any more.
    ///
    /// # Examples
    ///
    /// ```
    /// use lapwing::hub::{Caller, HubBuilder};
    /// use lapwing::wire::Return;
    ///
    /// fn update(hub: HubBuilder) -> HubBuilder {
    ///     hub.on_call("Update", async |caller: Caller, (): ()| {
    ///         caller.remote().close_with(Return::Now, Some("there is a newer version"));
    ///         Ok(())
    ///     })
    /// }
    /// # let _ = update;
    /// ```
    pub fn close_with(&self, verdict: Return, text: Option<&str>) {
        if let Some(connection) = self.hub.find(self.id) {
            self.hub.kick(&connection, verdict, text);
        }
    }
}

impl Hub {
    /// Ends a connection because the program wants that.
    pub(super) fn kick(&self, connection: &Connection, verdict: Return, text: Option<&str>) {
        let reason = CloseReason::Kicked;
        let close = Close { reason, verdict };
        connection.close(close, text, self.shared.runtime.now());
    }
}

/// Whoever made the call, or published the event, that a handler takes care of.
#[derive(Clone, Debug)]
pub struct Caller {
    remote: Remote,
    place: Place,
}

impl Caller {
    pub(crate) fn new(hub: Hub, connection: Arc<Connection>, place: Place) -> Self {
        Self {
            remote: Remote::new(hub, connection.id),
            place,
        }
    }

    /// The hub that this happens in.
    pub fn hub(&self) -> &Hub {
        &self.remote.hub
    }

    /// The connection, for everything but calls that its own handler waits for.
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// The connection's name.
    pub fn id(&self) -> ConnectionId {
        self.remote.id
    }

    /// The connection's user, if it has one.
    pub fn user(&self) -> Option<UserId> {
        self.remote.user()
    }

    /// Whether the connection was let in in this [role](super::Admission::role).
    pub fn has_role(&self, role: &str) -> bool {
        self.remote.has_role(role)
    }

    /// The [value](super::Admission::state) that the connection was let in with, if it is a `T`.
    pub fn state<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.remote.state()
    }

    /// Awaits `future` for the handler: meanwhile the connection's next call may run, as it may while the handler [calls back](Self::call).
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops `future`.
    ///
    /// # When full
    ///
    /// As many handlers of one connection as [`Limits::calls_waiting_max`](crate::Limits::calls_waiting_max) may have lent their places; then the next call waits. When `future` is ready the handler goes on, beside the call that has its place.
    pub async fn lend<T>(&self, future: impl Future<Output = T>) -> T {
        self.place.lend(future).await
    }

    /// Calls back: while the handler waits for the answer, the connection's next call may run, so that it can give one.
    ///
    /// Otherwise as [`Remote::call`].
    pub fn call<R: Decode>(
        &self,
        method: impl Into<String>,
        arguments: impl Encode,
    ) -> RemoteCall<R> {
        self.remote
            .call(method, arguments)
            .lending(self.place.clone())
    }
}
