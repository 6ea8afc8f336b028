//! Connection, user and group: who belongs to whom.

use core::borrow::Borrow;
use core::hash::{BuildHasher, Hash};

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use hashbrown::{HashMap, HashTable};

use super::numbered::Numbered;
use super::subscriptions::Place;
use super::{JoinError, Seed};
use crate::{ConnectionId, Group, UserId};

/// A connection's slot in the registry, with a generation: it never means the slot's next connection.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// The slot: unique among the connections of one moment, and small, so it can index an array.
    pub fn index(self) -> usize {
        self.index as usize
    }
}

/// All connections, and from a user and a group to its connections.
#[derive(Debug)]
pub(super) struct Members<C> {
    slots: Vec<Slot<C>>,
    free: Vec<u32>,
    /// Slots by the hash of their member's id, which stands there.
    ids: HashTable<u32>,
    seed: Seed,
    users: HashMap<UserId, BTreeSet<Key>, Seed>,
    groups: HashMap<Group, BTreeSet<Key>, Seed>,
}

#[derive(Debug)]
struct Slot<C> {
    generation: u32,
    member: Option<Member<C>>,
}

/// One connection and all that it belongs to.
#[derive(Debug)]
pub(super) struct Member<C> {
    pub(super) id: ConnectionId,
    pub(super) user: Option<UserId>,
    pub(super) groups: BTreeSet<Group>,
    pub(super) subscriptions: Numbered<Place>,
    pub(super) value: C,
}

impl<C> Members<C> {
    pub(super) fn new(seed: Seed) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            ids: HashTable::new(),
            users: HashMap::with_hasher(seed.clone()),
            groups: HashMap::with_hasher(seed.clone()),
            seed,
        }
    }

    pub(super) fn insert(
        &mut self,
        id: ConnectionId,
        user: Option<UserId>,
        value: C,
    ) -> Option<Key> {
        if self.key(id).is_some() {
            return None;
        }
        let key = self.vacant();
        self.slots[key.index()].member = Some(Member {
            id,
            user: user.map(|user| enter(&mut self.users, user, key)),
            groups: BTreeSet::new(),
            subscriptions: Numbered::default(),
            value,
        });
        let Self {
            ids, slots, seed, ..
        } = self;
        let hash_of = |index: &u32| {
            let member = slots[*index as usize].member.as_ref();
            seed.hash_one(member.expect("who has an id is a member").id)
        };
        ids.insert_unique(seed.hash_one(id), key.index, hash_of);
        Some(key)
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<Member<C>> {
        let member = self.slot_mut(key)?.member.take()?;
        self.vacate(key);
        let hash = self.seed.hash_one(member.id);
        if let Ok(entry) = self.ids.find_entry(hash, |index| *index == key.index) {
            entry.remove();
        }
        if let Some(user) = &member.user {
            exit(&mut self.users, user.as_str(), key);
        }
        for group in &member.groups {
            exit(&mut self.groups, group.as_str(), key);
        }
        Some(member)
    }

    pub(super) fn get(&self, key: Key) -> Option<&Member<C>> {
        let slot = self.slots.get(key.index())?;
        let member = slot.member.as_ref()?;
        (slot.generation == key.generation).then_some(member)
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Member<C>> {
        self.slot_mut(key)?.member.as_mut()
    }

    pub(super) fn key(&self, id: ConnectionId) -> Option<Key> {
        let has_id = |index: &u32| {
            let member = self.slots[*index as usize].member.as_ref();
            member.is_some_and(|member| member.id == id)
        };
        let index = *self.ids.find(self.seed.hash_one(id), has_id)?;
        let generation = self.slots[index as usize].generation;
        Some(Key { index, generation })
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &C)> {
        (0..).zip(&self.slots).filter_map(|(index, slot)| {
            let generation = slot.generation;
            Some((Key { index, generation }, &slot.member.as_ref()?.value))
        })
    }

    pub(super) fn join(
        &mut self,
        key: Key,
        group: &Group,
        groups_max: usize,
    ) -> Result<bool, JoinError> {
        let member = self.get_mut(key).ok_or(JoinError::Gone)?;
        if member.groups.contains(group) {
            return Ok(false);
        }
        if member.groups.len() >= groups_max {
            return Err(JoinError::TooMany { max: groups_max });
        }
        let group = enter(&mut self.groups, group.clone(), key);
        let member = self.get_mut(key).ok_or(JoinError::Gone)?;
        Ok(member.groups.insert(group))
    }

    pub(super) fn leave(&mut self, key: Key, group: &str) -> bool {
        let left = self
            .get_mut(key)
            .is_some_and(|member| member.groups.remove(group));
        if left {
            exit(&mut self.groups, group, key);
        }
        left
    }

    pub(super) fn in_group<'a>(
        &'a self,
        group: &str,
    ) -> impl Iterator<Item = (Key, &'a C)> + use<'a, C> {
        self.values(self.groups.get(group))
    }

    pub(super) fn of_user<'a>(
        &'a self,
        user: &str,
    ) -> impl Iterator<Item = (Key, &'a C)> + use<'a, C> {
        self.values(self.users.get(user))
    }

    pub(super) fn groups_len(&self) -> usize {
        self.groups.len()
    }

    pub(super) fn users_len(&self) -> usize {
        self.users.len()
    }

    fn values<'a>(
        &'a self,
        keys: Option<&'a BTreeSet<Key>>,
    ) -> impl Iterator<Item = (Key, &'a C)> + use<'a, C> {
        let keys = keys.into_iter().flatten();
        keys.filter_map(|key| Some((*key, &self.get(*key)?.value)))
    }

    fn slot_mut(&mut self, key: Key) -> Option<&mut Slot<C>> {
        let slot = self.slots.get_mut(key.index())?;
        (slot.generation == key.generation).then_some(slot)
    }

    /// The key of a slot without a member.
    fn vacant(&mut self) -> Key {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                member: None,
            });
            u32::try_from(self.slots.len() - 1).expect("memory ends before 2^32 connections")
        });
        let generation = self.slots[index as usize].generation;
        Key { index, generation }
    }

    /// Makes a slot ready for its next member, unless its generations are used up: then it is never used again.
    fn vacate(&mut self, key: Key) {
        if let Some(next) = key.generation.checked_add(1) {
            self.slots[key.index()].generation = next;
            self.free.push(key.index);
        }
    }
}

