//! The registry against a naive model that scans everything.

use std::collections::BTreeSet;
use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

const GROUPS_MAX: usize = 2;
const SUBSCRIPTIONS_MAX: usize = 4;
const NAMES: [&str; 3] = ["ann", "bob", "cid"];
const SEGMENTS: [&str; 4] = ["a", "b", "*", "**"];

#[derive(Clone, Debug)]
enum Step {
    Insert(u8, Option<&'static str>),
    /// With the key at this place among all that were ever given: often one that is gone.
    With(usize, Action),
}

#[derive(Clone, Debug)]
enum Action {
    Remove,
    Join(&'static str),
    Leave(&'static str),
    Subscribe(u32, String, Policy),
    Unsubscribe(u32),
    Sleep(u32),
    Wake(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let user = proptest::option::of(name());
    prop_oneof![
        1 => (0..6_u8, user).prop_map(|(id, user)| Step::Insert(id, user)),
        4 => (any::<usize>(), action()).prop_map(|(place, action)| Step::With(place, action)),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        1 => Just(Action::Remove),
        3 => name().prop_map(Action::Join),
        2 => name().prop_map(Action::Leave),
        8 => (0..6_u32, filter(), policy())
            .prop_map(|(number, filter, policy)| Action::Subscribe(number, filter, policy)),
        3 => (0..6_u32).prop_map(Action::Unsubscribe),
        3 => (0..6_u32).prop_map(Action::Sleep),
        2 => (0..6_u32).prop_map(Action::Wake),
    ]
}

fn name() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&NAMES[..])
}

fn filter() -> impl Strategy<Value = String> {
    let segment = proptest::sample::select(&SEGMENTS[..]);
    proptest::collection::vec(segment, 1..4)
        .prop_map(|segments| segments.join("/"))
        .prop_filter("** is last", |filter| TopicFilter::new(filter).is_ok())
}

fn policy() -> impl Strategy<Value = Policy> {
    proptest::sample::select(
        &[
            Policy::Disconnect,
            Policy::DropOldest,
            Policy::DropNewest,
            Policy::KeepLatest,
        ][..],
    )
}

/// All topics of one to three segments.
fn topics() -> Vec<String> {
    let mut topics = Vec::from(["a".to_string(), "b".to_string()]);
    for index in 0..6 {
        for segment in ["a", "b"] {
            topics.push([&topics[index], segment].join("/"));
        }
    }
    topics
}

struct Connection {
    key: Key,
    id: ConnectionId,
    user: Option<&'static str>,
    groups: BTreeSet<&'static str>,
    subscriptions: Vec<(u32, String, Policy)>,
    dormant: BTreeSet<u32>,
    value: u64,
}

#[derive(Default)]
struct Model {
    connections: Vec<Connection>,
    keys: Vec<Key>,
}

impl Model {
    fn key(&self, place: usize) -> Option<Key> {
        let last = self.keys.len().checked_sub(1)?;
        Some(self.keys[place % (last + 1)])
    }

    fn connection(&mut self, key: Key) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|known| known.key == key)
    }

    fn insert(&mut self, id: u8, user: Option<&'static str>, registry: &mut Registry<u64>) {
        let id = ConnectionId::from_bytes([id; 16]);
        let value = self.keys.len() as u64;
        let key = registry.insert(id, user.map(UserId::from), value);
        let taken = self.connections.iter().any(|known| known.id == id);
        assert_eq!(key.is_none(), taken);
        let Some(key) = key else { return };
        assert!(!self.keys.contains(&key));
        self.keys.push(key);
        self.connections.push(Connection {
            key,
            id,
            user,
            groups: BTreeSet::new(),
            subscriptions: Vec::new(),
            dormant: BTreeSet::new(),
            value,
        });
        self.connections.sort_by_key(|known| known.key);
    }

    fn remove(&mut self, key: Key) -> Option<u64> {
        let place = self.connections.iter().position(|known| known.key == key)?;
        Some(self.connections.remove(place).value)
    }

