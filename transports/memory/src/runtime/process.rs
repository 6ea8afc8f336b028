//! A process: tasks that crash together.

use core::fmt;
use core::future::Future;
use core::time::Duration;
use std::sync::Arc;

use lapwing::Instant;
use lapwing::runtime::{BoxFuture, Runtime, Timer};

use super::chance::fill;
use super::current::note_with;
use super::scheduler::Scheduler;
use super::timer::VirtualTimer;
use crate::crash::Crash;

/// Tasks of a [`Virtual`](crate::Virtual) runtime that crash together: one hub, one client, one machine; from
/// [`Virtual::process`](crate::Virtual::process).
///
/// A runtime like any other, to be given to a hub or a client: what is spawned through it belongs to it, and so do the
/// ends of connections that its tasks open or accept in a [`Network`](crate::Network). It has the clock of all, and dice of
/// its own, so that one process which draws more changes nothing for the others.
///
/// After a crash it can be used again, which is its restart. What the program holds outside of these tasks, as handles of a hub,
/// survives as a value whose tasks and connections are gone. Clones, and all that were asked for under one name, are
/// handles to the same process.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use lapwing::{Client, Delivery, Hub, hub::Rule};
/// use lapwing_memory::{Network, Virtual};
///
/// async fn start(sim: &Virtual, network: &Network) -> Hub {
///     let process = sim.process("hub");
///     let hub = Hub::builder(process.clone()).topic("news", Rule::open()).build().expect("a good filter");
///     process.spawn_named("serve", hub.serve(network.listen("hub").expect("the name is free")));
///     hub
/// }
///
/// Virtual::check(0..20, async |sim| {
///     let network = Network::new(&sim);
///     let hub = start(&sim, &network).await;
///     let client = Client::builder(sim.clone(), network.connector("hub")).spawned();
///     let mut news = client.subscribe("news").await.expect("everybody may");
///
///     sim.process("hub").kill();
///     assert_eq!(sim.process("hub").tasks(), 0);
///     drop(hub);
///     let hub = start(&sim, &network).await;
///
///     assert!(matches!(news.next().await, Some(Delivery::Gap(None))));
///     hub.publish("news", "back again").expect("a good topic");
///     assert!(matches!(news.next().await, Some(Delivery::Event(_))));
/// });
/// ```
#[derive(Clone)]
pub struct Process {
    scheduler: Arc<Scheduler>,
    number: usize,
    name: Arc<str>,
}

impl Process {
    pub(super) fn new(scheduler: &Arc<Scheduler>, name: &str) -> Self {
        Self {
            scheduler: scheduler.clone(),
            number: scheduler.lock().process(name),
            name: name.into(),
        }
    }

    /// The name it was asked for under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// This process as an argument for everything that takes a runtime.
    pub fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::new(self.clone())
    }

    /// Runs `future` as a task of this process, under a name that a [`Stuck`](crate::Stuck) shows behind that of the process.
    pub fn spawn_named(&self, name: &str, future: impl Future<Output = ()> + Send + 'static) {
        let name = format!("{}/{name}", self.name);
        self.scheduler
            .spawn(Some(self.number), Some(name), Box::pin(future));
    }

    /// Tasks of this process that are not finished.
    pub fn tasks(&self) -> usize {
        self.scheduler.lock().tasks_of(self.number).len()
    }

    /// Ends the process as a crash does: its tasks are dropped where they stand, and peers read
    /// [`ConnectionReset`](std::io::ErrorKind::ConnectionReset).
    ///
    /// What was in flight is lost, in both directions; the names that it listened under are free. A peer behind a stall or a partition hears nothing.
    /// A task that kills its own process is dropped as soon as it waits, with all that it spawns until then.
    pub fn kill(&self) {
        self.note("kill");
        self.scheduler.crash(self.number, Crash::Reset);
    }

    /// Ends the process as a power cut does: as [`kill`](Self::kill), but no peer of its connections hears anything, ever. Who connects
    /// to it from now on is refused.
    pub fn vanish(&self) {
        self.note("vanish");
        self.scheduler.crash(self.number, Crash::Silent);
    }

    /// Drops the unfinished task `index`, counted as they were spawned; whether there was one.
    ///
    /// As when a program drops a future half-way: only that task goes, its connections end as those of any task that is dropped.
    /// A task that drops itself goes on until it waits.
    pub fn drop_task(&self, index: usize) -> bool {
        let keys = self.scheduler.lock().tasks_of(self.number);
        let key = keys.get(index);
        self.note("drop a task");
        key.is_some_and(|key| self.scheduler.drop_task(*key))
    }

    /// Drops one unfinished task that the seed picks; whether there was one.
    pub fn drop_one(&self) -> bool {
        let key = self.scheduler.lock().pick_task_of(self.number);
        self.note("drop a task");
        key.is_some_and(|key| self.scheduler.drop_task(key))
    }

    /// Lets no task of this process run until [`go_on`](Self::go_on), as when a laptop sleeps: time passes for all others, its
    /// connections stay, and what is due fires late and at once.
    pub fn pause(&self) {
        self.note("pause");
        self.scheduler.pause(self.number);
    }

    /// Ends a [`pause`](Self::pause). A crash ends one as well.
    pub fn go_on(&self) {
        self.note("go on");
        self.scheduler.go_on(self.number);
    }

    fn note(&self, what: &str) {
        note_with(|| format!("{what}: {}", self.name));
    }

    /// Ready after `duration` of virtual time, counted from this call.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: time goes on as it would.
    pub fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + use<> {
        VirtualTimer::new(&self.scheduler).after(duration)
    }
}

impl Runtime for Process {
    fn now(&self) -> Instant {
        self.scheduler.now()
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(VirtualTimer::new(&self.scheduler))
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        let name = self.name.to_string();
        self.scheduler.spawn(Some(self.number), Some(name), future);
    }

    /// Fills `bytes` as the seed and the name of this process decide: whoever knows them can guess these.
    fn random(&self, bytes: &mut [u8]) {
        fill(self.scheduler.lock().chance_of(self.number), bytes);
    }

    fn threads(&self) -> usize {
        self.scheduler.lock().threads
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("name", &self.name)
            .field("tasks", &self.tasks())
            .finish_non_exhaustive()
    }
}
