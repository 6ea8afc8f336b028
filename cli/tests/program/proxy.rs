//! A way to a hub that can be cut without a word to either side.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Forwards one connection.
pub(crate) struct Proxy {
    pub(crate) url: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    cut: AtomicBool,
    over: AtomicBool,
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
            let (near, _) = listener.accept().expect("the client comes");
            let far = TcpStream::connect(hub).expect("the hub listens");
            let back = (
                far.try_clone().expect("a socket"),
                near.try_clone().expect("a socket"),
            );
            let there = shared.clone();
            thread::spawn(move || forward(near, far, &there));
            forward(back.0, back.1, &shared);
        });
        Self { url, state }
    }

    /// From now on nothing passes, and nobody is told.
    pub(crate) fn cut(&self) {
        self.state.cut.store(true, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::Relaxed);
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, state: &State) {
    let mut buffer = [0; 4096];
    let short = Some(Duration::from_millis(20));
    from.set_read_timeout(short).expect("a duration above zero");
    while !state.over.load(Ordering::Relaxed) {
        match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) if state.cut.load(Ordering::Relaxed) => {}
            Ok(read) => to.write_all(&buffer[..read]).expect("both ends are there"),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return,
        }
    }
}
