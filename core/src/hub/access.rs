//! Who may do what: peers as the program sees them, and how it decides.

use alloc::sync::Arc;
use core::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::guest::Guest;
use crate::id::{ConnectionId, UserId};

/// Whoever wants to do something, as those see it who decide.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    /// Its connection.
    pub connection: ConnectionId,
    /// Its user, if it has one.
    pub user: Option<&'a UserId>,
    pub(crate) guest: Option<&'a Guest>,
}

impl<'a> Peer<'a> {
    /// Whether it was let in in this [role](super::Admission::role).
    pub fn has_role(&self, role: &str) -> bool {
        self.guest.is_some_and(|guest| guest.has_role(role))
    }

    /// The [value](super::Admission::state) that it was let in with, if it is a `T`.
    pub fn state<T: Any>(&self) -> Option<&'a T> {
        self.guest?.state_ref()
    }
}

/// What a peer wants to do; see [`HubBuilder::authorize`](super::HubBuilder::authorize).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action<'a> {
    /// To publish on this topic.
    Publish(&'a str),
    /// To hear what this filter selects. It is what the peer has written: one with wildcards may select topics that others name, for which [rules](super::Rule) are better.
    Subscribe(&'a str),
    /// To call this method.
    Call(&'a str),
}

pub(super) type Check = Arc<dyn Fn(Peer<'_>, &str) -> bool + Send + Sync>;

/// Who may do one thing.
#[derive(Clone)]
pub(super) enum Access {
    Nobody,
    Anyone,
    If(Check),
}

impl Access {
    pub(super) fn allows(&self, peer: Peer<'_>, name: &str) -> bool {
        match self {
            Self::Nobody => false,
            Self::Anyone => true,
            Self::If(check) => says_yes(|| check(peer, name)),
        }
    }
}

/// What the program says about every action, if it wants to be asked.
#[derive(Default)]
pub(crate) struct Authority(Option<Authorize>);

type Authorize = Arc<dyn Fn(Peer<'_>, Action<'_>) -> bool + Send + Sync>;

impl Authority {
    pub(crate) fn new(
        authorize: impl Fn(Peer<'_>, Action<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(authorize)))
    }

    pub(crate) fn allows(&self, peer: Peer<'_>, action: Action<'_>) -> bool {
        match &self.0 {
            None => true,
            Some(authorize) => says_yes(|| authorize(peer, action)),
        }
    }

    /// Whether anybody is asked.
    pub(crate) fn asks(&self) -> bool {
        self.0.is_some()
    }
}

/// A check that panics has not said yes.
fn says_yes(check: impl FnOnce() -> bool) -> bool {
    catch_unwind(AssertUnwindSafe(check)).unwrap_or(false)
}
