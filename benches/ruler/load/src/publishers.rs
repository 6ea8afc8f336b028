//! Publishers of the fan-out: one with a window, or several that publish in rounds.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::bytes::find;
use crate::connection::connect;
use crate::latency::stamp;
use crate::options::Options;
use crate::script::Script;

pub(crate) struct Publishers {
    stream: TcpStream,
    others: Vec<TcpStream>,
    frame: Vec<u8>,
    out: Vec<u8>,
    written: usize,
    published: u64,
}

impl Publishers {
    pub(crate) fn connect(options: &Options, script: &Script) -> Self {
        let open =
            |id| connect(options.address, &script.publisher, id).expect("publisher handshake");
        let others = (1..options.publishers)
            .map(|i| open(99_999_000 + i as u64))
            .collect();
        let stream = open(99_999_999);
        stream.set_nonblocking(true).unwrap();
        let frame = script.frame.clone();
        Publishers {
            stream,
            others,
            frame,
            out: vec![],
            written: 0,
            published: 0,
        }
    }

    pub(crate) fn published(&self) -> u64 {
        self.published
    }

    /// Publishes what may be published when so many events are done.
    pub(crate) fn publish(&mut self, done: u64, options: &Options, script: &Script) {
        if options.publishers > 1 {
            // A round: everybody has everything of the one before.
            if self.published == done {
                self.publish_round(script);
            }
        } else {
            while self.published < done + options.window && self.out.len() - self.written < 1 << 17
            {
                self.publish_one(options, script);
            }
        }
    }

    fn publish_round(&mut self, script: &Script) {
        for other in &mut self.others {
            stamp(&mut self.frame, script.offset, script.mask);
            other.write_all(&self.frame).expect("publisher write");
            self.published += 1;
        }
        stamp(&mut self.frame, script.offset, script.mask);
        self.out.extend_from_slice(&self.frame);
        self.published += 1;
    }

    fn publish_one(&mut self, options: &Options, script: &Script) {
        stamp(&mut self.frame, script.offset, script.mask);
        if let (Some(at), true) = (script.topic, options.each > 0) {
            // Far from the one before, so that no two go to the same subscribers in a row.
            let topic = self.published * 389 % 1_000;
            self.frame[at..at + 4].copy_from_slice(format!("{topic:04}").as_bytes());
        }
        self.out.extend_from_slice(&self.frame);
        self.published += 1;
    }

    /// Whether something could not be written.
    pub(crate) fn write(&mut self) -> bool {
        if self.written == self.out.len() {
            return false;
        }
        match self.stream.write(&self.out[self.written..]) {
            Ok(length) => self.written += length,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return true,
            Err(e) => panic!("publisher write: {e}"),
        }
        if self.written < self.out.len() {
            return true;
        }
        self.out.clear();
        self.written = 0;
        false
    }

    pub(crate) fn read_replies(&mut self, script: &Script, buffer: &mut [u8]) {
        while let Ok(length) = self.stream.read(buffer) {
            if length == 0 {
                panic!("publisher closed by server");
            }
            for (ping, pong) in &script.pong {
                if length < 64 && find(&buffer[..length], ping).is_some() {
                    let _ = self.stream.write(pong);
                }
            }
            if length < buffer.len() {
                break;
            }
        }
    }

    /// Writes what is left, however long it takes.
    pub(crate) fn finish(&mut self) {
        self.stream.set_nonblocking(false).unwrap();
        self.stream
            .write_all(&self.out[self.written..])
            .expect("publisher write");
    }
}
