//! A network within the process: names to listen on, paths that can be made bad.

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lapwing::runtime::Runtime;

use crate::connector::Connector;
use crate::direction::{Fault, Stall};
use crate::link::LinkState;
use crate::listener::{Backlog, Listener};
use crate::memory::Memory;
use crate::path::{Path, PathState};

/// A network within the process, for tests: hubs listen under names, clients connect, and faults come on command.
///
/// A client's way to its hub is its *path*, known by the client's [name](Connector::named). Delay, stall and
/// partition are properties of a path: they hold for its connections of now and later until they are taken back. [`cut`](Self::cut) and
/// [`half_open`](Self::half_open) happen once, to the connections of now. Clients of one name share their faults.
///
/// Works on every runtime; with a [`Virtual`](crate::Virtual) one, all of it repeats. Clones are handles to the same network.
///
/// # Examples
///
/// ```
/// use std::future::poll_fn;
/// use std::io::ErrorKind;
/// use lapwing::transport::{Connector as _, Incoming, Listener as _, TransportError};
/// use lapwing_memory::{Network, Virtual};
///
/// let sim = Virtual::new(7);
/// let network = Network::new(&sim.runtime());
/// let mut listener = network.listen("hub")?;
/// sim.run(async {
///     let mut phone = network.connector("hub").named("phone").connect().await?;
///     let _peer = listener.accept().await?;
///     network.cut("phone");
///     let broken = poll_fn(|cx| phone.poll_recv(cx)).await;
///     assert!(matches!(broken, Err(TransportError::Io(error)) if error.kind() == ErrorKind::ConnectionReset));
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Network {
    shared: Arc<Shared>,
}

struct Shared {
    runtime: Arc<dyn Runtime>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    listeners: BTreeMap<Arc<str>, Arc<Backlog>>,
    paths: BTreeMap<Arc<str>, PathState>,
}

impl Network {
    /// A network without faults, whose delays are timers of `runtime`.
    pub fn new(runtime: &(impl Runtime + Clone)) -> Self {
        Self {
            shared: Arc::new(Shared {
                runtime: Arc::new(runtime.clone()),
                state: Mutex::default(),
            }),
        }
    }

    /// Listens under `name`, until the listener is dropped.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AddrInUse`] when another listener has that name.
    pub fn listen(&self, name: &str) -> io::Result<Listener> {
        let mut state = self.lock();
        let holder = state.listeners.get(name);
        // One that is closed lost its process, and waits to be dropped.
        if holder.is_some_and(|holder| !holder.is_closed()) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let backlog = Arc::<Backlog>::default();
        state.listeners.insert(name.into(), backlog.clone());
        Ok(Listener::new(self, name, backlog))
    }

    /// What connects to the hub that listens under `name`, now or later, and gives the client a name of its own
    /// with [`named`](Connector::named).
    pub fn connector(&self, name: &str) -> Connector {
        Connector::new(self, name)
    }

    /// Lets everything sent on `path` arrive that much later, in order; zero takes it back.
    ///
    /// What is on its way already is not delayed any more than it was. A connect takes the delays of both ways.
    pub fn delay<'a>(&self, path: impl Into<Path<'a>>, delay: Duration) {
        self.set(path.into(), |fault| fault.delay = delay);
    }

    /// Lets nothing move on `path`: nothing arrives, and one message more is taken from each sender, as unsent.
    pub fn stall<'a>(&self, path: impl Into<Path<'a>>) {
        self.set(path.into(), |fault| {
            fault.stall = Some(Stall::BetweenMessages)
        });
    }

    /// Lets nothing move on `path`, and stops in the middle of the next message: its receiver has the beginning of it.
    pub fn stall_within_message<'a>(&self, path: impl Into<Path<'a>>) {
        self.set(path.into(), |fault| {
            fault.stall = Some(Stall::WithinMessage)
        });
    }

    /// Ends a stall of `path`; all that waited arrives.
    pub fn resume<'a>(&self, path: impl Into<Path<'a>>) {
        self.set(path.into(), |fault| fault.stall = None);
    }

    /// Breaks the connections of `client`: both ends fail at once with [`io::ErrorKind::ConnectionReset`], what was in
    /// flight is lost.
    pub fn cut(&self, client: &str) {
        self.change(client, LinkState::cut);
    }

    /// Breaks the connections of `client` without a word to the hub, as a phone does that changes its network.
    ///
    /// The client's end fails at once with [`io::ErrorKind::ConnectionReset`]. The hub's end swallows what it is
    /// given and never hears anything again.
    pub fn half_open(&self, client: &str) {
        self.change(client, LinkState::half_open);
    }

    /// Separates `client` from its hub: nothing moves on its connections, as in a [`stall`](Self::stall), and new ones
    /// are refused with [`io::ErrorKind::HostUnreachable`].
    pub fn partition(&self, client: &str) {
        self.set(client.into(), |fault| fault.partitioned = true);
    }

    /// Ends a partition: what waited on connections that still exist arrives.
    pub fn heal(&self, client: &str) {
        self.set(client.into(), |fault| fault.partitioned = false);
    }

    /// How long a question to the hub and its answer take.
    pub(crate) fn round_trip(&self, client: &Arc<str>) -> Duration {
        let faults = self.lock().path(client).faults();
        faults.to_hub.delay + faults.to_client.delay
    }

    /// The client's end of a new connection; the hub's waits to be accepted.
    pub(crate) fn connect(&self, hub: &Arc<str>, client: &Arc<str>) -> io::Result<Memory> {
        let mut state = self.lock();
        let backlog = state.listeners.get(hub).cloned();
        let path = state.path(client);
        if path.faults().are_partition() {
            return Err(io::ErrorKind::HostUnreachable.into());
        }
        let link = path.link(&self.shared.runtime);
        drop(state);
        let (near, far) = Memory::both(&link, client.clone(), hub.clone());
        backlog
            .ok_or(io::ErrorKind::ConnectionRefused)?
            .offer(far)?;
        Ok(near.held())
    }

    pub(crate) fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.shared.runtime
    }

    /// Frees the name of a listener.
    pub(crate) fn forget(&self, name: &str, backlog: &Arc<Backlog>) {
        let mut state = self.lock();
        let holder = state.listeners.get(name);
        if holder.is_some_and(|holder| Arc::ptr_eq(holder, backlog)) {
            state.listeners.remove(name);
        }
    }

    fn set(&self, path: Path<'_>, set: impl Fn(&mut Fault)) {
        let mut state = self.lock();
        let known = state.path(path.client);
        known.set(path, set);
        let faults = known.faults();
        drop(state);
        self.change(path.client, |link, clock| link.set_faults(&faults, clock));
    }

    fn change(&self, client: &str, change: impl Fn(&mut LinkState, &dyn Runtime)) {
        let links = self.lock().path(client).links();
        for link in links {
            link.change(&change);
        }
    }

    /// Nothing is left half done by a panic in here, so a poisoned lock is as good as new.
    fn lock(&self) -> MutexGuard<'_, State> {
        let state = &self.shared.state;
        state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn path(&mut self, client: &str) -> &mut PathState {
        self.paths.entry(client.into()).or_default()
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Network")
            .field("listeners", &state.listeners.keys())
            .field("clients", &state.paths.keys())
            .finish_non_exhaustive()
    }
}
