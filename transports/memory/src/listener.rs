//! The end where hubs accept.

use core::future::poll_fn;
use core::mem;
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use lapwing::transport::{self, Transport};

use crate::crash::{Crash, Holding};
use crate::memory::Memory;
use crate::network::Network;
use crate::runtime::current::{Wait, hold, wait_for};

/// Peers that connected and were not accepted yet: as many as Linux keeps by default.
const BACKLOG_MAX: usize = 4096;

/// Accepts the clients that connect to one name of a [`Network`]; from [`Network::listen`].
///
/// Dropping it frees the name and ends the connections that were not accepted.
///
/// # When full
///
/// 4,096 connections wait to be accepted; the next is refused.
pub struct Listener {
    network: Network,
    name: Arc<str>,
    backlog: Arc<Backlog>,
    /// The process that accepts, if any, takes it along in a crash.
    held: bool,
}

impl Listener {
    pub(crate) fn new(network: &Network, name: &str, backlog: Arc<Backlog>) -> Self {
        Self {
            network: network.clone(),
            name: name.into(),
            backlog,
            held: false,
        }
    }
}

#[async_trait]
impl transport::Listener for Listener {
    async fn accept(&mut self) -> io::Result<Box<dyn Transport>> {
        if !mem::replace(&mut self.held, true) {
            hold(Holding::Backlog(Arc::downgrade(&self.backlog)));
        }
        let peer = poll_fn(|cx| self.backlog.poll_accept(cx, &self.name)).await;
        Ok(Box::new(peer.held()))
    }

    fn url(&self) -> String {
        format!("memory://{}", self.name)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.network.forget(&self.name, &self.backlog);
        self.backlog.close();
    }
}

/// The connections that wait to be accepted.
#[derive(Default)]
pub(crate) struct Backlog(Mutex<BacklogState>);

#[derive(Default)]
struct BacklogState {
    peers: VecDeque<Memory>,
    acceptor: Option<Waker>,
    closed: bool,
}

impl Backlog {
    fn lock(&self) -> MutexGuard<'_, BacklogState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn offer(&self, peer: Memory) -> io::Result<()> {
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

    fn poll_accept(&self, cx: &mut Context<'_>, name: &Arc<str>) -> Poll<Memory> {
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

    fn close(&self) -> VecDeque<Memory> {
        let mut state = self.lock();
        state.closed = true;
        mem::take(&mut state.peers)
    }

    /// Goes with its process, and those that wait with it.
    pub(crate) fn crash(&self, crash: Crash) {
        self.close().iter().for_each(|peer| peer.crash(crash));
    }
}