    fn join(&mut self, key: Key, group: &'static str) -> Result<bool, JoinError> {
        let groups = &mut self.connection(key).ok_or(JoinError::Gone)?.groups;
        match groups.contains(group) {
            true => Ok(false),
            false if groups.len() == GROUPS_MAX => Err(JoinError::TooMany { max: GROUPS_MAX }),
            false => Ok(groups.insert(group)),
        }
    }

    fn leave(&mut self, key: Key, group: &str) -> bool {
        let connection = self.connection(key);
        connection.is_some_and(|connection| connection.groups.remove(group))
    }

    fn subscribe(
        &mut self,
        key: Key,
        subscription: (u32, String, Policy),
    ) -> Result<(), SubscribeError> {
        let connection = self.connection(key).ok_or(SubscribeError::Gone)?;
        let held = &mut connection.subscriptions;
        if held.iter().any(|held| held.0 == subscription.0) {
            return Err(SubscribeError::NumberTaken);
        }
        if held.len() == SUBSCRIPTIONS_MAX {
            let max = SUBSCRIPTIONS_MAX;
            return Err(SubscribeError::TooMany { max });
        }
        held.push(subscription);
        Ok(())
    }

    fn unsubscribe(&mut self, key: Key, number: u32) -> bool {
        let Some(connection) = self.connection(key) else {
            return false;
        };
        let before = connection.subscriptions.len();
        connection.subscriptions.retain(|held| held.0 != number);
        connection.dormant.remove(&number);
        connection.subscriptions.len() < before
    }

    fn sleep(&mut self, key: Key, number: u32) -> bool {
        self.connection(key).is_some_and(|known| {
            known.subscriptions.iter().any(|held| held.0 == number) && known.dormant.insert(number)
        })
    }

    fn wake(&mut self, key: Key, number: u32) -> bool {
        let connection = self.connection(key);
        connection.is_some_and(|known| known.dormant.remove(&number))
    }

    fn matching(&self, topic: Topic<'_>) -> Vec<Match> {
        let matches = |filter: &str| {
            let filter = TopicFilter::new(filter).expect("checked when it was made");
            filter.matches(topic)
        };
        let connections = self.connections.iter();
        connections
            .filter_map(|connection| {
                let held = connection.subscriptions.iter();
                let (number, _, policy) = held
                    .filter(|(number, filter, _)| {
                        matches(filter) && !connection.dormant.contains(number)
                    })
                    .min_by_key(|(number, ..)| number)?;
                Some(Match {
                    key: connection.key,
                    subscription: *number,
                    policy: *policy,
                })
            })
            .collect()
    }

    fn select(&self, of: impl Fn(&Connection) -> bool) -> Vec<(Key, u64)> {
        let selected = self.connections.iter().filter(|known| of(known));
        selected.map(|known| (known.key, known.value)).collect()
    }
}

/// Takes the same step on both sides, and compares what they answer.
fn take(step: Step, model: &mut Model, registry: &mut Registry<u64>) {
    match step {
        Step::Insert(id, user) => model.insert(id, user, registry),
        Step::With(place, action) => {
            if let Some(key) = model.key(place) {
                act(key, action, model, registry);
            }
        }
    }
}

fn act(key: Key, action: Action, model: &mut Model, registry: &mut Registry<u64>) {
    match action {
        Action::Remove => assert_eq!(registry.remove(key), model.remove(key)),
        Action::Join(group) => {
            let joined = registry.join(key, &group.into(), GROUPS_MAX);
            assert_eq!(joined, model.join(key, group));
        }
        Action::Leave(group) => assert_eq!(registry.leave(key, group), model.leave(key, group)),
        Action::Subscribe(number, filter, policy) => {
            let parsed = TopicFilter::new(&filter).expect("checked when it was made");
            let done = registry.subscribe(key, number, parsed, policy, SUBSCRIPTIONS_MAX);
            assert_eq!(done, model.subscribe(key, (number, filter, policy)));
        }
        Action::Unsubscribe(number) => {
            let done = registry.unsubscribe(key, number);
            assert_eq!(done, model.unsubscribe(key, number));
        }
        Action::Sleep(number) => {
            assert_eq!(registry.sleep(key, number), model.sleep(key, number));
        }
        Action::Wake(number) => {
            assert_eq!(registry.wake(key, number), model.wake(key, number));
        }
    }
}

