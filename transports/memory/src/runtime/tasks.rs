//! The tasks of a virtual runtime, found again without a search.

use std::sync::Arc;
use std::task::Waker;

use lapwing::runtime::BoxFuture;

use super::current::Wait;
use super::processes::Membership;
use super::ready::TaskWake;
use crate::crash::Life;

/// Names a task: its place, and the number that tells it from those that had the place before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    place: usize,
    pub(super) number: u64,
}

/// Something that is polled. What a poll needs is taken out for its time.
pub(super) struct Task {
    pub(super) name: Option<String>,
    pub(super) member: Option<Membership>,
    pub(super) life: Option<Arc<Life>>,
    /// `None` also for the future given to `run`, which is not ours.
    pub(super) future: Option<BoxFuture<'static, ()>>,
    pub(super) wake: Arc<TaskWake>,
    pub(super) waker: Option<Waker>,
    pub(super) waits: Vec<Wait>,
}

impl Task {
    /// Whether it belongs to that process.
    pub(super) fn is_of(&self, process: usize) -> bool {
        self.member.is_some_and(|member| member.process == process)
    }
}

#[derive(Default)]
pub(super) struct Tasks {
    places: Vec<Option<(u64, Task)>>,
    free: Vec<usize>,
}

impl Tasks {
    pub(super) fn count(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Takes in what `task` makes of its key.
    pub(super) fn insert(&mut self, number: u64, task: impl FnOnce(Key) -> Task) -> Key {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        let key = Key { place, number };
        self.places[place] = Some((number, task(key)));
        key
    }

    pub(super) fn get(&self, key: Key) -> Option<&Task> {
        let (number, task) = self.places[key.place].as_ref()?;
        (*number == key.number).then_some(task)
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Task> {
        let (number, task) = self.places[key.place].as_mut()?;
        (*number == key.number).then_some(task)
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<Task> {
        let place = &mut self.places[key.place];
        let (_, task) = place.take_if(|(number, _)| *number == key.number)?;
        self.free.push(key.place);
        Some(task)
    }

    /// All that `wanted` names, in the order of their spawning.
    pub(super) fn keys(&self, wanted: impl Fn(&Task) -> bool) -> Vec<Key> {
        let all = self.places.iter().enumerate();
        let mut keys: Vec<_> = all
            .filter_map(|(place, taken)| {
                let (number, task) = taken.as_ref()?;
                let number = *number;
                wanted(task).then_some(Key { place, number })
            })
            .collect();
        keys.sort_unstable_by_key(|key| key.number);
        keys
    }
}
