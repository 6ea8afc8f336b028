//! What a test can rely on when processes crash, sleep and lose tasks.

#![allow(clippy::unwrap_used)]

use std::future::{pending, poll_fn};
use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use futures_lite::future::yield_now;
use lapwing::runtime::Runtime;
use lapwing::transport::{
    Connector as _, Incoming, Listener as _, Message, Outgoing, Transport, TransportError,
};
use lapwing_memory::{Network, Process, Stuck, Virtual};

type End = Box<dyn Transport>;

const SECOND: Duration = Duration::from_secs(1);

async fn recv(end: &mut End) -> Result<Incoming, TransportError> {
    poll_fn(|cx| end.poll_recv(cx)).await
}

async fn send(end: &mut End, text: &'static str) -> Result<(), TransportError> {
    poll_fn(|cx| end.poll_ready(cx)).await?;
    end.start_send(Outgoing::Message(Message::binary(text)))
}

fn is_quiet(end: &mut End) -> bool {
    end.poll_recv(&mut Context::from_waker(Waker::noop()))
        .is_pending()
}

fn is_reset<T>(result: Result<T, TransportError>) -> bool {
    matches!(result, Err(TransportError::Io(error)) if error.kind() == ErrorKind::ConnectionReset)
}

/// Accepts under the name `hub`, says hello to each peer and keeps it.
fn serve(process: &Process, network: &Network) {
    let mut listener = network.listen("hub").unwrap();
    process.spawn_named("serve", async move {
        let mut peers = Vec::new();
        loop {
            let mut peer = listener.accept().await.unwrap();
            send(&mut peer, "hello").await.unwrap();
            peers.push(peer);
        }
    });
}

/// A hub in a process, and a phone that has connected to it and read its hello.
async fn greeted(sim: &Virtual) -> (Network, Process, End) {
    let (network, process) = (Network::new(sim), sim.process("hub"));
    serve(&process, &network);
    let mut phone = connect(&network).await;
    assert!(matches!(recv(&mut phone).await, Ok(Incoming::Message(_))));
    (network, process, phone)
}

async fn connect(network: &Network) -> End {
    let mut connector = network.connector("hub").named("phone");
    connector.connect().await.unwrap()
}

