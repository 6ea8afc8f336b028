//! The hub's end of a connection: who speaks when, and who has to be given up.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lapwing::wire::Frame;
use lapwing::{ConnectionId, Instant};

use crate::book::Loss;
use crate::tap::Listens;
use crate::world::{World, lock};

/// What is allowed beyond a deadline: it is looked at once a second.
const SLACK: Duration = Duration::from_millis(1_100);

/// One connection, as it is seen from the hub's transport.
#[derive(Clone)]
pub(crate) struct HubSide {
    world: Arc<World>,
    state: Arc<Mutex<State>>,
}

struct State {
    opened: Instant,
    said: Instant,
    heard: Instant,
    blocked: bool,
    /// How often the peer will speak, once it was let in.
    promise: Option<Duration>,
    asked_promise: Duration,
    welcomed: bool,
    connection: Option<ConnectionId>,
    /// The peer has said something since it was let in.
    proven: bool,
    /// The length of the message that passes.
    length: usize,
    /// The data frames that the peer has not confirmed, by length.
    unconfirmed: VecDeque<usize>,
    confirmed: u64,
    /// The hub has said its last words.
    closing: Option<Instant>,
    /// What had been offered when the hub said nothing more.
    parted_at: Option<usize>,
    gone: bool,
}

impl HubSide {
    /// A connection that was accepted now.
    pub(crate) fn new(world: &Arc<World>) -> Self {
        let now = world.now();
        let state = State {
            opened: now,
            said: now,
            heard: now,
            blocked: false,
            promise: None,
            asked_promise: Duration::ZERO,
            welcomed: false,
            connection: None,
            proven: false,
            length: 0,
            unconfirmed: VecDeque::new(),
            confirmed: 0,
            closing: None,
            parted_at: None,
            gone: false,
        };
        let end = Self {
            world: world.clone(),
            state: Arc::new(Mutex::new(state)),
        };
        lock(&world.hub_sides).push(end.clone());
        end
    }

    pub(crate) fn is_gone(&self) -> bool {
        lock(&self.state).gone
    }

    /// What is overdue, if anything is.
    pub(crate) fn overdue(&self) -> Option<String> {
        let (state, limits) = (lock(&self.state), &self.world.limits);
        let late = |due: Instant| self.world.is_late(due + SLACK);
        if let Some(closing) = state.closing {
            let due = closing + limits.closing * 2 + limits.stall;
            return late(due).then(|| "a connection outlives its goodbye".into());
        }
        let Some(promise) = state.promise.filter(|_| state.welcomed) else {
            let due = state.opened + limits.handshake + limits.closing * 2;
            return late(due).then(|| "a handshake takes too long".into());
        };
        if late(state.heard + promise + limits.grace + limits.stall + limits.closing) {
            return Some(format!("a dead peer is still there: promised {promise:?}"));
        }
        // A session that has ended has until its goodbye is over.
        if !state.blocked && late(state.said + limits.promise + limits.closing) {
            return Some(format!(
                "the hub breaks its promise to speak: {:?}",
                state.said
            ));
        }
        None
    }
}

impl HubSide {
    /// Who was sent away does not return.
    fn may_welcome(&self, id: ConnectionId) {
        let kicked = self
            .world
            .book()
            .present
            .get(&id)
            .and_then(|one| one.kicked);
        if kicked.is_some_and(|at| at < self.world.now()) {
            self.world.find("kicked", format!("{id} is welcome again"));
        }
    }
}

impl Listens for HubSide {
    fn said(&self, frame: &Frame<'_>) {
        let now = self.world.now();
        let mut state = lock(&self.state);
        let silence = now.since(state.said);
        state.said = now;
        if frame.is_data() {
            let length = state.length;
            state.unconfirmed.push_back(length);
        }
        match frame {
            Frame::Welcome(welcome) => {
                self.may_welcome(welcome.connection);
                state.connection = Some(welcome.connection);
                state.welcomed = true;
                state.promise = Some(state.asked_promise);
            }
            Frame::Close(_) | Frame::Refused(_) => state.closing = Some(now),
            // Pings may leave together, a little early.
            Frame::Ping(_) if silence < self.world.limits.promise.mul_f64(0.98) => {
                drop(state);
                self.world.find(
                    "ping",
                    format!("the hub pings after a silence of {silence:?}"),
                );
            }
            _ => {}
        }
    }

    fn heard(&self, frame: &Frame<'_>) {
        let mut state = lock(&self.state);
        state.heard = self.world.now();
        state.proven |= state.welcomed;
        match frame {
            Frame::Received(received) => {
                let more = received.count.saturating_sub(state.confirmed) as usize;
                let more = more.min(state.unconfirmed.len());
                state.unconfirmed.drain(..more);
                state.confirmed = received.count;
            }
            Frame::Hello(hello) => {
                state.asked_promise = Duration::from_millis(hello.terms.promise_ms.into());
            }
            Frame::Close(_) => state.closing = Some(state.heard),
            _ => {}
        }
    }

    fn passed(&self, bytes: &[u8]) {
        lock(&self.state).length = bytes.len();
        self.world.trace(bytes);
    }

    fn blocked(&self, blocked: bool) {
        lock(&self.state).blocked = blocked;
    }

    fn parting(&self) {
        let traffic = self.world.book().traffic();
        lock(&self.state).parted_at.get_or_insert(traffic);
    }

    fn gone(&self) {
        let mut state = lock(&self.state);
        state.gone = true;
        let connection = state.connection;
        self.world
            .note(|| format!("the hub drops a transport of {connection:?}"));
        if let Some(connection) = state.connection {
            let mut book = self.world.book();
            let loss = Loss {
                at: self.world.now(),
                place: state.parted_at.unwrap_or(book.traffic()),
                bytes: state.unconfirmed.iter().sum(),
                frames: state.unconfirmed.len(),
                clean: !state.blocked && state.closing.is_none(),
            };
            let loss = match (state.proven, book.losses.get(&connection)) {
                (true, _) => loss,
                // Nobody has heard it: all that it said is to be said again, and what was lost before.
                (false, Some(before)) => before.with(loss),
                (false, None) => return,
            };
            book.losses.insert(connection, loss);
        }
    }
}
