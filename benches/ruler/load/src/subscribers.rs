//! Subscribers of the fan-out: of most the bytes are counted, a few are really read.

use std::io::{Error, ErrorKind, Write};
use std::net::TcpStream;

use crate::connection::connect;
use crate::latency::Sampler;
use crate::options::Options;
use crate::poll::{receive, Poll};
use crate::script::Script;

pub(crate) struct Subscribers {
    poll: Poll,
    streams: Vec<TcpStream>,
    _stopped: Vec<TcpStream>,
    samplers: Vec<Option<Sampler>>,
    bytes: Vec<u64>,
    total_bytes: u64,
    closed: u64,
}

impl Subscribers {
    pub(crate) fn connect(options: &Options, script: &Script) -> Self {
        let open =
            |id| connect(options.address, &script.subscriber, id).expect("subscriber handshake");
        let count = options.subscribers;
        let poll = Poll::new();
        let mut streams = vec![];
        for i in 0..count {
            let stream = open((i * options.each.max(1)) as u64);
            stream.set_nonblocking(true).unwrap();
            poll.add(&stream, i);
            streams.push(stream);
        }
        let stopped = (0..options.stopped).map(|i| open(i as u64)).collect();
        let every = (count / 8).max(1);
        let samplers = (0..count)
            .map(|i| (i % every == 0).then(Sampler::default))
            .collect();
        Subscribers {
            poll,
            streams,
            _stopped: stopped,
            samplers,
            bytes: vec![0; count],
            total_bytes: 0,
            closed: 0,
        }
    }

    pub(crate) fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    pub(crate) fn closed(&self) -> u64 {
        self.closed
    }

    /// How many events there are.
    pub(crate) fn wait(&mut self, milliseconds: i32) -> usize {
        self.poll.wait(milliseconds)
    }

    pub(crate) fn read(&mut self, events: usize, script: &Script, buffer: &mut [u8]) {
        for event in 0..events {
            self.read_one(self.poll.key(event), script, buffer);
        }
    }

    fn read_one(&mut self, i: usize, script: &Script, buffer: &mut [u8]) {
        let flags = if self.samplers[i].is_some() {
            0
        } else {
            libc::MSG_TRUNC
        };
        let length = receive(&self.streams[i], buffer, flags);
        if length > 0 {
            let counted = self.sample(i, length as usize, script, buffer);
            self.count(i, counted);
        } else if length == 0 || Error::last_os_error().kind() != ErrorKind::WouldBlock {
            self.closed += 1;
            self.poll.remove(&self.streams[i]);
        }
    }

    /// Looks at what was received, if this one is sampled, and says how much of it counts.
    fn sample(&mut self, i: usize, length: usize, script: &Script, buffer: &[u8]) -> u64 {
        let Some(sampler) = &mut self.samplers[i] else {
            return length as u64;
        };
        let data = &buffer[..length];
        let mut counted = length as u64;
        if length < 64 {
            for (ping, pong) in &script.pong {
                if data == &ping[..] {
                    let _ = (&self.streams[i]).write(pong);
                    counted = 0;
                }
            }
        }
        if counted > 0 {
            sampler.feed(data, script.deliver);
        }
        counted
    }

    /// Counts what arrives, without a look at it.
    pub(crate) fn drain(&mut self, events: usize, buffer: &mut [u8]) {
        for event in 0..events {
            let i = self.poll.key(event);
            let flags = libc::MSG_TRUNC | libc::MSG_DONTWAIT;
            let length = receive(&self.streams[i], buffer, flags);
            if length > 0 {
                self.count(i, length as u64);
            }
        }
    }

    fn count(&mut self, i: usize, bytes: u64) {
        self.bytes[i] += bytes;
        self.total_bytes += bytes;
    }

    pub(crate) fn forget_latencies(&mut self) {
        self.samplers
            .iter_mut()
            .flatten()
            .for_each(Sampler::forget_latencies);
    }

    pub(crate) fn latencies(&self) -> Vec<u32> {
        let mut latencies = vec![];
        for sampler in self.samplers.iter().flatten() {
            latencies.extend_from_slice(sampler.latencies());
        }
        latencies
    }

    /// How many markers the first one has seen.
    pub(crate) fn seen_by_first(&self) -> u64 {
        self.samplers[0].as_ref().map(Sampler::seen).unwrap_or(0)
    }

    pub(crate) fn bytes_of_first(&self) -> u64 {
        self.bytes[0]
    }

    pub(crate) fn fewest_bytes(&self) -> u64 {
        *self.bytes.iter().min().unwrap()
    }
}
