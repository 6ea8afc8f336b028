//! Which task is polled next, and when time moves.

use core::mem;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::Waker;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Wake;

use lapwing::Instant;
use lapwing::runtime::BoxFuture;

use super::chance::below;
use super::current::{Turn, Wait};
use super::diary::Diary;
use super::processes::{Membership, Processes};
use super::ready::{Ready, TaskWake};
use super::stuck::{Parked, Stuck};
use super::tasks::{Key, Task, Tasks};
use super::trace::Trace;
use crate::crash::Crash;

/// The number of the future given to `run`.
pub(super) const MAIN: u64 = 0;

/// A second of real time, about; no honest program polls that often in no time at all.
const POLLS_MAX: u64 = 10_000_000;

/// What all handles of one virtual runtime share.
///
/// Its lock is never held while foreign code runs: no poll, no wake, no drop of a future.
pub(super) struct Scheduler {
    ready: Arc<Ready>,
    /// The time of `state`, to be read without its lock.
    clock: AtomicU64,
    state: Mutex<State>,
}

/// Clock, tasks and chance of one run.
pub(super) struct State {
    now: Instant,
    pub(super) trace: Trace,
    pub(super) diary: Diary,
    /// Chance for the program; apart from `order`, so that one more draw does not reorder the tasks.
    pub(super) chance: fastrand::Rng,
    /// Who is to be woken when; the number tells timers of one instant apart. All of them are to come.
    pub(super) timers: BTreeMap<(Instant, u64), Waker>,
    /// Who waits for all others to rest, in order.
    pub(super) settling: BTreeMap<u64, Waker>,
    pub(super) seed: u64,
    /// What hubs are told of threads.
    pub(super) threads: usize,
    order: fastrand::Rng,
    /// Chance for tasks that are dropped.
    faults: fastrand::Rng,
    processes: Processes,
    /// Whose task is being polled, until the next is: it may be dropped when its poll is over.
    polling: Option<Membership>,
    tasks: Tasks,
    main: Option<Key>,
    spawned: u64,
    numbers: u64,
    /// How often tasks were polled since time last moved.
    polls: u64,
    pub(super) polls_max: u64,
    ended: bool,
}

/// A task that is to be polled, with all that its poll needs.
pub(super) struct Picked {
    key: Key,
    /// `None` is the future given to `run`.
    pub(super) future: Option<BoxFuture<'static, ()>>,
    pub(super) waker: Waker,
    pub(super) turn: Turn,
}

impl Scheduler {
    pub(super) fn new(seed: u64) -> Self {
        let mut order = fastrand::Rng::with_seed(seed);
        let chance = order.fork();
        Self {
            ready: Arc::default(),
            clock: AtomicU64::new(0),
            state: Mutex::new(State {
                now: Instant::default(),
                trace: Trace::default(),
                diary: Diary::default(),
                chance,
                timers: BTreeMap::new(),
                settling: BTreeMap::new(),
                seed,
                threads: 1,
                order,
                faults: fastrand::Rng::with_seed(!seed),
                processes: Processes::default(),
                polling: None,
                tasks: Tasks::default(),
                main: None,
                spawned: 0,
                numbers: 0,
                polls: 0,
                polls_max: POLLS_MAX,
                ended: false,
            }),
        }
    }

