//! From a topic to its subscribers.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use hashbrown::{Equivalent, HashMap};

use super::{Key, Match, Seed};
use crate::{Policy, Topic, TopicFilter};

/// A tree with a node per segment of a filter; the listeners of a filter are at the node where it ends.
///
/// The children of all nodes stand in one map, which keeps a node small: a peer pays for up to 16 of them with one filter.
#[derive(Debug)]
pub(super) struct Subscriptions {
    nodes: Vec<Node>,
    free: Vec<NodeIndex>,
    children: HashMap<Child, NodeIndex, Seed>,
    len: usize,
}

type NodeIndex = u32;

const ROOT: NodeIndex = 0;

#[derive(Debug, Default)]
struct Node {
    parent: NodeIndex,
    /// How many entries of the map are children of this node.
    children: u32,
    /// The child `*`.
    one: Option<NodeIndex>,
    /// The child `**`, which has no children.
    tail: Option<NodeIndex>,
    /// The filter that ends here; empty while nobody listens.
    filter: Box<str>,
    /// By number too, so the subscriptions of one connection are neighbours, the lowest number first.
    listeners: BTreeMap<(Key, u32), Listener>,
}

#[derive(Clone, Copy, Debug)]
struct Listener {
    policy: Policy,
    /// It hears nothing for now.
    dormant: bool,
}

/// Where the listeners of a filter are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(NodeIndex);

impl Subscriptions {
    pub(super) fn new(seed: Seed) -> Self {
        Self {
            nodes: Vec::from([Node::default()]),
            free: Vec::new(),
            children: HashMap::with_hasher(seed),
            len: 0,
        }
    }

    pub(super) fn insert(
        &mut self,
        key: Key,
        number: u32,
        filter: TopicFilter<'_>,
        policy: Policy,
    ) -> Place {
        let node = filter.segments().fold(ROOT, |node, segment| {
            let child = self.child(node, segment);
            child.unwrap_or_else(|| self.grow(node, segment))
        });
        self.len += 1;
        let end = &mut self.nodes[node as usize];
        if end.listeners.is_empty() {
            end.filter = filter.as_str().into();
        }
        let dormant = false;
        end.listeners
            .insert((key, number), Listener { policy, dormant });
        Place(node)
    }

    pub(super) fn remove(&mut self, key: Key, number: u32, place: Place) {
        let end = &mut self.nodes[place.0 as usize];
        if end.listeners.remove(&(key, number)).is_none() {
            return;
        }
        self.len -= 1;
        if end.listeners.is_empty() {
            let filter = core::mem::take(&mut end.filter);
            self.prune(place.0, &filter);
        }
    }

    pub(super) fn get(&self, key: Key, number: u32, place: Place) -> Option<(&str, Policy)> {
        let node = &self.nodes[place.0 as usize];
        let listener = node.listeners.get(&(key, number))?;
        Some((&node.filter, listener.policy))
    }

