//! A network within the process: names to listen on, paths that can be made bad.

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lapwing::runtime::Runtime;

use crate::connector::Connector;
use crate::direction::{Fault, Stall};
use crate::end::End;
use crate::flight::Trickle;
use crate::link::LinkState;
use crate::listener::{Backlog, ByteListener, Cargo, Listener};
use crate::path::{Path, PathState};
use crate::runtime::current::note_with;
use crate::toll::Traffic;

/// A network within the process, for tests: hubs listen under names, clients connect, and faults come on command.
///
/// A client's way to its hub is its *path*, known by the client's [name](Connector::named). Delay, trickle, stall and
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
        let backlog = self.open(name, Cargo::Messages)?;
        Ok(Listener::new(self, name, backlog))
    }

    /// Listens under `name` for streams of bytes, until the listener is dropped: for transports that are made for sockets.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AddrInUse`] when another listener has that name.
    pub fn listen_bytes(&self, name: &str) -> io::Result<ByteListener> {
        let backlog = self.open(name, Cargo::Bytes)?;
        Ok(ByteListener::new(self, name, backlog))
    }

    fn open(&self, name: &str, cargo: Cargo) -> io::Result<Arc<Backlog>> {
        let mut state = self.lock();
        let holder = state.listeners.get(name);
        // One that is closed lost its process, and waits to be dropped.
        if holder.is_some_and(|holder| !holder.is_closed()) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let backlog = Arc::new(Backlog::new(cargo));
        state.listeners.insert(name.into(), backlog.clone());
        Ok(backlog)
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
        let path = path.into();
        note_with(|| format!("delay {path} by {delay:?}"));
        self.set(path, |fault| fault.delay = delay);
    }

    /// Lets nothing move on `path`: nothing arrives, and one message more is taken from each sender, as unsent.
    pub fn stall<'a>(&self, path: impl Into<Path<'a>>) {
        let path = path.into();
        note_with(|| format!("stall {path}"));
        self.set(path, |fault| fault.stall = Some(Stall::BetweenMessages));
    }

    /// Lets nothing move on `path`, and stops in the middle of the next message: its receiver has the beginning of it.
    pub fn stall_within_message<'a>(&self, path: impl Into<Path<'a>>) {
        let path = path.into();
        note_with(|| format!("stall {path} within a message"));
        self.set(path, |fault| fault.stall = Some(Stall::WithinMessage));
    }

    /// Ends a stall or a trickle of `path`; all that waited arrives.
    pub fn resume<'a>(&self, path: impl Into<Path<'a>>) {
        let path = path.into();
        note_with(|| format!("resume {path}"));
        self.set(path, |fault| (fault.stall, fault.trickle) = (None, None));
    }

    /// Lets `bytes` at a time arrive on `path`, with a `pause` behind each; what is left of a message follows later.
    ///
    /// A stream of bytes is read and written in pieces of that size, too; so one byte and no pause are the smallest
    /// reads and writes there are. It ends with [`resume`](Self::resume).
    ///
    /// # Panics
    ///
    /// When `bytes` is 0.
    pub fn trickle<'a>(&self, path: impl Into<Path<'a>>, bytes: usize, pause: Duration) {
        assert!(bytes > 0, "a trickle of nothing is a stall");
        // The clock knows nothing smaller than a microsecond.
        let pause = match pause.is_zero() {
            true => pause,
            false => pause.max(Duration::from_micros(1)),
        };
        let (path, trickle) = (path.into(), Some(Trickle { bytes, pause }));
        note_with(|| format!("trickle {path}: {bytes} bytes, then {pause:?}"));
        self.set(path, |fault| fault.trickle = trickle);
    }

    /// Breaks one connection of `path` when so much more was sent in that direction: messages of transports, bytes of
    /// streams. It arrives, even from the middle of a message, then the connection is reset; who sent it knows at once.
    ///
    /// Once, on whichever connection it is: of now or, when there is none or nothing may pass, the next one. Where `path` is both
    /// directions, each of them for itself. What went the other way and had not arrived is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::{AsyncReadExt, AsyncWriteExt};
    /// use lapwing_memory::{Network, Path, Virtual};
    ///
    /// let sim = Virtual::new(7);
    /// let network = Network::new(&sim);
    /// let mut listener = network.listen_bytes("hub")?;
    /// network.cut_after(Path::to_hub("phone"), 3);
    /// sim.run(async {
    ///     let mut phone = network.connector("hub").named("phone").connect_bytes().await?;
    ///     let (mut peer, _name) = listener.accept().await;
    ///     assert_eq!(phone.write(b"hello").await?, 3);
    ///     let mut heard = Vec::new();
    ///     assert!(peer.read_to_end(&mut heard).await.is_err());
    ///     assert_eq!((&heard[..], network.traffic(Path::to_hub("phone")).bytes), (&b"hel"[..], 3));
    ///     std::io::Result::Ok(())
    /// })??;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn cut_after<'a>(&self, path: impl Into<Path<'a>>, units: u64) {
        let path = path.into();
        note_with(|| format!("cut {path} after {units}"));
        self.lock().path(path.client).cut_after(path, units);
        self.change(path.client, |_, _| {});
    }

    /// What was sent on `path` until now, by all its connections.
    pub fn traffic<'a>(&self, path: impl Into<Path<'a>>) -> Traffic {
        let path = path.into();
        self.lock().path(path.client).traffic(path)
    }

    /// Breaks the connections of `client`: both ends fail at once with [`io::ErrorKind::ConnectionReset`], what was in
    /// flight is lost.
    pub fn cut(&self, client: &str) {
        note_with(|| format!("cut {client}"));
        self.change(client, LinkState::cut);
    }

    /// Breaks the connections of `client` without a word to the hub, as a phone does that changes its network.
    ///
    /// The client's end fails at once with [`io::ErrorKind::ConnectionReset`]. The hub's end swallows what it is
    /// given and never hears anything again.
    pub fn half_open(&self, client: &str) {
        note_with(|| format!("half open {client}"));
        self.change(client, LinkState::half_open);
    }

    /// Separates `client` from its hub: nothing moves on its connections, as in a [`stall`](Self::stall), and new ones
    /// are refused with [`io::ErrorKind::HostUnreachable`].
    pub fn partition(&self, client: &str) {
        note_with(|| format!("partition {client}"));
        self.set(client.into(), |fault| fault.partitioned = true);
    }

    /// Ends a partition: what waited on connections that still exist arrives.
    pub fn heal(&self, client: &str) {
        note_with(|| format!("heal {client}"));
        self.set(client.into(), |fault| fault.partitioned = false);
    }

    /// Ends everything that is wrong with the path of `client`, and what would go wrong later: what waited arrives.
    pub fn calm(&self, client: &str) {
        note_with(|| format!("calm {client}"));
        self.lock().path(client).spare();
        self.set(client.into(), |fault| *fault = Fault::default());
    }

    /// How long a question to the hub and its answer take.
    pub(crate) fn round_trip(&self, client: &Arc<str>) -> Duration {
        let faults = self.lock().path(client).faults();
        faults.to_hub.delay + faults.to_client.delay
    }

    /// The client's end of a new connection; the hub's waits to be accepted.
    pub(crate) fn connect(
        &self,
        hub: &Arc<str>,
        client: &Arc<str>,
        cargo: Cargo,
    ) -> io::Result<End> {
        let mut state = self.lock();
        let backlog = state.listeners.get(hub);
        let backlog = backlog.filter(|backlog| backlog.carries(cargo)).cloned();
        let path = state.path(client);
        if path.faults().are_partition() {
            return Err(io::ErrorKind::HostUnreachable.into());
        }
        let link = path.link(&self.shared.runtime);
        drop(state);
        let (near, far) = End::both(&link, client.clone(), hub.clone());
        backlog
            .ok_or(io::ErrorKind::ConnectionRefused)?
            .offer(far)?;
        // Nothing may pass: it breaks as it is made.
        link.settle(link.lock());
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