/// Puts `key` under `name`; returns the name as the map holds it, so that all who keep it share one text.
fn enter<N: Clone + Eq + Hash>(
    names: &mut HashMap<N, BTreeSet<Key>, Seed>,
    name: N,
    key: Key,
) -> N {
    let entry = names.entry(name);
    let name = entry.key().clone();
    entry.or_default().insert(key);
    name
}

/// Takes `key` from under `name`, and the name away with its last key.
fn exit<N: Borrow<str> + Eq + Hash>(
    names: &mut HashMap<N, BTreeSet<Key>, Seed>,
    name: &str,
    key: Key,
) {
    if let Some(keys) = names.get_mut(name) {
        keys.remove(&key);
        if keys.is_empty() {
            names.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members() -> Members<u8> {
        Members::new(Seed([7; 16]))
    }

    fn id(number: u8) -> ConnectionId {
        ConnectionId::from_bytes([number; 16])
    }

    #[test]
    fn a_key_never_means_the_next_connection_in_its_slot() {
        let mut members = members();
        let first = members.insert(id(1), None, 1).expect("a new id");
        members.remove(first).expect("it is here");
        let second = members.insert(id(2), None, 2).expect("a new id");
        assert_eq!(first.index(), second.index());
        assert!(members.get(first).is_none());
        assert!(members.remove(first).is_none());
        assert_eq!(members.get(second).map(|member| member.value), Some(2));
    }

    #[test]
    fn a_slot_without_generations_left_is_not_used_again() {
        let mut members = members();
        let first = members.insert(id(1), None, 1).expect("a new id");
        members.slots[first.index()].generation = u32::MAX;
        let last = Key {
            generation: u32::MAX,
            ..first
        };
        members.remove(last).expect("it is here");
        let next = members.insert(id(2), None, 2).expect("a new id");
        assert_ne!(next.index(), last.index());
        assert!(members.get(last).is_none());
    }

    #[test]
    fn an_id_is_taken_until_its_connection_is_removed() {
        let mut members = members();
        let key = members
            .insert(id(1), Some("ann".into()), 1)
            .expect("a new id");
        assert_eq!(members.insert(id(1), Some("bob".into()), 2), None);
        assert_eq!(members.of_user("bob").count(), 0);
        members.remove(key).expect("it is here");
        assert!(members.insert(id(1), None, 3).is_some());
    }

    #[test]
    fn a_member_at_its_limit_may_join_what_it_has_joined() {
        let mut members = members();
        let key = members.insert(id(1), None, 1).expect("a new id");
        assert_eq!(members.join(key, &"a".into(), 1), Ok(true));
        assert_eq!(members.join(key, &"a".into(), 1), Ok(false));
        let refused = Err(JoinError::TooMany { max: 1 });
        assert_eq!(members.join(key, &"b".into(), 1), refused);
        assert_eq!(members.groups_len(), 1);
    }

    #[test]
    fn a_name_goes_with_its_last_connection() {
        let mut members = members();
        let ann = members
            .insert(id(1), Some("ann".into()), 1)
            .expect("a new id");
        members.join(ann, &"a".into(), 9).expect("room");
        members.join(ann, &"b".into(), 9).expect("room");
        assert!(members.leave(ann, "a"));
        assert!(!members.leave(ann, "a"));
        assert_eq!((members.groups_len(), members.users_len()), (1, 1));
        members.remove(ann).expect("it is here");
        assert_eq!((members.groups_len(), members.users_len()), (0, 0));
        assert_eq!(members.join(ann, &"a".into(), 9), Err(JoinError::Gone));
    }
}
