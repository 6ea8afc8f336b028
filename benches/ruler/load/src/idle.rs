//! Idle connections: what very many cost that only answer pings, or ping.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::bytes::find;
use crate::connection::{open_many, Opened};
use crate::options::Options;
use crate::poll::Poll;
use crate::protocols::script;
use crate::script::Script;
use crate::usage::{resident, spent, tcp_memory_pages};

struct Idle<'a> {
    options: &'a Options,
    script: Script,
    opened: Opened,
    poll: Poll,
    start: Instant,
    /// Pings of clients, in a second.
    rate: f64,
    sent: u64,
    pings: u64,
    closed: u64,
}

struct Memory {
    resident: u64,
    tcp_pages: u64,
}

pub(crate) fn idle(options: &Options) {
    let script = script(&options.protocol, 24, options.keepalive);
    let before = memory(options);
    let opened = open_many(options, &script.subscriber, true);
    std::thread::sleep(Duration::from_millis(500));
    let open = memory(options);
    let poll = Poll::new();
    for (i, stream) in opened.streams.iter().enumerate() {
        stream.set_nonblocking(true).unwrap();
        poll.add(stream, i);
    }
    let spent_before = spent(options.process);
    let mut idle = Idle::new(options, script, opened, poll);
    idle.run();
    let nanoseconds = spent(options.process).since(spent_before).nanoseconds;
    idle.report(before, open, nanoseconds as f64);
}

fn memory(options: &Options) -> Memory {
    Memory {
        resident: resident(options.process),
        tcp_pages: tcp_memory_pages(),
    }
}

impl<'a> Idle<'a> {
    fn new(options: &'a Options, script: Script, opened: Opened, poll: Poll) -> Self {
        let start = Instant::now();
        // clients that must ping by themselves are spread evenly over 60 % of the keepalive interval
        let rate = if script.client_ping.is_some() && options.keepalive > 0 {
            opened.count as f64 / (options.keepalive as f64 * 0.6)
        } else {
            0.0
        };
        Idle {
            options,
            script,
            opened,
            poll,
            start,
            rate,
            sent: 0,
            pings: 0,
            closed: 0,
        }
    }

    fn run(&mut self) {
        let mut buffer = [0u8; 4096];
        while self.start.elapsed().as_secs_f64() < self.options.seconds {
            self.send_pings();
            let events = self.poll.wait(20);
            for event in 0..events {
                self.read(self.poll.key(event), &mut buffer);
            }
        }
    }

    fn send_pings(&mut self) {
        if let (Some(ping), true) = (&self.script.client_ping, self.rate > 0.0) {
            let due = (self.start.elapsed().as_secs_f64() * self.rate) as u64;
            while self.sent < due {
                let i = (self.sent % self.opened.count) as usize;
                let _ = (&self.opened.streams[i]).write(ping);
                self.sent += 1;
                self.pings += 1;
            }
        }
    }

    fn read(&mut self, i: usize, buffer: &mut [u8]) {
        let mut stream: &TcpStream = &self.opened.streams[i];
        match stream.read(buffer) {
            Ok(0) => {
                self.closed += 1;
                self.poll.remove(stream);
            }
            Ok(length) => {
                for (ping, pong) in &self.script.pong {
                    if find(&buffer[..length], ping).is_some() {
                        let _ = stream.write(pong);
                        self.pings += 1;
                    }
                }
            }
            Err(_) => {}
        }
    }

    fn report(&self, before: Memory, open: Memory, nanoseconds: f64) {
        let resident_end = resident(self.options.process);
        let seconds = self.start.elapsed().as_secs_f64();
        let bytes_each = |resident: u64| {
            resident.saturating_sub(before.resident) as f64 * 1024.0 / self.opened.count as f64
        };
        print!(
            r#"{{"test":"idle","name":"{}","proto":"{}","conns":{},"open_s":{:.2},"#,
            self.options.name, self.options.protocol, self.opened.count, self.opened.seconds,
        );
        print!(
            r#""rss0_kb":{},"rss1_kb":{},"rss2_kb":{},"bytes_conn":{:.0},"bytes_conn_end":{:.0},"#,
            before.resident,
            open.resident,
            resident_end,
            bytes_each(open.resident),
            bytes_each(resident_end),
        );
        println!(
            r#""tcpmem_pages":{},"pings":{},"cpu_ms":{:.1},"us_per_ping":{:.2},"cpu_pct":{:.2},"closed":{}}}"#,
            open.tcp_pages.saturating_sub(before.tcp_pages),
            self.pings,
            nanoseconds / 1e6,
            nanoseconds / 1e3 / self.pings.max(1) as f64,
            nanoseconds / 1e7 / seconds,
            self.closed,
        );
    }
}
