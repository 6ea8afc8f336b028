//! Which task is polled next, and when time moves.

use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Wake;

use lapwing::Instant;
use lapwing::runtime::BoxFuture;

use super::current::{self, Turn, Wait};
use super::processes::{Membership, Processes};
use super::ready::{Ready, TaskWake};
use super::stuck::{Parked, Stuck};
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
    state: Mutex<State>,
}

/// Clock, tasks and chance of one run.
pub(super) struct State {
    pub(super) now: Instant,
    pub(super) trace: Trace,
    /// Chance for the program; apart from `order`, so that one more draw does not reorder the tasks.
    pub(super) chance: fastrand::Rng,
    /// Who is to be woken when; the number tells timers of one instant apart.
    pub(super) timers: BTreeMap<(Instant, u64), Waker>,
    /// Who waits for all others to rest, in order.
    pub(super) settling: BTreeMap<u64, Waker>,
    pub(super) seed: u64,
    order: fastrand::Rng,
    /// Chance for tasks that are dropped.
    faults: fastrand::Rng,
    processes: Processes,
    /// Whose task is being polled, until the next is: it may be dropped when its poll is over.
    polling: Option<Membership>,
    tasks: BTreeMap<u64, Task>,
    spawned: u64,
    numbers: u64,
    /// How often tasks were polled since time last moved.
    polls: u64,
    pub(super) polls_max: u64,
    running: bool,
    ended: bool,
}

struct Task {
    name: Option<String>,
    member: Option<Membership>,
    /// `None` while it is being polled, and for the future given to `run`, which is not ours.
    future: Option<BoxFuture<'static, ()>>,
    wake: Arc<TaskWake>,
    waits: Vec<Wait>,
}

impl Scheduler {
    pub(super) fn new(seed: u64) -> Self {
        let mut order = fastrand::Rng::with_seed(seed);
        let chance = order.fork();
        Self {
            ready: Arc::default(),
            state: Mutex::new(State {
                now: Instant::default(),
                trace: Trace::default(),
                chance,
                timers: BTreeMap::new(),
                settling: BTreeMap::new(),
                seed,
                order,
                faults: fastrand::Rng::with_seed(!seed),
                processes: Processes::default(),
                polling: None,
                tasks: BTreeMap::new(),
                spawned: 0,
                numbers: 0,
                polls: 0,
                polls_max: POLLS_MAX,
                running: false,
                ended: false,
            }),
        }
    }

