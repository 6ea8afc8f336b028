//! What both runtimes' sockets do over the loopback device.

use core::future::{Future, poll_fn};
use core::task::{Context, Poll};
use std::io::Write;
use std::net::{Shutdown, TcpStream};

use futures_lite::future::{block_on, zip};
use lapwing::Limits;
use lapwing::runtime::{Smol, Tokio};
use lapwing::transport::{
    Connector, Framing, Incoming, Listener, Message, Outgoing, Transport, TransportError,
};

type Boxed = Box<dyn Transport>;

/// A listener, and what connects to it.
struct Net {
    listener: Box<dyn Listener>,
    connector: Box<dyn Connector>,
}

impl Net {
    async fn smol() -> Self {
        let listener = lapwing_tcp::smol::listen("127.0.0.1:0")
            .await
            .expect("loopback is there");
        let connector = lapwing_tcp::smol::connect(listener.local_addr().to_string());
        Self {
            listener: Box::new(listener),
            connector: Box::new(connector),
        }
    }

    async fn tokio(runtime: &Tokio) -> Self {
        let listener = lapwing_tcp::tokio::listen(runtime, "127.0.0.1:0")
            .await
            .expect("loopback is there");
        let connector = lapwing_tcp::tokio::connect(runtime, listener.local_addr().to_string());
        Self {
            listener: Box::new(listener),
            connector: Box::new(connector),
        }
    }

    async fn pair(&mut self) -> (Boxed, Boxed) {
        let (client, server) = zip(self.connector.connect(), self.listener.accept()).await;
        (
            client.expect("someone listens"),
            server.expect("someone connected"),
        )
    }

    /// A peer that speaks bytes instead of messages.
    async fn raw_pair(&mut self) -> (TcpStream, Boxed) {
        let url = self.listener.url();
        let addr = url.strip_prefix("tcp://").expect("it is a URL");
        let raw = TcpStream::connect(addr).expect("someone listens");
        (
            raw,
            self.listener.accept().await.expect("someone connected"),
        )
    }
}

fn in_smol<F: Future<Output = ()>>(test: impl FnOnce(Net) -> F) {
    Smol::new().block_on(async { test(Net::smol().await).await });
}

fn tokio_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts")
}

fn in_tokio<F: Future<Output = ()>>(test: impl FnOnce(Net) -> F) {
    tokio_runtime().block_on(async {
        let runtime = Tokio::current().expect("this is inside");
        test(Net::tokio(&runtime).await).await;
    });
}

/// Polls on a thread that knows nothing of tokio, while another runs it.
fn outside_tokio<F: Future<Output = ()>>(test: impl FnOnce(Net) -> F) {
    let threads = tokio_runtime();
    let runtime = Tokio::new(threads.handle().clone());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let driver = std::thread::spawn(move || threads.block_on(stopped));
    block_on(async { test(Net::tokio(&runtime).await).await });
    drop(stop);
    let _ = driver.join().expect("the runtime ends in peace");
}

/// Makes each test three: one for every way to run it.
macro_rules! on_each_runtime {
    ($($name:ident)*) => {$(
        mod $name {
            #[test]
            fn on_smol() {
                super::in_smol(super::$name);
            }

            #[test]
            fn on_tokio() {
                super::in_tokio(super::$name);
            }

            #[test]
            fn outside_of_tokio() {
                super::outside_tokio(super::$name);
            }
        }
    )*};
}

on_each_runtime! {
    messages_of_all_sizes_arrive_in_order
    both_sides_write_large_messages_at_once
    many_small_messages_arrive_from_one_flush
    framed_and_plain_messages_mix
    a_message_too_large_is_refused_and_the_answer_arrives
    an_end_inside_a_message_is_told
    a_half_closed_peer_still_hears
    names_and_urls_are_found
}

