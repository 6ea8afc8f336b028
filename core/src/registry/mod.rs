//! Who is here: connections, users, groups and subscriptions, as plain data without locks.

use core::hash::BuildHasher;

use alloc::vec::Vec;

use siphasher::sip::SipHasher13;

use self::members::Members;
use self::subscriptions::Subscriptions;
use crate::{ConnectionId, Group, Policy, Topic, TopicFilter, UserId};

mod members;
#[cfg(test)]
mod model;
mod numbered;
mod subscriptions;

pub use self::members::Key;

/// The hub's record of its connections, their users, groups and subscriptions.
///
/// `C` is what the hub keeps per connection. Every change takes effect in the call that makes it, as one step. A connection that
/// has been removed is nowhere: its [`Key`] finds nothing, also when another connection has taken its slot.
///
/// Every iterator has an order that depends on the history of calls alone. Names and topics are hashed with a secret seed, so
/// that peers cannot choose names that collide; what has become empty is freed.
///
/// # Examples
///
/// ```
/// use lapwing::registry::Registry;
/// use lapwing::{ConnectionId, Group, Policy, Topic, TopicFilter};
///
/// let mut registry = Registry::new([7; 16]);
/// let id = ConnectionId::from_bytes([1; 16]);
/// let key = registry.insert(id, Some("ann".into()), "her laptop").expect("a new id");
///
/// assert_eq!(registry.join(key, &Group::from("staff"), 16), Ok(true));
/// let staff: Vec<_> = registry.members("staff").collect();
/// assert_eq!(staff, [(key, &"her laptop")]);
///
/// let filter = TopicFilter::new("room/*")?;
/// assert_eq!(registry.subscribe(key, 1, filter, Policy::DropOldest, 16), Ok(()));
/// let mut found = Vec::new();
/// registry.matching(Topic::new("room/7")?, &mut found);
/// assert_eq!((found[0].key, found[0].subscription), (key, 1));
///
/// assert_eq!(registry.remove(key), Some("her laptop"));
/// assert_eq!(registry.members("staff").count(), 0);
/// # Ok::<(), lapwing::TopicError>(())
/// ```
#[derive(Debug)]
pub struct Registry<C> {
    members: Members<C>,
    subscriptions: Subscriptions,
    epoch: u64,
}

/// A connection that hears a topic, and through which of its subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// The connection.
    pub key: Key,
    /// The lowest number of its subscriptions that select the topic: the oldest, as our client numbers them.
    pub subscription: u32,
    /// What that subscription wants done when the connection is full.
    pub policy: Policy,
}

/// Why a connection did not join a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The connection has been removed: nothing is left to do for it.
    #[error("the connection is gone")]
    Gone,
    /// The connection must leave a group before it can join another.
    #[error("a connection is in at most {max} groups")]
    TooMany {
        /// What is allowed.
        max: usize,
    },
}

/// Why a connection did not get a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The connection has been removed: nothing is left to do for it.
    #[error("the connection is gone")]
    Gone,
    /// The peer has a subscription with this number and must choose another.
    #[error("the number of the subscription is taken")]
    NumberTaken,
    /// The peer must end a subscription before it can have another.
    #[error("a connection has at most {max} subscriptions")]
    TooMany {
        /// What is allowed.
        max: usize,
    },
}

impl<C> Registry<C> {
    /// An empty registry that hashes names with `seed`, which peers must not be able to guess.
    pub fn new(seed: [u8; 16]) -> Self {
        Self {
            members: Members::new(Seed(seed)),
            subscriptions: Subscriptions::new(Seed(seed)),
            epoch: 0,
        }
    }

    /// Takes in a connection; `None` when `id` is taken, and nothing has changed then.
    pub fn insert(&mut self, id: ConnectionId, user: Option<UserId>, value: C) -> Option<Key> {
        let key = self.members.insert(id, user, value)?;
        self.epoch += 1;
        Some(key)
    }

    /// Takes out a connection, in one step with its user, groups and subscriptions.
    pub fn remove(&mut self, key: Key) -> Option<C> {
        let member = self.members.remove(key)?;
        for (number, place) in member.subscriptions.iter() {
            self.subscriptions.remove(key, *number, *place);
        }
        self.epoch += 1;
        Some(member.value)
    }

    /// What the hub keeps for a connection.
    pub fn get(&self, key: Key) -> Option<&C> {
        Some(&self.members.get(key)?.value)
    }

    /// The key of the connection with this id.
    pub fn key(&self, id: ConnectionId) -> Option<Key> {
        self.members.key(id)
    }

    /// The id of a connection.
    pub fn id(&self, key: Key) -> Option<ConnectionId> {
        Some(self.members.get(key)?.id)
    }

    /// The user of a connection; `None` also when it has none.
    pub fn user(&self, key: Key) -> Option<&UserId> {
        self.members.get(key)?.user.as_ref()
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no connection.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All connections, by key.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &C)> {
        self.members.iter()
    }

    /// A number that differs after every change that could change an audience, so that what was looked up may be kept until then.
    ///
    /// # Examples
    ///
    /// ```
    /// use lapwing::ConnectionId;
    /// use lapwing::registry::Registry;
    ///
    /// let mut registry = Registry::new([7; 16]);
    /// let before = registry.epoch();
    /// registry.insert(ConnectionId::from_bytes([1; 16]), None, ());
    /// assert_ne!(registry.epoch(), before);
    /// ```
    pub fn epoch(&self) -> u64 {
        self.epoch
    }
}

