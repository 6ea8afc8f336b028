//! What a hub says last arrives, also at a peer that does not listen yet.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;

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

async fn the_peer_hears_why(runtime: Arc<dyn Runtime>, listener: impl Listener + 'static) {
    let limits = Limits {
        message_bytes_max: MAX,
        ..Limits::default()
    };
    let hub = Hub::builder(runtime)
        .limits(limits)
        .build()
        .expect("no rule is wrong");
    let url = listener.url();
    let (done, is_done) = oneshot::channel::<()>();
    let peer = thread::spawn(move || {
        let heard = play(&url);
        drop(done);
        heard
    });
    let until_done = async {
        let _ = is_done.await;
    };
    race(hub.serve(listener), until_done).await;
    let heard = peer
        .join()
        .expect("the peer does not panic")
        .expect("the connection is not reset");
    let frames: Vec<_> = heard.iter().map(|bytes| wire::decode(bytes)).collect();
    let Ok(
        [
            Ok(Some(Frame::Welcome(_))),
            Ok(Some(Frame::Close(Close { reason, .. }))),
        ],
    ) = <[_; 2]>::try_from(frames)
    else {
        panic!("{heard:?}");
    };
    let (size, max) = (TOO_MUCH as u64, MAX.into());
    assert_eq!(reason, CloseReason::MessageTooLarge { size, max });
}

#[test]
fn on_smol() {
    let smol = Smol::new();
    smol.block_on(async {
        let listener = lapwing_tcp::smol::listen("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        the_peer_hears_why(Arc::new(smol.clone()), listener).await;
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
        the_peer_hears_why(Arc::new(handle.clone()), listener).await;
    });
}