/// Sends `outgoing` and receives `count` messages, both at the same time.
async fn exchange(transport: &mut Boxed, outgoing: Vec<Outgoing>, count: usize) -> Vec<Vec<u8>> {
    let mut outgoing = outgoing.into_iter().peekable();
    let mut arrived = Vec::new();
    poll_fn(|cx| {
        let sent = poll_send(transport, &mut outgoing, cx);
        let received = poll_receive(transport, &mut arrived, count, cx);
        match (sent, received) {
            (Poll::Ready(()), Poll::Ready(())) => Poll::Ready(()),
            _ => Poll::Pending,
        }
    })
    .await;
    arrived
}

fn poll_send(
    transport: &mut Boxed,
    outgoing: &mut core::iter::Peekable<impl Iterator<Item = Outgoing>>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    while outgoing.peek().is_some() {
        core::task::ready!(transport.poll_ready(cx)).expect("the peer is there");
        let next = outgoing.next().expect("there was one");
        transport.start_send(next).expect("the peer is there");
    }
    transport
        .poll_flush(cx)
        .map(|flushed| flushed.expect("the peer is there"))
}

fn poll_receive(
    transport: &mut Boxed,
    arrived: &mut Vec<Vec<u8>>,
    count: usize,
    cx: &mut Context<'_>,
) -> Poll<()> {
    while arrived.len() < count {
        match core::task::ready!(transport.poll_recv(cx)).expect("the peer is there") {
            Incoming::Message(message) => arrived.push(message.bytes.to_vec()),
            other => panic!("{other:?}"),
        }
    }
    Poll::Ready(())
}

async fn recv(transport: &mut Boxed) -> Result<Incoming, TransportError> {
    poll_fn(|cx| transport.poll_recv(cx)).await
}

async fn close(transport: &mut Boxed) {
    poll_fn(|cx| transport.poll_close(cx))
        .await
        .expect("the peer is there");
}

fn message(bytes: &[u8]) -> Outgoing {
    Outgoing::Message(Message::binary(bytes.to_vec()))
}

fn framed(messages: &[Vec<u8>]) -> Outgoing {
    let mut bytes = Vec::new();
    for message in messages {
        bytes.extend((message.len() as u32).to_be_bytes());
        bytes.extend(message);
    }
    Outgoing::Framed(bytes.into())
}

/// `size` bytes that differ from their neighbours and from those of other sizes.
fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 7 + size) as u8).collect()
}

async fn messages_of_all_sizes_arrive_in_order(mut net: Net) {
    let (mut client, mut server) = net.pair().await;
    let sizes = [
        0,
        1,
        3,
        4,
        5,
        1_020,
        1_024,
        1_025,
        65_531,
        65_532,
        65_536,
        200_000,
        1 << 20,
        0,
        1,
    ];
    let messages: Vec<_> = sizes.into_iter().map(pattern).collect();
    let outgoing = messages.iter().map(|bytes| message(bytes)).collect();
    let (_, arrived) = zip(
        exchange(&mut client, outgoing, 0),
        exchange(&mut server, Vec::new(), messages.len()),
    )
    .await;
    assert!(arrived == messages);

    let bytes: usize = messages.iter().map(|bytes| bytes.len() + 4).sum();
    assert_eq!(client.progress().sent_bytes, bytes as u64);
    assert_eq!(server.progress().received_bytes, bytes as u64);
    assert!(!client.progress().unsent && !server.progress().half_received);
}

async fn both_sides_write_large_messages_at_once(mut net: Net) {
    let (mut client, mut server) = net.pair().await;
    let messages: Vec<_> = (0..8).map(|at| pattern((1 << 20) - at)).collect();
    let outgoing = || messages.iter().map(|bytes| message(bytes)).collect();
    let (at_client, at_server) = zip(
        exchange(&mut client, outgoing(), messages.len()),
        exchange(&mut server, outgoing(), messages.len()),
    )
    .await;
    assert!(at_client == messages && at_server == messages);
}

