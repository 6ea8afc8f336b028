//! The fan-out: publishers, many subscribers, and what a delivery costs.

use std::time::{Duration, Instant};

use crate::latency::percentile;
use crate::options::Options;
use crate::protocols::script;
use crate::publishers::Publishers;
use crate::script::Script;
use crate::subscribers::Subscribers;
use crate::usage::{resident, spent, Spent};

struct FanOut<'a> {
    options: &'a Options,
    script: Script,
    publishers: Publishers,
    subscribers: Subscribers,
    /// How many get each event.
    receivers: u64,
    buffer: Vec<u8>,
    start: Instant,
    turns: u64,
    /// The time, as it was when somebody looked.
    tick: Instant,
    last_progress: Instant,
    stalled: bool,
}

/// What stands at one time.
#[derive(Clone, Copy)]
struct Reading {
    at: Instant,
    bytes: u64,
    server: Spent,
    load: Spent,
}

/// What is known when the time is over, before the rest arrives.
struct Outcome {
    seconds: f64,
    messages: f64,
    server: Spent,
    load: Spent,
    latencies: Vec<u32>,
    memory: u64,
    memory_before: u64,
    seen: u64,
    count: u64,
}

pub(crate) fn fan_out(options: &Options) {
    let script = script(&options.protocol, options.payload, options.keepalive);
    let memory_before = resident(options.process);
    let mut fan_out = FanOut::connect(options, script);
    let (begin, end) = fan_out.run();
    let outcome = fan_out.outcome(begin, end, memory_before);
    fan_out.finish();
    fan_out.report(outcome);
}

impl<'a> FanOut<'a> {
    fn connect(options: &'a Options, script: Script) -> Self {
        let subscribers = Subscribers::connect(options, &script);
        let publishers = Publishers::connect(options, &script);
        std::thread::sleep(Duration::from_millis(100));
        let receivers = receivers(options);
        let buffer = vec![0u8; 1 << 18];
        let start = Instant::now();
        FanOut {
            options,
            script,
            publishers,
            subscribers,
            receivers,
            buffer,
            start,
            turns: 0,
            tick: start,
            last_progress: Instant::now(),
            stalled: false,
        }
    }

    /// What stood after the warm-up, if it came to that, and what stands at the end.
    fn run(&mut self) -> (Option<Reading>, Reading) {
        let warm_up = Duration::from_secs_f64(self.options.warm_up);
        let end = Duration::from_secs_f64(self.options.warm_up + self.options.seconds);
        let mut begin = None;
        loop {
            self.look_at_clock();
            let elapsed = self.tick - self.start;
            if begin.is_none() && elapsed >= warm_up {
                begin = Some(self.reading());
                self.subscribers.forget_latencies();
            }
            if elapsed >= end {
                return (begin, self.reading());
            }
            let before = self.subscribers.total_bytes();
            self.turn();
            if self.is_stuck(before) {
                return (begin, self.reading());
            }
        }
    }

    fn look_at_clock(&mut self) {
        self.turns += 1;
        let few = self.options.subscribers <= 64 && self.options.window > 4;
        if self.turns.is_multiple_of(16) || !few {
            self.tick = Instant::now();
        }
    }

    fn reading(&self) -> Reading {
        Reading {
            at: Instant::now(),
            bytes: self.subscribers.total_bytes(),
            server: spent(self.options.process),
            load: spent(std::process::id()),
        }
    }

    fn turn(&mut self) {
        // publish
        let done = self.subscribers.total_bytes() / self.script.deliver as u64 / self.receivers;
        self.publishers.publish(done, self.options, &self.script);
        let blocked = self.publishers.write();
        let events = self.subscribers.wait(if blocked { 1 } else { 100 });
        // drain replies to the publisher, if any (rare or cheap)
        if self.turns.is_multiple_of(8) || events == 0 {
            self.publishers.read_replies(&self.script, &mut self.buffer);
        }
        self.subscribers
            .read(events, &self.script, &mut self.buffer);
    }

