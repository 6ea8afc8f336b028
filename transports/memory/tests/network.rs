//! What a test can rely on when the network is memory and its faults come on command.

#![allow(clippy::unwrap_used)]

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lapwing::Limits;
use lapwing::transport::{
    Connector as _, Incoming, Listener as _, Message, Outgoing, Transport, TransportError,
};
use lapwing_memory::{Connector, Listener, Network, Path, Stuck, Virtual, pair};

type End = Box<dyn Transport>;

const SECOND: Duration = Duration::from_secs(1);

/// A network with a listener `hub`, and a connection from `phone`: its client end, its hub end.
struct World {
    sim: Virtual,
    network: Network,
    listener: Listener,
    connector: Connector,
    phone: End,
    peer: End,
}

/// Runs `test` in a fresh world, for some seeds.
fn check(test: impl AsyncFn(World)) {
    Virtual::check(0..10, async |sim| {
        let network = Network::new(&sim.runtime());
        let mut listener = network.listen("hub").unwrap();
        let mut connector = network.connector("hub").named("phone");
        let phone = connector.connect().await.unwrap();
        let peer = listener.accept().await.unwrap();
        test(World {
            sim,
            network,
            listener,
            connector,
            phone,
            peer,
        })
        .await;
    });
}

async fn send(end: &mut End, text: &'static str) -> Result<(), TransportError> {
    poll_fn(|cx| end.poll_ready(cx)).await?;
    end.start_send(Outgoing::Message(Message::binary(text)))
}

async fn recv(end: &mut End) -> Result<Incoming, TransportError> {
    poll_fn(|cx| end.poll_recv(cx)).await
}

async fn hear(end: &mut End, text: &'static str) {
    assert_eq!(
        recv(end).await.unwrap(),
        Incoming::Message(Message::binary(text))
    );
}

/// Whether nothing has arrived, and nothing went wrong.
fn is_quiet(end: &mut End) -> bool {
    end.poll_recv(&mut Context::from_waker(Waker::noop()))
        .is_pending()
}

fn is_full(end: &mut End) -> bool {
    end.poll_ready(&mut Context::from_waker(Waker::noop()))
        .is_pending()
}

fn has_kind<T>(result: Result<T, TransportError>, kind: ErrorKind) -> bool {
    matches!(result, Err(TransportError::Io(error)) if error.kind() == kind)
}

