//! Transports without a hub: what [`Guarded`] holds for a program that uses it alone, as the example `echo` does.

use std::future::poll_fn;
use std::time::Duration;

use lapwing::Limits;
use lapwing::transport::{
    Connector as _, Guarded, Incoming, Listener as _, Outgoing, Transport, TransportError,
};
use lapwing_memory::{Network, Path, Virtual};

use crate::carrier::{Carrier, Pipe, Valve};
use crate::raw::{BINARY, CLOSE, PING, REQUEST, Raw, TEXT, frame, head};

/// Sends back what arrives, then the last words; says what came in between.
async fn serve(sim: Virtual, transport: Box<dyn Transport>) -> Option<TransportError> {
    let mut peer = Guarded::new(transport, sim.runtime());
    peer.apply(&Limits::default());
    let error = echo(&mut peer).await.err();
    let farewell = async {
        let _ = poll_fn(|cx| peer.poll_close(cx)).await;
        while !matches!(
            poll_fn(|cx| peer.poll_recv(cx)).await,
            Ok(Incoming::End) | Err(_)
        ) {}
    };
    let late = async { sim.sleep(Limits::default().closing).await };
    futures_lite::future::or(farewell, late).await;
    error
}

async fn echo(peer: &mut impl Transport) -> Result<(), TransportError> {
    poll_fn(|cx| peer.poll_open(cx)).await?;
    loop {
        poll_fn(|cx| peer.poll_ready(cx)).await?;
        match poll_fn(|cx| peer.poll_recv(cx)).await? {
            Incoming::Message(message) => peer.start_send(Outgoing::Message(message))?,
            Incoming::Goodbye(_) | Incoming::End => return Ok(()),
            _ => {}
        }
        poll_fn(|cx| peer.poll_flush(cx)).await?;
    }
}

/// Runs `test` with a peer of an echo over this carrier, and says how the echo ended, and when.
fn ended(
    carrier: Carrier,
    test: impl AsyncFn(&Virtual, &Network, &mut Raw),
) -> (Option<TransportError>, Duration) {
    let sim = Virtual::new(7);
    let network = Network::new(&sim);
    let (told, tells) = std::sync::mpsc::channel();
    let ended = sim.run(async {
        let mut listener = carrier.listener(network.listen("echo").expect("a free name"));
        let mut connector = network.connector("echo").named("peer");
        let pipe = Pipe::new(
            connector.connect().await.expect("it listens"),
            Valve::default(),
        );
        let served = listener.accept().await.expect("somebody is there");
        let here = sim.clone();
        sim.spawn_named("echo", async move {
            let error = serve(here.clone(), served).await;
            let _ = told.send((error, here.elapsed()));
        });
        let mut raw = Raw::new(pipe);
        test(&sim, &network, &mut raw).await;
        raw.finish().await;
        drop(raw);
        sim.sleep(Duration::from_secs(30)).await;
        assert_eq!(sim.tasks(), 0);
    });
    ended.expect("it is not stuck");
    tells.recv().expect("it has ended")
}

/// What ends an echo over WebSocket: bytes behind the upgrade, the code, and how long that takes.
fn limits() -> Vec<(Vec<u8>, u16, Duration)> {
    let now = Duration::ZERO;
    let pieces = [frame(0x02, b""), frame(0x00, b"").repeat(1_024)].concat();
    vec![
        (head(BINARY, 100), 1013, Limits::default().stall),
        (frame(0x02, b"half"), 1013, Limits::default().stall),
        (head(TEXT, 1024 * 1024 + 1), 1009, now),
        (pieces, 1008, now),
        (frame(PING, b"").repeat(401), 1008, now),
        (vec![BINARY, 0], 1002, now),
        (frame(TEXT, &[0xff]), 1007, now),
    ]
}

#[test]
fn an_echo_over_websocket_keeps_its_limits() {
    for (bytes, code, after) in limits() {
        let test = async |sim: &Virtual, _: &Network, raw: &mut Raw| {
            raw.say(REQUEST.as_bytes()).await;
            raw.head().await;
            raw.say(&frame(TEXT, b"hello")).await;
            assert_eq!(raw.frame().await, Some((TEXT, b"hello".to_vec())));
            raw.say(&bytes).await;
            assert_eq!(raw.code().await, Some(code));
            assert_eq!(sim.elapsed(), after, "{code}");
        };
        let (error, _) = ended(Carrier::WebSocket, test);
        assert!(error.is_some());
    }
}

#[test]
fn an_echo_over_websocket_waits_so_long_for_the_request() {
    let test = async |sim: &Virtual, _: &Network, raw: &mut Raw| {
        raw.say(b"GET / HTTP/1.1\r\n").await;
        assert!(raw.head().await.starts_with("HTTP/1.1 408 "));
        assert_eq!(sim.elapsed(), Limits::default().handshake);
    };
    let (error, _) = ended(Carrier::WebSocket, test);
    assert!(matches!(error, Some(TransportError::Late)), "{error:?}");
}

#[test]
fn an_echo_over_websocket_answers_a_goodbye() {
    let test = async |_: &Virtual, _: &Network, raw: &mut Raw| {
        raw.say(REQUEST.as_bytes()).await;
        raw.head().await;
        raw.say(&crate::raw::close(1001)).await;
        let (first, code) = raw.frame().await.expect("an answer");
        assert_eq!((first, &code[..]), (CLOSE, &[3, 0xe9][..]));
    };
    assert!(ended(Carrier::WebSocket, test).0.is_none());
}

#[test]
fn an_echo_over_tcp_keeps_its_limits() {
    let stall = Limits::default().stall;
    type Expected = fn(&TransportError) -> bool;
    let cases: [(Vec<u8>, Expected, Duration); 4] = [
        (
            vec![0, 0],
            |error| matches!(error, TransportError::Stalled),
            stall,
        ),
        (
            vec![0, 0, 0, 9, 1],
            |error| matches!(error, TransportError::Stalled),
            stall,
        ),
        (
            vec![0, 0x10, 0, 1],
            |error| matches!(error, TransportError::MessageTooLarge { .. }),
            Duration::ZERO,
        ),
        (
            [0; 4].repeat(401),
            |error| matches!(error, TransportError::Flood),
            Duration::ZERO,
        ),
    ];
    for (bytes, is_expected, after) in cases {
        let test = async |sim: &Virtual, _: &Network, raw: &mut Raw| {
            raw.say(&bytes).await;
            raw.all().await;
            assert_eq!(sim.elapsed(), after);
        };
        let (error, _) = ended(Carrier::Tcp, test);
        assert!(error.as_ref().is_some_and(is_expected), "{error:?}");
    }
}

#[test]
fn an_echo_gives_up_who_takes_nothing() {
    for carrier in [Carrier::Tcp, Carrier::WebSocket] {
        let test = async |sim: &Virtual, network: &Network, raw: &mut Raw| {
            let says = match carrier {
                Carrier::WebSocket => {
                    raw.say(REQUEST.as_bytes()).await;
                    raw.head().await;
                    frame(BINARY, b"hello")
                }
                _ => b"\0\0\0\x05hello".to_vec(),
            };
            network.stall(Path::to_client("peer"));
            raw.say(&says).await;
            sim.sleep(Duration::from_secs(11)).await;
            network.resume("peer");
        };
        let (error, at) = ended(carrier, test);
        assert!(matches!(error, Some(TransportError::Stalled)), "{error:?}");
        assert!(at < Duration::from_secs(16), "{at:?}");
    }
}
