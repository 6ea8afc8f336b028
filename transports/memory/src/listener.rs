//! The end where hubs accept.

use core::future::poll_fn;
use core::mem;
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use lapwing::transport::{self, Transport};

use crate::bytes::ByteStream;
use crate::crash::{Crash, Holding};
use crate::end::End;
use crate::memory::Memory;
use crate::network::Network;
use crate::runtime::current::{Wait, hold, wait_for};

/// Peers that connected and were not accepted yet: as many as Linux keeps by default.
const BACKLOG_MAX: usize = 4096;

/// Accepts the clients that connect to one name of a [`Network`], as transports; from [`Network::listen`].
///
/// Dropping it frees the name and ends the connections that were not accepted.
///
/// # When full
///
/// 4,096 connections wait to be accepted; the next is refused.
pub struct Listener(Door);

impl Listener {
    pub(crate) fn new(network: &Network, name: &str, backlog: Arc<Backlog>) -> Self {
        Self(Door::new(network, name, backlog))
    }
}

#[async_trait]
impl transport::Listener for Listener {
    async fn accept(&mut self) -> io::Result<Box<dyn Transport>> {
        Ok(Box::new(Memory::new(self.0.accept().await)))
    }

    fn url(&self) -> String {
        format!("memory://{}", self.0.name)
    }
}

/// Accepts the clients that connect to one name of a [`Network`], as streams of bytes; from [`Network::listen_bytes`].
///
/// Dropping it frees the name and ends the connections that were not accepted.
///
/// # When full
///
/// 4,096 connections wait to be accepted; the next is refused.
pub struct ByteListener(Door);

impl ByteListener {
    pub(crate) fn new(network: &Network, name: &str, backlog: Arc<Backlog>) -> Self {
        Self(Door::new(network, name, backlog))
    }

    /// The next client, with its name.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no client: it stays in line.
    pub async fn accept(&mut self) -> (ByteStream, String) {
        let end = self.0.accept().await;
        let name = end.peer.to_string();
        (ByteStream::new(end), name)
    }
}

/// A name that is listened under.
struct Door {
    network: Network,
    name: Arc<str>,
    backlog: Arc<Backlog>,
    /// The process that accepts, if any, takes it along in a crash.
    held: bool,
}

impl Door {
    fn new(network: &Network, name: &str, backlog: Arc<Backlog>) -> Self {
        Self {
            network: network.clone(),
            name: name.into(),
            backlog,
            held: false,
        }
    }

    async fn accept(&mut self) -> End {
        if !mem::replace(&mut self.held, true) {
            hold(Holding::Backlog(Arc::downgrade(&self.backlog)));
        }
        let peer = poll_fn(|cx| self.backlog.poll_accept(cx, &self.name)).await;
        peer.held()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.network.forget(&self.name, &self.backlog);
        self.backlog.close();
    }
}

/// What travels on the connections that a listener accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cargo {
    Messages,
    Bytes,
}

/// The connections that wait to be accepted.
pub(crate) struct Backlog {
    cargo: Cargo,
    state: Mutex<BacklogState>,
}

#[derive(Default)]
struct BacklogState {
    peers: VecDeque<End>,
    acceptor: Option<Waker>,
    closed: bool,
}

impl Backlog {
    fn lock(&self) -> MutexGuard<'_, BacklogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn new(cargo: Cargo) -> Self {
        Self {
            cargo,
            state: Mutex::default(),
        }
    }

    pub(crate) fn carries(&self, cargo: Cargo) -> bool {
        self.cargo == cargo
    }

    pub(crate) fn offer(&self, peer: End) -> io::Result<()> {
        let mut state = self.lock();
        if state.closed || state.peers.len() == BACKLOG_MAX {
            drop(state);
            drop(peer);
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        state.peers.push_back(peer);
        let acceptor = state.acceptor.take();
        drop(state);
        if let Some(acceptor) = acceptor {
            acceptor.wake();
        }
        Ok(())
    }

    fn poll_accept(&self, cx: &mut Context<'_>, name: &Arc<str>) -> Poll<End> {
        let mut state = self.lock();
        if let Some(peer) = state.peers.pop_front() {
            return Poll::Ready(peer);
        }
        let older = state.acceptor.replace(cx.waker().clone());
        drop(state);
        drop(older);
        wait_for(|| Wait::Peer {
            listener: name.clone(),
        });
        Poll::Pending
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn close(&self) -> VecDeque<End> {
        let mut state = self.lock();
        state.closed = true;
        mem::take(&mut state.peers)
    }

    /// Goes with its process, and those that wait with it.
    pub(crate) fn crash(&self, crash: Crash) {
        self.close().iter().for_each(|peer| peer.crash(crash));
    }
}
