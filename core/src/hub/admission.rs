//! Who comes in, as whom, and who has gone.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::time::Duration;

use bytes::Bytes;

use super::Hub;
use super::guest::Guest;
use crate::id::{ConnectionId, Group, UserId};
use crate::session::Ending;
use crate::transport::Upgrade;
use crate::wire::Refusal;

/// A client at the door; see [`HubBuilder::on_connect`](super::HubBuilder::on_connect).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ask {
    /// The name that its connection will have.
    pub connection: ConnectionId,
    /// The connection that it wants to resume, if that is still known: it will have that one's name, if it is let in as the same user.
    pub resumes: Option<ConnectionId>,
    /// What it shows to be let in: in its hello, or in the [request](Self::upgrade) that its transport began with.
    pub token: Option<Bytes>,
    /// The kind of its transport, as in a URL: `tcp`.
    pub transport: &'static str,
    /// The [name](crate::protocol::Protocol::name) of what it speaks: `lapwing.postcard`.
    pub protocol: &'static str,
    /// Where it comes from, as far as its transport knows.
    pub peer: Option<String>,
    /// The request that its transport began with, when that is one over HTTP: path, query and headers, cookies among them.
    pub upgrade: Option<Box<Upgrade>>,
}

/// Lets a client in: as whom, in which roles, and into which groups.
///
/// # Examples
///
/// ```
/// use lapwing::hub::Admission;
///
/// let admission = Admission::user("ann").role("editor").join("staff").join("room/7");
/// # let _ = admission;
/// ```
#[derive(Clone, Debug, Default)]
pub struct Admission {
    pub(crate) user: Option<UserId>,
    pub(crate) groups: Vec<Group>,
    pub(crate) guest: Guest,
}

impl Admission {
    /// As nobody in particular.
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// As one of the connections of this user.
    pub fn user(user: impl Into<UserId>) -> Self {
        Self {
            user: Some(user.into()),
            ..Self::default()
        }
    }

    /// In this role, among others: what rules and handlers ask for by [`Peer::has_role`](super::Peer::has_role) and
    /// [`Remote::has_role`](super::Remote::has_role).
    ///
    /// A client that returns to its connection has the roles that it gets then, and no others.
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.guest.add_role(role.into());
        self
    }

    /// With this value, which its connection has until it is gone; see [`Remote::state`](super::Remote::state). One with inner mutability is a
    /// state that changes.
    ///
    /// A client that returns to its connection finds the value that it has; the new one is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering};
    ///
    /// use lapwing::hub::{Admission, Caller, Hub};
    /// use lapwing::Client;
    /// use lapwing_memory::{Network, Virtual};
    ///
    /// let sim = Virtual::new(1);
    /// let network = Network::new(&sim.runtime());
    /// let hub = Hub::builder(sim.runtime())
    ///     .on_connect(async |_| Ok(Admission::anonymous().state(AtomicU32::new(0))))
    ///     .on_call("count", async |caller: Caller, (): ()| {
    ///         let calls = caller.state::<AtomicU32>().ok_or("there is none")?;
    ///         let before = calls.fetch_add(1, Ordering::Relaxed);
    ///         Ok((before + 1).to_string())
    ///     })
    ///     .build()?;
    /// sim.spawn_named("hub", hub.serve(network.listen("hub")?));
    /// let client = Client::builder(sim.runtime(), network.connector("hub")).spawned();
    /// sim.run(async {
    ///     client.online().await?;
    ///     for expected in ["1", "2"] {
    ///         assert_eq!(client.call::<String>("count", ()).await?, expected);
    ///     }
    ///     Ok::<(), Box<dyn std::error::Error>>(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn state<T: Any + Send + Sync>(mut self, state: T) -> Self {
        self.guest.set_state(Arc::new(state));
        self
    }

    /// As a member of this group from the first moment on.
    ///
    /// A client that returns to its connection leaves the groups that it got in this way before and does not get again; groups that
    /// the program has put it into are not concerned.
    pub fn join(mut self, group: impl Into<Group>) -> Self {
        self.groups.push(group.into());
        self
    }
}

/// Does not let a client in, and tells it why.
#[derive(Clone, Debug)]
pub struct Refuse {
    pub(crate) reason: Refusal,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) message: String,
}

impl Refuse {
    pub(crate) fn new(reason: Refusal, retry_after: Option<Duration>) -> Self {
        Self {
            reason,
            retry_after,
            message: String::new(),
        }
    }

    /// For good: the client shall not try again with this token. The client sees `message`.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self {
            reason: Refusal::Unauthorized,
            retry_after: None,
            message: message.into(),
        }
    }

    /// For now: the client shall try again after this time. It sees `message`.
    pub fn busy(retry_after: Duration, message: impl Into<String>) -> Self {
        Self {
            reason: Refusal::Full,
            retry_after: Some(retry_after),
            message: message.into(),
        }
    }
}

/// A connection that was let in and is gone; see [`HubBuilder::on_disconnect`](super::HubBuilder::on_disconnect).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Gone {
    /// Its name.
    pub connection: ConnectionId,
    /// Its user, if it had one.
    pub user: Option<UserId>,
    /// The groups it was in.
    pub groups: Vec<Group>,
    /// Why.
    pub ending: Ending,
    pub(crate) hub: Hub,
    pub(crate) guest: Option<Arc<Guest>>,
}

impl Gone {
    /// The hub that it was in.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The [value](Admission::state) that it was let in with, if it is a `T`.
    pub fn state<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.guest.as_ref()?.state()
    }
}