    /// A panic of a task leaves nothing half done in here, so a poisoned lock is as good as new.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        let lost = state.take_tasks_of(process);
        drop(state);
        // First the connections: tasks that are dropped say no goodbye.
        life.end(crash);
        drop(lost);
    }

    /// Drops one task; whether there was one.
    pub(super) fn drop_task(&self, number: u64) -> bool {
        let task = self.lock().tasks.remove(&number);
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
        let wakers = state.move_clock(now);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Drops all tasks, and from now on whatever is spawned.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        let mut tasks = mem::take(&mut state.tasks);
        if let Some(main) = tasks.remove(&MAIN) {
            state.tasks.insert(MAIN, main);
        }
        drop(state);
        drop(tasks);
    }

    /// Takes in the future given to `run`, until the result is dropped.
    pub(super) fn begin(&self) -> Running<'_> {
        let mut state = self.lock();
        let nested = mem::replace(&mut state.running, true);
        if !nested {
            state.insert(MAIN, Some("run".into()), None, None, &self.ready);
        }
        drop(state);
        assert!(!nested, "this virtual runtime runs already");
        Running(self)
    }

    /// The number of the task to be polled; wakes whoever waits for time or for quiet when there is none.
    pub(super) fn next(&self) -> Result<u64, Stuck> {
        loop {
            let mut state = self.lock();
            if let Some(number) = self.ready.take_one(&mut state.order) {
                if state.is_held(number) {
                    continue;
                }
                state.polls += 1;
                if state.polls > state.polls_max {
                    return Err(state.livelock());
                }
                return Ok(number);
            }
            let wakers = state.rest().ok_or_else(|| state.deadlock())?;
            drop(state);
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    /// Polls the task, unless it has ended meanwhile.
    pub(super) fn poll_task(&self, number: u64) {
        let future = self
            .lock()
            .tasks
            .get_mut(&number)
            .and_then(|task| task.future.take());
        let Some(mut future) = future else { return };
        if self.poll(number, future.as_mut()).is_ready() {
            drop(future);
            let task = self.lock().tasks.remove(&number);
            drop(task);
            return;
        }
        // The task is gone when the owner of the runtime was dropped meanwhile; the future goes with it.
        if let Some(task) = self.lock().tasks.get_mut(&number) {
            task.future = Some(future);
        }
    }

    /// Polls `future` as the task `number`, and keeps what it leaves behind.
    pub(super) fn poll<F: Future + ?Sized>(
        &self,
        number: u64,
        future: Pin<&mut F>,
    ) -> Poll<F::Output> {
        let Some((wake, turn)) = self.lock().begin_turn(number) else {
            return Poll::Pending;
        };
        wake.begin_turn();
        let waker = Waker::from(wake);
        let (poll, turn) = current::during(turn, || future.poll(&mut Context::from_waker(&waker)));
        self.lock().end_turn(number, turn);
        poll
    }
}

impl State {
    /// A number for a timer or a place in line.
    pub(super) fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn tasks(&self) -> usize {
        self.tasks.keys().filter(|number| **number != MAIN).count()
    }

    /// The number of the process of that name.
    pub(super) fn process(&mut self, name: &str) -> usize {
        self.processes.named(name, self.seed)
    }

    pub(super) fn chance_of(&mut self, process: usize) -> &mut fastrand::Rng {
        self.processes.chance(process)
    }

    /// The numbers of the tasks of a process, in the order of their spawning.
    pub(super) fn tasks_of(&self, process: usize) -> impl Iterator<Item = u64> {
        let is_its = move |task: &Task| task.member.is_some_and(|member| member.process == process);
        let its = self.tasks.iter().filter(move |(_, task)| is_its(task));
        its.map(|(number, _)| *number)
    }

    pub(super) fn pick_task_of(&mut self, process: usize) -> Option<u64> {
        let count = self.tasks_of(process).count();
        let index = (count > 0).then(|| self.faults.usize(..count))?;
        self.tasks_of(process).nth(index)
    }

    fn take_tasks_of(&mut self, process: usize) -> Vec<Task> {
        let numbers: Vec<_> = self.tasks_of(process).collect();
        let tasks = numbers.iter().map(|number| self.tasks.remove(number));
        tasks.flatten().collect()
    }

    /// Whether the task must wait until its process goes on.
    fn is_held(&mut self, number: u64) -> bool {
        let member = self.tasks.get(&number).and_then(|task| task.member);
        member.is_some_and(|member| self.processes.holds(member, number))
    }

    fn insert(
        &mut self,
        number: u64,
        name: Option<String>,
        member: Option<Membership>,
        future: Option<BoxFuture<'static, ()>>,
        ready: &Arc<Ready>,
    ) {
        let wake = TaskWake::new(number, ready);
        wake.wake_by_ref();
        let task = Task {
            name,
            member,
            future,
            wake,
            waits: Vec::new(),
        };
        self.tasks.insert(number, task);
    }

    fn begin_turn(&mut self, number: u64) -> Option<(Arc<TaskWake>, Turn)> {
        let task = self.tasks.get_mut(&number)?;
        task.waits.clear();
        self.trace.add(number);
        self.trace.add(self.now.as_micros());
        self.polling = task.member;
        let life = |member: Membership| self.processes.life(member.process).clone();
        let turn = Turn {
            trace: self.trace,
            life: task.member.map(life),
            waits: mem::take(&mut task.waits),
        };
        Some((task.wake.clone(), turn))
    }

    fn end_turn(&mut self, number: u64, turn: Turn) {
        self.trace = turn.trace;
        if let Some(task) = self.tasks.get_mut(&number) {
            task.waits = turn.waits;
        }
    }

    /// Whom to wake when no task is ready: the first who waits for that, else those of the next instant with a timer.
    fn rest(&mut self) -> Option<Vec<Waker>> {
        if let Some((_, waker)) = self.settling.pop_first() {
            return Some(vec![waker]);
        }
        let ((now, _), _) = self.timers.first_key_value()?;
        Some(self.move_clock(*now))
    }

    /// Whom to wake now that it is `now`.
    fn move_clock(&mut self, now: Instant) -> Vec<Waker> {
        self.now = now;
        self.polls = 0;
        let later = self.timers.split_off(&(now, u64::MAX));
        let due = mem::replace(&mut self.timers, later);
        due.into_values().collect()
    }

    fn deadlock(&self) -> Stuck {
        Stuck::Deadlock {
            elapsed: self.now.since(Instant::default()),
            tasks: self.tasks.iter().map(parked).collect(),
        }
    }

    fn livelock(&self) -> Stuck {
        let is_ready = |task: &(&u64, &Task)| task.1.wake.is_queued();
        Stuck::Livelock {
            elapsed: self.now.since(Instant::default()),
            polls: self.polls,
            tasks: self.tasks.iter().filter(is_ready).map(parked).collect(),
        }
    }
}

fn parked((number, task): (&u64, &Task)) -> Parked {
    Parked {
        number: *number,
        name: task.name.clone(),
        waits: task.waits.iter().map(Wait::to_string).collect(),
    }
}

/// The time in which `run` is under way, ended even by a panic.
pub(super) struct Running<'a>(&'a Scheduler);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.running = false;
        state.polling = None;
        let main = state.tasks.remove(&MAIN);
        self.0.ready.forget(MAIN);
        drop(state);
        drop(main);
    }
}

/// The time in which the tasks of a process are dropped.
struct Crashing<'a>(&'a Scheduler, usize);

impl Drop for Crashing<'_> {
    fn drop(&mut self) {
        self.0.lock().processes.crashed(self.1);
    }
}
