//! A subscriber that stands still delays nobody, and learns how much it has missed.

use std::fs;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::process::{EVERY_WAY, Hub, Over, Program};

/// Room for two lanes of 1 MiB, what the program itself needs, and as much again.
const HUB_KILOBYTES_MAX: u64 = 32 * 1024;

/// Follows a subscriber and counts.
struct Follower {
    process: Pid,
    /// What it has received and what it has missed, when it has heard the end.
    counts: JoinHandle<(u64, u64)>,
}

impl Follower {
    fn new(url: &str) -> Self {
        let program = Program::subscriber(&[url, "load"]);
        Self {
            process: program.id(),
            counts: thread::spawn(|| follow(program)),
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.process, signal).expect("it is ours and runs");
    }

    fn counts(self) -> (u64, u64) {
        self.counts.join().expect("every line was as it should be")
    }
}

fn follow(mut program: Program) -> (u64, u64) {
    let (mut received, mut next) = (0, 0);
    while let Some(line) = program.out.next().filter(|line| line != "load end") {
        let number: u64 = line[5..13].parse().expect(&line);
        assert!(number >= next, "{number} came where {next} was due");
        next = number + 1;
        received += 1;
    }
    program.signal(Signal::TERM);
    let mut told = program.ended().err;
    let total = told.pop_if(|line| line.starts_with("total "));
    let lagged = told.into_iter().map(|line| {
        let number = line.strip_prefix("lagged ").expect(&line);
        number.parse::<u64>().expect(&line)
    });
    let lagged = lagged.sum();
    if lagged > 0 {
        // The last event is beside those that are counted here.
        let sum = received + 1 + lagged;
        let (received, gap) = (received + 1, 0);
        let expected = format!("total {sum}: received {received}, lagged {lagged}, gap {gap}");
        assert_eq!(total, Some(expected));
    }
    (received, lagged)
}

fn lines(count: u64) -> impl Iterator<Item = String> + Send {
    (0..count).map(|number| format!("{number:08} {}", "x".repeat(1_015)))
}

fn publish(url: &str, count: u64, options: &[&str]) -> Program {
    Program::start_with(&[&["pub", url, "load"], options].concat(), lines(count))
}

/// The most memory that the process ever had, in kilobytes.
fn peak_kilobytes(process: Pid) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.as_raw_nonzero())).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// One subscriber runs, the other one is stopped until `is_enough`.
fn one_of_two_stops(over: Over, count: u64, rate: &str, is_enough: impl FnOnce(&mut Hub)) {
    let mut hub = Hub::start(&["--stats", "0.1"]);
    let (running, stopped) = (Follower::new(over(&hub)), Follower::new(over(&hub)));
    let publisher = publish(over(&hub), count, &["--rate", rate]);
    stopped.signal(Signal::STOP);
    is_enough(&mut hub);
    stopped.signal(Signal::CONT);
    let published = publisher.ended();
    assert_eq!(published.code, Some(0), "{published:?}");
    let dropped = published.dropped();
    publish_end(&hub, count);

    assert_eq!(running.counts(), (count, 0));
    let (received, lagged) = stopped.counts();
    assert_eq!(
        received + lagged,
        count,
        "{received} received and {lagged} lagged"
    );
    // The last event found its room at the cost of others, too.
    assert!((1..=lagged).contains(&dropped), "{dropped} of {lagged}");
}

/// Publishes what lets the followers end. Being the newest event it finds room, however far they are behind.
fn publish_end(hub: &Hub, count: u64) {
    crate::process::publish(&hub.tcp, "load", "end", &[]);
    if let Some(kilobytes) = peak_kilobytes(hub.program.id()) {
        assert!(
            kilobytes < HUB_KILOBYTES_MAX,
            "{count} events took {kilobytes} kB"
        );
    }
}

fn as_fast_as_it_goes(count: u64) {
    let hub = Hub::start(&[]);
    let followers = EVERY_WAY.map(|over| Follower::new(over(&hub)));
    let published = publish(&hub.tcp, count, &[]).ended();
    assert_eq!(published.code, Some(0), "{published:?}");
    published.dropped();
    publish_end(&hub, count);
    for follower in followers {
        let (received, lagged) = follower.counts();
        assert_eq!(
            received + lagged,
            count,
            "{received} received and {lagged} lagged"
        );
    }
}

/// How much is published, how fast, and how long the stopped one stands still at least.
struct Size {
    count: u64,
    rate: &'static str,
    standstill: Duration,
}

/// In full size where `SLOW_READER=full` says that the machine has time for it. Otherwise slower than it could be: a
/// machine that is busy elsewhere must not make the running one lag.
fn size() -> Size {
    match std::env::var_os("SLOW_READER").is_some_and(|size| size == "full") {
        true => Size {
            count: 200_000,
            rate: "20000",
            standstill: Duration::from_secs(5),
        },
        false => Size {
            count: 20_000,
            rate: "8000",
            standstill: Duration::ZERO,
        },
    }
}

fn the_running_one_gets_all(over: Over) {
    let Size {
        count,
        rate,
        standstill,
    } = size();
    one_of_two_stops(over, count, rate, |hub| {
        thread::sleep(standstill);
        hub.counters(|counters| counters["dropped"]["drop-oldest"].as_u64() > Some(0));
    });
}

#[test]
fn over_tcp_the_running_one_gets_all_and_the_stopped_one_knows_what_it_missed() {
    the_running_one_gets_all(|hub| &hub.tcp);
}

#[test]
fn over_websocket_the_running_one_gets_all_and_the_stopped_one_knows_what_it_missed() {
    the_running_one_gets_all(|hub| &hub.ws);
}

#[test]
fn as_fast_as_it_goes_nothing_is_lost_without_a_word() {
    as_fast_as_it_goes(size().count);
}
