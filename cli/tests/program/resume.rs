//! A subscriber whose way to the hub is cut while events are published returns, and knows of each event that it has not.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::process::{Hub, Over, Program, publish};
use crate::proxy::Proxy;

/// What happens to the way of the subscriber, time after time.
const CUTS: [Cut; 6] = [
    Cut::Silent,
    Cut::HalfOpen,
    Cut::Silent,
    Cut::HalfOpen,
    Cut::Broken,
    Cut::HalfOpen,
];

/// How a way is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// Nothing passes for a while, and nobody notices.
    Silent,
    /// The same, until the client comes by a new connection: to the hub the old one is still there.
    HalfOpen,
    /// Both sides know at once, and the client tries in vain for a while.
    Broken,
}

/// As many events as are kept for a client that is away.
const FEW: u64 = 200;

/// A client that has failed often waits for up to 30 s before it tries again.
const BACK_AGAIN: Duration = Duration::from_secs(60);

/// How many events are published each time, and how fast: it is cut off for as long as that takes.
struct Size {
    count: u64,
    rate: &'static str,
}

/// In full size, ten seconds each time, where `CUT_OFF=full` says that the machine has time for it.
fn size() -> Size {
    match std::env::var_os("CUT_OFF").is_some_and(|size| size == "full") {
        true => Size {
            count: 10_000,
            rate: "1000",
        },
        false => Size {
            count: 2_000,
            rate: "4000",
        },
    }
}

/// What it has heard and what it was told to miss.
#[derive(Debug, Default, PartialEq, Eq)]
struct Account {
    received: u64,
    lagged: u64,
    gap: u64,
}

/// Follows a subscriber of `load` to its last event.
fn follow(mut program: Program) -> Account {
    let mut account = Account::default();
    let mut next = 0;
    while let Some(line) = program.out.next().filter(|line| line != "load end") {
        let number: u64 = line["load ".len()..].parse().expect(&line);
        assert!(number >= next, "{number} came where {next} was due");
        next = number + 1;
        account.received += 1;
    }
    program.signal(Signal::TERM);
    for line in program.ended().err {
        match line.split_once(' ') {
            Some(("lagged", missed)) => account.lagged += missed.parse::<u64>().expect(&line),
            Some(("gap", missed)) => account.gap += missed.parse::<u64>().expect(&line),
            _ => {}
        }
    }
    account
}

/// Publishes so many numbers, beginning with `first`.
fn publish_numbers(url: &str, first: u64, count: u64, rate: &str) {
    let lines = (first..first + count).map(|number| number.to_string());
    let publisher = Program::start_with(&["pub", url, "load", "--rate", rate], lines);
    let published = publisher.ended();
    assert_eq!(published.code, Some(0), "{published:?}");
    published.dropped();
}

fn cut_off_and_back(over: Over) {
    let mut hub = Hub::start(&["--stats", "0.05"]);
    let url = over(&hub).to_owned();
    let proxy = Proxy::to(&url);
    let program = Program::subscriber(&[&proxy.url, "load"]);
    let follower = thread::spawn(|| follow(program));
    let Size { count, rate } = size();
    let (mut published, mut resumed) = (0, 0);
    for (index, cut) in CUTS.into_iter().enumerate() {
        // While it is there, too; and the last time no more than there is room for.
        publish_numbers(&url, published, FEW, rate);
        match cut {
            Cut::Silent | Cut::HalfOpen => proxy.cut(),
            Cut::Broken => proxy.break_off(),
        }
        let meanwhile = if index + 1 < CUTS.len() { count } else { FEW };
        publish_numbers(&url, published + FEW, meanwhile, rate);
        published += FEW + meanwhile;
        match cut {
            Cut::Silent => proxy.go_on(),
            Cut::HalfOpen | Cut::Broken => {
                proxy.mend();
                resumed += 1;
            }
        }
        hub.counters_within(BACK_AGAIN, |counters| {
            let waiting = [&counters["detached"], &counters["waiting_frames"]];
            counters["resumed"] == resumed && waiting == [0, 0]
        });
    }
    publish(&url, "load", "end", &[]);
    let account = follower.join().expect("every line was as it should be");
    let Account {
        received,
        lagged,
        gap,
    } = account;
    assert_eq!(received + lagged + gap, published, "{account:?}");
    assert!(received >= FEW && gap > 0, "{account:?}");
    println!("{published} published: {received} received, {lagged} lagged, {gap} gap");
}

#[test]
fn over_tcp_everything_is_received_or_told_missing() {
    cut_off_and_back(|hub| &hub.tcp);
}

#[test]
fn over_websocket_everything_is_received_or_told_missing() {
    cut_off_and_back(|hub| &hub.ws);
}