fn compare(model: &Model, registry: &Registry<u64>) {
    compare_connections(model, registry);
    compare_names(model, registry);
    for name in topics() {
        let topic = Topic::new(&name).expect("a good topic");
        let mut found = Vec::new();
        registry.matching(topic, &mut found);
        assert_eq!(found, model.matching(topic), "{name}");
    }
}

fn compare_connections(model: &Model, registry: &Registry<u64>) {
    assert_eq!(registry.len(), model.connections.len());
    assert_eq!(registry.is_empty(), model.connections.is_empty());
    assert_eq!(pairs(registry.iter()), model.select(|_| true));
    for key in &model.keys {
        let known = model.connections.iter().find(|known| known.key == *key);
        compare_connection(*key, known, registry);
    }
    let held = model.connections.iter().map(|known| &known.subscriptions);
    assert_eq!(
        registry.subscriptions_len(),
        held.map(Vec::len).sum::<usize>()
    );
}

fn compare_connection(key: Key, known: Option<&Connection>, registry: &Registry<u64>) {
    assert_eq!(registry.get(key), known.map(|known| &known.value));
    assert_eq!(registry.id(key), known.map(|known| known.id));
    if let Some(known) = known {
        assert_eq!(registry.key(known.id), Some(key));
    }
    let user = registry.user(key).map(UserId::as_str);
    assert_eq!(user, known.and_then(|known| known.user));
    let groups = registry.groups_of(key).map(Group::as_str);
    assert!(groups.eq(known.iter().flat_map(|known| known.groups.iter().copied())));
    let told = registry.subscriptions_of(key);
    let mut held: Vec<_> = known
        .iter()
        .flat_map(|known| &known.subscriptions)
        .map(|(number, filter, policy)| (*number, filter.as_str(), *policy))
        .collect();
    held.sort_by_key(|held| held.0);
    assert_eq!(told.collect::<Vec<_>>(), held);
}

fn compare_names(model: &Model, registry: &Registry<u64>) {
    let mut groups = 0;
    let mut users = 0;
    for name in NAMES {
        let members = model.select(|known| known.groups.contains(name));
        groups += usize::from(!members.is_empty());
        assert_eq!(pairs(registry.members(name)), members);
        let connections = model.select(|known| known.user == Some(name));
        users += usize::from(!connections.is_empty());
        assert_eq!(pairs(registry.connections_of(name)), connections);
    }
    assert_eq!(registry.groups_len(), groups);
    assert_eq!(registry.users_len(), users);
}

fn pairs<'a>(found: impl Iterator<Item = (Key, &'a u64)>) -> Vec<(Key, u64)> {
    found.map(|(key, value)| (key, *value)).collect()
}

/// All that an audience could be made of.
fn audiences(model: &Model) -> impl PartialEq + use<> {
    let connections = model.connections.iter();
    connections
        .map(|known| {
            let subscriptions = known.subscriptions.clone();
            let dormant = known.dormant.clone();
            (known.key, known.groups.clone(), subscriptions, dormant)
        })
        .collect::<Vec<_>>()
}

proptest! {
    #[test]
    fn the_registry_answers_as_the_model_does(
        steps in proptest::collection::vec(step(), 0..80),
        seed: [u8; 16],
    ) {
        let mut model = Model::default();
        let mut registry = Registry::new(seed);
        for step in steps {
            let (before, epoch) = (audiences(&model), registry.epoch());
            take(step, &mut model, &mut registry);
            compare(&model, &registry);
            prop_assert_eq!(registry.epoch() == epoch, audiences(&model) == before);
        }
        for key in model.keys.clone() {
            prop_assert_eq!(registry.remove(key), model.remove(key));
            compare(&model, &registry);
        }
        prop_assert_eq!(registry.subscriptions.nodes_len(), 0);
    }
}
