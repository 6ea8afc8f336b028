//! What a peer may send over a WebSocket that is open: anything, in reads of any length.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::task::{Context, Poll, Waker};

use lapwing::Limits;
use lapwing::transport::{Incoming, Transport, TransportError, Upgrade};
use lapwing_websocket::over;

use crate::socket::Script;

/// However the bytes of a client are cut, and whether it asks for one message or for many, a server hears the same, answers the same and says the same at the end.
///
/// The first byte is how long the longest read is.
pub fn websocket(script: &[u8]) {
    let Some((cut, bytes)) = script.split_first() else {
        return;
    };
    let whole = play(&mut server(bytes, usize::MAX), false);
    for read in [usize::from(*cut) + 1, usize::MAX] {
        assert_eq!(play(&mut server(bytes, read), true), whole);
    }
}

fn server(bytes: &[u8], read: usize) -> impl Transport + use<> {
    over::upgraded(
        Script::new(bytes, read),
        Default::default(),
        Upgrade::default(),
    )
}

/// What one end hears until the end: how much it was, a hash of it, and how much it said itself.
pub(crate) fn play(transport: &mut impl Transport, many: bool) -> (usize, u64, u64) {
    transport.apply(&Limits {
        message_bytes_max: 10_000,
        fragments_max: 8,
        ..Limits::default()
    });
    let cx = &mut Context::from_waker(Waker::noop());
    let (mut count, mut heard) = (0, DefaultHasher::new());
    let mut hear = |said: Result<Incoming, TransportError>| {
        count += 1;
        format!("{said:?}").hash(&mut heard);
    };
    loop {
        match transport.poll_recv(cx) {
            Poll::Ready(Ok(Incoming::End)) => break,
            Poll::Ready(said) => {
                hear(said);
                // Whatever was said: only messages follow, or nothing does.
                let more = many.then(|| transport.recv_more()).into_iter().flatten();
                more.for_each(|message| hear(Ok(Incoming::Message(message))));
            }
            // Others had their turn.
            Poll::Pending => {}
        }
    }
    assert!(matches!(transport.poll_close(cx), Poll::Ready(Ok(()))));
    (count, heard.finish(), transport.progress().sent_bytes)
}