    /// Lets a subscription hear something, or nothing; says whether it was the other way round.
    pub(super) fn set_dormant(
        &mut self,
        key: Key,
        number: u32,
        place: Place,
        dormant: bool,
    ) -> bool {
        let listeners = &mut self.nodes[place.0 as usize].listeners;
        let Some(listener) = listeners.get_mut(&(key, number)) else {
            return false;
        };
        core::mem::replace(&mut listener.dormant, dormant) != dormant
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn matching(&self, topic: Topic<'_>, found: &mut Vec<Match>) {
        let mut ends = Vec::new();
        self.ends(ROOT, topic.segments(), &mut ends);
        match ends.as_slice() {
            [] => {}
            [only] => append_first(only.listeners.iter(), found),
            several => {
                let len = several.iter().map(|end| end.listeners.len()).sum();
                let mut all = Vec::with_capacity(len);
                all.extend(several.iter().flat_map(|end| &end.listeners));
                // The stable sort, because it merges what is sorted in parts already.
                all.sort_by_key(|(place, _)| **place);
                append_first(all.into_iter(), found);
            }
        }
    }

    /// Collects the nodes below `index` where a filter ends that selects `rest`. As deep as a topic: 16 segments.
    fn ends<'a, 't>(
        &'a self,
        index: NodeIndex,
        mut rest: impl Iterator<Item = &'t str> + Clone,
        ends: &mut Vec<&'a Node>,
    ) {
        let node = &self.nodes[index as usize];
        ends.extend(node.tail.map(|tail| &self.nodes[tail as usize]));
        let Some(segment) = rest.next() else {
            if !node.listeners.is_empty() {
                ends.push(node);
            }
            return;
        };
        if let Some(child) = self.child(index, segment) {
            self.ends(child, rest.clone(), ends);
        }
        if let Some(child) = node.one {
            self.ends(child, rest, ends);
        }
    }

    fn child(&self, parent: NodeIndex, segment: &str) -> Option<NodeIndex> {
        let node = &self.nodes[parent as usize];
        match segment {
            "*" => node.one,
            "**" => node.tail,
            _ if node.children == 0 => None,
            _ => self.children.get(&ChildRef { parent, segment }).copied(),
        }
    }

    /// Adds the child that `parent` does not have yet.
    fn grow(&mut self, parent: NodeIndex, segment: &str) -> NodeIndex {
        let child = self.vacant();
        self.nodes[child as usize].parent = parent;
        let node = &mut self.nodes[parent as usize];
        match segment {
            "*" => node.one = Some(child),
            "**" => node.tail = Some(child),
            _ => {
                node.children += 1;
                let segment = segment.into();
                self.children.insert(Child { parent, segment }, child);
            }
        }
        child
    }

    /// Frees the node where `filter` ended, and those above it, up to the first that is still of use.
    fn prune(&mut self, mut index: NodeIndex, filter: &str) {
        for segment in filter.rsplit('/') {
            if !self.nodes[index as usize].is_empty() {
                return;
            }
            let node = core::mem::take(&mut self.nodes[index as usize]);
            self.free.push(index);
            self.cut(node.parent, segment);
            index = node.parent;
        }
    }

    fn cut(&mut self, parent: NodeIndex, segment: &str) {
        let node = &mut self.nodes[parent as usize];
        match segment {
            "*" => node.one = None,
            "**" => node.tail = None,
            _ => {
                node.children -= 1;
                self.children.remove(&ChildRef { parent, segment });
            }
        }
    }

    /// The index of a node that is not in the tree.
    fn vacant(&mut self) -> NodeIndex {
        self.free.pop().unwrap_or_else(|| {
            self.nodes.push(Node::default());
            NodeIndex::try_from(self.nodes.len() - 1).expect("memory ends before 2^32 nodes")
        })
    }

    /// How many nodes hang below the root.
    #[cfg(test)]
    pub(super) fn nodes_len(&self) -> usize {
        self.nodes.len() - 1 - self.free.len()
    }
}

impl Node {
    fn is_empty(&self) -> bool {
        let childless = self.children == 0 && self.one.is_none() && self.tail.is_none();
        childless && self.listeners.is_empty()
    }
}

/// Appends the first listener of each connection that is not dormant; `listeners` come sorted.
fn append_first<'a>(
    listeners: impl Iterator<Item = (&'a (Key, u32), &'a Listener)>,
    found: &mut Vec<Match>,
) {
    let mut last = None;
    for (&(key, subscription), listener) in listeners {
        if !listener.dormant && last.replace(key) != Some(key) {
            found.push(Match {
                key,
                subscription,
                policy: listener.policy,
            });
        }
    }
}

/// What the map of children is keyed by.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Child {
    parent: NodeIndex,
    segment: Box<str>,
}

/// A [`Child`] to look for: hashes as it does, field by field.
#[derive(Hash)]
struct ChildRef<'a> {
    parent: NodeIndex,
    segment: &'a str,
}

