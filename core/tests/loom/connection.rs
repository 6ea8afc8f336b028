//! A connection with nothing but a lane that counts and a socket of one place: its flags are those of `hub/connection.rs`.

use alloc::sync::Arc;
use alloc::task::Wake;
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use crate::Instant;
use crate::shard::Shard;
use crate::sync::{AtomicBool, AtomicU64, AtomicWaker, Mutex, Ordering, lock};

/// What a connection promises.
const PROMISE: Duration = Duration::from_micros(100);

pub(crate) struct Connection {
    pub(crate) number: u64,
    pub(crate) scheduled: AtomicU64,
    shard: Option<Arc<Shard>>,
    task: AtomicWaker,
    dirty: AtomicBool,
    blocked: AtomicBool,
    live: Mutex<Live>,
    socket: Mutex<Socket>,
}

/// What stands behind the connection's lock.
#[derive(Default)]
struct Live {
    waiting: u32,
    written: u32,
    /// Its task waits for no time but that of a promise.
    rests: bool,
}

/// A transport: has room for so many, or wakes whoever found none.
struct Socket {
    room: u32,
    writer: Option<Waker>,
}

impl Connection {
    pub(crate) fn new(shard: Option<Arc<Shard>>, room: u32) -> Arc<Self> {
        Self::numbered(1, shard, room)
    }

    pub(crate) fn numbered(number: u64, shard: Option<Arc<Shard>>, room: u32) -> Arc<Self> {
        Arc::new(Self {
            number,
            scheduled: AtomicU64::new(u64::MAX),
            shard,
            task: AtomicWaker::new(),
            dirty: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            live: Mutex::default(),
            socket: Mutex::new(Socket { room, writer: None }),
        })
    }

    pub(crate) fn register(&self, waker: &Waker) {
        self.task.register(waker);
    }

    pub(crate) fn wake_task(&self) {
        self.task.wake();
    }

    /// Keeps its promise, or has its task woken.
    pub(crate) fn due(self: &Arc<Self>, shard: &Shard, at: Instant, now: Instant) {
        match self.keep_promise(now) {
            Some(next) => shard.schedule(self, next),
            None if at > now => shard.schedule(self, at),
            None => self.wake_task(),
        }
    }

    fn keep_promise(&self, now: Instant) -> Option<Instant> {
        let rests = lock(&self.live).rests;
        rests.then_some(now + PROMISE)
    }

    /// Whether its task waits for no time of its own.
    pub(crate) fn rest(&self, rests: bool) {
        lock(&self.live).rests = rests;
    }

    /// What its task does when it wants a turn in time.
    pub(crate) fn schedule(self: &Arc<Self>, at: Instant) {
        if let Some(shard) = &self.shard {
            shard.schedule(self, at);
        }
    }

    /// What publishers do.
    pub(crate) fn offer(self: &Arc<Self>) {
        lock(&self.live).waiting += 1;
        self.has_output();
    }

    /// How many frames the socket has taken.
    pub(crate) fn written(&self) -> u32 {
        lock(&self.live).written
    }

    /// What the task of a connection without a shard does.
    pub(crate) fn turn(self: &Arc<Self>) {
        let mut live = lock(&self.live);
        let _ = self.write(&mut live);
    }

    /// What the peer does: it reads one.
    pub(crate) fn drain(&self) {
        let mut socket = lock(&self.socket);
        socket.room += 1;
        let writer = socket.writer.take();
        drop(socket);
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    fn has_output(self: &Arc<Self>) {
        if !self.blocked.load(Ordering::Acquire) {
            self.mark_dirty();
        }
    }

    fn mark_dirty(self: &Arc<Self>) {
        match &self.shard {
            None => self.wake_task(),
            Some(shard) if !self.dirty.swap(true, Ordering::AcqRel) => shard.push(self.clone()),
            Some(_) => {}
        }
    }

    pub(crate) fn touch(&self) {
        // There is no cache here.
    }

    pub(crate) fn write_for_pump(self: &Arc<Self>, _: Instant) {
        // A store there. Loom lets a later swap read what an earlier one wrote, though a store has come between, unless that is a swap too.
        self.dirty.swap(false, Ordering::AcqRel);
        let mut live = lock(&self.live);
        let _ = self.write(&mut live);
    }

    fn write(self: &Arc<Self>, live: &mut Live) -> Poll<()> {
        let waker = Waker::from(self.clone());
        self.blocked.store(true, Ordering::Release);
        let written = self.poll_write(live, &mut Context::from_waker(&waker));
        if written.is_ready() {
            self.blocked.store(false, Ordering::Release);
        }
        written
    }

    fn poll_write(&self, live: &mut Live, cx: &mut Context<'_>) -> Poll<()> {
        while live.waiting > 0 {
            let mut socket = lock(&self.socket);
            if socket.room == 0 {
                socket.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
            socket.room -= 1;
            live.waiting -= 1;
            live.written += 1;
        }
        Poll::Ready(())
    }
}

impl Wake for Connection {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.blocked.store(false, Ordering::Release);
        self.mark_dirty();
    }
}
