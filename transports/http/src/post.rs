//! What a client says by a request of its own.

use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, ready};
use core::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body::Body;
use lapwing::runtime::{Runtime, Timer};

use crate::pipe::Pipe;
use crate::refusal::Refusal;

/// How long a client may take for the next part of what it says.
const STALL: Duration = Duration::from_secs(10);

/// The whole body of a request.
///
/// # Errors
///
/// It is larger than so many bytes, breaks, or makes no progress.
pub(crate) async fn body<B: Body>(
    body: B,
    bytes_max: usize,
    runtime: &dyn Runtime,
) -> Result<Bytes, Refusal> {
    let (mut body, mut timer) = (pin!(body), runtime.timer());
    let mut whole = BytesMut::new();
    loop {
        timer.arm(runtime.now() + STALL);
        let next = poll_fn(|cx| poll_next(body.as_mut(), &mut *timer, cx));
        match next.await? {
            None => return Ok(whole.freeze()),
            Some(data) if whole.len() + data.remaining() > bytes_max => {
                return Err(Refusal::body_too_large());
            }
            Some(data) => whole.put(data),
        }
    }
}

fn poll_next<B: Body>(
    mut body: Pin<&mut B>,
    timer: &mut dyn Timer,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<B::Data>, Refusal>> {
    loop {
        let Poll::Ready(frame) = body.as_mut().poll_frame(cx) else {
            ready!(timer.poll_fired(cx));
            return Poll::Ready(Err(Refusal::late()));
        };
        return Poll::Ready(match frame {
            None => Ok(None),
            Some(Err(_)) => Err(Refusal::bad("the body broke off")),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => Ok(Some(data)),
                // Trailers say nothing.
                Err(_) => continue,
            },
        });
    }
}

/// Hands it over; false when nobody takes it any more.
///
/// # When full
///
/// Waits while some 64 KiB wait for the hub.
pub(crate) async fn say(pipe: &Pipe, mut bytes: Bytes) -> bool {
    poll_fn(|cx| pipe.poll_say(&mut bytes, cx)).await
}