    /// Whether there was no progress for so long that none is awaited.
    fn is_stuck(&mut self, before: u64) -> bool {
        if self.subscribers.total_bytes() > before {
            self.last_progress = self.tick;
            return false;
        }
        let still = self.tick - self.last_progress;
        if still <= Duration::from_secs(2) {
            return false;
        }
        let stuck = self.stalled && still > Duration::from_secs(4);
        self.stalled = true;
        stuck
    }

    fn outcome(&self, begin: Option<Reading>, end: Reading, memory_before: u64) -> Outcome {
        let memory = resident(self.options.process);
        let begin = begin.unwrap_or_else(|| Reading {
            at: self.start,
            bytes: 0,
            ..self.reading()
        });
        let deliver = self.script.deliver as u64;
        Outcome {
            seconds: (end.at - begin.at).as_secs_f64(),
            messages: (end.bytes - begin.bytes) as f64 / deliver as f64,
            server: end.server.since(begin.server),
            load: end.load.since(begin.load),
            latencies: self.subscribers.latencies(),
            memory,
            memory_before,
            seen: self.subscribers.seen_by_first(),
            count: self.subscribers.bytes_of_first() / deliver,
        }
    }

    /// What is under way arrives, or is lost.
    fn finish(&mut self) {
        self.publishers.finish();
        let due = self.publishers.published() * self.receivers * self.script.deliver as u64;
        let until = Instant::now() + Duration::from_secs(5);
        while self.subscribers.total_bytes() < due && Instant::now() < until {
            let events = self.subscribers.wait(50);
            self.subscribers.drain(events, &mut self.buffer);
        }
    }

    fn fewest(&self) -> u64 {
        self.subscribers.fewest_bytes() / self.script.deliver as u64
    }

    fn lost(&self) -> u64 {
        let published = self.publishers.published();
        // Pings count as bytes too, so this may hide a loss where there are some.
        if self.options.each > 0 {
            let delivered = self.subscribers.total_bytes() / self.script.deliver as u64;
            (published * self.receivers).saturating_sub(delivered)
        } else {
            published.saturating_sub(self.fewest())
        }
    }

    fn report(&self, mut outcome: Outcome) {
        let options = self.options;
        print!(
            r#"{{"test":"fanout","name":"{}","proto":"{}","subs":{},"payload":{},"window":{},"#,
            options.name, options.protocol, options.subscribers, options.payload, options.window,
        );
        outcome.report();
        println!(
            r#""min":{},"pubs":{},"closed":{},"lost":{},"stalled":{}}}"#,
            self.fewest(),
            self.publishers.published(),
            self.subscribers.closed(),
            self.lost(),
            self.stalled,
        );
    }
}

impl Outcome {
    fn report(&mut self) {
        let (seconds, messages) = (self.seconds, self.messages);
        let (server, load) = (self.server.nanoseconds as f64, self.load.nanoseconds as f64);
        print!(
            r#""wall_s":{:.3},"msgs_s":{:.0},"srv_us_msg":{:.4},"cli_us_msg":{:.4},"#,
            seconds,
            messages / seconds,
            server / 1e3 / messages,
            load / 1e3 / messages,
        );
        print!(
            r#""srv_util":{:.2},"cli_util":{:.2},"srv_user_frac":{:.2},"#,
            server / 1e9 / seconds,
            load / 1e9 / seconds,
            self.server.user_part(),
        );
        print!(
            r#""p50_us":{:.1},"p99_us":{:.1},"rss_kb":{},"rss0_kb":{},"seen0":{},"count0":{},"#,
            percentile(&mut self.latencies, 0.5),
            percentile(&mut self.latencies, 0.99),
            self.memory,
            self.memory_before,
            self.seen,
            self.count,
        );
    }
}

fn receivers(options: &Options) -> u64 {
    let (subscribers, each) = (options.subscribers, options.each);
    let count = if each > 0 {
        subscribers * each / 1_000
    } else {
        subscribers
    };
    assert!(
        each == 0 || (subscribers * each).is_multiple_of(1_000),
        "topics must have equally many subscribers"
    );
    count as u64
}
