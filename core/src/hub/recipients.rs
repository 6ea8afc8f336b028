//! Sending straight to connections, users and groups.

use alloc::string::String;
use alloc::vec::Vec;
use core::future::{Future, IntoFuture};
use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use futures_channel::oneshot;

use super::connection::{Connection, PeerAnswer, PeerCallError};
use super::dispatch::{Listener, Published};
use super::{Hub, PublishError};
use crate::answers::{CallFailure, Place};
use crate::id::{ConnectionId, Group, UserId};
use crate::payload::{Decode, Encode, EncodeError, PayloadError, encoded};
use crate::registry::JoinError;
use crate::runtime::BoxFuture;
use crate::sync::{read, write};
use crate::topic::Topic;
use crate::wire::{Close, CloseReason, Payload, Return};

use alloc::boxed::Box;
use alloc::sync::Arc;

/// How long a call waits for its answer when nothing else is said.
pub const CALL_WITHIN: Duration = Duration::from_secs(30);

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
    /// [`PublishError`] when `topic` is none, or the payload cannot be written.
    ///
    /// # When full
    ///
    /// Never waits: the hub's [`direct_policy`](super::HubBuilder::direct_policy) decides for each connection.
    pub fn send(&self, topic: &str, payload: impl Encode) -> Result<Published, PublishError> {
        self.hub
            .send_direct(topic, &payload, self.connections(&self.who))
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

/// One connection of a hub, to be sent to, called, put into groups or ended; it may be gone meanwhile.
#[derive(Clone, Debug)]
pub struct Remote {
    hub: Hub,
    id: ConnectionId,
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

impl Remote {
    pub(crate) fn new(hub: Hub, id: ConnectionId) -> Self {
        Self { hub, id }
    }

    /// Its name.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Whether it is still there.
    pub fn is_connected(&self) -> bool {
        self.hub.find(self.id).is_some()
    }

    /// Its user, if it has one and is still there.
    pub fn user(&self) -> Option<UserId> {
        let registry = read(&self.hub.shared.registry);
        registry.user(registry.key(self.id)?).cloned()
    }

    /// The groups it is in.
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
    /// [`PublishError`] when `topic` is none, or the payload cannot be written.
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

    /// Calls one of its methods and waits for the answer, for [`CALL_WITHIN`] unless told otherwise.
    pub fn call<R: Decode>(
        &self,
        method: impl Into<String>,
        arguments: impl Encode,
    ) -> RemoteCall<R> {
        let arguments = encoded(&arguments, self.hub.shared.protocol.encoding());
        RemoteCall {
            remote: self.clone(),
            method: method.into(),
            arguments,
            within: CALL_WITHIN,
            place: None,
            result: PhantomData,
        }
    }

    /// Ends it, after what waits for it has been sent.
    pub fn close(&self) {
        if let Some(connection) = self.hub.find(self.id) {
            connection.close(
                Close {
                    reason: CloseReason::Kicked,
                    verdict: Return::Never,
                },
                self.hub.shared.runtime.now(),
            );
        }
    }
}

/// Why a call of a connection has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteCallError {
    /// The other side says so.
    #[error(transparent)]
    Failed(#[from] CallFailure),
    /// There was no answer in time; the other side is told to stop.
    #[error("no answer in time")]
    TimedOut,
    /// The connection is gone, or went before it answered.
    #[error("the connection is gone")]
    Gone,
    /// Too many calls wait for an answer of this connection, or its lane is full: try later.
    #[error("too much waits for this connection")]
    Full,
    /// The other side takes no message of this size; nothing was sent.
    #[error("call of {size} bytes, at most {max} are allowed")]
    TooLarge {
        /// What it has, in bytes.
        size: u64,
        /// What is allowed, in bytes.
        max: u64,
    },
    /// The arguments cannot be written.
    #[error(transparent)]
    Arguments(#[from] EncodeError),
    /// The answer is of another type.
    #[error("the answer is of another type")]
    Answer(#[source] PayloadError),
}

/// A call of a connection, made when it is awaited; see [`Remote::call`].
///
/// # Cancel safety
///
/// Dropping the future forgets the call and tells the other side to stop.
#[must_use = "a call is made when it is awaited"]
pub struct RemoteCall<R> {
    remote: Remote,
    method: String,
    arguments: Result<(crate::wire::Encoding, Vec<u8>), EncodeError>,
    within: Duration,
    place: Option<Place>,
    result: PhantomData<fn() -> R>,
}

impl<R: Decode> RemoteCall<R> {
    /// Waits at most this long for the answer; the other side learns how long.
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// Gives the place of the handler that makes this call to the next call of the same connection.
    pub(crate) fn lending(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    async fn run(self) -> Result<R, RemoteCallError> {
        let Self {
            remote,
            method,
            arguments,
            within,
            place,
            ..
        } = self;
        let (encoding, bytes) = arguments?;
        let connection = remote.hub.find(remote.id).ok_or(RemoteCallError::Gone)?;
        let deadline = remote.hub.shared.runtime.now() + within;
        let deadline_ms = crate::session::millis(within);
        let call = connection.call(
            &method,
            Payload {
                encoding,
                bytes: &bytes,
            },
            Some(deadline),
            Some(deadline_ms),
        );
        let (id, answer) = call
            .ok_or(RemoteCallError::Gone)?
            .map_err(RemoteCallError::from)?;
        let waiting = Waiting {
            connection,
            id,
            answer,
        };
        let answer = match place {
            Some(place) => place.lend(waiting).await,
            None => waiting.await,
        };
        let (encoding, bytes) = answer.ok_or(RemoteCallError::Gone)??;
        R::decode(Payload {
            encoding,
            bytes: &bytes,
        })
        .map_err(RemoteCallError::Answer)
    }
}

impl<R: Decode + Send + 'static> IntoFuture for RemoteCall<R> {
    type Output = Result<R, RemoteCallError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl From<PeerCallError> for RemoteCallError {
    fn from(error: PeerCallError) -> Self {
        match error {
            PeerCallError::Failed(failure) => Self::Failed(failure),
            PeerCallError::TimedOut => Self::TimedOut,
            PeerCallError::Full => Self::Full,
            PeerCallError::TooLarge { size, max } => Self::TooLarge { size, max },
        }
    }
}

/// Waits for an answer; whoever drops it does not want it any more.
struct Waiting {
    connection: Arc<Connection>,
    id: u32,
    answer: oneshot::Receiver<PeerAnswer>,
}

impl Future for Waiting {
    type Output = Option<PeerAnswer>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer).poll(cx).map(Result::ok)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.connection.cancel(self.id);
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

    /// Calls back: while the handler waits for the answer, the connection's next call may run, so that it can give one.
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

impl Hub {
    fn send_direct(
        &self,
        topic: &str,
        payload: &dyn Encode,
        connections: Vec<Arc<Connection>>,
    ) -> Result<Published, PublishError> {
        let topic = Topic::new(topic)?;
        let policy = self.shared.direct_policy;
        let listener = |connection| Listener {
            connection,
            subscription: 0,
            policy,
        };
        let audience: Vec<_> = connections.into_iter().map(listener).collect();
        Ok(self.shared.send(topic, true, payload, &audience)?)
    }
}
