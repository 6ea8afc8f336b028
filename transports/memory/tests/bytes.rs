//! What a test can rely on when bytes of a stream travel on a network that goes wrong.

#![allow(clippy::unwrap_used)]

use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use lapwing::transport::{Connector as _, Incoming, Listener as _, Message, Outgoing, Transport};
use lapwing_memory::{ByteStream, Network, Path, Traffic, Virtual};

const SECOND: Duration = Duration::from_secs(1);

/// A stream from `phone` to a hub, both its ends.
struct World {
    sim: Virtual,
    network: Network,
    phone: ByteStream,
    peer: ByteStream,
}

fn check(test: impl AsyncFn(World)) {
    Virtual::check(0..10, async |sim| {
        let network = Network::new(&sim);
        let (phone, peer) = connect(&network).await;
        test(World {
            sim,
            network,
            phone,
            peer,
        })
        .await;
    });
}

async fn connect(network: &Network) -> (ByteStream, ByteStream) {
    let mut listener = network.listen_bytes("hub").unwrap();
    let connector = network.connector("hub").named("phone");
    let phone = connector.connect_bytes().await.unwrap();
    let (peer, name) = listener.accept().await;
    assert_eq!(name, "phone");
    (phone, peer)
}

/// One write that must not wait.
fn write(stream: &mut ByteStream, bytes: &[u8]) -> Option<std::io::Result<usize>> {
    let mut cx = Context::from_waker(Waker::noop());
    match Pin::new(stream).poll_write(&mut cx, bytes) {
        Poll::Ready(written) => Some(written),
        Poll::Pending => None,
    }
}

/// One read that must not wait.
fn read(stream: &mut ByteStream) -> Option<std::io::Result<Vec<u8>>> {
    let mut buffer = [0; 100];
    let mut cx = Context::from_waker(Waker::noop());
    match Pin::new(stream).poll_read(&mut cx, &mut buffer) {
        Poll::Ready(read) => Some(read.map(|read| buffer[..read].to_vec())),
        Poll::Pending => None,
    }
}

fn fails<T>(result: std::io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn bytes_arrive_in_order_whatever_the_pieces() {
    check(async |mut world| {
        world.phone.write_all(b"hel").await.unwrap();
        world.phone.write_all(b"lo").await.unwrap();
        let mut four = [0; 4];
        world.peer.read_exact(&mut four).await.unwrap();
        assert_eq!(&four, b"hell");
        world.phone.close().await.unwrap();
        let mut rest = Vec::new();
        world.peer.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"o");
        // The other half is still open.
        world.peer.write_all(b"bye").await.unwrap();
        assert_eq!(read(&mut world.phone).unwrap().unwrap(), b"bye");
        assert_eq!(
            fails(write(&mut world.phone, b"!").unwrap()),
            Some(ErrorKind::BrokenPipe)
        );
    });
}

#[test]
fn writing_waits_when_64_kib_are_in_flight() {
    check(async |mut world| {
        let much = vec![7; 100_000];
        assert_eq!(write(&mut world.phone, &much).unwrap().unwrap(), 65_536);
        assert!(write(&mut world.phone, &much).is_none());
        let sim = world.sim.clone();
        world.sim.spawn_named("reader", async move {
            sim.sleep(SECOND).await;
            let mut peer = world.peer;
            peer.read_exact(&mut [0; 1_000]).await.unwrap();
            sim.sleep(SECOND).await;
        });
        let (mut phone, sim) = (world.phone, world.sim.clone());
        let written = poll_fn(|cx| Pin::new(&mut phone).poll_write(cx, &much)).await;
        assert_eq!((written.unwrap(), sim.elapsed()), (1_000, SECOND));
    });
}