#[test]
fn a_kill_resets_connections_and_frees_names() {
    Virtual::check(0..10, async |sim| {
        let (network, process, mut phone) = greeted(&sim).await;
        send(&mut phone, "lost").await.unwrap();
        process.kill();
        assert_eq!((process.tasks(), sim.tasks()), (0, 0));
        assert!(is_reset(recv(&mut phone).await));
        assert!(is_reset(send(&mut phone, "lost").await));
        let refused = network.connector("hub").connect().await.err();
        assert_eq!(refused.unwrap().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_killed_process_can_be_started_again() {
    Virtual::check(0..10, async |sim| {
        let (network, process, _phone) = greeted(&sim).await;
        for _ in 0..3 {
            process.kill();
            serve(&sim.process("hub"), &network);
            let mut phone = connect(&network).await;
            assert!(matches!(recv(&mut phone).await, Ok(Incoming::Message(_))));
            assert_eq!(process.tasks(), 1);
        }
    });
}

#[test]
fn what_waits_to_be_accepted_goes_with_the_process() {
    Virtual::check(0..10, async |sim| {
        let (network, process, _phone) = greeted(&sim).await;
        process.pause();
        let mut waiting = connect(&network).await;
        process.kill();
        assert!(is_reset(recv(&mut waiting).await));
    });
}

#[test]
fn who_vanishes_is_never_heard_of() {
    Virtual::check(0..10, async |sim| {
        let (network, process, mut phone) = greeted(&sim).await;
        process.vanish();
        assert_eq!(process.tasks(), 0);
        sim.sleep(1_000 * SECOND).await;
        assert!(is_quiet(&mut phone));
        for _ in 0..1_000 {
            send(&mut phone, "swallowed").await.unwrap();
        }
        assert!(network.listen("hub").is_ok());
    });
}

#[test]
fn a_partition_hides_a_kill() {
    Virtual::check(0..10, async |sim| {
        let (network, process, mut phone) = greeted(&sim).await;
        network.partition("phone");
        process.kill();
        assert!(is_quiet(&mut phone));
    });
}

#[test]
fn a_client_that_is_killed_takes_its_connections_along() {
    Virtual::check(0..10, async |sim| {
        let network = Network::new(&sim);
        let mut listener = network.listen("hub").unwrap();
        let mut connector = network.connector("hub").named("phone");
        let phone = sim.process("phone");
        let kept = Arc::new(Mutex::new(None));
        let keep = kept.clone();
        phone.spawn_named("connect", async move {
            let end = connector.connect().await.unwrap();
            *keep.lock().unwrap() = Some(end);
        });
        let mut peer = listener.accept().await.unwrap();
        sim.settle().await;
        phone.kill();
        assert!(is_reset(recv(&mut peer).await));
        // Also what somebody outside holds on to.
        let mut end = kept.lock().unwrap().take().unwrap();
        assert!(is_reset(recv(&mut end).await));
    });
}

#[test]
fn what_was_closed_before_a_kill_arrives() {
    Virtual::check(0..10, async |sim| {
        let (network, process) = (Network::new(&sim), sim.process("hub"));
        let mut listener = network.listen("hub").unwrap();
        process.spawn_named("serve", async move {
            let mut peer = listener.accept().await.unwrap();
            send(&mut peer, "bye").await.unwrap();
        });
        let mut phone = connect(&network).await;
        sim.settle().await;
        process.kill();
        assert!(matches!(recv(&mut phone).await, Ok(Incoming::Message(_))));
        assert!(matches!(recv(&mut phone).await, Ok(Incoming::End)));
    });
}

/// Spawns a task through `process` when it is dropped.
struct LastWish(Process, Arc<()>);

impl Drop for LastWish {
    fn drop(&mut self) {
        let token = self.1.clone();
        self.0.spawn_named("ghost", async move {
            pending::<()>().await;
            drop(token);
        });
    }
}

#[test]
fn a_process_may_kill_itself_and_leaves_nothing() {
    Virtual::check(0..10, async |sim| {
        let (process, token) = (sim.process("hub"), Arc::new(()));
        let (own, wish) = (process.clone(), LastWish(process.clone(), token.clone()));
        process.spawn_named("other", pending());
        process.spawn_named("killer", async move {
            own.kill();
            own.spawn_named("ghost", pending());
            let _wish = wish;
            pending::<()>().await;
        });
        sim.settle().await;
        assert_eq!((process.tasks(), sim.tasks()), (0, 0));
        assert_eq!(Arc::strong_count(&token), 1);
        process.spawn_named("next life", pending());
        assert_eq!(process.tasks(), 1);
    });
}

#[test]
fn nothing_is_spawned_by_what_a_kill_drops() {
    let sim = Virtual::new(1);
    let (process, token) = (sim.process("hub"), Arc::new(()));
    let wish = LastWish(process.clone(), token.clone());
    process.spawn_named("wishing", async move {
        let _wish = wish;
        pending::<()>().await;
    });
    process.kill();
    assert_eq!((process.tasks(), Arc::strong_count(&token)), (0, 1));
}

#[test]
fn one_process_does_not_concern_the_other() {
    let sim = Virtual::new(1);
    let (one, other) = (sim.process("one"), sim.process("other"));
    one.spawn_named("wait", pending());
    other.spawn_named("wait", pending());
    sim.spawn_named("wait", pending());
    one.kill();
    assert_eq!((one.tasks(), other.tasks(), sim.tasks()), (0, 1, 2));
}

#[test]
fn a_task_can_be_dropped_where_it_stands() {
    Virtual::check(0..10, async |sim| {
        let (_network, process, mut phone) = greeted(&sim).await;
        process.spawn_named("bystander", pending());
        assert!(process.drop_task(0));
        assert_eq!(process.tasks(), 1);
        // As any task that is dropped: its connections end, and are not reset.
        assert_eq!(recv(&mut phone).await.unwrap(), Incoming::End);
        assert!(!process.drop_task(1));
    });
}

#[test]
fn a_task_may_drop_itself() {
    let sim = Virtual::new(1);
    let process = sim.process("hub");
    let own = process.clone();
    process.spawn_named("suicidal", async move {
        assert!(own.drop_task(0));
        own.spawn_named("heir", pending());
        pending::<()>().await;
    });
    sim.run(sim.settle()).unwrap();
    assert_eq!(process.tasks(), 1);
}

#[test]
fn the_seed_picks_the_task_that_is_dropped() {
    let dropped = |seed| {
        let sim = Virtual::new(seed);
        let process = sim.process("hub");
        let tokens = [(); 20].map(|()| Arc::new(()));
        for token in tokens.clone() {
            process.spawn_named("holder", async move {
                let _token = token;
                pending::<()>().await;
            });
        }
        assert!(process.drop_one());
        tokens
            .iter()
            .position(|token| Arc::strong_count(token) == 1)
    };
    assert_eq!(dropped(1), dropped(1));
    assert!((2..10).any(|seed| dropped(seed) != dropped(1)));
    assert!(!Virtual::new(1).process("hub").drop_one());
}

#[test]
fn dice_of_a_process_are_its_own() {
    let draw = |before: u32, name| {
        let sim = Virtual::new(7);
        (0..before).for_each(|_| sim.random(&mut [0; 8]));
        (0..before).for_each(|_| sim.process("other").random(&mut [0; 8]));
        let mut bytes = [0; 16];
        sim.process(name).random(&mut bytes);
        bytes
    };
    assert_eq!(draw(0, "hub"), draw(5, "hub"));
    assert_ne!(draw(0, "hub"), draw(0, "phone"));
}

#[test]
fn a_paused_process_stands_still_while_time_passes() {
    Virtual::check(0..10, async |sim| {
        let process = sim.process("laptop");
        let ticks = Arc::new(Mutex::new(Vec::new()));
        let (own, seen) = (process.clone(), ticks.clone());
        process.spawn_named("clock", async move {
            loop {
                own.sleep(SECOND).await;
                seen.lock().unwrap().push(own.now().as_micros() / 1_000_000);
            }
        });
        sim.sleep(SECOND * 5 / 2).await;
        process.pause();
        sim.sleep(10 * SECOND).await;
        process.go_on();
        sim.sleep(SECOND * 11 / 5).await;
        assert_eq!(*ticks.lock().unwrap(), [1, 2, 12, 13, 14]);
    });
}

#[test]
fn a_crash_ends_a_pause() {
    let sim = Virtual::new(1);
    let process = sim.process("hub");
    process.pause();
    process.spawn_named("held", yield_now());
    sim.run(sim.settle()).unwrap();
    process.kill();
    process.spawn_named("free", yield_now());
    sim.run(sim.settle()).unwrap();
    assert_eq!(process.tasks(), 0);
}

#[test]
fn after_a_jump_all_that_was_due_happens_at_once() {
    Virtual::check(0..10, async |sim| {
        let fired = Arc::new(Mutex::new(Vec::new()));
        for seconds in [1, 5, 9, 20] {
            let (handle, fired) = (sim.clone(), fired.clone());
            sim.spawn_named(format!("{seconds}"), async move {
                handle.sleep(seconds * SECOND).await;
                fired.lock().unwrap().push((seconds, handle.elapsed()));
            });
        }
        sim.sleep(2 * SECOND).await;
        sim.jump(8 * SECOND);
        assert_eq!(sim.elapsed(), 10 * SECOND);
        sim.sleep(20 * SECOND).await;
        let mut fired = fired.lock().unwrap().clone();
        fired.sort_unstable();
        let at = |seconds| Duration::from_secs(seconds);
        assert_eq!(fired, [(1, at(1)), (5, at(10)), (9, at(10)), (20, at(20))]);
    });
}

#[test]
fn a_deadlock_names_the_process() {
    let sim = Virtual::new(1);
    let process = sim.process("hub");
    process.spawn(Box::pin(pending()));
    process.spawn_named("serve", pending());
    let Err(Stuck::Deadlock { tasks, .. }) = sim.run(pending::<()>()) else {
        panic!("not a deadlock");
    };
    let names: Vec<_> = tasks
        .iter()
        .filter_map(|task| task.name.as_deref())
        .collect();
    assert_eq!(names, ["run", "hub", "hub/serve"]);
}