fn fails<T>(result: io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn both_ends_know_each_other_by_name() {
    check(async |world| {
        assert_eq!(world.phone.info().peer.as_deref(), Some("hub"));
        assert_eq!(world.peer.info().peer.as_deref(), Some("phone"));
        assert_eq!(world.listener.url(), "memory://hub");
    });
}

#[test]
fn a_name_is_taken_until_its_listener_is_dropped() {
    check(async |mut world| {
        assert_eq!(
            fails(world.network.listen("hub")),
            Some(ErrorKind::AddrInUse)
        );
        drop(world.listener);
        assert_eq!(
            fails(world.connector.connect().await),
            Some(ErrorKind::ConnectionRefused)
        );
        world.network.listen("hub").unwrap();
    });
}

#[test]
fn a_connection_that_nobody_accepted_ends_with_the_listener() {
    check(async |mut world| {
        let mut phone = world.connector.connect().await.unwrap();
        drop(world.listener);
        assert_eq!(recv(&mut phone).await.unwrap(), Incoming::End);
    });
}

#[test]
fn a_dropped_end_is_an_end_after_all_that_was_sent() {
    check(async |mut world| {
        send(&mut world.phone, "last words").await.unwrap();
        drop(world.phone);
        hear(&mut world.peer, "last words").await;
        assert_eq!(recv(&mut world.peer).await.unwrap(), Incoming::End);
        assert_eq!(recv(&mut world.peer).await.unwrap(), Incoming::End);
        assert!(has_kind(
            send(&mut world.peer, "hello?").await,
            ErrorKind::BrokenPipe
        ));
    });
}

#[test]
fn a_direction_is_full_at_64_kib_or_256_messages() {
    for (size, count) in [(1, 256), (1024, 64), (100_000, 1)] {
        check(async |mut world| {
            let message = Message::binary(vec![7; size]);
            let mut started = 0;
            while !is_full(&mut world.phone) {
                world
                    .phone
                    .start_send(Outgoing::Message(message.clone()))
                    .unwrap();
                started += 1;
            }
            assert_eq!((started, world.phone.progress().unsent), (count + 1, true));
            recv(&mut world.peer).await.unwrap();
            assert!(!is_full(&mut world.phone));
        });
    }
}

#[test]
fn a_delay_keeps_the_order_and_ends() {
    check(async |mut world| {
        world.network.delay(Path::to_hub("phone"), 3 * SECOND);
        send(&mut world.phone, "slow").await.unwrap();
        world.network.delay("phone", Duration::ZERO);
        send(&mut world.phone, "fast").await.unwrap();
        send(&mut world.peer, "at once").await.unwrap();
        hear(&mut world.phone, "at once").await;
        assert_eq!(world.sim.elapsed(), Duration::ZERO);
        hear(&mut world.peer, "slow").await;
        hear(&mut world.peer, "fast").await;
        assert_eq!(world.sim.elapsed(), 3 * SECOND);
    });
}

#[test]
fn a_delay_concerns_the_end_and_a_new_connection() {
    check(async |mut world| {
        world.network.delay("phone", SECOND);
        drop(world.phone);
        assert_eq!(recv(&mut world.peer).await.unwrap(), Incoming::End);
        assert_eq!(world.sim.elapsed(), SECOND);
        world.connector.connect().await.unwrap();
        assert_eq!(world.sim.elapsed(), 3 * SECOND);
    });
}

#[test]
fn a_stall_holds_everything_until_it_ends() {
    check(async |mut world| {
        send(&mut world.phone, "in flight").await.unwrap();
        world.network.stall("phone");
        send(&mut world.phone, "unsent").await.unwrap();
        assert!(is_full(&mut world.phone) && world.phone.progress().unsent);
        assert!(is_quiet(&mut world.peer));
        world.sim.sleep(100 * SECOND).await;
        assert!(is_quiet(&mut world.peer));
        world.network.resume("phone");
        assert!(!world.phone.progress().unsent);
        hear(&mut world.peer, "in flight").await;
        hear(&mut world.peer, "unsent").await;
    });
}

#[test]
fn a_stall_may_concern_one_direction() {
    check(async |mut world| {
        world.network.stall(Path::to_hub("phone"));
        send(&mut world.phone, "up").await.unwrap();
        send(&mut world.peer, "down").await.unwrap();
        hear(&mut world.phone, "down").await;
        assert!(is_quiet(&mut world.peer));
    });
}

#[test]
fn a_stall_wakes_both_sides_when_it_ends() {
    check(async |mut world| {
        world.network.stall("phone");
        send(&mut world.phone, "late").await.unwrap();
        let (network, sim) = (world.network, world.sim.clone());
        world.sim.spawn_named("repair", async move {
            sim.sleep(SECOND).await;
            network.resume("phone");
        });
        poll_fn(|cx| world.phone.poll_flush(cx)).await.unwrap();
        hear(&mut world.peer, "late").await;
        assert_eq!(world.sim.elapsed(), SECOND);
    });
}

#[test]
fn a_message_may_stop_half_way() {
    check(async |mut world| {
        world.network.stall_within_message(Path::to_hub("phone"));
        assert!(!world.peer.progress().half_received);
        let sim = world.sim.clone();
        let sender = async move {
            send(&mut world.phone, "begun").await.unwrap();
            world.phone
        };
        let noticed = poll_fn(|cx| {
            assert!(world.peer.poll_recv(cx).is_pending());
            match world.peer.progress().half_received {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        });
        let (phone, ()) = futures_lite::future::zip(sender, noticed).await;
        world.network.resume("phone");
        hear(&mut world.peer, "begun").await;
        assert!(!world.peer.progress().half_received);
        assert_eq!(
            (sim.elapsed(), phone.progress().unsent),
            (Duration::ZERO, false)
        );
    });
}

#[test]
fn a_cut_is_known_to_both_ends_at_once() {
    check(async |mut world| {
        send(&mut world.phone, "lost").await.unwrap();
        world.network.cut("phone");
        assert!(has_kind(
            recv(&mut world.peer).await,
            ErrorKind::ConnectionReset
        ));
        // An error is told once.
        assert!(matches!(recv(&mut world.peer).await, Ok(Incoming::End)));
        assert!(has_kind(
            recv(&mut world.phone).await,
            ErrorKind::ConnectionReset
        ));
        assert!(has_kind(
            send(&mut world.phone, "lost").await,
            ErrorKind::ConnectionReset
        ));
        assert!(world.connector.connect().await.is_ok());
    });
}

#[test]
fn a_half_open_connection_is_known_to_the_client_only() {
    check(async |mut world| {
        send(&mut world.phone, "lost").await.unwrap();
        world.network.half_open("phone");
        assert!(has_kind(
            recv(&mut world.phone).await,
            ErrorKind::ConnectionReset
        ));
        drop(world.phone);
        for _ in 0..10_000 {
            send(&mut world.peer, "swallowed").await.unwrap();
        }
        poll_fn(|cx| world.peer.poll_flush(cx)).await.unwrap();
        assert!(is_quiet(&mut world.peer) && !world.peer.progress().unsent);
        assert!(world.connector.connect().await.is_ok());
    });
}

#[test]
fn a_partition_holds_and_refuses_until_it_is_healed() {
    check(async |mut world| {
        world.network.partition("phone");
        send(&mut world.phone, "held").await.unwrap();
        assert_eq!(
            fails(world.connector.connect().await),
            Some(ErrorKind::HostUnreachable)
        );
        assert!(is_quiet(&mut world.peer));
        world.network.heal("phone");
        hear(&mut world.peer, "held").await;
        assert!(world.connector.connect().await.is_ok());
    });
}

#[test]
fn a_partition_hides_that_an_end_was_dropped() {
    check(async |mut world| {
        world.network.partition("phone");
        drop(world.phone);
        assert!(is_quiet(&mut world.peer));
        assert!(send(&mut world.peer, "still there?").await.is_ok());
        world.network.heal("phone");
        assert_eq!(recv(&mut world.peer).await.unwrap(), Incoming::End);
        assert!(has_kind(
            send(&mut world.peer, "hello?").await,
            ErrorKind::BrokenPipe
        ));
    });
}

#[test]
fn a_fault_holds_for_later_connections_and_spares_other_clients() {
    check(async |mut world| {
        world.network.stall("phone");
        let mut other = world
            .network
            .connector("hub")
            .named("tablet")
            .connect()
            .await
            .unwrap();
        let mut other_peer = world.listener.accept().await.unwrap();
        send(&mut other, "free").await.unwrap();
        hear(&mut other_peer, "free").await;
        let mut phone = world.connector.connect().await.unwrap();
        let mut peer = world.listener.accept().await.unwrap();
        send(&mut phone, "stuck").await.unwrap();
        assert!(is_quiet(&mut peer));
    });
}

#[test]
fn what_follows_a_message_that_is_too_large_is_thrown_away() {
    check(async |mut world| {
        world.peer.apply(&Limits {
            message_bytes_max: 3,
            ..Limits::default()
        });
        send(&mut world.phone, "four").await.unwrap();
        let refused = recv(&mut world.peer).await;
        assert!(matches!(
            refused,
            Err(TransportError::MessageTooLarge { size: 4, max: 3 })
        ));
        send(&mut world.phone, "one").await.unwrap();
        assert!(is_quiet(&mut world.peer));
        send(&mut world.peer, "too large").await.unwrap();
        hear(&mut world.phone, "too large").await;
        poll_fn(|cx| world.phone.poll_close(cx)).await.unwrap();
        for _ in 0..2 {
            assert!(matches!(recv(&mut world.peer).await, Ok(Incoming::End)));
        }
    });
}

#[test]
fn messages_are_part_of_the_trace() {
    let hash = |text| {
        let sim = Virtual::new(1);
        let (mut near, mut far) = pair(&sim.runtime());
        sim.run(async {
            near.start_send(Outgoing::Message(Message::binary(text)))
                .unwrap();
            poll_fn(|cx| far.poll_recv(cx)).await.unwrap();
        })
        .unwrap();
        sim.trace_hash()
    };
    assert_eq!(hash("one"), hash("one"));
    assert_ne!(hash("one"), hash("two"));
}

#[test]
fn a_deadlock_says_who_waits_for_whom() {
    let sim = Virtual::new(1);
    let network = Network::new(&sim.runtime());
    let mut listener = network.listen("hub").unwrap();
    let mut connector = network.connector("hub").named("phone");
    sim.spawn_named("accept", async move {
        let mut peer = listener.accept().await.unwrap();
        recv(&mut peer).await.unwrap();
        listener.accept().await.map(drop).unwrap();
    });
    let stuck = sim.run(async {
        let mut phone = connector.connect().await.unwrap();
        recv(&mut phone).await.unwrap();
    });
    let Err(Stuck::Deadlock { tasks, .. }) = stuck else {
        panic!("not a deadlock");
    };
    let lines: Vec<_> = tasks.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "task 0 (run): memory: a message from hub",
            "task 1 (accept): memory: a message from phone"
        ]
    );
}

#[test]
fn nothing_is_left_of_connections_that_ended() {
    check(async |mut world| {
        for _ in 0..100 {
            let phone = world.connector.connect().await.unwrap();
            let mut peer = world.listener.accept().await.unwrap();
            drop(phone);
            assert_eq!(recv(&mut peer).await.unwrap(), Incoming::End);
        }
        world.network.cut("phone");
        assert!(has_kind(
            recv(&mut world.phone).await,
            ErrorKind::ConnectionReset
        ));
    });
}