#[test]
fn a_trickle_lets_some_bytes_through_at_a_time() {
    check(async |mut world| {
        world.network.trickle(Path::to_hub("phone"), 2, SECOND);
        for piece in [&b"he"[..], b"ll", b"o"] {
            assert_eq!(
                write(&mut world.phone, piece).unwrap().unwrap(),
                piece.len()
            );
        }
        let mut heard = Vec::new();
        for seconds in 0..3 {
            world.peer.read_exact(&mut [0; 1]).await.unwrap();
            assert_eq!(world.sim.elapsed(), seconds * SECOND);
            heard.extend(read(&mut world.peer).map(|read| read.unwrap().len()));
        }
        assert_eq!(heard, [1, 1]);
        // One that writes much is taken at the same pace.
        assert_eq!(write(&mut world.phone, b"world").unwrap().unwrap(), 2);
        world.network.resume("phone");
        assert_eq!(write(&mut world.phone, b"world").unwrap().unwrap(), 5);
    });
}

#[test]
fn a_trickle_without_a_pause_means_single_bytes() {
    check(async |mut world| {
        world.phone.write_all(b"before").await.unwrap();
        world.network.trickle("phone", 1, Duration::ZERO);
        for byte in b"before" {
            assert_eq!(read(&mut world.peer).unwrap().unwrap(), [*byte]);
        }
        assert_eq!(write(&mut world.phone, b"hello").unwrap().unwrap(), 1);
        assert_eq!(world.sim.elapsed(), Duration::ZERO);
    });
}

#[test]
fn a_stall_takes_nothing_and_loses_nothing() {
    check(async |mut world| {
        world.phone.write_all(b"one").await.unwrap();
        world.network.stall("phone");
        assert!(write(&mut world.phone, b"two").is_none() && read(&mut world.peer).is_none());
        let (network, sim) = (world.network, world.sim.clone());
        world.sim.spawn_named("repair", async move {
            sim.sleep(SECOND).await;
            network.resume("phone");
        });
        world.phone.write_all(b"two").await.unwrap();
        drop(world.phone);
        let mut heard = String::new();
        world.peer.read_to_string(&mut heard).await.unwrap();
        assert_eq!((&heard[..], world.sim.elapsed()), ("onetwo", SECOND));
    });
}

#[test]
fn a_delay_a_cut_and_a_half_open_concern_bytes() {
    check(async |mut world| {
        world.network.delay(Path::to_hub("phone"), SECOND);
        world.phone.write_all(b"slow").await.unwrap();
        world.peer.read_exact(&mut [0; 4]).await.unwrap();
        assert_eq!(world.sim.elapsed(), SECOND);
        world.phone.write_all(b"lost").await.unwrap();
        world.network.cut("phone");
        for end in [&mut world.phone, &mut world.peer] {
            assert_eq!(fails(read(end).unwrap()), Some(ErrorKind::ConnectionReset));
            assert_eq!(
                fails(write(end, b"x").unwrap()),
                Some(ErrorKind::ConnectionReset)
            );
        }
        let (mut phone, mut peer) = connect(&world.network).await;
        world.network.half_open("phone");
        assert_eq!(
            fails(read(&mut phone).unwrap()),
            Some(ErrorKind::ConnectionReset)
        );
        for _ in 0..100 {
            peer.write_all(&[7; 10_000]).await.unwrap();
        }
        assert!(read(&mut peer).is_none());
    });
}

#[test]
fn a_stream_that_nobody_reads_any_more_is_a_broken_pipe() {
    check(async |mut world| {
        world.phone.write_all(b"unread").await.unwrap();
        drop(world.peer);
        assert_eq!(
            fails(write(&mut world.phone, b"?").unwrap()),
            Some(ErrorKind::BrokenPipe)
        );
        assert_eq!(read(&mut world.phone).unwrap().unwrap(), b"");
    });
}