async fn many_small_messages_arrive_from_one_flush(mut net: Net) {
    let (mut client, mut server) = net.pair().await;
    let messages: Vec<_> = (0..3_000).map(|at| pattern(at % 50)).collect();
    let outgoing = messages.iter().map(|bytes| message(bytes)).collect();
    let (_, arrived) = zip(
        exchange(&mut client, outgoing, 0),
        exchange(&mut server, Vec::new(), messages.len()),
    )
    .await;
    assert!(arrived == messages);
}

async fn framed_and_plain_messages_mix(mut net: Net) {
    let (mut client, mut server) = net.pair().await;
    assert_eq!(client.info().framing, Framing::LengthPrefix);
    let messages: Vec<_> = (0..300).map(|at| pattern(at * 10)).collect();
    let outgoing = messages
        .chunks(3)
        .flat_map(|chunk| [framed(&chunk[..2]), message(&chunk[2])])
        .collect();
    let (_, arrived) = zip(
        exchange(&mut client, outgoing, 0),
        exchange(&mut server, Vec::new(), messages.len()),
    )
    .await;
    assert!(arrived == messages);
}

async fn a_message_too_large_is_refused_and_the_answer_arrives(mut net: Net) {
    let (mut client, mut server) = net.pair().await;
    server.apply(&Limits {
        message_bytes_max: 100,
        ..Limits::default()
    });
    exchange(
        &mut client,
        vec![message(&pattern(100)), message(&pattern(101))],
        0,
    )
    .await;
    assert!(matches!(recv(&mut server).await, Ok(Incoming::Message(_))));
    assert!(matches!(
        recv(&mut server).await,
        Err(TransportError::MessageTooLarge {
            size: 101,
            max: 100
        })
    ));
    exchange(&mut server, vec![message(b"too large")], 0).await;
    assert_eq!(exchange(&mut client, Vec::new(), 1).await, [b"too large"]);
}

async fn an_end_inside_a_message_is_told(mut net: Net) {
    let (mut raw, mut server) = net.raw_pair().await;
    raw.write_all(b"\0\0\0\x01a\0\0\0\x05hell")
        .expect("it is connected");
    raw.shutdown(Shutdown::Write).expect("it is connected");
    assert!(matches!(recv(&mut server).await, Ok(Incoming::Message(_))));
    let Err(TransportError::Io(error)) = recv(&mut server).await else {
        panic!("it is told");
    };
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    assert!(matches!(recv(&mut server).await, Ok(Incoming::End)));
}

async fn a_half_closed_peer_still_hears(mut net: Net) {
    let (mut client, mut server) = net.pair().await;
    exchange(&mut client, vec![message(b"bye")], 0).await;
    close(&mut client).await;
    assert_eq!(exchange(&mut server, Vec::new(), 1).await, [b"bye"]);
    assert!(matches!(recv(&mut server).await, Ok(Incoming::End)));

    exchange(&mut server, vec![message(&pattern(100_000))], 0).await;
    close(&mut server).await;
    assert_eq!(
        exchange(&mut client, Vec::new(), 1).await,
        [pattern(100_000)]
    );
    assert!(matches!(recv(&mut client).await, Ok(Incoming::End)));
    assert!(matches!(recv(&mut client).await, Ok(Incoming::End)));
}

async fn names_and_urls_are_found(mut net: Net) {
    let url = net.listener.url();
    let port = url.rsplit(':').next().expect("a URL has a port").to_owned();
    assert_ne!(port, "0");
    let named = format!("tcp://localhost:{port}");
    net.connector = match Tokio::current() {
        Some(runtime) => Box::new(lapwing_tcp::tokio::connect(&runtime, &named)),
        None => Box::new(lapwing_tcp::smol::connect(&named)),
    };
    assert_eq!(net.connector.url(), named);
    let (client, server) = net.pair().await;
    assert_eq!(
        client.info().peer,
        url.strip_prefix("tcp://").map(str::to_owned)
    );
    assert!(
        server
            .info()
            .peer
            .is_some_and(|peer| peer.starts_with("127.0.0.1:"))
    );
}