/// Users and groups.
impl<C> Registry<C> {
    /// Makes a connection a member of `group`; `false` when it was one already.
    ///
    /// # Errors
    ///
    /// [`JoinError::Gone`], or [`JoinError::TooMany`] when the connection is in `groups_max` other groups.
    pub fn join(&mut self, key: Key, group: &Group, groups_max: usize) -> Result<bool, JoinError> {
        let joined = self.members.join(key, group, groups_max)?;
        self.epoch += u64::from(joined);
        Ok(joined)
    }

    /// Ends a membership; `false` when there was none.
    pub fn leave(&mut self, key: Key, group: &str) -> bool {
        let left = self.members.leave(key, group);
        self.epoch += u64::from(left);
        left
    }

    /// The connections in `group`, by key.
    pub fn members<'a>(&'a self, group: &str) -> impl Iterator<Item = (Key, &'a C)> + use<'a, C> {
        self.members.in_group(group)
    }

    /// The groups of a connection, by name.
    pub fn groups_of(&self, key: Key) -> impl Iterator<Item = &Group> {
        let member = self.members.get(key);
        member.into_iter().flat_map(|member| &member.groups)
    }

    /// The connections of `user`, by key.
    pub fn connections_of<'a>(
        &'a self,
        user: &str,
    ) -> impl Iterator<Item = (Key, &'a C)> + use<'a, C> {
        self.members.of_user(user)
    }

    /// How many groups have a member.
    pub fn groups_len(&self) -> usize {
        self.members.groups_len()
    }

    /// How many users have a connection.
    pub fn users_len(&self) -> usize {
        self.members.users_len()
    }
}

/// Subscriptions.
impl<C> Registry<C> {
    /// Gives a connection a subscription, under a `number` of the peer's choice.
    ///
    /// A connection may have one filter several times, under several numbers.
    ///
    /// # Errors
    ///
    /// [`SubscribeError::Gone`], [`SubscribeError::NumberTaken`], or [`SubscribeError::TooMany`] when the connection has
    /// `subscriptions_max` already.
    pub fn subscribe(
        &mut self,
        key: Key,
        number: u32,
        filter: TopicFilter<'_>,
        policy: Policy,
        subscriptions_max: usize,
    ) -> Result<(), SubscribeError> {
        let member = self.members.get_mut(key).ok_or(SubscribeError::Gone)?;
        if member.subscriptions.get(number).is_some() {
            return Err(SubscribeError::NumberTaken);
        }
        if member.subscriptions.len() >= subscriptions_max {
            let max = subscriptions_max;
            return Err(SubscribeError::TooMany { max });
        }
        let place = self.subscriptions.insert(key, number, filter, policy);
        member.subscriptions.insert(number, place);
        self.epoch += 1;
        Ok(())
    }

    /// Ends a subscription; `false` when there was none with this number.
    pub fn unsubscribe(&mut self, key: Key, number: u32) -> bool {
        let member = self.members.get_mut(key);
        let Some(place) = member.and_then(|member| member.subscriptions.remove(number)) else {
            return false;
        };
        self.subscriptions.remove(key, number, place);
        self.epoch += 1;
        true
    }

    /// Makes a subscription dormant: it keeps its number and its filter, and hears nothing. `false` when it was so, or is over.
    pub fn sleep(&mut self, key: Key, number: u32) -> bool {
        self.set_dormant(key, number, true)
    }

    /// Lets a dormant subscription hear events again; `false` when it was not dormant, or is over.
    pub fn wake(&mut self, key: Key, number: u32) -> bool {
        self.set_dormant(key, number, false)
    }

    fn set_dormant(&mut self, key: Key, number: u32, dormant: bool) -> bool {
        let member = self.members.get(key);
        let place = member.and_then(|member| member.subscriptions.get(number));
        let changed = place.is_some_and(|place| {
            let subscriptions = &mut self.subscriptions;
            subscriptions.set_dormant(key, number, *place, dormant)
        });
        self.epoch += u64::from(changed);
        changed
    }

    /// The subscriptions of a connection, by number, those that are dormant too.
    pub fn subscriptions_of(&self, key: Key) -> impl Iterator<Item = (u32, &str, Policy)> {
        let member = self.members.get(key);
        let places = member
            .into_iter()
            .flat_map(|member| member.subscriptions.iter());
        places.filter_map(move |(number, place)| {
            let (filter, policy) = self.subscriptions.get(key, *number, *place)?;
            Some((*number, filter, policy))
        })
    }

    /// The filter and the policy of the subscription with this number.
    pub fn subscription(&self, key: Key, number: u32) -> Option<(&str, Policy)> {
        let place = self.members.get(key)?.subscriptions.get(number)?;
        self.subscriptions.get(key, number, *place)
    }

    /// How many subscriptions all connections have together.
    pub fn subscriptions_len(&self) -> usize {
        self.subscriptions.len()
    }

    /// Appends each connection that hears `topic` once, with the lowest number of its subscriptions that select it and are not
    /// dormant, by key.
    ///
    /// The cost depends on who hears the topic, not on how many subscriptions select other topics.
    pub fn matching(&self, topic: Topic<'_>, found: &mut Vec<Match>) {
        self.subscriptions.matching(topic, found);
    }
}

/// Keys the hash maps, because peers choose the names in them.
#[derive(Clone)]
pub(crate) struct Seed(pub(crate) [u8; 16]);

impl BuildHasher for Seed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_key(&self.0)
    }
}

impl core::fmt::Debug for Seed {
    /// Keeps the secret out of logs.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Seed")
    }
}