    /// A panic of a task leaves nothing half done in here, so a poisoned lock is as good as new.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Instant {
        Instant::from_micros(self.clock.load(Ordering::Acquire))
    }

    /// Takes in a task, of a process or of none; drops it when nobody may run it any more.
    pub(super) fn spawn(
        &self,
        process: Option<usize>,
        name: Option<String>,
        future: BoxFuture<'static, ()>,
    ) {
        let mut state = self.lock();
        let spawner = state.polling;
        let member = process.map(|process| state.processes.admit(process, spawner));
        if state.ended || member == Some(None) {
            drop(state);
            drop(future);
            return;
        }
        state.spawned += 1;
        let number = state.spawned;
        state.insert(number, name, member.flatten(), Some(future), &self.ready);
    }

    /// Drops the tasks of a process, and all that it holds.
    pub(super) fn crash(&self, process: usize, crash: Crash) {
        let mut state = self.lock();
        let life = state.processes.crash(process);
        let _crashing = Crashing(self, process);
        let lost = state.take_tasks(|task| task.is_of(process));
        drop(state);
        // First the connections: tasks that are dropped say no goodbye.
        life.end(crash);
        drop(lost);
    }

    /// Drops one task; whether there was one.
    pub(super) fn drop_task(&self, key: Key) -> bool {
        let task = self.lock().tasks.remove(key);
        task.is_some()
    }

    pub(super) fn pause(&self, process: usize) {
        self.lock().processes.pause(process);
    }

    pub(super) fn go_on(&self, process: usize) {
        let ready = self.lock().processes.go_on(process);
        self.ready.put(ready);
    }

    /// Lets the clock leap ahead; all that is due until then is due at once.
    pub(super) fn jump(&self, duration: Duration) {
        let mut state = self.lock();
        let now = state.now + duration;
        let wakers = self.move_clock(&mut state, now);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Drops all tasks, and from now on whatever is spawned.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        let main = state.main;
        let tasks = state.take_tasks(|task| main.is_none_or(|main| !task.wake.is_for(main)));
        drop(state);
        drop(tasks);
    }

    /// Takes in the future given to `run`, until the result is dropped.
    pub(super) fn begin(&self) -> Running<'_> {
        let mut state = self.lock();
        let nested = state.main.is_some();
        if !nested {
            let main = state.insert(MAIN, Some("run".into()), None, None, &self.ready);
            state.main = Some(main);
        }
        drop(state);
        assert!(!nested, "this virtual runtime runs already");
        Running(self)
    }

    /// The task to be polled; wakes whoever waits for time or for quiet when none is ready.
    pub(super) fn next(&self) -> Result<Picked, Stuck> {
        loop {
            let mut state = self.lock();
            while let Some(key) = self.ready.take_one(&mut state.order) {
                if state.is_held(key) {
                    continue;
                }
                state.polls += 1;
                if state.polls > state.polls_max {
                    return Err(state.livelock());
                }
                // Without one, it has ended since it was woken.
                if let Some(picked) = state.begin_turn(key) {
                    return Ok(picked);
                }
            }
            let wakers = self.rest(&mut state).ok_or_else(|| state.deadlock())?;
            drop(state);
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    /// Keeps what the poll of a task has left behind, and its future while it is `pending`.
    pub(super) fn end_turn(&self, picked: Picked, pending: bool) {
        let Picked {
            key, future, waker, ..
        } = picked;
        let mut state = self.lock();
        state.trace = picked.turn.trace;
        let now = state.now;
        state.diary.add(now, picked.turn.notes);
        let Some(task) = state.tasks.get_mut(key) else {
            // It was dropped meanwhile, and its future goes with it.
            drop(state);
            return drop(future);
        };
        task.waits = picked.turn.waits;
        task.life = picked.turn.life;
        task.waker = Some(waker);
        if pending {
            task.future = future;
            return;
        }
        drop(state);
        // A task is counted until nothing is left of it.
        drop(future);
        let task = self.lock().tasks.remove(key);
        drop(task);
    }

    /// Whom to wake when no task is ready: the first who waits for that, else those of the next instant with a timer.
    fn rest(&self, state: &mut State) -> Option<Vec<Waker>> {
        if let Some((_, waker)) = state.settling.pop_first() {
            return Some(vec![waker]);
        }
        let ((at, _), _) = state.timers.first_key_value()?;
        // A thread beside this one may have armed what was due meanwhile.
        let now = state.now.max(*at);
        Some(self.move_clock(state, now))
    }

    /// Whom to wake now that it is `now`.
    fn move_clock(&self, state: &mut State, now: Instant) -> Vec<Waker> {
        state.now = now;
        state.polls = 0;
        self.clock.store(now.as_micros(), Ordering::Release);
        let mut due = Vec::new();
        while let Some(first) = state
            .timers
            .first_entry()
            .filter(|first| first.key().0 <= now)
        {
            due.push(first.remove());
        }
        due
    }
}

impl State {
    /// A number for a timer or a place in line.
    pub(super) fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn tasks(&self) -> usize {
        self.tasks.count() - usize::from(self.main.is_some())
    }

    /// The number of the process of that name.
    pub(super) fn process(&mut self, name: &str) -> usize {
        self.processes.named(name, self.seed)
    }

    pub(super) fn chance_of(&mut self, process: usize) -> &mut fastrand::Rng {
        self.processes.chance(process)
    }

    /// The tasks of a process, in the order of their spawning.
    pub(super) fn tasks_of(&self, process: usize) -> Vec<Key> {
        self.tasks.keys(|task| task.is_of(process))
    }

    pub(super) fn pick_task_of(&mut self, process: usize) -> Option<Key> {
        let mut keys = self.tasks_of(process);
        match keys.len() {
            0 => None,
            count => Some(keys.swap_remove(below(&mut self.faults, count))),
        }
    }

    fn take_tasks(&mut self, wanted: impl Fn(&Task) -> bool) -> Vec<Task> {
        let keys = self.tasks.keys(wanted);
        let tasks = keys.into_iter().map(|key| self.tasks.remove(key));
        tasks.flatten().collect()
    }

    /// Whether the task must wait until its process goes on.
    fn is_held(&mut self, key: Key) -> bool {
        let member = self.tasks.get(key).and_then(|task| task.member);
        member.is_some_and(|member| self.processes.holds(member, key))
    }

    fn insert(
        &mut self,
        number: u64,
        name: Option<String>,
        member: Option<Membership>,
        future: Option<BoxFuture<'static, ()>>,
        ready: &Arc<Ready>,
    ) -> Key {
        let life = member.map(|member| self.processes.life(member.process).clone());
        self.tasks.insert(number, |key| {
            let wake = TaskWake::new(key, ready);
            wake.wake_by_ref();
            Task {
                name,
                member,
                life,
                future,
                waker: Some(wake.clone().into()),
                wake,
                waits: Vec::new(),
            }
        })
    }

    fn begin_turn(&mut self, key: Key) -> Option<Picked> {
        let task = self.tasks.get_mut(key)?;
        // Without one, a panic has ended its poll.
        let waker = task.waker.take()?;
        task.waits.clear();
        task.wake.begin_turn();
        self.polling = task.member;
        self.trace.add(key.number);
        self.trace.add(self.now.as_micros());
        Some(Picked {
            key,
            future: task.future.take(),
            waker,
            turn: Turn {
                trace: self.trace,
                waits: mem::take(&mut task.waits),
                notes: Vec::new(),
                life: task.life.take(),
            },
        })
    }

    fn deadlock(&self) -> Stuck {
        Stuck::Deadlock {
            elapsed: self.now.since(Instant::default()),
            tasks: self.parked(|_| true),
        }
    }

    fn livelock(&self) -> Stuck {
        Stuck::Livelock {
            elapsed: self.now.since(Instant::default()),
            polls: self.polls,
            tasks: self.parked(|task| task.wake.is_queued()),
        }
    }

    fn parked(&self, wanted: impl Fn(&Task) -> bool) -> Vec<Parked> {
        let keys = self.tasks.keys(wanted).into_iter();
        keys.filter_map(|key| Some(parked(key, self.tasks.get(key)?)))
            .collect()
    }
}

fn parked(key: Key, task: &Task) -> Parked {
    Parked {
        number: key.number,
        name: task.name.clone(),
        waits: task.waits.iter().map(Wait::to_string).collect(),
    }
}

/// The time in which `run` is under way, ended even by a panic.
pub(super) struct Running<'a>(&'a Scheduler);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.polling = None;
        let main = state.main.take();
        let task = main.and_then(|main| state.tasks.remove(main));
        self.0.ready.forget(MAIN);
        drop(state);
        drop(task);
    }
}

/// The time in which the tasks of a process are dropped.
struct Crashing<'a>(&'a Scheduler, usize);

impl Drop for Crashing<'_> {
    fn drop(&mut self) {
        self.0.lock().processes.crashed(self.1);
    }
}