impl Equivalent<Child> for ChildRef<'_> {
    fn equivalent(&self, child: &Child) -> bool {
        self.parent == child.parent && *self.segment == *child.segment
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec;

    use super::*;
    use crate::ConnectionId;
    use crate::registry::{Registry, SubscribeError};

    fn registry(connections: u8) -> (Registry<()>, Vec<Key>) {
        let mut registry = Registry::new([7; 16]);
        let keys = (0..connections)
            .map(|number| {
                let id = ConnectionId::from_bytes([number; 16]);
                registry.insert(id, None, ()).expect("a new id")
            })
            .collect();
        (registry, keys)
    }

    fn subscribe(
        registry: &mut Registry<()>,
        key: Key,
        number: u32,
        filter: &str,
    ) -> Result<(), SubscribeError> {
        let filter = TopicFilter::new(filter).expect("a good filter");
        registry.subscribe(key, number, filter, Policy::Disconnect, 4)
    }

    fn heard(registry: &Registry<()>, topic: &str) -> Vec<(Key, u32)> {
        let mut found = Vec::new();
        registry.matching(Topic::new(topic).expect("a good topic"), &mut found);
        found
            .iter()
            .map(|found| (found.key, found.subscription))
            .collect()
    }

    #[test]
    fn a_connection_hears_a_topic_once_through_its_subscription_with_the_lowest_number() {
        let (mut registry, keys) = registry(2);
        subscribe(&mut registry, keys[1], 3, "a/b").expect("room");
        subscribe(&mut registry, keys[1], 9, "a/*").expect("room");
        subscribe(&mut registry, keys[1], 1, "a/*").expect("room");
        subscribe(&mut registry, keys[0], 5, "**").expect("room");
        assert_eq!(heard(&registry, "a/b"), [(keys[0], 5), (keys[1], 1)]);
        assert!(registry.unsubscribe(keys[1], 1));
        assert_eq!(heard(&registry, "a/b"), [(keys[0], 5), (keys[1], 3)]);
        assert!(registry.unsubscribe(keys[1], 3));
        assert_eq!(heard(&registry, "a/b"), [(keys[0], 5), (keys[1], 9)]);
    }

    #[test]
    fn a_dormant_subscription_leaves_the_topic_to_the_next() {
        let (mut registry, keys) = registry(1);
        subscribe(&mut registry, keys[0], 1, "a/*").expect("room");
        subscribe(&mut registry, keys[0], 2, "a/b").expect("room");
        assert!(registry.sleep(keys[0], 1));
        assert!(!registry.sleep(keys[0], 1), "it does already");
        assert_eq!(heard(&registry, "a/b"), [(keys[0], 2)]);
        assert_eq!(heard(&registry, "a/c"), []);
        assert_eq!(registry.subscriptions_of(keys[0]).count(), 2);
        let taken = Err(SubscribeError::NumberTaken);
        assert_eq!(subscribe(&mut registry, keys[0], 1, "b"), taken);
        assert!(registry.wake(keys[0], 1));
        assert!(!registry.wake(keys[0], 1) && !registry.wake(keys[0], 7));
        assert_eq!(heard(&registry, "a/b"), [(keys[0], 1)]);
        assert!(registry.sleep(keys[0], 1) && registry.unsubscribe(keys[0], 1));
        assert_eq!(registry.subscriptions_len(), 1);
    }

    #[test]
    fn the_same_filter_twice_is_heard_once() {
        let (mut registry, keys) = registry(1);
        subscribe(&mut registry, keys[0], 2, "a").expect("room");
        subscribe(&mut registry, keys[0], 1, "a").expect("room");
        assert_eq!(heard(&registry, "a"), [(keys[0], 1)]);
    }

    #[test]
    fn matches_are_appended() {
        let (mut registry, keys) = registry(1);
        subscribe(&mut registry, keys[0], 1, "a").expect("room");
        let topic = Topic::new("a").expect("a good topic");
        let mut found = Vec::new();
        registry.matching(topic, &mut found);
        registry.matching(topic, &mut found);
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn a_number_is_taken_until_it_is_unsubscribed() {
        let (mut registry, keys) = registry(2);
        assert_eq!(subscribe(&mut registry, keys[0], 1, "a"), Ok(()));
        let taken = Err(SubscribeError::NumberTaken);
        assert_eq!(subscribe(&mut registry, keys[0], 1, "b"), taken);
        assert_eq!(subscribe(&mut registry, keys[1], 1, "b"), Ok(()));
        assert!(registry.unsubscribe(keys[0], 1));
        assert!(!registry.unsubscribe(keys[0], 1));
        assert_eq!(subscribe(&mut registry, keys[0], 1, "b"), Ok(()));
    }

    #[test]
    fn subscriptions_are_bounded_and_end_with_the_connection() {
        let (mut registry, keys) = registry(1);
        for number in 0..4 {
            assert_eq!(subscribe(&mut registry, keys[0], number, "a/b"), Ok(()));
        }
        let refused = Err(SubscribeError::TooMany { max: 4 });
        assert_eq!(subscribe(&mut registry, keys[0], 4, "c"), refused);
        assert!(registry.remove(keys[0]).is_some());
        assert_eq!(registry.subscriptions_len(), 0);
        let gone = Err(SubscribeError::Gone);
        assert_eq!(subscribe(&mut registry, keys[0], 0, "a"), gone);
    }

    #[test]
    fn the_subscriptions_of_a_connection_are_told_as_they_were_made() {
        let (mut registry, keys) = registry(1);
        let filter = TopicFilter::new("a/*/**").expect("a good filter");
        let policy = Policy::KeepLatest;
        assert_eq!(registry.subscribe(keys[0], 2, filter, policy, 4), Ok(()));
        assert_eq!(subscribe(&mut registry, keys[0], 1, "b"), Ok(()));
        let told: Vec<_> = registry.subscriptions_of(keys[0]).collect();
        let made = vec![(1, "b", Policy::Disconnect), (2, "a/*/**", policy)];
        assert_eq!(told, made);
    }

    #[test]
    fn nodes_are_freed_with_their_last_filter_and_used_again() {
        let (mut registry, keys) = registry(1);
        let deepest: String = ["x"; 16].join("/");
        for _ in 0..100 {
            subscribe(&mut registry, keys[0], 1, "x/x/**").expect("room");
            subscribe(&mut registry, keys[0], 2, &deepest).expect("room");
            assert_eq!(registry.subscriptions.nodes_len(), 17);
            assert!(registry.unsubscribe(keys[0], 2));
            assert_eq!(registry.subscriptions.nodes_len(), 3);
            assert!(registry.unsubscribe(keys[0], 1));
            assert_eq!(registry.subscriptions.nodes_len(), 0);
        }
        assert_eq!(registry.subscriptions.nodes.len(), 18);
        assert!(registry.subscriptions.children.is_empty());
    }
}
