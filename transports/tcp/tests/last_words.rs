//! What a hub says last arrives, also at a peer that does not listen yet.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures_lite::future::race;
use lapwing::runtime::{Runtime, Smol, Tokio};
use lapwing::transport::Listener;
use lapwing::wire::{self, Close, CloseReason, Encodings, Frame, Hello, List, Payload, Terms};
use lapwing::{Hub, Limits};
use tokio::sync::oneshot;

const MAX: u32 = 1_000;

/// More than loopback holds on its way.
const TOO_MUCH: usize = 16 * 1024 * 1024;

const HELLO: Frame<'_> = Frame::Hello(Hello {
    oldest: wire::VERSION,
    newest: wire::VERSION,
    terms: Terms {
        encodings: Encodings::NONE,
        promise_ms: 60_000,
        message_bytes_max: MAX,
        subscriptions_max: 1,
    },
    resumable: false,
    token: None,
    resume: None,
    positions: List::new(&[]),
});

/// Says hello, sends a message that is much too large and another one, and reads only then.
fn play(url: &str) -> io::Result<Vec<Vec<u8>>> {
    let mut stream = TcpStream::connect(url.trim_start_matches("tcp://"))?;
    say(&mut stream, &HELLO)?;
    stream.write_all(&(TOO_MUCH as u32).to_be_bytes())?;
    stream.write_all(&vec![0; TOO_MUCH])?;
    let call = wire::Call {
        id: 1,
        method: "late",
        deadline_ms: None,
        arguments: Payload::text(""),
    };
    say(&mut stream, &Frame::Call(call))?;
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard)?;
    Ok(messages(&heard))
}

/// Says hello and half a message, and the rest when it has heard that this took too long.
fn dawdle(url: &str) -> io::Result<Vec<Vec<u8>>> {
    let mut stream = TcpStream::connect(url.trim_start_matches("tcp://"))?;
    say(&mut stream, &HELLO)?;
    stream.write_all(&MAX.to_be_bytes())?;
    let heard = vec![hear(&mut stream)?, hear(&mut stream)?];
    stream.write_all(&vec![0; TOO_MUCH])?;
    stream.shutdown(Shutdown::Write)?;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest)?;
    assert!(rest.is_empty(), "it was the last word");
    Ok(heard)
}

fn hear(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = [0; 4];
    stream.read_exact(&mut head)?;
    let mut message = vec![0; u32::from_be_bytes(head) as usize];
    stream.read_exact(&mut message)?;
    Ok(message)
}

fn say(stream: &mut TcpStream, frame: &Frame<'_>) -> io::Result<()> {
    let mut message = Vec::new();
    wire::append(frame, &mut message);
    stream.write_all(&(message.len() as u32).to_be_bytes())?;
    stream.write_all(&message)
}

fn messages(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk() {
        let (message, next) = rest.split_at(u32::from_be_bytes(*head) as usize);
        messages.push(message.to_vec());
        bytes = next;
    }
    messages
}

/// How a peer misbehaves, and what it hears of the hub.
type Play = fn(&str) -> io::Result<Vec<Vec<u8>>>;

async fn the_peers_hear_why(runtime: Arc<dyn Runtime>, listener: impl Listener + 'static) {
    let limits = Limits {
        message_bytes_max: MAX,
        stall: Duration::from_millis(500),
        ..Limits::default()
    };
    let hub = Hub::builder(runtime)
        .limits(limits)
        .build()
        .expect("no rule is wrong");
    let url = listener.url();
    let (done, is_done) = oneshot::channel::<()>();
    let peers = thread::spawn(move || {
        let plays: [Play; 2] = [play, dawdle];
        let heard = plays.map(|play| play(&url));
        drop(done);
        heard
    });
    let until_done = async {
        let _ = is_done.await;
    };
    race(hub.serve(listener), until_done).await;
    let heard = peers.join().expect("the peers do not panic");
    let (size, max) = (TOO_MUCH as u64, MAX.into());
    let reasons = [
        CloseReason::MessageTooLarge { size, max },
        CloseReason::Stalled,
    ];
    assert_eq!(heard.map(last_words), reasons);
}

fn last_words(heard: io::Result<Vec<Vec<u8>>>) -> CloseReason {
    let heard = heard.expect("the connection is not reset");
    let frames: Vec<_> = heard.iter().map(|bytes| wire::decode(bytes)).collect();
    match frames[..] {
        [
            Ok(Some(Frame::Welcome(_))),
            Ok(Some(Frame::Close(Close { reason, .. }))),
        ] => reason,
        _ => panic!("{heard:?}"),
    }
}

#[test]
fn on_smol() {
    let smol = Smol::new();
    smol.block_on(async {
        let listener = lapwing_tcp::smol::listen("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        the_peers_hear_why(Arc::new(smol.clone()), listener).await;
    });
}

#[test]
fn on_tokio() {
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("tokio starts");
    let handle = Tokio::new(tokio.handle().clone());
    tokio.block_on(async {
        let listener = lapwing_tcp::tokio::listen(&handle, "127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        the_peers_hear_why(Arc::new(handle.clone()), listener).await;
    });
}
