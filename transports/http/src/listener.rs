//! Where the transports of an endpoint come out: [`Listener`].

use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use lapwing::transport::{self, Transport};

/// Transports that are about to come out, and those that wait for a hub.
const SEATS_MAX: usize = 1_024;

/// The transports that come of the requests to one endpoint; for [`Hub::serve`](lapwing::Hub::serve).
pub struct Listener {
    door: Arc<Door>,
    url: String,
}

/// The other end.
#[derive(Default)]
pub(crate) struct Door(Mutex<Inside>);

#[derive(Default)]
struct Inside {
    ready: VecDeque<Box<dyn Transport>>,
    /// Those that are ready, and those that are about to be.
    taken: usize,
    /// Nobody accepts any more.
    closed: bool,
    listener: Option<Waker>,
}

/// A place for one transport.
pub(crate) struct Seat(Arc<Door>);

pub(crate) fn door(url: String) -> (Arc<Door>, Listener) {
    let door = Arc::new(Door::default());
    let listener = Listener {
        door: door.clone(),
        url,
    };
    (door, listener)
}

impl Door {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a hub accepts what comes.
    pub(crate) fn is_open(&self) -> bool {
        !self.lock().closed
    }

    /// A place, if somebody accepts and not too many wait.
    pub(crate) fn seat(self: &Arc<Self>) -> Option<Seat> {
        let mut inside = self.lock();
        if inside.closed || inside.taken >= SEATS_MAX {
            return None;
        }
        inside.taken += 1;
        Some(Seat(self.clone()))
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Box<dyn Transport>> {
        let mut inside = self.lock();
        if let Some(transport) = inside.ready.pop_front() {
            inside.taken -= 1;
            return Poll::Ready(transport);
        }
        inside.listener = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Seat {
    /// Lets the hub have a transport.
    pub(crate) fn fill(self, transport: Box<dyn Transport>) {
        let mut inside = self.0.lock();
        if inside.closed {
            drop(inside);
            // Dropped without the lock: it may do much.
            return drop(transport);
        }
        // The place goes with it.
        inside.taken += 1;
        inside.ready.push_back(transport);
        let listener = inside.listener.take();
        drop(inside);
        if let Some(listener) = listener {
            listener.wake();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.lock().taken -= 1;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut inside = self.door.lock();
        inside.closed = true;
        inside.taken -= inside.ready.len();
        let ready = core::mem::take(&mut inside.ready);
        drop(inside);
        drop(ready);
    }
}

#[async_trait]
impl transport::Listener for Listener {
    async fn accept(&mut self) -> io::Result<Box<dyn Transport>> {
        Ok(poll_fn(|cx| self.door.poll_accept(cx)).await)
    }

    fn url(&self) -> String {
        self.url.clone()
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::{block_on, poll_once};
    use lapwing::transport::Listener as _;
    use lapwing_memory::{Virtual, pair};

    use super::*;

    fn transport() -> Box<dyn Transport> {
        let (_, hub) = pair(&Virtual::new(1).runtime());
        Box::new(hub)
    }

    #[test]
    fn as_many_wait_as_there_are_seats() {
        let (door, mut listener) = door("http:".into());
        let mut seats: Vec<_> = core::iter::from_fn(|| door.seat()).collect();
        assert_eq!(seats.len(), SEATS_MAX);
        seats.pop();
        assert!(door.seat().is_some(), "one was given back");
        seats.pop().expect("a seat").fill(transport());
        assert!(door.seat().is_some(), "one was given back before");
        let last = door.seat().expect("a seat");
        assert!(door.seat().is_none(), "one is taken by what waits");
        let mut accepts = || block_on(poll_once(listener.accept())).is_some();
        assert!(accepts());
        assert!(!accepts(), "there was one");
        assert!(door.seat().is_some());
        drop(listener);
        last.fill(transport());
        assert!(!door.is_open() && door.seat().is_none());
        drop(seats);
        assert_eq!(door.lock().taken, 0);
    }
}
