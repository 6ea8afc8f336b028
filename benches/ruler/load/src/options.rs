//! Options: what the command line asks for.

use std::net::SocketAddr;

pub(crate) struct Options {
    pub(crate) command: String,
    pub(crate) protocol: String,
    pub(crate) address: SocketAddr,
    pub(crate) subscribers: usize,
    pub(crate) payload: usize,
    pub(crate) window: u64,
    pub(crate) seconds: f64,
    pub(crate) warm_up: f64,
    /// The process of the server.
    pub(crate) process: u32,
    pub(crate) keepalive: u16,
    pub(crate) concurrency: usize,
    pub(crate) name: String,
    /// Publishers; more than one publish in rounds, one event each.
    pub(crate) publishers: usize,
    /// Subscribers that never read.
    pub(crate) stopped: usize,
    /// Of a thousand topics, so many are each subscriber's own; 0: there is one topic.
    pub(crate) each: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            command: String::new(),
            protocol: "tcp".into(),
            address: "127.0.0.1:9000".parse().unwrap(),
            subscribers: 1,
            payload: 128,
            window: 64,
            seconds: 2.0,
            warm_up: 0.5,
            process: 0,
            keepalive: 60,
            concurrency: 32,
            name: String::new(),
            publishers: 1,
            stopped: 0,
            each: 0,
        }
    }
}

impl Options {
    fn set(&mut self, key: &str, value: String) {
        match key {
            "--proto" => self.protocol = value,
            "--port" => self.address = format!("127.0.0.1:{value}").parse().unwrap(),
            "--subs" | "--conns" => self.subscribers = value.parse().unwrap(),
            "--payload" => self.payload = value.parse().unwrap(),
            "--window" => self.window = value.parse().unwrap(),
            "--secs" => self.seconds = value.parse().unwrap(),
            "--warm" => self.warm_up = value.parse().unwrap(),
            "--pid" => self.process = value.parse().unwrap(),
            "--keepalive" => self.keepalive = value.parse().unwrap(),
            "--conc" => self.concurrency = value.parse().unwrap(),
            "--name" => self.name = value,
            "--pubs" => self.publishers = value.parse().unwrap(),
            "--stopped" => self.stopped = value.parse().unwrap(),
            "--each" => self.each = value.parse().unwrap(),
            _ => panic!("unknown option {key}"),
        }
    }
}

pub(crate) fn options() -> Options {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().expect("fanout|rtt|idle|storm");
    let mut options = Options {
        command,
        ..Options::default()
    };
    while let Some(key) = arguments.next() {
        let value = arguments.next().expect("value");
        options.set(&key, value);
    }
    assert!(options.address.ip().is_loopback());
    options
}
