//! Who comes in, as whom, and who has gone.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

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
    /// Where it comes from, as far as its transport knows.
    pub peer: Option<String>,
    /// The request that its transport began with, when that is one over HTTP: path, query and headers, cookies among them.
    pub upgrade: Option<Box<Upgrade>>,
}

/// Lets a client in, as whom and into which groups.
///
/// # Examples
///
/// ```
/// use lapwing::hub::Admission;
///
/// let admission = Admission::user("ann").join("staff").join("room/7");
/// # let _ = admission;
/// ```
#[derive(Clone, Debug, Default)]
pub struct Admission {
    pub(crate) user: Option<UserId>,
    pub(crate) groups: Vec<Group>,
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
            groups: Vec::new(),
        }
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
}
