//! A way to a hub that can be cut, with a word to both sides or to neither, and mended.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// How soon the state is looked at again while nothing comes.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Forwards connections.
pub(crate) struct Proxy {
    pub(crate) url: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Nothing passes, and nobody is told.
    silent: AtomicBool,
    /// Nobody comes through.
    broken: AtomicBool,
    /// How often it was mended: what was there before passes nothing any more.
    age: AtomicU32,
    over: AtomicBool,
}

/// One direction of a connection.
struct Direction {
    from: TcpStream,
    to: TcpStream,
    /// The client's end of both.
    client: TcpStream,
    age: u32,
}

impl Proxy {
    pub(crate) fn to(url: &str) -> Self {
        let (scheme, hub) = url.split_once("://").expect(url);
        let (scheme, hub) = (scheme.to_owned(), hub.to_owned());
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let url = format!("{scheme}://{}", listener.local_addr().expect("it is bound"));
        let state = Arc::new(State::default());
        let shared = state.clone();
        thread::spawn(move || {
            for near in listener.incoming() {
                if shared.over.load(Ordering::Relaxed) {
                    return;
                }
                let near = near.expect("the client comes");
                if !shared.broken.load(Ordering::Relaxed) {
                    connect(near, &hub, &shared);
                }
            }
        });
        Self { url, state }
    }

    /// From now on nothing passes, and nobody is told.
    pub(crate) fn cut(&self) {
        self.state.silent.store(true, Ordering::Relaxed);
    }

    /// Ends what is there, and lets nobody through from now on.
    pub(crate) fn break_off(&self) {
        self.state.broken.store(true, Ordering::Relaxed);
    }

    /// Lets everything pass that has waited: nobody has noticed.
    pub(crate) fn go_on(&self) {
        self.state.silent.store(false, Ordering::Relaxed);
    }

    /// Lets clients through again, by new connections. Those that were cut are over for their clients, and for the hub as if nothing had
    /// happened.
    pub(crate) fn mend(&self) {
        self.state.age.fetch_add(1, Ordering::Relaxed);
        self.state.silent.store(false, Ordering::Relaxed);
        self.state.broken.store(false, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::Relaxed);
        // Somebody has to come for the listener to notice.
        let address = self.url.split_once("://").expect("a URL").1;
        let _ = TcpStream::connect(address);
    }
}

fn connect(near: TcpStream, hub: &str, state: &Arc<State>) {
    let copy = |socket: &TcpStream| socket.try_clone().expect("a socket");
    let far = TcpStream::connect(hub).expect("the hub listens");
    let age = state.age.load(Ordering::Relaxed);
    for (from, to) in [(&near, &far), (&far, &near)] {
        let direction = Direction {
            from: copy(from),
            to: copy(to),
            client: copy(&near),
            age,
        };
        let state = state.clone();
        thread::spawn(move || direction.forward(&state));
    }
}

impl Direction {
    fn forward(mut self, state: &State) {
        let mut buffer = [0; 16 * 1024];
        self.from
            .set_read_timeout(Some(LOOK_AGAIN))
            .expect("a duration above zero");
        while !state.over.load(Ordering::Relaxed) {
            if state.broken.load(Ordering::Relaxed) {
                return self.end();
            }
            if self.is_cut(state) {
                thread::sleep(LOOK_AGAIN);
                continue;
            }
            match self.from.read(&mut buffer) {
                Ok(0) => return self.end(),
                Ok(read) => {
                    if self.to.write_all(&buffer[..read]).is_err() {
                        return self.end();
                    }
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return self.end(),
            }
        }
    }

    /// Whether nothing passes; a client whose way was mended meanwhile is told then.
    fn is_cut(&self, state: &State) -> bool {
        let mended = state.age.load(Ordering::Relaxed) > self.age;
        if mended {
            let _ = self.client.shutdown(Shutdown::Both);
        }
        mended || state.silent.load(Ordering::Relaxed)
    }

    fn end(&self) {
        let _ = self.from.shutdown(Shutdown::Both);
        let _ = self.to.shutdown(Shutdown::Both);
    }
}