#[test]
fn a_connection_breaks_behind_any_byte() {
    for cut in 0..=10 {
        check(async |mut world| {
            world.network.cut_after(Path::to_hub("phone"), cut);
            let mut sent = 0;
            let broken = loop {
                match write(&mut world.phone, b"abc").unwrap() {
                    Ok(written) => sent += written as u64,
                    Err(error) => break error,
                }
            };
            assert_eq!((sent, broken.kind()), (cut, ErrorKind::ConnectionReset));
            assert_eq!(
                fails(read(&mut world.phone).unwrap()),
                Some(ErrorKind::ConnectionReset)
            );
            let mut heard = Vec::new();
            let end = world.peer.read_to_end(&mut heard).await;
            assert_eq!(fails(end), Some(ErrorKind::ConnectionReset));
            assert!(heard.iter().eq(b"abc".iter().cycle().take(sent as usize)));
            // Once: the next one is spared.
            let (mut phone, mut peer) = connect(&world.network).await;
            phone.write_all(b"spared").await.unwrap();
            peer.read_exact(&mut [0; 6]).await.unwrap();
        });
    }
}

#[test]
fn a_connection_to_come_may_break_as_it_is_made() {
    Virtual::check(0..10, async |sim| {
        let network = Network::new(&sim);
        network.cut_after(Path::to_hub("phone"), 0);
        let (mut phone, mut peer) = connect(&network).await;
        assert!(read(&mut phone).unwrap().is_err() && read(&mut peer).unwrap().is_err());
        let (mut phone, mut peer) = connect(&network).await;
        assert!(read(&mut phone).is_none() && read(&mut peer).is_none());
    });
}

/// What a hub goes on writing to who is not there any more is nobody's.
#[test]
fn a_break_to_come_is_not_spent_on_a_connection_that_is_half_open() {
    check(async |mut world| {
        world.network.half_open("phone");
        world.network.cut_after(Path::to_client("phone"), 4);
        world.peer.write_all(b"swallowed").await.unwrap();
        let (mut phone, mut peer) = connect(&world.network).await;
        peer.write_all(b"four").await.unwrap();
        let mut heard = Vec::new();
        assert!(phone.read_to_end(&mut heard).await.is_err());
        assert_eq!(heard, b"four");
    });
}

#[test]
fn a_trickle_has_no_pause_shorter_than_the_clock_knows() {
    check(async |mut world| {
        world.network.trickle("phone", 1, Duration::from_nanos(500));
        world.phone.write_all(b"0123456789").await.unwrap();
        let mut heard = [0; 10];
        world.peer.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"0123456789");
    });
}

#[test]
fn what_was_sent_before_a_break_still_takes_its_time() {
    check(async |mut world| {
        world.network.delay(Path::to_hub("phone"), SECOND);
        world.network.cut_after(Path::to_hub("phone"), 4);
        world.peer.write_all(b"lost").await.unwrap();
        world.phone.write_all(b"last").await.unwrap();
        assert!(read(&mut world.phone).unwrap().is_err());
        let mut heard = Vec::new();
        assert!(world.peer.read_to_end(&mut heard).await.is_err());
        assert_eq!((&heard[..], world.sim.elapsed()), (&b"last"[..], SECOND));
    });
}

#[test]
fn traffic_is_counted_by_direction_over_all_connections() {
    check(async |mut world| {
        world.phone.write_all(b"up").await.unwrap();
        world.peer.write_all(b"down").await.unwrap();
        world.peer.write_all(b"!").await.unwrap();
        let (mut phone, _peer) = connect(&world.network).await;
        phone.write_all(b"again").await.unwrap();
        let both = |traffic: Traffic| (traffic.messages, traffic.bytes);
        assert_eq!(both(world.network.traffic(Path::to_hub("phone"))), (2, 7));
        assert_eq!(
            both(world.network.traffic(Path::to_client("phone"))),
            (2, 5)
        );
        assert_eq!(both(world.network.traffic("phone")), (4, 12));
        assert_eq!(both(world.network.traffic("tablet")), (0, 0));
    });
}

