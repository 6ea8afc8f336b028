//! A hub that is restarted under many clients gets them back when it said, not all at once, and each knows that it may have missed something.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use lapwing::client::{Client, ClientBuilder, Outage, Start, State, SubscribeOptions};
use lapwing::runtime::{Runtime, Smol};
use lapwing::wire::CloseReason;
use lapwing::{Delivery, Subscription};
use rustix::process::Signal;

use crate::process::{Hub, SOON, publish};

const CLIENTS: usize = 200;

/// Into how many parts of the window the returns are sorted.
const PARTS: u32 = 10;

/// When clients are to come back, in seconds from the hub's end.
struct Window {
    option: &'static str,
    start: Duration,
    end: Duration,
}

/// The usual one where `RESTART=full` says that the machine has time for it.
fn window() -> Window {
    match std::env::var_os("RESTART").is_some_and(|size| size == "full") {
        true => Window {
            option: "1-10",
            start: Duration::from_secs(1),
            end: Duration::from_secs(10),
        },
        false => Window {
            option: "1-4",
            start: Duration::from_secs(1),
            end: Duration::from_secs(4),
        },
    }
}

/// What a client has to say.
#[derive(Debug)]
enum Report {
    Subscribed,
    /// The hub has said goodbye, and wants it back after so long.
    Told(Duration),
    Back(Instant),
    /// The first that its subscription heard of it.
    Verdict(Delivery),
    /// An event after that.
    Event(String),
}

#[derive(Clone)]
struct Reporter {
    smol: Smol,
    reports: Sender<Report>,
}

impl Reporter {
    fn tell(&self, report: Report) {
        self.reports.send(report).expect("the test listens");
    }

    async fn follow(self, builder: ClientBuilder, filter: &'static str, start: Start) {
        let client = builder.spawned();
        client.online().await.expect("the hub lets it in");
        let options = SubscribeOptions {
            start,
            ..SubscribeOptions::default()
        };
        let mut subscription = client
            .subscribe_with(filter, options)
            .await
            .expect("the hub allows it");
        self.tell(Report::Subscribed);
        self.leave_and_return(&client).await;
        self.tell(Report::Verdict(verdict(&mut subscription).await));
        while let Some(delivery) = subscription.next().await {
            if let Delivery::Event(event) = delivery {
                self.tell(Report::Event(event.text().expect("a text").into()));
            }
        }
    }

    async fn leave_and_return(&self, client: &Client) {
        let mut states = client.states();
        while let Some(state) = states.next().await {
            match state {
                State::Waiting { until, outage } => {
                    assert_eq!(outage, Outage::Closed(CloseReason::Shutdown));
                    self.tell(Report::Told(until.since(self.smol.now())));
                    break;
                }
                State::Online { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        client.online().await.expect("the hub lets it in again");
        self.tell(Report::Back(Instant::now()));
    }
}

/// The first delivery that is no event of the time before.
async fn verdict(subscription: &mut Subscription) -> Delivery {
    loop {
        match subscription.next().await.expect("it goes on") {
            Delivery::Event(_) | Delivery::Live => {}
            delivery => return delivery,
        }
    }
}

/// Clients of both transports, half of them of a topic with a history.
fn begin(hub: &Hub) -> Receiver<Report> {
    let (reports, received) = mpsc::channel();
    let smol = Smol::new();
    let reporter = Reporter {
        smol: smol.clone(),
        reports,
    };
    for number in 0..CLIENTS {
        let builder = match number % 2 {
            0 => Client::builder(smol.clone(), lapwing_tcp::smol::connect(&hub.tcp)),
            _ => Client::builder(smol.clone(), lapwing_websocket::smol::connect(&hub.ws)),
        };
        let (filter, start) = match number % 4 {
            0 | 1 => ("kept", Start::Beginning),
            _ => ("news", Start::Now),
        };
        smol.spawn(reporter.clone().follow(builder, filter, start));
    }
    thread::spawn(move || smol.block_on(std::future::pending::<()>()));
    received
}

/// The most of them that come in any one part of the window.
fn burst(times: &[Duration], window: &Window) -> usize {
    let part = (window.end - window.start) / PARTS;
    let together = |start: &Duration| {
        let within = *start..*start + part;
        times.iter().filter(|time| within.contains(time)).count()
    };
    times.iter().map(together).max().unwrap_or(0)
}

#[test]
fn two_hundred_clients_return_evenly_and_know_of_their_gap() {
    let window = window();
    let options = ["--history", "kept", "--return", window.option];
    let first = Hub::start(&options);
    let (tcp, ws) = (first.tcp.clone(), first.ws.clone());
    publish(&tcp, "kept", "before", &[]);
    let reports = begin(&first);
    for _ in 0..CLIENTS {
        let report = reports.recv_timeout(SOON);
        assert!(matches!(report, Ok(Report::Subscribed)), "{report:?}");
    }

    let began = Instant::now();
    first.program.signal(Signal::TERM);
    let ended = first.program.ended();
    assert_eq!((ended.code, ended.err.len()), (Some(0), 0), "{ended:?}");
    let _second = Hub::start_on(&tcp, &ws, &options);
    publish(&tcp, "kept", "after", &[]);

    let (mut told, mut back, mut verdicts) = (Vec::new(), Vec::new(), Vec::new());
    let mut events = Vec::new();
    while verdicts.len() < CLIENTS {
        match reports.recv_timeout(SOON).expect("all come back") {
            Report::Told(after) => told.push(after),
            Report::Back(at) => back.push(at.duration_since(began)),
            Report::Verdict(verdict) => verdicts.push(verdict),
            Report::Event(text) => events.push(text),
            Report::Subscribed => {}
        }
    }
    let most = 2 * CLIENTS / PARTS as usize;
    assert!(burst(&told, &window) <= most, "{told:?}");
    assert!(burst(&back, &window) <= most, "{back:?}");
    for time in told.iter().chain(&back) {
        // They heard of it a moment after the signal, and a connection takes one.
        let moment = Duration::from_secs(1);
        let early = window.start - moment / 2;
        assert!((early..window.end + moment).contains(time), "{time:?}");
    }
    for verdict in &verdicts {
        let known = matches!(verdict, Delivery::Gap(_) | Delivery::Replayed { .. });
        assert!(known, "{verdict:?}");
    }
    println!(
        "back after {:?} to {:?}, at most {} in a tenth of the window",
        back.iter().min(),
        back.iter().max(),
        burst(&back, &window)
    );

    publish(&tcp, "kept", "end", &[]);
    publish(&tcp, "news", "end", &[]);
    let ended = |events: &[String]| events.iter().filter(|text| *text == "end").count();
    while ended(&events) < CLIENTS {
        if let Report::Event(text) = reports.recv_timeout(SOON).expect("all hear the end") {
            events.push(text);
        }
    }
    let after = events.iter().filter(|text| *text == "after").count();
    assert_eq!(after, CLIENTS / 2, "what the hub keeps, they have");
}
