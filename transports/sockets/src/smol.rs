//! Sockets of async-io, which work on any executor.

use core::mem;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker, ready};
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::task::Wake;

use async_io::Async;
use atomic_waker::AtomicWaker;

use crate::address;
use crate::socket::Socket;

mod futures_io;

pub use self::futures_io::FuturesIo;

/// Listens on an IP address or a name, and a port: `"127.0.0.1:7000"`, `"localhost:0"`.
///
/// Port 0 takes a free one: [`local_addr`](Listener::local_addr) says which. Of a name with several addresses it is the
/// first that can be listened on.
///
/// # Errors
///
/// When the name is not found or nothing can listen there.
///
/// # Cancel safety
///
/// Dropping the future listens on nothing.
///
/// # When full
///
/// 4,096 peers wait to be accepted, or as many as the system allows; it turns more away.
pub async fn listen(host_and_port: &str) -> io::Result<Listener> {
    let addrs = async_net::resolve(host_and_port).await?;
    let listener = Async::new(address::listen(addrs)?)?;
    let local_addr = listener.get_ref().local_addr()?;
    Ok(Listener {
        listener,
        local_addr,
    })
}

/// Connects to an IP address or a name, and a port; of a name with several addresses to the first that answers.
///
/// # Errors
///
/// When the name is not found or nobody answers.
///
/// # Cancel safety
///
/// Dropping the future ends the attempt.
pub async fn connect(host_and_port: &str) -> io::Result<SmolSocket> {
    let mut failed = address::no_address();
    for addr in async_net::resolve(host_and_port).await? {
        match Async::<TcpStream>::connect(addr).await {
            Ok(stream) => {
                stream.get_ref().set_nodelay(true)?;
                return Ok(SmolSocket::new(stream, addr));
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Accepts peers; what [`listen`] gives.
#[derive(Debug)]
pub struct Listener {
    listener: Async<TcpListener>,
    local_addr: SocketAddr,
}

impl Listener {
    /// The next peer.
    ///
    /// # Errors
    ///
    /// The error of the operating system, of this peer or of the machine.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no peer: it stays in line.
    pub async fn accept(&self) -> io::Result<SmolSocket> {
        let (stream, peer) = self.listener.accept().await?;
        if !address::NODELAY_IS_INHERITED {
            stream.get_ref().set_nodelay(true)?;
        }
        Ok(SmolSocket::new(stream, peer))
    }

    /// Where it listens, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}

/// A socket that asks the reactor only when the system has said that there is nothing to do.
#[derive(Debug)]
pub struct SmolSocket {
    stream: Async<TcpStream>,
    peer: SocketAddr,
    reads: Readiness,
    /// The last write found no room: rings when the reactor says that there is some.
    full: Option<Arc<Bell>>,
}

/// Knows whether the reactor has called, and passes the call on.
///
/// It passes over an event as it does with reads, and calls all the same. But whoever waits to write is woken for other
/// reasons too, and must not try then: the system takes a last few bytes of a peer that reads nothing when it is asked
/// again, which would look like progress.
#[derive(Debug, Default)]
struct Bell {
    rung: AtomicBool,
    task: AtomicWaker,
}

impl Bell {
    /// Ready when the reactor has said that there is room, in one way or the other; `poll` asks it.
    fn poll(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<io::Result<()>>,
    ) -> Poll<io::Result<()>> {
        self.task.register(cx.waker());
        if self.rung.load(Ordering::Acquire) {
            return Poll::Ready(Ok(()));
        }
        let waker = Waker::from(self.clone());
        poll(&mut Context::from_waker(&waker))
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.task.wake();
    }
}

/// What we know of what has arrived, to save calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    /// Nothing: the system is asked.
    Unknown,
    /// The last call found the end of what was there: one call saved whenever we are woken for something else.
    Over,
    /// The same, and the reactor wakes us when there is more.
    Awaited,
}

impl Readiness {
    /// Ready when the system is worth asking; `poll` asks the reactor.
    ///
    /// The reactor passes over an event that arrives while its thread waits already when its waker is left there, as it
    /// always does when all others are busy. It calls the waker all the same: so who comes a second time is let through.
    fn poll(&mut self, poll: impl FnOnce() -> Poll<io::Result<()>>) -> Poll<io::Result<()>> {
        if *self == Self::Unknown {
            return Poll::Ready(Ok(()));
        }
        let before = mem::replace(self, Self::Awaited);
        match poll() {
            Poll::Pending if before == Self::Over => return Poll::Pending,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            _ => *self = Self::Unknown,
        }
        Poll::Ready(Ok(()))
    }
}

impl SmolSocket {
    fn new(stream: Async<TcpStream>, peer: SocketAddr) -> Self {
        Self {
            stream,
            peer,
            reads: Readiness::Unknown,
            full: None,
        }
    }
}

impl Socket for SmolSocket {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.reads.poll(|| self.stream.poll_readable(cx)))?;
            match self.stream.get_ref().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.reads = Readiness::Over
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => {
                    if read.as_ref().is_ok_and(|read| *read < buffer.len()) {
                        self.reads = Readiness::Over;
                    }
                    return Poll::Ready(read);
                }
            }
        }
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            if let Some(bell) = &self.full {
                ready!(bell.poll(cx, |cx| self.stream.poll_writable(cx)))?;
                self.full = None;
            }
            match write(self.stream.get_ref(), pieces) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.full = Some(Arc::default());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.stream.get_ref().shutdown(Shutdown::Write))
    }

    fn peer(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

/// Writes `pieces`; one alone is cheaper without a list.
fn write(mut stream: &TcpStream, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    match pieces {
        [piece] => stream.write(piece),
        pieces => stream.write_vectored(pieces),
    }
}

#[cfg(test)]
mod tests {
    use core::future::poll_fn;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    /// How often a peer and a socket take turns, each time with a byte.
    const BYTES: usize = 50;

    /// Turns of others in which it has them all: it needs one or two for each, and the reactor's thread its own time.
    const TURNS_MAX: usize = BYTES * 8;

    /// Answers every byte that is there; says how many.
    fn serve(socket: &mut SmolSocket, cx: &mut Context<'_>) -> usize {
        let mut served = 0;
        while let Poll::Ready(read) = socket.poll_read(cx, &mut [0; 8]) {
            served += read.expect("the peer is there");
            let answer = socket.poll_write(cx, &[IoSlice::new(b"!")]);
            assert!(matches!(answer, Poll::Ready(Ok(1))));
        }
        served
    }

    #[test]
    fn a_socket_is_served_while_others_keep_its_thread_busy() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("it is bound");
        let peer = thread::spawn(move || {
            let mut peer = TcpStream::connect(addr)?;
            peer.set_nodelay(true)?;
            for _ in 0..BYTES {
                peer.write_all(b"?")?;
                peer.read_exact(&mut [0])?;
            }
            io::Result::Ok(())
        });
        let (stream, _) = listener.accept().expect("it connects");
        let stream = Async::new(stream).expect("a socket");
        let mut socket = SmolSocket::new(stream, addr);
        let (mut served, mut turns) = (0, 0);
        // Turns of others, between which this thread does not look at the reactor: its own thread has to.
        async_io::block_on(poll_fn(|cx| {
            while served < BYTES && turns < 10 * TURNS_MAX {
                turns += 1;
                served += serve(&mut socket, cx);
                let until = Instant::now() + Duration::from_millis(1);
                while Instant::now() < until {}
            }
            Poll::Ready(())
        }));
        assert_eq!(served, BYTES);
        assert!(turns < TURNS_MAX, "{turns}");
        peer.join().expect("no panic").expect("it was served");
    }

    #[test]
    fn who_is_woken_for_another_reason_does_not_write() {
        let bell = Arc::<Bell>::default();
        let cx = &mut Context::from_waker(Waker::noop());
        let mut left = None;
        for _ in 0..3 {
            let pending = bell.poll(cx, |cx| {
                left = Some(cx.waker().clone());
                Poll::Pending
            });
            assert!(pending.is_pending());
        }
        left.expect("a waker was left").wake();
        assert!(bell.poll(cx, |_| Poll::Pending).is_ready());
    }

    #[test]
    fn the_reactor_is_asked_once_and_then_the_system() {
        let (pending, ready) = (|| Poll::Pending, || Poll::Ready(Ok(())));
        let mut readiness = Readiness::Unknown;
        let fresh = readiness.poll(|| unreachable!("the system is asked first"));
        assert!(fresh.is_ready());
        for _ in 0..2 {
            readiness = Readiness::Over;
            assert!(readiness.poll(pending).is_pending());
            assert!(
                readiness.poll(pending).is_ready(),
                "it may have been for us"
            );
            assert_eq!(readiness, Readiness::Unknown);
        }
        readiness = Readiness::Over;
        assert!(readiness.poll(ready).is_ready());
        assert_eq!(readiness, Readiness::Unknown);
    }
}