#[test]
fn bytes_and_messages_do_not_meet() {
    Virtual::check(0..10, async |sim| {
        let network = Network::new(&sim);
        let _bytes = network.listen_bytes("bytes").unwrap();
        let _messages = network.listen("messages").unwrap();
        let refused = network.connector("bytes").connect().await;
        assert_eq!(fails(refused), Some(ErrorKind::ConnectionRefused));
        let refused = network.connector("messages").connect_bytes().await;
        assert_eq!(fails(refused), Some(ErrorKind::ConnectionRefused));
        let taken = network.listen("bytes");
        assert_eq!(fails(taken), Some(ErrorKind::AddrInUse));
    });
}

#[test]
fn a_killed_process_resets_its_streams() {
    Virtual::check(0..10, async |sim| {
        let (network, process) = (Network::new(&sim), sim.process("hub"));
        let mut listener = network.listen_bytes("hub").unwrap();
        process.spawn_named("echo", async move {
            let (mut stream, _name) = listener.accept().await;
            let mut byte = [0; 1];
            while stream.read_exact(&mut byte).await.is_ok() {
                stream.write_all(&byte).await.unwrap();
            }
        });
        let connector = network.connector("hub");
        let mut phone = connector.connect_bytes().await.unwrap();
        phone.write_all(b"x").await.unwrap();
        phone.read_exact(&mut [0; 1]).await.unwrap();
        process.kill();
        assert_eq!(
            fails(read(&mut phone).unwrap()),
            Some(ErrorKind::ConnectionReset)
        );
    });
}

/// Two transports whose client sends at once, and their network.
async fn messages(sim: &Virtual) -> (Network, Box<dyn Transport>, Box<dyn Transport>) {
    let network = Network::new(sim);
    let mut listener = network.listen("hub").unwrap();
    let mut connector = network.connector("hub").named("phone");
    let phone = connector.connect().await.unwrap();
    let peer = listener.accept().await.unwrap();
    (network, phone, peer)
}

async fn send(end: &mut Box<dyn Transport>, bytes: &'static [u8]) -> bool {
    let ready = poll_fn(|cx| end.poll_ready(cx)).await;
    ready.is_ok()
        && end
            .start_send(Outgoing::Message(Message::binary(bytes)))
            .is_ok()
}

#[test]
fn a_connection_breaks_behind_any_message() {
    for cut in 0..5 {
        Virtual::check(0..10, async |sim| {
            let (network, mut phone, mut peer) = messages(&sim).await;
            network.cut_after(Path::to_hub("phone"), cut);
            let mut sent = 0;
            while send(&mut phone, b"hello").await {
                sent += 1;
            }
            let mut heard = 0;
            while let Ok(Incoming::Message(_)) = poll_fn(|cx| peer.poll_recv(cx)).await {
                heard += 1;
            }
            assert_eq!((sent, heard), (cut, cut));
            assert_eq!(network.traffic("phone").messages, cut);
        });
    }
}

#[test]
fn a_trickle_gives_a_message_its_time() {
    Virtual::check(0..10, async |sim| {
        let (network, mut phone, mut peer) = messages(&sim).await;
        network.trickle("phone", 2, SECOND);
        // They take three seconds and one, and the line is free after the pause behind the last piece.
        assert!(send(&mut phone, b"hello").await && send(&mut phone, b"a").await);
        let mut cx = Context::from_waker(Waker::noop());
        for bytes in [2, 4] {
            assert!(peer.poll_recv(&mut cx).is_pending());
            let progress = peer.progress();
            assert!(progress.half_received && progress.received_bytes == bytes);
            sim.sleep(SECOND).await;
        }
        for (length, total) in [(5, 5), (1, 6)] {
            let Ok(Incoming::Message(heard)) = poll_fn(|cx| peer.poll_recv(cx)).await else {
                panic!("nothing is cut");
            };
            assert_eq!(heard.bytes.len(), length);
            let progress = peer.progress();
            assert_eq!(
                (progress.received_bytes, progress.half_received),
                (total, false)
            );
        }
        assert_eq!(sim.elapsed(), 3 * SECOND);
    });
}
