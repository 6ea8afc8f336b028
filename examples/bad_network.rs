//! A test of an application on a bad network: storms, a hub that crashes, a laptop that sleeps, a machine that is gone.
//!
//! The application is a board that shows the newest ticket, and knows how many it has not seen. In a test of yours, the
//! body of `main` is its first line; [docs/testing.md](../docs/testing.md) goes through it. When a seed fails, it says how to run
//! that one again: here `LAPWING_SEED=7 cargo run -p lapwing-examples --example bad_network`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lapwing::hub::Rule;
use lapwing::{Client, Delivery, Hub, Limits, Typed};
use lapwing_memory::{Network, Virtual, Weather};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const OFFICES: [&str; 3] = ["lisbon", "oslo", "tunis"];

fn main() {
    Virtual::check_twice(0..10, a_bad_day);
    println!("every ticket was shown, or its absence was");
}

async fn a_bad_day(sim: Virtual) {
    let network = Network::new(&sim);
    // What outlives a crash, as a database does.
    let tickets = Arc::new(AtomicU64::new(0));
    start_hub(&sim, &network, &tickets);
    let mut boards = OFFICES.map(|office| start_board(&sim, &network, office));
    let (storm, weather) = (Weather::storm(), sim.process("weather"));

    storm.blow(&weather, &network, OFFICES, 2 * MINUTE).await;
    sim.process("hub").kill();
    sim.sleep(10 * SECOND).await;
    start_hub(&sim, &network, &tickets);

    sim.process("oslo").pause();
    storm.blow(&weather, &network, OFFICES, MINUTE).await;
    sim.process("oslo").go_on();

    // Its power fails: the hub does not hear of it, and a new board does not know what the old one has seen.
    sim.process("tunis").vanish();
    boards[2] = start_board(&sim, &network, "tunis");
    storm.blow(&weather, &network, OFFICES, MINUTE).await;
    sim.jump(60 * MINUTE);

    // The longest that anybody waits for anything: a dead peer, a back-off, a claim to resume.
    sim.sleep(5 * MINUTE).await;
    sim.process("tickets").kill();
    sim.settle().await;
    let newest = tickets.load(Ordering::Relaxed);
    for board in boards {
        let board = board.lock().expect("no panic");
        assert_eq!(board.newest, newest, "{board:?}");
        assert!(!board.unsure || board.seen > 0, "{board:?}");
    }

    for process in ["hub", "lisbon", "oslo", "tunis"] {
        sim.process(process).kill();
    }
    assert_eq!(sim.tasks(), 0);
}

/// The service: it numbers tickets, one each second.
fn start_hub(sim: &Virtual, network: &Network, tickets: &Arc<AtomicU64>) {
    let process = sim.process("hub");
    // Little memory for those who are away, so that gaps are part of the test.
    let limits = Limits {
        resume_bytes_max: 200,
        ..Limits::default()
    };
    let hub = Hub::builder(process.clone())
        .limits(limits)
        .topic("tickets", Rule::closed().subscribe())
        .build()
        .expect("a good filter");
    let listener = network.listen("hub").expect("the name is free");
    process.spawn_named("serve", hub.serve(listener));

    let (process, tickets) = (sim.process("tickets"), tickets.clone());
    process.kill();
    let clock = process.clone();
    process.spawn_named("count", async move {
        loop {
            clock.sleep(SECOND).await;
            let number = tickets.fetch_add(1, Ordering::Relaxed) + 1;
            hub.publish("tickets", Typed(number)).expect("a good topic");
        }
    });
}

/// A board in a process of its own, and what it shows.
fn start_board(sim: &Virtual, network: &Network, office: &str) -> Arc<Mutex<Board>> {
    let (process, shown) = (sim.process(office), Arc::<Mutex<Board>>::default());
    let connector = network.connector("hub").named(office);
    let client = Client::builder(process.clone(), connector).spawned();
    let board = shown.clone();
    process.spawn_named("board", async move {
        let mut tickets = client.subscribe("tickets").await.expect("everybody may");
        while let Some(delivery) = tickets.next().await {
            board.lock().expect("no panic").show(&delivery);
        }
    });
    shown
}

/// The application under test.
#[derive(Debug, Default)]
struct Board {
    newest: u64,
    seen: u64,
    /// So many tickets are missing since the newest, as we were told.
    missed: u64,
    /// An unknown number may be.
    unsure: bool,
}

impl Board {
    fn show(&mut self, delivery: &Delivery) {
        match delivery {
            Delivery::Event(event) => {
                let Typed(number) = event.decode().expect("a number");
                self.number(number);
            }
            Delivery::Lagged(missed) | Delivery::Gap(Some(missed)) => self.missed += missed,
            Delivery::Gap(None) => self.unsure = true,
            _ => {}
        }
    }

    /// The heart of the test: what is missing is what we were told, to the last ticket.
    fn number(&mut self, number: u64) {
        assert!(number > self.newest, "{number} after {self:?}");
        let missing = number - self.newest - 1;
        let first = self.seen == 0;
        assert!(
            first || self.unsure || missing == self.missed,
            "{number} after {self:?}"
        );
        *self = Self {
            newest: number,
            seen: self.seen + 1,
            ..Self::default()
        };
    }
}
